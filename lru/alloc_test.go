// SPDX-License-Identifier: MIT

package lru

import (
	"context"
	"math"
	"runtime"
	"testing"
	"time"
	"unsafe"
)

// skipAllocs skips the test where allocations are not those of the package.
func skipAllocs(t *testing.T) {
	t.Helper()
	if raceEnabled || invariants {
		t.Skip("the race detector and the checks allocate")
	}
	c, i := New[int, int](1, nil), 1<<20 // small numbers lie in an array of the runtime
	if testing.AllocsPerRun(100, func() { i += int(c.hash(i) & 1) }) > 0 {
		t.Skip("hash/maphash allocates: it is that of the build tag purego")
	}
}

// TestAllocs checks that no operation allocates once a cache is full, as doc.go
// says.
func TestAllocs(t *testing.T) {
	skipAllocs(t)
	const n = 256
	cases := map[string]func(i int){}
	for _, kind := range []byte("lfq") {
		c := newExactOf[int, int](kind, n)
		for i := range 2 * n {
			c.Set(i, i)
		}
		cases[string(kind)] = func(i int) { c.Get(i % n); c.Set(i, i); c.Set(i, i); c.Delete(i - 5); c.Set(i-5, i) }
	}

	for p := range PolicyRandom + 1 {
		c := New[int, int](n, &Options[int, int]{Policy: p, Shards: 1})
		timed := New(n, &Options[int, int]{
			Policy: p, Shards: 1, TTL: time.Hour, Idle: time.Hour, Jitter: 0.1, TrackAge: true, Cost: func(_, v int) int { return v % 3 },
		})
		for i := range 20 * n {
			c.Set(i, i)
			timed.Set(i, i)
		}

		bump := func(v int, _ bool) (int, bool) { return v + 1, true }
		cases[p.String()+"/timed"] = func(i int) { timed.Get(i); timed.Set(i, i); timed.Touch(i, time.Minute); timed.Delete(i - 5) }
		cases[p.String()] = func(i int) {
			c.Get(i - 3)
			c.Set(i, i)
			c.GetOrSet(i+1, i)
			c.Swap(i, 7)
			c.Update(i, bump)
			c.Take(i)
			c.Peek(i)
		}
	}

	fresh := New(n, &Options[int, int]{
		Shards: 1, TTL: time.Hour, RefreshAfter: time.Minute, StaleIfError: time.Hour,
		Load: func(_ context.Context, key int) (int, error) { return key, nil },
	})
	cases["Load"] = func(int) { _, _ = fresh.Load(context.Background(), 1) }
	for name, f := range cases {
		i := 100 * n
		if got := testing.AllocsPerRun(1000, func() { f(i); i++ }); got != 0 {
			t.Errorf("%s: %v allocations, want 0", name, got)
		}
	}
}

// TestLoadAllocs pins what a load costs besides the loader, in the goroutine of
// the caller and in its own.
func TestLoadAllocs(t *testing.T) {
	skipAllocs(t)
	c := New(256, &Options[int, int]{Shards: 1, Load: func(_ context.Context, key int) (int, error) { return key, nil }})
	i := 0
	for _, tt := range []struct {
		name string
		ctx  context.Context
		most float64
	}{{"inline", context.Background(), 2}, {"goroutine", t.Context(), 7}} { // 5, and now and then a new goroutine
		n := testing.AllocsPerRun(1000, func() { _, _ = c.Load(tt.ctx, i); i++ })
		t.Logf("%s: %v allocations", tt.name, n)
		if n > tt.most {
			t.Errorf("%s: %v allocations, want at most %v", tt.name, n, tt.most)
		}
	}
}

// heapOf returns what f allocates and keeps, in bytes.
func heapOf[T any](f func() T) int {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	x := f()
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(x)
	return int(after.HeapAlloc) - int(before.HeapAlloc)
}

// cacheBytes is the formula of doc.go: the memory of n entries in s shards,
// with per bytes for each slot. A shard has room for four standard deviations
// more than its share, and the allocator rounds columns up, by an eighth at
// most.
func cacheBytes(n, shards int, per float64) float64 {
	slots := float64(n)
	if shards > 1 {
		slots += float64(shards) * (4*math.Sqrt(float64(n)/float64(shards)) + 1)
	}
	return slots * per
}

// TestMemory checks the memory of an entry that doc.go promises: of the exact
// types, and of a Cache by its formula, whatever the number of shards.
func TestMemory(t *testing.T) {
	if raceEnabled || invariants || unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("sizes are given for 64 bits, without instruments")
	}
	n := 1 << 20
	if testing.Short() {
		n = 1 << 18
	}
	for kind, limit := range map[byte]float64{'l': 15, 'q': 15, 'f': 52} {
		bytes := heapOf(func() *Exact[uint64, uint64] {
			c := newExactOf[uint64, uint64](kind, n)
			for i := range uint64(n) {
				c.Set(i, i)
			}
			return c
		})
		if got := float64(bytes)/float64(n) - 16; got > limit {
			t.Errorf("%c: %.1f bytes an entry over key and value, want at most %v", kind, got, limit)
		}
	}

	for _, tt := range []struct {
		n, shards int
		opts      Options[uint64, uint64]
		per       float64 // over key and value
	}{
		{10_000, 1, Options[uint64, uint64]{}, 38},
		{10_000, 8, Options[uint64, uint64]{}, 38},
		{n, 1, Options[uint64, uint64]{}, 38},
		{n, 8, Options[uint64, uint64]{}, 38},
		{n, 64, Options[uint64, uint64]{}, 38},
		{n, 8, Options[uint64, uint64]{Policy: PolicyLRU}, 24},
		{n, 8, Options[uint64, uint64]{TTL: time.Hour}, 54},
	} {
		tt.opts.Shards = tt.shards
		bytes := heapOf(func() *Cache[uint64, uint64] {
			c := New(tt.n, &tt.opts)
			for i := range uint64(tt.n) {
				c.Set(i, i)
			}
			return c
		})
		want := cacheBytes(tt.n, tt.shards, tt.per+16)
		t.Logf("%d entries in %d shards: %.2f bytes an entry", tt.n, tt.shards, float64(bytes)/float64(tt.n)-16)
		if got := float64(bytes); got > 1.125*want+4096 {
			t.Errorf("%d entries in %d shards with %v: %.0f bytes, want at most %.0f", tt.n, tt.shards, tt.opts.Policy, got, want)
		}
	}
}

// TestSizes pins the layout of what is there once a bucket, a slot or a cache.
func TestSizes(t *testing.T) {
	if n := unsafe.Sizeof(bucket{}); n != 64 {
		t.Errorf("a bucket takes %d bytes, want 64", n)
	}
	if n := unsafe.Sizeof(meta{}) + unsafe.Sizeof(link{}); n != 16 {
		t.Errorf("the policy takes %d bytes a slot, want 16", n)
	}
	if n := unsafe.Sizeof(Cache[int, int]{}) + unsafe.Sizeof(shard[int, int]{}); n > 1600 {
		t.Errorf("an empty cache takes %d bytes, want at most 1600", n)
	}
}
