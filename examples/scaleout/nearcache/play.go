// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ashlar-go/ashlar/examples/scaleout/servers"
	"github.com/ashlar-go/ashlar/lru"
)

// The load: each node has two that read, and one that writes.
const (
	readers   = 2
	readBatch = 10 // reads between two pauses of a millisecond
	writeEach = 4 * time.Millisecond
	tagEach   = 20 // one write in so many is of a tag
	tags      = 16
)

// A world is the server and the nodes.
type world struct {
	*config
	way    string
	judge  *judge
	server *servers.Server
	direct *redis.Client // of nobody
	nodes  []*node
	phases []*phase
	now    atomic.Pointer[phase] // the one that is on
}

// A node is a process: here, a part of this one.
type node struct {
	near     *Near
	client   *redis.Client
	feed     *servers.Proxy // which the subscription goes through
	observer *observer
}

// A phase is what happens for some time.
type phase struct {
	name                        string
	reads, errors, stale, wrote atomic.Int64
	oldest                      atomic.Int64 // in nanoseconds
	hits, calls, around, subs   uint64       // of all nodes
}

// quiet is for the client of Redis, which tells a log of what it returns as an
// error as well.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// nameOf returns the name of a key, and tagOf its tag.
func nameOf(key int) string { return "page:" + strconv.Itoa(key) }

func tagOf(key int) string { return "topic" + strconv.Itoa(key%tags) }

// numberOf returns the key of a name.
func numberOf(name string) (int, bool) {
	text, ok := strings.CutPrefix(name, "page:")
	key, err := strconv.Atoi(text)
	return key, ok && err == nil
}

// play starts the server and the nodes, lets happen what is to happen, and
// judges.
func (c *config) play(ctx context.Context, way string, stdout io.Writer) (err error) {
	redis.SetLogger(quiet{})
	dir, err := os.MkdirTemp("", "nearcache-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	w := &world{config: c, way: way, judge: newJudge(c.keys, c.lease)}
	if w.server, err = servers.Start(ctx, servers.Redis, dir); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.server.Stop()) }()
	w.direct = w.newClient(10 * time.Second)
	defer func() { err = errors.Join(err, w.direct.Close()) }()

	// The nodes, and their subscriptions.
	ctx, cancel := context.WithCancel(ctx)
	var subscriptions sync.WaitGroup
	defer func() {
		cancel()
		subscriptions.Wait()
		for _, n := range w.nodes {
			err = errors.Join(err, n.client.Close(), n.feed.Close())
		}
	}()
	if err := w.fill(ctx); err != nil {
		return err
	}
	for i := range c.nodes {
		n, err := w.newNode(ctx, i)
		if err != nil {
			return err
		}
		w.nodes = append(w.nodes, n)
		subscriptions.Go(func() { n.near.Run(ctx) }) // ends with ctx
	}
	if err := w.awaitFresh(ctx); err != nil {
		return err
	}
	if err := w.happen(ctx); err != nil {
		return err
	}
	w.print(stdout)
	return w.verdict(stdout)
}

// newClient returns a client that waits no longer than that for an answer.
func (w *world) newClient(timeout time.Duration) *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr: w.server.Addr, MaxRetries: -1, DialerRetries: 1,
		DialTimeout: timeout, ReadTimeout: timeout, WriteTimeout: timeout,
	})
}

func (w *world) newNode(ctx context.Context, i int) (*node, error) {
	feed, err := servers.NewProxy(ctx, w.server.Addr, 0)
	if err != nil {
		return nil, err
	}
	o := &observer{
		judge: w.judge, name: fmt.Sprintf("node %d", i+1), floors: make([]floor, w.keys), tagKeys: map[string][]int{},
		asked: make([]int64, w.keys), base: make([]int64, w.keys), count: make([]int64, w.keys),
	}
	o.down.Store(true)
	for key := range w.keys {
		o.tagKeys[tagOf(key)] = append(o.tagKeys[tagOf(key)], key)
	}
	n := &node{client: w.newClient(w.lease), feed: feed, observer: o}
	n.near = NewNear(n.client, NearOptions{
		Capacity: w.keys, Lease: w.lease, Tracking: w.way == "tracking", Prefix: "page:",
		FeedAddr: feed.Addr, OnEvent: o.event, bad: w.bad,
		Tags: func(name string, _ []byte) []string {
			key, _ := numberOf(name)
			return []string{tagOf(key)}
		},
	})
	return n, nil
}

// fill makes the first version of each key.
func (w *world) fill(ctx context.Context) error {
	_, err := w.direct.Pipelined(ctx, func(p redis.Pipeliner) error {
		for key := range w.keys {
			p.Incr(ctx, nameOf(key))
		}
		return nil
	})
	for key := range w.keys {
		w.judge.acked(key, 1)
	}
	return err
}

// awaitFresh waits until all nodes have a valid lease, and can read: a client
// that could not connect does not try for a second.
func (w *world) awaitFresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for _, n := range w.nodes {
		for !n.near.Fresh() || n.client.Ping(ctx).Err() != nil {
			if pause(ctx, time.Millisecond); ctx.Err() != nil {
				return fmt.Errorf("%s has no subscription: %w", n.observer.name, ctx.Err())
			}
		}
	}
	return nil
}

// happen runs the load, and what happens meanwhile.
func (w *world) happen(ctx context.Context) error {
	load, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	before := w.counters()
	for i, name := range append([]string{"calm"}, w.events...) {
		p := &phase{name: name}
		w.phases = append(w.phases, p)
		w.now.Store(p)
		if i == 0 {
			w.start(load, &wg)
		}
		if err := w.event(ctx, name); err != nil {
			return err
		}
		if err := w.awaitFresh(ctx); err != nil {
			return err
		}
		pause(ctx, w.lease) // the cache is used again

		after := w.counters()
		p.hits, p.calls, p.around, p.subs = after[0]-before[0], after[1]-before[1], after[2]-before[2], after[3]-before[3]
		before = after
	}
	cancel()
	wg.Wait()
	return w.settle(ctx)
}

// counters returns what the nodes have counted: hits, calls of Redis, those of
// them around the cache, and subscriptions.
func (w *world) counters() (sums [4]uint64) {
	for _, n := range w.nodes {
		s := n.near.cache.Stats()
		around := n.near.bypassed.Load()
		sums[0] += s.Hits
		sums[1] += s.Loads + around
		sums[2] += around
		sums[3] += n.near.sessions.Load()
	}
	return sums
}

// event lets happen what is to happen: it is over after a half.
func (w *world) event(ctx context.Context, name string) (err error) {
	half := w.time / 2
	switch name {
	case "cut":
		err = w.direct.ClientKillByFilter(ctx, "TYPE", "pubsub").Err()
		pause(ctx, half)
	case "silent":
		w.nodes[0].feed.Hold()
		pause(ctx, half)
		w.nodes[0].feed.Release()
	case "stop":
		err = w.server.Pause()
		pause(ctx, half)
		err = errors.Join(err, w.server.Continue())
	case "kill":
		err = w.server.Kill()
		pause(ctx, half)
		err = errors.Join(err, w.server.Restart(ctx))
	default:
		pause(ctx, half)
	}
	pause(ctx, half)
	return errors.Join(err, ctx.Err())
}

// start starts those who read and write, until ctx ends.
func (w *world) start(ctx context.Context, wg *sync.WaitGroup) {
	for i, n := range w.nodes {
		for r := range readers {
			rng := rand.New(rand.NewPCG(uint64(i), uint64(r)))
			wg.Go(func() { w.read(ctx, n, rng) }) // ends with ctx
		}
		rng := rand.New(rand.NewPCG(uint64(i), readers))
		wg.Go(func() { w.write(ctx, n, rng) }) // ends with ctx
	}
}

// read reads until ctx ends, some keys much more often than others.
func (w *world) read(ctx context.Context, n *node, rng *rand.Rand) {
	keys := rand.NewZipf(rng, 1.1, 8, uint64(w.keys-1))
	for i := 1; ctx.Err() == nil; i++ {
		if i%readBatch == 0 {
			pause(ctx, time.Millisecond)
		}
		p := w.now.Load()
		age, err := n.read(ctx, int(keys.Uint64()))
		if err != nil {
			p.errors.Add(1)
			pause(ctx, time.Millisecond)
			continue
		}
		p.reads.Add(1)
		if age > 0 {
			p.stale.Add(1)
			raise(&p.oldest, int64(age))
		}
	}
}

// read reads a key, and has it checked.
func (n *node) read(ctx context.Context, key int) (age time.Duration, err error) {
	r := n.observer.begin(key)
	value, err := n.near.Load(ctx, nameOf(key))
	if err != nil && !errors.Is(err, lru.ErrNotFound) {
		return 0, err
	}
	version := int64(0)
	if err == nil {
		if version, err = strconv.ParseInt(string(value), 10, 64); err != nil {
			return 0, err
		}
	}
	return n.observer.end(&r, version), nil
}

// write writes until ctx ends.
func (w *world) write(ctx context.Context, n *node, rng *rand.Rand) {
	for i := 1; ctx.Err() == nil; i++ {
		p := w.now.Load()
		key := rng.IntN(w.keys)
		keys := []int{key}
		if i%tagEach == 0 {
			keys = n.observer.tagKeys[tagOf(key)]
		}
		if err := n.write(ctx, keys); err == nil {
			p.wrote.Add(1)
			_, _ = n.read(ctx, key) // its own write; the observer notes what is wrong
		}
		pause(ctx, writeEach)
	}
}

// write writes a key, or all keys of a tag. If it fails, nobody knows which
// version there is: the next one tells.
func (n *node) write(ctx context.Context, keys []int) error {
	versions := make([]*redis.IntCmd, len(keys))
	commands := func(p redis.Pipeliner) {
		for i, key := range keys {
			versions[i] = p.Incr(ctx, nameOf(key))
		}
	}
	var err error
	if len(keys) == 1 {
		err = n.near.Write(ctx, commands, nameOf(keys[0]))
	} else {
		err = n.near.WriteTag(ctx, commands, tagOf(keys[0]))
	}
	if err != nil {
		return err
	}
	for i, key := range keys {
		n.observer.wrote(key, versions[i].Val())
	}
	return nil
}

// settle waits for a lease without writes, and compares with Redis.
func (w *world) settle(ctx context.Context) error {
	pause(ctx, w.lease)
	if err := w.awaitFresh(ctx); err != nil {
		return err
	}
	for key := range w.keys {
		want, err := w.direct.Get(ctx, nameOf(key)).Result()
		if err != nil {
			return err
		}

		for _, n := range w.nodes {
			got, err := n.near.Load(ctx, nameOf(key))
			for range 10 { // a busy machine may take longer than a lease
				if err == nil {
					break
				}
				got, err = n.near.Load(ctx, nameOf(key))
			}
			if err != nil {
				return err
			}
			if string(got) != want {
				w.judge.violated(settled, "%s has version %s of key %d, and Redis %s", n.observer.name, got, key, want)
			}
		}
	}
	return nil
}

// print writes what happened. All figures differ from run to run.
func (w *world) print(out io.Writer) {
	fmt.Fprintf(out, "%s: %d nodes, %d keys, lease %v\n\n", w.way, w.config.nodes, w.keys, w.lease)
	fmt.Fprintf(out, "%-7s %8s %7s %8s %8s %7s %7s %7s %7s %9s %9s\n",
		"", "reads", "failed", "calls", "around", "saved", "writes", "subscr.", "stale", "of reads", "oldest")
	for _, p := range w.phases {
		reads, failed := p.reads.Load(), p.errors.Load()
		saved := 1 - float64(p.calls)/float64(max(1, reads+failed))
		stale := float64(p.stale.Load()) / float64(max(1, reads))
		fmt.Fprintf(out, "%-7s %8d %7d %8d %8d %5.1f %% %7d %7d %7d %7.3f %% %9v\n",
			p.name, reads, failed, p.calls, p.around, 100*saved, p.wrote.Load(),
			p.subs, p.stale.Load(), 100*stale, time.Duration(p.oldest.Load()).Round(10*time.Microsecond))
	}
	fmt.Fprintln(out)
}

// verdict says which laws hold.
func (w *world) verdict(out io.Writer) error {
	for l, text := range lawTexts {
		if what := w.judge.broken[l]; what != "" {
			return fmt.Errorf("law broken: %s: %s", text, what)
		}
		fmt.Fprintf(out, "law holds: %s\n", text)
	}
	for _, p := range w.phases {
		if p.reads.Load() == 0 || p.hits == 0 {
			return fmt.Errorf("law broken: %s: the cache was not used", p.name)
		}
		if (p.name == "cut" || p.name == "kill") && p.subs < uint64(w.config.nodes) {
			return fmt.Errorf("law broken: %s: of %d subscriptions %d came back", p.name, w.config.nodes, p.subs)
		}
	}
	fmt.Fprintln(out, "law holds: a subscription that is lost comes back, and the cache is used")
	return nil
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
