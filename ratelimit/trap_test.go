// SPDX-License-Identifier: MIT

package ratelimit

import (
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestTrapOldReading checks the fault of x/time/rate letting its last time go
// back: alternating between a reading and one a second older admits 2000 events
// where 20 are right (golang/go#65508; trap 1).
func TestTrapOldReading(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	lim, admitted := New(PerSecond(10), 10, nil), 0
	for range 1000 {
		for _, at := range []time.Time{now, now.Add(-time.Second)} {
			if lim.AllowAt(at, 1) {
				admitted++
			}
		}
	}
	if admitted > 20 {
		t.Errorf("%d events admitted, want at most 20", admitted)
	}
}

// TestEnvelopeConcurrent checks the same in earnest: many goroutines, each with
// the reading it took before it was preempted. Peers admit up to 2.3 times the
// bound (trap 1).
func TestEnvelopeConcurrent(t *testing.T) {
	const burst = 1000

	for _, rate := range []int{1e5, 1e6} {
		lim := New(PerSecond(rate), burst, nil)
		start := time.Now()
		stop := start.Add(100 * time.Millisecond)
		var admitted atomic.Int64
		var wg sync.WaitGroup

		for range 200 {
			wg.Go(func() {
				for time.Now().Before(stop) {
					if lim.Allow() {
						admitted.Add(1)
					}
				}
			})
		}
		wg.Wait()

		bound := burst + int64(rate)*int64(time.Since(start)+2)/int64(time.Second) + 1
		least := burst + int64(rate)/1000 // a hundredth of the refill
		if got := admitted.Load(); got > bound || got < least {
			t.Errorf("%d admitted at %d/s, want %d to %d", got, rate, least, bound)
		}
	}
}

// TestTrapFloatDrift checks that a rate of 3 a second, asked every microsecond
// for 3 s, admits 3 at first and 9 by refill; float tokens lose one
// (golang/go#46579; trap 3).
func TestTrapFloatDrift(t *testing.T) {
	var clock fakeClock
	lim := New(PerSecond(3), 3, &Options{Now: clock.now})
	admitted := 0
	for ; clock.t <= int64(3*time.Second); clock.t += int64(time.Microsecond) {
		if lim.Allow() {
			admitted++
		}
	}
	if admitted != 12 && admitted != 11 { // the last falls within 2 ns of the end
		t.Errorf("%d admitted, want 3+9", admitted)
	}
	// folly#2430: the first token of a rate of 1e-4 a second must not be
	// refused.
	if !New(Per(1, 10_000*time.Second), 1, nil).Allow() {
		t.Error("the first event of a slow rate was refused")
	}
}

// TestTrapRateRounding checks rates whose nanoseconds a token are not whole,
// where peers are off by up to 66 %, unlimited, or divide by zero (traps 4, 5
// and 8).
func TestTrapRateRounding(t *testing.T) {
	for _, r := range []Rate{
		perSecond(600e6), perSecond(1_000_000_001), perSecond(3e8), perSecond(1e10), perSecond(12_500_000_000),
		PerSecond(65535), Per(100_000, 250*time.Millisecond), PerDay(1), Per(7, 3*time.Nanosecond),
	} {
		var clock fakeClock
		lim := New(r, 1_000_000, &Options{Now: clock.now})
		got := lim.TakeUpTo(1_000_000)
		const steps = 1000
		step := max(int64(r.per)/r.count*10, 777)
		for range steps {
			clock.t += step
			got += lim.TakeUpTo(math.MaxInt)
		}
		want := 1e6 + float64(r.count)*float64(clock.t)/float64(r.per)
		if diff := float64(got) - want; math.Abs(diff) > 1+float64(r.count)/float64(r.per)*2 {
			t.Errorf("%v: %d events in %d ns, want %.1f", r, got, clock.t, want)
		}
	}
}

// TestTrapOverflow checks requests whose cost wraps in peers, which then allow
// them (redis#14826), and an idle time that makes tokens negative (bucket4j#51;
// trap 7).
func TestTrapOverflow(t *testing.T) {
	var clock fakeClock
	lim := New(Per(1, 86400*time.Second), 1, &Options{Now: clock.now})

	for _, n := range []int{2, 2e8, mostBurst, math.MaxInt - 1, math.MaxInt} {
		checkNever(t, lim.Take(n), "Take(%d)", n)
		check(t, lim.TakeReserving(1, n), false, "TakeReserving(1, %d)", n)
		check(t, lim.TakeReserving(n, n), false, "TakeReserving(%d, %d)", n, n)
	}
	clock.t += maxReading
	d := lim.Peek(1)
	check(t, d.OK, true, "OK after 146 years")
	check(t, d.Remaining, 0, "Remaining after 146 years")

	fast := New(perSecond(1e12), mostBurst, &Options{Now: clock.now})
	fast.Drain()
	clock.t -= maxReading / 2
	if fast.AllowN(1) {
		t.Error("a clock that went back gave tokens")
	}
	clock.t += int64(time.Hour) + maxReading/2
	got, want := int64(fast.TakeUpTo(math.MaxInt)), min(int64(3600e12), math.MaxInt)
	if got < want-1000 || got > want {
		t.Errorf("%d tokens after an hour at 10^12 a second, want %d to %d", got, want-1000, want)
	}
}

// TestTrapChargeOverflow checks that no number of charges wraps around into
// credit.
func TestTrapChargeOverflow(t *testing.T) {
	var clock fakeClock
	for _, l := range []Limit{{PerSecond(1), 1e9}, {PerSecond(1), 1}, {perSecond(1e12), mostBurst}, {Rate{}, 5}} {
		lim := New(l.Rate, l.Burst, &Options{Now: clock.now})
		for range 20 {
			lim.Charge(l.Burst)
			lim.Charge(math.MaxInt)
		}
		if math.MaxInt > math.MaxInt32 { // else no int saturates it
			if r := lim.Reserve(1); r.OK() {
				t.Errorf("%v: Reserve = %+v behind a debt that is saturated", l, r)
			}
		}
		d := lim.Take(1)
		check(t, d.OK, false, "%v: OK with a debt", l)
		check(t, d.Remaining, 0, "%v: Remaining with a debt", l)

		lim.SetLimit(l.Rate, l.Burst)
		lim.SetLimit(PerSecond(1e9), 1)
		if lim.Allow() {
			t.Errorf("%v: debt was forgiven by SetLimit", l)
		}
		lim.Return(math.MaxInt)
		lim.Return(math.MaxInt)
		if math.MaxInt == math.MaxInt32 {
			lim.Fill() // no int is large enough
		}
		if !lim.Allow() {
			t.Errorf("%v: Return did not pay the debt", l)
		}
	}
}

// TestTrapFrozenBucket checks that a change of a bucket while SetLimit replaces
// it neither revives the old one nor is lost.
func TestTrapFrozenBucket(t *testing.T) {
	lim := New(PerSecond(1), 100, nil)
	old := lim.load()
	lim.SetLimit(PerSecond(1), 100)
	if got := old.spent.Load(); got != frozen {
		t.Fatalf("the old bucket has %d spent", got)
	}
	for _, m := range []*meter{{}, new(newMeter(Limit{perSecond(1e12), mostBurst})), new(newMeter(Limit{PerSecond(1), 1}))} {
		for _, v := range []int64{-maxSupply, 0, maxSupply} {
			if _, ok := m.admit(frozen, v, 0, 0); ok {
				t.Errorf("a frozen bucket admits at supply %d", v)
			}
		}
	}
}

// TestSetLimitConcurrent checks that the tokens others take, charge and return,
// while the limit changes all the time among values with the same burst and a
// rate of 0, adds up exactly.
func TestSetLimitConcurrent(t *testing.T) {
	const burst = 100_000
	lim := New(Rate{}, burst, nil)
	var net atomic.Int64
	var wg sync.WaitGroup
	done := make(chan struct{})

	for range 4 {
		wg.Go(func() {
			for i := range int64(5_000) {
				switch i % 4 {
				case 0, 1:
					if lim.Take(3).OK {
						net.Add(3)
					}
				case 2:
					lim.Charge(2)
					net.Add(2)
				case 3:
					lim.Return(1)
					net.Add(-1)
				}
			}
		})
	}
	go func() { wg.Wait(); close(done) }() // ends with the workers
	changes := 0

	for ; ; changes++ {
		select {
		case <-done:
			if left := lim.Peek(0).Remaining; int64(left) != burst-net.Load() {
				t.Errorf("%d left after %d taken and %d changes", left, net.Load(), changes)
			}
			return
		default:
			lim.SetLimit(Rate{}, burst)
		}
	}
}

// TestSetLimitRules checks the meaning of a change of limit: spent tokens stay
// spent.
func TestSetLimitRules(t *testing.T) {
	var clock fakeClock
	lim := New(PerSecond(1), 10, &Options{Now: clock.now})
	lim.AllowN(4)

	for _, tt := range []struct {
		burst, want int
		retry       time.Duration
	}{{100, 96, 0}, {5, 1, 0}, {2, 0, 3 * time.Second}, {10, 6, 0}} {
		lim.SetLimit(PerSecond(1), tt.burst)
		d := lim.Peek(1)
		check(t, d.OK, tt.retry == 0, "burst %d: OK", tt.burst)
		check(t, d.RetryAfter, tt.retry, "burst %d: RetryAfter", tt.burst)
		check(t, d.Limit, tt.burst, "burst %d: Limit", tt.burst)
		check(t, d.Remaining, max(tt.want-1, 0), "burst %d: Remaining", tt.burst)
	}

	if got := lim.Limit(); got != (Limit{PerSecond(1), 10}) {
		t.Errorf("Limit() = %v", got)
	}

	full := New(PerSecond(1), 1, &Options{Now: clock.now})
	full.SetLimit(PerSecond(3), 50)
	if !full.AllowN(50) {
		t.Error("a full bucket is not full after SetLimit")
	}
	full.SetLimit(Inf, 1)
	check(t, full.AllowN(math.MaxInt), true, "AllowN of Inf")
	check(t, full.Peek(1).Remaining, math.MaxInt, "Remaining of Inf")
}

// TestFarReadings checks decisions at readings centuries apart.
func TestFarReadings(t *testing.T) {
	for _, r := range []Rate{PerSecond(1), perSecond(1e12), PerDay(1), Inf} {
		var clock fakeClock
		lim := New(r, 3, &Options{Now: clock.now})
		for _, year := range []int{-140, -60, 10, 50, 90, 140} {
			at := time.Unix(0, int64(year)*365*24*3600e9)
			if !lim.AllowAt(at, 3) {
				t.Errorf("%v: a full bucket denied in year %d", r, year)
			}
			before := max(year-150, -145) // a clock reads 146 years
			if r != Inf && lim.AllowAt(time.Unix(0, int64(before)*365*24*3600e9), 1) {
				t.Errorf("%v: year %d gave tokens after year %d", r, before, year)
			}
			if r != Inf && lim.AllowAt(at, 1) {
				t.Errorf("%v: an empty bucket allowed in year %d", r, year)
			}
		}
	}
}

// TestPanics checks the panic of each mistake of a programmer.
func TestPanics(t *testing.T) {
	lim := New(PerSecond(1), 1, nil)
	one := []Limit{{PerSecond(1), 1}}
	bad := Limit{Burst: -1}
	keyed := NewKeyed[int](one, nil)
	for _, tt := range []struct {
		want string
		f    func()
	}{
		// Numbers of events.
		{"ratelimit: n must not be negative, got -1", func() { lim.AllowN(-1) }},
		{"ratelimit: n must not be negative, got -2", func() { lim.TakeReserving(1, -2) }},
		{"ratelimit: n must not be negative, got -1", func() { _ = lim.Wait(t.Context(), -1) }},
		{"ratelimit: n must not be negative, got -1", func() { one[0].Step(State{}, 0, -1) }},
		{"ratelimit: n must not be negative, got -1", func() { All().Take(-1) }},

		// Rates and limits.
		{"ratelimit: burst must be between 0 and 2^61, got -1", func() { New(PerSecond(1), -1, nil) }},
		{"ratelimit: burst must be between 0 and 2^61, got -1", func() { lim.SetLimit(PerSecond(1), -1) }},
		{"ratelimit: count of a rate must not be negative, got -1", func() { PerSecond(-1) }},
		{"ratelimit: period of a rate must be positive, got 0s", func() { Every(0) }},
		{"ratelimit: 1001 events every 1ns is above 10^12 a second; use Inf", func() { Per(1001, 1) }},
		{"ratelimit: at least one limit is needed", func() { NewKeyed[int](nil, nil) }},
		{"ratelimit: limits must be at most 8, got 9", func() { NewKeyed[int](make([]Limit, 9), nil) }},
		{"ratelimit: burst must be between 0 and 2^61, got -1", func() { NewKeyed[int]([]Limit{bad}, nil) }},
		{"ratelimit: KeyedOptions.MaxKeys must be at least 16, got 15", func() { NewKeyed[int](one, &KeyedOptions{MaxKeys: 15}) }},
		{"ratelimit: at least one limit is needed", func() { keyed.SetLimits() }},
		{"ratelimit: at least one limit is needed", func() { keyed.TakeLimits(1, 1) }},
		{"ratelimit: limits must be at most 8, got 9", func() { keyed.TakeLimits(1, 1, make([]Limit, 9)...) }},
		{"ratelimit: burst must be between 0 and 2^61, got -1", func() { keyed.TakeLimits(1, 1, bad) }},
		{"ratelimit: burst must be between 0 and 2^61, got -1", func() { bad.Step(State{}, 0, 1) }},
		{"ratelimit: burst must be between 0 and 2^61, got -1", func() { bad.Adopt(State{}, one[0], 1) }},
		{"ratelimit: burst must be between 0 and 2^61, got -1", func() { one[0].Adopt(State{}, bad, 1) }},
		{"ratelimit: burst of a Striped must be between 256 and 2^61, got 255", func() { NewStriped(Inf, 255, nil) }},
		{"ratelimit: at least one limit is needed", func() { NewShared(NewMemStore(nil), nil, nil) }},

		// Windows.
		{"ratelimit: number of events must be positive, got 0", func() { NewSlidingLog(0, 1, nil) }},
		{"ratelimit: length of a window must be positive, got -1ns", func() { NewFixedWindow(1, -1, nil) }},
		{"ratelimit: slices must be Weighted or between 1 and the nanoseconds of the window, got 3", func() { NewSlidingWindow(1, 2, 3, nil) }},
		{"ratelimit: number of events must be positive, got 0", func() { NewSlidingWindow(0, 2, 1, nil) }},
		{"ratelimit: number of events must be positive, got 0", func() { NewFixedWindow(0, 2, nil) }},
		{"ratelimit: number of events must be positive, got 0", func() { NewKeyedSlidingLog[int](0, 2, nil) }},
		{"ratelimit: number of events must be positive, got 0", func() { NewKeyedSlidingWindow[int](0, 2, 1, nil) }},
		{"ratelimit: number of events must be positive, got 0", func() { NewQuota(1, Daily(nil), nil).SetLimit(0) }},
		{"ratelimit: number of events must be positive, got 0", func() { NewQuota(0, Daily(nil), nil) }},
		{"ratelimit: number of events of a keyed log must be at most 65536, got 65537", func() { NewKeyedSlidingLog[int](1<<16+1, 1, nil) }},
		{"ratelimit: KeyedOptions.MaxKeys must be at least 16, got 1", func() { NewKeyedSlidingLog[int](1, 1, &KeyedOptions{MaxKeys: 1}) }},
		{"ratelimit: slices must be Weighted or between 1 and the nanoseconds of the window, got 0", func() { NewKeyedSlidingWindow[int](1, 2, 0, nil) }},
		{"ratelimit: slices must be Weighted or between 1 and the nanoseconds of the window, got -2", func() { NewSlidingWindow(1, 2, -2, nil) }},
		{"ratelimit: slices must be Weighted or between 1 and the nanoseconds of the window, got 3", func() { NewKeyedSlidingWindow[int](1, 2, 3, nil) }},
		{"ratelimit: number of events must be positive, got 0", func() { NewKeyedQuota[int](0, Daily(nil), nil) }},
		{"ratelimit: number of events must be at most 4, got 5", func() { NewKeyedSlidingLog[int](3, 1, nil).SetLimit(5) }},
		{"ratelimit: number of events must be at most 4, got 5", func() { NewKeyedSlidingLog[int](3, 1, nil).TakeLimit(1, 1, 5) }},

		// Permits.
		{"ratelimit: limit must be between 1 and 2^30-1, got 0", func() { NewConcurrency(0, nil) }},
		{"ratelimit: limit must be between 1 and 2^30-1, got -1", func() { NewConcurrency(1, nil).SetLimit(-1) }},
		{"ratelimit: ConcurrencyOptions.Window must not be negative, got -1ns", func() { NewConcurrency(1, &ConcurrencyOptions{Window: -1}) }},

		// The rest.
		{"ratelimit: name of a policy must be printable ASCII, got \"a\\nb\"", func() { Decision{}.Headers("a\nb") }},
		{"ratelimit: prefix lengths must be at most 32 and 128, got 33 and 64", func() { MaskAddr(addr("10.0.0.1"), 33, 64) }},
		{"ratelimit: prefix lengths must be at most 32 and 128, got 32 and 129", func() { MaskAddr(addr("10.0.0.1"), 32, 129) }},
		{"ratelimit: prefix lengths must be at most 32 and 128, got -1 and 64", func() { MaskAddr(addr("10.0.0.1"), -1, 64) }},
		{"ratelimit: prefix lengths must be at most 32 and 128, got 32 and -1", func() { MaskAddr(addr("10.0.0.1"), 32, -1) }},
	} {
		mustPanic(t, tt.want, tt.f)
	}
}

// TestZeroValues checks that methods of a zero value name its constructor.
func TestZeroValues(t *testing.T) {
	for want, fs := range map[string][]func(){
		"ratelimit: zero Limiter: use New": {
			func() { new(Limiter).Allow() }, func() { new(Limiter).Peek(1) }, func() { new(Limiter).SetLimit(Inf, 1) },
		},
		"ratelimit: zero Keyed: use NewKeyed": {
			func() { new(Keyed[int]).Allow(1) }, func() { new(Keyed[int]).AllowAt(1, time.Time{}, 1) },
			func() { new(Keyed[int]).Delete(1) }, func() { new(Keyed[int]).Clear() }, func() { new(Keyed[int]).Len() },
		},
		"ratelimit: zero Window: use NewSlidingLog, NewSlidingWindow, NewFixedWindow or NewQuota": {
			func() { new(Window).Allow() }, func() { new(Window).SetLimit(1) }, func() { new(Window).Clear() },
			func() { new(Window).Stats() },
		},
		"ratelimit: zero KeyedWindow: use NewKeyedSlidingLog, NewKeyedSlidingWindow or NewKeyedQuota": {
			func() { new(KeyedWindow[int]).Allow(1) }, func() { new(KeyedWindow[int]).Delete(1) },
			func() { new(KeyedWindow[int]).AllowAt(1, time.Time{}, 1) },
		},

		// Types for many processors, permits and processes.
		"ratelimit: zero Striped: use NewStriped": {
			func() { new(Striped).Allow() }, func() { new(Striped).AllowN(2) }, func() { new(Striped).Limit() },
			func() { new(Striped).Stats() },
		},
		"ratelimit: zero Concurrency: use NewConcurrency": {func() { new(Concurrency).TryAcquire() }},
		"ratelimit: zero Shared: use NewShared":           {func() { _, _ = new(Shared).Take(t.Context(), "key", 1) }},
	} {
		for _, f := range fs {
			mustPanic(t, want, f)
		}
	}
}

// TestTrapContention checks that contention alone neither allows nor denies:
// peers give up after 256 lost races and allow (bpowers/lockfree-rate), or
// after 10 with an error (throttled), and a step of the clock refills
// everything (trap 10). The counts here are exact.
func TestTrapContention(t *testing.T) {
	const burst, goroutines = 10_000, 64
	var clock fakeClock
	lim := New(PerHour(1), burst, &Options{Now: clock.now})
	keyed := NewKeyed[string]([]Limit{{PerHour(1), burst}}, &KeyedOptions{Now: clock.now})
	var byLimiter, byKeyed atomic.Int64
	var wg sync.WaitGroup

	for range goroutines {
		wg.Go(func() {
			for range 2 * burst / goroutines {
				if lim.Allow() {
					byLimiter.Add(1)
				}
				if keyed.Allow("key") {
					byKeyed.Add(1)
				}
			}
		})
	}
	wg.Wait()

	clock.t -= int64(1000 * time.Hour)
	check(t, lim.Allow(), false, "Allow of the Limiter by a clock that was set back")
	check(t, keyed.Allow("key"), false, "Allow of the Keyed by a clock that was set back")
	check(t, byLimiter.Load(), burst, "admitted by the Limiter")
	check(t, byKeyed.Load(), burst, "admitted by the Keyed")
}

// TestTrapGridPacing checks the fault of failsafe-go's smooth limiter, whose
// times are those of a grid: "one every 100 ms" lets two through 1.7 ms apart,
// one on each side of a line. Here the time counts from the event before.
func TestTrapGridPacing(t *testing.T) {
	var clock fakeClock
	lim, last := New(Every(100*time.Millisecond), 1, &Options{Now: clock.now}), int64(-1e9)
	for range 10_000 {
		clock.t += int64(1700 * time.Microsecond)
		if lim.Allow() {
			if gap := clock.t - last; gap < int64(100*time.Millisecond)-2 {
				t.Fatalf("two events %v apart", time.Duration(gap))
			}
			last = clock.t
		}
	}
}

// TestTrapWeightedWindow checks the adversary of windows that weigh the count
// of the one before, as httprate and mennanov/limiters do: all events of a slot
// at its end, and then as many as the weight lets in. A length sees 1999 of a
// limit of 1000 with Weighted, and no more than 1000 with the others.
func TestTrapWeightedWindow(t *testing.T) {
	const n, length = 1000, int64(time.Minute)
	var clock fakeClock
	o := &Options{Now: clock.now}

	for name, tt := range map[string]struct {
		w    *Window
		most int
	}{
		"log":            {NewSlidingLog(n, time.Minute, o), n},
		"sliding":        {NewSlidingWindow(n, time.Minute, 1, o), n},
		"finely sliding": {NewSlidingWindow(n, time.Minute, 60, o), n},
		"weighted":       {NewSlidingWindow(n, time.Minute, Weighted, o), 2*n - 1},
	} {
		w := tt.w
		clock.t = 0
		var admitted []admission

		for range 3 {
			clock.t += length - 1 // the last nanosecond of a window
			for range 2 * n {
				if w.Allow() {
					admitted = append(admitted, admission{clock.t, 1})
				}
			}
			clock.t++
			for range 1000 { // to the end of the next
				if w.Allow() {
					admitted = append(admitted, admission{clock.t, 1})
				}
				clock.t += length / 1000
			}
		}

		most, first := 0, 0
		for i, a := range admitted {
			for a.at-admitted[first].at >= length {
				first++
			}
			most = max(most, i-first+1)
		}
		check(t, most, tt.most, "%s: events in a length", name)
	}
}

// TestTrapDeniedCounts checks a client that does not stop asking: where denied
// requests count too, as with mennanov/limiters, it is locked out forever. Here
// it gets the events of its limit.
func TestTrapDeniedCounts(t *testing.T) {
	var clock fakeClock
	o := &Options{Now: clock.now}
	keyed := NewKeyedSlidingLog[string](10, time.Minute, &KeyedOptions{Now: clock.now})
	for name, allow := range map[string]func() bool{
		"bucket":  New(PerMinute(10), 10, o).Allow,
		"log":     NewSlidingLog(10, time.Minute, o).Allow,
		"sliding": NewSlidingWindow(10, time.Minute, 6, o).Allow,
		"fixed":   NewFixedWindow(10, time.Minute, o).Allow,
		"keyed":   func() bool { return keyed.Allow("client") },
	} {
		admitted := 0
		for range 60 * 60 { // once a second, for an hour
			clock.t += int64(time.Second)
			if allow() {
				admitted++
			}
		}
		if admitted < 10*60*6/7-1 {
			t.Errorf("%s: a client that asks all the time gets %d an hour", name, admitted)
		}
	}
}

// TestClockAt checks that times which 64 bits cannot hold are the longest time
// away, in the past or in the future, and that a clock which is not set starts
// at 0.
func TestClockAt(t *testing.T) {
	c := clock{base: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	for at, want := range map[time.Time]int64{
		c.base.Add(5):                   5,
		c.base.Add(-5):                  -5,
		{}:                              0,
		time.Time{}.Add(7):              7,
		time.Time{}.Add(maxReading):     maxReading,
		time.Time{}.Add(maxReading + 1): -maxReading,
		time.Date(292, 1, 1, 0, 0, 0, 0, time.UTC):  -maxReading,
		time.Date(1000, 1, 1, 0, 0, 0, 0, time.UTC): -maxReading,
		time.Date(1879, 1, 1, 0, 0, 0, 0, time.UTC): -maxReading,
		time.Date(-9, 1, 1, 0, 0, 0, 0, time.UTC):   -int64(time.Time{}.Sub(time.Date(-9, 1, 1, 0, 0, 0, 0, time.UTC))),
		time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC): maxReading,
	} {
		if got := c.at(at); got != want {
			t.Errorf("at(%v) = %d, want %d", at, got, want)
		}
	}
}
