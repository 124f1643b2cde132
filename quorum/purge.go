// SPDX-License-Identifier: MIT

package quorum

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Purge forgets the deletions among keys, which otherwise are kept for good. It
// tells each deletion to all replicas, waits for grace, and then has the
// replicas forget them, except those of keys that were written meanwhile. A key
// whose deletion some replica could not be told stays for the next time, and
// the error says why.
//
// The calls of all clients that were under way when all replicas had the
// deletion, their requests, and the hints that a [Handoff] keeps have to be
// over after grace, or a value may come back. Clocks must differ by less than
// grace, too. So grace is mostly an hour or a day.
//
// The replicas need a method
//
//	Purge(ctx context.Context, key K, s LWW[V]) error
//
// that forgets the state of key if s covers it, as [Memory.Purge] does; else
// Purge returns an [errors.ErrUnsupported]. It returns an [ErrLevel] if hints
// count as written, since nobody knows what a replica has then.
func (d *KV[K, V]) Purge(ctx context.Context, grace time.Duration, keys ...K) (err error) {
	d.c.mustUse()
	if d.c.sloppy != nil {
		return d.c.sloppy
	}
	for i, r := range d.c.replicas {
		if _, ok := r.(purger[K, LWW[V]]); !ok {
			return fmt.Errorf("quorum: replica %d cannot purge: %w", i, errors.ErrUnsupported)
		}
	}

	// All replicas have to hold a deletion before any forgets it.
	deleted := map[K]LWW[V]{}
	for _, key := range keys {
		s, e := d.c.readAll(ctx, key)
		if e == nil && s.Deleted {
			deleted[key] = s
			e = d.c.tellAll(ctx, key, s)
		}
		if e != nil {
			delete(deleted, key)
			err = errors.Join(err, e)
		}
	}
	if len(deleted) == 0 {
		return err
	}
	if e := pause(ctx, grace); e != nil {
		return errors.Join(err, e)
	}

	for key, s := range deleted {
		err = errors.Join(err, d.c.forget(ctx, key, s))
	}
	return err
}

// A purger is a replica that can forget a state.
type purger[K comparable, S any] interface {
	Purge(ctx context.Context, key K, s S) error
}

// readAll returns the join of what all replicas hold of key.
func (c *Cluster[K, S]) readAll(ctx context.Context, key K) (s S, err error) {
	ended := ctx.Err()
	if !c.enter() {
		return s, ErrClosed
	}
	o := c.newLoad(ctx, key, System{})
	defer o.release()
	if ended != nil {
		return s, c.fail(o.leave("purge", ended))
	}
	o.sendAll(c.topo.all)
	err = o.wait(ctx)
	if e := o.leave("purge", err); e != nil {
		return s, c.fail(e)
	}
	s, _, _ = o.join(false)
	return s, nil
}

// tellAll merges s into all replicas, also into those that have answered with
// it: they may have it as a hint.
func (c *Cluster[K, S]) tellAll(ctx context.Context, key K, s S) error {
	if !c.enter() {
		return ErrClosed
	}
	o := c.newMerge(ctx, key, s, System{}, 0)
	defer o.release()
	o.sendAll(c.topo.all)
	err := o.wait(ctx)
	e := o.leave("purge", err)
	if e != nil {
		e.Kind = ErrUnavailable // the caller has written nothing
	}
	return c.fail(e)
}

// forget has all replicas forget key if it is still s.
func (c *Cluster[K, S]) forget(ctx context.Context, key K, s S) error {
	_, err := Do(ctx, Threshold(c.topo.all.Len(), c.topo.all), func(ctx context.Context, i int) (struct{}, error) {
		if !c.enter() {
			return struct{}{}, ErrClosed
		}
		defer c.exit()
		return struct{}{}, c.replicas[i].(purger[K, S]).Purge(ctx, key, s)
	}, &DoOptions[struct{}]{Timeout: c.opts.writeTimeout()})
	if e := (*Error)(nil); errors.As(err, &e) {
		e.Op = "purge"
	}
	return err
}

// Purge forgets the state of key if s covers it: nothing was merged since. It
// is for [KV.Purge], which knows when that does no harm.
func (m *Memory[K, S]) Purge(_ context.Context, key K, s S) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now, ok := m.states[key]; ok && s.Covers(now) {
		delete(m.states, key)
	}
	return nil
}

// Purge has the target forget the state of key if s covers it, and forgets the
// hint of key if s covers that. It returns an [errors.ErrUnsupported] if the
// target has no Purge.
func (h *Handoff[K, S]) Purge(ctx context.Context, key K, s S) error {
	target, ok := h.target.(purger[K, S])
	if !ok {
		return fmt.Errorf("quorum: target cannot purge: %w", errors.ErrUnsupported)
	}
	if err := target.Purge(ctx, key, s); err != nil {
		return err
	}
	if now, _ := h.get(key); s.Covers(now.state) {
		h.replace(key, now, nil)
	}
	return nil
}
