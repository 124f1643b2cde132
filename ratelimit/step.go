// SPDX-License-Identifier: MIT

package ratelimit

// A State is a bucket as a value, for a store that several processes share: see
// [Limit.Step]. The zero State is a full bucket, so a key that the store does
// not know needs no entry.
type State struct {
	Base  int64 // the reading from which Spent counts
	Spent int64 // units spent since, more than the supply by the debt
}

// Step is one decision as a pure function: the answer of a bucket of l in state
// s, at the reading now, to a request for n tokens, and its next state. It is
// the arithmetic of [Limiter], to be run in a transaction or a compare-and-swap
// loop of the shared store. A refusal leaves the state unchanged.
//
// now is in nanoseconds of one clock that all callers share, best the store's
// own, such as Unix time; it must lie within 146 years of 0. Where callers have
// clocks of their own that differ by at most e, a window w admits at most
// burst + rate·(w + e + 2 ns). A state may be forgotten once
// Decision.ResetAfter has passed. It belongs to one limit; when that changes,
// use [Limit.Adopt].
//
// Step panics if n is negative or l is not valid.
func (l Limit) Step(s State, now int64, n int) (State, Decision) {
	tokens := checkN(n)
	m := l.meter()
	next, d := m.approach(s, now)
	v := m.supply(d)
	spent, ok := m.admit(next.Spent, v, tokens, 0)
	if tokens == 0 || !ok {
		return s, m.decide(next.Spent, v, d, tokens, tokens == 0)
	}
	next.Spent = spent
	return next, m.decide(spent, v, d, tokens, true)
}

// Adopt returns s, a state under the limit from at reading now, as a state
// under l with as many tokens spent, like [Limiter.SetLimit]. It panics if l or
// from is not valid.
func (l Limit) Adopt(s State, from Limit, now int64) State {
	old, m := from.meter(), l.meter()
	if s == (State{}) {
		return s
	}
	s, d := old.approach(s, now)
	return State{Base: s.Base + d, Spent: old.convert(&m, s.Spent, old.supply(d))}
}

// meter returns the meter of l. It panics if l is not valid.
func (l Limit) meter() meter {
	if err := l.Validate(); err != nil {
		panic(err)
	}
	return newMeter(l.resolve())
}

// approach returns s, which may be any bytes of a store, with its base near
// enough to now for the arithmetic, and the reading from there.
func (m *meter) approach(s State, now int64) (State, int64) {
	now = min(max(now, -maxReading), maxReading)
	if s == (State{}) {
		return State{Base: now, Spent: full}, 0
	}
	s.Base = min(max(s.Base, -maxReading), maxReading)
	s.Spent = min(max(s.Spent, full), maxSupply+maxDebt)
	return m.near(s, now)
}

// near returns s with its base moved forward until now is in the span, and the
// reading from there.
func (m *meter) near(s State, now int64) (State, int64) {
	for now-s.Base > m.span {
		s = State{Base: s.Base + m.span, Spent: m.convert(m, s.Spent, m.supply(m.span))}
	}
	return s, max(now-s.Base, -m.span)
}
