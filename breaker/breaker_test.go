// SPDX-License-Identifier: MIT

package breaker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

var global Breaker

// TestZero checks that breakers that no constructor made work, one of them no
// part of the heap: its timer must run, too.
func TestZero(t *testing.T) {
	for name, use := range map[string]func(b *Breaker){
		"Allow": func(b *Breaker) { admit(t, b) },
		"State": func(b *Breaker) { wantState(t, b, Closed) },
		"Stats": func(b *Breaker) { b.Stats() },
		"Err":   func(b *Breaker) { _ = b.Err() },
		"Until": func(b *Breaker) { b.Until() },
		"Reset": (*Breaker).Reset,
		"Auto":  (*Breaker).Auto,
		"SetOptions": func(b *Breaker) {
			if err := b.SetOptions(nil); err != nil {
				t.Errorf("SetOptions = %v, want nil", err)
			}
		},
	} {
		var b Breaker
		use(&b)
		if got := b.State(); got != Closed {
			t.Errorf("%s: State = %v, want closed", name, got)
		}
	}

	var zero Breaker
	for range 5 {
		wantState(t, &zero, Closed)
		calling(&zero, errBad)
	}
	wantState(t, &zero, Open)

	global = Breaker{}
	synctest.Test(t, func(t *testing.T) {
		global.Trip(time.Second, nil)
		time.Sleep(time.Second)
		synctest.Wait()
		if got := stateOf(global.word.Load()); got != HalfOpen {
			t.Errorf("a global variable is %v, want half-open by its timer", got)
		}
	})
}

// TestCollected checks that the timers of a breaker that is open for long, and
// of a throttle, do not keep them.
func TestCollected(t *testing.T) {
	gone := make(chan struct{}, 2)
	func() {
		b := New(nil)
		b.Trip(time.Hour, nil)
		runtime.AddCleanup(b, func(int) { gone <- struct{}{} }, 0)

		th := NewThrottle(&ThrottleOptions{Window: 1000 * time.Hour})
		th.Allow()
		runtime.AddCleanup(th, func(int) { gone <- struct{}{} }, 0)
	}()
	for start := time.Now(); time.Since(start) < 10*time.Second; {
		runtime.GC()
		if len(gone) == 2 {
			return
		}
		runtime.Gosched()
	}
	t.Errorf("%d of a breaker and a throttle were collected, want both", len(gone))
}

// TestValidate checks which options are valid: at each bound, and next to it.
func TestValidate(t *testing.T) {
	above := func(x float64) float64 { return math.Nextafter(x, math.Inf(1)) }
	below := func(x float64) float64 { return math.Nextafter(x, math.Inf(-1)) }
	for _, tt := range []struct {
		o    Options
		want string // part of the error; empty if valid
	}{
		{Options{}, ""},
		{Options{Jitter: -1, ProbeTimeout: -1}, ""},
		{Options{Failures: -1}, "Failures"},
		{Options{MinCalls: -1}, "MinCalls"},

		{Options{FailureRatio: 1}, ""},
		{Options{FailureRatio: above(1)}, "FailureRatio"},
		{Options{FailureRatio: -below(1)}, "FailureRatio"},
		{Options{SlowRatio: math.NaN()}, "SlowRatio"},
		{Options{SlowRatio: 1, SlowCall: 1}, ""},
		{Options{SlowRatio: above(1), SlowCall: 1}, "SlowRatio"},
		{Options{SlowRatio: 0.5}, "SlowCall"},
		{Options{SlowCall: 1}, "SlowRatio"},
		{Options{SlowCall: -1, SlowRatio: 0.5}, "SlowCall"},

		{Options{Buckets: 1024}, ""},
		{Options{Buckets: 1025}, "Buckets"},
		{Options{Window: 10}, ""},
		{Options{Window: 9}, "at least 1ns a bucket"},
		{Options{Window: 1024, Buckets: 1024}, ""},
		{Options{Window: 1023, Buckets: 1024}, "at least 1ns a bucket"},
		{Options{Window: -1}, "Window"},
		{Options{WindowCalls: 1 << 16}, ""},
		{Options{WindowCalls: 1<<16 + 1}, "WindowCalls"},
		{Options{WindowCalls: 10, MinCalls: 10}, ""},
		{Options{WindowCalls: 10, MinCalls: 11}, "MinCalls"},
		{Options{WindowCalls: 1, MinCalls: 2}, "MinCalls"},
		{Options{WindowCalls: 5, FailureRatio: 1}, ""},
		{Options{WindowCalls: 30, Window: 1}, "excludes"},
		{Options{WindowCalls: 30, Buckets: 1}, "excludes"},
		{Options{WindowCalls: 1, Window: 1}, "excludes"},

		{Options{OpenFor: -1}, "OpenFor"},
		{Options{OpenFor: 2, OpenMax: 2}, ""},
		{Options{OpenFor: 2, OpenMax: 1}, "OpenMax"},
		{Options{OpenMax: -1}, "OpenMax"},
		{Options{OpenFactor: 1}, ""},
		{Options{OpenFactor: below(1)}, "OpenFactor"},
		{Options{OpenFactor: math.MaxInt32}, ""},
		{Options{OpenFactor: above(math.MaxInt32)}, "OpenFactor"},
		{Options{OpenFactor: math.NaN()}, "OpenFactor"},
		{Options{Jitter: below(1)}, ""},
		{Options{Jitter: 1}, "Jitter"},
		{Options{Jitter: math.NaN()}, "Jitter"},
		{Options{StableFor: -1}, "StableFor"},

		{Options{Probes: 8191, Successes: 8191}, ""},
		{Options{Probes: 8192}, "Probes"},
		{Options{Successes: 8192}, "Successes"},
		{Options{Successes: -1}, "Successes"},
		{Options{RecoveryStart: 1}, ""},
		{Options{RecoveryStart: above(1)}, "RecoveryStart"},
		{Options{RecoveryStart: -1}, "RecoveryStart"},
		{Options{Recovery: -1}, "Recovery"},
		{Options{Timeout: -1}, "Timeout"},
	} {
		err := tt.o.Validate()
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: Validate = %v, want %q", tt.o, err, tt.want)
		}
		if got := New(nil).SetOptions(&tt.o); (got == nil) != (err == nil) {
			t.Errorf("%+v: SetOptions = %v, want %v", tt.o, got, err)
		}
	}

	for _, tt := range []struct {
		o    ThrottleOptions
		want string
	}{
		{ThrottleOptions{}, ""},
		{ThrottleOptions{K: 1}, ""},
		{ThrottleOptions{K: below(1)}, "K must"},
		{ThrottleOptions{K: math.MaxInt32}, ""},
		{ThrottleOptions{K: above(math.MaxInt32)}, "K must"},
		{ThrottleOptions{K: math.NaN()}, "K must"},
		{ThrottleOptions{Window: 320}, ""},
		{ThrottleOptions{Window: 319}, "Window"},
		{ThrottleOptions{Window: 1}, "Window"},
		{ThrottleOptions{Window: -1}, "Window"},
		{ThrottleOptions{MaxReject: below(1)}, ""},
		{ThrottleOptions{MaxReject: 1}, "MaxReject"},
		{ThrottleOptions{MaxReject: -1}, "MaxReject"},
		{ThrottleOptions{Spare: -1}, "Spare"},
		{ThrottleOptions{Timeout: -1}, "Timeout"},
	} {
		err := tt.o.Validate()
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: Validate = %v, want %q", tt.o, err, tt.want)
		}
	}
}

// TestResolve checks the defaults that doc comments state.
func TestResolve(t *testing.T) {
	for _, tt := range []struct {
		o    Options
		want string
	}{
		{Options{}, "5 20 10s 10 5s 1m0s 2 10s 0.2 1 1 5s 0.1"},
		{Options{FailureRatio: 1}, "0 20 10s 10 5s 1m0s 2 10s 0.2 1 1 5s 0.1"},
		{Options{SlowRatio: 1}, "0 20 10s 10 5s 1m0s 2 10s 0.2 1 1 5s 0.1"},
		{Options{Trip: func(Stats) bool { return false }}, "0 20 10s 10 5s 1m0s 2 10s 0.2 1 1 5s 0.1"},
		{Options{WindowCalls: 7}, "5 7 10s 10 5s 1m0s 2 10s 0.2 1 1 5s 0.1"},
		{Options{WindowCalls: 21}, "5 20 10s 10 5s 1m0s 2 10s 0.2 1 1 5s 0.1"},
		{Options{OpenFor: time.Hour, Probes: 3}, "5 20 10s 10 1h0m0s 1h0m0s 2 1h0m0s 0.2 3 3 1h0m0s 0.1"},
		{Options{Timeout: time.Minute, Jitter: -1}, "5 20 10s 10 5s 1m0s 2 10s 0 1 1 1m0s 0.1"},
	} {
		r := tt.o.resolve()
		got := fmt.Sprint(r.Failures, r.MinCalls, r.Window, r.Buckets, r.OpenFor, r.OpenMax, r.OpenFactor, r.StableFor,
			r.Jitter, r.Probes, r.Successes, r.ProbeTimeout, r.RecoveryStart)
		if got != tt.want {
			t.Errorf("resolve = %s, want %s", got, tt.want)
		}
	}

	group, throttle := new(GroupOptions[int]).resolve(), new(ThrottleOptions).resolve()
	got := fmt.Sprint(group.Max, group.Forget, throttle.K, throttle.Window, throttle.MaxReject, throttle.Spare)
	if want := "65536 1h0m0s 2 2m0s 0.95 10"; got != want {
		t.Errorf("resolve = %s, want %s", got, want)
	}
}

// TestPanics checks the panics of programmer errors.
func TestPanics(t *testing.T) {
	var nilCtx context.Context
	mustPanic(t, "breaker: Options.Failures must be", func() { New(&Options{Failures: -1}) })
	mustPanic(t, "breaker: GroupOptions.Max must", func() { NewGroup(&GroupOptions[int]{Max: -1}) })
	mustPanic(t, "breaker: ThrottleOptions.K must", func() { NewThrottle(&ThrottleOptions{K: 0.1}) })
	mustPanic(t, "breaker: d must not be negative, got -1ns", func() { New(nil).Trip(-1, nil) })
	mustPanic(t, "breaker: ctx must not be nil", func() { _ = New(nil).Do(nilCtx, nil) })
	mustPanic(t, "breaker: ctx must not be nil", func() { _ = NewThrottle(nil).Do(nilCtx, nil) })
	mustPanic(t, "breaker: zero Group: use NewGroup", func() { new(Group[int]).Get(1) })
	for _, use := range []func(*Throttle){
		func(th *Throttle) { th.Allow() }, func(th *Throttle) { th.RejectRatio() }, func(th *Throttle) { th.Stats() },
		(*Throttle).Accept, (*Throttle).Ignore,
	} {
		mustPanic(t, "breaker: zero Throttle: use NewThrottle", func() { use(new(Throttle)) })
	}
}

// TestClassify checks the default meaning of outcomes, and that Permit.Done
// asks it.
func TestClassify(t *testing.T) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancelLate := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancelLate()

	for _, tt := range []struct {
		name string
		ctx  context.Context
		err  error
		want Outcome
	}{
		{"nil", t.Context(), nil, Success},
		{"nil, canceled", canceled, nil, Success},
		{"error", t.Context(), errBad, Failure},
		{"somebody else's cancellation", t.Context(), context.Canceled, Failure},
		{"canceled", canceled, context.Canceled, Ignored},
		{"canceled, not wrapped", canceled, errBad, Ignored},
		{"late", late, context.DeadlineExceeded, Ignored},
		{"late, but ours first", late, errors.Join(ErrTimeout, context.DeadlineExceeded), Failure},
		{"ignored", t.Context(), Ignore(errBad), Ignored},
		{"ignored, wrapped", t.Context(), errors.Join(errors.New("x"), Ignore(errBad)), Ignored},
		{"ignored nil", t.Context(), Ignore(nil), Success},
		{"answer", t.Context(), Answer(errBad), Success},
		{"answer, canceled", canceled, fmt.Errorf("get: %w", Answer(errBad)), Success},
		{"open", t.Context(), &OpenError{}, Ignored},
	} {
		if got := Classify(tt.ctx, tt.err); got != tt.want {
			t.Errorf("%s: Classify = %v, want %v", tt.name, got, tt.want)
		}
		b := New(&Options{Failures: 1})
		p := admit(t, b)
		p.Done(tt.ctx, tt.err)
		if got := b.State() == Open; got != (tt.want == Failure) {
			t.Errorf("%s: open = %v after Done, want %v", tt.name, got, !got)
		}
	}

	if err := Ignore(errBad); !errors.Is(err, errBad) || err.Error() != "bad" {
		t.Errorf("Ignore = %v, want an error that wraps %v", err, errBad)
	}
	b := New(&Options{Failures: 1})
	if err := b.Do(canceled, nil); !same(err, context.Canceled) {
		t.Errorf("Do = %v, want context.Canceled", err)
	}
	wantState(t, b, Closed)
}

// TestCustomClassify checks that Options.Classify is asked about every outcome,
// successes too, with the caller's context.
func TestCustomClassify(t *testing.T) {
	type key struct{}
	ctx := context.WithValue(t.Context(), key{}, true)
	for _, timeout := range []time.Duration{0, time.Hour} {
		var asked []error
		b := New(&Options{Failures: 2, Timeout: timeout, Classify: func(ctx context.Context, err error) Outcome {
			if ctx.Value(key{}) == nil {
				t.Error("Classify was given another context")
			}
			asked = append(asked, err)
			return Failure
		}})
		for _, err := range []error{nil, errBad} {
			if got := b.Do(ctx, func(context.Context) error { return err }); !same(got, err) {
				t.Errorf("Do = %v, want %v", got, err)
			}
		}
		if !slices.Equal(asked, []error{nil, errBad}) {
			t.Errorf("asked about %v, want nil and %v", asked, errBad)
		}
		wantState(t, b, Open)
	}
}

// TestTimeout checks that a timeout cancels, waits, and is a failure though the
// caller waits on.
func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(&Options{Failures: 3, Timeout: time.Second})
		start := time.Now()
		err := b.Do(t.Context(), func(ctx context.Context) error {
			<-ctx.Done()
			time.Sleep(time.Second) // slow to obey: never abandoned
			return ctx.Err()
		})
		if !errors.Is(err, ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Do = %v, want ErrTimeout and DeadlineExceeded", err)
		}
		if got := time.Since(start); got != 2*time.Second {
			t.Errorf("Do returned after %v, want 2s", got)
		}

		cause := func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) }
		if err := b.Do(t.Context(), cause); !same(err, ErrTimeout) {
			t.Errorf("Do = %v, want ErrTimeout", err)
		}

		// The caller's deadline is no failure.
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := b.Do(ctx, cause); errors.Is(err, ErrTimeout) {
			t.Errorf("Do = %v, want no ErrTimeout", err)
		}
		if got := b.Stats().Row; got != 2 {
			t.Errorf("Row = %d, want 2", got)
		}

		// An answer, or a success, that comes late is one nevertheless.
		late := func(err error) error {
			return b.Do(t.Context(), func(ctx context.Context) error { <-ctx.Done(); return err })
		}
		if err := late(Answer(errBad)); !same(err, errBad) {
			t.Errorf("Do = %v, want %v", err, errBad)
		}
		if err := late(nil); err != nil {
			t.Errorf("Do = %v, want nil", err)
		}
		if got := b.Stats().Row; got != 0 {
			t.Errorf("Row = %d, want 0", got)
		}
	})
}

// TestSlow checks the rule of slow calls, and that a slow probe is a failed
// one.
func TestSlow(t *testing.T) {
	b, clock := byHand(Options{SlowCall: time.Second, SlowRatio: 0.5, WindowCalls: 4})
	slow := func(context.Context) error { clock.sleep(time.Second); return nil }
	calling(b, nil, nil)
	_ = b.Do(t.Context(), slow)
	wantState(t, b, Closed)
	_ = b.Do(t.Context(), slow)
	wantState(t, b, Open)
	oe := openError(t, b)
	if !same(oe.Cause, ErrSlow) {
		t.Errorf("Cause = %v, want ErrSlow", oe.Cause)
	}
	if got, want := oe.Error(), "breaker: open, since breaker: calls are slow"; got != want {
		t.Errorf("Error = %q, want %q", got, want)
	}

	clock.sleep(5 * time.Second)
	_ = b.Do(t.Context(), slow)
	wantState(t, b, Open)

	// A probe that is a nanosecond quicker is a good one.
	clock.sleep(10 * time.Second)
	_ = b.Do(t.Context(), func(context.Context) error { clock.sleep(time.Second - 1); return nil })
	wantState(t, b, Closed)

	if got := (Stats{Calls: 4, Slow: 1}).SlowRatio(); got != 0.25 {
		t.Errorf("SlowRatio = %v, want 0.25", got)
	}
	if got := (Stats{}).FailureRatio(); got != 0 {
		t.Errorf("FailureRatio = %v without calls, want 0", got)
	}
}

// TestCustomRule checks that Trip is asked under no lock, after the rules,
// about failures only.
func TestCustomRule(t *testing.T) {
	var b *Breaker
	asked := 0
	b, _ = byHand(Options{Trip: func(s Stats) bool {
		asked++
		return b.Stats() == s && s.Failures == 2 && s.Calls == 4
	}})
	late := admit(t, b)
	calling(b, nil, errBad, nil, errBad)
	wantState(t, b, Open)
	wantRetryAfter(t, b, 5*time.Second)
	if asked != 2 {
		t.Errorf("asked %d times, want 2", asked)
	}

	// A report that comes too late is none to ask about, nor is one that
	// tripped by another rule.
	late.Failure(errBad)
	b, _ = byHand(Options{Failures: 1, Trip: func(Stats) bool { asked++; return true }})
	calling(b, errBad)
	if asked != 2 {
		t.Errorf("asked %d times, want 2", asked)
	}
}

// TestSetOptions checks that settings can be changed in each state, and that
// calls in flight still count.
func TestSetOptions(t *testing.T) {
	b, clock := byHand(Options{Failures: 5})
	set := func(o Options) {
		t.Helper()
		o.Jitter = -1
		if err := b.SetOptions(&o); err != nil {
			t.Fatal(err)
		}
	}

	// Closed: the row goes on.
	before := admit(t, b)
	calling(b, errBad, errBad, errBad)
	set(Options{Name: "new", Failures: 4, Count: true, Probes: 2})
	if !before.Failure(errBad) {
		t.Error("a call in flight was forgotten")
	}
	wantState(t, b, Open)

	// Open: the time that runs stays.
	set(Options{Name: "newer", OpenFor: time.Minute, Count: true, Probes: 2})
	wantRetryAfter(t, b, 5*time.Second)
	if got, want := call(b, nil).Error(), "breaker: open (newer), since bad"; got != want {
		t.Errorf("Do = %q, want %q", got, want)
	}

	// Half-open: probes are kept, and no more are admitted than now allowed.
	clock.sleep(5 * time.Second)
	p, q := admit(t, b), admit(t, b)
	set(Options{Probes: 1, Successes: 2, Recovery: time.Second, Count: true})
	if _, err := b.Allow(); err == nil {
		t.Error("Allow = nil with two probes out, want an error")
	}
	for _, p := range []Permit{p, q} {
		if !p.Success() {
			t.Error("a probe was forgotten")
		}
	}
	wantState(t, b, Recovering)

	set(Options{FailureRatio: 0.5, MinCalls: 1, Count: true})
	if s := b.Stats(); s.State != Recovering || s.Succeeded != 2 || s.Failed != 1 || s.Rejected != 2 {
		t.Errorf("Stats = %+v, want recovering, 2 succeeded, 1 failed, 2 rejected", s)
	}
	clock.sleep(time.Second)
	wantState(t, b, Closed)
	calling(b, errBad)
	wantState(t, b, Open)
}

// TestRecovery checks the ramp: the share admitted is RecoveryStart at first
// and grows to all, within 4 standard deviations of a binomial, about 6e-5,
// with a fixed seed.
func TestRecovery(t *testing.T) {
	b, clock := byHand(Options{Recovery: 10 * time.Second, RecoveryStart: 0.2, rand: newRand()})
	b.Trip(time.Second, nil)
	clock.sleep(time.Second)
	calling(b, nil)
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

// TestStable checks that a row of openings ends at StableFor exactly.
func TestStable(t *testing.T) {
	for _, tt := range []struct{ closed, want time.Duration }{
		{10*time.Second - 1, 4 * time.Second},
		{10 * time.Second, time.Second},
	} {
		b, clock := byHand(Options{Failures: 1, OpenFor: time.Second, StableFor: 10 * time.Second})
		for _, want := range []time.Duration{time.Second, 2 * time.Second, tt.want} {
			calling(b, errBad)
			wantRetryAfter(t, b, want)
			clock.sleep(want)
			calling(b, nil)
			if want == 2*time.Second {
				clock.sleep(tt.closed)
			}
		}
	}
}

// TestLateRecovering checks that a report after the ramp is over is not
// counted, though nobody looked meanwhile.
func TestLateRecovering(t *testing.T) {
	b, clock := byHand(Options{Recovery: time.Second, RecoveryStart: 1})
	b.Trip(1, nil)
	clock.sleep(1)
	calling(b, nil)
	p, q := admit(t, b), admit(t, b)
	if !p.Success() {
		t.Error("a report while recovering was not counted")
	}
	clock.sleep(time.Second)
	if q.Success() {
		t.Error("a report of a generation that is over was counted")
	}
	wantState(t, b, Closed)

	// A call that is admitted just as the ramp ends is one of the closed state.
	b.Trip(1, nil)
	clock.sleep(1)
	calling(b, nil)
	clock.sleep(time.Second)
	if !admit(t, b).Success() {
		t.Error("a report of the generation that admitted the call was not counted")
	}
}

// TestLateOnTheWay checks that a failure is not counted if the ramp ends while
// it is reported: each look at the clock is a nanosecond later.
func TestLateOnTheWay(t *testing.T) {
	clock := &fakeClock{}
	tick := time.Duration(0)
	b := New(&Options{Failures: 1, Recovery: time.Second, RecoveryStart: 1, Jitter: -1, Now: func() time.Time {
		defer clock.sleep(tick)
		return clock.now()
	}})
	b.Trip(1, nil)
	clock.sleep(1)
	calling(b, nil)
	p := admit(t, b)

	clock.sleep(time.Second - 1)
	tick = 1
	if p.Failure(errBad) {
		t.Error("a failure of a generation that ended on the way was counted")
	}
	wantState(t, b, Closed)
}

// TestRecoveringTrips checks that the rules hold while recovering, that of a
// ratio too.
func TestRecoveringTrips(t *testing.T) {
	for name, o := range map[string]Options{
		"row": {Failures: 2}, "ratio": {FailureRatio: 0.5, MinCalls: 2}, "calls": {FailureRatio: 0.5, WindowCalls: 2},
	} {
		o.Recovery = time.Minute
		o.RecoveryStart = 1
		b, clock := byHand(o)
		b.Trip(1, nil)
		clock.sleep(1)
		calling(b, nil, errBad)
		if got := b.State(); got != Recovering {
			t.Errorf("%s: State = %v after one failure, want recovering", name, got)
		}
		calling(b, errBad)
		if got := b.State(); got != Open {
			t.Errorf("%s: State = %v after two failures, want open", name, got)
		}
	}
}

// TestRampBound checks that a chance equal to the part that is admitted is a
// rejection, since a chance may be 0 and never is 1.
func TestRampBound(t *testing.T) {
	chance := 0.5
	b, clock := byHand(Options{Recovery: time.Minute, RecoveryStart: 0.5, rand: func() float64 { return chance }})
	b.Trip(1, nil)
	clock.sleep(1)
	calling(b, nil)
	if err := call(b, nil); !errors.Is(err, ErrOpen) {
		t.Errorf("Do = %v by a chance of 0.5, want ErrOpen", err)
	}
	chance = math.Nextafter(0.5, 0)
	if err := call(b, nil); err != nil {
		t.Errorf("Do = %v by a chance below 0.5, want nil", err)
	}
}

// TestJitter checks that the open time is spread from 1-Jitter to 1+Jitter.
func TestJitter(t *testing.T) {
	for chance, want := range map[float64]time.Duration{0: 8 * time.Second, 0.5: 10 * time.Second, 1: 12 * time.Second} {
		c := newConfig(&Options{OpenFor: 10 * time.Second, rand: func() float64 { return chance }})
		if got := time.Duration(c.delay(0)); got != want {
			t.Errorf("delay = %v by a chance of %v, want %v", got, chance, want)
		}
	}
}

// TestPanicClosed checks that a call that does not return is a failure of a
// closed breaker, too.
func TestPanicClosed(t *testing.T) {
	for name, o := range map[string]Options{"row": {}, "count": {Count: true}} {
		b, _ := byHand(o)
		mustPanic(t, "boom", func() { _ = b.Do(t.Context(), func(context.Context) error { panic("boom") }) })
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = b.Do(context.Background(), func(context.Context) error { runtime.Goexit(); return nil })
		}()
		<-done
		if got := b.Stats().Row; got != 2 {
			t.Errorf("%s: Row = %d after a panic and a Goexit, want 2", name, got)
		}
	}
}

// TestHalfOpenUntil checks when rejections of a half-open breaker say to come
// back: when a probe that was taken at once loses its lease, if it may.
func TestHalfOpenUntil(t *testing.T) {
	b, clock := byHand(Options{ProbeTimeout: 3 * time.Second})
	b.Trip(time.Second, nil)
	clock.sleep(time.Second)
	admit(t, b)
	wantRetryAfter(t, b, 3*time.Second)

	b, clock = byHand(Options{ProbeTimeout: -1})
	b.Trip(time.Second, nil)
	clock.sleep(time.Second)
	admit(t, b)
	if d, known := openError(t, b).RetryAfter(); d != 0 || known {
		t.Errorf("RetryAfter = %v, %v, want 0, false", d, known)
	}

	// The shortest lease there is.
	b, clock = byHand(Options{ProbeTimeout: 1})
	b.Trip(time.Second, nil)
	clock.sleep(time.Second)
	admit(t, b)
	wantState(t, b, HalfOpen)
	clock.sleep(1)
	wantState(t, b, Open)
	wantRetryAfter(t, b, 10*time.Second) // the second time in a row
}

// TestEventNil checks that OnChange may be taken away while changes wait, and
// that none wait if it is not set.
func TestEventNil(t *testing.T) {
	var b *Breaker
	seen := 0
	b, _ = byHand(Options{OnChange: func(Change) {
		seen++
		b.ForceClosed() // queued behind this one
		if err := b.SetOptions(nil); err != nil {
			t.Error(err)
		}
	}})
	b.ForceOpen()
	if seen != 1 {
		t.Errorf("OnChange saw %d changes, want 1", seen)
	}

	b = New(nil)
	b.ForceOpen()
	if b.queue != nil {
		t.Error("changes wait for nobody")
	}
}

// TestOldGeneration checks that an outcome whose generation ended after its
// report had looked is not counted.
func TestOldGeneration(t *testing.T) {
	b, _ := byHand(Options{Failures: 1})
	old := b.per.Load()
	b.Reset()
	if counted, tripped := b.recordBad(old.gen, true, false, errBad); counted || tripped {
		t.Errorf("recordBad = %v, %v, want false, false", counted, tripped)
	}
	if b.endRow(old.gen) {
		t.Error("endRow = true, want false")
	}
	b.tripFrom(old.gen, errBad)
	wantState(t, b, Closed)
	if s := b.Stats(); s.Row != 0 || s.Opened != 0 {
		t.Errorf("Stats = %+v, want no failure and no opening", s)
	}
}

// TestWrap checks that generations and tickets start again after the last: 0
// would be a breaker that was never used, and no ticket.
func TestWrap(t *testing.T) {
	b, clock := byHand(Options{Successes: 2})
	b.mu.Lock()
	per := &period{gen: math.MaxUint32, cfg: b.per.Load().cfg}
	b.publishLocked(per, pack(per.gen, Closed))
	b.ticket = math.MaxUint32
	b.mu.Unlock()

	b.Trip(1, nil)
	if got := b.Stats().Generation; got != 1 {
		t.Errorf("Generation = %d, want 1", got)
	}
	clock.sleep(1)
	if got := admit(t, b).slot.ticket; got != 1 {
		t.Errorf("ticket = %d, want 1", got)
	}
}

// TestLazyTimer checks that with Options.Now nothing waits for a timer.
func TestLazyTimer(t *testing.T) {
	b, clock := byHand(Options{})
	b.Trip(time.Second, nil)
	if b.timer != nil {
		t.Error("an open breaker has a timer")
	}
	clock.sleep(time.Second)
	admit(t, b)
	if b.timer != nil {
		t.Error("a half-open breaker has a timer")
	}
}

// TestFloorDiv checks division at multiples and next to them, of either sign.
func TestFloorDiv(t *testing.T) {
	for _, tt := range []struct{ a, want int64 }{
		{-11, -3}, {-10, -2}, {-6, -2}, {-5, -1}, {-1, -1}, {0, 0}, {4, 0}, {5, 1}, {9, 1}, {10, 2},
	} {
		if got := floorDiv(tt.a, 5); got != tt.want {
			t.Errorf("floorDiv(%d, 5) = %d, want %d", tt.a, got, tt.want)
		}
	}
}

// TestClockUnset checks that a clock that is not set yet when the breaker is
// made, and stands at the zero time, does not freeze it.
func TestClockUnset(t *testing.T) {
	var now time.Time
	b := New(&Options{Failures: 1, Jitter: -1, Now: func() time.Time { return now }})
	th := NewThrottle(&ThrottleOptions{Spare: 1, Now: func() time.Time { return now }, rand: func() float64 { return 0 }})
	calling(b, nil)
	th.Allow()

	now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	calling(b, errBad)
	if got, want := b.Until(), now.Add(5*time.Second); !got.Equal(want) {
		t.Errorf("Until = %v, want %v", got, want)
	}
	wantRetryAfter(t, b, 5*time.Second)
	now = now.Add(5 * time.Second)
	wantState(t, b, HalfOpen)

	if s := th.Stats(); s.WindowSent != 0 || s.Sent != 1 {
		t.Errorf("%d of %d sent are in the window, want 0 of 1", s.WindowSent, s.Sent)
	}
}

// TestClockBackEvents checks that the times of events do not go back with the
// clock.
func TestClockBackEvents(t *testing.T) {
	var at []time.Time
	b, clock := byHand(Options{OnChange: func(c Change) { at = append(at, c.At) }})
	for range 5 {
		b.ForceOpen()
		clock.sleep(-time.Hour)
		b.Reset()
	}
	for i := range at {
		if !at[i].Equal(at[0]) {
			t.Errorf("event %d at %v, want %v", i, at[i], at[0])
		}
	}
}

// TestEventPanic checks that events that panic or end their goroutine leave the
// breaker valid, and that no other event is lost with them.
func TestEventPanic(t *testing.T) {
	var seen []State
	b, _ := byHand(Options{Failures: 1})
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
	go func() {
		defer close(done)
		defer func() { _ = recover() }()
		b.ForceOpen() // the Goexit of the second event ends the goroutine
	}()
	<-done
	b.Auto()
	if want := []State{ForcedOpen, Disabled, Closed}; !slices.Equal(seen, want) {
		t.Errorf("events %v, want %v", seen, want)
	}
}

// TestPropDeadBackend kills the backend behind a breaker while calls are in
// flight, and checks that it receives, up to the trip, at most the threshold
// and the calls in flight, and afterwards at most Probes per half-open period.
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
				p, err := b.Allow()
				if err != nil {
					continue
				}
				out = append(out, p)
				if b.Stats().Opened == 0 {
					before++
				} else {
					after++
				}
			} else if len(out) > 0 {
				i := rapid.IntRange(0, len(out)-1).Draw(t, "i")
				out[i].Failure(errBad)
				out = append(out[:i], out[i+1:]...)
			}
		}

		if most := threshold + flight - 1; before > most {
			t.Fatalf("%d calls until it opened, want at most %d", before, most)
		}
		if most := probes * halfOpens; after > most {
			t.Fatalf("%d calls in %d half-open periods, want at most %d", after, halfOpens, most)
		}
	})
}

// TestText checks that the names of states and outcomes are read as they are
// written.
func TestText(t *testing.T) {
	for s, want := range map[State]string{
		Closed: "closed", Open: "open", HalfOpen: "half-open", Recovering: "recovering",
		ForcedOpen: "forced open", Disabled: "disabled", 6: "state 6",
	} {
		if got := s.String(); got != want {
			t.Errorf("String = %q, want %q", got, want)
		}
	}
	if got, want := fmt.Sprint(Success, Failure, Ignored, Outcome(3)), "success failure ignored outcome 3"; got != want {
		t.Errorf("outcomes %q, want %q", got, want)
	}

	type both struct {
		S State
		O Outcome
	}
	for _, want := range []both{{Closed, Success}, {HalfOpen, Failure}, {Disabled, Ignored}} {
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got both
		if err := json.Unmarshal(text, &got); err != nil || got != want {
			t.Errorf("%s is read as %v, %v, want %v", text, got, err, want)
		}
	}
	for _, bad := range []both{{S: 6}, {O: 3}} {
		if text, err := json.Marshal(bad); err == nil {
			t.Errorf("Marshal(%v) = %s, want an error", bad, text)
		}
	}
	for _, text := range []string{`{"S":"ajar"}`, `{"O":""}`} {
		want := both{Open, Failure}
		got := want
		if err := json.Unmarshal([]byte(text), &got); err == nil {
			t.Errorf("Unmarshal(%s) = nil, want an error", text)
		}
		if got != want {
			t.Errorf("Unmarshal(%s) changed the value to %v, want %v", text, got, want)
		}
	}
}

// TestForced checks the answers of a breaker that is forced open: nobody knows
// when to come back, and Trip does nothing.
func TestForced(t *testing.T) {
	b := New(nil)
	b.ForceOpen()
	oe := openError(t, b)
	if d, known := oe.RetryAfter(); d != 0 || known {
		t.Errorf("RetryAfter = %v, %v, want 0, false", d, known)
	}
	if got, want := oe.Error(), "breaker: forced open"; got != want {
		t.Errorf("Error = %q, want %q", got, want)
	}
	if _, err := b.Allow(); !same(err, oe) {
		t.Errorf("Allow = %v, want %v", err, oe)
	}
	b.Trip(time.Second, nil)
	wantState(t, b, ForcedOpen)
	if got := b.Stats().Opened; got != 0 {
		t.Errorf("Opened = %d, want 0", got)
	}

	// An error that somebody kept until its time had passed.
	byClock, clock := byHand(Options{})
	byClock.Trip(time.Second, nil)
	kept := openError(t, byClock)
	clock.sleep(time.Hour)
	for _, past := range []*OpenError{{Until: time.Now().Add(-time.Hour)}, kept} {
		if d, known := past.RetryAfter(); d != 0 || !known {
			t.Errorf("RetryAfter = %v, %v of the past, want 0, true", d, known)
		}
	}
}

// TestForcedLate checks that the changes which time brought come before the one
// that was ordered, as of when they were due.
func TestForcedLate(t *testing.T) {
	for name, tt := range map[string]struct {
		force func(*Breaker)
		want  []string
	}{
		"open": {(*Breaker).ForceOpen, []string{
			"closed to open at 0s", "open to half-open at 1s", "half-open to forced open at 2s",
		}},
		"closed": {(*Breaker).ForceClosed, []string{
			"closed to open at 0s", "open to half-open at 1s", "half-open to disabled at 2s",
		}},
	} {
		var got []string
		b, clock := byHand(Options{OnChange: func(c Change) {
			got = append(got, fmt.Sprintf("%v to %v at %v", c.From, c.To, c.At.Sub(time.Unix(0, 0))))
		}})
		b.Trip(time.Second, nil)
		clock.sleep(2 * time.Second)
		tt.force(b)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: changes = %q, want %q", name, got, tt.want)
		}
	}
}

// TestOutcomes checks the methods of Permit, the totals, and DoElse.
func TestOutcomes(t *testing.T) {
	b, _ := byHand(Options{Count: true})
	for range 3 {
		for name, counted := range map[string]bool{
			"Failure": admit(t, b).Failure(errBad), "Ignore": admit(t, b).Ignore(), "Success": admit(t, b).Success(),
		} {
			if !counted {
				t.Errorf("%s = false, want true", name)
			}
		}
	}
	b.ForceOpen()
	one := func(context.Context) (int, error) { return 1, nil }
	v, err := DoElse(t.Context(), b, one, func(_ context.Context, err error) (int, error) { return 2, errors.Unwrap(err) })
	if v != 2 || err != nil {
		t.Errorf("DoElse = %v, %v, want 2, nil", v, err)
	}
	if s := b.Stats(); s.Succeeded != 3 || s.Failed != 3 || s.Ignored != 3 || s.Rejected != 1 {
		t.Errorf("Stats = %+v, want 3 of each outcome and 1 rejected", s)
	}

	b.ForceClosed()
	for range 10 {
		calling(b, errBad)
	}
	wantState(t, b, Disabled)
	if got := b.Stats().Row; got != 10 {
		t.Errorf("Row = %d, want 10", got)
	}
	if v, err = DoElse(t.Context(), b, one, nil); v != 1 || err != nil {
		t.Errorf("DoElse = %v, %v, want 1, nil", v, err)
	}
}

// TestSetOptionsRecovering checks that SetOptions keeps the window of a breaker
// that recovers.
func TestSetOptionsRecovering(t *testing.T) {
	o := Options{FailureRatio: 0.5, MinCalls: 9, Recovery: time.Minute, RecoveryStart: 1}
	b, clock := byHand(o)
	b.Trip(time.Second, nil)
	clock.sleep(time.Second)
	calling(b, nil)
	wantState(t, b, Recovering)

	calling(b, errBad, nil, nil)
	o.Failures = 100
	if err := b.SetOptions(&o); err != nil {
		t.Fatal(err)
	}
	if s := b.Stats(); s.Calls != 3 || s.Failures != 1 {
		t.Errorf("%d calls, %d failures in the window, want 3, 1", s.Calls, s.Failures)
	}
}

// TestShortestProbeTimeout checks that the rejections of a half-open breaker
// say when probes are lost, however soon that is.
func TestShortestProbeTimeout(t *testing.T) {
	b, clock := byHand(Options{ProbeTimeout: 1})
	b.Trip(time.Second, nil)
	clock.sleep(time.Second)
	admit(t, b)
	if got, want := openError(t, b).Until, clock.now().Add(1); !got.Equal(want) {
		t.Errorf("Until = %v, want %v", got, want)
	}
}

// TestTripTakesTime checks that a rule of the caller that takes until the
// period has ended does not trip the next one.
func TestTripTakesTime(t *testing.T) {
	var clock fakeClock
	b := New(&Options{Recovery: time.Minute, RecoveryStart: 1, Now: clock.now, Trip: func(Stats) bool {
		clock.sleep(time.Hour)
		return true
	}})
	b.Trip(time.Second, nil)
	clock.sleep(time.Second)
	calling(b, nil)
	wantState(t, b, Recovering)
	calling(b, errBad)
	wantState(t, b, Closed)
}

// TestLongestOpen checks that Jitter does not take the longest open time beyond
// the range of 64 bits.
func TestLongestOpen(t *testing.T) {
	o := Options{OpenFor: math.MaxInt64, Jitter: 0.9, rand: func() float64 { return 0.999 }}
	if got := newConfig(&o).delay(3); got != maxReading {
		t.Errorf("open for %d ns, want %d", got, int64(maxReading))
	}
	b := New(&o)
	b.Trip(0, nil)
	wantState(t, b, Open)
}
