// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

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

// TestLaws runs the program.
func TestLaws(t *testing.T) {
	var out strings.Builder
	err := run(t.Context(), strings.Fields("-for 900ms -drivers 400 -interval 50ms"), &out, io.Discard)
	skipWithout(t, err)
	if strings.Count(out.String(), "law holds") != 4 {
		t.Error(out.String())
	}
}

// TestCalm drives without a crash, when no write is refused.
func TestCalm(t *testing.T) {
	c := &config{drivers: 400, time: 300 * time.Millisecond, interval: 20 * time.Millisecond}
	if err := c.playOn(t.Context(), startServer(t), io.Discard); err != nil {
		t.Error(err)
	}
}

// TestFaults plants what can be done wrong, and checks that a law finds it.
func TestFaults(t *testing.T) {
	server := startServer(t)
	for name, tt := range map[string]struct {
		drivers int
		kill    bool
		bad     faults
		want    string
	}{
		// Of many drivers some do not write again after the crash.
		"forget errors": {50_000, true, faults{store: storeFaults{forgetErrors: true}}, "was written last"},
		"no deletes":    {400, false, faults{store: storeFaults{noDeletes: true}}, "the table has"},
		"aside":         {400, false, faults{aside: true}, "is read"},
	} {
		t.Run(name, func(t *testing.T) {
			c := &config{drivers: tt.drivers, time: 450 * time.Millisecond, interval: 50 * time.Millisecond, kill: tt.kill, bad: tt.bad}
			err := c.playOn(t.Context(), server, io.Discard)
			if err == nil || !strings.Contains(err.Error(), "law broken") || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("no law of this fault is broken: %v", err)
			}
		})
	}
}

// shared is a server for several tests: to make one takes seconds.
var shared struct {
	once   sync.Once
	dir    string
	server *servers.Server
	err    error
}

// TestMain ends the shared server.
func TestMain(m *testing.M) {
	code := m.Run()
	if shared.server != nil {
		_ = shared.server.Stop()
	}
	if shared.dir != "" {
		_ = os.RemoveAll(shared.dir)
	}
	os.Exit(code)
}

// startServer returns the shared server.
func startServer(t *testing.T) *servers.Server {
	t.Helper()
	shared.once.Do(func() {
		// It runs as another user, who cannot enter t.TempDir.
		if shared.dir, shared.err = os.MkdirTemp("", "writebehind-"); shared.err == nil {
			shared.server, shared.err = servers.Start(context.Background(), servers.Postgres, shared.dir)
		}
	})
	skipWithout(t, shared.err)
	return shared.server
}

// newStore returns a store at a URL, with nothing in it.
func newStore(t *testing.T, url string) *pgStore {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	s, err := (&config{}).emptyStore(t.Context(), pool, "test")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// pairs returns writes of keys and values.
func pairs(keysAndValues ...string) (sets []lru.Pair[string, []byte]) {
	for i := 0; i < len(keysAndValues); i += 2 {
		sets = append(sets, lru.Pair[string, []byte]{Key: keysAndValues[i], Value: []byte(keysAndValues[i+1])})
	}
	return sets
}

// check compares the table.
func check(t *testing.T, s *pgStore, want map[string]string) {
	t.Helper()
	if got, err := s.all(t.Context()); err != nil || !maps.Equal(got, want) {
		t.Errorf("the table has %q, %v, want %q", got, err, want)
	}
}

// TestStore checks the contract of a Store, and batches.
func TestStore(t *testing.T) {
	s := newStore(t, startServer(t).URL())
	ctx := t.Context()
	for _, key := range []string{"k", "", "with spaces\nand lines", strings.Repeat("long", 500)} {
		if _, err := s.Load(ctx, key); !errors.Is(err, lru.ErrNotFound) {
			t.Errorf("before it is set: %v", err)
		}
		for _, value := range []string{"1", "2\x00\xff", ""} {
			if err := s.Set(ctx, key, []byte(value)); err != nil {
				t.Fatal(err)
			}
			if got, err := s.Load(ctx, key); err != nil || string(got) != value {
				t.Errorf("it has %q, %v, want %q", got, err, value)
			}
		}
		for range 2 {
			if err := s.Delete(ctx, key); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Load(ctx, key); !errors.Is(err, lru.ErrNotFound) {
			t.Errorf("after it was deleted: %v", err)
		}
	}
	if err := s.Set(ctx, "nil", nil); err != nil {
		t.Error(err)
	}

	// Batches of each shape.
	if err := s.Apply(ctx, append(pairs("a", "1", "b", "2"), lru.Pair[string, []byte]{Key: "c"}), []string{"nil", "absent"}); err != nil {
		t.Fatal(err)
	}
	check(t, s, map[string]string{"a": "1", "b": "2", "c": ""})
	if err := s.Apply(ctx, pairs("a", "3"), nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(ctx, nil, []string{"b"}); err != nil {
		t.Fatal(err)
	}
	check(t, s, map[string]string{"a": "3", "c": ""})

	// All of a batch, or nothing.
	if err := s.Apply(ctx, pairs("a", "4", "bad\x00", "1"), []string{"c"}); err == nil {
		t.Error("a key with a zero byte is taken")
	}
	check(t, s, map[string]string{"a": "3", "c": ""})
}

// TestLate carries batches out after those that were sent later.
func TestLate(t *testing.T) {
	s := newStore(t, startServer(t).URL())
	ctx := t.Context()
	first, second := s.attempt.Add(1), s.attempt.Add(1)
	if err := s.apply(ctx, second, pairs("a", "2"), []string{"b"}); err != nil {
		t.Fatal(err)
	}
	if err := s.apply(ctx, first, pairs("a", "1", "b", "1"), []string{"c"}); !errors.Is(err, errLate) {
		t.Errorf("a late batch: %v", err)
	}
	check(t, s, map[string]string{"a": "2"})

	// A process that comes after this one overtakes all of its batches.
	next, err := openStore(ctx, s.pool, "test")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(ctx, pairs("a", "3"), nil); !errors.Is(err, errLate) {
		t.Errorf("a batch of the process before: %v", err)
	}
	if err := next.Apply(ctx, pairs("a", "4"), nil); err != nil {
		t.Error(err)
	}
	check(t, s, map[string]string{"a": "4"})

	// Without numbers, it goes back.
	s.bad.noTurns = true
	if err := s.apply(ctx, first, pairs("a", "1"), nil); err != nil {
		t.Error(err)
	}
	check(t, s, map[string]string{"a": "1"})
}

// TestLostAnswers writes through a network that loses answers.
func TestLostAnswers(t *testing.T) {
	server := startServer(t)
	clear := newStore(t, server.URL())
	proxy, err := servers.NewProxy(t.Context(), server.Addr, 15)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = proxy.Close() })
	config, err := pgxpool.ParseConfig((&servers.Server{Addr: proxy.Addr}).URL())
	if err != nil {
		t.Fatal(err)
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	var s *pgStore
	for range 20 { // its own answers may be lost
		if s, err = openStore(t.Context(), pool, "lossy"); err == nil {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}

	ctx := t.Context()
	b := lru.NewBehind(lru.New[string, []byte](5, nil), s, &lru.BehindOptions[string, []byte]{
		Interval: time.Millisecond, Apply: s.Apply, Backoff: time.Millisecond, Timeout: 5 * time.Second,
	})
	want := map[string]string{}
	end := time.Now().Add(20 * time.Second)
	for i := 0; b.Stats().Failures < 5; i++ {
		if time.Now().After(end) {
			t.Fatalf("%d answers were lost, %d batches failed", proxy.Lost(), b.Stats().Failures)
		}
		key, value := strconv.Itoa(i%13), strconv.Itoa(i)
		if err := b.Set(ctx, key, []byte(value)); err != nil {
			t.Fatal(err)
		}
		if want[key] = value; i%10 == 0 {
			pause(ctx, time.Millisecond)
		}
	}

	if err := b.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	check(t, clear, want)
	if err := b.Close(ctx); err != nil {
		t.Error(err)
	}
}

// TestRefused checks that a key that the server refuses holds up no other, and
// that what Flush has acknowledged survives a crash of the server.
func TestRefused(t *testing.T) {
	server := startServer(t)
	s := newStore(t, server.URL())
	var given atomic.Value
	c := lru.New[string, []byte](100, nil)
	b := lru.NewBehind(c, s, &lru.BehindOptions[string, []byte]{
		Interval: -1, Apply: s.Apply, Backoff: time.Millisecond,
		OnError: func(key string, _ error, tries int) bool {
			if tries < 2 {
				return false
			}
			given.Store(key)
			return true
		},
	})

	// One of twenty is refused.
	ctx := t.Context()
	want := map[string]string{}
	for i := range 20 {
		key := strconv.Itoa(i)
		if want[key] = key; i == 7 {
			delete(want, key)
			key = "bad\x00"
		}
		if err := b.Set(ctx, key, []byte(key)); err != nil {
			t.Fatal(err)
		}
	}

	// The others are there after a crash.
	if err := errors.Join(b.Flush(ctx), server.Kill(), server.Restart(ctx)); err != nil {
		t.Fatal(err)
	}
	s.pool.Reset() // connections to the server that died
	check(t, s, want)
	if given.Load() != "bad\x00" || c.Has("bad\x00") {
		t.Errorf("%q was given up, and is in the cache: %t", given.Load(), c.Has("bad\x00"))
	}
	if err := b.Close(ctx); err != nil {
		t.Error(err)
	}
}

// TestInput checks that a wrong flag is an error of the input.
func TestInput(t *testing.T) {
	for _, args := range []string{"-drivers 1", "-for 1ms", "-interval 0s", "-interval 1h", "-nosuch", "stray"} {
		if err := run(t.Context(), strings.Fields(args), io.Discard, io.Discard); !errors.As(err, new(*inputError)) {
			t.Errorf("%s: %v", args, err)
		}
	}
	if err := run(t.Context(), []string{"-h"}, io.Discard, io.Discard); err != nil {
		t.Errorf("-h: %v", err)
	}
}
