// SPDX-License-Identifier: MIT

package quorum

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// mustGet checks that d reads want.
func mustGet(t testing.TB, d *KV[string, int], want int, calls ...Call) Stamp {
	t.Helper()
	got, stamp, err := d.Get(ctx, "k", calls...)
	if err != nil || got != want {
		t.Errorf("Get = %v, %v, want %d", got, err, want)
	}
	return stamp
}

// mustPut writes n through d.
func mustPut(t testing.TB, d *KV[string, int], n int, calls ...Call) Stamp {
	t.Helper()
	stamp, err := d.Put(ctx, "k", n, calls...)
	if err != nil {
		t.Errorf("Put of %d = %v, want nil", n, err)
	}
	return stamp
}

// TestKV checks a map by itself: values, stamps, deletions.
func TestKV(t *testing.T) {
	list := stubs(4)
	d := newKV(t, list, 1, &Options{Write: Three, Read: Two})
	if _, stamp, err := d.Get(ctx, "k"); !errors.Is(err, ErrNotFound) || stamp != (Stamp{}) {
		t.Errorf("Get of nothing = %v, %v, want not found, no stamp", stamp, err)
	}

	first := mustPut(t, d, 1)
	if got := mustGet(t, d, 1); got != first {
		t.Errorf("stamp of Get = %v, want that of Put, %v", got, first)
	}
	second := mustPut(t, d, 2, Atomic())
	if got := mustGet(t, d, 2, Atomic()); got != second || second.Compare(first) <= 0 {
		t.Errorf("stamp of Get = %v, want that of Put, %v, after %v", got, second, first)
	}

	deleted, err := d.Delete(ctx, "k")
	if err != nil || deleted.Compare(second) <= 0 {
		t.Errorf("Delete = %v, %v, want a stamp after %v", deleted, err, second)
	}
	if _, stamp, err := d.Get(ctx, "k"); !errors.Is(err, ErrNotFound) || stamp != deleted {
		t.Errorf("Get of a deleted key = %v, %v, want not found at %v", stamp, err, deleted)
	}
	mustPut(t, d, 3)
	mustGet(t, d, 3)

	if got := d.Cluster().Stats().Merges; got != 4 {
		t.Errorf("Merges = %d, want 4", got)
	}
	if err := d.Close(ctx); err != nil {
		t.Errorf("Close = %v, want nil", err)
	}
	if _, err := d.Put(ctx, "k", 4); !errors.Is(err, ErrClosed) {
		t.Errorf("Put after Close = %v, want ErrClosed", err)
	}
	if _, _, err := d.Get(ctx, "k"); !errors.Is(err, ErrClosed) {
		t.Errorf("Get after Close = %v, want ErrClosed", err)
	}
	if _, err := d.Delete(ctx, "k", Atomic()); !errors.Is(err, ErrClosed) {
		t.Errorf("Delete after Close = %v, want ErrClosed", err)
	}
}

// TestTrapDeletedReturns checks that a replica that missed a deletion does not
// bring the value back: it is not one that says nothing.
func TestTrapDeletedReturns(t *testing.T) {
	list := stubs(3)
	d := newKV(t, list, 1, nil)
	mustPut(t, d, 1, At(All))
	list[0].err = errDown
	if _, err := d.Delete(ctx, "k"); err != nil {
		t.Errorf("Delete = %v, want nil", err)
	}

	settle(d.c)
	list[0].err = nil
	for range 6 {
		if _, _, err := d.Get(ctx, "k"); !errors.Is(err, ErrNotFound) {
			t.Errorf("Get of a deleted key = %v, want not found", err)
		}
	}
}

// TestTrapFailedWriteStays checks that a write that failed is told as
// indeterminate, and that an atomic read which returned it is not taken back:
// the usual code reports a failure, and some reads return the value.
func TestTrapFailedWriteStays(t *testing.T) {
	list := stubs(3)
	d := newKV(t, list, 1, nil)
	mustPut(t, d, 1, At(All))

	list[1].err = errDown
	list[2].err = errDown
	if _, err := d.Put(ctx, "k", 2); !errors.Is(err, ErrIndeterminate) {
		t.Errorf("Put at one of three = %v, want indeterminate", err)
	}
	settle(d.c)
	list[1].err = nil
	list[2].err = nil
	seen := false
	for range 6 {
		got, _, err := d.Get(ctx, "k", Atomic())
		if err != nil || seen && got != 2 {
			t.Errorf("Get = %v, %v, want 2 since it was seen", got, err)
		}
		seen = seen || got == 2
	}
	if !seen {
		t.Error("no read asked the replica that kept the write")
	}
}

// TestTrapInversion checks two readers: when the first has returned a value,
// the second does not return an older one. Without Atomic it may, if a write is
// going on.
func TestTrapInversion(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for _, tt := range []struct {
			calls []Call
			want  int // of the second reader
		}{
			{nil, 1},
			{[]Call{Atomic()}, 2},
		} {
			list := stubs(3)
			writer := newKV(t, list, 1, nil)
			mustPut(t, writer, 1, At(All))
			for _, s := range list[1:] {
				s.delay = time.Hour
			}
			inner, cancel := context.WithTimeout(ctx, time.Second)
			_, _ = writer.Put(inner, "k", 2) // replica 0 has it, the others will not
			cancel()
			synctest.Wait()
			for _, s := range list[1:] {
				s.delay = 0
			}

			// The first reader asks 0 and 1, the second 1 and 2.
			reader := newKV(t, list, 2, &Options{Repair: RepairOff, Hedge: -1})
			reader.c.turn.Store(2)
			mustGet(t, reader, 2, tt.calls...)
			mustGet(t, reader, tt.want, tt.calls...)
		}
	})
}

// TestTrapUnanimous checks that an atomic read writes back although all that it
// asked agree, if they are less than a write quorum: N=4, W=3, R=2.
func TestTrapUnanimous(t *testing.T) {
	list := stubs(4)
	list[0].set(7) // of a write that did not get its quorum
	list[1].set(7)
	c := newCluster(t, list, &Options{Write: Three, Read: Two, Repair: RepairOff, Hedge: -1})
	c.turn.Store(3) // the next are 0 and 1, then 1 and 2, then 2 and 3
	mustLoad(t, c, 7, Atomic())
	c.turn.Store(5)
	mustLoad(t, c, 7, Atomic())
	if got := list[2].holds() + list[3].holds(); got < 7 {
		t.Error("the result of an atomic read is not at a write quorum")
	}
}

// TestAtomicCosts checks that an atomic read of what a write quorum holds, or
// of a key that was never written, writes nothing.
func TestAtomicCosts(t *testing.T) {
	list := stubs(4)
	c := newCluster(t, list, &Options{Write: Three, Read: Two})
	mustLoad(t, c, 0, Atomic())
	if got := c.Stats().Repairs; got != 0 {
		t.Errorf("Repairs = %d of a key that was never written, want 0", got)
	}

	list = stubs(3)
	c = newCluster(t, list, nil)
	list[0].set(7)
	list[1].set(7)
	list[2].set(7)
	mustLoad(t, c, 7, Atomic())
	if got := c.Stats(); got.Repairs != 0 || list[0].merges.Load() != 0 {
		t.Errorf("Stats = %+v, want no repairs", got)
	}
}

// TestAtomicFails checks that an atomic read fails if its result cannot be
// written back.
func TestAtomicFails(t *testing.T) {
	list := stubs(3)
	list[0].set(7)
	c := newCluster(t, list, nil)
	for i := range list {
		c.replicas[i] = &mergeFails{list[i]}
	}
	c.turn.Store(2)
	_, err := c.Load(ctx, "k", Atomic())
	var e *Error
	if !errors.As(err, &e) || e.Kind != ErrUnavailable || !errors.Is(err, errDown) {
		t.Errorf("Load = %v, want unavailable", err)
	}
	settle(c)
	if got := c.Stats().Extra; got != 0 {
		t.Errorf("Extra = %d: a replica that has the result was told it, or asked again", got)
	}

	// A Put that cannot read the stamps has written nothing.
	for i := range list {
		c.replicas[i] = &loadFails{list[i]}
	}
	d := &KV[string, int]{c: c, clock: NewClock(1, nil)}
	if _, err := d.Put(ctx, "k", 8, Atomic()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Put = %v, want unavailable", err)
	}
	if _, err := d.Put(ctx, "k", 8, At(7)); !errors.Is(err, ErrLevel) {
		t.Errorf("Put at 7 of 3 = %v, want ErrLevel", err)
	}
}

// TestPartition checks the two sides of a partition of three replicas: a client
// that reaches one of them is refused, or gets the old answer if it said that
// it may be; one that reaches two goes on.
func TestPartition(t *testing.T) {
	list := stubs(3)
	strict := newKV(t, list, 1, nil)
	mustPut(t, strict, 1000, At(All))
	list[0].err = errDown
	mustPut(t, strict, 900)
	mustGet(t, strict, 900)
	settle(strict.c)

	list[0].err = nil
	list[1].err = errDown
	list[2].err = errDown
	if _, _, err := strict.Get(ctx, "k"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Get = %v, want unavailable", err)
	}
	if _, _, err := strict.Get(ctx, "k", At(One)); !errors.Is(err, ErrLevel) {
		t.Errorf("Get at one = %v, want ErrLevel", err)
	}
	loose := newKV(t, list, 2, &Options{AllowStale: true})
	mustGet(t, loose, 1000, At(One))
}

// TestAtomicRefused checks that an atomic write is refused if its reads could
// miss a write.
func TestAtomicRefused(t *testing.T) {
	d := newKV(t, stubs(3), 1, &Options{Read: One, AllowStale: true})
	mustPut(t, d, 1)
	if _, err := d.Put(ctx, "k", 1, Atomic()); !errors.Is(err, ErrLevel) {
		t.Errorf("Put = %v, want ErrLevel", err)
	}
	if _, _, err := d.Get(ctx, "k", Atomic()); !errors.Is(err, ErrLevel) {
		t.Errorf("Get = %v, want ErrLevel", err)
	}
	mustGet(t, d, 1, Atomic(), At(Quorum))
}

// TestCausal checks two keys: a reader of what a client wrote also reads what
// that client had read before. Without Atomic it need not.
func TestCausal(t *testing.T) {
	for _, tt := range []struct {
		calls []Call
		want  int
	}{
		{nil, 1},
		{[]Call{Atomic()}, 2},
	} {
		list := stubs(3)
		writer := newKV(t, list, 1, nil)
		mustPut(t, writer, 1, At(All))
		list[1].err = errDown
		list[2].err = errDown
		_, _ = writer.Put(ctx, "k", 2) // replica 0 keeps it
		settle(writer.c)
		list[1].err = nil
		list[2].err = nil

		// The first client asks 0 and 1, and writes the other key.
		first := newKV(t, list, 2, &Options{Repair: RepairOff, Hedge: -1})
		first.c.turn.Store(2)
		mustGet(t, first, 2, tt.calls...)
		if _, err := first.Put(ctx, "other", 9, tt.calls...); err != nil {
			t.Errorf("Put = %v, want nil", err)
		}

		// The second one asks 1 and 2 for both.
		second := newKV(t, list, 3, &Options{Repair: RepairOff, Hedge: -1})
		second.c.turn.Store(3)
		if got, _, err := second.Get(ctx, "other", tt.calls...); got != 9 || err != nil {
			t.Errorf("Get of the other key = %v, %v, want 9", got, err)
		}
		second.c.turn.Store(3)
		mustGet(t, second, tt.want, tt.calls...)
	}
}

// TestClockSkew checks that a writer whose clock is behind loses a plain Put
// and not an atomic one, and that reading is enough to catch up.
func TestClockSkew(t *testing.T) {
	list := stubs(3)
	ahead := newKV(t, list, 1, nil)
	behind := func() *KV[string, int] {
		clock := NewClock(2, &ClockOptions{
			Now:       func() time.Time { return time.Now().Add(-time.Hour) },
			MaxOffset: 2 * time.Hour,
		})
		d, err := NewKV(replicas(list), clock, nil)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}

	mustPut(t, ahead, 1)
	mustPut(t, behind(), 2)
	mustGet(t, ahead, 1, At(All))
	mustPut(t, behind(), 3, Atomic())
	mustGet(t, ahead, 3, At(All))

	mustPut(t, ahead, 4)
	d := behind()
	mustGet(t, d, 4)
	mustPut(t, d, 5)
	mustGet(t, ahead, 5, At(All))
}

// TestDrift checks that a stamp from too far ahead can be read, and that an
// atomic write does not take part in it.
func TestDrift(t *testing.T) {
	list := stubs(3)
	far := Stamp{Wall: time.Now().Add(time.Hour).UnixNano()}
	for _, s := range list {
		_ = s.Memory.Merge(ctx, "k", LWW[int]{Value: 7, Stamp: far})
	}
	d := newKV(t, list, 1, nil)
	mustGet(t, d, 7)
	if stamp, err := d.Put(ctx, "k", 8, Atomic()); !errors.Is(err, ErrDrift) || stamp != (Stamp{}) {
		t.Errorf("Put = %v, %v, want ErrDrift", stamp, err)
	}
	if got := list[0].merges.Load(); got != 0 {
		t.Errorf("Put wrote to replica 0 %d times, want 0", got)
	}
	if stamp := mustPut(t, d, 8); stamp.Compare(far) > 0 {
		t.Errorf("stamp of Put = %v, want one of today", stamp)
	}
}

// TestClock checks a clock whose time stands still, goes back, and runs out of
// counts.
func TestClock(t *testing.T) {
	now := int64(1000)
	c := NewClock(7, &ClockOptions{Now: func() time.Time { return time.Unix(0, now) }, MaxOffset: 10})
	step := func(want Stamp) {
		t.Helper()
		if got := c.Now(); got != want {
			t.Errorf("Now at %d = %v, want %v", now, got, want)
		}
	}
	step(Stamp{1000, 0, 7})
	step(Stamp{1000, 1, 7})
	now = 900
	step(Stamp{1000, 2, 7})

	// Equal time: the count surpasses that of the other.
	if err := c.Observe(Stamp{1000, 5, 9}); !errors.Is(err, ErrDrift) {
		t.Errorf("Observe of 100 ahead = %v, want ErrDrift", err)
	}
	now = 1000
	if err := c.Observe(Stamp{1000, 5, 9}); err != nil {
		t.Errorf("Observe = %v, want nil", err)
	}
	step(Stamp{1000, 6, 7})
	if err := c.Observe(Stamp{1010, 0, 9}); err != nil {
		t.Errorf("Observe of 10 ahead = %v, want nil", err)
	}
	if err := c.Observe(Stamp{1011, 0, 9}); !errors.Is(err, ErrDrift) {
		t.Errorf("Observe of 11 ahead = %v, want ErrDrift", err)
	}
	step(Stamp{1010, 1, 7})
	if err := c.Observe(Stamp{1, 0, 9}); err != nil {
		t.Errorf("Observe of the past = %v, want nil", err)
	}
	step(Stamp{1010, 2, 7})

	_ = c.Observe(Stamp{1010, 1<<32 - 1, 9})
	step(Stamp{1011, 0, 7})
	now = 2000
	step(Stamp{2000, 0, 7})

	if got := c.Now().Time(); !got.Equal(time.Unix(0, 2000)) {
		t.Errorf("Time = %v, want that of 2000", got)
	}
	usual := NewClock(7, &ClockOptions{Now: func() time.Time { return time.Unix(0, 0) }})
	if err := usual.Observe(Stamp{Wall: 5e8}); err != nil {
		t.Errorf("Observe of 500 ms ahead = %v, want nil", err)
	}
	if err := usual.Observe(Stamp{Wall: 5e8 + 1}); !errors.Is(err, ErrDrift) {
		t.Errorf("Observe of more than 500 ms ahead = %v, want ErrDrift", err)
	}
	loose := NewClock(7, &ClockOptions{MaxOffset: -1})
	if err := loose.Observe(Stamp{Wall: 1 << 62}); err != nil {
		t.Errorf("Observe without a bound = %v, want nil", err)
	}
}

// TestStampCompare checks the order: time, count, node.
func TestStampCompare(t *testing.T) {
	order := []Stamp{{}, {0, 0, 1}, {0, 1, 0}, {1, 0, 0}, {1, 0, 2}, {1, 3, 1}}
	for i, a := range order {
		for j, b := range order {
			if got, want := a.Compare(b), min(max(i-j, -1), 1); got != want {
				t.Errorf("%v.Compare(%v) = %d, want %d", a, b, got, want)
			}
		}
	}
}

// TestMemory checks Len and Keys, and a zero value; all other tests check the
// rest.
func TestMemory(t *testing.T) {
	m := NewMemory[string, LWW[int]]()
	_ = m.Merge(ctx, "a", at(1))
	_ = m.Merge(ctx, "b", at(1))
	keys := m.Keys()
	_ = m.Merge(ctx, "c", at(1))
	if got := slices.Sorted(keys); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("Keys = %v, want a and b", got)
	}
	if got := m.Len(); got != 3 {
		t.Errorf("Len = %d, want 3", got)
	}

	var zero Memory[string, LWW[int]]
	s, err := zero.Load(ctx, "a")
	if err != nil || s != (LWW[int]{}) || zero.Len() != 0 {
		t.Errorf("the zero Memory has %+v, %v and %d keys, want nothing", s, err, zero.Len())
	}
	_ = zero.Merge(ctx, "a", at(1))
	if s, _ = zero.Load(ctx, "a"); s != at(1) {
		t.Errorf("Load = %+v, want %+v", s, at(1))
	}
}
