// SPDX-License-Identifier: MIT

package main

import (
	"math"
	"strings"
)

// spark returns a column for each value, of which most is a full one. What is
// not 0 is seen.
func spark(values []float64, most float64) string {
	levels := []rune(" ▁▂▃▄▅▆▇█")
	var b strings.Builder
	for _, v := range values {
		i := 0
		if v > 0 && most > 0 {
			i = min(max(int(math.Round(v/most*8)), 1), 8)
		}
		b.WriteRune(levels[i])
	}
	return b.String()
}

// bar returns a bar of so many columns for v, of which most is a full one.
func bar(v, most, width int) string {
	if most <= 0 {
		return ""
	}
	return strings.Repeat("█", int(int64(v)*int64(width)/int64(most)))
}

// short returns a name that fits its column.
func short(name string) string {
	if r := []rune(name); len(r) > 25 {
		return string(r[:24]) + "…"
	}
	return name
}
