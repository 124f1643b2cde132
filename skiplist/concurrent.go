// SPDX-License-Identifier: MIT

package skiplist

import (
	"cmp"
	"math/rand/v2"
	"sync"
	"sync/atomic"
)

// Implementation notes.
//
// A ConcurrentMap is a blocked skip list as a Map is, with other blocks: leaves
// hold entries, and guides the fences of a level.
//
//	root ──▶ guide of level 2  [ ·  m ]
//	                             │  └──────────┐
//	         guides of level 1  [ ·  d  h ]  [ m  s ]
//	                              │  │  │      │  │
//	         leaves             [..][..][..]  [..][..]
//
//	state word of a leaf     63        62-57                 56-0
//	                         replaced  published slots       slot j holds none
//	slots of a leaf          0 ..... base   base ..... limit
//	                         in order       a log, in order of arrival
//
// A slot is written once, by whoever has the lock of the leaf, and published by
// the store of the state word. To insert is to write the next slot of the log
// and to count it; to overwrite is to set the bit of the old slot in the same
// store; to delete is to set the bit alone. So an update is one store of one
// word, and the slots that hold entries have different keys. A reader loads the
// word, and what it covers never changes. When the log is full the leaf is
// rebuilt. The writer of a slot notes its place, which is the number of slots
// in order that come before it, so that the log is put in order without a look
// at the keys, but where two slots have one place.
//
// Nobody changes a leaf or a guide in another way: the structure changes by
// copies. New leaves get the entries of the old ones, and are locked. One store
// to a slot of a guide, or to root, puts them there. Then the old leaves are
// marked dead, and then only are the new ones unlocked or written to. No block
// points to its neighbor, so that an old one keeps nothing from the collector.
//
// Invariants, checked by check when no operation runs, and partly after each
// update:
//
//   - I1: the leaves that can be reached from root tile the keys; the range of a
//     block is that of its slot, and never changes
//   - I2: a change of the structure becomes visible by one store, to a slot of a
//     current guide or to root
//   - I3: a slot of a guide of level 1 is stored under mu of the guide, and only
//     if that is not gone; slots above and root are stored under up. Whoever
//     replaces a block has its guard from before the copy until after the store
//   - I4: new leaves hold what those that they replace hold, and are locked from
//     before they can be reached until all of these are dead
//   - I5: the bits of a state are only set and its count only grows; a slot that
//     is published never changes; nothing changes after the dead bit
//   - I6: an update is one store of the state of a leaf that is locked and not
//     dead. Such a leaf is current, since replacing it takes its lock
//   - I7: len is raised before an entry shows, and lowered after one is gone
//
// Clear alone replaces leaves by one with other content: it has the locks of
// all of them, and the new one stays locked until all are dead.
//
// Why it is right. Let P, R and D be the moments at which a block becomes
// reachable, is replaced, and a leaf is marked dead, P <= R < D, and let truth
// be what the map holds in a range of keys at some moment.
//
// L1. If a search starts at a, each block on its way is replaced after a. The
// root is current when it is read. Let kid C be read from a slot of X at s. If
// X was current, so was C. If not, X had been replaced at R(X) > a, and the
// slot holds what it held then, by I3: nobody else could store to it while X
// was copied, and C went on as a kid of the copy. So C was current at R(X) > a.
// An old guide may be out of date, but not older than the search.
//
// L2. Let a search that started at a find leaf b, and let state s be loaded
// from it at t. Then b at s was the truth of its range at some moment from a to
// t. If s is not dead, the moment is t: before R(b) by I6, and from then to
// D(b) because what replaced b is locked and equal, by I4. If s is dead, the
// moment is R(b), which is after a by L1. So Load is linearizable, and so is an
// answer that one leaf gives.
//
// L3. If b has the same state, not dead, at t1 and at t2, b was the truth
// throughout. An update before R(b) would have changed the word, and no word
// comes again by I5; after R(b) there is none before D(b) > t2, by I4.
//
// Navigation passes leaves b1 to bm that hold no answer, in the states s1 to
// sm, and finds one in leaf b at t. The search for b started at a, after all of
// them were read, and ended at the leaf that has the key just beyond bm; so the
// ranges of b1 to b leave no gap. By L2 there is a moment from a to t at which
// b was the truth. All of b1 to bm are loaded again after t, and are unchanged:
// by L3 they were the truth at that moment, too. So there was no key between
// the answer and the one that was asked for. That there is no answer at all is
// so at any moment between the last load of the first round and the first one
// of the second. The same holds beside Clear: after it there is still nothing
// in the ranges that were passed, until the new leaf opens, and then all old
// leaves are dead. To take the neighbor from the guide that led to bm would be
// wrong: that guide may be replaced after a, and before bm was read.
//
// Updates take effect at their store (I6). PopMin has the locks of all leaves
// before that of its entry, which are empty; PopMax those of all behind it, or
// it takes effect when Max found nothing. Clear takes effect when it stores
// root. A snapshot takes effect between its two rounds, or while it has all
// locks; in the first case its leaves must also meet at their bounds, or some
// could come from before a Clear and some from after. It copies later, which I5
// allows. A loop reads each leaf at one moment; each begins where the last one
// ended or covers that place, and the cursor only advances: no key comes twice,
// and one that stays is in the leaf that covers it when that is read. The next
// leaf may come from the guide of the last one, however old that is, if it is
// not dead: then it was the truth when it was read, as in L2, and its range is
// that of its slot by I1.
//
// Locks: whoever waits for a leaf has only leaves with lesser keys; then comes
// mu of one guide, then up. Leaves that replace others are locked while nobody
// can see them, and siblings only if they are free. So there is no deadlock.
//
// Functions of the caller run under locks: compare, and those of Compute and
// LoadOrCompute. All locks are released by defer, and a function that changes
// the structure calls compare only before the store that shows it. So one that
// panics leaves the map as it was, or after the whole change.
//
// Tests choose at each shared access which goroutine goes on (hook.go): they
// run histories by the thousand, and small scenes by all schedules with two
// preemptions.
//
// Why no tombstones in the log: each would use up a slot and force rebuilds,
// and readers would have to look which record is the last. Why rebuilds do not
// carry the new entry: it would show before the old leaf is dead, and
// navigation that has passed the old leaf would miss it; 1 of 20,000 histories
// finds that. Why no links between leaves: see Map. Why no seqlock: it reads
// what is being written, which Go does not allow for keys and values of any
// type.

// A ConcurrentMap is an ordered map that is safe for concurrent use by multiple
// goroutines. Make one with [NewConcurrentMap] or [NewConcurrentMapFunc].
//
// Each method but Len, All and Backward is linearizable: it takes effect at one
// moment between its call and its return. Load takes no lock and never waits.
// Floor, Ceiling, Lower, Higher, Min and Max take none either. The methods that
// change the map lock one leaf of about 30 neighboring entries. An empty map
// has room for 57 already.
//
// In the terms of the Go memory model, a method that changes the map
// synchronizes before each method that observes the change, loops included.
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
// keys, as [cmp.Compare] has it: NaN, which equals itself here, comes before
// all other numbers.
func NewConcurrentMap[K cmp.Ordered, V any]() *ConcurrentMap[K, V] {
	return newConcurrentMap(naturalOrder[K, V](), leafSlots-logSlots, logSlots, guideSlots-1)
}

// NewConcurrentMapFunc returns an empty ConcurrentMap in the order of compare,
// as [NewMapFunc] has it. Leaves are locked while compare runs, so that it must
// not use the map. If compare is no strict weak order, methods may wait
// forever.
func NewConcurrentMapFunc[K, V any](compare func(a, b K) int) *ConcurrentMap[K, V] {
	if compare == nil {
		panic("skiplist: compare must not be nil")
	}
	return newConcurrentMap(orderOf[K, V](compare), leafSlots-logSlots, logSlots, guideSlots-1)
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

// mustBeMade panics unless m was made by a constructor.
func (m *ConcurrentMap[K, V]) mustBeMade() {
	if m == nil || m.seek == nil {
		panic("skiplist: zero ConcurrentMap: use NewConcurrentMap or NewConcurrentMapFunc")
	}
}

// Load returns the value of key, and whether there is one. It is wait-free. The
// complexity is O(log n) where n = m.Len().
func (m *ConcurrentMap[K, V]) Load(key K) (value V, ok bool) {
	m.mustBeMade()
	return m.lookup(m, key)
}

// Store makes value the value of key. A key that is there stays as it is. The
// complexity is O(log n) where n = m.Len().
func (m *ConcurrentMap[K, V]) Store(key K, value V) { m.Swap(key, value) }

// Swap makes value the value of key, and returns the one before, if any. loaded
// reports whether there was one. The complexity is O(log n) where n = m.Len().
func (m *ConcurrentMap[K, V]) Swap(key K, value V) (previous V, loaded bool) {
	m.mustBeMade()
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
// none. loaded reports whether there was one; then f is not called. f runs
// once, while the leaf of key is locked: it must not use m, and should be
// quick. If it panics nothing changes. The complexity is O(log n) where n =
// m.Len().
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
	m.putLocked(&h, key, actual, j, false)
	return actual, false
}

// Compute sets the value of key to that which f makes of the one before, or
// deletes the key if f returns false; ok tells f whether there was one. It
// returns the value that the key has then, and whether it has one. f runs once,
// while the leaf of key is locked: it must not use m, and should be quick, for
// other writers wait. If it panics nothing changes. The complexity is O(log n)
// where n = m.Len().
func (m *ConcurrentMap[K, V]) Compute(key K, f func(old V, ok bool) (value V, keep bool)) (value V, ok bool) {
	m.mustBeMade()
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
// whether it was. As in [sync.Map] old must be of a comparable type: if not,
// and key is there, CompareAndSwap panics. The complexity is O(log n) where n =
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
