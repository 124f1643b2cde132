// SPDX-License-Identifier: MIT

package ratelimit

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// TestZeroMethods checks that every method of a zero value panics with the name
// of its constructor, but for those that return counters and what they were
// given.
func TestZeroMethods(t *testing.T) {
	fine := []string{
		"Shared.Limits", "Shared.Stats", "Keyed[int].Gate", "KeyedWindow[int].Gate", "Shared.Gate",
		"Window.Stats", "Striped.Stats", "Keyed[int].All", "Concurrency.Limit", "Concurrency.InFlight", "Concurrency.Queued", "Concurrency.Stats",
	}
	for _, v := range []any{
		new(Limiter), new(Keyed[int]), new(Window), new(KeyedWindow[int]), new(Striped), new(Concurrency), new(Shared),
	} {
		kind := reflect.TypeOf(v)
		name := kind.Elem().Name()
		for i := range kind.NumMethod() {
			m := kind.Method(i)
			of := reflect.New(kind.Elem())
			full := name + "." + m.Name
			if slices.Contains(fine, full) {
				continue
			}

			// Arguments that are fine.
			args := []reflect.Value{}
			for j := 1; j < m.Type.NumIn(); j++ {
				in := m.Type.In(j)
				arg := reflect.New(in).Elem()
				switch in {
				case reflect.TypeFor[context.Context]():
					arg.Set(reflect.ValueOf(context.Background()))
				case reflect.TypeFor[int]():
					arg.SetInt(minStriped)
				case reflect.TypeFor[Store]():
					arg.Set(reflect.ValueOf(NewMemStore(nil)))
				case reflect.TypeFor[io.Reader](), reflect.TypeFor[io.Writer]():
					arg.Set(reflect.ValueOf(&bytes.Buffer{}))
				case reflect.TypeFor[[]Limit]():
					arg.Set(reflect.ValueOf([]Limit{{PerHour(1), 1}}))
				}
				args = append(args, arg)
			}

			func() {
				defer func() {
					short, _, _ := strings.Cut(name, "[")
					if got := recover(); !strings.Contains(fmt.Sprint(got), "ratelimit: zero "+short+": use New") {
						t.Errorf("zero %s: panic = %v, want the name of its constructor", full, got)
					}
				}()
				call := of.Method(i).Call
				if m.Type.IsVariadic() {
					call = of.Method(i).CallSlice
				}
				call(args)
			}()
		}
	}
}

// TestPropKeyedFar checks a Keyed against a Limiter at readings that lie
// decades apart, where the base of a shard moves, while keys take limits of
// their own.
func TestPropKeyedFar(t *testing.T) { rapid.Check(t, propKeyedFar) }

func propKeyedFar(t *rapid.T) {
	const year = int64(365 * 24 * time.Hour)
	clock := fakeClock{rapid.Int64Range(-60, 0).Draw(t, "start") * year}
	limit := func(label string) Limit {
		return Limit{Every(time.Duration(1) << rapid.IntRange(50, 58).Draw(t, label)), rapid.IntRange(1, 6).Draw(t, label+".burst")}
	}
	l := limit("limit")
	k := NewKeyed[int]([]Limit{l}, &KeyedOptions{MaxKeys: 16, Now: clock.now})
	lim := New(l.Rate, l.Burst, &Options{Now: clock.now})

	for range rapid.IntRange(1, 20).Draw(t, "steps") {
		clock.t += rapid.OneOf(rapid.Int64Range(0, 3), rapid.Int64Range(0, 100)).Draw(t, "years") * year / 2
		clock.t = min(clock.t, 80*year)
		n := rapid.IntRange(0, 7).Draw(t, "n")
		switch rapid.IntRange(0, 4).Draw(t, "what") {
		case 0:
			k.Charge(1, n)
			lim.Charge(n)
		case 1:
			k.Return(1, n)
			lim.Return(n)
		default:
			peek, want := k.Peek(1, n), lim.Peek(n)
			check(t, peek, want, "Peek(%d) at year %d", n, clock.t/year)
			check(t, k.Take(1, n), lim.Take(n), "Take(%d) at year %d", n, clock.t/year)
		}
	}
}

// TestSnapshotErrorsOfAll checks that every type that reads snapshots refuses
// damaged ones, and those of the others.
func TestSnapshotErrorsOfAll(t *testing.T) {
	type full interface {
		io.ReaderFrom
		io.WriterTo
	}
	makes := map[string]func() full{
		"Keyed":       func() full { return NewKeyed[int]([]Limit{{PerHour(1), 3}}, nil) },
		"KeyedWindow": func() full { return NewKeyedSlidingLog[int](3, time.Hour, nil) },
		"Window":      func() full { return NewSlidingLog(3, time.Hour, nil) },
	}
	for name, of := range makes {
		var b bytes.Buffer
		n, err := of().WriteTo(&b)
		checkErr(t, err, nil, "%s: WriteTo", name)
		check(t, n, int64(b.Len()), "%s: bytes written", name)
		good := b.Bytes()
		for i := range good {
			bad := slices.Clone(good)
			bad[i] ^= 0x40
			if _, err := of().ReadFrom(bytes.NewReader(bad)); !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
				t.Errorf("%s: byte %d: err = %v, want ErrCorrupt or ErrVersion", name, i, err)
			}
			if _, err := of().ReadFrom(bytes.NewReader(bad)); i/2 == 4 {
				checkErr(t, err, ErrVersion, "%s: byte %d", name, i)
			}
			if n, err := of().ReadFrom(bytes.NewReader(good[:i])); !errors.Is(err, ErrCorrupt) || n != int64(i) {
				t.Errorf("%s: the first %d bytes: %d, %v, want as many and ErrCorrupt", name, i, n, err)
			}
		}

		n, err = of().ReadFrom(bytes.NewReader(append(good, 1, 2, 3)))
		checkErr(t, err, nil, "%s: ReadFrom", name)
		check(t, n, int64(len(good)), "%s: bytes read", name)
		for other, to := range makes {
			if _, err := to().ReadFrom(bytes.NewReader(good)); other != name && !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s reads %s: err = %v, want ErrCorrupt", other, name, err)
			}
		}
	}
}

// TestRestoreWithoutRoom checks that a full table takes over what it can and
// panics for nothing, and that a new key finds nothing of the one it displaces.
func TestRestoreWithoutRoom(t *testing.T) {
	var clock fakeClock
	limits := []Limit{{PerHour(1), 100}}
	from := NewKeyed[int](limits, &KeyedOptions{Now: clock.now})
	for key := range 200 {
		from.TakeLimits(-1-key, 1, Limit{PerHour(1), 50}, Limit{PerDay(1), 60})
	}
	var b, events bytes.Buffer
	_, err := from.WriteTo(&b)
	checkErr(t, err, nil, "WriteTo")
	windows := NewKeyedSlidingLog[int](5, time.Hour, &KeyedOptions{Now: clock.now})
	for key := range 200 {
		windows.Allow(-1 - key)
	}
	_, err = windows.WriteTo(&events)
	checkErr(t, err, nil, "WriteTo of windows")

	for _, deny := range []bool{false, true} {
		opts := &KeyedOptions{MaxKeys: 16, DenyNew: deny, Now: clock.now}
		k := NewKeyed[int](limits, opts)
		w := NewKeyedSlidingLog[int](5, time.Hour, opts)
		for key := range 100 {
			k.Take(key, 40)
			w.AllowN(key, 4)
		}
		_, err = k.ReadFrom(bytes.NewReader(b.Bytes()))
		checkErr(t, err, nil, "ReadFrom with DenyNew %v", deny)
		_, err = w.ReadFrom(bytes.NewReader(events.Bytes()))
		checkErr(t, err, nil, "ReadFrom of windows with DenyNew %v", deny)
		held := 0
		for key, d := range k.All() {
			if key < 0 {
				held++
				check(t, d.Remaining, 49, "Remaining of %d with DenyNew %v", key, deny)
			}
		}
		if deny != (held == 0) {
			t.Errorf("%d keys were taken over with DenyNew %v", held, deny)
		}
		s := k.Stats()
		check(t, s.Evicted > 0, !deny, "evictions with DenyNew %v", deny)
	}
}

// TestForgiven checks that full buckets and those that nothing limits have
// nothing to forgive, and others their debt in whole tokens, rounded up.
func TestForgiven(t *testing.T) {
	p := newPlan([]Limit{{Every(10), 5}, {Rate: Inf}, {Rate{}, 3}})
	for _, tt := range []struct {
		words []int64
		want  uint64
	}{
		{[]int64{full, full, full}, 0},
		{[]int64{100, 0, 0}, 0}, // as the supply is at 100
		{[]int64{101, 0, 0}, 1},
		{[]int64{110, 0, 0}, 1},
		{[]int64{111, 0, 0}, 2},
		{[]int64{111, 500, 0}, 2},
		{[]int64{111, 0, 3 * p.meters[2].unit}, 3},
	} {
		check(t, p.forgiven(tt.words, 100), tt.want, "forgiven of %v", tt.words)
	}
}

// TestMostLimits checks that a key may have eight limits and no more.
func TestMostLimits(t *testing.T) {
	limits := make([]Limit, maxTiers)
	for i := range limits {
		limits[i] = Limit{PerHour(i + 1), i + 1}
	}
	d := NewKeyed[int](limits, nil).Take(1, 1)
	check(t, d.OK, true, "OK of eight limits")
	_, err := NewShared(NewMemStore(nil), limits, nil).Take(t.Context(), "key", 1)
	checkErr(t, err, nil, "Take of eight limits")
	more := append(limits, Limit{PerHour(1), 1})
	mustPanic(t, "limits must be at most 8, got 9", func() { NewKeyed[int](more, nil) })
	mustPanic(t, "at least one limit is needed", func() { NewShared(NewMemStore(nil), nil, nil) })
}

// TestPeekHole checks that Peek finds the place of a canceled reservation, as
// Take does, for as many tokens as it has and no more.
func TestPeekHole(t *testing.T) {
	var clock fakeClock
	lim := New(PerSecond(1), 2, &Options{Now: clock.now})
	lim.AllowN(2)
	first := lim.Reserve(2)
	lim.Reserve(1)
	first.Cancel()
	for _, tt := range []struct {
		at   time.Duration
		n    int
		want bool
	}{{0, 1, false}, {time.Second, 2, false}, {0, 3, false}, {0, 1, true}, {0, 1, false}, {time.Second, 1, true}, {0, 1, false}, {10 * time.Second, 3, false}} {
		clock.sleep(tt.at)
		check(t, lim.Peek(tt.n).OK, tt.want, "OK of Peek(%d) at %v", tt.n, time.Duration(clock.t))
		check(t, lim.Take(tt.n).OK, tt.want, "OK of Take(%d) at %v", tt.n, time.Duration(clock.t))
	}
}

// TestWaitForever checks that a wait that only SetLimit can end sleeps, and
// that a clock which stands still just before the time is asked now and then
// alone.
func TestWaitForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lim := New(Rate{}, 1, nil)
		lim.Allow()
		time.AfterFunc(time.Hour, func() { lim.SetLimit(PerSecond(1), 1) })
		start := time.Now()
		checkErr(t, lim.Wait(t.Context(), 1), nil, "Wait")
		check(t, time.Since(start), time.Hour+time.Second, "time of Wait")

		var readings atomic.Int64
		var at atomic.Int64
		now := func() time.Time {
			readings.Add(1)
			return time.Unix(0, at.Load())
		}
		lim = New(PerSecond(1), 1, &Options{Now: now})
		keyed := NewKeyed[int]([]Limit{{PerSecond(1), 1}}, &KeyedOptions{Now: now})
		lim.Allow()
		keyed.Allow(1)
		at.Store(int64(time.Second) - 1)
		time.AfterFunc(100*time.Millisecond, func() { at.Add(1) })
		for name, wait := range map[string]func() error{
			"Limiter": func() error { return lim.Wait(t.Context(), 1) },
			"Keyed":   func() error { return keyed.Wait(t.Context(), 1, 1) },
		} {
			readings.Store(0)
			checkErr(t, wait(), nil, "%s: Wait", name)
			if got := readings.Load(); got > 300 {
				t.Errorf("%s: the clock was read %d times in 100 ms, want at most 300", name, got)
			}
		}
	})
}

// TestKeyedDelayInLine checks that the wait of a key is told with those in
// front of it.
func TestKeyedDelayInLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := NewKeyed[int]([]Limit{{PerSecond(1), 2}, {PerSecond(2), 4}}, nil)
		k.AllowN(1, 2)
		go func() { _ = k.Wait(t.Context(), 1, 2) }() // ends in 2 s
		synctest.Wait()
		err := k.WaitMax(t.Context(), 1, 1, 3*time.Second-1)
		checkErr(t, err, ErrLimited, "WaitMax of too little")
		if e, ok := errors.AsType[*WaitError](err); !ok || e.Delay != 3*time.Second || e.N != 1 {
			t.Errorf("WaitMax = %#v, want a delay of 3s for 1", err)
		}
		start := time.Now()
		checkErr(t, k.WaitMax(t.Context(), 1, 1, 3*time.Second), nil, "WaitMax of enough")
		check(t, time.Since(start), 3*time.Second, "time of WaitMax")
	})
}

// TestLimitOfKey checks the limits that a key of a window may have of its own.
func TestLimitOfKey(t *testing.T) {
	for name, w := range keyedWindows(3, nil) {
		mustPanic(t, "must be positive, got 0", func() { w.TakeLimit(1, 1, 0) })
		mustPanic(t, "must be positive, got -1", func() { w.SetLimit(-1) })
		check(t, w.TakeLimit(1, 1, 1).OK, true, "%s: OK of one", name)
		check(t, w.TakeLimit(1, 1, 1).OK, false, "%s: OK of two", name)
		check(t, w.TakeLimit(1, 3, 4).OK, true, "%s: OK of four", name)
	}
	log := NewKeyedSlidingLog[int](3, time.Hour, nil)
	mustPanic(t, "must be at most 4, got 5", func() { log.TakeLimit(1, 1, 5) })
	mustPanic(t, "must be at most 4, got 5", func() { log.SetLimit(5) })
}

// TestPolicyOfShortWindow checks the quota of a second at the shortest window
// and at none.
func TestPolicyOfShortWindow(t *testing.T) {
	for d, want := range map[Decision]string{
		{Limit: 1, Window: 1}:                       ";q=1000000000;w=1",
		{Limit: 1, Window: 3}:                       ";q=333333334;w=1",
		{Limit: 7, Window: 0}:                       ";q=7",
		{Limit: 7, Window: -1}:                      ";q=7",
		{Limit: 7, Window: time.Second}:             ";q=7;w=1",
		{Limit: 7, Window: time.Second + 1}:         ";q=13;w=2",
		{Limit: math.MaxInt32, Window: 1}:           ";q=999999999999999;w=1",
		{Limit: 1, Window: 999_999_999}:             ";q=1;w=1",
		{Limit: 3, Window: 1500 * time.Millisecond}: ";q=4;w=2",
	} {
		check(t, d.policy(), want, "policy of %d in %v", d.Limit, d.Window)
	}
}

// TestGradient2Steps checks the steps of Gradient2 one by one: dropped
// operations shrink the limit as a gradient of one half does, in proportion,
// and a measurement is made every Probe windows.
func TestGradient2Steps(t *testing.T) {
	sample := func(limit float64, calls, dropped int, rtt time.Duration) Sample {
		return Sample{Limit: limit, InFlight: int(limit), Calls: calls, Dropped: dropped, RTT: rtt}
	}
	for _, tt := range []struct {
		calls, dropped int
		want           float64
	}{{5, 5, 100 * (1 - 0.2*0.25)}, {1, 1, 95}, {0, 10, 90}, {30, 10, 97.5}, {0, 0, 100}} {
		g := &Gradient2{Probe: -1}
		if got := g.Update(sample(100, tt.calls, tt.dropped, time.Millisecond)); math.Abs(got-tt.want) > 1e-9 {
			t.Errorf("limit after %d and %d dropped = %v, want %v", tt.calls, tt.dropped, got, tt.want)
		}
	}

	// The default is 30.
	dips := func(g *Gradient2) (at []int) {
		limit := 100.0
		for i := range 100 {
			next := g.Update(sample(limit, 50, 0, time.Millisecond))
			if next < 0.9*limit {
				at = append(at, i)
			}
			limit = next
		}
		return at
	}
	if got, want := dips(&Gradient2{}), dips(&Gradient2{Probe: 30}); !slices.Equal(got, want) || len(got) < 3 {
		t.Errorf("dips at %v by default, want %v, as with 30", got, want)
	}
	if got, other := dips(&Gradient2{Probe: 30}), dips(&Gradient2{Probe: 31}); slices.Equal(got, other) {
		t.Errorf("dips at %v with 30 and with 31", got)
	}
}

// TestGradient2Bounds checks the bounds of the settings of Gradient2.
func TestGradient2Bounds(t *testing.T) {
	for g, want := range map[Gradient2]bool{
		{}:                 true,
		{Tolerance: 1}:     false,
		{Tolerance: 1.001}: true,
		{Tolerance: 1.5}:   true,
		{Tolerance: 100}:   true,
		{Tolerance: 100.1}: false,
		{Tolerance: -2}:    false,
		{Smoothing: 1}:     true,
		{Smoothing: 1.01}:  false,
		{Smoothing: -0.01}: false,
	} {
		err := g.Validate()
		check(t, err == nil, want, "Tolerance %v, Smoothing %v are valid", g.Tolerance, g.Smoothing)
	}
}

// TestGradient2LearnCases checks what a measurement does to the baseline: one
// that is much lower, or as long as operations took before, counts as much as
// the baseline; one within two standard errors a quarter; others nothing.
func TestGradient2LearnCases(t *testing.T) {
	for _, tt := range []struct{ baseline, before, rtt, stdErr, want float64 }{
		{0, 10, 7, 1, 7},
		{100, 1000, 97.9, 1, 98.95},
		{100, 1000, 98, 1, 99.5},
		{100, 1000, 101.9, 1, 100.475},
		{100, 1000, 102, 1, 100},
		{100, 1000, 750, 1, 425}, // the knee, at (1 + 0.5)/2 of 1000
		{100, 1000, 749, 1, 100},
	} {
		g := Gradient2{baseline: tt.baseline, before: tt.before, depth: 0.5, since: 3, shrunk: 4}
		g.learn(tt.rtt, tt.stdErr)
		if math.Abs(g.baseline-tt.want) > 1e-9 {
			t.Errorf("baseline %v after %v (before %v, error %v) = %v, want %v", tt.baseline, tt.rtt, tt.before, tt.stdErr, g.baseline, tt.want)
		}
		check(t, g.since, 0, "since")
		check(t, g.shrunk, 0, "shrunk")
	}
}

// TestKeyedEverySlot checks keys in all slots of a table against Limiters:
// takes, reservations and their cancel at its very time, peeks by a clock that
// went back after others were forgotten, and the limits of keys one by one.
func TestKeyedEverySlot(t *testing.T) {
	var clock fakeClock
	l := Limit{PerSecond(1), 3}
	k := NewKeyed[int]([]Limit{l, {PerSecond(100), 100}}, &KeyedOptions{MaxKeys: 1024, Now: clock.now})
	const keys = 200
	lims := make([]*Limiter, keys)
	for key := range lims {
		lims[key] = New(l.Rate, l.Burst, &Options{Now: clock.now})
	}
	same := func(key int) {
		t.Helper()
		got, want := k.Peek(key, 2), lims[key].Peek(2)
		check(t, got.OK, want.OK, "OK of Peek of key %d", key)
		check(t, got.RetryAfter, want.RetryAfter, "RetryAfter of key %d", key)
		tiers := k.Tiers(key)
		check(t, len(tiers), 2, "tiers of key %d", key)
		check(t, tiers[0].OK, true, "OK of a tier of key %d", key)
		check(t, tiers[0].Remaining, want.Remaining, "Remaining of key %d", key)
		check(t, tiers[1].Tier, 1, "Tier of key %d", key)
	}

	for key := range keys {
		check(t, k.Take(key, 2).OK, true, "OK of key %d", key)
		lims[key].Take(2)
		same(key)
		r, want := k.Reserve(key, 3), lims[key].Reserve(3)
		check(t, r.Delay(), want.Delay(), "Delay of key %d", key)
		check(t, r.Delay(), 2*time.Second, "Delay of key %d", key)
		r.Cancel()
		want.Cancel()
		same(key)
	}
	check(t, k.Len(), keys, "keys")

	// At its very time a reservation can be canceled, and not later.
	for late := range 2 {
		r, want := k.Reserve(late, 3), lims[late].Reserve(3)
		clock.sleep(r.Delay() + time.Duration(late))
		r.Cancel()
		want.Cancel()
		got := k.Tiers(late)[0]
		check(t, got.Remaining, 3*(1-late), "Remaining after a cancel %d ns late", late)
		check(t, got.Remaining, lims[late].Peek(0).Remaining, "Remaining after a cancel %d ns late", late)
	}

	// Others come and are forgotten later; then the clock goes back.
	for key := range keys {
		k.Take(key, 1)
		lims[key].Take(1)
	}
	at := clock.t
	clock.sleep(900 * time.Millisecond)
	for range 10 {
		for i := range 2000 {
			k.Take(1000+i, 1)
		}
		clock.sleep(10 * time.Millisecond)
	}
	clock.t = at
	for key := range keys {
		s, h := k.table.lock(key)
		held := s.find(key, h) >= 0
		s.mu.Unlock()
		if held {
			same(key)
			check(t, k.TakeUpTo(key, 9), lims[key].TakeUpTo(9), "TakeUpTo of key %d", key)
			same(key)
		}
	}
}

// TestKeyedFull checks that a full table which denies new keys serves those
// that it holds, in whatever slot, and that requests which take nothing hold no
// key.
func TestKeyedFull(t *testing.T) {
	var clock fakeClock
	k := NewKeyed[int]([]Limit{{PerSecond(1), 5}}, &KeyedOptions{MaxKeys: 16, DenyNew: true, Now: clock.now})
	k.Return(1, 3)
	k.Charge(1, 0)
	check(t, k.TakeUpTo(1, 0), 0, "TakeUpTo of nothing")
	check(t, k.Len(), 0, "keys after requests that take nothing")

	held := []int{}
	for key := range 100 {
		if k.Allow(key) {
			held = append(held, key)
		}
	}
	check(t, k.Len(), len(held), "keys")
	for _, key := range held {
		d := k.Peek(key, 2)
		check(t, d.OK, true, "OK of Peek of key %d", key)
		check(t, d.Remaining, 2, "Remaining of key %d", key)
	}
	for key, d := range k.All() {
		check(t, d.OK, true, "OK of key %d", key)
		check(t, d.Remaining, 4, "Remaining of key %d", key)
	}
	check(t, k.TakeUpTo(1000, 3), 0, "TakeUpTo without room")
	check(t, k.Peek(1000, 0).OK, true, "OK of nothing without room")
	check(t, k.Peek(1000, 1).OK, false, "OK of Peek without room")
}

// TestKeyedDelayOfOneTier checks that a tier which has the tokens delays
// nothing.
func TestKeyedDelayOfOneTier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := NewKeyed[int]([]Limit{{PerHour(100), 100}, {PerSecond(1), 1}, {Rate: Inf}}, nil)
		k.Allow(1)
		checkErr(t, k.WaitMax(t.Context(), 1, 1, time.Second-1), ErrLimited, "WaitMax of too little")
		start := time.Now()
		checkErr(t, k.WaitMax(t.Context(), 1, 1, time.Second), nil, "WaitMax of enough")
		check(t, time.Since(start), time.Second, "time of WaitMax")
		k.Drain(1)
		err := k.WaitMax(t.Context(), 1, 1, time.Second)
		if e, ok := errors.AsType[*WaitError](err); !ok || e.Delay != 36*time.Second {
			t.Errorf("WaitMax of the slow tier = %#v, want a delay of 36s", err)
		}
	})
}

// TestKeyedFastPlan checks a key whose own limit refills so fast that its
// supply ends within days, in a table of slow ones.
func TestKeyedFastPlan(t *testing.T) {
	var clock fakeClock
	k := NewKeyed[int]([]Limit{{PerDay(1), 1}}, &KeyedOptions{Now: clock.now})
	fast := Limit{perSecond(1e12), 10_000}
	lim := New(fast.Rate, fast.Burst, &Options{Now: clock.now})
	for range 40 {
		for _, n := range []int{10_000, 1, 500} {
			check(t, k.TakeLimits(1, n, fast), lim.Take(n), "TakeLimits(%d) after %v", n, time.Duration(clock.t))
		}
		clock.sleep(5 * 24 * time.Hour)
	}
	check(t, k.Take(2, 1).OK, true, "OK of a slow key")
	check(t, k.Take(2, 1).RetryAfter, 24*time.Hour, "RetryAfter of a slow key")
}

// TestCountersOfNothing checks that requests for nothing and Peek count as
// neither allowed nor denied, and what counts as what.
func TestCountersOfNothing(t *testing.T) {
	w := NewSlidingLog(2, time.Hour, nil)
	for _, n := range []int{0, 1, 0, 1, 1, 0} {
		w.Peek(n)
		w.Take(n)
	}
	check(t, w.Stats(), WindowStats{Limit: 2, Allowed: 2, Denied: 1}, "Stats of a Window")
	k := NewKeyedSlidingLog[int](2, time.Hour, nil)
	for _, n := range []int{0, 1, 0, 1, 1, 0} {
		k.Peek(1, n)
		k.Take(1, n)
	}
	check(t, k.Stats(), KeyedStats{Keys: 1, Allowed: 2, Denied: 1}, "Stats of a KeyedWindow")

	fault := 9
	bad := &badStore{Store: NewMemStore(nil), fault: func() int { return fault }, between: func() {}}
	s := NewShared(bad, []Limit{{PerHour(1), 2}}, nil)
	for _, n := range []int{0, 1, 0, 1, 1, 0} {
		_, err := s.Peek(t.Context(), "key", n)
		checkErr(t, err, nil, "Peek(%d)", n)
		_, err = s.Take(t.Context(), "key", n)
		checkErr(t, err, nil, "Take(%d)", n)
	}
	fault = 0
	for range 4 {
		_, err := s.Allow(t.Context(), "key")
		checkErr(t, err, errLost, "Allow of a store that fails")
	}
	check(t, s.Stats(), SharedStats{Allowed: 2, Denied: 1, Failed: 4}, "Stats of a Shared")
}

// TestPlanOfForgotten checks that a new key in the slot of one that had limits
// of its own does not have those.
func TestPlanOfForgotten(t *testing.T) {
	var clock fakeClock
	k := NewKeyed[int]([]Limit{{PerHour(1), 3}}, &KeyedOptions{MaxKeys: 16, Now: clock.now})
	for round := range 20 {
		for key := range 16 {
			k.TakeLimits(100*round+key, 1, Limit{PerSecond(1), 7})
		}
		for key := range 16 {
			if round%2 == 0 {
				k.Delete(100*round + key)
			}
		}
		clock.sleep(time.Minute) // else they are full, and free
		for key := range 16 {
			d := k.Take(-100*round-key-1, 1)
			check(t, d.Limit, 3, "Limit of a new key")
			check(t, d.Remaining, 2, "Remaining of a new key")
			k.Delete(-100*round - key - 1)
		}
	}
}

// TestFrozenBucket checks that calls which meet a bucket that SetLimit is about
// to replace wait for the next one.
func TestFrozenBucket(t *testing.T) {
	for name, f := range map[string]func(*Limiter) int{
		"TakeUpTo": func(l *Limiter) int { return l.TakeUpTo(3) },
		"Charge":   func(l *Limiter) int { l.Charge(3); return 3 },
		"AllowN":   func(l *Limiter) int { return 3 * b2i(l.AllowN(3)) },
		"Take":     func(l *Limiter) int { return 3 * b2i(l.Take(3).OK) },
	} {
		asked := make(chan struct{}, 10)
		var clock fakeClock
		lim := New(PerHour(1), 10, &Options{Now: func() time.Time {
			asked <- struct{}{}
			return clock.now()
		}})
		<-asked
		lim.mu.Lock()
		b := lim.bucket.Load()
		spent := b.spent.Swap(frozen)
		got := make(chan int)
		go func() { got <- f(lim) }() // ends when the bucket is back
		<-asked
		for range 1000 {
			runtime.Gosched()
		}
		select {
		case n := <-got:
			t.Errorf("%s: %d from a frozen bucket, want none before the next", name, n)
			lim.mu.Unlock()
			continue
		default:
		}

		b.spent.Store(spent)
		lim.mu.Unlock()
		check(t, <-got, 3, "%s: tokens", name)
		check(t, lim.Peek(0).Remaining, 7, "%s: Remaining", name)
	}
}

// TestSharedTTLOfFull checks that a state that is full again is kept for the
// clocks that are behind, and not forever.
func TestSharedTTLOfFull(t *testing.T) {
	store := &ttlStore{Store: NewMemStore(nil)}
	s := NewShared(store, []Limit{{PerHour(1), 2}, {Rate: Inf}}, nil)
	_, err := s.Take(t.Context(), "key", 1)
	checkErr(t, err, nil, "Take")
	checkErr(t, s.Return(t.Context(), "key", 1), nil, "Return")
	check(t, store.ttl, ttlSlack, "ttl")
}

// TestSampleOfOne checks that the duration of one permit among drops counts,
// and that of equal ones has no error.
func TestSampleOfOne(t *testing.T) {
	for calls := range minSamples {
		var clock fakeClock
		var got Sample
		c := NewConcurrency(10, &ConcurrencyOptions{Window: 1, Adapt: algorithm(func(s Sample) float64 {
			got = s
			return s.Limit
		}), Now: clock.now})
		for i := range minSamples {
			p, _ := c.TryAcquire()
			clock.sleep(time.Millisecond)
			if i < calls {
				p.Release()
			} else {
				p.Drop()
			}
		}
		check(t, got.Calls, calls, "Calls")
		check(t, got.Dropped, minSamples-calls, "Dropped")
		check(t, got.RTT, time.Millisecond*time.Duration(min(calls, 1)), "RTT of %d calls", calls)
		check(t, got.StdErr, 0, "StdErr of %d calls", calls)
	}
}

// TestGradient2OneDrop checks windows of one operation, and of one drop.
func TestGradient2OneDrop(t *testing.T) {
	for _, tt := range []struct {
		calls, dropped, inFlight int
		baseline, rtt            float64
		want                     float64
		shrunk                   int
	}{
		{0, 1, 100, 0, 0, 90, 3},
		{1, 0, 100, 0, 0, 102, 0},
		{1, 0, 100, 1, 1, 102, 0},
		{1, 0, 100, 1, 100, 90, 4}, // a gradient of one half
		{0, 1, 1, 1, 0, 90, 3},     // a drop counts in a limit that is not used
		{1, 0, 1, 0, 50, 100, 0},   // nothing is known, and nothing shrinks
	} {
		g := Gradient2{Probe: -1, baseline: tt.baseline, shrunk: 3}

		got := g.follow(Sample{Limit: 100, InFlight: tt.inFlight, Calls: tt.calls, Dropped: tt.dropped, RTT: time.Duration(tt.rtt)})
		if math.Abs(got-tt.want) > 1e-9 {
			t.Errorf("%+v: limit = %v, want %v", tt, got, tt.want)
		}
		check(t, g.shrunk, tt.shrunk, "%+v: shrunk", tt)
	}

	// The first measures, and later ones are averaged.
	g := Gradient2{Probe: -1}
	g.follow(Sample{Limit: 100, InFlight: 1, Calls: 1, RTT: 50})
	check(t, g.baseline, 50, "the baseline of a first window")
	g.follow(Sample{Limit: 100, InFlight: 1, Calls: 1, RTT: 100})
	check(t, g.baseline, 60, "the baseline of a second window")
	check(t, g.since, 0, "windows since a dip, as which both count")
}

// TestUnits pins the units of states that stores hold: another unit would be
// another format.
func TestUnits(t *testing.T) {
	for l, want := range map[Limit]int64{
		{PerSecond(1), 2}:                     1e9,
		{PerSecond(3), 2}:                     333_333_333,
		{perSecond(1e9), 1}:                   1,
		{perSecond(1e12), 5}:                  1,
		{Rate{}, 3}:                           1,
		{PerDay(1), 0}:                        86400e9,
		{Every(50 * 365 * 24 * time.Hour), 1}: 50 * 365 * 86400e9,
		{Every(time.Hour), mostBurst}:         min(3600e9, maxCapacity/mostBurst),
	} {
		m := newMeter(l)
		check(t, m.unit, want, "unit of %v", l)
		check(t, m.capacity, want*int64(l.Burst), "capacity of %v", l)
	}
}

// TestVictim checks that the key that owes least goes, in whatever slot, and
// that one that owes a single unit is no free slot.
func TestVictim(t *testing.T) {
	p := newPlan([]Limit{{Every(10), 100}, {Every(20), 100}})
	for slot := range 2 * ways {
		words := make([]int64, 2*2*ways)
		for i := range words {
			words[i] = 1000 + int64(i)
		}
		words[2*slot], words[2*slot+1] = 500, 501
		i, least := p.victim(words, 2, 500, 0, ways)
		check(t, i, slot, "victim")
		check(t, least, 1, "what it owes")
		words[2*slot+1] = 500
		i, least = p.victim(words, 2, 500, 0, ways)
		check(t, i, slot, "victim that owes nothing")
		check(t, least, 0, "what it owes")
	}
}

// TestReserveFar checks that reservations may reach as far ahead at late
// readings, and at early ones no further.
func TestReserveFar(t *testing.T) {
	if math.MaxInt == math.MaxInt32 {
		t.Skip("a burst is below 2^31")
	}
	for _, at := range []int64{0, maxSupply - 1, -maxSupply + 1} {
		var clock fakeClock
		lim := New(Every(1), mostBurst, &Options{Now: clock.now})
		clock.t = at
		reserved := 0
		for lim.Reserve(mostBurst).OK() {
			reserved++
		}
		check(t, reserved, 2, "reservations of 2^61 ns at %d", at)

		// One that is not made leaves the others their places.
		before := lim.Peek(0)
		check(t, lim.Reserve(mostBurst).OK(), false, "OK of one too many")
		check(t, lim.Peek(0), before, "Peek after it")
	}
}

// TestDelayFar checks the delay of a waiter at late and early readings.
func TestDelayFar(t *testing.T) {
	for _, at := range []int64{0, maxSupply - 1, -maxSupply + 1} {
		var clock fakeClock
		lim := New(Every(1), mostBurst, &Options{Now: clock.now})
		clock.t = at
		lim.AllowN(mostBurst)
		lim.mu.Lock()
		b, d := lim.currentLocked(lim.clock.read())
		got := lim.delayLocked(b, d, 7)
		lim.mu.Unlock()
		check(t, got, 7, "delay at %d", at)
	}
}

// TestKeyedReplayOfOldLog checks that a table that holds nothing begins at the
// first time of a log, however old that is.
func TestKeyedReplayOfOldLog(t *testing.T) {
	const year = int64(365 * 24 * time.Hour)
	clock := fakeClock{70 * year}
	k := NewKeyed[int]([]Limit{{PerHour(1), 1}}, &KeyedOptions{Now: clock.now})
	for hour := range int64(5) {
		at := time.Unix(0, -70*year+hour*int64(time.Hour))
		check(t, k.AllowAt(1, at, 1), true, "Allow of hour %d", hour)
		check(t, k.AllowAt(1, at, 1), false, "Allow of hour %d, again", hour)
	}
}

// TestSharedWaitErrors checks that a wait ends with the error of its store.
func TestSharedWaitErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad := &badStore{Store: NewMemStore(nil), fault: func() int { return 0 }, between: func() {}}
		s := NewShared(bad, []Limit{{PerHour(1), 1}}, nil)
		start := time.Now()
		checkErr(t, s.Wait(t.Context(), "key", 1), errLost, "Wait")
		check(t, time.Since(start), 0, "time of Wait")
	})
}

// TestKeyedPlanOfHeld checks that the limits which TakeLimits gives a key that
// is held stay with it, and that a deleted key is told of no more.
func TestKeyedPlanOfHeld(t *testing.T) {
	var clock fakeClock
	k := NewKeyed[int]([]Limit{{PerHour(1), 3}}, &KeyedOptions{Now: clock.now})
	k.Take(1, 2)
	check(t, k.TakeLimits(1, 1, Limit{PerHour(1), 7}).Remaining, 4, "Remaining by the key's own limit")
	check(t, k.Peek(1, 0).Limit, 7, "Limit of Peek")
	check(t, k.Peek(1, 0).Remaining, 4, "Remaining of Peek")
	k.Delete(1)
	for key, d := range k.All() {
		t.Errorf("All tells of %d, %+v, want nothing", key, d)
	}
	mustPanic(t, "must not be negative, got -1", func() { All().Return(-1) })
}

// TestWaitOfEnded checks that a context that has ended takes nothing, although
// the tokens are there.
func TestWaitOfEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	lim, k := New(PerHour(1), 2, nil), NewKeyed[int]([]Limit{{PerHour(1), 2}}, nil)
	checkErr(t, lim.Wait(ctx, 1), context.Canceled, "Wait of a Limiter")
	checkErr(t, k.Wait(ctx, 1, 1), context.Canceled, "Wait of a Keyed")
	check(t, lim.Peek(0).Remaining, 2, "Remaining of a Limiter")
	check(t, k.Peek(1, 0).Remaining, 2, "Remaining of a Keyed")
}

// TestMemStoreKeeps checks that a sweep forgets no key that is in use.
func TestMemStoreKeeps(t *testing.T) {
	var clock fakeClock
	store := NewMemStore(&Options{Now: clock.now})
	for i := range 3 * minSweep {
		_, err := store.CompareAndSwap(t.Context(), fmt.Sprint(i), nil, []byte("x"), 1+time.Duration(i%2)*time.Hour)
		checkErr(t, err, nil, "CompareAndSwap")
		clock.sleep(1)
	}
	for i := range 3 * minSweep {
		state, err := store.Load(t.Context(), fmt.Sprint(i))
		checkErr(t, err, nil, "Load")
		check(t, len(state), i%2, "bytes of key %d", i)
	}
}

// TestReadFromOnTop checks that a log which has counted events takes over as
// many as its limit leaves, and that the others, which need no place for each,
// take over all.
func TestReadFromOnTop(t *testing.T) {
	var clock fakeClock
	for name, tt := range map[string]struct {
		make func(n int) *Window
		left int
	}{
		"log":      {func(n int) *Window { return NewSlidingLog(n, time.Hour, &Options{Now: clock.now}) }, 20 - 5},
		"sliding":  {func(n int) *Window { return NewSlidingWindow(n, time.Hour, 6, &Options{Now: clock.now}) }, 20 - 9 - 2},
		"weighted": {func(n int) *Window { return NewSlidingWindow(n, time.Hour, Weighted, &Options{Now: clock.now}) }, 20 - 9 - 2},
		"quota":    {func(n int) *Window { return NewQuota(n, Daily(nil), &Options{Now: clock.now}) }, 20 - 9 - 2},
	} {
		var b bytes.Buffer
		from, to := tt.make(9), tt.make(5)
		from.AllowN(9)
		to.AllowN(2)
		_, err := from.WriteTo(&b)
		checkErr(t, err, nil, "%s: WriteTo", name)
		_, err = to.ReadFrom(&b)
		checkErr(t, err, nil, "%s: ReadFrom", name)
		to.SetLimit(20)
		check(t, to.Peek(0).Remaining, tt.left, "%s: Remaining of 20", name)
	}
}

// TestWaitAfterJump checks that a caller who joins a line after a jump of the
// clock, before the timer of those ahead, gets tokens as of then: it leaves a
// bucket that is not full.
func TestWaitAfterJump(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := struct{ atomic.Int64 }{}
		now := func() time.Time { return time.Unix(0, clock.Load()) }
		lim := New(PerSecond(1), 5, &Options{Now: now})
		k := NewKeyed[int]([]Limit{{PerSecond(1), 5}}, &KeyedOptions{Now: now})
		for name, tt := range map[string]struct {
			take func(int) Decision
			wait func(int) error
		}{
			"Limiter": {lim.Take, func(n int) error { return lim.Wait(t.Context(), n) }},
			"Keyed":   {func(n int) Decision { return k.Take(1, n) }, func(n int) error { return k.Wait(t.Context(), 1, n) }},
		} {
			clock.Store(0)
			tt.take(5)
			go func() { checkErr(t, tt.wait(5), nil, "%s: Wait of the first", name) }()
			synctest.Wait()
			clock.Store(int64(time.Hour))
			checkErr(t, tt.wait(2), nil, "%s: Wait", name)
			check(t, tt.take(0).Remaining, 3, "%s: Remaining", name)
			synctest.Wait()
		}
	})
}

// TestKeyedNoBarging checks that tokens which are there before a timer fires go
// to those who wait, and not to one who comes then.
func TestKeyedNoBarging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := struct{ atomic.Int64 }{}
		k := NewKeyed[int]([]Limit{{Every(time.Millisecond), 1}}, &KeyedOptions{
			Now: func() time.Time { return time.Unix(0, clock.Load()) },
		})
		k.Allow(1)
		var at [3]int64
		wait := func(i int) {
			go func() {
				checkErr(t, k.Wait(t.Context(), 1, 1), nil, "Wait %d", i)
				at[i] = clock.Load()
			}()
			synctest.Wait()
		}
		wait(0)
		wait(1)
		clock.Store(2_500_000)
		wait(2)
		clock.Store(3_000_000)
		time.Sleep(time.Second)
		synctest.Wait()
		check(t, at, [3]int64{2_500_000, 2_500_000, 3_000_000}, "times of the waits")
	})
}

// TestDelayOfLargestDebt checks that a wait behind the largest debt is told as
// without end.
func TestDelayOfLargestDebt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lim, k := New(PerSecond(1), 1, nil), NewKeyed[int]([]Limit{{PerSecond(1), 1}}, nil)
		lim.Charge(math.MaxInt)
		for range 3 { // on 32 bits the largest is that of 2^31 tokens
			k.Charge(1, math.MaxInt)
			lim.Charge(math.MaxInt)
		}
		for name, err := range map[string]error{
			"Limiter": lim.WaitMax(t.Context(), 1, time.Hour),
			"Keyed":   k.WaitMax(t.Context(), 1, 1, time.Hour),
		} {
			var e *WaitError
			if !errors.As(err, &e) || e.Delay != math.MaxInt64 {
				t.Errorf("%s: err = %v, want one of a wait without end", name, err)
			}
		}
	})
}

// TestKeyedPeekAfterForgotten checks that Peek and Tiers tell what Take would
// do for every key, also at a reading from before another was forgotten.
func TestKeyedPeekAfterForgotten(t *testing.T) {
	clock := fakeClock{int64(time.Hour)}
	k := NewKeyed[int]([]Limit{{PerMinute(1), 10}}, &KeyedOptions{MaxKeys: 16, Now: clock.now})
	for key := range 200 {
		k.AllowN(key, 9)
	}
	clock.sleep(-5 * time.Minute)
	for key := range 200 {
		peek, tiers := k.Peek(key, 1), k.Tiers(key)
		take := k.Take(key, 1)
		check(t, peek, take, "Peek of key %d", key)
		if want := take.Remaining + 1; take.OK && tiers[0].Remaining != want {
			t.Errorf("%d left of key %d, want %d", tiers[0].Remaining, key, want)
		}
		k.Return(key, 1)
	}
}

// TestForgottenThenBack checks that a window or a promise of a key which was
// forgotten is not made again by readings from before.
func TestForgottenThenBack(t *testing.T) {
	for _, start := range []time.Duration{0, century / 2} {
		var clock fakeClock
		opts := &KeyedOptions{MaxKeys: 1024, Now: clock.now}
		w := NewKeyedSlidingLog[int](1, time.Second, opts)
		k := NewKeyed[int]([]Limit{{PerSecond(1), 1}}, opts)
		admitted, promised := 0, 0
		for i := range 512 {
			clock.t = int64(start + 10*time.Second)
			if w.Allow(-1) {
				admitted++
			}
			if r := k.Reserve(-1, 1); r.Delay() == 0 {
				promised++
			} else {
				r.Cancel()
			}
			clock.t = int64(start + 20*time.Second)
			w.Allow(i)
			k.Charge(i, 100) // the table grows, without full buckets
		}
		if admitted > 2 || promised > 2 { // one at 10 s, one at 20 s
			t.Errorf("%d admitted and %d promised at once after %v, want at most 2", admitted, promised, start)
		}
	}
}

// TestAdoptNothing checks that a state which needs no entry needs none under
// another limit.
func TestAdoptNothing(t *testing.T) {
	check(t, Limit{PerSecond(1), 1}.Adopt(State{}, Limit{PerHour(1), 1}, 5), State{}, "Adopt of a full bucket")
}

// TestRetryAtOnce checks that a refusal which ends at once is told to a client.
func TestRetryAtOnce(t *testing.T) {
	got := maps.Collect(Decision{Limit: 1}.Headers("p"))
	check(t, got["Retry-After"], "0", "Retry-After")
}

// TestRefillsOfNothing checks that a look for tokens that are not there is no
// refill of a stripe.
func TestRefillsOfNothing(t *testing.T) {
	s := NewStriped(Rate{}, 1600, nil)
	for s.Allow() {
	}
	before := s.Stats().Refills
	s.Allow()
	check(t, s.Stats().Refills, before, "Refills")
}

// TestEventLogOrder checks that an event which comes after one that was held
// from the time ahead stops counting no sooner than that: the order of a log is
// what its search relies on.
func TestEventLogOrder(t *testing.T) {
	l := newEventLog(time.Hour)
	hour := int64(time.Hour)
	l.expire(0)
	l.hold(3*hour, 1) // an event of two hours from now
	l.add(0, 2)

	for _, tt := range []struct{ at, want int64 }{{0, 3}, {hour, 3}, {3*hour - 1, 3}, {3 * hour, 0}} {
		check(t, l.count(tt.at), tt.want, "events that count at %v", time.Duration(tt.at))
	}
	for n := range int64(3) {
		check(t, l.free(0, n+1), 3*hour, "the reading at which %d have stopped counting", n+1)
	}
}

// TestFillWhenDue checks that Fill keeps a reservation that is still ahead, and
// forgets one whose time has come.
func TestFillWhenDue(t *testing.T) {
	for ahead, want := range map[time.Duration]bool{1: false, 0: true} {
		var clock fakeClock
		l := New(PerSecond(1), 1, &Options{Now: clock.now})
		check(t, l.Allow(), true, "Allow")
		check(t, l.Reserve(1).OK(), true, "Reserve")
		clock.sleep(time.Second - ahead)
		l.Fill()
		check(t, l.Allow(), want, "Allow after Fill, %v before the reservation", ahead)
	}
}

// TestWaitMaxOfOne checks that the shortest time to spare is not none.
func TestWaitMaxOfOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(PerSecond(1e9), 1, nil)
		check(t, l.Allow(), true, "Allow")
		checkErr(t, l.WaitMax(t.Context(), 1, 1), nil, "WaitMax of 1 ns")
		checkErr(t, l.WaitMax(t.Context(), 1, 0), ErrLimited, "WaitMax of 0")
	})
}

// TestSharedWaitRefusedByPolicy checks that a refusal of OnError, which says
// nothing of the tokens, makes a caller that waits ask again.
func TestSharedWaitRefusedByPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		faults := []int{0, 0, 0} // the store fails three times
		bad := &badStore{Store: NewMemStore(nil), between: func() {}, fault: func() int {
			if len(faults) == 0 {
				return 9
			}
			faults = faults[1:]
			return 0
		}}
		s := NewShared(bad, []Limit{{PerHour(1), 1}}, &SharedOptions{
			OnError: func(string, int, error) Decision { return Decision{} },
		})
		checkErr(t, s.Wait(t.Context(), "key", 1), nil, "Wait")
		check(t, s.Stats().Failed, 3, "Failed")
	})
}

// TestSharedStuckInARow checks that only refusals in a row that replace the
// same bytes make a store one that is stuck.
func TestSharedStuckInARow(t *testing.T) {
	for refusals, want := range map[int]error{maxStuck: nil, maxStuck + 1: errStuck} {
		synctest.Test(t, func(t *testing.T) {
			limits := []Limit{{PerHour(1), 100}}
			store := NewMemStore(nil)
			other := NewShared(store, limits, nil)
			swaps := 0
			s := NewShared(swapStore{store, func() bool {
				// Another process writes before the second row of refusals.
				if swaps++; swaps == 5 {
					_, _ = other.Allow(t.Context(), "key")
				}
				return swaps > 5+refusals-1
			}}, limits, &SharedOptions{Timeout: -1})
			_, err := s.Allow(t.Context(), "key")
			checkErr(t, err, want, "Allow after %d refusals in a row", refusals)
		})
	}
}

// TestSpansCarryEmpty checks that an interval which is less than a unit of the
// new limit is gone, and not an empty one.
func TestSpansCarryEmpty(t *testing.T) {
	l := New(PerHour(1), 1000, nil)
	b := l.bucket.Load()
	l.SetLimit(PerSecond(1e9), 1000)
	check(t, len(spans{{5, 6}}.carry(b)), 0, "intervals")
}

// TestSharedBadCount checks that a negative count panics, whatever the context.
func TestSharedBadCount(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := NewShared(NewMemStore(nil), []Limit{{PerHour(1), 1}}, nil)
	mustPanic(t, "must not be negative, got -1", func() { _, _ = s.Take(ctx, "key", -1) })
	mustPanic(t, "must not be negative, got -1", func() { _, _ = s.Peek(ctx, "key", -1) })
	mustPanic(t, "must not be negative, got -1", func() { _ = s.Return(ctx, "key", -1) })
	mustPanic(t, "must not be negative, got -1", func() { _ = s.Wait(ctx, "key", -1) })
}

// TestTableShards checks how many shards a table has: at most 256, each of 1024
// keys or more unless it is the only one.
func TestTableShards(t *testing.T) {
	for maxKeys, want := range map[int]int{16: 1, 2047: 1, 2048: 2, 1 << 18: 256, 1 << 20: 256} {
		table := newTable[int](KeyedOptions{MaxKeys: maxKeys}, nil, 1, 1)
		check(t, len(table.shards), want, "shards of %d keys", maxKeys)
	}
}

// TestKeyedGrowAfterDelete checks that a table which grows takes over the keys
// that are there, and nothing of those that were deleted.
func TestKeyedGrowAfterDelete(t *testing.T) {
	var clock fakeClock
	k := NewKeyed[int]([]Limit{{PerHour(1), 100}}, &KeyedOptions{MaxKeys: 2000, Now: clock.now})
	for key := 1; key <= 300; key++ {
		k.Take(key, 50)
	}
	for key := 2; key <= 300; key += 2 {
		k.Delete(key)
	}
	for key := 301; key <= 1000; key++ {
		k.Take(key, 50)
	}
	check(t, k.Len(), 850, "Len")
	for key := range 1001 {
		want := 50
		if key == 0 || key <= 300 && key%2 == 0 {
			want = 100
		}
		check(t, k.Peek(key, 0).Remaining, want, "Remaining of key %d", key)
	}
}

// TestVictimOfPlans checks that the key that owes least goes, in whatever slot,
// if keys have limits of their own.
func TestVictimOfPlans(t *testing.T) {
	var clock fakeClock
	k := NewKeyed[int]([]Limit{{PerHour(1), 100}}, &KeyedOptions{MaxKeys: 16, DenyNew: true, Now: clock.now})
	for key := 0; k.Len() < 16; key++ {
		k.TakeLimits(key, 50, Limit{PerHour(1), 100 + key%2})
	}
	s := &k.table.shards[0]
	for slot := range ways {
		k.Return(s.keys[slot], 1)
		i, _ := s.victim(0, k.read()-s.base)
		check(t, i, slot, "victim")
		k.Charge(s.keys[slot], 1)
	}
}

// TestKeyedWaitMaxOfNever checks that a wait for more than a bucket holds is
// refused as that, and not because of its length.
func TestKeyedWaitMaxOfNever(t *testing.T) {
	k := NewKeyed[int]([]Limit{{PerSecond(1), 2}}, nil)
	checkErr(t, k.WaitMax(t.Context(), 1, 3, time.Second), ErrBurst, "WaitMax")
}

// TestKeyedWaitAfterNever checks that those who wait for more than new limits
// ever give are refused, and that nobody waits for their tokens after that.
func TestKeyedWaitAfterNever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := NewKeyed[int]([]Limit{{PerSecond(1), 5}}, nil)
		k.Take(1, 5)
		for _, w := range []struct {
			n    int
			want error
		}{{5, ErrBurst}, {4, ErrBurst}, {1, nil}} {
			go func() { checkErr(t, k.Wait(t.Context(), 1, w.n), w.want, "Wait for %d", w.n) }() // ends after 3 s at the latest
			synctest.Wait()
		}

		// Two are owed, and one waits for the third.
		k.SetLimits(Limit{PerSecond(1), 3})
		checkErr(t, k.WaitMax(t.Context(), 1, 1, 4*time.Second-1), ErrLimited, "WaitMax of less than 4 s")
		checkErr(t, k.WaitMax(t.Context(), 1, 1, 4*time.Second), nil, "WaitMax of 4 s")
	})
}

// TestKeyedWaitForRoomOfTiers checks the time until a key goes of which one
// tier is full already, and the other is not.
func TestKeyedWaitForRoomOfTiers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := []Limit{{PerSecond(1000), 10}, {PerSecond(1), 10}}
		k := NewKeyed[int](limits, &KeyedOptions{MaxKeys: 16, DenyNew: true})
		for key := range 100 {
			k.Take(key, 5)
		}
		time.Sleep(time.Second) // the first tiers are full, the second in 4 s
		checkErr(t, k.WaitMax(t.Context(), -1, 1, 4*time.Second-1), ErrLimited, "WaitMax of less than 4 s")
		checkErr(t, k.WaitMax(t.Context(), -1, 1, 4*time.Second), nil, "WaitMax of 4 s")
	})
}

// TestParseLimitBounds checks the largest burst and the shortest period.
func TestParseLimitBounds(t *testing.T) {
	l, err := ParseLimit("1/1ns")
	checkErr(t, err, nil, "ParseLimit of a period of 1 ns")
	check(t, l, Limit{Rate: Per(1, 1)}, "Limit")
	if math.MaxInt == math.MaxInt32 {
		return // a burst is below 2^31
	}
	l, err = ParseLimit(fmt.Sprintf("1/s burst %d", int64(maxBurst)))
	checkErr(t, err, nil, "ParseLimit of the largest burst")
	check(t, int64(l.Burst), maxBurst, "Burst")
}

// TestSamplerForgets checks that nothing of a window is in the next: two that
// took equally long have no error.
func TestSamplerForgets(t *testing.T) {
	var p sampler
	for range 2 {
		p.add(0, 5, 1, false)
		s := p.next(0, 1)
		check(t, s.RTT, 5, "RTT")
		check(t, s.StdErr, 0, "StdErr")
		check(t, s.Calls, 1, "Calls")
		p.resume()
	}

	// Of 5 and 15, the error of the mean is 5 divided by the root of 2.
	p.add(0, 5, 1, false)
	p.add(0, 15, 1, false)
	check(t, p.next(0, 1).StdErr, 3, "StdErr of two")
}

// TestSpansPrune checks that an interval ends before the supply that is its
// end.
func TestSpansPrune(t *testing.T) {
	for v, want := range map[int64]int{4: 2, 5: 1, 6: 1, 9: 0, 10: 0} {
		check(t, len(spans{{0, 5}, {7, 9}}.prune(v)), want, "intervals above %d", v)
	}
}

// TestStripeBound checks that a stripe never holds more than a batch, whatever
// is put back.
func TestStripeBound(t *testing.T) {
	var p stripe
	p.tokens.Store(5)
	check(t, p.putLocked(2, 8), 2, "put")
	check(t, p.putLocked(10, 8), 1, "put into the rest")
	check(t, p.putLocked(10, 8), 0, "put into a full stripe")
	check(t, p.tokens.Load(), 8, "tokens")
}

// TestStripedWithoutBatch checks a limit that is too small for its stripes:
// they hold nothing, and the shared bucket has it all.
func TestStripedWithoutBatch(t *testing.T) {
	var clock fakeClock
	s := NewStriped(PerHour(1), 1000, &Options{Now: clock.now})
	s.stripes = make([]stripe, 64)
	s.shared.SetLimit(PerHour(1), s.split(1000))
	s.SetLimit(PerHour(1), 256)
	check(t, s.batch.Load(), 0, "batch")
	for i := range 256 {
		check(t, s.Allow(), true, "Allow %d", i)
		s.checkStash(t)
	}
	check(t, s.Allow(), false, "Allow beyond the burst")
}

// TestSnapshotOfAnother checks that bytes of something else are damage,
// whatever stands where a snapshot has its version, and although the checksum
// holds.
func TestSnapshotOfAnother(t *testing.T) {
	k := NewKeyed[int]([]Limit{{PerHour(1), 10}}, nil)
	var b bytes.Buffer
	_, err := k.WriteTo(&b)
	checkErr(t, err, nil, "WriteTo")
	data := b.Bytes()
	data[0] = 'x'
	for _, version := range []byte{snapshotVersion, snapshotVersion + 1} {
		data[8] = version
		binary.LittleEndian.PutUint32(data[12:], checksum(data))
		_, err := k.ReadFrom(bytes.NewReader(data))
		checkErr(t, err, ErrCorrupt, "ReadFrom of version %d", version)
	}
}

// TestReadFromUsualLimits checks that a key without limits of its own has none
// after a restart either: it follows SetLimits.
func TestReadFromUsualLimits(t *testing.T) {
	var clock fakeClock
	limits := []Limit{{PerHour(1), 10}}
	k := NewKeyed[string](limits, &KeyedOptions{Now: clock.now})
	k.AllowN("usual", 4)
	k.TakeLimits("own", 4, Limit{PerHour(1), 20})
	var b bytes.Buffer
	_, err := k.WriteTo(&b)
	checkErr(t, err, nil, "WriteTo")

	restored := NewKeyed[string](limits, &KeyedOptions{Now: clock.now})
	_, err = restored.ReadFrom(&b)
	checkErr(t, err, nil, "ReadFrom")
	restored.SetLimits(Limit{PerHour(1), 30})
	check(t, restored.Peek("usual", 0).Remaining, 26, "Remaining of a usual key")
	check(t, restored.Peek("own", 0).Remaining, 16, "Remaining of a key with limits of its own")
}

// TestTableSpread checks that keys spread over the shards and sets of a table:
// at three quarters of its bound almost none lacks room, as two sets of eight
// for each key let expect.
func TestTableSpread(t *testing.T) {
	const n = 1 << 14
	var clock fakeClock
	k := NewKeyed[int]([]Limit{{PerHour(1), 1}}, &KeyedOptions{MaxKeys: n, DenyNew: true, Now: clock.now})
	for key := range n * 3 / 4 {
		k.Allow(key)
	}
	if got, least := k.Len(), n*3/4*99/100; got < least {
		t.Errorf("%d of %d keys are held, want %d or more", got, n*3/4, least)
	}
}

// TestSnapshotLength checks that a snapshot which says that it is longer than
// any is refused by its header, before anything after it is read.
func TestSnapshotLength(t *testing.T) {
	k := NewKeyed[int]([]Limit{{PerHour(1), 10}}, nil)
	var b bytes.Buffer
	_, err := k.WriteTo(&b)
	checkErr(t, err, nil, "WriteTo")
	binary.LittleEndian.PutUint64(b.Bytes()[24:], maxSnapshot+1)
	n, err := k.ReadFrom(&b)
	checkErr(t, err, ErrCorrupt, "ReadFrom")
	check(t, n, snapshotHeader, "bytes read")
}

// TestKeyedReserveFar checks that a key is promised nothing for a time that is
// too far away to be told.
func TestKeyedReserveFar(t *testing.T) {
	var clock fakeClock
	const decade = 10 * 365 * 24 * time.Hour
	k := NewKeyed[int]([]Limit{{Every(decade), 1}}, &KeyedOptions{Now: clock.now})
	k.Allow(1)
	kept := 0
	for k.Reserve(1, 1).OK() {
		kept++
	}
	check(t, kept, 3, "promises, one in ten years, of the 36 that 2^60 ns are")
}
