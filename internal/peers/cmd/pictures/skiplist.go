// SPDX-License-Identifier: MIT

package main

import "fmt"

// A block is one of a skip list: a leaf of entries, or fences between the
// blocks below it.
type block struct {
	low         int // its lower bound
	n           int // entries, or blocks below
	left, right float64
	kids        []*block
}

// blockWidth is how many entries or fences a block has at most.
const blockWidth = 62

// readBlocks returns the blocks of a list by level, the leaves first.
func readBlocks(file string) ([][]*block, error) {
	t, err := readTable(file, 3)
	if err != nil {
		return nil, err
	}
	var levels [][]*block
	for _, cells := range t {
		v, err := numbers(cells)
		if err != nil {
			return nil, err
		}
		for int(v[0]) >= len(levels) {
			levels = append(levels, nil)
		}
		levels[int(v[0])] = append(levels[int(v[0])], &block{low: int(v[1]), n: int(v[2])})
	}

	// Each block has the next n of the level below.
	for i := 1; i < len(levels); i++ {
		below := levels[i-1]
		for _, b := range levels[i] {
			if b.n > len(below) || below[0].low != b.low {
				return nil, fmt.Errorf("%s: the blocks of level %d are not those of level %d", file, i-1, i)
			}
			b.kids = below[:b.n]
			below = below[b.n:]
		}
		if len(below) > 0 {
			return nil, fmt.Errorf("%s: %d blocks of level %d without a parent", file, len(below), i-1)
		}
	}
	return levels, nil
}

// Places of the picture.
const (
	blocksLeft  = 66
	blocksRight = pixels - 18
	topTop      = 62
	levelGap    = 72
	indexHigh   = 26
)

// place gives each block its place: that of the leaves below it.
func place(levels [][]*block) {
	width := float64(blocksRight-blocksLeft) / float64(len(levels[0]))
	for i, b := range levels[0] {
		b.left = blocksLeft + float64(i)*width
		b.right = b.left + width - 1
	}
	for _, level := range levels[1:] {
		for _, b := range level {
			b.left = b.kids[0].left
			b.right = b.kids[len(b.kids)-1].right
		}
	}
}

// find returns the block of a level where key is.
func find(level []*block, key int) *block {
	found := level[0]
	for _, b := range level {
		if b.low <= key {
			found = b
		}
	}
	return found
}

// drawBlocks draws the blocks of a list, and the way to a key.
func drawBlocks(file string) (picture, error) {
	levels, err := readBlocks(file)
	if err != nil {
		return picture{}, err
	}
	place(levels)
	entries := 0
	for _, b := range levels[0] {
		entries += b.n
	}
	asked := entries * 2 / 3

	// The index levels, from the top, then the leaves.
	bottom := topTop + levelGap*float64(len(levels)-1)
	d := newDrawing(bottom + blockWidth + 64)
	d.text(pixels/2, 22, middle, black, fmt.Sprintf("A skip list of %s keys that came in random order", commas(entries)))
	for i := len(levels) - 1; i > 0; i-- {
		d.drawIndex(levels[i], i, topTop+levelGap*float64(len(levels)-1-i), asked)
	}
	d.drawLeaves(levels[0], bottom, asked)
	leaf := find(levels[0], asked)
	x := (leaf.left + leaf.right) / 2
	d.line(x, topTop-8, x, bottom+blockWidth-float64(leaf.n), 1.5, orange)
	d.text(x, topTop-13, middle, orange, fmt.Sprintf("Get(%d)", asked))

	blocks := 0
	for _, level := range levels {
		blocks += len(level)
	}
	return picture{
		title: "The blocks of a skip list, its levels and fences",
		svg:   d.bytes(),
		caption: fmt.Sprintf("A Map of the numbers from 0 to %s, which were set in random order. Its %d leaves have up to %d entries each, and "+
			"are full to %.0f %%: the filled part of each bar. A block above has the lower bounds of those below it, the fences, and it ends "+
			"where a fence went up: by a coin of 1 in 64, or since %d are all that a block has. A search goes through one block a level, "+
			"here %d of %d.",
			commas(entries-1), len(levels[0]), blockWidth, 100*float64(entries)/float64(blockWidth*len(levels[0])), blockWidth,
			len(levels), blocks),
	}, nil
}

// drawIndex draws a level above the leaves, with its fences. The one where key
// is has another color.
func (d *drawing) drawIndex(level []*block, i int, top float64, key int) {
	d.text(blocksLeft-8, top+17, end, black, fmt.Sprintf("level %d", i))
	on := find(level, key)
	for _, b := range level {
		fill, stroke := white, gray
		if b == on {
			fill, stroke = pale, teal
		}
		d.rect(b.left, top, b.right-b.left, indexHigh, fill, stroke)
		for j, k := range b.kids {
			if j > 0 {
				d.line(k.left-0.5, top, k.left-0.5, top+indexHigh, 1, stroke)
			}
		}
		for _, x := range []float64{b.left, b.right} {
			d.line(x, top+indexHigh, x, top+levelGap, 0.5, silver)
		}
		if b.low > 0 {
			d.text(b.left, top-4, start, gray, fmt.Sprint(b.low))
		}
	}
}

// drawLeaves draws the leaves, an entry a pixel.
func (d *drawing) drawLeaves(level []*block, top float64, key int) {
	d.text(blocksLeft-8, top+9, end, gray, fmt.Sprint(blockWidth))
	d.text(blocksLeft-8, top+blockWidth/2+4, end, black, "leaves")
	d.text(blocksLeft-8, top+blockWidth, end, gray, "0")
	on := find(level, key)
	for _, b := range level {
		fill := gray
		if b == on {
			fill = teal
		}
		d.rect(b.left, top, b.right-b.left, blockWidth, silver, none)
		d.rect(b.left, top+blockWidth-float64(b.n), b.right-b.left, float64(b.n), fill, none)
	}

	// The lower bounds of the one searched and of the one after.
	y := top + blockWidth
	d.text(on.left, y+16, end, gray, fmt.Sprint(on.low))
	for _, b := range level {
		if b.low > on.low {
			d.text(b.left, y+16, start, gray, fmt.Sprint(b.low))
			break
		}
	}
	d.text((blocksLeft+blocksRight)/2, y+40, middle, black, "leaves in the order of their keys, and how many entries each has")
}
