// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/redis/go-redis/v9"

	"github.com/ashlar-go/ashlar/examples/scaleout/servers"
)

// A fleet is servers that were started.
type fleet struct {
	dir     string
	members map[string]*member // by label
}

// A member is a server, and a client that asks it and no other.
type member struct {
	label  string // such as m3
	server *servers.Server
	redis  *redis.Client    // or nil
	cache  *memcache.Client // or nil
	store  kv
}

// quiet is for the client of Redis, which tells a log of what it returns as an
// error as well.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// newFleet starts servers with these labels: r for a Redis, m for a memcached.
func newFleet(ctx context.Context, labels ...string) (*fleet, error) {
	redis.SetLogger(quiet{})
	dir, err := os.MkdirTemp("", "shards-")
	if err != nil {
		return nil, err
	}
	f := &fleet{dir: dir, members: map[string]*member{}}
	for _, label := range labels {
		if _, err := f.start(ctx, label); err != nil {
			return nil, errors.Join(err, f.close())
		}
	}
	return f, nil
}

// start starts one more.
func (f *fleet) start(ctx context.Context, label string) (*member, error) {
	dir := filepath.Join(f.dir, label)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	m := &member{label: label}
	f.members[label] = m
	kind := servers.Redis
	if label[0] == 'm' {
		kind = servers.Memcached
	}
	var err error
	if m.server, err = servers.Start(ctx, kind, dir); err != nil {
		return nil, err
	}
	if kind == servers.Redis {
		m.redis = newRedis(m.server.Addr)
		m.store = redisKV{m.redis}
	} else {
		m.cache = newMemcached(memcache.New(m.server.Addr))
		m.store = memcachedKV{m.cache}
	}
	return m, nil
}

func newRedis(addr string) *redis.Client {
	return redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, DialerRetries: 1, DialTimeout: time.Second})
}

// newMemcached sets up a client of memcached.
func newMemcached(c *memcache.Client) *memcache.Client {
	c.Timeout = time.Second
	c.MaxIdleConns = parallel
	return c
}

// stop ends a member for good.
func (f *fleet) stop(label string) (err error) {
	m := f.members[label]
	delete(f.members, label)
	if m.redis != nil {
		err = m.redis.Close()
	}
	if m.cache != nil {
		err = m.cache.Close()
	}
	if m.server != nil {
		err = errors.Join(err, m.server.Stop())
	}
	return err
}

// close ends all, and removes their files.
func (f *fleet) close() (err error) {
	for label := range f.members {
		err = errors.Join(err, f.stop(label))
	}
	return errors.Join(err, os.RemoveAll(f.dir))
}

// contents returns which of all keys a server has, by its own word.
func (m *member) contents(ctx context.Context, all []string) (map[string]bool, error) {
	keys := map[string]bool{}
	if m.redis != nil {
		list, err := m.redis.Keys(ctx, "*").Result()
		for _, key := range list {
			keys[key] = true
		}
		return keys, err
	}

	// A memcached has no reliable list of its keys. But it counts them.
	client := newMemcached(memcache.New(m.server.Addr))
	defer client.Close()
	for part := range slices.Chunk(all, 100) {
		items, err := client.GetMulti(part)
		if err != nil {
			return nil, err
		}
		for key := range items {
			keys[key] = true
		}
	}
	n, err := countItems(ctx, m.server.Addr)
	if err == nil && n != len(keys) {
		err = fmt.Errorf("law broken: %s has %d keys, %d of ours", m.label, n, len(keys))
	}
	return keys, err
}

// countItems asks a memcached how many keys it has. Its client has no such
// command.
func countItems(ctx context.Context, addr string) (n int, err error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return 0, err
	}
	if _, err := conn.Write([]byte("stats\r\n")); err != nil {
		return 0, err
	}
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), "STAT curr_items "); ok {
			return strconv.Atoi(text)
		}
	}
	return 0, errors.Join(lines.Err(), errors.New("memcached does not tell how many keys it has"))
}

// parallel is how many keys are read or written at a time.
const parallel = 16

// each calls f for each key, several at a time, and returns what failed first.
func each(keys []string, f func(key string) error) error {
	work := make(chan string)
	failed := make(chan error, parallel)
	var wg sync.WaitGroup
	for range parallel {
		wg.Go(func() { // ends when work is closed
			var first error
			for key := range work {
				if err := f(key); err != nil && first == nil {
					first = fmt.Errorf("%s: %w", key, err)
				}
			}
			failed <- first
		})
	}

	for _, key := range keys {
		work <- key
	}
	close(work)
	wg.Wait()
	close(failed)
	for err := range failed {
		if err != nil {
			return err
		}
	}
	return nil
}

// keysOf returns names of n keys.
func keysOf(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = "user:" + strconv.Itoa(i)
	}
	return keys
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
