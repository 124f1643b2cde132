// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg/draw"

	"github.com/ashlar-go/ashlar/bloom"
)

const (
	filterKeys  = 100_000 // that a filter is made for
	filterSeeds = 4       // filters of each size, whose errors are added up
	absentKeys  = 500_000 // that each of them is asked for
	leastErrors = 20      // of a point that is drawn
	leastRate   = 1e-5
)

// A filterRun is what filters of one size did, by their number of keys.
type filterRun struct {
	bits     float64     // a key, when full
	measured plotter.XYs // the part of absent keys that it reports
	own      plotter.XYs // Rate, of the first of them
	textbook plotter.XYs // of a filter whose bits are anywhere
	full     float64     // measured, when it has the keys that it was made for
}

// runFilters adds keys to filters of rate p, up to twice as many as they were
// made for.
func runFilters(p float64) *filterRun {
	var filters []*bloom.Filter
	for i := range uint64(filterSeeds) {
		filters = append(filters, bloom.New(filterKeys, p, &bloom.Options{Seed: i * 0x9e3779b97f4a7c15}))
	}
	bits := float64(filters[0].Bits()) / filterKeys
	r := &filterRun{bits: bits}
	k := math.Round(bits * math.Ln2) // hashes of the textbook
	add := func(to *plotter.XYs, part, rate float64) {
		if rate >= leastRate {
			*to = append(*to, plotter.XY{X: part, Y: rate})
		}
	}

	const steps = 10 // until it is full
	for i := range 2 * steps {
		errors := 0
		for _, f := range filters {
			for j := range filterKeys / steps {
				f.AddUint64(uint64(i*filterKeys/steps + j))
			}
			for j := range absentKeys {
				if f.HasUint64(1<<40 + uint64(j)) {
					errors++
				}
			}
		}

		part := float64(i+1) / steps
		rate := float64(errors) / (filterSeeds * absentKeys)
		if errors >= leastErrors {
			add(&r.measured, part, rate)
		}
		if i+1 == steps {
			r.full = rate
		}
		add(&r.own, part, filters[0].Rate())
		add(&r.textbook, part, math.Pow(1-math.Exp(-k*part/bits), k))
	}
	return r
}

// drawRates draws the false positives of filters.
func drawRates() (picture, error) {
	p := newPanel(fmt.Sprintf("False positives of filters made for %s keys", commas(filterKeys)), "keys that were added, of those it was made for", "absent keys that are reported")
	p.Y.Scale = plot.LogScale{}
	p.Y.Min = leastRate
	p.Y.Max = 1
	p.Y.Tick.Marker = ticks(func(v float64) string { return fmt.Sprintf("%g %%", 100*v) }, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1)
	p.X.Min = 0
	p.X.Max = 2.4
	p.X.Tick.Marker = ticks(func(v float64) string { return fmt.Sprintf("%.0f %%", 100*v) }, 0, 0.5, 1, 1.5, 2)
	if err := addLine(p, "", plotter.XYs{{X: 1, Y: leastRate}, {X: 1, Y: 1}}, style{ink: silver, width: 1}); err != nil {
		return picture{}, err
	}

	// Three filters, with their legend once.
	var runs []*filterRun
	names := []string{"textbook: bits anywhere", "Rate, from the bits that are set", "measured"}
	for _, rate := range []float64{0.1, 0.01, 0.001} {
		r := runFilters(rate)
		runs = append(runs, r)
		if err := addLine(p, names[0], r.textbook, style{gray, 1, dashed}); err != nil {
			return picture{}, err
		}
		if err := addLine(p, names[1], r.own, style{ink: teal, width: 1.5}); err != nil {
			return picture{}, err
		}
		if err := addMarks(p, names[2], r.measured, draw.CircleGlyph{}, orange); err != nil {
			return picture{}, err
		}
		last := r.own[len(r.own)-1]
		if err := addText(p, last.X+0.04, last.Y*0.85, fmt.Sprintf("%.1f bits a key", r.bits), black); err != nil {
			return picture{}, err
		}
		names = make([]string, 3)
	}

	svg, err := render(400, []*plot.Plot{p})
	return picture{
		title: "False-positive rates over the number of keys, for three sizes of a filter",
		svg:   svg,
		caption: fmt.Sprintf("Filters made for %s keys, at rates of 10 %%, 1 %% and 0.1 %%, take %.1f, %.1f and %.1f bits a key. "+
			"When they have these keys they report %.2f %%, %.3f %% and %.4f %% of %d million absent ones; with twice as many keys, those of 1 %% "+
			"report %.1f %%. The points lie on Rate, which a filter computes from the bits that are set. For the planned number of keys the "+
			"textbook's formula is lower, since it has bits anywhere, and here those of a key share a cache line.",
			commas(filterKeys), runs[0].bits, runs[1].bits, runs[2].bits, 100*runs[0].full, 100*runs[1].full, 100*runs[2].full,
			filterSeeds*absentKeys/1_000_000, 100*at(runs[1].measured, 2)),
	}, err
}
