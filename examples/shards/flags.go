// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
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
	shards int
	ops    int
}

// Bounds of the flags.
const (
	maxPeople = 1_000_000
	maxShards = 16
	maxOps    = 1000
)

func parseFlags(args []string, stderr io.Writer) (*config, error) {
	c := new(config)
	fs := flag.NewFlagSet("shards", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&c.in, "in", "", "the people in `FILE`: lines of id,name,city,age")
	fs.Uint64Var(&c.seed, "seed", 1, "seed of the people, and of the reads and writes")
	fs.IntVar(&c.n, "n", 20_000, "number of people to generate")
	fs.IntVar(&c.shards, "shards", 4, "number of shards at the beginning")
	fs.IntVar(&c.ops, "ops", 10, "reads and writes between two steps of a move")

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
		{"n", c.n, 1, maxPeople},
		{"shards", c.shards, 2, maxShards},
		{"ops", c.ops, 0, maxOps},
	} {
		if b.v < b.least || b.v > b.max {
			return nil, badInput("-%s must be between %d and %d, got %d", b.name, b.least, b.max, b.v)
		}
	}
	return c, nil
}

// people returns the people of the input, or as many as -n says.
func (c *config) people() ([]person, error) {
	if c.in == "" {
		return generate(c.seed, c.n), nil
	}
	f, err := os.Open(c.in)
	if err != nil {
		return nil, badInput("%w", err)
	}
	defer f.Close()
	people, err := readPeople(f)
	if err != nil {
		return nil, badInput("read %s: %w", c.in, err)
	}
	return people, nil
}

// names returns the names of the first n shards.
func names(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = "s" + strconv.Itoa(i+1)
	}
	return list
}
