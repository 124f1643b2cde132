// SPDX-License-Identifier: MIT

package lru

import (
	"fmt"
	"sync"
)

// A shard is a part of a cache with a lock of its own. All of it is protected by mu.
type shard[K comparable, V any] struct {
	mu    sync.Mutex
	cells []cell[K, V] // cell 0 is not used
	index index
	queues
	free   uint32 // the first free slot; the others follow by next
	used   int    // the last slot that was ever in use
	n      int    // entries
	target int    // slots it will need at most, as far as is known; or 0
	writes uint64 // changes of what keys map to
	now    int64  // the latest reading seen

	kept [4]int64 // costs of entries by priority + 1, and of those that are pinned

	// Made when they are first needed, one for each slot.
	costs     []int64    // nil while all are 1
	deadlines deadlines  // when entries expire
	hard      []int64    // with Idle: when they would by their TTL
	born      []int64    // with TrackAge: when they were set
	tags      [][]string // of each entry
	tagged    map[string]map[uint32]struct{}

	hidden   int                // entries that are there for Load alone
	failures map[uint32]failure // by slot: what the last load said, if it failed
	flights  map[K]*flight[K, V]
	sweeps   uint64            // how often DeleteTag came by
	swept    map[string]uint64 // the last of these by tag, while a flight began before it
	sweepTo  int               // how many tags swept may hold before it is looked through

	counters
	_ [64]byte // keeps neighbors off the line of the counters
}

// advance moves the clock of the shard to now, but not back, and returns it.
func (sh *shard[K, V]) advance(now int64) int64 {
	sh.now = max(sh.now, now)
	return sh.now
}

// take returns a free slot.
func (sh *shard[K, V]) take() uint32 {
	if s := sh.free; s != 0 {
		sh.free = sh.links[s].next
		sh.links[s] = link{}
		return s
	}
	if sh.used+1 >= len(sh.cells) {
		sh.grow()
	}
	sh.used++
	return uint32(sh.used)
}

// grow makes the slab larger: twice, until what is expected to be enough, and then by an eighth.
func (sh *shard[K, V]) grow() {
	n := max(sh.used, 4)
	switch {
	case sh.target == 0 || 2*n <= sh.target:
		n *= 2
	case n < sh.target:
		n = sh.target
	default:
		n += n/8 + 1
	}
	if n = min(n, maxSlots); n == sh.used {
		panic(fmt.Sprintf("lru: more than %d entries in a shard", maxSlots))
	}
	sh.cells = append(make([]cell[K, V], 0, n+1), sh.cells...)[:n+1]
	sh.queues.grow(n)
	if sh.costs != nil {
		sh.makeCosts()
	}
	if sh.deadlines.at != nil {
		sh.deadlines.grow(n)
	}
	sh.hard, sh.born, sh.tags = resized(sh.hard, n), resized(sh.born, n), resized(sh.tags, n)
	sh.index.buckets = make([]bucket, bucketsFor(n))
	for s := 1; s <= sh.used; s++ {
		if sh.meta[s].flags&inUse != 0 {
			sh.index.insert(sh.meta[s].hash, uint32(s))
		}
	}
}

// resized returns list with room for n slots, or nil if it is nil.
func resized[T any](list []T, n int) []T {
	if list == nil {
		return nil
	}
	return append(make([]T, 0, n+1), list...)[:n+1]
}

// made returns list, or one with room for n slots if it is nil.
func made[T any](list []T, n int) []T {
	if list == nil {
		return make([]T, n+1)
	}
	return list
}

func (sh *shard[K, V]) slots() int { return len(sh.cells) - 1 }

// makeCosts makes the costs of entries explicit.
func (sh *shard[K, V]) makeCosts() {
	old := len(sh.costs)
	sh.costs = append(make([]int64, 0, len(sh.cells)), sh.costs...)[:len(sh.cells)]
	for s := old; s < len(sh.costs); s++ {
		sh.costs[s] = 1
	}
}

// cost returns the cost of s, or 0 if s is 0.
func (sh *shard[K, V]) cost(s uint32) int64 {
	switch {
	case s == 0:
		return 0
	case sh.costs == nil:
		return 1
	}
	return sh.costs[s]
}

func (sh *shard[K, V]) setCost(s uint32, cost int64) {
	if sh.costs == nil {
		if cost == 1 {
			return
		}
		sh.makeCosts()
	}
	sh.costs[s] = cost
}

func (sh *shard[K, V]) setDeadline(s uint32, t int64) {
	if sh.deadlines.at == nil {
		if t == never {
			return
		}
		sh.deadlines.grow(sh.slots())
	}
	sh.deadlines.set(s, t)
}

// setTags gives s the tags of list, or takes them away if it is nil. Equal ones count once.
func (sh *shard[K, V]) setTags(s uint32, list []string) {
	if sh.tags == nil {
		if len(list) == 0 {
			return
		}
		sh.tags = make([][]string, len(sh.cells))
		sh.tagged = map[string]map[uint32]struct{}{}
	}
	for _, tag := range sh.tags[s] {
		set := sh.tagged[tag]
		delete(set, s)
		if len(set) == 0 {
			delete(sh.tagged, tag)
		}
	}
	sh.tags[s] = list
	for _, tag := range list {
		set := sh.tagged[tag]
		if set == nil {
			set = map[uint32]struct{}{}
			sh.tagged[tag] = set
		}
		set[s] = struct{}{}
	}
}

// add takes a slot for key and puts it into the index, but in no queue yet.
func (sh *shard[K, V]) add(key K, hash uint32) uint32 {
	s := sh.take()
	sh.cells[s].key = key
	sh.meta[s] = meta{hash, sh.meta[s].flags>>versionShift<<versionShift | inUse}
	sh.index.insert(hash, s)
	sh.kept[0] += sh.cost(s)
	sh.n++
	return s
}

// drop frees the slot s.
func (sh *shard[K, V]) drop(s uint32) {
	sh.kept[sh.rank(s)] -= sh.cost(s)
	if sh.meta[s].flags&hidden != 0 {
		sh.hidden--
	}
	delete(sh.failures, s)
	sh.index.remove(sh.meta[s].hash, s)
	sh.queues.remove(s)
	sh.setDeadline(s, never)
	sh.setTags(s, nil)
	sh.setCost(s, 1)
	sh.cells[s] = cell[K, V]{} // so that the garbage collector sees what users drop
	sh.meta[s] = meta{flags: sh.meta[s].flags >> versionShift << versionShift}
	sh.links[s] = link{next: sh.free}
	sh.free = s
	sh.n--
	sh.writes++
}

// rank returns the place of s in kept.
func (sh *shard[K, V]) rank(s uint32) int {
	if m := sh.meta[s]; m.flags&pinned == 0 {
		return m.class()
	}
	return len(sh.kept) - 1
}

// version returns a number that changes with each value in slot s, modulo 2^23.
func (sh *shard[K, V]) version(s uint32) uint32 { return sh.meta[s].flags >> versionShift }
