// SPDX-License-Identifier: MIT

package quorum

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrUnavailable is returned, as an [*Error], when a call did not get its
	// quorum and has surely changed nothing: a read, or a write of which no
	// replica was asked to keep anything. A [Replica] whose error is an
	// ErrUnavailable says the same of itself. What a call of [Do] has changed
	// only its function knows.
	ErrUnavailable = errors.New("quorum: unavailable")

	// ErrIndeterminate is returned, as an [*Error], when a write did not get
	// its quorum and may have reached some replicas: later reads may return it,
	// or not. To write the same state again is safe.
	ErrIndeterminate = errors.New("quorum: indeterminate")

	// ErrLevel is returned when the level of a call or of Options cannot be
	// used: there are too few replicas, there are no zones, or a read could
	// miss a write and Options.AllowStale does not permit that.
	ErrLevel = errors.New("quorum: level cannot be used")

	// ErrClosed is returned by all methods of a [Cluster], a [KV] and a [Multi]
	// that ask replicas, once Close was called.
	ErrClosed = errors.New("quorum: closed")

	// ErrNotFound is returned by [KV.Get] when the key has no value.
	ErrNotFound = errors.New("quorum: not found")

	// ErrDrift is returned by [Clock.Observe], by [KV.Put] and [KV.Delete] with
	// [Atomic], and by [Multi.Put], when a stamp lies further ahead of the time
	// than ClockOptions.MaxOffset.
	ErrDrift = errors.New("quorum: stamp is too far in the future")

	// ErrFull is returned by [Multi.Put] when the key has no room for one more
	// value, or one more node. If values are the reason, merge some: Put with
	// what Get has returned.
	ErrFull = errors.New("quorum: no room for one more sibling")

	// ErrNode is returned by [Multi.Put] when the key has a write with the node
	// number of the Multi that neither it nor one before it can have made:
	// another Multi has the same number, or the clock has gone back since the
	// last start.
	ErrNode = errors.New("quorum: node number is used by another")

	// ErrLost is returned by [Lease.Renew] and [Lease.Do] when the lease is not
	// held any more.
	ErrLost = errors.New("quorum: lease lost")

	// errEnded is the error of a replica that did not return.
	errEnded = errors.New("quorum: replica ended its goroutine")
)

// An Error says how far a call came that did not get its quorum. It is an
// [ErrUnavailable] or an [ErrIndeterminate], and wraps the errors of the
// replicas, and that of the context if it ended.
type Error struct {
	Op      string  // load, merge, repair or do
	OK      Set     // replicas that answered
	Failed  Set     // replicas that failed
	Pending Set     // replicas that were asked and had not answered
	Errs    []error // of Failed, in ascending order
	Kind    error   // ErrUnavailable or ErrIndeterminate
	Ctx     error   // ctx.Err() if the context ended the call, else nil
}

// Error names the replicas that answered, and those that failed with their
// errors.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v: %s answered by %v", e.Kind, e.Op, e.OK)
	if e.Pending != 0 {
		fmt.Fprintf(&b, ", not yet by %v", e.Pending)
	}
	if e.Ctx != nil {
		fmt.Fprintf(&b, "; %v", e.Ctx)
	}

	n := 0
	for i := range e.Failed.All() {
		fmt.Fprintf(&b, "; replica %d: %v", i, e.Errs[n])
		n++
	}
	return b.String()
}

// Unwrap returns the kind of e, the error of the context if there is one, and
// those of the replicas. That one replica was surely not changed does not make
// e an [ErrUnavailable].
func (e *Error) Unwrap() []error {
	list := make([]error, 0, 2+len(e.Errs))
	list = append(list, e.Kind)
	if e.Ctx != nil {
		list = append(list, e.Ctx)
	}
	for _, err := range e.Errs {
		list = append(list, unsure{err})
	}
	return list
}

// unsure is an error that is no ErrUnavailable, whatever it wraps.
type unsure struct{ error }

// Is reports whether u is target.
func (u unsure) Is(target error) bool {
	return target != ErrUnavailable && errors.Is(u.error, target) //nolint:errorlint // the sentinel alone
}

// As finds an error that target can hold.
func (u unsure) As(target any) bool { return errors.As(u.error, target) }
