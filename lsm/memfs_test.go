// SPDX-License-Identifier: MIT

package lsm

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"
)

// content returns the bytes that m has under a name, or "missing".
func (m *MemFS) content(t *testing.T, name string) string {
	t.Helper()
	w, err := openWindow(m, name)
	if errors.Is(err, fs.ErrNotExist) {
		return "missing"
	}
	if err != nil {
		t.Fatal(err)
	}
	b, err := w.at(0, w.size)
	if err := errors.Join(err, w.f.Close()); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// must ends a test if one of errs is an error.
func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// create makes a file with some bytes, and syncs them.
func create(t *testing.T, m *MemFS, name, text string) File {
	t.Helper()
	f, err := m.Create(name)
	must(t, err)
	_, err = f.WriteAt([]byte(text), 0)
	must(t, err, f.Sync())
	return f
}

// TestMemFSCrash checks that names and bytes are durable on their own, each
// after its sync, and that before it a crash keeps or loses them: a name that
// was created, renamed, linked or removed, and bytes that were written.
func TestMemFSCrash(t *testing.T) {
	m := NewMemFS()
	check := func(when, name, lost, kept string) {
		t.Helper()
		for _, c := range []struct {
			keep float64
			want string
		}{{0, lost}, {1, kept}} {
			if got := m.CrashClone(CrashConfig{Keep: c.keep}).content(t, name); got != c.want {
				t.Errorf("%s, of unsynced changes %v survive: %s has %q, want %q", when, c.keep, name, got, c.want)
			}
		}
		seen := map[string]bool{}
		for seed := range uint64(50) {
			seen[m.CrashClone(CrashConfig{Keep: 0.5, Seed: seed}).content(t, name)] = true
		}
		for _, want := range []string{lost, kept} {
			if !seen[want] {
				t.Errorf("%s, half of the unsynced changes survive: got %v, want %q as well", when, seen, want)
			}
		}
	}

	f := create(t, m, "d/a", "one")
	check("created", "d/a", "missing", "one")
	must(t, m.SyncDir("d"))
	check("created and synced", "d/a", "one", "one")

	_, err := f.WriteAt([]byte("two"), 0)
	must(t, err)
	check("written", "d/a", "one", "two")
	must(t, f.Sync())
	check("written and synced", "d/a", "two", "two")

	must(t, m.Rename("d/a", "d/b"))
	check("renamed", "d/a", "two", "missing")
	check("renamed", "d/b", "missing", "two")
	must(t, m.SyncDir("d"))
	check("renamed and synced", "d/a", "missing", "missing")
	check("renamed and synced", "d/b", "two", "two")

	must(t, m.Link("d/b", "d/c"))
	check("linked", "d/c", "missing", "two")
	must(t, m.SyncDir("d"))
	clone := m.CrashClone(CrashConfig{})
	w, err := clone.OpenWrite("d/b")
	must(t, err)
	_, err = w.WriteAt([]byte("six"), 0)
	must(t, err, w.Close())
	equal(t, "the other name of a file that was written after a crash", clone.content(t, "d/c"), "six")

	must(t, m.Remove("d/b"))
	check("removed", "d/b", "two", "missing")
	check("linked and synced", "d/c", "two", "two")
	must(t, m.SyncDir("d"))
	check("removed and synced", "d/b", "missing", "missing")

	must(t, f.Truncate(1))
	check("cut", "d/c", "two", "t")
	must(t, f.Close())
}

// TestMemFSSectors checks that sectors survive on their own, whole, and in any
// combination.
func TestMemFSSectors(t *testing.T) {
	m := NewMemFS()
	f := create(t, m, "d/a", string(bytes.Repeat([]byte{1}, 3*sectorSize)))
	now := bytes.Repeat([]byte{2}, 3*sectorSize)
	_, err := f.WriteAt(now[100:], 100)
	must(t, err, m.SyncDir("d"), f.Preallocate(4*sectorSize))

	seen := map[[4]byte]bool{}
	for seed := range uint64(200) {
		b := m.CrashClone(CrashConfig{Keep: 0.5, Seed: seed}).content(t, "d/a")
		key := [4]byte{b[100], b[sectorSize], b[2*sectorSize], byte(len(b) / sectorSize)}
		seen[key] = true
		for i := range 3 * sectorSize {
			want := byte(1)
			if i >= 100 {
				want = key[i/sectorSize]
			}
			if b[i] != want {
				t.Fatalf("seed %d: a torn sector: byte %d is %d, want %d", seed, i, b[i], want)
			}
		}
	}
	if len(seen) != 16 {
		t.Errorf("%d states, want 16", len(seen))
	}

	// Zeros that were durable may become garbage, other bytes may not.
	must(t, f.Sync())
	_, err = f.WriteAt(bytes.Repeat([]byte{3}, 2*sectorSize), 2*sectorSize)
	must(t, err)
	before := m.CrashClone(CrashConfig{}).content(t, "d/a")
	for _, c := range []struct {
		keep    float64
		garbage bool
		want    []string
	}{
		{0, false, []string{"zeros"}},
		{0.5, false, []string{"written", "zeros"}},
		{0, true, []string{"zeros"}},
		{0.5, true, []string{"garbage", "written", "zeros"}},
	} {
		states := map[string]bool{}
		for seed := range uint64(200) {
			b := m.CrashClone(CrashConfig{Keep: c.keep, Seed: seed, Garbage: c.garbage}).content(t, "d/a")
			if len(b) != 4*sectorSize {
				t.Fatalf("seed %d: %d bytes, want those that were durable: %d", seed, len(b), 4*sectorSize)
			}
			if b[2*sectorSize] != 2 && b[2*sectorSize] != 3 {
				t.Fatalf("seed %d: a sector that was written again has %d, want 2 or 3", seed, b[2*sectorSize])
			}
			switch last := b[3*sectorSize:]; last {
			case before[3*sectorSize:]:
				states["zeros"] = true
			case strings.Repeat("\x03", sectorSize):
				states["written"] = true
			default:
				states["garbage"] = true
			}
		}
		if got := slices.Sorted(maps.Keys(states)); !slices.Equal(got, c.want) {
			t.Errorf("%v survive, garbage %t: a sector of zeros that was written has %v, want %v", c.keep, c.garbage, got, c.want)
		}
	}

	// Zeros that were written and survive are no garbage either.
	_, err = f.WriteAt(make([]byte, sectorSize), 3*sectorSize)
	must(t, err)
	b := m.CrashClone(CrashConfig{Keep: 1, Garbage: true}).content(t, "d/a")
	equal(t, "zeros that survive", b[3*sectorSize:], string(make([]byte, sectorSize)))
	must(t, f.Close())
}

// TestMemFSPreallocate checks that reserving the room that a file has already
// is no change: its length does not survive without its bytes.
func TestMemFSPreallocate(t *testing.T) {
	m := NewMemFS()
	f, err := m.Create("d/a")
	must(t, err, m.SyncDir("d"))
	_, err = f.WriteAt([]byte("abc"), 0)
	must(t, err, f.Preallocate(3))
	for seed := range uint64(50) {
		got := m.CrashClone(CrashConfig{Keep: 0.5, Seed: seed}).content(t, "d/a")
		if got != "" && got != "abc" {
			t.Errorf("seed %d: got %q, want nothing or abc", seed, got)
		}
	}
	must(t, f.Close())
}

// TestMemFSFailures checks failures that are more than an error: a short write
// writes half, a failed sync loses bytes for good, a failed close closes.
func TestMemFSFailures(t *testing.T) {
	m := NewMemFS()
	f, err := m.Create("d/a")
	must(t, err, m.SyncDir("d"))
	fail := errors.New("fails")
	m.Inject(func(op FSOp) error {
		switch op.Kind {
		case "write":
			return io.ErrShortWrite
		case "sync", "close", "syncrange":
			return fail
		}
		return nil
	})
	n, err := f.WriteAt([]byte("abcd"), 0)
	isError(t, "a short write", err, io.ErrShortWrite)
	equal(t, "a short write", n, 2)
	if err := f.Sync(); !errors.Is(err, fail) {
		t.Errorf("Sync: got %v, want the failure", err)
	}
	if err := f.(RangeSyncer).SyncRange(0, 2); !errors.Is(err, fail) {
		t.Errorf("SyncRange: got %v, want the failure", err)
	}

	// The second sync succeeds, and bytes that the first one lost are not
	// there.
	m.Inject(nil)
	must(t, f.Sync(), f.(RangeSyncer).SyncRange(0, 2))
	if got := m.CrashClone(CrashConfig{}).content(t, "d/a"); got != "" {
		t.Errorf("%q is durable after a failed sync, want nothing", got)
	}
	if got := m.content(t, "d/a"); got != "ab" {
		t.Errorf("the file has %q, want ab", got)
	}

	// Bytes and lengths of the first sync do not come back over later ones.
	_, err = f.WriteAt([]byte("xyz"), 0)
	must(t, err, f.Sync())
	for seed := range uint64(20) {
		if got := m.CrashClone(CrashConfig{Keep: 0.5, Seed: seed}).content(t, "d/a"); got != "xyz" {
			t.Errorf("the disk has %q after a sync that did not fail, want xyz", got)
		}
	}
	_, err = f.WriteAt([]byte("v"), 0)
	must(t, err)
	if got := m.CrashClone(CrashConfig{Keep: 1}).content(t, "d/a"); got != "vyz" {
		t.Errorf("the disk has %q, want vyz", got)
	}

	m.Inject(func(FSOp) error { return fail })
	if err := f.Close(); !errors.Is(err, fail) {
		t.Errorf("Close: got %v, want the failure", err)
	}
	m.Inject(nil)
	read, rerr := f.ReadAt(make([]byte, 2), 0)
	written, werr := f.WriteAt([]byte("ab"), 0)
	equal(t, "bytes read from a closed file", read, 0)
	equal(t, "bytes written to a closed file", written, 0)
	_, serr := f.Size()
	for i, err := range []error{f.Close(), f.Sync(), f.Truncate(0), f.Preallocate(1), f.(RangeSyncer).SyncRange(0, 1), rerr, werr, serr} {
		if !errors.Is(err, fs.ErrClosed) {
			t.Errorf("call %d of a closed file: got %v, want ErrClosed", i, err)
		}
	}
}

// TestMemFSInjected checks that an operation which is made to fail says so, and
// does nothing; only a close closes.
func TestMemFSInjected(t *testing.T) {
	fail := errors.New("fails")
	for _, c := range []struct {
		kind string
		call func(m *MemFS, f File) error
	}{
		{"mkdir", func(m *MemFS, _ File) error { return m.MkdirAll("d") }},
		{"list", func(m *MemFS, _ File) error { _, err := m.List("d"); return err }},
		{"create", func(m *MemFS, _ File) error { _, err := m.Create("d/new"); return err }},
		{"open", func(m *MemFS, _ File) error { _, err := m.Open("d/a"); return err }},
		{"openwrite", func(m *MemFS, _ File) error { _, err := m.OpenWrite("d/a"); return err }},
		{"rename", func(m *MemFS, _ File) error { return m.Rename("d/a", "d/new") }},
		{"remove", func(m *MemFS, _ File) error { return m.Remove("d/a") }},
		{"syncdir", func(m *MemFS, _ File) error { return m.SyncDir("d") }},
		{"lock", func(m *MemFS, _ File) error { _, err := m.Lock("d/l"); return err }},
		{"lockshared", func(m *MemFS, _ File) error { _, err := m.LockShared("d/l"); return err }},
		{"stat", func(m *MemFS, _ File) error { _, err := m.Size("d/a"); return err }},
		{"link", func(m *MemFS, _ File) error { return m.Link("d/a", "d/new") }},
		{"read", func(_ *MemFS, f File) error { _, err := f.ReadAt(nil, 0); return err }},
		{"write", func(_ *MemFS, f File) error { _, err := f.WriteAt([]byte("b"), 0); return err }},
		{"size", func(_ *MemFS, f File) error { _, err := f.Size(); return err }},
		{"truncate", func(_ *MemFS, f File) error { return f.Truncate(1) }},
		{"preallocate", func(_ *MemFS, f File) error { return f.Preallocate(9) }},
		{"syncrange", func(_ *MemFS, f File) error { return f.(RangeSyncer).SyncRange(0, 1) }},
		{"sync", func(_ *MemFS, f File) error { return f.Sync() }},
		{"close", func(_ *MemFS, f File) error { return f.Close() }},
	} {
		m := NewMemFS()
		f := create(t, m, "d/a", "abc")
		ops := m.ops
		m.Inject(func(op FSOp) error {
			equal(t, "the kind of operation", op.Kind, c.kind)
			equal(t, c.kind+": its number", op.N, ops+1)
			return fail
		})
		isError(t, c.kind, c.call(m, f), fail)
		m.Inject(nil)

		names, err := m.List("d")
		must(t, err)
		equal(t, c.kind+" failed: the files", strings.Join(names, " "), "a")
		equal(t, c.kind+" failed: the bytes", m.content(t, "d/a"), "abc")
		lost := m.CrashClone(CrashConfig{})
		equal(t, c.kind+" failed: the bytes after a crash", lost.content(t, "d/a"), "missing")
		if err := f.Close(); (err != nil) != (c.kind == "close") {
			t.Errorf("%s failed: closing gives %v", c.kind, err)
		}
		isError(t, c.kind+" failed: what is left", m.leaks(), nil)
	}
}

// TestMemFSErrors checks what calls say that are not possible.
func TestMemFSErrors(t *testing.T) {
	m := NewMemFS()
	must(t, create(t, m, "d/a", "abc").Close())
	r, err := m.Open("d/a")
	must(t, err)
	_, werr := r.WriteAt([]byte("x"), 0)
	b := make([]byte, 4)
	k, eof := r.ReadAt(b, 1)
	equal(t, "bytes before the end", string(b[:k]), "bc")
	k, eof2 := r.ReadAt(b, 3)
	equal(t, "bytes behind the end", k, 0)
	w, err := m.OpenWrite("d/a")
	must(t, err)
	_, cerr := m.Create("d/a")
	_, oerr := m.Open("d/x")
	_, zerr := m.Size("d/x")
	for _, c := range []struct {
		name      string
		got, want error
	}{
		{"writing to a file that was opened for reading", werr, fs.ErrPermission},
		{"cutting one", r.Truncate(1), fs.ErrPermission},
		{"reserving room in one", r.Preallocate(9), fs.ErrPermission},
		{"reading across the end", eof, io.EOF},
		{"reading behind the end", eof2, io.EOF},
		{"preallocating nothing", w.Preallocate(0), fs.ErrInvalid},
		{"creating a file that exists", cerr, fs.ErrExist},
		{"opening a missing file", oerr, fs.ErrNotExist},
		{"the size of a missing file", zerr, fs.ErrNotExist},
		{"removing a missing file", m.Remove("d/x"), fs.ErrNotExist},
		{"renaming a missing file", m.Rename("d/x", "d/y"), fs.ErrNotExist},
		{"renaming into another directory", m.Rename("d/a", "e/a"), errors.ErrUnsupported},
		{"linking a missing file", m.Link("d/x", "d/y"), fs.ErrNotExist},
		{"linking into another directory", m.Link("d/a", "e/a"), errors.ErrUnsupported},
		{"linking to a name that exists", m.Link("d/a", "d/a"), fs.ErrExist},
	} {
		if !errors.Is(c.got, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, c.got, c.want)
		}
	}

	must(t, w.Preallocate(2)) // a file that is longer stays as it is
	must(t, r.Sync(), r.(RangeSyncer).SyncRange(0, 1))
	n, err := m.Size("d/a")
	must(t, err, r.Close(), w.Close())
	equal(t, "Size", n, 3)
	fail := errors.New("fails")
	m.Inject(func(FSOp) error { return fail })
	_, zerr = m.Size("d/a")
	for i, err := range []error{zerr, m.Link("d/a", "d/b"), m.MkdirAll("d")} {
		if !errors.Is(err, fail) {
			t.Errorf("call %d: got %v, want the failure", i, err)
		}
	}
}

// TestMemFSLock checks which locks exclude which, and that a lock ends once.
func TestMemFSLock(t *testing.T) {
	m := NewMemFS()
	lock := func(shared bool) (io.Closer, error) {
		if shared {
			return m.LockShared("d/l")
		}
		return m.Lock("d/l")
	}

	for _, first := range []bool{false, true} {
		for _, second := range []bool{false, true} {
			a, err := lock(first)
			must(t, err)
			b, err := lock(second)
			if got, want := err == nil, first && second; got != want {
				t.Errorf("shared %t, then %t: got %v, want %t", first, second, err, want)
			}
			if err == nil {
				must(t, b.Close())
				if _, err := lock(false); !errors.Is(err, ErrLocked) {
					t.Errorf("one of two shared locks is left: got %v, want ErrLocked", err)
				}
			}
			must(t, a.Close())
			if err := a.Close(); !errors.Is(err, fs.ErrClosed) {
				t.Errorf("closing a lock twice: got %v, want ErrClosed", err)
			}
		}
	}
	must(t, m.leaks())
}

// TestOSFS checks the parts of the operating system's file system that a
// database does not use.
func TestOSFS(t *testing.T) {
	dir := t.TempDir() + "/"
	fsys := OSFS{}
	f, err := fsys.Create(dir + "a")
	must(t, err)
	_, err = f.WriteAt([]byte("abc"), 0)
	must(t, err)
	if s, ok := f.(RangeSyncer); ok {
		must(t, s.SyncRange(0, 3))
	}
	must(t, f.Close())
	n, err := fsys.Size(dir + "a")
	must(t, err)
	equal(t, "Size", n, 3)
	if err := fsys.MkdirAll(dir + "a/below"); err == nil {
		t.Error("MkdirAll below a file: got no error, want one")
	}
	if _, err := fsys.Size(dir + "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Size of a missing file: got %v, want ErrNotExist", err)
	}

	if err := fsys.Link(dir+"a", dir+"b"); err != nil {
		t.Skip(err) // some file systems have no links
	}
	n, err = fsys.Size(dir + "b")
	must(t, err)
	equal(t, "Size of a link", n, 3)
}
