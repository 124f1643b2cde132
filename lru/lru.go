// SPDX-License-Identifier: MIT

package lru

// Implementation notes.
//
// A Cache is shards, each with a lock and a slab of slots. A slot is a number
// from 1. Its parts lie in parallel slices, so that the code that does not know
// keys and values is compiled once:
//
//	Cache ──▶ shards[h>>32 & mask]      free: capacity that nobody has (atomic)
//	            mu
//	            index    buckets of 64 bytes ─▶ slot        (index.go)
//	            cells    [slot] key, value                  (slab.go)
//	            links    [slot] prev, next                  (list.go)
//	            queues   meta [slot] hash, flags            (policy.go)
//	                     sketch, ghost                      (sketch.go, ghost.go)
//	            costs, deadlines, hard, born, tags [slot], made when first needed
//
// All within a shard follows from the lower 32 bits of a hash, which the slot
// keeps: their high bits choose the bucket, their low bits the tag. A key is
// hashed once for each call.
//
// A change of a shard is an op (change.go). Capacity that it frees goes into
// its tokens. Capacity that it needs comes out of them, out of Cache.free, or
// out of evictions from its own shard; if that has not enough to give, out of
// other shards, one after the other (reclaim). At the end the rest goes to
// Cache.free, the lock is released, and OnRemove is called. So Cap() - free,
// which Cost returns, counts capacity that operations hold as taken, and never
// exceeds the capacity.
//
// Invariants, checked under the tag invariants after each change:
//
//	I1 each slot in use is in the index under its key, and in 1..used; n counts
//	   them.
//	I2 a slot not in use is zero, costs 1, and is in the free list.
//	I3 a slot in use is in exactly one queue: that of its priority, or that of
//	   the pinned or of the stale entries.
//	I4 the heap of deadlines holds the slots that have one, the earliest first.
//	I5 tagged lists each slot under each of its tags, where the slot says, and
//	   nothing else.
//	I6 costByRank is the sum of the costs, by priority and for pinned entries.
//	I7 while no op is under way, the costs and free add up to the capacity.
//	I8 an entry that is stale or has no value is hidden, hidden counts those, and
//	   failures has only slots in use.
//	I9 flights has exactly the loads whose result will be stored, each under its
//	   key; while there are none, deletedTags is nil.
//	I10 while a bypass is open, the shard does not change, but for hits and the
//	   sums of Stats.
//
// Lock order: Cache.reclaiming, then one shard, then tasks or Behind.mu;
// alarm.mu alone. No two shards at once. No user code runs under a lock, except
// the function given to Update and the functions of the options that judge its
// result. Keys are compared under a lock; that cannot panic, since hashing the
// key would have panicked first.
//
// Lookups pass the lock of a shard by while it has not changed for some hits
// (bypass.go). They count themselves in and out in stripes of the cache. Lock
// closes the bypass and waits for those that are in it, so that all else is
// written as if there were nothing but a mutex.
//
// A load is a flight (flight.go). It runs with no lock held. A call that finds
// nothing registers a flight, or joins one, in the critical section in which it
// found nothing. The result is stored and the flight taken out in one critical
// section, too. Every method that writes or removes a key detaches its flight,
// whose result is not stored then. DeleteTag cannot know the tags that a load
// will bring, and leaves the tag in deletedTags. DeleteFunc and Clear detach
// all flights.
//
// Stale values and errors, which Load alone may return, lie in slots that are
// hidden. They cost what they cost, and are absent for everything else. Stale
// values are the first victims; errors compete like values.
//
// Why not a buffer of hits, drained later, as Caffeine and otter: hits are lost
// when all processors are busy, the bound holds only later, and somebody must
// drain. Why not a part of the capacity for each shard: keys do not spread
// evenly, and a shard evicts while others have room (elastic/go-freelru,
// phuslu/lru). Why not list nodes and a map: 72 to 100 bytes an entry more, all
// of them for the garbage collector to visit. Why a heap of deadlines and not a
// timing wheel: it is exact, an entry with the common TTL is appended in O(1),
// and expired entries are at hand when room is needed.

import (
	"fmt"
	"hash/maphash"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// A Cache maps keys to values and holds no more than its capacity. It is safe
// for concurrent use by multiple goroutines, must not be copied, and needs no
// Close. Use [New]; methods of a zero Cache that take a key panic.
type Cache[K comparable, V any] struct {
	opts   Options[K, V] // resolved
	shards []shard[K, V]
	mask   uint64
	cap    atomic.Int64
	free   atomic.Int64 // cap less the costs of entries and the tokens of operations
	timed  atomic.Bool  // entries may expire, or have an age: the clock is read

	seed  maphash.Seed
	salt  uint64
	clock clock
	alarm alarm

	reclaiming    sync.Mutex // held by an operation that evicts from other shards, and by Resize
	lastReclaimed int        // the shard that was last evicted from; protected by reclaiming

	readers atomic.Pointer[readers] // lookups that pass locks by; nil until a bypass opens

	loading    atomic.Int64 // loads under way
	refreshing atomic.Int64 // calls of loaders under way that no call has asked for
}

// Unbounded is a capacity that nothing exceeds. Entries then leave only when
// they expire or are removed.
const Unbounded = math.MaxInt

// New returns an empty cache whose entries cost at most capacity together: as
// many entries, unless Options.Cost says otherwise. If opts is nil, the
// defaults are used. It panics if capacity is less than 1 or opts is not valid.
func New[K comparable, V any](capacity int, opts *Options[K, V]) *Cache[K, V] {
	mustBePositive(capacity)
	if err := opts.Validate(); err != nil {
		panic(err)
	}

	o := opts.resolve()
	n := o.Shards
	if n == 0 {
		n = shardsFor(o.entries(capacity), runtime.GOMAXPROCS(0))
	}
	c := &Cache[K, V]{
		opts:   o,
		shards: make([]shard[K, V], n),
		mask:   uint64(n - 1),
		seed:   maphash.MakeSeed(),
		salt:   rand.Uint64(),
		clock:  newClock(o.Now),
	}

	// All capacity is free, and no alarm is set.
	c.cap.Store(int64(capacity))
	c.free.Store(int64(capacity))
	c.alarm.at.Store(never)
	c.alarm.floor = math.MinInt64
	c.timed.Store(o.TTL < Forever || o.Idle > 0 || o.TTLOf != nil || o.TrackAge || o.ErrorTTL != nil)

	for i := range c.shards {
		sh := &c.shards[i]
		sh.policy = o.Policy
		sh.rng = rand.Uint64() | 1
		sh.now = math.MinInt64
		sh.target = c.targetFor(capacity)
	}
	return c
}

func mustBePositive(capacity int) {
	if capacity < 1 {
		panic(fmt.Sprintf("lru: capacity must be positive, got %d", capacity))
	}
}

// minPerShard keeps shards so large that their policies do as well as one for
// all.
const minPerShard = 256

// shardsFor returns the number of shards for a number of entries and of
// processors, a power of two.
func shardsFor(entries, procs int) int {
	n := 1
	for limit := min(4*procs, entries/minPerShard, maxShards); 2*n <= limit; {
		n *= 2
	}
	return n
}

// targetFor returns how many slots a shard will need: its share of the entries
// and, since keys do not spread evenly, four standard deviations. It is 0 if
// the number of entries is not known.
func (c *Cache[K, V]) targetFor(capacity int) int {
	if c.opts.Cost != nil && c.opts.Entries == 0 {
		return 0
	}
	entries := c.opts.entries(capacity)
	if len(c.shards) == 1 {
		return min(entries, maxSlots)
	}
	share := float64(entries) / float64(len(c.shards))
	return int(min(share+4*math.Sqrt(share)+1, float64(entries), maxSlots))
}

// reading returns the reading of the clock, but 0 while nothing expires.
func (c *Cache[K, V]) reading() int64 {
	if !c.timed.Load() {
		return 0
	}
	return c.clock.read()
}

// hash returns the hash of key. The upper half chooses the shard, the lower
// half everything in it.
func (c *Cache[K, V]) hash(key K) uint64 {
	if len(c.shards) == 0 {
		panic("lru: zero Cache: use New")
	}
	if c.opts.Hash == nil {
		return maphash.Comparable(c.seed, key)
	}

	isReflexive(key) // panics here, and not with a lock held, if key cannot be compared
	x := c.opts.Hash(key) ^ c.salt
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func (c *Cache[K, V]) shardOf(hash uint64) *shard[K, V] { return &c.shards[hash>>32&c.mask] }

// takeCapacity takes n of the free capacity, all or nothing.
func (c *Cache[K, V]) takeCapacity(n int64) bool {
	for {
		free := c.free.Load()
		if free < n {
			return false
		}
		if c.free.CompareAndSwap(free, free-n) {
			return true
		}
		// Another operation was faster: look again.
	}
}

// Get returns the value of key, and counts as a use of it. The complexity is
// O(1); with Idle, O(log n) when the deadline moves.
func (c *Cache[K, V]) Get(key K) (value V, ok bool) {
	h := c.hash(key)
	sh := c.shardOf(h)
	now := c.reading()
	if value, _, seen := c.passOrLock(sh, h, key, now, getting); seen != unsure {
		return value, seen == present
	}

	now = sh.advanceLocked(now)
	s := sh.find(uint32(h), key)
	if s == 0 || sh.gone(s, now) {
		sh.misses++
		due := s != 0 && sh.deadlines.due(s, now)
		sh.mu.Unlock()
		if due {
			c.dropDue(key, h, now)
		}
		return value, false
	}

	// A hit.
	sh.hits++
	sh.hit(s)
	c.prolongLocked(sh, s, now)
	value = sh.cells[s].value
	c.calmLocked(sh)
	sh.mu.Unlock()
	return value, true
}

// dropDue removes key if it has expired at now.
func (c *Cache[K, V]) dropDue(key K, hash uint64, now int64) {
	o := op[K, V]{c: c, sh: c.shardOf(hash), now: now}
	o.lock()
	o.findLocked(key, hash)
	o.end()
}

// Peek returns the value of key, and does not count as a use. The complexity is
// O(1).
func (c *Cache[K, V]) Peek(key K) (value V, ok bool) {
	h := c.hash(key)
	sh := c.shardOf(h)
	now := c.reading()
	if value, _, seen := c.passOrLock(sh, h, key, now, peeking); seen != unsure {
		return value, seen == present
	}

	s := sh.find(uint32(h), key)
	ok = s != 0 && !sh.gone(s, sh.advanceLocked(now))
	if ok {
		value = sh.cells[s].value
		c.calmLocked(sh)
	}
	sh.mu.Unlock()
	return value, ok
}

// PeekEntry returns the value of key, how old it is, and how long it will be
// there. It does not count as a use, and loads nothing. The complexity is O(1).
func (c *Cache[K, V]) PeekEntry(key K) (e Entry[V], ok bool) {
	h := c.hash(key)
	sh := c.shardOf(h)
	now := c.reading()

	sh.mu.Lock()
	defer sh.mu.Unlock()
	now = sh.advanceLocked(now)
	s := sh.find(uint32(h), key)
	if s == 0 || sh.gone(s, now) {
		return e, false
	}
	return sh.entryLocked(s, now), true
}

// AttrOf returns the attributes of key: the time that is left, the cost, all
// tags, the priority, and whether it is pinned. Given to SetAttr, they make an
// equal entry. It does not count as a use. The complexity is O(tags).
func (c *Cache[K, V]) AttrOf(key K) (a Attr, ok bool) {
	h := c.hash(key)
	sh := c.shardOf(h)
	now := c.reading()

	sh.mu.Lock()
	defer sh.mu.Unlock()
	now = sh.advanceLocked(now)
	s := sh.find(uint32(h), key)
	if s == 0 || sh.gone(s, now) {
		return a, false
	}
	return Attr{
		TTL:      sh.ttlLeftLocked(s, now),
		Cost:     int(sh.cost(s)),
		Tags:     sh.tagsOf(s),
		Priority: sh.meta[s].class() - 1,
		Pinned:   sh.meta[s].flags&pinned != 0,
	}, true
}

// Has reports whether key is there, and does not count as a use. The complexity
// is O(1).
func (c *Cache[K, V]) Has(key K) bool {
	_, ok := c.Peek(key)
	return ok
}

// Set stores value under key, and reports whether it did. It does not if the
// value costs more than the capacity, if room could be made only by evicting
// entries that are pinned or of higher priority, if its TTL is zero or less, or
// if the key is not equal to itself, as NaN. Then key is absent, since its old
// value is stale, and nothing else is evicted. The entry keeps the priority and
// the pin that key had; its TTL, cost and tags are those of the options. The
// complexity is O(1), amortized over the cheaper entries that are evicted for
// it; O(log n) with a TTL.
func (c *Cache[K, V]) Set(key K, value V) bool {
	return c.set(key, value, nil).stored
}

// SetTTL is Set with a TTL in place of that of the options. [Forever] is
// without end. If ttl is zero or less, the value is too old: it is not stored,
// the old value is removed, and SetTTL returns false. So the result of
// [time.Until] can be passed as it is. In other caches zero and -1 mean no end;
// see MIGRATING.md.
func (c *Cache[K, V]) SetTTL(key K, value V, ttl time.Duration) bool {
	if ttl != Forever {
		c.timed.Store(true)
	}
	r := request[K, V]{key: key, hash: c.hash(key)}
	c.fillRequest(&r, value)
	r.ttl = c.jittered(ttl)
	r.given = givenTTL

	o := c.begin(r.hash)
	out := o.putLocked(&r, false)
	o.end()
	return out.stored
}

// SetAttr is Set with attributes, which replace those that key had. Update and
// loads keep a TTL, a cost and tags that it gave. It panics if a is not valid.
func (c *Cache[K, V]) SetAttr(key K, value V, a Attr) bool {
	if err := a.Validate(); err != nil {
		panic(err)
	}
	if a.TTL != 0 && a.TTL != Forever {
		c.timed.Store(true)
	}
	return c.set(key, value, &a).stored
}

// set stores value under key.
func (c *Cache[K, V]) set(key K, value V, attr *Attr) outcome[V] {
	r := request[K, V]{key: key, hash: c.hash(key), attr: attr}
	c.fillRequest(&r, value)

	o := c.begin(r.hash)
	out := o.putLocked(&r, false)
	o.end()
	return out
}

// GetOrSet returns the value of key, which counts as a use, or stores value if
// there is none and returns it. Loaded reports whether the value was there. If
// value cannot be stored (see Set), it is still returned. The complexity is
// that of Set.
func (c *Cache[K, V]) GetOrSet(key K, value V) (actual V, loaded bool) {
	r := request[K, V]{key: key, hash: c.hash(key)}
	c.fillRequest(&r, value)

	o := c.begin(r.hash)
	out := o.putLocked(&r, true)
	if out.had {
		o.sh.hits++
	} else {
		o.sh.misses++
	}
	o.end()
	if out.had {
		return out.old, true
	}
	return value, false
}

// PeekOrSet is GetOrSet, but does not count as a use or a lookup if key is
// there.
func (c *Cache[K, V]) PeekOrSet(key K, value V) (actual V, loaded bool) {
	r := request[K, V]{key: key, hash: c.hash(key)}
	c.fillRequest(&r, value)

	o := c.begin(r.hash)
	defer o.end()
	if s := o.findLocked(key, r.hash); s != 0 {
		return o.sh.cells[s].value, true
	}
	// Room may have to be made in other shards, and the key be set meanwhile.
	if out := o.putLocked(&r, true); out.had {
		return out.old, true
	}
	return value, false
}

// Swap is Set, and returns the value that key had. If the new one cannot be
// stored, key is absent.
func (c *Cache[K, V]) Swap(key K, value V) (old V, had bool) {
	out := c.set(key, value, nil)
	return out.old, out.had
}

// Update replaces the value of key by the one that fn returns for it,
// atomically: no other call sees or changes the key in between. If fn's keep is
// false, key is removed. It returns the value that is there afterwards. It does
// not count as a lookup in Stats.
//
// An entry keeps its deadline, cost and tags if SetTTL, SetAttr or Touch gave
// them. Those that the options give are computed anew.
//
// fn runs with the lock of a shard held, as do Options.Cost, TTLOf and Tags for
// its result: they must be short, and must not use c. If room has to be made in
// other shards, the lock is released meanwhile, and fn is called again. If fn
// panics, nothing has changed.
func (c *Cache[K, V]) Update(key K, fn func(old V, ok bool) (value V, keep bool)) (value V, ok bool) {
	r := request[K, V]{key: key, hash: c.hash(key), inherits: true}
	o := c.begin(r.hash)
	defer o.end()
	for refuse := false; ; {
		var old, none V
		s := o.findLocked(key, r.hash)
		if s != 0 {
			old = o.sh.cells[s].value
		}
		value, keep := fn(old, s != 0)

		// The function wants the key absent.
		if !keep {
			o.overrideLocked(key, r.hash)
			if s != 0 {
				o.removeLocked(s, Deleted)
			}
			return none, false
		}

		c.fillRequest(&r, value) // may panic: nothing has changed yet
		o.overrideLocked(key, r.hash)
		o.inheritLocked(&r, s)
		slot, done := o.tryLocked(&r, s, refuse)
		switch {
		case done && slot != 0:
			return value, true
		case done:
			return none, false
		}
		refuse = !o.reclaim(&r, s)
	}
}

// Delete removes key, and reports whether it was there. The complexity is O(1),
// or O(log n) with a TTL.
func (c *Cache[K, V]) Delete(key K) bool {
	_, ok := c.Take(key)
	return ok
}

// Take removes key and returns the value that it had. The complexity is that of
// Delete.
func (c *Cache[K, V]) Take(key K) (value V, ok bool) {
	h := c.hash(key)
	o := c.begin(h)
	s := o.findLocked(key, h)
	o.overrideLocked(key, h)
	if s != 0 {
		value = o.sh.cells[s].value
		o.removeLocked(s, Deleted)
	}
	o.end()
	return value, s != 0
}

// Touch gives key the TTL ttl from now, counts as a use, and reports whether
// key is there afterwards. [Forever] is without end; if ttl is zero or less,
// key expires.
func (c *Cache[K, V]) Touch(key K, ttl time.Duration) bool {
	if ttl != Forever {
		c.timed.Store(true)
	}
	ttl = c.jittered(ttl)
	h := c.hash(key)
	o := c.begin(h)
	defer o.end()

	// A TTL that has passed already removes the entry.
	s := o.findLocked(key, h)
	if ttl <= 0 {
		o.overrideLocked(key, h)
	}
	if s == 0 {
		return false
	}
	if ttl <= 0 {
		o.removeLocked(s, Expired)
		return false
	}
	o.sh.hit(s)
	o.expireAtLocked(s, ttl)
	o.sh.meta[s].flags |= givenTTL
	return true
}

// Pin keeps key from being evicted for size until Unpin, and reports whether it
// is there. It may still expire or be removed, and then the pin is gone.
func (c *Cache[K, V]) Pin(key K) bool { return c.setPin(key, true) }

// Unpin ends the effect of Pin, and reports whether key is there. The entry
// competes as if it were new.
func (c *Cache[K, V]) Unpin(key K) bool { return c.setPin(key, false) }

func (c *Cache[K, V]) setPin(key K, pin bool) bool {
	h := c.hash(key)
	o := c.begin(h)
	defer o.end()
	s := o.findLocked(key, h)
	if s == 0 {
		return false
	}
	if m := o.sh.meta[s]; pin != (m.flags&pinned != 0) {
		o.placeLocked(s, m.class(), pin, &arrival{})
	}
	return true
}

// Len returns the number of entries. It removes expired ones. The complexity is
// O(shards).
func (c *Cache[K, V]) Len() (n int) {
	c.expireIfTimed()
	for i := range c.shards {
		sh := &c.shards[i]
		sh.mu.Lock()
		n += sh.n - sh.hidden
		sh.mu.Unlock()
	}
	return n
}

// Cost returns the sum of the costs of the entries, which is never more than
// the capacity, even while others use the cache. It removes expired entries.
// Room that an operation under way has made counts as taken. The complexity is
// O(1), or O(shards) if entries can expire.
func (c *Cache[K, V]) Cost() int {
	c.expireIfTimed()
	for {
		capacity := c.cap.Load()
		free := c.free.Load()
		if c.cap.Load() == capacity {
			return int(max(capacity-free, 0)) // Resize may be about to lower free
		}
		// Resize came in between: look again.
	}
}

// Cap returns the capacity.
func (c *Cache[K, V]) Cap() int { return int(c.cap.Load()) }

// Resize changes the capacity and returns how many entries were evicted for it.
// If it is not enough to evict all others, pinned entries go, too. The memory
// of entries is kept. It panics if capacity is less than 1. The complexity is
// O(shards + n) where n is the number of entries evicted.
func (c *Cache[K, V]) Resize(capacity int) (evicted int) {
	mustBePositive(capacity)
	c.reclaiming.Lock()
	old := c.cap.Load()
	less := old - int64(capacity)
	o := op[K, V]{c: c, now: c.reading()}
	if less > 0 {
		evicted = o.shrink(less)
	}

	// All capacity above the new one is held here, so nobody takes more than is
	// free.
	c.cap.Store(int64(capacity))
	c.free.Add(o.tokens - less)
	for i := range c.shards {
		sh := &c.shards[i]
		sh.mu.Lock()
		sh.target = c.targetFor(capacity)
		sh.mu.Unlock()
	}

	// Callbacks run without a lock.
	c.reclaiming.Unlock()
	c.reportAll()
	return evicted
}

// shrink evicts, one entry a shard in turn, until o has need tokens. Pinned
// entries go when a round without them has brought nothing.
func (o *op[K, V]) shrink(need int64) (evicted int) {
	for progress := true; ; {
		pins := !progress
		progress = false
		for i := range o.c.shards {
			if o.coverLocked(need) {
				return evicted
			}
			o.sh = &o.c.shards[i]
			o.lock()
			had := o.tokens
			o.purgeLocked(purgeBatch)

			// One victim a shard and round: all shards give alike. Pinned
			// entries go when nothing else is left.
			s := uint32(0)
			if o.tokens == had {
				s = o.sh.victim(&arrival{class: 2})
			}
			if s == 0 && pins {
				s = o.sh.pins.tail
			}
			if s != 0 {
				if o.sh.meta[s].flags&hidden == 0 {
					evicted++
				}
				o.removeLocked(s, Evicted)
			}
			progress = progress || o.tokens > had
			o.sh.mu.Unlock()
		}
	}
}

// Clear removes all entries that are there when it comes to their shard, and
// gives their memory back. The lock of a shard is held for O(1), but for loads
// under way and entries that have expired and were not yet removed.
func (c *Cache[K, V]) Clear() {
	c.sweep(func(o *op[K, V]) (more bool) {
		sh := o.sh
		o.purgeLocked(expireBatch)
		if sh.deadlines.earliest() <= o.now {
			return true
		}

		sh.detachAllLocked()
		if sh.n == 0 {
			return false
		}

		// The shard gets new tables. The old ones go to OnRemove as they are.
		old := sh.contents
		sh.removed[Invalidated] += uint64(sh.n - sh.hidden)
		sh.removed[Expired] += uint64(sh.stale.n)
		o.tokens += sh.totalCost()
		sh.renewLocked()
		if c.opts.OnRemove != nil {
			sh.outbox = append(sh.outbox, removal[K, V]{cleared: &old})
		}
		return false
	})
}
