// SPDX-License-Identifier: MIT

package skiplist

// snapshotTries is how often a snapshot reads without locks before it takes
// them.
const snapshotTries = 2

// Snapshot returns the entries of one moment as a [Map]. It reads without locks
// if the writers let it, and else locks all leaves for a moment that takes one
// word of each; the copy is made after that. The complexity is O(n) where n =
// m.Len().
func (m *ConcurrentMap[K, V]) Snapshot() *Map[K, V] {
	m.mustBeMade()
	return m.snapshot(bounds[K]{})
}

// snapshot returns the entries of one moment between the bounds of b.
func (m *ConcurrentMap[K, V]) snapshot(b bounds[K]) *Map[K, V] {
	list, ok := sights[K, V](nil), false
	for i := 0; i < m.tries && !ok; i++ {
		list, ok = m.collect(b)
	}
	if !ok {
		list = m.collectAll(b)
	}

	out := m.empty()
	for _, e := range list {
		var o ordering
		n := m.slotsOf(e.leaf, e.s, &o)
		for _, j := range m.within(e.leaf, &b, o[:n]) {
			out.Set(e.leaf.keys[j], e.leaf.vals[j])
		}
	}
	return out
}

// collect reads the leaves between the bounds of b without locks. It reports
// whether they held all of it at one moment.
func (m *ConcurrentMap[K, V]) collect(b bounds[K]) (list sights[K, V], ok bool) {
	x, i := m.start(&b)
	for c := x.leaf(i); ; {
		s := c.load()
		if s&dead != 0 {
			return nil, false
		}
		list = append(list, sight[K, V]{c, s})
		if c.last || b.endsBefore(m.compare, c.high) {
			return list, list.unchanged()
		}
		next := m.leafOf(c.high, closed)
		if next.first || m.compare(next.low, c.high) != 0 {
			return nil, false
		}
		c = next
	}
}

// collectAll reads the leaves between the bounds of b while it has all their
// locks.
func (m *ConcurrentMap[K, V]) collectAll(b bounds[K]) (list sights[K, V]) {
	var c chain[K, V]
	defer func() { c.unlockAll() }()
	for m.lockMore(&c, b) {
	}
	for _, h := range c {
		list = append(list, sight[K, V]{h.leaf, h.leaf.loadLocked()})
	}
	return list
}

// lockMore appends the next leaf between the bounds of b to c, and reports
// whether there was one.
func (m *ConcurrentMap[K, V]) lockMore(c *chain[K, V], b bounds[K]) bool {
	switch {
	case len(*c) > 0 && (c.end().last || b.endsBefore(m.compare, c.end().high)):
		return false
	case len(*c) > 0:
		*c = append(*c, m.lockNext(c.end()))
	case b.hasLo:
		*c = append(*c, m.lockLeaf(b.lo))
	default:
		*c = append(*c, m.lockFirst())
	}
	return true
}

// Clear removes all entries at once. The complexity is O(n) where n = m.Len(),
// over the number of entries of a leaf.
func (m *ConcurrentMap[K, V]) Clear() {
	m.mustBeMade()
	var c chain[K, V]
	defer func() { c.unlockAll() }()
	for m.lockMore(&c, bounds[K]{}) {
	}
	n := 0
	for _, h := range c {
		n += h.leaf.loadLocked().size()
	}

	// The new leaf is closed to writers until all old ones are dead: a search
	// that began before must not take an old leaf for the neighbor of a new
	// one.
	root, b := m.newRoot()
	b.mu.Lock()
	defer b.mu.Unlock()
	lock(&m.up)
	step()
	m.root.Store(root)
	m.up.Unlock()
	m.len.Add(-int64(n))
	for _, h := range c {
		h.leaf.retireLocked()
	}
}
