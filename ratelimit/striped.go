// SPDX-License-Identifier: MIT

package ratelimit

import (
	"fmt"
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
)

// A Striped is a [Limiter] for many processors at once: most calls read no clock and share no
// cache line. Each of its stripes holds a few tokens that are paid already; a call takes one
// from the stripe of its goroutine, and only when that is empty from the shared bucket, many at
// once. The bound is the same, burst + rate·(w + 2 ns) in any window w; the price is
// that the burst after an idle time is anything from 15/16 of burst to burst, and that a paid token may lie in
// another stripe, where it is found only after a search.
//
// Use it beyond some ten million calls a second; below, a Limiter is simpler and more exact.
// It is safe for concurrent use by multiple goroutines, must not be copied, needs no Close and
// starts no goroutine. Use [NewStriped].
type Striped struct {
	shared  *Limiter // holds burst less what the stripes may hold
	stripes []stripe
	batch   atomic.Int64 // what a stripe may hold
	burst   atomic.Int64
}

// A stripe is a cache line, and its neighbor that the processor fetches with it.
type stripe struct {
	tokens atomic.Int64 // from 0 to batch
	mu     sync.Mutex   // held while tokens are added; taking them needs no lock
	_      [112]byte
}

// minStriped is the smallest burst that can be split: 1/16 of it is one token a stripe for 16.
const minStriped = 256

// NewStriped returns a Striped that admits rate events a time and burst events at once.
// If opts is nil, the defaults are used. It panics if burst is not between 256 and 2^61.
func NewStriped(rate Rate, burst int64, opts *Options) *Striped {
	// A power of two of stripes, four or more to a processor so that two goroutines seldom meet,
	// and so few that each can hold 8 tokens.
	n := 1 << bits.Len(uint(4*min(runtime.GOMAXPROCS(0), 128)-1))
	for n > 1 && int64(n)*8 > burst/16 {
		n /= 2
	}
	s := &Striped{stripes: make([]stripe, n)}
	s.shared = New(rate, s.split("NewStriped", burst), opts)
	return s
}

// split sets how burst is divided, and returns the part of the shared bucket.
func (s *Striped) split(method string, burst int64) int64 {
	if burst < minStriped || burst > maxBurst {
		panic(fmt.Sprintf("ratelimit: %s: burst must be between 256 and 2^61, got %d", method, burst))
	}
	n := int64(len(s.stripes))
	batch := burst / 16 / n
	s.batch.Store(batch)
	s.burst.Store(burst)
	return burst - batch*n
}

// Allow reports whether one event may happen now, and takes its token if so.
func (s *Striped) Allow() bool {
	if len(s.stripes) == 0 {
		panic("ratelimit: zero Striped: use NewStriped")
	}
	mine := &s.stripes[stripeHash()&uint64(len(s.stripes)-1)]
	return mine.take(1) > 0 || s.refill(mine) || s.collect(1) > 0
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

// refill takes a batch from the shared bucket, keeps one token for the caller and puts the rest
// into p. The lock sees to it that no stripe ever holds more than a batch.
func (s *Striped) refill(p *stripe) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.take(1) > 0 { // another goroutine was faster
		return true
	}
	got := s.shared.TakeUpTo(s.batch.Load())
	if got > 1 {
		p.tokens.Add(got - 1)
	}
	return got > 0
}

// collect takes up to n tokens from all stripes, and returns their number.
func (s *Striped) collect(n int64) (got int64) {
	for i := range s.stripes {
		if got == n {
			break
		}
		got += s.stripes[i].take(n - got)
	}
	return got
}

// AllowN reports whether n events may happen now, and takes their tokens, all or none. More than
// 15/16 of burst may happen at once only if the stripes hold the rest.
// Zero events may always happen. It panics if n is negative.
func (s *Striped) AllowN(n int64) bool {
	checkN("AllowN", n)
	if n == 1 {
		return s.Allow()
	}
	if n == 0 || s.shared.AllowN(n) {
		return true
	}
	got := s.collect(n)
	if s.shared.AllowN(n - got) {
		return true
	}
	s.shared.Return(got)
	return false
}

// Take is AllowN with a Decision, whose figures count the tokens of the stripes as taken.
func (s *Striped) Take(n int64) Decision { return s.describe(n, s.AllowN(n)) }

// Peek returns what Take(n) would, and takes nothing: it is OK if the shared bucket and the
// stripes together hold n tokens at that instant. It panics if n is negative.
func (s *Striped) Peek(n int64) Decision {
	checkN("Peek", n)
	have := s.shared.Peek(0).Remaining
	for i := range s.stripes {
		have += s.stripes[i].tokens.Load()
	}
	return s.describe(n, n <= have)
}

func (s *Striped) describe(n int64, ok bool) Decision {
	d := s.shared.Peek(0)
	if refused := s.shared.Peek(n); !ok {
		d.RetryAfter = max(refused.RetryAfter, 1)
		if refused.RetryAfter < 0 {
			d.RetryAfter = -1
		}
	}
	d.OK, d.Limit = ok, s.burst.Load()
	return d
}

// Return puts n tokens back; see [Limiter.Return]. It panics if n is negative.
func (s *Striped) Return(n int64) { s.shared.Return(n) }

// SetLimit changes the limit as [Limiter.SetLimit] does; tokens in stripes return to the shared
// bucket first. It panics if burst is not between 256 and 2^61.
func (s *Striped) SetLimit(rate Rate, burst int64) {
	for i := range s.stripes { // in order: the only place that holds more than one
		s.stripes[i].mu.Lock()
	}
	defer func() {
		for i := range s.stripes {
			s.stripes[i].mu.Unlock()
		}
	}()
	part := s.split("SetLimit", burst)
	s.shared.Return(s.collect(1 << 62))
	s.shared.SetLimit(rate, part)
}

// Limit returns the limit in force.
func (s *Striped) Limit() Limit { return Limit{Rate: s.shared.Limit().Rate, Burst: s.burst.Load()} }
