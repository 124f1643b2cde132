// SPDX-License-Identifier: MIT

// Leaderboard ranks players while their scores change, and checks every rank
// that it prints against a sort.
//
// The problem: a game has many players and a result every moment. Each player
// wants to know the own rank, who is just above and just below, and who leads.
// To sort all players after each result is too slow, and to sort them now and
// then shows ranks that are not true any more.
//
//	results ──▶ board: player ─▶ (points, when reached)
//	              │
//	              │  sorted set:  1   2   3   4   5   6   7  ...
//	              │               ▲           └── window ──┘
//	              ├──▶ the leaders            around a player
//	              ├──▶ the rank of a player, strict and shared
//	              └──▶ pages of 20, by rank or by cursor
//
// A score is a struct: points, and the number of the result by which they were
// reached. Of two players with the same points the first to reach them ranks
// first, and no two scores are the same.
//
//	go run ./examples/leaderboard
//	go run ./examples/leaderboard -in access.log
//	go run ./examples/leaderboard -in access.log -around 66.249.73.135
//
// What it composes: skiplist (SortedSet, its ranks and spans).
//
// What to look at:
//
//   - By hand: Alice 100, Charlie 150, Bob 200. From the bottom, as ZRANK of
//     Redis counts, Alice has rank 0; from the top Bob leads.
//   - The leaders over time, by their ranks: who passed whom, and when.
//   - The window: three above a player and three below. Ties are marked. The
//     shared rank is one more than the number of players with more points, so
//     that all with the same points have the same.
//   - Pages that are read while the game goes on: by rank, a player that is
//     pushed over the edge of a page is seen twice. A cursor, which is the last
//     score of the page before, shows no player twice, and leaves out none that
//     keeps its score.
//   - What an update costs: a sort looks at each player, a sorted slice moves
//     those that are passed, and the sorted set takes a few comparisons.
//
// The flags:
//
//	-in FILE       an access log instead of a game: the points of a client are
//	               the bytes that were sent to it
//	-seed N        without -in: seed of the game (1)
//	-n N           without -in: number of results (20000)
//	-players N     without -in: number of players (2000)
//	-top N         how many leaders to print, 1 to 50 (10)
//	-around NAME   the player of the window; if none, one in the middle
//	-time          tell on stderr how many nanoseconds an update took here
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second Ctrl-C kills at once
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "leaderboard:", err)
	if errors.As(err, new(*inputError)) {
		os.Exit(2)
	}
	os.Exit(1)
}

// run is the program. An error of its input is an *inputError; any other says
// that a law is broken, or that the report could not be written.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	c, err := parseFlags(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	return c.execute(ctx, stdout, stderr)
}

// execute plays the game, and prints the report.
func (c *config) execute(ctx context.Context, stdout, stderr io.Writer) error {
	g, err := c.game()
	if err != nil {
		return err
	}

	// The report goes through one writer, whose error is looked at once.
	w := &errWriter{w: stdout}
	for _, part := range []struct {
		title string
		print func(context.Context, *game, io.Writer) error
	}{
		{"by hand", reportByHand},
		{"a game", reportGame},
		{"pages", reportPages},
		{"the cost", reportCost},
	} {
		if err := errors.Join(ctx.Err(), w.err); err != nil {
			return err
		}
		if isTerminal(stderr) {
			fmt.Fprintf(stderr, "\r%-20s\r", part.title)
		}
		if err := part.print(ctx, g, w); err != nil {
			return err
		}
	}
	return w.err
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// An errWriter keeps the first error, so that a report is checked once.
type errWriter struct {
	w   io.Writer
	err error
}

func (w *errWriter) Write(p []byte) (int, error) {
	if w.err == nil {
		_, w.err = w.w.Write(p)
	}
	return len(p), w.err
}
