// SPDX-License-Identifier: MIT

package skiplist

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite testdata/blocks.txt")

// TestGoldenBlocks checks that the same keys and coins make the same blocks as
// ever. The documentation has a picture of testdata/blocks.txt.
func TestGoldenBlocks(t *testing.T) {
	const n = 6000
	m := NewMap[int, int]()
	m.coins.Seed(1, 2)
	for _, key := range rand.New(rand.NewPCG(1, 2)).Perm(n) {
		m.Set(key, key)
	}
	rows := appendRows(nil, 0, kid[int, int]{index: m.top}, 0)
	var b strings.Builder
	fmt.Fprintf(&b, "# Blocks of a Map of the keys 0 to %d: level, lower bound (0 if none), entries or blocks below\n", n-1)
	for depth, row := range rows {
		for _, block := range row {
			fmt.Fprintf(&b, "%d\t%s\n", len(rows)-1-depth, block)
		}
	}

	const name = "testdata/blocks.txt"
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got := b.String(); got != string(want) {
		t.Errorf("the blocks are not those of %s:\n%s", name, got)
	}
}

// appendRows appends k, whose lower bound is low, and the blocks below it to
// rows, which are by depth.
func appendRows(rows [][]string, depth int, k kid[int, int], low int) [][]string {
	if depth == len(rows) {
		rows = append(rows, nil)
	}
	if k.leaf != nil {
		rows[depth] = append(rows[depth], fmt.Sprintf("%d\t%d", low, k.leaf.n))
		return rows
	}
	x := k.index
	rows[depth] = append(rows[depth], fmt.Sprintf("%d\t%d", low, x.n))
	for i := range x.n {
		if i > 0 {
			low = x.fences[i] // that of kid 0 is in the block above
		}
		rows = appendRows(rows, depth+1, x.kid(i), low)
	}
	return rows
}
