// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ashlar-go/ashlar/examples/scaleout/servers"
	"github.com/ashlar-go/ashlar/lru"
)

// skipWithout ends a test whose server is not installed.
func skipWithout(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, servers.ErrNotInstalled) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestLaws runs the program with all that can happen.
func TestLaws(t *testing.T) {
	for _, way := range allWays {
		t.Run(way, func(t *testing.T) {
			var out strings.Builder
			err := run(t.Context(), strings.Fields("-for 600ms -lease 100ms -keys 256 -by "+way), &out, io.Discard)
			skipWithout(t, err)
			if strings.Count(out.String(), "law holds") != int(numLaws)+1 {
				t.Error(out.String())
			}
		})
	}
}

// TestFaults plants what a near cache can do wrong, and checks that a law finds
// it.
func TestFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes ten seconds")
	}
	for name, tt := range map[string]struct {
		flags string
		bad   faults
		laws  []law
	}{
		"no lease":      {"-by pubsub -events silent", faults{noLease: true}, []law{withinLease}},
		"no clear":      {"-by tracking -events silent", faults{noClear: true}, []law{withinLease, afterMessage, settled}},
		"serve down":    {"-by tracking -events silent", faults{serveDown: true}, []law{withinLease, whileDown}},
		"cache-aside":   {"-by tracking -events none", faults{cacheAside: true}, []law{withinLease, afterMessage, settled}},
		"publish first": {"-by pubsub -events none", faults{publishFirst: true}, []law{withinLease, afterMessage, settled}},
		"lose messages": {"-by tracking -events none", faults{loseMessages: true}, []law{withinLease, settled}},
		"keep tags":     {"-by pubsub -events none", faults{keepTags: true}, []law{withinLease, afterMessage, settled}},
		"keep own":      {"-by pubsub -events none", faults{keepOwn: true}, []law{ownWrites}},
	} {
		t.Run(name, func(t *testing.T) {
			var err error

			// A machine that is busy may need more time.
			for _, time := range []string{"480ms", "1s", "2s", "4s"} {
				c, e := parseFlags(append(strings.Fields(tt.flags), "-lease", "80ms", "-keys", "128", "-for", time), io.Discard)
				if e != nil {
					t.Fatal(e)
				}
				c.bad = tt.bad
				err = c.play(t.Context(), c.ways[0], io.Discard)
				if errors.Is(err, servers.ErrNotInstalled) {
					t.Skip(err)
				}
				for _, l := range tt.laws {
					if err != nil && strings.Contains(err.Error(), lawTexts[l]) {
						t.Log(time, err)
						return
					}
				}
			}
			t.Errorf("no law of this fault is broken: %v", err)
		})
	}
}

// startNear starts a server, and a Near before it with a valid lease, whose Run
// stop ends.
func startNear(t *testing.T, opts NearOptions) (near *Near, client *redis.Client, stop func()) {
	t.Helper()
	redis.SetLogger(quiet{})
	server, err := servers.Start(t.Context(), servers.Redis, t.TempDir())
	skipWithout(t, err)
	client = redis.NewClient(&redis.Options{Addr: server.Addr})
	opts.Capacity = 100
	opts.Lease = 500 * time.Millisecond
	near = NewNear(client, opts)

	// It runs until stop.
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { // ends with ctx
		defer close(done)
		near.Run(ctx)
	}()
	stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(func() {
		stop()
		if err := errors.Join(client.Close(), server.Stop()); err != nil {
			t.Error(err)
		}
	})
	await(t, "a lease", near.Fresh)
	return near, client, stop
}

// await waits until something is so.
func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); pause(t.Context(), time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s", what)
		}
	}
}

// TestOutside changes keys without the Near, which tracking notices: by another
// client, by a time to live, and all at once.
func TestOutside(t *testing.T) {
	near, client, _ := startNear(t, NearOptions{Tracking: true, Prefix: "p:"})
	ctx := t.Context()
	for _, change := range []func() error{
		func() error { return client.Set(ctx, "p:k", "2", 0).Err() },
		func() error { return client.PExpire(ctx, "p:k", time.Millisecond).Err() },
		func() error { return client.FlushAll(ctx).Err() },
	} {
		if err := client.Set(ctx, "p:k", "1", 0).Err(); err != nil {
			t.Fatal(err)
		}
		await(t, "1", func() bool {
			value, err := near.Load(ctx, "p:k")
			return err == nil && string(value) == "1" && near.cache.Has("p:k")
		})
		if err := change(); err != nil {
			t.Fatal(err)
		}
		await(t, "change", func() bool {
			value, err := near.Load(ctx, "p:k")
			return errors.Is(err, lru.ErrNotFound) || string(value) == "2"
		})
	}
}

// TestPrefix checks that keys of another prefix cause no messages.
func TestPrefix(t *testing.T) {
	near, client, _ := startNear(t, NearOptions{Tracking: true, Prefix: "p:"})
	ctx := t.Context()
	for _, key := range []string{"other", "p:k"} { // in this order
		if err := client.Set(ctx, key, "1", 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "message", func() bool { return near.messages.Load() > 0 })
	if n := near.messages.Load(); n != 1 {
		t.Errorf("%d messages, want 1", n)
	}
}

// TestEnd checks that a Near goes on without its cache when Run has ended.
func TestEnd(t *testing.T) {
	near, client, stop := startNear(t, NearOptions{})
	stop()
	for _, want := range []string{"1", "2"} {
		if err := client.Set(t.Context(), "k", want, 0).Err(); err != nil {
			t.Fatal(err)
		}
		if got, err := near.Load(t.Context(), "k"); err != nil || string(got) != want {
			t.Errorf("it has %q, %v, want %q", got, err, want)
		}
	}
}

// TestAround reads a value around the cache, which has an older one. It must
// not be read when the lease is renewed.
func TestAround(t *testing.T) {
	near, client, stop := startNear(t, NearOptions{})
	stop()
	ctx := t.Context()
	for _, step := range []struct {
		until     int64
		set, want string
	}{
		{1 << 62, "1", "1"},
		{1 << 62, "2", "1"}, // no message of it comes: Run has ended
		{0, "2", "2"},
		{1 << 62, "2", "2"},
	} {
		if err := client.Set(ctx, "k", step.set, 0).Err(); err != nil {
			t.Fatal(err)
		}
		near.until.Store(step.until)
		if got, err := near.Load(ctx, "k"); err != nil || string(got) != step.want {
			t.Errorf("%v: it has %q, %v", step, got, err)
		}
	}
}

// TestLoadRace changes a key between its load and the arrival of the answer.
// The old value must not stay; but it does with cache-aside.
func TestLoadRace(t *testing.T) {
	for _, bad := range []faults{{}, {cacheAside: true}} {
		_, client, _ := startNear(t, NearOptions{}) // a server
		proxy, err := servers.NewProxy(t.Context(), client.Options().Addr, 0)
		if err != nil {
			t.Fatal(err)
		}
		slow := redis.NewClient(&redis.Options{Addr: proxy.Addr, ReadTimeout: time.Minute})
		t.Cleanup(func() { _ = errors.Join(slow.Close(), proxy.Close()) })
		near := NewNear(slow, NearOptions{Capacity: 10, Lease: time.Second, bad: bad})
		near.until.Store(1 << 62)

		// The server answers with the old value, and the answer is on its way.
		ctx := t.Context()
		if err := errors.Join(client.Set(ctx, "k", "1", 0).Err(), slow.Ping(ctx).Err()); err != nil {
			t.Fatal(err)
		}
		proxy.Hold()
		loaded := make(chan string, 1)
		go func() { // ends with the answer
			value, _ := near.Load(ctx, "k")
			loaded <- string(value)
		}()
		await(t, "GET", func() bool {
			return strings.Contains(client.Info(ctx, "commandstats").Val(), "cmdstat_get:calls=1,")
		})
		if err := client.Set(ctx, "k", "2", 0).Err(); err != nil {
			t.Fatal(err)
		}
		if err := near.handle(&redis.Message{Payload: "kk"}); err != nil {
			t.Fatal(err)
		}
		proxy.Release()
		if got := <-loaded; got != "1" {
			t.Errorf("the load returns %q", got)
		}
		want := "2"
		if bad.cacheAside {
			want = "1"
		}
		if got, err := near.Load(ctx, "k"); err != nil || string(got) != want {
			t.Errorf("%+v: afterwards it has %q, %v, want %q", bad, got, err, want)
		}
	}
}

// TestHandle gives a Near messages that are none of its subscription.
func TestHandle(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	near := NewNear(client, NearOptions{Capacity: 10, Lease: time.Second})
	for _, message := range []any{&redis.Pong{Payload: "k17"}, &redis.Subscription{Kind: "subscribe"}, nil} {
		if near.handle(message) == nil || near.Fresh() {
			t.Errorf("%v is a message", message)
		}
	}
	if err := near.handle(&redis.Message{Payload: ""}); err != nil {
		t.Error(err)
	}
	if err := near.handle(&redis.Pong{Payload: "0"}); err != nil || !near.Fresh() {
		t.Errorf("no lease: %v", err)
	}
}

// TestJudge feeds the judge reads of each kind that no right cache makes.
func TestJudge(t *testing.T) {
	for name, tt := range map[string]struct {
		prepare func(j *judge, o *observer)
		version int64
		want    law // or numLaws
	}{
		"fresh":          {func(*judge, *observer) {}, 3, numLaws},
		"a little stale": {func(*judge, *observer) {}, 2, numLaws},
		"too stale":      {func(j *judge, _ *observer) { j.lease = 0 }, 2, withinLease},
		"after message":  {func(_ *judge, o *observer) { o.event(Key, "page:0") }, 0, afterMessage},
		"of a tag":       {func(_ *judge, o *observer) { o.event(Tag, "topic0") }, 0, afterMessage},
		"down":           {func(_ *judge, o *observer) { o.event(Lost, "") }, 2, whileDown},
		"own":            {func(_ *judge, o *observer) { o.wrote(0, 3) }, 2, ownWrites},
		"back":           {func(_ *judge, o *observer) { o.floors[0].read.Store(2) }, 1, neverBack},
		"of Clear": {func(_ *judge, o *observer) {
			o.event(Subscribing, "")
			o.event(Subscribed, "")
		}, 2, afterMessage},
	} {
		j := newJudge(1, time.Hour)
		o := &observer{
			judge: j, name: "node", floors: make([]floor, 1), tagKeys: map[string][]int{"topic0": {0}},
			asked: make([]int64, 1), base: make([]int64, 1), count: make([]int64, 1),
		}

		// Versions 2 and 3 are there, and another is read.
		j.acked(0, 2)
		j.acked(0, 3)
		tt.prepare(j, o)
		r := o.begin(0)
		o.end(&r, tt.version)
		for l, what := range j.broken {
			if (what != "") != (law(l) == tt.want) {
				t.Errorf("%s: %q is broken: %q", name, lawTexts[l], what)
			}
		}
	}
}

// TestInput checks that a wrong flag is an error of the input.
func TestInput(t *testing.T) {
	for _, args := range []string{
		"-by mail", "-events fire", "-lease 1ms", "-for 100ms", "-nodes 1", "-keys 1", "-nosuch", "stray",
	} {
		if err := run(t.Context(), strings.Fields(args), io.Discard, io.Discard); !errors.As(err, new(*inputError)) {
			t.Errorf("%s: %v", args, err)
		}
	}
	if err := run(t.Context(), []string{"-h"}, io.Discard, io.Discard); err != nil {
		t.Errorf("-h: %v", err)
	}
}
