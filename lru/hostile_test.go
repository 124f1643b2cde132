// SPDX-License-Identifier: MIT

package lru

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"math"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// TestReclaimForgetsGone has an entry leave while a new value of it waits for
// room: what was given to the entry is not given to the next one.
func TestReclaimForgetsGone(t *testing.T) {
	for name, write := range map[string]func(c *Cache[int, int], key int) error{
		"Update": func(c *Cache[int, int], key int) error {
			c.Update(key, func(int, bool) (int, bool) { return 10, true })
			return nil
		},
		"Refresh": func(c *Cache[int, int], key int) error {
			_, err := c.Refresh(context.Background(), key)
			return err
		},
	} {
		for _, idle := range []time.Duration{0, time.Hour} {
			var clock fakeClock
			c := New(10, &Options[int, int]{
				Shards: 2, Cost: func(_, v int) int { return v }, Now: clock.now, TTL: time.Minute, Idle: idle,
				Load: func(context.Context, int) (int, error) { return 10, nil },
			})
			a := keyIn(c, 0, 0)
			c.SetAttr(a, 3, Attr{TTL: 2 * time.Second, Tags: []string{"given"}})
			c.SetTTL(keyIn(c, 0, a+1), 1, time.Second)
			c.Set(keyIn(c, 1, 0), 6)
			clock.sleep(time.Second)

			// The write gives back what has expired before it waits its turn.
			c.reclaiming.Lock()
			done := make(chan error)
			go func() { done <- write(c, a) }() // ends when the turn comes
			eventually(t, "the capacity of the expired entry is not free", func() bool { return c.free.Load() == 1 })
			clock.sleep(time.Second)
			c.Get(a) // which finds that it has expired
			c.reclaiming.Unlock()
			if err := <-done; err != nil {
				t.Fatal(err)
			}

			got, _ := c.AttrOf(a)
			checkAnswers(t, answer{fmt.Sprintf("%s, idle %v: AttrOf", name, idle), got, Attr{TTL: time.Minute, Cost: 10}})
			clock.sleep(time.Minute)
			if c.Has(a) {
				t.Errorf("%s, idle %v: the entry outlives its TTL", name, idle)
			}
			c.checkCost()
		}
	}
}

// TestSnapshotUncomparable reads keys that cannot be compared: gob decodes them
// into an interface, and no cache can hold them.
func TestSnapshotUncomparable(t *testing.T) {
	type pair struct{ A, B any }
	for _, bad := range []pair{{1.0, []byte("bad")}, {math.NaN(), []byte("bad")}} {
		f := frame[pair, int]{
			Keys: []pair{{"good", 1}, bad}, Values: []int{1, 2}, Left: []time.Duration{Forever, Forever},
			Ages: []time.Duration{-1, -1}, Costs: []int{1, 1}, Tags: make([][]string, 2), GivenTags: make([][]string, 2),
			Priorities: []int{0, 0}, Pinned: []bool{false, false}, Given: []uint32{0, 0}, Uses: []uint64{0, 0},
		}
		var b bytes.Buffer
		if err := gob.NewEncoder(&b).Encode(&f); err != nil {
			t.Fatal(err)
		}

		c := New[pair, int](10, nil)
		_, err := c.ReadFrom(bytes.NewReader(seal(0, b.Bytes())))
		if !errors.Is(err, ErrCorrupt) || c.Len() != 0 {
			t.Errorf("ReadFrom with %v = %v, %d entries, want ErrCorrupt, none", bad, err, c.Len())
		}
	}
}

// TestSnapshotAge reads the greatest age: it does not become negative when the
// clock goes on.
func TestSnapshotAge(t *testing.T) {
	var clock fakeClock
	f := oneFrame(Forever, 1, 0)
	f.Ages[0] = math.MaxInt64
	c := New(10, &Options[int, int]{TrackAge: true, Now: clock.now})
	if _, err := c.ReadFrom(bytes.NewReader(seal(0, gobOf(t, f)))); err != nil {
		t.Fatal(err)
	}

	clock.sleep(time.Hour)
	if e, ok := c.PeekEntry(1); !ok || e.Age < 100*365*24*time.Hour {
		t.Errorf("PeekEntry = %+v, %v, want an age of centuries", e, ok)
	}
	c.Resize(1)
	c.Set(2, 2)
	if got := c.Stats().EvictedAge; got <= 0 {
		t.Errorf("EvictedAge = %v, want more than 0", got)
	}
}

// depth returns the number of frames on the stack, at most 200.
func depth() int { return runtime.Callers(0, make([]uintptr, 200)) }

// TestRemovePanics has OnRemove end in a panic, or Goexit, each time: the call
// removes what it would remove without, all events are reported, of all shards,
// the first panic goes on, and the stack does not grow with their number.
func TestRemovePanics(t *testing.T) {
	const n = 600 // more than expireBatch and tagBatch in each shard
	for name, tt := range map[string]struct {
		do   func(c *Cache[int, int], clock *fakeClock)
		left int
	}{
		"Clear":      {func(c *Cache[int, int], _ *fakeClock) { c.Clear() }, 0},
		"DeleteTag":  {func(c *Cache[int, int], _ *fakeClock) { c.DeleteTag("all") }, 0},
		"DeleteFunc": {func(c *Cache[int, int], _ *fakeClock) { c.DeleteFunc(func(int, int) bool { return true }) }, 0},
		"Resize":     {func(c *Cache[int, int], _ *fakeClock) { c.Resize(1) }, 1},
		"reclaim":    {func(c *Cache[int, int], _ *fakeClock) { c.SetAttr(n, 0, Attr{Cost: n}) }, 1},
		"expiry": {func(c *Cache[int, int], clock *fakeClock) {
			clock.sleep(time.Hour)
			c.Stats()
		}, 0},
		"Clear of the expired": {func(c *Cache[int, int], clock *fakeClock) {
			clock.sleep(time.Hour)
			c.Clear()
		}, 0},
	} {
		for _, exits := range []bool{false, true} {
			var clock fakeClock
			told := map[int]bool{}
			deepest := 0
			c := New(n, &Options[int, int]{Shards: 2, TTL: time.Hour, Now: clock.now, OnRemove: func(k, _ int, _ Cause) {
				told[k] = true
				deepest = max(deepest, depth())
				if exits {
					runtime.Goexit()
				}
				panic(len(told))
			}})
			for i := range n {
				c.SetAttr(i, i, Attr{Tags: []string{"all"}})
			}

			var p any
			done := make(chan struct{})
			go func() { // ends with the call
				defer close(done)
				defer func() { p = recover() }()
				tt.do(c, &clock)
			}()
			<-done
			if got := c.shards[0].n + c.shards[1].n; got != tt.left {
				t.Errorf("%s: %d entries are left, want %d", name, got, tt.left)
			}
			for i := range n {
				if got, want := told[i], !c.Has(i); got != want {
					t.Errorf("%s: told of %d: %t, want %t", name, i, got, want)
				}
			}
			if want := any(1); !exits && p != want {
				t.Errorf("%s: panicked with %v, want %v", name, p, want)
			}
			if !exits && deepest >= 100 {
				t.Errorf("%s: OnRemove ran under %d frames, want less than 100", name, deepest)
			}
		}
	}
}

// TestPanicsEndCalls has other functions than OnRemove panic: the call ends
// there, whatever OnRemove did before.
func TestPanicsEndCalls(t *testing.T) {
	now := time.Now
	c := New(10, &Options[int, int]{
		Shards: 1, TTL: time.Hour,
		Now:      func() time.Time { return now() },
		OnRemove: func(int, int, Cause) { panic("OnRemove") },
	})
	fill := func() {
		now = time.Now
		for i := range 10 {
			c.PeekOrSet(i, i)
		}
	}

	fill()
	asked := 0
	mustPanic(t, "del", func() {
		c.DeleteFunc(func(int, int) bool {
			asked++
			panic("del")
		})
	})
	if asked != 1 {
		t.Errorf("del was called %d times, want 1", asked)
	}
	mustPanic(t, "OnRemove", func() {
		c.DeleteFunc(func(int, int) bool {
			if asked++; asked > 3 {
				panic("del")
			}
			return true
		})
	})
	if want := 4; asked != want {
		t.Errorf("del was called %d times, want %d", asked, want)
	}

	for name, do := range map[string]func(){
		"Clear":      c.Clear,
		"DeleteTag":  func() { c.DeleteTag("all") },
		"DeleteFunc": func() { c.DeleteFunc(func(int, int) bool { return true }) },
	} {
		fill()
		now = func() time.Time { panic("Now") }
		mustPanic(t, "Now", do)
		now = time.Now
		if got := c.Len(); got != 10 {
			t.Errorf("%s: %d entries are left, want 10", name, got)
		}
	}
}

// TestLoadManyPanics has OnLoadError panic for each key of a LoadMany: all
// loads end, the first panic goes on, and the stack does not grow with their
// number, as it does not without a panic.
func TestLoadManyPanics(t *testing.T) {
	const n = 300
	for _, panics := range []bool{false, true} {
		failed := 0
		deepest := 0
		c := New(n, &Options[int, int]{
			LoadMany: func(context.Context, []int) (map[int]int, error) { return nil, nil },
			OnLoadError: func(int, error) {
				failed++
				deepest = max(deepest, depth())
				if panics {
					panic(failed)
				}
			},
		})
		keys := make([]int, n)
		for i := range keys {
			keys[i] = i
		}

		var p any
		func() {
			defer func() { p = recover() }()
			_, _ = c.LoadAll(context.Background(), keys)
		}()
		if failed != n {
			t.Errorf("%d loads failed, want %d", failed, n)
		}
		if deepest >= 100 {
			t.Errorf("OnLoadError ran under %d frames, want less than 100", deepest)
		}
		if panics && p != 1 {
			t.Errorf("panicked with %v, want 1", p)
		}
		if got := c.Stats().Loading; got != 0 {
			t.Errorf("%d loads under way, want 0", got)
		}
	}
}

// TestThroughCachePanics has the options panic when the store has the value
// already: the cache does not keep the old one.
func TestThroughCachePanics(t *testing.T) {
	s := newSlowStore()
	c := New(10, &Options[int, int]{Cost: func(_, v int) int { return 10 / v }})
	w := NewThrough(c, s)
	if err := w.Set(context.Background(), 1, 1); err != nil {
		t.Fatal(err)
	}

	mustPanic(t, "runtime error: integer divide by zero", func() { _ = w.Set(context.Background(), 1, 0) })
	if v, ok := c.Get(1); ok {
		t.Errorf("the cache has %d, the store %d", v, s.m[1])
	}
}

// TestBehindTold checks that OnError is told of each write of a batch that was
// refused, with 0 tries, and then of each alone, and that GiveUp counts.
func TestBehindTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		b := NewBehind(New[int, int](10, nil), newSlowStore(), &BehindOptions[int, int]{
			Interval: 1,
			Batch:    2,
			Apply: func(context.Context, []Pair[int, int], []int) error {
				return errors.New("down")
			},
			OnError: func(key int, _ error, tries int) bool {
				got = append(got, fmt.Sprint(key, " ", tries))
				return false
			},
		})
		_ = b.Set(t.Context(), 1, 1)
		_ = b.Set(t.Context(), 2, 2)
		time.Sleep(150 * time.Millisecond) // a Backoff of 100 ms, and not the next one
		synctest.Wait()
		if want := "[1 0 2 0 1 1]"; fmt.Sprint(got) != want {
			t.Errorf("told of %v, want %s", got, want)
		}

		b.GiveUp()
		if s := b.Stats(); s.GivenUp != 2 || s.Pending != 0 {
			t.Errorf("Stats = %+v, want 2 given up, none pending", s)
		}
	})
}

// TestReplacedBesideStale sets a key while its shard keeps a stale value of
// another: the old value is replaced, and has not expired.
func TestReplacedBesideStale(t *testing.T) {
	var clock fakeClock
	var told []string
	c := New(10, &Options[int, int]{
		TTL: time.Minute, StaleIfError: time.Hour, Shards: 1, Now: clock.now,
		OnRemove: func(k, _ int, cause Cause) { told = append(told, fmt.Sprint(k, " ", cause)) },
	})
	c.Set(1, 1)
	c.SetTTL(2, 2, time.Hour)
	clock.sleep(time.Minute)
	c.Set(2, 3)
	if want := fmt.Sprint("[2 ", Replaced, "]"); fmt.Sprint(told) != want {
		t.Errorf("told of %v, want %s", told, want)
	}
}

// TestClockBounds checks the reading that lies furthest before the base.
func TestClockBounds(t *testing.T) {
	c := clock{base: time.Unix(0, 0)}
	if got := c.at(c.base.Add(-maxReading)); got != -maxReading {
		t.Errorf("reading = %d, want %d", got, int64(-maxReading))
	}
}

// TestReclaimExpires makes room in a shard that learns only meanwhile, from
// another one, that an entry has expired: that entry goes, and no other.
func TestReclaimExpires(t *testing.T) {
	var clock fakeClock
	var told []string
	c := New(10, &Options[int, int]{
		Shards: 4, Now: clock.now,
		OnRemove: func(_, v int, cause Cause) { told = append(told, fmt.Sprint(v, " ", cause)) },
	})
	due := keyIn(c, 1, 0)
	other := keyIn(c, 2, 0)
	c.SetAttr(due, 1, Attr{Cost: 3, TTL: 15})
	c.SetAttr(keyIn(c, 1, due+1), 2, Attr{Cost: 3})
	c.SetAttr(other, 3, Attr{Cost: 4})
	clock.sleep(20)
	c.Get(other)
	clock.sleep(-10)
	c.SetAttr(keyIn(c, 0, 0), 4, Attr{Cost: 3})
	if want := fmt.Sprint("[1 ", Expired, "]"); fmt.Sprint(told) != want {
		t.Errorf("told of %v, want %s", told, want)
	}
}

// TestTagsOfMoved deletes an entry of one tag beside an entry of two: the other
// tag still lists each of its entries.
func TestTagsOfMoved(t *testing.T) {
	c := New[string, int](10, &Options[string, int]{Shards: 1})
	c.SetAttr("a", 1, Attr{Tags: []string{"t"}})
	c.SetAttr("b", 2, Attr{Tags: []string{"u"}})
	c.SetAttr("c", 3, Attr{Tags: []string{"t", "u"}})
	checkAnswers(t,
		answer{"Delete(a)", c.Delete("a"), true}, // c is the first of t now, and still the second of u
		answer{"Delete(c)", c.Delete("c"), true},
		answer{"DeleteTag(u)", c.DeleteTag("u"), 1},
		answer{"Has(b)", c.Has("b"), false},
		answer{"Len", c.Len(), 0},
	)
}
