// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ashlar-go/ashlar/examples/scaleout/servers"
	"github.com/ashlar-go/ashlar/quorum"
)

// TestMain is a process of the program when a test starts it as one.
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

// TestLaws runs the program against real servers.
func TestLaws(t *testing.T) {
	for args, want := range map[string]string{
		"-n 3":            "law holds",
		"-n 5":            "law holds",
		"-store postgres": "law holds",
		"-store etcd":     "law holds",
		"-store single":   "law broken",
	} {
		t.Run(args, func(t *testing.T) {
			if testing.Short() && args != "-n 3" {
				t.Skip("it takes long")
			}
			var out strings.Builder
			err := run(t.Context(), strings.Fields(args), &out, io.Discard)
			skipWithout(t, err)
			if n := strings.Count(out.String(), want); n < 2 {
				t.Error(out.String())
			}
			if want == "law holds" && !strings.Contains(out.String(), "that write was refused") {
				t.Errorf("the write of a former holder was not refused:\n%s", &out)
			}
		})
	}
}

// TestFaults checks that the laws see what breaks them.
func TestFaults(t *testing.T) {
	for name, tt := range map[string]struct {
		c    config
		want string
	}{
		"a holder that does not look":  {config{store: "redis", n: 3, blind: true}, "at once"},
		"a fence that refuses nothing": {config{store: "redis", n: 3, open: true}, "after a write of"},
		"a lease that does not look":   {config{store: "etcd", n: 1, blind: true}, "at once"},
	} {
		t.Run(name, func(t *testing.T) {
			c := tt.c
			c.kind = kinds[c.store]
			tr, stop, err := c.start(t.Context(), io.Discard)
			defer func() {
				if err := stop(); err != nil {
					t.Error(err)
				}
			}()
			skipWithout(t, err)
			if err := errors.Join(tr.others(t.Context(), ""), tr.stopHolder(t.Context())); err != nil {
				t.Fatal(err)
			}

			tr.end()
			list := tr.holdings()
			err = errors.Join(alone(list), growing(list), fenced(tr.fence.taken()))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("no law is broken: %v", err)
			}
		})
	}
}

// acceptorOf returns an acceptor that is kept by a server.
func acceptorOf(t *testing.T, store string) (quorum.Acceptor[string, int], *servers.Server) {
	t.Helper()
	dir, err := os.MkdirTemp("", "lock-") // postgres runs as another user, who cannot enter t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s, err := servers.Start(t.Context(), kinds[store], dir)
	skipWithout(t, err)
	t.Cleanup(func() { _ = s.Stop() })
	if store == "redis" {
		a := newRedisAcceptor[int](s.Addr, time.Second)
		t.Cleanup(a.close)
		return a, s
	}
	a, err := newPostgresAcceptor[int](t.Context(), s.URL(), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.close)
	if err := a.makeSlots(t.Context()); err != nil {
		t.Fatal(err)
	}
	return a, s
}

// TestAcceptors checks that an acceptor answers as a slot in memory does, also
// after its server was killed.
func TestAcceptors(t *testing.T) {
	for _, store := range []string{"redis", "postgres"} {
		t.Run(store, func(t *testing.T) {
			a, server := acceptorOf(t, store)
			ctx := t.Context()
			r := rand.New(rand.NewPCG(1, 2))
			ballot := func() quorum.Ballot { return quorum.Ballot{Round: r.Uint64N(6), Proposer: r.Uint64N(3)} }
			var want quorum.Slot[int]
			for i := range 300 {
				if i%100 == 99 {
					if err := errors.Join(server.Kill(), server.Restart(ctx)); err != nil {
						t.Fatal(err)
					}
					for range 20 { // a client may find its old connections dead first
						if _, err := a.Prepare(ctx, "k", quorum.Ballot{}); err == nil {
							break
						}
					}
				}

				if r.IntN(2) == 0 {
					b := ballot()
					got, err := a.Prepare(ctx, "k", b)
					if w := want.Prepare(b); err != nil || !reflect.DeepEqual(got, w) {
						t.Fatalf("%d: Prepare(%v) = %+v, %v, want %+v", i, b, got, err, w)
					}
					continue
				}
				p := quorum.Slot[int]{Promised: ballot(), Accepted: ballot(), Value: i, Version: uint64(i), Updates: []quorum.Ballot{ballot()}}
				got, err := a.Accept(ctx, "k", p)
				if w := want.Accept(p); err != nil || got != w {
					t.Fatalf("%d: Accept(%+v) = %v, %v, want %v", i, p, got, err, w)
				}
			}
		})
	}
}

// TestUpdates counts with three servers of two kinds, by several at once.
func TestUpdates(t *testing.T) {
	var acceptors []quorum.Acceptor[string, int]
	for _, store := range []string{"redis", "postgres", "redis"} {
		a, _ := acceptorOf(t, store)
		acceptors = append(acceptors, a)
	}

	const clients, each = 3, 10
	var wg sync.WaitGroup
	for range clients {
		cas, err := quorum.NewCAS(acceptors, nil)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			for range each {
				if _, _, err := cas.Update(t.Context(), "n", func(old int, _ uint64) (int, error) { return old + 1, nil }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	cas, err := quorum.NewCAS(acceptors, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n, version, err := cas.Get(t.Context(), "n"); n != clients*each || version != clients*each || err != nil {
		t.Errorf("%d at version %d, %v, want %d", n, version, err, clients*each)
	}
}

// TestJudge feeds the judge what no lock may give.
func TestJudge(t *testing.T) {
	h := func(name string, token uint64, from, to int64) holding { return holding{name, token, from, to} }
	for name, tt := range map[string]struct {
		list           []holding
		alone, growing bool
	}{
		"one after the other": {[]holding{h("a", 1, 0, 5), h("b", 2, 5, 9), h("a", 3, 10, 11)}, true, true},
		"at once":             {[]holding{h("a", 1, 0, 5), h("b", 2, 4, 9)}, false, true},
		"within":              {[]holding{h("a", 1, 0, 9), h("a", 2, 1, 2), h("b", 3, 8, 8), h("c", 4, 8, 10)}, false, true},
		"the same token":      {[]holding{h("a", 1, 0, 5), h("b", 1, 6, 9)}, true, false},
		"a lesser one":        {[]holding{h("a", 2, 0, 5), h("b", 1, 6, 9)}, true, false},
	} {
		if err := alone(tt.list); (err == nil) != tt.alone {
			t.Errorf("%s: alone: %v", name, err)
		}
		if err := growing(tt.list); (err == nil) != tt.growing {
			t.Errorf("%s: growing: %v", name, err)
		}
	}
	if got := holdings(map[string][]look{"a": {{1, 1, 7}, {1, 5, 7}}, "b": {{0, 2, 8}}}); len(got) != 2 || got[1] != h("a", 7, 1, 5) {
		t.Errorf("holdings: %v", got)
	}

	for name, tt := range map[string]struct {
		writes []written
		ok     bool
	}{
		"in order":       {[]written{{"a", 1}, {"a", 1}, {"b", 2}, {"a", 3}}, true},
		"a former one":   {[]written{{"a", 1}, {"b", 2}, {"a", 1}}, false},
		"without tokens": {[]written{{"a", 1}, {"b", 1}}, false},
	} {
		if err := fenced(tt.writes); (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestInput checks that a wrong flag is an error of the input.
func TestInput(t *testing.T) {
	for _, args := range []string{"-store mysql", "-n 4", "-n x", "-nosuch", "stray"} {
		if err := run(t.Context(), strings.Fields(args), io.Discard, io.Discard); !errors.As(err, new(*inputError)) {
			t.Errorf("%s: %v", args, err)
		}
	}
	if err := run(t.Context(), []string{"-h"}, io.Discard, io.Discard); err != nil {
		t.Errorf("-h: %v", err)
	}
}
