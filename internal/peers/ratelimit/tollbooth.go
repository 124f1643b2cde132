// SPDX-License-Identifier: MIT

package ratelimit

import (
	"time"

	"github.com/didip/tollbooth/v7/limiter"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
)

// didip/tollbooth keeps a copy of x/time/rate per key in an expiring cache,
// under one lock. It is made for HTTP handlers; LimitReached is what they call
// once they know the key, so nothing of HTTP is timed. The expiry of an hour is
// the one its documentation uses.

func newTollbooth(l limit) *limiter.Limiter {
	return limiter.New(&limiter.ExpirableOptions{DefaultExpirationTTL: time.Hour}).SetMax(l.perSecond()).SetBurst(l.burst)
}

func tollboothKeyed(k func() keyset, l limit) bench.Impl {
	return bench.Impl{Name: "tollbooth", Setup: func(func(func())) bench.Op {
		lim := newTollbooth(l)
		return loop(func(keys []string) bench.Op {
			return func(start, n int) (admitted int) {
				for i := start; i < start+n; i++ {
					if !lim.LimitReached(keys[i&(len(keys)-1)]) {
						admitted++
					}
				}
				return admitted
			}
		}).on(k())
	}}
}
