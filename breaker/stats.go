// SPDX-License-Identifier: MIT

package breaker

// Stats describe a [Breaker]. Fields are exact, the set is not atomic.
type Stats struct {
	State      State  // now
	Generation uint32 // 1 at first, and one more with each change of state
	Row        uint64 // failures in a row, in this generation
	Calls      uint64 // in the window, if a rule needs one
	Failures   uint64 // in the window
	Slow       uint64 // in the window
	Probes     int    // outstanding now
	Successes  int    // of probes, in this generation

	Opened uint64 // times that the breaker opened, since the start
	Late   uint64 // reports that came too late or twice and were not counted, since the start

	Succeeded, Failed, Ignored, Rejected uint64 // calls since the start; 0 without Options.Count
}

// FailureRatio returns the part of the calls in the window that failed, 0 if there are none.
func (s Stats) FailureRatio() float64 { return ratio(s.Failures, s.Calls) }

// SlowRatio returns the part of the calls in the window that were slow, 0 if there are none.
func (s Stats) SlowRatio() float64 { return ratio(s.Slow, s.Calls) }

func ratio(part, all uint64) float64 {
	if all == 0 {
		return 0
	}
	return float64(part) / float64(all)
}

// Sub returns the change of the counters since prev, and the current state and window.
func (s Stats) Sub(prev Stats) Stats {
	s.Opened -= prev.Opened
	s.Late -= prev.Late
	s.Succeeded -= prev.Succeeded
	s.Failed -= prev.Failed
	s.Ignored -= prev.Ignored
	s.Rejected -= prev.Rejected
	return s
}

// Stats returns the statistics of now.
func (b *Breaker) Stats() Stats {
	b.lock()
	defer b.unlock()
	t := b.elapsedLocked()
	b.settleLocked(t)
	s := b.statsLocked(b.per.Load(), t)
	w := b.word.Load()
	s.Probes, s.Successes = outstandingOf(w), successesOf(w)
	return s
}

// statsLocked returns the statistics of per at reading t, those of probes apart.
func (b *Breaker) statsLocked(per *period, t int64) Stats {
	s := Stats{
		State: per.state, Generation: per.gen, Row: uint64(per.fails.Load()),
		Opened: b.opened, Late: b.late.Load(),
	}
	if per.win != nil {
		sum := per.win.sum(t)
		s.Calls, s.Failures, s.Slow = sum.calls, sum.failures, sum.slow
	}
	if all := b.all.Load(); all != nil {
		s.Succeeded, s.Failed = all.succeeded.Load(), all.failed.Load()
		s.Ignored, s.Rejected = all.ignored.Load(), all.rejected.Load()
	}
	return s
}
