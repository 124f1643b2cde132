// SPDX-License-Identifier: MIT

package quorum

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"
)

// simDies is the key of the death of a client in the context of its last call.
type simDies struct{}

// A multiLink is a replica as one client of a sim reaches it.
type multiLink struct {
	link
	store *Memory[string, Siblings[int]]
}

func (l *multiLink) Load(ctx context.Context, key string) (v Siblings[int], err error) {
	err = l.deliver(ctx, drawLoad, Stamp{}, func() { v, _ = l.store.Load(ctx, key) })
	return v, err
}

func (l *multiLink) Merge(ctx context.Context, key string, v Siblings[int]) error {
	// Of the requests of a client that dies, most are not sent any more.
	op, _ := ctx.Value(simKey{}).(uint64)
	if ctx.Value(simDies{}) != nil && l.s.rand(drawDown, uint64(l.client), uint64(l.replica), op).IntN(3) > 0 {
		<-ctx.Done()
		return ctx.Err()
	}

	var mix Stamp // to draw by
	for _, t := range slices.Concat(v.Stamps, v.Seen) {
		mix.Wall = 31*mix.Wall + t.Wall
		mix.Count = 31*mix.Count + t.Node
	}
	return l.deliver(ctx, drawMerge, mix, func() { _ = l.store.Merge(ctx, key, v) })
}

// A multiEvent is a Put of value, a Delete, or a Get, in a history.
type multiEvent struct {
	get, del  bool
	value     int
	seen      []int // the values that a Put or Delete replaces
	got       []int // what a Get has returned
	call, ret time.Duration
	ok        bool
}

// A multiSim is a history of a Multi: the network of a sim, and replicas.
type multiSim struct {
	*sim
	stores []*Memory[string, Siblings[int]]
	events []*multiEvent
}

const multiOps = 8

func newMultiSim(seed uint64) *multiSim {
	s := &multiSim{sim: newSim(seed)}
	s.opts.Repair = RepairOff // a Delete can send the same at once, and chance would say which is lost
	for range s.n {
		s.stores = append(s.stores, NewMemory[string, Siblings[int]]())
	}
	s.wipe = func(replica int) {
		m := s.stores[replica]
		m.mu.Lock()
		defer m.mu.Unlock()
		clear(m.states)
	}
	return s
}

// replay plays the history. Its last event is a Get of what all replicas hold
// in the end.
func (s *multiSim) replay(t *testing.T) {
	t.Helper()
	s.play(t, s.client)
	var last Siblings[int]
	for _, m := range s.stores {
		v, _ := m.Load(ctx, "k")
		last = last.Join(v)
	}
	s.events = append(s.events, &multiEvent{get: true, got: last.Values, call: math.MaxInt64, ret: math.MaxInt64, ok: true})
}

// startClient returns the Multi of a client that starts, for the first time or
// again, with the same number and an empty memory.
func (s *multiSim) startClient(t *testing.T, client int, skew time.Duration) *Multi[string, int] {
	t.Helper()
	rs := make([]Replica[string, Siblings[int]], s.n)
	for i := range rs {
		rs[i] = &multiLink{link{s.sim, client, i}, s.stores[i]}
	}
	clock := NewClock(uint32(client), &ClockOptions{Now: func() time.Time { return time.Now().Add(skew) }})
	d, err := NewMulti(rs, clock, &s.opts)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// client is one client, in a bubble. Now and then it dies in the middle of a
// write, and starts again.
func (s *multiSim) client(t *testing.T, client int) {
	r := s.rand(drawClient, uint64(client), 3, 0)
	skew := time.Duration(r.Int64N(int64(2*time.Second))) - time.Second
	d := s.startClient(t, client, skew)
	var seen Siblings[int]
	for op := range multiOps {
		time.Sleep(time.Duration(r.Int64N(int64(50 * time.Millisecond))))
		limit := 50*time.Millisecond + time.Duration(r.Int64N(int64(300*time.Millisecond)))
		base := context.WithValue(ctx, simKey{}, uint64(op))
		dies := r.IntN(3) == 0
		if dies {
			limit = 20 * time.Millisecond
			base = context.WithValue(base, simDies{}, true)
		}

		e := &multiEvent{value: 1 + client*multiOps + op, call: time.Since(s.start)}
		ctx, cancel := context.WithTimeout(base, limit)
		seen = s.do(ctx, d, e, seen, r.IntN(8))
		cancel()
		e.ret = time.Since(s.start)
		s.mu.Lock()
		s.events = append(s.events, e)
		s.mu.Unlock()

		if dies {
			seen = Siblings[int]{}
			d = s.startClient(t, client, skew)
		}
	}
}

// do calls the operation of e, of a kind from 0 to 7, and returns what the
// client has seen after it.
func (*multiSim) do(ctx context.Context, d *Multi[string, int], e *multiEvent, seen Siblings[int], kind int) Siblings[int] {
	var err error
	switch {
	case kind < 3:
		e.get = true
		seen, err = d.Get(ctx, "k")
		e.got = seen.Values
	case kind < 4:
		e.del = true
		e.seen = seen.Values
		err = d.Delete(ctx, "k", seen)
	case kind < 5:
		_, err = d.Put(ctx, "k", e.value, Siblings[int]{}) // a writer who has seen nothing
	case kind < 6:
		// One that merges some of what it has seen, and lets the others be.
		some := sibs(seen.Stamps[len(seen.Stamps)/2:], nil)
		copy(some.Values, seen.Values[len(seen.Stamps)/2:])
		e.seen = some.Values
		seen, err = d.Put(ctx, "k", e.value, some)
	default:
		e.seen = seen.Values
		seen, err = d.Put(ctx, "k", e.value, seen)
	}
	e.ok = err == nil
	return seen
}

// lost returns what is wrong with the events: a Get that misses a Put, or that
// returns what was replaced.
func (s *multiSim) lost() string {
	for _, g := range s.events {
		if !g.get || !g.ok {
			continue
		}
		for _, p := range s.events {
			if !p.get && !p.del && p.ok && p.ret < g.call && !s.explained(p, g) {
				return fmt.Sprintf("%+v misses %+v", *g, *p)
			}
			if !p.get && p.ok && p.ret < g.call && s.returns(p, g) {
				return fmt.Sprintf("%+v has what %+v replaced", *g, *p)
			}
		}
	}
	return ""
}

// explained reports whether g returns p, or what has replaced p, or again what
// has replaced that.
func (s *multiSim) explained(p, g *multiEvent) bool {
	if slices.Contains(g.got, p.value) {
		return true
	}
	return slices.ContainsFunc(s.events, func(q *multiEvent) bool {
		return q.call < g.ret && slices.Contains(q.seen, p.value) && (q.del || s.explained(q, g))
	})
}

// returns reports whether g has a value that p has replaced, although its Put
// had ended before p began. One that was under way then, or has failed, may
// reach replicas that p could not ask.
func (s *multiSim) returns(p, g *multiEvent) bool {
	return slices.ContainsFunc(s.events, func(q *multiEvent) bool {
		return slices.Contains(p.seen, q.value) && slices.Contains(g.got, q.value) && q.ok && q.ret < p.call
	})
}

// TestSiblings checks that no Put that has ended is lost, unless a write has
// replaced it that saw it, and that no value that was replaced returns: those
// that a Get returns were written at once. It is so whatever is lost, late,
// repeated or cut off, while writers die and start again under the same number.
func TestSiblings(t *testing.T) {
	t.Parallel()
	n := uint64(count()) / 4

	ok, several := 0, 0
	for seed := range n {
		s := newMultiSim(seed)
		s.replay(t)
		if what := s.lost(); what != "" {
			for _, e := range s.events {
				t.Logf("  %+v", *e)
			}
			t.Fatalf("seed %d, %d replicas: %s", seed, s.n, what)
		}
		for _, e := range s.events {
			if e.ok {
				ok++
			}
			if len(e.got) > 1 {
				several++
			}
		}
	}
	t.Logf("%d operations, %d Gets of several values", ok, several)
	if ok < int(n)*simClients*multiOps/3 || several < int(n)/2 {
		t.Errorf("%d operations, %d Gets of several values in %d histories say little", ok, several, n)
	}
}

// TestSiblingsReplay checks that a history is decided by its seed alone.
func TestSiblingsReplay(t *testing.T) {
	for seed := range uint64(20) {
		a, b := newMultiSim(seed), newMultiSim(seed)
		a.replay(t)
		b.replay(t)
		show := func(s *multiSim) (text []string) {
			for _, e := range s.events {
				text = append(text, fmt.Sprintf("%+v", *e))
			}
			slices.Sort(text) // those that end at once come in any order
			return text
		}
		if !slices.Equal(show(a), show(b)) {
			t.Errorf("seed %d: %v, then %v", seed, show(a), show(b))
		}
	}
}
