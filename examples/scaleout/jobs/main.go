// SPDX-License-Identifier: MIT

// Jobs is the work queue of the gallery on servers that exist: NATS JetStream
// and PostgreSQL, behind one interface, with its laws unchanged.
//
// The problem: workers on several machines take jobs from one queue. The server
// is killed, workers die with a job or come late, answers get lost, and some
// jobs always fail. A job that was accepted must not be lost, and none must
// take effect twice.
//
//	client ──enqueue, with a key──▶ queue ──claim──▶ worker
//	                                  ▲                │ ack, with the effect ──▶ done
//	                                  └──after a pause─┤ nack, silence
//	                                                   └─too often──▶ dead letter
//
// With PostgreSQL a claim is a row that others skip (FOR UPDATE SKIP LOCKED),
// and the effect is in the transaction of the ack. With JetStream the effect is
// a message that the stream takes only if the job has none: what is delivered
// twice takes effect once. nats.go and postgres.go are there to be copied, with
// the interface in queue.go.
//
// An outbox joins a database to a stream: an order and that the stream is to be
// told of it are one batch. It is told at least once, and keeps it once, by the
// id of the message.
//
//	lsm.Batch: order, outbox ──▶ told, acknowledged ──▶ outbox removed
//
//	go run ./jobs
//	go run ./jobs -store postgres
//
// What to look at:
//
//   - The server is killed with kill -9, and comes back: calls are made again.
//   - A worker that is silent, and one that is late: its ack is refused.
//   - Poison: dead letters, after pauses that double.
//   - The shop is killed between telling and remembering: messages are sent
//     twice, and the stream has each once.
//
// The server of NATS is this program, in a process of its own.
//
// The flags:
//
//	-store S    nats or postgres (nats)
//	-jobs N     number of jobs, 50 to 10000 (150)
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/ashlar-go/ashlar/examples/scaleout/servers"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second Ctrl-C kills at once
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "jobs:", err)
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
	store string
	jobs  int
	f     *faults
}

// kind returns the server of a store.
func (c *config) kind() *servers.Kind {
	if c.store == "postgres" {
		return servers.Postgres
	}
	return natsKind
}

// open returns the queue of a server.
func (c *config) open(ctx context.Context, s *servers.Server) (queue, error) {
	if c.store == "postgres" {
		return newPostgresQueue(ctx, s.URL(), c.f)
	}
	return newNATSQueue(ctx, s.Addr, c.f)
}

func parseFlags(args []string, stderr io.Writer) (*config, error) {
	fs := flag.NewFlagSet("jobs", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	c := &config{f: new(faults)}
	fs.StringVar(&c.store, "store", "nats", "nats or postgres")
	fs.IntVar(&c.jobs, "jobs", 150, "number of jobs")

	// A wrong flag gets one line, and -help all of them.
	err := fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fs.SetOutput(stderr)
		fs.Usage()
		return nil, err
	case err != nil:
		return nil, badInput("%w", err)
	case fs.NArg() > 0:
		return nil, badInput("unexpected argument %q", fs.Arg(0))
	case c.store != "nats" && c.store != "postgres":
		return nil, badInput("-store must be nats or postgres, got %q", c.store)
	case c.jobs < 50 || c.jobs > 10_000:
		return nil, badInput("-jobs must be between 50 and 10000, got %d", c.jobs)
	}
	return c, nil
}

// run is the program, or a process that it starts. An error of its input is an
// *inputError; any other says that a law is broken, or that the machine lacks
// something.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	switch {
	case len(args) > 0 && args[0] == servers.Serve:
		return serveNATS(args[1:])
	case os.Getenv(childEnv) != "":
		return child(ctx, os.Getenv(childEnv), stdout)
	}
	c, err := parseFlags(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := c.reportWork(ctx, stdout); err != nil || c.store != "nats" {
		return err
	}
	return c.reportOutbox(ctx, stdout)
}

// reportWork is a shift with what came of it.
func (c *config) reportWork(ctx context.Context, w io.Writer) (err error) {
	s, stop, err := c.newShift(ctx)
	defer func() { err = errors.Join(err, stop()) }()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "a queue in %s; %d workers, one that is mute, and one that is late\n", c.store, workers)
	if err := s.run(ctx); err != nil {
		return err
	}
	if err := s.judge(ctx, w); err != nil {
		return err
	}
	_, err = fmt.Fprintln(w)
	return err
}
