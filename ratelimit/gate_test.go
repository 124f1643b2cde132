// SPDX-License-Identifier: MIT

package ratelimit

import (
	"testing"
	"time"
)

// TestAllKeepsCanceledPlace checks that a token from the place of a canceled
// reservation is not lost when the next gate of All refuses: Return could not
// put it back in front of the promise behind it.
func TestAllKeepsCanceledPlace(t *testing.T) {
	var clock fakeClock
	lim := New(PerSecond(1), 2, &Options{Now: clock.now})
	lim.AllowN(2)
	a, b := lim.Reserve(1), lim.Reserve(1) // due at 1 and 2 s
	a.Cancel()
	clock.sleep(time.Second)

	closed := New(Rate{}, 0, nil)
	for range 3 {
		d := All(lim, closed).Take(1)
		check(t, d.OK, false, "OK")
		check(t, d.Gate, 1, "gate of the refusal")
	}
	if got := lim.Allow(); !got {
		t.Errorf("Allow = %v, want true: the place of the canceled reservation", got)
	}
	check(t, lim.Allow(), false, "Allow again")
	check(t, b.Delay(), time.Second, "Delay of the other promise")
}

// TestStripedRefusalTakesNothing checks that a request that is refused leaves
// all tokens where they were, those in stripes too, and that Return finds room
// in a stripe if the shared bucket is full.
func TestStripedRefusalTakesNothing(t *testing.T) {
	var clock fakeClock
	s := NewStriped(PerSecond(1), 1600, &Options{Now: clock.now})
	s.Allow()
	clock.sleep(time.Hour) // the shared bucket is full
	stashed := s.Stats().Stashed
	total := stashed + s.shared.Peek(0).Remaining
	if stashed == 0 {
		t.Fatal("no tokens in stripes")
	}

	for range 3 {
		if got := s.AllowN(total + 1); got {
			t.Errorf("AllowN(%d) = %v with %d tokens", total+1, got, total)
		}
		if got := s.Stats().Stashed + s.shared.Peek(0).Remaining; got != total {
			t.Errorf("%d tokens left after a refusal, want %d", got, total)
		}
	}
	check(t, s.Stats().Denied, 3, "Denied")
	mustPanic(t, "got 255", func() { s.SetLimit(PerSecond(1), 255) })
	s.checkStash(t)
	if got := s.AllowN(total); !got {
		t.Errorf("AllowN(%d) = %v with as many tokens", total, got)
	}

	// A token of a stripe that comes back while the shared bucket is full.
	s = NewStriped(PerSecond(1), 1600, &Options{Now: clock.now})
	s.Allow()
	clock.sleep(time.Hour)
	s.shared.Fill()
	total = s.Stats().Stashed + s.shared.Peek(0).Remaining
	for range 20 {
		All(s, New(Rate{}, 0, nil)).Take(1)
	}
	if got := s.Stats().Stashed + s.shared.Peek(0).Remaining; got != total {
		t.Errorf("%d tokens left after All refused, want %d", got, total)
	}
}

// TestAllNested checks that an All within an All takes and gives back as its
// gates do, and that decisions name the outer gate and the tier.
func TestAllNested(t *testing.T) {
	var clock fakeClock
	opts := &Options{Now: clock.now}
	day := NewQuota(10, Daily(nil), opts)
	keyed := NewKeyed[int]([]Limit{{PerSecond(1), 5}, {PerHour(1), 2}}, &KeyedOptions{Now: clock.now})
	g := All(New(PerSecond(1), 9, opts), All(day, keyed.Gate(1)))
	check(t, g.Take(2), Decision{OK: true, Limit: 2, ResetAfter: 2 * time.Hour, Window: 2 * time.Hour, Tier: 1, Gate: 1}, "Take(2)")
	check(t, g.Take(1), Decision{Limit: 2, RetryAfter: time.Hour, ResetAfter: 2 * time.Hour, Window: 2 * time.Hour, Tier: 1, Gate: 1}, "Take(1)")
	check(t, g.Peek(1), g.Take(1), "Peek(1)")

	slow, fast := New(PerHour(1), 1, opts), New(PerSecond(1), 1, opts)
	slow.Drain()
	fast.Drain()
	check(t, All(fast, All(slow)).Take(1), Decision{Limit: 1, RetryAfter: time.Hour, ResetAfter: time.Hour, Window: time.Hour, Gate: 1}, "Take(1)")
	wide := New(PerHour(1), 2, opts)
	wide.Drain()
	check(t, All(wide, fast).Take(2).Gate, 1, "Gate of the one that refuses for good")
	check(t, All(fast, wide).Take(2).Gate, 0, "Gate of the one that refuses for good")
	check(t, All(slow, slow).Take(1).Gate, 0, "Gate of two alike that refuse")
	check(t, All(fast, fast).Take(0).Gate, 0, "Gate of two alike")

	if got := day.Peek(0).Remaining; got != 8 {
		t.Errorf("%d left of the day, want 8", got)
	}
	g.Return(1)
	if got := day.Peek(0).Remaining; got != 9 {
		t.Errorf("%d left of the day after Return(1), want 9", got)
	}
}

// TestDenyEverything checks limits that admit nothing: the zero Limit, "0/s"
// and a burst of 0.
func TestDenyEverything(t *testing.T) {
	closed, err := ParseLimit("0/s")
	if err != nil {
		t.Fatal(err)
	}
	lim := New(PerSecond(5), 1, nil)
	lim.SetLimit(PerSecond(5), 0)
	shared := NewShared(NewMemStore(nil), []Limit{closed}, nil)

	for name, g := range map[string]Gate{
		"zero":     New(Rate{}, 0, nil),
		"rate":     New(PerSecond(5), 0, nil),
		"SetLimit": lim,
		"parsed":   New(closed.Rate, closed.Capacity(), nil),
		"Keyed":    NewKeyed[int]([]Limit{closed}, nil).Gate(1),
		"Shared":   shared.Gate(t.Context(), "key"),
	} {
		for range 2 {
			d := g.Take(1)
			checkNever(t, d, "%s: Take(1)", name)
			check(t, d.Limit, 0, "%s: Limit", name)
			check(t, d.Remaining, 0, "%s: Remaining", name)
		}
		if d := g.Take(0); !d.OK {
			t.Errorf("%s: Take(0) = %+v, want OK", name, d)
		}
	}

	if got := lim.Limit(); got != (Limit{}) {
		t.Errorf("Limit() = %v, want the zero Limit", got)
	}
	lim.SetLimit(PerSecond(5), 3)
	if got := lim.TakeUpTo(5); got != 3 {
		t.Errorf("TakeUpTo(5) = %d after the limit was opened, want 3", got)
	}
}
