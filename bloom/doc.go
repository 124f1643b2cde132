// SPDX-License-Identifier: MIT

// Package bloom is a Bloom filter: a set that answers "certainly not" or
// "maybe", never misses a key that was added, and takes about ten bits a key.
//
//	package main
//
//	import (
//		"fmt"
//		"github.com/ashlar-go/ashlar/bloom"
//	)
//
//	func main() {
//		users := bloom.New(1_000_000, 0.01, nil) // 1 % of wrong maybes: 1.3 MB
//		users.AddString("alice")
//		fmt.Println(users.HasString("alice")) // true: ask the database
//		fmt.Println(users.HasString("bob"))   // false: certain, it need not be asked
//	}
//
// # Choosing
//
// One goroutine adds, or all is added before the first question: a [Filter].
// Several add while others ask: a [Concurrent]. Start with these two.
//
//   - The number of keys is not known: a [Scalable]; or a Filter that is too large,
//     with Options.Foldable, and [Filter.Fold] when all keys have come.
//   - Keys are removed: a [Counting], at four to five times the memory; because
//     they are old: a [Window], which finds duplicates in a stream.
//   - The filter is stored, and larger than memory: a [View] of a mapped file, or
//     a [Probe] that reads one or two lines of 64 bytes a question.
//   - Other systems read the bits: a [SplitBlock], as in Parquet, Impala, Spark.
//   - Millions of keys are at hand at once: AddHashes, HasHashes.
//
// A map[string]struct{} is never wrong, and takes tens of bytes a key more: use
// it while it fits. MIGRATING.md helps to come from another library.
//
// A client that knows the hash can choose keys that the filter reports, or that
// fill few lines of it; a seed does not help. Against adversaries use AddHash
// and HasHash with [hash/maphash.String], or SipHash if the filter is stored.
//
// # How it works
//
// A key sets k bits of an array, chosen by hashes; if one of the bits of a key
// is not set, the key was never added. With 16 bits and k = 2:
//
//	add "to"  sets 3, 9      0001000001000000
//	add "be"  sets 9, 14     0001000001000010
//	has "or"  asks 3, 7      7 is not set: certainly not
//	has "not" asks 3, 14     both are set, by other keys: maybe, and wrong
//
// Here all bits of a key lie in one cache line, or in two below a rate of 1e-3:
// a question costs one or two cache misses, not k. Since some lines by chance
// hold more keys than others, that takes a few more bits, which New computes
// exactly:
//
//	rate   bits a key  textbook  bits set     rate   bits a key  textbook  bits set
//	1e-01    4.89        4.79       4         1e-06   31.64       28.76      16
//	1e-02   10.11        9.59       8         1e-08   45.12       38.34      24
//	1e-03   15.82       14.38       8         1e-10   62.12       47.93      24
//	1e-04   20.23       19.17      16         1e-12   82.18       57.51      32
//
// # Guarantees
//
// If n different keys were added to a filter made for n and p, and hashes are
// like random numbers, a key that was not added is reported with probability at
// most p, on average over filters: TestRate.
//
//	a key that was added is present, in all forms   TestModelFilter, TestStored
//	once Concurrent.Add returned                    TestConcurrentSameBits
//	answers of a Concurrent are those of a set      TestLinearizable
//	a Scalable keeps below p forever                TestTrapScalableRate
//	a Counting holds keys added but not removed     TestModelCounting
//	a Window holds a key for the window at least,   TestModelWindow
//	and for G/(G-1) of it at most                   TestWindowKeys
//	a SplitBlock has the bits of the specification  TestParquetVector
//	Len is within 1 %, Rate within 5 %              TestLenAndRate
//	bits do not depend on batches, unions, folds    TestPropBatch, TestPropUnion
//	any bytes can be read: no panic, memory in      TestTrapAllocateFromHeader
//	proportion, and damage is found                 TestDamage, TestStoredDamage
//
// If Add returns true, the key was not there; if false, no bit changed. Two
// Adds of one new key at once may both return true. View and OpenProbe check
// headers only.
//
// # Complexity
//
//	operation                    time      allocations  memory touched
//	Add, Has                     O(1)      0            1 or 2 cache lines
//	AddHashes, HasHashes         O(1)/key  0            dst grows if it must
//	Len, FillRatio, Rate         O(m)      0            4 MiB; all if few keys
//	Union, Intersect, Equal      O(m)      0
//	Clone, Fold, Snapshot, View  O(m)      2            a new array; View O(1)
//	Scalable                     O(log n)  when it grows
//	Window                       O(G)      0            G adjacent lines
//
// # Concurrency
//
// [Concurrent] and [Probe] are safe for concurrent use by multiple goroutines.
// The others are safe for any number of readers while no goroutine changes
// them, as Window.Seen does. No type has a goroutine or needs a Close.
//
// # Errors
//
// Filters that do not match give [ErrMismatch] and are left unchanged. Bad
// bytes give [ErrCorrupt], [ErrVersion] or [ErrTooLarge], from readers also
// [io.ErrUnexpectedEOF]. Sizes and options that make no sense panic.
//
// # Format
//
// FORMAT.md has the tables. Forms are little endian and begin with "ashlarbf"
// and version 1; later versions of this package read them.
//
// # References
//
//   - B. H. Bloom, CACM 13(7), 1970. F. Putze et al., "Cache-, hash- and
//     space-efficient Bloom filters", ACM JEA 14, 2009: one line a key.
//   - L. Fan et al., IEEE/ACM Trans. Networking 8(3), 2000: counters. P. S. Almeida
//     et al., "Scalable Bloom filters", Inf. Proc. Letters 101(6), 2007.
//   - https://parquet.apache.org/docs/file-format/bloomfilter/: SplitBlock.
package bloom
