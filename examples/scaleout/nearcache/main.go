// SPDX-License-Identifier: MIT

// Nearcache is a cache in each of several processes, before one Redis that they
// share, and which tells them what has changed.
//
// The problem: Redis is fast, and a network away. A cache in the process
// answers without it, until another process writes. Messages of what has
// changed get lost with their connection, a connection can die without a word,
// and a value that was read before a change can be stored after it.
//
//	node 1: lru ─┐ ── GET, MULTI ──▶ ┌───────┐
//	node 2: lru ─┤                   │ Redis │
//	node 3: lru ─┤ ◀── changed ───── └───────┘
//	node 4: lru ─┘     and PONG
//
// near.go is there to be copied. It gets the names of changed keys in one of
// two ways: the nodes publish them (pubsub), or the server finds them out
// (tracking, in broadcast mode). Each node has a cache, connections and a
// subscription of its own; they run in one process so that one clock can judge
// them.
//
//	go run ./nearcache
//	go run ./nearcache -by tracking -events silent -lease 1s
//
// Each key is a number that writes increase. An observer knows which version
// was acknowledged when, and which one each node has seen, and checks each
// read.
//
// What to look at:
//
//   - Saved: the part of the reads that Redis was not asked for. Calls are the
//     others, and around those of them that went around the cache.
//   - Stale: reads whose answer was older than what had been acknowledged when
//     they began. Usually they are late by a message, and never by more than
//     the lease: oldest is by how much.
//   - cut: all subscriptions are killed. Reads go to Redis, and then to an
//     empty cache.
//   - silent: the subscription of one node gets no more bytes and no error.
//     Nothing but the lease ends it.
//   - stop, kill: the server stops for a while, or dies and comes back.
//
// The flags:
//
//	-by S      pubsub, tracking or both (both)
//	-events L  cut, silent, stop, kill, or none, after a calm time (cut,silent,stop,kill)
//	-for D     how long each takes, at least six leases (900ms)
//	-lease D   the bound of the age of what is read (150ms)
//	-nodes N   2 to 16 (4)
//	-keys N    64 to 100000 (1000)
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
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second Ctrl-C kills at once
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "nearcache:", err)
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

// A config holds the values of the flags.
type config struct {
	ways   []string // how nodes are told
	events []string
	time   time.Duration
	lease  time.Duration
	nodes  int
	keys   int
	bad    faults
}

// The ways, and the events.
var (
	allWays   = []string{"pubsub", "tracking"}
	allEvents = []string{"cut", "silent", "stop", "kill"}
)

func parseFlags(args []string, stderr io.Writer) (*config, error) {
	fs := flag.NewFlagSet("nearcache", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	c := new(config)
	by := fs.String("by", "both", "pubsub, tracking or both")
	events := fs.String("events", strings.Join(allEvents, ","), "what happens after a calm time, or none")
	fs.DurationVar(&c.time, "for", 900*time.Millisecond, "how long each takes")
	fs.DurationVar(&c.lease, "lease", 150*time.Millisecond, "the bound of the age of what is read")
	fs.IntVar(&c.nodes, "nodes", 4, "number of nodes")
	fs.IntVar(&c.keys, "keys", 1000, "number of keys")

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
	case c.lease < 20*time.Millisecond || c.lease > time.Minute:
		return nil, badInput("-lease must be between 20ms and 1m, got %v", c.lease)
	case c.time < 6*c.lease || c.time > time.Hour:
		return nil, badInput("-for must be between six leases, %v, and 1h, got %v", 6*c.lease, c.time)
	case c.nodes < 2 || c.nodes > 16:
		return nil, badInput("-nodes must be between 2 and 16, got %d", c.nodes)
	case c.keys < 64 || c.keys > 100_000:
		return nil, badInput("-keys must be between 64 and 100000, got %d", c.keys)
	}

	if c.ways = []string{*by}; *by == "both" {
		c.ways = allWays
	}
	if !slices.Contains(allWays, c.ways[0]) {
		return nil, badInput("-by must be pubsub, tracking or both, got %q", *by)
	}
	if *events != "none" {
		c.events = strings.Split(*events, ",")
	}
	for _, e := range c.events {
		if !slices.Contains(allEvents, e) {
			return nil, badInput("-events are of %s, or none, got %q", strings.Join(allEvents, ", "), e)
		}
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
	for i, way := range c.ways {
		if i > 0 {
			fmt.Fprintln(stdout)
		}
		if err := c.play(ctx, way, stdout); err != nil {
			return err
		}
	}
	return nil
}
