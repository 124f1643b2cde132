// SPDX-License-Identifier: MIT

package lru

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

// An answer is what a call returned, or left behind, and what it should be.
type answer struct {
	of        string
	got, want any // a wanted error may be wrapped
}

// checkAnswers reports each answer that is not as it should be. The calls were
// made in the order of the list.
func checkAnswers(t interface {
	Helper()
	Errorf(format string, args ...any)
}, answers ...answer,
) {
	t.Helper()
	for _, a := range answers {
		err, _ := a.got.(error)
		want, isError := a.want.(error)
		if isError && errors.Is(err, want) || !isError && reflect.DeepEqual(a.got, a.want) {
			continue
		}
		t.Errorf("%s = %v (%[2]T), want %v (%[3]T)", a.of, a.got, a.want)
	}
}

// TestOptionsValidate checks which options are valid, and the words of the
// errors.
func TestOptionsValidate(t *testing.T) {
	type options = Options[int, int]
	for want, o := range map[string]*options{
		"Options.TTL must not be negative":  {TTL: -1},
		"Options.Idle must not be negative": {Idle: -1},
		"Options.Jitter must be":            {TTL: 1, Jitter: 1},
		"Options.Jitter must be at least":   {TTL: 1, Jitter: -0.1},
		"less than 1, got NaN":              {TTL: 1, Jitter: math.NaN()},
		"Options.Jitter needs":              {Jitter: 0.5},
		"Options.Policy is unknown: 5":      {Policy: 5},
		"Options.Shards must be a power":    {Shards: 3},
		"up to 65536, got 131072":           {Shards: 1 << 17},
		"got -1":                            {Shards: -1},
	} {
		if err := o.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", *o, err, want)
		}
		mustPanic(t, "lru: Options", func() { New(1, o) })
	}

	for _, o := range []*options{
		nil,
		{},
		{TTL: Forever, Idle: Forever, Jitter: math.Nextafter(1, 0), Policy: PolicyRandom, Shards: 1 << 16},
		{TTLOf: func(int, int) time.Duration { return 1 }, Jitter: 0.5},
	} {
		if err := o.Validate(); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// TestPanics checks the words of the panics, those of zero values among them.
func TestPanics(t *testing.T) {
	c := New[any, int](10, nil)
	mustPanic(t, "lru: capacity must be positive, got 0", func() { New[int, int](0, nil) })
	mustPanic(t, "lru: capacity must be positive, got -1", func() { c.Resize(-1) })
	mustPanic(t, "lru: Attr.Cost must not be negative, got -1", func() { c.SetAttr(1, 1, Attr{Cost: -1}) })
	mustPanic(t, "lru: Attr.Priority must be -1, 0 or 1, got 2", func() { c.SetAttr(1, 1, Attr{Priority: 2}) })
	mustPanic(t, "lru: zero Cache: use New", func() { new(Cache[int, int]).Get(1) })

	ctx := context.Background()
	var b Behind[int, int]
	for _, use := range []func(){
		func() { _, _ = b.Load(ctx, 1) },
		func() { _ = b.Set(ctx, 1, 1) },
		func() { _ = b.Delete(ctx, 1) },
		func() { _ = b.Flush(ctx) },
		func() { b.GiveUp() },
		func() { _ = b.Close(ctx) },
	} {
		mustPanic(t, "lru: zero Behind: use NewBehind", use)
	}
	if got := b.Stats(); got != (BehindStats{}) {
		t.Errorf("Stats = %+v, want zeros", got)
	}
	if got := b.Pending(); got != 0 {
		t.Errorf("Pending = %d, want 0", got)
	}

	var w Through[int, int]
	for _, use := range []func(){
		func() { _, _ = w.Load(ctx, 1) },
		func() { _ = w.Set(ctx, 1, 1) },
		func() { _ = w.Around(ctx, 1, 1) },
		func() { _ = w.Delete(ctx, 1) },
	} {
		mustPanic(t, "lru: zero Through: use NewThrough", use)
	}
	// A key that cannot be compared panics before a lock is taken, whoever
	// hashes it.
	d := New(10, &Options[any, int]{Hash: func(any) uint64 { return 1 }})

	for _, c := range []*Cache[any, int]{c, d} {
		mustPanic(t, "hash of unhashable type", func() { New[any, int](1, nil).Set([]int{1}, 1) })

		// A comparison with NaN ends before the slice.
		for _, key := range []any{[]int{1}, [2]any{math.NaN(), []int{1}}} {
			for _, f := range []func(){
				func() { c.Set(key, 1) }, func() { c.Get(key) }, func() { c.Delete(key) },
			} {
				mustPanic(t, "[]int", f)
				if !c.shards[0].mu.mu.TryLock() {
					t.Fatalf("a shard is locked after a panic over the key %v", key)
				}
				c.shards[0].mu.Unlock()
			}
		}
		checkAnswers(t, answer{"Set after a panic", c.Set(1, 1), true}, answer{"Len", c.Len(), 1})
	}
}

// TestUpdatePanic leaves everything as it was, and nothing locked.
func TestUpdatePanic(t *testing.T) {
	c := New[int, int](10, nil)
	c.Set(1, 1)
	mustPanic(t, "fn", func() { c.Update(1, func(int, bool) (int, bool) { panic("fn") }) })
	if v, ok := c.Get(1); v != 1 || !ok {
		t.Errorf("Get = %d, %v, want 1, true", v, ok)
	}
	c.checkCost()
}

// TestSetRefused removes the old value of a key whose new one is not stored: it
// is stale.
func TestSetRefused(t *testing.T) {
	type event struct {
		key   string
		value int
		cause string
	}
	var events []event
	c := New(10, &Options[string, int]{
		Cost:     func(_ string, v int) int { return v },
		OnRemove: func(k string, v int, cause Cause) { events = append(events, event{k, v, cause.String()}) },
	})
	c.Set("a", 1)
	c.Set("b", 2)
	checkAnswers(t,
		answer{"Set of what is too large", c.Set("a", 11), false},
		answer{"Has of its key", c.Has("a"), false},
		answer{"Has of another", c.Has("b"), true},
		answer{"SetTTL of what is too old", c.SetTTL("b", 3, 0), false},
		answer{"Has of its key", c.Has("b"), false},
	)

	want := "[{a 1 Replaced} {a 11 Rejected} {b 2 Replaced} {b 3 Expired}]"
	if got := fmt.Sprint(events); got != want {
		t.Errorf("events %v, want %v", events, want)
	}
	nan := New[float64, int](10, nil)
	checkAnswers(t, answer{"Set(NaN)", nan.Set(math.NaN(), 1), false}, answer{"Len", nan.Len(), 0})
	if v, ok := nan.Update(math.NaN(), func(int, bool) (int, bool) { return 1, true }); ok || v != 0 {
		t.Errorf("Update(NaN) = %d, %v, want 0, false", v, ok)
	}
	if v, loaded := nan.GetOrSet(math.NaN(), 7); loaded || v != 7 {
		t.Errorf("GetOrSet(NaN) = %d, %v, want 7, false", v, loaded)
	}
}

// TestPins keeps what is pinned in a full cache, refuses what would need its
// room, and gives way to Resize in the end.
func TestPins(t *testing.T) {
	for _, shards := range []int{1, 4} {
		c := New(4, &Options[int, int]{Shards: shards})
		for i := range 4 {
			c.Set(i, i)
			if !c.Pin(i) {
				t.Fatalf("Pin(%d)", i)
			}
		}

		t.Logf("%d shards", shards)
		checkAnswers(t,
			answer{"Set beside pinned entries", c.Set(9, 9), false},
			answer{"Has", c.Has(9), false},
			answer{"Len", c.Len(), 4},
		)
		if _, ok := c.Update(9, func(int, bool) (int, bool) { return 9, true }); ok {
			t.Errorf("%d shards: Update found room", shards)
		}
		checkAnswers(t,
			answer{"Pin of an absent key", c.Pin(9), false},
			answer{"Unpin of an absent key", c.Unpin(9), false},
			answer{"Set of a pinned key", c.Set(2, 22), true},
		)

		c.Unpin(2)
		checkAnswers(t,
			answer{"Set after an Unpin", c.Set(9, 9), true},
			answer{"Has of the one without a pin", c.Has(2), false},
			answer{"Resize", c.Resize(1), 3},
			answer{"Len", c.Len(), 1},
			answer{"Has of the one that was not pinned", c.Has(9), false},
		)

		c.checkCost()
	}
}

// TestUnpinKeepsPlace unpins what is not pinned: it keeps its place.
func TestUnpinKeepsPlace(t *testing.T) {
	for _, p := range []Policy{PolicyLRU, PolicyFIFO, PolicyLFU} {
		c := New(2, &Options[string, int]{Shards: 1, Policy: p})
		c.Set("a", 1)
		c.Set("b", 2)
		checkAnswers(t, answer{"Unpin", c.Unpin("a"), true}, answer{"Set", c.Set("c", 3), true})
		if c.Has("a") || !c.Has("b") {
			t.Errorf("%v: a is there: %v, b: %v, want false, true", p, c.Has("a"), c.Has("b"))
		}
	}
}

// TestPriority evicts the lowest first, and nothing for what is lower.
func TestPriority(t *testing.T) {
	for p := range PolicyRandom + 1 {
		c := New(3, &Options[string, int]{Shards: 1, Policy: p})
		c.SetAttr("high", 1, Attr{Priority: 1})
		c.SetAttr("low", 1, Attr{Priority: -1})
		c.Set("normal", 1)
		c.Set("a", 1)
		t.Log(p)
		checkAnswers(t,
			answer{"Has(low)", c.Has("low"), false},
			answer{"Has(normal)", c.Has("normal"), true},
			answer{"Has(high)", c.Has("high"), true},
		)

		c.SetAttr("b", 1, Attr{Priority: 1})
		c.SetAttr("c", 1, Attr{Priority: 1})
		checkAnswers(t,
			answer{"Set beside high ones", c.Set("d", 1), false},
			answer{"SetAttr beside high ones", c.SetAttr("e", 1, Attr{Priority: -1}), false},
			answer{"Len", c.Len(), 3},
		)
		c.Set("high", 2) // keeps its priority
		checkAnswers(t,
			answer{"SetAttr of a high one", c.SetAttr("f", 1, Attr{Priority: 1}), true},
			answer{"Has", c.Has("f"), true},
			answer{"Len", c.Len(), 3},
		)

		c.checkCost()
	}
}

// TestStats checks what each counter counts, Sub, and the ratios.
func TestStats(t *testing.T) {
	now := time.Unix(0, 0)
	c := New(2, &Options[int, int]{
		Shards: 1, Policy: PolicyFIFO, TrackAge: true, Now: func() time.Time { return now },
		Cost: func(_, v int) int { return v },
	})
	c.Set(1, 1)
	now = now.Add(time.Second)
	c.Set(2, 1)
	c.Get(1)
	c.Get(3)
	before := c.Stats()

	now = now.Add(time.Second)
	c.Set(4, 1) // evicts 1, two seconds old
	c.Set(4, 1) // replaces
	c.Set(5, 3) // too large
	c.GetOrSet(4, 1)
	c.GetOrSet(6, 1) // evicts 2, one second old
	c.Delete(6)
	c.SetTTL(7, 1, time.Second)
	now = now.Add(time.Second)
	c.Clear()

	got := c.Stats().Sub(before)
	want := Stats{
		Hits: 1, Misses: 1, Added: 3, Evicted: 2, EvictedCost: 2, EvictedAge: 3 * time.Second,
		Expired: 1, Deleted: 1, Replaced: 1, Invalidated: 1, Rejected: 1, Cap: 2,
	}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	checkAnswers(t,
		answer{"HitRatio", got.HitRatio(), 0.5},
		answer{"MeanEvictedAge", got.MeanEvictedAge(), 1500 * time.Millisecond},
		answer{"HitRatio of nothing", Stats{}.HitRatio(), 0.0},
		answer{"MeanLoadTime of nothing", Stats{}.MeanLoadTime(), time.Duration(0)},
		answer{"MeanLoadTime", Stats{Loads: 2, LoadTime: 3}.MeanLoadTime(), time.Duration(1)},
		answer{"MeanEvictedAge of nothing", Stats{}.MeanEvictedAge(), time.Duration(0)},
	)
}

// TestNames checks the names of policies and causes, of unknown ones too.
func TestNames(t *testing.T) {
	var names []string
	for p := range PolicyRandom + 2 {
		names = append(names, p.String())
	}
	for c := range causes + 1 {
		names = append(names, c.String())
	}
	want := "TinyLFU LRU LFU FIFO Random Policy(5) Cause(0) Evicted Expired Deleted Replaced Invalidated Rejected Cause(7)"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestLoopOverCapacity is capacity 3 over 1, 2, 3, 4, 1, 2, 3, 4 and so on: LRU
// always misses; the default and LFU do not.
func TestLoopOverCapacity(t *testing.T) {
	var keys []uint64
	for i := range 4000 {
		keys = append(keys, uint64(i%4))
	}
	if n := replayExact(NewLRU[uint64, struct{}](3), keys); n != 0 {
		t.Errorf("LRU: %d hits, want 0", n)
	}
	if n := replay(fixedCache(3, PolicyLRU), keys); n != 0 {
		t.Errorf("PolicyLRU: %d hits, want 0", n)
	}
	if n := replay(fixedCache(3, PolicyTinyLFU), keys); n < 900 {
		t.Errorf("PolicyTinyLFU: %d hits, want at least 900", n)
	}
}

// TestScanResistance reads ten popular keys among a scan of keys that never
// come back.
func TestScanResistance(t *testing.T) {
	var keys []uint64
	for i := range 20_000 {
		keys = append(keys, uint64(i%20/2), uint64(1000+i))
		if i%3 == 0 {
			keys = append(keys, uint64(500_000+i))
		}
	}
	tiny, lru := replay(fixedCache(20, PolicyTinyLFU), keys), replay(fixedCache(20, PolicyLRU), keys)
	if tiny < 19_000 || lru > 11_000 {
		t.Errorf("of 20,000: default %d, LRU %d, want at least 19,000, at most 11,000", tiny, lru)
	}
}

// TestDeleteFuncChanged does not remove a value that was set after del saw the
// old one.
func TestDeleteFuncChanged(t *testing.T) {
	c := New[int, string](10, nil)
	c.Set(1, "old")
	n := c.DeleteFunc(func(k int, v string) bool {
		c.Set(1, "new")
		return v == "old"
	})
	v, _ := c.Get(1)
	checkAnswers(t, answer{"DeleteFunc", n, 0}, answer{"Get", v, "new"})

	n = c.DeleteFunc(func(int, string) bool {
		c.Delete(1)
		c.Set(2, "other") // in the slot that has become free
		return true
	})
	checkAnswers(t, answer{"DeleteFunc", n, 0}, answer{"Has of another key", c.Has(2), true})

	n = c.DeleteFunc(func(int, string) bool {
		c.Clear()
		return true
	})
	checkAnswers(t, answer{"DeleteFunc", n, 0}, answer{"Len", c.Len(), 0})
}

// TestDeleteFuncPanics ends the loop where del panics: what it wanted removed
// before is gone, and nothing is locked.
func TestDeleteFuncPanics(t *testing.T) {
	for end := 1; end <= 4; end++ {
		c := New[int, int](10, &Options[int, int]{Shards: 2})
		for i := range 4 {
			c.Set(i, i)
		}
		calls := 0
		mustPanic(t, "del", func() {
			c.DeleteFunc(func(int, int) bool {
				if calls++; calls == end {
					panic("del")
				}
				return true
			})
		})
		t.Logf("a panic in call %d", end)
		checkAnswers(t, answer{"calls", calls, end}, answer{"Len", c.Len(), 5 - end})
		c.checkCost()
	}
}

// TestDeleteFuncExpired has an entry expire while del looks at it: that is why
// it goes.
func TestDeleteFuncExpired(t *testing.T) {
	now, causes := time.Unix(0, 0), []Cause(nil)
	c := New(10, &Options[int, int]{
		TTL: time.Second, Now: func() time.Time { return now },
		OnRemove: func(_, _ int, cause Cause) { causes = append(causes, cause) },
	})
	c.Set(1, 1)
	n := c.DeleteFunc(func(int, int) bool {
		now = now.Add(time.Second)
		return true
	})
	checkAnswers(t, answer{"DeleteFunc", n, 0}, answer{"causes", causes, []Cause{Expired}})
}

// TestResizeExpired shrinks a cache by what has expired, and nothing else.
func TestResizeExpired(t *testing.T) {
	for _, pin := range []bool{false, true} {
		now := time.Unix(0, 0)
		c := New(31, &Options[int, int]{Shards: 1, Now: func() time.Time { return now }})
		c.SetAttr(0, 0, Attr{Pinned: pin})
		for i := 1; i <= 30; i++ {
			c.SetTTL(i, i, time.Second)
		}
		now = now.Add(time.Second)
		checkAnswers(t, answer{"Resize", c.Resize(1), 0}, answer{"Has", c.Has(0), true}, answer{"Len", c.Len(), 1})
		c.checkCost()
	}
}

// TestResizeHidden shrinks a cache by what only Load may see: these are no
// entries that were evicted.
func TestResizeHidden(t *testing.T) {
	var clock fakeClock
	var told []string
	c := New(5, &Options[int, int]{
		Shards: 1, Now: clock.now, StaleIfError: time.Hour,
		Load:     func(context.Context, int) (int, error) { return 0, ErrNotFound },
		ErrorTTL: func(int, error) time.Duration { return time.Hour },
		OnRemove: func(k, _ int, cause Cause) { told = append(told, fmt.Sprint(k, " ", cause)) },
	})
	c.SetTTL(1, 1, time.Second)
	c.SetTTL(2, 2, time.Second)
	clock.sleep(time.Second)
	_, _ = c.Load(context.Background(), 3)
	_, _ = c.Load(context.Background(), 4)
	checkAnswers(t,
		answer{"Cost", c.Cost(), 4},
		answer{"Resize", c.Resize(1), 0},
		answer{"Cost", c.Cost(), 1},
		answer{"told of", told, []string{"1 Expired", "2 Expired"}},
		answer{"Evicted", c.Stats().Evicted, uint64(0)},
	)
	c.checkCost()
}

// TestLoopChanges iterates while the loop sets and removes, and leaves loops
// early.
func TestLoopChanges(t *testing.T) {
	c := New(100, &Options[int, int]{Shards: 4})
	for i := range 100 {
		c.Set(i, i)
	}

	n := 0
	for k := range c.All() {
		n++
		c.Delete(k)
		c.Delete(99 - k)
	}

	checkAnswers(t, answer{"visits", n, 50}, answer{"Len", c.Len(), 0})
	for i := range 100 {
		c.Set(i, i)
	}

	for range c.Keys() {
		break
	}
	for range c.Values() {
		break
	}

	n = 0
	for range c.Hottest() {
		if n++; n == 3 {
			break
		}
	}

	if n != 3 {
		t.Errorf("%d visits, want 3", n)
	}
}

// TestShardsFor makes few shards of small caches.
func TestShardsFor(t *testing.T) {
	if n := shardsFor(100, 2); n != 1 {
		t.Errorf("%d shards for 100, want 1", n)
	}
	for _, tt := range []struct{ entries, procs, want int }{
		{1, 1, 1},
		{2*minPerShard - 1, 64, 1},
		{2 * minPerShard, 64, 2},
		{8*minPerShard - 1, 64, 4},
		{math.MaxInt, 1, 4},
		{math.MaxInt, 2, 8},
		{math.MaxInt, 3, 8},
		{math.MaxInt, 1 << 20, maxShards},
	} {
		if got := shardsFor(tt.entries, tt.procs); got != tt.want {
			t.Errorf("%d shards for %d entries and %d processors, want %d", got, tt.entries, tt.procs, tt.want)
		}
	}
}

// TestGrowth fills one shard: its memory doubles, up to the slots that it is
// expected to need, its share and four standard deviations, and then grows by
// an eighth.
func TestGrowth(t *testing.T) {
	for _, tt := range []struct {
		capacity int
		opts     Options[int, int]
		target   int // 0 if it is not known
	}{
		{400, Options[int, int]{Shards: 1}, 400},
		{400, Options[int, int]{Shards: 2}, 200 + 56 + 1}, // 4√200 is 56.6
		{400, Options[int, int]{Shards: 8}, 50 + 28 + 1},  // 4√50 is 28.3
		{3, Options[int, int]{Shards: 2}, 3},
		{400, Options[int, int]{Shards: 1, Cost: func(int, int) int { return 1 }}, 0},
		{400, Options[int, int]{Shards: 1, Cost: func(int, int) int { return 1 }, Entries: 100}, 100},
		{400, Options[int, int]{Shards: 1, Cost: func(int, int) int { return 1 }, Entries: 1}, 1},
		{400, Options[int, int]{Shards: 1, Cost: func(int, int) int { return 1 }, Entries: 1, Policy: PolicyLRU}, 1},
		{400, Options[int, int]{Shards: 1, Cost: func(int, int) int { return 1 }, Entries: 1, Policy: PolicyLFU}, 1},
		{400, Options[int, int]{Shards: 1, Cost: func(int, int) int { return 1 }, Entries: 1, Policy: PolicyRandom}, 1},
	} {
		c := New(tt.capacity, &tt.opts)
		sh := &c.shards[0]
		key := -1
		for range tt.capacity {
			before := sh.slots()
			key = keyIn(c, 0, key+1)
			c.Set(key, key)
			after := sh.slots()
			if after == before {
				continue
			}

			// The slab has grown, by one of three steps.
			n := max(before, 4)
			want := 2 * n
			switch {
			case tt.target == 0 || want <= tt.target:
			case n < tt.target:
				want = tt.target
			default:
				want = n + n/8 + 1
			}
			if after != want {
				t.Errorf("%d entries in %d shards: %d slots follow %d, want %d", tt.capacity, len(c.shards), after, before, want)
			}
		}
		if got := c.Len(); got != tt.capacity {
			t.Errorf("%d entries, want %d", got, tt.capacity)
		}
		c.checkCost()
	}
}

// TestBounds checks the bounds that comments state at the bound and at its
// neighbor.
func TestBounds(t *testing.T) {
	for capacity, ok := range map[int]bool{0: false, 1: true, maxSlots: true, maxSlots + 1: false} {
		panicked := recovered(func() { NewLRU[int, int](capacity) }) != nil
		if panicked == ok {
			t.Errorf("NewLRU(%d) panicked: %v, want %v", capacity, panicked, !ok)
		}
	}
	mustPanic(t, fmt.Sprintf("lru: more than %d entries in a slab", maxSlots), func() {
		c := NewLRU[int, int](maxSlots)
		c.slab.used = maxSlots
		c.grow()
	})
	for p, ok := range map[int]bool{-2: false, -1: true, 1: true, 2: false} {
		if err := (&Attr{Priority: p}).Validate(); (err == nil) != ok {
			t.Errorf("priority %d: %v, want valid: %v", p, err, ok)
		}
	}

	type options = Options[int, int]
	for _, tt := range []struct {
		o  options
		ok bool
	}{
		{options{TTL: 10, RefreshAfter: 9}, true},
		{options{TTL: 10, RefreshAfter: 10}, false},
		{options{Shards: maxShards}, true},
		{options{Shards: 2 * maxShards}, false},
		{options{TTL: 1, Jitter: math.Nextafter(1, 0)}, true},
		{options{TTL: 1, Jitter: 1}, false},
		{options{Entries: -1}, false},
		{options{Policy: PolicyRandom}, true},
		{options{Policy: PolicyRandom + 1}, false},
	} {
		if err := tt.o.Validate(); (err == nil) != tt.ok {
			t.Errorf("%+v: %v, want valid: %v", tt.o, err, tt.ok)
		}
	}

	// Sums saturate at both ends.
	for _, tt := range []struct{ a, b, want int64 }{
		{math.MaxInt64 - 1, 1, math.MaxInt64},
		{math.MaxInt64, 1, math.MaxInt64},
		{math.MinInt64 + 1, -1, math.MinInt64},
		{math.MinInt64, -1, math.MinInt64},
		{math.MinInt64, math.MaxInt64, -1},
	} {
		if got := saturated(tt.a, tt.b); got != tt.want {
			t.Errorf("saturated(%d, %d) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}
