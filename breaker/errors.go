// SPDX-License-Identifier: MIT

package breaker

import (
	"errors"
	"time"
)

var (
	// ErrOpen is returned by [Do], [Breaker.Do] and [Breaker.Allow], as an
	// [*OpenError], when the breaker rejects the call: it was not made.
	ErrOpen = errors.New("breaker: open")

	// ErrTimeout is returned by Do, wrapped together with the error of the
	// call, when Options.Timeout or ThrottleOptions.Timeout canceled it.
	ErrTimeout = errors.New("breaker: call timed out")

	// ErrThrottled is returned by [Throttle.Do] when the throttle rejects the
	// call: it was not made.
	ErrThrottled = errors.New("breaker: throttled")

	// ErrSlow is the cause in an [OpenError] or [Change] when calls that
	// succeeded, but slowly, opened the breaker.
	ErrSlow = errors.New("breaker: calls are slow")

	// ErrLost is the cause in an [OpenError] or [Change] when a probe did not
	// report before Options.ProbeTimeout.
	ErrLost = errors.New("breaker: probe did not report")

	// errPanic is the cause when a call did not return.
	errPanic = errors.New("breaker: call panicked or ended its goroutine")
)

// An OpenError is the error of a rejected call. It is an [ErrOpen]. It is made
// once for each change of state, so that rejecting allocates nothing, and must
// not be changed. It does not wrap Cause, which is the error of another call.
type OpenError struct {
	Name  string    // Options.Name
	State State     // Open, HalfOpen, Recovering or ForcedOpen
	Until time.Time // calls before this are rejected; zero if not known
	Cause error     // the failure that opened the breaker, or nil
	now   func() time.Time
}

// Error names the breaker that rejected the call, and the failure that opened
// it.
func (e *OpenError) Error() string {
	s := "breaker: " + e.State.String()
	if e.Name != "" {
		s += " (" + e.Name + ")"
	}
	if e.Cause != nil {
		s += ", since " + e.Cause.Error()
	}
	return s
}

// Is reports whether target is [ErrOpen].
func (e *OpenError) Is(target error) bool { return target == ErrOpen }

// RetryAfter returns the time from now to Until, 0 if that has passed. known is
// false if nobody knows when calls will be admitted again: the breaker is
// forced open, or recovering.
func (e *OpenError) RetryAfter() (d time.Duration, known bool) {
	if e.Until.IsZero() {
		return 0, false
	}
	if e.now != nil {
		return max(e.Until.Sub(e.now()), 0), true
	}
	return max(time.Until(e.Until), 0), true
}
