// SPDX-License-Identifier: MIT

package ratelimit

import (
	"math"
	"math/bits"
	"time"
)

// A meter is a Limit turned into integer arithmetic. It never changes after
// newMeter.
//
// Spending is counted in units, of which one token costs unit. The supply at a
// reading d (nanoseconds since the bucket's base, of either sign) is
//
//	supply(d) = floor(d · q),  q = unit·count/per units per nanosecond,
//
// computed as the high word of (d << shift) · mul, where mul = floor(q ·
// 2^(64-shift)). The rate is applied to the whole reading, never to a
// difference, so no error accumulates: between any two readings the supply is
// at most q·w + 1 units, and at most 3 units less. Choosing unit =
// floor(per/count), the nanoseconds per token rounded down, makes q at least
// 1/2, so that one unit is at most 2 ns of refill. Only a burst that takes more
// than 2^61 ns to refill has a smaller one: a unit is a 2^61st of it then.
type meter struct {
	mul      uint64
	unit     int64 // cost of one token; 0 if the rate is Inf
	capacity int64 // unit · burst, at most 2^61
	span     int64 // supply is exact for readings in [-span, span], and at most 2^60 there
	burst    int64
	limit    Limit
	window   time.Duration // Limit.Window
	shift    uint8

	nsPerUnit float64 // for ranking only
}

const (
	maxCapacity = 1 << 61
	maxSupply   = 1 << 60
	// maxDebt is how far spending may run ahead of supply.
	maxDebt = 1 << 62
	// full is the spending of a bucket that is full at every reading.
	full = -1 << 62
	// never is a reading that does not come.
	never = math.MaxInt64
)

// newMeter returns the meter of l, whose burst is filled in.
func newMeter(l Limit) meter {
	m := meter{limit: l, burst: int64(l.Burst), window: l.Window(), span: maxCapacity}
	if l.Rate == Inf {
		return m
	}

	// A token costs the nanoseconds that it takes, rounded down, but so few
	// that the burst fits the capacity.
	count := uint64(l.Rate.count)
	per := uint64(l.Rate.per)
	m.unit = 1
	if count > 0 {
		m.unit = int64(min(max(per/count, 1), uint64(maxCapacity/max(m.burst, 1))))
	}
	m.capacity = m.unit * m.burst

	// q is num/per. num is below 2^63: unit is 1, or at most per/count.
	num := uint64(m.unit) * count
	if num == 0 {
		m.nsPerUnit = math.Inf(1)
		return m
	}
	m.nsPerUnit = float64(per) / float64(num)
	for num>>m.shift >= per { // until q < 2^shift
		m.shift++
	}
	m.mul, _ = bits.Div64(num>>m.shift, num<<(64-m.shift), per)

	// The span ends where the supply is 2^60, or at 2^61 ns if that is sooner.
	if hi, lo := bits.Mul64(maxSupply, per); hi < num {
		at, _ := bits.Div64(hi, lo, num)
		m.span = int64(min(at, maxCapacity))
	}
	return m
}

// supply returns the units supplied until d, which is in [-span, span].
func (m *meter) supply(d int64) int64 {
	x := d << (m.shift & 63)
	hi, _ := bits.Mul64(uint64(x), m.mul)
	return int64(hi - m.mul&uint64(x>>63)) // the product of a signed x
}

// inSpan reports whether d is in [-span, span]. It is right also for a d that
// overflowed once.
func (m *meter) inSpan(d int64) bool {
	return uint64(d+m.span) <= uint64(2*m.span)
}

// when returns the first reading at which the supply is v or more, or never.
func (m *meter) when(v int64) int64 {
	if v <= 0 && m.mul == 0 {
		return -maxCapacity
	}

	// Divide the magnitude of v by mul·2^-(64-shift).
	a := uint64(v)
	if v < 0 {
		a = -a
	}
	hi, lo := a>>m.shift, a<<(64-m.shift)
	if hi >= m.mul {
		if v < 0 {
			return -never
		}
		return never
	}
	d, rem := bits.Div64(hi, lo, m.mul)

	// Round up, which for a negative v is towards zero.
	switch {
	case v < 0 && d < never:
		return -int64(d)
	case v < 0:
		return -never
	case d >= never-1:
		return never
	case rem > 0:
		d++
	}
	return int64(d)
}

// admit returns the spending after n more tokens at supply v, and whether they
// fit while keep tokens stay behind. Neither n nor keep is negative.
func (m *meter) admit(spent, v, n, keep int64) (int64, bool) {
	if keep > m.burst || n > m.burst-keep {
		return spent, false
	}
	spent = max(spent, v)
	return spent + n*m.unit, spent-v <= m.capacity-(n+keep)*m.unit
}

// tokens returns the number of whole tokens left, 0 if in debt.
func (m *meter) tokens(spent, v int64) int64 {
	if m.unit == 0 {
		return m.burst
	}
	return max(m.capacity-(max(spent, v)-v), 0) / m.unit
}

// cost returns n tokens in units, at most maxDebt.
func (m *meter) cost(n int64) int64 {
	hi, lo := bits.Mul64(uint64(n), uint64(m.unit))
	if hi > 0 {
		return maxDebt
	}
	return int64(min(lo, maxDebt))
}

// charge returns the spending after n tokens at supply v that are taken without
// asking: it goes into debt, up to maxDebt.
func (m *meter) charge(spent, v, n int64) int64 {
	spent = max(spent, v)
	return spent + min(m.cost(n), max(v+maxDebt-spent, 0))
}

// decide describes a bucket at reading d and supply v after a decision about n
// tokens.
func (m *meter) decide(spent, v, d, n int64, ok bool) Decision {
	dec := Decision{
		OK:         ok,
		Limit:      int(m.burst),
		Remaining:  int(m.tokens(spent, v)),
		ResetAfter: m.until(spent, d),
		Window:     m.window,
	}
	if !ok {
		dec.RetryAfter = -1
		if n <= m.burst {
			dec.RetryAfter = m.until(spent+n*m.unit-m.capacity, d)
		}
	}
	return dec
}

// until returns the time from reading d to the first at which the supply is v,
// 0 if that is past and -1 if it never comes.
func (m *meter) until(v, d int64) time.Duration {
	at := m.when(v)
	if at == never {
		return -1
	}
	if at <= d {
		return 0
	}
	if gap := at - d; gap > 0 {
		return time.Duration(gap)
	}
	return math.MaxInt64
}

// convert carries the spending pos of a bucket of m, at supply v, over to a
// bucket of to at supply 0, so that the tokens spent stay the same; fractions
// are rounded up.
func (m *meter) convert(to *meter, pos, v int64) int64 {
	if pos == full || m.unit == 0 {
		return full
	}

	// Divide the magnitude of the debt, in the units of to, by unit.
	debt := pos - v
	a := uint64(debt)
	if debt < 0 {
		a = -a
	}
	hi, lo := bits.Mul64(a, uint64(to.unit))
	q := uint64(maxDebt)
	var rem uint64
	if hi < uint64(m.unit) {
		q, rem = bits.Div64(hi, lo, uint64(m.unit))
	}

	// Saturate, and round up.
	switch {
	case q >= maxDebt && debt < 0:
		return full
	case q >= maxDebt:
		return maxDebt
	case debt < 0:
		return -int64(q)
	case rem > 0:
		q++
	}
	return int64(q)
}
