// SPDX-License-Identifier: MIT

package consistenthash

import (
	"fmt"
	"iter"
	"math"
	"slices"
)

// A Range is the positions of the ring from First to Last, both included: with
// half-open ranges, the whole ring would not be one. First is at most Last: an
// arc that wraps is two ranges.
type Range struct {
	First uint64 // the lowest position
	Last  uint64 // the highest position
}

// Contains reports whether position h, a [Snapshot.Hash], is in r.
func (r Range) Contains(h uint64) bool { return r.First <= h && h <= r.Last }

// Fraction returns the part of the ring that r covers, in (0, 1].
func (r Range) Fraction() float64 { return (float64(r.Last-r.First) + 1) / (1 << 64) }

// String returns r in hexadecimal, such as [00c0000000000000,
// 013fffffffffffff].
func (r Range) String() string { return fmt.Sprintf("[%016x, %016x]", r.First, r.Last) }

// A Move says that the keys in a range change their owner. From is empty if
// there was none, and To if there is none any more.
type Move struct {
	Range
	From string // the owner before
	To   string // the owner after
}

// A ReplicaMove says that the keys in a range change their list of the nodes
// that hold them.
type ReplicaMove struct {
	Range
	From []string // the list before, the owner first
	To   []string // the list after
}

// Added returns the nodes that the keys are to be copied to.
func (m ReplicaMove) Added() []string { return without(m.To, m.From) }

// Dropped returns the nodes that may delete the keys, once they are copied.
func (m ReplicaMove) Dropped() []string { return without(m.From, m.To) }

// without returns the names of a that are not in b.
func without(a, b []string) []string {
	var d []string
	for _, x := range a {
		if !slices.Contains(b, x) {
			d = append(d, x)
		}
	}
	return d
}

// Ranges returns an iterator over the ranges of the ring and their owners, in
// order: they are disjoint, as long as can be, and together the whole ring. An
// empty ring has none.
func (s *Snapshot) Ranges() iter.Seq2[Range, string] {
	return func(yield func(Range, string) bool) {
		for r := range s.moves(&Snapshot{}, func(int32, int32) bool { return s.live > 0 }) {
			if !yield(r.Range, r.From) {
				return
			}
		}
	}
}

// RangesOf returns an iterator over the ranges that the node named owns, in
// order. It is empty if there is no such node.
func (s *Snapshot) RangesOf(name string) iter.Seq[Range] {
	return func(yield func(Range) bool) {
		for r, owner := range s.Ranges() {
			if owner == name && !yield(r) {
				return
			}
		}
	}
}

// Plan returns an iterator over the ranges whose owner differs in to, in order:
// exactly the keys that move from one membership to the other. The moves are
// disjoint and as long as can be. The complexity is O(V) where V is the number
// of points of both. It panics if the two snapshots hash keys differently,
// unless one has no points.
func (s *Snapshot) Plan(to *Snapshot) iter.Seq[Move] {
	s.mustAgree(to)
	name := func(s *Snapshot, i int32) string {
		n, _ := s.name(int(i))
		return n
	}
	return s.moves(to, func(a, b int32) bool { return name(s, a) != name(to, b) })
}

// moves yields the ranges that differ, and joins neighbors with the same owners
// before and after.
func (s *Snapshot) moves(to *Snapshot, differ func(from, to int32) bool) iter.Seq[Move] {
	return func(yield func(Move) bool) {
		var m Move
		var last [2]int32 // owners of the previous segment, in s and in to
		open := false     // m waits to be yielded
		for r, at := range s.segments(to) {
			// Segments with the same owners, before and after, are one move.
			pair := [2]int32{s.ownerOf(at[0]), to.ownerOf(at[1])}
			switch {
			case open && pair == last:
				m.Last = r.Last
				continue
			case open && !yield(m):
				return
			}

			// A new move begins if the owner changes here.
			last = pair
			open = differ(pair[0], pair[1])
			if open {
				m.Range = r
				m.From, _ = s.name(int(pair[0]))
				m.To, _ = to.name(int(pair[1]))
			}
		}
		if open {
			yield(m)
		}
	}
}

// PlanN returns an iterator over the ranges whose list of the first replicas
// nodes differs in to, as [Snapshot.AppendN] returns it, in order. A list that
// is the same set in another order is a move too, but of no data: Added and
// Dropped are empty then. It panics if replicas is not positive, or if the two
// snapshots hash keys differently, unless one has no points.
func (s *Snapshot) PlanN(to *Snapshot, replicas int) iter.Seq[ReplicaMove] {
	if replicas < 1 {
		panic(fmt.Sprintf("consistenthash: replicas must be positive, got %d", replicas))
	}
	s.mustAgree(to)

	return func(yield func(ReplicaMove) bool) {
		var m ReplicaMove
		open := false
		for r, at := range s.segments(to) {
			// Segments with the same lists, before and after, are one move.
			from := s.list(at[0], replicas)
			next := to.list(at[1], replicas)
			switch {
			case open && slices.Equal(from, m.From) && slices.Equal(next, m.To):
				m.Last = r.Last
				continue
			case open && !yield(m):
				return
			}

			// A new move begins if the list changes here.
			open = !slices.Equal(from, next)
			if open {
				m = ReplicaMove{r, from, next}
			}
		}
		if open {
			yield(m)
		}
	}
}

// mustAgree panics if keys have different positions in s and to.
func (s *Snapshot) mustAgree(to *Snapshot) {
	if s.live > 0 && to.live > 0 && s.Hash(algorithm) != to.Hash(algorithm) {
		panic("consistenthash: both snapshots must hash keys alike, got other options")
	}
}

// list returns the first n nodes from point i on.
func (s *Snapshot) list(i, n int) []string {
	if s.live == 0 {
		return nil
	}
	return s.appendFrom(nil, i%(len(s.points)-1), min(n, s.live))
}

// ownerOf returns the owner of point i, or -1 if s is empty.
func (s *Snapshot) ownerOf(i int) int32 {
	if len(s.owners) == 0 {
		return -1
	}
	return s.owners[i]
}

// segments yields the ranges between the points of s and to together, each with
// the index of the point that owns it, in s and in to. It may be the sentinel.
func (s *Snapshot) segments(to *Snapshot) iter.Seq2[Range, [2]int] {
	end := []uint64{math.MaxUint64}
	return func(yield func(Range, [2]int) bool) {
		a := s.points
		if len(a) == 0 {
			a = end
		}
		b := to.points
		if len(b) == 0 {
			b = end
		}

		// Walk both lists of points. A segment ends at the next point of
		// either.
		i := 0
		j := 0
		for r := (Range{}); ; r.First = r.Last + 1 {
			for a[i] < r.First {
				i++
			}
			for b[j] < r.First {
				j++
			}
			r.Last = min(a[i], b[j])
			if !yield(r, [2]int{i, j}) || r.Last == math.MaxUint64 {
				return
			}
		}
	}
}
