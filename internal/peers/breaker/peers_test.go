// SPDX-License-Identifier: MIT

package breaker

import (
	"testing"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
)

// TestAdapters: whatever a row expects to be let through is, in every adapter.
func TestAdapters(t *testing.T) {
	for _, w := range Workloads() {
		for _, impl := range append([]bench.Impl{w.Ours}, w.Peers...) {
			if impl.Setup == nil {
				continue
			}
			want := map[bench.Expect]int{bench.Granted: 50, bench.Denied: 0}
			got := impl.Setup(t.Cleanup)(1, 50)
			if n, ok := want[w.Expect]; ok && got != n {
				t.Errorf("%s: %s let %d of 50 through, want %d", w.Name, impl.Name, got, n)
			}
		}
	}
}

// TestThrottles: who refuses all is asked ever less.
func TestThrottles(t *testing.T) {
	for _, impl := range []bench.Impl{oursThrottle(true), aegisThrottle(true), zeroThrottle(true), failsafeThrottle(true)} {
		op := impl.Setup(t.Cleanup)
		op(0, 20_000)
		if got := op(0, 1000); got > 300 {
			t.Errorf("%s sends %d of 1000 to a backend that refuses all", impl.Name, got)
		}
	}
}

// TestStorm: ours lets one through.
func TestStorm(t *testing.T) {
	if n, _ := storm(ours, oursStorm).Measure(); n != 1 {
		t.Errorf("%v calls at once, want 1", n)
	}
	for _, peer := range []bench.Impl{storm(gobr, gobreakerStorm), storm(fail, failsafeStorm), storm(eap, eapacheStorm), storm(hyst, hystrixStorm)} {
		n, _ := peer.Measure()
		t.Logf("%s: %v", peer.Name, n)
		if n < 1 {
			t.Errorf("%s was not half-open", peer.Name)
		}
	}
}
