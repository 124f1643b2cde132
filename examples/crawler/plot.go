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
