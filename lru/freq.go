// SPDX-License-Identifier: MIT

package lru

// A group is the slots that were used equally often, the last used one first.
type group struct {
	count      uint64
	slots      list
	prev, next uint32 // groups with the next lower and the next higher count
}

// groups hold slots by how often they were used, in O(1) an operation: the counts of neighbors
// differ, a use moves a slot by one, so it moves to the next group or to a new one in between
// (Shah, Mitra and Matani 2010). The zero groups hold nothing. Group 0 means none.
type groups struct {
	all         []group
	of          []uint32 // the group of each slot
	free        uint32   // the first unused group; the others follow by next
	first, last uint32   // the lowest and the highest count
}

// grow makes room for n slots, and for as many groups, so that no use allocates.
func (g *groups) grow(n int) {
	g.of = append(make([]uint32, 0, n+1), g.of...)[:n+1]
	old := max(len(g.all), 1)
	g.all = append(make([]group, 0, n+1), g.all...)[:n+1]
	g.release(old)
}

// release puts the groups from the number first on in the free list.
func (g *groups) release(first int) {
	for i := len(g.all) - 1; i >= first; i-- {
		g.all[i].next, g.free = g.free, uint32(i)
	}
}

// reset forgets all slots and keeps the memory.
func (g *groups) reset() {
	clear(g.all)
	clear(g.of)
	g.free, g.first, g.last = 0, 0, 0
	g.release(1)
}

// insert makes a group for count after the group p, or first if p is 0.
func (g *groups) insert(p uint32, count uint64) uint32 {
	i := g.free
	g.free = g.all[i].next
	next := g.first
	if p != 0 {
		next = g.all[p].next
	}
	g.all[i] = group{count: count, prev: p, next: next}
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

// drop frees the group i if it is empty.
func (g *groups) drop(i uint32) {
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
	g.all[i] = group{next: g.free}
	g.free = i
}

// push adds s as used once.
func (g *groups) push(links []link, s uint32) {
	i := g.first
	if i == 0 || g.all[i].count != 1 {
		i = g.insert(0, 1)
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
			e.count = want // alone, it takes its group along
			return
		}
		next = g.insert(i, want)
	}
	g.all[i].slots.remove(links, s)
	g.all[next].slots.pushFront(links, s)
	g.of[s] = next
	g.drop(i)
}

// raise sets the count of s to a higher one, as if it had been used that often. It takes time
// linear in the number of groups.
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
	g.all[from].slots.remove(links, s)
	g.drop(from) // not if it is at, which holds others
	if g.all[at].count != count {
		at = g.insert(at, count)
	}
	g.all[at].slots.pushFront(links, s)
	g.of[s] = at
}

// remove forgets s.
func (g *groups) remove(links []link, s uint32) {
	i := g.of[s]
	g.all[i].slots.remove(links, s)
	g.of[s] = 0
	g.drop(i)
}

// coldest returns the slot used least often and, among those, longest ago, or 0.
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

// colder returns the slot that follows s on the way from hottest to coldest, or 0.
func (g *groups) colder(links []link, s uint32) uint32 {
	if next := links[s].next; next != 0 {
		return next
	}
	return g.all[g.all[g.of[s]].prev].slots.head
}

// hotter returns the slot that follows s on the way from coldest to hottest, or 0.
func (g *groups) hotter(links []link, s uint32) uint32 {
	if prev := links[s].prev; prev != 0 {
		return prev
	}
	return g.all[g.all[g.of[s]].next].slots.tail
}
