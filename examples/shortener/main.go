// SPDX-License-Identifier: MIT

// Shortener gives long URLs short codes, and sends browsers from the codes to
// the URLs.
//
// The problem: codes have to be short, and so others can guess some; the same
// URL should not fill the disk twice; links are read much more often than made,
// and codes that do not exist are asked for by scanners all day; one client
// must not use up the codes; and a code that somebody has printed on a poster
// must not be lost by a crash, or lead elsewhere.
//
//	POST /api/links ──▶ limit ──▶ URL in its one spelling ──▶ has it a code?
//	                                                            │ no
//	     code c/k3JdP0 → URL ─┐                                 ▼
//	     URL  u/URL → k3JdP0 ─┼─ one batch, synced ◀── a number, permuted
//	     end  x/time, code   ─┘
//
//	GET /k3JdP0 ──▶ filter ──▶ cache ──▶ database ──▶ 302
//	                  │ no                            clicks, a hundred at a time
//	                  ▼
//	                 404
//
// Numbers are reserved a hundred at a time, so that no crash gives one twice.
// The filter never refuses a link; it is filled again when the program starts.
//
//	go run ./examples/shortener
//	go run ./examples/shortener -serve 127.0.0.1:8080
//	curl -d '{"url": "https://go.dev/doc/"}' http://127.0.0.1:8080/api/links
//
// What it composes: lsm (links and what finds them, in batches; commits of
// several clients share a sync), bloom (codes that exist), lru (hot links, read
// once however many ask), ratelimit (new links of a client).
//
// What to look at:
//
//   - Codes: those of numbers in a row have nothing in common. How long a scanner
//     looks for the first link depends on how many there are.
//   - The API: spellings of one URL have one code. Only http and https are
//     targets: a javascript: link would run in the page that shows it. After its
//     end a link is 410, and its alias nobody else's for a month.
//   - Traffic: nearly no guess reaches the database, and the filter is wrong as
//     often as it predicts.
//   - 301 or 302: what a browser keeps for good is neither counted nor ended.
//   - A kill: another process is killed while clients make links, and started
//     again. Of clicks, which are written behind, a few are lost.
//
// The flags:
//
//	-n N           links of the report, 100 to 100000 (1500)
//	-seed N        seed of the report (1)
//	-serve ADDR    serve until Ctrl-C instead of a report: an API, and a page
//	               with a form at http://ADDR/
//	-dir DIR       with -serve: directory of the database (links)
//	-base URL      with -serve: what short URLs begin with, if a proxy changes it
//	-limit LIMIT   with -serve: links that a client may make (10/1m0s)
//	-forwarded     with -serve: a proxy adds X-Forwarded-For; without one, clients
//	               could choose whom they count as
//	-301           with -serve: links have moved for good, and browsers keep them
//	               for a day
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
	fmt.Fprintln(os.Stderr, "shortener:", err)
	if errors.As(err, new(*inputError)) {
		os.Exit(2)
	}
	os.Exit(1)
}

// run is the program, or the process that it kills. An error of its input is an
// *inputError; any other says that a law is broken, or that the report could
// not be written.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if dir := os.Getenv(victimDir); dir != "" {
		return victim(ctx, dir, os.Stdin, stdout)
	}
	c, err := parseFlags(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	if c.serve != "" {
		return c.serveLinks(ctx, stdout)
	}

	// The report goes through one writer, whose error is looked at once.
	w := &errWriter{w: stdout}
	for _, part := range []struct {
		title string
		print func(context.Context, *config, io.Writer) error
	}{
		{"codes", reportCodes},
		{"the API", reportTalk},
		{"traffic", reportTraffic},
		{"301 or 302", reportMoved},
		{"a kill", reportKill},
	} {
		if err := errors.Join(ctx.Err(), w.err); err != nil {
			return err
		}
		if isTerminal(stderr) {
			fmt.Fprintf(stderr, "\r%-20s\r", part.title)
		}
		if err := part.print(ctx, c, w); err != nil {
			return err
		}
	}
	return w.err
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
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
