// SPDX-License-Identifier: MIT

package ratelimit

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestPropWindow checks the three kinds of window against a list of all events, while the clock
// goes on, stands still and goes back: the log admits exactly what the list has room for; the sliding
// window never more than n in any length, and all that fits when one slice more is counted; the
// fixed window what its own window has room for.
func TestPropWindow(t *testing.T) { rapid.Check(t, propWindow) }

func FuzzPropWindow(f *testing.F) { f.Fuzz(rapid.MakeFuzz(propWindow)) }

func propWindow(t *rapid.T) {
	n, length := rapid.Int64Range(1, 6).Draw(t, "n"), rapid.Int64Range(1, 40).Draw(t, "length")
	parts := rapid.IntRange(1, int(length)).Draw(t, "slices")
	var clock fakeClock
	clock.t = rapid.Int64Range(-100, 100).Draw(t, "start")
	base, opts := clock.t, &Options{Now: clock.now}
	width := (length-1)/int64(parts) + 1
	// since returns the first reading whose events still count at t, for each kind.
	kinds := []struct {
		w      *Window
		since  func(t int64) int64
		events []admission
	}{
		{w: NewSlidingLog(n, time.Duration(length), opts), since: func(t int64) int64 { return t - length + 1 }},
		{w: NewSlidingWindow(n, time.Duration(length), parts, opts), since: func(t int64) int64 {
			return base + (floorDiv(t-base, width)-int64(parts))*width
		}},
		{w: NewFixedWindow(n, time.Duration(length), opts), since: func(t int64) int64 {
			return base + floorDiv(t-base, length)*length
		}},
	}
	latest := int64(math.MinInt64)
	for range rapid.IntRange(1, 80).Draw(t, "steps") {
		clock.t += rapid.Int64Range(-5, 15).Draw(t, "dt")
		latest = max(latest, clock.t)
		k, giveBack := rapid.Int64Range(0, n+1).Draw(t, "k"), rapid.IntRange(0, 9).Draw(t, "return") == 0
		for i := range kinds {
			kind := &kinds[i]
			count := func(at int64) (sum int64) {
				for _, e := range kind.events {
					if e.at >= kind.since(at) {
						sum += e.n
					}
				}
				return sum
			}
			if giveBack {
				kind.w.Return(k)
				kind.events = takeBack(kind.events, kind.since(latest), k)
			}
			used := count(latest)
			peek := kind.w.Peek(k)
			d := kind.w.Take(k)
			if d != peek || d.OK != (k == 0 || used+k <= n) {
				t.Fatalf("kind %d: Take(%d) = %+v, Peek %+v, with %d of %d used", i, k, d, peek, used, n)
			}
			if d.OK {
				kind.events = append(kind.events, admission{latest, k})
				used += k
			}
			if d.Remaining != n-used || d.Limit != n || (d.ResetAfter == 0) != (used == 0) ||
				used > 0 && (count(latest+int64(d.ResetAfter)) != 0 || count(latest+int64(d.ResetAfter)-1) == 0) {
				t.Fatalf("kind %d: %+v with %d used", i, d, used)
			}
			switch at := latest + int64(d.RetryAfter); {
			case d.OK || k > n:
				if (d.RetryAfter < 0) == d.OK {
					t.Fatalf("kind %d: %+v", i, d)
				}
			case count(at)+k > n || count(at-1)+k <= n:
				t.Fatalf("kind %d: RetryAfter %d for %d: %d count then, %d before", i, d.RetryAfter, k, count(at), count(at-1))
			}
			if i < 2 {
				checkAnyWindow(t, n, length, kind.events)
			}
		}
	}
}

// takeBack removes the latest k events from since on.
func takeBack(events []admission, since, k int64) []admission {
	events = slices.Clone(events)
	for i := len(events) - 1; i >= 0 && events[i].at >= since; i-- {
		m := min(k, events[i].n)
		events[i].n -= m
		k -= m
	}
	return events
}

func floorDiv(a, b int64) int64 {
	if a < 0 {
		return (a - b + 1) / b
	}
	return a / b
}

// checkAnyWindow fails if some window [at, at+length) holds more than n events.
func checkAnyWindow(t *rapid.T, n, length int64, events []admission) {
	for i := range events {
		sum := int64(0)
		for _, e := range events[i:] {
			if e.at < events[i].at+length {
				sum += e.n
			}
		}
		if sum > n {
			t.Fatalf("%d events of %d from %d on", sum, n, events[i].at)
		}
	}
}

// TestWindowAdversary tries every pattern of asking for small windows and checks the most that any
// length admits: n for the sliding kinds, 2n for the fixed one (trap 9).
func TestWindowAdversary(t *testing.T) {
	const n, length, steps = 2, 3, 12
	for name, tt := range map[string]struct {
		make func(*Options) *Window
		most int64
	}{
		"log":        {func(o *Options) *Window { return NewSlidingLog(n, length, o) }, n},
		"sliding, 1": {func(o *Options) *Window { return NewSlidingWindow(n, length, 1, o) }, n},
		"sliding, 3": {func(o *Options) *Window { return NewSlidingWindow(n, length, 3, o) }, n},
		"fixed":      {func(o *Options) *Window { return NewFixedWindow(n, length, o) }, 2 * n},
	} {
		t.Run(name, func(t *testing.T) {
			most := int64(0)
			for pattern := range 1 << steps {
				var clock fakeClock
				w := tt.make(&Options{Now: clock.now})
				var admitted [steps]int64
				for i := range steps {
					for pattern>>i&1 == 1 && w.Allow() {
						admitted[i]++
					}
					sum := int64(0)
					for j := max(0, i-length+1); j <= i; j++ {
						sum += admitted[j]
					}
					most = max(most, sum)
					clock.t++
				}
			}
			if most != tt.most {
				t.Errorf("the most in any window is %d, want %d", most, tt.most)
			}
		})
	}
}

// TestWindowThroughput checks what the sliding window gives up: a steady stream gets k/(k+1).
func TestWindowThroughput(t *testing.T) {
	for _, k := range []int{1, 4, 60} {
		var clock fakeClock
		w := NewSlidingWindow(1000, time.Minute, k, &Options{Now: clock.now})
		admitted := 0
		const minutes = 60
		for range minutes * 6000 {
			clock.t += int64(10 * time.Millisecond)
			if w.Allow() {
				admitted++
			}
		}
		if got, want := admitted, 1000*minutes*k/(k+1); got < want || got > want+2000 {
			t.Errorf("%d slices: %d admitted, want about %d", k, got, want)
		}
	}
}

// TestWindowConcurrent counts admissions at a standing clock under contention.
func TestWindowConcurrent(t *testing.T) {
	var clock fakeClock
	for name, w := range map[string]*Window{
		"log": NewSlidingLog(500, time.Minute, &Options{Now: clock.now}), "sliding": NewSlidingWindow(500, time.Minute, 6, &Options{Now: clock.now}),
		"fixed": NewFixedWindow(500, time.Minute, &Options{Now: clock.now}),
	} {
		var admitted atomic.Int64
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 200 {
					if w.AllowN(1) {
						admitted.Add(1)
					}
				}
			})
		}
		wg.Wait()
		if got := admitted.Load(); got != 500 {
			t.Errorf("%s: %d admitted", name, got)
		}
	}
}

// TestWindowReadings uses windows across idle times of a century, and with the real clock.
func TestWindowReadings(t *testing.T) {
	for _, w := range []*Window{
		NewSlidingLog(1, time.Hour, nil), NewSlidingWindow(1, time.Hour, 60, nil), NewFixedWindow(1, time.Hour, nil),
	} {
		if !w.Allow() || w.Allow() {
			t.Error("a new window does not admit exactly one")
		}
		at := time.Now()
		if !w.AllowAt(at.Add(100*365*24*time.Hour), 1) || w.AllowAt(at, 1) || w.AllowAt(at.Add(100*365*24*time.Hour+time.Minute), 1) {
			t.Error("after a century it does not admit exactly one")
		}
	}
}
