// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"
)

// reportLeaders prints the strip of one way to replicate, and the table of all.
func reportLeaders(ctx context.Context, c *config, w io.Writer) error {
	var shown *simulation
	var rows []*simulation
	for _, mode := range modes {
		s := newSimulation(c, mode)
		if err := s.run(ctx); err != nil {
			return err
		}
		rows = append(rows, s)
		if mode == c.mode {
			shown = s
		}
	}
	fmt.Fprintf(w, "%d nodes, %v, a lease of %v, replication by %s\n", c.nodes, runTime, ttl, c.mode)
	for _, f := range c.schedule {
		fmt.Fprintf(w, "  %s\n", f)
	}
	shown.printStrip(w)

	fmt.Fprintf(w, "%-12s%8s%12s%15s%13s%18s\n", "replication", "acked", "lost (RPO)", "follower lags", "refused old", "primes")
	for _, s := range rows {
		refused := 0
		for _, n := range s.nodes {
			refused += n.replica.refused
		}
		primes := fmt.Sprint(s.primes)
		if s.done*chunkSize < limit {
			primes = fmt.Sprintf("%d of %d chunks", s.done, limit/chunkSize)
		}
		fmt.Fprintf(w, "%-12s%8d%12d%15d%13d%18s\n", s.mode, len(s.acked), s.lost(), s.stale, refused, primes)
	}

	// How long nobody could write.
	fmt.Fprintf(w, "\n%-26s", "time to a write (RTO)")
	for _, mode := range modes {
		fmt.Fprintf(w, "%10s", mode)
	}
	fmt.Fprintln(w)
	for i, o := range rows[0].outages {
		fmt.Fprintf(w, "%-26s", o.fault)
		for _, s := range rows {
			fmt.Fprintf(w, "%10s", s.recovery(i))
		}
		fmt.Fprintln(w)
	}
	return verdict(w, rows)
}

// recovery returns the RTO of outage i.
func (s *simulation) recovery(i int) string {
	switch {
	case i >= len(s.outages):
		return "-"
	case s.outages[i].open:
		return "never"
	}
	o := s.outages[i]
	return (time.Duration(o.to-o.from) * tick).String()
}

// printStrip prints what each node was over the minute.
func (s *simulation) printStrip(w io.Writer) {
	columns := steps(runTime) / columnSteps
	var ruler strings.Builder
	for i := 0; i < columns; i += 10 {
		fmt.Fprintf(&ruler, "%-10s", fmt.Sprintf("%ds", i*columnSteps*int(tick/time.Millisecond)/1000))
	}
	fmt.Fprintf(w, "\n      %s\n", strings.TrimRight(ruler.String(), " "))
	for i := range s.strips {
		fmt.Fprintf(w, "n%d   │%s│\n", i+1, &s.strips[i])
	}
	fmt.Fprintf(w, "term  %s\n", &s.terms)
	fmt.Fprint(w, "L leads, F follows, x is dead, z sleeps, · reaches no majority\n\n")
}

// verdict prints which laws have held.
func verdict(w io.Writer, rows []*simulation) error {
	leaders, acked := 0, 0
	sums := "no chunk is counted twice"
	all := true
	for _, s := range rows {
		all = all && s.done*chunkSize == limit
		leaders += len(s.law.tokens)
		if s.mode != "async" {
			acked += len(s.acked)
		}
	}
	fmt.Fprintf(w, "\nlaw holds: of %d leaders no two at once, and tokens grow from one to the next;\n", leaders)
	fmt.Fprintf(w, "           sync and majority lost none of %d acknowledged writes;\n", acked)
	if all {
		sums += fmt.Sprintf(", and all of them make %d primes", sieve(limit))
	}
	_, err := fmt.Fprintf(w, "           %s\n\n", sums)
	return err
}
