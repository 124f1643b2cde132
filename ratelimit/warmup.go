// SPDX-License-Identifier: MIT

package ratelimit

import (
	"fmt"
	"math/bits"
	"sync"
	"time"
)

// A warmUp is the clock of a Limiter that comes up to its rate: it runs slower
// than the caller's while the limiter is cold, and so tokens come slower.
// Everything else about the limiter is as ever.
//
// The limiter is in use while its bucket is not full, and idle while it is.
// Use of a period makes it warm, and so does nothing else; idleness takes as
// long. A clock can run at any speed while the bucket is full, so only the
// warmth at the end of an idle time matters: from there on, until the bucket is
// full again, the reading is a polynomial of the time.
type warmUp struct {
	clock  clock // the caller's
	period int64 // from cold to warm, and back

	mu     sync.Mutex // protects the fields below
	from   int64      // the reading of clock at which the bucket was last found full
	at     int64      // the reading that was
	warmth int64      // the use at from, 0 to period
}

// coldFactor is how much slower a cold limiter is than a warm one.
const coldFactor = 3

// ran returns how far a clock that begins with warmth runs in d, in use. Its
// speed is 1/3 + 2/3·warmth/period, and 1 from period on; before the beginning
// it is 1, so that old readings find no token that they must not.
func (w *warmUp) ran(warmth, d int64) int64 {
	rising := w.period - warmth
	if d <= 0 {
		return d
	}
	if d > rising {
		return w.ran(warmth, rising) + d - rising
	}
	hi, lo := w.area(warmth, d)
	n, _ := bits.Div64(hi, lo, coldFactor*uint64(w.period))
	return int64(n)
}

// area returns 3·period times the integral of the speed over d from warmth on,
// d·(period + 2·warmth + d). d is at most period less warmth.
func (w *warmUp) area(warmth, d int64) (hi, lo uint64) {
	return bits.Mul64(uint64(d), uint64(w.period)+2*uint64(warmth)+uint64(d))
}

// takes returns the least d for which ran returns n or more. n is not negative.
func (w *warmUp) takes(warmth, n int64) int64 {
	rising := w.period - warmth
	if most := w.ran(warmth, rising); n > most {
		return sum(n-most, rising)
	}

	// Search for where the area reaches n.
	needHi, needLo := bits.Mul64(uint64(n), coldFactor*uint64(w.period))
	low, high := n-1, rising
	for low+1 < high {
		mid := low + (high-low)/2
		if hi, lo := w.area(warmth, mid); hi > needHi || hi == needHi && lo >= needLo {
			high = mid
		} else {
			low = mid
		}
	}
	return high
}

// maxWarmUp keeps three periods within 64 bits.
const maxWarmUp = 1 << 60

// warm makes l come up to its rate in period.
func (l *Limiter) warm(period time.Duration) {
	w := &warmUp{clock: l.clock, period: min(int64(period), maxWarmUp)}
	l.warmUp = w
	l.clock.now = func() time.Time { return l.clock.base.Add(time.Duration(l.warmed(w.clock.read()))) }
}

// warmed is paced for a limiter that warms up.
func (l *Limiter) warmed(t int64) int64 {
	w := l.warmUp
	b, spent := l.settled()
	refilled := b.base // without a refill, it is idle from the beginning
	if b.mul > 0 {
		refilled = shift(b.base, max(b.when(spent), -maxReading))
	}

	w.mu.Lock()
	defer w.mu.Unlock()
	at := w.at + w.ran(w.warmth, t-w.from)
	switch {
	case refilled > at:
		return at // in use
	case t > w.from:
		// Idle since the bucket was full, and maybe from now on in use.
		since := w.from + w.takes(w.warmth, int64(gap(refilled, w.at)))
		w.warmth += min(since-w.from, w.period-w.warmth)
		w.warmth = max(w.warmth-(t-since), 0)
	default:
		// The clock was ahead, or t is older than all events, as in a log: the
		// next use begins here.
	}
	w.from = t
	w.at = at
	if invariants && (w.warmth < 0 || w.warmth > w.period) {
		panic(fmt.Sprintf("ratelimit: W1 violated: warmth %d of %d at %d", w.warmth, w.period, t))
	}
	return at
}

// paced returns the reading of the clock of l at reading t of the caller's.
func (l *Limiter) paced(t int64) int64 {
	if l.warmUp == nil {
		return t
	}
	return l.warmed(t)
}

// settled returns the bucket in force and its spending.
func (l *Limiter) settled() (*bucket, int64) {
	for {
		b := l.load()
		if spent := b.spent.Load(); spent != frozen {
			return b, spent
		}
		l.awaitLimit()
	}
}

// source returns the clock that the caller gave.
func (l *Limiter) source() *clock {
	if l.warmUp != nil {
		return &l.warmUp.clock
	}
	return &l.clock
}

// due returns the reading of the caller's clock at which the limiter's is t.
func (l *Limiter) due(t int64) int64 {
	w := l.warmUp
	if w == nil {
		return t
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if t <= w.at {
		return w.from - (w.at - t)
	}
	return sum(w.from, w.takes(w.warmth, int64(gap(t, w.at))))
}

// shift returns t + d, at most the largest int64.
func shift(t, d int64) int64 {
	if d < 0 {
		return t + d
	}
	return sum(t, d)
}

// lasts returns the time that passes by the caller's clock until the limiter's,
// which is at t, is d further. Negative: it never is.
func (l *Limiter) lasts(t int64, d time.Duration) time.Duration {
	if l.warmUp == nil || d <= 0 {
		return d
	}
	return gap(l.due(sum(t, int64(d))), l.due(t))
}

// told returns d, a decision at reading t, in the caller's time.
func (l *Limiter) told(d Decision, t int64) Decision {
	d.RetryAfter = l.lasts(t, d.RetryAfter)
	d.ResetAfter = l.lasts(t, d.ResetAfter)
	return d
}
