// SPDX-License-Identifier: MIT

package consistenthash

import (
	"math/bits"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// A Snapshot is a ring that never changes. The zero value is empty, with the
// default options. It is safe for concurrent use by multiple goroutines, except
// that UnmarshalBinary and UnmarshalJSON, which fill one in, must be done
// before it is shared.
type Snapshot struct {
	opts   Options
	nodes  []Node   // sorted by name
	names  []string // of nodes: a lookup reads 16 bytes, not a Node
	points []uint64 // sorted, and the sentinel; none if no node has a share
	owners []int32  // index into nodes of each point, and of the sentinel
	table  []int32

	counts []int32 // points of each node
	live   int     // nodes that have points
	zoneOf []int32 // number of the zone of each node that has points
	zones  int     // of these nodes
	larger []int32 // larger[r] zones have more than r such nodes

	ketama  bool   // the points are those of libmemcached
	reserve []Node // its servers without a point, which are no members
}

// NewSnapshot returns a Snapshot of nodes. If opts is nil, the defaults are
// used. The order of the nodes does not matter. The errors wrap [ErrName],
// [ErrWeight] and [ErrTooLarge]. It panics if opts is not valid.
func NewSnapshot(opts *Options, nodes ...Node) (*Snapshot, error) {
	if err := opts.Validate(); err != nil {
		panic(err)
	}
	return (&Snapshot{opts: opts.resolve()}).build(nodes)
}

// Get returns the node that key belongs to; ok is false if no node has a share.
// The complexity is O(1) expected.
func (s *Snapshot) Get(key string) (node string, ok bool) { return s.name(s.Owner(s.Hash(key))) }

// GetBytes is [Snapshot.Get] for a key in bytes. It does not allocate unless
// Options.Hash is set.
func (s *Snapshot) GetBytes(key []byte) (node string, ok bool) {
	if s.opts.Hash != nil {
		return s.Get(string(key))
	}
	return s.name(s.Owner(s.seed(xxhash.Sum64(key))))
}

// Hash returns the position of key on the ring.
func (s *Snapshot) Hash(key string) uint64 {
	if s.opts.Hash != nil {
		return s.seed(s.opts.Hash(key))
	}
	return s.seed(xxhash.Sum64String(key))
}

func (s *Snapshot) seed(h uint64) uint64 {
	if s.opts.Seed != 0 {
		return mix(h ^ s.opts.Seed)
	}
	return h
}

// phi is the golden ratio times 2^64, the step of SplitMix64.
const phi = 0x9E3779B97F4A7C15

// mix is the finalizer of SplitMix64, a bijection in which each bit of x
// changes each bit of the result with a probability near a half.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

// Owner returns the index in [Snapshot.Nodes] of the node that owns position h,
// and -1 if no node has a share. It finds a client in a slice of clients in the
// same order, without a map. The complexity is O(1) expected.
func (s *Snapshot) Owner(h uint64) int {
	if len(s.table) == 0 {
		return -1
	}
	e := s.table[s.bucket(h)]
	if e >= 0 {
		return int(e)
	}
	i := ^e
	for s.points[i] < h {
		i++
	}
	return int(s.owners[i])
}

// bucket returns the entry of the table for hash h.
func (s *Snapshot) bucket(h uint64) int {
	hi, _ := bits.Mul64(h, uint64(len(s.table)))
	return int(hi)
}

// name returns the name of a node by its index, and false for -1.
func (s *Snapshot) name(i int) (string, bool) {
	if i < 0 {
		return "", false
	}
	return s.names[i], true
}

// Len returns the number of nodes.
func (s *Snapshot) Len() int { return len(s.nodes) }

// Nodes returns the nodes, sorted by name, with their weights. The slice is the
// caller's.
func (s *Snapshot) Nodes() []Node { return slices.Clone(s.nodes) }

// Has reports whether a node of that name is a member.
func (s *Snapshot) Has(name string) bool {
	_, ok := slices.BinarySearch(s.names, name)
	return ok
}

// With returns a Snapshot with nodes added, or changed if they are members. The
// errors wrap [ErrName], [ErrWeight] and [ErrTooLarge].
func (s *Snapshot) With(nodes ...Node) (*Snapshot, error) {
	given := make(map[string]bool, len(nodes))
	for _, n := range nodes {
		given[n.Name] = true
	}
	all := slices.Clone(nodes)
	for _, n := range s.given() {
		if !given[n.Name] {
			all = append(all, n)
		}
	}
	return s.build(all)
}

// Without returns a Snapshot without the nodes named, or s if none of them is a
// member.
func (s *Snapshot) Without(names ...string) *Snapshot {
	gone := make(map[string]bool, len(names))
	for _, name := range names {
		gone[name] = true
	}

	// Nodes without points are members, too.
	all := s.given()
	kept := make([]Node, 0, len(all))
	for _, n := range all {
		if !gone[n.Name] {
			kept = append(kept, n)
		}
	}
	if len(kept) == len(all) {
		return s
	}

	next, err := s.build(kept)
	if err != nil {
		panic("consistenthash: I1 violated: " + err.Error()) // the nodes of s are valid
	}
	return next
}

// given returns the nodes that s was made of: for libmemcached, also those in
// reserve.
func (s *Snapshot) given() []Node { return slices.Concat(s.nodes, s.reserve) }
