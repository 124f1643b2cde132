// SPDX-License-Identifier: MIT

package breaker

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

// newRand returns a source of chance that is the same in each run.
func newRand() func() float64 { return rand.New(rand.NewPCG(1, 2)).Float64 }

// An overloadedServer serves requests one by one. Refusing one costs work too,
// a tenth of serving it: that is how overload turns into collapse.
type overloadedServer struct {
	free  int64 // when it is done with the requests it has taken
	queue int64 // how far ahead of now it may be
}

const (
	serveCost  = int64(10 * time.Millisecond) // so that capacity is 100 a second
	refuseCost = serveCost / 10
)

// serve reports whether a request that arrives at t is accepted.
func (s *overloadedServer) serve(t int64) bool {
	s.free = max(s.free, t)
	if s.free-t > s.queue {
		s.free += refuseCost
		return false
	}
	s.free += serveCost
	return true
}

// goodput returns the part of its capacity that a server uses for accepted
// requests, at load times that capacity from a number of clients, after a
// while.
func goodput(seed uint64, load, clients int, o *ThrottleOptions) float64 {
	clock := &fakeClock{}
	var throttles []*Throttle
	if o != nil {
		o.Now = clock.now
		o.rand = newRand()
		for range clients {
			throttles = append(throttles, NewThrottle(o))
		}
	}

	server := &overloadedServer{queue: int64(50 * time.Millisecond)}
	const warm, seconds = 20, 100
	chance := rand.New(rand.NewPCG(seed, 4))
	served := 0
	for clock.t < (warm+seconds)*int64(time.Second) {
		clock.t += int64(chance.ExpFloat64() * float64(serveCost) / float64(load))
		client := chance.IntN(clients)
		if throttles != nil && !throttles[client].Allow() {
			continue
		}
		if !server.serve(clock.t) {
			continue
		}
		if throttles != nil {
			throttles[client].Accept()
		}
		if clock.t >= warm*int64(time.Second) {
			served++
		}
	}
	return float64(served) * float64(serveCost) / (seconds * float64(time.Second))
}

// TestThrottleGoodput overloads a server five times, and checks that without a
// throttle half of its time goes into refusing, with one at least nine tenths
// into serving, of the 10/11 that K = 2 allows for. Clients that share the
// server need a smaller Spare each, or a longer window.
func TestThrottleGoodput(t *testing.T) {
	for seed := range uint64(5) {
		if got := goodput(seed, 5, 1, nil); got > 0.65 {
			t.Errorf("goodput without a throttle %.3f, want at most 0.65", got)
		}
		for _, tt := range []struct {
			clients, spare int
			window         time.Duration
			want           float64
		}{
			{1, 10, 10 * time.Second, 0.9},
			{10, 1, 10 * time.Second, 0.9},
			{100, 1, 10 * time.Second, 0.88},
		} {
			got := goodput(seed, 5, tt.clients, &ThrottleOptions{Window: tt.window, Spare: tt.spare})
			t.Logf("goodput of %d clients, Spare %d: %.3f", tt.clients, tt.spare, got)
			if got < tt.want {
				t.Errorf("goodput of %d clients, Spare %d: %.3f, want at least %v", tt.clients, tt.spare, got, tt.want)
			}
		}
	}
}

// TestThrottleRatio checks the formula by hand, and that the share of calls
// rejected is the probability: within 4 standard deviations of a binomial,
// about 6e-5, with a fixed seed.
func TestThrottleRatio(t *testing.T) {
	clock := &fakeClock{}
	th := NewThrottle(&ThrottleOptions{K: 1.5, Spare: 20, Now: clock.now, rand: newRand()})
	for i := range 60 {
		if !th.Allow() {
			t.Fatal("rejected before the first computation")
		}
		if i%4 == 0 {
			th.Accept()
		}
	}
	probability := func(requests int) float64 {
		n := float64(requests)
		return min((n-20-1.5*15)/(n+1), 0.95)
	}
	if got, want := th.RejectRatio(), probability(60); got != want {
		t.Fatalf("RejectRatio = %v, want %v", got, want)
	}

	// A step later Allow computes, and after every 64 calls sent or rejected.
	clock.sleep(th.step)
	const n = 10_000
	p, want := probability(60), 0.0
	counts := map[bool]int{true: 60, false: 0} // sent, rejected
	for i := range n {
		want += p
		kind := th.Allow()
		counts[kind]++
		if counts[kind]%throttleCalls == 0 {
			p = probability(60 + i + 1)
		}
	}
	const sigma = 50.0 // at most sqrt(n)/2
	if got := float64(counts[false]); math.Abs(got-want) > 4*sigma {
		t.Errorf("%.0f of %d rejected, want %.0f", got, n, want)
	}

	// A chance that comes out as p itself is none: of p = 0.5, half are sent.
	th.opts.rand = func() float64 { return math.Float64frombits(th.reject.Load()) }
	if !th.Allow() {
		t.Error("Allow = false by a chance of p, want true")
	}

	clock.sleep(3 * time.Minute)
	if got := th.RejectRatio(); got != 0 {
		t.Errorf("RejectRatio = %v after the window, want 0", got)
	}
	if !th.Allow() {
		t.Error("Allow = false after the window, want true")
	}
}

// TestThrottleCounts checks the formula where calls that were sent in an
// earlier window are ignored in this one: fewer than none were sent then.
func TestThrottleCounts(t *testing.T) {
	for _, tt := range []struct {
		ignored, accepted, rejected uint64
		want                        float64
	}{
		{0, 0, 10, 0},
		{0, 0, 20, 10.0 / 21},
		{1, 0, 20, 10.0 / 21},
		{5, 0, 20, 10.0 / 21},
		{0, 2, 20, 6.0 / 21},
		{5, 5, 20, 0},
		{0, 0, 1 << 40, 0.95},
	} {
		clock := &fakeClock{}
		th := NewThrottle(&ThrottleOptions{Now: clock.now, Spare: 10, K: 2, MaxReject: 0.95})

		for range tt.ignored {
			th.Ignore()
		}
		for range tt.accepted {
			th.Accept()
		}
		th.ring.current()[rejected].Add(tt.rejected)
		if got := th.RejectRatio(); math.Abs(got-tt.want) > 1e-15 {
			t.Errorf("RejectRatio = %v of %+v, want %v", got, tt, tt.want)
		}
	}
}

// TestThrottleSteps checks that the probability is that of 320 times in a
// window: a nanosecond before the end of a step it stays, and then it moves.
func TestThrottleSteps(t *testing.T) {
	clock := &fakeClock{}
	th := NewThrottle(&ThrottleOptions{Window: 320 * time.Second, Spare: 1, MaxReject: 0.999, Now: clock.now, rand: newRand()})
	th.Allow() // begins the first step
	for i := range 10 {
		for range 3 {
			th.Allow()
		}
		before := th.reject.Load()
		clock.sleep(time.Second - 1)
		th.Allow()
		if got := th.reject.Load(); got != before {
			t.Errorf("step %d: probability %#x before its end, want %#x as before", i, got, before)
		}
		clock.sleep(1)
		th.Allow()
		if got := th.reject.Load(); got == before {
			t.Errorf("step %d: probability %#x at its end as before, want another", i, got)
		}
	}
}

// TestThrottleStats checks the counters, of the window and since the start, and
// that a call that is ignored is in none.
func TestThrottleStats(t *testing.T) {
	clock := &fakeClock{}
	th := NewThrottle(&ThrottleOptions{Spare: 1, Now: clock.now, rand: func() float64 { return 0 }})
	for range 3 {
		th.Allow()
	}
	th.Accept()
	th.Ignore()
	clock.sleep(th.step)
	th.Allow() // of 2 sent, 1 was accepted: none is rejected yet
	th.Allow()
	clock.sleep(th.step)
	th.Allow() // of 4, 1: rejected
	want := ThrottleStats{
		RejectRatio: (5.0 - 1 - 2) / 6, WindowSent: 4, WindowAccepted: 1, WindowRejected: 1, Sent: 4, Accepted: 1, Rejected: 1,
	}
	if got := th.Stats(); got != want {
		t.Errorf("Stats = %+v, want %+v", got, want)
	}

	clock.sleep(3 * time.Minute)
	want = ThrottleStats{Sent: 4, Accepted: 1, Rejected: 1}
	if got := th.Stats(); got != want {
		t.Errorf("Stats = %+v after the window, want %+v", got, want)
	}

	// An ignored call that outlives the window leaves no trace either.
	th.Allow()
	clock.sleep(3 * time.Minute)
	th.RejectRatio()
	th.Ignore()
	if got := th.Stats(); got != want {
		t.Errorf("Stats = %+v after a call was ignored, want %+v", got, want)
	}
	if got := th.RejectRatio(); got != 0 {
		t.Errorf("RejectRatio = %v, want 0", got)
	}
}

// TestThrottleTimer checks that with the system's clock, which a timer keeps
// while calls come, the window moves on as it does without one.
func TestThrottleTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := NewThrottle(&ThrottleOptions{rand: newRand()})
		looks := NewThrottle(&ThrottleOptions{rand: newRand(), Now: time.Now})
		if !kept.kept || looks.kept {
			t.Fatalf("a timer keeps the clock: %v, and with Now: %v, want true, false", kept.kept, looks.kept)
		}
		chance := rand.New(rand.NewPCG(5, 6))
		for range 3000 {
			time.Sleep(time.Duration(chance.IntN(300)) * time.Millisecond)
			synctest.Wait()
			for _, th := range []*Throttle{kept, looks} {
				if th.Allow() {
					th.Accept()
				}
			}
			if got, want := kept.Stats(), looks.Stats(); got != want {
				t.Fatalf("Stats = %+v, want %+v", got, want)
			}
		}

		// No call, no timer: the next one finds that the step is over.
		time.Sleep(time.Hour)
		synctest.Wait()
		if kept.fresh.Load() {
			t.Error("the step is not over after an hour")
		}
		kept.Allow()
		if got := kept.Stats().WindowSent; got != 1 {
			t.Errorf("WindowSent = %d, want 1", got)
		}
	})
}

// TestThrottleBurst checks that a backend that begins to refuse is not sent all
// of a burst that is over before the next step.
func TestThrottleBurst(t *testing.T) {
	clock := &fakeClock{}
	th := NewThrottle(&ThrottleOptions{Now: clock.now, rand: newRand()})
	for range 10_000 {
		th.Allow()
	}
	if got := th.Stats().Sent; got > 10_000/10 {
		t.Errorf("%d of 10000 sent, want at most 1000", got)
	}
}

// TestThrottleDo checks the answers of Do, and the outcomes that it counts as
// accepted.
func TestThrottleDo(t *testing.T) {
	clock := &fakeClock{}
	never := func() float64 { return 0 } // every call is rejected once any may be
	th := NewThrottle(&ThrottleOptions{Spare: 1, Now: clock.now, rand: never})
	fail := func(context.Context) error { return errBad }
	for range 3 {
		if err := th.Do(t.Context(), fail); !same(err, errBad) {
			t.Fatalf("Do = %v, want %v", err, errBad)
		}
	}
	clock.sleep(time.Minute)
	if err := th.Do(t.Context(), fail); !same(err, ErrThrottled) {
		t.Errorf("Do = %v, want ErrThrottled", err)
	}

	for _, tt := range []struct {
		err            error
		sent, accepted uint64
	}{
		{nil, 1, 1},
		{Answer(errBad), 1, 1},
		{errBad, 1, 0},
		{Ignore(errBad), 0, 0},
		{ErrOpen, 0, 0},
	} {
		th := NewThrottle(nil)
		if err := th.Do(t.Context(), func(context.Context) error { return tt.err }); !same(err, unmark(tt.err)) {
			t.Errorf("Do = %v, want %v", err, unmark(tt.err))
		}
		if s := th.Stats(); s.Sent != tt.sent || s.Accepted != tt.accepted {
			t.Errorf("%v: %d sent, %d accepted, want %d, %d", tt.err, s.Sent, s.Accepted, tt.sent, tt.accepted)
		}
	}

	// Options.Classify is asked about every outcome.
	th = NewThrottle(&ThrottleOptions{Classify: func(context.Context, error) Outcome { return Failure }})
	if err := th.Do(t.Context(), func(context.Context) error { return nil }); err != nil {
		t.Errorf("Do = %v, want nil", err)
	}
	if s := th.Stats(); s.Sent != 1 || s.Accepted != 0 {
		t.Errorf("%d sent, %d accepted, want 1, 0", s.Sent, s.Accepted)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := th.Do(ctx, fail); !errors.Is(err, context.Canceled) {
		t.Errorf("Do = %v, want Canceled", err)
	}
}

// TestLongestWindow checks that windows of the longest duration count all that
// there was.
func TestLongestWindow(t *testing.T) {
	var clock fakeClock
	b := New(&Options{FailureRatio: 1, MinCalls: 9, Window: math.MaxInt64, Now: clock.now})
	th := NewThrottle(&ThrottleOptions{Window: math.MaxInt64, Now: clock.now})
	if got := b.per.Load().ring.width; got != math.MaxInt64/10+1 {
		t.Errorf("a bucket of the breaker is %d ns, want a tenth of the window, rounded up", got)
	}
	if got := th.step; got <= 0 {
		t.Errorf("a step of the throttle is %v, want more than 0", got)
	}
	for range 8 {
		calling(b, errBad)
		th.Allow()
		clock.sleep(time.Hour)
	}
	if got := b.Stats().Calls; got != 8 {
		t.Errorf("the window of the breaker has %d calls, want 8", got)
	}
	if got := th.Stats().WindowSent; got != 8 {
		t.Errorf("the window of the throttle has %d requests, want 8", got)
	}
	calling(b, errBad)
	if got := b.State(); got != Open {
		t.Errorf("state = %v after 9 of 9 failures, want open", got)
	}
}

// TestThrottleRecomputes checks that the probability is computed anew after 64
// requests, even if no time passes.
func TestThrottleRecomputes(t *testing.T) {
	var clock fakeClock
	th := NewThrottle(&ThrottleOptions{Now: clock.now, rand: func() float64 { return 0 }})
	for i := range throttleCalls {
		if !th.Allow() {
			t.Fatalf("request %d is rejected, want it sent", i+1)
		}
	}
	if th.Allow() {
		t.Errorf("request %d is sent, want it rejected: none was accepted", throttleCalls+1)
	}
}
