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

// hand returns a breaker with a clock that the test moves. There is no jitter.
func hand(o Options) (*Breaker, *fakeClock) {
	clock := &fakeClock{}
	o.Jitter, o.Now = -1, clock.now
	return New(&o), clock
}

// call makes one call with the outcome err.
func call(b *Breaker, err error) error {
	return b.Do(context.Background(), func(context.Context) error { return err })
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
		t.Fatalf("Allow = %v while %v", err, b.State())
	}
	return p
}

// TestTrapLostProbe loses a half-open probe, to Goexit and without a report; both wedge
// sony/gobreaker at "too many requests" for ever.
func TestTrapLostProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(&Options{OpenFor: time.Second, Jitter: -1})
		b.Trip(0, errBad)
		time.Sleep(time.Second)
		synctest.Wait()
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = b.Do(t.Context(), func(context.Context) error { runtime.Goexit(); return nil })
		}()
		<-done
		wantState(t, b, Open) // for 2 s
		time.Sleep(2 * time.Second)
		synctest.Wait()
		admit(t, b) // and never reports
		if err := call(b, nil); !errors.Is(err, ErrOpen) {
			t.Fatalf("a second probe: %v", err)
		}
		time.Sleep(time.Second) // ProbeTimeout is OpenFor
		synctest.Wait()
		wantState(t, b, Open)
		if oe := b.Err().(*OpenError); oe.Cause != ErrLost {
			t.Errorf("cause %v, want ErrLost", oe.Cause)
		}
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if err := call(b, nil); err != nil {
			t.Fatal(err)
		}
		wantState(t, b, Closed)
	})
}

// TestTrapEventReentrant calls the breaker from its own event: under a lock that is a deadlock
// (sony/gobreaker#37), and merely after unlocking events overlap and change places.
func TestTrapEventReentrant(t *testing.T) {
	var b *Breaker
	var seen []string
	depth := 0
	b, clock := hand(Options{Failures: 1, OnChange: func(c Change) {
		depth++
		seen = append(seen, fmt.Sprint(c.From, ">", c.To))
		if depth > 1 {
			t.Error("events overlap")
		}
		if c.To == Open {
			b.Reset()
			if b.State() != Closed {
				t.Error("Reset within an event did nothing")
			}
		}
		depth--
	}})
	_ = clock
	_ = call(b, errBad)
	if want := []string{"closed>open", "open>closed"}; !slices.Equal(seen, want) {
		t.Errorf("events %v, want %v", seen, want)
	}
}

// TestEventOrder has many goroutines change the state; events must form one chain, none at the
// same time as another.
func TestEventOrder(t *testing.T) {
	var running atomic.Int32
	var gen uint32 = 1
	state, n := Closed, 0
	b := New(&Options{Failures: 1, OpenFor: time.Hour, OnChange: func(c Change) {
		if running.Add(1) != 1 {
			t.Error("events overlap")
		}
		if c.From != state || c.Generation != gen+1 {
			t.Errorf("event %+v after generation %d of %v", c, gen, state)
		}
		state, gen = c.To, c.Generation
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
					_ = call(b, errBad)
				}
			}
		})
	}
	wg.Wait()
	if n < 2000 || gen != b.Stats().Generation {
		t.Errorf("%d events up to generation %d of %d", n, gen, b.Stats().Generation)
	}
}

// TestTrapDoneTwice reports one probe three times, as itself and as a copy: one success, not three.
func TestTrapDoneTwice(t *testing.T) {
	b, clock := hand(Options{Successes: 3})
	b.Trip(time.Second, nil)
	clock.sleep(time.Second)
	p := admit(t, b)
	again := p
	if !p.Success() || p.Success() || again.Success() {
		t.Error("a repeated report was counted")
	}
	if s := b.Stats(); s.Successes != 1 || s.Late != 1 {
		t.Errorf("%+v, want 1 success and 1 late", s)
	}
	// Another probe's place must not be freed by the copy.
	q := admit(t, b)
	again = p
	again.b = b
	if again.Success() || b.Stats().Probes != 1 {
		t.Error("a repeated report freed the place of another probe")
	}
	q.Ignore()
}

// TestTrapSparseFailures has failures a day apart: five in a row are five in a row, whatever a
// window says.
func TestTrapSparseFailures(t *testing.T) {
	b, clock := hand(Options{Failures: 5, FailureRatio: 0.5})
	for range 5 {
		wantState(t, b, Closed)
		_ = call(b, errBad)
		clock.sleep(24 * time.Hour)
	}
	if b.Stats().Opened != 1 {
		t.Error("five failures in a row did not trip")
	}
}

// TestTrapLateSuccess reports the success of a call from before the trip while a probe is out: it
// must not close the breaker, nor give the probe's place away (failsafe-go, opossum#381).
func TestTrapLateSuccess(t *testing.T) {
	b, clock := hand(Options{Failures: 1})
	old := admit(t, b)
	_ = call(b, errBad)
	clock.sleep(5 * time.Second)
	probe := admit(t, b)
	if old.Success() {
		t.Error("a report from before the trip was counted")
	}
	wantState(t, b, HalfOpen)
	if _, err := b.Allow(); !errors.Is(err, ErrOpen) || b.Stats().Late != 1 {
		t.Errorf("Allow = %v, %d late", err, b.Stats().Late)
	}
	probe.Success()
	wantState(t, b, Closed)
}

// TestTrapPanic panics in a probe: the place is free, the panic goes on (failsafe-go).
// A Classify that panics is the same.
func TestTrapPanic(t *testing.T) {
	for name, o := range map[string]Options{
		"fn":       {},
		"Classify": {Classify: func(context.Context, error) Outcome { panic("boom") }},
	} {
		b, clock := hand(o)
		b.Trip(time.Second, nil)
		clock.sleep(time.Second)
		func() {
			defer func() {
				if r := recover(); r != "boom" {
					t.Errorf("%s: recovered %v", name, r)
				}
			}()
			_ = b.Do(context.Background(), func(context.Context) error {
				if o.Classify == nil {
					panic("boom")
				}
				return nil
			})
		}()
		wantState(t, b, Open)
		if s := b.Stats(); s.Probes != 0 {
			t.Errorf("%s: %d probes outstanding", name, s.Probes)
		}
	}
}

// TestTrapRatio compares ratios exactly: 0.495 is less than 0.5, and 55 of 100 are 0.55.
func TestTrapRatio(t *testing.T) {
	for _, tt := range []struct {
		failed, calls int
		ratio         float64
		trips         bool
	}{{99, 200, 0.5, false}, {100, 200, 0.5, true}, {55, 100, 0.55, true}, {54, 100, 0.55, false}, {57, 100, 0.57, true}} {
		b, _ := hand(Options{FailureRatio: tt.ratio, MinCalls: tt.calls})
		for i := range tt.calls {
			if i < tt.calls-tt.failed {
				_ = call(b, nil)
			} else {
				_ = call(b, errBad)
			}
		}
		if got := b.Stats().Opened == 1; got != tt.trips {
			t.Errorf("%d of %d at %v: tripped %v", tt.failed, tt.calls, tt.ratio, got)
		}
	}
}

// TestTrapHalfOpenStorm sends 1000 goroutines at a half-open breaker; eapache and mercari admit them all.
func TestTrapHalfOpenStorm(t *testing.T) {
	for _, probes := range []int{1, 3, 10} {
		synctest.Test(t, func(t *testing.T) {
			b := New(&Options{Probes: probes, OpenFor: time.Second, Jitter: -1})
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
			if int(admitted.Load()) != probes || int(rejected.Load()) != 1000-probes {
				t.Errorf("%d admitted, %d rejected, want %d probes", admitted.Load(), rejected.Load(), probes)
			}
			close(release)
			synctest.Wait()
			wantState(t, b, Closed)
		})
	}
}

// TestTrapManyFailures has 100 calls fail at once: one trip, one event, one timer (opossum#385,
// Polly#219).
func TestTrapManyFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events recorder
		b := New(&Options{Failures: 1, OpenFor: time.Second, Jitter: -1, OnChange: events.onChange})
		permits := make([]Permit, 100)
		for i := range permits {
			permits[i] = admit(t, b)
		}
		for i := range permits {
			if counted := permits[i].Failure(errBad); counted != (i == 0) {
				t.Errorf("failure %d counted: %v", i, counted)
			}
		}
		if n := len(events.all()); n != 1 || b.Stats().Opened != 1 {
			t.Errorf("%d events, opened %d times", n, b.Stats().Opened)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if all := events.all(); len(all) != 2 || all[1].To != HalfOpen {
			t.Errorf("events %+v", all)
		}
	})
}

// TestTrapIgnoredProbe ignores a probe: its place is free, and MinCalls has no say.
func TestTrapIgnoredProbe(t *testing.T) {
	b, clock := hand(Options{FailureRatio: 0.5, MinCalls: 50})
	b.Trip(time.Second, nil)
	clock.sleep(time.Second)
	for range 3 {
		if err := call(b, Ignore(errBad)); err != errBad {
			t.Fatalf("Do = %v, want the error without its mark", err)
		}
		wantState(t, b, HalfOpen)
	}
	_ = call(b, nil)
	wantState(t, b, Closed)
}

// TestTrapHighThroughput has a blip of 5 failures among 1000 calls: a ratio with MinCalls does not
// trip, a count would.
func TestTrapHighThroughput(t *testing.T) {
	ratio, _ := hand(Options{FailureRatio: 0.5})
	count, _ := hand(Options{Failures: 5})
	for i := range 1000 {
		var err error
		if i >= 500 && i < 505 {
			err = errBad
		}
		_ = call(ratio, err)
		_ = call(count, err)
	}
	wantState(t, ratio, Closed)
	wantState(t, count, Open)
}

// TestTrapWindowExpires reads a window long after: what is over is not shown.
func TestTrapWindowExpires(t *testing.T) {
	b, clock := hand(Options{FailureRatio: 1})
	for range 10 {
		_ = call(b, errBad)
	}
	clock.sleep(8 * time.Second)
	_ = call(b, nil)
	if s := b.Stats(); s.Calls != 11 || s.FailureRatio() != 10.0/11 {
		t.Errorf("%+v after 8 s", s)
	}
	clock.sleep(4 * time.Second) // no jump of the ratio: the recent call stays
	if s := b.Stats(); s.Calls != 1 || s.Failures != 0 {
		t.Errorf("%+v after 12 s", s)
	}
	clock.sleep(time.Hour)
	if s := b.Stats(); s.Calls != 0 {
		t.Errorf("%+v after an hour", s)
	}
}

// TestTrapClockBack lets the clock go back: the breaker neither closes early nor stays open for
// the time gone back twice. Without Options.Now it is the monotonic clock.
func TestTrapClockBack(t *testing.T) {
	b, clock := hand(Options{Failures: 1, OpenFor: time.Minute})
	clock.sleep(time.Hour)
	_ = call(b, errBad)
	clock.sleep(-time.Hour)
	wantState(t, b, Open)
	if d := b.Err().(*OpenError).RetryAfter(); d != time.Hour+time.Minute {
		t.Errorf("RetryAfter = %v", d)
	}
	b.Reset() // at a reading before the trip
	_ = call(b, errBad)
	clock.sleep(time.Hour + time.Minute)
	wantState(t, b, HalfOpen)
	var zero Breaker
	zero.Trip(0, nil)
	if until := zero.Until(); until.String() == until.Round(0).String() {
		t.Error("Until has no monotonic reading")
	}
}

// TestTrapSilentHalfOpen lets the open time pass without a call: the event comes, at its time, and
// State says so (Polly#481).
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
		if at.Sub(start) != time.Second {
			t.Errorf("event after %v, want 1s", at.Sub(start))
		}
		wantState(t, b, HalfOpen)
	})
}

// TestTrapThrottleStarves has a backend that refused everything for longer than the window and then
// recovers: some calls always ask, so that it is seen; local rejections count as
// requests.
func TestTrapThrottleStarves(t *testing.T) {
	clock := &fakeClock{}
	th := NewThrottle(&ThrottleOptions{Now: clock.now, rand: newRand()})
	sent := 0
	for range 30_000 { // 5 minutes of refusals
		clock.sleep(10 * time.Millisecond)
		if th.Allow() {
			sent++
		}
	}
	if sent < 30_000/20-200 || sent > 30_000/20+400 {
		t.Errorf("%d of 30000 calls asked, want about 1 in 20", sent)
	}
	for range 30_000 {
		clock.sleep(10 * time.Millisecond)
		if th.Allow() {
			th.Accept()
		}
	}
	if p := th.RejectRatio(); p != 0 {
		t.Errorf("rejecting %v five minutes after recovery", p)
	}
}

// TestTrapTypes serves calls of different types by one breaker.
func TestTrapTypes(t *testing.T) {
	b, ctx := New(nil), t.Context()
	n, _ := Do(ctx, b, func(context.Context) (int, error) { return 1, nil })
	s, _ := Do(ctx, b, func(context.Context) (string, error) { return "a", nil })
	if n != 1 || s != "a" {
		t.Errorf("Do = %v, %v", n, s)
	}
}

// TestTrapEvictOpen fills a group with keys while one is open: forgetting that one would close
// it, and recreating it would start its open times anew.
func TestTrapEvictOpen(t *testing.T) {
	clock := &fakeClock{}
	g := NewGroup(&GroupOptions[int]{Max: 8, Options: func(int) *Options { return &Options{Failures: 2, Now: clock.now} }})
	g.Get(-1).Trip(time.Hour, errBad)
	_ = call(g.Get(-2), errBad) // one failure in a row
	held := []*Breaker{g.Get(-1), g.Get(-2)}
	for i := range 1000 {
		if g.Get(i).State() != Closed {
			t.Fatal("a new breaker is not closed")
		}
		if g.Len() > 8 {
			t.Fatalf("%d breakers held, want at most 8", g.Len())
		}
	}
	if g.Get(-1) != held[0] || g.Get(-2) != held[1] {
		t.Error("a breaker that knew something was forgotten")
	}
	if s := g.Stats(); s.Evicted != 1000-6 || s.Unheld != 0 {
		t.Errorf("%+v, want 994 evicted", s)
	}
}

// TestTrapErrorIdentity checks that rejections share one error, which does not pretend to be the
// failure of another call (see TestAllocs).
func TestTrapErrorIdentity(t *testing.T) {
	b, _ := hand(Options{Name: "db", Failures: 1})
	_ = call(b, context.DeadlineExceeded)
	err1, err2 := call(b, nil), call(b, nil)
	if err1 != err2 || !errors.Is(err1, ErrOpen) || errors.Is(err1, context.DeadlineExceeded) {
		t.Errorf("rejections %v and %v", err1, err2)
	}
	oe, ok := errors.AsType[*OpenError](err1)
	if !ok || oe.Cause != context.DeadlineExceeded || oe.RetryAfter() != 5*time.Second || !oe.Until.Equal(b.Until()) {
		t.Errorf("%+v", oe)
	}
}
