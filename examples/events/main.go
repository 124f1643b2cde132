// SPDX-License-Identifier: MIT

// Events shows what changes when services tell each other what happened instead
// of calling each other: in a shop, in a bank, and in a chat.
//
// The problem: an order concerns the stock, the customer and the statistics. If
// the shop calls all three it has to know them, waits for the slowest, and
// fails with each. If it publishes an event instead, a crash between the
// database and the event loses one of them, and a retry may do things twice.
//
//	 shop ──order──▶ bus ──▶ inventory                bank: one batch
//	                    ├──▶ notification        ┌─────────────────────────┐
//	                    └──▶ analytics           │ balance   outbox: event │
//	                                             └────────────────────┬────┘
//	chat: a, b ◀──events── server 1 ◀─▶ server 2 ──▶ c, d             ▼
//	                                                       relay ──▶ subscribers
//
//	go run ./examples/events
//
// What it composes: lsm (accounts, outbox and inbox, in one batch), and
// net/http (the chat: requests, and streams of events). A disk that loses power
// before each of its operations in turn judges the bank.
//
// What to look at:
//
//   - The shop, three ways: calls that it makes and waits for, services that it
//     has to know, and calls that come back to it. An event with the order in it
//     needs none of them. A consumer that comes later replays from the first
//     event on. One that panics stops nobody else.
//   - The bank: 1000, a fee of 50, a transfer of 900 that fails. Two subscribers
//     that know nothing of each other leave 950, and a retry leaves 900. With an
//     outbox, and a compensation, it is 1000 again, whenever the power is cut.
//   - The chat: each message is on its way to both servers, or only to those
//     that have a member of the room; everybody gets it once, in order.
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
	fmt.Fprintln(os.Stderr, "events:", err)
	if errors.As(err, new(*inputError)) {
		os.Exit(2)
	}
	os.Exit(1)
}

// An inputError is an error of a flag.
type inputError struct{ err error }

func (e *inputError) Error() string { return e.err.Error() }

func (e *inputError) Unwrap() error { return e.err }

// run is the program. An error of its input is an *inputError; any other says
// that a law is broken, or that the report could not be written.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("events", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	messages := fs.Int("messages", 20, "messages that each member of the chat sends, 1 to 1000")
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
	case *messages < 1 || *messages > 1000:
		return &inputError{fmt.Errorf("-messages must be between 1 and 1000, got %d", *messages)}
	}

	// The report goes through one writer, whose error is looked at once.
	w := &errWriter{w: stdout}
	for _, part := range []struct {
		title string
		print func(context.Context, io.Writer) error
	}{
		{"the shop", reportShop},
		{"the bank", reportBank},
		{"the chat", func(ctx context.Context, w io.Writer) error { return reportChat(ctx, *messages, w) }},
	} {
		if err := errors.Join(ctx.Err(), w.err); err != nil {
			return err
		}
		if isTerminal(stderr) {
			fmt.Fprintf(stderr, "\r%-20s\r", part.title)
		}
		if err := part.print(ctx, w); err != nil {
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
