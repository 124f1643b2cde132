// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ashlar-go/ashlar/ratelimit"
)

// redisStore keeps the buckets of a [ratelimit.Shared] in Redis, or in a
// cluster of it: one key a bucket.
type redisStore struct{ client redis.UniversalClient }

// newRedisStore returns a store at addr. The client does not try again by
// itself: a swap that is repeated finds its own state.
func newRedisStore(addr string) *redisStore {
	redis.SetLogger(quiet{})
	return &redisStore{redis.NewClient(&redis.Options{
		Addr: addr, MaxRetries: -1, DialerRetries: 1, DialTimeout: time.Second, ReadTimeout: time.Second, WriteTimeout: time.Second,
	})}
}

// quiet is for the client of Redis, which tells a log of what it returns as an
// error as well.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// swap replaces a value that is what somebody has read.
var swap = redis.NewScript(`
if (redis.call("GET", KEYS[1]) or "") ~= ARGV[1] then return 0 end
if ARGV[3] == "0" then redis.call("SET", KEYS[1], ARGV[2])
else redis.call("SET", KEYS[1], ARGV[2], "PX", ARGV[3]) end
return 1`)

func (s *redisStore) Load(ctx context.Context, key string) ([]byte, error) {
	state, err := s.client.Get(ctx, key).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	return state, err
}

func (s *redisStore) CompareAndSwap(ctx context.Context, key string, old, next []byte, ttl time.Duration) (bool, error) {
	n, err := swap.Run(ctx, s.client, []string{key}, old, next, (ttl + time.Millisecond - 1).Milliseconds()).Int()
	return n == 1, err
}

// now is the clock of the server, which all processes share.
func (s *redisStore) now(ctx context.Context) (time.Time, error) { return s.client.Time(ctx).Result() }

func (s *redisStore) close() { _ = s.client.Close() }

var _ ratelimit.Store = (*redisStore)(nil)
