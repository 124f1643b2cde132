// SPDX-License-Identifier: MIT

package lsm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// TestClosed checks that all methods of a closed database say so, before
// anything else that is wrong.
func TestClosed(t *testing.T) {
	db := memDB(t, Options{})
	set(t, db, "a", "", Sync)
	closeDB(t, db)
	ctx := context.Background()
	ended, cancel := context.WithCancel(ctx)
	cancel()
	long := make([]byte, MaxKeyLen+1)
	tooLarge := new(Batch)
	tooLarge.Delete(long)

	_, get := db.Get([]byte("a"))
	_, getLong := db.Get(long)
	_, appendGet := db.AppendGet(nil, []byte("a"))
	_, has := db.Has([]byte("a"))
	for name, err := range map[string]error{
		"Get": get, "Get of a long key": getLong, "AppendGet": appendGet, "Has": has,
		"Set": db.Set(nil, nil), "Set of a long key": db.Set(long, nil), "Delete": db.Delete(nil),
		"Apply": db.Apply(ctx, new(Batch)), "Apply with an ended context": db.Apply(ended, new(Batch)),
		"Apply of a bad batch": db.Apply(ctx, tooLarge),
		"Sync":                 db.Sync(ctx), "Sync with an ended context": db.Sync(ended), "Close": db.Close(),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s: got %v, want ErrClosed", name, err)
		}
	}
	if got := db.Stats().Commits; got != 1 {
		t.Errorf("Stats has %d commits after Close, want 1", got)
	}
}

// TestReadOnly checks that a read-only database opens what a crash has left,
// and changes nothing: it makes not even the file LOCK.
func TestReadOnly(t *testing.T) {
	m := testFiles(t, 8, false)
	m.Inject(func(op FSOp) error {
		switch op.Kind {
		case "list", "open", "read", "size", "close", "lockshared":
		default:
			t.Errorf("%s %s", op.Kind, op.Name)
		}
		return nil
	})
	o := &Options{FS: m, ReadOnly: true}
	db, err := Open("db", o)
	if err != nil {
		t.Fatal(err)
	}
	wantLast(t, "read-only", db, 8)
	ctx := context.Background()
	for i, err := range []error{db.Set(nil, nil), db.Delete(nil), db.Sync(ctx)} {
		if !errors.Is(err, ErrReadOnly) {
			t.Errorf("change %d: got %v, want ErrReadOnly", i, err)
		}
	}

	// Several may read, while nobody writes.
	second, err := Open("db", o)
	if err != nil {
		t.Fatal(err)
	}
	m.Inject(nil)
	if _, err := Open("db", &Options{FS: m}); !errors.Is(err, ErrLocked) {
		t.Errorf("writing meanwhile: got %v, want ErrLocked", err)
	}
	closeDB(t, second)
	closeDB(t, db)
	writer := openMem(t, m)
	if _, err := Open("db", o); !errors.Is(err, ErrLocked) {
		t.Errorf("reading while another writes: got %v, want ErrLocked", err)
	}
	closeDB(t, writer)
}

// TestReadOnlyLock checks which failures to lock a read-only database ignores.
func TestReadOnlyLock(t *testing.T) {
	for _, c := range []struct{ fail, want error }{
		{fs.ErrNotExist, nil},
		{fs.ErrPermission, fs.ErrPermission},
		{ErrLocked, ErrLocked},
	} {
		m := testFiles(t, 1, true)
		m.Inject(func(op FSOp) error {
			if op.Kind == "lockshared" {
				return c.fail
			}
			return nil
		})
		db, err := Open("db", &Options{FS: m, ReadOnly: true})
		isError(t, fmt.Sprint("locking fails with ", c.fail), err, c.want)
		if err == nil {
			closeDB(t, db)
		}
	}
}

// A plainFS has nothing that an FS need not have.
type plainFS struct{ FS }

// TestPlainFS checks that a file system without shared locks is enough: a
// reader excludes others there.
func TestPlainFS(t *testing.T) {
	o := &Options{FS: plainFS{testFiles(t, 3, true)}, ReadOnly: true}
	db, err := Open("db", o)
	if err != nil {
		t.Fatal(err)
	}
	wantLast(t, "a reader", db, 3)
	_, err = Open("db", o)
	isError(t, "a second reader", err, ErrLocked)
	closeDB(t, db)
}

// TestLimits checks that keys and values at their limits are possible and
// longer ones are not, and that memory stays within its bound.
func TestLimits(t *testing.T) {
	db := memDB(t, Options{Memory: minMemory, Durability: NoSync})
	long := make([]byte, MaxKeyLen+1)
	if err := db.Set(long, nil); !errors.Is(err, ErrTooLarge) {
		t.Errorf("Set of a long key: got %v, want ErrTooLarge", err)
	}
	if err := db.Delete(long); !errors.Is(err, ErrTooLarge) {
		t.Errorf("Delete of a long key: got %v, want ErrTooLarge", err)
	}
	if _, err := db.Get(long); !errors.Is(err, ErrNotFound) {
		t.Errorf("Get of a long key: got %v, want ErrNotFound", err)
	}
	if err := db.Set(long[1:], nil); err != nil {
		t.Errorf("Set of the longest key: %v, want no error", err)
	}
	if ok, err := db.Has(long[1:]); !ok {
		t.Errorf("Has of the longest key: got %t, %v, want true", ok, err)
	}
}

// TestOS checks a little of everything on the file system of the operating
// system.
func TestOS(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "db")
	s := new(script)
	if f, err := os.Open(os.DevNull); err == nil {
		_ = f.Close() // the first file makes the runtime open two more
	}
	before := openFiles(t)
	for range 3 {
		db, err := Open(dir, &Options{LogSize: 8 << 10})
		if err != nil {
			if errors.Is(err, errors.ErrUnsupported) {
				t.Skip(err)
			}
			t.Fatal(err)
		}
		wantLast(t, "opened again", db, s.begun.Load())
		for _, o := range []*Options{nil, {ReadOnly: true}} {
			if _, err := Open(dir, o); !errors.Is(err, ErrLocked) {
				t.Errorf("a second Open with %+v: got %v, want ErrLocked", o, err)
			}
		}
		for i := range 100 {
			if err := s.commit(db, Durability(i%3)); err != nil {
				t.Fatal(err)
			}
		}
		closeDB(t, db)
	}
	if _, err := Open(filepath.Join(dir, "LOCK", "x"), nil); err == nil {
		t.Error("a directory below a file was made")
	}

	a, err := Open(dir, &Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	b, err := Open(dir, &Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	closeDB(t, a)
	closeDB(t, b)
	if after := openFiles(t); after != before {
		t.Errorf("%d files are open, want %d as before", after, before)
	}
}

// openFiles returns the number of open descriptors, where the system tells.
func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(list)
}

// TestOSReadOnly checks that a database without its file LOCK can be read, that
// reading does not make one, and that a user who may not open it gets an error.
func TestOSReadOnly(t *testing.T) {
	dir := t.TempDir()
	db, err := Open(dir, nil)
	if err != nil {
		t.Skip(err)
	}
	set(t, db, "a", "1", Sync)
	closeDB(t, db)
	name := filepath.Join(dir, lockName)
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	db, err = Open(dir, &Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	closeDB(t, db)
	if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("LOCK after reading: got %v, want none", err)
	}

	if err := os.WriteFile(name, nil, 0); err != nil {
		t.Fatal(err)
	}
	if f, err := os.Open(name); err == nil {
		_ = f.Close()
		t.Skip("this user may read everything")
	}
	if _, err := Open(dir, &Options{ReadOnly: true}); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("a LOCK that may not be read: got %v, want a lack of permission", err)
	}
}

// TestLockRemoved checks that a database is locked even after someone has
// removed its file LOCK.
func TestLockRemoved(t *testing.T) {
	if runtime.GOOS != "linux" && runtime.GOOS != "darwin" {
		t.Skip("needs locks of directories")
	}
	dir := t.TempDir()
	db, err := Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, lockName)); err != nil {
		t.Fatal(err)
	}
	for _, o := range []*Options{nil, {ReadOnly: true}} {
		second, err := Open(dir, o)
		if o == nil && !errors.Is(err, ErrLocked) {
			t.Errorf("a second Open: got %v, want ErrLocked", err)
		}
		if err == nil {
			closeDB(t, second)
		}
	}
	closeDB(t, db)
}

// TestChdir checks that a database stays where it was opened when the working
// directory changes to one that has another database of that name.
func TestChdir(t *testing.T) {
	here, there := t.TempDir(), t.TempDir()
	for _, dir := range []string{here, there} {
		db, err := Open(filepath.Join(dir, "data"), nil)
		if err != nil {
			t.Skip(err)
		}
		closeDB(t, db)
	}

	t.Chdir(here)
	s := new(script)
	db, err := Open("data", &Options{LogSize: minLogSize})
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(there)
	for range 60 {
		if err := s.commit(db, Sync); err != nil {
			t.Fatal(err)
		}
	}
	closeDB(t, db)

	for dir, want := range map[string]int64{here: 60, there: 0} {
		db, err := Open(filepath.Join(dir, "data"), nil)
		if err != nil {
			t.Fatal(err)
		}
		wantLast(t, dir, db, want)
		closeDB(t, db)
	}
}

// TestOpenMakesDir checks that the directory is made, and so made durable, as
// long as it holds no database, and by no Open that is to find one.
func TestOpenMakesDir(t *testing.T) {
	m := NewMemFS()
	made := 0
	m.Inject(func(op FSOp) error {
		if op.Kind == "mkdir" {
			made++
		}
		return nil
	})
	open := func(what string, o Options, want int) {
		t.Helper()
		made = 0
		o.FS = m
		if db, err := Open("db", &o); err == nil {
			closeDB(t, db)
		}
		equal(t, what+": directories made", made, want)
	}
	open("to find what is not there", Options{ErrorIfMissing: true}, 0)
	open("to read what is not there", Options{ReadOnly: true}, 0)
	open("the first time", Options{}, 1)
	open("again", Options{}, 0)
}

// A lostFS does not know where a relative name is.
type lostFS struct{ *MemFS }

func (lostFS) Abs(string) (string, error) { return "", errBroken }

// TestOpenLost checks that a directory whose name cannot be resolved is not
// opened, and nothing is made in another.
func TestOpenLost(t *testing.T) {
	m := NewMemFS()
	_, err := Open("db", &Options{FS: lostFS{m}})
	isError(t, "Open", err, errBroken)
	must(t, m.leaks())
	_, err = Open("db", &Options{FS: m, ErrorIfMissing: true})
	isError(t, "Open of what is not there", err, fs.ErrNotExist)
}

// TestOpenMissing checks what Open says of databases that are there or not.
func TestOpenMissing(t *testing.T) {
	m := NewMemFS()
	for _, o := range []Options{{ReadOnly: true}, {ErrorIfMissing: true}} {
		o.FS = m
		if _, err := Open("db", &o); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%+v: got %v, want ErrNotExist", o, err)
		}
	}

	db, err := Open("db", &Options{FS: m, ErrorIfExists: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, readOnly := range []bool{true, false} {
		if _, err := Open("db", &Options{FS: m, ReadOnly: readOnly}); !errors.Is(err, ErrLocked) {
			t.Errorf("a second Open, read-only %t: got %v, want ErrLocked", readOnly, err)
		}
	}
	closeDB(t, db)
	if _, err := Open("db", &Options{FS: m, ErrorIfExists: true}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("ErrorIfExists: got %v, want ErrExist", err)
	}
	if err := m.leaks(); err != nil {
		t.Error(err)
	}
}

// TestClosedSize checks that a closed database keeps no space for logs that it
// may need, whether anything was committed or not, also if the power fails.
func TestClosedSize(t *testing.T) {
	for n := range int64(3) {
		m := NewMemFS()
		for range 3 {
			db, err := Open("db", &Options{FS: m, LogSize: 64 << 10})
			if err != nil {
				t.Fatal(err)
			}
			for range n {
				if err := new(script).commit(db, NoSync); err != nil {
					t.Fatal(err)
				}
			}
			closeDB(t, db)

			// The last log is as it will be after the power fails.
			files := m.files(t)
			last := ""
			for _, name := range files {
				if filepath.Ext(name) == ".wal" {
					last = name
				}
			}
			crashed := m.CrashClone(CrashConfig{})
			if got, want := crashed.bytes(last), m.bytes(last); !bytes.Equal(got, want) {
				t.Errorf("%d commits, power lost after Close: %s is %x, want %x", n, last, got, want)
			}
			for _, name := range files {
				if got := len(m.bytes(name)); got > 1024 {
					t.Errorf("%d commits: %s has %d bytes, want at most 1024", n, name, got)
				}
			}
		}
	}
}
