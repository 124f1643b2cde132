// SPDX-License-Identifier: MIT

package lru

import (
	"cmp"
	"iter"
	"slices"
)

// A visited entry is a copy, and tells whether its slot still holds the same.
type visited[K comparable, V any] struct {
	cell[K, V]
	slot    uint32
	version uint32
	writes  uint64
}

// isSameLocked reports whether the slot of e still holds its value. Where
// versions may have come round, the answer is no.
func (sh *shard[K, V]) isSameLocked(e *visited[K, V]) bool {
	if int(e.slot) > sh.used || sh.meta[e.slot].flags&inUse == 0 {
		return false
	}
	return sh.meta[e.slot].flags>>versionShift == e.version && sh.writes-e.writes < versions
}

// DeleteFunc removes the entries for which del returns true, and returns how
// many. No lock is held while del runs. An entry is removed only if its value
// is still the one that del saw. The complexity is O(n) where n is the largest
// number of entries since the last Clear.
func (c *Cache[K, V]) DeleteFunc(del func(key K, value V) bool) (n int) {
	for i := range c.shards {
		sh := &c.shards[i]
		sh.mu.Lock()
		sh.detachAllLocked()
		sh.mu.Unlock()
	}

	w := walk[K, V]{c: c, all: true}
	ended := false // by a panic, but not one of OnRemove
	finish(func() {
		if ended {
			return
		}
		ended = true
		for w.next() {
			if del(w.key, w.value) {
				o := op[K, V]{c: c, sh: &c.shards[w.shard], now: c.reading()}
				o.lock()
				n += o.invalidateSameLocked(&w.visited)
				ended = false
				o.end()
				ended = true
			}
		}
	})
	return n
}

// invalidateSameLocked removes the entry e for DeleteFunc, and returns 1 if it
// was there and the same.
func (o *op[K, V]) invalidateSameLocked(e *visited[K, V]) int {
	switch {
	case !o.sh.isSameLocked(e):
		return 0 // it was removed or replaced while del ran
	case o.sh.gone(e.slot, o.now):
		o.removeLocked(e.slot, Expired)
		return 0
	}
	o.removeLocked(e.slot, Invalidated)
	return 1
}

// A walk visits all entries, without a lock held in between. An entry does not
// change its slot, so it is visited once.
type walk[K comparable, V any] struct {
	c     *Cache[K, V]
	all   bool // stale entries are visited, too
	shard int
	visited[K, V]
}

// next goes to the next entry, and reports whether there is one.
func (w *walk[K, V]) next() bool {
	for ; w.shard < len(w.c.shards); w.shard++ {
		w.slot++
		if w.c.nextEntry(&w.c.shards[w.shard], &w.visited, w.all) {
			return true
		}
		w.slot = 0
	}
	return false
}

// nextEntry copies the first entry of sh at or after e.slot to e, and reports
// whether there is one.
func (c *Cache[K, V]) nextEntry(sh *shard[K, V], e *visited[K, V], all bool) bool {
	now := c.reading()
	sh.mu.Lock()
	defer sh.mu.Unlock()
	now = sh.advanceLocked(now)
	for s := e.slot; int(s) <= sh.used; s++ {
		flags := sh.meta[s].flags
		if flags&inUse == 0 || sh.gone(s, now) && !(all && sh.isStale(s, now, c.opts.StaleIfError)) {
			continue
		}
		*e = visited[K, V]{sh.cells[s], s, flags >> versionShift, sh.writes}
		return true
	}
	return false
}

// All returns an iterator over the entries, in no order, which does not count
// as a use of them. It is weakly consistent: an entry that is there throughout
// is visited once, with a value that it has when it is visited. An entry that
// is set or removed meanwhile may or may not be visited, and a key that is
// removed and set again may be visited twice. No lock is held in the loop,
// which may use c in every way. The complexity is that of DeleteFunc.
func (c *Cache[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for w := (walk[K, V]{c: c}); w.next(); {
			if !yield(w.key, w.value) {
				return
			}
		}
	}
}

// Keys returns an iterator over the keys, as All.
func (c *Cache[K, V]) Keys() iter.Seq[K] { return keysOf(c.All()) }

// Values returns an iterator over the values, as All.
func (c *Cache[K, V]) Values() iter.Seq[V] { return valuesOf(c.All()) }

// Hottest returns an iterator over the entries from the most to the least
// popular, as far as the policy knows. [PolicyTinyLFU] knows how often they
// were used lately, up to 18 times, and up to 3 while the cache is not full;
// [PolicyLFU] how often ever; [PolicyLRU] how lately they were used, and
// [PolicyFIFO] how lately added; [PolicyRandom] nothing. Pinned entries come
// first. The order is a snapshot; values are those of the visit, and entries
// that are gone by then are not visited. The complexity is O(n log n) where n =
// c.Len(), and 16 bytes an entry besides its key.
func (c *Cache[K, V]) Hottest() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for _, r := range c.ranked() {
			if v, ok := c.Peek(r.key); ok && !yield(r.key, v) {
				return
			}
		}
	}
}

// A ranking is a key, how popular it is, and how often it was used, as far as
// the policy counts.
type ranking[K comparable] struct {
	key         K
	score, uses uint64
}

// ranked returns the keys, the most popular first.
func (c *Cache[K, V]) ranked() (list []ranking[K]) {
	for i := range c.shards {
		sh := &c.shards[i]
		sh.mu.Lock()
		scores := sh.scores()
		for s := 1; s <= sh.used; s++ {
			if sh.meta[s].flags&inUse != 0 {
				list = append(list, ranking[K]{sh.cells[s].key, scores[s], sh.uses(uint32(s))})
			}
		}
		sh.mu.Unlock()
	}
	slices.SortStableFunc(list, func(a, b ranking[K]) int { return cmp.Compare(b.score, a.score) })
	return list
}
