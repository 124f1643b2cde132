// SPDX-License-Identifier: MIT

package bloom

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/cespare/xxhash/v2"
)

// The layout of format 1; FORMAT.md has the table.
const (
	magic       = "ashlarbf"
	version     = 1
	headerBytes = 64
	sumBytes    = 8
	chunkBytes  = 1 << 16 // bytes that are encoded at a time, and the first step of reading
)

// A kind is the type of filter that was stored.
type kind byte

const (
	kindFilter   kind = 1
	kindCounting kind = 2
	kindScalable kind = 3
	kindWindow   kind = 4
)

// A header is the contents of the first 64 bytes.
type header struct {
	shape
	kind  kind
	lines uint64    // of a Scalable, its layers
	extra [3]uint64 // of a Scalable; else zero
}

// append appends the 64 bytes of h to dst.
func (h header) append(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, magic...)
	dst = binary.LittleEndian.AppendUint16(dst, version)
	dst = append(dst, byte(h.kind), byte(h.perKey), byte(h.perLane), 0, 0, 0)
	dst = binary.LittleEndian.AppendUint64(dst, h.seed)
	dst = binary.LittleEndian.AppendUint64(dst, h.lines)
	for _, x := range h.extra {
		dst = binary.LittleEndian.AppendUint64(dst, x)
	}
	return binary.LittleEndian.AppendUint64(dst, xxhash.Sum64(dst[start:]))
}

// parseHeader reads the header of a filter of kind k from the first 64 bytes of
// b.
func parseHeader(b []byte, k kind) (h header, err error) {
	if len(b) < headerBytes {
		return h, fmt.Errorf("%w: %d bytes are less than a header", ErrCorrupt, len(b))
	}

	// The magic first, then the version: only they are where they always were.
	b = b[:headerBytes]
	if string(b[:8]) != magic {
		return h, fmt.Errorf("%w: it does not begin with %q", ErrCorrupt, magic)
	}
	if v := binary.LittleEndian.Uint16(b[8:]); v != version || kind(b[10]) != k {
		return h, fmt.Errorf("%w: version %d, kind %d, want kind %d", ErrVersion, v, b[10], k)
	}
	if binary.LittleEndian.Uint64(b[56:]) != xxhash.Sum64(b[:56]) {
		return h, fmt.Errorf("%w: checksum of the header", ErrCorrupt)
	}

	// The checksum holds, so the fields are as they were written.
	h.kind = k
	h.perKey = int(b[11])
	h.perLane = int(b[12])
	h.seed = binary.LittleEndian.Uint64(b[16:])
	h.lines = binary.LittleEndian.Uint64(b[24:])
	for i := range h.extra {
		h.extra[i] = binary.LittleEndian.Uint64(b[32+8*i:])
	}

	// A later version may use the bytes that are zero today.
	reserved := b[13:16]
	if k != kindScalable {
		reserved = append(append([]byte{}, reserved...), b[32:56]...)
	}
	if !allZero(reserved) {
		return h, fmt.Errorf("%w: reserved bytes are set", ErrVersion)
	}
	return h, h.validate()
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// validate checks the shape and the size of a type that has lines.
func (h *header) validate() error {
	if h.kind == kindScalable {
		return nil // its layers have headers of their own
	}
	most := maxPerLane
	if h.kind == kindCounting {
		most = maxCounters
	}
	if h.perKey < 1 || h.perKey > maxPerKey || h.perLane < 1 || h.perLane > most || h.lines == 0 {
		return fmt.Errorf("%w: %v, %d lines", ErrCorrupt, h.shape, h.lines)
	}

	// No stored form of this size fits into memory.
	if h.lines > (maxAddress-headerBytes-windowBytes-sumBytes)/(lineBytes+stampBytes) {
		return fmt.Errorf("%w: %d lines", ErrTooLarge, h.lines)
	}
	return nil
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

// parseLines appends to dst the lines of which b, a multiple of 64 long, are
// the bytes.
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

// appendPlain appends a filter that is a header, its lines and their sum.
func appendPlain(dst []byte, k kind, s shape, lines []line) []byte {
	dst = header{shape: s, kind: k, lines: uint64(len(lines))}.append(dst)
	body := len(dst)
	dst = appendLines(dst, lines)
	return binary.LittleEndian.AppendUint64(dst, xxhash.Sum64(dst[body:]))
}

// plainSize returns the bytes that appendPlain appends for so many lines.
func plainSize(lines int) int { return headerBytes + lines*lineBytes + sumBytes }

var errZero = errors.New("bloom: a zero Filter has no binary form: use New")

// AppendBinary appends the filter in the format of FORMAT.md to dst, as
// [encoding.BinaryAppender] says. It fails only for the zero Filter.
func (f *Filter) AppendBinary(dst []byte) ([]byte, error) {
	if len(f.lines) == 0 {
		return dst, errZero
	}
	return appendPlain(dst, kindFilter, f.shape, f.lines), nil
}

// MarshalBinary returns the filter in the format of FORMAT.md, as
// [encoding.BinaryMarshaler] says. It fails only for the zero Filter.
func (f *Filter) MarshalBinary() ([]byte, error) {
	return f.AppendBinary(make([]byte, 0, plainSize(len(f.lines))))
}

// UnmarshalBinary replaces f by the filter that b holds, and checks all of it.
// On failure it returns an error that wraps [ErrCorrupt], [ErrVersion] or
// [ErrTooLarge], and leaves f unchanged. It keeps no reference to b.
func (f *Filter) UnmarshalBinary(b []byte) error {
	h, body, err := splitVerified(b, kindFilter)
	if err != nil {
		return err
	}
	f.set(h.shape, parseLines(make([]line, 0, h.lines), body))
	return nil
}

// set replaces f.
func (f *Filter) set(s shape, lines []line) {
	f.shape = s
	f.lines = lines
	f.readOnly = false
	if invariants {
		f.check()
	}
}

// split returns the header of b, of kind k, and the bytes of its lines. They
// are as many as the header says.
func split(b []byte, k kind) (h header, body []byte, err error) {
	h, err = parseHeader(b, k)
	if err != nil {
		return h, nil, err
	}
	if want := headerBytes + h.lines*lineBytes + sumBytes; uint64(len(b)) != want {
		return h, nil, fmt.Errorf("%w: %d bytes, want %d", ErrCorrupt, len(b), want)
	}
	return h, b[headerBytes : len(b)-sumBytes], nil
}

// splitVerified is split, and checks the sum of the lines.
func splitVerified(b []byte, k kind) (h header, body []byte, err error) {
	h, body, err = split(b, k)
	if err == nil && binary.LittleEndian.Uint64(b[len(b)-sumBytes:]) != xxhash.Sum64(body) {
		err = fmt.Errorf("%w: checksum of the lines", ErrCorrupt)
	}
	return h, body, err
}

// Verify checks all of b, a filter in the format of FORMAT.md, as
// UnmarshalBinary would. Call it before [View] if b may have been damaged: View
// reads the header alone.
func Verify(b []byte) error {
	_, _, err := splitVerified(b, kindFilter)
	return err
}

// WriteTo writes the filter to w as [io.WriterTo] says, 64 KiB at a time, in
// the format of FORMAT.md.
func (f *Filter) WriteTo(w io.Writer) (n int64, err error) {
	if len(f.lines) == 0 {
		return 0, errZero
	}
	h := header{shape: f.shape, kind: kindFilter, lines: uint64(len(f.lines))}
	buf := h.append(make([]byte, 0, chunkBytes+headerBytes))
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

	// The checksum of the lines comes last.
	buf = binary.LittleEndian.AppendUint64(buf[:0], sum.Sum64())
	return n, write()
}

// ReadFrom replaces f by the filter that r holds next, and reads no byte beyond
// it; unlike what [io.ReaderFrom] says it does not read to the end, so that
// filters may follow one another. If r ends early, the error wraps
// [io.ErrUnexpectedEOF], or is [io.EOF] if r was empty; else errors are those
// of r and of UnmarshalBinary. On failure f is unchanged.
//
// Memory is taken as bytes arrive, at most four times as much as did and 64
// KiB, whatever the header says. To bound what a sender can make it take, give
// it an [io.LimitedReader].
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
	h, err := parseHeader(buf, kindFilter)
	if err != nil {
		return n, err
	}

	// Memory follows the bytes that arrive, not the number in the header.
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

	// The filter is replaced only when all is well.
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
