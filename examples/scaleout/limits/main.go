// SPDX-License-Identifier: MIT

// Limits is one rate limit for four processes, kept in a real Redis, PostgreSQL
// or memcached, which is killed, is late, and loses its answers.
//
// The problem: a limit in one process is a limit for each process. To be one
// for all, its state has to be where all reach it, and then the network, the
// clocks and the server are part of it.
//
//	process 1 ─┐                      ┌─▶ store: Load, CompareAndSwap
//	process 2 ─┼─▶ ratelimit.Shared ──┤     redis.go, postgres.go, memcached.go
//	process 3 ─┤    breaker           └─▶ a limit of its own, while the store is down
//	process 4 ─┘
//
// The three files with a store are there to be copied. Each process asks as
// often as it can; what it was given goes to the judge with the time before and
// after, by a clock that all share, since all run on one machine.
//
//	go run ./limits
//	go run ./limits -store postgres -kill
//	go run ./limits -store memcached -kill
//	go run ./limits -skew 50ms
//	go run ./limits -drop-replies
//
// What to look at:
//
//   - Admitted is at most burst + rate × (window + skew) in every window, plus
//     one burst for each loss of the state: memcached forgets it when it is
//     killed, Redis with appendfsync always and PostgreSQL do not.
//   - While the store is down each process goes on with a quarter of the limit.
//   - The breaker: a dead store is asked a few times, and not once a request.
//   - Given back: what is returned is there again, once.
//
// The flags:
//
//	-store S        redis, postgres or memcached (redis)
//	-limit L        the limit of all (100/s burst 20)
//	-for D          how long they ask (3s)
//	-kill           the server is killed after a third, and comes back after a half
//	-skew D         clocks of the processes that differ by so much, at most a minute
//	-drop-replies   one answer of the server in 50 is lost
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
	"time"

	"github.com/ashlar-go/ashlar/examples/scaleout/servers"
	"github.com/ashlar-go/ashlar/ratelimit"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second Ctrl-C kills at once
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "limits:", err)
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

// processes ask for one limit.
const processes = 4

// A config holds the values of the flags.
type config struct {
	kind  *servers.Kind
	limit ratelimit.Limit
	time  time.Duration
	skew  time.Duration
	kill  bool
	drop  bool
}

// losses returns how often the store loses its state.
func (c *config) losses() int {
	if c.kill && c.kind == servers.Memcached {
		return 1
	}
	return 0
}

func parseFlags(args []string, stderr io.Writer) (*config, error) {
	fs := flag.NewFlagSet("limits", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	c := new(config)
	store := fs.String("store", "redis", "redis, postgres or memcached")
	limit := fs.String("limit", "100/s burst 20", "the limit of all")
	fs.DurationVar(&c.time, "for", 3*time.Second, "how long they ask")
	fs.DurationVar(&c.skew, "skew", 0, "how much the clocks of the processes differ")
	fs.BoolVar(&c.kill, "kill", false, "the server is killed, and comes back")
	fs.BoolVar(&c.drop, "drop-replies", false, "one answer in 50 is lost")

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
	case c.time < 100*time.Millisecond || c.time > time.Hour:
		return nil, badInput("-for must be between 100ms and 1h, got %v", c.time)
	case c.skew < 0 || c.skew > time.Minute:
		return nil, badInput("-skew must be between 0 and 1m, got %v", c.skew)
	}

	for _, k := range []*servers.Kind{servers.Redis, servers.Postgres, servers.Memcached} {
		if k.String() == *store {
			c.kind = k
		}
	}
	if c.kind == nil {
		return nil, badInput("-store must be redis, postgres or memcached, got %q", *store)
	}
	if c.limit, err = ratelimit.ParseLimit(*limit); err != nil {
		return nil, badInput("-limit: %w", err)
	}
	if _, _, err := numbers(c.limit); err != nil {
		return nil, badInput("-limit: %w", err)
	}
	return c, nil
}

// numbers reads a limit for the judge, from its text.
func numbers(l ratelimit.Limit) (burst, perSecond float64, err error) {
	text := l.String()
	rate, tail, ok := strings.Cut(text, " burst ")
	n := 0.0
	if _, err := fmt.Sscanf(rate, "%g/s", &n); err != nil || !strings.HasSuffix(rate, "/s") || n < 8 || n > 1e6 {
		return 0, 0, fmt.Errorf("it is between 8/s and 1000000/s here, got %q", text)
	}
	burst = n
	if ok {
		if _, err := fmt.Sscanf(tail, "%g", &burst); err != nil || burst < 8 {
			return 0, 0, fmt.Errorf("its burst is at least 8 here, got %q", text)
		}
	}
	return burst, n, nil
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
	out, err := c.execute(ctx)
	if err != nil {
		return err
	}
	out.print(stdout)
	return out.judge(stdout)
}
