// SPDX-License-Identifier: MIT

package skiplist

import (
	"iter"
	"strings"
)

// A MapSpan is the part of a [Map] between two keys, as the map is when the
// span is used. It is a value, and takes no memory of the map. A span whose
// bounds cross is empty.
type MapSpan[K, V any] struct {
	m *Map[K, V]
	b bounds[K]
}

// bounds are the ends of a span. An end that is not there is that of the map.
type bounds[K any] struct {
	lo, hi       K
	hasLo, hasHi bool
	above, below bool // the key of the end itself is out
}

// From returns the part of m with keys of at least lo.
func (m *Map[K, V]) From(lo K) MapSpan[K, V] { return MapSpan[K, V]{m: m}.From(lo) }

// Above returns the part of m with keys greater than lo.
func (m *Map[K, V]) Above(lo K) MapSpan[K, V] { return MapSpan[K, V]{m: m}.Above(lo) }

// To returns the part of m with keys of at most hi.
func (m *Map[K, V]) To(hi K) MapSpan[K, V] { return MapSpan[K, V]{m: m}.To(hi) }

// Below returns the part of m with keys less than hi.
func (m *Map[K, V]) Below(hi K) MapSpan[K, V] { return MapSpan[K, V]{m: m}.Below(hi) }

// From returns the part of s with keys of at least lo.
func (s MapSpan[K, V]) From(lo K) MapSpan[K, V] {
	s.b.from(s.m.order(), lo, false)
	return s
}

// Above returns the part of s with keys greater than lo.
func (s MapSpan[K, V]) Above(lo K) MapSpan[K, V] {
	s.b.from(s.m.order(), lo, true)
	return s
}

// To returns the part of s with keys of at most hi.
func (s MapSpan[K, V]) To(hi K) MapSpan[K, V] {
	s.b.to(s.m.order(), hi, false)
	return s
}

// Below returns the part of s with keys less than hi.
func (s MapSpan[K, V]) Below(hi K) MapSpan[K, V] {
	s.b.to(s.m.order(), hi, true)
	return s
}

// order returns the function that compares the keys of m, which is nil if m is
// the zero Map, and empty.
func (m *Map[K, V]) order() func(a, b K) int {
	if m == nil {
		return nil
	}
	return m.compare
}

// from narrows b to keys from lo on.
func (b *bounds[K]) from(compare func(a, b K) int, lo K, above bool) {
	if compare == nil {
		return
	}
	if b.hasLo {
		switch c := compare(lo, b.lo); {
		case c < 0:
			return
		case c == 0:
			above = above || b.above
		}
	}
	b.lo = lo
	b.hasLo = true
	b.above = above
}

// to narrows b to keys up to hi.
func (b *bounds[K]) to(compare func(a, b K) int, hi K, below bool) {
	if compare == nil {
		return
	}
	if b.hasHi {
		switch c := compare(hi, b.hi); {
		case c > 0:
			return
		case c == 0:
			below = below || b.below
		}
	}
	b.hi = hi
	b.hasHi = true
	b.below = below
}

// ranks returns the ranks of the entries of s: from lo to hi, hi excluded.
func (s MapSpan[K, V]) ranks() (lo, hi int) {
	hi = s.m.Len()
	if s.b.hasHi {
		hi = s.m.rank(s.b.hi, !s.b.below)
	}
	if s.b.hasLo {
		lo = s.m.rank(s.b.lo, s.b.above)
	}
	return lo, max(lo, hi)
}

// All returns the entries of s in order, by the rule of [Map.All].
func (s MapSpan[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) { s.m.ascend(s.ranks, yield) }
}

// Backward returns the entries of s from the last to the first, by the rule of
// [Map.Backward].
func (s MapSpan[K, V]) Backward() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) { s.m.descend(s.ranks, yield) }
}

// Len returns the number of entries of s. The complexity is O(log n) where n is
// the length of the map.
func (s MapSpan[K, V]) Len() int {
	lo, hi := s.ranks()
	return hi - lo
}

// Min returns the first entry of s, if there is one. The complexity is O(log n)
// where n is the length of the map.
func (s MapSpan[K, V]) Min() (key K, value V, ok bool) {
	lo, hi := s.ranks()
	if lo == hi {
		return key, value, false
	}
	return s.m.entry(lo)
}

// Max returns the last entry of s, if there is one. The complexity is O(log n)
// where n is the length of the map.
func (s MapSpan[K, V]) Max() (key K, value V, ok bool) {
	lo, hi := s.ranks()
	if lo == hi {
		return key, value, false
	}
	return s.m.entry(hi - 1)
}

// Clear removes the entries of s from the map, and returns their number. Blocks
// are dropped whole: the complexity is O(log n) where n is the length of the
// map.
func (s MapSpan[K, V]) Clear() int {
	lo, hi := s.ranks()
	s.m.clearRange(lo, hi)
	return hi - lo
}

// String returns the entries as fmt prints a map, in order.
func (s MapSpan[K, V]) String() string {
	var b strings.Builder
	writePairs(&b, s.All())
	return b.String()
}
