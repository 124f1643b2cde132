// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// toy is a package with one hole in its tests: nothing calls Max with equal
// or descending arguments.
var toy = map[string]string{
	"go.mod": "module toy\n\ngo 1.26\n",
	"toy.go": `package toy

// Max returns the larger.
func Max(a, b int) int {
	if a > b {
		return a
	}
	return b
}

// Sum adds from 1 to n.
func Sum(n int) int {
	sum := 0
	for i := 1; i <= n; i++ {
		sum += i
	}
	return sum
}
`,
	"toy_test.go": `package toy

import "testing"

func TestMax(t *testing.T) {
	if got := Max(1, 2); got != 2 {
		t.Errorf("Max = %d, want 2", got)
	}
}

func TestSum(t *testing.T) {
	if got := Sum(4); got != 10 {
		t.Errorf("Sum = %d, want 10", got)
	}
}
`,
}

// writeToy writes the toy package and returns its directory.
func writeToy(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "toy")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range toy {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestRun checks that mutants which the tests see are killed, and that those
// which nothing calls survive.
func TestRun(t *testing.T) {
	dir := writeToy(t)
	var out bytes.Buffer
	survived, err := run(t.Context(), []string{"-n", "0", "-equivalent", t.TempDir(), dir}, &out, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`toy/toy.go:5: toy.go Max "a > b" -> "false"`,
		`toy/toy.go:5: toy.go Max "a > b" -> "a >= b"`,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the survivors lack %s:\n%s", want, &out)
		}
	}
	if strings.Contains(out.String(), "Sum") || survived != 2 {
		t.Errorf("survived = %d, want 2, none of them of Sum:\n%s", survived, &out)
	}
}

// TestEquivalent checks that mutants of the list are counted apart.
func TestEquivalent(t *testing.T) {
	dir := writeToy(t)
	list := t.TempDir()
	text := "# what cannot be seen\ntoy.go Max \"a > b\" -> \"a >= b\": equal numbers are the same\n"
	if err := os.WriteFile(filepath.Join(list, "toy.txt"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	survived, err := run(t.Context(), []string{"-n", "0", "-equivalent", list, dir}, &out, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if survived != 1 || !strings.Contains(out.String(), "1 without effect") {
		t.Errorf("survived = %d, want 1 beside the one of the list:\n%s", survived, &out)
	}
}

// TestArguments checks that bad arguments are errors.
func TestArguments(t *testing.T) {
	toy := writeToy(t)
	none := filepath.Join(toy, "none")
	for _, args := range [][]string{{}, {"a", "b"}, {"-p", "0", "."}, {"-bad"}, {t.TempDir()}, {"-equivalent", none, toy}} {
		if _, err := run(t.Context(), args, io.Discard, io.Discard); err == nil {
			t.Errorf("run(%q): no error", args)
		}
	}
}
