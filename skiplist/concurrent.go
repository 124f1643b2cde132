// SPDX-License-Identifier: MIT

package skiplist

import (
	"cmp"
	"math/rand/v2"
	"sync"
	"sync/atomic"
)

// A ConcurrentMap is an ordered map that is safe for concurrent use by multiple
// goroutines. Make one with [NewConcurrentMap] or [NewConcurrentMapFunc].
//
// Each method but All and Backward is linearizable: it takes effect at one
// moment between its call and its return. Load takes no lock and never waits.
// Floor, Ceiling, Lower, Higher, Min and Max take none either. The methods that
// change the map lock one leaf of about 30 neighboring entries.
type ConcurrentMap[K, V any] struct {
	order[K, V]
	root atomic.Pointer[guide[K, V]]

	maxBase  int // entries of a leaf after which it is halved
	maxLog   int // slots of a log
	lowWater int // entries of a leaf that looks for another to be merged with
	fan      int // kids of a guide
	tries    int // of a snapshot without locks

	_     [64]byte // what follows changes often, and root must not share its line
	len   atomic.Int64
	up    sync.Mutex // guards root, and guides above level 1
	coins rand.PCG   // guarded by up
}

// NewConcurrentMap returns an empty ConcurrentMap in the natural order of its
// keys, as [cmp.Compare] has it: NaN, which equals itself here, comes before all
// other numbers.
func NewConcurrentMap[K cmp.Ordered, V any]() *ConcurrentMap[K, V] {
	return newConcurrentMap(naturalOrder[K, V](), 42, 15, 63)
}

// NewConcurrentMapFunc returns an empty ConcurrentMap in the order of compare,
// as [NewMapFunc] has it. Leaves are locked while compare runs, so that it must
// not use the map.
func NewConcurrentMapFunc[K, V any](compare func(a, b K) int) *ConcurrentMap[K, V] {
	if compare == nil {
		panic("skiplist: compare must not be nil")
	}
	return newConcurrentMap(orderOf[K, V](compare), 42, 15, 63)
}

func newConcurrentMap[K, V any](o order[K, V], maxBase, maxLog, fan int) *ConcurrentMap[K, V] {
	m := &ConcurrentMap[K, V]{
		order: o, maxBase: maxBase, maxLog: maxLog, lowWater: max(maxBase/4, 1), fan: fan, tries: snapshotTries,
		coins: *rand.NewPCG(rand.Uint64(), rand.Uint64()),
	}
	root, _ := m.newRoot()
	m.root.Store(root)
	return m
}

// newRoot returns a guide above one leaf, which is empty.
func (m *ConcurrentMap[K, V]) newRoot() (*guide[K, V], *logLeaf[K, V]) {
	b := &logLeaf[K, V]{first: true, last: true}
	m.openLog(b)
	x := newGuide[K, V](1)
	x.first = true
	x.appendLeaf(b.low, b)
	return x, b
}

// mustUse panics unless m was made by a constructor.
func (m *ConcurrentMap[K, V]) mustUse() {
	if m.seek == nil {
		panic("skiplist: zero ConcurrentMap: use NewConcurrentMap or NewConcurrentMapFunc")
	}
}

// Load returns the value of key, and whether there is one. It is wait-free. The
// complexity is O(log n) where n = m.Len().
func (m *ConcurrentMap[K, V]) Load(key K) (value V, ok bool) {
	m.mustUse()
	return m.lookup(m, key)
}

// Store makes value the value of key. A key that is there stays as it is. The
// complexity is O(log n) where n = m.Len().
func (m *ConcurrentMap[K, V]) Store(key K, value V) { m.Swap(key, value) }

// Swap makes value the value of key, and returns the one before, if any. loaded
// reports whether there was one. The complexity is O(log n) where n = m.Len().
func (m *ConcurrentMap[K, V]) Swap(key K, value V) (previous V, loaded bool) {
	m.mustUse()
	h := m.lockLeaf(key)
	defer h.unlock()
	j, loaded := m.get(m, h.leaf, h.leaf.loadLocked(), key)
	if loaded {
		previous = h.leaf.vals[j]
	}
	m.putLocked(&h, key, value, j, loaded)
	return previous, loaded
}

// LoadOrStore returns the value of key, after storing value if there is none.
// loaded reports whether there was one. The complexity is O(log n) where n =
// m.Len().
func (m *ConcurrentMap[K, V]) LoadOrStore(key K, value V) (actual V, loaded bool) {
	return m.LoadOrCompute(key, func() V { return value })
}

// LoadOrCompute returns the value of key, after storing that of f if there is
// none. loaded reports whether there was one; then f is not called. f runs once,
// while the leaf of key is locked: it must not use m, and should be quick. If it
// panics nothing changes. The complexity is O(log n) where n = m.Len().
func (m *ConcurrentMap[K, V]) LoadOrCompute(key K, f func() V) (actual V, loaded bool) {
	if actual, loaded = m.Load(key); loaded {
		return actual, true
	}
	h := m.lockLeaf(key)
	defer h.unlock()
	j, loaded := m.get(m, h.leaf, h.leaf.loadLocked(), key)
	if loaded {
		return h.leaf.vals[j], true
	}
	actual = f()
	m.putLocked(&h, key, actual, 0, false)
	return actual, false
}

// Compute sets the value of key to that which f makes of the one before, or
// deletes the key if f returns false; ok tells f whether there was one. It
// returns the value that the key has then, and whether it has one. f runs once,
// while the leaf of key is locked: it must not use m, and should be quick, for
// other writers wait. If it panics nothing changes. The complexity is O(log n)
// where n = m.Len().
func (m *ConcurrentMap[K, V]) Compute(key K, f func(old V, ok bool) (value V, keep bool)) (value V, ok bool) {
	m.mustUse()
	h := m.lockLeaf(key)
	defer h.unlock()
	var old, none V
	j, there := m.get(m, h.leaf, h.leaf.loadLocked(), key)
	if there {
		old = h.leaf.vals[j]
	}

	value, keep := f(old, there)
	switch {
	case keep:
		m.putLocked(&h, key, value, j, there)
		return value, true
	case there:
		m.removeLocked(&h, j)
	}
	return none, false
}

// LoadAndDelete removes key, and returns the value that it had, if any. loaded
// reports whether there was one. The complexity is O(log n) where n = m.Len().
func (m *ConcurrentMap[K, V]) LoadAndDelete(key K) (value V, loaded bool) {
	return m.deleteIf(key, func(V) bool { return true })
}

// Delete removes key. The complexity is O(log n) where n = m.Len().
func (m *ConcurrentMap[K, V]) Delete(key K) { m.LoadAndDelete(key) }

// CompareAndSwap makes new the value of key if it is old now, and reports
// whether it was. As in [sync.Map] old must be of a comparable type: if not, and
// key is there, CompareAndSwap panics. The complexity is O(log n) where n =
// m.Len().
func (m *ConcurrentMap[K, V]) CompareAndSwap(key K, old, new V) (swapped bool) {
	if value, ok := m.Load(key); !ok || any(value) != any(old) {
		return false
	}
	h := m.lockLeaf(key)
	defer h.unlock()
	j, ok := m.get(m, h.leaf, h.leaf.loadLocked(), key)
	if !ok || any(h.leaf.vals[j]) != any(old) {
		return false
	}
	m.putLocked(&h, key, new, j, true)
	return true
}

// CompareAndDelete removes key if its value is old now, and reports whether it
// was. As in [sync.Map] old must be of a comparable type: if not, and key is
// there, CompareAndDelete panics. The complexity is O(log n) where n = m.Len().
func (m *ConcurrentMap[K, V]) CompareAndDelete(key K, old V) (deleted bool) {
	_, deleted = m.deleteIf(key, func(value V) bool { return any(value) == any(old) })
	return deleted
}

// deleteIf removes key if its value fits, and returns the value.
func (m *ConcurrentMap[K, V]) deleteIf(key K, fits func(value V) bool) (value V, deleted bool) {
	var none V
	if value, ok := m.Load(key); !ok || !fits(value) {
		return none, false
	}
	h := m.lockLeaf(key)
	defer h.unlock()
	j, ok := m.get(m, h.leaf, h.leaf.loadLocked(), key)
	if !ok || !fits(h.leaf.vals[j]) {
		return none, false
	}
	value = h.leaf.vals[j]
	m.removeLocked(&h, j)
	return value, true
}

// removeLocked removes the entry of slot j of the leaf of h.
func (m *ConcurrentMap[K, V]) removeLocked(h *hold[K, V], j int) {
	m.eraseLocked(h.leaf, j)
	m.shrinkLocked(h)
}

// Len returns the number of entries. Beside writers it is one that the map had,
// or more by entries that are just being stored or deleted; it is never less.
// The complexity is O(1).
func (m *ConcurrentMap[K, V]) Len() int { return int(m.len.Load()) }
