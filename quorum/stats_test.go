// SPDX-License-Identifier: MIT

package quorum

import "testing"

// TestStatsSub checks that Sub subtracts every counter and keeps the gauges.
func TestStatsSub(t *testing.T) {
	checkSub(t, Stats.Sub, "Outstanding")
}
