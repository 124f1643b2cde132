// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"flag"
	"fmt"
	"go/build"
	"io"
	"os"
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
	in        string
	graph     string
	seed      uint64
	users     int
	n         int
	threshold int
	root      string // of the source of Go
}

// Bounds of the flags.
const (
	maxUsers  = 200_000
	maxFollow = 2_000_000
	maxEvents = 1_000_000
)

func parseFlags(args []string, stderr io.Writer) (*config, error) {
	c := &config{root: build.Default.GOROOT}
	fs := flag.NewFlagSet("timeline", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&c.in, "in", "", "who follows whom, in `FILE`: lines of two names or numbers")
	fs.StringVar(&c.graph, "graph", "std", "`NAME` of the graph: std, the imports of the standard library, or generated")
	fs.Uint64Var(&c.seed, "seed", 1, "seed of the generated graph, and of what happens")
	fs.IntVar(&c.users, "users", 2000, "users of the generated graph")
	fs.IntVar(&c.n, "n", 6000, "posts, readings, follows and unfollows")
	fs.IntVar(&c.threshold, "threshold", 0, "pull from so many followers on; 0 is the best that is found")

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
	if c.graph != "std" && c.graph != "generated" {
		return nil, badInput("-graph must be std or generated, got %q", c.graph)
	}
	for _, b := range []struct {
		name          string
		v, least, max int
	}{
		{"users", c.users, 2, maxUsers},
		{"n", c.n, 1, maxEvents},
		{"threshold", c.threshold, 0, maxUsers},
	} {
		if b.v < b.least || b.v > b.max {
			return nil, badInput("-%s must be between %d and %d, got %d", b.name, b.least, b.max, b.v)
		}
	}
	return c, nil
}

// A trial is a graph, and what happens in it.
type trial struct {
	*config
	title  string // of the graph
	names  []string
	edges  []edge // at the beginning
	first  *graph // of these
	events []event
}

// trial returns the trial of the input.
func (c *config) trial() (*trial, error) {
	own := *c
	t := &trial{config: &own}

	switch {
	case c.in != "":
		f, err := os.Open(c.in)
		if err != nil {
			return nil, badInput("%w", err)
		}
		defer f.Close()
		t.title = "of a file"
		if t.names, t.edges, err = readEdges(f); err != nil {
			return nil, badInput("read %s: %w", c.in, err)
		}
	case c.graph == "std":
		var err error
		t.title = "the standard library, by imports"
		if t.names, t.edges, err = standardLibrary(c.root); err != nil {
			t.title = "generated: there is no source of Go here"
			t.names, t.edges = generate(c.seed, c.users)
		}
	default:
		t.title = "generated"
		t.names, t.edges = generate(c.seed, c.users)
	}

	t.first = newGraph(len(t.names), t.edges)
	t.events = happen(c.seed, c.n, len(t.names), t.edges)
	if t.threshold == 0 {
		list := t.thresholds()
		curve, _ := t.predict(list[1 : len(list)-1]) // between the extremes
		t.threshold = least(curve).threshold
	}
	return t, nil
}
