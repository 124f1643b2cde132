// SPDX-License-Identifier: MIT

package merkle

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
)

// A Range is the hash of a run of leaves, which need not be all of a list: the
// roots of the largest complete trees that cover the run, at most two for each
// level. It takes leaves one after the other, in O(log n) memory, and
// two ranges that meet are merged in O(log n) time, so that parts of a list can
// be hashed on different machines. The zero value begins at leaf 0 and uses
// [SHA256]; [NewRange] sets others.
//
// It is not safe for concurrent use, and must not be copied: the Merge of an
// empty range with the same beginning makes a copy.
type Range struct {
	hasher *Hasher
	begin  uint64
	end    uint64
	hashes []Hash // of the cover of [begin, end), from left to right
}

// NewRange returns an empty range that begins at leaf begin of some tree, and
// uses h. If h is nil, [SHA256].
func NewRange(h *Hasher, begin uint64) *Range {
	return &Range{hasher: h, begin: begin, end: begin}
}

// Begin returns the index of the first leaf.
func (r *Range) Begin() uint64 { return r.begin }

// End returns the index of the leaf that Append adds next.
func (r *Range) End() uint64 { return r.end }

// Append adds a leaf that holds data. The complexity is O(1) amortized. It
// panics if the range ends at 2^64-1, the size of the largest tree.
func (r *Range) Append(data []byte) {
	w := r.hasher.worker()
	defer w.release()
	r.push(w, 0, w.leaf(data))
}

// AppendHash is [Range.Append] for the leaf whose hash is h.
func (r *Range) AppendHash(h Hash) {
	w := r.hasher.worker()
	defer w.release()
	r.push(w, 0, h)
}

// push adds the node of level l that begins at end.
func (r *Range) push(w *worker, l int, h Hash) {
	if r.end > math.MaxUint64-1<<l {
		panic("merkle: a range must end at 2^64-1 at most, got more leaves")
	}
	start := r.end
	r.end += 1 << l

	// A right child whose sibling is there becomes their parent.
	for start>>l&1 == 1 && start-r.begin >= 1<<l {
		last := len(r.hashes) - 1
		h = w.node(&r.hashes[last], &h)
		r.hashes = r.hashes[:last]
		start -= 1 << l
		l++
	}
	r.hashes = append(r.hashes, h)
	if invariants {
		r.check()
	}
}

// Merge adds the leaves of next, which must begin where r ends: otherwise it
// returns [ErrRange] and leaves r unchanged. Both must have the same hash
// function. The complexity is O(log n) where n = next.End().
func (r *Range) Merge(next *Range) error {
	if next.begin != r.end {
		return fmt.Errorf("%w: a range that begins at %d after one that ends at %d", ErrRange, next.begin, r.end)
	}
	w := r.hasher.worker()
	defer w.release()
	hashes := slices.Clone(next.hashes) // next may be r, if both are empty
	for at := next.begin; len(hashes) > 0; hashes = hashes[1:] {
		l := coverLevel(at, next.end)
		r.push(w, l, hashes[0])
		at += 1 << l
	}
	return nil
}

// coverLevel returns the level of the first node of the cover of [lo, hi),
// which is not empty: the largest that begins at lo and does not end after hi.
func coverLevel(lo, hi uint64) int {
	most := bits.Len64(hi-lo) - 1
	return min(bits.TrailingZeros64(lo), most)
}

// coverLen returns the number of nodes in the cover of [lo, hi).
func coverLen(lo, hi uint64) (n int) {
	for ; lo < hi; n++ {
		lo += 1 << coverLevel(lo, hi)
	}
	return n
}

// Root returns the root of the tree whose leaves are those of r, or [ErrRange]
// if r does not begin at leaf 0. The complexity is O(log n) where n = r.End().
func (r *Range) Root() (Hash, error) {
	if r.begin != 0 {
		return Hash{}, fmt.Errorf("%w: a range that begins at %d has no root", ErrRange, r.begin)
	}
	if len(r.hashes) == 0 {
		return r.hasher.Empty(), nil
	}
	w := r.hasher.worker()
	defer w.release()
	last := len(r.hashes) - 1
	root := r.hashes[last]
	for _, left := range slices.Backward(r.hashes[:last]) {
		root = w.node(&left, &root)
	}
	return root, nil
}
