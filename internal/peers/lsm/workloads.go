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
		name := func(durability string) string {
			return fmt.Sprintf("Commit/durability=%s/writers=%d", durability, writers)
		}
		rows = append(rows,
			&bench.Workload{
				Name: name("Sync"), Parallel: writers, Versus: peb, Target: bench.Ratio([]float64{0.65, 0.40, 0.50}[i]), Expect: bench.Granted,
				Why:  "one key of 16 bytes and 100 of value a commit, on disk when it returns, in every store",
				Ours: oursCommit(lsm.Sync), Peers: []bench.Impl{pebbleCommit(true), levelCommit(true), boltCommit(writers, true)},
				Floors: []bench.Impl{fdatasync()},
			},
			&bench.Workload{
				Name: name("NoSync"), Parallel: writers, Versus: level, Target: bench.Ratio(0.25), Expect: bench.Granted,
				Why:  "the operating system has the bytes when it returns",
				Ours: oursCommit(lsm.NoSync), Peers: []bench.Impl{levelCommit(false), pebbleCommit(false), boltCommit(writers, false)},
				Floors: []bench.Impl{written()},
			},
			&bench.Workload{
				Name: name("Async"), Parallel: writers, Versus: peb, Target: bench.Ratio(0.35), Expect: bench.Granted,
				Why:  "the process has the bytes when it returns, and the operating system gets them soon; the others have no such mode",
				Ours: oursCommit(lsm.Async), Peers: []bench.Impl{pebbleCommit(false)},
			})
	}
	return rows
}
