// SPDX-License-Identifier: MIT

package breaker

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// TestModelBreaker checks every answer, counter and event of a Breaker against
// the sequential specification, step by step, with the timers of a synctest
// bubble.
func TestModelBreaker(t *testing.T) {
	t.Parallel()
	for range checks() {
		rapid.Check(t, func(t *rapid.T) {
			rapid.SyncTest(t, func(t *rapid.T) { modelBreaker(t, false) })
		})
	}
}

// TestModelLazy checks the same with Options.Now: without a timer, as of when
// each change was due.
func TestModelLazy(t *testing.T) {
	t.Parallel()
	for range checks() {
		rapid.Check(t, modelLazy)
	}
}

// checks is how often a model is checked: its states are many and a check is
// cheap.
func checks() int {
	if testing.Short() || raceEnabled {
		return 1
	}
	return 20
}

// FuzzModelLazy is TestModelLazy for the fuzzer.
func FuzzModelLazy(f *testing.F) { f.Fuzz(rapid.MakeFuzz(modelLazy)) }

func modelLazy(t *rapid.T) { modelBreaker(t, true) }

// drawOptions draws settings at the scale of seconds, without jitter.
func drawOptions(t *rapid.T) *Options {
	seconds := func(label string, lo, hi int) time.Duration {
		return time.Duration(rapid.IntRange(lo, hi).Draw(t, label)) * time.Second
	}

	o := &Options{
		Failures:     rapid.IntRange(0, 4).Draw(t, "failures"),
		FailureRatio: rapid.SampledFrom([]float64{0, 0.3, 0.5, 1}).Draw(t, "ratio"),
		MinCalls:     rapid.IntRange(0, 6).Draw(t, "min"),
		OpenFor:      seconds("open", 1, 4),
		OpenMax:      seconds("max", 4, 20),
		StableFor:    seconds("stable", 0, 9),
		Jitter:       -1,
		Probes:       rapid.IntRange(0, 3).Draw(t, "probes"),
		Successes:    rapid.IntRange(0, 5).Draw(t, "successes"),
		ProbeTimeout: seconds("lease", -1, 4),
		Recovery:     seconds("recovery", 0, 5),
		Count:        rapid.Bool().Draw(t, "count"),
	}

	if rapid.Bool().Draw(t, "slow") {
		o.SlowCall = time.Second
		o.SlowRatio = rapid.SampledFrom([]float64{0.4, 1}).Draw(t, "slowRatio")
	}
	if rapid.Bool().Draw(t, "last") {
		o.WindowCalls = rapid.IntRange(6, 40).Draw(t, "n")
	} else {
		o.Window = seconds("window", 1, 8)
		o.Buckets = rapid.IntRange(1, 5).Draw(t, "buckets")
	}
	return o
}

// A breakerMachine drives a Breaker and its specification.
type breakerMachine struct {
	lazy    bool
	clock   fakeClock
	rand    float64 // the number that chance gives
	b       *Breaker
	base    time.Time
	model   *slowBreaker
	permits []Permit
	slow    []slowPermit
	used    []bool
	changes recorder
}

// A recorder keeps events, which come from timers too.
type recorder struct {
	mu      sync.Mutex // protects changes
	changes []Change
}

func (r *recorder) onChange(c Change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes = append(r.changes, c)
}

// all returns the events up to now.
func (r *recorder) all() []Change {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.changes)
}

func newBreakerMachine(t *rapid.T, lazy bool) *breakerMachine {
	m := &breakerMachine{lazy: lazy}
	o := drawOptions(t)
	m.model = newSlowBreaker(o)
	o.rand = func() float64 { return m.rand }
	o.OnChange = m.changes.onChange
	if lazy {
		m.clock.t = rapid.Int64Range(-1e18, 1e18).Draw(t, "start")
		o.Now = m.clock.now
	}
	m.b = New(o)
	m.base = m.b.clock.base
	return m
}

func (m *breakerMachine) now() int64 { return m.b.clock.read() }

func (m *breakerMachine) allow(t *rapid.T) {
	m.rand = rapid.SampledFrom([]float64{0, 0.2, 0.5, 0.9}).Draw(t, "chance")
	want, ok := m.model.allow(m.now(), m.rand)
	p, err := m.b.Allow()
	if (err == nil) != ok || err != nil && !errors.Is(err, ErrOpen) {
		t.Fatalf("Allow = %v while %v, want admitted %v", err, m.model.state, ok)
	}
	if ok {
		m.permits = append(m.permits, p)
		m.slow = append(m.slow, want)
		m.used = append(m.used, false)
	}
}

// report reports to one of the permits ever given. Permits are kept, so that it
// may be one that was used.
func (m *breakerMachine) report(t *rapid.T) {
	if len(m.permits) == 0 {
		t.Skip("no permits")
	}
	i := rapid.IntRange(0, len(m.permits)-1).Draw(t, "permit")
	i = max(i, len(m.permits)-1-rapid.IntRange(0, 3).Draw(t, "near"))
	o := rapid.SampledFrom([]Outcome{Success, Success, Failure, Failure, Ignored}).Draw(t, "outcome")

	want := false
	if !m.used[i] {
		want = m.model.report(m.now(), m.slow[i], o)
	}
	m.used[i] = true
	if got := m.permits[i].end(o, nil); got != want {
		t.Fatalf("report of %v by %+v = %v, want %v", o, m.slow[i], got, want)
	}
	if m.permits[i].end(o, nil) {
		t.Fatal("a used permit reports")
	}
}

// do makes a call through Do, which takes a time.
func (m *breakerMachine) do(t *rapid.T) {
	m.rand = rapid.SampledFrom([]float64{0, 0.2, 0.5, 0.9}).Draw(t, "chance")
	o := rapid.SampledFrom([]Outcome{Success, Success, Failure, Ignored}).Draw(t, "outcome")
	takes := rapid.SampledFrom([]time.Duration{0, 0, time.Second}).Draw(t, "takes")
	err := [...]error{Success: nil, Failure: errBad, Ignored: Ignore(errBad)}[o]

	p, ok := m.model.allow(m.now(), m.rand)
	made := false
	got := m.b.Do(t.Context(), func(context.Context) error {
		made = true
		m.pass(takes)
		m.model.report(m.now(), p, o)
		return err
	})
	if made != ok {
		t.Fatalf("Do made the call: %v while %v, want %v", made, m.model.state, ok)
	}
	if want := unmark(err); ok && !same(got, want) || !ok && !errors.Is(got, ErrOpen) {
		t.Fatalf("Do = %v, want %v, or ErrOpen if rejected", got, want)
	}
}

// order gives an order to both, after what time has brought.
func (m *breakerMachine) order(ours func(), spec func(t int64)) func(*rapid.T) {
	return func(*rapid.T) {
		m.model.settle(m.now())
		spec(m.now())
		ours()
	}
}

func (m *breakerMachine) sleep(t *rapid.T) {
	d := time.Duration(rapid.IntRange(0, 6000).Draw(t, "ms")) * time.Millisecond
	if rapid.Bool().Draw(t, "whole") {
		d = d.Round(time.Second)
	}
	m.pass(d)
}

// pass lets d pass.
func (m *breakerMachine) pass(d time.Duration) {
	if m.lazy {
		m.clock.sleep(d)
		return
	}
	time.Sleep(d)
	synctest.Wait()
}

func (m *breakerMachine) check(t *rapid.T) {
	now := m.now()
	if m.lazy && rapid.Bool().Draw(t, "unseen") {
		return // the next step finds more to catch up with
	}
	if got, want := m.b.Stats(), m.model.stats(now); got != want {
		t.Fatalf("Stats = %+v\n         want %+v", got, want)
	}
	if got := m.b.State(); got != m.model.state {
		t.Fatalf("State = %v, want %v", got, m.model.state)
	}

	until := time.Time{}
	if m.model.state == Open {
		until = m.base.Add(time.Duration(m.model.until))
	}
	if got := m.b.Until(); !got.Equal(until) {
		t.Fatalf("Until = %v, want %v", got, until)
	}

	full := m.model.state == HalfOpen && len(m.model.probes) >= m.model.c.Probes
	rejects := full || m.model.state == Open || m.model.state == ForcedOpen
	if err := m.b.Err(); (err != nil) != rejects {
		t.Fatalf("Err = %v while %v, want an error: %t", err, m.model.state, rejects)
	}

	changes := m.changes.all()
	if len(changes) != len(m.model.changes) {
		t.Fatalf("%d changes, want %d", len(changes), len(m.model.changes))
	}
	for i, want := range m.model.changes {
		got := changes[i]
		at := m.base.Add(time.Duration(want.At.UnixNano()))
		if got.From != want.From || got.To != want.To || got.Generation != want.Generation || !got.At.Equal(at) {
			t.Fatalf("change %d is %+v, want %+v", i, got, want)
		}
	}
}

func modelBreaker(t *rapid.T, lazy bool) {
	m := newBreakerMachine(t, lazy)
	force := func(to State) func(int64) {
		return func(at int64) {
			if m.model.state != to {
				m.model.move(to, at, at)
			}
		}
	}
	reset := func(at int64) {
		m.model.row = 0
		m.model.move(Closed, at, at)
	}

	t.Repeat(map[string]func(*rapid.T){
		"Allow": m.allow, "Allow2": m.allow,
		"Do": m.do, "Do2": m.do, "Do3": m.do,
		"report": m.report, "report2": m.report, "report3": m.report,
		"sleep": m.sleep, "sleep2": m.sleep,
		"ForceOpen":   m.order(m.b.ForceOpen, force(ForcedOpen)),
		"ForceClosed": m.order(m.b.ForceClosed, force(Disabled)),
		"Reset":       m.order(m.b.Reset, reset),
		"Auto": m.order(m.b.Auto, func(at int64) {
			if m.model.state == ForcedOpen || m.model.state == Disabled {
				reset(at)
			}
		}),
		"Trip": func(t *rapid.T) {
			d := time.Duration(rapid.IntRange(0, 5).Draw(t, "d")) * time.Second
			m.order(func() { m.b.Trip(d, nil) }, func(at int64) {
				switch until := at + int64(d); m.model.state {
				case ForcedOpen, Disabled:
				case Open:
					if until > m.model.until {
						m.model.move(Open, at, until)
					}
				default:
					m.model.open(at, int64(d))
				}
			})(t)
		},
		"": m.check,
	})
}

// TestPropLast checks that a window of the last n calls is exactly those.
func TestPropLast(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 100).Draw(t, "n")
		c := newConfig(&Options{FailureRatio: 1, WindowCalls: n})
		w := newLast(n)
		var all []slowOutcome
		for range rapid.IntRange(0, 300).Draw(t, "calls") {
			o := slowOutcome{0, rapid.IntRange(0, 4).Draw(t, "failed") == 0, rapid.IntRange(0, 4).Draw(t, "slow") == 0}
			all = append(all, o)
			if rapid.IntRange(0, 20).Draw(t, "meet") == 0 {
				w.waiting.spread() // as if two had met
			}
			w.add(o.failed, o.slow)
			if rapid.IntRange(0, 9).Draw(t, "look") > 0 {
				continue // successes wait for their places
			}
			m := &slowBreaker{c: c, outcomes: all}
			if got, want := w.sum(), m.window(0); got != want {
				t.Fatalf("sum = %v, want %v", got, want)
			}
		}

		m := &slowBreaker{c: c, outcomes: all}
		want := m.window(0)
		if got := w.sum(); got != want {
			t.Fatalf("sum = %v, want %v", got, want)
		}
		want[calls] = 0
		if got := w.recount(); got != want {
			t.Fatalf("the bits hold %v, want %v", got, want)
		}
	})
}

// TestPropRing checks a window of time against counting anew, for readings of
// either sign that also go back: what comes with an old reading counts as of
// the newest.
func TestPropRing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "buckets")
		span := rapid.Int64Range(int64(n), 1000).Draw(t, "span")
		now := rapid.Int64Range(-5000, 5000).Draw(t, "start")
		r := newRing(span, n, now)

		var epochs []int64
		for range rapid.IntRange(0, 100).Draw(t, "calls") {
			reading := now + rapid.Int64Range(-300, 300).Draw(t, "step")
			now = max(now, reading)
			switch rapid.IntRange(0, 3).Draw(t, "how") {
			case 0:
				r.add(reading, false, false)
			case 1:
				r.waiting.spread() // as if two had met
				fallthrough
			default:
				r.succeed(reading)
			}
			epochs = append(epochs, floorDiv(now, r.width))

			if rapid.IntRange(0, 3).Draw(t, "look") > 0 {
				continue // successes wait for their bucket
			}
			want := uint64(0)
			for _, e := range epochs {
				if e > floorDiv(now, r.width)-int64(n) {
					want++
				}
			}
			if got := r.sum(reading)[calls]; got != want {
				t.Fatalf("%d calls in the window, want %d", got, want)
			}
			if got := r.total(reading)[calls]; got != uint64(len(epochs)) {
				t.Fatalf("%d calls since the start, want %d", got, len(epochs))
			}
		}
	})
}

// TestPropDelay checks that open times grow by the factor up to the cap, within
// the jitter.
func TestPropDelay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newConfig(&Options{
			OpenFor:    time.Duration(rapid.Int64Range(1, 1e12).Draw(t, "for")),
			OpenMax:    time.Duration(rapid.Int64Range(1e12, 1<<63-1).Draw(t, "max")),
			OpenFactor: rapid.Float64Range(1, 10).Draw(t, "factor"),
			Jitter:     rapid.Float64Range(0.01, 0.99).Draw(t, "jitter"),
		})
		mean := float64(c.OpenFor)
		for i := range 50 {
			low := min(mean, float64(c.OpenMax)) * (1 - c.Jitter)
			high := min(mean, float64(c.OpenMax)) * (1 + c.Jitter)
			if d := float64(c.delay(i)); d < min(low*(1-1e-9)-1, maxReading) || d > high*(1+1e-9)+1 {
				t.Fatalf("delay %d is %v, want between %v and %v", i, d, low, high)
			}
			mean *= c.OpenFactor
		}
	})
}
