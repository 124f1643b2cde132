// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ashlar-go/ashlar/ratelimit"
)

// An inputError is an error of a flag or of the input.
type inputError struct{ err error }

func (e *inputError) Error() string { return e.err.Error() }

func (e *inputError) Unwrap() error { return e.err }

// badInput returns an error of the input.
func badInput(format string, args ...any) error {
	return &inputError{fmt.Errorf(format, args...)}
}

// A config holds the values of the flags.
type config struct {
	in      string
	seed    uint64
	n       int
	limits  []ratelimit.Limit
	maxKeys int
	top     int
	lb      string
	weights []int
	faults  []fault
	health  time.Duration
	timeout time.Duration
	sticky  bool
	tls     bool
	cache   int64 // bytes
	freshness
	log   string
	admin string
	serve string
	to    []*url.URL

	watch    time.Duration // between two looks at the counters
	bare     bool          // nothing but a balancer
	access   *slog.Logger
	progress func(done, total int) // called after every request
}

// defaultLimits let a page with its images through at once and a person through
// all day, and stop a client that hammers.
var defaultLimits = []ratelimit.Limit{
	{Rate: ratelimit.PerSecond(1), Burst: 40},
	{Rate: ratelimit.PerDay(480), Burst: 100},
}

// maxLimits is the most that ratelimit.NewKeyed takes.
const maxLimits = 8

// serveLimits are those in front of real servers.
var serveLimits = []ratelimit.Limit{{Rate: ratelimit.PerSecond(10), Burst: 100}}

func parseFlags(args []string, stderr io.Writer) (*config, error) {
	c := &config{progress: func(int, int) {}, watch: 10 * time.Minute}
	fs := flag.NewFlagSet("gateway", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	faults := c.define(fs)

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
	}

	given := make(map[string]bool)
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if err := c.complete(given, faults); err != nil {
		return nil, &inputError{err}
	}
	return c, nil
}

// define defines the flags, and returns the faults as they are written, by
// state.
func (c *config) define(fs *flag.FlagSet) (faults *[len(stateNames)]string) {
	// The traffic.
	fs.StringVar(&c.in, "in", "", "replay the access log in `FILE` (Common or Combined format)")
	fs.Uint64Var(&c.seed, "seed", 1, "seed of the generated traffic")
	fs.IntVar(&c.n, "n", 5000, "number of requests to generate")
	fs.IntVar(&c.maxKeys, "keys", 1<<16, "the most clients that the limiter remembers")
	fs.IntVar(&c.top, "top", 8, "how many of the busiest clients to print")

	// The servers, and which of them fail.
	fs.StringVar(&c.lb, "lb", policies[0], "the `POLICY` that picks a server: "+strings.Join(policies, ", "))
	fs.Func("weights", "the strength of the machines, one `NUMBER` each (default 1,1,2)", func(s string) (err error) {
		c.weights, err = parseWeights(s)
		return err
	})
	faults = new([len(stateNames)]string)
	fs.StringVar(&faults[dead], stateNames[dead], "", "the `MACHINE` that dies and when, such as 2@40% or 2@40%-70%")
	fs.StringVar(&faults[silent], stateNames[silent], "", "the `MACHINE` that does not answer and when")
	fs.StringVar(&faults[slow], stateNames[slow], "", "the `MACHINE` that answers late and when")
	fs.DurationVar(&c.timeout, "timeout", 5*time.Second, "how long to wait for an answer, on the wall clock")
	fs.DurationVar(&c.health, "health", 5*time.Minute, "the time of the log between two health checks; 0 is never")
	fs.BoolVar(&c.sticky, "sticky", false, "a cookie keeps each client at its server")

	// The cache.
	fs.Int64Var(&c.cache, "cache", 1<<20, "`BYTES` for the answers of a service; 0 is no cache")
	fs.DurationVar(&c.ttl, "ttl", 5*time.Minute, "how long an answer is fresh, in the time of the log")
	fs.DurationVar(&c.swr, "swr", 5*time.Minute, "how long beyond -ttl a stale answer is served while a new one is fetched")
	fs.DurationVar(&c.stale, "stale", time.Hour, "how long beyond that it is served while the service fails")

	// The limits.
	fs.Func("limit", "a `LIMIT` per client, such as \"2/s burst 10\"; may be repeated", func(s string) error {
		l, err := ratelimit.ParseLimit(s)
		c.limits = append(c.limits, l)
		return err
	})

	// The addresses.
	fs.BoolVar(&c.tls, "tls", false, "clients speak TLS, with a certificate that is made at the start")
	fs.StringVar(&c.log, "log", "", "write an access log to `FILE`; - is stderr")
	fs.StringVar(&c.admin, "admin", "", "serve metrics, alerts, expvar and pprof at `ADDR`")
	fs.StringVar(&c.serve, "serve", "", "no replay: be a proxy at `ADDR`, for the servers of -to")
	fs.Func("to", "the `URLS` of the servers behind -serve, separated by commas", func(s string) (err error) {
		c.to, err = parseServers(s)
		return err
	})
	return faults
}

// complete judges the values of the flags, one after the other, and fills in
// those that depend on others.
func (c *config) complete(given map[string]bool, faults *[len(stateNames)]string) error {
	if c.n < 1 || c.n > maxRequests {
		return fmt.Errorf("-n must be between 1 and %d, got %d", maxRequests, c.n)
	}
	if err := (&ratelimit.KeyedOptions{MaxKeys: c.maxKeys}).Validate(); err != nil || c.maxKeys == 0 {
		return fmt.Errorf("-keys is too small: %d", c.maxKeys)
	}
	if len(c.limits) > maxLimits {
		return fmt.Errorf("at most %d limits, got %d", maxLimits, len(c.limits))
	}
	if !slices.Contains(policies, c.lb) {
		return fmt.Errorf("-lb must be one of %s, got %q", strings.Join(policies, ", "), c.lb)
	}
	if c.health < 0 {
		return fmt.Errorf("-health must not be negative, got %v", c.health)
	}
	if c.timeout < time.Millisecond || c.timeout > maxAge {
		return fmt.Errorf("-timeout must be between 1ms and %v, got %v", maxAge, c.timeout)
	}
	if c.cache < 0 {
		return fmt.Errorf("-cache must not be negative, got %d", c.cache)
	}
	if err := c.freshness.validate(); err != nil {
		return err
	}
	if c.serve != "" {
		return c.completeServe(given)
	}
	if c.to != nil {
		return errors.New("-to needs -serve")
	}

	// The stage.
	if c.limits == nil {
		c.limits = defaultLimits
	}
	if c.weights == nil {
		c.weights = defaultWeights
	}
	for state, text := range faults {
		if text == "" {
			continue
		}
		f, err := parseFault(int32(state), text, len(c.weights))
		if err != nil {
			return fmt.Errorf("-%s: %w", stateNames[state], err)
		}
		c.faults = append(c.faults, f)
	}
	return nil
}

// completeServe does the rest of complete for real servers.
func (c *config) completeServe(given map[string]bool) error {
	for _, name := range []string{"in", "n", "seed", "top", stateNames[dead], stateNames[silent], stateNames[slow]} {
		if given[name] {
			return fmt.Errorf("-%s is for a replay, and -serve replays nothing", name)
		}
	}
	if len(c.to) == 0 || len(c.to) > maxMachines {
		return fmt.Errorf("-serve needs between 1 and %d servers in -to", maxMachines)
	}
	if c.weights == nil {
		c.weights = slices.Repeat([]int{1}, len(c.to))
	}
	if len(c.weights) != len(c.to) {
		return fmt.Errorf("%d weights for %d servers", len(c.weights), len(c.to))
	}
	if c.limits == nil {
		c.limits = serveLimits
	}
	if !given["health"] {
		c.health = checkEvery
	}
	c.watch = watchEvery
	return nil
}

// defaultWeights are three machines, of which the last does as much as the
// others together.
var defaultWeights = []int{1, 1, 2}

// maxMachines bounds the servers that are started, maxWeight the differences
// between them.
const (
	maxMachines = 16
	maxWeight   = 100
)

func parseWeights(s string) (weights []int, err error) {
	for field := range strings.SplitSeq(s, ",") {
		w, err := strconv.Atoi(field)
		if err != nil || w < 1 || w > maxWeight {
			return nil, fmt.Errorf("weights are whole numbers from 1 to %d, got %q", maxWeight, field)
		}
		weights = append(weights, w)
	}
	if len(weights) > maxMachines {
		return nil, fmt.Errorf("at most %d machines, got %d", maxMachines, len(weights))
	}
	return weights, nil
}
