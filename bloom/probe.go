// SPDX-License-Identifier: MIT

package bloom

import (
	"fmt"
	"io"
	"sync"
)

// A Probe asks a stored filter without loading it: each question reads one line
// of 64 bytes, or two if the filter has two lines a key and the first did not
// settle it. It suits filters in files and object stores that are asked rarely,
// or are larger than memory. It is safe for concurrent use by multiple
// goroutines if its reader is, as [io.ReaderAt] demands.
type Probe struct {
	r    io.ReaderAt
	h    header
	bufs sync.Pool // of *[lineBytes]byte
}

// OpenProbe reads the header of the filter, in the format of FORMAT.md, at the
// beginning of r, and checks it. The lines are not checked: that would mean to
// read them all, as ReadFrom does. For a filter within a larger file use
// [io.NewSectionReader].
func OpenProbe(r io.ReaderAt) (*Probe, error) {
	var b [headerBytes]byte
	if err := readAt(r, b[:], 0); err != nil {
		return nil, err
	}
	h, err := parseHeader(b[:], kindFilter)
	if err != nil {
		return nil, err
	}
	return &Probe{r: r, h: h, bufs: sync.Pool{New: func() any { return new([lineBytes]byte) }}}, nil
}

// readAt fills b from offset off of r. A reader may report the end together
// with the last bytes.
func readAt(r io.ReaderAt, b []byte, off int64) error {
	n, err := r.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("bloom: read %d bytes at %d: %w", len(b), off, err)
}

// Has reports whether key may have been added. On failure it returns true,
// since absence is not certain, and an error that wraps that of the reader, or
// [io.ErrUnexpectedEOF] if the line is not there.
func (p *Probe) Has(key []byte) (bool, error) { return p.HasHash(Hash(key, p.h.seed)) }

// HasString is [Probe.Has] of the bytes of key.
func (p *Probe) HasString(key string) (bool, error) { return p.HasHash(HashString(key, p.h.seed)) }

// HasUint64 is [Probe.Has] for numbers that were added by AddUint64.
func (p *Probe) HasUint64(v uint64) (bool, error) { return p.HasHash(HashUint64(v, p.h.seed)) }

// HasHash is [Probe.Has] for the key whose hash is h.
func (p *Probe) HasHash(h uint64) (bool, error) {
	ok, err := p.line(h)
	if ok && err == nil && p.h.perKey > 1 {
		ok, err = p.line(mix64(h))
	}
	return ok, err
}

// line reports whether the line of h holds its pattern.
func (p *Probe) line(h uint64) (bool, error) {
	buf := p.bufs.Get().(*[lineBytes]byte)
	defer p.bufs.Put(buf)
	if err := readAt(p.r, buf[:], headerBytes+int64(index(h, p.h.lines))*lineBytes); err != nil {
		return true, err
	}
	var one [1]line
	return parseLines(one[:0], buf[:])[0].has(h, p.h.perLane), nil
}

// Bits returns the size of the filter in bits, a multiple of 512.
func (p *Probe) Bits() uint64 { return p.h.lines * lineBits }
