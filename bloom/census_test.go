// SPDX-License-Identifier: MIT

package bloom

import (
	"math"
	"testing"
)

// TestLenAndRate checks that Len is within 1 % and Rate within 5 % of the
// truth, from ten thousand keys on and up to twice those that the filter was
// made for, also where a large filter holds few. The truth about the rate is
// the mean over all lines.
func TestLenAndRate(t *testing.T) {
	type size struct {
		n    int
		p    float64
		keys []int
	}

	sizes := []size{
		{10_000, 0.01, []int{10_000, 20_000}},
		{1_000_000, 1e-6, []int{10_000, 100_000}},
		{10_000_000, 0.01, []int{10_000, 100_000}},
	}

	if !testing.Short() && !raceEnabled && !invariants {
		sizes = append(sizes,
			size{10_000_000, 0.01, []int{1_000_000, 10_000_000, 20_000_000}},
			size{100_000_000, 1e-6, []int{10_000, 1_000_000, 3_000_000}})
	}

	for _, s := range sizes {
		f := New(s.n, s.p, nil)
		i := uint64(0)
		for _, keys := range s.keys {
			for ; i < uint64(keys); i++ {
				f.AddUint64(i)
			}
			if got := f.Len(); math.Abs(float64(got-keys)) > 0.01*float64(keys)+20 {
				t.Errorf("New(%d, %g): Len = %d, want %d", s.n, s.p, got, keys)
			}
			c := censusOf(len(f.lines), len(f.lines), f.perLane, wordBits, func(i int) line { return f.lines[i] })
			want := power(c.rate, f.perKey)
			if got := f.Rate(); math.Abs(got-want) > 0.05*want {
				t.Errorf("New(%d, %g) with %d keys: Rate = %g, want %g", s.n, s.p, keys, got, want)
			}
		}
	}
}

// TestScalableLen checks that Len counts the keys that older layers reported
// wrongly, at rates at which these are many.
func TestScalableLen(t *testing.T) {
	for _, p := range []float64{0.5, 0.1, 0.01} {
		s := NewScalable(1000, p, nil)
		const keys = 100_000
		for i := range uint64(keys) {
			s.AddUint64(i)
		}
		if got := s.Len(); math.Abs(float64(got-keys)) > 0.02*keys {
			t.Errorf("p = %g: Len = %d, want %d", p, got, keys)
		}
	}
}

// TestFillRatio checks that a filter that holds the keys it was made for has
// between 0.3 and 0.56 of its bits set, at rates of 0.1 and less.
func TestFillRatio(t *testing.T) {
	for _, p := range []float64{0.1, 0.01, 1e-3, 1e-4, 1e-5, 1e-6, 1e-8, 1e-10, 1e-12} {
		f := New(20_000, p, nil)
		for i := range uint64(20_000) {
			f.AddUint64(i)
		}
		if got := f.FillRatio(); got < 0.30 || got > 0.565 {
			t.Errorf("p = %g: FillRatio = %.3f, want 0.3 to 0.56", p, got)
		}
	}
}
