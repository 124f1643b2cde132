// SPDX-License-Identifier: MIT

// Package lsm is a database of keys and values in a directory. Its commits
// survive a crash, in order, each as a whole or not at all.
//
//	package main
//
//	import "fmt"
//	import "github.com/ashlar-go/ashlar/lsm"
//	func main() {
//		db, err := lsm.Open("data", nil)
//		if err != nil {
//			panic(err)
//		}
//		err = db.Set([]byte("user:1"), []byte("alice")) // nil: it is on the disk
//		name, _ := db.Get([]byte("user:1"))
//		fmt.Println(string(name), err, db.Close())
//	}
//
// # Choosing
//
// Start with [Open], [DB], [Batch] and [DB.Scan]. LSM or B+tree? For many
// writes, and data larger than memory, this; for one file that is mostly read,
// bbolt (MIGRATING.md). What may be lost, the RPO, depends on the [Durability].
// The time until it is there again, the RTO, is that of an Open: a second for
// 64 MiB that were in memory at a crash, 2 ms after Close.
//
//	         RPO if killed        RPO if power fails
//	Sync     0                    0                   money, promises to others
//	NoSync   0                    seconds             data that can be had again
//	Async    10 ms, or busy disk  seconds             caches, imports
//
// How much memory? [Options.Memory], and as much again for the collector. Batch
// or Snapshot? What changes together is a Batch, what is read together a
// [Snapshot]; if a change depends on the old value, take a lock. Much to
// delete? Begin scans behind it (see the queue in the examples); space comes
// back as that pays, or with [DB.Compact].
//
// # How it works
//
// A commit joins the group that is written next, and goes into a B+tree in
// memory. The first of a group writes one record, syncs once if any asks for
// it, then lets readers see the group, while the next one gathers:
//
//	disk:     [ write a   | sync ][ write b c d | sync ][ write e f ...
//	commits:  a b c d ............ b c d done, e f
//
// A full log ends with a seal that names the next. A full tree becomes a table
// of level 0, and its logs go. Tables are merged into levels, each ten times as
// long as the one before, where a key lies once; so a read asks few tables. In
// a node, 14 items are in order of 8 bytes after what all keys have in common:
// after "user:00", user:0001 to user:0014 are the numbers 01 to 14.
//
// # Guarantees
//
// Number commits by their sequences. After a crash Open finds the state after
// some commit p, whatever unsynced sectors, lengths and names survived:
//
//	acknowledged by Sync <= p <= begun         TestCrash, TestCrashConcurrent
//	killed: acknowledged unless Async <= p     TestKill
//	shown after Open, or under Sync: it lasts  TestTrapKilledThenPowerLoss, TestTrapVisibleBeforeDurable
//	Get, Set and Delete are linearizable, and a batch is seen whole    TestLinearizable, TestBatchAtomic
//	snapshots and iterators show one state; merges change no answer    TestModelDB, TestCompactSnapshots, TestLeaks
//	commits that come too fast wait evenly, no 100 ms without one      TestStallLaw, TestSlowContext
//	the disk fails anywhere: no hang, leak or loss; reads go on        TestFaults, TestFaultsConcurrent, TestTrapReadError
//	a failed sync is final, lack of space is not                       TestTrapSyncRetried, TestFullDisk
//	closed, then damaged, cut or lacking a file: right, or ErrCorrupt  TestFlips, TestTruncations, TestMissingFiles
//	killed, then damage before the last record synced: ErrCorrupt      TestTrapWatermark, TestMark, TestFoldDamage
//	any bytes open, and a table holds what was written                 FuzzLog, FuzzManifest, FuzzTable, TestModelTable
//
// A log that is cut while open looks like a crash, and so does a Close that
// lacks space, but all is durable. A disk must not lie about a sync.
//
// # Complexity
//
//	Get          O(t + log n)  1 allocation, of the value; t filters, of 6 levels and 4 tables, more if merges lag; reads one block, or none
//	Set, Delete  O(log n)      0 amortized; key + value + 29 to 34 bytes a version until it is in a table, where it takes about 9
//	Scan         O(t log n)    a few, then none; O(log t) a step, both ways
//	Open         O(all logs)   at least 64 KiB, and 16 bytes a block of tables; takes 2 LogSize of disk
//
// # Concurrency
//
// [DB], [Snapshot], [Cache], [Codec], [Table], [OSFS] and [MemFS] are safe for
// concurrent use by multiple goroutines. An idle database has no goroutine.
//
// # Errors
//
// After [ErrClosed], [ErrStalled] and [ErrTooLarge] nothing has changed; after
// [ErrReadOnly] and an error of a context, the next Open knows.
//
// # Format
//
// Little endian. Files: LOCK, MANIFEST-000001 (the highest counts), 000001.wal,
// 000002.sst. FORMAT.md has every byte of them; a table in short, where lengths
// and sequences are uvarints, and a sum is a CRC-32C salted with nonce and
// offset:
//
//	table       data blocks, ranges (none yet), filter, index, properties, footer; each but the footer is a block, or nothing
//	block       payload, zeros up to a multiple of 8, 1 codec, 1 how many zeros, 2 zero, 4 sum
//	data        0 4 n, 4 2 p, 6 1 flags (1 w is 8, else 2; 2 sequences are 0; 4 all are sets), 7 1 zero, 8 4n heads: 4
//	            bytes after the prefix, wn offsets of entries, p prefix of the keys, entries
//	entry       kind 1 (0 delete, 1 set), sequence, length of key and, if set, value; key after prefix and head; value
//	filter      0 4 lines, 4 1 bits of a key, 5 1 hash (1 XXH64), zeros up to 64, lines of 64 bytes
//	index       0 4 n, 4 2 p, 6 2 zero, 8 8n heads, 4n ends of blocks / 8, 4n+4 offsets, p prefix, rests of separators
//	properties  fields: tag, length, value; 1 entries, 2 deletes, 3 smallest and 4 largest key, 5 lowest and 6 highest
//	            sequence, 7 bytes of keys, 8 of values, 9 longest payload, 10 data blocks, 11 codec
//	footer      0 8 "ashlarst", 8 2 version 1, 10 2 zero, 12 4 sum, 16 8 nonce, offsets: 24 8 ranges, 32 8 filter, 40 8
//	            index, 48 8 properties, 56 8 footer
//
// Reserved, for deletes of ranges and for expiry, are other kinds, flags,
// codecs, hashes and versions, ranges, tags below 32, and zeros that are set:
// they are ErrVersion. Tags from 32 on are skipped.
//
// # References
//
//   - P. O'Neil et al., "The log-structured merge-tree", Acta Inf. 33(4), 1996.
//   - Y. Mao, E. Kohler, R. Morris, "Cache craftiness for fast multicore
//     key-value storage", EuroSys 2012: the permutation word of our nodes.
//   - A. Rebello, "Can applications recover from fsync failures?", ATC 2020.
package lsm
