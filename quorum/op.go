// SPDX-License-Identifier: MIT

package quorum

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// An op is the requests of one call: loads, or merges of one state.
type op[K comparable, S State[S]] struct {
	c        *Cluster[K, S]
	requests []func()      // the request to each replica; bound once, so that starting one allocates nothing
	wake     chan struct{} // of capacity 1: gets one token when the vote is decided
	timer    *time.Timer   // of hedges; stopped outside of wait
	refs     atomic.Int32  // the caller, and each request that is out

	// Set before the first request.
	ctx     context.Context
	limit   *deadline // ctx of a merge; ends with the last request
	key     K
	state   S // to merge
	merging bool
	system  System // if zero, the vote is won when all have answered
	turn    int    // which replica is the first among equals

	mu     sync.Mutex // protects the fields below
	sent   Set
	ok     Set // with those that were known to hold the state
	failed Set
	vote   Vote
	left   bool // the caller is not waiting any more
	mend   bool // a replica that answers a load now, and lacks some of joined, is told
	joined S
	states []S // of the replicas in ok, of a load
	errs   []error
}

// newOp returns an op without requests, which the caller releases.
func (c *Cluster[K, S]) newOp(ctx context.Context, key K, system System) *op[K, S] {
	o, ok := c.ops.Get().(*op[K, S])
	if !ok {
		o = c.makeOp()
	}
	o.refs.Store(1)
	o.ctx = ctx
	o.key = key
	o.system = system
	return o
}

// makeOp returns an op for the pool.
func (c *Cluster[K, S]) makeOp() *op[K, S] {
	n := len(c.replicas)
	o := &op[K, S]{
		c:        c,
		wake:     make(chan struct{}, 1),
		requests: make([]func(), n),
		states:   make([]S, n),
		errs:     make([]error, n),
	}
	for i := range n {
		o.requests[i] = func() { o.request(i) }
	}
	return o
}

// newLoad returns an op that loads key until system has a quorum.
func (c *Cluster[K, S]) newLoad(ctx context.Context, key K, system System) *op[K, S] {
	o := c.newOp(ctx, key, system)
	o.turn = int(c.turn.Add(1) & (1<<16 - 1))
	return o
}

// newMerge returns an op that merges s into key until system has a quorum,
// counting the replicas in held, which are known to have it. Its requests do
// not end with ctx, but with their own timeout: a write that was begun is
// finished where that is possible.
func (c *Cluster[K, S]) newMerge(ctx context.Context, key K, s S, system System, held Set) *op[K, S] {
	limit := newDeadline(ctx, c.opts.writeTimeout())
	o := c.newOp(limit, key, system)
	o.limit = limit
	o.state = s
	o.merging = true
	o.ok = held
	return o
}

// release gives the reference of a request or of the caller back. The last one
// recycles o.
func (o *op[K, S]) release() {
	if o.refs.Add(-1) > 0 {
		return
	}
	if o.limit != nil {
		o.limit.end(context.Canceled)
	}
	c := o.c

	// All requests have ended: nobody sends another token.
	select {
	case <-o.wake:
	default:
	}

	// Let go of what belongs to the caller.
	var key K
	var zero S
	o.ctx = nil
	o.limit = nil
	o.key = key
	o.state = zero
	o.joined = zero
	o.merging = false
	clear(o.states)
	clear(o.errs)

	o.sent = 0
	o.ok = 0
	o.failed = 0
	o.vote = Pending
	o.left = false
	o.mend = false
	c.ops.Put(o)
	c.exit()
}

// spread starts the requests of a load: to as few replicas as have a quorum.
func (o *op[K, S]) spread() {
	var first Set
	for !o.system.Has(first) {
		first |= 1 << pick(o.system.members, o.c.topo.near, first, o.turn)
	}
	o.sendAll(first)
}

// pick returns the replica of members to ask next, when those in asked were: a
// near one if one is left, and each of these in its turn. The caller knows that
// asked is not all of members.
func pick(members, near, asked Set, turn int) int {
	group := members & near
	if group&^asked == 0 {
		group = members &^ near
	}

	// Take the first from a place that moves on with each load.
	from := group &^ asked
	place := group.nth(turn % group.Len())
	if after := from >> place << place; after != 0 {
		from = after
	}
	return from.lowest()
}

// sendAll starts requests to the replicas in targets. None has been started
// before.
func (o *op[K, S]) sendAll(targets Set) {
	o.sent = targets
	for i := range targets.All() {
		o.start(i)
	}
}

// start starts the request to replica i, which is in sent.
func (o *op[K, S]) start(i int) {
	o.refs.Add(1)
	go o.requests[i]() // ends when the replica returns
}

// request asks replica i, and counts its answer.
func (o *op[K, S]) request(i int) {
	timed := !o.merging && o.c.opts.Hedge == 0 && o.c.latency[i].wanted(o.turn)
	var began int64
	if timed {
		began = o.c.reading()
	}

	// A replica may end its goroutine: then it has failed. So may the Covers of
	// a state, to which a late answer is given: o is released nevertheless.
	defer o.release()
	var s S
	err := errEnded
	defer func() {
		// A request that its context ended took at least so long: without it,
		// only replicas that answer would seem slow.
		if timed && (err == nil || o.ctx.Err() != nil) {
			o.c.latency[i].add(o.c.reading() - began)
		}
		o.answer(i, s, err)
	}()

	if o.merging {
		err = o.c.replicas[i].Merge(o.ctx, o.key, o.state)
		return
	}

	// The time of a load starts with its request, which may be a hedge.
	ctx := o.ctx
	if d := o.c.opts.Timeout; d != 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d)
		defer cancel()
	}
	s, err = o.c.replicas[i].Load(ctx, o.key)
}

// reading returns the time since the cluster was made, in nanoseconds.
func (c *Cluster[K, S]) reading() int64 { return int64(time.Since(c.base)) }

// answer counts the answer of replica i.
func (o *op[K, S]) answer(i int, s S, err error) {
	// Count it, and see if it is the one that decides.
	bit := Set(1) << i
	o.mu.Lock()
	if err == nil {
		o.ok |= bit
		o.states[i] = s
	} else {
		o.failed |= bit
		o.errs[i] = err
	}
	decided := o.vote == Pending && o.countLocked() != Pending
	if invariants {
		o.checkLocked()
	}

	// A failure is no reason to wait for the hedge.
	next := -1
	if err != nil && !o.left {
		next = o.nextLocked()
	}
	behind := err == nil && o.mend
	joined := o.joined
	o.mu.Unlock()

	switch {
	case decided:
		o.wake <- struct{}{} // has room: the only token of this op
	case next >= 0:
		o.start(next)
	case behind && !s.Covers(joined):
		o.c.counters.repairs.Add(1)
		o.c.mend(o.ctx, i, o.key, joined)
	}
}

// countLocked sets the vote to what the answers make of it, and returns it.
func (o *op[K, S]) countLocked() Vote {
	switch {
	case o.system.node != nil:
		o.vote = o.system.Vote(o.ok, o.failed)
	case (o.ok | o.failed).covers(o.sent):
		o.vote = Won
	}
	return o.vote
}

// nextLocked returns a replica that a load has not asked yet, and counts it as
// asked; -1 if there is none, or the vote is decided.
func (o *op[K, S]) nextLocked() int {
	members := o.system.Replicas()
	if o.merging || o.vote != Pending || members&^o.sent == 0 {
		return -1
	}
	i := pick(members, o.c.topo.near, o.sent, o.turn)
	o.sent |= 1 << i
	o.c.counters.extra.Add(1)
	return i
}

// mend merges s into replica i, from which a load has just got less. If that
// fails, the next read of the replica tries again.
func (c *Cluster[K, S]) mend(ctx context.Context, i int, key K, s S) {
	limit := newDeadline(ctx, c.opts.writeTimeout())
	defer limit.end(context.Canceled)
	_ = c.replicas[i].Merge(limit, key, s)
}

// wait waits until the vote is decided, and asks more replicas when those asked
// are late. It returns ctx.Err() if ctx ended first.
func (o *op[K, S]) wait(ctx context.Context) error {
	// While late is nil it is never ready.
	var late <-chan time.Time
	if d := o.patience(); d > 0 {
		o.setTimer(d)
		defer o.timer.Stop()
		late = o.timer.C
	}

	for {
		select {
		case <-o.wake:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-late:
		}

		// The next one is given its own time.
		o.mu.Lock()
		next := o.nextLocked()
		o.mu.Unlock()
		if next < 0 {
			continue // all were asked
		}
		o.start(next)
		o.timer.Reset(o.c.patienceWith(SetOf(next)))
	}
}

// setTimer makes the timer run out after d.
func (o *op[K, S]) setTimer(d time.Duration) {
	if o.timer == nil {
		o.timer = time.NewTimer(d)
		return
	}
	o.timer.Reset(d)
}

// patience returns how long to wait before another replica is asked, 0 if none
// is.
func (o *op[K, S]) patience() time.Duration {
	if o.merging || o.c.opts.Hedge < 0 || o.system.Replicas() == 0 {
		return 0
	}
	o.mu.Lock()
	sent := o.sent
	o.mu.Unlock()
	if o.system.members == sent {
		return 0
	}
	return o.c.patienceWith(sent)
}

// leave ends the part of the caller: no more replicas are asked. It returns nil
// if the vote is won, and else how far the op came. err is that of the context,
// if it has ended.
func (o *op[K, S]) leave(name string, err error) *Error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.left = true
	every := o.system.node == nil
	if o.vote == Won && (!every || o.failed == 0) {
		return nil
	}

	// The replicas in unsure may keep a merge: those that confirmed it, those
	// that have not answered, and those whose answer may have got lost.
	e := &Error{
		Op: name, OK: o.ok, Failed: o.failed, Pending: o.sent &^ (o.ok | o.failed),
		Errs: make([]error, 0, o.failed.Len()), Kind: ErrUnavailable, Ctx: err,
	}
	unsure := e.OK | e.Pending
	for i := range e.Failed.All() {
		e.Errs = append(e.Errs, o.errs[i])
		if !errors.Is(o.errs[i], ErrUnavailable) {
			unsure |= 1 << i
		}
	}
	if o.merging && unsure != 0 {
		e.Kind = ErrIndeterminate
	}
	return e
}

// join returns the join of the states that were loaded, the replicas that hold
// it, and those that were loaded. If mend is set, and all of these agree,
// requests that end later tell their replica what it lacks.
func (o *op[K, S]) join(mend bool) (s S, held, ok Set) {
	var zero S
	for {
		// A race with answer: more replicas may have answered meanwhile. Their
		// states are used as well.
		o.mu.Lock()
		more := o.ok &^ ok
		if more == 0 && ok != 0 || o.ok == 0 {
			o.joined = s
			o.mend = mend && held.covers(ok)
			o.mu.Unlock()
			return s, held, ok
		}
		o.mu.Unlock()
		ok |= more

		for i := range more.All() {
			s = s.Join(o.states[i])
		}
		held = 0
		for i := range ok.All() {
			if o.states[i].Covers(s) {
				held |= 1 << i
			}
		}
		if zero.Covers(s) {
			held = o.c.topo.all // each replica holds the least state
		}
	}
}
