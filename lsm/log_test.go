// SPDX-License-Identifier: MIT

package lsm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"slices"
	"testing"
	"unsafe"
)

// seal0 returns a seal record that names a log.
func seal0(no, nonce uint64) []byte {
	b := binary.LittleEndian.AppendUint64(make([]byte, recordHeadLen), no)
	return binary.LittleEndian.AppendUint64(b, nonce)
}

// oneLog returns the files of a database with one log, which holds rec.
func oneLog(t testing.TB, rec []byte, h recordHead) *MemFS {
	t.Helper()
	m := NewMemFS()
	header := fileHeader{no: 1, id: 5, nonce: 7}
	l, err := createLog(m, "db", header, minLogSize)
	if err != nil {
		t.Fatal(err)
	}
	mf := manifest{fileHeader: fileHeader{no: 1, id: 5, nonce: 9}, edit: 1, oldest: logRef{1, 7}, nextFile: 2}
	if err := errors.Join(l.append(rec, h), l.sync(), l.f.Close()); err != nil {
		t.Fatal(err)
	}
	m.put(manifestName(1), mf.encode())
	return m
}

// openErrorOf opens m, and returns the error, which must leave nothing open.
func openErrorOf(t testing.TB, m *MemFS) error {
	t.Helper()
	db, err := Open("db", &Options{FS: m, LogSize: minLogSize})
	if err == nil {
		closeDB(t, db)
	}
	if err := m.leaks(); err != nil {
		t.Error(err)
	}
	return err
}

// TestLogContents checks that logs whose checksums are right and whose contents
// are not are corrupt, and that a kind of operation or record of a later
// version is ErrVersion, whatever else it says.
func TestLogContents(t *testing.T) {
	ops := func(more ...byte) []byte {
		return slices.Concat(make([]byte, recordHeadLen), scriptBatch(1).data, more)
	}

	head := recordHead{kind: recordData, first: 1, count: 3}

	for _, c := range []struct {
		name string
		rec  []byte
		h    recordHead
		want error
	}{
		{"good", ops(), head, nil},
		{"gap", ops(), recordHead{kind: recordData, first: 2, count: 3}, ErrCorrupt},
		{"count", ops(), recordHead{kind: recordData, first: 1, count: 2}, ErrCorrupt},
		{"operation cut", ops(kindSet, 9), recordHead{kind: recordData, first: 1, count: 4}, ErrCorrupt},
		{"operation kind 2", ops(2, 0), recordHead{kind: recordData, first: 1, count: 4}, ErrVersion},
		{"operation kind 7", ops(7), recordHead{kind: recordData, first: 1, count: 4}, ErrVersion},
		{"record kind 5", ops(), recordHead{kind: 5, first: 77}, ErrVersion},
		{"record kind 255", ops(), recordHead{kind: 255}, ErrVersion},
		{"mark with a body", ops(), recordHead{kind: recordMark, first: 1}, ErrVersion},
		{"begin with a count", ops()[:recordHeadLen], recordHead{kind: recordBegin, first: 1, count: 1}, ErrVersion},
		{"long seal", append(seal0(2, 1), 0), recordHead{kind: recordSeal, first: 1}, ErrVersion},
		{"next is older", seal0(1, 7), recordHead{kind: recordSeal, first: 1}, ErrCorrupt},
		{"next is absent", seal0(2, 1), recordHead{kind: recordSeal, first: 1}, ErrCorrupt},
	} {
		err := openErrorOf(t, oneLog(t, c.rec, c.h))
		isError(t, c.name, err, c.want)
		wantPlace(t, c.name, err, logName(1), logHeaderLen)
	}
}

// TestTrapLogNumbers checks that a seal which names a log with an enormous
// number is corrupt, though that log is there: the one after it would have a
// lower number, and no Open would look for it.
func TestTrapLogNumbers(t *testing.T) {
	for no, want := range map[uint64]error{maxFileNo - 1: nil, maxFileNo: ErrCorrupt, math.MaxUint64: ErrCorrupt} {
		m := oneLog(t, seal0(no, 7), recordHead{kind: recordSeal, first: 1})
		l, err := createLog(m, "db", fileHeader{no: no, id: 5, nonce: 7}, minLogSize)
		must(t, err, l.f.Close())

		err = openErrorOf(t, m)
		what := fmt.Sprint("log ", no)
		isError(t, what, err, want)
		wantPlace(t, what, err, logName(1), logHeaderLen)
	}
}

// TestReserved checks that a byte which this version writes as zero, and a
// later one may use, is ErrVersion and nothing else if the checksums are right.
func TestReserved(t *testing.T) {
	closed := testFiles(t, 3, true)
	check := func(name string, at int, repair func(b []byte)) {
		t.Helper()
		c := closed.CrashClone(CrashConfig{Keep: 1})
		b := slices.Clone(c.bytes(name))
		b[at]++
		repair(b)
		c.put(name, b)
		if err := openErrorOf(t, c); !errors.Is(err, ErrVersion) {
			t.Errorf("%s[%d] is set: got %v, want ErrVersion", name, at, err)
		}
	}

	wal, mf := logName(1), closed.manifest(t)
	header := func(b []byte) { binary.LittleEndian.PutUint32(b[12:], headerSum(b[:logHeaderLen])) }
	for _, at := range []int{8, 9, 10, 11, 40, 47, 55, 56, 63} {
		check(wal, at, header)
	}
	mheader := func(b []byte) { binary.LittleEndian.PutUint32(b[12:], headerSum(b[:manifestHeaderLen])) }
	for _, at := range []int{8, 9, 10, 11, 40, 47} {
		check(mf, at, mheader)
	}

	salt := func(b []byte) uint64 {
		le := binary.LittleEndian
		return fileSalt(le.Uint64(b[24:]), le.Uint64(b[16:]), le.Uint64(b[32:]))
	}
	record := func(b []byte) {
		binary.LittleEndian.PutUint32(b[logHeaderLen:], checksum(b[logHeaderLen+4:logHeaderLen+recordHeadLen], salt(b), logHeaderLen))
	}
	for at := 33; at < recordHeadLen; at++ {
		check(wal, logHeaderLen+at, record)
	}
	edit := func(b []byte) {
		binary.LittleEndian.PutUint32(b[manifestHeaderLen:], checksum(b[manifestHeaderLen+4:manifestHeaderLen+editHeadLen], salt(b), manifestHeaderLen))
	}
	for at := 25; at < editHeadLen; at++ {
		check(mf, manifestHeaderLen+at, edit)
	}
}

// TestOldFormat checks that files in the format that was not released are
// ErrVersion.
func TestOldFormat(t *testing.T) {
	for _, name := range []string{logName(1), manifestName(1)} {
		m := testFiles(t, 1, true)
		old := unreleasedLog
		if name != logName(1) {
			name = m.manifest(t)
			old = unreleasedManifest
		}
		b := slices.Clone(m.bytes(name))
		copy(b, old)
		m.put(name, b)
		if err := openErrorOf(t, m); !errors.Is(err, ErrVersion) {
			t.Errorf("%s: got %v, want ErrVersion", name, err)
		}
	}
}

// TestSyncedOff checks that a record which says that its own bytes were durable
// before it was written is corrupt.
func TestSyncedOff(t *testing.T) {
	for _, c := range []struct {
		synced int64
		want   error
	}{{logHeaderLen, nil}, {logHeaderLen + 1, ErrCorrupt}} {
		rec := append(make([]byte, recordHeadLen), scriptBatch(1).data...)
		for len(rec)%8 != 0 {
			rec = append(rec, 0)
		}
		m := oneLog(t, slices.Clone(rec), recordHead{kind: recordData, first: 1, count: 3})
		h := recordHead{
			kind: recordData, first: 1, count: 3, syncedOff: c.synced,
			bodyLen: uint32(scriptBatch(1).Size()),
		}
		putRecordHead(rec, h, fileSalt(5, 1, 7), logHeaderLen)
		copy(m.bytes(logName(1))[logHeaderLen:], rec)
		what := fmt.Sprint("syncedOff ", c.synced)
		err := openErrorOf(t, m)
		isError(t, what, err, c.want)
		wantPlace(t, what, err, logName(1), logHeaderLen)
	}
}

// TestLogPlace checks that a log in the place of another is corrupt: of another
// number, with another nonce, or of another database.
func TestLogPlace(t *testing.T) {
	for _, c := range []fileHeader{{3, 5, 8}, {2, 5, 9}, {2, 6, 8}, {2, 5, 8}} {
		m := oneLog(t, seal0(2, 8), recordHead{kind: recordSeal, first: 1})
		m.put(logName(2), c.encode(logMagic, logHeaderLen))
		want := error(nil)
		if (c != fileHeader{2, 5, 8}) {
			want = ErrCorrupt
		}
		what := fmt.Sprintf("log %+v as 2, 5, 8", c)
		err := openErrorOf(t, m)
		isError(t, what, err, want)
		wantPlace(t, what, err, logName(2), 0)
	}
}

// TestMixedCopies checks that a log of one copy of a database is not taken for
// that of another copy, though numbers and sequences fit.
func TestMixedCopies(t *testing.T) {
	base := testFiles(t, 2, true)
	var copies [2]*MemFS
	for i := range copies {
		copies[i] = base.CrashClone(CrashConfig{Keep: 1})
		for j := range 2 {
			db, err := openWith("db", &Options{FS: copies[i], LogSize: minLogSize}, testNonce(uint64(10*i+j+5)), noLimits)
			if err != nil {
				t.Fatal(err)
			}
			set(t, db, "a", fmt.Sprint(i), Sync)
			closeDB(t, db)
		}
	}

	for _, name := range []string{logName(3), logName(4)} {
		m := copies[0].CrashClone(CrashConfig{Keep: 1})
		m.put(name, copies[1].bytes(name))
		if err := openErrorOf(t, m); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s of the other copy: got %v, want ErrCorrupt", name, err)
		}
	}
}

// TestMark checks that damage of a record which DB.Sync has made durable is
// found after the process was killed, though no record came after it.
func TestMark(t *testing.T) {
	m := NewMemFS()
	s := new(script)
	db := openMem(t, m)
	for range 8 {
		if err := s.commit(db, NoSync); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.sync(db); err != nil {
		t.Fatal(err)
	}
	killed := m.killClone()
	closeDB(t, db)

	for at := logHeaderLen; at < logHeaderLen+recordHeadLen+8; at++ {
		if i, err := openDamaged(killed, logName(1), func(b []byte) []byte { b[at] ^= 1; return b }); !errors.Is(err, ErrCorrupt) {
			t.Errorf("byte %d is damaged: commit %d and %v, want ErrCorrupt", at, i, err)
		}
	}
	if db = openMem(t, killed); db.Stats().Sequence != 24 {
		t.Errorf("sequence %d, want 24", db.Stats().Sequence)
	}
	closeDB(t, db)
}

// A hugeFS says of files that they have a length, of which the rest is zeros.
type hugeFS struct {
	FS
	size int64
	name string
}

func (f hugeFS) Open(name string) (File, error) {
	file, err := f.FS.Open(name)
	if err != nil || !bytes.HasSuffix([]byte(name), []byte(f.name)) {
		return file, err
	}
	return hugeFile{file, f.size}, nil
}

type hugeFile struct {
	File
	size int64
}

func (f hugeFile) Size() (int64, error) { return f.size, nil }

func (f hugeFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(p, off)
	if errors.Is(err, io.EOF) && off+int64(len(p)) <= f.size {
		clear(p[n:])
		return len(p), nil
	}
	return n, err
}

// TestHuge checks that a log that claims to have 1 TiB is read in pieces, and
// such a manifest is corrupt.
func TestHuge(t *testing.T) {
	for _, closed := range []bool{true, false} {
		m := testFiles(t, 5, closed)
		db, err := Open("db", &Options{FS: hugeFS{m, 1 << 40, ".wal"}, LogSize: minLogSize})
		if err != nil {
			t.Fatal(err)
		}
		wantLast(t, fmt.Sprint("closed ", closed), db, 5)
		closeDB(t, db)

		_, err = Open("db", &Options{FS: hugeFS{m, 1 << 40, m.manifest(t)}})
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("closed %t, a manifest of 1 TiB: got %v, want ErrCorrupt", closed, err)
		}
	}
}

// A longFile holds a head, and fails to read more than that.
type longFile struct {
	File
	head []byte
}

func (f longFile) ReadAt(p []byte, _ int64) (int, error) {
	if len(p) > windowLen {
		return 0, errBroken
	}
	clear(p)
	copy(p, f.head)
	return len(p), nil
}

// TestRecordLength checks that the body of a record is read up to the longest
// one that there can be, and that a longer one is no record, whatever its
// checksums say: on 32 bits it would not fit into memory.
func TestRecordLength(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("needs a gigabyte of address space")
	}
	for more, want := range []error{errBroken, nil} {
		head := make([]byte, recordHeadLen)
		putRecordHead(head, recordHead{kind: recordData, bodyLen: uint32(maxBody + more)}, 0, 0)
		r := &logReader{window: &window{f: longFile{head: head}, size: 1 << 40}}
		_, _, n, err := r.recordAt(0)
		what := fmt.Sprintf("a body of %d bytes", maxBody+more)
		isError(t, what, err, want)
		equal(t, what+": the length of the record", n, 0)
	}
}

// An eofFile says EOF with the last byte, and not after it, as a reader may.
type eofFile struct{ File }

func (f eofFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(p, off)
	if size, serr := f.File.Size(); err == nil && serr == nil && off+int64(n) == size {
		err = io.EOF
	}
	return n, err
}

// TestWindowEnd checks that the end of a file is no error, also where the file
// is shorter than it was, and that another error is one.
func TestWindowEnd(t *testing.T) {
	f := create(t, NewMemFS(), "a", "0123456789")
	for _, c := range []struct {
		f    File
		size int64
		want string
		err  error
	}{
		{f, 10, "789", nil},
		{eofFile{f}, 10, "789", nil},
		{f, 14, "789", nil},
		{f, 9, "78", nil},
	} {
		w := &window{f: c.f, size: c.size}
		b, err := w.at(7, 100)
		isError(t, "at", err, c.err)
		equal(t, fmt.Sprintf("bytes from 7 on of a file of %d", c.size), string(b), c.want)
	}

	must(t, f.Close())
	_, err := (&window{f: f, size: 10}).at(7, 1)
	isError(t, "at of a closed file", err, fs.ErrClosed)
}

// TestAllocate checks that space is reserved where that is possible, and filled
// with zeros only where it is not: another failure is one.
func TestAllocate(t *testing.T) {
	const off, size = 100, windowLen + 5000
	for _, c := range []struct {
		preallocate, want error
		writes            int
	}{
		{nil, nil, 0},
		{errors.ErrUnsupported, nil, 2},
		{errBroken, errBroken, 0},
	} {
		m := NewMemFS()
		f := create(t, m, "a", "")
		writes := 0
		m.Inject(func(op FSOp) error {
			if op.Kind == "write" {
				writes++
			}
			if op.Kind == "preallocate" {
				return c.preallocate
			}
			return nil
		})

		isError(t, "allocate", allocate(f, off, size), c.want)
		equal(t, fmt.Sprintf("writes after %v", c.preallocate), writes, c.writes)
		got, err := f.Size()
		must(t, err)
		if c.want == nil {
			equal(t, fmt.Sprintf("length after %v", c.preallocate), got, size)
		}
		isError(t, "allocate nothing", allocate(f, size, size), nil)
		must(t, f.Close())
	}
}

// TestWindow checks that records, and traces of later ones, are found wherever
// they lie with respect to the pieces in which a log is read.
func TestWindow(t *testing.T) {
	lengths := []int{windowLen - 300, windowLen, 3 * windowLen}
	for k := range 7 { // the head of the third record lies across two pieces
		lengths = append(lengths, windowLen-46-8*k)
	}
	for _, n := range lengths {
		m := NewMemFS()
		db := memDB(t, Options{FS: m, LogSize: int64(n) + 64<<10}) // all in one log
		set(t, db, "a", "1", Sync)
		set(t, db, "b", string(bytes.Repeat([]byte{'x'}, n)), Sync)
		set(t, db, "c", "3", Sync)
		killed := m.CrashClone(CrashConfig{Keep: 1})
		after := memDB(t, Options{FS: killed.CrashClone(CrashConfig{Keep: 1}), LogSize: minLogSize})
		wantValue(t, fmt.Sprintf("after a value of %d bytes", n), after, "c", "3")

		// The second record is damaged, and only the third tells so.
		offs, _ := records(t, killed, logName(1))
		killed.bytes(logName(1))[offs[1]+4] ^= 1
		if _, err := Open("db", &Options{FS: killed}); !errors.Is(err, ErrCorrupt) {
			t.Errorf("a value of %d bytes that is damaged: got %v, want ErrCorrupt", n, err)
		}
	}
}
