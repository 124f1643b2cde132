// SPDX-License-Identifier: MIT

package lsm

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"path/filepath"
)

// A log is a file to which groups of commits are appended. doc.go has its format.
//
// L1: a log with a record follows a log that ends with a seal, which is durable and names it. So what
// a crash leaves of several logs is a prefix: records in the log n+1 mean that log n is complete.
// L2: before a record is written, everything before syncedOff of it is durable. So a damaged record
// that lies before the syncedOff of a later one is no trace of a crash. L3: bytes of a log are written
// once; a log that has room left after a crash is sealed, not continued, and none is reused. L4: when
// Open returns, all that it has read is durable.
//
// Checksums are salted with a nonce of the file, its number and the offset, so that neither bytes of
// a file that used the same blocks before nor a record in the wrong place are valid.
type logFile struct {
	f         File
	name      string // path
	no        uint64
	salt      uint64
	off       int64 // where the next record goes
	syncedOff int64 // everything before is durable
}

const (
	logMagic      = "ashLSMw1"
	logVersion    = 1
	logHeaderLen  = 64
	recordHeadLen = 40
	recordReserve = recordHeadLen + 8 // what a batch takes beside its bytes, and a seal in all

	recordData  = 1 // operations
	recordSeal  = 2 // the end of a log; the body is the number of the next
	recordBegin = 3 // the log before was sealed when the database was closed
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// mix spreads the bits of x: the finalizer of SplitMix64.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// logSalt returns what checksums of a log are salted with.
func logSalt(no, nonce uint64) uint64 { return mix(nonce + no*0x9e3779b97f4a7c15) }

// checksum returns the CRC-32C of b, salted.
func checksum(b []byte, salt uint64, off int64) uint32 {
	return crc32.Checksum(b, castagnoli) ^ uint32(mix(salt+uint64(off)))
}

// appendLogHeader appends the header of a log.
func appendLogHeader(b []byte, no, prev, nonce uint64) []byte {
	start := len(b)
	b = append(b, logMagic...)
	b = binary.LittleEndian.AppendUint32(b, logVersion)
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint64(b, no)
	b = binary.LittleEndian.AppendUint64(b, prev)
	b = binary.LittleEndian.AppendUint64(b, nonce)
	b = append(b, make([]byte, 16)...)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
	return binary.LittleEndian.AppendUint32(b, 0)
}

// A recordHead is the decoded header of a record.
type recordHead struct {
	kind      byte
	count     uint32 // operations
	bodyLen   uint32
	bodySum   uint32
	first     uint64 // the sequence of the first operation
	syncedOff int64
}

// padded returns n rounded up to 8, which is where records begin.
func padded(n int64) int64 { return (n + 7) &^ 7 }

// putRecordHead fills the header of rec, a whole record with its padding.
func putRecordHead(rec []byte, h recordHead, salt uint64, off int64) {
	le := binary.LittleEndian
	le.PutUint32(rec[4:], checksum(rec[recordHeadLen:], salt, off+recordHeadLen))
	le.PutUint32(rec[8:], h.bodyLen)
	le.PutUint32(rec[12:], h.count)
	le.PutUint64(rec[16:], h.first)
	le.PutUint64(rec[24:], uint64(h.syncedOff))
	le.PutUint64(rec[32:], uint64(h.kind))
	le.PutUint32(rec[0:], checksum(rec[4:recordHeadLen], salt, off))
}

// parseRecordHead decodes the header of a record at the start of b. ok is false if it is not one.
func parseRecordHead(b []byte, salt uint64, off int64) (h recordHead, ok bool) {
	le := binary.LittleEndian
	if len(b) < recordHeadLen || b[32] == 0 || le.Uint32(b) != checksum(b[4:recordHeadLen], salt, off) {
		return recordHead{}, false
	}
	return recordHead{
		kind: b[32], bodySum: le.Uint32(b[4:]), bodyLen: le.Uint32(b[8:]), count: le.Uint32(b[12:]),
		first: le.Uint64(b[16:]), syncedOff: int64(le.Uint64(b[24:])),
	}, true
}

// append writes a record. rec begins with recordHeadLen bytes of room, and may be extended.
func (l *logFile) append(rec []byte, h recordHead) error {
	h.bodyLen = uint32(len(rec) - recordHeadLen)
	h.syncedOff = l.syncedOff
	for len(rec)%8 != 0 {
		rec = append(rec, 0)
	}
	putRecordHead(rec, h, l.salt, l.off)
	if _, err := l.f.WriteAt(rec, l.off); err != nil {
		return err
	}
	l.off += int64(len(rec))
	return nil
}

func (l *logFile) sync() error {
	if err := l.f.Sync(); err != nil {
		return err
	}
	l.syncedOff = l.off
	return nil
}

// seal ends l, gives back the space that it does not need, and closes it. next must be durable.
func (l *logFile) seal(next, first uint64) error {
	rec := binary.LittleEndian.AppendUint64(make([]byte, recordHeadLen), next)
	err := l.append(rec, recordHead{kind: recordSeal, first: first})
	if err == nil {
		err = l.sync()
	}
	if err != nil {
		return err
	}
	// What lies after the seal is never read: failing to cut it off, or to close, loses nothing.
	_ = l.f.Truncate(l.off)
	_ = l.f.Close()
	return nil
}

// createLog makes a durable log without records, of which size bytes are allocated.
func createLog(fsys FS, dir string, no, prev, nonce uint64, size int64) (*logFile, error) {
	name := filepath.Join(dir, logName(no))
	f, err := fsys.Create(name)
	if err != nil {
		return nil, err
	}
	_, err = f.WriteAt(appendLogHeader(nil, no, prev, nonce), 0)
	if err == nil {
		err = allocate(f, size)
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = fsys.SyncDir(dir)
	}
	if err != nil {
		// The number is not used again, so it does no harm if the file stays.
		return nil, errors.Join(err, f.Close(), fsys.Remove(name))
	}
	return &logFile{f: f, name: name, no: no, salt: logSalt(no, nonce), off: logHeaderLen, syncedOff: logHeaderLen}, nil
}

// allocate is Preallocate where there is one, and where something is to be allocated.
func allocate(f File, size int64) error {
	if size == 0 {
		return nil
	}
	if err := f.Preallocate(size); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}

// A logReader reads the bytes of a log.
type logReader struct {
	name string
	b    []byte
	no   uint64
	prev uint64
	salt uint64

	records int    // valid ones
	sealed  bool   // the last of them is a seal
	next    uint64 // the log that it names
	groups  int    // those that hold operations
	end     int64  // where they end
	synced  int64  // what lies before is durable for certain
}

// corrupt returns an error about the log.
func (r *logReader) corrupt(off int64, reason string) error {
	return &CorruptError{File: r.name, Offset: off, Err: errors.New(reason)}
}

// header decodes the header.
func (r *logReader) header() error {
	le, b := binary.LittleEndian, r.b
	switch {
	case len(b) < logHeaderLen:
		return r.corrupt(int64(len(b)), "the file ends within its header")
	case string(b[:8]) != logMagic:
		return r.corrupt(0, "this is not a log")
	case le.Uint32(b[56:]) != crc32.Checksum(b[:56], castagnoli) || le.Uint32(b[60:]) != 0:
		return r.corrupt(0, "the checksum of the header does not match")
	case le.Uint32(b[8:]) != logVersion || le.Uint32(b[12:]) != 0:
		return &versionError{r.name, le.Uint32(b[8:])}
	}
	r.no, r.prev = le.Uint64(b[16:]), le.Uint64(b[24:])
	r.salt = logSalt(r.no, le.Uint64(b[32:]))
	return nil
}

// read calls record for each record in order, with its body, up to the seal or to where the log
// ends. What is not valid there is a trace of a crash, or the log is corrupt.
func (r *logReader) read(record func(h recordHead, body []byte, off int64) error) error {
	r.end, r.synced = logHeaderLen, logHeaderLen
	for !r.sealed {
		h, body, n := r.at(r.end)
		if n == 0 {
			return r.tail()
		}
		if err := record(h, body, r.end); err != nil {
			return err
		}
		switch h.kind {
		case recordData:
			r.groups++
		case recordSeal:
			r.sealed, r.next = true, binary.LittleEndian.Uint64(body)
		case recordBegin:
		default:
			return &versionError{r.name, uint32(h.kind)}
		}
		r.records++
		r.end += n
		r.synced = min(r.end, max(r.synced, h.syncedOff))
	}
	return nil
}

// at decodes the record at off. Its length n is 0 if there is no valid one.
func (r *logReader) at(off int64) (h recordHead, body []byte, n int64) {
	if off >= int64(len(r.b)) {
		return recordHead{}, nil, 0
	}
	b := r.b[off:]
	h, ok := parseRecordHead(b, r.salt, off)
	if !ok {
		return recordHead{}, nil, 0
	}
	n = recordHeadLen + padded(int64(h.bodyLen))
	if n > int64(len(b)) || checksum(b[recordHeadLen:n], r.salt, off+recordHeadLen) != h.bodySum ||
		h.kind == recordSeal && h.bodyLen != 8 {
		return recordHead{}, nil, 0
	}
	return h, b[recordHeadLen : recordHeadLen+int64(h.bodyLen)], n
}

// tail returns an error if something after the end of the valid records tells that they did not
// end there. A log of which records were lost in a crash may hold later ones, which claim nothing.
func (r *logReader) tail() error {
	for off := r.end + 8; off+recordHeadLen <= int64(len(r.b)); off += 8 {
		h, ok := parseRecordHead(r.b[off:], r.salt, off)
		if ok && h.syncedOff > r.end {
			return r.corrupt(r.end, "a record is damaged that was durable")
		}
	}
	return nil
}

// unused reports whether nothing but zeros follows the valid records.
func (r *logReader) unused() bool {
	for _, c := range r.b[min(r.end, int64(len(r.b))):] {
		if c != 0 {
			return false
		}
	}
	return true
}
