// SPDX-License-Identifier: MIT

package breaker

import "testing"

// TestStatsSub checks that Sub subtracts every counter and keeps the gauges.
func TestStatsSub(t *testing.T) {
	checkSub(t, Stats.Sub, "State", "Generation", "Row", "Calls", "Failures", "Slow", "Probes", "Successes", "Quiet")
	checkSub(t, GroupStats.Sub, "Len")
	checkSub(t, ThrottleStats.Sub, "RejectRatio", "WindowSent", "WindowAccepted", "WindowRejected")
}
