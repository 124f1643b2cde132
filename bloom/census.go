// SPDX-License-Identifier: MIT

package bloom

import (
	"math"
	"math/bits"
)

// sample is the number of lines that Len, FillRatio and Rate read at first, 4
// MiB. Lines are independent, so a sample differs from the whole by about
// 1/√sample of the differences among lines.
const sample = 1 << 16

// sparse is the share of bits below which a sample says too little: a filter of
// many lines with few keys, of which the few lines that hold several decide.
// Then all lines are read. At an eighth the error of Rate is 1 %, and of Len
// less.
const sparse = 1.0 / 8

// A census sums up the lines of a filter, or a sample of them. The bits of a
// [Counting] are its counters: one is set if it is not zero.
type census struct {
	fill float64 // share of the bits that are set
	rate float64 // mean over lines of the probability that a key never added finds its pattern
}

// takeCensus takes the census of n lines of words of width bits, which load
// returns.
func takeCensus(n, perLane, width int, load func(i int) line) census {
	if n == 0 {
		return census{}
	}
	if n > sample {
		if c := censusOf(sample, n, perLane, width, load); c.fill >= sparse {
			return c
		}
	}
	return censusOf(n, n, perLane, width, load)
}

// censusOf takes the census of m of n lines, evenly spaced.
func censusOf(m, n, perLane, width int, load func(i int) line) (c census) {
	ones := 0
	for k := range m {
		rate := 1.0
		l := load(spaced(k, m, n))

		// A key asks one of the two words of each lane.
		for j := 0; j < words; j += 2 {
			a := bits.OnesCount64(l[j])
			b := bits.OnesCount64(l[j+1])
			ones += a + b
			rate *= (power(float64(a)/float64(width), perLane) + power(float64(b)/float64(width), perLane)) / 2
		}
		c.rate += rate
	}

	// The sums are of the sample: take the means.
	c.fill = float64(ones) / float64(m) / float64(words*width)
	c.rate /= float64(m)
	return c
}

// spaced returns the k-th of m numbers below n, evenly spaced; m is n, or it is
// sample.
func spaced(k, m, n int) int {
	if m == n {
		return k
	}
	return int(index(uint64(k)*(1<<64/sample), uint64(n)))
}

// power returns x^n for a positive n.
func power(x float64, n int) float64 {
	y := x
	for range n - 1 {
		y *= x
	}
	return y
}

func (f *Filter) census() census {
	return takeCensus(len(f.lines), f.perLane, wordBits, func(i int) line { return f.lines[i] })
}

// keys returns the number of keys that make n lines as full as fill. Each of
// the lines of a key falls into a given word with probability 1/2n and leaves a
// given bit of it unset with probability (1-1/64)^r, independently of all
// others.
func (s shape) keys(n int, fill float64) float64 {
	if n == 0 {
		return 0
	}
	bits := float64(n) * lineBits
	unset := max(1-fill, 0.5/bits) // a full filter holds many keys, and not infinitely many
	hit := (1 - power(1-1.0/wordBits, s.perLane)) / (2 * float64(n))
	return math.Log(unset) / math.Log1p(-hit) / float64(s.perKey)
}

// Len returns an estimate of the number of different keys that were added, from
// the share of bits that are set. From ten thousand keys on it is within 1 % of
// it, as long as there are not more than twice those that the filter was made
// for. It is meaningless after Intersect. It reads 4 MiB of the filter, or all
// of it if that holds few keys.
func (f *Filter) Len() int { return toInt(f.keys(len(f.lines), f.census().fill)) }

// toInt rounds x, which is not negative, to the nearest int.
func toInt(x float64) int {
	if x >= math.MaxInt {
		return math.MaxInt
	}
	return int(math.Round(x))
}

// FillRatio returns the share of bits that are set. When a filter of a rate of
// at most 0.1 holds the keys that it was made for, it is between 0.3 and 0.56.
// It reads as much as Len.
func (f *Filter) FillRatio() float64 { return f.census().fill }

// Rate returns the probability that a key that was never added is reported now,
// computed from the bits that are set and not from the size the filter was made
// for. It reads as much as Len: it is exact if that is the whole filter, as it
// is up to 4 MiB, and else within 5 %.
func (f *Filter) Rate() float64 { return power(f.census().rate, max(f.perKey, 1)) }

// Bits returns the size of the filter in bits, a multiple of 512.
func (f *Filter) Bits() uint64 { return uint64(len(f.lines)) * lineBits }
