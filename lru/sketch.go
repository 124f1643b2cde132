// SPDX-License-Identifier: MIT

package lru

// A sketch estimates how often hashes were seen, by counters of 4 bits: a count-min sketch whose
// four counters of a hash lie in one block of 64 bytes. All counters are halved now and then, so
// that old popularity fades (the reset of TinyLFU). Estimates are too high if hashes collide and
// too low after halving.
type sketch struct {
	words []uint64 // 16 counters each, 8 words a block
	adds  int      // since the last halving, which comes at period
	n     int      // entries it is made for
}

// resetEvery is how many times the number of entries is counted between halvings. Of 4, 10 and 16
// the last had the best hit ratio.
const resetEvery = 16

// grow makes the sketch fit n entries, at 8 bytes each. Counts go along with their blocks: the
// block of a hash is by its rank among all, so a new block is a part of an old one.
func (k *sketch) grow(n int) {
	blocks := (n + 7) / 8
	old := k.words
	k.words = make([]uint64, 8*blocks)
	k.n = n
	for b := 0; b < blocks && len(old) > 0; b++ {
		from := int(int64(b) * int64(len(old)/8) / int64(blocks))
		copy(k.words[8*b:8*b+8], old[8*from:])
	}
}

// spread returns the first word of the block of h and the bits that choose counters in it.
func (k *sketch) spread(h uint32) (block []uint64, bits uint32) {
	x := uint64(h) * 0x9e3779b97f4a7c15
	b := (x >> 32) * uint64(len(k.words)/8) >> 32
	return k.words[8*b:][:8:8], uint32(x)
}

// counter returns the word and the shift of counter i of 4, by byte i of the bits.
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
	if added {
		if k.adds++; k.adds >= resetEvery*k.n {
			k.halve()
		}
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

// A ghost remembers the hashes of the last evictions, as fingerprints of 16 bits: about one
// question in 10,000 is answered yes wrongly.
type ghost struct {
	buckets [][4]uint32 // fingerprint<<16 | epoch; 0 is empty
	clock   uint64      // evictions
	n       uint64      // how many evictions are remembered
	shift   uint        // evictions in an epoch, as a power of two
}

// grow makes the ghost remember n evictions, at 5 bytes each, and forget all until now.
func (g *ghost) grow(n int) {
	*g = ghost{buckets: make([][4]uint32, (n*5+15)/16), n: uint64(n)}
	for g.n>>g.shift > 1<<14 {
		g.shift++
	}
}

func (g *ghost) spread(h uint32) (bucket *[4]uint32, print uint32) {
	x := uint64(h) * 0xc2b2ae3d27d4eb4f
	return &g.buckets[(x>>32)*uint64(len(g.buckets))>>32], max(uint32(x)&0xffff, 1)
}

// age returns how many epochs ago the word e was written.
func (g *ghost) age(e uint32) uint32 { return (uint32(g.clock>>g.shift) - e) & 0xffff }

// add remembers the eviction of h, in place of the oldest in its way.
func (g *ghost) add(h uint32) {
	b, print := g.spread(h)
	at := 0
	for i, e := range b {
		if e == 0 || e>>16 == print {
			at = i
			break
		}
		if g.age(e) > g.age(b[at]) {
			at = i
		}
	}
	g.clock++
	b[at] = print<<16 | uint32(g.clock>>g.shift)&0xffff
}

// take reports whether h is remembered, and forgets it.
func (g *ghost) take(h uint32) bool {
	b, print := g.spread(h)
	for i, e := range b {
		if e>>16 == print {
			b[i] = 0
			return uint64(g.age(e)) <= g.n>>g.shift
		}
	}
	return false
}
