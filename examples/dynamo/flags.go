// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"

	"github.com/ashlar-go/ashlar/lsm"
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
	nodes int
	n     int
	keys  int
	seed  uint64
	dir   string // of all stores
	fs    lsm.FS // where that is; nil is the disk, and tests have memory
}

// copies is N: on how many nodes each key is.
const copies = 3

func parseFlags(args []string, stderr io.Writer) (*config, error) {
	c := new(config)
	fs := flag.NewFlagSet("dynamo", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.IntVar(&c.nodes, "nodes", 5, "number of nodes")
	fs.IntVar(&c.n, "n", 2000, "operations a row of the table")
	fs.IntVar(&c.keys, "keys", 300, "number of keys")
	fs.Uint64Var(&c.seed, "seed", 1, "seed of the operations")

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
		{"nodes", c.nodes, 4, 12},
		{"n", c.n, 100, 1_000_000},
		{"keys", c.keys, 1, 100_000},
	} {
		if b.v < b.least || b.v > b.max {
			return nil, badInput("-%s must be between %d and %d, got %d", b.name, b.least, b.max, b.v)
		}
	}
	return c, nil
}
