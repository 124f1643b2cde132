// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ashlar-go/ashlar/examples/scaleout/servers"
)

// TestMain is a process of the program when a test starts it as one.
func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" || len(os.Args) > 1 && os.Args[1] == servers.Serve {
		if err := run(context.Background(), os.Args[1:], os.Stdout, os.Stderr); err != nil {
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
	for store, want := range map[string]int{"nats": 4, "postgres": 3} {
		t.Run(store, func(t *testing.T) {
			var out strings.Builder
			err := run(t.Context(), []string{"-store", store}, &out, io.Discard)
			skipWithout(t, err)
			if n := strings.Count(out.String(), "law holds"); n != want {
				t.Errorf("%d laws hold, want %d:\n%s", n, want, &out)
			}
		})
	}
}

// TestFaults checks that the laws see what breaks them.
func TestFaults(t *testing.T) {
	for _, store := range []string{"nats", "postgres"} {
		for name, f := range map[string]faults{"ended": {noGuard: true}, "came again": {noPause: true}} {
			t.Run(store+" "+name, func(t *testing.T) {
				c := &config{store, 60, &f}
				err := c.reportWork(t.Context(), io.Discard)
				if errors.Is(err, servers.ErrNotInstalled) {
					t.Skip(err)
				}
				if err == nil || !strings.Contains(err.Error(), name) {
					t.Errorf("no law is broken: %v", err)
				}
			})
		}
	}
	for name, f := range map[string]faults{"no ids": {noID: true}, "removed first": {removeFirst: true}} {
		c := &config{"nats", 60, &f}
		if err := c.reportOutbox(t.Context(), io.Discard); !errors.Is(err, errOrder) {
			t.Errorf("%s: no law is broken: %v", name, err)
		}
	}
}

// TestQueue checks the rules of each queue, one after the other.
func TestQueue(t *testing.T) {
	for _, store := range []string{"nats", "postgres"} {
		t.Run(store, func(t *testing.T) {
			ctx := t.Context()
			c := &config{store, 60, new(faults)}
			s, stop, err := c.newShift(ctx)
			defer func() {
				if err := stop(); err != nil {
					t.Error(err)
				}
			}()
			skipWithout(t, err)
			q := s.q
			for _, want := range []bool{true, false} {
				if fresh, err := q.enqueue(ctx, "a", "work"); fresh != want || err != nil {
					t.Errorf("enqueue = %t, %v, want %t", fresh, err, want)
				}
			}
			next := func(want error) *claim {
				t.Helper()
				for end := time.Now().Add(10 * time.Second); ; pause(ctx, 5*time.Millisecond) {
					c, err := q.claim(ctx, "w")
					if errors.Is(err, want) && err != nil || err == nil && want == nil {
						return c
					}
					if time.Now().After(end) {
						t.Fatalf("claim: %v, want %v", err, want)
					}
				}
			}

			// A claim that is silent goes to another, and its ack is refused
			// when that has ended the job. An ack again is not.
			first := next(nil)
			next(errEmpty)
			second := next(nil)
			if first.id != "a" || first.payload != "work" || first.try != 1 || second.try != 2 {
				t.Errorf("claims %+v, %+v", first, second)
			}
			for range 2 {
				if err := q.ack(ctx, second, "effect"); err != nil {
					t.Error(err)
				}
			}
			if err := q.ack(ctx, first, "effect"); !errors.Is(err, errNotYours) {
				t.Errorf("the ack of a claim that was lost: %v", err)
			}
			if fresh, err := q.enqueue(ctx, "a", "work"); fresh || err != nil {
				t.Errorf("enqueue of what is done = %t, %v", fresh, err)
			}

			// What fails is dead after some tries.
			if _, err := q.enqueue(ctx, "b", ""); err != nil {
				t.Fatal(err)
			}
			for i := range mostTries {
				c := next(nil)
				if c.id != "b" || c.try != i+1 {
					t.Errorf("claim %+v, want try %d of b", c, i+1)
				}
				if err := q.nack(ctx, c, errPoison); err != nil {
					t.Error(err)
				}
			}
			next(errEmpty)
			st, err := q.state(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if len(st.waiting) != 0 || !slices.Equal(st.ends["a"], []ending{{true, "effect"}}) || !slices.Equal(st.ends["b"], []ending{{false, "poison"}}) {
				t.Errorf("state %+v", st)
			}
		})
	}
}

// TestEnds feeds the judge wrong ends.
func TestEnds(t *testing.T) {
	right := func() *state {
		return &state{waiting: map[string]bool{}, ends: map[string][]ending{
			jobID(1): {{true, effectOf(jobID(1))}}, jobID(2): {{true, effectOf(jobID(2))}},
		}}
	}
	s := &shift{jobs: 2}
	if _, err := s.checkEnds(right()); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(st *state){
		"lost":   func(st *state) { delete(st.ends, jobID(2)) },
		"waits":  func(st *state) { delete(st.ends, jobID(2)); st.waiting[jobID(2)] = true },
		"twice":  func(st *state) { st.ends[jobID(2)] = append(st.ends[jobID(2)], ending{}) },
		"dead":   func(st *state) { st.ends[jobID(2)][0] = ending{false, "poison"} },
		"effect": func(st *state) { st.ends[jobID(2)][0].text = "did nothing" },
		"more":   func(st *state) { st.ends[jobID(3)] = []ending{{true, ""}} },
	} {
		st := right()
		change(st)
		if _, err := s.checkEnds(st); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestInput checks that a wrong flag is an error of the input.
func TestInput(t *testing.T) {
	for _, args := range []string{"-store mysql", "-jobs 49", "-jobs 10001", "-nosuch", "stray"} {
		if err := run(t.Context(), strings.Fields(args), io.Discard, io.Discard); !errors.As(err, new(*inputError)) {
			t.Errorf("%s: %v", args, err)
		}
	}
	if err := run(t.Context(), []string{"-h"}, io.Discard, io.Discard); err != nil {
		t.Errorf("-h: %v", err)
	}
}
