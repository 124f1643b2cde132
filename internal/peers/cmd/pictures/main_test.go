// SPDX-License-Identifier: MIT

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// root is the root of the repository.
const root = "../../../.."

// maxPicture bounds the bytes of a picture: a page with all of them loads at
// once.
const maxPicture = 60 << 10

// TestCommitted checks that the pictures and their page are what the packages
// do now.
func TestCommitted(t *testing.T) {
	files, err := generate(root, "testdata")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Errorf("%v; run go run ./cmd/pictures", err)
			continue
		}
		if string(got) != string(want) {
			t.Errorf("%s is not what the program draws; look at what it draws now: go run ./cmd/pictures", name)
		}
		if len(got) > maxPicture {
			t.Errorf("%s has %d bytes, want at most %d", name, len(got), maxPicture)
		}
	}
}

// TestReadTable checks that figures that are not whole are refused.
func TestReadTable(t *testing.T) {
	name := filepath.Join(t.TempDir(), "table.txt")
	for _, tt := range []struct{ text, want string }{
		{"# nothing\n", "no figures"},
		{"a\tb\t1\t2\nc\t1\t2\n", "3 columns, want 4"},
	} {
		if err := os.WriteFile(name, []byte(tt.text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := readTable(name, 4); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("readTable of %q: %v, want %q", tt.text, err, tt.want)
		}
	}
	if _, err := (table{{"a", "b", "1", "x"}}).points(); err == nil {
		t.Error("points of a text: no error")
	}
}

// TestReadBlocks checks that blocks that do not fit together are refused.
func TestReadBlocks(t *testing.T) {
	name := filepath.Join(t.TempDir(), "blocks.txt")
	for _, tt := range []struct {
		text string
		ok   bool
	}{
		{"1\t0\t2\n0\t0\t5\n0\t7\t3\n", true},
		{"1\t0\t3\n0\t0\t5\n0\t7\t3\n", false}, // three below, and there are two
		{"1\t0\t1\n0\t0\t5\n0\t7\t3\n", false}, // one of them has no parent
		{"1\t1\t2\n0\t0\t5\n0\t7\t3\n", false}, // another lower bound
	} {
		if err := os.WriteFile(name, []byte(tt.text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := readBlocks(name); (err == nil) != tt.ok {
			t.Errorf("readBlocks of %q: %v, want an error: %v", tt.text, err, !tt.ok)
		}
	}
}
