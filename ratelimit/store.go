// SPDX-License-Identifier: MIT

package ratelimit

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"
)

// A Store keeps the buckets of a [Shared] where several processes can reach
// them. Two methods are needed, which every database has in some form. Adapters
// to copy for Redis, PostgreSQL and memcached, tested with servers that die,
// are in [examples/scaleout/limits]. In etcd, Load is a Get, and CompareAndSwap
// a Txn with Compare(Value(key), "=", old), or Compare(Version(key), "=", 0)
// for an old that is nil.
//
// A row whose time is over counts as absent in both methods. Turn automatic
// retries of the client off: a swap that is repeated finds its own state and is
// reported as lost. A Shared recognizes that if at most three others wrote
// meanwhile; a Return beyond that gives twice.
//
// A store that loses its state, not only answers, admits one more burst for
// each loss. Redis keeps it across a restart with appendonly yes, up to the
// last second, or all with appendfsync always; not with snapshots alone, nor
// when a replica that lags takes over, nor with a maxmemory-policy that evicts
// keys. SQL and etcd keep it if their commits are synchronous.
//
// Methods are called by many goroutines at once.
//
// [examples/scaleout/limits]: https://github.com/ashlar-go/ashlar/tree/main/examples/scaleout/limits
type Store interface {
	// Load returns the state of key, or none if there is no such key. It may be
	// out of date, as from a replica: CompareAndSwap refuses then.
	Load(ctx context.Context, key string) (state []byte, err error)

	// CompareAndSwap replaces the state of key by next if it is old, and
	// reports whether it did. An old of no bytes stands for a key that does not
	// exist. It must be atomic and may forget the key after ttl, not before; if
	// ttl is 0, never. An error means that it is not known whether next was
	// stored.
	CompareAndSwap(ctx context.Context, key string, old, next []byte, ttl time.Duration) (bool, error)
}

// NewMemStore returns a Store in memory: for tests, and to see how a Store
// behaves. It forgets keys whose time is over, so that it holds at most twice
// as many as are in use, or 64. If opts is nil, the defaults are used.
func NewMemStore(opts *Options) Store {
	m := &memStore{now: opts.constant().Now, entries: map[string]memEntry{}}
	if m.now == nil {
		m.now = time.Now
	}
	return m
}

type memStore struct {
	now func() time.Time

	mu      sync.Mutex // protects the fields below
	entries map[string]memEntry
	sweepAt int // the number of entries at which the next sweep begins
}

type memEntry struct {
	state []byte
	end   time.Time // zero if it never ends
}

// minSweep is the number of entries below which none are swept.
const minSweep = 64

func (m *memStore) Load(ctx context.Context, key string) ([]byte, error) {
	now := m.now()
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.stateLocked(key, now)), ctx.Err()
}

// stateLocked returns the state of key, nil if it is absent or its time is
// over.
func (m *memStore) stateLocked(key string, now time.Time) []byte {
	e := m.entries[key]
	if e.over(now) {
		return nil
	}
	return e.state
}

func (e memEntry) over(now time.Time) bool { return !e.end.IsZero() && !now.Before(e.end) }

func (m *memStore) CompareAndSwap(ctx context.Context, key string, old, next []byte, ttl time.Duration) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	now := m.now()
	m.mu.Lock()
	defer m.mu.Unlock()
	if !bytes.Equal(m.stateLocked(key, now), old) {
		return false, nil
	}

	// The state is as the caller saw it.
	e := memEntry{state: slices.Clone(next)}
	if ttl > 0 {
		e.end = now.Add(ttl)
	}
	m.entries[key] = e

	// Forget the entries whose time is over, now and then.
	if len(m.entries) > max(m.sweepAt, minSweep) {
		for key, e := range m.entries {
			if e.over(now) {
				delete(m.entries, key)
			}
		}
		m.sweepAt = 2 * len(m.entries)
	}
	return true, nil
}
