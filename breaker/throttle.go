// SPDX-License-Identifier: MIT

package breaker

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// ErrThrottled is the error of a call that a Throttle did not make.
var ErrThrottled = errors.New("breaker: throttled")

// A Throttle rejects at the client a part of the calls that an overloaded backend would refuse
// anyway, so that refusing does not use up the backend. Where a [Breaker] cuts off, a Throttle
// gives way: with requests and accepted counted in a window, it rejects with probability
//
//	max(0, (requests - Spare - K·accepted) / (requests + 1)), at most MaxReject.
//
// Its own rejections are requests too: what is sent settles at K times what is accepted.
// It is safe for concurrent use by multiple goroutines, must not be copied, starts no goroutine and
// needs no Close. Use [NewThrottle]; methods of a zero Throttle panic.
type Throttle struct {
	opts   ThrottleOptions
	base   time.Time     // readings are nanoseconds since base
	reject atomic.Uint64 // bits of the probability, as of before next
	next   atomic.Int64  // the reading at which to compute it again
	step   int64
	ring   *ring // calls are requests; failures are those accepted
}

const (
	throttleBuckets = 40
	throttleSteps   = 8  // computations of the probability per bucket, and one for each
	throttleCalls   = 64 // requests in it, so that a burst does not go by a probability of before
)

// NewThrottle returns a Throttle. If opts is nil, the defaults are used.
// It panics if opts are not valid.
func NewThrottle(opts *ThrottleOptions) *Throttle {
	if err := opts.Validate(); err != nil {
		panic("breaker: NewThrottle: " + reason(err))
	}
	t := &Throttle{}
	if opts != nil {
		t.opts = *opts
	}
	o := &t.opts
	o.K, o.Window, o.MaxReject = or(o.K, 2), or(o.Window, 2*time.Minute), or(o.MaxReject, 0.95)
	o.Spare = or(o.Spare, 10)
	if o.Classify == nil {
		o.Classify = Classify
	}
	if o.rand == nil {
		o.rand = rand.Float64
	}
	if o.Now != nil {
		t.base = o.Now()
	} else {
		t.base = time.Now()
	}
	t.ring = newRing(int64(o.Window), throttleBuckets, 0)
	t.step = t.ring.width / throttleSteps
	return t
}

func (t *Throttle) elapsed() int64 {
	if t.opts.Now != nil {
		return min(max(int64(t.opts.Now().Sub(t.base)), -maxReading), maxReading)
	}
	return int64(time.Since(t.base))
}

// Allow reports whether to make a call, and counts it as a request either way. If the backend
// then accepts the call, call Accept.
func (t *Throttle) Allow() bool {
	if t.ring == nil {
		panic("breaker: zero Throttle: use NewThrottle")
	}
	now := t.elapsed()
	n := t.ring.at(now).calls.Add(1)
	p := t.probability(now, n)
	return p == 0 || t.opts.rand() >= p
}

// Accept counts an accepted call: one that got any answer but that the backend is overloaded.
// It counts as of the latest request, and so reads no clock.
func (t *Throttle) Accept() { t.ring.current().failures.Add(1) }

// RejectRatio returns the probability with which a call is rejected now.
func (t *Throttle) RejectRatio() float64 { return t.compute(t.elapsed()) }

// probability returns the probability as of at most a step or throttleCalls requests ago, for
// request n of its bucket.
func (t *Throttle) probability(now int64, n uint64) float64 {
	if next := t.next.Load(); n%throttleCalls == 0 || now >= next && t.next.CompareAndSwap(next, now+t.step) {
		t.reject.Store(math.Float64bits(t.compute(now)))
	}
	return math.Float64frombits(t.reject.Load())
}

func (t *Throttle) compute(now int64) float64 {
	s := t.ring.sum(now)
	requests, accepted := float64(s.calls), float64(s.failures)
	return min(max((requests-float64(t.opts.Spare)-t.opts.K*accepted)/(requests+1), 0), t.opts.MaxReject)
}

// Do calls fn unless the call is rejected, and learns whether it was accepted: an outcome that is
// not a Failure was. It returns what fn does, [ErrThrottled] if fn was not called, or ctx.Err() if
// ctx had ended before. It panics if ctx is nil.
func (t *Throttle) Do(ctx context.Context, fn func(context.Context) error) error {
	if ctx == nil {
		panic("breaker: Throttle.Do: ctx must not be nil, got nil")
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if !t.Allow() {
		return ErrThrottled
	}
	err := fn(ctx)
	if t.opts.Classify(ctx, err) != Failure {
		t.Accept()
	}
	return unmark(err)
}
