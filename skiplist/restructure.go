// SPDX-License-Identifier: MIT

package skiplist

// A hold is a leaf that a goroutine has locked, and the guide that the search
// for it came through, which may be old.
type hold[K, V any] struct {
	leaf *logLeaf[K, V]
	from *guide[K, V]
}

// unlock unlocks the leaf, which may be another one than was locked first.
func (h *hold[K, V]) unlock() { h.leaf.mu.Unlock() }

// hand makes b, which is locked, the leaf of h instead of the one before.
func (h *hold[K, V]) hand(b *logLeaf[K, V]) {
	h.leaf.mu.Unlock()
	h.leaf = b
}

// lockLeaf locks the leaf of key, which is current then.
func (m *ConcurrentMap[K, V]) lockLeaf(key K) hold[K, V] {
	for {
		x, i := m.seek(m, key, closed)
		b := x.leaf(i)
		if m.isFar() {
			b.touch() // while the lock waits for its line
		}
		lock(&b.mu)
		if b.loadLocked()&dead == 0 {
			return hold[K, V]{b, x}
		}
		b.mu.Unlock() // it was replaced since the search
	}
}

// putLocked makes value the value of key. j and there are what get says of key
// in the leaf of h. The entry shows from the store of the state on.
func (m *ConcurrentMap[K, V]) putLocked(h *hold[K, V], key K, value V, j int, there bool) {
	s := h.leaf.loadLocked()
	if s.count() >= int(h.leaf.limit) {
		m.rebuildLocked(h, key)
		s = h.leaf.loadLocked()
		j, there = m.get(m, h.leaf, s, key)
	}

	b := h.leaf
	i := s.count()
	base := int(b.base)
	place := j
	s += oneSlot
	if there {
		key = b.keys[j] // the key that was there stays
		s |= 1 << uint(j)
		if j >= base {
			place = int(b.places[j-base])
		}
	} else {
		m.len.Add(1) // before the entry shows
	}
	b.keys[i] = key
	b.vals[i] = value
	b.places[i-base] = uint8(place)
	b.storeLocked(s)
	if invariants {
		m.checkPublished(b)
	}
}

// eraseLocked removes the entry of slot j of b.
func (m *ConcurrentMap[K, V]) eraseLocked(b *logLeaf[K, V], j int) {
	b.storeLocked(b.loadLocked() | 1<<uint(j))
	m.len.Add(-1) // after the entry is gone
}

// The functions below change the structure, and no content: the new leaves have
// the entries of those that they replace, and are locked from before they can
// be reached until the old ones are dead. They call compare only before the
// store that makes a change visible.

// rebuildLocked replaces the leaf of h, whose log is full, by one or two, and
// leaves h with the one of key.
func (m *ConcurrentMap[K, V]) rebuildLocked(h *hold[K, V], key K) {
	b := h.leaf
	var o ordering
	n := m.slotsOf(b, b.loadLocked(), &o)
	slots := o[:n]
	if n <= m.maxBase {
		m.exchangeLocked(h, m.copyOf(b, slots))
		return
	}

	// Halve it, unless the keys come in order: then a full leaf stays behind.
	cut := n / 2
	if b.last && m.compare(b.keys[slots[n-1]], key) <= 0 {
		cut = min(m.maxBase, n-1)
	}
	lo := m.copyOf(b, slots[:cut])
	hi := m.copyOf(b, slots[cut:])
	fence := hi.keys[0]
	lo.high, lo.last = fence, false
	hi.low, hi.first = fence, false

	right := m.compare(fence, key) <= 0
	m.exchangeLocked(h, lo, hi)
	if right {
		h.hand(hi)
	} else {
		hi.mu.Unlock()
	}
}

// copyOf returns a locked leaf with the entries of b at slots, which are in
// order.
func (m *ConcurrentMap[K, V]) copyOf(b *logLeaf[K, V], slots []uint8) *logLeaf[K, V] {
	c := new(logLeaf[K, V])
	c.between(b, b)
	c.appendFrom(b, slots)
	m.openLog(c)
	c.mu.Lock()
	return c
}

// lockGuide locks the guide of level 1 that has the leaf of h, and returns the
// slot.
func (m *ConcurrentMap[K, V]) lockGuide(h *hold[K, V]) (x *guide[K, V], i int) {
	for {
		x := h.from
		lock(&x.mu)
		if !x.gone {
			i := x.leafAt(h.leaf)
			if i < 0 {
				x.mu.Unlock()
				panic("skiplist: I3 violated: a guide lost its leaf")
			}
			return x, i
		}
		x.mu.Unlock() // it was replaced since the search

		if h.leaf.first {
			h.from, _ = m.leftmost()
		} else {
			h.from, _ = m.seek(m, h.leaf.low, closed)
		}
	}
}

// exchangeLocked puts news in place of the leaf of h, and leaves h with the
// first of them.
func (m *ConcurrentMap[K, V]) exchangeLocked(h *hold[K, V], news ...*logLeaf[K, V]) {
	x, i := m.lockGuide(h)
	defer x.mu.Unlock()
	if len(news) == 1 {
		step()
		x.leaves[i].Store(news[0])
	} else {
		lock(&m.up)
		defer m.up.Unlock()
		m.growLocked(x, x.withLeaves(i, 1, news...), i+1)
		x.gone = true
	}

	h.leaf.retireLocked()
	h.hand(news[0])
}

// shrinkLocked merges the leaf of h with a neighbor if a deletion has left it
// small, or copies it without its dead slots if they are many. It is tried at
// every fourth entry less.
func (m *ConcurrentMap[K, V]) shrinkLocked(h *hold[K, V]) {
	s := h.leaf.loadLocked()
	n := s.size()
	if n <= m.lowWater && (n%4 == 0 || m.lowWater < 4) {
		if n == 0 {
			m.liftLocked(h)
		}
		if m.mergeLocked(h) {
			return
		}
	}
	if n == 0 && s.count() > 0 || s.count()-n > n+m.maxLog {
		var o ordering
		n := m.slotsOf(h.leaf, s, &o)
		m.exchangeLocked(h, m.copyOf(h.leaf, o[:n]))
	}
}

// liftLocked gives the leaf of h a neighbor under the same guide, if it has
// none there and is not the only leaf of all.
func (m *ConcurrentMap[K, V]) liftLocked(h *hold[K, V]) {
	x, _ := m.lockGuide(h)
	defer x.mu.Unlock()
	if x.n > 1 {
		return
	}
	lock(&m.up)
	defer m.up.Unlock()
	if x != m.root.Load() {
		m.replaceLocked(x, x.part(0, 1))
		x.gone = true
	}
}

// mergeLocked merges the leaf of h with a neighbor under the same guide, and
// reports whether it did.
func (m *ConcurrentMap[K, V]) mergeLocked(h *hold[K, V]) bool {
	x, i := m.lockGuide(h)
	defer x.mu.Unlock()
	return m.mergeWithLocked(h, x, i, i+1) || m.mergeWithLocked(h, x, i, i-1)
}

// mergeWithLocked merges the leaf of h, which is kid i of x, with kid j, if
// there is one and both fit into three quarters of a leaf, or into a whole one
// if either is empty. A kid that is busy is left alone: to wait for it might be
// against the order of locks.
func (m *ConcurrentMap[K, V]) mergeWithLocked(h *hold[K, V], x *guide[K, V], i, j int) bool {
	if j < 0 || j >= x.n {
		return false
	}
	c := x.leaves[j].Load()
	if !tryLock(&c.mu) {
		return false
	}
	defer c.mu.Unlock()
	n, cn := h.leaf.loadLocked().size(), c.loadLocked().size()
	if n > 0 && cn > 0 && n+cn > m.maxBase*3/4 || n+cn > m.maxBase {
		return false
	}

	lo, hi := h.leaf, c
	if j < i {
		lo, hi = c, h.leaf
	}
	b := m.copyOf(lo, nil)
	b.between(lo, hi)
	for _, from := range []*logLeaf[K, V]{lo, hi} {
		var o ordering
		n := m.slotsOf(from, from.loadLocked(), &o)
		b.appendFrom(from, o[:n])
	}
	m.openLog(b)

	lock(&m.up)
	defer m.up.Unlock()
	m.replaceLocked(x, x.withLeaves(min(i, j), 2, b))
	x.gone = true
	lo.retireLocked()
	hi.retireLocked()
	h.hand(b)
	return true
}

// A chain is leaves that a goroutine has locked, in the order of their keys,
// the only order in which it waits for one while it has another.
type chain[K, V any] []hold[K, V]

// unlockAll unlocks all leaves of c.
func (c chain[K, V]) unlockAll() {
	for i := range c {
		c[i].unlock()
	}
}

// keep unlocks all leaves of c but the one at i, and returns a chain of that.
func (c chain[K, V]) keep(i int) chain[K, V] {
	for j := range c {
		if j != i {
			c[j].unlock()
		}
	}
	return c[i : i+1]
}

// end returns the last leaf of c.
func (c chain[K, V]) end() *logLeaf[K, V] { return c[len(c)-1].leaf }

// lockFirst locks the first leaf.
func (m *ConcurrentMap[K, V]) lockFirst() hold[K, V] {
	for {
		x, i := m.leftmost()
		b := x.leaf(i)
		lock(&b.mu)
		if b.loadLocked()&dead == 0 {
			return hold[K, V]{b, x}
		}
		b.mu.Unlock() // it was replaced since the search
	}
}

// lockNext locks the leaf behind b, which is locked and not the last. It begins
// where b ends: what is locked is not replaced.
func (m *ConcurrentMap[K, V]) lockNext(b *logLeaf[K, V]) hold[K, V] { return m.lockLeaf(b.high) }
