// SPDX-License-Identifier: MIT

package merkle

import (
	"errors"
	"math"
	"slices"
	"testing"
)

// rangeOf returns the range of the leaves d, the first of which has index
// begin.
func rangeOf(begin int, d [][]byte) *Range {
	r := NewRange(nil, uint64(begin))
	for _, data := range d {
		r.Append(data)
	}
	return r
}

// TestRangeMerge checks, for all ranges up to some 30, that two that meet merge
// into the one that was hashed at once.
func TestRangeMerge(t *testing.T) {
	d := numbers(small() / 2)
	for lo := range d {
		for hi := lo; hi <= len(d); hi++ {
			want := rangeOf(lo, d[lo:hi])
			for mid := lo; mid <= hi; mid++ {
				got, next := rangeOf(lo, d[lo:mid]), rangeOf(mid, d[mid:hi])
				kept := slices.Clone(next.hashes)
				if err := got.Merge(next); err != nil {
					t.Fatal(err)
				}
				if got.end != want.end || !slices.Equal(got.hashes, want.hashes) {
					t.Fatalf("[%d, %d) and [%d, %d): %v, want %v", lo, mid, mid, hi, got.hashes, want.hashes)
				}
				if !slices.Equal(next.hashes, kept) {
					t.Fatal("Merge changed the other range")
				}
			}
		}
	}
}

// TestRangeRoot checks that a range has the root of the tree at each size, and
// none if it begins later.
func TestRangeRoot(t *testing.T) {
	d := numbers(small())
	var r Range
	for n := range d {
		if got, err := r.Root(); got != slowRoot(d[:n]) || err != nil {
			t.Fatalf("Root of %d leaves = %v, %v, want %v", n, got, err, slowRoot(d[:n]))
		}
		if r.Begin() != 0 || r.End() != uint64(n) {
			t.Fatalf("[Begin, End) = [%d, %d), want [0, %d)", r.Begin(), r.End(), n)
		}
		if n%2 == 0 {
			r.Append(d[n])
		} else {
			r.AppendHash(SHA256.Leaf(d[n]))
		}
	}
	if _, err := NewRange(nil, 1).Root(); !errors.Is(err, ErrRange) {
		t.Errorf("Root of a range from leaf 1: %v, want ErrRange", err)
	}
}

// TestRangeGap checks that ranges that do not meet are not merged.
func TestRangeGap(t *testing.T) {
	d := numbers(8)
	r := rangeOf(0, d[:3])
	for _, begin := range []int{0, 2, 4} {
		if err := r.Merge(rangeOf(begin, d[:2])); !errors.Is(err, ErrRange) {
			t.Errorf("Merge of a range from %d after 3 leaves: %v, want ErrRange", begin, err)
		}
	}
	if got, want := r.hashes, rangeOf(0, d[:3]).hashes; !slices.Equal(got, want) {
		t.Errorf("the range changed: %v, want %v", got, want)
	}
}

// TestRangeCopy checks that an empty range becomes a copy by Merge: what is
// added to one of the two does not change the other.
func TestRangeCopy(t *testing.T) {
	d := numbers(small())
	for n := range d {
		r := rangeOf(0, d[:n])
		kept := NewRange(nil, r.Begin())
		if err := kept.Merge(r); err != nil {
			t.Fatal(err)
		}
		r.Append(d[n])
		if got, err := kept.Root(); err != nil || got != slowRoot(d[:n]) {
			t.Errorf("Root of a copy of %d leaves = %v, %v, want %v", n, got, err, slowRoot(d[:n]))
		}
		kept.Append(nil)
		if got, err := r.Root(); err != nil || got != slowRoot(d[:n+1]) {
			t.Errorf("Root of %d leaves, with a copy that goes on = %v, %v, want %v", n+1, got, err, slowRoot(d[:n+1]))
		}
	}
}

// TestRangeEnd checks that a range ends at the largest size.
func TestRangeEnd(t *testing.T) {
	r := NewRange(nil, math.MaxUint64-2)
	r.Append(nil)
	r.Append(nil)
	if r.End() != math.MaxUint64 {
		t.Fatalf("End = %d, want 2^64-1", r.End())
	}
	mustPanic(t, "2^64-1 at most", func() { r.Append(nil) })
}
