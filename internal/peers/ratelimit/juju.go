// SPDX-License-Identifier: MIT

package ratelimit

import (
	"github.com/juju/ratelimit"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
)

// juju/ratelimit is a token bucket that refills in steps; NewBucketWithRate
// chooses steps within 1 % of the rate, which costs nothing per call.
// TakeAvailable(1) is its Allow.

func newJuju(l limit) *ratelimit.Bucket {
	return ratelimit.NewBucketWithRate(l.perSecond(), int64(l.burst))
}

func jujuAllow(l limit) bench.Impl {
	return bench.Impl{Name: "juju", Setup: func(func(func())) bench.Op {
		lim := newJuju(l)
		return func(_, n int) (admitted int) {
			for range n {
				if lim.TakeAvailable(1) == 1 {
					admitted++
				}
			}
			return admitted
		}
	}}
}

func jujuAllower(l limit) func() func() bool {
	return func() func() bool {
		lim := newJuju(l)
		return func() bool { return lim.TakeAvailable(1) == 1 }
	}
}
