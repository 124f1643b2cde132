// SPDX-License-Identifier: MIT

package lru_test

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/ashlar-go/ashlar/lru"
)

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
	// An entry that is set together with a million others lives as long as it says, and a
	// little less, so that they do not all go in one instant.
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
		Cost:   func(_ string, page []byte) int64 { return int64(len(page)) },
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
func ExampleOptions_expire() {
	type token struct {
		user    string
		expires time.Time
	}
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	tokens := lru.New(1000, &lru.Options[string, token]{
		Now:    func() time.Time { return now },
		Expire: func(_ string, t token) time.Duration { return t.expires.Sub(now) },
	})
	tokens.Set("x", token{"ada", now.Add(time.Minute)})
	fmt.Println(tokens.Contains("x"), tokens.Set("y", token{"bob", now.Add(-time.Minute)}))
	now = now.Add(time.Minute)
	fmt.Println(tokens.Contains("x"))
	// Output:
	// true false
	// false
}

// Versioned keys: a new version is a new key, and nobody asks for the old one again.
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
	fmt.Println(v, c.Contains("a"))
	// Output: 1 false
}

func ExampleCache_Contains() {
	c := lru.New[string, int](2, nil)
	c.Set("a", 1)
	fmt.Println(c.Contains("a"), c.Contains("b"))
	// Output: true false
}

func ExampleCache_Set() {
	c := lru.New(100, &lru.Options[string, string]{Cost: func(_, v string) int64 { return int64(len(v)) }})
	fmt.Println(c.Set("a", "small"))
	fmt.Println(c.Set("a", strings.Repeat("large", 21)), c.Contains("a"))
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
	fmt.Println(c.Contains("hour"), c.Contains("minute"), c.Contains("always"))
	// Output: true false true
}

func ExampleCache_SetAttr() {
	c := lru.New[string, string](2, nil)
	c.SetAttr("config", "...", lru.Attr{Pinned: true})
	c.SetAttr("thumbnail", "...", lru.Attr{Priority: -1, Tags: []string{"album 7"}})
	c.Set("page", "...")
	fmt.Println(c.Contains("config"), c.Contains("thumbnail"), c.Contains("page"))
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
	fmt.Println(c.Contains(0))
	// Output: true
}

func ExampleCache_Unpin() {
	c := lru.New[int, int](1, nil)
	c.SetAttr(0, 0, lru.Attr{Pinned: true})
	fmt.Println(c.Set(1, 1))
	c.Unpin(0)
	fmt.Println(c.Set(1, 1), c.Contains(0))
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
	c := lru.New(100, &lru.Options[string, string]{Cost: func(k, v string) int64 { return int64(len(k) + len(v)) }})
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

// A snapshot warms up the next process. To a file, write another one next to it, and rename.
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

func ExampleLRU() {
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

func ExampleLRU_Resize() {
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

// Everything that is older than some limit goes: from the oldest, while it is too old.
func ExampleLRU_Backward() {
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

func ExampleLRU_Oldest() {
	var c lru.LRU[string, int] // unbounded
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

func ExampleLFU() {
	c := lru.NewLFU[string, int](2)
	c.Set("a", 1)
	c.Get("a")
	c.Set("b", 2)
	out, _ := c.Set("c", 3)
	fmt.Println(out.Key, c.Count("a"), c.Count("c"))
	// Output: b 2 1
}

func ExampleFIFO() {
	c := lru.NewFIFO[string, int](2)
	c.Set("a", 1)
	c.Set("b", 2)
	c.Get("a") // makes no difference
	out, _ := c.Set("c", 3)
	fmt.Println(out.Key)
	// Output: a
}
