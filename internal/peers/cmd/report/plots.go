// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"fmt"
	"html"
	"image/color"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// The two colors of the pictures, which differ in lightness too.
var (
	ahead  = color.RGBA{R: 0x1f, G: 0x6f, B: 0x8b, A: 0xff}
	behind = color.RGBA{R: 0xd1, G: 0x49, B: 0x00, A: 0xff}
)

// comparison draws every measured ratio as a dot, a line a package, on a
// logarithmic scale: left of 1 ours is ahead.
func comparison(runs []*pkgRun) ([]byte, error) {
	p := plot.New()
	p.Title.Text = "Time or memory, ours over the best peer (left of 1: ours is ahead)"
	p.X.Scale = plot.LogScale{}
	p.X.Tick.Marker = plot.ConstantTicks(ratioTicks)

	var names []string
	for i, r := range slices.Backward(runs) {
		y := float64(len(runs) - 1 - i)
		names = append(names, r.p.name)
		var good, bad plotter.XYs
		for _, x := range r.rows {
			switch {
			case x.peer == "" || x.ratio <= 0:
			case x.ratio <= 1:
				good = append(good, plotter.XY{X: x.ratio, Y: y})
			default:
				bad = append(bad, plotter.XY{X: x.ratio, Y: y})
			}
		}
		if err := addDots(p, good, ahead); err != nil {
			return nil, err
		}
		if err := addDots(p, bad, behind); err != nil {
			return nil, err
		}
	}
	p.NominalY(names...)

	one, err := plotter.NewLine(plotter.XYs{{X: 1, Y: -0.5}, {X: 1, Y: float64(len(runs)) - 0.5}})
	if err != nil {
		return nil, err
	}
	one.Color = color.Gray{Y: 0x80}
	p.Add(one)
	p.X.Min = 0.003
	p.X.Max = 5

	w, err := p.WriterTo(18*vg.Centimeter, 9*vg.Centimeter, "svg")
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	_, err = w.WriteTo(&b)
	return b.Bytes(), err
}

var ratioTicks = []plot.Tick{
	{Value: 0.003, Label: "1/300"},
	{Value: 0.01, Label: "1/100"},
	{Value: 0.03, Label: "1/30"},
	{Value: 0.1, Label: "1/10"},
	{Value: 0.25, Label: "1/4"},
	{Value: 0.5, Label: "1/2"},
	{Value: 1, Label: "1"},
	{Value: 2, Label: "2"},
	{Value: 4, Label: "4"},
}

// addDots adds points of one color.
func addDots(p *plot.Plot, points plotter.XYs, c color.Color) error {
	if len(points) == 0 {
		return nil
	}
	dots, err := plotter.NewScatter(points)
	if err != nil {
		return err
	}
	dots.GlyphStyle = draw.GlyphStyle{Color: c, Radius: vg.Points(2.5), Shape: draw.CircleGlyph{}}
	p.Add(dots)
	return nil
}

// Sizes of a terminal in SVG units.
const (
	charWidth  = 7.25
	lineHeight = 16
	margin     = 14
	maxLines   = 44
)

// terminal draws the output of a command as a terminal shows it.
func terminal(command, output string) []byte {
	lines := strings.Split(strings.TrimRight(output, "\n"), "\n")
	lines = lines[:min(len(lines), maxLines)]
	lines = slices.Concat([]string{"$ " + command, ""}, lines)
	width := 0
	for _, l := range lines {
		width = max(width, len([]rune(l)))
	}

	var b strings.Builder
	w := float64(width)*charWidth + 2*margin
	h := float64(len(lines)*lineHeight + 2*margin)
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f">`+"\n", w, h, w, h)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" rx="6" fill="#16212b"/>`+"\n")
	fmt.Fprintf(&b, `<g font-family="ui-monospace,Menlo,Consolas,DejaVu Sans Mono,monospace" font-size="12" fill="#dbe5ec" xml:space="preserve">`+"\n")
	for i, l := range lines {
		fill := ""
		if i == 0 {
			fill = ` fill="#7fd1b9"`
		}
		fmt.Fprintf(&b, `<text x="%d" y="%d"%s>%s</text>`+"\n", margin, margin+12+i*lineHeight, fill, html.EscapeString(l))
	}
	b.WriteString("</g>\n</svg>\n")
	return []byte(b.String())
}
