// SPDX-License-Identifier: MIT

package lru

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// openBypasses opens the bypass of each shard of c that can have one, as hits
// do, and returns how many are open.
func (c *Cache[K, V]) openBypasses() (n int) {
	for i := range c.shards {
		sh := &c.shards[i]
		sh.mu.lockToLook()
		sh.mu.calm = calmHits
		c.calmLocked(sh)
		if sh.mu.bypass.Load() != nil {
			n++
		}
		sh.mu.Unlock()
	}
	return n
}

// passed returns how many lookups have gone through a bypass of c.
func (c *Cache[K, V]) passed() (n uint64) {
	if r := c.readers.Load(); r != nil {
		for i := range r.stripes {
			n += r.stripes[i].hits.Load() + r.stripes[i].misses.Load()
		}
	}
	return n
}

// A wide value is torn if its words differ.
type wide [7]uint64

func wideOf(v uint64) (w wide) {
	for i := range w {
		w[i] = v
	}
	return w
}

// TestBypassTorn has goroutines look up what others set, delete, clear and let
// grow all the time: no value is torn, or of another key.
func TestBypassTorn(t *testing.T) {
	rounds := 20_000
	if testing.Short() || raceEnabled {
		rounds = 2000
	}
	load := func(_ context.Context, key uint64) (wide, error) { return wideOf(key), nil }
	c := New(200, &Options[uint64, wide]{Shards: 2, Load: load})
	var wg sync.WaitGroup
	var stop atomic.Bool
	for w := range 2 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 3))
			for i := 0; !stop.Load(); i++ {
				key := uint64(rng.IntN(300))
				v, ok := wideOf(key), true
				switch i % 3 {
				case 0:
					v, ok = c.Get(key)
				case 1:
					v, ok = c.Peek(key)
				default:
					v, _ = c.Load(context.Background(), key)
				}
				if ok && (v != wideOf(v[0]) || v[0]%1000 != key) {
					t.Errorf("Get(%d) = %v, want words that are equal to it modulo 1000", key, v)
					return
				}
			}
		})
	}

	rng := rand.New(rand.NewPCG(9, 9))
	for i := range rounds {
		key := uint64(rng.IntN(300))
		switch {
		case i%1000 == 0:
			c.Clear() // the slabs grow again
		case i%5 == 0:
			c.Delete(key)
		default:
			c.Set(key, wideOf(key+1000*uint64(i)))
		}
		if i%4 == 0 {
			c.openBypasses()
		}
		if i%64 == 0 {
			runtime.Gosched()
		}
	}
	stop.Store(true)
	wg.Wait()
	if c.passed() == 0 {
		t.Error("no lookup has passed the lock by")
	}
	c.checkIdle(t)
}

// TestBypassOpens: it opens after calmHits hits, the next change closes it, and
// lookups under the lock alone do not.
func TestBypassOpens(t *testing.T) {
	c := New(100, &Options[string, int]{Shards: 1})
	bypass := &c.shards[0].mu.bypass
	c.Set("a", 1)
	for i := range calmHits {
		if bypass.Load() != nil {
			t.Errorf("open after %d hits, want %d", i, calmHits)
		}
		c.Get("a")
	}
	if bypass.Load() == nil {
		t.Errorf("closed after %d hits, want it open", calmHits)
	}

	c.Get("b")
	c.Has("a")
	if bypass.Load() == nil {
		t.Error("a lookup has closed the bypass, want it open")
	}
	c.Set("b", 2)
	c.Get("a")
	if bypass.Load() != nil {
		t.Error("a hit after a change finds the bypass open, want it closed")
	}
}

// TestBypassPolicies: where a hit moves the entry, or its deadline, lookups
// need the lock.
func TestBypassPolicies(t *testing.T) {
	for _, tt := range []struct {
		name string
		opts Options[int, int]
		want int
	}{
		{"TinyLFU", Options[int, int]{}, 1},
		{"FIFO", Options[int, int]{Policy: PolicyFIFO}, 1},
		{"Random", Options[int, int]{Policy: PolicyRandom}, 1},
		{"LRU", Options[int, int]{Policy: PolicyLRU}, 0},
		{"LFU", Options[int, int]{Policy: PolicyLFU}, 0},
		{"TTL", Options[int, int]{TTL: time.Hour}, 1},
		{"Idle", Options[int, int]{Idle: time.Hour}, 0},
		{"TTL and Now", Options[int, int]{TTL: time.Hour, Now: time.Now}, 0},
		{"Now", Options[int, int]{Now: time.Now}, 1},
	} {
		tt.opts.Shards = 1
		c := New(10, &tt.opts)
		c.Set(1, 1)
		if got := c.openBypasses(); got != tt.want {
			t.Errorf("%s: %d bypasses open, want %d", tt.name, got, tt.want)
		}
		c.Set(2, 2)
	}
}

// TestBypassCounts: Stats count lookups that pass by as others.
func TestBypassCounts(t *testing.T) {
	load := func(_ context.Context, key int) (int, error) { return key, nil }
	c := New(100, &Options[int, int]{Load: load})
	for i := range 10 {
		c.Set(i, i)
	}
	c.openBypasses()
	before := c.passed()
	for i := range 20 {
		c.Get(i)
		c.Has(i)
		if i < 10 {
			_, _ = c.Load(t.Context(), i)
		}
	}
	if got, want := c.passed()-before, uint64(30); got != want {
		t.Errorf("%d lookups have passed by, want %d", got, want)
	}
	_, _ = c.Load(t.Context(), 50)
	if s := c.Stats(); s.Hits != 20 || s.Misses != 11 {
		t.Errorf("%d hits and %d misses, want 20 and 11", s.Hits, s.Misses)
	}
}

// TestBypassSameVictims: a cache whose bypasses are open all the time keeps
// what one keeps that has none.
func TestBypassSameVictims(t *testing.T) {
	for _, p := range []Policy{PolicyTinyLFU, PolicyFIFO, PolicyRandom} {
		var caches [2]*Cache[uint64, int]
		for i := range caches {
			caches[i] = New(100, &Options[uint64, int]{
				Policy: p, Shards: 1, Hash: func(k uint64) uint64 { return k * 0x9e3779b97f4a7c15 },
			})
			caches[i].salt = 7
			caches[i].shards[0].rng = 1
		}

		open, locked := caches[0], caches[1]
		next := zipf(rand.New(rand.NewPCG(5, 6)), 0.9, 1000)
		for i := range 20_000 {
			k := next()
			open.openBypasses()
			got, had := open.Get(k)
			locked.shards[0].mu.calm = 0
			want, has := locked.Get(k)
			if got != want || had != has {
				t.Fatalf("%v: Get(%d) = %d, %v, want %d, %v", p, k, got, had, want, has)
			}
			if !had {
				open.Set(k, i)
				locked.Set(k, i)
			}
		}
		if got := locked.passed(); got != 0 {
			t.Errorf("%v: %d lookups passed by where they should not", p, got)
		}
		if got := open.passed(); got != 20_000 {
			t.Errorf("%v: %d lookups passed by, want all", p, got)
		}
	}
}

// TestBypassExpiry: an entry is absent from its deadline on for lookups that
// pass by, and they tell how long it will be there.
func TestBypassExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fails := errors.New("down")
		load := func(context.Context, string) (int, error) { return 0, fails }
		c := New(10, &Options[string, int]{Shards: 1, Load: load})
		c.SetTTL("a", 1, time.Minute)
		c.Set("b", 2)
		time.Sleep(time.Minute - 1)
		c.openBypasses()
		if e, err := c.LoadEntry(t.Context(), "a"); e.Value != 1 || e.Left != 1 || err != nil {
			t.Errorf("LoadEntry = %+v, %v, want 1 with 1ns left", e, err)
		}
		if e, _ := c.LoadEntry(t.Context(), "b"); e.Value != 2 || e.Left != Forever {
			t.Errorf("LoadEntry = %+v, want 2 forever", e)
		}
		if _, ok := c.Get("a"); !ok {
			t.Error("absent before its deadline")
		}
		if got := c.passed(); got != 3 {
			t.Errorf("%d lookups passed by, want 3", got)
		}

		// The timer of the cache must not be the one that removes it.
		c.alarm.timer.Stop()
		time.Sleep(time.Nanosecond)
		c.openBypasses()
		if c.Has("a") {
			t.Error("Has is true at the deadline")
		}
		c.openBypasses()
		if v, ok := c.Get("a"); ok {
			t.Errorf("Get = %d at the deadline, want it absent", v)
		}
		c.openBypasses()
		if _, err := c.Load(t.Context(), "a"); !errors.Is(err, fails) {
			t.Errorf("Load = %v at the deadline, want %v", err, fails)
		}
	})
}

// TestBypassHidden: where stale values or errors are kept for Load, lookups
// need the lock.
func TestBypassHidden(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(10, &Options[string, int]{Shards: 1, TTL: time.Minute, StaleIfError: time.Hour})
		c.Set("a", 1)
		time.Sleep(time.Minute)
		c.Len()
		if got := c.openBypasses(); got != 0 {
			t.Errorf("%d bypasses open over a stale value, want 0", got)
		}
		if v, ok := c.Get("a"); ok {
			t.Errorf("Get = %d, want it absent", v)
		}
	})
}

// TestBypassWaits: a change waits for a lookup that is in the bypass.
func TestBypassWaits(t *testing.T) {
	c := New(100, &Options[int, int]{Shards: 1})
	c.Set(1, 1)
	c.openBypasses()
	mu := &c.shards[0].mu
	in := &mu.bypass.Load().stripes[0]
	in.entered.Add(1)
	var done atomic.Bool
	ended := make(chan struct{})
	go func() { // ends when the lookup has left
		c.Set(1, 2)
		done.Store(true)
		close(ended)
	}()

	for mu.bypass.Load() != nil {
		runtime.Gosched()
	}
	for range 1000 {
		runtime.Gosched()
	}
	if done.Load() {
		t.Error("a change has not waited for a lookup that is in the bypass")
	}
	in.hits.Add(1)
	<-ended
	if got, _ := c.Get(1); got != 2 {
		t.Errorf("Get = %d, want 2", got)
	}
}

// TestBypassStripe: a stripe is empty if as many have left as have entered, on
// whatever way.
func TestBypassStripe(t *testing.T) {
	var s stripe
	for i, left := range []*atomic.Uint64{&s.hits, &s.misses, &s.others} {
		s.entered.Add(1)
		if s.isEmpty() {
			t.Errorf("empty with a lookup inside, which leaves as number %d", i)
		}
		left.Add(1)
		if !s.isEmpty() {
			t.Errorf("not empty after a lookup has left as number %d", i)
		}
	}
}
