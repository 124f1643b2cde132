// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
)

// An inputError is an error of a flag.
type inputError struct{ err error }

func (e *inputError) Error() string { return e.err.Error() }

func (e *inputError) Unwrap() error { return e.err }

// badInput returns an error of the input.
func badInput(format string, args ...any) error {
	return &inputError{fmt.Errorf(format, args...)}
}

// A config holds the values of the flags.
type config struct {
	jobs int
	seed uint64
}

func parseFlags(args []string, stderr io.Writer) (*config, error) {
	c := new(config)
	fs := flag.NewFlagSet("queue", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.IntVar(&c.jobs, "jobs", 600, "number of jobs of the spike")
	fs.Uint64Var(&c.seed, "seed", 1, "seed of the arrivals and of chance")

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
	case c.jobs < 100 || c.jobs > 100_000:
		return nil, badInput("-jobs must be between 100 and 100000, got %d", c.jobs)
	}
	return c, nil
}
