// SPDX-License-Identifier: MIT

package quorum

import (
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
)

// A Vote is the state of a request that needs a quorum of answers.
type Vote uint8

// Votes. A vote that is Won or Lost stays so, whatever is answered later.
const (
	Pending Vote = iota // a quorum is still possible
	Won                 // a quorum has answered
	Lost                // too many have failed: no quorum is possible any more
)

var voteNames = [...]string{"pending", "won", "lost"}

// String returns the name of v in lower case.
func (v Vote) String() string { return nameOf(voteNames[:], uint8(v), "vote") }

// MarshalText returns the name of v.
func (v Vote) MarshalText() ([]byte, error) {
	return marshalName(voteNames[:], uint8(v), "vote")
}

// UnmarshalText sets v to the vote that text names.
func (v *Vote) UnmarshalText(text []byte) error {
	i, err := unmarshalName(voteNames[:], text, "vote")
	if err == nil {
		*v = Vote(i)
	}
	return err
}

// A System says which sets of replicas are quorums. A set that contains a
// quorum is a quorum too. Systems are values that never change, and safe for
// concurrent use by multiple goroutines. The zero System has no quorum.
type System struct{ *node }

// A node is a threshold: a quorum has members, or quorums of subs, that weigh
// at least need together.
type node struct {
	members Set      // of all subs too
	need    int      // at least 1, and at most the weight of all
	weights []int    // of replicas, by number; nil if each weighs 1
	subs    []System // nil in a leaf
}

// Majority returns the system whose quorums are more than half of replicas. It
// panics if replicas is empty.
func Majority(replicas Set) System { return Threshold(replicas.Len()/2+1, replicas) }

// Threshold returns the system whose quorums are any k of replicas. It panics
// if k is not between 1 and the number of replicas.
func Threshold(k int, replicas Set) System {
	if k < 1 || k > replicas.Len() {
		panic(fmt.Sprintf("quorum: threshold must be between 1 and %d, got %d", replicas.Len(), k))
	}
	return System{&node{members: replicas, need: k}}
}

// Weighted returns the system whose quorums have weights of at least need
// together, where weights[i] is that of replica i. It panics if a weight is
// negative, if there are more than 64, or if need is not between 1 and the sum
// of the weights.
func Weighted(need int, weights ...int) System {
	if len(weights) > maxReplicas {
		panic(fmt.Sprintf("quorum: number of weights must be at most %d, got %d", maxReplicas, len(weights)))
	}

	var members Set
	sum := 0
	for i, w := range weights {
		if w < 0 || w > math.MaxInt-sum {
			panic(fmt.Sprintf("quorum: weight must not be negative or too large to add, got %d", w))
		}
		if w > 0 {
			members |= 1 << i
		}
		sum += w
	}
	if need < 1 || need > sum {
		panic(fmt.Sprintf("quorum: needed weight must be between 1 and %d, got %d", sum, need))
	}
	return System{&node{members: members, need: need, weights: slices.Clone(weights)}}
}

// Of returns the system whose quorums contain a quorum of at least k of subs.
// The subs may share replicas. It panics if k is not between 1 and the number
// of subs, or if one is the zero System.
//
// Of(2, old, new) is for a change of members, in three steps. First, each
// caller goes from the old replicas to both, with joint systems for reads and
// writes. When none is left with the old ones, each key is read at the joint
// systems, with [Atomic], or by [CAS.Get]: the new ones have it then. When all
// keys have been read, each caller goes to the new replicas alone.
func Of(k int, subs ...System) System {
	if k < 1 || k > len(subs) {
		panic(fmt.Sprintf("quorum: number of systems needed must be between 1 and %d, got %d", len(subs), k))
	}

	var members Set
	for _, s := range subs {
		if s.node == nil {
			panic("quorum: a part of a system must not be the zero System")
		}
		members |= s.members
	}
	return System{&node{members: members, need: k, subs: slices.Clone(subs)}}
}

// Replicas returns the replicas that s asks for.
func (s System) Replicas() Set {
	if s.node == nil {
		return 0
	}
	return s.members
}

// Has reports whether set contains a quorum. The complexity is O(1) for a
// majority or threshold, else O(n) where n is the number of weights and parts.
func (s System) Has(set Set) bool {
	if s.node == nil {
		return false
	}
	return s.has(set)
}

// has is System.Has for a node.
func (n *node) has(set Set) bool {
	sum := 0
	switch {
	case n.subs != nil:
		for _, sub := range n.subs {
			if sub.has(set) {
				sum++
			}
		}
	case n.weights != nil:
		for i := range (set & n.members).All() {
			sum += n.weights[i]
		}
	default:
		sum = (set & n.members).Len()
	}
	return sum >= n.need
}

// Vote returns what the answers of ok and the failures of failed mean for a
// request that needs a quorum.
func (s System) Vote(ok, failed Set) Vote {
	switch {
	case s.Has(ok):
		return Won
	case !s.Has(^failed):
		return Lost
	default:
		return Pending
	}
}

// Dual returns the system whose quorums are the sets that share a replica with
// each quorum of s. It is the largest system that [Intersect] accepts beside s.
// The dual of the zero System is the zero System.
func (s System) Dual() System {
	if s.node == nil {
		return s
	}

	// A set that meets each quorum is one whose complement contains none: what
	// it takes must leave less than need behind.
	d := &node{members: s.members, weights: s.weights}
	sum := 0
	switch {
	case s.subs != nil:
		sum = len(s.subs)
		d.subs = make([]System, sum)
		for i, sub := range s.subs {
			d.subs[i] = sub.Dual()
		}
	case s.weights != nil:
		for _, w := range s.weights {
			sum += w
		}
	default:
		sum = s.members.Len()
	}
	d.need = sum - s.need + 1
	return System{d}
}

// flat reports whether n is a plain threshold.
func (n *node) flat() bool { return n.subs == nil && n.weights == nil }

// Minimal returns the quorums of which no proper subset is a quorum, in
// ascending order as numbers. The complexity is O(2^n) where n is the number of
// replicas, unless s is a majority or threshold. It panics if n is more than 16
// then.
func (s System) Minimal() iter.Seq[Set] {
	if s.node == nil {
		return func(func(Set) bool) {}
	}
	if n := s.members.Len(); !s.flat() && n > maxEnumerated {
		panic(fmt.Sprintf("quorum: quorums of at most %d replicas are enumerated, got %d", maxEnumerated, n))
	}

	return func(yield func(Set) bool) {
		if s.flat() {
			choose(s.members, s.need, yield)
			return
		}
		for set := Set(0); ; {
			set = (set - s.members) & s.members // the next subset of members
			if set == 0 {
				return
			}
			if s.minimal(set) && !yield(set) {
				return
			}
		}
	}
}

// maxEnumerated bounds the replicas of a system whose sets are tried one by
// one.
const maxEnumerated = 16

// minimal reports whether set is a quorum and needs each of its replicas.
func (n *node) minimal(set Set) bool {
	if !n.has(set) {
		return false
	}
	for i := range set.All() {
		if n.has(set &^ (1 << i)) {
			return false
		}
	}
	return true
}

// choose calls yield with each subset of k members of from, in ascending order,
// until yield returns false. It reports whether yield never did.
func choose(from Set, k int, yield func(Set) bool) bool {
	if k == 0 {
		return yield(0)
	}

	// Fix the highest member of the subset, from low to high: numbers with a
	// lower highest bit are smaller. A member with too few below it is skipped.
	rest := from
	for lower := Set(0); rest != 0; rest &= rest - 1 {
		top := rest & -rest
		if lower.Len() >= k-1 && !choose(lower, k-1, func(s Set) bool { return yield(s | top) }) {
			return false
		}
		lower |= top
	}
	return true
}

// Resilience returns the largest f such that a quorum remains whichever f
// replicas fail, and -1 for the zero System. The complexity is O(1) for a
// majority or threshold, O(n·log n) for n weights, and else exponential in f.
func (s System) Resilience() int {
	if s.node == nil {
		return -1
	}
	switch {
	case s.flat():
		return s.members.Len() - s.need
	case s.weights != nil:
		return s.heaviest()
	}

	for f := 1; ; f++ {
		survives := choose(s.members, f, func(failed Set) bool { return s.has(^failed) })
		if !survives {
			return f - 1
		}
	}
}

// heaviest returns how many of the heaviest replicas may fail.
func (n *node) heaviest() (f int) {
	sorted := slices.Sorted(slices.Values(n.weights))
	left := 0
	for _, w := range sorted {
		left += w
	}
	for _, w := range slices.Backward(sorted) {
		left -= w
		if left < n.need {
			break
		}
		f++
	}
	return f
}

// Intersect reports whether each quorum of r shares a replica with each quorum
// of w, so that a read of r sees the last write of w. The complexity is O(1)
// for majorities and thresholds. Else it is exponential in the number of
// replicas at worst, where those of one zone and of one weight count little.
func Intersect(r, w System) bool {
	if r.node == nil || w.node == nil {
		return true
	}
	if r.flat() && w.flat() {
		// Two quorums meet if the replicas have no room for both side by side.
		return r.need+w.need > (r.members | w.members).Len()
	}
	both := r.members & w.members
	var alike [maxReplicas]Set
	for i := range both.All() {
		for j := range both.All() {
			if r.alike(i, j) && w.alike(i, j) {
				alike[i] |= 1 << j
			}
		}
	}
	return !disjoint(r.node, w.node, r.members&^w.members, w.members&^r.members, both, &alike)
}

// alike reports whether the replicas i and j can stand in for each other.
func (n *node) alike(i, j int) bool {
	for _, sub := range n.subs {
		if !sub.alike(i, j) {
			return false
		}
	}
	if n.subs != nil || !n.members.Has(i) || !n.members.Has(j) {
		return n.members.Has(i) == n.members.Has(j)
	}
	return n.weights == nil || n.weights[i] == n.weights[j]
}

// disjoint reports whether r has a quorum and w another without a shared
// replica, when ofR and ofW are given to them, and those of rest may be given
// to either.
func disjoint(r, w *node, ofR, ofW, rest Set, alike *[maxReplicas]Set) bool {
	if !r.has(ofR|rest) || !w.has(ofW|rest) {
		return false // one of them cannot have a quorum any more
	}
	if rest == 0 {
		return true
	}

	// Of those that are alike, it matters only how many are given to r: give it
	// the first ones, and when one goes to w, so do the others.
	next := rest & -rest
	others := rest & alike[rest.lowest()]
	return disjoint(r, w, ofR|next, ofW, rest&^next, alike) || disjoint(r, w, ofR, ofW|others, rest&^others, alike)
}

// String returns s in words, as "2 of {0 1 2}".
func (s System) String() string {
	if s.node == nil {
		return "none"
	}

	var b strings.Builder
	s.write(&b)
	return b.String()
}

// write appends n in words to b.
func (n *node) write(b *strings.Builder) {
	fmt.Fprintf(b, "%d of ", n.need)
	switch {
	case n.subs != nil:
		b.WriteByte('(')
		for i, sub := range n.subs {
			if i > 0 {
				b.WriteString(", ")
			}
			sub.write(b)
		}
		b.WriteByte(')')
	case n.weights != nil:
		fmt.Fprintf(b, "weights %v", n.weights)
	default:
		b.WriteString(n.members.String())
	}
}
