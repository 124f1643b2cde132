// SPDX-License-Identifier: MIT

package main

import (
	"fmt"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg/draw"
)

// The workloads, and the capacities that are measured. Of the keys, the caption
// tells the ratio at one capacity.
var (
	hitWorkloads  = []string{"zipf0.8", "scan"}
	hitCapacities = []int{256, 512, 1024, 2048, 4096, 8192, 16384, 32768}
)

const hitTold = 2048

// A contestant is a cache or a policy, by its name in the comparison.
type contestant struct {
	name  string
	label string
	style style
	shape draw.GlyphDrawer // of a peer, which has marks and no line
}

var contestants = []contestant{
	{"OPT", "optimum: knows the future", style{ink: silver, width: 3}, nil},
	{"ours", "TinyLFU, the default", style{ink: teal, width: 2}, nil},
	{"ours LFU", "LFU", style{ink: teal, width: 1, dashes: dashed}, nil},
	{"ours LRU", "LRU", style{ink: orange, width: 2}, nil},
	{"ours FIFO", "FIFO", style{ink: orange, width: 1, dashes: dashed}, nil},
	{"ours random", "Random", style{ink: orange, width: 1, dashes: dotted}, nil},
	{"otter", "otter", style{ink: black}, draw.RingGlyph{}},
	{"S3-FIFO", "S3-FIFO", style{ink: black}, draw.CrossGlyph{}},
}

// drawHits draws hit ratios over capacities.
func drawHits(file string) (picture, error) {
	t, err := readTable(file, 4)
	if err != nil {
		return picture{}, err
	}
	hits, err := t.points()
	if err != nil {
		return picture{}, err
	}

	var panels []*plot.Plot
	for i, title := range []string{"popular keys (Zipf)", "popular keys, and 3 requests in 10 are a scan"} {
		p := newPanel(title, "capacity in entries", "")
		p.X.Scale = plot.LogScale{}
		p.X.Tick.Marker = ticks(func(v float64) string { return commas(int(v)) }, 256, 1024, 4096, 16384)
		p.Y.Tick.Marker = ticks(func(v float64) string { return fmt.Sprintf("%.0f %%", 100*v) }, 0, 0.2, 0.4, 0.6, 0.8)
		for _, c := range contestants {
			xys := hits[series{hitWorkloads[i], c.name}]
			add := func() error { return addLine(p, c.label, xys, c.style) }
			if c.shape != nil {
				add = func() error { return addMarks(p, c.label, xys, c.shape, c.style.ink) }
			}
			if err := add(); err != nil {
				return picture{}, err
			}
		}
		p.Y.Min = 0
		p.Y.Max = 0.9
		panels = append(panels, p)
	}

	panels[0].Y.Label.Text = "hits"
	panels[1].Legend = plot.NewLegend()

	svg, err := render(380, panels)
	percent := func(workload, name string) float64 { return 100 * at(hits[series{workload, name}], hitTold) }
	return picture{
		title: "Hit ratios over capacities, of all policies and two other caches",
		svg:   svg,
		caption: fmt.Sprintf("400,000 requests for 65,536 keys, of which some are far more popular than others (Zipf, exponent 0.8 left "+
			"and 0.9 right). With %s entries an exact LRU answers %.1f %% of them and TinyLFU, the default of Cache, %.1f %%; otter has %.1f %%. "+
			"On the right three requests in ten are for keys that never come back, as a scan makes them: LRU has %.1f %%, TinyLFU %.1f %%, "+
			"of %.1f %% that are possible. Each cache has one shard; S3-FIFO is written from its paper.",
			commas(hitTold), percent("zipf0.8", "ours LRU"), percent("zipf0.8", "ours"), percent("zipf0.8", "otter"),
			percent("scan", "ours LRU"), percent("scan", "ours"), percent("scan", "OPT")),
	}, err
}
