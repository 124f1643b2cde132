// SPDX-License-Identifier: MIT

package ratelimit

import (
	uber "go.uber.org/ratelimit"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
)

// go.uber.org/ratelimit spaces events out: Take sleeps until the event may
// happen, and never refuses. At a rate that is never reached it does not sleep,
// and what is timed is its bookkeeping; but it has no answer to give, so its
// figure is shown and not judged. The limiter is what New returns by default,
// with its slack of 10 events.

func newUber(l limit) uber.Limiter { return uber.New(l.events, uber.Per(l.per)) }

func uberTake(l limit) bench.Impl {
	note := "Take waits instead of refusing"
	return bench.Impl{Name: "uber", Note: note, Setup: func(func(func())) bench.Op {
		lim := newUber(l)
		return func(_, n int) (admitted int) {
			for range n {
				lim.Take()
			}
			return n
		}
	}}
}
