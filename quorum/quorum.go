// SPDX-License-Identifier: MIT

package quorum

// Implementation notes.
//
// A call makes one op (op.go), which asks replicas, each from a goroutine of
// its own, and counts their answers in three sets:
//
//	sent ⊇ ok ∪ failed      vote = system.Vote(ok, failed)
//
//	caller ──▶ op ──▶ go replica 0 ─┐ answer: ok or failed, vote;
//	  ▲         ├───▶ go replica 1 ─┤ the one that decides wakes the caller
//	  └─ wake ◀─┴───▶ go replica 2 ─┘
//
// The caller leaves at the first answer that decides the vote, or when its
// context ends. The requests that are out then are stragglers: they go on, and
// their answers are still used. A straggling merge keeps what the caller was
// told is written; a straggling load that turns out to be behind is repaired.
// References count the caller and the requests; the last one gives the op back.
//
// Replicas hold a join-semilattice: merging is commutative, associative and
// idempotent. Therefore a request may be sent twice, late, or in any order, and
// a repair is nothing but one more merge.
//
// Invariants, checked under the tag invariants after each answer:
//
//	I1 ok and failed have no replica in common.
//	I2 Each replica that answered was asked, or was known to hold the state
//	   before.
//	I3 The vote is what the system says of ok and failed, unless the op waits
//	   for all replicas, and never changes once decided.
//
// Lock order: Multi.mu, then Clock.mu; no other two are held together. A
// Cluster and a Handoff call Replicas, Join and Covers under none.
//
// Why not a context that ends with the call, as errgroup has: it cancels the
// writes that a quorum did not need, and those replicas then lack every write
// until they are repaired. Why not a channel of replies: one for each call and
// a closure for each request are 8 allocations of a call to three replicas. Why
// not ask all replicas to read: with two of three and a hedge, 2.02 requests a
// call have nearly the 99.9th percentile of three.

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// A State is what replicas hold under a key: a value of a join-semilattice. The
// zero S is the least of all, and the state of a key that was never written.
// States are not changed once they were handed over.
//
// [LWW] is one; a set that grows and a counter per node are others.
type State[S any] interface {
	// Join returns the least state that covers both. It is commutative,
	// associative and idempotent.
	Join(S) S

	// Covers reports whether the state contains the other one: Join would
	// return the state itself.
	Covers(S) bool
}

// A Replica is one copy of the data, mostly a client of a server. Its methods
// are called from many goroutines at once. They should return when the context
// ends. An error says that there is no answer, not that a key is absent; if it
// wraps [ErrUnavailable], the request surely had no effect. A panic is not
// recovered, and ends the program.
type Replica[K comparable, S State[S]] interface {
	// Load returns the state of key, the zero S if there is none.
	Load(ctx context.Context, key K) (S, error)

	// Merge replaces the state of key by its join with s. When Merge returns
	// nil, the replica will not forget s, even if it crashes.
	Merge(ctx context.Context, key K, s S) error
}

// A Cluster reads and writes replicas. It is safe for concurrent use by
// multiple goroutines. Requests that a call did not wait for go on without it:
// [Cluster.Close] waits for them.
type Cluster[K comparable, S State[S]] struct {
	replicas []Replica[K, S]
	opts     Options
	topo     topology
	sloppy   error     // says that hints count as written: reads at any level can miss those; or nil
	base     time.Time // readings count from here
	read     *plan     // of Options.Read
	write    *plan     // of Options.Write
	plans    [maxReplicas - int(EachQuorum) + 1]atomic.Pointer[plan]
	ops      sync.Pool // of *op; per cluster, since channels stay within a synctest bubble
	turn     atomic.Uint32
	latency  []latency // of loads, by replica
	counters counters

	// Twice the number of ops in use, and 1 once closed.
	active atomic.Int64
	idle   chan struct{} // closed when the last op after Close ended
	once   sync.Once     // closes idle
}

// New returns a cluster of replicas, of which there are 1 to 64, each listed
// once: one that is listed twice would count as two. If opts is nil, the
// defaults are used. It returns an error if opts is not valid, if a level needs
// more replicas or zones than there are, or if reads can miss writes and
// AllowStale is not set.
func New[K comparable, S State[S]](replicas []Replica[K, S], opts *Options) (*Cluster[K, S], error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	c := &Cluster[K, S]{
		replicas: append([]Replica[K, S](nil), replicas...),
		opts:     opts.resolve(),
		base:     time.Now(),
		latency:  make([]latency, len(replicas)),
		idle:     make(chan struct{}),
	}
	if err := c.place(); err != nil {
		return nil, err
	}

	// The levels of Options, or the systems that stand in for them.
	write, err := c.choose(c.opts.Write, c.opts.WriteSystem)
	if err != nil {
		return nil, err
	}
	read, err := c.choose(c.opts.Read, c.opts.ReadSystem)
	if err != nil {
		return nil, err
	}
	c.write = planOf("Options.Write", write, write)
	c.read = planOf("Options.Read", read, write)
	c.read.mayMiss = cmp.Or(c.read.mayMiss, c.sloppy)
	if c.read.mayMiss != nil && !c.opts.AllowStale {
		return nil, c.read.mayMiss
	}

	// A write of Options reads by Options.Read if it is atomic, and has to meet
	// all writes then.
	c.write.mayMiss = c.read.mayMiss
	return c, nil
}

// place checks the replicas, and fills in the topology.
func (c *Cluster[K, S]) place() error {
	n := len(c.replicas)
	if n < 1 || n > maxReplicas {
		return fmt.Errorf("quorum: number of replicas must be between 1 and %d, got %d", maxReplicas, n)
	}
	for i, r := range c.replicas {
		if r == nil {
			return fmt.Errorf("quorum: replica %d must not be nil", i)
		}
		if isSloppy(r) {
			c.sloppy = fmt.Errorf("%w: reads can miss writes that replica %d keeps as hints", ErrLevel, i)
		}
	}

	// Without zones all replicas are near.
	c.topo.all = First(n)
	c.topo.near = c.topo.all
	if len(c.opts.Zones) == 0 {
		return nil
	}

	// With zones those of the caller's are.
	if len(c.opts.Zones) != n {
		return fmt.Errorf("quorum: Options.Zones must be one for each of %d replicas, got %d", n, len(c.opts.Zones))
	}
	c.topo.zones = c.opts.Zones
	c.topo.near = 0
	for i, z := range c.opts.Zones {
		if z == c.opts.Zone {
			c.topo.near |= 1 << i
		}
	}
	return nil
}

// choose returns the system instead if it is set, and otherwise that of l.
func (c *Cluster[K, S]) choose(l Level, instead System) (System, error) {
	if instead.node == nil {
		return c.topo.system(l)
	}
	if !c.topo.all.covers(instead.members) {
		return System{}, fmt.Errorf("%w: %v needs more than replicas %v", ErrLevel, instead, c.topo.all)
	}
	return instead, nil
}

// planAt returns the plan of level l, which is computed when it is first used.
func (c *Cluster[K, S]) planAt(l Level) *plan {
	if !l.valid() {
		_, err := c.topo.system(l)
		return &plan{err: err}
	}
	slot := &c.plans[int(l)-int(EachQuorum)]
	if p := slot.Load(); p != nil {
		return p
	}

	system, err := c.topo.system(l)
	p := &plan{err: err}
	if err == nil {
		p = planOf(l.String(), system, c.write.system)
		p.mayMiss = cmp.Or(p.mayMiss, c.sloppy)
	}
	slot.Store(p)
	return p
}

// planLoad returns the plan of a load with the settings of call.
func (c *Cluster[K, S]) planLoad(call Call) (*plan, error) {
	p := c.read
	if call.at {
		p = c.planAt(call.level)
	}
	switch {
	case p.err != nil:
		return nil, p.err
	case p.mayMiss != nil && (call.atomic || !c.opts.AllowStale):
		return nil, p.mayMiss
	}
	return p, nil
}

// planMerge returns the plan of a merge with the settings of call.
func (c *Cluster[K, S]) planMerge(call Call) (*plan, error) {
	p := c.write
	if call.at {
		p = c.planAt(call.level)
	}
	switch {
	case p.err != nil:
		return nil, p.err
	case p.tooWeak != nil && (call.atomic || !c.opts.AllowStale):
		return nil, p.tooWeak
	case call.atomic && c.read.mayMiss != nil:
		return nil, c.read.mayMiss
	}
	return p, nil
}

// Load returns the join of the states of key at a quorum of replicas: all
// merges that were completed at a level that the read meets, and perhaps more.
// It asks as many replicas as needed, the near ones first and each in its turn,
// and others when some fail or are late. If the replicas differ, those behind
// are told, as Options.Repair says.
//
// With [Atomic], each load that starts after this one returned covers its
// result. The error is an [*Error] that is an [ErrUnavailable], an [ErrLevel],
// or [ErrClosed].
func (c *Cluster[K, S]) Load(ctx context.Context, key K, calls ...Call) (S, error) {
	var zero S
	c.mustUse()
	call := combine(calls)
	p, err := c.planLoad(call)
	if err != nil {
		return zero, err
	}
	ended := ctx.Err()
	if !c.enter() {
		return zero, ErrClosed
	}
	c.counters.loads.Add(1)
	o := c.newLoad(ctx, key, p.system)
	defer o.release()

	// Ask, and wait for a quorum.
	if ended != nil {
		return zero, c.fail(o.leave("load", ended))
	}
	o.spread()
	err = o.wait(ctx)
	if e := o.leave("load", err); e != nil {
		return zero, c.fail(e)
	}
	s, held, ok := o.join(c.opts.Repair != RepairOff)

	// The replicas that answered agree, or those behind are told. An atomic
	// read is done when a write quorum holds the result. That all agree is not
	// enough: another read quorum may know nothing of it.
	sure := !call.atomic || c.write.system.Has(held)
	agreed := ok&^held == 0
	if sure && (agreed || c.opts.Repair == RepairOff) {
		return s, nil
	}
	if e := c.spreadResult(ctx, key, s, held, sure); e != nil {
		return zero, c.fail(e)
	}
	return s, nil
}

// spreadResult merges s, the result of a load, into the replicas that are not
// known to hold it. Unless sure, it returns an error if a write quorum does not
// come to hold it.
func (c *Cluster[K, S]) spreadResult(ctx context.Context, key K, s S, held Set, sure bool) *Error {
	c.counters.repairs.Add(1)
	c.active.Add(2) // the load is not over, so neither is a Close
	o := c.newMerge(ctx, key, s, c.write.system, held)
	defer o.release()
	o.sendAll(c.topo.all &^ held)
	if sure && (c.opts.Repair == RepairAsync || c.write.system.Has(held)) {
		return nil
	}

	err := o.wait(ctx)
	if e := o.leave("load", err); e != nil && !sure {
		e.Kind = ErrUnavailable // the caller has written nothing
		return e
	}
	return nil
}

// Merge joins s into the state of key at all replicas, and returns when a
// quorum has it. The others go on after that.
//
// The error is an [*Error] that is an [ErrIndeterminate], or an
// [ErrUnavailable] if no replica has kept anything; an [ErrLevel]; or
// [ErrClosed].
func (c *Cluster[K, S]) Merge(ctx context.Context, key K, s S, calls ...Call) error {
	c.mustUse()
	p, err := c.planMerge(combine(calls))
	if err != nil {
		return err
	}
	return c.merge(ctx, key, s, p.system)
}

// merge is Merge at a system.
func (c *Cluster[K, S]) merge(ctx context.Context, key K, s S, system System) error {
	ended := ctx.Err()
	if !c.enter() {
		return ErrClosed
	}
	c.counters.merges.Add(1)
	o := c.newMerge(ctx, key, s, system, 0)
	defer o.release()

	if ended != nil {
		return c.fail(o.leave("merge", ended))
	}
	o.sendAll(c.topo.all)
	err := o.wait(ctx)
	return c.fail(o.leave("merge", err))
}

// Repair reads key from all replicas, and merges the join of what they hold
// into those that lack some of it. It returns the replicas that hold the join.
// Call it for each key from time to time, and after a replica returned from
// maintenance: reads alone repair only what is read.
//
// It returns an [*Error] if some replica was not read or not repaired.
func (c *Cluster[K, S]) Repair(ctx context.Context, key K) (Set, error) {
	c.mustUse()
	ended := ctx.Err()
	if !c.enter() {
		return 0, ErrClosed
	}

	// Without a system, an op waits for all that were asked.
	read := c.newLoad(ctx, key, System{})
	defer read.release()
	if ended != nil {
		return 0, c.fail(read.leave("repair", ended))
	}
	read.sendAll(c.topo.all)
	err := read.wait(ctx)
	failed := read.leave("repair", err)
	s, held, ok := read.join(false)
	if ok == 0 || held == c.topo.all {
		return held, c.fail(failed)
	}

	// Tell the others, those among them that could not be read.
	c.counters.repairs.Add(1)
	c.active.Add(2) // the read is not over, so neither is a Close
	o := c.newMerge(ctx, key, s, System{}, held)
	defer o.release()
	o.sendAll(c.topo.all &^ held)
	err = o.wait(ctx)
	if e := o.leave("repair", err); e != nil {
		return e.OK, c.fail(e)
	}
	return c.topo.all, c.fail(failed)
}

// fail counts e, and returns it as an error.
func (c *Cluster[K, S]) fail(e *Error) error {
	switch {
	case e == nil:
		return nil
	case errors.Is(e.Kind, ErrIndeterminate):
		c.counters.indeterminate.Add(1)
	default:
		c.counters.unavailable.Add(1)
	}
	return e
}

// Close makes all methods return ErrClosed, and waits for the requests that
// are out. It returns an error if ctx ends before they do, or if they take
// twice the timeout of a write.
func (c *Cluster[K, S]) Close(ctx context.Context) error {
	before := c.active.Or(1)
	if before&1 == 1 {
		return ErrClosed
	}
	if before == 0 {
		return nil
	}

	// A write may start a repair as it ends. A request that takes longer than
	// both is at a replica that does not heed its context.
	timer := time.NewTimer(time.Duration(plus(int64(c.opts.writeTimeout()), int64(c.opts.writeTimeout()))))
	defer timer.Stop()
	err := context.DeadlineExceeded
	select {
	case <-c.idle:
		return nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-timer.C:
	}
	return fmt.Errorf("quorum: close: %d calls have requests outstanding: %w", c.active.Load()/2, err)
}

// mustUse panics if c is not from New, NewKV or NewMulti.
func (c *Cluster[K, S]) mustUse() {
	mustBe(c != nil && c.replicas != nil, "quorum: zero Cluster, KV or Multi: use New, NewKV or NewMulti")
}

// mustBe panics with text unless ok.
func mustBe(ok bool, text string) {
	if !ok {
		panic(text)
	}
}

// enter counts an op, unless the cluster is closed.
func (c *Cluster[K, S]) enter() bool {
	if c.active.Add(2)&1 == 1 {
		c.exit()
		return false
	}
	return true
}

// exit ends what enter counted.
func (c *Cluster[K, S]) exit() {
	if c.active.Add(-2) == 1 {
		c.once.Do(func() { close(c.idle) })
	}
}
