// SPDX-License-Identifier: MIT

package lsm

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
)

// heapBytes returns the memory of the heap: objects, live or dead, and what is
// free between them.
func heapBytes() int64 {
	s := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
	}
	metrics.Read(s)
	return int64(s[0].Value.Uint64() + s[1].Value.Uint64())
}

// residentBytes returns the memory of the process that the system counts, or 0
// where that is not known.
func residentBytes(t *testing.T) int64 {
	t.Helper()
	if runtime.GOOS != "linux" {
		return 0
	}
	b, err := os.ReadFile("/proc/self/statm")
	must(t, err)
	var size, resident int64
	_, err = fmt.Fscan(bytes.NewReader(b), &size, &resident)
	must(t, err)
	return resident * int64(os.Getpagesize())
}

// TestMemory checks what Options.Memory promises of the process: while a
// database of five times that is filled, read, and both at once, the process
// takes no more than twice that and 16 MiB, with the collector as it is by
// default. What lives is Memory, and the collector lets the heap grow to twice
// what lives. The rest is for buffers, stacks and the runtime.
func TestMemory(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("takes seconds")
	}
	const memory = 16 << 20
	const most = 2*memory + 16<<20
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	debug.FreeOSMemory()
	heap, resident := heapBytes(), residentBytes(t)

	db, err := Open(t.TempDir(), &Options{Memory: memory, Durability: NoSync})
	must(t, err)
	const n = 5 * memory / 1000
	rng := rand.New(rand.NewPCG(1, 2))
	value := make([]byte, 1000)
	var buf []byte
	key := func(i int) []byte { return fmt.Appendf(nil, "key%07d", i) }
	set := func(i int) {
		copy(value, key(i))
		must(t, db.Set(key(i), value))
	}
	get := func(i int) {
		buf, err = db.AppendGet(buf[:0], key(i))
		if err != nil || !bytes.HasPrefix(buf, key(i)) {
			t.Fatalf("Get(%s): got %.20q and %v", key(i), buf, err)
		}
	}

	for _, phase := range []struct {
		name string
		step func(i int)
	}{
		{"fill", func(i int) { set(n - 1 - i) }},
		{"read", func(int) { get(rng.IntN(n)) }},
		{"read what is hot", func(int) { get(int(rng.ExpFloat64()*n/20) % n) }},
		{"both", func(i int) { set(rng.IntN(n)); get(rng.IntN(n)) }},
	} {
		peakHeap, peakResident := int64(0), int64(0)
		for i := range n {
			phase.step(i)
			if i%500 == 0 {
				peakHeap = max(peakHeap, heapBytes()-heap)
				peakResident = max(peakResident, residentBytes(t)-resident)
			}
		}
		t.Logf("%s: %d MiB of heap, %d MiB resident", phase.name, peakHeap>>20, peakResident>>20)
		if peakHeap > most || peakResident > most {
			t.Errorf("%s: %d bytes of heap, %d resident, want at most %d", phase.name, peakHeap, peakResident, most)
		}
	}
	if stats := db.Stats(); stats.Stored < 4*memory || stats.Cached < memory/4 {
		t.Errorf("got %+v, want more data than memory, and a full cache", stats)
	}
	closeDB(t, db)
}
