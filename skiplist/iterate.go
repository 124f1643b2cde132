// SPDX-License-Identifier: MIT

package skiplist

import "iter"

// All returns the entries in the order of their keys. The loop may change m:
// the next entry is always the successor of the last key, as the map is then.
func (m *Map[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		s := scan[K, V]{m: m}
		for s.forward() {
			vals := s.vals[:len(s.keys)]
			for i, key := range s.keys {
				if !yield(key, vals[i]) {
					return
				}
				if m.changes != s.seen {
					s.passed(key)
					break
				}
			}
		}
	}
}

// Backward returns the entries from the last to the first. The loop may change
// m: the next entry is always the predecessor of the last key, as the map is
// then.
func (m *Map[K, V]) Backward() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) { m.descend(m.whole, yield) }
}

// Keys returns the keys in order, by the rule of [Map.All].
func (m *Map[K, V]) Keys() iter.Seq[K] {
	return func(yield func(K) bool) {
		m.ascend(m.whole, func(key K, _ V) bool { return yield(key) })
	}
}

// Values returns the values in the order of their keys, by the rule of
// [Map.All].
func (m *Map[K, V]) Values() iter.Seq[V] {
	return func(yield func(V) bool) {
		m.ascend(m.whole, func(_ K, value V) bool { return yield(value) })
	}
}

// whole returns the ranks of all entries.
func (m *Map[K, V]) whole() (lo, hi int) { return 0, m.Len() }

// ascend yields the entries of the ranks that bounds returns, hi excluded. It
// asks again when the map has changed.
func (m *Map[K, V]) ascend(bounds func() (lo, hi int), yield func(K, V) bool) {
	lo, hi := bounds()
scan:
	for lo < hi {
		seen := m.changes
		var p path[K, V]
		for p.seek(m, lo); lo < hi; p.next() {
			l := p.leaf
			end := min(l.n, p.at+hi-lo)
			lo += end - p.at
			for i := p.at; i < end; i++ {
				key := l.keys[i]
				if !yield(key, l.vals[i]) {
					return
				}
				if m.changes != seen {
					_, hi = bounds()
					lo = m.rank(key, true)
					continue scan
				}
			}
		}
	}
}

// descend is ascend from the last entry to the first.
func (m *Map[K, V]) descend(bounds func() (lo, hi int), yield func(K, V) bool) {
	lo, hi := bounds()
scan:
	for lo < hi {
		seen := m.changes
		var p path[K, V]
		for p.seek(m, hi-1); lo < hi; p.prev() {
			l := p.leaf
			end := max(0, p.at+1-(hi-lo))
			hi -= p.at + 1 - end
			for i := p.at; i >= end; i-- {
				key := l.keys[i]
				if !yield(key, l.vals[i]) {
					return
				}
				if m.changes != seen {
					lo, _ = bounds()
					hi = m.rank(key, false)
					continue scan
				}
			}
		}
	}
}

// A scan goes through a map leaf by leaf. It is apart from ascend for the loop
// of All to be so short that the compiler puts it in place of the call, and the
// body of the caller's loop into it.
type scan[K, V any] struct {
	m     *Map[K, V]
	keys  []K // of the leaf, from the place on where the scan entered it
	vals  []V
	state scanState
	last  K      // the key after which the scan goes on, if it has passed one
	seen  uint64 // the value of m.changes for which path is right
	path  path[K, V]
}

// A scanState tells how a scan finds its next leaf.
type scanState uint8

const (
	atStart  scanState = iota // it is the first
	onPath                    // it is the next of the path
	afterKey                  // the map has changed: it has the successor of last
)

// forward goes to the next leaf, and reports whether there is one.
func (s *scan[K, V]) forward() bool {
	r := 0
	switch s.state {
	case onPath:
		if !s.path.next() {
			return false
		}
	case afterKey:
		r = s.m.rank(s.last, true)
		fallthrough
	default:
		if r >= s.m.Len() {
			return false
		}
		s.path.seek(s.m, r)
		s.seen = s.m.changes
		s.state = onPath
	}
	l := s.path.leaf
	s.keys = l.keys[s.path.at:l.n]
	s.vals = l.vals[s.path.at:l.n]
	return true
}

// passed notes that the map has changed after key.
func (s *scan[K, V]) passed(key K) {
	s.last = key
	s.state = afterKey
}
