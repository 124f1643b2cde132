// SPDX-License-Identifier: MIT

package skiplist

import (
	"fmt"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
	"github.com/ashlar-go/ashlar/skiplist"
)

// study is the origin of targets that the prototype of the study reached.
const study = "a prototype"

// Workloads returns the rows of the comparison.
func Workloads() []*bench.Workload {
	var rows []*bench.Workload
	for i, n := range []int{1e3, 1e5, 1e6} {
		rows = append(rows, mapRows("int", n, numbers, []float64{0.55, 0.55, 0.55}[i], oursStore[int64], tidwallStore[int64], googleStore[int64], btreemapStore[int64], builtinStore[int64], sliceStore[int64])...)
		rows = append(rows, mapRows("string", n, texts, 0.5, oursStore[string], tidwallStore[string], googleStore[string], btreemapStore[string], builtinStore[string], sliceStore[string])...)
	}
	rows = append(rows, buildRows()...)
	rows = append(rows, concurrentRows()...)
	return append(rows, otherRows()...)
}

// mapRows returns the rows of maps of n keys of one kind.
func mapRows[K any](kind string, n int, all func(n int) data[K], get float64, own, tidwall, google, radu, builtin, slice func() store[K]) []*bench.Workload {
	d := func() data[K] { return all(n) }
	axes := fmt.Sprintf("/keys=%s/n=%d", kind, n)
	row := func(name, why string, target bench.Target, floors []func() store[K], op func(s store[K], d data[K]) bench.Op, peers ...bench.Impl) *bench.Workload {
		w := &bench.Workload{
			Name: name + axes, Why: why, Versus: tid, Target: target, Origin: study, Expect: bench.Granted,
			Ours: impl(ours, own, d, op), Peers: peers,
		}
		for i, f := range floors {
			w.Floors = append(w.Floors, impl([]string{"floor"}[i], f, d, op))
		}
		return w
	}

	getOp := func(s store[K], d data[K]) bench.Op {
		return func(start, n int) int { return s.get(d.probes, start, n) }
	}
	changeOp := func(s store[K], d data[K]) bench.Op {
		return func(start, n int) int { return s.change(d.probes, start, n) }
	}
	scanOp := func(s store[K], _ data[K]) bench.Op { return func(_, n int) int { return s.scan(n) } }
	rows := []*bench.Workload{
		row("Get", "random keys that are there; the floor is the builtin map, which has no order", bench.Ratio(get), []func() store[K]{builtin}, getOp,
			impl(tid, tidwall, d, getOp), impl(goog, google, d, getOp), impl("btreemap", radu, d, getOp)),
		row("Delete+Set", "a random key is deleted, and inserted again", bench.Ratio(0.9), nil, changeOp,
			impl(tid, tidwall, d, changeOp), impl(goog, google, d, changeOp), impl("btreemap", radu, d, changeOp)),
	}
	if kind == "int" {
		rows = append(rows, row("All", "an entry of a loop over all; ours permits changes meanwhile; the floor is a slice", bench.Ratio(0.3), []func() store[K]{slice}, scanOp,
			impl(tid, tidwall, d, scanOp), impl(goog, google, d, scanOp), impl("btreemap", radu, d, scanOp)))
	}
	if own, ok := any(d).(func() data[int64]); ok && n == 1e5 {
		addLists(rows, own)
	}
	if kind == "int" && n >= 1e5 {
		nthOp := func(s store[K], d data[K]) bench.Op {
			return func(start, n int) int { return s.nth(start, n, len(d.keys)) }
		}
		cloneOp := func(s store[K], d data[K]) bench.Op {
			return func(start, n int) int { return s.clone(d.probes, start, n) }
		}
		rows = append(rows,
			row("Nth", "the entry of a random rank", bench.Ratio(0.9), nil, nthOp, impl(tid, tidwall, d, nthOp)),
			row("Clone+Set", "a copy, and one change of it", bench.Ratio(1), nil, cloneOp, impl(tid, tidwall, d, cloneOp), impl(goog, google, d, cloneOp)))
	}
	return rows
}

// addLists adds, to the rows of a map of ints, the libraries that keep keys and
// values in interfaces: a skip list with a node for each key, one with
// positions, and a red-black tree.
func addLists(rows []*bench.Workload, d func() data[int64]) {
	ops := []func(s store[int64], d data[int64]) bench.Op{
		func(s store[int64], d data[int64]) bench.Op {
			return func(start, n int) int { return s.get(d.probes, start, n) }
		},
		func(s store[int64], d data[int64]) bench.Op {
			return func(start, n int) int { return s.change(d.probes, start, n) }
		},
		func(s store[int64], _ data[int64]) bench.Op { return func(_, n int) int { return s.scan(n) } },
	}
	for i, row := range rows {
		row.Peers = append(row.Peers,
			impl(huanduName, huanduStore, d, ops[i]), impl(workivaName, workivaStore, d, ops[i]), impl(godsName, godsStore, d, ops[i]))
	}
}

// buildRows returns the rows of maps that are filled from nothing, an entry.
func buildRows() []*bench.Workload {
	const n = 1e5
	build := func(name string, make func() store[int64], ascending bool) bench.Impl {
		return bench.Impl{Name: name, Setup: func(func(func())) bench.Op {
			keys := numbers(n).keys
			if ascending {
				keys = ascendingKeys(n)
			}
			s := make()
			at := 0
			return func(_, ops int) int {
				for left := ops; left > 0; {
					if at == n {
						s = make()
						at = 0
					}
					k := min(left, n-at)
					s.set(keys[at : at+k])
					at += k
					left -= k
				}
				return ops
			}
		}}
	}

	return []*bench.Workload{
		{
			Name: "Set/order=random/n=100000", Why: "a map that grows from nothing to n, an entry", Versus: tid, Target: bench.Ratio(0.75), Origin: study, Expect: bench.Granted,
			Ours:  build(ours, oursStore[int64], false),
			Peers: []bench.Impl{build(tid, tidwallStore[int64], false), build(goog, googleStore[int64], false), build("btreemap", btreemapStore[int64], false)},
		},
		{
			Name: "Set/order=ascending/n=100000", Why: "the same with keys in order; Load of tidwall/btree is its way for that, and not used here, since its caller must know", Versus: tid,
			Target: bench.Ratio(0.3), Origin: study, Expect: bench.Granted,
			Ours:  build(ours, oursStore[int64], true),
			Peers: []bench.Impl{build(tid, tidwallStore[int64], true), build(goog, googleStore[int64], true), build("btreemap", btreemapStore[int64], true)},
		},
	}
}

func ascendingKeys(n int) []int64 {
	keys := make([]int64, n)
	for i := range keys {
		keys[i] = int64(i)
	}
	return keys
}

func otherRows() []*bench.Workload {
	const n = 1e5
	pop := func(name string, make func(d data[int64]) func(start, n int) int) bench.Impl {
		return bench.Impl{Name: name, Setup: func(func(func())) bench.Op { return make(numbers(n)) }}
	}
	incr := func(r ranking) func([]string, int, int) int { return r.incr }
	rank := func(r ranking) func([]string, int, int) int { return r.rank }
	rows := []*bench.Workload{
		{
			Name: "PopMin+Set/n=100000", Why: "a queue of n events: the first is taken, and set again for later; a heap cannot change or find an event", Versus: tid,
			Target: bench.Ratio(1), Expect: bench.Granted, Ours: pop(ours, oursPop),
			Peers: []bench.Impl{pop(tid, tidwallPop)}, Floors: []bench.Impl{pop("container/heap", heapPop)},
		},
		{
			Name: "Incr/members=string/n=100000", Why: "100 more for a random member; its lock is free of contention", Target: bench.Ratio(0.4), Origin: study, Expect: bench.Granted,
			Ours: rankImpl(ours, n, oursRanking, incr), Peers: []bench.Impl{rankImpl(byted, n, zsetRanking, incr)},
		},
		{
			Name: "Index/members=string/n=100000", Why: "the rank of a random member; its lock is free of contention", Target: bench.Ratio(0.4), Origin: study, Expect: bench.Granted,
			Ours: rankImpl(ours, n, oursRanking, rank), Peers: []bench.Impl{rankImpl(byted, n, zsetRanking, rank)},
		},
	}
	return append(rows, memoryRow())
}

// memoryRow compares the bytes of an entry.
func memoryRow() *bench.Workload {
	const n = 1e6
	measure := func(name string, fill func(keys []int64) any) bench.Impl {
		return bench.Impl{Name: name, Measure: func() (float64, int) {
			keys := numbers(n).keys
			return bench.HeapPerKey(func(func(func())) (any, int) { return fill(keys), n })
		}}
	}
	return &bench.Workload{
		Name: "Memory/keys=int/n=1000000", Why: "8-byte keys and values in random order", Unit: "bytes/entry", Rounds: 1, Target: bench.Ratio(1),
		Ours: measure(ours, func(keys []int64) any {
			m := skiplist.NewMap[int64, int]()
			for i, key := range keys {
				m.Set(key, i)
			}
			return m
		}),
		Peers: []bench.Impl{
			measure(tid, func(keys []int64) any { s := tidwallStore[int64](); s.set(keys); return s }),
			measure(goog, func(keys []int64) any { s := googleStore[int64](); s.set(keys); return s }),
		},
	}
}
