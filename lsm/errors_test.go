// SPDX-License-Identifier: MIT

package lsm

import (
	"errors"
	"io/fs"
	"runtime"
	"syscall"
	"testing"
)

// TestErrorTexts checks that an error names its file and the reason, and each
// once.
func TestErrorTexts(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("paths and reasons are written in another way")
	}
	failing := func(kind string, err error) *MemFS {
		m := testFiles(t, 2, true)
		m.Inject(func(op FSOp) error {
			if op.Kind == kind {
				return err
			}
			return nil
		})
		return m
	}
	openError := func(m *MemFS) error {
		_, err := Open("db", &Options{FS: m})
		return err
	}

	m := testFiles(t, 0, true)
	db := openMem(t, m)
	locked := openError(m)
	m.Inject(func(op FSOp) error {
		if op.Kind == "sync" {
			return syscall.EIO
		}
		return nil
	})
	readOnly := db.Set(nil, nil)
	if err := db.Close(); !errors.Is(err, syscall.EIO) {
		t.Errorf("Close: got %v, want EIO", err)
	}

	corrupt := testFiles(t, 2, true)
	corrupt.bytes(logName(2))[20]++
	later := testFiles(t, 2, true)
	body := appendField(nil, 31, []byte{0})
	later.put(manifestName(1), withEdit(editHead{kind: editChange, number: 4}, body))
	_, missing := Open("db", &Options{FS: NewMemFS(), ErrorIfMissing: true})
	for _, c := range []struct {
		err  error
		want string
	}{
		{missing, "lsm: open db: file does not exist"},
		{locked, "lsm: locked: db/LOCK"},
		{openError(failing("open", fs.ErrPermission)), "lsm: open db/MANIFEST-000001: permission denied"},
		{openError(corrupt), "lsm: corrupt: db/000002.wal at offset 0: the checksum of the header does not match"},
		{openError(later), "lsm: unknown version of the format: db/MANIFEST-000001 has a field with tag 31"},
		{readOnly, "lsm: read-only: sync db/000001.wal: input/output error"},
	} {
		got := "<nil>"
		if c.err != nil {
			got = c.err.Error()
		}
		if got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

// TestNames checks which names are those of files of a database.
func TestNames(t *testing.T) {
	for _, c := range []struct {
		name string
		no   uint64
		ok   bool
	}{
		{"000001.wal", 1, true},
		{"999999.wal", 999999, true},
		{"1000000.wal", 1000000, true},
		{logName(maxFileNo), maxFileNo, true},
		{logName(maxFileNo + 1), 0, false},
		{"18446744073709551616.wal", 0, false},
		{"00001.wal", 0, false},
		{"0000001.wal", 0, false},
		{"+00001.wal", 0, false},
		{"000001.wal2", 0, false},
		{"x000001.wal", 0, false},
		{".wal", 0, false},
	} {
		no, ok := parseName(c.name, "", ".wal")
		equal(t, c.name+": the number", no, c.no)
		equal(t, c.name+": is a name", ok, c.ok)
	}

	no, ok := parseName(manifestName(7), "MANIFEST-", "")
	equal(t, "a manifest: the number", no, 7)
	equal(t, "a manifest: is a name", ok, true)
}
