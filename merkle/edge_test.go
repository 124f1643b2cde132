// SPDX-License-Identifier: MIT

package merkle

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
)

// TestVerifyInclusionBehind checks that no proof shows a leaf behind the last
// one, although its hashes lead to the root.
func TestVerifyInclusionBehind(t *testing.T) {
	leaf, other := SHA256.Leaf([]byte("a")), SHA256.Leaf([]byte("b"))
	root := SHA256.Node(other, leaf)
	if err := VerifyInclusion(nil, []Hash{other}, 1, 2, leaf, root); err != nil {
		t.Errorf("leaf 1 of 2: %v, want no error", err)
	}
	for size := range uint64(2) {
		if err := VerifyInclusion(nil, []Hash{other}, 1, size, leaf, root); !errors.Is(err, ErrProof) {
			t.Errorf("leaf 1 of %d: %v, want %v", size, err, ErrProof)
		}
	}
}

// A flaky writer fails once.
type flaky struct{ left int }

func (w *flaky) Write(b []byte) (int, error) {
	w.left--
	if w.left == 0 {
		return 0, io.ErrShortWrite
	}
	return len(b), nil
}

// TestWriteToFails checks that a write which fails is the last one, wherever it
// is.
func TestWriteToFails(t *testing.T) {
	tree := treeOf(bytesOf(100))
	writes := 0
	for i := 1; ; i++ {
		w := &flaky{left: i}
		_, err := tree.WriteTo(w)
		if w.left > 0 {
			break // there are less writes
		}
		writes++
		if !errors.Is(err, io.ErrShortWrite) || w.left != 0 {
			t.Errorf("write %d fails: %v after %d more, want %v at once", i, err, -w.left, io.ErrShortWrite)
		}
	}
	if writes < 3 {
		t.Errorf("%d writes, want the header, leaves and the checksum at least", writes)
	}
}

// TestShortCounts checks that bytes are not taken for written, or read, because
// the writer or reader that left them out gives no error.
func TestShortCounts(t *testing.T) {
	tree := treeOf(bytesOf(100))
	if n, err := tree.WriteTo(quiet{}); n != 7 || !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("WriteTo = %d, %v, want 7, %v", n, err, io.ErrShortWrite)
	}

	b := contents(testChunk)
	f, nodes := mustSum(t, b)
	_, _, sumErr := SumFile(t.Context(), quiet{}, f.Size, smallChunks)
	_, readErr := f.ReaderAt(quiet{}, nodes).ReadAt(make([]byte, 1), 0)
	_, sliceErr := f.AppendSlice(nil, quiet{}, nodes, 0, f.Size)
	for name, err := range map[string]error{"SumFile": sumErr, "ReaderAt": readErr, "AppendSlice": sliceErr} {
		if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "read at 7:") {
			t.Errorf("%s: %v, want an unexpected end at 7", name, err)
		}
	}
}

// A quiet writer and reader does 7 bytes of what it was asked for, and gives no
// error.
type quiet struct{}

func (quiet) Write(b []byte) (int, error)           { return min(len(b), 7), nil }
func (quiet) ReadAt(b []byte, _ int64) (int, error) { return min(len(b), 7), nil }

// TestReadErrors checks the errors of a file that ends early, and of one that
// cannot be.
func TestReadErrors(t *testing.T) {
	_, _, err := SumFile(t.Context(), bytes.NewReader(make([]byte, 1500)), 2048, &FileOptions{ChunkSize: 1024})
	if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "read at 1500:") {
		t.Errorf("SumFile = %v, want an unexpected end at 1500", err)
	}
	broken := readerAtFunc(func([]byte, int64) (int, error) { return 5, errBroken })
	_, _, err = SumFile(t.Context(), broken, 2048, nil)
	if !errors.Is(err, errBroken) || errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("SumFile of a reader that fails = %v, want its error", err)
	}
	f, nodes := mustSum(t, make([]byte, 2*testChunk))
	_, err = io.ReadAll(f.NewReader(bytes.NewReader(make([]byte, 1500)), nodes))
	if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "read at 1500:") {
		t.Errorf("NewReader = %v, want an unexpected end at 1500", err)
	}
	r := (&File{Size: -1}).ReaderAt(bytes.NewReader(nil), new(Tree))
	if n, err := r.ReadAt(make([]byte, 1), 0); n != 0 || err == nil {
		t.Errorf("ReadAt of a file of -1 bytes = %d, %v", n, err)
	}
}

// TestAppendAllProcs checks that AppendAll leaves GOMAXPROCS alone.
func TestAppendAllProcs(t *testing.T) {
	before := runtime.GOMAXPROCS(3)
	defer runtime.GOMAXPROCS(before)
	var tree Tree
	if err := tree.AppendAll(t.Context(), bytesOf(3000)); err != nil {
		t.Fatal(err)
	}
	if got := runtime.GOMAXPROCS(0); got != 3 {
		t.Errorf("GOMAXPROCS = %d after AppendAll, want 3", got)
	}
}

// TestListBounds checks where a list takes the place of parts, and that one
// which must be given has an item although there is room for none.
func TestListBounds(t *testing.T) {
	for _, n := range []int{listKeys, listKeys + 1} {
		x := NewIndex(secret, nil)
		for i := range n {
			x.Set(fmt.Sprint(i), Digest{})
		}
		w := SHA256.worker()
		var out writer
		x.answer(w, &out, &piece{mode: modePrint, hi: openEnd}, defaultFrame, true)
		w.release()
		if got, want := mode(out.b[0]&^ends) == modeList, n == listKeys; got != want {
			t.Errorf("%d keys are listed: %v, want %v", n, got, want)
		}
	}

	x := NewIndex(secret, nil)
	for i := range 100 {
		x.Set(fmt.Sprintf("%02d", i), Digest{})
	}
	for room := -10; room < 100; room++ {
		var out writer
		x.listLocked(&out, &piece{mode: modeWant, hi: openEnd}, 100, room, true)
		if len(out.b) < 2 || mode(out.b[0]) != modeList {
			t.Errorf("room of %d: %x, want a list of some items", room, out.b)
		}
	}
}
