// SPDX-License-Identifier: MIT

package lru

import (
	"context"
	"errors"
	"fmt"
	"time"
)

var (
	// ErrNotFound is what a loader returns for a key that does not exist.
	ErrNotFound = errors.New("lru: not found")

	// ErrRecursiveLoad is that a load would wait for itself: its loader loads the same key, or
	// another whose loader waits for it.
	ErrRecursiveLoad = errors.New("lru: a load waits for itself")

	// ErrGoexit is what those get that wait for a loader that called [runtime.Goexit].
	ErrGoexit = errors.New("lru: a loader called runtime.Goexit")
)

// An Entry is a value with what Load knows of it.
type Entry[V any] struct {
	// Value is what was stored or loaded.
	Value V

	// Age is how long ago the value was stored; 0 if ages are not kept: see Options.TrackAge.
	Age time.Duration

	// Left is for how long the cache will return it: Forever if without end, 0 if it is not stored.
	Left time.Duration

	// Err is why the value could not be loaded, if its time is up and it is returned all the same:
	// see Options.StaleIfError.
	Err error
}

// prepareLoads completes the settings of loads.
func (c *Cache[K, V]) prepareLoads() {
	c.trackAge = c.trackAge || c.refreshAfter > 0 || c.staleIfError > 0
	if c.maxRefreshes == 0 {
		c.maxRefreshes = 64
	}
	if c.loadOne == nil && c.loadMany != nil {
		c.loadOne = func(ctx context.Context, key K) (value V, err error) {
			got, err := c.loadMany(ctx, []K{key})
			if v, ok := got[key]; ok {
				return v, nil
			}
			if err == nil {
				err = ErrNotFound
			}
			return value, err
		}
	}
}

// loader returns the loader of the options.
func (c *Cache[K, V]) loader(method string) loadFunc[K, V] {
	if c.loadOne == nil {
		panic(fmt.Sprintf("lru: %s: Options.Load is needed", method))
	}
	return c.loadOne
}

// entry returns what is known of s.
func (c *Cache[K, V]) entry(sh *shard[K, V], s uint32, now int64) Entry[V] {
	e := Entry[V]{Value: sh.cells[s].value, Left: Forever}
	if sh.born != nil {
		e.Age = time.Duration(now - sh.born[s])
	}
	switch {
	case sh.gone(s, now):
		e.Left = 0
	case sh.deadlines.at != nil && sh.deadlines.at[s] != never:
		e.Left = time.Duration(sh.deadlines.at[s] - now)
	}
	return e
}

// Load returns the value of key, and loads it by Options.Load if it is absent. Of several calls for a
// key one loads, and all wait, each until its own ctx ends: then it returns ctx.Err(), and the load
// goes on. If ctx cannot end, the loader runs in the goroutine of the call, else in one of its own,
// which ends with it. If it panics, so do all that wait, with a [*PanicError].
//
// A value that is older than Options.RefreshAfter is returned and loaded again in the background. What
// is older than its TTL is returned only if the load fails, and Options.StaleIfError allows it.
//
// What is set, deleted or cleared while a load is under way stays so: the load returns its
// value to those that wait for it, and does not store it. It panics without Options.Load.
func (c *Cache[K, V]) Load(ctx context.Context, key K) (V, error) {
	e, err := c.loadEntry(ctx, key, c.loader("Load"))
	return e.Value, err
}

// LoadEntry is Load, and returns also how old the value is, and whether its time is up.
func (c *Cache[K, V]) LoadEntry(ctx context.Context, key K) (Entry[V], error) {
	return c.loadEntry(ctx, key, c.loader("LoadEntry"))
}

// LoadFunc is Load by a loader of its own. A load of key that is under way is waited for, whatever
// its loader is.
func (c *Cache[K, V]) LoadFunc(
	ctx context.Context, key K, load func(context.Context, K) (V, error),
) (V, error) {
	e, err := c.loadEntry(ctx, key, load)
	return e.Value, err
}

// loadEntry looks, and looks again in the critical section in which it registers a load, or joins one.
func (c *Cache[K, V]) loadEntry(ctx context.Context, key K, load loadFunc[K, V]) (Entry[V], error) {
	if err := ctx.Err(); err != nil {
		return Entry[V]{}, err
	}
	l := lookup[K, V]{key: key, hash: c.hash(key), now: c.reading(), load: load, inline: inline(ctx)}
	sh := c.shardOf(l.hash)
	sh.mu.Lock()
	c.look(sh, &l)
	sh.mu.Unlock()
	if !l.done {
		l.caller = taskOf(ctx) // runs code of others, if ctx is theirs
		sh.mu.Lock()
		if c.look(sh, &l); !l.done {
			c.join(sh, &l, &task{parent: l.caller})
		}
		sh.mu.Unlock()
	}
	switch {
	case l.done && l.flight != nil:
		c.refresh(ctx, l.flight)
		return l.entry, l.err
	case l.done:
		return l.entry, l.err
	}
	e, err := c.attend(ctx, &l)
	switch {
	case e.Err != nil:
		c.countStale(sh)
		return e, nil
	case err == nil && l.flight.outdated(l.sweeps):
		return c.loadEntry(ctx, key, load)
	}
	return e, err
}

type loadFunc[K comparable, V any] = func(context.Context, K) (V, error)

// A lookup is a Load of one key.
type lookup[K comparable, V any] struct {
	key    K
	hash   uint64
	now    int64
	load   loadFunc[K, V]
	inline bool  // if it begins the load, it runs it itself
	caller *task // in whose loader it is, or nil

	done   bool // entry and err are the result
	entry  Entry[V]
	err    error
	flight *flight[K, V] // what to wait for; if done, nil or one to be run in the background
	begun  bool          // the flight is to be run by this call
	sweeps uint64        // of the shard when the flight was joined
}

// look sets l to done if what is known of its key is enough. The lock of sh is held.
func (c *Cache[K, V]) look(sh *shard[K, V], l *lookup[K, V]) {
	l.now = sh.advance(l.now)
	s := find(&sh.index, sh.cells, uint32(l.hash), l.key)
	if s == 0 {
		return
	}
	f, failed := sh.failures[s]
	switch {
	case !sh.gone(s, l.now):
		sh.hits++
		sh.touch(s)
		c.prolong(sh, s, l.now)
		l.done, l.entry = true, c.entry(sh, s, l.now)
		if c.refreshAfter > 0 && l.entry.Age >= c.refreshAfter && !(failed && f.until > l.now) {
			l.flight = c.registerRefresh(sh, l)
		}
	case f.bare && !sh.deadlines.due(s, l.now):
		sh.misses++
		sh.touch(s)
		l.done, l.err = true, f.err
	case failed && f.until > l.now && sh.stale(s, l.now, c.staleIfError):
		sh.misses++
		sh.staleHits++
		l.done, l.entry = true, c.entry(sh, s, l.now)
		l.entry.Err = f.err
	}
}

// registerRefresh begins a load in the background, unless there is one or there are too many.
func (c *Cache[K, V]) registerRefresh(sh *shard[K, V], l *lookup[K, V]) *flight[K, V] {
	if sh.flights[l.key] != nil {
		return nil
	}
	if c.refreshing.Add(1) > c.maxRefreshes {
		c.refreshing.Add(-1)
		return nil
	}
	f := c.register(sh, l.key, l.hash, &task{})
	f.load, f.background, f.waiters = l.load, true, 0
	return f
}

// refresh runs f in the background.
func (c *Cache[K, V]) refresh(ctx context.Context, f *flight[K, V]) {
	f.launch(ctx)
	go c.run(f) // ends with the loader
}

// join makes l wait for the load of its key that is under way, or else registers one as t.
// The lock of sh is held.
func (c *Cache[K, V]) join(sh *shard[K, V], l *lookup[K, V], t *task) {
	f := sh.flights[l.key]
	switch {
	case f == nil && within(l.caller, c, l.key), f != nil && !l.caller.await(f.task):
		l.done, l.err = true, ErrRecursiveLoad
		return
	case f != nil:
		f.waiters++
		f.awaitable()
		sh.joined++
	default:
		f = c.register(sh, l.key, l.hash, t)
		f.load, l.begun = l.load, true
		if !l.inline {
			f.awaitable()
		}
		l.caller.await(t)
	}
	sh.misses++
	l.flight, l.sweeps = f, sh.sweeps
}

// attend waits for the flight of l, and runs it if l has begun it.
func (c *Cache[K, V]) attend(ctx context.Context, l *lookup[K, V]) (Entry[V], error) {
	f := l.flight
	defer l.caller.awaited(f.task)
	if l.begun {
		f.launch(ctx)
		if l.inline {
			c.run(f)
		} else {
			go c.run(f) // ends with the loader
		}
	}
	if !f.wait(ctx) {
		return Entry[V]{}, ctx.Err()
	}
	if p := f.panic(); p != nil {
		panic(p)
	}
	return f.entry, f.err
}

// inline reports whether a load may run in the goroutine of the call that needs it: if that would wait
// to the end anyway.
func inline(ctx context.Context) bool { return ctx.Done() == nil }

func (c *Cache[K, V]) countStale(sh *shard[K, V]) {
	sh.mu.Lock()
	sh.staleHits++
	sh.mu.Unlock()
}

// Refresh loads key by Options.Load, even if it is there, and returns what it has loaded. It does not
// share a load that began before, but detaches it, so that what it returns and stores is not older than
// the call. If it fails, the old value stays; if with [ErrNotFound], it goes. It panics without
// Options.Load.
func (c *Cache[K, V]) Refresh(ctx context.Context, key K) (value V, err error) {
	l := lookup[K, V]{key: key, load: c.loader("Refresh"), begun: true, inline: inline(ctx)}
	if err := ctx.Err(); err != nil {
		return value, err
	}
	l.hash, l.caller = c.hash(key), taskOf(ctx)
	if !c.reload(c.shardOf(l.hash), &l) {
		return value, ErrRecursiveLoad
	}
	e, err := c.attend(ctx, &l)
	if err != nil {
		return value, err
	}
	return e.Value, nil
}

// reload registers a load for l in place of one that is under way. It reports whether it did: not from
// within a load of the key.
func (c *Cache[K, V]) reload(sh *shard[K, V], l *lookup[K, V]) bool {
	t := &task{parent: l.caller}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if within(l.caller, c, l.key) {
		return false
	}
	sh.detach(sh.flights[l.key])
	l.flight = c.register(sh, l.key, l.hash, t)
	l.flight.load = l.load
	if !l.inline {
		l.flight.awaitable()
	}
	l.caller.await(t)
	return true
}

// LoadAll returns the values of keys that exist. It waits for loads that are under way, and loads
// the rest by one call of Options.LoadMany, or else by Options.Load, each in a goroutine of its own.
// A key that does not exist is not in the result. If others could not be loaded, or ctx ends, it
// returns what there is, and an error that joins what went wrong. Otherwise it is Load for each
// key. It panics without Options.Load and LoadMany.
func (c *Cache[K, V]) LoadAll(ctx context.Context, keys []K) (map[K]V, error) {
	load := c.loader("LoadAll")
	got := make(map[K]V, len(keys))
	if err := ctx.Err(); err != nil {
		return got, err
	}
	b := batch[K, V]{got: got, caller: taskOf(ctx)}
	b.task = &task{parent: b.caller}
	now, inline := c.reading(), c.loadMany != nil && inline(ctx)
	list := make([]lookup[K, V], 0, len(keys))
	seen := make(map[K]struct{}, len(keys))
	for _, key := range keys { // hashing may panic: nothing has begun yet
		if _, ok := seen[key]; !ok {
			seen[key] = struct{}{}
			l := lookup[K, V]{key: key, hash: c.hash(key), now: now, load: load, inline: inline, caller: b.caller}
			list = append(list, l)
		}
	}
	for i := range list {
		c.lookAll(ctx, &b, &list[i])
	}
	c.runAll(ctx, &b)
	c.waitAll(ctx, &b)
	if b.panicked != nil {
		panic(b.panicked)
	}
	for _, key := range b.again {
		value, err := c.LoadFunc(ctx, key, load)
		b.add(key, value, err)
	}
	return got, errors.Join(b.errs...)
}

// A batch is a LoadAll.
type batch[K comparable, V any] struct {
	got      map[K]V
	errs     []error
	caller   *task
	task     *task         // of the flights that LoadMany loads
	own      *flight[K, V] // those
	ownKeys  []K
	single   []*flight[K, V] // those that Load loads
	joined   []lookup[K, V]  // all whose flights are to be waited for
	again    []K             // those whose flights were outdated
	panicked *PanicError
}

// add puts the result of a key into b.
func (b *batch[K, V]) add(key K, value V, err error) {
	switch {
	case err == nil:
		b.got[key] = value
	case !errors.Is(err, ErrNotFound):
		b.errs = append(b.errs, err)
	}
}

// lookAll looks for one key of a batch.
func (c *Cache[K, V]) lookAll(ctx context.Context, b *batch[K, V], l *lookup[K, V]) {
	t := b.task
	if c.loadMany == nil {
		t = &task{parent: b.caller}
	}
	sh := c.shardOf(l.hash)
	sh.mu.Lock()
	if c.look(sh, l); !l.done {
		c.join(sh, l, t)
	}
	f := l.flight
	sh.mu.Unlock()
	switch {
	case l.done && f != nil:
		c.refresh(ctx, f)
	case l.begun && c.loadMany != nil:
		f.next, b.own = b.own, f
		b.ownKeys = append(b.ownKeys, l.key)
	case l.begun:
		b.single = append(b.single, f)
	}
	if l.done {
		b.add(l.key, l.entry.Value, l.err)
	} else {
		b.joined = append(b.joined, *l)
	}
}

// runAll runs what b has begun.
func (c *Cache[K, V]) runAll(ctx context.Context, b *batch[K, V]) {
	for _, f := range b.single {
		f.launch(ctx)
		go c.run(f) // ends with the loader
	}
	if b.own == nil {
		return
	}
	b.own.launch(ctx)
	if inline(ctx) {
		c.runMany(b.own, b.ownKeys)
	} else {
		go c.runMany(b.own, b.ownKeys) // ends with the loader
	}
}

// waitAll waits for all flights of b. The end of ctx, and an error of LoadMany, count once.
func (c *Cache[K, V]) waitAll(ctx context.Context, b *batch[K, V]) {
	ended, failed := false, false
	for i := range b.joined {
		f := b.joined[i].flight
		landed := f.wait(ctx)
		b.caller.awaited(f.task)
		switch {
		case !landed && ended:
		case !landed:
			ended = true
			b.errs = append(b.errs, ctx.Err())
		case f.panic() != nil:
			b.panicked = f.panic()
		case f.entry.Err != nil:
			c.countStale(c.shardOf(f.hash))
			b.got[f.key] = f.entry.Value
		case f.outdated(b.joined[i].sweeps):
			b.again = append(b.again, f.key)
		case f.err != nil && failed && f.task == b.task:
		default:
			failed = failed || f.err != nil && f.task == b.task && !errors.Is(f.err, ErrNotFound)
			b.add(f.key, f.entry.Value, f.err)
		}
	}
}
