// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
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
	nodes    int
	seed     uint64
	mode     string
	algo     string
	schedule []fault
}

// modes are the ways to replicate.
var modes = []string{"sync", "majority", "async"}

func parseFlags(args []string, stderr io.Writer) (*config, error) {
	c := new(config)
	var file string
	fs := flag.NewFlagSet("election", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.IntVar(&c.nodes, "nodes", 5, "number of nodes")
	fs.Uint64Var(&c.seed, "seed", 1, "seed of whatever chance decides")
	fs.StringVar(&c.mode, "replication", "majority", "the `WAY` to replicate of the strip: "+strings.Join(modes, ", "))
	fs.StringVar(&file, "schedule", "", "faults in `FILE`, one a line, such as 12s kill leader")
	fs.StringVar(&c.algo, "algo", "all", "the `ALGORITHM` of the table of messages: "+strings.Join(algorithmNames(), ", ")+" or all")

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
	switch {
	case fs.NArg() > 0:
		return nil, badInput("unexpected argument %q", fs.Arg(0))
	case c.nodes < 3 || c.nodes > 9:
		return nil, badInput("-nodes must be between 3 and 9, got %d", c.nodes)
	case !slices.Contains(modes, c.mode):
		return nil, badInput("-replication must be one of %s, got %q", strings.Join(modes, ", "), c.mode)
	case c.algo != "all" && !slices.Contains(algorithmNames(), c.algo):
		return nil, badInput("-algo must be one of %s or all, got %q", strings.Join(algorithmNames(), ", "), c.algo)
	}

	// The faults.
	if file == "" {
		c.schedule = usual(c.nodes)
		return c, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, badInput("%w", err)
	}
	defer f.Close()
	if c.schedule, err = readSchedule(f, c.nodes); err != nil {
		return nil, badInput("read %s: %w", file, err)
	}
	return c, nil
}
