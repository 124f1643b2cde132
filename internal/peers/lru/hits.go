// SPDX-License-Identifier: MIT

package lru

import (
	"fmt"
	"slices"
	"sync"
)

// workloads are those of generated, made once.
var workloads = sync.OnceValue(generated)

// HitRatio returns the part of the requests of a generated workload that a
// contestant of the comparison answers from a cache of the given capacity.
// Both are given by the names that the comparison prints.
func HitRatio(workload, name string, capacity int) float64 {
	all := workloads()
	i := slices.IndexFunc(all, func(t *trace) bool { return t.name == workload })
	if i < 0 {
		panic(fmt.Sprintf("lru: no workload %q", workload))
	}
	keys := all[i].keys
	return float64(contestants[index(name)].run(capacity, keys)) / float64(len(keys))
}
