// SPDX-License-Identifier: MIT

package skiplist

import (
	"iter"
	"slices"
	"sort"
)

// A ConcurrentSpan is the part of a [ConcurrentMap] between two keys, as the
// map is when the span is used. It is a value, and takes no memory of the map.
// A span whose bounds cross is empty. The zero ConcurrentSpan is of no map, and
// panics.
type ConcurrentSpan[K, V any] struct {
	m *ConcurrentMap[K, V]
	b bounds[K]
}

// All returns the entries of m in the order of their keys. It is weakly
// consistent: it never yields a key twice, and a key that is there throughout
// the loop comes once; of one that is stored or deleted meanwhile it may or may
// not tell. About 30 neighboring entries are read at one moment, and those
// behind them at a later one. The loop holds no lock, and may change m.
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
	s.m.mustBeMade()
	s.b.from(s.m.compare, lo, false)
	return s
}

// Above returns the part of s with keys greater than lo.
func (s ConcurrentSpan[K, V]) Above(lo K) ConcurrentSpan[K, V] {
	s.m.mustBeMade()
	s.b.from(s.m.compare, lo, true)
	return s
}

// To returns the part of s with keys of at most hi.
func (s ConcurrentSpan[K, V]) To(hi K) ConcurrentSpan[K, V] {
	s.m.mustBeMade()
	s.b.to(s.m.compare, hi, false)
	return s
}

// Below returns the part of s with keys less than hi.
func (s ConcurrentSpan[K, V]) Below(hi K) ConcurrentSpan[K, V] {
	s.m.mustBeMade()
	s.b.to(s.m.compare, hi, true)
	return s
}

// All returns the entries of s in order, by the rule of [ConcurrentMap.All].
func (s ConcurrentSpan[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		w := tour[K, V]{m: s.m, b: s.b}
		for leaf, slots := w.forward(); leaf != nil; leaf, slots = w.forward() {
			for _, j := range slots {
				if !yield(leaf.keys[j], leaf.vals[j]) {
					return
				}
			}
		}
	}
}

// Backward returns the entries of s from the last to the first, by the rule of
// [ConcurrentMap.All].
func (s ConcurrentSpan[K, V]) Backward() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		w := tour[K, V]{m: s.m, b: s.b}
		for leaf, slots := w.back(); leaf != nil; leaf, slots = w.back() {
			for _, j := range slices.Backward(slots) {
				if !yield(leaf.keys[j], leaf.vals[j]) {
					return
				}
			}
		}
	}
}

// Snapshot returns the entries of s of one moment, as [ConcurrentMap.Snapshot]
// does those of a map.
func (s ConcurrentSpan[K, V]) Snapshot() *Map[K, V] {
	s.m.mustBeMade()
	return s.m.snapshot(s.b)
}

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

// start returns the guide and the slot of the leaf in which the part that b
// bounds begins.
func (m *ConcurrentMap[K, V]) start(b *bounds[K]) (x *guide[K, V], i int) {
	m.mustBeMade()
	if !b.hasLo {
		return m.leftmost()
	}
	return m.seek(m, b.lo, closed)
}

// end returns the guide and the slot of the leaf in which it ends.
func (m *ConcurrentMap[K, V]) end(b *bounds[K]) (x *guide[K, V], i int) {
	m.mustBeMade()
	if !b.hasHi {
		return m.rightmost()
	}
	return m.seek(m, b.hi, closed)
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

// A tour goes through the entries of a span leaf by leaf, and reads each leaf
// at one moment, one after the other. It is a value of the loop, and not a
// function that calls the body, so that the compiler puts the body in place.
type tour[K, V any] struct {
	m *ConcurrentMap[K, V]
	b bounds[K] // of what is left

	leaf *logLeaf[K, V] // nil at the start
	s    state          // of leaf when it was read
	from *guide[K, V]   // that the way led through, which may be old
	slot int            // of leaf in from
	far  bool           // touch leaves ahead

	order ordering // of leaf
}

// forward goes to the next leaf, and returns it and the slots of its entries
// between the bounds, or nil if there is none. What comes next begins where the
// last leaf ended, so that no key comes twice, and none is left out, however
// the leaves change.
func (w *tour[K, V]) forward() (leaf *logLeaf[K, V], slots []uint8) {
	switch {
	case w.leaf == nil:
		x, i := w.m.start(&w.b)
		w.far = w.m.isFar()
		w.arrive(x, i)
	case w.leaf.last || w.b.endsBefore(w.m.compare, w.leaf.high):
		return nil, nil
	default:
		w.b.lo = w.leaf.high
		w.b.hasLo = true
		w.b.above = false
		if !w.beside(w.slot + 1) {
			w.arrive(w.m.seek(w.m, w.b.lo, closed))
		}
	}
	w.fetch(w.slot + 1)
	return w.leaf, w.read()
}

// back is forward to the leaf before.
func (w *tour[K, V]) back() (leaf *logLeaf[K, V], slots []uint8) {
	switch {
	case w.leaf == nil:
		x, i := w.m.end(&w.b)
		w.far = w.m.isFar()
		w.arrive(x, i)
	case w.leaf.first || w.b.hasLo && w.m.compare(w.leaf.low, w.b.lo) <= 0:
		return nil, nil
	default:
		w.b.hi = w.leaf.low
		w.b.hasHi = true
		w.b.below = true
		if !w.beside(w.slot - 1) {
			w.arrive(w.m.seek(w.m, w.b.hi, open))
		}
	}
	w.fetch(w.slot - 1)
	return w.leaf, w.read()
}

// arrive goes to the leaf in slot i of x, to which a search has led.
func (w *tour[K, V]) arrive(x *guide[K, V], i int) {
	w.leaf = x.leaf(i)
	w.s = w.leaf.load()
	w.from = x
	w.slot = i
	w.fetch(i)
}

// fetch has the processor load the leaf in slot i of the guide, if there is
// one, all lines at once and beside what comes next: a loop that finds its
// lines one by one waits for each.
func (w *tour[K, V]) fetch(i int) {
	if w.far && i >= 0 && i < w.from.n {
		w.from.leaves[i].Load().touch()
	}
}

// beside goes to the leaf in slot i of the guide that the last search came
// through, and reports whether it could: without the search. The guide may have
// been replaced, but a leaf that is not dead holds the truth, and a slot has
// the same range always.
func (w *tour[K, V]) beside(i int) bool {
	if i < 0 || i >= w.from.n {
		return false
	}
	leaf := w.from.leaf(i)
	s := leaf.load()
	if s&dead != 0 {
		return false
	}
	w.leaf = leaf
	w.s = s
	w.slot = i
	return true
}

// read returns the slots of the entries of the leaf that are between the
// bounds.
func (w *tour[K, V]) read() []uint8 {
	n := w.m.slotsOf(w.leaf, w.s, &w.order)
	return w.m.within(w.leaf, &w.b, w.order[:n])
}
