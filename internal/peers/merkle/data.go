// SPDX-License-Identifier: MIT

// Package merkle compares the merkle package with other people's trees and
// reconciliations.
package merkle

import (
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
)

const ours = "ours"

// leafLen is the length of a leaf: a hash of a record, or a short record.
const leafLen = 32

// leaves returns n leaves of leafLen bytes. They are shared: nobody changes
// them.
var leaves = memo(func(n int) [][]byte {
	list := make([][]byte, n)
	all := make([]byte, leafLen*n)
	for i := range list {
		list[i] = all[leafLen*i : leafLen*(i+1) : leafLen*(i+1)]
		binary.LittleEndian.PutUint64(list[i], uint64(i)*0x9e3779b97f4a7c15)
	}
	return list
})

// memo returns f, which keeps the last result: data sets are large.
func memo[T any](f func(n int) T) func(n int) T {
	var mu sync.Mutex
	var last T
	size := -1
	return func(n int) T {
		mu.Lock()
		defer mu.Unlock()
		if n != size {
			last = f(n)
			size = n
		}
		return last
	}
}

// numProbes is how many leaves are asked for in turn, a power of two.
const numProbes = 1 << 12

// probes returns the indexes of leaves of a tree of n.
func probes(n int) []int {
	rng := rand.New(rand.NewPCG(1, 2))
	list := make([]int, numProbes)
	for i := range list {
		list[i] = rng.IntN(n)
	}
	return list
}

// A tree is a tree that somebody has built.
type tree interface {
	root() []byte
}

// building returns the time that build takes for a leaf of n, on so many
// processors. Small trees are built as often as makes a sample long enough.
func building(name, note string, n, procs int, build func(leaves [][]byte, procs int) tree) bench.Impl {
	return bench.Impl{Name: name, Note: note, Measure: func() (float64, int) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
		list := leaves(n)
		runtime.GC() // nobody pays for what another has left

		times := max(1, 1<<16/n)
		start := time.Now()
		for range times {
			runtime.KeepAlive(build(list, procs))
		}
		return float64(time.Since(start).Nanoseconds()) / float64(times*n), times * n
	}}
}

// timed is an implementation of an operation on a tree of n leaves.
func timed(name string, n int, setup func(leaves [][]byte) bench.Op) bench.Impl {
	return bench.Impl{Name: name, Setup: func(func(func())) bench.Op { return setup(leaves(n)) }}
}

// each returns the Op that calls f with the number of a probe, and counts where
// it succeeds.
func each(f func(i int) bool) bench.Op {
	return func(start, n int) (ok int) {
		for i := start; i < start+n; i++ {
			if f(i & (numProbes - 1)) {
				ok++
			}
		}
		return ok
	}
}
