// SPDX-License-Identifier: MIT

package lru

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestUnbounded checks that costs next to the largest number are added without
// overflow: a Set that has no room is refused, and does not look forever.
func TestUnbounded(t *testing.T) {
	for name, first := range map[string]Attr{
		"pinned":   {Cost: math.MaxInt - 10, Pinned: true},
		"priority": {Cost: math.MaxInt - 10, Priority: 1},
	} {
		c := New[int, int](Unbounded, &Options[int, int]{Shards: 4})
		if !c.SetAttr(1, 1, first) {
			t.Errorf("%s: the first was refused", name)
		}
		checkAnswers(t,
			answer{name + ": SetAttr", c.SetAttr(2, 2, Attr{Cost: 100}), false},
			answer{name + ": keys", slices.Collect(c.Keys()), []int{1}},
		)
		big := New(Unbounded, &Options[int, int]{Shards: 4, Cost: func(int, int) int { return math.MaxInt }})
		big.SetAttr(1, 1, first)
		_, ok := big.Update(2, func(int, bool) (int, bool) { return 2, true })
		checkAnswers(t, answer{name + ": Update", ok, false}, answer{name + ": Has(1)", big.Has(1), true})
		c.checkCost()
	}

	c := New[int, int](Unbounded, nil)
	for i := range 1000 {
		if !c.Set(i, i) {
			t.Fatalf("Set(%d) refused", i)
		}
	}
	if got := c.Stats(); got.Evicted != 0 || got.Len != 1000 {
		t.Errorf("evicted %d, %d left, want 0, 1000", got.Evicted, got.Len)
	}
}

// TestBehindRefusedKey checks that a key that the store never takes does not
// keep others from being saved, alone and in batches, and that it is tried at
// times that double.
func TestBehindRefusedKey(t *testing.T) {
	for _, batch := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			refused := errors.New("refused")
			s := newSlowStore()
			calls := 0
			o := &BehindOptions[int, int]{MaxPending: 1000}
			s.before = func(what string, key int) error {
				if what == "Set" && key == 13 {
					calls++
					return refused
				}
				return nil
			}
			if batch {
				o.Apply = func(ctx context.Context, sets []Pair[int, int], _ []int) error {
					for _, p := range sets {
						if err := s.Set(ctx, p.Key, p.Value); err != nil {
							return err
						}
					}
					return nil
				}
			}

			b := NewBehind(New[int, int](1000, nil), s, o)
			for k := range 100 {
				if err := b.Set(t.Context(), k, k); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(10 * time.Minute)
			synctest.Wait()
			if got := b.Pending(); got != 1 || len(s.state()) != 99 {
				t.Errorf("batches %v: %d pending, %d saved, want 1, 99", batch, got, len(s.state()))
			}
			if calls < 8 || calls > 24 {
				t.Errorf("batches %v: the key was tried %d times in ten minutes, want about 18", batch, calls)
			}

			// A write that comes later does not wait for it.
			_ = b.Set(t.Context(), 200, 1)
			time.Sleep(6 * time.Second)
			synctest.Wait()
			if s.state()[200] != 1 {
				t.Errorf("batches %v: a later write is not saved", batch)
			}
			if v, err := b.Load(t.Context(), 13); v != 13 || err != nil {
				t.Errorf("batches %v: Load of the refused key = %d, %v, want 13", batch, v, err)
			}
			b.check(t)
			b.GiveUp()
		})
	}
}

// TestBehindGivesUp checks that OnError is told the key, the error and how
// often, and that a write is given up when it says so: the store keeps what it
// has, the cache drops the key, and Close ends.
func TestBehindGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := errors.New("refused")
		s := newSlowStore()
		s.m[13] = -1
		s.before = func(what string, key int) error {
			if what == "Set" && key == 13 {
				return refused
			}
			return nil
		}

		var told []string
		b := NewBehind(New[int, int](1000, nil), s, &BehindOptions[int, int]{
			OnError: func(key int, err error, tries int) bool {
				told = append(told, fmt.Sprint(key, err, tries))
				return tries == 3
			},
		})

		_ = b.Set(t.Context(), 13, 13)
		_ = b.Set(t.Context(), 14, 14)
		if err := b.Close(t.Context()); err != nil {
			t.Errorf("Close = %v", err)
		}
		if want := []string{"13 refused 1", "13 refused 2", "13 refused 3"}; !slices.Equal(told, want) {
			t.Errorf("OnError was told %q, want %q", told, want)
		}
		if v, err := b.Load(t.Context(), 13); v != -1 || err != nil {
			t.Errorf("Load = %d, %v, want what the store has, -1", v, err)
		}

		want := BehindStats{Writes: 2, Saved: 1, Calls: 4, Failures: 3, GivenUp: 1}
		if got := b.Stats(); got != want {
			t.Errorf("Stats %+v, want %+v", got, want)
		}
	})
}

// TestBehindCloseDown checks that Close can be brought to its end while the
// store is down: GiveUp returns the keys that are lost.
func TestBehindCloseDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlowStore()
		s.before = func(string, int) error { return errors.New("down") }
		b := NewBehind(New[int, int](1000, nil), s, nil)
		for k := range 3 {
			_ = b.Set(t.Context(), k, k)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := b.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close = %v, want the end of its context", err)
		}

		synctest.Wait()
		keys := b.GiveUp()
		slices.Sort(keys)
		if want := []int{0, 1, 2}; !slices.Equal(keys, want) {
			t.Errorf("GiveUp = %v, want %v", keys, want)
		}
		if err := b.Close(t.Context()); err != nil || b.Pending() != 0 {
			t.Errorf("Close = %v, %d pending, want nil, 0", err, b.Pending())
		}
		b.check(t)
	})
}

// TestUpdateKeeps checks that Update and loads keep the deadline, the cost and
// the tags that SetTTL, SetAttr or Touch gave: a counter of attempts ends when
// it was to end.
func TestUpdateKeeps(t *testing.T) {
	var clock fakeClock
	c := New(100, &Options[string, int]{
		Now: clock.now, RefreshAfter: 40 * time.Second,
		Tags: func(_ string, v int) []string { return []string{"v" + strconv.Itoa(v)} },
		Load: func(context.Context, string) (int, error) { return 9, nil },
	})
	bump := func(v int, _ bool) (int, bool) { return v + 1, true }
	check := func(what string, left time.Duration, cost int, tags ...string) {
		t.Helper()
		a, ok := c.AttrOf("attempts")
		checkAnswers(t,
			answer{what + ": ok", ok, true},
			answer{what, a, Attr{TTL: left, Cost: cost, Tags: tags}},
		)
	}

	c.SetTTL("attempts", 1, time.Minute)
	clock.sleep(20 * time.Second)
	c.Update("attempts", bump)
	check("SetTTL", 40*time.Second, 1, "v2")

	c.SetAttr("attempts", 1, Attr{TTL: time.Minute, Cost: 5, Tags: []string{"given"}})
	clock.sleep(20 * time.Second)
	c.Update("attempts", bump)
	check("SetAttr", 40*time.Second, 5, "given", "v2")

	if _, err := c.Refresh(context.Background(), "attempts"); err != nil {
		t.Error(err)
	}
	check("Refresh", 40*time.Second, 5, "given", "v9")

	c.Set("attempts", 3) // it says what it sets: the options
	check("Set", Forever, 1, "v3")
	c.Touch("attempts", 30*time.Second)
	c.Update("attempts", bump)
	check("Touch", 30*time.Second, 1, "v4")

	clock.sleep(30 * time.Second)
	if c.Has("attempts") {
		t.Error("the counter has not ended")
	}

	// What the options give is computed anew.
	c = New(100, &Options[string, int]{
		Now: clock.now, TTL: time.Minute, Cost: func(_ string, v int) int { return v },
	})
	c.Set("attempts", 1)
	clock.sleep(20 * time.Second)
	c.Update("attempts", bump)
	check("Set, by the options", time.Minute, 2)
}

// TestPeekEntry checks that the value, its age and the time that is left can be
// read without a loader, and without counting as a use.
func TestPeekEntry(t *testing.T) {
	var clock fakeClock
	c := New(100, &Options[string, int]{Now: clock.now, TTL: time.Minute, TrackAge: true})
	c.Set("a", 1)
	clock.sleep(10 * time.Second)

	e, ok := c.PeekEntry("a")
	if want := (Entry[int]{Value: 1, Age: 10 * time.Second, Left: 50 * time.Second}); !ok || e != want {
		t.Errorf("PeekEntry = %+v, %v, want %+v", e, ok, want)
	}
	clock.sleep(50 * time.Second)
	if e, ok := c.PeekEntry("a"); ok {
		t.Errorf("PeekEntry of an expired entry = %+v", e)
	}
	if a, ok := c.AttrOf("a"); ok {
		t.Errorf("AttrOf of an expired entry = %+v", a)
	}
	if s := c.Stats(); s.Hits+s.Misses != 0 {
		t.Errorf("%d hits, %d misses, want none", s.Hits, s.Misses)
	}
}

// TestStaleFirst checks that expired values that are kept for Load are evicted
// before any other, whatever their priority.
func TestStaleFirst(t *testing.T) {
	for p := range PolicyRandom + 1 {
		var clock fakeClock
		c := New(10, &Options[int, int]{
			Policy: p, Shards: 1, Now: clock.now, StaleIfError: time.Hour,
			Load: func(context.Context, int) (int, error) { return 0, errors.New("down") },
		})
		for i := range 5 {
			c.SetAttr(i, i, Attr{TTL: time.Second, Priority: i%3 - 1, Pinned: i == 3})
		}

		for i := 10; i < 15; i++ {
			c.SetAttr(i, i, Attr{Priority: -1})
		}
		clock.sleep(time.Second)
		if v, err := c.Load(context.Background(), 3); v != 3 || err != nil {
			t.Errorf("%v: Load of a stale value = %d, %v, want 3", p, v, err)
		}

		for i := 20; i < 25; i++ {
			c.SetAttr(i, i, Attr{Priority: -1})
		}
		for _, k := range []int{10, 11, 12, 13, 14, 20, 21, 22, 23, 24} {
			if !c.Has(k) {
				t.Errorf("%v: %d was evicted while stale values were there", p, k)
			}
		}

		if got := c.Stats(); got.Evicted != 0 || got.Expired != 5 {
			t.Errorf("%v: %d evicted, %d expired, want 0, 5", p, got.Evicted, got.Expired)
		}
		c.checkCost()
	}
}

// TestRefusalEvictsNothing checks that a value that cannot get enough room,
// since others are pinned or of higher priority, evicts nothing.
func TestRefusalEvictsNothing(t *testing.T) {
	for _, shards := range []int{1, 4} {
		c := New[int, int](100, &Options[int, int]{Shards: shards})
		c.SetAttr(1, 1, Attr{Cost: 30, Pinned: true})
		c.SetAttr(2, 2, Attr{Cost: 30, Priority: 1})
		for i := 10; i < 50; i++ {
			c.Set(i, i)
		}

		if c.SetAttr(3, 3, Attr{Cost: 41}) {
			t.Errorf("%d shards: 41 fit beside 60 that must stay", shards)
		}
		if got := c.Stats(); got.Evicted != 0 || got.Len != 42 {
			t.Errorf("%d shards: %d evicted, %d left, want 0, 42", shards, got.Evicted, got.Len)
		}
		if c.SetAttr(10, 3, Attr{Cost: 41}) {
			t.Errorf("%d shards: 41 in place of 1 fit beside 60 that must stay", shards)
		}
		if got := c.Stats(); got.Evicted != 0 || got.Len != 41 {
			t.Errorf("%d shards: %d evicted, %d left, want 0, 41", shards, got.Evicted, got.Len)
		}
		if !c.SetAttr(3, 3, Attr{Cost: 40}) {
			t.Errorf("%d shards: 40 does not fit beside 60", shards)
		}
		if got := c.Len(); got != 3 {
			t.Errorf("%d shards: %d entries, want 3", shards, got)
		}

		c.checkCost()
	}
}

// TestShardsByEntries checks that the number of shards follows from how many
// entries there will be, and not from units of cost.
func TestShardsByEntries(t *testing.T) {
	cost := func(int, int) int { return 1 << 20 }
	for _, tt := range []struct {
		capacity int
		opts     Options[int, int]
		want     int
	}{
		{256 << 20, Options[int, int]{Cost: cost, Entries: 256}, 1},
		{256 << 20, Options[int, int]{Cost: cost}, 4},
		{256, Options[int, int]{}, 1},
		{1 << 20, Options[int, int]{}, 256},
		{1 << 20, Options[int, int]{Entries: 2048}, 8},
	} {
		if got := shardsFor(tt.opts.entries(tt.capacity), 64); got != tt.want {
			t.Errorf("capacity %d, entries %d: %d shards with 64 processors, want %d",
				tt.capacity, tt.opts.Entries, got, tt.want)
		}
	}
}

// TestDetachedReported checks that the value of a load whose key was written
// meanwhile is reported to OnRemove, once.
func TestDetachedReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events []string
		g := newGate()
		c := New(100, &Options[int, int]{Load: g.load, OnRemove: func(k, v int, cause Cause) {
			events = append(events, fmt.Sprint(k, v, cause))
		}})
		r := goLoad(t.Context(), c, 7)
		c.Set(7, -1)
		close(g.release)
		synctest.Wait()
		checkAnswers(t, answer{"back", r.back, true}, answer{"events", events, []string{fmt.Sprint(7, r.v, Rejected)}})

		c.checkIdle(t)
	})
}

// TestSnapshotReader checks that entries of a snapshot live no longer than the
// options of the cache that reads it say, that their ages go on, and that a TTL
// that was given to one stays.
func TestSnapshotReader(t *testing.T) {
	var clock fakeClock
	c := New(100, &Options[string, int]{Now: clock.now, TrackAge: true})
	clock.sleep(time.Minute)
	c.Set("plain", 1)
	c.SetTTL("given", 2, 3*time.Hour)
	clock.sleep(10 * time.Minute)
	b := snapshotOf(t, c)

	clock.sleep(5 * time.Minute)
	refreshed := make(chan string, 1)
	d := New(100, &Options[string, int]{
		Now: clock.now, TTL: time.Hour, RefreshAfter: 15 * time.Minute,
		Load: func(_ context.Context, key string) (int, error) { refreshed <- key; return 3, nil },
	})
	if _, err := d.ReadFrom(bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	e, ok := d.PeekEntry("plain")
	if want := (Entry[int]{Value: 1, Age: 15 * time.Minute, Left: 45 * time.Minute}); !ok || e != want {
		t.Errorf("plain: %+v, %v, want %+v", e, ok, want)
	}
	e, ok = d.PeekEntry("given")
	if want := (Entry[int]{Value: 2, Age: 15 * time.Minute, Left: 165 * time.Minute}); !ok || e != want {
		t.Errorf("given: %+v, %v, want %+v", e, ok, want)
	}
	if v, err := d.Load(context.Background(), "plain"); v != 1 || err != nil {
		t.Errorf("Load = %d, %v, want 1", v, err)
	}
	if key := <-refreshed; key != "plain" {
		t.Errorf("refreshed %q, want plain, which is 15 minutes old", key)
	}
}

// TestSnapshotLarge checks that frames are bounded by their bytes: 256 values
// of 5 MiB would not fit into one.
func TestSnapshotLarge(t *testing.T) {
	const size = 5 << 20
	c := New[int, []byte](100, nil)
	for i := range 6 {
		c.Set(i, bytes.Repeat([]byte{byte(i)}, size))
	}

	frames := 0
	b := snapshotOf(t, c)
	for rest := b[headerBytes:]; ; frames++ {
		n := int(rest[0]) | int(rest[1])<<8 | int(rest[2])<<16 | int(rest[3])<<24
		if n == 0 {
			break
		}
		if n > 2*size {
			t.Errorf("frame %d has %d bytes", frames, n)
		}
		rest = rest[4+n:]
	}

	if frames != 6 {
		t.Errorf("%d frames, want 6", frames)
	}
}

// TestSnapshotRefused checks that times and reserved bytes that WriteTo never
// writes are refused.
func TestSnapshotRefused(t *testing.T) {
	young := oneFrame(Forever, 1, 0)
	young.Ages[0] = -2
	flags := oneFrame(Forever, 1, 0)
	flags.Given[0] = pinned
	low := oneFrame(Forever, 1, 0)
	low.Priorities[0] = -2
	high := oneFrame(Forever, 1, 0)
	high.Priorities[0] = 2

	reserved := seal(0, gobOf(t, oneFrame(Forever, 1, 0)))
	reserved[10] = 1
	for name, tt := range map[string]struct {
		b    []byte
		want error
	}{
		"negative remainder": {seal(0, gobOf(t, oneFrame(-1, 1, 0))), ErrCorrupt},
		"negative age":       {seal(0, gobOf(t, young)), ErrCorrupt},
		"no cost":            {seal(0, gobOf(t, oneFrame(Forever, 0, 0))), ErrCorrupt},
		"low priority":       {seal(0, gobOf(t, low)), ErrCorrupt},
		"high priority":      {seal(0, gobOf(t, high)), ErrCorrupt},
		"flags":              {seal(0, gobOf(t, flags)), ErrCorrupt},
		"reserved bytes":     {reserved, ErrVersion},
	} {
		c := New[int, int](10, nil)
		if _, err := c.ReadFrom(bytes.NewReader(tt.b)); !errors.Is(err, tt.want) || c.Len() != 0 {
			t.Errorf("%s: ReadFrom = %v, %d entries, want %v, 0", name, err, c.Len(), tt.want)
		}
	}
}

// TestLoadAllRefresh checks that values past RefreshAfter are loaded again by
// one call of LoadMany, however many there are.
func TestLoadAllRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls []int
		c := New(1000, &Options[int, int]{
			RefreshAfter: time.Minute,
			LoadMany: func(_ context.Context, keys []int) (map[int]int, error) {
				calls = append(calls, len(keys))
				got := map[int]int{}
				for _, k := range keys {
					got[k] = len(calls)
				}
				return got, nil
			},
		})

		keys := make([]int, 500)
		for i := range keys {
			keys[i] = i
		}

		if _, err := c.LoadAll(t.Context(), keys); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if _, err := c.LoadAll(t.Context(), keys); err != nil {
			t.Fatal(err)
		}

		synctest.Wait()
		if want := []int{500, 500}; !slices.Equal(calls, want) {
			t.Errorf("LoadMany was given %v keys, want %v", calls, want)
		}
		for _, k := range keys {
			if v, _ := c.Get(k); v != 2 {
				t.Fatalf("%d was not refreshed: %d, want 2", k, v)
			}
		}

		if got := c.Stats().Aged; got != 500 {
			t.Errorf("Aged = %d, want 500", got)
		}
		c.checkIdle(t)
	})
}

// TestStaleBackOff checks that in an outage without ErrorTTL a stale value is
// not loaded each time: the first call waits, and the next ones return it at
// once, for a second that doubles up to 16.
func TestStaleBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		loads := 0
		c := New(100, &Options[int, int]{
			TTL: time.Second, StaleIfError: time.Hour,
			Load: func(context.Context, int) (int, error) {
				loads++
				time.Sleep(5 * time.Second)
				return 0, errors.New("down")
			},
		})

		c.Set(1, 1)
		time.Sleep(time.Second)
		start := time.Now()
		for range 10 {
			if v, err := c.Load(t.Context(), 1); v != 1 || err != nil {
				t.Errorf("Load = %d, %v, want 1", v, err)
			}
		}

		if took := time.Since(start); loads != 1 || took != 5*time.Second {
			t.Errorf("%d loads in %v, want 1 in 5s", loads, took)
		}
		for range 600 {
			_, _ = c.Load(t.Context(), 1)
			time.Sleep(time.Second)
		}

		if loads < 30 || loads > 45 {
			t.Errorf("%d loads in about ten minutes, want about 40", loads)
		}
		c.checkIdle(t)
	})
}

// TestClearMemory checks that Clear gives the memory back, so that a loop over
// the cache takes time in proportion to its entries and not to those that once
// were there. So does the removal of the last entry.
func TestClearMemory(t *testing.T) {
	for name, empty := range map[string]func(c *Cache[int, int]){
		"Clear":      func(c *Cache[int, int]) { c.Clear() },
		"DeleteFunc": func(c *Cache[int, int]) { c.DeleteFunc(func(int, int) bool { return true }) },
	} {
		removed := 0
		c := New(1<<16, &Options[int, int]{Shards: 1, OnRemove: func(int, int, Cause) { removed++ }})
		for i := range 1 << 16 {
			c.Set(i, i)
		}

		empty(c)
		if got := c.shards[0].slots(); got != 0 || removed != 1<<16 {
			t.Errorf("%s: room for %d entries, %d removals reported, want 0, %d", name, got, removed, 1<<16)
		}
		c.Set(1, 1)
		if got := c.shards[0].used; got != 1 {
			t.Errorf("%s: a loop looks at %d slots, want 1", name, got)
		}

		c.checkCost()
	}
}

// TestRenewal checks from how many slots on a shard gives its memory back when
// its last entry goes.
func TestRenewal(t *testing.T) {
	for n, keeps := range map[int]bool{1: true, minRenew - 1: true, minRenew: false} {
		c := New[int, int](2*minRenew, &Options[int, int]{Shards: 1})
		for i := range n {
			c.Set(i, i)
		}
		for i := range n {
			c.Delete(i)
		}
		if got := c.shards[0].slots() > 0; got != keeps {
			t.Errorf("memory is kept after %d entries: %v, want %v", n, got, keeps)
		}
		c.checkCost()
	}
}

// TestClearCauses checks what Clear reports: stale and due entries as expired,
// remembered errors not at all.
func TestClearCauses(t *testing.T) {
	var clock fakeClock
	var events []string
	c := New(100, &Options[int, int]{
		Shards: 1, Now: clock.now, StaleIfError: time.Hour,
		ErrorTTL: func(int, error) time.Duration { return time.Hour },
		Load:     func(context.Context, int) (int, error) { return 0, errors.New("down") },
		OnRemove: func(k, _ int, cause Cause) { events = append(events, fmt.Sprint(k, cause)) },
	})

	c.SetTTL(1, 1, time.Second)
	c.SetTTL(2, 2, time.Hour)
	_, _ = c.Load(context.Background(), 3)
	clock.sleep(time.Second)
	_, _ = c.Load(context.Background(), 1)
	c.Clear()
	slices.Sort(events)
	if want := []string{"1 Expired", "2 Invalidated"}; !slices.Equal(events, want) {
		t.Errorf("events %q, want %q", events, want)
	}
	s := c.Stats()
	checkAnswers(t,
		answer{"Expired", s.Expired, uint64(1)},
		answer{"Invalidated", s.Invalidated, uint64(1)},
		answer{"Cost", s.Cost, 0},
	)
}

// TestClearSets checks that Clear leaves what OnRemove sets meanwhile: it
// removes what is there when it comes to a shard.
func TestClearSets(t *testing.T) {
	var c *Cache[int, int]
	c = New(10, &Options[int, int]{Shards: 1, OnRemove: func(k, v int, cause Cause) {
		if cause == Invalidated && v < 3 {
			c.Set(k, v+1)
		}
	}})
	c.Set(1, 1)
	c.Clear()
	v, ok := c.Get(1)
	checkAnswers(t, answer{"Get", v, 2}, answer{"Get: ok", ok, true})
}

// TestResizePins checks that a Resize below the pinned entries looks at each of
// them once, and not at all of them each time.
func TestResizePins(t *testing.T) {
	const n = 1 << 17
	c := New[int, int](n, &Options[int, int]{Shards: 1})
	for i := range n {
		c.SetAttr(i, i, Attr{Pinned: true})
	}
	start := time.Now()
	if got := c.Resize(1); got != n-1 || c.Len() != 1 {
		t.Errorf("Resize evicted %d, left %d, want %d, 1", got, c.Len(), n-1)
	}
	if took := time.Since(start); took > 5*time.Second { // quadratic: half a minute
		t.Errorf("Resize took %v", took)
	}
}

// TestDeleteTagLetsGo checks that DeleteTag lets the lock go on its way: a call
// that waits for it comes before the last entry is removed.
func TestDeleteTagLetsGo(t *testing.T) {
	const n = 20 * tagBatch
	var during atomic.Int64
	var once sync.Once
	var c *Cache[int, int]
	c = New(2*n, &Options[int, int]{
		Shards: 1, Tags: func(k, _ int) []string { return []string{strconv.FormatBool(k >= 0)} },
		OnRemove: func(int, int, Cause) {
			// The first batch is reported: the lock is free, others are there.
			once.Do(func() { during.Store(int64(c.Len())) })
			if c.Len() > n {
				t.Error("an entry was added that was not")
			}
		},
	})

	for i := range n {
		c.Set(i, i)
	}
	c.Set(-1, -1)
	if got := c.DeleteTag("true"); got != n || c.Len() != 1 {
		t.Errorf("DeleteTag removed %d, left %d, want %d, 1", got, c.Len(), n)
	}
	if got := during.Load(); got < n-2*tagBatch {
		t.Errorf("%d entries were there when the first was reported, want at least %d", got, n-2*tagBatch)
	}

	c.checkCost()
}

// TestZeroTTL checks the decision about a TTL of zero or -1, which mean no end
// in other caches: the value is too old, so it is not stored, Set says so, and
// OnRemove is told. Forever is without end.
func TestZeroTTL(t *testing.T) {
	for _, ttl := range []time.Duration{0, -1, math.MinInt64} {
		var events []string
		c := New(100, &Options[int, int]{OnRemove: func(_, v int, cause Cause) {
			events = append(events, fmt.Sprint(v, cause))
		}})
		c.Set(1, 1)
		checkAnswers(t,
			answer{fmt.Sprintf("SetTTL(%d)", ttl), c.SetTTL(1, 2, ttl), false},
			answer{fmt.Sprintf("Has after SetTTL(%d)", ttl), c.Has(1), false},
		)
		if want := []string{"1 Replaced", "2 Expired"}; !slices.Equal(events, want) {
			t.Errorf("SetTTL(%d): events %q, want %q", ttl, events, want)
		}
		checkAnswers(t,
			answer{"SetTTL(1)", c.SetTTL(1, 3, 1), true},
			answer{"SetTTL(Forever)", c.SetTTL(2, 2, Forever), true},
		)
	}
}

// TestPeekOrSet checks the counterpart of ContainsOrAdd and PeekOrAdd: an entry
// that is there keeps its place, and no lookup is counted.
func TestPeekOrSet(t *testing.T) {
	c := New[string, int](2, &Options[string, int]{Shards: 1, Policy: PolicyLRU})
	c.Set("a", 1)
	c.Set("b", 2)
	if v, loaded := c.PeekOrSet("a", 3); v != 1 || !loaded {
		t.Errorf("PeekOrSet = %d, %v, want 1, true", v, loaded)
	}
	if v, loaded := c.PeekOrSet("c", 3); v != 3 || loaded {
		t.Errorf("PeekOrSet = %d, %v, want 3, false", v, loaded)
	}
	checkAnswers(t, answer{"Has of the least recent", c.Has("a"), false}, answer{"Has of the next", c.Has("b"), true})
	if s := c.Stats(); s.Hits+s.Misses != 0 {
		t.Errorf("%d hits, %d misses, want none", s.Hits, s.Misses)
	}
}

// TestChanged checks that reloads that bring another value are counted.
func TestChanged(t *testing.T) {
	truth := 1
	c := New(100, &Options[int, int]{
		Load:  func(context.Context, int) (int, error) { return truth, nil },
		Equal: func(a, b int) bool { return a == b },
	})
	for _, truth = range []int{1, 1, 2, 2, 3} {
		if _, err := c.Refresh(context.Background(), 7); err != nil {
			t.Error(err)
		}
	}
	if got := c.Stats(); got.Changed != 2 || got.Loads != 5 {
		t.Errorf("%d of %d loads brought another value, want 2 of 5", got.Changed, got.Loads)
	}
}

// TestRemoveOrder checks that OnRemove is told of the values of a key in order,
// by whatever goroutines, and that no two calls for a key run at once.
func TestRemoveOrder(t *testing.T) {
	const keys, rounds = 4, 2000
	var last [keys]atomic.Int64
	var running [keys]atomic.Int64
	c := New(2, &Options[int, int64]{Shards: 2, OnRemove: func(k int, v int64, _ Cause) {
		if running[k].Add(1) != 1 {
			t.Errorf("two calls for key %d at once", k)
		}
		if old := last[k].Swap(v); old >= v {
			t.Errorf("key %d: %d was reported after %d", k, v, old)
		}
		running[k].Add(-1)
	}})

	var next [keys]int64
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() { // ends after its rounds
			for i := range rounds {
				k := (g + i) % keys
				c.Update(k, func(int64, bool) (int64, bool) {
					next[k]++ // the lock of the shard is held
					return next[k], true
				})
			}
		})
	}

	wg.Wait()
	c.checkCost()
	checkOneReport(t)
}

// checkOneReport replaces a value while OnRemove runs for the one before: the
// change does not wait, and OnRemove runs again only afterwards.
func checkOneReport(t *testing.T) {
	t.Helper()
	var c *Cache[int, int]
	var running atomic.Int64
	var order []int // of one call after the other
	c = New(2, &Options[int, int]{OnRemove: func(_, v int, _ Cause) {
		if running.Add(1) != 1 {
			t.Errorf("OnRemove of %d runs beside another", v)
			return
		}

		order = append(order, v)
		if v == 1 {
			done := make(chan struct{})
			go func() { // ends after its change
				defer close(done)
				c.Set(7, 3)
			}()
			<-done
		}
		running.Add(-1)
	}})

	for v := range 2 {
		c.Set(7, v+1)
	}
	if want := []int{1, 2}; !slices.Equal(order, want) {
		t.Errorf("reported %v, want %v", order, want)
	}
}

// TestLoadTimeoutBounds checks that LoadTimeout bounds the wait as well: a
// loader that does not heed its context keeps nobody, a stale value is
// returned, and its late result is reported and not stored.
func TestLoadTimeoutBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events []string
		c := New(100, &Options[int, int]{
			LoadTimeout: time.Second, StaleIfError: time.Hour,
			OnRemove: func(k, v int, cause Cause) { events = append(events, fmt.Sprint(k, v, cause)) },
			Load: func(_ context.Context, key int) (int, error) {
				time.Sleep(time.Minute)
				return 10 * key, nil
			},
		})

		c.SetTTL(2, 2, time.Second)
		time.Sleep(time.Second)
		for _, ctx := range []context.Context{context.Background(), t.Context()} {
			start := time.Now()
			if _, err := c.Load(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Load = %v, want %v", err, context.DeadlineExceeded)
			}
			if got := time.Since(start); got != time.Second {
				t.Errorf("Load waited %v, want 1s", got)
			}
		}

		e, err := c.LoadEntry(t.Context(), 2)
		checkAnswers(t,
			answer{"LoadEntry", err, nil},
			answer{"the stale value", e.Value, 2},
			answer{"why it is stale", e.Err, context.DeadlineExceeded},
		)
		time.Sleep(time.Hour)
		synctest.Wait()
		slices.Sort(events)
		if want := []string{"1 10 Rejected", "1 10 Rejected", "2 2 Expired", "2 20 Rejected"}; !slices.Equal(events, want) {
			t.Errorf("events %q, want %q", events, want)
		}

		c.checkIdle(t)
	})
}

// TestGetOrSetUses checks that GetOrSet of a key that is there counts as a use.
func TestGetOrSetUses(t *testing.T) {
	c := New[string, int](2, &Options[string, int]{Shards: 1, Policy: PolicyLRU})
	c.Set("a", 1)
	c.Set("b", 2)
	if v, loaded := c.GetOrSet("a", 3); v != 1 || !loaded {
		t.Errorf("GetOrSet = %d, %v, want 1, true", v, loaded)
	}
	c.Set("c", 3)
	if !c.Has("a") || c.Has("b") {
		t.Errorf("a is there: %v, b: %v, want true, false", c.Has("a"), c.Has("b"))
	}
}

// TestUpdateIdle checks that Update of an entry with a TTL of its own extends
// its idle time, and not its TTL.
func TestUpdateIdle(t *testing.T) {
	var clock fakeClock
	c := New(10, &Options[int, int]{Now: clock.now, Idle: time.Minute})
	c.SetTTL(1, 1, 100*time.Second)
	clock.sleep(50 * time.Second)
	c.Update(1, func(v int, _ bool) (int, bool) { return v + 1, true })
	clock.sleep(49 * time.Second)
	if !c.Has(1) {
		t.Error("the idle time was not extended")
	}
	clock.sleep(time.Second)
	if c.Has(1) {
		t.Error("the TTL was extended")
	}
}

// TestReclaimExpired checks that entries of other shards that have expired
// leave room, though they are pinned.
func TestReclaimExpired(t *testing.T) {
	var clock fakeClock
	c := New[int, int](10, &Options[int, int]{Shards: 2, Now: clock.now})
	c.SetAttr(keyIn(c, 0, 0), 1, Attr{Cost: 9, Pinned: true, TTL: time.Second})
	clock.sleep(time.Second)
	checkAnswers(t,
		answer{"SetAttr", c.SetAttr(keyIn(c, 1, 0), 2, Attr{Cost: 10}), true},
		answer{"Len", c.Len(), 1},
	)
	c.checkCost()
}

// TestExactLoopUses checks that a loop over an Exact goes on where it was when
// its body uses the entry that comes next.
func TestExactLoopUses(t *testing.T) {
	for _, tt := range []struct {
		c    *Exact[int, int]
		want []int
	}{
		{NewLRU[int, int](5), []int{4, 2, 1, 0}},
		{NewLFU[int, int](5), []int{4, 2, 1, 0}},
		{NewFIFO[int, int](5), []int{4, 3, 2, 1, 0}},
	} {
		for i := range 5 {
			tt.c.Set(i, i)
		}

		var got []int
		for k := range tt.c.All() {
			if len(got) == 0 {
				tt.c.Get(3) // the next one, which moves ahead
			}
			got = append(got, k)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%v: visited %v, want %v", tt.c.order.discipline, got, tt.want)
		}
		if k, _, ok := tt.c.Oldest(); k != 0 || !ok {
			t.Errorf("the oldest is %d, %v, want 0, true", k, ok)
		}
		tt.c.check()
	}
}

// TestVersionRound checks that DeleteFunc removes entries after any number of
// writes, and not one that was replaced while it looked, even if the version
// has come round to the same.
func TestVersionRound(t *testing.T) {
	c := New[int, int](10, &Options[int, int]{Shards: 1})
	sh := &c.shards[0]
	sh.writes = 5*versions - 1
	c.Set(1, 1)
	if n := c.DeleteFunc(func(int, int) bool { return true }); n != 1 || c.Len() != 0 {
		t.Errorf("DeleteFunc removed %d, left %d, want 1, 0", n, c.Len())
	}

	c.Set(1, 1)
	n := c.DeleteFunc(func(_, v int) bool {
		sh.mu.Lock()
		sh.writes += versions - 1
		sh.mu.Unlock()
		c.Set(1, 2)
		return v == 1
	})
	v, ok := c.Get(1)
	checkAnswers(t, answer{"DeleteFunc", n, 0}, answer{"Get", v, 2}, answer{"Get: ok", ok, true})

	// A slot that has become free has version 0, as has this write.
	sh.writes = 7*versions - 1
	c.Set(1, 3)
	n = c.DeleteFunc(func(int, int) bool { return c.Delete(1) })
	checkAnswers(t, answer{"DeleteFunc of what was deleted", n, 0}, answer{"Len", c.Len(), 0})
	c.checkCost()
}

// TestErrorMisses checks that an error that is returned again counts as a miss,
// and not as a load.
func TestErrorMisses(t *testing.T) {
	c := New(10, &Options[int, int]{
		Load:     func(context.Context, int) (int, error) { return 0, ErrNotFound },
		ErrorTTL: func(int, error) time.Duration { return time.Hour },
	})
	for range 3 {
		if _, err := c.Load(context.Background(), 1); !errors.Is(err, ErrNotFound) {
			t.Errorf("Load = %v, want %v", err, ErrNotFound)
		}
	}
	s := c.Stats()
	checkAnswers(t,
		answer{"Misses", s.Misses, uint64(3)},
		answer{"Loads", s.Loads, uint64(1)},
		answer{"Hits", s.Hits, uint64(0)},
	)
}
