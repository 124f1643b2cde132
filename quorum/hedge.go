// SPDX-License-Identifier: MIT

package quorum

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// The last latencySamples latencies of a replica are kept, and sorted once each
// latencyStep requests.
const (
	latencySamples = 32
	latencyStep    = 16
	fastBits       = 3 // of 1<<3 loads of a fast replica, one is timed
)

// A load waits for patienceAtFirst before it asks another replica, while the
// latency of the one asked is not known, and for patienceLeast at least.
const (
	patienceAtFirst = 50 * time.Millisecond
	patienceLeast   = time.Millisecond
)

// A latency is how long one replica takes to answer. The time of a whole call
// is no measure of it: that includes the wait for a hedge, and grows with it.
type latency struct {
	patience atomic.Int64 // the time after which an answer is late; 0 while not known

	mu   sync.Mutex // protects the fields below
	last [latencySamples]int64
	n    int
}

// wanted reports whether the load with number turn is to be timed: each one,
// unless the replica answers so fast that reading the clock takes a part of the
// time.
func (l *latency) wanted(turn int) bool {
	// The turn also chooses the replicas: mixed, so that each of them is timed.
	mixed := uint32(turn) * 0x9e3779b1
	return l.patience.Load() != int64(patienceLeast) || mixed>>(32-fastBits) == 0
}

// add counts a request that took d. Under contention one sample is as good as
// another: a request that would have to wait for the lock is left out.
func (l *latency) add(d int64) {
	if !l.mu.TryLock() {
		return
	}
	defer l.mu.Unlock()
	l.last[l.n%latencySamples] = d
	l.n++
	if l.n%latencyStep != 0 {
		return
	}

	sorted := l.last
	s := sorted[:min(l.n, latencySamples)]
	slices.Sort(s)
	l.patience.Store(max(2*s[len(s)/2], s[len(s)*9/10], int64(patienceLeast)))
}

// patienceWith returns how long to wait for the replicas in set: as long as for
// the one that may take longest.
func (c *Cluster[K, S]) patienceWith(set Set) time.Duration {
	if c.opts.Hedge > 0 {
		return c.opts.Hedge
	}

	var d time.Duration
	for i := range set.All() {
		p := time.Duration(c.latency[i].patience.Load())
		if p == 0 {
			p = patienceAtFirst
		}
		d = max(d, p)
	}
	return d
}
