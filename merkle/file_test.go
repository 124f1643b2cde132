// SPDX-License-Identifier: MIT

package merkle

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// testChunk keeps files of several chunks small.
const testChunk = minChunk

var smallChunks = &FileOptions{ChunkSize: testChunk}

// contents returns n bytes like random ones.
func contents(n int) []byte {
	b := make([]byte, n)
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func mustSum(t interface{ Fatal(args ...any) }, b []byte) (File, *Tree) {
	f, tree, err := SumFile(context.Background(), bytes.NewReader(b), int64(len(b)), smallChunks)
	if err != nil {
		t.Fatal(err)
	}
	return f, tree
}

// fileSizes are those at the edges of chunks.
var fileSizes = []int{0, 1, testChunk - 1, testChunk, testChunk + 1, 3*testChunk - 1, 3 * testChunk, 7*testChunk + 100}

// TestPropFile checks that a file has the same name whether it is read or
// written, in whatever pieces: that of the list of its chunks.
func TestPropFile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := contents(rapid.OneOf(rapid.SampledFrom(fileSizes), rapid.IntRange(0, 20*testChunk)).Draw(t, "size"))
		f, tree := mustSum(t, b)
		want := File{Root: slowRoot(slices.Collect(slices.Chunk(b, testChunk))), Size: int64(len(b)), ChunkSize: testChunk}
		if f != want || tree.Root() != want.Root {
			t.Fatalf("SumFile = %v, and the root of the tree %v, want %v", f, tree.Root(), want)
		}

		h := NewFileHasher(smallChunks)
		for range 2 { // a hasher starts again after Sum
			for rest := b; len(rest) > 0; {
				n := rapid.IntRange(0, len(rest)).Draw(t, "n")
				if k, err := h.Write(rest[:n]); k != n || err != nil {
					t.Fatalf("Write of %d bytes = %d, %v", n, k, err)
				}
				rest = rest[n:]
			}
			if got, tree := h.Sum(); got != want || tree.Root() != want.Root {
				t.Fatalf("Sum = %v, and the root of the tree %v, want %v", got, tree.Root(), want)
			}
		}
	})
}

// TestFileHasherEdges checks writes that begin and end near the end of a chunk.
func TestFileHasherEdges(t *testing.T) {
	b := contents(4 * testChunk)
	want, _ := mustSum(t, b)
	cuts := []int{0, 1, 2, testChunk - 1, testChunk, testChunk + 1, 2*testChunk - 1, 2 * testChunk}
	for _, from := range cuts {
		for _, to := range cuts {
			h := NewFileHasher(smallChunks)
			for _, part := range [][]byte{b[:from], b[from:max(from, to)], b[max(from, to):]} {
				if n, err := h.Write(part); n != len(part) || err != nil {
					t.Fatalf("Write of %d bytes = %d, %v", len(part), n, err)
				}
			}
			if got, _ := h.Sum(); got != want {
				t.Errorf("cut at %d and %d: %v, want %v", from, to, got, want)
			}
		}
	}
}

// TestPropFileRead checks that the readers of a file return its bytes, and that
// a slice holds those that it was made for.
func TestPropFileRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := contents(rapid.OneOf(rapid.SampledFrom(fileSizes), rapid.IntRange(0, 20*testChunk)).Draw(t, "size"))
		f, tree := mustSum(t, b)
		if got, err := io.ReadAll(f.NewReader(bytes.NewReader(append(b, "more"...)), tree)); err != nil || !bytes.Equal(got, b) {
			t.Fatalf("NewReader reads %d bytes, %v, want the %d of the file", len(got), err, len(b))
		}

		r := f.ReaderAt(bytes.NewReader(b), tree)
		off := rapid.IntRange(0, len(b)+1).Draw(t, "off")
		part := make([]byte, rapid.IntRange(0, len(b)+1).Draw(t, "n"))
		n, err := r.ReadAt(part, int64(off))
		want := b[min(off, len(b)):min(off+len(part), len(b))]
		if !bytes.Equal(part[:n], want) {
			t.Fatalf("ReadAt of %d bytes at %d = %d, want %d", len(part), off, n, len(want))
		}
		if short := len(want) < len(part); short && err != io.EOF || !short && err != nil {
			t.Fatalf("ReadAt of %d bytes at %d of %d: %v", len(part), off, len(b), err)
		}

		if len(want) == 0 {
			return
		}
		slice, err := f.AppendSlice([]byte("before"), bytes.NewReader(b), tree, int64(off), int64(len(want)))
		if err != nil {
			t.Fatal(err)
		}
		got, err := f.OpenSlice(slice[len("before"):], int64(off), int64(len(want)))
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("OpenSlice = %d bytes, %v, want %d", len(got), err, len(want))
		}
	})
}

// TestFileReader checks the reader of a file as the standard library does.
func TestFileReader(t *testing.T) {
	b := contents(5*testChunk + 7)
	f, tree := mustSum(t, b)
	if err := iotest.TestReader(f.NewReader(iotest.OneByteReader(bytes.NewReader(b)), tree), b); err != nil {
		t.Error(err)
	}
	if err := iotest.TestReader(io.NewSectionReader(f.ReaderAt(bytes.NewReader(b), tree), 0, f.Size), b); err != nil {
		t.Error(err)
	}
}

// TestFileDamage checks that no byte of a chunk that is damaged is returned,
// but all before it, and that the error says where the chunk is.
func TestFileDamage(t *testing.T) {
	good := contents(6*testChunk + 100)
	f, tree := mustSum(t, good)
	for _, at := range []int{0, testChunk - 1, testChunk, 5*testChunk + 3, len(good) - 1} {
		b := slices.Clone(good)
		b[at] ^= 0x10
		chunk := at / testChunk * testChunk
		check := func(name string, got []byte, err error) {
			t.Helper()
			var bad *ChunkError
			if !errors.As(err, &bad) || !errors.Is(err, ErrProof) {
				t.Fatalf("%s with byte %d damaged: %v, want a ChunkError", name, at, err)
			}
			if bad.Off != int64(chunk) || bad.Len != min(testChunk, len(good)-chunk) {
				t.Errorf("%s: the chunk of %d bytes at %d is bad, want that at %d", name, bad.Len, bad.Off, chunk)
			}
			if !bytes.Equal(got, good[:chunk]) {
				t.Errorf("%s with byte %d damaged returns %d bytes, want %d", name, at, len(got), chunk)
			}
		}
		got, err := io.ReadAll(f.NewReader(bytes.NewReader(b), tree))
		check("NewReader", got, err)
		all := make([]byte, len(b))
		n, err := f.ReaderAt(bytes.NewReader(b), tree).ReadAt(all, 0)
		check("ReaderAt", all[:n], err)

		slice, err := f.AppendSlice(nil, bytes.NewReader(b), tree, int64(at), 1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.OpenSlice(slice, int64(at), 1); !errors.Is(err, ErrProof) {
			t.Errorf("OpenSlice with byte %d damaged: %v, want ErrProof", at, err)
		}
	}
}

// TestTrapUnverifiedNodes checks that no node is used that does not lead to the
// root: each bit of each node of the tree that a read needs. A reader of tiles
// did not check each against its parent (CVE-2026-56865, golang/go#80744).
func TestTrapUnverifiedNodes(t *testing.T) {
	b := contents(7 * testChunk)
	f, tree := mustSum(t, b)
	one := make([]byte, 1)
	for l := range 3 {
		for i := range tree.Len() >> l {
			for bit := range 8 * hashBytes {
				r := f.ReaderAt(bytes.NewReader(b), &liar{tree, l, i, bit})
				failed := 0
				for chunk := range f.chunks() {
					switch _, err := r.ReadAt(one, f.chunkOff(chunk)); {
					case errors.Is(err, ErrProof):
						failed++
					case err != nil:
						t.Fatal(err)
					case one[0] != b[f.chunkOff(chunk)]:
						t.Fatalf("a wrong byte of chunk %d", chunk)
					}
				}
				if failed == 0 && (l > 0 || i < 7) {
					t.Errorf("bit %d of node %d of level %d is wrong, and every read succeeds", bit, i, l)
				}
			}
		}
	}
}

// A liar flips a bit of a node.
type liar struct {
	*Tree
	level int
	index uint64
	bit   int
}

func (r *liar) Node(l int, i uint64) (Hash, error) {
	h, err := r.Tree.Node(l, i)
	if l == r.level && i == r.index {
		h[r.bit/8] ^= 1 << (r.bit % 8)
	}
	return h, err
}

// TestSliceMutations checks that a slice with any bit flipped, of another
// length, or for other bytes is refused, also with its checksum put right.
func TestSliceMutations(t *testing.T) {
	b := contents(5*testChunk + 10)
	f, tree := mustSum(t, b)
	const off, n = testChunk + 5, testChunk
	slice, err := f.AppendSlice(nil, bytes.NewReader(b), tree, off, n)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what string, bad []byte, off, n int64) {
		t.Helper()
		if _, err := f.OpenSlice(bad, off, n); !errors.Is(err, ErrProof) && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
			t.Errorf("%s: %v, want an error", what, err)
		}
	}

	for i := range len(slice) {
		bad := slices.Clone(slice)
		bad[i] ^= 1 << (i % 8)
		refused("bit flipped", bad, off, n)
		if i < len(slice)-sumBytes {
			refused("bit flipped, checksum right", resummed(bad, func(b []byte) []byte { return b }), off, n)
		}
	}

	for _, cut := range []int{0, 1, headerBytes, headerBytes + sumBytes, len(slice) - 1} {
		refused("cut", slice[:cut], off, n)
	}
	refused("cut, checksum right", resummed(slice, func(b []byte) []byte { return b[:len(b)-32] }), off, n)
	refused("longer, checksum right", resummed(slice, func(b []byte) []byte { return append(b, 0) }), off, n)
	refused("other bytes", slice, off+1, n)
	refused("fewer bytes", slice, off, n-1)
}

// TestFileRange checks files and parts of them that there are not.
func TestFileRange(t *testing.T) {
	b := contents(100)
	f, tree := mustSum(t, b)
	data := bytes.NewReader(b)
	for _, c := range [][2]int64{{-1, 1}, {0, 0}, {0, 101}, {100, 1}, {50, math.MaxInt64}, {math.MaxInt64, 1}, {0, -1}} {
		if got, err := f.AppendSlice([]byte("x"), data, tree, c[0], c[1]); !errors.Is(err, ErrRange) || string(got) != "x" {
			t.Errorf("AppendSlice(%d, %d) = %q, %v, want ErrRange", c[0], c[1], got, err)
		}
		if _, err := f.OpenSlice(nil, c[0], c[1]); !errors.Is(err, ErrRange) {
			t.Errorf("OpenSlice(%d, %d): %v, want ErrRange", c[0], c[1], err)
		}
	}
	if _, err := f.ReaderAt(data, tree).ReadAt(b, -1); !errors.Is(err, ErrRange) {
		t.Errorf("ReadAt(-1): %v, want ErrRange", err)
	}
	if n, err := f.ReaderAt(data, tree).ReadAt(b, math.MaxInt64); n != 0 || err != io.EOF {
		t.Errorf("ReadAt(MaxInt64) = %d, %v, want 0, EOF", n, err)
	}

	for _, bad := range []File{{Size: -1, ChunkSize: testChunk}, {Size: 1}, {Size: 1, ChunkSize: 3000}, {Size: 1, ChunkSize: 32 << 20}, {Size: 1, ChunkSize: -testChunk}} {
		_, readErr := bad.NewReader(data, tree).Read(make([]byte, 1))
		_, readAtErr := bad.ReaderAt(data, tree).ReadAt(make([]byte, 1), 0)
		_, sliceErr := bad.AppendSlice(nil, data, tree, 0, 1)
		_, openErr := bad.OpenSlice(nil, 0, 1)
		for name, err := range map[string]error{"NewReader": readErr, "ReaderAt": readAtErr, "AppendSlice": sliceErr, "OpenSlice": openErr} {
			if !errors.Is(err, ErrRange) {
				t.Errorf("%s of %+v: %v, want ErrRange", name, bad, err)
			}
		}
	}
}

// TestFileEnds checks data that ends early or fails, nodes that fail, and a
// name of no bytes that has a root.
func TestFileEnds(t *testing.T) {
	b := contents(3*testChunk + 1)
	f, tree := mustSum(t, b)
	for _, cut := range []int{0, 1, testChunk, len(b) - 1} {
		short := bytes.NewReader(b[:cut])
		_, _, sumErr := SumFile(t.Context(), short, f.Size, smallChunks)
		_, readErr := io.ReadAll(f.NewReader(bytes.NewReader(b[:cut]), tree))
		_, readAtErr := f.ReaderAt(short, tree).ReadAt(make([]byte, len(b)), 0)
		got, sliceErr := f.AppendSlice(nil, short, tree, 0, f.Size)
		for name, err := range map[string]error{"SumFile": sumErr, "NewReader": readErr, "ReaderAt": readAtErr, "AppendSlice": sliceErr} {
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s of %d bytes of %d: %v, want ErrUnexpectedEOF", name, cut, len(b), err)
			}
		}
		if got != nil {
			t.Errorf("AppendSlice of %d bytes = %d bytes and an error, want none", cut, len(got))
		}
	}

	_, readErr := f.NewReader(bytes.NewReader(b), &brokenReader{tree, 0}).Read(make([]byte, 1))
	_, sliceErr := f.AppendSlice(nil, bytes.NewReader(b), &brokenReader{tree, 0}, 0, 1)
	for name, err := range map[string]error{"NewReader": readErr, "AppendSlice": sliceErr} {
		if !errors.Is(err, errBroken) {
			t.Errorf("%s of nodes that fail: %v, want their error", name, err)
		}
	}

	empty := File{Root: f.Root, ChunkSize: testChunk}
	_, readErr = io.ReadAll(empty.NewReader(strings.NewReader(""), tree))
	_, readAtErr := empty.ReaderAt(bytes.NewReader(nil), tree).ReadAt(make([]byte, 1), 0)
	for name, err := range map[string]error{"NewReader": readErr, "ReaderAt": readAtErr} {
		if !errors.Is(err, ErrProof) {
			t.Errorf("%s of no bytes under the root of some: %v, want ErrProof", name, err)
		}
	}
}

// TestSumFileErrors checks what SumFile refuses.
func TestSumFileErrors(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx  context.Context
		size int64
		opts *FileOptions
		want error
	}{
		"canceled":      {ctx, 5000, nil, context.Canceled},
		"negative size": {t.Context(), -1, nil, ErrRange},
		"huge size":     {t.Context(), math.MaxInt64, nil, io.ErrUnexpectedEOF},
	} {
		if _, _, err := SumFile(c.ctx, bytes.NewReader(contents(5000)), c.size, c.opts); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}

	for _, c := range []int{-1, 1, 512, 1025, 3 << 10, 32 << 20} {
		opts := &FileOptions{ChunkSize: c}
		if _, _, err := SumFile(t.Context(), bytes.NewReader(nil), 0, opts); err == nil {
			t.Errorf("SumFile with chunks of %d: got no error, want one", c)
		}
		mustPanic(t, "power of two", func() { NewFileHasher(opts) })
	}

	if f, _, err := SumFile(t.Context(), bytes.NewReader(nil), 0, nil); err != nil || f.ChunkSize != 16<<10 || f.Root != SHA256.Empty() {
		t.Errorf("SumFile of no bytes = %v, %v, want the empty root in chunks of 16 KiB", f, err)
	}
	mustPanic(t, "use NewFileHasher", func() { _, _ = new(FileHasher).Write(nil) })
	mustPanic(t, "use NewFileHasher", func() { new(FileHasher).Sum() })
}

// TestChunkErrorText checks that the error says where the chunk is.
func TestChunkErrorText(t *testing.T) {
	got := (&ChunkError{Off: 4096, Len: 100}).Error()
	if want := "merkle: the chunk of 100 bytes at 4096"; !strings.HasPrefix(got, want) {
		t.Errorf("Error = %q, want a text that begins with %q", got, want)
	}
}
