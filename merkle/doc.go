// SPDX-License-Identifier: MIT

// Package merkle provides hash trees, by which logs, files and replicas prove
// their contents to a reader that trusts a root of 32 bytes and no more.
//
//	package main
//
//	import (
//		"fmt"
//		"github.com/ashlar-go/ashlar/merkle"
//	)
//
//	func main() {
//		var log merkle.Tree
//		i := log.Append([]byte("alice pays bob 5"))
//		log.Append([]byte("bob pays carol 3"))
//		proof, _ := merkle.AppendInclusion(nil, &log, nil, i, log.Len())
//		leaf := merkle.SHA256.Leaf([]byte("alice pays bob 5"))
//		fmt.Println(merkle.VerifyInclusion(nil, proof, i, log.Len(), leaf, log.Root())) // <nil>
//	}
//
// # Choosing
//
//   - Did a record get into the log, and was the log rewritten? A [Tree], with
//     inclusion and consistency proofs; [VerifyRange], [VerifyMulti] for many.
//   - Only the root is needed, of a stream or of parts on many machines: a
//     [Range].
//   - Is a large file intact, or a part of it, while it comes in? A [File].
//   - In which keys do two replicas differ? An [Index]. In a Tree positions
//     shift with the first key that one of them lacks.
//
// To know whether one small thing changed, use [crypto/sha256]. A Tree cannot
// prove that a log does not hold a record. MIGRATING.md helps to come from
// another library.
//
//	type   trusted                      may lie
//	Tree   root and size, as signed     the prover, the store of the nodes
//	File   root, size and chunk size    the sender of bytes, nodes, slices
//	Index  all that have the secret     writers of keys; a peer about its own
//
// # How it works
//
// A leaf is H(0, data), a node H(1, left, right). For tx1 to tx4, with SHA-256
// and the first 4 bytes of each:
//
//	             dc53b6c7
//	      ┌─────────┴─────────┐
//	   60e1f5f6            3c373b49
//	 ┌────┴────┐         ┌────┴────┐
//	b535c0e4 8f968b0e   dd92b235 590b66ca
//	 tx1      tx2        tx3      tx4
//
// The proof of tx3 is 590b66ca, 60e1f5f6. A verifier that has tx3 hashes
// dd92b235 with the first to 3c373b49, the second with that to dc53b6c7: the
// root (Example_transactions).
//
// Textbooks leave out the 0 and 1. Then the 64 bytes of two hashes are a leaf
// with the hash of their node, and the root of tx1 to tx4 is also that of two
// leaves that nobody wrote. Bitcoin also hashes an odd node with itself: tx1
// tx2 tx3 and tx1 tx2 tx3 tx3 have one root. Here an odd node moves up as it
// is. So roots differ from theirs; they are those of RFC 9162.
//
// An Index adds up keyed hashes of its keys, and divides ranges that differ.
//
// # Guarantees
//
//	roots and proofs of any size are those of RFC 9162  TestRoots, TestInclusion, TestConsistency
//	a proof that was changed does not verify            TestMutations, TestMultiProofs
//	no node passes as a leaf, two lists have two roots  TestForgedNode, TestForgedOddLeaf
//	proofs of any length, index and size are defined    TestTrapHostileProof, TestHuge
//	leaves added at once are those added one by one     TestAppendAll
//	readers see trees that existed, and never wait      TestReadersNeverWait
//	ranges that meet merge into the one of all          TestRangeMerge
//	readers of a File return no byte that is not its    TestFileDamage, TestTrapUnverifiedNodes
//	a slice is accepted only for its bytes              TestSliceMutations
//	Diff yields exactly the keys that differ            TestPropDiff
//	it exchanges bytes in proportion to them            TestDiffBytes
//	it ends, whatever a peer answers                    TestDiffHostile, TestTrapFingerprintForever
//	sums depend on the set only, not on its history     TestTrapHistory
//	stored forms are read back, and damage is found     TestStoredTree, TestDamage, TestForgedForms
//
// All hold as long as nobody finds two messages with one hash.
//
// # Complexity
//
//	operation                      time          allocations     memory
//	Tree.Append, Range.Append      O(1) amort.   0, blocks       64 bytes a leaf; a Range O(log n)
//	Root, RootAt                   O(log n)      0
//	AppendInclusion, Consistency   O(log n)      0               32·⌈log2 n⌉ bytes a proof, at most
//	AppendRangeProof               O(log n)      0               twice as many
//	AppendMultiProof               O(k log n)    0
//	Verify...                      the hashes    0
//	Index.Set, Delete              O(log n)      0, pages        about 60 bytes and the key
//	Diff of d keys                 O(d log n)    in proportion   O(log n) exchanges
//
// # Concurrency
//
// A [Tree] is safe for one writer and any number of concurrent readers, which
// take no lock. An [Index] and a [Hasher] are safe for concurrent use by
// multiple goroutines. A [Range] and a [FileHasher] are not. AppendAll and
// SumFile use goroutines, which end before they return.
//
// # Errors
//
// A proof that does not verify gives [ErrProof], of a file as a [ChunkError].
// A leaf that a tree does not have gives [ErrRange], bad bytes [ErrCorrupt] or
// [ErrVersion]. Options that make no sense panic, or are the error of SumFile.
//
// # Format
//
// FORMAT.md has the tables. Forms are little endian, and begin with "ashlarmt"
// or "ashlarmi" and version 1; later versions of this package read them.
//
// # References
//
//   - B. Laurie et al., https://www.rfc-editor.org/rfc/rfc9162: the tree.
//   - R. Merkle, "A digital signature based on a conventional encryption
//     function", CRYPTO 1987.
//   - A. Meyer, https://arxiv.org/abs/2212.13567: reconciliation by ranges.
package merkle
