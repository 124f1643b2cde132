// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/redis/go-redis/v9"

	"github.com/ashlar-go/ashlar/consistenthash"
)

// ringKV are keys behind a [redis.Ring].
type ringKV struct{ ring *redis.Ring }

func (s ringKV) Get(ctx context.Context, key string) (string, error) {
	value, err := s.ring.Get(ctx, key).Result()
	if errors.Is(err, redis.Nil) {
		return "", errMiss
	}
	return value, err
}

func (s ringKV) Set(ctx context.Context, key, value string) error {
	return s.ring.Set(ctx, key, value, 0).Err()
}

func (s ringKV) Add(ctx context.Context, key, value string) error {
	return s.ring.SetNX(ctx, key, value, 0).Err()
}

func (s ringKV) Delete(ctx context.Context, key string) error { return s.ring.Del(ctx, key).Err() }

// modulo is no consistent hash.
type modulo []string

func (m modulo) Get(key string) string {
	return m[int(crc32.ChecksumIEEE([]byte(key)))%len(m)]
}

// playRing changes the members of a [redis.Ring].
func (c *config) playRing(ctx context.Context, stdout io.Writer) (err error) {
	f, err := newFleet(ctx, "r1", "r2", "r3")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	addrs := func() map[string]string {
		m := map[string]string{}
		for label, member := range f.members {
			m[label] = member.server.Addr
		}
		return m
	}

	// The Ring, and what it makes of its members.
	var snapshot atomic.Pointer[consistenthash.Snapshot]
	h := newHeart()
	if c.bad.keepOld {
		h.empty = func(context.Context, *redis.Client) error { return nil }
	}
	ring := redis.NewRing(&redis.RingOptions{
		Addrs: addrs(), HeartbeatFn: h.beat, HeartbeatFrequency: 20 * time.Millisecond,
		MaxRetries: -1, DialerRetries: 1, DialTimeout: time.Second,
		NewConsistentHash: func(shards []string) redis.ConsistentHash {
			hash := newHashRing(shards)
			snapshot.Store(hash.(hashRing).snapshot)
			if c.bad.modulo {
				slices.Sort(shards)
				return modulo(shards)
			}
			return hash
		},
	})
	defer func() { err = errors.Join(err, ring.Close()) }()
	t := &trial{
		router: router{
			kv: ringKV{ring}, labelOf: func(node string) string { return node },
			ring: func() *consistenthash.Snapshot {
				s := snapshot.Load()
				ring.Len() // waits until the Ring has it, too
				return s
			},
		},
		fleet: f, keys: keysOf(c.keys), bad: c.bad, out: stdout,
	}

	t.header("redis.Ring, three Redis")
	return t.happen(ctx, "r", func() error {
		ring.SetAddrs(addrs())
		return nil
	}, func() error { return nil })
}

// playMemcached changes the servers of a [memcache.Client].
func (c *config) playMemcached(ctx context.Context, stdout io.Writer) (err error) {
	f, err := newFleet(ctx, "m1", "m2", "m3", "m4", "m5")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	nodes := func() (nodes []consistenthash.Node) {
		for _, m := range f.members {
			nodes = append(nodes, consistenthash.Node{Name: m.server.Addr})
		}
		return nodes
	}
	s, err := newSelector(3, nodes()...)
	if err != nil {
		return err
	}
	client := newMemcached(memcache.NewFromSelector(s))
	client.DialContext = s.Dial
	defer func() { err = errors.Join(err, client.Close()) }()

	labels := map[string]string{}
	t := &trial{
		router: router{
			kv: memcachedKV{client}, ring: func() *consistenthash.Snapshot { return s.view.Load().ring },
			labelOf: func(node string) string {
				for label, m := range f.members {
					labels[m.server.Addr] = label
				}
				return labels[node]
			},
		},
		fleet: f, keys: keysOf(c.keys), bad: c.bad, out: stdout,
	}
	t.header("memcache.Client, five memcached")
	set := func() error { return s.Set(nodes()...) }
	back := func() error {
		// Connections that wait to be used again are those of the dead server.
		return errors.Join(client.Close(), set())
	}
	if err := t.happen(ctx, "m", set, back); err != nil {
		return err
	}
	if err := agree(600, 300, 200, 350, 1000, 800, 950, 100); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "law holds: places are those of libmemcached (%d keys that it publishes)\n", len(published))
	return nil
}

// happen lets members die, come back, join and leave. Members that are told of
// are set; one that comes back is noticed by some routers by themselves.
func (t *trial) happen(ctx context.Context, kind string, set, back func() error) error {
	if err := t.fill(ctx); err != nil {
		return err
	}
	if err := t.audit(ctx); err != nil {
		return err
	}
	n := len(t.members)
	dead, joiner := kind+"2", fmt.Sprintf("%s%d", kind, n+1)
	for _, c := range []change{
		{"dies", dead, n - 1, func() error { return t.members[dead].server.Kill() }},
		{"comes back", dead, n, func() error { return errors.Join(t.members[dead].server.Restart(ctx), back()) }},
		{"joins", joiner, n + 1, func() error {
			_, err := t.start(ctx, joiner)
			return errors.Join(err, set())
		}},
		{"leaves", joiner, n, func() error { return errors.Join(t.stop(joiner), set()) }},
	} {
		if err := t.step(ctx, c); err != nil {
			return err
		}
	}
	t.done()
	return nil
}

// published are keys and their servers from the tests of libmemcached, with
// MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED and eight servers of certain weights.
var published = map[string]string{
	"SVa_]_V41)": "10.0.1.7:11211",
	`*/Z;?V(.\8`: "10.0.1.1:11211",
	"30C1*Z*S/_": "10.0.1.2:11211",
	"ERR:EC58G>": "10.0.1.7:11211",
}

// agree compares a selector with libmemcached.
func agree(weights ...float64) error {
	var nodes []consistenthash.Node
	for i, w := range weights {
		nodes = append(nodes, consistenthash.Node{Name: fmt.Sprintf("10.0.1.%d:11211", i+1), Weight: w})
	}
	s, err := newSelector(1, nodes...)
	if err != nil {
		return err
	}
	for key, want := range published {
		if got, err := s.PickServer(key); err != nil || got.String() != want {
			return fmt.Errorf("law broken: %q is at %v (%v), and libmemcached says %s", key, got, err, want)
		}
	}
	return nil
}
