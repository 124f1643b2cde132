// SPDX-License-Identifier: MIT

package quorum

import (
	"testing"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
)

// TestAdapters checks that each does all of its work, and that those that count
// votes agree.
func TestAdapters(t *testing.T) {
	for _, w := range Workloads() {
		want := 100
		if w.Expect == bench.Same {
			want = w.Ours.Setup(t.Cleanup)(0, 100)
		}
		for _, impl := range append([]bench.Impl{w.Ours}, w.Peers...) {
			if got := impl.Setup(t.Cleanup)(0, 100); got != want {
				t.Errorf("%s: %s succeeded %d times of 100, want %d", w.Name, impl.Name, got, want)
			}
		}
	}
}
