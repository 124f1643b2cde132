// SPDX-License-Identifier: MIT

// Crawler visits all pages of a web of its own, politely, with several crawlers
// of which one dies.
//
// The problem: a crawler follows links, and finds most of them many times over.
// It must not fetch a page twice, and cannot keep every address that it has
// seen. It must not load a server more than it likes, nor one that is down, and
// some sites never end. And it runs for weeks: what a crawler that dies knew
// has to be somewhere else.
//
//	links ──▶ normalize ──▶ whose is the host? ──▶ seen before? ──▶ queue of the host
//	  ▲                     ring of crawlers       Bloom filter       │
//	  │                                                               ▼
//	page ◀── HTTP over loopback ◀── breaker of the host ◀── limit of the host
//	  │
//	  └──▶ log of pages ──▶ checkpoint: queues, filter, root of a Merkle tree
//
// The web is made of a seed, and served by one real HTTP server under many host
// names. Times are those of a clock that the program moves, so that an hour of
// politeness passes at once.
//
//	go run ./examples/crawler
//	go run ./examples/crawler -pages 20000 -p 0.001
//
// What it composes: bloom (Filter), consistenthash (Snapshot), ratelimit
// (Keyed), breaker (Group), merkle (Tree).
//
// What to look at:
//
//   - The pages over time, by crawler. c2 dies, and the others take its hosts
//     over: those alone, as a ring has it, from its last checkpoint.
//   - The filters. Each says of some pages that they were seen, which were not:
//     they are missed. An exact list, which only the judge has, counts them, and
//     what the filters predict is beside it.
//   - Normalized: the same page is linked in six ways, of which a filter without
//     normalization makes six pages.
//   - Polite: each host got at most burst + rate × window in every window, by
//     the log of the server, and the delay of its robots.txt if it has one. The
//     pages that robots.txt forbids were never asked for.
//   - A host that is down for a while got a few requests, as its breaker
//     permits; the endless calendar got no more than any host may.
//   - The log of a crawler only grows: each checkpoint proves that it begins
//     with the one before.
//
// The flags:
//
//	-pages N      pages of the web, 100 to 100000 (3000)
//	-p P          rate of errors that a filter may have when it is full (0.01)
//	-crawlers N   2 to 16 (4)
//	-seed N       seed of the web (1)
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second Ctrl-C kills at once
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "crawler:", err)
	if errors.As(err, new(*inputError)) {
		os.Exit(2)
	}
	os.Exit(1)
}

// An inputError is an error of a flag.
type inputError struct{ err error }

func (e *inputError) Error() string { return e.err.Error() }

func (e *inputError) Unwrap() error { return e.err }

// A config holds the values of the flags.
type config struct {
	pages, crawlers int
	p               float64
	seed            uint64

	// In tests, what goes wrong.
	rude, forgetful, careless, greedy bool
}

func parseFlags(args []string, stderr io.Writer) (*config, error) {
	fs := flag.NewFlagSet("crawler", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	c := new(config)
	fs.IntVar(&c.pages, "pages", 3000, "pages of the web")
	fs.Float64Var(&c.p, "p", 0.01, "rate of errors of a full filter")
	fs.IntVar(&c.crawlers, "crawlers", 4, "number of crawlers")
	fs.Uint64Var(&c.seed, "seed", 1, "seed of the web")

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
		return nil, &inputError{fmt.Errorf("unexpected argument %q", fs.Arg(0))}
	case c.pages < 100 || c.pages > 100_000:
		return nil, &inputError{fmt.Errorf("-pages must be between 100 and 100000, got %d", c.pages)}
	case !(c.p >= 1e-6 && c.p <= 0.5):
		return nil, &inputError{fmt.Errorf("-p must be between 0.000001 and 0.5, got %v", c.p)}
	case c.crawlers < 2 || c.crawlers > 16:
		return nil, &inputError{fmt.Errorf("-crawlers must be between 2 and 16, got %d", c.crawlers)}
	}
	return c, nil
}

// run is the program. An error of its input is an *inputError; any other says
// that a law is broken, or that the report could not be written.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	c, err := parseFlags(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	return c.execute(ctx, stdout)
}

// execute crawls the web, and judges and prints what happened.
func (c *config) execute(ctx context.Context, stdout io.Writer) error {
	cr, err := c.crawl(ctx)
	if err != nil {
		return err
	}
	w := &errWriter{w: stdout}
	cr.print(w)
	if w.err != nil {
		return w.err
	}
	for _, law := range []func() (string, error){
		cr.lawOnce, cr.lawPolite, cr.lawRobots, cr.lawFound, cr.lawFilter, cr.lawDown, cr.lawMoved, cr.lawLog,
	} {
		text, err := law()
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "law holds: %s\n", text)
	}
	return w.err
}

// An errWriter keeps the first error, so that a report is checked once.
type errWriter struct {
	w   io.Writer
	err error
}

func (w *errWriter) Write(p []byte) (int, error) {
	if w.err == nil {
		_, w.err = w.w.Write(p)
	}
	return len(p), w.err
}
