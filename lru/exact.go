// SPDX-License-Identifier: MIT

package lru

import "iter"

// An LRU is a cache that pushes out the entry that was used longest ago.
// It is not safe for concurrent use, as a map is not; see [Cache] for one that is.
// The zero LRU is empty and unbounded. Once full, no method allocates but iterators, once each,
// and Resize. It must not be copied after first use.
type LRU[K comparable, V any] struct{ t table[K, V] }

// NewLRU returns an empty LRU that holds at most capacity entries.
// It panics if capacity is less than 1 or more than 2^32-2.
func NewLRU[K comparable, V any](capacity int) *LRU[K, V] {
	return &LRU[K, V]{newTable[K, V]("NewLRU", capacity, false)}
}

// Get returns the value of key and makes it the most recent.
// The complexity is O(1).
func (c *LRU[K, V]) Get(key K) (value V, ok bool) { return c.t.get(key, true) }

// Peek returns the value of key and leaves the order alone. The complexity is O(1).
func (c *LRU[K, V]) Peek(key K) (value V, ok bool) { return c.t.get(key, false) }

// Contains reports whether key is there, and leaves the order alone. The complexity is O(1).
func (c *LRU[K, V]) Contains(key K) bool { return c.t.find(key) != 0 }

// Set stores value under key, makes it the most recent, and returns the pair that it pushed out
// if the LRU was full and did not have key.
// A key that is not equal to itself, such as NaN, could never be found: the pair itself comes
// back as pushed out. The complexity is O(1), amortized while the slab grows.
func (c *LRU[K, V]) Set(key K, value V) (out Pair[K, V], evicted bool) {
	return c.t.set(key, value, true)
}

// Delete removes key and returns the value that it had. The complexity is O(1).
func (c *LRU[K, V]) Delete(key K) (value V, ok bool) { return c.t.removeKey(key) }

// Oldest returns the entry that was used least recently,
// which is the next to be pushed out. The complexity is O(1).
func (c *LRU[K, V]) Oldest() (key K, value V, ok bool) { return c.t.peekOldest() }

// RemoveOldest removes what Oldest returns. The complexity is O(1).
func (c *LRU[K, V]) RemoveOldest() (key K, value V, ok bool) { return c.t.removeOldest() }

// Resize changes the capacity and returns the pairs that no longer fit, in the order in which
// they were pushed out. The slab does not shrink. It panics if capacity is less than 1 or more
// than 2^32-2. The complexity is O(n) where n is the number of pairs returned.
func (c *LRU[K, V]) Resize(capacity int) []Pair[K, V] { return c.t.resize("LRU.Resize", capacity) }

// All returns an iterator over the entries from the most to the least recent.
// The loop may use c in every way: entries that it removes are not visited, nor are those that it
// adds or moves ahead of the iteration, and each other entry is visited once.
func (c *LRU[K, V]) All() iter.Seq2[K, V] { return c.t.all(false) }

// Backward returns an iterator like that of All in the opposite order, the next victim first.
// Entries that the loop moves ahead of the iteration are visited again, but it ends after as many
// visits as there were entries.
func (c *LRU[K, V]) Backward() iter.Seq2[K, V] { return c.t.all(true) }

// Keys returns an iterator over the keys in the order of All.
func (c *LRU[K, V]) Keys() iter.Seq[K] { return c.t.keys() }

// Values returns an iterator over the values in the order of All.
func (c *LRU[K, V]) Values() iter.Seq[V] { return c.t.values() }

// Len returns the number of entries.
func (c *LRU[K, V]) Len() int { return c.t.n }

// Cap returns the capacity, or 0 if there is none.
func (c *LRU[K, V]) Cap() int { return c.t.limit }

// Clear removes all entries and keeps the memory.
func (c *LRU[K, V]) Clear() { c.t.clear() }
