// SPDX-License-Identifier: MIT

package skiplist

import (
	"flag"
	"sync"
	"sync/atomic"
	"time"
)

var linearTime = flag.Duration("linear", 200*time.Millisecond, "how long each linearizability test runs")

// An event is one completed operation of a concurrent history.
// Call and ret order it: a precedes b if a.ret < b.call.
type event[I, O any] struct {
	call, ret int64
	in        I
	out       O
}

// linearizable reports whether some sequential order of h, respecting
// precedence, makes step accept every event, starting from state s. It is the
// search of Wing and Gong (1993) with the memoization of Lowe (2017). len(h) is
// at most 64.
func linearizable[S comparable, I, O any](s S, h []event[I, O], step func(S, I, O) (S, bool)) bool {
	type node struct {
		done  uint64
		state S
	}
	seen := map[node]bool{}

	var search func(n node) bool
	search = func(n node) bool {
		if n.done == 1<<len(h)-1 {
			return true
		}
		if seen[n] {
			return false
		}
		seen[n] = true

		// An event may come next if no pending one returned before its call.
		first := int64(1<<63 - 1) // the earliest return among pending events
		for i, e := range h {
			if n.done>>i&1 == 0 {
				first = min(first, e.ret)
			}
		}
		for i, e := range h {
			if n.done>>i&1 == 1 || e.call > first {
				continue
			}
			if next, ok := step(n.state, e.in, e.out); ok && search(node{n.done | 1<<i, next}) {
				return true
			}
		}
		return false
	}
	return search(node{0, s})
}

// record runs do on procs goroutines, ops times each, and returns the history.
func record[I, O any](procs, ops int, input func(proc, op int) I, do func(I) O) []event[I, O] {
	var clock atomic.Int64
	h := make([]event[I, O], procs*ops)
	var wg sync.WaitGroup
	for p := range procs {
		wg.Go(func() {
			for i := range ops {
				e := &h[p*ops+i]
				e.in = input(p, i)
				e.call = clock.Add(1)
				e.out = do(e.in)
				e.ret = clock.Add(1)
			}
		})
	}
	wg.Wait()
	return h
}
