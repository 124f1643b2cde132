// SPDX-License-Identifier: MIT

package ratelimit

import (
	"fmt"
	"math"
	"sync"
	"time"
)

// A Window admits a number of events in a length of time, as people count: "100 a minute".
// There are three kinds, which differ in what a minute is: see [NewSlidingLog], [NewSlidingWindow]
// and [NewFixedWindow]. It is safe for concurrent use by multiple goroutines, must not be copied,
// needs no Close and starts no goroutine.
//
// A clock that goes back is taken to stand still.
type Window struct {
	n      int64
	length time.Duration
	now    func() time.Time
	base   time.Time

	mu      sync.Mutex // protects what follows
	latest  int64      // the latest reading
	used    int64      // events that count at latest
	counter counter
}

// A counter remembers the events of a Window. Readings never fall from call to call.
type counter interface {
	// expire forgets what no longer counts at t, and returns how many events that were.
	expire(t int64) int64
	// add remembers n events at t, which is the reading of the last expire.
	add(t, n int64)
	// remove forgets up to n of the latest events, and returns how many.
	remove(n int64) int64
	// when returns the reading at which n events more than now will have been forgotten.
	when(n int64) int64
}

// NewSlidingLog returns a Window that is exact: at any instant, the n events of the
// length before it and no more. It keeps the time of each event, 8 bytes, up to n of them.
// Every call costs O(1), amortized over the events that it forgets.
// It panics if n or length is not positive.
func NewSlidingLog(n int64, length time.Duration, opts *Options) *Window {
	w := newWindow("NewSlidingLog", n, length, opts)
	w.counter = &eventLog{length: int64(length)}
	return w
}

// NewSlidingWindow returns a Window that never admits more than n events in any length of time,
// in fixed memory: it counts by slices of length/slices, and counts the slice that is partly
// outside as if it were inside. The price is that events count up to one slice too long, so
// that a steady stream gets n·slices/(slices+1) per length, and at worst a client waits so
// much longer. Each call costs O(slices) after an idle time and O(1) otherwise.
// It panics if n, length or slices is not positive, or if slices exceed the nanoseconds of length.
func NewSlidingWindow(n int64, length time.Duration, slices int, opts *Options) *Window {
	w := newWindow("NewSlidingWindow", n, length, opts)
	width := sliceWidth("NewSlidingWindow", length, slices)
	w.counter = &sliceCounter{width: width, counts: make([]int64, slices+1), current: math.MinInt64}
	return w
}

// sliceWidth returns the nanoseconds of a slice, rounded up.
func sliceWidth(method string, length time.Duration, slices int) int64 {
	if slices < 1 || int64(slices) > int64(length) {
		panic(fmt.Sprintf("ratelimit: %s: slices must be between 1 and the nanoseconds of the window, got %d", method, slices))
	}
	return (int64(length)-1)/int64(slices) + 1
}

// NewFixedWindow returns a Window that counts anew in each window, the first of which begins
// when it is made. It is the cheapest, and what most servers do, but a client that asks at the
// end of one window and the start of the next gets up to 2n events in a moment.
// It panics if n or length is not positive.
func NewFixedWindow(n int64, length time.Duration, opts *Options) *Window {
	w := newWindow("NewFixedWindow", n, length, opts)
	w.counter = &sliceCounter{width: int64(length), counts: make([]int64, 1), current: math.MinInt64}
	return w
}

func newWindow(method string, n int64, length time.Duration, opts *Options) *Window {
	if n < 1 {
		panic(fmt.Sprintf("ratelimit: %s: the number of events must be positive, got %d", method, n))
	}
	if length <= 0 {
		panic(fmt.Sprintf("ratelimit: %s: the length must be positive, got %v", method, length))
	}
	w := &Window{n: n, length: length, latest: -maxReading}
	if opts != nil {
		w.now = opts.Now
	}
	if w.now != nil {
		w.base = w.now()
	} else {
		w.base = time.Now()
	}
	return w
}

func (w *Window) elapsed() int64 {
	switch {
	case w.counter == nil:
		panic("ratelimit: zero Window: use NewSlidingLog, NewSlidingWindow or NewFixedWindow")
	case w.now != nil:
		return w.reading(w.now())
	}
	return int64(time.Since(w.base))
}

func (w *Window) reading(t time.Time) int64 {
	return min(max(int64(t.Sub(w.base)), -maxReading), maxReading)
}

// Allow reports whether one event may happen now, and counts it if so.
func (w *Window) Allow() bool { return w.take(w.elapsed(), 1).OK }

// AllowN reports whether n events may happen now, and counts them, all or none.
// Zero events may always happen. It panics if n is negative.
func (w *Window) AllowN(n int64) bool { return w.take(w.elapsed(), checkN("AllowN", n)).OK }

// AllowAt is AllowN at time t, for replays and simulations; a time before that of an earlier
// call counts as that. Do not mix it with methods that read the clock, unless Options.Now tells
// the same time.
func (w *Window) AllowAt(t time.Time, n int64) bool {
	return w.take(w.reading(t), checkN("AllowAt", n)).OK
}

// Take counts n events, all or none, and describes the window at that instant.
// It panics if n is negative.
func (w *Window) Take(n int64) Decision { return w.take(w.elapsed(), checkN("Take", n)) }

func (w *Window) take(t, n int64) Decision {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.takeLocked(t, n)
}

func (w *Window) takeLocked(t, n int64) Decision {
	t = w.advanceLocked(t)
	if n > w.n-w.used {
		return w.decideLocked(t, n, n == 0)
	}
	if n > 0 {
		w.counter.add(t, n)
		w.used += n
	}
	return w.decideLocked(t, n, true)
}

// Peek returns what Take(n) would, and counts nothing. It panics if n is negative.
func (w *Window) Peek(n int64) Decision {
	checkN("Peek", n)
	t := w.elapsed()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.peekLocked(t, n)
}

func (w *Window) peekLocked(t, n int64) Decision {
	t = w.advanceLocked(t)
	if n == 0 || n > w.n-w.used {
		return w.decideLocked(t, n, n == 0)
	}
	w.counter.add(t, n)
	w.used += n
	d := w.decideLocked(t, n, true)
	w.used -= w.counter.remove(n)
	return d
}

// Return takes back n of the latest events: they did not happen. It panics if n is negative.
func (w *Window) Return(n int64) {
	checkN("Return", n)
	t := w.elapsed()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.advanceLocked(t)
	w.used -= w.counter.remove(n)
}

// advanceLocked moves the window to reading t, or leaves it at a later one, which it returns.
func (w *Window) advanceLocked(t int64) int64 {
	w.latest = max(w.latest, t)
	w.used -= w.counter.expire(w.latest)
	return w.latest
}

func (w *Window) decideLocked(t, n int64, ok bool) Decision {
	d := Decision{OK: ok, Limit: w.n, Remaining: w.n - w.used}
	if w.used > 0 {
		d.ResetAfter = time.Duration(w.counter.when(w.used) - t)
	}
	switch {
	case ok:
	case n > w.n:
		d.RetryAfter = -1
	default:
		d.RetryAfter = time.Duration(w.counter.when(w.used+n-w.n) - t)
	}
	return d
}

// An eventLog is a ring of the times of events, oldest first. It grows to the number of events
// that ever counted at once.
type eventLog struct {
	length     int64
	times      []int64 // a power of two of slots
	head, size int
}

func (l *eventLog) at(i int) *int64 { return &l.times[(l.head+i)&(len(l.times)-1)] }

func (l *eventLog) expire(t int64) (n int64) {
	for l.size > 0 && *l.at(0) <= t-l.length {
		l.head = (l.head + 1) & (len(l.times) - 1)
		l.size--
		n++
	}
	return n
}

func (l *eventLog) add(t, n int64) {
	for range n {
		if l.size == len(l.times) {
			grown := make([]int64, max(2*len(l.times), 8))
			for i := range l.size {
				grown[i] = *l.at(i)
			}
			l.times, l.head = grown, 0
		}
		l.size++
		*l.at(l.size - 1) = t
	}
}

func (l *eventLog) remove(n int64) int64 {
	n = min(n, int64(l.size))
	l.size -= int(n)
	return n
}

func (l *eventLog) when(n int64) int64 { return *l.at(int(n) - 1) + l.length }

// A sliceCounter counts events by slices of time. With one count it is a fixed window, and with
// more a sliding one: slice i counts until slice i+len(counts) begins.
type sliceCounter struct {
	width   int64
	counts  []int64 // of slice i at i mod len
	current int64   // the slice of the last reading
}

func (c *sliceCounter) slot(i int64) *int64 {
	n := int64(len(c.counts))
	return &c.counts[(i%n+n)%n]
}

func (c *sliceCounter) expire(t int64) (n int64) {
	i := t / c.width
	if t < 0 && t%c.width != 0 {
		i-- // floor
	}
	if c.current == math.MinInt64 {
		c.current = i
	}
	for range min(i-c.current, int64(len(c.counts))) {
		c.current++
		slot := c.slot(c.current)
		n += *slot
		*slot = 0
	}
	c.current = i
	return n
}

func (c *sliceCounter) add(_, n int64) { *c.slot(c.current) += n }

func (c *sliceCounter) remove(n int64) (removed int64) {
	for i := range int64(len(c.counts)) {
		slot := c.slot(c.current - i)
		k := min(n-removed, *slot)
		*slot -= k
		removed += k
	}
	return removed
}

func (c *sliceCounter) when(n int64) int64 {
	slices := int64(len(c.counts))
	i := c.current - slices + 1
	for ; i < c.current; i++ {
		if n -= *c.slot(i); n <= 0 {
			break
		}
	}
	return (i + slices) * c.width
}
