// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
)

// withFake replaces the packages by one whose figures are given.
func withFake(t *testing.T, oursNs float64) {
	t.Helper()
	saved := packages
	t.Cleanup(func() { packages = saved })
	impl := func(name string, v float64) bench.Impl {
		return bench.Impl{Name: name, Measure: func() (float64, int) { return v, 1 }}
	}
	packages = map[string]func() []*bench.Workload{"fake": func() []*bench.Workload {
		return []*bench.Workload{
			{Name: "A", Why: "fake", Target: bench.Ratio(0.5), Ours: impl("ours", oursNs), Peers: []bench.Impl{impl("peer", 100)}},
			{Name: "B", Why: "fake", Keys: 1e7, Ours: impl("ours", 1), Peers: []bench.Impl{impl("peer", 1)}},
		}
	}}
}

func TestRun(t *testing.T) {
	withFake(t, 50)
	folder := filepath.Join(t.TempDir(), "results")
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-out", folder, "-seed", "7", "fake"}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"seed: 7", "rounds: 20", "PASS", "\nB\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the output lacks %q:\n%s", want, &out)
		}
	}
	files, err := filepath.Glob(filepath.Join(folder, "fake-*.txt"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files = %v, %v, want one", files, err)
	}
	raw, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(string(raw), "BenchmarkA/impl=ours\t"); got != 20 {
		t.Errorf("%d raw samples of ours, want 20", got)
	}
}

func TestQuickLeavesOutLargeRows(t *testing.T) {
	withFake(t, 50)
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-quick", "-out", "", "fake"}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "\nB\n") || !strings.Contains(out.String(), "rounds: 10") {
		t.Errorf("want workload A alone, 10 rounds:\n%s", &out)
	}
}

func TestMissFails(t *testing.T) {
	withFake(t, 60)
	err := run(t.Context(), []string{"-out", "", "fake"}, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "1 targets missed: A") {
		t.Errorf("err = %v, want the miss of A", err)
	}
	if err := run(t.Context(), []string{"-out", "", "-run", "B", "fake"}, io.Discard, io.Discard); err != nil {
		t.Errorf("-run B: %v", err)
	}
}

func TestBadArguments(t *testing.T) {
	withFake(t, 50)
	for _, args := range [][]string{
		{}, {"unknown"}, {"-rounds", "9", "fake"}, {"-run", "(", "fake"}, {"-run", "C", "fake"}, {"-sample", "-1s", "fake"}, {"-bad"},
	} {
		if err := run(t.Context(), args, io.Discard, io.Discard); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := run(ctx, []string{"-out", "", "fake"}, io.Discard, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v, want context.Canceled", err)
	}
}

func TestList(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-list", "ratelimit"}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "Allow/case=granted/goroutines=1\tours/peer at most 0.45\n") {
		t.Errorf("the list lacks the first row:\n%s", &out)
	}
}
