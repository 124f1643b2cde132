// SPDX-License-Identifier: MIT

package lru

import (
	"fmt"
	"slices"
	"sync"

	"github.com/Yiling-J/theine-go"
	"github.com/hashicorp/golang-lru/v2"
	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/maypok86/otter/v2"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
	ashlar "github.com/ashlar-go/ashlar/lru"
)

// A cached is a cache as the loops of speed need it.
type cached struct {
	name string
	note string
	make func(capacity int) (get func(uint64) bool, set func(uint64))
}

// The calls go through function values, on both sides: about a nanosecond each.
var shared = []cached{
	{ours, "", func(n int) (func(uint64) bool, func(uint64)) {
		c := ashlar.New[uint64, uint64](n, nil)
		return func(k uint64) bool { _, ok := c.Get(k); return ok }, func(k uint64) { c.Set(k, k) }
	}},
	{otr, "works behind, on other processors too", func(n int) (func(uint64) bool, func(uint64)) {
		c := otter.Must(&otter.Options[uint64, uint64]{MaximumSize: n})
		return func(k uint64) bool { _, ok := c.GetIfPresent(k); return ok }, func(k uint64) { c.Set(k, k) }
	}},
	{hashi, "", func(n int) (func(uint64) bool, func(uint64)) {
		c, _ := lru.New[uint64, uint64](n)
		return func(k uint64) bool { _, ok := c.Get(k); return ok }, func(k uint64) { c.Add(k, k) }
	}},
	{"theine", "works behind, on other processors too", func(n int) (func(uint64) bool, func(uint64)) {
		c, _ := theine.NewBuilder[uint64, uint64](int64(n)).Build()
		return func(k uint64) bool { _, ok := c.Get(k); return ok }, func(k uint64) { c.Set(k, k, 1) }
	}},
}

var exact = []cached{
	{ours, "", func(n int) (func(uint64) bool, func(uint64)) {
		c := ashlar.NewLRU[uint64, uint64](n)
		return func(k uint64) bool { _, ok := c.Get(k); return ok }, func(k uint64) { c.Set(k, k) }
	}},
	{"simplelru", "", func(n int) (func(uint64) bool, func(uint64)) {
		c, _ := simplelru.NewLRU[uint64, uint64](n, nil)
		return func(k uint64) bool { _, ok := c.Get(k); return ok }, func(k uint64) { c.Add(k, k) }
	}},
}

// builtin is the map of the language, which knows no recency and no other
// goroutine: its read is the floor of a hit.
var builtin = cached{"map", "", func(n int) (func(uint64) bool, func(uint64)) {
	m := make(map[uint64]uint64, n)
	return func(k uint64) bool { _, ok := m[k]; return ok }, func(k uint64) { m[k] = k }
}}

const numKeys = 1 << 20

var zipf = sync.OnceValue(func() []uint64 {
	all := make([]uint64, numKeys)
	for i := range all {
		all[i] = uint64(i)
	}
	return bench.Zipf(all, numKeys, 0.99)
})

// hit reads keys that are all there.
func (c cached) hit(n int) bench.Impl {
	return bench.Impl{Name: c.name, Note: c.note, Setup: func(func(func())) bench.Op {
		get, set := c.make(2 * n)
		for i := range n {
			set(uint64(i))
		}

		keys := zipf()
		return func(start, ops int) (found int) {
			for i := start; i < start+ops; i++ {
				if get(keys[i&(numKeys-1)] % uint64(n)) {
					found++
				}
			}
			return found
		}
	}}
}

// through gets keys of a Zipf distribution of 2^20, and sets those that are
// missing.
func (c cached) through(n int) bench.Impl {
	return bench.Impl{Name: c.name, Note: c.note, Setup: func(func(func())) bench.Op {
		get, set := c.make(n)
		keys := zipf()
		return func(start, ops int) (found int) {
			for i := start; i < start+ops; i++ {
				if k := keys[i&(numKeys-1)]; get(k) {
					found++
				} else {
					set(k)
				}
			}
			return found
		}
	}}
}

// theAims is the origin of the targets of this file.
const theAims = "our aim, for hits without the shard's lock"

func speedRows() []*bench.Workload {
	var rows []*bench.Workload
	row := func(w *bench.Workload, of func(cached) bench.Impl, from []cached) {
		w.Ours = of(from[0])
		for _, c := range from[1:] {
			w.Peers = append(w.Peers, of(c))
		}
		rows = append(rows, w)
	}

	for goroutines, most := range map[int]float64{1: 0.42, 2: 0.30} {
		for _, n := range []int{8 << 10, 100_000} {
			row(&bench.Workload{
				Name: fmt.Sprintf("Get/keys=uint64/n=%d/dist=zipf0.99/hit=100/goroutines=%d", n, goroutines),
				Why:  "all keys are there", Parallel: goroutines, Expect: bench.Granted,
				Target: bench.Ratio(most), Origin: theAims, Versus: otr,
				Floors: []bench.Impl{builtin.hit(n)},
			}, func(c cached) bench.Impl { return c.hit(n) }, shared)
		}
		row(&bench.Workload{
			Name:     fmt.Sprintf("Get+Set/keys=uint64/n=100000/dist=zipf0.99/goroutines=%d", goroutines),
			Why:      "of 2^20 keys, set when missing: a better policy hits more often, and inserts less",
			Parallel: goroutines, Expect: bench.Differ, Target: bench.Ratio(0.5), Versus: otr,
		}, func(c cached) bench.Impl { return c.through(100_000) }, shared)
	}

	for _, n := range []int{8 << 10, 100_000} {
		row(&bench.Workload{
			Name: fmt.Sprintf("LRU.Get/keys=uint64/n=%d/dist=zipf0.99/hit=100", n),
			Why:  "all keys are there; no lock on either side", Expect: bench.Granted, Target: bench.Ratio(0.7),
			Floors: []bench.Impl{builtin.hit(n)},
		}, func(c cached) bench.Impl { return c.hit(n) }, exact)
		row(&bench.Workload{
			Name: fmt.Sprintf("LRU.Get+Set/keys=uint64/n=%d/dist=zipf0.99", n),
			Why:  "of 2^20 keys, set when missing", Expect: bench.Same,
		}, func(c cached) bench.Impl { return c.through(n) }, exact)
	}

	slices.SortStableFunc(rows, func(a, b *bench.Workload) int { return a.Parallel - b.Parallel })
	return rows
}
