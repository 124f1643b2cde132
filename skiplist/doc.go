// SPDX-License-Identifier: MIT

// Package skiplist provides ordered maps and sets: skip lists whose nodes are
// blocks of entries, with ranks, spans between keys, and copies in constant
// time.
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
// Do you need order: ranges, the nearest key, the first, ranks? If not, use the
// builtin map, which finds a key in a third of the time. If all keys are there
// before the first question, sort a slice. Else:
//
//	[Map]        keys to values, in the order of keys
//	[Set]        the same without values, with union and the like
//	[SortedSet]  members to scores, ranked by score: leaderboards, delay queues
//
// [NewMap] compares numbers and strings itself; [NewMapFunc] takes a function,
// for structs, []byte, or another order. Values of more than 128 bytes are
// better behind pointers, since blocks move them. For one writer beside readers
// without a lock, give the readers a [Map.Clone]. For data on disk, see lsm.
//
//	Redis                         here
//	ZADD, NX XX GT LT, ZINCRBY    Set; Compute; Incr
//	ZSCORE, ZRANK, ZREVRANK       Get; Index; Len()-1-Index if Has
//	ZRANGE 0 9, ZREVRANGE 0 9     Slice(0, 10).All; Slice(Len()-10, Len()).Backward
//	ZRANGEBYSCORE ( LIMIT         From, Above, To, Below; .Slice(i, j)
//	ZCOUNT, ZREMRANGEBYSCORE      .Len; .Clear
//	ZPOPMIN, ZPOPMAX, ZREM        PopMin, PopMax, Delete
//	ZRANGEBYLEX, ZLEXCOUNT        Set: From, Below; .Len
//	ZUNION, ZINTER, ZDIFF         Set: Union, Intersection, Difference
//	GET SET EXPIRE, HASH, LIST    map or lru; map; slice or container/list
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
// A deletion merges blocks on its way that are a quarter full or less. Ranks
// come from the number of entries under each fence. Strings have eight bytes of
// each beside them, as numbers, so that most comparisons follow no pointer.
//
// By hand: Alice 100, Charlie 150, Bob 200. Bob has rank 2, Alice 0, and the
// top of the list from behind is Bob, Charlie, Alice (Example).
//
// # Guarantees
//
//   - Get, ranks and neighbors are those of a sorted list of the keys:
//     TestModelMapInt, TestModelMapString, TestModelMapFloat, TestModelMapFunc,
//     TestModelSet, TestModelSortedSet.
//   - A loop may change the map: the next key is the successor of the last one in
//     the map as it is then, and no key comes twice (TestModelMapInt). The keys of
//     a SortedSet are pairs of score and member.
//   - A Clone and its original never see each other's changes (TestModelMapInt),
//     and Clone may run beside readers (TestCloneBesideReaders).
//   - NaN is a key like others, before all numbers (TestModelMapFloat).
//   - Leaves between others are a quarter full, and index blocks unless a coin cut
//     them, whatever the order of changes (TestAdversary, TestRunIntoGap).
//   - No value that was deleted is kept from the garbage collector
//     (TestRetention). A key may be: one in 30 or so is a fence, which stays until
//     the blocks beside it are merged.
//   - A function of the caller's that panics leaves each key of a Map or Set as it
//     was before, or after (TestPanicsInOrder). Those of a SortedSet must not.
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
//
// An entry of 8-byte key and value takes 17 bytes in ascending order, and about
// 25 in random order; a string 8 more (TestSizes). The first makes room for 62.
//
// # Concurrency
//
// Any number of goroutines may read a Map, Set or SortedSet at once, Clone
// included (not of a SortedSet), or one may write.
//
// # Errors
//
// Nothing fails. A span whose bounds cross is empty, a rank out of range panics
// as in a slice, and so does writing to a zero value.
//
// # References
//
//   - W. Pugh, "Skip lists: a probabilistic alternative to balanced trees", 1990
//   - D. Golovin, "The B-skip-list", arXiv:1005.0662, 2010
//   - J. Munro, T. Papadakis, R. Sedgewick, "Deterministic skip lists", 1992
package skiplist
