// SPDX-License-Identifier: MIT

package consistenthash

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
)

// check panics if an invariant of the implementation notes does not hold.
// It runs only under the tag invariants.
func (s *Snapshot) check() {
	// Count the points of each node, which are in order.
	last := len(s.points) - 1
	counts := make([]int32, len(s.nodes))
	for i := range last {
		counts[s.owners[i]]++
		if i > 0 && comparePoints(point{s.points[i-1], s.owners[i-1]}, point{s.points[i], s.owners[i]}) > 0 {
			panic(fmt.Sprintf("consistenthash: I2 violated: point %d is out of order", i))
		}
	}

	for i, name := range s.names {
		member := s.counts[i] > 0 || s.nodes[i].Weight == NoShare
		if name != s.nodes[i].Name || i > 0 && s.names[i-1] >= name || !member {
			panic(fmt.Sprintf("consistenthash: I1 violated: node %d is %q with %d points", i, name, s.counts[i]))
		}
	}
	if !slices.Equal(counts, s.counts) || s.points[last] != math.MaxUint64 || s.owners[last] != s.owners[0] {
		panic(fmt.Sprintf("consistenthash: I2 violated: %v points of %v", counts, s.counts))
	}

	// Count the zones with more than r nodes anew.
	s.checkTable()
	for r, n := range s.larger {
		size := make([]int, s.zones)
		for i, z := range s.zoneOf {
			if s.counts[i] > 0 {
				size[z]++
			}
		}
		more := int32(0)
		for _, k := range size {
			if k > r {
				more++
			}
		}
		if more != n {
			panic(fmt.Sprintf("consistenthash: I4 violated: %d zones have more than %d nodes, counted %d", more, r, n))
		}
	}
}

// checkTable compares the first and the last hash of each bucket with a binary
// search.
func (s *Snapshot) checkTable() {
	ends := []uint64{0, math.MaxUint64}
	for b := 1; b < len(s.table); b++ {
		h, rest := bits.Div64(uint64(b), 0, uint64(len(s.table)))
		if rest > 0 {
			h++
		}
		ends = append(ends, h-1, h)
	}
	for _, h := range ends {
		i, _ := slices.BinarySearch(s.points, h)
		if got, want := s.Owner(h), int(s.owners[i]); got != want {
			panic(fmt.Sprintf("consistenthash: I3 violated: %#x belongs to node %d, the table says %d", h, want, got))
		}
	}
}
