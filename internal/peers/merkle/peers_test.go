// SPDX-License-Identifier: MIT

package merkle

import (
	"bytes"
	"strings"
	"testing"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
)

// TestRoots checks that all that follow RFC 6962 have one root.
func TestRoots(t *testing.T) {
	for _, n := range []int{2, 3, 7, 8, 1000} {
		list := leaves(1000)[:n]
		want := buildOurs(list, 2).root()
		for name, build := range map[string]func([][]byte, int) tree{
			cometName: buildComet, tlogName: buildTlog, transName: buildTrans, cbergoonName: buildCbergoon,
		} {
			if got := build(list, 2).root(); !bytes.Equal(got, want) {
				t.Errorf("%s, %d leaves: got root %x, want %x", name, n, got, want)
			}
		}
	}
}

// TestDiffs checks that both reconciliations find all differences.
func TestDiffs(t *testing.T) {
	for name, diff := range map[string]func(n, d int) wire{ours: oursDiff, negentropyName: negentropyDiff} {
		if w := diff(5000, 20); w.differences != 40 {
			t.Errorf("%s: got %d differences, want 40", name, w.differences)
		}
	}
}

// TestAdapters checks that each does all of its work, and that the rows are
// complete.
func TestAdapters(t *testing.T) {
	for _, w := range Workloads() {
		if w.Why == "" || w.Expect == bench.Any && w.Ours.Measure == nil {
			t.Errorf("%s is not complete", w.Name)
		}
		if strings.Contains(w.Name, "n=1048576") {
			continue // the same adapters, larger
		}
		for _, impl := range append([]bench.Impl{w.Ours}, append(w.Peers, w.Floors...)...) {
			if impl.Setup == nil {
				continue
			}
			if got := impl.Setup(t.Cleanup)(0, 3); got != 3 {
				t.Errorf("%s: %s succeeded %d times of 3", w.Name, impl.Name, got)
			}
		}
	}
}
