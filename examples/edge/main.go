// SPDX-License-Identifier: MIT

// Edge is the edge of a content delivery network: a cluster of caches between
// many clients and an origin that is far away.
//
// The problem: an answer of the origin takes 300 ms, and one from nearby 20 ms.
// What is kept nearby gets old, is changed at the origin, does not fit, is
// asked for by nobody again, or is not there at all; and the origin must not be
// asked for everything when a cache is new or the origin was down.
//
//	clients ──▶ ring, bounded loads ──▶ node ── hit ─────────────▶ 20 ms
//	                                     │ cache: bytes, TTL by path, pins
//	                                     ▼ miss, or old: revalidate
//	               second request? ── limiter ── breaker ──▶ origin, 300 ms
//	                                                           │
//	  purge by path, by tag ──▶ all nodes ◀── changes ─────────┘
//
// One goroutine drives the cluster in the time of the requests. An answer is on
// its way for 300 ms, and changes that happen meanwhile happen to it. The same
// input prints the same report, but for one line that is marked.
//
//	go run ./examples/edge
//	go run ./examples/edge -in access.log -mem 16
//	go run ./examples/edge -in trace.gz -mem 256 -policy TinyLFU
//
// What it composes: consistenthash (which node has what, and how much one may
// have), lru (the nodes), bloom (what was asked for before), ratelimit and
// breaker (before the origin).
//
// What to look at:
//
//   - Times to live: the origin says max-age, and each path has a minimum, a
//     default and a maximum that clamp it. Stories live for a minute or two,
//     posts for an hour, pictures for a day; style sheets by their extension.
//   - What becomes of the requests: hits, old answers that are given while new
//     ones are fetched, those that wait for a fetch of others, misses. What is
//     not there is kept as well, for a shorter time, and what is private never.
//   - The origin before and after: its requests, its bytes (an ETag that has not
//     changed saves them), and the mean time of an answer.
//   - While the origin is down, the breaker keeps requests away, and old answers
//     go out rather than none.
//   - A node comes in the middle: about a ninth of the keys move to it, and no
//     others move. The ratio of hits dips, and recovers.
//   - A crowd wants one post: by the ring alone one node has it all; with bounded
//     loads none has more than a quarter above its share.
//   - Purges: an answer that was on its way when its path was purged must not be
//     kept. By get, fetch and set it is, and is given out until it expires.
//   - Regions: some content differs by region. A cache that overlooks that gives
//     out the wrong one; a cache in each region asks the origin for everything
//     again, unless they all ask one before it, a shield.
//   - Policies: hits for caches of several sizes. Admission by the second request
//     keeps what is asked for once out of the cache.
//
// The flags:
//
//	-in FILE       an access log, or a trace: lines of one id, of a first id and
//	               a count, or of time,id,size; compressed by gzip or not
//	-seed N        seed of the requests, if there is no file, and of changes (1)
//	-n N           without -in: number of requests (60000)
//	-nodes N       nodes at the beginning, 2 to 64 (8)
//	-mem N         megabytes of all nodes at the beginning, and of each region (64)
//	-policy NAME   LRU, LFU, FIFO; or TinyLFU, which the package would choose, or
//	               Random: these flip coins, and counts differ a little (LRU)
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
	fmt.Fprintln(os.Stderr, "edge:", err)
	if errors.As(err, new(*inputError)) {
		os.Exit(2)
	}
	os.Exit(1)
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
	t, err := c.traffic()
	if err != nil {
		return err
	}

	// The report goes through one writer, whose error is looked at once.
	w := &errWriter{w: stdout}
	for _, part := range []struct {
		title string
		print func(context.Context, *traffic, io.Writer) error
	}{
		{"times to live", reportBehaviors},
		{"requests", reportDay},
		{"loads", reportLoads},
		{"purges", reportPurges},
		{"regions", reportRegions},
		{"policies", reportPolicies},
	} {
		if err := errors.Join(ctx.Err(), w.err); err != nil {
			return err
		}
		if isTerminal(stderr) {
			fmt.Fprintf(stderr, "\r%-20s\r", part.title)
		}
		if err := part.print(ctx, t, w); err != nil {
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
