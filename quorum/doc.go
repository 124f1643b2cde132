// SPDX-License-Identifier: MIT

// Package quorum reads and writes replicas so that a read sees the last write,
// as long as enough replicas answer, and says exactly what it knows when too
// few do.
//
//	package main
//
//	import (
//		"context"
//		"fmt"
//		"github.com/ashlar-go/ashlar/quorum"
//	)
//
//	func main() {
//		node := quorum.NewMemory[string, quorum.LWW[string]] // in earnest, a client
//		nodes := []quorum.Replica[string, quorum.LWW[string]]{node(), node(), node(), node()}
//		opts := &quorum.Options{Write: quorum.Three, Read: quorum.Two}
//		db, _ := quorum.NewKV(nodes, quorum.NewClock(1, nil), opts)
//		_, err := db.Put(context.Background(), "cart", "book", quorum.Atomic())
//		cart, _, err := db.Get(context.Background(), "cart", quorum.Atomic())
//		fmt.Println(cart, err) // book <nil>
//	}
//
// # Choosing
//
//   - May a read miss the last write? Yes: [At]([One]) with AllowStale, and
//     [Cluster.Repair] from time to time. No: [Quorum], the default.
//   - Must no client see time go back? [Atomic], for each call of the key.
//   - Two writes at once: keep the later one? A [KV]. Both, until somebody has
//     seen and merged them? A [Multi]. Their sum? A [Cluster] of a [State] of
//     your own: ExampleCluster_counter.
//   - Which replicas may fail together? Zones and [EachQuorum], or a [System].
//   - Does the next value depend on the last, as in stock? A [CAS], not Get and
//     Put, with Atomic neither. One leader, or a lock? A [Lease].
//   - No state, but a request to so many of several servers: [Do].
//   - Are replicas away for long? [Handoff]. Replaced? ExampleOf_members.
//   - A log? A library of Raft. MIGRATING.md has the words of other stores.
//
// # How it works
//
//	N = 4, W = 3, R = 2           Put book: {0 1 2} answer, 3 is late
//	┌───┐ ┌───┐ ┌───┐ ┌───┐       Get: asks two, such as {2 3}
//	│ 0 │ │ 1 │ │ 2 │ │ 3 │       2 says book at stamp 7, 3 says nothing
//	└───┘ └───┘ └───┘ └───┘       the greater stamp wins: book
//	  └──── W ────┘               3 is told: repaired
//	              └── R ──┘
//
// Any two and any three of four have one in common: 2 + 3 > 4. So have {1 2 3}
// and {2 4 5} of five. [Intersect] tells, and New refuses levels that have not.
//
// A write goes to all replicas and returns at the quorum; the others finish
// without the caller. A read asks as few as it can, near ones first, and one
// more when one fails or is late. Replicas merge what they get, so that what
// arrives twice, late or out of order does no harm.
//
// # Guarantees
//
// Replicas do not forget what they have confirmed, and at most so many fail
// that a quorum remains. Then, whatever is lost, repeated, late or cut off:
//
//	                 a read returns            partition   else     test
//	At(One)          some write, or none       answers     fast     TestPartition
//	Quorum           the last that had ended,  refuses     2 of 3   TestRegular
//	                 or a later one                        answer
//	Atomic           what one register would   refuses     1 or 2   TestLinearizable
//	                                                       trips
//	own writes       if it is a Quorum read                         TestRegular
//	causal order     if all are Atomic                              TestCausal
//
// The columns are the choices of CAP and of PACELC. Last is by stamp: without
// Atomic, a writer whose clock is behind loses (TestClockSkew).
//
//	CAS                   updates one by one, each at most    TestCASLinearizable,
//	                      once; Get sees all that ended       TestTrapCASReportedRefused
//	Lease                 one holder at a time; tokens grow   TestLeaseAlone, TestLeaseClocks
//	Multi                 a Put stays until one replaces it   TestSiblings
//	Handoff, KV.Purge     each write arrives; none comes back  TestHints, TestPurgeSafe
//	change of members     CAS and Atomic keep their promise   TestMembers
//	a call fails          with the answer that decides it     TestModelMerge
//	stragglers            finish, and Close waits             TestModelMerge, TestClose
//	Do                    returns each value, or discards it  TestModelDo
//	Repair, and reads     tell all that lack their result     TestPropConverge, TestRepair
//	ErrUnavailable        nothing was changed                 TestErrorKinds
//	votes, duals          the truth table                     TestModelSystem, TestPropVote
//	stamps                grow, <= time + MaxOffset           TestPropClock
//
// # Complexity
//
//	operation         requests            allocations
//	Load, Get         R, and late ones    0
//	Load, Atomic      the same, and N if no write quorum has it
//	Merge, Put        N                   2, of a context
//	Put, Atomic       R + N
//	Multi.Put         R + N, and N if it replaces a value
//	CAS.Get, Update   N; Update 2·N, if another CAS came between
//	System.Has, Vote  O(1); O(parts) if nested or weighted
//
// A Cluster takes 1 KB and 280 B a replica, a call 300 B, a Slot 72 to 330 B.
//
// # Concurrency
//
// All types are safe for concurrent use by multiple goroutines. A request has a
// goroutine, which ends when the replica returns: it should heed its context.
//
// # Errors
//
// A call without a quorum returns an [*Error], which names the replicas and
// wraps their errors. It is an [ErrUnavailable], or an [ErrIndeterminate] if a
// write may still appear. Levels that cannot work are an [ErrLevel].
//
// # References
//
//   - D. K. Gifford, "Weighted Voting for Replicated Data", SOSP 1979.
//   - H. Attiya et al., "Sharing Memory Robustly", JACM 42(1), 1995.
//   - N. Preguiça et al., "Dotted Version Vectors", 2010.
//   - S. S. Kulkarni et al., "Logical Physical Clocks", OPODIS 2014.
//   - D. Rystsov, "CASPaxos: Replicated State Machines without logs", 2018.
//   - J. Dean, L. A. Barroso, "The Tail at Scale", CACM 56(2), 2013.
package quorum
