// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/ashlar-go/ashlar/quorum"
)

// Times of the election.
const (
	ttl   = 2 * time.Second        // of the lease
	renew = 600 * time.Millisecond // of the leader: less than a third of ttl
	retry = 500 * time.Millisecond // of the others
)

// A node takes part in elections, keeps a replica, and leads or works.
type node struct {
	id    int
	lease *quorum.Lease[string]
	replica

	paused  int         // until this step it does nothing
	next    int         // the step of its next try, or renewal
	token   uint64      // 0 unless it leads, as far as it knows
	opened  bool        // it has seen what others have
	pending *entry      // it was stopped while it wrote this
	work    map[int]int // of the leader: by chunk, the node that counts
	ready   *result     // of a worker: what it has counted
	busy    int         // of a worker: until this step
	chunk   int         // that it counts
}

// A result is the number of primes in a chunk.
type result struct{ chunk, count int }

// steps returns how many steps d takes.
func steps(d time.Duration) int { return int(d / tick) }

// elect lets a node try for the lease, or renew it, when it is time.
func (s *simulation) elect(ctx context.Context, n *node) error {
	if s.step < n.next {
		return nil
	}
	if token, ok := n.lease.Held(); ok && token == n.token {
		n.next = s.step + steps(renew)
		err := n.lease.Renew(ctx)
		s.net.settle()
		if errors.Is(err, quorum.ErrLost) {
			n.resign()
		}
		return ctx.Err()
	}

	// Somebody else leads, or nobody.
	n.resign()
	n.next = s.step + steps(retry)
	token, ok, _ := n.lease.TryAcquire(ctx) // an error is no lease, and the next try comes
	s.net.settle()
	if ok {
		n.token = token
		n.next = s.step + steps(renew)
		n.work = map[int]int{}
		return s.law.leads(n.id, token)
	}
	return ctx.Err()
}

// resign makes n a follower.
func (n *node) resign() {
	n.token = 0
	n.opened = false
	n.work = nil
}

// open makes sure that the leader has everything that was acknowledged. By
// majority it asks a majority, whose replicas refuse older leaders from now on,
// and takes the newest log; of them, one has each entry. By the others its own
// log is as good as it gets: sync means that all have it all, and async that
// nobody asks.
func (s *simulation) open(n *node) {
	best := &n.replica
	promised := 0
	for _, other := range s.nodes {
		if !s.answers(n, other) || !other.replica.promise(n.token) {
			continue
		}
		promised++
		if s.mode == "majority" && other.replica.newer(best) {
			best = &other.replica
		}
	}
	need := len(s.nodes)/2 + 1
	if s.mode == "sync" {
		need = len(s.nodes)
	}
	if s.mode != "async" && promised < need {
		return
	}
	n.replica.accept(n.token, best.entries)
	n.opened = true
}

// write appends an entry to the log of the leader, sends it, and reports
// whether it may be acknowledged.
func (s *simulation) write(n *node, e entry) (acked bool) {
	log := append(slices.Clone(n.replica.entries), e)
	if !n.replica.accept(n.token, log) {
		return false
	}
	if s.mode == "async" {
		for i := range s.nodes {
			if i != n.id {
				s.shipped = append(s.shipped, shipment{s.step + lag, i, n.token, log})
			}
		}
		return true
	}

	// The others answer at once, or not at all.
	got := 1
	for i, other := range s.nodes {
		if i != n.id && s.answers(n, other) && other.replica.accept(n.token, log) {
			got++
		}
	}
	if s.mode == "sync" {
		return got == len(s.nodes)
	}
	return 2*got > len(s.nodes)
}
