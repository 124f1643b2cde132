// SPDX-License-Identifier: MIT

package breaker

import (
	"context"
	"maps"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestGroupBound checks that a group that many goroutines ask for many keys,
// some of them failing, holds at most Max breakers and forgets none that is
// open.
func TestGroupBound(t *testing.T) {
	const most = 50
	g := NewGroup(&GroupOptions[int]{Max: most, Options: func(int) *Options {
		return &Options{Failures: 1, OpenFor: time.Hour}
	}})

	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(i)))
			var open []int
			for range 3000 {
				k := r.IntN(1000)
				if b := g.Get(k); k%100 == 0 {
					calling(b, errBad)
					if g.Get(k) == b {
						open = append(open, k)
					}
				}
				if got := g.Len(); got > most {
					t.Errorf("%d breakers held, want at most %d", got, most)
				}
			}
			for _, k := range open {
				if got := g.Get(k).State(); got != Open {
					t.Errorf("the breaker of %d is %v, want open", k, got)
				}
			}
		})
	}
	wg.Wait()

	if s := g.Stats(); s.Len != most || s.Evicted == 0 {
		t.Errorf("Stats = %+v, want %d held and some evicted", s, most)
	}
}

// TestGroupFull checks that a group of breakers that must not be forgotten
// serves new keys nevertheless, by breakers that are not held, without a search
// for each.
func TestGroupFull(t *testing.T) {
	clock := &fakeClock{}
	g := NewGroup(&GroupOptions[int]{Max: 4, Options: func(int) *Options {
		return &Options{Failures: 9, FailureRatio: 1, WindowCalls: 9, StableFor: time.Minute, Now: clock.now}
	}})
	g.Get(0).ForceOpen()
	g.Get(1).ForceClosed()
	calling(g.Get(2), errBad, nil) // not in a row any more, but in the window
	g.Get(3).Trip(time.Second, nil)
	clock.sleep(time.Second)
	calling(g.Get(3), nil) // closed, but not yet stable

	prev := g.Stats()
	first := g.Get(4)
	g.members[0].used.Store(true) // a search would take the mark away
	for range candidates {
		if g.Get(4) == first {
			t.Fatal("a breaker was forgotten that must not be")
		}
	}
	if d := g.Stats().Sub(prev); d.Unheld != 1+candidates || d.Evicted != 0 || d.Len != 4 {
		t.Errorf("Stats changed by %+v, want %d unheld, 0 evicted, 4 held", d, 1+candidates)
	}
	if !g.members[0].used.Load() {
		t.Error("new keys searched right after a search found nothing")
	}

	clock.sleep(time.Minute)
	if first, second := g.Get(4), g.Get(4); first != second {
		t.Error("a stable breaker was not forgotten")
	}
}

// TestGroupForget checks that the history of a breaker ages out: a group whose
// keys all died once holds a new dead host, which then gets no more calls than
// a rule needs. It is forgotten at Forget exactly, and never if forced.
func TestGroupForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGroup(&GroupOptions[int]{Max: 64, Forget: 10 * time.Minute, Options: func(int) *Options {
			return &Options{Failures: 1, Jitter: -1}
		}})
		for k := range 64 {
			calling(g.Get(k), errBad)
		}
		time.Sleep(365 * 24 * time.Hour)
		synctest.Wait()

		reached := 0
		for range 1000 {
			if p, err := g.Get(1000).Allow(); err == nil {
				reached++
				p.Failure(errBad)
			}
		}
		if reached != 1 {
			t.Errorf("%d of 1000 calls reached a new dead host, want 1", reached)
		}
		g.Get(1000).Reset()
	})

	clock := &fakeClock{}
	for name, use := range map[string]func(b *Breaker){
		"failure in a row": func(b *Breaker) { clock.sleep(time.Minute); calling(b, errBad) },
		"open":             func(b *Breaker) { b.Trip(time.Nanosecond, nil); clock.sleep(1) },
		"half-open":        func(b *Breaker) { b.Trip(time.Nanosecond, nil); clock.sleep(1); b.State() },
		"lost probe": func(b *Breaker) {
			b.Trip(time.Nanosecond, nil)
			clock.sleep(1)
			admit(t, b)
			clock.sleep(5 * time.Second) // the lease ends
		},
		"recovering": func(b *Breaker) {
			_ = b.SetOptions(&Options{Recovery: time.Second, Jitter: -1})
			b.Trip(time.Nanosecond, nil)
			clock.sleep(1)
			calling(b, nil)
			clock.sleep(time.Second) // the ramp ends
		},
	} {
		g := NewGroup(&GroupOptions[int]{Max: 1, Forget: time.Hour, Options: func(int) *Options {
			return &Options{Jitter: -1, StableFor: 24 * time.Hour, Now: clock.now}
		}})
		b := g.Get(1)
		use(b)
		clock.sleep(time.Hour - 1)
		if b.idle(time.Hour) {
			t.Errorf("%s: forgotten a nanosecond before Forget", name)
		}
		clock.sleep(1)
		if g.Get(2); g.Get(1) == b {
			t.Errorf("%s: kept at Forget", name)
		}
	}

	b := New(&Options{Now: clock.now})
	calling(b, errBad)
	clock.sleep(1000 * time.Hour)
	if b.idle(-1) {
		t.Error("a negative Forget forgets")
	}
	b.ForceOpen()
	clock.sleep(1000 * time.Hour)
	if b.idle(time.Hour) {
		t.Error("a forced breaker is forgotten")
	}
}

// TestGroupPlaces checks that members know their places after evictions: to
// delete a key forgets that one and no other.
func TestGroupPlaces(t *testing.T) {
	clock := &fakeClock{}
	g := NewGroup(&GroupOptions[int]{Max: 8, Options: func(int) *Options { return &Options{Now: clock.now} }})
	for k := range 100 {
		g.Get(k)
		g.mu.Lock()
		g.checkLocked()
		g.mu.Unlock()
	}

	held := maps.Collect(g.All())
	if got := len(held); got != 8 {
		t.Fatalf("All gave %d keys, want 8", got)
	}
	for k := range held {
		g.Delete(k)
		g.Delete(k) // once more does nothing
		delete(held, k)
		if got := g.Len(); got != len(held) {
			t.Fatalf("Len = %d after Delete, want %d", got, len(held))
		}
		for k, want := range held {
			if got, ok := g.m.Load(k); !ok || got.(*member[int]).b != want {
				t.Fatalf("Load(%d) = %v, %t, want the breaker as before", k, got, ok)
			}
		}
	}
	for range g.All() {
		t.Error("an empty group has a key")
	}
}

// TestGroupShare checks that keys with the same Options share their resolved
// form.
func TestGroupShare(t *testing.T) {
	opts := &Options{Failures: 7}
	g := NewGroup(&GroupOptions[int]{Options: func(k int) *Options {
		if k == 2 {
			return &Options{Failures: 2}
		}
		return opts
	}})
	first, other, second := g.Get(0), g.Get(2), g.Get(1)
	if got := other.per.Load().cfg.Failures; got != 2 {
		t.Errorf("Failures = %d, want 2", got)
	}
	if a, b := first.per.Load().cfg.Failures, second.per.Load().cfg.Failures; a != 7 || b != 7 {
		t.Errorf("Failures = %d and %d, want 7", a, b)
	}
	if third := g.Get(3); third.per.Load().cfg != second.per.Load().cfg {
		t.Error("breakers of the same Options do not share them")
	}
	if New(nil).per.Load().cfg != NewGroup[int](nil).Get(1).per.Load().cfg {
		t.Error("breakers without Options do not share the defaults")
	}
	mustPanic(t, "Options.Failures", func() {
		NewGroup(&GroupOptions[int]{Options: func(int) *Options { return &Options{Failures: -1} }}).Get(1)
	})
}

// TestGroupVictim checks that a new key takes the place of the first key
// without a mark that knows nothing, in the order of the hand.
func TestGroupVictim(t *testing.T) {
	clock := &fakeClock{}
	g := NewGroup(&GroupOptions[int]{Max: 6, Options: func(int) *Options {
		return &Options{Failures: 9, FailureRatio: 1, SlowRatio: 1, SlowCall: time.Second, Now: clock.now}
	}})
	for k := range 6 {
		g.Get(k)
		g.members[k].used.Store(k == 1)
	}

	// 1 has a mark, and 2 has seen a failure and a slow call.
	b := g.Get(2)
	g.members[2].used.Store(false)
	calling(b, errBad)
	_ = b.Do(t.Context(), func(context.Context) error { clock.sleep(time.Second); return nil })
	g.Get(6)
	if _, ok := g.m.Load(3); ok {
		t.Error("3 is held, want it forgotten")
	}
	for _, k := range []int{0, 1, 2, 4, 5, 6} {
		if _, ok := g.m.Load(k); !ok {
			t.Errorf("%d was forgotten, want it held", k)
		}
	}
}

// TestGroupSecondChance checks that a group forgets a key that was not used
// lately before one that was, and makes one breaker for a key that many
// goroutines ask for.
func TestGroupSecondChance(t *testing.T) {
	g := NewGroup(&GroupOptions[int]{Max: 16})
	for k := range 16 {
		g.Get(k)
	}
	g.Get(16) // the hand passes all, and forgets one
	held := g.Get(15)
	if !g.members[len(g.members)-1].used.Load() {
		t.Error("a new key has no mark, so that the hand does not spare it once")
	}
	for k := 17; k < 100; k++ {
		if g.Get(15) != held {
			t.Fatalf("a key in use was forgotten for %d", k)
		}
		g.Get(k)
	}

	var wg sync.WaitGroup
	var got [8]*Breaker
	for i := range got {
		wg.Go(func() { got[i] = g.Get(1000) })
	}
	wg.Wait()
	for _, b := range got {
		if b != got[0] {
			t.Error("two breakers of one key")
		}
	}
}

// TestGroupNaN checks that keys that are not equal to themselves, and so cannot
// be forgotten by name, are not held.
func TestGroupNaN(t *testing.T) {
	type point struct{ x, y float64 }
	g := NewGroup[point](&GroupOptions[point]{Max: 4})
	for range 100 {
		g.Get(point{1, math.NaN()})
	}
	held := 0
	for range g.All() {
		held++
	}
	if s := g.Stats(); s.Len != 0 || s.Unheld != 100 || held != 0 {
		t.Errorf("Stats = %+v with %d to be seen, want none held and 100 unheld", s, held)
	}
}
