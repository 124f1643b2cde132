// SPDX-License-Identifier: MIT

package ratelimit

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A single is a window of one.
type single interface {
	Gate
	AllowN(n int) bool
	AllowAt(t time.Time, n int) bool
}

// TestPropKeyedWindow checks that a KeyedWindow decides for each key exactly as
// a Window or Quota of its own, while the table grows and forgets events that
// no longer count.
func TestPropKeyedWindow(t *testing.T) { rapid.Check(t, propKeyedWindow) }

// FuzzPropKeyedWindow is TestPropKeyedWindow for the fuzzer.
func FuzzPropKeyedWindow(f *testing.F) { f.Fuzz(rapid.MakeFuzz(propKeyedWindow)) }

func propKeyedWindow(t *rapid.T) {
	var clock fakeClock
	clock.t = rapid.Int64Range(-1e15, 1e15).Draw(t, "start")
	n := rapid.IntRange(1, 9).Draw(t, "n")
	length := time.Duration(rapid.Int64Range(1, 60).Draw(t, "length"))
	slices := rapid.IntRange(1, int(length)).Draw(t, "slices")
	opts, keyedOpts := &Options{Now: clock.now}, &KeyedOptions{MaxKeys: 1024, Now: clock.now}
	var w *KeyedWindow[int]
	var model func() single
	most := int64(40) // of a step of the clock

	switch rapid.IntRange(0, 3).Draw(t, "kind") {
	case 0:
		w = NewKeyedSlidingLog[int](n, length, keyedOpts)
		model = func() single { return NewSlidingLog(n, length, opts) }
	case 1:
		w = NewKeyedSlidingWindow[int](n, length, slices, keyedOpts)
		model = func() single { return NewSlidingWindow(n, length, slices, opts) }
	case 2:
		w = NewKeyedSlidingWindow[int](n, length, Weighted, keyedOpts)
		model = func() single { return NewSlidingWindow(n, length, Weighted, opts) }
	default:
		most = int64(30 * time.Hour)
		w = NewKeyedQuota[int](n, Daily(time.FixedZone("", 5000)), keyedOpts)
		model = func() single { return NewQuota(n, Daily(time.FixedZone("", 5000)), opts) }
	}

	models := map[int]single{} // made now: slices are counted from when the table was

	for key := range 41 {
		models[key] = model()
	}
	clock.t -= rapid.Int64Range(0, 100*most).Draw(t, "before") // readings from before they were made
	key := func(t *rapid.T) int { return rapid.IntRange(0, 40).Draw(t, "key") }
	k := func(t *rapid.T) int { return rapid.IntRange(0, n+1).Draw(t, "k") }

	t.Repeat(map[string]func(*rapid.T){
		"pass": func(*rapid.T) { clock.t += rapid.Int64Range(0, most).Draw(t, "d") },
		"Take": func(t *rapid.T) {
			key, k := key(t), k(t)
			peek, got, want := w.Peek(key, k), w.Take(key, k), models[key].Take(k)
			check(t, peek, want, "Peek(%d, %d)", key, k)
			check(t, got, want, "Take(%d, %d)", key, k)
		},

		"AllowN": func(t *rapid.T) {
			key, k := key(t), k(t)
			if got, want := w.AllowN(key, k), models[key].AllowN(k); got != want {
				t.Fatalf("AllowN(%d, %d) = %v", key, k, got)
			}
		},

		"AllowAt": func(t *rapid.T) {
			key, k := key(t), k(t)
			if got, want := w.AllowAt(key, clock.now(), k), models[key].AllowAt(clock.now(), k); got != want {
				t.Fatalf("AllowAt(%d, %d) = %v", key, k, got)
			}
		},

		"flood": func(*rapid.T) { // others come, once
			for i := range 64 {
				w.Allow(1000 + i)
			}
		},

		"Return": func(t *rapid.T) {
			key, k := key(t), k(t)
			w.Gate(key).Return(k)
			models[key].Return(k)
		},

		"Gate": func(t *rapid.T) {
			key, k := key(t), k(t)
			g := All(w.Gate(key))
			peek, got, want := g.Peek(k), g.Take(k), models[key].Take(k)
			check(t, peek.OK, want.OK, "OK of Peek(%d, %d)", key, k)
			check(t, got, want, "Take(%d, %d)", key, k)
		},

		"Reset": func(t *rapid.T) {
			key := key(t)
			w.Delete(key)
			models[key].Return(2 * n) // a weighted one has two counts
		},

		"": func(t *rapid.T) {
			s := w.Stats()
			if s.Keys > 105 {
				t.Errorf("%d keys are held, want at most 105", s.Keys)
			}
			check(t, s.Evicted, 0, "Evicted with room for 1024")
			check(t, w.Len(), s.Keys, "Len")
		},
	})
}

// TestKeyedLogRing checks that the log of a key goes on where it stopped: its
// events expire one after another, between those of another key.
func TestKeyedLogRing(t *testing.T) {
	for n := 1; n <= 9; n++ {
		var clock fakeClock
		opts := &Options{Now: clock.now}
		w := NewKeyedSlidingLog[int](n, 20, &KeyedOptions{MaxKeys: 16, Now: clock.now})
		models := []single{NewSlidingLog(n, 20, opts), NewSlidingLog(n, 20, opts)}
		for i := range 200 {
			clock.t += int64(i % 7)
			for key, model := range models {
				check(t, w.Take(key, 1+key), model.Take(1+key), "n %d, round %d: Take(%d, %d)", n, i, key, 1+key)
			}
		}
	}
}

// TestPropKeyedWindowLaw checks the law with a clock that goes back: no key
// gets more than n in any length.
func TestPropKeyedWindowLaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var clock fakeClock
		n, length := rapid.IntRange(1, 4).Draw(t, "n"), rapid.Int64Range(1, 40).Draw(t, "length")
		opts := &KeyedOptions{MaxKeys: 1024, Now: clock.now}

		for i, w := range []*KeyedWindow[int]{
			NewKeyedSlidingLog[int](n, time.Duration(length), opts),
			NewKeyedSlidingWindow[int](n, time.Duration(length), 1, opts),
		} {
			clock.t = 0
			admitted := map[int][]int64{} // by the latest reading
			latest := map[int]int64{}
			for range rapid.IntRange(1, 80).Draw(t, "steps") {
				clock.t += rapid.Int64Range(-10, 15).Draw(t, "dt")
				key := rapid.IntRange(0, 3).Draw(t, "key")
				if last, ok := latest[key]; !ok || clock.t > last {
					latest[key] = clock.t
				}
				if !w.Allow(key) {
					continue
				}
				a := append(admitted[key], latest[key])
				admitted[key] = a
				if first := len(a) - 1 - n; first >= 0 && latest[key]-a[first] < length {
					t.Fatalf("kind %d: key %d has %d events within %d: %v", i, key, n+1, length, a)
				}
			}
		}
	})
}

// keyedWindows returns a KeyedWindow of each kind, of n events an hour or day.
func keyedWindows(n int, o *KeyedOptions) map[string]*KeyedWindow[int] {
	return map[string]*KeyedWindow[int]{
		"log":      NewKeyedSlidingLog[int](n, time.Hour, o),
		"sliding":  NewKeyedSlidingWindow[int](n, time.Hour, 6, o),
		"weighted": NewKeyedSlidingWindow[int](n, time.Hour, Weighted, o),
		"quota":    NewKeyedQuota[int](n, Daily(nil), o),
	}
}

// TestKeyedWindowFlood checks that a client over its limit gets nothing from a
// flood of keys used once, that memory is bounded, and that forgiven events are
// counted.
func TestKeyedWindowFlood(t *testing.T) {
	var clock fakeClock
	for name, w := range keyedWindows(5, &KeyedOptions{MaxKeys: 256, Now: clock.now}) {
		abuses := 0
		for i := range 5000 {
			if w.Allow(-1) {
				abuses++
			}
			if !w.Allow(i) {
				t.Fatalf("%s: one-shot key %d denied", name, i)
			}
		}
		s := w.Stats()
		check(t, abuses, 5, "%s: abuses", name)
		check(t, s.Allowed, 5005, "%s: Allowed", name)
		check(t, s.Denied, 4995, "%s: Denied", name)
		check(t, s.Forgiven, s.Evicted, "%s: Forgiven", name)
		if s.Keys > 256 {
			t.Errorf("%s: %d keys are held, want at most 256", name, s.Keys)
		}
		if s.Evicted == 0 {
			t.Errorf("%s: Evicted = 0, want more", name)
		}
	}
}

// TestKeyedWindowDenyNew checks the other policy: new keys wait for room.
func TestKeyedWindowDenyNew(t *testing.T) {
	for _, name := range []string{"log", "sliding", "weighted", "quota"} {
		var clock fakeClock
		w := keyedWindows(2, &KeyedOptions{MaxKeys: 16, DenyNew: true, Now: clock.now})[name]
		admitted := 0

		for i := range 100 {
			if w.Allow(i) {
				admitted++
			}
		}

		d := w.Take(1000, 1)
		if admitted > 16 || admitted < 9 {
			t.Errorf("%s: %d admitted, want 9 to 16", name, admitted)
		}
		checkLater(t, d, "%s: Take(1000) without room", name)
		check(t, d.Remaining, 2, "%s: Remaining", name)
		check(t, w.Peek(1000, 1), d, "%s: Peek(1000)", name)
		clock.t += int64(d.RetryAfter) - 1
		if w.Allow(1000) {
			t.Errorf("%s: admitted before RetryAfter", name)
		}
		clock.t++
		check(t, w.Peek(1000, 1).OK, true, "%s: Peek after RetryAfter", name)
		check(t, w.Allow(1000), true, "%s: Allow after RetryAfter", name)
		check(t, w.Stats().Evicted, 0, "%s: Evicted", name)
	}
}

// TestKeyedWindowConcurrent checks the number of admissions of many keys under
// contention, with the real clock.
func TestKeyedWindowConcurrent(t *testing.T) {
	for name, w := range keyedWindows(50, nil) {
		var admitted atomic.Int64
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for i := range 1000 {
					if w.Take(i%4, 1).OK {
						admitted.Add(1)
					}
				}
			})
		}
		wg.Wait()
		got, want := admitted.Load(), int64(4*50)
		if name == "quota" && got == 2*want {
			continue // a day has ended
		}
		check(t, got, want, "%s: admitted", name)
	}
}

// TestKeyedQuotaDays checks the quotas of two users on the days on which clocks
// change.
func TestKeyedQuotaDays(t *testing.T) {
	berlin := place(t, "Europe/Berlin")
	now := time.Date(2026, 3, 29, 0, 0, 0, 0, berlin) // the day has 23 hours
	w := NewKeyedQuota[string](2, Daily(berlin), &KeyedOptions{Now: func() time.Time { return now }})
	if d := w.Take("a", 2); d != (Decision{OK: true, Limit: 2, ResetAfter: 23 * time.Hour, Window: 24 * time.Hour}) {
		t.Errorf("%+v", d)
	}

	now = now.Add(22 * time.Hour)
	if d := w.Take("a", 1); d != (Decision{Limit: 2, RetryAfter: time.Hour, ResetAfter: time.Hour, Window: 24 * time.Hour}) {
		t.Errorf("%+v", d)
	}

	if d := w.Take("b", 1); d != (Decision{OK: true, Limit: 2, Remaining: 1, ResetAfter: time.Hour, Window: 24 * time.Hour}) {
		t.Errorf("%+v", d)
	}

	now = now.Add(time.Hour)
	checkNever(t, w.Take("b", 3), "Take(b, 3)")
	for _, key := range []string{"a", "b"} {
		check(t, w.AllowN(key, 2), true, "AllowN(%s, 2) on a new day", key)
		check(t, w.Allow(key), false, "Allow(%s) after two", key)
	}

	now = now.Add(-time.Hour) // the clock is set back to yesterday
	check(t, w.Allow("a"), false, "Allow(a) by a clock that was set back")
	check(t, w.Allow("b"), false, "Allow(b) by a clock that was set back")

	w.Delete("b")
	check(t, w.Allow("a"), false, "Allow(a) after Delete(b)")
	check(t, w.AllowN("b", 2), true, "AllowN(b, 2) after Delete(b)")

	now = now.AddDate(0, 0, 3)
	w.Return("a", 2) // of the events of another day
	if d := w.Peek("a", 0); d.Remaining != 2 {
		t.Errorf("%+v", d)
	}

	for _, o := range []*KeyedOptions{nil, {Now: time.Now}} {
		if base := NewKeyedQuota[int](1, Daily(nil), o).table.clock.base; base != base.Round(0) {
			t.Errorf("%v goes by the monotonic clock", base)
		}
	}
}

// TestCellCount checks that looking at a slot, as when a place is sought,
// changes nothing of it.
func TestCellCount(t *testing.T) {
	var clock fakeClock
	w := NewKeyedSlidingWindow[int](4, 4, 4, &KeyedOptions{MaxKeys: 16, Now: clock.now})
	w.AllowN(1, 2)
	clock.t = 3
	w.AllowN(1, 1)
	clock.t = 5 // the first two do not count any more
	s := &w.table.shards[0]
	for range 2 {
		if got := s.rule.owed(s.at(0), clock.t); got != 1 {
			t.Errorf("%v events count, want 1", got)
		}
	}
	d := w.Take(1, 3)
	check(t, d.OK, true, "OK of Take(3)")
	check(t, d.Remaining, 0, "Remaining")
}

// TestKeyedWindowSizes checks the number of words a slot that doc comments
// promise.
func TestKeyedWindowSizes(t *testing.T) {
	for _, tt := range []struct {
		w    *KeyedWindow[int]
		want int
	}{
		{NewKeyedSlidingLog[int](1, time.Hour, nil), 3 + 1},
		{NewKeyedSlidingLog[int](100, time.Hour, nil), 3 + 128},
		{NewKeyedSlidingLog[int](128, time.Hour, nil), 3 + 128},
		{NewKeyedSlidingWindow[int](100, time.Hour, 6, nil), 9},
		{NewKeyedSlidingWindow[int](100, time.Hour, Weighted, nil), 4},
		{NewKeyedQuota[int](100, Monthly(nil), nil), 2},
	} {
		if got := tt.w.table.shards[0].width; got != tt.want {
			t.Errorf("a slot has %d words, want %d", got, tt.want)
		}
	}
}

// TestTrapHundredAMinuteEach checks "100 a minute per address" as a bucket for
// each: 199 in the first minute. A window for each admits 100.
func TestTrapHundredAMinuteEach(t *testing.T) {
	var clock fakeClock
	o := &KeyedOptions{Now: clock.now}
	buckets := NewKeyed[string]([]Limit{{PerMinute(100), 100}}, o)
	log, sliding := NewKeyedSlidingLog[string](100, time.Minute, o), NewKeyedSlidingWindow[string](100, time.Minute, 60, o)
	var counts [3]int
	for range 6000 { // each client asks every 10 ms for a minute
		for i := range 3 {
			for j, allow := range []func(string) bool{buckets.Allow, log.Allow, sliding.Allow} {
				if allow(fmt.Sprintf("192.0.2.%d", i)) {
					counts[j]++
				}
			}
		}
		clock.t += int64(10 * time.Millisecond)
	}
	if counts != [3]int{3 * 199, 3 * 100, 3 * 100} {
		t.Errorf("three clients had %v", counts)
	}
}

// TestTakeLimit checks limits of keys of their own: free and paid customers
// in one table, whose events stay counted when they change.
func TestTakeLimit(t *testing.T) {
	var clock fakeClock
	for name, w := range keyedWindows(16, &KeyedOptions{Now: clock.now}) {
		checkNever(t, w.TakeLimit(1, 3, 2), "%s: TakeLimit(3, 2)", name)
		check(t, w.TakeLimit(1, 2, 2).OK, true, "%s: TakeLimit(2, 2)", name)
		checkLater(t, w.TakeLimit(1, 1, 2), "%s: TakeLimit(1, 2)", name)
		check(t, w.Peek(1, 0).Limit, 16, "%s: Limit of Peek", name)
		check(t, w.TakeLimit(1, 6, 8).OK, true, "%s: TakeLimit(6, 8)", name)
		d := w.Take(1, 8)
		check(t, d.OK, true, "%s: Take(8)", name)
		check(t, d.Limit, 16, "%s: Limit of Take", name)
		check(t, d.Remaining, 0, "%s: Remaining of Take", name)
	}
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
