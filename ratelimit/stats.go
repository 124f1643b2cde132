// SPDX-License-Identifier: MIT

package ratelimit

// KeyedStats are the counters of a [Keyed] or a [KeyedWindow], whose events count as tokens. Fields are exact, the set is not atomic.
type KeyedStats struct {
	Keys     int    // keys held now
	Allowed  uint64 // requests allowed, whatever their n, since the start
	Denied   uint64 // requests denied, since the start
	Evicted  uint64 // keys forgotten before their buckets were full, since the start
	Forgiven uint64 // tokens whose spending was forgotten with them, rounded up, since the start
}

// Sub returns the change of the counters since prev, and the current Keys.
func (s KeyedStats) Sub(prev KeyedStats) KeyedStats {
	s.Allowed -= prev.Allowed
	s.Denied -= prev.Denied
	s.Evicted -= prev.Evicted
	s.Forgiven -= prev.Forgiven
	return s
}

// ConcurrencyStats are the counters of a [Concurrency]. Fields are exact, the set is not atomic.
type ConcurrencyStats struct {
	Limit    int    // the limit in force
	InFlight int    // permits given and not ended
	Queued   int    // callers in line
	Waited   uint64 // permits given after a wait, since the start
	Refused  uint64 // calls refused for want of a permit or of a place in line, since the start
	Canceled uint64 // calls whose context ended in line, since the start
	Dropped  uint64 // permits ended by Drop, since the start
}

// Sub returns the change of the counters since prev, and the current Limit, InFlight and Queued.
func (s ConcurrencyStats) Sub(prev ConcurrencyStats) ConcurrencyStats {
	s.Waited -= prev.Waited
	s.Refused -= prev.Refused
	s.Canceled -= prev.Canceled
	s.Dropped -= prev.Dropped
	return s
}
