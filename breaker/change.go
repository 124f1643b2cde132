// SPDX-License-Identifier: MIT

package breaker

import "time"

// A Change is a change of state, as Options.OnChange sees it.
type Change struct {
	Name       string    // Options.Name
	From, To   State     // From is the To of the change before
	At         time.Time // when the change took effect
	Generation uint32    // of To; one more than that of the change before
	Until      time.Time // when an open breaker tries again, else the zero time
	Cause      error     // of the trip, else nil
	Stats      Stats     // at the end of From
}

// maxQueued bounds the changes that wait while OnChange runs. A callback that
// hangs then costs some 30 KB, however often the state changes.
const maxQueued = 128

// A changeQueue holds the changes that OnChange has not seen yet. It is made
// with the first of them.
type changeQueue struct {
	waiting    []Change
	dropped    uint64 // changes that found the queue full
	delivering bool   // a goroutine is calling OnChange
}

// queueLocked adds c to the changes to deliver. If there are too many the
// oldest goes: the newest has the state in force.
func (b *Breaker) queueLocked(c Change) {
	if b.queue == nil {
		b.queue = &changeQueue{}
	}
	q := b.queue
	if len(q.waiting) == maxQueued {
		q.waiting = q.waiting[1:]
		q.dropped++
	}
	q.waiting = append(q.waiting, c)
}

// deliver hands the queued changes to OnChange, unless another goroutine is
// doing so: one at a time, in order, and under no lock.
func (b *Breaker) deliver() {
	b.mu.Lock()
	q := b.queue
	if q.delivering {
		// That goroutine looks at the queue again before it ends.
		b.mu.Unlock()
		return
	}
	q.delivering = true

	// A callback that panics or ends its goroutine does not take the other
	// changes with it: they are delivered on its way out.
	done := false
	defer func() {
		if !done {
			b.mu.Lock()
			q.delivering = false
			b.mu.Unlock()
			b.deliver()
		}
	}()

	// The callback runs without the lock. Changes that it causes join the
	// queue.
	for len(q.waiting) > 0 {
		c := q.waiting[0]
		q.waiting = q.waiting[1:]
		onChange := b.per.Load().cfg.OnChange
		b.mu.Unlock()
		if onChange != nil {
			onChange(c)
		}
		b.mu.Lock()
	}

	q.waiting = nil
	q.delivering = false
	done = true
	b.mu.Unlock()
}
