// SPDX-License-Identifier: MIT

package quorum

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// A CAS replaces values by functions of themselves: stock, balances, locks, the
// name of a leader. All updates of a key happen one after the other, on
// whatever machines they are made: it is CASPaxos, which agrees on one value a
// key rather than on a log. It needs no leader itself, and keys have nothing to
// do with each other. Use [NewCAS]; methods of a zero CAS panic.
//
// It is safe for concurrent use by multiple goroutines. Updates of a key by one
// CAS wait for each other; those by several get in each other's way, and try
// again after a random time.
type CAS[K comparable, V any] struct {
	acceptors []Acceptor[K, V]
	opts      CASOptions
	proposer  uint64
	random    func(n int64) int64 // rand.Int64N, but in tests
	prepares  DoOptions[Slot[V]]
	turns     turns[K, memo[V]]
}

// A memo is what a CAS remembers of a key.
type memo[V any] struct {
	// The slot that a quorum has accepted last from this CAS, and with it the
	// ballot that the quorum has promised. If Promised is zero, the promise was
	// used up, or there was none.
	last  Slot[V]
	round uint64 // the greatest that was seen
}

// take returns the ballot that was promised, if any, which is used up then.
func (t *memo[V]) take() Ballot {
	b := t.last.Promised
	t.last.Promised = Ballot{}
	return b
}

// NewCAS returns a CAS on acceptors, of which there are 1 to 64. If opts is
// nil, the defaults are used. It returns an error if opts is not valid, or if
// two quorums need not have an acceptor in common.
func NewCAS[K comparable, V any](acceptors []Acceptor[K, V], opts *CASOptions) (*CAS[K, V], error) {
	n := len(acceptors)
	if n < 1 || n > maxReplicas {
		return nil, fmt.Errorf("quorum: number of acceptors must be between 1 and %d, got %d", maxReplicas, n)
	}
	if i := slices.Index(acceptors, nil); i >= 0 {
		return nil, fmt.Errorf("quorum: acceptor %d must not be nil", i)
	}
	if err := opts.Validate(); err != nil {
		return nil, err
	}

	c := &CAS[K, V]{
		acceptors: slices.Clone(acceptors),
		opts:      opts.resolve(n),
		proposer:  1 + rand.Uint64N(math.MaxUint64), // never 0
		random:    rand.Int64N,
	}
	c.turns.keep = c.opts.Keys
	c.prepares.Timeout = c.opts.Timeout
	if !First(n).covers(c.opts.System.members) {
		return nil, fmt.Errorf("%w: %v needs more than acceptors %v", ErrLevel, c.opts.System, First(n))
	}
	if !Intersect(c.opts.System, c.opts.System) {
		return nil, fmt.Errorf("%w: two quorums of %v need not meet", ErrLevel, c.opts.System)
	}
	return c, nil
}

// Get returns the value of key and its version: the number of updates so far, 0
// if there were none. It asks once, unless an update is under way or has been
// given up: then it finishes that update, since otherwise a later Get could
// return less. The error is an [*Error] that is an [ErrUnavailable].
func (c *CAS[K, V]) Get(ctx context.Context, key K) (v V, version uint64, err error) {
	c.mustUse()
	seen, e := c.ask(ctx, key, Ballot{})
	if e != nil {
		e.Op = "get"
		return v, 0, e
	}
	if seen.chosen {
		return seen.slot.Value, seen.slot.Version, nil
	}

	// An update that changes nothing proposes what it finds.
	_, _, err = c.update(ctx, key, "get", func(old V, n uint64) (V, error) {
		v = old
		version = n
		return old, errUnchanged
	})
	if !errors.Is(err, errUnchanged) {
		var zero V
		return zero, 0, err
	}
	return v, version, nil
}

// Update replaces the value of key by what f returns of it, and returns that
// and its version. f gets the zero V and version 0 if the key was never
// written. If f returns an error, nothing is written, and the error is returned
// as it is, with the value that f has seen and its version. f may be called
// several times, and only the last one counts: it must have no other effect,
// and must not call c with the same key, which would wait for itself.
//
// Every other error is an [*Error]. If it is an [ErrUnavailable], the value was
// surely not replaced. If it is an [ErrIndeterminate], the value may have been
// replaced, or may be by a later Get or Update. Update never replaces twice.
func (c *CAS[K, V]) Update(ctx context.Context, key K, f func(old V, version uint64) (V, error)) (V, uint64, error) {
	c.mustUse()
	return c.update(ctx, key, "update", f)
}

// mustUse panics if c is not from NewCAS.
func (c *CAS[K, V]) mustUse() {
	if c.acceptors == nil {
		panic("quorum: zero CAS: use NewCAS")
	}
}

// update is Update with the name of the call.
func (c *CAS[K, V]) update(ctx context.Context, key K, op string, f func(old V, version uint64) (V, error)) (v V, version uint64, err error) {
	t, err := c.turns.enter(ctx, key)
	if err != nil {
		return v, 0, &Error{Op: op, Kind: ErrUnavailable, Ctx: err}
	}
	defer c.turns.leave(key, t)

	a := &attempt[K, V]{c: c, key: key, turn: &t.memo, f: f}
	for tries := 0; ; tries++ {
		began := time.Now()
		v, version, err = a.try(ctx)
		if !errors.Is(err, errConflict) {
			break
		}

		// Others propose: wait until one of them is done, the longer the more
		// there seem to be.
		most := max(time.Since(began), 100*time.Microsecond) << min(tries, 8)
		most = min(most, time.Second) // acceptors may be slow, and others soon done
		if err = pause(ctx, time.Duration(c.random(int64(most)))); err != nil {
			err = &Error{Kind: ErrUnavailable, Ctx: err}
			break
		}
	}
	if e := (*Error)(nil); !a.declined && errors.As(err, &e) {
		e.Op = op
		if a.sent != nil {
			e.Kind = ErrIndeterminate
		}
	}
	return v, version, err
}

// errUnchanged is returned by functions that only look.
var errUnchanged = errors.New("quorum: unchanged")

// errBallots says that somebody has used the last ballots of a key: no greater
// ones are left.
var errBallots = errors.New("quorum: ballots are used up")

// errConflict says that another proposer has a greater ballot.
var errConflict = errors.New("quorum: conflict")

// pause waits for d, or returns the error of ctx.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// An attempt is one call of Update.
type attempt[K comparable, V any] struct {
	c    *CAS[K, V]
	key  K
	turn *memo[V]
	f    func(old V, version uint64) (V, error)

	made     proposal[V]
	sent     *proposal[V] // made, if acceptors may have kept it, or nil
	declined bool         // the error is that of f
}

// A proposal is what an attempt wants a key to become.
type proposal[V any] struct {
	ballot  Ballot
	value   V
	version uint64
}

// try proposes once. It returns errConflict if others were faster.
func (a *attempt[K, V]) try(ctx context.Context) (v V, version uint64, err error) {
	b, seen, err := a.prepare(ctx)
	if err != nil {
		return v, 0, err
	}
	s := seen.slot
	if sent := a.sent; sent != nil {
		// Settle the proposal before: it was accepted, or never will be once a
		// greater ballot without it has won.
		has, known := s.has(sent.ballot, sent.version)
		if !known {
			return v, 0, &Error{Kind: ErrIndeterminate}
		}
		if _, err := a.accept(ctx, b, s); err != nil {
			return v, 0, err
		}
		if has {
			return sent.value, sent.version, nil
		}
		a.sent = nil
		b = a.turn.take()
	}

	// Ask f for the new value, under a ballot that nobody else has.
	v, declined := a.f(s.Value, s.Version)
	if declined != nil {
		// What f has seen must not vanish again.
		if !seen.chosen {
			if _, err := a.accept(ctx, b, s); err != nil {
				return v, 0, err
			}
		}
		a.declined = true
		return s.Value, s.Version, declined
	}

	kept, err := a.accept(ctx, b, s.updated(b, v))
	if kept {
		a.made = proposal[V]{b, v, s.Version + 1}
		a.sent = &a.made
	}
	return v, s.Version + 1, err
}

// prepare returns a ballot that a quorum has promised, and the slot that the
// quorum has accepted before.
func (a *attempt[K, V]) prepare(ctx context.Context) (Ballot, sighting[V], error) {
	t := a.turn
	if t.round >= math.MaxUint64-1 {
		return Ballot{}, sighting[V]{}, &Error{Kind: ErrUnavailable, Errs: []error{errBallots}}
	}

	// The promise of the last update holds unless another proposer has come
	// between: then accept is refused.
	if b := t.take(); b != (Ballot{}) {
		return b, sighting[V]{t.last, false}, nil
	}

	t.round++
	b := Ballot{t.round, a.c.proposer}
	seen, e := a.c.ask(ctx, a.key, b)
	if e != nil {
		return b, seen, a.conflict(e)
	}
	return b, seen, nil
}

// accept makes a quorum accept the value of s, under a ballot that it has
// promised. It reports whether an acceptor may have kept it.
func (a *attempt[K, V]) accept(ctx context.Context, b Ballot, s Slot[V]) (kept bool, err error) {
	c := a.c
	s.Accepted = b
	s.Promised = Ballot{b.Round + 1, c.proposer}
	a.turn.round = s.Promised.Round

	// A quorum is enough to return, but the requests to the others go on.
	key := a.key
	limit := newDeadline(ctx, c.opts.Timeout)
	limit.users.Store(int64(c.opts.System.members.Len()))
	_, err = fanOut(ctx, limit, c.opts.System, func(ctx context.Context, i int) (Ballot, error) {
		defer limit.quit()
		got, err := c.acceptors[i].Accept(ctx, key, s)
		if err == nil && got != s.Promised {
			err = &refusal{got}
		}
		return got, err
	}, DoOptions[Ballot]{})
	if err == nil {
		a.turn.last = s
		return true, nil
	}

	// A refusal may be the second answer to a request that arrived twice.
	e := err.(*Error) //nolint:errorlint // Do returns no other
	kept = e.OK|e.Pending != 0
	for _, err := range e.Errs {
		kept = kept || !errors.Is(err, ErrUnavailable)
	}
	return kept, a.conflict(e)
}

// conflict returns errConflict if greater ballots are the reason for e, and
// otherwise e.
func (a *attempt[K, V]) conflict(e *Error) error {
	conflict := false
	for _, err := range e.Errs {
		if r := (*refusal)(nil); errors.As(err, &r) {
			a.turn.round = max(a.turn.round, r.promised.Round)
			conflict = true
		}
	}
	if conflict && e.Ctx == nil {
		return errConflict
	}
	return e
}

// A refusal is the answer of an acceptor that has promised a greater ballot.
type refusal struct{ promised Ballot }

func (r *refusal) Error() string { return fmt.Sprintf("quorum: ballot %v was promised", r.promised) }

// A sighting is what a quorum of acceptors has.
type sighting[V any] struct {
	slot   Slot[V] // the one with the greatest ballot
	chosen bool    // all of a quorum have it
}

// ask prepares b at a quorum of acceptors, or only asks them if b is zero.
func (c *CAS[K, V]) ask(ctx context.Context, key K, b Ballot) (sighting[V], *Error) {
	f := func(ctx context.Context, i int) (Slot[V], error) {
		s, err := c.acceptors[i].Prepare(ctx, key, b)
		if err == nil && b != (Ballot{}) && s.Promised != b {
			err = &refusal{s.Promised}
		}
		return s, err
	}
	answers, err := Do(ctx, c.opts.System, f, &c.prepares)
	if err != nil {
		return sighting[V]{}, err.(*Error) //nolint:errorlint // Do returns no other
	}

	// The greatest ballot wins.
	var top Slot[V]
	var with Set
	for _, a := range answers {
		switch a.Value.Accepted.Compare(top.Accepted) {
		case 0:
			with |= 1 << a.Replica
		case 1:
			top = a.Value
			with = 1 << a.Replica
		}
	}
	return sighting[V]{top, c.opts.System.Has(with)}, nil
}
