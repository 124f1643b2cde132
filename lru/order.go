// SPDX-License-Identifier: MIT

package lru

// A discipline is the rule by which an [Exact] chooses the entry that it pushes
// out.
type discipline uint8

const (
	byRecency   discipline = iota // the entry used longest ago: LRU
	byFrequency                   // the entry used least often: LFU
	byInsertion                   // the entry added first: FIFO
)

// An order is the slots of an [Exact] from the last victim, its head, to the
// next one, its tail.
type order struct {
	discipline discipline
	list       list   // of all but byFrequency
	groups     groups // of byFrequency
}

// reserve makes room for n slots, so that nothing allocates later.
func (o *order) reserve(n int) {
	if o.discipline == byFrequency {
		o.groups.reserve(n)
	}
}

// push adds slot s as the newest.
func (o *order) push(links []link, s uint32) {
	if o.discipline == byFrequency {
		o.groups.push(links, s)
	} else {
		o.list.pushFront(links, s)
	}
}

// touch counts a use of s.
func (o *order) touch(links []link, s uint32) {
	switch o.discipline {
	case byRecency:
		o.list.toFront(links, s)
	case byFrequency:
		o.groups.touch(links, s)
	}
}

// unlink removes s.
func (o *order) unlink(links []link, s uint32) {
	if o.discipline == byFrequency {
		o.groups.forget(links, s)
	} else {
		o.list.unlink(links, s)
	}
}

// head returns the last victim, or 0.
func (o *order) head() uint32 {
	if o.discipline == byFrequency {
		return o.groups.hottest()
	}
	return o.list.head
}

// tail returns the next victim, or 0.
func (o *order) tail() uint32 {
	if o.discipline == byFrequency {
		return o.groups.coldest()
	}
	return o.list.tail
}

// following returns the neighbor of s towards the tail, or towards the head if
// back is set; or 0.
func (o *order) following(links []link, s uint32, back bool) uint32 {
	switch {
	case o.discipline == byFrequency && back:
		return o.groups.hotter(links, s)
	case o.discipline == byFrequency:
		return o.groups.colder(links, s)
	case back:
		return links[s].prev
	}
	return links[s].next
}

// A group is the slots that were used equally often, the last used one first.
type group struct {
	count      uint64
	slots      list
	prev, next uint32 // groups with the next lower and the next higher count
}

// groups hold slots by how often they were used, in O(1) an operation. A use
// raises a count by one, so the slot moves to the next group or to a new one in
// between (Shah, Mitra and Matani 2010). The zero groups are empty. Group 0
// means none.
type groups struct {
	all         []group
	of          []uint32 // the group of each slot
	free        uint32   // the first unused group; the others follow by next
	first, last uint32   // the lowest and the highest count
}

// reserve makes room for n slots, and for as many groups.
func (g *groups) reserve(n int) {
	old := max(len(g.all), 1)
	g.of = extended(g.of, n)
	g.all = extended(g.all, n)
	g.freeFrom(old)
}

// freeFrom puts the groups from number first on in the free list.
func (g *groups) freeFrom(first int) {
	for i := len(g.all) - 1; i >= first; i-- {
		g.all[i].next = g.free
		g.free = uint32(i)
	}
}

// insertGroup makes a group for count after group p, or first if p is 0.
func (g *groups) insertGroup(p uint32, count uint64) uint32 {
	i := g.free
	g.free = g.all[i].next
	next := g.first
	if p != 0 {
		next = g.all[p].next
	}
	g.all[i] = group{count: count, prev: p, next: next}

	// Make the neighbors point to it.
	if p != 0 {
		g.all[p].next = i
	} else {
		g.first = i
	}
	if next != 0 {
		g.all[next].prev = i
	} else {
		g.last = i
	}
	return i
}

// dropIfEmpty frees group i if it has no slots.
func (g *groups) dropIfEmpty(i uint32) {
	e := g.all[i]
	if e.slots.n > 0 {
		return
	}

	if e.prev != 0 {
		g.all[e.prev].next = e.next
	} else {
		g.first = e.next
	}
	if e.next != 0 {
		g.all[e.next].prev = e.prev
	} else {
		g.last = e.prev
	}

	// The place is used again.
	g.all[i] = group{next: g.free}
	g.free = i
}

// push adds s as used once.
func (g *groups) push(links []link, s uint32) {
	i := g.first
	if i == 0 || g.all[i].count != 1 {
		i = g.insertGroup(0, 1)
	}
	g.all[i].slots.pushFront(links, s)
	g.of[s] = i
}

// touch counts a use of s.
func (g *groups) touch(links []link, s uint32) {
	i := g.of[s]
	e := &g.all[i]
	want := e.count + 1
	next := e.next
	if next == 0 || g.all[next].count != want {
		if e.slots.n == 1 {
			e.count = want // alone, the slot takes its group along
			return
		}
		next = g.insertGroup(i, want)
	}

	// The slot moves to the group of its new count.
	g.all[i].slots.unlink(links, s)
	g.all[next].slots.pushFront(links, s)
	g.of[s] = next
	g.dropIfEmpty(i)
}

// raise sets the count of s to a higher one, as if s had been used that often.
// It takes time linear in the number of groups.
func (g *groups) raise(links []link, s uint32, count uint64) {
	from := g.of[s]
	at := from
	for next := g.all[at].next; next != 0 && g.all[next].count <= count; next = g.all[at].next {
		at = next
	}
	if at == from && g.all[from].slots.n == 1 {
		g.all[from].count = count
		return
	}

	// The slot moves to the group of count, which may have to be made.
	g.all[from].slots.unlink(links, s)
	g.dropIfEmpty(from) // not if from is at, which holds others
	if g.all[at].count != count {
		at = g.insertGroup(at, count)
	}
	g.all[at].slots.pushFront(links, s)
	g.of[s] = at
}

// forget removes s.
func (g *groups) forget(links []link, s uint32) {
	i := g.of[s]
	g.all[i].slots.unlink(links, s)
	g.of[s] = 0
	g.dropIfEmpty(i)
}

// count returns how often s was used.
func (g *groups) count(s uint32) uint64 { return g.all[g.of[s]].count }

// coldest returns the slot used least often and, among those, longest ago, or
// 0.
func (g *groups) coldest() uint32 {
	if g.first == 0 {
		return 0
	}
	return g.all[g.first].slots.tail
}

// hottest returns the slot used most often and, among those, last, or 0.
func (g *groups) hottest() uint32 {
	if g.last == 0 {
		return 0
	}
	return g.all[g.last].slots.head
}

// colder returns the slot after s on the way from hottest to coldest, or 0.
func (g *groups) colder(links []link, s uint32) uint32 {
	if next := links[s].next; next != 0 {
		return next
	}
	return g.all[g.all[g.of[s]].prev].slots.head
}

// hotter returns the slot after s on the way from coldest to hottest, or 0.
func (g *groups) hotter(links []link, s uint32) uint32 {
	if prev := links[s].prev; prev != 0 {
		return prev
	}
	return g.all[g.all[g.of[s]].next].slots.tail
}
