// SPDX-License-Identifier: MIT

package ratelimit

import (
	"cmp"
	"fmt"
	"math"
)

// Gradient2 is the [Algorithm] that compares how long operations take with how
// long they take when fewer run: the difference is time in a queue, and the
// limit shrinks in proportion. It needs no timeouts. The zero value is ready
// for use; it must not be copied once in use.
//
// It is named after the algorithm of Netflix's concurrency-limits and differs
// where that grows without bound. The time to compare with is not an average of
// the past, which follows a slow growth, but a measurement: under load, the
// limit dips for two windows of every Probe, to about three quarters, which
// OnLimit sees. A dropped operation counts as one that took twice as long as it
// may, so that a constant timeout lets nothing grow. And a limit that shrinks
// adds no room for a queue.
//
// In simulations under load the limit settles within 20 % of the number of
// servers, for 40 to 120 servers whose times are constant, and within 30 % if
// they are exponential. Before 1 to 4 servers it may be twice their number, as
// where times are lognormal with a sigma of 2; and half as much again where
// only 5 % more is asked for than can be done. See TestAdaptiveConditions.
//
// Let one guard stand before a resource, best in the process that owns it. A
// guard sees the queue that its own dip takes away; of three or more before one
// resource each takes the queue of the others for the time of an operation, and
// their limits together grow too high.
type Gradient2 struct {
	// Tolerance is how much longer than alone an operation may take, as a
	// factor above 1. If zero, 1.08. The limit settles near Tolerance times the
	// number of operations that run without a queue. Where times vary from
	// window to window for other reasons, use more.
	Tolerance float64

	// Smoothing is the part of a change that is made in one window, at most 1.
	// If zero, 0.2.
	Smoothing float64

	// Probe is the number of windows under load from one dip to the next. If
	// zero, 30; if negative, there are no dips, and the measurement is that of
	// windows in which less than half of the limit was used.
	Probe int

	baseline float64 // nanoseconds of an operation without a queue; 0 if not known
	phase    probePhase
	since    int     // windows since the last measurement
	shrunk   int     // windows on end in which time alone made the limit shrink
	from     float64 // the limit before the dip
	saved    float64 // the limit to return to from it
	before   float64 // nanoseconds of an operation before it
	depth    float64 // the part of the limit that is left in it
}

type probePhase int

const (
	steady    probePhase = iota
	settling             // operations that began before the dip are still in flight
	measuring            // nothing else is
)

// impatience is the number of windows on end in which the limit may shrink
// before the measurement is in doubt.
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
	case s.set || s.Limit > g.from:
		// SetLimit has ended the dip, if there was one.
	case g.phase == settling:
		// Operations that began before the dip are over.
		g.phase = measuring
		return s.Limit
	case g.phase == measuring && s.Calls > 0:
		g.phase = steady
		g.learn(float64(s.RTT), float64(s.StdErr))
		return g.saved
	}

	g.phase = steady
	next := g.follow(s)
	if s.underUsed() || s.Dropped > 0 || g.Probe < 0 {
		return next
	}

	// Measure when nothing is known, every so often, and when in doubt.
	g.since++
	if g.baseline == 0 || g.since >= cmp.Or(g.Probe, 30) || g.shrunk >= impatience {
		g.phase = settling
		g.from = s.Limit
		g.saved = next
		g.before = float64(s.RTT)
		g.depth = g.dip(s.Limit)
		return s.Limit * g.depth
	}
	return next
}

// dip returns the part of limit that is left in a dip. It must be so low that a
// limit which Tolerance would let stand shows in the time that operations take.
// A small limit falls by half, since a part of a permit cannot be given.
func (g *Gradient2) dip(limit float64) float64 {
	if limit < smallLimit {
		return 0.5
	}
	return 0.8 / cmp.Or(g.Tolerance, 1.08)
}

// smallLimit is the limit below which a dip is deeper.
const smallLimit = 8

// learn takes in rtt, which was measured in a dip, with its standard error. If
// operations took about as long before the dip, there was no queue, and rtt is
// the time of an operation; if they took longer there was one, and there may be
// still. Differences that chance makes are averaged in both directions: taking
// the low ones alone would let the baseline, and the limit, fall to the bottom.
func (g *Gradient2) learn(rtt, stdErr float64) {
	knee := (1 + g.depth) / 2
	switch {
	case g.baseline == 0:
		g.baseline = rtt
	case rtt < g.baseline-2*stdErr || rtt >= knee*g.before:
		g.baseline = (g.baseline + rtt) / 2
	case rtt < g.baseline+2*stdErr:
		g.baseline += (rtt - g.baseline) / 4
	}
	g.since = 0
	g.shrunk = 0
}

// follow returns the limit that the last window suggests.
func (g *Gradient2) follow(s Sample) float64 {
	calls := float64(s.Calls)
	dropped := float64(s.Dropped)
	rtt := float64(s.RTT)
	if calls+dropped == 0 {
		return s.Limit
	}
	if s.underUsed() && dropped == 0 {
		// As good as a dip, and no reason to change.
		if g.baseline == 0 {
			g.baseline = rtt
		}
		g.baseline += (rtt - g.baseline) * 0.2
		g.since = 0
		g.shrunk = 0
		return s.Limit
	}

	// The gradient is how much of the time of an operation is no queue; a
	// dropped operation counts as half.
	gradient := 1.0
	if g.baseline > 0 && rtt > 0 {
		allowed := cmp.Or(g.Tolerance, 1.08)*g.baseline + float64(s.StdErr)/2
		gradient = min(max(allowed/rtt, 0.5), 1)
	}
	gradient = (gradient*calls + 0.5*dropped) / (calls + dropped)

	// Grow only while nothing shrinks.
	smoothing := cmp.Or(g.Smoothing, 0.2)
	if gradient == 1 {
		g.shrunk = 0
		return s.Limit + smoothing*math.Sqrt(s.Limit)
	}
	if dropped == 0 {
		g.shrunk++
	}
	return s.Limit * (1 - smoothing*(1-gradient))
}
