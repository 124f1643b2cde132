// SPDX-License-Identifier: MIT

package consistenthash

import (
	"math"
	"math/bits"
	"slices"
	"testing"
)

// ringAt returns a ring of the given size with one point a node, where it says.
func ringAt(size uint64, at map[string]uint64) *Snapshot {
	s := &Snapshot{opts: (&Options{VirtualNodes: 1}).resolve()}
	for name := range at {
		s.nodes = append(s.nodes, Node{Name: name})
	}
	if err := s.normalize(); err != nil {
		panic(err)
	}
	s.live = len(s.nodes)

	var points []point
	for i, n := range s.nodes {
		s.names = append(s.names, n.Name)
		h, _ := bits.Div64(at[n.Name], 0, size) // at/size of the ring
		points = append(points, point{h, int32(i)})
	}
	slices.SortFunc(points, comparePoints)
	points = append(points, point{math.MaxUint64, points[0].owner})
	for _, p := range points {
		s.points = append(s.points, p.hash)
		s.owners = append(s.owners, p.owner)
	}
	s.index()
	s.divide()
	s.check()
	return s
}

// TestLessonModulo checks that with hash % n a fifth server moves four of five
// keys.
func TestLessonModulo(t *testing.T) {
	for _, tt := range []struct{ hash, of4, of5 int }{{3, 3, 3}, {15, 3, 0}, {12, 0, 2}} {
		if tt.hash%4 != tt.of4 || tt.hash%5 != tt.of5 {
			t.Errorf("hash %d goes to %d and %d, want %d and %d", tt.hash, tt.hash%4, tt.hash%5, tt.of4, tt.of5)
		}
	}
	moved := 0
	for h := range 20 { // the least common multiple: from there on it repeats
		if h%4 != h%5 {
			moved++
		}
	}
	if moved != 16 {
		t.Errorf("%d of 20 keys move", moved)
	}
}

// TestLessonRing checks the ring of doc.go: servers at 20, 80 and 200, and one
// that joins at 90.
func TestLessonRing(t *testing.T) {
	three := map[string]uint64{"20": 20, "80": 80, "200": 200}
	s := ringAt(256, three)

	owner := func(s *Snapshot, h uint64) string { return ownerName(s, h<<56) }
	for h := range uint64(256) {
		want := "20"
		switch {
		case h > 20 && h <= 80:
			want = "80"
		case h > 80 && h <= 200:
			want = "200"
		}
		if got := owner(s, h); got != want {
			t.Errorf("%d belongs to %s, want %s", h, got, want)
		}
	}

	three["90"] = 90
	four := ringAt(256, three)
	moves := slices.Collect(s.Plan(four))
	want := Move{Range{80<<56 + 1, 90 << 56}, "200", "90"}
	if len(moves) != 1 || moves[0] != want {
		t.Errorf("the plan is %v, want %v", moves, want)
	}
	for h := range uint64(256) {
		if moves := owner(s, h) != owner(four, h); moves != (h > 80 && h <= 90) {
			t.Errorf("%d moves: %t", h, moves)
		}
	}
}

// TestLessonSkew checks that of servers at 10, 11, 12 and 90 of 100, with one
// point each, the last owns 78 %.
func TestLessonSkew(t *testing.T) {
	s := ringAt(100, map[string]uint64{"10": 10, "11": 11, "12": 12, "90": 90})
	for i, want := range []float64{0.20, 0.01, 0.01, 0.78} {
		if got := s.shares()[i]; math.Abs(got-want) > 1e-12 {
			t.Errorf("%s owns %v, want %v", s.names[i], got, want)
		}
	}
}

// TestDeviation checks that the load of a node has a standard deviation of
// 1/sqrt(150) of the mean. Over 20 rings of 1000 nodes the estimate is within 5
// % with a margin of ten standard errors.
func TestDeviation(t *testing.T) {
	rings := 20
	if testing.Short() || raceEnabled {
		rings = 4
	}
	sum := 0.0
	for seed := range rings {
		sum += mustSnapshot(t, &Options{Seed: uint64(seed)}, numbered(1000)...).Stats().StdDev
	}
	if got, want := sum/float64(rings), 1/math.Sqrt(150); math.Abs(got-want) > 0.05*want {
		t.Errorf("the standard deviation is %.4f, want %.4f", got, want)
	}
}
