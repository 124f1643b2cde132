// SPDX-License-Identifier: MIT

package bloom

import (
	"bytes"
	"testing"
	"time"
	"unsafe"
)

// TestAllocs checks that no operation allocates, as doc.go says.
func TestAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}

	f, c := New(1000, 1e-6, nil), NewConcurrent(1000, 1e-6, nil)
	key, hs, dst := []byte("a key of some length"), make([]uint64, 100), make([]bool, 0, 100)

	for i := range hs {
		hs[i] = HashUint64(uint64(i), 0)
	}

	b, err := f.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}

	p, err := OpenProbe(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}

	count, grow, win := NewCounting(1000, 1e-4, nil), NewScalable(1000, 0.01, nil), NewWindow(1000, 0.01, time.Hour, nil)
	split, room := NewSplitBlock(1000, 0.01, nil), make([]byte, 0, 4096)

	for name, do := range map[string]func(){
		"Add":                  func() { f.Add(key); f.AddString("x"); f.AddUint64(1) },
		"Has":                  func() { f.Has(key); f.HasString("x"); f.HasUint64(1) },
		"AddHashes":            func() { f.AddHashes(hs) },
		"HasHashes":            func() { f.HasHashes(dst, hs) },
		"Concurrent.Add":       func() { c.Add(key); c.AddString("x"); c.AddUint64(1) },
		"Concurrent.Has":       func() { c.Has(key); c.HasString("x"); c.HasUint64(1) },
		"Concurrent.AddHashes": func() { c.AddHashes(hs) },
		"Concurrent.HasHashes": func() { c.HasHashes(dst, hs) },
		"Union":                func() { _ = f.Union(f) },
		"Len, Rate":            func() { f.Len(); f.Rate(); f.FillRatio() },
		"Concurrent.Rate":      func() { c.Rate() },
		"AppendBinary":         func() { _, _ = f.AppendBinary(b[:0]) },
		"Counting":             func() { count.Add(key); count.Has(key); count.Remove(key); count.Rate() },
		"Scalable":             func() { grow.Add(key); grow.Has(key); grow.Rate() },
		"Window":               func() { win.Seen(key); win.Has(key); win.Rate() },
		"SplitBlock":           func() { split.Add(key); split.Has(key); split.AddUint64(1); split.AppendParquet(room) },
		"Probe.Has":            func() { _, _ = p.Has(key) },
	} {
		t.Run(name, func(t *testing.T) {
			if n := testing.AllocsPerRun(200, do); n != 0 {
				t.Errorf("%v allocations, want 0", n)
			}
		})
	}
}

// TestSizes pins the memory that doc.go promises, and that lines begin where
// cache lines do.
func TestSizes(t *testing.T) {
	if n := unsafe.Sizeof(line{}); n != lineBytes {
		t.Errorf("a line takes %d bytes, want %d", n, lineBytes)
	}
	if n := unsafe.Sizeof(Filter{}); n > 64 {
		t.Errorf("a Filter takes %d bytes besides its lines, want at most 64", n)
	}
	for n := 1; n < 3000; n += 1 + n/16 {
		f := New(n, 0.01, nil)
		if a := uintptr(unsafe.Pointer(&f.lines[0])); a%lineBytes != 0 {
			t.Errorf("I3 violated: %d lines begin at %#x, want a multiple of %d", len(f.lines), a, lineBytes)
		}
	}
}
