// SPDX-License-Identifier: MIT

package quorum

import "sync/atomic"

// Stats describe a [Cluster]. Each counter is exact, but they are read one
// after another, so two of them may differ by what happened in between.
type Stats struct {
	Outstanding int // calls that have requests out now, those of stragglers among them

	Loads         uint64 // calls of Load, since the start
	Merges        uint64 // calls of Merge, since the start
	Extra         uint64 // loads that asked one more replica, since one failed or was late
	Repairs       uint64 // times that replicas were told what they lacked
	Unavailable   uint64 // calls that failed and changed nothing
	Indeterminate uint64 // calls that failed and may have changed something
}

// Sub returns the change of the counters since prev, and the current
// Outstanding.
func (s Stats) Sub(prev Stats) Stats {
	s.Loads -= prev.Loads
	s.Merges -= prev.Merges
	s.Extra -= prev.Extra
	s.Repairs -= prev.Repairs
	s.Unavailable -= prev.Unavailable
	s.Indeterminate -= prev.Indeterminate
	return s
}

// counters are the counters of Stats.
type counters struct {
	loads, merges, extra, repairs, unavailable, indeterminate atomic.Uint64
}

// Stats returns the current statistics.
func (c *Cluster[K, S]) Stats() Stats {
	return Stats{
		Outstanding:   int(c.active.Load() / 2),
		Loads:         c.counters.loads.Load(),
		Merges:        c.counters.merges.Load(),
		Extra:         c.counters.extra.Load(),
		Repairs:       c.counters.repairs.Load(),
		Unavailable:   c.counters.unavailable.Load(),
		Indeterminate: c.counters.indeterminate.Load(),
	}
}
