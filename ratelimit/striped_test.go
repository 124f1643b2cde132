// SPDX-License-Identifier: MIT

package ratelimit

import (
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// checkStash fails if the stripes hold more than they may, or the parts are
// more than the burst.
func (s *Striped) checkStash(t interface{ Fatalf(string, ...any) }) {
	total := int64(0)
	for i := range s.stripes {
		n := s.stripes[i].tokens.Load()
		if n < 0 || n > s.batch.Load() {
			t.Fatalf("stripe %d holds %d tokens of at most %d", i, n, s.batch.Load())
		}
		total += n
	}
	if part := s.shared.Limit().Burst; int64(part)+int64(len(s.stripes))*s.batch.Load() != s.burst.Load() {
		t.Fatalf("%d shared and %d stripes of %d make no burst of %d", part, len(s.stripes), s.batch.Load(), s.burst.Load())
	}
}

// TestPropStriped checks the law with any number of stripes, and that what is
// refused is not there: neither in the shared bucket nor in a stripe.
func TestPropStriped(t *testing.T) { rapid.Check(t, propStriped) }

func propStriped(t *rapid.T) {
	l := Limit{Per(rapid.IntRange(1, 1000).Draw(t, "count"), time.Duration(rapid.Int64Range(1000, 1e9).Draw(t, "per"))), rapid.IntRange(256, 2000).Draw(t, "burst")}
	var clock fakeClock
	s := NewStriped(l.Rate, l.Burst, &Options{Now: clock.now})
	if rapid.Bool().Draw(t, "many") {
		s.stripes = make([]stripe, 8)
		s.shared.SetLimit(l.Rate, s.split(l.Burst))
	}

	token := max(int64(l.Rate.per)/l.Rate.count, 1)
	var as []admission

	for range rapid.IntRange(1, 40).Draw(t, "steps") {
		clock.t += rapid.Int64Range(0, 100*token).Draw(t, "dt")
		n := rapid.OneOf(rapid.Just(1), rapid.IntRange(0, l.Burst)).Draw(t, "n")
		have := s.shared.Peek(0).Remaining

		for i := range s.stripes {
			have += int(s.stripes[i].tokens.Load())
		}

		peek := s.Peek(n)
		d := s.Take(n)
		if d.OK != (n <= have) || peek.OK != d.OK || !d.OK && d.RetryAfter == 0 {
			t.Fatalf("Take(%d) = %+v, Peek %+v, with %d there", n, d, peek, have)
		}

		if d.OK && n > 0 {
			as = append(as, admission{clock.t, n})
		}

		if rapid.IntRange(0, 9).Draw(t, "again") == 0 {
			s.SetLimit(l.Rate, l.Burst)
		}

		s.checkStash(t)
	}
	checkEnvelope(t, l, 2, as)
}

// TestStripedConcurrent checks that what many goroutines take at a standing
// clock, while the limit changes, adds up exactly: the burst ends up where
// somebody finds it.
func TestStripedConcurrent(t *testing.T) {
	const burst = 20_000
	s := NewStriped(Rate{}, burst, nil)
	s.stripes = make([]stripe, 4)
	s.shared.SetLimit(Rate{}, s.split(burst))
	s.shared.Fill()
	var admitted atomic.Int64
	var wg sync.WaitGroup

	for g := range 8 {
		wg.Go(func() {
			for i := range burst / 4 {
				if i%5 == 0 {
					if s.AllowN(2) {
						admitted.Add(2)
					}
				} else if s.Allow() {
					admitted.Add(1)
				}
				if g == 0 && i%100 == 0 {
					s.SetLimit(Rate{}, burst)
				}
			}
		})
	}
	wg.Wait()

	for s.Allow() {
		admitted.Add(1)
	}

	s.checkStash(t)
	if got := admitted.Load(); got > burst || got < burst-burst/16 {
		t.Errorf("%d admitted, want at most %d and nearly all", got, burst)
	}
}

// TestStripedEnvelope checks the law of TestEnvelopeConcurrent for a Striped.
func TestStripedEnvelope(t *testing.T) {
	const burst, rate = 1024, 1_000_000
	s := NewStriped(PerSecond(rate), burst, nil)
	start := time.Now()
	stop := start.Add(100 * time.Millisecond)
	var admitted atomic.Int64
	var wg sync.WaitGroup
	for range 4 * runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for time.Now().Before(stop) {
				if s.Allow() {
					admitted.Add(1)
				}
			}
		})
	}
	wg.Wait()
	bound := burst + rate*int64(time.Since(start)+2)/int64(time.Second) + 1
	least := int64(burst + rate/1000) // a hundredth of the refill
	if got := admitted.Load(); got > bound || got < least {
		t.Errorf("%d admitted, want %d to %d", got, least, bound)
	}
}

// TestStripeHash checks that one goroutine mostly stays with one stripe under
// the fast tier, and that either tier reaches more than one stripe from many
// goroutines.
func TestStripeHash(t *testing.T) {
	var mu sync.Mutex
	seen := map[uint64]bool{}
	var wg sync.WaitGroup
	hold := make(chan struct{})

	for range 64 {
		wg.Go(func() {
			h := stripeHash() & 7
			mu.Lock()
			seen[h] = true
			mu.Unlock()
			<-hold // so that the next has another stack
		})
	}

	for {
		mu.Lock()
		n := len(seen)
		mu.Unlock()
		if n > 1 {
			break
		}
		runtime.Gosched()
	}
	close(hold)
	wg.Wait()
}

// TestStripeRefill checks that a stripe that another goroutine has just filled
// is not filled again.
func TestStripeRefill(t *testing.T) {
	s := NewStriped(PerSecond(1), 4096, nil)
	p := &s.stripes[0]
	for range 3 {
		if !s.refill(p) {
			t.Fatal("a full bucket gives nothing")
		}
		s.checkStash(t)
	}
}

func TestStripedLimit(t *testing.T) {
	s := NewStriped(PerSecond(5), 512, nil)
	if got := s.Limit(); got != (Limit{PerSecond(5), 512}) {
		t.Errorf("Limit() = %v", got)
	}
	if d := s.Take(513); d.OK || d.RetryAfter >= 0 || d.Limit != 512 {
		t.Errorf("%+v", d)
	}
	if !s.AllowN(0) || !s.AllowN(480) || s.Allow() { // 15/16: no stripe holds anything yet
		t.Error("the burst is not there, or more is")
	}
	s.Return(100)
	if !s.AllowN(100) {
		t.Error("Return did not")
	}
}

// TestStripedLastToken checks that every token is found, wherever it lies: a
// single goroutine gets all that the shared bucket held, and no more.
func TestStripedLastToken(t *testing.T) {
	s := NewStriped(Rate{}, 1000, nil)
	want := s.shared.Peek(0).Remaining
	admitted := 0
	for s.Allow() {
		admitted++
	}
	if admitted != want || s.stashed() != 0 {
		t.Errorf("%d admitted with %d left in stripes, want %d and 0", admitted, s.stashed(), want)
	}
	if got := s.Stats(); got.Denied != 1 || got.Refills == 0 {
		t.Errorf("Stats = %+v, want 1 denied and some refills", got)
	}
}

// TestStripedSmallLimit checks that tokens are found when SetLimit leaves fewer
// than one to a stripe.
func TestStripedSmallLimit(t *testing.T) {
	s := NewStriped(Rate{}, 1<<20, nil)
	s.stripes = make([]stripe, 64)
	s.SetLimit(Rate{}, minStriped)
	allowed := 0
	for s.Allow() {
		allowed++
	}
	if s.batch.Load() != 0 || allowed != minStriped {
		t.Errorf("%d allowed, want %d, with batches of %d, want 0", allowed, minStriped, s.batch.Load())
	}
}

// TestStripedStripes checks that there are four stripes or more to a processor,
// if each can hold 8 tokens.
func TestStripedStripes(t *testing.T) {
	for burst, want := range map[int]int{
		minStriped: 2,
		1 << 24:    1 << bits.Len(uint(4*runtime.GOMAXPROCS(0)-1)),
	} {
		if got := len(NewStriped(Rate{}, burst, nil).stripes); got != want {
			t.Errorf("burst %d: %d stripes, want %d", burst, got, want)
		}
	}
}

// TestStripedSearch checks that Allow finds the tokens that lie in the stripes
// of others.
func TestStripedSearch(t *testing.T) {
	s := NewStriped(Rate{}, 1024, nil)
	want := s.shared.Limit().Burst
	for i := range s.stripes {
		s.refill(&s.stripes[i])
		want-- // for the caller
	}
	got := 0
	for s.Allow() {
		got++
	}
	if got != want {
		t.Errorf("%d allowed, want %d", got, want)
	}
}

// TestStripedRetryAfter checks that only a refusal says when to come back.
func TestStripedRetryAfter(t *testing.T) {
	s := NewStriped(PerSecond(1), 256, nil)
	if got := s.Take(200); !got.OK || got.RetryAfter != 0 {
		t.Errorf("Take(200) = %+v, want OK and no RetryAfter", got)
	}
	if got := s.Take(200); got.OK || got.RetryAfter <= 0 {
		t.Errorf("the second Take(200) = %+v, want a RetryAfter", got)
	}
}
