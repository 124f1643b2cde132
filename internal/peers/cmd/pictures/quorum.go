// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
)

// The replicas of which one is late, and the settings of hedging that are
// measured.
var (
	lateKinds = []string{"slow", "pauses"}
	hedges    = []string{"none", "default", "5ms"}
)

const (
	readCount = 10_000
	extraPart = "extra" // the panel of what hedging costs: requests a read
)

// readQuantiles are those that are measured.
var readQuantiles = []float64{0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999}

// nines returns where the axis of quantiles has q: with each step a tenth of
// the reads is left.
func nines(q float64) float64 { return -math.Log10(1 - q) }

// drawReads draws quantiles of the latency of reads.
func drawReads(file string) (picture, error) {
	t, err := readTable(file, 4)
	if err != nil {
		return picture{}, err
	}
	all, err := t.points()
	if err != nil {
		return picture{}, err
	}

	labels := []string{"no hedging", "default: from what each took", "after 5 ms"}
	styles := []style{{ink: orange, width: 2}, {ink: teal, width: 2}, {teal, 1.5, dashed}}
	var panels []*plot.Plot
	for i, title := range []string{"one of three replicas is 10 times slower", "one of three pauses, 1 time in 20"} {
		p := newPanel(title, "part of the reads that take at most so long", "")
		p.Y.Scale = plot.LogScale{}
		p.Y.Tick.Marker = ticks(func(v float64) string { return fmt.Sprintf("%g ms", v) }, 1, 2, 5, 10, 20, 50, 100)
		p.Y.Min = 1
		p.Y.Max = 200
		p.X.Min = 0
		p.X.Max = 3
		p.X.Tick.Marker = plot.ConstantTicks{{Value: nines(0.5), Label: "50 %"}, {Value: 1, Label: "90 %"}, {Value: 2, Label: "99 %"}, {Value: 3, Label: "99.9 %"}}
		for j, hedge := range hedges {
			var xys plotter.XYs
			for _, q := range all[series{lateKinds[i], hedge}] {
				xys = append(xys, plotter.XY{X: nines(q.X), Y: q.Y})
			}
			if err := addLine(p, labels[j], xys, styles[j]); err != nil {
				return picture{}, err
			}
		}
		panels = append(panels, p)
	}
	panels[0].Y.Label.Text = "latency of a read"
	panels[1].Legend = plot.NewLegend()

	svg, err := render(380, panels)
	return picture{
		title:   "Latencies of reads of three replicas, one of them late, with and without hedging",
		svg:     svg,
		caption: readCaption(all),
	}, err
}

// readCaption says what is to be seen.
func readCaption(all map[series]plotter.XYs) string {
	q := func(kind, hedge string, q float64) float64 { return at(all[series{kind, hedge}], q) }
	extra := func(kind, hedge string) float64 {
		return at(all[series{extraPart, kind}], float64(slices.Index(hedges, hedge)))
	}
	return fmt.Sprintf("%s reads of two of three replicas, in fake time; a replica takes 1 ms, and at random 1 ms more on the mean. Left, one takes "+
		"ten times as long, and the median is %.1f ms: a third replica that is asked after 5 ms makes it %.1f ms, for %.0f requests more in 100 "+
		"reads. The default waits for twice what a replica usually takes, so it helps only in the tail. Right, one pauses for 100 ms one "+
		"time in 20: the slowest of 100 reads takes %.0f ms, and with the default %.1f ms, for %.1f requests more in 100. The slowest of 500 "+
		"still takes %.0f ms: if by chance four of the last 32 answers were pauses, the default waits for the next one.",
		commas(readCount), q("slow", "none", 0.5), q("slow", "5ms", 0.5), 100*extra("slow", "5ms"),
		q("pauses", "none", 0.99), q("pauses", "default", 0.99), 100*extra("pauses", "default"),
		q("pauses", "default", 0.998))
}
