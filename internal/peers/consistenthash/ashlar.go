// SPDX-License-Identifier: MIT

// Package consistenthash compares the consistenthash package with other
// people's.
package consistenthash

import (
	"fmt"
	"slices"
	"sync"

	"github.com/ashlar-go/ashlar/consistenthash"
	"github.com/ashlar-go/ashlar/internal/peers/bench"
)

const ours = "ours"

// names returns the addresses of n servers, as they look in most clusters.
func names(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("10.0.%d.%d:8080", i/250, i%250)
	}
	return all
}

func nodes(n int) []consistenthash.Node {
	all := make([]consistenthash.Node, n)
	for i, name := range names(n) {
		all[i].Name = name
	}
	return all
}

// numKeys is how many keys are asked for in turn: enough that the branches are
// not learnt by heart.
const numKeys = 1 << 16

var keys = sync.OnceValue(func() []string { return bench.Names(numKeys) })

// key returns the key of operation i.
func key(all []string, i int) string { return all[i&(numKeys-1)] }

func oursRing(n int) *consistenthash.Ring {
	ring := new(consistenthash.Ring)
	must(ring.Set(nodes(n)...))
	return ring
}

func must(err error) {
	if err != nil {
		panic(err) // the adapters are wrong
	}
}

func oursGet(n int) bench.Impl {
	return bench.Impl{Name: ours, Setup: func(func(func())) bench.Op {
		ring, all := oursRing(n), keys()
		return func(start, n int) (found int) {
			for i := start; i < start+n; i++ {
				if _, ok := ring.Get(key(all, i)); ok {
					found++
				}
			}
			return found
		}
	}}
}

// oursOwner is the lookup of a hash that the caller has.
func oursOwner(n int) bench.Impl {
	return bench.Impl{Name: ours, Setup: func(func(func())) bench.Op {
		s, h := oursRing(n).Snapshot(), hashes()
		return func(start, n int) (found int) {
			for i := start; i < start+n; i++ {
				if s.Owner(h[i&(numKeys-1)]) >= 0 {
					found++
				}
			}
			return found
		}
	}}
}

// hashes returns the positions of the keys.
var hashes = sync.OnceValue(func() []uint64 {
	s, all := oursRing(1).Snapshot(), keys()
	h := make([]uint64, numKeys)
	for i, k := range all {
		h[i] = s.Hash(k)
	}
	return h
})

// searched is the textbook's lookup in the same points: a binary search.
func searched(n int) bench.Impl {
	return bench.Impl{Name: "slices.BinarySearch", Setup: func(func(func())) bench.Op {
		var ends []uint64
		for r := range oursRing(n).Snapshot().Ranges() {
			ends = append(ends, r.Last)
		}
		h := hashes()
		return func(start, n int) (found int) {
			for i := start; i < start+n; i++ {
				if j, _ := slices.BinarySearch(ends, h[i&(numKeys-1)]); j < len(ends) {
					found++
				}
			}
			return found
		}
	}}
}

// hashed is the part of a lookup that none can avoid: the hash of the key.
func hashed() bench.Impl {
	return bench.Impl{Name: "hash", Setup: func(func(func())) bench.Op {
		s, all := oursRing(1).Snapshot(), keys()
		return func(start, n int) (found int) {
			for i := start; i < start+n; i++ {
				if s.Hash(key(all, i)) != 0 {
					found++
				}
			}
			return found
		}
	}}
}

func oursAppendN(n, replicas int) bench.Impl {
	return bench.Impl{Name: ours, Setup: func(func(func())) bench.Op {
		ring, all := oursRing(n), keys()
		return func(start, n int) (found int) {
			list := make([]string, 0, replicas)
			for i := start; i < start+n; i++ {
				list = ring.AppendN(list[:0], key(all, i), replicas)
				if len(list) == replicas {
					found++
				}
			}
			return found
		}
	}}
}

func oursAcquire(n int) bench.Impl {
	return bench.Impl{Name: ours, Setup: func(func(func())) bench.Op {
		lb, all := consistenthash.NewBalancer(oursRing(n), 1.25), keys()
		return func(start, n int) (found int) {
			for i := start; i < start+n; i++ {
				if l, ok := lb.Acquire(key(all, i)); ok {
					l.Release()
					found++
				}
			}
			return found
		}
	}}
}

func oursMaglev(n int) bench.Impl {
	return bench.Impl{Name: ours, Setup: func(func(func())) bench.Op {
		m, err := consistenthash.NewMaglev(65537, nil, nodes(n)...)
		must(err)
		all := keys()
		return func(start, n int) (found int) {
			for i := start; i < start+n; i++ {
				if _, ok := m.Get(key(all, i)); ok {
					found++
				}
			}
			return found
		}
	}}
}

func oursRendezvous(n int) bench.Impl {
	return bench.Impl{Name: ours, Setup: func(func(func())) bench.Op {
		r, err := consistenthash.NewRendezvous(nil, nodes(n)...)
		must(err)
		all := keys()
		return func(start, n int) (found int) {
			for i := start; i < start+n; i++ {
				if _, ok := r.Get(key(all, i)); ok {
					found++
				}
			}
			return found
		}
	}}
}

func oursJump(name string, jump func(uint64, int) int, buckets int) bench.Impl {
	return bench.Impl{Name: name, Setup: func(func(func())) bench.Op {
		h := hashes()
		return func(start, n int) (found int) {
			for i := start; i < start+n; i++ {
				if jump(h[i&(numKeys-1)], buckets) >= 0 {
					found++
				}
			}
			return found
		}
	}}
}

func oursBuild(n int) bench.Impl {
	return bench.Impl{Name: ours, Setup: func(func(func())) bench.Op {
		all := nodes(n)
		return func(_, n int) (built int) {
			for range n {
				if _, err := consistenthash.NewSnapshot(nil, all...); err == nil {
					built++
				}
			}
			return built
		}
	}}
}

// oursAdd adds a node to a ring of n and removes it.
func oursAdd(n int) bench.Impl {
	return bench.Impl{Name: ours, Setup: func(func(func())) bench.Op {
		ring := oursRing(n)
		return func(_, n int) (added int) {
			for range n {
				if ring.Add(consistenthash.Node{Name: "new"}) == nil && ring.Remove("new") == 1 {
					added++
				}
			}
			return added
		}
	}}
}

// balance returns the impl that measures the load of the busiest node over the
// mean, of many keys.
func balance(name string, n int, get func(n int) func(key string) string) bench.Impl {
	return bench.Impl{Name: name, Measure: func() (float64, int) {
		const draws = 1 << 20
		lookup, count, most := get(n), make(map[string]int), 0
		for i := range draws {
			owner := lookup(fmt.Sprint("key", i))
			count[owner]++
			most = max(most, count[owner])
		}
		return float64(most) * float64(n) / draws, draws
	}}
}

func oursLookup(n int) func(string) string {
	ring := oursRing(n)
	return func(k string) string {
		owner, _ := ring.Get(k)
		return owner
	}
}

// moved returns the impl that measures the part of the keys that move when one
// node joins n, as a multiple of the 1/(n+1) that must.
func moved(name string, n int, get func(n int) func(key string) string) bench.Impl {
	return bench.Impl{Name: name, Measure: func() (float64, int) {
		const draws = 1 << 18
		before, after, moves := get(n), get(n+1), 0
		for i := range draws {
			if k := fmt.Sprint("key", i); before(k) != after(k) {
				moves++
			}
		}
		return float64(moves) * float64(n+1) / draws, draws
	}}
}
