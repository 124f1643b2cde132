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

// A pair is an entry of a model.
type pair[K, V any] struct {
	key   K
	value V
}

// A model is a Map as a sorted slice.
type model[K, V any] struct {
	compare func(a, b K) int
	pairs   []pair[K, V]
}

func (o *model[K, V]) search(key K) (int, bool) {
	return slices.BinarySearchFunc(o.pairs, key, func(p pair[K, V], key K) int { return o.compare(p.key, key) })
}

func (o *model[K, V]) get(key K) (value V, ok bool) {
	i, ok := o.search(key)
	if ok {
		value = o.pairs[i].value
	}
	return value, ok
}

func (o *model[K, V]) set(key K, value V) bool {
	i, ok := o.search(key)
	if ok {
		o.pairs[i].value = value
		return false
	}
	o.pairs = slices.Insert(o.pairs, i, pair[K, V]{key, value})
	return true
}

func (o *model[K, V]) delete(key K) bool {
	i, ok := o.search(key)
	if ok {
		o.pairs = slices.Delete(o.pairs, i, i+1)
	}
	return ok
}

// TestModelMapInt runs modelMap with keys of its kind.
func TestModelMapInt(t *testing.T) { rapid.Check(t, modelMapInt) }

func FuzzModelMapInt(f *testing.F) { f.Fuzz(rapid.MakeFuzz(modelMapInt)) }

func modelMapInt(t *rapid.T) {
	most := rapid.SampledFrom([]int{10, 100, 1000}).Draw(t, "keys")
	modelMap(t, NewMap[int, int], cmp.Compare[int], rapid.IntRange(0, most))
}

// TestModelMapString runs modelMap with keys of its kind.
func TestModelMapString(t *testing.T) { rapid.Check(t, modelMapString) }

func FuzzModelMapString(f *testing.F) { f.Fuzz(rapid.MakeFuzz(modelMapString)) }

func modelMapString(t *rapid.T) {
	start := rapid.SampledFrom([]string{"", "a", "tenant/0001/user/"}).Draw(t, "start")
	tails := rapid.OneOf(
		rapid.StringOfN(rapid.SampledFrom([]rune("ab\x00")), 0, 12, -1),
		rapid.Map(rapid.IntRange(0, 999), func(i int) string { return fmt.Sprintf("%09d", i) }),
	)
	bytes := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 'a', 0x7f, 0x80, 0xff}), 0, 12)
	tails = rapid.OneOf(tails, rapid.Map(bytes, func(b []byte) string { return string(b) }))
	keys := rapid.Map(tails, func(s string) string { return start + s })
	if rapid.Bool().Draw(t, "mixed") {
		keys = rapid.OneOf(keys, rapid.StringN(0, 3, -1))
	}
	modelMap(t, NewMap[string, int], cmp.Compare[string], keys)
}

// TestModelMapFloat runs modelMap with keys of its kind.
func TestModelMapFloat(t *testing.T) { rapid.Check(t, modelMapFloat) }

func FuzzModelMapFloat(f *testing.F) { f.Fuzz(rapid.MakeFuzz(modelMapFloat)) }

func modelMapFloat(t *rapid.T) {
	keys := rapid.OneOf(
		rapid.SampledFrom([]float64{math.NaN(), -math.NaN(), math.Inf(1), math.Inf(-1), 0, math.Copysign(0, -1)}),
		rapid.Map(rapid.IntRange(-50, 50), func(i int) float64 { return float64(i) }),
	)
	modelMap(t, NewMap[float64, int], cmp.Compare[float64], keys)
}

// TestModelMapFunc runs modelMap with keys of its kind.
func TestModelMapFunc(t *testing.T) { rapid.Check(t, modelMapFunc) }

func FuzzModelMapFunc(f *testing.F) { f.Fuzz(rapid.MakeFuzz(modelMapFunc)) }

func modelMapFunc(t *rapid.T) {
	type key struct{ a, b int8 }
	compare := func(x, y key) int { return cmp.Or(cmp.Compare(y.a, x.a), cmp.Compare(x.b, y.b)) }
	keys := rapid.Custom(func(t *rapid.T) key {
		return key{rapid.Int8Range(0, 9).Draw(t, "a"), rapid.Int8().Draw(t, "b")}
	})
	modelMap(t, func() *Map[key, int] { return NewMapFunc[key, int](compare) }, compare, keys)
}

// A twin is a map and its model.
type twin[K any] struct {
	m *Map[K, int]
	o *model[K, int]
}

// modelMap compares up to four maps, clones of clones of one, with models.
func modelMap[K any](t *rapid.T, make func() *Map[K, int], compare func(a, b K) int, keys *rapid.Generator[K]) {
	m := make()
	m.limit = rapid.SampledFrom([]int{5, 6, 8, width}).Draw(t, "limit")
	m.coins.Seed(1, rapid.Uint64().Draw(t, "seed"))
	twins := []*twin[K]{{m, &model[K, int]{compare: compare}}}
	pick := func(t *rapid.T) *twin[K] { return twins[rapid.IntRange(0, len(twins)-1).Draw(t, "twin")] }
	times := rapid.IntRange(1, 40)

	t.Repeat(map[string]func(*rapid.T){
		"Set": func(t *rapid.T) {
			w := pick(t)
			for range times.Draw(t, "n") {
				w.set(t, keys.Draw(t, "key"), rapid.Int().Draw(t, "value"))
			}
		},
		"Set in order": func(t *rapid.T) {
			w := pick(t)
			list := rapid.SliceOfN(keys, 1, 40).Draw(t, "keys")
			slices.SortFunc(list, compare)
			if rapid.Bool().Draw(t, "down") {
				slices.Reverse(list)
			}
			for _, key := range list {
				w.set(t, key, 1)
			}
		},
		"Delete": func(t *rapid.T) {
			w := pick(t)
			for range times.Draw(t, "n") {
				w.delete(t, keys.Draw(t, "key"))
			}
		},
		"Compute": func(t *rapid.T) {
			w := pick(t)
			for range times.Draw(t, "n") {
				w.compute(t, keys.Draw(t, "key"), rapid.Bool().Draw(t, "keep"))
			}
		},
		"Pop": func(t *rapid.T) {
			w := pick(t)
			for range times.Draw(t, "n") {
				w.pop(t, rapid.Bool().Draw(t, "last"))
			}
		},
		"Clear of a span": func(t *rapid.T) {
			w := pick(t)
			s, of := w.span(t, keys)
			lo, hi := of()
			if got := s.Clear(); got != hi-lo {
				t.Fatalf("Clear = %d, want %d", got, hi-lo)
			}
			w.o.pairs = slices.Delete(w.o.pairs, lo, hi)
		},
		"Clear": func(t *rapid.T) {
			w := pick(t)
			if rapid.IntRange(0, 9).Draw(t, "rarely") == 0 {
				w.m.Clear()
				w.o.pairs = nil
			}
		},
		"Clone": func(t *rapid.T) {
			if len(twins) == 4 {
				i := rapid.IntRange(0, 3).Draw(t, "drop")
				twins = slices.Delete(twins, i, i+1)
			}
			w := pick(t)
			twins = append(twins, &twin[K]{w.m.Clone(), &model[K, int]{compare, slices.Clone(w.o.pairs)}})
		},
		"loop": func(t *rapid.T) { pick(t).loop(t, keys) },
		"": func(t *rapid.T) {
			for _, w := range twins {
				w.check(t, keys)
			}
		},
	})
}

func (w *twin[K]) set(t *rapid.T, key K, value int) {
	old, added := w.m.Set(key, value)
	want, ok := w.o.get(key)
	if added == ok || old != want {
		t.Fatalf("Set(%v) = %d, %t, want %d, %t", key, old, added, want, !ok)
	}
	w.o.set(key, value)
}

func (w *twin[K]) delete(t *rapid.T, key K) {
	got, ok := w.m.Delete(key)
	want, there := w.o.get(key)
	if ok != there || got != want {
		t.Fatalf("Delete(%v) = %d, %t, want %d, %t", key, got, ok, want, there)
	}
	w.o.delete(key)
}

func (w *twin[K]) compute(t *rapid.T, key K, keep bool) {
	want, there := w.o.get(key)
	value, ok := w.m.Compute(key, func(old int, ok bool) (int, bool) {
		if old != want || ok != there {
			t.Fatalf("Compute(%v) has %d, %t, want %d, %t", key, old, ok, want, there)
		}
		return old + 1, keep
	})
	switch {
	case ok != keep, keep && value != want+1:
		t.Fatalf("Compute(%v) = %d, %t, want %d, %t", key, value, ok, want+1, keep)
	case keep:
		w.o.set(key, want+1)
	default:
		w.o.delete(key)
	}
}

func (w *twin[K]) pop(t *rapid.T, last bool) {
	pop, i := w.m.PopMin, 0
	if last {
		pop, i = w.m.PopMax, len(w.o.pairs)-1
	}
	key, value, ok := pop()
	if ok != (len(w.o.pairs) > 0) {
		t.Fatalf("Pop = %t with %d entries", ok, len(w.o.pairs))
	}
	if !ok {
		return
	}
	if want := w.o.pairs[i]; w.o.compare(key, want.key) != 0 || value != want.value {
		t.Fatalf("Pop = %v, %d, want %v", key, value, want)
	}
	w.o.pairs = slices.Delete(w.o.pairs, i, i+1)
}

// span returns a span with random ends, and the function that tells which
// entries of the model it has.
func (w *twin[K]) span(t *rapid.T, keys *rapid.Generator[K]) (s MapSpan[K, int], of func() (lo, hi int)) {
	s = MapSpan[K, int]{m: w.m}
	var tests []func(key K) bool
	for range rapid.IntRange(1, 4).Draw(t, "ends") {
		end := keys.Draw(t, "end")
		switch rapid.SampledFrom([]string{"From", "Above", "To", "Below"}).Draw(t, "kind") {
		case "From":
			s = s.From(end)
			tests = append(tests, func(key K) bool { return w.o.compare(key, end) >= 0 })
		case "Above":
			s = s.Above(end)
			tests = append(tests, func(key K) bool { return w.o.compare(key, end) > 0 })
		case "To":
			s = s.To(end)
			tests = append(tests, func(key K) bool { return w.o.compare(key, end) <= 0 })
		default:
			s = s.Below(end)
			tests = append(tests, func(key K) bool { return w.o.compare(key, end) < 0 })
		}
	}

	return s, func() (lo, hi int) {
		in := func(p pair[K, int]) bool {
			return !slices.ContainsFunc(tests, func(test func(K) bool) bool { return !test(p.key) })
		}
		lo = slices.IndexFunc(w.o.pairs, in)
		if lo < 0 {
			return 0, 0
		}
		hi = lo
		for hi < len(w.o.pairs) && in(w.o.pairs[hi]) {
			hi++
		}
		return lo, hi
	}
}

// loop changes the map while it goes through a span: the next key must be the
// successor of the last one, or the predecessor, in the model as it is then.
func (w *twin[K]) loop(t *rapid.T, keys *rapid.Generator[K]) {
	s, of := w.span(t, keys)
	back := rapid.Bool().Draw(t, "back")
	seq := s.All()
	if back {
		seq = s.Backward()
	}

	// want returns the rank in the model of the entry that is due.
	var last *K
	want := func() int {
		lo, hi := of()
		switch {
		case last == nil && back:
			return hi - 1
		case last == nil:
			return lo
		}
		i, ok := w.o.search(*last)
		if back {
			return i - 1
		}
		if ok {
			i++
		}
		return i
	}
	inside := func(i int) bool {
		lo, hi := of()
		return i >= lo && i < hi
	}

	steps := 0
	for key, value := range seq {
		i := want()
		if !inside(i) {
			t.Fatalf("the loop goes on with %v, want its end", key)
		}
		if p := w.o.pairs[i]; w.o.compare(p.key, key) != 0 || p.value != value {
			t.Fatalf("the loop goes on with %v: %d, want %v", key, value, p)
		}
		last = &key
		if steps++; steps > 100 {
			return
		}
		switch rapid.IntRange(0, 5).Draw(t, "body") {
		case 0:
			w.delete(t, key)
		case 1:
			w.set(t, keys.Draw(t, "key"), steps)
		case 2:
			w.delete(t, keys.Draw(t, "key"))
		case 3:
			w.m.Clone()
			w.set(t, key, steps)
		}
	}
	if i := want(); inside(i) {
		t.Fatalf("the loop ends before %v", w.o.pairs[i])
	}
}

// check compares everything that can be read.
func (w *twin[K]) check(t *rapid.T, keys *rapid.Generator[K]) {
	w.m.check()
	if got, want := w.m.Len(), len(w.o.pairs); got != want {
		t.Fatalf("Len = %d, want %d", got, want)
	}
	i := 0
	for key, value := range w.m.All() {
		if p := w.o.pairs[i]; w.o.compare(p.key, key) != 0 || p.value != value {
			t.Fatalf("entry %d is %v: %d, want %v", i, key, value, p)
		}
		i++
	}
	if i != len(w.o.pairs) {
		t.Fatalf("All has %d entries, want %d", i, len(w.o.pairs))
	}

	for range 3 {
		key := keys.Draw(t, "probe")
		at, ok := w.o.search(key)
		after := at
		if ok {
			after++
		}
		value, _ := w.o.get(key)
		if got, has := w.m.Get(key); got != value || has != ok || w.m.Has(key) != ok {
			t.Fatalf("Get(%v) = %d, %t, want %d, %t", key, got, has, value, ok)
		}
		want := -1
		if ok {
			want = at
		}
		if got := w.m.Index(key); got != want {
			t.Fatalf("Index(%v) = %d, want %d", key, got, want)
		}
		for name, nav := range map[string]struct {
			f    func(K) (K, int, bool)
			rank int
		}{
			"Floor": {w.m.Floor, after - 1}, "Lower": {w.m.Lower, at - 1},
			"Ceiling": {w.m.Ceiling, at}, "Higher": {w.m.Higher, after},
		} {
			k, v, ok := nav.f(key)
			if want := nav.rank >= 0 && nav.rank < len(w.o.pairs); ok != want {
				t.Fatalf("%s(%v) = %v, %t, want %t", name, key, k, ok, want)
			}
			if !ok {
				continue
			}
			if p := w.o.pairs[nav.rank]; w.o.compare(p.key, k) != 0 || p.value != v {
				t.Fatalf("%s(%v) = %v: %d, want %v", name, key, k, v, p)
			}
		}
	}
}
