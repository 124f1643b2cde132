// SPDX-License-Identifier: MIT

// Package consistenthash assigns keys to nodes so that a change of membership
// moves only the keys that it must, and says which.
//
//	var ring consistenthash.Ring
//	if err := ring.Set(consistenthash.Node{Name: "a"}, consistenthash.Node{Name: "b"}); err != nil {
//		return err
//	}
//	node, ok := ring.Get("user:42")
//
// # Choosing
//
// Keys with data that must be moved, copies on several nodes, zones: a [Ring]. What a change
// moves is [Snapshot.Plan]. Requests that should be even where some keys are hot: [Bounded] over
// a ring. Requests to many nodes, as fast as can be: a [Maglev]. Some tens of nodes with exact
// weights: a [Rendezvous]. Shards numbered from 0 of which only the last can go: [JumpBack], or [Jump] to
// agree with other languages. Memcached servers that clients in other languages use too: [Ketama].
//
//   - Sharding by hash is a Ring or a Jump.
//   - Sharding by place is a [Node] with a Zone: copies come from distinct zones.
//   - Sharding by range (A-M, N-Z) is an ordered map, whose Floor finds the range.
//   - Sharding by directory is a map from the key to the node.
//
// If the number of nodes never changes, hash % n is enough.
//
// # How it works
//
// Nodes and keys have positions on a ring; a key belongs to the first node at or after it.
// On a ring of 256 with servers at 20, 80 and 200, a fourth joins at 90:
//
//	0 ──── 20 ────────── 80 ─ 90 ───────────── 200 ──── 255
//	 to 20  │    to 80    │ 90 │    to 200       │  to 20
//
// Keys 21..80 go to 80, 81..200 to 200 and the rest to 20. Of them only 81..90 move, to the
// server that joined. With hash % n, four to five servers, H = 10, 20 and 35 with hashes 3, 15
// and 12 go from S3, S3, S0 to S3, S0, S2, and of all keys 80 % move.
//
// One point a node is uneven: of servers at 10, 11, 12 and 90 on a ring of 100, the last owns
// 78 %. So each has 150 points times its weight. With 100 nodes the largest share is then
// about 1.22 of the mean.
//
// # Guarantees
//
// A placement depends on the options and members alone, not on the order of joins
// (TestPropOrder), and is the same on every machine (TestGolden). It is that of the textbook's
// sorted list, also where points collide (TestModelRing).
//
// A node that joins, or gains weight, only takes keys; one that leaves only gives (TestPropMinimal).
//
// The nodes of a preference list are distinct, the first n are of min(n, zones) zones, and removing a
// node that is not among them leaves them. A shard keeps all but the node removed (TestPropPrefer).
//
// A plan applied to data is the new placement exactly, and moves nothing else
// (TestPropPlan, TestPropPlanN). Ranges add up to 2^64 (TestPropRanges).
//
// With [Bounded], at each admission load <= ceil(total·factor·weight/weights)
// (TestBoundedConcurrent, TestModelBounded). For the jumps, a key stays or goes to the new bucket
// (TestJumpMonotone). Ketama is libmemcached's (TestKetama).
//
// # Complexity
//
//	operation                  time            allocations   memory
//	Get                        O(1) expected   0             24 bytes a point
//	AppendN                    O(n) expected   0
//	Add, Remove, Set           O(V)            a new snapshot of V points
//	Plan, Ranges               O(V)
//	Acquire, Release           O(1) expected   0             64 bytes a node
//	Jump, JumpBack             O(log n), O(1)  0             none
//	Rendezvous.Get             O(n)            0             24 bytes a node and its name
//	Maglev.Get                 O(1)            0             4 bytes a slot
//
// # Concurrency
//
// All types are safe for concurrent use by multiple goroutines, but for a [Snapshot] that is being
// unmarshaled. Reads are lock-free. No type starts a goroutine or needs a Close.
//
// # Errors
//
// Members are often read from a file, so bad ones are errors, which wrap [ErrName], [ErrWeight]
// or [ErrTooLarge] and change nothing. Bytes that are no snapshot give [ErrFormat].
// An empty ring has no owner, which a bool says. Options and numbers that are constants of the
// program panic.
//
// # Format
//
// The binary form of a [Snapshot] is little-endian. Later versions of the package read it.
//
//	8 bytes       "ASHRING" and the version, 1
//	8, 4, 4       seed, virtual nodes, number of nodes
//	each node     8: weight, IEEE 754; 2 and n: name; 2 and n: zone; sorted by name
//	8, 8          fingerprint; xxHash64 of all before
//
// The JSON form has the members algorithm ("ashlar-ring/1"), seed (a string), virtualNodes, nodes
// (name, weight, zone) and fingerprint (hexadecimal; it may be left out).
// The position of a key is xxHash64(key), or with a seed mix(xxHash64(key) xor seed); point i of a
// node is mix(position of its name + i·0x9E3779B97F4A7C15), with the finalizer of SplitMix64 as mix.
//
// # References
//
//   - D. Karger et al., "Consistent hashing and random trees", STOC 1997.
//   - R. Jones, "libketama: a consistent hashing algo for memcache clients", 2007.
//   - J. Lamping, E. Veach, "A fast, minimal memory, consistent hash algorithm", 2014,
//     https://arxiv.org/abs/1406.2294.
//   - O. Ertl, "JumpBackHash: say goodbye to the modulo operation", 2024, https://arxiv.org/abs/2403.18682.
//   - V. Mirrokni, M. Thorup, M. Zadimoghaddam, "Consistent hashing with bounded loads", SODA 2018.
//   - J. Chen, B. Coleman, A. Shrivastava, "Revisiting consistent hashing with bounded loads",
//     2019, https://arxiv.org/abs/1908.08762: random jumps.
//   - D. Thaler, C. Ravishankar, "Using name-based mappings to increase hit rates", IEEE/ACM
//     Transactions on Networking 6(1), 1998: highest random weight.
//   - D. Eisenbud et al., "Maglev: a fast and reliable software network load balancer", NSDI 2016.
package consistenthash
