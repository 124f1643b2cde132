// SPDX-License-Identifier: MIT

package lru

// A ghost remembers the hashes of the last evictions, as fingerprints of 16
// bits: about one question in 10,000 is answered yes wrongly.
type ghost struct {
	buckets [][4]uint32 // fingerprint<<16 | epoch; 0 is empty
	clock   uint64      // evictions
	n       uint64      // how many evictions are remembered
	shift   uint        // evictions in an epoch, as a power of two
}

// newGhost returns a ghost that remembers n evictions, at 5 bytes each.
func newGhost(n int) ghost {
	g := ghost{buckets: make([][4]uint32, (n*5+15)/16), n: uint64(n)}
	for g.n>>g.shift > 1<<14 {
		g.shift++
	}
	return g
}

func (g *ghost) spread(h uint32) (bucket *[4]uint32, mark uint32) {
	x := uint64(h) * 0xc2b2ae3d27d4eb4f
	return &g.buckets[(x>>32)*uint64(len(g.buckets))>>32], max(uint32(x)&0xffff, 1)
}

// age returns how many epochs ago the word e was written.
func (g *ghost) age(e uint32) uint32 { return (uint32(g.clock>>g.shift) - e) & 0xffff }

// add remembers the eviction of h, in place of the oldest in its bucket.
func (g *ghost) add(h uint32) {
	b, mark := g.spread(h)
	at := 0
	for i, e := range b {
		if e == 0 || e>>16 == mark {
			at = i
			break
		}
		if g.age(e) > g.age(b[at]) {
			at = i
		}
	}
	g.clock++
	b[at] = mark<<16 | uint32(g.clock>>g.shift)&0xffff
}

// recall reports whether h is remembered, and how many evictions ago it was
// added, to the epoch. It forgets h.
func (g *ghost) recall(h uint32) (age int, ok bool) {
	b, mark := g.spread(h)
	for i, e := range b {
		if e>>16 == mark {
			b[i] = 0
			epochs := g.age(e)
			return int(epochs) << g.shift, uint64(epochs) <= g.n>>g.shift
		}
	}
	return 0, false
}
