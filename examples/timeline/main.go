// SPDX-License-Identifier: MIT

// Timeline shows to each user what those whom they follow have posted, newest
// first, and finds out which posts to send ahead and which to fetch.
//
// The problem: a post may be copied into the timeline of each follower when it
// is written (push), or be looked for in each timeline that is read (pull).
// Push makes a post of a celebrity dear, and pull makes each reading dear. A
// hybrid pushes the posts of those with few followers, and pulls those of the
// others.
//
//	          ┌─ few followers ──▶ copied into the timeline of each follower
//	post ──▶ index (author, newest first)            │ the last 100
//	          └─ many followers ─────────────┐       │ a page of 20 below a cursor
//	                                 fetched ▼       ▼
//	                                    reader ◀── merged
//
// The same posts, readings, follows and unfollows go through all ways at once,
// in the time of a virtual clock. The work is counted: a copy into a timeline
// is one unit, and so is each list that a reading has to look at.
//
//	go run ./examples/timeline
//	go run ./examples/timeline -graph generated
//	go run ./examples/timeline -in edges.txt -threshold 500
//
// What it composes: skiplist (who follows whom, in both directions, and posts
// by author, newest first), lru (timelines that nobody reads are forgotten;
// times to live are random).
//
// What to look at:
//
//   - The graph: by default the packages of the standard library are the users,
//     and follow what they import, so that errors and unsafe are celebrities.
//   - The table of the modes: writes of a post, lists of a reading, and the sum.
//   - The curve: the total work for each threshold, and its minimum. It is not
//     the number of followers that decides. To push a post costs one unit for
//     each follower, and to pull it costs one for each of their readings, so the
//     number cancels: an author who posts less often than its followers read is
//     to be pushed. A threshold does well since those with many followers are
//     also those who post much.
//   - Pages: by a cursor no post is on two pages. By number, each post that
//     arrives meanwhile pushes another one onto the next page, again.
//   - A follow brings old posts into the timeline, and an unfollow takes them
//     out, after which older ones of others have to fill the hundred.
//   - Times to live: timelines in a cache that expire if they were made long ago
//     need no copies meanwhile. If all were made in one minute, they expire in
//     one minute, unless the times are random.
//   - The law: all modes show the same pages, and those that a look at all posts
//     gives.
//
// The flags:
//
//	-in FILE       who follows whom, in FILE: lines of two names or numbers
//	-graph NAME    without -in: std, the imports of the standard library, or
//	               generated (std, if its source is here)
//	-seed N        seed of the generated graph, and of what happens (1)
//	-users N       users of the generated graph (2000)
//	-n N           posts, readings, follows and unfollows (6000)
//	-threshold N   pull from so many followers on; 0 is the best that is found
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
	fmt.Fprintln(os.Stderr, "timeline:", err)
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
	t, err := c.trial()
	if err != nil {
		return err
	}

	// The report goes through one writer, whose error is looked at once.
	w := &errWriter{w: stdout}
	for _, part := range []struct {
		title string
		print func(context.Context, *trial, io.Writer) error
	}{
		{"the graph", reportGraph},
		{"the modes", reportModes},
		{"the curve", reportCurve},
		{"pages and follows", reportPages},
		{"a morning", reportExpiry},
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
