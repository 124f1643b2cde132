// SPDX-License-Identifier: MIT

package lsm

import "testing"

// TestStatsSub checks that Sub subtracts every counter and keeps sizes.
func TestStatsSub(t *testing.T) {
	checkSub(t, Stats.Sub, "Memory", "Tables", "Stored", "Bottom", "Cached", "Readers", "OldestReader", "Pinned", "Sequence")
}
