// SPDX-License-Identifier: MIT

package breaker

import (
	"context"
	"math"
	"sync/atomic"
	"time"
	"weak"
)

// A Throttle rejects at the client a part of the calls that an overloaded
// backend would refuse anyway, so that refusing does not use up the backend.
// Where a [Breaker] cuts off, a Throttle gives way: with requests and accepted
// counted in a window, it rejects with probability
//
//	max(0, (requests - Spare - K·accepted) / (requests + 1)), at most MaxReject.
//
// Its own rejections are requests too: the calls that it sends settle at K
// times those accepted. It is safe for concurrent use by multiple goroutines,
// must not be copied, starts no goroutine and needs no Close. Use
// [NewThrottle]; methods of a zero Throttle panic.
type Throttle struct {
	opts   ThrottleOptions
	clock  clock
	ring   *ring // of requests: sent, accepted, rejected
	step   time.Duration
	kept   bool          // a timer says when a step is over, not the clock
	fresh  atomic.Bool   // the step is not over, if kept
	next   atomic.Int64  // the reading at which the step is over, unless kept
	reject atomic.Uint64 // the bits of the probability
}

// The kinds of requests that the window of a Throttle counts. A request is sent
// or rejected. An ignored call takes back its count as sent, in the bucket that
// is current by then: a bucket alone may be below zero.
const (
	sent = iota
	accepted
	rejected
)

const (
	throttleBuckets = 40
	throttleSteps   = 8  // recomputations of the probability per bucket
	throttleCalls   = 64 // recompute after this many requests at the latest

	// minKept is the shortest step that a timer ends. If it ran more often, it
	// would cost more than to look at the clock.
	minKept = time.Millisecond
)

// NewThrottle returns a Throttle. If opts is nil, the defaults are used.
// It panics if opts is not valid.
func NewThrottle(opts *ThrottleOptions) *Throttle {
	if err := opts.Validate(); err != nil {
		panic(err)
	}
	t := &Throttle{opts: opts.resolve()}
	t.clock = newClock(t.opts.Now)
	t.ring = newRing(int64(t.opts.Window), throttleBuckets, 0)
	t.step = time.Duration(t.ring.width / throttleSteps)
	t.kept = t.opts.Now == nil && t.step >= minKept
	return t
}

// Allow reports whether to make a call, and counts it as a request either way.
// If the backend then accepts the call, call Accept; if the call says nothing
// about the backend, Ignore.
func (t *Throttle) Allow() bool {
	t.mustUse()
	if !t.fresh.Load() {
		t.renew()
	}

	// Decide, and count the decision on its side.
	p := math.Float64frombits(t.reject.Load())
	kind := sent
	if p > 0 && t.opts.rand() < p {
		kind = rejected
	}

	// A burst moves the probability before its time.
	if t.ring.current()[kind].Add(1)%throttleCalls == 0 {
		t.update(t.clock.read())
	}
	return kind == sent
}

// renew starts a step: it moves the window on and computes the probability,
// unless another goroutine does. While calls come, a timer ends the step, so
// that they need not look at the clock; when no calls come there is no timer.
func (t *Throttle) renew() {
	now := t.clock.read()
	t.ring.at(now)

	// A clock of the caller's is read at each call; one call a step computes.
	if !t.kept {
		if next := t.next.Load(); now >= next && t.next.CompareAndSwap(next, now+int64(t.step)) {
			t.update(now)
		}
		return
	}

	// With the system's clock a timer tells when the step is over.
	t.update(now)
	if t.fresh.Swap(true) {
		return // another goroutine has set the timer
	}
	end := min(int64(t.step), t.ring.end.Load()-now) // not beyond the bucket
	w := weak.Make(t)                                // the timer must not keep t alive
	time.AfterFunc(time.Duration(end), func() {
		if t := w.Value(); t != nil {
			t.fresh.Store(false)
		}
	})
}

// update stores the probability at reading now.
func (t *Throttle) update(now int64) { t.reject.Store(math.Float64bits(t.probability(now))) }

// probability returns the probability of a rejection at reading now.
func (t *Throttle) probability(now int64) float64 {
	sum := t.ring.sum(now)
	requests := float64(max(int64(sum[sent]), 0)) + float64(sum[rejected])
	spare := float64(t.opts.Spare) + t.opts.K*float64(sum[accepted])
	return min(max((requests-spare)/(requests+1), 0), t.opts.MaxReject)
}

// Accept counts an accepted call: one that got any answer except that the
// backend is overloaded. It counts as of the latest request, and so reads no
// clock.
func (t *Throttle) Accept() {
	t.mustUse()
	t.ring.current()[accepted].Add(1)
}

// Ignore takes back the request of a call that says nothing about the backend,
// such as one that its caller canceled.
func (t *Throttle) Ignore() {
	t.mustUse()
	t.ring.current()[sent].Add(^uint64(0))
}

// RejectRatio returns the probability with which a call is rejected now.
func (t *Throttle) RejectRatio() float64 {
	t.mustUse()
	return t.probability(t.clock.read())
}

// Stats returns the current statistics.
func (t *Throttle) Stats() ThrottleStats {
	t.mustUse()
	now := t.clock.read()
	sum, total := t.ring.sum(now), t.ring.total(now)
	return ThrottleStats{
		RejectRatio:    t.probability(now),
		WindowSent:     uint64(max(int64(sum[sent]), 0)),
		WindowAccepted: sum[accepted],
		WindowRejected: sum[rejected],
		Sent:           total[sent],
		Accepted:       total[accepted],
		Rejected:       total[rejected],
	}
}

// mustUse panics if t is the zero Throttle.
func (t *Throttle) mustUse() {
	if t.ring == nil {
		panic("breaker: zero Throttle: use NewThrottle")
	}
}

// Do calls fn unless the call is rejected, and learns from the outcome: a
// [Success] was accepted, a [Failure] refused, and a call that is [Ignored]
// counts on neither side. It returns the error of fn, [ErrThrottled] if fn was
// not called, or ctx.Err() if ctx had ended before. It panics if ctx is nil.
func (t *Throttle) Do(ctx context.Context, fn func(context.Context) error) error {
	if ctx == nil {
		panic("breaker: ctx must not be nil")
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if !t.Allow() {
		return ErrThrottled
	}

	err := withTimeout(ctx, t.opts.Timeout, fn)
	switch t.opts.Classify(ctx, err) {
	case Success:
		t.Accept()
	case Ignored:
		t.Ignore()
	default:
	}
	return unmark(err)
}
