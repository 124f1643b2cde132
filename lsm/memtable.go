// SPDX-License-Identifier: MIT

package lsm

import (
	"bytes"
	"encoding/binary"
	"sync/atomic"
)

// A memtable is an ordered set of versions of keys: a B+tree with one writer
// and any number of concurrent readers, which take no lock and write nothing.
// Versions are ordered by key, and of one key the newest comes first.
//
// A node holds up to 14 items in slots, which are filled in the order of
// arrival and never change. A word, perm, gives their order, and is what a
// reader loads first. So the writer adds an item by filling the next slot and
// storing a new perm (Masstree's permutation). A full node is not changed any
// more: two new ones replace it.
//
//	node   perm    16 nibbles: number of items, then the slot of each item in order
//	       skip    bytes that all keys which belong here have in common
//	       heads   per slot 8 bytes of the key after skip, as a number
//	       refs    per slot an entry; in an inner node the first entry of a child
//	       kids    per slot a child; nil in a leaf
//	       next    the leaf to the right
//	       prev    the leaf to the left; only the writer looks at it
//
//	M1  Items of a node ascend, and lie within its fences, which are the refs
//	    to the left and right of it in its ancestors.
//	M2  skip is the length of the common prefix of the keys of both fences, or
//	    0 if there are fewer than two.
//	M3  The first ref of an inner node is not looked at; items to the left of
//	    everything belong to its first child.
//	M4  Only an empty tree has an empty leaf.
//	M5  next and prev link all leaves in order.
//	M6  size is the memory of the nodes in the tree.
//
// Why a reader misses nothing. It looks for versions up to a sequence S, all of
// which were in the tree before it loaded the root.
//
//   - A node that it reaches was in the tree when the pointer to it was loaded,
//     or later. If it was replaced since, that was after S was read, so all
//     items that its replacements got are newer than S: a replaced node is
//     complete up to S.
//   - The writer replaces a node by adding the right half to the parent, then
//     putting the left half in place of the node, then updating next of the
//     leaf to the left. The new item is added after that, or is in a half from
//     the start. Between these steps the old node still has all items;
//     [memtable.child] makes sure that order and child belong together.
//   - next of a replaced leaf is not updated any more. It points to a leaf that
//     was in the tree when the leaf was replaced, so the first point holds for
//     it.
//
// TestMemtableOrders runs all small orders of insertion, with readers at all
// points.
//
// Why not a skip list: a search takes a cache miss per comparison and about
// 1.3·log2(n) of them, a B+tree one node of 3 lines per level and 4 comparisons
// of numbers in each. Why nodes are not in an arena: a replaced node can be
// reused when no reader has it, which the garbage collector knows.
type memtable struct {
	arena *arena
	root  atomic.Pointer[node]
	order int    // items of a full node: fanout, at least 3 in tests
	size  int64  // bytes of nodes
	count int    // versions
	log   logRef // the first log that has them
	last  uint64 // the last sequence, when nobody writes m any more
	step  func() // if not nil, called between the stores that readers can see: for tests
}

const (
	fanout    = 14
	leafSize  = 208
	innerSize = leafSize + 8*fanout
)

// A perm is the order of the items of a node.
type perm uint64

func (p perm) len() int     { return int(p & 15) }
func (p perm) at(i int) int { return int(p >> (4 + 4*i) & 15) }

// inOrder returns the order of n items that are in slots 0 to n-1.
func inOrder(n int) perm {
	const all = perm(0xdcba9876543210 << 4) // slot i is item i
	return all&(1<<(4+4*n)-1) | perm(n)
}

// insert returns p with slot p.len() as item i.
func (p perm) insert(i int) perm {
	low := p & (1<<(4+4*i) - 1)
	return (low | perm(p.len())<<(4+4*i) | p>>(4+4*i)<<(8+4*i)) + 1
}

// A node is a node of a memtable.
type node struct {
	perm  atomic.Uint64
	next  atomic.Pointer[node]
	prev  *node
	kids  *[fanout]atomic.Pointer[node]
	skip  int
	heads [fanout]uint64
	refs  [fanout]uint32
}

// newNode returns a node without items that belongs between the entries lo and
// hi.
func (m *memtable) newNode(inner bool, lo, hi uint32) *node {
	var n *node
	if inner {
		both := new(struct {
			node
			kids [fanout]atomic.Pointer[node]
		})
		n = &both.node
		n.kids = &both.kids
		m.size += innerSize
	} else {
		n = new(node)
		m.size += leafSize
	}

	if lo != 0 && hi != 0 {
		a, _, _ := m.arena.get(lo)
		b, _, _ := m.arena.get(hi)
		n.skip = commonPrefix(a, b)
	}
	return n
}

// commonPrefix returns how many bytes a and b have in common at their start.
func commonPrefix(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// head returns 8 bytes as a number that orders as they do. Missing bytes count
// as zeros, so that equal heads decide nothing.
func head(b []byte) uint64 {
	if len(b) >= 8 {
		return binary.BigEndian.Uint64(b)
	}
	var h uint64
	for i, c := range b {
		h |= uint64(c) << (56 - 8*i)
	}
	return h
}

// newMemtable returns an empty memtable.
func newMemtable() *memtable {
	m := &memtable{arena: newArena(), order: fanout}
	m.root.Store(m.newNode(false, 0, 0))
	return m
}

// bytes returns the memory that m takes.
func (m *memtable) bytes() int64 { return m.arena.size + m.size }

// growth returns a bound of the bytes that n operations of size bytes in all
// add to that. It holds for one operation always, because that splits at most
// one node of each level. Many could each split another leaf, if all are full:
// that is not provided for.
func (m *memtable) growth(size, n int64) int64 {
	const (
		node  = 2 * leafSize / fanout   // leaves are at least half full, nearly always
		split = leafSize + 10*innerSize // maxMemory has room for 10 levels of half full nodes
	)
	return m.arena.growth(size+n*(maxEntryExtra+refUnit)) + n*node + split
}

// search returns the number of items of n before (key, seq). Items before from
// are known to be.
func (m *memtable) search(n *node, p perm, from int, key []byte, seq uint64) int {
	h := head(key[n.skip:])
	lo, hi := from, p.len()
	for lo < hi {
		// Heads decide unless they are equal: then the keys do.
		mid := (lo + hi) / 2
		slot := p.at(mid)
		less := n.heads[slot] < h
		if n.heads[slot] == h {
			less = m.arena.before(n.refs[slot], key, seq, n.skip)
		}
		if less {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// seek returns the ref of the first entry that is not before (key, seq), or 0.
// The complexity is O(log n) where n is the number of entries.
func (m *memtable) seek(key []byte, seq uint64) uint32 {
	// The entry may be the first of the leaf to the right.
	n, p, i := m.locate(key, seq)
	if i == p.len() {
		if n = n.next.Load(); n == nil {
			return 0
		}
		i = 0
		p = perm(n.perm.Load())
	}
	return n.refs[p.at(i)]
}

// locate returns a leaf with its order, and how many of its entries are before
// (key, seq). If that is none, there are none: a leaf has the entry that
// separates it from the leaf to the left, and that is before (key, seq) or the
// leaf is not reached.
func (m *memtable) locate(key []byte, seq uint64) (n *node, p perm, i int) {
	n = m.root.Load()
	p = perm(n.perm.Load())
	for n.kids != nil {
		n = m.child(n, p, key, seq)
		p = perm(n.perm.Load())
	}
	return n, p, m.search(n, p, 0, key, seq)
}

// rightmost returns the last leaf, with its order.
func (m *memtable) rightmost() (n *node, p perm) {
	n = m.root.Load()
	p = perm(n.perm.Load())
	for n.kids != nil {
		// An item that comes after p was loaded splits the last child.
		kid := n.kids[p.at(p.len()-1)].Load()
		if now := perm(n.perm.Load()); now != p {
			p = now
			continue
		}
		n = kid
		p = perm(n.perm.Load())
	}
	return n, p
}

// child returns the child of n in which (key, seq) belongs; p was loaded from
// n. If the child is split after that, its slot may hold the left half already,
// and p does not know the right one: then perm has changed as well, which the
// writer does first.
func (m *memtable) child(n *node, p perm, key []byte, seq uint64) *node {
	for {
		kid := n.kids[p.at(m.search(n, p, 1, key, seq)-1)].Load()
		now := perm(n.perm.Load())
		if now == p {
			return kid
		}
		p = now
	}
}

// get returns the newest version of key up to seq. ok is false if there is
// none.
func (m *memtable) get(key []byte, seq uint64) (value []byte, kind byte, ok bool) {
	ref := m.seek(key, seq)
	if ref == 0 {
		return nil, 0, false
	}
	k, v, trailer := m.arena.get(ref)
	if !bytes.Equal(k, key) {
		return nil, 0, false
	}
	return v, byte(trailer), true
}

// insert adds a version. (key, seq) must be new.
// The complexity is O(log n) where n is the number of entries.
func (m *memtable) insert(key, value []byte, seq uint64, kind byte) {
	ref := m.arena.put(key, value, seq<<8|uint64(kind))
	m.count++
	for !m.tryInsert(key, seq, ref) {
	}
	if invariants && seq&(seq-1) == 0 {
		m.check()
	}
}

// tryInsert adds the entry ref, or splits the first full node on the way to its
// place and returns false. The parent of that node is not full.
func (m *memtable) tryInsert(key []byte, seq uint64, ref uint32) bool {
	var parent *node
	var at int        // n is item at of parent
	var lo, hi uint32 // fences of n
	n := m.root.Load()
	for {
		p := perm(n.perm.Load())
		if p.len() == m.order {
			return m.splitFor(parent, at, n, lo, hi, key, seq, ref)
		}

		// A leaf with room takes the entry.
		if n.kids == nil {
			m.addItem(n, m.search(n, p, 0, key, seq), ref, nil)
			return true
		}

		// Go down, and take along the fences of the child.
		i := m.search(n, p, 1, key, seq) - 1
		if i > 0 {
			lo = n.refs[p.at(i)]
		}
		if i+1 < p.len() {
			hi = n.refs[p.at(i+1)]
		}
		parent = n
		at = i
		n = n.kids[p.at(i)].Load()
	}
}

// splitFor splits n, which is full, for the entry ref, and reports whether that
// was added.
//
// Half of the items stay on each side, unless the entry is next to the one that
// came last: then more are likely to come there. Keys that ascend leave full
// leaves to the left, and keys that descend, or versions of one key, leave
// leaves to the right that are at least half full.
func (m *memtable) splitFor(parent *node, at int, n *node, lo, hi uint32, key []byte, seq uint64, ref uint32) bool {
	p := perm(n.perm.Load())
	half := p.len() / 2
	if n.kids != nil {
		m.split(parent, at, n, half, lo, hi, 0)
		return false
	}

	// Keys that come in order leave full leaves behind: split where the next
	// one goes.
	i := m.search(n, p, 0, key, seq)
	ascending := i > 0 && p.at(i-1) == p.len()-1
	descending := i < p.len() && p.at(i) == p.len()-1
	switch {
	case ascending && i == p.len(), descending && i == 0:
		m.split(parent, at, n, i, lo, hi, ref)
		return true
	case ascending && i > half, descending && i <= half:
		m.split(parent, at, n, i, lo, hi, 0)
		return false
	default:
		m.split(parent, at, n, half, lo, hi, 0)
		return false
	}
}

// addItem makes ref, with its child in an inner node, item i of n.
func (m *memtable) addItem(n *node, i int, ref uint32, kid *node) {
	p := perm(n.perm.Load())
	slot := p.len()
	if ref != 0 {
		key, _, _ := m.arena.get(ref)
		n.heads[slot] = head(key[n.skip:])
	}
	n.refs[slot] = ref
	if kid != nil {
		n.kids[slot].Store(kid)
	}
	m.stepped()
	n.perm.Store(uint64(p.insert(i)))
	m.stepped()
}

// stepped calls step, if it is set.
func (m *memtable) stepped() {
	if m.step != nil {
		m.step()
	}
}

// split replaces n, item at of parent, by one node with its first mid items,
// and one with the others. A half without items gets the entry ref. The parent
// is nil if n is the root.
func (m *memtable) split(parent *node, at int, n *node, mid int, lo, hi, ref uint32) {
	p := perm(n.perm.Load())
	sep := ref
	if mid < p.len() {
		sep = n.refs[p.at(mid)]
	}

	// Both halves are new nodes, so that readers of n see one or the other.
	a := m.copyItems(n, p, 0, mid, lo, sep)
	b := m.copyItems(n, p, mid, p.len(), sep, hi)
	switch mid {
	case 0:
		m.addItem(a, 0, ref, nil)
	case p.len():
		m.addItem(b, 0, ref, nil)
	}

	// Leaves are a list.
	if n.kids == nil {
		a.prev = n.prev
		b.prev = a
		a.next.Store(b)
		b.next.Store(n.next.Load())
	}
	m.size -= leafSize
	if n.kids != nil {
		m.size -= innerSize - leafSize
	}

	// The right half first: a reader that does not know it yet still finds n.
	if parent == nil {
		parent = m.newNode(true, 0, 0)
		m.addItem(parent, 0, 0, a)
		m.addItem(parent, 1, sep, b)
		m.root.Store(parent)
	} else {
		slot := perm(parent.perm.Load()).at(at)
		m.addItem(parent, at+1, sep, b)
		parent.kids[slot].Store(a)
	}
	m.stepped()

	// The list comes last. A reader of the list that is on n finds the same
	// entries there.
	if n.kids == nil {
		if n.prev != nil {
			n.prev.next.Store(a)
			m.stepped()
		}
		if right := n.next.Load(); right != nil {
			right.prev = b
		}
	}
}

// copyItems returns a node between lo and hi with the items from, from+1, …,
// to-1 of n. No reader sees it yet.
func (m *memtable) copyItems(n *node, p perm, from, to int, lo, hi uint32) *node {
	c := m.newNode(n.kids != nil, lo, hi)
	for i := from; i < to; i++ {
		slot := p.at(i)
		ref := n.refs[slot]
		c.refs[i-from] = ref
		switch {
		case c.skip == n.skip:
			c.heads[i-from] = n.heads[slot] // the key may be far away
		case ref != 0:
			c.heads[i-from] = head(m.key(ref)[c.skip:])
		}
		if n.kids != nil {
			c.kids[i-from].Store(n.kids[slot].Load())
		}
	}
	c.perm.Store(uint64(inOrder(to - from)))
	m.stepped()
	return c
}

func (m *memtable) key(ref uint32) []byte { k, _, _ := m.arena.get(ref); return k }
func (m *memtable) seq(ref uint32) uint64 { _, _, t := m.arena.get(ref); return t >> 8 }

// leftmost returns the first leaf.
func (m *memtable) leftmost() *node {
	n := m.root.Load()
	for n.kids != nil {
		n = n.kids[perm(n.perm.Load()).at(0)].Load()
	}
	return n
}

// each calls f for each entry in order, and tells whether it is the newest of
// its key.
func (m *memtable) each(f func(key, value []byte, trailer uint64, newest bool)) {
	var last []byte
	first := true
	for n := m.leftmost(); n != nil; n = n.next.Load() {
		p := perm(n.perm.Load())
		for i := range p.len() {
			key, value, trailer := m.arena.get(n.refs[p.at(i)])
			f(key, value, trailer, first || !bytes.Equal(key, last))
			first = false
			last = key
		}
	}
}

// live returns the size of the newest versions, with or without deletes, where
// size tells that of one entry.
func (m *memtable) live(deletes bool, size func(key, value int) int64) (n int64) {
	m.each(func(key, value []byte, trailer uint64, newest bool) {
		if newest && (deletes || byte(trailer) != kindDelete) {
			n += size(len(key), len(value))
		}
	})
	return n
}

// hasValues reports whether a key has a value.
func (m *memtable) hasValues() bool {
	return m.live(false, func(int, int) int64 { return 1 }) > 0
}
