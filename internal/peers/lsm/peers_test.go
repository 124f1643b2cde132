// SPDX-License-Identifier: MIT

package lsm

import (
	"testing"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
)

// TestAdapters commits a few keys to each store.
func TestAdapters(t *testing.T) {
	for _, w := range Workloads() {
		for _, impl := range append(append([]bench.Impl{w.Ours}, w.Peers...), w.Floors...) {
			if got := impl.Setup(t.Cleanup)(0, 20); got != 20 {
				t.Errorf("%s: %s committed %d of 20", w.Name, impl.Name, got)
			}
		}
	}
}
