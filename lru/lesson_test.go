// SPDX-License-Identifier: MIT

package lru

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestLessonBlog checks the blog of the textbooks: a query takes 800 ms, the
// cache answers at once, the list lives for a day, and a post deletes it. A
// query that began before the post stores the old list for a day if it uses Get
// and Set. With Load it does not.
func TestLessonBlog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		posts := []string{"hello"}
		query := func() string {
			list := strings.Join(posts, ", ") // what the database reads at the beginning
			time.Sleep(800 * time.Millisecond)
			return list
		}
		c := New(1000, &Options[string, string]{
			TTL:  86400 * time.Second,
			Load: func(context.Context, string) (string, error) { return query(), nil },
		})

		start := time.Now()
		_, _ = c.Load(t.Context(), "posts")
		miss := time.Since(start)
		_, _ = c.Load(t.Context(), "posts")
		if hit := time.Since(start) - miss; miss != 800*time.Millisecond || hit != 0 {
			t.Errorf("a miss takes %v, a hit %v, want 800ms, 0s", miss, hit)
		}

		// By hand: the answer to a question that was asked before the post.
		c.Delete("posts")
		go func() { // ends with the query
			if _, ok := c.Get("posts"); !ok {
				c.Set("posts", query())
			}
		}()
		synctest.Wait()
		posts = append(posts, "world")
		c.Delete("posts")
		time.Sleep(time.Second)
		if got, _ := c.Get("posts"); got != "hello" {
			t.Errorf("cache-aside has %q; this race is gone, and the lesson with it", got)
		}

		// By Load: the same order of events.
		c.Delete("posts")
		go func() { _, _ = c.Load(t.Context(), "posts") }() // ends with the query
		synctest.Wait()
		posts = append(posts, "again")
		c.Delete("posts")
		time.Sleep(time.Second)
		if got, err := c.Load(t.Context(), "posts"); got != "hello, world, again" || err != nil {
			t.Errorf("Load = %q, %v, want hello, world, again", got, err)
		}
	})
}

// TestLessonGame checks five strategies side by side, as in a game: profiles
// cache-aside, scores write-through, sessions write-behind, the catalog
// refresh-ahead, and analytics write-around.
func TestLessonGame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		stores := map[string]*slowStore{}
		for _, name := range []string{"profiles", "scores", "sessions", "catalog", "analytics"} {
			stores[name] = newSlowStore()
			stores[name].m[1] = 100
		}

		// Profiles: the program asks the database, and remembers the answer.
		profiles := New[int, int](1000, nil)
		if _, ok := profiles.Get(1); !ok {
			v, _ := stores["profiles"].Load(ctx, 1)
			profiles.Set(1, v)
		}

		// Scores: when Set returns, the database has it.
		scores := NewThrough(New[int, int](1000, nil), stores["scores"])
		_ = scores.Set(ctx, 1, 250)
		if got := stores["scores"].state()[1]; got != 250 {
			t.Errorf("write-through: the database has %d, want 250", got)
		}

		// Sessions: the database has it five seconds later.
		sessions := NewBehind(New[int, int](1000, nil), stores["sessions"], nil)
		_ = sessions.Set(ctx, 1, 7)
		before := stores["sessions"].state()[1]
		time.Sleep(5 * time.Second)
		synctest.Wait()
		checkAnswers(t,
			answer{"write-behind: the database", before, 100},
			answer{"write-behind: the database, then", stores["sessions"].state()[1], 7},
		)

		// The catalog: nobody waits for the database once it is loaded.
		catalog := New(1000, &Options[int, int]{
			TTL: time.Hour, RefreshAfter: 50 * time.Minute, Load: stores["catalog"].Load,
		})
		_, _ = catalog.Load(ctx, 1)
		stores["catalog"].m[1] = 101
		time.Sleep(51 * time.Minute)
		old, _ := catalog.Load(ctx, 1)
		synctest.Wait()
		got, _ := catalog.Get(1)
		checkAnswers(t, answer{"refresh-ahead", old, 100}, answer{"refresh-ahead, then", got, 101})

		// Analytics: written often, read rarely, so the cache does not keep it.
		c := New[int, int](1000, nil)
		analytics := NewThrough(c, stores["analytics"])
		_ = analytics.Around(ctx, 1, 5)
		checkAnswers(t,
			answer{"write-around: the database", stores["analytics"].state()[1], 5},
			answer{"write-around: the cache has it", c.Has(1), false},
		)
	})
}

// TestLessonDrivers checks that the positions of 10,000 drivers, every 2
// seconds for ten minutes, are 3,000,000 writes and become 10,000 saves if they
// are saved every ten minutes.
func TestLessonDrivers(t *testing.T) {
	drivers := 10_000
	if testing.Short() || raceEnabled || invariants {
		drivers = 200
	}
	synctest.Test(t, func(t *testing.T) {
		s := newSlowStore()
		b := NewBehind(New[int, int](2*drivers, nil), s, &BehindOptions[int, int]{
			Interval: 10*time.Minute - time.Second, MaxPending: 4 * drivers,
		})
		for tick := range 300 {
			for d := range drivers {
				_ = b.Set(t.Context(), d, tick)
			}
			time.Sleep(2 * time.Second)
		}

		synctest.Wait()
		got := b.Stats()
		checkAnswers(t,
			answer{"Writes", got.Writes, uint64(300 * drivers)},
			answer{"Saved", got.Saved, uint64(drivers)},
			answer{"Pending", got.Pending, 0},
		)
		if got.Merged != uint64(299*drivers) {
			t.Errorf("%d writes were merged, want %d", got.Merged, 299*drivers)
		}
		if v, err := b.Load(t.Context(), 7); v != 299 || err != nil {
			t.Errorf("Load = %d, %v, want the last position, 299", v, err)
		}
	})
}

// TestLessonIdempotency checks that the answer of the first call is stored
// under its idempotency key: retries get the same, at once or later, and the
// charge is made once.
func TestLessonIdempotency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		charges := 0
		answers := New[string, string](1000, &Options[string, string]{TTL: 24 * time.Hour})
		pay := func(key string) string {
			answer, _ := answers.LoadFunc(t.Context(), key, func(context.Context, string) (string, error) {
				time.Sleep(time.Second)
				charges++
				return fmt.Sprintf("receipt %d", charges), nil
			})
			return answer
		}

		got := make([]string, 3)
		var wg sync.WaitGroup
		for i := range got {
			wg.Go(func() { got[i] = pay("order-17") }) // ends with the charge
		}
		wg.Wait()
		time.Sleep(time.Minute)
		again := pay("order-17")
		other := pay("order-18")
		want := "receipt 1"
		checkAnswers(t, answer{"the calls", got, []string{want, want, want}}, answer{"a later call", again, want})
		if other != "receipt 2" || charges != 2 {
			t.Errorf("another key got %q after %d charges, want receipt 2 after 2", other, charges)
		}
	})
}

// TestLessonRegistry checks a registry of services: each sends a heartbeat
// every 15 seconds, one that has missed three is gone, and the event updates
// the list of members, unasked.
func TestLessonRegistry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex // protects members
		members := map[string]bool{}
		registry := New(1000, &Options[string, string]{
			TTL: 45 * time.Second,
			OnRemove: func(name, _ string, cause Cause) {
				if cause == Expired {
					mu.Lock()
					delete(members, name)
					mu.Unlock()
				}
			},
		})
		for _, name := range []string{"a", "b", "c"} {
			registry.Set(name, "10.0.0.1")
			mu.Lock()
			members[name] = true
			mu.Unlock()
		}

		for beat := 1; beat <= 8; beat++ {
			time.Sleep(15 * time.Second)
			for _, name := range []string{"a", "b", "c"} {
				if name != "b" || beat < 4 { // b dies after its third heartbeat
					registry.Touch(name, 45*time.Second)
				}
			}
			synctest.Wait()
			mu.Lock()
			if got, want := members["b"], beat < 6; got != want {
				t.Errorf("at heartbeat %d b is a member: %v, want %v", beat, got, want)
			}
			mu.Unlock()
		}

		mu.Lock()
		defer mu.Unlock()
		if want := map[string]bool{"a": true, "c": true}; !maps.Equal(members, want) {
			t.Errorf("members %v, want %v", members, want)
		}
	})
}

// TestLessonTicker checks a value that is refreshed every ten minutes, unasked:
// by a ticker and Refresh. Readers never wait, and never see an older one.
func TestLessonTicker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rate atomic.Int64
		rate.Store(100)
		c := New(10, &Options[string, int64]{Load: func(context.Context, string) (int64, error) {
			time.Sleep(3 * time.Second)
			return rate.Load(), nil
		}})
		_, _ = c.Load(t.Context(), "EUR")
		ctx, cancel := context.WithCancel(t.Context())
		go func() { // ends with ctx
			for tick := time.NewTicker(10 * time.Minute); ; {
				select {
				case <-tick.C:
					_, _ = c.Refresh(ctx, "EUR")
				case <-ctx.Done():
					tick.Stop()
					return
				}
			}
		}()

		rate.Store(101)
		time.Sleep(10*time.Minute + 2*time.Second)
		during, ok := c.Get("EUR")
		time.Sleep(time.Second)
		synctest.Wait()
		after, _ := c.Get("EUR")
		checkAnswers(t,
			answer{"while it is loaded", during, int64(100)},
			answer{"while it is loaded: ok", ok, true},
			answer{"afterwards", after, int64(101)},
		)
		cancel()
		synctest.Wait()
	})
}
