// SPDX-License-Identifier: MIT

package lru

import (
	"context"
	"errors"
)

// A batch is a LoadAll.
type batch[K comparable, V any] struct {
	got    map[K]V
	errs   []error
	caller *task

	task     *task           // of the flights that LoadMany loads
	own      *flight[K, V]   // these flights, by next
	single   []*flight[K, V] // the flights that Load loads
	joined   []lookup[K, V]  // the keys whose flights are to be waited for
	again    []K             // the keys whose flights were outdated
	panicked *PanicError

	background *task         // of the values that LoadMany loads again, or nil
	denied     bool          // there are too many refreshes
	stale      *flight[K, V] // their flights, by next
}

// LoadAll returns the values of keys that exist. It waits for loads that are
// under way, and loads the rest by one call of Options.LoadMany, or else by
// Options.Load, each key in a goroutine of its own. A key that does not exist
// is not in the result. If others could not be loaded, or ctx ends, it returns
// the values that there are, and an error that joins the causes. Otherwise it
// is Load for each key; values past RefreshAfter are loaded again by one call
// of LoadMany. It panics if neither Options.Load nor LoadMany is set.
func (c *Cache[K, V]) LoadAll(ctx context.Context, keys []K) (map[K]V, error) {
	load := c.loader()
	b := batch[K, V]{got: make(map[K]V, len(keys))}
	if err := ctx.Err(); err != nil {
		return b.got, err
	}
	b.caller = taskOf(ctx)
	b.task = &task{parent: b.caller}

	// Hashing may panic, so it comes before anything begins.
	now := c.reading()
	inline := c.opts.LoadMany != nil && c.runsInline(ctx)
	list := make([]lookup[K, V], 0, len(keys))
	known := make(map[K]struct{}, len(keys))
	for _, key := range keys {
		if _, ok := known[key]; ok {
			continue
		}
		known[key] = struct{}{}
		list = append(list, lookup[K, V]{
			key: key, hash: c.hash(key), now: now, load: load, inline: inline, caller: b.caller, batch: &b,
		})
	}

	// Answer the keys that are there, begin the loads of the rest, and only
	// then wait.
	for i := range list {
		c.lookInBatch(ctx, &b, &list[i])
	}
	c.runBatch(ctx, &b)
	c.awaitBatch(ctx, &b)
	if b.panicked != nil {
		panic(b.panicked)
	}

	// A tag was deleted while these were loaded.
	for _, key := range b.again {
		value, err := c.LoadFunc(ctx, key, load)
		b.include(key, value, err)
	}
	return b.got, errors.Join(b.errs...)
}

// include puts the result of a key into b.
func (b *batch[K, V]) include(key K, value V, err error) {
	switch {
	case err == nil:
		b.got[key] = value
	case !errors.Is(err, ErrNotFound):
		b.errs = append(b.errs, err)
	}
}

// refreshTask returns the task of the refreshes of b, or nil if there are too
// many refreshes under way.
func (b *batch[K, V]) refreshTask(c *Cache[K, V]) *task {
	if b.background == nil && !b.denied {
		b.background = c.backgroundTask()
		b.denied = b.background == nil
	}
	return b.background
}

// lookInBatch looks for one key of a batch.
func (c *Cache[K, V]) lookInBatch(ctx context.Context, b *batch[K, V], l *lookup[K, V]) {
	t := b.task
	if c.opts.LoadMany == nil {
		t = &task{parent: b.caller}
	}
	sh := c.shardOf(l.hash)
	sh.mu.Lock()
	c.lookOrJoinLocked(sh, l, t)
	sh.mu.Unlock()

	// Loads that this call begins run together, if LoadMany can.
	f := l.flight
	switch {
	case l.done && f != nil && c.opts.LoadMany != nil:
		f.next = b.stale
		b.stale = f
	case l.done && f != nil:
		c.launchRefresh(ctx, f)
	case l.begun && c.opts.LoadMany != nil:
		f.next = b.own
		b.own = f
	case l.begun:
		b.single = append(b.single, f)
	}

	// The answer is there, or will be.
	if l.done {
		b.include(l.key, l.entry.Value, l.err)
	} else {
		b.joined = append(b.joined, *l)
	}
}

// runBatch runs the flights that b has begun.
func (c *Cache[K, V]) runBatch(ctx context.Context, b *batch[K, V]) {
	if b.stale != nil {
		c.launch(ctx, b.stale)
		go c.runMany(b.stale) // ends with the loader
	}
	for _, f := range b.single {
		c.launch(ctx, f)
		go c.run(f) // ends with the loader
	}
	if b.own == nil {
		return
	}

	// The call's own load comes last: it may run in this goroutine.
	c.launch(ctx, b.own)
	if c.runsInline(ctx) {
		c.runMany(b.own)
	} else {
		go c.runMany(b.own) // ends with the loader
	}
}

// awaitBatch waits for all flights of b. The end of ctx, and an error of
// LoadMany, count once.
func (c *Cache[K, V]) awaitBatch(ctx context.Context, b *batch[K, V]) {
	ended := false
	failed := false
	for i := range b.joined {
		f := b.joined[i].flight

		// The error of one call of LoadMany is reported once.
		landed := f.wait(ctx)
		b.caller.unblock(f.task)
		switch {
		case !landed && ended:
		case !landed:
			ended = true
			b.errs = append(b.errs, ctx.Err())
		case f.panicError() != nil:
			b.panicked = f.panicError()
		case f.entry.Err != nil:
			c.countStale(c.shardOf(f.hash))
			b.got[f.key] = f.entry.Value
		case f.isOutdated(b.joined[i].joinedAt):
			b.again = append(b.again, f.key)
		case f.err != nil && failed && f.task == b.task:
		default:
			failed = failed || f.err != nil && f.task == b.task && !errors.Is(f.err, ErrNotFound)
			b.include(f.key, f.entry.Value, f.err)
		}
	}
}
