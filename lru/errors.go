// SPDX-License-Identifier: MIT

package lru

import (
	"errors"
	"fmt"
)

var (
	// ErrNotFound is returned by a loader for a key that does not exist.
	ErrNotFound = errors.New("lru: not found")

	// ErrRecursiveLoad is returned by Load when it would wait for itself: the
	// loader loads its own key, or another whose loader waits for it.
	ErrRecursiveLoad = errors.New("lru: a load waits for itself")

	// ErrGoexit is returned by Load when the loader called [runtime.Goexit].
	ErrGoexit = errors.New("lru: a loader called runtime.Goexit")

	// ErrCorrupt is returned by ReadFrom for data that is damaged or not a
	// snapshot.
	ErrCorrupt = errors.New("lru: corrupt snapshot")

	// ErrVersion is returned by ReadFrom for a snapshot in a format that this
	// version does not know.
	ErrVersion = errors.New("lru: unknown version of snapshot")

	// ErrClosed is returned by writes to a [Behind] after Close.
	ErrClosed = errors.New("lru: closed")
)

// A PanicError is the value with which Load panics when its loader has
// panicked. Options.OnLoadError and BehindOptions.OnError receive it as well.
type PanicError struct {
	Value any    // the value of the panic
	Stack []byte // where it happened
}

// Error returns the value and the stack.
func (e *PanicError) Error() string {
	return fmt.Sprintf("lru: user code panicked: %v\n\n%s", e.Value, e.Stack)
}

// Unwrap returns the value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
