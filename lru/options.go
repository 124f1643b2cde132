// SPDX-License-Identifier: MIT

package lru

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// Forever is a time to live without end.
const Forever time.Duration = math.MaxInt64

// Options are the optional settings of a [Cache].
//
// Cost, Expire, Tags, Hash and OnRemove are called without a lock held, and may use the cache,
// except that Cost, Expire and Tags are called by Update within its function's critical section.
type Options[K comparable, V any] struct {
	// TTL is how long an entry lives after it was set. If zero, until it is evicted.
	TTL time.Duration

	// Idle is how long an entry lives after it was set, or returned by Get, GetOrSet or Touch,
	// if that is shorter than its TTL. If zero, without end. The deadline moves only if it moves by
	// more than Idle/16, so an entry may go by that much earlier.
	Idle time.Duration

	// Jitter shortens each TTL by a random part of it, less than Jitter, so that what was set
	// together does not expire together. At least 0, less than 1. TTL stays the upper bound.
	Jitter float64

	// Expire returns the TTL of an entry, instead of TTL. [Forever] is without end;
	// zero or less means that it is too old to store.
	Expire func(key K, value V) time.Duration

	// Cost returns what an entry takes of the capacity, such as its bytes. If nil, 1.
	// Less than 1 counts as 1.
	Cost func(key K, value V) int64

	// Load returns the value of a key from where the truth is: for [Cache.Load] and its kin. It returns
	// [ErrNotFound], or an error that wraps it, if there is none. Its context has the values of
	// the call that began the load, and not its end. It may use the cache; what it loads for
	// itself must be given that context, so that a load that waits for itself is found out.
	Load func(ctx context.Context, key K) (V, error)

	// LoadMany returns the values of keys, for [Cache.LoadAll]; without Load, for all loads. A key
	// that the result does not have is not there; with an error, it could not be loaded.
	LoadMany func(ctx context.Context, keys []K) (map[K]V, error)

	// RefreshAfter is the age from which Load returns a value and, in the background, loads it again.
	// If zero, a value is loaded again only when its time is up.
	RefreshAfter time.Duration

	// StaleIfError is how long after its deadline a value is still returned by Load if it cannot
	// be loaded: by nothing else, and not if the error is [ErrNotFound]. Meanwhile it takes its part
	// of the capacity. If zero, never.
	StaleIfError time.Duration

	// ErrorTTL returns for how long Load returns err again, or the stale value, without another
	// attempt. Zero or less is not at all. If nil, not at all.
	ErrorTTL func(key K, err error) time.Duration

	// OnLoadError is called after each load that failed, in the goroutine of the load: in that of a
	// caller, or in one of its own, where a panic ends the program.
	OnLoadError func(key K, err error)

	// LoadTimeout bounds the context of a load. If zero, it has no end.
	LoadTimeout time.Duration

	// CancelAbandoned cancels the context of a load when the last call that waits for it has gone.
	// If false, such a load goes on, and fills the cache.
	CancelAbandoned bool

	// MaxRefreshes bounds the loads in the background that run at a time. Further ones are left out,
	// until the next Load of their keys. If zero, 64.
	MaxRefreshes int

	// Policy chooses what to evict when the cache is full. If zero, [PolicyTinyLFU].
	Policy Policy

	// Tags returns the tags of an entry, by which DeleteTag removes it.
	Tags func(key K, value V) []string

	// OnRemove is called once for each entry that leaves the cache, however it leaves, and for each
	// value that was not stored. It is called after the fact, by the goroutine that caused it, and
	// therefore by several at a time: two that remove entries of one key one after the other may
	// call it in the other order. What expires unnoticed is reported from a goroutine of its own,
	// where a panic ends the program.
	OnRemove func(key K, value V, cause Cause)

	// TrackAge keeps when each entry was set, in 8 bytes, for Stats.EvictedAge and Entry.Age.
	// RefreshAfter and StaleIfError do, too.
	TrackAge bool

	// Shards is the number of parts with a lock each: a power of two, at most 65536. If zero, up to
	// four for each processor, but at least 256 of capacity in each. With 1 the policy is exact
	// over the whole cache.
	Shards int

	// Hash returns a hash of a key. If nil, that of [hash/maphash]. It need not be good in all bits.
	// Whoever knows it can choose keys that collide, and make the cache slow.
	Hash func(key K) uint64

	// Now is the clock by which entries expire. If nil, the system's monotonic clock.
	// With Now set no timer runs: what has expired is removed when the cache is used.
	// Its readings may lie anywhere. Where it goes back, it is taken to stand still.
	Now func() time.Time
}

// maxShards bounds Options.Shards.
const maxShards = 1 << 16

// Validate returns an error if o cannot be used.
func (o *Options[K, V]) Validate() error {
	switch {
	case o == nil:
		return nil
	case o.TTL < 0:
		return fmt.Errorf("lru: Options.TTL must not be negative, got %v", o.TTL)
	case o.Idle < 0:
		return fmt.Errorf("lru: Options.Idle must not be negative, got %v", o.Idle)
	case !(o.Jitter >= 0 && o.Jitter < 1):
		return fmt.Errorf("lru: Options.Jitter must be at least 0 and less than 1, got %v", o.Jitter)
	case o.Jitter > 0 && o.TTL == 0 && o.Expire == nil:
		return errors.New("lru: Options.Jitter needs a TTL or Expire")
	case o.RefreshAfter < 0:
		return fmt.Errorf("lru: Options.RefreshAfter must not be negative, got %v", o.RefreshAfter)
	case o.TTL > 0 && o.RefreshAfter >= o.TTL:
		return fmt.Errorf("lru: Options.RefreshAfter must be less than the TTL of %v, got %v", o.TTL, o.RefreshAfter)
	case o.StaleIfError < 0:
		return fmt.Errorf("lru: Options.StaleIfError must not be negative, got %v", o.StaleIfError)
	case o.LoadTimeout < 0:
		return fmt.Errorf("lru: Options.LoadTimeout must not be negative, got %v", o.LoadTimeout)
	case o.MaxRefreshes < 0:
		return fmt.Errorf("lru: Options.MaxRefreshes must not be negative, got %d", o.MaxRefreshes)
	case o.Policy > PolicyRandom:
		return fmt.Errorf("lru: Options.Policy is unknown: %d", o.Policy)
	case o.Shards < 0 || o.Shards > maxShards || o.Shards&(o.Shards-1) != 0:
		return fmt.Errorf("lru: Options.Shards must be a power of two up to %d, got %d", maxShards, o.Shards)
	}
	return nil
}

// reason returns the text of err without the prefix, which a panic sets itself.
func reason(err error) string { return strings.TrimPrefix(err.Error(), "lru: ") }

// An Attr is what SetAttr says of an entry besides its value.
type Attr struct {
	// TTL is how long the entry lives. If zero, as Options.Expire or Options.TTL say; [Forever] is
	// without end; if negative, it is too old to store.
	TTL time.Duration

	// Cost is what the entry takes of the capacity. If zero, as Options.Cost says. Not negative.
	Cost int64

	// Tags are tags of the entry, besides those that Options.Tags returns.
	Tags []string

	// Priority is -1, 0 or 1. Within a shard, an entry is evicted only if none of a lower priority
	// is there to be evicted, and never for one of a lower priority.
	Priority int

	// Pinned keeps the entry from being evicted for size. It may still expire.
	Pinned bool
}

func (a *Attr) validate() error {
	switch {
	case a.Cost < 0:
		return fmt.Errorf("cost must not be negative, got %d", a.Cost)
	case a.Priority < -1 || a.Priority > 1:
		return fmt.Errorf("priority must be -1, 0 or 1, got %d", a.Priority)
	}
	return nil
}
