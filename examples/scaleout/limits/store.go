// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/ashlar-go/ashlar/breaker"
	"github.com/ashlar-go/ashlar/ratelimit"
)

// A store is a [ratelimit.Store] and the clock of its server, if it has one.
type store struct {
	ratelimit.Store
	now   func(context.Context) (time.Time, error) // nil if the server tells no time
	close func()
}

// open returns the store of that kind at addr.
func open(ctx context.Context, kind, addr string) (*store, error) {
	switch kind {
	case "redis":
		s := newRedisStore(addr)
		return &store{s, s.now, s.close}, nil
	case "memcached":
		s := newMemcachedStore(addr)
		return &store{s, nil, s.close}, nil
	case "postgres":
		s, err := newPostgresStore(ctx, "postgres://postgres@"+addr+"/postgres?sslmode=disable")
		if err != nil {
			return nil, err
		}
		return &store{s, s.now, s.close}, nil
	}
	return nil, fmt.Errorf("no store %q", kind)
}

// A guarded store is asked only while its breaker lets calls pass: a store that
// is dead must not cost each request a timeout.
type guarded struct {
	store   ratelimit.Store
	breaker *breaker.Breaker
}

func (g *guarded) Load(ctx context.Context, key string) ([]byte, error) {
	return breaker.Do(ctx, g.breaker, func(ctx context.Context) ([]byte, error) { return g.store.Load(ctx, key) })
}

func (g *guarded) CompareAndSwap(ctx context.Context, key string, old, next []byte, ttl time.Duration) (bool, error) {
	return breaker.Do(ctx, g.breaker, func(ctx context.Context) (bool, error) {
		return g.store.CompareAndSwap(ctx, key, old, next, ttl)
	})
}
