// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"slices"
)

// A law is what the nodes must not do, noted apart from them.
type law struct {
	tokens []uint64       // of all leaders, in order
	holder map[uint64]int // by token: the node
}

func newLaw() *law { return &law{holder: map[uint64]int{}} }

// leads notes that a node leads with a token, which must be new and the
// greatest.
func (l *law) leads(id int, token uint64) error {
	if len(l.tokens) > 0 && token <= l.tokens[len(l.tokens)-1] {
		return fmt.Errorf("n%d leads with token %d after %d", id+1, token, l.tokens[len(l.tokens)-1])
	}
	l.tokens = append(l.tokens, token)
	l.holder[token] = id
	return nil
}

// term returns the number of the leader with a token, from 1.
func (l *law) term(token uint64) int { return 1 + slices.Index(l.tokens, token) }

// alone checks that one node leads at most, by the clocks of the nodes.
func (l *law) alone(nodes []*node) error {
	leads := -1
	for _, n := range nodes {
		if _, ok := n.lease.Held(); !ok {
			continue
		}
		if leads >= 0 {
			return fmt.Errorf("n%d and n%d both lead", leads+1, n.id+1)
		}
		leads = n.id
	}
	return nil
}

// check checks the end of a simulation.
func (l *law) check(s *simulation) error {
	for _, n := range s.nodes {
		if !slices.IsSorted(n.replica.history) {
			return fmt.Errorf("n%d accepted an older token after a newer one: %v", n.id+1, slices.Compact(n.replica.history))
		}
	}
	log := s.best()
	chunks := map[int]bool{}
	for _, e := range log {
		if e.chunk >= 0 && chunks[e.chunk] {
			return fmt.Errorf("chunk %d is in the log twice", e.chunk)
		}
		chunks[e.chunk] = true
	}

	// Nothing that was acknowledged is lost, unless nobody promised that.
	if n := s.lost(); s.mode != "async" && n > 0 {
		return fmt.Errorf("%s: %d of %d acknowledged writes are lost", s.mode, n, len(s.acked))
	}
	s.primes, s.done = total(log)
	if s.done*chunkSize == limit && s.primes != sieve(limit) {
		return fmt.Errorf("%d primes below %d, want %d", s.primes, limit, sieve(limit))
	}
	return nil
}
