// SPDX-License-Identifier: MIT

package merkle

import (
	"math/bits"
	"sync/atomic"
)

// A level holds the hashes of the complete nodes of one height, from left to
// right, in blocks that never move. One goroutine grows it and writes; others
// read what it has published.
type level struct {
	blocks atomic.Pointer[[][]Hash]
}

// The first block has 16 hashes. The others have as many as are before them,
// but at most 8192, 256 KiB.
const (
	firstBits = 4
	blockBits = 13
)

// locate returns the block of node i, and the place of the node in it.
func locate(i uint64) (block, at int) {
	switch {
	case i < 1<<firstBits:
		return 0, int(i)
	case i < 1<<blockBits:
		top := bits.Len64(i) - 1
		return top - firstBits + 1, int(i - 1<<top)
	}
	return int(i>>blockBits) + blockBits - firstBits, int(i & (1<<blockBits - 1))
}

// blockLen returns the number of hashes in a block.
func blockLen(block int) int {
	return 1 << min(max(block-1, 0)+firstBits, blockBits)
}

// at returns node i, for which there is room.
func (l *level) at(i uint64) *Hash {
	block, at := locate(i)
	return &(*l.blocks.Load())[block][at]
}

// run returns the nodes from i on that lie in one block, at most n.
func (l *level) run(i, n uint64) []Hash {
	block, at := locate(i)
	b := (*l.blocks.Load())[block][at:]
	return b[:min(n, uint64(len(b)))]
}

// grow makes room for n nodes.
func (l *level) grow(n uint64) {
	if n == 0 {
		return
	}
	have := 0
	if p := l.blocks.Load(); p != nil {
		have = len(*p)
	}
	if last, _ := locate(n - 1); last >= have {
		l.extend(last + 1)
	}
}

// extend adds blocks until there are n. A reader that has the shorter slice
// does not see those behind it.
func (l *level) extend(n int) {
	var blocks [][]Hash
	if p := l.blocks.Load(); p != nil {
		blocks = *p
	}
	for len(blocks) < n {
		blocks = append(blocks, make([]Hash, blockLen(len(blocks))))
	}
	l.blocks.Store(&blocks)
}
