// SPDX-License-Identifier: MIT

package lsm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"
)

// A logFile is a log to which the leader appends groups of commits. FORMAT.md
// has the format.
//
//	L1  A record lies in a log only if the log before ends with a durable
//	    seal, which names number and nonce of this one. So records in log n+1
//	    mean that log n is complete, whatever a crash leaves.
//	L2  Before a record is written, everything before its syncedOff is
//	    durable. So a damaged record that lies before the syncedOff of a later
//	    one is no trace of a crash.
//	L3  Bytes of a log are written once. A log that has anything after its
//	    records is sealed after a crash and not continued; none is recycled.
//	L4  A failed write or sync of a log is final.
//	L5  The logs of a closed database end with one whose only record is a
//	    begin, whether anything was committed or not.
//	L6  Whatever is written lies before size, where the disk has room.
//
// Checksums are salted with the database, the number and the nonce of the log,
// and the offset. So neither bytes of a file that used the same blocks before,
// nor a log of a copy of the database, nor a record in the wrong place is
// valid.
type logFile struct {
	f     File
	name  string // path
	no    uint64
	nonce uint64
	salt  uint64

	size      int64 // allocated
	off       int64 // of the next record
	syncedOff int64 // everything before is durable
	records   int   // in the log
	data      bool  // one of them has operations
	unsynced  int   // of them, those after syncedOff
}

const (
	logMagic      = "ashlarwl"
	unreleasedLog = "ashLSMw1" // never released
	formatVersion = 1
	logHeaderLen  = 64
	recordHeadLen = 40
	sealLen       = recordHeadLen + 16
	markLen       = recordHeadLen
	groupExtra    = recordHeadLen + 7 + markLen // room of a group beside its operations

	maxBody   = MaxBatchLen + 64<<10
	maxLogLen = maxBody + 64<<10 // no record ends behind this
)

// The kinds of records.
const (
	recordData  = 1 // operations
	recordSeal  = 2 // the end of a log; the body names the next
	recordBegin = 3 // the first record of a log that Close has made
	recordMark  = 4 // all bytes before syncedOff are durable
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// mix spreads the bits of x: the finalizer of SplitMix64.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// fileSalt returns the salt of the checksums of a log or manifest.
func fileSalt(id, no, nonce uint64) uint64 { return mix(mix(id) + nonce + no*0x9e3779b97f4a7c15) }

// checksum returns the CRC-32C of b, which stands at off, salted.
func checksum(b []byte, salt uint64, off int64) uint32 {
	return crc32.Checksum(b, castagnoli) ^ uint32(mix(salt+uint64(off)))
}

// headerSum returns the checksum of a header, which is in its bytes 12 to 15.
func headerSum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:12], castagnoli), castagnoli, b[16:])
}

// A fileHeader holds the fields that the headers of logs and manifests have in
// common.
type fileHeader struct {
	no, id, nonce uint64
}

// encode returns a header of n bytes.
func (h fileHeader) encode(magic string, n int) []byte {
	b := make([]byte, n)
	copy(b, magic)
	binary.LittleEndian.PutUint16(b[8:], formatVersion)
	binary.LittleEndian.PutUint64(b[16:], h.no)
	binary.LittleEndian.PutUint64(b[24:], h.id)
	binary.LittleEndian.PutUint64(b[32:], h.nonce)
	binary.LittleEndian.PutUint32(b[12:], headerSum(b))
	return b
}

// parseHeader decodes the header b of the file name, which should have n bytes.
// A byte that is written as zero is a later version's if it is not zero.
func parseHeader(name string, b []byte, n int, magic, old string) (h fileHeader, err error) {
	switch {
	case len(b) < n:
		return h, corrupt(name, 0, "the file ends within its header")
	case string(b[:8]) == old:
		return h, &versionError{name, "a format that was not released"}
	case string(b[:8]) != magic:
		return h, corrupt(name, 0, "the file does not begin with "+magic)
	case binary.LittleEndian.Uint32(b[12:]) != headerSum(b):
		return h, corrupt(name, 0, "the checksum of the header does not match")
	case binary.LittleEndian.Uint16(b[8:]) != formatVersion:
		return h, &versionError{name, fmt.Sprint("version ", binary.LittleEndian.Uint16(b[8:]))}
	case b[10] != 0 || b[11] != 0 || !allZero(b[40:]):
		return h, &versionError{name, "a header with fields that are not known"}
	}
	return fileHeader{
		no:    binary.LittleEndian.Uint64(b[16:]),
		id:    binary.LittleEndian.Uint64(b[24:]),
		nonce: binary.LittleEndian.Uint64(b[32:]),
	}, nil
}

// A recordHead is the decoded header of a record.
type recordHead struct {
	kind      byte
	unknown   bool   // bytes are set that this version writes as zero
	count     uint32 // operations
	bodyLen   uint32
	bodySum   uint32
	first     uint64 // the sequence of the first operation, or the next to come
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

// parseRecordHead decodes the header of a record at the start of b. ok is
// false if it is not one.
func parseRecordHead(b []byte, salt uint64, off int64) (h recordHead, ok bool) {
	le := binary.LittleEndian
	if len(b) < recordHeadLen || b[32] == 0 || le.Uint32(b) != checksum(b[4:recordHeadLen], salt, off) {
		return recordHead{}, false
	}
	return recordHead{
		kind:      b[32],
		unknown:   !allZero(b[33:recordHeadLen]),
		bodySum:   le.Uint32(b[4:]),
		bodyLen:   le.Uint32(b[8:]),
		count:     le.Uint32(b[12:]),
		first:     le.Uint64(b[16:]),
		syncedOff: int64(le.Uint64(b[24:])),
	}, true
}

// createLog makes a durable log without records, with room for size bytes.
func createLog(fsys FS, dir string, h fileHeader, size int64) (*logFile, error) {
	name := filepath.Join(dir, logName(h.no))
	f, err := fsys.Create(name)
	if err != nil {
		return nil, err
	}

	// Header, space and name are durable before the first record is.
	_, err = f.WriteAt(h.encode(logMagic, logHeaderLen), 0)
	if err == nil {
		err = allocate(f, logHeaderLen, size)
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

	return &logFile{
		f: f, name: name, no: h.no, nonce: h.nonce, salt: fileSalt(h.id, h.no, h.nonce),
		size: size, off: logHeaderLen, syncedOff: logHeaderLen,
	}, nil
}

// allocate makes room for size bytes in f, of which those before off are in
// use. Where Preallocate is not supported, it writes zeros.
func allocate(f File, off, size int64) error {
	if size <= off {
		return nil
	}
	err := f.Preallocate(size)
	if !errors.Is(err, errors.ErrUnsupported) {
		return err
	}

	// The file system cannot: write the zeros.
	zeros := make([]byte, min(size-off, windowLen))
	for ; off < size; off += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros[:min(int64(len(zeros)), size-off)], off); err != nil {
			return err
		}
	}
	return nil
}

// append writes a record. rec begins with recordHeadLen bytes of room, and may
// be extended.
func (l *logFile) append(rec []byte, h recordHead) error {
	h.bodyLen = uint32(len(rec) - recordHeadLen)
	h.syncedOff = l.syncedOff
	for len(rec)%8 != 0 {
		rec = append(rec, 0)
	}
	putRecordHead(rec, h, l.salt, l.off)

	// A record that failed leaves off where it was, and the next one overwrites
	// it.
	if _, err := l.f.WriteAt(rec, l.off); err != nil {
		return err
	}
	l.off += int64(len(rec))
	l.records++
	l.unsynced++
	l.data = l.data || h.kind == recordData
	return nil
}

// sync makes all records durable.
func (l *logFile) sync() error {
	if err := l.f.Sync(); err != nil {
		return err
	}
	l.syncedOff = l.off
	l.unsynced = 0
	return nil
}

// mark writes that everything before is durable, so that damage of it is
// found. A record that is synced alone needs none: the next one says it. next
// is the sequence to come.
func (l *logFile) mark(next uint64) error {
	return l.append(make([]byte, markLen), recordHead{kind: recordMark, first: next})
}

// markRoom returns how much room a mark of the unsynced records will take.
func (l *logFile) markRoom() int64 {
	if l.unsynced == 0 {
		return 0
	}
	return markLen
}

// seal ends l, gives back the space that it does not need, and closes it. next
// must be durable; first is the sequence to come.
func (l *logFile) seal(next *logFile, first uint64) error {
	rec := make([]byte, recordHeadLen, sealLen)
	rec = binary.LittleEndian.AppendUint64(rec, next.no)
	rec = binary.LittleEndian.AppendUint64(rec, next.nonce)
	if err := l.append(rec, recordHead{kind: recordSeal, first: first}); err != nil {
		return err
	}
	if err := l.sync(); err != nil {
		return err
	}

	// Bytes after the seal are never read: failing to cut them off, or to
	// close, loses nothing.
	_ = l.f.Truncate(l.off)
	_ = l.f.Close()
	return nil
}

// end makes l the end of a closed database, and closes it. A log without
// records gets its begin; one that has it needs only to lose its free space.
func (l *logFile) end(next uint64) error {
	var err error
	if l.records == 0 {
		err = l.append(make([]byte, recordHeadLen), recordHead{kind: recordBegin, first: next})
	}
	if err == nil {
		err = l.f.Truncate(l.off)
	}
	if err == nil {
		err = l.sync()
	}
	return errors.Join(err, l.f.Close())
}
