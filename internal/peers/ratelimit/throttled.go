// SPDX-License-Identifier: MIT

package ratelimit

import (
	"context"

	"github.com/throttled/throttled/v2"
	"github.com/throttled/throttled/v2/store/memstore"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
)

// throttled is GCRA over a store, here its own in memory. Each call returns the
// whole decision, as our Take does. Its burst is what may come on top of the
// first event, so it is set one lower. Its documentation bounds the store to
// 65536 keys, which makes it an LRU; without a bound it is a map under a
// read-write mutex, which is faster and which a flood of keys fills.

func newThrottled(l limit, maxKeys int) *throttled.GCRARateLimiterCtx {
	quota := throttled.RateQuota{MaxRate: throttled.PerDuration(l.events, l.per), MaxBurst: l.burst - 1}
	return must(throttled.NewGCRARateLimiterCtx(must(memstore.NewCtx(maxKeys)), quota))
}

// throttledKeyed bounds the keys to maxKeys, or not at all if it is 0.
func throttledKeyed(k func() keyset, maxKeys int, l limit) bench.Impl {
	name := "throttled"
	if maxKeys == 0 {
		name = "throttled, unbounded"
	}
	return bench.Impl{Name: name, Setup: func(func(func())) bench.Op {
		lim, ctx := newThrottled(l, maxKeys), context.Background()
		return loop(func(keys []string) bench.Op {
			return func(start, n int) (admitted int) {
				for i := start; i < start+n; i++ {
					limited, _, err := lim.RateLimitCtx(ctx, keys[i&(len(keys)-1)], 1)
					if !limited && err == nil {
						admitted++
					}
				}
				return admitted
			}
		}).on(k())
	}}
}
