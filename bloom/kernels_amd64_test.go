//go:build !purego

// SPDX-License-Identifier: MIT

package bloom

import "testing"

// withoutKernels turns the kernels off until the test ends.
func withoutKernels(t *testing.T) {
	t.Helper()
	had := haveKernels
	haveKernels = false
	t.Cleanup(func() { haveKernels = had })
}
