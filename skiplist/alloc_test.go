// SPDX-License-Identifier: MIT

package skiplist

import (
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
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

	// The runtime may allocate a few times beside one of the runs.
	gone := 0
	if got := testing.AllocsPerRun(9, func() {
		for range 400 {
			m.Delete(gone * 7919 % 10_000)
			gone++
		}
	}); got != 0 {
		t.Errorf("Delete of 400 keys: %v allocations, want 0", got)
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
		if got, want := unsafe.Sizeof(logLeaf[int64, int64]{}), uintptr(968); got != want {
			t.Errorf("a leaf with a log has %d bytes, want %d", got, want)
		}
	}
	if raceEnabled {
		return
	}

	for name, c := range map[string]struct {
		key        func(i int, rng *rand.Rand) int64
		of         float64 // bytes an entry of a Map, at most
		concurrent float64 // and of a ConcurrentMap
	}{
		"ascending": {func(i int, _ *rand.Rand) int64 { return int64(i) }, 17.5, 26},
		"random":    {func(_ int, rng *rand.Rand) int64 { return rng.Int64() }, 25, 34},
	} {
		got := heapOf(func(n int) any {
			m := NewMap[int64, int64]()
			m.coins.Seed(1, 2)
			rng := rand.New(rand.NewPCG(1, 2))
			for i := range n {
				m.Set(c.key(i, rng), 1)
			}
			return m
		})
		if got > c.of {
			t.Errorf("%s: %.1f bytes an entry, want at most %v", name, got, c.of)
		}
		got = heapOf(func(n int) any {
			m := newSized[int64, int64](blockSizes[4])
			rng := rand.New(rand.NewPCG(1, 2))
			for i := range n {
				m.Store(c.key(i, rng), 1)
			}
			return m
		})
		if got > c.concurrent {
			t.Errorf("%s: %.1f bytes an entry of a ConcurrentMap, want at most %v", name, got, c.concurrent)
		}
	}
}

// heapOf returns the bytes of an entry of what fill makes of n of them.
func heapOf(fill func(n int) any) float64 {
	const n = 200_000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	m := fill(n)
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(m)
	return float64(after.HeapAlloc-before.HeapAlloc) / n
}

// TestAllocsConcurrent pins the allocations of a ConcurrentMap.
func TestAllocsConcurrent(t *testing.T) {
	if raceEnabled || invariants {
		t.Skip("the race detector and checks allocate")
	}
	m := newSized[int, int](blockSizes[4])
	boxed := NewConcurrentMapFunc[string, any](strings.Compare)
	for i := range 10_000 {
		m.Store(i*7919%10_007, i)
		boxed.Store(strconv.Itoa(i), i)
	}
	sum := 0
	span := m.From(100).Below(5000)
	for name, f := range map[string]func(){
		"Load":             func() { m.Load(5000) },
		"Load by function": func() { boxed.Load("5000") },
		"Floor":            func() { m.Floor(5000) },
		"Higher":           func() { m.Higher(5000) },
		"Min":              func() { m.Min() },
		"Max":              func() { m.Max() },
		"LoadOrStore":      func() { m.LoadOrStore(5000, 1) },
		"LoadOrCompute":    func() { m.LoadOrCompute(5000, func() int { return sum }) },
		"no Delete":        func() { m.Delete(-1) },
		"no swap":          func() { m.CompareAndSwap(5000, -1, 1) },
		"All": func() {
			for key, value := range m.All() {
				sum += key + value
			}
		},
		"Backward of a span": func() {
			for key, value := range span.Backward() {
				sum += key + value
			}
		},
	} {
		if got := testing.AllocsPerRun(10, f); got != 0 {
			t.Errorf("%s: %v allocations, want 0", name, got)
		}
	}

	for name, f := range map[string]func(i int){
		"Store":   func(i int) { m.Store(i*7919%100_003, i) },
		"Compute": func(i int) { m.Compute(i*7919%10_007, func(old int, _ bool) (int, bool) { return old + 1, true }) },
		"Delete":  func(i int) { m.Delete(i * 7919 % 100_003) },
	} {
		i := 0
		if got := testing.AllocsPerRun(20_000, func() { f(i); i++ }); got > 0.125 {
			t.Errorf("%s: %v allocations, want at most 0.125", name, got)
		}
	}
	for i := range 20_000 {
		m.Store(i, i)
	}
	if got := testing.AllocsPerRun(10_000, func() { m.PopMin() }); got > 0.125 {
		t.Errorf("PopMin: %v allocations, want at most 0.125", got)
	}
}
