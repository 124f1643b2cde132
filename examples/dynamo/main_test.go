// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ashlar-go/ashlar/consistenthash"
	"github.com/ashlar-go/ashlar/lsm"
	"github.com/ashlar-go/ashlar/quorum"
)

var update = flag.Bool("update", false, "write testdata/golden.txt")

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

// TestLaws runs the program, which judges itself, with other nodes and keys.
func TestLaws(t *testing.T) {
	for _, flags := range []string{"-nodes 4 -n 300 -seed 2", "-nodes 9 -n 300 -keys 1000 -seed 3", "-n 100 -keys 1 -seed 4"} {
		if out, err := runProgram(t.Context(), strings.Fields(flags)...); err != nil {
			t.Errorf("%s: %v\n%s", flags, err, out)
		}
	}
}

// inMemory returns a small config whose stores are in memory.
func inMemory(seed uint64) *config {
	return &config{nodes: 5, n: 200, keys: 30, seed: seed, dir: "dynamo", fs: lsm.NewMemFS()}
}

// newTestDay returns a day that has not begun.
func newTestDay(t interface{ Fatal(...any) }, c *config, ch choice) *day {
	w, err := newWorld(c.fs, c.dir, c.nodes, ch)
	if err != nil {
		t.Fatal(err)
	}
	return newDay(c, w)
}

// TestPropFaults runs random operations through random faults: strict quorums
// are never stale, and replicas agree in the end.
func TestPropFaults(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := inMemory(rapid.Uint64().Draw(t, "seed"))
		c.nodes = rapid.IntRange(4, 7).Draw(t, "nodes")
		ch := rapid.SampledFrom(choices()).Draw(t, "choice")
		d := newTestDay(t, c, ch)
		d.steps = drawFaults(t, c.nodes)
		if err := errors.Join(d.run(context.Background()), d.w.close()); err != nil {
			t.Fatal(err)
		}
	})
}

// drawFaults returns faults one after the other, of which each ends. Before a
// disk is lost all copies are there: who loses the only one has lost a write.
func drawFaults(t *rapid.T, nodes int) (steps []step) {
	parts := 6
	at := func(i int, where float64) float64 { return (float64(i) + where) / float64(parts) }
	for i := range parts {
		n := rapid.IntRange(0, nodes-1).Draw(t, "node")
		switch rapid.IntRange(0, 3).Draw(t, "fault") {
		case 0:
			steps = append(steps,
				step{at(i, 0.1), "cut", func(_ context.Context, d *day) error { d.cut(n, true); return nil }},
				step{at(i, 0.6), "heal", func(_ context.Context, d *day) error { d.cut(n, false); return nil }})
		case 1:
			steps = append(steps,
				step{at(i, 0.1), "stop", func(_ context.Context, d *day) error { return d.w.stop(n) }},
				step{at(i, 0.6), "start", func(ctx context.Context, d *day) error { return d.restart(ctx, n) }})
		case 2:
			steps = append(steps,
				step{at(i, 0.1), "repair", func(ctx context.Context, d *day) error { return d.repair(ctx, "before", -1) }},
				step{at(i, 0.1), "lose", func(_ context.Context, d *day) error { return d.lose(n) }},
				step{at(i, 0.6), "recover", func(ctx context.Context, d *day) error { return d.recover(ctx, n) }})
		}
	}
	return append(steps, step{1, "repair", func(ctx context.Context, d *day) error { return d.repair(ctx, "at the end", -1) }})
}

// TestFaults checks that each law sees what breaks it.
func TestFaults(t *testing.T) {
	ctx := t.Context()
	bad := func(what string, err error) {
		t.Helper()
		if err == nil {
			t.Errorf("%s: no error", what)
		}
	}

	// A node that serves although its disk is lost.
	d := newTestDay(t, inMemory(1), choice{r: 1, w: 3})
	d.naive = true
	bad("an empty disk that serves", d.run(ctx))

	// Replicas that are not repaired, and a write that is gone.
	d = newTestDay(t, inMemory(1), choice{r: 2, w: 2})
	d.steps = schedule[:1] // cut, and never healed
	bad("no repair", d.run(ctx))
	d = newTestDay(t, inMemory(1), choice{r: 2, w: 2})
	if err := d.run(ctx); err != nil {
		t.Fatal(err)
	}
	for key := range d.acked {
		d.acked[key]++
	}
	bad("a write that is gone", d.checkReplicas())

	// Quorums that need not meet, and clocks that are wrong, are stale.
	for _, ch := range []choice{{r: 1, w: 1}, {r: 2, w: 2, skew: time.Second}, {r: 1, w: 1, sloppy: true}} {
		c := inMemory(1)
		c.n = 2000
		d := newTestDay(t, c, ch)
		if err := d.run(ctx); err != nil || d.tally.stale == 0 {
			t.Errorf("%+v: %v and %d stale reads, want some", ch, err, d.tally.stale)
		}
	}

	// A new node that lacks a range.
	c := inMemory(1)
	w, keys, err := filled(ctx, c, "join")
	if err != nil {
		t.Fatal(err)
	}
	to, err := consistenthash.NewSnapshot(nil, members(c.nodes+1)...)
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := openStore(c.fs, "join/n6", w.group)
	if err != nil {
		t.Fatal(err)
	}
	_, err = checkJoin(ctx, w, to, "n6", fresh, keys)
	bad("a new node without keys", err)
	if err := fresh.Merge(ctx, "key00000", quorum.LWW[int]{Value: 1, Stamp: quorum.Stamp{Wall: 1}}); err != nil {
		t.Fatal(err)
	}
	_, err = checkJoin(ctx, w, to, "n6", fresh, keys)
	bad("a new node with a wrong key", err)
}

// TestStore checks that what a store has survives its end, and that decoding
// refuses what is no cell.
func TestStore(t *testing.T) {
	fs := lsm.NewMemFS()
	one := func(string) string { return "n1n2n3" }
	s, err := openStore(fs, "s", one)
	if err != nil {
		t.Fatal(err)
	}
	c := cell{Value: 7, Stamp: quorum.Stamp{Wall: 1, Count: 2, Node: 3}}
	if err := errors.Join(s.Merge(t.Context(), "k", c), s.Merge(t.Context(), "k", cell{Value: 6}), s.db.Close()); err != nil {
		t.Fatal(err)
	}
	if s, err = openStore(fs, "s", one); err != nil {
		t.Fatal(err)
	}
	got, err := s.Load(t.Context(), "k")
	if err != nil || got != c || s.index("n1n2n3").Len() != 1 {
		t.Errorf("after a restart: %+v, %v, and %d keys in the index, want %+v", got, err, s.index("n1n2n3").Len(), c)
	}
	if _, err := decode(make([]byte, cellLen-1)); err == nil {
		t.Error("a short cell: no error")
	}
	if got := fmt.Sprint(splitGroup("n1n12n3")); got != "[0 11 2]" {
		t.Errorf("splitGroup = %s", got)
	}
}

// TestSpread checks gossip against what is certain: nobody is told of by magic.
func TestSpread(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, n := range []int{1, 2, 5, 100} {
		rounds, messages := spread(n, rng)
		if n == 1 && rounds != 0 || n > 1 && (rounds < 1 || messages < n-1) {
			t.Errorf("%d nodes: %d rounds and %d messages", n, rounds, messages)
		}
	}
}

// TestInput checks that bad flags are errors of the input, in one line.
func TestInput(t *testing.T) {
	for _, args := range [][]string{{"-nodes", "3"}, {"-nodes", "13"}, {"-n", "99"}, {"-keys", "0"}, {"-n", "x"}, {"-bad"}, {"more"}} {
		out, err := runProgram(t.Context(), args...)
		if !errors.As(err, new(*inputError)) || strings.Contains(err.Error(), "\n") || out != "" {
			t.Errorf("%v: err = %v and %d bytes of a report, want one line about the input", args, err, len(out))
		}
	}
	var help bytes.Buffer
	if err := run(t.Context(), []string{"-help"}, io.Discard, &help); err != nil || !strings.Contains(help.String(), "-keys") {
		t.Errorf("-help: %v, and %q", err, &help)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := runProgram(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("after Ctrl-C: %v", err)
	}
	if err := run(t.Context(), nil, brokenWriter{}, io.Discard); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("with nobody to read the report: %v", err)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
