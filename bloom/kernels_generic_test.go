//go:build !amd64 || purego

// SPDX-License-Identifier: MIT

package bloom

import "testing"

// withoutKernels does nothing: there are none.
func withoutKernels(*testing.T) {}
