// SPDX-License-Identifier: MIT

package lsm

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"unsafe"
)

// forgetful is a file system that does not keep what is written after files were made.
type forgetful struct{ FS }

func (f forgetful) OpenWrite(name string) (File, error) {
	file, err := f.FS.OpenWrite(name)
	return forgetfulFile{file}, err
}

type forgetfulFile struct{ File }

func (forgetfulFile) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }

func TestAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	db := memDB(t, Options{Durability: Async})
	key, value := []byte("key"), make([]byte, 100)
	if err := db.Set(key, value); err != nil {
		t.Fatal(err)
	}
	// The file system of the tests allocates for each write; this one forgets.
	nosync, err := Open("db", &Options{FS: forgetful{NewMemFS()}, Durability: NoSync})
	if err != nil {
		t.Fatal(err)
	}
	dst := make([]byte, 0, 200)
	defer nosync.Close()
	for _, c := range []struct {
		name string
		want float64
		f    func()
	}{
		{"AppendGet", 0, func() { _, _ = db.AppendGet(dst, key) }},
		{"AppendGet missing", 0, func() { _, _ = db.AppendGet(dst, value) }},
		{"Has", 0, func() { _, _ = db.Has(key) }},
		{"Get", 1, func() { _, _ = db.Get(key) }},
		{"Set", 0, func() { _ = db.Set(key, value) }},
		{"Set NoSync", 0, func() { _ = nosync.Set(key, value) }},
	} {
		if got := testing.AllocsPerRun(1000, c.f); got != c.want {
			t.Errorf("%s: %v allocations, want %v", c.name, got, c.want)
		}
	}
}

// TestSizes pins the memory that doc.go promises.
func TestSizes(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("sizes are given for 64 bits")
	}
	if invariants || raceEnabled {
		t.Skip("slow")
	}
	if n := unsafe.Sizeof(node{}); n != leafSize {
		t.Errorf("a leaf takes %d bytes", n)
	}
	const n = 50_000
	for name, key := range map[string]func(i uint64) uint64{
		"ascending": func(i uint64) uint64 { return i },
		"random":    rand.New(rand.NewPCG(1, 2)).Uint64N,
	} {
		m, want := newMemtable(), 28.0
		if name == "random" {
			key = func(i uint64) uint64 { return i * 0x9e3779b97f4a7c15 }
			want = 40
		}
		empty := m.bytes()
		for i := range uint64(n) {
			m.insert(binary.BigEndian.AppendUint64([]byte("12345678"), key(i)), make([]byte, 100), i+1, kindSet)
		}
		unused := len((*m.arena.chunks.Load())[m.arena.last]) - m.arena.used
		over := float64(m.bytes()-empty-int64(unused))/n - 116
		t.Logf("%s: %.1f bytes a version beside key and value, %d bytes when empty", name, over, empty)
		if over > want {
			t.Errorf("%s: %.1f bytes a version, want at most %v", name, over, want)
		}
	}
}
