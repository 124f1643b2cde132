// SPDX-License-Identifier: MIT

package lru

import (
	"container/heap"

	"github.com/hashicorp/golang-lru/arc/v2"
	"github.com/hashicorp/golang-lru/v2"
	"github.com/maypok86/otter/v2"

	ashlar "github.com/ashlar-go/ashlar/lru"
)

// A simulation counts the hits of a cache of the given capacity that is asked
// for each key, and given it if it has it not.
type simulation func(capacity int, keys []uint64) (hits int)

// replay is the loop of all simulations but OPT.
func replay(keys []uint64, get func(uint64) bool, set func(uint64)) (hits int) {
	for _, k := range keys {
		if get(k) {
			hits++
		} else {
			set(k)
		}
	}
	return hits
}

// oursHits has one shard, as the others have, so that it is the policy that is
// compared.
func oursHits(p ashlar.Policy) simulation {
	return func(capacity int, keys []uint64) int {
		c := ashlar.New(capacity, &ashlar.Options[uint64, struct{}]{Policy: p, Shards: 1})
		hits := replay(keys, func(k uint64) bool { _, ok := c.Get(k); return ok }, func(k uint64) { c.Set(k, struct{}{}) })
		if c.Len() > capacity {
			panic("lru: ours is over its capacity")
		}
		return hits
	}
}

// otterHits runs its maintenance in the calling goroutine: by default it runs
// behind, and the cache holds more than it may meanwhile, which looks like a
// better policy.
func otterHits(capacity int, keys []uint64) int {
	c := otter.Must(&otter.Options[uint64, struct{}]{MaximumSize: capacity, Executor: func(f func()) { f() }})
	over := 0
	hits := replay(keys, func(k uint64) bool { _, ok := c.GetIfPresent(k); return ok }, func(k uint64) {
		c.Set(k, struct{}{})
		over = max(over, c.EstimatedSize()-capacity)
	})
	if over > capacity/100+64 {
		panic("lru: otter holds too much to be compared")
	}
	return hits
}

func hashicorpHits(capacity int, keys []uint64) int {
	c, err := lru.New[uint64, struct{}](capacity)
	if err != nil {
		panic(err)
	}
	return replay(keys, func(k uint64) bool { _, ok := c.Get(k); return ok }, func(k uint64) { c.Add(k, struct{}{}) })
}

func twoQueueHits(capacity int, keys []uint64) int {
	c, err := lru.New2Q[uint64, struct{}](capacity)
	if err != nil {
		panic(err)
	}
	return replay(keys, func(k uint64) bool { _, ok := c.Get(k); return ok }, func(k uint64) { c.Add(k, struct{}{}) })
}

func arcHits(capacity int, keys []uint64) int {
	c, err := arc.NewARC[uint64, struct{}](capacity)
	if err != nil {
		panic(err)
	}
	return replay(keys, func(k uint64) bool { _, ok := c.Get(k); return ok }, func(k uint64) { c.Add(k, struct{}{}) })
}

// s3fifoHits is the algorithm of J. Yang and others, "FIFO queues are all you
// need for cache eviction", SOSP 2023, written from the paper, since no module
// of it can be had: a small queue of a tenth, a main queue with up to three
// further rounds, and a ghost queue of as many keys as the main queue has room
// for.
func s3fifoHits(capacity int, keys []uint64) (hits int) {
	s := &s3fifo{small: max(capacity/10, 1), capacity: capacity, freq: make(map[uint64]int8), ghost: make(map[uint64]int)}
	return replay(keys, s.get, s.set)
}

type s3fifo struct {
	small, capacity int
	freq            map[uint64]int8 // of the keys held
	s, m            []uint64        // queues, oldest first
	ghost           map[uint64]int  // turn in which a key came there
	ghosts          []uint64
	turn            int
}

func (c *s3fifo) get(k uint64) bool {
	f, ok := c.freq[k]
	if ok && f < 3 {
		c.freq[k] = f + 1
	}
	return ok
}

func (c *s3fifo) set(k uint64) {
	for len(c.s)+len(c.m) >= c.capacity {
		c.evict()
	}
	c.freq[k] = 0
	if _, ok := c.ghost[k]; ok {
		delete(c.ghost, k)
		c.m = append(c.m, k)
		return
	}
	c.s = append(c.s, k)
}

func (c *s3fifo) evict() {
	if len(c.s) < c.small && len(c.m) > 0 {
		c.evictMain()
		return
	}
	for len(c.s) > 0 {
		k := c.s[0]
		c.s = c.s[1:]
		if c.freq[k] > 1 {
			c.freq[k] = 0
			c.m = append(c.m, k)
			if len(c.m) >= c.capacity-c.small {
				c.evictMain()
				if len(c.s)+len(c.m) < c.capacity {
					return
				}
			}
			continue
		}

		delete(c.freq, k)
		c.remember(k)
		return
	}

	c.evictMain()
}

func (c *s3fifo) evictMain() {
	for len(c.m) > 0 {
		k := c.m[0]
		c.m = c.m[1:]
		if f := c.freq[k]; f > 0 {
			c.freq[k] = f - 1
			c.m = append(c.m, k)
			continue
		}
		delete(c.freq, k)
		return
	}
}

func (c *s3fifo) remember(k uint64) {
	c.turn++
	c.ghost[k] = c.turn
	c.ghosts = append(c.ghosts, k)
	for len(c.ghosts) > c.capacity-c.small {
		old := c.ghosts[0]
		c.ghosts = c.ghosts[1:]
		if c.ghost[old] <= c.turn-(c.capacity-c.small) {
			delete(c.ghost, old)
		}
	}
}

// optHits is the most that any policy can reach that knows the future: L.
// Belady, "A study of replacement algorithms for a virtual-storage computer",
// IBM Systems Journal 5(2), 1966, with the right not to keep a key.
func optHits(capacity int, keys []uint64) (hits int) {
	next := make([]int, len(keys))
	last := make(map[uint64]int)
	for i := len(keys) - 1; i >= 0; i-- {
		next[i] = len(keys) + 1 // never again
		if j, ok := last[keys[i]]; ok {
			next[i] = j
		}
		last[keys[i]] = i
	}

	held := make(map[uint64]int) // when the key is due
	var q futures
	for i, k := range keys {
		if _, ok := held[k]; ok {
			hits++
		}
		delete(held, k)
		if next[i] > len(keys) {
			continue // it is of no use any more
		}

		held[k] = next[i]
		heap.Push(&q, future{next[i], k})
		for len(held) > capacity {
			f := heap.Pop(&q).(future)
			if held[f.key] == f.at {
				delete(held, f.key)
			}
		}
	}

	return hits
}

// A future is when a key is asked for next.
type future struct {
	at  int
	key uint64
}

// futures is a heap with the most distant on top.
type futures []future

func (q futures) Len() int           { return len(q) }
func (q futures) Less(i, j int) bool { return q[i].at > q[j].at }
func (q futures) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *futures) Push(x any)        { *q = append(*q, x.(future)) }
func (q *futures) Pop() any {
	last := len(*q) - 1
	x := (*q)[last]
	*q = (*q)[:last]
	return x
}
