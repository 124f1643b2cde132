// SPDX-License-Identifier: MIT

package skiplist

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"weak"
)

// TestTrapLostWrite has one goroutine store a key and look for it while another
// deletes it: what the deletions return and what is left are all that was
// stored. In skipmap a Store can write into a node that is just being deleted
// (bytedance/gopkg#265).
func TestTrapLostWrite(t *testing.T) {
	unsteady(t)
	m := newSized[int, int](blockSizes[0])
	const n = 2000
	var taken [n]atomic.Int32
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for range n {
				if value, ok := m.LoadAndDelete(5); ok {
					taken[value].Add(1)
				}
				m.LoadOrStore(6, 0)
				m.Delete(6)
			}
		})
	}
	wg.Go(func() {
		for i := range n {
			if old, ok := m.Swap(5, i); ok {
				taken[old].Add(1)
			}
		}
	})
	wg.Wait()

	if value, ok := m.Load(5); ok {
		taken[value].Add(1)
	}
	for i := range taken {
		if got := taken[i].Load(); got != 1 {
			t.Fatalf("value %d came back %d times, want 1", i, got)
		}
	}
}

// TestTrapNegativeLen checks that Len counts what is there at least. skipmap
// counts an entry after it shows, so that its length can be -1.
func TestTrapNegativeLen(t *testing.T) {
	unsteady(t)
	m := newSized[int, int](blockSizes[0])
	m.Store(100, 0)
	var stop atomic.Bool
	var wg, reader sync.WaitGroup
	reader.Go(func() {
		for !stop.Load() {
			if got := m.Len(); got < 1 || got > 7 {
				t.Errorf("Len = %d, want 1 to 7", got)
				return
			}
		}
	})

	for g := range 4 {
		wg.Go(func() {
			for range 2000 {
				m.Store(g%2, 0)
				m.Delete(g % 2)
			}
		})
	}
	wg.Wait()
	stop.Store(true)
	reader.Wait()
	if got := m.Len(); got != 1 {
		t.Errorf("Len = %d, want 1", got)
	}
}

// escape runs f on a goroutine of its own, which f may end by a panic or by
// Goexit.
func escape(f func()) {
	var wg sync.WaitGroup
	wg.Go(func() {
		defer func() { _ = recover() }()
		f()
	})
	wg.Wait()
}

// TestTrapCallbackEscapes checks that a callback that panics or calls Goexit
// changes nothing, and leaves no lock behind. In skipmap a panic in
// LoadOrStoreLazy keeps the locks.
func TestTrapCallbackEscapes(t *testing.T) {
	m := newSized[int, int](blockSizes[0])
	for i := range 20 {
		m.Store(2*i, i)
	}
	want := m.Snapshot().String()
	for name, end := range map[string]func(){"panic": func() { panic("bad value") }, "Goexit": runtime.Goexit} {
		for key := range 40 {
			escape(func() { m.Compute(key, func(int, bool) (int, bool) { end(); return 0, false }) })
			m.check() // finds locks
			escape(func() { m.LoadOrCompute(key, func() int { end(); return 0 }) })
			escape(func() {
				for range m.From(key).All() {
					end()
				}
			})
		}
		m.check()
		if got := m.Snapshot().String(); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	mustPanic(t, "bad value", func() { m.Compute(4, func(int, bool) (int, bool) { panic("bad value") }) })
}

// TestTrapOrderEscapes has compare panic or call Goexit at each of its calls,
// most of them under locks: the map is whole, and has what it had before or
// would have after.
func TestTrapOrderEscapes(t *testing.T) {
	ends := map[string]func(){"panic": func() { panic("bad order") }, "Goexit": runtime.Goexit}
	for name, f := range map[string]func(m *ConcurrentMap[int, int]){
		"Store of 33":            func(m *ConcurrentMap[int, int]) { m.Store(33, 1) },
		"Store of 77":            func(m *ConcurrentMap[int, int]) { m.Store(77, 1) },
		"Store of 111":           func(m *ConcurrentMap[int, int]) { m.Store(111, 1) },
		"Store of 151":           func(m *ConcurrentMap[int, int]) { m.Store(151, 1) },
		"Store at the end":       func(m *ConcurrentMap[int, int]) { m.Store(299, 1) },
		"Store of a key that is": func(m *ConcurrentMap[int, int]) { m.Store(40, -1) },
		"Delete":                 func(m *ConcurrentMap[int, int]) { m.Delete(20) },
		"Compute":                func(m *ConcurrentMap[int, int]) { m.Compute(41, func(int, bool) (int, bool) { return 1, true }) },
		"PopMin":                 func(m *ConcurrentMap[int, int]) { m.PopMin() },
		"PopMax":                 func(m *ConcurrentMap[int, int]) { m.PopMax() },
		"Clear":                  func(m *ConcurrentMap[int, int]) { m.Clear() },
		"Floor":                  func(m *ConcurrentMap[int, int]) { m.Floor(41) },
		"Higher":                 func(m *ConcurrentMap[int, int]) { m.Higher(41) },
		"Snapshot":               func(m *ConcurrentMap[int, int]) { m.Snapshot() },
		"Snapshot of a span":     func(m *ConcurrentMap[int, int]) { m.From(7).To(41).Snapshot() },
	} {
		var hook func()
		compare := func(a, b int) int {
			if hook != nil {
				hook()
			}
			return cmp.Compare(a, b)
		}
		before := worn(compare).Snapshot().String()
		done := worn(compare)
		f(done)
		after := done.Snapshot().String()

		for how, end := range ends {
			for bad, reached := 1, true; reached; bad++ {
				m := worn(compare)
				calls := 0
				hook = func() {
					if calls++; calls == bad {
						end()
					}
				}
				escape(func() { f(m) })
				reached = calls >= bad
				hook = nil
				m.check() // finds locks
				if got := m.Snapshot().String(); got != before && got != after {
					t.Fatalf("%s, %s in call %d: got %s, want %s or %s", name, how, bad, got, before, after)
				}
			}
		}
	}
}

// worn returns a map that has grown and shrunk, in small blocks.
func worn(compare func(a, b int) int) *ConcurrentMap[int, int] {
	m := newConcurrentMap(orderOf[int, int](compare), 3, 1, 3)
	m.coins.Seed(1, 2)
	m.tries = 0
	for i := range 100 {
		m.Store(2*i, i)
	}
	for i := range 25 {
		m.Delete(2 * (i*7 + 3) % 200)
	}
	return m
}

// TestSnapshotWithoutLocks checks that a snapshot waits for no lock while
// nobody writes.
func TestSnapshotWithoutLocks(t *testing.T) {
	unsteady(t)
	m := newSized[int, int](blockSizes[0])
	for i := range 20 {
		m.Store(i, i)
	}
	leaves := leavesOf(m)
	for _, b := range leaves {
		b.mu.Lock()
	}
	done := make(chan int)
	go func() { done <- m.Snapshot().Len() }()
	select {
	case n := <-done:
		if n != 20 {
			t.Errorf("a snapshot of %d entries, want 20", n)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("a snapshot waits for a lock")
	}
	for _, b := range leaves {
		b.mu.Unlock()
	}
	m.check()
}

// TestRebuildWhole checks that a leaf whose log is full is not halved while its
// entries fit, and is when they do not.
func TestRebuildWhole(t *testing.T) {
	const most = 4
	for n, want := range map[int]int{most: 1, most + 1: 2} {
		m := newSized[int, int]([3]int{most, 3, 4})
		for i := range n {
			m.Store(i, i)
		}
		b := m.leafOf(0, closed)
		for range 20 {
			m.Store(0, 1) // fills the log
		}
		if m.leafOf(0, closed) == b {
			t.Error("the leaf is the same")
		}
		if got := len(leavesOf(m)); got != want {
			t.Errorf("%d leaves of %d entries of at most %d, want %d", got, n, most, want)
		}
	}
}

// TestTrapExtremes checks the least and the greatest keys, which a list with
// sentinels cannot hold, and that an overwritten key is the right one after its
// leaf was rebuilt, which the code of the B-skiplist paper gets wrong: it lets
// go of the lock between.
func TestTrapExtremes(t *testing.T) {
	unsteady(t)
	m := newSized[int, int](blockSizes[0])
	for _, key := range []int{math.MaxInt, math.MinInt, 0} {
		m.Store(key, key)
	}
	if got, _, _ := m.Min(); got != math.MinInt {
		t.Errorf("Min = %d, want %d", got, math.MinInt)
	}
	if got, _, _ := m.Lower(math.MaxInt); got != 0 {
		t.Errorf("Lower(MaxInt) = %d, want 0", got)
	}
	if _, _, ok := m.Higher(math.MaxInt); ok {
		t.Error("Higher(MaxInt) = true, want false")
	}

	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 2000 {
				key := 4*(i%50) + g
				m.Store(key, key)
				if got, ok := m.Load(key); ok && got != key {
					t.Errorf("Load(%d) = %d", key, got)
				}
				if i%3 == 0 {
					m.Delete(key)
				}
			}
		})
	}
	wg.Wait()
	for key, value := range m.All() {
		if key != value {
			t.Errorf("the value of %d is %d", key, value)
		}
	}
}

// TestTrapLower has a goroutine store 1 and only then delete 5, over and over
// in turns, while others ask for the key below 9: there is always one. The
// ConcurrentSkipListMap of Java reads two places at two times (JDK-8392079).
func TestTrapLower(t *testing.T) {
	unsteady(t)
	m := newSized[int, int](blockSizes[2])
	m.Store(1, 0)
	m.Store(9, 0)
	var stop atomic.Bool
	var wg, writer sync.WaitGroup
	writer.Go(func() {
		for i := 0; !stop.Load(); i++ {
			from, to := 1, 5
			if i%2 == 1 {
				from, to = 5, 1
			}
			m.Store(to, i)
			m.Delete(from)
			m.Store(3, 0)
			m.Delete(3)
		}
	})

	for range 2 {
		wg.Go(func() {
			for range 2000 {
				if key, _, ok := m.Lower(9); !ok || key == 9 {
					t.Errorf("Lower(9) = %d, %t, want 1, 3 or 5", key, ok)
					return
				}
				if key, _, ok := m.Ceiling(0); !ok || key == 9 {
					t.Errorf("Ceiling(0) = %d, %t, want 1, 3 or 5", key, ok)
					return
				}
			}
		})
	}
	wg.Wait()
	stop.Store(true)
	writer.Wait()
}

// TestTrapReplace checks that a key whose value is replaced is there
// throughout, and that Compute is atomic. In crossbeam-skiplist a Get could
// miss such a key (crossbeam#1023), and in Java's map compute is not atomic
// (pulsar#21301).
func TestTrapReplace(t *testing.T) {
	unsteady(t)
	m := newSized[int, int](blockSizes[0])
	m.Store(1, 0)
	var wg sync.WaitGroup
	const n = 1000
	for range 3 {
		wg.Go(func() {
			for i := range n {
				m.Compute(1, func(old int, ok bool) (int, bool) {
					if !ok {
						t.Error("Compute has no value")
					}
					return old + 1, true
				})
				if _, ok := m.Load(1); !ok {
					t.Error("Load = false")
				}
				m.Store(2+i%9, i)
			}
		})
	}
	wg.Wait()

	if got, _ := m.Load(1); got != 3*n {
		t.Errorf("Load = %d, want %d", got, 3*n)
	}
}

// TestTrapLoopEnds checks that a loop that is over stays over, and one over
// nothing has no steps (crossbeam#737).
func TestTrapLoopEnds(t *testing.T) {
	m := NewConcurrentMap[int, int]()
	for range m.All() {
		t.Error("a loop over an empty map has a step")
	}
	for i := range 100 {
		m.Store(i, i)
	}
	var got []int
	for key := range m.From(10).Below(13).All() {
		got = append(got, key)
		m.Store(key+1000, 0)
	}
	if want := []int{10, 11, 12}; !slices.Equal(got, want) {
		t.Errorf("the loop has %d, want %d", got, want)
	}
	for key := range m.Above(20).To(10).Backward() {
		t.Errorf("a span whose bounds cross has %d", key)
	}
}

// TestLoopReadsAhead has the body of a loop change what comes behind its leaf,
// so that leaves split, merge and go with their guides: the loop tells all of
// it.
func TestLoopReadsAhead(t *testing.T) {
	for _, size := range blockSizes {
		for _, back := range []bool{false, true} {
			m := newSized[int, int](size)
			const n = 60
			for i := range n {
				m.Store(i*10, 0)
			}
			seq := m.All()
			if back {
				seq = m.Backward()
			}

			// Entries of the leaf that the loop is in are those of one moment.
			var got []int
			r := rand.New(rand.NewPCG(1, 2))
			for key := range seq {
				got = append(got, key)
				b := m.leafOf(key, closed)
				lo, hi := b.high, n*10
				if back {
					lo, hi = 0, b.low
				}
				for range 20 {
					if b.last && !back || b.first && back {
						break
					}
					if other := lo + r.IntN(hi-lo); r.IntN(2) == 0 {
						m.Store(other, 0)
					} else {
						m.Delete(other)
					}
				}
			}

			m.check()
			if back {
				slices.Reverse(got)
			}
			if want := slices.Collect(m.Snapshot().Keys()); !slices.Equal(got, want) {
				t.Errorf("size %d, backward %t: the loop has %d, want %d", size, back, got, want)
			}
		}
	}
}

// TestTrapZeroConcurrent checks the message of a map without constructor, of no
// map, and of a span of no map.
func TestTrapZeroConcurrent(t *testing.T) {
	var m ConcurrentMap[int, int]
	var s ConcurrentSpan[int, int]
	var none *ConcurrentMap[int, int]
	for _, f := range []func(){
		func() { m.Load(1) }, func() { m.Store(1, 1) }, func() { m.All() }, func() { m.Min() }, func() { m.PopMax() },
		func() { m.PopMin() }, func() { m.Clear() }, func() { m.Snapshot() }, func() { m.Delete(1) }, func() { m.Max() },
		func() { m.Compute(1, nil) }, func() { m.CompareAndSwap(1, 1, 1) }, func() { m.LoadOrStore(1, 1) },
		func() { none.Load(1) }, func() { none.All() }, func() { s.Snapshot() }, func() { s.From(1) }, func() { s.Above(1) },
		func() { s.To(1) }, func() { s.Below(1) }, func() { s.All()(nil) }, func() { s.Backward()(nil) },
	} {
		mustPanic(t, "use NewConcurrentMap", f)
	}
	mustPanic(t, "compare must not be nil", func() { NewConcurrentMapFunc[int, int](nil) })
}

// TestCompareAndSwapKinds checks what CompareAndSwap and CompareAndDelete say
// of values of any type, as those of sync.Map do.
func TestCompareAndSwapKinds(t *testing.T) {
	m := NewConcurrentMap[string, any]()
	m.Store("a", 1)
	m.Store("list", []int{1})
	if m.CompareAndSwap("a", int64(1), 2) || m.CompareAndSwap("b", nil, 2) || m.CompareAndDelete("a", "1") {
		t.Error("another value fits")
	}
	if !m.CompareAndSwap("a", 1, 2) || !m.CompareAndDelete("a", 2) || m.CompareAndDelete("a", 2) {
		t.Error("the value does not fit")
	}
	mustPanic(t, "uncomparable", func() { m.CompareAndSwap("list", []int{1}, 1) })
	mustPanic(t, "uncomparable", func() { m.CompareAndDelete("list", []int{1}) })
	if m.CompareAndSwap("none", []int{1}, 1) {
		t.Error("a key that is not there has a value")
	}
}

// TestKeyStays checks that a key keeps its first form when its value changes.
func TestKeyStays(t *testing.T) {
	m := NewConcurrentMap[float64, int]()
	m.Store(math.Copysign(0, -1), 1)
	for i := range 100 {
		m.Store(0, i)
	}
	if key, _, _ := m.Min(); !math.Signbit(key) {
		t.Error("the key is 0, want -0")
	}
}

// TestRetentionConcurrent checks how long values that are gone are kept: a leaf
// keeps no more of them than it has entries, and 15, and none when it is empty.
func TestRetentionConcurrent(t *testing.T) {
	type large [1 << 12]byte
	for name, remove := range map[string]func(m *ConcurrentMap[string, *large], key string){
		"Delete": func(m *ConcurrentMap[string, *large], key string) { m.Delete(key) },
		"Store":  func(m *ConcurrentMap[string, *large], key string) { m.Store(key, nil) },
		"PopMin": func(m *ConcurrentMap[string, *large], _ string) { m.PopMin() },
		"PopMax": func(m *ConcurrentMap[string, *large], _ string) { m.PopMax() },
		"Compute": func(m *ConcurrentMap[string, *large], key string) {
			m.Compute(key, func(*large, bool) (*large, bool) { return nil, false })
		},
		"Clear": func(m *ConcurrentMap[string, *large], _ string) { m.Clear() },
	} {
		m := newSized[string, *large](blockSizes[4])
		const n = 1000
		gone := make([]weak.Pointer[large], n)
		for i := range n {
			v := new(large)
			gone[i] = weak.Make(v)
			m.Store(strconv.Itoa(1000+i), v)
		}
		for i := range n {
			remove(m, strconv.Itoa(1000+i*7%n))
			if i%100 != 99 {
				continue
			}

			runtime.GC()
			kept, bound := 0, 0
			for _, w := range gone {
				if w.Value() != nil {
					kept++
				}
			}
			for _, b := range leavesOf(m) {
				bound += 2*b.loadLocked().size() + m.maxLog
			}
			if m.Len() == 0 {
				bound = 0
			}
			if kept > bound {
				t.Errorf("%s: after %d of %d, %d values are kept, want at most %d", name, i+1, n, kept, bound)
			}
		}
		runtime.KeepAlive(m)
	}
}

// leavesOf returns the leaves of m, in order.
func leavesOf[K, V any](m *ConcurrentMap[K, V]) (leaves []*logLeaf[K, V]) {
	m.checkGuide(m.root.Load(), &leaves)
	return leaves
}

// TestMergesConcurrent deletes the entries of the right one of two leaves, and
// looks when the left one takes in what is left: at every fourth deletion, from
// a quarter full on, and if both fit into three quarters of a leaf, or into one
// if the right one is empty.
func TestMergesConcurrent(t *testing.T) {
	for _, c := range []struct{ full, left, want int }{
		{40, 11, 8},
		{40, 22, 8},
		{40, 23, 4},
		{40, 26, 4},
		{40, 27, 0},
		{40, 40, 0},
		{4, 2, 1},
		{4, 3, 0}, // leaves so small look each time
	} {
		full, left, want := c.full, c.left, c.want
		m := newSized[int, int]([3]int{full, 8, 8})
		m.coins.Seed(2, 2) // both leaves are under one guide
		for i := range 2 * full {
			m.Store(i, i)
		}
		for i := left; i < full; i++ {
			m.Delete(i)
		}
		if got := len(leavesOf(m)); got != 2 {
			t.Fatalf("left %d of %d: %d leaves, want 2", left, full, got)
		}

		right := full
		for len(leavesOf(m)) == 2 && right > 0 {
			right--
			m.Delete(full + right)
		}
		if right != want || len(leavesOf(m)) != 1 {
			t.Errorf("left %d of %d: %d leaves with %d entries on the right, want 1 with %d", left, full, len(leavesOf(m)), right, want)
		}
		m.check()
	}
}

// TestSnapshotBesideWriters has writers keep the sum of all values as it is but
// for one step: a snapshot differs by that at most, and is not changed
// afterwards.
func TestSnapshotBesideWriters(t *testing.T) {
	unsteady(t)
	for _, size := range blockSizes {
		m := newSized[int, int](size)
		const n = 60
		for i := range n {
			m.Store(i, 100)
		}
		var stop atomic.Bool
		var writer sync.WaitGroup
		writer.Go(func() {
			for i := 0; !stop.Load(); i++ {
				add := func(by int) func(int, bool) (int, bool) {
					return func(old int, _ bool) (int, bool) { return old + by, true }
				}
				m.Compute(i%n, add(-1))
				m.Compute(i*7%n, add(1))
				m.Store(n+i%5, 0)
				m.Delete(n + i%5)
			}
		})

		for range 50 {
			s := m.Snapshot()
			sum := 0
			for _, value := range s.All() {
				sum += value
			}
			if sum != 100*n && sum != 100*n-1 {
				t.Errorf("size %d: the values of a snapshot add up to %d, want %d or one less", size, sum, 100*n)
			}
			before := fmt.Sprint(s)
			s.Set(-1, 0)
			if _, ok := m.Load(-1); ok || fmt.Sprint(s) == before {
				t.Error("a snapshot is no map of its own")
			}
		}
		stop.Store(true)
		writer.Wait()
	}
}
