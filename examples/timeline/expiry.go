// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/ashlar-go/ashlar/lru"
)

// lifetime is how long a timeline in the cache lives, at most.
const lifetime = time.Hour

// A morning is a cache that is empty at first, and users who read all the time.
type morning struct {
	users    int
	random   bool // the times to live
	loads    []float64
	oldest   time.Duration
	readings int
}

// Times of a morning.
const (
	morningTTL  = 60 * time.Second
	morningLen  = 240 * time.Second
	morningEach = 4 * time.Second // a user reads so often, but not at the same moment as others
)

// run reads until the morning is over. Loads are counted by column.
func (m *morning) run(seed uint64, columns int) {
	rng := rand.New(rand.NewPCG(seed, 3))
	at := time.Unix(1e9, 0)
	begin := at
	ttl := func(int, time.Time) time.Duration {
		if !m.random {
			return morningTTL
		}
		return morningTTL - time.Duration(rng.Int64N(int64(morningTTL)/2))
	}
	cache := lru.New(m.users, &lru.Options[int, time.Time]{TTLOf: ttl, Now: func() time.Time { return at }})
	m.loads = make([]float64, columns)
	tick := morningEach / time.Duration(m.users)
	for i := 0; at.Sub(begin) < morningLen; i++ {
		user := i % m.users
		made, ok := cache.Get(user)
		if !ok {
			made = at
			cache.Set(user, made)
			m.loads[int(int64(at.Sub(begin))*int64(columns)/int64(morningLen))]++
		}
		m.readings++
		m.oldest = max(m.oldest, at.Sub(made))
		at = at.Add(tick)
	}
}

// peak is the greatest number of loads in a column after the first lifetime.
func (m *morning) peak() float64 { return slices.Max(m.loads[len(m.loads)/4:]) }

// check checks that nothing was too old.
func (m *morning) check() error {
	if m.oldest >= morningTTL {
		return fmt.Errorf("law broken: a timeline of %v was read, and lives for %v", m.oldest, morningTTL)
	}
	return nil
}

// checkSpared checks that a cache has spared the copies that it has not
// written.
func checkSpared(kept, cached *feed) error {
	if cached.written+cached.spared != kept.written {
		return fmt.Errorf("law broken: %d copies were written and %d spared, want %d", cached.written, cached.spared, kept.written)
	}
	return nil
}

// reportExpiry prints what a cache of timelines saves, and how it expires.
func reportExpiry(ctx context.Context, t *trial, w io.Writer) error {
	// All timelines are kept, or those that were made in the last hour.
	world := t.newWorld()
	kept := world.add("all", t.threshold)
	rng := rand.New(rand.NewPCG(t.seed, 4))
	cached := newFeed("cached", t.threshold, world.g, world.p, lifetime, rng, world.now)
	world.feeds = append(world.feeds, cached)
	if err := t.play(ctx, world); err != nil {
		return err
	}
	fmt.Fprintf(w, "timelines are kept, or made when they are read and kept for %v at most\n", lifetime)
	fmt.Fprintf(w, "%-16s%10s%10s%12s%12s%14s\n", "", "writes", "spared", "made again", "lists", "total work")
	for _, f := range []*feed{kept, cached} {
		fmt.Fprintf(w, "%-16s%10d%10d%12d%12d%14d\n", f, f.written, f.spared, f.rebuilt, f.lists, f.total())
	}
	if err := checkSpared(kept, cached); err != nil {
		return err
	}
	fmt.Fprintf(w, "law holds: %d pages were the same in both; each copy was written or spared\n\n", world.checked)

	// Nothing is in the cache, and all users come at once.
	fixed := morning{users: min(len(t.names), 4000)}
	random := morning{users: fixed.users, random: true}
	fixed.run(t.seed, 48)
	random.run(t.seed, 48)
	top := slices.Max(fixed.loads)
	fmt.Fprintf(w, "a morning: %d users, an empty cache, times to live of %v\n", fixed.users, morningTTL)
	fmt.Fprintf(w, "fixed     │%s│ then up to %.0f\n", spark(fixed.loads, top), fixed.peak())
	fmt.Fprintf(w, "random    │%s│ then up to %.0f\n", spark(random.loads, top), random.peak())
	fmt.Fprint(w, "           timelines made; a column is 5 s; random is up to a half shorter\n")
	for _, m := range []*morning{&fixed, &random} {
		if err := m.check(); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "law holds: in %d readings no timeline was older than %v\n", fixed.readings+random.readings, morningTTL)
	return err
}
