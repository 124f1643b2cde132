// SPDX-License-Identifier: MIT

package merkle

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"testing"
	"unsafe"
)

// TestAllocs checks that no operation of a hot path allocates.
func TestAllocs(t *testing.T) {
	if raceEnabled || invariants {
		t.Skip("the race detector and the checks allocate")
	}
	const n = 1000
	d := numbers(n)
	tree, leaves := treeOf(d), leafHashes(d)
	dst := make([]Hash, 0, 128)
	indices := []uint64{3, 500, 999}
	picked := []Hash{leaves[3], leaves[500], leaves[999]}
	root := tree.Root()
	oldRoot, err := tree.RootAt(500)
	if err != nil {
		t.Fatal(err)
	}
	path, _ := AppendInclusion(nil, tree, nil, 500, n)
	since, _ := AppendConsistency(nil, tree, nil, 500, n)
	span, _ := AppendRangeProof(nil, tree, nil, 3, 500, n)
	multi, _ := AppendMultiProof(nil, tree, nil, indices, n)
	r := rangeOf(0, d)
	proof, room := Proof(path), make([]byte, 0, 1<<16)
	long := make([]byte, 5000)

	for name, do := range map[string]func(){
		"Root":              func() { tree.Root() },
		"RootAt":            func() { _, _ = tree.RootAt(777) },
		"Node":              func() { _, _ = tree.Node(3, 5) },
		"Leaf":              func() { SHA256.Leaf(long); SHA256.Leaf(d[1]) },
		"AppendInclusion":   func() { _, _ = AppendInclusion(dst, tree, nil, 500, n) },
		"AppendConsistency": func() { _, _ = AppendConsistency(dst, tree, nil, 500, n) },
		"AppendRangeProof":  func() { _, _ = AppendRangeProof(dst, tree, nil, 3, 500, n) },
		"AppendMultiProof":  func() { _, _ = AppendMultiProof(dst, tree, nil, indices, n) },
		"VerifyInclusion":   func() { must(t, VerifyInclusion(nil, path, 500, n, leaves[500], root)) },
		"VerifyConsistency": func() { must(t, VerifyConsistency(nil, since, 500, n, oldRoot, root)) },
		"VerifyRange":       func() { must(t, VerifyRange(nil, span, 3, n, leaves[3:500], root)) },
		"VerifyMulti":       func() { must(t, VerifyMulti(nil, multi, indices, n, picked, root)) },
		"Range.Append":      func() { r.Append(long); r.AppendHash(root) },
		"Range.Root":        func() { _, _ = r.Root() },
		"AppendBinary":      func() { _, _ = tree.AppendBinary(room); _, _ = proof.AppendBinary(room) },
	} {
		t.Run(name, func(t *testing.T) {
			if n := testing.AllocsPerRun(200, do); n != 0 {
				t.Errorf("%v allocations, want 0", n)
			}
		})
	}

	x := NewIndex(secret, nil)
	for i := range 10_000 {
		x.Set(string(binary.BigEndian.AppendUint32(nil, uint32(i))), Digest{})
	}
	key, i := "\x00\x00\x03\xe8", uint64(0)
	if n := testing.AllocsPerRun(200, func() { i++; x.Set(key, digestOf(i)); x.Get(key); x.Len() }); n != 0 {
		t.Errorf("Index.Set, Get: %v allocations, want 0", n)
	}

	f, nodes, err := SumFile(t.Context(), bytes.NewReader(contents(64*testChunk)), 64*testChunk, smallChunks)
	if err != nil {
		t.Fatal(err)
	}
	stream := f.NewReader(bytes.NewReader(contents(64*testChunk)), nodes)
	part := make([]byte, testChunk)
	if n := testing.AllocsPerRun(60, func() { _, err := io.ReadFull(stream, part); must(t, err) }); n != 0 {
		t.Errorf("a chunk of a reader of a File: %v allocations, want 0", n)
	}

	at := f.ReaderAt(bytes.NewReader(contents(64*testChunk)), nodes)
	if n := testing.AllocsPerRun(200, func() { _, err := at.ReadAt(part, 7); must(t, err) }); n != 0 {
		t.Errorf("ReadAt of a File: %v allocations, want 0", n)
	}

	// The blocks of a tree are all that Append allocates: with the first
	// 20,000 leaves there, two blocks of the lowest levels in 1000 leaves.
	grown := treeOf(numbers(20_000))
	if n := testing.AllocsPerRun(1000, func() { grown.Append(d[1]) }); n > 0.01 {
		t.Errorf("Append: %v allocations, want at most 1 in 100", n)
	}
}

func must(t *testing.T, err error) {
	if err != nil {
		t.Helper()
		t.Error(err)
	}
}

// TestSizes pins the memory that doc.go promises: 64 bytes a leaf, and a block
// a level at most.
func TestSizes(t *testing.T) {
	const n = 1 << 17
	var tree Tree
	if err := tree.AppendAll(t.Context(), make([][]byte, n)); err != nil {
		t.Fatal(err)
	}
	hashes := 0
	for l := range tree.levels {
		if p := tree.levels[l].blocks.Load(); p != nil {
			for _, b := range *p {
				hashes += len(b)
			}
		}
	}
	if got, want := hashes*int(unsafe.Sizeof(Hash{})), 64*n+17*16*32; got > want {
		t.Errorf("%d leaves take %d bytes, want at most %d", n, got, want)
	}
	if got := unsafe.Sizeof(tree); got > 540 {
		t.Errorf("an empty tree takes %d bytes, want at most 540", got)
	}
}

// TestIndexBytes pins the memory of a key in an index, besides the key itself:
// keys that come in random order, and in order.
func TestIndexBytes(t *testing.T) {
	if raceEnabled || invariants {
		t.Skip("the size is the same without, and there sooner")
	}
	const n = 30_000
	for name, step := range map[string]int{"random": 7919, "in order": 1} {
		x := NewIndex(secret, nil)
		for i := range n {
			x.Set(fmt.Sprintf("%05d", i*step%n), Digest{})
		}
		if got := pageBytes(x.items.root) / n; got > 65 {
			t.Errorf("%s: %d bytes a key, want at most 65", name, got)
		} else {
			t.Logf("%s: %d bytes a key", name, got)
		}
	}
}

// pageBytes returns the bytes of p and of all below it.
func pageBytes(p *page) int {
	n := int(unsafe.Sizeof(*p)) + cap(p.digests)*16 + cap(p.kids)*8 + cap(p.tallies)*int(unsafe.Sizeof(tally{}))
	for _, kid := range p.kids {
		n += pageBytes(kid)
	}
	return n
}
