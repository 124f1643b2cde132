// SPDX-License-Identifier: MIT

// Package lsm is a database of keys and values in a directory, whose commits
// survive a crash, in order, each as a whole or not at all.
//
//	db, err := lsm.Open("data", nil)
//	if err != nil {
//		return err
//	}
//	defer db.Close()
//	if err := db.Set([]byte("user:1"), []byte("alice")); err != nil {
//		return err // nil means: it is on the disk
//	}
//	name, err := db.Get([]byte("user:1"))
//
// # Choosing
//
// Use it for state that must outlive the process and fits in memory: sessions,
// counters, queues, the metadata of larger things. Many goroutines that commit
// at once share the syncs of the disk.
//
// This is the first part of a log-structured merge tree: the log and the table
// in memory. Tables on disk are not here yet, so everything that was ever
// written stays in memory and in the logs, older versions too, up to
// [Options].Memory; there are no iterators and no snapshots. If data outgrow
// memory or are overwritten for long, or if you need ranges, use
// go.etcd.io/bbolt or github.com/cockroachdb/pebble. For a file that is
// rewritten as a whole now and then, write another and rename it.
//
// Which [Durability] a commit needs:
//
//	            when the process is killed   when power fails
//	Sync        kept                         kept                money, promises to others
//	NoSync      kept                         seconds are lost    what can be had again
//	Async       10 ms are lost               seconds are lost    caches, imports
//
// [DB.Sync] makes all that went before durable, whatever it was committed with.
// What is lost is always the newest part. A [Batch] can choose for itself.
//
// # How it works
//
// A commit gets the next sequence numbers, joins the group of commits that will
// be written together, and goes into a B+tree in memory; all that takes a lock
// for a microsecond. The first of the group writes one record, syncs once if
// anyone wants it, then lets readers see the group. Meanwhile the next gathers:
//
//	disk:     [ write a   | sync ][ write b c d | sync ][ write e f ...
//	commits:  a b c d ............ b c d done, e f
//
// If groups had several commits, the leader waits for as many again, at most an
// eighth of the time of a sync: they are just about to come. A log of 4 MiB
// that is full ends with a seal that names the next one, which was made in
// advance.
//
// The tree has 14 items a node, found by 8 bytes of each key after what all of
// them have in common. For the keys user:0001 to user:0014, of which "user:00"
// is common to a node, that is "01", "02", …, "14": one comparison of numbers
// each.
//
// # Guarantees
//
// Let commits be numbered in the order of their sequences. After a crash Open
// finds the state after some commit p, where p is at least the last Sync commit
// that had returned, and all before:
//
//	acknowledged ≤ p ≤ begun
//
// and if only the process died, p is at least the last commit that was not
// Async. This holds for whatever part of what was not synced reached the disk,
// by sectors, lengths and names, and if the machine crashes again while the
// database opens. What an open database has shown of earlier times lasts: Open
// makes it durable before. See TestCrash, TestCrashConcurrent, TestKill and
// TestTrapKilledThenPowerLoss.
//
// Get, Set and Delete are linearizable, and batches are atomic, to readers and
// over crashes. A Sync commit is seen by nobody before it is durable, so what
// was read under Sync lasts. See TestLinearizable, TestBatchAtomic and
// TestTrapVisibleBeforeDurable.
//
// Whichever operation of the file system fails, once or from then on, no call
// hangs, no goroutine or descriptor is left after Close, no acknowledged commit
// is lost, and reads go on. See TestFaults, TestFaultsConcurrent and
// TestTrapLeakInFailedOpen. A failed write or sync of the log is final, and
// never tried again (TestTrapSyncRetried); lack of space or descriptors for the
// next log is waited for (TestStall).
//
// A database that was closed, and in which any byte or length then changed,
// gives correct answers or [ErrCorrupt]. If it was not closed, damage of the
// last record is taken for a crash, and so is a log that was cut off; other
// damage of what was durable is ErrCorrupt. See TestFlips, TestTruncations and
// TestMissingFiles. Any bytes can be opened without a panic (FuzzLog,
// FuzzManifest).
//
// A reader misses no version that was complete when it began:
// TestMemtableOrders inserts in all small orders, with readers that are
// interrupted at every step.
//
// Not covered: a disk that says it has synced and has not, memory that forgets,
// other programs that change files of an open database.
//
// # Complexity
//
//	operation            time            allocations   memory
//	Get                  O(log n)        1             a copy of the value
//	AppendGet, Has       O(log n)        0
//	Set, Delete          O(log n)        amortized 0   key + value + 25 to 40 bytes a version
//	Apply                O(k log n)      amortized 0   for k changes
//	Open                 O(bytes of all logs)
//	Close                O(1)
//
// where n is the number of versions: of all changes since the database was
// made. An empty database takes 64 KiB of memory, and 4 MiB of disk while it is
// open.
//
// # Concurrency
//
// A [DB] and a [MemFS] are safe for concurrent use by multiple goroutines; a
// [Batch] is not. Reads take no lock and write nothing that others read.
// Goroutines of the database live while there is work: making the next log, and
// writing what contexts and Async commits left behind. A database that is idle
// has none, and no timer. Close waits for them, and for the commits that have
// begun.
//
// # Errors
//
// Open returns errors that are [ErrLocked], [ErrCorrupt] with a place in
// [CorruptError], [ErrVersion], [fs.ErrExist], [fs.ErrNotExist], or those of
// the file system. A missing key is [ErrNotFound]. A commit that fails with
// [ErrClosed], [ErrStalled], [ErrFull] or [ErrTooLarge] has not happened, and
// so if its context was done before; after other errors, [ErrReadOnly] and
// those of a context that ended later, it is unknown until the database is
// opened again. After Close all methods return ErrClosed.
//
// # Format
//
// Numbers are little endian; checksums are CRC-32C. A directory holds LOCK,
// MANIFEST-000001 and logs 000001.wal, 000002.wal, …:
//
//	log       offset  bytes
//	          0       8      "ashLSMw1"
//	          8       4      version, 1
//	          12      4      zero
//	          16      8      number of the log
//	          24      8      number of the log before, or 0
//	          32      8      nonce
//	          40      16     zero
//	          56      4      checksum of bytes 0 to 55
//	          60      4      zero
//	record    0       4      salted checksum of bytes 4 to 39
//	          4       4      salted checksum of the body, with its padding
//	          8       4      length of the body
//	          12      4      number of operations
//	          16      8      sequence of the first, or of the next to come
//	          24      8      offset before which the log is durable
//	          32      1      kind: 1 operations, 2 seal, 3 begin
//	          33      7      zero
//	          40             body, zeros up to a multiple of 8
//	operation 0       1      kind: 0 delete, 1 set
//	                         length of the key, uvarint; key
//	                         if set: length of the value, uvarint; value
//	manifest  0       8      "ashLSMm1"
//	          8       4      version, 1
//	          12      4      zero
//	edit      0       4      checksum of the rest of the edit xor that of bytes 0 to 15 of the file
//	          4       4      length of the fields
//	          8       8      number of the edit, 0
//	          16      4      checksum of the edit before, 0
//	          20      4      zero
//	          24             fields: tag, length, value; all uvarints. Tag 1 is the oldest log.
//
// The body of a seal is the number of the next log. A begin record says that
// the log before was sealed by Close. A checksum is salted by xor with the low
// half of m(m(nonce + number·2^64/φ) + offset), where m is the finalizer of
// SplitMix64.
//
// The kinds 2 to 5 of operations, other tags, and names that end in .sst are
// kept for later versions. They will read this format: TestGolden holds it
// fast.
//
// # References
//
//   - P. O'Neil, E. Cheng, D. Gawlick, E. O'Neil, "The log-structured merge-tree (LSM-tree)", Acta
//     Informatica 33(4), 1996.
//   - P. Helland, H. Sammer, J. Lyon, R. Carr, P. Garrett, A. Reuter, "Group commit timers and high
//     volume transaction systems", HPTS 1987, LNCS 359: how long to wait for others.
//   - Y. Mao, E. Kohler, R. Morris, "Cache craftiness for fast multicore key-value storage", EuroSys
//     2012: Masstree, whose permutation word orders our nodes.
//   - G. Graefe, "Modern B-tree techniques", Foundations and Trends in Databases 3(4), 2011: poor
//     man's normalized keys, and prefixes of fences.
//   - T. S. Pillai et al., "All file systems are not created equal: on the complexity of crafting
//     crash-consistent applications", OSDI 2014: what a crash can leave.
//   - A. Rebello et al., "Can applications recover from fsync failures?", USENIX ATC 2020.
//   - J. Izraelevitz, H. Mendes, M. L. Scott, "Linearizability of persistent memory objects under a
//     full-system-crash failure model", DISC 2016: durable linearizability.
package lsm
