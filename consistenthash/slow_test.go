// SPDX-License-Identifier: MIT

package consistenthash

import (
	"math"
	"slices"
	"sort"
	"strings"
)

// A slowRing is the ring of a textbook: a sorted list of points that is
// searched, made anew after each change. Ours must agree with it about every
// key; it differs in how it finds the point.
type slowRing struct {
	opts  Options
	nodes map[string]Node
}

type slowPoint struct {
	hash uint64
	name string
}

func (r *slowRing) points() []slowPoint {
	s := Snapshot{opts: r.opts.resolve()} // for its hash alone
	var points []slowPoint
	for name, n := range r.nodes {
		weight := n.Weight
		switch weight {
		case NoShare:
			continue
		case 0:
			weight = 1
		}

		for i := range int(max(1, math.Round(weight*float64(s.opts.VirtualNodes)))) {
			points = append(points, slowPoint{mix(s.Hash(name) + uint64(i)*phi), name})
		}
	}
	sort.Slice(points, func(i, j int) bool {
		a, b := points[i], points[j]
		return a.hash < b.hash || a.hash == b.hash && a.name < b.name
	})
	return points
}

// list returns all nodes in the preference order of h: in ring order, and then
// sorted by rank within the zone.
func (r *slowRing) list(points []slowPoint, h uint64) []string {
	first := 0
	for first < len(points) && points[first].hash < h {
		first++
	}
	var order []string
	rank := map[string]int{}  // of a node in its zone
	count := map[string]int{} // of nodes by zone
	for i := range points {
		name := points[(first+i)%len(points)].name
		if _, ok := rank[name]; !ok {
			zone := r.nodes[name].Zone
			rank[name] = count[zone]
			count[zone]++
			order = append(order, name)
		}
	}
	slices.SortStableFunc(order, func(a, b string) int { return rank[a] - rank[b] })
	return order
}

// shard returns the first k nodes after a sequence of positions, without
// repetition.
func (r *slowRing) shard(points []slowPoint, h uint64, k int) []string {
	var shard []string
	for range min(k, r.live()) {
		first := sort.Search(len(points), func(i int) bool { return points[i].hash >= h })
		for i := range points {
			name := points[(first+i)%len(points)].name
			if !slices.Contains(shard, name) {
				shard = append(shard, name)
				break
			}
		}
		h = mix(h + phi)
	}
	return shard
}

// live returns the number of nodes that have a share.
func (r *slowRing) live() (n int) {
	for _, node := range r.nodes {
		if node.Weight != NoShare {
			n++
		}
	}
	return n
}

func (r *slowRing) String() string {
	var names []string
	for name := range r.nodes {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}
