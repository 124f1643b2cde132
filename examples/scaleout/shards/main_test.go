// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/ashlar-go/ashlar/consistenthash"
	"github.com/ashlar-go/ashlar/examples/scaleout/servers"
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
	for router, laws := range map[string]int{"ring": 4, "memcached": 5, "pool": 3} {
		t.Run(router, func(t *testing.T) {
			var out strings.Builder
			err := run(t.Context(), []string{"-keys", "500", "-router", router}, &out, io.Discard)
			skipWithout(t, err)
			if strings.Count(out.String(), "law holds") != laws {
				t.Error(out.String())
			}
		})
	}
}

// TestFaults plants what a router can do wrong, and checks that a law finds it.
func TestFaults(t *testing.T) {
	for name, tt := range map[string]struct {
		play func(*config, context.Context, io.Writer) error
		bad  faults
		want string
	}{
		"keep old":       {(*config).playRing, faults{keepOld: true}, "comes back"},
		"modulo":         {(*config).playRing, faults{modulo: true}, "is to have"},
		"no clean":       {(*config).playRing, faults{noClean: true}, "leaves"},
		"no clean there": {(*config).playMemcached, faults{noClean: true}, "leaves"},
		"one zone":       {(*config).playPool, faults{oneZone: true}, "in one zone"},
		"keep all":       {(*config).playPool, faults{pool: poolFaults{keepAll: true}}, "is to have"},
	} {
		t.Run(name, func(t *testing.T) {
			c := &config{keys: 200, bad: tt.bad}
			err := tt.play(c, t.Context(), io.Discard)
			if errors.Is(err, servers.ErrNotInstalled) {
				t.Skip(err)
			}
			if err == nil || !strings.Contains(err.Error(), "law broken") || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("no law of this fault is broken: %v", err)
			}
		})
	}
}

// memKV is a server in memory. After a read it does something, once.
type memKV struct {
	mu     sync.Mutex // protects the rest
	values map[string]string
	then   func()
}

func (s *memKV) Get(_ context.Context, key string) (string, error) {
	s.mu.Lock()
	value, ok := s.values[key]
	then := s.then
	s.then = nil
	s.mu.Unlock()
	if then != nil {
		then()
	}
	if !ok {
		return "", errMiss
	}
	return value, nil
}

func (s *memKV) Set(_ context.Context, key, value string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values[key] = value
	return nil
}

func (s *memKV) Add(_ context.Context, key, value string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.values[key]; !ok {
		s.values[key] = value
	}
	return nil
}

func (s *memKV) Delete(_ context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.values, key)
	return nil
}

// TestMoveRace writes a key between the two steps of its copy, and checks that
// the new server has what was written; but not with a fault.
func TestMoveRace(t *testing.T) {
	for name, tt := range map[string]struct {
		bad  poolFaults
		want string
	}{
		"right":     {poolFaults{}, "2"},
		"late next": {poolFaults{lateNext: true}, "1"},
		"copy set":  {poolFaults{copySet: true}, "1"},
	} {
		a, b := &memKV{values: map[string]string{}}, &memKV{values: map[string]string{}}
		from, err := consistenthash.NewSnapshot(nil, consistenthash.Node{Name: "a"})
		if err != nil {
			t.Fatal(err)
		}
		to, err := consistenthash.NewSnapshot(nil, consistenthash.Node{Name: "b"})
		if err != nil {
			t.Fatal(err)
		}

		// The key is written when the Pool has read it, to copy it.
		ctx := t.Context()
		p := NewPool(1, from, map[string]kv{"a": a})
		p.bad = tt.bad
		if err := p.Set(ctx, "k", "1"); err != nil {
			t.Fatal(err)
		}
		a.then = func() {
			if err := p.Set(ctx, "k", "2"); err != nil {
				t.Error(err)
			}
		}
		n, err := p.Move(ctx, to, map[string]kv{"b": b}, []string{"k", "absent"})
		if err != nil || n.Copied != 1 {
			t.Fatal(n, err)
		}
		if got, err := p.Get(ctx, "k"); err != nil || got != tt.want {
			t.Errorf("%s: it has %q, %v, want %q", name, got, err, tt.want)
		}
	}
}

// TestPoolErrors checks what a Pool says when it has not, and when it fails.
func TestPoolErrors(t *testing.T) {
	ring, err := consistenthash.NewSnapshot(nil, consistenthash.Node{Name: "a"}, consistenthash.Node{Name: "b"})
	if err != nil {
		t.Fatal(err)
	}
	dead := memcachedKV{memcache.New("127.0.0.1:1")}
	a := &memKV{values: map[string]string{}}
	p := NewPool(2, ring, map[string]kv{"a": a, "b": dead})
	ctx := t.Context()
	if _, err := p.Get(ctx, "k"); err == nil || errors.Is(err, errMiss) {
		t.Errorf("with a dead server: %v, which is no miss for sure", err)
	}
	if err := p.Set(ctx, "k", "1"); err == nil {
		t.Error("a copy was not made, without an error")
	}
	p.Leave("b")
	if _, err := p.Get(ctx, "nosuch"); !errors.Is(err, errMiss) {
		t.Errorf("without the dead server: %v", err)
	}
	if err := p.Set(ctx, "k", "2"); err != nil {
		t.Error(err)
	}
	if got, err := p.Get(ctx, "k"); err != nil || got != "2" {
		t.Errorf("it has %q, %v", got, err)
	}
}

// TestAgree checks that the comparison with libmemcached can fail.
func TestAgree(t *testing.T) {
	if err := agree(600, 300, 200, 350, 1000, 800, 950, 100); err != nil {
		t.Error(err)
	}
	if err := agree(1, 1, 1, 1, 1, 1, 1, 1); err == nil {
		t.Error("weights do not matter")
	}
}

// TestSelector checks which servers are there, and how one leaves.
func TestSelector(t *testing.T) {
	s, err := newSelector(2, consistenthash.Node{Name: "/nosuch/socket"}, consistenthash.Node{Name: "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	each := func() (list string) {
		err := s.Each(func(a net.Addr) error {
			list += a.Network() + " " + a.String() + ";"
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		return list
	}
	const both = "unix /nosuch/socket;tcp 127.0.0.1:1;"
	if got := each(); got != both {
		t.Errorf("the servers are %q, want %q", got, both)
	}
	if err := s.Each(func(net.Addr) error { return io.EOF }); err != io.EOF {
		t.Errorf("Each returns %v", err)
	}

	// Two attempts for each.
	for i, want := range []string{both, "tcp 127.0.0.1:1;", "tcp 127.0.0.1:1;", ""} {
		network, address := "unix", "/nosuch/socket"
		if i > 1 {
			network, address = "tcp", "127.0.0.1:1"
		}
		if _, err := s.Dial(t.Context(), network, address); err == nil {
			t.Fatalf("there is a server at %s", address)
		}
		if got := each(); got != want {
			t.Errorf("after %d attempts the servers are %q, want %q", i+1, got, want)
		}
	}
	if _, err := s.PickServer("k"); !errors.Is(err, memcache.ErrNoServers) {
		t.Errorf("without servers: %v", err)
	}
	if err := s.Set(consistenthash.Node{Name: "no address:x"}); !errors.Is(err, consistenthash.ErrName) {
		t.Errorf("a bad address: %v", err)
	}
}

// TestHashRing checks the shards of a Ring: they are those of its names, in
// whatever order.
func TestHashRing(t *testing.T) {
	a, b := newHashRing([]string{"x", "y", "z"}), newHashRing([]string{"z", "x", "y"})
	for i := range 100 {
		key := fmt.Sprint(i)
		if a.Get(key) == "" || a.Get(key) != b.Get(key) {
			t.Errorf("%s is at %q and %q", key, a.Get(key), b.Get(key))
		}
	}
	if got := newHashRing(nil).Get("k"); got != "" {
		t.Errorf("no shards have %q", got)
	}
}

// TestInput checks that a wrong flag is an error of the input.
func TestInput(t *testing.T) {
	for _, args := range []string{"-router mail", "-keys 1", "-keys 1000000", "-nosuch", "stray"} {
		if err := run(t.Context(), strings.Fields(args), io.Discard, io.Discard); !errors.As(err, new(*inputError)) {
			t.Errorf("%s: %v", args, err)
		}
	}
	if err := run(t.Context(), []string{"-h"}, io.Discard, io.Discard); err != nil {
		t.Errorf("-h: %v", err)
	}
}
