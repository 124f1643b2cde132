// SPDX-License-Identifier: MIT

package skiplist

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// A churn is a map of a few hundred keys in small blocks, which has five levels
// or so, and its model.
type churn struct {
	m    *Map[int, int]
	keys []int // the model: each value is the negative key
	rng  *rand.Rand
}

func (c *churn) set(key int) {
	c.m.Set(key, -key)
	if i, ok := slices.BinarySearch(c.keys, key); !ok {
		c.keys = slices.Insert(c.keys, i, key)
	}
}

// cut deletes the entries of ranks lo to hi: at once, or one after the other
// from the first to the last, or from the last to the first.
func (c *churn) cut(lo, hi int) {
	switch c.rng.IntN(3) {
	case 0:
		c.m.From(c.keys[lo]).To(c.keys[hi-1]).Clear()
	case 1:
		for _, key := range c.keys[lo:hi] {
			c.m.Delete(key)
		}
	default:
		for _, key := range slices.Backward(c.keys[lo:hi]) {
			c.m.Delete(key)
		}
	}
	c.keys = slices.Delete(c.keys, lo, hi)
}

// step changes the map in one of many ways, at a random place.
func (c *churn) step() {
	n := len(c.keys)
	at := c.rng.IntN(10_000)
	run := c.rng.IntN(40)
	switch kind := c.rng.IntN(10); {
	case kind < 4 || n < 300:
		for range run {
			c.set(c.rng.IntN(10_000))
		}
	case kind < 6: // ascending
		for i := range run {
			c.set(at + i)
		}
	case kind < 8: // descending
		for i := range run {
			c.set(at - i)
		}
	case kind == 8 && n < 700:
		lo := c.rng.IntN(n)
		c.cut(lo, min(n, lo+2*run+1))
	default:
		lo := c.rng.IntN(n)
		c.cut(lo, lo+c.rng.IntN(n-lo)+1)
	}
}

// check compares all that is in the map.
func (c *churn) check() error {
	c.m.check()
	if got := slices.Collect(c.m.Keys()); !slices.Equal(got, c.keys) {
		return fmt.Errorf("the keys are %v, want %v", got, c.keys)
	}
	i := len(c.keys)
	for key, value := range c.m.Backward() {
		i--
		if key != c.keys[i] || value != -key || c.m.Index(key) != i {
			return fmt.Errorf("entry %d is %d: %d of rank %d, want %d", i, key, value, c.m.Index(key), c.keys[i])
		}
	}
	if i > 0 {
		return fmt.Errorf("Backward ends before %d entries", i)
	}

	// Go two steps forward and one back.
	cursor := c.m.Cursor()
	for i, want := range c.keys {
		cursor.Next()
		last := !cursor.Next()
		cursor.Prev()
		if cursor.Key() != want || cursor.Value() != -want || last != (i == len(c.keys)-1) {
			return fmt.Errorf("a cursor is at %d: %d, want %d", cursor.Key(), cursor.Value(), want)
		}
	}
	return nil
}

// TestChurn changes maps with many levels, and clones of them, in random ways
// that are the same in each run.
func TestChurn(t *testing.T) {
	for _, limit := range []int{5, 8, 17} {
		c := churn{m: NewMap[int, int](), rng: rand.New(rand.NewPCG(1, uint64(limit)))}
		c.m.limit = limit
		c.m.coins.Seed(1, uint64(limit))
		clones := []churn{c}
		for range 200 {
			c.step()
			if err := c.check(); err != nil {
				t.Fatalf("limit %d: %v", limit, err)
			}
			if c.rng.IntN(20) == 0 {
				clones = append(clones, c)
				c.m = c.m.Clone()
				c.keys = slices.Clone(c.keys)
			}
		}

		for i, c := range slices.Backward(clones[1:]) {
			if err := c.check(); err != nil {
				t.Fatalf("limit %d, clone %d: %v", limit, i, err)
			}
			c.step()
			if err := c.check(); err != nil {
				t.Fatalf("limit %d, clone %d after a step: %v", limit, i, err)
			}
		}
	}
}

// TestRanksChurn is TestChurn of a SortedSet with few scores, and one that has
// the same order by functions.
func TestRanksChurn(t *testing.T) {
	byScore := func(a, b scored[int, int]) int {
		return cmp.Or(cmp.Compare(a.score, b.score), cmp.Compare(a.member, b.member))
	}
	for _, limit := range []int{5, 8} {
		rng := rand.New(rand.NewPCG(2, uint64(limit)))
		s := NewSortedSet[int, int]()
		f := NewSortedSetFunc(cmp.Compare[int], cmp.Compare[int])
		s.ranks.limit, f.ranks.limit = limit, limit
		s.ranks.coins.Seed(2, 1)
		f.ranks.coins.Seed(2, 2)
		for round := range 60 {
			for range 30 {
				member, score := rng.IntN(500), rng.IntN(20)
				s.Set(member, score)
				f.Set(member, score)
			}
			if lo := rng.IntN(60); round%3 == 0 && s.From(lo).To(lo+1).Clear() != f.From(lo).To(lo+1).Clear() {
				t.Fatalf("Clear of scores %d and %d: different numbers", lo, lo+1)
			}
			s.ranks.check()

			var want []scored[int, int]
			for member, score := range s.scores {
				want = append(want, scored[int, int]{score, member})
			}
			slices.SortFunc(want, byScore)
			if got := slices.Collect(s.ranks.Keys()); !slices.Equal(got, want) {
				t.Fatalf("the members are %v, want %v", got, want)
			}
			if got := slices.Collect(f.ranks.Keys()); !slices.Equal(got, want) {
				t.Fatalf("by functions the members are %v, want %v", got, want)
			}
			for i, e := range want {
				if got := [2]int{s.Index(e.member), f.Index(e.member)}; got != [2]int{i, i} {
					t.Fatalf("Index(%d) = %d, want %d", e.member, got, i)
				}
			}
			for score := range 22 {
				below := slices.IndexFunc(want, func(e scored[int, int]) bool { return e.score >= score })
				if below < 0 {
					below = len(want)
				}
				if got := [2]int{s.Below(score).Len(), s.From(score).Len()}; got != [2]int{below, len(want) - below} {
					t.Fatalf("%d members are below and from score %d, want %d and %d", got, score, below, len(want)-below)
				}
			}
		}
	}
}

// blocksOf returns the numbers of entries of all leaves of m, and of kids of
// all index blocks.
func blocksOf[K, V any](m *Map[K, V]) (leaves, indexes []int) {
	var walk func(x *index[K, V])
	walk = func(x *index[K, V]) {
		indexes = append(indexes, x.n)
		for i := range x.n {
			if x.leaves != nil {
				leaves = append(leaves, x.leaves[i].n)
			} else {
				walk(x.kids[i])
			}
		}
	}
	if m.top != nil {
		walk(m.top)
	}
	return leaves, indexes
}

// fencesOf returns the levels of the fences of m: those between leaves are on
// level 1.
func fencesOf[K comparable, V any](m *Map[K, V]) map[K]int {
	levels := map[K]int{}
	var walk func(x *index[K, V], level int)
	walk = func(x *index[K, V], level int) {
		for i := range x.n {
			if i > 0 {
				levels[x.fences[i]] = level
			}
			if x.leaves == nil {
				walk(x.kids[i], level-1)
			}
		}
	}
	if m.top != nil {
		walk(m.top, height(m))
	}
	return levels
}

// TestPromotion checks that it is a skip list: a fence that is new goes up as
// many levels as its coins say, up to one above the top.
func TestPromotion(t *testing.T) {
	m := NewMap[int, int]()
	m.limit = 16
	m.coins.Seed(1, 2)
	rng := rand.New(rand.NewPCG(1, 2))
	wins := 0
	for range 8000 {
		coins := m.coins
		ups := (&Map[int, int]{coins: coins}).flips()
		if ups == 0 {
			m.Set(rng.Int(), 0)
			continue
		}
		before := fencesOf(m)
		high := height(m)
		m.Set(rng.Int(), 0)
		if m.coins == coins {
			continue
		}

		// A leaf is new, and so is its fence.
		wins++
		for fence, level := range fencesOf(m) {
			if _, ok := before[fence]; ok {
				continue
			}
			if want := min(ups, high) + 1; level != want {
				t.Errorf("a fence with %d coins is on level %d of %d, want %d", ups, level, high, want)
			}
		}
	}
	if wins < 10 {
		t.Errorf("%d fences won, want 10 at least", wins)
	}
}

// gaps returns a map whose keys leave gaps of 2^20 between them, in full blocks
// of the limit, and the function that fills the gap before a fence downwards:
// it inserts n keys.
func gaps(limit int) (m *Map[int, int], fill func(fence, n int)) {
	m = NewMap[int, int]()
	m.limit = limit
	m.coins.Seed(1, uint64(limit))
	for i := range 3 * min(limit*limit*limit, width*width) {
		m.Set(i<<20, 0)
	}
	return m, func(fence, n int) {
		// The leaf is full and its last key is the one before the fence: it is
		// halved, and the keys go to the end of the lower half.
		last, _, _ := m.Lower(fence)
		m.Set(last+1, 0)
		p := last - (limit/2-1)<<20
		for i := range n {
			m.Set(p-1-i, 0)
		}
	}
}

// thin deletes all but an entry of each leaf, and checks that blocks merge,
// whichever fences they have.
func thin(t *testing.T, m *Map[int, int]) {
	t.Helper()
	leaves, _ := blocksOf(m)
	keep := map[int]bool{}
	i := 0
	for _, n := range leaves {
		key, _ := m.Nth(i)
		keep[key] = true
		i += n
	}
	m.DeleteFunc(func(key, _ int) bool { return !keep[key] })

	m.check()
	leaves, indexes := blocksOf(m)
	n, least := m.Len(), m.limit/4
	if got, want := len(leaves), n/least+2; got > want {
		t.Errorf("limit %d: %d leaves for %d entries, want at most %d", m.limit, got, n, want)
	}
	if got, want := len(indexes), len(leaves)/least*2+2; got > want {
		t.Errorf("limit %d: %d index blocks for %d leaves, want at most %d", m.limit, got, len(leaves), want)
	}
	if got, want := height(m), heightOf(n, least); got > want {
		t.Errorf("limit %d: height %d for %d entries, want at most %d", m.limit, got, n, want)
	}
}

// TestRunIntoGap fills a gap from its end on, so that the leaf that splits is
// the last one of full blocks, each time: the new blocks are not of one kid.
func TestRunIntoGap(t *testing.T) {
	for _, limit := range []int{8, 16, width} {
		m, fill := gaps(limit)
		var ends []int
		for fence, level := range fencesOf(m) {
			if level > 1 {
				ends = append(ends, fence)
			}
		}
		slices.Sort(ends)
		for _, fence := range ends {
			fill(fence, 20*limit)
		}
		m.check()
		leaves, indexes := blocksOf(m)
		if got, want := len(leaves), m.Len()/(limit/4); got > want {
			t.Errorf("limit %d: %d leaves for %d entries, want at most %d", limit, got, m.Len(), want)
		}
		if got, want := len(indexes), len(leaves)*4/limit; got > want {
			t.Errorf("limit %d: %d index blocks for %d leaves, want at most %d", limit, got, len(leaves), want)
		}
		thin(t, m)
	}
}

// TestGapSides clears each span of a map: no leaf on either side of the gap
// stays too empty (I8), and the other entries stay.
func TestGapSides(t *testing.T) {
	for _, limit := range []int{8, 16} {
		n := 5 * limit
		whole := numbers(n, limit)
		for lo := range n {
			for hi := lo + 1; hi <= n; hi++ {
				m := whole.Clone()
				if got, want := m.From(lo).Below(hi).Clear(), hi-lo; got != want {
					t.Fatalf("limit %d: Clear from %d to %d = %d, want %d", limit, lo, hi, got, want)
				}
				m.check()
				if got := slices.Collect(m.Keys()); len(got) != n-hi+lo || m.From(lo).Below(hi).Len() != 0 {
					t.Fatalf("limit %d: the keys are %v after Clear from %d to %d", limit, got, lo, hi)
				}
			}
		}
	}
}

// TestCoinsAreSeen has somebody who sees the coins insert keys where a fence
// goes up, and take them back where none would.
func TestCoinsAreSeen(t *testing.T) {
	for _, limit := range []int{8, 16} {
		m, _ := gaps(limit)
		n := m.Len()
		for i := range 5000 {
			coins := m.coins
			ups := (&Map[int, int]{coins: coins}).flips()
			at := i * 7919 % n << 20
			last := at
			for m.coins == coins {
				last++
				m.Set(last, 0)
			}
			if ups == 0 {
				m.Above(at).To(last).Clear()
			}
		}
		m.check()
		thin(t, m)
	}
}

// TestBackAndForth inserts a key at an end and takes it away again, at sizes
// where that needs a new leaf, and new blocks above: not each time.
func TestBackAndForth(t *testing.T) {
	if raceEnabled || invariants {
		t.Skip("the race detector and checks allocate")
	}
	for _, n := range []int{0, 1, 5, 25, 125, 250, 625, width} {
		for _, last := range []bool{false, true} {
			m := NewMap[int, int]()
			m.coins.Seed(1, 2)
			if n < width {
				m.limit = 5
			}
			for i := range n {
				if !last {
					i = -i
				}
				m.Set(i, 0)
			}

			push, pop := n, m.PopMax
			if !last {
				push, pop = -n, m.PopMin
			}
			if got := testing.AllocsPerRun(50, func() { m.Set(push, 0); pop() }); got > 0.2 {
				t.Errorf("%d keys, at the end %t: %v allocations a time, want at most 0.2", n, last, got)
			}
		}
	}
}

// TestCompares counts the calls of an order: one for a key beyond all others,
// unless its leaf is full, also after something else was done; and none for a
// step of a loop. A neighbor takes one search.
func TestCompares(t *testing.T) {
	if invariants {
		t.Skip("checks compare")
	}
	calls := 0
	m := NewMapFunc[int, int](func(a, b int) int { calls++; return cmp.Compare(a, b) })
	const n = 50 * width
	more := 0
	for i := range n {
		calls = 0
		m.Set(2*i, i)
		if calls > 1 {
			more++
		}
	}
	if want := n / width; more > want {
		t.Errorf("%d keys took more than a call, want at most %d", more, want)
	}

	for i, f := range []func(){
		func() { m.Set(7, 7) }, func() { m.Delete(7) }, func() { m.Set(8, 9) }, func() { m.PopMin() }, func() { m.Clone() },
	} {
		key := 2*n + 10*i
		m.Set(key+1, 0)
		f()
		m.Set(key+2, 0)
		calls = 0
		m.Set(key+3, 0)
		if calls != 1 {
			t.Errorf("Set(%d) takes %d calls, want 1", key+3, calls)
		}
	}

	calls = 0
	steps := 0
	for range m.All() {
		steps++
	}
	for range m.Backward() {
		steps++
	}
	for range m.Keys() {
		steps++
	}

	c := m.Cursor()
	for c.Next() {
		steps++
	}
	for c.Prev() {
		steps++
	}
	if want := 5 * m.Len(); steps != want || calls != 0 {
		t.Errorf("%d steps of loops take %d calls, want %d and 0", steps, calls, want)
	}

	m.From(50).Clear() // what is left is one leaf
	for key := range m.Keys() {
		calls = 0
		m.Get(key)
		want := calls
		for name, f := range map[string]func(int) (int, int, bool){
			"Floor": m.Floor, "Ceiling": m.Ceiling, "Lower": m.Lower, "Higher": m.Higher,
		} {
			calls = 0
			if _, _, ok := f(key); ok && calls > want {
				t.Errorf("%s(%d) takes %d calls, want at most %d", name, key, calls, want)
			}
		}
	}

	s := NewSetFunc(m.compare)
	s.Add(1)
	calls = 0
	s.Add(2)
	if calls != 1 {
		t.Errorf("Add takes %d calls, want 1", calls)
	}
}

// leafSizes returns a map of limit 16 whose leaves have the given numbers of
// entries: multiples of 10, so that there is room between them.
func leafSizes(sizes ...int) *Map[int, int] {
	m := NewMap[int, int]()
	m.limit = 16
	m.coins.Seed(1, 2)
	for i := range 16 * len(sizes) {
		m.Set(10*i, 0)
	}
	for i, n := range sizes {
		for at := n; at < 16; at++ {
			l := m.top.leaves[i]
			l.remove(l.n-1, l.n)
			m.top.counts[i]--
			m.len--
		}
	}
	m.changed()
	return m
}

// TestNeighbors changes a leaf, and checks what it has in common with its
// neighbors then.
func TestNeighbors(t *testing.T) {
	in := func(leaf int) func(m *Map[int, int]) { return func(m *Map[int, int]) { m.Set(160*leaf+75, 0) } }
	out := func(leaf int) func(m *Map[int, int]) { return func(m *Map[int, int]) { m.Delete(160 * leaf) } }

	for _, c := range []struct {
		name   string
		sizes  []int
		change func(m *Map[int, int])
		want   []int
	}{
		{"full, room on the left", []int{12, 16, 16}, in(1), []int{14, 15, 16}},
		{"full, no room on the left", []int{13, 16, 16}, in(1), []int{13, 9, 8, 16}},
		{"full, room on the right", []int{16, 16, 12}, in(1), []int{16, 15, 14}},
		{"full, no room on the right", []int{16, 16, 13}, in(1), []int{16, 9, 8, 13}},
		{"full, room on both sides", []int{12, 16, 10}, in(1), []int{14, 15, 10}},
		{"full and first, room on the right", []int{16, 12, 16}, in(0), []int{15, 14, 16}},
		{"full and last, room on the left", []int{16, 12, 16}, in(2), []int{16, 14, 15}},
		{"a quarter, full on the right", []int{16, 4, 16}, out(1), []int{16, 9, 10}},
		{"a quarter and last", []int{16, 16, 4}, out(2), []int{16, 10, 9}},
		{"a quarter, both fit", []int{16, 4, 8}, out(1), []int{16, 11}},
		{"three eighths, both fit", []int{16, 6, 6}, out(1), []int{16, 11}},
		{"three eighths, both do not fit", []int{16, 6, 7}, out(1), []int{16, 5, 7}},
		{"more than three eighths", []int{16, 7, 5}, out(1), []int{16, 6, 5}},
		{"three eighths and last", []int{16, 6, 6}, out(2), []int{16, 11}},
	} {
		m := leafSizes(c.sizes...)
		c.change(m)
		m.check()
		if got, _ := blocksOf(m); !slices.Equal(got, c.want) {
			t.Errorf("%s: leaves of %d entries become %d, want %d", c.name, c.sizes, got, c.want)
		}
	}
}

// TestPanicInLoop has an order panic in a Set in a loop, after blocks have
// changed or before: the loop goes on with the right keys.
func TestPanicInLoop(t *testing.T) {
	calls, bad := 0, 0
	m := NewMapFunc[int, int](func(a, b int) int {
		if calls++; calls == bad {
			panic("bad order")
		}
		return cmp.Compare(a, b)
	})
	m.limit = 8
	m.coins.Seed(1, 2)
	for _, i := range rand.New(rand.NewPCG(1, 2)).Perm(checkedLen + 10) {
		m.Set(2*i, 0)
	}

	for n := range 40 {
		for at := 0; at < 2*m.Len(); at += 20 {
			m := m.Clone()
			for key := range m.Keys() {
				m.Set(key, 1) // its own blocks
			}
			var got []int
			c := m.Cursor()
			for c.Next() {
				got = append(got, c.Key())
				if c.Key() == at {
					func() {
						defer func() { _ = recover() }()
						calls, bad = 0, n+1
						m.Set(at-1, 0)
					}()
					bad = 0
				}
			}
			if len(got) != checkedLen+10 || !slices.IsSorted(got) {
				t.Fatalf("Set(%d) panics in call %d: the loop has %d", at-1, n+1, got)
			}
		}
	}
}
