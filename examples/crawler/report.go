// SPDX-License-Identifier: MIT

package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"time"
)

// columns is the most columns of a strip.
const columns = 56

// print writes the report.
func (cr *crawling) print(w io.Writer) {
	end := cr.web.clock.read()
	fmt.Fprintf(w, "a web of %d pages on %d hosts, and a calendar without end; %d crawlers\n\n",
		cr.config.pages, hosts, cr.config.crawlers)
	list := cr.all()
	slices.SortFunc(list, func(a, b *crawler) int { return cmp.Compare(a.name, b.name) })

	// The pages over time.
	step := end/columns + 1
	most := 0.0
	strips := make([][]float64, len(list))
	for i, c := range list {
		strips[i] = make([]float64, columns)
		for _, at := range c.times {
			strips[i][at/step]++
			most = max(most, strips[i][at/step])
		}
	}
	fmt.Fprintf(w, "pages over %s, a full column is %.0f\n", end.Round(time.Second), most)
	for i, c := range list {
		note := ""
		if c == cr.dead {
			note = " dies"
		}
		fmt.Fprintf(w, "%-4s│%s│%s\n", c.name, spark(strips[i], most), note)
	}

	// What each knows.
	fmt.Fprintf(w, "\n%-8s %6s %8s %10s %10s %12s %12s\n", "crawler", "hosts", "pages", "addresses", "filter", "taken for", "predicted")
	fmt.Fprintf(w, "%-8s %6s %8s %10s %10s %12s\n", "", "", "", "asked for", "bytes", "seen")
	total := 0
	for _, c := range list {
		held := 0
		for _, q := range c.queues {
			if q.took > 0 {
				held++
			}
		}
		fmt.Fprintf(w, "%-8s %6d %8d %10d %10d %12d %12.1f\n", c.name, held, len(c.log), c.asked, c.filter.Bits()/8, c.errs, c.expected)
		total += len(c.log)
	}

	bytes := 0
	for address := range cr.audit {
		bytes += len(address) + 16
	}
	fmt.Fprintf(w, "%d pages; an exact list of %d addresses takes %d bytes and more\n", total, len(cr.audit), bytes)
	fmt.Fprintf(w, "links were written in %d ways, and lead to %d addresses\n\n", len(cr.ways), len(cr.audit))
}
