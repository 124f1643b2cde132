// SPDX-License-Identifier: MIT

package bloom

import (
	"math"
	"math/bits"
)

// How large a filter has to be.
//
// The textbook formula assumes that all bits are equally likely to be set. Here
// keys meet in lines, and a line that by chance holds more of them errs more
// often. If j keys are in a line, each chose one of the 2 words of a lane and
// set r of its bits; a key that was never added finds its r bits set in all 4
// lanes with probability
//
//	g(j)^4   where   g(j) = E q(r·i),  i ~ Binomial(j, 1/2),
//
// and q(m) is the probability that r random bits, which may coincide, are among
// those that m such choices set. By inclusion and exclusion q is a sum of
// powers (1-s/64)^m, so g is a sum of powers ((1 + (1-s/64)^r)/2)^j. The number
// j is Poisson distributed, and the rate its mean over j.
//
// That counts on the keys being spread over many lines. With few, the two lines
// of a key may be one line, or both be fuller than usual; rate takes it into
// account.

// A curve is g for one number of bits a lane: the sum over s of
// coef[s]·base[s]^j.
type curve struct {
	coef, base [maxPerLane + 1]float64
}

// Curves by the number of bits a lane, for words of 64 bits and for words of 16
// counters.
var (
	bitCurves     = newCurves(wordBits)
	counterCurves = newCurves(wordCounters)
)

func newCurves(width float64) (c [maxPerLane + 1]curve) {
	distinct := [maxPerLane + 1]float64{1} // probabilities that r choices fell on d bits
	for r := 1; r <= maxPerLane; r++ {
		// The next choice falls on a bit that is chosen already, or on another.
		for d := r; d > 0; d-- {
			distinct[d] = distinct[d]*float64(d)/width + distinct[d-1]*(width+1-float64(d))/width
		}
		distinct[0] = 0

		// Inclusion and exclusion over the bits that are not set.
		for s := range r + 1 {
			for d := s; d <= r; d++ {
				c[r].coef[s] += distinct[d] * binomial(d, s)
			}
			if s%2 == 1 {
				c[r].coef[s] = -c[r].coef[s]
			}
			c[r].base[s] = (1 + math.Pow(1-float64(s)/width, float64(r))) / 2
		}
	}
	return c
}

func binomial(n, k int) float64 {
	b := 1.0
	for i := range k {
		b = b * float64(n-i) / float64(i+1)
	}
	return b
}

// lineRate returns the mean and the mean square, over lines that hold load keys
// on average, of the probability that a line holds the pattern of a key that
// was never added.
func (c *curve) lineRate(load float64) (mean, square float64) {
	power := [maxPerLane + 1]float64{1, 1, 1, 1, 1} // base^j
	weight := math.Exp(-load)                       // of j keys, by Poisson
	for j := range int(load+12*math.Sqrt(load)) + 30 {
		g := 0.0

		// The rate of a lane, by the terms of inclusion and exclusion.
		for s := range c.coef {
			g += c.coef[s] * power[s]
			power[s] *= c.base[s]
		}

		// A key is found if all four lanes have it.
		x := g * g * g * g
		mean += weight * x
		square += weight * x * x
		weight *= load / float64(j+1)
	}
	return mean, square
}

// rate returns the expected rate of n lines that hold the given number of keys.
func (s shape) rate(c *curve, n, keys float64) float64 {
	mean, square := c.lineRate(keys * float64(s.perKey) / n)
	if s.perKey == 1 {
		return mean
	}
	return square/n + (1-1/n)*mean*mean
}

// Loads are counted in units of 1/loadUnit key a line. A whole number of them
// does not depend on the last bits of exp, so that all machines make filters of
// the same size.
const (
	loadUnit = 256
	maxLoad  = 256 // keys a line: one takes at least 2 bits of it, whatever the rate
)

// fit returns the largest load, in units, at which a filter with perKey lines a
// key errs at most at rate p, or 0.
func (c *curve) fit(perKey int, p float64) int {
	return largestLoad(maxLoad, p, func(load float64) float64 {
		mean, _ := c.lineRate(load)
		return power(mean, perKey)
	})
}

// largestLoad returns the largest load, in units, up to most keys, at which
// rate is at most p, or 0.
func largestLoad(most int, p float64, rate func(load float64) float64) int {
	lo := 0
	hi := most*loadUnit + 1
	for hi-lo > 1 {
		mid := int(uint(lo+hi) / 2)
		if rate(float64(mid)/loadUnit) <= p {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo
}

// plan returns the shape that takes the fewest lines for n keys at rate p, of
// those with at most maxPerLane bits a lane, and their number.
func plan(curves []curve, n int, p float64, o Options) (s shape, lines uint64) {
	s.seed = o.Seed
	s.perKey = o.Lines
	if s.perKey == 0 {
		s.perKey = 1
		if p < twoLinesBelow {
			s.perKey = 2
		}
	}

	// More bits a lane are better up to a point: take the number with which a
	// line holds the most keys.
	load := 0
	for r := 1; r < len(curves); r++ {
		if l := curves[r].fit(s.perKey, p); l > load {
			s.perLane = r
			load = l
		}
	}
	return s, s.count(&curves[s.perLane], n, p, load, o.Foldable)
}

// twoLinesBelow is the rate below which one line a key costs a tenth more
// memory than two.
const twoLinesBelow = 1e-3

// count returns how many lines n keys need at rate p.
func (s shape) count(c *curve, n int, p float64, load int, foldable bool) uint64 {
	lines := (uint64(n)*uint64(s.perKey)*loadUnit + uint64(load) - 1) / uint64(load) // below 2^58
	lines = max(lines, 1)

	// The second line of a key may be its first.
	for s.perKey == 2 && lines < fewLines && s.rate(c, float64(lines), float64(n)) > p {
		lines++
	}

	if unit := uint64(1) << max(bits.Len64(lines-1)-4, 0); foldable {
		lines = (lines + unit - 1) / unit * unit
	}
	return lines
}

// fewLines is the number of lines from which it hardly matters that two lines
// may be the same.
const fewLines = 4096
