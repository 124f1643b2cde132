// SPDX-License-Identifier: MIT

package main

import (
	"math"
	"strings"
)

// bar returns a bar of width columns for v, of which most is a full one. It is
// exact to an eighth of a column.
func bar(v, most float64, width int) string {
	if most <= 0 {
		return ""
	}
	eighths := int(math.Round(v / most * float64(width) * 8))
	b := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		b += string([]rune("▏▎▍▌▋▊▉")[rest-1])
	}
	return b
}

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
