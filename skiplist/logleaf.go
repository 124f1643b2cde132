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

// slotsOf returns the n slots that hold entries of b at s, in the order of their
// keys. The places tell it for the log; keys of one place are compared.
func (m *ConcurrentMap[K, V]) slotsOf(b *logLeaf[K, V], s state) (slots [leafSlots]uint8, n int) {
	// Sort the log by insertion: it is short.
	var log [logSlots]uint8
	base, logs := int(b.base), 0
	places := &b.places
	for j := base; j < s.count(); j++ {
		if !s.holds(j) {
			continue
		}
		at := logs
		for at > 0 && m.comesBefore(b, j-base, int(log[at-1])) {
			log[at] = log[at-1]
			at--
		}
		log[at] = uint8(j - base)
		logs++
	}

	// Merge it with the slots in order.
	i := 0
	for _, l := range log[:logs] {
		for end := int(places[l]); i < end; i++ {
			slots[n] = uint8(i)
			n += int(^s >> uint(i) & 1)
		}
		slots[n] = uint8(base) + l
		n++
	}
	for ; i < base; i++ {
		slots[n] = uint8(i)
		n += int(^s >> uint(i) & 1)
	}
	return slots, n
}

// comesBefore reports whether the key of slot i of the log of b comes before
// that of slot j.
func (m *ConcurrentMap[K, V]) comesBefore(b *logLeaf[K, V], i, j int) bool {
	if b.places[i] != b.places[j] {
		return b.places[i] < b.places[j]
	}
	base := int(b.base)
	return m.compare(b.keys[base+i], b.keys[base+j]) < 0
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
