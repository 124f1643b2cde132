// SPDX-License-Identifier: MIT

package consistenthash

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strings"
)

// build returns a Snapshot of nodes with the options of s, and reuses the
// points of s.
func (s *Snapshot) build(nodes []Node) (*Snapshot, error) {
	next := &Snapshot{opts: s.opts.resolve(), nodes: slices.Clone(nodes), ketama: s.ketama}
	if err := next.normalize(); err != nil {
		return nil, err
	}
	next.complete(s)
	return next, nil
}

// normalize sorts the nodes, checks them, and counts their points.
func (s *Snapshot) normalize() error {
	slices.SortFunc(s.nodes, func(a, b Node) int { return strings.Compare(a.Name, b.Name) })
	s.counts = make([]int32, len(s.nodes))

	// The nodes are sorted, so those of one name are neighbors.
	for i := range s.nodes {
		n := &s.nodes[i]
		switch {
		case n.Name == "":
			return fmt.Errorf("%w: it is empty", ErrName)
		case len(n.Name) > maxName || len(n.Zone) > maxName:
			return fmt.Errorf("%w: a name or zone of more than %d bytes", ErrName, maxName)
		case i > 0 && s.nodes[i-1].Name == n.Name:
			return fmt.Errorf("%w: %q is given twice", ErrName, n.Name)
		case n.badWeight():
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
		if n.Weight == NoShare {
			continue
		}
		// One multiplication of IEEE 754, correctly rounded on every machine.
		count := max(math.Round(n.Weight*float64(s.opts.VirtualNodes)), 1)
		if count > float64(s.opts.MaxPoints-total) {
			return fmt.Errorf("%w: more than %d", ErrTooLarge, s.opts.MaxPoints)
		}
		s.counts[i] = int32(count)
		total += int(count)
	}
	return nil
}

// complete derives the other fields from nodes and counts. It takes the points
// that old has too from old.
func (s *Snapshot) complete(old *Snapshot) {
	s.names = make([]string, len(s.nodes))
	for i, n := range s.nodes {
		s.names[i] = n.Name
		if s.counts[i] > 0 {
			s.live++
		}
	}
	if s.live == 0 {
		return // no points, and nothing that leads to them
	}

	// The order matters: the table needs the points, the zones need the counts.
	s.place(old)
	s.index()
	s.divide()
	if invariants {
		s.check()
	}
}

// A point is a place on the ring and the node that it belongs to.
type point struct {
	hash  uint64
	owner int32
}

func comparePoints(a, b point) int {
	return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.owner, b.owner))
}

// after reports whether a comes after b.
func (a point) after(b point) bool {
	return a.hash > b.hash || a.hash == b.hash && a.owner > b.owner
}

// place fills in the points: those of old for the nodes that have as many
// there, merged with new ones, which are sorted. The nodes of old keep their
// order in s, and so do points of equal hash.
func (s *Snapshot) place(old *Snapshot) {
	rank := make([]int32, len(old.nodes)) // of a node of old in s, or -1
	for i := range rank {
		rank[i] = -1
	}

	// Nodes with the same points before and now keep them.
	made := 0
	kept := 0
	fresh := make([]bool, len(s.nodes)) // nodes whose points old does not have
	i := 0
	for j, n := range s.nodes {
		for i < len(old.nodes) && old.names[i] < n.Name {
			i++
		}
		if i < len(old.nodes) && old.names[i] == n.Name && old.counts[i] == s.counts[j] {
			rank[i] = int32(j)
			kept += int(s.counts[j])
			continue
		}
		fresh[j] = true
		made += int(s.counts[j])
	}

	// Merge the kept points, which are in order, with the new ones.
	m := merger{
		old: old, rank: rank, whole: kept == max(len(old.points)-1, 0),
		points: make([]uint64, 0, kept+made+1), owners: make([]int32, 0, kept+made+1),
	}
	for _, p := range s.newPoints(fresh, made) {
		if kept > 0 {
			m.takeUntil(p)
		}
		m.push(p)
	}
	m.takeAll()

	// The last point is a sentinel: hashes beyond the others belong to the
	// owner of the first.
	m.push(point{math.MaxUint64, m.owners[0]})
	s.points = m.points
	s.owners = m.owners
}

// newPoints returns the n points of the nodes that fresh marks, sorted.
func (s *Snapshot) newPoints(fresh []bool, n int) []point {
	points := make([]point, 0, n)
	for j, node := range s.nodes {
		if !fresh[j] {
			continue
		}

		// Points of libmemcached, by its own hash of the address.
		if s.ketama {
			address, _ := ketamaAddress(node.Name) // was checked
			for k := range s.counts[j] {
				points = append(points, point{ketamaPoint(address, k), int32(j)})
			}
			continue
		}

		// Points of our own: a hash of the name, walked by the golden ratio.
		base := s.Hash(node.Name)
		for k := range s.counts[j] {
			points = append(points, point{mix(base + uint64(k)*phi), int32(j)})
		}
	}
	return sorted(points)
}

// sorted returns the points in order. They are hashes, and so their high bits
// say nearly where they belong: each goes into one of as many buckets as there
// are points, in which there is little to sort. If a caller's hash is not
// spread evenly, there is more.
func sorted(points []point) []point {
	n := uint64(len(points))

	// Hashes are uniform, so buckets by their leading bits hold one point in
	// the mean. Entry b+1 counts the points of bucket b; with the entries added
	// up, entry b is where the bucket begins.
	ends := make([]int32, n+1)
	for _, p := range points {
		b, _ := bits.Mul64(p.hash, n)
		ends[b+1]++
	}
	for b := range n {
		ends[b+1] += ends[b]
	}

	// Put each point into its bucket. Entry b moves to where the bucket ends.
	out := make([]point, n)
	for _, p := range points {
		b, _ := bits.Mul64(p.hash, n)
		out[ends[b]] = p
		ends[b]++
	}

	// The caller's hashes may be anything: sort large buckets by themselves.
	start := int32(0)
	for _, end := range ends[:n] {
		if end-start > crowded {
			slices.SortFunc(out[start:end], comparePoints)
		}
		start = end
	}

	// Each point is at most a few places from where it belongs now.
	for i := 1; i < len(out); i++ {
		p := out[i]
		j := i
		for ; j > 0 && out[j-1].after(p); j-- {
			out[j] = out[j-1]
		}
		out[j] = p
	}
	return out
}

// crowded is the most points of a bucket that is not sorted by itself: few
// buckets have more, unless the hash is not even.
const crowded = 12

// A merger writes the points of old that stay, and new ones between them.
type merger struct {
	old   *Snapshot
	rank  []int32 // new index of each node of old, or -1
	whole bool    // all points of old stay
	at    int     // the next point of old

	points []uint64
	owners []int32
}

func (m *merger) push(p point) {
	m.points = append(m.points, p.hash)
	m.owners = append(m.owners, p.owner)
}

// takeUntil takes the points of old that come before p.
func (m *merger) takeUntil(p point) {
	last := max(len(m.old.points)-1, 0) // the index of the sentinel

	// Old points up to the hash of p come before it.
	end := m.at
	if m.at < last {
		end = max(m.at, min(m.old.search(p.hash), last))
	}

	// Of points of equal hash, those of lesser nodes come first. Points of
	// nodes that left, of rank -1, are passed here and dropped by take.
	for end < last && m.old.points[end] == p.hash {
		if r := m.rank[m.old.owners[end]]; r > p.owner {
			break
		}
		end++
	}
	m.take(end)
}

// takeAll takes the rest of the points of old.
func (m *merger) takeAll() { m.take(max(len(m.old.points)-1, 0)) }

// take takes the points of old before index end.
func (m *merger) take(end int) {
	if m.whole {
		m.points = append(m.points, m.old.points[m.at:end]...)
		for _, o := range m.old.owners[m.at:end] {
			m.owners = append(m.owners, m.rank[o])
		}
		m.at = end
		return
	}
	for ; m.at < end; m.at++ {
		if r := m.rank[m.old.owners[m.at]]; r >= 0 {
			m.push(point{m.old.points[m.at], r})
		}
	}
}

// search returns the index of the first point at or after h, which may be the
// sentinel.
func (s *Snapshot) search(h uint64) int {
	if e := s.table[s.bucket(h)]; e < 0 {
		i := int(^e)
		for s.points[i] < h {
			i++
		}
		return i
	}
	i, _ := slices.BinarySearch(s.points, h)
	return i
}

// index fills in the table. A bucket belongs to one node if all its points
// belong to the owner of the point after them.
func (s *Snapshot) index() {
	last := len(s.points) - 1
	s.table = make([]int32, 3*last)
	next := 0 // the first entry that is not filled in
	for i := 0; i < last; {
		b := s.bucket(s.points[i])
		owner := s.owners[i]
		for ; next < b; next++ {
			s.table[next] = owner // no point is in these buckets
		}

		// A bucket with points leads to the first of them, unless all of it has
		// one owner.
		first := i
		whole := true
		for i < last && s.bucket(s.points[i]) == b {
			whole = whole && s.owners[i] == owner
			i++
		}
		s.table[b] = ^int32(first)
		if whole && s.owners[i] == owner {
			s.table[b] = owner
		}
		next = b + 1
	}

	// Beyond the last point the ring begins again.
	for ; next < len(s.table); next++ {
		s.table[next] = s.owners[last]
	}
}

// divide numbers the zones of the nodes that have points, and counts how many
// zones have more than r such nodes.
func (s *Snapshot) divide() {
	var names []string
	for i, n := range s.nodes {
		if s.counts[i] > 0 {
			names = append(names, n.Zone)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)

	// Number the zones by name, so that the numbers are the same everywhere.
	s.zones = len(names)
	s.zoneOf = make([]int32, len(s.nodes))
	size := make([]int, len(names))
	for i, n := range s.nodes {
		if s.counts[i] > 0 {
			z, _ := slices.BinarySearch(names, n.Zone)
			s.zoneOf[i] = int32(z)
			size[z]++
		}
	}

	// In round r the zones with more than r nodes have one to give.
	s.larger = make([]int32, slices.Max(size))
	for _, n := range size {
		for r := range n {
			s.larger[r]++
		}
	}
}
