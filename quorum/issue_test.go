// SPDX-License-Identifier: MIT

package quorum

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A usualDB is a quorum as it is often written: a write that fails leaves what
// it has done, a read asks the first replicas, and the greatest stamp wins.
type usualDB struct {
	replicas    []*stub
	read, write int // how many have to answer
}

func (d *usualDB) put(v LWW[int]) bool {
	ok := 0
	for _, r := range d.replicas {
		if r.Merge(ctx, "k", v) == nil {
			ok++
		}
	}
	return ok >= d.write
}

func (d *usualDB) get() (best LWW[int], ok bool) {
	n := 0
	for _, r := range d.replicas {
		s, err := r.Load(ctx, "k")
		if err != nil {
			continue
		}
		best = best.Join(s)
		n++
		if n == d.read {
			return best, true
		}
	}
	return best, false
}

// TestUsualFailedWrite checks the usual code: a write is said to have failed,
// and stays on some nodes, so that reads may or may not return it. Ours says
// that nobody knows, and an atomic read settles it.
func TestUsualFailedWrite(t *testing.T) {
	list := stubs(3)
	usual := &usualDB{list, 2, 2}
	usual.put(at(1))
	list[1].err = errDown
	list[2].err = errDown
	if usual.put(at(2)) {
		t.Error("the usual write succeeds at one of three")
	}

	c := newCluster(t, list, nil)
	if err := c.Merge(ctx, "k", at(2)); !errors.Is(err, ErrIndeterminate) || errors.Is(err, ErrUnavailable) {
		t.Errorf("Merge at one of three = %v, want indeterminate", err)
	}
	settle(c)
	list[1].err = nil
	list[2].err = nil

	// The usual read returns what has failed, and with another node the value
	// before.
	first, _ := usual.get()
	list[0].err = errDown
	second, _ := usual.get()
	if first.Value != 2 || second.Value != 1 {
		t.Errorf("the usual reads return %d, then %d, want 2, then 1", first.Value, second.Value)
	}
	list[0].err = nil
	mustLoad(t, c, 2, Atomic(), At(All))
	settle(c)
	list[0].err = errDown
	mustLoad(t, c, 2)
}

// TestUsualFirstReplicas checks the usual code: reads ask the first replicas
// alone, so that the last one is neither used nor repaired.
func TestUsualFirstReplicas(t *testing.T) {
	list := stubs(3)
	usual := &usualDB{list, 2, 2}
	list[2].err = errDown
	usual.put(at(1))
	list[2].err = nil
	for range 30 {
		usual.get()
	}
	if n := list[2].loads.Load(); n != 0 || list[2].holds() != 0 {
		t.Errorf("the usual reads ask the last replica %d times, which holds %d", n, list[2].holds())
	}

	c := newCluster(t, list, nil)
	for range 30 {
		mustLoad(t, c, 1)
	}
	settle(c)
	if n := list[2].loads.Load(); n < 10 || list[2].holds() != 1 {
		t.Errorf("the last replica was asked %d times, and holds %d, want at least 10, and 1", n, list[2].holds())
	}
}

// TestUsualInversion checks the usual code: while a write is under way, a
// reader returns it, and another one after that the value before. Atomic reads
// do not.
func TestUsualInversion(t *testing.T) {
	list := stubs(3)
	for _, s := range list {
		s.set(1)
	}
	list[0].set(2) // the write has got so far

	// The readers are near different replicas.
	near := &usualDB{list[:2], 2, 2}
	far := &usualDB{list[1:], 2, 2}
	first, _ := near.get()
	second, _ := far.get()
	if first.Value != 2 || second.Value != 1 {
		t.Errorf("the usual readers return %d, then %d, want 2, then 1", first.Value, second.Value)
	}

	reader := func(zone string) *Cluster[string, LWW[int]] {
		return newCluster(t, list, &Options{Zones: []string{"a", "b", "c"}, Zone: zone, Hedge: -1})
	}
	a, c := reader("a"), reader("c")
	seen := 0
	for range 6 {
		for _, d := range []*Cluster[string, LWW[int]]{a, c} {
			s, err := d.Load(ctx, "k", Atomic())
			if err != nil || s.Value < seen {
				t.Errorf("an atomic read = %d, %v, after %d", s.Value, err, seen)
			}
			seen = s.Value
		}
	}
}

// TestTrapBallotBack checks that no ballot is used twice, whatever fails: a
// proposer that goes back to an earlier one lets two values have it, and an
// update that was acknowledged is lost (github.com/peterbourgon/caspaxos,
// memory_proposer.go).
func TestTrapBallotBack(t *testing.T) {
	for _, tt := range []struct{ before, lost int }{{0, 1}, {0, 0}, {1, 0}, {1, 1}, {2, 0}, {3, 2}} {
		list, as := fragiles(3)
		c := newCAS(t, as, nil)
		for range tt.before {
			if _, _, err := c.Update(ctx, "k", add(0)); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, func() bool {
			return !slices.ContainsFunc(as, func(a Acceptor[string, int]) bool { return slotOf(a).Version < uint64(tt.before) })
		})

		// One acceptor has 1, which nobody else knows of.
		for _, f := range list[1:] {
			f.fail(always("accept", errDown), nil)
		}
		if _, _, err := c.Update(ctx, "k", add(1)); !errors.Is(err, ErrIndeterminate) {
			t.Errorf("%+v: Update = %v, want indeterminate", tt, err)
		}
		eventually(t, func() bool { return slotOf(as[0]).Value == 1 })

		// The next ones do not get through.
		for _, f := range list {
			f.fail(always("", errDown), nil)
		}
		for range tt.lost {
			if _, _, err := c.Update(ctx, "k", add(5)); !errors.Is(err, ErrUnavailable) {
				t.Errorf("%+v: Update without acceptors = %v, want unavailable", tt, err)
			}
		}

		// The others agree on 10.
		for _, f := range list[1:] {
			f.fail(nil, nil)
		}
		if v, _, err := c.Update(ctx, "k", add(10)); v != 10 || err != nil {
			t.Errorf("%+v: Update at two = %d, %v, want 10", tt, v, err)
		}
		eventually(t, func() bool { return slotOf(as[1]).Value == 10 && slotOf(as[2]).Value == 10 })
		if first, second := slotOf(as[0]).Accepted, slotOf(as[1]).Accepted; second.Compare(first) <= 0 {
			t.Errorf("%+v: 10 has ballot %v, and 1 before it has %v", tt, second, first)
		}
		list[0].fail(nil, nil)
		list[2].fail(always("", errDown), nil)
		if v, _, err := newCAS(t, as, nil).Get(ctx, "k"); v != 10 || err != nil {
			t.Errorf("%+v: Get = %d, %v, want 10", tt, v, err)
		}
	}
}

// slotOf returns what a holds under "k".
func slotOf(a Acceptor[string, int]) Slot[int] {
	if f, ok := a.(*fragile); ok {
		a = f.Acceptor
	}
	s, _ := a.Prepare(ctx, "k", Ballot{})
	return s
}

// TestTrapDeclinedCommits checks that an update whose function fails writes
// nothing, the old value neither, and that its error is that of the function:
// an error of the acceptors would say that the outcome is not known
// (github.com/gryadka/js).
func TestTrapDeclinedCommits(t *testing.T) {
	list, as := fragiles(3)
	c := newCAS(t, as, nil)
	if _, _, err := c.Update(ctx, "k", add(7)); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool {
		return slotOf(as[0]).Version == 1 && slotOf(as[1]).Version == 1 && slotOf(as[2]).Version == 1
	})
	before := []Slot[int]{slotOf(as[0]), slotOf(as[1]), slotOf(as[2])}
	for _, c := range []*CAS[string, int]{newCAS(t, as, nil), newCAS(t, as, nil)} {
		_, _, err := c.Update(ctx, "k", func(int, uint64) (int, error) { return 9, errDeclined })
		if !errors.Is(err, errDeclined) || errors.Is(err, ErrIndeterminate) || errors.Is(err, ErrUnavailable) {
			t.Errorf("Update = %v, want the error of its function alone", err)
		}
	}
	for i, f := range list {
		after := slotOf(as[i])
		if after.Accepted != before[i].Accepted || after.Version != 1 || f.accepts.Load() != 1 {
			t.Errorf("acceptor %d holds %+v, and was told %d times, want what it held", i, after, f.accepts.Load())
		}
	}
}

// TestTrapAcceptedIsPromise checks that an acceptor that has accepted without
// being asked before refuses what is below that: else a proposal that was
// overtaken gets its quorum together (scylladb/scylladb#6139).
func TestTrapAcceptedIsPromise(t *testing.T) {
	var a, b, c Slot[int]
	first, second := Ballot{1, 1}, Ballot{2, 2}
	p := Slot[int]{Accepted: first, Promised: Ballot{2, 1}, Value: 1, Version: 1}
	q := Slot[int]{Accepted: second, Promised: Ballot{3, 2}, Value: 2, Version: 1}

	// Both ask a and b. The second is accepted by b and c, and the first, late,
	// by a, which is less than a quorum.
	a.Prepare(first)
	b.Prepare(first)
	a.Prepare(second)
	b.Prepare(second)
	accepted := b.Accept(q) == q.Promised && c.Accept(q) == q.Promised
	late := 0
	for _, s := range []*Slot[int]{&a, &b, &c} {
		if s.Accept(p) == p.Promised {
			late++
		}
	}
	if !accepted || late != 0 {
		t.Errorf("the second was accepted: %t; the first by %d, want none", accepted, late)
	}
}

// TestTrapWritersCanceled checks that the writes that a quorum did not need are
// finished. The usual fan-out ends them with its context, and each write leaves
// a replica behind.
func TestTrapWritersCanceled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		list := stubs(3)
		list[2].delay = time.Second
		for _, s := range list[:2] {
			s.delay = time.Millisecond
		}
		if err := naiveMerge(ctx, replicas(list), "k", at(1)); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Hour)
		if got := list[2].holds(); got != 0 {
			t.Errorf("the usual fan-out tells the slow replica %d, want nothing", got)
		}

		c := newCluster(t, list, nil)
		mustMerge(t, c, 2)
		time.Sleep(time.Hour)
		if got := list[2].holds(); got != 2 {
			t.Errorf("the slow replica holds %d, want 2", got)
		}
	})
}

// TestTrapLateAnswers checks that goroutines whose answers nobody waits for end
// (authzed/spicedb#235), with what they have returned given back; and that an
// answer is complete when its context ends (cristalhq/hedgedhttp#7).
func TestTrapLateAnswers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var running, discarded atomic.Int64
		f := func(ctx context.Context, i int) ([]byte, error) {
			running.Add(1)
			defer running.Add(-1)
			time.Sleep(time.Duration(i) * time.Second) // heeds no context
			return []byte{byte(i)}, nil
		}
		answers, err := Do(ctx, Threshold(1, First(5)), f, &DoOptions[[]byte]{
			Discard: func(Answer[[]byte]) { discarded.Add(1) },
		})
		if err != nil || len(answers) != 1 || !slices.Equal(answers[0].Value, []byte{byte(answers[0].Replica)}) {
			t.Errorf("Do = %v, %v, want one whole answer", answers, err)
		}
		time.Sleep(time.Minute)
		if running.Load() != 0 || discarded.Load() != 4 {
			t.Errorf("%d goroutines, %d values given back, want 0 and 4", running.Load(), discarded.Load())
		}
	})
}

// TestTrapFirstError checks that a write whose first replicas fail goes on to
// the others, all at once: one after the other, up to the first failure, is
// what olric does (github.com/olric-data/olric, put.go).
func TestTrapFirstError(t *testing.T) {
	bubble(t, func(t *testing.T) {
		list := stubs(5)
		for _, s := range list {
			s.delay = time.Second
		}
		list[0].err = errDown
		list[1].err = errDown
		c := newCluster(t, list, nil)
		start := time.Now()
		mustMerge(t, c, 1)
		if took := time.Since(start); took != time.Second {
			t.Errorf("Merge took %v, want one second: all are asked at once", took)
		}
	})
}

// TestTrapWaitsForLast checks that two refusals of three end a call, while the
// third replica is silent (scylladb/scylladb#17657): a write, a read, a call of
// Do, and both halves of an atomic one.
func TestTrapWaitsForLast(t *testing.T) {
	bubble(t, func(t *testing.T) {
		list := stubs(3)
		list[0].err = errDown
		list[1].err = errDown
		list[2].delay = time.Hour
		d := newKV(t, list, 1, &Options{Timeout: 2 * time.Hour})
		f := func(ctx context.Context, i int) (LWW[int], error) { return list[i].Load(ctx, "k") }

		for name, call := range map[string]func() error{
			"Put":         func() error { _, err := d.Put(ctx, "k", 1); return err },
			"Put, atomic": func() error { _, err := d.Put(ctx, "k", 1, Atomic()); return err },
			"Get":         func() error { _, _, err := d.Get(ctx, "k"); return err },
			"Get, atomic": func() error { _, _, err := d.Get(ctx, "k", Atomic()); return err },
			"Do":          func() error { _, err := Do(ctx, Majority(First(3)), f, nil); return err },
		} {
			start := time.Now()
			if err := call(); !errors.Is(err, errDown) {
				t.Errorf("%s = %v, want that two are down", name, err)
			}
			if took := time.Since(start); took > patienceAtFirst {
				t.Errorf("%s took %v", name, took)
			}
		}
	})
}

// TestTrapEqualStamps checks two nodes that write at the same nanosecond: the
// node number decides, on all replicas, whichever write comes first.
func TestTrapEqualStamps(t *testing.T) {
	now := func() time.Time { return time.Unix(1, 0) }
	one := NewClock(1, &ClockOptions{Now: now}).Now()
	two := NewClock(2, &ClockOptions{Now: now}).Now()
	a, b := LWW[int]{Value: 1, Stamp: one}, LWW[int]{Value: 2, Stamp: two}
	list := stubs(2)
	for i, writes := range [][]LWW[int]{{a, b}, {b, a}} {
		for _, w := range writes {
			_ = list[i].Memory.Merge(ctx, "k", w)
		}
	}
	if list[0].holds() != 2 || list[1].holds() != 2 {
		t.Errorf("the replicas hold %d and %d, want 2", list[0].holds(), list[1].holds())
	}
}

// TestTrapClockPoisoned checks that a clock whose time equals that of a stamp
// surpasses its count, and that a stamp from a year ahead, which a node with a
// wrong clock has written, leads nobody there (oryxproject, yugabyte-db#10628).
func TestTrapClockPoisoned(t *testing.T) {
	now := time.Unix(1000, 0)
	clock := NewClock(1, &ClockOptions{Now: func() time.Time { return now }})
	same := Stamp{now.UnixNano(), 41, 9}
	if err := clock.Observe(same); err != nil || clock.Now() != (Stamp{now.UnixNano(), 42, 1}) {
		t.Errorf("a stamp of the same time: %v, and the next count is not 42", err)
	}
	if err := clock.Observe(Stamp{Wall: now.AddDate(1, 0, 0).UnixNano()}); !errors.Is(err, ErrDrift) {
		t.Errorf("Observe of a year ahead = %v, want ErrDrift", err)
	}
	if got := clock.Now(); got.Wall != now.UnixNano() {
		t.Errorf("the next stamp is of %v, want of %v", got.Time(), now)
	}
}

// TestTrapBothLearn checks that a repair teaches in both directions, though
// each replica has something that the other one lacks
// (hashicorp/memberlist#132).
func TestTrapBothLearn(t *testing.T) {
	a, b := NewMemory[string, bitSet](), NewMemory[string, bitSet]()
	_ = a.Merge(ctx, "k", 1)
	_ = b.Merge(ctx, "k", 2)
	c, err := New([]Replica[string, bitSet]{a, b}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Repair(ctx, "k"); err != nil {
		t.Error(err)
	}
	x, _ := a.Load(ctx, "k")
	y, _ := b.Load(ctx, "k")
	if x != 3 || y != 3 {
		t.Errorf("the replicas hold %b and %b, want 11", x, y)
	}
}

// TestTrapRepairForever checks that a repair leaves nothing to repair: a
// comparison of more than the state would differ forever
// (scylladb/scylladb#1165).
func TestTrapRepairForever(t *testing.T) {
	list := stubs(3)
	list[1].set(7)
	c := newCluster(t, list, &Options{Repair: RepairBlocking})
	for range 10 {
		mustLoad(t, c, 7, At(All))
		settle(c)
	}
	if got := c.Stats().Repairs; got != 1 {
		t.Errorf("%d repairs of one difference, want 1", got)
	}
}

// TestTrapOldTombstone checks that a deletion removes nothing that was written
// after it, on whichever replica it arrives late, and that all agree in the end
// (weaviate/weaviate#12361).
func TestTrapOldTombstone(t *testing.T) {
	list := stubs(3)
	d := newKV(t, list, 1, nil)
	deleted, err := d.Delete(ctx, "k")
	if err != nil {
		t.Fatal(err)
	}
	mustPut(t, d, 5, At(All))
	for _, s := range list {
		_ = s.Memory.Merge(ctx, "k", LWW[int]{Stamp: deleted, Deleted: true})
	}
	if held, err := d.Cluster().Repair(ctx, "k"); held != First(3) || err != nil {
		t.Errorf("Repair = %v, %v", held, err)
	}
	for i, s := range list {
		if s.holds() != 5 {
			t.Errorf("replica %d holds %d, want 5", i, s.holds())
		}
	}
	mustGet(t, d, 5, At(All))
}

// TestTrapHedgeFails checks that a hedge that fails does not end a read whose
// first request is still out (apache/cassandra-gocql-driver#1707).
func TestTrapHedgeFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		list := stubs(2)
		list[0].set(7)
		list[0].delay = time.Second
		list[1].err = errDown
		c := newCluster(t, list, &Options{Read: One, Write: All, Hedge: time.Millisecond})
		c.turn.Store(1) // the next asks replica 0
		mustLoad(t, c, 7)
		if got := c.Stats().Extra; got != 1 {
			t.Errorf("%d hedges, want 1", got)
		}
	})
}

// TestTrapContextOfAnother checks that calls that wait for a key end with their
// own contexts, and not with that of the call before them
// (apache/cassandra-gocql-driver#1352).
func TestTrapContextOfAnother(t *testing.T) {
	bubble(t, func(t *testing.T) {
		list, as := fragiles(1)
		c := newCAS(t, as, nil)
		list[0].fail(func(string) error { time.Sleep(time.Second); return nil }, nil)
		first, cancel := context.WithTimeout(ctx, time.Millisecond)
		defer cancel()
		done := make(chan error)
		go func() { _, _, err := c.Update(first, "k", add(1)); done <- err }() // ends after a millisecond
		synctest.Wait()
		go func() { _, _, err := c.Update(ctx, "k", add(2)); done <- err }() // ends after its requests
		if err := <-done; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the first = %v, want its deadline", err)
		}
		if err := <-done; err != nil {
			t.Errorf("the second = %v, want nil", err)
		}
	})
}

// TestTrapContextKept checks that calls leave nothing behind in a context that
// lives on (apache/cassandra-gocql-driver#1224).
func TestTrapContextKept(t *testing.T) {
	watched := &watchedContext{Context: ctx, done: make(chan struct{})}
	list := stubs(3)
	d := newKV(t, list, 1, nil)
	f := func(context.Context, int) (int, error) { return 1, nil }
	cas := newCAS(t, acceptors(3), nil)
	for range 10 {
		_, _ = d.Put(watched, "k", 1, Atomic())
		_, _, _ = d.Get(watched, "k", Atomic())
		_, _ = Do(watched, Majority(First(3)), f, nil)
		_, _, _ = cas.Update(watched, "k", add(1))
	}
	settle(d.Cluster())
	eventually(t, func() bool { return watched.registered.Load() > 0 && watched.left.Load() == watched.registered.Load() })
}

// A watchedContext counts who registers to hear of its end, and who leaves.
type watchedContext struct {
	context.Context
	done             chan struct{}
	registered, left atomic.Int64
}

func (w *watchedContext) Done() <-chan struct{} { return w.done }

// AfterFunc is what the contexts that derive from w use.
func (w *watchedContext) AfterFunc(func()) func() bool {
	w.registered.Add(1)
	return func() bool { w.left.Add(1); return true }
}

// TestTrapHintPoisoned checks that a hint that its target refuses keeps none of
// the others from it (scylladb/scylladb#6416).
func TestTrapHintPoisoned(t *testing.T) {
	list := stubs(1)
	h := NewHandoff(&refuses{list[0], "c"}, nil)
	list[0].err = errDown
	for _, key := range []string{"a", "b", "c", "d", "e"} {
		_ = h.Merge(ctx, key, at(1))
	}
	list[0].err = nil
	for range 1000 { // in random order: each time the first may be the one refused
		_ = h.Flush(ctx)
	}
	wantHints(t, "flushed", h, 1)
}

// A refuses is a replica that does not take one key.
type refuses struct {
	*stub
	key string
}

func (r *refuses) Merge(ctx context.Context, key string, s LWW[int]) error {
	if key == r.key {
		return errDown
	}
	return r.stub.Merge(ctx, key, s)
}

// TestTrapGrantedTooLate checks that a lease whose grant took longer than it
// lasts is not held when Acquire returns it: it asks again
// (etcd-io/etcd#9921).
func TestTrapGrantedTooLate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l, set := downLease(t, &LeaseOptions{TTL: time.Second})
		slow := l.cas.acceptors[0]
		for i := range l.cas.acceptors {
			l.cas.acceptors[i] = slowAcceptor{slow}
		}
		set(false, false)
		limit, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		if token, err := l.Acquire(limit); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Acquire = %d, %v, want its deadline: each grant takes 3s of 1s", token, err)
		}
		wantHeld(t, "granted too late", l, false)
	})
}

// TestTrapReadLater checks that an atomic read returns what is a write quorum's
// also if the replica that knew it is gone when the next one reads: a value
// from before a restart is no answer (lni/dragonboat#25).
func TestTrapReadLater(t *testing.T) {
	for lost := range 3 {
		list := stubs(3)
		list[lost].set(7)
		c := newCluster(t, list, nil)
		seen, err := c.Load(ctx, "k", Atomic(), At(All))
		settle(c)
		list[lost].err = errDown
		if err != nil || seen.Value != 7 {
			t.Errorf("Load = %d, %v, want 7", seen.Value, err)
		}
		mustLoad(t, c, 7, Atomic())
	}
}
