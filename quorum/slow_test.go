// SPDX-License-Identifier: MIT

package quorum

import "slices"

// slowReplicas bounds the replicas of a slowSystem.
const slowReplicas = 6

// A slowSystem is the specification of a System: for each set of the replicas 0
// to 5, whether it contains a quorum. The real one is a formula, which is what
// makes it small, and quick to ask.
type slowSystem [1 << slowReplicas]bool

// slowThreshold returns the system of which a quorum has members with weights
// of at least need together.
func slowThreshold(need int, weight func(i int) int) (s slowSystem) {
	for set := range s {
		sum := 0
		for i := range slowReplicas {
			if set>>i&1 == 1 {
				sum += weight(i)
			}
		}
		s[set] = sum >= need
	}
	return s
}

// slowOf returns the system of which a quorum has quorums of k of subs.
func slowOf(k int, subs []slowSystem) (s slowSystem) {
	for set := range s {
		n := 0
		for _, sub := range subs {
			if sub[set] {
				n++
			}
		}
		s[set] = n >= k
	}
	return s
}

// quorums returns the sets that contain a quorum.
func (s *slowSystem) quorums() (list []int) {
	for set, ok := range s {
		if ok {
			list = append(list, set)
		}
	}
	return list
}

// minimal returns the quorums that have no other quorum within.
func (s *slowSystem) minimal() (list []Set) {
	all := s.quorums()
	for _, q := range all {
		if !slices.ContainsFunc(all, func(p int) bool { return p != q && p&q == p }) {
			list = append(list, Set(q))
		}
	}
	return list
}

// dual returns the system of the sets that meet each quorum of s.
func (s *slowSystem) dual() (d slowSystem) {
	for set := range d {
		d[set] = !slices.ContainsFunc(s.quorums(), func(q int) bool { return q&set == 0 })
	}
	return d
}

// vote tries each way in which the rest could answer.
func (s *slowSystem) vote(ok, failed int) Vote {
	if s[ok] {
		return Won
	}
	for more := range s {
		if more&failed == 0 && s[ok|more] {
			return Pending
		}
	}
	return Lost
}

// resilience returns how many replicas may fail, whichever they are.
func (s *slowSystem) resilience() int {
	least := slowReplicas + 1 // of failures that leave no quorum
	for failed := range s {
		if !s[(len(s)-1)&^failed] {
			least = min(least, Set(failed).Len())
		}
	}
	return least - 1
}

// slowIntersect compares each quorum with each.
func slowIntersect(r, w *slowSystem) bool {
	for _, p := range r.quorums() {
		for _, q := range w.quorums() {
			if p&q == 0 {
				return false
			}
		}
	}
	return true
}
