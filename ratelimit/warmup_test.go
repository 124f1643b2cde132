// SPDX-License-Identifier: MIT

package ratelimit

import (
	"math"
	"math/big"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// A slowWarmUp is a limiter that comes up to its rate, one nanosecond after the
// other. A token takes a power of two of them when the limiter is warm.
type slowWarmUp struct {
	period, token, burst int64
	now, warmth          int64
	spent                int64 // since the bucket was full, in nanoseconds of refill
	area                 int64 // refilled since then, times 3·period
}

// left returns the nanoseconds of refill that the bucket holds.
func (m *slowWarmUp) left() int64 { return m.burst*m.token - m.spent + m.area/(3*m.period) }

// pass lets time go on until t.
func (m *slowWarmUp) pass(t int64) {
	for ; m.now < t; m.now++ {
		switch {
		case m.spent == 0:
			m.warmth = max(m.warmth-1, 0)
			continue
		case m.warmth < m.period:
			m.area += m.period + 2*m.warmth + 1
			m.warmth++
		default:
			m.area += 3 * m.period
		}
		if m.area/(3*m.period) >= m.spent {
			m.spent, m.area = 0, 0
		}
	}
}

func (m *slowWarmUp) take(n int64) bool {
	ok := n*m.token <= m.left()
	if ok {
		m.spent += n * m.token
	}
	return ok
}

// until returns the time until the bucket holds n tokens.
func (m slowWarmUp) until(n int64) time.Duration {
	start := m.now
	for n*m.token > m.left() {
		m.pass(m.now + 1)
	}
	return time.Duration(m.now - start)
}

// TestModelWarmUp checks every decision of a Limiter with WarmUp against the
// nanosecond by nanosecond one. Times to come may be told 3 ns too long.
func TestModelWarmUp(t *testing.T) { rapid.Check(t, modelWarmUp) }

// FuzzModelWarmUp is TestModelWarmUp for the fuzzer.
func FuzzModelWarmUp(f *testing.F) { f.Fuzz(rapid.MakeFuzz(modelWarmUp)) }

func modelWarmUp(t *rapid.T) {
	clock := fakeClock{rapid.Int64Range(-1e6, 1e6).Draw(t, "start")}
	m := slowWarmUp{
		period: rapid.Int64Range(1, 300).Draw(t, "period"),
		token:  1 << rapid.IntRange(0, 5).Draw(t, "token"),
		burst:  rapid.Int64Range(1, 5).Draw(t, "burst"),
		now:    clock.t,
	}
	lim := New(Every(time.Duration(m.token)), int(m.burst), &Options{Now: clock.now, WarmUp: time.Duration(m.period)})
	told := func(name string, got time.Duration, n int64) {
		if want := m.until(n); got < want || got > want+3 {
			t.Fatalf("%s = %d, want %d to %d", name, got, want, want+3)
		}
	}

	for range rapid.IntRange(1, 60).Draw(t, "steps") {
		clock.t += rapid.OneOf(rapid.Int64Range(0, m.token), rapid.Int64Range(0, 4*m.token*m.burst), rapid.Int64Range(0, 2*m.period)).Draw(t, "dt")
		m.pass(clock.t)
		n := rapid.Int64Range(0, m.burst+1).Draw(t, "n")
		switch rapid.IntRange(0, 3).Draw(t, "what") {
		case 0:
			check(t, lim.AllowAt(clock.now(), int(n)), m.take(n), "AllowAt(%d)", n)
		case 1:
			want := min(n, m.left()/m.token)
			m.take(want)
			check(t, int64(lim.TakeUpTo(int(n))), want, "TakeUpTo(%d)", n)
		case 2: // a canceled reservation leaves no trace
			r := lim.Reserve(int(n))
			if r.OK() && n > 0 && m.left() < n*m.token {
				told("Delay", r.Delay(), n)
			}
			r.Cancel()
		default:
			peek := lim.Peek(int(n))
			d := lim.Take(int(n))
			check(t, d.OK, m.take(n), "OK of Take(%d)", n)
			check(t, d, peek, "Take(%d)", n)
			check(t, int64(d.Remaining), m.left()/m.token, "Remaining")
			told("ResetAfter", d.ResetAfter, m.burst)
			switch {
			case n > m.burst:
				check(t, d.RetryAfter, -1, "RetryAfter of Take(%d)", n)
			case !d.OK:
				told("RetryAfter", d.RetryAfter, n)
			}
		}
	}
}

// TestPropWarmUp checks the laws of a limiter that warms up, at any rate: those
// of all limiters, and that after a rest it admits at most burst +
// rate·(t·(WarmUp+t)/(3·WarmUp) + 2 ns) in the first t.
func TestPropWarmUp(t *testing.T) { rapid.Check(t, propWarmUp) }

func propWarmUp(t *rapid.T) {
	l := Limit{Per(rapid.IntRange(1, 2000).Draw(t, "count"), time.Duration(rapid.Int64Range(2, 1e10).Draw(t, "per"))), rapid.IntRange(1, 20).Draw(t, "burst")}
	period := rapid.Int64Range(1, 1e11).Draw(t, "period")
	clock := fakeClock{1 << 60}
	lim := New(l.Rate, l.Burst, &Options{Now: clock.now, WarmUp: time.Duration(period)})
	token := max(int64(l.Rate.per)/l.Rate.count, 1)
	var all, since []admission
	rested := clock.t // when since begins
	full := clock.t   // a time at which the bucket is full at last
	for range rapid.IntRange(1, 60).Draw(t, "steps") {
		dt := rapid.OneOf(rapid.Int64Range(0, 3*token), rapid.Int64Range(0, period/8), rapid.Just(2*period)).Draw(t, "dt")
		clock.t = min(clock.t+dt, math.MaxInt64/4*3)
		if clock.t-full >= period {
			rested = clock.t
			since = nil
		}
		n := rapid.IntRange(1, 3).Draw(t, "n")
		d := lim.Take(n)
		if d.OK {
			all = append(all, admission{clock.t, n})
			since = append(since, admission{clock.t, n})
		}
		full = clock.t + int64(d.ResetAfter)
	}
	checkEnvelope(t, l, 2, all)

	rate := new(big.Rat).SetFrac64(l.Rate.count, int64(l.Rate.per))
	sum := 0
	for _, a := range since {
		at := a.at - rested
		if at > period {
			break
		}
		sum += a.n
		bound := new(big.Rat).Mul(big.NewRat(at, 3*period), big.NewRat(period+at, 1))
		bound.Add(bound, ratOf(2)).Mul(bound, rate).Add(bound, ratOf(l.Burst))
		if bound.Cmp(ratOf(sum)) < 0 {
			t.Fatalf("%v admitted %d in %d ns of a warm-up of %d, want at most %v", l, sum, at, period, bound)
		}
	}
}

// TestWarmUpWait checks that waiting callers come at a third of the rate at
// first, at all of it in the end, and at a third again after a rest.
func TestWarmUpWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const period = 9 * time.Second
		lim := New(PerSecond(10), 1, &Options{WarmUp: period})
		gaps := func(n int) (list []time.Duration) {
			for range n {
				start := time.Now()
				checkErr(t, lim.Wait(t.Context(), 1), nil, "Wait")
				list = append(list, time.Since(start))
			}
			return list
		}
		near := func(got, want time.Duration, what string) {
			t.Helper()
			if d := (got - want).Abs(); d > want/20 {
				t.Errorf("%s = %v, want about %v", what, got, want)
			}
		}

		for range 2 {
			list := gaps(100)
			check(t, list[0], 0, "the first wait")
			near(list[1], 300*time.Millisecond, "the wait of a cold limiter")
			near(list[99], 100*time.Millisecond, "the wait of a warm limiter")
			sum := time.Duration(0)
			for _, d := range list[:61] { // 2/3 of 90
				sum += d
			}
			near(sum, period, "the time of the warm-up")
			for i := range 98 {
				if list[i+2] > list[i+1] {
					t.Errorf("wait %d is %v after %v, want none longer", i+2, list[i+2], list[i+1])
				}
			}
			time.Sleep(period + 300*time.Millisecond)
		}

		// Half a rest makes it half cold.
		gaps(100)
		time.Sleep(100*time.Millisecond + period/2)
		near(gaps(2)[1], 150*time.Millisecond, "the wait of a half warm limiter")
	})
}

// TestTrapWarmUpZero checks that no warm-up is no warm-up: in Guava it is a
// limiter that limits nothing (google/guava#2730).
func TestTrapWarmUpZero(t *testing.T) {
	var clock fakeClock
	if New(PerSecond(1), 1, nil).warmUp != nil {
		t.Error("a limiter without WarmUp pays for one")
	}
	for _, period := range []time.Duration{0, 1} {
		lim := New(PerSecond(1), 1, &Options{Now: clock.now, WarmUp: period})
		admitted := 0
		for range 1000 {
			if lim.Allow() {
				admitted++
			}
		}
		check(t, admitted, 1, "events at once with WarmUp %d", period)
		clock.sleep(time.Second + 2)
		check(t, lim.Allow(), true, "Allow after a second with WarmUp %d", period)
	}
}

// TestTrapWarmUpSlowCaller checks that a caller a little slower than the rate
// gets to it: in Guava it may stay cold forever (google/guava#3552).
func TestTrapWarmUpSlowCaller(t *testing.T) {
	var clock fakeClock
	const token = 100 * time.Millisecond
	lim := New(Every(token), 1, &Options{Now: clock.now, WarmUp: 10 * time.Second})
	for slower := token / 100; slower < token; slower += token / 10 {
		clock.sleep(time.Minute) // cold
		next := clock.t          // the time of the caller's next event
		for range 300 {
			clock.t = max(clock.t, next)
			next = clock.t + int64(token+slower)
			if d := lim.Take(1); !d.OK {
				clock.sleep(d.RetryAfter)
				check(t, lim.Allow(), true, "Allow after RetryAfter")
			}
		}
		if got := lim.Peek(1).RetryAfter; got > token+token/100 {
			t.Errorf("a caller %v slower than the rate waits %v after 300 events, want %v", slower, got, token)
		}
	}
}

// TestWarmUpConcurrent checks the law under a crowd, by the system's clock.
func TestWarmUpConcurrent(t *testing.T) {
	const burst, period = 10, time.Second
	before := time.Now()
	lim := New(PerSecond(100_000), burst, &Options{WarmUp: period})
	var admitted atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 2000 {
				if lim.Allow() {
					admitted.Add(1)
				}
				lim.Peek(1)
			}
		})
	}
	wg.Wait()
	t0 := time.Since(before).Seconds()
	most := burst + 100_000*t0
	if t0 < 1 {
		most = burst + 100_000*t0*(1+t0)/3 + 1
	}
	if got := float64(admitted.Load()); got > most {
		t.Errorf("%v admitted in %v s of a warm-up of 1 s, want at most %v", got, t0, most)
	}
}

// TestWarmUpKept checks what does not touch the warmth: changes of the limit,
// refusals, and promises, which stand.
func TestWarmUpKept(t *testing.T) {
	var clock fakeClock
	lim := New(PerSecond(1), 1, &Options{Now: clock.now, WarmUp: 30 * time.Second})
	lim.Allow()
	r := lim.Reserve(1)
	delay := r.Delay()
	if delay < 2*time.Second || delay > 3*time.Second {
		t.Errorf("Delay of a cold limiter = %v, want 2 to 3 s", delay)
	}
	lim.SetLimit(PerSecond(1000), 1)
	clock.sleep(time.Second)
	lim.AllowN(2)
	check(t, r.Delay(), delay-time.Second, "Delay after SetLimit")
	clock.sleep(delay - time.Second)
	check(t, r.Delay(), 0, "Delay at its time")

	// A limiter that was refused all the time is as cold as one at rest.
	clock.sleep(time.Hour)
	for range 100 {
		check(t, lim.AllowN(2), false, "AllowN of more than the burst")
		clock.sleep(time.Second)
	}
	lim.Allow()
	if got := lim.Peek(1).RetryAfter; got < 2900*time.Microsecond || got > 3*time.Millisecond {
		t.Errorf("RetryAfter of a cold limiter = %v, want about 3 ms", got)
	}

	// A log of older days warms it up in its own time.
	clock.sleep(-1000 * time.Hour)
	lim = New(Every(1000), 1, &Options{WarmUp: 3000})
	old := time.Unix(1e9, 0)
	for _, tt := range []struct {
		at   time.Duration
		want bool
	}{{0, true}, {1000, false}, {1854, false}, {1855, true}, {3250, true}, {4256, false}, {4257, true}} {
		check(t, lim.AllowAt(old.Add(tt.at), 1), tt.want, "AllowAt %d ns", tt.at)
	}
}

// TestWarmUpEnd checks that what makes a bucket full, or stops its refill, ends
// the use of a limiter without making it cold: it cools from then on, also if
// the clock goes back a little.
func TestWarmUpEnd(t *testing.T) {
	const period = 10 * time.Second
	for name, end := range map[string]func(*Limiter){
		"Fill":             (*Limiter).Fill,
		"Return":           func(l *Limiter) { l.Return(5) },
		"a limit of Inf":   func(l *Limiter) { l.SetLimit(Inf, 5) },
		"a limit of never": func(l *Limiter) { l.SetLimit(Rate{}, 5) },
	} {
		for rest, want := range map[time.Duration]time.Duration{0: 100, period / 2: 150, 2 * period: 300} {
			var clock fakeClock
			lim := New(PerSecond(10), 5, &Options{Now: clock.now, WarmUp: period})
			for range 1000 {
				lim.TakeUpTo(5)
				clock.sleep(100 * time.Millisecond)
			}
			end(lim)
			lim.Peek(1)
			clock.sleep(-1)
			lim.Peek(1)
			clock.sleep(rest + 1)

			lim.SetLimit(PerSecond(10), 5)
			lim.TakeUpTo(5)
			got := lim.Peek(1).RetryAfter
			if want *= time.Millisecond; (got - want).Abs() > want/20 {
				t.Errorf("%s: RetryAfter after a rest of %v = %v, want about %v", name, rest, got, want)
			}
		}
	}
}

// TestTrapWarmUpClockAhead checks that a clock which was ahead for a moment,
// while nobody took anything, does not make a cold limiter warm.
func TestTrapWarmUpClockAhead(t *testing.T) {
	var clock fakeClock
	lim := New(PerSecond(10), 1, &Options{Now: clock.now, WarmUp: 10 * time.Second})
	lim.Allow()
	clock.sleep(time.Hour)
	lim.Peek(1)
	clock.sleep(time.Minute - time.Hour)
	admitted := 0
	for range 10_000 {
		if lim.Allow() {
			admitted++
		}
		clock.sleep(time.Millisecond)
	}
	if admitted < 66 || admitted > 68 {
		t.Errorf("%d admitted in a warm-up, want 1 and 2/3 of 100", admitted)
	}
}

// TestWarmUpPanics checks what cannot be used.
func TestWarmUpPanics(t *testing.T) {
	mustPanic(t, "WarmUp must not be negative, got -1ns", func() { New(PerSecond(1), 1, &Options{WarmUp: -1}) })
	warm := &Options{WarmUp: 1}
	for name, f := range map[string]func(){
		"NewStriped":       func() { NewStriped(PerSecond(1000), 1000, warm) },
		"NewSlidingLog":    func() { NewSlidingLog(1, 1, warm) },
		"NewSlidingWindow": func() { NewSlidingWindow(1, 1, 1, warm) },
		"NewFixedWindow":   func() { NewFixedWindow(1, 1, warm) },
		"NewQuota":         func() { NewQuota(1, Daily(nil), warm) },
		"NewMemStore":      func() { NewMemStore(warm) },
	} {
		t.Run(name, func(t *testing.T) { mustPanic(t, "for a Limiter of New alone, got 1ns", f) })
	}
}

// TestWarmUpFar checks warm-ups and clocks of a century and more.
func TestWarmUpFar(t *testing.T) {
	clock := fakeClock{-maxReading}
	for _, l := range []Limit{{Rate: Inf, Burst: 1}, {Rate{}, 2}, {Every(math.MaxInt64), 1}, {perSecond(1e12), 5}} {
		lim := New(l.Rate, l.Burst, &Options{Now: clock.now, WarmUp: math.MaxInt64})
		for range 5 {
			lim.Take(1)
			lim.Peek(1)
			lim.Reserve(1).Cancel()
			clock.t = min(clock.t+1<<60, maxReading)
			if d := lim.Take(0); d.ResetAfter < -1 || !d.OK {
				t.Errorf("%v: %+v", l, d)
			}
		}
		clock.t = -maxReading
	}

	// Tokens that take centuries, by a clock that went back before its base.
	clock.t = 0
	lim := New(Per(1e9, math.MaxInt64), 1e9, &Options{Now: clock.now, WarmUp: time.Hour})
	clock.sleep(time.Hour)
	lim.Peek(1)
	clock.t = -int64(time.Second)
	lim.Charge(1e9 + 1)
	clock.sleep(time.Hour)
	if d := lim.Take(1e9); d.OK || d.RetryAfter < maxReading || d.ResetAfter < maxReading {
		t.Errorf("tokens that take centuries: %+v", d)
	}
}

// TestWarmUpSlow checks that a limiter whose tokens come in centuries is in use
// meanwhile, and one of a burst that takes as long to fill is idle when full.
func TestWarmUpSlow(t *testing.T) {
	var clock fakeClock
	lim := New(PerSecond(10), 5, &Options{Now: clock.now, WarmUp: 10 * time.Second})
	clock.sleep(time.Hour)
	lim.SetLimit(Every(math.MaxInt64), 5)
	lim.AllowN(5)
	clock.sleep(time.Hour)
	lim.Peek(0)
	lim.SetLimit(PerSecond(10), 5)
	check(t, lim.Peek(1).RetryAfter.Round(time.Millisecond), 100*time.Millisecond, "RetryAfter of a warm limiter")

	if math.MaxInt == math.MaxInt32 {
		t.Skip("a burst is below 2^31")
	}
	lim = New(Every(10*time.Second), mostBurst, &Options{Now: clock.now, WarmUp: time.Hour})
	clock.sleep(1000 * time.Hour)
	lim.AllowN(mostBurst)
	check(t, lim.Peek(2).RetryAfter.Round(time.Second), 30*time.Second, "RetryAfter of a cold limiter")
}
