// SPDX-License-Identifier: MIT

package ratelimit

import (
	"fmt"
	"math"
	"sync"
	"time"
)

// An Algorithm chooses the limit of a [Concurrency] from what became of the permits in a window of
// time. It is asked once a window, never by two goroutines at a time.
type Algorithm interface {
	// Update returns the limit for the next window. It is bounded by ConcurrencyOptions.Min and
	// Max, and rounded down for now; the next Sample has its fraction.
	Update(s Sample) float64
}

// A Sample is what an [Algorithm] learns from one window.
type Sample struct {
	Limit    float64       // the limit in force
	InFlight int           // the most that were in flight when a permit ended
	RTT      time.Duration // how long operations took on average, the dropped ones apart
	Calls    int           // permits ended by Release
	Dropped  int           // permits ended by Drop
}

// underUsed reports whether so few were in flight that the limit cannot have made a difference.
func (s *Sample) underUsed() bool { return 2*float64(s.InFlight) < s.Limit }

// minSamples is how many permits a window waits for.
const minSamples = 20

// A sampler gathers the samples of a window.
type sampler struct {
	mu      sync.Mutex // protects what follows
	end     int64      // the reading at which the window is over
	busy    bool       // a goroutine is in Update
	sum     float64    // nanoseconds of all calls
	current Sample
}

// add counts a permit that ended, and reports whether the window is over. The caller who learns that
// calls adapt.
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
	}
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
		s.RTT = time.Duration(p.sum / float64(s.Calls))
	}
	// What began under another limit should be over by the middle of the window.
	p.end = now + int64(min(max(atLeast, 2*min(s.RTT, time.Minute)), maxReading/2))
	p.current, p.sum = Sample{}, 0
	return s
}

func (p *sampler) rest() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy = false
}

// adapt asks the algorithm for the next limit, unless SetLimit was faster.
func (c *Concurrency) adapt(now int64) {
	defer c.sampler.rest() // also when Update panics
	s := c.sampler.next(now, c.opts.Window)
	c.mu.Lock()
	s.Limit = c.target
	c.mu.Unlock()
	limit := c.opts.Adapt.Update(s)
	if math.IsNaN(limit) {
		limit = s.Limit
	}
	limit = min(max(limit, float64(c.opts.Min)), float64(c.opts.Max))
	c.mu.Lock()
	if c.target == s.Limit {
		c.setLimitLocked(limit)
	}
	c.mu.Unlock()
	c.deliver()
}

// AIMD is the [Algorithm] of congestion avoidance in TCP: the limit grows by Increase in each window
// that was used and in which nothing was dropped, and shrinks to Backoff of itself in each that
// had a drop. It needs operations that fail when there are too many: give them a
// timeout somewhat above what they take, and call [Permit.Drop] when it passes.
// The zero value is ready for use.
type AIMD struct {
	// Increase is what is added. If zero, 1.
	Increase float64

	// Backoff is what the limit is multiplied by, between 0 and 1. If zero, 0.9.
	Backoff float64
}

// Validate returns an error if a cannot be used.
func (a *AIMD) Validate() error {
	if !(a.Increase >= 0 && a.Increase <= maxLimit) {
		return fmt.Errorf("ratelimit: AIMD.Increase must not be negative, got %v", a.Increase)
	}
	if !(a.Backoff >= 0 && a.Backoff < 1) {
		return fmt.Errorf("ratelimit: AIMD.Backoff must be between 0 and 1, got %v", a.Backoff)
	}
	return nil
}

// Update returns the limit for the next window.
func (a *AIMD) Update(s Sample) float64 {
	switch {
	case s.Dropped > 0:
		return s.Limit * or(a.Backoff, 0.9)
	case s.underUsed():
		return s.Limit
	}
	return s.Limit + or(a.Increase, 1)
}

// or returns v, or its default if it is zero.
func or(v, otherwise float64) float64 {
	if v == 0 {
		return otherwise
	}
	return v
}

// Gradient2 is the [Algorithm] that compares how long operations take with how long they take when
// fewer run: more than that is time in somebody's queue, and the limit shrinks in proportion. It
// needs no timeouts. The zero value is ready for use; it must not be copied once in use.
//
// It is named after the algorithm of Netflix's concurrency-limits and differs where that
// grows without bound. What is compared with is not an average of the past, which follows a slow
// growth, but a measurement: under load, the limit dips for two windows of every Probe, to about
// three quarters, which OnLimit sees. A dropped operation counts as one that took twice as long as it
// may, so that a constant timeout lets nothing grow. And a limit that shrinks adds no room for a queue.
//
// Let one guard stand before a resource, best in the process that owns it. A guard sees the
// queue that its own dip takes away; of three or more before one resource each takes the
// queue of the others for what operations take, and their limits together grow too high.
type Gradient2 struct {
	// Tolerance is how much longer than alone an operation may take, as a factor above 1.
	// If zero, 1.08. The limit settles near Tolerance times the number of operations that
	// run without a queue. Where times vary from window to window for other reasons, use more.
	Tolerance float64

	// Smoothing is the part of a change that is made in one window, at most 1. If zero, 0.2.
	Smoothing float64

	// Probe is the number of windows under load from one dip to the next. If zero, 30; if negative,
	// there are no dips, and the measurement is that of windows in which less than half of
	// the limit was used.
	Probe int

	baseline float64 // nanoseconds of an operation without a queue; 0 if not known
	phase    probePhase
	since    int     // windows since the last measurement
	shrunk   int     // windows on end in which time alone made the limit shrink
	from     float64 // the limit before the dip
	saved    float64 // the limit to return to from it
	before   float64 // nanoseconds of an operation before it
}

type probePhase int

const (
	steady    probePhase = iota
	settling             // what began before the dip is still in flight
	measuring            // nothing else is
)

// impatience is how many windows on end the limit may shrink before the measurement is in doubt.
const impatience = 8

// Validate returns an error if g cannot be used.
func (g *Gradient2) Validate() error {
	if !(g.Tolerance == 0 || g.Tolerance > 1 && g.Tolerance <= 100) {
		return fmt.Errorf("ratelimit: Gradient2.Tolerance must be above 1 and at most 100, got %v", g.Tolerance)
	}
	if !(g.Smoothing >= 0 && g.Smoothing <= 1) {
		return fmt.Errorf("ratelimit: Gradient2.Smoothing must be between 0 and 1, got %v", g.Smoothing)
	}
	return nil
}

// Update returns the limit for the next window.
func (g *Gradient2) Update(s Sample) float64 {
	switch {
	case g.phase == settling && s.Limit <= g.from:
		g.phase = measuring
		return s.Limit
	case g.phase == measuring && s.Limit <= g.from && s.Calls > 0:
		g.phase = steady
		g.learn(float64(s.RTT))
		return g.saved
	}
	g.phase = steady // if not, SetLimit has ended the dip
	next := g.follow(s)
	if s.underUsed() || s.Dropped > 0 || g.Probe < 0 {
		return next
	}
	probe := g.Probe
	if probe == 0 {
		probe = 30
	}
	if g.since++; g.baseline == 0 || g.since >= probe || g.shrunk >= impatience {
		g.phase, g.from, g.saved, g.before = settling, s.Limit, next, float64(s.RTT)
		return s.Limit * g.dip()
	}
	return next
}

// dip returns the part of the limit that is left in a dip. It must be so low that a limit which
// Tolerance would let stand shows in the time that operations take.
func (g *Gradient2) dip() float64 { return 0.8 / or(g.Tolerance, 1.08) }

// learn takes in rtt, which was measured in a dip. If operations took about as long before, there
// was no queue, and that is how long they take; if they took longer there was one, and there may
// be still.
func (g *Gradient2) learn(rtt float64) {
	knee := (1 + g.dip()) / 2
	switch {
	case g.baseline == 0:
		g.baseline = rtt
	case rtt < g.baseline || rtt >= knee*g.before:
		g.baseline = (g.baseline + rtt) / 2
	}
	g.since, g.shrunk = 0, 0
}

// follow returns the limit that the last window suggests.
func (g *Gradient2) follow(s Sample) float64 {
	calls, dropped, rtt := float64(s.Calls), float64(s.Dropped), float64(s.RTT)
	if calls+dropped == 0 {
		return s.Limit
	}
	if s.underUsed() && dropped == 0 { // as good as a dip, and no reason to change
		if g.baseline == 0 {
			g.baseline = rtt
		}
		g.baseline += (rtt - g.baseline) * 0.2
		g.since, g.shrunk = 0, 0
		return s.Limit
	}
	gradient := 1.0
	if g.baseline > 0 && rtt > 0 {
		gradient = min(max(or(g.Tolerance, 1.08)*g.baseline/rtt, 0.5), 1)
	}
	gradient = (gradient*calls + 0.5*dropped) / (calls + dropped)
	smoothing := or(g.Smoothing, 0.2)
	if gradient == 1 {
		g.shrunk = 0
		return s.Limit + smoothing*math.Sqrt(s.Limit)
	}
	if dropped == 0 {
		g.shrunk++
	}
	return s.Limit * (1 - smoothing*(1-gradient))
}
