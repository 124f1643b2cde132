// SPDX-License-Identifier: MIT

package consistenthash

import (
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// TestBoundedConcurrent checks the law at each admission while nodes come and go.
func TestBoundedConcurrent(t *testing.T) {
	admitted = func(load, limit int64) {
		if load > limit {
			t.Errorf("load %d, limit %d", load, limit)
		}
	}
	defer func() { admitted = nil }()
	var ring Ring
	if err := ring.Set(numbered(5)...); err != nil {
		t.Fatal(err)
	}
	b := Bounded(&ring, 1.1)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			var held []Lease
			for i := range 2000 {
				if l, ok := b.Acquire(fmt.Sprint(i % 3)); ok {
					held = append(held, l)
				}
				if g == 0 && i%50 == 0 {
					ring.Remove("10.0.0.0:8080")
					_ = ring.Add(Node{Name: fmt.Sprint("n", i%200), Weight: 2}, numbered(1)[0])
				}
				if len(held) > 20 {
					held[0].Release()
					held = held[1:]
				}
			}
			for _, l := range held {
				l.Release()
			}
		})
	}
	wg.Wait()
	sum := b.Total()
	for _, load := range b.Loads() {
		sum += load
	}
	if sum != 0 {
		t.Errorf("%d leases are left", sum)
	}
}

// TestTrapBoundExact: the bound is the one that is promised, not one more where the share of the
// total is a whole number. Ours was, and so is Envoy's, which admits at a load of exactly the bound.
func TestTrapBoundExact(t *testing.T) {
	for _, weights := range [][]float64{{1, 1, 2}, {1, 2, 3}, {1, 1, 1}, {3}, {0.1, 0.2, 0.7}} {
		var ring Ring
		nodes, all, load := numbered(len(weights)), 0.0, map[string]float64{}
		for i, w := range weights {
			nodes[i].Weight = w
			all += w
		}
		if err := ring.Set(nodes...); err != nil {
			t.Fatal(err)
		}
		b := Bounded(&ring, 1.25)
		for n := 1; n <= 2400; n++ {
			l, _ := b.Acquire(fmt.Sprint(n % 3))
			load[l.Node()]++
			for i, w := range weights {
				if limit := math.Ceil(math.Round(1e9*float64(n)*1.25*w/all) / 1e9); l.Node() == nodes[i].Name && load[l.Node()] > limit {
					t.Fatalf("weights %v: %v of %d admitted, at most %v", weights, load[l.Node()], n, limit)
				}
			}
		}
	}
}

// TestTrapFactorNearOne: however close to 1 the factor is, there is room for all.
func TestTrapFactorNearOne(t *testing.T) {
	var ring Ring
	if err := ring.Set(numbered(7)...); err != nil {
		t.Fatal(err)
	}
	b := Bounded(&ring, math.Nextafter(1, 2))
	for range 700 {
		b.Acquire("k")
	}
	for name, load := range b.Loads() {
		if load > 101 || b.Total() != 700 {
			t.Errorf("%s has %d of %d leases", name, load, b.Total())
		}
	}
}

// TestTrapLeaveWithLoad: a node that leaves keeps its leases, finds them when it comes back, and
// releasing them lowers the total; in lafikl/consistent the total stays for ever.
func TestTrapLeaveWithLoad(t *testing.T) {
	var ring Ring
	_ = ring.Set(Node{Name: "a"})
	b := Bounded(&ring, 2)
	l, _ := b.Acquire("k")
	ring.Remove("a")
	for range b.Loads() {
		break
	}
	_ = ring.Add(Node{Name: "a"})
	for name, load := range b.Loads() {
		if name != "a" || load != 1 || l.Node() != "a" {
			t.Errorf("%q has %d, the lease is on %q", name, load, l.Node())
		}
	}
	ring.Remove("a")
	l.Release()
	if b.Total() != 0 {
		t.Errorf("the total is %d when all is released", b.Total())
	}
	for name := range b.Loads() {
		t.Errorf("%q is kept", name)
	}
	if got := ceiling(math.MaxInt64, maxFactor<<32); got != math.MaxInt64 {
		t.Errorf("ceiling %d", got)
	}
}

// TestModelBounded compares each admission with a model that counts in a map, looks for the owner
// in a sorted list and has exact fractions.
func TestModelBounded(t *testing.T) { rapid.Check(t, modelBounded) }

func modelBounded(t *rapid.T) {
	var ring Ring
	factor := rapid.SampledFrom([]float64{1.03125, 1.25, 1.5, 3}).Draw(t, "factor")
	b := Bounded(&ring, factor)
	type held struct {
		lease Lease
		name  string
	}
	var leases []held
	load := map[string]int64{}
	t.Repeat(map[string]func(*rapid.T){
		"acquire": func(t *rapid.T) {
			key := rapid.StringMatching("[a-c]").Draw(t, "key")
			s := ring.Snapshot()
			want := slowAcquire(s, load, int64(len(leases))+1, factor, s.Hash(key))
			l, ok := b.Acquire(key)
			if l.Node() != want || ok != (want != "") {
				t.Fatalf("Acquire(%q) = %q, %v; want %q with loads %v", key, l.Node(), ok, want, load)
			}
			if ok {
				leases = append(leases, held{l, want})
				load[want]++
			}
		},
		"release": func(t *rapid.T) {
			if len(leases) == 0 {
				return
			}
			i := rapid.IntRange(0, len(leases)-1).Draw(t, "lease")
			leases[i].lease.Release()
			load[leases[i].name]--
			leases = slices.Delete(leases, i, i+1)
		},
		"members": func(t *rapid.T) {
			nodes := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) Node {
				return Node{
					Name:   rapid.StringMatching("[m-q]").Draw(t, "name"),
					Weight: rapid.SampledFrom([]float64{1, 2, 0.25}).Draw(t, "weight"),
				}
			}), 0, 5, func(n Node) string { return n.Name }).Draw(t, "nodes")
			if err := ring.Set(nodes...); err != nil {
				t.Fatal(err)
			}
		},
		"": func(t *rapid.T) {
			if b.Total() != int64(len(leases)) {
				t.Fatalf("the total is %d, want %d", b.Total(), len(leases))
			}
			for name, got := range b.Loads() {
				if got != load[name] {
					t.Fatalf("%q has %d leases, want %d", name, got, load[name])
				}
			}
		},
	})
}

// slowAcquire returns who gets a request at h, the total-th: the owner of the first of a sequence of
// positions that may have one more, or else the next by name.
func slowAcquire(s *Snapshot, load map[string]int64, total int64, factor float64, h uint64) string {
	nodes := s.Nodes()
	if len(nodes) == 0 {
		return ""
	}
	weights := new(big.Rat)
	for _, n := range nodes {
		weights.Add(weights, new(big.Rat).SetFloat64(n.Weight))
	}
	room := func(n Node) bool {
		bound := new(big.Rat).SetFloat64(factor)
		bound.Mul(bound, new(big.Rat).SetFloat64(n.Weight)).Quo(bound, weights).Mul(bound, new(big.Rat).SetInt64(total))
		return new(big.Rat).SetInt64(load[n.Name]).Cmp(bound) < 0 // load+1 <= ceil(bound)
	}
	owner := func() int {
		i, _ := slices.BinarySearch(s.points, h)
		return int(s.owners[i])
	}
	for range 4*bits.Len(uint(len(nodes))) + 8 {
		if n := nodes[owner()]; room(n) {
			return n.Name
		}
		h = mix(h + phi)
	}
	for i := range nodes {
		if n := nodes[(owner()+i)%len(nodes)]; room(n) {
			return n.Name
		}
	}
	return "nobody"
}
