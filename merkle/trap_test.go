// SPDX-License-Identifier: MIT

package merkle

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"slices"
	"testing"
)

// Each test is a fault that a Merkle tree in use had, or has. The names of the
// libraries are those of their repositories on GitHub.

// TestForgedNode checks that the children of a node, one after the other, do
// not pass as a leaf. They do where a leaf and a node are hashed alike
// (OpenZeppelin/openzeppelin-contracts#3091, the default of
// cbergoon/merkletree): the textbook's tree of tx1..tx4 has the root of two
// leaves that nobody put there.
func TestForgedNode(t *testing.T) {
	d := [][]byte{[]byte("tx1"), []byte("tx2"), []byte("tx3"), []byte("tx4")}
	pair := func(hash func(data []byte) Hash, i int) []byte {
		left, right := hash(d[i]), hash(d[i+1])
		return append(left[:], right[:]...)
	}
	plain := func(data []byte) Hash { return sha256.Sum256(data) }
	forged := [][]byte{pair(plain, 0), pair(plain, 2)}
	if textbookRoot(forged) != textbookRoot(d) {
		t.Fatal("the forgery does not work on the tree of the textbook: the test is wrong")
	}

	// Here it fails, also if the forger knows the prefix.
	tree := treeOf(d)
	for name, leaf := range map[string][]byte{
		"children":            pair(SHA256.Leaf, 0),
		"prefix and children": append([]byte{nodePrefix}, pair(SHA256.Leaf, 0)...),
	} {
		other := append([]byte{}, leaf...)
		if got := treeOf([][]byte{leaf, other}).Root(); got == tree.Root() {
			t.Errorf("%s: the forged tree has the root", name)
		}
		right, err := tree.Node(1, 1)
		if err != nil {
			t.Fatal(err)
		}
		for size := uint64(2); size < 6; size++ {
			if err := VerifyInclusion(nil, []Hash{right}, 0, size, SHA256.Leaf(leaf), tree.Root()); !errors.Is(err, ErrProof) {
				t.Errorf("%s: as leaf 0 of %d: %v, want ErrProof", name, size, err)
			}
		}
	}
}

// TestForgedOddLeaf checks that an odd list does not have the root of the list
// with its last leaf twice, as in a tree that duplicates it (CVE-2012-2459): of
// Bitcoin's blocks, one was valid and one was not (the default of
// cbergoon/merkletree and txaty/go-merkletree).
func TestForgedOddLeaf(t *testing.T) {
	d := [][]byte{[]byte("a"), []byte("b"), []byte("c")}
	longer := append(slices.Clone(d), d[2])
	if textbookRoot(d) != textbookRoot(longer) {
		t.Fatal("the forgery does not work on the tree of the textbook: the test is wrong")
	}
	if got := treeOf(d).Root(); got == treeOf(longer).Root() {
		t.Errorf("a b c and a b c c have the same root %v", got)
	}

	// No two lists of up to 6 leaves of two kinds have the same root.
	lists := map[Hash][]int{}
	for n := range 7 {
		for set := range 1 << n {
			list := make([]int, n)
			var tree Tree
			for i := range list {
				list[i] = set >> i & 1
				tree.Append([]byte{byte(list[i])})
			}
			if other, ok := lists[tree.Root()]; ok {
				t.Errorf("%v and %v have the same root", list, other)
			}
			lists[tree.Root()] = list
		}
	}
}

// TestTrapHostileProof checks that every index and size is defined, whatever
// the proof: there were proofs that panic, or allocate, before they are looked
// at (celestiaorg/nmt#141, #325, signalapp/libsignal#652,
// antouhou/rs-merkle#20, tari-project/tari#7968).
func TestTrapHostileProof(t *testing.T) {
	edges := []uint64{0, 1, 2, 1<<31 - 1, 1 << 31, 1<<32 + 1, 1<<63 - 1, 1 << 63, 1<<64 - 2, 1<<64 - 1}
	leaf := SHA256.Leaf(nil)
	for _, n := range []int{0, 1, 2, 63, 64, 65, 200} {
		proof := make([]Hash, n)
		for _, a := range edges {
			for _, b := range edges {
				for name, err := range map[string]error{
					"inclusion":   VerifyInclusion(nil, proof, a, b, leaf, Hash{}),
					"consistency": VerifyConsistency(nil, proof, a, b, leaf, Hash{}),
					"range":       VerifyRange(nil, proof, a, b, proof, Hash{}),
					"multi":       VerifyMulti(nil, proof, []uint64{a}, b, []Hash{leaf}, Hash{}),
				} {
					if !errors.Is(err, ErrProof) {
						t.Errorf("%s of %d, %d with %d hashes: %v, want ErrProof", name, a, b, n, err)
					}
				}
			}
		}
	}
}

// TestTrapMultiProof checks a proof of no leaves
// (OpenZeppelin/openzeppelin-contracts#5142), leaves that are not used
// (polytope-labs/solidity-merkle-trees#57), one of them beside the right one at
// the same index (antouhou/rs-merkle#52), and proofs of another shape
// (OpenZeppelin/openzeppelin-contracts#3743): none verifies.
func TestTrapMultiProof(t *testing.T) {
	tree := treeOf(numbers(4))
	leaves, root := leafHashes(numbers(4)), tree.Root()
	for name, err := range map[string]error{
		"no leaves":         VerifyMulti(nil, []Hash{root}, nil, 4, nil, root),
		"no leaves, range":  VerifyRange(nil, []Hash{root}, 0, 4, nil, root),
		"unused leaf":       VerifyMulti(nil, nil, []uint64{0, 1, 2, 3}, 4, append(slices.Clone(leaves), leaves[0]), root),
		"missing leaf":      VerifyMulti(nil, nil, []uint64{0, 1, 2, 3}, 4, leaves[:3], root),
		"index twice":       VerifyMulti(nil, nil, []uint64{0, 1, 1, 2, 3}, 4, slices.Insert(slices.Clone(leaves), 1, leaves[1]), root),
		"forged leaf":       VerifyMulti(nil, nil, []uint64{0, 1, 1, 2, 3}, 4, slices.Insert(slices.Clone(leaves), 2, SHA256.Leaf([]byte("forged"))), root),
		"indices backwards": VerifyMulti(nil, nil, []uint64{1, 0, 2, 3}, 4, leaves, root),
		"unused hash":       VerifyMulti(nil, leaves[:1], []uint64{0, 1, 2, 3}, 4, leaves, root),
	} {
		if !errors.Is(err, ErrProof) {
			t.Errorf("%s: %v, want ErrProof", name, err)
		}
	}
	if err := VerifyMulti(nil, nil, []uint64{0, 1, 2, 3}, 4, leaves, root); err != nil {
		t.Errorf("all leaves: %v, want no error", err)
	}
}

// TestTrapConsistencySizes checks that a proof shows what one old size had: a
// verifier that does not look at all of both sizes takes one proof for several
// (google/certificate-transparency-rfcs#100).
func TestTrapConsistencySizes(t *testing.T) {
	d := numbers(small() / 2)
	tree := treeOf(d)
	for size := uint64(1); size <= tree.Len(); size++ {
		root := slowRoot(d[:size])
		for old := uint64(1); old <= size; old++ {
			oldRoot := slowRoot(d[:old])
			p, err := AppendConsistency(nil, tree, nil, old, size)
			if err != nil {
				t.Fatal(err)
			}
			for other := range size + 2 {
				err := VerifyConsistency(nil, p, other, size, oldRoot, root)
				if ok := err == nil; ok != (other == old) || !ok && !errors.Is(err, ErrProof) {
					t.Errorf("the proof from %d to %d, as one from %d: %v", old, size, other, err)
				}
			}
		}
	}
}

// TestTrapFileLength checks that a stream whose length is not that of the
// contents does not end well, and that all bytes before are those of the file:
// a decoder showed the end before it had verified it (oconnor663/bao#2, #22).
func TestTrapFileLength(t *testing.T) {
	b := contents(3*testChunk + 100)
	f, tree := mustSum(t, b)
	longer := append(slices.Clone(b), make([]byte, 6*testChunk)...)
	for _, size := range []int{0, 1, testChunk - 1, testChunk, 2 * testChunk, 3 * testChunk, len(b) - 1, len(b) + 1, 4 * testChunk, 4*testChunk + 1, 8 * testChunk} {
		other := f
		other.Size = int64(size)
		data := bytes.NewReader(longer[:size])
		got, err := io.ReadAll(other.NewReader(data, tree))
		if err == nil || !bytes.HasPrefix(b, got) {
			t.Errorf("read as one of %d bytes: %d bytes and %v, want an error", size, len(got), err)
		}

		all := make([]byte, max(size, 1))
		n, err := other.ReaderAt(data, tree).ReadAt(all, 0)
		if err == nil || !bytes.HasPrefix(b, all[:n]) {
			t.Errorf("read at once as one of %d bytes: %d bytes and %v, want an error", size, n, err)
		}
	}
}

// TestTrapConsistencyFromNothing checks that no proof from the empty tree is
// accepted: every tree begins with it, so the proof says nothing, and verifiers
// that accept one accept any root.
func TestTrapConsistencyFromNothing(t *testing.T) {
	root := treeOf(numbers(3)).Root()
	for name, err := range map[string]error{
		"from 0 to 3": VerifyConsistency(nil, nil, 0, 3, SHA256.Empty(), root),
		"from 0 to 0": VerifyConsistency(nil, nil, 0, 0, root, root),
	} {
		if !errors.Is(err, ErrProof) {
			t.Errorf("%s: %v, want ErrProof", name, err)
		}
	}
}
