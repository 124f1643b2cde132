// SPDX-License-Identifier: MIT

package skiplist

import (
	"encoding/binary"
	"math/bits"
	"runtime"
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

// farLen is the number of entries from which on most leaves are in none of the
// near caches.
const farLen = 1 << 14

// isFar reports whether it pays to touch a leaf before it is read or locked.
func (m *ConcurrentMap[K, V]) isFar() bool { return m.len.Load() > farLen }

// touch loads something of each line of the slots in order, which no goroutine
// writes to any more.
func (b *logLeaf[K, V]) touch() {
	for i := 0; i < int(b.base); i += 8 {
		runtime.KeepAlive(b.keys[i])
		runtime.KeepAlive(b.vals[i])
	}
}

// between sets the bounds of b, which is not published, to those of lo below
// and of hi above.
func (b *logLeaf[K, V]) between(lo, hi *logLeaf[K, V]) {
	b.low = lo.low
	b.first = lo.first
	b.high = hi.high
	b.last = hi.last
}

// An ordering is the slots of a leaf that hold entries, in the order of their
// keys. Slots in order are noted eight at a time, so that it has room for seven
// more than there are.
type ordering [leafSlots + 7]uint8

// eightSlots are the numbers 0 to 7 as the bytes of a word, and eachSlot is
// what makes each of them one more.
const (
	eightSlots = 0x0706050403020100
	eachSlot   = 0x0101010101010101
)

// slotsOf notes the slots that hold entries of b at s in o, and returns their
// number. The places of the log slots tell their order, without a comparison
// unless several have one place.
func (m *ConcurrentMap[K, V]) slotsOf(b *logLeaf[K, V], s state, o *ordering) (n int) {
	base := int(b.base)
	live := s.live()
	stops := ^live & (1<<uint(base) - 1) // where the run of slots in order is broken
	var heads [64]uint8                  // the log slot that comes before a slot in order, plus 1
	var next [leafSlots]uint8            // the log slot of the same place that follows, plus 1
	for log := live >> uint(base) << uint(base); log != 0; log &= log - 1 {
		j := bits.TrailingZeros64(log)
		place := b.places[j-base] & 63
		stops |= 1 << place

		// Put it among those of its place.
		at := &heads[place]
		for *at > 0 && m.compare(b.keys[*at-1], b.keys[j]) < 0 {
			at = &next[*at-1]
		}
		next[j] = *at
		*at = uint8(j) + 1
	}

	for i := 0; ; stops &= stops - 1 {
		end := min(bits.TrailingZeros64(stops), base)
		for k := i; k < end; k += 8 {
			binary.LittleEndian.PutUint64(o[n+k-i:], eightSlots+uint64(k)*eachSlot)
		}
		n += end - i
		if stops == 0 {
			return n
		}
		for j := heads[end]; j > 0; j = next[j-1] {
			o[n] = j - 1
			n++
		}
		i = end
		if end < base && !s.holds(end) {
			i++
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
