// SPDX-License-Identifier: MIT

package consistenthash

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cespare/xxhash/v2"
)

// TestTrapBadCounts checks that duplicates, unknown names and any n end; peers
// hang (stathat/consistent).
func TestTrapBadCounts(t *testing.T) {
	var ring Ring
	for range 2 {
		if err := ring.Add(numbered(2)...); err != nil {
			t.Fatal(err)
		}
	}
	before := ring.Snapshot()
	if n := ring.Remove("unknown"); n != 0 {
		t.Errorf("Remove = %d, want 0", n)
	}
	if ring.Snapshot() != before {
		t.Error("removing no member made another snapshot")
	}
	for n, want := range map[int]int{-1: 0, 0: 0, 1: 1, 2: 2, 3: 2, math.MaxInt: 2} {
		if got, shard := len(ring.AppendN(nil, "k", n)), len(ring.AppendShard(nil, "k", n)); got != want || shard != want {
			t.Errorf("n = %d gives %d and %d nodes, want %d", n, got, shard, want)
		}
	}
}

// TestTrapInput checks that bad input is an error and changes nothing.
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
		{ErrWeight, []Node{{Name: "b", Weight: -2}}},
		{ErrWeight, []Node{{Name: "b", Weight: math.Inf(-1)}}},
		{ErrWeight, []Node{{Name: "b", Weight: math.NaN()}}},
		{ErrWeight, []Node{{Name: "b", Weight: math.Inf(1)}}},
		{ErrTooLarge, []Node{{Name: "b", Weight: 1e300}}},
		{ErrTooLarge, []Node{{Name: "b", Weight: 4000}, {Name: "c", Weight: 4000}}},
	} {
		if err := ring.Add(c.nodes...); !errors.Is(err, c.want) {
			t.Errorf("Add: %v, want %v", err, c.want)
		}
		if err := ring.Set(c.nodes...); !errors.Is(err, c.want) {
			t.Errorf("Set = %v, want %v", err, c.want)
		}
		if ring.Snapshot() != before {
			t.Errorf("Set of %v changed the ring", c.nodes)
		}
	}
}

// TestTrapConcatenation checks that point 5 of "h:55" is not point 55 of "h:5"
// (buraksezer/consistent#17).
func TestTrapConcatenation(t *testing.T) {
	s := mustSnapshot(t, nil, Node{Name: "h:5"}, Node{Name: "h:55"})
	if n := len(slices.Compact(slices.Clone(s.points))); n != 301 {
		t.Errorf("%d distinct points, want 301", n)
	}
}

// TestTrapWeights checks that the weight of one node moves no point of another,
// and that a tiny one keeps a point.
func TestTrapWeights(t *testing.T) {
	a := mustSnapshot(t, nil, Node{Name: "a"}, Node{Name: "b", Weight: 1e-9})
	b := mustSnapshot(t, nil, Node{Name: "a", Weight: 100}, Node{Name: "b", Weight: 1e-9})
	if got := a.counts[1]; got != 1 {
		t.Errorf("the light node has %d points, want 1", got)
	}
	if heavy, light := b.counts[0], b.counts[1]; heavy != 15000 || light != 1 {
		t.Errorf("the nodes have %d and %d points, want 15000 and 1", heavy, light)
	}
}

// TestTrapBackups checks that the second node of a key varies; in
// buraksezer/consistent it is one for all.
func TestTrapBackups(t *testing.T) {
	s := mustSnapshot(t, nil, numbered(20)...)
	second := map[string]bool{}
	for i := range 20000 {
		if list := s.AppendN(nil, fmt.Sprint(i), 2); list[0] == s.names[0] {
			second[list[1]] = true
		}
	}
	if len(second) < 15 {
		t.Errorf("one node has %d backups, want at least 15", len(second))
	}
}

// TestTrapOneNode checks that one node does as well as several;
// dgryski/go-rendezvous panics in every Remove.
func TestTrapOneNode(t *testing.T) {
	s := mustSnapshot(t, nil, Node{Name: "a"})
	r, err1 := NewRendezvous(nil, Node{Name: "a"})
	m, err2 := NewMaglev(2, nil, Node{Name: "a"})
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}

	for _, g := range []interface{ Get(string) (string, bool) }{s, r, m} {
		if name, ok := g.Get("k"); name != "a" || !ok {
			t.Errorf("%T: Get = %q, %t, want a, true", g, name, ok)
		}
	}

	for range s.Plan(s) {
		t.Error("a plan to move nothing moves something")
	}
	moves := slices.Collect(s.Plan(s.Without("a")))
	if len(moves) != 1 {
		t.Fatalf("when the last node leaves, the moves are %v, want one", moves)
	}
	if got := moves[0]; got.Fraction() != 1 || got.To != "" {
		t.Errorf("when the last node leaves, %v moves to %q, want all to none", got.Fraction(), got.To)
	}

	for _, got := range [][]string{s.AppendN(nil, "k", 3), s.AppendShard(nil, "k", 3), r.AppendN(nil, "k", 3)} {
		if len(got) != 1 {
			t.Errorf("a list of one node is %q", got)
		}
	}
}

// TestTrapCollisions checks that where points collide, their owner depends on
// the names and not on the order of joining, and that a node that leaves takes
// only its own points along; with a map from point to node it is otherwise
// (stathat/consistent#5, lafikl/consistent#10, go-zero#5595).
func TestTrapCollisions(t *testing.T) {
	same := &Options{Hash: func(string) uint64 { return 1 << 60 }, VirtualNodes: 3}
	ab, ba := New(same), New(same)
	for _, err := range []error{ab.Add(Node{Name: "a"}), ab.Add(Node{Name: "b"}), ba.Add(Node{Name: "b"}), ba.Add(Node{Name: "a"})} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if ab.Snapshot().Fingerprint() != ba.Snapshot().Fingerprint() {
		t.Error("the order of joins matters")
	}
	if name, _ := ab.Get("k"); name != "a" {
		t.Errorf("%q owns the points of both", name)
	}
	if list := ab.AppendN(nil, "k", 2); !slices.Equal(list, []string{"a", "b"}) {
		t.Errorf("the list is %q", list)
	}
	ab.Remove("a")
	if got, _ := ab.Get("k"); got != "b" {
		t.Errorf("Get = %q without a, want b", got)
	}
	if got := ab.Snapshot().Stats().Points; got != 3 {
		t.Errorf("Points = %d without a, want 3", got)
	}
}

// TestTrapTopOfRing checks a point at the end of the ring, where the sentinel
// is: a ring to which its node came first, last, or before or after one that
// collides with it is the ring of all nodes at once.
func TestTrapTopOfRing(t *testing.T) {
	// The base of "b" and of "c" is what mix takes to the highest hash.
	const top = 0xCF9A04AFFA6BADC0
	hash := func(s string) uint64 {
		if s == "b" || s == "c" {
			return top
		}
		return xxhash.Sum64String(s)
	}
	if got := mix(top); got != math.MaxUint64 {
		t.Fatalf("mix = %x, want the highest hash", got)
	}

	opts := &Options{Hash: hash, VirtualNodes: 3}
	want := mustSnapshot(t, opts, Node{Name: "a"}, Node{Name: "b"}, Node{Name: "c"}, Node{Name: "d"})
	for _, order := range []string{"abcd", "bcda", "cbda", "dacb", "adcb"} {
		ring := New(opts)
		for name := range strings.SplitSeq(order, "") {
			if err := ring.Add(Node{Name: name}); err != nil {
				t.Fatal(err)
			}
		}
		got := ring.Snapshot()
		if !slices.Equal(got.points, want.points) || !slices.Equal(got.owners, want.owners) {
			t.Errorf("joined as %s: points %x of %v, want %x of %v", order, got.points, got.owners, want.points, want.owners)
		}
		if name, _ := got.name(got.Owner(math.MaxUint64)); name != "b" {
			t.Errorf("joined as %s: %q owns the end of the ring, want b", order, name)
		}
	}
}

// TestTrapSimilarNames checks that names as machines have them are as even as
// any. With CRC-32, 100 of them have a peak of 1.64 in golang/groupcache.
func TestTrapSimilarNames(t *testing.T) {
	if peak := mustSnapshot(t, nil, numbered(100)...).Stats().PeakToMean; peak > 1.36 {
		t.Errorf("the largest load is %.2f, want at most 1.36", peak)
	}
}

// TestTrapFewPoints checks that the default is many points; that of
// serialx/hashring is one, of peak 3.83.
func TestTrapFewPoints(t *testing.T) {
	var ring Ring
	if err := ring.Set(numbered(10)...); err != nil {
		t.Error(err)
	}
	if got := ring.Snapshot().Stats().Points; got != 1500 {
		t.Errorf("Points = %d, want 1500", got)
	}
}

// TestTrapTranscendental checks that the placement uses no function of math
// that differs between machines: logarithms are in assembly on some, and
// products and sums are fused on others. Only roundings of one multiplication,
// and Stats, use floating point.
func TestTrapTranscendental(t *testing.T) {
	allowed := []string{"math.Ceil", "math.Floor", "math.Inf", "math.IsInf", "math.IsNaN", "math.MaxInt64", "math.MaxInt32", "math.MaxUint32", "math.MaxUint64", "math.MinInt64", "math.Round", "math.Trunc", "math.Float64bits", "math.Float64frombits", "math.Sqrt", "math.SmallestNonzeroFloat64"}
	use := regexp.MustCompile(`\bmath\.[A-Z]\w*`)
	for _, name := range sources(t) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range use.FindAllString(string(text), -1) {
			if !slices.Contains(allowed, f) || (f == "math.Sqrt" || f == "math.SmallestNonzeroFloat64") && name != "stats.go" {
				t.Errorf("%s uses %s", name, f)
			}
		}
	}
	// The logarithm of ours, by hand: it is exact at powers of two.
	for k := range 64 {
		if got := log2(1 << k); got != uint64(k)<<32 {
			t.Errorf("log2(2^%d) = %#x, want %#x", k, got, uint64(k)<<32)
		}
	}
}

// sources returns the names of the files that are not tests.
func sources(t *testing.T) (names []string) {
	t.Helper()
	all, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range all {
		if !strings.HasSuffix(name, "_test.go") {
			names = append(names, name)
		}
	}
	return names
}

// TestTrapSignedHash checks that a hash with its high bit set is large, not
// negative; groupcache and ringpop keep hashes in an int, and some take a
// remainder of it.
func TestTrapSignedHash(t *testing.T) {
	s := ringAt(256, map[string]uint64{"low": 100, "high": 200})
	for h, want := range map[uint64]string{0: "low", 100: "low", 101: "high", 128: "high", 200: "high", 201: "low", 255: "low"} {
		if got := ownerName(s, h<<56); got != want {
			t.Errorf("%d belongs to %q, want %q", h, got, want)
		}
	}
	for _, key := range []uint64{1 << 31, 1 << 32, 1 << 63, math.MaxUint64} {
		if got := Jump(key, 10); got < 0 || got > 9 {
			t.Errorf("Jump(%#x, 10) = %d, want 0 to 9", key, got)
		}
		if got := JumpBack(key, 10); got < 0 || got > 9 {
			t.Errorf("JumpBack(%#x, 10) = %d, want 0 to 9", key, got)
		}
	}
}

// TestTrapConcurrentGet checks that reads share nothing that they write; a ring
// with one hash.Hash in it gives wrong answers
// (lithammer/go-jump-consistent-hash#9).
func TestTrapConcurrentGet(t *testing.T) {
	ketama, err := NewKetama(memcachedServers()...)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Snapshot{mustSnapshot(t, nil, numbered(9)...), ketama} {
		want := make([]string, 1000)
		for i := range want {
			want[i] = strings.Join(s.AppendN(nil, fmt.Sprint(i), 3), " ")
		}

		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for i := range want {
					key := fmt.Sprint(i)
					owner, _ := s.Get(key)
					if got := strings.Join(s.AppendN(nil, key, 3), " "); got != want[i] {
						t.Errorf("AppendN(%s) = %q, want %q", key, got, want[i])
					}
					if !strings.HasPrefix(want[i], owner) {
						t.Errorf("Get(%s) = %q, want the first of %q", key, owner, want[i])
					}
				}
			})
		}
		wg.Wait()
	}
}

// TestTrapMD5 checks that only ketama.go imports MD5, so that a copy of the
// package for FIPS 140 can do without that file.
func TestTrapMD5(t *testing.T) {
	for _, name := range sources(t) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if has := strings.Contains(string(text), `"crypto/md5"`); has != (name == "ketama.go") {
			t.Errorf("%s imports crypto/md5: %t", name, has)
		}
	}
}

// TestTrapReplicas checks that copies are on distinct nodes, and that a node
// that joins only pushes itself into lists, which keep their order; by the
// order of a list of nodes, growth shuffles them (thanos#5427, thanos#5604).
func TestTrapReplicas(t *testing.T) {
	s := mustSnapshot(t, nil, numbered(10)...)
	more, err := s.With(Node{Name: "new"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2000 {
		key := fmt.Sprint(i)
		list, after := s.AppendN(nil, key, 10), more.AppendN(nil, key, 11)
		after = slices.DeleteFunc(after, func(name string) bool { return name == "new" })
		if !slices.Equal(list, after) {
			t.Fatalf("%s: %q became %q", key, list, after)
		}
		if slices.Sort(list); len(slices.Compact(list)) != 10 {
			t.Fatalf("%s has a node twice in %q", key, list)
		}
	}
}

// TestTrapHistory checks that nodes that start together place alike without
// talking, and that a later one need not know in which order they came; the
// tokens of Cassandra depend on it (k8ssandra#732).
func TestTrapHistory(t *testing.T) {
	want := mustSnapshot(t, nil, numbered(6)...).Fingerprint()
	var ring Ring
	var wg sync.WaitGroup
	for _, n := range numbered(6) {
		wg.Go(func() {
			for range 3 {
				_ = ring.Add(n)
				ring.Remove(n.Name)
				_ = ring.Add(n)
			}
		})
	}
	wg.Wait()
	if got := ring.Snapshot().Fingerprint(); got != want {
		t.Errorf("fingerprint %x, want %x", got, want)
	}
}

// TestTrapEntropy checks that Jump and JumpBack are even for any keys that are
// hashed; counters as they are, are not spread by JumpBack, and by Jump only by
// luck (guava#3539).
func TestTrapEntropy(t *testing.T) {
	const keys, buckets = 100_000, 10
	for name, jump := range map[string]func(uint64, int) int{"Jump": Jump, "JumpBack": JumpBack} {
		var count [buckets]float64
		for i := range uint64(keys) {
			count[jump(mix(i+1), buckets)]++
		}
		// Chi-square with 9 degrees of freedom is above 39.3 with a probability
		// of 10^-5.
		chi := 0.0
		for _, n := range count {
			chi += (n - keys/buckets) * (n - keys/buckets) / (keys / buckets)
		}
		if chi > 39.3 {
			t.Errorf("%s of hashed counters: chi-square %.1f, want at most 39.3", name, chi)
		}
	}
}

// TestTrapFraction checks the part of the ring that the smallest and the
// largest range cover.
func TestTrapFraction(t *testing.T) {
	for _, tt := range []struct {
		r    Range
		want float64
	}{
		{Range{5, 5}, 1.0 / (1 << 64)},
		{Range{0, 1}, 2.0 / (1 << 64)},
		{Range{0, math.MaxUint64}, 1},
	} {
		if got := tt.r.Fraction(); got != tt.want {
			t.Errorf("Fraction of %v = %g, want %g", tt.r, got, tt.want)
		}
	}
}
