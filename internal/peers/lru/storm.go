// SPDX-License-Identifier: MIT

package lru

import (
	"context"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Yiling-J/theine-go"
	"github.com/hashicorp/golang-lru/v2"
	"github.com/jellydator/ttlcache/v3"
	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/singleflight"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
	ashlar "github.com/ashlar-go/ashlar/lru"
)

// A loading is a cache that loads what it misses. It returns the call, and what
// ends it.
type loading struct {
	name, note string
	make       func(capacity int, load func(uint64) uint64) (get func(uint64) uint64, end func())
}

func nothing() {}

// loaders are read-through caches as their makers offer them; the last is what
// people write who have none: a cache, and singleflight beside it.
var loaders = []loading{
	{ours, "", func(n int, load func(uint64) uint64) (func(uint64) uint64, func()) {
		c := ashlar.New(n, &ashlar.Options[uint64, uint64]{
			Load: func(_ context.Context, k uint64) (uint64, error) { return load(k), nil },
		})
		ctx := context.Background()
		return func(k uint64) uint64 { v, _ := c.Load(ctx, k); return v }, nothing
	}},
	{otr, "works behind, on other processors too", func(n int, load func(uint64) uint64) (func(uint64) uint64, func()) {
		c := otter.Must(&otter.Options[uint64, uint64]{MaximumSize: n})
		l := otter.LoaderFunc[uint64, uint64](func(_ context.Context, k uint64) (uint64, error) { return load(k), nil })
		ctx := context.Background()
		return func(k uint64) uint64 { v, _ := c.Get(ctx, k, l); return v }, func() { c.StopAllGoroutines() }
	}},
	{"theine", "works behind, on other processors too", func(n int, load func(uint64) uint64) (func(uint64) uint64, func()) {
		c, err := theine.NewBuilder[uint64, uint64](int64(n)).Loading(func(_ context.Context, k uint64) (theine.Loaded[uint64], error) {
			return theine.Loaded[uint64]{Value: load(k), Cost: 1}, nil
		}).Build()
		if err != nil {
			panic(err)
		}
		ctx := context.Background()
		return func(k uint64) uint64 { v, _ := c.Get(ctx, k); return v }, c.Close
	}},
	{"ttlcache", "", func(n int, load func(uint64) uint64) (func(uint64) uint64, func()) {
		l := ttlcache.LoaderFunc[uint64, uint64](func(c *ttlcache.Cache[uint64, uint64], k uint64) *ttlcache.Item[uint64, uint64] {
			return c.Set(k, load(k), ttlcache.NoTTL)
		})
		c := ttlcache.New(
			ttlcache.WithCapacity[uint64, uint64](uint64(n)),
			ttlcache.WithLoader(ttlcache.NewSuppressedLoader(l, nil)))
		return func(k uint64) uint64 { return c.Get(k).Value() }, nothing
	}},
	{"singleflight", "", func(n int, load func(uint64) uint64) (func(uint64) uint64, func()) {
		c, err := lru.New[uint64, uint64](n)
		if err != nil {
			panic(err)
		}
		var g singleflight.Group
		return func(k uint64) uint64 {
			if v, ok := c.Get(k); ok {
				return v
			}
			v, _, _ := g.Do(strconv.FormatUint(k, 10), func() (any, error) {
				v := load(k)
				c.Add(k, v)
				return v, nil
			})
			return v.(uint64)
		}, nothing
	}},
}

// stormers is how many goroutines want the same absent key at once.
const stormers = 64

// storm returns the impl that lets stormers loose on one absent key after the
// other, and measures.
func storm(l loading, measure func(loads int, took time.Duration) float64) bench.Impl {
	return bench.Impl{Name: l.name, Note: l.note, Measure: func() (float64, int) {
		const storms = 50
		var loads atomic.Int64
		get, end := l.make(1024, func(k uint64) uint64 {
			loads.Add(1)
			time.Sleep(time.Millisecond)
			return k + 1
		})
		defer end()
		var took time.Duration

		for k := range uint64(storms) {
			var ready, done sync.WaitGroup
			start := make(chan struct{})
			for range stormers {
				ready.Add(1)
				done.Go(func() { // ends when the value is loaded
					ready.Done()
					<-start
					if get(k) != k+1 {
						panic("lru: " + l.name + " has loaded the wrong value")
					}
				})
			}

			ready.Wait()
			begun := time.Now()
			close(start)
			done.Wait()
			took += time.Since(begun)
		}

		return measure(int(loads.Load()), took) / storms, storms
	}}
}

// misses returns the impl in which each call is for another key, whose loader
// returns at once: what a load costs besides loading.
func misses(l loading) bench.Impl {
	return bench.Impl{Name: l.name, Note: l.note, Setup: func(atEnd func(func())) bench.Op {
		get, end := l.make(1<<14, func(k uint64) uint64 { return k + 1 })
		atEnd(end)
		var next atomic.Uint64
		return func(_, n int) (right int) {
			k := next.Add(uint64(n)) - uint64(n)
			for i := range uint64(n) {
				if get(k+i) == k+i+1 {
					right++
				}
			}
			return right
		}
	}}
}

func stormRows() []*bench.Workload {
	rows := []*bench.Workload{
		{
			Name: "Load/case=storm/goroutines=64/what=loads", Unit: "loads", Rounds: 3, Target: bench.AtMost(1),
			Why: "of one absent key that 64 goroutines want at once, and that takes 1 ms to load",
		},
		{
			Name: "Load/case=storm/goroutines=64/what=time", Unit: "us", Rounds: 5,
			Why: "until all 64 have it: the loader sleeps for 1000 µs of that",
		},
		{
			Name: "Load/case=miss", Target: bench.Ratio(0.6), Versus: otr, Expect: bench.Granted,
			Why: "each call for another key, which its loader returns at once, into a full cache of 2^14; singleflight is that of x/sync, beside a cache of hashicorp",
		},
		{
			Name: "Load/case=miss/goroutines=2", Target: bench.Ratio(0.6), Versus: otr, Expect: bench.Granted, Parallel: min(2, runtime.GOMAXPROCS(0)),
			Why: "the same by two",
		},
		{
			Name: "Load/case=miss/peer=singleflight", Target: bench.Ratio(1), Versus: "singleflight", Expect: bench.Granted,
			Why: "the same, judged against x/sync's singleflight beside a cache, which has no context, no TTL and no invalidation",
		},
	}

	for i, l := range loaders {
		impls := []bench.Impl{
			storm(l, func(loads int, _ time.Duration) float64 { return float64(loads) }),
			storm(l, func(_ int, took time.Duration) float64 { return float64(took) / 1e3 }),
			misses(l), misses(l), misses(l),
		}
		for j, impl := range impls {
			if i == 0 {
				rows[j].Ours = impl
			} else {
				rows[j].Peers = append(rows[j].Peers, impl)
			}
		}
	}

	return rows
}
