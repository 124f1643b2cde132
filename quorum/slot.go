// SPDX-License-Identifier: MIT

package quorum

import (
	"cmp"
	"context"
	"sync"
)

// A Ballot is the right to propose one state of a key. Greater ones win.
type Ballot struct {
	Round    uint64 // which attempt it is
	Proposer uint64 // a number that each CAS draws for itself, so that two never have the same ballot
}

// Compare returns -1 if b is less than c, 1 if it is greater, and else 0.
func (b Ballot) Compare(c Ballot) int {
	return cmp.Or(cmp.Compare(b.Round, c.Round), cmp.Compare(b.Proposer, c.Proposer))
}

// recentProposers is how many proposers a Slot remembers. An update whose
// answer got lost is found by its proposer unless so many others have come
// since.
const recentProposers = 16

// A Slot is what an acceptor keeps of a key, with the rules by which it
// answers. All fields must survive a crash: an acceptor that forgets what it
// has answered must not answer again. The zero Slot is that of a new key.
type Slot[V any] struct {
	Promised Ballot // lesser ones are refused
	Accepted Ballot // of what follows; zero if nothing was accepted

	Value   V        // the value of the key
	Version uint64   // the number of updates that made it
	Updates []Ballot // of the last update of each of the last 16 proposers, latest first; never changed in place
}

// Prepare promises to refuse ballots below b, unless a greater one has been
// promised, and returns what s is then. The zero Ballot changes nothing.
func (s *Slot[V]) Prepare(b Ballot) Slot[V] {
	if b.Compare(s.Promised) > 0 {
		s.Promised = b
	}
	return *s
}

// Accept replaces s by p, unless a ballot above p.Accepted was promised. It
// returns the ballot that is promised then: p.Promised if p was accepted, which
// is greater than p.Accepted, so that the proposer may come with that one
// without asking. A p whose Promised is not greater than its Accepted is
// refused.
func (s *Slot[V]) Accept(p Slot[V]) Ballot {
	if p.Accepted.Compare(s.Promised) >= 0 && p.Promised.Compare(p.Accepted) > 0 {
		*s = p
	}
	return s.Promised
}

// updated returns s with v, as updated under ballot b.
func (s Slot[V]) updated(b Ballot, v V) Slot[V] {
	next := Slot[V]{Value: v, Version: s.Version + 1}
	next.Updates = make([]Ballot, 1, min(len(s.Updates)+1, recentProposers))
	next.Updates[0] = b
	for _, old := range s.Updates {
		if old.Proposer != b.Proposer && len(next.Updates) < recentProposers {
			next.Updates = append(next.Updates, old)
		}
	}
	return next
}

// has reports whether the update to a version under ballot b is part of s. That
// is not known if so many others have come since that its proposer is
// forgotten.
func (s *Slot[V]) has(b Ballot, version uint64) (has, known bool) {
	for _, u := range s.Updates {
		if u.Proposer == b.Proposer {
			return u == b, true
		}
	}
	return false, len(s.Updates) < recentProposers || s.Version < version+recentProposers
}

// An Acceptor is one copy of the records, mostly a client of a server that
// keeps a [Slot] for each key. Its methods are called from many goroutines at
// once, and should return when the context ends. An error says that there is no
// answer; if it wraps [ErrUnavailable], the request surely had no effect. It
// does no harm if a request arrives twice, or late. A panic is not recovered,
// and ends the program.
type Acceptor[K comparable, V any] interface {
	// Prepare calls Slot.Prepare of key, and makes the change durable before
	// it returns what that returned.
	Prepare(ctx context.Context, key K, b Ballot) (Slot[V], error)

	// Accept calls Slot.Accept of key, and makes the change durable before it
	// returns what that returned.
	Accept(ctx context.Context, key K, p Slot[V]) (Ballot, error)
}

// A MemoryAcceptor is an [Acceptor] in the memory of this process: for tests,
// and as an example of a server. What it holds is lost with the process, so a
// server of that kind must not be started again under its old name. The zero
// value is ready to use. It is safe for concurrent use by multiple goroutines.
type MemoryAcceptor[K comparable, V any] struct {
	mu    sync.Mutex // protects slots
	slots map[K]*Slot[V]
}

// Prepare answers at once, and heeds no context. It returns an [ErrUnavailable]
// if key is not equal to itself, as NaN is not.
func (m *MemoryAcceptor[K, V]) Prepare(_ context.Context, key K, b Ballot) (Slot[V], error) {
	if !isReflexive(key) {
		return Slot[V]{}, errKey
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.slots[key]
	switch {
	case s == nil && b == (Ballot{}):
		return Slot[V]{}, nil // a question leaves nothing behind
	case s == nil:
		s = m.addLocked(key)
	}
	return s.Prepare(b), nil
}

// Accept answers at once, and heeds no context. It returns the error of
// Prepare.
func (m *MemoryAcceptor[K, V]) Accept(_ context.Context, key K, p Slot[V]) (Ballot, error) {
	if !isReflexive(key) {
		return Ballot{}, errKey
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.slots[key]
	if s == nil {
		s = m.addLocked(key)
	}
	return s.Accept(p), nil
}

// addLocked returns the new slot of key.
func (m *MemoryAcceptor[K, V]) addLocked(key K) *Slot[V] {
	if m.slots == nil {
		m.slots = map[K]*Slot[V]{}
	}
	s := new(Slot[V])
	m.slots[key] = s
	return s
}
