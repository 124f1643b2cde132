// SPDX-License-Identifier: MIT

// Package skiplist compares the skiplist package with other people's ordered
// maps.
package skiplist

import (
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
	"github.com/ashlar-go/ashlar/skiplist"
)

const ours = "ours"

// numProbes is how many keys are asked for in turn: so many that the branches
// are not learnt by heart.
const numProbes = 1 << 20

// A data set is keys in random order, and questions for them.
type data[K any] struct{ keys, probes []K }

func newData[K any](n int, key func(rng *rand.Rand) K) data[K] {
	rng := rand.New(rand.NewPCG(1, 2))
	d := data[K]{make([]K, n), make([]K, numProbes)}
	for i := range d.keys {
		d.keys[i] = key(rng)
	}
	for i := range d.probes {
		d.probes[i] = d.keys[rng.IntN(n)]
	}
	return d
}

// numbers and texts are the data sets of n keys. Texts have 21 bytes, of which
// all share the first five.
var (
	numbers = memo(func(n int) data[int64] { return newData(n, (*rand.Rand).Int64) })
	texts   = memo(func(n int) data[string] {
		return newData(n, func(rng *rand.Rand) string { return fmt.Sprintf("user:%016x", rng.Uint64()) })
	})
)

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

// A store is one ordered map from K to int, as loops that its owner wrote: a
// call through a function for each operation would cost both sides the same.
type store[K any] struct {
	set    func(keys []K)
	get    func(probes []K, start, n int) (found int)
	change func(probes []K, start, n int) (done int) // deletes a key and inserts it again
	scan   func(n int) (visited int)                 // in order, again from the first
	nth    func(start, n, size int) (found int)
	clone  func(probes []K, start, n int) (done int) // copies the map, and changes the copy
	pop    func(start, n int) (done int)             // takes the first key, and inserts another
}

// sum keeps the compiler from dropping a loop. A loop adds up in a variable of
// its own first: to write to memory at each step would take longer than a step.
var sum int

func oursStore[K int64 | string]() store[K] {
	m := skiplist.NewMap[K, int]()

	return store[K]{
		set: func(keys []K) {
			for i, key := range keys {
				m.Set(key, i)
			}
		},
		get: func(probes []K, start, n int) (found int) {
			for i := start; i < start+n; i++ {
				if _, ok := m.Get(probes[i&(numProbes-1)]); ok {
					found++
				}
			}
			return found
		},
		change: func(probes []K, start, n int) (done int) {
			for i := start; i < start+n; i++ {
				key := probes[i&(numProbes-1)]
				m.Delete(key)
				if _, added := m.Set(key, i); added {
					done++
				}
			}
			return done
		},
		scan: func(n int) (visited int) {
			total := 0
			for visited < n {
				for _, value := range m.All() {
					total += value
					if visited++; visited == n {
						break
					}
				}
			}
			sum += total
			return visited
		},
		nth: func(start, n, size int) (found int) {
			for i := start; i < start+n; i++ {
				_, value := m.Nth(i * 7919 % size)
				sum += value
				found++
			}
			return found
		},
		clone: func(probes []K, start, n int) (done int) {
			for i := start; i < start+n; i++ {
				c := m.Clone()
				if _, added := c.Set(probes[i&(numProbes-1)], i); !added {
					done++
				}
			}
			return done
		},
	}
}

// oursPop is the queue of the pop rows.
func oursPop(d data[int64]) func(start, n int) int {
	m := skiplist.NewMap[int64, int]()
	for i, key := range d.keys {
		m.Set(key, i)
	}
	return func(start, n int) (done int) {
		for i := start; i < start+n; i++ {
			key, value, ok := m.PopMin()
			m.Set(key+d.probes[i&(numProbes-1)]>>20&(1<<40-1)+1, value)
			if ok {
				done++
			}
		}
		return done
	}
}

// impl returns the impl of a store that is filled with the keys of d.
func impl[K any](name string, make func() store[K], d func() data[K], op func(s store[K], d data[K]) bench.Op) bench.Impl {
	return bench.Impl{Name: name, Setup: func(func(func())) bench.Op {
		s := make()
		all := d()
		s.set(all.keys)
		return op(s, all)
	}}
}
