// SPDX-License-Identifier: MIT

// Package lru compares the lru package with other people's caches.
package lru

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/Yiling-J/theine-go"
	"github.com/hashicorp/golang-lru/v2"
	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/errgroup"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
	ashlar "github.com/ashlar-go/ashlar/lru"
)

const (
	ours  = "ours"
	otr   = "otter"
	hashi = "hashicorp"
	s3    = "S3-FIFO"
	opt   = "OPT"
)

// contestants are what hit ratios are measured of; the first is ours.
var contestants = []struct {
	name string
	run  simulation
	note string
}{
	{ours, oursHits(ashlar.PolicyTinyLFU), ""},
	{otr, otterHits, ""},
	{s3, s3fifoHits, ""},
	{hashi, hashicorpHits, ""},
	{"2Q", twoQueueHits, ""},
	{"ARC", arcHits, ""},
	{"ours LRU", oursHits(ashlar.PolicyLRU), "another policy of ours"},
	{"ours LFU", oursHits(ashlar.PolicyLFU), "another policy of ours"},
	{"ours FIFO", oursHits(ashlar.PolicyFIFO), "another policy of ours"},
	{"ours random", oursHits(ashlar.PolicyRandom), "another policy of ours"},
	{opt, optHits, "knows the future"},
}

// parts are the capacities, as parts of the distinct keys of a trace.
var parts = []float64{0.01, 0.05, 0.10, 0.25}

// A cell is the hit ratio of each contestant for a trace and a size, in the
// order of contestants.
type cell struct {
	*trace
	capacity int
	ratios   []float64
}

// table simulates everything, once: the sizes of a trace side by side.
var table = sync.OnceValue(func() []*cell {
	var cells []*cell
	for _, t := range traces() {
		n := t.footprint()
		for _, part := range parts {
			cells = append(cells, &cell{trace: t, capacity: max(int(part*float64(n)), 1), ratios: make([]float64, len(contestants))})
		}
	}

	var wg sync.WaitGroup
	work := make(chan func())
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() { // ends when work is closed
			for f := range work {
				f()
			}
		})
	}

	for _, c := range cells {
		for i, p := range contestants {
			work <- func() { c.ratios[i] = float64(p.run(c.capacity, c.keys)) / float64(len(c.keys)) }
		}
	}

	close(work)
	wg.Wait()
	return cells
})

// Workloads returns the rows of the comparison.
func Workloads() []*bench.Workload {
	return slices.Concat(ratioRows(), judgementRows(), memoryRows(), speedRows(), stormRows())
}

func fixed(name, note string, value func() float64) bench.Impl {
	return bench.Impl{Name: name, Note: note, Measure: func() (float64, int) { return value(), 1 }}
}

// ratioRows are misses rather than hits, so that less is better as everywhere.
func ratioRows() []*bench.Workload {
	var rows []*bench.Workload
	add := func(name, why string, target bench.Target, versus string, pick func(*cell) bool) {
		w := &bench.Workload{Name: name, Why: why, Unit: "% misses", Rounds: 1, Target: target, Versus: versus}
		for i, p := range contestants {
			impl := fixed(p.name, p.note, func() float64 { return 100 * (1 - mean(i, pick)) })
			if i == 0 {
				w.Ours = impl
			} else {
				w.Peers = append(w.Peers, impl)
			}
		}
		rows = append(rows, w)
	}

	const why = "asked for each key, and given it if it is missing; capacity in entries, one shard, otter's maintenance in the caller"
	for _, t := range traces() {
		for _, part := range parts {
			n := max(int(part*float64(t.footprint())), 1)
			add(fmt.Sprintf("Misses/dist=trace:%s/n=%d", t.name, n), why, bench.Target{}, "",
				func(c *cell) bool { return c.name == t.name && c.capacity == n })
		}
	}

	isReal := func(c *cell) bool { return c.real }
	if slices.ContainsFunc(traces(), func(t *trace) bool { return t.real }) {
		add("Misses/dist=mean of traces/peer=otter", why, bench.Ratio(1), otr, isReal)
		add("Misses/dist=mean of traces/peer=S3-FIFO", why, bench.Ratio(1), s3, isReal)
	}
	add("Misses/dist=mean of generated/peer=otter", why, bench.Ratio(1), otr, func(c *cell) bool { return !c.real })
	return rows
}

// mean returns the mean hit ratio of a contestant over the cells that pick
// chooses.
func mean(i int, pick func(*cell) bool) float64 {
	sum, n := 0.0, 0
	for _, c := range table() {
		if pick(c) {
			sum += c.ratios[i]
			n++
		}
	}
	return sum / float64(n)
}

func index(name string) int {
	for i, p := range contestants {
		if p.name == name {
			return i
		}
	}
	panic("lru: no contestant " + name)
}

// seeds is how many runs a lead that is near its target is the mean of.
const seeds = 16

// lead returns by how many points the hit ratio of ours is above that of other,
// on the mean.
func lead(t *trace, other simulation) float64 {
	var sum atomic.Int64
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for range seeds {
		for _, part := range parts {
			capacity := max(int(part*float64(t.footprint())), 1)
			g.Go(func() error { // ends with its replay
				sum.Add(int64(oursHits(ashlar.PolicyTinyLFU)(capacity, t.keys) - other(capacity, t.keys)))
				return nil
			})
		}
	}
	_ = g.Wait() // nothing fails
	return 100 * float64(sum.Load()) / float64(seeds*len(parts)*len(t.keys))
}

// judgementRows are differences of hit ratios, in points, where more is better.
func judgementRows() []*bench.Workload {
	rows := []*bench.Workload{{
		Name: "Lead/over=LRU/what=worst row", Unit: "points", Rounds: 1, Target: bench.Within(-10, 100),
		Why: "the row in which ours lies furthest behind LRU, of all traces and sizes",
		Ours: fixed(ours, "", func() float64 {
			worst := math.Inf(1)
			for _, c := range table() {
				worst = min(worst, 100*(c.ratios[0]-c.ratios[index(hashi)]))
			}
			return worst
		}),
	}}

	for _, t := range traces() {
		if t.name == "arc-oltp" {
			rows = append(rows, &bench.Workload{
				Name: "Lead/over=otter/dist=trace:" + t.name, Unit: "points", Rounds: 1, Target: bench.Within(2, 100),
				Why:  fmt.Sprintf("the mean of the sizes, and of %d runs: hashes are seeded anew in each, and otter varies by 0.3 points", seeds),
				Ours: fixed(ours, "", func() float64 { return lead(t, otterHits) }),
			})
		}
	}

	return rows
}

// memory returns the impl that measures the bytes that a cache takes for an
// entry beyond its 16 of key and value.
func memory[C any](name string, capacity int, make func() C, set func(c C, k uint64)) bench.Impl {
	return bench.Impl{Name: name, Measure: func() (float64, int) {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&before)
		c := make()
		for i := range capacity + capacity/4 {
			set(c, uint64(i))
		}

		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&after)
		runtime.KeepAlive(c)
		return float64(after.HeapAlloc-before.HeapAlloc)/float64(capacity) - 16, capacity
	}}
}

func memoryRows() []*bench.Workload {
	const n = 1 << 20
	oursMemory := func(name string, p ashlar.Policy) bench.Impl {
		return memory(name, n, func() *ashlar.Cache[uint64, uint64] {
			return ashlar.New(n, &ashlar.Options[uint64, uint64]{Policy: p})
		}, func(c *ashlar.Cache[uint64, uint64], k uint64) { c.Set(k, k) })
	}

	return []*bench.Workload{
		{
			Name: "Memory/type=Cache/keys=uint64/n=1Mi", Unit: "bytes/entry", Rounds: 1, Target: bench.AtMost(35),
			Why:  "a full cache of 2^20 entries of 16 bytes, after as many evictions as fill a quarter of it; the 16 are not counted",
			Ours: oursMemory(ours, ashlar.PolicyTinyLFU),
			Peers: []bench.Impl{
				oursMemory("ours LRU", ashlar.PolicyLRU),
				memory(otr, n, func() *otter.Cache[uint64, uint64] {
					return otter.Must(&otter.Options[uint64, uint64]{MaximumSize: n, Executor: func(f func()) { f() }})
				}, func(c *otter.Cache[uint64, uint64], k uint64) { c.Set(k, k) }),
				memory(hashi, n, func() *lru.Cache[uint64, uint64] {
					c, _ := lru.New[uint64, uint64](n)
					return c
				}, func(c *lru.Cache[uint64, uint64], k uint64) { c.Add(k, k) }),
				memory("theine", n, func() *theine.Cache[uint64, uint64] {
					c, _ := theine.NewBuilder[uint64, uint64](n).Build()
					return c
				}, func(c *theine.Cache[uint64, uint64], k uint64) { c.Set(k, k, 1) }),
			},
		},
		{
			Name: "Memory/type=LRU/keys=uint64/n=1Mi", Unit: "bytes/entry", Rounds: 1, Target: bench.AtMost(16), Why: "the same for an LRU under the caller's lock",
			Ours: memory(ours, n, func() *ashlar.Exact[uint64, uint64] { return ashlar.NewLRU[uint64, uint64](n) },
				func(c *ashlar.Exact[uint64, uint64], k uint64) { c.Set(k, k) }),
			Peers: []bench.Impl{memory("simplelru", n, func() *simplelru.LRU[uint64, uint64] {
				c, _ := simplelru.NewLRU[uint64, uint64](n, nil)
				return c
			}, func(c *simplelru.LRU[uint64, uint64], k uint64) { c.Add(k, k) })},
		},
	}
}
