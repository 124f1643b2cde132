// SPDX-License-Identifier: MIT

package quorum

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestClockExtremes checks that no time, however far, makes a clock go back or
// follow another one: sums of times do not wrap around.
func TestClockExtremes(t *testing.T) {
	for _, tt := range []struct {
		now    int64
		offset time.Duration
		seen   Stamp
		want   error
	}{
		{-1 << 62, 500, Stamp{Wall: math.MaxInt64 - 1}, ErrDrift},      // long before 1970
		{math.MaxInt64, 500, Stamp{Wall: math.MaxInt64}, ErrDrift},     // nothing surpasses it
		{0, -1, Stamp{math.MaxInt64, math.MaxUint32, 1}, ErrDrift},     // nothing surpasses it
		{0, math.MaxInt64, Stamp{Wall: math.MaxInt64}, ErrDrift},       // nothing surpasses it
		{0, -1, Stamp{math.MaxInt64 - 1, math.MaxUint32, 1}, nil},      // one does
		{1 << 61, math.MaxInt64, Stamp{Wall: 1 << 62}, nil},            // within the offset
		{1000, 500, Stamp{Wall: math.MinInt64}, nil},                   // long gone
		{math.MinInt64, 500, Stamp{Wall: 1}, ErrDrift},                 // a clock at the beginning
		{math.MaxInt64 - 10, 500, Stamp{Wall: math.MaxInt64 - 1}, nil}, // at the end
	} {
		c := NewClock(7, &ClockOptions{MaxOffset: tt.offset, Now: func() time.Time { return time.Unix(0, tt.now) }})
		if err := c.Observe(tt.seen); !errors.Is(err, tt.want) {
			t.Errorf("Observe of %v at %d, offset %d = %v, want %v", tt.seen, tt.now, tt.offset, err, tt.want)
		}
		last := Stamp{}
		if tt.want == nil {
			last = tt.seen
		}
		for range 3 {
			s := c.Now()
			if s.Compare(last) <= 0 || s.Node != 7 {
				t.Errorf("Now at %d after %v = %v, want it to grow", tt.now, last, s)
			}
			last = s
		}
	}

	// A Multi takes stamps of its node up to the offset for its own.
	for _, tt := range []struct {
		offset time.Duration
		want   int64
	}{{500, 1501}, {math.MaxInt64, math.MaxInt64}, {-1, math.MaxInt64}} {
		c := NewClock(7, &ClockOptions{MaxOffset: tt.offset, Now: func() time.Time { return time.Unix(0, 1000) }})
		if got := c.latest(); got != tt.want {
			t.Errorf("latest with offset %d = %d, want %d", tt.offset, got, tt.want)
		}
	}
}

// TestForever checks settings that mean forever: nothing wraps around, and
// nobody takes what another holds.
func TestForever(t *testing.T) {
	bubble(t, func(t *testing.T) {
		list := grantAcceptors()
		opts := &LeaseOptions{TTL: math.MaxInt64}
		a, b := newLease(t, list, opts), newLease(t, list, &LeaseOptions{Retry: time.Hour})
		token := acquire(t, a)
		time.Sleep(1000 * time.Hour)
		wantHeld(t, "a, after a long time", a, true)
		limit, cancel := context.WithTimeout(ctx, 10000*time.Hour)
		defer cancel()
		if _, err := b.Acquire(limit); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("b.Acquire = %v, want its deadline", err)
		}
		if err := a.Renew(ctx); err != nil {
			t.Errorf("a.Renew = %v, want no error", err)
		}
		err := a.Do(ctx, func(ctx context.Context, again uint64) error {
			if again != token {
				t.Errorf("Do has token %d, want %d", again, token)
			}
			return ctx.Err()
		})
		if err != nil {
			t.Errorf("a.Do = %v, want no error", err)
		}
		acquire(t, b)

		// A write without a timeout, and a Close that waits for it.
		nodes := stubs(3)
		nodes[2].delay = time.Hour
		c := newCluster(t, nodes, &Options{Timeout: math.MaxInt64, Hedge: math.MaxInt64})
		mustLoad(t, c, 0)
		mustMerge(t, c, 1)
		start := time.Now()
		if err := c.Close(ctx); err != nil || time.Since(start) < 50*time.Minute {
			t.Errorf("Close = %v after %v, want nil after an hour", err, time.Since(start))
		}
	})
}

// TestLeaseShared checks calls of Do of one Lease: they hold it together, one
// within the other too, and the last one gives it back.
func TestLeaseShared(t *testing.T) {
	bubble(t, func(t *testing.T) {
		list := grantAcceptors()
		l, other := newLease(t, list, nil), newLease(t, list, nil)
		work := func(d time.Duration) func(ctx context.Context, token uint64) error {
			return func(ctx context.Context, token uint64) error {
				time.Sleep(d)
				if now, ok := l.Held(); !ok || now != token {
					t.Errorf("after %v: Held = %d, %t, want %d", d, now, ok, token)
				}
				return ctx.Err()
			}
		}
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				if err := l.Do(ctx, work(time.Duration(i)*time.Minute)); err != nil {
					t.Errorf("Do for %d minutes = %v, want no error", i, err)
				}
			})
		}
		synctest.Wait()
		start := time.Now()
		acquire(t, other)
		if d := time.Since(start); d < 3*time.Minute || d > 3*time.Minute+2*time.Second {
			t.Errorf("another one has waited %v, want until the last has ended", d)
		}
		wg.Wait()
		_ = other.Release(ctx)

		err := l.Do(ctx, func(ctx context.Context, token uint64) error {
			if err := l.Do(ctx, work(time.Minute)); err != nil {
				t.Errorf("the inner Do = %v, want no error", err)
			}
			return work(time.Minute)(ctx, token)
		})
		if err != nil {
			t.Errorf("the outer Do = %v, want no error", err)
		}
		wantHeld(t, "in the end", l, false)
	})
}

// TestLeaseSharedFails checks a call of Do that gives up while it waits for the
// lease, after another one has left it the lease.
func TestLeaseSharedFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		list := grantAcceptors()
		l, other := newLease(t, list, nil), newLease(t, list, nil)

		// The first one has it, and ends while the second one cannot begin.
		leave := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() { _ = l.Do(ctx, func(context.Context, uint64) error { <-leave; return nil }) })
		synctest.Wait()
		l.turn <- struct{}{} // somebody renews, slowly
		limit, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		wg.Go(func() {
			err := l.Do(limit, func(context.Context, uint64) error { return nil })
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Do that cannot begin = %v, want DeadlineExceeded", err)
			}
		})
		synctest.Wait()
		close(leave)
		time.Sleep(2 * time.Second)
		<-l.turn
		wg.Wait()
		wantHeld(t, "when both have ended", l, false)
		start := time.Now()
		acquire(t, other)
		if d := time.Since(start); !about(d, 0) {
			t.Errorf("another one has waited %v", d)
		}

		// One that never had it does not give back what somebody has acquired.
		_ = other.Release(ctx)
		acquire(t, l)
		ended, cancel := context.WithCancel(ctx)
		cancel()
		if err := l.Do(ended, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("Do with an ended context = %v, want Canceled", err)
		}
		wantHeld(t, "after a Do that did not begin", l, true)

		// It ends with its context while another goroutine waits for the lease.
		_ = l.Release(ctx)
		acquire(t, other)
		waiting, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		wg.Go(func() { _, _ = l.Acquire(waiting) })
		synctest.Wait()
		limit, cancel = context.WithTimeout(ctx, time.Second)
		defer cancel()
		start = time.Now()
		if err := l.Do(limit, nil); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("Do = %v after %v, want its deadline after 1s", err, time.Since(start))
		}
		wg.Wait()
	})
}

// TestLeaseGivenUp checks that the context of Do ends when the lease is given
// back, or acquired again, and not some time later.
func TestLeaseGivenUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		list := grantAcceptors()
		l := newLease(t, list, nil)

		for name, giveUp := range map[string]func(){
			"released": func() { _ = l.Release(ctx) },
			"another token": func() {
				_ = l.Release(ctx)
				acquire(t, l)
			},
		} {
			err := l.Do(ctx, func(ctx context.Context, _ uint64) error {
				synctest.Wait() // it is being renewed
				start := time.Now()
				giveUp()
				select {
				case <-ctx.Done():
				case <-time.After(time.Hour):
				}
				if d := time.Since(start); d > 50*time.Millisecond || !errors.Is(context.Cause(ctx), ErrLost) {
					t.Errorf("%s: the context ended after %v, cause %v, want ErrLost at once", name, d, context.Cause(ctx))
				}
				return nil
			})
			if !errors.Is(err, ErrLost) {
				t.Errorf("%s: Do = %v, want ErrLost", name, err)
			}
		}
	})
}

// TestLeaseRetryLong checks that Do renews in time though Retry is as long as
// the lease, and tries again after a failure.
func TestLeaseRetryLong(t *testing.T) {
	for _, retry := range []time.Duration{time.Second, 9 * time.Second, time.Hour} {
		bubble(t, func(t *testing.T) {
			l, set := downLease(t, &LeaseOptions{TTL: 9 * time.Second, Retry: retry})
			err := l.Do(ctx, func(ctx context.Context, _ uint64) error {
				time.Sleep(time.Minute)
				set(true, false)
				time.Sleep(4 * time.Second)
				set(false, false)
				time.Sleep(time.Minute)
				return ctx.Err()
			})
			if err != nil {
				t.Errorf("Retry %v: Do = %v, want no error", retry, err)
			}
		})
	}
}

// TestLeaseRenewals checks that Do renews each third of the time, and no more
// often, however long its function runs.
func TestLeaseRenewals(t *testing.T) {
	bubble(t, func(t *testing.T) {
		list, renewed := grantAcceptors(), 0
		l := newLease(t, list, &LeaseOptions{TTL: 9 * time.Second, Retry: time.Second})
		err := l.Do(ctx, func(ctx context.Context, _ uint64) error {
			version := func() uint64 { s, _ := list[0].Prepare(ctx, "leader", Ballot{}); return s.Version }
			synctest.Wait()
			before := version()
			time.Sleep(time.Minute)
			synctest.Wait()
			renewed = int(version() - before)
			return ctx.Err()
		})
		if err != nil || renewed < 19 || renewed > 20 {
			t.Errorf("Do = %v after %d renewals in a minute, want 20", err, renewed)
		}
	})
}

// TestLeaseLostEarly checks that a lease that another has taken before its end,
// by a clock that runs much too fast, is not held once that is known; and that
// to renew what is not held asks nobody.
func TestLeaseLostEarly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		list := grantAcceptors()
		a, b := newLease(t, list, nil), newLease(t, list, nil)
		acquire(t, a)
		start := time.Now()
		b.now = func() time.Duration { return 10 * time.Since(start) }
		acquire(t, b)
		wantHeld(t, "a, before it knows", a, true)
		if err := a.Renew(ctx); !errors.Is(err, ErrLost) {
			t.Errorf("Renew = %v, want ErrLost", err)
		}
		wantHeld(t, "a, when it knows", a, false)

		l, set := downLease(t, nil)
		set(true, false)
		if err := l.Renew(ctx); err != ErrLost {
			t.Errorf("Renew of what is not held, without acceptors = %v, want ErrLost alone", err)
		}
	})
}

// TestLeaseReleased checks that a lease is not held after Release, whatever
// that returns; that an error comes without a token; and that a newer grant of
// the same lease, which it does not know, is not given back with an old token.
func TestLeaseReleased(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLease(t, grantAcceptors(), nil)
		token := acquire(t, l)
		ended, cancel := context.WithCancel(ctx)
		cancel()
		if err := l.Release(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("Release with an ended context = %v, want Canceled", err)
		}
		wantHeld(t, "released in vain", l, false)
		if token, err := l.Acquire(ended); token != 0 || !errors.Is(err, context.Canceled) {
			t.Errorf("Acquire with an ended context = %d, %v, want no token", token, err)
		}
		if second := acquire(t, l); second <= token {
			t.Errorf("token %d after %d, want a greater one", second, token)
		}

		newer := Grant{Holder: l.id, Token: 1000, TTL: time.Hour}
		_, _, _ = l.cas.Update(ctx, l.key, func(Grant, uint64) (Grant, error) { return newer, nil })
		if err := l.Release(ctx); err != nil {
			t.Errorf("Release = %v, want no error", err)
		}
		if got, _, err := l.cas.Get(ctx, l.key); got != newer || err != nil {
			t.Errorf("the grant is %+v, %v, want the newer one, %+v", got, err, newer)
		}

		// A token that was not held in time is none.
		down, set := downLease(t, nil)
		set(true, false)
		limit, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if token, err := down.Acquire(limit); token != 0 || err == nil {
			t.Errorf("Acquire without acceptors = %d, %v, want no token", token, err)
		}
	})
}

// TestClosing checks that calls which Close refuses do not keep it: it returns
// when the last request from before has ended.
func TestClosing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		list := stubs(3)
		list[2].delay = time.Second
		c := newCluster(t, list, nil)
		mustMerge(t, c, 1)
		time.AfterFunc(time.Millisecond, func() {
			for range 5 {
				if _, err := c.Load(ctx, "k"); err != ErrClosed {
					t.Errorf("Load = %v, want ErrClosed", err)
				}
			}
		})
		start := time.Now()
		if err := c.Close(ctx); err != nil || time.Since(start) != time.Second {
			t.Errorf("Close = %v after %v, want nil after 1s", err, time.Since(start))
		}
		if n := c.Stats().Outstanding; n != 0 {
			t.Errorf("%d calls are outstanding, want 0", n)
		}
	})
}

// TestUpdateErrorKept checks that an error of the function is returned as it
// is, also if it is one of another call.
func TestUpdateErrorKept(t *testing.T) {
	c := newCAS(t, acceptors(3), nil)
	mine := &Error{Op: "load", Kind: ErrUnavailable}
	_, _, err := c.Update(ctx, "k", func(int, uint64) (int, error) { return 0, mine })
	if err != error(mine) || mine.Op != "load" {
		t.Errorf("Update = %+v, want the error of its function, with its own op", err)
	}
}

// TestFlushTwice checks that a hint that another Flush has handed over is not
// handed over again.
func TestFlushTwice(t *testing.T) {
	target, h := newHandoff(nil)
	target.err = errDown
	_ = h.Merge(ctx, "a", at(1))
	_ = h.Merge(ctx, "b", at(1))
	target.err = nil
	before := target.merges.Load()
	inner := false
	h.target = &flushing{target, func() {
		if !inner {
			inner = true
			_ = h.Flush(ctx)
		}
	}}
	if err := h.Flush(ctx); err != nil {
		t.Error(err)
	}
	if n := target.merges.Load() - before; n != 3 {
		t.Errorf("%d merges, want the first key twice, and the other one once", n)
	}
}

// A flushing is a replica in the middle of whose merges something happens.
type flushing struct {
	*stub
	meanwhile func()
}

func (f *flushing) Merge(ctx context.Context, key string, s LWW[int]) error {
	f.meanwhile()
	return f.stub.Merge(ctx, key, s)
}

// TestKeysNotEqual checks keys that are not equal to themselves: they are
// refused, and leave nothing behind.
func TestKeysNotEqual(t *testing.T) {
	nan := math.NaN()
	store := NewMemory[float64, LWW[int]]()
	hints := NewHandoff(store, &HandoffOptions{Down: func() bool { return true }})
	d, err := NewKV([]Replica[float64, LWW[int]]{store}, NewClock(1, nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	acceptor := new(MemoryAcceptor[float64, int])
	cas, err := NewCAS([]Acceptor[float64, int]{acceptor}, nil)
	if err != nil {
		t.Fatal(err)
	}
	siblings := NewMemory[float64, Siblings[int]]()
	m, err := NewMulti([]Replica[float64, Siblings[int]]{siblings}, NewClock(1, nil), nil)
	if err != nil {
		t.Fatal(err)
	}

	for range 10 {
		if _, err := d.Put(ctx, nan, 1); !errors.Is(err, ErrUnavailable) || !errors.Is(err, errKey) {
			t.Errorf("Put = %v, want unavailable, and why", err)
		}
		if err := hints.Merge(ctx, nan, at(1)); !errors.Is(err, ErrUnavailable) {
			t.Errorf("Handoff.Merge = %v, want unavailable", err)
		}
		if _, err := m.Put(ctx, nan, 1, Siblings[int]{}); !errors.Is(err, ErrUnavailable) || !errors.Is(err, errKey) {
			t.Errorf("Multi.Put = %v, want unavailable, and why", err)
		}
		if _, _, err := cas.Update(ctx, nan, func(int, uint64) (int, error) { return 1, nil }); !errors.Is(err, ErrUnavailable) || !errors.Is(err, errKey) {
			t.Errorf("Update = %v, want unavailable, and why", err)
		}
		if _, err := acceptor.Accept(ctx, nan, Slot[int]{Promised: Ballot{1, 1}}); !errors.Is(err, errKey) {
			t.Errorf("Accept = %v, want %v", err, errKey)
		}
	}
	if store.Len()+siblings.Len()+hints.Len()+len(acceptor.slots)+len(cas.turns.keys)+len(m.turns.keys) != 0 {
		t.Errorf("%d, %d states, %d hints, %d slots, %d and %d turns are left", store.Len(), siblings.Len(),
			hints.Len(), len(acceptor.slots), len(cas.turns.keys), len(m.turns.keys))
	}
}

// TestHandoffNested checks that hints which count as written are seen below
// others that do not.
func TestHandoffNested(t *testing.T) {
	rs := replicas(stubs(3))
	rs[0] = NewHandoff(NewHandoff(rs[0], &HandoffOptions{Sloppy: true}), nil)
	if _, err := New(rs, nil); !errors.Is(err, ErrLevel) {
		t.Errorf("New = %v, want ErrLevel", err)
	}
	rs[0] = NewHandoff(NewHandoff(replicas(stubs(1))[0], nil), nil)
	if _, err := New(rs, nil); err != nil {
		t.Errorf("New with hints that do not count = %v, want no error", err)
	}
}

// TestHandoffFull checks that hints do not go beyond their bound though several
// come at once: while one is joined, another one takes the last place.
func TestHandoffFull(t *testing.T) {
	var h *Handoff[string, hooked]
	down := &HandoffOptions{Keys: 2, Down: func() bool { return true }}
	h = NewHandoff(NewMemory[string, hooked](), down)
	other := hooked{n: 1}
	_ = h.Merge(ctx, "a", other)
	late := h.Merge(ctx, "b", hooked{n: 2, hook: func() { _ = h.Merge(ctx, "c", other) }})
	if h.Len() != 2 || !errors.Is(late, ErrUnavailable) {
		t.Errorf("%d hints, and the last Merge = %v, want 2, and unavailable", h.Len(), late)
	}
}

// TestEnded checks that calls whose context has ended ask nobody, and call no
// function.
func TestEnded(t *testing.T) {
	ended, cancel := context.WithCancel(ctx)
	cancel()
	list := stubs(3)
	c := newCluster(t, list, nil)
	if held, err := c.Repair(ended, "k"); held != 0 || !errors.Is(err, context.Canceled) || !errors.Is(err, ErrUnavailable) {
		t.Errorf("Repair = %v, %v, want none, canceled", held, err)
	}
	for i, s := range list {
		if n := s.loads.Load() + s.merges.Load(); n != 0 {
			t.Errorf("replica %d got %d requests, want 0", i, n)
		}
	}
	if got := c.Stats().Outstanding; got != 0 {
		t.Errorf("%d calls are outstanding, want 0", got)
	}

	// Also if the key is free, and a ballot was promised.
	fragile, as := fragiles(3)
	cas := newCAS(t, as, nil)
	if _, _, err := cas.Update(ctx, "k", add(1)); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return slotOf(as[0]).Version+slotOf(as[1]).Version+slotOf(as[2]).Version == 3 })
	for range 20 {
		_, _, err := cas.Update(ended, "k", func(int, uint64) (int, error) {
			t.Error("the function of an update whose context has ended is called")
			return 0, nil
		})
		if !errors.Is(err, context.Canceled) || !errors.Is(err, ErrUnavailable) {
			t.Errorf("Update = %v, want canceled", err)
		}
	}
	if n := fragile[0].accepts.Load(); n != 1 {
		t.Errorf("acceptor 0 was told %d times, want once", n)
	}
}

// TestNilContext checks that a call without a context panics before it has
// begun: Close does not wait for it.
func TestNilContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := newKV(t, stubs(3), 1, nil)
		var none context.Context
		mustPanic(t, "nil pointer", func() { _, _, _ = d.Get(none, "k") })
		mustPanic(t, "nil pointer", func() { _, _ = d.Put(none, "k", 1) })
		mustPanic(t, "nil pointer", func() { _, _ = d.Cluster().Repair(none, "k") })
		start := time.Now()
		if err := d.Close(ctx); err != nil || time.Since(start) != 0 {
			t.Errorf("Close = %v after %v, want nil at once", err, time.Since(start))
		}
	})
}

// TestZeroValues checks that zero values are ready to use, or say what makes
// one that is.
func TestZeroValues(t *testing.T) {
	var memory Memory[string, LWW[int]]
	if s, err := memory.Load(ctx, "k"); s != (LWW[int]{}) || err != nil || memory.Len() != 0 {
		t.Errorf("Load = %v, %v", s, err)
	}
	for range memory.Keys() {
		t.Error("the zero Memory has a key")
	}
	if err := memory.Merge(ctx, "k", at(1)); err != nil || memory.Len() != 1 {
		t.Errorf("Merge = %v, and %d keys", err, memory.Len())
	}

	var c Cluster[string, LWW[int]]
	var d KV[string, int]
	var m Multi[string, int]
	var h Handoff[string, LWW[int]]
	var clock Clock
	for want, calls := range map[string][]func(){
		"use New": {
			func() { _, _ = c.Load(ctx, "k") },
			func() { _ = c.Merge(ctx, "k", at(1), At(One)) },
			func() { _, _ = c.Repair(ctx, "k") },
		},
		"use New, NewKV or NewMulti": {
			func() { _, _, _ = d.Get(ctx, "k") },
			func() { _, _ = d.Put(ctx, "k", 1) },
			func() { _, _ = m.Get(ctx, "k") },
			func() { _, _ = m.Put(ctx, "k", 1, Siblings[int]{}) },
			func() { _ = m.Delete(ctx, "k", Siblings[int]{}) },
		},
		"use NewHandoff": {
			func() { _, _ = h.Load(ctx, "k") },
			func() { _ = h.Merge(ctx, "k", at(1)) },
		},
		"use NewClock": {
			func() { clock.Now() },
			func() { _ = clock.Observe(Stamp{Wall: 1}) },
			func() { _, _ = NewMulti(make([]Replica[string, Siblings[int]], 0), &clock, nil) },
		},
		"f must not be nil": {func() { _, _ = Do[int](ctx, Majority(First(3)), nil, nil) }},
	} {
		for i, call := range calls {
			if want == "use NewClock" && i == 2 {
				continue // NewMulti refuses to have no replicas first
			}
			mustPanic(t, want, call)
		}
	}
	if err := c.Close(ctx); err != nil || c.Stats() != (Stats{}) {
		t.Errorf("Close of the zero Cluster = %v, %+v", err, c.Stats())
	}
}

// TestMany checks numbers of replicas beyond what there is room for.
func TestMany(t *testing.T) {
	const many = 10_000
	if _, err := New(make([]Replica[string, LWW[int]], many), nil); err == nil {
		t.Error("New of 10,000 replicas: got no error")
	}
	if _, err := NewCAS(make([]Acceptor[string, int], many), nil); err == nil {
		t.Error("NewCAS of 10,000 acceptors: got no error")
	}
	mustPanic(t, "number of weights", func() { Weighted(1, make([]int, many)...) })
	mustPanic(t, "number of replicas", func() { First(many) })
	mustPanic(t, "too large to add", func() { Weighted(1, math.MaxInt, 1) })

	huge := Weighted(math.MaxInt, math.MaxInt-1, 1)
	if huge.Has(First(1)) || !huge.Has(First(2)) || huge.Resilience() != 0 || huge.Dual().Vote(First(1), 0) != Won {
		t.Errorf("%v counts wrong", huge)
	}
}

// TestIntersectMany checks that many replicas of few kinds take no time: New
// compares systems of 64 weights, and of zones.
func TestIntersectMany(t *testing.T) {
	ones := make([]int, maxReplicas)
	twos := make([]int, maxReplicas)
	for i := range ones {
		ones[i] = 1
		twos[i] = 1 + i%2
	}
	zones := func(k, need int) System {
		var subs []System
		for i := range 4 {
			subs = append(subs, Threshold(need, First(16)<<(16*i)))
		}
		return Of(k, subs...)
	}

	for _, tt := range []struct {
		r, w System
		want bool
	}{
		{Weighted(33, ones...), Weighted(33, ones...), true},
		{Weighted(32, ones...), Weighted(32, ones...), false},
		{Weighted(32, ones...), Weighted(33, ones...), true},
		{Weighted(49, twos...), Weighted(48, twos...), true},
		{Weighted(48, twos...), Weighted(48, twos...), false},
		{Weighted(49, twos...), Majority(First(64)), false},
		{zones(3, 9), zones(3, 9), true},
		{zones(3, 9), zones(2, 9), true},
		{zones(3, 9), zones(1, 9), false},
		{zones(3, 9), zones(2, 8), true},
		{zones(3, 9), Majority(First(64)), false},
	} {
		start := time.Now()
		if got := Intersect(tt.r, tt.w); got != tt.want {
			t.Errorf("Intersect(%v, %v) = %t, want %t", tt.r, tt.w, got, tt.want)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("Intersect(%v, %v) took %v", tt.r, tt.w, took)
		}
	}
	if got := Weighted(33, ones...).Resilience(); got != 31 {
		t.Errorf("resilience of 33 of 64 = %d, want 31", got)
	}
}

// TestNested checks that a system may be nested deep.
func TestNested(t *testing.T) {
	s := Majority(First(3))
	for range 20_000 {
		s = Of(1, s)
	}
	if !s.Has(First(2)) || s.Dual().Vote(0, First(2)) != Lost || len(s.String()) < 100_000 {
		t.Error("a system that is nested deep counts wrong")
	}
	c := newCluster(t, stubs(3), &Options{ReadSystem: s, WriteSystem: s})
	mustMerge(t, c, 1)
	mustLoad(t, c, 1, Atomic())
}

// A vain is a state without any of the laws: nothing covers it, and each join
// is another one.
type vain struct{ n int }

func (v vain) Join(o vain) vain { return vain{v.n + o.n + 1} }
func (vain) Covers(vain) bool   { return false }

// TestNoLattice checks that calls of a state without laws end.
func TestNoLattice(t *testing.T) {
	for _, mode := range []RepairMode{RepairAsync, RepairBlocking, RepairOff} {
		var rs []Replica[string, vain]
		for range 3 {
			rs = append(rs, NewHandoff(NewMemory[string, vain](), nil))
		}
		c, err := New(rs, &Options{Repair: mode})
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			if err := c.Merge(ctx, "k", vain{1}); err != nil {
				t.Errorf("Merge = %v, want no error", err)
			}
			if _, err := c.Load(ctx, "k", Atomic()); err != nil {
				t.Errorf("Load = %v, want no error", err)
			}
			if _, err := c.Repair(ctx, "k"); err != nil {
				t.Errorf("Repair = %v, want no error", err)
			}
		}
		if err := c.Close(ctx); err != nil {
			t.Errorf("Close = %v, want no error", err)
		}
	}
}

// A bomb is a state whose Join, or whose Covers in another goroutine, does what
// a test says.
type bomb struct {
	n      int
	join   func()
	covers func()
}

func (b bomb) Join(o bomb) bomb {
	if o.join != nil {
		o.join()
	}
	return bomb{n: max(b.n, o.n), covers: o.covers}
}

func (b bomb) Covers(o bomb) bool {
	if b.covers != nil {
		b.covers()
	}
	return b.n >= o.n
}

// A bombReplica answers a load when it is told to.
type bombReplica struct {
	state bomb
	delay time.Duration // in a bubble
}

func (r *bombReplica) Load(context.Context, string) (bomb, error) {
	time.Sleep(r.delay) // in a bubble
	return r.state, nil
}

func (*bombReplica) Merge(context.Context, string, bomb) error { return nil }

// TestStatesFail checks states that panic in the goroutine of the caller, and
// that end the goroutine of a late answer: Close does not wait for them.
func TestStatesFail(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rs := []Replica[string, bomb]{
			&bombReplica{bomb{n: 1, join: func() { panic("in Join") }}, 0},
			&bombReplica{bomb{n: 1, join: func() { panic("in Join") }}, 0},
			&bombReplica{bomb{n: 1, join: func() { panic("in Join") }}, time.Second},
		}
		c, err := New(rs, nil)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			mustPanic(t, "in Join", func() { _, _ = c.Load(ctx, "k") })
		}
		time.Sleep(time.Minute)
		if err := c.Close(ctx); err != nil {
			t.Errorf("Close = %v, want no error", err)
		}

		rs = []Replica[string, bomb]{
			&bombReplica{bomb{n: 1}, 0},
			&bombReplica{bomb{n: 1}, 0},
			&bombReplica{bomb{n: 1, covers: runtime.Goexit}, time.Second},
		}
		c, err = New(rs, &Options{Hedge: -1})
		if err != nil {
			t.Fatal(err)
		}
		c.turn.Store(2)
		o := c.newLoad(ctx, "k", Majority(First(3)))
		c.active.Add(2)
		o.sendAll(First(3))
		_ = o.wait(ctx)
		_ = o.leave("load", nil)
		o.join(true)
		o.release()
		start := time.Now()
		if err := c.Close(ctx); err != nil || time.Since(start) != time.Second {
			t.Errorf("Close = %v after %v, want nil after 1s", err, time.Since(start))
		}
	})
}

// TestReplicaPanics checks that the panic of a replica is not swallowed, and
// that the call has counted it as a failure by then.
func TestReplicaPanics(t *testing.T) {
	c := newCluster(t, stubs(1), nil)
	c.replicas[0] = panics{}
	c.active.Add(2)
	o := c.newLoad(ctx, "k", c.read.system)
	o.refs.Add(1)
	o.sent = First(1)
	mustPanic(t, "in Load", func() { o.requests[0]() })
	if e := o.leave("load", o.wait(ctx)); e == nil || e.Failed != First(1) {
		t.Errorf("the call = %v, want a failure of replica 0", e)
	}
	o.release()
	if err := c.Close(ctx); err != nil {
		t.Errorf("Close = %v, want no error", err)
	}
}

// A panics is a replica that panics.
type panics struct{}

func (panics) Load(context.Context, string) (LWW[int], error) { panic("in Load") }
func (panics) Merge(context.Context, string, LWW[int]) error  { panic("in Merge") }

// TestDeaf checks that the context of the caller ends each call, though the
// replicas never return and heed no context.
func TestDeaf(t *testing.T) {
	bubble(t, func(t *testing.T) {
		list := stubs(3)
		freed := make(chan struct{})
		for _, s := range list {
			s.deaf = true
			s.freed = freed
		}
		d := newKV(t, list, 1, nil)
		deaf := func(string) error { <-freed; return errDown }
		fragile, as := fragiles(3)
		for _, f := range fragile {
			f.fail(deaf, nil)
		}
		cas := newCAS(t, as, nil)

		for name, call := range map[string]func(ctx context.Context) error{
			"Get":         func(ctx context.Context) error { _, _, err := d.Get(ctx, "k"); return err },
			"Put":         func(ctx context.Context) error { _, err := d.Put(ctx, "k", 1); return err },
			"Put, atomic": func(ctx context.Context) error { _, err := d.Put(ctx, "k", 1, Atomic()); return err },
			"Repair":      func(ctx context.Context) error { _, err := d.Cluster().Repair(ctx, "k"); return err },
			"CAS.Get":     func(ctx context.Context) error { _, _, err := cas.Get(ctx, "k"); return err },
			"Update":      func(ctx context.Context) error { _, _, err := cas.Update(ctx, "k", add(1)); return err },
			"Do": func(ctx context.Context) error {
				_, err := Do(ctx, Majority(First(3)), func(context.Context, int) (int, error) { return 0, deaf("") }, nil)
				return err
			},
		} {
			limit, cancel := context.WithTimeout(ctx, time.Second)
			start := time.Now()
			err := call(limit)
			cancel()
			if took := time.Since(start); took != time.Second || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s = %v after %v, want its deadline after 1s", name, err, took)
			}
		}
		close(freed)
	})
}

// TestBallotsUsedUp checks that ballots do not begin again after the last one,
// and that an acceptor never goes back.
func TestBallotsUsedUp(t *testing.T) {
	for _, round := range []uint64{math.MaxUint64, math.MaxUint64 - 1, math.MaxUint64 - 2, math.MaxUint64 - 3} {
		list, as := fragiles(3)
		c := newCAS(t, as, nil)
		for _, f := range list {
			_, _ = f.Acceptor.Prepare(ctx, "k", Ballot{round, 1})
		}
		limit, cancel := context.WithTimeout(ctx, 10*time.Second)
		var last Slot[int]
		var err error
		for range 5 {
			_, _, err = c.Update(limit, "k", add(1))
			now := slotOf(as[0])
			if now.Promised.Compare(last.Promised) < 0 || now.Accepted.Compare(now.Promised) > 0 {
				t.Errorf("round %d: acceptor 0 has %+v after %+v", round, now, last)
			}
			last = now
		}
		cancel()
		if !errors.Is(err, ErrUnavailable) || !errors.Is(err, errBallots) {
			t.Errorf("round %d: the last Update = %v, want that ballots are used up", round, err)
		}
	}

	// A proposal that promises less than it is.
	s := Slot[int]{Promised: Ballot{2, 1}}
	for _, promised := range []Ballot{{}, {2, 1}, {5, 1}} {
		if got := s.Accept(Slot[int]{Accepted: Ballot{5, 1}, Promised: promised, Value: 1}); got != (Ballot{2, 1}) || s.Value != 0 {
			t.Errorf("Accept with a promise of %v = %v, %+v, want it refused", promised, got, s)
		}
	}
}

// TestTurnsRemembered checks that a key in use is not forgotten, and that one
// that is not used is when there are many.
func TestTurnsRemembered(t *testing.T) {
	s := turns[string, int]{keep: 1}
	a, err := s.enter(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	var order atomic.Int64
	done := make(chan int64)
	go func() { // ends when a is free
		again, _ := s.enter(ctx, "a")
		done <- order.Add(1)
		s.leave("a", again)
	}()
	for i := range 3 {
		key := fmt.Sprint("b", i)
		b, _ := s.enter(ctx, key)
		s.leave(key, b)
	}
	order.Add(10)
	s.leave("a", a)
	if got := <-done; got != 11 {
		t.Errorf("the second came %d, want after the first", got)
	}
	eventually(t, func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.keys) <= 1 })
}
