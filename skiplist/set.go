// SPDX-License-Identifier: MIT

package skiplist

import (
	"cmp"
	"fmt"
	"iter"
	"strings"
)

// A Set is an ordered set: a [Map] without values. A nil or zero Set reads as
// empty and panics when it is written to: use [NewSet] or [NewSetFunc].
//
// Any number of goroutines may read a Set at once, and one may write if none
// reads. Clone counts as reading.
type Set[E any] struct {
	m *Map[E, struct{}]
}

// NewSet returns an empty Set in the natural order of its elements; see
// [NewMap].
func NewSet[E cmp.Ordered]() *Set[E] { return &Set[E]{NewMap[E, struct{}]()} }

// NewSetFunc returns an empty Set in the order of compare; see [NewMapFunc].
func NewSetFunc[E any](compare func(a, b E) int) *Set[E] {
	return &Set[E]{NewMapFunc[E, struct{}](compare)}
}

// CollectSet returns a Set of the elements of seq, in natural order. If they
// ascend each takes O(1).
func CollectSet[E cmp.Ordered](seq iter.Seq[E]) *Set[E] {
	s := NewSet[E]()
	s.AddAll(seq)
	return s
}

// all returns the map of s, which is nil if s is nil or zero.
func (s *Set[E]) all() *Map[E, struct{}] {
	if s == nil {
		return nil
	}
	return s.m
}

func (s *Set[E]) mustUse() {
	if s.all() == nil {
		panic("skiplist: zero Set: use NewSet or NewSetFunc")
	}
}

// Add adds e, and reports whether it is new. The complexity is that of
// [Map.Set].
func (s *Set[E]) Add(e E) bool {
	s.mustUse()
	if s.m.isNext(e) {
		s.m.appendNext(e, struct{}{})
		return true
	}
	_, there := s.m.GetOrSet(e, struct{}{})
	return !there
}

// AddAll adds the elements of seq, and returns how many are new.
func (s *Set[E]) AddAll(seq iter.Seq[E]) (added int) {
	s.mustUse()
	for e := range seq {
		if s.Add(e) {
			added++
		}
	}
	return added
}

// Has reports whether e is in s. The complexity is O(log n) where n = s.Len().
func (s *Set[E]) Has(e E) bool { return s.all().Has(e) }

// Delete removes e, and reports whether it was there. The complexity is O(log
// n) where n = s.Len().
func (s *Set[E]) Delete(e E) bool {
	_, ok := s.all().Delete(e)
	return ok
}

// DeleteFunc removes the elements for which del reports true, and returns their
// number; see [Map.DeleteFunc].
func (s *Set[E]) DeleteFunc(del func(e E) bool) int {
	return s.all().DeleteFunc(func(e E, _ struct{}) bool { return del(e) })
}

// Len returns the number of elements. The complexity is O(1).
func (s *Set[E]) Len() int { return s.all().Len() }

// Clear removes all elements. The complexity is O(1).
func (s *Set[E]) Clear() { s.all().Clear() }

// Clone returns a copy of s in O(1); see [Map.Clone].
func (s *Set[E]) Clone() *Set[E] {
	if s.all() == nil {
		return &Set[E]{}
	}
	return &Set[E]{s.m.Clone()}
}

// Min returns the first element, if there is one.
func (s *Set[E]) Min() (e E, ok bool) {
	e, _, ok = s.all().Min()
	return e, ok
}

// Max returns the last element, if there is one.
func (s *Set[E]) Max() (e E, ok bool) {
	e, _, ok = s.all().Max()
	return e, ok
}

// PopMin removes and returns the first element, if there is one.
func (s *Set[E]) PopMin() (e E, ok bool) {
	e, _, ok = s.all().PopMin()
	return e, ok
}

// PopMax removes and returns the last element, if there is one.
func (s *Set[E]) PopMax() (e E, ok bool) {
	e, _, ok = s.all().PopMax()
	return e, ok
}

// Floor returns the last element that is at most e, if there is one.
func (s *Set[E]) Floor(e E) (found E, ok bool) {
	found, _, ok = s.all().Floor(e)
	return found, ok
}

// Ceiling returns the first element that is at least e, if there is one.
func (s *Set[E]) Ceiling(e E) (found E, ok bool) {
	found, _, ok = s.all().Ceiling(e)
	return found, ok
}

// Lower returns the last element that is less than e, if there is one.
func (s *Set[E]) Lower(e E) (found E, ok bool) {
	found, _, ok = s.all().Lower(e)
	return found, ok
}

// Higher returns the first element that is greater than e, if there is one.
func (s *Set[E]) Higher(e E) (found E, ok bool) {
	found, _, ok = s.all().Higher(e)
	return found, ok
}

// Index returns the number of elements before e, or -1 if e is not in s.
func (s *Set[E]) Index(e E) int { return s.all().Index(e) }

// Nth returns the element of rank i. It panics unless i is at least 0 and less
// than s.Len(), as an index of a slice does.
func (s *Set[E]) Nth(i int) E {
	e, _ := s.all().Nth(i)
	return e
}

// All returns the elements in order, by the rule of [Map.All].
func (s *Set[E]) All() iter.Seq[E] { return s.all().Keys() }

// Backward returns the elements from the last to the first, by the rule of
// [Map.Backward].
func (s *Set[E]) Backward() iter.Seq[E] { return keysOf(s.all().Backward()) }

// keysOf returns the keys of seq.
func keysOf[K, V any](seq iter.Seq2[K, V]) iter.Seq[K] {
	return func(yield func(K) bool) {
		for key := range seq {
			if !yield(key) {
				return
			}
		}
	}
}

// From returns the part of s of elements that are at least lo.
func (s *Set[E]) From(lo E) SetSpan[E] { return SetSpan[E]{s.all().From(lo)} }

// Above returns the part of s of elements greater than lo.
func (s *Set[E]) Above(lo E) SetSpan[E] { return SetSpan[E]{s.all().Above(lo)} }

// To returns the part of s of elements that are at most hi.
func (s *Set[E]) To(hi E) SetSpan[E] { return SetSpan[E]{s.all().To(hi)} }

// Below returns the part of s of elements less than hi.
func (s *Set[E]) Below(hi E) SetSpan[E] { return SetSpan[E]{s.all().Below(hi)} }

// String returns the elements as fmt prints a slice, in order.
func (s *Set[E]) String() string { return elements(s.All()) }

// elements prints seq as fmt prints a slice.
func elements[E any](seq iter.Seq[E]) string {
	var b strings.Builder
	b.WriteByte('[')
	sep := ""
	for e := range seq {
		fmt.Fprint(&b, sep, e)
		sep = " "
	}
	b.WriteByte(']')
	return b.String()
}

// A SetSpan is the part of a [Set] between two elements, as [MapSpan] is of a
// Map.
type SetSpan[E any] struct {
	s MapSpan[E, struct{}]
}

// From returns the part of s of elements that are at least lo.
func (s SetSpan[E]) From(lo E) SetSpan[E] { return SetSpan[E]{s.s.From(lo)} }

// Above returns the part of s of elements greater than lo.
func (s SetSpan[E]) Above(lo E) SetSpan[E] { return SetSpan[E]{s.s.Above(lo)} }

// To returns the part of s of elements that are at most hi.
func (s SetSpan[E]) To(hi E) SetSpan[E] { return SetSpan[E]{s.s.To(hi)} }

// Below returns the part of s of elements less than hi.
func (s SetSpan[E]) Below(hi E) SetSpan[E] { return SetSpan[E]{s.s.Below(hi)} }

// All returns the elements of s in order, by the rule of [Map.All].
func (s SetSpan[E]) All() iter.Seq[E] { return keysOf(s.s.All()) }

// Backward returns the elements of s from the last to the first, by the rule of
// [Map.Backward].
func (s SetSpan[E]) Backward() iter.Seq[E] { return keysOf(s.s.Backward()) }

// Len returns the number of elements of s. The complexity is O(log n) where n
// is the length of the set.
func (s SetSpan[E]) Len() int { return s.s.Len() }

// Clear removes the elements of s from the set, and returns their number; see
// [MapSpan.Clear].
func (s SetSpan[E]) Clear() int { return s.s.Clear() }

// String returns the elements as fmt prints a slice, in order.
func (s SetSpan[E]) String() string { return elements(s.All()) }

// Union returns a new set of the elements that are in s or in t, which must
// have the same order, as for all that takes two sets. The complexity is O(n +
// m) where n and m are the lengths.
func (s *Set[E]) Union(t *Set[E]) *Set[E] { return s.merged(t, true, true, true) }

// Intersection returns a new set of the elements that are in s and in t; see
// [Set.Union].
func (s *Set[E]) Intersection(t *Set[E]) *Set[E] { return s.merged(t, false, true, false) }

// Difference returns a new set of the elements that are in s and not in t; see
// [Set.Union].
func (s *Set[E]) Difference(t *Set[E]) *Set[E] { return s.merged(t, true, false, false) }

// SymmetricDifference returns a new set of the elements that are in one of s
// and t only; see [Set.Union].
func (s *Set[E]) SymmetricDifference(t *Set[E]) *Set[E] { return s.merged(t, true, false, true) }

// merged returns a set of the elements that are in s only, in both, and in t
// only, as the flags say.
func (s *Set[E]) merged(t *Set[E], first, both, second bool) *Set[E] {
	of := s
	if s.all() == nil {
		of = t
	}
	if of.all() == nil {
		return &Set[E]{}
	}
	r := &Set[E]{newMap(of.m.find, of.m.compare)}
	r.m.strings = of.m.strings
	walk(s, t, !second, !first, of.m.compare, func(e E, inS, inT bool) bool {
		if inS && !inT && first || inS && inT && both || !inS && inT && second {
			r.Add(e)
		}
		return true
	})
	return r
}

// Equal reports whether s and t, of the same order, have the same elements. The
// complexity is O(n) where n is the length.
func (s *Set[E]) Equal(t *Set[E]) bool {
	return s.Len() == t.Len() && s.IsSubset(t)
}

// IsSubset reports whether all elements of s are in t, of the same order. The
// complexity is O(n + m) where n and m are the lengths.
func (s *Set[E]) IsSubset(t *Set[E]) bool {
	if s.Len() == 0 {
		return true
	}
	subset := true
	walk(s, t, true, false, s.m.compare, func(_ E, inS, inT bool) bool {
		subset = inT || !inS
		return subset
	})
	return subset
}

// Intersects reports whether an element is in s and in t, of the same order.
// The complexity is O(n + m) where n and m are the lengths.
func (s *Set[E]) Intersects(t *Set[E]) bool {
	if s.Len() == 0 {
		return false
	}
	meets := false
	walk(s, t, true, true, s.m.compare, func(_ E, inS, inT bool) bool {
		meets = inS && inT
		return !meets
	})
	return meets
}

// walk calls visit for each element of s and t in order, until it returns
// false, or a set of which the walk needs an element has no more.
func walk[E any](s, t *Set[E], needS, needT bool, compare func(a, b E) int, visit func(e E, inS, inT bool) bool) {
	a := s.all().Cursor()
	b := t.all().Cursor()
	inS := a.Next()
	inT := b.Next()
	for inS || inT {
		if needS && !inS || needT && !inT {
			return
		}
		c := 0
		switch {
		case !inT:
			c = -1
		case !inS:
			c = 1
		default:
			c = compare(a.Key(), b.Key())
		}

		e := a.Key()
		if c > 0 {
			e = b.Key()
		}
		if !visit(e, c <= 0, c >= 0) {
			return
		}
		if c <= 0 {
			inS = a.Next()
		}
		if c >= 0 {
			inT = b.Next()
		}
	}
}
