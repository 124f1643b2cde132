// SPDX-License-Identifier: MIT

package ratelimit

import "sync/atomic"

// A Permit is the right to one operation of a [Concurrency]. End it exactly
// once, by Release, Drop or Ignore: until then it counts as in flight, and one
// that is never ended is lost for good.
//
// It is a value: copies stand for the same permit. Ending it again, by any
// copy, changes nothing, so that "defer p.Release()" goes together with
// p.Drop() on the way. The zero Permit, which comes with a refusal, has ended.
type Permit struct {
	slot *slot
	gen  uint64
}

// A slot is shared by all copies of a permit. It is used again, by permits of
// later generations.
type slot struct {
	gen   atomic.Uint64 // of the permit that has not ended
	c     *Concurrency
	start int64 // the reading at which it was given, if c adapts
}

// permit returns the permit for a place that was taken.
func (c *Concurrency) permit() Permit {
	s := c.slots.Get().(*slot)
	if c.opts.Adapt != nil {
		s.start = c.clock.read()
	}
	return Permit{s, s.gen.Load()}
}

// Release ends p after an ordinary completion; its duration is used to adapt
// the limit.
func (p Permit) Release() { p.end(released) }

// Drop ends p after a failure that is a sign of overload, such as a timeout or
// an answer of 503: an adaptive limit shrinks.
func (p Permit) Drop() { p.end(dropped) }

// Ignore ends p after an operation that says nothing about the load, as when it
// failed at once for another reason.
func (p Permit) Ignore() { p.end(ignored) }

type ending int

const (
	released ending = iota
	dropped
	ignored
)

func (p Permit) end(how ending) {
	s := p.slot
	if s == nil || !s.gen.CompareAndSwap(p.gen, p.gen+1) {
		return
	}

	// The slot is this call's now, and the next permit may reuse it.
	c := s.c
	start := s.start
	if how == dropped {
		c.dropped.Add(1)
	}
	if c.leaveSpare(s) {
		return
	}
	c.slots.Put(s)
	if c.opts.Adapt == nil || how == ignored {
		c.release()
		return
	}

	// Tell the algorithm, and ask it if the window is over.
	now := c.clock.read()
	inFlight := c.InFlight()
	c.release()
	if c.sampler.add(now, min(max(now-start, 0), maxReading), inFlight, how == dropped) {
		c.adapt(now)
	}
}
