// SPDX-License-Identifier: MIT

package lru

import "fmt"

// checkedLen is the number of entries up to which everything is checked after
// each change.
const checkedLen = 64

// check panics if T1 or T2 does not hold. It runs only under the tag
// invariants, and in tests.
func (c *Exact[K, V]) check() {
	n := c.order.list.checkLinks(c.slab.links)
	if c.order.discipline == byFrequency {
		n = c.order.groups.checkGroups(c.slab.links)
	}
	free := 0
	for s := c.slab.free; s != 0; s = c.slab.links[s].next {
		free++
	}
	if indexed := c.slab.index.check(c.hashOf); n != c.slab.n || n+free != c.slab.used || n != indexed {
		panic(fmt.Sprintf("lru: T1 violated: %d entries, %d in order, %d free, %d in the index, %d used",
			c.slab.n, n, free, indexed, c.slab.used))
	}
	if c.limit > 0 && c.slab.n > c.limit {
		panic(fmt.Sprintf("lru: T2 violated: %d entries, capacity %d", c.slab.n, c.limit))
	}

	for s := c.order.tail(); s != 0; s = c.order.following(c.slab.links, s, true) {
		if c.find(c.slab.cells[s].key) != s {
			panic(fmt.Sprintf("lru: T1 violated: slot %d is not found by its key", s))
		}
	}
}

// checkLinks panics if the links of l do not agree, and returns the number of
// its slots.
func (l *list) checkLinks(links []link) (n int) {
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

// checkGroups panics if groups are not in order or empty, and returns the
// number of their slots.
func (g *groups) checkGroups(links []link) (n int) {
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
		n += e.slots.checkLinks(links)
	}
	if g.last != prev {
		panic(fmt.Sprintf("lru: groups violated: last is %d, want %d", g.last, prev))
	}
	return n
}

// check panics if X1 or X2 does not hold, and returns the number of slots in
// the index; hash returns the hash of each.
func (x *index) check(hash func(s uint32) uint32) (n int) {
	for i := range x.buckets {
		b := &x.buckets[i]
		taken := 0
		for l, tag := range b.tags {
			if tag != 0 {
				x.checkLane(uint32(i), l, hash(b.slots[l]))
				taken++
			} else if b.slots[l] != 0 || b.away>>l&1 != 0 {
				panic(fmt.Sprintf("lru: X2 violated: bucket %d keeps slot %d in an empty lane", i, b.slots[l]))
			}
		}
		if taken != int(b.n) {
			panic(fmt.Sprintf("lru: X2 violated: bucket %d has %d entries and counts %d", i, taken, b.n))
		}
		n += taken
	}
	return n
}

// checkLane panics if the entry in lane l of bucket i, whose hash is h, does
// not belong there.
func (x *index) checkLane(i uint32, l int, h uint32) {
	b := &x.buckets[i]
	home := x.home(h)
	if away := b.away>>l&1 != 0; b.tags[l] != tagOf(h) || away != (home != i) {
		panic(fmt.Sprintf("lru: X2 violated: slot %d of home %d is in bucket %d, tag %d, away %t", b.slots[l], home, i, b.tags[l], away))
	}
	for j := home; j != i; j = x.after(j) {
		if !x.buckets[j].isFull() {
			panic(fmt.Sprintf("lru: X1 violated: slot %d passed bucket %d, which has room, from %d to %d", b.slots[l], j, home, i))
		}
	}
}

// checkLocked panics if an invariant of the implementation notes does not hold
// for the shard. It runs only under the tag invariants, and in tests.
func (sh *shard[K, V]) checkLocked() {
	live := 0
	expiring := 0
	var byRank [4]int64
	for s := uint32(1); int(s) <= sh.used; s++ {
		m := sh.meta[s]
		if m.flags&inUse == 0 {
			continue
		}
		live++
		byRank[m.rank()] += sh.cost(s)
		if sh.find(m.hash, sh.cells[s].key) != s {
			panic(fmt.Sprintf("lru: I1 violated: slot %d is not found by its key", s))
		}
		if m.flags&queued == 0 || m.class() > 2 {
			panic(fmt.Sprintf("lru: I3 violated: slot %d has flags %#x", s, m.flags))
		}
		if sh.deadlines.at != nil && sh.deadlines.at[s] != never {
			expiring++
		}
	}

	free := 0
	for s := sh.free; s != 0; s = sh.slab.links[s].next {
		if sh.meta[s].flags != 0 || sh.cost(s) != 1 || sh.tags != nil && sh.tags[s] != nil {
			panic(fmt.Sprintf("lru: I2 violated: free slot %d has flags %#x, cost %d", s, sh.meta[s].flags, sh.cost(s)))
		}
		free++
	}
	if indexed := sh.index.check(sh.hashOf); live != sh.n || live+free != sh.used || live != indexed {
		panic(fmt.Sprintf("lru: I1 violated: %d entries, %d in use, %d free, %d in the index, %d used",
			sh.n, live, free, indexed, sh.used))
	}

	sh.queues.checkQueues()
	if n := sh.deadlines.checkHeap(); n != expiring {
		panic(fmt.Sprintf("lru: I4 violated: %d deadlines, %d in the heap", expiring, n))
	}
	sh.checkTags()
	if byRank != sh.costByRank {
		panic(fmt.Sprintf("lru: I6 violated: costs %v, counted %v", sh.costByRank, byRank))
	}
	sh.checkLoadsLocked()
	if sh.mu.bypass.Load() != nil {
		panic("lru: I10 violated: lookups pass by while the shard changes")
	}
}

// checkTags panics if I5 does not hold.
func (sh *contents[K, V]) checkTags() {
	refs := 0
	for s := range sh.tags {
		for _, r := range sh.tags[s] {
			refs++
			if sh.tagged[r.set.name] != r.set || r.set.slots[r.at] != uint32(s) {
				panic(fmt.Sprintf("lru: I5 violated: slot %d is not under its tag %q", s, r.set.name))
			}
		}
	}
	for name, set := range sh.tagged {
		refs -= len(set.slots)
		if len(set.slots) == 0 {
			panic(fmt.Sprintf("lru: I5 violated: tag %q has no entries", name))
		}
	}
	if refs != 0 {
		panic("lru: I5 violated: a tag lists slots that do not have it")
	}
}

// checkLoadsLocked panics if I8 or I9 does not hold.
func (sh *shard[K, V]) checkLoadsLocked() {
	hid := 0
	for s := uint32(1); int(s) <= sh.used; s++ {
		flags := sh.meta[s].flags
		if flags&hidden != 0 {
			hid++
		}
		if bare := sh.failures[s].bare; (flags&hidden != 0) != (bare || flags&stale != 0) {
			panic(fmt.Sprintf("lru: I8 violated: slot %d has flags %#x, no value: %v", s, flags, bare))
		}
	}
	if hid != sh.hidden {
		panic(fmt.Sprintf("lru: I8 violated: %d entries hidden, counted %d", sh.hidden, hid))
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
	if len(sh.flights) == 0 && sh.deletedTags != nil {
		panic(fmt.Sprintf("lru: I9 violated: %d tags for no loads", len(sh.deletedTags)))
	}
}

// checkQueues panics if a queue does not hold exactly the slots that say so.
func (q *queues) checkQueues() {
	pins := 0
	stales := 0
	var counted [3]int
	for _, m := range q.meta {
		switch {
		case m.flags&queued == 0:
		case m.flags&stale != 0:
			stales++
		case m.flags&pinned != 0:
			pins++
		default:
			counted[m.class()]++
		}
	}
	if n, m := q.pins.checkLinks(q.links), q.stale.checkLinks(q.links); n != pins || m != stales {
		panic(fmt.Sprintf("lru: I3 violated: %d pinned and %d stale, %d and %d say so", n, m, pins, stales))
	}

	for i := range q.classes {
		c := &q.classes[i]
		n := c.window.checkLinks(q.links) + c.main.checkLinks(q.links) + c.groups.checkGroups(q.links) + len(c.slots)
		if n != counted[i] || n != q.count[i] {
			panic(fmt.Sprintf("lru: I3 violated: priority %d: %d in queues, %d say so, count %d", i-1, n, counted[i], q.count[i]))
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

// checkHeap panics if the heap is not in order, and returns its length.
func (d *deadlines) checkHeap() int {
	for i, s := range d.heap {
		if int(d.pos[s]) != i || d.at[s] < d.at[d.heap[max(i-1, 0)/2]] {
			panic(fmt.Sprintf("lru: I4 violated: slot %d at %d, which says %d", s, i, d.pos[s]))
		}
	}
	return len(d.heap)
}

// checkCost panics if the free tokens and the costs of entries are not the
// capacity. No other call may be under way. It holds all shards at once, since
// the timer may remove expired entries at any time.
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
