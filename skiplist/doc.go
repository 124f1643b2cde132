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
// for structs, []byte, or another order. Values of more than 128 bytes are
// better behind pointers. [SortedSet] has a table of the commands of Redis.
//
// A Map under a lock of yours is better than a ConcurrentMap if writers are few
// and loops are long, for less than 1000 entries that are mostly written, and
// for ranks. Readers of a [Map.Clone] need no lock.
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
// coin of 1 in 64, and goes up a level while it wins. After 62 fences without a
// win one goes up anyway, so nobody who sees the coins can make the list slow.
// A deletion merges blocks that are a quarter full or less. Ranks come from the
// number of entries under each fence. A ConcurrentMap changes a leaf by one
// store of one word, and all else by copies.
//
// By hand: Alice 100, Charlie 150, Bob 200. Bob has rank 2, Alice 0 (Example).
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
//   - No value that was deleted is kept from the garbage collector
//     (TestRetention). A key may be: one in 30 or so is a fence until its blocks
//     are merged. A leaf of a ConcurrentMap keeps no more values that are gone than
//     it has entries, and 15 (TestRetentionConcurrent).
//   - A function of the caller's that panics leaves each key as it was before, or
//     after, and no lock behind (TestPanicsInOrder, TestTrapOrderEscapes,
//     TestTrapCallbackEscapes). Those of a SortedSet must not.
//   - Each method of a ConcurrentMap takes effect at one moment between call and
//     return, Floor, PopMin and Snapshot, too (TestKeptSchedules, TestPreemptions),
//     but loops, which have a key that stays once, and none twice
//     (TestLoopsConcurrent), and Len, which is never too low (TestTrapNegativeLen).
//
// # Complexity
//
//	operation                       time                 allocations
//	Get, Floor, Index, Nth          O(log n)             0
//	Set, Delete, Pop                O(log n)             1 in 24 or less
//	Set of a key beyond all others  O(1) amortized       1 in 62, of strings 1 in 30
//	All, Backward                   O(1) an entry        0
//	Len of a span                   O(log n)             0
//	Clear of a span, Map and Set    O(log n)             0
//	Clone                           O(1); then changes copy their blocks
//	of a ConcurrentMap Load, Floor  O(log n)             0
//	Store, Delete                   O(log n)             1 in 8 or less
//
// An entry of 8-byte key and value takes 17 bytes in ascending order, 25 in
// random order, 33 in a ConcurrentMap; a string of a Map 8 more (TestSizes).
//
// # Concurrency
//
// Any number of goroutines may read a Map, Set or SortedSet at once, Clone
// included (not of a SortedSet), or one may write. A ConcurrentMap is safe for
// concurrent use; functions that it calls, as Compute does, must not use it.
//
// # Errors
//
// None. A span whose bounds cross is empty; a rank out of range panics, as in a
// slice, and so does writing to a zero value.
//
// # References
//
//   - W. Pugh, "Skip lists: a probabilistic alternative to balanced trees", 1990
//   - D. Golovin, "The B-skip-list", arXiv:1005.0662, 2010
//   - J. Munro, T. Papadakis, R. Sedgewick, "Deterministic skip lists", 1992
//   - M. Herlihy, J. Wing, "Linearizability", ACM TOPLAS 12(3), 1990
package skiplist
