// SPDX-License-Identifier: MIT

package skiplist

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"testing"
)

// TestIssueInfiniteScores checks that infinite scores are in the spans that
// begin or end with them, and that their sum, which is NaN, can be found and
// changed. See https://github.com/dragonflydb/dragonfly/issues/27,
// https://github.com/fppt/jedis-mock/issues/220 and
// https://github.com/redis/redis/issues/264.
func TestIssueInfiniteScores(t *testing.T) {
	inf := math.Inf(1)
	s := NewSortedSet[string, float64]()
	for member, score := range map[string]float64{"a": -inf, "b": -1, "c": 3, "d": inf, "e": inf} {
		s.Set(member, score)
	}
	for _, c := range []struct {
		span SortedSpan[string, float64]
		want string
	}{
		{s.From(-inf).To(inf), "map[a:-Inf b:-1 c:3 d:+Inf e:+Inf]"},
		{s.Above(-inf).Below(inf), "map[b:-1 c:3]"},
		{s.To(-inf), "map[a:-Inf]"},
		{s.From(inf), "map[d:+Inf e:+Inf]"},
		{s.Above(inf), "map[]"},
		{s.Below(-inf), "map[]"},
	} {
		if got := c.span.String(); got != c.want || c.span.Len() != len(maps.Collect(c.span.All())) {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}

	if got := Incr(s, "d", -inf); !math.IsNaN(got) {
		t.Errorf("Incr = %v, want NaN", got)
	}
	if got := s.Index("d"); got != 0 {
		t.Errorf("Index of the member with NaN = %d, want 0", got)
	}
	if s.Set("d", 4); s.String() != "map[a:-Inf b:-1 c:3 d:4 e:+Inf]" {
		t.Errorf("after Set: got %s", s)
	}
}

// TestIssueZeroKey deletes a key that equals the zero value, and is not there,
// from among keys on both sides. In a list whose head is a node with such a key
// it takes the head away. See
// https://github.com/aalhour/C-Sharp-Algorithms/issues/138.
func TestIssueZeroKey(t *testing.T) {
	m := Collect(maps.All(map[int]int{-23: 1, 7: 2}))
	c := NewConcurrentMap[int, int]()
	c.Store(-23, 1)
	c.Store(7, 2)
	if _, ok := m.Delete(0); ok {
		t.Error("Map: Delete = true, want false")
	}
	if _, ok := c.LoadAndDelete(0); ok {
		t.Error("ConcurrentMap: LoadAndDelete = true, want false")
	}
	for _, got := range []string{m.String(), c.Snapshot().String()} {
		if want := "map[-23:1 7:2]"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// TestIssueEmpty asks an empty map, and one that has become empty, for keys,
// and deletes some. See https://github.com/glenn-brown/skiplist/pull/4.
func TestIssueEmpty(t *testing.T) {
	m := NewMap[int, int]()
	c := NewConcurrentMap[int, int]()
	for range 2 {
		_, ok1 := m.Get(1)
		_, ok2 := m.Delete(1)
		_, _, ok3 := m.PopMax()
		_, ok4 := c.Load(1)
		_, ok5 := c.LoadAndDelete(1)
		_, _, ok6 := c.PopMin()
		if ok1 || ok2 || ok3 || ok4 || ok5 || ok6 {
			t.Error("an empty map has an entry")
		}
		if got := len(maps.Collect(m.Backward())) + len(maps.Collect(c.All())) + m.Len() + c.Len(); got != 0 {
			t.Errorf("%d entries, want none", got)
		}

		for i := range 200 {
			m.Set(i, i)
			c.Store(i, i)
		}
		for i := range 200 {
			m.Delete(i)
			c.Delete(i)
		}
	}
}

// TestIssueOtherKey asks for keys between those that are there: in one list Get
// answers with the next one. See
// https://github.com/Workiva/go-datastructures/pull/39.
func TestIssueOtherKey(t *testing.T) {
	m := NewMap[string, int]()
	c := NewConcurrentMap[string, int]()
	for i := range 300 {
		m.Set(fmt.Sprintf("key%04d", 2*i), i)
		c.Store(fmt.Sprintf("key%04d", 2*i), i)
	}
	for i := range 600 {
		key := fmt.Sprintf("key%04d", i)
		got1, ok1 := m.Get(key)
		got2, ok2 := c.Load(key)
		want, ok := i/2, i%2 == 0
		if !ok {
			want = 0
		}
		if got1 != want || ok1 != ok || got2 != want || ok2 != ok {
			t.Errorf("%s: Get = %d, %t, Load = %d, %t, want %d, %t", key, got1, ok1, got2, ok2, want, ok)
		}
	}
}

// TestIssueDeleteInLoop deletes keys of a ConcurrentMap, the one of the step
// among them, and clears it, in a loop over it. A map whose loops have a lock
// never ends then. See https://github.com/mhmtszr/concurrent-swiss-map/issues/8.
func TestIssueDeleteInLoop(t *testing.T) {
	for _, size := range blockSizes {
		m := newSized[int, int](size)
		for i := range 100 {
			m.Store(i, i)
		}
		var got []int
		for key := range m.From(10).Backward() {
			got = append(got, key)
			m.Delete(key)
			if key == 50 {
				m.Clear()
			}
		}
		if len(got) < 50 || got[0] != 99 || !slices.IsSortedFunc(got, func(a, b int) int { return b - a }) {
			t.Errorf("size %d: the loop has %d", size, got)
		}
		if got := m.Len(); got != 0 {
			t.Errorf("size %d: Len = %d, want 0", size, got)
		}
		m.check()
	}
}

// TestIssueSpanEnds asks spans, and a cursor, for what is beyond their ends:
// nothing, however often, and from the back as from the front. See
// https://github.com/crossbeam-rs/crossbeam/pull/741,
// https://github.com/crossbeam-rs/crossbeam/pull/1252 and
// https://github.com/surrealdb/surrealkv/pull/396.
func TestIssueSpanEnds(t *testing.T) {
	m := Collect(maps.All(map[int]int{1: 0, 3: 0, 5: 0, 7: 0}))
	c := NewConcurrentMap[int, int]()
	for key, value := range m.All() {
		c.Store(key, value)
	}
	for range 2 {
		for _, got := range [][]int{backward(m.From(2).Below(7).Backward()), backward(c.Above(1).To(6).Backward())} {
			if want := []int{5, 3}; !slices.Equal(got, want) {
				t.Errorf("backward: got %d, want %d", got, want)
			}
		}
	}

	// Off the end and back.
	at := m.Cursor()
	if !at.Last() || at.Next() || at.Next() {
		t.Error("the cursor does not stay behind the last entry")
	}
	if !at.Prev() || at.Key() != 7 || !at.Prev() || at.Key() != 5 {
		t.Errorf("back from the end the cursor is at %d, want 5", at.Key())
	}
	if !at.First() || at.Prev() || at.Prev() || !at.Next() || at.Key() != 1 {
		t.Errorf("back from the start the cursor is at %d, want 1", at.Key())
	}
}

func backward(seq func(yield func(key, value int) bool)) (keys []int) {
	for key := range seq {
		keys = append(keys, key)
	}
	return keys
}

// TestIssueCompareAndSwap has goroutines add to a value by CompareAndSwap while
// others take it out by Swap and CompareAndDelete: nothing is lost, and nothing
// counted twice. In the sync.Map of a Go 1.24 before its
// release CompareAndSwap was not atomic beside other methods. See
// https://github.com/golang/go/issues/70970.
func TestIssueCompareAndSwap(t *testing.T) {
	unsteady(t)
	for _, size := range blockSizes {
		m := newSized[int, int](size)
		m.Store(1, 0)
		const n = 300
		var taken [2]int
		var adders, takers sync.WaitGroup
		done := make(chan struct{})
		for range 2 {
			adders.Go(func() {
				for added := 0; added < n; {
					old, ok := m.Load(1)
					if ok && m.CompareAndSwap(1, old, old+1) {
						added++
					} else if !ok {
						m.LoadOrStore(1, 0)
					}
				}
			})
		}
		for g := range taken {
			takers.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
					}
					if g == 0 {
						if old, ok := m.Load(1); ok && m.CompareAndDelete(1, old) {
							taken[g] += old
						}
					} else if old, ok := m.Swap(1, 0); ok {
						taken[g] += old
					}
					m.Store(2, 0)
					m.Delete(2)
				}
			})
		}
		adders.Wait()
		close(done)
		takers.Wait()

		left, _ := m.Load(1)
		if got := taken[0] + taken[1] + left; got != 2*n {
			t.Errorf("size %d: %d were added, want %d", size, got, 2*n)
		}
	}
}
