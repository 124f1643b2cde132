// SPDX-License-Identifier: MIT

package lru

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"
)

// A flight is a load of one key under way. It is registered in its shard from
// the moment at which the key was found absent until the moment at which its
// result is stored, both under the lock. So there is at most one, and no call
// falls between two. Every method that writes or removes the key detaches the
// flight: it still has its result for the calls that wait, but no call joins it
// any more, and nothing of it is stored.
type flight[K comparable, V any] struct {
	c       *Cache[K, V]
	key     K
	hash    uint64
	load    loadFunc[K, V]
	task    *task
	begunAt int64         // the reading when it was launched
	next    *flight[K, V] // of the same task

	landed atomic.Bool // it has ended: the fields below are constant

	// Protected by the lock of the shard until it has landed.
	detached  bool
	waiters   int
	since     uint64 // deletions of the shard when it was registered
	deletedAt uint64 // the last deletion of a tag of its value, or 0
	entry     Entry[V]
	err       error
	panicked  bool
	done      chan struct{} // closed when it has landed; nil until a call waits
}

// registerLocked registers a flight for key, as a part of t. A key that is not
// equal to itself cannot be found, so its flight is detached from the
// beginning.
func (c *Cache[K, V]) registerLocked(sh *shard[K, V], key K, hash uint64, t *task) *flight[K, V] {
	f := &flight[K, V]{
		c: c, key: key, hash: hash, task: t, since: sh.deletions, waiters: 1, detached: !isReflexive(key),
	}
	c.loading.Add(1)
	if f.detached {
		return f
	}
	if sh.flights == nil {
		sh.flights = map[K]*flight[K, V]{}
	}
	sh.flights[key] = f
	return f
}

// detachLocked takes f, unless it is nil, out of the shard: its result will not
// be stored.
func (sh *shard[K, V]) detachLocked(f *flight[K, V]) {
	if f == nil || sh.flights[f.key] != f {
		return // it was detached, or has landed
	}
	f.detached = true
	sh.unregisterLocked(f)
}

// unregisterLocked takes f, which is registered, out of the shard.
func (sh *shard[K, V]) unregisterLocked(f *flight[K, V]) {
	delete(sh.flights, f.key)
	if len(sh.flights) == 0 {
		sh.deletedTags = nil
	}
}

func (sh *shard[K, V]) detachAllLocked() {
	for _, f := range sh.flights {
		sh.detachLocked(f)
	}
}

// isWantedLocked reports whether r, which a load has brought, may be stored.
func (o *op[K, V]) isWantedLocked(r *request[K, V]) bool {
	f := r.flight
	for _, tag := range r.tags {
		if at := o.sh.deletedTags[tag]; at > f.since {
			f.deletedAt = max(f.deletedAt, at)
		}
	}
	return !f.detached && f.deletedAt == 0
}

// launch prepares f, and the flights that follow it, to run for ctx.
func (c *Cache[K, V]) launch(ctx context.Context, f *flight[K, V]) {
	t := f.task
	t.first = f
	begunAt := c.clock.read()
	for g := f; g != nil; g = g.next {
		g.begunAt = begunAt
		t.wanted++ // nobody else looks at it while the call that launches still waits
	}

	// The load outlives the call that began it, if others wait for it.
	if ctx.Done() != nil {
		ctx = context.WithoutCancel(ctx)
	}
	t.values = ctx
	t.ctx = t
	switch {
	case c.opts.LoadTimeout > 0:
		t.ctx, t.cancel = context.WithTimeout(t, c.opts.LoadTimeout)
		t.stop = context.AfterFunc(t.ctx, func() { c.timeOut(f) })
	case c.opts.CancelAbandoned:
		t.ctx, t.cancel = context.WithCancel(t)
	}
}

// timeOut ends the flights of f's task if their time is up: nobody waits for a
// loader that does not heed its context.
func (c *Cache[K, V]) timeOut(f *flight[K, V]) {
	t := f.task
	if !errors.Is(t.ctx.Err(), context.DeadlineExceeded) || !t.ended.CompareAndSwap(false, true) {
		return // it was abandoned, or the loader has returned
	}
	err := fmt.Errorf("lru: a load takes longer than %v: %w", c.opts.LoadTimeout, context.DeadlineExceeded)
	c.landAll(f, nil, err, false)
}

// run loads the key of f. However the loader ends, so does the flight.
func (c *Cache[K, V]) run(f *flight[K, V]) {
	var value V
	var err error
	guard(func() { value, err = f.load(f.task.ctx, f.key) }, func(p any, returned bool) {
		defer c.retire(f.task)
		if !returned {
			err = errorOf(p)
		}
		if f.task.ended.CompareAndSwap(false, true) {
			c.land(f, value, err, !returned)
		} else {
			c.discard(f, value, err)
		}
	})
}

// runMany loads the keys of f and the flights that follow it.
func (c *Cache[K, V]) runMany(f *flight[K, V]) {
	var keys []K
	for g := f; g != nil; g = g.next {
		keys = append(keys, g.key)
	}
	slices.Reverse(keys) // flights were put in front of each other

	var got map[K]V
	var err error
	guard(func() { got, err = c.opts.LoadMany(f.task.ctx, keys) }, func(p any, returned bool) {
		defer c.retire(f.task)
		if !returned {
			err = errorOf(p)
		}
		if f.task.ended.CompareAndSwap(false, true) {
			c.landAll(f, got, err, !returned)
			return
		}

		// The flights were landed by a timeout: the values come too late.
		for g := f; g != nil; g = g.next {
			if value, ok := got[g.key]; ok {
				c.discard(g, value, nil)
			}
		}
	})
}

// errorOf returns the error for user code that has panicked with p, or called
// Goexit if p is nil.
func errorOf(p any) error {
	if p == nil {
		return ErrGoexit
	}
	return &PanicError{p, debug.Stack()}
}

// retire ends t, whose loader has returned.
func (c *Cache[K, V]) retire(t *task) {
	if t.stop != nil {
		t.stop()
	}
	if t.cancel != nil {
		t.cancel()
	}
	if t.background {
		c.refreshing.Add(-1)
	}
}

// discard reports the result of a loader that came after its time was up.
func (c *Cache[K, V]) discard(f *flight[K, V], value V, err error) {
	if err == nil {
		o := c.begin(f.hash)
		o.noteLocked(f.key, value, Rejected)
		o.end()
		return
	}
	var p *PanicError
	if errors.As(err, &p) && c.opts.OnLoadError != nil {
		c.opts.OnLoadError(f.key, err)
	}
}

// landAll ends f and the flights that follow it: also if ending one of them
// panics.
func (c *Cache[K, V]) landAll(f *flight[K, V], got map[K]V, err error, panicked bool) {
	finish(func() {
		for f != nil {
			g := f
			f = f.next
			value, ok := got[g.key]
			switch {
			case ok && !panicked:
				c.land(g, value, nil, false)
			case err == nil:
				c.land(g, value, ErrNotFound, false)
			default:
				c.land(g, value, err, panicked)
			}
		}
	})
}

// A verdict is the judgment of the options about an error.
type verdict struct {
	missing bool // the key does not exist
	ttl     time.Duration
}

// land ends f. It asks the options about the result, stores the result and
// takes the flight out of the shard in one critical section, and reports.
func (c *Cache[K, V]) land(f *flight[K, V], value V, err error, panicked bool) {
	defer c.loading.Add(-1)
	r := request[K, V]{key: f.key, hash: f.hash, flight: f, inherits: true}
	var v verdict
	ask := func() {
		switch {
		case err == nil:
			c.fillRequest(&r, value)
		case !panicked:
			v.missing = errors.Is(err, ErrNotFound)
			if c.opts.ErrorTTL != nil {
				v.ttl = c.jittered(c.opts.ErrorTTL(f.key, err))
			}
		}
	}

	// The caller's functions may panic, and the load must land nevertheless.
	guard(ask, func(p any, returned bool) {
		if !returned {
			err = errorOf(p)
			panicked = true
		}
		out := c.settle(f, &r, v, err, panicked)

		// Report, without a lock.
		if err != nil && c.opts.OnLoadError != nil {
			c.opts.OnLoadError(f.key, err)
		}
		if out.had && out.stored && c.opts.Equal != nil && !c.opts.Equal(out.old, value) {
			sh := c.shardOf(f.hash)
			sh.mu.Lock()
			sh.changed++
			sh.mu.Unlock()
		}
	})
}

// settle stores the result of f, and wakes the calls that wait for it.
func (c *Cache[K, V]) settle(f *flight[K, V], r *request[K, V], v verdict, err error, panicked bool) (out outcome[V]) {
	took := max(c.clock.read()-f.begunAt, 0)
	o := c.begin(f.hash)
	defer o.end()
	o.sh.loads++
	o.sh.loadTime = saturated(o.sh.loadTime, took)
	f.err = err
	f.panicked = panicked

	if err == nil {
		f.entry.Value = r.value
		out = o.putLocked(r, false)
		if out.stored {
			f.entry = o.sh.entryLocked(out.slot, o.now)
		}
	} else {
		o.sh.loadFailures++
		o.failLocked(f, r, v)
	}

	// Let those that wait see it.
	if !f.detached {
		o.sh.unregisterLocked(f)
	}
	f.landed.Store(true)
	if f.done != nil {
		close(f.done)
	}
	return out
}

// Without ErrorTTL, a load that has failed is not tried again for a second,
// while its key has an old value to return. This time doubles with each further
// failure.
const (
	minRetry = time.Second
	maxRetry = 16 * time.Second
)

// failLocked makes the changes that a failure of f means for its key.
func (o *op[K, V]) failLocked(f *flight[K, V], r *request[K, V], v verdict) {
	sh := o.sh
	s := sh.find(uint32(f.hash), f.key)
	if s != 0 && v.missing && !f.detached {
		cause := Invalidated
		if sh.deadlines.due(s, o.now) {
			cause = Expired
		}
		o.removeLocked(s, cause)
		s = 0
	}

	// A stale value is the answer, a value that lives stays, and an absent one
	// is remembered as failed.
	switch {
	case s != 0 && sh.isStale(s, o.now, o.c.opts.StaleIfError):
		if !v.missing && !f.panicked {
			f.entry = sh.entryLocked(s, o.now)
			f.entry.Err = f.err
		}
		o.backOffLocked(f, s, v.ttl)
	case s != 0 && !sh.gone(s, o.now):
		// Refreshes are left alone for a moment whatever ErrorTTL says.
		first := min(minRetry, o.c.opts.RefreshAfter)
		o.backOffLocked(f, s, max(v.ttl, first))
	case v.ttl > 0:
		r.cost = 1
		r.ttl = v.ttl
		r.err = f.err
		o.putLocked(r, false)
	}
}

// backOffLocked notes that the load of s, if f was its load, is not tried again
// for the time least or, without ErrorTTL, for a second that doubles.
func (o *op[K, V]) backOffLocked(f *flight[K, V], s uint32, least time.Duration) {
	if f.detached {
		return
	}

	// Without ErrorTTL the pause doubles with each failure in a row.
	wait := least
	if o.c.opts.ErrorTTL == nil {
		first := minRetry
		if least > 0 {
			first = least
		}
		wait = max(first, min(2*o.sh.failures[s].wait, maxRetry))
	}
	if wait > 0 {
		o.sh.setFailure(s, failure{err: f.err, until: after(o.now, wait), wait: wait})
	}
}

// ensureDoneLocked makes f.done, so that a call can wait for f.
func (f *flight[K, V]) ensureDoneLocked() {
	if f.done == nil {
		f.done = make(chan struct{})
	}
}

// wait waits for f, whose channel is made or which has landed, and reports
// whether it landed before ctx ended.
func (f *flight[K, V]) wait(ctx context.Context) bool {
	if f.landed.Load() {
		return true
	}
	select {
	case <-f.done:
		return true
	case <-ctx.Done():
		f.leave()
		return false
	}
}

// panicError returns the panic that ended f, or nil.
func (f *flight[K, V]) panicError() *PanicError {
	if !f.panicked {
		return nil
	}
	var p *PanicError
	errors.As(f.err, &p) // f.err is ErrGoexit otherwise
	return p
}

// leave tells that a call does not wait for f any more. If it was the last one,
// and such loads are to be canceled, no call will join f: both happen in one
// critical section.
func (f *flight[K, V]) leave() {
	sh := f.c.shardOf(f.hash)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	f.waiters--
	if f.waiters > 0 || !f.c.opts.CancelAbandoned || f.task.background {
		return
	}

	// Nobody waits any more. The last key that a call of the loader is wanted
	// for ends it.
	sh.detachLocked(f)
	tasks.Lock()
	f.task.wanted--
	last := f.task.wanted == 0
	tasks.Unlock()
	if last {
		f.task.cancel()
	}
}
