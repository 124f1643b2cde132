// SPDX-License-Identifier: MIT

package skiplist

import (
	"cmp"
	"math/bits"
)

// A reach says whether a search that ends at a key has the key itself.
type reach uint8

const (
	closed  reach = iota // it has
	open                 // it has not
	endless              // there is no key: the search ends with the map
)

// An order is how a ConcurrentMap finds its keys. There is one for keys that
// the language compares, and one for a function: a call for each comparison
// would take twice the time of all the rest.
type order[K, V any] struct {
	compare func(a, b K) int

	// lookup returns the value of key, if there is one.
	lookup func(m *ConcurrentMap[K, V], key K) (value V, ok bool)

	// seek returns the guide of level 1 and the slot that the leaf of key is
	// in, or with open that of the keys just below it.
	seek func(m *ConcurrentMap[K, V], key K, end reach) (x *guide[K, V], i int)

	// get returns the slot of b that holds key at s, if there is one, and else
	// the number of slots in order whose keys come before it.
	get func(m *ConcurrentMap[K, V], b *logLeaf[K, V], s state, key K) (j int, ok bool)

	// below returns the slot of the last key of b at s before key, above that
	// of the first one after it.
	below, above func(m *ConcurrentMap[K, V], b *logLeaf[K, V], s state, key K, end reach) (j int, ok bool)

	// empty returns an empty Map of the same order.
	empty func() *Map[K, V]
}

// naturalOrder is the order of the language, and NaN before all other numbers.
func naturalOrder[K cmp.Ordered, V any]() order[K, V] {
	return order[K, V]{
		compare: cmp.Compare[K],
		lookup:  lookupOrdered[K, V],
		seek:    seekOrdered[K, V],
		get:     getOrdered[K, V],
		below:   belowOrdered[K, V],
		above:   aboveOrdered[K, V],
		empty:   NewMap[K, V],
	}
}

// orderOf is the order of a function.
func orderOf[K, V any](compare func(a, b K) int) order[K, V] {
	return order[K, V]{
		compare: compare,
		lookup:  lookupFunc[K, V],
		seek:    seekFunc[K, V],
		get:     getFunc[K, V],
		below:   belowFunc[K, V],
		above:   aboveFunc[K, V],
		empty:   func() *Map[K, V] { return NewMapFunc[K, V](compare) },
	}
}

// same reports whether a and b are one key.
func same[K cmp.Ordered](a, b K) bool { return a == b || isNaN(a) && isNaN(b) }

func lookupOrdered[K cmp.Ordered, V any](m *ConcurrentMap[K, V], key K) (value V, ok bool) {
	x, i := seekOrdered(m, key, closed)
	b := x.leaf(i)
	if j, ok := getOrdered(m, b, b.load(), key); ok {
		return b.vals[j], true
	}
	return value, false
}

// seekOrdered compares with the operators of the language. They say of a NaN
// that it follows nothing, so that a NaN finds the first leaf, where it
// belongs; and no fence is a NaN, since the first key of a map is no fence.
func seekOrdered[K cmp.Ordered, V any](m *ConcurrentMap[K, V], key K, end reach) (x *guide[K, V], i int) {
	step()
	x = m.root.Load()
	for {
		fences := x.fences[:x.n]
		i := 1
		if end == closed {
			for i < len(fences) && fences[i] <= key {
				i++
			}
		} else {
			for i < len(fences) && fences[i] < key {
				i++
			}
		}
		if x.leaves != nil {
			return x, i - 1
		}
		step()
		x = x.kids[i-1].Load()
	}
}

func getOrdered[K cmp.Ordered, V any](_ *ConcurrentMap[K, V], b *logLeaf[K, V], s state, key K) (j int, ok bool) {
	base := int(b.base)
	keys := b.keys[:s.count()]
	for j := len(keys) - 1; j >= base; j-- {
		if same(keys[j], key) && s.holds(j) {
			return j, true
		}
	}

	keys = keys[:base]
	j = 0
	for j < len(keys) && cmp.Less(keys[j], key) {
		j++
	}
	return j, j < len(keys) && same(keys[j], key) && s.holds(j)
}

func belowOrdered[K cmp.Ordered, V any](_ *ConcurrentMap[K, V], b *logLeaf[K, V], s state, key K, end reach) (j int, ok bool) {
	p, base := 0, int(b.base)
	keys := b.keys[:s.count()]
	for p < base && (end == endless || cmp.Less(keys[p], key) || end == closed && same(keys[p], key)) {
		p++
	}

	j = bits.Len64(s.live()&(1<<uint(p)-1)) - 1
	for i := base; i < len(keys); i++ {
		k := keys[i]
		if s.holds(i) && (end == endless || cmp.Less(k, key) || end == closed && same(k, key)) && (j < 0 || cmp.Less(keys[j], k)) {
			j = i
		}
	}
	return j, j >= 0
}

func aboveOrdered[K cmp.Ordered, V any](_ *ConcurrentMap[K, V], b *logLeaf[K, V], s state, key K, end reach) (j int, ok bool) {
	p, base := 0, int(b.base)
	keys := b.keys[:s.count()]
	for p < base && end != endless && (cmp.Less(keys[p], key) || end == open && same(keys[p], key)) {
		p++
	}

	j = firstSlot(s, p, base)
	for i := base; i < len(keys); i++ {
		k := keys[i]
		if s.holds(i) && (end == endless || cmp.Less(key, k) || end == closed && same(k, key)) && (j < 0 || cmp.Less(k, keys[j])) {
			j = i
		}
	}
	return j, j >= 0
}

// firstSlot returns the first slot from p on and before base that holds an
// entry, or -1.
func firstSlot(s state, p, base int) int {
	if live := s.live() & (1<<uint(base) - 1) >> uint(p) << uint(p); live != 0 {
		return bits.TrailingZeros64(live)
	}
	return -1
}

func lookupFunc[K, V any](m *ConcurrentMap[K, V], key K) (value V, ok bool) {
	x, i := seekFunc(m, key, closed)
	b := x.leaf(i)
	if j, ok := getFunc(m, b, b.load(), key); ok {
		return b.vals[j], true
	}
	return value, false
}

func seekFunc[K, V any](m *ConcurrentMap[K, V], key K, end reach) (x *guide[K, V], i int) {
	step()
	x = m.root.Load()
	for {
		i, found := searchFunc(x.fences[1:x.n], key, m.compare)
		if found && end == closed {
			i++
		}
		if x.leaves != nil {
			return x, i
		}
		step()
		x = x.kids[i].Load()
	}
}

func getFunc[K, V any](m *ConcurrentMap[K, V], b *logLeaf[K, V], s state, key K) (j int, ok bool) {
	base := int(b.base)
	for j := s.count() - 1; j >= base; j-- {
		if s.holds(j) && m.compare(b.keys[j], key) == 0 {
			return j, true
		}
	}
	j, ok = searchFunc(b.keys[:base], key, m.compare)
	return j, ok && s.holds(j)
}

func belowFunc[K, V any](m *ConcurrentMap[K, V], b *logLeaf[K, V], s state, key K, end reach) (j int, ok bool) {
	base := int(b.base)
	p := base
	if end != endless {
		var found bool
		if p, found = searchFunc(b.keys[:base], key, m.compare); found && end == closed {
			p++
		}
	}

	j = bits.Len64(s.live()&(1<<uint(p)-1)) - 1
	for i := base; i < s.count(); i++ {
		if s.holds(i) && m.reaches(b.keys[i], key, end) && (j < 0 || m.compare(b.keys[j], b.keys[i]) < 0) {
			j = i
		}
	}
	return j, j >= 0
}

// reaches reports whether a comes before b, or is b if end is closed.
func (m *ConcurrentMap[K, V]) reaches(a, b K, end reach) bool {
	if end == endless {
		return true
	}
	c := m.compare(a, b)
	return c < 0 || c == 0 && end == closed
}

func aboveFunc[K, V any](m *ConcurrentMap[K, V], b *logLeaf[K, V], s state, key K, end reach) (j int, ok bool) {
	base := int(b.base)
	p := 0
	if end != endless {
		var found bool
		if p, found = searchFunc(b.keys[:base], key, m.compare); found && end == open {
			p++
		}
	}

	j = firstSlot(s, p, base)
	for i := base; i < s.count(); i++ {
		if s.holds(i) && m.reaches(key, b.keys[i], end) && (j < 0 || m.compare(b.keys[i], b.keys[j]) < 0) {
			j = i
		}
	}
	return j, j >= 0
}
