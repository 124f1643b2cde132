// SPDX-License-Identifier: MIT

// Capacity is the back of the envelope: how many servers, how much memory and
// how many cores a system takes, from a few numbers that anybody can guess and
// from what the packages of this library really cost on this machine.
//
// The problem: before a system exists somebody has to say how large it will be.
// The arithmetic is simple, and two things go wrong with it: a slip of a factor
// that nobody notices, and constants that were true of another machine. So each
// line here shows its formula, and the constants are measured when it runs.
//
//	a billion posts a day ──▶ per second ──▶ servers ──▶ with spares
//	   × bytes of one     ──▶ storage
//	per second × seconds  ──▶ busy at once: cores, connections, permits
//	bytes of an entry     ──▶ memory of caches, limiters, filters, indexes
//	share of hits         ──▶ latency, and what is left for the database
//
//	go run ./examples/capacity
//	go run ./examples/capacity -users 10000000 -posts 2000000
//
// What it composes: ratelimit (Keyed, Concurrency), breaker, lru, bloom,
// consistenthash, skiplist, lsm and merkle, each measured for the time of an
// operation and the bytes of a key.
//
// What to look at:
//
//   - The column "notes" has the figures that such estimates are taught with.
//     Two of them are slips, and the program says which.
//   - Little's law: in flight = per second × seconds. It gives the mean, and a
//     limit at the mean refuses a good part of what comes: the simulation asks a
//     ratelimit.Concurrency, and Erlang's formula says the same.
//   - Cores: what limiter, breaker and cache take of a core at 10,000 requests a
//     second. It is not where the money goes.
//   - Step by step: one workload on one server, and what a cache, replicas, shards
//     and a queue each take off it. Replicas help reads alone; a queue takes the
//     peak off the writes.
//   - Memory: what an entry costs is not what its key and value are long.
//   - The ladder: how many lookups of ours fit into one step of it.
//   - Hits: from 80 % to 90 % the database has half of the work, and the mean
//     latency falls by a third.
//
// The flags:
//
//	-users N   clients that are remembered, at least 1000 (100000000)
//	-posts N   posts a day, at least 1000 (1000000000)
//	-seed N    seed of arrivals and of popularity (1)
//
// All but the measured figures is the same in each run.
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
	fmt.Fprintln(os.Stderr, "capacity:", err)
	if errors.As(err, new(*inputError)) {
		os.Exit(2)
	}
	os.Exit(1)
}

// An inputError is an error of a flag.
type inputError struct{ err error }

func (e *inputError) Error() string { return e.err.Error() }

func (e *inputError) Unwrap() error { return e.err }

// A config holds the values of the flags.
type config struct {
	users, posts float64
	seed         uint64
}

func parseFlags(args []string, stderr io.Writer) (*config, error) {
	fs := flag.NewFlagSet("capacity", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	c := new(config)
	fs.Float64Var(&c.users, "users", 1e8, "clients that are remembered")
	fs.Float64Var(&c.posts, "posts", 1e9, "posts a day")
	fs.Uint64Var(&c.seed, "seed", 1, "seed of arrivals and of popularity")

	// A wrong flag gets one line, and -help all of them.
	err := fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fs.SetOutput(stderr)
		fs.Usage()
		return nil, err
	case err != nil:
		return nil, &inputError{err}
	case fs.NArg() > 0:
		return nil, &inputError{fmt.Errorf("unexpected argument %q", fs.Arg(0))}
	case !(c.users >= 1000 && c.users <= 1e12):
		return nil, &inputError{fmt.Errorf("-users must be between 1000 and 1e12, got %v", c.users)}
	case !(c.posts >= 1000 && c.posts <= 1e15):
		return nil, &inputError{fmt.Errorf("-posts must be between 1000 and 1e15, got %v", c.posts)}
	}
	return c, nil
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
	f, err := measure(ctx, 1)
	if err != nil {
		return err
	}
	return report(ctx, stdout, c, f)
}

// report writes the estimates that follow from c and f, and judges them.
func report(ctx context.Context, stdout io.Writer, c *config, f *figures) error {
	w := &errWriter{w: stdout}
	for _, part := range []func(io.Writer, *config, *figures) error{
		printRates, printLittle, printSteps, printMemory, printLadder, printHits,
	} {
		if err := errors.Join(ctx.Err(), w.err); err != nil {
			return err
		}
		if err := part(w, c, f); err != nil {
			return err
		}
	}
	return w.err
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
