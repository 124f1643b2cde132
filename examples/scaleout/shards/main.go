// SPDX-License-Identifier: MIT

// Shards spreads keys over three Redis and five memcached, with the ring of
// consistenthash behind three clients, while servers die, come back, join and
// leave.
//
// The problem: one server is too small for all keys, and several need a rule
// for which has which. When a server comes or goes, as few keys as possible are
// to be looked for in a new place, no old value is to come back, and it is good
// to know before which keys these are.
//
//	redis.Ring ───────▶ ring.go ──────▶ 3 × Redis
//	memcache.Client ──▶ selector.go ──▶ 5 × memcached, placed as by libmemcached
//	Pool ─────────────▶ pool.go ──────▶ all 8, two copies in two of three zones
//
// The three files are there to be copied. After each change all keys are read.
// What each server really has, it is asked itself.
//
//	go run ./shards
//	go run ./shards -router pool -keys 5000
//
// What to look at:
//
//   - Planned and missed: the plan of consistenthash says which keys move
//     before they do, and these are the misses, and no others.
//   - dies: what is missed is what the dead server had.
//   - comes back: a Redis comes back with its data, which are old by then. The
//     heartbeat empties it first.
//   - joins, leaves: the servers that keys moved away from still have them.
//     They are deleted there, by the plan; otherwise the old values come back
//     when the new server leaves.
//   - The Pool misses nothing, not even when all servers of a zone die: what is
//     planned are copies.
//
// The flags:
//
//	-router R  ring, memcached, pool or all (all)
//	-keys N    100 to 50000 (2000)
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
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

// An inputError is an error of a flag.
type inputError struct{ err error }

func (e *inputError) Error() string { return e.err.Error() }

func (e *inputError) Unwrap() error { return e.err }

// badInput returns an error of the input.
func badInput(format string, args ...any) error { return &inputError{fmt.Errorf(format, args...)} }

// faults are what tests break.
type faults struct {
	keepOld bool // a Redis comes back with what it had
	noClean bool // keys are not deleted where they have moved away from
	modulo  bool // the shard is the remainder of a hash
	oneZone bool // zones do not matter
	pool    poolFaults
}

// A config holds the values of the flags.
type config struct {
	routers []string
	keys    int
	bad     faults
}

var allRouters = []string{"ring", "memcached", "pool"}

func parseFlags(args []string, stderr io.Writer) (*config, error) {
	fs := flag.NewFlagSet("shards", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	c := new(config)
	router := fs.String("router", "all", "ring, memcached, pool or all")
	fs.IntVar(&c.keys, "keys", 2000, "number of keys")

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
		return nil, badInput("unexpected argument %q", fs.Arg(0))
	case c.keys < 100 || c.keys > 50_000:
		return nil, badInput("-keys must be between 100 and 50000, got %d", c.keys)
	}

	if c.routers = []string{*router}; *router == "all" {
		c.routers = allRouters
	}
	if !slices.Contains(allRouters, c.routers[0]) {
		return nil, badInput("-router must be ring, memcached, pool or all, got %q", *router)
	}
	return c, nil
}

// run is the program. An error of its input is an *inputError; any other says
// that a law is broken, or that the machine lacks something.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	c, err := parseFlags(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	for i, router := range c.routers {
		if i > 0 {
			fmt.Fprintln(stdout)
		}
		play := map[string]func(context.Context, io.Writer) error{
			"ring": c.playRing, "memcached": c.playMemcached, "pool": c.playPool,
		}[router]
		if err := play(ctx, stdout); err != nil {
			return err
		}
	}
	return nil
}
