// SPDX-License-Identifier: MIT

package lru_test

import (
	"bytes"
	"context"
	"errors"
	"expvar"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/ashlar-go/ashlar/lru"
)

func Example() {
	users := lru.New(1000, &lru.Options[string, string]{TTL: time.Hour})
	users.Set("u42", "Ada")
	fmt.Println(users.Get("u42"))
	// Output: Ada true
}

// Cache-aside: ask the cache, then the database, and remember the answer.
func ExampleNew() {
	database := map[string]string{"u42": "Ada"}
	queries := 0
	users := lru.New(1000, &lru.Options[string, string]{TTL: 10 * time.Minute, Jitter: 0.1})
	user := func(id string) string {
		if u, ok := users.Get(id); ok {
			return u
		}
		queries++
		u := database[id]
		users.Set(id, u)
		return u
	}
	fmt.Println(user("u42"), user("u42"), queries)
	// Output: Ada Ada 1
}

func ExampleCache() {
	// An entry that is set together with a million others lives as long as it
	// says, and a little less, so that they do not all go in one instant.
	c := lru.New(10_000, &lru.Options[string, int]{TTL: time.Hour, Jitter: 0.1, Idle: 20 * time.Minute})
	c.Set("a", 1)
	fmt.Println(c.Get("a"))
	fmt.Println(c.Get("b"))
	// Output:
	// 1 true
	// 0 false
}

// A capacity in bytes.
func ExampleOptions() {
	pages := lru.New(10, &lru.Options[string, []byte]{
		Shards: 1,
		Policy: lru.PolicyLRU,
		Cost:   func(_ string, page []byte) int { return len(page) },
		OnRemove: func(name string, _ []byte, cause lru.Cause) {
			fmt.Println(name, cause)
		},
	})
	pages.Set("/", make([]byte, 4))
	pages.Set("/a", make([]byte, 4))
	pages.Set("/b", make([]byte, 5))
	pages.Set("/huge", make([]byte, 11))
	fmt.Println(pages.Cost(), pages.Cap())
	// Output:
	// / Evicted
	// /huge Rejected
	// 9 10
}

func ExampleOptions_Validate() {
	o := lru.Options[string, int]{TTL: time.Hour, Jitter: 2}
	fmt.Println(o.Validate())
	// Output: lru: Options.Jitter must be at least 0 and less than 1, got 2
}

// Tokens that say themselves when they end.
func ExampleOptions_tTLOf() {
	type token struct {
		user    string
		expires time.Time
	}
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	tokens := lru.New(1000, &lru.Options[string, token]{
		Now:   func() time.Time { return now },
		TTLOf: func(_ string, t token) time.Duration { return t.expires.Sub(now) },
	})
	tokens.Set("x", token{"ada", now.Add(time.Minute)})
	fmt.Println(tokens.Has("x"), tokens.Set("y", token{"bob", now.Add(-time.Minute)}))
	now = now.Add(time.Minute)
	fmt.Println(tokens.Has("x"))
	// Output:
	// true false
	// false
}

// Versioned keys: a new version is a new key, and nobody asks for the old one
// again.
func ExampleCache_Get() {
	type key struct{ ID, Version int }
	users := lru.New[key, string](1000, nil)
	users.Set(key{1234, 3}, "Ada")
	fmt.Println(users.Get(key{1234, 3}))
	fmt.Println(users.Get(key{1234, 4}))
	// Output:
	// Ada true
	//  false
}

// Peek and Contains do not count as uses.
func ExampleCache_Peek() {
	c := lru.New(2, &lru.Options[string, int]{Policy: lru.PolicyLRU})
	c.Set("a", 1)
	c.Set("b", 2)
	v, _ := c.Peek("a")
	c.Set("c", 3)
	fmt.Println(v, c.Has("a"))
	// Output: 1 false
}

func ExampleCache_Has() {
	c := lru.New[string, int](2, nil)
	c.Set("a", 1)
	fmt.Println(c.Has("a"), c.Has("b"))
	// Output: true false
}

func ExampleCache_Set() {
	c := lru.New(100, &lru.Options[string, string]{Cost: func(_, v string) int { return len(v) }})
	fmt.Println(c.Set("a", "small"))
	fmt.Println(c.Set("a", strings.Repeat("large", 21)), c.Has("a"))
	// Output:
	// true
	// false false
}

func ExampleCache_SetTTL() {
	now := time.Unix(0, 0)
	c := lru.New(100, &lru.Options[string, int]{TTL: time.Hour, Now: func() time.Time { return now }})
	c.Set("hour", 1)
	c.SetTTL("minute", 2, time.Minute)
	c.SetTTL("always", 3, lru.Forever)
	now = now.Add(time.Minute)
	fmt.Println(c.Has("hour"), c.Has("minute"), c.Has("always"))
	// Output: true false true
}

func ExampleCache_SetAttr() {
	c := lru.New[string, string](2, nil)
	c.SetAttr("config", "...", lru.Attr{Pinned: true})
	c.SetAttr("thumbnail", "...", lru.Attr{Priority: -1, Tags: []string{"album 7"}})
	c.Set("page", "...")
	fmt.Println(c.Has("config"), c.Has("thumbnail"), c.Has("page"))
	// Output: true false true
}

func ExampleCache_GetOrSet() {
	c := lru.New[string, int](100, nil)
	fmt.Println(c.GetOrSet("a", 1))
	fmt.Println(c.GetOrSet("a", 2))
	// Output:
	// 1 false
	// 1 true
}

func ExampleCache_Swap() {
	c := lru.New[string, int](100, nil)
	c.Set("a", 1)
	fmt.Println(c.Swap("a", 2))
	fmt.Println(c.Get("a"))
	// Output:
	// 1 true
	// 2 true
}

func ExampleCache_Update() {
	hits := lru.New[string, int](100, nil)
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			hits.Update("/", func(n int, _ bool) (int, bool) { return n + 1, true })
		})
	}
	wg.Wait()
	fmt.Println(hits.Get("/"))
	// Output: 100 true
}

func ExampleCache_Delete() {
	c := lru.New[string, int](100, nil)
	c.Set("a", 1)
	fmt.Println(c.Delete("a"), c.Delete("a"))
	// Output: true false
}

func ExampleCache_Take() {
	c := lru.New[string, int](100, nil)
	c.Set("a", 1)
	fmt.Println(c.Take("a"))
	fmt.Println(c.Take("a"))
	// Output:
	// 1 true
	// 0 false
}

func ExampleCache_DeleteFunc() {
	c := lru.New[string, int](100, nil)
	c.Set("user:1", 1)
	c.Set("user:2", 2)
	c.Set("page:1", 3)
	n := c.DeleteFunc(func(key string, _ int) bool { return strings.HasPrefix(key, "user:") })
	fmt.Println(n, c.Len())
	// Output: 2 1
}

func ExampleCache_DeleteTag() {
	type user struct{ name, org string }
	users := lru.New(100, &lru.Options[int, user]{
		Tags: func(_ int, u user) []string { return []string{"org:" + u.org} },
	})
	users.Set(1, user{"Ada", "acme"})
	users.Set(2, user{"Bob", "acme"})
	users.Set(3, user{"Eve", "other"})
	fmt.Println(users.DeleteTag("org:acme"), users.Len())
	// Output: 2 1
}

func ExampleCache_Clear() {
	c := lru.New[string, int](100, nil)
	c.Set("a", 1)
	c.Clear()
	fmt.Println(c.Len())
	// Output: 0
}

func ExampleCache_Touch() {
	now := time.Unix(0, 0)
	sessions := lru.New(100, &lru.Options[string, string]{TTL: time.Hour, Now: func() time.Time { return now }})
	sessions.Set("s1", "Ada")
	now = now.Add(50 * time.Minute)
	fmt.Println(sessions.Touch("s1", time.Hour))
	now = now.Add(50 * time.Minute)
	fmt.Println(sessions.Get("s1"))
	// Output:
	// true
	// Ada true
}

func ExampleCache_Pin() {
	c := lru.New[int, int](2, nil)
	c.Set(0, 0)
	c.Pin(0)
	for i := 1; i < 100; i++ {
		c.Set(i, i)
	}
	fmt.Println(c.Has(0))
	// Output: true
}

func ExampleCache_Unpin() {
	c := lru.New[int, int](1, nil)
	c.SetAttr(0, 0, lru.Attr{Pinned: true})
	fmt.Println(c.Set(1, 1))
	c.Unpin(0)
	fmt.Println(c.Set(1, 1), c.Has(0))
	// Output:
	// false
	// true false
}

func ExampleCache_Len() {
	c := lru.New[int, int](3, nil)
	for i := range 10 {
		c.Set(i, i)
	}
	fmt.Println(c.Len())
	// Output: 3
}

func ExampleCache_Cost() {
	c := lru.New(100, &lru.Options[string, string]{Cost: func(k, v string) int { return len(k) + len(v) }})
	c.Set("a", "bcd")
	fmt.Println(c.Cost())
	// Output: 4
}

func ExampleCache_Cap() {
	fmt.Println(lru.New[int, int](3, nil).Cap())
	// Output: 3
}

func ExampleCache_Resize() {
	c := lru.New[int, int](10, nil)
	for i := range 10 {
		c.Set(i, i)
	}
	fmt.Println(c.Resize(4), c.Len(), c.Cap())
	// Output: 6 4 4
}

func ExampleCache_All() {
	c := lru.New[string, int](10, nil)
	c.Set("a", 1)
	c.Set("b", 2)
	sum := 0
	for k, v := range c.All() {
		sum += v
		c.Delete(k) // allowed
	}
	fmt.Println(sum, c.Len())
	// Output: 3 0
}

func ExampleCache_Keys() {
	c := lru.New[string, int](10, nil)
	c.Set("a", 1)
	for k := range c.Keys() {
		fmt.Println(k)
	}
	// Output: a
}

func ExampleCache_Values() {
	c := lru.New[string, int](10, nil)
	c.Set("a", 1)
	for v := range c.Values() {
		fmt.Println(v)
	}
	// Output: 1
}

func ExampleCache_Hottest() {
	c := lru.New(10, &lru.Options[string, int]{Policy: lru.PolicyLFU})
	c.Set("warm", 1)
	c.Set("hot", 2)
	c.Set("cold", 3)
	for range 10 {
		c.Get("hot")
	}
	c.Get("warm")
	for k := range c.Hottest() {
		fmt.Println(k)
	}
	// Output:
	// hot
	// warm
	// cold
}

func ExampleCache_Stats() {
	c := lru.New[string, int](10, nil)
	c.Set("a", 1)
	c.Get("a")
	c.Get("a")
	c.Get("a")
	c.Get("b")
	s := c.Stats()
	fmt.Println(s.Hits, s.Misses, s.HitRatio(), s.Len)
	// Output: 3 1 0.75 1
}

// The time that is left can be read, and given on.
func ExampleCache_PeekEntry() {
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	c := lru.New(10, &lru.Options[string, int]{
		TTL: time.Hour, TrackAge: true, Now: func() time.Time { return now },
	})
	c.Set("a", 1)
	now = now.Add(20 * time.Minute)
	e, _ := c.PeekEntry("a")
	fmt.Println(e.Value, e.Age, e.Left)
	// Output: 1 20m0s 40m0s
}

func ExampleCache_AttrOf() {
	c := lru.New[string, int](10, nil)
	c.SetAttr("a", 1, lru.Attr{Cost: 3, Tags: []string{"t"}, Priority: 1})
	a, ok := c.AttrOf("a")
	fmt.Println(a.TTL == lru.Forever, a.Cost, a.Tags, a.Priority, a.Pinned, ok)
	// Output: true 3 [t] 1 false true
}

func ExampleCache_PeekOrSet() {
	c := lru.New[string, int](10, nil)
	fmt.Println(c.PeekOrSet("a", 1))
	fmt.Println(c.PeekOrSet("a", 2))
	// Output:
	// 1 false
	// 1 true
}

// For expvar: everything, as JSON, at /debug/vars.
func ExampleStats_expvar() {
	c := lru.New[string, int](10, nil)
	c.Set("a", 1)
	c.Get("a")
	expvar.Publish("users", expvar.Func(func() any { return c.Stats() }))
	fmt.Println(expvar.Get("users").String()[:22])
	// Output: {"Hits":1,"Misses":0,"
}

// For log/slog: what happened since the last line.
func ExampleStats_slog() {
	c := lru.New[string, int](10, nil)
	log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
	last := c.Stats()
	c.Set("a", 1)
	c.Get("a")
	c.Get("b")
	now := c.Stats()
	d := now.Sub(last)
	log.Info("cache", "ratio", d.HitRatio(), "evicted", d.Evicted, "len", d.Len, "policy", lru.PolicyTinyLFU)
	// Output: level=INFO msg=cache ratio=0.5 evicted=0 len=1 policy=TinyLFU
}

// For Prometheus, in its text format.
func ExampleStats_prometheus() {
	c := lru.New[string, int](10, nil)
	c.Set("a", 1)
	c.Get("a")
	s := c.Stats()
	fmt.Println("# TYPE cache_hits_total counter")
	fmt.Println("cache_hits_total", s.Hits)
	fmt.Println("cache_misses_total", s.Misses)
	fmt.Println("cache_entries", s.Len)
	// Output:
	// # TYPE cache_hits_total counter
	// cache_hits_total 1
	// cache_misses_total 0
	// cache_entries 1
}

// A store that is down for good: GiveUp brings Close to its end, and tells what
// is lost.
func ExampleBehind_GiveUp() {
	c := lru.New[string, int](10, nil)
	b := lru.NewBehind(c, &table{rows: map[string]int{}}, &lru.BehindOptions[string, int]{
		Apply: func(context.Context, []lru.Pair[string, int], []string) error { return errors.New("down") },
	})
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	_ = b.Set(context.Background(), "a", 1)
	err := b.Close(ctx)
	fmt.Println(errors.Is(err, context.DeadlineExceeded))

	keys := b.GiveUp()
	for len(keys) == 0 { // it was just being tried
		keys = b.GiveUp()
	}
	fmt.Println(keys, b.Close(context.Background()))
	// Output:
	// true
	// [a] <nil>
}

func ExampleStats_Sub() {
	c := lru.New[string, int](10, nil)
	c.Get("a")
	before := c.Stats()
	c.Get("a")
	c.Get("a")
	fmt.Println(c.Stats().Sub(before).Misses)
	// Output: 2
}

func ExampleStats_HitRatio() {
	fmt.Println(lru.Stats{Hits: 9, Misses: 1}.HitRatio())
	// Output: 0.9
}

func ExampleStats_MeanEvictedAge() {
	now := time.Unix(0, 0)
	c := lru.New(1, &lru.Options[int, int]{TrackAge: true, Now: func() time.Time { return now }})
	c.Set(1, 1)
	now = now.Add(time.Minute)
	c.Set(2, 2)
	fmt.Println(c.Stats().MeanEvictedAge())
	// Output: 1m0s
}

// A snapshot warms up the next process. To a file, write another one next to
// it, and rename.
func ExampleCache_WriteTo() {
	old := lru.New[string, int](1000, nil)
	old.Set("a", 1)
	old.SetTTL("b", 2, time.Hour)
	var file bytes.Buffer
	if _, err := old.WriteTo(&file); err != nil {
		fmt.Println(err)
	}
	warm := lru.New[string, int](1000, nil)
	if _, err := warm.ReadFrom(&file); err != nil {
		fmt.Println(err)
	}
	fmt.Println(warm.Len())
	// Output: 2
}

func ExampleCache_ReadFrom() {
	c := lru.New[string, int](1000, nil)
	_, err := c.ReadFrom(strings.NewReader("not a snapshot, but long enough"))
	fmt.Println(err)
	// Output: lru: corrupt snapshot: it does not begin with "ashlarlr"
}

func ExamplePolicy_String() {
	fmt.Println(lru.PolicyTinyLFU, lru.PolicyLRU)
	// Output: TinyLFU LRU
}

func ExampleCause_String() {
	fmt.Println(lru.Evicted, lru.Expired)
	// Output: Evicted Expired
}

func ExampleExact() {
	c := lru.NewLRU[string, int](2)
	c.Set("a", 1)
	c.Set("b", 2)
	c.Get("a")
	out, evicted := c.Set("c", 3)
	fmt.Println(out, evicted)
	for k, v := range c.All() {
		fmt.Println(k, v)
	}
	// Output:
	// {b 2} true
	// c 3
	// a 1
}

// Capacity 3, and four keys in turn: there is never a hit.
func ExampleNewLRU() {
	c := lru.NewLRU[int, int](3)
	hits := 0
	for i := range 1000 {
		key := 1 + i%4
		if _, ok := c.Get(key); ok {
			hits++
		}
		c.Set(key, i)
	}
	fmt.Println(hits)
	// Output: 0
}

func ExampleExact_Resize() {
	c := lru.NewLRU[string, int](3)
	c.Set("a", 1)
	c.Set("b", 2)
	c.Set("c", 3)
	for _, p := range c.Resize(1) {
		fmt.Println("closing", p.Key)
	}
	// Output:
	// closing a
	// closing b
}

// Everything that is older than some limit goes: from the oldest, while it is
// too old.
func ExampleExact_Backward() {
	c := lru.NewLRU[string, int](10)
	c.Set("a", 1)
	c.Set("b", 2)
	c.Set("c", 3)
	for k, v := range c.Backward() {
		if v > 2 {
			break
		}
		c.Delete(k)
	}
	fmt.Println(c.Len())
	// Output: 1
}

func ExampleExact_Oldest() {
	var c lru.Exact[string, int] // unbounded
	c.Set("a", 1)
	c.Set("b", 2)
	fmt.Println(c.Oldest())
	fmt.Println(c.RemoveOldest())
	fmt.Println(c.Oldest())
	// Output:
	// a 1 true
	// a 1 true
	// b 2 true
}

func ExampleNewLFU() {
	c := lru.NewLFU[string, int](2)
	c.Set("a", 1)
	c.Get("a")
	c.Set("b", 2)
	out, _ := c.Set("c", 3)
	fmt.Println(out.Key, c.Count("a"), c.Count("c"))
	// Output: b 2 1
}

func ExampleNewFIFO() {
	c := lru.NewFIFO[string, int](2)
	c.Set("a", 1)
	c.Set("b", 2)
	c.Get("a") // makes no difference
	out, _ := c.Set("c", 3)
	fmt.Println(out.Key)
	// Output: a
}

// Read-through: the cache asks the database, once for all who need a key at the
// same time.
func ExampleCache_Load() {
	queries := 0
	users := lru.New(1000, &lru.Options[string, string]{
		TTL: 10 * time.Minute,
		Load: func(_ context.Context, id string) (string, error) {
			queries++
			return "user " + id, nil
		},
	})
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() { _, _ = users.Load(context.Background(), "u42") })
	}
	wg.Wait()
	u, err := users.Load(context.Background(), "u42")
	fmt.Println(u, err, queries)
	// Output: user u42 <nil> 1
}

// Stale-if-error: an old answer, marked as such, is better than none.
func ExampleCache_LoadEntry() {
	now := time.Unix(0, 0)
	var down error
	pages := lru.New(1000, &lru.Options[string, string]{
		TTL: time.Minute, StaleIfError: time.Hour, Now: func() time.Time { return now },
		Load: func(context.Context, string) (string, error) { return "hello", down },
	})
	get := func() {
		e, err := pages.LoadEntry(context.Background(), "/")
		fmt.Printf("%q age %v, left %v, %v, %v\n", e.Value, e.Age, e.Left, e.Err, err)
	}
	get()
	now = now.Add(20 * time.Second)
	get()
	now, down = now.Add(10*time.Minute), errors.New("backend is down")
	get()
	now = now.Add(time.Hour)
	get()
	// Output:
	// "hello" age 0s, left 1m0s, <nil>, <nil>
	// "hello" age 20s, left 40s, <nil>, <nil>
	// "hello" age 10m20s, left 0s, backend is down, <nil>
	// "" age 0s, left 0s, <nil>, backend is down
}

// A loader that knows more than the key.
func ExampleCache_LoadFunc() {
	sums := lru.New[string, int](100, nil)
	numbers := []int{1, 2, 3}
	sum, err := sums.LoadFunc(context.Background(), "sum", func(context.Context, string) (int, error) {
		n := 0
		for _, x := range numbers {
			n += x
		}
		return n, nil
	})
	fmt.Println(sum, err)
	fmt.Println(sums.Get("sum"))
	// Output:
	// 6 <nil>
	// 6 true
}

// Population: one query warms the cache.
func ExampleCache_LoadAll() {
	names := map[int]string{1: "Ada", 2: "Grace", 3: "Edsger"}
	queries := 0
	users := lru.New(1000, &lru.Options[int, string]{
		LoadMany: func(_ context.Context, ids []int) (map[int]string, error) {
			queries++
			got := map[int]string{}
			for _, id := range ids {
				if name, ok := names[id]; ok {
					got[id] = name
				}
			}
			return got, nil
		},
	})
	fmt.Println(users.LoadAll(context.Background(), []int{1, 2, 9}))
	fmt.Println(users.LoadAll(context.Background(), []int{1, 2, 3}))
	fmt.Println(queries, users.Len())
	// Output:
	// map[1:Ada 2:Grace] <nil>
	// map[1:Ada 2:Grace 3:Edsger] <nil>
	// 2 3
}

// An event says that a value has changed: load it again, and do not wait for
// its TTL.
func ExampleCache_Refresh() {
	price := 10
	prices := lru.New(100, &lru.Options[string, int]{
		Load: func(context.Context, string) (int, error) { return price, nil },
	})
	_, _ = prices.Load(context.Background(), "tea")
	price = 12
	fmt.Println(prices.Get("tea"))
	fmt.Println(prices.Refresh(context.Background(), "tea"))
	fmt.Println(prices.Get("tea"))
	// Output:
	// 10 true
	// 12 <nil>
	// 12 true
}

// Refresh-ahead, or stale-while-revalidate: nobody waits for what is asked for
// often enough.
func ExampleOptions_refreshAfter() {
	now := time.Unix(0, 0)
	version := 1
	c := lru.New(1000, &lru.Options[string, int]{
		TTL: time.Minute, RefreshAfter: 45 * time.Second, Now: func() time.Time { return now },
		Load: func(context.Context, string) (int, error) { return version, nil },
	})
	fmt.Println(c.Load(context.Background(), "a"))
	now, version = now.Add(50*time.Second), 2
	fmt.Println(c.Load(context.Background(), "a")) // at once, and loads in the background
	for c.Stats().Loading > 0 {
		runtime.Gosched()
	}
	fmt.Println(c.Load(context.Background(), "a"))
	// Output:
	// 1 <nil>
	// 1 <nil>
	// 2 <nil>
}

// Negative caching: what does not exist is not asked for again and again.
func ExampleOptions_errorTTL() {
	queries := 0
	c := lru.New(1000, &lru.Options[string, int]{
		Load: func(_ context.Context, id string) (int, error) {
			queries++
			return 0, fmt.Errorf("user %s: %w", id, lru.ErrNotFound)
		},
		ErrorTTL: func(_ string, err error) time.Duration {
			if errors.Is(err, lru.ErrNotFound) {
				return time.Minute
			}
			return 0
		},
	})
	for range 3 {
		_, err := c.Load(context.Background(), "u0")
		fmt.Println(err, queries)
	}
	// Output:
	// user u0: lru: not found 1
	// user u0: lru: not found 1
	// user u0: lru: not found 1
}

func ExampleStats_MeanLoadTime() {
	fmt.Println(lru.Stats{Loads: 4, LoadTime: time.Second}.MeanLoadTime())
	// Output: 250ms
}

// Versioned keys: whoever reads version 4 never sees what was cached for
// version 3, which ages out.
func ExampleCache_versioned() {
	type versioned struct{ ID, Version int }
	users := lru.New[versioned, string](1000, nil)
	users.Set(versioned{1234, 3}, "Ada Byron")
	fmt.Println(users.Get(versioned{1234, 3}))
	fmt.Println(users.Get(versioned{1234, 4}))
	// Output:
	// Ada Byron true
	//  false
}

func ExamplePanicError() {
	c := lru.New(10, &lru.Options[string, int]{
		Load: func(context.Context, string) (int, error) { panic(errors.New("a bug")) },
	})
	defer func() {
		err, _ := recover().(*lru.PanicError)
		fmt.Println(err.Value, errors.Unwrap(err))
	}()
	_, _ = c.Load(context.Background(), "a")
	// Output: a bug a bug
}

func ExamplePanicError_Error() {
	err := &lru.PanicError{Value: "a bug", Stack: []byte("goroutine 1")}
	fmt.Println(err)
	// Output:
	// lru: user code panicked: a bug
	//
	// goroutine 1
}

func ExamplePanicError_Unwrap() {
	err := &lru.PanicError{Value: lru.ErrNotFound}
	fmt.Println(errors.Is(err, lru.ErrNotFound))
	// Output: true
}

// A table is a store in memory.
type table struct {
	mu   sync.Mutex
	rows map[string]int
}

func (t *table) Load(_ context.Context, key string) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	v, ok := t.rows[key]
	if !ok {
		return 0, lru.ErrNotFound
	}
	return v, nil
}

func (t *table) Set(_ context.Context, key string, value int) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows[key] = value
	return nil
}

func (t *table) Delete(_ context.Context, key string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.rows, key)
	return nil
}

func ExampleStore() {
	var db lru.Store[string, int] = &table{rows: map[string]int{"a": 1}}
	_, err := db.Load(context.Background(), "b")
	fmt.Println(err)
	// Output: lru: not found
}

// Write-through: the store first, then the cache.
func ExampleNewThrough() {
	db := &table{rows: map[string]int{}}
	c := lru.New[string, int](100, nil)
	w := lru.NewThrough(c, db)
	err := w.Set(context.Background(), "a", 1)
	fmt.Println(err, db.rows["a"])
	fmt.Println(c.Get("a"))
	// Output:
	// <nil> 1
	// 1 true
}

func ExampleThrough_Set() {
	db := &table{rows: map[string]int{"a": 1}}
	w := lru.NewThrough(lru.New[string, int](100, nil), db)
	_ = w.Set(context.Background(), "a", 2)
	fmt.Println(w.Load(context.Background(), "a"))
	// Output: 2 <nil>
}

func ExampleThrough_Load() {
	db := &table{rows: map[string]int{"a": 1}}
	w := lru.NewThrough(lru.New[string, int](100, nil), db)
	fmt.Println(w.Load(context.Background(), "a"))
	// Output: 1 <nil>
}

// Write-around: what is written and not read does not take room in the cache.
func ExampleThrough_Around() {
	db := &table{rows: map[string]int{}}
	c := lru.New[string, int](100, nil)
	w := lru.NewThrough(c, db)
	_ = w.Around(context.Background(), "a", 1)
	fmt.Println(c.Has("a"))
	fmt.Println(w.Load(context.Background(), "a"))
	// Output:
	// false
	// 1 <nil>
}

func ExampleThrough_Delete() {
	db := &table{rows: map[string]int{"a": 1}}
	w := lru.NewThrough(lru.New[string, int](100, nil), db)
	err := w.Delete(context.Background(), "a")
	fmt.Println(err, len(db.rows))
	// Output: <nil> 0
}

// Write-behind: a counter that is written a thousand times is saved every 5
// seconds, and at the end.
func ExampleNewBehind() {
	db := &table{rows: map[string]int{}}
	w := lru.NewBehind(lru.New[string, int](100, nil), db, &lru.BehindOptions[string, int]{Interval: 5 * time.Second})
	for i := 1; i <= 1000; i++ {
		_ = w.Set(context.Background(), "views", i)
	}
	fmt.Println(w.Load(context.Background(), "views"))
	err := w.Close(context.Background())
	fmt.Println(err, db.rows["views"])
	// Output:
	// 1000 <nil>
	// <nil> 1000
}

// Writes that a store can take together.
func ExampleBehindOptions() {
	w := lru.NewBehind(lru.New[int, string](100, nil), nil, &lru.BehindOptions[int, string]{
		Interval: time.Minute,
		Apply: func(_ context.Context, sets []lru.Pair[int, string], removes []int) error {
			fmt.Println(sets, removes)
			return nil
		},
	})
	_ = w.Set(context.Background(), 1, "a")
	_ = w.Set(context.Background(), 2, "b")
	_ = w.Set(context.Background(), 1, "c")
	_ = w.Delete(context.Background(), 3)
	fmt.Println(w.Close(context.Background()))
	// Output:
	// [{1 c} {2 b}] [3]
	// <nil>
}

func ExampleBehindOptions_Validate() {
	fmt.Println((&lru.BehindOptions[int, int]{Batch: -1}).Validate())
	// Output: lru: BehindOptions.Batch must not be negative, got -1
}

func ExampleBehind_Set() {
	db := &table{rows: map[string]int{}}
	c := lru.New[string, int](1, nil)
	w := lru.NewBehind(c, db, &lru.BehindOptions[string, int]{Interval: -1})
	_ = w.Set(context.Background(), "a", 1)
	_ = w.Set(context.Background(), "b", 2)
	fmt.Println(c.Has("a"), len(db.rows))
	fmt.Println(w.Load(context.Background(), "a")) // neither evicted nor forgotten
	// Output:
	// false 0
	// 1 <nil>
}

func ExampleBehind_Load() {
	db := &table{rows: map[string]int{"a": 1}}
	w := lru.NewBehind(lru.New[string, int](100, nil), db, nil)
	fmt.Println(w.Load(context.Background(), "a"))
	// Output: 1 <nil>
}

func ExampleBehind_Delete() {
	db := &table{rows: map[string]int{"a": 1}}
	w := lru.NewBehind(lru.New[string, int](100, nil), db, &lru.BehindOptions[string, int]{Interval: -1})
	_ = w.Delete(context.Background(), "a")
	_, err := w.Load(context.Background(), "a")
	fmt.Println(err, len(db.rows))
	// Output: lru: not found 1
}

func ExampleBehind_Flush() {
	db := &table{rows: map[string]int{}}
	w := lru.NewBehind(lru.New[string, int](100, nil), db, nil)
	_ = w.Set(context.Background(), "a", 1)
	fmt.Println(len(db.rows))
	err := w.Flush(context.Background())
	fmt.Println(err, len(db.rows))
	// Output:
	// 0
	// <nil> 1
}

func ExampleBehind_Pending() {
	w := lru.NewBehind(lru.New[string, int](100, nil), &table{}, &lru.BehindOptions[string, int]{Interval: -1})
	_ = w.Set(context.Background(), "a", 1)
	_ = w.Set(context.Background(), "a", 2)
	fmt.Println(w.Pending())
	// Output: 1
}

func ExampleBehind_Close() {
	db := &table{rows: map[string]int{}}
	w := lru.NewBehind(lru.New[string, int](100, nil), db, nil)
	_ = w.Set(context.Background(), "a", 1)
	err := w.Close(context.Background())
	fmt.Println(err, db.rows["a"])
	fmt.Println(w.Set(context.Background(), "a", 2))
	// Output:
	// <nil> 1
	// lru: closed
}
