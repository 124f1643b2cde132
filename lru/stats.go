// SPDX-License-Identifier: MIT

package lru

import (
	"fmt"
	"time"
)

// A Cause is why an entry left a [Cache].
type Cause uint8

const (
	// Evicted is for size: another entry needed the room, or Resize.
	Evicted Cause = iota + 1

	// Expired is that its time was up, or that the TTL it was set with was zero or less.
	Expired

	// Deleted is that Delete, Take or Update removed it.
	Deleted

	// Replaced is that another value was set under its key.
	Replaced

	// Invalidated is that DeleteFunc, DeleteTag or Clear removed it.
	Invalidated

	// Rejected is that it was not stored: it costs more than the capacity, or than can be made free by
	// evicting what is not pinned and not of higher priority; or its key is not equal to itself.
	Rejected

	causes
)

// String returns the name of the cause.
func (c Cause) String() string {
	if c > 0 && c < causes {
		return [...]string{"Evicted", "Expired", "Deleted", "Replaced", "Invalidated", "Rejected"}[c-1]
	}
	return fmt.Sprintf("Cause(%d)", uint8(c))
}

// Stats are the counters of a [Cache] since it was made, and its size.
// Fields are exact, the set is not atomic.
type Stats struct {
	Hits   uint64 // values that Get, GetOrSet and Load found
	Misses uint64 // keys that they did not find

	Added       uint64 // entries stored under a key that was not there
	Evicted     uint64 // entries that left for size
	Expired     uint64 // entries whose time was up, and values that were too old to store
	Deleted     uint64 // entries removed by key
	Replaced    uint64 // entries whose value was replaced
	Invalidated uint64 // entries removed by DeleteFunc, DeleteTag or Clear
	Rejected    uint64 // values that were not stored

	Loads        uint64        // loads that ended
	LoadFailures uint64        // of these, those that failed
	LoadTime     time.Duration // sum of the times that they took
	Joined       uint64        // calls of Load and its kin that shared a load of another
	StaleHits    uint64        // values that Load returned though their time was up, since it failed

	EvictedCost uint64        // sum of the costs of entries that left for size
	EvictedAge  time.Duration // sum of the times from setting to eviction; 0 without Options.TrackAge

	Len  int   // entries now
	Cost int64 // what they cost
	Cap  int64 // the capacity

	Loading int // loads now under way, with what they report
}

// HitRatio returns the part of lookups that found a value, or 0 if there were none.
func (s Stats) HitRatio() float64 {
	if s.Hits+s.Misses == 0 {
		return 0
	}
	return float64(s.Hits) / float64(s.Hits+s.Misses)
}

// MeanEvictedAge returns how long evicted entries had been there on average. If it is much
// shorter than the TTL, the TTL hardly matters and the cache is small; if nothing is evicted and
// much expires, the cache is larger than needed.
func (s Stats) MeanEvictedAge() time.Duration {
	if s.Evicted == 0 {
		return 0
	}
	return s.EvictedAge / time.Duration(s.Evicted)
}

// MeanLoadTime returns how long loads took on average.
func (s Stats) MeanLoadTime() time.Duration {
	if s.Loads == 0 {
		return 0
	}
	return s.LoadTime / time.Duration(s.Loads)
}

// Sub returns the change of the counters since prev, and the current Len, Cost, Cap and Loading.
func (s Stats) Sub(prev Stats) Stats {
	s.Hits -= prev.Hits
	s.Misses -= prev.Misses
	s.Added -= prev.Added
	s.Evicted -= prev.Evicted
	s.Expired -= prev.Expired
	s.Deleted -= prev.Deleted
	s.Replaced -= prev.Replaced
	s.Invalidated -= prev.Invalidated
	s.Rejected -= prev.Rejected
	s.Loads -= prev.Loads
	s.LoadFailures -= prev.LoadFailures
	s.LoadTime -= prev.LoadTime
	s.Joined -= prev.Joined
	s.StaleHits -= prev.StaleHits
	s.EvictedCost -= prev.EvictedCost
	s.EvictedAge -= prev.EvictedAge
	return s
}

// counters are the part of Stats that a shard counts.
type counters struct {
	hits, misses, added, evictedCost uint64
	evictedAge                       time.Duration
	removed                          [causes]uint64

	loads, loadFailures, joined, staleHits uint64
	loadTime                               time.Duration
}

// Stats returns the counters. It removes what has expired.
func (c *Cache[K, V]) Stats() Stats {
	c.expireIfTimed()
	var s Stats
	for i := range c.shards {
		sh := &c.shards[i]
		sh.mu.Lock()
		n := sh.counters
		s.Len += sh.n - sh.hidden
		sh.mu.Unlock()
		s.Hits += n.hits
		s.Misses += n.misses
		s.Added += n.added
		s.Evicted += n.removed[Evicted]
		s.Expired += n.removed[Expired]
		s.Deleted += n.removed[Deleted]
		s.Replaced += n.removed[Replaced]
		s.Invalidated += n.removed[Invalidated]
		s.Rejected += n.removed[Rejected]
		s.Loads += n.loads
		s.LoadFailures += n.loadFailures
		s.LoadTime += n.loadTime
		s.Joined += n.joined
		s.StaleHits += n.staleHits
		s.EvictedCost += n.evictedCost
		s.EvictedAge += n.evictedAge
	}
	s.Cost, s.Cap, s.Loading = c.Cost(), c.Cap(), int(c.loading.Load())
	return s
}
