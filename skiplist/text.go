// SPDX-License-Identifier: MIT

package skiplist

import (
	"fmt"
	"iter"
	"strings"
)

// writePairs writes the pairs of seq as fmt prints a map.
func writePairs[K, V any](b *strings.Builder, seq iter.Seq2[K, V]) {
	b.WriteString("map[")
	sep := ""
	for key, value := range seq {
		fmt.Fprintf(b, "%s%v:%v", sep, key, value)
		sep = " "
	}
	b.WriteByte(']')
}
