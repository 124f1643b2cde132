// SPDX-License-Identifier: MIT

package lru

import "iter"

// A FIFO is a cache that pushes out the entry that was added first, however often it is used.
// It is not safe for concurrent use, as a map is not; see [Cache] for one that is.
// The zero FIFO is empty and unbounded. Once full, no method allocates but iterators, once each,
// and Resize. It must not be copied after first use.
type FIFO[K comparable, V any] struct{ t table[K, V] }

// NewFIFO returns an empty FIFO that holds at most capacity entries.
// It panics if capacity is less than 1 or more than 2^32-2.
func NewFIFO[K comparable, V any](capacity int) *FIFO[K, V] {
	return &FIFO[K, V]{newTable[K, V]("NewFIFO", capacity, false)}
}

// Get returns the value of key.
// The complexity is O(1).
func (c *FIFO[K, V]) Get(key K) (value V, ok bool) { return c.t.get(key, false) }

// Peek returns the value of key and leaves the order alone. The complexity is O(1).
func (c *FIFO[K, V]) Peek(key K) (value V, ok bool) { return c.t.get(key, false) }

// Contains reports whether key is there, and leaves the order alone. The complexity is O(1).
func (c *FIFO[K, V]) Contains(key K) bool { return c.t.find(key) != 0 }

// Set stores value under key and returns the pair that it pushed out if the FIFO was full and did
// not have key. A key that is there keeps its place in line.
// A key that is not equal to itself, such as NaN, could never be found: the pair itself comes
// back as pushed out. The complexity is O(1), amortized while the slab grows.
func (c *FIFO[K, V]) Set(key K, value V) (out Pair[K, V], evicted bool) {
	return c.t.set(key, value, false)
}

// Delete removes key and returns the value that it had. The complexity is O(1).
func (c *FIFO[K, V]) Delete(key K) (value V, ok bool) { return c.t.removeKey(key) }

// Oldest returns the entry that was added first,
// which is the next to be pushed out. The complexity is O(1).
func (c *FIFO[K, V]) Oldest() (key K, value V, ok bool) { return c.t.peekOldest() }

// RemoveOldest removes what Oldest returns. The complexity is O(1).
func (c *FIFO[K, V]) RemoveOldest() (key K, value V, ok bool) { return c.t.removeOldest() }

// Resize changes the capacity and returns the pairs that no longer fit, in the order in which
// they were pushed out. The slab does not shrink. It panics if capacity is less than 1 or more
// than 2^32-2. The complexity is O(n) where n is the number of pairs returned.
func (c *FIFO[K, V]) Resize(capacity int) []Pair[K, V] { return c.t.resize("FIFO.Resize", capacity) }

// All returns an iterator over the entries from the last to the first added.
// The loop may use c in every way: entries that it removes are not visited, nor are those that it
// adds or moves ahead of the iteration, and each other entry is visited once.
func (c *FIFO[K, V]) All() iter.Seq2[K, V] { return c.t.all(false) }

// Backward returns an iterator like that of All in the opposite order, the next victim first.
// Entries that the loop moves ahead of the iteration are visited again, but it ends after as many
// visits as there were entries.
func (c *FIFO[K, V]) Backward() iter.Seq2[K, V] { return c.t.all(true) }

// Keys returns an iterator over the keys in the order of All.
func (c *FIFO[K, V]) Keys() iter.Seq[K] { return c.t.keys() }

// Values returns an iterator over the values in the order of All.
func (c *FIFO[K, V]) Values() iter.Seq[V] { return c.t.values() }

// Len returns the number of entries.
func (c *FIFO[K, V]) Len() int { return c.t.n }

// Cap returns the capacity, or 0 if there is none.
func (c *FIFO[K, V]) Cap() int { return c.t.limit }

// Clear removes all entries and keeps the memory.
func (c *FIFO[K, V]) Clear() { c.t.clear() }
