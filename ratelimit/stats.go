// SPDX-License-Identifier: MIT

package ratelimit

// KeyedStats are the counters of a [Keyed]. Fields are exact, the set is not atomic.
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
