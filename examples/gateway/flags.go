// SPDX-License-Identifier: MIT

package main

import (
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ashlar-go/ashlar/ratelimit"
)

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
	kill    kill
	health  time.Duration
	cache   int64 // bytes
	freshness
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

func parseFlags(args []string, stderr io.Writer) (*config, error) {
	c := &config{progress: func(int, int) {}, weights: defaultWeights}
	var killed string
	fs := flag.NewFlagSet("gateway", flag.ContinueOnError)
	fs.SetOutput(stderr)

	// The traffic.
	fs.StringVar(&c.in, "in", "", "replay the access log in `FILE` (Common or Combined format)")
	fs.Uint64Var(&c.seed, "seed", 1, "seed of the generated traffic")
	fs.IntVar(&c.n, "n", 5000, "number of requests to generate")
	fs.IntVar(&c.maxKeys, "keys", 1<<16, "the most clients that the limiter remembers")
	fs.IntVar(&c.top, "top", 8, "how many of the busiest clients to print")

	// The servers, and which of them dies.
	fs.StringVar(&c.lb, "lb", policies[0], "the `POLICY` that picks a server: "+strings.Join(policies, ", "))
	fs.Func("weights", "the strength of the machines, one `NUMBER` each (default 1,1,2)", func(s string) (err error) {
		c.weights, err = parseWeights(s)
		return err
	})

	fs.StringVar(&killed, "kill", "", "the `MACHINE` that dies and when, such as 2@40% or 2@40%-70%")
	fs.DurationVar(&c.health, "health", 5*time.Minute, "the time of the log between two health checks; 0 is never")

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

	// Judge the values of the flags, one after the other.
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	if c.n < 1 || c.n > maxRequests {
		return nil, fmt.Errorf("-n must be between 1 and %d, got %d", maxRequests, c.n)
	}
	if err := (&ratelimit.KeyedOptions{MaxKeys: c.maxKeys}).Validate(); err != nil || c.maxKeys == 0 {
		return nil, fmt.Errorf("-keys is too small: %d", c.maxKeys)
	}

	if len(c.limits) > maxLimits {
		return nil, fmt.Errorf("at most %d limits, got %d", maxLimits, len(c.limits))
	}
	if c.limits == nil {
		c.limits = defaultLimits
	}

	if !slices.Contains(policies, c.lb) {
		return nil, fmt.Errorf("-lb must be one of %s, got %q", strings.Join(policies, ", "), c.lb)
	}
	if c.health < 0 {
		return nil, fmt.Errorf("-health must not be negative, got %v", c.health)
	}
	if c.cache < 0 {
		return nil, fmt.Errorf("-cache must not be negative, got %d", c.cache)
	}
	if err := c.freshness.validate(); err != nil {
		return nil, err
	}

	if killed != "" {
		var err error
		if c.kill, err = parseKill(killed, len(c.weights)); err != nil {
			return nil, fmt.Errorf("-kill: %w", err)
		}
	}
	return c, nil
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
