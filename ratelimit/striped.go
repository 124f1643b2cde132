// SPDX-License-Identifier: MIT

package ratelimit

import (
	"fmt"
	"math"
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
)

// A Striped is a [Limiter] for many processors at once: most calls read no
// clock and share no cache line. Each of its stripes holds a few tokens that
// are paid already; a call takes one from the stripe of its goroutine, and only
// when that is empty from the shared bucket, many at once. The bound is the
// same, burst + rate·(w + 2 ns) in any window w. The price is that the burst
// after an idle time is anything from 15/16 of burst to burst, and that a paid
// token may lie in another stripe, where it is found only after a search.
//
// Use it beyond some ten million calls a second; below, a Limiter is simpler
// and more exact. It is safe for concurrent use by multiple goroutines, must
// not be copied, needs no Close and starts no goroutine. Use [NewStriped];
// methods of a zero Striped panic.
type Striped struct {
	shared  *Limiter // holds burst less the share of the stripes
	stripes []stripe
	batch   atomic.Int64 // the most tokens of a stripe; 0 if SetLimit left too few
	burst   atomic.Int64

	denied, refills atomic.Uint64
}

// A stripe is a cache line, and its neighbor that the processor fetches with
// it.
type stripe struct {
	tokens atomic.Int64 // from 0 to batch
	mu     sync.Mutex   // held while tokens are added; taking them needs no lock
	_      [112]byte
}

// minStriped is the smallest burst that can be split: 1/16 of it is one token a
// stripe for 16.
const minStriped = 256

// NewStriped returns a Striped that admits rate events a time and burst events
// at once. If opts is nil, the defaults are used. It panics if burst is not
// between 256 and 2^61, or if opts is not valid.
func NewStriped(rate Rate, burst int, opts *Options) *Striped {
	checkStriped(burst)

	// A power of two of stripes, four or more to a processor so that two
	// goroutines seldom meet, and so few that each can hold 8 tokens.
	n := 1 << bits.Len(uint(4*min(runtime.GOMAXPROCS(0), 128)-1))
	for n > 1 && n*8 > burst/16 {
		n /= 2
	}
	s := &Striped{stripes: make([]stripe, n)}
	o := opts.constant()
	s.shared = New(rate, s.split(burst), &o)
	return s
}

// checkStriped panics if burst is not between 256 and 2^61.
func checkStriped(burst int) {
	if burst < minStriped || int64(burst) > maxBurst {
		panic(fmt.Sprintf("ratelimit: burst of a Striped must be between 256 and 2^61, got %d", burst))
	}
}

// split sets how burst is divided, and returns the part of the shared bucket.
func (s *Striped) split(burst int) int {
	batch := burst / 16 / len(s.stripes)
	s.batch.Store(int64(batch))
	s.burst.Store(int64(burst))
	return burst - batch*len(s.stripes)
}

// Allow reports whether one event may happen now, and takes its token if so.
func (s *Striped) Allow() bool {
	mine := s.stripe()
	return mine.take(1) > 0 || s.allowSlow(mine)
}

// stripe returns the stripe of this goroutine.
func (s *Striped) stripe() *stripe {
	if len(s.stripes) == 0 {
		panic("ratelimit: zero Striped: use NewStriped")
	}
	return &s.stripes[stripeHash()&uint64(len(s.stripes)-1)]
}

// allowSlow is Allow when mine, the stripe of the goroutine, is empty.
func (s *Striped) allowSlow(mine *stripe) bool {
	if s.refill(mine) {
		return true
	}

	// The tokens that are left lie in other stripes.
	for i := range s.stripes {
		if s.stripes[i].take(1) > 0 {
			return true
		}
	}
	s.denied.Add(1)
	return false
}

// take takes up to n tokens, and returns their number.
func (p *stripe) take(n int64) int64 {
	for {
		have := p.tokens.Load()
		if have == 0 {
			return 0
		}
		k := min(n, have)
		if p.tokens.CompareAndSwap(have, have-k) {
			return k
		}
	}
}

// putLocked adds up to n tokens with the lock held, at most to a total of
// batch, which p never exceeds, and returns their number.
func (p *stripe) putLocked(n, batch int64) int64 {
	k := min(n, batch-p.tokens.Load()) // others only take
	p.tokens.Add(k)
	return k
}

// refill takes a batch from the shared bucket, keeps one token for the caller
// and puts the others into p. The lock makes sure that no stripe ever holds
// more than a batch.
func (s *Striped) refill(p *stripe) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.take(1) > 0 {
		return true // another goroutine has refilled it
	}
	got := s.shared.TakeUpTo(int(min(max(s.batch.Load(), 1), math.MaxInt)))
	if got > 1 {
		p.tokens.Add(int64(got) - 1)
	}
	if got > 0 {
		s.refills.Add(1)
	}
	return got > 0
}

// lockAll locks all stripes, in order. No other call holds more than one.
func (s *Striped) lockAll() {
	for i := range s.stripes {
		s.stripes[i].mu.Lock()
	}
}

func (s *Striped) unlockAll() {
	for i := range s.stripes {
		s.stripes[i].mu.Unlock()
	}
}

// collectLocked takes up to n tokens from all stripes, and returns their
// number.
func (s *Striped) collectLocked(n int64) (got int64) {
	for i := range s.stripes {
		if got == n {
			break
		}
		got += s.stripes[i].take(n - got)
	}
	return got
}

// AllowN reports whether n events may happen now, and takes their tokens, all
// or none. More than 15/16 of burst may happen at once only if the stripes hold
// the rest. Zero events may always happen. It panics if n is negative.
func (s *Striped) AllowN(n int) bool {
	want := checkN(n)
	if n == 1 {
		return s.Allow()
	}
	if s.stripe(); n == 0 || s.shared.AllowN(n) {
		return true
	}

	// The shared bucket and the stripes together may hold n. While all are
	// locked no stripe grows, so that a refusal can put everything back.
	s.lockAll()
	defer s.unlockAll()
	got := s.collectLocked(want)
	if s.shared.AllowN(int(want - got)) {
		return true
	}

	// Too few in all: put back what was collected.
	for i := range s.stripes {
		got -= s.stripes[i].putLocked(got, s.batch.Load())
	}
	s.denied.Add(1)
	return false
}

// Take is AllowN with a Decision, whose figures count the tokens of the stripes
// as taken.
func (s *Striped) Take(n int) Decision { return s.describe(n, s.AllowN(n)) }

// Peek returns the answer of Take(n), and changes nothing: it is OK if the
// shared bucket and the stripes together hold n tokens at that instant. It
// panics if n is negative.
func (s *Striped) Peek(n int) Decision {
	want := checkN(n)
	s.stripe()
	return s.describe(n, want <= sum(s.stashed(), int64(s.shared.Peek(0).Remaining)))
}

// stashed returns the number of tokens in the stripes.
func (s *Striped) stashed() (n int64) {
	for i := range s.stripes {
		n += s.stripes[i].tokens.Load()
	}
	return n
}

// describe returns the decision about n tokens.
func (s *Striped) describe(n int, ok bool) Decision {
	d := s.shared.Peek(0)
	if !ok {
		d.RetryAfter = s.shared.Peek(n).RetryAfter
		if d.RetryAfter == 0 {
			d.RetryAfter = 1 // it would succeed by now
		}
	}
	d.OK = ok
	d.Limit = int(s.burst.Load())
	d.Window = s.Limit().Window()
	return d
}

// Return puts n tokens back; see [Limiter.Return]. It panics if n is negative.
func (s *Striped) Return(n int) {
	rest := checkN(n)
	s.stripe()

	// The shared bucket may be full while the tokens are missing in stripes.
	for i := range s.stripes {
		if rest == 0 {
			return
		}
		p := &s.stripes[i]
		p.mu.Lock()
		rest -= p.putLocked(rest, s.batch.Load())
		p.mu.Unlock()
	}

	// The rest is the shared bucket's.
	s.shared.Return(int(rest))
}

// SetLimit changes the limit as [Limiter.SetLimit] does; tokens in stripes
// return to the shared bucket first. It panics if burst is not between 256 and
// 2^61.
func (s *Striped) SetLimit(rate Rate, burst int) {
	checkStriped(burst)
	s.stripe()
	s.lockAll()
	defer s.unlockAll()
	part := s.split(burst)
	s.shared.Return(int(s.collectLocked(math.MaxInt)))
	s.shared.SetLimit(rate, part)
}

// Limit returns the limit in force.
func (s *Striped) Limit() Limit {
	s.stripe()
	return Limit{Rate: s.shared.Limit().Rate, Burst: int(s.burst.Load())}
}

// Stats returns the counters of s. Admissions are not counted, since that would
// cost as much as admitting.
func (s *Striped) Stats() StripedStats {
	s.stripe()
	return StripedStats{Stashed: int(s.stashed()), Denied: s.denied.Load(), Refills: s.refills.Load()}
}
