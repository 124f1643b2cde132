// SPDX-License-Identifier: MIT

package breaker

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var errBad = errors.New("bad")

// byHand returns a breaker with a clock that the test moves. There is no
// jitter.
func byHand(o Options) (*Breaker, *fakeClock) {
	clock := &fakeClock{}
	o.Jitter = -1
	o.Now = clock.now
	return New(&o), clock
}

// call makes one call with the outcome err.
func call(b *Breaker, err error) error {
	return b.Do(context.Background(), func(context.Context) error { return err })
}

// same reports whether got is want itself, not an error that wraps it.
func same(got, want error) bool { return got == want } //nolint:errorlint // identity is the point

// calling makes one call for each outcome.
func calling(b *Breaker, outcomes ...error) {
	for _, err := range outcomes {
		_ = call(b, err)
	}
}

func wantState(t *testing.T, b *Breaker, want State) {
	t.Helper()
	if got := b.State(); got != want {
		t.Fatalf("State = %v, want %v", got, want)
	}
}

// admit is Allow for a call that must be admitted.
func admit(t *testing.T, b *Breaker) Permit {
	t.Helper()
	p, err := b.Allow()
	if err != nil {
		t.Fatalf("Allow = %v while %v, want nil", err, b.State())
	}
	return p
}

// openError returns the error of rejections now.
func openError(t *testing.T, b *Breaker) *OpenError {
	t.Helper()
	oe, ok := errors.AsType[*OpenError](b.Err())
	if !ok {
		t.Fatalf("Err = %v while %v, want an OpenError", b.Err(), b.State())
	}
	return oe
}

// wantRetryAfter checks when an open breaker says to come back.
func wantRetryAfter(t *testing.T, b *Breaker, want time.Duration) {
	t.Helper()
	if got, known := openError(t, b).RetryAfter(); got != want || !known {
		t.Errorf("RetryAfter = %v, %v, want %v, true", got, known, want)
	}
}

// TestTrapLostProbe checks that a half-open probe that is lost, to Goexit or
// without a report, does not wedge the breaker; both wedge sony/gobreaker at
// "too many requests" forever.
func TestTrapLostProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(&Options{OpenFor: time.Second, Jitter: -1})
		b.Trip(0, errBad)
		time.Sleep(time.Second)
		synctest.Wait()

		// A probe that ends its goroutine has failed.
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = b.Do(t.Context(), func(context.Context) error { runtime.Goexit(); return nil })
		}()
		<-done
		wantState(t, b, Open) // for 2 s

		// A probe that never reports has failed after ProbeTimeout, which is
		// OpenFor.
		time.Sleep(2 * time.Second)
		synctest.Wait()
		admit(t, b)
		if err := call(b, nil); !errors.Is(err, ErrOpen) {
			t.Fatalf("a second probe: %v, want ErrOpen", err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		wantState(t, b, Open)
		if got := openError(t, b).Cause; !same(got, ErrLost) {
			t.Errorf("Cause = %v, want ErrLost", got)
		}

		time.Sleep(4 * time.Second)
		synctest.Wait()
		if err := call(b, nil); err != nil {
			t.Fatalf("Do = %v, want nil", err)
		}
		wantState(t, b, Closed)
	})
}

// TestTrapEventReentrant checks that OnChange may call the breaker: under a
// lock that is a deadlock (sony/gobreaker#37), and merely after unlocking
// events overlap and change places.
func TestTrapEventReentrant(t *testing.T) {
	var b *Breaker
	var seen []string
	depth := 0
	b, _ = byHand(Options{Failures: 1, OnChange: func(c Change) {
		depth++
		defer func() { depth-- }()
		seen = append(seen, fmt.Sprint(c.From, ">", c.To))
		if depth > 1 {
			t.Error("events overlap")
		}
		if c.To == Open {
			b.Reset()
			wantState(t, b, Closed)
		}
	}})

	calling(b, errBad)
	if want := []string{"closed>open", "open>closed"}; !slices.Equal(seen, want) {
		t.Errorf("events %v, want %v", seen, want)
	}
}

// TestTrapEventHangs checks that an OnChange that hangs costs a bounded amount
// of memory: the newest changes wait, and the others are counted.
func TestTrapEventHangs(t *testing.T) {
	hang, hangs := make(chan struct{}), make(chan struct{})
	var seen []uint32
	b, _ := byHand(Options{OnChange: func(c Change) {
		if len(seen) == 0 {
			close(hangs)
			<-hang
		}
		seen = append(seen, c.Generation)
	}})
	var wg sync.WaitGroup
	wg.Go(b.ForceOpen)
	<-hangs

	// The first change is with OnChange; maxQueued of the others wait.
	for range maxQueued {
		b.Reset()
	}
	if got := b.Stats().Dropped; got != 0 {
		t.Errorf("Dropped = %d with a full queue, want 0", got)
	}
	for range 1000 {
		b.Reset()
	}
	if got := b.Stats().Dropped; got != 1000 {
		t.Errorf("Dropped = %d, want 1000", got)
	}
	if got := cap(b.queue.waiting); got > 4*maxQueued {
		t.Errorf("room for %d changes, want at most %d", got, 4*maxQueued)
	}

	close(hang)
	wg.Wait()
	if got := len(seen); got != 1+maxQueued {
		t.Fatalf("OnChange saw %d changes, want %d", got, 1+maxQueued)
	}
	if got, want := seen[maxQueued], b.Stats().Generation; got != want {
		t.Errorf("the last change seen is %d, want %d", got, want)
	}
	for i := 2; i < len(seen); i++ {
		if seen[i] != seen[i-1]+1 {
			t.Fatalf("change %d follows %d, want one more", seen[i], seen[i-1])
		}
	}
}

// TestEventOrder checks that events form one chain, none at the same time as
// another, when many goroutines change the state.
func TestEventOrder(t *testing.T) {
	var running atomic.Int32
	var gen uint32 = 1
	state, n := Closed, 0
	b := New(&Options{Failures: 1, OpenFor: time.Hour, OnChange: func(c Change) {
		if got := running.Add(1); got != 1 {
			t.Errorf("%d events at once, want 1", got)
		}
		runtime.Gosched() // so that others try

		// Changes may be dropped while this one runs; then generations are
		// left out.
		if c.Generation == gen+1 && c.From != state || c.Generation <= gen {
			t.Errorf("event %+v after generation %d of %v", c, gen, state)
		}
		state = c.To
		gen = c.Generation
		n++
		running.Add(-1)
	}})

	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 2000 {
				switch i {
				case 0:
					b.Reset()
				case 1:
					b.ForceOpen()
					b.Auto()
				default:
					calling(b, errBad)
				}
			}
		})
	}
	wg.Wait()

	s := b.Stats()
	if got, want := uint64(n)+s.Dropped, uint64(s.Generation-1); got != want {
		t.Errorf("%d events and %d dropped, want %d", n, s.Dropped, want)
	}
	if gen != s.Generation || n < maxQueued {
		t.Errorf("%d events up to generation %d, want %d or more up to %d", n, gen, maxQueued, s.Generation)
	}
}

// TestTrapDoneTwice checks that one call counts once, whether its permit
// reports again as itself or as a copy, while closed as well as half-open:
// sony/gobreaker counts three.
func TestTrapDoneTwice(t *testing.T) {
	b, clock := byHand(Options{Failures: 2, Successes: 3, Count: true})
	again := func(name string, p Permit) {
		t.Helper()
		other := p
		counted := []bool{p.Failure(errBad), other.Failure(errBad), p.Success(), other.Ignore(), other.Done(t.Context(), nil)}
		if slices.Contains(counted, true) {
			t.Errorf("%s: reports after the first are counted %t, want false", name, counted)
		}
	}

	p := admit(t, b)
	if !p.Failure(errBad) {
		t.Error("Failure = false, want true")
	}
	again("closed", p)
	wantState(t, b, Closed)

	// The slot of p serves q now: p must not speak for q.
	q := admit(t, b)
	again("closed, slot used again", p)
	if !q.Success() {
		t.Error("Success = false, want true")
	}

	b.Trip(time.Second, nil)
	clock.sleep(time.Second)
	p = admit(t, b)
	if !p.Success() {
		t.Error("Success of a probe = false, want true")
	}
	again("half-open", p)
	if got := b.Stats().Successes; got != 1 {
		t.Errorf("Successes = %d, want 1", got)
	}

	// Another probe's place must not be freed.
	q = admit(t, b)
	again("half-open, another probe out", p)
	if got := b.Stats().Probes; got != 1 {
		t.Errorf("Probes = %d, want 1", got)
	}
	q.Ignore()
	if s := b.Stats(); s.Succeeded != 2 || s.Failed != 1 || s.Ignored != 1 {
		t.Errorf("Stats = %+v, want 2 succeeded, 1 failed, 1 ignored", s)
	}
	if (Permit{}).Success() {
		t.Error("the zero Permit reports")
	}
}

// TestTrapSparseFailures checks that five failures in a row are five in a row
// though they are a day apart, whatever a window says.
func TestTrapSparseFailures(t *testing.T) {
	b, clock := byHand(Options{Failures: 5, FailureRatio: 0.5})
	for range 5 {
		wantState(t, b, Closed)
		calling(b, errBad)
		clock.sleep(24 * time.Hour)
	}
	if got := b.Stats().Opened; got != 1 {
		t.Errorf("Opened = %d, want 1", got)
	}
}

// TestTrapLateSuccess checks that the success of a call from before the trip,
// while a probe is out, neither closes the breaker nor gives the probe's place
// away (failsafe-go, opossum#381).
func TestTrapLateSuccess(t *testing.T) {
	b, clock := byHand(Options{Failures: 1})
	old := admit(t, b)
	calling(b, errBad)
	clock.sleep(5 * time.Second)
	probe := admit(t, b)
	if old.Success() {
		t.Error("a report from before the trip was counted")
	}
	wantState(t, b, HalfOpen)
	if _, err := b.Allow(); !errors.Is(err, ErrOpen) {
		t.Errorf("Allow = %v, want ErrOpen", err)
	}
	if got := b.Stats().Late; got != 1 {
		t.Errorf("Late = %d, want 1", got)
	}
	probe.Success()
	wantState(t, b, Closed)
}

// TestTrapPanic checks that a panic in a probe frees its place and goes on
// (failsafe-go), and one of Classify too, within Do and within Permit.Done.
func TestTrapPanic(t *testing.T) {
	boom := func(context.Context, error) Outcome { panic("boom") }
	ctx := context.Background()
	for _, tt := range []struct {
		name string
		o    Options
		use  func(b *Breaker)
	}{
		{"fn", Options{}, func(b *Breaker) { _ = b.Do(ctx, func(context.Context) error { panic("boom") }) }},
		{"Classify", Options{Classify: boom}, func(b *Breaker) { calling(b, nil) }},
		{"Done", Options{Classify: boom}, func(b *Breaker) { p := admit(t, b); p.Done(ctx, errBad) }},
	} {
		b, clock := byHand(tt.o)
		b.Trip(time.Second, nil)
		clock.sleep(time.Second)
		mustPanic(t, "boom", func() { tt.use(b) })
		if got := b.State(); got != Open {
			t.Errorf("%s: State = %v, want open", tt.name, got)
		}

		// The next probe finds a place.
		clock.sleep(10 * time.Second)
		if got := b.Stats(); got.Probes != 0 || got.State != HalfOpen {
			t.Errorf("%s: %d probes outstanding while %v, want 0 while half-open", tt.name, got.Probes, got.State)
		}
		admit(t, b)
	}
}

// TestTrapRatio checks that ratios are compared exactly: 0.495 is less than
// 0.5, and 55 of 100 are 0.55.
func TestTrapRatio(t *testing.T) {
	for _, tt := range []struct {
		failed, calls int
		ratio         float64
		trips         bool
	}{
		{99, 200, 0.5, false},
		{100, 200, 0.5, true},
		{55, 100, 0.55, true},
		{54, 100, 0.55, false},
		{57, 100, 0.57, true},
	} {
		b, _ := byHand(Options{FailureRatio: tt.ratio, MinCalls: tt.calls})
		for i := range tt.calls {
			if i < tt.calls-tt.failed {
				calling(b, nil)
			} else {
				calling(b, errBad)
			}
		}
		if got := b.Stats().Opened == 1; got != tt.trips {
			t.Errorf("%d of %d at %v: tripped = %v, want %v", tt.failed, tt.calls, tt.ratio, got, tt.trips)
		}
	}
}

// TestTrapHalfOpenStorm checks that of 1000 goroutines at a half-open breaker
// exactly Probes are admitted, whether a timer opened it halfway or the first
// of them did; eapache and mercari admit all.
func TestTrapHalfOpenStorm(t *testing.T) {
	storm := func(t *testing.T, o Options) {
		b := New(&o)
		b.Trip(0, nil)
		time.Sleep(time.Second)
		synctest.Wait()

		var admitted, rejected atomic.Int32
		release := make(chan struct{})
		for range 1000 {
			go func() {
				err := b.Do(t.Context(), func(context.Context) error {
					admitted.Add(1)
					<-release
					return nil
				})
				if errors.Is(err, ErrOpen) {
					rejected.Add(1)
				}
			}()
		}
		synctest.Wait()
		if got := int(admitted.Load()); got != o.Probes {
			t.Errorf("Probes %d, lazy %v: %d admitted, want %d", o.Probes, o.Now != nil, got, o.Probes)
		}
		if got := int(rejected.Load()); got != 1000-o.Probes {
			t.Errorf("Probes %d, lazy %v: %d rejected, want %d", o.Probes, o.Now != nil, got, 1000-o.Probes)
		}

		close(release)
		synctest.Wait()
		wantState(t, b, Closed)
	}

	for _, probes := range []int{1, 3, 10} {
		o := Options{Probes: probes, OpenFor: time.Second, Jitter: -1}
		synctest.Test(t, func(t *testing.T) { storm(t, o) })
		synctest.Test(t, func(t *testing.T) {
			o.Now = time.Now
			storm(t, o)
		})
	}
}

// TestTrapManyFailures checks that 100 calls that fail at once are one trip,
// one event, one timer (opossum#385, Polly#219).
func TestTrapManyFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events recorder
		b := New(&Options{Failures: 1, OpenFor: time.Second, Jitter: -1, OnChange: events.onChange})
		permits := make([]Permit, 100)
		for i := range permits {
			permits[i] = admit(t, b)
		}
		for i := range permits {
			if got, want := permits[i].Failure(errBad), i == 0; got != want {
				t.Errorf("failure %d counted: %v, want %v", i, got, want)
			}
		}

		if got := len(events.all()); got != 1 {
			t.Errorf("%d events, want 1", got)
		}
		if got := b.Stats().Opened; got != 1 {
			t.Errorf("Opened = %d, want 1", got)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		wantState(t, b, HalfOpen) // a breaker that is not used any more has no timer
		if all := events.all(); len(all) != 2 || all[1].To != HalfOpen {
			t.Errorf("events %+v, want two, the second to half-open", all)
		}
	})
}

// TestTrapIgnoredProbe checks that an ignored probe frees its place, and that
// MinCalls has no say while half-open.
func TestTrapIgnoredProbe(t *testing.T) {
	b, clock := byHand(Options{FailureRatio: 0.5, MinCalls: 50})
	b.Trip(time.Second, nil)
	clock.sleep(time.Second)
	for range 3 {
		if err := call(b, Ignore(errBad)); !same(err, errBad) {
			t.Fatalf("Do = %v, want the error without its mark", err)
		}
		wantState(t, b, HalfOpen)
	}
	calling(b, nil)
	wantState(t, b, Closed)
}

// TestTrapAnswers checks that an error that is an answer is a success of the
// backend: it closes a half-open breaker, and a few failures among many answers
// do not open it.
func TestTrapAnswers(t *testing.T) {
	b, clock := byHand(Options{Failures: 1})
	b.Trip(time.Second, nil)
	clock.sleep(time.Second)
	if err := call(b, Answer(errBad)); !same(err, errBad) {
		t.Errorf("Do = %v, want the error without its mark", err)
	}
	wantState(t, b, Closed)

	b, _ = byHand(Options{FailureRatio: 0.5})
	for i := range 1000 {
		err := Answer(errBad)
		if i%100 == 0 {
			err = errBad
		}
		calling(b, err)
	}
	wantState(t, b, Closed)
	if got := b.Stats().FailureRatio(); got != 0.01 {
		t.Errorf("FailureRatio = %v, want 0.01", got)
	}
}

// A limited error is one of a rate limiter: it says that the call was not made.
type limited struct{ error }

func (limited) Refused() bool { return true }

// TestTrapRefusals checks that the refusals of one's own limiter, throttle or
// inner breaker, which the backend never saw, do not open the breaker.
func TestTrapRefusals(t *testing.T) {
	open := New(nil)
	open.ForceOpen()
	for _, err := range []error{
		limited{errBad},
		fmt.Errorf("get: %w", limited{errBad}),
		ErrThrottled,
		call(open, nil),
	} {
		b, _ := byHand(Options{Failures: 5})
		for range 5 {
			calling(b, err)
		}
		if got := b.State(); got != Closed {
			t.Errorf("State = %v after five times %v, want closed", got, err)
		}
	}
}

// A statusError is like one of gRPC or database/sql: it does not wrap
// context.Canceled.
type statusError struct{ code string }

func (e statusError) Error() string { return e.code }

// TestTrapHangUp checks that callers that hang up do not open the breaker of a
// healthy backend, though the errors of their calls do not wrap
// context.Canceled; and that a timeout of ours is one, whatever the error says.
func TestTrapHangUp(t *testing.T) {
	b, _ := byHand(Options{Failures: 5})
	for range 5 {
		ctx, cancel := context.WithCancel(t.Context())
		_ = b.Do(ctx, func(context.Context) error {
			cancel()
			return statusError{"Canceled"}
		})
	}
	wantState(t, b, Closed)

	synctest.Test(t, func(t *testing.T) {
		b := New(&Options{Failures: 1, Timeout: time.Second})
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		err := b.Do(ctx, func(ctx context.Context) error {
			<-ctx.Done()
			time.Sleep(5 * time.Second) // the caller's deadline passes, too
			return statusError{"DeadlineExceeded"}
		})
		if !errors.Is(err, ErrTimeout) || !errors.Is(err, statusError{"DeadlineExceeded"}) {
			t.Errorf("Do = %v, want ErrTimeout and the error of the call", err)
		}
		wantState(t, b, Open)
	})
}

// TestTrapBlackHole checks that a backend that never answers trips the breaker
// by Options.Timeout, though all callers have deadlines, and does not without.
func TestTrapBlackHole(t *testing.T) {
	for timeout, want := range map[time.Duration]State{0: Closed, time.Second: Open} {
		synctest.Test(t, func(t *testing.T) {
			b := New(&Options{Timeout: timeout})
			for range 10 {
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				_ = b.Do(ctx, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
				cancel()
				if b.State() == Open {
					break
				}
			}
			if got := b.State(); got != want {
				t.Errorf("Timeout %v: State = %v, want %v", timeout, got, want)
			}
			b.Reset()
		})
	}
}

// TestTrapHighThroughput checks that a blip of 5 failures among 1000 calls does
// not trip a ratio with MinCalls; a count it would.
func TestTrapHighThroughput(t *testing.T) {
	ratio, _ := byHand(Options{FailureRatio: 0.5})
	count, _ := byHand(Options{Failures: 5})
	for i := range 1000 {
		var err error
		if i >= 500 && i < 505 {
			err = errBad
		}
		calling(ratio, err)
		calling(count, err)
	}
	wantState(t, ratio, Closed)
	wantState(t, count, Open)
}

// TestTrapWindowExpires checks that a window that is read long after does not
// show a window that is over.
func TestTrapWindowExpires(t *testing.T) {
	b, clock := byHand(Options{FailureRatio: 1})
	for range 10 {
		calling(b, errBad)
	}
	clock.sleep(8 * time.Second)
	calling(b, nil)
	if s := b.Stats(); s.Calls != 11 || s.FailureRatio() != 10.0/11 {
		t.Errorf("%d calls, ratio %v after 8 s, want 11, 10/11", s.Calls, s.FailureRatio())
	}

	clock.sleep(4 * time.Second) // the recent call stays
	if s := b.Stats(); s.Calls != 1 || s.Failures != 0 {
		t.Errorf("%d calls, %d failures after 12 s, want 1, 0", s.Calls, s.Failures)
	}
	clock.sleep(time.Hour)
	if got := b.Stats().Calls; got != 0 {
		t.Errorf("%d calls after an hour, want 0", got)
	}
}

// TestTrapSameOptions checks that settings that are set again every second, as
// by a program that watches its configuration, do not empty the window: 15,000
// of 15,000 failing calls would be sent.
func TestTrapSameOptions(t *testing.T) {
	clock := &fakeClock{}
	for name, o := range map[string]Options{
		"time":  {FailureRatio: 0.5, MinCalls: 100, OpenFor: time.Hour, OpenMax: time.Hour},
		"calls": {FailureRatio: 0.5, MinCalls: 100, WindowCalls: 200, OpenFor: time.Hour, OpenMax: time.Hour},
	} {
		o.Now = clock.now
		b := New(&o)
		sent := 0
		for i := range 15_000 {
			clock.sleep(20 * time.Millisecond)
			if i%50 == 0 {
				if err := b.SetOptions(&o); err != nil {
					t.Fatal(err)
				}
			}
			_ = b.Do(t.Context(), func(context.Context) error { sent++; return errBad })
		}
		if sent != 100 {
			t.Errorf("%s: %d of 15000 failing calls sent, want 100", name, sent)
		}
	}

	// Another shape begins anew.
	b := New(&Options{FailureRatio: 1, Now: clock.now})
	calling(b, errBad)
	for name, o := range map[string]Options{
		"Window": {FailureRatio: 1, Window: time.Minute}, "Buckets": {FailureRatio: 1, Buckets: 5},
		"WindowCalls": {FailureRatio: 1, WindowCalls: 30}, "none": {},
	} {
		_ = b.SetOptions(&Options{FailureRatio: 1})
		calling(b, errBad)
		_ = b.SetOptions(&o)
		if got := b.Stats().Calls; got != 0 {
			t.Errorf("%s: %d calls in a window of another shape, want 0", name, got)
		}
		calling(b, nil)
		if got := b.Stats().Calls; got != 1 && name != "none" {
			t.Errorf("%s: %d calls in the new window, want 1", name, got)
		}
	}
}

// TestTrapClockBack checks that a clock that goes back neither closes a breaker
// early nor keeps it open for the time gone back twice. Without Options.Now it
// is the monotonic clock.
func TestTrapClockBack(t *testing.T) {
	b, clock := byHand(Options{Failures: 1, OpenFor: time.Minute})
	clock.sleep(time.Hour)
	calling(b, errBad)
	clock.sleep(-time.Hour)
	wantState(t, b, Open)
	wantRetryAfter(t, b, time.Hour+time.Minute)

	b.Reset() // at a reading before the trip
	calling(b, errBad)
	clock.sleep(time.Hour + time.Minute)
	wantState(t, b, HalfOpen)

	var zero Breaker
	zero.Trip(0, nil)
	if until := zero.Until(); until.String() == until.Round(0).String() {
		t.Errorf("Until = %v, want a monotonic reading", until)
	}
}

// TestTrapSilentHalfOpen checks that the event of half-open comes at its time
// though there is no call, and that State says so (Polly#481).
func TestTrapSilentHalfOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at time.Time
		b := New(&Options{OpenFor: time.Second, Jitter: -1, OnChange: func(c Change) {
			if c.To == HalfOpen {
				at = time.Now()
			}
		}})
		start := time.Now()
		b.Trip(0, nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := at.Sub(start); got != time.Second {
			t.Errorf("event after %v, want 1s", got)
		}
		wantState(t, b, HalfOpen)

		// So does that of a lost probe.
		admit(t, b)
		lost := time.Now()
		time.Sleep(time.Second)
		synctest.Wait()
		if got := stateOf(b.word.Load()); got != Open {
			t.Errorf("%v after a probe was lost, want open", got)
		}
		if got, want := b.Until().Sub(lost), 3*time.Second; got != want {
			t.Errorf("open until %v after the probe, want %v", got, want)
		}
	})
}

// TestTrapThrottleStarves checks that a backend that refused everything for
// longer than the window, and then recovers, is seen: some calls always ask,
// and local rejections count as requests.
func TestTrapThrottleStarves(t *testing.T) {
	clock := &fakeClock{}
	th := NewThrottle(&ThrottleOptions{Now: clock.now, rand: newRand()})
	asked := 0
	for range 30_000 { // 5 minutes of refusals
		clock.sleep(10 * time.Millisecond)
		if th.Allow() {
			asked++
		}
	}
	if low, high := 30_000/20-200, 30_000/20+400; asked < low || asked > high {
		t.Errorf("%d of 30000 calls asked, want between %d and %d", asked, low, high)
	}

	for range 30_000 {
		clock.sleep(10 * time.Millisecond)
		if th.Allow() {
			th.Accept()
		}
	}
	if got := th.RejectRatio(); got != 0 {
		t.Errorf("RejectRatio = %v five minutes after recovery, want 0", got)
	}
}

// TestTrapThrottleBlackHole checks that calls that their callers gave up on are
// no answers: before a backend that never answers, a Throttle with a Timeout
// rejects nearly all, and RejectRatio says so.
func TestTrapThrottleBlackHole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := NewThrottle(&ThrottleOptions{Timeout: 50 * time.Millisecond, rand: newRand()})
		reached := 0
		for range 5000 {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			_ = th.Do(ctx, func(ctx context.Context) error {
				reached++
				<-ctx.Done()
				return ctx.Err()
			})
			cancel()
		}
		if reached > 5000/10 {
			t.Errorf("%d of 5000 sent, want at most 500", reached)
		}
		if got := th.RejectRatio(); got < 0.9 {
			t.Errorf("RejectRatio = %v, want 0.9 or more", got)
		}
	})

	// Without a Timeout they count on neither side.
	clock := &fakeClock{}
	th := NewThrottle(&ThrottleOptions{Now: clock.now})
	for range 1000 {
		ctx, cancel := context.WithCancel(t.Context())
		if err := th.Do(ctx, func(context.Context) error { cancel(); return statusError{"Canceled"} }); same(err, ErrThrottled) {
			t.Fatal("Do = ErrThrottled, want the call made")
		}
		clock.sleep(time.Second)
	}
	if s := th.Stats(); s.Sent != 0 || s.Accepted != 0 || s.WindowSent != 0 || s.RejectRatio != 0 {
		t.Errorf("Stats = %+v, want nothing counted", s)
	}
}

// TestTrapTypes checks that one breaker serves calls of different types.
func TestTrapTypes(t *testing.T) {
	b, ctx := New(nil), t.Context()
	if n, err := Do(ctx, b, func(context.Context) (int, error) { return 1, nil }); n != 1 || err != nil {
		t.Errorf("Do = %v, %v, want 1, nil", n, err)
	}
	if s, err := Do(ctx, b, func(context.Context) (string, error) { return "a", nil }); s != "a" || err != nil {
		t.Errorf("Do = %v, %v, want a, nil", s, err)
	}
}

// TestTrapEvictOpen checks that a full group does not forget an open breaker:
// that would close it, and recreating it would start its open times anew.
func TestTrapEvictOpen(t *testing.T) {
	clock := &fakeClock{}
	g := NewGroup(&GroupOptions[int]{Max: 8, Options: func(int) *Options { return &Options{Failures: 2, Now: clock.now} }})
	g.Get(-1).Trip(time.Hour, errBad)
	calling(g.Get(-2), errBad) // one failure in a row
	held := []*Breaker{g.Get(-1), g.Get(-2)}
	clock.sleep(59 * time.Minute)

	for i := range 1000 {
		wantState(t, g.Get(i), Closed)
		if got := g.Len(); got > 8 {
			t.Fatalf("%d breakers held, want at most 8", got)
		}
	}
	for i, want := range held {
		if got := g.Get(-1 - i); got != want {
			t.Errorf("Get(%d) = %p, want %p, which has an open time or a failure", -1-i, got, want)
		}
	}
	if s := g.Stats(); s.Evicted != 1000-6 || s.Unheld != 0 {
		t.Errorf("Stats = %+v, want 994 evicted, 0 unheld", s)
	}
}

// TestTrapErrorIdentity checks that rejections share one error, which does not
// pretend to be the failure of another call (see TestAllocs).
func TestTrapErrorIdentity(t *testing.T) {
	b, _ := byHand(Options{Name: "db", Failures: 1})
	calling(b, context.DeadlineExceeded)
	err1, err2 := call(b, nil), call(b, nil)
	if !same(err1, err2) {
		t.Errorf("rejections are %v and %v, want one error", err1, err2)
	}
	if !errors.Is(err1, ErrOpen) || errors.Is(err1, context.DeadlineExceeded) {
		t.Errorf("a rejection is %v, want ErrOpen and not its cause", err1)
	}

	wantRetryAfter(t, b, 5*time.Second)
	if oe := openError(t, b); !same(oe.Cause, context.DeadlineExceeded) || !oe.Until.Equal(b.Until()) {
		t.Errorf("OpenError = %+v, want the cause, and Until %v", oe, b.Until())
	}
}

// TestTrapRatioOfOne checks that a ratio of 1, which trips when every call is
// bad, is a rule and not the absence of one.
func TestTrapRatioOfOne(t *testing.T) {
	b, _ := byHand(Options{FailureRatio: 1, MinCalls: 3})
	calling(b, errBad, errBad, errBad)
	wantState(t, b, Open)

	b, clock := byHand(Options{SlowRatio: 1, SlowCall: time.Second, MinCalls: 3})
	for range 3 {
		_ = b.Do(t.Context(), func(context.Context) error {
			clock.sleep(time.Second)
			return nil
		})
	}
	wantState(t, b, Open)
}

// TestTrapProbeLease checks that a probe that answers gives back its own lease,
// not that of a probe that is still out.
func TestTrapProbeLease(t *testing.T) {
	b, clock := byHand(Options{Probes: 2, ProbeTimeout: 10 * time.Second})
	b.Trip(time.Second, nil)
	clock.sleep(time.Second)
	admit(t, b)
	clock.sleep(5 * time.Second)
	second := admit(t, b)
	second.Success()

	clock.sleep(5 * time.Second)
	wantState(t, b, Open)
	if got := openError(t, b).Cause; !same(got, ErrLost) {
		t.Errorf("Cause = %v when the first lease ends, want ErrLost", got)
	}
}

// TestTrapOneFailureLeaves checks that the only failure of a window of calls
// leaves it when as many successes have followed as the window holds.
func TestTrapOneFailureLeaves(t *testing.T) {
	b, _ := byHand(Options{FailureRatio: 1, WindowCalls: 4})
	calling(b, nil, errBad)
	for i, want := range []uint64{1, 1, 1, 0} {
		calling(b, nil)
		if i == 0 {
			b.Stats() // the successes before have their places, and the rest waits
		}
		if i >= 2 {
			if got := b.Stats().Failures; got != want {
				t.Errorf("Failures = %d after %d successes, want %d", got, i+1, want)
			}
		}
	}
}
