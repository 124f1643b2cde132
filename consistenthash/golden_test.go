// SPDX-License-Identifier: MIT

package consistenthash

import (
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"testing"
)

// The placement and the bytes of version 1, for TestGolden.
const (
	golden      = "cbbcbaaabaaaabbacbbbbabc"
	goldenBytes = "6173686c61726368010000000000000000000000000000009600000004000000000000000000f03f01006100000000000000000040010062000000" +
		"0000000000f03f01006301007a000000000000f0bf01006400007abbb1f2dfae7e7c636c1c5bcfe71a27"
	goldenScore = "cbacbbbabbababcbcaabbaab"
	goldenTable = "c71f87df5f07cb9b"
	goldenJumps = "a6d204241ee1cc5c"
	goldenPoint = "00f7abb282979f4d c3d31922c50b1b63"
	goldenSeed  = "01472c3c516439c3 25638fc13bdf6579"
	goldenPrint = "7c7eaedff2b1bb7a"
)

// TestGolden freezes the placements and the bytes.
func TestGolden(t *testing.T) {
	nodes := []Node{{Name: "a"}, {Name: "b", Weight: 2}, {Name: "c", Zone: "z"}, {Name: "d", Weight: NoShare}}
	s := mustSnapshot(t, nil, nodes...)
	r, err := NewRendezvous(nil, nodes...)
	if err != nil {
		t.Fatal(err)
	}

	var owners, scores strings.Builder
	for i := range 24 {
		owner, _ := s.Get("key" + strconv.Itoa(i))
		owners.WriteString(owner)
		best, _ := r.Get("key" + strconv.Itoa(i))
		scores.WriteString(best)
	}
	if got := owners.String(); got != golden {
		t.Errorf("placement = %q, want %q", got, golden)
	}
	if got := scores.String(); got != goldenScore {
		t.Errorf("rendezvous = %q, want %q", got, goldenScore)
	}
	data, err := s.MarshalBinary()
	if got := hex.EncodeToString(data); err != nil || got != goldenBytes {
		t.Errorf("bytes = %s, %v, want %s", got, err, goldenBytes)
	}
	if got := fmt.Sprintf("%016x %016x", s.points[0], s.Hash("k")); got != goldenPoint {
		t.Errorf("first point and hash = %s, want %s", got, goldenPoint)
	}
	seeded := mustSnapshot(t, &Options{Seed: 7}, nodes...)
	if got := fmt.Sprintf("%016x %016x", seeded.points[0], seeded.Hash("k")); got != goldenSeed {
		t.Errorf("with a seed = %s, want %s", got, goldenSeed)
	}
	if got := fmt.Sprintf("%016x", s.Fingerprint()); got != goldenPrint {
		t.Errorf("fingerprint = %s, want %s", got, goldenPrint)
	}
}

// TestGoldenTables freezes the table of a Maglev, and 300,000 jumps back, by
// their sums.
func TestGoldenTables(t *testing.T) {
	nodes := []Node{{Name: "a"}, {Name: "b", Weight: 2}, {Name: "c"}, {Name: "d", Weight: NoShare}}
	m, err := NewMaglev(1009, nil, nodes...)
	if err != nil {
		t.Fatal(err)
	}
	table := fnv.New64a()
	for _, owner := range m.table {
		fmt.Fprintln(table, owner)
	}
	if got := fmt.Sprintf("%016x", table.Sum64()); got != goldenTable {
		t.Errorf("table = %s, want %s", got, goldenTable)
	}

	jumps := fnv.New64a()
	for _, n := range []int{3, 100, 70_000} {
		for key := range uint64(100_000) {
			fmt.Fprintln(jumps, JumpBack(key*0x9e3779b97f4a7c15, n))
		}
	}
	if got := fmt.Sprintf("%016x", jumps.Sum64()); got != goldenJumps {
		t.Errorf("jumps = %s, want %s", got, goldenJumps)
	}
}
