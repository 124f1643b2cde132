// SPDX-License-Identifier: MIT

package skiplist

// Floor returns the last entry whose key is at most key, if there is one. The
// complexity is O(log n) where n = m.Len().
func (m *ConcurrentMap[K, V]) Floor(key K) (k K, value V, ok bool) { return m.downward(key, closed) }

// Ceiling returns the first entry whose key is at least key, if there is one.
// The complexity is O(log n) where n = m.Len().
func (m *ConcurrentMap[K, V]) Ceiling(key K) (k K, value V, ok bool) { return m.upward(key, closed) }

// Lower returns the last entry whose key is less than key, if there is one. The
// complexity is O(log n) where n = m.Len().
func (m *ConcurrentMap[K, V]) Lower(key K) (k K, value V, ok bool) { return m.downward(key, open) }

// Higher returns the first entry whose key is greater than key, if there is
// one. The complexity is O(log n) where n = m.Len().
func (m *ConcurrentMap[K, V]) Higher(key K) (k K, value V, ok bool) { return m.upward(key, open) }

// Min returns the first entry, if there is one. The complexity is O(log n)
// where n = m.Len().
func (m *ConcurrentMap[K, V]) Min() (key K, value V, ok bool) { return m.upward(key, endless) }

// Max returns the last entry, if there is one. The complexity is O(log n) where
// n = m.Len().
func (m *ConcurrentMap[K, V]) Max() (key K, value V, ok bool) { return m.downward(key, endless) }

// A sight is a leaf and the state that it was read at.
type sight[K, V any] struct {
	leaf *logLeaf[K, V]
	s    state
}

// sights are leaves in the order in which they were read. Their ranges leave no
// gap.
type sights[K, V any] []sight[K, V]

// unchanged reports whether no leaf was written to or replaced since it was
// read: then all of them held what was read at one moment.
func (l sights[K, V]) unchanged() bool {
	for i := range l {
		if l[i].leaf.load() != l[i].s {
			return false
		}
	}
	return true
}

// leftmost returns the guide and the slot of the first leaf.
func (m *ConcurrentMap[K, V]) leftmost() (x *guide[K, V], i int) {
	step()
	x = m.root.Load()
	for x.leaves == nil {
		step()
		x = x.kids[0].Load()
	}
	return x, 0
}

// rightmost returns the guide and the slot of the last leaf.
func (m *ConcurrentMap[K, V]) rightmost() (x *guide[K, V], i int) {
	step()
	x = m.root.Load()
	for x.leaves == nil {
		step()
		x = x.kids[x.n-1].Load()
	}
	return x, x.n - 1
}

// leafOf returns the leaf of key, or with open that of the keys just below it.
func (m *ConcurrentMap[K, V]) leafOf(key K, end reach) *logLeaf[K, V] {
	x, i := m.seek(m, key, end)
	return x.leaf(i)
}

// downward returns the last entry before key. It starts over only if a leaf
// that it has passed was written to or replaced.
func (m *ConcurrentMap[K, V]) downward(key K, end reach) (k K, value V, ok bool) {
	m.mustBeMade()
	var room [4]sight[K, V]
	for {
		var b *logLeaf[K, V]
		if end == endless {
			x, i := m.rightmost()
			b = x.leaf(i)
		} else {
			b = m.leafOf(key, end)
		}
		seen := sights[K, V](room[:0])
		for {
			s := b.load()
			if j, ok := m.below(m, b, s, key, end); ok {
				if !seen.unchanged() {
					break
				}
				return b.keys[j], b.vals[j], true
			}

			// Go on to the neighbor, by a search of its own: the guide that
			// led here may be older than what was read there.
			if s&dead != 0 {
				break // the leaf in its place can be reached by now
			}
			seen = append(seen, sight[K, V]{b, s})
			if b.first {
				if !seen.unchanged() {
					break
				}
				return k, value, false
			}
			b = m.leafOf(b.low, open)
		}
	}
}

// upward returns the first entry after key. It starts over only if a leaf that
// it has passed was written to or replaced.
func (m *ConcurrentMap[K, V]) upward(key K, end reach) (k K, value V, ok bool) {
	m.mustBeMade()
	var room [4]sight[K, V]
	for {
		var b *logLeaf[K, V]
		if end == endless {
			x, i := m.leftmost()
			b = x.leaf(i)
		} else {
			b = m.leafOf(key, closed)
		}
		seen := sights[K, V](room[:0])
		for {
			s := b.load()
			if j, ok := m.above(m, b, s, key, end); ok {
				if !seen.unchanged() {
					break
				}
				return b.keys[j], b.vals[j], true
			}

			if s&dead != 0 {
				break // the leaf in its place can be reached by now
			}
			seen = append(seen, sight[K, V]{b, s})
			if b.last {
				if !seen.unchanged() {
					break
				}
				return k, value, false
			}
			b = m.leafOf(b.high, closed)
		}
	}
}

// PopMin removes and returns the first entry, if there is one. The complexity
// is O(log n) where n = m.Len().
func (m *ConcurrentMap[K, V]) PopMin() (key K, value V, ok bool) {
	m.mustBeMade()
	var room [4]hold[K, V]
	c := append(chain[K, V](room[:0]), m.lockFirst())
	defer func() { c.unlockAll() }()
	for {
		b := c.end()
		if j, ok := m.above(m, b, b.loadLocked(), key, endless); ok {
			c = m.popLocked(c, len(c)-1, j)
			m.shrinkLocked(&c[0])
			return b.keys[j], b.vals[j], true
		}
		if b.last {
			return key, value, false
		}
		c = append(c, m.lockNext(b))
	}
}

// PopMax removes and returns the last entry, if there is one. The complexity is
// O(log n) where n = m.Len().
func (m *ConcurrentMap[K, V]) PopMax() (key K, value V, ok bool) {
	m.mustBeMade()
	for {
		// The last key tells where to start, or that there is nothing to pop.
		key, value, ok = m.Max()
		if !ok {
			return key, value, false
		}
		if key, value, ok = m.popFrom(key); ok {
			return key, value, true
		}
	}
}

// popFrom removes and returns the last entry, if it is in the leaf of key or
// behind. It locks all leaves from there on.
func (m *ConcurrentMap[K, V]) popFrom(key K) (k K, value V, ok bool) {
	var room [4]hold[K, V]
	c := append(chain[K, V](room[:0]), m.lockLeaf(key))
	defer func() { c.unlockAll() }()
	for !c.end().last {
		c = append(c, m.lockNext(c.end()))
	}

	for i := len(c) - 1; i >= 0; i-- {
		b := c[i].leaf
		if j, ok := m.below(m, b, b.loadLocked(), key, endless); ok {
			c = m.popLocked(c, i, j)
			m.shrinkLocked(&c[0])
			return b.keys[j], b.vals[j], true
		}
	}
	return k, value, false
}

// popLocked removes the entry of slot j of leaf i of c, and then lets go of the
// others, with which that may be merged.
func (m *ConcurrentMap[K, V]) popLocked(c chain[K, V], i, j int) chain[K, V] {
	m.eraseLocked(c[i].leaf, j)
	return c.keep(i)
}
