// SPDX-License-Identifier: MIT

package consistenthash

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
)

// A Maglev assigns keys to nodes by a table in which each node has its share of
// the slots, as Google's load balancer does: a lookup is one load. Shares are
// more even the more slots a node has; the authors of the paper use 100. A
// change of membership moves a few keys more than it must, so it is for
// requests rather than data. It never changes and is safe for concurrent use by
// multiple goroutines. The zero value is empty.
type Maglev struct {
	snap  Snapshot // has the options, for the hash
	names []string
	table []int32 // index into names of each slot's node
}

const maxSlots = 1 << 24

// NewMaglev returns a Maglev of nodes, in whatever order, with a table of slots
// slots, which must be a prime number, at least the number of nodes and at most
// 2^24: 65537 is usual, and 100 a node enough. If opts is nil, the defaults are
// used; VirtualNodes and zones do not matter. A node has at least one slot. The
// errors wrap [ErrName] and [ErrWeight]: weights must be between 2^-16 and
// 2^16, or zero, which is 1, or [NoShare]; and [ErrTooLarge] if there are more
// nodes than slots. It panics if slots is not such a prime or opts is not
// valid.
//
// The complexity is O(slots · r) where r is the largest weight divided by the
// mean: 1 if all are equal, and n if one of n nodes outweighs all others.
func NewMaglev(slots int, opts *Options, nodes ...Node) (*Maglev, error) {
	if slots > maxSlots || !prime(slots) {
		panic(fmt.Sprintf("consistenthash: slots must be a prime of at most 2^24, got %d", slots))
	}
	s, err := members(opts, nodes)
	if err != nil {
		return nil, err
	}
	if len(s.nodes) > slots {
		return nil, fmt.Errorf("%w: %d nodes for %d slots", ErrTooLarge, len(s.nodes), slots)
	}

	// The members are in order, so the table is the same wherever they come
	// from.
	m := &Maglev{snap: Snapshot{opts: s.opts}}
	if len(s.nodes) == 0 {
		return m, nil
	}
	for _, n := range s.nodes {
		m.names = append(m.names, n.Name)
	}
	m.fill(uint64(slots), s)
	return m, nil
}

// A chooser is a node with its order of preference of the slots: at, at+skip,
// at+2·skip, and so on.
type chooser struct {
	at, skip uint64
	step     uint64 // its weight divided by the largest, in units of 2^-32
	turns    uint64 // the sum of its steps, which passes a whole number when it may choose
}

// fill lets the nodes choose slots in turn, each the first of its preference
// that is free. The node of the largest weight chooses in every round, and a
// node of 1/k of that weight in one round of k.
func (m *Maglev) fill(slots uint64, s *Snapshot) {
	heaviest := 0.0
	for _, n := range s.nodes {
		heaviest = max(heaviest, n.Weight)
	}

	// Each node has its own permutation of the slots. Its turns begin so that
	// it chooses in the first round.
	choosers := make([]chooser, len(s.nodes))
	for i, n := range s.nodes {
		h := s.Hash(n.Name)
		at, _ := bits.Mul64(mix(h), slots)
		skip, _ := bits.Mul64(mix(h+phi), slots-1)
		step := uint64(math.Round(n.Weight / heaviest * (1 << 32)))
		choosers[i] = chooser{at: at, skip: skip + 1, step: step, turns: 1<<32 - step}
	}

	// No slot is taken.
	m.table = make([]int32, slots)
	for i := range m.table {
		m.table[i] = -1
	}

	// A node skips the rounds in which its turns pass no whole number.
	for left := slots; ; {
		for i := range choosers {
			c := &choosers[i]
			before := c.turns >> 32
			if c.turns += c.step; c.turns>>32 == before {
				continue
			}
			for m.table[c.at] >= 0 {
				c.at = (c.at + c.skip) % slots
			}
			m.table[c.at] = int32(i)
			if left--; left == 0 {
				return
			}
		}
	}
}

// Get returns the node that key belongs to; ok is false if there is none.
// The complexity is O(1).
func (m *Maglev) Get(key string) (node string, ok bool) {
	if len(m.table) == 0 {
		return "", false
	}
	i, _ := bits.Mul64(m.snap.Hash(key), uint64(len(m.table)))
	return m.names[m.table[i]], true
}

// members returns a snapshot without points, with the nodes that have a share
// checked and sorted.
func members(opts *Options, nodes []Node) (*Snapshot, error) {
	if err := opts.Validate(); err != nil {
		panic(err)
	}
	for _, n := range nodes {
		if n.Weight != 0 && n.Weight != NoShare && !(n.Weight >= 1.0/(1<<16) && n.Weight <= 1<<16) {
			return nil, fmt.Errorf("%w: %v, of node %q, is not between 2^-16 and 2^16", ErrWeight, n.Weight, n.Name)
		}
	}

	// Tables have no points, so no number of them is too large: each node
	// counts as one, whatever its weight.
	s := &Snapshot{opts: opts.resolve(), nodes: slices.Clone(nodes)}
	s.opts.VirtualNodes = 0
	s.opts.MaxPoints = mostPoints
	err := s.normalize()
	s.nodes = slices.DeleteFunc(s.nodes, func(n Node) bool { return n.Weight == NoShare })
	return s, err
}

// prime reports whether n is a prime number.
func prime(n int) bool {
	for d := 2; d*d <= n; d++ {
		if n%d == 0 {
			return false
		}
	}
	return n > 1
}
