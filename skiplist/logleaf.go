// SPDX-License-Identifier: MIT

package skiplist

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// leafSlots is the number of slots of a logLeaf: with their bits, a count of
// six bits and the dead bit a state fills one word.
const leafSlots = 57

// logSlots is the largest number of slots of a log.
const logSlots = 15

// A state is the state word of a logLeaf. Bit j is set when the entry of slot j
// is deleted or overwritten, bits 57 to 62 count the slots that are published,
// and bit 63 is set when the leaf is replaced. Bits are only set and the count
// only grows, so that no state of a leaf occurs twice.
type state uint64

const (
	oneSlot state = 1 << leafSlots
	dead    state = 1 << 63
)

// count returns the number of published slots.
func (s state) count() int { return int(s >> leafSlots & 63) }

// live returns a word with a bit for each slot that has an entry.
func (s state) live() uint64 { return (1<<uint(s.count()) - 1) &^ uint64(s) }

// size returns the number of entries.
func (s state) size() int { return bits.OnesCount64(s.live()) }

// holds reports whether the published slot j has an entry.
func (s state) holds(j int) bool { return s>>(uint(j)&63)&1 == 0 }

// A logLeaf is a leaf of a ConcurrentMap: it holds the entries of the keys from
// low on and before high. The slots before base are in order, the others are a
// log in the order of arrival. A slot is written once, under mu, before the
// state that publishes it; slots that hold entries have different keys.
type logLeaf[K, V any] struct {
	mu    sync.Mutex    // held by whoever stores word
	word  atomic.Uint64 // a state
	base  uint8         // slots in order
	limit uint8         // the log ends there

	places [logSlots]uint8 // slots in order whose keys come before that of a log slot

	first, last bool // low is before all keys, high is after all keys
	low, high   K

	keys [leafSlots]K
	vals [leafSlots]V
}

// load returns the state of b. What it covers never changes.
func (b *logLeaf[K, V]) load() state {
	step()
	return state(b.word.Load())
}

// loadLocked returns the state of b to a goroutine that alone may change it.
func (b *logLeaf[K, V]) loadLocked() state { return state(b.word.Load()) }

// storeLocked makes s the state of b.
func (b *logLeaf[K, V]) storeLocked(s state) {
	step()
	b.word.Store(uint64(s))
}

// retireLocked marks b as replaced: from here on nothing of it changes.
func (b *logLeaf[K, V]) retireLocked() {
	b.storeLocked(b.loadLocked() | dead)
	step()
}

// between sets the bounds of b, which is not published, to those of lo below
// and of hi above.
func (b *logLeaf[K, V]) between(lo, hi *logLeaf[K, V]) {
	b.low = lo.low
	b.first = lo.first
	b.high = hi.high
	b.last = hi.last
}

// A line is the order of the log of a leaf: which entries of the log come
// before each slot in order.
type line struct {
	places uint64           // bit i is set if any do for slot i, or for the end
	heads  [64]uint8        // the slot of the first of them, plus 1
	next   [leafSlots]uint8 // the slot after each of them, plus 1, or 0
}

// lineUp returns the order of the log of b at s. The places of its slots tell
// it, without a comparison unless several have one place.
func (m *ConcurrentMap[K, V]) lineUp(b *logLeaf[K, V], s state) (l line) {
	base := int(b.base)
	for j := base; j < s.count(); j++ {
		if !s.holds(j) {
			continue
		}
		place := b.places[j-base] & 63
		l.places |= 1 << place

		// Put it among those of its place.
		at := &l.heads[place]
		for *at > 0 && m.compare(b.keys[*at-1], b.keys[j]) < 0 {
			at = &l.next[*at-1]
		}
		l.next[j] = *at
		*at = uint8(j) + 1
	}
	return l
}

// slotsOf returns the n slots that hold entries of b at s, in the order of
// their keys.
func (m *ConcurrentMap[K, V]) slotsOf(b *logLeaf[K, V], s state) (slots [leafSlots]uint8, n int) {
	l := m.lineUp(b, s)
	i, base := 0, int(b.base)
	for {
		end := min(bits.TrailingZeros64(l.places), base)
		for ; i < end; i++ {
			slots[n] = uint8(i)
			n += int(^s >> uint(i) & 1)
		}
		if l.places == 0 {
			return slots, n
		}
		l.places &= l.places - 1
		for j := l.heads[end]; j > 0; j = l.next[j-1] {
			slots[n] = j - 1
			n++
		}
	}
}

// yieldAll yields the entries of b at s in order, and reports whether f wants
// more. What a state covers never changes, so that no lock and no copy is
// needed.
func (m *ConcurrentMap[K, V]) yieldAll(b *logLeaf[K, V], s state, f func(K, V) bool) bool {
	l := m.lineUp(b, s)
	i, base := 0, int(b.base)
	for {
		end := min(bits.TrailingZeros64(l.places), base)
		for ; i < end; i++ {
			if s.holds(i) && !f(b.keys[i], b.vals[i]) {
				return false
			}
		}
		if l.places == 0 {
			return true
		}
		l.places &= l.places - 1
		for j := l.heads[end]; j > 0; j = l.next[j-1] {
			if !f(b.keys[j-1], b.vals[j-1]) {
				return false
			}
		}
	}
}

// appendFrom copies the entries of c at the slots given to b, which is not
// published.
func (b *logLeaf[K, V]) appendFrom(c *logLeaf[K, V], slots []uint8) {
	n := int(b.base)
	for i, j := range slots {
		b.keys[n+i] = c.keys[j]
		b.vals[n+i] = c.vals[j]
	}
	b.base += uint8(len(slots))
}

// openLog ends the construction of b, which m may publish then: its log begins
// behind its entries. A short leaf has a short log, so that a leaf has no more
// dead slots than entries, or a few.
func (m *ConcurrentMap[K, V]) openLog(b *logLeaf[K, V]) {
	base := int(b.base)
	b.limit = uint8(min(base+min(m.maxLog, base/2+2), leafSlots))
	b.word.Store(uint64(base) << leafSlots)
}
