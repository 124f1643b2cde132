// SPDX-License-Identifier: MIT

package quorum

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"testing"
	"time"
)

// TestPurge checks that a deletion is forgotten by all replicas once they all
// have it, and that a value, or one that is written meanwhile, is not.
func TestPurge(t *testing.T) {
	bubble(t, func(t *testing.T) {
		list := stubs(3)
		d := newKV(t, list, 1, nil)
		for _, key := range []string{"a", "b", "c"} {
			_, _ = d.Put(ctx, key, 1, At(All))
		}
		list[2].err = errDown
		_, _ = d.Delete(ctx, "a")
		_, _ = d.Delete(ctx, "b")
		settle(d.c)
		list[2].err = nil

		// While it waits, one of them is written again.
		start := time.Now()
		time.AfterFunc(30*time.Minute, func() { _, _ = d.Put(ctx, "b", 2, At(All)) })
		err := d.Purge(ctx, time.Hour, "a", "b", "c", "never written")
		if err != nil || time.Since(start) != time.Hour {
			t.Errorf("Purge = %v after %v, want nil after an hour", err, time.Since(start))
		}
		for i, s := range list {
			if s.Len() != 2 {
				t.Errorf("replica %d has %d keys, want 2", i, s.Len())
			}
		}
		for key, want := range map[string]int{"a": 0, "b": 2, "c": 1} {
			if got, _, err := d.Get(ctx, key); got != want || (want == 0) != errors.Is(err, ErrNotFound) {
				t.Errorf("Get of %s = %d, %v, want %d", key, got, err, want)
			}
		}
		settle(d.c)

		if n := d.c.Stats().Outstanding; n != 0 {
			t.Errorf("%d calls are outstanding, want 0", n)
		}

		// Nothing to forget: it does not wait.
		start = time.Now()
		if err := d.Purge(ctx, time.Hour, "a", "b"); err != nil || time.Since(start) != 0 {
			t.Errorf("Purge of nothing = %v after %v", err, time.Since(start))
		}
	})
}

// TestPurgeFails checks that a deletion that some replica does not have stays
// with all, and what Purge says when it cannot.
func TestPurgeFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for name, broken := range map[string]func(*stub) Replica[string, LWW[int]]{
			"cannot be read":    func(s *stub) Replica[string, LWW[int]] { return &loadFails{s} },
			"cannot be written": func(s *stub) Replica[string, LWW[int]] { return &mergeFails{s} },
		} {
			list := stubs(3)
			d := newKV(t, list, 1, nil)
			_, _ = d.Delete(ctx, "k", At(All))
			d.c.replicas[1] = broken(list[1])
			var e *Error
			err := d.Purge(ctx, time.Second, "k")
			if !errors.As(err, &e) || e.Kind != ErrUnavailable || e.Op != "purge" || e.Failed != SetOf(1) || !errors.Is(err, errDown) {
				t.Errorf("%s: Purge = %v, want an error of replica 1", name, err)
			}
			settle(d.c)
			if list[0].Len() != 1 || list[2].Len() != 1 {
				t.Errorf("%s: the others have %d and %d keys, want 1", name, list[0].Len(), list[2].Len())
			}
		}

		list := stubs(3)
		d := newKV(t, list, 1, nil)
		_, _ = d.Delete(ctx, "k", At(All))
		ended, cancel := context.WithCancel(ctx)
		cancel()
		if err := d.Purge(ended, time.Second, "k"); !errors.Is(err, context.Canceled) {
			t.Errorf("Purge with an ended context = %v, want Canceled", err)
		}
		limit, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if err := d.Purge(limit, time.Minute, "k"); !errors.Is(err, context.DeadlineExceeded) || list[0].Len() != 1 {
			t.Errorf("Purge that is given up = %v, and %d keys", err, list[0].Len())
		}

		// One that forgets nothing, and one that fails to.
		d.c.replicas[0] = struct{ Replica[string, LWW[int]] }{list[0]}
		if err := d.Purge(ctx, time.Second, "k"); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("Purge at a replica without the method = %v, want ErrUnsupported", err)
		}
		d.c.replicas[0] = &purgeFails{list[0]}
		var e *Error
		if err := d.Purge(ctx, time.Second, "k"); !errors.As(err, &e) || e.Op != "purge" || !errors.Is(err, errDown) {
			t.Errorf("Purge at a replica that fails = %v", err)
		}
		_ = d.Close(ctx)
		if err := d.Purge(ctx, time.Second, "k"); !errors.Is(err, ErrClosed) {
			t.Errorf("Purge after Close = %v, want ErrClosed", err)
		}
	})
}

// TestPurgeClosed checks a Purge that waits when the cluster is closed: it
// forgets nothing after that.
func TestPurgeClosed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		list := stubs(3)
		d := newKV(t, list, 1, nil)
		_, _ = d.Delete(ctx, "k", At(All))
		time.AfterFunc(time.Minute, func() { _ = d.Close(ctx) })
		if err := d.Purge(ctx, time.Hour, "k"); !errors.Is(err, ErrClosed) || list[0].Len() != 1 {
			t.Errorf("Purge = %v, and %d keys, want ErrClosed, and 1", err, list[0].Len())
		}
	})
}

// A purgeFails is a replica that does not forget.
type purgeFails struct{ *stub }

func (*purgeFails) Purge(context.Context, string, LWW[int]) error { return errDown }

// TestPurgeHints checks that a deletion that a replica has as a hint alone is
// handed over before others forget it, and that hints which count as written
// are refused.
func TestPurgeHints(t *testing.T) {
	bubble(t, func(t *testing.T) {
		list := stubs(3)
		rs := replicas(list)
		h := NewHandoff(rs[0], nil)
		rs[0] = h
		d, err := NewKV(rs, NewClock(1, nil), nil)
		if err != nil {
			t.Fatal(err)
		}
		mustPut(t, d, 1, At(All))
		broken := &mergeFails{list[0]}
		h.target = broken
		_, _ = d.Delete(ctx, "k")
		settle(d.c)
		wantHints(t, "deleted", h, 1)

		// The target has the value, and what h answers hides it.
		if err := d.Purge(ctx, time.Second, "k"); !errors.Is(err, errDown) || list[1].Len() != 1 {
			t.Errorf("Purge = %v, and replica 1 has %d keys, want that it stays", err, list[1].Len())
		}
		h.target = list[0]
		if err := d.Purge(ctx, time.Second, "k"); err != nil {
			t.Errorf("Purge = %v, want no error", err)
		}
		wantHints(t, "purged", h, 0)
		if list[0].Len()+list[1].Len()+list[2].Len() != 0 {
			t.Errorf("%d, %d, %d keys are left", list[0].Len(), list[1].Len(), list[2].Len())
		}

		// Of a hint, only what the purge covers is forgotten.
		list[0].err = errDown
		_ = h.Merge(ctx, "k", at(5))
		list[0].err = nil
		if err := h.Purge(ctx, "k", at(4)); err != nil {
			t.Error(err)
		}
		wantHints(t, "a newer one", h, 1)
		h.target = struct{ Replica[string, LWW[int]] }{list[0]}
		if err := h.Purge(ctx, "k", at(9)); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("Purge of a target that cannot = %v, want ErrUnsupported", err)
		}
		h.target = &purgeFails{list[0]}
		if err := h.Purge(ctx, "k", at(9)); !errors.Is(err, errDown) {
			t.Errorf("Purge of a target that fails = %v, want errDown", err)
		}
		wantHints(t, "not purged", h, 1)

		rs[0] = NewHandoff(list[0], &HandoffOptions{Sloppy: true})
		d, err = NewKV(rs, NewClock(1, nil), &Options{AllowStale: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Purge(ctx, time.Second, "k"); !errors.Is(err, ErrLevel) {
			t.Errorf("Purge beside hints that count = %v, want ErrLevel", err)
		}
	})
}

// purgeOps is how many calls a client of a history with a purge makes.
const purgeOps = 7

// purgeHistory plays a history in a bubble, in which clients write, delete and
// read at some pace, and somebody purges with a grace. It reports whether it is
// that of a register, and how many deletions were forgotten.
func purgeHistory(t *testing.T, seed uint64, grace, pace time.Duration) (ok bool, forgotten int) {
	t.Helper()
	s := newSim(seed)
	open := func(client int, clock *Clock) *KV[string, int] {
		rs := make([]Replica[string, LWW[int]], s.n)
		for i := range rs {
			rs[i] = &link{s, client, i}
		}
		d, err := NewKV(rs, clock, &s.opts)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}

	var first sync.Once
	s.play(t, func(_ *testing.T, client int) {
		first.Do(func() {
			go func() { // ends after its tries
				r := s.rand(drawPurge, 0, 0, 0)
				d := open(simClients, NewClock(simClients, nil))
				for op := range 3 * purgeOps {
					time.Sleep(time.Duration(r.Int64N(int64(pace / 3))))
					limit, cancel := context.WithTimeout(context.WithValue(ctx, simKey{}, uint64(op)), grace+time.Second)
					if d.Purge(limit, grace, "k") == nil && s.empty() {
						forgotten++
					}
					cancel()
				}
			}()
		})
		r := s.rand(drawClient, uint64(client), 7, 0)
		d := open(client, skewed(client, r))
		for op := range purgeOps {
			time.Sleep(time.Duration(r.Int64N(int64(pace))))
			s.purgeCall(d, client, op, r.IntN(3))
		}
	})
	slices.SortFunc(s.events, func(a, b simEvent) int { return cmp.Compare(a.call, b.call) })
	return s.check(s.events), forgotten
}

// empty reports whether no replica holds anything.
func (s *sim) empty() bool {
	return !slices.ContainsFunc(s.stores, func(m *Memory[string, LWW[int]]) bool { return m.Len() > 0 })
}

// purgeCall is operation op of a client: a Get, a Put, or a Delete, which is a
// write of 0.
func (s *sim) purgeCall(d *KV[string, int], client, op, kind int) {
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, simKey{}, uint64(op)), 300*time.Millisecond)
	defer cancel()
	e := simEvent{in: simOp{put: kind > 0}, call: int64(time.Since(s.start))}
	var err error
	switch kind {
	case 0:
		e.out.value, e.out.stamp, err = d.Get(ctx, "k", Atomic())
	case 1:
		e.out.value = 1 + client*purgeOps + op
		_, err = d.Put(ctx, "k", e.out.value, Atomic())
	case 2:
		_, err = d.Delete(ctx, "k", Atomic())
	}

	e.ret = int64(time.Since(s.start))
	if errors.Is(err, ErrIndeterminate) {
		e.ret = math.MaxInt64
	}
	if err == nil || errors.Is(err, ErrNotFound) || errors.Is(err, ErrIndeterminate) {
		s.mu.Lock()
		s.events = append(s.events, e)
		s.mu.Unlock()
	}
}

// TestPurgeSafe checks that atomic calls stay those of a register while
// deletions are forgotten, whatever is lost, late, repeated or cut off, with
// clocks that differ by up to two seconds; and that the histories find a grace
// that is too short for that.
func TestPurgeSafe(t *testing.T) {
	t.Parallel()
	forgotten := 0
	for seed := range uint64(count()) / 20 {
		ok, n := purgeHistory(t, seed, 3*time.Second, 3*time.Second)
		if !ok {
			t.Fatalf("seed %d: a deletion was forgotten too early", seed)
		}
		forgotten += n
	}
	if least := count() / 40; forgotten < least {
		t.Errorf("%d deletions were forgotten, want at least %d", forgotten, least)
	}

	const most = 5000
	for seed := range uint64(most) {
		if ok, _ := purgeHistory(t, seed, 0, 120*time.Millisecond); !ok {
			t.Logf("%d forgotten; without a grace, found in history %d", forgotten, seed)
			if ok, _ := purgeHistory(t, seed, 3*time.Second, 120*time.Millisecond); !ok {
				t.Errorf("history %d is not linearizable with a grace either", seed)
			}
			return
		}
	}
	t.Errorf("%d histories without a grace are linearizable, want one that is not", most)
}
