// SPDX-License-Identifier: MIT

package skiplist

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// leafSlots is the number of slots of a logLeaf: with their bits, a count of six
// bits and the dead bit a state fills one word.
const leafSlots = 57

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
