// SPDX-License-Identifier: MIT

package bloom

import "math"

// A slowFilter is the Bloom filter of the textbooks: m bits, of which a key
// sets k anywhere. Ours differs in that all bits of a key lie in one or two
// cache lines, so that a question costs one or two cache misses and not k, for
// 5 % to 10 % more bits at the same rate.
type slowFilter struct {
	bits []bool
	k    int
}

// newSlowFilter returns the smallest textbook filter for n keys at rate p.
func newSlowFilter(n int, p float64) *slowFilter {
	m := math.Ceil(float64(n) * math.Log(1/p) / (math.Ln2 * math.Ln2))
	return &slowFilter{bits: make([]bool, int(m)), k: int(math.Round(m / float64(n) * math.Ln2))}
}

// position returns the i-th bit of the key whose hash is h.
func (f *slowFilter) position(h uint64, i int) int {
	return int(HashUint64(h, uint64(i)*spread2+1) % uint64(len(f.bits)))
}

func (f *slowFilter) add(h uint64) {
	for i := range f.k {
		f.bits[f.position(h, i)] = true
	}
}

func (f *slowFilter) has(h uint64) bool {
	for i := range f.k {
		if !f.bits[f.position(h, i)] {
			return false
		}
	}
	return true
}

// slowPositions returns the numbers of the bits, counted from the beginning of
// the array, that the key whose hash is h sets in n lines of shape s: the
// implementation notes word by word, one bit of the hash at a time. The kernels
// must agree with it.
func slowPositions(s shape, h uint64, n int) (positions []int) {
	take := func(x uint64, from, count int) (v int) { // count bits of x from bit number from down
		for i := range count {
			v = v<<1 | int(x>>(from-i)&1)
		}
		return v
	}
	for range s.perKey {
		start := int(index(h, uint64(n))) * lineBits
		x, y := h*spread1, h*spread2
		for lane := range lanes {
			top := 63 - 13*lane
			word := start + (2*lane+take(x, top, 1))*wordBits
			all := []int{take(x, top-1, 6), take(x, top-7, 6), take(y, 63-12*lane, 6), take(y, 63-12*lane-6, 6)}
			for _, b := range all[:s.perLane] {
				positions = append(positions, word+b)
			}
		}
		h = mix64(h)
	}
	return positions
}
