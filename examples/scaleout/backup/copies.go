// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"io"
	"time"
)

// A copying says when what was committed is somewhere else.
type copying struct {
	name     string
	interval time.Duration // of copies; 0: before the commit is acknowledged
}

var copyings = []copying{
	{"flush after each commit", 0},
	{"a copy every 5 minutes", 5 * time.Minute},
	{"a copy every hour", time.Hour},
	{"a copy each night", 24 * time.Hour},
}

// losses returns for how long commits are lost that were acknowledged, if the
// machine is lost just before a commit: at the worst time, and on average.
func (c copying) losses() (worst, mean time.Duration) {
	const days = 2
	var sum time.Duration
	n := 0
	for at := every; at <= days*24*time.Hour; at += every {
		lost := time.Duration(0)
		if c.interval > 0 {
			last := (at - 1) / c.interval * c.interval // of the copies before
			lost = at - last
		}
		worst = max(worst, lost)
		sum += lost
		n++
	}
	return worst, sum / time.Duration(n)
}

// reportCopies compares the RPO of copies that are made now and then.
func reportCopies(_ context.Context, _ *config, w io.Writer) error {
	fmt.Fprintf(w, "what is lost with the machine (RPO), of a commit each %v\n", every)
	for _, c := range copyings {
		worst, mean := c.losses()
		if worst != c.interval {
			return fmt.Errorf("law broken: %s: at worst %v are lost, want %v", c.name, worst, c.interval)
		}
		fmt.Fprintf(w, "  %-24s at worst %9v, %4d commits; on average %v\n", c.name, worst, worst/every, mean.Round(time.Minute/2))
	}
	_, err := fmt.Fprintln(w)
	return err
}
