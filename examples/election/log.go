// SPDX-License-Identifier: MIT

package main

import "slices"

// An entry is one write.
type entry struct {
	id    int // the number of the write, from 1: in the order of the clients
	chunk int // whose primes were counted, or -1
	count int
}

// A replica is the copy of the log on the disk of a node.
type replica struct {
	entries []entry
	written uint64   // the token of the leader that has written it last
	newest  uint64   // the greatest token that it was told: older ones are refused
	history []uint64 // tokens of what it accepted, in order, for the law
	refused int      // requests with an older token
	naive   bool     // it does not look at tokens; only in tests
}

// promise tells the replica that a leader with a token begins, and reports
// whether it is not older than another.
func (r *replica) promise(token uint64) bool {
	if token < r.newest && !r.naive {
		r.refused++
		return false
	}
	r.newest = token
	return true
}

// accept makes log the log, if the token is not older than another. The leader
// sends its whole log, of which a real one would send what is missing.
func (r *replica) accept(token uint64, log []entry) bool {
	if !r.promise(token) {
		return false
	}
	r.entries = slices.Clone(log)
	r.written = token
	r.history = append(r.history, token)
	return true
}

// newer reports whether the log of r was written later than that of o, or is
// longer if one leader has written both.
func (r *replica) newer(o *replica) bool {
	if r.written != o.written {
		return r.written > o.written
	}
	return len(r.entries) > len(o.entries)
}

// A shipment is a log on its way to a replica.
type shipment struct {
	arrives int // step
	to      int
	token   uint64
	log     []entry
}
