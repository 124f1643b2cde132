// SPDX-License-Identifier: MIT

package main

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/ashlar-go/ashlar/consistenthash"
)

// A hashRing tells a [redis.Ring] the shard of a key: give newHashRing as
// RingOptions.NewConsistentHash. The Ring asks for a new one when a shard dies
// or comes back.
type hashRing struct{ snapshot *consistenthash.Snapshot }

func newHashRing(shards []string) redis.ConsistentHash {
	nodes := make([]consistenthash.Node, len(shards))
	for i, name := range shards {
		nodes[i].Name = name
	}
	s, err := consistenthash.NewSnapshot(nil, nodes...)
	if err != nil {
		panic(err) // a shard without a name: the program is wrong
	}
	return hashRing{s}
}

// Get returns the shard of key, or "" if there is none.
func (h hashRing) Get(key string) string {
	shard, _ := h.snapshot.Get(key)
	return shard
}

// A heart is the heartbeat of a [redis.Ring]: give its beat as
// RingOptions.HeartbeatFn. While a shard was away its keys were written
// elsewhere, so it comes back empty. It is for one Ring, which calls it from
// one goroutine. Use newHeart.
type heart struct {
	empty func(ctx context.Context, shard *redis.Client) error
	away  map[*redis.Client]bool
}

func newHeart() *heart {
	return &heart{
		empty: func(ctx context.Context, shard *redis.Client) error { return shard.FlushAll(ctx).Err() },
		away:  map[*redis.Client]bool{},
	}
}

// beat reports whether a shard is to be asked.
func (h *heart) beat(ctx context.Context, shard *redis.Client) bool {
	up := shard.Ping(ctx).Err() == nil
	if up && h.away[shard] {
		up = h.empty(ctx, shard) == nil // the Ring does not ask it yet
	}
	h.away[shard] = !up
	return up
}
