// SPDX-License-Identifier: MIT

package lsm

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// A Cache keeps blocks of tables in memory: indexes, filters, and data. Several
// databases can share one. It is safe for concurrent use by multiple
// goroutines. Use [NewCache].
//
// Each table has a slot for each of its blocks. To find a block is to load the
// pointer in its slot, so that readers take no lock. The blocks also stand in a
// ring, over which a hand passes when there is no room: it takes away those
// that nobody has used since it came by (CLOCK; F. J. Corbató, "A paging
// experiment with the Multics system", 1968). A block of data comes in when it
// is read for the second time within two turns of the hand, so that what is
// read once does not push out what is read often.
//
//	C1  size is the sum of the sizes of the blocks in the ring.
//	C2  A block of the ring is in its slot, and in the ring once.
//	C3  size <= limit, unless there is but one block: an index or a filter.
type Cache struct {
	limit int64
	turn  atomic.Uint32 // of the hand; changed under mu

	mu   sync.Mutex // protects all below; held on misses, and no file is read under it
	size int64
	ring []*cachedBlock
	hand int
}

// A cachedBlock is a block in memory, which does not change. One of the parts
// is set. A reader may use it longer than the cache has it.
type cachedBlock struct {
	slot   *cacheSlot
	size   int64
	at     int           // in the ring; protected by Cache.mu
	used   atomic.Uint32 // how often the hand leaves it
	index  tableIndex
	filter tableFilter
	data   dataBlock
}

// A cacheSlot holds a block of a table, or nil.
type cacheSlot struct {
	block atomic.Pointer[cachedBlock]
	turn  atomic.Uint32 // when the block was asked for in vain, or was taken away
}

const (
	maxUsed        = 3   // turns that a block which is used often survives
	cachedOverhead = 256 // bytes of a cachedBlock and its place in the ring, at most
)

// NewCache returns an empty cache of up to size bytes. It panics if size is
// negative.
func NewCache(size int64) *Cache {
	if size < 0 {
		panic(fmt.Sprintf("lsm: size must not be negative, got %d", size))
	}
	c := &Cache{limit: size}
	c.turn.Store(2) // a slot that was never asked for is at turn 0
	return c
}

// get returns the block in s, or nil.
func (s *cacheSlot) get() *cachedBlock {
	b := s.block.Load()
	if b != nil && b.used.Load() < maxUsed {
		b.used.Store(maxUsed)
	}
	return b
}

// wants reports whether a block of n bytes that was read for s is kept: there
// is room, or it was asked for not long ago.
func (c *Cache) wants(s *cacheSlot, n int64) bool {
	turn := c.turn.Load()
	before := s.turn.Swap(turn)
	if !c.fits(n) {
		return false
	}
	if turn-before <= 1 {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.size+n+cachedOverhead <= c.limit
}

// fits reports whether a block of n bytes is not too long for the cache.
func (c *Cache) fits(n int64) bool { return n+cachedOverhead <= c.limit }

// put puts b, which has n bytes of memory, into s. Another goroutine may have
// been first: then that block is returned.
func (c *Cache) put(s *cacheSlot, b *cachedBlock, n int64) *cachedBlock {
	c.mu.Lock()
	defer c.mu.Unlock()
	if first := s.block.Load(); first != nil {
		return first
	}
	b.slot = s
	b.size = n + cachedOverhead
	c.makeRoomLocked(b.size)

	// It stands behind the hand, which comes to it last.
	b.at = len(c.ring)
	c.ring = append(c.ring, b)
	if c.hand < b.at {
		moved := c.ring[c.hand]
		c.ring[c.hand], c.ring[b.at] = b, moved
		b.at, moved.at = c.hand, b.at
		c.hand++
	}
	c.size += b.size
	s.block.Store(b)
	if n := len(c.ring); invariants && n&(n-1) == 0 {
		c.checkLocked()
	}
	return b
}

// makeRoomLocked takes blocks away until n bytes fit, or none is left.
func (c *Cache) makeRoomLocked(n int64) {
	for c.size+n > c.limit && len(c.ring) > 0 {
		if c.hand >= len(c.ring) {
			c.hand = 0
			c.turn.Add(1)
		}
		b := c.ring[c.hand]
		if u := b.used.Load(); u > 0 {
			b.used.Store(u - 1)
			c.hand++
			continue
		}
		b.slot.turn.Store(c.turn.Load())
		c.dropLocked(b)
	}
}

// dropLocked takes b out of its slot and the ring, where the last block takes
// its place.
func (c *Cache) dropLocked(b *cachedBlock) {
	b.slot.block.Store(nil)
	c.size -= b.size
	last := len(c.ring) - 1
	c.ring[b.at] = c.ring[last]
	c.ring[b.at].at = b.at
	c.ring[last] = nil
	c.ring = c.ring[:last]
}

// forget empties the slots of a table that is closed.
func (c *Cache) forget(slots []cacheSlot) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range slots {
		if b := slots[i].block.Load(); b != nil {
			c.dropLocked(b)
		}
	}
	if invariants {
		c.checkLocked()
	}
}

// Size returns the bytes that the cache takes.
func (c *Cache) Size() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.size
}
