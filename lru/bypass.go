// SPDX-License-Identifier: MIT

package lru

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// A biasedLock is a mutex that lookups pass by while nothing changes: they
// announce themselves in a stripe that few others use, instead of in a word
// that all processors fight for. A change closes the bypass and waits for the
// lookups that are in it. Changes in a row find it closed, and pay a comparison
// with nil.
type biasedLock struct {
	mu     sync.Mutex
	calm   int                     // hits under mu since Lock; protected by mu
	bypass atomic.Pointer[readers] // nil while closed; written with mu held
}

// readers are the lookups of a cache that pass locks by, in stripes.
type readers struct {
	stripes []stripe
	barred  atomic.Int32 // changes that have waited for long: no lookup enters

	_ [96]byte // keeps off the cache line what others write
}

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

	// patience is how often a change yields to lookups before it bars further
	// ones. A lookup takes longer only if it has lost its processor.
	patience = 4
)

// Lock locks l for a change, or for a lookup that cannot pass by.
func (l *biasedLock) Lock() {
	l.mu.Lock()
	l.calm = 0
	if r := l.bypass.Load(); r != nil {
		l.bypass.Store(nil)
		r.drain()
	}
}

// Unlock unlocks l.
func (l *biasedLock) Unlock() { l.mu.Unlock() }

// enter lets a lookup into the bypass, and returns its stripe: it must leave by
// one of the counters. It returns nil if the bypass is closed, or lookups are
// barred.
func (l *biasedLock) enter() *stripe {
	r := l.bypass.Load()
	if r == nil || r.barred.Load() != 0 {
		return nil
	}
	in := &r.stripes[stripeHash()&uint64(len(r.stripes)-1)]
	in.entered.Add(1)
	return l.admit(in)
}

// admit returns in if the bypass is open now that a lookup has counted itself
// in: a change that comes after that waits for it. A change that came before
// may not have seen the lookup, which turns back.
func (l *biasedLock) admit(in *stripe) *stripe {
	if l.bypass.Load() == nil {
		in.others.Add(1)
		return nil
	}
	return in
}

// enterOrLock is for a lookup that enter has refused: it locks l and returns
// nil. A bypass that was opened while the lookup waited for the lock stays
// open, and the lookup enters it: otherwise all that have waited would close
// it, one after the other, and make others wait.
func (l *biasedLock) enterOrLock() *stripe {
	l.mu.Lock()
	if l.bypass.Load() == nil {
		return nil
	}
	in := l.enter()
	l.mu.Unlock()
	if in == nil {
		l.Lock() // lookups are barred
	}
	return in
}

// drain waits until each lookup that has entered a closed bypass has left. The
// stripes belong to all shards, and may be full of lookups of the others at
// every moment: so after a while it bars all lookups of the cache.
func (r *readers) drain() {
	yields := 0
	for i := range r.stripes {
		for !r.stripes[i].isEmpty() {
			if yields++; yields == patience {
				r.barred.Add(1)
				defer r.barred.Add(-1)
			}
			runtime.Gosched() // a lookup neither blocks nor runs user code
		}
	}
}

// isEmpty reports whether there was a moment during the call when no lookup of
// the stripe was in a bypass. Those that left are counted before those that
// entered: if they are as many, none was in it between the two.
func (s *stripe) isEmpty() bool {
	left := s.hits.Load() + s.misses.Load() + s.others.Load()
	return s.entered.Load() == left
}

// A sighting is the result of a lookup that need not hold the lock.
type sighting uint8

const (
	unsure sighting = iota // it needs the lock, and has it
	absent
	present
)

// A purpose is the method that looks a key up: it says what is counted, and
// what needs the lock.
type purpose uint8

const (
	peeking purpose = iota // counts nothing
	getting                // counts a hit or a miss
	loading                // counts a hit; a miss needs the lock
)

// passOrLock looks key up at now without the lock of its shard, if the bypass
// is open, and returns the value and how long it will be there. Otherwise, and
// if the lookup is not enough, seen is unsure, and the shard is locked. While
// the lookup is in the bypass, nothing changes but the hits of entries.
func (c *Cache[K, V]) passOrLock(
	sh *shard[K, V], hash uint64, key K, now int64, p purpose,
) (value V, left time.Duration, seen sighting) {
	in := sh.mu.enter()
	if in == nil {
		in = sh.mu.enterOrLock()
	}
	if in == nil {
		return value, left, unsure
	}

	// Changes wait from here on until the lookup is counted as one that left.
	s := sh.find(uint32(hash), key)
	left = Forever
	if s != 0 && sh.deadlines.at != nil {
		left = leftAt(max(now, sh.now), sh.deadlines.at[s])
	}
	switch {
	case s == 0 && p == getting:
		in.misses.Add(1)
		return value, left, absent
	case s == 0 && p == peeking:
		in.others.Add(1)
		return value, left, absent
	case s == 0, left <= 0:
		in.others.Add(1)
		sh.mu.Lock() // the key is to be loaded, or the entry to be removed
		return value, left, unsure
	}

	value = sh.cells[s].value
	if p == peeking {
		in.others.Add(1)
		return value, left, present
	}
	if sh.policy == PolicyTinyLFU {
		sh.meta[s].countHit()
	}
	in.hits.Add(1)
	return value, left, present
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
	c.readers.CompareAndSwap(nil, &readers{stripes: make([]stripe, n)})
	return c.readers.Load()
}
