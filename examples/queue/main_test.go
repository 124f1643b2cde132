// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ashlar-go/ashlar/lsm"
)

var update = flag.Bool("update", false, "write testdata/golden.txt")

// TestMain lets the test binary be the process that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv(victimDir); dir != "" {
		if err := victim(context.Background(), dir, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// runProgram runs the program and returns what it prints to stdout.
func runProgram(ctx context.Context, args ...string) (string, error) {
	var stdout bytes.Buffer
	err := run(ctx, args, &stdout, io.Discard)
	return stdout.String(), err
}

// TestGolden pins the report of the default input.
func TestGolden(t *testing.T) {
	got, err := runProgram(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "golden.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}

	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("report differs from %s; run with -update and look at the difference. Got:\n%s", golden, got)
	}
	for line := range strings.Lines(got) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 80 {
			t.Errorf("a line of %d columns: %s", n, line)
		}
	}
}

// memQueue returns a queue in memory, and its clock.
func memQueue(t interface{ Fatal(...any) }) (*Queue, *time.Duration) {
	db, err := lsm.Open("queue", &lsm.Options{FS: lsm.NewMemFS(), Durability: lsm.NoSync})
	if err != nil {
		t.Fatal(err)
	}
	at := new(time.Duration)
	q, err := open(db, func() time.Duration { return *at })
	if err != nil {
		t.Fatal(err)
	}
	return q, at
}

// TestPropQueue lets clients and workers do anything at any time, also after
// they have lost their claims, opens the queue again now and then, and checks
// the law after each step.
func TestPropQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		q, at := memQueue(t)
		var accepted []string
		var claims []job
		must := func(err error) {
			if err != nil && !errors.Is(err, errNotYours) && !errors.Is(err, errEmpty) {
				t.Fatal(err)
			}
		}
		claim := func() job { return rapid.SampledFrom(claims).Draw(t, "claim") }

		t.Repeat(map[string]func(*rapid.T){
			"enqueue": func(t *rapid.T) {
				id := fmt.Sprintf("%05d", rapid.IntRange(0, 20).Draw(t, "id"))
				fresh, err := q.Enqueue(ctx, id, "", rapid.IntRange(0, 1).Draw(t, "priority"))
				must(err)
				if fresh {
					accepted = append(accepted, id)
				}
			},
			"claim": func(t *rapid.T) {
				j, err := q.Claim(ctx, rapid.SampledFrom([]string{"a", "b"}).Draw(t, "worker"))
				must(err)
				if err == nil {
					claims = append(claims, j)
				}
			},
			"ack":     func(*rapid.T) { skipUnless(t, len(claims)); c := claim(); must(q.Ack(ctx, c, effectOf(c.ID))) },
			"nack":    func(*rapid.T) { skipUnless(t, len(claims)); must(q.Nack(ctx, claim(), errPoison)) },
			"release": func(*rapid.T) { skipUnless(t, len(claims)); must(q.Release(ctx, claim(), time.Second)) },
			"beat":    func(*rapid.T) { must(q.Heartbeat(ctx, "a")) },
			"wait": func(t *rapid.T) {
				*at += time.Duration(rapid.IntRange(0, 5000).Draw(t, "ms")) * time.Millisecond
				must(q.Expire(ctx))
			},
			"open": func(*rapid.T) {
				next, err := open(q.db, q.now)
				must(err)
				if len(next.jobs) != len(q.jobs) || next.ready.Len() != q.ready.Len() || next.hidden.Len() != q.hidden.Len() {
					t.Fatalf("after a restart: %d jobs, %d ready, want %d and %d", len(next.jobs), next.ready.Len(), len(q.jobs), q.ready.Len())
				}
				q = next
			},
			"": func(*rapid.T) {
				if _, _, err := q.check(accepted); err != nil {
					t.Fatal(err)
				}
			},
		})
	})
}

func skipUnless(t *rapid.T, n int) {
	if n == 0 {
		t.Skip("no claim")
	}
}

// TestQueue checks the rules of the queue, one after the other.
func TestQueue(t *testing.T) {
	ctx := t.Context()
	q, at := memQueue(t)
	for i, id := range []string{"low", "high", "next"} {
		if fresh, err := q.Enqueue(ctx, id, "", i%2); !fresh || err != nil {
			t.Fatal(fresh, err)
		}
	}
	claim := func(worker, want string) job {
		t.Helper()
		j, err := q.Claim(ctx, worker)
		if err != nil || j.ID != want {
			t.Fatalf("Claim = %q, %v, want %q", j.ID, err, want)
		}
		return j
	}
	first := claim("a", "high")
	second := claim("b", "low")

	// a is silent: its job moves, and only its own. b has said that it lives.
	*at = visibility - 1
	if err := errors.Join(q.Heartbeat(ctx, "b"), q.Expire(ctx)); err != nil {
		t.Fatal(err)
	}
	*at = visibility
	if err := q.Expire(ctx); err != nil {
		t.Fatal(err)
	}
	if high, low := q.jobs["high"], q.jobs["low"]; high.Worker != "" || high.Tries != 1 || low.Worker != "b" {
		t.Errorf("after a heartbeat of b: %+v and %+v", high, low)
	}
	if err := q.Ack(ctx, first, effectOf("high")); !errors.Is(err, errNotYours) {
		t.Errorf("Ack of a lost claim = %v", err)
	}
	if err := q.Ack(ctx, second, effectOf("low")); err != nil {
		t.Error(err)
	}
	if fresh, err := q.Enqueue(ctx, "low", "", 0); fresh || err != nil {
		t.Errorf("Enqueue of what is done = %t, %v", fresh, err)
	}

	// Pauses double, and the fifth failure is the last.
	var pauses []time.Duration
	for range mostTries - 1 {
		*at = q.jobs["high"].Due
		if err := q.Expire(ctx); err != nil {
			t.Fatal(err)
		}
		j := claim("a", "high")
		if err := q.Nack(ctx, j, errPoison); err != nil {
			t.Fatal(err)
		}
		if left := q.jobs["high"]; left != nil {
			pauses = append(pauses, left.Due-*at)
		}
	}
	if got := fmt.Sprint(pauses); got != "[1s 2s 4s]" {
		t.Errorf("pauses = %s", got)
	}
	if done, dead, err := q.check([]string{"low", "high", "next"}); done != 1 || dead != 1 || err != nil {
		t.Errorf("%d done, %d dead, %v", done, dead, err)
	}
}

// TestFaults checks that each law sees what breaks it.
func TestFaults(t *testing.T) {
	ctx := t.Context()

	// A queue that ends a job in two steps loses it to some power cut.
	found := false
	for n := int64(1); !found; n++ {
		happened, err := crashAt(ctx, n, lsm.CrashConfig{Keep: 1}, true)
		if !happened && err == nil {
			break
		}
		found = err != nil
	}
	if !found {
		t.Error("two batches: no power cut breaks the law")
	}

	// A worker that comes late, whose job is done by another.
	q, at := memQueue(t)
	q.noTokens = true
	if _, err := q.Enqueue(ctx, "x", "", 0); err != nil {
		t.Fatal(err)
	}
	late, err := q.Claim(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	*at = time.Hour
	if err := q.Expire(ctx); err != nil {
		t.Fatal(err)
	}
	if err := q.Ack(ctx, late, effectOf("x")); err != nil {
		t.Errorf("Ack without tokens = %v", err)
	}

	// A job that is lost, one that is done and dead, and a wrong effect.
	for name, change := range map[string]func(q *Queue) error{
		"lost":         func(q *Queue) error { delete(q.jobs, "x"); return nil },
		"both":         func(q *Queue) error { return q.db.Set([]byte(deadKey+"x"), nil) },
		"wrong effect": func(q *Queue) error { delete(q.jobs, "x"); return q.db.Set([]byte(doneKey+"x"), []byte("no")) },
	} {
		q, _ := memQueue(t)
		if _, err := q.Enqueue(ctx, "x", "", 0); err != nil {
			t.Fatal(err)
		}
		if err := change(q); err != nil {
			t.Fatal(err)
		}
		if _, _, err := q.check([]string{"x"}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}

	// The naive notifier, and a service that is flooded.
	ring, err := kitchenRing()
	if err != nil {
		t.Fatal(err)
	}
	k := &kitchen{ring: ring, naive: true}
	k.run()
	if err := k.check(); err == nil || fmt.Sprint(k.twice()) != "[O3]" {
		t.Errorf("the naive notifier: %v, and %v twice, want O3", err, k.twice())
	}
	s := &spike{q: q, lastCalls: make([]time.Duration, 6)}
	delete(q.jobs, "x")
	if _, _, err := s.check(); err == nil {
		t.Error("6 calls at once: no error")
	}

	// A kill after which a job is done again.
	if err := checkKilled(q, nil, nil); err == nil {
		t.Error("nothing is done: no error")
	}
}

// TestSpike checks other seeds and numbers of jobs.
func TestSpike(t *testing.T) {
	for _, c := range []config{{jobs: 100, seed: 2}, {jobs: 1500, seed: 3}} {
		if err := reportSpike(t.Context(), &c, io.Discard); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// TestChain checks the arithmetic of calls that wait, and that the law of the
// jobs sees one that is missing.
func TestChain(t *testing.T) {
	// Ten calls are on their way when S4 crashes: those of the minutes 3 to 12.
	all := wait("", time.Hour)
	if all.answered != videos || all.broken != 10 || all.longest != isBackAt-3*time.Minute+timeS1+timeS2+timeS4 {
		t.Errorf("who waits for all: %+v", all)
	}
	if none := wait("", timeS4); none.answered != 0 || none.broken != 10+videos || none.held != 2*10 {
		t.Errorf("who waits ten minutes: %+v", none)
	}

	// A job that was acknowledged and is not there.
	q, _ := memQueue(t)
	s := &studio{q: q, came: map[string]time.Duration{}}
	q.now = func() time.Duration { return s.at }
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.check(); err != nil || s.lost != 10 {
		t.Errorf("%v, and %d were lost half done, want 10", err, s.lost)
	}
	s.accepted = append(s.accepted, "another")
	if s.check() == nil {
		t.Error("a job that is not there: no error")
	}
}

// TestInput checks that bad flags are errors of the input, in one line.
func TestInput(t *testing.T) {
	for _, args := range [][]string{{"-jobs", "99"}, {"-jobs", "100001"}, {"-jobs", "x"}, {"-bad"}, {"more"}} {
		out, err := runProgram(t.Context(), args...)
		if !errors.As(err, new(*inputError)) || strings.Contains(err.Error(), "\n") || out != "" {
			t.Errorf("%v: err = %v and %d bytes of a report, want one line about the input", args, err, len(out))
		}
	}
	var help bytes.Buffer
	if err := run(t.Context(), []string{"-help"}, io.Discard, &help); err != nil || !strings.Contains(help.String(), "-jobs") {
		t.Errorf("-help: %v, and %q", err, &help)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := runProgram(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("after Ctrl-C: %v", err)
	}
}
