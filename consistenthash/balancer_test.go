// SPDX-License-Identifier: MIT

package consistenthash

import (
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"
)

// TestBalancerConcurrent checks that no admission exceeds its bound while nodes
// come and go, and that every lease is given back.
func TestBalancerConcurrent(t *testing.T) {
	var admissions atomic.Int64
	admitted = func(load, limit int64) {
		admissions.Add(1)
		if load > limit {
			t.Errorf("load = %d, want at most %d", load, limit)
		}
	}
	defer func() { admitted = nil }()

	var ring Ring
	if err := ring.Set(numbered(5)...); err != nil {
		t.Fatal(err)
	}
	b := NewBalancer(&ring, 1.1)

	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			var held []Lease
			for i := range 2000 {
				if l, ok := b.Acquire(strconv.Itoa(i % 3)); ok {
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
		t.Errorf("total and loads add up to %d when all is released, want 0", sum)
	}
	if got := admissions.Load(); got != 4*2000 {
		t.Errorf("%d admissions were judged, want %d", got, 4*2000)
	}
}

// TestTrapBoundExact checks that the bound is the promised one, not one more
// where the share of the total is a whole number. Envoy's is: it admits at a
// load of exactly the bound.
func TestTrapBoundExact(t *testing.T) {
	for _, weights := range [][]float64{{1, 1, 2}, {1, 2, 3}, {1, 1, 1}, {3}, {0.1, 0.2, 0.7}} {
		var ring Ring
		nodes := numbered(len(weights))
		all := 0.0
		load := map[string]float64{}
		for i, w := range weights {
			nodes[i].Weight = w
			all += w
		}
		if err := ring.Set(nodes...); err != nil {
			t.Fatal(err)
		}
		b := NewBalancer(&ring, 1.25)
		for n := 1; n <= 2400; n++ {
			l, _ := b.Acquire(strconv.Itoa(n % 3))
			load[l.Node()]++

			for i, w := range weights {
				if limit := math.Ceil(math.Round(1e9*float64(n)*1.25*w/all) / 1e9); l.Node() == nodes[i].Name && load[l.Node()] > limit {
					t.Fatalf("weights %v: %v of %d admitted, at most %v", weights, load[l.Node()], n, limit)
				}
			}
		}
	}
}

// TestFactorBounds checks that the least factor above 1 and 2^20 are taken, and
// admit requests.
func TestFactorBounds(t *testing.T) {
	var ring Ring
	if err := ring.Set(numbered(3)...); err != nil {
		t.Fatal(err)
	}
	for _, factor := range []float64{math.Nextafter(1, 2), 1 << 20} {
		b := NewBalancer(&ring, factor)
		for i := range 10 {
			if _, ok := b.Acquire(strconv.Itoa(i)); !ok {
				t.Errorf("factor %v: Acquire %d = false, want true", factor, i)
			}
		}
	}
}

// TestTrapFactorNearOne checks that there is room for all, however close to 1
// the factor is: the bounds, rounded down, would add up to less than the total,
// and Acquire would look forever.
func TestTrapFactorNearOne(t *testing.T) {
	for _, n := range []int{3, 7, 11, 100} {
		var ring Ring
		if err := ring.Set(numbered(n)...); err != nil {
			t.Fatal(err)
		}
		b := NewBalancer(&ring, math.Nextafter(1, 2))
		sum := uint64(0)
		for _, bound := range b.current().bounds {
			sum += bound
		}
		if sum < 1<<32 {
			t.Fatalf("the bounds of %d nodes add up to %d, want at least 2^32", n, sum)
		}

		for range 100 * n {
			b.Acquire("k")
		}
		if got := b.Total(); got != 100*n {
			t.Errorf("Total = %d, want %d", got, 100*n)
		}
		for name, load := range b.Loads() {
			if load > 101 {
				t.Errorf("%s has %d leases, want at most 101", name, load)
			}
		}
	}
}

// TestAcquireOther checks that a second choice is another node, within its
// bound, and none if all others are full.
func TestAcquireOther(t *testing.T) {
	var ring Ring
	if err := ring.Set(numbered(3)...); err != nil {
		t.Fatal(err)
	}
	b := NewBalancer(&ring, 1.25)
	first, _ := b.Acquire("k")
	first.Release()
	second, ok := b.AcquireOther("k", first.Node())
	if !ok || second.Node() == first.Node() {
		t.Errorf("AcquireOther = %q, %t, want a node other than %q", second.Node(), ok, first.Node())
	}
	third, ok := b.AcquireOther("k", first.Node(), second.Node())
	if !ok || third.Node() == first.Node() || third.Node() == second.Node() {
		t.Errorf("AcquireOther = %q, %t, want the third node", third.Node(), ok)
	}
	if l, ok := b.AcquireOther("k", first.Node(), second.Node(), third.Node()); ok {
		t.Errorf("AcquireOther = %q, want none of no nodes", l.Node())
	}

	// The law holds for second choices, too: of 2 leases with one more no node
	// may have more than ceil(3·1.25/3) = 2.
	for b.Total() < 3 {
		l, ok := b.AcquireOther("k", first.Node(), second.Node())
		if !ok {
			break
		}
		if l.Node() != third.Node() {
			t.Errorf("AcquireOther = %q, want %q", l.Node(), third.Node())
		}
	}
	if l, ok := b.AcquireOther("k", first.Node(), second.Node()); ok {
		t.Errorf("%q has a third of 4 leases, the bound is 2", l.Node())
	}
	if got := b.Total(); got != 3 {
		t.Errorf("Total = %d after a refusal, want 3", got)
	}
	if _, ok := NewBalancer(new(Ring), 2).AcquireOther("k"); ok {
		t.Error("AcquireOther of an empty ring = true, want false")
	}
}

// TestAcquireLast checks that the only node with room is found among many,
// where the jumps miss it, and counted as another than the owner.
func TestAcquireLast(t *testing.T) {
	var ring Ring
	nodes := numbered(500)
	if err := ring.Set(nodes...); err != nil {
		t.Fatal(err)
	}
	var others []string
	for _, n := range nodes[1:] {
		others = append(others, n.Name)
	}

	b := NewBalancer(&ring, 1.25)
	away := uint64(0)
	for i := range 20 {
		key := strconv.Itoa(i)
		l, ok := b.AcquireOther(key, others...)
		if !ok || l.Node() != nodes[0].Name {
			t.Fatalf("AcquireOther = %q, %t, want %q", l.Node(), ok, nodes[0].Name)
		}
		l.Release()
		if owner, _ := ring.Get(key); owner != nodes[0].Name {
			away++
		}
	}
	if got := b.Stats().Away; got != away {
		t.Errorf("Away = %d, want %d", got, away)
	}
}

// TestTrapAwayOwner checks that an owner which was full and has room when it is
// looked at again counts as the owner: a ring of one node has no other.
func TestTrapAwayOwner(t *testing.T) {
	var ring Ring
	if err := ring.Set(numbered(1)...); err != nil {
		t.Fatal(err)
	}
	b := NewBalancer(&ring, math.Nextafter(1, 2))
	v := b.current()
	c := v.counters[0]
	slow := make([]string, 100_000) // a look compares all of these names

	// The node has the one lease that a total of 1 permits, and gives it back
	// after some looks.
	for i := range 100 {
		c.load.Store(1)
		started := make(chan bool)
		found := make(chan *counter)
		go func() { // ends when find does
			close(started)
			found <- v.find(0, 1, slow)
		}()
		<-started
		for range 50 * i {
			runtime.Gosched()
		}
		c.load.Store(0)
		<-found
	}
	if got := c.away.Load(); got != 0 {
		t.Errorf("away = %d of one node, want 0", got)
	}
}

// TestTrapLoadsOfTheGone checks that names of nodes that left are forgotten
// when their last lease is released, also if no load is read.
func TestTrapLoadsOfTheGone(t *testing.T) {
	var ring Ring
	b := NewBalancer(&ring, 2)
	var leases []Lease
	for i := range 1000 {
		if err := ring.Set(Node{Name: strconv.Itoa(i)}); err != nil {
			t.Fatal(err)
		}
		l, _ := b.Acquire("k")
		leases = append(leases, l)
	}
	_ = ring.Set(Node{Name: "last"})
	b.current()
	for _, l := range leases {
		l.Release()
	}
	if got := len(b.counters); got != 1 {
		t.Errorf("%d names are kept, want 1", got)
	}
}

// TestNoShareBalancer checks that a node without a share gets no request, also
// where the bounds have to be rounded up.
func TestNoShareBalancer(t *testing.T) {
	var ring Ring
	nodes := append(numbered(6), Node{Name: "drained", Weight: NoShare})
	if err := ring.Set(nodes...); err != nil {
		t.Fatal(err)
	}
	b := NewBalancer(&ring, math.Nextafter(1, 2))
	for range 300 {
		if l, ok := b.Acquire("k"); !ok || l.Node() == "drained" {
			t.Fatalf("Acquire = %q, %t, want a node that is not drained", l.Node(), ok)
		}
	}
	for i, bound := range b.current().bounds {
		if drained := b.current().snap.names[i] == "drained"; drained != (bound == 0) {
			t.Errorf("bound of %q = %d", b.current().snap.names[i], bound)
		}
	}
	_ = ring.Set(Node{Name: "drained", Weight: NoShare})
	if l, ok := b.Acquire("k"); ok {
		t.Errorf("Acquire = %q of a ring without a share", l.Node())
	}
}

// TestTrapLeaveWithLoad checks that a node that leaves keeps its leases, finds
// them when it comes back, and that releasing them lowers the total; in
// lafikl/consistent the total stays forever.
func TestTrapLeaveWithLoad(t *testing.T) {
	var ring Ring
	_ = ring.Set(Node{Name: "a"})
	b := NewBalancer(&ring, 2)
	l, _ := b.Acquire("k")

	ring.Remove("a")
	for range b.Loads() {
		break
	}
	_ = ring.Add(Node{Name: "a"})
	for name, load := range b.Loads() {
		if name != "a" || load != 1 {
			t.Errorf("Loads has %q with %d, want a with 1", name, load)
		}
		if got := l.Node(); got != "a" {
			t.Errorf("Node = %q, want a", got)
		}
	}

	ring.Remove("a")
	l.Release()
	if b.Total() != 0 {
		t.Errorf("the total is %d when all is released, want 0", b.Total())
	}
	for name := range b.Loads() {
		t.Errorf("%q is kept, want no name without a lease", name)
	}
}

// TestPropCeiling checks the bound of a load against integers of any size, up
// to where it no longer matters.
func TestPropCeiling(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.Int64Min(1).Draw(t, "total") >> rapid.IntRange(0, 62).Draw(t, "shift")
		bound := rapid.Uint64Range(1, maxFactor<<32).Draw(t, "bound")
		x := new(big.Int).Mul(big.NewInt(total), new(big.Int).SetUint64(bound))
		x.Add(x, big.NewInt(1<<32-1)).Rsh(x, 32)
		want := int64(math.MaxInt64)
		if x.IsInt64() {
			want = x.Int64()
		}
		if got := ceiling(total, bound); got != want {
			t.Errorf("ceiling(%d, %#x) = %d, want %d", total, bound, got, want)
		}
	})
}

// TestTrapComeBackWithLoad checks that a node that came back with a lease is a
// member like any other when the lease ends.
func TestTrapComeBackWithLoad(t *testing.T) {
	var ring Ring
	_ = ring.Set(Node{Name: "a"})
	b := NewBalancer(&ring, 2)
	old, _ := b.Acquire("k")
	ring.Remove("a")
	b.Acquire("k") // the balancer learns that a has left
	_ = ring.Add(Node{Name: "a"})

	l, ok := b.Acquire("k")
	if !ok {
		t.Fatal("Acquire = false after the only node came back, want true")
	}
	old.Release()
	l.Release()
	if l, ok := b.AcquireOther("k", "b"); !ok || l.Node() != "a" {
		t.Errorf("AcquireOther = %q, %t when all leases of a have ended, want a", l.Node(), ok)
	}
}

// TestModelBalancer compares each admission with a model that counts in a map,
// looks for the owner in a sorted list and has exact fractions.
func TestModelBalancer(t *testing.T) { rapid.Check(t, modelBalancer) }

func modelBalancer(t *rapid.T) {
	var ring Ring
	factor := rapid.SampledFrom([]float64{1.03125, 1.25, 1.5, 3}).Draw(t, "factor")
	b := NewBalancer(&ring, factor)
	type held struct {
		lease Lease
		name  string
	}
	var leases []held
	load := map[string]int{}

	t.Repeat(map[string]func(*rapid.T){
		"acquire": func(t *rapid.T) {
			key := rapid.StringMatching("[a-c]").Draw(t, "key")
			s := ring.Snapshot()
			want := slowAcquire(s, load, len(leases)+1, factor, s.Hash(key))
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
					Weight: rapid.SampledFrom([]float64{1, 2, 0.25, NoShare}).Draw(t, "weight"),
				}
			}), 0, 5, func(n Node) string { return n.Name }).Draw(t, "nodes")
			if err := ring.Set(nodes...); err != nil {
				t.Fatal(err)
			}
		},
		"": func(t *rapid.T) {
			if got := b.Total(); got != len(leases) {
				t.Fatalf("Total = %d, want %d", got, len(leases))
			}
			for name, got := range b.Loads() {
				if got != load[name] {
					t.Fatalf("%q has %d leases, want %d", name, got, load[name])
				}
			}
		},
	})
}

// slowAcquire returns the node that gets a request at h, the total-th: the
// owner of the first of a sequence of positions that may have one more, or else
// the next by name.
func slowAcquire(s *Snapshot, load map[string]int, total int, factor float64, h uint64) string {
	nodes := s.Nodes()
	weights := new(big.Rat)
	for _, n := range nodes {
		if n.Weight != NoShare {
			weights.Add(weights, new(big.Rat).SetFloat64(n.Weight))
		}
	}
	if weights.Sign() == 0 {
		return ""
	}

	room := func(n Node) bool {
		if n.Weight == NoShare {
			return false
		}
		bound := new(big.Rat).SetFloat64(factor)
		bound.Mul(bound, new(big.Rat).SetFloat64(n.Weight)).Quo(bound, weights).Mul(bound, new(big.Rat).SetInt64(int64(total)))
		return new(big.Rat).SetInt64(int64(load[n.Name])).Cmp(bound) < 0 // load+1 <= ceil(bound)
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
