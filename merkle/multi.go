// SPDX-License-Identifier: MIT

package merkle

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
)

// A pick is a set of leaves that is proved as a whole: those of list, which is
// strictly increasing, or if it is nil, [lo, hi).
type pick struct {
	list   []uint64
	lo, hi uint64
}

// count returns the number of leaves of the span [lo, hi) that are in p.
func (p *pick) count(lo, hi uint64) uint64 {
	if p.list != nil {
		from, _ := slices.BinarySearch(p.list, lo)
		to, _ := slices.BinarySearch(p.list, hi)
		return uint64(to - from)
	}
	lo = max(lo, p.lo)
	hi = min(hi, p.hi)
	return hi - min(lo, hi)
}

// middle returns where the two halves of the span [lo, hi) meet, which has at
// least two leaves: at the largest power of two below its length.
func middle(lo, hi uint64) uint64 { return lo + 1<<(bits.Len64(hi-lo-1)-1) }

// appendProof appends, from left to right, the hashes of the largest spans
// within [lo, hi) that have no leaf of p.
func (p *pick) appendProof(dst []Hash, r NodeReader, w *worker, lo, hi uint64) ([]Hash, error) {
	switch p.count(lo, hi) {
	case hi - lo:
		return dst, nil
	case 0:
		h, err := fold(r, w, lo, hi)
		return append(dst, h), err
	}
	mid := middle(lo, hi)
	dst, err := p.appendProof(dst, r, w, lo, mid)
	if err != nil {
		return dst, err
	}
	return p.appendProof(dst, r, w, mid, hi)
}

// proofLen returns the number of hashes that appendProof appends.
func (p *pick) proofLen(lo, hi uint64) int {
	switch p.count(lo, hi) {
	case hi - lo:
		return 0
	case 0:
		return 1
	}
	mid := middle(lo, hi)
	return p.proofLen(lo, mid) + p.proofLen(mid, hi)
}

// A rebuild computes a root from the leaves of a pick and the hashes of its
// proof. It takes both from the front, each once.
type rebuild struct {
	pick
	w      *worker
	proof  []Hash
	leaves []Hash
}

// root returns the hash of the span [lo, hi).
func (b *rebuild) root(lo, hi uint64) Hash {
	n := b.count(lo, hi)
	if n == 0 {
		h := b.proof[0]
		b.proof = b.proof[1:]
		return h
	}
	if hi-lo == 1 {
		h := b.leaves[0]
		b.leaves = b.leaves[1:]
		return h
	}
	mid := middle(lo, hi)
	left := b.root(lo, mid)
	right := b.root(mid, hi)
	return b.w.node(&left, &right)
}

// AppendRangeProof appends to dst the proof that the leaves [lo, hi) are in the
// tree of the first size leaves of r. It has at most 2·⌈log2 size⌉ hashes,
// however many leaves there are. It returns [ErrRange] unless lo < hi <= size,
// or the error of r; then dst is as it was.
func AppendRangeProof(dst []Hash, r NodeReader, h *Hasher, lo, hi, size uint64) ([]Hash, error) {
	if lo >= hi || hi > size {
		return dst, fmt.Errorf("%w: leaves [%d, %d) of %d", ErrRange, lo, hi, size)
	}
	return pick{lo: lo, hi: hi}.prove(dst, r, h, size)
}

// VerifyRange returns nil if proof shows that the leaves from index lo on, in
// the tree of size leaves whose root is root, are those whose hashes are
// leaves. Otherwise it returns an error that wraps [ErrProof]. No leaves prove
// nothing: they are an error.
func VerifyRange(h *Hasher, proof []Hash, lo, size uint64, leaves []Hash, root Hash) error {
	n := uint64(len(leaves))
	if lo >= size || n == 0 || n > size-lo {
		return fmt.Errorf("%w: %d leaves from %d of %d", ErrProof, n, lo, size)
	}
	return pick{lo: lo, hi: lo + n}.verify(h, proof, size, leaves, root)
}

// AppendMultiProof appends to dst the proof that the leaves of these indices,
// which are strictly increasing, are in the tree of the first size leaves of r.
// No hash is in it that follows from others, so it is shorter than a proof for
// each. It returns [ErrRange] if there are no indices, if they do not increase
// or if one is not below size, or the error of r; then dst is as it was.
func AppendMultiProof(dst []Hash, r NodeReader, h *Hasher, indices []uint64, size uint64) ([]Hash, error) {
	if err := checkIndices(indices, size); err != nil {
		return dst, fmt.Errorf("%w: %w", ErrRange, err)
	}
	return pick{list: indices}.prove(dst, r, h, size)
}

// VerifyMulti returns nil if proof shows that the leaves of these indices, in
// the tree of size leaves whose root is root, are those whose hashes are
// leaves. Otherwise it returns an error that wraps [ErrProof]. Indices that are
// not strictly increasing, or none, are an error.
func VerifyMulti(h *Hasher, proof []Hash, indices []uint64, size uint64, leaves []Hash, root Hash) error {
	if err := checkIndices(indices, size); err != nil {
		return fmt.Errorf("%w: %w", ErrProof, err)
	}
	if len(leaves) != len(indices) {
		return fmt.Errorf("%w: %d leaves for %d indices", ErrProof, len(leaves), len(indices))
	}
	return pick{list: indices}.verify(h, proof, size, leaves, root)
}

// checkIndices returns an error unless indices are strictly increasing, below
// size, and not none.
func checkIndices(indices []uint64, size uint64) error {
	if len(indices) == 0 {
		return errors.New("no indices")
	}
	for i, x := range indices {
		if i > 0 && x <= indices[i-1] {
			return fmt.Errorf("index %d after %d", x, indices[i-1])
		}
	}
	if last := indices[len(indices)-1]; last >= size {
		return fmt.Errorf("leaf %d of %d", last, size)
	}
	return nil
}

// prove appends the proof of p to dst.
func (p pick) prove(dst []Hash, r NodeReader, h *Hasher, size uint64) ([]Hash, error) {
	w := h.worker()
	defer w.release()
	out, err := p.appendProof(dst, r, w, 0, size)
	if err != nil {
		return dst, err
	}
	return out, nil
}

// verify checks the proof of p. There are as many leaves as p has.
func (p pick) verify(h *Hasher, proof []Hash, size uint64, leaves []Hash, root Hash) error {
	if err := checkLen(proof, p.proofLen(0, size)); err != nil {
		return err
	}
	w := h.worker()
	defer w.release()
	b := rebuild{pick: p, w: w, proof: proof, leaves: leaves}
	return checkRoot(b.root(0, size), root)
}
