// SPDX-License-Identifier: MIT

package skiplist

import (
	"cmp"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// blockSizes are sizes of blocks: entries of a leaf, slots of its log, and kids
// of a guide. Small ones split and merge all the time.
var blockSizes = [][3]int{{3, 2, 3}, {4, 3, 4}, {2, 1, 3}, {5, 1, 3}, {leafSlots - logSlots, logSlots, guideSlots - 1}}

// newSized returns a map in natural order with blocks of a size.
func newSized[K cmp.Ordered, V any](size [3]int) *ConcurrentMap[K, V] {
	m := newConcurrentMap(naturalOrder[K, V](), size[0], size[1], size[2])
	m.coins.Seed(1, 2)
	return m
}

// TestModelConcurrent compares a map that one goroutine uses with a sorted
// slice, with keys of several kinds.
func TestModelConcurrent(t *testing.T) { rapid.Check(t, modelConcurrent) }

func FuzzModelConcurrent(f *testing.F) { f.Fuzz(rapid.MakeFuzz(modelConcurrent)) }

func modelConcurrent(t *rapid.T) {
	switch rapid.SampledFrom([]string{"int", "float", "string", "func"}).Draw(t, "keys") {
	case "int":
		most := rapid.SampledFrom([]int{10, 100, 1000}).Draw(t, "most")
		modelOrder(t, naturalOrder[int, int](), rapid.IntRange(0, most))
	case "float":
		modelOrder(t, naturalOrder[float64, int](), rapid.OneOf(
			rapid.SampledFrom([]float64{math.NaN(), -math.NaN(), math.Inf(1), math.Inf(-1), 0, math.Copysign(0, -1)}),
			rapid.Map(rapid.IntRange(-9, 9), func(i int) float64 { return float64(i) }),
		))
	case "string":
		modelOrder(t, naturalOrder[string, int](), rapid.StringOfN(rapid.SampledFrom([]rune("ab")), 0, 6, -1))
	default:
		type key struct{ a, b int8 }
		compare := func(x, y key) int { return cmp.Or(cmp.Compare(y.a, x.a), cmp.Compare(x.b, y.b)) }
		modelOrder(t, orderOf[key, int](compare), rapid.Custom(func(t *rapid.T) key {
			return key{rapid.Int8Range(0, 9).Draw(t, "a"), rapid.Int8Range(0, 9).Draw(t, "b")}
		}))
	}
}

// A mirror is a ConcurrentMap and its model.
type mirror[K any] struct {
	m    *ConcurrentMap[K, int]
	o    *model[K, int]
	keys *rapid.Generator[K]
}

func modelOrder[K any](t *rapid.T, o order[K, int], keys *rapid.Generator[K]) {
	size := rapid.SampledFrom(blockSizes).Draw(t, "size")
	w := mirror[K]{newConcurrentMap(o, size[0], size[1], size[2]), &model[K, int]{compare: o.compare}, keys}
	w.m.coins.Seed(1, rapid.Uint64().Draw(t, "seed"))
	w.m.tries = rapid.IntRange(0, 2).Draw(t, "tries")
	times := rapid.IntRange(1, 40)
	repeated := func(f func(t *rapid.T, key K)) func(*rapid.T) {
		return func(t *rapid.T) {
			for range times.Draw(t, "n") {
				f(t, keys.Draw(t, "key"))
			}
		}
	}

	t.Repeat(map[string]func(*rapid.T){
		"Swap":           repeated(w.swap),
		"LoadOrStore":    repeated(w.loadOrStore),
		"Compute":        repeated(w.compute),
		"LoadAndDelete":  repeated(w.delete),
		"CompareAndSwap": repeated(w.compareAndSwap),
		"Pop":            repeated(w.pop),
		"Clear": func(t *rapid.T) {
			if rapid.IntRange(0, 9).Draw(t, "rarely") == 0 {
				w.m.Clear()
				w.o.pairs = nil
			}
		},
		"span": w.span,
		"":     w.check,
	})
}

func (w *mirror[K]) swap(t *rapid.T, key K) {
	value := rapid.Int().Draw(t, "value")
	want, there := w.o.get(key)
	if got, ok := w.m.Swap(key, value); got != want || ok != there {
		t.Fatalf("Swap(%v) = %d, %t, want %d, %t", key, got, ok, want, there)
	}
	w.o.set(key, value)
}

func (w *mirror[K]) loadOrStore(t *rapid.T, key K) {
	want, there := w.o.get(key)
	if !there {
		want = 7
		w.o.set(key, 7)
	}
	if got, ok := w.m.LoadOrStore(key, 7); got != want || ok != there {
		t.Fatalf("LoadOrStore(%v) = %d, %t, want %d, %t", key, got, ok, want, there)
	}
}

func (w *mirror[K]) compute(t *rapid.T, key K) {
	keep := rapid.Bool().Draw(t, "keep")
	want, there := w.o.get(key)
	got, ok := w.m.Compute(key, func(old int, ok bool) (int, bool) {
		if old != want || ok != there {
			t.Fatalf("Compute(%v) has %d, %t, want %d, %t", key, old, ok, want, there)
		}
		return old + 1, keep
	})
	if keep {
		w.o.set(key, want+1)
	} else {
		w.o.delete(key)
	}
	if want, there := w.o.get(key); got != want || ok != there {
		t.Fatalf("Compute(%v) = %d, %t, want %d, %t", key, got, ok, want, there)
	}
}

func (w *mirror[K]) delete(t *rapid.T, key K) {
	want, there := w.o.get(key)
	if got, ok := w.m.LoadAndDelete(key); got != want || ok != there {
		t.Fatalf("LoadAndDelete(%v) = %d, %t, want %d, %t", key, got, ok, want, there)
	}
	w.o.delete(key)
}

func (w *mirror[K]) compareAndSwap(t *rapid.T, key K) {
	want, there := w.o.get(key)
	old := rapid.SampledFrom([]int{want, 7}).Draw(t, "old")
	fits := there && old == want
	if rapid.Bool().Draw(t, "delete") {
		if got := w.m.CompareAndDelete(key, old); got != fits {
			t.Fatalf("CompareAndDelete(%v, %d) = %t, want %t", key, old, got, fits)
		}
		if fits {
			w.o.delete(key)
		}
		return
	}
	if got := w.m.CompareAndSwap(key, old, 8); got != fits {
		t.Fatalf("CompareAndSwap(%v, %d) = %t, want %t", key, old, got, fits)
	}
	if fits {
		w.o.set(key, 8)
	}
}

// wantAt checks that an entry is the one of rank i of the model, and ok tells
// whether there is one.
func (w *mirror[K]) wantAt(t *rapid.T, what string, i int, key K, value int, ok bool) {
	t.Helper()
	if there := i >= 0 && i < len(w.o.pairs); ok != there {
		t.Fatalf("%s = %v, %d, %t, want %t", what, key, value, ok, there)
	}
	if !ok {
		return
	}
	if p := w.o.pairs[i]; w.o.compare(key, p.key) != 0 || value != p.value {
		t.Fatalf("%s = %v, %d, want %v", what, key, value, p)
	}
}

func (w *mirror[K]) pop(t *rapid.T, _ K) {
	name, pop, i := "PopMin", w.m.PopMin, 0
	if rapid.Bool().Draw(t, "last") {
		name, pop, i = "PopMax", w.m.PopMax, len(w.o.pairs)-1
	}
	key, value, ok := pop()
	w.wantAt(t, name, i, key, value, ok)
	if ok {
		w.o.pairs = slices.Delete(w.o.pairs, i, i+1)
	}
}

// wantPairs checks that seq has the pairs of want.
func (w *mirror[K]) wantPairs(t *rapid.T, what string, seq iter.Seq2[K, int], want []pair[K, int]) {
	t.Helper()
	i := 0
	for key, value := range seq {
		if i == len(want) || w.o.compare(key, want[i].key) != 0 || value != want[i].value {
			t.Fatalf("%s has %v: %d in place %d, want %v", what, key, value, i, want)
		}
		i++
	}
	if i != len(want) {
		t.Fatalf("%s has %d entries, want %d", what, i, len(want))
	}
}

func (w *mirror[K]) span(t *rapid.T) {
	s := w.m.whole()
	want := slices.Clone(w.o.pairs)
	var ends []string
	for range rapid.IntRange(0, 3).Draw(t, "ends") {
		end := w.keys.Draw(t, "end")
		kind := rapid.SampledFrom([]string{"From", "Above", "To", "Below"}).Draw(t, "kind")
		out := func(c int) bool { return c < 0 }
		switch kind {
		case "From":
			s = s.From(end)
		case "Above":
			s = s.Above(end)
			out = func(c int) bool { return c <= 0 }
		case "To":
			s = s.To(end)
			out = func(c int) bool { return c > 0 }
		default:
			s = s.Below(end)
			out = func(c int) bool { return c >= 0 }
		}
		want = slices.DeleteFunc(want, func(p pair[K, int]) bool { return out(w.o.compare(p.key, end)) })
		ends = append(ends, fmt.Sprintf("%s(%v)", kind, end))
	}
	what := strings.Join(ends, ".") + ": "

	w.wantPairs(t, what+"All", s.All(), want)
	w.wantPairs(t, what+"Snapshot", s.Snapshot().All(), want)
	slices.Reverse(want)
	w.wantPairs(t, what+"Backward", s.Backward(), want)
	stop := rapid.IntRange(1, 40).Draw(t, "stop")
	for _, seq := range []iter.Seq2[K, int]{s.All(), s.Backward()} {
		n := 0
		for range seq {
			if n++; n == stop {
				break
			}
		}
		if got := min(stop, len(want)); n != got {
			t.Fatalf("%sa loop that stops has %d steps, want %d", what, n, got)
		}
	}
}

// check compares everything that can be read.
func (w *mirror[K]) check(t *rapid.T) {
	w.m.check()
	if got, want := w.m.Len(), len(w.o.pairs); got != want {
		t.Fatalf("Len = %d, want %d", got, want)
	}
	snapshot := w.m.Snapshot()
	if snapshot.Len() > 0 {
		snapshot.check()
	}
	w.wantPairs(t, "Snapshot", snapshot.All(), w.o.pairs)
	k, v, ok := w.m.Min()
	w.wantAt(t, "Min", 0, k, v, ok)
	k, v, ok = w.m.Max()
	w.wantAt(t, "Max", len(w.o.pairs)-1, k, v, ok)

	for range 5 {
		key := w.keys.Draw(t, "probe")
		at, there := w.o.search(key)
		after := at
		if there {
			after++
		}
		want, _ := w.o.get(key)
		if got, ok := w.m.Load(key); got != want || ok != there {
			t.Fatalf("Load(%v) = %d, %t, want %d, %t", key, got, ok, want, there)
		}
		k, v, ok = w.m.Floor(key)
		w.wantAt(t, fmt.Sprintf("Floor(%v)", key), after-1, k, v, ok)
		k, v, ok = w.m.Lower(key)
		w.wantAt(t, fmt.Sprintf("Lower(%v)", key), at-1, k, v, ok)
		k, v, ok = w.m.Ceiling(key)
		w.wantAt(t, fmt.Sprintf("Ceiling(%v)", key), at, k, v, ok)
		k, v, ok = w.m.Higher(key)
		w.wantAt(t, fmt.Sprintf("Higher(%v)", key), after, k, v, ok)
	}
}

// TestDrain fills maps and empties them in four orders: one leaf is left.
func TestDrain(t *testing.T) {
	n := 20_000
	if testing.Short() || raceEnabled {
		n = 4000
	}
	for _, size := range [][3]int{{2, 1, 3}, {3, 2, 3}, {42, 15, 63}} {
		for name, remove := range map[string]func(m *ConcurrentMap[int, int], i int){
			"PopMin":   func(m *ConcurrentMap[int, int], _ int) { m.PopMin() },
			"PopMax":   func(m *ConcurrentMap[int, int], _ int) { m.PopMax() },
			"in steps": func(m *ConcurrentMap[int, int], i int) { m.Delete((i*7919 + 5) % n) },
			"inward":   func(m *ConcurrentMap[int, int], i int) { m.Delete(i%2*(n-1-i/2) + (1-i%2)*(i/2)) },
		} {
			m := newSized[int, int](size)
			for i := range n {
				m.Store(i, i)
			}
			m.check()
			for i := range n {
				remove(m, i)
			}
			m.check()

			if leaves := len(leavesOf(m)); m.Len() != 0 || leaves != 1 {
				t.Errorf("size %d, %s: %d entries in %d leaves are left, want 0 in 1", size, name, m.Len(), leaves)
			}
		}
	}
}

// unsteady lets goroutines give way at random steps, if there are hooks.
func unsteady(t *testing.T) {
	if !invariants {
		return
	}
	onStep = func(blocked bool) {
		if blocked || rand.Uint32()&7 == 0 {
			runtime.Gosched()
		}
	}
	t.Cleanup(func() { onStep = nil })
}

// runFree runs p with a goroutine for each list of operations, and returns the
// history.
func (p *plan) runFree() (h []event[call, answer]) {
	var clock atomic.Int64
	parts := make([][]event[call, answer], len(p.ops))
	var ready, wg sync.WaitGroup
	ready.Add(len(p.ops))
	for g, ops := range p.ops {
		wg.Go(func() {
			ready.Done()
			ready.Wait()
			for _, in := range ops {
				e := event[call, answer]{in: in, call: clock.Add(1)}
				e.out = perform(p.m, in)
				e.ret = clock.Add(1)
				parts[g] = append(parts[g], e)
			}
		})
	}
	wg.Wait()
	return slices.Concat(parts...)
}

// TestLinearizable runs whole-map histories of goroutines that the system
// schedules, and longer ones of which each key is looked at by itself.
func TestLinearizable(t *testing.T) {
	unsteady(t)
	start := time.Now()
	for n := uint64(0); time.Since(start) < *linearTime; n++ {
		r := rand.New(rand.NewPCG(n, 2))
		p := newPlan(r)
		h := p.runFree()
		if !linearizable(p.init, h, content.accepts) {
			t.Fatalf("plan %d: not linearizable\n%s", n, show(p.init, h))
		}
		if err := loops(p.init, h); err != nil {
			t.Fatalf("plan %d: %v\n%s", n, err, show(p.init, h))
		}
		p.m.check()

		// Keys one by one.
		m := newSized[int, int16](blockSizes[n%5])
		m.coins.Seed(n, 1)
		const procs, ops = 4, 60
		var inputs [procs * ops]call
		for i := range inputs {
			inputs[i] = call{verb: mixes[3][r.IntN(len(mixes[3]))], key: r.IntN(spread), value: int16(i + 1)}
		}
		h = record(procs, ops, func(proc, op int) call { return inputs[proc*ops+op] }, func(in call) answer { return perform(m, in) })
		for key := range spread {
			of := slices.DeleteFunc(slices.Clone(h), func(e event[call, answer]) bool { return e.in.key != key })
			if len(of) <= 64 && !linearizable(content{}, of, content.accepts) {
				t.Fatalf("plan %d, key %d: not linearizable\n%s", n, key, show(content{}, of))
			}
		}
		m.check()
	}
}

// TestSumsConcurrent has goroutines add to counters while others store and
// delete the keys around them, so that leaves split and merge: no addition is
// lost.
func TestSumsConcurrent(t *testing.T) {
	unsteady(t)
	for round, size := range blockSizes {
		m := newSized[int, int](size)
		const counters, adds = 50, 400
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(uint64(round), uint64(g)))
				for range adds {
					m.Compute(r.IntN(counters)*10, func(old int, _ bool) (int, bool) { return old + 1, true })
					key := r.IntN(counters*10)/10*10 + 1 + r.IntN(9)
					if r.IntN(2) == 0 {
						m.Store(key, -1)
					} else {
						m.Delete(key)
					}
				}
			})
		}
		wg.Wait()
		m.check()

		sum := 0
		for key, value := range m.Snapshot().All() {
			if key%10 == 0 {
				sum += value
			}
		}
		if want := 4 * adds; sum != want {
			t.Errorf("size %d: the counters add up to %d, want %d", size, sum, want)
		}
	}
}

// TestLoopsConcurrent has goroutines store and delete keys between some that
// stay: each loop has those once, in order, both ways, in spans, too.
func TestLoopsConcurrent(t *testing.T) {
	unsteady(t)
	for round, size := range blockSizes {
		m := newSized[int, int](size)
		const pins = 40
		for i := range pins {
			m.Store(i*10, 0)
		}
		var stop atomic.Bool
		var writers, loops sync.WaitGroup
		for g := range 2 {
			writers.Go(func() {
				r := rand.New(rand.NewPCG(uint64(round), uint64(g)))
				for !stop.Load() {
					key := r.IntN(pins*10)/10*10 + 1 + r.IntN(9)
					if r.IntN(2) == 0 {
						m.Store(key, -1)
					} else {
						m.Delete(key)
					}
				}
			})
		}

		for _, back := range []bool{false, true} {
			loops.Go(func() {
				for i := range 40 {
					lo := i % pins * 10
					s := m.From(lo)
					seq, step := s.All(), 1
					if back {
						seq, step = s.Backward(), -1
					}
					last, pinned := 0, 0
					first := true
					for key := range seq {
						if key < lo || !first && (key-last)*step <= 0 {
							t.Errorf("size %d, backward %t: %d after %d from %d on", size, back, key, last, lo)
						}
						first = false
						last = key
						if key%10 == 0 {
							pinned++
						}
					}
					if want := pins - i%pins; pinned != want {
						t.Errorf("size %d, backward %t: a loop has %d keys that stay, want %d", size, back, pinned, want)
					}
				}
			})
		}
		loops.Wait()
		stop.Store(true)
		writers.Wait()
		m.check()
	}
}

// TestPopsConcurrent has goroutines pop from both ends until nothing is left:
// each entry comes once, and those of one end in order.
func TestPopsConcurrent(t *testing.T) {
	unsteady(t)
	for _, size := range blockSizes {
		m := newSized[int, int](size)
		const n = 500
		for i := range n {
			m.Store(i, i)
		}
		var popped [n]atomic.Int32
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				pop, step, last := m.PopMin, 1, -1
				if g%2 == 1 {
					pop, step, last = m.PopMax, -1, n
				}
				for {
					key, value, ok := pop()
					if !ok {
						return
					}
					if (key-last)*step <= 0 || key != value {
						t.Errorf("size %d: %d: %d popped after %d", size, key, value, last)
					}
					popped[key].Add(1)
					last = key
				}
			})
		}
		wg.Wait()
		m.check()

		for key := range popped {
			if got := popped[key].Load(); got != 1 {
				t.Errorf("size %d: %d is popped %d times, want 1", size, key, got)
			}
		}
	}
}

// TestTouchBesideWriter checks, under -race, that to touch a leaf reads no slot
// that a writer may be writing.
func TestTouchBesideWriter(t *testing.T) {
	var b logLeaf[int, int]
	for b.base = range uint8(leafSlots) {
		var writer sync.WaitGroup
		writer.Go(func() {
			for i := int(b.base); i < leafSlots; i++ {
				b.keys[i] = i
				b.vals[i] = i
			}
		})
		b.touch()
		writer.Wait()
	}
}

// TestLoopsFar checks loops over a map that is so large that leaves are touched
// ahead, beside a writer: they have all keys that stay.
func TestLoopsFar(t *testing.T) {
	const stay = farLen + 2000
	m := NewConcurrentMap[int, int]()
	for key := range stay {
		m.Store(2*key, key)
	}
	if !m.isFar() {
		t.Fatalf("isFar of %d entries = false, want true", m.Len())
	}

	// Odd keys come and go, even ones are overwritten.
	var writer sync.WaitGroup
	defer writer.Wait()
	writer.Go(func() {
		for i := range 2 * farLen {
			key := i * 7919 % (2 * farLen)
			m.Store(key, i)
			if key%2 == 1 && i%3 > 0 {
				m.Delete(key)
			}
		}
	})
	for name, loop := range map[string]iter.Seq2[int, int]{"All": m.All(), "Backward": m.Backward()} {
		even := 0
		for key := range loop {
			if key%2 == 0 {
				even++
			}
		}
		if even != stay {
			t.Errorf("%s has %d keys that stay, want %d", name, even, stay)
		}
	}
}
