// SPDX-License-Identifier: MIT

// Shards divides the same people among servers by eight schemes, side by side,
// and shows what each scheme makes cheap and what it makes dear.
//
// The problem: the data have outgrown one server. Some rule has to say which
// server has which record. The rule decides how much moves when a server comes
// or goes, whether one server gets too hot, and how many servers a question
// has to ask. No rule is best at all three.
//
//	                    ┌────────────────── scheme ──────────────────┐
//	person, question ──▶│ mod n │ slices │ letters │ list │ directory │──▶ shards
//	                    │ place │ composite │ ring                    │
//	                    └───────────────────┬────────────────────────┘
//	                                        │ 4 → 5 → 4, without s2
//	                                        ▼
//	  reads, writes ──▶ router ──▶ s1 s2 s3 s4 ──ranges of the plan──▶ s5
//	                      ▲                                   │
//	                      └──── copy, both, switch, clean ◀───┘
//
// Everything runs in one process; a shard is an ordered map. One goroutine does
// reads, writes and the steps of a move by turns that the seed decides, so the
// same seed prints the same report, byte for byte.
//
//	go run ./examples/shards
//	go run ./examples/shards -shards 8 -n 50000
//	go run ./examples/shards -in people.csv
//
// What it composes: consistenthash (the ring, and the plan of what moves),
// skiplist (shards, and the bounds of the letters), quorum (the question that
// all shards are asked at once).
//
// What to look at:
//
//   - Moves. By the remainder of a hash, four people of five change their shard
//     when a fifth comes, and most move between servers that both stay: these
//     moves are needless. Equal slices of a pie are little better. The ring, the
//     directory and the others move what the new shard takes over, and no more.
//   - Hot shards. Letters are uneven before anything happens. A campaign in one
//     city heats one shard of the schemes that keep a city together. Nothing
//     but a cache helps against one person whom all want to see.
//   - Questions. A scheme answers from one shard what it was made for, and asks
//     all shards everything else. The composite key is a bargain: half of the
//     shards for two kinds of question.
//   - The slow shard. One copy of a shard never answers. The others are asked
//     once, this one twice, and the answer is complete.
//   - The move itself. Between "the old shard has it" and "the new shard has it"
//     each range is written to both. Who switches first reads nothing where
//     there is something; who only copies loses what was written meanwhile.
//   - The laws at the end. They compare with a map of everything that was ever
//     written, which knows nothing of shards. If one is broken, the program
//     fails.
//
// The flags:
//
//	-in FILE   the people in FILE: lines of id,name,city,age
//	-seed N    without -in: seed of the people; and of the reads and writes (1)
//	-n N       without -in: number of people (20000)
//	-shards N  number of shards at the beginning, 2 to 16 (4)
//	-ops N     reads and writes between two steps of a move (10)
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
	fmt.Fprintln(os.Stderr, "shards:", err)
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
	people, err := c.people()
	if err != nil {
		return err
	}

	// The report goes through one writer, whose error is looked at once.
	w := &errWriter{w: stdout}
	for _, part := range []struct {
		title string
		print func(context.Context, *config, []person, io.Writer) error
	}{
		{"what moves", reportMoves},
		{"what gets hot", reportSkew},
		{"what is asked", reportQueries},
		{"a slow shard", reportScatter},
		{"a move", reportMigration},
	} {
		if err := errors.Join(ctx.Err(), w.err); err != nil {
			return err
		}
		if isTerminal(stderr) {
			fmt.Fprintf(stderr, "\r%-20s\r", part.title)
		}
		if err := part.print(ctx, c, people, w); err != nil {
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
