// SPDX-License-Identifier: MIT

package consistenthash

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
)

func numbered(n int) []Node {
	nodes := make([]Node, n)
	for i := range nodes {
		nodes[i].Name = fmt.Sprintf("10.0.0.%d:8080", i)
	}
	return nodes
}

func mustBuild(t testing.TB, opts *Options, nodes ...Node) *Snapshot {
	t.Helper()
	s, err := Build(opts, nodes...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestTrapBadCounts: duplicates, unknown names and any n end; peers hang (stathat/consistent).
func TestTrapBadCounts(t *testing.T) {
	var ring Ring
	for range 2 {
		if err := ring.Add(numbered(2)...); err != nil {
			t.Fatal(err)
		}
	}
	if n := ring.Remove("unknown"); n != 0 {
		t.Errorf("removed %d", n)
	}
	for n, want := range map[int]int{-1: 0, 0: 0, 1: 1, 2: 2, 3: 2, math.MaxInt: 2} {
		if got, shard := len(ring.AppendN(nil, "k", n)), len(ring.AppendShard(nil, "k", n)); got != want || shard != want {
			t.Errorf("n = %d gives %d and %d nodes, want %d", n, got, shard, want)
		}
	}
}

// TestTrapInput: what is wrong is an error and changes nothing.
func TestTrapInput(t *testing.T) {
	var ring Ring
	if err := ring.Set(Node{Name: "a"}); err != nil {
		t.Fatal(err)
	}
	before := ring.Snapshot()
	for _, c := range []struct {
		want  error
		nodes []Node
	}{
		{ErrName, []Node{{Name: ""}}},
		{ErrName, []Node{{Name: "b"}, {Name: "b"}}},
		{ErrName, []Node{{Name: strings.Repeat("x", 1<<16)}}},
		{ErrName, []Node{{Name: "b", Zone: strings.Repeat("x", 1<<16)}}},
		{ErrWeight, []Node{{Name: "b", Weight: -1}}},
		{ErrWeight, []Node{{Name: "b", Weight: math.NaN()}}},
		{ErrWeight, []Node{{Name: "b", Weight: math.Inf(1)}}},
		{ErrTooLarge, []Node{{Name: "b", Weight: 1e300}}},
		{ErrTooLarge, []Node{{Name: "b", Weight: 20000}, {Name: "c", Weight: 20000}}},
	} {
		if err := ring.Add(c.nodes...); !errors.Is(err, c.want) {
			t.Errorf("Add: %v, want %v", err, c.want)
		}
		if err := ring.Set(c.nodes...); !errors.Is(err, c.want) || ring.Snapshot() != before {
			t.Errorf("Set: %v, want %v and no change", err, c.want)
		}
	}
}

// TestTrapConcatenation: "h:55" point 5 is not "h:5" point 55 (buraksezer/consistent#17).
func TestTrapConcatenation(t *testing.T) {
	s := mustBuild(t, nil, Node{Name: "h:5"}, Node{Name: "h:55"})
	if n := len(slices.Compact(slices.Clone(s.points))); n != 301 {
		t.Errorf("%d distinct points of 301", n)
	}
}

// TestTrapWeights: the weight of one node moves no point of another, and a tiny one keeps a point.
func TestTrapWeights(t *testing.T) {
	a := mustBuild(t, nil, Node{Name: "a"}, Node{Name: "b", Weight: 1e-9})
	b := mustBuild(t, nil, Node{Name: "a", Weight: 100}, Node{Name: "b", Weight: 1e-9})
	if a.counts[1] != 1 || b.counts[1] != 1 || b.counts[0] != 15000 {
		t.Errorf("points %v and %v", a.counts, b.counts)
	}
}

// TestBalance pins the table of the documentation: the largest share of 20 rings.
func TestBalance(t *testing.T) {
	for n, limit := range map[int]float64{10: 1.30, 100: 1.36, 1000: 1.40} {
		if n == 1000 && (testing.Short() || raceEnabled) {
			continue
		}
		worst := 0.0
		for seed := range uint64(20) {
			worst = max(worst, mustBuild(t, &Options{Seed: seed}, numbered(n)...).Stats().PeakToMean)
		}
		if worst > limit {
			t.Errorf("%d nodes: the largest load is %.3f, at most %.2f", n, worst, limit)
		}
	}
}

// TestTrapBackups: the second node of a key varies; in buraksezer/consistent it is one for all.
func TestTrapBackups(t *testing.T) {
	s := mustBuild(t, nil, numbered(20)...)
	second := map[string]bool{}
	for i := range 20000 {
		if list := s.AppendN(nil, fmt.Sprint(i), 2); list[0] == s.names[0] {
			second[list[1]] = true
		}
	}
	if len(second) < 15 {
		t.Errorf("one node has %d backups", len(second))
	}
}

// TestGolden freezes the placement.
func TestGolden(t *testing.T) {
	s := mustBuild(t, nil, Node{Name: "a"}, Node{Name: "b", Weight: 2}, Node{Name: "c", Zone: "z"})
	var owners strings.Builder
	for i := range 24 {
		owner, _ := s.Get(fmt.Sprint("key", i))
		owners.WriteString(owner)
	}
	if got := fmt.Sprintf("%s %016x", &owners, s.Fingerprint()); got != golden {
		t.Errorf("the placement is %q, want %q", got, golden)
	}
}

func TestCodec(t *testing.T) {
	want := mustBuild(t, &Options{Seed: 7, VirtualNodes: 9}, Node{Name: "a", Zone: "z"}, Node{Name: "b", Weight: 2})
	for _, s := range []*Snapshot{want, {}} {
		data, err := s.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var back, backJSON Snapshot
		if err := back.UnmarshalBinary(data); err != nil || back.Fingerprint() != s.Fingerprint() {
			t.Fatalf("%v: %v", err, &back)
		}
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &backJSON); err != nil || backJSON.Fingerprint() != s.Fingerprint() {
			t.Fatalf("%v: %s", err, text)
		}
		for i := range data {
			bad := slices.Clone(data)
			bad[i] ^= 1
			if err := back.UnmarshalBinary(bad); !errors.Is(err, ErrFormat) {
				t.Fatalf("bit %d: %v", i, err)
			}
			if err := back.UnmarshalBinary(data[:i]); !errors.Is(err, ErrFormat) {
				t.Fatalf("%d bytes: %v", i, err)
			}
		}
	}
	if _, err := mustBuild(t, &Options{Hash: coarse}).MarshalBinary(); err == nil {
		t.Error("a function was marshaled")
	}
	for _, text := range []string{
		`{`, `{}`, `{"algorithm":"ashlar-ring/1","seed":"0","virtualNodes":-1}`,
		`{"algorithm":"ashlar-ring/1","seed":"0","fingerprint":"x"}`, `{"algorithm":"ashlar-ring/1","seed":"0","fingerprint":"1"}`,
		`{"algorithm":"ashlar-ring/1","seed":"0","nodes":[{"name":""}]}`,
	} {
		if err := new(Snapshot).UnmarshalJSON([]byte(text)); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

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

// TestRendezvousMaglev: shares are as the weights, who leaves only gives (Rendezvous) or nearly
// so (Maglev), and the order of nodes does not matter.
func TestRendezvousMaglev(t *testing.T) {
	nodes := []Node{{Name: "a"}, {Name: "b", Weight: 2}, {Name: "c", Weight: 0.5}, {Name: "d"}}
	other := []Node{nodes[3], nodes[1], nodes[0]}
	type getter interface{ Get(string) (string, bool) }
	r1, _ := NewRendezvous(nil, nodes...)
	r2, _ := NewRendezvous(nil, other...)
	m1, _ := NewMaglev(65537, nil, nodes...)
	m2, _ := NewMaglev(65537, nil, other...)
	for i, p := range [][2]getter{{r1, r2}, {m1, m2}} {
		count, extra := map[string]float64{}, 0
		for k := range 45000 {
			a, _ := p[0].Get(fmt.Sprint(k))
			b, _ := p[1].Get(fmt.Sprint(k))
			if count[a]++; a != b && a != "c" {
				extra++
			}
		}
		if i == 0 && extra > 0 || extra > 2000 {
			t.Errorf("%T: %d keys moved needlessly", p[0], extra)
		}
		for _, n := range nodes { // 6 standard deviations are at most 630
			if want := 10000 * cmpOr(n.Weight, 1); math.Abs(count[n.Name]-want) > 650 {
				t.Errorf("%T: %q has %v keys, want %v", p[0], n.Name, count[n.Name], want)
			}
		}
	}
	list := r1.AppendN(nil, "k", 9)
	if first, _ := r1.Get("k"); len(list) != 4 || list[0] != first {
		t.Errorf("the list is %q, the owner %q", list, first)
	}
	for i := range uint64(256) { // against the logarithm of the standard library
		u := mix(i + 1)
		if d := math.Log2(float64(u)) - float64(log2(u))/(1<<32); d < -1e-9 || d > 3e-6 {
			t.Fatalf("log2(%#x) is off by %g", u, d)
		}
	}
}

// TestPanics: what only a wrong program asks for.
func TestPanics(t *testing.T) {
	bad, other := &Options{VirtualNodes: -1}, &Options{Seed: 9}
	s := mustBuild(t, nil, Node{Name: "a"})
	for name, f := range map[string]func(){
		"New":           func() { New(bad) },
		"Build":         func() { _, _ = Build(bad) },
		"NewRendezvous": func() { _, _ = NewRendezvous(bad) },
		"NewMaglev":     func() { _, _ = NewMaglev(4, nil) },
		"Bounded":       func() { Bounded(new(Ring), 1) },
		"Bounded NaN":   func() { Bounded(new(Ring), math.NaN()) },
		"Acquire":       func() { new(Balancer).Acquire("k") },
		"Release":       func() { Lease{}.Release() },
		"Plan":          func() { s.Plan(mustBuild(t, other, Node{Name: "a"})) },
		"PlanN":         func() { s.PlanN(s, 0) },
		"Jump":          func() { Jump(1, 0) },
		"JumpBack":      func() { JumpBack(1, 0) },
		"released twice": func() {
			var ring Ring
			_ = ring.Add(Node{Name: "a"})
			l, _ := Bounded(&ring, 2).Acquire("k")
			l.Release()
			l.Release()
		},
	} {
		func() {
			defer func() {
				if text, _ := recover().(string); !strings.HasPrefix(text, "consistenthash: ") {
					t.Errorf("%s: %q", name, text)
				}
			}()
			f()
		}()
	}
}

// TestEmpty: nothing has an owner in nothing.
func TestEmpty(t *testing.T) {
	ring := New(nil)
	r, _ := NewRendezvous(nil)
	m, _ := NewMaglev(3, nil)
	for _, g := range []interface{ Get(string) (string, bool) }{ring, r, m} {
		if _, ok := g.Get("k"); ok {
			t.Errorf("%T has an owner", g)
		}
	}
	if l, ok := Bounded(ring, 2).Acquire("k"); ok || l.Node() != "" {
		t.Error("an empty ring admits")
	}
	if _, ok := ring.GetBytes([]byte("k")); ok || ring.Snapshot().Stats().Points != 0 {
		t.Error("an empty ring has an owner")
	}
	ring.SetSnapshot(mustBuild(t, &Options{Hash: coarse}, numbered(40)...))
	if a, ok := ring.GetBytes([]byte("k")); !ok || !strings.Contains(ring.Snapshot().String(), "and 8 more") {
		t.Errorf("%q in %v", a, ring.Snapshot())
	}
	if text := (Range{1, 255}).String(); text != "[0000000000000001, 00000000000000ff]" {
		t.Error(text)
	}
}

// TestBoundedReturn: a node that leaves keeps its leases, and finds them when it comes back.
func TestBoundedReturn(t *testing.T) {
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
	l.Release()
	ring.Remove("a")
	for name := range b.Loads() {
		t.Errorf("%q is kept", name)
	}
	if got := ceiling(math.MaxInt64, maxFactor<<32); got != math.MaxInt64 {
		t.Errorf("ceiling %d", got)
	}
}

// TestBreak: iterators stop when asked, and give their memory back.
func TestBreak(t *testing.T) {
	s := mustBuild(t, nil, numbered(5)...)
	for n := range s.All("k") {
		if owner, _ := s.Get("k"); n.Name != owner || !s.Has(n.Name) {
			t.Errorf("first %q, owner %q", n.Name, owner)
		}
		break
	}
	for range new(Snapshot).All("k") {
		t.Error("a node of nothing")
	}
	for range s.Ranges() {
		break
	}
	for range s.RangesOf("10.0.0.1:8080") {
		break
	}
	for range s.Plan(&Snapshot{}) {
		break
	}
	for range s.PlanN(&Snapshot{}, 2) {
		break
	}
	if _, err := mustBuild(t, nil, Node{Name: "\xff"}).MarshalJSON(); err == nil {
		t.Error("JSON holds what is not UTF-8")
	}
	if _, err := mustBuild(t, &Options{Hash: coarse}).MarshalJSON(); err == nil {
		t.Error("JSON holds a function")
	}
}

// TestInvariants runs the checks also without their tag, and finds no place where none is.
func TestInvariants(t *testing.T) {
	var ring Ring
	_ = ring.Set(numbered(5)...)
	ring.Snapshot().check()
	v := Bounded(&ring, 2).current()
	if c := v.find(1, 0); c != nil {
		t.Errorf("a place on %q of a total of 0", c.name)
	}
}
