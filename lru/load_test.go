// SPDX-License-Identifier: MIT

package lru

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A gate is a loader that waits to be let through, and counts.
type gate struct {
	calls   atomic.Int64
	release chan struct{}
	err     error
}

func newGate() *gate { return &gate{release: make(chan struct{})} }

func (g *gate) load(ctx context.Context, key int) (int, error) {
	n := g.calls.Add(1)
	select {
	case <-g.release:
		return int(n)*100 + key, g.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// loaded is what Load returned, some time.
type loaded struct {
	v    int
	err  error
	back bool
}

// goLoad calls Load in a goroutine, which ends with the load, in a bubble.
func goLoad(ctx context.Context, c *Cache[int, int], key int) *loaded {
	r := &loaded{}
	go func() {
		r.v, r.err = c.Load(ctx, key)
		r.back = true
	}()
	synctest.Wait()
	return r
}

// TestLoadRaces is what others may do to a key while it is loaded, line by
// line. In each, a load is under way and has read its value before they come.
// Whatever they do, the load does not undo it, the caller gets what was loaded,
// and the next caller what is true then.
func TestLoadRaces(t *testing.T) {
	tests := []struct {
		name   string
		do     func(c *Cache[int, int])
		next   int // what the next Load returns
		loads  int64
		stored bool // the next Load finds it
	}{
		{"nothing", func(*Cache[int, int]) {}, 107, 1, true},
		{"Get", func(c *Cache[int, int]) { c.Get(7) }, 107, 1, true},
		{"Set", func(c *Cache[int, int]) { c.Set(7, 1) }, 1, 1, true},
		{"Set that is refused", func(c *Cache[int, int]) { c.Set(7, 1000) }, 207, 2, false},
		{"SetTTL", func(c *Cache[int, int]) { c.SetTTL(7, 1, time.Hour) }, 1, 1, true},
		{"SetTTL too old", func(c *Cache[int, int]) { c.SetTTL(7, 1, 0) }, 207, 2, false},
		{"SetAttr", func(c *Cache[int, int]) { c.SetAttr(7, 1, Attr{}) }, 1, 1, true},
		{"GetOrSet", func(c *Cache[int, int]) { c.GetOrSet(7, 1) }, 1, 1, true},
		{"Swap", func(c *Cache[int, int]) { c.Swap(7, 1) }, 1, 1, true},
		{"Delete", func(c *Cache[int, int]) { c.Delete(7) }, 207, 2, false},
		{"Take", func(c *Cache[int, int]) { c.Take(7) }, 207, 2, false},
		{"Set and Delete", func(c *Cache[int, int]) { c.Set(7, 1); c.Delete(7) }, 207, 2, false},
		{"Update", func(c *Cache[int, int]) { c.Update(7, func(int, bool) (int, bool) { return 1, true }) }, 1, 1, true},
		{"Update that removes", func(c *Cache[int, int]) {
			c.Update(7, func(int, bool) (int, bool) { return 0, false })
		}, 207, 2, false},
		{"Touch that expires", func(c *Cache[int, int]) { c.Touch(7, 0) }, 207, 2, false},
		{"Touch", func(c *Cache[int, int]) { c.Touch(7, time.Hour) }, 107, 1, true},
		{"DeleteTag", func(c *Cache[int, int]) { c.DeleteTag("odd") }, 207, 2, false},
		{"DeleteTag of another", func(c *Cache[int, int]) { c.DeleteTag("even") }, 107, 1, true},
		{"DeleteFunc", func(c *Cache[int, int]) { c.DeleteFunc(func(int, int) bool { return true }) }, 207, 2, false},
		{"Clear", func(c *Cache[int, int]) { c.Clear() }, 207, 2, false},
		{"Set of another", func(c *Cache[int, int]) { c.Set(8, 1) }, 107, 1, true},
		{"Delete of another", func(c *Cache[int, int]) { c.Delete(8) }, 107, 1, true},
		{"eviction of others", func(c *Cache[int, int]) {
			for k := range 200 {
				c.Set(1000+k, 1)
			}
		}, 107, 1, true},
	}

	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGate()
				c := New(100, &Options[int, int]{
					Load: g.load, Policy: PolicyLRU,
					Cost: func(_, v int) int { return v / 1000 * 1000 },
					Tags: func(k, _ int) []string { return []string{[]string{"even", "odd"}[k%2]} },
				})
				first := goLoad(t.Context(), c, 7)
				tt.do(c)
				if c.Stats().Loading != 1 {
					t.Fatalf("%d loads under way, want 1", c.Stats().Loading)
				}

				close(g.release)
				synctest.Wait()
				checkAnswers(t, answer{"the load", *first, loaded{v: 107, back: true}})
				if _, ok := c.Get(7); ok != tt.stored {
					t.Errorf("Get found it: %v, want %v", ok, tt.stored)
				}

				v, err := c.Load(t.Context(), 7)
				checkAnswers(t,
					answer{"the next Load", v, tt.next},
					answer{"the next Load: error", err, nil},
					answer{"loads", g.calls.Load(), tt.loads},
				)
				synctest.Wait()
				c.checkIdle(t)
			})
		})
	}
}

// checkIdle checks that no load is under way and nothing is left of one.
func (c *Cache[K, V]) checkIdle(t *testing.T) {
	t.Helper()
	c.checkCost()
	if n := c.loading.Load(); n != 0 {
		t.Errorf("%d loads under way, want 0", n)
	}
	if n := c.refreshing.Load(); n != 0 {
		t.Errorf("%d refreshes under way, want 0", n)
	}
	for i := range c.shards {
		if n := len(c.shards[i].flights); n != 0 {
			t.Errorf("%d flights left in shard %d", n, i)
		}
	}
}

// TestLoadOnce has many callers want few keys at the same time: each key is
// loaded once.
func TestLoadOnce(t *testing.T) {
	const callers, keys = 64, 5
	for _, timeout := range []time.Duration{0, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			var calls [keys]atomic.Int64
			c := New(100, &Options[int, int]{LoadTimeout: timeout, Load: func(_ context.Context, key int) (int, error) {
				calls[key].Add(1)
				time.Sleep(time.Millisecond)
				return key, nil
			}})
			var wg sync.WaitGroup

			for i := range callers {
				ctx := t.Context()
				if i%2 == 0 {
					ctx = context.Background()
				}
				wg.Go(func() {
					if v, err := c.Load(ctx, i%keys); v != i%keys || err != nil {
						t.Errorf("Load(%d) = %d, %v, want %d", i%keys, v, err, i%keys)
					}
				})
			}

			wg.Wait()
			synctest.Wait()
			for key := range calls {
				if n := calls[key].Load(); n != 1 {
					t.Errorf("key %d was loaded %d times, want 1", key, n)
				}
			}

			s := c.Stats()
			checkAnswers(t,
				answer{"Loads", s.Loads, uint64(keys)},
				answer{"Joined", s.Joined, uint64(callers - keys)},
				answer{"Misses", s.Misses, uint64(callers)},
				answer{"LoadFailures", s.LoadFailures, uint64(0)},
				answer{"LoadTime", s.LoadTime, keys * time.Millisecond},
				answer{"MeanLoadTime", s.MeanLoadTime(), time.Millisecond},
			)

			c.checkIdle(t)
		})
	}
}

// TestLoadStorm is the same without fake time, over and over, with everything
// that can come in between.
func TestLoadStorm(t *testing.T) {
	rounds := 300
	if raceEnabled || testing.Short() {
		rounds = 30
	}
	var running [4]atomic.Int64
	c := New(3, &Options[int, int]{Shards: 2, Load: func(_ context.Context, key int) (int, error) {
		if running[key].Add(1) != 1 {
			t.Errorf("key %d is loaded twice at a time", key)
		}
		runtime.Gosched()
		running[key].Add(-1)
		return key, nil
	}})

	for range rounds {
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				ctx := context.Background()
				if i%2 == 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithCancel(ctx)
					defer cancel()
				}
				if v, err := c.Load(ctx, i%4); v != i%4 || err != nil {
					t.Errorf("Load(%d) = %d, %v, want %d", i%4, v, err, i%4)
				}
			})
		}

		wg.Wait()
	}

	eventually(t, "loads do not end", func() bool { return c.Stats().Loading == 0 })
	c.checkIdle(t)
}

// TestLoadContext checks that a call ends with its context, and the load does
// not: it has the values of the context that began it, and fills the cache.
func TestLoadContext(t *testing.T) {
	type key struct{}
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		var value any
		var deadline bool
		var cause error
		c := New(100, &Options[int, int]{Load: func(ctx context.Context, k int) (int, error) {
			value = ctx.Value(key{})
			_, deadline = ctx.Deadline()
			defer func() { cause = context.Cause(ctx) }()
			return g.load(ctx, k)
		}})
		// One whose context has ended before gets nothing, not even what is
		// there.
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		c.Set(1, 1)

		for name, f := range map[string]func() error{
			"Load":      func() error { _, err := c.Load(ended, 1); return err },
			"Refresh":   func() error { _, err := c.Refresh(ended, 1); return err },
			"LoadAll":   func() error { _, err := c.LoadAll(ended, []int{1}); return err },
			"LoadEntry": func() error { _, err := c.LoadEntry(ended, 1); return err },
		} {
			if err := f(); !errors.Is(err, context.Canceled) {
				t.Errorf("%s with a context that has ended: %v, want %v", name, err, context.Canceled)
			}
		}

		// The first caller gives up: the load goes on for the others, with its
		// values, without its end and the cause of it.
		ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), key{}, "trace"), time.Second)
		defer cancel()
		first, second := goLoad(ctx, c, 7), goLoad(t.Context(), c, 7)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		checkAnswers(t,
			answer{"the first is back", first.back, true},
			answer{"the first", first.err, context.DeadlineExceeded},
			answer{"the second is back", second.back, false},
		)

		close(g.release)
		synctest.Wait()
		v, _ := c.Get(7)
		checkAnswers(t,
			answer{"the second", *second, loaded{v: 107, back: true}},
			answer{"the value of the context", value, "trace"},
			answer{"the context has a deadline", deadline, false},
			answer{"why the context has ended", cause, nil},
			answer{"Get", v, 107},
			answer{"loads", g.calls.Load(), int64(1)},
		)

		// All give up: the load goes on, and fills the cache.
		g.release = make(chan struct{})
		ctx, cancel = context.WithCancel(t.Context())
		third := goLoad(ctx, c, 8)
		cancel()
		synctest.Wait()
		if !errors.Is(third.err, context.Canceled) {
			t.Errorf("the third got %+v", *third)
		}

		close(g.release)
		synctest.Wait()
		if v, ok := c.Get(8); v != 208 || !ok {
			t.Errorf("Get = %d, %v, want 208, true", v, ok)
		}
		c.checkIdle(t)
	})
}

// TestLoadAbandoned cancels loads that nobody waits for.
func TestLoadAbandoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		c := New(100, &Options[int, int]{Load: g.load, CancelAbandoned: true})
		ctx1, cancel1 := context.WithCancel(t.Context())
		ctx2, cancel2 := context.WithCancel(t.Context())
		a, b := goLoad(ctx1, c, 7), goLoad(ctx2, c, 7)
		cancel1()
		synctest.Wait()
		checkAnswers(t,
			answer{"the first is back", a.back, true},
			answer{"the second is back", b.back, false},
			answer{"Loading", c.Stats().Loading, 1},
		)

		cancel2()
		synctest.Wait()
		checkAnswers(t, answer{"the second is back", b.back, true}, answer{"Loading", c.Stats().Loading, 0})
		if g.calls.Load() != 1 {
			t.Errorf("%d loads, want 1", g.calls.Load())
		}

		c.checkIdle(t)
	})
}

// TestLoadTimeout checks that a load fails when its time is up, is reported,
// and leaves nothing.
func TestLoadTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		var failures []error
		c := New(100, &Options[int, int]{
			Load: g.load, LoadTimeout: time.Second, OnLoadError: func(_ int, err error) { failures = append(failures, err) },
		})
		start := time.Now()
		_, err := c.Load(context.Background(), 1)
		synctest.Wait()
		checkAnswers(t,
			answer{"Load", err, context.DeadlineExceeded},
			answer{"time", time.Since(start), time.Second},
			answer{"reported", len(failures), 1},
		)
		c.checkIdle(t)
	})
}

// TestLoadPanic has loaders, and what the options ask about their results, not
// return.
func TestLoadPanic(t *testing.T) {
	boom := errors.New("boom")
	for _, inline := range []bool{true, false} {
		for where, opts := range map[string]*Options[int, int]{
			"Load":     {Load: func(context.Context, int) (int, error) { panic(boom) }},
			"Cost":     {Cost: func(int, int) int { panic(boom) }},
			"Tags":     {Tags: func(int, int) []string { panic(boom) }},
			"ErrorTTL": {Load: func(context.Context, int) (int, error) { return 0, ErrNotFound }, ErrorTTL: func(int, error) time.Duration { panic(boom) }},
			"LoadMany": {LoadMany: func(context.Context, []int) (map[int]int, error) { panic(boom) }},
		} {
			t.Run(fmt.Sprintf("%s/inline=%v", where, inline), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					o := *opts
					if o.Load == nil && o.LoadMany == nil {
						o.Load = func(context.Context, int) (int, error) { return 1, nil }
					}
					var reported atomic.Pointer[error]
					o.OnLoadError = func(_ int, err error) { reported.Store(&err) }
					c := New(100, &o)
					ctx := t.Context()
					if inline {
						ctx = context.Background()
					}

					for name, f := range map[string]func(){
						"Load":    func() { _, _ = c.Load(ctx, 7) },
						"Refresh": func() { _, _ = c.Refresh(ctx, 7) },
						"LoadAll": func() { _, _ = c.LoadAll(ctx, []int{7, 8}) },
					} {
						p := recovered(f)
						e, ok := p.(*PanicError)
						if !ok {
							t.Fatalf("%s panicked with %v, want a PanicError", name, p)
						}
						checkAnswers(t,
							answer{name, e, boom},
							answer{name + ": boom in the text", strings.Contains(e.Error(), "boom"), true},
							answer{name + ": without a stack", len(e.Stack) == 0, false},
						)
						synctest.Wait()
						if err := reported.Swap(nil); err == nil || !errors.Is(*err, boom) {
							t.Errorf("%s: reported %v, want %v", name, err, boom)
						}
						c.checkIdle(t)
					}
				})
			})
		}
	}

	if (&PanicError{Value: 1}).Unwrap() != nil {
		t.Error("a number is an error")
	}
}

// recovered returns what f panicked with.
func recovered(f func()) (p any) {
	defer func() { p = recover() }()
	f()
	return nil
}

// TestLoadGoexit has the loader end its goroutine: the load ends with it, and
// calls that wait get ErrGoexit.
func TestLoadGoexit(t *testing.T) {
	for _, many := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			release := make(chan struct{})
			o := &Options[int, int]{}
			if many {
				o.LoadMany = func(context.Context, []int) (map[int]int, error) { <-release; runtime.Goexit(); return nil, nil }
			} else {
				o.Load = func(context.Context, int) (int, error) { <-release; runtime.Goexit(); return 0, nil }
			}

			c := New(100, o)
			left := false
			go func() { // inline: the goroutine ends, and the load with it
				defer func() { left = true }()
				_, _ = c.LoadAll(context.Background(), []int{7})
				_, _ = c.Load(context.Background(), 7)
				t.Error("Load returned")
			}()

			synctest.Wait()
			r := goLoad(t.Context(), c, 7)
			close(release)
			synctest.Wait()
			checkAnswers(t,
				answer{"the first has left", left, true},
				answer{"the other is back", r.back, true},
				answer{"the other", r.err, ErrGoexit},
			)

			_, err := c.LoadAll(t.Context(), []int{7, 8})
			if !errors.Is(err, ErrGoexit) {
				t.Errorf("LoadAll returned %v, want %v", err, ErrGoexit)
			}
			synctest.Wait()
			c.checkIdle(t)
		})
	}
}

// TestLoadRecursive has loaders wait for themselves, by all ways.
func TestLoadRecursive(t *testing.T) {
	const a, b = 1, 2
	var c *Cache[int, int]
	var other *Cache[string, int]
	tests := map[string]func(ctx context.Context, key int) (int, error){
		"Load of itself":    func(ctx context.Context, key int) (int, error) { return c.Load(ctx, key) },
		"Refresh of itself": func(ctx context.Context, key int) (int, error) { return c.Refresh(ctx, key) },
		"LoadAll of itself": func(ctx context.Context, key int) (int, error) {
			_, err := c.LoadAll(ctx, []int{key})
			return 0, err
		},
		"after it was deleted": func(ctx context.Context, key int) (int, error) {
			c.Delete(key)
			return c.Load(ctx, key)
		},
		"by another key": func(ctx context.Context, key int) (int, error) { return c.Load(ctx, a+b-key) },
		"by another cache": func(ctx context.Context, key int) (int, error) {
			return other.LoadFunc(ctx, "x", func(ctx context.Context, _ string) (int, error) { return c.Load(ctx, key) })
		},
		"by a goroutine": func(ctx context.Context, key int) (int, error) {
			var err error
			var wg sync.WaitGroup
			wg.Go(func() { _, err = c.Load(ctx, key) })
			wg.Wait()
			return 0, err
		},
	}

	for name, load := range tests {
		for _, cancelable := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/cancelable=%v", name, cancelable), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c = New(100, &Options[int, int]{Load: load})
					other = New[string, int](100, nil)
					ctx := context.Background()
					if cancelable {
						ctx = t.Context()
					}
					if _, err := c.Load(ctx, a); !errors.Is(err, ErrRecursiveLoad) {
						t.Errorf("Load returned %v, want %v", err, ErrRecursiveLoad)
					}
					if _, err := c.LoadAll(ctx, []int{a, b}); !errors.Is(err, ErrRecursiveLoad) {
						t.Errorf("LoadAll returned %v, want %v", err, ErrRecursiveLoad)
					}

					synctest.Wait()
					c.checkIdle(t)
					if _, err := c.LoadFunc(ctx, a, func(context.Context, int) (int, error) { return 1, nil }); err != nil {
						t.Errorf("after that, LoadFunc returned %v", err)
					}
				})
			})
		}
	}
}

// TestLoadCycle has two callers load two keys, each of which needs the other:
// one of the loaders is told.
func TestLoadCycle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c *Cache[int, int]
		var told atomic.Int64
		both := make(chan struct{})
		c = New(100, &Options[int, int]{Load: func(ctx context.Context, key int) (int, error) {
			<-both
			v, err := c.Load(ctx, 3-key)
			if errors.Is(err, ErrRecursiveLoad) {
				told.Add(1)
				return key, nil
			}
			return v, err
		}})

		x, y := goLoad(t.Context(), c, 1), goLoad(context.Background(), c, 2)
		close(both)
		synctest.Wait()
		want := loaded{v: x.v, back: true}
		checkAnswers(t, answer{"one", *x, want}, answer{"the other", *y, want}, answer{"told", told.Load(), int64(1)})

		c.checkIdle(t)
	})
}

// TestRefreshCycle has a loader refresh a key whose loader needs a third key,
// which waits for the first: the one that closes the cycle is told.
func TestRefreshCycle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const first, second, third = 1, 2, 3
		var c *Cache[int, int]
		told := 0
		release := make(chan struct{})
		c = New(100, &Options[int, int]{Load: func(ctx context.Context, key int) (int, error) {
			switch key {
			case first:
				<-release
				return c.Refresh(ctx, second)
			case third:
				return c.Load(ctx, first)
			}
			v, err := c.Load(ctx, third)
			if errors.Is(err, ErrRecursiveLoad) {
				told++
				return 5, nil
			}
			return v, err
		}})

		x, y := goLoad(t.Context(), c, first), goLoad(t.Context(), c, third)
		close(release)
		synctest.Wait()
		want := loaded{v: 5, back: true}
		checkAnswers(t, answer{"the first", *x, want}, answer{"the third", *y, want}, answer{"told", told, 1})
		c.checkIdle(t)
	})
}

// TestLoadNested has loaders load what does not need them, also by LoadAll, and
// what began from within them and has outlived them.
func TestLoadNested(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c *Cache[int, int]
		var late context.Context
		c = New(100, &Options[int, int]{Load: func(ctx context.Context, key int) (int, error) {
			if key == 20 {
				late = ctx
			}
			if key <= 1 {
				return key, nil
			}
			got, err := c.LoadAll(ctx, []int{key - 1, key - 2, key - 1})
			return got[key-1] + got[key-2], err
		}})

		if v, err := c.Load(t.Context(), 20); v != 6765 || err != nil {
			t.Errorf("the 20th Fibonacci number is %d, %v, want 6765", v, err)
		}
		c.Clear()
		if v, err := c.Load(late, 20); v != 6765 || err != nil {
			t.Errorf("from the context of a load that has ended: %d, %v, want 6765", v, err)
		}

		synctest.Wait()
		c.checkIdle(t)
	})
}

// TestLoadNaN loads a key that is not equal to itself: each call has a load of
// its own, and nothing is stored.
func TestLoadNaN(t *testing.T) {
	n := 0
	c := New(100, &Options[float64, int]{Load: func(context.Context, float64) (int, error) { n++; return n, nil }})
	for i := 1; i < 4; i++ {
		e, err := c.LoadEntry(context.Background(), math.NaN())
		checkAnswers(t, answer{"Value", e.Value, i}, answer{"Left", e.Left, time.Duration(0)}, answer{"error", err, nil})
	}
	c.checkIdle(t)
}

// TestLoadAll checks that LoadAll finds, joins and loads keys, by LoadMany in
// one call or else by Load, and what it returns if some fail or its context
// ends.
func TestLoadAll(t *testing.T) {
	boom := errors.New("boom")
	for _, many := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var calls atomic.Int64
			g := newGate()
			one := func(_ context.Context, key int) (int, error) {
				calls.Add(1)
				switch key % 10 {
				case 8:
					return 0, boom
				case 9:
					return 0, fmt.Errorf("no %d: %w", key, ErrNotFound)
				}
				return key * 10, nil
			}

			o := &Options[int, int]{Load: one}
			if many {
				o.LoadMany = func(ctx context.Context, keys []int) (map[int]int, error) {
					calls.Add(1)
					got := map[int]int{}
					var err error
					for _, key := range keys {
						switch key % 10 {
						case 8:
							err = boom
						case 9:
						default:
							got[key] = key * 10
						}
					}

					return got, err
				}
			}

			c := New(100, o)
			c.Set(1, 1)
			go func() { _, _ = c.LoadFunc(t.Context(), 2, g.load) }()
			synctest.Wait()
			go func() { time.Sleep(time.Second); close(g.release) }()
			got, err := c.LoadAll(t.Context(), []int{1, 2, 3, 4, 3, 9})
			want := map[int]int{1: 1, 2: 102, 3: 30, 4: 40}
			if fmt.Sprint(got) != fmt.Sprint(want) || err != nil {
				t.Errorf("LoadAll = %v, %v, want %v", got, err, want)
			}
			s := c.Stats() // a key that is given twice counts once
			checkAnswers(t,
				answer{"Hits", s.Hits, uint64(1)},
				answer{"Misses", s.Misses, uint64(5)},
				answer{"Joined", s.Joined, uint64(1)},
			)
			times := int64(3)
			if many {
				times = 1
			}
			checkAnswers(t, answer{"calls", calls.Load(), times})

			got, err = c.LoadAll(context.Background(), []int{3, 5, 8, 18})
			want = map[int]int{3: 30, 5: 50}
			checkAnswers(t, answer{"LoadAll", got, want}, answer{"LoadAll: error", err, boom})
			if many && err.Error() != "boom" {
				t.Errorf("one failure is reported as %q", err)
			}
			if v, ok := c.Get(5); v != 50 || !ok {
				t.Errorf("what was loaded is %d, %v, want 50, true", v, ok)
			}

			// The caller gives up: it gets what there is.
			g.release = make(chan struct{})
			go func() { _, _ = c.LoadFunc(t.Context(), 6, g.load) }()
			go func() { _, _ = c.LoadFunc(t.Context(), 7, g.load) }()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			synctest.Wait()
			got, err = c.LoadAll(ctx, []int{3, 6, 7, 11})
			want = map[int]int{3: 30, 11: 110}
			text := fmt.Sprint(context.DeadlineExceeded) // once, and not for each key
			checkAnswers(t, answer{"LoadAll", got, want}, answer{"LoadAll: error", fmt.Sprint(err), text})

			close(g.release)
			synctest.Wait()
			c.checkIdle(t)
		})
	}
}

// TestLoadManyAlone has only LoadMany, which then loads single keys, too.
func TestLoadManyAlone(t *testing.T) {
	boom := errors.New("boom")
	c := New(100, &Options[int, int]{LoadMany: func(_ context.Context, keys []int) (map[int]int, error) {
		if keys[0] == 3 {
			return nil, boom
		}
		return map[int]int{1: 10}, nil
	}})

	if v, err := c.Load(context.Background(), 1); v != 10 || err != nil {
		t.Errorf("Load = %d, %v, want 10", v, err)
	}
	if _, err := c.Load(context.Background(), 2); !errors.Is(err, ErrNotFound) {
		t.Errorf("Load of what is not there = %v, want %v", err, ErrNotFound)
	}
	if _, err := c.Load(context.Background(), 3); !errors.Is(err, boom) {
		t.Errorf("Load that fails = %v, want %v", err, boom)
	}
}

// TestLoadAllAbandoned cancels the one load of several keys when nobody waits
// for any of them.
func TestLoadAllAbandoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		canceled := false
		c := New(100, &Options[int, int]{CancelAbandoned: true, LoadMany: func(ctx context.Context, _ []int) (map[int]int, error) {
			<-ctx.Done()
			canceled = true
			return nil, ctx.Err()
		}})
		ctx1, cancel1 := context.WithCancel(t.Context())
		ctx2, cancel2 := context.WithCancel(t.Context())
		go func() { _, _ = c.LoadAll(ctx1, []int{1, 2}) }()
		synctest.Wait()
		goLoad(ctx2, c, 2)
		cancel1()
		synctest.Wait()
		if canceled {
			t.Error("canceled while one waits")
		}

		cancel2()
		synctest.Wait()
		if !canceled {
			t.Error("nobody waits, and it goes on")
		}
		c.checkIdle(t)
	})
}

// TestRefresh is a reload that does not share what began before it.
func TestRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, h := newGate(), newGate()
		c := New(100, &Options[int, int]{Load: g.load})
		c.Set(7, 1)
		go func() { _, _ = c.Refresh(t.Context(), 7) }()
		synctest.Wait()
		if v, err := c.Load(t.Context(), 7); v != 1 || err != nil {
			t.Errorf("while it is reloaded, Load = %d, %v, want 1", v, err)
		}

		second := make(chan int, 1)
		go func() {
			v, _ := c.Refresh(t.Context(), 7)
			second <- v
		}()
		synctest.Wait()
		close(g.release)
		if v := <-second; v != 207 && v != 107 {
			t.Errorf("the second Refresh = %d, want 207 or 107", v)
		}
		checkAnswers(t, answer{"loads", g.calls.Load(), int64(2)})

		synctest.Wait()
		v, _ := c.Get(7)
		if v != 207 {
			t.Errorf("Get = %d, want 207", v)
		}
		g.err = h.err
		g.err = errors.New("down")
		if v, err := c.Refresh(t.Context(), 7); v != 0 || err == nil {
			t.Errorf("Refresh = %d, %v, want 0 and an error", v, err)
		}
		if v, ok := c.Get(7); v != 207 || !ok {
			t.Errorf("after a failure, Get = %d, %v, want 207, true", v, ok)
		}

		g.err = ErrNotFound
		_, err := c.Refresh(t.Context(), 7)
		checkAnswers(t,
			answer{"Refresh", err, ErrNotFound},
			answer{"Has", c.Has(7), false},
			answer{"Invalidated", c.Stats().Invalidated, uint64(1)},
			answer{"LoadFailures", c.Stats().LoadFailures, uint64(2)},
		)

		synctest.Wait()
		c.checkIdle(t)
	})
}

// TestLoadNeedsLoader checks the panics of a cache without a loader.
func TestLoadNeedsLoader(t *testing.T) {
	c := New[int, int](100, nil)
	mustPanic(t, "lru: Options.Load or LoadMany is needed", func() { _, _ = c.Load(context.Background(), 1) })
	mustPanic(t, "lru: Options.Load or LoadMany is needed", func() { _, _ = c.Refresh(context.Background(), 1) })
	mustPanic(t, "lru: Options.Load or LoadMany is needed", func() { _, _ = c.LoadAll(context.Background(), nil) })
}

// TestLoadReclaim has what a load brings need room in other shards: the lock of
// its own is released meanwhile, and a Delete that comes then is not undone.
func TestLoadReclaim(t *testing.T) {
	var clock fakeClock
	c := New(10, &Options[int, int]{Shards: 2, Cost: func(_, v int) int { return v }, Now: clock.now})
	a := keyIn(c, 0, 0)
	b := keyIn(c, 1, 0)
	c.SetTTL(keyIn(c, 0, a+1), 1, time.Second)
	c.Set(b, 9)
	clock.sleep(time.Second)
	c.reclaiming.Lock()
	done := make(chan error)
	go func() { // ends when the turn comes
		_, err := c.LoadFunc(context.Background(), a, func(context.Context, int) (int, error) { return 5, nil })
		done <- err
	}()
	eventually(t, "the capacity of the expired entry is not free", func() bool { return c.free.Load() == 1 })
	c.Delete(a)
	c.reclaiming.Unlock()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if c.Has(a) {
		t.Error("a load has undone a Delete")
	}

	c.checkIdle(t)
}

// TestLoadOutdated has calls join a load after a tag was deleted that its value
// has, which nobody knew then: they get what was loaded after they were made.
func TestLoadOutdated(t *testing.T) {
	for name, tt := range map[string]struct {
		tag    string
		detach bool // the load is detached before it ends
		v      int
	}{
		"its tag":                {"odd", false, 207},
		"another tag":            {"even", false, 107},
		"its tag, detached":      {"odd", true, 207},
		"another tag, detached":  {"even", true, 207}, // it is not known any more which one it was
		"no tag":                 {"", false, 107},
		"no tag, and it is gone": {"", true, 107},
	} {
		for _, all := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g := newGate()
					c := New(100, &Options[int, int]{
						Load: g.load, Tags: func(k, _ int) []string { return []string{[]string{"even", "odd"}[k%2]} },
					})
					first := goLoad(t.Context(), c, 7)
					if tt.tag != "" {
						c.DeleteTag(tt.tag)
					}

					second := &loaded{}
					if all {
						go func() {
							got, err := c.LoadAll(t.Context(), []int{7})
							second.v, second.err, second.back = got[7], err, true
						}()
						synctest.Wait()
					} else {
						second = goLoad(t.Context(), c, 7)
					}

					if tt.detach {
						c.Delete(7)
					}
					close(g.release)
					synctest.Wait()
					checkAnswers(t,
						answer{"the first", *first, loaded{v: 107, back: true}},
						answer{"the second", *second, loaded{v: tt.v, back: true}},
						answer{"loads", g.calls.Load(), int64(tt.v / 100)},
						answer{"Hits", c.Stats().Hits, uint64(0)},
					)

					c.checkIdle(t)
				})
			})
		}
	}
}

// TestLoadContextEnds has the context of a loader end with it, so that nothing
// of it is left.
func TestLoadContextEnds(t *testing.T) {
	var late context.Context
	for _, o := range []Options[int, int]{{LoadTimeout: time.Hour}, {CancelAbandoned: true}} {
		o.Load = func(ctx context.Context, _ int) (int, error) { late = ctx; return 1, nil }
		c := New(10, &o)
		if _, err := c.Load(context.Background(), 1); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the context of a load goes on", func() bool { return late.Err() != nil })
	}
}

// TestLoadWaited has a loader wait for another, and go on: that one's context
// may then wait for the first, which does not wait for it any more.
func TestLoadWaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		var c *Cache[int, int]
		var inner context.Context
		c = New(10, &Options[int, int]{Load: func(ctx context.Context, key int) (int, error) {
			if key == 2 {
				inner = ctx
				return 2, nil
			}
			if _, err := c.Load(ctx, 2); err != nil {
				return 0, err
			}
			return g.load(ctx, key)
		}})

		a := goLoad(t.Context(), c, 1)
		b := goLoad(inner, c, 1)
		close(g.release)
		synctest.Wait()
		want := loaded{v: 101, back: true}
		checkAnswers(t, answer{"the first", *a, want}, answer{"the second", *b, want})

		c.checkIdle(t)
	})
}

// TestLoadAbandonedInTime abandons loads that have a LoadTimeout, too: they
// end by that, and not by their time.
func TestLoadAbandonedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		var why error
		c := New(100, &Options[int, int]{
			Load: g.load, LoadTimeout: time.Hour, CancelAbandoned: true,
			OnLoadError: func(_ int, err error) { why = err },
		})
		ctx, cancel := context.WithCancel(t.Context())
		a := goLoad(ctx, c, 7)
		cancel()
		synctest.Wait()
		checkAnswers(t, answer{"Load", a.err, context.Canceled}, answer{"why it has failed", why, context.Canceled})
		c.checkIdle(t)
	})
}

// TestLoadTooLate has loaders return when their time is up: values are
// reported as not stored, and panics as errors.
func TestLoadTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var removed []string
		var mu sync.Mutex // protects failed
		var failed []error
		o := Options[int, int]{
			LoadTimeout: time.Second,
			OnRemove:    func(k, v int, cause Cause) { removed = append(removed, fmt.Sprint(k, " ", v, " ", cause)) },
			OnLoadError: func(_ int, err error) {
				mu.Lock()
				defer mu.Unlock()
				failed = append(failed, err)
			},
		}
		o.LoadMany = func(_ context.Context, keys []int) (map[int]int, error) {
			time.Sleep(time.Minute)
			return map[int]int{keys[0]: 10}, nil
		}
		c := New(100, &o)
		_, err := c.LoadAll(t.Context(), []int{1, 2})
		time.Sleep(time.Hour)
		synctest.Wait()
		checkAnswers(t,
			answer{"LoadAll", err, context.DeadlineExceeded},
			answer{"removed", removed, []string{"1 10 Rejected"}},
			answer{"failures", len(failed), 2},
			answer{"Len", c.Len(), 0},
		)
		c.checkIdle(t)

		// A late error says no more than the end of the time did. A panic does.
		for _, late := range []any{nil, "boom"} {
			o.LoadMany = nil
			o.Load = func(context.Context, int) (int, error) {
				time.Sleep(time.Minute)
				if late != nil {
					panic(late)
				}
				return 0, errors.New("down")
			}
			failed = nil
			c = New(100, &o)
			_, err = c.Load(t.Context(), 1)
			time.Sleep(time.Hour)
			synctest.Wait()
			checkAnswers(t, answer{"Load", err, context.DeadlineExceeded})
			if len(failed) == 0 || !errors.Is(failed[0], context.DeadlineExceeded) {
				t.Fatalf("failures %v, want %v first", failed, context.DeadlineExceeded)
			}
			var p *PanicError
			told := len(failed) == 2 && errors.As(failed[1], &p) && p.Value == late
			if told != (late != nil) || !told && len(failed) != 1 {
				t.Errorf("a loader that panics late with %v: failures %v", late, failed)
			}
			c.checkIdle(t)
		}
	})
}

// TestRefreshExpired has a key vanish from the source while its value is
// overdue, and others are that go first: it has expired.
func TestRefreshExpired(t *testing.T) {
	var clock fakeClock
	causes := map[int]Cause{}
	c := New(100, &Options[int, int]{
		Shards: 1, Now: clock.now,
		Load:     func(context.Context, int) (int, error) { return 0, ErrNotFound },
		OnRemove: func(k, _ int, cause Cause) { causes[k] = cause },
	})
	for i := range purgeBatch {
		c.SetTTL(10+i, i, time.Second)
	}
	c.SetTTL(1, 1, 2*time.Second)
	c.Set(2, 2)
	clock.sleep(2 * time.Second)
	for k := 1; k <= 2; k++ {
		if _, err := c.Refresh(context.Background(), k); !errors.Is(err, ErrNotFound) {
			t.Errorf("Refresh = %v, want %v", err, ErrNotFound)
		}
	}
	checkAnswers(t, answer{"cause of 1", causes[1], Expired}, answer{"cause of 2", causes[2], Invalidated})
}

// TestLoadTime checks that the time of loads counts from when they begin, for
// each key that a call loads.
func TestLoadTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(100, &Options[int, int]{LoadMany: func(_ context.Context, keys []int) (map[int]int, error) {
			time.Sleep(5 * time.Second)
			return map[int]int{1: 1, 2: 2}, nil
		}})
		time.Sleep(time.Hour)
		if _, err := c.Load(t.Context(), 1); err != nil {
			t.Error(err)
		}
		checkAnswers(t, answer{"LoadTime of one", c.Stats().LoadTime, 5 * time.Second})
		if _, err := c.LoadAll(t.Context(), []int{1, 2, 3}); err != nil {
			t.Error(err)
		}
		s := c.Stats()
		checkAnswers(t,
			answer{"Loads", s.Loads, uint64(3)},
			answer{"LoadTime of three", s.LoadTime, 15 * time.Second},
			answer{"MeanLoadTime", s.MeanLoadTime(), 5 * time.Second},
		)
	})
}
