// SPDX-License-Identifier: MIT

package breaker

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"
)

// newRand returns a source of chance that is the same in each run.
func newRand() func() float64 { return rand.New(rand.NewPCG(1, 2)).Float64 }

// An overloadedServer serves requests one by one. Refusing one costs work too, a tenth of serving
// it: that is how overload turns into collapse.
type overloadedServer struct {
	free  int64 // when it is done with what it has taken
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

// goodput returns the part of its capacity that a server uses for accepted requests at
// load times that capacity, after a while.
func goodput(seed uint64, load int, throttle bool) float64 {
	clock := &fakeClock{}
	th := NewThrottle(&ThrottleOptions{Window: 10 * time.Second, Now: clock.now, rand: newRand()})
	server := &overloadedServer{queue: int64(50 * time.Millisecond)}
	const warm, seconds = 20, 100
	chance := rand.New(rand.NewPCG(seed, 4))
	served := 0
	for clock.t < (warm+seconds)*int64(time.Second) {
		clock.t += int64(chance.ExpFloat64() * float64(serveCost) / float64(load))
		if throttle && !th.Allow() {
			continue
		}
		if server.serve(clock.t) {
			th.Accept()
			if clock.t >= warm*int64(time.Second) {
				served++
			}
		}
	}
	return float64(served) * float64(serveCost) / (seconds * float64(time.Second))
}

// TestThrottleGoodput overloads a server five times: without a throttle half of its time goes into
// refusing, with one at least nine tenths of it into serving, of 10/11 that K = 2 allows for.
func TestThrottleGoodput(t *testing.T) {
	for seed := range uint64(5) {
		without, with := goodput(seed, 5, false), goodput(seed, 5, true)
		t.Logf("goodput without %.3f, with %.3f", without, with)
		if without > 0.65 || with < 0.9 {
			t.Errorf("goodput without a throttle %.3f, with one %.3f", without, with)
		}
	}
}

// TestThrottleRatio checks the formula by hand, and that the share of calls rejected is the
// probability: within 4 standard deviations of a binomial, about 6e-5, with a fixed seed.
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
	probability := func(requests float64) float64 { return (requests - 20 - 1.5*15) / (requests + 1) }
	if got, want := th.RejectRatio(), probability(60); got != want {
		t.Fatalf("RejectRatio = %v, want %v", got, want)
	}
	clock.t = th.step // Allow counts itself, then computes
	const n = 10_000
	p, want, rejected := probability(61), 0.0, 0
	for i := 61; i < 61+n; i++ {
		if i%throttleCalls == 0 {
			p = probability(float64(i))
		}
		want += min(p, 0.95)
		if !th.Allow() {
			rejected++
		}
	}
	sigma := 50.0 // at most sqrt(n)/2
	if diff := float64(rejected) - want; diff > 4*sigma || diff < -4*sigma {
		t.Errorf("%d of %d rejected, want %.0f", rejected, n, want)
	}
	clock.sleep(3 * time.Minute)
	if th.RejectRatio() != 0 {
		t.Error("the window did not expire")
	}
}

// TestThrottleBurst: a backend that begins to refuse is not sent all of a burst that is over before
// the next step.
func TestThrottleBurst(t *testing.T) {
	clock := &fakeClock{}
	th := NewThrottle(&ThrottleOptions{Now: clock.now, rand: newRand()})
	sent := 0
	for range 10_000 {
		if th.Allow() {
			sent++
		}
	}
	if sent > 10_000/10 {
		t.Errorf("%d of 10000 sent", sent)
	}
}

func TestThrottleDo(t *testing.T) {
	clock := &fakeClock{}
	never := func() float64 { return 0 } // every call is rejected once any may be
	th := NewThrottle(&ThrottleOptions{Spare: 1, Now: clock.now, rand: never})
	fail := func(context.Context) error { return errBad }
	for range 3 {
		if err := th.Do(t.Context(), fail); err != errBad {
			t.Fatal(err)
		}
	}
	clock.sleep(time.Minute)
	if err := th.Do(t.Context(), fail); err != ErrThrottled {
		t.Errorf("Do = %v, want ErrThrottled", err)
	}
	th = NewThrottle(nil)
	if err := th.Do(t.Context(), func(context.Context) error { return Ignore(errBad) }); err != errBad {
		t.Errorf("Do = %v, want the error without its mark", err)
	}
	if s := th.ring.sum(th.elapsed()); s.calls != 1 || s.failures != 1 {
		t.Errorf("%+v: an ignored outcome is not a refusal", s)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := th.Do(ctx, fail); !errors.Is(err, context.Canceled) {
		t.Errorf("Do = %v, want Canceled", err)
	}
}
