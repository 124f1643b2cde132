// SPDX-License-Identifier: MIT

package lsm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func FuzzModelDB(f *testing.F) { f.Fuzz(rapid.MakeFuzz(modelDB)) }

// repairLog gives b the header of a log, and makes the checksums right as far
// as its lengths allow, to get past them.
func repairLog(b, header []byte) {
	if len(b) < logHeaderLen {
		return
	}
	copy(b, header)
	le := binary.LittleEndian
	salt := fileSalt(le.Uint64(b[24:]), le.Uint64(b[16:]), le.Uint64(b[32:]))

	for off := int64(logHeaderLen); off+recordHeadLen <= int64(len(b)); {
		n := recordHeadLen + padded(int64(le.Uint32(b[off+8:])))
		if n > int64(len(b))-off {
			return
		}
		rec := b[off : off+n]
		clear(rec[33:recordHeadLen])
		h := recordHead{
			kind: rec[32], count: le.Uint32(rec[12:]), bodyLen: le.Uint32(rec[8:]),
			first: le.Uint64(rec[16:]), syncedOff: int64(le.Uint64(rec[24:])),
		}
		putRecordHead(rec, h, salt, off)
		off += n
	}
}

// FuzzLog opens a database with any bytes for a log. It opens or is corrupt,
// and its answers stay the same after it was closed.
func FuzzLog(f *testing.F) {
	for _, closed := range []bool{true, false} {
		f.Add(testFiles(f, 3, closed).bytes(logName(1)), closed)
	}
	f.Add([]byte(logMagic), true)
	empty := testFiles(f, 0, false)
	header := slices.Clone(empty.bytes(logName(1))[:logHeaderLen])
	f.Fuzz(func(t *testing.T, b []byte, repair bool) {
		b = slices.Clone(b)
		if repair {
			repairLog(b, header)
		}
		m := empty.CrashClone(CrashConfig{Keep: 1})
		m.put(logName(1), b)
		db, err := Open("db", &Options{FS: m, LogSize: minLogSize})
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
				t.Fatal(err)
			}
			return
		}

		n := db.Stats().Sequence
		want := lookAll(db)
		closeDB(t, db)
		db = openMem(t, m)
		if got := db.Stats().Sequence; got != n {
			t.Errorf("sequence %d after a reopen, want %d", got, n)
		}
		if got := lookAll(db); !slices.Equal(got, want) {
			t.Errorf("entries %q after a reopen, want %q", got, want)
		}
		closeDB(t, db)
	})
}

// lookAll returns all entries of db.
func lookAll(db *DB) (list []string) {
	db.state.Load().mem.each(func(key, value []byte, trailer uint64, newest bool) {
		list = append(list, string(binary.BigEndian.AppendUint64(slices.Concat(key, []byte{0}, value), trailer)))
	})
	return list
}

// FuzzBatch decodes any bytes as operations. Those that are accepted are
// written again to the same effect.
func FuzzBatch(f *testing.F) {
	f.Add(scriptBatch(3).data)
	f.Add([]byte{kindSet, 0x81, 0, 'a', 0x80, 0})
	f.Add([]byte{kindSet, 1, 'a', 3, 'x', 'y'}) // one byte is missing
	f.Fuzz(func(t *testing.T, b []byte) {
		var again Batch
		var ops []op
		for rest := b; len(rest) > 0; {
			o, r, ok := decodeOp(rest)
			if !ok {
				break
			}
			if o.kind == kindSet {
				again.Set(o.key, o.value)
			} else {
				again.Delete(o.key)
			}
			ops = append(ops, o)
			rest = r
		}
		equal(t, "operations written again", again.Len(), len(ops))
		if again.Size() > len(b) {
			t.Fatalf("got %d bytes, want at most %d", again.Size(), len(b))
		}

		rest := again.data
		for _, want := range ops {
			got, r, ok := decodeOp(rest)
			if !ok {
				t.Fatalf("got no operation, want %v", want)
			}
			equal(t, "kind", got.kind, want.kind)
			equal(t, "key", string(got.key), string(want.key))
			equal(t, "value", string(got.value), string(want.value))
			rest = r
		}
	})
}

// repairManifest gives b the header of a manifest, and makes the checksums and
// the chain right as far as its lengths allow.
func repairManifest(b []byte) {
	header := testManifest.encode()[:manifestHeaderLen]
	copy(b, header)
	le := binary.LittleEndian
	salt := fileSalt(le.Uint64(header[24:]), le.Uint64(header[16:]), le.Uint64(header[32:]))

	chain := uint32(0)
	for off := int64(manifestHeaderLen); off+editHeadLen <= int64(len(b)); {
		n := editHeadLen + padded(int64(le.Uint32(b[off+8:])))
		if n > int64(len(b))-off {
			return
		}
		e := b[off : off+n]
		le.PutUint32(e[4:], checksum(e[editHeadLen:], salt, off+editHeadLen))
		le.PutUint32(e[12:], chain)
		le.PutUint32(e, checksum(e[4:editHeadLen], salt, off))
		chain = le.Uint32(e)
		off += n
	}
}

// FuzzManifest decodes any bytes as a manifest. What is accepted says the same
// when it is written as a snapshot.
func FuzzManifest(f *testing.F) {
	f.Add(testManifest.encode(), true)
	f.Add(withEdit(editHead{kind: editChange, number: 4}, appendField(nil, tagNextFile, []byte{40})), false)
	f.Fuzz(func(t *testing.T, b []byte, repair bool) {
		b = slices.Clone(b)
		if repair {
			repairManifest(b)
		}
		m := NewMemFS()
		m.put(manifestName(1), b)
		got, err := readManifest(m, "db", 1)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
				t.Fatal(err)
			}
			return
		}

		m.put(manifestName(1), got.encode())
		again, err := readManifest(m, "db", 1)
		isError(t, "a second reading", err, nil)
		equal(t, "a second reading", fmt.Sprint(again), fmt.Sprint(got))
	})
}
