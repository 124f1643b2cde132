// SPDX-License-Identifier: MIT

package merkle

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"sync/atomic"
)

// A File names the contents of a file, so that any part of it can be checked
// without the rest. The chunks of the file are the leaves of a tree, with
// [SHA256]. A program that has the three fields from a place that is trusted
// can take the bytes and the nodes of the tree from anywhere.
type File struct {
	// Root is the root of the chunks.
	Root Hash
	// Size is the number of bytes.
	Size int64
	// ChunkSize is the number of bytes in each chunk but the last.
	ChunkSize int
}

// validate returns an error if f names no file.
func (f File) validate() error {
	if f.Size < 0 || !validChunk(int64(f.ChunkSize)) {
		return fmt.Errorf("%w: a file of %d bytes in chunks of %d", ErrRange, f.Size, f.ChunkSize)
	}
	return nil
}

// chunks returns the number of chunks.
func (f File) chunks() uint64 {
	c := int64(f.ChunkSize)
	return uint64(f.Size/c + min(f.Size%c, 1))
}

// chunkLen returns the length of chunk i.
func (f File) chunkLen(i uint64) int {
	return int(min(int64(f.ChunkSize), f.Size-f.chunkOff(i)))
}

// chunkOff returns where chunk i begins.
func (f File) chunkOff(i uint64) int64 { return int64(i) * int64(f.ChunkSize) }

// sumBatch is the number of chunks whose hashes SumFile holds before they go
// into the tree.
const sumBatch = 4096

// SumFile reads the first size bytes of r and returns their name, and the tree
// of their chunks. If opts is nil, the defaults are used. It reads and hashes
// on as many goroutines as [runtime.GOMAXPROCS] says, which end before it
// returns. If r ends early, the error wraps [io.ErrUnexpectedEOF]; else it is
// that of r, of opts, or ctx.Err(). If r panics, so does SumFile.
//
// The tree is what the readers of the file need. [Tree.WriteTo] stores it, or
// sends it to them, in 32 bytes a chunk.
func SumFile(ctx context.Context, r io.ReaderAt, size int64, opts *FileOptions) (File, *Tree, error) {
	if err := opts.Validate(); err != nil {
		return File{}, nil, err
	}
	f := File{Size: size, ChunkSize: opts.resolve().ChunkSize}
	if err := f.validate(); err != nil {
		return File{}, nil, err
	}

	// Memory follows the bytes that were read, not the size.
	var t Tree
	w := SHA256.worker()
	defer w.release()
	for n := f.chunks(); t.Len() < n; {
		hashes := make([]Hash, min(sumBatch, n-t.Len()))
		if err := f.sumChunks(ctx, r, t.Len(), hashes); err != nil {
			return File{}, nil, err
		}
		t.addHashes(w, hashes)
	}
	f.Root = t.Root()
	return f, &t, nil
}

// sumChunks sets hashes to those of the chunks from chunk first on.
func (f File) sumChunks(ctx context.Context, r io.ReaderAt, first uint64, hashes []Hash) error {
	// Each goroutine takes the next chunk, until none is left.
	c, ctx := newCrew(ctx)
	var next atomic.Int64
	for range min(runtime.GOMAXPROCS(0), len(hashes)) {
		c.run(func() error { // returns when no chunk is left
			w := SHA256.worker()
			defer w.release()
			buf := make([]byte, f.ChunkSize)

			for {
				i := int(next.Add(1) - 1)
				if i >= len(hashes) {
					return nil
				}
				if err := ctx.Err(); err != nil {
					return err
				}

				chunk := first + uint64(i)
				b := buf[:f.chunkLen(chunk)]
				if err := readAt(r, b, f.chunkOff(chunk)); err != nil {
					return err
				}
				hashes[i] = w.leaf(b)
			}
		})
	}
	return c.wait()
}

// readAt reads all of b, or returns an error: at the end of r,
// [io.ErrUnexpectedEOF].
func readAt(r io.ReaderAt, b []byte, off int64) error {
	n, err := r.ReadAt(b, off)
	if n == len(b) {
		return nil // the error, if there is one, is that the file ends here
	}
	if err == nil || err == io.EOF { // nil is against the rules of io.ReaderAt
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("merkle: read at %d: %w", off+int64(n), err)
}

// A FileHasher computes the name of a file that is written to it. Use
// [NewFileHasher]; methods of a zero FileHasher panic. It is not safe for
// concurrent use, and must not be copied.
type FileHasher struct {
	file  File
	tree  *Tree
	chunk []byte // the last one, which is not full
}

// NewFileHasher returns a FileHasher of an empty file. If opts is nil, the
// defaults are used. It panics if opts is not valid.
func NewFileHasher(opts *FileOptions) *FileHasher {
	if err := opts.Validate(); err != nil {
		panic(err)
	}
	c := opts.resolve().ChunkSize
	return &FileHasher{file: File{ChunkSize: c}, tree: new(Tree), chunk: make([]byte, 0, c)}
}

// Write adds b to the end of the file. It never fails.
func (h *FileHasher) Write(b []byte) (n int, err error) {
	if h.tree == nil {
		panic("merkle: zero FileHasher: use NewFileHasher")
	}
	n = len(b)
	h.file.Size += int64(n)

	// Full chunks go into the tree, and the rest waits for the next Write.
	for len(b) >= h.file.ChunkSize-len(h.chunk) {
		if len(h.chunk) == 0 { // the chunk lies in b: no copy
			h.tree.Append(b[:h.file.ChunkSize])
			b = b[h.file.ChunkSize:]
			continue
		}
		k := h.file.ChunkSize - len(h.chunk)
		h.tree.Append(append(h.chunk, b[:k]...))
		h.chunk = h.chunk[:0]
		b = b[k:]
	}
	h.chunk = append(h.chunk, b...)
	return n, nil
}

// Sum returns the name of the bytes that were written since the start or the
// last Sum, and the tree of their chunks. The next Write begins another file.
func (h *FileHasher) Sum() (File, *Tree) {
	if h.tree == nil {
		panic("merkle: zero FileHasher: use NewFileHasher")
	}
	if len(h.chunk) > 0 {
		h.tree.Append(h.chunk)
	}
	f, t := h.file, h.tree
	f.Root = t.Root()
	*h = FileHasher{file: File{ChunkSize: f.ChunkSize}, tree: new(Tree), chunk: h.chunk[:0]}
	return f, t
}
