// SPDX-License-Identifier: MIT

package lru

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// A biasedLock is a mutex that lookups pass by while nothing changes: they
// announce themselves in a stripe that few others use, instead of in a word
// that all processors fight for. A change closes the bypass and waits for the
// lookups that are in it. Changes in a row find it closed, and pay a comparison
// with nil.
type biasedLock struct {
	mu     sync.Mutex
	calm   int                     // hits under mu since the last change; protected by mu
	bypass atomic.Pointer[readers] // nil while closed; written with mu held
}

// readers are the lookups of a cache that pass locks by, in stripes.
type readers struct{ stripes []stripe }

// A stripe counts the lookups that have entered a bypass, and those that have
// left, by what they found. All four only grow.
type stripe struct {
	entered, hits, misses, others atomic.Uint64

	_ [96]byte // keeps stripes off each other's cache lines, and those fetched with them
}

const (
	// calmHits is the number of hits without a change after which a bypass
	// opens. To close it costs about as much as a few hits.
	calmHits = 32

	// stripesPerProc makes it rare that two goroutines that run at the same
	// time share a stripe.
	stripesPerProc = 8
	maxStripes     = 512
)

// Lock locks l for a change.
func (l *biasedLock) Lock() {
	l.lockToLook()
	l.calm = 0
}

// lockToLook locks l for a lookup, which is not a change.
func (l *biasedLock) lockToLook() {
	l.mu.Lock()
	if l.bypass.Load() != nil {
		l.close()
	}
}

// Unlock unlocks l.
func (l *biasedLock) Unlock() { l.mu.Unlock() }

// close closes the bypass, and waits until no lookup is in it.
func (l *biasedLock) close() {
	r := l.bypass.Load()
	l.bypass.Store(nil)
	for i := range r.stripes {
		for !r.stripes[i].isEmpty() {
			runtime.Gosched() // a lookup neither blocks nor runs user code
		}
	}
}

// isEmpty reports whether there was a moment during the call when no lookup of
// the stripe was in a bypass. Those that left are counted before those that
// entered: if they are as many, all had left when the first were counted.
func (s *stripe) isEmpty() bool {
	left := s.hits.Load() + s.misses.Load() + s.others.Load()
	return s.entered.Load() == left
}

// A sighting is the result of a lookup that passes the lock by.
type sighting uint8

const (
	unsure sighting = iota // it needs the lock
	absent
	present
)

// A purpose is the method that looks a key up: it says what is counted.
type purpose uint8

const (
	peeking purpose = iota // nothing
	getting                // a hit or a miss
	loading                // a hit; a miss is counted when the load begins or is joined
)

// pass looks key up at now without the lock of its shard, if the bypass is
// open. It returns the value and its deadline. While it is in the bypass,
// nothing changes but the hits of entries.
func (c *Cache[K, V]) pass(
	sh *shard[K, V], hash uint64, key K, now int64, p purpose,
) (value V, until int64, seen sighting) {
	r := sh.mu.bypass.Load()
	if r == nil {
		return value, 0, unsure
	}
	in := &r.stripes[stripeHash()&uint64(len(r.stripes)-1)]
	in.entered.Add(1)
	if sh.mu.bypass.Load() == nil {
		in.others.Add(1) // a change has come, and may not have seen this lookup
		return value, 0, unsure
	}

	// Changes wait from here on until the lookup is counted as one that left.
	s := sh.find(uint32(hash), key)
	until = never
	if s != 0 && sh.deadlines.at != nil {
		until = sh.deadlines.at[s]
	}
	switch {
	case s == 0 && p == getting:
		in.misses.Add(1)
		return value, 0, absent
	case s == 0:
		in.others.Add(1)
		return value, 0, absent
	case until <= max(now, sh.now):
		in.others.Add(1)
		return value, 0, unsure // the entry is removed under the lock
	}

	value = sh.cells[s].value
	if p == peeking {
		in.others.Add(1)
		return value, until, present
	}
	if sh.policy == PolicyTinyLFU {
		sh.meta[s].countHit()
	}
	in.hits.Add(1)
	return value, until, present
}

// countHit is queues.hit for lookups that pass the lock by.
func (m *meta) countHit() {
	for {
		flags := atomic.LoadUint32(&m.flags)
		if flags&hitMask == hitMask || atomic.CompareAndSwapUint32(&m.flags, flags, flags+1) {
			return
		}
		// Another lookup has counted its hit: count this one on top.
	}
}

// calmLocked counts a hit under the lock, and opens the bypass if there were
// enough of them and lookups change nothing that needs the lock.
func (c *Cache[K, V]) calmLocked(sh *shard[K, V]) {
	sh.mu.calm++
	if sh.mu.calm >= calmHits && c.passableLocked(sh) {
		sh.mu.bypass.Store(c.readersOf())
	}
}

// passableLocked reports whether a lookup changes nothing in sh but the hits of
// an entry: it moves neither queues nor deadlines, nor the clock of the shard
// where that could matter, since the clock of the user may step back.
func (c *Cache[K, V]) passableLocked(sh *shard[K, V]) bool {
	switch {
	case sh.policy == PolicyLRU, sh.policy == PolicyLFU, c.opts.Idle > 0, sh.hidden > 0:
		return false
	}
	return c.opts.Now == nil || len(sh.deadlines.heap) == 0
}

// readersOf returns the readers of c, which are made when they are first
// needed.
func (c *Cache[K, V]) readersOf() *readers {
	if r := c.readers.Load(); r != nil {
		return r
	}
	n := 1
	for n < stripesPerProc*runtime.GOMAXPROCS(0) && n < maxStripes {
		n *= 2
	}
	c.readers.CompareAndSwap(nil, &readers{make([]stripe, n)})
	return c.readers.Load()
}
