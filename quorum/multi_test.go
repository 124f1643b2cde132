// SPDX-License-Identifier: MIT

package quorum

import (
	"context"
	"errors"
	"math"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// A multiStub is a replica that a test breaks.
type multiStub struct {
	*Memory[string, Siblings[int]]
	mu     sync.Mutex        // protects the fields below
	before func(n int) error // is asked before merge n, from 0; nil: none
	merged []Siblings[int]   // in the order of their arrival
	delay  func(n int) <-chan time.Time
}

func (s *multiStub) Merge(ctx context.Context, key string, v Siblings[int]) error {
	s.mu.Lock()
	n := len(s.merged)
	s.merged = append(s.merged, v)
	before, delay := s.before, s.delay
	s.mu.Unlock()
	if delay != nil {
		<-delay(n)
	}
	if before != nil {
		if err := before(n); err != nil {
			return err
		}
	}
	return s.Memory.Merge(ctx, key, v)
}

// multiStubs returns n replicas, for a test to break.
func multiStubs(n int) []*multiStub {
	list := make([]*multiStub, n)
	for i := range list {
		list[i] = &multiStub{Memory: NewMemory[string, Siblings[int]]()}
	}
	return list
}

// newMulti returns a map on list, whose clock has number node.
func newMulti(t testing.TB, list []*multiStub, node uint32, opts *Options) *Multi[string, int] {
	t.Helper()
	rs := make([]Replica[string, Siblings[int]], len(list))
	for i, s := range list {
		rs[i] = s
	}
	d, err := NewMulti(rs, NewClock(node, nil), opts)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// put writes v over seen through d.
func (d *Multi[K, V]) put(t testing.TB, key K, v V, seen Siblings[V]) Siblings[V] {
	t.Helper()
	got, err := d.Put(ctx, key, v, seen)
	if err != nil {
		t.Errorf("Put of %v = %v, want nil", v, err)
	}
	return got
}

// wantValues checks that d reads want, in any order.
func wantValues(t testing.TB, what string, d *Multi[string, int], want ...int) Siblings[int] {
	t.Helper()
	got, err := d.Get(ctx, "k")
	if values := slices.Sorted(slices.Values(got.Values)); err != nil || !slices.Equal(values, want) {
		t.Errorf("%s: Get = %v, %v, want %v", what, values, err, want)
	}
	return got
}

// TestMulti checks writes that have seen each other, and writes that have not.
func TestMulti(t *testing.T) {
	list := multiStubs(3)
	a, b := newMulti(t, list, 1, nil), newMulti(t, list, 2, nil)
	nothing := wantValues(t, "at first", a)
	first := a.put(t, "k", 1, nothing)
	second := a.put(t, "k", 2, first)
	wantValues(t, "replaced", b, 2)

	// Two at once, one of the same node, and one that has seen something old.
	b.put(t, "k", 3, second)
	a.put(t, "k", 4, second)
	a.put(t, "k", 5, first)
	both := wantValues(t, "at once", a, 3, 4, 5)

	// Merged, while another one comes.
	b.put(t, "k", 6, nothing)
	a.put(t, "k", 12, both)
	seen := wantValues(t, "merged", b, 6, 12)
	b.put(t, "k", 7, seen)
	if err := a.Delete(ctx, "k", seen); err != nil {
		t.Errorf("Delete = %v, want no error", err)
	}
	seen = wantValues(t, "deleted too late", a, 7)
	if err := a.Delete(ctx, "k", seen); err != nil {
		t.Errorf("Delete = %v, want no error", err)
	}
	wantValues(t, "deleted", b)
}

// TestModelMulti checks a Multi against the history of its writes: a key has
// just those values that no later write has seen. So there are no more of them
// than there were writers at once.
func TestModelMulti(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		list := multiStubs(rapid.IntRange(1, 4).Draw(rt, "replicas"))
		writers := make([]*Multi[string, int], rapid.IntRange(1, 4).Draw(rt, "writers"))
		seen := make([]Siblings[int], len(writers)) // by each of them, at last
		for i := range writers {
			writers[i] = newMulti(t, list, uint32(i), nil)
		}
		past := map[int][]int{} // of each value, those that its writer had seen
		gone := map[int]bool{}
		forgetful := false

		for n := range rapid.IntRange(1, 20).Draw(rt, "steps") {
			i := rapid.IntRange(0, len(writers)-1).Draw(rt, "writer")
			context := seen[i]
			var err error
			switch rapid.IntRange(0, 9).Draw(rt, "kind") {
			case 0, 1, 2:
				seen[i], err = writers[i].Get(ctx, "k")
			case 3:
				err = writers[i].Delete(ctx, "k", context)
				past[-1-n] = context.Values
			case 4:
				forgetful = true // it has a value more than its own next one replaces
				context = Siblings[int]{}
				fallthrough
			default:
				seen[i], err = writers[i].Put(ctx, "k", n, context)
				past[n] = context.Values
			}
			if err != nil {
				rt.Fatal(err)
			}
			for _, values := range past {
				for _, v := range values {
					gone[v] = true
				}
			}

			var want []int
			for v := range past {
				if v >= 0 && !gone[v] {
					want = append(want, v)
				}
			}
			slices.Sort(want)
			got, err := writers[0].Get(ctx, "k")
			if values := slices.Sorted(slices.Values(got.Values)); err != nil || !slices.Equal(values, want) {
				rt.Fatalf("after step %d: %v, %v, want %v", n, values, err, want)
			}
			if len(got.Seen) > len(writers) || !forgetful && len(got.Values) > len(writers) {
				rt.Fatalf("%d values and %d nodes of %d writers", len(got.Values), len(got.Seen), len(writers))
			}
		}
	})
}

// TestTrapSiblingExplosion checks that writers who go on with what their last
// write returned leave one value each, however often they write
// (basho/riak_kv#746).
func TestTrapSiblingExplosion(t *testing.T) {
	list := multiStubs(3)
	var writers []*Multi[string, int]
	seen := make([]Siblings[int], 3)
	for i := range seen {
		writers = append(writers, newMulti(t, list, uint32(i), nil))
	}

	for round := range 50 {
		for i, d := range writers {
			own := seen[i]
			for k, stamp := range own.Stamps { // a client that does not look at the values of others
				if stamp.Node == uint32(i) {
					own = sibs([]Stamp{stamp}, nil)
					own.Values[0] = seen[i].Values[k]
				}
			}
			seen[i] = d.put(t, "k", 100*i+round, own)
		}
	}
	got := wantValues(t, "in the end", writers[0], 49, 149, 249)
	if len(got.Seen) != 3 {
		t.Errorf("the context has %d nodes, want 3", len(got.Seen))
	}
}

// TestTrapContextPruned checks that a key that is full refuses writes rather
// than forget what was replaced: else that returns (basho/riak_core#613).
func TestTrapContextPruned(t *testing.T) {
	list := multiStubs(1)
	for node := range uint32(maxNodes) {
		d := newMulti(t, list, node, nil)
		d.put(t, "k", int(node), wantValues(t, "before", d, slices.Repeat([]int{int(node) - 1}, int(min(node, 1)))...))
	}
	late := newMulti(t, list, maxNodes, nil)
	if _, err := late.Put(ctx, "k", -1, Siblings[int]{}); !errors.Is(err, ErrFull) {
		t.Errorf("Put of one node more = %v, want ErrFull", err)
	}
	early := newMulti(t, list, 0, nil)
	early.put(t, "k", -2, wantValues(t, "full", late, maxNodes-1))

	// Values are full as well, until some are merged.
	for i := range maxValues {
		early.put(t, "many", i, Siblings[int]{})
	}
	if _, err := early.Put(ctx, "many", -1, Siblings[int]{}); !errors.Is(err, ErrFull) {
		t.Errorf("Put of one value more = %v, want ErrFull", err)
	}
	all, err := early.Get(ctx, "many")
	if got := early.put(t, "many", -1, all); err != nil || len(all.Values) != maxValues || !slices.Equal(got.Values, []int{-1}) {
		t.Errorf("merged: %v of %d values, %v, want one of %d", got.Values, len(all.Values), err, maxValues)
	}
}

// TestTrapContextMadeUp checks that a context that a client has made up, which
// claims all writes that will ever be, replaces what there is, and nothing that
// comes later.
func TestTrapContextMadeUp(t *testing.T) {
	list := multiStubs(3)
	d := newMulti(t, list, 1, nil)
	d.put(t, "k", 1, Siblings[int]{})
	claim := Stamp{math.MaxInt64, math.MaxUint32, 1}
	for _, seen := range []Siblings[int]{sibs(nil, []Stamp{claim}), sibs([]Stamp{claim}, nil)} {
		if err := d.Delete(ctx, "k", seen); err != nil {
			t.Errorf("Delete = %v, want no error", err)
		}
		d.put(t, "k", 2, seen)
		d.put(t, "k", 3, Siblings[int]{})
		got := wantValues(t, "after the claim", d, 2, 3)
		if err := d.Delete(ctx, "k", got); err != nil {
			t.Errorf("Delete = %v, want no error", err)
		}
		d.put(t, "k", 1, Siblings[int]{})
		got = wantValues(t, "the next one", d, 1)
		if err := d.Delete(ctx, "k", got); err != nil {
			t.Errorf("Delete = %v, want no error", err)
		}
	}
}

// TestTrapActorReuse checks that writers with one number do not take each
// other's writes for their own: one after the other goes on where the other one
// was (basho/riak_kv#679), and two at once are found (basho/riak_kv#1865).
func TestTrapActorReuse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		list := multiStubs(3)
		first := newMulti(t, list, 1, nil)
		seen := first.put(t, "k", 1, Siblings[int]{})
		time.Sleep(500 * time.Millisecond) // its last stamp is at most so far ahead

		// It dies, and starts again with an empty memory.
		again := newMulti(t, list, 1, nil)
		again.put(t, "k", 2, Siblings[int]{})
		wantValues(t, "started again", again, 1, 2)
		again.put(t, "k", 3, seen)
		wantValues(t, "replaced by the second", again, 2, 3)

		// But it has not died.
		time.Sleep(time.Second)
		again.put(t, "k", 4, Siblings[int]{})
		if _, err := first.Put(ctx, "k", 5, Siblings[int]{}); !errors.Is(err, ErrNode) {
			t.Errorf("Put beside another one = %v, want ErrNode", err)
		}
		wantValues(t, "in the end", again, 2, 3, 4)
		synctest.Wait()
	})
}

// TestMultiClockBack checks a node whose clock has gone back since its last
// start: by less than MaxOffset its stamps still grow, by more it is refused,
// unless stamps may lie anywhere.
func TestMultiClockBack(t *testing.T) {
	for _, tt := range []struct {
		back, offset time.Duration
		want         error
	}{
		{400 * time.Millisecond, 500 * time.Millisecond, nil},
		{time.Hour, 500 * time.Millisecond, ErrNode},
		{time.Hour, -1, nil},
	} {
		now := time.Now()
		store := NewMemory[string, Siblings[int]]()
		start := func() *Multi[string, int] {
			clock := NewClock(1, &ClockOptions{MaxOffset: tt.offset, Now: func() time.Time { return now }})
			d, err := NewMulti([]Replica[string, Siblings[int]]{store}, clock, nil)
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		start().put(t, "k", 1, Siblings[int]{})
		now = now.Add(-tt.back)
		d := start()
		got, err := d.Put(ctx, "k", 2, Siblings[int]{})
		if !errors.Is(err, tt.want) || err == nil && !slices.Equal(got.Values, []int{1, 2}) {
			t.Errorf("back by %v of %v: %v, %v, want %v", tt.back, tt.offset, got.Values, err, tt.want)
		}
	}

	// A clock that goes back under way finds that its stamps lie ahead.
	now := time.Now()
	list := multiStubs(1)
	d := newMulti(t, list, 1, nil)
	d.clock.opts.Now = func() time.Time { return now }
	ahead := Stamp{Wall: now.UnixNano(), Node: 1}
	d.until = ahead.Wall
	_ = list[0].Memory.Merge(ctx, "k", sibs([]Stamp{ahead}, nil))
	now = now.Add(-time.Hour)
	if _, err := d.Put(ctx, "k", 2, Siblings[int]{}); !errors.Is(err, ErrDrift) {
		t.Errorf("Put of a clock that went back = %v, want ErrDrift", err)
	}
}

// TestMultiDies checks a writer that dies once one replica has its value: what
// it was to replace is not lost, whichever replicas are asked, also when the
// same node writes again.
func TestMultiDies(t *testing.T) {
	list := multiStubs(3)
	d := newMulti(t, list, 1, nil)
	seen := d.put(t, "k", 1, Siblings[int]{})
	settle(d.Cluster())
	down := func(int) error { return errDown }
	list[1].before = down
	list[2].before = down
	if _, err := d.Put(ctx, "k", 2, seen); !errors.Is(err, ErrIndeterminate) {
		t.Errorf("Put = %v, want ErrIndeterminate", err)
	}
	settle(d.Cluster())
	list[1].before = nil
	list[2].before = nil

	// The replica that has it is not asked.
	list[0].before = down
	again := newMulti(t, list[1:], 1, &Options{Write: All, Read: All})
	again.put(t, "k", 3, Siblings[int]{})
	list[0].before = nil
	all := newMulti(t, list, 2, &Options{Read: All, Write: All})
	wantValues(t, "in the end", all, 1, 2, 3)
}

// TestMultiDeleteTold checks that a Delete tells all replicas, also if what it
// reads has no value any more, since a Delete that failed has told one of them.
func TestMultiDeleteTold(t *testing.T) {
	list := multiStubs(3)
	d := newMulti(t, list, 1, &Options{Read: All, Write: All, Repair: RepairOff})
	seen := d.put(t, "k", 1, Siblings[int]{})
	down := func(int) error { return errDown }
	list[1].before = down
	list[2].before = down
	if err := d.Delete(ctx, "k", seen); !errors.Is(err, ErrIndeterminate) {
		t.Errorf("Delete = %v, want ErrIndeterminate", err)
	}
	settle(d.Cluster())

	list[1].before = nil
	list[2].before = nil
	if err := d.Delete(ctx, "k", seen); err != nil {
		t.Errorf("Delete = %v, want no error", err)
	}
	for i, s := range list {
		if got, _ := s.Load(ctx, "k"); len(got.Values) != 0 {
			t.Errorf("replica %d has %v, want nothing", i, got.Values)
		}
	}
}

// TestMultiErrors checks what a call returns when its first or second merge
// fails, and what it has changed.
func TestMultiErrors(t *testing.T) {
	sure := errors.Join(ErrUnavailable, errDown)
	for _, tt := range []struct {
		fails int // which merge, since the first Put
		err   error
		want  error
		after []int
	}{
		{1, sure, ErrUnavailable, []int{1}},
		{1, errDown, ErrIndeterminate, []int{1}},
		{2, sure, ErrIndeterminate, []int{1, 2}},
		{2, errDown, ErrIndeterminate, []int{1, 2}},
		{3, errDown, nil, []int{2}},
	} {
		list := multiStubs(1)
		d := newMulti(t, list, 1, nil)
		seen := d.put(t, "k", 1, Siblings[int]{})

		list[0].before = func(n int) error {
			if n == tt.fails {
				return tt.err
			}
			return nil
		}
		got, err := d.Put(ctx, "k", 2, seen)
		var kind error
		if e := (*Error)(nil); errors.As(err, &e) {
			kind = e.Kind
		}
		if kind != tt.want || err == nil && !slices.Equal(got.Values, []int{2}) {
			t.Errorf("merge %d fails with %v: Put = %v, %v, want %v", tt.fails, tt.err, got.Values, err, tt.want)
		}
		wantValues(t, "after it", d, tt.after...)
	}
}

// TestMultiRefused checks what is refused before anything is sent.
func TestMultiRefused(t *testing.T) {
	list := multiStubs(3)
	d := newMulti(t, list, 1, &Options{Read: One, Write: All, AllowStale: true})
	var bad Siblings[int]
	bad.Values = []int{1}
	ended, cancel := context.WithCancel(ctx)
	cancel()

	if _, err := d.Put(ctx, "k", 1, Siblings[int]{}, At(Two)); !errors.Is(err, ErrLevel) {
		t.Errorf("Put at two, with reads at one = %v, want ErrLevel", err)
	}
	if err := d.Delete(ctx, "k", Siblings[int]{}, At(Two)); !errors.Is(err, ErrLevel) {
		t.Errorf("Delete at two, with reads at one = %v, want ErrLevel", err)
	}
	if _, err := d.Put(ctx, "k", 1, bad); err == nil {
		t.Error("Put of a bad context: got no error")
	}
	if err := d.Delete(ctx, "k", bad); err == nil {
		t.Error("Delete of a bad context: got no error")
	}
	if _, err := d.Put(ended, "k", 1, Siblings[int]{}); !errors.Is(err, context.Canceled) || !errors.Is(err, ErrUnavailable) {
		t.Errorf("Put with an ended context = %v", err)
	}
	for i, s := range list {
		if len(s.merged) != 0 {
			t.Errorf("replica %d was asked to merge %v", i, s.merged)
		}
	}

	if err := d.Close(ctx); err != nil {
		t.Errorf("Close = %v, want no error", err)
	}
	if _, err := d.Put(ctx, "k", 1, Siblings[int]{}); !errors.Is(err, ErrClosed) {
		t.Errorf("Put after Close = %v, want ErrClosed", err)
	}
	if err := d.Delete(ctx, "k", Siblings[int]{}); !errors.Is(err, ErrClosed) {
		t.Errorf("Delete after Close = %v, want ErrClosed", err)
	}
}

// TestMultiClosed checks a Put in the middle of which Close is called: its
// value was written.
func TestMultiClosed(t *testing.T) {
	list := multiStubs(1)
	d := newMulti(t, list, 1, nil)
	seen := d.put(t, "k", 1, Siblings[int]{})
	done := make(chan error, 1)
	list[0].before = func(n int) error {
		if n > 1 {
			return nil
		}
		go func() { done <- d.Close(ctx) }() // ends when the Put does
		for d.c.active.Load()&1 == 0 {
			runtime.Gosched()
		}
		return nil
	}
	_, err := d.Put(ctx, "k", 2, seen)
	if !errors.Is(err, ErrIndeterminate) || !errors.Is(err, ErrClosed) {
		t.Errorf("Put = %v, want that it is indeterminate, since closed", err)
	}
	if err := <-done; err != nil {
		t.Errorf("Close = %v, want no error", err)
	}
}

// TestMultiTurns checks that a Put waits for the one of the same key before it:
// one at a time, so that none replaces another one that has not ended. Other
// keys do not wait.
func TestMultiTurns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		list := multiStubs(1)
		list[0].delay = func(int) <-chan time.Time { return time.After(time.Second) }
		d := newMulti(t, list, 1, nil)
		start := time.Now()

		var wg sync.WaitGroup
		for i := range 3 {
			wg.Go(func() { d.put(t, "k", i, Siblings[int]{}) })
		}
		wg.Go(func() {
			d.put(t, "other", 1, Siblings[int]{})
			if took := time.Since(start); took != time.Second {
				t.Errorf("another key took %v, want a second", took)
			}
		})
		short, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		defer cancel()
		synctest.Wait()
		if _, err := d.Put(short, "k", 9, Siblings[int]{}); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrUnavailable) {
			t.Errorf("Put that does not get its turn = %v", err)
		}
		wg.Go(func() { d.put(t, "k", 3, Siblings[int]{}) }) // the others are remembered
		wg.Wait()
		if took := time.Since(start); took != 4*time.Second {
			t.Errorf("four Puts took %v, want four seconds", took)
		}
		wantValues(t, "in the end", d, 0, 1, 2, 3)
		if len(d.turns.keys) != 0 {
			t.Errorf("%d keys are remembered, want none", len(d.turns.keys))
		}
	})
}

// TestNewMultiErrors checks what NewMulti refuses.
func TestNewMultiErrors(t *testing.T) {
	rs := []Replica[string, Siblings[int]]{NewMemory[string, Siblings[int]]()}
	mustPanic(t, "clock must not be nil", func() { _, _ = NewMulti(rs, nil, nil) })
	if _, err := NewMulti[string, int](nil, NewClock(1, nil), nil); err == nil {
		t.Error("without replicas: got no error")
	}
	rs = append(rs, rs[0], rs[0])
	opts := &Options{Read: One, Write: One, AllowStale: true}
	if _, err := NewMulti(rs, NewClock(1, nil), opts); !errors.Is(err, ErrLevel) {
		t.Errorf("with reads that can miss writes: %v, want ErrLevel", err)
	}
}
