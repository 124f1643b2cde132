// SPDX-License-Identifier: MIT

package ratelimit

import (
	"math"
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// mostBurst is the largest burst that an int can hold.
const mostBurst = min(maxBurst, math.MaxInt)

// drawLimit returns any limit that New accepts, extremes included.
func drawLimit(t *rapid.T, label string) Limit {
	per := rapid.OneOf(
		rapid.SampledFrom([]time.Duration{1, time.Microsecond, time.Second, time.Minute, 24 * time.Hour, math.MaxInt64}),
		rapid.Map(rapid.Int64Range(1, math.MaxInt64), func(d int64) time.Duration { return time.Duration(d) }),
	).Draw(t, label+".per")
	most := int64(math.MaxInt64)
	if int64(per) < most/maxRate {
		most = int64(per) * maxRate
	}
	count := rapid.OneOf(rapid.Int64Range(0, min(most, 1000)), rapid.Int64Range(0, most)).Draw(t, label+".count")
	burst := rapid.OneOf(rapid.IntRange(1, 100), rapid.IntRange(1, mostBurst)).Draw(t, label+".burst")
	return Limit{Rate: Rate{count, per}, Burst: burst}
}

// exactSupply is supply in rational numbers: d · unit · count / per.
func exactSupply(m *meter, d int64) *big.Rat {
	r := new(big.Rat).SetFrac64(m.limit.Rate.count, int64(m.limit.Rate.per))
	r.Mul(r, new(big.Rat).SetInt64(m.unit))
	return r.Mul(r, new(big.Rat).SetInt64(d))
}

// TestPropSupply checks the arithmetic against rational numbers: for any two
// readings of any limit, the supply between them is at most the exact one plus
// one unit, and at most three units less; and one unit is at most 2 ns of
// refill, or 2^-60 of the time to fill the bucket.
func TestPropSupply(t *testing.T) { rapid.Check(t, propSupply) }

// FuzzSupply is TestPropSupply for the fuzzer.
func FuzzSupply(f *testing.F) { f.Fuzz(rapid.MakeFuzz(propSupply)) }

func propSupply(t *rapid.T) {
	l := drawLimit(t, "limit")
	m := newMeter(l)
	if m.unit < 1 {
		t.Fatalf("%v: unit = %d, want a positive number", l, m.unit)
	}
	if m.capacity < 1 || m.capacity > maxCapacity {
		t.Fatalf("%v: capacity = %d, want 1 to %d", l, m.capacity, int64(maxCapacity))
	}
	if m.span < 1 {
		t.Fatalf("%v: span = %d, want a positive number", l, m.span)
	}
	if l.Rate.count > 0 {
		// unit/q ≤ max(2 ns, fill/2^60), where fill = burst·per/count and q =
		// unit·count/per.
		unit := new(big.Rat).SetFrac64(int64(l.Rate.per), l.Rate.count)
		fill := new(big.Rat).Mul(unit, new(big.Rat).SetInt64(int64(l.Burst)))
		unit.Quo(unit, new(big.Rat).SetInt64(m.unit))
		fill.Quo(fill, new(big.Rat).SetInt64(1<<60))
		if unit.Cmp(big.NewRat(2, 1)) > 0 && unit.Cmp(fill) > 0 {
			t.Fatalf("%v: a unit is %v ns, fill/2^60 is %v", l, unit, fill)
		}
	}
	// mul is q·2^(64-shift) rounded down, so that the supply is never above q·w
	// + 1.
	q := new(big.Rat).SetFrac64(l.Rate.count, int64(l.Rate.per))
	q.Mul(q, new(big.Rat).SetInt64(m.unit)).Mul(q, new(big.Rat).SetInt(new(big.Int).Lsh(big.NewInt(1), 64-uint(m.shift))))
	if want := new(big.Int).Quo(q.Num(), q.Denom()); want.Cmp(new(big.Int).SetUint64(m.mul)) != 0 {
		t.Fatalf("%v: mul = %d, want %v", l, m.mul, want)
	}
	a := rapid.Int64Range(-m.span, m.span).Draw(t, "a")
	b := rapid.Int64Range(a, m.span).Draw(t, "b")
	va, vb := m.supply(a), m.supply(b)
	if va < -maxSupply || vb > maxSupply {
		t.Fatalf("%v: supply from %d to %d, want within %d", l, va, vb, int64(maxSupply))
	}
	if vb < va {
		t.Fatalf("%v: supply(%d) = %d, want %d or more as at %d", l, b, vb, va, a)
	}
	got := new(big.Rat).SetInt64(vb - va)
	want := new(big.Rat).Sub(exactSupply(&m, b), exactSupply(&m, a))
	diff, _ := new(big.Rat).Sub(got, want).Float64()
	if diff > 1 || diff < -3 {
		t.Fatalf("%v: supply from %d to %d is %d units, want %v, at most 1 above and 3 below", l, a, b, vb-va, want)
	}

	v := rapid.Int64Range(-maxSupply, maxSupply).Draw(t, "v")
	switch d := m.when(v); {
	case d == never || m.mul == 0:
	case !m.inSpan(d):
	case m.supply(d) < v:
		t.Fatalf("%v: when(%d) = %d, but supply is %d", l, v, d, m.supply(d))
	case d > -m.span && m.supply(d-1) >= v:
		t.Fatalf("%v: when(%d) = %d is late", l, v, d)
	}
}

// TestPropConvert checks that tokens spent survive a change of limit, rounded
// up to a unit.
func TestPropConvert(t *testing.T) { rapid.Check(t, propConvert) }

func propConvert(t *rapid.T) {
	from, to := newMeter(drawLimit(t, "from")), newMeter(drawLimit(t, "to"))
	v := rapid.Int64Range(-maxSupply, maxSupply).Draw(t, "v")
	pos := rapid.Int64Range(full+1, maxSupply+maxDebt).Draw(t, "pos")
	got := from.convert(&to, pos, v)
	want := new(big.Int).Mul(big.NewInt(pos-v), big.NewInt(to.unit))
	// Ceiling division: Div floors for a positive divisor.
	want.Neg(want).Div(want, big.NewInt(from.unit)).Neg(want)
	if lim := big.NewInt(maxDebt); want.CmpAbs(lim) > 0 {
		want.Mul(lim, big.NewInt(int64(want.Sign())))
	}
	if want.Int64() != got {
		t.Fatalf("convert(%d at %d) from unit %d to %d is %d, want %v", pos, v, from.unit, to.unit, got, want)
	}
}

// TestInSpanOverflow checks that a difference of readings that wraps is never
// in the span.
func TestInSpanOverflow(t *testing.T) {
	for _, l := range []Limit{{PerSecond(1), 1}, {perSecond(1e12), 1}, {Inf, 1}, {Rate{}, 1}} {
		m := newMeter(l.resolve())
		for _, tt := range []struct{ t, base int64 }{{maxReading, -maxReading}, {-maxReading, maxReading}} {
			if m.inSpan(tt.t - tt.base) {
				t.Errorf("%v: %d - %d is in the span", l, tt.t, tt.base)
			}
		}
		for x, want := range map[int64]bool{m.span: true, -m.span: true, m.span + 1: false, -m.span - 1: false} {
			check(t, m.inSpan(x), want, "%v: inSpan(%d)", l, x)
		}
	}
}

// TestMeterLargestSpan checks that a supply which takes a sixteenth of a unit a
// nanosecond, where the span ends by its own bound, is computed.
func TestMeterLargestSpan(t *testing.T) {
	if math.MaxInt == math.MaxInt32 {
		t.Skip("a burst is below 2^31")
	}
	m := newMeter(Limit{Per(1, 16), math.MaxInt/4 + 1})
	if got := m.span; got != maxCapacity {
		t.Errorf("span = %d, want 2^61", got)
	}
	if got := m.supply(160); got < 9 || got > 10 {
		t.Errorf("supply after 160 ns = %d, want 10, or 9 by rounding", got)
	}
}

// TestConvertRoundsUp checks that a debt which is no whole number of the other
// meter's units becomes the next larger one.
func TestConvertRoundsUp(t *testing.T) {
	m, to := meter{unit: 3}, meter{unit: 1}
	for debt, want := range map[int64]int64{0: 0, 1: 1, 2: 1, 3: 1, 4: 2, -1: 0, -4: -1} {
		check(t, m.convert(&to, debt, 0), want, "debt of %d units", debt)
	}
	check(t, to.convert(&m, 5, 0), 15, "debt of 5 units in smaller ones")
}

// TestUntilNext checks the time until the next nanosecond.
func TestUntilNext(t *testing.T) {
	m := newMeter(Limit{PerSecond(1), 1})
	at := m.when(m.unit)
	for gap := range int64(3) {
		check(t, m.until(m.unit, at-gap), time.Duration(gap), "time until %d ns later", gap)
	}
}

// TestWhenRemainder checks the reading at which a supply is reached where the
// division leaves the least remainder, so that it must be rounded up.
func TestWhenRemainder(t *testing.T) {
	tried := 0
	for count := range 300 {
		m := newMeter(Limit{Per(count+1, time.Millisecond), 1})
		mul := new(big.Int).SetUint64(m.mul)
		inverse := new(big.Int).ModInverse(new(big.Int).Lsh(big.NewInt(1), 64-uint(m.shift)), mul)
		if inverse == nil || !inverse.IsInt64() || inverse.Int64() > m.supply(m.span) {
			continue
		}
		tried++
		v := inverse.Int64()
		if at := m.when(v); m.supply(at) < v || m.supply(at-1) >= v {
			t.Errorf("%v: when(%d) = %d, of supply %d", m.limit, v, at, m.supply(at))
		}
	}
	if tried < 5 {
		t.Errorf("%d rates tried, want 5 or more", tried)
	}
}

// TestWhenLongAgo checks that a supply of long before all readings is past.
func TestWhenLongAgo(t *testing.T) {
	m := newMeter(Limit{Every(time.Hour), mostBurst})
	for _, v := range []int64{-1 << 61, full} {
		check(t, m.until(v, 0), 0, "time until a supply of %d", v)
	}
}

// TestConvertAtMost checks that no debt becomes larger than the largest, by
// rounding either.
func TestConvertAtMost(t *testing.T) {
	const half = (1<<63 + 1) / 3 // 3/2 of it is 2^62 and a half
	m, to := meter{unit: 2}, meter{unit: 3}
	check(t, m.convert(&to, half, 0), maxDebt, "a debt of half a unit more than the largest")
}

// TestCostAtMost checks that no number of tokens costs more than the largest
// debt.
func TestCostAtMost(t *testing.T) {
	for unit, tokens := range map[int64][]int64{1: {maxDebt, maxDebt + 1, math.MaxInt64}, 4: {1 << 60, 1 << 62, math.MaxInt64}} {
		m := meter{unit: unit}
		for _, n := range tokens {
			check(t, m.cost(n), maxDebt, "cost of %d tokens of %d units", n, unit)
		}
		check(t, m.cost(3), 3*unit, "cost of 3 tokens of %d units", unit)
	}
}
