// SPDX-License-Identifier: MIT

package lru

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// TestExpiryExact has a value until its deadline, and not at it, by every
// method.
func TestExpiryExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var gone []string
		c := New(10, &Options[string, int]{
			TTL: time.Minute,
			OnRemove: func(k string, _ int, cause Cause) {
				mu.Lock()
				defer mu.Unlock()
				gone = append(gone, k+" "+cause.String())
			},
		})

		c.Set("minute", 1)
		c.SetTTL("second", 2, time.Second)
		c.SetAttr("forever", 3, Attr{TTL: Forever})
		time.Sleep(time.Second - 1)
		v, _ := c.Get("second")
		checkAnswers(t, answer{"Get, 1 ns before", v, 2}, answer{"Len, 1 ns before", c.Len(), 3})

		time.Sleep(time.Nanosecond)
		checkAnswers(t,
			answer{"Has, at the deadline", c.Has("second"), false},
			answer{"Len, at the deadline", c.Len(), 2},
			answer{"Cost, at the deadline", c.Cost(), 2},
		)
		time.Sleep(time.Hour)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if want := []string{"second Expired", "minute Expired"}; !slices.Equal(gone, want) {
			t.Errorf("removed %v, want %v", gone, want)
		}
		if !c.Has("forever") {
			t.Error("an entry without end has expired")
		}
	})
	checkDeadline(t)
}

// checkDeadline asks for an entry right before its deadline and at it, by each
// method and where no alarm has removed it.
func checkDeadline(t *testing.T) {
	t.Helper()
	for name, has := range map[string]func(c *Cache[int, int]) bool{
		"Get":       func(c *Cache[int, int]) bool { _, ok := c.Get(1); return ok },
		"Peek":      func(c *Cache[int, int]) bool { _, ok := c.Peek(1); return ok },
		"PeekEntry": func(c *Cache[int, int]) bool { _, ok := c.PeekEntry(1); return ok },
		"Has":       func(c *Cache[int, int]) bool { return c.Has(1) },
		"Len":       func(c *Cache[int, int]) bool { return c.Len() > 0 },
		"Cost":      func(c *Cache[int, int]) bool { return c.Cost() > 0 },
	} {
		for _, left := range []int64{1, 0} {
			var clock fakeClock
			c := New(10, &Options[int, int]{TTL: time.Minute, Now: clock.now})
			c.Set(1, 1)
			clock.t += int64(time.Minute) - left
			checkAnswers(t, answer{fmt.Sprintf("%s, %d ns before the deadline", name, left), has(c), left > 0})
		}
	}
}

// TestExpiryTimely has entries removed, and reported, when their time is up
// although nobody uses the cache: each at most a millisecond late.
func TestExpiryTimely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var n, late, rings, last atomic.Int64
		c := New(10_000, &Options[int, time.Duration]{
			OnRemove: func(_ int, ttl time.Duration, cause Cause) {
				n.Add(1)
				if at := int64(time.Since(start)); last.Swap(at) != at {
					rings.Add(1)
				}
				late.Store(max(late.Load(), int64(time.Since(start)-ttl))) // rings come one after the other
				checkAnswers(t, answer{"cause", cause, Expired}, answer{"too early", time.Since(start) < ttl, false})
			},
		})

		for i := range 1000 {
			ttl := time.Duration(1+i*7919%1000) * 100 * time.Microsecond
			c.SetTTL(i, ttl, ttl)
		}

		time.Sleep(time.Second)
		synctest.Wait()
		if got := n.Load(); got != 1000 {
			t.Errorf("%d removed, want 1000", got)
		}
		if got, want := time.Duration(late.Load()), time.Millisecond; got > want {
			t.Errorf("removed up to %v late, want at most %v", got, want)
		}
		if rings.Load() > 101 {
			t.Errorf("the alarm rang %d times in 100 ms, want at most 101", rings.Load())
		}
		if c.alarm.at.Load() != never {
			t.Error("the alarm is set though nothing is to expire")
		}
	})
}

// TestJitter only shortens, by less than it says, and evenly.
func TestJitter(t *testing.T) {
	c := New(1, &Options[int, int]{TTL: time.Hour, Jitter: 0.2})
	const n = 20_000
	var parts [10]int
	for range n {
		d := c.jittered(time.Hour)
		if d > time.Hour || d <= 48*time.Minute {
			t.Fatalf("a TTL of %v, want more than 48m, at most 1h", d)
		}
		parts[min(int((time.Hour-d)*10/(12*time.Minute)), 9)]++
	}

	for i, got := range parts { // seven standard deviations of a binomial
		if d := math.Abs(float64(got - n/10)); d > 7*math.Sqrt(n*0.1*0.9) {
			t.Errorf("%d of %d in tenth %d", got, n, i)
		}
	}

	for _, d := range []time.Duration{Forever, 0, -1, math.MinInt64} {
		if got := c.jittered(d); got != d {
			t.Errorf("jittered(%d) = %d", d, got)
		}
	}

	if d := c.jittered(1); d != 1 {
		t.Errorf("jittered(1) = %d, want 1", d)
	}
}

// TestJitterSpread is the mass expiry that jitter is for: 1000 entries set at
// once go over a tenth of the hour, not in one instant.
func TestJitterSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(1000, &Options[int, int]{TTL: time.Hour, Jitter: 0.1})
		for i := range 1000 {
			c.Set(i, i)
		}

		time.Sleep(54 * time.Minute)
		if n := c.Len(); n < 950 {
			t.Errorf("%d of 1000 left after 9/10 of the TTL, want at least 950", n)
		}
		time.Sleep(3 * time.Minute)
		if n := c.Len(); n < 400 || n > 600 {
			t.Errorf("%d of 1000 left half way, want 400 to 600", n)
		}

		time.Sleep(3 * time.Minute)
		if n := c.Len(); n != 0 {
			t.Errorf("%d left after the TTL, want 0", n)
		}
	})
}

// TestIdle keeps what is used, and no longer than its TTL.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(10, &Options[string, int]{TTL: time.Hour, Idle: time.Minute})
		c.Set("used", 1)
		c.Set("unused", 2)
		uses := 0
		for ; uses < 1000; uses++ {
			time.Sleep(50 * time.Second)
			if _, ok := c.Get("used"); !ok {
				break
			}
		}

		if uses != 71 { // 72 times 50 seconds is the hour
			t.Errorf("expired at use %d", uses)
		}
		if c.Has("unused") {
			t.Error("an entry that nobody used is there")
		}

		c.Set("peeked", 3)
		for range 2 {
			time.Sleep(30 * time.Second)
			c.Peek("peeked")
		}

		if c.Has("peeked") {
			t.Error("Peek kept an entry alive")
		}
	})
}

// TestIdleBounds uses an entry at random times: it goes between 15/16 of the
// idle time and all of it after the last use.
func TestIdleBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := int64(0)
		const idle = 1600
		c := New(1, &Options[int, int]{Idle: idle, Now: func() time.Time { return time.Unix(0, now) }})
		c.Set(1, 1)
		last := now
		for range rapid.IntRange(1, 30).Draw(t, "uses") {
			now += rapid.Int64Range(0, idle-idle/16-1).Draw(t, "wait")
			if _, ok := c.Get(1); !ok {
				t.Fatalf("gone %d after the last use", now-last)
			}
			last = now
		}

		now = last + idle - idle/16 - 1
		if !c.Has(1) {
			t.Fatal("gone before 15/16 of the idle time")
		}
		now = last + idle
		if c.Has(1) {
			t.Fatal("there after the idle time")
		}
	})
}

// TestNowLazy has no timer, and counts nothing that has expired.
func TestNowLazy(t *testing.T) {
	now := time.Unix(0, 0)
	removed := 0
	c := New(10, &Options[int, int]{
		TTL: time.Second, Now: func() time.Time { return now }, OnRemove: func(int, int, Cause) { removed++ },
	})
	for i := range 5 {
		c.Set(i, i)
	}

	now = now.Add(time.Second)
	checkAnswers(t,
		answer{"without a timer", c.alarm.timer == nil, true},
		answer{"removed before the cache was used", removed, 0},
	)
	n := c.Len()
	checkAnswers(t, answer{"Len", n, 0}, answer{"removed", removed, 5})

	// A change of the shard removes a few, and not all at once.
	c = New(100, &c.opts)
	for i := range 2*purgeBatch + 1 {
		c.Set(i, i)
	}
	now = now.Add(time.Second)
	removed = 0
	for _, want := range []int{purgeBatch, 2 * purgeBatch, 2*purgeBatch + 1} {
		c.Delete(-1)
		checkAnswers(t, answer{"removed by a change of the shard", removed, want})
	}
}

// TestClockBack lets the clock go back: what has expired stays so.
func TestClockBack(t *testing.T) {
	now := time.Unix(1000, 0)
	c := New(10, &Options[int, int]{TTL: time.Second, Shards: 1, Now: func() time.Time { return now }})
	c.Set(1, 1)
	now = now.Add(time.Second)
	if c.Has(1) {
		t.Error("not expired")
	}

	now = now.Add(-time.Hour)
	_, ok := c.Get(1)
	checkAnswers(t, answer{"Get of what has expired", ok, false}, answer{"Has", c.Has(1), false})
	c.Set(2, 2) // lives from the latest reading
	now = now.Add(time.Hour + time.Second - 1)
	if !c.Has(2) {
		t.Error("expired early")
	}

	now = now.Add(1)
	if c.Has(2) {
		t.Error("expired late")
	}
}

// TestClockBehind lets the clock go back after another entry was used: every
// method treats what had expired then as absent, and tells the rest of the time
// by the latest reading.
func TestClockBehind(t *testing.T) {
	for name, found := range map[string]func(c *Cache[int, int], key int) bool{
		"Get":       func(c *Cache[int, int], key int) bool { _, ok := c.Get(key); return ok },
		"Peek":      func(c *Cache[int, int], key int) bool { _, ok := c.Peek(key); return ok },
		"PeekEntry": func(c *Cache[int, int], key int) bool { e, ok := c.PeekEntry(key); return ok && e.Left == 1 },
		"AttrOf":    func(c *Cache[int, int], key int) bool { a, ok := c.AttrOf(key); return ok && a.TTL == 1 },
		"Take":      func(c *Cache[int, int], key int) bool { _, ok := c.Take(key); return ok },
		"Touch":     func(c *Cache[int, int], key int) bool { return c.Touch(key, time.Hour) },
		"Pin":       func(c *Cache[int, int], key int) bool { return c.Pin(key) },
		"GetOrSet":  func(c *Cache[int, int], key int) bool { _, ok := c.GetOrSet(key, 5); return ok },
		"PeekOrSet": func(c *Cache[int, int], key int) bool { _, ok := c.PeekOrSet(key, 5); return ok },
		"Swap":      func(c *Cache[int, int], key int) bool { _, ok := c.Swap(key, 5); return ok },
		"All":       func(c *Cache[int, int], key int) bool { return slices.Contains(slices.Collect(c.Keys()), key) },
		"DeleteFunc": func(c *Cache[int, int], key int) bool {
			return c.DeleteFunc(func(k, _ int) bool { return k == key }) == 1
		},
		"Hottest": func(c *Cache[int, int], key int) bool {
			for k := range c.Hottest() {
				if k == key {
					return true
				}
			}
			return false
		},
		"LoadEntry": func(c *Cache[int, int], key int) bool {
			e, _ := c.LoadEntry(context.Background(), key)
			return e.Value == key
		},
		"WriteTo": func(c *Cache[int, int], key int) bool {
			d := New(10, &Options[int, int]{Now: c.opts.Now})
			if _, err := d.ReadFrom(bytes.NewReader(snapshotOf(t, c))); err != nil {
				t.Error(err)
			}
			return d.Has(key)
		},
		"Update": func(c *Cache[int, int], key int) (found bool) {
			c.Update(key, func(_ int, ok bool) (int, bool) { found = ok; return 5, true })
			return found
		},
	} {
		for _, age := range []bool{false, true} {
			now := time.Unix(1000, 0)
			c := New(10, &Options[int, int]{
				Shards: 1, TrackAge: age, Now: func() time.Time { return now },
				Load: func(context.Context, int) (int, error) { return 5, nil },
			})
			c.SetTTL(1, 1, time.Second)
			c.SetTTL(2, 2, time.Second+1)

			now = now.Add(time.Second)
			c.Peek(2)
			now = now.Add(-time.Hour)
			checkAnswers(t,
				answer{fmt.Sprintf("%s finds what has expired, TrackAge %v", name, age), found(c, 1), false},
				answer{fmt.Sprintf("%s finds what is there, TrackAge %v", name, age), found(c, 2), true},
			)
		}
	}
}

// TestClockFar has a clock that leaves what readings can tell, both ways.
func TestClockFar(t *testing.T) {
	now := time.Unix(0, 0)
	c := New(10, &Options[int, int]{TTL: time.Hour, Idle: time.Minute, Now: func() time.Time { return now }})
	now = now.AddDate(-5000, 0, 0)
	c.Set(1, 1)
	if !c.Has(1) {
		t.Error("expired at once in the past")
	}

	now = now.AddDate(9000, 0, 0)
	checkAnswers(t, answer{"Has after 9000 years", c.Has(1), false}, answer{"Len", c.Len(), 0})
	c.SetTTL(2, 2, Forever)
	c.Set(3, 3)
	c.Delete(2)
	c.Len()
	c.checkCost()
}

// TestDeadlines compares the heap with a sorted list.
func TestDeadlines(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var d deadlines
		const n = 20
		d.extend(n)
		model := map[uint32]int64{}

		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				s, at := rapid.Uint32Range(1, n).Draw(t, "s"), rapid.Int64Range(-5, 5).Draw(t, "at")
				d.set(s, at)
				model[s] = at
			},
			"clear": func(t *rapid.T) {
				s := rapid.Uint32Range(1, n).Draw(t, "s")
				d.set(s, never)
				delete(model, s)
			},
			"": func(t *rapid.T) {
				want := int64(never)
				for s, at := range model {
					want = min(want, at)
					checkAnswers(t, answer{"due", d.due(s, at), true}, answer{"due before", d.due(s, at-1), false})
				}
				checkAnswers(t, answer{"earliest", d.earliest(), want}, answer{"deadlines", d.checkHeap(), len(model)})
			},
		})
	})
}

// TestCollected lets a cache with a timer be collected: the timer holds it
// weakly, and then holds nothing.
func TestCollected(t *testing.T) {
	freed := make(chan struct{})
	func() {
		c := New(10, &Options[int, int]{TTL: time.Hour})
		c.Set(1, 1)
		if c.alarm.timer == nil {
			t.Fatal("no timer")
		}
		runtime.AddCleanup(c, func(ch chan struct{}) { close(ch) }, freed)
	}()

	for range 100 {
		runtime.GC()
		select {
		case <-freed:
			return
		case <-time.After(10 * time.Millisecond):
		}
	}

	t.Error("the cache is not collected")
}
