// SPDX-License-Identifier: MIT

package lru

import (
	"fmt"
	"hash/maphash"
	"iter"
)

// A Pair is a key and its value.
type Pair[K comparable, V any] struct {
	Key   K // the key
	Value V // its value
}

// Invariants of an Exact, checked under the tag invariants after each change:
//
//	T1 every slot in 1..used is in the index under its key, in the order, and
//	   not free, or it is zero and in the free list; n counts the former.
//	T2 n <= limit, unless limit is 0.

// An Exact is a cache for one goroutine that follows its textbook to the
// letter: [NewLRU], [NewLFU] and [NewFIFO] differ in which entry they push out,
// and in nothing else. It is not safe for concurrent use, as a map is not; see
// [Cache] for one that is. The zero Exact is empty, unbounded, and ordered as
// an LRU. Once full, no method allocates but iterators, once each, and Resize.
// It must not be copied after first use.
//
// An entry is older than another if it is pushed out sooner.
type Exact[K comparable, V any] struct {
	slab    slab[K, V]
	order   order
	limit   int     // capacity; 0 means unbounded
	cursors *cursor // iterations under way
	seed    maphash.Seed
	_       noCopy
}

// noCopy lets go vet report copies, which would share their entries.
type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}

// NewLRU returns an empty cache that holds at most capacity entries, and pushes
// out the one used longest ago. It panics if capacity is less than 1 or more
// than 2^32-2.
func NewLRU[K comparable, V any](capacity int) *Exact[K, V] {
	return newExact[K, V](capacity, byRecency)
}

// NewLFU returns an empty cache that holds at most capacity entries, and pushes
// out the one used least often and, among those, longest ago. Counts do not
// age: an entry that was popular once stays, which is wrong for most traffic.
// It panics as NewLRU does.
func NewLFU[K comparable, V any](capacity int) *Exact[K, V] {
	return newExact[K, V](capacity, byFrequency)
}

// NewFIFO returns an empty cache that holds at most capacity entries, and
// pushes out the one added first, however often it is used. It panics as NewLRU
// does.
func NewFIFO[K comparable, V any](capacity int) *Exact[K, V] {
	return newExact[K, V](capacity, byInsertion)
}

func newExact[K comparable, V any](capacity int, d discipline) *Exact[K, V] {
	mustFit(capacity)
	return &Exact[K, V]{limit: capacity, order: order{discipline: d}}
}

func mustFit(capacity int) {
	if capacity < 1 || capacity > maxSlots {
		panic(fmt.Sprintf("lru: capacity must be between 1 and %d, got %d", maxSlots, capacity))
	}
}

func (c *Exact[K, V]) hash(key K) uint32 { return uint32(maphash.Comparable(c.seed, key)) }

// hashOf returns the hash of the key of slot s.
func (c *Exact[K, V]) hashOf(s uint32) uint32 { return c.hash(c.slab.cells[s].key) }

// find returns the slot of key, or 0.
func (c *Exact[K, V]) find(key K) uint32 {
	if c.slab.used == 0 {
		return 0
	}
	return c.slab.find(c.hash(key), key)
}

// Get returns the value of key, and counts as a use of it. The complexity is
// O(1).
func (c *Exact[K, V]) Get(key K) (value V, ok bool) {
	s := c.find(key)
	if s == 0 {
		return value, false
	}
	c.touch(s)
	return c.slab.cells[s].value, true
}

// Peek returns the value of key, and does not count as a use. The complexity is
// O(1).
func (c *Exact[K, V]) Peek(key K) (value V, ok bool) {
	s := c.find(key)
	if s == 0 {
		return value, false
	}
	return c.slab.cells[s].value, true
}

// Has reports whether key is there, and does not count as a use. The complexity
// is O(1).
func (c *Exact[K, V]) Has(key K) bool { return c.find(key) != 0 }

// Set stores value under key, which counts as a use, and returns the pair that
// it pushed out if c was full and did not have key. A new entry is never the
// one pushed out. A key that is not equal to itself, such as NaN, could never
// be found: the pair itself is returned as pushed out. The complexity is O(1),
// amortized while the slab grows.
func (c *Exact[K, V]) Set(key K, value V) (out Pair[K, V], evicted bool) {
	if !isReflexive(key) {
		return Pair[K, V]{key, value}, true
	}
	if c.slab.slots() == 0 {
		c.seed = maphash.MakeSeed()
	}

	// Replace the value of a key that is there.
	h := c.hash(key)
	if s := c.slab.find(h, key); s != 0 {
		c.slab.cells[s].value = value
		c.touch(s)
		return out, false
	}

	// Make room for a new one.
	if c.slab.n == c.limit && c.limit > 0 {
		out = c.takeOut(c.order.tail())
		evicted = true
	}
	if c.slab.isFull() {
		c.grow()
	}

	// There is room now.
	s := c.slab.alloc(h, key)
	c.slab.cells[s].value = value
	c.order.push(c.slab.links, s)
	if invariants && c.slab.n <= checkedLen {
		c.check()
	}
	return out, evicted
}

// grow doubles the slab, up to the capacity.
func (c *Exact[K, V]) grow() {
	n := max(8, 2*c.slab.n)
	if c.limit > 0 {
		n = min(n, c.limit)
	}
	n = min(n, maxSlots)

	c.slab.extend(n, c.hashOf)
	c.order.reserve(n)
}

// touch counts a use of slot s.
func (c *Exact[K, V]) touch(s uint32) {
	if c.cursors != nil && c.order.discipline != byInsertion {
		c.leave(s)
	}
	c.order.touch(c.slab.links, s)
}

// takeOut removes slot s and returns its entry.
func (c *Exact[K, V]) takeOut(s uint32) Pair[K, V] {
	if c.cursors != nil {
		c.leave(s)
	}

	e := c.slab.cells[s]
	c.order.unlink(c.slab.links, s)
	c.slab.release(c.hash(e.key), s, c.hashOf)
	if invariants && c.slab.n <= checkedLen {
		c.check()
	}
	return Pair[K, V]{e.key, e.value}
}

// Delete removes key and returns the value that it had. The complexity is O(1).
func (c *Exact[K, V]) Delete(key K) (value V, ok bool) {
	s := c.find(key)
	if s == 0 {
		return value, false
	}
	return c.takeOut(s).Value, true
}

// Count returns how often key was set or returned by Get, in an LFU; else 0. It
// is 0 if key is not there. The complexity is O(1).
func (c *Exact[K, V]) Count(key K) uint64 {
	s := c.find(key)
	if s == 0 || c.order.discipline != byFrequency {
		return 0
	}
	return c.order.groups.count(s)
}

// Oldest returns the entry that is pushed out next. The complexity is O(1).
func (c *Exact[K, V]) Oldest() (key K, value V, ok bool) {
	s := c.order.tail()
	if s == 0 {
		return key, value, false
	}
	return c.slab.cells[s].key, c.slab.cells[s].value, true
}

// RemoveOldest removes the entry that Oldest returns. The complexity is O(1).
func (c *Exact[K, V]) RemoveOldest() (key K, value V, ok bool) {
	s := c.order.tail()
	if s == 0 {
		return key, value, false
	}
	p := c.takeOut(s)
	return p.Key, p.Value, true
}

// Resize changes the capacity and returns the pairs that no longer fit, in the
// order in which they were pushed out. The slab does not shrink. It panics if
// capacity is less than 1 or more than 2^32-2. The complexity is O(n) where n
// is the number of pairs returned.
func (c *Exact[K, V]) Resize(capacity int) (out []Pair[K, V]) {
	mustFit(capacity)
	for c.slab.n > capacity {
		out = append(out, c.takeOut(c.order.tail()))
	}
	c.limit = capacity
	return out
}

// Len returns the number of entries.
func (c *Exact[K, V]) Len() int { return c.slab.n }

// Cap returns the capacity, or 0 if there is none.
func (c *Exact[K, V]) Cap() int { return c.limit }

// Clear removes all entries and gives the memory back. The complexity is O(1).
func (c *Exact[K, V]) Clear() {
	for p := c.cursors; p != nil; p = p.outer {
		p.at = 0
	}
	c.slab = slab[K, V]{}
	c.order = order{discipline: c.order.discipline}
}

// A cursor is an iteration under way. A method that moves or removes the slot
// which it visits next moves the cursor on first.
type cursor struct {
	at    uint32 // the slot that it visits next
	back  bool   // from the oldest to the newest
	outer *cursor
}

// leave moves the iterations on that visit s next.
func (c *Exact[K, V]) leave(s uint32) {
	for p := c.cursors; p != nil; p = p.outer {
		if p.at == s {
			p.at = c.order.following(c.slab.links, s, p.back)
		}
	}
}

// All returns an iterator over the entries from the newest to the oldest: the
// one pushed out last comes first. The loop may use c in every way: entries
// that it removes are not visited, nor are those that it adds or moves ahead of
// the iteration, and each other entry is visited once.
func (c *Exact[K, V]) All() iter.Seq2[K, V] { return c.iterate(false) }

// Backward returns an iterator like that of All in the opposite order, the next
// victim first. Entries that the loop moves ahead of the iteration are visited
// again, but it ends after as many visits as there were entries.
func (c *Exact[K, V]) Backward() iter.Seq2[K, V] { return c.iterate(true) }

// Keys returns an iterator over the keys in the order of All.
func (c *Exact[K, V]) Keys() iter.Seq[K] { return keysOf(c.All()) }

// Values returns an iterator over the values in the order of All.
func (c *Exact[K, V]) Values() iter.Seq[V] { return valuesOf(c.All()) }

func (c *Exact[K, V]) iterate(back bool) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		p := &cursor{at: c.order.head(), back: back, outer: c.cursors}
		if back {
			p.at = c.order.tail()
		}
		c.cursors = p
		defer c.forgetCursor(p)

		// The bound ends a loop whose body moves entries ahead of it.
		for range c.slab.n {
			s := p.at
			if s == 0 {
				return
			}
			p.at = c.order.following(c.slab.links, s, back)
			if e := c.slab.cells[s]; !yield(e.key, e.value) {
				return
			}
		}
	}
}

// forgetCursor removes p, which need not be the innermost: iterators can be
// pulled.
func (c *Exact[K, V]) forgetCursor(p *cursor) {
	for at := &c.cursors; *at != nil; at = &(*at).outer {
		if *at == p {
			*at = p.outer
			return
		}
	}
}

func keysOf[K, V any](seq iter.Seq2[K, V]) iter.Seq[K] {
	return func(yield func(K) bool) {
		for k := range seq {
			if !yield(k) {
				return
			}
		}
	}
}

func valuesOf[K, V any](seq iter.Seq2[K, V]) iter.Seq[V] {
	return func(yield func(V) bool) {
		for _, v := range seq {
			if !yield(v) {
				return
			}
		}
	}
}
