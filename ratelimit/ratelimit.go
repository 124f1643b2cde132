// SPDX-License-Identifier: MIT

package ratelimit

// Implementation notes.
//
// A bucket is one word, spent: how many units have been spent since its base. The supply is a
// function of the clock alone (meter.go), so nothing about time is stored:
//
//	            spent-capacity          supply(now)            spent
//	  ───────────────┼───────────────────────┼───────────────────┼────────▶ units
//	                 │◀── tokens left ──────▶│◀──── debt ───────▶│
//	                 │◀─────────── capacity = burst · unit ─────▶│
//
// A token costs unit. Taking n moves spent from max(spent, supply) up by n·unit and is allowed
// while it ends at most capacity past the supply. This is the generic cell rate algorithm with
// its time axis stretched until a token is a whole number: the token bucket, the leaky bucket
// as a meter and GCRA are the same arithmetic.
//
//	Limiter (pointer to bucket, base, clock, mutex, queue)
//	   └─▶ bucket (64-byte line: spent, meter, base)      replaced as a whole by SetLimit
//
// Every admission owns an interval of units, [spent before, spent after), disjoint from all
// others, that begins at or after the supply at its reading and ends at most capacity past the
// supply at which the event may happen. The law of the package is that picture: the events
// of a window own disjoint intervals within [supply(t1), supply(t2)+capacity].
//
// Invariants, checked under the tag invariants after each change made with the lock held:
//
//	I1 full <= spent <= maxSupply+maxDebt, or spent == frozen in a bucket that was replaced.
//	I2 spent falls only while l.mu is held; lock-free methods only raise it.
//	I3 holes are sorted, disjoint, not empty, not adjacent, and end at or before spent.
//	I4 only the waiter at the head of the queue owns an interval; it ends at or before spent.
//	I5 waiting is the length of the queue, and queued the tokens of its waiters that own nothing.
//
// Lock order: l.mu is the only lock; user code (Options.Now) may run under it.
//
// Why not a mutex and floats, as golang.org/x/time/rate: storing the time of the last call lets
// a reading from before it refill the bucket twice (golang/go#65508), and floats drift
// (golang/go#46579). Why not nanoseconds per token, as most GCRAs: rounding 1e9/count loses
// 11 % at 3e8 a second and everything above 1e9.

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// A Limiter admits events at a [Rate] with bursts: a token bucket that starts full.
// It is safe for concurrent use by multiple goroutines, must not be copied, needs no Close and
// starts no goroutine. Use [New]; methods of a zero Limiter panic.
//
// [Limiter.Allow] and its kin answer at once: most callers that can refuse should use them.
// [Limiter.Wait] sleeps until the event may happen: most callers that cannot refuse, such as
// clients of somebody else's limit, should use it. [Limiter.Reserve] says when, and leaves the
// sleeping to the caller.
type Limiter struct {
	bucket atomic.Pointer[bucket]
	base   time.Time        // readings are nanoseconds since base
	now    func() time.Time // nil: the system's monotonic clock
	holed  atomic.Bool      // len(holes) > 0

	mu       sync.Mutex // protects what follows, and every fall of spent
	holes    []span     // canceled intervals below spent
	promised int64      // where the last interval promised by Reserve ends; full if none
	queue    queue
}

// A bucket is the state under one limit. SetLimit makes another.
type bucket struct {
	spent atomic.Int64
	meter
	base int64 // readings of this bucket are relative to it

	// Set together, once, with the lock of the limiter held, when the bucket is frozen.
	next   *bucket
	frozen int64 // the supply at that moment
}

// frozen marks a bucket that was replaced. It is above any spending, so that nothing is
// admitted, and less than 2^63 above any supply.
const frozen = maxDebt + maxCapacity

// New returns a Limiter that admits rate events a time and burst events at once.
// If opts is nil, the defaults are used. It panics if burst is not between 1 and 2^61.
func New(rate Rate, burst int64, opts *Options) *Limiter {
	limit := Limit{Rate: rate, Burst: burst}
	if err := limit.validateBurst(); err != nil {
		panic("ratelimit: New: " + err.Error())
	}
	l := &Limiter{promised: full}
	if opts != nil {
		l.now = opts.Now
	}
	l.base = l.clock()
	b := &bucket{meter: newMeter(limit.resolve())}
	b.spent.Store(full)
	l.bucket.Store(b)
	return l
}

func (l *Limiter) clock() time.Time {
	if l.now != nil {
		return l.now()
	}
	return time.Now()
}

// elapsed returns the reading of the clock: nanoseconds since base.
func (l *Limiter) elapsed() int64 {
	if l.now != nil {
		return l.reading(l.now())
	}
	return int64(time.Since(l.base))
}

// reading returns t as nanoseconds since base, within 146 years.
func (l *Limiter) reading(t time.Time) int64 {
	return min(max(int64(t.Sub(l.base)), -maxReading), maxReading)
}

// maxReading keeps the difference of two readings within 64 bits.
const maxReading = 1<<62 - 1

// Allow reports whether one event may happen now, and takes its token if so.
func (l *Limiter) Allow() bool { return l.allow(l.elapsed(), 1, 0) }

// AllowN reports whether n events may happen now, and takes their tokens, all or none.
// Zero events may always happen. It panics if n is negative.
func (l *Limiter) AllowN(n int64) bool {
	return l.allow(l.elapsed(), checkN("AllowN", n), 0)
}

// AllowAt is AllowN at time t, for replays and simulations.
// Readings may lie before the limiter was made, and need not be in order: one that is older
// than the last admission finds the tokens that were left then, less what it lacks in refill.
// Do not mix it with methods that read the clock, unless Options.Now tells the same time.
func (l *Limiter) AllowAt(t time.Time, n int64) bool {
	return l.allow(l.reading(t), checkN("AllowAt", n), 0)
}

// TakeKeeping takes n tokens if at least keep stay behind, and reports whether it did:
// work of low priority leaves a reserve for work of high priority, which calls AllowN.
// It panics if n or keep is negative.
func (l *Limiter) TakeKeeping(n, keep int64) bool {
	if keep < 0 {
		panic(fmt.Sprintf("ratelimit: TakeKeeping: keep must not be negative, got %d", keep))
	}
	return l.allow(l.elapsed(), checkN("TakeKeeping", n), keep)
}

func checkN(method string, n int64) int64 {
	if n < 0 {
		panic(fmt.Sprintf("ratelimit: %s: n must not be negative, got %d", method, n))
	}
	return n
}

func (l *Limiter) allow(t, n, keep int64) bool {
	for {
		b := l.load()
		d := t - b.base
		if !b.inSpan(d) && l.far(&d, t, b) {
			continue
		}
		spent := b.spent.Load()
		next, ok := b.admit(spent, b.supply(d), n, keep)
		switch {
		case n == 0 && keep == 0:
			return true
		case ok && b.spent.CompareAndSwap(spent, next):
			return true
		case ok:
			// Another goroutine was faster: look again.
		case spent == frozen:
			l.thaw()
		default:
			return keep == 0 && l.holed.Load() && l.allowHole(t, n)
		}
	}
}

// load returns the current bucket.
func (l *Limiter) load() *bucket {
	b := l.bucket.Load()
	if b == nil {
		panic("ratelimit: zero Limiter: use New")
	}
	return b
}

// look returns the current bucket, and its spending and supply at reading t. The paths that are
// hot spell it out.
func (l *Limiter) look(t int64) (b *bucket, spent, v int64) {
	for {
		b = l.load()
		d := t - b.base
		if !b.inSpan(d) && l.far(&d, t, b) {
			continue
		}
		if spent = b.spent.Load(); spent != frozen {
			return b, spent, b.supply(d)
		}
		l.thaw()
	}
}

// thaw waits until SetLimit has published the bucket that replaces a frozen one.
func (l *Limiter) thaw() {
	l.mu.Lock()
	//lint:ignore SA2001 the lock is taken for its wait alone
	l.mu.Unlock()
}

// far handles a reading at which the supply of b would overflow, decades from its base.
// It reports whether the caller should start again with another bucket, and else
// replaces d by the reading nearest to it.
func (l *Limiter) far(d *int64, t int64, b *bucket) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.farLocked(d, t, b)
}

func (l *Limiter) farLocked(d *int64, t int64, b *bucket) bool {
	if l.bucket.Load() != b {
		return true
	}
	if *d < -b.span {
		if b.spent.Load() == full { // nothing was spent: begin again at t
			l.replaceLocked(b, b.limit, t, -b.span)
			return true
		}
		*d = -b.span
		return false
	}
	l.replaceLocked(b, b.limit, b.base+b.span, b.span)
	return true
}

// nearLocked returns the current bucket and the reading of it at t.
func (l *Limiter) nearLocked(t int64) (*bucket, int64) {
	for {
		b := l.load()
		d := t - b.base
		if b.inSpan(d) || !l.farLocked(&d, t, b) {
			return b, d
		}
	}
}

// replaceLocked freezes b at its reading d and puts a bucket of limit in its place, with
// base at and the same tokens spent.
func (l *Limiter) replaceLocked(b *bucket, limit Limit, at, d int64) {
	next := &bucket{meter: newMeter(limit), base: at}
	b.next, b.frozen = next, b.supply(d)
	next.spent.Store(b.carry(b.spent.Swap(frozen)))
	holes := l.holes[:0]
	for _, h := range l.holes {
		if h = (span{b.carry(h.start), b.carry(h.end)}); h.start < h.end {
			holes = append(holes, h)
		}
	}
	l.setHoles(holes)
	l.promised = b.carry(l.promised)
	if w := l.queue.head; w != nil && w.held {
		w.span = span{b.carry(w.span.start), b.carry(w.span.end)}
	}
	l.bucket.Store(next)
}

// carry returns the position in b.next of a position in the frozen b.
func (b *bucket) carry(pos int64) int64 { return b.convert(&b.next.meter, pos, b.frozen) }

// SetLimit changes the limit to rate and burst, now and exactly: what was spent under the old
// limit stays spent, in tokens, so that no admission is lost or counted twice. The tokens left
// are burst less those not yet refilled, which may be a debt if burst fell; a full
// bucket stays full. Any window admits at most the burst in force at its end plus what the
// rates refilled within it. Waiting callers are served under the new limit, or refused with
// [ErrBurst] if they ask for more than burst; reservations keep their times.
// It panics if burst is not between 1 and 2^61.
func (l *Limiter) SetLimit(rate Rate, burst int64) {
	limit := Limit{Rate: rate, Burst: burst}
	if err := limit.validateBurst(); err != nil {
		panic("ratelimit: SetLimit: " + err.Error())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.elapsed()
	b, d := l.nearLocked(t)
	l.replaceLocked(b, limit.resolve(), min(max(t, b.base-b.span), b.base+b.span), d)
	l.serveLocked(t)
}

// Limit returns the limit in force.
func (l *Limiter) Limit() Limit { return l.load().limit }

// Take takes n tokens, all or none, and describes the limiter at that instant: one consistent
// view, from one reading of the clock. Its cost is that of AllowN and two divisions.
// It panics if n is negative.
func (l *Limiter) Take(n int64) Decision {
	checkN("Take", n)
	t := l.elapsed()
	for {
		b := l.load()
		d := t - b.base
		if !b.inSpan(d) && l.far(&d, t, b) {
			continue
		}
		spent, v := b.spent.Load(), b.supply(d)
		next, ok := b.admit(spent, v, n, 0)
		switch {
		case n == 0:
			if spent != frozen {
				return b.decide(spent, v, d, 0, true)
			}
			l.thaw()
		case ok && b.spent.CompareAndSwap(spent, next):
			return b.decide(next, v, d, n, true)
		case ok:
		case spent == frozen:
			l.thaw()
		default:
			return b.decide(spent, v, d, n, l.holed.Load() && l.allowHole(t, n))
		}
	}
}

// Peek returns what Take(n) would, and takes nothing. It panics if n is negative.
func (l *Limiter) Peek(n int64) Decision {
	checkN("Peek", n)
	t := l.elapsed()
	l.mu.Lock()
	defer l.mu.Unlock()
	b, d := l.nearLocked(t)
	spent, v := b.spent.Load(), b.supply(d)
	next, ok := b.admit(spent, v, n, 0)
	switch {
	case n == 0:
		ok = true
	case ok:
		spent = next
	default:
		_, ok = l.findHole(v, b.cost(n), v+b.capacity)
		ok = ok && n <= b.burst
	}
	return b.decide(spent, v, d, n, ok)
}

// TakeUpTo takes as many tokens as there are, at most n, and returns their number.
// It panics if n is negative.
func (l *Limiter) TakeUpTo(n int64) int64 {
	checkN("TakeUpTo", n)
	t := l.elapsed()
	for {
		b, spent, v := l.look(t)
		k := min(n, b.tokens(spent, v))
		if k == 0 || b.spent.CompareAndSwap(spent, max(spent, v)+k*b.unit) {
			return k
		}
	}
}

// Charge takes n tokens without asking, into debt if need be: the cost of work whose size is
// known only afterwards. A debt delays what follows until it is refilled. It saturates at a
// debt of 2^62 units, which is at least two bursts and at most 146 years of refill.
// It panics if n is negative.
func (l *Limiter) Charge(n int64) {
	checkN("Charge", n)
	t := l.elapsed()
	for {
		b, spent, v := l.look(t)
		next := max(spent, v)
		if room := v + maxDebt - next; room > 0 {
			next += min(b.cost(n), room)
		}
		if next == spent || b.spent.CompareAndSwap(spent, next) {
			return
		}
	}
}

// Return puts n tokens back, for events that were taken and did not happen; the bucket never
// holds more than its burst. The law then counts them: a window admits at most burst, refill
// and what was returned within it. Tokens that would come in front of a reservation still
// ahead are dropped, since its time is promised; to give back a reservation use
// [Reservation.Cancel]. It panics if n is negative.
func (l *Limiter) Return(n int64) {
	checkN("Return", n)
	l.lower(func(b *bucket, spent, _ int64) int64 {
		cost := b.cost(n)
		for i := len(l.holes) - 1; i >= 0 && spent-cost <= l.holes[i].end; i-- {
			cost -= spent - l.holes[i].end
			spent = l.holes[i].start
		}
		return spent - cost
	})
}

// Fill makes the bucket full, but for what is promised to reservations still ahead.
func (l *Limiter) Fill() {
	l.lower(func(*bucket, int64, int64) int64 { return full })
}

// lower lets spent fall to what target returns, and serves the waiters from what that frees.
func (l *Limiter) lower(target func(b *bucket, spent, v int64) int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.elapsed()
	l.withdrawLocked()
	b, d := l.nearLocked(t)
	v := b.supply(d)
	floor := int64(full)
	if l.promised > v+b.capacity { // a promise is still ahead
		floor = l.promised
	}
	for {
		spent := b.spent.Load()
		next := max(target(b, max(spent, full), v), floor)
		if next >= spent {
			break
		}
		if b.spent.CompareAndSwap(spent, next) {
			l.trimHoles(next)
			break
		}
	}
	l.serveLocked(t)
}

// Drain empties the bucket: the next token is the next that is refilled. Use it when the other
// side says that its limit is reached.
func (l *Limiter) Drain() {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, d := l.nearLocked(l.elapsed())
	empty := b.supply(d) + b.capacity
	for {
		spent := b.spent.Load()
		if spent >= empty || b.spent.CompareAndSwap(spent, empty) {
			break
		}
	}
	l.pruneHoles(empty)
	if invariants {
		l.checkLocked()
	}
}
