// SPDX-License-Identifier: MIT

package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"
)

// ErrLimited, ErrBurst and the errors that wrap them have a method Refused()
// bool that returns true: the event did not happen. A circuit breaker around a
// call that waits for its limit tells it from a failure of the call by that.
var (
	// ErrLimited is returned by Wait, WaitMax and Acquire when the wait would
	// be too long, or when too many callers wait already.
	ErrLimited = newRefusal("ratelimit: wait would be too long")

	// ErrBurst is returned by Wait and WaitMax for more tokens than the bucket
	// can ever hold.
	ErrBurst = newRefusal("ratelimit: more tokens than the burst")

	// ErrCorrupt is returned by the methods of Shared and by ReadFrom for bytes
	// that are damaged or that this package did not write.
	ErrCorrupt = errors.New("ratelimit: corrupt state")

	// ErrVersion is returned by the methods of Shared and by ReadFrom for bytes
	// that a later version of this package has written.
	ErrVersion = errors.New("ratelimit: state of a later version")

	// errFull is the error of a waiter for which there is no place in a queue.
	errFull = fmt.Errorf("%w: the queue is full", ErrLimited)

	// errSnapshot is the error of a snapshot whose checksum holds, and whose
	// content no WriteTo writes.
	errSnapshot = fmt.Errorf("%w: a snapshot holds what is not written", ErrCorrupt)

	// errStuck is the error of a store that refuses, time after time, to
	// replace the very state that it returns.
	errStuck = errors.New("store does not replace a state that it returns")
)

// A refusal is an error of an event that did not happen. A breaker around the
// call can tell it from a failure by its method.
type refusal struct{ text string }

func newRefusal(text string) error { return &refusal{text} }

func (e *refusal) Error() string { return e.text }

// Refused returns true: the event did not happen.
func (e *refusal) Refused() bool { return true }

// A WaitError is returned by Wait and WaitMax for a wait that was refused at
// once, without taking anything. It wraps [ErrBurst]; or [ErrLimited], and
// [context.DeadlineExceeded] as well if the deadline of the context would have
// passed.
type WaitError struct {
	N     int           // the tokens asked for
	Delay time.Duration // the length of the wait; the longest duration if without end
	err   error
}

// Error names the tokens asked for and the length of the wait.
func (e *WaitError) Error() string {
	switch {
	case errors.Is(e.err, ErrBurst):
		return fmt.Sprintf("%v: %d asked for", e.err, e.N)
	case e.Delay == math.MaxInt64:
		return fmt.Sprintf("%v: the tokens never come", ErrLimited)
	}
	return fmt.Sprintf("%v: %v for %d", ErrLimited, e.Delay, e.N)
}

// Unwrap returns the sentinel errors that e stands for.
func (e *WaitError) Unwrap() []error {
	if errors.Is(e.err, context.DeadlineExceeded) {
		return []error{ErrLimited, context.DeadlineExceeded}
	}
	return []error{e.err}
}
