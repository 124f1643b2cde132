// SPDX-License-Identifier: MIT

package lru

import "context"

// A Through writes to a store first, and then to a cache: write-through, or
// with Around, write-around. When a write returns nil, the store has it, and
// the cache has no older value. Writes of one key go one after the other. All
// writers must use the Through, or Delete of the cache; readers may use the
// cache. It is safe for concurrent use by multiple goroutines, and needs no
// Close. Use [NewThrough]; methods of a zero Through panic. A Store to copy, of
// PostgreSQL, also for a [Behind], is in [examples/scaleout/writebehind].
//
// [examples/scaleout/writebehind]: https://github.com/ashlar-go/ashlar/tree/main/examples/scaleout/writebehind
type Through[K comparable, V any] struct {
	c     *Cache[K, V]
	store Store[K, V]
	turns [turns]chan struct{} // each holds one token while a key of it is being written
}

// turns is the number of parts that keys fall into; keys of different parts do
// not wait for each other.
const turns = 256

// NewThrough returns a Through between c and store.
func NewThrough[K comparable, V any](c *Cache[K, V], store Store[K, V]) *Through[K, V] {
	t := &Through[K, V]{c: c, store: store}
	for i := range t.turns {
		t.turns[i] = make(chan struct{}, 1)
	}
	return t
}

// mustUse panics if t is the zero Through.
func (t *Through[K, V]) mustUse() {
	if t.c == nil {
		panic("lru: zero Through: use NewThrough")
	}
}

// Load returns the value of key: [Cache.Load], by the store.
func (t *Through[K, V]) Load(ctx context.Context, key K) (V, error) {
	t.mustUse()
	return t.c.LoadFunc(ctx, key, t.store.Load)
}

// Set stores value in the store, and then in the cache. If that fails, it is
// not known what the store has, and the cache has nothing of key: the next Load
// asks.
func (t *Through[K, V]) Set(ctx context.Context, key K, value V) error {
	save := func() error { return t.store.Set(ctx, key, value) }
	return t.write(ctx, key, save, func() { t.c.Set(key, value) })
}

// Around stores value in the store, and removes key from the cache: for keys
// that are written more often than read.
func (t *Through[K, V]) Around(ctx context.Context, key K, value V) error {
	save := func() error { return t.store.Set(ctx, key, value) }
	return t.write(ctx, key, save, func() { t.c.Delete(key) })
}

// Delete removes key from the store, and then from the cache: also if the store
// fails.
func (t *Through[K, V]) Delete(ctx context.Context, key K) error {
	remove := func() error { return t.store.Delete(ctx, key) }
	return t.write(ctx, key, remove, func() { t.c.Delete(key) })
}

// write waits for its turn, changes the store, and then the cache, which drops
// key if either fails, panics, or does not return.
func (t *Through[K, V]) write(ctx context.Context, key K, store func() error, cache func()) error {
	t.mustUse()
	if err := ctx.Err(); err != nil {
		return err
	}
	turn := t.turnOf(key)
	select {
	case turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-turn }()

	done := false
	defer func() {
		if !done {
			t.c.Delete(key)
		}
	}()
	if err := store(); err != nil {
		return err
	}
	cache()
	done = true
	return nil
}

func (t *Through[K, V]) turnOf(key K) chan struct{} { return t.turns[t.c.hash(key)%turns] }
