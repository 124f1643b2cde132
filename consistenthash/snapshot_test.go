// SPDX-License-Identifier: MIT

package consistenthash

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// numbered returns n nodes that are named as machines are.
func numbered(n int) []Node {
	nodes := make([]Node, n)
	for i := range nodes {
		nodes[i].Name = fmt.Sprintf("10.0.0.%d:8080", i)
	}
	return nodes
}

// mustSnapshot returns a Snapshot of nodes.
func mustSnapshot(t testing.TB, opts *Options, nodes ...Node) *Snapshot {
	t.Helper()
	s, err := NewSnapshot(opts, nodes...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestBalance checks the largest load of 20 rings, which the documentation
// states.
func TestBalance(t *testing.T) {
	for n, limit := range map[int]float64{10: 1.30, 100: 1.36, 1000: 1.40} {
		if n == 1000 && (testing.Short() || raceEnabled) {
			continue
		}
		worst := 0.0
		for seed := range uint64(20) {
			worst = max(worst, mustSnapshot(t, &Options{Seed: seed}, numbered(n)...).Stats().PeakToMean)
		}
		if worst > limit {
			t.Errorf("%d nodes: the largest load is %.3f, at most %.2f", n, worst, limit)
		}
	}
}

// TestPanics checks that mistakes of a program panic.
func TestPanics(t *testing.T) {
	bad := &Options{VirtualNodes: -1}
	other := &Options{Seed: 9}
	s := mustSnapshot(t, nil, Node{Name: "a"})
	for name, f := range map[string]func(){
		"New":           func() { New(bad) },
		"NewSnapshot":   func() { _, _ = NewSnapshot(bad) },
		"NewRendezvous": func() { _, _ = NewRendezvous(bad) },
		"NewMaglev":     func() { _, _ = NewMaglev(4, nil) },
		"NewBalancer":   func() { NewBalancer(new(Ring), 1) },

		"factor 2^20+1": func() { NewBalancer(new(Ring), maxFactor+1) },
		"factor NaN":    func() { NewBalancer(new(Ring), math.NaN()) },
		"Loads":         func() { new(Balancer).Loads() },
		"Total":         func() { new(Balancer).Total() },
		"Acquire":       func() { new(Balancer).Acquire("k") },
		"Release":       func() { Lease{}.Release() },
		"Plan":          func() { s.Plan(mustSnapshot(t, other, Node{Name: "a"})) },
		"PlanN":         func() { s.PlanN(mustSnapshot(t, other, Node{Name: "a"}), 2) },
		"no replicas":   func() { s.PlanN(s, 0) },
		"prime 2^24+43": func() { _, _ = NewMaglev(1<<24+43, nil) },
		"Jump":          func() { Jump(1, 0) },
		"JumpBack":      func() { JumpBack(1, 0) },
		"released twice": func() {
			var ring Ring
			_ = ring.Add(Node{Name: "a"})
			l, _ := NewBalancer(&ring, 2).Acquire("k")
			l.Release()
			l.Release()
		},
	} {
		t.Run(name, func(t *testing.T) { mustPanic(t, "consistenthash: ", f) })
	}
}

// TestEmpty checks that no key has an owner where there are no nodes.
func TestEmpty(t *testing.T) {
	ring := New(nil)
	r, _ := NewRendezvous(nil)
	m, _ := NewMaglev(3, nil)
	for _, g := range []interface{ Get(string) (string, bool) }{ring, r, m} {
		if _, ok := g.Get("k"); ok {
			t.Errorf("%T has an owner", g)
		}
	}

	if l, ok := NewBalancer(ring, 2).Acquire("k"); ok || l.Node() != "" {
		t.Errorf("Acquire = %q, %t of an empty ring, want none", l.Node(), ok)
	}
	if got, ok := ring.GetBytes([]byte("k")); ok {
		t.Errorf("GetBytes = %q of an empty ring, want none", got)
	}
	if got := ring.Snapshot().Stats().Points; got != 0 {
		t.Errorf("Points = %d of an empty ring, want 0", got)
	}

	ring.SetSnapshot(mustSnapshot(t, &Options{Hash: coarse}, numbered(40)...))
	if got, ok := ring.GetBytes([]byte("k")); !ok {
		t.Errorf("GetBytes = %q, %t, want an owner", got, ok)
	}
	if got, want := ring.Snapshot().String(), "and 8 more"; !strings.Contains(got, want) {
		t.Errorf("String = %q, want a text with %q", got, want)
	}
	if text := (Range{1, 255}).String(); text != "[0000000000000001, 00000000000000ff]" {
		t.Error(text)
	}
}

// TestBreak checks that iterators stop when asked, and give their memory back.
func TestBreak(t *testing.T) {
	s := mustSnapshot(t, nil, numbered(5)...)
	for n := range s.All("k") {
		if owner, _ := s.Get("k"); n.Name != owner {
			t.Errorf("the first node is %q, want the owner %q", n.Name, owner)
		}
		if !s.Has(n.Name) {
			t.Errorf("Has(%q) = false, want true", n.Name)
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

	if _, err := mustSnapshot(t, nil, Node{Name: "\xff"}).MarshalJSON(); err == nil {
		t.Error("JSON holds what is not UTF-8")
	}
	if _, err := mustSnapshot(t, &Options{Hash: coarse}).MarshalJSON(); err == nil {
		t.Error("JSON holds a function")
	}
}

// TestInvariants runs the checks also without their tag, and checks that a full
// balancer has no place.
func TestInvariants(t *testing.T) {
	var ring Ring
	_ = ring.Set(numbered(5)...)
	ring.Snapshot().check()
	v := NewBalancer(&ring, 2).current()
	if c := v.find(1, 0, nil); c != nil {
		t.Errorf("find = a place on %q of a total of 0, want none", c.name)
	}
}

// TestNoShare checks that a node without a share is a member that owns nothing,
// and takes nothing from the others.
func TestNoShare(t *testing.T) {
	without := mustSnapshot(t, nil, numbered(5)...)
	s, err := without.With(Node{Name: "drained", Zone: "z", Weight: NoShare})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Len(); got != 6 || !s.Has("drained") {
		t.Errorf("Len = %d, Has = %t, want 6 members with it", got, s.Has("drained"))
	}
	if got, want := s.Fingerprint(), without.Fingerprint(); got != want {
		t.Errorf("fingerprint = %x, want %x: all keys are where they were", got, want)
	}
	for range without.Plan(s) {
		t.Error("a node without a share moves keys")
	}
	if got := s.AppendN(nil, "k", 9); len(got) != 5 {
		t.Errorf("preference list = %q, want the 5 with a share", got)
	}
	if got := s.AppendShard(nil, "k", 9); len(got) != 5 {
		t.Errorf("shard = %q, want the 5 with a share", got)
	}
	if got := s.Stats(); got.Nodes != 6 || got.Zones != 1 || got.MinToMean < 0.5 {
		t.Errorf("Stats = %+v, want 6 nodes, 1 zone, and no load of 0", got)
	}

	// Of the owner drained, exactly its keys move.
	owner, _ := without.Get("k")
	drained, err := without.With(Node{Name: owner, Weight: NoShare})
	if err != nil {
		t.Fatal(err)
	}
	for m := range without.Plan(drained) {
		if m.From != owner {
			t.Errorf("%v moves, want the keys of %q alone", m, owner)
		}
	}

	// A ring of nothing but such nodes is empty, and remembers them.
	none := mustSnapshot(t, nil, Node{Name: "a", Weight: NoShare})
	if _, ok := none.Get("k"); ok || none.Len() != 1 {
		t.Errorf("Get: ok = %t with %d members, want no owner and 1", ok, none.Len())
	}
	if got := none.String(); !strings.Contains(got, "0.0 %") {
		t.Errorf("String = %q", got)
	}
	r, err := NewRendezvous(nil, Node{Name: "a", Weight: NoShare}, Node{Name: "b"})
	if err != nil {
		t.Fatal(err)
	}
	m, err := NewMaglev(7, nil, Node{Name: "a", Weight: NoShare}, Node{Name: "b"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		key := strconv.Itoa(i)
		if got, _ := r.Get(key); got != "b" {
			t.Errorf("Rendezvous: %s is at %q, want b", key, got)
		}
		if got, _ := m.Get(key); got != "b" {
			t.Errorf("Maglev: %s is at %q, want b", key, got)
		}
	}
}

// TestMaxPoints checks the bound of the points, at it and one above.
func TestMaxPoints(t *testing.T) {
	opts := &Options{VirtualNodes: 10, MaxPoints: 30}
	if _, err := NewSnapshot(opts, numbered(3)...); err != nil {
		t.Errorf("30 points: %v, want no error", err)
	}
	if _, err := NewSnapshot(opts, numbered(4)...); !errors.Is(err, ErrTooLarge) {
		t.Errorf("40 points: %v, want %v", err, ErrTooLarge)
	}
	if _, err := NewSnapshot(opts, Node{Name: "a", Weight: 3.05}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("31 points: %v, want %v", err, ErrTooLarge)
	}
	for _, o := range []Options{{MaxPoints: -1}, {MaxPoints: mostPoints + 1}, {VirtualNodes: 11, MaxPoints: 10}, {VirtualNodes: -1}} {
		if err := o.Validate(); err == nil {
			t.Errorf("Validate(%+v) = nil, want an error", o)
		}
	}
	for _, o := range []*Options{nil, {MaxPoints: mostPoints}, {VirtualNodes: 10, MaxPoints: 10}} {
		if err := o.Validate(); err != nil {
			t.Errorf("Validate(%+v) = %v, want nil", o, err)
		}
	}
}

// TestStats checks each figure of a ring that is known by hand: servers at 10,
// 11, 12 and 90 of 100, in two zones.
func TestStats(t *testing.T) {
	s := ringAt(100, map[string]uint64{"10": 10, "11": 11, "12": 12, "90": 90})
	s.nodes[0].Zone = "z"
	s.divide()
	got := s.Stats()
	if got.Nodes != 4 || got.Points != 4 || got.Zones != 2 {
		t.Errorf("nodes, points, zones = %d, %d, %d, want 4, 4, 2", got.Nodes, got.Points, got.Zones)
	}
	if want := 5*8 + 5*4 + 12*4; got.Bytes != want {
		t.Errorf("Bytes = %d, want %d", got.Bytes, want)
	}
	for name, f := range map[string][2]float64{
		"PeakToMean": {got.PeakToMean, 4 * 0.78},
		"MinToMean":  {got.MinToMean, 4 * 0.01},
		"StdDev":     {got.StdDev, math.Sqrt((0.2*0.2 + 2*0.96*0.96 + 2.12*2.12) / 4)},
	} {
		if math.Abs(f[0]-f[1]) > 1e-9 {
			t.Errorf("%s = %v, want %v", name, f[0], f[1])
		}
	}
}

// TestStatsWeighted checks that a load is a share of the ring divided by the
// share of the weights: servers at 25 and 100 of 100, of weights 1 and 4.
func TestStatsWeighted(t *testing.T) {
	s := ringAt(100, map[string]uint64{"25": 25, "99": 99})
	s.nodes[0].Weight = 1
	s.nodes[1].Weight = 4
	got := s.Stats()
	light := 0.26 * 5 / 1
	heavy := 0.74 * 5 / 4
	for name, f := range map[string][2]float64{
		"PeakToMean": {got.PeakToMean, light},
		"MinToMean":  {got.MinToMean, heavy},
		"StdDev":     {got.StdDev, math.Sqrt(((light-1)*(light-1) + (heavy-1)*(heavy-1)) / 2)},
	} {
		if math.Abs(f[0]-f[1]) > 1e-9 {
			t.Errorf("%s = %v, want %v", name, f[0], f[1])
		}
	}
}

// TestSnapshotString checks the picture of a ring: the shares stand in a
// column, and the longest bar has 40 marks.
func TestSnapshotString(t *testing.T) {
	snap := mustSnapshot(t, nil, Node{Name: "a"}, Node{Name: "bbbb", Weight: 3})
	lines := strings.Split(snap.String(), "\n")
	if want := fmt.Sprintf("2 nodes, 600 points, fingerprint %016x", snap.Fingerprint()); lines[0] != want {
		t.Errorf("the first line is %q, want %q", lines[0], want)
	}
	if got, want := new(Snapshot).String(), "0 nodes, 0 points, "; !strings.HasPrefix(got, want) {
		t.Errorf("String = %q of the zero Snapshot, want %q to begin with", got, want)
	}
	short, long := lines[1], lines[2]
	if strings.IndexByte(short, '%') != strings.IndexByte(long, '%') {
		t.Errorf("the shares are not in a column:\n%s\n%s", short, long)
	}
	many := mustSnapshot(t, nil, numbered(40)...).String()
	if got := strings.Count(many, "\n"); got != 34 {
		t.Errorf("40 nodes take %d lines, want 34:\n%s", got, many)
	}
	if !strings.HasSuffix(many, "and 8 more\n") {
		t.Errorf("40 nodes do not end with the number of those left out:\n%s", many)
	}
	if few, most := strings.Count(short, "#"), strings.Count(long, "#"); most != 40 || few < 12 || few > 15 {
		t.Errorf("the bars have %d and %d marks, want a third of 40, and 40", few, most)
	}
}

// TestEmptyPlan checks that plans from and to nothing are made, whatever the
// options of the empty side: all keys come, or all go.
func TestEmptyPlan(t *testing.T) {
	full := mustSnapshot(t, &Options{Seed: 9}, Node{Name: "a"})
	for _, empty := range []*Snapshot{{}, mustSnapshot(t, &Options{Seed: 5})} {
		all := Range{0, math.MaxUint64}
		if got, want := slices.Collect(empty.Plan(full)), []Move{{Range: all, To: "a"}}; !slices.Equal(got, want) {
			t.Errorf("Plan from nothing = %v, want %v", got, want)
		}
		if got, want := slices.Collect(full.Plan(empty)), []Move{{Range: all, From: "a"}}; !slices.Equal(got, want) {
			t.Errorf("Plan to nothing = %v, want %v", got, want)
		}
	}
}

// TestEmptyRanges checks that a ring without nodes has no ranges.
func TestEmptyRanges(t *testing.T) {
	for _, s := range []*Snapshot{mustSnapshot(t, nil), mustSnapshot(t, nil, Node{Name: "a", Weight: NoShare})} {
		for r, owner := range s.Ranges() {
			t.Errorf("%v of %q in a ring without an owner", r, owner)
		}
		for node := range s.All("k") {
			t.Errorf("%v is preferred in a ring without an owner", node)
		}
	}
}
