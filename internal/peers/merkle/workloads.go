// SPDX-License-Identifier: MIT

package merkle

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"runtime"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
	"github.com/ashlar-go/ashlar/merkle"
)

// Origins of targets.
const (
	prototype = "a prototype"
	noSlower  = "no slower than the best peer"
)

// Notes of peers that do something else.
const (
	noRFC = "no prefixes tell leaves and nodes apart, so a node takes one block of SHA-256 where the others take two, and an inner node passes as a leaf"
	noLog = "it keeps no nodes: it can prove nothing afterwards"
)

// Workloads returns the rows of the comparison.
func Workloads() []*bench.Workload {
	var rows []*bench.Workload
	for _, n := range []int{1 << 10, 1 << 16} {
		rows = append(rows, buildRow(n, 1))
	}
	rows = append(rows, buildRow(1<<16, 2))
	rows = append(rows, appendRows()...)
	for _, n := range []int{1 << 16, 1 << 20} {
		rows = append(rows, proofRows(n)...)
	}
	rows = append(rows, fileRow(1), fileRow(2), memoryRow())
	return append(rows, replicaRows()...)
}

// buildRow returns the row of trees of n leaves, built at once.
func buildRow(n, procs int) *bench.Workload {
	w := &bench.Workload{
		Name: fmt.Sprintf("Build/leaf=%d/n=%d/procs=%d", leafLen, n, procs), Unit: "ns/leaf",
		Why:    "the tree of RFC 6962 over n leaves, all nodes kept; the part is SHA-256 of as many leaves and nodes, one after the other",
		Versus: cometName, Target: bench.Ratio(0.65), Origin: prototype,
		Ours: building(ours, "", n, procs, buildOurs),
		Peers: []bench.Impl{
			building(cometName, "", n, procs, buildComet),
			building(cbergoonName, "", n, procs, buildCbergoon),
			building(tlogName, "", n, procs, buildTlog),
			building(transName, "", n, procs, buildTrans),
			building(txatyName, noRFC, n, procs, buildTxaty),
		},
		Floors: []bench.Impl{building("SHA-256", "", n, procs, hashAll)},
	}
	if procs > 1 {
		w.Why += "; cbergoon and txaty use the processors, too"
		w.Versus = cbergoonName
		w.Target = bench.Ratio(0.4)
		w.Origin = bench.OurAim
	}
	return w
}

// hashAll hashes as many bytes as a tree does, with the fastest call of the
// standard library.
func hashAll(leaves [][]byte, _ int) tree {
	leaf := make([]byte, 1+leafLen)
	node := make([]byte, 1+2*sha256.Size)
	var sum [sha256.Size]byte
	for _, l := range leaves {
		copy(leaf[1:], l)
		sum = sha256.Sum256(leaf)
		copy(node[1:], sum[:])
		sum = sha256.Sum256(node)
	}
	return rootOnly(sum[:])
}

func appendRows() []*bench.Workload {
	const n = numProbes
	return []*bench.Workload{
		{
			Name: "Append", Why: "a leaf of 32 bytes at the end of a tree that grows, all nodes kept", Expect: bench.Granted, Target: bench.Ratio(0.4),
			Ours:  timed(ours, n, oursAppend),
			Peers: []bench.Impl{timed(tlogName, n, tlogAppend), timed(transName, n, transAppend)},
		},
		{
			Name: "Range.Append", Why: "the same where only the root is wanted: O(log n) memory", Expect: bench.Granted, Target: bench.Ratio(0.5),
			Ours: timed(ours, n, oursRange), Peers: []bench.Impl{timed(transName, n, transRange)},
		},
	}
}

// proofRows returns the rows of proofs of a tree of n leaves.
func proofRows(n int) []*bench.Workload {
	row := func(name, why string, target float64, origin string, own func([][]byte) bench.Op, peers ...bench.Impl) *bench.Workload {
		return &bench.Workload{
			Name: fmt.Sprintf("%s/n=%d", name, n), Why: why, Expect: bench.Granted,
			Target: bench.Ratio(target), Origin: origin, Ours: timed(ours, n, own), Peers: peers,
		}
	}
	rows := []*bench.Workload{
		row("Inclusion", "the proof of a random leaf, and its bytes as they are sent; transparency-dev and cbergoon refer to the nodes of the tree, ours and tlog copy them", 0.5, bench.OurAim, oursProve,
			timed(cbergoonName, n, cbergoonProve), timed(tlogName, n, tlogProve), timed(transName, n, transProve)),
		row("Consistency", "the proof that a random earlier tree is the start of this one", 0.5, bench.OurAim, oursConsistency,
			timed(tlogName, n, tlogConsistency)),
	}
	if n == 1<<16 {
		rows = append(rows,
			row("VerifyInclusion", "a leaf of 32 bytes, hashed, and its proof of 16 hashes", 0.75, prototype, oursVerify,
				timed(tlogName, n, tlogVerify), timed(cbergoonName, n, cbergoonVerify), timed(transName, n, transVerify)),
			row("VerifyConsistency", "the proof of a random earlier size", 1, noSlower, oursVerifyConsistency,
				timed(tlogName, n, tlogVerifyConsistency)))
	}
	return rows
}

// fileRow returns the row of a file that is hashed whole: the least that
// anybody pays is one SHA-256 of it.
func fileRow(procs int) *bench.Workload {
	const size = 64 << 20
	file := memo(func(n int) []byte { return bytes.Repeat([]byte("0123456789abcdef"), n/16) })

	measure := func(name string, sum func(b []byte)) bench.Impl {
		return bench.Impl{Name: name, Setup: func(atEnd func(func())) bench.Op {
			b := file(size)
			before := runtime.GOMAXPROCS(procs)
			atEnd(func() { runtime.GOMAXPROCS(before) })
			return func(_, n int) int {
				for range n {
					sum(b)
				}
				return n
			}
		}}
	}

	w := &bench.Workload{
		Name: fmt.Sprintf("SumFile/size=64MiB/procs=%d", procs), Why: "the root of chunks of 16 KiB, and all nodes, of bytes in memory; crypto/sha256 hashes them in one piece, which allows no partial check",
		Expect: bench.Granted, Target: bench.Ratio(1.05), Origin: "the hash of all bytes on one processor",
		Ours: measure(ours, func(b []byte) {
			if _, _, err := merkle.SumFile(context.Background(), bytes.NewReader(b), size, nil); err != nil {
				panic(err)
			}
		}),
		Peers: []bench.Impl{measure("crypto/sha256", func(b []byte) { runtime.KeepAlive(sha256.Sum256(b)) })},
	}
	if procs > 1 {
		w.Target = bench.Ratio(0.55)
		w.Origin = bench.OurAim
	}
	return w
}

// memoryRow returns the row of the bytes that a tree keeps of a leaf.
func memoryRow() *bench.Workload {
	const n = 1 << 20
	measure := func(name, note string, build func([][]byte, int) tree) bench.Impl {
		return bench.Impl{Name: name, Note: note, Measure: func() (float64, int) {
			list := leaves(n)
			return bench.HeapPerKey(func(func(func())) (any, int) { return build(list, 1), n })
		}}
	}
	return &bench.Workload{
		Name: "Memory/n=1048576", Unit: "bytes/leaf", Rounds: 1, Why: "a tree that can prove every leaf; the leaves belong to the caller",
		Target: bench.AtMost(65), Ours: measure(ours, "", buildOurs),
		Peers: []bench.Impl{
			measure(tlogName, "", buildTlog), measure(cbergoonName, "", buildCbergoon), measure(transName, "", buildTrans),
			measure(txatyName, noRFC, buildTxaty), measure(cometName, noLog, buildComet),
		},
	}
}

// replicaRows returns the rows of two replicas that differ.
func replicaRows() []*bench.Workload {
	const n = 1e5
	var rows []*bench.Workload
	for _, d := range []int{1, 10, 100, 1000} {
		size := func(w wire) float64 { return float64(w.bytes) / float64(w.differences) }
		rows = append(rows, &bench.Workload{
			Name: fmt.Sprintf("Diff/n=100000/differ=%d/what=bytes", 2*d), Unit: "bytes/difference", Rounds: 1,
			Why:    "bytes both ways until the asking side knows every difference; 32 random bytes an item on both sides",
			Target: bench.Ratio(1), Origin: "no more than the best peer",
			Ours:  bench.Impl{Name: ours, Measure: perDifference(oursDiff, n, d, size)},
			Peers: []bench.Impl{{Name: negentropyName, Measure: perDifference(negentropyDiff, n, d, size)}},
		})
	}

	// Of all that is sent, and of the messages.
	sent := func(w wire) float64 { return float64(w.bytes) }
	trips := func(w wire) float64 { return float64(w.rounds) }
	return append(rows, &bench.Workload{
		Name: "Diff/n=100000/differ=0/what=bytes", Unit: "bytes", Rounds: 1,
		Why:    "bytes both ways when the sets are equal, as replicas mostly are; ours asks about all keys first, the peer about 16 parts",
		Target: bench.Ratio(1), Origin: "no more than the best peer",
		Ours:  bench.Impl{Name: ours, Measure: perDifference(oursDiff, n, 0, sent)},
		Peers: []bench.Impl{{Name: negentropyName, Measure: perDifference(negentropyDiff, n, 0, sent)}},
	}, &bench.Workload{
		Name: "Diff/n=100000/differ=200/what=rounds", Unit: "exchanges", Rounds: 1,
		Why:    "a message and its answer; the one that ours has more is the price of few bytes when the sets are equal",
		Target: bench.Ratio(1), Origin: "no more than the best peer",
		Ours:  bench.Impl{Name: ours, Measure: perDifference(oursDiff, n, 100, trips)},
		Peers: []bench.Impl{{Name: negentropyName, Measure: perDifference(negentropyDiff, n, 100, trips)}},
	}, setRow())
}

// setRow returns the row of the index as it is kept. No peer keeps one under
// changes, so the aim is a time.
func setRow() *bench.Workload {
	const n = 1 << 20
	return &bench.Workload{
		Name: "Index.Set/n=1048576", Why: "a new digest of a random key of 16 bytes, the fingerprints above it kept up to date; go-nostr keeps none, and sums all items of a range when it is asked",
		Expect: bench.Granted, Target: bench.AtMost(300),
		Ours: bench.Impl{Name: ours, Setup: func(func(func())) bench.Op {
			x, _ := replicas(n, 0)
			keys := make([]string, numProbes)
			for i, at := range probes(n) {
				id := newItem(at)
				keys[i] = string(id[:16])
			}

			var d merkle.Digest
			return each(func(i int) bool {
				d[i&15]++
				x.Set(keys[i], d)
				return true
			})
		}},
		Floors: []bench.Impl{{Name: "SHA-256 of 48 bytes", Setup: func(func(func())) bench.Op {
			b := make([]byte, 48)
			return each(func(int) bool {
				sum := sha256.Sum256(b)
				copy(b, sum[:])
				return true
			})
		}}},
	}
}
