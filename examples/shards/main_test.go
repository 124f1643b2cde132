// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
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

// TestLaws runs the program, which judges itself, on other people, with few and
// with many shards.
func TestLaws(t *testing.T) {
	for _, flags := range []string{
		"-n 1",
		"-n 2 -shards 2",
		"-seed 2 -n 3000 -shards 2",
		"-seed 3 -n 3000 -shards 3 -ops 0",
		"-seed 4 -n 3000 -shards 16 -ops 50",
		"-in testdata/people.csv -shards 5",
		"-in testdata/one.csv -shards 2",
	} {
		t.Run(flags, func(t *testing.T) {
			out, err := runProgram(t.Context(), strings.Fields(flags)...)
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if n := strings.Count(out, "law holds"); n != 4 {
				t.Errorf("%d verdicts, want 4, in:\n%s", n, out)
			}
		})
	}
}

// TestPropMigration checks the right strategy under any seed, number of shards
// and load.
func TestPropMigration(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		people := generate(seed, rapid.IntRange(1, 500).Draw(t, "people"))
		from, to := names(rapid.IntRange(1, 6).Draw(t, "before")), names(rapid.IntRange(1, 6).Draw(t, "after"))
		d := newDrive(right, seed, from, to, people)
		if err := d.run(context.Background(), rapid.IntRange(0, 20).Draw(t, "ops"), true); err != nil {
			t.Fatal(err)
		}
	})
}

// TestMigrationFaults checks that the law sees what is wrong with the other
// strategies, each in its own way.
func TestMigrationFaults(t *testing.T) {
	people := generate(1, 20_000)
	for i, wrong := range []func(*tally) int{
		func(n *tally) int { return n.missed },
		func(n *tally) int { return min(n.stale, n.lost) },
		func(n *tally) int { return n.left },
	} {
		d := newDrive(naive[i], 1, names(4), names(5), people)
		if err := d.run(t.Context(), 20, false); err != nil {
			t.Fatal(err)
		}
		if wrong(&d.tally) == 0 {
			t.Errorf("%s: nothing is wrong: %+v", naive[i].name, d.tally)
		}
		strict := newDrive(naive[i], 1, names(4), names(5), people)
		if err := strict.run(t.Context(), 20, true); err == nil {
			t.Errorf("%s: no error", naive[i].name)
		}
	}

	// A step that loses a record is found although nobody reads it.
	d := newDrive(right, 1, names(4), names(5), people)
	m := d.c.transfers[0]
	for s := range m.in(d.truth) {
		d.c.shards[m.From].Delete(s)
		break
	}
	if err := d.run(t.Context(), 0, true); err == nil {
		t.Error("a record that is lost: no error")
	}
}

// A forgetful scheme leaves out the first shard that it should ask.
type forgetful struct{ scheme }

func (f forgetful) touches(q *query) []string { return f.scheme.touches(q)[1:] }

// TestFaults checks that each law sees a scheme that breaks it.
func TestFaults(t *testing.T) {
	people := generate(1, 2000)
	few, more := names(4), names(5)

	// A shard that is not asked.
	s := newLetters(few)
	q := query{lo: "G", hi: "P"}
	if _, _, err := answer(s, &q, people); err != nil {
		t.Error(err)
	}
	if _, _, err := answer(forgetful{s}, &q, people); err == nil {
		t.Error("a question that leaves out a shard: no error")
	}

	// People who move although no plan says so, and needlessly.
	from, to := newRing(few), newRing(more)
	moves := slices.Collect(from.points.Plan(to.points))
	if err := checkPlan(from, to, moves, people); err != nil {
		t.Error(err)
	}
	if err := checkPlan(from, to, moves[1:], people); err == nil {
		t.Error("a plan without its first range: no error")
	}
	up := compare(from, to, more[4], "", people)
	if err := checkMoves(from, to, newRing(more[1:]), up, moved{people: len(people), needless: 1}, 4, people); err == nil {
		t.Error("a needless move: no error")
	}
	up.all = len(people)
	if err := checkMoves(mod{few}, mod{more}, mod{more}, up, up, 4, people); err == nil {
		t.Error("mod n that moves everybody: no error")
	}
	if err := checkMoves(pie{few}, pie{more}, pie{more}, up, up, 4, people); err == nil {
		t.Error("slices that move everybody: no error")
	}

	// A shard that has lost its people.
	g := newGather(&config{shards: 4}, people)
	g.rows["s1"] = nil
	if err := g.report(t.Context(), people, io.Discard); err == nil {
		t.Error("a shard without people: no error")
	}
}

// TestScheme checks the schemes against what is on paper.
func TestScheme(t *testing.T) {
	people := generate(1, 5000)
	for _, n := range []int{2, 3, 4, 5, 16} {
		shards := names(n)
		for _, s := range schemes(shards, people) {
			grown := s.with(names(n+1), people)
			lost := grown.with(slices.Delete(names(n+1), 0, 1), people)
			for name, of := range map[string]scheme{"first": s, "grown": grown, "lost": lost} {
				for i := range people {
					at := of.shard(&people[i])
					if !slices.Contains(names(n+1), at) || name == "lost" && at == "s1" || name == "first" && !slices.Contains(shards, at) {
						t.Fatalf("%s of %d, %s: %s is on %q", s.name(), n, name, people[i].id, at)
					}
				}
				for _, q := range questions(people) {
					if _, _, err := answer(of, &q, people); err != nil {
						t.Errorf("%s: %v", name, err)
					}
				}
			}
		}
	}

	// A to F, G to M, N to S and T to Z.
	s := newLetters(names(4))
	for name, want := range map[string]string{"": "s1", "Fischer": "s1", "G": "s2", "Martin": "s2", "N": "s3", "Sato": "s3", "T": "s4", "Zhou": "s4"} {
		if got := s.at(name); got != want {
			t.Errorf("letters: %q is on %s, want %s", name, got, want)
		}
	}
	if got := kept(4); got < 0.4999 || got > 0.5001 {
		t.Errorf("%v of a pie of 4 stays with its owner, want a half", got)
	}
}

// TestInput checks that bad flags and bad files are errors of the input, in one
// line.
func TestInput(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return name
	}
	for _, args := range [][]string{
		{"-n", "0"},
		{"-n", "1000001"},
		{"-n", "many"},
		{"-shards", "1"},
		{"-shards", "17"},
		{"-ops", "-1"},
		{"-bad"},
		{"more"},
		{"-in", filepath.Join(dir, "missing")},
		{"-in", dir},
		{"-in", file("empty", "")},
		{"-in", file("heading", "id,name,city,age\n")},
		{"-in", file("short", "a,b,c\n")},
		{"-in", file("age", "a,b,c,1\nb,b,c,x\n")},
		{"-in", file("negative", "a,b,c,-1\n")},
		{"-in", file("twice", "a,b,c,1\na,b,c,1\n")},
		{"-in", file("nobody", ",b,c,1\n")},
		{"-in", file("quote", "a,\"b,c,1\n")},
	} {
		out, err := runProgram(t.Context(), args...)
		if !errors.As(err, new(*inputError)) || strings.Contains(err.Error(), "\n") || out != "" {
			t.Errorf("%v: err = %v and %d bytes of a report, want one line about the input", args, err, len(out))
		}
	}

	var help bytes.Buffer
	if err := run(t.Context(), []string{"-help"}, io.Discard, &help); err != nil || !strings.Contains(help.String(), "-shards") {
		t.Errorf("-help: %v, and %q", err, &help)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := runProgram(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("after Ctrl-C: %v", err)
	}
	if err := run(t.Context(), []string{"-n", "10"}, brokenWriter{}, io.Discard); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("with nobody to read the report: %v", err)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
