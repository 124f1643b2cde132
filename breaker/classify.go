// SPDX-License-Identifier: MIT

package breaker

import (
	"context"
	"errors"
	"fmt"
)

// An Outcome is what a call says about the health of the backend.
type Outcome uint8

// Outcomes. An ignored call is not counted, and frees the place of its probe.
const (
	Success Outcome = iota
	Failure
	Ignored
)

var outcomeNames = [...]string{"success", "failure", "ignored"}

// String returns the name of o in lower case.
func (o Outcome) String() string { return nameOf(outcomeNames[:], uint8(o), "outcome") }

// MarshalText returns the name of o.
func (o Outcome) MarshalText() ([]byte, error) {
	return marshalName(outcomeNames[:], uint8(o), "outcome")
}

// UnmarshalText sets o to the outcome that text names.
func (o *Outcome) UnmarshalText(text []byte) error {
	i, err := unmarshalName(outcomeNames[:], text, "outcome")
	if err == nil {
		*o = Outcome(i)
	}
	return err
}

// Classify is the meaning of outcomes unless Options.Classify is set:
//
//   - nil, and an error marked by [Answer], is a [Success].
//   - An error that wraps [ErrTimeout] is a [Failure]: the timeout was ours.
//   - Any error while ctx, which is the caller's, has ended is [Ignored],
//     whether it says so or not: the caller hung up, or set the deadline.
//   - An error marked by [Ignore] is [Ignored].
//   - A refusal that never left this process is [Ignored]: [ErrOpen],
//     [ErrThrottled], and any error with a method "Refused() bool" that
//     returns true, such as one of a rate limiter within the call.
//   - Any other error is a [Failure].
//
// If calls that hang should trip the breaker, set Options.Timeout to less than
// the callers' deadlines.
func Classify(ctx context.Context, err error) Outcome {
	if err == nil {
		return Success
	}

	// A mark says more than any rule.
	if m, ok := errors.AsType[*markedError](err); ok {
		return m.outcome
	}

	switch {
	case errors.Is(err, ErrTimeout):
		return Failure // even if the caller's deadline has passed by now
	case ctx.Err() != nil:
		return Ignored
	case refused(err):
		return Ignored
	}
	return Failure
}

// refused reports whether err says that the call was not made.
func refused(err error) bool {
	if errors.Is(err, ErrOpen) || errors.Is(err, ErrThrottled) {
		return true
	}
	r, ok := errors.AsType[interface {
		error
		Refused() bool
	}](err)
	return ok && r.Refused()
}

// A markedError is an error whose outcome the call has stated.
type markedError struct {
	err     error
	outcome Outcome
}

func (e *markedError) Error() string { return e.err.Error() }
func (e *markedError) Unwrap() error { return e.err }

// Answer marks err, which may be nil, as an answer of a healthy backend: "not
// found" is one. [Classify] counts it as a [Success]. [Do] takes the mark off.
func Answer(err error) error { return mark(err, Success) }

// Ignore marks err, which may be nil, as no sign of the backend's health: the
// call ended before it got there. [Classify] counts it neither way. [Do] takes
// the mark off. An error that the backend answered with is not to be ignored:
// see [Answer]. Probes that are ignored leave the breaker half-open.
func Ignore(err error) error { return mark(err, Ignored) }

func mark(err error, o Outcome) error {
	if err == nil {
		return nil
	}
	return &markedError{err, o}
}

// unmark returns err without the mark of [Answer] or [Ignore].
func unmark(err error) error {
	//nolint:errorlint // only the outermost mark is the caller's to take off
	if e, ok := err.(*markedError); ok {
		return e.err
	}
	return err
}

// isMarked reports whether [Answer] or [Ignore] marked err.
func isMarked(err error) bool {
	_, ok := errors.AsType[*markedError](err)
	return ok
}

// nameOf returns the name of value i of the enumeration kind.
func nameOf(names []string, i uint8, kind string) string {
	if int(i) < len(names) {
		return names[i]
	}
	return fmt.Sprintf("%s %d", kind, i)
}

// marshalName returns the name of value i of the enumeration kind as text.
func marshalName(names []string, i uint8, kind string) ([]byte, error) {
	if int(i) >= len(names) {
		return nil, fmt.Errorf("breaker: no such %s: %d", kind, i)
	}
	return []byte(names[i]), nil
}

// unmarshalName returns the value of the enumeration kind that text names.
func unmarshalName(names []string, text []byte, kind string) (int, error) {
	for i, name := range names {
		if name == string(text) {
			return i, nil
		}
	}
	return 0, fmt.Errorf("breaker: no such %s: %q", kind, text)
}
