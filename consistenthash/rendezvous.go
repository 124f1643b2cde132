// SPDX-License-Identifier: MIT

package consistenthash

import (
	"math"
	"math/bits"
	"slices"
)

// A Rendezvous assigns each key to the node that scores highest for it (highest
// random weight). Shares are exactly as the weights and moves as few as can be,
// at the cost of looking at each node: it is for some tens of nodes. It never
// changes and is safe for concurrent use by multiple goroutines. The zero value
// is empty.
type Rendezvous struct {
	snap  Snapshot // has the options, for the hash
	names []string
	bases []uint64
	costs []uint64 // 2^40 / weight
	equal bool     // all costs are
}

// NewRendezvous returns a Rendezvous of nodes, in whatever order. If opts is
// nil, the defaults are used; VirtualNodes and zones do not matter. The errors
// wrap [ErrName] and [ErrWeight]: weights must be between 2^-16 and 2^16, or
// zero, which is 1, or [NoShare]. It panics if opts is not valid.
func NewRendezvous(opts *Options, nodes ...Node) (*Rendezvous, error) {
	s, err := members(opts, nodes)
	if err != nil {
		return nil, err
	}
	r := &Rendezvous{snap: Snapshot{opts: s.opts}}
	for _, n := range s.nodes {
		r.names = append(r.names, n.Name)
		r.bases = append(r.bases, s.Hash(n.Name))
		r.costs = append(r.costs, uint64(math.Round((1<<40)/n.Weight)))
	}
	r.equal = len(slices.Compact(slices.Clone(r.costs))) <= 1
	return r, nil
}

// Get returns the node that key belongs to; ok is false if there is none.
// The complexity is O(n) where n is the number of nodes.
func (r *Rendezvous) Get(key string) (node string, ok bool) {
	if len(r.names) == 0 {
		return "", false
	}
	h := r.snap.Hash(key)
	if r.equal {
		return r.names[r.largest(h)], true
	}

	// Weights differ, so the scores need their logarithms.
	k := factor(h)
	best := r.rival(h, k, 0)
	for i := 1; i < len(r.names); i++ {
		if s := r.rival(h, k, i); s.beats(best) {
			best = s
		}
	}
	return r.names[best.node], true
}

// factor makes the odd number by which a key mixes with each node.
func factor(h uint64) uint64 { return h*phi | 1 }

// score mixes a key, by its hash and factor, with the base of a node: both
// halves of one wide product. It is uniform if one of the two hashes is.
func score(h, k, base uint64) uint64 {
	hi, lo := bits.Mul64(h^base, k)
	return hi ^ lo
}

// largest returns the node that scores highest if all weights are equal: the
// one with the largest score, since the logarithm never falls as the score
// grows, and of equal scores the first.
func (r *Rendezvous) largest(h uint64) int {
	b := r.bases
	k := factor(h)

	// Two maxima at once, of the even and of the odd places: their chains of
	// operations do not wait for each other.
	var most0, most1 uint64
	var node0, node1 int // the places of the maxima; node1 is the place less 1
	i := 0
	for ; i+2 <= len(b); i += 2 {
		u0 := score(h, k, b[i])
		u1 := score(h, k, b[i+1])
		if u0 > most0 {
			node0 = i
		}
		most0 = max(most0, u0)
		if u1 > most1 {
			node1 = i
		}
		most1 = max(most1, u1)
	}
	if i < len(b) {
		if u := score(h, k, b[i]); u > most0 {
			most0 = u
			node0 = i
		}
	}

	// Of equal scores the first node wins.
	if most1 > most0 || most1 == most0 && node1+1 < node0 {
		return min(node1+1, len(b)-1)
	}
	return node0
}

// AppendN appends to dst the n nodes that score highest for key, or all if
// there are fewer, and returns the extended slice. A shorter list is a prefix
// of a longer one. The complexity is O(kn) where k is the number of nodes. It
// does not allocate if dst has room.
func (r *Rendezvous) AppendN(dst []string, key string, n int) []string {
	h := r.snap.Hash(key)
	k := factor(h)
	var last rival

	for done := range min(n, len(r.names)) {
		// Find the best of those that the last one beats: a pass over all nodes
		// for each of the list, since lists are short.
		var best rival
		found := false
		for i := range r.names {
			s := r.rival(h, k, i)
			if (done == 0 || last.beats(s)) && (!found || s.beats(best)) {
				best = s
				found = true
			}
		}
		dst = append(dst, r.names[best.node])
		last = best
	}
	return dst
}

// A rival is the cost of a node for a key: -log2(u)/weight, where u in (0, 1]
// is their score. Costs are exponentially distributed, so the lowest is the
// node's with a probability as its weight.
type rival struct {
	hi, lo uint64 // the cost in units of 2^-72
	u      uint64
	node   int
}

func (r *Rendezvous) rival(h, k uint64, i int) rival {
	u := score(h, k, r.bases[i])
	hi, lo := bits.Mul64(uint64(64)<<32-log2(u), r.costs[i])
	return rival{hi, lo, u, i}
}

// beats reports whether a comes before b: by cost, then by score, then by name.
func (a rival) beats(b rival) bool {
	switch {
	case a.hi != b.hi:
		return a.hi < b.hi
	case a.lo != b.lo:
		return a.lo < b.lo
	case a.u != b.u:
		return a.u > b.u
	}
	return a.node < b.node
}

// log2 returns the logarithm of u in units of 2^-32, in integers so that it is
// the same on every machine: the position of the highest bit, and a table of
// 257 values between which it draws lines. It is too small by at most 3e-6, and
// it never falls as u grows. That of 0 is taken as 0.
func log2(u uint64) uint64 {
	if u == 0 {
		return 0
	}
	n := bits.Len64(u) - 1
	u <<= 63 - n // the highest bit is bit 63
	i := u >> 55 & 0xff
	rest := u << 9 >> 32
	return uint64(n)<<32 + logs[i] + (logs[i+1]-logs[i])*rest>>32
}

// logs[i] is log2(1+i/256) in units of 2^-32.
var logs = func() (t [257]uint64) {
	for i := range t[:256] {
		x := uint64(256+i) << 55 // in [1, 2), in units of 2^-63
		for range 32 {
			hi, lo := bits.Mul64(x, x) // in [1, 4), in units of 2^-126
			t[i] <<= 1
			if hi>>63 == 1 {
				t[i]++
				x = hi
			} else {
				x = hi<<1 | lo>>63
			}
		}
	}
	t[256] = 1 << 32
	return t
}()
