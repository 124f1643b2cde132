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

// checkWidths reports lines that are wider than a terminal.
func checkWidths(t *testing.T, out string) {
	t.Helper()
	for line := range strings.Lines(out) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 80 {
			t.Errorf("a line of %d columns: %s", n, line)
		}
	}
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
	checkWidths(t, got)
}

// TestLaws runs the program, which judges itself, on other games.
func TestLaws(t *testing.T) {
	for _, flags := range []string{
		"-n 1 -players 1",
		"-n 2 -players 5",
		"-n 300 -players 1 -top 50",
		"-seed 2 -n 3000 -players 100 -top 1",
		"-seed 3 -n 5000 -players 400 -around calm-bear",
		"-in testdata/small.log",
		"-in testdata/small.log -around 198.51.100.9",
	} {
		t.Run(flags, func(t *testing.T) {
			c, err := parseFlags(strings.Fields(flags), io.Discard)
			if err != nil {
				t.Fatal(err)
			}

			// TestGolden has larger boards. Checks of a smaller one, under the
			// tag invariants, would count as comparisons.
			c.boards = []int{1000}
			var stdout, stderr bytes.Buffer
			err = c.execute(t.Context(), &stdout, &stderr)
			out := stdout.String()
			if err != nil || stderr.Len() > 0 {
				t.Fatalf("%v, %q\n%s", err, &stderr, out)
			}
			if strings.Contains(out, "requests of a log (5 lines are none)") != (c.in != "") {
				t.Errorf("the report does not say where the results are from:\n%s", out)
			}
			if n := strings.Count(out, "law holds"); n != 3 {
				t.Errorf("%d verdicts, want 3, in:\n%s", n, out)
			}
			checkWidths(t, out)
		})
	}
}

// TestLog checks which lines are results, and who is first of two clients that
// got as much.
func TestLog(t *testing.T) {
	f, err := os.Open(filepath.Join("testdata", "small.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	results, malformed, err := readLog(f)
	if err != nil || len(results) != 6 || malformed != 5 {
		t.Fatalf("%d results, %d malformed lines, %v, want 6 and 5", len(results), malformed, err)
	}

	// Those without points are on the board, too.
	b := newBoard()
	for _, r := range results {
		b.add(r)
	}
	var got []string
	for _, s := range b.between(1, 9) {
		got = append(got, fmt.Sprintf("%d %d %s %d@%d", s.rank, s.shared, s.player, s.points, s.at))
	}
	want := []string{
		"1 1 203.0.113.9 2326@1", // and not @2, which gave nothing
		"2 1 2001:db8:0:1:2:3:4:5 2326@3",
		"3 1 198.51.100.7 2326@5",
		"4 4 198.51.100.9 0@6",
	}
	if !slices.Equal(got, want) {
		t.Errorf("board = %q, want %q", got, want)
	}
	if b.rank("198.51.100.8") != 0 || b.shared("198.51.100.8") != 0 || b.window("198.51.100.8", 1) != nil {
		t.Error("a client without a request is on the board")
	}
}

// drawGame returns a game of few players and few points, so that most are ties.
func drawGame(t *rapid.T) *game {
	g := &game{config: &config{top: 5}, around: "a"}
	players := []string{"a", "b", "c", "d", "e", "f", "g"}[:rapid.IntRange(1, 7).Draw(t, "players")]
	for range rapid.IntRange(1, 80).Draw(t, "results") {
		g.results = append(g.results, result{rapid.SampledFrom(players).Draw(t, "player"), rapid.IntRange(0, 3).Draw(t, "points")})
	}
	return g
}

// TestPropBoard checks all ranks and all windows after each result, and the
// pages of a board that changes.
func TestPropBoard(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := drawGame(t)
		b := newBoard()
		for i, r := range g.results {
			b.add(r)
			want := g.standings(i + 1)
			if err := b.check(want); err != nil {
				t.Fatal(err)
			}
			for _, s := range want {
				if err := checkWindow(b.window(s.player, 2), s.player, 2, want); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

// TestPropPages reads boards of several pages while they change.
func TestPropPages(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		players := rapid.IntRange(1, 300).Draw(t, "players")
		g := &game{results: play(rapid.Uint64().Draw(t, "seed"), rapid.IntRange(1, 3000).Draw(t, "n"), players)}
		_, cursor, _ := g.browse(newBoard())
		if err := cursor.check(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestFaults checks that each law sees what breaks it.
func TestFaults(t *testing.T) {
	c, err := parseFlags([]string{"-n", "3000", "-players", "300"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	g, err := c.game()
	if err != nil {
		t.Fatal(err)
	}

	// Ties the wrong way round, and a result that is lost.
	for name, b := range map[string]*board{"right": newBoard(), "last first": newBoard(), "deaf": newBoard()} {
		b.lastFirst = name == "last first"
		if name == "deaf" {
			b.deaf = 2000
		}
		if _, _, err := g.follow(t.Context(), b); (err == nil) != (name == "right") {
			t.Errorf("%s: %v", name, err)
		}
	}
	wrong := newBoard()
	wrong.lastFirst = true
	if err := byHand(wrong, io.Discard); err == nil {
		t.Error("by hand, ties the wrong way round: no error")
	}

	// A rank that is shared by too few, and a player too many.
	b := newBoard()
	for _, r := range g.results {
		b.add(r)
	}
	want := g.standings(len(g.results))
	for i, s := range want {
		if s.shared != s.rank {
			want[i].shared = s.rank
			break
		}
	}
	if err := b.check(want); err == nil {
		t.Error("a shared rank that is not shared: no error")
	}
	if err := b.check(want[1:]); err == nil {
		t.Error("a player too many: no error")
	}

	// A window without its last line, and one around nobody.
	want = g.standings(len(g.results))
	window := b.window(g.around, width)
	if err := checkWindow(window[:len(window)-1], g.around, width, want); err == nil {
		t.Error("a window that is too short: no error")
	}
	if err := checkWindow(window, "nobody", width, want); err == nil {
		t.Error("a window around nobody: no error")
	}

	// Pages by rank break the law of the cursor, and so does who is left out.
	rank, _, _ := g.browse(newBoard())
	if err := rank.check(); err == nil || rank.twice == 0 {
		t.Errorf("pages by rank: %v", err)
	}
	if err := (&reading{missed: 1}).check(); err == nil {
		t.Error("a player who is not seen: no error")
	}

	// Costs that are not what the table says.
	for _, c := range []cost{
		{n: 1000, compared: updates*60 + 1, sorted: 3000},
		{n: 1000, compared: updates, sorted: 3000},
		{n: 1000, compared: updates * 20, sorted: 2996},
		{n: 1000, compared: updates * 20, sorted: 3000, wrong: 1},
	} {
		if err := c.check(); err == nil {
			t.Errorf("%+v: no error", c)
		}
	}
}

// TestInput checks that bad flags and bad files are errors of the input, in one
// line.
func TestInput(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.log")
	if err := os.WriteFile(empty, []byte("no log\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"-n", "0"},
		{"-n", "5000001"},
		{"-players", "0"},
		{"-players", "x"},
		{"-top", "51"},
		{"-around", "nobody"},
		{"-bad"},
		{"more"},
		{"-in", "testdata/missing.log"},
		{"-in", t.TempDir()},
		{"-in", empty},
	} {
		out, err := runProgram(t.Context(), args...)
		if !errors.As(err, new(*inputError)) || strings.Contains(err.Error(), "\n") || out != "" {
			t.Errorf("%v: err = %v and %d bytes of a report, want one line about the input", args, err, len(out))
		}
	}

	var help bytes.Buffer
	if err := run(t.Context(), []string{"-help"}, io.Discard, &help); err != nil || !strings.Contains(help.String(), "-around") {
		t.Errorf("-help: %v, and %q", err, &help)
	}
	var times bytes.Buffer
	if err := run(t.Context(), []string{"-n", "10", "-time"}, io.Discard, &times); err != nil || strings.Count(times.String(), "\n") != 3 {
		t.Errorf("-time: %v, and %q", err, &times)
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
