// SPDX-License-Identifier: MIT

package ratelimit

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

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
