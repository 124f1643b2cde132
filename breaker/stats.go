// SPDX-License-Identifier: MIT

package breaker

import "time"

// Stats describe a [Breaker]. Each counter is exact, but they are read one
// after another, so two of them may differ by what happened in between.
type Stats struct {
	State      State         // now
	Generation uint32        // 1 at first, and one more with each change of state
	Row        uint64        // failures in a row, in this generation
	Calls      uint64        // in the window, if a rule needs one
	Failures   uint64        // in the window
	Slow       uint64        // in the window
	Probes     int           // outstanding now
	Successes  int           // of probes, in this generation
	Quiet      time.Duration // since the last failed or slow call or change of state

	Opened  uint64 // times that the breaker opened, since the start
	Late    uint64 // reports that came too late to be counted, since the start
	Dropped uint64 // changes that OnChange did not get to see, since the start

	Succeeded, Failed, Ignored, Rejected uint64 // calls since the start; 0 without Options.Count
}

// FailureRatio returns the part of the calls in the window that failed, 0 if
// there are none.
func (s Stats) FailureRatio() float64 { return ratio(s.Failures, s.Calls) }

// SlowRatio returns the part of the calls in the window that were slow, 0 if
// there are none.
func (s Stats) SlowRatio() float64 { return ratio(s.Slow, s.Calls) }

func ratio(part, all uint64) float64 {
	if all == 0 {
		return 0
	}
	return float64(part) / float64(all)
}

// Sub returns the change of the counters since prev, and the current state and
// window.
func (s Stats) Sub(prev Stats) Stats {
	s.Opened -= prev.Opened
	s.Late -= prev.Late
	s.Dropped -= prev.Dropped
	s.Succeeded -= prev.Succeeded
	s.Failed -= prev.Failed
	s.Ignored -= prev.Ignored
	s.Rejected -= prev.Rejected
	return s
}

// Stats returns the current statistics.
func (b *Breaker) Stats() Stats {
	b.lock()
	defer b.unlock()
	t := b.readLocked()
	b.settleLocked(t)

	s := b.statsLocked(b.per.Load(), t)
	w := b.word.Load()
	s.Probes = outstandingOf(w)
	s.Successes = successesOf(w)
	return s
}

// statsLocked returns the statistics of per at reading t, without those of
// probes.
func (b *Breaker) statsLocked(per *period, t int64) Stats {
	sum := per.sum(t)
	s := Stats{
		State: per.state, Generation: per.gen, Row: uint64(per.fails.Load()),
		Calls: sum[calls], Failures: sum[failures], Slow: sum[slows],
		Quiet:  time.Duration(t - max(per.since, b.bad)),
		Opened: b.opened, Late: b.late.Load(),
	}
	if b.queue != nil {
		s.Dropped = b.queue.dropped
	}
	if all := b.all.Load(); all != nil {
		s.Succeeded = all.succeeded.Load()
		s.Failed = all.failed.Load()
		s.Ignored = all.ignored.Load()
		s.Rejected = all.rejected.Load()
	}
	return s
}

// GroupStats are the counters of a [Group]. Each counter is exact, but they are
// read one after another, so two of them may differ by what happened in
// between.
type GroupStats struct {
	Len     int    // breakers held now
	Evicted uint64 // keys forgotten for new ones, since the start
	Unheld  uint64 // calls of Get that found no room, or had a NaN for a key, since the start
}

// Sub returns the change of the counters since prev, and the current Len.
func (s GroupStats) Sub(prev GroupStats) GroupStats {
	s.Evicted -= prev.Evicted
	s.Unheld -= prev.Unheld
	return s
}

// ThrottleStats describe a [Throttle]. Each counter is exact, but they are read
// one after another, so two of them may differ by what happened in between.
type ThrottleStats struct {
	RejectRatio    float64 // the probability with which a call is rejected now
	WindowSent     uint64  // requests to the backend, in the window
	WindowAccepted uint64  // of these
	WindowRejected uint64  // requests that were rejected here, in the window

	Sent     uint64 // requests to the backend, since the start
	Accepted uint64 // of these
	Rejected uint64 // requests that were rejected here, since the start
}

// Sub returns the change of the counters since prev, and the current window.
func (s ThrottleStats) Sub(prev ThrottleStats) ThrottleStats {
	s.Sent -= prev.Sent
	s.Accepted -= prev.Accepted
	s.Rejected -= prev.Rejected
	return s
}
