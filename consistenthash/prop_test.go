// SPDX-License-Identifier: MIT

package consistenthash

import (
	"fmt"
	"maps"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// coarse is a hash of 8 bits: of a few names some collide in all their points.
func coarse(s string) uint64 {
	h := uint64(len(s))
	for i := range len(s) {
		h = mix(h ^ uint64(s[i]))
	}
	return h >> 61 << 56
}

func drawOptions(t *rapid.T) *Options {
	o := &Options{VirtualNodes: rapid.SampledFrom([]int{0, 1, 2, 7, 40}).Draw(t, "vnodes")}
	o.Seed = rapid.SampledFrom([]uint64{0, 1, math.MaxUint64}).Draw(t, "seed")
	if rapid.Bool().Draw(t, "coarse") {
		o.Hash = coarse
	}
	return o
}

func drawNode(t *rapid.T) Node {
	return Node{
		Name:   rapid.StringMatching("[a-h]").Draw(t, "name"),
		Weight: rapid.SampledFrom([]float64{0, 1, 2, 0.001, 0.5, 3.3, NoShare}).Draw(t, "weight"),
		Zone:   rapid.SampledFrom([]string{"", "", "x", "y", "z"}).Draw(t, "zone"),
	}
}

func drawNodes(t *rapid.T, label string, least int) []Node {
	return rapid.SliceOfNDistinct(rapid.Custom(drawNode), least, 8, func(n Node) string { return n.Name }).Draw(t, label)
}

// positions returns each point of the snapshots, the hashes next to it, the
// ends, and some others.
func positions(ss ...*Snapshot) []uint64 {
	hs := []uint64{0, 1, math.MaxUint64 - 1, math.MaxUint64}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		hs = append(hs, rng.Uint64())
	}
	for _, s := range ss {
		for _, p := range s.points {
			hs = append(hs, p-1, p, p+1)
		}
	}
	return hs
}

func ownerName(s *Snapshot, h uint64) string {
	name, _ := s.name(s.Owner(h))
	return name
}

// TestModelRing checks every owner, preference list and shard of a Ring against
// the textbook's, after each change.
func TestModelRing(t *testing.T) { rapid.Check(t, modelRing) }

func FuzzModelRing(f *testing.F) { f.Fuzz(rapid.MakeFuzz(modelRing)) }

func modelRing(t *rapid.T) {
	opts := drawOptions(t)
	ring := New(opts)
	model := &slowRing{opts: *opts, nodes: map[string]Node{}}

	t.Repeat(map[string]func(*rapid.T){
		"add": func(t *rapid.T) {
			nodes := drawNodes(t, "nodes", 0)
			if err := ring.Add(nodes...); err != nil {
				t.Fatal(err)
			}
			for _, n := range nodes {
				model.nodes[n.Name] = n
			}
		},
		"remove": func(t *rapid.T) {
			name := drawNode(t).Name
			_, was := model.nodes[name]
			delete(model.nodes, name)
			if got := ring.Remove(name, name, "unknown"); got != map[bool]int{true: 1}[was] {
				t.Fatalf("Remove(%q) = %d, member %v", name, got, was)
			}
		},
		"set": func(t *rapid.T) {
			nodes := drawNodes(t, "nodes", 0)
			if err := ring.Set(nodes...); err != nil {
				t.Fatal(err)
			}
			clear(model.nodes)
			for _, n := range nodes {
				model.nodes[n.Name] = n
			}
		},
		"": func(t *rapid.T) { checkModel(t, ring.Snapshot(), model) },
	})
}

func checkModel(t *rapid.T, s *Snapshot, model *slowRing) {
	if s.Len() != len(model.nodes) {
		t.Fatalf("%d nodes, want %v", s.Len(), model)
	}
	points := model.points()
	if len(points) != max(len(s.points)-1, 0) {
		t.Fatalf("%d points, want %d", len(s.points)-1, len(points))
	}
	if len(points) == 0 {
		if got, ok := s.Get("k"); ok {
			t.Fatalf("Get = %q of a ring without a share, want none", got)
		}
		if got := s.Owner(7); got != -1 {
			t.Fatalf("Owner = %d of a ring without a share, want -1", got)
		}
		if got := s.AppendShard(s.AppendN(nil, "k", 3), "k", 3); len(got) > 0 {
			t.Fatalf("AppendN and AppendShard = %q of a ring without a share, want none", got)
		}
		return
	}

	for i, h := range positions(s) {
		if i > 400 || raceEnabled && i > 40 { // the preference lists of the model are slow
			break
		}
		want := model.list(points, h)
		if got := ownerName(s, h); got != firstOf(points, h) {
			t.Fatalf("%#x belongs to %q, want %q", h, got, firstOf(points, h))
		}
		for n := 1; n <= len(want); n++ {
			if got := s.appendFrom(nil, s.start(h), n); !slices.Equal(got, want[:n]) {
				t.Fatalf("the first %d of %#x are %q, want %q", n, h, got, want)
			}
		}
	}

	for i := range 10 {
		key := fmt.Sprint("key", i)
		k := i % 5
		if got, want := s.AppendShard(nil, key, k), model.shard(points, s.Hash(key), k); !slices.Equal(got, want) {
			t.Fatalf("the shard of %s is %q, want %q", key, got, want)
		}
		var all []string
		for n := range s.All(key) {
			all = append(all, n.Name)
		}
		if want := model.list(points, s.Hash(key)); !slices.Equal(all, want) {
			t.Fatalf("All(%s) = %q, want %q", key, all, want)
		}
	}
}

func firstOf(points []slowPoint, h uint64) string {
	for _, p := range points {
		if p.hash >= h {
			return p.name
		}
	}
	return points[0].name
}

// TestPropOrder checks that a placement depends on the members alone, not on
// the changes that led to them.
func TestPropOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		opts := drawOptions(t)
		nodes := drawNodes(t, "nodes", 0)
		want, err := NewSnapshot(opts, nodes...)
		if err != nil {
			t.Fatal(err)
		}

		ring := New(opts)
		for _, n := range drawNodes(t, "before", 0) {
			if err := ring.Add(n); err != nil {
				t.Fatal(err)
			}
		}
		for _, n := range ring.Snapshot().Nodes() {
			if !slices.ContainsFunc(nodes, func(m Node) bool { return m.Name == n.Name }) {
				ring.Remove(n.Name)
			}
		}
		for _, n := range rapid.Permutation(nodes).Draw(t, "order") {
			if err := ring.Add(n); err != nil {
				t.Fatal(err)
			}
		}

		got := ring.Snapshot()
		if !slices.Equal(got.points, want.points) {
			t.Fatalf("points one by one: %v, at once: %v", got, want)
		}
		if !slices.Equal(got.owners, want.owners) {
			t.Fatalf("owners one by one: %v, at once: %v", got, want)
		}
		if got, want := got.Fingerprint(), want.Fingerprint(); got != want {
			t.Fatalf("Fingerprint one by one: %x, at once: %x", got, want)
		}
	})
}

// TestPropMinimal checks that a node that joins, or gains weight, takes keys
// and no other node does, and that one that leaves gives them back.
func TestPropMinimal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		opts := drawOptions(t)
		s, err := NewSnapshot(opts, drawNodes(t, "nodes", 1)...)
		if err != nil {
			t.Fatal(err)
		}

		x := drawNode(t)
		x.Name = "x"
		more, err := s.With(x)
		if err != nil {
			t.Fatal(err)
		}
		x.Weight = cmpOr(x.Weight, 1) + 1
		most, err := more.With(x)
		if err != nil {
			t.Fatal(err)
		}

		for _, step := range [][2]*Snapshot{{s, more}, {more, most}, {s, most}} {
			for _, h := range positions(step[:]...) {
				if a, b := ownerName(step[0], h), ownerName(step[1], h); a != b && b != "x" {
					t.Fatalf("%#x moved from %q to %q when x joined or grew", h, a, b)
				}
			}
		}
		if back := most.Without("x"); back.Fingerprint() != s.Fingerprint() {
			t.Fatal("joining and leaving is not nothing")
		}
	})
}

func cmpOr(w, otherwise float64) float64 {
	if w == 0 {
		return otherwise
	}
	return w
}

// TestPropPrefer checks that preference lists are distinct, spread over zones,
// and change only where they must.
func TestPropPrefer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, err := NewSnapshot(drawOptions(t), drawNodes(t, "nodes", 1)...)
		if err != nil {
			t.Fatal(err)
		}
		key := rapid.String().Draw(t, "key")
		n := rapid.IntRange(1, 9).Draw(t, "n")
		list := s.AppendN(nil, key, n)
		shard := s.AppendShard(nil, key, n)
		n = min(n, s.live)
		if n == 0 {
			return // TestModelRing looks at rings without a share
		}

		zones := map[string]bool{}
		for _, m := range s.Nodes() {
			if slices.Contains(list, m.Name) {
				zones[m.Zone] = true
			}
		}
		if len(list) != n || len(shard) != n {
			t.Fatalf("list %q, shard %q, want %d nodes in each", list, shard, n)
		}
		if owner, _ := s.Get(key); list[0] != owner {
			t.Fatalf("list %q, want the owner %q first", list, owner)
		}
		if got, want := len(zones), min(n, s.zones); got != want {
			t.Fatalf("shard %q has %d zones, want %d", shard, got, want)
		}

		for _, m := range s.Nodes() {
			less := s.Without(m.Name)
			checkReplaced(t, m.Name, shard, less.AppendShard(nil, key, n))
			if got := less.AppendN(nil, key, n); !slices.Contains(list, m.Name) && !slices.Equal(got, list) {
				t.Fatalf("without %q the list went from %q to %q", m.Name, list, got)
			}
		}
	})
}

// checkReplaced fails unless after is before with the node gone replaced by at
// most one other.
func checkReplaced(t *rapid.T, gone string, before, after []string) {
	fresh := 0
	for _, name := range after {
		if !slices.Contains(before, name) {
			fresh++
		}
	}
	lost := 0
	for _, name := range before {
		if !slices.Contains(after, name) && name != gone {
			lost++
		}
	}
	if !slices.Contains(before, gone) && !slices.Equal(before, after) {
		t.Fatalf("without %q, which it did not have, the shard went from %q to %q", gone, before, after)
	}
	if fresh > 1 || lost > 0 {
		t.Fatalf("without %q the shard went from %q to %q: %d new, %d lost, want at most 1 and 0", gone, before, after, fresh, lost)
	}
}

// TestPropPlan checks that a plan holds exactly the positions whose owner
// differs, in disjoint sorted ranges that cannot be joined, and that applied to
// data it is the new placement.
func TestPropPlan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		opts := drawOptions(t)
		from, err1 := NewSnapshot(opts, drawNodes(t, "from", 0)...)
		to, err2 := NewSnapshot(opts, drawNodes(t, "to", 0)...)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}

		moves := slices.Collect(from.Plan(to))
		store := map[uint64]string{} // the node that holds each position
		for _, h := range positions(from, to) {
			store[h] = ownerName(from, h)
		}

		for i, m := range moves {
			if m.First > m.Last {
				t.Fatalf("move %d of %v ends before it begins", i, moves)
			}
			if m.From == m.To {
				t.Fatalf("move %d of %v goes nowhere", i, moves)
			}
			if i > 0 && moves[i-1].Last >= m.First {
				t.Fatalf("move %d of %v begins before the last one ends", i, moves)
			}
			if i > 0 && moves[i-1].Last+1 == m.First && moves[i-1].From == m.From && moves[i-1].To == m.To {
				t.Fatalf("moves %v and %v are one", moves[i-1], m)
			}
			for h, at := range store {
				if m.Contains(h) {
					if at != m.From {
						t.Fatalf("%v moves %#x, which is at %q", m, h, at)
					}
					store[h] = m.To
				}
			}
		}
		for h, at := range store {
			if want := ownerName(to, h); at != want {
				t.Fatalf("after the plan %#x is at %q, want %q", h, at, want)
			}
		}
	})
}

// TestPropPlanN is TestPropPlan for lists of replicas.
func TestPropPlanN(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		opts := drawOptions(t)
		from, err1 := NewSnapshot(opts, drawNodes(t, "from", 0)...)
		to, err2 := NewSnapshot(opts, drawNodes(t, "to", 0)...)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		n := rapid.IntRange(1, 4).Draw(t, "replicas")
		list := func(s *Snapshot, h uint64) []string {
			if s.live == 0 {
				return nil
			}
			return s.appendFrom(nil, s.start(h), min(n, s.live))
		}

		moves := slices.Collect(from.PlanN(to, n))
		for _, h := range positions(from, to) {
			a := list(from, h)
			b := list(to, h)
			i := slices.IndexFunc(moves, func(m ReplicaMove) bool { return m.Contains(h) })
			if i < 0 {
				if !slices.Equal(a, b) {
					t.Fatalf("%#x moves from %q to %q, and no move says so", h, a, b)
				}
				continue
			}
			m := moves[i]
			if !slices.Equal(m.From, a) || !slices.Equal(m.To, b) || slices.Equal(a, b) {
				t.Fatalf("%#x: %v, want %q to %q", h, m, a, b)
			}

			holders := map[string]bool{}
			for _, x := range append(m.Added(), a...) {
				holders[x] = true
			}
			for _, x := range m.Dropped() {
				delete(holders, x)
			}
			if got := slices.Sorted(maps.Keys(holders)); !slices.Equal(got, slices.Sorted(slices.Values(b))) {
				t.Fatalf("%v leaves %q", m, got)
			}
		}
		for i, m := range moves {
			if i == 0 {
				continue
			}
			last := moves[i-1]
			if last.Last >= m.First {
				t.Fatalf("move %v begins before %v ends", m, last)
			}
			if last.Last+1 == m.First && slices.Equal(last.From, m.From) && slices.Equal(last.To, m.To) {
				t.Fatalf("moves %v and %v are one", last, m)
			}
		}
	})
}

// TestPropRanges checks that the ranges are the ring, 2^64 positions, and that
// each belongs to the node it names.
func TestPropRanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, err := NewSnapshot(drawOptions(t), drawNodes(t, "nodes", 1)...)
		if err != nil {
			t.Fatal(err)
		}
		if s.live == 0 {
			return
		}

		sum := new(big.Int)
		next := uint64(0)
		last := "" // the owner of the range before
		share := map[string]float64{}
		for r, owner := range s.Ranges() {
			if r.First != next {
				t.Fatalf("range %v begins at %d, want %d", r, r.First, next)
			}
			if first, end := ownerName(s, r.First), ownerName(s, r.Last); first != owner || end != owner {
				t.Fatalf("the owners of the ends of %v are %q, %q, want %q", r, first, end, owner)
			}
			if owner == last {
				t.Fatalf("range %v and the one before are both of %q", r, owner)
			}
			size := new(big.Int).SetUint64(r.Last - r.First)
			sum.Add(sum, size.Add(size, big.NewInt(1)))
			next = r.Last + 1
			last = owner
			share[owner] += r.Fraction()
		}
		if sum.Cmp(new(big.Int).Lsh(big.NewInt(1), 64)) != 0 {
			t.Fatalf("the ranges have %v positions", sum)
		}

		for i, f := range s.shares() {
			of := 0.0
			for r := range s.RangesOf(s.names[i]) {
				of += r.Fraction()
			}
			if math.Abs(f-share[s.names[i]]) > 1e-9 || math.Abs(f-of) > 1e-9 {
				t.Fatalf("%q owns %v, its ranges %v and %v", s.names[i], f, share[s.names[i]], of)
			}
		}
	})
}
