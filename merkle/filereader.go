// SPDX-License-Identifier: MIT

package merkle

import (
	"fmt"
	"io"
	"sync"
)

// verifyChunk returns an error unless the nodes show that b is chunk i. It
// uses room for the proof, and returns it for the next call.
func (f File) verifyChunk(nodes NodeReader, room []Hash, i uint64, b []byte) ([]Hash, error) {
	n := f.chunks()
	room, err := AppendInclusion(room[:0], nodes, nil, i, n)
	if err != nil {
		return room, err
	}
	if VerifyInclusion(nil, room, i, n, SHA256.Leaf(b), f.Root) != nil {
		return room, &ChunkError{Off: f.chunkOff(i), Len: len(b)}
	}
	return room, nil
}

// verifyEmpty returns an error if f has no bytes, and a root that is not that
// of no bytes.
func (f File) verifyEmpty() error {
	if f.Size == 0 && f.Root != SHA256.Empty() {
		return &ChunkError{}
	}
	return nil
}

// NewReader returns a reader of the file f that takes its bytes from r and the
// nodes of the tree from nodes. It returns the bytes of a chunk only after it
// has verified the chunk; for a chunk that is not that of f, it returns a
// [ChunkError]. After Size bytes it returns [io.EOF], and reads no further; if
// r ends before, an error that wraps [io.ErrUnexpectedEOF]. The reader is not
// safe for concurrent use.
func (f File) NewReader(r io.Reader, nodes NodeReader) io.Reader {
	return &fileReader{file: f, r: r, nodes: nodes, err: f.validate()}
}

// A fileReader is what NewReader returns.
type fileReader struct {
	file  File
	r     io.Reader
	nodes NodeReader
	next  uint64 // the next chunk
	buf   []byte // room for a chunk
	left  []byte // the verified bytes of buf that were not read
	room  []Hash // for a proof
	err   error  // of the next Read, once nothing is left
}

// Read returns verified bytes.
func (r *fileReader) Read(b []byte) (n int, err error) {
	if len(b) == 0 {
		return 0, nil
	}
	if len(r.left) == 0 && r.err == nil {
		r.left, r.err = r.chunk()
	}
	if len(r.left) == 0 {
		return 0, r.err
	}
	n = copy(b, r.left)
	r.left = r.left[n:]
	return n, nil
}

// chunk reads and verifies the next chunk.
func (r *fileReader) chunk() ([]byte, error) {
	if r.next == r.file.chunks() {
		if err := r.file.verifyEmpty(); err != nil {
			return nil, err
		}
		return nil, io.EOF
	}

	// Read and verify the whole chunk: a part of it cannot be verified.
	if r.buf == nil {
		r.buf = make([]byte, r.file.chunkLen(0))
	}
	b := r.buf[:r.file.chunkLen(r.next)]
	if n, err := io.ReadFull(r.r, b); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("merkle: read at %d: %w", r.file.chunkOff(r.next)+int64(n), err)
	}
	var err error
	r.room, err = r.file.verifyChunk(r.nodes, r.room, r.next, b)
	if err != nil {
		return nil, err
	}
	r.next++
	return b, nil
}

// ReaderAt returns a reader of any part of the file f that takes its bytes from
// data and the nodes of the tree from nodes. Each call of ReadAt verifies the
// chunks that it touches, also those that another call has verified. For a
// chunk that is not that of f, ReadAt returns a [ChunkError] and the number of
// bytes before it. The reader is safe for concurrent use by multiple goroutines
// if data and nodes are.
func (f File) ReaderAt(data io.ReaderAt, nodes NodeReader) io.ReaderAt {
	return &fileReaderAt{file: f, data: data, nodes: nodes}
}

// A fileReaderAt is what ReaderAt returns.
type fileReaderAt struct {
	file  File
	data  io.ReaderAt
	nodes NodeReader
	rooms sync.Pool // of *fileRoom
}

// A fileRoom is what a call of ReadAt needs.
type fileRoom struct {
	chunk []byte
	proof []Hash
}

// ReadAt reads verified bytes, as [io.ReaderAt] says.
func (r *fileReaderAt) ReadAt(b []byte, off int64) (n int, err error) {
	f := r.file
	if err := f.validate(); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, fmt.Errorf("%w: read at %d", ErrRange, off)
	}
	if err := f.verifyEmpty(); err != nil {
		return 0, err
	}

	room, ok := r.rooms.Get().(*fileRoom)
	if !ok {
		room = &fileRoom{chunk: make([]byte, min(int64(f.ChunkSize), f.Size))}
	}
	defer r.rooms.Put(room)
	for n < len(b) {
		at := off + int64(n)
		if at < off || at >= f.Size { // it may overflow
			return n, io.EOF
		}

		// A chunk that b takes whole is read into b itself: b is scratch space
		// until ReadAt returns.
		i := uint64(at / int64(f.ChunkSize))
		skip := int(at - f.chunkOff(i))
		chunk := room.chunk[:f.chunkLen(i)]
		whole := skip == 0 && len(b)-n >= len(chunk)
		if whole {
			chunk = b[n : n+len(chunk)]
		}
		if err := readAt(r.data, chunk, f.chunkOff(i)); err != nil {
			return n, err
		}
		room.proof, err = f.verifyChunk(r.nodes, room.proof, i, chunk)
		if err != nil {
			return n, err
		}

		// The bytes are those of f.
		if whole {
			n += len(chunk)
		} else {
			n += copy(b[n:], chunk[skip:])
		}
	}
	return n, nil
}

// checkSlice returns the chunks [lo, hi) that the bytes [off, off+n) of f lie
// in, of which there is at least one.
func (f File) checkSlice(off, n int64) (lo, hi uint64, err error) {
	if err := f.validate(); err != nil {
		return lo, hi, err
	}
	if off < 0 || n < 1 || n > f.Size-off {
		return lo, hi, fmt.Errorf("%w: %d bytes at %d of %d", ErrRange, n, off, f.Size)
	}
	c := int64(f.ChunkSize)
	return uint64(off / c), uint64((off+n-1)/c + 1), nil
}

// AppendSlice appends to dst a slice of f: the chunks in which the bytes [off,
// off+n) lie, and the proof that they are those of f, in the format of
// FORMAT.md. It reads data and nodes, and verifies neither. It
// returns [ErrRange] unless 0 <= off < off+n <= f.Size, or the error of data or
// nodes; then dst is as it was.
func (f File) AppendSlice(dst []byte, data io.ReaderAt, nodes NodeReader, off, n int64) ([]byte, error) {
	lo, hi, err := f.checkSlice(off, n)
	if err != nil {
		return dst, err
	}
	proof, err := AppendRangeProof(nil, nodes, nil, lo, hi, f.chunks())
	if err != nil {
		return dst, err
	}

	// Chunks are appended as they are read.
	out := header{kind: kindSlice, a: uint64(off), b: uint64(n)}.append(dst)
	out = appendHashes(out, proof)
	for i := lo; i < hi; i++ {
		at := len(out)
		out = append(out, make([]byte, f.chunkLen(i))...)
		if err := readAt(data, out[at:], f.chunkOff(i)); err != nil {
			return dst, err
		}
	}
	return appendSum(out, len(dst)), nil
}

// OpenSlice returns the bytes [off, off+n) of f that slice holds, and shares
// memory with it. If slice was not made for them, or was changed, it returns an
// error that wraps [ErrProof], [ErrCorrupt] or [ErrVersion]; unless 0 <= off <
// off+n <= f.Size, [ErrRange].
func (f File) OpenSlice(slice []byte, off, n int64) ([]byte, error) {
	lo, hi, err := f.checkSlice(off, n)
	if err != nil {
		return nil, err
	}
	h, body, err := split(slice, kindSlice)
	if err != nil {
		return nil, err
	}
	if h.a != uint64(off) || h.b != uint64(n) {
		return nil, fmt.Errorf("%w: a slice of %d bytes at %d, want %d at %d", ErrProof, h.b, h.a, n, off)
	}

	// The length follows from what was asked for: check it first.
	p := pick{lo: lo, hi: hi}
	hashes := p.proofLen(0, f.chunks())
	first := f.chunkOff(lo)
	end := f.chunkOff(hi-1) + int64(f.chunkLen(hi-1))
	if want := int64(hashes)*int64(hashBytes) + end - first; int64(len(body)) != want {
		return nil, fmt.Errorf("%w: %d bytes, want %d", ErrProof, len(body), want)
	}
	proof := cutHashes(nil, body[:hashes*hashBytes])
	data := body[hashes*hashBytes:]

	leaves := make([]Hash, 0, hi-lo)
	for i := lo; i < hi; i++ {
		at := f.chunkOff(i) - first
		leaves = append(leaves, SHA256.Leaf(data[at:][:f.chunkLen(i)]))
	}
	if err := VerifyRange(nil, proof, lo, f.chunks(), leaves, f.Root); err != nil {
		return nil, err
	}
	return data[off-first:][:n:n], nil
}
