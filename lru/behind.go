// SPDX-License-Identifier: MIT

package lru

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"
)

// Implementation notes for Behind.
//
// A write is pending until the store has it. Those that wait stand in two
// lines, fresh and refused, from which a goroutine takes them.
//
// Invariants, checked by tests:
//
//	B1 pending has the writes that the store does not have for sure, by key.
//	B2 fresh and refused have the pending writes that are not being saved, each
//	   once; refused has those whose last attempt failed.
//	B3 at most one goroutine saves. While none does, the timer runs if refused is
//	   not empty, or fresh is not and Interval is positive or the store has
//	   failed.

// A Behind writes to a cache at once, and to a store later: write-behind. When
// a write returns nil, Load returns its value, also after the cache has evicted
// it. The value is lost if the process ends before it was saved. Of several
// writes of a key before it is saved, the last one is saved: writes of one key
// reach the store in their order, those of different keys in any. All writers
// must use the Behind, and readers its Load.
//
// A write that the store refuses is tried until the store takes it, or OnError
// or GiveUp gives it up. It does not hold up others: writes that were never
// refused go first, and each refused one waits for a time of its own.
//
// It is safe for concurrent use by multiple goroutines. A goroutine runs only
// while the store is written to. Use [NewBehind]; methods of a zero Behind
// panic, but for Pending and Stats.
type Behind[K comparable, V any] struct {
	c     *Cache[K, V]
	store Store[K, V]
	opts  BehindOptions[K, V] // resolved

	mu       sync.Mutex // protects the fields below; it is the last to be taken
	pending  map[K]*write[K, V]
	fresh    []*write[K, V] // the longest waiting first
	refused  []*write[K, V] // the longest waiting first
	saving   bool           // a goroutine is at it
	asked    bool           // by Flush, for another goroutine when this one ends
	clock    clock
	timer    *time.Timer // starts the next one; nil before it is first needed
	alarm    int64       // the reading at which the timer goes off; never if it does not run
	failures int         // of the store, in a row
	resumeAt int64       // refused writes are not tried before, after a failure
	lastErr  error       // the last failure, if failures is not 0
	closed   bool
	changed  chan struct{} // closed when a write was saved, refused or given up; nil if nobody waits
	stats    BehindStats
}

// A write is the newest change of a key that the store has to be told.
type write[K comparable, V any] struct {
	key    K
	value  V
	remove bool
	seq    uint64 // goes up with each write of the key
	saved  uint64 // the write up to which the store has it
	busy   bool   // it is being saved
	queued bool   // it is in fresh or refused

	// Since the store has last taken a write of the key.
	failures int   // attempts that failed
	tries    int   // of these, those of this write alone
	due      int64 // no attempt is made before
}

// A saving is a write as it is being saved. Its key may be written again
// meanwhile.
type saving[K comparable, V any] struct {
	w      *write[K, V]
	seq    uint64
	value  V
	remove bool
	giveUp bool
}

// NewBehind returns a Behind between c and store. If opts is nil, the defaults
// are used. It panics if opts is not valid.
func NewBehind[K comparable, V any](c *Cache[K, V], store Store[K, V], opts *BehindOptions[K, V]) *Behind[K, V] {
	if err := opts.Validate(); err != nil {
		panic(err)
	}
	return &Behind[K, V]{
		c:       c,
		store:   store,
		opts:    opts.resolve(),
		pending: map[K]*write[K, V]{},
		clock:   newClock(nil),
		alarm:   never,
	}
}

// mustUse panics if b is the zero Behind.
func (b *Behind[K, V]) mustUse() {
	if b.c == nil {
		panic("lru: zero Behind: use NewBehind")
	}
}

// Load returns the value of key: the one written last, or else [Cache.Load] by
// the store.
func (b *Behind[K, V]) Load(ctx context.Context, key K) (V, error) {
	b.mustUse()
	return b.c.LoadFunc(ctx, key, b.fetch)
}

// fetch loads key for the cache: from the pending writes, or else from the
// store.
func (b *Behind[K, V]) fetch(ctx context.Context, key K) (value V, err error) {
	b.mu.Lock()
	w := b.pending[key]
	if w != nil {
		value = w.value
		if w.remove {
			err = ErrNotFound
		}
	}
	b.mu.Unlock()
	if w == nil {
		return b.store.Load(ctx, key)
	}
	return value, err
}

// Set writes value under key, and returns when the cache has it. If MaxPending
// keys are waiting, it waits for room until ctx ends; then it returns
// ctx.Err(), and nothing has changed.
func (b *Behind[K, V]) Set(ctx context.Context, key K, value V) error {
	return b.write(ctx, key, value, false)
}

// Delete removes key, as Set.
func (b *Behind[K, V]) Delete(ctx context.Context, key K) error {
	var zero V
	return b.write(ctx, key, zero, true)
}

func (b *Behind[K, V]) write(ctx context.Context, key K, value V, remove bool) error {
	b.mustUse()
	if err := ctx.Err(); err != nil {
		return err
	}
	b.c.hash(key) // panics here, and not with a lock held, if key cannot be compared
	if !isReflexive(key) {
		return fmt.Errorf("lru: a key that is not equal to itself cannot be saved: %v", key)
	}

	// Wait for room.
	b.mu.Lock()
	for b.pending[key] == nil && len(b.pending) >= b.opts.MaxPending && !b.closed {
		if b.failures == 0 {
			b.startLocked()
		}
		if err := b.awaitLocked(ctx); err != nil {
			b.mu.Unlock()
			return err
		}
	}
	if b.closed {
		b.mu.Unlock()
		return ErrClosed
	}

	// The cache knows the value before the caller goes on.
	b.enqueueLocked(key, value, remove)
	b.scheduleLocked()
	b.mu.Unlock()
	b.publish(key)
	return nil
}

// enqueueLocked makes value the pending write of key.
func (b *Behind[K, V]) enqueueLocked(key K, value V, remove bool) {
	b.stats.Writes++
	w := b.pending[key]
	if w == nil {
		w = &write[K, V]{key: key}
		b.pending[key] = w
	}

	// The newest value replaces one that was not saved yet.
	w.seq++
	w.value = value
	w.remove = remove
	if w.queued {
		b.stats.Merged++
		return
	}

	// A write that is being saved joins again when that call ends.
	if !w.busy {
		w.queued = true
		b.fresh = append(b.fresh, w)
	}
}

// publish makes the cache hold the pending write of key. The last of several
// calls finds the last write. If the store has it already, the key is dropped:
// another write may have come and been saved.
func (b *Behind[K, V]) publish(key K) {
	b.c.Update(key, func(V, bool) (value V, keep bool) {
		b.mu.Lock()
		defer b.mu.Unlock()
		if w := b.pending[key]; w != nil && !w.remove {
			return w.value, true
		}
		return value, false
	})
}

// scheduleLocked makes sure that queued writes will be saved.
func (b *Behind[K, V]) scheduleLocked() {
	if b.saving {
		return
	}
	if 2*len(b.pending) >= b.opts.MaxPending && b.failures == 0 && len(b.fresh) > 0 {
		b.startLocked()
		return
	}

	// Writes that were never refused wait for Interval, also while the store is
	// left alone: otherwise one key that it refuses would hold up the others.
	now := b.clock.read()
	if len(b.fresh) > 0 && b.failures > 0 {
		b.wakeLocked(max(b.resumeAt, now))
	}
	if len(b.fresh) > 0 && b.opts.Interval > 0 {
		b.wakeLocked(after(now, b.opts.Interval))
	}

	// Refused writes have times of their own.
	if len(b.refused) > 0 {
		due := int64(never)
		for _, w := range b.refused {
			due = min(due, w.due)
		}
		b.wakeLocked(max(due, b.resumeAt, now))
	}
}

// wakeLocked makes the timer start a goroutine at the reading at, or before.
func (b *Behind[K, V]) wakeLocked(at int64) {
	if at >= b.alarm {
		return
	}
	b.alarm = at

	// The function of the timer takes the lock, so it finds the state as it is
	// then.
	d := time.Duration(at - b.clock.read())
	if b.timer != nil {
		b.timer.Reset(d)
		return
	}
	b.timer = time.AfterFunc(d, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.startLocked()
	})
}

// startLocked starts a goroutine that saves, unless there is one or nothing to
// do.
func (b *Behind[K, V]) startLocked() {
	if b.alarm != never {
		b.timer.Stop()
		b.alarm = never
	}
	if b.saving || len(b.fresh)+len(b.refused) == 0 {
		return
	}
	b.saving = true
	b.asked = false
	go b.save(len(b.fresh)) // ends when it has saved these, or the store has failed
}

// save saves the first n fresh writes, and then the refused ones that are due.
// Writes that come meanwhile wait for their own time: otherwise nothing would
// be merged while the store is slow.
func (b *Behind[K, V]) save(n int) {
	defer func() { // also if the store calls Goexit
		b.mu.Lock()
		defer b.mu.Unlock()
		b.saving = false
		if b.asked {
			b.startLocked()
		}
		b.scheduleLocked()
		b.notifyLocked()
	}()
	for {
		list := b.nextBatch(n)
		if len(list) == 0 || !b.saveBatch(list) {
			return // done, or the store is left alone for a while
		}
		n = max(n-len(list), 0)
	}
}

// nextBatch takes writes from the queues, as many as the store is given at a
// time: up to n fresh ones or, if n is 0, refused ones that are due. A write
// that was refused is given in a batch of half the size each time, so that in
// the end one that the store never takes is alone.
func (b *Behind[K, V]) nextBatch(n int) []saving[K, V] {
	b.mu.Lock()
	defer b.mu.Unlock()
	limit := b.opts.Batch
	if b.opts.Apply == nil {
		limit = 1
	}

	// Fresh writes come first, at most n of them: those that were there at the
	// start.
	var list []saving[K, V]
	if n > 0 {
		n = min(n, limit, len(b.fresh))
		for _, w := range b.fresh[:n] {
			list = append(list, w.begin())
		}
		clear(b.fresh[:n])
		b.fresh = b.fresh[n:]
		return list
	}

	// Then refused ones that are due, in batches that halve with each failure.
	now := b.clock.read()
	skipped := 0
	for _, w := range b.refused {
		limit = min(limit, max(b.opts.Batch>>min(w.failures, 30), 1))
		if len(list) >= limit {
			break
		}
		if now < w.due {
			b.refused[skipped] = w
			skipped++
			continue
		}
		list = append(list, w.begin())
	}
	b.refused = slices.Delete(b.refused, skipped, skipped+len(list))
	return list
}

// begin returns w as it is to be saved now.
func (w *write[K, V]) begin() saving[K, V] {
	w.busy = true
	w.queued = false
	return saving[K, V]{w: w, seq: w.seq, value: w.value, remove: w.remove}
}

// saveBatch saves list, and reports whether that went well. Whatever the store
// does, list is saved, queued again, or given up.
func (b *Behind[K, V]) saveBatch(list []saving[K, V]) (ok bool) {
	var err error
	guard(func() { err = b.apply(list) }, func(p any, returned bool) {
		// A store that panics or ends its goroutine has failed.
		if !returned {
			err = errorOf(p)
		}
		ok = err == nil
		defer b.settle(list, err)
		if err == nil || b.opts.OnError == nil {
			return
		}
		for i := range list {
			// Only the error of a call for one key is that key's fault.
			w := list[i].w
			if len(list) == 1 {
				list[i].giveUp = b.opts.OnError(w.key, err, w.tries+1)
			} else {
				b.opts.OnError(w.key, err, 0)
			}
		}
	})
	return ok
}

// apply gives list to the store.
func (b *Behind[K, V]) apply(list []saving[K, V]) error {
	ctx := context.Background()
	if b.opts.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, b.opts.Timeout)
		defer cancel()
	}

	if b.opts.Apply == nil {
		s := &list[0]
		if s.remove {
			return b.store.Delete(ctx, s.w.key)
		}
		return b.store.Set(ctx, s.w.key, s.value)
	}

	// One call for all.
	var sets []Pair[K, V]
	var deletes []K
	for i := range list {
		if s := &list[i]; s.remove {
			deletes = append(deletes, s.w.key)
		} else {
			sets = append(sets, Pair[K, V]{s.w.key, s.value})
		}
	}
	return b.opts.Apply(ctx, sets, deletes)
}

// settle ends the attempt to save list.
func (b *Behind[K, V]) settle(list []saving[K, V], err error) {
	var dropped []K
	b.mu.Lock()
	b.stats.Calls++
	b.lastErr = err
	if err != nil {
		b.stats.Failures++
		b.failures++
		b.resumeAt = after(b.clock.read(), b.backoff(b.failures))
	} else {
		b.failures = 0
		b.resumeAt = math.MinInt64
	}

	// Each write learns the outcome.
	for i := range list {
		if b.settleWriteLocked(&list[i], err, len(list) == 1) {
			dropped = append(dropped, list[i].w.key)
		}
	}
	b.notifyLocked()
	b.mu.Unlock()

	for _, key := range dropped {
		b.publish(key)
	}
}

// settleWriteLocked ends the attempt to save s, and reports whether it was
// given up.
func (b *Behind[K, V]) settleWriteLocked(s *saving[K, V], err error, alone bool) (dropped bool) {
	w := s.w
	w.busy = false
	switch {
	case err == nil:
		b.stats.Saved++
		w.saved = s.seq
		w.failures = 0
		w.tries = 0
	case s.giveUp:
		b.stats.GivenUp++
		w.saved = s.seq
		w.failures = 0
		w.tries = 0
		dropped = true
	default:
		w.failures++
		if alone {
			w.tries++
		}
		w.due = after(b.clock.read(), b.backoff(w.failures))
	}

	// Nothing newer was written meanwhile.
	if w.saved == w.seq {
		delete(b.pending, w.key)
		return dropped
	}

	// It goes to the back of its line.
	w.queued = true
	if w.failures > 0 {
		b.refused = append(b.refused, w)
	} else {
		b.fresh = append(b.fresh, w)
	}
	return dropped
}

// maxBackoff is the longest backoff, if Backoff is not longer.
const maxBackoff = time.Minute

// backoff returns the time to wait after a number of failures in a row.
func (b *Behind[K, V]) backoff(failures int) time.Duration {
	d := b.opts.Backoff
	limit := max(d, maxBackoff)
	for range failures - 1 {
		if d > limit/2 {
			return limit
		}
		d *= 2
	}
	return d
}

// notifyLocked wakes all calls in awaitLocked.
func (b *Behind[K, V]) notifyLocked() {
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
}

// awaitLocked waits until something has changed, or ctx ends. The lock is
// released meanwhile.
func (b *Behind[K, V]) awaitLocked(ctx context.Context) (err error) {
	if b.changed == nil {
		b.changed = make(chan struct{})
	}
	changed := b.changed
	b.mu.Unlock()
	defer b.mu.Lock()
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Pending returns the number of keys that wait to be saved, or are being saved.
func (b *Behind[K, V]) Pending() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.pending)
}

// Stats returns the counters of b.
func (b *Behind[K, V]) Stats() BehindStats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.stats
	s.Pending = len(b.pending)
	return s
}

// Flush saves all earlier writes, without waiting for Interval, and returns
// when the store has them, or they were given up. If ctx ends first, it returns
// an error that wraps ctx.Err(), and the last error of the store, if it failed;
// pending writes stay so.
func (b *Behind[K, V]) Flush(ctx context.Context) error {
	b.mustUse()
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.flushLocked(ctx)
}

func (b *Behind[K, V]) flushLocked(ctx context.Context) error {
	type mark struct {
		w   *write[K, V]
		seq uint64
	}
	marks := make([]mark, 0, len(b.pending))
	for _, w := range b.pending {
		marks = append(marks, mark{w, w.seq})
	}

	// The store is asked at once, whatever it said before. The goroutine that
	// saves may be past its last attempt: then the next one asks.
	for _, w := range b.refused {
		w.due = math.MinInt64
	}
	b.asked = b.saving
	b.startLocked()

	// Wait for the writes that were there, not for those that join meanwhile.
	for len(marks) > 0 {
		if m := marks[0]; m.w.saved >= m.seq {
			marks = marks[1:]
			continue
		}
		if b.failures == 0 && len(b.fresh) > 0 {
			b.startLocked()
		}
		if err := b.awaitLocked(ctx); err != nil {
			return fmt.Errorf("lru: %d keys are not saved: %w", len(b.pending), errors.Join(err, b.lastErr))
		}
	}
	return nil
}

// GiveUp gives up all pending writes that are not being saved, and returns
// their keys. The store keeps its own values of them, and the cache drops them.
// After Close it makes the Behind come to its end though the store is down.
func (b *Behind[K, V]) GiveUp() (keys []K) {
	b.mustUse()
	b.mu.Lock()
	for _, list := range [][]*write[K, V]{b.fresh, b.refused} {
		for _, w := range list {
			w.queued = false
			w.saved = w.seq
			delete(b.pending, w.key)
			keys = append(keys, w.key)
		}
	}
	b.fresh = nil
	b.refused = nil
	b.stats.GivenUp += uint64(len(keys))
	b.startLocked() // stops the timer
	b.notifyLocked()
	b.mu.Unlock()

	for _, key := range keys {
		b.publish(key)
	}
	return keys
}

// Close makes further writes return [ErrClosed], and saves pending writes, as
// Flush. When it returns nil, nothing of b runs any more. If ctx ends first, b
// goes on trying to save: Close may be called again, or GiveUp.
func (b *Behind[K, V]) Close(ctx context.Context) error {
	b.mustUse()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.notifyLocked()
	if err := b.flushLocked(ctx); err != nil {
		return err
	}

	// The cache may still be dropping the keys of writes that were given up.
	for b.saving {
		if err := b.awaitLocked(ctx); err != nil {
			return fmt.Errorf("lru: Close: %w", err)
		}
	}
	return nil
}
