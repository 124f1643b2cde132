// SPDX-License-Identifier: MIT

package breaker

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// A tally holds the counts of a window, by kind.
type tally [3]uint64

// The kinds of calls that the window of a Breaker counts. Slow calls may be
// failures too.
const (
	calls = iota
	failures
	slows
)

// A ring counts by time, in buckets that share slots in turn:
//
//	epoch  … 38 39 40 41 42
//	slot      3  4  0  1  2     head = 42
//
// An addition counts in the bucket of head, and so does one whose reading is
// older, since time does not go back. The slots of the epochs up to head are
// cleared when head moves on, so that all slots together always are the last n
// epochs: between n-1 and n widths of time. An addition takes no lock, except
// one for each bucket. An addition that is preempted for whole buckets counts
// in the bucket that has its slot by then.
//
// Successes wait outside of the buckets until the bucket of head is over or
// somebody reads.
type ring struct {
	end     atomic.Int64           // the reading from which head is over
	cur     atomic.Pointer[bucket] // the slot of head
	waiting counter                // successes that are in no bucket yet
	width   int64
	slots   []bucket

	mu   sync.Mutex // protects head and past, and the changes of end and cur
	head int64
	past tally // of the buckets that are over
}

// A bucket holds the counters of one epoch, by kind.
type bucket [3]atomic.Uint64

// newRing returns a ring of n buckets over span, at reading t.
func newRing(span int64, n int, t int64) *ring {
	r := &ring{width: (span-1)/int64(n) + 1, slots: make([]bucket, n)}
	r.moveLocked(floorDiv(t, r.width))
	return r
}

// floorDiv returns a/b rounded down. Readings may be negative.
func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// at returns the bucket of reading t, after clearing those that are over.
func (r *ring) at(t int64) *bucket {
	if t >= r.end.Load() {
		r.advance(floorDiv(t, r.width))
	}
	return r.cur.Load()
}

// current returns the bucket of the latest reading.
func (r *ring) current() *bucket { return r.cur.Load() }

// advance moves head to epoch, or finds that another goroutine did.
func (r *ring) advance(epoch int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gatherLocked()

	// Slots that leave the window leave the sum, and are used again.
	n := int64(len(r.slots))
	for e := max(r.head+1, epoch-n+1); e <= epoch; e++ {
		s := r.slot(e)
		for i := range s {
			r.past[i] += s[i].Swap(0)
		}
	}
	if epoch > r.head {
		r.moveLocked(epoch)
	}
}

// slot returns the slot that epoch has in its turn.
func (r *ring) slot(epoch int64) *bucket {
	n := int64(len(r.slots))
	return &r.slots[(epoch%n+n)%n]
}

// moveLocked makes epoch the head. The slot changes before the end, so that a
// goroutine that sees the new end sees the new slot too.
func (r *ring) moveLocked(epoch int64) {
	r.head = epoch
	r.cur.Store(r.slot(epoch))
	r.end.Store(min(epoch, never/r.width-1)*r.width + r.width)
}

// succeed counts a call that was neither failed nor slow, as [ring.add] does.
func (r *ring) succeed(t int64) {
	r.at(t)
	r.waiting.inc()
}

// gatherLocked brings the successes that wait into the bucket of head.
func (r *ring) gatherLocked() { r.cur.Load()[calls].Add(r.waiting.take()) }

func (r *ring) add(t int64, failed, slow bool) {
	s := r.at(t)
	s[calls].Add(1)
	if failed {
		s[failures].Add(1)
	}
	if slow {
		s[slows].Add(1)
	}
}

func (r *ring) sum(t int64) (sum tally) {
	r.at(t)
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sumLocked()
}

func (r *ring) sumLocked() (sum tally) {
	r.gatherLocked()
	for i := range r.slots {
		for j := range sum {
			sum[j] += r.slots[i][j].Load()
		}
	}
	return sum
}

// total returns the counts since the start.
func (r *ring) total(t int64) tally {
	r.at(t)
	r.mu.Lock()
	defer r.mu.Unlock()

	total := r.sumLocked()
	for i := range total {
		total[i] += r.past[i]
	}
	return total
}

// A last counts the last n calls, exactly: two bits each, slow and failed.
// Successes between two bad calls are alike, so they are only counted, without
// the lock, and take their places when a bad call or a reader comes.
type last struct {
	waiting counter // successes that have no place yet

	mu   sync.Mutex // protects the fields below
	n    int
	next int // the place of the next call
	tally
	bits []uint64
}

func newLast(n int) *last {
	return &last{n: n, bits: make([]uint64, (n+31)/32)}
}

// succeed counts a call that was neither failed nor slow.
func (l *last) succeed() { l.waiting.inc() }

func (l *last) add(failed, slow bool) {
	if !failed && !slow {
		l.succeed()
		return
	}

	// Failures and slow calls have a bit each.
	var f, s uint64
	if failed {
		f = 1
	}
	if slow {
		s = 1
	}

	// Successes since the last bad call come before it.
	l.mu.Lock()
	defer l.mu.Unlock()
	l.placeLocked()
	l.pushLocked(f, s)
	if invariants {
		l.checkLocked()
	}
}

// placeLocked gives the successes that wait their places.
func (l *last) placeLocked() {
	k := l.waiting.take()
	if k >= uint64(l.n) {
		// None of the calls before is among the last n any more.
		clear(l.bits)
		l.tally = tally{calls: uint64(l.n)}
		return
	}
	if l.tally[failures]+l.tally[slows] == 0 {
		// All bits are zero, and stay so.
		l.next = (l.next + int(k)) % l.n
		l.tally[calls] = min(l.tally[calls]+k, uint64(l.n))
		return
	}
	for range k {
		l.pushLocked(0, 0)
	}
}

// pushLocked gives the next place to a call, in the stead of the oldest.
func (l *last) pushLocked(f, s uint64) {
	word, shift := &l.bits[l.next/32], l.next%32*2

	// The oldest call leaves, if there are n.
	if l.tally[calls] == uint64(l.n) {
		l.tally[failures] -= *word >> shift & 1
		l.tally[slows] -= *word >> (shift + 1) & 1
	} else {
		l.tally[calls]++
	}

	// The new call takes the place.
	l.tally[failures] += f
	l.tally[slows] += s
	*word = *word&^(3<<shift) | (s<<1|f)<<shift
	l.next++
	if l.next == l.n {
		l.next = 0
	}
}

func (l *last) sum() tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.placeLocked()
	return l.tally
}

// recount returns the failed and slow calls by their bits.
func (l *last) recount() (sum tally) {
	const low = 0x5555555555555555
	for _, w := range l.bits {
		sum[failures] += uint64(bits.OnesCount64(w & low))
		sum[slows] += uint64(bits.OnesCount64(w >> 1 & low))
	}
	return sum
}
