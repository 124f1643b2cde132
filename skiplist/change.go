// SPDX-License-Identifier: MIT

package skiplist

import "math/bits"

// seek leads the path of m to key, and reports whether it is there.
func (m *Map[K, V]) seek(key K) (ok bool) {
	p := &m.path
	m.path.atEnd = false
	m.seeks++
	if m.len == 0 {
		p.reset()
		p.leaf = m.only
		return false
	}
	p.depth = 0
	p.leaf, p.at, _, ok = m.find(m, key, forChange)
	return ok
}

// ownPath makes sure that m may change the blocks of its path.
func (m *Map[K, V]) ownPath() {
	p := &m.path
	if p.leaf.owner == m.owner.Load() {
		return // and so the blocks above (I5)
	}
	if m.top == nil {
		m.only = m.ownLeaf(m.only)
		p.leaf = m.only
		return
	}

	m.top = m.ownIndex(m.top)
	p.blocks[0] = m.top
	for d := range p.depth {
		k := m.ownKid(p.blocks[d], p.places[d])
		if k.leaf != nil {
			p.leaf = k.leaf
		} else {
			p.blocks[d+1] = k.index
		}
	}
}

// changed notes a change of m, which is complete.
func (m *Map[K, V]) changed() {
	m.changes++
	m.path.atEnd = false
	if invariants && m.len <= checkedLen {
		m.check()
	}
}

// replace gives the entry on the path another value, and returns the old one.
func (m *Map[K, V]) replace(value V) (old V) {
	m.ownPath()
	p := &m.path
	old = p.leaf.vals[p.at]
	p.leaf.vals[p.at] = value
	m.changed()
	return old
}

// isNext reports whether key comes after all others, and the path leads to the
// last leaf, which has room.
func (m *Map[K, V]) isNext(key K) bool {
	l := m.path.leaf
	return m.path.atEnd && l.n < m.limit && l.owner == m.owner.Load() &&
		m.compare(l.keys[l.n-1], key) < 0
}

// appendNext inserts an entry of which isNext said true.
func (m *Map[K, V]) appendNext(key K, value V) {
	p := &m.path
	l := p.leaf
	p.at = l.n
	l.keys[p.at] = key
	l.vals[p.at] = value
	l.n++
	if l.prefix != nil {
		insertPrefix(l.prefix, l.keys[:l.n], p.at)
	}
	p.add(p.depth, 1)
	m.len++
	m.changed()
	p.atEnd = true
}

// insert inserts an entry where the path leads.
func (m *Map[K, V]) insert(key K, value V) {
	p := &m.path
	if p.leaf == nil {
		m.only = m.newLeaf()
		p.leaf = m.only
	}
	m.ownPath()

	// Make room. If compare panics meanwhile, the map is valid.
	for p.leaf.n == m.limit {
		if m.addLeaf(key, value) {
			return
		}
		if !m.shareLeaf() {
			m.splitLeaf()
		}
		m.seek(key)
	}

	p.leaf.insert(p.at, key, value)
	p.add(p.depth, 1)
	m.len++
	m.changed()
	if p.at == p.leaf.n-1 && p.isLast(p.depth) {
		m.path.atEnd = true
	}
}

// addLeaf inserts an entry into a new leaf if it comes before or after all
// others, so that leaves are full if the keys come in order.
func (m *Map[K, V]) addLeaf(key K, value V) bool {
	p := &m.path
	after := p.at == p.leaf.n && p.isLast(p.depth)
	before := p.at == 0 && p.isFirst()
	if !after && !before {
		return false
	}
	l := m.newLeaf()
	l.insert(0, key, value)
	m.len++

	// The blocks above the lowest have one entry more under the same kid.
	p.add(p.depth-1, 1)
	if after {
		m.addKid(p.depth-1, key, kid[K, V]{leaf: l, count: 1}, m.flips())
	} else {
		// The new leaf takes the place of the first one, which comes after it.
		first := p.leaf
		if p.depth > 0 {
			x := p.blocks[p.depth-1]
			x.leaves[0] = l
			x.counts[0] = 1
		} else {
			m.only = l
		}
		m.addKid(p.depth-1, first.keys[0], kid[K, V]{leaf: first, count: first.n}, m.flips())
	}

	m.changed()
	if after {
		p.seek(m, m.len-1)
		m.path.atEnd = true
	}
	return true
}

// shareLeaf gives entries of the leaf on the path to a neighbor that has room,
// and reports whether there was one.
func (m *Map[K, V]) shareLeaf() bool {
	p := &m.path
	d := p.depth - 1
	if d < 0 {
		return false
	}
	x := p.blocks[d]
	i := p.places[d]
	most := m.limit * 3 / 4
	switch {
	case i > 0 && x.leaves[i-1].n <= most:
		m.balance(x, i-1)
	case i+1 < x.n && x.leaves[i+1].n <= most:
		m.balance(x, i)
	default:
		return false
	}
	m.changes++
	return true
}

// splitLeaf moves half of the leaf on the path into a new one.
func (m *Map[K, V]) splitLeaf() {
	p := &m.path
	l := p.leaf
	r := m.newLeaf()
	l.moveBack(r, l.n/2)
	if d := p.depth - 1; d >= 0 {
		p.blocks[d].counts[p.places[d]] = l.n
	}
	m.addKid(p.depth-1, r.keys[0], kid[K, V]{leaf: r, count: r.n}, m.flips())
	m.changes++
}

// flips returns how many coins of 1 in 64 fell on the right side in a row.
func (m *Map[K, V]) flips() int { return bits.TrailingZeros64(m.coins.Uint64()|1<<60) / 6 }

// addKid puts k after the kid on the path in the block of depth d, which m
// owns. fence is its lower bound, and goes up as many levels as ups. The counts
// on the path are right if k is counted in the blocks above d. The path is not
// valid any more.
func (m *Map[K, V]) addKid(d int, fence K, k kid[K, V], ups int) {
	p := &m.path
	if d < 0 {
		m.raise(fence, k)
		return
	}
	x := p.blocks[d]
	i := p.places[d] + 1
	if ups == 0 && x.n < m.limit {
		x.insert(i, fence, k)
		return
	}

	// Cut the block where the new fence goes up. Without a coin the fence in
	// the middle of a full block does, or the new one if it is the last of the
	// map: then the blocks are full if the keys come in order.
	r := m.newIndex(x.leaves != nil)
	var up K
	switch {
	case i == x.n && (ups > 0 || p.isLast(d)):
		up = fence
		r.insert(0, fence, k)
	case ups > 0:
		up = fence
		next := x.moveBack(r, x.n-i, fence)
		r.insert(0, next, k)
	default:
		half := x.n / 2
		up = x.moveBack(r, x.n-half, fence)
		if i <= half {
			x.insert(i, fence, k)
		} else {
			r.insert(i-half, fence, k)
		}
	}

	if d > 0 {
		p.blocks[d-1].counts[p.places[d-1]] = x.sum(0, x.n)
	}
	m.addKid(d-1, up, kid[K, V]{index: r, count: r.sum(0, r.n)}, max(ups-1, 0))
}

// raise makes a new top of the old one and k, which comes after it.
func (m *Map[K, V]) raise(fence K, k kid[K, V]) {
	first := kid[K, V]{index: m.top, leaf: m.only}
	if k.leaf != nil {
		first.count = m.only.n
	} else {
		first.count = m.top.sum(0, m.top.n)
	}
	x := m.newIndex(k.leaf != nil)
	x.insert(0, fence, first)
	x.insert(1, fence, k)
	m.top = x
	m.only = nil
}

// remove removes the entry on the path, and returns it.
func (m *Map[K, V]) remove() (key K, value V) {
	m.ownPath()
	m.settle()
	p := &m.path
	key = p.leaf.keys[p.at]
	value = p.leaf.vals[p.at]
	p.leaf.remove(p.at, p.at+1)
	p.add(p.depth, -1)
	m.len--
	m.changed()
	return key, value
}

// settle makes the blocks on the path, which m owns, so full that the leaf may
// lose an entry: those of a quarter or less are balanced with a neighbor, and
// so is a leaf of three eighths or less, if both become one. A block without a
// neighbor has one after the block above it got more kids; the top has two.
func (m *Map[K, V]) settle() {
	p := &m.path
	for d := p.depth - 1; d >= 0; d-- {
		x := p.blocks[d]
		if x.n == 1 {
			continue
		}
		n := x.size(p.places[d])
		i := min(p.places[d], x.n-2)
		small := n <= m.limit/4
		if !small && x.leaves != nil && n <= m.limit*3/8 {
			small = m.merges(x.size(i), x.size(i+1))
		}
		if !small {
			continue
		}

		// The path leads to the same entry afterwards, by other blocks.
		r := p.rank()
		m.balance(x, i)
		m.lower()
		p.reset()
		p.seek(m, r)
		d = p.depth
	}
}

// lower takes the top away while it has but one kid.
func (m *Map[K, V]) lower() {
	for m.top != nil && m.top.n == 1 {
		if m.top.leaves != nil {
			m.only = m.top.leaves[0]
			m.top = nil
		} else {
			m.top = m.top.kids[0]
		}
	}
}

// balance merges kids i and i+1 of x, which m owns, if they are three quarters
// of a block at most. Else it makes them equally full.
func (m *Map[K, V]) balance(x *index[K, V], i int) {
	a := m.ownKid(x, i)
	b := m.ownKid(x, i+1)
	if a.leaf != nil {
		m.balanceLeaves(x, i, a.leaf, b.leaf)
	} else {
		m.balanceIndexes(x, i, a.index, b.index)
	}
}

// merges reports whether blocks of a and b entries or kids become one.
func (m *Map[K, V]) merges(a, b int) bool { return a+b <= m.limit*3/4 }

func (m *Map[K, V]) balanceLeaves(x *index[K, V], i int, a, b *leaf[K, V]) {
	if m.merges(a.n, b.n) {
		b.moveTo(a, b.n)
		x.counts[i] = a.n
		x.remove(i+1, i+2)
		return
	}

	half := (a.n + b.n) / 2
	if a.n > half {
		a.moveBack(b, a.n-half)
	} else {
		b.moveTo(a, half-a.n)
	}
	x.counts[i] = a.n
	x.counts[i+1] = b.n
	x.setFence(i+1, b.keys[0])
}

func (m *Map[K, V]) balanceIndexes(x *index[K, V], i int, a, b *index[K, V]) {
	fence := x.fences[i+1]
	if m.merges(a.n, b.n) {
		b.moveTo(a, b.n, fence)
		x.counts[i] += x.counts[i+1]
		x.remove(i+1, i+2)
		return
	}

	half := (a.n + b.n) / 2
	if a.n > half {
		fence = a.moveBack(b, a.n-half, fence)
	} else {
		fence = b.moveTo(a, half-a.n, fence)
	}
	x.counts[i] = a.sum(0, a.n)
	x.counts[i+1] = b.sum(0, b.n)
	x.setFence(i+1, fence)
}

// clearRange removes the entries of ranks lo to hi, hi excluded. Whole blocks
// are dropped, so that the complexity is O(log n).
func (m *Map[K, V]) clearRange(lo, hi int) {
	switch {
	case lo >= hi:
		return
	case lo == 0 && hi == m.len:
		m.Clear()
		return
	}

	m.path.reset()
	m.len -= hi - lo
	if m.top == nil {
		m.only = m.ownLeaf(m.only)
		m.only.remove(lo, hi)
	} else {
		m.top = m.ownIndex(m.top)
		m.cut(m.top, lo, hi)
		m.lower()
	}

	// The blocks on both sides of the gap may be too empty.
	if lo < m.len {
		m.mend(lo)
	}
	if lo > 0 {
		m.mend(lo - 1)
	}
	m.changed()
}

// cut removes the entries of ranks lo to hi under x, which m owns, but not all
// of them.
func (m *Map[K, V]) cut(x *index[K, V], lo, hi int) {
	start := 0
	from, to := -1, -1 // kids to drop
	for i := 0; i < x.n && start < hi; i++ {
		end := start + x.counts[i]
		a := max(lo, start)
		b := min(hi, end)
		switch {
		case a >= b:
		case a == start && b == end:
			if from < 0 {
				from = i
			}
			to = i + 1
		default:
			k := m.ownKid(x, i)
			if k.leaf != nil {
				k.leaf.remove(a-start, b-start)
			} else {
				m.cut(k.index, a-start, b-start)
			}
			x.counts[i] -= b - a
		}
		start = end
	}

	if from >= 0 {
		x.remove(from, to)
	}
}

// mend settles the blocks on the way to the entry of rank r.
func (m *Map[K, V]) mend(r int) {
	m.path.seek(m, r)
	m.ownPath()
	m.settle()
}
