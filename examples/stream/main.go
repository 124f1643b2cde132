// SPDX-License-Identifier: MIT

// Stream is a partitioned log of records on disk: what producers append,
// consumers read at their own pace, each group from its own offset.
//
// The problem: many programs want the same records, some of them later, and
// some again. A log keeps them in order; partitions let several machines share
// the work. But what does "written" mean when a machine dies, and how often is
// a record processed when a consumer does?
//
//	producer ──key──▶ partition 0 ▶ 0 1 2 3 4 5 6 7    ┌▶ transcoder: c1 c2 c3
//	                  partition 1 ▶ 0 1 2 3 4          ├▶ captions
//	                  partition 2 ▶ 0 1 2 3 4 5        └▶ metadata
//	                  partition 3 ▶ 0 1 2
//	                  on three brokers: a leader and two followers each
//
// Brokers and consumers are databases on disks in memory, which lose power
// before each of their operations in turn, or altogether.
//
//	go run ./examples/stream
//	go run ./examples/stream -records 5000 -seed 4
//
// What it composes: lsm (logs and offsets), consistenthash (leaders of
// partitions, members of a group), quorum (records on all replicas).
//
// What to look at:
//
//   - Acknowledgments: none, of the leader, of all. A leader dies with its disk,
//     and only the last lost nothing that was acknowledged.
//   - Processing: at most once loses a record to a crash, at least once does one
//     twice. With the effect and the offset in one batch each has its effect
//     once, at whatever operation of the disk the power is cut.
//   - Groups: four partitions give work to three consumers, and of six two are
//     idle. When one leaves, a ring moves its partitions alone.
//   - The lag of a consumer over a spike: the log is the buffer.
//   - Retention by time and by size, and compaction, which keeps the last record
//     of each key at its offset.
//
// The flags:
//
//	-records N   records that are produced, 100 to 100000 (1200)
//	-seed N      seed of keys and values (1)
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
	fmt.Fprintln(os.Stderr, "stream:", err)
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
	records int
	seed    uint64
}

// run is the program. An error of its input is an *inputError; any other says
// that a law is broken, or that the report could not be written.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("stream", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	c := new(config)
	fs.IntVar(&c.records, "records", 1200, "records that are produced")
	fs.Uint64Var(&c.seed, "seed", 1, "seed of keys and values")
	err := fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fs.SetOutput(stderr)
		fs.Usage()
		return nil
	case err != nil:
		return &inputError{err}
	case fs.NArg() > 0:
		return &inputError{fmt.Errorf("unexpected argument %q", fs.Arg(0))}
	case c.records < 100 || c.records > 100_000:
		return &inputError{fmt.Errorf("-records must be between 100 and 100000, got %d", c.records)}
	}

	// The report goes through one writer, whose error is looked at once.
	w := &errWriter{w: stdout}
	for _, part := range []struct {
		title string
		print func(context.Context, *config, io.Writer) error
	}{
		{"acknowledgments", reportAcks},
		{"processing", reportSemantics},
		{"groups", reportGroups},
		{"retention", reportRetention},
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
