// SPDX-License-Identifier: MIT

// Dynamo is a replicated store of keys and values, as Amazon's paper describes
// it, and a table of what each choice of R and W gives and takes.
//
// The problem: each key has N copies on N servers, so that data survive a dead
// server and reads find a living one. A write waits for W copies and a read
// asks R of them. When the network is divided something has to give: answers
// that are old, or answers at all.
//
//	         client
//	           │ put, get
//	           ▼                preference list of a key: the next N on the ring
//	┌──── coordinator ────┐
//	│ clock, R, W, hints  │────▶ n2 ────▶ n4 ────▶ n1
//	└─────────────────────┘       │        │        │
//	                             lsm      lsm      lsm    one directory each
//	                           merkle ◀─▶ merkle ◀─▶ merkle   what differs?
//
// The network is simulated, and so is time: 10 ms an operation. Stores are real
// directories. A schedule divides the network, stops a node and takes the disk
// of another. One goroutine does one operation after the other, so the same
// seed prints the same report, byte for byte.
//
//	go run ./examples/dynamo
//	go run ./examples/dynamo -nodes 8 -seed 3
//
// What it composes: consistenthash (preference lists, and what a new node
// gets), quorum (reads, writes, hints, siblings, zones), lsm (the store of a
// node), merkle (which keys of two replicas differ).
//
// What to look at:
//
//   - The account: 1000 - 100 = 900, and one of three nodes is cut off. A read
//     by quorum refuses there, and a read of one copy says 1000.
//   - The table of R and W. Where R + W > N no read is stale, whatever happens;
//     where it is not, reads and writes go on when others stop. The last rows
//     take hints for copies: nothing stops, and nothing is promised.
//   - Latency. To wait for one copy is fast, and for all as slow as the slowest:
//     asynchronous and synchronous replication.
//   - Likes and carts. The last writer wins, and takes the like of the other; a
//     counter keeps both, and a cart of siblings lets the application decide.
//   - Repair: bytes exchanged to find and mend what differs, beside a full copy.
//   - Gossip: how many rounds until all know, beside the logarithm.
//   - A node joins and receives the planned ranges, no key more.
//
// The flags:
//
//	-nodes N   number of nodes, 4 to 12 (5)
//	-n N       operations a row of the table (2000)
//	-keys N    number of keys (300)
//	-seed N    seed of the operations (1)
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
	fmt.Fprintln(os.Stderr, "dynamo:", err)
	if errors.As(err, new(*inputError)) {
		os.Exit(2)
	}
	os.Exit(1)
}

// run is the program. An error of its input is an *inputError; any other says
// that a law is broken, or that the report could not be written.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	c, err := parseFlags(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	if c.dir, err = os.MkdirTemp("", "dynamo-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(c.dir)) }()

	// The report goes through one writer, whose error is looked at once.
	w := &errWriter{w: stdout}
	for _, part := range []struct {
		title string
		print func(context.Context, *config, io.Writer) error
	}{
		{"an account", reportAccount},
		{"R and W", reportTable},
		{"likes and carts", reportMerges},
		{"regions", reportRegions},
		{"gossip", reportGossip},
		{"a new node", reportJoin},
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
