// SPDX-License-Identifier: MIT

// Package consistenthash assigns keys to nodes so that a change of membership
// moves only the keys that it must, and says which.
//
//	package main
//
//	import (
//		"fmt"
//		"log"
//		"github.com/ashlar-go/ashlar/consistenthash"
//	)
//
//	func main() {
//		var ring consistenthash.Ring
//		if err := ring.Set(consistenthash.Node{Name: "a"}, consistenthash.Node{Name: "b"}); err != nil {
//			log.Fatal(err)
//		}
//		fmt.Println(ring.Get("user:42")) // a true
//	}
//
// # Choosing
//
// Start with a [Ring]. It and its [Snapshot] alone have copies on several nodes
// ([Ring.AppendN]), zones, shards of tenants, and plans.
//
//   - Keys with data that must be moved: a Ring, and [Snapshot.Plan].
//   - Requests that should be even where some keys are hot: a [Balancer].
//   - Requests to many nodes, as fast as can be: a [Maglev].
//   - Some tens of nodes with exact weights: a [Rendezvous].
//   - Shards numbered from 0 of which only the last can go: [JumpBack], or [Jump]
//     to agree with other languages.
//   - Memcached servers that clients in other languages use too: [NewKetama].
//
// Sharding by hash is a Ring or a Jump; by place, a [Node] with a Zone; by
// range (A-M, N-Z), an ordered map with Floor; by directory or list, a map. If
// the number of nodes never changes, hash % n will do.
//
// # How it works
//
// A key belongs to the first node at or after its position on a ring. On a ring
// of 256 with servers at 20, 80 and 200, a fourth joins at 90:
//
//	0 ──── 20 ────────── 80 ─ 90 ───────────── 200 ──── 255
//	 to 20  │    to 80    │ 90 │    to 200       │  to 20
//
// Keys 21..80 go to 80, 81..200 to 200 and the rest to 20. Of them only 81..90
// move, to the server that joined. With hash % n, 80 % move from four to five
// servers: hashes 3, 15 and 12 go from S3, S3, S0 to S3, S0, S2
// (Example_lesson).
//
// One point a node is uneven: of servers at 10, 11, 12 and 90 of 100, the last
// owns 78 % (Example_virtualNodes). So each has 150 points times its weight.
//
// # Guarantees
//
// A placement depends on the options and members alone (TestPropOrder), and is
// the same on every machine (TestGolden). It is that of the textbook's sorted
// list, also where points collide (TestModelRing).
//
// A node that joins, or gains weight, only takes keys; one that leaves only
// gives (TestPropMinimal). One with [NoShare] owns none (TestNoShare). The
// nodes of a preference list are distinct, the first n are of min(n, zones)
// zones, and removing a node that is not among them leaves them. A shard keeps
// all but the node removed (TestPropPrefer).
//
// A plan applied to data is the new placement exactly, and moves nothing else
// (TestPropPlan, TestPropPlanN). Ranges add up to 2^64 (TestPropRanges).
//
// A Balancer admits only where load <= ceil(total·factor·weight/weights)
// (TestBalancerConcurrent, TestModelBalancer), second choices too
// (TestAcquireOther). A key stays or jumps to the new bucket
// (TestJumpMonotone). Ketama is libmemcached's (TestKetama). Hostile bytes cost
// no more than Options.MaxPoints (TestTrapCostOfBytes).
//
// # Complexity
//
//	operation          time            allocations          memory
//	Get                O(1) expected   0                    24 bytes a point
//	AppendN            O(n log n)      0
//	Add, Remove, Set   O(V)            a snapshot of V      60 a new point, on the way
//	Plan, Ranges       O(V)
//	Acquire, Release   O(1) expected   0                    64 bytes a node
//	Jump, JumpBack     O(log n), O(1)  0                    none
//	Rendezvous.Get     O(n)            0                    32 bytes a node
//	Maglev.Get         O(1)            0                    4 bytes a slot
//
// # Concurrency
//
// All types are safe for concurrent use by multiple goroutines, except a
// [Snapshot] while it is unmarshaled. Reads are lock-free; changes of a Ring
// are linearizable (TestLinearizable). No type has a goroutine or needs a
// Close.
//
// # Errors
//
// Members are often read from a file, so bad ones are errors, which wrap
// [ErrName], [ErrWeight] or [ErrTooLarge] and change nothing. Bad bytes give
// [ErrCorrupt] or [ErrVersion]. Mistakes in constants of the program panic.
//
// # Format
//
// The binary form is little-endian; later versions of the package read it:
// "ashlarch"; 2 bytes version, 1; 6 reserved, 0; 8 seed; 4 virtual nodes; 4
// number of nodes; each node, sorted by name: 8 weight (IEEE 754), 2+n name,
// 2+n zone; 8 fingerprint; 8 xxHash64 of all before. MarshalJSON has the same
// fields. The position of a key is xxHash64(key), or with a seed
// mix(xxHash64(key) xor seed), with the finalizer of SplitMix64 as mix; point i
// of a node is mix(position of its name + i·0x9E3779B97F4A7C15).
//
// # References
//
//   - D. Karger et al., "Consistent hashing and random trees", STOC 1997.
//   - V. Mirrokni et al., "Consistent hashing with bounded loads", SODA 2018;
//     J. Chen et al., https://arxiv.org/abs/1908.08762: random jumps.
//   - J. Lamping, E. Veach, https://arxiv.org/abs/1406.2294: Jump. O. Ertl,
//     https://arxiv.org/abs/2403.18682: JumpBack. D. Eisenbud et al., NSDI 2016:
//     Maglev. R. Jones, 2007: libketama.
//   - D. Thaler, C. Ravishankar, IEEE/ACM Trans. Networking 6(1), 1998: Rendezvous.
package consistenthash
