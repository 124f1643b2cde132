// SPDX-License-Identifier: MIT

package breaker

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

var global Breaker

// TestZero uses breakers that nobody made, one of them no part of the heap: its timer must work too.
func TestZero(t *testing.T) {
	var zero Breaker
	for name, use := range map[string]func(b *Breaker){
		"Allow": func(b *Breaker) { admit(t, b) }, "State": func(b *Breaker) { wantState(t, b, Closed) },
		"Stats": func(b *Breaker) { b.Stats() }, "Err": func(b *Breaker) { _ = b.Err() },
		"Reset": (*Breaker).Reset, "Auto": (*Breaker).Auto, "Until": func(b *Breaker) { b.Until() },
	} {
		var b Breaker
		if use(&b); b.State() != Closed {
			t.Errorf("%s: %v", name, b.State())
		}
	}
	for range 5 {
		wantState(t, &zero, Closed)
		_ = call(&zero, errBad)
	}
	wantState(t, &zero, Open)

	global = Breaker{}
	synctest.Test(t, func(t *testing.T) {
		global.Trip(time.Second, nil)
		time.Sleep(time.Second)
		synctest.Wait()
		if stateOf(global.word.Load()) != HalfOpen {
			t.Error("the timer of a global variable did not run")
		}
	})
}

// TestCollected drops a breaker that is open for long: its timer must not keep it.
func TestCollected(t *testing.T) {
	gone := make(chan struct{})
	func() {
		b := New(nil)
		b.Trip(time.Hour, nil)
		runtime.AddCleanup(b, func(int) { close(gone) }, 0)
	}()
	for range 100 {
		runtime.GC()
		select {
		case <-gone:
			return
		default:
			runtime.Gosched()
		}
	}
	t.Error("an open breaker is kept alive")
}

func TestValidate(t *testing.T) {
	for _, tt := range []struct {
		o    Options
		want string // part of the error; empty if valid
	}{
		{Options{}, ""},
		{Options{Jitter: -1, ProbeTimeout: -1}, ""},
		{Options{WindowCalls: 5, FailureRatio: 1}, ""},
		{Options{Failures: -1}, "Failures"},
		{Options{MinCalls: -1}, "MinCalls"},
		{Options{Buckets: 5000}, "Buckets"},
		{Options{WindowCalls: 1 << 20}, "WindowCalls"},
		{Options{WindowCalls: 10, MinCalls: 11}, "MinCalls"},
		{Options{WindowCalls: 30, Window: 1}, "excludes"},
		{Options{Probes: 8192}, "Probes"},
		{Options{Successes: -1}, "Successes"},
		{Options{FailureRatio: 1.1}, "FailureRatio"},
		{Options{SlowRatio: math.NaN()}, "SlowRatio"},
		{Options{SlowRatio: 0.5}, "SlowCall"},
		{Options{SlowCall: 1}, "SlowRatio"},
		{Options{RecoveryStart: -1}, "RecoveryStart"},
		{Options{Window: -1}, "Window"},
		{Options{Window: 5}, "at least 1ns a bucket"},
		{Options{OpenFor: -1}, "OpenFor"},
		{Options{OpenFor: 2, OpenMax: 1}, "OpenMax"},
		{Options{OpenFactor: 0.5}, "OpenFactor"},
		{Options{OpenFactor: math.Inf(1)}, "OpenFactor"},
		{Options{Jitter: 1}, "Jitter"},
		{Options{Jitter: math.NaN()}, "Jitter"},
		{Options{Timeout: -1}, "Timeout"},
		{Options{Recovery: -1}, "Recovery"},
		{Options{StableFor: -1}, "StableFor"},
	} {
		err := tt.o.Validate()
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Validate = %v, want %q", err, tt.want)
		}
		b := New(nil)
		if got := b.SetOptions(&tt.o); (got == nil) != (err == nil) {
			t.Errorf("SetOptions = %v, Validate = %v", got, err)
		}
	}
	for _, o := range []ThrottleOptions{{K: 0.5}, {K: math.NaN()}, {Window: 1}, {Window: -1}, {MaxReject: 1}, {MaxReject: -1}, {Spare: -1}} {
		if o.Validate() == nil {
			t.Errorf("%+v is valid", o)
		}
	}
}

// mustPanic checks that f panics with a message that begins with want.
func mustPanic(t *testing.T, want string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if s, _ := recover().(string); !strings.HasPrefix(s, want) {
			t.Errorf("panic %q, want %q", s, want)
		}
	}()
	f()
}

func TestPanics(t *testing.T) {
	var nilCtx context.Context
	mustPanic(t, "breaker: New: Options.Failures must be", func() { New(&Options{Failures: -1}) })
	mustPanic(t, "breaker: NewGroup: GroupOptions.Max must", func() { NewGroup(&GroupOptions[int]{Max: -1}) })
	mustPanic(t, "breaker: NewThrottle: ThrottleOptions.K must", func() { NewThrottle(&ThrottleOptions{K: 0.1}) })
	mustPanic(t, "breaker: Trip: d must", func() { New(nil).Trip(-1, nil) })
	mustPanic(t, "breaker: Do: ctx must", func() { _ = New(nil).Do(nilCtx, nil) })
	mustPanic(t, "breaker: Throttle.Do: ctx must", func() { _ = NewThrottle(nil).Do(nilCtx, nil) })
	mustPanic(t, "breaker: zero Group", func() { new(Group[int]).Get(1) })
	mustPanic(t, "breaker: zero Throttle", func() { new(Throttle).Allow() })
}

func TestClassify(t *testing.T) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	caused, cancelCause := context.WithCancelCause(t.Context())
	cancelCause(errBad)
	late, cancelLate := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancelLate()
	for i, tt := range []struct {
		ctx  context.Context
		err  error
		want Outcome
	}{
		{t.Context(), nil, Success},
		{canceled, nil, Success},
		{t.Context(), errBad, Failure},
		{t.Context(), context.Canceled, Failure}, // somebody else's
		{canceled, context.Canceled, Ignored},
		{canceled, errBad, Failure},
		{caused, errBad, Ignored},
		{late, context.DeadlineExceeded, Ignored},
		{late, errors.Join(ErrTimeout, context.DeadlineExceeded), Failure},
		{t.Context(), Ignore(errBad), Ignored},
		{t.Context(), errors.Join(errors.New("x"), Ignore(errBad)), Ignored},
		{t.Context(), Ignore(nil), Success},
	} {
		if got := Classify(tt.ctx, tt.err); got != tt.want {
			t.Errorf("%d: Classify(%v) = %v, want %v", i, tt.err, got, tt.want)
		}
		b := New(&Options{Failures: 1})
		p := admit(t, b)
		p.Done(tt.ctx, tt.err)
		if p.Done(tt.ctx, tt.err) || (b.State() == Open) != (tt.want == Failure) {
			t.Errorf("%d: %v after Done(%v)", i, b.State(), tt.err)
		}
	}
	if err := Ignore(errBad); !errors.Is(err, errBad) || err.Error() != "bad" {
		t.Errorf("Ignore = %v", err)
	}
	b := New(&Options{Failures: 1})
	if err := b.Do(canceled, nil); err != context.Canceled || b.Stats().Opened != 0 {
		t.Errorf("Do = %v", err)
	}
}

// TestTimeout checks that a timeout cancels, waits, and is a failure though the caller waits on.
func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(&Options{Failures: 3, Timeout: time.Second})
		start := time.Now()
		err := b.Do(t.Context(), func(ctx context.Context) error {
			<-ctx.Done()
			time.Sleep(time.Second) // slow to obey: never abandoned
			return ctx.Err()
		})
		if !errors.Is(err, ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 2*time.Second {
			t.Errorf("Do = %v after %v", err, time.Since(start))
		}
		cause := func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) }
		if err := b.Do(t.Context(), cause); err != ErrTimeout {
			t.Errorf("Do = %v, want ErrTimeout", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := b.Do(ctx, cause); errors.Is(err, ErrTimeout) || b.Stats().Row != 2 {
			t.Errorf("Do = %v, %d in a row: the caller's deadline is no failure", err, b.Stats().Row)
		}
		ctx, cancel = context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		_ = b.Do(ctx, func(ctx context.Context) error { <-ctx.Done(); time.Sleep(time.Second); return ctx.Err() })
		wantState(t, b, Open) // ours came first
	})
}

func TestSlow(t *testing.T) {
	b, clock := hand(Options{SlowCall: time.Second, SlowRatio: 0.5, WindowCalls: 4})
	slow := func(context.Context) error { clock.sleep(time.Second); return nil }
	_, _, _ = call(b, nil), call(b, nil), b.Do(t.Context(), slow)
	wantState(t, b, Closed)
	_ = b.Do(t.Context(), slow)
	wantState(t, b, Open)
	if oe := b.Err().(*OpenError); oe.Cause != ErrSlow || oe.Error() != "breaker: open, since breaker: calls are slow" {
		t.Errorf("%v", oe)
	}
	clock.sleep(5 * time.Second)
	_ = b.Do(t.Context(), slow) // a slow probe is a failed one
	wantState(t, b, Open)
	if (Stats{Calls: 4, Slow: 1}).SlowRatio() != 0.25 || (Stats{}).FailureRatio() != 0 {
		t.Error("ratios")
	}
}

// TestCustomRule asks Trip under no lock, after the rules, about failures only.
func TestCustomRule(t *testing.T) {
	var b *Breaker
	asked := 0
	b, _ = hand(Options{Trip: func(s Stats) bool {
		asked++
		return b.Stats() == s && s.Failures == 2 && s.Calls == 4
	}})
	_, _, _, _ = call(b, nil), call(b, errBad), call(b, nil), call(b, errBad)
	if wantState(t, b, Open); asked != 2 {
		t.Errorf("asked %d times", asked)
	}
}

// TestSetOptions changes settings in each state.
func TestSetOptions(t *testing.T) {
	b, clock := hand(Options{Failures: 5})
	before := admit(t, b)
	for range 3 {
		_ = call(b, errBad)
	}
	set := func(o Options) {
		t.Helper()
		o.Jitter = -1
		if err := b.SetOptions(&o); err != nil {
			t.Fatal(err)
		}
	}
	set(Options{Name: "new", Failures: 4, Count: true, Probes: 2})
	if !before.Failure(errBad) {
		t.Error("a call in flight was forgotten")
	}
	wantState(t, b, Open)
	set(Options{Name: "newer", OpenFor: time.Minute, Count: true, Probes: 2})
	if d := b.Err().(*OpenError).RetryAfter(); d != 5*time.Second {
		t.Errorf("RetryAfter = %v", d)
	}
	if err := call(b, nil); err.Error() != "breaker: open (newer), since bad" {
		t.Error(err)
	}
	clock.sleep(5 * time.Second)
	p, q := admit(t, b), admit(t, b)
	set(Options{Probes: 1, Successes: 2, Recovery: time.Second, Count: true})
	if _, err := b.Allow(); err == nil {
		t.Error("more probes than before")
	}
	if !p.Success() || !q.Success() {
		t.Error("a probe was forgotten")
	}
	wantState(t, b, Recovering)
	set(Options{FailureRatio: 0.5, MinCalls: 1, Count: true})
	if s := b.Stats(); s.State != Recovering || s.Succeeded != 2 || s.Failed != 1 || s.Rejected != 2 {
		t.Errorf("%+v", s)
	} else if d := s.Sub(Stats{Succeeded: 1, Late: 0}); d.Succeeded != 1 {
		t.Errorf("Sub = %+v", d)
	}
	clock.sleep(time.Second)
	wantState(t, b, Closed)
	_ = call(b, errBad)
	wantState(t, b, Open)
}

// TestRecovery checks the ramp: the share admitted is RecoveryStart at first and grows to all,
// within 4 standard deviations of a binomial, about 6e-5, with a fixed seed.
func TestRecovery(t *testing.T) {
	b, clock := hand(Options{Recovery: 10 * time.Second, RecoveryStart: 0.2, rand: newRand()})
	b.Trip(time.Second, nil)
	clock.sleep(time.Second)
	_ = call(b, nil)
	wantState(t, b, Recovering)
	const n = 10_000
	for second := range 10 {
		admitted := 0
		for range n {
			if call(b, nil) == nil {
				admitted++
			}
		}
		want := n * (0.2 + 0.08*float64(second))
		if diff := float64(admitted) - want; math.Abs(diff) > 4*math.Sqrt(n)/2 {
			t.Errorf("second %d: %d of %d admitted, want %.0f", second, admitted, n, want)
		}
		clock.sleep(time.Second)
	}
	wantState(t, b, Closed)
}

// TestStable checks when a row of openings ends: at StableFor exactly.
func TestStable(t *testing.T) {
	for _, tt := range []struct{ closed, want time.Duration }{
		{9999 * time.Millisecond, 4 * time.Second}, {10 * time.Second, time.Second},
	} {
		b, clock := hand(Options{Failures: 1, OpenFor: time.Second, StableFor: 10 * time.Second})
		for _, want := range []time.Duration{time.Second, 2 * time.Second, tt.want} {
			_ = call(b, errBad)
			if d := b.Err().(*OpenError).RetryAfter(); d != want {
				t.Errorf("closed for %v: open for %v, want %v", tt.closed, d, want)
			}
			clock.sleep(want)
			_ = call(b, nil)
			if want == 2*time.Second {
				clock.sleep(tt.closed)
			}
		}
	}
}

// TestLateRecovering reports after the ramp is over, without anybody having looked meanwhile.
func TestLateRecovering(t *testing.T) {
	b, clock := hand(Options{Recovery: time.Second, RecoveryStart: 1})
	b.Trip(1, nil)
	clock.sleep(1)
	_ = call(b, nil)
	p, q := admit(t, b), admit(t, b)
	if !p.Success() {
		t.Error("a report while recovering was not counted")
	}
	clock.sleep(time.Second)
	if q.Success() || b.State() != Closed {
		t.Error("a report of a generation that is over was counted")
	}
}

// TestClockBackEvents lets the clock go back between changes: the times of events do not.
func TestClockBackEvents(t *testing.T) {
	var at []time.Time
	b, clock := hand(Options{OnChange: func(c Change) { at = append(at, c.At) }})
	for range 5 {
		b.ForceOpen()
		clock.sleep(-time.Hour)
		b.Reset()
	}
	for i := range at {
		if !at[i].Equal(at[0]) {
			t.Errorf("event %d at %v after %v", i, at[i], at[0])
		}
	}
}

// TestEventPanic has events panic and end their goroutine: the breaker is valid and no event is lost.
func TestEventPanic(t *testing.T) {
	var seen []State
	b, _ := hand(Options{Failures: 1})
	_ = b.SetOptions(&Options{Failures: 1, OnChange: func(c Change) {
		seen = append(seen, c.To)
		if len(seen) == 1 {
			b.ForceClosed() // queued behind this one
			panic("boom")
		}
		if len(seen) == 2 {
			runtime.Goexit()
		}
	}})
	done := make(chan struct{})
	// It ends by the Goexit of the second event.
	go func() {
		defer close(done)
		defer func() { _ = recover() }()
		b.ForceOpen()
	}()
	<-done
	b.Auto()
	if len(seen) != 3 || seen[0] != ForcedOpen || seen[1] != Disabled || seen[2] != Closed {
		t.Errorf("events %v", seen)
	}
}

// TestPropDeadBackend kills what is behind a breaker while calls are in flight, and counts
// what it receives: up to the trip at most the threshold and the calls in flight, and
// afterwards at most Probes per half-open period.
func TestPropDeadBackend(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		threshold := rapid.IntRange(1, 10).Draw(t, "threshold")
		probes := rapid.IntRange(1, 4).Draw(t, "probes")
		flight := rapid.IntRange(1, 20).Draw(t, "flight") // most calls at once
		clock := &fakeClock{}
		halfOpens := 0
		b := New(&Options{Failures: threshold, Probes: probes, ProbeTimeout: -1, Now: clock.now, OnChange: func(c Change) {
			if c.To == HalfOpen {
				halfOpens++
			}
		}})
		var out []Permit
		before, after := 0, 0
		for range 300 {
			clock.sleep(time.Duration(rapid.IntRange(0, 500).Draw(t, "ms")) * time.Millisecond)
			if len(out) < flight && rapid.Bool().Draw(t, "call") {
				if p, err := b.Allow(); err == nil {
					out = append(out, p)
					if b.Stats().Opened == 0 {
						before++
					} else {
						after++
					}
				}
			} else if len(out) > 0 {
				i := rapid.IntRange(0, len(out)-1).Draw(t, "i")
				out[i].Failure(errBad)
				out = append(out[:i], out[i+1:]...)
			}
		}
		if before > threshold+flight-1 || after > probes*halfOpens {
			t.Fatalf("%d calls until it opened, %d in %d half-open periods", before, after, halfOpens)
		}
	})
}

func TestStrings(t *testing.T) {
	for s, want := range map[State]string{
		Closed: "closed", Open: "open", HalfOpen: "half-open", Recovering: "recovering",
		ForcedOpen: "forced open", Disabled: "disabled", 9: "state 9",
	} {
		if got := s.String(); got != want {
			t.Errorf("String = %q, want %q", got, want)
		}
	}
	if got := fmt.Sprint(Success, Failure, Ignored, Outcome(7)); got != "success failure ignored outcome 7" {
		t.Errorf("outcomes %q", got)
	}
	b := New(nil)
	b.ForceOpen()
	oe := b.Err().(*OpenError)
	if oe.RetryAfter() != 0 || oe.Error() != "breaker: forced open" {
		t.Errorf("%v, RetryAfter %v", oe, oe.RetryAfter())
	}
	if _, err := b.Allow(); err != oe {
		t.Errorf("Allow = %v", err)
	}
	b.Trip(time.Second, nil)
	if wantState(t, b, ForcedOpen); b.Stats().Opened != 0 {
		t.Error("Trip while forced open")
	}
}

// TestOutcomes checks the methods of Permit, the totals, and DoElse.
func TestOutcomes(t *testing.T) {
	b, _ := hand(Options{Count: true})
	for range 3 {
		p, q, r := admit(t, b), admit(t, b), admit(t, b)
		if !p.Failure(errBad) || !q.Ignore() || !r.Success() {
			t.Error("a report was not counted")
		}
	}
	b.ForceOpen()
	v, err := DoElse(t.Context(), b, func(context.Context) (int, error) { return 1, nil },
		func(_ context.Context, err error) (int, error) { return 2, errors.Unwrap(err) })
	if v != 2 || err != nil {
		t.Errorf("DoElse = %v, %v", v, err)
	}
	s := b.Stats()
	if s.Succeeded != 3 || s.Failed != 3 || s.Ignored != 3 || s.Rejected != 1 {
		t.Errorf("%+v", s)
	}
	b.ForceClosed()
	for range 10 {
		_ = call(b, errBad)
	}
	if wantState(t, b, Disabled); b.Stats().Row != 10 {
		t.Errorf("%+v", b.Stats())
	}
	v, err = DoElse(t.Context(), b, func(context.Context) (int, error) { return 1, nil }, nil)
	if v != 1 || err != nil {
		t.Errorf("DoElse = %v, %v", v, err)
	}
}
