// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/ashlar-go/ashlar/ratelimit"
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
	n    int
	seed uint64

	serve     string
	dir       string
	base      string
	limit     ratelimit.Limit
	forwarded bool
	moved     bool
}

// Bounds of -n.
const (
	leastLinks = 100
	mostLinks  = 100_000
)

func parseFlags(args []string, stderr io.Writer) (*config, error) {
	c := new(config)
	fs := flag.NewFlagSet("shortener", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.IntVar(&c.n, "n", 1500, "number of links of the report")
	fs.Uint64Var(&c.seed, "seed", 1, "seed of the report")
	fs.StringVar(&c.serve, "serve", "", "serve at `ADDR` instead of a report")
	fs.StringVar(&c.dir, "dir", "links", "with -serve: directory of the database")
	fs.StringVar(&c.base, "base", "", "with -serve: what short URLs begin with, such as https://s.example")
	fs.TextVar(&c.limit, "limit", ratelimit.Limit{Rate: ratelimit.PerMinute(10)}, "with -serve: links that a client may make")
	fs.BoolVar(&c.forwarded, "forwarded", false, "with -serve: a proxy adds X-Forwarded-For")
	fs.BoolVar(&c.moved, "301", false, "with -serve: links have moved for good")

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
	if c.n < leastLinks || c.n > mostLinks {
		return nil, badInput("-n must be between %d and %d, got %d", leastLinks, mostLinks, c.n)
	}
	if c.base != "" {
		u, err := url.Parse(c.base)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
			return nil, badInput("-base must be a scheme and a host, such as https://s.example, got %q", c.base)
		}
		c.base = strings.TrimSuffix(c.base, "/")
	}
	return c, nil
}
