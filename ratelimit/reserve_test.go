// SPDX-License-Identifier: MIT

package ratelimit

import (
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// TestTrapCancelOrder checks the fault of x/time/rate's Cancel, which restores
// one token of ten when queued reservations are canceled first to last (trap
// 2). Any order restores all ten.
func TestTrapCancelOrder(t *testing.T) {
	for name, order := range map[string][]int{
		"first to last": {0, 1, 2, 3, 4, 5, 6, 7, 8, 9},
		"last to first": {9, 8, 7, 6, 5, 4, 3, 2, 1, 0},
		"mixed":         {3, 9, 0, 5, 4, 8, 1, 7, 2, 6},
	} {
		t.Run(name, func(t *testing.T) {
			var clock fakeClock
			lim := New(PerSecond(1), 1, &Options{Now: clock.now})
			lim.Allow()
			before := lim.Peek(1)
			rs := make([]Reservation, 10)
			for i := range rs {
				rs[i] = lim.Reserve(1)
				if got, want := rs[i].Delay(), time.Duration(i+1)*time.Second; got != want {
					t.Fatalf("reservation %d is due in %v, want %v", i, got, want)
				}
			}

			for _, i := range order {
				rs[i].Cancel()
				rs[i].Cancel() // again: nothing
			}
			check(t, lim.Peek(1), before, "Peek after all were canceled")
			if len(lim.holes) > 0 {
				t.Errorf("holes %v after all were canceled, want none", lim.holes)
			}
		})
	}
}

// TestTrapCancelImmediate checks that a reservation that could act at once
// gives its tokens back by Cancel at that instant, and by Return later, when
// the events may have happened: x/time/rate has no way to get them back (trap
// 2).
func TestTrapCancelImmediate(t *testing.T) {
	for name, tt := range map[string]struct {
		after  time.Duration
		cancel func(*Limiter, Reservation)
		want   int
	}{
		"at once":       {0, func(_ *Limiter, r Reservation) { r.Cancel() }, 5},
		"too late":      {1, func(_ *Limiter, r Reservation) { r.Cancel() }, 0},
		"by Return":     {1, func(l *Limiter, _ Reservation) { l.Return(5) }, 5},
		"both, at once": {0, func(l *Limiter, r Reservation) { r.Cancel(); r.Cancel() }, 5},
	} {
		var clock fakeClock
		lim := New(PerSecond(1), 5, &Options{Now: clock.now})
		r := lim.Reserve(5)
		check(t, r.OK(), true, "%s: OK of Reserve(5)", name)
		check(t, r.Delay(), 0, "%s: Delay", name)
		clock.sleep(tt.after)
		tt.cancel(lim, r)
		if got := lim.Peek(0).Remaining; got != tt.want {
			t.Errorf("%s: %d tokens left, want %d", name, got, tt.want)
		}
	}
}

// TestTrapDeferCancel checks that "defer r.Cancel()" gives nothing back for an
// event that has happened: the law holds.
func TestTrapDeferCancel(t *testing.T) {
	var clock fakeClock
	lim := New(PerSecond(1), 5, &Options{Now: clock.now})
	happened := 0
	for range 1000 {
		func() {
			r := lim.Reserve(1)
			defer r.Cancel()
			if r.Delay() == 0 {
				happened++
				clock.sleep(1) // it takes its time
			}
		}()
	}
	if happened != 5 {
		t.Errorf("%d events happened at once, want 5", happened)
	}
}

// TestCanceledPlaceIsTaken checks that the place of a canceled reservation is
// given to the next that fits, at its time, while promises after it stand.
func TestCanceledPlaceIsTaken(t *testing.T) {
	var clock fakeClock
	lim := New(PerSecond(1), 2, &Options{Now: clock.now})
	lim.AllowN(2)
	a, b, c := lim.Reserve(1), lim.Reserve(2), lim.Reserve(1) // due at 1, 3 and 4 s
	b.Cancel()
	d := lim.Reserve(1)
	check(t, a.Delay(), time.Second, "Delay of a")
	check(t, c.Delay(), 4*time.Second, "Delay of c")
	check(t, d.Delay(), 2*time.Second, "Delay of d")
	if e := lim.Reserve(2); e.Delay() != 6*time.Second { // one token is free before c: not enough
		t.Errorf("two more are due in %v", e.Delay())
	}
	clock.t = int64(3 * time.Second)
	check(t, lim.Allow(), true, "Allow at 3 s")
	check(t, lim.Allow(), false, "Allow at 3 s again")
}

// TestCanceledPlaceIsTakenByAll checks that a gate of several limits takes the
// place of a canceled reservation, too, and gives it back if another refuses.
func TestCanceledPlaceIsTakenByAll(t *testing.T) {
	var clock fakeClock
	opts := &Options{Now: clock.now}
	lim := New(PerSecond(1), 1, opts)
	lim.Allow()
	place, later := lim.Reserve(1), lim.Reserve(1)
	place.Cancel()
	clock.t = int64(time.Second)
	check(t, All(lim, New(PerHour(1), 0, opts)).Take(1).OK, false, "OK of a gate that another limit closes")
	check(t, All(lim, New(PerHour(1), 9, opts)).Take(1).OK, true, "OK of a gate with a canceled place")
	check(t, lim.Allow(), false, "Allow when the place is taken")
	check(t, later.Delay(), time.Second, "Delay of the promise behind it")
}

// TestPropCancelRestores checks three things of reservations of any size that
// are made, canceled and used at any time, mixed with Allow, across changes of
// limit: promises keep the law; times are never moved; and when every promise
// still ahead is canceled, the limiter is where it would be without them.
func TestPropCancelRestores(t *testing.T) { rapid.Check(t, propCancelRestores) }

// FuzzPropCancelRestores is TestPropCancelRestores for the fuzzer.
func FuzzPropCancelRestores(f *testing.F) { f.Fuzz(rapid.MakeFuzz(propCancelRestores)) }

func propCancelRestores(t *rapid.T) {
	var clock fakeClock
	burst := rapid.IntRange(1, 6).Draw(t, "burst")
	l := Limit{Every(time.Duration(rapid.IntRange(1, 1000).Draw(t, "token"))), burst}
	lim := New(l.Rate, l.Burst, &Options{Now: clock.now})
	type promise struct {
		r   Reservation
		due int64
		n   int
	}
	var ahead []promise
	var events []admission

	for range rapid.IntRange(1, 50).Draw(t, "steps") {
		if rapid.IntRange(0, 9).Draw(t, "same limit") == 0 {
			lim.SetLimit(l.Rate, l.Burst) // carries canceled and promised intervals over
		}
		clock.t += rapid.Int64Range(0, 2*int64(l.Rate.per)).Draw(t, "dt")
		n := rapid.IntRange(1, burst).Draw(t, "n")
		switch rapid.IntRange(0, 3).Draw(t, "op") {
		case 0:
			if lim.AllowN(n) {
				events = append(events, admission{clock.t, n})
			}
		case 1, 2:
			r := lim.Reserve(n)
			if !r.OK() {
				t.Fatalf("%d of %v: not OK", n, l)
			}
			ahead = append(ahead, promise{r, clock.t + int64(r.Delay()), n})
		case 3:
			if len(ahead) > 0 {
				i := rapid.IntRange(0, len(ahead)-1).Draw(t, "cancel")
				ahead[i].r.Cancel()
				ahead = slices.Delete(ahead, i, i+1)
			}
		}
		lim.mu.Lock()
		lim.checkLocked()
		lim.mu.Unlock()
		ahead = slices.DeleteFunc(ahead, func(p promise) bool {
			if got := clock.t + int64(p.r.Delay()); got != max(p.due, clock.t) {
				t.Fatalf("a promise for %d moved to %d", p.due, got)
			}
			if p.due > clock.t {
				return false
			}
			events = append(events, admission{p.due, p.n})
			return true
		})
	}

	for _, i := range rapid.Permutation(seq(len(ahead))).Draw(t, "order") {
		ahead[i].r.Cancel()
	}
	slices.SortStableFunc(events, func(a, b admission) int { return int(a.at - b.at) })
	checkEnvelope(t, l, 2, events)
	if spent := lim.bucket.Load(); spent.spent.Load() > spent.supply(clock.t-spent.base)+spent.capacity {
		t.Fatalf("nothing is promised, but %v is in debt", lim.Peek(1))
	}

	// The tokens left can be taken now: together with the past they keep the
	// law, and are all that it grants.
	for lim.Allow() {
		events = append(events, admission{clock.t, 1})
	}
	checkEnvelope(t, l, 2, events)
	clock.t += int64(l.Rate.per)
	if !lim.Allow() {
		t.Fatal("a token's time after the last there is none")
	}
}

func seq(n int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = i
	}
	return s
}

// TestReservationSurvivesSetLimit checks that a cancel after a change of limit
// gives back the tokens.
func TestReservationSurvivesSetLimit(t *testing.T) {
	var clock fakeClock
	lim := New(PerSecond(1), 4, &Options{Now: clock.now})
	lim.AllowN(4)
	a, b := lim.Reserve(2), lim.Reserve(2)
	lim.SetLimit(PerSecond(7), 4)
	lim.SetLimit(PerMinute(13), 4)
	check(t, a.Delay(), 2*time.Second, "Delay of a after SetLimit")
	check(t, b.Delay(), 4*time.Second, "Delay of b after SetLimit")
	b.Cancel()
	a.Cancel()
	d := lim.Peek(4)
	check(t, d.Remaining, 0, "Remaining")
	check(t, d.RetryAfter.Round(time.Microsecond), (4 * time.Minute / 13).Round(time.Microsecond), "RetryAfter of 4 tokens")
}

// TestReserveRefuses checks that a reservation which cannot be promised is
// refused.
func TestReserveRefuses(t *testing.T) {
	var clock fakeClock
	lim := New(Rate{}, 2, &Options{Now: clock.now})
	for i, ok := range []bool{true, true, false} {
		if r := lim.Reserve(1); r.OK() != ok {
			t.Errorf("reservation %d of a rate of 0: OK = %v", i, r.OK())
		}
	}
	more := New(PerSecond(1), 2, nil).Reserve(3)
	check(t, more.OK(), false, "OK of more than the burst")
	if got := more.Delay(); got <= 0 {
		t.Errorf("Delay = %v of more than the burst, want a positive one", got)
	}
	all := New(Inf, 1, nil).Reserve(math.MaxInt)
	check(t, all.OK(), true, "OK of Inf")
	check(t, all.Delay(), 0, "Delay of Inf")
	var none Reservation
	none.Cancel()
}

// TestReturnBehindPromise checks that Return frees nothing in front of a
// promise.
func TestReturnBehindPromise(t *testing.T) {
	var clock fakeClock
	lim := New(PerSecond(1), 1, &Options{Now: clock.now})
	lim.Allow()
	r := lim.Reserve(1) // due at 1 s
	lim.Return(1)
	lim.Fill()
	check(t, lim.Reserve(1).Delay(), 2*time.Second, "Delay of the second promise")
	check(t, r.Delay(), time.Second, "Delay of the first promise")
	// A change of limit carries the promise over: now a token takes 10 s, and
	// the last is 2 ahead.
	lim.SetLimit(Every(10*time.Second), 1)
	lim.Fill()
	if s := lim.Reserve(1); s.Delay() != 30*time.Second {
		t.Errorf("after SetLimit a promise is made for %v", s.Delay())
	}
}

// TestReturnPastHoles checks that Return counts only spent tokens, not canceled
// ones.
func TestReturnPastHoles(t *testing.T) {
	var clock fakeClock
	lim := New(PerHour(1), 9, &Options{Now: clock.now})
	rs := [6]Reservation{}

	for i := range rs {
		rs[i] = lim.Reserve(1)
	}
	rs[1].Cancel()
	rs[3].Cancel()
	lim.Return(1) // the place of 5
	check(t, lim.Peek(0).Remaining, 4, "Remaining after one was returned")
	check(t, len(lim.holes), 2, "holes")

	lim.Return(1) // of 4, and with it the place canceled below
	check(t, lim.Peek(0).Remaining, 6, "Remaining after another was returned")
	check(t, len(lim.holes), 1, "holes")

	lim.Drain()
	check(t, lim.Peek(1).OK, false, "OK after Drain")
	check(t, len(lim.holes), 0, "holes after Drain")

	lim.Fill()
	if got := lim.Peek(0).Remaining; got != 9 {
		t.Errorf("after Fill %d, want 9", got)
	}

	// A hole that a fall of spending cuts in two.
	a := lim.Reserve(4)
	lim.Reserve(1)
	a.Cancel()
	lim.Return(1)
	check(t, lim.Peek(0).Remaining, 9, "Remaining after a hole was cut")
	check(t, len(lim.holes), 0, "holes after the last was returned")
}

// TestCancelAfterFill checks that a token which Fill has freed is not freed
// again.
func TestCancelAfterFill(t *testing.T) {
	var clock fakeClock
	lim := New(PerHour(1), 5, &Options{Now: clock.now})
	a, b := lim.Reserve(2), lim.Reserve(2)
	lim.Fill()
	a.Cancel()
	b.Cancel()
	check(t, lim.AllowN(5), true, "AllowN(5) of a full bucket")
	check(t, lim.Allow(), false, "Allow of an empty bucket")
}

// TestWaitInCanceledPlace checks that a waiter takes a place that was canceled,
// and says so beforehand.
func TestWaitInCanceledPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lim, start := New(PerSecond(1), 1, nil), time.Now()
		lim.Allow()
		a, b := lim.Reserve(1), lim.Reserve(1) // due at 1 and 2 s
		a.Cancel()
		checkErr(t, lim.WaitMax(t.Context(), 1, time.Second), nil, "WaitMax")
		check(t, time.Since(start), time.Second, "end of WaitMax")
		check(t, b.Delay(), time.Second, "Delay of the other promise")
		checkErr(t, lim.Wait(t.Context(), 1), nil, "Wait")
		check(t, time.Since(start), 3*time.Second, "end of Wait")
	})
}

// TestCancelTwice checks that a second Cancel does not free the place, which is
// another's by then.
func TestCancelTwice(t *testing.T) {
	var clock fakeClock
	lim := New(PerSecond(1), 1, &Options{Now: clock.now})
	keyed := NewKeyed[string]([]Limit{{PerSecond(1), 1}}, &KeyedOptions{Now: clock.now})
	lim.Allow()
	keyed.Allow("key")
	for name, reserve := range map[string]func() Reservation{
		"Limiter": func() Reservation { return lim.Reserve(1) },
		"Keyed":   func() Reservation { return keyed.Reserve("key", 1) },
	} {
		first := reserve()
		again := first
		first.Cancel()
		second := reserve()
		again.Cancel()
		first.Cancel()
		third := reserve()
		if got := second.Delay(); got != time.Second {
			t.Errorf("%s: the second is due in %v, want 1s", name, got)
		}
		if got := third.Delay(); got != 2*time.Second {
			t.Errorf("%s: the third is due in %v, want 2s", name, got)
		}
	}
}

// TestSpansCut checks that an interval which is taken whole leaves the others.
func TestSpansCut(t *testing.T) {
	for name, tt := range map[string]struct{ cut, want spans }{
		"the first":  {spans{{0, 2}}, spans{{4, 6}, {8, 9}}},
		"the second": {spans{{4, 6}}, spans{{0, 2}, {8, 9}}},
		"the last":   {spans{{8, 9}}, spans{{0, 2}, {4, 6}}},
		"a part":     {spans{{4, 5}}, spans{{0, 2}, {5, 6}, {8, 9}}},
	} {
		got := spans{{0, 2}, {4, 6}, {8, 9}}.cut(tt.cut[0])
		if !slices.Equal(got, tt.want) {
			t.Errorf("without %s: %v, want %v", name, got, tt.want)
		}
	}
}

// TestReservingLeavesHoles checks that a hole which a canceled reservation left
// is not for those who leave a reserve: nothing would stay behind.
func TestReservingLeavesHoles(t *testing.T) {
	var clock fakeClock
	lim := New(PerSecond(1), 2, &Options{Now: clock.now})
	first := lim.Reserve(1)
	lim.Reserve(1)
	lim.Reserve(1) // a promise for later
	first.Cancel()
	check(t, lim.TakeReserving(1, 1), false, "TakeReserving of the only token")
	check(t, lim.Allow(), true, "Allow of it")
	check(t, lim.Allow(), false, "Allow of none")
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

// TestSpansCarryEmpty checks that an interval which is less than a unit of the
// new limit is gone, and not an empty one.
func TestSpansCarryEmpty(t *testing.T) {
	l := New(PerHour(1), 1000, nil)
	b := l.bucket.Load()
	l.SetLimit(PerSecond(1e9), 1000)
	check(t, len(spans{{5, 6}}.carry(b)), 0, "intervals")
}

// TestSpansPrune checks that an interval ends before the supply that is its
// end.
func TestSpansPrune(t *testing.T) {
	for v, want := range map[int64]int{4: 2, 5: 1, 6: 1, 9: 0, 10: 0} {
		check(t, len(spans{{0, 5}, {7, 9}}.prune(v)), want, "intervals above %d", v)
	}
}
