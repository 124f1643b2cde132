// SPDX-License-Identifier: MIT

// Package skiplist provides ordered maps and sets: skip lists whose nodes are
// blocks of entries, with ranks, spans between keys, and copies in constant
// time, and a map for many goroutines whose answers are each of one moment.
//
//	package main
//
//	import (
//		"fmt"
//
//		"github.com/ashlar-go/ashlar/skiplist"
//	)
//
//	func main() {
//		scores := skiplist.NewSortedSet[string, int]()
//		scores.Set("Alice", 100)
//		scores.Set("Bob", 200)
//		fmt.Println(scores.Index("Bob"), scores.From(150)) // 1 map[Bob:200]
//	}
//
// # Choosing
//
// Without a need for order the builtin map finds a key in a third of the time.
// If all keys are there before the first question, sort a slice. Else:
//
//	[Map]            keys to values, in the order of keys
//	[Set]            the same without values, with union and the like
//	[SortedSet]      members to scores, ranked by score: leaderboards, delay queues
//	[ConcurrentMap]  a Map for many goroutines, with the methods of [sync.Map]
//
// [NewMap] compares numbers and strings itself; [NewMapFunc] takes a function,
// for structs, []byte, or another order. Large values, of more than 128 bytes,
// are better behind pointers. A Map under a lock of yours is better than a
// ConcurrentMap if writers are few and loops are long, for less than 1000
// entries that are mostly written, and for ranks. Commands of Redis are here:
//
//	ZADD, ZINCRBY, ZSCORE, ZREM   Set, [Incr], Get, Delete; NX, XX, GT, LT: Compute
//	ZCARD, ZRANK, ZREVRANK        Len, Index, Len()-1-Index
//	ZRANGE 0 9, ZREVRANGE 0 9     Slice(0, 10).All(), Slice(Len()-10, Len()).Backward()
//	ZRANGE BYSCORE 3 (6, ZCOUNT   From(3).Below(6).All() and .Len(); LIMIT 2 3: Slice(2, 5)
//	ZREMRANGEBYSCORE and BYRANK   Clear of the span; ZPOPMIN, ZPOPMAX: PopMin, PopMax
//	ZUNION, ZINTER, ZRANGE BYLEX  of a [Set], as are SADD, SUNION, SINTER, SDIFF
//	SET EX; HSET; LPUSH; XADD     an lru.Cache; a map; a slice; keys in order in an lsm.DB
//
// # How it works
//
// A skip list is a sorted list with express lanes: each lane is a random
// sublist of the one below, so a search goes far on the top lane, and down
// where it would go too far. Here a node of the bottom lane is a leaf of up to
// 62 entries, and a lane above has the fences between the blocks below it:
//
//	level 2   [ ·  m ]                         fences that won two coin flips
//	            │   └───────────┐
//	level 1   [ ·  d  h ]     [ ·  s ]         one block for each fence above
//	            │  │  │         │  │
//	level 0   [a b][d f][h k] [m p][s t u]     leaves of entries, in order
//
// To find p: m <= p, so right; p < s, so down, to the leaf [m p]. A leaf that
// is full gives some entries to a neighbor, or splits; the new fence flips a
// coin of 1 in 64, and goes up a level while it wins. After 62 that lost, one
// goes up anyway: nobody who sees the coins can make the list slow. Blocks that
// are a quarter full are merged. Ranks are sums of the entries under fences: of
// Alice 100, Charlie 150, Bob 200, Bob has rank 2 (Example). A ConcurrentMap
// changes a leaf by one store of one word, and all else by copies.
//
// # Guarantees
//
//   - Answers are those of a sorted list of the keys: TestModelMapInt,
//     TestModelMapString, TestModelMapFloat, TestModelMapFunc, TestModelSet,
//     TestModelSortedSet, TestModelConcurrent.
//   - A loop may change a Map: the next key is the successor of the last one in it
//     as it is then (TestModelMapInt). Keys of a SortedSet are score and member.
//   - A Clone and its original never see each other's changes (TestModelMapInt);
//     it may be made beside readers (TestCloneBesideReaders).
//   - NaN is a key like others, before all numbers (TestModelMapFloat).
//   - Blocks between others are a quarter full, unless a coin cut them, whatever
//     the order of changes (TestAdversary, TestRunIntoGap).
//   - No value that was deleted is kept from the garbage collector (TestRetention),
//     though a key in 30 is, as a fence. A leaf of a ConcurrentMap keeps no more
//     dead values than it has entries, and 15 (TestRetentionConcurrent).
//   - A function of the caller's that panics, which those of a SortedSet must not,
//     leaves each key as it was before or after, and no lock (TestPanicsInOrder,
//     TestTrapOrderEscapes, TestTrapCallbackEscapes).
//   - Each method of a ConcurrentMap takes effect at one moment between call and
//     return, Floor, PopMin and Snapshot, too (TestKeptSchedules, TestPreemptions),
//     but loops, which have a key that stays once, and none twice
//     (TestLoopsConcurrent), and Len, which is never too low (TestTrapNegativeLen).
//
// # Complexity
//
//	operation                       time                 allocations
//	Get, Floor, Index, Nth, Load    O(log n)             0
//	Set, Delete, Pop                O(log n)             1 in 24 or less
//	Set of a key beyond all others  O(1) amortized       1 in 62, of strings 1 in 30
//	All, Backward                   O(1) an entry        0
//	Len, Clear of a span of a Map   O(log n)             0
//	Clone                           O(1); then changes copy their blocks
//	ConcurrentMap: Store, Delete    O(log n)             1 in 8 or less
//
// An entry of 8-byte key and value takes 17 bytes in ascending order, 25 in
// random order, 33 in a ConcurrentMap; a string of a Map 8 more (TestSizes).
//
// # Concurrency
//
// Any number of goroutines may read a Map, Set or SortedSet at once, and clone
// the first two, or one may write; readers of a clone need no lock. All may use
// a ConcurrentMap, except functions that it calls, as Compute does.
//
// # Errors
//
// None. A span whose bounds cross is empty. Ranks out of range panic, as does
// writing to a zero value.
//
// # References
//
//   - W. Pugh, "Skip lists", CACM 33(6), 1990; D. Golovin, "The B-skip-list", 2010
//   - J. Munro, T. Papadakis, R. Sedgewick, "Deterministic skip lists", 1992
//   - M. Herlihy, J. Wing, "Linearizability", ACM TOPLAS 12(3), 1990
package skiplist
