// SPDX-License-Identifier: MIT

package merkle

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding"
	"encoding/binary"
	"errors"
	"hash"
	"slices"
	"sync"
	"testing"
)

// bytesOf returns n leaves: one byte each, the index.
func bytesOf(n int) [][]byte {
	d := make([][]byte, n)
	for i := range d {
		d[i] = []byte{byte(i)}
	}
	return d
}

// numbers returns n different leaves of 8 bytes.
func numbers(n int) [][]byte {
	d := make([][]byte, n)
	for i := range d {
		d[i] = binary.BigEndian.AppendUint64(nil, uint64(i))
	}
	return d
}

// treeOf returns a tree of the leaves d.
func treeOf(d [][]byte) *Tree {
	var t Tree
	for _, data := range d {
		t.Append(data)
	}
	return &t
}

// leafHashes returns the hashes of the leaves d.
func leafHashes(d [][]byte) []Hash {
	out := make([]Hash, len(d))
	for i := range d {
		out[i] = SHA256.Leaf(d[i])
	}
	return out
}

// TestTreeZero checks the tree without leaves, and that a tree returns indices
// in order.
func TestTreeZero(t *testing.T) {
	var tree Tree
	if got, want := tree.Root(), Hash(sha256.Sum256(nil)); got != want {
		t.Errorf("Root of the empty tree = %v, want %v", got, want)
	}
	if got := tree.Append(nil); got != 0 {
		t.Errorf("first Append = %d, want 0", got)
	}
	if got := tree.AppendHash(SHA256.Leaf(nil)); got != 1 {
		t.Errorf("AppendHash = %d, want 1", got)
	}
	if got, want := tree.Root(), slowRoot([][]byte{nil, nil}); got != want {
		t.Errorf("Root = %v, want %v", got, want)
	}
	if got := tree.Len(); got != 2 {
		t.Errorf("Len = %d, want 2", got)
	}
}

// TestTreeRange checks that what a tree does not have is an error.
func TestTreeRange(t *testing.T) {
	tree := treeOf(bytesOf(5))
	for _, c := range []struct {
		level int
		index uint64
		ok    bool
	}{{0, 4, true}, {0, 5, false}, {1, 1, true}, {1, 2, false}, {2, 0, true}, {3, 0, false}, {-1, 0, false}, {64, 0, false}, {63, 0, false}} {
		if _, err := tree.Node(c.level, c.index); (err == nil) != c.ok || err != nil && !errors.Is(err, ErrRange) {
			t.Errorf("Node(%d, %d): error %v, want ok %t", c.level, c.index, err, c.ok)
		}
	}
	if _, err := tree.RootAt(6); !errors.Is(err, ErrRange) {
		t.Errorf("RootAt(6) of 5 leaves: %v, want ErrRange", err)
	}
}

// TestTreeBlocks checks that locate, run and grow agree at every edge of a
// block.
func TestTreeBlocks(t *testing.T) {
	next := uint64(0)
	for block := range 16 {
		for _, at := range []int{0, blockLen(block) - 1} {
			if b, a := locate(next + uint64(at)); b != block || a != at {
				t.Fatalf("locate(%d) = %d, %d, want %d, %d", next+uint64(at), b, a, block, at)
			}
		}
		next += uint64(blockLen(block))
		var l level
		l.grow(next)
		if got := len(*l.blocks.Load()); got != block+1 {
			t.Fatalf("grow(%d) has %d blocks, want %d", next, got, block+1)
		}
		if got := len(l.run(next-3, 100)); got != 3 {
			t.Fatalf("run(%d, 100) has %d nodes, want 3", next-3, got)
		}
		l.grow(next + 1)
		if got := len(*l.blocks.Load()); got != block+2 {
			t.Fatalf("grow(%d) has %d blocks, want %d", next+1, got, block+2)
		}
	}
}

// TestAppendAll checks that leaves that are added together have the nodes that
// they have one by one, across the edges of parts and blocks.
func TestAppendAll(t *testing.T) {
	for _, batches := range [][]int{
		{0}, {1}, {1023, 1, 1}, {1024}, {1025, 2048}, {3, 5000, 7, 4096}, {8191, 2, 9000}, {5, 1 << 14, 333},
	} {
		n := 0
		for _, b := range batches {
			n += b
		}
		d := numbers(n)
		want := treeOf(d)

		var got Tree
		at := 0
		for _, b := range batches {
			if err := got.AppendAll(t.Context(), d[at:at+b]); err != nil {
				t.Fatal(err)
			}
			at += b
			if got.Len() != uint64(at) {
				t.Fatalf("%v: Len = %d, want %d", batches, got.Len(), at)
			}
		}

		for l := 0; n>>l > 0; l++ {
			for i := range uint64(n) >> l {
				if *got.levels[l].at(i) != *want.levels[l].at(i) {
					t.Fatalf("%v: node %d of level %d differs", batches, i, l)
				}
			}
		}
		if got.Root() != want.Root() {
			t.Fatalf("%v: Root = %v, want %v", batches, got.Root(), want.Root())
		}
	}
}

// TestAppendAllCanceled checks that a tree is as it was if the context ends
// before or between the parts.
func TestAppendAllCanceled(t *testing.T) {
	d := numbers(20_000)
	ctx, cancel := context.WithCancel(t.Context())
	hashed := 0
	var mu sync.Mutex
	h := NewHasher(func() hash.Hash {
		return hookHash{sha256.New(), func() {
			mu.Lock()
			defer mu.Unlock()
			if hashed++; hashed == 5000 {
				cancel()
			}
		}}
	})
	tree := NewTree(h)
	tree.Append([]byte("first"))
	root := tree.Root()

	for _, when := range []string{"between", "before"} {
		if err := tree.AppendAll(ctx, d); !errors.Is(err, context.Canceled) {
			t.Fatalf("canceled %s: AppendAll = %v, want context.Canceled", when, err)
		}
		if tree.Len() != 1 || tree.Root() != root {
			t.Fatalf("canceled %s: the tree changed: %d leaves", when, tree.Len())
		}
	}
	if err := tree.AppendAll(ctx, d[:3]); !errors.Is(err, context.Canceled) || tree.Len() != 1 {
		t.Fatalf("canceled before a few leaves: AppendAll = %v, and %d leaves, want context.Canceled, and 1", err, tree.Len())
	}
	if err := tree.AppendAll(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Fatalf("canceled before no leaves: AppendAll = %v, want context.Canceled", err)
	}
	if err := tree.AppendAll(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	want := treeOf(append([][]byte{[]byte("first")}, d...)).Root()
	if got := tree.Root(); got != want {
		t.Errorf("Root after two failures = %v, want %v", got, want)
	}
}

// A hookHash is a hash that calls reset at each Reset.
type hookHash struct {
	hash.Hash
	reset func()
}

func (h hookHash) Reset() { h.reset(); h.Hash.Reset() }

// TestHasher checks that leaves and nodes of all lengths are what the prefixes
// say, with both ways to hash and with another hash.
func TestHasher(t *testing.T) {
	plain := NewHasher(sha256.New) // whose state is not read
	other := NewHasher(sha512.New512_256)
	data := make([]byte, 300)
	for i := range data {
		data[i] = byte(i)
	}
	for n := range data {
		leaf := append([]byte{0}, data[:n]...)
		want := Hash(sha256.Sum256(leaf))
		for name, h := range map[string]*Hasher{"SHA256": SHA256, "nil": nil, "plain": plain} {
			if got := h.Leaf(data[:n]); got != want {
				t.Fatalf("%s: Leaf of %d bytes = %v, want %v", name, n, got, want)
			}
		}
		if got, want := other.Leaf(data[:n]), Hash(sha512.Sum512_256(leaf)); got != want {
			t.Fatalf("SHA-512/256: Leaf of %d bytes = %v, want %v", n, got, want)
		}
	}

	a, b := Hash(data[:32]), Hash(data[32:64])
	node := append([]byte{1}, data[:64]...)
	for name, h := range map[string]*Hasher{"SHA256": SHA256, "plain": plain} {
		if got, want := h.Node(a, b), Hash(sha256.Sum256(node)); got != want {
			t.Errorf("%s: Node = %v, want %v", name, got, want)
		}
		if got, want := h.Empty(), Hash(sha256.Sum256(nil)); got != want {
			t.Errorf("%s: Empty = %v, want %v", name, got, want)
		}
	}
	if got, want := other.Node(a, b), Hash(sha512.Sum512_256(node)); got != want {
		t.Errorf("SHA-512/256: Node = %v, want %v", got, want)
	}
	if !stateReadable() {
		t.Error("the state of a SHA-256 digest has another layout: hashing is slower than it was")
	}
	mustPanic(t, "32 bytes, got 64", func() { NewHasher(sha512.New) })
}

// A storedHash is a SHA-256 digest whose stored state is another one.
type storedHash struct {
	hash.Hash
	change func(state []byte) ([]byte, error)
}

func (h storedHash) AppendBinary(dst []byte) ([]byte, error) {
	b, err := h.Hash.(encoding.BinaryAppender).AppendBinary(nil)
	if err != nil {
		return dst, err
	}
	b, err = h.change(b)
	return append(dst, b...), err
}

// TestStateLayout checks that the state of a digest is read only if it is that
// of today, as far as it is read.
func TestStateLayout(t *testing.T) {
	if readable(struct{ hash.Hash }{sha256.New()}) {
		t.Error("a digest without a stored state is read")
	}
	for name, c := range map[string]struct {
		change func(b []byte) ([]byte, error)
		want   bool
	}{
		"as it is":      {func(b []byte) ([]byte, error) { return b, nil }, true},
		"what is read":  {func(b []byte) ([]byte, error) { return b[:36], nil }, true},
		"a byte less":   {func(b []byte) ([]byte, error) { return b[:35], nil }, false},
		"longer magic":  {func(b []byte) ([]byte, error) { return append([]byte{0}, b...), nil }, false},
		"little endian": {func(b []byte) ([]byte, error) { slices.Reverse(b[4:8]); return b, nil }, false},
		"an error":      {func(b []byte) ([]byte, error) { return b, errBroken }, false},
		"two blocks": {func(b []byte) ([]byte, error) {
			if b[len(b)-1] == 2*sha256.BlockSize { // what was written
				b[4] ^= 1
			}
			return b, nil
		}, false},
	} {
		if got := readable(storedHash{sha256.New(), c.change}); got != c.want {
			t.Errorf("%s: readable = %t, want %t", name, got, c.want)
		}
	}
}

// TestHasherOfTree checks that a tree, a range and proofs use the hash function
// that they were given.
func TestHasherOfTree(t *testing.T) {
	h := NewHasher(sha512.New512_256)
	tree := NewTree(h)
	r := NewRange(h, 0)
	for _, data := range numbers(6) {
		tree.Append(data)
		r.Append(data)
	}
	if got, err := r.Root(); got != tree.Root() || err != nil {
		t.Errorf("Root of the Range = %v, %v, want %v", got, err, tree.Root())
	}
	p, err := AppendInclusion(nil, tree, h, 2, 6)
	if err != nil {
		t.Fatal(err)
	}
	leaf := h.Leaf(numbers(6)[2])
	if err := VerifyInclusion(h, p, 2, 6, leaf, tree.Root()); err != nil {
		t.Error(err)
	}
	if err := VerifyInclusion(nil, p, 2, 6, leaf, tree.Root()); !errors.Is(err, ErrProof) {
		t.Errorf("with another hash: %v, want ErrProof", err)
	}
}

// TestHashText checks that the text of a hash is read as it is written, and
// that other text is refused.
func TestHashText(t *testing.T) {
	h := SHA256.Leaf(nil)
	text, err := h.MarshalText()
	if err != nil || string(text) != h.String() {
		t.Fatalf("MarshalText = %s, %v, want %v", text, err, h)
	}
	var back Hash
	if err := back.UnmarshalText(text); err != nil || back != h {
		t.Errorf("UnmarshalText = %v, %v, want %v", back, err, h)
	}
	for _, bad := range []string{"", h.String()[1:], h.String() + "0", "x" + h.String()[1:]} {
		if err := back.UnmarshalText([]byte(bad)); !errors.Is(err, ErrCorrupt) || back != h {
			t.Errorf("UnmarshalText(%q) = %v, and the hash is %v; want ErrCorrupt and %v", bad, err, back, h)
		}
	}
}
