// SPDX-License-Identifier: MIT

package skiplist

import (
	"cmp"
	"fmt"
	"iter"
	"math"
	"strings"
)

// A SortedSet maps members to scores, and ranks them: by score, and members of
// the same score among each other. It is the sorted set of Redis: the package
// comment has its commands.
//
// A nil or zero SortedSet reads as empty and panics when it is written to: use
// [NewSortedSet] or [NewSortedSetFunc].
//
// Any number of goroutines may read a SortedSet at once, and one may write if
// none reads.
type SortedSet[M comparable, S any] struct {
	scores       map[M]S
	ranks        *Map[scored[M, S], struct{}]
	compareScore func(a, b S) int
}

// A scored is a member with its score: the key of a rank.
type scored[M, S any] struct {
	score  S
	member M
}

// NewSortedSet returns an empty SortedSet in the natural order of scores and
// members, as [cmp.Compare] has it.
func NewSortedSet[M, S cmp.Ordered]() *SortedSet[M, S] {
	s := NewSortedSetFunc(cmp.Compare[S], cmp.Compare[M])
	s.ranks.find = findScored[M, S]
	return s
}

// NewSortedSetFunc returns an empty SortedSet in the order of two functions;
// see [NewMapFunc]. A score may be a struct: of points and a time, if the first
// to reach a number of points ranks first. Members that compareMember takes for
// the same must be equal.
func NewSortedSetFunc[M comparable, S any](compareScore func(a, b S) int, compareMember func(a, b M) int) *SortedSet[M, S] {
	if compareScore == nil || compareMember == nil {
		panic("skiplist: compareScore and compareMember must not be nil")
	}
	compare := func(a, b scored[M, S]) int {
		if c := compareScore(a.score, b.score); c != 0 {
			return c
		}
		return compareMember(a.member, b.member)
	}
	return &SortedSet[M, S]{
		scores:       map[M]S{},
		ranks:        NewMapFunc[scored[M, S], struct{}](compare),
		compareScore: compareScore,
	}
}

// order returns the ranks of s, which are nil if s is nil or zero.
func (s *SortedSet[M, S]) order() *Map[scored[M, S], struct{}] {
	if s == nil {
		return nil
	}
	return s.ranks
}

func (s *SortedSet[M, S]) mustUse() {
	if s.order() == nil {
		panic("skiplist: zero SortedSet: use NewSortedSet or NewSortedSetFunc")
	}
}

// Set makes score the score of member. It returns the score before, and whether
// the member is new. The complexity is O(log n) where n = s.Len(). It panics if
// member is not equal to itself, as NaN: it could not be found again.
func (s *SortedSet[M, S]) Set(member M, score S) (old S, added bool) {
	s.mustUse()
	if member != member {
		panic(fmt.Sprintf("skiplist: member %v is not equal to itself", member))
	}
	old, there := s.scores[member]
	if there {
		s.ranks.Delete(scored[M, S]{old, member})
	}
	s.scores[member] = score
	s.ranks.Set(scored[M, S]{score, member}, struct{}{})
	return old, !there
}

// Get returns the score of member, and whether it is there. The complexity is
// O(1).
func (s *SortedSet[M, S]) Get(member M) (score S, ok bool) {
	if s == nil {
		return score, false
	}
	score, ok = s.scores[member]
	return score, ok
}

// Has reports whether member is in s. The complexity is O(1).
func (s *SortedSet[M, S]) Has(member M) bool {
	_, ok := s.Get(member)
	return ok
}

// Compute sets the score of member to that which f makes of the one before, or
// deletes the member if f returns false; ok tells f whether it is there. It
// returns the score that the member has then, and whether it has one. This is
// ZADD with NX, XX, GT or LT, and ZINCRBY, in one. f must not change s. The
// complexity is O(log n) where n = s.Len().
func (s *SortedSet[M, S]) Compute(member M, f func(old S, ok bool) (score S, keep bool)) (score S, ok bool) {
	s.mustUse()
	old, there := s.scores[member]
	score, keep := f(old, there)
	switch {
	case keep:
		s.Set(member, score)
		return score, true
	case there:
		s.Delete(member)
	}
	var none S
	return none, false
}

// Incr adds delta to the score of member in s, which is 0 if it is not there,
// and returns the sum. The complexity is O(log n) where n = s.Len().
func Incr[M comparable, S cmp.Ordered](s *SortedSet[M, S], member M, delta S) S {
	score, _ := s.Compute(member, func(old S, _ bool) (S, bool) { return old + delta, true })
	return score
}

// Delete removes member, and returns the score that it had, if it was there.
// The complexity is O(log n) where n = s.Len().
func (s *SortedSet[M, S]) Delete(member M) (score S, ok bool) {
	score, ok = s.Get(member)
	if ok {
		delete(s.scores, member)
		s.ranks.Delete(scored[M, S]{score, member})
	}
	return score, ok
}

// Len returns the number of members. The complexity is O(1).
func (s *SortedSet[M, S]) Len() int { return s.order().Len() }

// Clear removes all members. The complexity is O(1).
func (s *SortedSet[M, S]) Clear() {
	if s.order() == nil {
		return
	}
	s.scores = map[M]S{} // a map that was large stays large
	s.ranks.Clear()
}

// Index returns the rank of member, which is the number of members before it,
// or -1 if it is not in s. From the other end the rank of a member that is in s
// is s.Len()-1-Index. The complexity is O(log n) where n = s.Len().
func (s *SortedSet[M, S]) Index(member M) int {
	score, ok := s.Get(member)
	if !ok {
		return -1
	}
	return s.ranks.Index(scored[M, S]{score, member})
}

// Nth returns the member of rank i. It panics unless i is at least 0 and less
// than s.Len(), as an index of a slice does. The complexity is O(log n) where n
// = s.Len().
func (s *SortedSet[M, S]) Nth(i int) (member M, score S) {
	e, _ := s.order().Nth(i)
	return e.member, e.score
}

// Min returns the first member, if there is one. The complexity is O(log n)
// where n = s.Len().
func (s *SortedSet[M, S]) Min() (member M, score S, ok bool) {
	e, _, ok := s.order().Min()
	return e.member, e.score, ok
}

// Max returns the last member, if there is one. The complexity is O(log n)
// where n = s.Len().
func (s *SortedSet[M, S]) Max() (member M, score S, ok bool) {
	e, _, ok := s.order().Max()
	return e.member, e.score, ok
}

// PopMin removes and returns the first member, if there is one. The complexity
// is O(log n) where n = s.Len().
func (s *SortedSet[M, S]) PopMin() (member M, score S, ok bool) {
	e, _, ok := s.order().PopMin()
	if ok {
		delete(s.scores, e.member)
	}
	return e.member, e.score, ok
}

// PopMax removes and returns the last member, if there is one. The complexity
// is O(log n) where n = s.Len().
func (s *SortedSet[M, S]) PopMax() (member M, score S, ok bool) {
	e, _, ok := s.order().PopMax()
	if ok {
		delete(s.scores, e.member)
	}
	return e.member, e.score, ok
}

// All returns the members and their scores by rank. The loop may change s: the
// next member is always the one that comes after the last score and member, as
// the set is then. A member whose score the loop raises comes again, so collect
// the members first if all scores are to grow.
func (s *SortedSet[M, S]) All() iter.Seq2[M, S] { return SortedSpan[M, S]{s: s}.All() }

// Backward returns the members and their scores from the last rank to the
// first, by the rule of [SortedSet.All].
func (s *SortedSet[M, S]) Backward() iter.Seq2[M, S] { return SortedSpan[M, S]{s: s}.Backward() }

// Slice returns the part of s from rank i to rank j, j excluded, as the slice
// s[i:j]. Ranks that are out of range count as the nearest one that is not.
func (s *SortedSet[M, S]) Slice(i, j int) SortedSpan[M, S] { return SortedSpan[M, S]{s: s}.Slice(i, j) }

// From returns the part of s with scores of at least lo.
func (s *SortedSet[M, S]) From(lo S) SortedSpan[M, S] { return SortedSpan[M, S]{s: s}.From(lo) }

// Above returns the part of s with scores greater than lo.
func (s *SortedSet[M, S]) Above(lo S) SortedSpan[M, S] { return SortedSpan[M, S]{s: s}.Above(lo) }

// To returns the part of s with scores of at most hi.
func (s *SortedSet[M, S]) To(hi S) SortedSpan[M, S] { return SortedSpan[M, S]{s: s}.To(hi) }

// Below returns the part of s with scores less than hi.
func (s *SortedSet[M, S]) Below(hi S) SortedSpan[M, S] { return SortedSpan[M, S]{s: s}.Below(hi) }

// String returns the members and their scores as fmt prints a map, by rank.
func (s *SortedSet[M, S]) String() string {
	var b strings.Builder
	writePairs(&b, s.All())
	return b.String()
}

// A SortedSpan is the part of a [SortedSet] between two scores, two ranks, or
// both, as the set is when the span is used. Ranks are those among the members
// between the scores, whichever bounds were given first. A span whose bounds
// cross is empty.
type SortedSpan[M comparable, S any] struct {
	s      *SortedSet[M, S]
	b      bounds[S]
	ranked bool // from i to j, j excluded
	i, j   int  // 0 <= i <= j
}

// From returns the part of p with scores of at least lo.
func (p SortedSpan[M, S]) From(lo S) SortedSpan[M, S] {
	p.b.from(p.s.scoreOrder(), lo, false)
	return p
}

// Above returns the part of p with scores greater than lo.
func (p SortedSpan[M, S]) Above(lo S) SortedSpan[M, S] {
	p.b.from(p.s.scoreOrder(), lo, true)
	return p
}

// To returns the part of p with scores of at most hi.
func (p SortedSpan[M, S]) To(hi S) SortedSpan[M, S] {
	p.b.to(p.s.scoreOrder(), hi, false)
	return p
}

// Below returns the part of p with scores less than hi.
func (p SortedSpan[M, S]) Below(hi S) SortedSpan[M, S] {
	p.b.to(p.s.scoreOrder(), hi, true)
	return p
}

// scoreOrder returns the function that compares scores, which is nil if s is
// zero, and empty.
func (s *SortedSet[M, S]) scoreOrder() func(a, b S) int {
	if s == nil {
		return nil
	}
	return s.compareScore
}

// bounds returns the ranks in the set of the members of p: from lo to hi, hi
// excluded.
func (p SortedSpan[M, S]) bounds() (lo, hi int) {
	lo, hi = p.scoreBounds()
	if p.ranked {
		n := hi - lo
		return lo + min(p.i, n), lo + min(p.j, n)
	}
	return lo, hi
}

// scoreBounds returns the ranks of the members between the scores of p.
func (p SortedSpan[M, S]) scoreBounds() (lo, hi int) {
	hi = p.s.Len()
	if p.b.hasHi {
		hi = p.s.rankOf(p.b.hi, !p.b.below)
	}
	if p.b.hasLo {
		lo = p.s.rankOf(p.b.lo, p.b.above)
	}
	return lo, max(lo, hi)
}

// rankOf returns the number of members with a score less than score, and those
// with the same if through.
func (s *SortedSet[M, S]) rankOf(score S, through bool) int {
	return s.ranks.count(func(e scored[M, S]) bool {
		c := s.compareScore(e.score, score)
		return c < 0 || c == 0 && through
	})
}

// All returns the members of p and their scores by rank, by the rule of
// [SortedSet.All]. A loop between ranks has at most as many steps as there are
// members between them when it begins: if it deletes them, others take their
// ranks.
func (p SortedSpan[M, S]) All() iter.Seq2[M, S] {
	return func(yield func(M, S) bool) {
		l := sortedLoop[M, S]{p: p}
		p.s.order().ascend(l.bounds, func(e scored[M, S], _ struct{}) bool {
			return yield(e.member, e.score) && l.goesOn()
		})
	}
}

// Backward returns the members of p and their scores from the last rank to the
// first, by the rule of [SortedSpan.All].
func (p SortedSpan[M, S]) Backward() iter.Seq2[M, S] {
	return func(yield func(M, S) bool) {
		l := sortedLoop[M, S]{p: p}
		p.s.order().descend(l.bounds, func(e scored[M, S], _ struct{}) bool {
			return yield(e.member, e.score) && l.goesOn()
		})
	}
}

// A sortedLoop is a loop over a span, which may change the set.
type sortedLoop[M comparable, S any] struct {
	p     SortedSpan[M, S]
	began bool
	left  int // how many members are left, if the span is between ranks
}

// bounds returns the ranks between which the loop goes on.
func (l *sortedLoop[M, S]) bounds() (lo, hi int) {
	if l.began && l.p.ranked {
		return l.p.scoreBounds() // the members have other ranks than before
	}
	lo, hi = l.p.bounds()
	l.began = true
	l.left = hi - lo
	return lo, hi
}

// goesOn reports whether the loop has another step after this one.
func (l *sortedLoop[M, S]) goesOn() bool {
	l.left--
	return !l.p.ranked || l.left > 0
}

// Len returns the number of members of p. The complexity is O(log n) where n is
// the length of the set.
func (p SortedSpan[M, S]) Len() int {
	lo, hi := p.bounds()
	return hi - lo
}

// Slice returns the members of p from the i-th to the j-th, j excluded: LIMIT,
// which is j-i, at an offset, which is i. Numbers that are out of range count
// as the nearest ones that are not.
func (p SortedSpan[M, S]) Slice(i, j int) SortedSpan[M, S] {
	if !p.ranked {
		p.ranked = true
		p.j = math.MaxInt
	}
	n := p.j - p.i
	i = min(max(i, 0), n)
	j = max(i, min(j, n))
	p.j = p.i + j
	p.i += i
	return p
}

// Clear removes the members of p from the set, and returns their number k. The
// complexity is O(k + log n) where n is the length of the set.
func (p SortedSpan[M, S]) Clear() int {
	lo, hi := p.bounds()
	for member := range p.All() {
		delete(p.s.scores, member)
	}
	p.s.order().clearRange(lo, hi)
	return hi - lo
}

// String returns the members and their scores as fmt prints a map, by rank.
func (p SortedSpan[M, S]) String() string {
	var b strings.Builder
	writePairs(&b, p.All())
	return b.String()
}

// findScored compares scores, and members where those are equal, with the
// operators of the language, but for a NaN.
func findScored[M, S cmp.Ordered](m *Map[scored[M, S], struct{}], key scored[M, S], why purpose) (l *leaf[scored[M, S], struct{}], at, rank int, ok bool) {
	if isNaN(key.score) {
		return findFuncOf(m, key, why)
	}
	l = m.only
	for x := m.top; x != nil; {
		fences := x.fences[:x.n]
		i := 1
		for i < len(fences) && (fences[i].score < key.score || fences[i].score == key.score && fences[i].member <= key.member || isNaN(fences[i].score)) {
			i++
		}
		i--
		rank += m.note(x, i, why) // no SortedSet asks for an entry only
		if x.leaves != nil {
			l = x.leaves[i]
			break
		}
		x = x.kids[i]
	}

	keys := l.keys[:l.n]
	i := 0
	for i < len(keys) && (keys[i].score < key.score || keys[i].score == key.score && keys[i].member < key.member || isNaN(keys[i].score)) {
		i++
	}
	return l, i, rank + i, i < len(keys) && keys[i] == key
}
