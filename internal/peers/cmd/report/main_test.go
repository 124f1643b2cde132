// SPDX-License-Identifier: MIT

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCommitted checks that the documentation has the figures of the newest
// results: nobody types them, and nobody forgets them.
func TestCommitted(t *testing.T) {
	const root = "../../../.."
	files, err := generate(root, "../../results")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Errorf("%v; run go run ./cmd/report", err)
			continue
		}
		if string(got) != string(want) {
			t.Errorf("%s differs from the newest results; run go run ./cmd/report", name)
		}
	}
}

// TestHeadlines checks that the row which stands for a package in the README
// exists in its newest results.
func TestHeadlines(t *testing.T) {
	runs, err := newest("../../results")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range runs {
		if x := r.row(r.p.row); x == nil || x.peer == "" {
			t.Errorf("%s: no row %q with a peer", r.p.name, r.p.row)
		}
	}
}

// TestParseRow checks the lines of a summary.
func TestParseRow(t *testing.T) {
	got, err := parseRow("Allow/case=granted  32.29  86.97  ns/op  PASS  ours/x/time/rate 0.372 [0.370..0.373], target ours/peer at most 0.45 (our aim)")
	want := row{
		name: "Allow/case=granted", ours: "32.29", its: "86.97", unit: "ns/op", verdict: "PASS",
		reason: "target ours/peer at most 0.45 (our aim)", peer: "x/time/rate", ratio: 0.372, low: 0.370, high: 0.373,
	}
	if err != nil || got != want {
		t.Errorf("parseRow = %+v, %v, want %+v", got, err, want)
	}

	got, err = parseRow("Memory  18.3  -  bytes/key  MISS  ours 18.3 [18..19] bytes/key, target at most 17 (our aim)")
	if err != nil || got.peer != "" || got.verdict != "MISS" {
		t.Errorf("parseRow = %+v, %v, want a MISS without a peer", got, err)
	}
	got, err = parseRow("Get  9.5  -  ns/op  PASS  ours 9.5 [9..10] ns/op, target at most 10 (our aim); floor 8.2 (time.Since + CAS)")
	if err != nil || got.floor != "8.2 (time.Since + CAS)" || !strings.HasSuffix(got.reason, "(our aim)") {
		t.Errorf("parseRow = %+v, %v, want a floor", got, err)
	}
	if _, err := parseRow("nothing"); err == nil {
		t.Error("parseRow of something else: no error")
	}
}

// TestReplaceRegions checks that only the generated parts change.
func TestReplaceRegions(t *testing.T) {
	text := "a\n<!-- generated: x -->\nold\n<!-- end -->\nb\n"
	got, err := replaceRegions([]byte(text), map[string]string{"x": "new\n"})
	if want := strings.Replace(text, "old", "new", 1); err != nil || string(got) != want {
		t.Errorf("replaceRegions = %q, %v, want %q", got, err, want)
	}
	if _, err := replaceRegions([]byte(text), map[string]string{"y": ""}); err == nil {
		t.Error("a part that is missing: no error")
	}
}
