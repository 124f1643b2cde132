// SPDX-License-Identifier: MIT

// Lock is one lock for several processes, kept by several servers that know
// nothing of each other, of which a minority may fail.
//
// The problem: one process of four is to do something, such as to write. A lock
// in one server is gone with the server, or is given to two when the server has
// forgotten it. And a holder may be stopped at any time, and write when another
// has the lock.
//
//	process 1 ─┐                    ┌─▶ Redis or PostgreSQL 1
//	process 2 ─┼─▶ quorum.Lease ────┼─▶ Redis or PostgreSQL 2
//	process 3 ─┤    quorum.CAS      └─▶ Redis or PostgreSQL 3, and so on
//	process 4 ─┘
//	     └── write, with a token ──▶ fence: refuses a token that is less
//
// A server keeps a slot for each key: redis.go and postgres.go are there to be
// copied. The servers are independent of each other, and each keeps what it has
// acknowledged. Beside it stand a lease of one etcd, etcd.go, and the usual SET
// NX PX of one Redis, single.go.
//
//	go run ./lock
//	go run ./lock -store postgres -n 5
//	go run ./lock -store etcd
//	go run ./lock -store single
//
// What to look at:
//
//   - A minority of the servers is killed, or paused: there are holders, and
//     they write. With too few servers nobody does, after the time of a lease.
//   - A holder is stopped in the middle of a write until another has written.
//     That write has the lesser token, and is refused. No lock prevents it.
//   - The usual lock: two holders at once when the server has forgotten, and no
//     token by which to refuse the write of a former holder.
//   - etcd: its token is a revision. One server is down when it is down; three
//     are a cluster that agrees by itself.
//
// Looks at the lock are judged by the clock of the one machine that all run on.
//
// The flags:
//
//	-store S    redis, postgres, etcd or single (redis)
//	-n N        servers of redis or postgres, 3 or 5 (3)
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"github.com/ashlar-go/ashlar/examples/scaleout/servers"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second Ctrl-C kills at once
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "lock:", err)
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
	kind  *servers.Kind
	n     int

	// In tests, what goes wrong without it.
	blind bool // a holder does not look whether it has the lock still
	open  bool // the fence refuses nothing
}

func parseFlags(args []string, stderr io.Writer) (*config, error) {
	fs := flag.NewFlagSet("lock", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	c := new(config)
	fs.StringVar(&c.store, "store", "redis", "redis, postgres, etcd or single")
	fs.IntVar(&c.n, "n", 3, "servers of redis or postgres, 3 or 5")

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
	case c.n != 3 && c.n != 5:
		return nil, badInput("-n must be 3 or 5, got %d", c.n)
	case kinds[c.store] == nil:
		return nil, badInput("-store must be one of %s, got %q", strings.Join(stores(), ", "), c.store)
	}
	c.kind = kinds[c.store]
	if c.store == "etcd" || c.store == "single" {
		c.n = 1
	}
	return c, nil
}

// run is the program, or a process that it starts. An error of its input is an
// *inputError; any other says that a law is broken, or that the machine lacks
// something.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if text := os.Getenv(childEnv); text != "" {
		return child(ctx, text, stdout)
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

// report is a trial with what came of it.
func (c *config) report(ctx context.Context, w io.Writer) (err error) {
	t, stop, err := c.start(ctx, w)
	defer func() { err = errors.Join(err, stop()) }()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "a lock of %v, kept by %d × %s; %d processes want it\n", ttl, c.n, c.kind, processes)
	if err := t.run(ctx); err != nil {
		return err
	}
	return t.judge()
}
