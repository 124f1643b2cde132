// SPDX-License-Identifier: MIT

package ratelimit

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// TestWaitFIFO checks that waits are granted in the order of arrival, each at
// its exact instant.
func TestWaitFIFO(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lim, start := New(PerSecond(10), 2, nil), time.Now()
		lim.AllowN(2)
		var mu sync.Mutex
		var order []int
		var wg sync.WaitGroup

		for i := range 20 {
			wg.Go(func() {
				if err := lim.Wait(t.Context(), 1+i%2); err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				order = append(order, i)
				// Waiters 0, 1, 2... ask for 1, 2, 1, 2... tokens of 100 ms.
				tokens := i + 1 + (i+1)/2
				if got, want := time.Since(start), time.Duration(tokens)*100*time.Millisecond; got != want {
					t.Errorf("waiter %d was granted after %v, want %v", i, got, want)
				}
			})
			synctest.Wait() // it is in line before the next
		}
		wg.Wait()

		for i, got := range order {
			if got != i {
				t.Fatalf("order of grants %v", order)
			}
		}
	})
}

// TestPropWaitCancel checks, for waiters of any size that arrive and give up at
// any time, that those that stay are granted in order and exactly when they
// would have been had the others never come. Since a waiter in front may hold
// tokens for a while, the model is the queue itself.
func TestPropWaitCancel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { rapid.SyncTest(t, propWaitCancel) })
}

// propWaitCancel runs in a bubble.
func propWaitCancel(t *rapid.T) {
	const step = 100 * time.Millisecond // of one token
	lim := New(Every(step), 3, nil)
	type waiter struct {
		n              int
		arrive, giveUp time.Duration
		granted        time.Duration
		err            error
	}

	ws := make([]waiter, rapid.IntRange(1, 8).Draw(t, "waiters"))
	at := time.Duration(0)

	for i := range ws {
		at += time.Duration(rapid.IntRange(1, 200).Draw(t, "gap"))*time.Millisecond + time.Duration(i+1)
		ws[i] = waiter{n: rapid.IntRange(1, 3).Draw(t, "n"), arrive: at, giveUp: at + time.Hour}
		if rapid.Bool().Draw(t, "cancels") {
			ws[i].giveUp = at + time.Duration(rapid.IntRange(1, 900).Draw(t, "patience"))*time.Millisecond + 500*time.Microsecond
		}
	}

	lim.AllowN(3)
	start := time.Now()
	var wg sync.WaitGroup

	for i := range ws {
		w := &ws[i]
		wg.Go(func() {
			time.Sleep(w.arrive)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			stop := time.AfterFunc(w.giveUp-w.arrive, cancel)
			defer stop.Stop()
			w.err = lim.Wait(ctx, w.n)
			w.granted = time.Since(start)
		})
	}
	wg.Wait()

	check(t, lim.owed, 0, "tokens owed in the end")
	check(t, lim.queue.length.Load(), 0, "waiters in the end")

	// The model: the first waiter in line that has not given up by the time its
	// tokens are there gets them.
	spent, free := time.Duration(0), time.Duration(0) // refill time used; when the line moves on

	for i, w := range ws {
		// A full bucket holds 3 tokens: refill before ready-3·step is lost to
		// nobody waiting.
		begin := max(w.arrive, free)
		base := max(spent, begin-3*step)
		ready := max(begin, base+time.Duration(w.n)*step)
		if ready > w.giveUp {
			if !errors.Is(w.err, context.Canceled) || w.granted != w.giveUp {
				t.Fatalf("waiter %d of %+v: err %v at %v, want canceled at %v", i, ws, w.err, w.granted, w.giveUp)
			}
			// It stood at the head from begin on, or left before: the next
			// moves up then.
			free = max(free, min(begin, w.giveUp))
			if w.giveUp > begin {
				free = w.giveUp
			}
			continue
		}
		if w.err != nil || w.granted != ready {
			t.Fatalf("waiter %d of %+v: err %v at %v, want a grant at %v", i, ws, w.err, w.granted, ready)
		}
		spent, free = base+time.Duration(w.n)*step, ready
	}
}

// TestTrapCanceledWaitsLoseNothing checks the fault of failsafe-go's canceled
// AcquirePermit, which keeps its permits: there 20 canceled waits make the next
// wait 2.1 s long instead of 0.1 s (trap 6).
func TestTrapCanceledWaitsLoseNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lim := New(PerSecond(10), 1, nil)
		lim.Allow()
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if err := lim.Wait(ctx, 1); !errors.Is(err, context.Canceled) {
					t.Errorf("err = %v, want %v", err, context.Canceled)
				}
			})
		}
		synctest.Wait()
		cancel()
		wg.Wait()
		start := time.Now()
		checkErr(t, lim.Wait(t.Context(), 1), nil, "Wait")
		check(t, time.Since(start), 100*time.Millisecond, "time of Wait")
	})
}

// TestWaitLongRun checks that thousands of waits, some of them canceled at
// random, pass at the rate.
func TestWaitLongRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 3000
		lim, start, rng := New(PerSecond(1000), 1, nil), time.Now(), rand.New(rand.NewPCG(1, 2))
		var granted atomic.Int64
		var wg sync.WaitGroup

		for range n {
			patience := time.Duration(rng.Int64N(int64(4 * time.Second)))
			wg.Go(func() {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				stop := time.AfterFunc(patience, cancel)
				defer stop.Stop()
				if lim.Wait(ctx, 1) == nil {
					granted.Add(1)
				}
			})
		}
		wg.Wait()

		took := time.Since(start)

		// Every token of the time that somebody waited was used: one was there
		// at the start.
		if got, most := granted.Load(), 1+took.Milliseconds(); got > most || got < most*9/10 {
			t.Errorf("%d granted in %v, want %d to %d", got, took, most*9/10, most)
		}

		lim.mu.Lock()
		defer lim.mu.Unlock()
		check(t, lim.queue.first(), nil, "first in line")
		check(t, lim.queue.length.Load(), 0, "length of the line")
		check(t, lim.owed, 0, "tokens owed")
		check(t, lim.timer, nil, "timer")
		check(t, len(lim.holes), 0, "holes")
	})
}

// TestWaitRefusals checks the errors of waits that fail at once, and that they
// take nothing.
func TestWaitRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lim := New(PerSecond(1), 2, nil)
		lim.AllowN(2)
		soon, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		done, cancelDone := context.WithCancel(t.Context())
		cancelDone()
		start := time.Now()

		for _, tt := range []struct {
			name string
			err  error
			want []error
		}{
			{"deadline", lim.Wait(soon, 1), []error{context.DeadlineExceeded, ErrLimited}},
			{"max", lim.WaitMax(t.Context(), 1, 999*time.Millisecond), []error{ErrLimited}},
			{"max zero", lim.WaitMax(t.Context(), 1, 0), []error{ErrLimited}},
			{"burst", lim.Wait(t.Context(), 3), []error{ErrBurst}},
			{"done", lim.Wait(done, 1), []error{context.Canceled}},
		} {
			for _, want := range tt.want {
				if !errors.Is(tt.err, want) {
					t.Errorf("%s: err = %v, want %v", tt.name, tt.err, want)
				}
			}
		}
		var we *WaitError
		err := lim.WaitMax(t.Context(), 2, time.Second)
		if !errors.As(err, &we) {
			t.Fatalf("err = %#v, want a WaitError", err)
		}
		check(t, we.N, 2, "N")
		check(t, we.Delay, 2*time.Second, "Delay")
		check(t, errors.Is(err, context.DeadlineExceeded), false, "err wraps DeadlineExceeded")

		for want, err := range map[string]error{
			"ratelimit: wait would be too long: 2s for 2":              lim.WaitMax(t.Context(), 2, 1),
			"ratelimit: more tokens than the burst: 3 asked for":       lim.Wait(t.Context(), 3),
			"ratelimit: wait would be too long: the tokens never come": func() error { l := New(Rate{}, 1, nil); l.Drain(); return l.WaitMax(t.Context(), 1, time.Hour) }(),
		} {
			if err == nil || err.Error() != want {
				t.Errorf("err = %v, want %s", err, want)
			}
		}

		if time.Since(start) != 0 {
			t.Errorf("a refusal took %v, want 0", time.Since(start))
		}

		if d := lim.Peek(1); d.RetryAfter != time.Second {
			t.Errorf("refusals took tokens: %+v", d)
		}

		checkErr(t, lim.WaitMax(t.Context(), 1, time.Second), nil, "WaitMax")
		check(t, time.Since(start), time.Second, "time of WaitMax")
	})
}

// TestWaitServedByOthers checks that Return, Fill and SetLimit serve the
// waiters, and that a limit that became too small refuses them.
func TestWaitServedByOthers(t *testing.T) {
	for name, tt := range map[string]struct {
		do   func(*Limiter)
		want time.Duration
		err  error
	}{
		"Return":       {func(l *Limiter) { l.Return(1) }, time.Second, nil},
		"Fill":         {func(l *Limiter) { l.Fill() }, time.Second, nil},
		"SetLimit":     {func(l *Limiter) { l.SetLimit(Every(2*time.Second), 2) }, 2800 * time.Millisecond, nil}, // 0.9 tokens short,
		"SetLimit Inf": {func(l *Limiter) { l.SetLimit(Inf, 1) }, time.Second, nil},
		"smaller":      {func(l *Limiter) { l.SetLimit(PerSecond(1), 1) }, time.Second, ErrBurst},
		"Charge":       {func(l *Limiter) { l.Charge(5) }, 20 * time.Second, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				lim, start := New(Every(10*time.Second), 2, nil), time.Now()
				lim.AllowN(2)
				time.AfterFunc(time.Second, func() { tt.do(lim) })

				n := 2
				if name == "Return" || name == "SetLimit" {
					n = 1
				}
				checkErr(t, lim.Wait(t.Context(), n), tt.err, "Wait")
				check(t, time.Since(start), tt.want, "time of Wait")
				check(t, lim.owed, 0, "tokens owed afterwards")
				check(t, lim.queue.length.Load(), 0, "waiters afterwards")
				check(t, lim.timer, nil, "timer afterwards")
			})
		})
	}
}

// TestWaitNoBarging checks that Allow cannot take the tokens of the first in
// line.
func TestWaitNoBarging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lim := New(PerSecond(10), 5, nil)
		lim.AllowN(5)
		done := make(chan error, 1)
		go func() { done <- lim.Wait(t.Context(), 5) }() // ends after 500 ms
		synctest.Wait()
		for range 49 {
			time.Sleep(10 * time.Millisecond)
			if lim.Allow() {
				t.Fatal("Allow took a token that is kept for the waiter")
			}
		}
		time.Sleep(10 * time.Millisecond)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestWaitFrozenClock checks that a wait by a clock of the user's ends when
// that clock moves.
func TestWaitFrozenClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at atomic.Int64
		lim := New(PerSecond(1), 1, &Options{Now: func() time.Time { return time.Unix(0, at.Load()) }})
		lim.Allow()
		time.AfterFunc(5*time.Second, func() { at.Store(int64(time.Second)) })
		start := time.Now()
		checkErr(t, lim.Wait(t.Context(), 1), nil, "Wait")
		if got := time.Since(start); got < 5*time.Second || got > 6*time.Second {
			t.Errorf("Wait took %v, want 5s to 6s", got)
		}
	})
}

// TestWaitLateTimer checks that waiters behind each other lose nothing by
// timers that are late, here by 10 tokens: a pacer keeps its rate.
func TestWaitLateTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at atomic.Int64
		lim := New(Every(time.Millisecond), 1, &Options{Now: func() time.Time { return time.Unix(0, at.Load()) }})
		lim.Allow()
		granted := atomic.Int64{}

		for range 15 {
			go func() {
				if lim.Wait(t.Context(), 1) == nil {
					granted.Add(1)
				}
			}()
		}
		synctest.Wait()
		at.Store(int64(10 * time.Millisecond))
		time.Sleep(5 * time.Millisecond)
		if got := granted.Load(); got != 10 {
			t.Errorf("%d granted at 10 ms, want 10", got)
		}

		lim.Fill() // pays the debt of the eleventh's wait: it and nobody else goes
		synctest.Wait()
		if got := granted.Load(); got != 11 {
			t.Errorf("%d granted after Fill, want 11", got)
		}

		lim.SetLimit(Inf, 1)
		synctest.Wait()
	})
}

// TestWaitNoCatchUp checks the limit of that: time that a waiter held before it
// gave up is not made up for by those behind it.
func TestWaitNoCatchUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lim := New(PerSecond(1), 10, nil)
		lim.AllowN(10)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = lim.Wait(ctx, 10) }() // until 10 s
		synctest.Wait()
		granted := atomic.Int64{}
		lim.SetLimit(PerSecond(1), 10)

		for range 12 {
			go func() {
				if lim.Wait(t.Context(), 1) == nil {
					granted.Add(1)
				}
			}()
		}
		time.Sleep(9900 * time.Millisecond)
		cancel()
		synctest.Wait()
		if got := granted.Load(); got != 9 { // tokens that the bucket holds
			t.Errorf("%d granted when the first gave up, want 9", got)
		}
		time.Sleep(10 * time.Second)
	})
}

// TestTrapSynctestBubbles checks that one limiter serves several bubbles and
// the outside: nothing that belongs to a bubble stays in it (trap 15).
func TestTrapSynctestBubbles(t *testing.T) {
	lim, slow := New(PerSecond(1000), 1, nil), New(PerSecond(1000), 1, nil)

	for range 3 {
		synctest.Test(t, func(t *testing.T) {
			checkErr(t, slow.Wait(t.Context(), 1), nil, "Wait")
			checkErr(t, slow.Wait(t.Context(), 1), nil, "Wait again")
			lim.Fill()
			start := time.Now()
			for range 5 {
				if err := lim.Wait(t.Context(), 1); err != nil {
					t.Fatal(err)
				}
			}
			if got := time.Since(start); got != 4*time.Millisecond {
				t.Errorf("5 waits took %v", got)
			}
			for range 3 { // one behind the other
				go func() { checkErr(t, lim.Wait(t.Context(), 1), nil, "Wait in line") }() // ends when it is served
			}
			time.Sleep(time.Second)
		})
	}

	// Made in a bubble, decades from the base of the process: readings start at
	// 0 there too.
	synctest.Test(t, func(t *testing.T) {
		lim := New(PerSecond(1), 1, nil)
		check(t, lim.Allow(), true, "Allow of a new limiter in a bubble")
		check(t, lim.Allow(), false, "Allow again")
		time.Sleep(100 * 365 * 24 * time.Hour)
		check(t, lim.Allow(), true, "Allow after a century")
		check(t, lim.Allow(), false, "Allow after a century again")
	})
}

// TestNoGoroutines checks that nothing is left running.
func TestNoGoroutines(t *testing.T) {
	before := runtime.NumGoroutine()
	lim := New(PerSecond(1e6), 1, nil)
	keyed := NewKeyed[int]([]Limit{{PerSecond(1), 1}}, nil)
	for i := range 1000 {
		keyed.Allow(i)
		if err := lim.Wait(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
	}
	for start := time.Now(); time.Since(start) < 10*time.Second; {
		if runtime.NumGoroutine() <= before {
			return
		}
		runtime.Gosched()
	}
	t.Errorf("%d goroutines, were %d", runtime.NumGoroutine(), before)
}

// TestRefused checks that a breaker around a call can tell a refusal of a
// limiter within it from a failure of the call.
func TestRefused(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	lim := New(PerDay(1), 1, nil)
	lim.Allow()
	c := NewConcurrency(1, &ConcurrencyOptions{MaxQueue: -1})
	if _, err := c.Acquire(ctx); err != nil {
		t.Fatal(err)
	}
	_, full := c.Acquire(ctx)

	for name, err := range map[string]error{
		"deadline": lim.Wait(ctx, 1),
		"WaitMax":  lim.WaitMax(ctx, 1, 0),
		"burst":    lim.Wait(ctx, 2),
		"queue":    full,
	} {
		r, ok := errors.AsType[interface {
			error
			Refused() bool
		}](err)
		if !ok {
			t.Errorf("%s: err = %v, want one with Refused", name, err)
		} else {
			check(t, r.Refused(), true, "%s: Refused", name)
		}
	}
}

// TestWaitDelayInLine checks that the length of a wait counts those ahead.
func TestWaitDelayInLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lim := New(PerSecond(1), 10, nil)
		lim.AllowN(10)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for range 3 { // the first holds its tokens
			go func() { _ = lim.Wait(ctx, 5) }() // ends with ctx
		}
		synctest.Wait()

		err := lim.WaitMax(ctx, 1, 15*time.Second)
		we, ok := errors.AsType[*WaitError](err)
		if !ok {
			t.Fatalf("err = %v, want a WaitError", err)
		}
		check(t, we.Delay, 16*time.Second, "Delay")
	})
}

// TestWaitShort checks that a wait for less than a millisecond is as short as
// it must be, if the clock is that of the system.
func TestWaitShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lim := New(Every(10*time.Microsecond), 1, nil)
		keyed := NewKeyed[int]([]Limit{{Every(10 * time.Microsecond), 1}}, nil)
		lim.Allow()
		keyed.Allow(1)
		start := time.Now()
		checkErr(t, lim.Wait(t.Context(), 1), nil, "Wait of the Limiter")
		check(t, time.Since(start), 10*time.Microsecond, "time of the Limiter")
		keyed.Allow(1)
		start = time.Now()
		checkErr(t, keyed.Wait(t.Context(), 1, 1), nil, "Wait of the Keyed")
		check(t, time.Since(start), 10*time.Microsecond, "time of the Keyed")
	})
}

// TestDelayOfNothing checks that a waiter which finds its tokens there, since
// they came on its way into the line, waits for no time and not forever.
func TestDelayOfNothing(t *testing.T) {
	var clock fakeClock
	lim := New(PerSecond(1), 1, &Options{Now: clock.now})
	lim.mu.Lock()
	defer lim.mu.Unlock()
	b, d := lim.currentLocked(clock.t)
	check(t, lim.delayLocked(b, d, 1), 0, "delay")
}

// TestWaitOverflow checks that the tokens owed to a line do not overflow.
func TestWaitOverflow(t *testing.T) {
	if math.MaxInt == math.MaxInt32 {
		t.Skip("a burst is below 2^31")
	}
	synctest.Test(t, func(t *testing.T) {
		lim := New(PerSecond(1), mostBurst, nil)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		lim.AllowN(mostBurst)
		for range 4 { // the first holds a place
			go func() { _ = lim.Wait(ctx, mostBurst) }() // ends with ctx
		}
		synctest.Wait()
		checkErr(t, lim.Wait(ctx, mostBurst), ErrLimited, "Wait")
	})
}

// TestWaitForeverSleeps checks that a wait which nothing ends but its context
// does not wake up again and again: before a rate of 0, and behind the largest
// debt.
func TestWaitForeverSleeps(t *testing.T) {
	for name, rate := range map[string]Rate{"rate of 0": {}, "debt": PerSecond(1)} {
		synctest.Test(t, func(t *testing.T) {
			reads := 0
			lim := New(rate, 1, &Options{Now: func() time.Time { reads++; return time.Now() }})
			for range 4 {
				lim.Charge(math.MaxInt)
			}
			ctx, cancel := context.WithCancel(t.Context())
			go func() { // ends with ctx
				checkErr(t, lim.Wait(ctx, 1), context.Canceled, "%s: Wait", name)
			}()
			synctest.Wait()
			before := reads
			time.Sleep(time.Second)
			check(t, reads, before, "%s: readings of the clock in a second", name)
			cancel()
			synctest.Wait()
		})
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

// TestWaitMaxOfOne checks that the shortest time to spare is not none.
func TestWaitMaxOfOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(PerSecond(1e9), 1, nil)
		check(t, l.Allow(), true, "Allow")
		checkErr(t, l.WaitMax(t.Context(), 1, 1), nil, "WaitMax of 1 ns")
		checkErr(t, l.WaitMax(t.Context(), 1, 0), ErrLimited, "WaitMax of 0")
	})
}
