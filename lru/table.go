// SPDX-License-Identifier: MIT

package lru

import (
	"fmt"
	"hash/maphash"
	"iter"
	"math"
)

// A Pair is a key and its value.
type Pair[K comparable, V any] struct {
	Key   K // the key
	Value V // what is stored under it
}

// A table is what [LRU], [LFU] and [FIFO] have in common: a slab of cells, an index from keys to
// cells, and the order in which they are pushed out. The zero table is empty and unbounded.
//
//	T1 every cell in 1..used is in the index under its key, in the order, and not free, or it is
//	   zero and in the free list; n is the number of the former.
//	T2 n <= limit, unless limit is 0.
type table[K comparable, V any] struct {
	cells   []cell[K, V]
	links   []link
	index   index
	order   list    // newest first; not of an LFU
	groups  groups  // of an LFU
	free    uint32  // the first free cell; the others follow by next
	used    int     // the last cell that was ever in use
	n       int     // entries
	limit   int     // capacity; 0 means unbounded
	byCount bool    // the order is in groups
	cursors *cursor // iterations under way
	seed    maphash.Seed
}

// maxSlots bounds the slots of a slab: they are numbered by 32 bits from 1.
const maxSlots = min(math.MaxUint32-1, math.MaxInt/2)

func newTable[K comparable, V any](name string, capacity int, byCount bool) table[K, V] {
	checkCapacity(name, capacity)
	return table[K, V]{limit: capacity, byCount: byCount}
}

func checkCapacity(name string, capacity int) {
	if capacity < 1 || capacity > maxSlots {
		panic(fmt.Sprintf("lru: %s: capacity must be between 1 and %d, got %d", name, maxSlots, capacity))
	}
}

func (t *table[K, V]) hash(key K) uint32 { return uint32(maphash.Comparable(t.seed, key)) }

// find returns the cell of key, or 0.
func (t *table[K, V]) find(key K) uint32 {
	if t.used == 0 {
		return 0
	}
	return find(&t.index, t.cells, t.hash(key), key)
}

// get returns the value of key and counts as a use of it if touch is set.
func (t *table[K, V]) get(key K, touch bool) (value V, ok bool) {
	s := t.find(key)
	if s == 0 {
		return value, false
	}
	if touch {
		t.touch(s)
	}
	return t.cells[s].value, true
}

// set stores value under key and returns the pair that had to go, if any.
// If the key is there, that counts as a use if touch is set.
func (t *table[K, V]) set(key K, value V, touch bool) (out Pair[K, V], evicted bool) {
	if !isReflexive(key) {
		return Pair[K, V]{key, value}, true
	}
	if t.used == 0 && len(t.cells) == 0 {
		t.seed = maphash.MakeSeed()
	}
	h := t.hash(key)
	if s := find(&t.index, t.cells, h, key); s != 0 {
		t.cells[s].value = value
		if touch {
			t.touch(s)
		}
		return out, false
	}
	if t.n == t.limit && t.limit > 0 {
		out, evicted = t.remove(t.oldest()), true
	}
	s := t.take()
	t.cells[s] = cell[K, V]{key, value}
	t.index.insert(h, s)
	if t.byCount {
		t.groups.push(t.links, s)
	} else {
		t.order.pushFront(t.links, s)
	}
	t.n++
	if invariants && t.n <= checkedLen {
		t.check()
	}
	return out, evicted
}

// isReflexive reports whether key equals itself. One that does not, such as NaN, is never found.
// It panics if key holds a value that cannot be compared.
func isReflexive[K comparable](key K) bool {
	other := key
	return key == other
}

// take returns a free cell.
func (t *table[K, V]) take() uint32 {
	if s := t.free; s != 0 {
		t.free = t.links[s].next
		return s
	}
	if t.used+1 >= len(t.cells) {
		t.grow()
	}
	t.used++
	return uint32(t.used)
}

// grow doubles the slab, up to the capacity.
func (t *table[K, V]) grow() {
	if t.n >= maxSlots {
		panic(fmt.Sprintf("lru: more than %d entries", maxSlots))
	}
	n := max(8, 2*t.n)
	if t.limit > 0 {
		n = min(n, t.limit)
	}
	n = min(n, maxSlots)
	t.cells = append(make([]cell[K, V], 0, n+1), t.cells...)[:n+1]
	t.links = append(make([]link, 0, n+1), t.links...)[:n+1]
	if t.byCount {
		t.groups.grow(n)
	}
	t.index.buckets = make([]bucket, bucketsFor(n))
	for s := 1; s <= t.used; s++ { // all are in use, or there would be a free one
		t.index.insert(t.hash(t.cells[s].key), uint32(s))
	}
}

// touch makes s the newest, or counts a use of it.
func (t *table[K, V]) touch(s uint32) {
	if t.cursors != nil {
		t.leave(s)
	}
	if t.byCount {
		t.groups.touch(t.links, s)
	} else {
		t.order.toFront(t.links, s)
	}
}

// oldest returns the next victim, or 0.
func (t *table[K, V]) oldest() uint32 {
	if t.byCount {
		return t.groups.coldest()
	}
	return t.order.tail
}

// remove takes the cell s out and returns what it held.
func (t *table[K, V]) remove(s uint32) Pair[K, V] {
	c := t.cells[s]
	if t.cursors != nil {
		t.leave(s)
	}
	t.index.remove(t.hash(c.key), s)
	if t.byCount {
		t.groups.remove(t.links, s)
	} else {
		t.order.remove(t.links, s)
	}
	t.cells[s] = cell[K, V]{} // so that the garbage collector sees what the caller drops
	t.links[s].next = t.free
	t.free = s
	t.n--
	if invariants && t.n <= checkedLen {
		t.check()
	}
	return Pair[K, V]{c.key, c.value}
}

// removeKey removes key and returns its value.
func (t *table[K, V]) removeKey(key K) (value V, ok bool) {
	s := t.find(key)
	if s == 0 {
		return value, false
	}
	return t.remove(s).Value, true
}

// peekOldest returns the next victim.
func (t *table[K, V]) peekOldest() (key K, value V, ok bool) {
	s := t.oldest()
	if s == 0 {
		return key, value, false
	}
	return t.cells[s].key, t.cells[s].value, true
}

// removeOldest removes the next victim.
func (t *table[K, V]) removeOldest() (key K, value V, ok bool) {
	s := t.oldest()
	if s == 0 {
		return key, value, false
	}
	p := t.remove(s)
	return p.Key, p.Value, true
}

// resize changes the capacity and returns what no longer fits, the first victim first.
func (t *table[K, V]) resize(name string, capacity int) (out []Pair[K, V]) {
	checkCapacity(name, capacity)
	for t.n > capacity {
		out = append(out, t.remove(t.oldest()))
	}
	t.limit = capacity
	return out
}

// clear removes everything and keeps the memory.
func (t *table[K, V]) clear() {
	for c := t.cursors; c != nil; c = c.outer {
		c.at = 0
	}
	clear(t.cells)
	clear(t.links)
	clear(t.index.buckets)
	t.order, t.free, t.used, t.n = list{}, 0, 0, 0
	t.groups.reset()
}

// A cursor is an iteration under way: at is the cell that it comes to next. Whoever moves or
// removes that cell moves the cursor on first.
type cursor struct {
	at    uint32
	back  bool // from oldest to newest
	outer *cursor
}

// leave moves the iterations on that come to s next.
func (t *table[K, V]) leave(s uint32) {
	for c := t.cursors; c != nil; c = c.outer {
		if c.at == s {
			c.at = t.following(s, c.back)
		}
	}
}

// following returns the neighbor of s towards the oldest, or towards the newest if back is set.
func (t *table[K, V]) following(s uint32, back bool) uint32 {
	switch {
	case t.byCount && back:
		return t.groups.hotter(t.links, s)
	case t.byCount:
		return t.groups.colder(t.links, s)
	case back:
		return t.links[s].prev
	}
	return t.links[s].next
}

// all returns an iterator from newest to oldest, or back.
func (t *table[K, V]) all(back bool) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		c := &cursor{back: back, outer: t.cursors}
		switch {
		case back:
			c.at = t.oldest()
		case t.byCount:
			c.at = t.groups.hottest()
		default:
			c.at = t.order.head
		}
		t.cursors = c
		defer t.done(c)
		// The bound ends a loop whose body moves what it was given ahead of it.
		for range t.n {
			s := c.at
			if s == 0 {
				return
			}
			c.at = t.following(s, back)
			if e := t.cells[s]; !yield(e.key, e.value) {
				return
			}
		}
	}
}

// done forgets the cursor c, which need not be the innermost: iterators can be pulled.
func (t *table[K, V]) done(c *cursor) {
	for p := &t.cursors; *p != nil; p = &(*p).outer {
		if *p == c {
			*p = c.outer
			return
		}
	}
}

// keys and values return iterators from newest to oldest.
func (t *table[K, V]) keys() iter.Seq[K] { return first(t.all(false)) }

func (t *table[K, V]) values() iter.Seq[V] { return second(t.all(false)) }

func first[K, V any](seq iter.Seq2[K, V]) iter.Seq[K] {
	return func(yield func(K) bool) {
		for k := range seq {
			if !yield(k) {
				return
			}
		}
	}
}

func second[K, V any](seq iter.Seq2[K, V]) iter.Seq[V] {
	return func(yield func(V) bool) {
		for _, v := range seq {
			if !yield(v) {
				return
			}
		}
	}
}
