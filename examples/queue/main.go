// SPDX-License-Identifier: MIT

// Queue is a work queue on disk: jobs survive crashes, workers may die, and
// each job takes effect once or becomes a dead letter.
//
// The problem: work arrives faster than it can be done, workers die in the
// middle of it, some jobs always fail, and the program itself is killed. A
// job that was accepted must not be lost, and none must take effect twice.
//
//	client ──enqueue, with a key──▶ ready ──claim──▶ hidden until a deadline
//	                                  ▲                │      │       │
//	                                  │  after a pause │      │ ack   │ too often
//	                                  └────────────────┘      ▼       ▼
//	                                     nack, silence      done    dead letters
//
// Each arrow is one batch of a database: after a crash it has happened or not.
// The effect of a job is in the batch of its ack, so that it cannot happen
// twice. Ready jobs are a sorted set by priority, hidden ones a sorted set by
// deadline; both are in memory, and made again from the database.
//
//	go run ./examples/queue
//	go run ./examples/queue -jobs 2000 -seed 3
//
// What it composes: lsm (the queue), skiplist (deadlines and priorities),
// breaker and ratelimit (before the service that workers call), consistenthash
// (which server makes which pizza).
//
// What to look at:
//
//   - The spike: jobs come in a few seconds, and the service gets no more than
//     its rate. While it is down the breaker keeps jobs back, and they do not
//     use up their tries.
//   - Poison: what always fails ends among the dead letters, after pauses that
//     double, and within a budget of retries.
//   - Crashes: the disk loses power before each of its operations, one after the
//     other, and each time the queue goes on with what was durable.
//   - A kill: another process works on a queue until SIGKILL, and this one
//     finishes its work.
//   - A chain: S1 calls S2, which calls S4, which takes ten minutes. Who calls
//     waits for the slowest, and holds connections all that time; who hands in a
//     job has its acknowledgment at once.
//   - The pizzas: a server with two of six orders dies. Only these two move to
//     others. A notifier that gives out all unfinished orders again has one made
//     twice.
//
// The flags:
//
//	-jobs N    number of jobs of the spike, 100 to 100000 (600)
//	-seed N    seed of the arrivals and of chance (1)
//
// Where jobs of the killed process lie is a directory for temporary files.
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
	fmt.Fprintln(os.Stderr, "queue:", err)
	if errors.As(err, new(*inputError)) {
		os.Exit(2)
	}
	os.Exit(1)
}

// run is the program, or the process that it kills. An error of its input is an
// *inputError; any other says that a law is broken, or that the report could
// not be written.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if dir := os.Getenv(victimDir); dir != "" {
		return victim(ctx, dir, stdout)
	}
	c, err := parseFlags(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}

	// The report goes through one writer, whose error is looked at once.
	w := &errWriter{w: stdout}
	for _, part := range []struct {
		title string
		print func(context.Context, *config, io.Writer) error
	}{
		{"a spike", reportSpike},
		{"power cuts", reportCrashes},
		{"a kill", reportKill},
		{"a chain", reportChain},
		{"pizzas", reportPizzas},
	} {
		if err := errors.Join(ctx.Err(), w.err); err != nil {
			return err
		}
		if isTerminal(stderr) {
			fmt.Fprintf(stderr, "\r%-20s\r", part.title)
		}
		if err := part.print(ctx, c, w); err != nil {
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
