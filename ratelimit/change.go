// SPDX-License-Identifier: MIT

package ratelimit

// A limitChange is a change of the limit of a Concurrency.
type limitChange struct{ old, limit int }

// maxQueued bounds the changes that wait while OnLimit runs. A callback that
// hangs then costs a few KB, however often the limit changes.
const maxQueued = 128

// A changeQueue holds the changes that OnLimit has not seen yet.
type changeQueue struct {
	waiting    []limitChange
	unseen     uint64 // changes that were dropped, since the queue was full
	delivering bool   // a goroutine is calling OnLimit
}

// queueLocked adds change to the changes to deliver. If there are too many the
// oldest goes: the newest has the limit in force.
func (c *Concurrency) queueLocked(change limitChange) {
	q := &c.changes
	if len(q.waiting) == maxQueued {
		q.waiting = q.waiting[1:]
		q.unseen++
	}
	q.waiting = append(q.waiting, change)
}

// deliver hands the queued changes to OnLimit, unless another goroutine is
// doing so: one at a time, in order, and under no lock.
func (c *Concurrency) deliver() {
	c.mu.Lock()
	q := &c.changes
	if q.delivering {
		// That goroutine looks at the queue again before it ends.
		c.mu.Unlock()
		return
	}
	q.delivering = true

	// A callback that panics or ends its goroutine does not take the other
	// changes with it: they are delivered on its way out.
	done := false
	defer func() {
		if !done {
			c.mu.Lock()
			q.delivering = false
			c.mu.Unlock()
			c.deliver()
		}
	}()

	for len(q.waiting) > 0 {
		change := q.waiting[0]
		q.waiting = q.waiting[1:]
		c.mu.Unlock()
		c.opts.OnLimit(change.old, change.limit)
		c.mu.Lock()
	}

	q.delivering = false
	done = true
	c.mu.Unlock()
}
