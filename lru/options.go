// SPDX-License-Identifier: MIT

package lru

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"time"
)

// Forever is a time to live without end.
const Forever time.Duration = math.MaxInt64

// Options are the optional settings of a [Cache].
//
// Cost, TTLOf, Tags, Hash, Equal and OnRemove are called without a lock held,
// and may use the cache, except that Update calls Cost, TTLOf and Tags within
// its critical section.
type Options[K comparable, V any] struct {
	// TTL is the time for which an entry lives after it was set. If zero, until
	// it is evicted.
	TTL time.Duration

	// Load returns the value of a key from its source: for [Cache.Load] and its
	// kin. If there is none, it returns [ErrNotFound], or an error that wraps
	// it. Its context has the values of the call that began the load, and not
	// its end. It may use the cache. Loads of its own must be given that
	// context, so that a load that waits for itself is found out.
	Load func(ctx context.Context, key K) (V, error)

	// Cost returns how much of the capacity an entry takes, such as its bytes.
	// If nil, 1. Less than 1 counts as 1.
	Cost func(key K, value V) int

	// OnRemove is called once for each entry that leaves the cache, however it
	// leaves, and for each value that was not stored. It is called without a
	// lock, after the fact, and in order for each key. The goroutine that
	// caused a removal calls it before its call returns, unless another one is
	// calling it for the same shard: then that one does. If it panics, the call
	// does so when the other events are reported. Clear, DeleteTag, DeleteFunc
	// and Resize have removed everything then; LoadAll has perhaps not come to
	// its end. Entries that expire unnoticed are reported from a goroutine of
	// their own, where a panic ends the program.
	OnRemove func(key K, value V, cause Cause)

	// Policy chooses the victim when the cache is full. If zero,
	// [PolicyTinyLFU].
	Policy Policy

	// Jitter shortens each TTL by a random part of it, less than Jitter, so
	// that entries that were set together do not expire together. At least 0,
	// less than 1.
	Jitter float64

	// RefreshAfter is the age from which Load returns a value and, in the
	// background, loads it again. If zero, a value is loaded again only when it
	// has expired.
	RefreshAfter time.Duration

	// StaleIfError is the time after its deadline for which Load still returns
	// a value if it cannot be loaded. No other method does, nor Load if the
	// error is [ErrNotFound]. Meanwhile the value takes its part of the
	// capacity, but it is the first to be evicted. If zero, none.
	StaleIfError time.Duration

	// ErrorTTL returns the time for which Load returns err again, or the stale
	// value, without another attempt. Zero or less, or a nil ErrorTTL: failures
	// are not remembered, except that the load of a key that has an old value
	// is not tried again for a second at first, which doubles up to 16 seconds.
	ErrorTTL func(key K, err error) time.Duration

	// Idle is the time for which an entry lives after it was set, or returned
	// by Get, GetOrSet, Load or Touch, if that is shorter than its TTL. If
	// zero, without end. To save work, a use extends the deadline only if that
	// gains more than Idle/16; an entry can therefore expire up to Idle/16
	// early.
	Idle time.Duration

	// TTLOf returns the TTL of an entry, instead of TTL. [Forever] is without
	// end; zero or less means that it is too old to store.
	TTLOf func(key K, value V) time.Duration

	// Tags returns the tags of an entry, by which DeleteTag removes it.
	Tags func(key K, value V) []string

	// LoadMany returns the values of keys, for [Cache.LoadAll]; without Load,
	// for all loads. A key that the result does not have does not exist; with
	// an error, it could not be loaded.
	LoadMany func(ctx context.Context, keys []K) (map[K]V, error)

	// LoadTimeout bounds the time of a load. Then its context ends, and calls
	// that wait for it get [context.DeadlineExceeded], also if the loader does
	// not return. If zero, there is no bound.
	LoadTimeout time.Duration

	// CancelAbandoned cancels the context of a load when the last call that
	// waits for it has gone. If false, such a load goes on, and fills the
	// cache.
	CancelAbandoned bool

	// OnLoadError is called after each load that failed, in the goroutine of
	// the load: in that of a caller, or in one of its own, where a panic ends
	// the program.
	OnLoadError func(key K, err error)

	// MaxRefreshes bounds the calls of loaders in the background that run at a
	// time. Further ones are left out, until the next Load of their keys. If
	// zero, 64.
	MaxRefreshes int

	// Equal reports whether two values are the same, for Stats.Changed: it
	// tells how many reloads were worth it. If nil, nothing is compared.
	Equal func(a, b V) bool

	// TrackAge keeps when each entry was set, in 8 bytes, for Stats.EvictedAge
	// and Entry.Age. RefreshAfter and StaleIfError do, too.
	TrackAge bool

	// Entries is about how many entries the capacity holds: the number of
	// shards follows from it. If zero, the capacity, or 1024 with Cost.
	Entries int

	// Shards is the number of parts with a lock each: a power of two, at most
	// 65536. If zero, up to four for each processor, but at least 256 entries
	// in each. With 1 the policy is exact over the whole cache.
	Shards int

	// Hash returns a hash of a key. If nil, that of [hash/maphash]. It need not
	// be good in all bits. An adversary that knows it can choose keys that
	// collide, and make the cache slow.
	Hash func(key K) uint64

	// Now is the clock by which entries expire. If nil, the system's monotonic
	// clock. With Now set no timer runs: expired entries are removed when the
	// cache is used. A clock that steps back is treated as stopped until it
	// catches up.
	Now func() time.Time
}

// maxShards bounds Options.Shards.
const maxShards = 1 << 16

// Validate returns an error if o cannot be used.
func (o *Options[K, V]) Validate() error {
	if o == nil {
		return nil
	}

	switch {
	case o.TTL < 0:
		return fmt.Errorf("lru: Options.TTL must not be negative, got %v", o.TTL)
	case o.Idle < 0:
		return fmt.Errorf("lru: Options.Idle must not be negative, got %v", o.Idle)
	case !(o.Jitter >= 0 && o.Jitter < 1):
		return fmt.Errorf("lru: Options.Jitter must be at least 0 and less than 1, got %v", o.Jitter)
	case o.Jitter > 0 && o.TTL == 0 && o.TTLOf == nil:
		return errors.New("lru: Options.Jitter needs a TTL or TTLOf")
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
	case o.Entries < 0:
		return fmt.Errorf("lru: Options.Entries must not be negative, got %d", o.Entries)
	case o.Shards < 0 || o.Shards > maxShards || o.Shards&(o.Shards-1) != 0:
		return fmt.Errorf("lru: Options.Shards must be a power of two up to %d, got %d", maxShards, o.Shards)
	}
	return nil
}

// resolve returns a copy of o with its defaults.
func (o *Options[K, V]) resolve() Options[K, V] {
	if o == nil {
		o = new(Options[K, V])
	}

	r := *o
	r.TTL = cmp.Or(o.TTL, Forever)
	r.MaxRefreshes = cmp.Or(o.MaxRefreshes, 64)
	r.TrackAge = o.TrackAge || o.RefreshAfter > 0 || o.StaleIfError > 0
	if o.Load == nil && o.LoadMany != nil {
		r.Load = loadOneOf(o.LoadMany)
	}
	return r
}

// loadOneOf returns a loader of one key by loadMany.
func loadOneOf[K comparable, V any](
	loadMany func(context.Context, []K) (map[K]V, error),
) func(context.Context, K) (V, error) {
	return func(ctx context.Context, key K) (value V, err error) {
		got, err := loadMany(ctx, []K{key})
		if v, ok := got[key]; ok {
			return v, nil
		}
		if err == nil {
			err = ErrNotFound
		}
		return value, err
	}
}

// entriesByCost is how many entries a cache with costs is taken to hold, if
// nothing is said.
const entriesByCost = 1024

// entries returns about how many entries a capacity holds.
func (o *Options[K, V]) entries(capacity int) int {
	switch {
	case o.Entries > 0:
		return min(o.Entries, capacity)
	case o.Cost != nil:
		return min(entriesByCost, capacity)
	}
	return capacity
}

// An Attr holds the attributes of an entry besides its value.
type Attr struct {
	// TTL is the time for which the entry lives. If zero, that of Options.TTLOf
	// or Options.TTL; [Forever] is without end; if negative, the value is too
	// old to store.
	TTL time.Duration

	// Cost is how much of the capacity the entry takes. If zero, that of
	// Options.Cost. Not negative.
	Cost int

	// Tags are tags of the entry, besides those that Options.Tags returns.
	Tags []string

	// Priority is -1, 0 or 1. Within a shard, an entry is evicted only if none
	// of a lower priority is there to be evicted, and never for one of a lower
	// priority.
	Priority int

	// Pinned keeps the entry from being evicted for size. It may still expire.
	Pinned bool
}

// Validate returns an error if a cannot be used.
func (a *Attr) Validate() error {
	switch {
	case a.Cost < 0:
		return fmt.Errorf("lru: Attr.Cost must not be negative, got %d", a.Cost)
	case a.Priority < -1 || a.Priority > 1:
		return fmt.Errorf("lru: Attr.Priority must be -1, 0 or 1, got %d", a.Priority)
	}
	return nil
}

// BehindOptions are the optional settings of a [Behind].
type BehindOptions[K comparable, V any] struct {
	// Interval is the time for which a write waits for others before it goes to
	// the store, so that several of one key become one. If zero, 5 *
	// time.Second. If negative, until Flush or Close is called, or half of
	// MaxPending are waiting.
	Interval time.Duration

	// OnError is called for each key whose write the store has refused, from a
	// goroutine of the Behind, where a panic ends the program. Tries is how
	// often in a row that was, or 0 if the write was refused together with
	// others by Apply: they are tried again apart. If tries is not 0 and
	// OnError returns true, the write is given up: the store keeps its own
	// value, and the cache drops the key. If nil, no write is ever given up.
	OnError func(key K, err error, tries int) (giveUp bool)

	// MaxPending is the number of keys that may wait to be saved. Then writes
	// of further ones wait for room. If zero, 10,000.
	MaxPending int

	// Apply saves several writes at once: no key is twice in it. If it fails,
	// all of them are tried again, in batches of half the size, down to one: so
	// it must do no harm to apply them twice. Nor must a store carry out one
	// that it was given before another after it, when its answer was late or
	// lost: a number of the batch prevents that. If nil, Set and Delete of the
	// store are called for one write after the other.
	Apply func(ctx context.Context, sets []Pair[K, V], deletes []K) error

	// Batch is the number of writes that Apply is given at a time. If zero,
	// 256.
	Batch int

	// Backoff is the time for which refused writes are not tried again after a
	// failure of the store, and a write after a failure of its own. Both double
	// with each further one, up to a minute, or Backoff if that is longer. If
	// zero, 100 * time.Millisecond.
	Backoff time.Duration

	// Timeout bounds the context of each call of the store. If zero, it has no
	// end.
	Timeout time.Duration
}

// Validate returns an error if o cannot be used.
func (o *BehindOptions[K, V]) Validate() error {
	switch {
	case o == nil:
		return nil
	case o.MaxPending < 0:
		return fmt.Errorf("lru: BehindOptions.MaxPending must not be negative, got %d", o.MaxPending)
	case o.Batch < 0:
		return fmt.Errorf("lru: BehindOptions.Batch must not be negative, got %d", o.Batch)
	case o.Backoff < 0:
		return fmt.Errorf("lru: BehindOptions.Backoff must not be negative, got %v", o.Backoff)
	case o.Timeout < 0:
		return fmt.Errorf("lru: BehindOptions.Timeout must not be negative, got %v", o.Timeout)
	}
	return nil
}

// resolve returns a copy of o with its defaults.
func (o *BehindOptions[K, V]) resolve() BehindOptions[K, V] {
	if o == nil {
		o = new(BehindOptions[K, V])
	}
	r := *o
	r.Interval = cmp.Or(o.Interval, 5*time.Second)
	r.MaxPending = cmp.Or(o.MaxPending, 10_000)
	r.Batch = cmp.Or(o.Batch, 256)
	r.Backoff = cmp.Or(o.Backoff, 100*time.Millisecond)
	return r
}
