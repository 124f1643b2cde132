// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/ashlar-go/ashlar/lru"
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
	in     string
	seed   uint64
	n      int
	nodes  int
	mem    int // megabytes
	policy lru.Policy
}

// Bounds of the flags.
const (
	maxRequests = 5_000_000
	maxNodes    = 64
	maxMem      = 1024 // so that bytes fit a word of 32 bits
)

func parseFlags(args []string, stderr io.Writer) (*config, error) {
	c := new(config)
	fs := flag.NewFlagSet("edge", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&c.in, "in", "", "an access log or a trace in `FILE`")
	fs.Uint64Var(&c.seed, "seed", 1, "seed of the requests, and of changes")
	fs.IntVar(&c.n, "n", 60_000, "number of requests to generate")
	fs.IntVar(&c.nodes, "nodes", 8, "nodes at the beginning")
	fs.IntVar(&c.mem, "mem", 64, "megabytes of all nodes at the beginning")
	fs.TextVar(&c.policy, "policy", lru.PolicyLRU, "`NAME` of the policy of the nodes: LRU, LFU, FIFO, Random or TinyLFU")

	// A wrong flag gets one line, and -help all of them.
	err := fs.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fs.SetOutput(stderr)
		fs.Usage()
		return nil, err
	}
	if err != nil {
		return nil, badInput("%w", err)
	}
	if fs.NArg() > 0 {
		return nil, badInput("unexpected argument %q", fs.Arg(0))
	}
	for _, b := range []struct {
		name          string
		v, least, max int
	}{
		{"n", c.n, 1, maxRequests},
		{"nodes", c.nodes, 2, maxNodes},
		{"mem", c.mem, 1, maxMem},
	} {
		if b.v < b.least || b.v > b.max {
			return nil, badInput("-%s must be between %d and %d, got %d", b.name, b.least, b.max, b.v)
		}
	}
	return c, nil
}

// traffic returns the traffic of the input, or as much as -n says.
func (c *config) traffic() (*traffic, error) {
	t := &traffic{config: c}
	if c.in == "" {
		t.generate()
		return t, nil
	}
	f, err := os.Open(c.in)
	if err != nil {
		return nil, badInput("%w", err)
	}
	defer f.Close()
	if err := t.read(f); err != nil {
		return nil, badInput("read %s: %w", c.in, err)
	}
	return t, nil
}
