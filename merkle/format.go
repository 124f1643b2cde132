// SPDX-License-Identifier: MIT

package merkle

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"github.com/cespare/xxhash/v2"
)

// The layout of format 1; FORMAT.md has the table.
const (
	magic       = "ashlarmt"
	version     = 1
	headerBytes = 32
	hashBytes   = len(Hash{})
	sumBytes    = 8
	chunkBytes  = 1 << 16 // bytes of hashes that are written or read at a time
)

var errReserved = fmt.Errorf("%w: reserved bytes are set", ErrVersion)

// A kind says what was stored.
type kind byte

const (
	kindTree  kind = 1
	kindRange kind = 2
	kindProof kind = 3
	kindFile  kind = 4
	kindSlice kind = 5
)

// A header is the contents of the first 32 bytes: the kind, and two numbers
// that mean something else in each.
type header struct {
	kind kind
	a, b uint64
}

// append appends the 32 bytes of h to dst.
func (h header) append(dst []byte) []byte {
	dst = append(dst, magic...)
	dst = binary.LittleEndian.AppendUint16(dst, version)
	dst = append(dst, byte(h.kind), 0, 0, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint64(dst, h.a)
	return binary.LittleEndian.AppendUint64(dst, h.b)
}

// parseHeader reads the header of a form of kind k from b, which has 32 bytes
// at least.
func parseHeader(b []byte, k kind) (h header, err error) {
	// The magic first, then the version: in a form of another version, nothing
	// else has a known place.
	if string(b[:8]) != magic {
		return h, fmt.Errorf("%w: it does not begin with %q", ErrCorrupt, magic)
	}
	if v := binary.LittleEndian.Uint16(b[8:]); v != version {
		return h, fmt.Errorf("%w: version %d", ErrVersion, v)
	}
	if got := kind(b[10]); got != k {
		return h, fmt.Errorf("%w: kind %d, want %d", ErrVersion, got, k)
	}

	// A later version may use the bytes that are zero today.
	if b[11]|b[12]|b[13]|b[14]|b[15] != 0 {
		return h, errReserved
	}
	return header{k, binary.LittleEndian.Uint64(b[16:]), binary.LittleEndian.Uint64(b[24:])}, nil
}

// split returns the header of b, of kind k, and the body between it and the
// checksum, which is right.
func split(b []byte, k kind) (h header, body []byte, err error) {
	if len(b) < headerBytes+sumBytes {
		return h, nil, fmt.Errorf("%w: %d bytes are less than an empty form", ErrCorrupt, len(b))
	}
	h, err = parseHeader(b, k)
	if err != nil {
		return h, nil, err
	}
	end := len(b) - sumBytes
	if binary.LittleEndian.Uint64(b[end:]) != xxhash.Sum64(b[:end]) {
		return h, nil, fmt.Errorf("%w: checksum", ErrCorrupt)
	}
	return h, b[headerBytes:end], nil
}

// appendForm appends a whole form whose body are hashes.
func appendForm(dst []byte, h header, hashes []Hash) []byte {
	start := len(dst)
	return appendSum(appendHashes(h.append(dst), hashes), start)
}

// appendSum appends the checksum of the form that begins at start.
func appendSum(dst []byte, start int) []byte {
	return binary.LittleEndian.AppendUint64(dst, xxhash.Sum64(dst[start:]))
}

// appendHashes appends the bytes of hashes.
func appendHashes(dst []byte, hashes []Hash) []byte {
	for i := range hashes {
		dst = append(dst, hashes[i][:]...)
	}
	return dst
}

// parseHashes appends to dst the n hashes whose bytes are b.
func parseHashes(dst []Hash, b []byte, n uint64) ([]Hash, error) {
	if uint64(len(b))%uint64(hashBytes) != 0 || uint64(len(b)/hashBytes) != n {
		return dst, fmt.Errorf("%w: %d bytes for %d hashes", ErrCorrupt, len(b), n)
	}
	return cutHashes(dst, b), nil
}

// cutHashes appends to dst the hashes whose bytes are b, a multiple of 32 long.
func cutHashes(dst []Hash, b []byte) []Hash {
	for ; len(b) > 0; b = b[hashBytes:] {
		dst = append(dst, Hash(b))
	}
	return dst
}

// AppendBinary appends the proof in the format of FORMAT.md to dst, as
// [encoding.BinaryAppender] says. It never fails.
func (p Proof) AppendBinary(dst []byte) ([]byte, error) {
	return appendForm(dst, header{kind: kindProof, a: uint64(len(p))}, p), nil
}

// MarshalBinary returns the proof in the format of FORMAT.md. It never fails.
func (p Proof) MarshalBinary() ([]byte, error) { return p.AppendBinary(nil) }

// UnmarshalBinary replaces p by the proof that b holds, and does not verify it.
// On failure it returns an error that wraps [ErrCorrupt] or [ErrVersion], and
// leaves p unchanged. It keeps no reference to b.
func (p *Proof) UnmarshalBinary(b []byte) error {
	h, body, err := split(b, kindProof)
	if err != nil {
		return err
	}
	if h.b != 0 {
		return errReserved
	}
	hashes, err := parseHashes(make([]Hash, 0, len(body)/hashBytes), body, h.a)
	if err != nil {
		return err
	}
	*p = hashes
	return nil
}

// AppendBinary appends the name of the file in the format of FORMAT.md to dst,
// as [encoding.BinaryAppender] says. It returns [ErrRange] if f names no file,
// as the zero File does: its chunks have no size.
func (f File) AppendBinary(dst []byte) ([]byte, error) {
	if err := f.validate(); err != nil {
		return dst, err
	}
	h := header{kind: kindFile, a: uint64(f.Size), b: uint64(f.ChunkSize)}
	return appendForm(dst, h, []Hash{f.Root}), nil
}

// MarshalBinary returns the name of the file in the format of FORMAT.md, or
// [ErrRange] if f names none.
func (f File) MarshalBinary() ([]byte, error) { return f.AppendBinary(nil) }

// UnmarshalBinary replaces f by the name that b holds. On failure it returns an
// error that wraps [ErrCorrupt] or [ErrVersion], and leaves f unchanged.
func (f *File) UnmarshalBinary(b []byte) error {
	h, body, err := split(b, kindFile)
	if err != nil {
		return err
	}
	hashes, err := parseHashes(nil, body, 1)
	if err != nil {
		return err
	}
	if h.a > math.MaxInt64 || !validChunk(int64(h.b)) {
		return fmt.Errorf("%w: a file of %d bytes in chunks of %d", ErrCorrupt, h.a, h.b)
	}
	*f = File{Root: hashes[0], Size: int64(h.a), ChunkSize: int(h.b)}
	return nil
}

// AppendBinary appends the range in the format of FORMAT.md to dst, as
// [encoding.BinaryAppender] says. The hash function is not stored. It never
// fails.
func (r *Range) AppendBinary(dst []byte) ([]byte, error) {
	return appendForm(dst, header{kind: kindRange, a: r.begin, b: r.end}, r.hashes), nil
}

// MarshalBinary returns the range in the format of FORMAT.md. It never fails.
func (r *Range) MarshalBinary() ([]byte, error) { return r.AppendBinary(nil) }

// UnmarshalBinary replaces the leaves of r by those of the range that b holds,
// and keeps the hash function of r. On failure it returns an error that wraps
// [ErrCorrupt] or [ErrVersion], and leaves r unchanged. It keeps no reference
// to b.
func (r *Range) UnmarshalBinary(b []byte) error {
	h, body, err := split(b, kindRange)
	if err != nil {
		return err
	}
	if h.a > h.b {
		return fmt.Errorf("%w: a range from %d to %d", ErrCorrupt, h.a, h.b)
	}
	hashes, err := parseHashes(make([]Hash, 0, len(body)/hashBytes), body, uint64(coverLen(h.a, h.b)))
	if err != nil {
		return err
	}
	r.begin, r.end = h.a, h.b
	r.hashes = hashes
	return nil
}

// AppendBinary appends the leaves that t has now in the format of FORMAT.md to
// dst, as [encoding.BinaryAppender] says: 32 bytes each. The hash function is
// not stored. It never fails.
func (t *Tree) AppendBinary(dst []byte) ([]byte, error) {
	start := len(dst)
	n := t.Len()
	dst = header{kind: kindTree, a: n}.append(dst)
	for i := uint64(0); i < n; {
		run := t.levels[0].run(i, n-i)
		dst = appendHashes(dst, run)
		i += uint64(len(run))
	}
	root := t.mustRoot(n)
	return appendSum(append(dst, root[:]...), start), nil
}

// MarshalBinary returns the leaves that t has now in the format of FORMAT.md.
// It never fails.
func (t *Tree) MarshalBinary() ([]byte, error) {
	return t.AppendBinary(make([]byte, 0, headerBytes+(int(t.Len())+1)*hashBytes+sumBytes))
}

// UnmarshalBinary replaces the leaves of t by those of the tree that b holds,
// hashes the nodes above them with the hash function of t, and checks the root.
// On failure it returns an error that wraps [ErrCorrupt] or [ErrVersion], and
// leaves t unchanged. It keeps no reference to b. No other goroutine may use t
// meanwhile.
func (t *Tree) UnmarshalBinary(b []byte) error {
	h, body, err := split(b, kindTree)
	if err != nil {
		return err
	}
	if h.b != 0 {
		return errReserved
	}
	if h.a == math.MaxUint64 { // with the root 2^64 hashes, which count as 0
		return fmt.Errorf("%w: %d leaves", ErrCorrupt, h.a)
	}
	hashes, err := parseHashes(make([]Hash, 0, len(body)/hashBytes), body, h.a+1)
	if err != nil {
		return err
	}

	w := t.hasher.worker()
	defer w.release()
	u := NewTree(t.hasher)
	last := len(hashes) - 1
	u.addHashes(w, hashes[:last])
	return t.replace(u, hashes[last])
}

// replace makes t the tree u, if the root of u is root.
func (t *Tree) replace(u *Tree, root Hash) error {
	if got := u.Root(); got != root {
		return fmt.Errorf("%w: root %v, want %v: another hash function", ErrCorrupt, got, root)
	}
	for l := range t.levels {
		t.levels[l].blocks.Store(u.levels[l].blocks.Load())
	}
	t.publish(u.Len())
	return nil
}

// WriteTo writes the leaves that t has when it is called to w as [io.WriterTo]
// says, 64 KiB at a time, in the format of FORMAT.md.
func (t *Tree) WriteTo(w io.Writer) (n int64, err error) {
	sum := xxhash.New()
	size := t.Len()
	buf := header{kind: kindTree, a: size}.append(make([]byte, 0, chunkBytes))
	write := func() error {
		_, _ = sum.Write(buf) // never fails
		k, err := w.Write(buf)
		n += int64(k)
		if err == nil && k != len(buf) { // against the rules of io.Writer
			err = io.ErrShortWrite
		}
		return err
	}
	if err := write(); err != nil {
		return n, err
	}

	for i := uint64(0); i < size; {
		run := t.levels[0].run(i, min(size-i, uint64(chunkBytes/hashBytes)))
		buf = appendHashes(buf[:0], run)
		i += uint64(len(run))
		if err := write(); err != nil {
			return n, err
		}
	}

	// The root, and the checksum of all of it.
	root := t.mustRoot(size)
	buf = append(buf[:0], root[:]...)
	if err := write(); err != nil {
		return n, err
	}
	buf = binary.LittleEndian.AppendUint64(buf[:0], sum.Sum64())
	return n, write()
}

// ReadFrom replaces the leaves of t by those of the tree that r holds next, and
// reads no byte beyond it; unlike what [io.ReaderFrom] says it does not read to
// the end, so that forms may follow one another. If r ends early, the error
// wraps [io.ErrUnexpectedEOF], or is [io.EOF] if r was empty; else errors are
// those of r and of UnmarshalBinary. On failure t is unchanged. No other
// goroutine may use t meanwhile.
//
// Memory is taken as bytes arrive, about four times as much as did and 64 KiB,
// whatever the header says. To bound what a sender can make it take, give it an
// [io.LimitedReader].
func (t *Tree) ReadFrom(r io.Reader) (n int64, err error) {
	f := formReader{r: r, sum: xxhash.New()}
	buf := make([]byte, chunkBytes)
	if err := f.read(buf[:headerBytes]); err != nil {
		return f.n, err
	}
	h, err := parseHeader(buf, kindTree)
	if err != nil {
		return f.n, err
	}
	if h.b != 0 {
		return f.n, errReserved
	}

	// Memory follows the bytes that arrive, not the number in the header.
	w := t.hasher.worker()
	defer w.release()
	u := NewTree(t.hasher)
	var hashes []Hash
	for left := h.a; left > 0; left -= uint64(len(hashes)) {
		part := buf[:min(uint64(chunkBytes/hashBytes), left)*uint64(hashBytes)]
		if err := f.read(part); err != nil {
			return f.n, err
		}
		hashes = cutHashes(hashes[:0], part)
		u.addHashes(w, hashes)
	}

	// The tree is replaced only if the checksum and the root are right.
	if err := f.read(buf[:hashBytes]); err != nil {
		return f.n, err
	}
	root := Hash(buf[:hashBytes])
	want := f.sum.Sum64()
	if err := f.read(buf[:sumBytes]); err != nil {
		return f.n, err
	}
	if binary.LittleEndian.Uint64(buf) != want {
		return f.n, fmt.Errorf("%w: checksum", ErrCorrupt)
	}
	return f.n, t.replace(u, root)
}

// A formReader reads the parts of a form, counts their bytes and sums them up.
type formReader struct {
	r   io.Reader
	n   int64
	sum *xxhash.Digest
}

// read reads all of b.
func (f *formReader) read(b []byte) error {
	k, err := io.ReadFull(f.r, b)
	f.n += int64(k)
	if err == io.EOF && f.n > 0 {
		err = io.ErrUnexpectedEOF
	}
	if err == io.EOF {
		return err // nothing was there, as at the end of a sequence of forms
	}
	if err != nil {
		return fmt.Errorf("merkle: read: %w", err)
	}
	_, _ = f.sum.Write(b) // never fails
	return nil
}
