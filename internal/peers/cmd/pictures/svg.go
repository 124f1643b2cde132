// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"html"
	"image/color"
	"math"
	"strconv"
	"strings"
)

// An ink is a color of the pictures. Teal is what goes well and orange what
// does not, or what the picture is about; they differ in lightness, too.
type ink color.RGBA

var (
	teal   = ink{0x1f, 0x6f, 0x8b, 0xff}
	pale   = ink{0xbc, 0xd7, 0xe0, 0xff} // a pale teal
	orange = ink{0xd1, 0x49, 0x00, 0xff}
	peach  = ink{0xf6, 0xcf, 0xb8, 0xff} // a pale orange
	gray   = ink{0x80, 0x80, 0x80, 0xff}
	silver = ink{0xd8, 0xd8, 0xd8, 0xff}
	black  = ink{0x22, 0x22, 0x22, 0xff}
	white  = ink{0xff, 0xff, 0xff, 0xff}
	none   = ink{}
)

// RGBA makes an ink a [color.Color].
func (i ink) RGBA() (r, g, b, a uint32) { return color.RGBA(i).RGBA() }

// String returns the color as SVG has it.
func (i ink) String() string {
	if i == none {
		return "none"
	}
	return fmt.Sprintf("#%02x%02x%02x", i.R, i.G, i.B)
}

const (
	fonts    = "Helvetica,Arial,Liberation Sans,sans-serif"
	code     = "ui-monospace,Menlo,Consolas,DejaVu Sans Mono,monospace"
	pixels   = 680 // width of a picture
	fontSize = 12
)

// A drawing is an SVG that is being written. Lengths are pixels from the upper
// left corner.
type drawing struct{ b strings.Builder }

// newDrawing returns a drawing of the given height, on a white ground.
func newDrawing(height float64) *drawing {
	d := &drawing{}
	fmt.Fprintf(&d.b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %s" width="%d" height="%s" font-family="%s" font-size="%d">`+"\n",
		pixels, num(height), pixels, num(height), fonts, fontSize)
	d.rect(0, 0, pixels, height, white, none)
	return d
}

// bytes ends the drawing.
func (d *drawing) bytes() []byte { return []byte(d.b.String() + "</svg>\n") }

// rect draws a rectangle.
func (d *drawing) rect(x, y, w, h float64, fill, stroke ink) {
	fmt.Fprintf(&d.b, `<rect x="%s" y="%s" width="%s" height="%s" fill="%v"%s/>`+"\n", num(x), num(y), num(w), num(h), fill, outline(stroke))
}

// line draws a straight line.
func (d *drawing) line(x1, y1, x2, y2, width float64, stroke ink) {
	fmt.Fprintf(&d.b, `<path d="M%s %sL%s %s" stroke="%v" stroke-width="%s"/>`+"\n", num(x1), num(y1), num(x2), num(y2), stroke, num(width))
}

// circle draws a circle.
func (d *drawing) circle(x, y, r float64, fill, stroke ink) {
	fmt.Fprintf(&d.b, `<circle cx="%s" cy="%s" r="%s" fill="%v"%s/>`+"\n", num(x), num(y), num(r), fill, outline(stroke))
}

// arc draws a part of a circle, between two parts of its circumference from the
// top on, clockwise.
func (d *drawing) arc(x, y, r, from, to, width float64, stroke ink) {
	at := func(part float64) string {
		sin, cos := math.Sincos(2 * math.Pi * part)
		return num(x+r*sin) + " " + num(y-r*cos)
	}
	large := 0
	if to-from > 0.5 {
		large = 1
	}
	fmt.Fprintf(&d.b, `<path d="M%sA%s %s 0 %d 1 %s" fill="none" stroke="%v" stroke-width="%s"/>`+"\n",
		at(from), num(r), num(r), large, at(to), stroke, num(width))
}

// The anchors of a text: where its x is.
const (
	start  = "start"
	middle = "middle"
	end    = "end"
)

// text writes s, its base line at y.
func (d *drawing) text(x, y float64, anchor string, fill ink, s string) {
	fmt.Fprintf(&d.b, `<text x="%s" y="%s" text-anchor="%s" fill="%v">%s</text>`+"\n", num(x), num(y), anchor, fill, html.EscapeString(s))
}

// mono writes s, its middle at x, as code is.
func (d *drawing) mono(x, y float64, fill ink, s string) {
	fmt.Fprintf(&d.b, `<text x="%s" y="%s" text-anchor="middle" fill="%v" font-family="%s">%s</text>`+"\n", num(x), num(y), fill, code, html.EscapeString(s))
}

// outline returns the attribute of a line around a shape, if it has one.
func outline(stroke ink) string {
	if stroke == none {
		return ""
	}
	return fmt.Sprintf(` stroke="%v"`, stroke)
}

// num returns x to a tenth of a pixel.
func num(x float64) string {
	return strconv.FormatFloat(math.Round(x*10)/10+0, 'f', -1, 64) // +0: never -0
}

// commas returns n with commas between its thousands.
func commas(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
