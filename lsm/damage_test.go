// SPDX-License-Identifier: MIT

package lsm

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
)

var all = flag.Bool("all", false, "damage every bit, fail every operation, grow more trees")

// openDamaged opens a copy of m whose file name was damaged, and returns the
// last commit.
func openDamaged(m *MemFS, name string, damage func([]byte) []byte) (i int64, err error) {
	c := m.CrashClone(CrashConfig{Keep: 1})
	c.put(name, damage(slices.Clone(c.bytes(name))))
	db, err := Open("db", &Options{FS: c, LogSize: minLogSize})
	if err != nil {
		if lerr := c.leaks(); lerr != nil {
			return 0, lerr
		}
		return 0, err
	}
	i, err = readScript(db)
	return i, errors.Join(err, db.Close())
}

// wantPlace checks that err, if it is ErrCorrupt and about the file name, says
// that the damaged part begins at off.
func wantPlace(t testing.TB, what string, err error, name string, off int64) {
	t.Helper()
	var c *CorruptError
	if errors.As(err, &c) && filepath.Base(c.File) == name {
		equal(t, what+": the place of the damage", c.Offset, off)
	}
}

// beginnings returns where the parts of a log or manifest of m begin: a header,
// and records or edits.
func beginnings(t *testing.T, m *MemFS, name string) []int64 {
	t.Helper()
	if _, isLog := parseName(name, "", ".wal"); isLog {
		offs, _ := records(t, m, name)
		return append([]int64{0}, offs...)
	}
	if _, isTable := parseName(name, "", ".sst"); isTable {
		return nil // TestTableFlips looks at those
	}

	offs := []int64{0}
	b := m.bytes(name)
	for off := int64(manifestHeaderLen); off < int64(len(b)); {
		offs = append(offs, off)
		off += editHeadLen + padded(int64(binary.LittleEndian.Uint32(b[off+8:])))
	}
	return offs
}

// A damaged is files that are damaged in all ways.
type damaged struct {
	name   string
	m      *MemFS
	closed bool
}

// damagedFiles returns the files of a database with n commits: closed; open
// when the machine stopped; and open then, but opened and closed since without
// a commit.
func damagedFiles(t *testing.T, n int64) []damaged {
	t.Helper()
	again := testFiles(t, n, false)
	closeDB(t, openMem(t, again))
	twice := testFiles(t, n, true)
	closeDB(t, openMem(t, twice))
	empty := NewMemFS()
	closeDB(t, openMem(t, empty))

	// Killed between the seal of a log and the begin of the next, then closed
	// without a commit.
	between := NewMemFS()
	db := openMem(t, between)
	s := new(script)
	for range n {
		if err := s.commit(db, NoSync); err != nil {
			t.Fatal(err)
		}
	}
	var killed *MemFS
	syncs := 0
	between.Inject(func(op FSOp) error {
		if op.Kind == "sync" {
			syncs++
		}
		if syncs > 0 && op.Kind == "truncate" && killed == nil {
			killed = between.killClone()
		}
		return nil
	})
	closeDB(t, db)
	between.Inject(nil)
	closeDB(t, openMem(t, killed))

	return []damaged{
		{"closed", testFiles(t, n, true), true},
		{"open", testFiles(t, n, false), false},
		{"killed, then closed", again, true},
		{"closed twice", twice, true},
		{"killed after the seal, then closed", killed, true},
		{"closed with tables", flushedFiles(t, n, true, 1), true},
		{"open with tables", flushedFiles(t, n, false, 1), false},
		{"closed with levels", leveledFiles(t, n, true), true},
		{"open with levels", leveledFiles(t, n, false), false},
	}
}

// TestFlips checks that a closed database in which any byte is damaged answers
// correctly or with ErrCorrupt, and that one which was open when the machine
// stopped may lack the last commit.
func TestFlips(t *testing.T) {
	const n = 8
	for _, d := range damagedFiles(t, n) {
		for _, name := range d.m.files(t) {
			begins := beginnings(t, d.m, name)
			for off := 0; off < len(d.m.bytes(name)); off += sweepStep() {
				for len(begins) > 1 && begins[1] <= int64(off) {
					begins = begins[1:]
				}
				masks := []byte{1 << (off % 8)}
				if *all {
					masks = []byte{1, 2, 4, 8, 16, 32, 64, 128}
				}
				for _, mask := range masks {
					i, err := openDamaged(d.m, name, func(b []byte) []byte { b[off] ^= mask; return b })
					what := fmt.Sprintf("%s, %s[%d]^%d", d.name, name, off, mask)
					checkDamage(t, what, i, err, n, d.closed, 1)
					if begins != nil {
						wantPlace(t, what, err, name, begins[0])
					}
				}
			}
		}
	}
}

// TestTruncations checks that every file can be cut at every length. A log that
// was open cannot be told from one that a crash has cut, so it may lack more
// than one commit; the others are right.
func TestTruncations(t *testing.T) {
	const n = 8
	for _, d := range damagedFiles(t, n) {
		for _, name := range d.m.files(t) {
			for size := 0; size < len(d.m.bytes(name)); size += sweepStep() {
				i, err := openDamaged(d.m, name, func(b []byte) []byte { return b[:size] })
				checkDamage(t, fmt.Sprintf("%s, %s[:%d]", d.name, name, size), i, err, n, d.closed, n)
			}
		}
	}
}

// sweepStep is how many bytes a sweep goes on at a time. The steps are coprime
// to 8, so that every bit of a byte has its turn.
func sweepStep() int {
	switch {
	case *all:
		return 1
	case testing.Short() || raceEnabled:
		return 11
	}
	return 5
}

func checkDamage(t *testing.T, what string, i int64, err error, n int64, closed bool, lost int64) {
	t.Helper()
	var corrupt *CorruptError
	switch {
	case err != nil && !errors.As(err, &corrupt):
		t.Errorf("%s: got %v, want ErrCorrupt or no error", what, err)
	case err != nil:
		isError(t, what, err, ErrCorrupt)
		if corrupt.File == "" {
			t.Errorf("%s: got %v, want the name of the file", what, err)
		}
		if corrupt.Err == nil {
			t.Errorf("%s: got %v, want a reason", what, err)
		}
	case err == nil && closed && i != n:
		t.Errorf("%s: commit %d is the last, want %d or an error", what, i, n)
	case err == nil && i < n-lost:
		t.Errorf("%s: commit %d is the last, want at least %d", what, i, n-lost)
	}
}

// TestMissingFiles checks that a database lacks no file without telling, and
// that files cannot be exchanged.
func TestMissingFiles(t *testing.T) {
	const n = 60
	again := testFiles(t, n, false)
	closeDB(t, openMem(t, again))
	for _, d := range []damaged{
		{"closed", testFiles(t, n, true), true},
		{"open", testFiles(t, n, false), false},
		{"killed, then closed", again, true},
	} {
		logs := 0
		for _, name := range d.m.files(t) {
			if _, isLog := parseName(name, "", ".wal"); isLog {
				logs++
			}
			checkMissing(t, d, name, n)
		}
		if logs < 3 {
			t.Errorf("%s: %d logs, want several", d.name, logs)
		}

		c := d.m.CrashClone(CrashConfig{Keep: 1})
		files := c.dirs["db"].live
		files[logName(1)], files[logName(2)] = files[logName(2)], files[logName(1)]
		if _, err := Open("db", &Options{FS: c}); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s, with exchanged logs: got %v, want ErrCorrupt", d.name, err)
		}
	}

	for _, d := range []damaged{
		{"closed with tables", flushedFiles(t, n, true, 1), true},
		{"open with tables", flushedFiles(t, n, false, 1), false},
		{"closed with levels", leveledFiles(t, n, true), true},
		{"open with levels", leveledFiles(t, n, false), false},
	} {
		for _, name := range d.m.files(t) {
			checkMissing(t, d, name, n)
		}
	}
}

// checkMissing checks that the files of d without the one with a name are
// ErrCorrupt, or hold all n commits.
func checkMissing(t *testing.T, d damaged, name string, n int64) {
	t.Helper()
	c := d.m.CrashClone(CrashConfig{Keep: 1})
	delete(c.dirs["db"].live, name)
	delete(c.dirs["db"].durable, name)
	db, err := Open("db", &Options{FS: c, LogSize: minLogSize})
	if err != nil {
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s, without %s: got %v, want ErrCorrupt", d.name, name, err)
		}
		return
	}

	// A log that was made in advance, and not needed yet, is not missed.
	if d.closed {
		t.Errorf("%s, without %s: got no error, want ErrCorrupt", d.name, name)
	}
	wantLast(t, fmt.Sprintf("%s, without %s", d.name, name), db, n)
	closeDB(t, db)
}
