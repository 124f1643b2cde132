// SPDX-License-Identifier: MIT

package bloom

import (
	"flag"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"
)

var large = flag.Bool("large", false, "measure the rates of filters of 10^8 keys")

// keyKinds make the hash of the i-th key. Different i are different keys.
var keyKinds = map[string]func(seed, i uint64) uint64{
	"random":     func(seed, i uint64) uint64 { return mix64(mix64(i*spread2) ^ seed*spread1) },
	"sequential": func(seed, i uint64) uint64 { return HashUint64(i, seed) },
	"prefixed":   func(seed, i uint64) uint64 { return HashString("user:"+strconv.FormatUint(i, 10), seed) },
	"similar": func(seed, i uint64) uint64 {
		var b [64]byte
		for j := range 60 {
			b[j] = 'x'
		}
		for j := range 4 {
			b[60+j] = byte(i >> (8 * j))
		}
		return Hash(b[:], seed)
	},
}

// measure returns how many of the given number of keys that were not added are
// reported, by as many filters for n keys at rate p as it takes to average over
// the spread between small filters.
func measure(t *testing.T, n int, p float64, probes int, key func(seed, i uint64) uint64) (hits int) {
	t.Helper()
	filters := min(max(20000/n, 1), 200)
	f := New(n, p, nil)
	hs, found := make([]uint64, 0, batch), []bool(nil)
	for seed := range uint64(filters) {
		f.Clear()
		for i := range uint64(n) {
			f.AddHash(key(seed, i))
		}
		for i := 0; i < probes/filters; i += batch {
			hs, found = hs[:0], found[:0]
			for j := range min(batch, probes/filters-i) {
				hs = append(hs, key(seed, uint64(n+i+j)))
			}
			found = f.HasHashes(found, hs)
			for _, ok := range found {
				if ok {
					hits++
				}
			}
		}
	}
	return hits
}

// TestRate checks that the measured rate is at most 1.1 times the target. The
// number of hits is binomial, and its mean would be exceeded by 5 standard
// deviations once in three million runs; the keys are fixed.
func TestRate(t *testing.T) {
	sizes, probes := []int{1, 10, 100, 1000, 100_000, 1_000_000}, 1_000_000
	if testing.Short() || raceEnabled || invariants {
		sizes, probes = []int{1, 10, 100, 1000, 20_000}, 40_000
	}
	if *large {
		sizes, probes = []int{100_000_000}, 20_000_000
	}
	for name, key := range keyKinds {
		for _, n := range sizes {
			for _, p := range []float64{1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6} {
				probes := probes
				if !*large && (name != "random" || n > 1000) {
					probes /= 8
				}
				hits := measure(t, n, p, probes, key)
				if want := 1.1 * p * float64(probes); float64(hits) > want+5*math.Sqrt(want)+1 {
					t.Errorf("%s, n = %d, p = %g: %d hits of %d questions, want at most %.1f", name, n, p, hits, probes, want)
				}
			}
		}
	}
}

// TestRateFull checks filters that hold the keys they were made for: that the
// rate computed from the bits is that measured, within 10 % and 5 standard
// deviations; that it is at most 1.1 times the target, and at least 0.9 times
// where the fullest lines, which differ from filter to filter, do not decide
// it.
func TestRateFull(t *testing.T) {
	n, probes := 300_000, 4_000_000
	if testing.Short() || raceEnabled || invariants {
		n, probes = 30_000, 200_000
	}

	for _, lines := range []int{0, 1, 2} {
		for _, p := range []float64{1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6} {
			f := New(n, p, &Options{Lines: lines})

			for i := range uint64(n) {
				f.AddUint64(i)
			}

			claimed := f.Rate()
			if claimed > 1.1*p || claimed < 0.9*p && p >= 1e-4 {
				t.Errorf("%v: Rate = %g, want %g and 10 %%", f.shape, claimed, p)
			}

			hits := 0

			for i := range probes {
				if f.HasUint64(uint64(n + i)) {
					hits++
				}
			}

			want := claimed * float64(probes)
			if slack := 0.1*want + 5*math.Sqrt(want) + 1; math.Abs(float64(hits)-want) > slack {
				t.Errorf("p = %g, %v: %d hits of %d, want about %.0f, as Rate says", p, f.shape, hits, probes, want)
			}

			if got := f.Len(); math.Abs(float64(got-n)) > 0.01*float64(n) {
				t.Errorf("p = %g: Len = %d, want %d within 1 %%", p, got, n)
			}
		}
	}
}

// TestRateFew checks filters of few lines, in which the two lines of a key are
// often one and lines differ much from filter to filter: their mean rate, which
// is known exactly from the bits, is at most the target.
func TestRateFew(t *testing.T) {
	filters := 400
	if testing.Short() || raceEnabled || invariants {
		filters = 60
	}
	for n := 8; n <= 1000; n += 1 + n/3 {
		for _, p := range []float64{1e-2, 1e-4, 1e-6} {
			f, sum, squares := New(n, p, nil), 0.0, 0.0
			for seed := range uint64(filters) {
				f.Clear()
				for i := range uint64(n) {
					f.AddHash(keyKinds["random"](seed, i))
				}
				r := f.Rate()
				sum, squares = sum+r, squares+r*r
			}
			mean := sum / float64(filters)
			sigma := math.Sqrt((squares/float64(filters) - mean*mean) / float64(filters))
			if mean > 1.02*p+5*sigma {
				t.Errorf("n = %d, p = %g: %d lines err at %g", n, p, len(f.lines), mean)
			}
		}
	}
}

// TestLen checks the estimate from one key to many times the number the filter
// was made for.
func TestLen(t *testing.T) {
	f := New(1000, 1e-3, nil)
	if n, rate, fill := f.Len(), f.Rate(), f.FillRatio(); n != 0 || rate != 0 || fill != 0 {
		t.Errorf("Len, Rate, FillRatio of an empty filter = %d, %v, %v, want 0", n, rate, fill)
	}
	for i := range uint64(6000) {
		f.AddUint64(i)
		if n := float64(i + 1); i%97 == 0 && math.Abs(float64(f.Len())-n) > 0.02*n+5*math.Sqrt(n)/4+1 {
			t.Fatalf("Len = %d, want about %v", f.Len(), n)
		}
	}
	for i := range f.lines {
		f.lines[i] = line{1<<64 - 1, 1<<64 - 1, 1<<64 - 1, 1<<64 - 1, 1<<64 - 1, 1<<64 - 1, 1<<64 - 1, 1<<64 - 1}
	}
	if f.Len() < 6000 || f.Rate() != 1 || f.FillRatio() != 1 {
		t.Errorf("Len, Rate, FillRatio of ones = %d, %v, %v, want at least 6000, 1, 1", f.Len(), f.Rate(), f.FillRatio())
	}
	if toInt(1e300) != math.MaxInt {
		t.Errorf("toInt(1e300) = %d, want %d", toInt(1e300), math.MaxInt)
	}
}

// TestSample checks that a figure that is computed from a sample of a large
// filter is that of the whole.
func TestSample(t *testing.T) {
	n := 5_000_000
	if testing.Short() || raceEnabled || invariants {
		n = 2_500_000
	}
	f := New(n, 1e-3, nil)
	for i := range uint64(n) {
		f.AddUint64(i)
	}
	if len(f.lines) <= sample {
		t.Fatalf("%d lines are not more than the sample", len(f.lines))
	}
	if got := f.Len(); math.Abs(float64(got-n)) > 0.01*float64(n) {
		t.Errorf("Len = %d, want %d", got, n)
	}
	if got := f.Rate(); got < 0.95e-3 || got > 1.05e-3 {
		t.Errorf("Rate = %g, want 1e-3", got)
	}
}

// TestSampleSpread checks that a sample is taken from all of a filter: hashes
// of the caller's may set only one half.
func TestSampleSpread(t *testing.T) {
	f := &Filter{shape: New(1, 0.01, nil).shape, lines: make([]line, 4*sample)}
	for i := range f.lines[:2*sample] {
		f.lines[i] = line{255, 255, 255, 255, 255, 255, 255, 255}
	}
	if got, want := f.FillRatio(), 0.5*8/wordBits; math.Abs(got-want) > 0.01*want {
		t.Errorf("FillRatio = %g with half of the lines empty, want %g", got, want)
	}
}

// TestSampleSparse checks that a sample decides if at least an eighth of its
// bits are set, that all lines are read if one bit less is, and that each line
// is read once if there are no more than a sample has.
func TestSampleSparse(t *testing.T) {
	for _, tt := range []struct {
		lines int
		first uint64 // of the words; the others have eight bits, an eighth
		reads int
	}{
		{2 * sample, 255, sample},
		{2 * sample, 127, sample + 2*sample},
		{sample + 1, 255, sample},
		{sample, 255, sample},
		{sample - 1, 255, sample - 1},
		{1, 255, 1},
	} {
		reads := 0
		takeCensus(tt.lines, 2, wordBits, func(i int) line {
			reads++
			if i == 0 {
				return line{tt.first, 255, 255, 255, 255, 255, 255, 255}
			}
			return line{255, 255, 255, 255, 255, 255, 255, 255}
		})
		if reads != tt.reads {
			t.Errorf("%d of %d lines read if the first begins with %d, want %d", reads, tt.lines, tt.first, tt.reads)
		}
	}
}

// TestScalableRate checks the rate of a filter that is empty, and of one that
// has grown.
func TestScalableRate(t *testing.T) {
	s := NewScalable(100, 0.01, nil)
	if got := s.Rate(); got != 0 {
		t.Errorf("Rate = %g of an empty Scalable, want 0", got)
	}
	for i := range uint64(5000) {
		s.AddUint64(i)
	}
	if got := s.Rate(); got <= 0 || got > 0.01 {
		t.Errorf("Rate = %g after 5,000 keys, want at most 0.01", got)
	}
}

// TestFoldableSizes checks that sizes that can be folded are at most an eighth
// above those that cannot, and the same up to 16 lines.
func TestFoldableSizes(t *testing.T) {
	for n := 1; n < 8000; n += 3 {
		plain, foldable := len(New(n, 0.01, nil).lines), len(New(n, 0.01, &Options{Foldable: true}).lines)
		most := plain + plain/8
		if plain <= 16 {
			most = plain
		}
		if foldable < plain || foldable > most {
			t.Errorf("n = %d: %d lines, want %d to %d", n, foldable, plain, most)
		}
	}
}

// table is the table of the package comment: bits a key, those of the textbook,
// and the bits that a key sets, for two rates a line.
func table() (lines []string) {
	row := func(p float64) string {
		const n = 1 << 30 // so that rounding to whole lines does not show
		s, count := plan(bitCurves[:], n, p, Options{})
		bits := float64(count) * lineBits / n
		textbook := math.Log2(1/p) / math.Ln2
		return fmt.Sprintf("%-5.0e  %6.2f      %6.2f      %2d", p, bits, textbook, s.perKey*s.perLane*lanes)
	}
	for _, p := range [][2]float64{{1e-1, 1e-6}, {1e-2, 1e-8}, {1e-3, 1e-10}, {1e-4, 1e-12}} {
		lines = append(lines, "//\t"+row(p[0])+"         "+row(p[1]))
	}
	return lines
}

// TestTable checks the table of the package comment. On all machines filters
// have the same size.
func TestTable(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Join(table(), "\n"); !strings.Contains(string(doc), want) {
		t.Errorf("doc.go does not contain\n%s", want)
	}
}

// TestPlan checks that each rate is met, just, by the expectation that filters
// are sized by.
func TestPlan(t *testing.T) {
	for _, lines := range []int{0, 1, 2} {
		for p := minRate; p < 0.2; p *= 1.7 {
			const n = 1 << 30 // so that rounding to whole lines does not show
			s, count := plan(bitCurves[:], n, p, Options{Lines: lines})
			if lines != 0 && s.perKey != lines {
				t.Errorf("%d lines a key, want %d", s.perKey, lines)
			}

			if got := s.rate(&bitCurves[s.perLane], float64(count), n); got > p*(1+1e-9) || got < 0.8*p {
				t.Errorf("%v: expected rate %g, want %g or up to 20 %% less", s, got, p)
			}
		}
	}

	// Few keys in two lines: the rate is met by the fewest lines that meet it.
	for n := 1; n < 20_000; n += 1 + n/4 {
		for _, p := range []float64{1e-4, 1e-6, 1e-10} {
			s, count := plan(bitCurves[:], n, p, Options{})
			c := &bitCurves[s.perLane]
			if got := s.rate(c, float64(count), float64(n)); got > p*(1+1e-3) || count < fewLines && got > p {
				t.Errorf("n = %d, %d lines: expected rate %g, want at most %g", n, count, got, p)
			}

			load := c.fit(s.perKey, p)
			fewest := max((uint64(n)*uint64(s.perKey)*loadUnit+uint64(load)-1)/uint64(load), 1)
			if got := s.rate(c, float64(count-1), float64(n)); count > fewest && got <= p {
				t.Errorf("n = %d: %d lines, and one less has rate %g, want more than %g", n, count, got, p)
			}
		}
	}

	for _, n := range []int{0, 1, 7, 1000, 12345} {
		for _, p := range []float64{0.99, 0.1, 1e-5} {
			f, g := New(n, p, nil), New(n, p, &Options{Foldable: true})
			if m := len(g.lines); m < len(f.lines) || 8*m > 9*len(f.lines)+8 {
				t.Errorf("n = %d, p = %g: Foldable has %d lines, want %d to an eighth more", n, p, m, len(f.lines))
			}

			m := len(g.lines)

			for m > 16 && m%2 == 0 {
				m /= 2
			}

			if m > 16 {
				t.Errorf("n = %d, p = %g: %d lines cannot be folded to 16", n, p, len(g.lines))
			}
		}
	}
}
