// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ashlar-go/ashlar/quorum"
)

// A redisAcceptor is a [quorum.Acceptor] that keeps its slots in one Redis,
// which must sync each write (appendfsync always). It is a server of its own: a
// follower of another would make two replicas of one.
type redisAcceptor[V any] struct{ client *redis.Client }

// newRedisAcceptor returns an acceptor at addr.
func newRedisAcceptor[V any](addr string, timeout time.Duration) *redisAcceptor[V] {
	redis.SetLogger(quiet{})
	return &redisAcceptor[V]{redis.NewClient(&redis.Options{
		Addr: addr, MaxRetries: -1, DialerRetries: 1, DialTimeout: timeout, ReadTimeout: timeout, WriteTimeout: timeout,
		ContextTimeoutEnabled: true,
	})}
}

// quiet is for the client of Redis, which tells a log of what it returns as an
// error as well.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// swapSlot replaces a slot that is what somebody has read.
var swapSlot = redis.NewScript(`
if (redis.call("GET", KEYS[1]) or "") ~= ARGV[1] then return 0 end
redis.call("SET", KEYS[1], ARGV[2])
return 1`)

func (a *redisAcceptor[V]) Prepare(ctx context.Context, key string, b quorum.Ballot) (answer quorum.Slot[V], err error) {
	err = a.change(ctx, key, func(s *quorum.Slot[V]) { answer = s.Prepare(b) })
	return answer, err
}

func (a *redisAcceptor[V]) Accept(ctx context.Context, key string, p quorum.Slot[V]) (answer quorum.Ballot, err error) {
	err = a.change(ctx, key, func(s *quorum.Slot[V]) { answer = s.Accept(p) })
	return answer, err
}

// change does f to a slot, again if another has changed it meanwhile.
func (a *redisAcceptor[V]) change(ctx context.Context, key string, f func(*quorum.Slot[V])) error {
	key = "quorum:" + key
	for {
		old, err := a.client.Get(ctx, key).Bytes()
		if err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
		var s quorum.Slot[V]
		if len(old) > 0 {
			if err := json.Unmarshal(old, &s); err != nil {
				return err
			}
		}
		f(&s)
		next, err := json.Marshal(s)
		if err != nil || bytes.Equal(old, next) {
			return err
		}
		if n, err := swapSlot.Run(ctx, a.client, []string{key}, old, next).Int(); n == 1 || err != nil {
			return err
		}
	}
}

func (a *redisAcceptor[V]) close() { _ = a.client.Close() }

var _ quorum.Acceptor[string, int] = (*redisAcceptor[int])(nil)
