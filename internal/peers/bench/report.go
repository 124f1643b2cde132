// SPDX-License-Identifier: MIT

package bench

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// Write prints r as a table: a line for each implementation, then the verdict.
func (r *Result) Write(out io.Writer) {
	w := r.Workload
	fmt.Fprintf(out, "%s\n", w.Name)
	r.writeTable(out)

	for _, s := range slices.Concat([]Series{r.Ours}, r.Peers) {
		if s.Note != "" {
			fmt.Fprintf(out, "  (%s)  %s\n", s.Name, s.Note)
		}
		if s.Beside != "" {
			fmt.Fprintf(out, "  beside  %s: %s\n", s.Name, s.Beside)
		}
	}
	v, reason := r.Judge()
	fmt.Fprintf(out, "  fair    %s\n  %-7s %s\n\n", w.Why, v, reason)
}

// writeTable prints the figures.
func (r *Result) writeTable(out io.Writer) {
	w := r.Workload
	t := newTable(tabwriter.AlignRight)
	t.row("", w.unit(), "ours/it", "interval", "B/op", "allocs/op", "admitted")
	line := func(s *Series, label, ratio, interval string) {
		allocs, bytes, share := s.PerOp()
		admitted := ""
		if w.Expect != Any {
			admitted = figure(share)
		}
		t.row(label, fmt.Sprintf("%.4g", s.Median()), ratio, interval, figure(bytes), figure(allocs), admitted)
	}

	line(&r.Ours, r.Ours.Name, "", "")
	best := r.Best()
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
		line(p, label, fmt.Sprintf("%.3f", s.Median), fmt.Sprintf("%.3f..%.3f", s.Low, s.High))
	}

	// Parts of the work, each beside the whole.
	for i := range r.Floors {
		f := &r.Floors[i]
		share := fmt.Sprintf("%.2f", r.Ours.Median()/f.Median())
		t.row("part: "+f.Name, fmt.Sprintf("%.4g", f.Median()), share, "", "", "", "")
	}
	t.flush(out)
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

// Summary prints a line for each result: first those that failed, then those
// in which a peer is ahead, then those that are open, then the others.
func Summary(out io.Writer, results []*Result) {
	sorted := slices.Clone(results)
	slices.SortStableFunc(sorted, func(a, b *Result) int { return cmp.Compare(a.place(), b.place()) })

	t := newTable(0)
	t.row("workload", "ours", "peer", "unit", "verdict", "")
	for _, r := range sorted {
		v, reason := r.Judge()
		peer := "-"
		if best := r.Best(); best != nil {
			peer = fmt.Sprintf("%.4g", best.Median())
		}
		t.row(r.Workload.Name, fmt.Sprintf("%.4g", r.Ours.Median()), peer, r.Workload.unit(), string(v), reason+r.floor())
	}
	t.flush(out)
}

// floor returns what the parts of ours take alone, together, which bounds ours
// from below.
func (r *Result) floor() string {
	if len(r.Floors) == 0 {
		return ""
	}
	sum := 0.0
	names := make([]string, len(r.Floors))
	for i := range r.Floors {
		sum += r.Floors[i].Median()
		names[i] = r.Floors[i].Name
	}
	return fmt.Sprintf("; floor %.4g (%s)", sum, strings.Join(names, " + "))
}

// place returns where r stands in a summary: what needs a look comes first.
func (r *Result) place() int {
	v, _ := r.Judge()
	best := r.Best()
	switch {
	case v == Invalid:
		return 0
	case v == Miss:
		return 1
	case best != nil && r.RatioTo(best).Median > 1:
		return 2
	case v == Unsure:
		return 3
	}
	return 4
}

// figure prints x with two decimals, and none if it is a whole number as nearly
// as that tells.
func figure(x float64) string {
	s := strconv.FormatFloat(x, 'f', 2, 64)
	return strings.TrimSuffix(s, ".00")
}

// writeRaw prints a sample in the format of Go benchmarks, which benchstat
// reads.
func writeRaw(out io.Writer, w *Workload, impl string, s Sample) {
	ops := float64(max(s.Ops, 1))
	fmt.Fprintf(out, "Benchmark%s/impl=%s\t%d\t%.6g %s\t%.4g B/op\t%.4g allocs/op\n",
		w.Name, strings.ReplaceAll(impl, " ", "_"), s.Ops, s.Value, w.unit(), float64(s.Memory)/ops, float64(s.Allocs)/ops)
}
