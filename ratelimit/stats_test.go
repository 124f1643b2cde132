// SPDX-License-Identifier: MIT

package ratelimit

import "testing"

// TestStatsSub checks that Sub of every Stats type subtracts each counter and
// keeps the gauges.
func TestStatsSub(t *testing.T) {
	checkSub(t, KeyedStats.Sub, "Keys")
	checkSub(t, WindowStats.Sub, "Limit")
	checkSub(t, StripedStats.Sub, "Stashed")
	checkSub(t, SharedStats.Sub)
	checkSub(t, ConcurrencyStats.Sub, "Limit", "InFlight", "Queued")
}
