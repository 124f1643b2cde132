// SPDX-License-Identifier: MIT

package ratelimit

import (
	"cmp"
	"fmt"
	"math"
	"sync"
	"time"
)

// An Algorithm chooses the limit of a [Concurrency] from the ends of the
// permits in a window of time. It is asked once a window, never by two
// goroutines at a time.
type Algorithm interface {
	// Update returns the limit for the next window. It is bounded by
	// ConcurrencyOptions.Min and Max, and rounded down for now; the next Sample
	// has its fraction.
	Update(s Sample) float64
}

// A Sample is the figures of one window, for an [Algorithm].
type Sample struct {
	Limit    float64       // the limit in force
	InFlight int           // the most that were in flight when a permit ended
	RTT      time.Duration // how long operations took on average, the dropped ones apart
	Calls    int           // permits ended by Release
	Dropped  int           // permits ended by Drop

	// StdErr is the standard error of RTT: the differences that chance makes
	// between windows are about as large.
	StdErr time.Duration

	set bool // SetLimit was called since the last sample
}

// underUsed reports whether so few were in flight that the limit cannot have
// made a difference.
func (s *Sample) underUsed() bool { return 2*float64(s.InFlight) < s.Limit }

// minSamples is how many permits a window waits for.
const minSamples = 20

// A sampler gathers the samples of a window.
type sampler struct {
	mu      sync.Mutex // protects the fields below
	end     int64      // the reading at which the window is over
	busy    bool       // a goroutine is in Update
	sum     float64    // nanoseconds of all calls
	squares float64    // their squares
	current Sample
}

// add counts a permit that ended, and reports whether the window is over. Its
// caller calls adapt then.
func (p *sampler) add(now, rtt int64, inFlight int, drop bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &p.current
	s.InFlight = max(s.InFlight, inFlight)
	if drop {
		s.Dropped++
	} else {
		s.Calls++
		p.sum += float64(rtt)
		p.squares += float64(rtt) * float64(rtt)
	}

	// Too few permits say nothing.
	if p.busy || now < p.end || s.Calls+s.Dropped < minSamples {
		return false
	}
	p.busy = true
	return true
}

// next returns the sample of the window that is over, and begins another.
func (p *sampler) next(now int64, atLeast time.Duration) Sample {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.current
	if s.Calls > 0 {
		n := float64(s.Calls)
		mean := p.sum / n
		s.RTT = time.Duration(mean)
		s.StdErr = time.Duration(math.Sqrt(max(p.squares/n-mean*mean, 0) / n))
	}

	// Operations that began under another limit should be over by the middle of
	// the window.
	p.end = now + int64(min(max(atLeast, 2*min(s.RTT, time.Minute)), maxReading/2))
	p.current = Sample{}
	p.sum = 0
	p.squares = 0
	return s
}

// resume lets the next window end.
func (p *sampler) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy = false
}

// adapt asks the algorithm for the next limit, unless SetLimit was faster.
func (c *Concurrency) adapt(now int64) {
	defer c.sampler.resume() // also when Update panics
	s := c.sampler.next(now, c.opts.Window)
	c.mu.Lock()
	s.Limit = c.target
	s.set = c.set
	c.set = false
	c.mu.Unlock()

	// The algorithm is the caller's code: it runs without the lock.
	limit := c.opts.Adapt.Update(s)
	if math.IsNaN(limit) {
		limit = s.Limit
	}
	limit = min(max(limit, float64(c.opts.Min)), float64(c.opts.Max))

	// A limit that was set meanwhile stands.
	c.mu.Lock()
	if !c.set {
		c.setLimitLocked(limit)
	}
	c.mu.Unlock()
	c.deliver()
}

// AIMD is the [Algorithm] of congestion avoidance in TCP: the limit grows by
// Increase in each window that was used and in which nothing was dropped, and
// shrinks to Backoff of itself in each that had a drop. It needs operations
// that fail when there are too many: give them a timeout somewhat above their
// duration, and call [Permit.Drop] when it passes. The zero value is ready for
// use.
type AIMD struct {
	// Increase is added to the limit. If zero, 1.
	Increase float64

	// Backoff multiplies the limit, between 0 and 1. If zero, 0.9.
	Backoff float64
}

// Validate returns an error if a cannot be used.
func (a *AIMD) Validate() error {
	if !(a.Increase >= 0 && a.Increase <= maxLimit) {
		return fmt.Errorf("ratelimit: AIMD.Increase must be between 0 and 2^30-1, got %v", a.Increase)
	}
	if !(a.Backoff >= 0 && a.Backoff < 1) {
		return fmt.Errorf("ratelimit: AIMD.Backoff must be at least 0 and less than 1, got %v", a.Backoff)
	}
	return nil
}

// Update returns the limit for the next window.
func (a *AIMD) Update(s Sample) float64 {
	switch {
	case s.Dropped > 0:
		return s.Limit * cmp.Or(a.Backoff, 0.9)
	case s.underUsed():
		return s.Limit
	}
	return s.Limit + cmp.Or(a.Increase, 1)
}
