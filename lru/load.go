// SPDX-License-Identifier: MIT

package lru

import (
	"context"
	"time"
)

// An Entry is a value with its attributes.
type Entry[V any] struct {
	// Value is the value that was stored or loaded.
	Value V

	// Age is the time since the value was stored; 0 if ages are not kept: see
	// Options.TrackAge.
	Age time.Duration

	// Left is the time for which the cache will return the value: Forever if
	// without end, 0 if it is not stored.
	Left time.Duration

	// Err is why the value could not be loaded again, if it has expired and is
	// returned nevertheless: see Options.StaleIfError.
	Err error
}

// entryLocked returns the value of s with its attributes.
func (sh *shard[K, V]) entryLocked(s uint32, now int64) Entry[V] {
	e := Entry[V]{Value: sh.cells[s].value, Left: Forever}
	if sh.born != nil {
		e.Age = time.Duration(now - sh.born[s])
	}
	switch {
	case sh.gone(s, now):
		e.Left = 0
	case sh.deadlines.at != nil:
		e.Left = leftAt(now, sh.deadlines.at[s])
	}
	return e
}

// leftAt returns the time from now to the deadline t.
func leftAt(now, t int64) time.Duration {
	if t == never {
		return Forever
	}
	return time.Duration(t - now)
}

// ttlLeftLocked returns the rest of the TTL of s, apart from its idle time.
func (sh *shard[K, V]) ttlLeftLocked(s uint32, now int64) time.Duration {
	t := int64(never)
	switch {
	case sh.hard != nil:
		t = sh.hard[s]
	case sh.deadlines.at != nil:
		t = sh.deadlines.at[s]
	}
	return leftAt(now, t)
}

// loader returns the loader of the options. It panics if there is none.
func (c *Cache[K, V]) loader() loadFunc[K, V] {
	if c.opts.Load == nil {
		panic("lru: Options.Load or LoadMany is needed")
	}
	return c.opts.Load
}

// Load returns the value of key, and loads it by Options.Load if it is absent.
// Of several calls for a key one loads, and all wait, each until its own ctx
// ends: then it returns ctx.Err(), and the load goes on. If ctx can be
// canceled, or Options.LoadTimeout is set, the loader runs in a goroutine of
// its own, so that the call can return early; otherwise it runs in the
// caller's. If it panics, so do all calls that wait, with a [*PanicError].
//
// A value older than Options.RefreshAfter is returned and loaded again in the
// background. An expired value is returned only if the load fails, and
// Options.StaleIfError allows it.
//
// A key that is set, deleted or cleared while a load is under way stays so: the
// load returns its value to the calls that wait for it, and does not store it.
// It panics if neither Options.Load nor LoadMany is set.
func (c *Cache[K, V]) Load(ctx context.Context, key K) (V, error) {
	e, err := c.loadEntry(ctx, key, c.loader())
	return e.Value, err
}

// LoadEntry is Load, and also returns how old the value is, and whether it has
// expired.
func (c *Cache[K, V]) LoadEntry(ctx context.Context, key K) (Entry[V], error) {
	return c.loadEntry(ctx, key, c.loader())
}

// LoadFunc is Load by a loader of its own. If a load of key is under way, it
// waits for that one, whatever its loader is.
func (c *Cache[K, V]) LoadFunc(
	ctx context.Context, key K, load func(context.Context, K) (V, error),
) (V, error) {
	e, err := c.loadEntry(ctx, key, load)
	return e.Value, err
}

type loadFunc[K comparable, V any] = func(context.Context, K) (V, error)

// A lookup is a Load of one key.
type lookup[K comparable, V any] struct {
	key    K
	hash   uint64
	now    int64
	load   loadFunc[K, V]
	inline bool         // if the call begins the load, it runs it itself
	caller *task        // in whose loader the call is, or nil
	batch  *batch[K, V] // the LoadAll that it belongs to, or nil

	done     bool // entry and err are the result
	entry    Entry[V]
	err      error
	flight   *flight[K, V] // to wait for; if done, nil or one to be run in the background
	begun    bool          // the flight is to be run by this call
	joinedAt uint64        // deletions of the shard when the flight was joined
}

func (c *Cache[K, V]) loadEntry(ctx context.Context, key K, load loadFunc[K, V]) (Entry[V], error) {
	if err := ctx.Err(); err != nil {
		return Entry[V]{}, err
	}
	l := lookup[K, V]{key: key, hash: c.hash(key), now: c.reading(), load: load, inline: c.runsInline(ctx)}
	sh := c.shardOf(l.hash)

	// Most calls find the value, and without the lock if its age is not asked
	// for.
	if c.opts.TrackAge {
		sh.mu.Lock()
	} else if value, left, seen := c.passOrLock(sh, l.hash, key, l.now, loading); seen == present {
		return Entry[V]{Value: value, Left: left}, nil
	}
	c.lookLocked(sh, &l)
	if l.done {
		c.calmLocked(sh)
	}
	sh.mu.Unlock()

	// Look again and join in one critical section: another call may have stored
	// the value since. The code of ctx runs before it, without the lock.
	if !l.done {
		l.caller = taskOf(ctx)
		t := &task{parent: l.caller}
		sh.mu.Lock()
		c.lookOrJoinLocked(sh, &l, t)
		sh.mu.Unlock()
	}
	if l.done {
		if l.flight != nil {
			c.launchRefresh(ctx, l.flight)
		}
		return l.entry, l.err
	}

	// The key is absent: wait for its load.
	e, err := c.attend(ctx, &l)
	switch {
	case e.Err != nil:
		c.countStale(sh)
		return e, nil
	case err == nil && l.flight.isOutdated(l.joinedAt):
		return c.loadEntry(ctx, key, load) // DeleteTag came before this call
	}
	return e, err
}

// runsInline reports whether a load may run in the goroutine of the call that
// needs it: if that would wait to the end anyway.
func (c *Cache[K, V]) runsInline(ctx context.Context) bool {
	return ctx.Done() == nil && c.opts.LoadTimeout == 0
}

// lookLocked sets l to done if the entry of its key is enough.
func (c *Cache[K, V]) lookLocked(sh *shard[K, V], l *lookup[K, V]) {
	l.now = sh.advanceLocked(l.now)
	s := sh.find(uint32(l.hash), l.key)
	if s == 0 {
		return
	}

	// An entry is a value, a remembered failure, or a value that failures keep.
	f, failed := sh.failures[s]
	switch {
	case !sh.gone(s, l.now):
		sh.hits++
		sh.hit(s)
		c.prolongLocked(sh, s, l.now)
		l.done = true
		l.entry = sh.entryLocked(s, l.now)
		if c.opts.RefreshAfter > 0 && l.entry.Age >= c.opts.RefreshAfter {
			sh.aged++
			if !failed || f.until <= l.now {
				l.flight = c.registerRefreshLocked(sh, l)
			}
		}
	case f.bare && !sh.deadlines.due(s, l.now):
		sh.misses++
		sh.hit(s)
		l.done = true
		l.err = f.err
	case failed && f.until > l.now && sh.isStale(s, l.now, c.opts.StaleIfError):
		sh.misses++
		sh.staleHits++
		l.done = true
		l.entry = sh.entryLocked(s, l.now)
		l.entry.Err = f.err
	}
}

// lookOrJoinLocked looks, and otherwise makes l wait for the load of its key
// that is under way, or else registers one as a part of t.
func (c *Cache[K, V]) lookOrJoinLocked(sh *shard[K, V], l *lookup[K, V], t *task) {
	if c.lookLocked(sh, l); l.done {
		return
	}

	// A load that would wait for itself ends here, before it waits.
	f := sh.flights[l.key]
	if f == nil && within(l.caller, c, l.key) || f != nil && !l.caller.blockOn(f.task) {
		l.done = true
		l.err = ErrRecursiveLoad
		return
	}
	if f != nil {
		f.waiters++
		f.ensureDoneLocked()
		sh.joined++
	} else {
		f = c.registerLocked(sh, l.key, l.hash, t)
		f.load = l.load
		l.begun = true
		if !l.inline {
			f.ensureDoneLocked()
		}
		l.caller.blockOn(t)
	}

	// Either way the caller waits for f.
	sh.misses++
	l.flight = f
	l.joinedAt = sh.deletions
}

// registerRefreshLocked registers a load in the background, unless there is one
// or there are too many. The refreshes of a LoadAll by LoadMany are one call.
func (c *Cache[K, V]) registerRefreshLocked(sh *shard[K, V], l *lookup[K, V]) *flight[K, V] {
	if sh.flights[l.key] != nil {
		return nil
	}

	// Nobody waits for a refresh. There may be too many of them.
	var t *task
	if l.batch != nil && c.opts.LoadMany != nil {
		t = l.batch.refreshTask(c)
	} else {
		t = c.backgroundTask()
	}
	if t == nil {
		return nil
	}
	f := c.registerLocked(sh, l.key, l.hash, t)
	f.load = l.load
	f.waiters = 0
	return f
}

// backgroundTask returns a task that no call waits for, or nil if there are too
// many of them.
func (c *Cache[K, V]) backgroundTask() *task {
	if c.refreshing.Add(1) > int64(c.opts.MaxRefreshes) {
		c.refreshing.Add(-1)
		return nil
	}
	return &task{background: true}
}

// launchRefresh runs f in the background.
func (c *Cache[K, V]) launchRefresh(ctx context.Context, f *flight[K, V]) {
	c.launch(ctx, f)
	go c.run(f) // ends with the loader
}

// attend waits for the flight of l, and runs it if l has begun it.
func (c *Cache[K, V]) attend(ctx context.Context, l *lookup[K, V]) (Entry[V], error) {
	f := l.flight
	defer l.caller.unblock(f.task)
	if l.begun {
		c.launch(ctx, f)
		if l.inline {
			c.run(f)
		} else {
			go c.run(f) // ends with the loader
		}
	}

	// The flight may be another call's.
	if !f.wait(ctx) {
		return Entry[V]{}, ctx.Err()
	}
	if p := f.panicError(); p != nil {
		panic(p)
	}
	return f.entry, f.err
}

func (c *Cache[K, V]) countStale(sh *shard[K, V]) {
	sh.mu.Lock()
	sh.staleHits++
	sh.mu.Unlock()
}

// Refresh loads key by Options.Load, even if it is there, and returns the
// value. It does not share a load that began before, but detaches it, so that
// the value that it returns and stores is not older than the call. If it fails,
// the old value stays; if with [ErrNotFound], it goes. It panics if neither
// Options.Load nor LoadMany is set.
func (c *Cache[K, V]) Refresh(ctx context.Context, key K) (value V, err error) {
	l := lookup[K, V]{key: key, load: c.loader(), begun: true, inline: c.runsInline(ctx)}
	if err := ctx.Err(); err != nil {
		return value, err
	}
	l.hash = c.hash(key)
	l.caller = taskOf(ctx)
	if !c.registerReload(&l) {
		return value, ErrRecursiveLoad
	}

	// The load is registered in place of any other.
	e, err := c.attend(ctx, &l)
	if err != nil {
		return value, err
	}
	return e.Value, nil
}

// registerReload registers a load for l in place of one that is under way. It
// reports whether it did: not from within a load of the key.
func (c *Cache[K, V]) registerReload(l *lookup[K, V]) bool {
	t := &task{parent: l.caller}
	sh := c.shardOf(l.hash)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if within(l.caller, c, l.key) {
		return false
	}

	// Calls that wait for the load before get its value. Later ones wait for
	// this.
	sh.detachLocked(sh.flights[l.key])
	l.flight = c.registerLocked(sh, l.key, l.hash, t)
	l.flight.load = l.load
	if !l.inline {
		l.flight.ensureDoneLocked()
	}
	l.caller.blockOn(t)
	return true
}
