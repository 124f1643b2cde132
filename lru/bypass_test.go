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
		sh.mu.Lock()
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

// hammer runs change again and again while two goroutines look, each on a
// thread of its own that the system may stop anywhere, until they set stop or
// the time is over. Both pass whatever the schedule is, if there is no fault.
func hammer(look func(stop *atomic.Bool, rng *rand.Rand), change func(i uint64)) {
	d := 2 * time.Second
	if testing.Short() || raceEnabled {
		d = 200 * time.Millisecond
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	var stop atomic.Bool
	var wg sync.WaitGroup
	for w := range uint64(2) {
		wg.Go(func() { look(&stop, rand.New(rand.NewPCG(w, 3))) })
	}
	begin := time.Now()
	for i := uint64(0); !stop.Load() && time.Since(begin) < d; i++ {
		change(i)
	}
	stop.Store(true)
	wg.Wait()
}

// TestBypassExcludes: no change begins or ends while a lookup is in the bypass.
func TestBypassExcludes(t *testing.T) {
	var l biasedLock
	r := &readers{stripes: make([]stripe, 2)}
	var changes, passed atomic.Int64
	look := func(stop *atomic.Bool, _ *rand.Rand) {
		for !stop.Load() {
			in := l.enter()
			if in == nil {
				continue
			}
			before := changes.Load()
			for range 8 {
				stop.Load()
			}
			if after := changes.Load(); before%2 != 0 || after != before {
				t.Errorf("a lookup has passed by from step %d to step %d of changes", before, after)
				stop.Store(true)
			}
			in.others.Add(1)
			passed.Add(1)
		}
	}

	hammer(look, func(uint64) {
		l.Lock()
		changes.Add(1)
		changes.Add(1)
		l.bypass.Store(r)
		l.Unlock()
		for range 50 {
			changes.Load() // let lookups come in
		}
	})
	if passed.Load() == 0 {
		t.Error("no lookup has passed the lock by")
	}
}

// TestBypassLate: a lookup that counts itself in when a change has come turns
// back, and the change does not wait for it any more.
func TestBypassLate(t *testing.T) {
	var l biasedLock
	r := &readers{stripes: make([]stripe, 1)}
	in := &r.stripes[0]
	in.entered.Add(1)
	l.bypass.Store(r)
	if l.admit(in) != in || in.isEmpty() {
		t.Error("a lookup turns back from an open bypass")
	}
	l.bypass.Store(nil)
	if l.admit(in) != nil {
		t.Error("a lookup enters a bypass that is closed")
	}
	if !in.isEmpty() {
		t.Error("a lookup that has turned back is still counted as inside")
	}
	if l.enter() != nil || !in.isEmpty() {
		t.Error("a lookup enters a bypass that is closed")
	}
}

// A page is torn if its words differ. To copy it takes most of the time of a
// lookup.
type page [4096]uint64

// fill makes all words v.
func (p *page) fill(v uint64) {
	for i := range p {
		p[i] = v
	}
}

// TestBypassTorn has goroutines look up what others set, delete, clear and let
// grow all the time, while the bypass opens before each change: no value is
// torn, or of another key.
func TestBypassTorn(t *testing.T) {
	const keys = 4 // from 1: the value of a free slot is 0
	load := func(_ context.Context, key uint64) (p page, err error) {
		p.fill(key)
		return p, nil
	}
	c := New(keys-1, &Options[uint64, page]{Shards: 1, Load: load})
	look := func(stop *atomic.Bool, rng *rand.Rand) {
		var v page
		for i := 0; !stop.Load(); i++ {
			key := 1 + uint64(rng.IntN(keys))
			ok := true
			switch i % 8 {
			case 0:
				v, _ = c.Load(context.Background(), key)
			case 1:
				v, ok = c.Peek(key)
			default:
				v, ok = c.Get(key)
			}
			if first, last := v[0], v[len(v)-1]; ok && (first != last || first%1000 != key) {
				t.Errorf("Get(%d) begins with %d and ends with %d, want equal words, %[1]d modulo 1000", key, first, last)
				stop.Store(true)
			}
		}
	}

	rng := rand.New(rand.NewPCG(9, 9))
	var v page
	hammer(look, func(i uint64) {
		key := 1 + uint64(rng.IntN(keys))
		c.openBypasses()
		v.fill(key + 1000*i) // lets lookups come in
		switch {
		case i%100 == 0:
			c.Clear() // the slab grows again
		case i%5 == 0:
			c.Delete(key)
		default:
			c.Set(key, v)
		}
	})
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

// TestBypassQueue: lookups that have waited for a change do not close the
// bypass that was opened meanwhile, one after the other: they pass by.
func TestBypassQueue(t *testing.T) {
	c := New(100, &Options[string, int]{Shards: 1})
	c.Set("a", 1)
	c.openBypasses()
	mu := &c.shards[0].mu
	in := mu.enterOrLock()
	if in == nil {
		t.Fatal("the lookup has the lock, want it in the bypass")
	}
	if mu.bypass.Load() == nil {
		t.Error("the lookup has closed the bypass, want it open")
	}
	in.others.Add(1)
	if !mu.mu.TryLock() {
		t.Fatal("the lookup has left the lock locked")
	}
	mu.Unlock()
}

// TestBypassBars has lookups of one shard overlap without end, all in one
// stripe: a change of another shard does not wait forever.
func TestBypassBars(t *testing.T) {
	c := New(100, &Options[uint64, int]{Shards: 2, Hash: func(k uint64) uint64 { return k }})
	r := &readers{stripes: make([]stripe, 1)}
	c.readers.Store(r)
	c.openBypasses()
	key := uint64(0) // of the first shard
	for c.shardOf(c.hash(key)) != &c.shards[0] {
		key++
	}

	other := &c.shards[1].mu
	in := other.enter()
	done := make(chan struct{})
	go func() { // ends when it has found a moment without lookups
		c.Set(key, 1)
		close(done)
	}()
	for i := 0; ; i++ {
		runtime.Gosched()
		next := other.enter()
		if next == nil {
			break
		}
		in.others.Add(1)
		in = next
		if i == 10_000_000 {
			t.Error("a change waits while lookups of another shard come and go")
			break
		}
	}

	// A lookup of the other shard that comes now takes its lock, and the bypass
	// is open again for those that come after it.
	in.others.Add(1)
	<-done
	if got := r.barred.Load(); got != 0 {
		t.Errorf("barred by %d changes after the last, want 0", got)
	}
	if in := other.enter(); in == nil {
		t.Error("the bypass of the other shard is closed, want it open")
	} else {
		in.others.Add(1)
	}
	c.checkIdle(t)
}

// TestBypassBarred: while lookups are barred, one takes the lock, and closes
// the bypass for that.
func TestBypassBarred(t *testing.T) {
	c := New(100, &Options[string, int]{Shards: 1})
	c.Set("a", 1)
	c.openBypasses()
	r := c.readers.Load()
	r.barred.Add(1)
	before := c.passed()
	if v, ok := c.Get("a"); v != 1 || !ok {
		t.Errorf("Get = %d, %v, want 1, true", v, ok)
	}
	if got := c.passed() - before; got != 0 {
		t.Errorf("%d lookups passed by, want 0", got)
	}
	r.barred.Add(-1)
	if c.shards[0].mu.bypass.Load() != nil {
		t.Error("a lookup that was barred has left the bypass open")
	}
	c.checkIdle(t)
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
			t.Errorf("%v: %d lookups passed by where they should not, want 0", p, got)
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

// TestBypassLeft: a lookup that has read the clock long ago tells the time left
// by the clock of the shard, as it does with the lock.
func TestBypassLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(10, &Options[string, int]{Shards: 1})
		early := c.reading()
		time.Sleep(time.Hour)
		c.SetTTL("a", 1, time.Minute)
		c.openBypasses()
		_, left, seen := c.passOrLock(&c.shards[0], c.hash("a"), "a", early, loading)
		if left != time.Minute || seen != present {
			t.Errorf("%v left, sighting %d, want a minute, %d", left, seen, present)
		}
	})
}

// TestBypassAge: where ages are kept, Load needs the lock, and does not open a
// bypass only to close it the next time.
func TestBypassAge(t *testing.T) {
	load := func(_ context.Context, key int) (int, error) { return key, nil }
	c := New(10, &Options[int, int]{Shards: 1, TrackAge: true, Load: load})
	c.Set(1, 1)
	for range 2 * calmHits {
		if v, err := c.Load(t.Context(), 1); v != 1 || err != nil {
			t.Errorf("Load = %d, %v, want 1", v, err)
		}
	}
	if c.shards[0].mu.bypass.Load() != nil {
		t.Error("Load has opened a bypass that it cannot use")
	}
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

	// The other goroutine runs when the system lets it.
	barred := &c.readers.Load().barred
	for start := time.Now(); barred.Load() == 0 && time.Since(start) < 10*time.Second; {
		runtime.Gosched()
	}
	if mu.bypass.Load() != nil {
		t.Error("a change waits for a lookup with the bypass open")
	}
	if got := barred.Load(); got != 1 {
		t.Errorf("a change that waits for long has barred lookups %d times, want once", got)
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
