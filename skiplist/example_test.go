// SPDX-License-Identifier: MIT

package skiplist_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ashlar-go/ashlar/skiplist"
)

// A leaderboard: the top three, and the rank of one player.
func Example() {
	scores := skiplist.NewSortedSet[string, int]()
	scores.Set("Alice", 100)
	scores.Set("Charlie", 150)
	scores.Set("Bob", 200)

	for name, score := range scores.Backward() {
		fmt.Println(name, score)
	}
	fmt.Println("Alice has rank", scores.Index("Alice"))
	// Output:
	// Bob 200
	// Charlie 150
	// Alice 100
	// Alice has rank 0
}

// Places of a competition: players with the same score share a place, and the
// next one is left out.
func ExampleSortedSet() {
	scores := skiplist.NewSortedSet[string, int]()
	scores.Set("Alice", 100)
	scores.Set("Bob", 200)
	scores.Set("Charlie", 150)
	scores.Set("Dora", 150)
	scores.Set("Emil", 90)

	skiplist.Incr(scores, "Emil", 20)
	for name, score := range scores.Backward() {
		place := 1 + scores.Above(score).Len()
		fmt.Println(place, name, score)
	}
	// Output:
	// 1 Bob 200
	// 2 Dora 150
	// 2 Charlie 150
	// 4 Emil 110
	// 5 Alice 100
}

// The first to reach a score ranks before those who reach it later: a score is
// a struct of points and a time.
func ExampleNewSortedSetFunc() {
	type score struct{ points, at int }
	better := func(a, b score) int {
		return cmp.Or(cmp.Compare(b.points, a.points), cmp.Compare(a.at, b.at))
	}
	s := skiplist.NewSortedSetFunc(better, strings.Compare)
	s.Set("Alice", score{100, 12})
	s.Set("Bob", score{100, 9})
	s.Set("Charlie", score{150, 30})
	for name, x := range s.All() {
		fmt.Println(name, x.points)
	}
	// Output:
	// Charlie 150
	// Bob 100
	// Alice 100
}

// ZADD with GT: a score only rises.
func ExampleSortedSet_Compute() {
	best := skiplist.NewSortedSet[string, int]()
	for _, score := range []int{70, 90, 80} {
		best.Compute("Alice", func(old int, ok bool) (int, bool) {
			if ok && old > score {
				return old, true
			}
			return score, true
		})
	}
	fmt.Println(best)
	// Output: map[Alice:90]
}

// A delay queue: jobs come out when they are due, and may be put off.
func ExampleSortedSet_PopMin() {
	start := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	at := func(minute int) int64 { return start.Add(time.Duration(minute) * time.Minute).Unix() }
	due := skiplist.NewSortedSet[string, int64]()
	due.Set("mail", at(5))
	due.Set("report", at(1))
	due.Set("backup", at(3))
	due.Set("report", at(4)) // put off

	for now := range 6 {
		for {
			if _, t, ok := due.Min(); !ok || t > at(now) {
				break
			}
			job, _, _ := due.PopMin()
			fmt.Println("12:0"+fmt.Sprint(now), job)
		}
	}
	// Output:
	// 12:03 backup
	// 12:04 report
	// 12:05 mail
}

// Pages of a ranking: ranks from 20 on, three to a page here.
func ExampleSortedSet_Slice() {
	s := skiplist.NewSortedSet[string, int]()
	for i := range 30 {
		s.Set(fmt.Sprintf("player%02d", i), i)
	}
	fmt.Println(s.Slice(20, 23))
	fmt.Println(s.From(10).Slice(5, 7)) // LIMIT 5 2
	// Output:
	// map[player20:20 player21:21 player22:22]
	// map[player15:15 player16:16]
}

// A map is sorted by its keys, and knows the neighbors of any key.
func ExampleMap() {
	m := skiplist.NewMap[int, string]()
	m.Set(30, "thirty")
	m.Set(10, "ten")
	m.Set(20, "twenty")

	fmt.Println(m)
	fmt.Println(m.Floor(25))
	fmt.Println(m.Ceiling(25))
	fmt.Println(m.Lower(10))
	fmt.Println(m.Higher(10))
	fmt.Println(m.Index(20), m.From(15).Len())
	// Output:
	// map[10:ten 20:twenty 30:thirty]
	// 20 twenty true
	// 30 thirty true
	// 0  false
	// 20 twenty true
	// 1 2
}

// A loop may change the map: it goes on with the successor of the last key.
func ExampleMap_All() {
	m := skiplist.Collect(maps.All(map[int]string{1: "a", 2: "b", 3: "c", 4: "d"}))
	for key, value := range m.All() {
		fmt.Println(key, value)
		m.Delete(key + 1)
	}
	// Output:
	// 1 a
	// 3 c
}

// Readers take a copy, and see no change until they take the next one.
func ExampleMap_Clone() {
	m := skiplist.NewMap[string, int]()
	m.Set("a", 1)
	old := m.Clone()
	m.Set("a", 2)
	m.Set("b", 3)
	fmt.Println(old, m)
	// Output: map[a:1] map[a:2 b:3]
}

// Words are counted in order.
func ExampleMap_Compute() {
	count := skiplist.NewMap[string, int]()
	for word := range strings.FieldsSeq("to be or not to be") {
		count.Compute(word, func(n int, _ bool) (int, bool) { return n + 1, true })
	}
	fmt.Println(count)
	// Output: map[be:2 not:1 or:1 to:2]
}

// Autocomplete: the words that begin with some letters.
func ExampleMap_From() {
	words := skiplist.NewMap[string, int]()
	for i, w := range strings.Fields("car care careful cat dog carbon") {
		words.Set(w, i)
	}
	for w := range words.From("car").Below("cas").All() {
		fmt.Println(w)
	}
	// Output:
	// car
	// carbon
	// care
	// careful
}

// Routing by range: shard 1 has the names from A to M, shard 2 those from N on.
// When a shard is split only its own range changes.
func ExampleMap_Floor() {
	shards := skiplist.NewMap[string, string]()
	shards.Set("A", "shard 1")
	shards.Set("N", "shard 2")
	route := func(name string) string {
		_, shard, _ := shards.Floor(name)
		return shard
	}
	fmt.Println(route("Ada"), "and", route("Zoe"))
	shards.Set("T", "shard 3") // splits shard 2
	fmt.Println(route("Ada"), "and", route("Zoe"), "and", route("Nora"))
	// Output:
	// shard 1 and shard 2
	// shard 1 and shard 3 and shard 2
}

// A composite key: the posts of a user, the newest first, in pages of 20 by a
// cursor, which is the last key of the page before.
func ExampleNewMapFunc() {
	type key struct {
		user    string
		created int
	}
	posts := skiplist.NewMapFunc[key, string](func(a, b key) int {
		return cmp.Or(strings.Compare(a.user, b.user), cmp.Compare(b.created, a.created))
	})
	for i := range 45 {
		posts.Set(key{"ann", 100 + i}, fmt.Sprint("post ", i))
		posts.Set(key{"bob", 100 + i}, "other")
	}

	rest := posts.From(key{"ann", 1 << 30}).To(key{"ann", 0})
	for rest.Len() > 0 {
		var page []string
		var last key
		for k, title := range rest.All() {
			page = append(page, title)
			last = k
			if len(page) == 20 {
				break
			}
		}
		fmt.Println(len(page), "posts:", page[0], "to", page[len(page)-1])
		rest = rest.Above(last)
	}
	// Output:
	// 20 posts: post 44 to post 25
	// 20 posts: post 24 to post 5
	// 5 posts: post 4 to post 0
}

// A second index beside a map: users by name, and by age.
func ExampleSet() {
	type byAge struct {
		age  int
		name string
	}
	ages := map[string]int{}
	index := skiplist.NewSetFunc(func(a, b byAge) int {
		return cmp.Or(cmp.Compare(a.age, b.age), strings.Compare(a.name, b.name))
	})
	set := func(name string, age int) {
		if old, ok := ages[name]; ok {
			index.Delete(byAge{old, name})
		}
		ages[name] = age
		index.Add(byAge{age, name})
	}
	set("ann", 50)
	set("bob", 30)
	set("cid", 61)
	set("ann", 51)

	fmt.Println(index.From(byAge{age: 50}))
	// Output: [{51 ann} {61 cid}]
}

// The algebra of sets.
func ExampleSet_Union() {
	a := skiplist.CollectSet(slices.Values([]int{1, 2, 3}))
	b := skiplist.CollectSet(slices.Values([]int{3, 4}))
	fmt.Println(a.Union(b), a.Intersection(b), a.Difference(b), a.SymmetricDifference(b))
	fmt.Println(a.Intersects(b), a.IsSubset(b), a.Equal(b))
	// Output:
	// [1 2 3 4] [3] [1 2] [1 2 4]
	// true false false
}

// A cursor goes both ways, and survives changes of the map.
func ExampleCursor() {
	m := skiplist.NewMap[int, string]()
	for i, word := range []string{"zero", "one", "two", "three"} {
		m.Set(10*i, word)
	}
	c := m.Cursor()
	c.Seek(15)
	fmt.Println(c.Key(), c.Value())
	c.Delete()
	m.Set(25, "new")
	for c.Next() {
		fmt.Println(c.Key(), c.Value())
	}
	c.Prev()
	fmt.Println(c.Key(), c.Value())
	// Output:
	// 20 two
	// 25 new
	// 30 three
	// 30 three
}

// A priority queue whose tasks change their priority.
func ExampleSortedSet_PopMax() {
	tasks := skiplist.NewSortedSet[string, int]()
	tasks.Set("write", 1)
	tasks.Set("test", 2)
	tasks.Set("release", 3)
	tasks.Set("write", 9)
	for {
		task, priority, ok := tasks.PopMax()
		if !ok {
			break
		}
		fmt.Println(priority, task)
	}
	// Output:
	// 9 write
	// 3 release
	// 2 test
}

// Old entries are dropped whole blocks at a time.
func ExampleMapSpan_Clear() {
	events := skiplist.NewMap[int, string]()
	for i := range 1000 {
		events.Set(i, "event")
	}
	fmt.Println(events.Below(990).Clear(), events.Len())
	// Output: 990 10
}

// Many goroutines count events by minute, and one reads the last minutes.
func ExampleConcurrentMap() {
	events := skiplist.NewConcurrentMap[int, int]()
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 100 {
				events.Compute((g+i)%5, func(n int, _ bool) (int, bool) { return n + 1, true })
			}
		})
	}
	wg.Wait()

	fmt.Println(events.Len(), events.From(3).Snapshot())
	fmt.Println(events.Floor(10))
	fmt.Println(events.Higher(10))
	// Output:
	// 5 map[3:80 4:80]
	// 4 80 true
	// 0 0 false
}

// Workers take the job that is due first, each job once.
func ExampleConcurrentMap_PopMin() {
	jobs := skiplist.NewConcurrentMap[int, string]()
	for due, job := range []string{"fetch", "build", "test", "ship"} {
		jobs.Store(due, job)
	}
	var done atomic.Int32
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for {
				_, _, ok := jobs.PopMin()
				if !ok {
					return
				}
				done.Add(1)
			}
		})
	}
	wg.Wait()
	fmt.Println(done.Load(), jobs.Len())
	// Output: 4 0
}

// A value is made once, though several goroutines ask for it at the same time.
func ExampleConcurrentMap_LoadOrCompute() {
	m := skiplist.NewConcurrentMap[string, int]()
	var made atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			m.LoadOrCompute("answer", func() int {
				made.Add(1)
				return 42
			})
		})
	}
	wg.Wait()
	answer, _ := m.Load("answer")
	fmt.Println(answer, made.Load())
	// Output: 42 1
}

// The methods of sync.Map, on a map with an order.
func ExampleConcurrentMap_CompareAndSwap() {
	m := skiplist.NewConcurrentMap[string, int]()
	m.Store("a", 1)
	fmt.Println(m.Swap("a", 2))
	fmt.Println(m.LoadOrStore("b", 3))
	fmt.Println(m.CompareAndSwap("a", 1, 9), m.CompareAndSwap("a", 2, 9))
	fmt.Println(m.CompareAndDelete("b", 4), m.CompareAndDelete("b", 3))
	fmt.Println(m.LoadAndDelete("a"))
	m.Delete("a")
	m.Clear()
	fmt.Println(m.Load("a"))
	// Output:
	// 1 true
	// 3 false
	// false true
	// false true
	// 9 true
	// 0 false
}

// A snapshot is a Map of one moment, with ranks, whatever happens to the
// original.
func ExampleConcurrentMap_Snapshot() {
	prices := skiplist.NewConcurrentMap[string, int]()
	prices.Store("apple", 3)
	prices.Store("cherry", 9)
	prices.Store("plum", 5)
	now := prices.Snapshot()
	prices.Store("banana", 1)
	fmt.Println(now, now.Index("plum"))
	fmt.Println(prices.Snapshot())
	// Output:
	// map[apple:3 cherry:9 plum:5] 2
	// map[apple:3 banana:1 cherry:9 plum:5]
}

// A loop over a part of the map, while others may change it.
func ExampleConcurrentSpan() {
	m := skiplist.NewConcurrentMap[int, string]()
	for i, word := range []string{"zero", "one", "two", "three", "four"} {
		m.Store(i, word)
	}
	for key, word := range m.From(1).Below(4).Backward() {
		fmt.Println(key, word)
		m.Delete(key - 1)
	}
	for key := range m.Above(0).To(4).All() {
		fmt.Println(key)
	}
	// Output:
	// 3 three
	// 2 two
	// 1 one
	// 3
	// 4
}

// An order of one's own: the longest word first.
func ExampleNewConcurrentMapFunc() {
	m := skiplist.NewConcurrentMapFunc[string, bool](func(a, b string) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b))
	})
	for w := range strings.FieldsSeq("to be or not to be that is") {
		m.Store(w, true)
	}
	longest, _, _ := m.Min()
	next, _, _ := m.Ceiling("a" + longest[2:])
	fmt.Println(longest, next, m.Len())
	// Output: that not 6
}
