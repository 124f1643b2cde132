// SPDX-License-Identifier: MIT

package skiplist

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestModelSet compares a Set, and its algebra with another one, with sorted
// slices.
func TestModelSet(t *testing.T) { rapid.Check(t, modelSet) }

func FuzzModelSet(f *testing.F) { f.Fuzz(rapid.MakeFuzz(modelSet)) }

func modelSet(t *rapid.T) {
	elements := rapid.SliceOfDistinct(rapid.IntRange(0, 60), rapid.ID)
	a := elements.Draw(t, "a")
	b := elements.Draw(t, "b")
	limit := rapid.SampledFrom([]int{5, 8, width}).Draw(t, "limit")
	s := NewSet[int]()
	u := NewSet[int]()
	s.m.limit = limit
	u.m.limit = limit
	s.m.coins.Seed(1, rapid.Uint64().Draw(t, "seed"))
	u.m.coins.Seed(1, 2)
	if got, want := s.AddAll(slices.Values(a)), len(a); got != want {
		t.Fatalf("AddAll = %d, want %d", got, want)
	}
	u.AddAll(slices.Values(b))

	in := func(list []int) func(int) bool { return func(e int) bool { return slices.Contains(list, e) } }
	all := slices.Compact(slices.Sorted(slices.Values(slices.Concat(a, b))))
	keep := func(f func(inA, inB bool) bool) []int {
		return slices.DeleteFunc(slices.Clone(all), func(e int) bool { return !f(in(a)(e), in(b)(e)) })
	}
	for name, c := range map[string]struct {
		got  *Set[int]
		want []int
	}{
		"Union":               {s.Union(u), all},
		"Intersection":        {s.Intersection(u), keep(func(x, y bool) bool { return x && y })},
		"Difference":          {s.Difference(u), keep(func(x, y bool) bool { return x && !y })},
		"SymmetricDifference": {s.SymmetricDifference(u), keep(func(x, y bool) bool { return x != y })},
	} {
		c.got.m.check()
		if got := slices.Collect(c.got.All()); !slices.Equal(got, c.want) {
			t.Fatalf("%s = %v, want %v", name, got, c.want)
		}
	}

	subset := len(keep(func(x, y bool) bool { return x && !y })) == 0
	meets := len(keep(func(x, y bool) bool { return x && y })) > 0
	equal := len(keep(func(x, y bool) bool { return x != y })) == 0
	if got := [3]bool{s.IsSubset(u), s.Intersects(u), s.Equal(u)}; got != [3]bool{subset, meets, equal} {
		t.Fatalf("IsSubset, Intersects, Equal = %t, want %t, %t, %t", got, subset, meets, equal)
	}

	lo := rapid.IntRange(-1, 61).Draw(t, "lo")
	hi := rapid.IntRange(-1, 61).Draw(t, "hi")
	want := slices.DeleteFunc(slices.Sorted(slices.Values(a)), func(e int) bool { return e < lo || e >= hi })
	part := s.From(lo).Below(hi)
	if got := slices.Collect(part.All()); !slices.Equal(got, want) {
		t.Fatalf("[%d, %d) = %v, want %v", lo, hi, got, want)
	}
	back := slices.Collect(part.Backward())
	slices.Reverse(back)
	if !slices.Equal(back, want) {
		t.Fatalf("[%d, %d) backward = %v, want %v", lo, hi, back, want)
	}
	if got := part.Clear(); got != len(want) {
		t.Fatalf("Clear = %d, want %d", got, len(want))
	}
	if got := s.Len(); got != len(a)-len(want) {
		t.Fatalf("Len = %d after Clear, want %d", got, len(a)-len(want))
	}
}

// TestSetIsMap asks a Set, and a Map of the same keys, for all that both have.
func TestSetIsMap(t *testing.T) {
	m := numbers(100, 8)
	s := NewSet[int]()
	s.AddAll(m.Keys())
	c := s.Clone()
	type answer struct {
		e  int
		ok bool
	}
	key := func(key, _ int, ok bool) answer { return answer{key, ok} }
	same := func(name string, got, want any) {
		t.Helper()
		if got != want {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}

	for e := -1; e <= 100; e++ {
		for name, f := range map[string]struct {
			set func(int) (int, bool)
			m   func(int) (int, int, bool)
		}{
			"Floor": {s.Floor, m.Floor}, "Ceiling": {s.Ceiling, m.Ceiling}, "Lower": {s.Lower, m.Lower}, "Higher": {s.Higher, m.Higher},
		} {
			found, ok := f.set(e)
			same(fmt.Sprintf("%s(%d)", name, e), answer{found, ok}, key(f.m(e)))
		}
		same("Index", s.Index(e), m.Index(e))
		same("Has", s.Has(e), m.Has(e))
	}
	for i := range 100 {
		same("Nth", s.Nth(i), i)
	}
	for name, f := range map[string]struct {
		set func(*Set[int]) (int, bool)
		m   func(*Map[int, int]) (int, int, bool)
	}{
		"Min": {(*Set[int]).Min, (*Map[int, int]).Min}, "Max": {(*Set[int]).Max, (*Map[int, int]).Max},
		"PopMin": {(*Set[int]).PopMin, (*Map[int, int]).PopMin}, "PopMax": {(*Set[int]).PopMax, (*Map[int, int]).PopMax},
	} {
		e, ok := f.set(c.Clone())
		same(name, answer{e, ok}, key(f.m(m.Clone())))
	}

	same("Delete", s.Delete(50), true)
	same("Delete again", s.Delete(50), false)
	same("DeleteFunc", s.DeleteFunc(func(e int) bool { return e >= 60 }), 40)
	s.Clear()
	same("Len after Clear", s.Len(), 0)
	same("Len of the clone", c.Len(), 100)
	same("String of a part of the clone", c.Above(96).String(), "[97 98 99]")
}

// A ranking is a SortedSet as a sorted slice.
type ranking struct{ list []scored[string, float64] }

func (r *ranking) sort() {
	slices.SortFunc(r.list, func(a, b scored[string, float64]) int {
		return cmp.Or(cmp.Compare(a.score, b.score), cmp.Compare(a.member, b.member))
	})
}

func (r *ranking) index(member string) int {
	return slices.IndexFunc(r.list, func(e scored[string, float64]) bool { return e.member == member })
}

func (r *ranking) set(member string, score float64) {
	if i := r.index(member); i >= 0 {
		r.list = slices.Delete(r.list, i, i+1)
	}
	r.list = append(r.list, scored[string, float64]{score, member})
	r.sort()
}

// TestModelSortedSet compares a SortedSet with a sorted slice.
func TestModelSortedSet(t *testing.T) { rapid.Check(t, modelSortedSet) }

func FuzzModelSortedSet(f *testing.F) { f.Fuzz(rapid.MakeFuzz(modelSortedSet)) }

func modelSortedSet(t *rapid.T) {
	members := rapid.StringOfN(rapid.SampledFrom([]rune("abc")), 0, 3, -1)
	scores := rapid.OneOf(
		rapid.Map(rapid.IntRange(-3, 3), func(i int) float64 { return float64(i) }),
		rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1)}),
	)
	s := NewSortedSet[string, float64]()
	if rapid.Bool().Draw(t, "func") {
		s = NewSortedSetFunc(cmp.Compare[float64], cmp.Compare[string])
	}
	s.ranks.limit = rapid.SampledFrom([]int{5, 8, width}).Draw(t, "limit")
	s.ranks.coins.Seed(1, rapid.Uint64().Draw(t, "seed"))
	var r ranking

	t.Repeat(map[string]func(*rapid.T){
		"Set": func(t *rapid.T) {
			m, score := members.Draw(t, "member"), scores.Draw(t, "score")
			_, added := s.Set(m, score)
			if want := r.index(m) < 0; added != want {
				t.Fatalf("Set(%q) added = %t, want %t", m, added, want)
			}
			r.set(m, score)
		},
		"Incr": func(t *rapid.T) {
			m, delta := members.Draw(t, "member"), scores.Draw(t, "delta")
			want := delta
			if i := r.index(m); i >= 0 {
				want += r.list[i].score
			}
			if got := Incr(s, m, delta); cmp.Compare(got, want) != 0 {
				t.Fatalf("Incr(%q, %v) = %v, want %v", m, delta, got, want)
			}
			r.set(m, want)
		},
		"Delete": func(t *rapid.T) {
			m := members.Draw(t, "member")
			i := r.index(m)
			if _, ok := s.Delete(m); ok != (i >= 0) {
				t.Fatalf("Delete(%q) = %t, want %t", m, ok, i >= 0)
			}
			if i >= 0 {
				r.list = slices.Delete(r.list, i, i+1)
			}
		},
		"Pop": func(t *rapid.T) {
			pop, i := s.PopMin, 0
			if rapid.Bool().Draw(t, "max") {
				pop, i = s.PopMax, len(r.list)-1
			}
			m, _, ok := pop()
			if ok != (len(r.list) > 0) {
				t.Fatalf("Pop = %t with %d members", ok, len(r.list))
			}
			if ok {
				if want := r.list[i].member; m != want {
					t.Fatalf("Pop = %q, want %q", m, want)
				}
				r.list = slices.Delete(r.list, i, i+1)
			}
		},
		"Clear of a span": func(t *rapid.T) {
			if rapid.IntRange(0, 3).Draw(t, "rarely") > 0 {
				return
			}
			p, lo, hi := spanOfScores(t, s, &r, scores)
			if got := p.Clear(); got != hi-lo {
				t.Fatalf("Clear = %d, want %d", got, hi-lo)
			}
			r.list = slices.Delete(r.list, lo, hi)
		},
		"": func(t *rapid.T) { checkRanks(t, s, &r, members, scores) },
	})
}

// spanOfScores returns a random part of s, and its ranks in r.
func spanOfScores(t *rapid.T, s *SortedSet[string, float64], r *ranking, scores *rapid.Generator[float64]) (p SortedSpan[string, float64], lo, hi int) {
	if rapid.Bool().Draw(t, "by rank") {
		i := rapid.IntRange(-2, len(r.list)+2).Draw(t, "i")
		j := rapid.IntRange(-2, len(r.list)+2).Draw(t, "j")
		lo = min(max(i, 0), len(r.list))
		hi = max(min(max(j, 0), len(r.list)), lo)
		return s.Slice(i, j), lo, hi
	}

	from, to := scores.Draw(t, "from"), scores.Draw(t, "to")
	in := func(x float64) bool { return cmp.Compare(x, from) >= 0 && cmp.Compare(x, to) <= 0 }
	p = s.From(from).To(to)
	if rapid.Bool().Draw(t, "open") {
		in = func(x float64) bool { return cmp.Compare(x, from) > 0 && cmp.Compare(x, to) < 0 }
		p = s.Above(from).Below(to)
	}
	for lo < len(r.list) && !in(r.list[lo].score) {
		lo++
	}
	hi = lo
	for hi < len(r.list) && in(r.list[hi].score) {
		hi++
	}
	if lo == hi {
		return p, 0, 0
	}
	return p, lo, hi
}

func checkRanks(t *rapid.T, s *SortedSet[string, float64], r *ranking, members *rapid.Generator[string], scores *rapid.Generator[float64]) {
	s.ranks.check()
	if got, want := [2]int{s.Len(), len(s.scores)}, len(r.list); got != [2]int{want, want} {
		t.Fatalf("Len and members = %d, want %d", got, want)
	}
	m := members.Draw(t, "member")
	if got, want := s.Index(m), r.index(m); got != want {
		t.Fatalf("Index(%q) = %d, want %d", m, got, want)
	}
	if len(r.list) > 0 {
		i := rapid.IntRange(0, len(r.list)-1).Draw(t, "rank")
		if got, score := s.Nth(i); got != r.list[i].member || cmp.Compare(score, r.list[i].score) != 0 {
			t.Fatalf("Nth(%d) = %q, %v, want %v", i, got, score, r.list[i])
		}
	}

	p, lo, hi := spanOfScores(t, s, r, scores)
	var got, want []string
	for m := range p.All() {
		got = append(got, m)
	}
	for _, e := range r.list[lo:hi] {
		want = append(want, e.member)
	}
	if !slices.Equal(got, want) || p.Len() != len(want) {
		t.Fatalf("the span has %q, %d members, want %q", got, p.Len(), want)
	}
	slices.Reverse(want)
	got = nil
	for m := range p.Backward() {
		got = append(got, m)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("the span has %q backward, want %q", got, want)
	}
}

// TestRedis checks the vectors of Redis, tests/unit/type/zset.tcl.
func TestRedis(t *testing.T) {
	inf := math.Inf(1)
	s := NewSortedSet[string, float64]()
	for score, m := range map[float64]string{-inf: "a", 1: "b", 2: "c", 3: "d", 4: "e", 5: "f", inf: "g"} {
		s.Set(m, score)
	}
	list := func(p SortedSpan[string, float64], back bool) (text string) {
		seq := p.All()
		if back {
			seq = p.Backward()
		}
		for m := range seq {
			text += m
		}
		return text
	}
	for _, c := range []struct {
		command, got, want string
	}{
		{"ZRANGEBYSCORE -inf 2", list(s.From(-inf).To(2), false), "abc"},
		{"ZRANGEBYSCORE 0 3", list(s.From(0).To(3), false), "bcd"},
		{"ZRANGEBYSCORE 3 6", list(s.From(3).To(6), false), "def"},
		{"ZRANGEBYSCORE 4 +inf", list(s.From(4).To(inf), false), "efg"},
		{"ZRANGEBYSCORE (-inf (2", list(s.Above(-inf).Below(2), false), "b"},
		{"ZRANGEBYSCORE (0 (3", list(s.Above(0).Below(3), false), "bc"},
		{"ZRANGEBYSCORE (3 (6", list(s.Above(3).Below(6), false), "ef"},
		{"ZRANGEBYSCORE (4 (+inf", list(s.Above(4).Below(inf), false), "f"},
		{"ZREVRANGEBYSCORE 6 3", list(s.From(3).To(6), true), "fed"},
		{"ZRANGEBYSCORE 0 10 LIMIT 2 3", list(s.From(0).To(10).Slice(2, 5), false), "def"},
		{"ZRANGEBYSCORE 0 10 LIMIT 20 10", list(s.From(0).To(10).Slice(20, 30), false), ""},
		{"ZRANGEBYSCORE 4 2", list(s.From(4).To(2), false), ""},
		{"ZRANGE 0 2", list(s.Slice(0, 3), false), "abc"},
		{"ZREVRANGE 0 1", list(s.Slice(s.Len()-2, s.Len()), true), "gf"},
	} {
		if c.got != c.want {
			t.Errorf("%s = %q, want %q", c.command, c.got, c.want)
		}
	}
	if got := s.From(0).To(3).Len(); got != 3 {
		t.Errorf("ZCOUNT 0 3 = %d, want 3", got)
	}
	if got := s.Above(0).Below(3).Len(); got != 2 {
		t.Errorf("ZCOUNT (0 (3 = %d, want 2", got)
	}

	// +inf and -inf add up to NaN: Redis has an error, here it comes first.
	if got := Incr(s, "g", -inf); !math.IsNaN(got) {
		t.Errorf("inf - inf = %v, want NaN", got)
	}
	if m, _, _ := s.Min(); m != "g" {
		t.Errorf("Min = %q with a NaN, want g", m)
	}
}
