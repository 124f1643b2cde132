// SPDX-License-Identifier: MIT

package bloom

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/cespare/xxhash/v2"
)

// The layout of format 1; the package comment has the table.
const (
	magic       = "ashbloom"
	version     = 1
	kindFilter  = 1
	headerBytes = 64
	sumBytes    = 8
	chunkBytes  = 1 << 16 // what is encoded at a time, and the first step of reading
)

// A header is what the first 64 bytes say.
type header struct {
	shape
	lines uint64
}

// append appends the 64 bytes of h to dst.
func (h header) append(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, magic...)
	dst = binary.LittleEndian.AppendUint16(dst, version)
	dst = append(dst, kindFilter, byte(h.perKey), byte(h.perLane), 0, 0, 0)
	dst = binary.LittleEndian.AppendUint64(dst, h.seed)
	dst = binary.LittleEndian.AppendUint64(dst, h.lines)
	dst = append(dst, make([]byte, 24)...)
	return binary.LittleEndian.AppendUint64(dst, xxhash.Sum64(dst[start:]))
}

// parseHeader reads a header from the first 64 bytes of b.
func parseHeader(b []byte) (h header, err error) {
	if len(b) < headerBytes {
		return h, fmt.Errorf("%w: %d bytes are less than a header", ErrCorrupt, len(b))
	}
	b = b[:headerBytes]
	if string(b[:8]) != magic {
		return h, fmt.Errorf("%w: it does not begin with %q", ErrCorrupt, magic)
	}
	if v, kind := binary.LittleEndian.Uint16(b[8:]), b[10]; v != version || kind != kindFilter {
		return h, fmt.Errorf("%w: version %d, kind %d", ErrVersion, v, kind)
	}
	if binary.LittleEndian.Uint64(b[56:]) != xxhash.Sum64(b[:56]) {
		return h, fmt.Errorf("%w: checksum of the header", ErrCorrupt)
	}
	h.perKey, h.perLane = int(b[11]), int(b[12])
	h.seed, h.lines = binary.LittleEndian.Uint64(b[16:]), binary.LittleEndian.Uint64(b[24:])
	if h.perKey < 1 || h.perKey > maxPerKey || h.perLane < 1 || h.perLane > maxPerLane || h.lines == 0 {
		return h, fmt.Errorf("%w: %v, %d lines", ErrCorrupt, h.shape, h.lines)
	}
	for i, c := range b[:56] {
		if c != 0 && (i >= 13 && i < 16 || i >= 32) {
			return h, fmt.Errorf("%w: reserved byte %d is set", ErrCorrupt, i)
		}
	}
	if h.lines > (maxAddress-headerBytes-sumBytes)/lineBytes {
		return h, fmt.Errorf("%w: %d lines", ErrTooLarge, h.lines)
	}
	return h, nil
}

// appendLines appends the bytes of lines to dst.
func appendLines(dst []byte, lines []line) []byte {
	for i := range lines {
		for _, w := range lines[i] {
			dst = binary.LittleEndian.AppendUint64(dst, w)
		}
	}
	return dst
}

// parseLines appends to dst the lines of which b, a multiple of 64 long, are the bytes.
func parseLines(dst []line, b []byte) []line {
	for ; len(b) > 0; b = b[lineBytes:] {
		var l line
		for j := range l {
			l[j] = binary.LittleEndian.Uint64(b[8*j:])
		}
		dst = append(dst, l)
	}
	return dst
}

var errZero = errors.New("bloom: zero Filter has no binary form: use New")

// AppendBinary appends the filter in the format of the package comment to dst, as
// [encoding.BinaryAppender] says. It fails only for the zero Filter.
func (f *Filter) AppendBinary(dst []byte) ([]byte, error) {
	if len(f.lines) == 0 {
		return dst, errZero
	}
	dst = header{f.shape, uint64(len(f.lines))}.append(dst)
	body := len(dst)
	dst = appendLines(dst, f.lines)
	return binary.LittleEndian.AppendUint64(dst, xxhash.Sum64(dst[body:])), nil
}

// MarshalBinary returns the filter in the format of the package comment, as
// [encoding.BinaryMarshaler] says. It fails only for the zero Filter.
func (f *Filter) MarshalBinary() ([]byte, error) {
	return f.AppendBinary(make([]byte, 0, headerBytes+len(f.lines)*lineBytes+sumBytes))
}

// UnmarshalBinary replaces f by the filter that b holds, and checks all of it. On failure it
// returns an error that wraps [ErrCorrupt], [ErrVersion] or [ErrTooLarge], and leaves f unchanged.
// It keeps no reference to b.
func (f *Filter) UnmarshalBinary(b []byte) error {
	h, body, err := split(b)
	if err != nil {
		return err
	}
	if err := verify(b, body); err != nil {
		return err
	}
	f.set(h.shape, parseLines(make([]line, 0, h.lines), body))
	return nil
}

// set replaces f.
func (f *Filter) set(s shape, lines []line) {
	f.shape, f.lines, f.readOnly = s, lines, false
	if invariants {
		f.check()
	}
}

// split returns the header of b and the bytes of its lines. They are as many as the header says.
func split(b []byte) (h header, body []byte, err error) {
	if h, err = parseHeader(b); err != nil {
		return h, nil, err
	}
	if want := headerBytes + h.lines*lineBytes + sumBytes; uint64(len(b)) != want {
		return h, nil, fmt.Errorf("%w: %d bytes, want %d", ErrCorrupt, len(b), want)
	}
	return h, b[headerBytes : len(b)-sumBytes], nil
}

// verify checks the sum of body at the end of b.
func verify(b, body []byte) error {
	if binary.LittleEndian.Uint64(b[len(b)-sumBytes:]) != xxhash.Sum64(body) {
		return fmt.Errorf("%w: checksum of the lines", ErrCorrupt)
	}
	return nil
}

// Verify checks all of b, a filter in the format of the package comment, as UnmarshalBinary would.
// Call it before [View] if b may have been damaged: View reads the header alone.
func Verify(b []byte) error {
	_, body, err := split(b)
	if err != nil {
		return err
	}
	return verify(b, body)
}

// WriteTo writes the filter to w as [io.WriterTo] says, 64 KiB at a time, in the format of
// the package comment.
func (f *Filter) WriteTo(w io.Writer) (n int64, err error) {
	if len(f.lines) == 0 {
		return 0, errZero
	}
	buf := header{f.shape, uint64(len(f.lines))}.append(make([]byte, 0, chunkBytes+headerBytes))
	sum := xxhash.New()
	write := func() error {
		k, err := w.Write(buf)
		n += int64(k)
		return err
	}
	if err := write(); err != nil {
		return n, err
	}
	for lines := f.lines; len(lines) > 0; {
		part := lines[:min(chunkBytes/lineBytes, len(lines))]
		lines = lines[len(part):]
		buf = appendLines(buf[:0], part)
		_, _ = sum.Write(buf) // never fails
		if err := write(); err != nil {
			return n, err
		}
	}
	buf = binary.LittleEndian.AppendUint64(buf[:0], sum.Sum64())
	return n, write()
}

// ReadFrom replaces f by the filter that r holds next, and reads no byte beyond it; unlike what
// [io.ReaderFrom] says it does not read to the end, so that filters may follow one another. If r
// ends early, the error wraps [io.ErrUnexpectedEOF], or is [io.EOF] if r was empty; else errors are
// those of r and of UnmarshalBinary. On failure f is unchanged.
//
// Memory is taken as bytes arrive, at most three times as much as did and 64 KiB, whatever the
// header says. To bound what a sender can make it take, give it an [io.LimitedReader].
func (f *Filter) ReadFrom(r io.Reader) (n int64, err error) {
	buf := make([]byte, headerBytes)
	read := func(b []byte) error {
		k, err := io.ReadFull(r, b)
		n += int64(k)
		if err == io.EOF && n > 0 {
			err = io.ErrUnexpectedEOF
		}
		if err == io.EOF {
			return err // nothing was there, as at the end of a sequence of filters
		}
		if err != nil {
			return fmt.Errorf("bloom: read: %w", err)
		}
		return nil
	}
	if err := read(buf); err != nil {
		return n, err
	}
	h, err := parseHeader(buf)
	if err != nil {
		return n, err
	}
	var lines []line
	sum := xxhash.New()
	buf = make([]byte, min(chunkBytes, h.lines*lineBytes))
	for left := h.lines; left > 0; {
		part := buf[:min(uint64(len(buf)), left*lineBytes)]
		left -= uint64(len(part) / lineBytes)
		if err := read(part); err != nil {
			return n, err
		}
		_, _ = sum.Write(part) // never fails
		lines = parseLines(grow(lines, len(part)/lineBytes, h.lines), part)
	}
	if err := read(buf[:sumBytes]); err != nil {
		return n, err
	}
	if binary.LittleEndian.Uint64(buf) != sum.Sum64() {
		return n, fmt.Errorf("%w: checksum of the lines", ErrCorrupt)
	}
	f.set(h.shape, lines)
	return n, nil
}

// grow makes room in lines for k more, doubling, and for no more than limit.
func grow(lines []line, k int, limit uint64) []line {
	if len(lines)+k <= cap(lines) {
		return lines
	}
	room := make([]line, len(lines), min(uint64(max(2*cap(lines), len(lines)+k)), limit))
	copy(room, lines)
	return room
}
