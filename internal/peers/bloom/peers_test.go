// SPDX-License-Identifier: MIT

package bloom

import (
	"bytes"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go/bloom"

	ashlar "github.com/ashlar-go/ashlar/bloom"
	"github.com/ashlar-go/ashlar/internal/peers/bench"
)

// TestAdapters: all say yes to the keys that they have, and seldom to others.
func TestAdapters(t *testing.T) {
	for _, w := range Workloads() {
		if w.Large() || !strings.HasPrefix(w.Name, "Has") {
			continue
		}
		for _, impl := range append([]bench.Impl{w.Ours}, w.Peers...) {
			got := impl.Setup(t.Cleanup)(0, 4096)
			low, high := 1900, 2250
			switch {
			case strings.HasSuffix(w.Name, "pos"):
				low, high = 4096, 4096
			case strings.HasSuffix(w.Name, "neg"):
				low, high = 0, 150
			}
			if got < low || got > high {
				t.Errorf("%s: %s found %d of 4096", w.Name, impl.Name, got)
			}
		}
	}
}

// TestCountingAdapters: each removes what it added.
func TestCountingAdapters(t *testing.T) {
	for _, impl := range []bench.Impl{oursCounting(size{1000, 0.01}), boomCounting(size{1000, 0.01}), cuckooCounting(size{1000, 0.01})} {
		if got := impl.Setup(t.Cleanup)(0, 500); got != 500 {
			t.Errorf("%s removed %d of 500", impl.Name, got)
		}
	}
}

// TestSplitBlockAgrees: our filter and parquet-go's have the same bits.
func TestSplitBlockAgrees(t *testing.T) {
	const n = 20_000
	ours := ashlar.NewSplitBlock(n, 0.01, nil)
	theirs := make(bloom.SplitBlockFilter, ours.Bits()/256)
	for i := range n {
		ours.AddHash(keyHash(i))
		theirs.Insert(keyHash(i))
	}
	if got := ours.AppendParquet(nil); !bytes.HasSuffix(got, theirs.Bytes()) {
		t.Error("the bits differ")
	}
	for i := range n {
		if h := keyHash(absent + i); ours.HasHash(h) != theirs.Check(h) {
			t.Fatalf("%#x: %t and %t", h, ours.HasHash(h), theirs.Check(h))
		}
	}
}
