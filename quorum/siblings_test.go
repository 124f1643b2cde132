// SPDX-License-Identifier: MIT

package quorum

import (
	"math"
	"reflect"
	"slices"
	"testing"
)

// dots returns stamps of pairs of a node and a count.
func dots(list ...uint32) (stamps []Stamp) {
	for i := 0; i < len(list); i += 2 {
		stamps = append(stamps, Stamp{Wall: int64(list[i+1]), Node: list[i]})
	}
	return stamps
}

// sibs returns values named by their stamps, beside what is seen.
func sibs(alive, seen []Stamp) (s Siblings[int]) {
	for _, t := range alive {
		s.add(t, int(t.Node)*100+int(t.Wall))
	}
	s.Seen = seen
	return s
}

// TestSiblingsJoin checks a write that one state has, and the other one has
// too, has not heard of, or knows to be replaced, at the bounds.
func TestSiblingsJoin(t *testing.T) {
	for _, tt := range []struct {
		name    string
		a, b    Siblings[int]
		want    []int
		aCovers bool // b
		bCovers bool // a
	}{
		{"nothing", Siblings[int]{}, Siblings[int]{}, nil, true, true},
		{"one, and nothing", sibs(dots(1, 1), nil), Siblings[int]{}, []int{101}, true, false},
		{"the same", sibs(dots(1, 1), nil), sibs(dots(1, 1), nil), []int{101}, true, true},
		{"two nodes", sibs(dots(1, 1), nil), sibs(dots(2, 1), nil), []int{101, 201}, false, false},
		{"one node", sibs(dots(1, 2), nil), sibs(dots(1, 1), nil), []int{101, 102}, false, false},
		{"replaced", sibs(dots(1, 1), nil), sibs(nil, dots(1, 1)), nil, false, true},
		{"an older one replaced", sibs(dots(1, 2), nil), sibs(nil, dots(1, 1)), []int{102}, false, false},
		{"replaced by a newer one", sibs(dots(1, 1), nil), sibs(dots(1, 2), dots(1, 1)), []int{102}, false, true},
		{"kept beside a newer one", sibs(dots(1, 1), nil), sibs(dots(1, 1), dots(1, 2)), []int{101}, false, true},
		{"of another node", sibs(dots(2, 1), nil), sibs(nil, dots(1, 1, 3, 1)), []int{201}, false, false},

		{
			"of several", sibs(dots(1, 1, 2, 2, 3, 3), dots(4, 1)), sibs(dots(2, 2, 4, 4), dots(1, 1, 2, 1)),
			[]int{202, 303, 404},
			false, false,
		},
	} {
		ab, ba := tt.a.Join(tt.b), tt.b.Join(tt.a)
		if !slices.Equal(ab.Values, tt.want) || !reflect.DeepEqual(ab, ba) {
			t.Errorf("%s: %v, the other way %v, want %v", tt.name, ab, ba, tt.want)
		}
		if a, b := tt.a.Covers(tt.b), tt.b.Covers(tt.a); a != tt.aCovers || b != tt.bCovers {
			t.Errorf("%s: Covers = %v, the other way %v, want %v, %v", tt.name, a, b, tt.aCovers, tt.bCovers)
		}
		if ab.Validate() != nil {
			t.Errorf("%s: Validate = %v", tt.name, ab.Validate())
		}
	}
}

// TestSiblingsWithout checks which values a context replaces, and that it
// replaces nothing that the state does not have.
func TestSiblingsWithout(t *testing.T) {
	state := sibs(dots(1, 1, 2, 1, 1, 3), dots(3, 9))
	for _, tt := range []struct {
		seen     Siblings[int]
		want     []int
		wantSeen []Stamp
	}{
		{Siblings[int]{}, []int{101, 201, 103}, dots(3, 9)},
		{sibs(dots(1, 1), nil), []int{201, 103}, dots(1, 1, 3, 9)},
		{sibs(dots(1, 3), nil), []int{101, 201}, dots(1, 3, 3, 9)},
		{state, nil, dots(1, 3, 2, 1, 3, 9)},
		{sibs(nil, dots(1, 2)), []int{201, 103}, dots(1, 1, 3, 9)},
		{sibs(dots(2, 5, 7, 7), dots(1, math.MaxUint32, 8, 8)), []int{201}, dots(1, 3, 3, 9)},
	} {
		before := sibs(dots(1, 1, 2, 1, 1, 3), dots(3, 9))
		got := state.without(tt.seen)
		if !slices.Equal(got.Values, tt.want) || !slices.Equal(got.Seen, tt.wantSeen) || !got.Covers(state) {
			t.Errorf("without %v: %v, want %v with %v seen", tt.seen, got, tt.want, tt.wantSeen)
		}
		if !reflect.DeepEqual(state, before) {
			t.Fatalf("without %v has changed the state: %v", tt.seen, state)
		}
	}
}

// TestSiblingsLast checks that the last stamp of a node is found, whether its
// write was replaced or not.
func TestSiblingsLast(t *testing.T) {
	s := sibs(dots(1, 1, 2, 5, 1, 7), dots(1, 3, 2, 6))
	for node, want := range []int64{0, 7, 6, 0} {
		if got := s.last(uint32(node)); got.Wall != want {
			t.Errorf("last of node %d = %v, want %d", node, got, want)
		}
	}
}

// TestSiblingsValidate checks the bounds of what comes from elsewhere.
func TestSiblingsValidate(t *testing.T) {
	many := func(n int) (list []Stamp) {
		for i := range n {
			list = append(list, dots(uint32(i), uint32(i))...)
		}
		return list
	}

	for _, tt := range []struct {
		name string
		s    Siblings[int]
		ok   bool
	}{
		{"nothing", Siblings[int]{}, true},
		{"two of a node", sibs(dots(1, 1, 1, 2), dots(1, 2)), true},
		{"as many as there may be", sibs(many(maxListed), many(maxListed)), true},
		{"one value more", sibs(many(maxListed+1), nil), false},
		{"one node more", sibs(nil, many(maxListed+1)), false},
		{"a value without stamp", Siblings[int]{Values: []int{1}}, false},
		{"a stamp without value", Siblings[int]{Stamps: dots(1, 1)}, false},
		{"the same stamp twice", sibs(dots(1, 1, 1, 1), nil), false},
		{"stamps that descend", sibs(dots(1, 2, 2, 1), nil), false},
		{"a node twice", sibs(nil, dots(1, 1, 1, 2)), false},
		{"nodes that descend", sibs(nil, dots(2, 1, 1, 2)), false},
	} {
		if err := tt.s.Validate(); (err == nil) != tt.ok {
			t.Errorf("%s: Validate = %v, want an error %v", tt.name, err, !tt.ok)
		}
	}
}

// TestSiblingsFit checks how much a key has room for.
func TestSiblingsFit(t *testing.T) {
	values := func(n int) (list []Stamp) {
		for i := range n {
			list = append(list, dots(1, uint32(i))...)
		}
		return list
	}
	nodes := func(from, to int) (list []Stamp) {
		for i := from; i < to; i++ {
			list = append(list, dots(uint32(i), 1)...)
		}
		return list
	}

	for _, tt := range []struct {
		name string
		s    Siblings[int]
		want bool
	}{
		{"values", sibs(values(maxValues), nil), true},
		{"a value more", sibs(values(maxValues+1), nil), false},
		{"nodes", sibs(nodes(0, 9), nodes(9, maxNodes)), true},
		{"a node more", sibs(nodes(0, 9), nodes(9, maxNodes+1)), false},
		{"nodes twice", sibs(nodes(0, 9), nodes(0, maxNodes)), true},
	} {
		if got := tt.s.fits(); got != tt.want {
			t.Errorf("%s: fits = %v, want %v", tt.name, got, tt.want)
		}
	}
}
