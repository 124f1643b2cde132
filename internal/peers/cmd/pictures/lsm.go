// SPDX-License-Identifier: MIT

package main

import (
	"fmt"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
)

// The columns of the figures: what was committed and what merges have written
// since the beginning, and the bytes of each level.
const (
	committed = iota
	merged
	level0
	levelColumns = level0 + 7
)

// drawLevels draws the bytes of the levels of a database.
func drawLevels(file string) (picture, error) {
	t, err := readTable(file, levelColumns)
	if err != nil {
		return picture{}, err
	}
	levels := make([]plotter.XYs, levelColumns-level0)
	used := make([]bool, len(levels))
	var last []float64
	for _, cells := range t {
		v, err := numbers(cells)
		if err != nil {
			return picture{}, err
		}
		for i := range levels {
			levels[i] = append(levels[i], plotter.XY{X: v[committed] / (1 << 20), Y: v[level0+i] / (1 << 10)})
			used[i] = used[i] || v[level0+i] > 0
		}
		last = v
	}

	var rows [][]*plot.Plot
	for i, xys := range levels {
		if !used[i] {
			continue
		}
		p, err := levelPanel(i, xys)
		if err != nil {
			return picture{}, err
		}
		rows = append(rows, []*plot.Plot{p})
	}
	rows[0][0].Title.Text = "Bytes of tables by level while a database is filled, in KiB"
	rows[len(rows)-1][0].X.Label.Text = "MiB committed"
	rows[len(rows)-1][0].X.Tick.Marker = ticks(plain, 0, 1, 2, 3, 4, 5, 6, 7, 8)

	svg, err := render(480, rows...)
	deepest := last[len(last)-1]
	return picture{
		title: "Bytes of tables in the levels of a database while it is filled",
		svg:   svg,
		caption: fmt.Sprintf("A database whose limits are a thousandth of the usual ones, filled with random keys: tables of 16 KiB come to level 0, and "+
			"four of them are merged into the next level in use. That is the last one, level 6, until a tenth of it makes a level of its own, "+
			"of 64 KiB at least: level 5, and then level 4. After %.1f MiB the last level has %.0f %% of all bytes, and merges have written each "+
			"byte %.1f times. The axis counts what was committed, and merges end before the next commit, so the speed of a machine changes "+
			"nothing.",
			last[committed]/(1<<20), 100*deepest/sum(last[level0:]), last[merged]/last[committed]),
	}, err
}

// levelPanel draws one level.
func levelPanel(i int, xys plotter.XYs) (*plot.Plot, error) {
	p := newPanel("", "", fmt.Sprintf("level %d", i))
	p.X.Tick.Marker = ticks(func(float64) string { return "" }, 0, 1, 2, 3, 4, 5, 6, 7, 8)
	area := append(plotter.XYs{{X: xys[0].X, Y: 0}}, corners(xys)...)
	area = append(area, plotter.XY{X: xys[len(xys)-1].X, Y: 0})
	fill, err := plotter.NewPolygon(area)
	if err != nil {
		return nil, err
	}

	fill.Color = pale
	fill.LineStyle.Color = teal
	fill.LineStyle.Width = 1
	p.Add(fill)
	p.Y.Min = 0
	p.X.Min = 0
	return p, nil
}

// corners returns xys without the points within horizontal lines.
func corners(xys plotter.XYs) (list plotter.XYs) {
	for i, p := range xys {
		if i == 0 || i == len(xys)-1 || p.Y != xys[i-1].Y || p.Y != xys[i+1].Y {
			list = append(list, p)
		}
	}
	return list
}

// sum returns the sum of a list.
func sum(list []float64) (total float64) {
	for _, v := range list {
		total += v
	}
	return total
}
