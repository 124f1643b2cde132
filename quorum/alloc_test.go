// SPDX-License-Identifier: MIT

package quorum

import (
	"context"
	"testing"
	"unsafe"
)

// TestAllocs checks that reads, and the algebra that they use, allocate
// nothing.
func TestAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}

	c := newCluster(t, stubs(5), nil)
	d := newKV(t, stubs(3), 1, nil)
	mustPut(t, d, 1, At(All))
	zones := Of(2, Majority(First(3)), Majority(First(3)<<3), Majority(First(3)<<6))
	clock := NewClock(1, nil)

	for name, f := range map[string]func(){
		"Load":        func() { _, _ = c.Load(ctx, "k") },
		"Load at all": func() { _, _ = c.Load(ctx, "k", At(All)) },
		"Get":         func() { _, _, _ = d.Get(ctx, "k") },
		"Get, atomic": func() { _, _, _ = d.Get(ctx, "k", Atomic()) },
		"Has":         func() { zones.Has(First(5)) },
		"Vote":        func() { zones.Vote(First(3), First(2)<<6) },
		"Now":         func() { clock.Now() },
		"Stats":       func() { c.Stats() },
	} {
		t.Run(name, func(t *testing.T) {
			if n := testing.AllocsPerRun(500, f); n != 0 {
				t.Errorf("%v allocations, want 0", n)
			}
		})
	}

	// A call of Do is a context, a channel, the answers, and each request's
	// goroutine.
	f := func(_ context.Context, i int) (int, error) { return i, nil }
	if n := testing.AllocsPerRun(500, func() { _, _ = Do(ctx, Majority(First(3)), f, nil) }); n > 9 {
		t.Errorf("Do: %v allocations, want at most 9", n)
	}

	// A write makes one context for all its requests, of two parts if that of
	// the caller can end.
	ends, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, tt := range []struct {
		ctx  context.Context
		most float64
	}{{ctx, 1}, {ends, 2}} {
		if n := testing.AllocsPerRun(500, func() { _, _ = d.Put(tt.ctx, "k", 1) }); n > tt.most {
			t.Errorf("Put: %v allocations, want at most %v", n, tt.most)
		}
	}
}

// TestSizes checks the memory that doc.go promises.
func TestSizes(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("sizes are given for 64 bits")
	}
	for _, tt := range []struct {
		name      string
		got, most uintptr
	}{
		{"a Cluster", unsafe.Sizeof(Cluster[string, LWW[int]]{}), 1024},
		{"an op", unsafe.Sizeof(op[string, LWW[int]]{}), 384},
		{"a latency", unsafe.Sizeof(latency{}), 280},
		{"a Stamp", unsafe.Sizeof(Stamp{}), 16},
		{"a Slot", unsafe.Sizeof(Slot[int]{}), 72},
		{"a System", unsafe.Sizeof(System{}), 8},
	} {
		if tt.got > tt.most {
			t.Errorf("%s takes %d bytes, want at most %d", tt.name, tt.got, tt.most)
		}
	}
}
