// SPDX-License-Identifier: MIT

package skiplist

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"weak"
)

// numbers returns a map of n numbers to themselves, in blocks of limit entries.
func numbers(n, limit int) *Map[int, int] {
	m := NewMap[int, int]()
	m.limit = limit
	m.coins.Seed(1, 2)
	for _, i := range rand.New(rand.NewPCG(1, 2)).Perm(n) {
		m.Set(i, i)
	}
	return m
}

// TestTrapNaN checks that a NaN is one key, before all others. In tidwall/btree
// it overwrites the last entry, and in google/btree and skipmap it hides
// others.
func TestTrapNaN(t *testing.T) {
	m := NewMap[float64, int]()
	for i := 1; i <= 5; i++ {
		m.Set(float64(i), i)
	}
	if _, added := m.Set(math.NaN(), 6); !added {
		t.Error("Set of NaN: added = false, want true")
	}
	if _, added := m.Set(-math.NaN(), 7); added {
		t.Error("Set of another NaN: added = true, want false")
	}
	if got, want := m.String(), "map[NaN:7 1:1 2:2 3:3 4:4 5:5]"; got != want {
		t.Errorf("String = %s, want %s", got, want)
	}
	if got, ok := m.Get(3); got != 3 || !ok {
		t.Errorf("Get(3) = %d, %t, want 3, true", got, ok)
	}
	if got, _, ok := m.Higher(math.NaN()); got != 1 || !ok {
		t.Errorf("Higher(NaN) = %v, %t, want 1, true", got, ok)
	}
	if got, ok := m.Delete(math.NaN()); got != 7 || !ok {
		t.Errorf("Delete(NaN) = %d, %t, want 7, true", got, ok)
	}
}

// TestTrapDeleteWhileIterating checks that a loop that deletes each key visits
// all of them. In btype it visits 361 of 1000, in btreemap 490, and tidwall's
// iterator panics (tidwall/btree#39).
func TestTrapDeleteWhileIterating(t *testing.T) {
	for _, back := range []bool{false, true} {
		m := numbers(1000, width)
		seq := m.All()
		if back {
			seq = m.Backward()
		}
		visits := 0
		for key := range seq {
			visits++
			m.Delete(key)
		}
		if visits != 1000 || m.Len() != 0 {
			t.Errorf("%d visits, %d left, want 1000, 0", visits, m.Len())
		}
	}
}

// TestTrapOverwriteAfterClone checks that a loop sees values that are set ahead
// of it, also when a clone makes the writer copy the leaf.
func TestTrapOverwriteAfterClone(t *testing.T) {
	m := numbers(10, width)
	sum := 0
	for key, value := range m.All() {
		if key == 0 {
			m.Clone()
			m.Set(9, 1000)
		}
		sum += value
	}
	if want := 36 + 1000; sum != want {
		t.Errorf("the values add up to %d, want %d", sum, want)
	}
}

// TestTrapLargeIntegers checks keys beyond 2^53, which are equal as float64, to
// which MauriceGit/skiplist reduces them.
func TestTrapLargeIntegers(t *testing.T) {
	m := NewMap[int64, int]()
	for i := range 10 {
		m.Set(1<<53+int64(i), i)
	}
	if got := m.Len(); got != 10 {
		t.Errorf("Len = %d, want 10", got)
	}
	if got, _ := m.Get(1<<53 + 1); got != 1 {
		t.Errorf("Get = %d, want 1", got)
	}
}

// TestTrapSpans checks spans whose bounds cross, or lie outside, or of no map:
// they are empty, and change nothing (Garnet#266, valkey#4619).
func TestTrapSpans(t *testing.T) {
	m := numbers(100, 8)
	var zero Map[int, int]
	var none *Map[int, int]
	for name, s := range map[string]MapSpan[int, int]{
		"crossing": m.From(60).To(40), "behind": m.From(100), "before": m.Below(0), "at a point": m.Above(5).To(5),
		"of a zero map": zero.From(1), "of nil": none.To(3).Above(1),
	} {
		if got := s.Len(); got != 0 {
			t.Errorf("%s: Len = %d, want 0", name, got)
		}
		for key := range s.All() {
			t.Errorf("%s: All has %d", name, key)
		}
		for key := range s.Backward() {
			t.Errorf("%s: Backward has %d", name, key)
		}
		if _, _, ok := s.Min(); ok {
			t.Errorf("%s: Min = true, want false", name)
		}
		if _, _, ok := s.Max(); ok {
			t.Errorf("%s: Max = true, want false", name)
		}
		if got := s.String(); got != "map[]" {
			t.Errorf("%s: String = %s, want map[]", name, got)
		}
		if got := s.Clear(); got != 0 {
			t.Errorf("%s: Clear = %d, want 0", name, got)
		}
	}

	if got := m.Len(); got != 100 {
		t.Errorf("Len = %d afterwards, want 100", got)
	}
}

// TestSpanBounds narrows a span twice, by all kinds of bounds.
func TestSpanBounds(t *testing.T) {
	m := numbers(10, 8)
	type bound struct {
		narrow func(s MapSpan[int, int], end int) MapSpan[int, int]
		in     func(key, end int) bool
	}
	bounds := map[string]bound{
		"From":  {MapSpan[int, int].From, func(key, end int) bool { return key >= end }},
		"Above": {MapSpan[int, int].Above, func(key, end int) bool { return key > end }},
		"To":    {MapSpan[int, int].To, func(key, end int) bool { return key <= end }},
		"Below": {MapSpan[int, int].Below, func(key, end int) bool { return key < end }},
	}

	for name1, b1 := range bounds {
		for name2, b2 := range bounds {
			for end := 4; end <= 6; end++ {
				var want []int
				for key := range 10 {
					if b1.in(key, 5) && b2.in(key, end) {
						want = append(want, key)
					}
				}
				var got []int
				s := b2.narrow(b1.narrow(MapSpan[int, int]{m: m}, 5), end)
				for key := range s.All() {
					got = append(got, key)
				}
				if !slices.Equal(got, want) {
					t.Errorf("%s(5).%s(%d) = %d, want %d", name1, name2, end, got, want)
				}
				if len(want) == 0 {
					continue
				}
				first, _, _ := s.Min()
				last, _, _ := s.Max()
				if first != want[0] || last != want[len(want)-1] {
					t.Errorf("%s(5).%s(%d): Min, Max = %d, %d, want those of %d", name1, name2, end, first, last, want)
				}
			}
		}
	}
}

// TestTrapZero checks that zero values and nil read as empty, and panic when
// they are written to.
func TestTrapZero(t *testing.T) {
	for _, m := range []*Map[int, int]{nil, new(Map[int, int])} {
		if has, n, i := m.Has(1), m.Len(), m.Index(1); has || n != 0 || i != -1 {
			t.Errorf("Has, Len, Index = %t, %d, %d, want false, 0, -1", has, n, i)
		}
		if _, ok := m.Get(1); ok {
			t.Error("Get = true, want false")
		}
		if _, ok := m.Delete(1); ok {
			t.Error("Delete = true, want false")
		}
		for name, f := range map[string]func() (int, int, bool){
			"Min": m.Min, "Max": m.Max, "PopMin": m.PopMin, "PopMax": m.PopMax,
			"Floor":   func() (int, int, bool) { return m.Floor(1) },
			"Ceiling": func() (int, int, bool) { return m.Ceiling(1) },
			"Lower":   func() (int, int, bool) { return m.Lower(1) },
			"Higher":  func() (int, int, bool) { return m.Higher(1) },
		} {
			if _, _, ok := f(); ok {
				t.Errorf("%s = true, want false", name)
			}
		}
		m.Clear()
		if got := m.Clone().Len() + m.Clone().DeleteFunc(nil); got != 0 {
			t.Errorf("Len of a clone = %d, want 0", got)
		}
		c := m.Cursor()
		if found := []bool{c.Next(), c.Prev(), c.Delete()}; slices.Contains(found, true) {
			t.Errorf("Next, Prev, Delete of a cursor = %t, want false", found)
		}
		mustPanic(t, "zero Map: use NewMap", func() { m.Set(1, 1) })
		mustPanic(t, "zero Map: use NewMap", func() { m.GetOrSet(1, 1) })
		mustPanic(t, "zero Map: use NewMap", func() { m.Compute(1, nil) })
		mustPanic(t, "zero Map: use NewMap", func() { m.SetAll(nil) })
		mustPanic(t, "out of range", func() { m.Nth(0) })
	}

	for _, s := range []*Set[int]{nil, new(Set[int])} {
		if is := []bool{s.Has(1), s.Delete(1), s.Intersects(s), !s.Equal(s)}; slices.Contains(is, true) {
			t.Errorf("Has, Delete, Intersects, not Equal of a zero Set = %t, want false", is)
		}
		s.Clear()
		if got := []int{s.Len(), s.From(1).Len(), s.Union(s).Len(), s.Clone().Len()}; slices.Max(got) > 0 {
			t.Errorf("Len of a zero Set, its parts and copies = %d, want 0", got)
		}
		if got := s.String(); got != "[]" {
			t.Errorf("String = %s, want []", got)
		}
		mustPanic(t, "zero Set: use NewSet", func() { s.Add(1) })
		mustPanic(t, "zero Set: use NewSet", func() { s.AddAll(nil) })
	}
	one := NewSet[int]()
	one.Add(1)
	if got := new(Set[int]).Union(one).String(); got != "[1]" {
		t.Errorf("Union of a zero Set and [1] = %s, want [1]", got)
	}

	for _, s := range []*SortedSet[int, int]{nil, new(SortedSet[int, int])} {
		if s.Has(1) {
			t.Error("Has = true of a zero SortedSet, want false")
		}
		if got := s.Index(1); got != -1 {
			t.Errorf("Index = %d of a zero SortedSet, want -1", got)
		}
		if got := []int{s.Len(), s.From(1).Len(), s.Slice(0, 1).Clear()}; slices.Max(got) > 0 {
			t.Errorf("Len of a zero SortedSet and its parts = %d, want 0", got)
		}
		for name, f := range map[string]func() (int, int, bool){
			"Min": s.Min, "Max": s.Max, "PopMin": s.PopMin, "PopMax": s.PopMax,
		} {
			if _, _, ok := f(); ok {
				t.Errorf("%s = true of a zero SortedSet, want false", name)
			}
		}
		mustPanic(t, "out of range", func() { s.Nth(0) })
		s.Clear()
		mustPanic(t, "zero SortedSet: use NewSortedSet", func() { s.Set(1, 1) })
		mustPanic(t, "zero SortedSet: use NewSortedSet", func() { s.Compute(1, nil) })
	}
	mustPanic(t, "compare must not be nil", func() { NewMapFunc[int, int](nil) })
	mustPanic(t, "must not be nil", func() { NewSortedSetFunc[int, int](nil, cmp.Compare[int]) })
	mustPanic(t, "not equal to itself", func() { NewSortedSet[float64, int]().Set(math.NaN(), 1) })
}

// TestTrapNth checks that ranks out of range panic as indexes of a slice do.
func TestTrapNth(t *testing.T) {
	m := numbers(3, width)
	for _, i := range []int{-1, 3, math.MaxInt, math.MinInt} {
		mustPanic(t, "out of range", func() { m.Nth(i) })
	}
}

// TestDeleteFuncDeletes has the function of DeleteFunc delete keys itself:
// those are not counted.
func TestDeleteFuncDeletes(t *testing.T) {
	m := numbers(100, 8)
	got := m.DeleteFunc(func(key, _ int) bool {
		if key%10 == 0 {
			m.Delete(key)
			m.Delete(key + 1)
		}
		return key%5 == 0
	})
	if want := 10; got != want {
		t.Errorf("DeleteFunc = %d, want %d", got, want)
	}
	if got, want := m.Len(), 70; got != want {
		t.Errorf("Len = %d, want %d", got, want)
	}
}

// TestNoOrder has functions that are no order, and panic at times: the map may
// lose keys, but not its shape.
func TestNoOrder(t *testing.T) {
	if invariants {
		t.Skip("checks see that it is no order")
	}
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		m := NewMapFunc[int, int](func(a, b int) int {
			switch n := rng.IntN(20); {
			case n == 0 && seed%2 == 0:
				panic("no order")
			case n <= int(seed):
				return rng.IntN(3) - 1
			}
			return cmp.Compare(a, b)
		})
		m.limit = 5
		m.coins.Seed(seed, 1)
		for range 1000 {
			key := rng.IntN(500)
			func() {
				defer func() {
					if text := recover(); text != nil && text != "no order" {
						t.Fatalf("panic: %v", text)
					}
				}()
				switch rng.IntN(8) {
				default:
					m.Set(key, key)
				case 0:
					m.Delete(key)
				case 1:
					m.Compute(key, func(int, bool) (int, bool) { return key, key%2 == 0 })
				case 2:
					m.From(key).Below(key + 5).Clear()
				case 3:
					m.PopMax()
				}
			}()
		}

		steps := 0
		for range m.All() {
			steps++
		}
		for range m.Backward() {
			steps++
		}
		if want := 2 * m.Len(); steps != want {
			t.Errorf("seed %d: loops have %d steps, want %d", seed, steps, want)
		}
	}
}

// TestAdversary checks orders that make other lists degenerate: no map becomes
// higher than its fill permits, and after all but a few keys are deleted it is
// low again.
func TestAdversary(t *testing.T) {
	const n = 20_000
	for name, key := range map[string]func(i int) int{
		"ascending":  func(i int) int { return i },
		"descending": func(i int) int { return n - i },
		"organ pipe": func(i int) int { return min(2*i, 2*(n-i)+1) },
		"zigzag":     func(i int) int { return i/2 + i%2*n },
		"inward":     func(i int) int { return i%2*(2*n-i) + (1-i%2)*i },
	} {
		for _, limit := range []int{8, 16, width} {
			m := NewMap[int, int]()
			m.limit = limit
			m.coins.Seed(1, uint64(limit))
			for i := range n {
				m.Set(key(i), i)
			}
			m.check()
			most := heightOf(n, limit/4)
			if got := height(m); got > most {
				t.Errorf("%s, limit %d: height %d, want at most %d", name, limit, got, most)
			}

			// Delete all that did not go up, as one who sees the coins would.
			keep := map[int]bool{}
			for x := m.top; x != nil && x.leaves == nil; x = x.kids[x.n/2] {
				for _, fence := range x.fences[1:x.n] {
					keep[fence] = true
				}
			}
			m.DeleteFunc(func(key, _ int) bool { return !keep[key] })
			m.check()
			if got, most := height(m), heightOf(max(m.Len(), 1), limit/4)+3; got > most {
				t.Errorf("%s, limit %d: height %d for %d entries, want at most %d", name, limit, got, m.Len(), most)
			}
		}
	}
}

// height returns the number of index levels of m.
func height[K, V any](m *Map[K, V]) (n int) {
	for x := m.top; x != nil; x = x.kids[0] {
		n++
		if x.leaves != nil {
			break
		}
	}
	return n
}

// heightOf returns the number of levels above leaves that n entries need if
// blocks hold fill of them.
func heightOf(n, fill int) (levels int) {
	for blocks := n / fill; blocks > 0; blocks /= fill {
		levels++
	}
	return levels
}

// TestLevels checks the coins: of many flips one in 64 wins once, and one in
// 4096 twice, within 5 standard deviations.
func TestLevels(t *testing.T) {
	m := NewMap[int, int]()
	m.coins.Seed(1, 2)
	const n = 1 << 20
	var wins [maxLevels]int
	for range n {
		for up := range m.flips() {
			wins[up]++
		}
	}
	for up, p := range []float64{1.0 / 64, 1.0 / 4096} {
		want := n * p
		if got := float64(wins[up]); math.Abs(got-want) > 5*math.Sqrt(want) {
			t.Errorf("%v of %d flips won %d times, want %v", got, n, up+1, want)
		}
	}
}

// TestFill checks how full leaves are: all of them if the keys ascend or
// descend, and three quarters in random order.
func TestFill(t *testing.T) {
	const n = 100_000
	for name, c := range map[string]struct {
		key  func(i int) int
		fill float64
	}{
		"ascending":  {func(i int) int { return i }, 0.99},
		"descending": {func(i int) int { return -i }, 0.99},
		"random":     {func(i int) int { return int(uint64(i) * 0x9e3779b97f4a7c15 >> 3) }, 0.72},
	} {
		m := NewMap[int, int]()
		m.coins.Seed(1, 2)
		for i := range n {
			m.Set(c.key(i), i)
		}
		var p path[int, int]
		p.seek(m, 0)
		leaves := 1
		for p.next() {
			leaves++
		}
		if got := float64(n) / float64(leaves) / width; got < c.fill {
			t.Errorf("%s: leaves are full to %.3f, want %.2f", name, got, c.fill)
		}
	}
}

// TestRetention checks that values that are gone can be collected, however they
// went.
func TestRetention(t *testing.T) {
	type large [1 << 16]byte
	for name, remove := range map[string]func(m *Map[string, *large]){
		"Delete": func(m *Map[string, *large]) { m.Delete("k5") },
		"PopMin": func(m *Map[string, *large]) {
			for m.Has("k5") {
				m.PopMin()
			}
		},
		"PopMax": func(m *Map[string, *large]) {
			for m.Has("k5") {
				m.PopMax()
			}
		},
		"Clear":           func(m *Map[string, *large]) { m.Clear() },
		"Clear of a span": func(m *Map[string, *large]) { m.From("k2").Below("k8").Clear() },
		"Set":             func(m *Map[string, *large]) { m.Set("k5", nil) },
		"Delete below fewer levels, after Clone": func(m *Map[string, *large]) {
			m.Above("k5").Clear()
			m.Clone()
			m.Delete("k5")
		},
		"Delete below fewer levels, by Delete, after Clone": func(m *Map[string, *large]) {
			for key := range strings.FieldsSeq("k0 k1 k2 k3 k4 k6 k7 k8 k9 ka kb kc kd") {
				if m.top != nil {
					m.Delete(key)
				}
			}
			m.Clone()
			m.Delete("k5")
		},
	} {
		m := NewMap[string, *large]()
		m.limit = 5
		m.coins.Seed(1, 2)
		var value weak.Pointer[large]
		for key := range strings.FieldsSeq("k9 k0 k4 k5 k1 k7 k2 k8 k3 k6 ka kb kc kd") {
			v := new(large)
			if key == "k5" {
				value = weak.Make(v)
			}
			m.Set(key, v)
		}

		remove(m)
		runtime.GC()
		if value.Value() != nil {
			t.Errorf("%s: the value is kept", name)
		}
		runtime.KeepAlive(m)
	}
}

// TestCloneBesideReaders checks, under the race detector, that a map can be
// cloned while others read it, and that clones are written to on their own.
func TestCloneBesideReaders(t *testing.T) {
	m := numbers(1000, 8)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 20 {
				c := m.Clone()
				for key := range 1000 {
					if got, ok := m.Get(key); got != key || !ok {
						t.Errorf("Get(%d) = %d, %t, want %d, true", key, got, ok, key)
					}
					c.Set(key, i)
				}
				c.From(100).Clear()
				if got := c.Len(); got != 100 {
					t.Errorf("Len of the clone = %d, want 100", got)
				}
			}
		})
	}
	wg.Wait()
	m.check()
}

// TestPanicsInOrder has functions of the caller's panic at each of their calls:
// the map is valid, and has what it had before or would have after.
func TestPanicsInOrder(t *testing.T) {
	calls, bad := 0, 0
	compare := func(a, b int) int {
		if calls++; calls == bad {
			panic("bad order")
		}
		return cmp.Compare(a, b)
	}
	m := NewMapFunc[int, int](compare)
	m.limit = 5
	m.coins.Seed(1, 2)
	for i := range 40 {
		m.Set(2*i, i)
	}
	before := slices.Collect(m.Keys())
	for name, c := range map[string]struct {
		f    func(m *Map[int, int])
		want []int // the keys after f
	}{
		"Set":           {func(m *Map[int, int]) { m.Set(33, 1) }, slices.Insert(slices.Clone(before), 17, 33)},
		"Set at an end": {func(m *Map[int, int]) { m.Set(99, 1) }, append(slices.Clone(before), 99)},
		"Delete":        {func(m *Map[int, int]) { m.Delete(20) }, slices.Delete(slices.Clone(before), 10, 11)},
		"Clear":         {func(m *Map[int, int]) { m.From(10).To(60).Clear() }, slices.Delete(slices.Clone(before), 5, 31)},
	} {
		for n := 1; ; n++ {
			c2 := m.Clone()
			calls, bad = 0, n
			panicked := false
			func() {
				defer func() { panicked = recover() != nil }()
				c.f(c2)
			}()
			bad = 0
			c2.check()
			got := slices.Collect(c2.Keys())
			if !slices.Equal(got, c.want) && !(panicked && slices.Equal(got, before)) {
				t.Errorf("%s, panic in call %d: the keys are %v", name, n, got)
			}
			if !panicked {
				break
			}
		}
	}

	mustPanic(t, "bad value", func() {
		m.Compute(4, func(int, bool) (int, bool) { panic("bad value") })
	})
	mustPanic(t, "bad loop", func() {
		for range m.All() {
			panic("bad loop")
		}
	})
	if got := slices.Collect(m.Keys()); !slices.Equal(got, before) {
		t.Errorf("the keys are %v, want %v", got, before)
	}
}

// TestComputeChangesMap has the function of Compute change the map: its result
// is stored last.
func TestComputeChangesMap(t *testing.T) {
	m := numbers(100, 5)
	value, ok := m.Compute(50, func(old int, ok bool) (int, bool) {
		m.Below(60).Clear()
		return old + 1, true
	})
	if value != 51 || !ok {
		t.Errorf("Compute = %d, %t, want 51, true", value, ok)
	}
	if got, want := m.Len(), 41; got != want {
		t.Errorf("Len = %d, want %d", got, want)
	}

	m.Compute(70, func(old int, ok bool) (int, bool) {
		m.Clear()
		return 7, true
	})
	if got, want := m.String(), "map[70:7]"; got != want {
		t.Errorf("String = %s, want %s", got, want)
	}
	m.Compute(70, func(int, bool) (int, bool) {
		m.Delete(70)
		return 0, false
	})
	if got := m.Len(); got != 0 {
		t.Errorf("Len = %d, want 0", got)
	}
	m.check()
}

// TestComputeUsesMap has the function of Compute look for other keys for a
// change that does not come about: the result is that of the key of Compute.
func TestComputeUsesMap(t *testing.T) {
	uses := map[string]func(m *Map[int, int], other int){
		"GetOrSet": func(m *Map[int, int], other int) { m.GetOrSet(other, 0) },
		"Delete":   func(m *Map[int, int], other int) { m.Delete(-1 - other) },
		"Compute": func(m *Map[int, int], other int) {
			m.Compute(-1-other, func(old int, ok bool) (int, bool) { return old, ok })
		},
	}

	for name, use := range uses {
		for key := 0; key < 60; key += 5 { // the last of them are not there
			for _, keep := range []bool{true, false} {
				m := numbers(40, 5)
				want := m.Clone()
				m.Compute(key, func(old int, _ bool) (int, bool) {
					use(m, (key+20)%40)
					return -1, keep
				})
				m.check()

				want.Delete(key)
				if keep {
					want.Set(key, -1)
				}
				if got, want := m.String(), want.String(); got != want {
					t.Fatalf("Compute(%d) with %s, keep %t: got %s, want %s", key, name, keep, got, want)
				}
			}
		}
	}
}

// TestLoopBetweenRanks changes a set in a loop over three ranks, which has
// three steps whatever comes to these ranks.
func TestLoopBetweenRanks(t *testing.T) {
	changes := map[string]struct {
		change func(s *SortedSet[int, int], member int)
		first  string // the loop from the first rank on
		last   string // and the one from the last rank on
		left   int
	}{
		"Delete": {func(s *SortedSet[int, int], m int) { s.Delete(m) }, "[10 11 12]", "[12 11 10]", 97},
		"raise":  {func(s *SortedSet[int, int], m int) { s.Set(m, 1000) }, "[10 11 12]", "[12 11 10]", 100},
		"lower":  {func(s *SortedSet[int, int], m int) { s.Set(m, -1) }, "[10 11 12]", "[12 11 10]", 100},
		"none":   {func(*SortedSet[int, int], int) {}, "[10 11 12]", "[12 11 10]", 100},
	}
	for name, c := range changes {
		for _, back := range []bool{false, true} {
			s := NewSortedSet[int, int]()
			for i := range 100 {
				s.Set(i, i)
			}

			span, want := s.From(5).Slice(5, 8), c.first
			loop := span.All()
			if back {
				loop, want = span.Backward(), c.last
			}
			var got []int
			for m := range loop {
				got = append(got, m)
				c.change(s, m)
			}
			if got := fmt.Sprint(got); got != want {
				t.Errorf("%s, backward %t: got %s, want %s", name, back, got, want)
			}
			if got := s.Len(); got != c.left {
				t.Errorf("%s, backward %t: %d members are left, want %d", name, back, got, c.left)
			}
		}
	}
}

// TestSpansOfSpans narrows spans by scores and ranks in any order, before the
// set changes, and by numbers near the ends of int.
func TestSpansOfSpans(t *testing.T) {
	s := NewSortedSet[string, int]()
	q := s.From(10).Slice(0, 1)
	for i, member := range []string{"a", "b", "c", "d"} {
		s.Set(member, 10*i)
	}
	for name, c := range map[string]struct {
		span SortedSpan[string, int]
		want string
	}{
		"before the members":   {q, "map[b:10]"},
		"ranks, then scores":   {s.Slice(0, 1).From(10), "map[b:10]"},
		"ranks of ranks":       {s.Slice(1, 4).Slice(1, 2), "map[c:20]"},
		"more ranks of ranks":  {s.Slice(1, 3).Slice(1, 9), "map[c:20]"},
		"the largest int":      {s.From(10).Slice(math.MaxInt, math.MaxInt), "map[]"},
		"up to it":             {s.From(10).Slice(1, math.MaxInt), "map[c:20 d:30]"},
		"up to it, twice":      {s.Slice(1, math.MaxInt).Slice(1, math.MaxInt), "map[c:20 d:30]"},
		"the smallest int":     {s.Slice(math.MinInt, 1), "map[a:0]"},
		"from end to begin":    {s.Slice(3, 1), "map[]"},
		"nothing of something": {s.Slice(1, 3).Slice(0, math.MinInt), "map[]"},
	} {
		if got := c.span.String(); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

// TestCommonPrefix compares strings that differ at each place, or end there.
func TestCommonPrefix(t *testing.T) {
	whole := strings.Repeat("a", 100)
	for n := range whole {
		for what, other := range map[string]string{"end": whole[:n], "differ": whole[:n] + "b" + whole[n+1:]} {
			if got := commonPrefix(whole, other); got != n {
				t.Errorf("strings that %s at %d: commonPrefix = %d", what, n, got)
			}
			if got := commonPrefix(other, whole); got != n {
				t.Errorf("strings that %s at %d, exchanged: commonPrefix = %d", what, n, got)
			}
		}
	}
}
