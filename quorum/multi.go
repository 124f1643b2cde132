// SPDX-License-Identifier: MIT

package quorum

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// A Multi is a replicated map that loses no write: values that were written at
// once, neither writer knowing of the other one, stay beside each other until a
// write replaces them that has seen them. It is safe for concurrent use by
// multiple goroutines.
//
// The clock of a Multi names its writes, and orders none: clocks may be wrong
// by any amount. But its node number must be that of no other Multi on the same
// replicas: two with one number can lose writes, and one of them gets an
// [ErrNode] once it meets a newer write of the other one. A process that starts
// again may use the number again if its clock makes greater stamps than before.
//
// A key has room for 100 values, and for writes of 500 nodes. It remembers a
// node for good, so a number should not be drawn at each start.
type Multi[K comparable, V any] struct {
	c     *Cluster[K, Siblings[V]]
	clock *Clock
	turns turns[K, struct{}] // one Put of a key at a time
	until int64              // the greatest Wall of a stamp that was made before NewMulti

	mu   sync.Mutex // protects made
	made Stamp      // the last one
}

// NewMulti returns a map on replicas that names writes by clock. It returns the
// errors of [New]; AllowStale does not permit levels of which a read can miss a
// write. It panics if clock is nil.
func NewMulti[K comparable, V any](replicas []Replica[K, Siblings[V]], clock *Clock, opts *Options) (*Multi[K, V], error) {
	if clock == nil {
		panic("quorum: clock must not be nil")
	}
	c, err := New(replicas, opts)
	if err != nil {
		return nil, err
	}
	if c.read.mayMiss != nil {
		return nil, c.read.mayMiss
	}
	return &Multi[K, V]{c: c, clock: clock, until: clock.latest()}, nil
}

// Get returns the values of key, and is the context of a write that replaces
// them. It returns the errors of [Cluster.Load].
func (d *Multi[K, V]) Get(ctx context.Context, key K, calls ...Call) (Siblings[V], error) {
	return d.c.Load(ctx, key, calls...)
}

// Put writes v instead of the values in seen, which a Get or Put of key has
// returned: those are merged in v, or given up. Others stay beside it. It
// returns what key has then.
//
// It reads first, writes v, and then removes what v replaces: v is held by a
// quorum before, so that not both are lost if the writer dies. A Get meanwhile,
// or after a Put that has failed, may return both.
//
// It returns the errors of [Cluster.Load] and [Cluster.Merge]. Before anything
// is written, it returns an [ErrFull] if key has no room, an [ErrNode] if
// another Multi writes with the node number of d, an [ErrDrift] if the clock of
// d has gone back so far that such a write lies further ahead than MaxOffset,
// or the error of seen.Validate.
func (d *Multi[K, V]) Put(ctx context.Context, key K, v V, seen Siblings[V], calls ...Call) (Siblings[V], error) {
	var zero Siblings[V]
	turn, err := d.turns.enter(ctx, key)
	if err != nil {
		return zero, &Error{Op: "merge", Kind: ErrUnavailable, Ctx: err}
	}
	defer d.turns.leave(key, turn)
	old, write, err := d.read(ctx, key, seen, calls)
	if err != nil {
		return zero, err
	}

	// The stamp of v has to surpass those of the same node that key has.
	stamp, err := d.stamp(old.last(d.clock.node))
	if err != nil {
		return zero, err
	}
	var added Siblings[V]
	added.add(stamp, v)
	next := old.without(seen).Join(added)
	if !next.fits() {
		return zero, ErrFull
	}

	// A quorum has to hold v before anything is replaced by it: v alone could
	// get lost.
	if err := d.c.merge(ctx, key, added, write); err != nil {
		return zero, err
	}
	if zero.Covers(seen) {
		return next, nil
	}
	return next, indeterminate(d.c.merge(ctx, key, next, write))
}

// Delete removes the values in seen, which a Get or Put of key has returned.
// Others stay. It returns the errors of [Cluster.Load] and [Cluster.Merge], or
// that of seen.Validate.
func (d *Multi[K, V]) Delete(ctx context.Context, key K, seen Siblings[V], calls ...Call) error {
	old, write, err := d.read(ctx, key, seen, calls)
	if err != nil {
		return err
	}

	// Merge also if nothing of seen is left in old: the write that replaced it
	// may have failed, and told too few replicas.
	return d.c.merge(ctx, key, old.without(seen), write)
}

// read returns the state of key that a write begins with, and the system of its
// merges.
func (d *Multi[K, V]) read(ctx context.Context, key K, seen Siblings[V], calls []Call) (old Siblings[V], write System, err error) {
	d.c.mustUse()
	if err := seen.Validate(); err != nil {
		return old, write, err
	}
	call := combine(calls)
	call.atomic = true // no write may be weaker than those that reads meet
	p, err := d.c.planMerge(call)
	if err != nil {
		return old, write, err
	}
	old, err = d.c.Load(ctx, key)
	return old, p.system, err
}

// stamp returns a new stamp. last is the greatest stamp of the node that key
// has. If d has not made it, it is from before NewMulti, or from another Multi
// with the same number, which may be about to make the stamp that d makes.
func (d *Multi[K, V]) stamp(last Stamp) (Stamp, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if last.Compare(d.made) > 0 {
		if last.Wall > d.until {
			return Stamp{}, fmt.Errorf("%w: %d", ErrNode, last.Node)
		}
		if err := d.clock.Observe(last); err != nil {
			return Stamp{}, err
		}
	}
	d.made = d.clock.Now()
	return d.made, nil
}

// indeterminate returns err as the error of a call that has changed something.
func indeterminate(err error) error {
	if e := (*Error)(nil); errors.As(err, &e) {
		e.Kind = ErrIndeterminate
		return e
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrIndeterminate, err)
	}
	return nil
}

// Cluster returns the cluster below d, for [Cluster.Repair], [Cluster.Stats]
// and [Cluster.Close].
func (d *Multi[K, V]) Cluster() *Cluster[K, Siblings[V]] { return d.c }

// Close is [Cluster.Close].
func (d *Multi[K, V]) Close(ctx context.Context) error { return d.c.Close(ctx) }
