// SPDX-License-Identifier: MIT

package merkle

import (
	"fmt"
	"math/bits"
)

// A NodeReader has the complete nodes of a tree: a [Tree], or a file, a
// database or a server that stores them. A verifier trusts the root and not the
// nodes, so these may come from anywhere. The functions that prove join nodes
// with a [Hasher], which has to be that of the tree: a proof that was made with
// another one does not verify.
type NodeReader interface {
	// Node returns the root of the 2^level leaves from index·2^level on.
	Node(level int, index uint64) (Hash, error)
}

// A Proof is a proof that is stored or sent: see [Proof.AppendBinary]. The
// functions that prove and verify take and return plain slices.
type Proof []Hash

// read returns a node of r, or an error that names the node.
func read(r NodeReader, level int, index uint64) (Hash, error) {
	h, err := r.Node(level, index)
	if err != nil {
		return h, fmt.Errorf("merkle: node %d of level %d: %w", index, level, err)
	}
	return h, nil
}

// fold returns the hash of the span [lo, hi), which is not empty: its complete
// nodes, joined from the right.
func fold(r NodeReader, w *worker, lo, hi uint64) (Hash, error) {
	rest := hi - lo
	l := bits.TrailingZeros64(rest)
	root, err := read(r, l, hi>>l-1)
	if err != nil {
		return root, err
	}
	for rest &= rest - 1; rest != 0; rest &= rest - 1 {
		l = bits.TrailingZeros64(rest)
		left, err := read(r, l, hi>>l-1)
		if err != nil {
			return left, err
		}
		root = w.node(&left, &root)
	}
	return root, nil
}

// appendPath appends the siblings on the way from the node (l, i) to the root
// of size leaves.
func appendPath(dst []Hash, r NodeReader, w *worker, l int, i, size uint64) ([]Hash, error) {
	t, _ := r.(*Tree)
	if t != nil && size > t.Len() {
		t = nil // r.Node returns ErrRange
	}
	inner, _ := pathLen(l, i, size)
	for range inner {
		sibling := i ^ 1
		lo := sibling << l
		if t != nil && size-lo >= 1<<l {
			dst = append(dst, *t.levels[l].at(sibling)) // a tree needs no interface for each node
		} else {
			h, err := fold(r, w, lo, lo+min(1<<l, size-lo)) // the last one may be incomplete
			if err != nil {
				return dst, err
			}
			dst = append(dst, h)
		}
		i >>= 1
		l++
	}

	// From here on the way is the right edge: no node lies to the right of it,
	// and a node without a sibling is its own parent.
	for ; i != 0; i >>= 1 {
		if i&1 == 1 {
			h, err := read(r, l, i^1)
			if err != nil {
				return dst, err
			}
			dst = append(dst, h)
		}
		l++
	}
	return dst, nil
}

// pathLen returns the number of siblings on the way from the node (l, i) to the
// root of size leaves: inner of them until the way is the right edge of the
// tree, and border of them, all on the left, from there on.
func pathLen(l int, i, size uint64) (inner, border int) {
	inner = bits.Len64(i ^ (size-1)>>l)
	return inner, bits.OnesCount64(i >> inner)
}

// AppendInclusion appends to dst the proof that the leaf index is in the tree
// of the first size leaves of r: RFC 9162, 2.1.3. It has at most ⌈log2 size⌉
// hashes. It returns [ErrRange] unless index < size, or the error of r; then
// dst is as it was.
func AppendInclusion(dst []Hash, r NodeReader, h *Hasher, index, size uint64) ([]Hash, error) {
	if index >= size {
		return dst, fmt.Errorf("%w: leaf %d of %d", ErrRange, index, size)
	}
	w := h.worker()
	defer w.release()
	out, err := appendPath(dst, r, w, 0, index, size)
	if err != nil {
		return dst, err
	}
	return out, nil
}

// VerifyInclusion returns nil if proof shows that the leaf whose hash is leaf
// has this index in the tree of size leaves whose root is root, and otherwise
// an error that wraps [ErrProof]. Compute leaf from the data, by
// [Hasher.Leaf]; a hash that comes with the proof proves nothing. Take size and
// root from one place that is trusted, such as a signed tree head: some proofs
// fit several sizes, since the root alone does not say how many leaves it has.
func VerifyInclusion(h *Hasher, proof []Hash, index, size uint64, leaf, root Hash) error {
	if index >= size {
		return fmt.Errorf("%w: leaf %d of %d", ErrProof, index, size)
	}
	inner, border := pathLen(0, index, size)
	if err := checkLen(proof, inner+border); err != nil {
		return err
	}
	w := h.worker()
	defer w.release()
	return checkRoot(w.climb(leaf, proof, inner, index), root)
}

// climb returns the root that the siblings in proof give to the node i of some
// level, whose hash is h.
func (w *worker) climb(h Hash, proof []Hash, inner int, i uint64) Hash {
	for j := range proof {
		if j >= inner || i>>j&1 == 1 {
			h = w.node(&proof[j], &h)
		} else {
			h = w.node(&h, &proof[j])
		}
	}
	return h
}

// climbOld is climb without the siblings to the right of the node i: it returns
// the root of the tree whose last node was i.
func (w *worker) climbOld(h Hash, proof []Hash, inner int, i uint64) Hash {
	for j := range proof {
		if j >= inner || i>>j&1 == 1 {
			h = w.node(&proof[j], &h)
		}
	}
	return h
}

// AppendConsistency appends to dst the proof that the tree of the first size
// leaves of r begins with the first old: RFC 9162, 2.1.4. It returns [ErrRange]
// unless 0 < old <= size, or the error of r; then dst is as it was. Every tree
// begins with the empty one, so there is nothing to prove for old = 0.
func AppendConsistency(dst []Hash, r NodeReader, h *Hasher, old, size uint64) ([]Hash, error) {
	if old == 0 || old > size {
		return dst, fmt.Errorf("%w: from %d leaves to %d", ErrRange, old, size)
	}
	if old == size {
		return dst, nil
	}

	// The proof begins with the last node of the old tree, unless that is all
	// of it: then the verifier has the node.
	out := dst
	l, i := lastNode(old)
	if i != 0 {
		h, err := read(r, l, i)
		if err != nil {
			return dst, err
		}
		out = append(out, h)
	}
	w := h.worker()
	defer w.release()
	out, err := appendPath(out, r, w, l, i, size)
	if err != nil {
		return dst, err
	}
	return out, nil
}

// lastNode returns the largest complete node that ends with the last of size
// leaves.
func lastNode(size uint64) (l int, i uint64) {
	l = bits.TrailingZeros64(size)
	return l, size>>l - 1
}

// VerifyConsistency returns nil if proof shows that the tree of size leaves
// whose root is root begins with the old leaves whose root was oldRoot: that
// nothing was changed, removed or put between. Otherwise it returns an error
// that wraps [ErrProof]. From old = 0 nothing shows anything: it is an error.
// The proof from old = size is empty.
func VerifyConsistency(h *Hasher, proof []Hash, old, size uint64, oldRoot, root Hash) error {
	if old == 0 || old > size {
		return fmt.Errorf("%w: from %d leaves to %d", ErrProof, old, size)
	}
	if old == size {
		if err := checkLen(proof, 0); err != nil {
			return err
		}
		return checkRoot(oldRoot, root)
	}

	// The length says which hash is which, so it comes first.
	l, i := lastNode(old)
	inner, border := pathLen(l, i, size)
	first := 1
	if i == 0 {
		first = 0
	}
	if err := checkLen(proof, first+inner+border); err != nil {
		return err
	}
	node := oldRoot
	if first == 1 {
		node = proof[0]
		proof = proof[1:]
	}

	// Both roots come from the same hashes.
	w := h.worker()
	defer w.release()
	if err := checkRoot(w.climbOld(node, proof, inner, i), oldRoot); err != nil {
		return err
	}
	return checkRoot(w.climb(node, proof, inner, i), root)
}

// checkLen returns an error unless proof has n hashes.
func checkLen(proof []Hash, n int) error {
	if len(proof) != n {
		return fmt.Errorf("%w: %d hashes, want %d", ErrProof, len(proof), n)
	}
	return nil
}

// checkRoot returns an error unless got is the root.
func checkRoot(got, root Hash) error {
	if got != root {
		return fmt.Errorf("%w: it leads to root %v, want %v", ErrProof, got, root)
	}
	return nil
}
