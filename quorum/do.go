// SPDX-License-Identifier: MIT

package quorum

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// An Answer is what a call of [Do] returned for one replica.
type Answer[T any] struct {
	Replica int // its number
	Value   T   // what the function returned
}

// Do calls f for the replicas of system, each in a goroutine of its own, until
// a quorum has returned without an error, and returns what these returned, in
// the order in which they did. It is for requests that are not reads or writes
// of states, such as a query to the shards of an index; for states, a [Cluster]
// does more.
//
// How many failures are tolerated is for system to say: Threshold(n-1, all)
// tolerates one, and Of(2, a, b, c), each a Threshold(n, zone), a whole zone.
//
// Do returns as soon as a quorum has become impossible, with an [*Error] that
// is an [ErrUnavailable] and wraps the errors of f; f itself knows what it
// changed. The zero System is an [ErrLevel]. If opts is nil, the defaults are
// used; an error of opts.Validate is returned as it is. Do panics if f is nil.
//
// The context of f ends when Do returns, and the goroutine when f does: f reads
// what it wants to return, such as the body of an answer, before it returns,
// and a request that must go on needs [context.WithoutCancel]. A panic of f is
// not recovered, and ends the program.
func Do[T any](ctx context.Context, system System, f func(ctx context.Context, replica int) (T, error), opts *DoOptions[T]) ([]Answer[T], error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	if system.node == nil {
		return nil, fmt.Errorf("%w: the zero System has no quorum", ErrLevel)
	}
	if f == nil {
		panic("quorum: f must not be nil")
	}

	// The requests end with the call.
	requests, cancel := context.WithCancel(ctx)
	defer cancel()
	return fanOut(ctx, requests, system, f, opts.resolve())
}

// fanOut is Do with a context for the requests.
func fanOut[T any](ctx, requests context.Context, system System, f func(ctx context.Context, replica int) (T, error), opts DoOptions[T]) ([]Answer[T], error) {
	d := &doing[T]{
		system:  system,
		f:       f,
		opts:    opts,
		turn:    rand.IntN(maxReplicas),
		ctx:     requests,
		wake:    make(chan struct{}, 1),
		answers: make([]Answer[T], 0, system.members.Len()),
	}
	err := ctx.Err()
	if err == nil {
		d.startAll(d.first())
		err = d.wait(ctx)
	}
	return d.leave(err)
}

// A doing is one call of [Do].
type doing[T any] struct {
	system System
	f      func(ctx context.Context, replica int) (T, error)
	opts   DoOptions[T]
	turn   int // which replica is the first among equals
	ctx    context.Context
	wake   chan struct{} // of capacity 1: gets one token when the vote is decided

	mu      sync.Mutex // protects the fields below
	sent    Set
	ok      Set
	failed  Set
	vote    Vote
	left    bool // the caller is not waiting any more
	answers []Answer[T]
	errs    []error // by replica; made by the first failure
}

// first returns the replicas that are asked at once.
func (d *doing[T]) first() (first Set) {
	if d.opts.Hedge == 0 {
		return d.system.members
	}
	for !d.system.Has(first) {
		first |= 1 << d.pick(first)
	}
	return first
}

// pick returns the replica to ask next when those in asked were, of which one
// is left.
func (d *doing[T]) pick(asked Set) int {
	return pick(d.system.members, d.opts.Near, asked, d.turn)
}

// startAll starts the requests to the first replicas.
func (d *doing[T]) startAll(first Set) {
	d.sent = first
	for i := range first.All() {
		go d.request(i) // ends when f returns
	}
}

// request calls f for replica i, and counts what it returns.
func (d *doing[T]) request(i int) {
	ctx := d.ctx
	if d.opts.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.opts.Timeout)
		defer cancel()
	}

	// An f that ends its goroutine has failed.
	var v T
	err := errEnded
	defer func() { d.answer(Answer[T]{i, v}, err) }()
	v, err = d.f(ctx, i)
}

// answer counts the answer of one replica, or discards it if it comes late.
func (d *doing[T]) answer(a Answer[T], err error) {
	terminal := err != nil && d.opts.Terminal != nil && d.opts.Terminal(err)
	d.mu.Lock()
	if d.left || d.vote != Pending {
		d.mu.Unlock()
		if err == nil {
			d.discard(a)
		}
		return
	}

	// Count it, and see if it is the one that decides.
	if err == nil {
		d.ok |= 1 << a.Replica
		d.answers = append(d.answers, a)
	} else {
		if d.errs == nil {
			d.errs = make([]error, maxReplicas)
		}
		d.failed |= 1 << a.Replica
		d.errs[a.Replica] = err
	}
	d.vote = d.system.Vote(d.ok, d.failed)
	if terminal {
		d.vote = Lost
	}
	decided := d.vote != Pending
	next := -1
	if err != nil {
		next = d.nextLocked() // a failure is no reason to wait for the hedge
	}
	d.mu.Unlock()

	if decided {
		d.wake <- struct{}{} // has room: the only token
	}
	if next >= 0 {
		go d.request(next) // ends when f returns
	}
}

// nextLocked returns a replica that was not asked yet, and counts it as asked;
// -1 if there is none, or the vote is decided.
func (d *doing[T]) nextLocked() int {
	if d.vote != Pending || d.sent == d.system.members {
		return -1
	}
	i := d.pick(d.sent)
	d.sent |= 1 << i
	return i
}

// wait waits until the vote is decided, and asks more replicas when those asked
// are late. It returns ctx.Err() if ctx ended first.
func (d *doing[T]) wait(ctx context.Context) error {
	var late <-chan time.Time // never ready while nil
	if d.opts.Hedge > 0 {
		ticker := time.NewTicker(d.opts.Hedge)
		defer ticker.Stop()
		late = ticker.C
	}

	for {
		select {
		case <-d.wake:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-late:
			d.mu.Lock()
			next := d.nextLocked()
			d.mu.Unlock()
			if next < 0 {
				late = nil // all were asked
				continue
			}
			go d.request(next) // ends when f returns
		}
	}
}

// leave ends the part of the caller: no more replicas are asked. It returns the
// answers of a quorum, or how far the call came. err is that of the context, if
// it has ended.
func (d *doing[T]) leave(err error) ([]Answer[T], error) {
	d.mu.Lock()
	d.left = true
	answers := d.answers
	if d.vote == Won {
		d.mu.Unlock()
		return answers, nil
	}
	e := &Error{Op: "do", OK: d.ok, Failed: d.failed, Pending: d.sent &^ (d.ok | d.failed), Kind: ErrUnavailable, Ctx: err}
	for i := range e.Failed.All() {
		e.Errs = append(e.Errs, d.errs[i])
	}
	d.mu.Unlock()

	for _, a := range answers {
		d.discard(a)
	}
	return nil, e
}

// discard gives up a value that the caller does not get.
func (d *doing[T]) discard(a Answer[T]) {
	if d.opts.Discard != nil {
		d.opts.Discard(a)
	}
}
