// SPDX-License-Identifier: MIT

package lru

import (
	"context"
	"errors"
	"fmt"
	"maps"
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

// check fails if B1, B2 or B3 does not hold.
func (b *Behind[K, V]) check(t interface {
	Helper()
	Errorf(string, ...any)
},
) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	queued := 0
	for key, w := range b.pending {
		if w.key != key {
			t.Errorf("B1 violated: %v is pending under %v", w.key, key)
		}
		if w.saved >= w.seq {
			t.Errorf("B1 violated: %v is pending, saved up to %d of %d", key, w.saved, w.seq)
		}
		if w.queued {
			queued++
		}
		if w.queued == w.busy {
			t.Errorf("B2 violated: %v is %+v", key, *w)
		}
	}

	if got := len(b.fresh) + len(b.refused); queued != got {
		t.Errorf("B2 violated: %d queued, %d say so", got, queued)
	}
	for _, w := range b.refused {
		if w.failures == 0 {
			t.Errorf("B2 violated: %v is refused, and never failed", w.key)
		}
	}

	if len(b.refused) == 0 && (len(b.fresh) == 0 || b.opts.Interval < 0 && b.failures == 0) {
		return
	}
	if !b.saving && b.alarm == never {
		t.Errorf("B3 violated: %d queued, and nothing will save them", queued)
	}
}

// TestBehind checks that reads see a write at once, that the store gets the
// last one of each key after Interval, or when it is flushed, and that none is
// taken after Close.
func TestBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		s := newSlowStore()
		c := New[int, int](2, nil)
		b := NewBehind(c, s, nil)
		for i := range 100 {
			if err := b.Set(ctx, i%5, i); err != nil {
				t.Fatal(err)
			}
			if v, err := b.Load(ctx, i%5); v != i || err != nil {
				t.Errorf("Load = %d, %v, want %d", v, err, i)
			}
			b.check(t)
		}

		// Three of them are not in the cache any more, and not in the store
		// yet.
		for k := range 5 {
			if v, err := b.Load(ctx, k); v != 95+k || err != nil {
				t.Errorf("Load(%d) = %d, %v, want %d", k, v, err, 95+k)
			}
		}

		if err := b.Delete(ctx, 3); err != nil {
			t.Error(err)
		}
		if _, err := b.Load(ctx, 3); !errors.Is(err, ErrNotFound) {
			t.Errorf("Load of what was deleted = %v, want %v", err, ErrNotFound)
		}
		checkAnswers(t, answer{"saved", s.count(), 0}, answer{"Pending", b.Pending(), 5})

		time.Sleep(5*time.Second - 1)
		synctest.Wait()
		if s.count() != 0 {
			t.Errorf("saved %d too early, want 0", s.count())
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		checkAnswers(t, answer{"saved", s.count(), 5}, answer{"Pending", b.Pending(), 0})
		if want := map[int]int{0: 95, 1: 96, 2: 97, 4: 99}; !maps.Equal(s.m, want) {
			t.Errorf("the store has %v, want %v", s.m, want)
		}

		b.check(t)
		_ = b.Set(ctx, 1, 7)
		checkAnswers(t, answer{"Close", b.Close(ctx), nil}, answer{"the store", s.state()[1], 7})
		if err := b.Set(ctx, 1, 8); !errors.Is(err, ErrClosed) {
			t.Errorf("Set after Close = %v, want %v", err, ErrClosed)
		}
		if err := b.Delete(ctx, 1); !errors.Is(err, ErrClosed) {
			t.Errorf("Delete after Close = %v, want %v", err, ErrClosed)
		}
		if err := b.Close(ctx); err != nil {
			t.Errorf("the second Close = %v", err)
		}
		if v, err := b.Load(ctx, 1); v != 7 || err != nil {
			t.Errorf("Load after Close = %d, %v, want 7", v, err)
		}
	})
}

// TestBehindApply saves in batches, with no key twice in one.
func TestBehindApply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		s := newSlowStore()
		b := NewBehind(New[int, int](100, nil), s, &BehindOptions[int, int]{
			Batch: 3, Interval: -1, MaxPending: 1000,
			Apply: func(_ context.Context, sets []Pair[int, int], removes []int) error {
				got = append(got, fmt.Sprint(sets, removes))
				return nil
			},
		})

		for k := range 5 {
			_ = b.Set(t.Context(), k, k)
			_ = b.Set(t.Context(), k, 10*k)
		}

		_ = b.Delete(t.Context(), 1)
		time.Sleep(time.Hour)
		checkAnswers(t, answer{"applied", len(got), 0}, answer{"Pending", b.Pending(), 5})
		if err := b.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		if want := "[[{0 0} {2 20}] [1] [{3 30} {4 40}] []]"; fmt.Sprint(got) != want {
			t.Errorf("applied %v, want %s", got, want)
		}
	})
}

// TestBehindRewritten has a key written again while it is being saved: the
// later write is saved, too.
func TestBehindRewritten(t *testing.T) {
	for _, fails := range []bool{false, true} {
		for _, remove := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				fails := fails // of this bubble alone
				s := newSlowStore()
				release := make(chan struct{})
				s.before = func(what string, _ int) error {
					if what == "Load" {
						return nil
					}
					<-release
					if fails {
						fails = false
						return errors.New("down")
					}
					return nil
				}

				c := New[int, int](1, nil)
				b := NewBehind(c, s, &BehindOptions[int, int]{Interval: -1})
				_ = b.Set(t.Context(), 1, 1)
				go func() { _ = b.Flush(t.Context()) }()
				synctest.Wait()
				want := map[int]int{1: 2}
				if remove {
					want = map[int]int{}
					_ = b.Delete(t.Context(), 1)
				} else {
					_ = b.Set(t.Context(), 1, 2)
				}

				b.check(t)
				release <- struct{}{}
				synctest.Wait()
				if b.Pending() != 1 {
					t.Errorf("%d pending, want 1", b.Pending())
				}

				c.Set(2, 2) // evicts it
				v, err := b.Load(t.Context(), 1)
				checkAnswers(t, answer{"Load", v, want[1]}, answer{"ErrNotFound", errors.Is(err, ErrNotFound), remove})
				b.check(t)
				close(release)
				checkAnswers(t,
					answer{"Flush", b.Flush(t.Context()), nil},
					answer{"the store", s.state(), want},
					answer{"Pending", b.Pending(), 0},
				)
			})
		}
	}
}

// TestBehindHalf saves when half of MaxPending are waiting, whatever Interval
// is.
func TestBehindHalf(t *testing.T) {
	for limit, half := range map[int]int{1: 1, 2: 1, 3: 2, 10: 5} {
		synctest.Test(t, func(t *testing.T) {
			s := newSlowStore()
			b := NewBehind(New[int, int](100, nil), s, &BehindOptions[int, int]{Interval: -1, MaxPending: limit})
			for k := range half {
				if n := s.count(); n != 0 {
					t.Errorf("MaxPending %d: %d saved of %d", limit, n, k)
				}
				_ = b.Set(t.Context(), k, k)
				synctest.Wait()
			}
			t.Logf("MaxPending %d", limit)
			checkAnswers(t, answer{"saved", s.count(), half}, answer{"Pending", b.Pending(), 0})
		})
	}
}

// TestBehindGoesOn has the store refuse one of two writes, which is given up:
// the other one is saved after Backoff, though no timer runs for Interval.
func TestBehindGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlowStore()
		s.before = func(what string, key int) error {
			if what == "Set" && key == 1 {
				return errors.New("refused")
			}
			return nil
		}
		b := NewBehind(New[int, int](100, nil), s, &BehindOptions[int, int]{
			Interval: -1, Backoff: time.Second,
			OnError: func(int, error, int) bool { return true },
		})
		_ = b.Set(t.Context(), 1, 1)
		_ = b.Set(t.Context(), 2, 2)
		start := time.Now()
		checkAnswers(t,
			answer{"Flush", b.Flush(t.Context()), nil},
			answer{"took", time.Since(start), time.Second},
			answer{"the store", s.state(), map[int]int{2: 2}},
			answer{"Stats", b.Stats(), BehindStats{Writes: 2, Saved: 1, Calls: 2, Failures: 1, GivenUp: 1}},
		)
		b.check(t)
	})
}

// TestBehindFull has writes wait for room, each until its context ends, and go
// on when there is some. A key that is pending already needs none.
func TestBehindFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlowStore()
		release := make(chan struct{})
		s.before = func(what string, _ int) error {
			if what == "Set" {
				<-release
			}
			return nil
		}

		b := NewBehind(New[int, int](100, nil), s, &BehindOptions[int, int]{MaxPending: 4, Interval: -1})
		for k := range 4 {
			_ = b.Set(t.Context(), k, k)
		}

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := b.Set(ctx, 4, 4); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Set = %v, want %v", err, context.DeadlineExceeded)
		}
		if err := b.Set(ctx, 3, 3); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Set with a context that has ended = %v, want %v", err, context.DeadlineExceeded)
		}
		if _, err := b.Load(t.Context(), 4); !errors.Is(err, ErrNotFound) {
			t.Errorf("what was refused is there: %v, want %v", err, ErrNotFound)
		}
		if err := b.Set(t.Context(), 3, 33); err != nil {
			t.Errorf("Set of what is pending = %v", err)
		}

		done, late := false, error(nil)
		go func() { done = b.Set(t.Context(), 5, 5) == nil }()
		synctest.Wait()
		if done {
			t.Error("Set did not wait")
		}

		release <- struct{}{}
		synctest.Wait()
		if !done {
			t.Error("Set still waits")
		}
		go func() { late = b.Set(t.Context(), 6, 6) }()
		synctest.Wait()
		go func() { _ = b.Close(t.Context()) }()
		synctest.Wait()
		if !errors.Is(late, ErrClosed) {
			t.Errorf("one that waits when it is closed gets %v, want %v", late, ErrClosed)
		}

		b.check(t)
		close(release)
		synctest.Wait()
		checkAnswers(t,
			answer{"the store", s.m, map[int]int{0: 0, 1: 1, 2: 2, 3: 33, 5: 5}},
			answer{"Pending", b.Pending(), 0},
		)
	})
}

// TestBehindDown has the store fail for a while: it is tried after a time that
// doubles, nothing is lost, and Flush and Close tell.
func TestBehindDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := errors.New("down")
		s := newSlowStore()
		var tries []time.Duration
		start := time.Now()
		s.before = func(string, int) error {
			tries = append(tries, time.Since(start))
			return down
		}
		reported := 0
		b := NewBehind(New[int, int](100, nil), s, &BehindOptions[int, int]{
			Interval: time.Second, Backoff: time.Second, OnError: func(key int, err error, tries int) bool {
				reported++
				checkAnswers(t, answer{"key", key, 1}, answer{"error", err, down}, answer{"tries", tries, reported})
				return false
			},
		})

		_ = b.Set(t.Context(), 1, 1)
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Second)
		defer cancel()
		err := b.Close(ctx)
		checkAnswers(t, answer{"Close", err, context.DeadlineExceeded}, answer{"Close", err, down})

		want := []time.Duration{0, 1, 3, 7, 15, 31, 63, 123, 183}
		for i := range want {
			want[i] *= time.Second
		}

		checkAnswers(t, answer{"tried at", tries, want}, answer{"reported", reported, len(want)})
		b.check(t)
		s.before = nil
		start = time.Now()
		checkAnswers(t,
			answer{"Close", b.Close(t.Context()), nil},
			answer{"Close waited", time.Since(start), time.Duration(0)},
			answer{"the store", s.state()[1], 1},
		)
	})
}

// TestBehindTimeout checks that Timeout is the deadline of each call of the
// store.
func TestBehindTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var deadline time.Duration
		b := NewBehind(New[int, int](100, nil), newSlowStore(), &BehindOptions[int, int]{
			Timeout: time.Second, Apply: func(ctx context.Context, _ []Pair[int, int], _ []int) error {
				d, _ := ctx.Deadline()
				deadline = time.Until(d)
				return nil
			},
		})
		_ = b.Set(t.Context(), 1, 1)
		err := b.Flush(t.Context())
		checkAnswers(t, answer{"Flush", err, nil}, answer{"time for the store", deadline, time.Second})
	})
}

// TestBehindMerges has a key that is written all the time, and a store that is
// slower: it is saved once an interval, and not as often as the store can.
func TestBehindMerges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlowStore()
		s.before = func(string, int) error { time.Sleep(20 * time.Millisecond); return nil }
		b := NewBehind(New[int, int](100, nil), s, nil)
		for i := range 6000 {
			_ = b.Set(t.Context(), 1, i)
			time.Sleep(10 * time.Millisecond)
		}

		checkAnswers(t, answer{"Close", b.Close(t.Context()), nil}, answer{"the store", s.state()[1], 5999})
		if n := len(s.saves); n < 11 || n > 14 {
			t.Errorf("%d saves in a minute, want 11 to 14", n)
		}
	})
}

// TestBehindRefuses checks that a key which is not equal to itself is refused,
// and which options are.
func TestBehindRefuses(t *testing.T) {
	b := NewBehind(New[float64, int](100, nil), nil, &BehindOptions[float64, int]{Interval: -1})
	err := b.Set(context.Background(), math.NaN(), 1)
	checkAnswers(t, answer{"Set(NaN) fails", err != nil, true}, answer{"Pending", b.Pending(), 0})
	mustPanic(t, "lru: BehindOptions.MaxPending", func() {
		NewBehind(New[int, int](1, nil), nil, &BehindOptions[int, int]{MaxPending: -1})
	})
	for _, o := range []BehindOptions[int, int]{{MaxPending: -1}, {Batch: -1}, {Backoff: -1}, {Timeout: -1}} {
		if o.Validate() == nil {
			t.Errorf("%+v is valid", o)
		}
	}
}

// TestPropBehind writes while the store fails, panics and kills the goroutine
// that saves, before and after it has done its part. Reads see the last write
// at every moment, and when Flush returns the store has everything, in the
// order of each key.
func TestPropBehind(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rapid.SyncTest(t, propBehind)
	})
}

func propBehind(t *rapid.T) {
	faults := rapid.SliceOfN(rapid.IntRange(0, 9), 1, 40).Draw(t, "faults")
	var calls atomic.Int64
	var well atomic.Bool
	fault := func(what string, _ int) error {
		if what == "Load" || well.Load() {
			return nil
		}
		switch faults[int(calls.Add(1))%len(faults)] {
		case 0:
			return errors.New("down")
		case 1:
			panic("crash")
		case 2:
			runtime.Goexit()
		case 3:
			time.Sleep(time.Second)
		}

		return nil
	}

	s := newSlowStore()
	s.before, s.after = fault, fault
	o := &BehindOptions[int, int]{
		MaxPending: rapid.IntRange(1, 8).Draw(t, "max"), Batch: rapid.IntRange(1, 4).Draw(t, "batch"), Backoff: time.Millisecond,
		Interval: time.Duration(rapid.SampledFrom([]int64{-1, int64(time.Second)}).Draw(t, "interval")),
	}
	if rapid.Bool().Draw(t, "apply") {
		o.Apply = func(ctx context.Context, sets []Pair[int, int], removes []int) error {
			for _, p := range sets {
				if err := s.Set(ctx, p.Key, p.Value); err != nil {
					return err
				}
			}

			for _, k := range removes {
				if err := s.Delete(ctx, k); err != nil {
					return err
				}
			}

			return nil
		}
	}

	c := New(rapid.IntRange(1, 6).Draw(t, "cap"), &Options[int, int]{TTL: time.Minute})
	b := NewBehind(c, s, o)
	ctx, model, written := context.Background(), map[int]int{}, 0
	key := rapid.IntRange(0, 9)
	repeat(t, map[string]func(*rapid.T){
		"Set": func(t *rapid.T) {
			k := key.Draw(t, "k")
			written++
			limited, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			switch err := b.Set(limited, k, written); {
			case err == nil:
				model[k] = written
			case !errors.Is(err, context.DeadlineExceeded) || b.Pending() < o.MaxPending:
				t.Fatalf("Set(%d) = %v, %d pending", k, err, b.Pending())
			}
		},
		"Delete": func(t *rapid.T) {
			k := key.Draw(t, "k")
			limited, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			if err := b.Delete(limited, k); err == nil {
				delete(model, k)
			}
		},
		"Load": func(t *rapid.T) {
			k := key.Draw(t, "k")
			v, err := b.Load(ctx, k)
			if want, ok := model[k]; v != want || ok != (err == nil) {
				t.Fatalf("Load(%d) = %d, %v, want %d, %v", k, v, err, want, ok)
			}
		},
		"time": func(t *rapid.T) { time.Sleep(time.Duration(rapid.Int64Range(0, 3e9).Draw(t, "d"))) },
		"Flush": func(t *rapid.T) {
			limited, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			if err := b.Flush(limited); err == nil && !maps.Equal(s.state(), model) {
				t.Fatalf("after Flush the store has %v, want %v", s.state(), model)
			}
		},
		"": func(t *rapid.T) {
			synctest.Wait()
			b.check(t)
		},
	})

	well.Store(true)
	checkAnswers(t,
		answer{"Close", b.Close(ctx), nil},
		answer{"Pending", b.Pending(), 0},
		answer{"the store", s.state(), model},
	)
}

// TestBehindConcurrent has each of several writers write keys of its own, and
// read them back, while the store fails now and then: of each key the store
// sees values that only go up.
func TestBehindConcurrent(t *testing.T) {
	rounds := 2000
	if raceEnabled || testing.Short() {
		rounds = 200
	}
	s := newSlowStore()
	var mu sync.Mutex
	n := 0
	s.before = func(what string, _ int) error {
		mu.Lock()
		defer mu.Unlock()
		if n++; n%7 == 0 && what != "Load" {
			return errors.New("down")
		}
		return nil
	}

	s.after = s.before
	c := New(7, &Options[int, int]{Shards: 2})
	b := NewBehind(c, s, &BehindOptions[int, int]{MaxPending: 6, Interval: time.Microsecond, Backoff: time.Microsecond})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := 1; i <= rounds; i++ {
				k := g*10 + i%3
				if err := b.Set(context.Background(), k, i); err != nil {
					t.Error(err)
				}
				if v, err := b.Load(context.Background(), k); v != i || err != nil {
					t.Errorf("Load(%d) = %d, %v, want %d", k, v, err, i)
					return
				}
			}
		})
	}

	wg.Wait()
	if err := b.Close(context.Background()); err != nil {
		t.Error(err)
	}
	b.check(t)
	last := map[int]int{}
	for _, p := range s.saves {
		if p.Value < last[p.Key] {
			t.Errorf("key %d was saved as %d after %d", p.Key, p.Value, last[p.Key])
		}
		last[p.Key] = p.Value
	}

	for g := range 4 {
		for r := range 3 {
			if want := rounds - (rounds-r)%3; s.m[g*10+r] != want {
				t.Errorf("key %d is %d in the store, want %d", g*10+r, s.m[g*10+r], want)
			}
		}
	}

	c.checkIdle(t)
}

// TestBehindCloseWaits: nothing of a Behind runs any more when Close returns
// nil, not even the removal of a value whose write was given up.
func TestBehindCloseWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		removed := false
		c := New(10, &Options[int, int]{OnRemove: func(int, int, Cause) {
			time.Sleep(time.Minute)
			removed = true
		}})
		s := newSlowStore()
		s.before = func(string, int) error { return errors.New("refused") }
		b := NewBehind(c, s, &BehindOptions[int, int]{
			Interval: time.Second,
			OnError:  func(int, error, int) bool { return true },
		})
		_ = b.Set(t.Context(), 1, 1)
		time.Sleep(2 * time.Second) // the cache drops the key for a second
		if got := b.Pending(); got != 0 {
			t.Errorf("%d pending, want 0", got)
		}

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := b.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close = %v while the cache drops a key, want the end of its context", err)
		}
		if err := b.Close(t.Context()); err != nil || !removed {
			t.Errorf("Close = %v, removed: %v, want nil, true", err, removed)
		}
	})
}

// TestBehindAsks has writers wait for room while the store is down: it is not
// asked more often for that.
func TestBehindAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlowStore()
		var tries []time.Duration
		start := time.Now()
		s.before = func(string, int) error {
			tries = append(tries, time.Since(start))
			return errors.New("down")
		}
		b := NewBehind(New[int, int](100, nil), s, &BehindOptions[int, int]{
			Interval: time.Hour, MaxPending: 2, Backoff: time.Second,
		})
		_ = b.Set(t.Context(), 1, 1)
		synctest.Wait() // half of MaxPending: the store was asked
		_ = b.Set(t.Context(), 2, 2)
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		defer cancel()
		if err := b.Set(ctx, 3, 3); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Set = %v, want the end of its context", err)
		}
		synctest.Wait()
		want := []time.Duration{0, time.Second, 3 * time.Second, 7 * time.Second}
		checkAnswers(t, answer{"tried at", tries, want})
		b.GiveUp()
	})
}

// TestBehindBatches has the store refuse all batches: the next one of a write
// is half as large.
func TestBehindBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizes []int
		b := NewBehind(New[int, int](100, nil), newSlowStore(), &BehindOptions[int, int]{
			Interval: -1, Batch: 8,
			Apply: func(_ context.Context, sets []Pair[int, int], deletes []int) error {
				sizes = append(sizes, len(sets)+len(deletes))
				return errors.New("down")
			},
		})
		for k := range 8 {
			_ = b.Set(t.Context(), k, k)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		_ = b.Flush(ctx)
		synctest.Wait()
		b.GiveUp()
		if want := []int{8, 4, 4, 2, 2, 2, 2, 1, 1}; len(sizes) < len(want) || !slices.Equal(sizes[:len(want)], want) {
			t.Errorf("batches of %v, want them to begin with %v", sizes, want)
		}
	})
}

// TestBehindBackoff checks that the pause doubles up to a minute, or is
// Backoff if that is longer.
func TestBehindBackoff(t *testing.T) {
	for _, tt := range []struct {
		backoff time.Duration
		want    []time.Duration // after 1, 2 and so on failures
	}{
		{10 * time.Second, []time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second, time.Minute, time.Minute}},
		{30 * time.Second, []time.Duration{30 * time.Second, time.Minute, time.Minute}},
		{time.Minute, []time.Duration{time.Minute, time.Minute}},
		{time.Hour, []time.Duration{time.Hour, time.Hour}},
		{Forever, []time.Duration{Forever, Forever}},
	} {
		b := NewBehind(New[int, int](1, nil), nil, &BehindOptions[int, int]{Backoff: tt.backoff})
		for i, want := range tt.want {
			if got := b.backoff(i + 1); got != want {
				t.Errorf("Backoff %v, failure %d: a pause of %v, want %v", tt.backoff, i+1, got, want)
			}
		}
		if got, want := b.backoff(1000), tt.want[len(tt.want)-1]; got != want {
			t.Errorf("Backoff %v, failure 1000: a pause of %v, want %v", tt.backoff, got, want)
		}
	}
}

// TestBehindGivenUpTimer gives up what the timer was set for: a later write
// waits for all of Interval.
func TestBehindGivenUpTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlowStore()
		b := NewBehind(New[int, int](100, nil), s, &BehindOptions[int, int]{Interval: 5 * time.Second})
		_ = b.Set(t.Context(), 1, 1)
		time.Sleep(time.Second)
		b.GiveUp()
		time.Sleep(3 * time.Second)
		_ = b.Set(t.Context(), 2, 2)
		time.Sleep(5*time.Second - 1)
		synctest.Wait()
		checkAnswers(t, answer{"saved before Interval is over", s.count(), 0})
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		checkAnswers(t, answer{"saved after it", s.count(), 1})
	})
}

// TestBehindFlushAtEnd calls Flush when the goroutine that saves has heard its
// last refusal, and has not ended: the store is asked at once even then.
func TestBehindFlushAtEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		c := New(100, &Options[int, int]{OnRemove: func(int, int, Cause) { <-release }})
		s := newSlowStore()
		s.before = func(_ string, key int) error {
			if key == 1 {
				return errors.New("refused")
			}
			return nil
		}
		b := NewBehind(c, s, &BehindOptions[int, int]{
			Interval: -1, Backoff: time.Second,
			OnError: func(int, error, int) bool { return true }, // the cache drops the key, slowly
		})
		_ = b.Set(t.Context(), 1, 1)
		checkAnswers(t, answer{"Flush", b.Flush(t.Context()), nil})
		_ = b.Set(t.Context(), 2, 2)

		start := time.Now()
		time.AfterFunc(time.Millisecond, func() { close(release) })
		checkAnswers(t, answer{"Flush", b.Flush(t.Context()), nil})
		checkAnswers(t, answer{"time of Flush", time.Since(start), time.Millisecond})
	})
}

// TestBehindTries has a key written again while an attempt to save it succeeds,
// or is the last one: failures of the next write are counted from the start.
func TestBehindTries(t *testing.T) {
	for _, gives := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var told []int
			var tried []time.Duration
			s := newSlowStore()
			var b *Behind[int, int]
			start := time.Now()
			s.before = func(string, int) error {
				tried = append(tried, time.Since(start))
				if len(tried) == 3 {
					_ = b.Set(t.Context(), 1, 2)
				}
				if len(tried) == 3 && !gives || len(tried) == 6 {
					return nil
				}
				return errors.New("refused")
			}
			b = NewBehind(New[int, int](100, nil), s, &BehindOptions[int, int]{
				Interval: -1, Backoff: time.Second,
				OnError: func(_ int, _ error, tries int) bool {
					told = append(told, tries)
					return gives && len(told) == 3
				},
			})
			_ = b.Set(t.Context(), 1, 1)
			checkAnswers(t, answer{"Flush", b.Flush(t.Context()), nil})
			checkAnswers(t, answer{"Flush", b.Flush(t.Context()), nil})
			want := []int{1, 2, 1, 2}
			if gives {
				want = []int{1, 2, 3, 1, 2}
			}
			checkAnswers(t, answer{fmt.Sprintf("told of tries, given up: %v", gives), told, want}, answer{"tried", len(tried), 6})

			// The pause of the write begins anew as well, that of the store
			// unless it has taken one.
			pauses := []time.Duration{1, 2, 0, 1, 2}
			if gives {
				pauses = []time.Duration{1, 2, 0, 8, 16} // Flush asks at once
			}
			for i, want := range pauses {
				if got := tried[i+1] - tried[i]; got != want*time.Second {
					t.Errorf("given up: %v: a pause of %v after attempt %d, want %v", gives, got, i+1, want*time.Second)
				}
			}
		})
	}
}
