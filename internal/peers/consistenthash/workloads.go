// SPDX-License-Identifier: MIT

package consistenthash

import (
	"fmt"

	"github.com/ashlar-go/ashlar/consistenthash"
	"github.com/ashlar-go/ashlar/internal/peers/bench"
)

// prototype is the origin of targets that a prototype reached.
const prototype = "a prototype"

// Workloads returns the rows of the comparison.
func Workloads() []*bench.Workload {
	var rows []*bench.Workload
	for i, n := range []int{10, 100, 1000} {
		rows = append(rows, getRows(n, []float64{0.10, 0.10, 0.10}[i])...)
	}
	rows = append(rows, listRows()...)
	rows = append(rows, otherRows()...)
	rows = append(rows, changeRows()...)
	return append(rows, qualityRows()...)
}

func getRows(n int, target float64) []*bench.Workload {
	granted := func(name, why, versus string, target float64, ours bench.Impl, peers ...bench.Impl) *bench.Workload {
		return &bench.Workload{
			Name: fmt.Sprintf("%s/nodes=%d", name, n), Why: why, Versus: versus, Target: bench.Ratio(target),
			Expect: bench.Granted, Ours: ours, Peers: peers, Floors: []bench.Impl{hashed()},
		}
	}
	const why = "150 points a node each, the same 16-byte keys; no ring changes, so locks are free of contention"
	rows := []*bench.Workload{
		granted("Get/peer=groupcache", why, groupcache, target, oursGet(n), get(groupcache, groupcacheLookup, n)),
		granted("Get/peer=stathat", why, stat, 0.08, oursGet(n), get(stat, stathatLookup, n)),
		granted("Get/peer=serialx", why, serialx, 0.06, oursGet(n), get(serialx, serialxLookup, n)),
		granted("Get/peer=buraksezer", "27 partitions a node, the same hash: a table of partitions is all it looks at", burak, 0.45,
			oursGet(n), get(burak, buraksezerLookup, n)),
		granted("Get/peer=lafikl", "ten points a node, which is its constant: a smaller search for it", laf, 0.05,
			oursGet(n), get(laf, lafiklLookup, n)),
	}
	return append(rows, &bench.Workload{
		Name: fmt.Sprintf("Owner/nodes=%d", n), Why: "the hash is given; a binary search in the same ring, with ranges of one owner joined",
		Target: bench.Ratio(0.12), Expect: bench.Granted, Ours: oursOwner(n), Peers: []bench.Impl{searched(n)},
	})
}

func listRows() []*bench.Workload {
	const nodes, replicas = 100, 3
	const why = "the first three distinct nodes of a key of 100; ours writes into the caller's slice"
	var rows []*bench.Workload
	for _, p := range []struct {
		name   string
		target float64
		impl   bench.Impl
	}{
		{stat, 0.10, stathatGetN(nodes, replicas)},
		{serialx, 0.05, serialxGetN(nodes, replicas)},
		{burak, 0.002, buraksezerGetN(nodes, replicas)},
	} {
		rows = append(rows, &bench.Workload{
			Name: fmt.Sprintf("AppendN/peer=%s/nodes=%d/n=%d", p.name, nodes, replicas), Why: why, Target: bench.Ratio(p.target),
			Expect: bench.Granted, Ours: oursAppendN(nodes, replicas), Peers: []bench.Impl{p.impl}, Floors: []bench.Impl{hashed()},
		})
	}

	for _, goroutines := range []int{1, 2} {
		rows = append(rows, &bench.Workload{
			Name:   fmt.Sprintf("Acquire+Release/nodes=%d/goroutines=%d", nodes, goroutines),
			Why:    "a bound of 1.25 for each; its find and its count are two calls, and its bound does not hold with two goroutines",
			Target: bench.Ratio(0.1), Expect: bench.Granted, Parallel: goroutines,
			Ours: oursAcquire(nodes), Peers: []bench.Impl{lafiklAcquire(nodes)}, Floors: []bench.Impl{hashed(), bench.CAS()},
		})
	}

	return rows
}

func otherRows() []*bench.Workload {
	var rows []*bench.Workload
	for _, n := range []int{10, 100, 1000} {
		rows = append(rows, &bench.Workload{
			Name: fmt.Sprintf("Maglev/nodes=%d", n), Why: "65537 slots and the same hash for each: both are a hash and one load",
			Target: bench.Ratio(1), Expect: bench.Granted, Ours: oursMaglev(n), Peers: []bench.Impl{goMaglev(n)}, Floors: []bench.Impl{hashed()},
		})
	}
	for i, n := range []int{10, 100} {
		rows = append(rows, &bench.Workload{
			Name: fmt.Sprintf("Rendezvous/nodes=%d", n), Why: "the same hash; its score has no weights, ours has, and all are 1 here",
			Target: bench.Ratio([]float64{0.6, 0.5}[i]), Origin: prototype, Expect: bench.Granted, Ours: oursRendezvous(n), Peers: []bench.Impl{goRendezvous(n)}, Floors: []bench.Impl{hashed()},
		})
	}
	for i, buckets := range []int{10, 1000, 1_000_000} {
		rows = append(rows, &bench.Workload{
			Name: fmt.Sprintf("JumpBack/buckets=%d", buckets), Why: "the same guarantees, another placement; the hash is given",
			Target: bench.Ratio([]float64{0.3, 0.1, 0.06}[i]), Expect: bench.Granted,
			Ours: oursJump(ours, consistenthash.JumpBack, buckets), Peers: []bench.Impl{goJump(buckets)},
		}, &bench.Workload{
			Name: fmt.Sprintf("Jump/buckets=%d", buckets), Why: "the same function", Expect: bench.Granted,
			Ours: oursJump(ours, consistenthash.Jump, buckets), Peers: []bench.Impl{goJump(buckets)},
		})
	}
	return rows
}

func changeRows() []*bench.Workload {
	var rows []*bench.Workload
	for i, n := range []int{100, 1000} {
		rows = append(rows, &bench.Workload{
			Name: fmt.Sprintf("Build/nodes=%d", n), Why: "150 points a node, from nothing", Versus: groupcache, Target: bench.Ratio(0.16), Origin: prototype,
			Expect: bench.Granted, Ours: oursBuild(n), Peers: []bench.Impl{groupcacheBuild(n), stathatBuild(n)},
		}, &bench.Workload{
			Name: fmt.Sprintf("Add+Remove/nodes=%d", n), Why: "one node joins a ring of 150 points a node and leaves it; readers of ours are never blocked",
			Versus: stat, Target: bench.Ratio([]float64{0.3, 0.12}[i]), Origin: prototype, Expect: bench.Granted, Ours: oursAdd(n), Peers: []bench.Impl{stathatAdd(n), serialxAdd(n)},
		})
	}
	return rows
}

func qualityRows() []*bench.Workload {
	const n = 100
	lookups := []struct {
		name string
		get  func(int) func(string) string
	}{
		{groupcache, groupcacheLookup},
		{stat, stathatLookup},
		{serialx, serialxLookup},
		{burak, buraksezerLookup},
		{laf, lafiklLookup},
	}
	even := &bench.Workload{
		Name: "Balance/nodes=100", Why: "a million keys; the busiest node's over the mean, with 150 points a node where that can be chosen",
		Unit: "x mean", Target: bench.AtMost(1.30), Rounds: 1, Ours: balance(ours, n, oursLookup),
	}
	moves := &bench.Workload{
		Name: "Moves/nodes=100", Why: "a 101st node joins; keys that change their owner, as a multiple of 1/101, which must",
		Unit: "x least", Target: bench.AtMost(1.30), Rounds: 1, Ours: moved(ours, n, oursLookup),
	}
	for _, l := range lookups {
		even.Peers = append(even.Peers, balance(l.name, n, l.get))
		moves.Peers = append(moves.Peers, moved(l.name, n, l.get))
	}
	return []*bench.Workload{even, moves}
}
