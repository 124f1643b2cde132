// SPDX-License-Identifier: MIT

package lsm

import (
	"strings"
	"testing"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
)

// TestAdapters commits a few keys to each store, and runs one row of each kind.
func TestAdapters(t *testing.T) {
	manyKeys = 500
	seen := map[string]bool{}
	for _, w := range Workloads() {
		kind, _, _ := strings.Cut(w.Name, "/")
		for _, impl := range append(append([]bench.Impl{w.Ours}, w.Peers...), w.Floors...) {
			if id := kind + " of " + impl.Name; kind != "Commit" && seen[id] {
				continue
			} else {
				seen[id] = true
			}
			if impl.Measure != nil {
				if _, n := impl.Measure(); n == 0 {
					t.Errorf("%s: %s has done nothing", w.Name, impl.Name)
				}
				continue
			}
			if got := impl.Setup(t.Cleanup)(0, 20); got != 20 {
				t.Errorf("%s: %s committed %d of 20", w.Name, impl.Name, got)
			}
		}
	}
}
