// SPDX-License-Identifier: MIT

package lru

import "context"

// A Store is where the truth is that a cache has copies of: for [Through] and [Behind]. Its methods
// are called by several goroutines at a time, and must not write through what calls them.
type Store[K comparable, V any] interface {
	// Load returns the value of key. If there is none, the error is, or wraps, [ErrNotFound].
	Load(ctx context.Context, key K) (V, error)

	// Save stores value under key. If it fails, the store may have done so or not.
	Save(ctx context.Context, key K, value V) error

	// Remove removes key. That it is not there is no error.
	Remove(ctx context.Context, key K) error
}

// A Through writes to a store first, and then to a cache: write-through, or with Around,
// write-around. When a write returns nil, the store has it, and the cache does not have what was
// before. Writes of one key go one after the other. Everybody must write through it, or through
// Delete of the cache, but may read from the cache. It is safe for concurrent use by multiple
// goroutines, and needs no Close.
type Through[K comparable, V any] struct {
	c     *Cache[K, V]
	store Store[K, V]
	turns [turns]chan struct{} // each holds one token while a key of its is being written
}

// turns is into how many parts keys fall that do not wait for each other.
const turns = 256

// NewThrough returns a Through between c and store.
func NewThrough[K comparable, V any](c *Cache[K, V], store Store[K, V]) *Through[K, V] {
	t := &Through[K, V]{c: c, store: store}
	for i := range t.turns {
		t.turns[i] = make(chan struct{}, 1)
	}
	return t
}

// Load returns the value of key: [Cache.Load], by the store.
func (t *Through[K, V]) Load(ctx context.Context, key K) (V, error) {
	return t.c.LoadFunc(ctx, key, t.store.Load)
}

// Set saves value to the store, and then to the cache. If that fails, nobody knows what the store
// has, and the cache has nothing of key: the next Load asks.
func (t *Through[K, V]) Set(ctx context.Context, key K, value V) error {
	return t.write(ctx, key, func() error { return t.store.Save(ctx, key, value) }, func() { t.c.Set(key, value) })
}

// Around saves value to the store, and removes key from the cache: for what is written more often
// than read.
func (t *Through[K, V]) Around(ctx context.Context, key K, value V) error {
	return t.write(ctx, key, func() error { return t.store.Save(ctx, key, value) }, func() { t.c.Delete(key) })
}

// Delete removes key from the store, and then from the cache: also if that fails.
func (t *Through[K, V]) Delete(ctx context.Context, key K) error {
	return t.write(ctx, key, func() error { return t.store.Remove(ctx, key) }, func() { t.c.Delete(key) })
}

// write waits for its turn, has the store do its part, and then the cache, which drops key if the
// store fails, panics, or does not return.
func (t *Through[K, V]) write(ctx context.Context, key K, store func() error, cache func()) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	turn := t.turns[t.c.hash(key)%turns]
	select {
	case turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-turn }()
	defer func() {
		if cache != nil {
			t.c.Delete(key)
		}
	}()
	if err := store(); err != nil {
		return err
	}
	last := cache
	cache = nil
	last()
	return nil
}
