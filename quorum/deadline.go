// SPDX-License-Identifier: MIT

package quorum

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// A deadline is the context of the requests of one write. It has the values of
// the caller's context, but not its end, as [context.WithTimeout] of
// [context.WithoutCancel]. The channel and the timer are made when a replica
// asks for them: one in memory never does.
type deadline struct {
	context.Context // without end
	at              time.Time
	users           atomic.Int64 // requests that have not ended, if those are counted here

	mu    sync.Mutex // protects the fields below
	done  chan struct{}
	timer *time.Timer
	err   error
}

// newDeadline returns a context that ends after d, or when end is called.
func newDeadline(ctx context.Context, d time.Duration) *deadline {
	if ctx.Done() != nil {
		ctx = context.WithoutCancel(ctx)
	}
	return &deadline{Context: ctx, at: time.Now().Add(d)}
}

// quit counts one user less, and ends d with the last one.
func (d *deadline) quit() {
	if d.users.Add(-1) == 0 {
		d.end(context.Canceled)
	}
}

// Deadline returns the time at which the context ends.
func (d *deadline) Deadline() (time.Time, bool) { return d.at, true }

// Done returns a channel that is closed when the context ends.
func (d *deadline) Done() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.done != nil {
		return d.done
	}

	d.done = make(chan struct{})
	if d.err != nil {
		close(d.done)
		return d.done
	}
	d.timer = time.AfterFunc(time.Until(d.at), func() { d.end(context.DeadlineExceeded) })
	return d.done
}

// Err returns why the context has ended, nil if it has not.
func (d *deadline) Err() error {
	if !time.Now().Before(d.at) {
		d.end(context.DeadlineExceeded) // the timer may be late, or not exist
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

// end ends the context with err, if it has not ended before.
func (d *deadline) end(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return
	}
	d.err = err
	if d.done != nil {
		close(d.done)
		d.timer.Stop()
	}
}
