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
		if d := All(lim, closed).Take(1); d.OK || d.Gate != 1 {
			t.Errorf("All(...).Take(1) = %+v, want a refusal by gate 1", d)
		}
	}
	if got := lim.Allow(); !got {
		t.Errorf("Allow = %v, want true: the place of the canceled reservation", got)
	}
	if got := lim.Allow(); got || b.Delay() != time.Second {
		t.Errorf("Allow = %v with a promise in %v, want false and 1s", got, b.Delay())
	}
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
	if d := g.Take(2); !d.OK || d.Gate != 1 || d.Tier != 1 || d.Remaining != 0 {
		t.Errorf("Take(2) = %+v, want OK by tier 1 of gate 1", d)
	}
	if d := g.Take(1); d.OK || d.Gate != 1 || d.Tier != 1 {
		t.Errorf("Take(1) = %+v, want a refusal by tier 1 of gate 1", d)
	}
	slow, fast := New(PerHour(1), 1, opts), New(PerSecond(1), 1, opts)
	slow.Drain()
	fast.Drain()
	if d := All(fast, All(slow)).Take(1); d.OK || d.Gate != 1 || d.RetryAfter != time.Hour {
		t.Errorf("Take(1) = %+v, want the refusal of gate 1, for an hour", d)
	}
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
			if d := g.Take(1); d.OK || d.RetryAfter >= 0 || d.Limit != 0 || d.Remaining != 0 {
				t.Errorf("%s: Take(1) = %+v, want a refusal for good", name, d)
			}
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
