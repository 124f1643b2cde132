// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"fmt"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// points is how many points of vg a pixel has.
const points = 0.75

// newPanel returns a plot in the style of the pictures.
func newPanel(title, x, y string) *plot.Plot {
	p := plot.New()
	p.Title.Text = title
	p.X.Label.Text = x
	p.Y.Label.Text = y
	styles := []*text.Style{
		&p.Title.TextStyle, &p.X.Label.TextStyle, &p.Y.Label.TextStyle,
		&p.X.Tick.Label, &p.Y.Tick.Label, &p.Legend.TextStyle,
	}
	for _, s := range styles {
		s.Font.Variant = "Sans"
		s.Font.Size = fontSize * points
		s.Color = black
	}
	p.X.Padding = 2
	p.Y.Padding = 2
	p.Legend.ThumbnailWidth = 16
	p.Legend.Padding = 3
	p.Legend.Left = true // beside it a text may be longer than its font says
	p.Legend.Top = true
	return p
}

// render draws panels, rows of as many each, as one picture of the given height
// in pixels. Those of the first row have titles.
func render(height float64, panels ...[]*plot.Plot) ([]byte, error) {
	w := vg.Length(pixels * points)
	h := vg.Length(height * points)
	c := vgsvg.New(w, h)
	canvas := draw.New(c)
	canvas.FillPolygon(white, []vg.Point{{}, {X: w}, {X: w, Y: h}, {Y: h}})

	// The titles stand on one line, which those of plots do not.
	const pad, head = 8, 28
	titles := make([]string, len(panels[0]))
	for j, p := range panels[0] {
		titles[j] = p.Title.Text
		p.Title.Text = ""
	}

	tiles := draw.Tiles{
		Rows: len(panels), Cols: len(panels[0]), PadX: 2 * pad, PadY: pad,
		PadTop: head, PadBottom: pad, PadLeft: pad, PadRight: 2 * pad,
	}
	for i, row := range plot.Align(panels, tiles, canvas) {
		for j, at := range row {
			p := panels[i][j]
			p.Draw(at)
			if i == 0 {
				data := p.DataCanvas(at)
				canvas.FillText(p.Title.TextStyle, vg.Point{X: data.Center().X, Y: h - pad - 4}, titles[j])
			}
		}
	}

	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		return nil, err
	}
	return bytes.ReplaceAll(b.Bytes(), []byte("font-family:Liberation Sans;"), []byte("font-family:"+fonts+";")), nil
}

// A style is how a line is drawn.
type style struct {
	ink    ink
	width  vg.Length
	dashes []vg.Length
}

var (
	dashed = []vg.Length{5, 3}
	dotted = []vg.Length{1.5, 2.5}
)

// addLine adds a line, and its name to the legend unless that is empty.
func addLine(p *plot.Plot, name string, xys plotter.XYs, s style) error {
	l, err := plotter.NewLine(xys)
	if err != nil {
		return fmt.Errorf("line %q: %w", name, err)
	}
	l.Color = s.ink
	l.Width = s.width
	l.Dashes = s.dashes
	p.Add(l)
	if name != "" {
		p.Legend.Add(name, l)
	}
	return nil
}

// addMarks adds points, and their name to the legend unless that is empty.
func addMarks(p *plot.Plot, name string, xys plotter.XYs, shape draw.GlyphDrawer, c ink) error {
	m, err := plotter.NewScatter(xys)
	if err != nil {
		return fmt.Errorf("marks %q: %w", name, err)
	}
	m.GlyphStyle = draw.GlyphStyle{Color: c, Radius: 2.5, Shape: shape}
	p.Add(m)
	if name != "" {
		p.Legend.Add(name, m)
	}
	return nil
}

// A swatch is the color of an area in a legend.
type swatch struct{ ink }

// Thumbnail draws it.
func (s swatch) Thumbnail(c *draw.Canvas) {
	c.FillPolygon(s.ink, []vg.Point{c.Min, {X: c.Max.X, Y: c.Min.Y}, c.Max, {X: c.Min.X, Y: c.Max.Y}})
}

// addBars adds a bar of each weight, from x = 0 on, each width wide.
func addBars(p *plot.Plot, name string, weights []float64, width float64, c ink) {
	h := &plotter.Histogram{FillColor: c, Width: width}
	for i, w := range weights {
		x := float64(i) * width
		h.Bins = append(h.Bins, plotter.HistogramBin{Min: x, Max: x + width, Weight: w})
	}
	p.Add(h)
	p.Legend.Add(name, swatch{c})
}

// addText adds a text beside a point.
func addText(p *plot.Plot, x, y float64, s string, c ink) error {
	l, err := plotter.NewLabels(plotter.XYLabels{XYs: plotter.XYs{{X: x, Y: y}}, Labels: []string{s}})
	if err != nil {
		return fmt.Errorf("text %q: %w", s, err)
	}
	l.TextStyle[0].Font.Variant = "Sans"
	l.TextStyle[0].Font.Size = fontSize * points
	l.TextStyle[0].Color = c
	p.Add(l)
	return nil
}

// ticks returns ticks at values, with labels.
func ticks(format func(float64) string, values ...float64) plot.ConstantTicks {
	var list plot.ConstantTicks
	for _, v := range values {
		list = append(list, plot.Tick{Value: v, Label: format(v)})
	}
	return list
}

// plain returns v as a number.
func plain(v float64) string { return fmt.Sprintf("%g", v) }
