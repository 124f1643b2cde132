// SPDX-License-Identifier: MIT

package lsm

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
)

// sessions opens a database n times, and makes one commit each time. It
// returns what the database holds then.
func sessions(t *testing.T, m *MemFS, n int) map[string]string {
	t.Helper()
	want := map[string]string{}
	for i := range n {
		db := openMem(t, m)
		b := new(Batch)
		key := fmt.Sprint("key", i%20)
		want[key] = fmt.Sprintf("%0*d", i%20*50, i)
		b.Set([]byte(key), []byte(want[key]))
		gone := fmt.Sprint("key", (i+3)%20)
		b.Delete([]byte(gone))
		delete(want, gone)
		if err := db.Apply(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		closeDB(t, db)
	}
	return want
}

// content returns what db holds.
func content(db *DB) map[string]string {
	got := map[string]string{}
	db.state.Load().mem.each(func(key, value []byte, trailer uint64, newest bool) {
		if newest && byte(trailer) == kindSet {
			got[string(key)] = string(value)
		}
	})
	return got
}

// checkContent opens m and checks what it holds.
func checkContent(m *MemFS, want map[string]string) error {
	db, err := Open("db", &Options{FS: m, LogSize: minLogSize})
	if err != nil {
		return err
	}
	if got := content(db); !maps.Equal(got, want) {
		return errors.Join(fmt.Errorf("got %d keys %.200v, want %d", len(got), got, len(want)), db.Close())
	}
	return db.Close()
}

// TestFold checks that the logs of many sessions are folded into one, however
// little each session writes, and that the database goes on from there.
func TestFold(t *testing.T) {
	m := NewMemFS()
	want := sessions(t, m, 3*maxChain)
	if got := len(m.files(t)); got > maxChain+4 {
		t.Errorf("got %d files, want at most %d", got, maxChain+4)
	}
	isError(t, "opening it", checkContent(m, want), nil)

	db := openMem(t, m)
	seq := db.Stats().Sequence
	if seq <= 6*maxChain {
		t.Errorf("got sequence %d, want more than the %d operations of the sessions", seq, 6*maxChain)
	}
	set(t, db, "more", "", Sync)
	want["more"] = ""
	closeDB(t, db)
	isError(t, "after a commit", checkContent(m, want), nil)
	db = openMem(t, m)
	equal(t, "the sequence after a commit", db.Stats().Sequence, seq+1)
	closeDB(t, db)
}

// unfolded returns a database that the next Open folds, and what it holds.
func unfolded(t *testing.T) (*MemFS, map[string]string) {
	t.Helper()
	m := NewMemFS()
	want := sessions(t, m, maxChain)
	l, err := list(m, "db")
	must(t, err)
	equal(t, "logs", len(l.logs), maxChain+1)
	return m, want
}

// TestFoldCrash checks that folding loses nothing wherever the power fails or
// the process is killed, also if that happens again while it is done again.
func TestFoldCrash(t *testing.T) {
	m, want := unfolded(t)
	states := 0
	m.Inject(func(op FSOp) error {
		switch op.Kind {
		case "open", "read", "size", "close":
			return nil // they change nothing
		case "remove":
			if op.N%16 > 0 {
				return nil // there are many
			}
		}

		clones := []*MemFS{m.killClone()}
		for i, keep := range []float64{0, 1, 0.5, 0.3} {
			clones = append(clones, m.CrashClone(CrashConfig{Keep: keep, Garbage: i == 3, Seed: uint64(op.N)}))
		}

		for i, c := range clones {
			at := fmt.Sprintf("crash %d before operation %d, %s %s", i, op.N, op.Kind, op.Name)
			isError(t, at, checkContent(c.killClone(), want), nil)
			again, err := Open("db", &Options{FS: c, LogSize: minLogSize})
			if err != nil {
				continue // it was reported
			}
			isError(t, at+", and again", checkContent(c.CrashClone(CrashConfig{}), want), nil)
			closeDB(t, again)
			states += 2
		}
		return nil
	})

	db := openMem(t, m)
	m.Inject(nil)
	equal(t, "files", len(m.files(t)), 2)
	if !maps.Equal(content(db), want) {
		t.Errorf("got %v, want %v", content(db), want)
	}
	closeDB(t, db)
	t.Logf("%d states", states)
}

// TestFoldDamage checks that damage of what was folded is found, though no
// record came after it before the process was killed.
func TestFoldDamage(t *testing.T) {
	foldDamageRound(t, 0, 1)
	foldDamageRound(t, copyLen, 4) // three, and the small ones
}

// foldDamageRound folds three values of some size and a small one into so many
// records.
func foldDamageRound(t *testing.T, size, want int) {
	t.Helper()
	m, _ := unfoldedValues(t, size)
	db := openMem(t, m)
	if l := db.logs.current; l.size-l.off < minLogSize-logHeaderLen {
		t.Errorf("copies end at %d of %d bytes, want room for a whole log after them", l.off, l.size)
	}
	killed := m.killClone()
	closeDB(t, db)

	// All records but the mark are damaged, one after the other.
	l, err := list(killed, "db")
	must(t, err)
	equal(t, "logs", len(l.logs), 1)
	name := logName(l.logs[0])
	offs, _ := records(t, killed, name)
	equal(t, "records with a mark", len(offs), want+1)
	for _, off := range offs[:len(offs)-1] {
		c := killed.CrashClone(CrashConfig{Keep: 1})
		c.bytes(name)[off+recordHeadLen+1] ^= 1
		isError(t, fmt.Sprint("damage at ", off), openErrorOf(t, c), ErrCorrupt)
	}
}

// unfoldedValues returns logs that the next Open folds, with three values of
// some size and a small one.
func unfoldedValues(t *testing.T, size int) (*MemFS, map[string]string) {
	t.Helper()
	m := NewMemFS()
	want := map[string]string{}
	logs := 0
	for i := 0; logs <= maxChain; i++ {
		db := openMem(t, m)
		n := 0
		if i < 3 {
			n = size
		}
		key := fmt.Sprint("key", min(i, 3))
		want[key] = string(make([]byte, n))
		set(t, db, key, want[key], Sync)
		closeDB(t, db)
		l, err := list(m, "db")
		must(t, err)
		logs = len(l.logs)
	}
	return m, want
}

// TestFoldFull checks that logs stay as they are if there is no room to fold
// them, and that they are folded when there is.
func TestFoldFull(t *testing.T) {
	m, want := unfolded(t)
	disk := smallDisk{m, new(atomic.Bool), true}
	disk.full.Store(true)
	o := &Options{FS: disk, LogSize: minLogSize, StallTimeout: 1}
	db, err := Open("db", o)
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(content(db), want) {
		t.Errorf("got %v, want %v", content(db), want)
	}
	isError(t, "a commit", db.Set(nil, nil), ErrStalled, syscall.ENOSPC)

	// A database that is open does not fold them.
	disk.full.Store(false)
	for err = ErrStalled; errors.Is(err, ErrStalled); {
		err = db.Set([]byte("more"), nil)
	}
	isError(t, "a commit when there is room", err, nil)
	want["more"] = ""
	if got := len(m.files(t)); got <= maxChain {
		t.Errorf("got %d files while it is open, want more than %d", got, maxChain)
	}
	closeDB(t, db)

	isError(t, "when there is room", checkContent(m, want), nil)
	if got := len(m.files(t)); got > 4 {
		t.Errorf("got %d files, want at most 4", got)
	}
	must(t, m.leaks())
}

// TestFoldManifestFull checks that Open succeeds if the logs are folded and
// there is no room for the manifest that says so: commits wait for that, and
// nothing is copied again.
func TestFoldManifestFull(t *testing.T) {
	m, want := unfolded(t)
	var full atomic.Bool
	full.Store(true)
	m.Inject(func(op FSOp) error {
		if full.Load() && op.Kind == "create" && filepath.Base(op.Name) == tmpName {
			return syscall.ENOSPC
		}
		return nil
	})
	db, err := Open("db", &Options{FS: m, LogSize: minLogSize, StallTimeout: 1})
	must(t, err)
	if !maps.Equal(content(db), want) {
		t.Errorf("got %v, want %v", content(db), want)
	}
	isError(t, "a commit", db.Set(nil, nil), ErrStalled, syscall.ENOSPC)
	isError(t, "after a kill", checkContent(m.killClone(), want), nil)

	full.Store(false)
	for err = ErrStalled; errors.Is(err, ErrStalled); {
		err = db.Set([]byte("more"), nil)
	}
	isError(t, "a commit when there is room", err, nil)
	want["more"] = ""
	db.idle()
	if got := len(m.files(t)); got > 4 {
		t.Errorf("got %d files while it is open, want at most 4", got)
	}
	isError(t, "after a loss of power", checkContent(m.CrashClone(CrashConfig{}), want), nil)
	closeDB(t, db)
	isError(t, "after Close", checkContent(m, want), nil)
}

// TestFoldCopyFails checks that Open fails if a copy may have been written in
// part, also for lack of room: the log that has it must not go on.
func TestFoldCopyFails(t *testing.T) {
	base, want := unfolded(t)
	copyFails(t, base, want)
	base, want = unfoldedValues(t, copyLen) // others may be written after it
	copyFails(t, base, want)
}

func copyFails(t *testing.T, base *MemFS, want map[string]string) {
	t.Helper()
	files, err := list(base, "db")
	must(t, err)
	name := filepath.Join("db", logName(files.top+1))
	for _, kind := range []string{"write", "sync"} {
		m := base.CrashClone(CrashConfig{Keep: 1})
		seen := 0
		m.Inject(func(op FSOp) error {
			if op.Kind == kind && op.Name == name {
				if seen++; seen == 2 { // the first makes the log
					return syscall.ENOSPC
				}
			}
			return nil
		})
		isError(t, "a copy that fails in "+kind, openErrorOf(t, m), syscall.ENOSPC)
		m.Inject(nil)
		isError(t, "after that", checkContent(m, want), nil)
	}
}

// TestFoldFaults checks that nothing is lost or left open if an operation of
// the file system fails while logs are folded.
func TestFoldFaults(t *testing.T) {
	m, want := unfolded(t)
	for _, failure := range []error{syscall.EIO, syscall.ENOSPC} {
		for n := range 30 { // the rest are removals
			c := m.CrashClone(CrashConfig{Keep: 1})
			seen := 0
			c.Inject(func(op FSOp) error {
				switch op.Kind {
				case "open", "read", "size", "close":
					return nil // they change nothing
				}
				if seen++; seen == n+1 {
					return failure
				}
				return nil
			})

			at := fmt.Sprintf("%v in operation %d", failure, n)
			db, err := Open("db", &Options{FS: c, LogSize: minLogSize})
			if err != nil {
				isError(t, at, err, failure)
			} else {
				closeDB(t, db)
			}
			c.Inject(nil)
			isError(t, at, c.leaks(), nil)
			isError(t, at+", then", checkContent(c, want), nil)
		}
	}
}
