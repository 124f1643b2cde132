// SPDX-License-Identifier: MIT

package breaker

import (
	"context"
	"testing"
	"time"
	"unsafe"
)

// TestAllocs checks that nothing on the way of a call allocates.
func TestAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}

	row := New(&Options{Failures: 1 << 30})
	ratio := New(&Options{FailureRatio: 1, Count: true})
	calls := New(&Options{FailureRatio: 1, SlowRatio: 1, SlowCall: time.Hour, WindowCalls: 100})
	open, half := New(nil), New(&Options{OpenFor: 1, ProbeTimeout: time.Hour})
	open.Trip(time.Hour, errBad)
	half.Trip(0, nil)
	for half.State() != HalfOpen {
	}
	admit(t, half)

	group := NewGroup[string](nil)
	group.Get("host")
	throttle := NewThrottle(nil)

	ctx := context.Background()
	good := func(context.Context) error { return nil }
	bad := func(context.Context) error { return errBad }
	value := func(context.Context) (int, error) { return 1, nil }

	for name, f := range map[string]func(){
		"Do by row":        func() { _ = row.Do(ctx, good) },
		"Do by time":       func() { _ = ratio.Do(ctx, good) },
		"Do by calls":      func() { _ = calls.Do(ctx, good) },
		"Do failing":       func() { _ = row.Do(ctx, bad); _ = row.Do(ctx, good) },
		"Do open":          func() { _ = open.Do(ctx, good) },
		"Do half-open":     func() { _ = half.Do(ctx, good) },
		"Do of a value":    func() { _, _ = Do(ctx, row, value) },
		"Allow, Done":      func() { p, _ := row.Allow(); p.Done(ctx, nil) },
		"Allow, Ignore":    func() { p, _ := ratio.Allow(); p.Ignore() },
		"Stats":            func() { ratio.Stats() },
		"Err":              func() { _ = open.Err() },
		"Group.Get":        func() { group.Get("host") },
		"Throttle":         func() { throttle.Allow(); throttle.Accept() },
		"Throttle.Do":      func() { _ = throttle.Do(ctx, good) },
		"Throttle.Stats":   func() { throttle.Stats() },
		"OpenError, Until": func() { openError(t, open).RetryAfter(); open.Until() },
	} {
		t.Run(name, func(t *testing.T) {
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
	for _, tt := range []struct {
		name      string
		got, most uintptr
	}{
		{"a Breaker", unsafe.Sizeof(Breaker{}), 144},
		{"its period", unsafe.Sizeof(period{}), 80},
		{"its settings", unsafe.Sizeof(config{}), 224},
		{"a bucket", unsafe.Sizeof(bucket{}), 24},
		{"a Permit", unsafe.Sizeof(Permit{}), 16},
	} {
		if tt.got > tt.most {
			t.Errorf("%s takes %d bytes, want at most %d", tt.name, tt.got, tt.most)
		}
	}
}

// TestClockReads checks which calls read the clock: a rejection and a success
// by row must not.
func TestClockReads(t *testing.T) {
	reads := 0
	now := func() time.Time { reads++; return time.Unix(0, 0) }
	for _, tt := range []struct {
		o    Options
		call error
		want int
	}{
		{Options{}, nil, 0},
		{Options{WindowCalls: 10, FailureRatio: 1}, nil, 0},
		{Options{FailureRatio: 1}, nil, 1},
		{Options{SlowRatio: 1, SlowCall: 1}, nil, 2},
		{Options{Count: true}, nil, 0},
		{Options{Failures: 10}, errBad, 1},
		{Options{Failures: 10, WindowCalls: 10, FailureRatio: 1}, errBad, 1},
		{Options{Failures: 10, FailureRatio: 1}, errBad, 2},
	} {
		tt.o.Now = now
		b := New(&tt.o)
		reads = 0
		if _ = call(b, tt.call); reads != tt.want {
			t.Errorf("%+v: %d readings, want %d", tt.o, reads, tt.want)
		}
	}

	b := New(&Options{Now: now})
	b.ForceOpen()
	reads = 0
	if _ = call(b, nil); reads != 0 {
		t.Errorf("a rejection read the clock %d times, want 0", reads)
	}
}
