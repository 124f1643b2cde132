// SPDX-License-Identifier: MIT

package lru

import (
	"math"
	"time"
)

// A shard is a part of a cache with a lock of its own.
type shard[K comparable, V any] struct {
	mu biasedLock // protects all of it

	contents[K, V]
	target int    // slots it will need at most, as far as is known; or 0
	writes uint64 // values that were stored
	now    int64  // the latest reading seen

	flights     map[K]*flight[K, V]
	deletions   uint64            // calls of DeleteTag
	deletedTags map[string]uint64 // the last deletion by tag, while a flight began before it
	pruneAt     int               // how many tags deletedTags holds when it is next pruned

	outbox    []removal[K, V] // to be reported, in order
	reporting bool            // a goroutine is calling OnRemove for this shard

	counters
	_ [56]byte // keeps hits and misses off the cache line of the next shard's lock
}

// The contents of a shard are its entries with all that belongs to them. Clear
// replaces them as a whole. Columns have one element for each slot, and are
// made when they are first needed.
type contents[K comparable, V any] struct {
	slab[K, V]
	queues

	costByRank [4]int64 // of entries by priority + 1, and of pinned ones
	costs      []int64  // nil while all are 1

	deadlines deadlines // when entries expire
	hard      []int64   // with Idle: when they expire by their TTL
	born      []int64   // with TrackAge: when they were set

	tags      [][]tagRef
	tagged    map[string]*tagSet
	givenTags map[uint32][]string // of entries whose tags were given by SetAttr

	hidden   int                // entries that only Load may see
	failures map[uint32]failure // the last load of an entry, if it failed
}

// renewLocked makes the shard empty, without memory.
func (sh *shard[K, V]) renewLocked() {
	sh.contents = contents[K, V]{queues: queues{policy: sh.policy, rng: sh.rng}}
}

// advanceLocked moves the clock of the shard to now, but not back, and returns
// it.
func (sh *shard[K, V]) advanceLocked(now int64) int64 {
	sh.now = max(sh.now, now)
	return sh.now
}

// growLocked makes the slab larger: twice, until the expected size is reached,
// and then by an eighth.
func (sh *shard[K, V]) growLocked() {
	n := max(sh.used, 4)
	switch {
	case sh.target == 0 || 2*n <= sh.target:
		n *= 2
	case n < sh.target:
		n = sh.target
	default:
		n += n/8 + 1
	}
	n = min(n, maxSlots)

	// Every table that is made grows with the slab.
	sh.slab.extend(n, sh.hashOf)
	sh.queues.extend(n, sh.slab.links)
	if sh.costs != nil {
		sh.makeCosts()
	}
	if sh.deadlines.at != nil {
		sh.deadlines.extend(n)
	}
	sh.hard = extendedIfMade(sh.hard, n)
	sh.born = extendedIfMade(sh.born, n)
	sh.tags = extendedIfMade(sh.tags, n)
}

// extendedIfMade returns column with room for n slots, or nil if it is nil.
func extendedIfMade[T any](column []T, n int) []T {
	if column == nil {
		return nil
	}
	return extended(column, n)
}

// ensured returns column, or a new one with room for n slots if it is nil.
func ensured[T any](column []T, n int) []T {
	if column == nil {
		return make([]T, n+1)
	}
	return column
}

// makeCosts makes the costs of entries explicit.
func (sh *contents[K, V]) makeCosts() {
	old := len(sh.costs)
	sh.costs = extended(sh.costs, sh.slots())
	for s := old; s < len(sh.costs); s++ {
		sh.costs[s] = 1
	}
}

// cost returns the cost of s, or 0 if s is 0.
func (sh *contents[K, V]) cost(s uint32) int64 {
	switch {
	case s == 0:
		return 0
	case sh.costs == nil:
		return 1
	}
	return sh.costs[s]
}

func (sh *contents[K, V]) setCost(s uint32, cost int64) {
	if sh.costs == nil {
		if cost == 1 {
			return
		}
		sh.makeCosts()
	}
	sh.costs[s] = cost
}

func (sh *contents[K, V]) setDeadline(s uint32, t int64) {
	if sh.deadlines.at == nil {
		if t == never {
			return
		}
		sh.deadlines.extend(sh.slots())
	}
	sh.deadlines.set(s, t)
}

// addLocked takes a slot for key. It is in the index, but in no queue yet. The
// policy keeps the count of a key that was announced.
func (sh *shard[K, V]) addLocked(key K, hash uint32, announced bool) uint32 {
	if sh.isFull() {
		sh.growLocked()
		if announced && sh.policy == PolicyTinyLFU {
			sh.sketch.add(hash) // the new sketch has only entries of the slab
		}
	}
	s := sh.alloc(hash, key)
	sh.meta[s] = meta{hash, inUse}
	sh.costByRank[0] += sh.cost(s)
	return s
}

// freeLocked frees slot s with all that belongs to it.
func (sh *shard[K, V]) freeLocked(s uint32) {
	m := sh.meta[s]
	sh.costByRank[m.rank()] -= sh.cost(s)
	if m.flags&hidden != 0 {
		sh.hidden--
	}
	delete(sh.failures, s)

	// The slot is as new when it is allocated again.
	sh.queues.unlink(s)
	sh.setDeadline(s, never)
	sh.setTags(s, nil)
	delete(sh.givenTags, s)
	sh.setCost(s, 1)
	sh.meta[s] = meta{}
	sh.release(m.hash, s, sh.hashOf)
}

// hashOf returns the hash of the key of slot s.
func (sh *contents[K, V]) hashOf(s uint32) uint32 { return sh.meta[s].hash }

// totalCost returns the sum of the costs of all entries.
func (sh *contents[K, V]) totalCost() (sum int64) {
	for _, cost := range sh.costByRank {
		sum += cost
	}
	return sum
}

// protectedCost returns the cost of entries that must not be evicted for an
// entry of class: pinned ones, and those of a higher priority.
func (sh *contents[K, V]) protectedCost(class int) (sum int64) {
	for _, cost := range sh.costByRank[class+1:] {
		sum += cost
	}
	return sum
}

// gone reports whether s is absent at now for all methods but Load.
func (sh *contents[K, V]) gone(s uint32, now int64) bool {
	return sh.meta[s].flags&hidden != 0 || sh.deadlines.due(s, now)
}

// isStale reports whether s has expired, but may still be returned by Load if a
// load fails: for the time keep after its deadline.
func (sh *contents[K, V]) isStale(s uint32, now int64, keep time.Duration) bool {
	switch {
	case sh.failures[s].bare:
		return false
	case sh.meta[s].flags&hidden != 0:
		return !sh.deadlines.due(s, now)
	}
	return sh.deadlines.due(s, now) && after(sh.deadlines.at[s], keep) > now
}

// hide makes s absent for all methods but Load.
func (sh *contents[K, V]) hide(s uint32) {
	sh.meta[s].flags |= hidden
	sh.hidden++
}

// A failure is the last load of an entry, if it failed.
type failure struct {
	err   error
	until int64         // no load is tried before; of a bare one, its deadline tells
	wait  time.Duration // from the failure to until, unless ErrorTTL says more
	bare  bool          // the entry has no value: only the error is remembered
}

// setFailure remembers f of s.
func (sh *contents[K, V]) setFailure(s uint32, f failure) {
	if sh.failures == nil {
		sh.failures = map[uint32]failure{}
	}
	sh.failures[s] = f
}

// saturated returns a + b, or the nearest number that 64 bits hold.
func saturated(a, b int64) int64 {
	sum := a + b
	switch {
	case b > 0 && sum < a:
		return math.MaxInt64
	case b < 0 && sum > a:
		return math.MinInt64
	}
	return sum
}
