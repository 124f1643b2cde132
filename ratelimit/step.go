// SPDX-License-Identifier: MIT

package ratelimit

// A State is a bucket as a value, for a store that several processes share: see [Limit.Step].
// The zero State is a full bucket, so a key that the store does not know needs no entry.
type State struct {
	Base  int64 // the reading from which Spent counts
	Spent int64 // units spent since, more than the supply by the debt
}

// Step is one decision as a pure function: what a bucket of l in state s answers, at the
// reading now, to a request for n tokens, and its next state. It is the arithmetic of
// [Limiter], to be run in a transaction or a compare-and-swap loop of the shared store. If the
// request is refused, the state is unchanged.
//
// now is in nanoseconds of one clock that all callers share, best the store's own, such as
// Unix time; it must lie within 146 years of 0. Where callers use clocks of their own that
// differ by at most e, a window w admits at most burst + rate·(w + e + 2 ns).
// A state may be forgotten once Decision.ResetAfter has passed. It belongs to one limit; when
// that changes, use [Limit.Adopt].
//
// Step panics if n is negative or l is not valid.
func (l Limit) Step(s State, now, n int64) (State, Decision) {
	checkN("Step", n)
	if err := l.Validate(); err != nil {
		panic("ratelimit: Step: " + reason(err))
	}
	m := newMeter(l.resolve())
	next, d := m.approach(s, now)
	v := m.supply(d)
	spent, ok := m.admit(next.Spent, v, n, 0)
	if n == 0 || !ok {
		return s, m.decide(next.Spent, v, d, n, n == 0)
	}
	next.Spent = spent
	return next, m.decide(spent, v, d, n, true)
}

// Adopt returns s, a state under the limit from at reading now, as a state under l with as
// many tokens spent: what [Limiter.SetLimit] does.
func (l Limit) Adopt(s State, from Limit, now int64) State {
	for _, limit := range []Limit{l, from} {
		if err := limit.Validate(); err != nil {
			panic("ratelimit: Adopt: " + reason(err))
		}
	}
	if s == (State{}) {
		return s
	}
	old, m := newMeter(from.resolve()), newMeter(l.resolve())
	s, d := old.approach(s, now)
	return State{Base: s.Base + d, Spent: old.convert(&m, s.Spent, old.supply(d))}
}

// approach returns s with its base near enough for the arithmetic, and the reading from there.
func (m *meter) approach(s State, now int64) (State, int64) {
	now = min(max(now, -maxReading), maxReading)
	if s == (State{}) {
		return State{Base: now, Spent: full}, 0
	}
	s.Base = min(max(s.Base, -maxReading), maxReading)
	s.Spent = min(max(s.Spent, full), maxSupply+maxDebt)
	for now-s.Base > m.span {
		s = State{Base: s.Base + m.span, Spent: m.convert(m, s.Spent, m.supply(m.span))}
	}
	return s, max(now-s.Base, -m.span)
}
