// SPDX-License-Identifier: MIT

package consistenthash

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// A Snapshot is a ring that never changes. The zero value is empty, with the default options.
// It is safe for concurrent use by multiple goroutines, except that UnmarshalBinary and
// UnmarshalJSON, which fill one in, must be done before it is shared.
type Snapshot struct {
	opts   Options
	nodes  []Node   // sorted by name
	names  []string // of nodes: a lookup reads 16 bytes, not a Node
	points []uint64 // sorted, and the sentinel
	owners []int32  // index into nodes of each point, and of the sentinel
	table  []int32

	counts []int32 // points of each node
	zoneOf []int32 // zone of each node
	zones  int
	larger []int32 // larger[r] zones have more than r nodes

	ketama  bool   // the points are those of libmemcached
	reserve []Node // servers without a point, if they are
}

// Build returns a Snapshot of nodes. If opts is nil, the defaults are used. The order of the nodes
// does not matter. The errors wrap [ErrName], [ErrWeight] and [ErrTooLarge].
// It panics if opts is not valid.
func Build(opts *Options, nodes ...Node) (*Snapshot, error) {
	if err := opts.Validate(); err != nil {
		panic("consistenthash: Build: " + reason(err))
	}
	return (&Snapshot{opts: opts.resolve()}).build(nodes)
}

// With returns a Snapshot with nodes added, or changed if they are members of s.
// The errors are those of [Build].
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

// Without returns a Snapshot without the nodes named. Names of no member are ignored.
func (s *Snapshot) Without(names ...string) *Snapshot {
	gone := make(map[string]bool, len(names))
	for _, name := range names {
		gone[name] = true
	}
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
		panic("consistenthash: I1 violated: " + reason(err)) // what s is made of cannot be bad
	}
	return next
}

// given returns the nodes that s was made of.
func (s *Snapshot) given() []Node { return slices.Concat(s.nodes, s.reserve) }

// build returns a Snapshot of nodes with the options of s, and reuses the points of s.
func (s *Snapshot) build(nodes []Node) (*Snapshot, error) {
	next := &Snapshot{opts: s.opts.resolve(), nodes: slices.Clone(nodes), ketama: s.ketama}
	if err := next.normalize(); err != nil {
		return nil, err
	}
	if len(next.nodes) == 0 {
		return &Snapshot{opts: next.opts, ketama: s.ketama}, nil
	}
	next.names = make([]string, len(next.nodes))
	for i, n := range next.nodes {
		next.names[i] = n.Name
	}
	next.place(s)
	next.index()
	next.divide()
	if invariants {
		next.check()
	}
	return next, nil
}

// normalize sorts the nodes, checks them, and counts their points.
func (s *Snapshot) normalize() error {
	slices.SortFunc(s.nodes, func(a, b Node) int { return strings.Compare(a.Name, b.Name) })
	s.counts = make([]int32, len(s.nodes))
	for i := range s.nodes {
		n := &s.nodes[i]
		switch {
		case n.Name == "":
			return fmt.Errorf("%w: it is empty", ErrName)
		case len(n.Name) > maxName || len(n.Zone) > maxName:
			return fmt.Errorf("%w: a name or zone of more than %d bytes", ErrName, maxName)
		case i > 0 && s.nodes[i-1].Name == n.Name:
			return fmt.Errorf("%w: %q is given twice", ErrName, n.Name)
		case n.Weight != n.Weight || n.Weight < 0 || math.IsInf(n.Weight, 0):
			return fmt.Errorf("%w: %v, of node %q", ErrWeight, n.Weight, n.Name)
		case n.Weight == 0:
			n.Weight = 1
		}
	}
	if s.ketama {
		return s.countKetama()
	}
	return s.count()
}

// count counts the points of the nodes.
func (s *Snapshot) count() error {
	total := 0
	for i, n := range s.nodes {
		// One multiplication of IEEE 754, correctly rounded on every machine.
		count := math.Round(n.Weight * float64(s.opts.VirtualNodes))
		if count > maxPoints || total > maxPoints-int(max(count, 1)) {
			return fmt.Errorf("%w: more than %d", ErrTooLarge, maxPoints)
		}
		s.counts[i] = int32(max(count, 1))
		total += int(s.counts[i])
	}
	return nil
}

// A point is a place on the ring and the node that it belongs to.
type point struct {
	hash  uint64
	owner int32
}

func comparePoints(a, b point) int {
	return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.owner, b.owner))
}

// place fills in the points: those of old for the nodes that have as many there, and new ones,
// sorted, merged with them. Ranks keep their order, so points that are equal keep theirs.
func (s *Snapshot) place(old *Snapshot) {
	rank := make([]int32, len(old.nodes)) // of a node of old in s, or -1
	for i := range rank {
		rank[i] = -1
	}
	var fresh []point
	i := 0
	for j, n := range s.nodes {
		for i < len(old.nodes) && old.names[i] < n.Name {
			i++
		}
		if i < len(old.nodes) && old.names[i] == n.Name && old.counts[i] == s.counts[j] {
			rank[i] = int32(j)
			continue
		}
		base := s.Hash(n.Name)
		for k := range s.counts[j] {
			if s.ketama {
				fresh = append(fresh, point{ketamaPoint(n.Name, k), int32(j)})
				continue
			}
			fresh = append(fresh, point{mix(base + uint64(k)*phi), int32(j)})
		}
	}
	fresh = sorted(fresh)
	total := len(fresh)
	for i, r := range rank {
		if r >= 0 {
			total += int(old.counts[i])
		}
	}
	s.points = make([]uint64, 0, total+1)
	s.owners = make([]int32, 0, total+1)
	for i := range max(len(old.points)-1, 0) { // but for the sentinel
		p := point{old.points[i], rank[old.owners[i]]}
		if p.owner < 0 {
			continue
		}
		for len(fresh) > 0 && comparePoints(fresh[0], p) < 0 {
			s.push(fresh[0])
			fresh = fresh[1:]
		}
		s.push(p)
	}
	for _, p := range fresh {
		s.push(p)
	}
	s.push(point{math.MaxUint64, s.owners[0]})
}

// sorted returns the points in order. They are hashes, and so their high bits say nearly where they
// belong: each goes into one of as many buckets as there are points, in which there is little to sort.
// If a caller's hash is not spread evenly, there is more.
func sorted(points []point) []point {
	n := uint64(len(points))
	ends := make([]int32, n+1) // of each bucket, from the second entry on; at first, how many it has
	for _, p := range points {
		b, _ := bits.Mul64(p.hash, n)
		ends[b+1]++
	}
	for b := range n {
		ends[b+1] += ends[b]
	}
	out := make([]point, n)
	for _, p := range points {
		b, _ := bits.Mul64(p.hash, n)
		out[ends[b]] = p
		ends[b]++ // in the end, where the next bucket begins
	}
	start := int32(0)
	for _, end := range ends[:n] {
		if bucket := out[start:end]; len(bucket) > 1 {
			slices.SortFunc(bucket, comparePoints)
		}
		start = end
	}
	return out
}

func (s *Snapshot) push(p point) {
	s.points = append(s.points, p.hash)
	s.owners = append(s.owners, p.owner)
}

// index fills in the table. From the last bucket to the first, a bucket belongs to one node if
// all its points belong to the owner of the point after them.
func (s *Snapshot) index() {
	last := len(s.points) - 1
	s.table = make([]int32, 3*last)
	for b, i := len(s.table)-1, last; b >= 0; b-- {
		end, whole := i, true // points[end] is the first after the bucket
		for i > 0 && s.bucket(s.points[i-1]) == b {
			i--
			whole = whole && s.owners[i] == s.owners[end]
		}
		s.table[b] = ^int32(i)
		if whole {
			s.table[b] = s.owners[end]
		}
	}
}

// bucket returns the entry of the table for hash h.
func (s *Snapshot) bucket(h uint64) int {
	hi, _ := bits.Mul64(h, uint64(len(s.table)))
	return int(hi)
}

// divide numbers the zones.
func (s *Snapshot) divide() {
	names := make([]string, len(s.nodes))
	for i, n := range s.nodes {
		names[i] = n.Zone
	}
	slices.Sort(names)
	names = slices.Compact(names)
	s.zones, s.zoneOf = len(names), make([]int32, len(s.nodes))
	size := make([]int, len(names))
	for i, n := range s.nodes {
		z, _ := slices.BinarySearch(names, n.Zone)
		s.zoneOf[i] = int32(z)
		size[z]++
	}
	s.larger = make([]int32, slices.Max(size))
	for _, n := range size {
		for r := range n {
			s.larger[r]++
		}
	}
}

// phi is the golden ratio times 2^64, the step of SplitMix64.
const phi = 0x9E3779B97F4A7C15

// mix is the finalizer of SplitMix64, a bijection in which each bit of x changes each bit of the
// result with a probability near a half.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
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

// Owner returns the index in [Snapshot.Nodes] of the node that owns position h, and -1 if s is
// empty. With a slice of clients in the same order, it is a lookup of a client without a map.
// The complexity is O(1) expected.
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

// name returns the name of a node by its index, and false for -1.
func (s *Snapshot) name(i int) (string, bool) {
	if i < 0 {
		return "", false
	}
	return s.names[i], true
}

// Get returns the node that key belongs to; ok is false if s is empty.
// The complexity is O(1) expected.
func (s *Snapshot) Get(key string) (node string, ok bool) { return s.name(s.Owner(s.Hash(key))) }

// GetBytes is [Snapshot.Get] for a key in bytes. It does not allocate unless Options.Hash is set.
func (s *Snapshot) GetBytes(key []byte) (node string, ok bool) {
	if s.opts.Hash != nil {
		return s.Get(string(key))
	}
	return s.name(s.Owner(s.seed(xxhash.Sum64(key))))
}

// Len returns the number of nodes.
func (s *Snapshot) Len() int { return len(s.nodes) }

// Nodes returns the nodes, sorted by name, with their weights. The slice is the caller's.
func (s *Snapshot) Nodes() []Node { return slices.Clone(s.nodes) }

// Has reports whether a node of that name is a member.
func (s *Snapshot) Has(name string) bool {
	_, ok := slices.BinarySearch(s.names, name)
	return ok
}
