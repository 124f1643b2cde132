// SPDX-License-Identifier: MIT

package lru

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestAgeZones checks what Get and Load return at each age of a value.
func TestAgeZones(t *testing.T) {
	down := errors.New("down")
	const refresh, ttl, stale = 10, 20, 30 * time.Second
	for _, manual := range []bool{false, true} {
		for _, tt := range []struct {
			age   time.Duration
			err   error
			get   bool // Get finds it
			value int  // what Load returns: 1 is the old value, 2 the new one
			fails bool // Load fails
			stale bool // what it returns is marked
			next  int  // what Load returns afterwards
			loads int  // by then
		}{
			{9 * time.Second, nil, true, 1, false, false, 1, 0},
			{10 * time.Second, nil, true, 1, false, false, 2, 1},
			{19 * time.Second, nil, true, 1, false, false, 2, 1},
			{20 * time.Second, nil, false, 2, false, false, 2, 1},
			{50 * time.Second, nil, false, 2, false, false, 2, 1},
			{9 * time.Second, down, true, 1, false, false, 1, 0},
			{10 * time.Second, down, true, 1, false, false, 1, 1},
			{19 * time.Second, down, true, 1, false, false, 1, 1},
			{20 * time.Second, down, false, 1, false, true, 1, 1}, // backs off
			{49 * time.Second, down, false, 1, false, true, 1, 1},
			{50 * time.Second, down, false, 0, true, false, 0, 2},
			{9 * time.Second, ErrNotFound, true, 1, false, false, 1, 0},
			{10 * time.Second, ErrNotFound, true, 1, false, false, 0, 2},
			{20 * time.Second, ErrNotFound, false, 0, true, false, 0, 2},
		} {
			synctest.Test(t, func(t *testing.T) {
				t.Logf("%+v", tt)
				loads := 0
				o := &Options[string, int]{
					TTL: ttl * time.Second, RefreshAfter: refresh * time.Second, StaleIfError: stale,
					Load: func(context.Context, string) (int, error) { loads++; return 2, tt.err },
				}
				if manual {
					o.Now = time.Now
				}

				c := New(10, o)
				c.Set("k", 1)
				time.Sleep(tt.age)
				synctest.Wait()
				if _, ok := c.Get("k"); ok != tt.get {
					t.Errorf("%+v: Get found it: %v", tt, ok)
				}
				if n := c.Len(); n != 0 != tt.get {
					t.Errorf("%+v: %d entries", tt, n)
				}

				e, err := c.LoadEntry(t.Context(), "k")
				var fails, stale error
				if tt.fails {
					fails = tt.err
				}
				if tt.stale {
					stale = tt.err
				}
				checkAnswers(t, answer{"value", e.Value, tt.value}, answer{"error", err, fails}, answer{"why stale", e.Err, stale})

				age, left := tt.age, ttl*time.Second-tt.age
				if tt.value != 1 {
					age, left = 0, ttl*time.Second
				}
				if !tt.fails {
					checkAnswers(t, answer{"Age", e.Age, age}, answer{"Left", e.Left, max(left, 0)})
				}

				synctest.Wait()
				next, _ := c.Load(t.Context(), "k")
				synctest.Wait()
				checkAnswers(t, answer{"next", next, tt.next}, answer{"loads", loads, tt.loads})
				if n := c.Stats().StaleHits; (n != 0) != tt.stale {
					t.Errorf("%+v: %d stale hits", tt, n)
				}

				c.checkIdle(t)
			})
		}
	}
}

// TestRefreshRaces is what happens to a value while it is reloaded in the
// background.
func TestRefreshRaces(t *testing.T) {
	for name, tt := range map[string]struct {
		do    func(c *Cache[int, int])
		value int
	}{
		"nothing":              {func(*Cache[int, int]) {}, 107},
		"Set":                  {func(c *Cache[int, int]) { c.Set(7, 2) }, 2},
		"Delete":               {func(c *Cache[int, int]) { c.Delete(7) }, 0},
		"Update":               {func(c *Cache[int, int]) { c.Update(7, func(int, bool) (int, bool) { return 2, true }) }, 2},
		"DeleteTag of the old": {func(c *Cache[int, int]) { c.DeleteTag("old") }, 0},
		"DeleteTag of the new": {func(c *Cache[int, int]) { c.DeleteTag("new") }, 1},
		"Clear":                {func(c *Cache[int, int]) { c.Clear() }, 0},
		"DeleteFunc":           {func(c *Cache[int, int]) { c.DeleteFunc(func(int, int) bool { return false }) }, 1},
		"GetOrSet":             {func(c *Cache[int, int]) { c.GetOrSet(7, 2) }, 107},
		"Touch":                {func(c *Cache[int, int]) { c.Touch(7, time.Hour) }, 107},
		"its end":              {func(*Cache[int, int]) { time.Sleep(10 * time.Second) }, 107},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGate()
				c := New(10, &Options[int, int]{
					Load: g.load, TTL: 10 * time.Second, RefreshAfter: time.Second,
					Tags: func(_, v int) []string {
						if v > 100 {
							return []string{"new"}
						}
						return []string{"old"}
					},
				})

				c.Set(7, 1)
				time.Sleep(time.Second)
				for range 3 { // hits do not wait, and do not begin another load
					if v, err := c.Load(t.Context(), 7); v != 1 || err != nil {
						t.Fatalf("Load = %d, %v, want 1", v, err)
					}
					synctest.Wait()
				}

				tt.do(c)
				close(g.release)
				synctest.Wait()
				v, _ := c.Get(7)
				checkAnswers(t, answer{"Get", v, tt.value}, answer{"loads", g.calls.Load(), int64(1)})

				c.checkIdle(t)
			})
		})
	}
}

// TestRefreshJoined has a value expire while it is reloaded: a caller that
// needs it then waits for that load.
func TestRefreshJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		c := New(10, &Options[int, int]{Load: g.load, TTL: 10 * time.Second, RefreshAfter: time.Second, CancelAbandoned: true})
		c.Set(7, 1)
		time.Sleep(time.Second)
		_, _ = c.Load(t.Context(), 7)
		time.Sleep(10 * time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		a := goLoad(ctx, c, 7)
		cancel() // and this does not cancel what nobody had asked for
		synctest.Wait()
		b := goLoad(t.Context(), c, 7)
		close(g.release)
		synctest.Wait()
		checkAnswers(t,
			answer{"the first fails", a.err != nil, true},
			answer{"the second", b.v, 107},
			answer{"loads", g.calls.Load(), int64(1)},
		)

		c.checkIdle(t)
	})
}

// TestRefreshBounds has more values to reload than may be at a time, and
// retries them no sooner than after a while.
func TestRefreshBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		g.err = errors.New("down")
		var reported atomic.Int64
		c := New(100, &Options[int, int]{
			Load: g.load, RefreshAfter: 10 * time.Second, MaxRefreshes: 3,
			OnLoadError: func(int, error) { reported.Add(1) },
		})
		all := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
		for _, k := range all {
			c.Set(k, k)
		}

		time.Sleep(10 * time.Second)
		get := func(loads int64) {
			t.Helper()
			if got, err := c.LoadAll(t.Context(), all); len(got) != 10 || err != nil {
				t.Errorf("LoadAll = %v, %v, want 10 values", got, err)
			}
			synctest.Wait()
			if g.calls.Load() != loads {
				t.Errorf("%d loads, want %d", g.calls.Load(), loads)
			}
		}

		get(3)
		get(3)
		if s := c.Stats(); s.Loading != 3 {
			t.Errorf("%d loads under way, want 3", s.Loading)
		}
		close(g.release)
		synctest.Wait()
		for _, k := range all[3:] { // the three that failed are not tried again, for a second
			_, _ = c.Load(t.Context(), k)
			synctest.Wait()
		}

		get(10)
		time.Sleep(minRetry - 1)
		get(10)
		time.Sleep(time.Nanosecond)
		_, _ = c.Load(t.Context(), 0)
		synctest.Wait()
		checkAnswers(t, answer{"loads", g.calls.Load(), int64(11)}, answer{"reported", reported.Load(), int64(11)})

		c.checkIdle(t)
	})
}

// TestRefreshPanic has the loader panic in the background: the program goes on,
// and is told.
func TestRefreshPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reported error
		c := New(10, &Options[int, int]{
			Load: func(context.Context, int) (int, error) { panic("boom") }, RefreshAfter: time.Second,
			OnLoadError: func(_ int, err error) { reported = err },
		})
		c.Set(1, 1)
		time.Sleep(time.Second)
		if v, err := c.Load(t.Context(), 1); v != 1 || err != nil {
			t.Errorf("Load = %d, %v, want 1", v, err)
		}

		synctest.Wait()
		var p *PanicError
		if !errors.As(reported, &p) || p.Value != "boom" {
			t.Errorf("reported %v, want a PanicError of boom", reported)
		}
		if v, ok := c.Get(1); v != 1 || !ok {
			t.Errorf("Get = %d, %v, want 1, true", v, ok)
		}

		c.checkIdle(t)
	})
}

// TestErrorTTL remembers errors: for Load alone, bounded by the capacity, and
// gone when the key is written.
func TestErrorTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		loads, removed := 0, 0
		c := New(4, &Options[int, int]{
			Load: func(context.Context, int) (int, error) { loads++; return 0, ErrNotFound },
			ErrorTTL: func(_ int, err error) time.Duration {
				if errors.Is(err, ErrNotFound) {
					return time.Minute
				}
				return 0
			},
			OnRemove: func(int, int, Cause) { removed++ },
		})

		for range 3 {
			if _, err := c.Load(t.Context(), 1); !errors.Is(err, ErrNotFound) {
				t.Errorf("Load = %v, want %v", err, ErrNotFound)
			}
			synctest.Wait()
		}

		checkAnswers(t,
			answer{"loads", loads, 1},
			answer{"Len", c.Len(), 0},
			answer{"Cost", c.Cost(), 1},
			answer{"Has", c.Has(1), false},
		)
		if _, ok := c.Get(1); ok {
			t.Error("Get found an error")
		}
		if n := len(slices.Collect(c.Keys())); n != 0 {
			t.Errorf("%d keys, want 0", n)
		}

		time.Sleep(time.Minute)
		_, _ = c.Load(t.Context(), 1)
		synctest.Wait()
		if loads != 2 {
			t.Errorf("after a minute: %d loads, want 2", loads)
		}

		for name, write := range map[string]func(){
			"Set":    func() { c.Set(1, 5) },
			"Update": func() { c.Update(1, func(_ int, ok bool) (int, bool) { return 5, !ok }) },
			"SetTTL": func() { c.SetTTL(1, 5, time.Hour) },
			"SetOr":  func() { c.GetOrSet(1, 5) },
			"Swap":   func() { c.Swap(1, 5) },
		} {
			write()
			if v, err := c.Load(t.Context(), 1); v != 5 || err != nil {
				t.Errorf("after %s: Load = %d, %v, want 5", name, v, err)
			}
			if got := c.Len(); got != 1 {
				t.Errorf("after %s: %d entries, want 1", name, got)
			}
			c.Delete(1)
			_, _ = c.Load(t.Context(), 1)
			synctest.Wait()
			c.checkIdle(t)
		}

		// Errors take room like values, and no more.
		removed = 0
		for k := range 100 {
			_, _ = c.Load(t.Context(), k)
			if c.Cost() > 4 {
				t.Fatalf("cost %d, want at most 4", c.Cost())
			}
		}

		synctest.Wait()
		if removed != 0 {
			t.Errorf("%d errors were reported as removed, want 0", removed)
		}
		s := c.Stats()
		checkAnswers(t, answer{"Added", s.Added, uint64(5)}, answer{"Len", s.Len, 0})

		c.Clear()
		c.checkIdle(t)
		checkAnswers(t, answer{"reported", removed, 0}, answer{"Cost", c.Cost(), 0})
		for k := range 4 { // there is no room for an error
			c.SetAttr(100+k, 1, Attr{Pinned: true})
		}

		_, _ = c.Load(t.Context(), 1)
		synctest.Wait()
		checkAnswers(t, answer{"reported", removed, 0}, answer{"Len", c.Len(), 4})
		c.checkIdle(t)
	})
}

// TestStaleErrorTTL has a backend down: it is asked once in a while, and the
// stale value is returned.
func TestStaleErrorTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		loads := 0
		c := New(4, &Options[int, int]{
			TTL: time.Minute, StaleIfError: Forever,
			Load:     func(context.Context, int) (int, error) { loads++; return 0, errors.New("down") },
			ErrorTTL: func(int, error) time.Duration { return 10 * time.Second },
		})
		c.Set(1, 1)
		time.Sleep(time.Hour)

		for range 60 {
			e, err := c.LoadEntry(t.Context(), 1)
			checkAnswers(t,
				answer{"LoadEntry", err, nil},
				answer{"Value", e.Value, 1},
				answer{"stale", e.Err != nil, true},
				answer{"Left", e.Left, time.Duration(0)},
			)
			time.Sleep(time.Second)
		}

		checkAnswers(t, answer{"loads", loads, 6}, answer{"StaleHits", c.Stats().StaleHits, uint64(60)})
		got, err := c.LoadAll(t.Context(), []int{1})
		if got[1] != 1 || err != nil {
			t.Errorf("LoadAll = %v, %v, want 1", got, err)
		}
		if _, err := c.Refresh(t.Context(), 1); err == nil {
			t.Error("Refresh returned what is stale")
		}

		synctest.Wait()
		c.checkIdle(t)
	})
}

// TestStaleGone is what ends a stale value: whatever would have ended it while
// it was fresh.
func TestStaleGone(t *testing.T) {
	for name, tt := range map[string]struct {
		do   func(c *Cache[int, int])
		gone bool
	}{
		"nothing":    {func(*Cache[int, int]) {}, false},
		"Get":        {func(c *Cache[int, int]) { c.Get(1) }, false},
		"Peek":       {func(c *Cache[int, int]) { c.Peek(1) }, false},
		"Touch":      {func(c *Cache[int, int]) { c.Touch(1, time.Hour) }, false},
		"Pin":        {func(c *Cache[int, int]) { c.Pin(1) }, false},
		"DeleteTag2": {func(c *Cache[int, int]) { c.DeleteTag("other") }, false},
		"Delete":     {func(c *Cache[int, int]) { c.Delete(1) }, true},
		"Take":       {func(c *Cache[int, int]) { c.Take(1) }, true},
		"Touch ends": {func(c *Cache[int, int]) { c.Touch(1, 0) }, true},
		"DeleteTag":  {func(c *Cache[int, int]) { c.DeleteTag("tag") }, true},
		"DeleteFunc": {func(c *Cache[int, int]) { c.DeleteFunc(func(_, v int) bool { return v == 1 }) }, true},
		"Clear":      {func(c *Cache[int, int]) { c.Clear() }, true},
		"Update":     {func(c *Cache[int, int]) { c.Update(1, func(int, bool) (int, bool) { return 0, false }) }, true},
		"Set":        {func(c *Cache[int, int]) { c.Set(1, 9); c.Delete(1) }, true},
		"eviction":   {func(c *Cache[int, int]) { c.Set(2, 2); c.Set(3, 3) }, true},
		"time":       {func(*Cache[int, int]) { time.Sleep(time.Hour) }, true},
		"snapshot":   {func(c *Cache[int, int]) { var w limited; w.left = 1 << 20; _, _ = c.WriteTo(&w) }, false},
	} {
		for _, manual := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var removed []removal[int, int]
					o := &Options[int, int]{
						TTL: time.Minute, StaleIfError: time.Hour, Policy: PolicyLRU,
						Tags: func(int, int) []string { return []string{"tag"} },
						Load: func(context.Context, int) (int, error) { return 0, errors.New("down") },
						OnRemove: func(k, v int, cause Cause) {
							removed = append(removed, removal[int, int]{key: k, value: v, cause: cause})
						},
					}

					if manual {
						o.Now = time.Now
					}
					c := New(2, o)
					c.SetAttr(1, 1, Attr{Pinned: true})
					time.Sleep(time.Minute)
					synctest.Wait()
					checkAnswers(t,
						answer{"Len", c.Len(), 0},
						answer{"Cost", c.Cost(), 1},
						answer{"removed", len(removed), 0},
						answer{"Has", c.Has(1), false},
					)

					tt.do(c)
					synctest.Wait()
					v, err := c.Load(t.Context(), 1)
					checkAnswers(t, answer{"Load fails", err != nil, tt.gone})
					if v != 1 && !tt.gone {
						t.Errorf("Load = %d, want 1", v)
					}

					synctest.Wait()
					c.Clear()
					if i := slices.IndexFunc(removed, func(r removal[int, int]) bool { return r.value == 1 }); i < 0 || removed[i].cause != Expired {
						t.Errorf("removed %v, want 1 as Expired", removed)
					}
					n := 0
					for _, r := range removed {
						if r.value == 1 {
							n++
						}
					}

					if n != 1 {
						t.Errorf("reported %d times, want 1", n)
					}
					synctest.Wait()
					c.checkIdle(t)
				})
			})
		}
	}
}

// TestLoadValidate checks which options of loads are valid.
func TestLoadValidate(t *testing.T) {
	for _, o := range []Options[int, int]{
		{RefreshAfter: -1}, {TTL: 5, RefreshAfter: 5}, {StaleIfError: -1}, {LoadTimeout: -1}, {MaxRefreshes: -1},
	} {
		if o.Validate() == nil {
			t.Errorf("%+v is valid", o)
		}
	}
	if err := (&Options[int, int]{TTL: 5, RefreshAfter: 4, StaleIfError: Forever}).Validate(); err != nil {
		t.Error(err)
	}
}

// TestFailureRaces has a load fail after others have come: what it says is
// about what was before them.
func TestFailureRaces(t *testing.T) {
	down := errors.New("down")
	for name, tt := range map[string]struct {
		fails error
		do    func(c *Cache[int, int])
		gets  error // what those get that waited
		value int   // what is there afterwards
		loads int64 // after another Load
	}{
		"missing, nothing":  {ErrNotFound, func(*Cache[int, int]) {}, ErrNotFound, 0, 1},
		"missing, Set":      {ErrNotFound, func(c *Cache[int, int]) { c.Set(7, 2) }, ErrNotFound, 2, 1},
		"missing, detached": {ErrNotFound, func(c *Cache[int, int]) { c.DeleteFunc(func(int, int) bool { return false }) }, ErrNotFound, 0, 2},
		"missing, Delete":   {ErrNotFound, func(c *Cache[int, int]) { c.Delete(7) }, ErrNotFound, 0, 2},
		"down, nothing":     {down, func(*Cache[int, int]) {}, nil, 0, 1},
		"down, Set":         {down, func(c *Cache[int, int]) { c.Set(7, 2) }, down, 2, 1},
		"down, detached":    {down, func(c *Cache[int, int]) { c.DeleteFunc(func(int, int) bool { return false }) }, nil, 0, 2},
		"down, Delete":      {down, func(c *Cache[int, int]) { c.Delete(7) }, down, 0, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGate()
				g.err = tt.fails
				c := New(10, &Options[int, int]{
					Load: g.load, TTL: time.Minute, StaleIfError: time.Hour,
					ErrorTTL: func(int, error) time.Duration { return time.Minute },
				})
				c.Set(7, 1)
				time.Sleep(2 * time.Minute)
				r := goLoad(t.Context(), c, 7)
				tt.do(c)
				close(g.release)
				synctest.Wait()
				checkAnswers(t, answer{"Load", r.err, tt.gets})
				if r.err == nil && r.v != 1 {
					t.Errorf("Load = %d, want 1", r.v)
				}
				if v, _ := c.Get(7); v != tt.value {
					t.Errorf("Get = %d, want %d", v, tt.value)
				}

				_, _ = c.Load(t.Context(), 7)
				synctest.Wait()
				if g.calls.Load() != tt.loads {
					t.Errorf("%d loads, want %d", g.calls.Load(), tt.loads)
				}
				c.checkIdle(t)
			})
		})
	}
}

// TestStalePanic has a loader panic while there is a stale value: a bug is not
// a backend that is down.
func TestStalePanic(t *testing.T) {
	now := time.Unix(0, 0)
	c := New(10, &Options[int, int]{
		TTL: time.Minute, StaleIfError: time.Hour, Now: func() time.Time { return now },
		Load: func(context.Context, int) (int, error) { panic("boom") },
	})
	c.Set(1, 1)
	now = now.Add(2 * time.Minute)
	if _, ok := recovered(func() { _, _ = c.Load(context.Background(), 1) }).(*PanicError); !ok {
		t.Error("Load did not panic")
	}
	c.checkIdle(t)
}

// TestRefreshRetry is when a refresh that failed is tried again: after a
// second, or RefreshAfter if that is shorter, or what ErrorTTL says if that is
// longer; as any other if the value was set meanwhile.
func TestRefreshRetry(t *testing.T) {
	for _, tt := range []struct {
		after, ttl, retry time.Duration
		set, late         bool // the value is set before, or after the refresh has failed
	}{
		{10 * time.Second, 0, time.Second, false, false},
		{100 * time.Millisecond, 0, 100 * time.Millisecond, false, false},
		{10 * time.Second, 5 * time.Second, 5 * time.Second, false, false},
		{10 * time.Second, time.Hour, 10 * time.Second, true, false},
		{10 * time.Second, time.Hour, 10 * time.Second, false, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			g := newGate()
			g.err = errors.New("down")
			c := New(10, &Options[int, int]{
				Load: g.load, RefreshAfter: tt.after, ErrorTTL: func(int, error) time.Duration { return tt.ttl },
			})
			c.Set(1, 1)
			time.Sleep(tt.after)
			_, _ = c.Load(t.Context(), 1)
			synctest.Wait()
			if tt.set {
				c.Set(1, 2)
			}

			close(g.release)
			synctest.Wait()
			if tt.late {
				c.Set(1, 2)
			}
			for i, d := range []time.Duration{tt.retry - 1, 1} {
				time.Sleep(d)
				_, _ = c.Load(t.Context(), 1)
				synctest.Wait()
				if n := g.calls.Load(); n != int64(i+1) {
					t.Errorf("%+v: %d loads at look %d", tt, n, i)
				}
			}

			c.checkIdle(t)
		})
	}
}

// TestHiddenApart is what else could come across entries that are there for
// Load alone.
func TestHiddenApart(t *testing.T) {
	now := time.Unix(0, 0)
	c := New(10, &Options[int, int]{
		TTL: time.Minute, StaleIfError: time.Minute, Now: func() time.Time { return now },
		Load: func(_ context.Context, key int) (int, error) {
			if key == 1 {
				return 0, ErrNotFound
			}
			return 0, errors.New("down")
		},
		ErrorTTL: func(int, error) time.Duration { return time.Hour },
	})

	_, _ = c.Load(context.Background(), 1)
	c.DeleteFunc(func(k, v int) bool {
		t.Errorf("DeleteFunc was asked about an error: %d, %d", k, v)
		return false
	})
	var snapshot bytes.Buffer
	d := New[int, int](10, nil)
	d.Set(1, 11)
	d.Set(2, 12)
	if _, err := d.WriteTo(&snapshot); err != nil {
		t.Fatal(err)
	}

	c.Set(2, 2)
	now = now.Add(time.Minute)
	c.Get(2) // it is stale
	if _, err := c.ReadFrom(&snapshot); err != nil {
		t.Fatal(err)
	}

	for k := 1; k <= 2; k++ {
		if v, ok := c.Get(k); v != 10+k || !ok {
			t.Errorf("after ReadFrom, Get(%d) = %d, %v, want %d, true", k, v, ok, 10+k)
		}
	}

	c.checkIdle(t)
	// The end of the time after the deadline is exact, whether somebody has
	// looked before or not.
	c.Set(3, 3)
	now = now.Add(2 * time.Minute)
	if v, err := c.Load(context.Background(), 3); err == nil {
		t.Errorf("Load = %d at the end of its time", v)
	}

	c.checkIdle(t)
}
