// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ashlar-go/ashlar/examples/scaleout/servers"
)

// TestMain is the program itself when a test starts it as a process.
func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		if err := run(context.Background(), nil, os.Stdout, os.Stderr); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

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

// TestLaws runs the program against real servers, which are killed, are told
// different times and lose answers.
func TestLaws(t *testing.T) {
	for _, store := range []string{"redis", "postgres", "memcached"} {
		for _, flags := range []string{"", "-kill", "-skew 50ms", "-drop-replies"} {
			t.Run(store+flags, func(t *testing.T) {
				var out strings.Builder
				err := run(t.Context(), strings.Fields("-store "+store+" -for 1500ms "+flags), &out, io.Discard)
				skipWithout(t, err)
				if strings.Count(out.String(), "law holds") < 2 {
					t.Error(out.String())
				}
			})
		}
	}
}

// startStore starts a server, and returns the store there.
func startStore(t *testing.T, kind *servers.Kind) (*store, *servers.Server) {
	t.Helper()
	dir, err := os.MkdirTemp("", "limits-") // postgres runs as another user, who cannot enter t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s, err := servers.Start(t.Context(), kind, dir)
	skipWithout(t, err)
	t.Cleanup(func() { _ = s.Stop() })
	c := &config{kind: kind}
	if err := c.prepare(t.Context(), s.Addr); err != nil {
		t.Fatal(err)
	}
	st, err := open(t.Context(), kind.String(), s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(st.close)
	return st, s
}

// TestStores checks the contract of a Store on each: a swap takes what was
// read, of many at once one, an absent key is not one that is there, and a time
// to live ends, but not before its time.
func TestStores(t *testing.T) {
	for _, kind := range []*servers.Kind{servers.Redis, servers.Postgres, servers.Memcached} {
		t.Run(kind.String(), func(t *testing.T) {
			st, _ := startStore(t, kind)
			ctx := t.Context()
			load := func(key, want string) {
				t.Helper()
				if got, err := st.Load(ctx, key); err != nil || string(got) != want {
					t.Errorf("%q has %q, %v, want %q", key, got, err, want)
				}
			}
			cas := func(key, old, next string, ttl time.Duration, want bool) {
				t.Helper()
				if ok, err := st.CompareAndSwap(ctx, key, []byte(old), []byte(next), ttl); err != nil || ok != want {
					t.Errorf("%q, %q to %q: %t, %v, want %t", key, old, next, ok, err, want)
				}
			}

			for _, key := range []string{"k", "key with spaces\n and lines", strings.Repeat("long", 100)} {
				load(key, "")
				cas(key, "x", "1", 0, false)
				cas(key, "", "1\x00\xff", 0, true)
				cas(key, "", "2", 0, false)
				cas(key, "1", "2", 0, false)
				load(key, "1\x00\xff")
				cas(key, "1\x00\xff", "2", time.Hour, true)
				load(key, "2")
			}

			// One of many.
			var wg sync.WaitGroup
			var mu sync.Mutex
			won := 0
			for i := range 20 {
				wg.Go(func() {
					ok, err := st.CompareAndSwap(ctx, "k", []byte("2"), fmt.Append(nil, i), time.Hour)
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					if ok {
						won++
					}
				})
			}
			wg.Wait()
			if won != 1 {
				t.Errorf("%d swaps of one value", won)
			}

			// A life of 300 ms: it is there for that long, and gone in a while.
			cas("short", "", "1", 300*time.Millisecond, true)
			pause(ctx, 200*time.Millisecond)
			load("short", "1")
			for end := time.Now().Add(10 * time.Second); ; pause(ctx, 50*time.Millisecond) {
				got, err := st.Load(ctx, "short")
				if err != nil {
					t.Fatal(err)
				}
				if got == nil {
					break
				}
				if time.Now().After(end) {
					t.Fatal("a life of 300 ms does not end")
				}
			}
			cas("short", "1", "2", 0, false)
			cas("short", "", "3", 0, true)
		})
	}
}

// TestKilled checks which stores keep what they have acknowledged when they are
// killed.
func TestKilled(t *testing.T) {
	for _, kind := range []*servers.Kind{servers.Redis, servers.Postgres, servers.Memcached} {
		t.Run(kind.String(), func(t *testing.T) {
			st, server := startStore(t, kind)
			ctx := t.Context()
			if ok, err := st.CompareAndSwap(ctx, "k", nil, []byte("1"), 0); !ok || err != nil {
				t.Fatal(ok, err)
			}
			if err := errors.Join(server.Kill(), server.Restart(ctx)); err != nil {
				t.Fatal(err)
			}
			var got []byte
			var err error
			for range 20 { // a client may find its old connections dead first
				if got, err = st.Load(ctx, "k"); err == nil {
					break
				}
			}
			if kept := string(got) == "1"; err != nil || kept == (kind == servers.Memcached) {
				t.Errorf("after a kill it has %q, %v", got, err)
			}
		})
	}
}

// TestWindows feeds the judge what no right limit lets through.
func TestWindows(t *testing.T) {
	const s = int64(time.Second)
	at := func(t int64) event { return event{From: t, To: t} }
	for name, tt := range map[string]struct {
		events []event
		ok     bool
	}{
		"a burst":             {[]event{at(0), at(0)}, true},
		"one more":            {[]event{at(0), at(0), at(0)}, false},
		"one more, in time":   {[]event{at(0), at(0), at(s)}, true},
		"a little too soon":   {[]event{at(0), at(0), at(s - 1e6)}, false},
		"given back":          {[]event{at(0), at(0), {From: 1, To: 1, Back: true}, at(2)}, true},
		"given back once":     {[]event{at(0), at(0), {From: 1, To: 1, Back: true}, at(2), at(2)}, false},
		"perhaps before":      {[]event{at(0), at(0), {From: -2 * s, To: 0}}, true},
		"a window in between": {[]event{at(0), at(9 * s), at(9 * s), at(9 * s)}, false},
	} {
		if err := windows(tt.events, 2, 1); (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSeconds checks that memcached keeps a key for as long as it is told.
func TestSeconds(t *testing.T) {
	for ttl, want := range map[time.Duration]int32{0: 0, 1: 2, time.Second: 2, 1500 * time.Millisecond: 3} {
		if got := seconds(ttl); got != want {
			t.Errorf("seconds(%v) = %d, want %d", ttl, got, want)
		}
	}
	const long = 60 * 24 * time.Hour
	if got, now := int64(seconds(long)), time.Now().Unix(); got < now+int64(long/time.Second) || got > now+int64(long/time.Second)+3 {
		t.Errorf("60 days are %d from now", got-now)
	}
}

// TestInput checks that a wrong flag is an error of the input.
func TestInput(t *testing.T) {
	for _, args := range []string{"-store mysql", "-limit 1/s", "-limit fast", "-for 1ms", "-skew -1s", "-skew 2m", "-nosuch", "stray"} {
		if err := run(t.Context(), strings.Fields(args), io.Discard, io.Discard); !errors.As(err, new(*inputError)) {
			t.Errorf("%s: %v", args, err)
		}
	}
	if err := run(t.Context(), []string{"-h"}, io.Discard, io.Discard); err != nil {
		t.Errorf("-h: %v", err)
	}
}
