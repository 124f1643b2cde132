// SPDX-License-Identifier: MIT

package lsm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// windowLen is how much of a file is in memory at a time, unless one record is
// longer. Files are never read by their length, which nobody vouches for.
const windowLen = 1 << 20

// A window reads a file piece by piece.
type window struct {
	f    File
	size int64 // of the file
	buf  []byte
	off  int64 // of buf in the file
}

// openWindow opens a file for reading.
func openWindow(fsys FS, name string) (*window, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	size, err := f.Size()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &window{f: f, size: size}, nil
}

// at returns n bytes at off, fewer at the end of the file. They are valid
// until the next call.
func (w *window) at(off, n int64) ([]byte, error) {
	n = min(n, w.size-off)
	if n <= 0 {
		return nil, nil
	}
	if off < w.off || off+n > w.off+int64(len(w.buf)) {
		if err := w.load(off, max(n, min(windowLen, w.size-off))); err != nil {
			return nil, err
		}
	}
	b := w.buf[off-w.off:]
	return b[:min(n, int64(len(b)))], nil
}

// load moves the window to n bytes at off.
func (w *window) load(off, n int64) error {
	if int64(cap(w.buf)) < n || int64(cap(w.buf)) > 2*max(n, windowLen) {
		w.buf = make([]byte, n)
	}
	w.buf = w.buf[:n]
	w.off = off

	// ReadAt may say EOF after the last byte, and before it if the file is
	// shorter than it was.
	k, err := w.f.ReadAt(w.buf, off)
	w.buf = w.buf[:k]
	if int64(k) == n || errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// allZero reports whether b has only zeros.
func allZero(b []byte) bool {
	return len(b) == 0 || b[0] == 0 && bytes.Equal(b[1:], b[:len(b)-1])
}

// A logRef is how a seal or a manifest names a log.
type logRef struct {
	no, nonce uint64
}

// A logReader reads a log.
type logReader struct {
	*window
	fileHeader
	name string
	salt uint64

	records int    // valid ones
	groups  int    // those with operations
	sealed  bool   // the last one is a seal
	next    logRef // the log that it names
	end     int64  // where they end
	synced  int64  // bytes before it are durable for certain
	dirty   bool   // anything but zeros follows the end
}

// openLog opens a log, and reads its header.
func openLog(fsys FS, name string) (*logReader, error) {
	w, err := openWindow(fsys, name)
	if err != nil {
		return nil, err
	}

	r := &logReader{window: w, name: name, end: logHeaderLen, synced: logHeaderLen}
	b, err := w.at(0, logHeaderLen)
	if err == nil {
		r.fileHeader, err = parseHeader(name, b, logHeaderLen, logMagic, unreleasedLog)
	}
	if err != nil {
		return nil, errors.Join(err, w.f.Close())
	}

	// Records are salted, so that those of another log are not taken for its
	// own.
	r.salt = fileSalt(r.id, r.no, r.nonce)
	return r, nil
}

// corrupt returns an error about the log.
func (r *logReader) corrupt(off int64, reason string) error { return corrupt(r.name, off, reason) }

// read calls record for each record with operations, with its body, up to the
// seal or to where the log ends. Anything else there is a trace of a crash, or
// the log is corrupt. next is the sequence to come, which record moves on.
func (r *logReader) read(next func() uint64, record func(h recordHead, body []byte, off int64) error) error {
	for !r.sealed {
		h, body, n, err := r.recordAt(r.end)
		if err != nil {
			return err
		}
		if n == 0 {
			return r.tail()
		}

		// A later version is recognized before anything that it may have
		// changed the meaning of.
		if err := r.known(h, body); err != nil {
			return err
		}
		if h.first != next() {
			return r.corrupt(r.end, fmt.Sprintf("operation %d, want %d", h.first, next()))
		}
		if h.syncedOff > r.end {
			return r.corrupt(r.end, "a record says that its own bytes were durable")
		}

		// The record is one of ours, in its place.
		switch h.kind {
		case recordData:
			r.groups++
			if err := record(h, body, r.end); err != nil {
				return err
			}
		case recordSeal:
			r.sealed = true
			r.next.no = binary.LittleEndian.Uint64(body)
			r.next.nonce = binary.LittleEndian.Uint64(body[8:])
			if r.next.no >= maxFileNo {
				return r.corrupt(r.end, "the number of the next log is too high")
			}
		}
		r.records++
		r.end += n
		r.synced = max(r.synced, h.syncedOff)
	}
	return nil
}

// known returns an error if this version does not know the meaning of a valid
// record.
func (r *logReader) known(h recordHead, body []byte) error {
	fits := false
	switch h.kind {
	case recordData:
		fits = true
	case recordSeal:
		fits = h.count == 0 && len(body) == 16
	case recordBegin, recordMark:
		fits = h.count == 0 && len(body) == 0
	}
	if fits && !h.unknown {
		return nil
	}
	return &versionError{r.name, fmt.Sprintf("a record of kind %d with fields that are not known", h.kind)}
}

// recordAt decodes the record at off. Its length n is 0 if there is no valid
// one.
func (r *logReader) recordAt(off int64) (h recordHead, body []byte, n int64, err error) {
	b, err := r.at(off, recordHeadLen)
	if err != nil {
		return recordHead{}, nil, 0, err
	}
	h, ok := parseRecordHead(b, r.salt, off)
	if !ok || h.bodyLen > maxBody {
		return recordHead{}, nil, 0, nil
	}

	// The head is valid, so the length is the one that was written.
	n = recordHeadLen + padded(int64(h.bodyLen))
	b, err = r.at(off, n)
	if err != nil {
		return recordHead{}, nil, 0, err
	}
	if int64(len(b)) < n || checksum(b[recordHeadLen:], r.salt, off+recordHeadLen) != h.bodySum {
		return recordHead{}, nil, 0, nil
	}
	return h, b[recordHeadLen : recordHeadLen+int64(h.bodyLen)], n, nil
}

// tail looks at the bytes after the valid records, and returns an error if
// something tells that they did not end there. A log of which records were lost
// in a crash may hold later ones, which claim nothing. Nobody writes behind
// maxLogLen.
func (r *logReader) tail() error {
	const step = windowLen - recordHeadLen // heads may lie across windows
	for off := r.end; off < min(r.size, maxLogLen); off += step {
		b, err := r.at(off, windowLen)
		if err != nil {
			return err
		}
		if allZero(b) {
			continue
		}

		// Bytes after the last record are those of a group that was not
		// acknowledged, or of damage.
		r.dirty = true
		for i := 0; i+recordHeadLen <= len(b); i += 8 {
			if r.claims(b[i:], off+int64(i)) {
				return r.corrupt(r.end, "a record is damaged that was durable")
			}
		}
	}
	return nil
}

// claims reports whether a record begins at off that says that the end of the
// valid ones is durable. The offset is looked at first, because nearly
// everything fails there.
func (r *logReader) claims(b []byte, off int64) bool {
	synced := int64(binary.LittleEndian.Uint64(b[24:]))
	if synced <= r.end || synced > off {
		return false
	}
	_, ok := parseRecordHead(b, r.salt, off)
	return ok
}
