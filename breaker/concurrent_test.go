// SPDX-License-Identifier: MIT

package breaker

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// specProcs is the number of goroutines of a concurrent history.
const specProcs = 4

// An op is one operation of a concurrent history.
type op struct {
	kind    byte // 'a' Allow, 'd' begin a Do, 'r' report or end the Do, 't' 1 ns passes, 'R' Reset, 'T' Trip, 'S' State
	proc    int
	outcome Outcome
}

// A result holds the values that an operation returned.
type result struct {
	ok          bool // admitted, or counted
	seen        bool // the caller sees what follows, and ok of a report
	gen, ticket uint32
	state       State
}

// A spec is the state of the specification, small enough to be compared: the
// clock, and a breaker that trips by two failures in a row, is open for 1 ns,
// and closes by three successes of two probes.
type spec struct {
	t, until    int64
	state       State
	gen         uint32
	fails       int
	probes      uint64 // by ticket
	outstanding int
	ticket      uint32
	successes   int
	held        [specProcs]struct{ gen, ticket uint32 } // the admission of each goroutine's call
}

const specProbes, specSuccesses, specFailures = 2, 3, 2

func (s spec) move(to State) spec {
	s.state = to
	s.gen++
	s.fails = 0
	s.probes = 0
	s.outstanding = 0
	s.successes = 0
	if to == Open {
		s.until = s.t + 1
	}
	return s
}

// step is the sequential specification of in, and reports whether it may return
// out.
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
	case 'a', 'd':
		return s.admit(in, out)
	}
	return s.report(in, out)
}

func (s spec) admit(in op, out result) (spec, bool) {
	held := &s.held[in.proc]
	held.gen = s.gen
	held.ticket = 0
	ok := s.state == Closed
	if s.state == HalfOpen && s.outstanding < specProbes {
		s.ticket++
		s.outstanding++
		s.probes |= 1 << s.ticket
		held.ticket = s.ticket
		ok = true
	}

	same := !out.seen || !ok || out.gen == held.gen && out.ticket == held.ticket
	return s, out.ok == ok && same
}

func (s spec) report(in op, out result) (spec, bool) {
	held := s.held[in.proc]
	ok := held.gen == s.gen && (held.ticket == 0 || s.probes>>held.ticket&1 == 1)
	possible := !out.seen || out.ok == ok
	if !ok || in.outcome == Ignored && held.ticket == 0 {
		return s, possible
	}

	if held.ticket == 0 {
		s.fails++
		if in.outcome == Success {
			s.fails = 0
		}
		if s.fails >= specFailures {
			s = s.move(Open)
		}
		return s, possible
	}

	s.probes &^= 1 << held.ticket
	s.outstanding--
	switch in.outcome {
	case Failure:
		s = s.move(Open)
	case Success:
		s.successes++
		if s.successes >= specSuccesses {
			s = s.move(Closed)
		}
	}
	return s, possible
}

// A caller is a goroutine of a history: it holds a Permit, or is within a Do.
type caller struct {
	permit Permit
	end    chan error // ends the Do that is running; nil if none is
	done   chan struct{}
}

// begin begins a Do, and reports whether the call was made. It runs until end.
func (c *caller) begin(b *Breaker) bool {
	end, done, made := make(chan error), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		_ = b.Do(context.Background(), func(context.Context) error {
			close(made)
			return <-end
		})
	}()

	select {
	case <-made:
		c.end = end
		c.done = done
		return true
	case <-done:
		return false
	}
}

// finish ends the Do with an outcome.
func (c *caller) finish(o Outcome) {
	c.end <- [...]error{Success: nil, Failure: errBad, Ignored: Ignore(errBad)}[o]
	<-c.done
	c.end = nil
}

// recordHistory has goroutines make ops random operations each.
func recordHistory(b *Breaker, clock *atomic.Int64, seed uint64, ops int) []event[op, result] {
	var still sync.RWMutex // held while the clock must not move
	var callers [specProcs]caller
	var random [specProcs]*rand.Rand
	for p := range specProcs {
		random[p] = rand.New(rand.NewPCG(seed, uint64(p)))
	}

	input := func(p, _ int) op {
		r, c := random[p], &callers[p]
		in := op{proc: p, outcome: Outcome(r.IntN(3))}
		busy := c.end != nil || c.permit.slot != nil
		switch k := r.IntN(20); {
		case k < 13 && busy:
			in.kind = 'r'
		case k < 6:
			in.kind = 'a'
		case k < 13:
			in.kind = 'd'
		case k < 17:
			in.kind = 't'
		default:
			in.kind = "RTS"[k-17]
		}
		return in
	}

	do := func(in op) (out result) {
		if in.kind == 't' {
			still.Lock()
			defer still.Unlock()
			clock.Add(1)
			return out
		}
		still.RLock()
		defer still.RUnlock()

		c := &callers[in.proc]
		switch in.kind {
		case 'a':
			p, err := b.Allow()
			if err != nil {
				return result{}
			}
			c.permit = p
			return result{ok: true, seen: true, gen: p.slot.gen, ticket: p.slot.ticket}
		case 'd':
			return result{ok: c.begin(b)}
		case 'r':
			if c.end != nil {
				c.finish(in.outcome)
				return result{}
			}
			p := c.permit
			c.permit = Permit{}
			return result{ok: p.end(in.outcome, nil), seen: true}
		case 'R':
			b.Reset()
		case 'T':
			b.Trip(0, nil)
		case 'S':
			return result{state: b.State()}
		}
		return result{}
	}

	h := record(specProcs, ops, input, do)
	for p := range callers {
		if callers[p].end != nil {
			callers[p].finish(Success)
		}
	}
	return h
}

// TestLinearizable checks that concurrent calls, of Do as well as of Allow, are
// equal to some order of them one by one. The clock stands still during an
// operation: a breaker that opens is open from the reading at which the call
// read the clock, which may be before others were still admitted.
func TestLinearizable(t *testing.T) {
	t.Parallel()
	stop := time.Now().Add(*linearTime)
	for seed := uint64(0); time.Now().Before(stop); seed++ {
		var clock atomic.Int64
		b := New(&Options{
			Failures: specFailures, OpenFor: 1, OpenMax: 1, OpenFactor: 1, Jitter: -1,
			Probes: specProbes, Successes: specSuccesses, ProbeTimeout: -1,
			Now: func() time.Time { return time.Unix(0, clock.Load()) },
		})
		h := recordHistory(b, &clock, seed, 12)
		if linearizable(spec{gen: 1}, h, step) {
			continue
		}

		for _, e := range h {
			t.Logf("%3d-%3d goroutine %d %c %v: %+v", e.call, e.ret, e.in.proc, e.in.kind, e.in.outcome, e.out)
		}
		t.Fatalf("history %d is not linearizable", seed)
	}
}

// TestRace runs everything at once, with the timers of real time; the race
// detector and the invariants judge.
func TestRace(t *testing.T) {
	t.Parallel()
	opts := &Options{
		Failures: 3, FailureRatio: 0.5, MinCalls: 5, Window: time.Millisecond, OpenFor: 50 * time.Microsecond,
		Probes: 2, Recovery: 50 * time.Microsecond, Count: true, OnChange: func(Change) {},
		Trip: func(s Stats) bool { return s.Row > 2 },
	}
	b := New(opts)
	ctx := context.Background()

	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(i)))
			for range 20_000 {
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
		})
	}
	wg.Wait()

	b.Reset()
	if s := b.Stats(); s.Opened == 0 || s.Succeeded == 0 || s.Failed == 0 {
		t.Errorf("Stats = %+v, want openings, successes and failures", s)
	}
	if err := call(b, nil); err != nil && !errors.Is(err, ErrOpen) {
		t.Errorf("Do = %v, want nil or ErrOpen", err)
	}
}

// TestRaceThrottle has many goroutines use a throttle, whose window turns with
// nearly every call or never, and checks that it counts every request.
func TestRaceThrottle(t *testing.T) {
	t.Parallel()
	const goroutines, each = 4, 20_000
	for _, window := range []time.Duration{minThrottleWindow * time.Microsecond, 100 * time.Hour} {
		th := NewThrottle(&ThrottleOptions{Window: window})
		var wg sync.WaitGroup
		for i := range goroutines {
			wg.Go(func() {
				for n := range each {
					if th.Allow() && (n+i)%3 == 0 {
						th.Accept()
					}
				}
			})
		}
		wg.Wait()

		s := th.Stats()
		if got := s.Sent + s.Rejected; got != goroutines*each {
			t.Errorf("%v: %d sent and %d rejected are %d requests, want %d", window, s.Sent, s.Rejected, got, goroutines*each)
		}
		if s.Accepted == 0 {
			t.Errorf("%v: Stats = %+v, want some accepted", window, s)
		}
		if window == 100*time.Hour && s.Rejected == 0 { // a short one may hold too few to reject
			t.Errorf("%v: Stats = %+v, want some rejected", window, s)
		}
	}
}

// TestRaceWindow has many goroutines succeed, some of them at the same time,
// and checks that no window loses a success: they wait in stripes then.
func TestRaceWindow(t *testing.T) {
	t.Parallel()
	const goroutines, each = 4, 20_000
	for name, o := range map[string]Options{
		"time":  {FailureRatio: 1, Window: 100 * time.Hour},
		"calls": {FailureRatio: 1, WindowCalls: maxWindowCalls},
	} {
		b := New(&o)
		var wg sync.WaitGroup
		for range goroutines {
			wg.Go(func() {
				for range each {
					calling(b, nil)
				}
			})
		}
		for range 10 {
			b.Stats() // gathers meanwhile
		}
		wg.Wait()
		if got, want := b.Stats().Calls, uint64(min(goroutines*each, cmp.Or(o.WindowCalls, goroutines*each))); got != want {
			t.Errorf("%s: %d calls in the window, want %d", name, got, want)
		}
	}
}

// TestCounter has many goroutines count, and checks that the sum is right
// before they make stripes, which they do once they meet, and after.
func TestCounter(t *testing.T) {
	t.Parallel()
	const goroutines, each = 4, 20_000
	for _, spread := range []bool{false, true, false} {
		var c counter
		if spread {
			c.spread()
		}
		var wg sync.WaitGroup
		for range goroutines {
			wg.Go(func() {
				for range each {
					c.inc()
				}
			})
		}
		wg.Wait()
		if got := c.take(); got != goroutines*each {
			t.Errorf("take = %d, want %d", got, goroutines*each)
		}
		if got := c.take(); got != 0 {
			t.Errorf("take = %d once more, want 0", got)
		}
	}
}

// TestLockFree checks that what need not take the lock does not: a goroutine
// that holds it for long, in Options.Now, holds up nobody.
func TestLockFree(t *testing.T) {
	t.Parallel()
	open := New(nil)
	open.Trip(time.Hour, nil)
	forced := New(nil)
	forced.ForceOpen()
	half := New(&Options{OpenFor: 1, ProbeTimeout: time.Hour})
	half.Trip(0, nil)
	for half.State() != HalfOpen {
		runtime.Gosched()
	}
	admit(t, half)

	for name, b := range map[string]*Breaker{
		"closed":          New(nil),
		"count":           New(&Options{Count: true}),
		"window of time":  New(&Options{FailureRatio: 1}),
		"window of calls": New(&Options{FailureRatio: 1, WindowCalls: 9}),
		"open":            open,
		"half-open":       half,
		"forced open":     forced,
	} {
		b.mu.Lock()
		done := make(chan struct{})
		go func() {
			defer close(done)
			calling(b, nil)
			if p, err := b.Allow(); err == nil {
				p.Success()
			}
			if b != open && b != half {
				b.State()
			}
		}()
		select {
		case <-done:
		case <-time.After(time.Minute):
			t.Errorf("%s: waits for the lock", name)
		}
		b.mu.Unlock()
	}
}

// TestRacePermit reports one permit from many goroutines: one report counts.
func TestRacePermit(t *testing.T) {
	t.Parallel()
	b := New(&Options{Count: true})
	for range 2000 {
		p := admit(t, b)
		var counted atomic.Int32
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if p.Success() {
					counted.Add(1)
				}
			})
		}
		wg.Wait()
		if got := counted.Load(); got != 1 {
			t.Fatalf("%d of 3 reports counted, want 1", got)
		}
	}
	if got := b.Stats().Succeeded; got != 2000 {
		t.Errorf("Succeeded = %d, want 2000", got)
	}
}
