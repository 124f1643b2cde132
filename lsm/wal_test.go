// SPDX-License-Identifier: MIT

package lsm

import (
	"encoding/binary"
	"errors"
	"path/filepath"
	"testing"
)

// TestLogContents opens logs whose checksums are right and whose contents are not.
func TestLogContents(t *testing.T) {
	ops := func(b *Batch) []byte { return append(make([]byte, recordHeadLen), b.data...) }
	good := ops(scriptBatch(1))
	seal := func(next uint64) []byte {
		return binary.LittleEndian.AppendUint64(make([]byte, recordHeadLen), next)
	}
	for name, c := range map[string]struct {
		rec  []byte
		h    recordHead
		want error
	}{
		"good":           {good, recordHead{kind: recordData, first: 1, count: 3}, nil},
		"gap":            {good, recordHead{kind: recordData, first: 2, count: 3}, ErrCorrupt},
		"count":          {good, recordHead{kind: recordData, first: 1, count: 2}, ErrCorrupt},
		"operation":      {append(ops(scriptBatch(1)), 9), recordHead{kind: recordData, first: 1, count: 4}, ErrCorrupt},
		"kind":           {good, recordHead{kind: 9, first: 1}, ErrVersion},
		"next is older":  {seal(1), recordHead{kind: recordSeal, first: 1}, ErrCorrupt},
		"next is absent": {seal(2), recordHead{kind: recordSeal, first: 1}, ErrCorrupt},
	} {
		m := NewMemFS()
		l, err := createLog(m, "db", 1, 0, 7, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(l.append(c.rec, c.h), l.sync(), l.f.Close(), manifest{minLog: 1}.write(m, "db", 1)); err != nil {
			t.Fatal(err)
		}
		db, err := Open("db", &Options{FS: m})
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if err == nil {
			db.Close()
		}
		if err := m.leaks(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestLogPlace opens logs of other numbers, or after other logs, than their names say.
func TestLogPlace(t *testing.T) {
	for _, c := range []struct{ no, prev uint64 }{{3, 1}, {2, 9}} {
		m := NewMemFS()
		first, err := createLog(m, "db", 1, 0, 7, 0)
		if err != nil {
			t.Fatal(err)
		}
		other, err := createLog(m, "db", c.no, c.prev, 8, 0)
		if err != nil {
			t.Fatal(err)
		}
		err = errors.Join(first.seal(2, 1), other.f.Close(), manifest{minLog: 1}.write(m, "db", 1))
		if name := filepath.Join("db", logName(2)); other.name != name {
			err = errors.Join(err, m.Rename(other.name, name))
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Open("db", &Options{FS: m}); !errors.Is(err, ErrCorrupt) {
			t.Errorf("log %d after %d: %v", c.no, c.prev, err)
		}
	}
}

// TestLaterVersions opens databases with what this version does not know.
func TestLaterVersions(t *testing.T) {
	for _, file := range []string{"000007.sst", "MANIFEST-000002"} {
		m := testFiles(t, 1, true)
		f, err := m.Create(filepath.Join("db", file))
		if err != nil {
			t.Fatal(err)
		}
		b := manifest{minLog: 1}.encode()
		b[8] = 2
		sum := checksum(b[4+manifestHead:], 0, 0) ^ checksum(b[:manifestHead], 0, 0) // salts cancel out
		binary.LittleEndian.PutUint32(b[manifestHead:], sum)
		if _, err := f.WriteAt(b, 0); err != nil {
			t.Fatal(err)
		}
		f.Close()
		_, err = Open("db", &Options{FS: m})
		if !errors.Is(err, ErrVersion) || err.Error() == ErrVersion.Error() {
			t.Errorf("with %s: %v", file, err)
		}
	}
}
