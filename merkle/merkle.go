// SPDX-License-Identifier: MIT

package merkle

// Implementation notes.
//
// The node (l, i) is the root of the 2^l leaves from i·2^l on. It is complete
// when all of them are there, and never changes from then on. A tree holds the
// complete nodes, one list a level:
//
//	level 2   (2,0)
//	level 1   (1,0)       (1,1)       (1,2)
//	level 0   (0,0) (0,1) (0,2) (0,3) (0,4) (0,5) (0,6)
//
// The root of n leaves joins the complete nodes of the binary digits of n,
// from the right: the above is H(H(2,0), H(H(1,2), (0,6))). Roots and proofs of
// a smaller tree use the same nodes. A node is hashed when its last leaf comes,
// so a leaf costs one node on average, and there are n-1 at most: 64 bytes a
// leaf.
//
// A span is [lo, hi) of the leaves such that lo is a multiple of the least
// power of two that is not below hi-lo: the leaves below one node of a tree,
// which is complete or the last of its level. The hash of a span is its fold.
//
// Every walk computes with uint64, and a shift by 64 gives 0, so all sizes up
// to 2^64-1 are defined.
//
// Invariants, checked under the tag invariants:
//
//	I1 each level has room for all complete nodes of the published size.
//	I2 the last complete node of each level is the hash of its children.
//	I3 a Range has as many hashes as the canonical cover of [begin, end).
//	I4 each page of an Index has less than 32 keys, and the tally of a kid is
//	   that of all items below it.
//	I5 the keys of a page are in order, begin with the same skip bytes, and the
//	   number of each is that of the next eight.
//
// Publication: the appender writes nodes beyond those of the published size,
// then stores the size. A reader loads the size, then the blocks of a level.
// Nodes within the size never change, so no reader waits or retries.
//
// Why not a flat array of all nodes in the order of their making, as in
// x/mod/sumdb/tlog: it has to be copied to grow, and a batch cannot hash a
// level at a time. Why not an interface for Hasher: an implementation could
// leave out the prefixes, and a tree without them can be forged
// (TestForgedNode). Why not a mode that duplicates the last leaf, as Bitcoin:
// two lists then have one root (CVE-2012-2459, TestForgedOddLeaf).

import (
	"context"
	"fmt"
	"sync/atomic"
)

// maxLevels is the number of levels of the largest tree, of 2^64-1 leaves.
const maxLevels = 64

// A Tree is a list of leaves that only grows, with the hashes that prove what
// is in it. The zero value is an empty tree with [SHA256], ready to use;
// [NewTree] sets another hash function.
//
// It is safe for one writer and any number of concurrent readers: one goroutine
// at a time may call Append, AppendHash and AppendAll, while others read and
// prove and never wait. UnmarshalBinary and ReadFrom need the tree for
// themselves. It must not be copied.
type Tree struct {
	hasher *Hasher
	size   atomic.Uint64 // leaves that readers may see
	levels [maxLevels]level
}

// NewTree returns an empty tree that uses h. If h is nil, [SHA256].
func NewTree(h *Hasher) *Tree { return &Tree{hasher: h} }

// Append adds a leaf that holds data and returns its index. The tree keeps the
// hash, not the data. The complexity is O(1) amortized.
func (t *Tree) Append(data []byte) (index uint64) {
	w := t.hasher.worker()
	defer w.release()
	h := w.leaf(data)
	return t.add(w, &h)
}

// AppendHash adds the leaf whose hash is h and returns its index. The hash must
// come from [Hasher.Leaf]: a proof of another one, such as that of a node, does
// not show that some data is in the tree.
func (t *Tree) AppendHash(h Hash) (index uint64) {
	w := t.hasher.worker()
	defer w.release()
	return t.add(w, &h)
}

// add adds a leaf, and the nodes that it completes.
func (t *Tree) add(w *worker, h *Hash) (index uint64) {
	n := t.size.Load()
	t.levels[0].grow(n + 1)
	*t.levels[0].at(n) = *h
	for l := 1; (n+1)>>l<<l == n+1; l++ {
		t.levels[l].grow((n + 1) >> l)
		t.join(w, l, n, n+1)
	}
	t.publish(n + 1)
	return n
}

// addHashes adds leaves by their hashes, and the nodes that they complete.
func (t *Tree) addHashes(w *worker, hashes []Hash) {
	lo := t.size.Load()
	hi := lo + uint64(len(hashes))
	t.levels[0].grow(hi)
	for at := lo; len(hashes) > 0; {
		n := copy(t.levels[0].run(at, uint64(len(hashes))), hashes)
		hashes = hashes[n:]
		at += uint64(n)
	}
	for l := 1; hi>>l > lo>>l; l++ {
		t.levels[l].grow(hi >> l)
		t.join(w, l, lo, hi)
	}
	t.publish(hi)
}

// publish shows the first n leaves to readers.
func (t *Tree) publish(n uint64) {
	t.size.Store(n)
	if invariants {
		t.check()
	}
}

// join hashes the nodes of level l > 0 that the leaves [lo, hi) complete. Their
// children are there, and there is room.
func (t *Tree) join(w *worker, l int, lo, hi uint64) {
	end := hi >> l
	for i := lo >> l; i < end; {
		dst := t.levels[l].run(i, end-i)
		src := t.levels[l-1].run(2*i, 2*uint64(len(dst)))
		dst = dst[:len(src)/2] // the block below may end first
		w.nodes(dst, src)
		i += uint64(len(dst))
	}
}

// partBits is the size of the parts that AppendAll hashes in parallel, as a
// power of two: the nodes of a part fit into a cache.
const partBits = 10

// AppendAll adds a leaf for each of leaves, in order. Readers see all of them
// at once. It hashes on as many goroutines as [runtime.GOMAXPROCS] says, which
// end before it returns. On failure it returns ctx.Err(), and if the hash
// function panics, so does AppendAll; then the tree is unchanged.
func (t *Tree) AppendAll(ctx context.Context, leaves [][]byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	lo := t.size.Load()
	hi := lo + uint64(len(leaves))

	// Make the room first: the parts write to it at once.
	for l := range maxLevels {
		t.levels[l].grow(hi >> l)
	}

	// Each part hashes its leaves, and the nodes above them up to its own.
	c, ctx := newCrew(ctx)
	for at := lo; at < hi; {
		from := at
		at = min((from>>partBits+1)<<partBits, hi)
		to := at
		c.run(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			t.addPart(leaves[from-lo:to-lo], from, to)
			return nil
		})
	}
	if err := c.wait(); err != nil {
		return err
	}

	// The nodes above the parts are one in a thousand.
	w := t.hasher.worker()
	defer w.release()
	for l := partBits + 1; hi>>l > lo>>l; l++ {
		t.join(w, l, lo, hi)
	}
	t.publish(hi)
	return nil
}

// addPart writes the leaves [lo, hi) and the nodes up to level partBits that
// they complete. No other part has a node in common with it.
func (t *Tree) addPart(leaves [][]byte, lo, hi uint64) {
	w := t.hasher.worker()
	defer w.release()
	for i, data := range leaves {
		*t.levels[0].at(lo + uint64(i)) = w.leaf(data)
	}
	for l := 1; l <= partBits; l++ {
		t.join(w, l, lo, hi)
	}
}

// Len returns the number of leaves.
func (t *Tree) Len() uint64 { return t.size.Load() }

// Root returns the root of all leaves. Sign it together with the number of
// leaves; see [Tree.RootAt] for the root of a known number.
func (t *Tree) Root() Hash { return t.mustRoot(t.Len()) }

// mustRoot is RootAt of a size that the tree has had.
func (t *Tree) mustRoot(size uint64) Hash {
	h, err := t.RootAt(size)
	if err != nil {
		panic(err) // impossible: a tree does not shrink
	}
	return h
}

// RootAt returns the root of the first size leaves, or [ErrRange] if there are
// fewer. The complexity is O(log n) where n = size.
func (t *Tree) RootAt(size uint64) (Hash, error) {
	if n := t.Len(); size > n {
		return Hash{}, fmt.Errorf("%w: size %d of %d", ErrRange, size, n)
	}
	if size == 0 {
		return t.hasher.Empty(), nil
	}
	w := t.hasher.worker()
	defer w.release()
	return fold(t, w, 0, size)
}

// Node returns the complete node i of level l, the root of the 2^l leaves from
// i·2^l on; of level 0, a leaf. It returns [ErrRange] if the tree does not have
// them. It makes a Tree a [NodeReader].
func (t *Tree) Node(l int, i uint64) (Hash, error) {
	if l < 0 || l >= maxLevels || i >= t.Len()>>l {
		return Hash{}, fmt.Errorf("%w: node %d of level %d", ErrRange, i, l)
	}
	return *t.levels[l].at(i), nil
}
