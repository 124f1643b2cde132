// SPDX-License-Identifier: MIT

package breaker

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Do calls fn if the breaker admits it, and learns from the outcome. It returns
// the error of fn, an [*OpenError] if the call was rejected, or else ctx.Err()
// if ctx had ended before. If fn panics or ends its goroutine that is a
// failure, and goes on as if there were no breaker. It panics if ctx is nil.
//
// The breaker sees errors and nothing else. [net/http.Client.Do] returns none
// for a status of 503: let fn make it one, as ExampleGroup_roundTripper does.
func (b *Breaker) Do(ctx context.Context, fn func(context.Context) error) error {
	if e := b.refusal.Load(); e != nil {
		return *e
	}
	if ctx == nil {
		panic("breaker: ctx must not be nil")
	}
	if err := ctx.Err(); err != nil {
		return err
	}

	// The word is loaded after the period. If it is the period's, the period
	// was current when the word was loaded: the call is admitted as of then.
	per := b.per.Load()
	if per == nil || !per.plain || b.word.Load() != per.word {
		return b.doSlow(ctx, fn)
	}

	// A call that panics or ends its goroutine has failed.
	done := false
	defer func() {
		if !done {
			b.report(admission{gen: per.gen, start: untimed}, Failure, errPanic)
		}
	}()
	err := fn(ctx)

	// A success of a period that is still current takes no lock. If the period
	// changed meanwhile, report finds out whether its generation did.
	if err == nil && b.per.Load() == per && per.succeed(&b.clock) {
		done = true
		return nil
	}
	o := per.cfg.Classify(ctx, err)
	done = true
	b.report(admission{gen: per.gen, start: untimed}, o, err)
	return unmark(err)
}

// doSlow is Do in all its generality.
func (b *Breaker) doSlow(ctx context.Context, fn func(context.Context) error) error {
	a, err := b.admit()
	if err != nil {
		return err
	}

	// A call that panics or ends its goroutine has failed.
	done := false
	defer func() {
		if !done {
			b.report(a, Failure, errPanic)
		}
	}()

	// The options are those of now: the period may have changed since the
	// admission.
	c := b.per.Load().cfg
	err = withTimeout(ctx, c.Timeout, fn)
	o := c.Classify(ctx, err)
	done = true
	b.report(a, o, err)
	return unmark(err)
}

// withTimeout calls fn with a context that ends after d, if d is not 0. The
// error of a call that it canceled wraps [ErrTimeout], unless it is marked.
func withTimeout(ctx context.Context, d time.Duration, fn func(context.Context) error) error {
	if d == 0 {
		return fn(ctx)
	}
	inner, cancel := context.WithTimeoutCause(ctx, d, ErrTimeout)
	defer cancel()
	err := fn(inner)

	// The error need not say that it is a timeout, as one of gRPC does not.
	if err == nil || isMarked(err) || errors.Is(err, ErrTimeout) || !errors.Is(context.Cause(inner), ErrTimeout) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrTimeout, err)
}

// Do is [Breaker.Do] for a function that returns a value: one breaker serves
// calls of any type. If b rejects the call it returns the zero T.
//
// With Options.Timeout, the context of fn ends when fn returns. A value that
// still needs it, such as the body of an [net/http.Response] or the rows of a
// query, must be read within fn. If it is to outlive fn, leave Timeout zero and
// let the value end the context when it is closed, as the transport of
// ExampleGroup_roundTripper does.
func Do[T any](ctx context.Context, b *Breaker, fn func(context.Context) (T, error)) (T, error) {
	var v T
	err := b.Do(ctx, func(ctx context.Context) (err error) {
		v, err = fn(ctx)
		return err
	})
	return v, err
}

// DoElse is [Do] with an answer for when there is none: if the call is rejected
// or returns an error, be it an [Answer], DoElse returns the result of fallback
// for the error. The fallback runs outside the breaker, with the caller's ctx.
func DoElse[T any](
	ctx context.Context, b *Breaker,
	fn func(context.Context) (T, error),
	fallback func(context.Context, error) (T, error),
) (T, error) {
	v, err := Do(ctx, b, fn)
	if err != nil {
		return fallback(ctx, err)
	}
	return v, nil
}
