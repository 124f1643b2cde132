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
	"slices"
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
			if got.TTL != time.Minute || got.Tags != nil || got.Cost != 10 {
				t.Errorf("%s, idle %v: AttrOf = %+v, want a minute, a cost of 10, no tags", name, idle, got)
			}
			clock.sleep(time.Minute)
			if c.Has(a) {
				t.Errorf("%s, idle %v: the entry outlives its TTL", name, idle)
			}
			c.checkCost()
		}
	}
}

// TestSnapshotUncomparable reads a key that cannot be compared: gob decodes it
// into an interface, and no cache can hold it.
func TestSnapshotUncomparable(t *testing.T) {
	f := frame[any, int]{
		Keys: []any{"good", []byte("bad")}, Values: []int{1, 2}, Left: []time.Duration{Forever, Forever},
		Ages: []time.Duration{-1, -1}, Costs: []int{1, 1}, Tags: make([][]string, 2), GivenTags: make([][]string, 2),
		Priorities: []int{0, 0}, Pinned: []bool{false, false}, Given: []uint32{0, 0}, Uses: []uint64{0, 0},
	}
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(&f); err != nil {
		t.Fatal(err)
	}

	c := New[any, int](10, nil)
	_, err := c.ReadFrom(bytes.NewReader(seal(0, b.Bytes())))
	if !errors.Is(err, ErrCorrupt) || c.Len() != 0 {
		t.Errorf("ReadFrom = %v, %d entries, want ErrCorrupt, none", err, c.Len())
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

// TestRemovePanics has OnRemove end in a panic, or Goexit, each time: all
// events are reported, of all shards, the first panic goes on, and the stack
// does not grow with their number.
func TestRemovePanics(t *testing.T) {
	const n = 300
	for name, do := range map[string]func(c *Cache[int, int]){
		"Clear":   func(c *Cache[int, int]) { c.Clear() },
		"Resize":  func(c *Cache[int, int]) { c.Resize(1) },
		"reclaim": func(c *Cache[int, int]) { c.SetAttr(n, 0, Attr{Cost: n}) },
	} {
		for _, exits := range []bool{false, true} {
			var told []int
			deepest := 0
			c := New(n, &Options[int, int]{Shards: 2, OnRemove: func(k, _ int, _ Cause) {
				told = append(told, k)
				deepest = max(deepest, depth())
				if exits {
					runtime.Goexit()
				}
				panic(len(told))
			}})
			for i := range n {
				c.Set(i, i)
			}

			var p any
			done := make(chan struct{})
			go func() { // ends with the call
				defer close(done)
				defer func() { p = recover() }()
				do(c)
			}()
			<-done
			if name == "Clear" && len(told) < n {
				c.opts.OnRemove = func(k, _ int, _ Cause) { told = append(told, k) }
				c.Clear() // the shard that the first call did not come to
			}

			slices.Sort(told)
			told = slices.Compact(told)
			if got, want := len(told), n-c.Len(); name != "reclaim" && got != want || got < n-1 {
				t.Errorf("%s: told of %d keys, want %d", name, got, want)
			}
			if !exits && (p != 1 || deepest >= 100) {
				t.Errorf("%s: panicked with %v in %d frames, want 1 in less than 100", name, p, deepest)
			}
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
		if failed != n || deepest >= 100 || panics && p != 1 {
			t.Errorf("%d loads failed, %d frames, panic %v; want %d, less than 100, 1", failed, deepest, p, n)
		}
		if got := c.Stats().Loading; got != 0 {
			t.Errorf("%d loads under way", got)
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
