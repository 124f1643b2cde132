// SPDX-License-Identifier: MIT

// Package lru provides in-memory caches: exact LRU, LFU and FIFO types, and a
// concurrent Cache (TinyLFU by default) with TTLs and loading, which never
// exceeds its capacity and never returns an expired entry unless you allow it.
//
//	package main
//
//	import (
//		"fmt"
//		"time"
//
//		"github.com/ashlar-go/ashlar/lru"
//	)
//
//	func main() {
//		users := lru.New(1000, &lru.Options[string, string]{TTL: time.Hour})
//		users.Set("u42", "Ada")
//		fmt.Println(users.Get("u42")) // Ada true
//	}
//
// # Choosing
//
// Start with a [Cache] and its Load: of a thousand callers that miss a key, one
// asks the database. If one goroutine uses the cache, or you hold a lock
// anyway, use [NewLRU], [NewLFU] or [NewFIFO]. [Through] and [Behind] write to
// a [Store]. If nothing ever has to go, use a map; if values only save
// allocations, [sync.Pool]; if keys are few and never change, [sync.Map].
//
//	read-through, no stampede    Options.Load, and Load, LoadAll, Refresh
//	cache-aside                  Get, and Set on a miss: may store an old value
//	write-through, write-around  Through.Set, Through.Around
//	write-behind                 Behind.Set; Flush, Close
//	refresh-ahead, stale answers Options.RefreshAfter; StaleIfError; ErrorTTL
//	expiry, not all at once      Options.TTL, Idle, TTLOf, Jitter; SetTTL, Touch
//	invalidation by event        Delete; Options.Tags, DeleteTag; DeleteFunc
//	bytes, priorities, pins      Options.Cost; SetAttr, Pin
//	warm start; is it any good?  WriteTo, ReadFrom; Stats, Hottest
//
// # How it works
//
// Entries lie in slabs, found by an index of 64-byte buckets. Links are numbers
// and not pointers, so a cache of numbers is nothing to the garbage collector.
// A hit only raises a counter. When room is needed, two entries compete:
//
//	new ──▶ [ window ] ──▶ contest ──wins──▶ [ main: a clock ] ◀── hand
//	                          └──loses──▶ evicted, remembered in a ghost
//
// The one seen more often stays, by a sketch of 4-bit counters that is halved
// now and then. Keys that return soon after they left the window make it
// larger; hits in main that a smaller main would lose make it smaller.
//
// By hand: capacity 3 over 1, 2, 3, 4, 1, 2, 3, 4 and so on. An LRU evicts 1
// for 4, 2 for 1, 3 for 2: each key goes just before it is asked for, and there
// is never a hit. In the default, 4 was seen as often as the key under the
// hand, which stays and has hits. See TestLoopOverCapacity.
//
// # Guarantees
//
//   - Cost() <= Cap() at every instant: TestCapacityConcurrent.
//   - An entry is evicted only if Cost() + need > Cap(), and none for a value
//     that is refused: TestTrapEvictBeforeFull, TestRefusalEvictsNothing.
//   - A stored value is there until it is evicted, expires or is removed; if
//     Set returns false, its key is absent: TestTrapLostSets, TestSetRefused.
//   - From its deadline on every method treats an entry as absent, and OnRemove
//     reports it with cause Expired: TestExpiryExact, TestTrapExpiredPresent.
//   - At most one load of a key is under way whose result will be stored:
//     TestLoadOnce, TestTrapDoubleLoad.
//   - A load does not undo Set, Delete, Take, Update, DeleteTag, DeleteFunc or
//     Clear: TestLoadRaces, TestRefreshRaces.
//   - Load returns when its own context ends or LoadTimeout is over, and fails
//     with ErrRecursiveLoad if it would wait for itself: TestLoadContext,
//     TestLoadTimeoutBounds, TestLoadCycle.
//   - After Through.Set without error the store has the value and the cache no
//     older one: TestThroughFaults. After Behind.Set its Load returns the
//     value, and the store gets it in the order of its key: TestPropBehind. A
//     key that the store refuses holds up no other: TestBehindRefusedKey.
//   - All methods that take a key are linearizable for it: TestLinearizable.
//   - Each value given to a Cache is reported once, in order for its key:
//     TestRemoveOrder, TestDetachedReported.
//   - With one shard each policy evicts as its textbook does: TestTextbook,
//     TestModelPolicies; an Exact keeps its whole order: TestModelLRU.
//
// # Complexity
//
// A cache of n entries in s shards takes at most (per + key + value) bytes for
// each of n + s(4√(n/s)+1) slots, an eighth for size classes (TestMemory):
//
//	operation               time                allocations  per
//	Exact                   O(1)                0 once full  15; LFU 51
//	Cache: Get, Set, ...    O(1)                0 once full  38; 24 with PolicyLRU
//	... with a TTL          O(log n)            0 once full  16 more
//	Load of an absent key   O(1) and the load   2; in a goroutine 5 to 7
//	DeleteTag               O(shards + removed) 0; more with loads under way
//	Hottest, WriteTo        O(n log n)          O(n)
//
// # Concurrency
//
// A [Cache], a [Through] and a [Behind] are safe for concurrent use by multiple
// goroutines. An [Exact] is not. A Cache needs no Close: goroutines end with
// loads, and no timer keeps it alive. Lookups scale with processors, but not
// with PolicyLRU, PolicyLFU or Idle. Growth of a shard takes 0.1 µs an entry.
//
// # Errors
//
// Absence is a bool. Load returns the loader's error, [ErrRecursiveLoad],
// [ErrGoexit] or the error of its context; if the loader panics, so does Load,
// with a [*PanicError]. ReadFrom returns [ErrCorrupt] or [ErrVersion].
//
// # Format
//
// A snapshot is little-endian, and stays readable: "ashlarlr", uint16 format
// (1), six bytes 0, int64 nanoseconds since 1970; frames of a uint32 length and
// as many bytes of encoding/gob; a length of 0; xxhash64 of all before.
//
// # References
//
//   - G. Einziger et al., "TinyLFU", ACM Transactions on Storage 13(4), 2017.
//   - J. Yang et al., "FIFO queues are all you need for cache eviction", 2023.
package lru
