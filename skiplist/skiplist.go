// SPDX-License-Identifier: MIT

package skiplist

import (
	"cmp"
	"iter"
	"math/rand/v2"
	"strings"
	"sync/atomic"
)

// Implementation notes.
//
// A Map is a skip list whose nodes hold up to 62 entries instead of one:
//
//	level 2   [ ·  m ]                         fences that won two coin flips
//	            │   └───────────┐
//	level 1   [ ·  d  h ]     [ ·  s ]         fences, a block for each one above
//	            │  │  │         │  │
//	level 0   [a b][d f][h k] [m p][s t u]     entries: leaves
//
// A fence is the lower bound of a block. The fences of level 1 separate leaves.
// Each level above is a random sublist of the one below: a fence that is new
// flips a coin of 1 in 64, and goes up while it wins. A block of an index level
// holds the fences between two that went up, so it is cut where one does. A gap
// never exceeds 62 fences: a block that is full gives some to a neighbor, or
// sends up the fence in its middle without a coin.
//
// Fences are boundaries, not keys: the entry of a fence may be deleted, and the
// fence stays until its blocks are merged. Promotion is by chance and by the
// cap, demotion by merging. So the expected height is that of a skip list. The
// worst one is bounded by fill, whoever knows the coins: an index block that is
// less than a quarter full was cut by a coin, and no entry under it was deleted
// since, unless it is the top or the last of its level.
//
// Invariants, checked after each change under the tag invariants:
//
//   - I1: keys ascend within a leaf and from leaf to leaf, and each lies
//     between the fences around its leaf
//   - I2: a count of an index block is the number of entries under its kid, and
//     the counts of the top add up to len
//   - I3: a block holds at least one entry or kid, unless it is the only leaf of
//     an empty map, and at most limit; a top with one kid does not exist
//   - I4: all leaves are on one level
//   - I5: a block that the map owns has a parent that it owns
//   - I6: places that are free hold zero values, so that no value that was
//     deleted is kept from the garbage collector, nor a key but for fences
//   - I7: prefixes are those of the keys (see prefix.go)
//   - I8: a leaf between others is a quarter full at least
//
// Clone makes two owners of one tree: both get a new number, and a writer
// copies each block that has another number than its own before it changes it,
// from the top down (I5). A reader writes nothing, and Clone only the number,
// atomically; so Clone is safe beside readers.
//
// Blocks have no links to their neighbors: a link would make each change copy
// the neighbor, too, and the garbage collector follow the leaves one after
// another. An iterator keeps the path to its leaf. It sees by the counter of
// changes that the map was changed, and finds the successor of its last key.
//
// Why not one entry a node: 90 to 120 bytes an entry, and a cache miss for each
// step (docs/design/skiplist.md has the figures). Why not a comparator called
// for each step: the kernels compare numbers and strings in place, and one
// indirect call an operation chooses the kernel.

// width is the largest number of entries of a leaf and of kids of an index
// block. Blocks of 8-byte keys and values then fill size classes of Go's
// allocator: 1024 and 1536 bytes.
const width = 62

// A Map is an ordered map from keys to values. A nil or zero Map reads as empty
// and panics when it is written to: use [NewMap] or [NewMapFunc].
//
// Any number of goroutines may read a Map at once, and one may write if none
// reads. Clone counts as reading.
type Map[K, V any] struct {
	find    findFunc[K, V]
	compare func(a, b K) int
	strings bool // leaves have prefixes

	top     *index[K, V] // nil if there is but one leaf
	only    *leaf[K, V]  // that leaf
	len     int
	changes uint64        // counts the changes, for iterators
	seeks   uint64        // counts the moves of path, for Compute
	owner   atomic.Uint64 // the number of the blocks that may be changed in place
	limit   int           // width, less in tests
	coins   rand.PCG

	path path[K, V] // of the last change
}

// owners is the last number that an owner got. It is 0 until a map is cloned:
// only clones have blocks of each other.
var owners atomic.Uint64

// NewMap returns an empty Map in the natural order of its keys, as
// [cmp.Compare] has it: NaN, which equals itself here, comes before all other
// numbers.
func NewMap[K cmp.Ordered, V any]() *Map[K, V] {
	m := newMap(findOrdered[K, V], cmp.Compare[K])
	if _, ok := any(*new(K)).(string); ok {
		m.find = findString[K, V]
		m.strings = true
	}
	return m
}

// NewMapFunc returns an empty Map in the order of compare, which is negative if
// a comes before b, positive if it comes after b, and 0 if they are the same
// key. It must be a strict weak order, as for [slices.SortFunc].
func NewMapFunc[K, V any](compare func(a, b K) int) *Map[K, V] {
	if compare == nil {
		panic("skiplist: compare must not be nil")
	}
	return newMap(findFuncOf[K, V], compare)
}

func newMap[K, V any](find findFunc[K, V], compare func(a, b K) int) *Map[K, V] {
	return &Map[K, V]{find: find, compare: compare, limit: width, coins: *rand.NewPCG(rand.Uint64(), rand.Uint64())}
}

// Collect returns a Map of the pairs of seq, in natural order. Of pairs with
// the same key the last one counts. If the keys ascend each takes O(1).
func Collect[K cmp.Ordered, V any](seq iter.Seq2[K, V]) *Map[K, V] {
	m := NewMap[K, V]()
	m.SetAll(seq)
	return m
}

// isZero reports whether m was not made by a constructor.
func (m *Map[K, V]) isZero() bool { return m == nil || m.find == nil }

// mustUse panics unless m can be written to.
func (m *Map[K, V]) mustUse() {
	if m.isZero() {
		panic("skiplist: zero Map: use NewMap or NewMapFunc")
	}
}

// Get returns the value of key, and whether there is one. The complexity is
// O(log n) where n = m.Len().
func (m *Map[K, V]) Get(key K) (value V, ok bool) {
	if m.Len() == 0 {
		return value, false
	}
	l, i, _, ok := m.find(m, key, forEntry)
	if ok {
		value = l.vals[i]
	}
	return value, ok
}

// Has reports whether key is in m. The complexity is O(log n) where n =
// m.Len().
func (m *Map[K, V]) Has(key K) bool {
	if m.Len() == 0 {
		return false
	}
	_, _, _, ok := m.find(m, key, forEntry)
	return ok
}

// Set makes value the value of key. It returns the value before, and whether
// the key is new. A key that is there stays as it is. The complexity is O(log
// n) where n = m.Len(), and O(1) amortized for a key beyond all others.
func (m *Map[K, V]) Set(key K, value V) (old V, added bool) {
	m.mustUse()
	if m.isNext(key) {
		m.appendNext(key, value)
		return old, true
	}
	if m.seek(key) {
		return m.replace(value), false
	}
	m.insert(key, value)
	return old, true
}

// SetAll sets the pairs of seq one after the other, and returns the number of
// new keys. If the keys ascend beyond those of m each takes O(1).
func (m *Map[K, V]) SetAll(seq iter.Seq2[K, V]) (added int) {
	m.mustUse()
	for key, value := range seq {
		if _, isNew := m.Set(key, value); isNew {
			added++
		}
	}
	return added
}

// GetOrSet returns the value of key, after setting it to value if there is
// none. loaded reports whether there was one. The complexity is O(log n) where
// n = m.Len().
func (m *Map[K, V]) GetOrSet(key K, value V) (actual V, loaded bool) {
	m.mustUse()
	if m.seek(key) {
		return m.path.leaf.vals[m.path.at], true
	}
	m.insert(key, value)
	return value, false
}

// Compute sets the value of key to that which f makes of the one before, or
// deletes the key if f returns false; ok tells f whether there was one. It
// returns the value that the key has then, and whether it has one. If f panics
// nothing changes. f may use m, even change it: the result of f is stored last.
// The complexity is O(log n) where n = m.Len().
func (m *Map[K, V]) Compute(key K, f func(old V, ok bool) (value V, keep bool)) (value V, ok bool) {
	m.mustUse()
	var old, none V
	there := m.seek(key)
	if there {
		old = m.path.leaf.vals[m.path.at]
	}
	changes, seeks := m.changes, m.seeks
	value, keep := f(old, there)
	if m.changes != changes || m.seeks != seeks {
		there = m.seek(key) // f used the path
	}

	switch {
	case !keep && there:
		m.remove()
		return none, false
	case !keep:
		return none, false
	case there:
		m.replace(value)
	default:
		m.insert(key, value)
	}
	return value, true
}

// Delete removes key, and returns the value that it had, if any. The complexity
// is O(log n) where n = m.Len().
func (m *Map[K, V]) Delete(key K) (value V, ok bool) {
	if m.isZero() || m.len == 0 || !m.seek(key) {
		return value, false
	}
	_, value = m.remove()
	return value, true
}

// DeleteFunc removes the entries for which del reports true, and returns their
// number. The complexity is O(n + k log n) where n = m.Len() and k is that
// number.
func (m *Map[K, V]) DeleteFunc(del func(key K, value V) bool) (n int) {
	for key, value := range m.All() {
		if del(key, value) {
			if _, ok := m.Delete(key); ok {
				n++
			}
		}
	}
	return n
}

// Len returns the number of entries. The complexity is O(1).
func (m *Map[K, V]) Len() int {
	if m == nil {
		return 0
	}
	return m.len
}

// Clear removes all entries. The complexity is O(1).
func (m *Map[K, V]) Clear() {
	if m.isZero() {
		return
	}
	m.top = nil
	m.only = nil
	m.len = 0
	m.changes++
	m.path.reset()
}

// Clone returns a copy of m. Both share their blocks until one of them is
// changed, which copies the blocks on the way to the change. The complexity is
// O(1).
func (m *Map[K, V]) Clone() *Map[K, V] {
	if m.isZero() {
		return &Map[K, V]{}
	}
	c := &Map[K, V]{
		find: m.find, compare: m.compare, strings: m.strings,
		top: m.top, only: m.only, len: m.len, limit: m.limit, coins: m.coins,
	}

	// Neither owns the blocks that both have.
	m.owner.Store(owners.Add(1))
	c.owner.Store(owners.Add(1))
	return c
}

// Min returns the first entry, if there is one. The complexity is O(log n)
// where n = m.Len().
func (m *Map[K, V]) Min() (key K, value V, ok bool) { return m.entry(0) }

// Max returns the last entry, if there is one. The complexity is O(log n) where
// n = m.Len().
func (m *Map[K, V]) Max() (key K, value V, ok bool) { return m.entry(m.Len() - 1) }

// PopMin removes and returns the first entry, if there is one. The complexity
// is O(log n) where n = m.Len().
func (m *Map[K, V]) PopMin() (key K, value V, ok bool) { return m.pop(0) }

// PopMax removes and returns the last entry, if there is one. The complexity is
// O(log n) where n = m.Len().
func (m *Map[K, V]) PopMax() (key K, value V, ok bool) { return m.pop(m.Len() - 1) }

// pop removes and returns the entry of rank r, if there is one.
func (m *Map[K, V]) pop(r int) (key K, value V, ok bool) {
	if r < 0 || r >= m.Len() {
		return key, value, false
	}
	m.path.seek(m, r)
	key, value = m.remove()
	return key, value, true
}

// Floor returns the last entry whose key is at most key, if there is one. The
// complexity is O(log n) where n = m.Len().
func (m *Map[K, V]) Floor(key K) (k K, value V, ok bool) {
	if m.Len() == 0 {
		return k, value, false
	}
	l, i, _, ok := m.find(m, key, forEntry)
	switch {
	case ok:
		return l.keys[i], l.vals[i], true
	case i > 0:
		return l.keys[i-1], l.vals[i-1], true
	}
	return m.entry(m.rank(key, false) - 1)
}

// Ceiling returns the first entry whose key is at least key, if there is one.
// The complexity is O(log n) where n = m.Len().
func (m *Map[K, V]) Ceiling(key K) (k K, value V, ok bool) {
	if m.Len() == 0 {
		return k, value, false
	}
	l, i, _, _ := m.find(m, key, forEntry)
	if i < l.n {
		return l.keys[i], l.vals[i], true
	}
	return m.entry(m.rank(key, false))
}

// Lower returns the last entry whose key is less than key, if there is one. The
// complexity is O(log n) where n = m.Len().
func (m *Map[K, V]) Lower(key K) (k K, value V, ok bool) {
	if m.Len() == 0 {
		return k, value, false
	}
	l, i, _, _ := m.find(m, key, forEntry)
	if i > 0 {
		return l.keys[i-1], l.vals[i-1], true
	}
	return m.entry(m.rank(key, false) - 1)
}

// Higher returns the first entry whose key is greater than key, if there is
// one. The complexity is O(log n) where n = m.Len().
func (m *Map[K, V]) Higher(key K) (k K, value V, ok bool) {
	if m.Len() == 0 {
		return k, value, false
	}
	l, i, _, ok := m.find(m, key, forEntry)
	if ok {
		i++
	}
	if i < l.n {
		return l.keys[i], l.vals[i], true
	}
	return m.entry(m.rank(key, true))
}

// Index returns the rank of key, which is the number of keys before it, or -1
// if it is not in m. The complexity is O(log n) where n = m.Len().
func (m *Map[K, V]) Index(key K) int {
	if m.Len() == 0 {
		return -1
	}
	_, _, r, ok := m.find(m, key, forRank)
	if !ok {
		return -1
	}
	return r
}

// Nth returns the entry of rank i. It panics unless i is at least 0 and less
// than m.Len(), as an index of a slice does. The complexity is O(log n) where n
// = m.Len().
func (m *Map[K, V]) Nth(i int) (key K, value V) {
	_ = make([]struct{}, m.Len())[i]
	key, value, _ = m.entry(i)
	return key, value
}

// entry returns the entry of rank r, if there is one.
func (m *Map[K, V]) entry(r int) (key K, value V, ok bool) {
	if r < 0 || r >= m.Len() {
		return key, value, false
	}
	l, i := m.leafOf(r)
	return l.keys[i], l.vals[i], true
}

// leafOf returns the place of the entry of rank r.
func (m *Map[K, V]) leafOf(r int) (*leaf[K, V], int) {
	x := m.top
	if x == nil {
		return m.only, r
	}
	for {
		i := 0
		for r >= x.counts[i] {
			r -= x.counts[i]
			i++
		}
		if x.leaves != nil {
			return x.leaves[i], r
		}
		x = x.kids[i]
	}
}

// rank returns the number of keys before key, and with key if through.
func (m *Map[K, V]) rank(key K, through bool) int {
	if m.Len() == 0 {
		return 0
	}
	_, _, r, ok := m.find(m, key, forRank)
	if ok && through {
		r++
	}
	return r
}

// String returns the entries as fmt prints a map, in order.
func (m *Map[K, V]) String() string {
	var b strings.Builder
	writePairs(&b, m.All())
	return b.String()
}

// count returns the number of keys for which before reports true: those up to
// some place, and none behind it.
func (m *Map[K, V]) count(before func(key K) bool) (n int) {
	if m.Len() == 0 {
		return 0
	}
	l := m.only
	for x := m.top; x != nil; {
		i := partition(x.fences[1:x.n], before)
		n += x.sum(0, i)
		if x.leaves != nil {
			l = x.leaves[i]
			break
		}
		x = x.kids[i]
	}
	return n + partition(l.keys[:l.n], before)
}

// partition returns the number of keys for which before reports true, which
// come first.
func partition[K any](keys []K, before func(key K) bool) int {
	lo := 0
	hi := len(keys)
	for lo < hi {
		if mid := int(uint(lo+hi) / 2); before(keys[mid]) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}
