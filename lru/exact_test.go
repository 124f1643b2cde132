// SPDX-License-Identifier: MIT

package lru

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"iter"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// newExactOf returns a cache by kind: 'l' LRU, 'f' LFU, 'q' FIFO. Capacity 0 is
// no bound.
func newExactOf[K comparable, V any](kind byte, capacity int) *Exact[K, V] {
	d := map[byte]discipline{'l': byRecency, 'f': byFrequency, 'q': byInsertion}[kind]
	if capacity == 0 {
		return &Exact[K, V]{order: order{discipline: d}}
	}
	return map[discipline]func(int) *Exact[K, V]{
		byRecency: NewLRU[K, V], byFrequency: NewLFU[K, V], byInsertion: NewFIFO[K, V],
	}[d](capacity)
}

// TestModelLRU, TestModelLFU and TestModelFIFO drive an Exact against its
// textbook.
func TestModelLRU(t *testing.T)  { rapid.Check(t, modelExact('l')) }
func TestModelLFU(t *testing.T)  { rapid.Check(t, modelExact('f')) }
func TestModelFIFO(t *testing.T) { rapid.Check(t, modelExact('q')) }

// FuzzModelLRU, FuzzModelLFU and FuzzModelFIFO are the same for the fuzzer.
func FuzzModelLRU(f *testing.F)  { f.Fuzz(rapid.MakeFuzz(modelExact('l'))) }
func FuzzModelLFU(f *testing.F)  { f.Fuzz(rapid.MakeFuzz(modelExact('f'))) }
func FuzzModelFIFO(f *testing.F) { f.Fuzz(rapid.MakeFuzz(modelExact('q'))) }

// modelExact compares an exact type with the textbook: same order, same pairs
// pushed out.
func modelExact(kind byte) func(*rapid.T) {
	return func(t *rapid.T) {
		capacity := rapid.IntRange(0, 12).Draw(t, "capacity")
		c, m := newExactOf[int, int](kind, capacity), &slowExact{kind: kind, capacity: capacity}
		key := func(t *rapid.T) int { return rapid.IntRange(0, 16).Draw(t, "key") }
		value := 0
		repeat(t, map[string]func(*rapid.T){
			"Get": func(t *rapid.T) {
				k := key(t)
				v, ok := c.Get(k)
				if w, wok := m.get(k); v != w || ok != wok {
					t.Fatalf("Get(%d) = %d, %v, want %d, %v", k, v, ok, w, wok)
				}
			},
			"Peek": func(t *rapid.T) {
				k := key(t)
				v, ok := c.Peek(k)
				w, wok := m.peek(k)
				checkAnswers(t, answer{"Peek", v, w}, answer{"Peek: ok", ok, wok}, answer{"Has", c.Has(k), wok})
			},
			"Set": func(t *rapid.T) {
				k := key(t)
				value++
				out, evicted := c.Set(k, value)
				if w, wok := m.set(k, value); out != w || evicted != wok {
					t.Fatalf("Set(%d) pushed out %v, %v, want %v, %v", k, out, evicted, w, wok)
				}
			},
			"Delete": func(t *rapid.T) {
				k := key(t)
				v, ok := c.Delete(k)
				if w, wok := m.remove(k); v != w || ok != wok {
					t.Fatalf("Delete(%d) = %d, %v, want %d, %v", k, v, ok, w, wok)
				}
			},
			"RemoveOldest": func(t *rapid.T) {
				k0, v0, ok0 := c.Oldest()
				k, v, ok := c.RemoveOldest()
				checkAnswers(t,
					answer{"RemoveOldest: key, as Oldest said", k, k0},
					answer{"RemoveOldest: value, as Oldest said", v, v0},
					answer{"RemoveOldest: ok", ok, len(m.items) > 0},
					answer{"Oldest: ok", ok0, len(m.items) > 0},
				)
				if ok {
					if w := m.pop(); w != (Pair[int, int]{k, v}) {
						t.Fatalf("RemoveOldest = %d, %d, want %v", k, v, w)
					}
				}
			},
			"Resize": func(t *rapid.T) {
				m.capacity = rapid.IntRange(1, 12).Draw(t, "capacity")
				out := c.Resize(m.capacity)
				for len(m.items) > m.capacity {
					if want := m.pop(); len(out) == 0 || out[0] != want {
						t.Fatalf("Resize pushed out %v, want %v next", out, want)
					}
					out = out[1:]
				}

				if len(out) > 0 {
					t.Fatalf("Resize pushed out also %v", out)
				}
			},
			"loop": func(t *rapid.T) { loopExact(t, c, m, key) },
			"Clear": func(t *rapid.T) {
				if rapid.IntRange(0, 9).Draw(t, "often") == 0 {
					c.Clear()
					m.items = nil
				}
			},
			"": func(t *rapid.T) { sameExact(t, c, m) },
		})
	}
}

// loopExact iterates while the body changes the structure.
func loopExact(t *rapid.T, c *Exact[int, int], m *slowExact, key func(*rapid.T) int) {
	seq, before := c.All(), m.order()
	if rapid.Bool().Draw(t, "back") {
		seq = c.Backward()
		slices.Reverse(before)
	}
	var seen []Pair[int, int]
	touched := map[int]bool{}

	for k, v := range seq {
		seen = append(seen, Pair[int, int]{k, v})
		if w, ok := m.peek(k); !ok || w != v {
			t.Fatalf("visited %d = %d, which is %d, %v", k, v, w, ok)
		}
		switch d := key(t); rapid.IntRange(0, 4).Draw(t, "do") {
		case 0:
			touched[d] = true
			c.Delete(d)
			m.remove(d)
		case 1:
			touched[k] = true
			c.Delete(k)
			m.remove(k)
		case 2:
			touched[d] = true
			c.Get(d)
			m.get(d)
		case 3:
			for range c.All() { // nested, and left early
				break
			}
		}
	}

	untouched := func(p Pair[int, int]) bool { return touched[p.Key] }
	got, want := slices.DeleteFunc(seen, untouched), slices.DeleteFunc(slices.Clone(before), untouched)
	if len(seen) > len(before) {
		t.Fatalf("%d visits, want at most %d", len(seen), len(before))
	}
	if len(touched) == 0 && !slices.Equal(got, want) {
		t.Fatalf("visited %v, want %v", got, want)
	}
	for i, p := range got {
		if slices.Contains(got[:i], p) {
			t.Fatalf("visited %v, want %v once", got, p)
		}
		if !slices.Contains(want, p) {
			t.Fatalf("visited %v, want only %v", got, want)
		}
	}
}

// sameExact checks the whole order.
func sameExact(t *rapid.T, c *Exact[int, int], m *slowExact) {
	c.check()
	want := m.order()
	var got []Pair[int, int]
	for k, v := range c.All() {
		got = append(got, Pair[int, int]{k, v})
	}

	if !slices.Equal(got, want) {
		t.Fatalf("order %v, want %v", got, want)
	}
	i := len(got)
	for k, v := range c.Backward() {
		if i--; got[i] != (Pair[int, int]{k, v}) {
			t.Fatalf("Backward at %d: %d, %d, want %v", i, k, v, got[i])
		}
	}

	keys, values := slices.Collect(c.Keys()), slices.Collect(c.Values())
	for i, p := range got {
		checkAnswers(t, answer{"Keys", keys[i], p.Key}, answer{"Values", values[i], p.Value})
	}

	checkAnswers(t,
		answer{"left by Backward", i, 0},
		answer{"Keys", len(keys), len(got)},
		answer{"Len", c.Len(), len(got)},
		answer{"Cap", c.Cap(), m.capacity},
	)
	if f := c; m.kind == 'f' {
		for _, it := range m.items {
			if n := f.Count(it.Key); n != it.count {
				t.Fatalf("Count(%d) = %d, want %d", it.Key, n, it.count)
			}
		}
	}
}

// TestTrapNaN sets keys that are never found: they come back instead of filling
// the cache.
func TestTrapNaN(t *testing.T) {
	for _, kind := range []byte("lfq") {
		c := newExactOf[float64, int](kind, 2)
		c.Set(1, 1)
		for range 3 {
			if out, evicted := c.Set(math.NaN(), 7); !evicted || out.Value != 7 {
				t.Errorf("%c: Set(NaN) pushed out %v, %v, want 7, true", kind, out, evicted)
			}
		}
		_, ok := c.Get(math.NaN())
		checkAnswers(t, answer{"Get(NaN)", ok, false}, answer{"Len", c.Len(), 1})
	}
}

// TestExactUncomparable panics before anything has changed.
func TestExactUncomparable(t *testing.T) {
	for _, kind := range []byte("lfq") {
		c := newExactOf[any, int](kind, 2)
		c.Set("a", 1)
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%c: a slice was accepted as a key", kind)
				}
			}()
			c.Set([]int{1}, 2)
		}()
		c.check()
	}
}

// TestExactRetention checks that what was removed is not kept alive by the
// slab.
func TestExactRetention(t *testing.T) {
	for _, kind := range []byte("lfq") {
		c := newExactOf[string, *int](kind, 4)
		for _, k := range []string{"a", "b", "c", "d", "e"} {
			c.Set(k, new(int))
		}

		c.Delete("c")
		c.RemoveOldest()
		tb := &c.slab
		for s := tb.free; s != 0; s = tb.links[s].next {
			if tb.cells[s] != (cell[string, *int]{}) {
				t.Errorf("%c: free cell %d holds %v", kind, s, tb.cells[s])
			}
		}

		c.Clear()
		for s, e := range tb.cells {
			if e != (cell[string, *int]{}) {
				t.Errorf("%c: cell %d holds %v after Clear", kind, s, e)
			}
		}
	}
}

// TestExactCapacity checks the capacities that the constructors and Resize
// refuse.
func TestExactCapacity(t *testing.T) {
	for _, capacity := range []int{0, -1, math.MinInt, math.MaxInt} {
		for name, f := range map[string]func(){
			"NewLRU":  func() { NewLRU[int, int](capacity) },
			"NewLFU":  func() { NewLFU[int, int](capacity) },
			"NewFIFO": func() { NewFIFO[int, int](capacity) },
			"Resize":  func() { NewLRU[int, int](1).Resize(capacity) },
		} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s(%d) did not panic", name, capacity)
					}
				}()
				f()
			}()
		}
	}
}

// TestExactPanic leaves a loop by a panic of its body: the structure stays
// usable.
func TestExactPanic(t *testing.T) {
	c := NewLRU[int, int](3)
	c.Set(1, 1)
	func() {
		defer func() { _ = recover() }()
		for range c.All() {
			panic("body")
		}
	}()
	if c.cursors != nil {
		t.Error("the iteration is still registered")
	}
}

// TestExactPull interleaves two iterations, and ends the outer first.
func TestExactPull(t *testing.T) {
	c := NewLRU[int, int](4)
	for i := range 4 {
		c.Set(i, i)
	}

	next1, stop1 := iter.Pull2(c.All())
	next2, stop2 := iter.Pull2(c.Backward())
	next1()
	next2()
	c.Delete(2) // where the first comes next
	stop1()
	c.Delete(1) // where the second comes next
	if k, _, ok := next2(); k != 3 || !ok {
		t.Errorf("the second iteration comes to %d, %v, want 3, true", k, ok)
	}

	stop2()
	if c.cursors != nil {
		t.Error("an iteration is still registered")
	}
}

// An indexTest is an index of slots with hashes of the test's own choice.
type indexTest struct {
	slab   slab[uint32, int]
	hashes map[uint32]uint32 // by slot, of those that are in it
}

func newIndexTest(buckets int) *indexTest {
	n := buckets * lanes * 4 / 5
	return &indexTest{
		slab:   slab[uint32, int]{index: index{buckets: make([]bucket, buckets)}, cells: make([]cell[uint32, int], n+1)},
		hashes: make(map[uint32]uint32),
	}
}

// at returns a hash whose home is the bucket of that number.
func (x *indexTest) at(home, tag int) uint32 {
	buckets := len(x.slab.index.buckets)
	return uint32((uint64(home)<<32+uint64(buckets)-1)/uint64(buckets)) + uint32(tag)
}

func (x *indexTest) hashOf(s uint32) uint32 { return x.hashes[s] }

func (x *indexTest) insert(h, s uint32) {
	x.slab.cells[s].key = s
	x.hashes[s] = h
	x.slab.index.insert(h, s)
}

func (x *indexTest) cut(s uint32) {
	h := x.hashes[s]
	delete(x.hashes, s)
	x.slab.index.cut(h, s, x.hashOf)
}

// check returns what is wrong with the index.
func (x *indexTest) check() (wrong any) {
	defer func() {
		if p := recover(); p != nil {
			wrong = p
		}
	}()
	if n := x.slab.index.check(x.hashOf); n != len(x.hashes) {
		return fmt.Sprintf("%d slots, want %d", n, len(x.hashes))
	}
	for s, h := range x.hashes {
		if got := x.slab.find(h, s); got != s {
			return fmt.Sprintf("find(%d) = %d", s, got)
		}
	}
	return nil
}

// TestIndex fills an index to its bound and empties it again.
func TestIndex(t *testing.T) {
	const buckets = 520
	x := newIndexTest(buckets)
	n := uint32(len(x.slab.cells) - 1)
	if got := bucketsFor(int(n)); got > buckets+1 {
		t.Fatalf("%d buckets for %d entries, want %d or so", got, n, buckets)
	}
	seed := maphash.MakeSeed()
	for s := uint32(1); s <= n; s++ {
		x.insert(uint32(maphash.Comparable(seed, s)), s)
	}
	if wrong := x.check(); wrong != nil {
		t.Fatal(wrong)
	}

	for s := uint32(1); s <= n; s++ {
		h := x.hashes[s]
		x.cut(s)
		if got := x.slab.find(h, s); got != 0 {
			t.Fatalf("find(%d) = %d after it was cut, want 0", s, got)
		}
	}
	for i, b := range x.slab.index.buckets {
		if b != (bucket{}) {
			t.Fatalf("bucket %d is %+v after all are gone", i, b)
		}
	}
}

// TestPropIndex adds and cuts slots whose homes are close together, so that
// most buckets overflow: X1 and X2 hold after each step, and every slot is
// found.
func TestPropIndex(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := newIndexTest(rapid.IntRange(1, 6).Draw(t, "buckets"))
		n := len(x.slab.cells) - 1
		var free []uint32
		for s := range n {
			free = append(free, uint32(s+1))
		}

		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			if i := rapid.IntRange(0, n).Draw(t, "slot"); i < len(free) {
				s := free[i]
				free = slices.Delete(free, i, i+1)
				home := rapid.IntRange(0, len(x.slab.index.buckets)-1).Draw(t, "home")
				x.insert(x.at(home, rapid.IntRange(0, 2).Draw(t, "tag")), s)
			} else if len(free) < n {
				in := slices.Sorted(maps.Keys(x.hashes))
				s := in[i%len(in)]
				x.cut(s)
				free = append(free, s)
			}
			if wrong := x.check(); wrong != nil {
				t.Fatal(wrong)
			}
		}
	})
}

// TestTrapSearchEnds is an index whose buckets remember that an entry had to go
// further, while the entry stays there after all others have left. Once each of
// them remembers one, a search for a key that is not there never ends. With 200
// entries that took a hundred thousand requests or so.
func TestTrapSearchEnds(t *testing.T) {
	x := newIndexTest(3)
	for home := range 3 {
		// One more than the bucket takes; then all others go.
		var others []uint32
		for s := uint32(1); len(x.hashes) < lanes+1; s++ {
			if _, ok := x.hashes[s]; !ok {
				x.insert(x.at(home, 0), s)
				others = append(others, s)
			}
		}
		for _, s := range others[:len(others)-1] {
			x.cut(s)
		}
	}
	if wrong := x.check(); wrong != nil {
		t.Fatal(wrong)
	}
	for home := range 3 {
		if got := x.slab.find(x.at(home, 7), 1000); got != 0 {
			t.Errorf("find = %d, want 0", got)
		}
	}

	// The caches of which it was found: small, with popular keys.
	for seed := range uint64(20) {
		zipf := rand.NewZipf(rand.New(rand.NewPCG(seed, 7)), 1.05, 4, 1999)
		c := NewLRU[uint64, int](100)
		for range 20_000 {
			if k := zipf.Uint64(); !c.Has(k) {
				c.Set(k, 0)
			}
		}
	}
}

// TestIndexMatch compares the words with a loop over bytes.
func TestIndexMatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b bucket
		small := rapid.SampledFrom([]uint8{0, 1, 2, 0x7f, 0x80, 0x81, 0xfe, 0xff})
		for i := range b.tags {
			b.tags[i] = small.Draw(t, "tag")
		}

		tag := small.Draw(t, "want")
		var got, want []int
		for set := b.match(tag); set != 0; set &= set - 1 {
			got = append(got, firstLane(set))
		}

		for i, x := range b.tags {
			if x == tag {
				want = append(want, i)
			}
		}

		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Fatalf("match(%#x) of %#x = %v, want %v", tag, b.tags, got, want)
		}
	})
}

// TestGroups compares the order of an LFU with a sorted list, also where counts
// are raised at once.
func TestGroups(t *testing.T) {
	type used struct {
		slot  uint32
		count uint64
		last  int
	}
	const n = 12
	links := make([]link, n+1)
	var g groups
	g.reserve(n)
	var list []used
	rng := rand.New(rand.NewPCG(1, 2))
	for step := range 20_000 {
		s := uint32(rng.IntN(n) + 1)
		i := slices.IndexFunc(list, func(u used) bool { return u.slot == s })
		what := "touch"
		switch {
		case i < 0:
			what = "push"
			g.push(links, s)
			list = append(list, used{s, 1, step})
		case rng.IntN(4) == 0:
			what = "forget"
			g.forget(links, s)
			list = slices.Delete(list, i, i+1)
		case rng.IntN(3) == 0:
			what = "raise"
			list[i].count += uint64(1 + rng.IntN(4))
			list[i].last = step
			g.raise(links, s, list[i].count)
		default:
			g.touch(links, s)
			list[i].count++
			list[i].last = step
		}

		// From the most to the least often used, and back.
		slices.SortFunc(list, func(a, b used) int {
			return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(b.last, a.last))
		})
		s = g.hottest()
		for _, want := range list {
			if s != want.slot || g.count(s) != want.count {
				t.Fatalf("step %d, %s: slot %d, want %+v of %+v", step, what, s, want, list)
			}
			s = g.colder(links, s)
		}
		if s != 0 {
			t.Fatalf("step %d, %s: slot %d follows the coldest, want 0", step, what, s)
		}
		s = g.coldest()
		for _, want := range slices.Backward(list) {
			if s != want.slot {
				t.Fatalf("step %d, %s: slot %d on the way back, want %+v", step, what, s, want)
			}
			s = g.hotter(links, s)
		}
		if got := g.checkGroups(links); s != 0 || got != len(list) {
			t.Fatalf("step %d, %s: slot %d follows the hottest, %d slots, want 0, %d", step, what, s, got, len(list))
		}
	}
}

// TestExactCount counts uses in an LFU alone, and of what is there.
func TestExactCount(t *testing.T) {
	for kind, want := range map[byte]uint64{'l': 0, 'q': 0, 'f': 3} {
		c := newExactOf[int, int](kind, 4)
		c.Set(1, 1)
		c.Set(1, 2)
		c.Get(1)
		c.Peek(1)
		checkAnswers(t, answer{"Count", c.Count(1), want}, answer{"Count of an absent key", c.Count(2), uint64(0)})
	}
}

// TestExactLoopClears ends a loop whose body clears the cache.
func TestExactLoopClears(t *testing.T) {
	for _, kind := range []byte("lqf") {
		c := newExactOf[int, int](kind, 10)
		for i := range 10 {
			c.Set(i, i)
		}
		visits := 0
		for range c.All() {
			if visits++; visits == 3 {
				c.Clear()
				c.Set(20, 20)
			}
		}
		checkAnswers(t, answer{"visits", visits, 3}, answer{"Len", c.Len(), 1})
	}
}
