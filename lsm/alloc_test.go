// SPDX-License-Identifier: MIT

package lsm

import (
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"unsafe"
)

// forgetful is a file system that does not keep what is written to new files.
type forgetful struct{ *MemFS }

func (f forgetful) Create(name string) (File, error) {
	file, err := f.MemFS.Create(name)
	return forgetfulFile{file}, err
}

type forgetfulFile struct{ File }

func (forgetfulFile) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }

// TestAllocs checks which operations allocate.
func TestAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	db := memDB(t, Options{Durability: Async})
	key, value := []byte("key"), make([]byte, 100)
	set(t, db, "key", "value", Async)

	// The file system of the tests allocates for each write; this one forgets.
	nosync := memDB(t, Options{FS: forgetful{NewMemFS()}, Durability: NoSync})
	table := mustTable(t, testVersions(), &TableOptions{FilterBits: -1})
	there, gone, missing := []byte("user:0003"), []byte("user:0200"), []byte("user:0004")
	w := NewTableWriter(io.Discard, nil)
	next := uint64(0)
	dst := make([]byte, 0, 200)
	var err error

	// Keys in memory, in level 0 and in the last level.
	scanned := memDB(t, Options{Durability: Async})
	for i := range 3000 {
		set(t, scanned, string(binary.BigEndian.AppendUint64(nil, uint64(i))), "value", Async)
		switch i {
		case 1000:
			must(t, scanned.Compact(t.Context(), nil, nil))
		case 2000:
			must(t, scanned.Flush(t.Context()))
		}
	}
	it := scanned.Scan(nil, nil)
	step := func(from uint64, seek func([]byte) bool, move func() bool) {
		ok := seek(binary.BigEndian.AppendUint64(dst[:0], from))
		for range 100 {
			ok = ok && move()
		}
		if !ok {
			err = errors.New("the end")
		}
	}
	from := uint64(0)
	for _, c := range []struct {
		name string
		want float64
		f    func()
	}{
		{"AppendGet", 0, func() { _, err = db.AppendGet(dst, key) }},
		{"AppendGet missing", 0, func() { _, err = db.AppendGet(dst, value) }},
		{"Has", 0, func() { _, err = db.Has(key) }},
		{"Get", 1, func() { _, err = db.Get(key) }},
		{"Set", 0, func() { err = db.Set(key, value) }},
		{"Set NoSync", 0, func() { err = nosync.Set(key, value) }},
		{"Table.Get", 1, func() { _, err = table.Get(there) }},
		{"Table.Get missing", 0, func() { _, err = table.Get(missing) }},
		{"Table.AppendGet", 0, func() { _, err = table.AppendGet(dst, there) }},
		{"Table.Has", 0, func() { _, err = table.Has(there) }},
		{"Table.Has after the end", 0, func() { _, err = table.Has(gone) }},
		{"seek and 100 Next", 0, func() { from = (from + 7) % 2800; step(from, it.SeekGE, it.Next) }},
		{"Scan", 4, func() { err = scanned.Scan(nil, nil).Close() }},
		{"seek and 100 Prev", 0, func() { from = (from + 7) % 2800; step(from+200, it.SeekLT, it.Prev) }},
		{"TableWriter.Set", 0, func() {
			next++
			err = w.Set(binary.BigEndian.AppendUint64(dst[:0], next), value)
		}},
	} {
		if invariants && strings.HasPrefix(c.name, "seek") {
			continue // entries are copies, to be made useless
		}
		if got := testing.AllocsPerRun(1000, c.f); got != c.want {
			t.Errorf("%s: %v allocations, want %v", c.name, got, c.want)
		}
		if err != nil && !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestSizes checks the memory that doc.go promises: how many bytes a version
// takes beside its key and value, for keys that come in some order, for
// versions of one key, and for values of a length that chunks do not like.
func TestSizes(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("sizes are given for 64 bits")
	}
	if invariants || raceEnabled {
		t.Skip("slow")
	}
	if got := unsafe.Sizeof(node{}); got != leafSize {
		t.Errorf("a leaf takes %d bytes, want %d", got, leafSize)
	}

	scatter := func(i uint64) uint64 { return i * 0x9e3779b97f4a7c15 }
	for _, c := range []struct {
		name  string
		key   func(i uint64) uint64
		n     uint64
		value int
		want  float64
	}{
		{"ascending", func(i uint64) uint64 { return i }, 50_000, 100, 30},
		{"descending", func(i uint64) uint64 { return -i }, 50_000, 100, 32},
		{"random", scatter, 50_000, 100, 37},
		{"one key", func(uint64) uint64 { return 0 }, 50_000, 100, 32},
		{"100 keys in turn", func(i uint64) uint64 { return scatter(i % 100) }, 50_000, 100, 37},
		{"runs of 50 in 20 places", func(i uint64) uint64 { return scatter(i/50%20)&^0xffffffff + i }, 50_000, 100, 37},
		{"205 kB", scatter, 400, 205_000, 205_000 / 20},
		{"900 kB", scatter, 100, 900_000, 900_000 / 8},
	} {
		if testing.Short() && c.n > 10_000 {
			c.n = 10_000
		}
		m := newMemtable()
		empty := m.bytes()
		for i := range c.n {
			key := binary.BigEndian.AppendUint64([]byte("12345678"), c.key(i))
			m.insert(key, make([]byte, c.value), i+1, kindSet)
		}
		unused := len((*m.arena.chunks.Load())[m.arena.last]) - m.arena.used
		over := float64(m.bytes()-empty-int64(unused))/float64(c.n) - 16 - float64(c.value)
		t.Logf("%s: %.1f bytes a version beside key and value, %d bytes when empty", c.name, over, empty)
		if over > c.want {
			t.Errorf("%s: %.1f bytes a version, want at most %v", c.name, over, c.want)
		}
	}
}
