// SPDX-License-Identifier: MIT

package lru

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// A flight is a load of one key under way. It is registered in its shard from the moment at which
// the key was seen to be absent until the moment at which its result is there, both under the
// lock, so that there is at most one, and no call falls between two. Who writes or removes the key
// detaches it: it still has its result for those that wait, but nobody joins it any more, and
// nothing of it is stored.
type flight[K comparable, V any] struct {
	c          *Cache[K, V]
	key        K
	hash       uint64
	load       func(context.Context, K) (V, error)
	task       *task
	ctx        context.Context
	cancel     context.CancelFunc // or nil
	background bool               // no call has asked for it
	begun      int64              // when it was launched
	next       *flight[K, V]      // of the same task

	landed atomic.Bool // it has ended: what follows is constant

	// Protected by the lock of the shard until landed.
	detached bool
	waiters  int
	start    uint64 // sweeps of the shard when it began
	sweptAt  uint64 // the last sweep that found what it brought, or 0
	suspect  bool   // it was detached after a sweep that may have
	entry    Entry[V]
	err      error
	panicked bool
	done     chan struct{} // closed when it has landed; nil until somebody wants to wait
}

// A failure is what is known of a slot whose last load failed.
type failure struct {
	err   error
	until int64 // no attempt is made before; of a bare one, its deadline tells
	bare  bool  // the slot has no value
}

// fail remembers f of s.
func (sh *shard[K, V]) fail(s uint32, f failure) {
	if sh.failures == nil {
		sh.failures = map[uint32]failure{}
	}
	sh.failures[s] = f
}

// register begins a flight for key, as a part of t. One whose key is not equal to itself cannot be
// found, and so it is detached from the beginning. The lock of sh is held.
func (c *Cache[K, V]) register(sh *shard[K, V], key K, hash uint64, t *task) *flight[K, V] {
	f := &flight[K, V]{
		c: c, key: key, hash: hash, task: t, start: sh.sweeps, waiters: 1, detached: !isReflexive(key),
	}
	c.loading.Add(1)
	if !f.detached {
		if sh.flights == nil {
			sh.flights = map[K]*flight[K, V]{}
		}
		sh.flights[key] = f
	}
	return f
}

// detach takes f, unless it is nil, out of the shard: its result will not be stored.
func (sh *shard[K, V]) detach(f *flight[K, V]) {
	if f == nil || f.detached {
		return
	}
	f.detached = true
	f.suspect = sh.sweeps > f.start
	delete(sh.flights, f.key)
	if len(sh.flights) == 0 {
		sh.swept = nil
	}
}

func (sh *shard[K, V]) detachAll() {
	for _, f := range sh.flights {
		sh.detach(f)
	}
}

// minSwept is the number of tags from which on it is worth looking for those that can be forgotten.
const minSwept = 16

// sweep notes that tag is being deleted: what loads under way bring with that tag is old. Tags are
// forgotten when no flight is older, at the latest when they have doubled.
func (sh *shard[K, V]) sweep(tag string) {
	if len(sh.flights) == 0 {
		return
	}
	if len(sh.swept) >= max(sh.sweepTo, minSwept) {
		oldest := sh.sweeps
		for _, f := range sh.flights {
			oldest = min(oldest, f.start)
		}
		for t, n := range sh.swept {
			if n <= oldest {
				delete(sh.swept, t)
			}
		}
		sh.sweepTo = 2 * len(sh.swept)
	}
	if sh.swept == nil {
		sh.swept = map[string]uint64{}
	}
	sh.sweeps++
	sh.swept[tag] = sh.sweeps
}

// wanted reports whether r, which a load brought, may still be stored.
func (o *op[K, V]) wanted(r *request[K, V]) bool {
	f := r.flight
	for _, tag := range r.tags {
		if n := o.sh.swept[tag]; n > f.start {
			f.sweptAt = max(f.sweptAt, n)
		}
	}
	return !f.detached && f.sweptAt == 0
}

// outdated reports whether what f brought may be older than a call that has joined it when the shard
// had seen that many sweeps: DeleteTag does not know which loads it is about, and lets calls join them.
func (f *flight[K, V]) outdated(sweeps uint64) bool {
	return f.err == nil && (f.sweptAt != 0 && sweeps >= f.sweptAt || f.suspect && sweeps > f.start)
}

// launch prepares f, and the flights that follow it, to run for ctx.
func (f *flight[K, V]) launch(ctx context.Context) {
	f.task.first = f
	if ctx.Done() != nil {
		ctx = context.WithoutCancel(ctx)
	}
	f.task.values = ctx
	ctx = f.task
	switch {
	case f.c.loadTimeout > 0:
		ctx, f.cancel = context.WithTimeout(ctx, f.c.loadTimeout)
	case f.c.abandon:
		ctx, f.cancel = context.WithCancel(ctx)
	}
	begun, cancel := f.c.elapsed(), f.cancel
	for ; f != nil; f = f.next {
		f.task.wanted++ // nobody else looks at it while the call that launches still waits
		f.ctx, f.cancel, f.begun = ctx, cancel, begun
	}
}

// run loads the key of f. Whatever happens in it, the flight ends.
func (c *Cache[K, V]) run(f *flight[K, V]) {
	var value V
	err, panicked := ErrGoexit, true
	defer func() {
		if p := recover(); p != nil {
			err = &PanicError{p, debug.Stack()}
		}
		c.settle(f, value, err, panicked)
	}()
	value, err = f.load(f.ctx, f.key)
	panicked = false
}

// runMany loads the keys of f and those that follow it.
func (c *Cache[K, V]) runMany(f *flight[K, V], keys []K) {
	var got map[K]V
	err, panicked := ErrGoexit, true
	defer func() {
		if p := recover(); p != nil {
			err = &PanicError{p, debug.Stack()}
		}
		c.settleAll(f, got, err, panicked)
	}()
	got, err = c.loadMany(f.ctx, keys)
	panicked = false
}

// settleAll ends f and those that follow it: also if ending one of them panics.
func (c *Cache[K, V]) settleAll(f *flight[K, V], got map[K]V, err error, panicked bool) {
	if f == nil {
		return
	}
	defer c.settleAll(f.next, got, err, panicked)
	value, ok := got[f.key]
	switch {
	case ok && !panicked:
		c.settle(f, value, nil, false)
	case err == nil:
		c.settle(f, value, ErrNotFound, false)
	default:
		c.settle(f, value, err, panicked)
	}
}

// A verdict is what the options say about an error.
type verdict struct {
	missing bool // the key is not there
	ttl     time.Duration
}

// settle ends f: it asks the options about the result, stores it, wakes those that wait, and
// reports.
func (c *Cache[K, V]) settle(f *flight[K, V], value V, loadErr error, panicked bool) {
	r := request[K, V]{key: f.key, hash: f.hash, flight: f}
	v, err, wild := verdict{}, ErrGoexit, true // unless the options return
	defer func() {
		if p := recover(); p != nil {
			err = &PanicError{p, debug.Stack()}
		}
		f.panicked = panicked || wild
		c.land(f, &r, err, v)
	}()
	switch {
	case loadErr == nil:
		c.fill(&r, value)
	case !panicked:
		v.missing = errors.Is(loadErr, ErrNotFound)
		if c.errorTTL != nil {
			v.ttl = c.jittered(c.errorTTL(f.key, loadErr))
		}
	}
	err, wild = loadErr, false
}

// land stores the result of f and takes it out of the shard, in one critical section, and reports.
func (c *Cache[K, V]) land(f *flight[K, V], r *request[K, V], err error, v verdict) {
	defer c.loading.Add(-1)
	if f.background {
		defer c.refreshing.Add(-1)
	}
	if err != nil && c.onLoadError != nil {
		defer c.onLoadError(f.key, err)
	}
	took := max(time.Duration(c.elapsed()-f.begun), 0)
	o := c.begin(f.hash)
	defer o.end()
	f.err = err
	o.sh.loads++
	o.sh.loadTime += took
	if err == nil {
		f.entry.Value = r.value
		if _, _, stored := o.put(r, false); stored {
			f.entry = c.entry(o.sh, find(&o.sh.index, o.sh.cells, uint32(f.hash), f.key), o.now)
		}
	} else {
		o.sh.loadFailures++
		o.failed(f, r, v)
	}
	o.sh.detach(f)
	f.landed.Store(true)
	if f.done != nil {
		close(f.done)
	}
	if f.cancel != nil {
		f.cancel()
	}
}

// minRetry is how long a refresh that failed is not tried again, if RefreshAfter is not shorter.
const minRetry = time.Second

// failed does what a failure of f means for its key.
func (o *op[K, V]) failed(f *flight[K, V], r *request[K, V], v verdict) {
	sh := o.sh
	s := find(&sh.index, sh.cells, uint32(f.hash), f.key)
	if s != 0 && v.missing && !f.detached {
		cause := Invalidated
		if sh.deadlines.due(s, o.now) {
			cause = Expired
		}
		o.drop(s, cause)
		s = 0
	}
	known := failure{err: f.err, until: after(o.now, v.ttl)}
	switch {
	case s != 0 && sh.stale(s, o.now, o.c.staleIfError):
		if !v.missing && !f.panicked {
			f.entry = o.c.entry(sh, s, o.now)
			f.entry.Err = f.err
		}
		if !f.detached && v.ttl > 0 {
			sh.fail(s, known)
		}
	case s != 0 && !sh.gone(s, o.now):
		if !f.detached {
			known.until = after(o.now, max(v.ttl, min(minRetry, o.c.refreshAfter)))
			sh.fail(s, known)
		}
	case v.ttl > 0:
		r.cost, r.ttl, r.err = 1, v.ttl, f.err
		o.put(r, false)
	}
}

// A task is a loader under way, with the flights that it loads. It is the context of the loader, with
// the values of the call that began it and not its end. So what a loader waits for can be told: if
// that were the loader itself, by whatever ways, it would wait for ever.
type task struct {
	values context.Context // of the call that began it
	parent *task           // the task from within which it began, and which waits for it
	first  any             // the first of its flights; others follow by next
	wanted int             // flights that somebody waits for; protected by tasks
	waits  map[*task]int   // the tasks it waits for, how often; protected by tasks
}

// tasks protects the waits of all tasks. It is taken only by loads within loads, and when a load is
// abandoned, and nothing else is locked with it held.
var tasks sync.Mutex

type taskKey struct{}

// Deadline, Done and Err are those of a context that does not end.
func (t *task) Deadline() (deadline time.Time, ok bool) { return deadline, false }
func (t *task) Done() <-chan struct{}                   { return nil }
func (t *task) Err() error                              { return nil }

// Value returns t for its own key, and else what the call that began it has.
func (t *task) Value(key any) any {
	if key == (taskKey{}) {
		return t
	}
	return t.values.Value(key)
}

// taskOf returns the task in whose loader ctx is, or nil.
func taskOf(ctx context.Context) *task {
	t, _ := ctx.Value(taskKey{}).(*task)
	return t
}

// await notes that t, unless it is nil, waits for u. It does not, and returns false, if u waits for t.
func (t *task) await(u *task) bool {
	if t == nil {
		return true
	}
	tasks.Lock()
	defer tasks.Unlock()
	if u.reaches(t) {
		return false
	}
	if t.waits == nil {
		t.waits = map[*task]int{}
	}
	t.waits[u]++
	return true
}

// reaches reports whether t is u or waits for it. There are no cycles, so this ends.
func (t *task) reaches(u *task) bool {
	if t == u {
		return true
	}
	for w := range t.waits {
		if w.reaches(u) {
			return true
		}
	}
	return false
}

// awaited ends what await began.
func (t *task) awaited(u *task) {
	if t == nil {
		return
	}
	tasks.Lock()
	defer tasks.Unlock()
	if t.waits[u]--; t.waits[u] == 0 {
		delete(t.waits, u)
	}
}

// within reports whether a load of key in c is under way in t or in those from within which it began.
func within[K comparable, V any](t *task, c *Cache[K, V], key K) bool {
	for ; t != nil; t = t.parent {
		for f, _ := t.first.(*flight[K, V]); f != nil; f = f.next {
			if f.c == c && f.key == key && !f.landed.Load() {
				return true
			}
		}
	}
	return false
}

// awaitable sees to it that wait can wait for f. The lock of the shard is held.
func (f *flight[K, V]) awaitable() {
	if f.done == nil {
		f.done = make(chan struct{})
	}
}

// wait waits for f, which is awaitable or has landed, and reports whether it landed before ctx ended.
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

// panic returns the panic that ended f, or nil.
func (f *flight[K, V]) panic() *PanicError {
	if !f.panicked {
		return nil
	}
	var p *PanicError
	errors.As(f.err, &p) // it is not for Goexit
	return p
}

// leave tells that a call does not wait for f any more. If it was the last one, and such loads are to
// be canceled, nobody will join it: both happen in one critical section.
func (f *flight[K, V]) leave() {
	sh := f.c.shardOf(f.hash)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	f.waiters--
	if f.waiters > 0 || !f.c.abandon || f.background {
		return
	}
	sh.detach(f)
	tasks.Lock()
	f.task.wanted--
	last := f.task.wanted == 0
	tasks.Unlock()
	if last {
		f.cancel()
	}
}

// A PanicError is what callers of Load panic with when the loader has panicked, and what
// Options.OnLoadError is told.
type PanicError struct {
	Value any    // what the loader panicked with
	Stack []byte // where
}

// Error returns the value and the stack.
func (e *PanicError) Error() string {
	return fmt.Sprintf("lru: a loader panicked: %v\n\n%s", e.Value, e.Stack)
}

// Unwrap returns the value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
