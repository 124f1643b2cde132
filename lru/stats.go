// SPDX-License-Identifier: MIT

package lru

import (
	"fmt"
	"time"
)

// A Cause is why an entry left a [Cache].
type Cause uint8

const (
	// Evicted is the cause of entries that were removed to make room.
	Evicted Cause = iota + 1

	// Expired is the cause of entries that reached their deadline, and of
	// values whose TTL was zero or less.
	Expired

	// Deleted is the cause of entries that Delete, Take or Update removed.
	Deleted

	// Replaced is the cause of values that another one replaced under the same
	// key.
	Replaced

	// Invalidated is the cause of entries that DeleteFunc, DeleteTag or Clear
	// removed, or a load which found that their key does not exist.
	Invalidated

	// Rejected is the cause of values that were not stored: they cost more than
	// the capacity, or than can be made free by evicting entries that are not
	// pinned and not of higher priority; their key is not equal to itself; or
	// they were loaded, and their key was written or removed meanwhile.
	Rejected

	causes
)

var causeNames = [causes]string{"", "Evicted", "Expired", "Deleted", "Replaced", "Invalidated", "Rejected"}

// String returns the name of the cause.
func (c Cause) String() string {
	if c > 0 && c < causes {
		return causeNames[c]
	}
	return fmt.Sprintf("Cause(%d)", uint8(c))
}

// MarshalText returns the name of the cause.
func (c Cause) MarshalText() ([]byte, error) {
	if c == 0 || c >= causes {
		return nil, fmt.Errorf("lru: unknown cause %d", uint8(c))
	}
	return []byte(causeNames[c]), nil
}

// UnmarshalText sets c to the cause of that name.
func (c *Cause) UnmarshalText(text []byte) error {
	for i, name := range causeNames {
		if i > 0 && name == string(text) {
			*c = Cause(i)
			return nil
		}
	}
	return fmt.Errorf("lru: unknown cause %q", text)
}

// Stats are the counters of a [Cache] since it was made, and its size. Each
// counter is exact, but they are read one after another, so two of them may
// differ by what happened in between.
type Stats struct {
	Hits   uint64 // values that Get, GetOrSet and Load found
	Misses uint64 // keys that they did not find

	Added       uint64 // entries stored under a key that was not there
	Evicted     uint64 // entries removed to make room
	Expired     uint64 // entries that reached their deadline, and values too old to store
	Deleted     uint64 // entries removed by key
	Replaced    uint64 // values that were replaced
	Invalidated uint64 // entries removed by DeleteFunc, DeleteTag or Clear, or found to be gone
	Rejected    uint64 // values that were not stored

	Loads        uint64        // loads that ended
	LoadFailures uint64        // of these, the failed ones
	LoadTime     time.Duration // sum of the times that they took
	Joined       uint64        // calls of Load and its kin that shared a load of another
	Aged         uint64        // hits of Load past RefreshAfter
	Changed      uint64        // reloads that brought another value, by Options.Equal
	StaleHits    uint64        // expired values that Load returned since it failed

	EvictedCost uint64        // sum of the costs of evicted entries
	EvictedAge  time.Duration // sum of their times from setting to eviction; 0 without Options.TrackAge

	Len  int // entries now
	Cost int // the sum of their costs
	Cap  int // the capacity

	Loading int // loads now under way, with their reports
}

// HitRatio returns the part of lookups that found a value, or 0 if there were
// none.
func (s Stats) HitRatio() float64 {
	if s.Hits+s.Misses == 0 {
		return 0
	}
	return float64(s.Hits) / float64(s.Hits+s.Misses)
}

// MeanEvictedAge returns how long evicted entries had been there on average. If
// it is much shorter than the TTL, the TTL hardly matters and the cache is
// small. If nothing is evicted and much expires, the cache is larger than
// needed.
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

// Sub returns the change of the counters since prev, and the current Len, Cost,
// Cap and Loading.
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
	s.Aged -= prev.Aged
	s.Changed -= prev.Changed
	s.StaleHits -= prev.StaleHits

	s.EvictedCost -= prev.EvictedCost
	s.EvictedAge -= prev.EvictedAge
	return s
}

// counters are the part of Stats that a shard counts.
type counters struct {
	hits, misses, added     uint64
	evictedCost, evictedAge int64
	removed                 [causes]uint64

	loads, loadFailures, joined, aged, changed, staleHits uint64

	loadTime int64
}

// Stats returns the counters of c. It removes expired entries.
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
		s.LoadTime = time.Duration(saturated(int64(s.LoadTime), n.loadTime))
		s.Joined += n.joined
		s.Aged += n.aged
		s.Changed += n.changed
		s.StaleHits += n.staleHits

		s.EvictedCost += uint64(n.evictedCost)
		s.EvictedAge = time.Duration(saturated(int64(s.EvictedAge), n.evictedAge))
	}
	if r := c.readers.Load(); r != nil {
		for i := range r.stripes {
			s.Hits += r.stripes[i].hits.Load()
			s.Misses += r.stripes[i].misses.Load()
		}
	}
	s.Cost = c.Cost()
	s.Cap = c.Cap()
	s.Loading = int(c.loading.Load())
	return s
}

// BehindStats are the counters of a [Behind] since it was made, all of one
// instant.
type BehindStats struct {
	Writes   uint64 // calls of Set and Delete that succeeded
	Merged   uint64 // of these, writes of a key whose last one was not yet being saved
	Saved    uint64 // writes that the store has taken
	Calls    uint64 // calls of the store
	Failures uint64 // of these, the failed ones
	GivenUp  uint64 // writes given up by OnError or GiveUp

	Pending int // keys that wait to be saved, or are being saved
}

// Sub returns the change of the counters since prev, and the current Pending.
func (s BehindStats) Sub(prev BehindStats) BehindStats {
	s.Writes -= prev.Writes
	s.Merged -= prev.Merged
	s.Saved -= prev.Saved
	s.Calls -= prev.Calls
	s.Failures -= prev.Failures
	s.GivenUp -= prev.GivenUp
	return s
}
