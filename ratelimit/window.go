// SPDX-License-Identifier: MIT

package ratelimit

import (
	"fmt"
	"math"
	"sync"
	"time"
)

// A Window admits a number of events in a length of time, as people count: "100
// a minute". Its kinds differ in the meaning of a minute: see [NewSlidingLog],
// [NewSlidingWindow], [NewFixedWindow], and [NewQuota] for days and months of
// the calendar. It is safe for concurrent use by multiple goroutines, must not
// be copied, needs no Close and starts no goroutine. Methods of a zero Window
// panic.
//
// A clock that steps back is treated as stopped until it catches up.
type Window struct {
	clock clock

	mu    sync.Mutex // protects the fields below
	state windowState
	stats WindowStats
}

// NewSlidingLog returns a Window that is exact: it admits an event if fewer
// than n happened in the length before it, and else refuses it. It keeps the
// time of each event, 8 bytes, up to n of them. Every call costs O(1),
// amortized over the events that it forgets. If opts is nil, the defaults are
// used. It panics if n or length is not positive, or if opts is not valid.
func NewSlidingLog(n int, length time.Duration, opts *Options) *Window {
	checkWindow(n, length)
	return newWindow(n, length, newClock(opts.constant().Now), newEventLog(length))
}

// NewSlidingWindow returns a Window that never admits more than n events in any
// length of time, in fixed memory: it counts by slices of length/slices, and
// counts the slice that is partly outside as if it were inside. The price is
// that events count up to one slice too long, so that a steady stream gets
// n·slices/(slices+1) per length, and at worst a client waits so much longer.
// Each call costs O(slices) after an idle time and O(1) otherwise. If opts is
// nil, the defaults are used. It panics if n, length or slices is not positive,
// if slices exceed the nanoseconds of length, or if opts is not valid; but
// slices may be [Weighted], for another way to count.
func NewSlidingWindow(n int, length time.Duration, slices int, opts *Options) *Window {
	checkWindow(n, length)
	c, _ := newSlidingCounter(length, slices)
	return newWindow(n, length, newClock(opts.constant().Now), c)
}

// Weighted makes [NewSlidingWindow] and [NewKeyedSlidingWindow], in place of
// slices, count as Cloudflare, httprate and mennanov/limiters do: events are
// counted by slots of the length, and those of the slot before count by the
// part of it that is still inside. A quarter into a slot that is
//
//	events of this slot + 3/4 of those of the slot before
//
// and an event is admitted if that stays within n, without rounding. Of even
// traffic it is the true number, so that a steady stream gets n - 1 a slot or
// more. Of other traffic it is a guess: each slot admits at most n events, but
// a length of time across two slots up to 2n - 1, those at the end of one and
// all that the weight lets in after them.
//
// Take it if the numbers have to be those of these libraries. A sliding window
// of one slice takes the same memory, and of a few slices hardly more, and
// keeps to n in any length of time. Slots begin when the window is made, those
// of [Window.Share] at multiples of the length since 1970. Return takes back
// events of the older slot first, by what they weigh.
const Weighted = -1

// NewFixedWindow returns a Window that counts anew in each window, the first of
// which begins when it is made. It is the cheapest kind, and the one of most
// servers, but a client that asks at the end of one window and the start of the
// next gets up to 2n events in a moment. If opts is nil, the defaults are used.
// It panics if n or length is not positive, or if opts is not valid.
func NewFixedWindow(n int, length time.Duration, opts *Options) *Window {
	checkWindow(n, length)
	return newWindow(n, length, newClock(opts.constant().Now), newSliceCounter(int64(length), 1))
}

// NewQuota returns a Window that admits n events in each period of the
// calendar: "1000 a day", where a day is that of the customer's wall clock. If
// opts is nil, the defaults are used; the default clock is time.Now. It panics
// if n is not positive, or if opts is not valid.
//
// It reads the wall clock, unlike everything else here, and remembers the end
// of its current period: a clock that is set back grants nothing twice. A clock
// that was wrongly far ahead when an event was counted ends the period it
// showed only when that time comes, or when Clear is called.
func NewQuota(n int, period Period, opts *Options) *Window {
	checkWindow(n, 1)
	c := newClock(wallClock(opts.constant().Now))
	return newWindow(n, period.length(), c, newPeriodCounter(period, c.base))
}

// wallClock returns now, or time.Now if it is nil, without monotonic readings,
// which measure how long it has been and not the time on the wall.
func wallClock(now func() time.Time) func() time.Time {
	if now == nil {
		now = time.Now
	}
	return func() time.Time { return now().Round(0) }
}

// checkWindow panics if n or length is not positive.
func checkWindow(n int, length time.Duration) {
	if n < 1 {
		panic(fmt.Sprintf("ratelimit: number of events must be positive, got %d", n))
	}
	if length <= 0 {
		panic(fmt.Sprintf("ratelimit: length of a window must be positive, got %v", length))
	}
}

// newSlidingCounter returns the counter of NewSlidingWindow, and its number of
// counts.
func newSlidingCounter(length time.Duration, slices int) (c storedCounter, counts int) {
	if slices == Weighted {
		return newWeightedCounter(int64(length)), 2
	}
	if slices < 1 || int64(slices) > int64(length) {
		panic(fmt.Sprintf("ratelimit: slices must be Weighted or between 1 and the nanoseconds of the window, got %d", slices))
	}
	width := (int64(length)-1)/int64(slices) + 1 // rounded up
	return newSliceCounter(width, slices+1), slices + 1
}

func newWindow(n int, length time.Duration, c clock, counter counter) *Window {
	return &Window{clock: c, state: windowState{n: int64(n), length: length, counter: counter}}
}

// mustUse panics if w is the zero Window.
func (w *Window) mustUse() {
	if w.state.counter == nil {
		panic("ratelimit: zero Window: use NewSlidingLog, NewSlidingWindow, NewFixedWindow or NewQuota")
	}
}

// reading returns the reading of the clock.
func (w *Window) reading() int64 {
	w.mustUse()
	return w.clock.read()
}

// Allow reports whether one event may happen now, and counts it if so.
func (w *Window) Allow() bool { return w.takeAt(w.reading(), 1).OK }

// AllowN reports whether n events may happen now, and counts them, all or none.
// An event that weighs as much as n others is n events. Zero events may always
// happen. It panics if n is negative.
func (w *Window) AllowN(n int) bool { return w.takeAt(w.reading(), checkN(n)).OK }

// AllowAt is AllowN at time t, for replays and simulations; a time before that
// of an earlier event counts as that. Do not mix it with methods that read the
// clock, unless Options.Now tells the same time.
func (w *Window) AllowAt(t time.Time, n int) bool {
	w.mustUse()
	return w.takeAt(w.clock.at(t), checkN(n)).OK
}

// Take counts n events, all or none, and describes the window at that instant.
// It panics if n is negative.
func (w *Window) Take(n int) Decision { return w.takeAt(w.reading(), checkN(n)) }

func (w *Window) takeAt(t, n int64) Decision {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.takeLocked(t, n)
}

func (w *Window) takeLocked(t, n int64) Decision {
	d := w.state.take(t, n, w.state.n)
	switch {
	case !d.OK:
		w.stats.Denied++
	case n > 0:
		w.stats.Allowed++
	}
	return d
}

// Peek returns the answer of Take(n), and changes nothing. It panics if n is
// negative.
func (w *Window) Peek(n int) Decision {
	events := checkN(n)
	t := w.reading()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state.peek(t, events, w.state.n)
}

// Return takes back n events that were counted and did not happen. Call it
// while they still count, that is within the length of the window, or within
// the same window or period for the kinds that count anew: events that no
// longer count need no Return, and it would take back others. It panics if n is
// negative.
//
// Return does not know which of the events did not happen, so it forgets the
// oldest: those that remain count at least as long as the events that did
// happen.
func (w *Window) Return(n int) {
	events := checkN(n)
	t := w.reading()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state.giveBack(t, events, math.MaxInt64)
}

// takeFor is Take with a receipt, by which revoke takes back exactly its
// events.
func (w *Window) takeFor(n int) (Decision, receipt) {
	events := checkN(n)
	t := w.reading()
	w.mu.Lock()
	defer w.mu.Unlock()
	d := w.takeLocked(t, events)
	return d, receipt{until: w.state.counter.until(t)}
}

// revoke takes back n events that takeFor counted, if they still count.
func (w *Window) revoke(n int, r receipt) {
	t := w.reading()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state.giveBack(t, int64(n), r.until)
}

// SetLimit changes the number of events to n, now: those counted so far stay
// counted. It panics if n is not positive.
func (w *Window) SetLimit(n int) {
	checkWindow(n, 1)
	w.mustUse()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state.n = int64(n)
}

// Clear forgets all that was counted, and the latest time: the next call begins
// a period by its clock.
func (w *Window) Clear() {
	w.mustUse()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state.counter.clear()
	w.state.used = 0
}

// Stats returns the counters of w.
func (w *Window) Stats() WindowStats {
	w.mustUse()
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.stats
	s.Limit = int(w.state.n)
	return s
}

// A windowState is a Window without its lock. A KeyedWindow uses one for one
// key after another.
type windowState struct {
	n       int64
	length  time.Duration // of Decision.Window
	used    int64         // events that the counter holds
	counter counter
}

// take counts n events at reading t under limit, all or none.
func (w *windowState) take(t, n, limit int64) Decision {
	if n > limit {
		return w.peek(t, n, limit) // a refusal for good forgets nothing
	}
	w.used -= w.counter.expire(t)
	ok := n == 0 || n <= limit-w.used
	if ok {
		w.counter.add(t, n)
		w.used += n
	}

	// Tell when all of it is forgotten.
	d := w.describe(t, n, limit, w.used, ok)
	if w.used > 0 {
		d.ResetAfter = gap(w.counter.free(t, w.used), t)
	}
	return d
}

// peek returns the answer of take, and changes nothing.
func (w *windowState) peek(t, n, limit int64) Decision {
	used := w.counter.count(t)
	ok := n == 0 || n <= limit-used
	reset := t
	if used > 0 {
		reset = w.counter.free(t, used)
	}
	if ok && n > 0 {
		used += n
		reset = w.counter.until(t)
	}

	// As take, and nothing changes.
	d := w.describe(t, n, limit, used, ok)
	d.ResetAfter = gap(reset, t)
	return d
}

// describe returns the decision about n events, without ResetAfter.
func (w *windowState) describe(t, n, limit, used int64, ok bool) Decision {
	d := Decision{OK: ok, Limit: int(limit), Remaining: int(max(limit-used, 0)), Window: w.length}
	switch {
	case ok:
	case n > limit:
		d.RetryAfter = -1
	default:
		d.RetryAfter = gap(w.counter.free(t, used+n-limit), t)
	}
	return d
}

// giveBack takes back n events at reading t that stop counting at the reading
// until, if they have not, or the oldest if until is math.MaxInt64.
func (w *windowState) giveBack(t, n, until int64) {
	w.used -= w.counter.expire(t)
	if w.counter.live(until) {
		w.used -= w.counter.forget(n, until)
	}
}

// gap returns the time from reading t to reading at, 0 if that is past.
func gap(at, t int64) time.Duration {
	if at <= t {
		return 0
	}
	if d := at - t; d > 0 {
		return time.Duration(d)
	}
	return math.MaxInt64
}
