// SPDX-License-Identifier: MIT

package lru

// Implementation notes.
//
// A Cache is shards, each with a lock, a slab of slots and an index. A slot is a number from 1, and
// its parts lie in parallel slices, so that what does not know keys and values is compiled once:
//
//	Cache ──▶ shards[h>>32 & mask]      free: capacity that nobody has (atomic)
//	            mu
//	            index    buckets of 64 bytes ─▶ slot        (index.go)
//	            cells    [slot] key, value
//	            queues   meta  [slot] hash, flags           (policy.go)
//	                     links [slot] prev, next            (list.go)
//	                     sketch, ghost                      (sketch.go)
//	            costs, deadlines, hard, born, tags [slot], made when first needed
//
// All within a shard follows from the lower 32 bits of a hash, which the slot keeps: the high ones
// of them choose the bucket, the low ones the tag. A key is hashed once for each call.
//
// A change of a shard is an op (op.go). What it frees goes into its tokens, and what it needs
// comes out of them, out of Cache.free, or out of evictions from its own shard; if that has nothing to
// give, out of other shards, one after the other (reclaim). At the end the rest goes to Cache.free,
// the lock is released, and OnRemove is called. So Cap() - free, which is what Cost returns, counts
// what operations hold as taken, and never exceeds the capacity.
//
// Invariants, checked under the tag invariants after each change:
//
//	I1 each slot in use is in the index under its key, and in 1..used; n counts them.
//	I2 a slot not in use is zero but for its version, costs 1, and is in the free list.
//	I3 a slot in use is in exactly one queue, that of its priority, or pinned and in none.
//	I4 the heap of deadlines holds the slots that have one, the earliest first.
//	I5 tagged has each slot under each of its tags, and nothing else.
//	I6 kept is the sum of the costs, by priority and for what is pinned.
//	I7 while no op is under way, the costs and free add up to the capacity.
//	I8 a slot without a value is hidden, hidden counts those, and failures has only slots in use.
//	I9 flights has exactly the loads whose result will be stored, each under its key; while there are
//	   none, swept is nil.
//
// Lock order: Cache.reclaiming, then one shard, then tasks or Behind.mu; alarm.mu alone. No two shards
// at once. User code runs under no lock but in Update; a comparison of keys does, which cannot panic since the hash
// would have.
//
// A load is a flight (flight.go). It runs with no lock held. A call that finds nothing registers it,
// or joins one, in the critical section in which it found nothing; the result is stored and the
// flight taken out in one, too. All that write or remove a key call op.forget, or do the same: the
// flight is detached, and what it brings is not stored. DeleteTag cannot know what tags a load will
// bring, and leaves the tag in swept. DeleteFunc cannot know either, and detaches all.
//
// What Load alone may return, stale values and errors, lies in slots that are hidden: they cost what
// they cost, compete like others, and are absent for everything else.
//
// Why not a buffer of hits, drained later, as Caffeine and otter: hits are lost when all processors
// are busy, the bound holds only later, and somebody must drain. Why not a part of the capacity for
// each shard: keys do not spread evenly, and a shard evicts while others have room
// (elastic/go-freelru, phuslu/lru). Why not list nodes and a map: 72 to 100 bytes an entry more,
// all of them for the garbage collector to visit. Why a heap of deadlines and not a timing wheel:
// it is exact, an entry with the common TTL is appended in O(1), and what has expired is at hand
// when room is needed.

import (
	"context"
	"fmt"
	"hash/maphash"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A Cache maps keys to values and holds no more than its capacity. It is safe for concurrent use by
// multiple goroutines, must not be copied, and needs no Close. Use [New]; of a zero Cache,
// methods that take a key panic.
type Cache[K comparable, V any] struct {
	shards []shard[K, V]
	mask   uint64
	cap    atomic.Int64
	free   atomic.Int64 // cap less the costs of entries and what operations hold
	timed  atomic.Bool  // entries may expire, or have an age: the clock is read

	seed  maphash.Seed
	salt  uint64
	base  time.Time // readings are nanoseconds since base
	alarm alarm

	reclaiming sync.Mutex // held by an operation that evicts from other shards, and by Resize
	hand       int        // protected by reclaiming: the shard that was last evicted from

	ttl, idle time.Duration
	jitter    float64
	trackAge  bool
	expireOf  func(K, V) time.Duration
	costOf    func(K, V) int64
	tagsOf    func(K, V) []string
	onRemove  func(K, V, Cause)
	hashOf    func(K) uint64
	now       func() time.Time

	loadOne      func(context.Context, K) (V, error)
	loadMany     func(context.Context, []K) (map[K]V, error)
	loadTimeout  time.Duration
	abandon      bool // Options.CancelAbandoned
	refreshAfter time.Duration
	maxRefreshes int64
	staleIfError time.Duration
	errorTTL     func(K, error) time.Duration
	onLoadError  func(K, error)
	loading      atomic.Int64 // loads under way
	refreshing   atomic.Int64 // of these, those that no call has asked for
}

// New returns an empty cache whose entries cost at most capacity together: as many entries, unless
// Options.Cost says otherwise. If opts is nil, the defaults are used. It panics if capacity is less
// than 1 or opts is not valid.
func New[K comparable, V any](capacity int64, opts *Options[K, V]) *Cache[K, V] {
	if capacity < 1 {
		panic(fmt.Sprintf("lru: New: capacity must be positive, got %d", capacity))
	}
	if err := opts.Validate(); err != nil {
		panic("lru: New: " + reason(err))
	}
	if opts == nil {
		opts = new(Options[K, V])
	}
	n := shardsFor(capacity, opts.Shards)
	c := &Cache[K, V]{
		shards: make([]shard[K, V], n), mask: uint64(n - 1), seed: maphash.MakeSeed(), salt: rand.Uint64(),
		ttl: opts.TTL, idle: opts.Idle, jitter: opts.Jitter, trackAge: opts.TrackAge,
		expireOf: opts.Expire, costOf: opts.Cost, tagsOf: opts.Tags, onRemove: opts.OnRemove,
		hashOf: opts.Hash, now: opts.Now,
		loadOne: opts.Load, loadMany: opts.LoadMany, loadTimeout: opts.LoadTimeout, abandon: opts.CancelAbandoned,
		refreshAfter: opts.RefreshAfter, maxRefreshes: int64(opts.MaxRefreshes), staleIfError: opts.StaleIfError,
		errorTTL: opts.ErrorTTL, onLoadError: opts.OnLoadError,
	}
	c.prepareLoads()
	if c.ttl == 0 {
		c.ttl = Forever
	}
	c.cap.Store(capacity)
	c.free.Store(capacity)
	c.alarm.at.Store(never)
	c.alarm.floor = math.MinInt64
	c.base = c.clock()
	c.timed.Store(opts.TTL > 0 || c.idle > 0 || c.expireOf != nil || c.trackAge || c.errorTTL != nil)
	for i := range c.shards {
		c.shards[i].policy = opts.Policy
		c.shards[i].rng = rand.Uint64() | 1
		c.shards[i].now = math.MinInt64
		c.shards[i].target = c.targetFor(capacity)
	}
	return c
}

// minPerShard keeps shards so large that their policies do as well as one for all.
const minPerShard = 256

// shardsFor returns the number of shards, a power of two.
func shardsFor(capacity int64, asked int) int {
	if asked > 0 {
		return asked
	}
	n := 1
	for limit := min(4*int64(runtime.GOMAXPROCS(0)), capacity/minPerShard, maxShards); int64(2*n) <= limit; {
		n *= 2
	}
	return n
}

// targetFor returns how many slots a shard will need: its share of the capacity and, since keys do not
// spread evenly, four standard deviations. It is 0 if the number of entries does not follow from the
// capacity.
func (c *Cache[K, V]) targetFor(capacity int64) int {
	if c.costOf != nil {
		return 0
	}
	if len(c.shards) == 1 {
		return int(min(capacity, maxSlots))
	}
	share := float64(capacity) / float64(len(c.shards))
	return int(min(share+4*math.Sqrt(share)+1, float64(capacity), maxSlots))
}

func (c *Cache[K, V]) clock() time.Time {
	if c.now != nil {
		return c.now()
	}
	return time.Now()
}

// reading returns what elapsed returns, but 0 while nothing expires.
func (c *Cache[K, V]) reading() int64 {
	if !c.timed.Load() {
		return 0
	}
	return c.elapsed()
}

// elapsed returns the reading of the clock: nanoseconds since base, before never.
func (c *Cache[K, V]) elapsed() int64 {
	if c.now != nil {
		return min(int64(c.now().Sub(c.base)), never-1)
	}
	return int64(time.Since(c.base))
}

// hash returns the hash of key. The upper half chooses the shard, the lower half everything in it.
func (c *Cache[K, V]) hash(key K) uint64 {
	if len(c.shards) == 0 {
		panic("lru: zero Cache: use New")
	}
	if c.hashOf == nil {
		return maphash.Comparable(c.seed, key)
	}
	isReflexive(key) // panics here, and not with a lock held, if key cannot be compared
	x := c.hashOf(key) ^ c.salt
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func (c *Cache[K, V]) shardOf(hash uint64) *shard[K, V] { return &c.shards[hash>>32&c.mask] }

// take takes n of the free capacity, all or nothing.
func (c *Cache[K, V]) take(n int64) bool {
	for {
		free := c.free.Load()
		if free < n {
			return false
		}
		if c.free.CompareAndSwap(free, free-n) {
			return true
		}
	}
}

// Get returns the value of key, and counts as a use of it. The complexity is O(1); with Idle,
// O(log n) when the deadline moves.
func (c *Cache[K, V]) Get(key K) (value V, ok bool) {
	h := c.hash(key)
	sh, now := c.shardOf(h), c.reading()
	sh.mu.Lock()
	now = sh.advance(now)
	s := find(&sh.index, sh.cells, uint32(h), key)
	if s == 0 || sh.gone(s, now) {
		sh.misses++
		due := s != 0 && sh.deadlines.due(s, now)
		sh.mu.Unlock()
		if due {
			c.dropDue(key, h, now)
		}
		return value, false
	}
	sh.hits++
	sh.touch(s)
	c.prolong(sh, s, now)
	value = sh.cells[s].value
	sh.mu.Unlock()
	return value, true
}

// dropDue removes key if it has expired at now.
func (c *Cache[K, V]) dropDue(key K, hash uint64, now int64) {
	o := op[K, V]{c: c, sh: c.shardOf(hash), now: now}
	o.lock()
	o.find(key, hash)
	o.end()
}

// Peek returns the value of key, and does not count as a use. The complexity is O(1).
func (c *Cache[K, V]) Peek(key K) (value V, ok bool) {
	h := c.hash(key)
	sh, now := c.shardOf(h), c.reading()
	sh.mu.Lock()
	s := find(&sh.index, sh.cells, uint32(h), key)
	if ok = s != 0 && !sh.gone(s, sh.advance(now)); ok {
		value = sh.cells[s].value
	}
	sh.mu.Unlock()
	return value, ok
}

// Contains reports whether key is there, and does not count as a use. The complexity is O(1).
func (c *Cache[K, V]) Contains(key K) bool {
	_, ok := c.Peek(key)
	return ok
}

// Set stores value under key, and reports whether it did. It does not if the value costs more than the
// capacity, if room could be made only by evicting what is pinned or of higher priority, if its
// TTL is zero or less, or if the key is not equal to itself, as NaN. Then key is absent,
// since what it had is stale. The entry keeps the priority and the pin that key had.
// The complexity is O(1), amortized over what costs less and is evicted for it; O(log n) with a TTL.
func (c *Cache[K, V]) Set(key K, value V) bool {
	_, _, stored := c.set(key, value, nil)
	return stored
}

// SetTTL is Set with a TTL of its own, in place of that of the options. [Forever] is without end.
// If ttl is zero or less, the value is too old and not stored.
func (c *Cache[K, V]) SetTTL(key K, value V, ttl time.Duration) bool {
	if ttl != Forever {
		c.timed.Store(true)
	}
	r := c.request(key, value, nil)
	r.ttl = c.jittered(ttl)
	o := c.begin(r.hash)
	_, _, stored := o.put(&r, false)
	o.end()
	return stored
}

// SetAttr is Set with attributes, which replace those that key had.
// It panics if a is not valid.
func (c *Cache[K, V]) SetAttr(key K, value V, a Attr) bool {
	if err := a.validate(); err != nil {
		panic("lru: SetAttr: " + err.Error())
	}
	if a.TTL != 0 && a.TTL != Forever {
		c.timed.Store(true)
	}
	_, _, stored := c.set(key, value, &a)
	return stored
}

// GetOrSet returns the value of key, which counts as a use, or stores value if there is none and
// returns it. Loaded reports whether the value was there. If value cannot be stored, as of Set, it
// is returned all the same. The complexity is that of Set.
func (c *Cache[K, V]) GetOrSet(key K, value V) (actual V, loaded bool) {
	r := c.request(key, value, nil)
	o := c.begin(r.hash)
	actual, loaded, _ = o.put(&r, true)
	if loaded {
		o.sh.hits++
	} else {
		o.sh.misses++
		actual = value
	}
	o.end()
	return actual, loaded
}

// Swap is Set, and returns the value that key had. If the new one cannot be stored, key is absent.
func (c *Cache[K, V]) Swap(key K, value V) (old V, had bool) {
	old, had, _ = c.set(key, value, nil)
	return old, had
}

// set stores value under key.
func (c *Cache[K, V]) set(key K, value V, attr *Attr) (old V, had, stored bool) {
	r := c.request(key, value, attr)
	o := c.begin(r.hash)
	old, had, stored = o.put(&r, false)
	o.end()
	return old, had, stored
}

// request asks the options about an entry. No lock is held, except in Update.
func (c *Cache[K, V]) request(key K, value V, attr *Attr) request[K, V] {
	r := request[K, V]{key: key, hash: c.hash(key), attr: attr}
	c.fill(&r, value)
	return r
}

// fill puts value into r, with what the options say about it.
func (c *Cache[K, V]) fill(r *request[K, V], value V) {
	r.value, r.cost, r.ttl, r.tags = value, 1, c.ttl, nil
	if c.tagsOf != nil {
		r.tags = slices.Clone(c.tagsOf(r.key, value))
	}
	a := r.attr
	if a != nil && len(a.Tags) > 0 {
		r.tags = append(r.tags, a.Tags...)
	}
	if len(r.tags) > 1 {
		slices.Sort(r.tags)
		r.tags = slices.Compact(r.tags)
	}
	switch {
	case a != nil && a.Cost != 0:
		r.cost = a.Cost
	case c.costOf != nil:
		r.cost = max(c.costOf(r.key, value), 1)
	}
	switch {
	case a != nil && a.TTL != 0:
		r.ttl = a.TTL
	case c.expireOf != nil:
		r.ttl = c.expireOf(r.key, value)
	}
	r.ttl = c.jittered(r.ttl)
}

// jittered returns ttl shortened by a random part.
func (c *Cache[K, V]) jittered(ttl time.Duration) time.Duration {
	if c.jitter == 0 || ttl <= 0 || ttl == Forever {
		return ttl
	}
	return max(ttl-time.Duration(float64(ttl)*c.jitter*rand.Float64()), 1)
}

// Update replaces the value of key by what fn returns for it, atomically: no other call sees or
// changes the key in between. If fn's keep is false, key is removed. It returns the value that is there
// afterwards. It does not count as a lookup in Stats.
//
// fn runs with the lock of a shard held, as do Options.Cost, Expire and Tags for its result: they
// must be short, and must not use c. If room has to be made in other shards, the lock is released
// meanwhile, and fn is called again. If fn panics, nothing has changed.
func (c *Cache[K, V]) Update(key K, fn func(old V, ok bool) (value V, keep bool)) (value V, ok bool) {
	r := request[K, V]{key: key, hash: c.hash(key)}
	o := c.begin(r.hash)
	defer o.end()
	for failed := false; ; {
		var old V
		s := o.find(key, r.hash)
		if s != 0 {
			old = o.sh.cells[s].value
		}
		value, keep := fn(old, s != 0)
		o.forget(key, r.hash)
		if !keep {
			if s != 0 {
				o.drop(s, Deleted)
			}
			return *new(V), false
		}
		c.fill(&r, value)
		if o.tooMuch(&r, s) {
			return *new(V), false
		}
		if o.room(&r, s) {
			o.store(&r, s)
			return value, true
		}
		if failed {
			o.refuse(&r, s, Rejected)
			return *new(V), false
		}
		failed = !o.reclaim(&r, s)
	}
}

// Delete removes key, and reports whether it was there. The complexity is O(1), or O(log n) with a TTL.
func (c *Cache[K, V]) Delete(key K) bool {
	_, ok := c.Take(key)
	return ok
}

// Take removes key and returns the value that it had. The complexity is that of Delete.
func (c *Cache[K, V]) Take(key K) (value V, ok bool) {
	h := c.hash(key)
	o := c.begin(h)
	s := o.find(key, h)
	o.forget(key, h)
	if s != 0 {
		value = o.sh.cells[s].value
		o.drop(s, Deleted)
	}
	o.end()
	return value, s != 0
}

// Touch gives key the TTL ttl from now, counts as a use, and reports whether key is there afterwards.
// [Forever] is without end; if ttl is zero or less, key expires.
func (c *Cache[K, V]) Touch(key K, ttl time.Duration) bool {
	if ttl != Forever {
		c.timed.Store(true)
	}
	ttl = c.jittered(ttl)
	h := c.hash(key)
	o := c.begin(h)
	defer o.end()
	s := o.find(key, h)
	if ttl <= 0 {
		o.forget(key, h)
	}
	if s == 0 {
		return false
	}
	if ttl <= 0 {
		o.drop(s, Expired)
		return false
	}
	o.sh.touch(s)
	o.expireAt(s, ttl)
	return true
}

// Pin keeps key from being evicted for size until Unpin, and reports whether it is there.
// It may still expire or be removed, and then the pin is gone.
func (c *Cache[K, V]) Pin(key K) bool { return c.setPin(key, true) }

// Unpin ends what Pin began, and reports whether key is there. The entry competes as if it were new.
func (c *Cache[K, V]) Unpin(key K) bool { return c.setPin(key, false) }

func (c *Cache[K, V]) setPin(key K, pin bool) bool {
	h := c.hash(key)
	o := c.begin(h)
	defer o.end()
	s := o.find(key, h)
	if s == 0 {
		return false
	}
	if m := o.sh.meta[s]; pin != (m.flags&pinned != 0) {
		o.place(s, m.class(), pin, false)
	}
	return true
}
