// SPDX-License-Identifier: MIT

package lsm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func FuzzModelDB(f *testing.F) { f.Fuzz(rapid.MakeFuzz(modelDB)) }

// repairLog makes the checksums of b right as far as its lengths allow, to get past them.
func repairLog(b []byte) {
	if len(b) < logHeaderLen {
		return
	}
	copy(b, logMagic)
	binary.LittleEndian.PutUint32(b[8:], logVersion)
	binary.LittleEndian.PutUint32(b[12:], 0)
	binary.LittleEndian.PutUint64(b[16:], 1)
	binary.LittleEndian.PutUint32(b[60:], 0)
	binary.LittleEndian.PutUint32(b[56:], crc32.Checksum(b[:56], castagnoli))
	salt := logSalt(1, binary.LittleEndian.Uint64(b[32:]))
	for off := int64(logHeaderLen); off+recordHeadLen <= int64(len(b)); {
		n := recordHeadLen + padded(int64(binary.LittleEndian.Uint32(b[off+8:])))
		if n > int64(len(b))-off {
			return
		}
		rec := b[off : off+n]
		clear(rec[33:recordHeadLen])
		h := recordHead{
			kind: rec[32], count: binary.LittleEndian.Uint32(rec[12:]), bodyLen: binary.LittleEndian.Uint32(rec[8:]),
			first: binary.LittleEndian.Uint64(rec[16:]), syncedOff: int64(binary.LittleEndian.Uint64(rec[24:])),
		}
		putRecordHead(rec, h, salt, off)
		off += n
	}
}

// FuzzLog opens a database with any bytes for a log. It opens or is corrupt, and what it answers
// stays the same after it was closed.
func FuzzLog(f *testing.F) {
	for _, closed := range []bool{true, false} {
		m := testFiles(f, 3, closed)
		f.Add(m.dirs["db"].live[logName(1)].live, closed)
	}
	f.Add([]byte(logMagic), true)
	empty := testFiles(f, 0, false)
	f.Fuzz(func(t *testing.T, b []byte, repair bool) {
		if b = slices.Clone(b); repair {
			repairLog(b)
		}
		m := empty.CrashClone(CrashConfig{Keep: 1})
		m.dirs["db"].live[logName(1)].live = b
		db, err := Open("db", &Options{FS: m, LogSize: minLogSize})
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
				t.Fatal(err)
			}
			return
		}
		n, v := db.Metrics().Sequence, lookAll(db)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if db, err = Open("db", &Options{FS: m, LogSize: minLogSize}); err != nil {
			t.Fatal(err)
		}
		if got := db.Metrics().Sequence; got != n || !slices.Equal(lookAll(db), v) {
			t.Fatalf("%d operations after a reopen, before %d", got, n)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// lookAll returns all versions in db.
func lookAll(db *DB) (list []string) {
	for _, ref := range db.mem.all() {
		k, v, trailer := db.mem.arena.get(ref)
		list = append(list, string(binary.BigEndian.AppendUint64(append(append(k, 0), v...), trailer)))
	}
	return list
}

// FuzzBatch decodes any bytes as operations. What is accepted is written again to the same effect.
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
			ops, rest = append(ops, o), r
		}
		if again.Len() != len(ops) || again.Size() > len(b) {
			t.Fatalf("%d operations in %d bytes, want %d in at most %d", again.Len(), again.Size(), len(ops), len(b))
		}
		rest := again.data
		for _, want := range ops {
			got, r, ok := decodeOp(rest)
			if !ok || got.kind != want.kind || !bytes.Equal(got.key, want.key) || !bytes.Equal(got.value, want.value) {
				t.Fatalf("%v, want %v", got, want)
			}
			rest = r
		}
	})
}

// FuzzManifest decodes any bytes as a manifest.
func FuzzManifest(f *testing.F) {
	f.Add(manifest{minLog: 1}.encode(), true)
	f.Add(manifest{minLog: 1 << 40}.encode(), false)
	f.Fuzz(func(t *testing.T, b []byte, repair bool) {
		if repair && len(b) >= manifestHead+editHead {
			b = slices.Clone(b)
			copy(b, manifestMagic)
			binary.LittleEndian.PutUint32(b[8:], manifestVersion)
			binary.LittleEndian.PutUint32(b[manifestHead+4:], uint32(len(b)-manifestHead-editHead))
			binary.LittleEndian.PutUint32(b[manifestHead:], crc32.Checksum(b[manifestHead+4:], castagnoli)^crc32.Checksum(b[:manifestHead], castagnoli))
		}
		m, err := decodeManifest("m", b)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
				t.Fatal(err)
			}
			return
		}
		if again, err := decodeManifest("m", m.encode()); err != nil || again != m {
			t.Fatalf("%v, %v, want %v", again, err, m)
		}
	})
}
