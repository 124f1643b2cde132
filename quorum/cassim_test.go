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
	"sync"
	"testing"
	"time"
)

// A casLink is an acceptor as one client of a sim reaches it.
type casLink[V any] struct {
	link
	acceptor *MemoryAcceptor[string, V]
}

func (l *casLink[V]) Prepare(ctx context.Context, key string, b Ballot) (s Slot[V], err error) {
	var first sync.Once // a request that arrives again is not answered
	err = l.deliver(ctx, drawPrepare, stampOf(b), func() {
		got, _ := l.acceptor.Prepare(ctx, key, b)
		first.Do(func() { s = got })
	})
	return s, err
}

func (l *casLink[V]) Accept(ctx context.Context, key string, p Slot[V]) (b Ballot, err error) {
	var first sync.Once
	err = l.deliver(ctx, drawAccept, stampOf(p.Accepted), func() {
		got, _ := l.acceptor.Accept(ctx, key, p)
		first.Do(func() { b = got })
	})
	return b, err
}

// stampOf returns b as a stamp, to draw by.
func stampOf(b Ballot) Stamp { return Stamp{int64(b.Round), 0, uint32(b.Proposer)} }

// A casOp is an operation of a history: an update that writes value, one that
// is declined, or a Get.
type casOp struct {
	kind  uint8
	value int
}

const (
	casGet uint8 = iota
	casUpdate
	casDecline // an update that declines every value
	casOdd     // one that declines even values
	casKinds
)

// A casOut is what an operation has returned, and the value that it began with.
type casOut struct {
	old, value int
	version    uint64
	unsure     bool
	declined   bool
}

type casEvent = event[casOp, casOut]

// A casState is a value and its version.
type casState struct {
	value   int
	version uint64
}

// stepCAS is the model of a key. An update of which nobody knows whether it was
// made is tried as one that was, as sim.check says.
func stepCAS(s casState, in casOp, out casOut) (casState, bool) {
	next := casState{in.value, s.version + 1}
	if in.kind == casGet || in.kind == casDecline || in.kind == casOdd && s.value%2 == 0 {
		return s, out.unsure || out.declined == (in.kind != casGet) && s == casState{out.value, out.version}
	}
	return next, out.unsure || !out.declined && out.old == s.value && next == casState{out.value, out.version}
}

// A casSim is a history of a CAS: the network of a sim, and acceptors.
type casSim struct {
	*sim
	acceptors []*MemoryAcceptor[string, int]
	events    []casEvent
	unsure    int
	tries     int // calls of functions

	before func(*CAS[string, int]) // runs before each operation, if set
	update casUpdateFunc           // instead of Update, if set
}

// A casUpdateFunc is Update of a CAS.
type casUpdateFunc func(ctx context.Context, c *CAS[string, int], f func(int, uint64) (int, error)) (int, uint64, error)

func newCASSim(seed uint64) *casSim {
	s := &casSim{sim: newSim(seed)}
	for range s.n {
		s.acceptors = append(s.acceptors, new(MemoryAcceptor[string, int]))
	}
	s.wipe = func(replica int) {
		m := s.acceptors[replica]
		m.mu.Lock()
		defer m.mu.Unlock()
		clear(m.slots)
	}
	return s
}

// run plays the history, and returns its events in order of their calls.
func (s *casSim) run(t *testing.T) []casEvent {
	t.Helper()
	s.play(t, s.client)
	return s.sorted()
}

// sorted returns the events in order of their calls.
func (s *casSim) sorted() []casEvent {
	slices.SortFunc(s.events, func(a, b casEvent) int {
		return cmp.Or(cmp.Compare(a.call, b.call), cmp.Compare(a.in.value, b.in.value))
	})
	return s.events
}

// client is one client, with a CAS of its own, in a bubble.
func (s *casSim) client(t *testing.T, client int) {
	list := make([]Acceptor[string, int], s.n)
	for i := range list {
		list[i] = &casLink[int]{link{s.sim, client, i}, s.acceptors[i]}
	}
	r := s.rand(drawClient, uint64(client), 1, 0)
	c := newCAS(t, list, &CASOptions{Timeout: 200 * time.Millisecond})
	c.proposer = uint64(client + 1)
	c.random = r.Int64N

	for op := range simOps {
		s.casCall(t, c, client, op, r)
	}
}

// casCall is operation op of a client, in a bubble.
func (s *casSim) casCall(t *testing.T, c *CAS[string, int], client, op int, r *rand.Rand) {
	t.Helper()
	time.Sleep(time.Duration(r.Int64N(int64(80 * time.Millisecond))))
	limit := 50*time.Millisecond + time.Duration(r.Int64N(int64(300*time.Millisecond)))
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, simKey{}, uint64(op)), limit)
	defer cancel()
	if s.before != nil {
		s.before(c)
	}
	e := casEvent{in: casOp{uint8(r.IntN(int(casKinds))), 1 + client*simOps + op}, call: int64(time.Since(s.start))}
	err := s.do(ctx, c, &e)

	e.ret = int64(time.Since(s.start))
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(err, ErrIndeterminate) {
		e.ret = math.MaxInt64
		e.out = casOut{unsure: true}
		s.unsure++
		if e.in.kind == casGet || e.in.kind == casDecline {
			t.Errorf("seed %d: %+v has proposed something: %v", s.seed, e.in, err)
		}
	}
	if err == nil || errors.Is(err, ErrIndeterminate) {
		s.events = append(s.events, e)
	}
}

var errDeclined = errors.New("declined")

// do calls the operation of e.
func (s *casSim) do(ctx context.Context, c *CAS[string, int], e *casEvent) (err error) {
	if e.in.kind == casGet {
		e.out.value, e.out.version, err = c.Get(ctx, "k")
		return err
	}

	update := s.update
	if update == nil {
		update = func(ctx context.Context, c *CAS[string, int], f func(int, uint64) (int, error)) (int, uint64, error) {
			return c.Update(ctx, "k", f)
		}
	}
	e.out.value, e.out.version, err = update(ctx, c, func(old int, _ uint64) (int, error) {
		s.mu.Lock()
		s.tries++
		s.mu.Unlock()
		e.out.old = old
		if e.in.kind == casDecline || e.in.kind == casOdd && old%2 == 0 {
			return 0, errDeclined
		}
		return e.in.value, nil
	})

	if errors.Is(err, errDeclined) {
		e.out.declined = true
		err = nil
	}
	return err
}

// TestCASLinearizable checks that histories of a CAS are those of one value
// that is updated, whatever is lost, late, repeated or cut off.
func TestCASLinearizable(t *testing.T) {
	n := uint64(*histories) / 2
	if testing.Short() || raceEnabled {
		n = 1000
	}

	ops, unsure, tries := 0, 0, 0
	seeds := []uint64{6721} // an update that declined at its second try, and came to pass
	for seed := range n {
		seeds = append(seeds, seed)
	}
	for _, seed := range seeds {
		s := newCASSim(seed)
		events := s.run(t)
		if !linearizable(casState{}, events, stepCAS) {
			for _, e := range events {
				t.Logf("  %12v %+v %12v", time.Duration(e.call), e, time.Duration(e.ret))
			}
			t.Fatalf("seed %d, %d acceptors: not linearizable", seed, s.n)
		}

		ops += len(events)
		unsure += s.unsure
		tries += s.tries
	}
	t.Logf("%d operations of which %d unsure, %d calls of functions", ops, unsure, tries)
	if ops < int(n)*4 || unsure > ops/4 {
		t.Errorf("%d of %d operations are unsure: the histories say little", unsure, ops)
	}
}

// TestCASLinearizableFinds checks that the simulation finds what breaks a CAS.
func TestCASLinearizableFinds(t *testing.T) {
	t.Parallel()
	for name, plant := range map[string]func(*casSim){
		"acceptors forget": func(s *casSim) {
			s.frail = true
			for i := range s.n {
				s.crash[i] = window{150 * time.Millisecond, 151 * time.Millisecond}
				s.wiped[i] = true
			}
		},
		"ballots go back": func(s *casSim) {
			s.before = func(c *CAS[string, int]) {
				if t := c.turns.keys["k"]; t != nil && t.memo.round > 0 {
					t.memo.last.Promised = Ballot{t.memo.round - 1, c.proposer} // that of the last proposal
				}
			}
		},
		"proposers have one number": func(s *casSim) {
			s.before = func(c *CAS[string, int]) { c.proposer = 1 }
		},
		"an update is made again": func(s *casSim) { s.update = updateAgain },
		"a Get asks one": func(s *casSim) {
			s.before = func(c *CAS[string, int]) { c.opts.System = Threshold(1, First(s.n)) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const most = 5000

			for seed := range uint64(most) {
				s := newCASSim(seed)
				plant(s)
				if !linearizable(casState{}, s.run(t), stepCAS) {
					t.Logf("found in history %d", seed)
					return
				}
			}
			t.Errorf("%d histories are linearizable, want one that is not", most)
		})
	}
}

// updateAgain is an Update that forgets after a conflict what it has proposed,
// and calls its function again: what an acceptor has kept may survive.
func updateAgain(ctx context.Context, c *CAS[string, int], f func(int, uint64) (int, error)) (v int, n uint64, err error) {
	for {
		turn, err := c.turns.enter(ctx, "k")
		if err != nil {
			return 0, 0, &Error{Kind: ErrUnavailable, Ctx: err}
		}
		a := &attempt[string, int]{c: c, key: "k", turn: &turn.memo, f: f}
		v, n, err = a.try(ctx)
		c.turns.leave("k", turn)
		if errors.Is(err, errConflict) {
			err = pause(ctx, time.Duration(c.random(int64(10*time.Millisecond))))
			if err == nil {
				continue
			}
			err = &Error{Kind: ErrUnavailable, Ctx: err}
		}
		if e := (*Error)(nil); !a.declined && errors.As(err, &e) && a.sent != nil {
			e.Kind = ErrIndeterminate
		}
		return v, n, err
	}
}

// TestCASReproducible checks that a seed gives the same history.
func TestCASReproducible(t *testing.T) {
	for seed := range uint64(20) {
		a, b := newCASSim(seed).run(t), newCASSim(seed).run(t)
		if fmt.Sprint(a) != fmt.Sprint(b) {
			t.Errorf("seed %d: %v, then %v", seed, a, b)
		}
	}
}
