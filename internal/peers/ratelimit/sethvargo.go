// SPDX-License-Identifier: MIT

package ratelimit

import (
	"context"

	"github.com/sethvargo/go-limiter"
	"github.com/sethvargo/go-limiter/memorystore"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
)

// sethvargo/go-limiter counts in fixed windows: the burst of a limit is its
// Tokens, and Interval the time in which a bucket refills. The map is allocated
// for the number of keys from the start, as its documentation advises. Its
// sweeper wakes every 6 hours, which no run sees.

func newSethvargo(l limit, keys int) limiter.Store {
	return must(memorystore.New(&memorystore.Config{
		Tokens:       uint64(l.burst),
		Interval:     l.window(),
		InitialAlloc: keys,
	}))
}

func sethvargoKeyed(k func() keyset, l limit) bench.Impl {
	return bench.Impl{Name: "sethvargo", Beside: "one that sweeps old keys", Setup: func(atEnd func(func())) bench.Op {
		ctx := context.Background()
		lim := newSethvargo(l, len(k().all))
		atEnd(func() { _ = lim.Close(ctx) }) // it never fails; it ends the sweeper
		return loop(func(keys []string) bench.Op {
			return func(start, n int) (admitted int) {
				for i := start; i < start+n; i++ {
					if _, _, _, ok, _ := lim.Take(ctx, keys[i&(len(keys)-1)]); ok {
						admitted++
					}
				}
				return admitted
			}
		}).on(k())
	}}
}
