// SPDX-License-Identifier: MIT

package breaker

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// TestGroupBound has many goroutines ask for many keys, some of them failing: at most Max breakers are
// held, and none that is open is forgotten.
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
					_ = call(b, errBad)
					if g.Get(k) == b {
						open = append(open, k)
					}
				}
				if g.Len() > most {
					t.Errorf("%d breakers held", g.Len())
				}
			}
			for _, k := range open {
				if g.Get(k).State() != Open {
					t.Errorf("the breaker of %d was forgotten", k)
				}
			}
		})
	}
	wg.Wait()
	if s := g.Stats(); s.Len != most || s.Evicted == 0 {
		t.Errorf("%+v", s)
	}
}

// TestGroupFull fills a group with breakers that must not be forgotten: new keys are served all
// the same, by breakers that are not held.
func TestGroupFull(t *testing.T) {
	clock := &fakeClock{}
	g := NewGroup(&GroupOptions[int]{Max: 4, Options: func(int) *Options {
		return &Options{Failures: 9, FailureRatio: 1, WindowCalls: 9, StableFor: time.Minute, Now: clock.now}
	}})
	g.Get(0).ForceOpen()
	g.Get(1).ForceClosed()
	_ = call(g.Get(2), errBad)
	_ = call(g.Get(2), nil) // not in a row any more, but in the window
	g.Get(3).Trip(time.Second, nil)
	clock.sleep(time.Second)
	_ = call(g.Get(3), nil) // closed, but not yet stable
	prev := g.Stats()
	if first, second := g.Get(4), g.Get(4); first == second || g.Len() != 4 {
		t.Error("a breaker was forgotten that must not be")
	}
	if d := g.Stats().Sub(prev); d.Unheld != 2 || d.Evicted != 0 || d.Len != 4 {
		t.Errorf("%+v", d)
	}
	clock.sleep(time.Minute)
	if first, second := g.Get(4), g.Get(4); first != second {
		t.Error("a stable breaker was not forgotten")
	}
	g.Delete(0)
	g.Delete(0)
	keys := 0
	for k, b := range g.All() {
		if keys++; g.Get(k) != b || k == 0 {
			t.Errorf("All gave %d", k)
		}
	}
	for range g.All() {
		break
	}
	if keys != 3 || g.Len() != 3 {
		t.Errorf("%d keys, Len %d", keys, g.Len())
	}
}

// TestGroupSecondChance forgets what was not used lately before what was.
func TestGroupSecondChance(t *testing.T) {
	g := NewGroup(&GroupOptions[int]{Max: 16})
	for k := range 16 {
		g.Get(k)
	}
	g.Get(16) // the hand passes all, and forgets one
	var held *Breaker
	for k := 17; k < 100; k++ {
		if b := g.Get(15); held != nil && b != held {
			t.Fatalf("a key in use was forgotten for %d", k)
		} else {
			held = b
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
