// SPDX-License-Identifier: MIT

// Writebehind is two caches before PostgreSQL that is killed: one writes to it
// first, the other later and in batches.
//
// The problem: drivers tell where they are all the time, and the database takes
// so many commits a second and no more. Nobody needs each position in it, only
// the last. So writes may wait for others, as long as whoever wrote reads what
// was written, and in the end the table has the last of each.
//
//	drivers ─▶ lru.Through ─── each write ──────────────▶ ┌────────────┐
//	drivers ─▶ lru.Behind ──── the last of each driver, ─▶ │ PostgreSQL │
//	             └ pending     in batches, now and then    └────────────┘
//
// postgres.go is there to be copied: a Store, and the Apply of a Behind. The
// server gets SIGQUIT after a third of the time, which is a crash to it, and
// starts again after a half.
//
//	go run ./writebehind
//	go run ./writebehind -drivers 10000 -interval 1s -for 10s
//
// What to look at:
//
//   - Statements: how few the writes of the Behind became, since several of a
//     driver are merged, and several drivers go in a batch.
//   - Writes go on while the server is down: the Behind keeps what waits, and
//     its drivers read it. Those of the Through wait, or fail and are tried
//     again.
//   - Waiting: that many writes would be lost if this process died, and not the
//     server. It is the price.
//   - A batch whose answer is lost may be carried out after a later one. The
//     server refuses it by its number.
//
// The flags:
//
//	-drivers N   10 to 100000 (2000)
//	-for D       how long they drive, twice (2s)
//	-interval D  how long a write waits for others (200ms)
//	-kill        the server is killed (true)
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second Ctrl-C kills at once
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "writebehind:", err)
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
	aside bool // values that wait to be saved are read from the table
	store storeFaults
}

// A config holds the values of the flags.
type config struct {
	drivers  int
	time     time.Duration
	interval time.Duration
	kill     bool
	bad      faults
}

func parseFlags(args []string, stderr io.Writer) (*config, error) {
	fs := flag.NewFlagSet("writebehind", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	c := new(config)
	fs.IntVar(&c.drivers, "drivers", 2000, "number of drivers")
	fs.DurationVar(&c.time, "for", 2*time.Second, "how long they drive, twice")
	fs.DurationVar(&c.interval, "interval", 200*time.Millisecond, "how long a write waits for others")
	fs.BoolVar(&c.kill, "kill", true, "the server is killed, and comes back")

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
	case c.drivers < 10 || c.drivers > 100_000:
		return nil, badInput("-drivers must be between 10 and 100000, got %d", c.drivers)
	case c.time < 100*time.Millisecond || c.time > time.Hour:
		return nil, badInput("-for must be between 100ms and 1h, got %v", c.time)
	case c.interval < time.Millisecond || c.interval > time.Minute:
		return nil, badInput("-interval must be between 1ms and 1m, got %v", c.interval)
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
	return c.play(ctx, stdout)
}
