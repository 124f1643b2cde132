// SPDX-License-Identifier: MIT

package skiplist

import (
	"iter"
	"slices"
	"sort"
)

// A ConcurrentSpan is the part of a [ConcurrentMap] between two keys, as the
// map is when the span is used. It is a value, and takes no memory of the map.
// A span whose bounds cross is empty.
type ConcurrentSpan[K, V any] struct {
	m *ConcurrentMap[K, V]
	b bounds[K]
}

// All returns the entries of m in the order of their keys. It is weakly
// consistent: it never yields a key twice, and a key that is there throughout
// the loop comes once; of one that is stored or deleted meanwhile it may or may
// not tell. About 30 neighboring entries are read at one moment. The loop holds
// no lock, and may change m.
func (m *ConcurrentMap[K, V]) All() iter.Seq2[K, V] { return m.whole().All() }

// Backward returns the entries of m from the last to the first, by the rule of
// [ConcurrentMap.All].
func (m *ConcurrentMap[K, V]) Backward() iter.Seq2[K, V] { return m.whole().Backward() }

// whole returns all of m.
func (m *ConcurrentMap[K, V]) whole() ConcurrentSpan[K, V] {
	m.mustBeMade()
	return ConcurrentSpan[K, V]{m: m}
}

// From returns the part of m with keys of at least lo.
func (m *ConcurrentMap[K, V]) From(lo K) ConcurrentSpan[K, V] { return m.whole().From(lo) }

// Above returns the part of m with keys greater than lo.
func (m *ConcurrentMap[K, V]) Above(lo K) ConcurrentSpan[K, V] { return m.whole().Above(lo) }

// To returns the part of m with keys of at most hi.
func (m *ConcurrentMap[K, V]) To(hi K) ConcurrentSpan[K, V] { return m.whole().To(hi) }

// Below returns the part of m with keys less than hi.
func (m *ConcurrentMap[K, V]) Below(hi K) ConcurrentSpan[K, V] { return m.whole().Below(hi) }

// From returns the part of s with keys of at least lo.
func (s ConcurrentSpan[K, V]) From(lo K) ConcurrentSpan[K, V] {
	s.b.from(s.m.compare, lo, false)
	return s
}

// Above returns the part of s with keys greater than lo.
func (s ConcurrentSpan[K, V]) Above(lo K) ConcurrentSpan[K, V] {
	s.b.from(s.m.compare, lo, true)
	return s
}

// To returns the part of s with keys of at most hi.
func (s ConcurrentSpan[K, V]) To(hi K) ConcurrentSpan[K, V] {
	s.b.to(s.m.compare, hi, false)
	return s
}

// Below returns the part of s with keys less than hi.
func (s ConcurrentSpan[K, V]) Below(hi K) ConcurrentSpan[K, V] {
	s.b.to(s.m.compare, hi, true)
	return s
}

// All returns the entries of s in order, by the rule of [ConcurrentMap.All].
func (s ConcurrentSpan[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) { s.m.ascend(s.b, yield) }
}

// Backward returns the entries of s from the last to the first, by the rule of
// [ConcurrentMap.All].
func (s ConcurrentSpan[K, V]) Backward() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) { s.m.descend(s.b, yield) }
}

// Snapshot returns the entries of s of one moment, as [ConcurrentMap.Snapshot]
// does those of a map.
func (s ConcurrentSpan[K, V]) Snapshot() *Map[K, V] { return s.m.snapshot(s.b) }

// startsAfter reports whether key comes before the part that b bounds.
func (b *bounds[K]) startsAfter(compare func(a, b K) int, key K) bool {
	if !b.hasLo {
		return false
	}
	c := compare(key, b.lo)
	return c < 0 || c == 0 && b.above
}

// endsBefore reports whether key comes after the part that b bounds.
func (b *bounds[K]) endsBefore(compare func(a, b K) int, key K) bool {
	if !b.hasHi {
		return false
	}
	c := compare(key, b.hi)
	return c > 0 || c == 0 && b.below
}

// leafFrom returns the leaf in which the part that b bounds begins.
func (m *ConcurrentMap[K, V]) leafFrom(b bounds[K]) *logLeaf[K, V] {
	if !b.hasLo {
		leaf, _ := m.firstLeaf()
		return leaf
	}
	leaf, _ := m.seek(m, b.lo, closed)
	return leaf
}

// within returns which of the slots of leaf, which are in order, are between
// the bounds of b. The bounds of the leaf tell whether to look at the keys.
func (m *ConcurrentMap[K, V]) within(leaf *logLeaf[K, V], b *bounds[K], slots []uint8) []uint8 {
	if b.hasLo && (leaf.first || b.startsAfter(m.compare, leaf.low)) {
		i := sort.Search(len(slots), func(i int) bool { return !b.startsAfter(m.compare, leaf.keys[slots[i]]) })
		slots = slots[i:]
	}
	if b.hasHi && (leaf.last || b.endsBefore(m.compare, leaf.high)) {
		i := sort.Search(len(slots), func(i int) bool { return b.endsBefore(m.compare, leaf.keys[slots[i]]) })
		slots = slots[:i]
	}
	return slots
}

// ascend yields the entries between the bounds of b. What comes next begins
// where the last leaf ended, so that no key comes twice, and none is left out,
// however the leaves change.
func (m *ConcurrentMap[K, V]) ascend(b bounds[K], yield func(K, V) bool) {
	for leaf := m.leafFrom(b); m.yieldWithin(leaf, leaf.load(), &b, yield); {
		if leaf.last || b.endsBefore(m.compare, leaf.high) {
			return
		}
		b.lo = leaf.high
		b.hasLo = true
		b.above = false
		leaf, _ = m.seek(m, b.lo, closed)
	}
}

// yieldWithin yields the entries of leaf at s between the bounds of b in order,
// and reports whether f wants more.
func (m *ConcurrentMap[K, V]) yieldWithin(leaf *logLeaf[K, V], s state, b *bounds[K], f func(K, V) bool) bool {
	if b.hasLo && (leaf.first || b.startsAfter(m.compare, leaf.low)) || b.hasHi && (leaf.last || b.endsBefore(m.compare, leaf.high)) {
		slots, n := m.slotsOf(leaf, s)
		return leaf.yield(m.within(leaf, b, slots[:n]), f)
	}
	return m.yieldAll(leaf, s, f)
}

// yield yields the entries of slots, and reports whether f wants more. What is
// published never changes.
func (b *logLeaf[K, V]) yield(slots []uint8, f func(K, V) bool) bool {
	for _, j := range slots {
		if !f(b.keys[j], b.vals[j]) {
			return false
		}
	}
	return true
}

// descend is ascend from the last entry to the first.
func (m *ConcurrentMap[K, V]) descend(b bounds[K], yield func(K, V) bool) {
	leaf := m.lastLeaf()
	if b.hasHi {
		leaf, _ = m.seek(m, b.hi, closed)
	}
	for {
		all, n := m.slotsOf(leaf, leaf.load())
		slots := m.within(leaf, &b, all[:n])
		slices.Reverse(slots)
		if !leaf.yield(slots, yield) || leaf.first || b.hasLo && m.compare(leaf.low, b.lo) <= 0 {
			return
		}
		b.hi = leaf.low
		b.hasHi = true
		b.below = true
		leaf, _ = m.seek(m, b.hi, open)
	}
}
