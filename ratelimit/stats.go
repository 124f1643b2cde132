// SPDX-License-Identifier: MIT

package ratelimit

// KeyedStats are the counters of a [Keyed] or a [KeyedWindow], whose events
// count as tokens. Each counter is exact, but they are read one after another,
// so two of them may differ by what happened in between.
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

// WindowStats are the counters of a [Window], all of one instant.
type WindowStats struct {
	Limit   int    // the number of events in force
	Allowed uint64 // requests allowed, whatever their n, since the start
	Denied  uint64 // requests denied, since the start
}

// Sub returns the change of the counters since prev, and the current Limit.
func (s WindowStats) Sub(prev WindowStats) WindowStats {
	s.Allowed -= prev.Allowed
	s.Denied -= prev.Denied
	return s
}

// StripedStats are the counters of a [Striped]. Each counter is exact, but they
// are read one after another, so two of them may differ by what happened in
// between.
type StripedStats struct {
	Stashed int    // tokens in stripes now
	Denied  uint64 // requests denied, since the start
	Refills uint64 // times that a stripe took tokens from the shared bucket, since the start
}

// Sub returns the change of the counters since prev, and the current Stashed.
func (s StripedStats) Sub(prev StripedStats) StripedStats {
	s.Denied -= prev.Denied
	s.Refills -= prev.Refills
	return s
}

// SharedStats are the counters of a [Shared]. Each counter is exact, but they
// are read one after another, so two of them may differ by what happened in
// between.
type SharedStats struct {
	Allowed uint64 // requests allowed by the store, since the start
	Denied  uint64 // requests denied by the store, since the start
	Failed  uint64 // requests for which the store failed, since the start
	Retries uint64 // swaps that were tried again, since others were faster, since the start
}

// Sub returns the change of the counters since prev.
func (s SharedStats) Sub(prev SharedStats) SharedStats {
	s.Allowed -= prev.Allowed
	s.Denied -= prev.Denied
	s.Failed -= prev.Failed
	s.Retries -= prev.Retries
	return s
}

// ConcurrencyStats are the counters of a [Concurrency]. Each counter is exact,
// but they are read one after another, so two of them may differ by what
// happened in between.
type ConcurrencyStats struct {
	Limit    int    // the limit in force
	InFlight int    // permits given and not ended
	Queued   int    // callers in line
	Waited   uint64 // permits given after a wait, since the start
	Refused  uint64 // calls refused for want of a permit or of a place in line, since the start
	Canceled uint64 // calls whose context ended in line, since the start
	Dropped  uint64 // permits ended by Drop, since the start
	Unseen   uint64 // changes of the limit that OnLimit did not get to see, since the start
}

// Sub returns the change of the counters since prev, and the current Limit,
// InFlight and Queued.
func (s ConcurrencyStats) Sub(prev ConcurrencyStats) ConcurrencyStats {
	s.Waited -= prev.Waited
	s.Refused -= prev.Refused
	s.Canceled -= prev.Canceled
	s.Dropped -= prev.Dropped
	s.Unseen -= prev.Unseen
	return s
}
