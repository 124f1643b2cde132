// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"

	"gonum.org/v1/plot/plotter"
)

// A table has figures that were measured before: lines of a file with columns
// between tabs. A line that begins with # says what they are.
type table [][]string

// readTable reads a file whose lines have so many columns.
func readTable(name string, columns int) (table, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read

	var t table
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		cells := strings.Split(lines.Text(), "\t")
		if len(cells) != columns {
			return nil, fmt.Errorf("%s: %d columns, want %d: %q", name, len(cells), columns, lines.Text())
		}
		t = append(t, cells)
	}
	if len(t) == 0 && lines.Err() == nil {
		return nil, fmt.Errorf("%s: no figures", name)
	}
	return t, lines.Err()
}

// numbers parses the cells of a line.
func numbers(cells []string) ([]float64, error) {
	list := make([]float64, len(cells))
	for i, c := range cells {
		v, err := strconv.ParseFloat(c, 64)
		if err != nil {
			return nil, err
		}
		list[i] = v
	}
	return list, nil
}

// A series is named points of a panel.
type series struct{ panel, name string }

// points returns the points of each series. Columns are panel, name, x and y.
func (t table) points() (map[series]plotter.XYs, error) {
	all := map[series]plotter.XYs{}
	for _, cells := range t {
		xy, err := numbers(cells[2:4])
		if err != nil {
			return nil, err
		}
		s := series{cells[0], cells[1]}
		all[s] = append(all[s], plotter.XY{X: xy[0], Y: xy[1]})
	}
	return all, nil
}

// at returns the y of the point with that x.
func at(xys plotter.XYs, x float64) float64 {
	for _, p := range xys {
		if p.X == x {
			return p.Y
		}
	}
	panic(fmt.Sprintf("no point at %g", x))
}
