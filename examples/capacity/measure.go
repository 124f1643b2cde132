// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/ashlar-go/ashlar/bloom"
	"github.com/ashlar-go/ashlar/breaker"
	"github.com/ashlar-go/ashlar/consistenthash"
	"github.com/ashlar-go/ashlar/lru"
	"github.com/ashlar-go/ashlar/lsm"
	"github.com/ashlar-go/ashlar/merkle"
	"github.com/ashlar-go/ashlar/ratelimit"
	"github.com/ashlar-go/ashlar/skiplist"
)

// The figures of this machine: nanoseconds of an operation of one goroutine,
// and bytes of an entry besides its key and value, but of a whole record on
// disk.
type figures struct {
	limit, breaker, hit, bloom, ring, floor, get, set, leaf float64 // ns

	limiterEntry, cacheEntry, filterKey, indexEntry, recordDisk float64 // bytes
	wrong                                                       float64 // part of keys that the filter takes for known
}

// rounds is how often a time is measured; the median counts.
const rounds = 5

// perOp returns the median time of a call of op, which is called with numbers
// from 0.
func perOp(calls int, op func(i int)) float64 {
	var times []float64
	for range rounds {
		start := time.Now()
		for i := range calls {
			op(i)
		}
		times = append(times, float64(time.Since(start).Nanoseconds())/float64(calls))
	}
	slices.Sort(times)
	return times[rounds/2]
}

// grown returns the bytes of the heap that make leaves behind while its result
// is held.
func grown[T any](make func() T) (T, float64) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	v := make()
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(v)
	return v, float64(after.HeapAlloc) - float64(before.HeapAlloc)
}

// measure measures this machine, with the given part of the usual effort.
func measure(ctx context.Context, effort float64) (*figures, error) {
	f := new(figures)
	n := int(100_000 * effort)
	for _, part := range []func(context.Context, int, *figures) error{measureGuards, measureKeys, measureOrder, measureStore} {
		if err := part(ctx, n, f); err != nil {
			return nil, err
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	return f, nil
}

// measureGuards measures what stands before a service.
func measureGuards(_ context.Context, n int, f *figures) error {
	limits := []ratelimit.Limit{{Rate: ratelimit.PerDay(480), Burst: 100}} // slow, so that no key is forgotten
	limiter, bytes := grown(func() *ratelimit.Keyed[uint64] {
		l := ratelimit.NewKeyed[uint64](limits, &ratelimit.KeyedOptions{MaxKeys: n})
		for i := range n {
			l.Allow(uint64(i))
		}
		return l
	})
	f.limiterEntry = bytes/float64(n) - 8
	f.limit = perOp(n, func(i int) { limiter.Allow(uint64(i % 1000)) })

	b := breaker.New(nil)
	f.breaker = perOp(n, func(int) {
		permit, err := b.Allow()
		if err == nil {
			permit.Success()
		}
	})

	// As many servers as the notes come to.
	var nodes []consistenthash.Node
	for i := range 345 {
		nodes = append(nodes, consistenthash.Node{Name: "server-" + strconv.Itoa(i)})
	}
	ring, err := consistenthash.NewSnapshot(nil, nodes...)
	if err != nil {
		return err
	}
	keys := names(n)
	f.ring = perOp(n, func(i int) { ring.Get(keys[i]) })
	return nil
}

// measureKeys measures a cache and a filter.
func measureKeys(_ context.Context, n int, f *figures) error {
	cache, bytes := grown(func() *lru.Cache[uint64, uint64] {
		c := lru.New[uint64, uint64](n, nil)
		for i := range n {
			c.Set(uint64(i), 0)
		}
		return c
	})
	f.cacheEntry = bytes/float64(cache.Stats().Len) - 16
	f.hit = perOp(n, func(i int) { cache.Get(uint64(i)) })

	filter := bloom.New(n, 0.01, nil)
	for i := range n {
		filter.AddUint64(uint64(i))
	}
	f.filterKey = float64(filter.Bits()) / 8 / float64(n)
	f.bloom = perOp(n, func(i int) { filter.HasUint64(uint64(i)) })

	known := 0
	for i := range 10 * n {
		if filter.HasUint64(uint64(n + i)) {
			known++
		}
	}
	f.wrong = float64(known) / float64(10*n)
	return nil
}

// measureOrder measures an index in memory, and a log with proofs.
func measureOrder(_ context.Context, n int, f *figures) error {
	index, bytes := grown(func() *skiplist.Map[uint64, uint64] {
		m := skiplist.NewMap[uint64, uint64]()
		for i := range n {
			m.Set(scatter(i), 0)
		}
		return m
	})
	f.indexEntry = bytes/float64(n) - 16
	f.floor = perOp(n, func(i int) { index.Floor(scatter(i) + 1) })

	leaf := make([]byte, 64)
	f.leaf = perOp(1, func(int) {
		t := merkle.NewTree(merkle.SHA256)
		for range n {
			t.Append(leaf)
		}
	}) / float64(n)
	return nil
}

// measureStore measures a database on a disk in memory: what the package takes,
// without what a disk adds.
func measureStore(ctx context.Context, n int, f *figures) (err error) {
	files := lsm.NewMemFS()
	db, err := lsm.Open("db", &lsm.Options{FS: files, Durability: lsm.NoSync})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()

	keys, value := names(n), make([]byte, 100)
	start := time.Now()
	for i := range n {
		copy(value, strconv.FormatUint(scatter(i), 36)) // nobody's records are all alike
		if err := db.Set([]byte(keys[i]), value); err != nil {
			return err
		}
	}
	f.set = float64(time.Since(start).Nanoseconds()) / float64(n)
	if err := db.Compact(ctx, nil, nil); err != nil {
		return err
	}

	size := float64(db.Stats().Stored)
	f.recordDisk = size / float64(n)
	var failed error
	f.get = perOp(n, func(i int) {
		if _, err := db.Get([]byte(keys[scatter(i)%uint64(n)])); err != nil {
			failed = err
		}
	})
	if failed != nil {
		return fmt.Errorf("a record is gone: %w", failed)
	}
	return nil
}

// names returns n different keys of twelve bytes.
func names(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("user%08d", i)
	}
	return keys
}

// scatter returns a number for i that is nowhere near that for i+1, and that no
// other i has.
func scatter(i int) uint64 { return uint64(i) * 0x9e3779b97f4a7c15 }
