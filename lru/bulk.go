// SPDX-License-Identifier: MIT

package lru

import (
	"cmp"
	"fmt"
	"iter"
	"math"
	"slices"
)

// expireIfTimed removes what has expired, so that it does not count.
func (c *Cache[K, V]) expireIfTimed() {
	if c.timed.Load() {
		c.arm(c.expire())
	}
}

// Len returns the number of entries. It removes what has expired. The complexity is O(shards).
func (c *Cache[K, V]) Len() (n int) {
	c.expireIfTimed()
	for i := range c.shards {
		sh := &c.shards[i]
		sh.mu.Lock()
		n += sh.n - sh.hidden
		sh.mu.Unlock()
	}
	return n
}

// Cost returns what the entries cost together, which is never more than the capacity, even while
// others use the cache. It removes what has expired. Room that an operation under way has made
// counts as taken. The complexity is O(1), or O(shards) if entries can expire.
func (c *Cache[K, V]) Cost() int64 {
	c.expireIfTimed()
	for {
		capacity := c.cap.Load()
		free := c.free.Load()
		if c.cap.Load() == capacity {
			return max(capacity-free, 0) // Resize may be about to lower free
		}
	}
}

// Cap returns the capacity.
func (c *Cache[K, V]) Cap() int64 { return c.cap.Load() }

// Resize changes the capacity and returns how many entries were evicted for it. If it is not
// enough to evict all others, those that are pinned go, too. The memory of entries is kept.
// It panics if capacity is less than 1.
func (c *Cache[K, V]) Resize(capacity int64) (evicted int) {
	if capacity < 1 {
		panic(fmt.Sprintf("lru: Resize: capacity must be positive, got %d", capacity))
	}
	c.reclaiming.Lock()
	old := c.cap.Load()
	o := op[K, V]{c: c, now: c.reading()}
	if capacity < old {
		evicted = o.shrink(old - capacity)
	}
	// All that is above the new capacity is held here: nobody takes more than what is free.
	c.cap.Store(capacity)
	c.free.Add(o.tokens - (old - capacity))
	for i := range c.shards {
		c.shards[i].mu.Lock()
		c.shards[i].target = c.targetFor(capacity)
		c.shards[i].mu.Unlock()
	}
	c.reclaiming.Unlock()
	c.deliver(o.events)
	return evicted
}

// shrink evicts, one entry a shard in turn, until o has need tokens.
func (o *op[K, V]) shrink(need int64) (evicted int) {
	for progress := true; ; {
		pins := !progress
		progress = false
		for i := range o.c.shards {
			if o.covered(need) {
				return evicted
			}
			o.sh = &o.c.shards[i]
			o.lock()
			had := o.tokens
			o.purge(purgeBatch)
			s := uint32(0)
			if o.tokens == had {
				s = o.sh.victim(&arrival{class: 2})
			}
			if s == 0 && pins {
				s = o.sh.firstPinned()
			}
			if s != 0 {
				o.drop(s, Evicted)
				evicted++
			}
			progress = progress || o.tokens > had
			o.sh.mu.Unlock()
		}
	}
}

// firstPinned returns a pinned entry, or 0.
func (sh *shard[K, V]) firstPinned() uint32 {
	for s := 1; s <= sh.used; s++ {
		if sh.meta[s].flags&pinned != 0 {
			return uint32(s)
		}
	}
	return 0
}

// Clear removes all entries that are there when it comes to their shard. It keeps the memory.
func (c *Cache[K, V]) Clear() {
	for i := range c.shards {
		o := op[K, V]{c: c, sh: &c.shards[i], now: c.reading()}
		o.lock()
		o.purge(math.MaxInt)
		o.sh.detachAll()
		for s := 1; s <= o.sh.used; s++ {
			if o.sh.meta[s].flags&inUse != 0 {
				o.drop(uint32(s), Invalidated)
			}
		}
		o.end()
	}
}

// DeleteTag removes the entries that have tag, and returns how many. An entry that is set
// meanwhile may stay. The complexity is O(shards + n) where n is the number of entries removed.
func (c *Cache[K, V]) DeleteTag(tag string) (n int) {
	for i := range c.shards {
		o := op[K, V]{c: c, sh: &c.shards[i], now: c.reading()}
		o.lock()
		o.sh.sweep(tag)
		for s := range o.sh.tagged[tag] {
			o.sh.detach(o.sh.flights[o.sh.cells[s].key])
			if o.sh.gone(s, o.now) {
				o.drop(s, Expired)
				continue
			}
			o.drop(s, Invalidated)
			n++
		}
		o.end()
	}
	return n
}

// DeleteFunc removes the entries for which del returns true, and returns how many. No lock is held
// while del runs. An entry is removed only if its value is still the one that del saw.
// The complexity is O(n) where n = c.Len().
func (c *Cache[K, V]) DeleteFunc(del func(key K, value V) bool) (n int) {
	for i := range c.shards {
		sh := &c.shards[i]
		sh.mu.Lock()
		sh.detachAll()
		sh.mu.Unlock()
	}
	c.visit(true, func(sh *shard[K, V], e *seen[K, V]) bool {
		if !del(e.key, e.value) {
			return true
		}
		o := op[K, V]{c: c, sh: sh, now: c.reading()}
		o.lock()
		switch {
		case !sh.same(e):
			// It was removed or replaced.
		case sh.gone(e.slot, o.now):
			o.drop(e.slot, Expired)
		default:
			o.drop(e.slot, Invalidated)
			n++
		}
		o.end()
		return true
	})
	return n
}

// A seen is a copy of an entry, and what tells whether it is still the same.
type seen[K comparable, V any] struct {
	cell[K, V]
	slot    uint32
	version uint32
	writes  uint64
}

// same reports whether e is still what its slot holds. Where versions may have come round, the
// answer is no.
func (sh *shard[K, V]) same(e *seen[K, V]) bool {
	return sh.meta[e.slot].flags&inUse != 0 && sh.version(e.slot) == e.version &&
		sh.writes-e.writes < 1<<(32-versionShift)
}

// visit calls f for each entry, without a lock held, until it returns false. An entry does not
// change its slot, so it is visited once. What has expired and is kept for Load is visited only if
// all is set.
func (c *Cache[K, V]) visit(all bool, f func(sh *shard[K, V], e *seen[K, V]) bool) {
	for i := range c.shards {
		sh := &c.shards[i]
		var e seen[K, V]
		for e.slot = 1; c.next(sh, &e, all); e.slot++ {
			if !f(sh, &e) {
				return
			}
		}
	}
}

// next copies the first entry of sh at or after e.slot to e, and reports whether there is one.
func (c *Cache[K, V]) next(sh *shard[K, V], e *seen[K, V], all bool) bool {
	now := c.reading()
	sh.mu.Lock()
	defer sh.mu.Unlock()
	now = sh.advance(now)
	for s := e.slot; int(s) <= sh.used; s++ {
		if sh.meta[s].flags&inUse != 0 && (!sh.gone(s, now) || all && sh.stale(s, now, c.staleIfError)) {
			*e = seen[K, V]{sh.cells[s], s, sh.version(s), sh.writes}
			return true
		}
	}
	return false
}

// All returns an iterator over the entries, in no order, which does not count as a use of them. It
// is weakly consistent: an entry that is there throughout is visited once, with a value that it has
// when it is visited; one that is set or removed meanwhile may or may not be visited, and a key
// that is removed and set again may be visited twice. No lock is held in the loop, which may use c
// in every way.
func (c *Cache[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		c.visit(false, func(_ *shard[K, V], e *seen[K, V]) bool { return yield(e.key, e.value) })
	}
}

// Keys returns an iterator over the keys, as All.
func (c *Cache[K, V]) Keys() iter.Seq[K] { return first(c.All()) }

// Values returns an iterator over the values, as All.
func (c *Cache[K, V]) Values() iter.Seq[V] { return second(c.All()) }

// Hottest returns an iterator over the entries from the most to the least popular, as far as the
// policy knows: by how often they were used lately with [PolicyTinyLFU], which tells up to 18 uses
// apart, and up to 4 while the cache is not full; by how often ever with [PolicyLFU]; by how lately
// they were used with [PolicyLRU], and added with [PolicyFIFO]; in any order with [PolicyRandom].
// What is pinned comes first. The order is a snapshot; values are those of the visit, and what is
// gone is not visited. The complexity is O(n log n) where n = c.Len(), and 16 bytes an entry
// besides its key.
func (c *Cache[K, V]) Hottest() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for _, r := range c.ranked() {
			if v, ok := c.Peek(r.key); ok && !yield(r.key, v) {
				return
			}
		}
	}
}

// A rank is a key, how popular it is, and how often it was used, as far as the policy counts.
type rank[K comparable] struct {
	key         K
	score, uses uint64
}

// ranked returns the keys, the most popular first.
func (c *Cache[K, V]) ranked() (list []rank[K]) {
	for i := range c.shards {
		sh := &c.shards[i]
		sh.mu.Lock()
		scores := sh.scores()
		for s := 1; s <= sh.used; s++ {
			if sh.meta[s].flags&inUse != 0 {
				list = append(list, rank[K]{sh.cells[s].key, scores[s], sh.uses(uint32(s))})
			}
		}
		sh.mu.Unlock()
	}
	slices.SortStableFunc(list, func(a, b rank[K]) int { return cmp.Compare(b.score, a.score) })
	return list
}

// uses returns how often s was used, as far as the policy counts.
func (q *queues) uses(s uint32) uint64 {
	switch m := q.meta[s]; {
	case q.policy == PolicyTinyLFU:
		return uint64(q.sketch.count(m.hash)) + uint64(m.flags&hitMask)
	case q.policy == PolicyLFU && m.flags&queued != 0:
		g := &q.classes[m.class()].groups
		return g.all[g.of[s]].count
	}
	return 0
}

// scores returns how popular each slot is, on a scale that all shards share.
func (q *queues) scores() []uint64 {
	scores := make([]uint64, len(q.meta))
	for s := range q.meta {
		scores[s] = q.uses(uint32(s))
		if q.meta[s].flags&pinned != 0 {
			scores[s] = math.MaxUint64
		}
	}
	if q.policy == PolicyLRU || q.policy == PolicyFIFO {
		for i := range q.classes {
			l := &q.classes[i].window
			// The part of the list that is older, so that shards of different sizes compare.
			for s, older := l.head, l.n; s != 0; s = q.links[s].next {
				scores[s] = uint64(older) << 32 / uint64(l.n)
				older--
			}
		}
	}
	return scores
}
