// SPDX-License-Identifier: MIT

// Backup ships a database to an object store while it is written, and restores
// it elsewhere, as it was at any point of time.
//
// The problem: a machine is lost with its disk, or somebody runs the wrong
// migration at 14:30, and the database is wanted as it was at 14:25. A copy
// each night loses a day, and files that are copied while they change do not
// fit together.
//
//	lsm.DB ──▶ archive, an lsm.FS ──▶ disk
//	             │ what became durable, in order
//	             ▼
//	           shipper ──▶ store: tables/…    each once
//	                              segments/…  bytes of logs and manifests, names that go
//
// The archive is between the database and its disk. What is in the store, up to
// any of its operations, is a disk after a loss of power: the database recovers
// from it. Each operation has a time, so each point is as good as another. A
// table goes before the segment that names it, a file stays on the disk until
// the store has it, and each object has a sum that is checked.
//
//	go run ./backup
//	go run ./backup -seed 7
//
// What to look at:
//
//   - The bad migration: the database of 14:25, and of each other point.
//   - RPO, what was acknowledged and is lost: what waits to be shipped when the
//     machine is lost; of copies now and then, all since the last one. RTO, how
//     long it takes: to fetch, and to open.
//   - The store may fail, lose answers, or be away: commits do not wait for it.
//   - A point needs the generation that it is in, from its beginning: retention
//     removes those before, and tables that only they name.
//
// A restored database begins an archive of its own, with the next generation.
// To take no more loss than a power cut takes, wait for flush after a commit.
//
// The store of the story is memory, and that of the machines is a server of
// this program that speaks as S3 does: s3.go is its client, and can be copied.
//
// The flags:
//
//	-seed N    seed of the commits (1)
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
	fmt.Fprintln(os.Stderr, "backup:", err)
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
	seed uint64
	f    *faults
}

func parseFlags(args []string, stderr io.Writer) (*config, error) {
	fs := flag.NewFlagSet("backup", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	c := &config{f: new(faults)}
	fs.Uint64Var(&c.seed, "seed", 1, "seed of the commits")

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
	}
	return c, nil
}

// run is the program, or a machine that it starts. An error of its input is an
// *inputError; any other says that a law is broken.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if text := os.Getenv(childEnv); text != "" {
		return machine(ctx, text, stdout)
	}
	c, err := parseFlags(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	return c.report(ctx, stdout)
}

// report prints the parts of the report.
func (c *config) report(ctx context.Context, w io.Writer) error {
	for _, part := range []func(context.Context, *config, io.Writer) error{reportStory, reportCopies, reportLost, reportAway} {
		if err := part(ctx, c, w); err != nil {
			return err
		}
	}
	return nil
}
