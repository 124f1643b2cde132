// SPDX-License-Identifier: MIT

package ratelimit

import (
	"context"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
	"github.com/ashlar-go/ashlar/ratelimit"
)

// Ours, used as its documentation says. The bound on keys is what a user who
// expects n keys would set, with room to spare, since a table that is exactly
// full forgets keys.

const ours = "ashlar"

func newOurs(l limit) *ratelimit.Limiter {
	return ratelimit.New(ratelimit.Per(l.events, l.per), l.burst, nil)
}

func newOursKeyed[K comparable](maxKeys int, limits ...limit) *ratelimit.Keyed[K] {
	var tiers []ratelimit.Limit
	for _, l := range limits {
		tiers = append(tiers, ratelimit.Limit{Rate: ratelimit.Per(l.events, l.per), Burst: l.burst})
	}
	return ratelimit.NewKeyed[K](tiers, &ratelimit.KeyedOptions{MaxKeys: maxKeys})
}

func oursAllow(l limit) bench.Impl {
	return bench.Impl{Name: ours, Setup: func(func(func())) bench.Op {
		lim := newOurs(l)
		return func(_, n int) (admitted int) {
			for range n {
				if lim.Allow() {
					admitted++
				}
			}
			return admitted
		}
	}}
}

func oursStriped(l limit) bench.Impl {
	return bench.Impl{Name: ours, Setup: func(func(func())) bench.Op {
		lim := ratelimit.NewStriped(ratelimit.Per(l.events, l.per), l.burst, nil)
		return func(_, n int) (admitted int) {
			for range n {
				if lim.Allow() {
					admitted++
				}
			}
			return admitted
		}
	}}
}

func oursTake(l limit) bench.Impl {
	return bench.Impl{Name: ours, Setup: func(func(func())) bench.Op {
		lim := newOurs(l)
		return func(_, n int) (admitted int) {
			for range n {
				if d := lim.Take(1); d.OK {
					admitted++
				}
			}
			return admitted
		}
	}}
}

func oursWait(l limit) bench.Impl {
	return bench.Impl{Name: ours, Setup: func(func(func())) bench.Op {
		lim, ctx := newOurs(l), context.Background()
		return func(_, n int) (admitted int) {
			for range n {
				if lim.Wait(ctx, 1) == nil {
					admitted++
				}
			}
			return admitted
		}
	}}
}

func oursReserve(l limit) bench.Impl {
	return bench.Impl{Name: ours, Setup: func(func(func())) bench.Op {
		lim := newOurs(l)
		lim.AllowN(l.burst)
		return func(_, n int) (admitted int) {
			for range n {
				r := lim.Reserve(1)
				if r.OK() {
					admitted++
				}
				r.Cancel()
			}
			return admitted
		}
	}}
}

func oursKeyed(k func() keyset, maxKeys int, limits ...limit) bench.Impl {
	return bench.Impl{Name: ours, Setup: func(func(func())) bench.Op {
		lim := newOursKeyed[string](maxKeys, limits...)
		return loop(func(keys []string) bench.Op {
			return func(start, n int) (admitted int) {
				for i := start; i < start+n; i++ {
					if lim.Allow(keys[i&(len(keys)-1)]) {
						admitted++
					}
				}
				return admitted
			}
		}).on(k())
	}}
}

func oursKeyedTake(k func() keyset, maxKeys int, l limit) bench.Impl {
	return bench.Impl{Name: ours, Setup: func(func(func())) bench.Op {
		lim := newOursKeyed[string](maxKeys, l)
		return loop(func(keys []string) bench.Op {
			return func(start, n int) (admitted int) {
				for i := start; i < start+n; i++ {
					if d := lim.Take(keys[i&(len(keys)-1)], 1); d.OK {
						admitted++
					}
				}
				return admitted
			}
		}).on(k())
	}}
}

func oursAllower(l limit) func() func() bool { return func() func() bool { return newOurs(l).Allow } }

func oursWaiter(l limit) func() func(context.Context) error {
	return func() func(context.Context) error {
		lim := newOurs(l)
		return func(ctx context.Context) error { return lim.Wait(ctx, 1) }
	}
}
