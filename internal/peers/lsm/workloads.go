// SPDX-License-Identifier: MIT

package lsm

import (
	"fmt"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
	"github.com/ashlar-go/ashlar/lsm"
)

// Workloads returns the rows of the comparison.
func Workloads() []*bench.Workload {
	var rows []*bench.Workload
	for i, writers := range []int{1, 8, 64} {
		rows = append(rows, commitRows(writers, []float64{0.65, 0.45, 0.55}[i])...)
	}
	for _, readers := range []int{1, 2} {
		rows = append(rows, getRow(readers))
	}
	for _, list := range [][]*bench.Workload{fillRows(), readRows(), mixRows(), openRows()} {
		rows = append(rows, list...)
	}
	return rows
}

// commitRows returns the rows of commits by so many goroutines at once.
func commitRows(writers int, durable float64) []*bench.Workload {
	name := func(d lsm.Durability) string {
		return fmt.Sprintf("Commit/durability=%v/writers=%d", d, writers)
	}

	return []*bench.Workload{
		{
			Name: name(lsm.Sync), Parallel: writers, Versus: peb, Target: bench.Ratio(durable), Expect: bench.Granted,
			Why:    "one key of 16 bytes and 100 of value a commit, on disk when it returns, in every store",
			Ours:   oursCommit(lsm.Sync),
			Peers:  []bench.Impl{pebbleCommit(true), levelCommit(true), boltCommit(writers, true)},
			Floors: []bench.Impl{fdatasync()},
		},
		{
			Name: name(lsm.NoSync), Parallel: writers, Versus: level, Target: bench.Ratio(0.45), Expect: bench.Granted,
			Why:    "the operating system has the bytes when it returns",
			Ours:   oursCommit(lsm.NoSync),
			Peers:  []bench.Impl{levelCommit(false), pebbleCommit(false), boltCommit(writers, false)},
			Floors: []bench.Impl{written()},
		},
		{
			Name: name(lsm.Async), Parallel: writers, Versus: peb, Target: bench.Ratio(0.40), Expect: bench.Granted,
			Why:   "the process has the bytes when it returns, and the operating system gets them soon; the others have no such mode",
			Ours:  oursCommit(lsm.Async),
			Peers: []bench.Impl{pebbleCommit(false)},
		},
	}
}

// getRow returns the row of reads by so many goroutines at once.
func getRow(readers int) *bench.Workload {
	return &bench.Workload{
		Name: fmt.Sprintf("Get/keys=%d/readers=%d", storedKeys, readers), Parallel: readers, Versus: bolt,
		Target: bench.Ratio(1), Origin: "no slower than the best peer", Expect: bench.Granted,
		Why: "a present key of 16 bytes, and a copy of its 100 bytes in a buffer of the caller; " +
			"all keys are in memory everywhere: in the memtables of ours, pebble and goleveldb, and in mapped pages of bbolt",
		Ours:  oursGet(),
		Peers: []bench.Impl{pebbleGet(), levelGet(), boltGet()},
	}
}
