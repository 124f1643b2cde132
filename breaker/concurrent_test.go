// SPDX-License-Identifier: MIT

package breaker

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// An op is one operation of a concurrent history.
type op struct {
	kind    byte // 'a' Allow, 'r' report, 't' the clock goes on by 1 ns, 'R' Reset, 'T' Trip, 'S' State
	outcome Outcome
	permit  *Permit // of 'a' and 'r'
	gen     uint32  // of the permit of 'r'
	ticket  uint32
}

// A result is what it returned.
type result struct {
	ok          bool
	gen, ticket uint32
	state       State
}

// A spec is the state of the specification, small enough to be compared: the clock, and a breaker
// that trips by two failures in a row, is open for 1 ns, and closes by three successes of two probes.
type spec struct {
	t, until    int64
	state       State
	gen         uint32
	fails       int
	probes      uint64 // by ticket
	outstanding int
	ticket      uint32
	successes   int
}

const specProbes, specSuccesses, specFailures = 2, 3, 2

func (s spec) move(to State) spec {
	s.state, s.gen, s.fails, s.probes, s.outstanding, s.successes = to, s.gen+1, 0, 0, 0, 0
	if to == Open {
		s.until = s.t + 1
	}
	return s
}

// step is the sequential specification of in, and reports whether it may return out.
func step(s spec, in op, out result) (spec, bool) {
	if in.kind == 't' {
		s.t++
		return s, true
	}
	if s.state == Open && s.t >= s.until {
		s = s.move(HalfOpen)
	}
	switch in.kind {
	case 'R':
		return s.move(Closed), true
	case 'T':
		if s.state != Open {
			s = s.move(Open)
		}
		return s, true
	case 'S':
		return s, out.state == s.state
	case 'a':
		want := result{}
		switch {
		case s.state == Closed:
			want = result{ok: true, gen: s.gen}
		case s.state == HalfOpen && s.outstanding < specProbes:
			s.ticket++
			s.outstanding++
			s.probes |= 1 << s.ticket
			want = result{ok: true, gen: s.gen, ticket: s.ticket}
		}
		return s, out == want
	}
	return s.report(in, out)
}

func (s spec) report(in op, out result) (spec, bool) {
	ok := in.gen == s.gen && (in.ticket == 0 || s.probes>>in.ticket&1 == 1)
	if !ok || in.outcome == Ignored && in.ticket == 0 {
		return s, out.ok == ok
	}
	if in.ticket == 0 {
		s.fails++
		if in.outcome == Success {
			s.fails = 0
		}
		if s.fails >= specFailures {
			s = s.move(Open)
		}
		return s, out.ok
	}
	s.probes &^= 1 << in.ticket
	s.outstanding--
	switch in.outcome {
	case Failure:
		s = s.move(Open)
	case Success:
		if s.successes++; s.successes >= specSuccesses {
			s = s.move(Closed)
		}
	}
	return s, out.ok
}

// recordHistory has procs goroutines make ops random operations each.
func recordHistory(b *Breaker, clock *atomic.Int64, seed uint64, procs, ops int) []event[op, result] {
	var still sync.RWMutex
	permits := make([]Permit, procs)
	random := make([]*rand.Rand, procs)
	for p := range procs {
		random[p] = rand.New(rand.NewPCG(seed, uint64(p)))
	}
	return record(procs, ops, func(p, _ int) op {
		r, held := random[p], &permits[p]
		in := op{permit: held, outcome: Outcome(r.IntN(3)), gen: held.gen, ticket: held.ticket}
		switch k := r.IntN(20); {
		case k < 13 && held.b != nil:
			in.kind = 'r'
		case k < 13:
			in.kind = 'a'
		case k < 17:
			in.kind = 't'
		case k == 17:
			in.kind = 'R'
		case k == 18:
			in.kind = 'T'
		default:
			in.kind = 'S'
		}
		return in
	}, func(in op) (out result) {
		if in.kind == 't' {
			still.Lock()
			defer still.Unlock()
			clock.Add(1)
			return out
		}
		still.RLock()
		defer still.RUnlock()
		switch in.kind {
		case 'a':
			p, err := b.Allow()
			*in.permit = p
			return result{ok: err == nil, gen: p.gen, ticket: p.ticket}
		case 'r':
			return result{ok: in.permit.report(in.outcome, nil)}
		case 'R':
			b.Reset()
		case 'T':
			b.Trip(0, nil)
		case 'S':
			return result{state: b.State()}
		}
		return result{}
	})
}

// TestLinearizable checks that concurrent calls are equal to some order of them one by one.
// The clock stands still during a call: one that opens is open from when the call read the clock, which
// may be before others were still admitted.
func TestLinearizable(t *testing.T) {
	t.Parallel()
	const procs, ops = 4, 12
	stop := time.Now().Add(*linearTime)
	for seed := uint64(0); time.Now().Before(stop); seed++ {
		var clock atomic.Int64
		b := New(&Options{
			Failures: specFailures, OpenFor: 1, OpenMax: 1, OpenFactor: 1, Jitter: -1,
			Probes: specProbes, Successes: specSuccesses, ProbeTimeout: -1,
			Now: func() time.Time { return time.Unix(0, clock.Load()) },
		})
		h := recordHistory(b, &clock, seed, procs, ops)
		if !linearizable(spec{gen: 1}, h, step) {
			for _, e := range h {
				t.Logf("%3d-%3d %c %v gen %d ticket %d: %+v", e.call, e.ret, e.in.kind, e.in.outcome, e.in.gen, e.in.ticket, e.out)
			}
			t.Fatalf("history %d is not linearizable", seed)
		}
	}
}

// TestRace runs everything at once, with the timers of real time; the race detector and the
// invariants judge.
func TestRace(t *testing.T) {
	t.Parallel()
	opts := &Options{
		Failures: 3, FailureRatio: 0.5, MinCalls: 5, Window: time.Millisecond, OpenFor: 50 * time.Microsecond,
		Probes: 2, Recovery: 50 * time.Microsecond, Count: true, OnChange: func(Change) {},
		Trip: func(s Stats) bool { return s.Row > 2 },
	}
	b := New(opts)
	ctx := context.Background()
	done := make(chan struct{}, 4)
	stop := time.Now().Add(100 * time.Millisecond)
	for i := range 4 {
		// It ends at stop.
		go func() {
			defer func() { done <- struct{}{} }()
			r := rand.New(rand.NewPCG(1, uint64(i)))
			for time.Now().Before(stop) {
				switch r.IntN(400) {
				case 0:
					b.Reset()
				case 1:
					b.ForceClosed()
				case 2:
					b.Auto()
				case 3:
					_ = b.SetOptions(opts)
				case 4:
					b.Stats()
				default:
					_ = b.Do(ctx, func(context.Context) error {
						if r.IntN(3) == 0 {
							return errBad
						}
						return nil
					})
				}
			}
		}()
	}
	for range 4 {
		<-done
	}
	b.Reset()
	if s := b.Stats(); s.Opened == 0 || s.Succeeded == 0 || s.Failed == 0 {
		t.Errorf("nothing happened: %+v", s)
	}
	if err := call(b, nil); err != nil && !errors.Is(err, ErrOpen) {
		t.Error(err)
	}
}
