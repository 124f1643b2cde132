// SPDX-License-Identifier: MIT

package merkle

import (
	"bytes"
	"crypto/sha512"
	"encoding"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/cespare/xxhash/v2"
)

// A form is everything that has a binary form.
type form interface {
	encoding.BinaryAppender
	encoding.BinaryMarshaler
	encoding.BinaryUnmarshaler
}

// forms returns one value of each kind, and another one to read it into.
func forms() map[string][2]form {
	proof := Proof(leafHashes(numbers(5)))
	file := File{Root: SHA256.Leaf(nil), Size: 100_000, ChunkSize: minChunk}
	return map[string][2]form{
		"Tree":  {treeOf(numbers(11)), new(Tree)},
		"Range": {rangeOf(3, numbers(11)), new(Range)},
		"Proof": {&proof, new(Proof)},
		"File":  {&file, &File{ChunkSize: minChunk}},
	}
}

func mustMarshal(t testing.TB, f encoding.BinaryMarshaler) []byte {
	t.Helper()
	b, err := f.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestStored checks that each form is read as it was written, and appended to
// what is there.
func TestStored(t *testing.T) {
	for name, f := range forms() {
		b := mustMarshal(t, f[0])
		if got, err := f[0].AppendBinary([]byte("before")); err != nil || string(got) != "before"+string(b) {
			t.Errorf("%s: AppendBinary = %x, %v, want %x behind the text", name, got, err, b)
		}
		if err := f[1].UnmarshalBinary(b); err != nil {
			t.Errorf("%s: %v, want no error", name, err)
		}
		if got := mustMarshal(t, f[1]); !bytes.Equal(got, b) {
			t.Errorf("%s: written again %x, want %x", name, got, b)
		}
	}
}

// TestStoredLargestFile checks the name of the largest file there can be.
func TestStoredLargestFile(t *testing.T) {
	want := File{Root: SHA256.Leaf(nil), Size: math.MaxInt64, ChunkSize: maxChunk}
	var got File
	if err := got.UnmarshalBinary(mustMarshal(t, want)); err != nil || got != want {
		t.Errorf("UnmarshalBinary = %+v, %v, want %+v", got, err, want)
	}
}

// TestStoredEmpty checks the shortest forms there are.
func TestStoredEmpty(t *testing.T) {
	for name, f := range map[string][2]form{
		"Range": {NewRange(nil, 7), new(Range)},
		"Proof": {new(Proof), &Proof{{1}}},
	} {
		b := mustMarshal(t, f[0])
		if err := f[1].UnmarshalBinary(b); err != nil || len(b) != headerBytes+sumBytes {
			t.Errorf("%s of %d bytes: %v, want %d bytes", name, len(b), err, headerBytes+sumBytes)
		}
		if got := mustMarshal(t, f[1]); !bytes.Equal(got, b) {
			t.Errorf("%s: written again %x, want %x", name, got, b)
		}
	}
}

// TestStoredNoFile checks that a File that names no file is not stored: nobody
// could read it.
func TestStoredNoFile(t *testing.T) {
	for _, f := range []File{{}, {Size: -1, ChunkSize: minChunk}, {ChunkSize: minChunk + 1}} {
		_, err := f.MarshalBinary()
		got, appendErr := f.AppendBinary([]byte("x"))
		if !errors.Is(err, ErrRange) || !errors.Is(appendErr, ErrRange) || string(got) != "x" {
			t.Errorf("%+v is stored: %v, and appended to x: %q, %v; want ErrRange", f, err, got, appendErr)
		}
	}
}

// TestStoredTree checks, for sizes at the edges of blocks, that a tree that is
// read has all nodes, and can grow.
func TestStoredTree(t *testing.T) {
	for _, n := range []int{0, 1, 15, 16, 17, 2047, 2048, 2049, 9000} {
		want := treeOf(numbers(n))
		b := mustMarshal(t, want)
		if len(b) != 72+32*n {
			t.Errorf("%d leaves take %d bytes, want %d", n, len(b), 72+32*n)
		}
		var buf bytes.Buffer
		if k, err := want.WriteTo(&buf); err != nil || k != int64(len(b)) || !bytes.Equal(buf.Bytes(), b) {
			t.Fatalf("%d leaves: WriteTo = %d, %v, and the bytes are equal: %t", n, k, err, bytes.Equal(buf.Bytes(), b))
		}
		buf.WriteString("next")

		var fromBytes, fromReader Tree
		fromReader.Append([]byte("replaced"))
		if err := fromBytes.UnmarshalBinary(b); err != nil {
			t.Fatal(err)
		}
		if k, err := fromReader.ReadFrom(&buf); err != nil || k != int64(len(b)) || buf.String() != "next" {
			t.Fatalf("%d leaves: ReadFrom = %d, %v, and leaves %q", n, k, err, &buf)
		}
		want.Append([]byte("more"))
		for name, got := range map[string]*Tree{"UnmarshalBinary": &fromBytes, "ReadFrom": &fromReader} {
			got.Append([]byte("more"))
			for l := 0; want.Len()>>l > 0; l++ {
				for i := range want.Len() >> l {
					if *got.levels[l].at(i) != *want.levels[l].at(i) {
						t.Fatalf("%s, %d leaves: node %d of level %d differs", name, n, i, l)
					}
				}
			}
		}
	}
}

// TestDamage checks that a bit that flips, or bytes that are missing or too
// many, are found in each form, and leave the value as it was.
func TestDamage(t *testing.T) {
	for name, f := range forms() {
		b := mustMarshal(t, f[0])
		was := mustMarshal(t, f[1])
		refused := func(what string, bad []byte) {
			t.Helper()
			if err := f[1].UnmarshalBinary(bad); !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
				t.Errorf("%s, %s: %v, want ErrCorrupt or ErrVersion", name, what, err)
			}
			if got := mustMarshal(t, f[1]); !bytes.Equal(got, was) {
				t.Fatalf("%s, %s: the value changed", name, what)
			}
		}
		for i := range len(b) * 8 {
			bad := slices.Clone(b)
			bad[i/8] ^= 1 << (i % 8)
			refused("bit flipped", bad)
		}
		for n := range b {
			refused("cut", b[:n])
		}
		refused("longer", append(slices.Clone(b), 0))
	}
}

// resummed returns a copy of b after change, with the checksum put right.
func resummed(b []byte, change func(b []byte) []byte) []byte {
	b = change(slices.Clone(b))
	end := len(b) - sumBytes
	binary.LittleEndian.PutUint64(b[end:], xxhash.Sum64(b[:end]))
	return b
}

// TestForgedForms checks headers and bodies that lie, whose checksum is right.
func TestForgedForms(t *testing.T) {
	set := func(at int, v uint64) func(b []byte) []byte {
		return func(b []byte) []byte { binary.LittleEndian.PutUint64(b[at:], v); return b }
	}
	flip := func(at int) func(b []byte) []byte {
		return func(b []byte) []byte { b[at] ^= 2; return b }
	}
	fs := forms()

	for _, c := range []struct {
		form, what string
		change     func(b []byte) []byte
		want       error
	}{
		{"Tree", "a later version", flip(8), ErrVersion},
		{"Tree", "another kind", flip(10), ErrVersion},
		{"Tree", "a reserved byte", flip(15), ErrVersion},
		{"Tree", "b", set(24, 1), ErrVersion},
		{"Tree", "2^64-1 leaves", set(16, 1<<64-1), ErrCorrupt},
		{"Tree", "2^59 leaves", set(16, 1<<59-1), ErrCorrupt},
		{"Tree", "a leaf less", set(16, 10), ErrCorrupt},
		{"Tree", "another leaf", flip(40), ErrCorrupt},
		{"Tree", "another root", flip(32 + 11*32), ErrCorrupt},
		{"Tree", "no root", func([]byte) []byte {
			return append(header{kind: kindTree, a: 1<<64 - 1}.append(nil), make([]byte, 8)...)
		}, ErrCorrupt},
		{"Range", "backwards", set(24, 2), ErrCorrupt},
		{"Range", "backwards, and no hashes", func([]byte) []byte {
			return append(header{kind: kindRange, a: 3, b: 2}.append(nil), make([]byte, 8)...)
		}, ErrCorrupt},
		{"Range", "longer", set(24, 1<<64-1), ErrCorrupt},
		{"Range", "half a hash", func(b []byte) []byte { return b[:len(b)-16] }, ErrCorrupt},
		{"Range", "a tree", func([]byte) []byte { return mustMarshal(t, fs["Tree"][0]) }, ErrVersion},
		{"Proof", "more hashes", set(16, 6), ErrCorrupt},
		{"Proof", "2^59 hashes more", set(16, 1<<59+5), ErrCorrupt},
		{"Proof", "b", set(24, 1), ErrVersion},
		{"File", "a negative size", set(16, 1<<63), ErrCorrupt},
		{"File", "chunks of 3 KiB", set(24, 3<<10), ErrCorrupt},
		{"File", "chunks of 2^63", set(24, 1<<63), ErrCorrupt},
		{"File", "chunks of 2^32+1024", set(24, 1<<32+1024), ErrCorrupt},
		{"File", "two roots", func(b []byte) []byte { return append(b, b[:32]...) }, ErrCorrupt},
	} {
		bad := resummed(mustMarshal(t, fs[c.form][0]), c.change)
		if err := fs[c.form][1].UnmarshalBinary(bad); !errors.Is(err, c.want) {
			t.Errorf("%s with %s: %v, want %v", c.form, c.what, err, c.want)
		}
		if c.form != "Tree" {
			continue
		}
		if _, err := new(Tree).ReadFrom(bytes.NewReader(bad)); !errors.Is(err, c.want) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("ReadFrom of %s with %s: %v, want %v", c.form, c.what, err, c.want)
		}
	}
}

// TestStoredOtherHash checks that a tree is not read with another hash
// function than it was made with.
func TestStoredOtherHash(t *testing.T) {
	b := mustMarshal(t, treeOf(numbers(5)))
	other := NewTree(NewHasher(sha512.New512_256))
	if err := other.UnmarshalBinary(b); !errors.Is(err, ErrCorrupt) || other.Len() != 0 {
		t.Errorf("UnmarshalBinary = %v, and the tree has %d leaves; want ErrCorrupt, and none", err, other.Len())
	}
}

// TestReadFrom checks what a reader gets that ends early, fails, or is empty,
// and a writer that fails.
func TestReadFrom(t *testing.T) {
	tree := treeOf(numbers(3000))
	b := mustMarshal(t, tree)
	var got Tree
	if n, err := got.ReadFrom(bytes.NewReader(nil)); n != 0 || err != io.EOF {
		t.Errorf("ReadFrom of nothing = %d, %v, want 0, EOF", n, err)
	}
	for _, cut := range []int{1, 31, 32, 33, 64, 70_000, len(b) - 41, len(b) - 8, len(b) - 1} {
		if n, err := got.ReadFrom(bytes.NewReader(b[:cut])); n != int64(cut) || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("ReadFrom of %d bytes = %d, %v, want all, ErrUnexpectedEOF", cut, n, err)
		}
		r := io.MultiReader(bytes.NewReader(b[:cut]), iotest.ErrReader(errBroken))
		if _, err := got.ReadFrom(r); !errors.Is(err, errBroken) {
			t.Errorf("ReadFrom of a reader that fails after %d bytes: %v, want its error", cut, err)
		}
		if n, err := tree.WriteTo(&shortWriter{left: cut}); n != int64(cut) || !errors.Is(err, errBroken) {
			t.Errorf("WriteTo of a writer that fails after %d bytes = %d, %v, want %d and its error", cut, n, err, cut)
		}
	}
	if got.Len() != 0 {
		t.Errorf("the tree has %d leaves after failures, want 0", got.Len())
	}
	if n, err := got.ReadFrom(iotest.OneByteReader(bytes.NewReader(b))); n != int64(len(b)) || err != nil || got.Root() != tree.Root() {
		t.Errorf("ReadFrom byte by byte = %d, %v, want %d", n, err, len(b))
	}
}

// A shortWriter fails after some bytes.
type shortWriter struct{ left int }

func (w *shortWriter) Write(b []byte) (int, error) {
	n := min(len(b), w.left)
	w.left -= n
	if n < len(b) {
		return n, errBroken
	}
	return n, nil
}
