// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/redis/go-redis/v9"
)

// redisKV is a Redis of a Pool.
type redisKV struct{ client *redis.Client }

func (s redisKV) Get(ctx context.Context, key string) (string, error) {
	value, err := s.client.Get(ctx, key).Result()
	if errors.Is(err, redis.Nil) {
		return "", errMiss
	}
	return value, err
}

func (s redisKV) Set(ctx context.Context, key, value string) error {
	return s.client.Set(ctx, key, value, 0).Err()
}

func (s redisKV) Add(ctx context.Context, key, value string) error {
	return s.client.SetNX(ctx, key, value, 0).Err()
}

func (s redisKV) Delete(ctx context.Context, key string) error { return s.client.Del(ctx, key).Err() }

// memcachedKV is a memcached of a Pool, whose client has no contexts.
type memcachedKV struct{ client *memcache.Client }

func (s memcachedKV) Get(_ context.Context, key string) (string, error) {
	item, err := s.client.Get(key)
	if errors.Is(err, memcache.ErrCacheMiss) {
		return "", errMiss
	}
	if err != nil {
		return "", err
	}
	return string(item.Value), nil
}

func (s memcachedKV) Set(_ context.Context, key, value string) error {
	return s.client.Set(&memcache.Item{Key: key, Value: []byte(value)})
}

func (s memcachedKV) Add(_ context.Context, key, value string) error {
	err := s.client.Add(&memcache.Item{Key: key, Value: []byte(value)})
	if errors.Is(err, memcache.ErrNotStored) {
		return nil
	}
	return err
}

func (s memcachedKV) Delete(_ context.Context, key string) error {
	err := s.client.Delete(key)
	if errors.Is(err, memcache.ErrCacheMiss) {
		return nil
	}
	return err
}
