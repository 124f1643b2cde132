// SPDX-License-Identifier: MIT

// Election elects leaders while machines die, stop and are cut off, and shows
// what that costs: messages, lost writes, and time without a leader.
//
// The problem: several servers keep copies of a log, and one of them, the
// leader, decides what is written. When it dies another has to take over. That
// must not happen twice at once, must not lose what clients were told is
// written, and must not happen because one check has failed. A leader that was
// only asleep must not go on writing when it wakes.
//
//	             ┌──────────── lease: a record by majority ───────────┐
//	             │   n1        n2        n3        n4        n5       │
//	             └───┬─────────┬─────────┬─────────┬─────────┬────────┘
//	  TryAcquire,    │         │         │         │         │
//	  Renew          ▼         ▼         ▼         ▼         ▼
//	clients ──────▶ leader ──entries, with the token──▶ followers: refuse
//	                 │  ▲                                older tokens
//	          chunks ▼  │ counts of primes
//	                workers: all the others
//
// Time is simulated, in steps of 100 ms, and everything but the clock is real:
// the lease is quorum.Lease on acceptors, of which a schedule decides who
// reaches whom. So a minute takes a second, and the same input prints the same
// report, byte for byte.
//
//	go run ./examples/election
//	go run ./examples/election -replication async -seed 7
//	go run ./examples/election -schedule testdata/split.txt
//	go run ./examples/election -algo bully
//
// What it composes: quorum (Lease on CAS, systems of quorums, votes).
//
// What to look at:
//
//   - The strip: one line a node, one column a part of the time. L leads, and
//     there is one at most; below, the term: it grows with each leader. After a
//     kill nobody leads for as long as the lease of the dead might last.
//   - The table of replication. "sync" waits for all copies: nothing is lost,
//     and nothing can be written while one is away. "majority" loses nothing
//     and goes on. "async" answers first and loses what was on its way.
//   - The leader that pauses: it wakes with an entry in its hand, and an old
//     token. The followers refuse it.
//   - The primes: the leader gives chunks to workers, and those of the dead to
//     others. Results are entries of the log, so that a new leader knows what
//     is done. The sum is that of one process.
//   - Messages: on a ring, by bully, by lease. When the network is divided,
//     bully elects a leader on each side.
//   - One check that fails is not a dead server: who promotes on it flaps.
//
// The flags:
//
//	-nodes N          number of nodes, 3 to 9 (5)
//	-seed N           seed of whatever chance decides (1)
//	-replication R    of the strip: sync, majority or async (majority)
//	-schedule FILE    faults, one a line: "12s kill leader"; see schedule.go
//	-algo A           of the table of messages: lcr, hs, bully, lease or all (all)
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
	fmt.Fprintln(os.Stderr, "election:", err)
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

	// The report goes through one writer, whose error is looked at once.
	w := &errWriter{w: stdout}
	for _, part := range []struct {
		title string
		print func(context.Context, *config, io.Writer) error
	}{
		{"leaders", reportLeaders},
		{"messages", reportMessages},
		{"checks", reportChecks},
		{"availability", reportAvailability},
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
