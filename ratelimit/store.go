// SPDX-License-Identifier: MIT

package ratelimit

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"
)

// A Store keeps the buckets of a [Shared] where several processes can reach them. Two methods are
// needed, which every database has in some form:
//
//	Redis  GET key; and a script: if redis.call("GET", KEYS[1]) is ARGV[1] (or false, for
//	       an old that is nil) then redis.call("SET", KEYS[1], ARGV[2], "PX", ARGV[3])
//	SQL    SELECT state ... WHERE key = ?; and UPDATE ... SET state = ? WHERE key = ? AND state = ?,
//	       or INSERT ... ON CONFLICT DO NOTHING for an old that is nil: swapped if a row was affected
//	etcd   Get; and Txn with Compare(Value(key), "=", old) or Compare(Version(key), "=", 0)
//
// Its methods are called by many goroutines at once.
type Store interface {
	// Load returns the state of key, or none if there is no such key. It may be out of date, as
	// from a replica: what a stale state admits, CompareAndSwap refuses.
	Load(ctx context.Context, key string) (state []byte, err error)

	// CompareAndSwap replaces the state of key by next if it is old, and reports whether it did.
	// An old of no bytes stands for a key that does not exist. It must be atomic and may forget the key
	// after ttl, not before; if ttl is 0, never. An error means that it is not known
	// whether next was stored.
	CompareAndSwap(ctx context.Context, key string, old, next []byte, ttl time.Duration) (bool, error)
}

// NewMemStore returns a Store in memory: for tests, and to see how a Store behaves. It forgets
// keys whose time is over, so that it holds at most twice as many as are in use, or 64. If opts is nil, the
// defaults are used.
func NewMemStore(opts *Options) Store {
	m := &memStore{now: time.Now, entries: map[string]memEntry{}}
	if opts != nil && opts.Now != nil {
		m.now = opts.Now
	}
	return m
}

type memStore struct {
	now func() time.Time

	mu      sync.Mutex // protects what follows
	entries map[string]memEntry
	sweepAt int // the number of entries at which those whose time is over go
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
	return slices.Clone(m.lookLocked(key, now)), ctx.Err()
}

// lookLocked returns the state of key, nil if it is absent or its time is over.
func (m *memStore) lookLocked(key string, now time.Time) []byte {
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
	if !bytes.Equal(m.lookLocked(key, now), old) {
		return false, nil
	}
	e := memEntry{state: slices.Clone(next)}
	if ttl > 0 {
		e.end = now.Add(ttl)
	}
	m.entries[key] = e
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
