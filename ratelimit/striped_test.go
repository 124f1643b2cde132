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

// TestPropStriped checks the law with any number of stripes, and that the
// tokens of a refusal are not there: neither in the shared bucket nor in a
// stripe.
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
		check(t, d.OK, n <= have, "OK of Take(%d) with %d there", n, have)
		check(t, peek.OK, d.OK, "OK of Peek(%d)", n)
		if !d.OK && d.RetryAfter == 0 {
			t.Fatalf("Take(%d) refuses with RetryAfter = 0, want another", n)
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

// TestStripedConcurrent checks that the tokens many goroutines take at a
// standing clock, while the limit changes, add up exactly: the burst ends up
// where somebody finds it.
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
	if got, least := admitted.Load(), int64(burst-burst/16); got > burst || got < least {
		t.Errorf("%d admitted, want %d to %d", got, least, burst)
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

// TestStripeHash checks that many goroutines at once reach several stripes.
func TestStripeHash(t *testing.T) {
	var mu sync.Mutex
	seen := map[uint64]bool{}
	var hashed, ended sync.WaitGroup
	hold := make(chan struct{})
	for range 64 {
		hashed.Add(1)
		ended.Go(func() {
			h := stripeHash() & 7
			mu.Lock()
			seen[h] = true
			mu.Unlock()
			hashed.Done()
			<-hold // so that no other has its stack
		})
	}

	hashed.Wait()
	close(hold)
	ended.Wait()
	if len(seen) < 2 {
		t.Errorf("64 goroutines reach %d of 8 stripes, want at least 2", len(seen))
	}
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

// TestStripedLimit checks what a Striped tells of its burst, and how much of it
// one call gets.
func TestStripedLimit(t *testing.T) {
	s := NewStriped(PerSecond(5), 512, nil)
	if got := s.Limit(); got != (Limit{PerSecond(5), 512}) {
		t.Errorf("Limit = %v, want %v", got, Limit{PerSecond(5), 512})
	}
	d := s.Take(513)
	checkNever(t, d, "Take(513)")
	check(t, d.Limit, 512, "Limit")
	check(t, s.AllowN(0), true, "AllowN(0)")
	check(t, s.AllowN(480), true, "AllowN(480)") // 15/16: no stripe holds anything yet
	check(t, s.Allow(), false, "Allow after 480")
	s.Return(100)
	check(t, s.AllowN(100), true, "AllowN(100) after Return(100)")
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
	check(t, admitted, want, "admitted")
	check(t, s.stashed(), 0, "tokens left in stripes")
	check(t, s.Stats().Denied, 1, "Denied")
	if s.Stats().Refills == 0 {
		t.Error("Refills = 0, want more")
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
	check(t, allowed, minStriped, "allowed")
	check(t, s.batch.Load(), 0, "tokens of a batch")
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
	first := s.Take(200)
	check(t, first.OK, true, "OK of Take(200)")
	check(t, first.RetryAfter, 0, "RetryAfter of Take(200)")
	checkLater(t, s.Take(200), "the second Take(200)")
}

// TestRefillsOfNothing checks that a look for tokens that are not there is no
// refill of a stripe.
func TestRefillsOfNothing(t *testing.T) {
	s := NewStriped(Rate{}, 1600, nil)
	for s.Allow() {
	}
	before := s.Stats().Refills
	s.Allow()
	check(t, s.Stats().Refills, before, "Refills")
}

// TestStripeBound checks that a stripe never holds more than a batch, whatever
// is put back.
func TestStripeBound(t *testing.T) {
	var p stripe
	p.tokens.Store(5)
	check(t, p.putLocked(2, 8), 2, "put")
	check(t, p.putLocked(10, 8), 1, "put into the rest")
	check(t, p.putLocked(10, 8), 0, "put into a full stripe")
	check(t, p.tokens.Load(), 8, "tokens")
}

// TestStripedWithoutBatch checks a limit that is too small for its stripes:
// they hold nothing, and the shared bucket has it all.
func TestStripedWithoutBatch(t *testing.T) {
	var clock fakeClock
	s := NewStriped(PerHour(1), 1000, &Options{Now: clock.now})
	s.stripes = make([]stripe, 64)
	s.shared.SetLimit(PerHour(1), s.split(1000))
	s.SetLimit(PerHour(1), 256)
	check(t, s.batch.Load(), 0, "batch")
	for i := range 256 {
		check(t, s.Allow(), true, "Allow %d", i)
		s.checkStash(t)
	}
	check(t, s.Allow(), false, "Allow beyond the burst")
}
