// SPDX-License-Identifier: MIT

package skiplist

import (
	"strings"
	"testing"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
)

// TestAdapters checks that each does all of its work, and that the rows are
// complete.
func TestAdapters(t *testing.T) {
	for _, w := range Workloads() {
		if w.Why == "" || w.Expect == bench.Granted && w.Ours.Setup == nil {
			t.Errorf("%s is not complete", w.Name)
		}
		if strings.Contains(w.Name, "n=1000000") {
			continue // the same adapters, larger
		}
		for _, impl := range append([]bench.Impl{w.Ours}, append(w.Peers, w.Floors...)...) {
			if got := impl.Setup(t.Cleanup)(0, 20); got != 20 {
				t.Errorf("%s: %s succeeded %d times of 20", w.Name, impl.Name, got)
			}
		}
	}
}
