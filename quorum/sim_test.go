// SPDX-License-Identifier: MIT

package quorum

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A sim is one history: clients that read and write one key through replicas
// and a network that fail. Everything is drawn from the seed, and each request
// draws for itself: the order in which goroutines run decides nothing.
type sim struct {
	seed   uint64
	n      int
	opts   Options
	reads  []Call // of reads; writes are Atomic
	start  time.Time
	crash  []window // of each replica
	wiped  []bool   // it loses its disk in the crash, and stays silent
	loss   int      // of 100 messages
	frail  bool     // those that lost their disk answer nevertheless
	split  window   // of a partition
	side   Set      // the replicas that the clients with an even number lose
	stores []*Memory[string, LWW[int]]
	wipe   func(replica int)                                           // makes it lose its disk
	wrap   func(Replica[string, LWW[int]]) Replica[string, LWW[int]]   // around each link, if set
	get    func(context.Context, *KV[string, int]) (int, Stamp, error) // instead of Get, if set

	mu     sync.Mutex // protects the fields below
	counts map[[3]uint64]uint64
	events []simEvent
}

// A window is a time in which something is broken.
type window struct{ from, to time.Duration }

func (w window) has(d time.Duration) bool { return d >= w.from && d < w.to }

// A simOp is an operation, and a simOut its result: put says that it writes
// value.
type (
	simOp  struct{ put bool }
	simOut struct {
		value int
		stamp Stamp
	}
	simEvent = event[simOp, simOut]
)

// The kinds of what is drawn.
const (
	drawHistory = iota
	drawClient
	drawLoad
	drawMerge
	drawPrepare
	drawAccept
	drawDown
	drawPurge
)

const (
	simClients = 3
	simOps     = 4
)

// rand returns the source of one thing that is drawn, by what it is.
func (s *sim) rand(kind, a, b, c uint64) *rand.Rand {
	mix := s.seed
	for _, x := range []uint64{kind, a, b, c} {
		mix = (mix ^ x) * 0x9e3779b97f4a7c15
		mix ^= mix >> 29
	}
	return rand.New(rand.NewPCG(s.seed, mix))
}

// newSim draws a history. Of four replicas, the quorums of reads are smaller
// than those of writes, or larger.
func newSim(seed uint64) *sim {
	s := &sim{seed: seed, n: 3, loss: 10, reads: []Call{Atomic()}, counts: map[[3]uint64]uint64{}}
	r := s.rand(drawHistory, 0, 0, 0)
	switch r.IntN(4) {
	case 0:
		s.n = 4
		s.opts = Options{Read: Two, Write: Three}
	case 1:
		s.n = 4
		s.opts = Options{Read: Three, Write: Two}
	case 2:
		s.n = 5
	}
	s.opts.Timeout = 200 * time.Millisecond
	s.opts.Repair = RepairMode(r.IntN(3))
	s.opts.Hedge = []time.Duration{0, -1, 5 * time.Millisecond}[r.IntN(3)]

	// At most one replica loses its disk; the others keep what they have.
	for i := range s.n {
		from := time.Duration(r.IntN(300)) * time.Millisecond
		w := window{from, from + time.Duration(r.IntN(100))*time.Millisecond}
		if r.IntN(3) > 0 {
			w = window{}
		}
		s.crash = append(s.crash, w)
		s.wiped = append(s.wiped, i == 0 && r.IntN(4) == 0)
		s.stores = append(s.stores, NewMemory[string, LWW[int]]())
	}
	from := time.Duration(r.IntN(300)) * time.Millisecond
	s.split = window{from, from + time.Duration(r.IntN(150))*time.Millisecond}
	s.side = Set(r.IntN(1 << s.n))
	s.wipe = func(replica int) {
		m := s.stores[replica]
		m.mu.Lock()
		defer m.mu.Unlock()
		clear(m.states)
	}
	return s
}

// A link is a replica as one client reaches it.
type link struct {
	s       *sim
	client  int
	replica int
}

// simKey is the key of the number of an operation in its context.
type simKey struct{}

// deliver takes a request to the replica and its answer back, in a bubble:
// delayed, or lost, and then it waits for the end of the context. apply runs at
// the replica, perhaps twice.
func (l *link) deliver(ctx context.Context, kind uint64, stamp Stamp, apply func()) error {
	op, _ := ctx.Value(simKey{}).(uint64)
	to := uint64(l.replica)<<32 | uint64(l.client)
	what := op ^ uint64(stamp.Wall)<<8 ^ uint64(stamp.Count)<<4 ^ uint64(stamp.Node)
	id := [3]uint64{kind, to, what}
	l.s.mu.Lock()
	l.s.counts[id]++
	again := l.s.counts[id]
	l.s.mu.Unlock()
	r := l.s.rand(kind, to, what, again)

	// The way there.
	if r.IntN(100) < l.s.loss || !l.sleep(ctx, r) || l.broken() {
		<-ctx.Done()
		return ctx.Err()
	}
	l.forget()
	apply()
	if kind != drawLoad && r.IntN(100) < 20 {
		// Twice, and the second time late.
		d := time.Duration(r.Int64N(int64(100 * time.Millisecond)))
		go func() {
			time.Sleep(d)
			if !l.broken() {
				apply()
			}
		}()
	}

	// The way back.
	if r.IntN(100) < l.s.loss || !l.sleep(ctx, r) || l.broken() {
		<-ctx.Done()
		return ctx.Err()
	}
	if r.IntN(100) < 5 {
		return errDown
	}
	return nil
}

// forget empties a replica that has lost its disk.
func (l *link) forget() {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	crash := l.s.crash[l.replica]
	if l.s.wiped[l.replica] && crash != (window{}) && time.Since(l.s.start) >= crash.to {
		l.s.wiped[l.replica] = false
		l.s.wipe(l.replica)
	}
}

// sleep waits some time, mostly short, in a bubble. It reports whether the
// context has not ended.
func (*link) sleep(ctx context.Context, r *rand.Rand) bool {
	d := time.Duration(r.Int64N(int64(3 * time.Millisecond)))
	if r.IntN(10) == 0 {
		d *= 30
	}
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// broken reports whether nothing reaches the replica now.
func (l *link) broken() bool {
	now := time.Since(l.s.start)
	crash := l.s.crash[l.replica]
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	switch {
	case crash.has(now):
		return true
	case l.s.wiped[l.replica] && crash != (window{}) && now >= crash.from:
		return !l.s.frail // it must not answer before it was repaired
	case l.s.split.has(now) && l.client%2 == 0 && l.s.side.Has(l.replica):
		return true
	}
	return false
}

func (l *link) Load(ctx context.Context, key string) (v LWW[int], err error) {
	err = l.deliver(ctx, drawLoad, Stamp{}, func() { v, _ = l.s.stores[l.replica].Load(ctx, key) })
	return v, err
}

func (l *link) Merge(ctx context.Context, key string, v LWW[int]) error {
	return l.deliver(ctx, drawMerge, v.Stamp, func() { _ = l.s.stores[l.replica].Merge(ctx, key, v) })
}

func (l *link) Purge(ctx context.Context, key string, v LWW[int]) error {
	return l.deliver(ctx, drawPurge, v.Stamp, func() { _ = l.s.stores[l.replica].Purge(ctx, key, v) })
}

// play runs all clients in a bubble, until all that is late has arrived.
func (s *sim) play(t *testing.T, client func(t *testing.T, client int)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s.start = time.Now()
		var wg sync.WaitGroup
		for i := range simClients {
			wg.Go(func() { client(t, i) })
		}
		wg.Wait()
		time.Sleep(time.Hour)
	})
}

// run plays the history, and returns its events in order of their calls. An
// event of a write that may come to pass later does not return.
func (s *sim) run(t *testing.T) []simEvent {
	t.Helper()
	s.play(t, s.client)
	slices.SortFunc(s.events, func(a, b simEvent) int { return cmp.Compare(a.call, b.call) })
	return s.events
}

// client is one client, with a clock of its own, in a bubble.
func (s *sim) client(t *testing.T, client int) {
	rs := make([]Replica[string, LWW[int]], s.n)
	for i := range rs {
		rs[i] = &link{s, client, i}
		if s.wrap != nil {
			rs[i] = s.wrap(rs[i])
		}
	}
	r := s.rand(drawClient, uint64(client), 0, 0)
	d, err := NewKV(rs, skewed(client, r), &s.opts)
	if err != nil {
		t.Error(err)
		return
	}

	for op := range simOps {
		s.kvCall(d, client, op, r)
	}
}

// skewed returns the clock of a client, which is up to a second wrong.
func skewed(client int, r *rand.Rand) *Clock {
	skew := time.Duration(r.Int64N(int64(2*time.Second))) - time.Second
	return NewClock(uint32(client), &ClockOptions{
		MaxOffset: -1,
		Now:       func() time.Time { return time.Now().Add(skew) },
	})
}

// kvCall is operation op of a client, in a bubble.
func (s *sim) kvCall(d *KV[string, int], client, op int, r *rand.Rand) {
	time.Sleep(time.Duration(r.Int64N(int64(80 * time.Millisecond))))
	limit := 50*time.Millisecond + time.Duration(r.Int64N(int64(300*time.Millisecond)))
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, simKey{}, uint64(op)), limit)
	defer cancel()
	e := simEvent{in: simOp{put: r.IntN(2) == 0}, call: int64(time.Since(s.start))}
	var err error
	switch {
	case e.in.put:
		e.out.value = 1 + client*simOps + op
		e.out.stamp, err = d.Put(ctx, "k", e.out.value, Atomic())
	case s.get != nil:
		e.out.value, e.out.stamp, err = s.get(ctx, d)
	default:
		e.out.value, e.out.stamp, err = d.Get(ctx, "k", s.reads...)
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

// step is a register that starts as 0.
func (s *sim) step(state int, in simOp, out simOut) (int, bool) {
	if in.put {
		return out.value, true
	}
	return state, state == out.value
}

// check reports whether events are those of a register. A write without a
// return need not come to pass: it is tried with and without. Left out, it is
// the same as one that comes last of all, which linearizable may always choose,
// so that trying it with is enough.
func (s *sim) check(events []simEvent) bool { return linearizable(0, events, s.step) }

// show returns events as text.
func (s *sim) show(events []simEvent) string {
	var text strings.Builder
	fmt.Fprintf(&text, "seed %d, %d replicas, %+v\n", s.seed, s.n, s.opts)
	for _, e := range events {
		fmt.Fprintf(&text, "  %12v %+v %+v\n", time.Duration(e.call), e, time.Duration(e.ret))
	}
	return text.String()
}
