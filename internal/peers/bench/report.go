// SPDX-License-Identifier: MIT

package bench

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
)

// Write prints r as a table: a line for each implementation, then the verdict.
func (r *Result) Write(out io.Writer) {
	w := r.Workload
	fmt.Fprintf(out, "%s\n", w.Name)
	sum, names := r.writeTable(out)
	if sum > 0 {
		fmt.Fprintf(out, "  floor   ours/(%s) %.2f\n", strings.Join(names, " + "), r.Ours.Median()/sum)
	}
	for _, p := range r.Peers {
		if p.Note != "" {
			fmt.Fprintf(out, "  (%s)  %s\n", p.Name, p.Note)
		}
	}
	v, reason := r.Judge()
	fmt.Fprintf(out, "  fair    %s\n  %-7s %s\n\n", w.Why, v, reason)
}

// writeTable prints the figures and returns the sum of the floors.
func (r *Result) writeTable(out io.Writer) (sum float64, names []string) {
	w, best := r.Workload, r.Best()
	t := newTable(tabwriter.AlignRight)
	t.row("", w.unit(), "ours/it", "quartiles", "B/op", "allocs/op", "admitted")
	line := func(s *Series, label string, ratio ...string) {
		allocs, bytes, share := s.PerOp()
		admitted := ""
		if w.Expect != Any {
			admitted = figure(share)
		}
		t.row(label, fmt.Sprintf("%.4g", s.Median()), ratio[0], ratio[1], figure(bytes), figure(allocs), admitted)
	}
	line(&r.Ours, r.Ours.Name, "", "")
	for i := range r.Peers {
		p := &r.Peers[i]
		label := p.Name
		if p.Note != "" {
			label = "(" + label + ")"
		}
		if p == best {
			label = "* " + label
		}
		s := r.RatioTo(p)
		line(p, label, fmt.Sprintf("%.3f", s.Median), fmt.Sprintf("%.3f..%.3f", s.Q1, s.Q3))
	}
	for i := range r.Floors {
		f := &r.Floors[i]
		t.row("floor: "+f.Name, fmt.Sprintf("%.4g", f.Median()), "", "", "", "", "")
		sum += f.Median()
		names = append(names, f.Name)
	}
	t.flush(out)
	return sum, names
}

// A table aligns its cells.
type table struct {
	text bytes.Buffer
	tabs *tabwriter.Writer
}

func newTable(flags uint) *table {
	t := &table{}
	t.tabs = tabwriter.NewWriter(&t.text, 0, 0, 2, ' ', flags)
	return t
}

func (t *table) row(cells ...string) { fmt.Fprintln(t.tabs, strings.Join(cells, "\t")+"\t") }

// flush prints the table without the spaces that end lines.
func (t *table) flush(out io.Writer) {
	t.tabs.Flush()
	for line := range strings.Lines(t.text.String()) {
		fmt.Fprintln(out, strings.TrimRight(line, " \n"))
	}
}

// Summary prints a line for each result, in order.
func Summary(out io.Writer, results []*Result) {
	t := newTable(0)
	t.row("workload", "ours", "peer", "unit", "verdict", "")
	for _, r := range results {
		v, reason := r.Judge()
		peer := "-"
		if best := r.Best(); best != nil {
			peer = fmt.Sprintf("%.4g", best.Median())
		}
		t.row(r.Workload.Name, fmt.Sprintf("%.4g", r.Ours.Median()), peer, r.Workload.unit(), string(v), reason)
	}
	t.flush(out)
}

// figure prints x with two decimals, and none if it is a whole number as nearly as that tells.
func figure(x float64) string {
	s := strconv.FormatFloat(x, 'f', 2, 64)
	return strings.TrimSuffix(s, ".00")
}

// writeRaw prints a sample in the format of Go benchmarks, which benchstat reads.
func writeRaw(out io.Writer, w *Workload, impl string, s Sample) {
	ops := float64(max(s.Ops, 1))
	fmt.Fprintf(out, "Benchmark%s/impl=%s\t%d\t%.6g %s\t%.4g B/op\t%.4g allocs/op\n",
		w.Name, strings.ReplaceAll(impl, " ", "_"), s.Ops, s.Value, w.unit(), float64(s.Memory)/ops, float64(s.Allocs)/ops)
}
