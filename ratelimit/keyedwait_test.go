// SPDX-License-Identifier: MIT

package ratelimit

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// TestKeyedWaitFIFO checks that waits of one key are granted in the order of
// arrival, each at its exact instant, and that keys do not wait for each other.
func TestKeyedWaitFIFO(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := NewKeyed[int]([]Limit{{PerSecond(10), 2}, {PerHour(1000), 1000}}, nil)
		start := time.Now()
		order := map[int][]int{}
		var mu sync.Mutex
		var wg sync.WaitGroup
		for key := range 2 {
			k.AllowN(key, 2)
			for i := range 10 {
				wg.Go(func() { // ends when it is granted
					if err := k.Wait(t.Context(), key, 1+i%2); err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					order[key] = append(order[key], i)
					// Waiters 0, 1, 2... ask for 1, 2, 1, 2... tokens of 100
					// ms.
					tokens := i + 1 + (i+1)/2
					if got, want := time.Since(start), time.Duration(tokens)*100*time.Millisecond; got != want {
						t.Errorf("waiter %d of key %d was granted after %v, want %v", i, key, got, want)
					}
				})
				synctest.Wait() // it is in line before the next
			}
		}
		wg.Wait()

		for key, got := range order {
			check(t, len(got), 10, "grants of key %d", key)
			if !slices.IsSorted(got) {
				t.Errorf("key %d: order of grants %v, want that of arrival", key, got)
			}
		}
		check(t, k.lines.waiting.Load(), 0, "lines counted")
		check(t, len(k.lines.byKey), 0, "lines left over")
	})
}

// A grant is the time at which a waiter got its tokens.
type grant struct {
	at     time.Duration
	waiter int
}

// inOrder reports whether waiters were served in the order of arrival. Those of
// one instant run in any order.
func inOrder(list []grant) bool {
	slices.SortFunc(list, func(a, b grant) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.waiter, b.waiter))
	})
	return slices.IsSortedFunc(list, func(a, b grant) int { return cmp.Compare(a.waiter, b.waiter) })
}

// TestPropKeyedWait checks, for waiters of two tiers that arrive and give up at
// any time in a bubble, beside Allow and Reserve, the law of each tier, the
// order of the grants, and that afterwards the bucket is as if those that gave
// up had never come.
func TestPropKeyedWait(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { rapid.SyncTest(t, propKeyedWait) })
}

func propKeyedWait(t *rapid.T) {
	limits := []Limit{
		{Every(100 * time.Millisecond), rapid.IntRange(1, 3).Draw(t, "burst")},
		{Every(250 * time.Millisecond), rapid.IntRange(3, 9).Draw(t, "long")},
	}
	k := NewKeyed[string](limits, nil)
	start := time.Now()
	var mu sync.Mutex
	var events []admission
	var order []grant
	happen := func(n int) { events = append(events, admission{int64(time.Since(start)), n}) }

	var wg sync.WaitGroup
	for i := range rapid.IntRange(1, 12).Draw(t, "callers") {
		n := rapid.IntRange(1, limits[0].Burst).Draw(t, "n")
		patience := time.Duration(rapid.IntRange(1, 3000).Draw(t, "patience")) * time.Millisecond
		switch rapid.IntRange(0, 5).Draw(t, "how") {
		case 0:
			if k.AllowN("key", n) {
				mu.Lock()
				happen(n)
				mu.Unlock()
			}
		case 1:
			k.Charge("key", n)
		default:
			wg.Go(func() { // ends when it is granted or out of patience
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				defer cancel()
				giveUp, stop := context.WithCancel(context.Background())
				defer stop()
				context.AfterFunc(ctx, stop)
				if k.Wait(giveUp, "key", n) == nil {
					mu.Lock()
					defer mu.Unlock()
					happen(n)
					order = append(order, grant{time.Since(start), i})
				}
			})
			synctest.Wait()
		}
		time.Sleep(time.Duration(rapid.IntRange(0, 400).Draw(t, "gap"))*time.Millisecond + 1)
	}
	wg.Wait()

	if !inOrder(order) {
		t.Fatalf("order of grants %v, want that of arrival", order)
	}
	for _, l := range limits {
		checkEnvelope(t, l, 2, events)
	}
	k.lines.mu.Lock()
	defer k.lines.mu.Unlock()
	k.lines.checkLocked()
	if n := len(k.lines.byKey); n != 0 {
		t.Fatalf("%d lines are left over, want 0", n)
	}
}

// TestKeyedWaitCancelLosesNothing checks that waits that are given up leave the
// bucket as if they had never come, whether at the head of the line or behind.
func TestKeyedWaitCancelLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := NewKeyed[int]([]Limit{{PerSecond(10), 1}, {PerHour(100), 100}}, nil)
		k.Allow(1)
		before := k.Tiers(1)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() { // ends with ctx
				if err := k.Wait(ctx, 1, 1); !errors.Is(err, context.Canceled) {
					t.Errorf("err = %v, want canceled", err)
				}
			})
		}
		synctest.Wait()
		cancel()
		wg.Wait()
		if got := k.Tiers(1); !slices.Equal(got, before) {
			t.Errorf("after 20 canceled waits %+v, want %+v", got, before)
		}
	})
}

// TestKeyedWaitRefusals checks the errors of waits that fail at once, that they
// take nothing, and the bound of the line at its last place.
func TestKeyedWaitRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := NewKeyed[int]([]Limit{{PerSecond(1), 2}}, &KeyedOptions{MaxQueue: 2})
		k.AllowN(1, 2)
		soon, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		done, cancelDone := context.WithCancel(t.Context())
		cancelDone()
		none := NewKeyed[int]([]Limit{{PerSecond(1), 1}}, &KeyedOptions{MaxQueue: -1})
		none.Allow(1)
		for _, tt := range []struct {
			name string
			err  error
			want error
		}{
			{"deadline", k.Wait(soon, 1, 1), context.DeadlineExceeded},
			{"max", k.WaitMax(t.Context(), 1, 1, 999*time.Millisecond), ErrLimited},
			{"max zero", k.WaitMax(t.Context(), 1, 1, 0), ErrLimited},
			{"burst", k.Wait(t.Context(), 1, 3), ErrBurst},
			{"done", k.Wait(done, 1, 1), context.Canceled},
			{"no queue", none.Wait(t.Context(), 1, 1), ErrLimited},
		} {
			if !errors.Is(tt.err, tt.want) {
				t.Errorf("%s: err = %v, want %v", tt.name, tt.err, tt.want)
			}
		}
		if d := k.Peek(1, 1); d.RetryAfter != time.Second {
			t.Errorf("Peek = %+v after refusals, want a retry in 1s", d)
		}

		// Two may wait, and the third may not.
		var granted atomic.Int64
		for range 2 {
			go func() { // ends when it is granted
				if k.Wait(t.Context(), 1, 1) == nil {
					granted.Add(1)
				}
			}()
		}
		synctest.Wait()
		if err := k.Wait(t.Context(), 1, 1); !errors.Is(err, ErrLimited) {
			t.Errorf("err = %v with 2 of 2 in line, want ErrLimited", err)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := granted.Load(); got != 2 {
			t.Errorf("%d granted, want 2", got)
		}
	})
}

// TestKeyedWaitServedByOthers checks that changes of a bucket serve those that
// wait for it, and that a limit that became too small refuses them.
func TestKeyedWaitServedByOthers(t *testing.T) {
	for name, tt := range map[string]struct {
		do   func(*Keyed[int])
		want time.Duration
		err  error
	}{
		"Return":    {func(k *Keyed[int]) { k.Return(1, 2) }, time.Second, nil},
		"Delete":    {func(k *Keyed[int]) { k.Delete(1) }, time.Second, nil},
		"Clear":     {func(k *Keyed[int]) { k.Clear() }, time.Second, nil},
		"SetLimits": {func(k *Keyed[int]) { k.SetLimits(Limit{Rate: Inf}) }, time.Second, nil},
		"smaller":   {func(k *Keyed[int]) { k.SetLimits(Limit{PerSecond(1), 1}) }, time.Second, ErrBurst},
		"Charge":    {func(k *Keyed[int]) { k.Charge(1, 1) }, 30 * time.Second, nil},
		"Drain":     {func(k *Keyed[int]) { k.Drain(1) }, 21 * time.Second, nil},
		"another":   {func(k *Keyed[int]) { k.Return(2, 1) }, 20 * time.Second, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := NewKeyed[int]([]Limit{{Every(10 * time.Second), 2}}, nil)
				start := time.Now()
				k.AllowN(1, 2)
				time.AfterFunc(time.Second, func() { tt.do(k) })

				checkErr(t, k.Wait(t.Context(), 1, 2), tt.err, "Wait")
				check(t, time.Since(start), tt.want, "time of Wait")
			})
		})
	}
}

// TestKeyedWaitPlanChange checks that a waiter whose key moves to other limits
// gives back its tokens by those, when it gives up.
func TestKeyedWaitPlanChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := NewKeyed[int]([]Limit{{PerSecond(1), 1}}, nil)
		k.Allow(1)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { checkErr(t, k.Wait(ctx, 1, 1), context.Canceled, "Wait") })
		synctest.Wait()
		other := Limit{PerSecond(1000), 1}
		check(t, k.TakeLimits(1, 1, other).RetryAfter, 2*time.Millisecond, "RetryAfter with a waiter ahead")
		cancel()
		wg.Wait()
		check(t, k.TakeLimits(1, 1, other).RetryAfter, time.Millisecond, "RetryAfter after it gave up")
	})
}

// TestKeyedReserve checks promises of several tiers: each is due when all tiers
// have its tokens, and the last may be canceled.
func TestKeyedReserve(t *testing.T) {
	var clock fakeClock
	limits := []Limit{{PerSecond(1), 1}, {Every(10 * time.Second), 3}}
	k := NewKeyed[int](limits, &KeyedOptions{Now: clock.now})
	var rs []Reservation
	for i, want := range []time.Duration{0, 1, 2, 10, 20} {
		r := k.Reserve(1, 1)
		check(t, r.OK(), true, "OK of reservation %d", i)
		check(t, r.Delay(), want*time.Second, "Delay of reservation %d", i)
		rs = append(rs, r)
	}
	if got := k.Allow(1); got {
		t.Errorf("Allow = %v in front of promises", got)
	}

	rs[3].Cancel() // the next stands on it
	if got := k.Reserve(1, 1).Delay(); got != 30*time.Second {
		t.Errorf("the next is due in %v, want 30s", got)
	}
	r := k.Reserve(1, 1)
	before := k.Tiers(1)
	k.Reserve(1, 1).Cancel()
	if got := k.Tiers(1); !slices.Equal(got, before) {
		t.Errorf("after a cancel %+v, want %+v", got, before)
	}

	// After its time a cancel gives nothing back.
	clock.sleep(r.Delay() + 1)
	before = k.Tiers(1)
	r.Cancel()
	if got := k.Tiers(1); !slices.Equal(got, before) {
		t.Errorf("after a late cancel %+v, want %+v", got, before)
	}
	if r := k.Reserve(1, 2); r.OK() {
		t.Errorf("Reserve(2) = %+v of a burst of 1, want a refusal", r)
	}
}

// TestSharedWait checks that a wait sleeps until tokens come, fails at once if
// they cannot come in time, and ends with its context.
func TestSharedWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewShared(NewMemStore(nil), []Limit{{PerSecond(1), 2}}, nil)
		start := time.Now()
		for i, want := range []time.Duration{0, 0, time.Second, 2 * time.Second} {
			checkErr(t, s.Wait(t.Context(), "key", 1), nil, "wait %d", i)
			check(t, time.Since(start), want, "end of wait %d", i)
		}

		soon, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		err := s.Wait(soon, "key", 1)
		checkErr(t, err, context.DeadlineExceeded, "Wait beyond the deadline")
		checkErr(t, err, ErrLimited, "Wait beyond the deadline")
		if err := s.Wait(t.Context(), "key", 3); !errors.Is(err, ErrBurst) {
			t.Errorf("err = %v, want ErrBurst", err)
		}
		closed := NewShared(NewMemStore(nil), []Limit{{Rate{}, 1}}, nil)
		_ = closed.Wait(t.Context(), "key", 1)
		if err := closed.Wait(t.Context(), "key", 1); !errors.Is(err, ErrLimited) {
			t.Errorf("err = %v, want ErrLimited: the tokens never come", err)
		}

		ctx, stop := context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, stop)
		if err := s.Wait(ctx, "key", 1); !errors.Is(err, context.Canceled) {
			t.Errorf("err = %v, want canceled", err)
		}
	})
}

// TestKeyedChangeBesideWait checks that a change of one key takes effect while
// others wait for another.
func TestKeyedChangeBesideWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := NewKeyed[int]([]Limit{{Every(time.Second), 5}}, nil)
		k.AllowN(1, 5)
		go func() { _ = k.Wait(t.Context(), 1, 1) }() // ends after a second
		synctest.Wait()
		k.Charge(2, 4)
		if got := k.Peek(2, 0).Remaining; got != 1 {
			t.Errorf("%d left of key 2, want 1", got)
		}
		k.Return(2, 2)
		if got := k.Peek(2, 0).Remaining; got != 3 {
			t.Errorf("%d left of key 2 after Return, want 3", got)
		}
		time.Sleep(time.Second)
	})
}

// TestKeyedWaitMaxBeside checks that a key is not refused because others wait
// for another key.
func TestKeyedWaitMaxBeside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := NewKeyed[string]([]Limit{{PerHour(1), 1}}, nil)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if err := k.WaitMax(ctx, "alone", 1, 0); err != nil {
			t.Errorf("WaitMax while nobody waits: err = %v, want nil", err)
		}
		k.Allow("busy")
		go func() { _ = k.Wait(ctx, "busy", 1) }() // ends with ctx
		synctest.Wait()

		if err := k.WaitMax(ctx, "idle", 1, 0); err != nil {
			t.Errorf("the first WaitMax: err = %v, want nil", err)
		}
		if err := k.WaitMax(ctx, "idle", 1, 0); !errors.Is(err, ErrLimited) {
			t.Errorf("the second WaitMax: err = %v, want ErrLimited", err)
		}
	})
}

// TestKeyedWaitForRoom checks that Wait for a key for which a full table has no
// room ends when it has, or at once if that is too late.
func TestKeyedWaitForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := NewKeyed[int]([]Limit{{PerSecond(1), 10}}, &KeyedOptions{MaxKeys: 16, DenyNew: true})
		for key := 0; k.Len() < 16; key++ { // the two sets of a key may be one
			k.AllowN(key, 2)
		}
		start := time.Now()
		if err := k.WaitMax(t.Context(), -1, 1, time.Second); !errors.Is(err, ErrLimited) {
			t.Errorf("WaitMax: err = %v, want ErrLimited", err)
		}
		if err := k.WaitMax(t.Context(), -1, 1, 2*time.Second); err != nil {
			t.Errorf("WaitMax of two seconds: err = %v, want nil", err)
		}
		if got := time.Since(start); got != 2*time.Second {
			t.Errorf("the wait took %v, want 2s, when a key is forgotten", got)
		}

		never := NewKeyed[int]([]Limit{{Rate{}, 10}}, &KeyedOptions{MaxKeys: 16, DenyNew: true})
		for key := 0; never.Len() < 16; key++ {
			never.Allow(key)
		}
		if err := never.WaitMax(t.Context(), -1, 1, time.Hour); !errors.Is(err, ErrLimited) {
			t.Errorf("WaitMax for room that never comes: err = %v, want ErrLimited", err)
		}
	})
}

// TestKeyedWaitOverflow checks that the tokens owed to a line do not overflow.
func TestKeyedWaitOverflow(t *testing.T) {
	if math.MaxInt == math.MaxInt32 {
		t.Skip("a burst is below 2^31")
	}
	synctest.Test(t, func(t *testing.T) {
		const burst = math.MaxInt/4 + 1 // 2^61
		k := NewKeyed[string]([]Limit{{PerSecond(1), burst}}, nil)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		k.AllowN("key", burst)
		for range 4 { // the first holds a promise
			go func() { _ = k.Wait(ctx, "key", burst) }() // ends with ctx
		}
		synctest.Wait()
		if err := k.Wait(ctx, "key", burst); !errors.Is(err, ErrLimited) {
			t.Errorf("err = %v, want ErrLimited", err)
		}
	})
}

// TestKeyedWaitOfHeldKey checks that a key which has its place waits for its
// tokens, and not for room in a full table.
func TestKeyedWaitOfHeldKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := NewKeyed[int]([]Limit{{PerSecond(1), 2}}, &KeyedOptions{MaxKeys: 16, DenyNew: true})
		k.Charge(-1, 10) // one is there in 9 s, and the place is free in 10
		for i := range 100 {
			k.Charge(i, 1000)
		}
		checkErr(t, k.WaitMax(t.Context(), -1, 1, 9*time.Second), nil, "WaitMax")
		check(t, k.Stats().Evicted, 0, "Evicted")
	})
}

// TestKeyedWaitWithoutRoom checks that changes of the buckets do not make the
// line of a key longer whose head has no tokens kept for it, since the table
// has no room.
func TestKeyedWaitWithoutRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := NewKeyed[int]([]Limit{{PerSecond(1), 1}}, &KeyedOptions{MaxKeys: 16, DenyNew: true})
		for i := range 100 {
			k.Charge(i, 100)
		}
		for range 2 { // the second behind the first
			go func() { checkErr(t, k.Wait(t.Context(), -1, 1), nil, "Wait") }() // ends when there is room
		}
		synctest.Wait()
		for range 1000 {
			k.Return(-1, 0)
			k.SetLimits(Limit{PerSecond(1), 1})
		}
		checkErr(t, k.WaitMax(t.Context(), -1, 1, 100*time.Second), nil, "WaitMax")
		synctest.Wait()
	})
}

// TestKeyedWaitKeepsOwed checks that changes of a bucket do not make the line
// behind it shorter: a wait that is too long is refused.
func TestKeyedWaitKeepsOwed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := NewKeyed[int]([]Limit{{PerSecond(1), 1}}, nil)
		check(t, k.Allow(1), true, "Allow")
		for range 2 {
			go func() { checkErr(t, k.Wait(t.Context(), 1, 1), nil, "Wait") }() // ends after 1 s, and 2
			synctest.Wait()                                                     // the second finds the first in line
		}
		for range 10 {
			k.Return(1, 0)
		}
		checkErr(t, k.WaitMax(t.Context(), 1, 1, 3*time.Second-1), ErrLimited, "WaitMax of less than 3 s")
		checkErr(t, k.WaitMax(t.Context(), 1, 1, 3*time.Second), nil, "WaitMax of 3 s")
		check(t, k.Stats().Denied, 1, "Denied") // the first that had to wait
	})
}

// TestKeyedWaitServedAtOnce checks a wait whose tokens come between the look at
// the bucket and the line.
func TestKeyedWaitServedAtOnce(t *testing.T) {
	var clock fakeClock
	k := NewKeyed[int]([]Limit{{PerSecond(1), 1}}, &KeyedOptions{Now: func() time.Time {
		clock.sleep(time.Second / 2) // with each look
		return clock.now()
	}})
	for range 10 {
		checkErr(t, k.Wait(t.Context(), 1, 1), nil, "Wait")
	}
	check(t, len(k.lines.byKey), 0, "lines")
}

// TestReserveAfterForgotten checks that a key which is held is promised its
// tokens by its own readings, whatever the table forgot at later ones.
func TestReserveAfterForgotten(t *testing.T) {
	var clock fakeClock
	k := NewKeyed[int]([]Limit{{PerSecond(1), 1}}, &KeyedOptions{MaxKeys: 16, Now: clock.now})
	clock.t = int64(10 * time.Second)
	k.Charge(-1, 5)
	k.table.shards[0].forgot = int64(time.Minute) // of another key
	check(t, k.Reserve(-1, 1).Delay(), 5*time.Second, "Delay")
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
