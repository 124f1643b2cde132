// SPDX-License-Identifier: MIT

package quorum

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// newHandoff returns a replica with hints for a stub.
func newHandoff(opts *HandoffOptions) (*stub, *Handoff[string, LWW[int]]) {
	s := stubs(1)[0]
	return s, NewHandoff(s, opts)
}

// wantHints checks how many hints h keeps.
func wantHints(t testing.TB, what string, h *Handoff[string, LWW[int]], want int) {
	t.Helper()
	if got := h.Len(); got != want {
		t.Errorf("%s: %d hints, want %d", what, got, want)
	}
}

// TestHandoff checks that what a target misses is kept, joined by key, and
// handed over, and that what it does not miss is not kept.
func TestHandoff(t *testing.T) {
	target, h := newHandoff(nil)
	if err := h.Merge(ctx, "k", at(1)); err != nil {
		t.Errorf("Merge = %v, want no error", err)
	}
	wantHints(t, "nothing missed", h, 0)

	target.err = errDown
	for _, n := range []int{3, 4, 2} {
		if err := h.Merge(ctx, "k", at(n)); !errors.Is(err, errDown) {
			t.Errorf("Merge of %d = %v, want the error of the target", n, err)
		}
	}
	_ = h.Merge(ctx, "other", at(5))
	wantHints(t, "two keys missed", h, 2)
	if _, err := h.Load(ctx, "k"); !errors.Is(err, errDown) {
		t.Errorf("Load = %v, want the error of the target", err)
	}
	if err := h.Flush(ctx); !errors.Is(err, errDown) {
		t.Errorf("Flush = %v, want the error of the target", err)
	}
	wantHints(t, "flushed in vain", h, 2)

	// It is back: a load knows of what is kept, and a Flush hands it over.
	target.err = nil
	if s, err := h.Load(ctx, "k"); err != nil || s.Value != 4 || target.holds() != 1 {
		t.Errorf("Load = %v, %v, while the target holds %d, want 4, 1", s.Value, err, target.holds())
	}
	before := target.merges.Load()
	if err := h.Flush(ctx); err != nil {
		t.Errorf("Flush = %v, want no error", err)
	}
	wantHints(t, "flushed", h, 0)
	if n := target.merges.Load() - before; n != 2 || target.holds() != 4 {
		t.Errorf("%d merges, the target holds %d, want 2 and 4", n, target.holds())
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := h.Flush(ended); err != nil {
		t.Errorf("Flush of nothing = %v, want nil", err)
	}
	target.err = errDown
	_ = h.Merge(ctx, "k", at(5))
	if err := h.Flush(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("Flush with an ended context = %v, want Canceled", err)
	}
}

// TestHandoffErrors checks what a Merge returns that fails, by whether it was
// kept: an ErrUnavailable surely has no effect, not even later.
func TestHandoffErrors(t *testing.T) {
	sure := fmt.Errorf("%w: no route", ErrUnavailable)
	down := func() bool { return true }
	for _, tt := range []struct {
		name        string
		err         error
		opts        HandoffOptions
		full        bool
		fails, sure bool
	}{
		{"kept", errDown, HandoffOptions{}, false, true, false},
		{"kept, and surely not merged", sure, HandoffOptions{}, false, true, false},
		{"not kept", errDown, HandoffOptions{}, true, true, false},
		{"not kept, and surely not merged", sure, HandoffOptions{}, true, true, true},
		{"kept, not asked", nil, HandoffOptions{Down: down}, false, true, false},
		{"not kept, not asked", nil, HandoffOptions{Down: down}, true, true, true},
		{"sloppy", errDown, HandoffOptions{Sloppy: true}, false, false, false},
		{"sloppy, not kept", errDown, HandoffOptions{Sloppy: true}, true, true, false},
		{"sloppy, not asked", nil, HandoffOptions{Sloppy: true, Down: down}, false, false, false},
	} {
		tt.opts.Keys = 1

		target, h := newHandoff(&tt.opts)
		target.err = errDown
		if tt.full {
			_ = h.Merge(ctx, "other", at(1))
		}
		target.err = tt.err
		err := h.Merge(ctx, "k", at(1))
		if (err != nil) != tt.fails || errors.Is(err, ErrUnavailable) != tt.sure {
			t.Errorf("%s: %v, want an error %v, surely without effect %v", tt.name, err, tt.fails, tt.sure)
		}
		if asked := target.merges.Load() > 0; asked != (tt.opts.Down == nil) {
			t.Errorf("%s: the target was asked: %v", tt.name, asked)
		}
		wantHints(t, tt.name, h, 1)
	}
}

// TestHandoffBounds checks that no more than so many keys are kept, of which
// each can go on.
func TestHandoffBounds(t *testing.T) {
	target, h := newHandoff(&HandoffOptions{Keys: 2})
	target.err = errDown
	for n := range 9 {
		_ = h.Merge(ctx, "abc"[n%3:n%3+1], at(n+1))
	}
	wantHints(t, "full", h, 2)
	target.err = nil
	_ = h.Flush(ctx)
	for key, want := range map[string]int{"a": 7, "b": 8, "c": 0} {
		if s, _ := target.Load(ctx, key); s.Value != want {
			t.Errorf("%s is %d, want %d", key, s.Value, want)
		}
	}
	mustPanic(t, "Keys must not be negative", func() { newHandoff(&HandoffOptions{Keys: -1}) })
	mustPanic(t, "target must not be nil", func() { NewHandoff[string, LWW[int]](nil, nil) })
	if got := (*HandoffOptions)(nil).resolve().Keys; got != 1<<16 {
		t.Errorf("room for %d keys by default", got)
	}
}

// TestHandoffMeanwhile checks that a hint that grows while it is handed over
// stays, also if another Flush has removed it before.
func TestHandoffMeanwhile(t *testing.T) {
	for _, twice := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			target, h := newHandoff(nil)
			target.err = errDown
			_ = h.Merge(ctx, "k", at(1))
			target.err = nil

			// One hands 1 over, and is slow.
			target.delay = time.Second
			done := make(chan error)
			go func() { done <- h.Flush(ctx) }() // ends after a second
			synctest.Wait()
			target.delay = 0
			if twice {
				_ = h.Flush(ctx)
				wantHints(t, "flushed by another", h, 0)
			}
			target.err = errDown
			_ = h.Merge(ctx, "k", at(2))
			target.err = nil
			if err := <-done; err != nil {
				t.Error(err)
			}
			wantHints(t, "grown meanwhile", h, 1)
			_ = h.Flush(ctx)
			if target.holds() != 2 {
				t.Errorf("the target holds %d, want 2", target.holds())
			}
		})
	}
}

// TestHandoffAtOnce checks that merges and flushes at once lose nothing.
func TestHandoffAtOnce(t *testing.T) {
	store := NewMemory[string, bitSet]()
	h := NewHandoff(store, &HandoffOptions{Down: func() bool { return true }})
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			_ = h.Merge(ctx, "k", bitSet(1)<<i)
			if i%3 == 0 {
				_ = h.Flush(ctx)
			}
		})
	}
	wg.Wait()
	if err := h.Flush(ctx); err != nil {
		t.Error(err)
	}
	if s, _ := store.Load(ctx, "k"); s != 1<<16-1 || h.Len() != 0 {
		t.Errorf("the target holds %b, and %d hints are left", s, h.Len())
	}
}

// TestTrapHintAfterDelete checks that a hint that is handed over after its
// value was deleted does not bring it back (scylladb/scylladb#23712).
func TestTrapHintAfterDelete(t *testing.T) {
	list := stubs(3)
	rs := replicas(list)
	h := NewHandoff(rs[0], nil)
	rs[0] = h
	d, err := NewKV(rs, NewClock(1, nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	list[0].err = errDown
	mustPut(t, d, 1)
	settle(d.Cluster())
	wantHints(t, "missed", h, 1)

	list[0].err = nil
	if _, err := d.Delete(ctx, "k", At(All)); err != nil {
		t.Errorf("Delete = %v, want no error", err)
	}
	if err := h.Flush(ctx); err != nil {
		t.Errorf("Flush = %v, want no error", err)
	}
	if s, _ := list[0].Memory.Load(ctx, "k"); !s.Deleted {
		t.Errorf("the replica holds %+v, want the deletion", s)
	}
	if _, _, err := d.Get(ctx, "k", At(All)); !errors.Is(err, ErrNotFound) {
		t.Errorf("Get = %v, want ErrNotFound", err)
	}
}

// TestTrapDetectorErrs checks that a detector that takes a replica for dead for
// good, as after a pause that it learned from (akka/akka#526), keeps nothing
// from it: a Flush asks whatever is believed.
func TestTrapDetectorErrs(t *testing.T) {
	target, h := newHandoff(&HandoffOptions{Down: func() bool { return true }})
	_ = h.Merge(ctx, "k", at(1))
	if _, err := h.Load(ctx, "k"); !errors.Is(err, ErrUnavailable) || target.loads.Load() != 0 {
		t.Errorf("Load = %v after %d requests, want unavailable at once", err, target.loads.Load())
	}
	if err := h.Flush(ctx); err != nil || target.holds() != 1 {
		t.Errorf("Flush = %v, the target holds %d, want 1", err, target.holds())
	}
}

// TestSloppyRefused checks that hints that count as written need AllowStale,
// and are refused together with Atomic, and by a Multi.
func TestSloppyRefused(t *testing.T) {
	rs := replicas(stubs(3))
	rs[1] = NewHandoff(rs[1], &HandoffOptions{Sloppy: true})
	if _, err := New(rs, nil); !errors.Is(err, ErrLevel) {
		t.Errorf("New = %v, want ErrLevel", err)
	}
	d, err := NewKV(rs, NewClock(1, nil), &Options{AllowStale: true})
	if err != nil {
		t.Fatal(err)
	}
	mustPut(t, d, 1, At(All))
	mustGet(t, d, 1)
	mustGet(t, d, 1, At(All))
	for _, call := range []Call{At(Quorum), At(All)} {
		if _, err := d.Put(ctx, "k", 2, call, Atomic()); !errors.Is(err, ErrLevel) {
			t.Errorf("atomic Put = %v, want ErrLevel", err)
		}
		if _, _, err := d.Get(ctx, "k", call, Atomic()); !errors.Is(err, ErrLevel) {
			t.Errorf("atomic Get = %v, want ErrLevel", err)
		}
	}
	if _, _, err := d.Get(ctx, "k", Atomic()); !errors.Is(err, ErrLevel) {
		t.Errorf("atomic Get = %v, want ErrLevel", err)
	}

	ms := []Replica[string, Siblings[int]]{NewMemory[string, Siblings[int]]()}
	ms[0] = NewHandoff(ms[0], &HandoffOptions{Sloppy: true})
	if _, err := NewMulti(ms, NewClock(1, nil), &Options{AllowStale: true}); !errors.Is(err, ErrLevel) {
		t.Errorf("NewMulti = %v, want ErrLevel", err)
	}

	// Hints that do not count change nothing of a quorum.
	rs[1] = NewHandoff(replicas(stubs(1))[0], nil)
	d, err = NewKV(rs, NewClock(1, nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	mustPut(t, d, 1, Atomic())
}

// A handoffSim is a history of writes with hints.
type handoffSim struct {
	*sim
	acked []LWW[int]
}

// replay plays the history in a bubble: clients write and delete, and hand over
// what was missed once all faults have ended.
func (s *handoffSim) replay(t *testing.T) {
	t.Helper()
	sloppy := s.seed%2 == 0
	s.opts.AllowStale = true
	s.opts.Repair = RepairOff // hints alone do it
	s.play(t, func(t *testing.T, client int) {
		rs := make([]Replica[string, LWW[int]], s.n)
		list := make([]*Handoff[string, LWW[int]], s.n)
		for i := range rs {
			l := &link{s.sim, client, i}
			list[i] = NewHandoff[string, LWW[int]](l, &HandoffOptions{Sloppy: sloppy, Down: func() bool {
				ms := uint64(time.Since(s.start) / (20 * time.Millisecond))
				return s.rand(drawDown, uint64(client), uint64(i), ms).IntN(4) == 0 // for 20 ms, whether it is or not
			}})
			rs[i] = list[i]
		}
		r := s.rand(drawClient, uint64(client), 6, 0)
		d, err := NewKV(rs, skewed(client, r), &s.opts)
		if err != nil {
			t.Error(err)
			return
		}

		for op := range simOps {
			time.Sleep(time.Duration(r.Int64N(int64(80 * time.Millisecond))))
			limit, cancel := context.WithTimeout(context.WithValue(ctx, simKey{}, uint64(op)), 200*time.Millisecond)
			w := LWW[int]{Value: 1 + client*simOps + op}
			if r.IntN(3) == 0 {
				w = LWW[int]{Deleted: true}
				w.Stamp, err = d.Delete(limit, "k")
			} else {
				w.Stamp, err = d.Put(limit, "k", w.Value)
			}
			cancel()
			s.mu.Lock()
			if err == nil {
				s.acked = append(s.acked, w)
			}
			s.mu.Unlock()
		}
		if err := d.Close(ctx); err != nil {
			t.Error(err)
		}
		s.flush(list)
	})
}

// flush hands over all hints to replicas that have not lost their disk, in a
// bubble.
func (s *handoffSim) flush(list []*Handoff[string, LWW[int]]) {
	time.Sleep(time.Second)
	for i, h := range list {
		for op := 100; h.Len() > 0 && op < 200; op++ {
			limit, cancel := context.WithTimeout(context.WithValue(ctx, simKey{}, uint64(op)), 200*time.Millisecond)
			_ = h.Flush(limit) // the next time
			cancel()
			if s.lost(i) {
				break
			}
		}
	}
}

// lost reports whether replica i has lost its disk.
func (s *sim) lost(i int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wiped[i] && s.crash[i] != (window{})
}

// TestHints checks that each write that was confirmed reaches all replicas by
// hints alone, whatever is lost, late, repeated or cut off, and whatever a
// detector believes; and that deletions stay.
func TestHints(t *testing.T) {
	t.Parallel()
	writes := 0
	for seed := range uint64(count()) / 10 {
		s := &handoffSim{sim: newSim(seed)}
		s.replay(t)
		var last LWW[int]
		for _, w := range s.acked {
			last = last.Join(w)
		}
		writes += len(s.acked)
		for i, m := range s.stores {
			got, _ := m.Load(ctx, "k")
			if !got.Covers(last) && !s.lost(i) {
				t.Fatalf("seed %d: replica %d holds %+v, want %+v", seed, i, got, last)
			}
		}
	}
	if least := count() / 10 * simClients * simOps / 2; writes < least {
		t.Errorf("%d writes were confirmed, want at least %d", writes, least)
	}
}
