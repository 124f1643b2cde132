// SPDX-License-Identifier: MIT

package breaker

import "time"

// A Change is a change of state, as Options.OnChange sees it.
type Change struct {
	Name       string    // Options.Name
	From, To   State     // From is the To of the change before
	At         time.Time // when it was due, by the breaker's clock
	Generation uint32    // of To; one more than that of the change before
	Until      time.Time // when an open breaker tries again, else the zero time
	Cause      error     // what tripped it, else nil
	Stats      Stats     // at the end of From
}

// deliver hands the events that are queued to OnChange, unless another goroutine is at it: one at a
// time, in the order of the changes, and under no lock. A callback that panics or ends its
// goroutine does not take the rest of the events with it.
func (b *Breaker) deliver() {
	b.mu.Lock()
	if b.draining {
		b.mu.Unlock()
		return
	}
	b.draining = true
	done := false
	defer func() {
		if !done {
			b.mu.Lock()
			b.draining = false
			b.mu.Unlock()
			b.deliver()
		}
	}()
	for len(b.events) > 0 {
		e := b.events[0]
		b.events = b.events[1:]
		onChange := b.per.Load().cfg.OnChange
		b.mu.Unlock()
		if onChange != nil {
			onChange(e)
		}
		b.mu.Lock()
	}
	b.events, b.draining, done = nil, false, true
	b.mu.Unlock()
}
