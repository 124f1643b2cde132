// SPDX-License-Identifier: MIT

package bloom

import (
	"math"
	"math/bits"
)

// sample is how many lines Len, FillRatio and Rate read at most, 4 MiB. Lines are independent, so
// what a sample says differs from the whole by about 1/√sample of what lines differ among each other.
const sample = 1 << 16

// A census is what the lines of a filter, or a sample of them, hold.
type census struct {
	fill float64 // share of the bits that are set
	rate float64 // mean over lines of the probability that a key never added finds its pattern
}

// takeCensus takes the census of n lines, which load returns.
func takeCensus(n int, perLane int, load func(i int) line) (c census) {
	if n == 0 {
		return c
	}
	m := min(n, sample)
	ones := 0
	for k := range m {
		rate := 1.0
		l := load(spaced(k, m, n))
		for j := 0; j < words; j += 2 {
			a, b := bits.OnesCount64(l[j]), bits.OnesCount64(l[j+1])
			ones += a + b
			rate *= (power(float64(a)/wordBits, perLane) + power(float64(b)/wordBits, perLane)) / 2
		}
		c.rate += rate
	}
	c.fill = float64(ones) / float64(m) / lineBits
	c.rate /= float64(m)
	return c
}

// spaced returns the k-th of m numbers below n, evenly spaced; m is n, or it is sample.
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
	return takeCensus(len(f.lines), f.perLane, func(i int) line { return f.lines[i] })
}

// keys returns the number of keys that make n lines as full as fill. Each of the lines of a key
// falls into a given word with probability 1/2n and leaves a given bit of it unset
// with probability (1-1/64)^r, independently of all others.
func (s shape) keys(n int, fill float64) float64 {
	if n == 0 {
		return 0
	}
	bits := float64(n) * lineBits
	unset := max(1-fill, 0.5/bits) // a full filter holds many keys, and not infinitely many
	hit := (1 - power(1-1.0/wordBits, s.perLane)) / (2 * float64(n))
	return math.Log(unset) / math.Log1p(-hit) / float64(s.perKey)
}

// Len returns an estimate of the number of different keys that were added, from the
// share of bits that are set. It is within 1 % for ten thousand keys and more while the filter is not
// overfull, and meaningless after Intersect. It reads at most 4 MiB.
func (f *Filter) Len() int { return toInt(f.keys(len(f.lines), f.census().fill)) }

// toInt rounds x, which is not negative, to the nearest int.
func toInt(x float64) int {
	if x >= math.MaxInt {
		return math.MaxInt
	}
	return int(math.Round(x))
}

// FillRatio returns the share of bits that are set. About half are when a filter holds what it
// was made for. It reads at most 4 MiB.
func (f *Filter) FillRatio() float64 { return f.census().fill }

// Rate returns the probability that a key that was never added is reported now, computed from the
// bits that are set and not from what the filter was made for. It is exact for filters of up to 4
// MiB; of larger ones it reads 4 MiB, evenly spaced, and is hardly ever wrong by more than 5 %.
func (f *Filter) Rate() float64 { return power(f.census().rate, max(f.perKey, 1)) }

// Bits returns the size of the filter in bits, a multiple of 512.
func (f *Filter) Bits() uint64 { return uint64(len(f.lines)) * lineBits }
