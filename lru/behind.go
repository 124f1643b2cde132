// SPDX-License-Identifier: MIT

package lru

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// ErrClosed is what a [Behind] returns for writes after Close.
var ErrClosed = errors.New("lru: closed")

// BehindOptions are the optional settings of a [Behind].
type BehindOptions[K comparable, V any] struct {
	// Interval is how long a write waits for others before it goes to the store, so that several of
	// one key become one. If zero, 5 * time.Second. If negative, until Flush or Close is called, or
	// half of MaxPending are waiting.
	Interval time.Duration

	// MaxPending is how many keys may wait to be saved. Then writes of further ones wait for room.
	// If zero, 10,000.
	MaxPending int

	// Apply saves several writes at once: no key is twice in it. If it fails, all of them are
	// tried again, so it must do no harm to apply them twice. If nil, Save and Remove of the store
	// are called for one after the other.
	Apply func(ctx context.Context, sets []Pair[K, V], removes []K) error

	// Batch is how many writes Apply is given at a time. If zero, 256.
	Batch int

	// Backoff is how long to wait after a failure. It doubles with each further one, up to a minute,
	// or Backoff if that is longer. If zero, 100 * time.Millisecond.
	Backoff time.Duration

	// Timeout bounds the context of each call of the store. If zero, it has no end.
	Timeout time.Duration

	// OnError is called when the store has failed, from a goroutine of the Behind, where a panic
	// ends the program.
	OnError func(err error)
}

// Validate returns an error if o cannot be used.
func (o *BehindOptions[K, V]) Validate() error {
	switch {
	case o == nil:
		return nil
	case o.MaxPending < 0:
		return fmt.Errorf("lru: BehindOptions.MaxPending must not be negative, got %d", o.MaxPending)
	case o.Batch < 0:
		return fmt.Errorf("lru: BehindOptions.Batch must not be negative, got %d", o.Batch)
	case o.Backoff < 0:
		return fmt.Errorf("lru: BehindOptions.Backoff must not be negative, got %v", o.Backoff)
	case o.Timeout < 0:
		return fmt.Errorf("lru: BehindOptions.Timeout must not be negative, got %v", o.Timeout)
	}
	return nil
}

// A Behind writes to a cache at once, and to a store later: write-behind. When a write returns nil,
// Load returns it, also after the cache has evicted it; it is lost if the process ends before it was
// saved. Of several writes of a key before it is saved, the last one is: writes of one key reach the
// store in their order, those of different ones in any. What the store refuses is tried until it
// takes it. Everybody must write through it, and read by its Load.
//
// It is safe for concurrent use by multiple goroutines. A goroutine runs only while the store is
// written to.
//
//	B1 pending has the writes that the store does not have for sure, by key.
//	B2 queue has those of them that are not being saved, each once, the longest waiting first.
//	B3 at most one goroutine saves. While none does and queue is not empty, the timer runs, unless
//	   Interval is negative and the last call of the store did not fail.
type Behind[K comparable, V any] struct {
	c     *Cache[K, V]
	store Store[K, V]
	opts  BehindOptions[K, V]

	mu       sync.Mutex // protects what follows; it is the last to be taken
	pending  map[K]*write[K, V]
	queue    []*write[K, V]
	saving   bool        // a goroutine is at it
	timer    *time.Timer // starts the next one; nil before it is first needed
	ticking  bool        // the timer runs
	failures int         // of the store, in a row
	lastErr  error       // of the last one
	closed   bool
	changed  chan struct{} // closed when something has been saved, or failed; nil if nobody waits
}

// A write is what the store is to be told of a key.
type write[K comparable, V any] struct {
	key    K
	value  V
	remove bool
	seq    uint64 // goes up with each write of the key
	saved  uint64 // up to which the store has it
	busy   bool   // it is being saved
	queued bool
}

// A saving is a write as it is being saved. Its key may be written again meanwhile.
type saving[K comparable, V any] struct {
	w      *write[K, V]
	seq    uint64
	value  V
	remove bool
}

// NewBehind returns a Behind between c and store. If opts is nil, the defaults are used. It panics
// if opts is not valid.
func NewBehind[K comparable, V any](c *Cache[K, V], store Store[K, V], opts *BehindOptions[K, V]) *Behind[K, V] {
	if err := opts.Validate(); err != nil {
		panic("lru: NewBehind: " + reason(err))
	}
	b := &Behind[K, V]{c: c, store: store, pending: map[K]*write[K, V]{}}
	if opts != nil {
		b.opts = *opts
	}
	b.opts.Interval = orDefault(b.opts.Interval, 5*time.Second)
	b.opts.MaxPending = orDefault(b.opts.MaxPending, 10_000)
	b.opts.Batch = orDefault(b.opts.Batch, 256)
	b.opts.Backoff = orDefault(b.opts.Backoff, 100*time.Millisecond)
	return b
}

func orDefault[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// Load returns the value of key: what was written last, or else [Cache.Load] by the store.
func (b *Behind[K, V]) Load(ctx context.Context, key K) (V, error) {
	return b.c.LoadFunc(ctx, key, b.fetch)
}

// fetch loads key for the cache: from what is pending, or else from the store.
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

// Set writes value under key, and returns when the cache has it. If MaxPending keys are waiting, it
// waits for room until ctx ends; then it returns ctx.Err(), and nothing has changed.
func (b *Behind[K, V]) Set(ctx context.Context, key K, value V) error {
	return b.write(ctx, key, value, false)
}

// Delete removes key, as Set.
func (b *Behind[K, V]) Delete(ctx context.Context, key K) error {
	var zero V
	return b.write(ctx, key, zero, true)
}

func (b *Behind[K, V]) write(ctx context.Context, key K, value V, remove bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.c.hash(key) // panics here, and not with a lock held, if key cannot be compared
	if !isReflexive(key) {
		return fmt.Errorf("lru: a key that is not equal to itself cannot be saved: %v", key)
	}
	b.mu.Lock()
	for b.pending[key] == nil && len(b.pending) >= b.opts.MaxPending && !b.closed {
		if b.failures == 0 {
			b.start()
		}
		if err := b.await(ctx); err != nil {
			b.mu.Unlock()
			return err
		}
	}
	if b.closed {
		b.mu.Unlock()
		return ErrClosed
	}
	w := b.pending[key]
	if w == nil {
		w = &write[K, V]{key: key}
		b.pending[key] = w
	}
	w.seq++
	w.value, w.remove = value, remove
	if !w.busy && !w.queued {
		w.queued = true
		b.queue = append(b.queue, w)
	}
	b.schedule()
	b.mu.Unlock()
	b.publish(key)
	return nil
}

// publish makes the cache hold what is pending of key. Whoever comes last of several finds what was
// written last. What the store has already is dropped: another write may have come and been saved.
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

// schedule sees to it that what is queued will be saved. b.mu is held.
func (b *Behind[K, V]) schedule() {
	switch {
	case b.saving || len(b.queue) == 0:
	case 2*len(b.pending) >= b.opts.MaxPending && b.failures == 0:
		b.start()
	case !b.ticking && b.opts.Interval > 0:
		b.tick(b.opts.Interval)
	}
}

// tick makes the timer start a goroutine after d. b.mu is held.
func (b *Behind[K, V]) tick(d time.Duration) {
	b.ticking = true
	if b.timer != nil {
		b.timer.Reset(d)
		return
	}
	b.timer = time.AfterFunc(d, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.start()
	})
}

// start starts a goroutine that saves, unless there is one or nothing to do. b.mu is held.
func (b *Behind[K, V]) start() {
	if b.ticking {
		b.timer.Stop()
		b.ticking = false
	}
	if b.saving || len(b.queue) == 0 {
		return
	}
	b.saving = true
	go b.save(len(b.queue)) // ends when it has saved these, or the store has failed
}

// save saves the first n that are queued. What is written meanwhile waits for its own time, or else
// nothing would be merged while the store is slow.
func (b *Behind[K, V]) save(n int) {
	for n > 0 {
		list := b.take(n)
		n -= len(list)
		if !b.saveAll(list) {
			return
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.saving = false
	b.schedule()
	b.notify()
}

// take takes up to n writes from the queue: as many as the store is given at a time.
func (b *Behind[K, V]) take(n int) []saving[K, V] {
	if b.opts.Apply == nil {
		n = 1
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	n = min(n, b.opts.Batch, len(b.queue))
	list := make([]saving[K, V], n)
	for i, w := range b.queue[:n] {
		w.busy, w.queued = true, false
		list[i] = saving[K, V]{w, w.seq, w.value, w.remove}
	}
	clear(b.queue[:n])
	b.queue = b.queue[n:]
	return list
}

// saveAll saves list, and reports whether that went well. Whatever the store does, list is either saved
// or queued again.
func (b *Behind[K, V]) saveAll(list []saving[K, V]) (ok bool) {
	err := ErrGoexit
	defer func() {
		if p := recover(); p != nil {
			err = &PanicError{p, debug.Stack()}
		}
		ok = err == nil
		defer b.settle(list, err)
		if err != nil && b.opts.OnError != nil {
			b.opts.OnError(err)
		}
	}()
	err = b.apply(list)
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
			return b.store.Remove(ctx, s.w.key)
		}
		return b.store.Save(ctx, s.w.key, s.value)
	}
	var sets []Pair[K, V]
	var removes []K
	for i := range list {
		if s := &list[i]; s.remove {
			removes = append(removes, s.w.key)
		} else {
			sets = append(sets, Pair[K, V]{s.w.key, s.value})
		}
	}
	return b.opts.Apply(ctx, sets, removes)
}

// settle ends what take began.
func (b *Behind[K, V]) settle(list []saving[K, V], err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.notify()
	var again []*write[K, V]
	for i := range list {
		s := &list[i]
		s.w.busy = false
		if err == nil {
			s.w.saved = s.seq
		}
		if s.w.saved == s.w.seq {
			delete(b.pending, s.w.key)
			continue
		}
		s.w.queued = true
		again = append(again, s.w)
	}
	if err == nil {
		b.failures, b.lastErr = 0, nil
		b.queue = append(b.queue, again...)
		return
	}
	b.queue = append(again, b.queue...)
	b.failures++
	b.lastErr = err
	b.saving = false
	b.tick(b.backoff())
}

// maxBackoff is how long the store is left alone at most, if Backoff is not longer.
const maxBackoff = time.Minute

// backoff returns how long to leave the store alone. b.mu is held.
func (b *Behind[K, V]) backoff() time.Duration {
	d, limit := b.opts.Backoff, max(b.opts.Backoff, maxBackoff)
	for range b.failures - 1 {
		if d > limit/2 {
			return limit
		}
		d *= 2
	}
	return d
}

// notify wakes all in await. b.mu is held.
func (b *Behind[K, V]) notify() {
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
}

// await waits until something has changed, or ctx ends. b.mu is held, and released meanwhile.
func (b *Behind[K, V]) await(ctx context.Context) (err error) {
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

// Pending returns how many keys wait to be saved, or are being saved.
func (b *Behind[K, V]) Pending() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.pending)
}

// Flush saves what was written before it, without waiting for Interval, and returns when the store
// has it. If ctx ends first, it returns an error that wraps ctx.Err(), and what the store said last,
// if it failed; what is pending stays so.
func (b *Behind[K, V]) Flush(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.flush(ctx)
}

// flush is Flush. b.mu is held.
func (b *Behind[K, V]) flush(ctx context.Context) error {
	type mark struct {
		w   *write[K, V]
		seq uint64
	}
	marks := make([]mark, 0, len(b.pending))
	for _, w := range b.pending {
		marks = append(marks, mark{w, w.seq})
	}
	b.start()
	for len(marks) > 0 {
		if m := marks[0]; m.w.saved >= m.seq {
			marks = marks[1:]
			continue
		}
		if b.failures == 0 {
			b.start()
		}
		if err := b.await(ctx); err != nil {
			return fmt.Errorf("lru: %d keys are not saved: %w", len(b.pending), errors.Join(err, b.lastErr))
		}
	}
	return nil
}

// Close makes further writes return [ErrClosed], and saves what is pending, as Flush. When it returns
// nil, nothing of b runs any more. If ctx ends first, b goes on trying to save, and Close may be called again.
func (b *Behind[K, V]) Close(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.notify()
	if err := b.flush(ctx); err != nil {
		return err
	}
	for b.saving {
		if err := b.await(ctx); err != nil {
			return fmt.Errorf("lru: Close: %w", err)
		}
	}
	return nil
}
