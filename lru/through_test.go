// SPDX-License-Identifier: MIT

package lru

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A slowStore is the textbook store: a map. What before returns is what its
// methods fail with, and before may wait, panic, or not return.
type slowStore struct {
	mu     sync.Mutex
	m      map[int]int
	saves  []Pair[int, int] // what was written, in order; a removal is 0
	before func(what string, key int) error
	after  func(what string, key int) error // after the store has done its part
}

func newSlowStore() *slowStore { return &slowStore{m: map[int]int{}} }

func (s *slowStore) Load(_ context.Context, key int) (int, error) {
	if err := s.hook(s.before, "Load", key); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.m[key]
	if !ok {
		return 0, ErrNotFound
	}
	return v, nil
}

func (s *slowStore) Set(_ context.Context, key, value int) error {
	if err := s.hook(s.before, "Set", key); err != nil {
		return err
	}
	s.mu.Lock()
	s.m[key] = value
	s.saves = append(s.saves, Pair[int, int]{key, value})
	s.mu.Unlock()
	return s.hook(s.after, "Set", key)
}

func (s *slowStore) Delete(_ context.Context, key int) error {
	if err := s.hook(s.before, "Delete", key); err != nil {
		return err
	}
	s.mu.Lock()
	delete(s.m, key)
	s.saves = append(s.saves, Pair[int, int]{key, 0})
	s.mu.Unlock()
	return s.hook(s.after, "Delete", key)
}

func (s *slowStore) hook(f func(string, int) error, what string, key int) error {
	if f == nil {
		return nil
	}
	return f(what, key)
}

// state returns a copy of the contents.
func (s *slowStore) state() map[int]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.m)
}

// count returns how many writes it has had.
func (s *slowStore) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.saves)
}

// TestThrough checks what the cache and the store have after each method.
func TestThrough(t *testing.T) {
	ctx := context.Background()
	s := newSlowStore()
	c := New[int, int](100, nil)
	w := NewThrough(c, s)
	check := func(what string, cached, stored int) {
		t.Helper()
		got, _ := c.Peek(1)
		if got != cached || s.m[1] != stored {
			t.Errorf("%s: the cache has %d, the store %d, want %d, %d", what, got, s.m[1], cached, stored)
		}
	}

	if err := w.Set(ctx, 1, 10); err != nil {
		t.Error(err)
	}
	check("Set", 10, 10)
	if err := w.Around(ctx, 1, 11); err != nil {
		t.Error(err)
	}

	check("Around", 0, 11)
	if v, err := w.Load(ctx, 1); v != 11 || err != nil {
		t.Errorf("Load = %d, %v, want 11", v, err)
	}
	check("Load", 11, 11)
	if err := w.Delete(ctx, 1); err != nil {
		t.Error(err)
	}

	check("Delete", 0, 0)
	if _, err := w.Load(ctx, 1); !errors.Is(err, ErrNotFound) {
		t.Errorf("Load = %v, want %v", err, ErrNotFound)
	}
}

// TestThroughFaults has the store fail, panic, and not return, before and after
// it has written: the cache has nothing then, and the next Load what the store
// has.
func TestThroughFaults(t *testing.T) {
	down := errors.New("down")
	kinds := map[string]func(what string, _ int) error{
		"error": func(what string, _ int) error {
			if what == "Load" {
				return nil
			}
			return down
		},
		"panic": func(what string, _ int) error {
			if what != "Load" {
				panic(down)
			}
			return nil
		},
		"goexit": func(what string, _ int) error {
			if what != "Load" {
				runtime.Goexit()
			}
			return nil
		},
	}

	for name, fault := range kinds {
		for _, late := range []bool{false, true} {
			for op, do := range map[string]func(w *Through[int, int]) error{
				"Set":    func(w *Through[int, int]) error { return w.Set(context.Background(), 1, 2) },
				"Around": func(w *Through[int, int]) error { return w.Around(context.Background(), 1, 2) },
				"Delete": func(w *Through[int, int]) error { return w.Delete(context.Background(), 1) },
			} {
				s := newSlowStore()
				c := New[int, int](100, nil)
				w := NewThrough(c, s)
				if err := w.Set(context.Background(), 1, 1); err != nil {
					t.Fatal(err)
				}
				if late {
					s.after = fault
				} else {
					s.before = fault
				}

				done := make(chan struct{})
				go func() { // ends with the call
					defer close(done)
					defer func() { _ = recover() }()
					if err := do(w); name == "error" && !errors.Is(err, down) || name != "error" {
						t.Errorf("%s, %s: returned %v, want %v or no return", op, name, err, down)
					}
				}()

				<-done
				if c.Has(1) {
					t.Errorf("%s, %s, late %v: the cache still has it", op, name, late)
				}
				v, _ := w.Load(context.Background(), 1)
				if v != s.m[1] {
					t.Errorf("%s, %s, late %v: Load = %d, the store has %d", op, name, late, v, s.m[1])
				}

				s.before, s.after = nil, nil
				if err := w.Set(context.Background(), 1, 3); err != nil { // the turn was given back
					t.Error(err)
				}
			}
		}
	}
}

// TestThroughOrder has writes of one key wait for each other, each until its
// context ends, and those of another go on.
func TestThroughOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlowStore()
		release := make(chan struct{})
		s.before = func(_ string, key int) error {
			if key == 1 {
				<-release
			}
			return nil
		}

		c := New(100, &Options[int, int]{Hash: func(k int) uint64 { return uint64(k) }})
		w := NewThrough(c, s)
		other := 2
		for w.turnOf(other) == w.turnOf(1) {
			other++ // the salt of the hash is random
		}

		go func() { _ = w.Set(t.Context(), 1, 1) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.Set(ctx, 1, 2); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Set = %v, want %v", err, context.DeadlineExceeded)
		}
		if err := w.Set(ctx, 1, 2); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Set with a context that has ended = %v, want %v", err, context.DeadlineExceeded)
		}
		if err := w.Set(t.Context(), other, 2); err != nil {
			t.Errorf("Set of another = %v", err)
		}

		close(release)
		synctest.Wait()
		v, _ := c.Get(1)
		checkAnswers(t, answer{"the cache", v, 1}, answer{"the store", s.m[1], 1})
	})
}

// TestThroughConcurrent has readers and writers at it, with failures. What the
// cache has in the end is what the store has.
func TestThroughConcurrent(t *testing.T) {
	rounds := 400
	if raceEnabled || testing.Short() {
		rounds = 60
	}
	down := errors.New("down")
	for seed := range uint64(10) {
		s := newSlowStore()
		var n atomic.Uint64
		fault := func(what string, _ int) error {
			runtime.Gosched()
			if x := n.Add(1) * 2654435761 >> 8 % 10; x == 0 && what != "Load" {
				return down
			}
			return nil
		}

		s.before, s.after = fault, fault
		c := New(10, &Options[int, int]{Shards: 2})
		w := NewThrough(c, s)
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				rng := rand.New(rand.NewPCG(seed, uint64(g)))
				for i := range rounds {
					k := rng.IntN(12)
					switch rng.IntN(6) {
					case 0:
						_ = w.Around(context.Background(), k, i)
					case 1:
						_ = w.Delete(context.Background(), k)
					case 2:
						_ = w.Set(context.Background(), k, i)
					default:
						_, _ = w.Load(context.Background(), k)
					}
				}
			})
		}

		wg.Wait()
		for k, v := range c.All() {
			if got, ok := s.m[k]; !ok || got != v {
				t.Errorf("of %d the store has %d, %v, want %d as the cache", k, got, ok, v)
			}
		}

		c.checkIdle(t)
	}
}
