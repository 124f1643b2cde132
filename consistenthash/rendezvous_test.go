// SPDX-License-Identifier: MIT

package consistenthash

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"testing"
)

// TestRendezvousMaglev checks that shares are as the weights, that a node which
// leaves only gives (Rendezvous) or nearly so (Maglev), and that the order of
// nodes does not matter.
func TestRendezvousMaglev(t *testing.T) {
	nodes := []Node{{Name: "a"}, {Name: "b", Weight: 2}, {Name: "c", Weight: 0.5}, {Name: "d"}}
	other := []Node{nodes[3], nodes[1], nodes[0]}
	type getter interface{ Get(string) (string, bool) }
	r1, _ := NewRendezvous(nil, nodes...)
	r2, _ := NewRendezvous(nil, other...)
	m1, _ := NewMaglev(65537, nil, nodes...)
	m2, _ := NewMaglev(65537, nil, other...)
	for i, p := range [][2]getter{{r1, r2}, {m1, m2}} {
		count := map[string]float64{}
		extra := 0
		for k := range 45000 {
			a, _ := p[0].Get(fmt.Sprint(k))
			b, _ := p[1].Get(fmt.Sprint(k))
			if count[a]++; a != b && a != "c" {
				extra++
			}
		}
		if i == 0 && extra > 0 || extra > 2000 {
			t.Errorf("%T: %d keys moved needlessly, want none, or at most 2000 with the skeleton", p[0], extra)
		}
		for _, n := range nodes { // 6 standard deviations are at most 630
			if want := 10000 * cmpOr(n.Weight, 1); math.Abs(count[n.Name]-want) > 650 {
				t.Errorf("%T: %q has %v keys, want %v", p[0], n.Name, count[n.Name], want)
			}
		}
	}

	for i := range uint64(256) { // against the logarithm of the standard library
		u := mix(i + 1)
		if d := math.Log2(float64(u)) - float64(log2(u))/(1<<32); d < -1e-9 || d > 3e-6 {
			t.Fatalf("log2(%#x) is off by %g", u, d)
		}
	}
}

// TestRendezvousEqual checks that the scores decide alone where all weights are
// equal, as the costs would.
func TestRendezvousEqual(t *testing.T) {
	for _, weight := range []float64{1, 0.3, 1000} {
		nodes := numbered(20)
		for i := range nodes {
			nodes[i].Weight = weight
		}
		r, err := NewRendezvous(nil, nodes...)
		if err != nil || !r.equal {
			t.Fatal(err)
		}

		for i := range 5000 {
			key := fmt.Sprint(i)
			got, _ := r.Get(key)
			if want := r.AppendN(nil, key, 1)[0]; got != want { // AppendN has the scores
				t.Fatalf("%s belongs to %s, by score to %s", key, got, want)
			}
		}

		r.bases[3] = r.bases[5] // three that collide
		r.bases[7] = r.bases[5]
		for h := range uint64(1000) {
			if n := r.largest(h); n == 5 || n == 7 {
				t.Fatalf("of equal nodes %d is taken", n)
			}
		}
	}
}

// TestRendezvousAppendN checks the whole list against all nodes sorted by their
// cost.
func TestRendezvousAppendN(t *testing.T) {
	for _, nodes := range [][]Node{
		numbered(9),
		{{Name: "a"}, {Name: "b", Weight: 3}},
		{{Name: "a"}, {Name: "b", Weight: 2}, {Name: "c", Weight: 0.5}, {Name: "d"}},
	} {
		r, err := NewRendezvous(nil, nodes...)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 500 {
			key := strconv.Itoa(i)
			h := r.snap.Hash(key)
			var all []rival
			for j := range r.names {
				all = append(all, r.rival(h, factor(h), j))
			}
			slices.SortFunc(all, func(a, b rival) int {
				if a.beats(b) {
					return -1
				}
				return 1
			})
			var want []string
			for _, x := range all {
				want = append(want, r.names[x.node])
			}

			for n := range len(nodes) + 2 {
				if got := r.AppendN(nil, key, n); !slices.Equal(got, want[:min(n, len(want))]) {
					t.Fatalf("the first %d of %s = %q, want %q", n, key, got, want)
				}
			}
			if got, ok := r.Get(key); got != want[0] || !ok {
				t.Fatalf("Get(%s) = %q, %t, want %q", key, got, ok, want[0])
			}
		}
	}
}

// TestRendezvousEven checks that equal nodes get equal parts, whichever keys
// and names there are. Chi-square with 99 degrees of freedom is above 176 with
// a probability of 3·10^-6.
func TestRendezvousEven(t *testing.T) {
	const keys, n = 200_000, 100
	for _, opts := range []*Options{nil, {Seed: 3}} {
		r, err := NewRendezvous(opts, numbered(n)...)
		if err != nil {
			t.Fatal(err)
		}
		count := map[string]float64{}
		for i := range keys {
			owner, _ := r.Get("user:" + strconv.Itoa(i))
			count[owner]++
		}
		chi := 0.0
		for _, name := range r.names {
			chi += (count[name] - keys/n) * (count[name] - keys/n) / (keys / n)
		}
		if chi > 176 {
			t.Errorf("chi-square = %.1f, want at most 176", chi)
		}
	}
}

// TestRendezvousMaglevHeavy checks that tables, which have no points, take any
// number of nodes of any weight, whatever MaxPoints says.
func TestRendezvousMaglevHeavy(t *testing.T) {
	heavy := numbered(5000) // 5000·2^16 points would be more than 2^28
	for i := range heavy {
		heavy[i].Weight = 1 << 16
	}
	for _, tt := range []struct {
		opts  *Options
		nodes []Node
	}{
		{nil, heavy},
		{&Options{VirtualNodes: 1, MaxPoints: 1}, numbered(2)},
	} {
		if _, err := NewRendezvous(tt.opts, tt.nodes...); err != nil {
			t.Errorf("NewRendezvous of %d nodes: %v, want nil", len(tt.nodes), err)
		}
		if _, err := NewMaglev(65537, tt.opts, tt.nodes...); err != nil {
			t.Errorf("NewMaglev of %d nodes: %v, want nil", len(tt.nodes), err)
		}
	}
}

// TestRendezvousTies checks that of nodes with equal scores the first by name
// comes first, by both ways of looking: names collide in a hash of 3 bits.
func TestRendezvousTies(t *testing.T) {
	for n := 1; n <= 20; n++ {
		r, err := NewRendezvous(&Options{Hash: coarse}, numbered(n)...)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 100 {
			key := strconv.Itoa(i)
			k := factor(r.snap.Hash(key))
			best := 0
			for j := range r.bases {
				if score(r.snap.Hash(key), k, r.bases[j]) > score(r.snap.Hash(key), k, r.bases[best]) {
					best = j
				}
			}

			if got, _ := r.Get(key); got != r.names[best] {
				t.Errorf("Get(%s) of %d nodes = %s, want %s", key, n, got, r.names[best])
			}
			if got := r.AppendN(nil, key, 1)[0]; got != r.names[best] {
				t.Errorf("AppendN(%s, 1) of %d nodes = %s, want %s", key, n, got, r.names[best])
			}
		}
	}
}

// TestRendezvousMaglevErrors checks that bad nodes are errors, at the bounds of
// the weights and beyond them.
func TestRendezvousMaglevErrors(t *testing.T) {
	for _, tt := range []struct {
		want error
		node Node
	}{
		{nil, Node{Name: "a", Weight: 1.0 / (1 << 16)}},
		{nil, Node{Name: "a", Weight: 1 << 16}},
		{ErrWeight, Node{Name: "a", Weight: 0.99 / (1 << 16)}},
		{ErrWeight, Node{Name: "a", Weight: 1<<16 + 1}},
		{ErrWeight, Node{Name: "a", Weight: math.NaN()}},
		{ErrName, Node{}},
	} {
		if _, err := NewRendezvous(nil, tt.node); !errors.Is(err, tt.want) {
			t.Errorf("NewRendezvous(%v) = %v, want %v", tt.node, err, tt.want)
		}
		if _, err := NewMaglev(7, nil, tt.node); !errors.Is(err, tt.want) {
			t.Errorf("NewMaglev(%v) = %v, want %v", tt.node, err, tt.want)
		}
	}

	// A node has at least one slot.
	if _, err := NewMaglev(3, nil, numbered(4)...); !errors.Is(err, ErrTooLarge) {
		t.Errorf("4 nodes for 3 slots: %v, want %v", err, ErrTooLarge)
	}
	if m, err := NewMaglev(3, nil, numbered(3)...); err != nil || len(slices.Compact(slices.Sorted(slices.Values(m.table)))) != 3 {
		t.Errorf("3 nodes for 3 slots: %v, table %v, want one slot each", err, m.table)
	}
	if got := log2(0); got != 0 {
		t.Errorf("log2(0) = %d, want 0", got)
	}
}
