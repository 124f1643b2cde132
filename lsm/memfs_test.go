// SPDX-License-Identifier: MIT

package lsm

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"slices"
	"testing"
)

// read returns what m has under a name.
func (m *MemFS) read(t *testing.T, name string) ([]byte, bool) {
	t.Helper()
	f, err := m.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}()
	size, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return b, true
}

// TestMemFSCrash checks that names and bytes are durable on their own, each
// after its sync.
func TestMemFSCrash(t *testing.T) {
	m := NewMemFS()
	must := func(errs ...error) {
		t.Helper()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	}
	write := func(f File, s string) { _, err := f.WriteAt([]byte(s), 0); must(err) }
	state := func(name string) string {
		b, ok := m.CrashClone(CrashConfig{}).read(t, name)
		if !ok {
			return "missing"
		}
		return string(b)
	}
	f, err := m.Create("d/a")
	must(err)
	write(f, "one")
	must(f.Sync())
	if got := state("d/a"); got != "missing" {
		t.Errorf("without SyncDir: %q", got)
	}
	must(m.SyncDir("d"))
	write(f, "two")
	if got := state("d/a"); got != "one" {
		t.Errorf("without Sync: %q", got)
	}
	must(f.Sync(), m.Rename("d/a", "d/b"))
	if a, b := state("d/a"), state("d/b"); a != "two" || b != "missing" {
		t.Errorf("after a rename: %q, %q", a, b)
	}
	must(m.SyncDir("d"), m.Remove("d/b"))
	if got := state("d/b"); got != "two" {
		t.Errorf("after a removal: %q", got)
	}
	must(m.SyncDir("d"))
	if got := state("d/b"); got != "missing" {
		t.Errorf("after a removal that is durable: %q", got)
	}
	must(f.Close())
}

// TestMemFSSectors checks that sectors survive on their own, whole, and in any
// combination.
func TestMemFSSectors(t *testing.T) {
	m := NewMemFS()
	f, err := m.Create("d/a")
	if err != nil {
		t.Fatal(err)
	}
	old, now := bytes.Repeat([]byte{1}, 3*sectorSize), bytes.Repeat([]byte{2}, 3*sectorSize)
	_, err = f.WriteAt(old, 0)
	if err = errors.Join(err, f.Sync(), m.SyncDir("d")); err != nil {
		t.Fatal(err)
	}
	if _, err = f.WriteAt(now[100:], 100); err != nil {
		t.Fatal(err)
	}
	if err := f.Preallocate(4 * sectorSize); err != nil {
		t.Fatal(err)
	}
	seen, garbage := map[[4]byte]bool{}, false
	for seed := range uint64(200) {
		b, _ := m.CrashClone(CrashConfig{Keep: 0.5, Seed: seed}).read(t, "d/a")
		key := [4]byte{b[100], b[sectorSize], b[2*sectorSize], byte(len(b) / sectorSize)}
		seen[key] = true
		for i := range 3 * sectorSize {
			if i >= 100 && b[i] != key[i/sectorSize] || i < 100 && b[i] != 1 {
				t.Fatalf("seed %d: a torn sector at %d", seed, i)
			}
		}
		b, _ = m.CrashClone(CrashConfig{Keep: 0.5, Seed: seed, Garbage: true}).read(t, "d/a")
		garbage = garbage || slices.ContainsFunc(b, func(c byte) bool { return c > 2 })
	}
	if len(seen) != 16 || !garbage {
		t.Errorf("%d states of 16, garbage %t", len(seen), garbage)
	}
}

// TestMemFSFailures checks the failures that are not just an error.
func TestMemFSFailures(t *testing.T) {
	m := NewMemFS()
	f, err := m.Create("d/a")
	if err != nil {
		t.Fatal(err)
	}
	if err := m.SyncDir("d"); err != nil {
		t.Fatal(err)
	}
	fail := errors.New("fails")
	m.Inject(func(op FSOp) error {
		switch op.Kind {
		case "write":
			return io.ErrShortWrite
		case "sync", "close":
			return fail
		}
		return nil
	})
	if n, err := f.WriteAt([]byte("abcd"), 0); n != 2 || !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("a short write: %d, %v", n, err)
	}
	if err := f.Sync(); !errors.Is(err, fail) {
		t.Error(err)
	}
	m.Inject(nil)
	if err := f.Sync(); err != nil {
		t.Error(err)
	}
	// The second sync succeeds, and what the first one lost is not there.
	if b, _ := m.CrashClone(CrashConfig{}).read(t, "d/a"); len(b) != 0 {
		t.Errorf("%q is durable after a failed sync", b)
	}
	if b, _ := m.read(t, "d/a"); string(b) != "ab" {
		t.Errorf("the file has %q", b)
	}
	m.Inject(func(FSOp) error { return fail })
	if err := f.Close(); !errors.Is(err, fail) {
		t.Error(err)
	}
	m.Inject(nil)
	_, rerr := f.ReadAt(nil, 0)
	_, werr := f.WriteAt(nil, 0)
	_, serr := f.Size()
	for i, err := range []error{f.Close(), f.Sync(), f.Truncate(0), f.Preallocate(1), rerr, werr, serr} {
		if !errors.Is(err, fs.ErrClosed) {
			t.Errorf("call %d of a closed file: %v", i, err)
		}
	}
	r, err := m.Open("d/a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.WriteAt([]byte("x"), 0); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("writing what was opened for reading: %v", err)
	}
	_, cerr := m.Create("d/a")
	for want, err := range map[error]error{
		fs.ErrExist: cerr, fs.ErrNotExist: m.Remove("d/x"), errors.ErrUnsupported: m.Rename("d/a", "e/a"),
	} {
		if !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	if err := m.Rename("d/x", "d/y"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	lock, err := m.Lock("d/l")
	if err != nil || lock.Close() != nil || !errors.Is(lock.Close(), fs.ErrClosed) {
		t.Error("a lock that was closed twice")
	}
}
