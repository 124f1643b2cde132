// SPDX-License-Identifier: MIT

package breaker

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// A tally is what a window holds. Slow calls may be failures too.
type tally struct{ calls, failures, slow uint64 }

// A window counts recent outcomes. It is safe for concurrent use by multiple goroutines.
type window interface {
	add(t int64, failed, slow bool)
	sum(t int64) tally
}

// newWindow returns the window that c needs from reading t on, or nil.
func newWindow(c *config, t int64) window {
	switch {
	case c.FailureRatio == 0 && c.SlowRatio == 0 && c.Trip == nil:
		return nil
	case c.WindowCalls > 0:
		return &last{n: c.WindowCalls, bits: make([]uint64, (c.WindowCalls+31)/32)}
	}
	return newRing(int64(c.Window), c.Buckets, t)
}

// A ring counts by time, in buckets that share slots in turn:
//
//	epoch  … 38 39 40 41 42        head = 42: calls of now are counted there, and so are those
//	slot      3  4  0  1  2        whose reading is older, since time does not go back
//
// The slots of the epochs up to head are cleared when head moves on, so that all slots together
// always are the last n epochs: between n-1 and n widths of time. Adding is lock-free except once
// a bucket. An addition that is preempted for whole buckets counts in the bucket that has its
// slot by then.
type ring struct {
	end   atomic.Int64           // the reading from which head is over
	cur   atomic.Pointer[bucket] // the slot of head
	width int64
	slots []bucket

	mu   sync.Mutex // protects head, and the changes of end and last
	head int64
}

type bucket struct{ calls, failures, slow atomic.Uint64 }

// newRing returns a ring of n buckets over span, at reading t.
func newRing(span int64, n int, t int64) *ring {
	r := &ring{width: (span + int64(n) - 1) / int64(n), slots: make([]bucket, n)}
	r.head = floorDiv(t, r.width)
	r.moveLocked(r.head)
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

// at returns the bucket of now at reading t, after clearing those that are over.
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
	n := int64(len(r.slots))
	for e := max(r.head+1, epoch-n+1); e <= epoch; e++ {
		s := r.slot(e)
		s.calls.Store(0)
		s.failures.Store(0)
		s.slow.Store(0)
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

// moveLocked makes epoch the head. Who sees the new end sees the new slot too.
func (r *ring) moveLocked(epoch int64) {
	r.head = epoch
	r.cur.Store(r.slot(epoch))
	r.end.Store(min(epoch, never/r.width-1)*r.width + r.width)
}

func (r *ring) add(t int64, failed, slow bool) {
	s := r.at(t)
	s.calls.Add(1)
	if failed {
		s.failures.Add(1)
	}
	if slow {
		s.slow.Add(1)
	}
}

func (r *ring) sum(t int64) (s tally) {
	r.at(t)
	for i := range r.slots {
		s.calls += r.slots[i].calls.Load()
		s.failures += r.slots[i].failures.Load()
		s.slow += r.slots[i].slow.Load()
	}
	return s
}

// A last counts the last n calls, exactly: two bits each, slow and failed.
type last struct {
	mu   sync.Mutex // protects what follows
	n    int
	next int // where the next call goes
	tally
	bits []uint64
}

func (l *last) add(_ int64, failed, slow bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	word, shift := &l.bits[l.next/32], l.next%32*2
	if l.calls == uint64(l.n) { // the oldest goes
		l.failures -= *word >> shift & 1
		l.slow -= *word >> (shift + 1) & 1
	} else {
		l.calls++
	}
	var f, s uint64
	if failed {
		f = 1
	}
	if slow {
		s = 1
	}
	l.failures += f
	l.slow += s
	*word = *word&^(3<<shift) | (s<<1|f)<<shift
	l.next = (l.next + 1) % l.n
	if invariants {
		l.checkLocked()
	}
}

func (l *last) sum(int64) tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tally
}

// recount returns the failed and slow calls by their bits.
func (l *last) recount() (s tally) {
	const low = 0x5555555555555555
	for _, w := range l.bits {
		s.failures += uint64(bits.OnesCount64(w & low))
		s.slow += uint64(bits.OnesCount64(w >> 1 & low))
	}
	return s
}
