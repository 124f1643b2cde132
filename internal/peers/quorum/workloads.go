// SPDX-License-Identifier: MIT

package quorum

import (
	"fmt"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
	"github.com/ashlar-go/ashlar/quorum"
)

// prototype is the origin of targets that the prototype of the design reached.
const prototype = "a prototype"

// Workloads returns the rows of the comparison.
func Workloads() []*bench.Workload {
	var rows []*bench.Workload
	for _, n := range []int{3, 5} {
		for _, callers := range []int{1, 2} {
			rows = append(rows, fanoutRows(n, callers)...)
		}
		rows = append(rows, doRow(n), casRow(n), hasRow(n), voteRow(n, false))
	}
	return append(rows, hasRow(9), voteRow(9, false), voteRow(5, true))
}

// fanoutRows returns the rows of reads and writes of n replicas.
func fanoutRows(n, callers int) []*bench.Workload {
	axes := fmt.Sprintf("/replicas=%d/goroutines=%d", n, callers)
	return []*bench.Workload{
		{
			Name: "Load" + axes, Parallel: callers, Versus: naiveName, Target: bench.Ratio(0.65), Origin: prototype, Expect: bench.Granted,
			Why:    "a majority of replicas in memory answers; ours asks a majority, and more if one is late, the others ask all",
			Ours:   impl(ours, n, oursLoad()),
			Peers:  []bench.Impl{impl(naiveName, n, naiveLoad), impl(groupName, n, groupLoad)},
			Floors: []bench.Impl{handoff(n)},
		},
		{
			Name: "Load/atomic" + axes, Parallel: callers, Versus: naiveName, Target: bench.Ratio(1), Expect: bench.Granted,
			Why:    "the same, linearizable: a write quorum must hold the result; the others give no such guarantee",
			Ours:   impl(ours, n, oursLoad(quorum.Atomic())),
			Peers:  []bench.Impl{impl(naiveName, n, naiveLoad), impl(groupName, n, groupLoad)},
			Floors: []bench.Impl{handoff(n)},
		},
		{
			Name: "Merge" + axes, Parallel: callers, Versus: naiveName, Target: bench.Ratio(0.65), Origin: prototype, Expect: bench.Granted,
			Why:    "a majority has confirmed a write to all; the naive one cancels the other writes, ours finishes them, errgroup waits for them",
			Ours:   impl(ours, n, oursMerge),
			Peers:  []bench.Impl{impl(naiveName, n, naiveMerge), impl(groupName, n, groupMerge)},
			Floors: []bench.Impl{handoff(n)},
		},
	}
}

// doRow returns the row of a fan-out that is no read of a state.
func doRow(n int) *bench.Workload {
	return &bench.Workload{
		Name: fmt.Sprintf("Do/replicas=%d", n), Versus: naiveName, Target: bench.Ratio(1), Origin: "no slower than what it replaces", Expect: bench.Granted,
		Why:    "all are asked, and a majority of answers returned; the naive one keeps no answers, and has no errors, hedges, zones or clean-up",
		Ours:   impl(ours, n, oursDo),
		Peers:  []bench.Impl{impl(naiveName, n, naiveLoad), impl(groupName, n, groupLoad)},
		Floors: []bench.Impl{handoff(n)},
	}
}

// casRow returns the row of updates of one key on n replicas.
func casRow(n int) *bench.Workload {
	setup := func(op func(int) bench.Op) func(func(func())) bench.Op {
		return func(func(func())) bench.Op { return op(n) }
	}
	return &bench.Workload{
		Name: fmt.Sprintf("CAS.Update/replicas=%d", n), Target: bench.Ratio(0.6), Expect: bench.Granted,
		Why:    "a value in memory is replaced by a function of it, by one caller; the two-phase one waits for all, twice, and stops for good if it dies in between",
		Ours:   bench.Impl{Name: ours, Setup: setup(oursCAS)},
		Peers:  []bench.Impl{{Name: twoPhaseName, Setup: setup(twoPhaseCAS)}},
		Floors: []bench.Impl{handoff(n)},
	}
}

// hasRow returns the row of finding out whether n replicas have a quorum.
func hasRow(n int) *bench.Workload {
	setup := func(op func(int) bench.Op) func(func(func())) bench.Op {
		return func(func(func())) bench.Op { return op(n) }
	}
	return &bench.Workload{
		Name: fmt.Sprintf("Has/replicas=%d", n), Target: bench.Ratio(0.3), Origin: prototype, Expect: bench.Same,
		Why:   "who has answered is there beforehand: a set of ours, a map of etcd's with the others missing",
		Ours:  bench.Impl{Name: ours, Setup: setup(oursHas)},
		Peers: []bench.Impl{{Name: etcdName, Setup: setup(etcdHas)}},
	}
}

// voteRow returns the row of counting the votes of n replicas.
func voteRow(n int, joint bool) *bench.Workload {
	setup := func(op func(int, bool) bench.Op) func(func(func())) bench.Op {
		return func(func(func())) bench.Op { return op(n, joint) }
	}
	name := fmt.Sprintf("Vote/replicas=%d", n)
	if joint {
		name += "/joint"
	}
	return &bench.Workload{
		Name: name, Target: bench.Ratio(0.3), Origin: prototype, Expect: bench.Same,
		Why:   "who said yes and no is there beforehand: two sets of ours, a map of etcd's, which is how each keeps them",
		Ours:  bench.Impl{Name: ours, Setup: setup(oursVote)},
		Peers: []bench.Impl{{Name: etcdName, Setup: setup(etcdVote)}},
	}
}
