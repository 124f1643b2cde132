// SPDX-License-Identifier: MIT

package breaker

import (
	"context"
	"errors"
	"fmt"
	"time"
)

var (
	// ErrOpen is what every rejection is: the call was not made.
	ErrOpen = errors.New("breaker: open")

	// ErrTimeout is wrapped by the error of a call that Options.Timeout canceled.
	ErrTimeout = errors.New("breaker: call timed out")

	// ErrSlow is the cause of a trip by calls that succeeded, but slowly.
	ErrSlow = errors.New("breaker: calls are slow")

	// ErrLost is the cause of a trip by a probe that did not report in time.
	ErrLost = errors.New("breaker: probe did not report")

	// errPanic is the cause of a trip by a call that did not return.
	errPanic = errors.New("breaker: call panicked or ended its goroutine")
)

// An OpenError is the error of a rejected call. It is an [ErrOpen], and is made once for each
// change of state, so that rejecting allocates nothing: it must not be changed.
// It does not wrap Cause, which is the error of another call.
type OpenError struct {
	Name  string    // Options.Name
	State State     // Open, HalfOpen, Recovering or ForcedOpen
	Until time.Time // before when it is no use to ask again; zero if that is not known
	Cause error     // what opened the breaker, or nil
	now   func() time.Time
}

// Error says which breaker rejected the call, and what had opened it.
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

// RetryAfter returns how long it is from now to Until, 0 if that is past or not known.
func (e *OpenError) RetryAfter() time.Duration {
	if e.Until.IsZero() {
		return 0
	}
	if e.now != nil {
		return max(e.Until.Sub(e.now()), 0)
	}
	return max(time.Until(e.Until), 0)
}

// An ignoredError is what Ignore makes of an error.
type ignoredError struct{ err error }

func (e *ignoredError) Error() string { return e.err.Error() }
func (e *ignoredError) Unwrap() error { return e.err }

// Ignore marks err, which may be nil, as no sign of ill health: "not found" is an answer. [Classify] ignores
// an error that wraps it. [Do] takes the mark off again.
func Ignore(err error) error {
	if err == nil {
		return nil
	}
	return &ignoredError{err}
}

// Classify is what a Breaker makes of outcomes unless Options.Classify is set: nil is a success;
// the caller's own cancellation or deadline, and an error marked by [Ignore], is ignored; all else
// is a failure. Set Options.Timeout below the deadlines of callers if something that does not answer
// shall trip the breaker.
func Classify(ctx context.Context, err error) Outcome {
	if err == nil {
		return Success
	}
	if errors.Is(err, ErrTimeout) {
		return Failure // ours came first, even if the caller's has passed by now
	}
	if cause := ctx.Err(); cause != nil && (errors.Is(err, cause) || errors.Is(err, context.Cause(ctx))) {
		return Ignored
	}
	if _, ok := errors.AsType[*ignoredError](err); ok {
		return Ignored
	}
	return Failure
}

// Do calls fn if the breaker admits it, and learns from the outcome. It returns what fn does,
// an [*OpenError] if it was rejected, or else ctx.Err() if ctx had ended before. If fn panics or
// ends its goroutine that is a failure, and goes on as if there were no breaker.
// It panics if ctx is nil.
func (b *Breaker) Do(ctx context.Context, fn func(context.Context) error) error {
	if e := b.refusal.Load(); e != nil {
		return *e
	}
	if ctx == nil {
		panic("breaker: Do: ctx must not be nil, got nil")
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	per := b.per.Load()
	if per == nil || !per.plain || b.word.Load() != per.word {
		return b.doCounted(ctx, fn)
	}
	done := false
	defer func() {
		if !done {
			b.report(per, Failure, errPanic)
		}
	}()
	err := fn(ctx)
	if err == nil && per.fails.Load() == 0 && b.per.Load() == per {
		done = true // a success after a success: there is no row to end
		if per.ring != nil {
			per.ring.at(b.elapsed()).calls.Add(1)
		}
		return nil
	}
	o := Success
	if err != nil {
		o = per.cfg.Classify(ctx, err)
	}
	done = true
	b.report(per, o, err)
	return unmark(err)
}

// doCounted is Do in all its generality.
func (b *Breaker) doCounted(ctx context.Context, fn func(context.Context) error) error {
	p, err := b.Allow()
	if err != nil {
		return err
	}
	done := false
	defer func() {
		if !done {
			p.Failure(errPanic)
		}
	}()
	c := b.per.Load().cfg
	if c.Timeout > 0 {
		err = withTimeout(ctx, c.Timeout, fn)
	} else {
		err = fn(ctx)
	}
	o := Success
	if err != nil || c.custom {
		o = c.Classify(ctx, err)
	}
	done = true
	p.report(o, err)
	return unmark(err)
}

// report takes the outcome of a call that per admitted.
func (b *Breaker) report(per *period, o Outcome, cause error) {
	p := Permit{b: b, gen: per.gen, start: untimed}
	p.report(o, cause)
}

// unmark returns err without the mark of [Ignore].
func unmark(err error) error {
	//nolint:errorlint // only the outermost mark is the caller's to take off
	if e, ok := err.(*ignoredError); ok {
		return e.err
	}
	return err
}

// withTimeout calls fn with a context that ends after d.
func withTimeout(ctx context.Context, d time.Duration, fn func(context.Context) error) error {
	inner, cancel := context.WithTimeoutCause(ctx, d, ErrTimeout)
	defer cancel()
	err := fn(inner)
	if err != nil && context.Cause(inner) == ErrTimeout &&
		!errors.Is(err, ErrTimeout) && errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", ErrTimeout, err)
	}
	return err
}

// Do is [Breaker.Do] for a function that returns a value: one breaker serves calls of any type.
// If b rejects the call it returns the zero T.
func Do[T any](ctx context.Context, b *Breaker, fn func(context.Context) (T, error)) (T, error) {
	var v T
	err := b.Do(ctx, func(ctx context.Context) (err error) {
		v, err = fn(ctx)
		return err
	})
	return v, err
}

// DoElse is [Do] with an answer for when there is none: if the call is rejected or fails it returns
// what fallback makes of the error. The fallback runs outside the breaker, with the caller's ctx.
func DoElse[T any](
	ctx context.Context, b *Breaker, fn func(context.Context) (T, error), fallback func(context.Context, error) (T, error),
) (T, error) {
	v, err := Do(ctx, b, fn)
	if err != nil {
		return fallback(ctx, err)
	}
	return v, nil
}
