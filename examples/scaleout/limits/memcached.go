// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/ashlar-go/ashlar/ratelimit"
)

// memcachedStore keeps the buckets of a [ratelimit.Shared] in memcached, which
// forgets them when it restarts, and when it needs the memory for others: each
// time, a key gets one more burst.
type memcachedStore struct{ client *memcache.Client }

// newMemcachedStore returns a store at addr. The client has no contexts: its
// timeout is for each step.
func newMemcachedStore(addr string) *memcachedStore {
	c := memcache.New(addr)
	c.Timeout = time.Second
	return &memcachedStore{c}
}

// name returns the key as memcached takes it: of at most 250 bytes, without
// spaces.
func (s *memcachedStore) name(key string) string {
	sum := sha256.Sum256([]byte(key))
	return "rl:" + hex.EncodeToString(sum[:])
}

func (s *memcachedStore) Load(ctx context.Context, key string) ([]byte, error) {
	item, err := s.get(ctx, key)
	if err != nil || item == nil {
		return nil, err
	}
	return item.Value, nil
}

// get returns the item of key, or nil if there is none.
func (s *memcachedStore) get(ctx context.Context, key string) (*memcache.Item, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	item, err := s.client.Get(s.name(key))
	if errors.Is(err, memcache.ErrCacheMiss) {
		return nil, nil
	}
	return item, err
}

// CompareAndSwap reads the item once more: memcached compares a number that a
// reader gets, not the value.
func (s *memcachedStore) CompareAndSwap(ctx context.Context, key string, old, next []byte, ttl time.Duration) (bool, error) {
	if len(old) == 0 {
		err := s.client.Add(&memcache.Item{Key: s.name(key), Value: next, Expiration: seconds(ttl)})
		return swapped(err)
	}
	item, err := s.get(ctx, key)
	if err != nil || item == nil || !bytes.Equal(item.Value, old) {
		return false, err
	}
	item.Value = next
	item.Expiration = seconds(ttl)
	return swapped(s.client.CompareAndSwap(item))
}

// swapped reads the answer to a swap.
func swapped(err error) (bool, error) {
	for _, refused := range []error{memcache.ErrNotStored, memcache.ErrCASConflict, memcache.ErrCacheMiss} {
		if errors.Is(err, refused) {
			return false, nil
		}
	}
	return err == nil, err
}

// seconds returns ttl as memcached takes it: whole seconds, not less; a time of
// the clock if it is more than 30 days; 0 is without end. It counts in seconds
// that have begun, so one more keeps the promise.
func seconds(ttl time.Duration) int32 {
	const month = 30 * 24 * time.Hour
	if ttl <= 0 {
		return 0
	}
	n := int64((ttl+time.Second-1)/time.Second) + 1
	if ttl+time.Second >= month {
		n += time.Now().Unix()
	}
	return int32(min(n, 1<<31-1))
}

func (s *memcachedStore) close() { _ = s.client.Close() }

var _ ratelimit.Store = (*memcachedStore)(nil)
