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
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write testdata/golden.txt")

// runProgram runs the program and returns what it prints to stdout.
func runProgram(ctx context.Context, args ...string) (string, error) {
	var stdout bytes.Buffer
	err := run(ctx, args, &stdout, io.Discard)
	return stdout.String(), err
}

// checkWidths reports lines that are wider than a terminal.
func checkWidths(t *testing.T, out string) {
	t.Helper()
	for line := range strings.Lines(out) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 80 {
			t.Errorf("a line of %d columns: %s", n, line)
		}
	}
}

// TestGolden pins the report of the generated graph: the default depends on the
// version of Go.
func TestGolden(t *testing.T) {
	got, err := runProgram(t.Context(), "-graph", "generated")
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
	checkWidths(t, got)
}

// TestLaws runs the program, which judges itself, on other graphs.
func TestLaws(t *testing.T) {
	for _, flags := range []string{
		"-n 1500", // the standard library, if its source is here
		"-graph generated -users 2 -n 500",
		"-graph generated -users 40 -n 3000 -seed 2 -threshold 25",
		"-graph generated -users 300 -n 1 -seed 3",
		"-in testdata/edges.txt -n 3000",
		"-in testdata/edges.txt -n 3000 -threshold 2 -seed 4",
		"-in testdata/edges.txt -n 100 -threshold 200000",
	} {
		t.Run(flags, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			err := run(t.Context(), strings.Fields(flags), &stdout, &stderr)
			out := stdout.String()
			if err != nil || stderr.Len() > 0 {
				t.Fatalf("%v, %q\n%s", err, &stderr, out)
			}

			// Each part of the report has one, but for the first and the last,
			// which has two.
			if n := strings.Count(out, "law holds"); n != 5 {
				t.Errorf("%d verdicts, want 5, in:\n%s", n, out)
			}
			checkWidths(t, out)
		})
	}
}

// TestPropTimelines lets anything happen among a few users, and compares feeds
// of any threshold, and one that forgets.
func TestPropTimelines(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		users := rapid.IntRange(2, 7).Draw(t, "users")
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		tr := &trial{config: new(config), names: make([]string, users)}
		for range rng.IntN(20) {
			if e := (edge{rng.IntN(users), rng.IntN(users)}); e.from != e.to {
				tr.edges = append(tr.edges, e)
			}
		}
		tr.first = newGraph(users, tr.edges)
		for range rng.IntN(800) {
			k := kind(rng.IntN(8))
			if k > unfollow {
				k = post
			}
			tr.events = append(tr.events, event{k, rng.IntN(users), rng.IntN(users)})
		}

		// In lockstep; the cache expires often.
		w := tr.newWorld()
		for threshold := range 5 {
			w.add("some", threshold)
		}
		w.add("push", always)
		w.feeds = append(w.feeds, newFeed("cached", rng.IntN(4), w.g, w.p, 30*step, rng, w.now))
		if err := tr.play(context.Background(), w); err != nil {
			t.Fatal(err)
		}
		for _, f := range w.feeds[:6] {
			if err := tr.checkWork(f); err != nil {
				t.Fatal(err)
			}
		}
		curve, chosen := tr.predict([]int{0, 1, 2, 3, 4, always})
		if err := checkChosen(curve, chosen); err != nil {
			t.Fatal(err)
		}
	})
}

// someTrial returns a trial in which timelines are full, and authors pass the
// threshold both ways.
func someTrial(t *testing.T) *trial {
	t.Helper()
	c, err := parseFlags([]string{"-graph", "generated", "-users", "40", "-n", "8000", "-threshold", "25"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	tr, err := c.trial()
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// TestFaults checks that each law sees what breaks it.
func TestFaults(t *testing.T) {
	tr := someTrial(t)
	w := tr.newWorld()
	f := w.add("hybrid", tr.threshold)
	if err := tr.play(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	if f.promoted == 0 || f.demoted == 0 || f.refilled == 0 || f.backfilled == 0 {
		t.Errorf("the trial shows too little: %+v", f.work)
	}

	// Without what a follow and an unfollow have to do: beside another feed,
	// and alone.
	for name, change := range map[string]func(*feed){
		"backfill": func(f *feed) { f.noBackfill = true },
		"refill":   func(f *feed) { f.noRefill = true },
	} {
		for _, alone := range []bool{true, false} {
			w := tr.newWorld()
			change(w.add("push", always))
			if !alone {
				w.add("pull", 0)
			}
			if err := tr.play(t.Context(), w); err == nil || !strings.Contains(err.Error(), "law broken") {
				t.Errorf("no %s, alone %t: %v", name, alone, err)
			}
		}
	}

	// A post that was on an earlier page.
	user := slices.IndexFunc(tr.names, func(string) bool { return true })
	seen := map[int]bool{w.timeline(user)[0]: true}
	w.sessions[user] = &session{cursor: newest, page: 1, cursors: seen, numbers: map[int]bool{}}
	if err := w.do(event{kind: readOn, user: user}); err == nil {
		t.Error("a post that was seen: no error")
	}

	// Work that was not done, or not counted.
	f.written++
	if err := tr.checkWork(f); err == nil {
		t.Error("a copy too many: no error")
	}
	if err := checkChosen([]point{{threshold: 1, written: 5, lists: 5}}, 11); err == nil {
		t.Error("a choice that is worse than a threshold: no error")
	}
	if err := checkSpared(f, &feed{work: work{written: f.written - 2, spared: 1}}); err == nil {
		t.Error("a copy that is neither written nor spared: no error")
	}
	if err := (&morning{oldest: morningTTL}).check(); err == nil {
		t.Error("a timeline that is too old: no error")
	}
}

// TestPage checks pages by hand: 20 each, of the last 100.
func TestPage(t *testing.T) {
	tr := &trial{config: new(config), names: []string{"reader", "author", "other"}}
	tr.first = newGraph(3, []edge{{0, 1}})
	w := tr.newWorld()
	f := w.add("push", always)
	for range 130 {
		if err := w.do(event{kind: post, user: 1}); err != nil {
			t.Fatal(err)
		}
	}

	// The sixth page is of posts that are not in the timeline any more.
	cursor := newest
	for i, want := range []int{129, 109, 89, 69, 49} {
		list := f.page(0, cursor)
		if len(list) != pageLen || list[0] != want || list[pageLen-1] != want-19 {
			t.Fatalf("page %d is %v, want 20 from %d on", i+1, list, want)
		}
		cursor = list[pageLen-1]
	}
	if list := f.page(0, cursor); len(list) != 0 {
		t.Errorf("page 6 is %v", list)
	}

	// A follow brings old posts, an unfollow takes them out, and older ones of
	// the others come back.
	for _, e := range []event{{post, 2, 0}, {follow, 0, 2}, {unfollow, 0, 2}} {
		if err := w.do(e); err != nil {
			t.Fatal(err)
		}
		want := map[kind]int{post: 129, follow: 130, unfollow: 129}[e.kind]
		if list := f.page(0, newest); list[0] != want {
			t.Errorf("after %+v the first post is %d, want %d", e, list[0], want)
		}
	}
	if h, _ := f.homes.Peek(0); len(h.list) != timelineLen || h.list[0] != 30 {
		t.Errorf("%d posts from %d on, want 100 from 30", len(h.list), h.list[0])
	}
}

// TestMorning checks that random times to live spread what fixed ones do at
// once.
func TestMorning(t *testing.T) {
	fixed, random := morning{users: 1000}, morning{users: 1000, random: true}
	fixed.run(1, 60)
	random.run(1, 60)
	if fixed.peak() < 900 || random.peak() > 200 || fixed.oldest <= morningTTL-2*morningEach {
		t.Errorf("peaks of %v and %v, the oldest %v", fixed.peak(), random.peak(), fixed.oldest)
	}
}

// TestStandardLibrary reads a source tree that has everything that is to be
// left out, and does without one.
func TestStandardLibrary(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"src/a/a.go":            "package a\nimport (\n\"b\"\n\"b/c\"\n\"cmd/x\"\n\"example.com/y\"\n)",
		"src/a/a_test.go":       "package a\nimport \"d\"",
		"src/a/a_none.go":       "//go:build ignore\n\npackage a\nimport \"d\"",
		"src/a/testdata/t.go":   "package t\nimport \"d\"",
		"src/a/none/none.go":    "//go:build ignore\n\npackage none\nimport \"d\"",
		"src/b/b.go":            "package b",
		"src/b/more.go":         "package b\nimport \"d\"",
		"src/b/c/c.go":          "package c\nimport \"b\"\nimport \"b\"",
		"src/d/d.go":            "package d",
		"src/cmd/x/x.go":        "package x\nimport \"d\"",
		"src/_skipped/s/s.go":   "package s\nimport \"d\"",
		"src/make.go":           "package main\nimport \"d\"",
		"src/b/c/notes/note.md": "no package",
	} {
		name = filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	names, edges, err := standardLibrary(root)
	if err != nil || fmt.Sprint(names) != "[a b b/c d]" || fmt.Sprint(edges) != "[{0 1} {0 2} {1 3} {2 1}]" {
		t.Errorf("packages %v, imports %v, %v", names, edges, err)
	}

	c, err := parseFlags(nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	c.users = 50
	for _, c.root = range []string{t.TempDir(), filepath.Join(root, "missing")} {
		tr, err := c.trial()
		if err != nil || !strings.HasPrefix(tr.title, "generated") || len(tr.names) != c.users {
			t.Errorf("without a source: %v, %+v", err, tr)
		}
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
		{"-users", "1"},
		{"-threshold", "-1"},
		{"-threshold", "x"},
		{"-graph", "other"},
		{"-bad"},
		{"more"},
		{"-in", filepath.Join(dir, "missing")},
		{"-in", dir},
		{"-in", file("empty", "# nothing\n\n")},
		{"-in", file("self", "a a\n")},
		{"-in", file("three", "a b\na b c\n")},
	} {
		out, err := runProgram(t.Context(), args...)
		if !errors.As(err, new(*inputError)) || strings.Contains(err.Error(), "\n") || out != "" {
			t.Errorf("%v: err = %v and %d bytes of a report, want one line about the input", args, err, len(out))
		}
	}

	var help bytes.Buffer
	if err := run(t.Context(), []string{"-help"}, io.Discard, &help); err != nil || !strings.Contains(help.String(), "-threshold") {
		t.Errorf("-help: %v, and %q", err, &help)
	}
	ctx, cancel := context.WithTimeout(t.Context(), -time.Second)
	defer cancel()
	if _, err := runProgram(ctx, "-in", "testdata/edges.txt"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("after Ctrl-C: %v", err)
	}
	tr := someTrial(t)
	for i, report := range []func(context.Context, *trial, io.Writer) error{reportModes, reportPages, reportExpiry} {
		if err := report(ctx, tr, io.Discard); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("report %d after Ctrl-C: %v", i, err)
		}
	}
	if err := run(t.Context(), []string{"-in", "testdata/edges.txt"}, brokenWriter{}, io.Discard); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("with nobody to read the report: %v", err)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
