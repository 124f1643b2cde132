// SPDX-License-Identifier: MIT

package ratelimit

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// A Reservation is a promise that events may happen at a time to come, made by
// [Limiter.Reserve] or [Keyed.Reserve]. It is a value: copies stand for the
// same promise.
type Reservation struct {
	by   reserver
	b    *bucket // of span, if it is of a Limiter
	span span
	at   int64 // the reading of the caller's clock at which the events may happen

	// Its place may be another's after a first Cancel.
	ticket *ticket
	turn   uint64
}

// A ticket is shared by all copies of a reservation: the first Cancel moves it
// to the next turn, and puts it back. The ticket of a reservation that is kept
// is garbage.
type ticket struct{ turn atomic.Uint64 }

// tickets are those that no reservation uses.
var tickets = sync.Pool{New: func() any { return new(ticket) }}

// ticketed returns r, which was just made, with a ticket.
func (r Reservation) ticketed() Reservation {
	r.ticket = tickets.Get().(*ticket)
	r.turn = r.ticket.turn.Load()
	return r
}

// A reserver makes reservations.
type reserver interface {
	// read returns the reading of the caller's clock.
	read() int64
	// cancel gives back the tokens of r.
	cancel(r Reservation)
}

// Reserve takes n tokens ahead of time and returns the promise of when the
// events may happen. The caller sleeps for Delay and acts, or calls Cancel. The
// reservation is not OK, and nothing is taken, if n exceeds the burst or if the
// time never comes. It panics if n is negative.
//
// A promise once made is kept: later calls get later times, and a canceled
// promise frees only its own time. Where waiters often give up, [Limiter.Wait]
// serves the others sooner.
func (l *Limiter) Reserve(n int) Reservation {
	tokens := checkN(n)
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.read()
	b, d := l.currentLocked(l.paced(now))
	if tokens > b.burst {
		return Reservation{}
	}

	// Take a span now. It may lie in the future.
	s, v, ok := l.reserveLocked(b, d, tokens)
	if !ok {
		return Reservation{}
	}

	// The events are due when the bucket has room for the end of their span.
	r := Reservation{by: l, b: b, span: s, at: now}
	if s.end > v+b.capacity {
		at := b.when(s.end - b.capacity)
		if at == never || at > maxReading-max(b.base, 0) {
			l.releaseLocked(b, s, v)
			return Reservation{}
		}
		r.at = l.due(b.base + at)
		l.promised = max(l.promised, s.end)
	}

	if invariants {
		l.checkLocked()
	}
	return r.ticketed()
}

// OK reports whether the reservation was made.
func (r Reservation) OK() bool { return r.by != nil }

// Delay returns the time until the events may happen, 0 if that is now or past,
// and the longest duration if r is not OK.
func (r Reservation) Delay() time.Duration {
	if !r.OK() {
		return math.MaxInt64
	}
	return gap(r.at, r.by.read())
}

// Cancel gives back exactly the tokens that r took, if its time lies ahead or
// is this very instant. Afterwards the events may have happened, and Cancel
// does nothing, so that "defer r.Cancel()" is safe; if they did not happen,
// call [Limiter.Return]. Cancel does nothing if r is not OK, or was canceled by
// any copy.
func (r Reservation) Cancel() {
	if !r.OK() || !r.ticket.turn.CompareAndSwap(r.turn, r.turn+1) {
		return
	}
	tickets.Put(r.ticket)
	r.by.cancel(r)
}

func (l *Limiter) read() int64 { return l.source().read() }

func (l *Limiter) cancel(r Reservation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.read(); t <= r.at {
		l.cancelLocked(l.paced(t), r.b, r.span)
	}
}

// cancelLocked makes s, an interval of b, free again, and serves the waiters
// from it.
func (l *Limiter) cancelLocked(t int64, b *bucket, s span) {
	l.withdrawLocked(t)
	now, d := l.currentLocked(t)
	for b != now { // the limit has changed since
		s = span{b.carry(s.start), b.carry(s.end)}
		b = b.next
	}
	l.releaseLocked(b, s, b.supply(d))
	l.serveLocked(t)
}

// reserveLocked takes the earliest interval for n tokens at reading d, however
// late it is due: the first hole that is long enough, else the end. It also
// returns the supply at d.
func (l *Limiter) reserveLocked(b *bucket, d, n int64) (s span, v int64, ok bool) {
	v = b.supply(d)
	cost := b.cost(n)
	if s, ok := l.holes.fit(v, cost, math.MaxInt64); ok {
		l.setHoles(l.holes.cut(s))
		return s, v, true
	}

	// At the end, after all others.
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

// releaseLocked makes s free at supply v. An interval at the end of the
// spending is given back to it; any other becomes a hole.
func (l *Limiter) releaseLocked(b *bucket, s span, v int64) {
	s.end = min(s.end, b.spent.Load()) // Fill and Return may have freed it already
	if s.start >= s.end {
		return
	}
	holes := l.holes.add(s)
	if last := holes[len(holes)-1]; b.spent.CompareAndSwap(last.end, last.start) {
		holes = holes[:len(holes)-1]
		l.promised = min(l.promised, last.start)
	}
	l.setHoles(holes.prune(v))
}

// takeHole takes n tokens at t from the interval of a canceled reservation. It
// returns the interval and its bucket, and reports whether there was one.
func (l *Limiter) takeHole(t, n int64) (*bucket, span, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, d := l.currentLocked(t)
	if n > b.burst {
		return nil, span{}, false
	}

	// A hole counts as soon as the bucket has room for its end.
	v := b.supply(d)
	s, ok := l.holes.fit(v, b.cost(n), v+b.capacity)
	if ok {
		l.setHoles(l.holes.cut(s))
	}
	l.setHoles(l.holes.prune(v))
	if invariants {
		l.checkLocked()
	}
	return b, s, ok
}

// setHoles replaces the holes.
func (l *Limiter) setHoles(holes spans) {
	l.holes = holes
	l.holed.Store(len(holes) > 0)
}
