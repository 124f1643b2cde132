// SPDX-License-Identifier: MIT

// Package lru is caches in memory: exact ones for use under your own lock, and a concurrent one that
// never holds more than its capacity and never returns what has expired, unless asked to.
//
//	users := lru.New(100_000, &lru.Options[string, *User]{
//		TTL: 10 * time.Minute, Jitter: 0.1, RefreshAfter: 8 * time.Minute,
//		Load: db.User, // func(ctx context.Context, id string) (*User, error)
//	})
//	u, err := users.Load(ctx, "u42") // of a thousand callers, one asks the database
//
// # Choosing
//
// Used by one goroutine, or under a lock that you hold anyway: an [LRU] (recency), an [LFU]
// (popularity that lasts) or a [FIFO]. They return the pair that they push out. Shared: a [Cache].
// If nothing ever has to go, a map; if values only save allocations, [sync.Pool]; if keys are few
// and never change, [sync.Map].
//
//	what you want                      what does it
//	cache-aside (lazy loading)         Get, and Set on a miss; better Load, which cannot race with Delete
//	read-through, no stampede          Options.Load and Load; LoadFunc, if the loader needs more than the key
//	many keys by one query             Options.LoadMany and LoadAll
//	population, warm-up                LoadAll, Set in a loop, or ReadFrom a snapshot
//	write-through                      Through.Set: the store first, then the cache
//	write-around                       Through.Around, or write to the store, then Delete
//	write-behind ("flush every 5 s")   Behind.Set, with Interval: 5 * time.Second; Flush, Close
//	refresh-ahead                      Options.RefreshAfter, a little less than the TTL
//	stale-while-revalidate             the same: RefreshAfter is max-age, and the TTL that and the window
//	stale-if-error                     Options.StaleIfError; LoadEntry tells which answers those are
//	negative caching                   ErrNotFound, and Options.ErrorTTL
//	reload at once                     Refresh
//	the best hit ratio                 nothing: PolicyTinyLFU is the default
//	LRU, LFU, FIFO, random             Options.Policy; with Shards: 1 the exact global order
//	bounded by bytes                   Options.Cost
//	by priority, or never evicted      SetAttr with Priority or Pinned; Pin, Unpin
//	fixed, sliding, own TTL            Options.TTL, Idle, Expire; SetTTL
//	no mass expiry, no stampede then   Options.Jitter: each TTL is a random part shorter
//	explicit invalidation              Delete, Clear
//	by event, by group                 Options.Tags and DeleteTag: O(matches); DeleteFunc: O(n)
//	versioned keys ("user:v3:1234")    a key of struct{ID, Version int}: what is old ages out
//	hit ratio, evictions, memory       Stats: aim at hits > 90 %; Cost, Cap
//	latency of the backend             Stats: MeanLoadTime; percentiles: observe in Options.Load
//	calls saved                        Stats: Hits + Joined, against Loads
//	stale reads                        Stats: StaleHits; Entry.Age of each answer
//	is the TTL any use?                Stats: Expired against Evicted; MeanEvictedAge against the TTL
//	key skew, hot keys                 Hottest
//
// What is returned at which age, see TestAgeZones:
//
//	age of the value             Get      Load
//	up to RefreshAfter           value    value
//	up to the TTL                value    value; and loads it in the background, at most once at a time
//	up to the TTL+StaleIfError   absent   loads; if that fails, the old value, with Entry.Err
//	older, or never loaded       absent   loads; if that fails, the error
//	failed, within ErrorTTL      absent   the old value as above, or the error again, without a load
//
// Who writes is a question of what may be lost. With cache-aside a Set may store what is old, if
// another writes between. With [Through] nothing that was acknowledged is lost, and a write is as
// slow as the store; if it fails, nobody knows what the store has, and the cache has nothing. With
// [Behind] a write is as fast as the cache, and what was not yet saved is lost if the process
// ends without Close.
//
// Leave the policy alone unless you have replayed your own traffic. LRU is helpless where a little
// more is asked for in turn than fits: capacity 3 over 1, 2, 3, 4, 1, 2, 3, 4 and so on has no hit
// at all. A pure LFU has none either while all are used equally often; it keeps popular keys
// through a scan, but also those that were popular last week. The default has hits on the loop,
// resists scans, and forgets; see TestLoopOverCapacity, TestScanResistance and TestTrapPhases.
//
// From github.com/hashicorp/golang-lru:
//
//	simplelru.LRU                  LRU: Add is Set, which returns the pair pushed out; Remove is Delete,
//	                               GetOldest is Oldest, Purge is Clear; Keys, Values, Resize, Peek,
//	                               Contains, Len, Cap are the same, but iterate from the newest
//	lru.Cache, TwoQueueCache, ARC  Cache, with its default policy
//	expirable.LRU                  Cache with Options.TTL: nothing to close, what has expired is absent for all
//	ContainsOrAdd, PeekOrAdd       GetOrSet
//	the eviction callback          Options.OnRemove, which is told the cause, and holds no lock
//
// From golang.org/x/sync/singleflight: Do is LoadFunc, DoChan with a select is LoadFunc with a
// context, and Forget is Delete; what was loaded stays.
//
// # How it works
//
// Entries lie in slabs and are found by an index of 64-byte buckets, each with twelve tags that are
// compared at once. Links are numbers of slots and not pointers, so a cache of numbers is nothing
// to the garbage collector.
//
// The default policy has a small window, first in, first out, in front of a large clock:
//
//	          new                        2-bit hit counters
//	keys ──▶ [ window, 1/16 ] ──tail──▶ contest ──wins──▶ [ main: a clock ] ◀── hand
//	                                       │ loses                  │ loses
//	                                       ▼                        ▼
//	                                    evicted: its hash is remembered in a ghost
//
// A hit only raises a counter of the entry. When room is needed, what leaves the window meets what
// is under the hand of the clock, and stays if it was seen clearly more often, by a sketch of 4-bit
// counters that remembers keys beyond their eviction, and is halved now and then. The counters of
// entries flow into the sketch as hand and window pass. A key that comes back soon after its
// eviction goes to main at once.
//
// A load is registered in the critical section in which its key was found absent, runs without a
// lock, and is taken out in the one in which its result is stored. Who writes or removes the key
// meanwhile detaches it, so that its result is not stored:
//
//	Load ──absent──▶ register ──▶ loader ··· runs ··· ──▶ store, take out ──▶ wakes all that wait
//	Load ──absent, registered──▶ waits                        ▲
//	Delete, Set, DeleteTag ... ──────────────▶ detaches: ─────┘ not stored
//
// # Guarantees
//
// Cost() <= Cap() at every instant, whatever others do: room is made before it is taken. An entry
// is evicted for size only if Cost() + need > Cap(). The whole capacity is open to each key,
// however many shards there are. See TestCapacityConcurrent, TestModelCache, TestTrapOverCapacity
// and TestTrapEvictBeforeFull.
//
// What Set stored is there when it returns, and until it is evicted, expires or is removed. If it
// returns false, the key is absent. See TestTrapLostSets and TestSetRefused.
//
// At its deadline and after, an entry is absent for everything, and its removal has the cause
// Expired. It is removed within a few milliseconds, even if nobody uses the cache. A jittered or
// idle deadline is never later than the plain one. See TestExpiryExact, TestExpiryTimely,
// TestTrapExpiredPresent, TestJitter and TestIdleBounds.
//
// With StaleIfError, a value is kept that much longer for Load alone: it costs what it costs, can be
// evicted, and is reported when it really goes. See TestStaleGone.
//
// Of a key at most one load is under way whose result will be stored, and no call loads what another
// has just stored. See TestLoadOnce, TestLoadStorm and TestTrapDoubleLoad.
//
// What Set, Delete, Take, Update, DeleteTag, DeleteFunc or Clear did, or Touch with no time left,
// is not undone by a load that began before. See TestLoadRaces, TestRefreshRaces and
// TestTrapStaleResurrection.
//
// A call of Load returns when its context ends, and its end is nobody else's. A load ends however
// its loader does. One that would wait for itself, through whatever keys and caches, fails with
// ErrRecursiveLoad, as long as loaders pass their context on. See TestLoadContext,
// TestTrapLoaderPanic, TestLoadRecursive and TestLoadCycle.
//
// When Through returns from a write without an error, the store has it, and the cache nothing
// older. After an error the cache has nothing. See TestThroughConcurrent and TestThroughFaults.
//
// When Behind returns from a write without an error, its Load returns it, and the store will have it, in
// the order of each key, however often it fails, panics, or ends its goroutine; when Flush returns, it
// has it. See TestPropBehind and TestBehindConcurrent.
//
// Get, Set, Delete, Update, Load, Refresh and all that take a key are linearizable for each key, and so are Clear
// and DeleteTag for each of those they remove. DeleteFunc and what iterates come to one entry after
// the other, and may meet a key twice that is set again meanwhile. See TestLinearizable.
//
// Each value that was set in a Cache is reported once, with the cause, when it is no longer
// there. No lock is held while your code runs, except in Update. See TestCapacityConcurrent and
// TestTrapCallbackUnderLock.
//
// With one shard each policy chooses as its textbook does, victim by victim; see TestModelPolicies.
// The exact types agree with theirs in the whole order, also while a loop over them changes them;
// see TestModelLRU, TestModelLFU, TestModelFIFO.
//
// # Complexity
//
//	operation               time                allocations    bytes an entry, over key and value
//	LRU, FIFO               O(1)                0 once full    15
//	LFU                     O(1)                0 once full    51
//	Cache: Get, Set, ...    O(1)                0 once full    37; 23 with LRU, FIFO or Random
//	... with a TTL          O(log n)            0 once full    16 more
//	... with tags           O(tags)             O(tags)        a map entry for each tag of each entry
//	Cache: Len, Stats       O(shards)           0
//	Load, of what is there  O(1)                0
//	Load, of what is not    O(1) and the load   2; in a goroutine 5 to 7
//	DeleteTag               O(shards+matches)   0; more with loads under way
//	DeleteFunc, All         O(n)                0
//	Hottest, WriteTo        O(n log n)          O(n)
//
// Slabs start small, grow with the entries up to the capacity, and do not shrink. With the build tag
// purego, hash/maphash allocates for each key, unless Options.Hash is set. See TestMemory and
// TestAllocs.
//
// # Concurrency
//
// A [Cache] is safe for concurrent use by multiple goroutines. It starts goroutines only for loads,
// which end with them, and needs no Close: a timer runs while something is to expire, and does not keep
// the cache alive. See TestCollected and TestTrapGoroutines. [Through] and [Behind] are safe for
// concurrent use by multiple goroutines, too; a Behind has a goroutine only while it saves, and a
// Close that waits for it. [LRU], [LFU] and [FIFO] are not safe for concurrent use.
//
// # Errors
//
// Absence is a bool. Load returns what the loader returned, [ErrRecursiveLoad], [ErrGoexit], or the
// error of its context; if the loader panics, so does Load, with a [*PanicError]. A Behind returns
// [ErrClosed] after Close. ReadFrom returns [ErrCorrupt] or [ErrVersion] for bytes at fault, and then
// changes nothing; WriteTo and ReadFrom pass on what readers, writers and encoding/gob say. Sizes
// and options that cannot be used panic: Validate tells before. A key that cannot be compared
// panics, as with a map; one that is not equal to itself, as NaN, is not stored.
//
// # Format
//
// A snapshot is little-endian. Format 1 will be read by all later versions.
//
//	offset  size  content
//	0       8     "ashlarlr"
//	8       2     format: 1
//	10      6     0
//	16      8     time of writing: nanoseconds since 1970, UTC
//	24      4     n, the length of a frame; 0 after the last
//	28      n     a frame: up to 256 entries by columns, encoded by encoding/gob; and so on
//	        8     xxhash64 of all before
//
// # References
//
//   - G. Einziger, R. Friedman, B. Manes, "TinyLFU: a highly efficient cache admission policy",
//     ACM Transactions on Storage 13(4), 2017: the sketch, and the window in front.
//   - J. Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023: small queue, main queue, ghost.
//   - K. Shah, A. Mitra, D. Matani, "An O(1) algorithm for implementing the LFU cache eviction scheme", 2010.
//   - L. Belady, "A study of replacement algorithms for a virtual-storage computer", IBM Systems Journal 5(2), 1966.
//   - N. Megiddo, D. Modha, "ARC: a self-tuning, low overhead replacement cache", FAST 2003: the OLTP trace.
//   - N. Bronson, X. Shi, "Open-sourcing F14 for faster, more memory-efficient hash tables", 2019: buckets with tags and overflow counts.
package lru
