// SPDX-License-Identifier: MIT

package ratelimit

import (
	"context"

	"github.com/ulule/limiter/v3"
	"github.com/ulule/limiter/v3/drivers/store/memory"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
)

// ulule/limiter counts in fixed windows, over a store in memory with its
// default settings. Its cleaner walks the map every 30 seconds, as it would in
// production. Get counts an event.

func newUlule(l limit) *limiter.Limiter {
	return limiter.New(memory.NewStore(), limiter.Rate{Period: l.window(), Limit: int64(l.burst)})
}

func ululeKeyed(k func() keyset, l limit) bench.Impl {
	return bench.Impl{Name: "ulule", Beside: "one that sweeps old keys", Setup: func(func(func())) bench.Op {
		lim, ctx := newUlule(l), context.Background()
		return loop(func(keys []string) bench.Op {
			return func(start, n int) (admitted int) {
				for i := start; i < start+n; i++ {
					if c, err := lim.Get(ctx, keys[i&(len(keys)-1)]); err == nil && !c.Reached {
						admitted++
					}
				}
				return admitted
			}
		}).on(k())
	}}
}
