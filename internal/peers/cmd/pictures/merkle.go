// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"math/bits"
	"slices"

	"github.com/ashlar-go/ashlar/merkle"
)

const (
	treeLeaves = 7
	provenLeaf = 2
	largeTree  = 1 << 20 // leaves of the tree whose proof is counted
)

// A node is one of the tree of the picture.
type node struct {
	hash   merkle.Hash
	x, y   float64
	kids   []*node
	proven bool // on the way from the leaf to the root
	proof  int  // its place in the proof, from 1 on, or 0
}

// record returns the data of a leaf.
func record(i uint64) []byte { return fmt.Appendf(nil, "tx%d", i+1) }

// grow returns the root of the leaves from lo to hi: RFC 9162 divides them at
// the largest power of two.
func grow(t *merkle.Tree, lo, hi uint64) (*node, error) {
	if hi-lo == 1 {
		h, err := t.Node(0, lo)
		return &node{hash: h, x: 58 + 94*float64(lo), y: 286, proven: lo == provenLeaf}, err
	}
	mid := lo + 1<<(bits.Len64(hi-lo-1)-1)
	left, err := grow(t, lo, mid)
	if err != nil {
		return nil, err
	}
	right, err := grow(t, mid, hi)
	if err != nil {
		return nil, err
	}

	return &node{
		hash: merkle.SHA256.Node(left.hash, right.hash), x: (left.x + right.x) / 2,
		y: 286 - 76*float64(bits.Len64(hi-lo-1)), kids: []*node{left, right}, proven: left.proven || right.proven,
	}, nil
}

// mark notes the places of the hashes of proof.
func (n *node) mark(proof []merkle.Hash) {
	n.proof = slices.Index(proof, n.hash) + 1
	for _, k := range n.kids {
		k.mark(proof)
	}
}

// draw draws n and the nodes below.
func (n *node) draw(d *drawing) {
	for _, k := range n.kids {
		stroke := silver
		if n.proven && (k.proven || k.proof > 0) {
			stroke = teal
		}
		d.line(n.x, n.y+13, k.x, k.y-13, 1.5, stroke)
		k.draw(d)
	}

	fill, stroke, text := white, gray, black
	switch {
	case n.proof > 0:
		fill, stroke = peach, orange
	case n.proven:
		fill, stroke = pale, teal
	}
	d.rect(n.x-38, n.y-13, 76, 26, fill, stroke)
	d.mono(n.x, n.y+4, text, n.hash.String()[:8])
	if n.proof > 0 {
		d.circle(n.x-38, n.y-13, 8, orange, none)
		d.text(n.x-38, n.y-9, middle, white, fmt.Sprint(n.proof))
	}
}

// proofOf returns the proof of a leaf of t, verified against its root.
func proofOf(t *merkle.Tree, index uint64) ([]merkle.Hash, error) {
	proof, err := merkle.AppendInclusion(nil, t, nil, index, t.Len())
	if err != nil {
		return nil, err
	}
	return proof, merkle.VerifyInclusion(nil, proof, index, t.Len(), merkle.SHA256.Leaf(record(index)), t.Root())
}

// drawProof draws a tree and the proof of one of its leaves.
func drawProof() (picture, error) {
	var t merkle.Tree
	for i := range uint64(treeLeaves) {
		t.Append(record(i))
	}
	proof, err := proofOf(&t, provenLeaf)
	if err != nil {
		return picture{}, err
	}
	root, err := grow(&t, 0, treeLeaves)
	if err != nil {
		return picture{}, err
	}
	if root.hash != t.Root() {
		return picture{}, fmt.Errorf("the root is %v, want %v", root.hash, t.Root())
	}
	root.mark(proof)

	d := newDrawing(380)
	d.text(pixels/2, 24, middle, black, fmt.Sprintf("A tree of %d leaves, and the proof of tx%d", treeLeaves, provenLeaf+1))
	root.draw(d)
	for i := range treeLeaves {
		d.mono(58+94*float64(i), 320, black, string(record(uint64(i))))
	}
	d.rect(58-38, 344, 14, 14, pale, teal)
	d.text(40, 356, start, black, "computed from the record and the proof")
	d.rect(330, 344, 14, 14, peach, orange)
	d.text(350, 356, start, black, "in the proof, in the order of their use")

	large, err := largeProof()
	return picture{
		title: "A Merkle tree of seven leaves with the inclusion proof of the third",
		svg:   d.bytes(),
		caption: fmt.Sprintf("The first 4 bytes of each SHA-256. A verifier that has the record tx%d hashes it, and then with each of the %d hashes of "+
			"the proof in turn: if the result is the root, the record is in the log. The seventh leaf has no sibling and moves up as it "+
			"is; Bitcoin would pair it with itself. The proof has %d bytes; for a tree of %s leaves it has %d hashes, %d bytes.",
			provenLeaf+1, len(proof), len(proof)*len(merkle.Hash{}), commas(largeTree), large, large*len(merkle.Hash{})),
	}, err
}

// largeProof returns the length of a proof of a large tree.
func largeProof() (int, error) {
	leaves := make([][]byte, largeTree)
	for i := range leaves {
		leaves[i] = record(uint64(i))
	}
	var t merkle.Tree
	if err := t.AppendAll(context.Background(), leaves); err != nil {
		return 0, err
	}
	proof, err := proofOf(&t, largeTree/3)
	return len(proof), err
}
