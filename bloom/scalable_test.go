// SPDX-License-Identifier: MIT

package bloom

import (
	"math"
	"testing"
)

// TestTrapScalableRate: tylertreat/BoomFilters at p = 1 % grows to a rate of
// 4.2 %, RedisBloom (RedisBloom/RedisBloom#159) to 1.7 %. Here it stays below p
// at every size.
func TestTrapScalableRate(t *testing.T) {
	n, probes := uint64(400_000), uint64(100_000)
	if testing.Short() || raceEnabled || invariants {
		n, probes = 40_000, 20_000
	}

	for _, p := range []float64{0.1, 0.01, 1e-4} {
		s := NewScalable(100, p, nil)

		for i := range n {
			if isNew := s.AddUint64(i); !isNew && i < 100 && p < 0.01 {
				t.Errorf("p = %g: %d is not new", p, i)
			}
			if i&(i+1) != 0 || i < 100 {
				continue
			}
			if got := s.Rate(); got > p {
				t.Errorf("p = %g: Rate after %d keys = %g, want at most p", p, i, got)
			}
			if got := s.Len(); math.Abs(float64(got)-float64(i)) > (0.03+2*p)*float64(i)+20 {
				t.Errorf("p = %g: Len = %d, want about %d", p, got, i)
			}
		}

		hits := 0.0

		for i := range probes {
			if s.HasUint64(n + i) {
				hits++
			}
		}

		if want := p * float64(probes); hits > want+5*math.Sqrt(want)+1 {
			t.Errorf("p = %g: %v hits of %d, want at most %.0f", p, hits, probes, want)
		}

		for i := range n {
			if !s.HasUint64(i) {
				t.Fatalf("p = %g: HasUint64(%d) = false after it was added, want true", p, i)
			}
			if s.AddUint64(i) {
				t.Fatalf("p = %g: AddUint64(%d) = true again, want false", p, i)
			}
		}
	}
}

// TestScalableForms checks that the forms of a key agree, and the panics.
func TestScalableForms(t *testing.T) {
	s := NewScalable(1, 1e-6, &Options{Seed: 3, Foldable: true})
	before := s.Bits()
	checkAnswers(t, []answer{
		{"Add(a)", s.Add([]byte("a")), true},
		{"AddString(a) again", s.AddString("a"), false},
		{"Has(a)", s.Has([]byte("a")), true},
		{"HasString(a)", s.HasString("a"), true},
		{"HasHash(1)", s.HasHash(1), false},
		{"HasString(b)", s.HasString("b"), false},
		{"AddString(b)", s.AddString("b"), true},
		{"HasString(b) then", s.HasString("b"), true},
	})
	if got := s.Bits(); got <= before {
		t.Errorf("Bits = %d with 2 keys and room for 1, want more than %d", got, before)
	}
	for want, f := range map[string]func(){
		"bloom: zero Scalable: use NewScalable":               func() { new(Scalable).AddUint64(1) },
		"bloom: n must be positive, got 0":                    func() { NewScalable(0, 0.1, nil) },
		"bloom: p must be between 1e-07 and 1, got 1e-10":     func() { NewScalable(1, 1e-10, nil) },
		"bloom: p must be between 1e-07 and 1, got 1":         func() { NewScalable(1, 1, nil) },
		"bloom: Options.Lines must be between 0 and 2, got 9": func() { NewScalable(1, 0.1, &Options{Lines: 9}) },
	} {
		mustPanic(t, want, f)
	}
}

// TestScalableFoldable checks that Foldable has no effect, also on the filters
// that are added later.
func TestScalableFoldable(t *testing.T) {
	for _, n := range []int{100, 700, 3000} {
		plain, foldable := NewScalable(n, 0.01, nil), NewScalable(n, 0.01, &Options{Foldable: true})
		for i := range uint64(2 * n) {
			plain.AddUint64(i)
			foldable.AddUint64(i)
		}
		if got, want := foldable.Bits(), plain.Bits(); got != want {
			t.Errorf("Bits = %d with Foldable and %d keys, want %d as without", got, 2*n, want)
		}
	}
}

// TestScalableRates checks that the rates of all filters that a Scalable can
// come to have add up to p at most, and that each can be made.
func TestScalableRates(t *testing.T) {
	sum := 0.0
	for i := range maxLayers {
		if got := layerRate(minScalableRate, i); got < minRate {
			t.Errorf("the rate of filter %d is %g, want at least %g, which New takes", i, got, minRate)
		}
		sum += layerRate(1, i)
	}
	if sum > 1 || sum < 0.99 {
		t.Errorf("the rates of %d filters add up to %v of p, want nearly 1", maxLayers, sum)
	}
	for i, want := range []float64{4, 9, 9, 9, 9, 9, 9, 24, 72, 144} {
		if got := 1 / layerRate(1, i); math.Abs(got-want) > 1e-9 {
			t.Errorf("filter %d is made for p/%v, want p/%v", i, got, want)
		}
	}
}
