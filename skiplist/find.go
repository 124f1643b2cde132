// SPDX-License-Identifier: MIT

package skiplist

import "cmp"

// A purpose tells a findFunc what to note on its way down.
type purpose uint8

const (
	forEntry  purpose = iota // nothing
	forRank                  // the number of entries before the key
	forChange                // the path, in m.path
)

// A findFunc finds the place of key in m, which is not empty: the leaf, the
// place there, whether the key is there, and with forRank its rank.
//
// There is one for each way of comparing, because a call for each comparison
// takes twice the time of all the rest (docs/design/skiplist.md). They scan
// blocks from the left: the processor guesses that the scan goes on, and loads
// the next block before the comparison is done, so a scan is faster than a
// binary search unless all is in the nearest cache.
type findFunc[K, V any] func(m *Map[K, V], key K, why purpose) (l *leaf[K, V], at, rank int, ok bool)

// note notes that the way leads through kid i of x.
func (m *Map[K, V]) note(x *index[K, V], i int, why purpose) (rank int) {
	if why == forRank {
		return x.sum(0, i)
	}
	m.path.push(x, i)
	return 0
}

// findOrdered compares with the operators of the language. They say of a NaN
// that it neither equals nor follows anything, so a NaN finds the first leaf,
// where the only NaN is the first key.
func findOrdered[K cmp.Ordered, V any](m *Map[K, V], key K, why purpose) (l *leaf[K, V], at, rank int, ok bool) {
	l = m.only
	for x := m.top; x != nil; {
		fences := x.fences[:x.n]
		i := 1
		for i < len(fences) && fences[i] <= key {
			i++
		}
		i--
		if why != forEntry {
			rank += m.note(x, i, why)
		}
		if x.leaves != nil {
			l = x.leaves[i]
			break
		}
		x = x.kids[i]
	}

	keys := l.keys[:l.n]
	i := 0
	if len(keys) > 0 && isNaN(keys[0]) {
		if isNaN(key) {
			return l, 0, rank, true
		}
		i = 1
	}
	for i < len(keys) && keys[i] < key {
		i++
	}
	return l, i, rank + i, i < len(keys) && keys[i] == key
}

// isNaN reports whether x is not equal to itself; the compiler knows that only
// floating-point numbers can be.
func isNaN[K cmp.Ordered](x K) bool { return x != x }

// findFuncOf compares with m.compare, by binary search: calls are what counts.
func findFuncOf[K, V any](m *Map[K, V], key K, why purpose) (l *leaf[K, V], at, rank int, ok bool) {
	l = m.only
	for x := m.top; x != nil; {
		i, found := searchFunc(x.fences[1:x.n], key, m.compare)
		if found {
			i++
		}
		if why != forEntry {
			rank += m.note(x, i, why)
		}
		if x.leaves != nil {
			l = x.leaves[i]
			break
		}
		x = x.kids[i]
	}
	i, ok := searchFunc(l.keys[:l.n], key, m.compare)
	return l, i, rank + i, ok
}

// searchFunc returns the number of keys before key, and whether key comes next.
func searchFunc[K any](keys []K, key K, compare func(a, b K) int) (int, bool) {
	lo := 0
	hi := len(keys)
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		switch c := compare(keys[mid], key); {
		case c == 0:
			return mid, true
		case c < 0:
			lo = mid + 1
		default:
			hi = mid
		}
	}
	return lo, false
}
