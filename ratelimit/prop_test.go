// SPDX-License-Identifier: MIT

package ratelimit

import (
	"math"
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestModelLimiter checks every decision of a Limiter against the textbook
// bucket in rational numbers, while the clock stands still or goes on: whatever
// one allows the other has tokens for, and whatever one denies the other lacks,
// within 4 units of rounding (8 ns of refill) plus 2 for each change of limit
// and each move of the base.
func TestModelLimiter(t *testing.T) { rapid.Check(t, modelLimiter) }

// FuzzModelLimiter is TestModelLimiter for the fuzzer.
func FuzzModelLimiter(f *testing.F) { f.Fuzz(rapid.MakeFuzz(modelLimiter)) }

// A limiterMachine drives a Limiter and its model.
type limiterMachine struct {
	clock fakeClock
	lim   *Limiter
	model *slowBucket
	tol   *big.Rat // tokens that the two may differ by
}

func (m *limiterMachine) limit(t *rapid.T, label string) Limit {
	l := drawLimit(t, label)
	if rapid.Bool().Draw(t, label+".usual") {
		l = Limit{Per(rapid.IntRange(1, 1000).Draw(t, label+".n"), time.Second), rapid.IntRange(1, 50).Draw(t, label+".b")}
	}
	unit := newMeter(l).unit
	m.tol.Add(m.tol, big.NewRat(6, unit))
	return l
}

// tokens draws a number of tokens that is often near the number left.
func (m *limiterMachine) tokens(t *rapid.T) int {
	m.model.advance(m.clock.t)
	left := m.model.left()
	whole := new(big.Int).Div(left.Num(), left.Denom())
	near := 0
	if whole.IsInt64() && whole.Sign() > 0 {
		near = int(min(whole.Int64(), mostBurst-1))
	}
	return rapid.OneOf(rapid.IntRange(max(near-1, 0), near+1), rapid.IntRange(0, 3),
		rapid.IntRange(0, math.MaxInt)).Draw(t, "n")
}

// decided fails the test unless ok is the decision of the model about n tokens
// while keep stay.
func (m *limiterMachine) decided(t *rapid.T, n, keep int, ok bool) {
	m.model.advance(m.clock.t)
	left := m.model.left()
	left.Sub(left, ratOf(n))
	left.Sub(left, ratOf(keep))
	switch {
	case n == 0 && keep == 0:
		if !ok {
			t.Fatal("zero tokens were denied")
		}
	case ok && left.Cmp(new(big.Rat).Neg(m.tol)) < 0:
		t.Fatalf("%v allowed %d keeping %d, which lack %v", m.lim.Limit(), n, keep, left)
	case !ok && left.Cmp(m.tol) > 0:
		t.Fatalf("%v denied %d keeping %d, which leave %v", m.lim.Limit(), n, keep, left)
	}
	if ok {
		m.model.spend(n)
	}
}

func modelLimiter(t *rapid.T) {
	m := &limiterMachine{tol: new(big.Rat)}
	m.clock.t = rapid.Int64Range(-maxReading/8, maxReading/8).Draw(t, "start")
	l := m.limit(t, "limit")
	m.lim = New(l.Rate, l.Burst, &Options{Now: m.clock.now})
	m.model = newSlowBucket(l)
	m.model.at = m.clock.t

	t.Repeat(map[string]func(*rapid.T){
		"AllowN": func(t *rapid.T) { n := m.tokens(t); m.decided(t, n, 0, m.lim.AllowN(n)) },
		"AllowAt": func(t *rapid.T) {
			n := m.tokens(t)
			m.decided(t, n, 0, m.lim.AllowAt(m.clock.now(), n))
		},

		"TakeReserving": func(t *rapid.T) {
			n, keep := m.tokens(t), rapid.IntRange(0, 60).Draw(t, "keep")
			m.decided(t, n, keep, m.lim.TakeReserving(n, keep))
		},

		"Take": func(t *rapid.T) {
			n := m.tokens(t)
			peek := m.lim.Peek(n)
			got := m.lim.Take(n)
			if got != peek {
				t.Fatalf("Take(%d) = %+v, Peek said %+v", n, got, peek)
			}
			m.decided(t, n, 0, got.OK)
			m.described(t, n, got)
		},

		"TakeUpTo": func(t *rapid.T) {
			n := m.tokens(t)
			got := m.lim.TakeUpTo(n)
			if got < 0 || got > n {
				t.Fatalf("TakeUpTo(%d) = %d, want 0 to %d", n, got, n)
			}
			m.decided(t, got, 0, true)
			if got < n {
				m.decided(t, 1, 0, false)
			}
		},

		"Charge": func(t *rapid.T) {
			// Beyond a burst or two the debt may saturate, which
			// TestTrapChargeOverflow shows.
			n := rapid.IntRange(0, max(m.model.limit.Burst/8, 3)).Draw(t, "n")
			if ratOf(m.model.limit.Burst).Cmp(m.model.debt) < 0 {
				return
			}
			m.lim.Charge(n)
			m.model.advance(m.clock.t)
			m.model.spend(n)
		},

		"Return": func(t *rapid.T) {
			n := rapid.IntRange(0, 60).Draw(t, "n")
			m.lim.Return(n)
			m.model.advance(m.clock.t)
			m.model.spend(-n)
		},

		"Fill": func(t *rapid.T) { m.lim.Fill(); m.model.debt.SetInt64(0) },
		"Drain": func(t *rapid.T) {
			m.lim.Drain()
			m.model.advance(m.clock.t)
			if m.model.left().Sign() > 0 {
				m.model.debt.Set(ratOf(m.model.limit.Burst))
			}
		},

		"SetLimit": func(t *rapid.T) {
			l := m.limit(t, "limit")
			m.model.advance(m.clock.t)
			if m.model.debt.Cmp(ratOf(min(l.Burst, m.model.limit.Burst))) > 0 {
				return // may saturate
			}
			m.lim.SetLimit(l.Rate, l.Burst)
			m.model.limit = l
		},

		"pass": func(t *rapid.T) { m.pass(t) },
		"": func(*rapid.T) {
			m.lim.mu.Lock()
			defer m.lim.mu.Unlock()
			m.lim.checkLocked()
		},
	})
}

// pass lets time go on, by amounts that matter to the limit.
func (m *limiterMachine) pass(t *rapid.T) {
	room := maxReading/4 - m.clock.t
	token := int64(1)
	if c := m.model.limit.Rate.count; c > 0 {
		token = max(int64(m.model.limit.Rate.per)/c, 1)
	}
	d := rapid.OneOf(rapid.Int64Range(0, 10), rapid.Int64Range(0, min(token, room/256)*4),
		rapid.Int64Range(0, min(token, room/64)), rapid.Int64Range(0, room/64)).Draw(t, "d")
	m.clock.t += d
	unit := newMeter(m.model.limit).unit
	m.tol.Add(m.tol, big.NewRat(2, unit))
}

// described checks the fields of a decision against the model, after the
// decision.
func (m *limiterMachine) described(t *rapid.T, n int, d Decision) {
	left := m.model.left()
	diff := new(big.Rat).Sub(left, ratOf(d.Remaining))
	below := new(big.Rat).Neg(m.tol)
	above := new(big.Rat).Add(big.NewRat(1, 1), m.tol)
	check(t, d.Limit, m.model.limit.Burst, "Limit")
	if left.Sign() > 0 && (diff.Cmp(below) < 0 || diff.Cmp(above) > 0) {
		t.Fatalf("Remaining = %d, want %v rounded down", d.Remaining, left)
	}
	switch {
	case d.OK && d.RetryAfter != 0:
		t.Fatalf("allowed with RetryAfter %v", d.RetryAfter)
	case !d.OK && d.RetryAfter == 0:
		t.Fatal("denied with RetryAfter 0")
	case !d.OK && d.RetryAfter < 0 && n <= d.Limit && m.model.limit.Rate.count > 0 && m.model.limit.Rate.per < math.MaxInt64/maxBurst:
		t.Fatalf("%d tokens of %v never come", n, m.model.limit)
	}
}

// TestTrapRetryAfterCeil checks that a request that was denied succeeds exactly
// RetryAfter later and not a nanosecond sooner, and that ResetAfter is when the
// bucket is full (trap 16).
func TestTrapRetryAfterCeil(t *testing.T) { rapid.Check(t, propRetryAfter) }

func propRetryAfter(t *rapid.T) {
	var clock fakeClock
	per := time.Duration(rapid.Int64Range(5, 1e12).Draw(t, "per"))
	l := Limit{Per(rapid.IntRange(1, 5000).Draw(t, "n"), per), rapid.IntRange(1, 1000).Draw(t, "burst")}
	lim := New(l.Rate, l.Burst, &Options{Now: clock.now})
	clock.t = rapid.Int64Range(0, 1e15).Draw(t, "t")
	lim.AllowN(rapid.IntRange(0, l.Burst).Draw(t, "taken"))
	clock.t += rapid.Int64Range(0, 1e6).Draw(t, "dt")
	n := rapid.IntRange(1, l.Burst).Draw(t, "want")
	d := lim.Take(n)
	if reset := lim.Peek(0).ResetAfter; reset < 0 {
		t.Fatalf("ResetAfter = %v, want at least 0", reset)
	} else if reset > 0 {
		at := clock.t
		clock.t = at + int64(reset) - 1
		if lim.Peek(0).ResetAfter != 1 {
			t.Fatalf("ResetAfter %v is early by %v, want at most 1 ns", reset, lim.Peek(0).ResetAfter)
		}
		clock.t = at
	}

	if d.OK {
		return
	}
	clock.t += int64(d.RetryAfter) - 1
	if lim.Peek(n).OK {
		t.Fatalf("RetryAfter %v is late", d.RetryAfter)
	}
	clock.t++
	if !lim.AllowN(n) {
		t.Fatalf("RetryAfter %v is early", d.RetryAfter)
	}
}

// ratOf returns n as a rational number.
func ratOf(n int) *big.Rat { return new(big.Rat).SetInt64(int64(n)) }

// perSecond is PerSecond for counts that exceed 32 bits.
func perSecond(n int64) Rate { return Rate{n, time.Second} }

// An admission is n events at one reading of a clock.
type admission struct {
	at int64
	n  int
}

// checkEnvelope fails unless every window of the admissions, which are in order
// of time, holds at most burst + rate·(w + slack ns) events.
func checkEnvelope(t interface{ Fatalf(string, ...any) }, l Limit, slack int64, as []admission) {
	rate := new(big.Rat).SetFrac64(l.Rate.count, int64(l.Rate.per))
	for i := range as {
		sum := 0
		for _, a := range as[i:] {
			sum += a.n
			bound := new(big.Rat).SetInt64(a.at - as[i].at + slack)
			bound.Mul(bound, rate).Add(bound, ratOf(l.Burst))
			if bound.Cmp(ratOf(sum)) < 0 {
				t.Fatalf("%v admitted %d from %d to %d", l, sum, as[i].at, a.at)
			}
		}
	}
}

// TestPropEnvelope checks the law of the package for clocks that stand still
// and go back by anything, and for every way of taking tokens. By the clock,
// taken to stand still while it goes back, any window admits at most burst +
// rate·(w + 2 ns); and by true time at most burst + rate·(w + e + 2 ns), if e
// is the furthest that a reading lay behind.
func TestPropEnvelope(t *testing.T) { rapid.Check(t, propEnvelope) }

// FuzzPropEnvelope is TestPropEnvelope for the fuzzer.
func FuzzPropEnvelope(f *testing.F) { f.Fuzz(rapid.MakeFuzz(propEnvelope)) }

func propEnvelope(t *rapid.T) {
	rate := Per(rapid.IntRange(1, 2000).Draw(t, "count"), time.Duration(rapid.Int64Range(2, 1e10).Draw(t, "per")))
	l := Limit{rate, rapid.IntRange(1, 20).Draw(t, "burst")}
	var clock fakeClock
	lim := New(l.Rate, l.Burst, &Options{Now: clock.now})
	token := max(int64(rate.per)/rate.count, 1)
	truth, latest, worst := int64(0), int64(math.MinInt64), int64(0)
	var byClock, byTruth []admission

	for range rapid.IntRange(1, 60).Draw(t, "steps") {
		truth += rapid.OneOf(rapid.Int64Range(0, 3), rapid.Int64Range(0, 3*token)).Draw(t, "dt")
		lag := rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(0, 10*token), rapid.Int64Range(0, 1e18)).Draw(t, "lag")
		clock.t = truth - lag
		n := rapid.IntRange(1, l.Burst+1).Draw(t, "n")

		switch rapid.IntRange(0, 3).Draw(t, "how") {
		case 0:
			if !lim.AllowN(n) {
				n = 0
			}
		case 1:
			if !lim.Take(n).OK {
				n = 0
			}
		case 2:
			n = lim.TakeUpTo(n)
		case 3:
			if !lim.TakeReserving(n, 1) {
				n = 0
			}
		}

		if n > 0 {
			latest, worst = max(latest, clock.t), max(worst, lag)
			byClock = append(byClock, admission{latest, n})
			byTruth = append(byTruth, admission{truth, n})
		}
	}
	checkEnvelope(t, l, 2, byClock)
	checkEnvelope(t, l, 2+worst, byTruth)
}

// TestPropComplete checks the other half of the law: an ideal bucket fed the
// same admissions lacks the tokens of a denied event, or would without 2 ns of
// refill. Extreme rates matter here.
func TestPropComplete(t *testing.T) { rapid.Check(t, propComplete) }

func propComplete(t *rapid.T) {
	l := rapid.SampledFrom([]Limit{
		{PerSecond(3), 3},
		{Per(1, 30*24*time.Hour), 1},
		{perSecond(3e8), 100},
		{perSecond(6e8), 1000},
		{perSecond(1_000_000_001), 10},
		{perSecond(1e10), 1e6},
		{Per(1, 100*365*24*time.Hour), 1},
		{PerDay(86399), 7},
	}).Draw(t, "limit")
	var clock fakeClock
	lim, ideal := New(l.Rate, l.Burst, &Options{Now: clock.now}), newSlowBucket(l)

	for range rapid.IntRange(1, 60).Draw(t, "steps") {
		token := max(int64(l.Rate.per)/l.Rate.count, 1)
		clock.t += rapid.OneOf(rapid.Int64Range(0, 9), rapid.Int64Range(0, 2*token)).Draw(t, "dt")
		n := rapid.IntRange(1, l.Burst).Draw(t, "n")
		if lim.AllowN(n) {
			ideal.advance(clock.t)
			ideal.spend(n)
			continue
		}
		ideal.advance(clock.t)
		left := ideal.left()
		rounding := new(big.Rat).SetFrac64(l.Rate.count, int64(l.Rate.per))
		left.Sub(left, rounding.Mul(rounding, big.NewRat(2, 1)))
		if left.Cmp(ratOf(n)) >= 0 {
			t.Fatalf("%v denied %d at %d, although %v and 2 ns of refill were left", l, n, clock.t, left)
		}
	}
}
