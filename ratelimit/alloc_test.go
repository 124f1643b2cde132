// SPDX-License-Identifier: MIT

package ratelimit

import (
	"context"
	"hash/maphash"
	"math"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
	"unsafe"
)

// TestAllocs checks that no operation allocates in steady state, as doc.go
// says.
func TestAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}

	lim, empty, inf := New(PerSecond(1e9), 1e9, nil), New(Rate{}, 1, nil), New(Inf, 1, nil)
	empty.Allow()
	cold := New(PerSecond(1e9), 1e9, &Options{WarmUp: time.Hour})
	ctx := context.Background()
	seed := maphash.MakeSeed()
	hashAllocates := testing.AllocsPerRun(100, func() { maphash.Comparable(seed, "denied") }) > 0 // with the tag purego
	keyed := NewKeyed[string]([]Limit{{PerSecond(1), 1}, {PerHour(9), 5}}, nil)
	keyed.Take("denied", 1)
	other := []Limit{{PerSecond(2), 2}, {PerHour(10), 7}}
	now := time.Now()
	striped, window := NewStriped(PerSecond(1e9), 1e9, nil), NewSlidingWindow(9, time.Hour, 6, nil)
	keyedLog, keyedQuota := NewKeyedSlidingLog[string](9, time.Hour, nil), NewKeyedQuota[string](9, Daily(time.UTC), nil)
	keyedLog.Allow("key")
	keyedQuota.Allow("key")
	conc, adaptive := NewConcurrency(9, nil), NewConcurrency(9, &ConcurrencyOptions{Adapt: &Gradient2{}})

	for name, f := range map[string]func(){
		"Allow":            func() { lim.Allow() },
		"Allow denied":     func() { empty.Allow() },
		"Allow Inf":        func() { inf.Allow() },
		"AllowAt":          func() { lim.AllowAt(now, 1) },
		"Take":             func() { lim.Take(1) },
		"Take denied":      func() { empty.Take(1) },
		"Peek":             func() { lim.Peek(1) },
		"TakeUpTo":         func() { lim.TakeUpTo(2) },
		"Charge, Return":   func() { lim.Charge(1); lim.Return(1) },
		"Wait":             func() { _ = lim.Wait(ctx, 1) },
		"Reserve, Cancel":  func() { r := lim.Reserve(1); r.Cancel() },
		"Keyed.Allow":      func() { keyed.Allow("denied") },
		"Keyed.Take":       func() { keyed.Take("denied", 1) },
		"Keyed.TakeLimits": func() { keyed.TakeLimits("denied", 1, other...) },
		"Keyed.Return":     func() { keyed.Return("denied", 1) },
		"Striped.Allow":    func() { striped.Allow() },
		"SlidingWindow":    func() { window.Allow() },
		"KeyedSlidingLog":  func() { keyedLog.Take("key", 1) },
		"KeyedQuota":       func() { keyedQuota.Take("key", 1) },
		"WarmUp":           func() { cold.Take(1) },
		"TryAcquire":       func() { p, _ := conc.TryAcquire(); p.Release() },
		"Acquire":          func() { p, _ := conc.Acquire(ctx); p.Release() },
		"adaptive":         func() { p, _ := adaptive.TryAcquire(); p.Release() },
		"Step":             func() { other[0].Step(State{}, math.MaxInt32, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			if hashAllocates && strings.HasPrefix(name, "Keyed") {
				t.Skip("the hash of the standard library allocates")
			}
			if n := testing.AllocsPerRun(200, f); n != 0 {
				t.Errorf("%v allocations, want 0", n)
			}
		})
	}
}

// TestSizes checks the memory that doc.go promises.
func TestSizes(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("sizes are given for 64 bits")
	}
	// The allocator rounds sizes like these up to multiples of 16.
	if n := (unsafe.Sizeof(Limiter{})+15)&^15 + (unsafe.Sizeof(bucket{})+15)&^15; n > 288 {
		t.Errorf("a Limiter takes %d bytes, want at most 288", n)
	}
	if n := unsafe.Offsetof(bucket{}.base) + 8; n > 128 {
		t.Errorf("Allow reads the first %d bytes of a bucket, more than two lines, want at most 128", n)
	}
	if n := unsafe.Sizeof(Permit{}); n != 16 {
		t.Errorf("a Permit takes %d bytes, want 16", n)
	}
	if n := unsafe.Sizeof(Concurrency{}); n > 512 {
		t.Errorf("a Concurrency takes %d bytes, want at most 512", n)
	}
	if n := unsafe.Sizeof(Reservation{}); n != 64 {
		t.Errorf("a Reservation takes %d bytes, want 64", n)
	}
}

// TestInlining checks that the arithmetic of a decision is inlined into it.
func TestInlining(t *testing.T) {
	if testing.Short() || raceEnabled || invariants {
		t.Skip("builds the package again")
	}
	out, err := exec.Command("go", "build", "-gcflags=-m", ".").CombinedOutput()
	if err != nil {
		t.Skipf("no toolchain: %v", err)
	}
	var inlined []string
	for _, m := range regexp.MustCompile(`can inline \(\*(\w+)\)\.(\w+)`).FindAllStringSubmatch(string(out), -1) {
		inlined = append(inlined, m[1]+"."+m[2])
	}
	all := strings.Join(inlined, " ") + " "
	for _, want := range []string{"meter.supply", "meter.inSpan", "meter.admit", "Limiter.load"} {
		if !strings.Contains(all, want+" ") {
			t.Errorf("%s is not inlined any more", want)
		}
	}
}
