// SPDX-License-Identifier: MIT

package merkle

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
)

// small is the size up to which all trees are tried.
func small() int {
	if raceEnabled || testing.Short() {
		return 34
	}
	return 70
}

// TestRoots checks the roots of all sizes up to some 70, as the tree grows and
// afterwards, against the definition.
func TestRoots(t *testing.T) {
	d := numbers(small())
	var tree Tree
	for n := range d {
		if got, want := tree.Root(), slowRoot(d[:n]); got != want {
			t.Fatalf("Root of %d leaves = %v, want %v", n, got, want)
		}
		tree.Append(d[n])
	}
	for n := range d {
		if got, err := tree.RootAt(uint64(n)); got != slowRoot(d[:n]) || err != nil {
			t.Fatalf("RootAt(%d) = %v, %v, want %v", n, got, err, slowRoot(d[:n]))
		}
	}
}

// TestInclusion checks every inclusion proof of all sizes up to some 70 against
// the definition, and that it verifies for its leaf.
func TestInclusion(t *testing.T) {
	d := numbers(small())
	tree := treeOf(d)
	leaves := leafHashes(d)
	for size := 1; size <= len(d); size++ {
		root := slowRoot(d[:size])
		for i := range size {
			p, err := AppendInclusion(nil, tree, nil, uint64(i), uint64(size))
			if want := slowPath(i, d[:size]); err != nil || !slices.Equal(p, want) {
				t.Fatalf("AppendInclusion(%d, %d) = %v, %v, want %v", i, size, p, err, want)
			}
			if err := VerifyInclusion(nil, p, uint64(i), uint64(size), leaves[i], root); err != nil {
				t.Fatalf("leaf %d of %d: %v, want no error", i, size, err)
			}
		}
	}
}

// TestConsistency checks every consistency proof of all sizes up to some 70
// against the definition, and that it verifies for its roots.
func TestConsistency(t *testing.T) {
	d := numbers(small())
	tree := treeOf(d)
	for size := 1; size <= len(d); size++ {
		root := slowRoot(d[:size])
		for old := 1; old <= size; old++ {
			p, err := AppendConsistency(nil, tree, nil, uint64(old), uint64(size))
			if want := slowConsistency(old, d[:size], true); err != nil || !slices.Equal(p, want) {
				t.Fatalf("AppendConsistency(%d, %d) = %v, %v, want %v", old, size, p, err, want)
			}
			if err := VerifyConsistency(nil, p, uint64(old), uint64(size), slowRoot(d[:old]), root); err != nil {
				t.Fatalf("from %d to %d: %v, want no error", old, size, err)
			}
		}
	}
}

// TestInclusionUnique checks, for all sizes up to some 30, that a proof
// verifies for one index only, and at one length.
func TestInclusionUnique(t *testing.T) {
	d := numbers(small() / 2)
	tree := treeOf(d)
	for size := uint64(1); size <= tree.Len(); size++ {
		root := slowRoot(d[:size])
		for i := range size {
			p, err := AppendInclusion(nil, tree, nil, i, size)
			if err != nil {
				t.Fatal(err)
			}
			leaf := SHA256.Leaf(d[i])
			for other := range size + 2 {
				err := VerifyInclusion(nil, p, other, size, leaf, root)
				if ok := err == nil; ok != (other == i) || !ok && !errors.Is(err, ErrProof) {
					t.Fatalf("the proof of leaf %d of %d, as leaf %d: %v", i, size, other, err)
				}
			}

			long := append(slices.Clone(p), root)
			if err := VerifyInclusion(nil, long, i, size, leaf, root); !errors.Is(err, ErrProof) {
				t.Fatalf("leaf %d of %d: %v for one hash too many, want ErrProof", i, size, err)
			}
			if len(p) > 0 {
				if err := VerifyInclusion(nil, p[1:], i, size, leaf, root); !errors.Is(err, ErrProof) {
					t.Fatalf("leaf %d of %d: %v for one hash too few, want ErrProof", i, size, err)
				}
			}
		}
	}
}

// mutations returns each change of a proof that an attacker may try first: a
// bit of a hash, a hash that is missing, twice, or in another place.
func mutations(p []Hash) (list [][]Hash) {
	for i := range p {
		flip := slices.Clone(p)
		flip[i][i%len(Hash{})] ^= 1 << (i % 8)
		zero := slices.Clone(p)
		zero[i] = Hash{}
		list = append(list, flip, zero, slices.Delete(slices.Clone(p), i, i+1), slices.Insert(slices.Clone(p), i, p[i]))
		for j := range i {
			if p[i] != p[j] {
				swap := slices.Clone(p)
				swap[i], swap[j] = swap[j], swap[i]
				list = append(list, swap)
			}
		}
	}
	return append(list, append(slices.Clone(p), Hash{}))
}

// TestMutations checks that no proof verifies after any change of it, of the
// indices and sizes, or of the leaves and roots.
func TestMutations(t *testing.T) {
	const n = 13
	d := numbers(n)
	tree := treeOf(d)
	leaves, root := leafHashes(d), tree.Root()
	refused := func(name string, err error) {
		t.Helper()
		if !errors.Is(err, ErrProof) {
			t.Errorf("%s: %v, want ErrProof", name, err)
		}
	}

	for i := range uint64(n) {
		p, _ := AppendInclusion(nil, tree, nil, i, n)
		for j, bad := range mutations(p) {
			refused(fmt.Sprintf("inclusion of %d, mutation %d", i, j), VerifyInclusion(nil, bad, i, n, leaves[i], root))
		}
		refused("another leaf", VerifyInclusion(nil, p, i, n, leaves[(i+1)%n], root))
		refused("another root", VerifyInclusion(nil, p, i, n, leaves[i], leaves[i]))
	}

	for old := uint64(1); old < n; old++ {
		oldRoot := slowRoot(d[:old])
		p, _ := AppendConsistency(nil, tree, nil, old, n)
		for j, bad := range mutations(p) {
			refused(fmt.Sprintf("consistency of %d, mutation %d", old, j), VerifyConsistency(nil, bad, old, n, oldRoot, root))
		}
		refused("another root", VerifyConsistency(nil, p, old, n, oldRoot, oldRoot))
		refused("another old root", VerifyConsistency(nil, p, old, n, root, root))
		refused("backwards", VerifyConsistency(nil, p, n, old, root, oldRoot))
	}
	refused("one size, two roots", VerifyConsistency(nil, nil, 3, 3, leaves[0], root))
	refused("one size, a proof", VerifyConsistency(nil, leaves[:1], n, n, root, root))

	for lo := range uint64(n) {
		for hi := lo + 1; hi <= n; hi++ {
			p, _ := AppendRangeProof(nil, tree, nil, lo, hi, n)
			for j, bad := range mutations(p) {
				refused(fmt.Sprintf("range %d to %d, mutation %d", lo, hi, j), VerifyRange(nil, bad, lo, n, leaves[lo:hi], root))
			}
			for j, bad := range mutations(leaves[lo:hi]) {
				refused(fmt.Sprintf("range %d to %d, leaves %d", lo, hi, j), VerifyRange(nil, p, lo, n, bad, root))
			}
			refused("range elsewhere", VerifyRange(nil, p, lo+1, n, leaves[lo:hi], root))
		}
	}
}

// TestRangeProofs checks every range proof of all sizes up to some 30 against a
// slow one, and that it verifies.
func TestRangeProofs(t *testing.T) {
	d := numbers(small() / 2)
	tree := treeOf(d)
	leaves := leafHashes(d)
	for size := 1; size <= len(d); size++ {
		root := slowRoot(d[:size])
		picked := map[int]bool{}
		for lo := range size {
			clear(picked)
			for hi := lo + 1; hi <= size; hi++ {
				picked[hi-1] = true
				p, err := AppendRangeProof(nil, tree, nil, uint64(lo), uint64(hi), uint64(size))
				if want := slowMulti(picked, 0, d[:size]); err != nil || !slices.Equal(p, want) {
					t.Fatalf("AppendRangeProof(%d, %d, %d) = %v, %v, want %v", lo, hi, size, p, err, want)
				}
				if err := VerifyRange(nil, p, uint64(lo), uint64(size), leaves[lo:hi], root); err != nil {
					t.Fatalf("leaves [%d, %d) of %d: %v, want no error", lo, hi, size, err)
				}
			}
		}
	}
}

// TestMultiProofs checks the proof of every set of leaves of all sizes up to 9
// against a slow one, that it verifies, and that it does for no other set of as
// many.
func TestMultiProofs(t *testing.T) {
	d := numbers(9)
	tree := treeOf(d)
	leaves := leafHashes(d)
	for size := 1; size <= len(d); size++ {
		root := slowRoot(d[:size])
		for set := 1; set < 1<<size; set++ {
			indices, picked, hashes := indicesOf(set, leaves)
			p, err := AppendMultiProof(nil, tree, nil, indices, uint64(size))
			if want := slowMulti(picked, 0, d[:size]); err != nil || !slices.Equal(p, want) {
				t.Fatalf("AppendMultiProof(%v, %d) = %v, %v, want %v", indices, size, p, err, want)
			}
			if err := VerifyMulti(nil, p, indices, uint64(size), hashes, root); err != nil {
				t.Fatalf("leaves %v of %d: %v, want no error", indices, size, err)
			}
			for other := 1; other < 1<<size && size <= 6; other++ {
				wrong, _, _ := indicesOf(other, leaves)
				if err := VerifyMulti(nil, p, wrong, uint64(size), hashes, root); other != set && !errors.Is(err, ErrProof) {
					t.Fatalf("the proof of %v, for %v: %v, want ErrProof", indices, wrong, err)
				}
			}
		}
	}
}

// indicesOf returns the bits of set: as indices, as a map, and the leaves that
// they choose.
func indicesOf(set int, leaves []Hash) (indices []uint64, picked map[int]bool, hashes []Hash) {
	picked = map[int]bool{}
	for i := range leaves {
		if set>>i&1 == 1 {
			indices = append(indices, uint64(i))
			hashes = append(hashes, leaves[i])
			picked[i] = true
		}
	}
	return indices, picked, hashes
}

// TestProverRange checks that what a tree cannot prove is an error, and leaves
// dst alone.
func TestProverRange(t *testing.T) {
	tree := treeOf(numbers(5))
	dst := []Hash{{1}}

	for name, prove := range map[string]func() ([]Hash, error){
		"leaf 5 of 5":          func() ([]Hash, error) { return AppendInclusion(dst, tree, nil, 5, 5) },
		"leaf 0 of 0":          func() ([]Hash, error) { return AppendInclusion(dst, tree, nil, 0, 0) },
		"leaf 4 of 8":          func() ([]Hash, error) { return AppendInclusion(dst, tree, nil, 4, 8) },
		"leaf 0 of 6":          func() ([]Hash, error) { return AppendInclusion(dst, tree, nil, 0, 6) },
		"leaf 8 of 9":          func() ([]Hash, error) { return AppendInclusion(dst, tree, nil, 8, 9) },
		"from 0":               func() ([]Hash, error) { return AppendConsistency(dst, tree, nil, 0, 5) },
		"backwards":            func() ([]Hash, error) { return AppendConsistency(dst, tree, nil, 5, 4) },
		"from 3 to 6":          func() ([]Hash, error) { return AppendConsistency(dst, tree, nil, 3, 6) },
		"from 6 to 7":          func() ([]Hash, error) { return AppendConsistency(dst, tree, nil, 6, 7) },
		"empty range":          func() ([]Hash, error) { return AppendRangeProof(dst, tree, nil, 2, 2, 5) },
		"range beyond":         func() ([]Hash, error) { return AppendRangeProof(dst, tree, nil, 2, 6, 5) },
		"range backwards":      func() ([]Hash, error) { return AppendRangeProof(dst, tree, nil, 3, 2, 5) },
		"range of 8":           func() ([]Hash, error) { return AppendRangeProof(dst, tree, nil, 0, 2, 8) },
		"no indices":           func() ([]Hash, error) { return AppendMultiProof(dst, tree, nil, nil, 5) },
		"index twice":          func() ([]Hash, error) { return AppendMultiProof(dst, tree, nil, []uint64{1, 1}, 5) },
		"indices backwards":    func() ([]Hash, error) { return AppendMultiProof(dst, tree, nil, []uint64{2, 1}, 5) },
		"index 5 of 5":         func() ([]Hash, error) { return AppendMultiProof(dst, tree, nil, []uint64{1, 5}, 5) },
		"indices of 8":         func() ([]Hash, error) { return AppendMultiProof(dst, tree, nil, []uint64{1, 4}, 8) },
		"indices of 8, at end": func() ([]Hash, error) { return AppendMultiProof(dst, tree, nil, []uint64{5}, 8) },
	} {
		got, err := prove()
		if !errors.Is(err, ErrRange) {
			t.Errorf("%s: %v, want ErrRange", name, err)
		}
		if !slices.Equal(got, dst) {
			t.Errorf("%s: dst = %v, want it as it was", name, got)
		}
	}
}

// A hugeTree is a reader of a tree of any size, all of whose leaves are equal.
type hugeTree struct{ nodes [maxLevels]Hash }

func newHugeTree() *hugeTree {
	var r hugeTree
	r.nodes[0] = SHA256.Leaf(nil)
	for l := 1; l < maxLevels; l++ {
		r.nodes[l] = SHA256.Node(r.nodes[l-1], r.nodes[l-1])
	}
	return &r
}

func (r *hugeTree) Node(l int, _ uint64) (Hash, error) { return r.nodes[l], nil }

// TestHuge checks proofs of trees of up to 2^64-1 leaves, where shifts and sums
// overflow if they are not careful.
func TestHuge(t *testing.T) {
	r := newHugeTree()
	leaf := r.nodes[0]
	w := SHA256.worker()
	defer w.release()
	sizes := []uint64{1<<31 + 1, 1 << 32, 1<<32 + 1, 1<<63 - 1, 1 << 63, 1<<63 + 1, math.MaxUint64 - 1, math.MaxUint64}

	for i, size := range sizes {
		root, err := fold(r, w, 0, size)
		if err != nil {
			t.Fatal(err)
		}
		for _, index := range []uint64{0, 1, size / 3, size / 2, size - 2, size - 1} {
			p, err := AppendInclusion(nil, r, nil, index, size)
			if err != nil || len(p) > maxLevels {
				t.Fatalf("AppendInclusion(%d, %d) has %d hashes, %v", index, size, len(p), err)
			}
			if err := VerifyInclusion(nil, p, index, size, leaf, root); err != nil {
				t.Errorf("leaf %d of %d: %v, want no error", index, size, err)
			}
			indices := []uint64{index}
			p, err = AppendMultiProof(nil, r, nil, indices, size)
			if err != nil {
				t.Fatal(err)
			}
			if err := VerifyMulti(nil, p, indices, size, []Hash{leaf}, root); err != nil {
				t.Errorf("leaf %d of %d by a multi-proof: %v, want no error", index, size, err)
			}
		}
		for _, lo := range []uint64{0, size/2 - 1, size - 3} {
			p, err := AppendRangeProof(nil, r, nil, lo, lo+3, size)
			if err != nil {
				t.Fatal(err)
			}
			if err := VerifyRange(nil, p, lo, size, []Hash{leaf, leaf, leaf}, root); err != nil {
				t.Errorf("leaves [%d, %d) of %d: %v, want no error", lo, lo+3, size, err)
			}
		}
		for _, old := range append(sizes[:i:i], 1, 2, 3, size-1, size) {
			p, err := AppendConsistency(nil, r, nil, old, size)
			if err != nil {
				t.Fatal(err)
			}
			oldRoot, err := fold(r, w, 0, old)
			if err != nil {
				t.Fatal(err)
			}
			if err := VerifyConsistency(nil, p, old, size, oldRoot, root); err != nil {
				t.Errorf("from %d to %d: %v, want no error", old, size, err)
			}
		}
	}
}

// A brokenReader fails once, after some nodes.
type brokenReader struct {
	NodeReader
	left int
}

var errBroken = errors.New("the disk is gone")

func (r *brokenReader) Node(l int, i uint64) (Hash, error) {
	if r.left--; r.left == -1 {
		return Hash{}, errBroken
	}
	return r.NodeReader.Node(l, i)
}

// TestReaderFails checks that an error of a reader, at whichever node, is
// returned, and leaves dst alone.
func TestReaderFails(t *testing.T) {
	tree := treeOf(numbers(47))
	dst := []Hash{{1}}
	for name, prove := range map[string]func(r NodeReader) ([]Hash, error){
		"inclusion":      func(r NodeReader) ([]Hash, error) { return AppendInclusion(dst, r, nil, 21, 47) },
		"inclusion, end": func(r NodeReader) ([]Hash, error) { return AppendInclusion(dst, r, nil, 46, 47) },
		"consistency":    func(r NodeReader) ([]Hash, error) { return AppendConsistency(dst, r, nil, 21, 47) },
		"range":          func(r NodeReader) ([]Hash, error) { return AppendRangeProof(dst, r, nil, 21, 30, 47) },
		"multi":          func(r NodeReader) ([]Hash, error) { return AppendMultiProof(dst, r, nil, []uint64{3, 21}, 47) },
	} {
		whole := &brokenReader{tree, math.MaxInt}
		if _, err := prove(whole); err != nil {
			t.Fatal(err)
		}
		for n := range math.MaxInt - whole.left {
			got, err := prove(&brokenReader{tree, n})
			if !errors.Is(err, errBroken) {
				t.Errorf("%s: %v after %d nodes, want that of the reader", name, err, n)
			}
			if !slices.Equal(got, dst) {
				t.Errorf("%s: dst = %v after %d nodes, want it as it was", name, got, n)
			}
		}
	}
}
