// SPDX-License-Identifier: MIT

package ratelimit

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// A span is an interval [start, end) of units.
type span struct{ start, end int64 }

// A Reservation is a promise that events may happen at a time to come, made by
// [Limiter.Reserve]. It is a value: copies stand for the same promise, so cancel only one.
type Reservation struct {
	l    *Limiter
	b    *bucket
	span span
	at   int64 // the reading at which the events may happen
}

// Reserve takes n tokens ahead of time and returns the promise of when the events may happen.
// The caller sleeps for Delay and acts, or calls Cancel. The reservation is not OK, and nothing
// is taken, if n exceeds the burst or if the time never comes. It panics if n is negative.
//
// A promise once made is kept: later calls get later times, and a canceled promise frees only
// its own time. Where waiters often give up, [Limiter.Wait] serves the rest sooner.
func (l *Limiter) Reserve(n int64) Reservation {
	checkN("Reserve", n)
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.elapsed()
	b, d := l.nearLocked(t)
	if n > b.burst {
		return Reservation{}
	}
	s, v, ok := l.reserveLocked(b, d, n)
	if !ok {
		return Reservation{}
	}
	r := Reservation{l: l, b: b, span: s, at: t}
	if ahead := s.end > v+b.capacity; ahead {
		at := b.when(s.end - b.capacity)
		if at == never || at > maxReading-max(b.base, 0) {
			l.releaseLocked(b, s, v)
			return Reservation{}
		}
		r.at = b.base + at
		l.promised = max(l.promised, s.end)
	}
	if invariants {
		l.checkLocked()
	}
	return r
}

// OK reports whether the reservation was made.
func (r Reservation) OK() bool { return r.l != nil }

// Delay returns how long the events must still wait, 0 if they may happen.
// It is the longest duration if the reservation is not OK.
func (r Reservation) Delay() time.Duration {
	if r.l == nil {
		return math.MaxInt64
	}
	return time.Duration(max(r.at-r.l.elapsed(), 0))
}

// Cancel takes the promise back: the events will not happen. Its tokens are free again at once,
// exactly: if it was the last promise the bucket is as if it had not been made, and if others
// were made after it, whose times stand, the next request that fits takes its place.
// Canceling again, or a reservation that is not OK, does nothing.
func (r *Reservation) Cancel() {
	l := r.l
	if l == nil {
		return
	}
	r.l = nil
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.elapsed()
	l.withdrawLocked()
	b, d := l.nearLocked(t)
	s := r.span
	for r.b != b { // the limit has changed since
		s = span{r.b.carry(s.start), r.b.carry(s.end)}
		r.b = r.b.next
	}
	l.releaseLocked(b, s, b.supply(d))
	l.serveLocked(t)
}

// reserveLocked takes the earliest interval for n tokens at reading d, however late it is due:
// the first hole that is long enough, else the end. It also returns the supply at d.
func (l *Limiter) reserveLocked(b *bucket, d, n int64) (s span, v int64, ok bool) {
	v = b.supply(d)
	cost := b.cost(n)
	if s, ok := l.findHole(v, cost, math.MaxInt64); ok {
		l.fillHole(s)
		return s, v, true
	}
	for {
		spent := b.spent.Load()
		start := max(spent, v)
		if start-v > maxDebt-cost {
			return span{}, v, false
		}
		if b.spent.CompareAndSwap(spent, start+cost) {
			return span{start, start + cost}, v, true
		}
	}
}

// releaseLocked makes s free at supply v. What lies at the end of the spending is given back
// to it; the rest becomes a hole.
func (l *Limiter) releaseLocked(b *bucket, s span, v int64) {
	s.end = min(s.end, b.spent.Load()) // Fill and Return may have freed it already
	if s.start >= s.end {
		return
	}
	i, _ := slices.BinarySearchFunc(l.holes, s.start, func(h span, start int64) int {
		return cmp.Compare(h.start, start)
	})
	holes := slices.Insert(l.holes, i, s)
	if i+1 < len(holes) && holes[i].end >= holes[i+1].start {
		holes[i].end = max(holes[i].end, holes[i+1].end)
		holes = slices.Delete(holes, i+1, i+2)
	}
	if i > 0 && holes[i-1].end >= holes[i].start {
		holes[i-1].end = max(holes[i-1].end, holes[i].end)
		holes = slices.Delete(holes, i, i+1)
	}
	if last := holes[len(holes)-1]; b.spent.CompareAndSwap(last.end, last.start) {
		holes = holes[:len(holes)-1]
		l.promised = min(l.promised, last.start)
	}
	l.setHoles(holes)
	l.pruneHoles(v)
}

// findHole returns the earliest interval of cost units within a hole, at or after supply v
// and ending at or before end.
func (l *Limiter) findHole(v, cost, end int64) (span, bool) {
	for _, h := range l.holes {
		start := max(h.start, v)
		if start > end-cost {
			break
		}
		if h.end-start >= cost && cost > 0 {
			return span{start, start + cost}, true
		}
	}
	return span{}, false
}

// fillHole takes s, which findHole returned. What is left of the hole in front of s lies
// below the supply, where it is of no more use.
func (l *Limiter) fillHole(s span) {
	for i, h := range l.holes {
		if h.start <= s.start && s.end <= h.end {
			l.holes[i].start = s.end
			if s.end == h.end {
				l.holes = slices.Delete(l.holes, i, i+1)
			}
			break
		}
	}
	l.setHoles(l.holes)
}

// allowHole takes n tokens at t from what was canceled, and reports whether it could.
func (l *Limiter) allowHole(t, n int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, d := l.nearLocked(t)
	v := b.supply(d)
	if n > b.burst {
		return false
	}
	s, ok := l.findHole(v, b.cost(n), v+b.capacity)
	if ok {
		l.fillHole(s)
	}
	l.pruneHoles(v)
	if invariants {
		l.checkLocked()
	}
	return ok
}

// pruneHoles forgets holes at or below v, which time has taken.
func (l *Limiter) pruneHoles(v int64) {
	n := 0
	for n < len(l.holes) && l.holes[n].end <= v {
		n++
	}
	l.setHoles(slices.Delete(l.holes, 0, n))
}

// trimHoles forgets what of the holes lies above spent, after it fell.
func (l *Limiter) trimHoles(spent int64) {
	holes := l.holes
	for len(holes) > 0 && holes[len(holes)-1].end >= spent {
		last := &holes[len(holes)-1]
		if last.start < spent && last.end > spent {
			last.end = spent
		}
		if last.start < spent {
			break
		}
		holes = holes[:len(holes)-1]
	}
	l.setHoles(holes)
}

func (l *Limiter) setHoles(holes []span) {
	l.holes = holes
	l.holed.Store(len(holes) > 0)
}
