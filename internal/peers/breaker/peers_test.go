// SPDX-License-Identifier: MIT

package breaker

import (
	"os"
	"testing"

	"github.com/zeromicro/go-zero/core/logx"
	"github.com/zeromicro/go-zero/core/stat"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
)

// TestAdapters checks that every adapter lets through what its row expects.
func TestAdapters(t *testing.T) {
	want := map[bench.Expect]int{bench.Granted: 50, bench.Denied: 0}
	for _, w := range Workloads() {
		for _, impl := range append([]bench.Impl{w.Ours}, w.Peers...) {
			if impl.Setup == nil {
				continue
			}
			got := impl.Setup(t.Cleanup)(1, 50)
			if n, ok := want[w.Expect]; ok && got != n {
				t.Errorf("%s: %s let %d of 50 through, want %d", w.Name, impl.Name, got, n)
			}
		}
	}
}

// TestExpect checks that every timed row says what its answers must be.
func TestExpect(t *testing.T) {
	for _, w := range Workloads() {
		if w.Ours.Setup != nil && w.Expect == bench.Any {
			t.Errorf("%s: no Expect", w.Name)
		}
	}
}

// TestQuiet checks that go-zero writes nothing: the report of a comparison goes
// to standard output.
func TestQuiet(t *testing.T) {
	stdout, stderr := os.Stdout, os.Stderr
	defer func() {
		os.Stdout = stdout
		os.Stderr = stderr
	}()
	f, err := os.CreateTemp(t.TempDir(), "out")
	if err != nil {
		t.Fatal(err)
	}
	os.Stdout = f
	os.Stderr = f

	zeroThrottle(true).Setup(t.Cleanup)(0, 20_000)
	stat.Report("dropped")
	logx.Alert("alert")
	logx.Stat("stat")
	logx.Error("error")

	text, err := os.ReadFile(f.Name())
	if len(text) > 0 || err != nil {
		t.Errorf("go-zero wrote %q, %v, want nothing", text, err)
	}
}

// TestThrottles checks that a backend that refuses all is asked ever less.
func TestThrottles(t *testing.T) {
	for _, impl := range []bench.Impl{oursThrottle(true), aegisThrottle(true), zeroThrottle(true), failsafeThrottle(true)} {
		op := impl.Setup(t.Cleanup)
		op(0, 20_000)
		if got := op(0, 1000); got > 300 {
			t.Errorf("%s sends %d of 1000 to a backend that refuses all, want at most 300", impl.Name, got)
		}
	}
}

// TestStorm checks that ours lets one call through, and that the peers are
// half-open.
func TestStorm(t *testing.T) {
	if n, _ := storm(ours, oursStorm).Measure(); n != 1 {
		t.Errorf("%v calls at once, want 1", n)
	}
	for _, peer := range []bench.Impl{storm(gobr, gobreakerStorm), storm(fail, failsafeStorm), storm(eap, eapacheStorm), storm(hyst, hystrixStorm)} {
		n, _ := peer.Measure()
		t.Logf("%s: %v", peer.Name, n)
		if n < 1 {
			t.Errorf("%s let %v calls through, want 1 or more", peer.Name, n)
		}
	}
}
