// SPDX-License-Identifier: MIT

package lru

// A sketch estimates how often hashes were seen, by counters of 4 bits. It is a
// count-min sketch whose four counters of a hash lie in one block of 64 bytes.
// All counters are halved now and then, so that old popularity fades (the reset
// of TinyLFU). Estimates are too high if hashes collide and too low after
// halving.
type sketch struct {
	words []uint64 // 16 counters each, 8 words a block
	adds  int      // since the last halving, which comes at resetEvery*n
	n     int      // entries it is made for
}

// resetEvery is how many times the number of entries is counted between
// halvings. Of 4, 10 and 16 the last had the best hit ratio.
const resetEvery = 16

// newSketch returns a sketch for n entries, of 8 bytes each.
func newSketch(n int) sketch {
	return sketch{words: make([]uint64, 8*((n+7)/8)), n: n}
}

// spread returns the block of h and the bits that choose counters in it.
func (k *sketch) spread(h uint32) (block []uint64, bits uint32) {
	x := uint64(h) * 0x9e3779b97f4a7c15
	b := (x >> 32) * uint64(len(k.words)/8) >> 32
	return k.words[8*b:][:8:8], uint32(x)
}

// counter returns the word and the shift of counter i of 4, by byte i of the
// bits.
func counter(bits uint32, i int) (word int, shift uint32) {
	c := bits >> (8 * i)
	return 2*i + int(c&1), c >> 1 & 15 * 4
}

// add counts h once.
func (k *sketch) add(h uint32) {
	block, bits := k.spread(h)
	added := false
	for i := range 4 {
		w, shift := counter(bits, i)
		if block[w]>>shift&15 != 15 {
			block[w] += 1 << shift
			added = true
		}
	}
	if !added {
		return
	}

	// Counts halve from time to time, so that a key that was frequent once does
	// not stay so.
	k.adds++
	if k.adds >= resetEvery*k.n {
		k.halve()
	}
}

// count returns the estimate for h, at most 15.
func (k *sketch) count(h uint32) int {
	block, bits := k.spread(h)
	n := uint64(15)
	for i := range 4 {
		w, shift := counter(bits, i)
		n = min(n, block[w]>>shift&15)
	}
	return int(n)
}

func (k *sketch) halve() {
	for i, w := range k.words {
		k.words[i] = w >> 1 & 0x7777777777777777
	}
	k.adds /= 2
}
