// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"
)

// choices are the rows of the table.
func choices() (list []choice) {
	const skew = 2 * time.Millisecond // inside the bound: operations are 10 ms apart
	for r := 1; r <= copies; r++ {
		for w := 1; w <= copies; w++ {
			list = append(list, choice{r: r, w: w, skew: skew})
		}
	}
	return append(list,
		choice{r: 1, w: 1, sloppy: true, skew: skew},
		choice{r: 2, w: 2, sloppy: true, skew: skew},
		choice{r: 2, w: 2, skew: time.Second})
}

// gives says what a row gives up, in the words of CAP, and of PACELC.
func (c choice) gives() string {
	switch {
	case c.skew >= time.Second:
		return "clocks 1 s apart"
	case c.sloppy:
		return "consistency; hints"
	case c.strict() && (c.r == copies || c.w == copies):
		return "availability; latency"
	case c.strict():
		return "availability of few"
	}
	return "consistency"
}

// simulate runs a day in a directory of its own.
func simulate(ctx context.Context, c *config, ch choice) (_ *day, err error) {
	dir := filepath.Join(c.dir, fmt.Sprint(ch))
	w, err := newWorld(c.fs, dir, c.nodes, ch)
	if err != nil {
		return nil, err
	}
	d := newDay(c, w)
	err = d.run(ctx)
	return d, errors.Join(err, w.close())
}

// reportTable prints what each R and W gives and takes.
func reportTable(ctx context.Context, c *config, w io.Writer) error {
	fmt.Fprintf(w, "%d nodes, N = %d, %d operations on %d keys a row:\n", c.nodes, copies, c.n, c.keys)
	for i, s := range schedule {
		sep := ", "
		if i%4 == 3 || i == len(schedule)-1 {
			sep = "\n"
		}
		fmt.Fprintf(w, "%.0f %% %s%s", 100*s.part, s.what, sep)
	}
	fmt.Fprintf(w, "\n%-12s%9s%9s%9s%9s%9s\n", "", "stale", "reads", "writes", "a read", "a write")
	fmt.Fprintf(w, "%-12s%9s%9s%9s%9s%9s  %s\n", "R  W", "reads", "answered", "answered", "takes", "takes", "what is given up")

	// The repairs of the row that most people choose are shown below.
	var shown []repair
	strict := 0
	for _, ch := range choices() {
		d, err := simulate(ctx, c, ch)
		if err != nil {
			return err
		}
		if ch.strict() {
			strict += d.tally.reads - d.tally.failedReads
		}
		if ch.r == 2 && ch.w == 2 && ch.strict() && shown == nil {
			shown = d.tally.repairs
		}
		d.tally.print(w, ch)
	}
	fmt.Fprintf(w, "law holds: no read of a strict quorum was stale, while clocks were in bounds\n\n")

	fmt.Fprintf(w, "%-26s%10s%14s%14s%12s\n", "anti-entropy, R = W = 2", "keys", "bytes sent", "a full copy", "ratio")
	for _, r := range shown {
		fmt.Fprintf(w, "%-26s%10d%14d%14d%10.0f %%\n", r.why, r.keys, r.bytes, r.full, 100*float64(r.bytes)/float64(max(r.full, 1)))
	}
	_, err := fmt.Fprint(w, "law holds: the roots of all replicas of a range are equal after the last repair,\n           and have each acknowledged write or a later one\n\n")
	return err
}

func (t *tally) print(w io.Writer, ch choice) {
	name := fmt.Sprintf("%d  %d", ch.r, ch.w)
	if ch.sloppy {
		name += " sloppy"
	}
	fmt.Fprintf(w, "%-12s%7.1f %%%7.1f %%%7.1f %%%6.0f ms%6.0f ms  %s\n", name,
		percent(t.stale, t.reads-t.failedReads), percent(t.reads-t.failedReads, t.reads), percent(t.writes-t.failedWrites, t.writes),
		mean(t.readTime, t.reads-t.failedReads), mean(t.writeTime, t.writes-t.failedWrites), ch.gives())
}

func percent(n, of int) float64 { return 100 * float64(n) / float64(max(of, 1)) }

// mean returns milliseconds.
func mean(d time.Duration, n int) float64 {
	return float64(d) / float64(max(n, 1)) / float64(time.Millisecond)
}
