// SPDX-License-Identifier: MIT

// Package bloom is a Bloom filter: a set that answers "certainly not" or "maybe",
// never misses a key that was added, and takes about ten bits a key.
//
//	f := bloom.New(1_000_000, 0.01, nil) // a million names, 1 % maybes too many: 1.3 MB
//	f.AddString("alice")
//	if !f.HasString("bob") {
//		return errNotFound // certain: the database need not be asked
//	}
//
// # Choosing
//
// One goroutine adds, or all is added before the first question: a [Filter]. Several add
// while others ask: a [Concurrent]. The filter is stored, and asked rarely or larger than memory:
// a [View] of a mapped file, or a [Probe] that reads one or two lines of 64 bytes a question.
//
//   - The number of keys is not known: a [Scalable]; or make a Filter too large, with
//     Options.Foldable, and [Filter.Fold] it when all keys have come.
//   - Keys are removed: a [Counting], at four to five times the memory. If they are removed because
//     they are old, a [Window], which finds duplicates in a stream.
//   - Other systems read or write the bits: a [SplitBlock], as Parquet, Impala and Spark do.
//   - A rate that is half as large costs 1 to 2 bits a key more: see the table below.
//   - Millions of keys are at hand at once: AddHashes and HasHashes overlap their cache misses.
//
// A map[string]struct{} is never wrong, and takes tens of bytes a key more: use it while it fits.
// A filter only says that a key may be there: the set itself must be somewhere else if the
// answer matters, and the filter saves asking it. Keys cannot be listed.
//
// Anyone who knows the hash can choose keys that the filter reports, or that fill few lines of it:
// [Hash] is fast and public, and a seed does not change which keys collide. If keys come from an
// adversary who gains by that, and the filter stays in the process, use AddHash and HasHash with
// [hash/maphash.String] and a seed of its own. If it must be stored, use a keyed hash, such as HMAC
// or SipHash under a secret key, cut to 64 bits.
//
// # How it works
//
// The filter of the textbook is an array of bits. A key sets k of them, chosen by hashes; if one of
// the bits of a key is not set, the key was never added. With 16 bits and k = 2:
//
//	add "to"  sets 3, 9      0001000001000000
//	add "be"  sets 9, 14     0001000001000010
//	has "or"  asks 3, 7      7 is not set: certainly not
//	has "not" asks 3, 14     both are set, by other keys: maybe, and wrong
//
// Here all bits of a key lie in one cache line of 64 bytes, or in two below a rate of 1e-3, so that
// a question costs one or two cache misses and not k. A line is 4 lanes of 2 words; in each lane a
// key takes one word and sets up to 4 of its bits. Since some lines by chance hold more keys than
// others, it takes a few more bits for the same rate, which New computes exactly:
//
//	rate   bits a key   textbook   lines a key   bits set by a key
//	1e-01     4.89        4.79         1               4
//	1e-02    10.11        9.59         1               8
//	1e-03    15.82       14.38         1               8
//	1e-04    20.23       19.17         2              16
//	1e-05    25.47       23.96         2              16
//	1e-06    31.64       28.76         2              16
//	1e-08    45.12       38.34         2              24
//	1e-10    62.12       47.93         2              24
//	1e-12    82.18       57.51         2              32
//
// # Guarantees
//
// A key that was added is present: through Union, Fold, Clone, the binary forms, views and probes,
// and in an intersection if it was added to both. See TestModelFilter. Of a Concurrent this holds
// as soon as Add returned; its answers are those of a set (TestConcurrentHappensBefore,
// TestConcurrentLinearizable), apart from what Add says when it is called with one new key by many
// at once.
//
// If n different keys were added to a filter made for n and p, and hashes behave like random
// numbers, a key that was not added is reported with probability at most
//
//	p
//
// on average over filters. What one filter does is near it, the nearer the larger it is; Rate says
// what it is from the bits. See TestRate, TestRateFull and TestTrapSmallFilter.
//
// A Scalable keeps below p for ever (TestTrapScalableRate). A Counting holds every key that was
// added more often than removed (TestModelCounting). A Window holds every key that came within it,
// and none that came before G/(G-1) of it (TestModelWindow, TestWindowKeys). A SplitBlock has the
// bits that the specification says (TestParquetVector).
//
// If Add returns true, the key was not there before; if it returns false, no bit changed. The bits
// of a Filter are a function of its size, shape, seed and keys, not of the order or the way they
// came in: one by one, in batches, by many goroutines, by Union or before Fold. See TestPropBatch,
// TestPropUnion, TestPropFold and TestConcurrentSameBits.
//
// Any bytes whatever can be given to UnmarshalBinary, ReadFrom, View, Verify and OpenProbe: they
// never panic, take memory in proportion to what arrived, and all but View and OpenProbe find any
// damage that a checksum of 64 bits can. See FuzzDecode, TestDamage and TestTrapAllocateFromHeader.
//
// # Complexity
//
//	operation                      time      allocations   memory
//	Add, Has                       O(1)      0             1 or 2 cache lines touched
//	AddHashes, HasHashes           O(1)/key  0             (dst grows if it must)
//	Probe.Has                      O(1)      0             1 or 2 reads of 64 bytes
//	Len, FillRatio, Rate           O(m)      0             at most 4 MiB are read
//	Union, Intersect, Equal        O(m)      0
//	Clone, Fold, Snapshot          O(m)      2             a new array
//	View                           O(1)      1
//	Counting.Add, Has, Remove      O(1)      0             as Add; 4 to 5 times the memory
//	Scalable.Add, Has              O(log n)  0             until it grows
//	Window.Seen, Has               O(G)      0             G adjacent lines, for G generations
//	SplitBlock.Add, Has            O(1)      0             half a cache line touched
//
// where m is the size of the filter, at the bits a key of the table.
//
// # Concurrency
//
// A [Filter], [Counting], [Scalable] and [SplitBlock] are safe for any number of concurrent readers
// while nobody changes them; so is a [Window], whose Seen is a change. A [Concurrent] and a [Probe]
// are safe for concurrent use by multiple goroutines; Add and Has are lock-free. No type starts a
// goroutine or needs a Close.
//
// # Errors
//
// Filters that do not match give [ErrMismatch] and are left unchanged. Bytes that are not a filter
// give [ErrCorrupt], [ErrVersion] or [ErrTooLarge]; input that ends too early gives
// [io.ErrUnexpectedEOF] from readers. A probability, size or option that makes no sense is the
// programmer's, and panics; so does Add to a zero filter or to a view.
//
// # Format
//
// Numbers are little endian. A filter of n lines takes 72 + 64·n bytes:
//
//	offset   bytes   what
//	0        8       "ashbloom"
//	8        2       version, 1
//	10       1       kind, 1
//	11       1       lines a key, 1 or 2
//	12       1       bits a lane, 1 to 4
//	13       3       zero
//	16       8       seed
//	24       8       n, the number of lines
//	32       24      zero
//	56       8       XXH64 of bytes 0 to 55
//	64       64·n    lines, each 8 words of 8 bytes
//	64+64·n  8       XXH64 of the lines
//
// A Concurrent is stored as its Snapshot. A SplitBlock has the form that Parquet gives it. The
// other types have none yet.
//
// The bits of a key in a line are given in the implementation notes in bloom.go, and its hash by
// [Hash] or [HashUint64]. Later versions of this package will read this format, and give the same
// answers: TestGolden, TestPropKernel and TestHashVectors hold it fast.
//
// # References
//
//   - B. H. Bloom, "Space/time trade-offs in hash coding with allowable errors", CACM 13(7), 1970.
//   - F. Putze, P. Sanders, J. Singler, "Cache-, hash- and space-efficient Bloom filters", ACM
//     JEA 14, 2009: one line a key, and why the Poisson distribution sets its price.
//   - A. Kirsch, M. Mitzenmacher, "Less hashing, same performance: building a better Bloom filter",
//     Random Structures & Algorithms 33(2), 2008: what goes wrong in small filters if it is applied
//     too far.
//   - S. J. Swamidass, P. Baldi, "Mathematical correction for fingerprint similarity measures to
//     improve chemical retrieval", J. Chem. Inf. Model. 47(3), 2007: the number of keys from the
//     number of bits.
//   - L. Fan, P. Cao, J. Almeida, A. Broder, "Summary cache: a scalable wide-area Web cache sharing
//     protocol", IEEE/ACM Transactions on Networking 8(3), 2000: counters of 4 bits.
//   - P. S. Almeida, C. Baquero, N. Preguiça, D. Hutchison, "Scalable Bloom filters", Information
//     Processing Letters 101(6), 2007: filters whose rates form a series.
//   - Apache Parquet, "Parquet Bloom filter",
//     https://parquet.apache.org/docs/file-format/bloomfilter/.
//   - Y. Collet, "xxHash fast digest algorithm", version 0.1.1: XXH64.
package bloom
