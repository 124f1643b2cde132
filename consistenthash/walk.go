// SPDX-License-Identifier: MIT

package consistenthash

import (
	"iter"
	"slices"
	"sync"
)

// AppendN appends to dst the first n nodes of key's preference list, or all if
// there are fewer, and returns the extended slice. The first is the owner, as
// Get returns it, and the others are where to keep copies: distinct nodes, of
// distinct zones while there are zones left. A shorter list is a prefix of a
// longer one. Removing a node that is not in the list does not change it. If n
// is not positive, nothing is appended.
//
// The list orders the nodes by their rank within their zone, then by where they
// come on the ring after the key: the first node of each zone, the second of
// each, and so on. If all nodes are in one zone, or n is at most the number of
// zones, which have equal weights, the complexity is O(n) expected for a few of
// many, and O(n log n) for all. It does not allocate if dst has room.
func (s *Snapshot) AppendN(dst []string, key string, n int) []string {
	n = min(n, s.live)
	if n <= 0 {
		return dst
	}
	return s.appendFrom(dst, s.start(s.Hash(key)), n)
}

// appendFrom appends the names of the first n nodes from a point on. n is in
// [1, live].
func (s *Snapshot) appendFrom(dst []string, start, n int) []string {
	if n <= few && (s.zones == 1 || n <= s.zones) {
		return s.appendFew(dst, start, n)
	}
	w := s.walk(start)
	for range n {
		dst = append(dst, s.names[w.next()])
	}
	w.release()
	return dst
}

// few is the number of nodes that are told apart by looking at them all.
const few = 8

// appendFew appends the first n nodes that differ in their zone, or, if there
// is one zone, in their index.
func (s *Snapshot) appendFew(dst []string, i, n int) []string {
	var buf [few]int32
	picked := buf[:0]
	for {
		// A node is new if its zone is, or with one zone if it is itself.
		owner := s.owners[i]
		class := owner
		if s.zones > 1 {
			class = s.zoneOf[owner]
		}
		if !slices.Contains(picked, class) {
			picked = append(picked, class)
			dst = append(dst, s.names[owner])
			if len(picked) == n {
				return dst
			}
		}
		i = s.after(i)
	}
}

// after returns the point that follows point i.
func (s *Snapshot) after(i int) int {
	if i++; i >= len(s.points)-1 {
		return 0
	}
	return i
}

// start returns a point from which a walk meets the nodes in the same order as
// from h. It is the first at or after h, or, if h is in a run of buckets that
// have one owner each, the first point after the run: the points skipped have
// the owner of that point.
func (s *Snapshot) start(h uint64) int {
	b := s.bucket(h)
	for e := range min(16, len(s.table)-b) {
		i := s.table[b+e]
		if i >= 0 {
			continue
		}

		// An entry with points leads to the first of them.
		i = ^i
		for e == 0 && s.points[i] < h {
			i++
		}
		return int(i) % (len(s.points) - 1)
	}

	// The end of the table, or a run of sixteen buckets: the caller's hashes
	// are not uniform.
	i, _ := slices.BinarySearch(s.points, h)
	return i % (len(s.points) - 1)
}

// All returns an iterator over the nodes that have a share in key's preference
// order, of which [Snapshot.AppendN] returns a prefix. To skip nodes that are
// down, range over it and break at the first that is up: nodes are found one by
// one.
func (s *Snapshot) All(key string) iter.Seq[Node] {
	return func(yield func(Node) bool) {
		if s.live == 0 {
			return
		}
		w := s.walk(s.start(s.Hash(key)))
		defer w.release()
		for range s.live {
			if !yield(s.nodes[w.next()]) {
				return
			}
		}
	}
}

// AppendShard appends to dst the k nodes that serve a tenant, or all if there
// are fewer, and returns the extended slice. Each tenant has a stable subset of
// its own, and two tenants rarely have all nodes in common, so that one whose
// requests break servers breaks few other tenants. Removing one of the nodes
// replaces it and leaves the rest; removing another changes nothing. A smaller
// shard is a prefix of a larger one. If k is not positive, nothing is appended.
//
// The i-th node is the first after the i-th of a sequence of positions that is
// not in the shard yet. Zones are not considered. It does not allocate if dst
// has room.
func (s *Snapshot) AppendShard(dst []string, tenant string, k int) []string {
	k = min(k, s.live)
	if k <= 0 {
		return dst
	}

	// Each step is a jump to another place of the ring.
	w := scratch.Get().(*walk)
	w.reset(s, 0)
	for h := s.Hash(tenant); k > 0; k-- {
		w.i = s.start(h)
		for !w.mark(s.owners[w.i]) {
			w.i = s.after(w.i)
		}
		dst = append(dst, s.names[w.order[len(w.order)-1]])
		h = mix(h + phi)
	}
	w.release()
	return dst
}

// A walk finds the nodes of a preference list one by one.
type walk struct {
	s     *Snapshot
	i     int      // the next point
	order []int32  // the nodes that were met
	rank  []int32  // of each node of order within its zone
	seen  []uint64 // set of the nodes of order
	count []int32  // nodes of order in each zone

	round   int32 // rank of the nodes being returned
	pos     int   // the nodes of order before it were returned, or are not of this round
	emitted int32 // nodes returned in this round
}

// scratch holds walks that are not in use, with their memory.
var scratch = sync.Pool{New: func() any { return new(walk) }}

// walk returns a walk from a point on, which the caller releases.
func (s *Snapshot) walk(start int) *walk {
	w := scratch.Get().(*walk)
	w.reset(s, start)
	return w
}

// release gives w back, and clears the entries that it has set.
func (w *walk) release() {
	for _, n := range w.order {
		w.seen[n>>6] = 0
		w.count[w.s.zoneOf[n]] = 0
	}
	w.s = nil
	scratch.Put(w)
}

func (w *walk) reset(s *Snapshot, start int) {
	w.s = s
	w.i = start
	w.order = w.order[:0]
	w.rank = w.rank[:0]
	w.round = 0
	w.pos = 0
	w.emitted = 0
	if n := (len(s.nodes) + 63) / 64; len(w.seen) < n {
		w.seen = make([]uint64, n)
	}
	if len(w.count) < s.zones {
		w.count = make([]int32, s.zones)
	}
}

// mark appends a node to order and reports whether it was new.
func (w *walk) mark(n int32) bool {
	if w.seen[n>>6]>>(n&63)&1 == 1 {
		return false
	}
	w.seen[n>>6] |= 1 << (n & 63)
	z := w.s.zoneOf[n]
	w.order = append(w.order, n)
	w.rank = append(w.rank, w.count[z])
	w.count[z]++
	return true
}

// next returns the next node. It must not be called when all were returned.
func (w *walk) next() int32 {
	// Each zone with nodes left has given one: the next round begins. In a
	// single zone a node's rank is its place in order, so the node of the next
	// round is not among those before pos.
	if w.emitted == w.s.larger[w.round] {
		w.round++
		w.emitted = 0
		if w.s.zones > 1 {
			w.pos = 0
		}
	}

	for {
		// Walk on until a node of this round turns up.
		for w.pos == len(w.order) {
			w.mark(w.s.owners[w.i])
			w.i = w.s.after(w.i)
		}
		w.pos++
		if w.rank[w.pos-1] == w.round {
			w.emitted++
			return w.order[w.pos-1]
		}
	}
}
