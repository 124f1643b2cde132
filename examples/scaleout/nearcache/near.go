// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ashlar-go/ashlar/lru"
)

// A Near is a cache in this process before Redis, which tells it of each key
// that changes. A read that begins a Lease after a write was acknowledged never
// returns an older value, whatever becomes of the connection; usually the time
// is that of a message. A read by the node that wrote returns its write.
//
// The cache is read only while the lease is valid: a PONG on the connection of
// the subscription comes after all messages that Redis sent before, and extends
// the lease to Lease after the PING. Without one, reads go to Redis. A new
// subscription begins with an empty cache.
//
// It is safe for concurrent use by multiple goroutines. Use NewNear.
type Near struct {
	client *redis.Client
	feed   *redis.Client // for the subscription
	cache  *lru.Cache[string, []byte]
	opts   NearOptions
	base   time.Time
	until  atomic.Int64 // the end of the lease, in nanoseconds since base

	bypassed, messages, sessions atomic.Uint64
}

// NearOptions are the settings of a Near.
type NearOptions struct {
	// Capacity is the number of values in the cache.
	Capacity int

	// Lease bounds the age of what is read. Four times in a lease a PING is
	// sent.
	Lease time.Duration

	// Tracking makes the server find out which keys change, whoever changes
	// them: SET at a terminal, the end of a time to live, eviction, FLUSHALL.
	// If false, Write publishes the names, and all writers must use it.
	Tracking bool

	// Prefix is that of the keys. If empty, all keys are tracked.
	Prefix string

	// Tags returns the tags of a key, for WriteTag. If nil, none.
	Tags func(key string, value []byte) []string

	// OnEvent is called in the goroutine of Run, after the fact. If nil, it is
	// not called.
	OnEvent func(e Event, name string)

	// FeedAddr is the address for the subscription. If empty, that of the
	// client.
	FeedAddr string

	bad faults
}

// An Event is what happens to a Near.
type Event int

// The events.
const (
	Subscribing Event = iota // a new subscription is asked for
	Subscribed               // Redis has confirmed it, and the cache is empty
	Lost                     // the subscription, or an attempt at one
	Key                      // that name has changed
	Tag                      // keys of the tag of that name have changed
)

// faults are what tests break.
type faults struct {
	noLease      bool // a subscription is trusted until it fails
	noClear      bool // a new subscription begins with the old cache
	serveDown    bool // the cache is read without a subscription
	cacheAside   bool // a value is read from Redis, and then set
	publishFirst bool // the message comes before the change
	loseMessages bool // one message of ten is not acted upon
	keepTags     bool // messages of tags are not acted upon
	keepOwn      bool // the node that writes waits for the message, too
}

// aside is the race of cache-aside: between the two steps the key may change.
func (n *Near) aside(ctx context.Context, key string) ([]byte, error) {
	if value, ok := n.cache.Get(key); ok {
		return value, nil
	}
	value, err := n.fetch(ctx, key)
	if err == nil {
		time.Sleep(5 * time.Millisecond)
		n.cache.Set(key, value)
	}
	return value, err
}

// errReset ends a subscription that is not what it was.
var errReset = errors.New("nearcache: the subscription was reset")

// NewNear returns a Near before the Redis of client. It reads around the cache
// until Run has subscribed.
func NewNear(client *redis.Client, opts NearOptions) *Near {
	n := &Near{client: client, opts: opts, base: time.Now()}
	n.cache = lru.New(opts.Capacity, &lru.Options[string, []byte]{Load: n.fetch, Tags: opts.Tags})

	// The connection of the subscription is never a new one unnoticed.
	o := *client.Options()
	o.Protocol = 2
	o.MaxRetries = -1
	o.DialerRetries = 1
	o.DialTimeout = opts.Lease
	o.ReadTimeout = opts.Lease
	o.WriteTimeout = opts.Lease
	if opts.FeedAddr != "" {
		o.Addr = opts.FeedAddr
	}
	if opts.Tracking {
		o.OnConnect = n.track
	}
	n.feed = redis.NewClient(&o)
	return n
}

// track makes the server send the names of keys that change to the connection
// that asks for it, so that one lives no longer than the other. A server that
// is still reading its file refuses a PING: it would name all keys that it
// reads.
func (n *Near) track(ctx context.Context, conn *redis.Conn) error {
	if err := conn.Ping(ctx).Err(); err != nil {
		return err
	}
	id, err := conn.ClientID(ctx).Result()
	if err != nil {
		return err
	}
	args := []any{"client", "tracking", "on", "redirect", id, "bcast"}
	if n.opts.Prefix != "" {
		args = append(args, "prefix", n.opts.Prefix)
	}
	return conn.Process(ctx, redis.NewCmd(ctx, args...))
}

// channel returns the channel of the messages.
func (n *Near) channel() string {
	if n.opts.Tracking {
		return "__redis__:invalidate"
	}
	return "near:" + n.opts.Prefix
}

// fetch reads a value from Redis.
func (n *Near) fetch(ctx context.Context, key string) ([]byte, error) {
	value, err := n.client.Get(ctx, key).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, lru.ErrNotFound
	}
	return value, err
}

// Fresh reports whether the lease is valid.
func (n *Near) Fresh() bool { return int64(time.Since(n.base)) < n.until.Load() }

// Load returns the value of key, or an error that wraps [lru.ErrNotFound].
func (n *Near) Load(ctx context.Context, key string) ([]byte, error) {
	if n.Fresh() || n.opts.bad.serveDown {
		if n.opts.bad.cacheAside {
			return n.aside(ctx, key)
		}
		return n.cache.Load(ctx, key)
	}

	// Around the cache, whose value may be older than this one: it must not be
	// read later, if the lease is renewed.
	n.bypassed.Add(1)
	value, err := n.fetch(ctx, key)
	n.cache.Delete(key)
	return value, err
}

// Write runs commands that change keys, in one transaction, and the other nodes
// drop the keys. When it returns, so has this node. If it fails, it is not
// known whether they were run.
func (n *Near) Write(ctx context.Context, commands func(p redis.Pipeliner), keys ...string) error {
	if n.opts.bad.publishFirst {
		n.publish(ctx, n.client, "k", keys)
		time.Sleep(time.Millisecond)
	}
	_, err := n.client.TxPipelined(ctx, func(p redis.Pipeliner) error {
		commands(p)
		if !n.opts.bad.publishFirst {
			n.publish(ctx, p, "k", keys)
		}
		return nil
	})
	for _, key := range keys {
		if !n.opts.bad.keepOwn {
			n.cache.Delete(key)
		}
	}
	return err
}

// WriteTag runs commands that change keys of a tag, as Write, with one message.
func (n *Near) WriteTag(ctx context.Context, commands func(p redis.Pipeliner), tag string) error {
	_, err := n.client.TxPipelined(ctx, func(p redis.Pipeliner) error {
		commands(p)
		n.publish(ctx, p, "t", []string{tag})
		return nil
	})
	n.cache.DeleteTag(tag)
	return err
}

// publish tells all nodes of names of a kind, if the server does not.
func (n *Near) publish(ctx context.Context, p redis.Cmdable, kind string, names []string) {
	for _, name := range names {
		if !n.opts.Tracking {
			p.Publish(ctx, n.channel(), kind+name)
		}
	}
}

// Run subscribes, drops what has changed, and subscribes again when the
// subscription is lost, until ctx ends.
func (n *Near) Run(ctx context.Context) {
	for ctx.Err() == nil {
		n.event(Subscribing, "")
		_ = n.session(ctx) // why it was lost does not matter: there will be another
		n.until.Store(0)
		n.event(Lost, "")
		select {
		case <-ctx.Done():
		case <-time.After(n.opts.Lease / 4):
		}
	}
	_ = n.feed.Close() // nothing is in it any more
}

// session is one subscription, up to its loss.
func (n *Near) session(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sub := n.feed.Subscribe(ctx, n.channel())
	context.AfterFunc(ctx, func() { _ = sub.Close() }) // ends what waits for a message
	first, err := sub.ReceiveTimeout(ctx, n.opts.Lease)
	if err != nil {
		return err
	}
	if _, ok := first.(*redis.Subscription); !ok {
		return errReset
	}

	// From here on each change is told. What was loaded before may be old.
	if !n.opts.bad.noClear {
		n.cache.Clear()
	}
	n.sessions.Add(1)
	n.event(Subscribed, "")
	go n.ping(ctx, sub) // ends with ctx
	silence := n.opts.Lease
	if n.opts.bad.noLease {
		silence = 0 // without end
	}
	for {
		// A timeout is the end, too: it may come in the middle of a message.
		message, err := sub.ReceiveTimeout(ctx, silence)
		if err == nil {
			err = n.handle(message)
		}
		if err != nil {
			return err
		}
	}
}

// ping sends the time, which a PONG returns.
func (n *Near) ping(ctx context.Context, sub *redis.PubSub) {
	tick := time.NewTicker(n.opts.Lease / 4)
	defer tick.Stop()
	for {
		now := strconv.FormatInt(int64(time.Since(n.base)), 10)
		if err := sub.Ping(ctx, now); err != nil {
			return // the receiver will find out
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// handle acts on a message.
func (n *Near) handle(message any) error {
	switch m := message.(type) {
	case *redis.Pong:
		sent, err := strconv.ParseInt(m.Payload, 10, 64)
		if err != nil {
			return fmt.Errorf("nearcache: a PONG of %q", m.Payload)
		}
		if n.until.Store(sent + int64(n.opts.Lease)); n.opts.bad.noLease {
			n.until.Store(1 << 62)
		}
	case *redis.Message:
		names := m.PayloadSlice // of tracking
		if !n.opts.Tracking {
			names = []string{m.Payload}
		}
		for _, name := range names {
			n.drop(name)
		}
	default: // another subscription than the one at the beginning
		return errReset
	}
	return nil
}

// drop drops what a message names. Loads of it that are under way do not store
// their values: these may be older.
func (n *Near) drop(name string) {
	seen := n.messages.Add(1)
	if n.opts.bad.loseMessages && seen%10 == 0 {
		return
	}
	tag, isTag := "", false
	if !n.opts.Tracking {
		tag, isTag = strings.CutPrefix(name, "t")
		name = name[min(1, len(name)):]
	}
	if isTag {
		if !n.opts.bad.keepTags {
			n.cache.DeleteTag(tag)
		}
		n.event(Tag, tag)
		return
	}
	n.cache.Delete(name)
	n.event(Key, name)
}

func (n *Near) event(e Event, name string) {
	if n.opts.OnEvent != nil {
		n.opts.OnEvent(e, name)
	}
}
