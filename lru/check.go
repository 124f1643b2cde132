// SPDX-License-Identifier: MIT

package lru

import "fmt"

// checkedLen is the number of entries up to which everything is checked after each change.
const checkedLen = 64

// check panics if T1 or T2 does not hold. It runs only under the tag invariants.
func (t *table[K, V]) check() {
	n := 0
	if t.byCount {
		n = t.groups.check(t.links)
	} else {
		n = t.order.check(t.links)
	}
	free := 0
	for s := t.free; s != 0; s = t.links[s].next {
		free++
	}
	if n != t.n || n+free != t.used || n != t.index.check() {
		panic(fmt.Sprintf("lru: T1 violated: %d entries, %d in order, %d free, %d in the index, %d used",
			t.n, n, free, t.index.check(), t.used))
	}
	if t.limit > 0 && t.n > t.limit {
		panic(fmt.Sprintf("lru: T2 violated: %d entries, capacity %d", t.n, t.limit))
	}
	for s := t.oldest(); s != 0; s = t.following(s, true) {
		if t.find(t.cells[s].key) != s {
			panic(fmt.Sprintf("lru: T1 violated: cell %d is not found by its key", s))
		}
	}
}

// check panics if the links of l do not agree, and returns the number of its slots.
func (l *list) check(links []link) (n int) {
	prev := uint32(0)
	for s := l.head; s != 0; prev, s = s, links[s].next {
		if n++; links[s].prev != prev {
			panic(fmt.Sprintf("lru: list violated: slot %d follows %d and says %d", s, prev, links[s].prev))
		}
	}
	if l.tail != prev || l.n != n {
		panic(fmt.Sprintf("lru: list violated: tail %d, want %d; length %d, counted %d", l.tail, prev, l.n, n))
	}
	return n
}

// check panics if groups are not in order or empty, and returns the number of their slots.
func (g *groups) check(links []link) (n int) {
	if len(g.all) == 0 {
		return 0
	}
	prev := uint32(0)
	for i := g.first; i != 0; prev, i = i, g.all[i].next {
		e := &g.all[i]
		if e.slots.n == 0 || e.prev != prev || prev != 0 && g.all[prev].count >= e.count {
			panic(fmt.Sprintf("lru: groups violated: group %d after %d is %+v", i, prev, *e))
		}
		for s := e.slots.head; s != 0; s = links[s].next {
			if g.of[s] != i {
				panic(fmt.Sprintf("lru: groups violated: slot %d is in group %d and says %d", s, i, g.of[s]))
			}
		}
		n += e.slots.check(links)
	}
	if g.last != prev {
		panic(fmt.Sprintf("lru: groups violated: last is %d, want %d", g.last, prev))
	}
	return n
}

// check returns the number of slots in the index.
func (x *index) check() (n int) {
	for i := range x.buckets {
		for l, tag := range x.buckets[i].tags {
			if tag != 0 {
				n++
			} else if x.buckets[i].slots[l] != 0 {
				panic(fmt.Sprintf("lru: index violated: bucket %d keeps slot %d in an empty lane", i, x.buckets[i].slots[l]))
			}
		}
	}
	return n
}

// checkLocked panics if an invariant of the implementation notes does not hold for the shard.
// It runs only under the tag invariants.
func (sh *shard[K, V]) checkLocked() {
	live, expiring, tagged, hid := 0, 0, 0, 0
	var kept [4]int64
	for s := 1; s <= sh.used; s++ {
		m := sh.meta[s]
		if m.flags&inUse == 0 {
			continue
		}
		live++
		if m.flags&hidden != 0 {
			hid++
		} else if sh.failures[uint32(s)].bare {
			panic(fmt.Sprintf("lru: I8 violated: slot %d has no value and is not hidden", s))
		}
		kept[sh.rank(uint32(s))] += sh.cost(uint32(s))
		if find(&sh.index, sh.cells, m.hash, sh.cells[s].key) != uint32(s) {
			panic(fmt.Sprintf("lru: I1 violated: slot %d is not found by its key", s))
		}
		if (m.flags&queued != 0) == (m.flags&pinned != 0) || m.class() > 2 {
			panic(fmt.Sprintf("lru: I3 violated: slot %d has flags %#x", s, m.flags))
		}
		if sh.deadlines.at != nil && sh.deadlines.at[s] != never {
			expiring++
		}
		if sh.tags != nil {
			for _, tag := range sh.tags[s] {
				tagged++
				if _, ok := sh.tagged[tag][uint32(s)]; !ok {
					panic(fmt.Sprintf("lru: I5 violated: slot %d is not under its tag %q", s, tag))
				}
			}
		}
	}
	free := 0
	for s := sh.free; s != 0; s = sh.links[s].next {
		if sh.meta[s].flags&(1<<versionShift-1) != 0 || sh.cost(s) != 1 || sh.tags != nil && sh.tags[s] != nil {
			panic(fmt.Sprintf("lru: I2 violated: free slot %d has flags %#x, cost %d", s, sh.meta[s].flags, sh.cost(s)))
		}
		free++
	}
	if live != sh.n || live+free != sh.used || live != sh.index.check() {
		panic(fmt.Sprintf("lru: I1 violated: %d entries, %d in use, %d free, %d in the index, %d used",
			sh.n, live, free, sh.index.check(), sh.used))
	}
	sh.checkLoads(hid)
	sh.queues.check()
	if kept != sh.kept {
		panic(fmt.Sprintf("lru: I6 violated: costs %v, counted %v", sh.kept, kept))
	}
	if n := sh.deadlines.check(); n != expiring {
		panic(fmt.Sprintf("lru: I4 violated: %d deadlines, %d in the heap", expiring, n))
	}
	for tag, set := range sh.tagged {
		if tagged -= len(set); len(set) == 0 {
			panic(fmt.Sprintf("lru: I5 violated: tag %q has no entries", tag))
		}
	}
	if tagged != 0 {
		panic("lru: I5 violated: a tag lists slots that do not have it")
	}
}

// checkLoads panics if what is kept for loads does not hold.
func (sh *shard[K, V]) checkLoads(hid int) {
	if hid != sh.hidden {
		panic(fmt.Sprintf("lru: I8 violated: %d entries hidden, counted %d", hid, sh.hidden))
	}
	for s := range sh.failures {
		if sh.meta[s].flags&inUse == 0 {
			panic(fmt.Sprintf("lru: I8 violated: slot %d is free and has a failure", s))
		}
	}
	for key, f := range sh.flights {
		if f.detached || f.key != key || f.landed.Load() {
			panic(fmt.Sprintf("lru: I9 violated: the load of %v is registered as %v", f.key, key))
		}
	}
	if len(sh.flights) == 0 && sh.swept != nil {
		panic(fmt.Sprintf("lru: I9 violated: %d tags for no loads", len(sh.swept)))
	}
}

// check panics if a queue does not hold exactly the slots that say so.
func (q *queues) check() {
	for i := range q.classes {
		c := &q.classes[i]
		n := c.window.check(q.links) + c.main.check(q.links) + c.groups.check(q.links) + len(c.slots)
		counted := 0
		for s := range q.meta {
			if m := q.meta[s]; m.flags&queued != 0 && m.class() == i {
				counted++
			}
		}
		if n != counted || n != q.count[i] {
			panic(fmt.Sprintf("lru: I3 violated: priority %d: %d in queues, %d say so, count %d", i-1, n, counted, q.count[i]))
		}
		for at, s := range c.slots {
			if q.links[s].prev != uint32(at) {
				panic(fmt.Sprintf("lru: I3 violated: slot %d at %d says %d", s, at, q.links[s].prev))
			}
		}
		for s := c.main.head; s != 0; s = q.links[s].next {
			if q.meta[s].flags&inMain == 0 {
				panic(fmt.Sprintf("lru: I3 violated: slot %d is in main and does not say so", s))
			}
		}
	}
}

// check panics if the heap is not in order, and returns its length.
func (d *deadlines) check() int {
	for i, s := range d.heap {
		if int(d.pos[s]) != i || d.at[s] < d.at[d.heap[max(i-1, 0)/2]] {
			panic(fmt.Sprintf("lru: I4 violated: slot %d at %d, which says %d", s, i, d.pos[s]))
		}
	}
	return len(d.heap)
}

// checkCost panics if what is free and what entries cost is not the capacity. No other call may be
// under way. It holds all shards at once, since the timer may remove what has expired at any time.
func (c *Cache[K, V]) checkCost() {
	sum := int64(0)
	for i := range c.shards {
		sh := &c.shards[i]
		sh.mu.Lock()
		defer sh.mu.Unlock()
		sh.checkLocked()
		for s := 1; s <= sh.used; s++ {
			if sh.meta[s].flags&inUse != 0 {
				sum += sh.cost(uint32(s))
			}
		}
	}
	if sum+c.free.Load() != c.cap.Load() || sum > c.cap.Load() {
		panic(fmt.Sprintf("lru: I7 violated: cost %d, free %d, capacity %d", sum, c.free.Load(), c.cap.Load()))
	}
}
