// SPDX-License-Identifier: MIT

package merkle

import (
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestModelTree drives a tree through everything that changes it or proves
// something of it, and compares each answer with the definition.
func TestModelTree(t *testing.T) { rapid.Check(t, modelTree) }

func FuzzModelTree(f *testing.F) { f.Fuzz(rapid.MakeFuzz(modelTree)) }

// drawLeaves draws a few short leaves.
func drawLeaves(t *rapid.T) [][]byte {
	return rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 3), 0, 40).Draw(t, "leaves")
}

func modelTree(t *rapid.T) {
	var tree Tree
	var d [][]byte
	size := func(t *rapid.T, least int) int { return rapid.IntRange(least, len(d)).Draw(t, "size") }
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}

	t.Repeat(map[string]func(*rapid.T){
		"Append": func(t *rapid.T) {
			data := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "data")
			if got := tree.Append(data); got != uint64(len(d)) {
				t.Fatalf("Append = %d, want %d", got, len(d))
			}
			d = append(d, data)
		},
		"AppendHash": func(*rapid.T) {
			tree.AppendHash(SHA256.Leaf(nil))
			d = append(d, nil)
		},
		"AppendAll": func(t *rapid.T) {
			more := drawLeaves(t)
			check(tree.AppendAll(t.Context(), more))
			d = append(d, more...)
		},
		"RootAt": func(t *rapid.T) {
			n := size(t, 0)
			got, err := tree.RootAt(uint64(n))
			check(err)
			if want := slowRoot(d[:n]); got != want {
				t.Fatalf("RootAt(%d) = %v, want %v", n, got, want)
			}
		},
		"Inclusion": func(t *rapid.T) {
			if len(d) == 0 {
				return
			}
			n := size(t, 1)
			i := rapid.IntRange(0, n-1).Draw(t, "i")
			p, err := AppendInclusion(nil, &tree, nil, uint64(i), uint64(n))
			check(err)
			if want := slowPath(i, d[:n]); !slices.Equal(p, want) {
				t.Fatalf("AppendInclusion(%d, %d) = %v, want %v", i, n, p, want)
			}
			check(VerifyInclusion(nil, p, uint64(i), uint64(n), SHA256.Leaf(d[i]), slowRoot(d[:n])))
		},
		"Consistency": func(t *rapid.T) {
			if len(d) == 0 {
				return
			}
			n := size(t, 1)
			old := rapid.IntRange(1, n).Draw(t, "old")
			p, err := AppendConsistency(nil, &tree, nil, uint64(old), uint64(n))
			check(err)
			if want := slowConsistency(old, d[:n], true); !slices.Equal(p, want) {
				t.Fatalf("AppendConsistency(%d, %d) = %v, want %v", old, n, p, want)
			}
			check(VerifyConsistency(nil, p, uint64(old), uint64(n), slowRoot(d[:old]), slowRoot(d[:n])))
		},
		"": func(t *rapid.T) {
			if got := tree.Len(); got != uint64(len(d)) {
				t.Fatalf("Len = %d, want %d", got, len(d))
			}
			if got, want := tree.Root(), slowRoot(d); got != want {
				t.Fatalf("Root = %v, want %v", got, want)
			}
		},
	})
}

// TestPropLarge checks trees of random sizes up to some thousands: that a tree,
// a range and ranges merged in any order have one root, that leaves appended
// in batches are those appended one by one, and that proofs verify.
func TestPropLarge(t *testing.T) {
	most := 6000
	if raceEnabled || testing.Short() {
		most = 1500
	}
	d := numbers(most)
	leaves := leafHashes(d)
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, most).Draw(t, "n")
		cut := rapid.IntRange(0, n).Draw(t, "cut")
		var tree Tree
		for _, part := range [][][]byte{d[:cut], d[cut:n]} {
			if err := tree.AppendAll(t.Context(), part); err != nil {
				t.Fatal(err)
			}
		}
		root := tree.Root()
		if want := slowRoot(d[:n]); root != want {
			t.Fatalf("Root of %d leaves = %v, want %v", n, root, want)
		}
		left, right := rangeOf(0, d[:cut]), rangeOf(cut, d[cut:n])
		if err := left.Merge(right); err != nil {
			t.Fatal(err)
		}
		if got, err := left.Root(); got != root || err != nil {
			t.Fatalf("Root of two ranges = %v, %v, want %v", got, err, root)
		}

		provedAt(t, &tree, leaves[:n])
	})
}

// provedAt draws indices and checks the proofs of each kind for them.
func provedAt(t *rapid.T, tree *Tree, leaves []Hash) {
	n := len(leaves)
	size, root := uint64(n), tree.Root()
	i := rapid.IntRange(0, n-1).Draw(t, "i")
	p, err := AppendInclusion(nil, tree, nil, uint64(i), size)
	if err != nil {
		t.Fatal(err)
	}
	if err := VerifyInclusion(nil, p, uint64(i), size, leaves[i], root); err != nil {
		t.Fatal(err)
	}

	old := uint64(i + 1)
	oldRoot, err := tree.RootAt(old)
	if err != nil {
		t.Fatal(err)
	}
	p, err = AppendConsistency(p[:0], tree, nil, old, size)
	if err != nil {
		t.Fatal(err)
	}
	if err := VerifyConsistency(nil, p, old, size, oldRoot, root); err != nil {
		t.Fatal(err)
	}

	hi := rapid.IntRange(i+1, n).Draw(t, "hi")
	p, err = AppendRangeProof(p[:0], tree, nil, uint64(i), uint64(hi), size)
	if err != nil {
		t.Fatal(err)
	}
	if err := VerifyRange(nil, p, uint64(i), size, leaves[i:hi], root); err != nil {
		t.Fatal(err)
	}

	picked := rapid.SliceOfN(rapid.Uint64Range(0, size-1), 1, 20).Draw(t, "picked")
	slices.Sort(picked)
	picked = slices.Compact(picked)
	var hashes []Hash
	for _, j := range picked {
		hashes = append(hashes, leaves[j])
	}
	p, err = AppendMultiProof(p[:0], tree, nil, picked, size)
	if err != nil {
		t.Fatal(err)
	}
	if err := VerifyMulti(nil, p, picked, size, hashes, root); err != nil {
		t.Fatal(err)
	}
	hashes[0][0] ^= 1
	if err := VerifyMulti(nil, p, picked, size, hashes, root); !errors.Is(err, ErrProof) {
		t.Fatalf("VerifyMulti of another leaf = %v, want ErrProof", err)
	}
}
