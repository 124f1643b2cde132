// SPDX-License-Identifier: MIT

package ratelimit

// Implementation notes.
//
// A bucket is one word, spent: the units spent since its base. The supply is a
// function of the clock alone (meter.go), so nothing about time is stored:
//
//	            spent-capacity          supply(now)            spent
//	  ───────────────┼───────────────────────┼───────────────────┼────────▶ units
//	                 │◀── tokens left ──────▶│◀──── debt ───────▶│
//	                 │◀─────────── capacity = burst · unit ─────▶│
//
// A token costs unit. Taking n moves spent from max(spent, supply) up by n·unit
// and is allowed while it ends at most capacity past the supply. This is the
// generic cell rate algorithm with its time axis stretched until a token is a
// whole number: the token bucket, the leaky bucket as a meter and GCRA are the
// same arithmetic.
//
//	Limiter (pointer to bucket, base, clock, mutex, queue; warmUp: its clock)
//	   └─▶ bucket (64-byte line: spent, meter, base)      replaced as a whole by SetLimit
//
// Every admission owns an interval of units, [spent before, spent after),
// disjoint from all others, that begins at or after the supply at its reading
// and ends at most capacity past the supply at which the event may happen. The
// law of the package is that picture: the events of a window own disjoint
// intervals within [supply(t1), supply(t2)+capacity].
//
// Invariants, checked under the tag invariants after each change made with the
// lock held:
//
//	I1 full <= spent <= maxSupply+maxDebt, or spent == frozen in a bucket that
//	   was replaced.
//	I2 spent falls only while l.mu is held; lock-free methods only raise it.
//	I3 holes are sorted, disjoint, not empty, not adjacent, end at or before spent.
//	I4 only the waiter at the head of the queue owns an interval; it ends at or
//	   before spent.
//	I5 owed is the sum of the tokens of the waiters that own nothing.
//	W1 the warmth of a warmUp is between 0 and its period.
//
// Lock order: l.mu, then warmUp.mu if there is one; user code (Options.Now) may
// run under l.mu.
//
// Why not a mutex and floats, as golang.org/x/time/rate: storing the time of
// the last call lets a reading from before it refill the bucket twice
// (golang/go#65508), and floats drift (golang/go#46579). Why not nanoseconds
// per token, as most GCRAs: rounding 1e9/count loses 11 % at 3e8 a second and
// everything above 1e9.

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// A Limiter admits events at a [Rate] with bursts: a token bucket that starts
// full. It is safe for concurrent use by multiple goroutines, must not be
// copied, needs no Close and starts no goroutine. Use [New]; methods of a zero
// Limiter panic.
//
// [Limiter.Allow] and its kin answer at once: use them if you can refuse.
// [Limiter.Wait] sleeps until the event may happen: use it if you cannot, as a
// client of somebody else's limit. [Limiter.Reserve] returns the time, and
// leaves the sleeping to the caller.
type Limiter struct {
	bucket atomic.Pointer[bucket]
	clock  clock
	warmUp *warmUp     // nil if the limiter is always warm; else clock runs by it
	holed  atomic.Bool // len(holes) > 0

	mu       sync.Mutex  // protects the fields below, and every fall of spent
	holes    spans       // canceled intervals below spent
	promised int64       // the end of the last interval of Reserve; full if none
	queue    queue       // of Wait
	owed     int64       // tokens of the waiters that hold no interval
	timer    *time.Timer // for the head of the queue; nil if nobody waits
}

// A bucket is the state under one limit. SetLimit makes another.
type bucket struct {
	spent atomic.Int64
	meter
	base int64 // readings of this bucket are relative to it

	// Set together, once, with the lock of the limiter held, when the bucket is
	// frozen.
	next   *bucket
	frozen int64 // the supply at that moment
}

// frozen marks a bucket that was replaced. It is above any spending, so that
// nothing is admitted, and less than 2^63 above any supply.
const frozen = maxDebt + maxCapacity

// New returns a Limiter that admits rate events a time and burst events at
// once. With a burst of 0 it denies everything. If opts is nil, the defaults
// are used. It panics if burst is not between 0 and 2^61, or if opts is not
// valid.
func New(rate Rate, burst int, opts *Options) *Limiter {
	if err := opts.Validate(); err != nil {
		panic(err)
	}
	o := opts.resolve()
	l := &Limiter{clock: newClock(o.Now), promised: full}
	if o.WarmUp > 0 {
		l.warm(o.WarmUp)
	}
	b := &bucket{meter: newMeter(newLimit(rate, burst))}
	b.spent.Store(full)
	l.bucket.Store(b)
	return l
}

// Allow reports whether one event may happen now, and takes its token if so.
func (l *Limiter) Allow() bool { return l.allow(l.clock.read(), 1, 0) }

// AllowN reports whether n events may happen now, and takes their tokens, all
// or none. Zero events may always happen. It panics if n is negative.
func (l *Limiter) AllowN(n int) bool { return l.allow(l.clock.read(), checkN(n), 0) }

// AllowAt is AllowN at time t, for replays and simulations. Times may lie
// before the limiter was made, and need not be in order: one that is older than
// the last admission finds the tokens that were left then, less those that were
// not refilled yet. Do not mix AllowAt with methods that read the clock, unless
// Options.Now tells the same time.
func (l *Limiter) AllowAt(t time.Time, n int) bool {
	return l.allow(l.paced(l.clock.at(t)), checkN(n), 0)
}

// TakeReserving takes n tokens if at least reserve tokens stay behind, and
// reports whether it did: work of low priority leaves a reserve for work of
// high priority, which calls AllowN. It panics if n or reserve is negative.
func (l *Limiter) TakeReserving(n, reserve int) bool {
	return l.allow(l.clock.read(), checkN(n), checkN(reserve))
}

// checkN returns n, a number of events. It panics if n is negative.
func checkN(n int) int64 {
	if n < 0 {
		panic(fmt.Sprintf("ratelimit: n must not be negative, got %d", n))
	}
	return int64(n)
}

// allow takes n tokens at reading t if keep tokens stay behind.
func (l *Limiter) allow(t, n, keep int64) bool {
	if _, _, _, ok := l.spend(t, n, keep); ok {
		return true
	}
	if keep > 0 || !l.holed.Load() {
		return false
	}
	_, _, ok := l.takeHole(t, n)
	return ok
}

// spend takes n tokens at reading t from the end of the spending, if keep
// tokens stay behind. It also returns the bucket, the reading relative to its
// base, and its spending afterwards.
func (l *Limiter) spend(t, n, keep int64) (b *bucket, d, spent int64, ok bool) {
	for {
		b, d = l.current(t)
		spent = b.spent.Load()
		next, fits := b.admit(spent, b.supply(d), n, keep)
		switch {
		case fits && (n == 0 || b.spent.CompareAndSwap(spent, next)):
			return b, d, next, true
		case fits:
			// Another goroutine was faster: look again.
		case spent == frozen:
			// SetLimit is at work: take from the bucket that it publishes.
			l.awaitLimit()
		default:
			return b, d, spent, n == 0 && keep == 0
		}
	}
}

// load returns the bucket in force.
func (l *Limiter) load() *bucket {
	b := l.bucket.Load()
	if b == nil {
		panic("ratelimit: zero Limiter: use New")
	}
	return b
}

// current returns the bucket in force and the reading of it at t.
func (l *Limiter) current(t int64) (*bucket, int64) {
	b := l.load()
	if d := t - b.base; b.inSpan(d) {
		return b, d
	}
	return l.rebased(t)
}

// rebased is current for a reading at which the supply of the bucket would
// overflow, decades from its base.
func (l *Limiter) rebased(t int64) (*bucket, int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.currentLocked(t)
}

// currentLocked is current with the lock held: it moves the base if it must.
func (l *Limiter) currentLocked(t int64) (*bucket, int64) {
	for {
		b := l.load()
		d := t - b.base
		switch {
		case b.inSpan(d):
			return b, d
		case d > 0:
			l.replaceLocked(b, b.limit, b.base+b.span, b.span)
		case b.spent.Load() == full:
			// Nothing was spent: begin again at t.
			l.replaceLocked(b, b.limit, t, -b.span)
		default:
			// The oldest reading that b has: it only finds fewer tokens.
			return b, -b.span
		}
	}
}

// awaitLimit waits until SetLimit has published the bucket that replaces a
// frozen one.
func (l *Limiter) awaitLimit() {
	l.mu.Lock()
	//lint:ignore SA2001 the lock is taken for its wait alone
	l.mu.Unlock()
}

// replaceLocked freezes b at its reading d and puts a bucket of limit in its
// place, with base at and the same tokens spent.
func (l *Limiter) replaceLocked(b *bucket, limit Limit, at, d int64) {
	next := &bucket{meter: newMeter(limit), base: at}
	b.next = next
	b.frozen = b.supply(d)
	next.spent.Store(b.carry(b.spent.Swap(frozen)))

	// Positions move with the base and with the unit.
	l.setHoles(l.holes.carry(b))
	l.promised = b.carry(l.promised)
	if w := l.queue.first(); w != nil && w.held {
		w.span = span{b.carry(w.span.start), b.carry(w.span.end)}
	}
	l.bucket.Store(next)
}

// carry returns the position in b.next of a position in the frozen b.
func (b *bucket) carry(pos int64) int64 { return b.convert(&b.next.meter, pos, b.frozen) }

// SetLimit changes the limit to rate and burst, now and exactly: tokens spent
// under the old limit stay spent, so that no admission is lost or counted
// twice. The tokens left are burst less those not yet refilled, which may be a
// debt if burst fell; a full bucket stays full. Any window admits at most the
// burst in force at its end plus the refill of the rates within it.
//
// Waiting callers are served under the new limit, or refused with [ErrBurst] if
// they ask for more than burst; reservations keep their times. It panics if
// burst is not between 0 and 2^61.
func (l *Limiter) SetLimit(rate Rate, burst int) {
	limit := newLimit(rate, burst)
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.clock.read()
	b, d := l.currentLocked(t)
	l.replaceLocked(b, limit, min(max(t, b.base-b.span), b.base+b.span), d)
	l.serveLocked(t)
}

// Limit returns the limit in force.
func (l *Limiter) Limit() Limit { return l.load().limit }

// Take takes n tokens, all or none, and describes the limiter at that instant:
// one consistent view, from one reading of the clock. It costs as much as
// AllowN and two divisions. It panics if n is negative.
func (l *Limiter) Take(n int) Decision {
	t := l.clock.read()
	b, d, spent, ok := l.spend(t, checkN(n), 0)
	if !ok && l.holed.Load() {
		_, _, ok = l.takeHole(t, int64(n))
	}
	return l.told(b.decide(spent, b.supply(d), d, int64(n), ok), t)
}

// Peek returns the answer of Take(n), and changes nothing. It panics if n is
// negative.
func (l *Limiter) Peek(n int) Decision {
	tokens := checkN(n)
	t := l.clock.read()
	l.mu.Lock()
	defer l.mu.Unlock()

	// A reading decades away moves the base of a copy, not that of the bucket.
	b := l.load()
	s, d := b.near(State{b.base, b.spent.Load()}, t)
	v := b.supply(d)
	next, ok := b.admit(s.Spent, v, tokens, 0)

	// The tokens may also be in a hole that a canceled reservation left.
	switch {
	case tokens == 0:
		ok = true
	case ok:
		s.Spent = next
	case s.Base == b.base && tokens <= b.burst:
		_, ok = l.holes.fit(v, b.cost(tokens), v+b.capacity)
	}
	return l.told(b.decide(s.Spent, v, d, tokens, ok), t)
}

// TakeUpTo takes as many tokens as there are, at most n, and returns their
// number. It panics if n is negative.
func (l *Limiter) TakeUpTo(n int) int {
	want := checkN(n)
	t := l.clock.read()
	for {
		b, d, spent := l.look(t)
		v := b.supply(d)
		k := min(want, b.tokens(spent, v))
		if k == 0 || b.spent.CompareAndSwap(spent, max(spent, v)+k*b.unit) {
			return int(k)
		}
	}
}

// look returns the bucket in force, the reading of it at t, and its spending.
func (l *Limiter) look(t int64) (b *bucket, d, spent int64) {
	for {
		b, d = l.current(t)
		if spent = b.spent.Load(); spent != frozen {
			return b, d, spent
		}
		l.awaitLimit()
	}
}

// Charge takes n tokens without asking, into debt if need be: the cost of work
// whose size is known only afterwards. A debt delays later events until it is
// refilled. It saturates at 2^62 units, which is at least two bursts. Charge
// panics if n is negative.
func (l *Limiter) Charge(n int) {
	tokens := checkN(n)
	t := l.clock.read()
	for {
		b, d, spent := l.look(t)
		next := b.charge(spent, b.supply(d), tokens)
		if next == spent || b.spent.CompareAndSwap(spent, next) {
			return
		}
	}
}

// Return puts n tokens back, for events that were taken and did not happen; the
// bucket never holds more than its burst. The law then counts them: a window
// admits at most burst, refill and the tokens returned within it. Tokens that
// would come in front of a reservation still ahead are dropped, since its time
// is promised; to give back a reservation use [Reservation.Cancel]. Return
// panics if n is negative.
func (l *Limiter) Return(n int) {
	tokens := checkN(n)
	l.lower(func(b *bucket, spent, _ int64) int64 {
		return l.holes.below(spent, b.cost(tokens))
	})
}

// Fill makes the bucket full, except for tokens that are promised to
// reservations still ahead.
func (l *Limiter) Fill() {
	l.lower(func(_ *bucket, _, v int64) int64 {
		if l.warmUp != nil {
			return v // in use until now
		}
		return full
	})
}

// lower lets spent fall to the result of target at supply v, and serves the
// waiters from the tokens that this frees.
func (l *Limiter) lower(target func(b *bucket, spent, v int64) int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.clock.read()
	l.withdrawLocked(t)
	b, d := l.currentLocked(t)

	// No promise that is still ahead may lose its interval.
	v := b.supply(d)
	floor := int64(full)
	if l.promised > v+b.capacity {
		floor = l.promised
	}

	for {
		spent := b.spent.Load()
		next := max(target(b, max(spent, full), v), floor)
		if next >= spent {
			break
		}
		if b.spent.CompareAndSwap(spent, next) {
			l.setHoles(l.holes.trim(next))
			break
		}
	}

	// Waiters may find tokens now.
	l.serveLocked(t)
}

// Drain empties the bucket: the next token is the next that is refilled. Use it
// when the other side says that its limit is reached.
func (l *Limiter) Drain() {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, d := l.currentLocked(l.clock.read())
	empty := b.supply(d) + b.capacity
	for {
		spent := b.spent.Load()
		if spent >= empty || b.spent.CompareAndSwap(spent, empty) {
			break
		}
	}

	// Holes below the new position are gone.
	l.setHoles(l.holes.prune(empty))
	if invariants {
		l.checkLocked()
	}
}

// takeFor is Take with a receipt, by which revoke gives back exactly the tokens
// taken. See [All].
func (l *Limiter) takeFor(n int) (Decision, receipt) {
	t := l.clock.read()
	b, d, spent, ok := l.spend(t, checkN(n), 0)
	if ok || !l.holed.Load() {
		return l.told(b.decide(spent, b.supply(d), d, int64(n), ok), t), receipt{}
	}
	from, s, ok := l.takeHole(t, int64(n))
	return l.told(b.decide(spent, b.supply(d), d, int64(n), ok), t), receipt{bucket: from, span: s}
}

// revoke gives back n tokens that takeFor took. An interval of a canceled
// reservation is free again: Return could not reach it.
func (l *Limiter) revoke(n int, r receipt) {
	if r.bucket == nil {
		l.Return(n)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cancelLocked(l.clock.read(), r.bucket, r.span)
}

// maxTokens is the most tokens that can be asked for.
const maxTokens = math.MaxInt64
