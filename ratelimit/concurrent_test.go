// SPDX-License-Identifier: MIT

package ratelimit

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestLinearizable checks that at a standing clock a Limiter is a counter, with
// and without WarmUp: every concurrent history of calls has an order in which
// each finds the tokens that those before it left.
func TestLinearizable(t *testing.T) {
	type op struct {
		kind int
		n    int
	}

	for start := time.Now(); time.Since(start) < *linearTime; {
		var clock fakeClock
		lim := New(Rate{}, 6, &Options{Now: clock.now, WarmUp: time.Duration(rand.IntN(2))})
		h := record(4, 10, func(p, i int) op { return op{rand.IntN(6), rand.IntN(4)} }, func(o op) int {
			switch o.kind {
			case 0:
				return b2i(lim.AllowN(o.n))
			case 1:
				return lim.TakeUpTo(o.n)
			case 2:
				lim.Return(o.n)
			case 3:
				lim.Charge(o.n)
			case 4:
				return b2i(lim.Take(o.n).OK)
			case 5:
				lim.SetLimit(Rate{}, 6)
			}
			return 0
		})
		if !linearizable(6, h, func(left int, o op, out int) (int, bool) {
			switch o.kind {
			case 0, 4:
				if o.n == 0 {
					return left, out == 1
				}
				return left - o.n*out, out == b2i(left >= o.n)
			case 1:
				return left - out, out == min(max(left, 0), o.n)
			case 2:
				return min(left+o.n, 6), true
			case 3:
				return left - o.n, true
			}
			return left, true
		}) {
			t.Fatalf("no order explains %+v", h)
		}
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
