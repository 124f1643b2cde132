// SPDX-License-Identifier: MIT

package skiplist

import (
	"math/rand/v2"
	"runtime"
	"strconv"
	"testing"
	"unsafe"
)

// TestAllocs pins the allocations of reading, of which there are none, and of
// changes.
func TestAllocs(t *testing.T) {
	if raceEnabled || invariants {
		t.Skip("the race detector and checks allocate")
	}
	m := numbers(10_000, width)
	text := NewMap[string, int]()
	ranks := NewSortedSet[int, int]()
	text.coins.Seed(1, 2)
	ranks.ranks.coins.Seed(1, 2)
	for i := range 10_000 {
		text.Set("key:"+strconv.Itoa(i), i)
		ranks.Set(i, i%100)
	}
	key := "key:5000"
	sum := 0
	c := m.Cursor()
	for name, f := range map[string]func(){
		"Get":          func() { m.Get(5000) },
		"Get of text":  func() { text.Get(key) },
		"Floor":        func() { m.Floor(5000) },
		"Higher":       func() { m.Higher(5000) },
		"Index":        func() { m.Index(5000) },
		"Nth":          func() { m.Nth(5000) },
		"Len":          func() { m.From(10).To(5000).Len() },
		"Cursor":       func() { c.Seek(5000); c.Next() },
		"Set of old":   func() { m.Set(5000, 1) },
		"rank":         func() { ranks.Index(5000) },
		"rank by span": func() { ranks.From(10).Below(20).Len() },
		"All": func() {
			for key, value := range m.All() {
				sum += key + value
			}
		},
		"Backward": func() {
			for key, value := range m.Backward() {
				sum += key + value
			}
		},
		"All of a span": func() {
			for key, value := range m.From(100).To(200).All() {
				sum += key + value
			}
		},
	} {
		if got := testing.AllocsPerRun(10, f); got != 0 {
			t.Errorf("%s: %v allocations, want 0", name, got)
		}
	}

	gone := 0
	if got := testing.AllocsPerRun(1, func() {
		for range 4000 {
			m.Delete(gone * 7919 % 10_000)
			gone++
		}
	}); got != 0 {
		t.Errorf("Delete of 4000 keys: %v allocations, want 0", got)
	}

	i := 0
	if got := testing.AllocsPerRun(10_000, func() { m.Set(i*7919%100_003, i); i++ }); got > 0.1 {
		t.Errorf("Set: %v allocations, want at most 0.1", got)
	}
}

// TestSizes pins the blocks to classes of Go's allocator, and the bytes an
// entry takes.
func TestSizes(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) == 8 {
		if got, want := unsafe.Sizeof(leaf[int64, int64]{}), uintptr(1016); got != want {
			t.Errorf("a leaf has %d bytes, want %d", got, want)
		}
		if got, want := unsafe.Sizeof(index[int64, int64]{}), uintptr(1032); got != want {
			t.Errorf("an index block has %d bytes and its kids, want %d", got, want)
		}
	}
	if raceEnabled {
		return
	}

	const n = 200_000
	rng := rand.New(rand.NewPCG(1, 2))
	for name, c := range map[string]struct {
		key  func(i int) int64
		most float64
	}{
		"ascending": {func(i int) int64 { return int64(i) }, 17.5},
		"random":    {func(int) int64 { return rng.Int64() }, 25},
	} {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		m := NewMap[int64, int64]()
		m.coins.Seed(1, 2)
		for i := range n {
			m.Set(c.key(i), 1)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if got := float64(after.HeapAlloc-before.HeapAlloc) / n; got > c.most {
			t.Errorf("%s: %.1f bytes an entry, want at most %v", name, got, c.most)
		}
		runtime.KeepAlive(m)
	}
}
