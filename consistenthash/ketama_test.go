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

// memcachedServers are those of the tests of libmemcached (BSD license),
// tests/ketama.h.
func memcachedServers() []Node {
	var servers []Node
	for i, weight := range []float64{600, 300, 200, 350, 1000, 800, 950, 100} {
		servers = append(servers, Node{Name: fmt.Sprintf("10.0.1.%d:11211", i+1), Weight: weight})
	}
	return servers
}

// TestKetama pins vectors of libmemcached; internal/peers asks the library
// itself.
func TestKetama(t *testing.T) {
	s, err := NewKetama(memcachedServers()...)
	if err != nil {
		t.Fatal(err)
	}

	last := len(s.points) - 2
	if got := last + 1; got != 1264 {
		t.Errorf("the ring has %d points, want 1264", got)
	}
	if first, last := s.points[0]>>32, s.points[last]>>32; first != 0x0020c90c || last != 0xfffbdf7f {
		t.Errorf("the points go from %x to %x, want 20c90c to fffbdf7f", first, last)
	}

	for _, tt := range []struct {
		key    string
		hash   uint64
		server int
	}{
		{"SVa_]_V41)", 443691461, 7},
		{`*/Z;?V(.\8`, 1422915503, 1},
		{"30C1*Z*S/_", 0, 2},
		{"ERR:EC58G>", 0, 7},
		{"VDEAAAAA", 0xfffcd1b5, 0}, // behind the last point: that of the first
	} {
		want := fmt.Sprintf("10.0.1.%d:11211", tt.server)
		if tt.server == 0 {
			want = s.names[s.owners[0]]
		}
		if got, _ := s.Get(tt.key); got != want {
			t.Errorf("Get(%q) = %s, want %s", tt.key, got, want)
		}
		if got := s.Hash(tt.key) >> 32; tt.hash != 0 && got != tt.hash {
			t.Errorf("Hash(%q) = %d, want %d", tt.key, got, tt.hash)
		}
		if got, _ := s.GetBytes([]byte(tt.key)); got != want {
			t.Errorf("as bytes %q belongs to %s", tt.key, got)
		}
	}

	if got := s.AppendN(nil, "VDEAAAAA", 9); len(got) != 8 {
		t.Errorf("AppendN = %q, want all 8 servers", got)
	}
	if got, _ := s.Get("VDEAAAAA"); got == "" {
		t.Error("Get = false for the key beyond the last point, want true")
	}
}

// TestTrapKetamaWeights checks that weights are relative: the weight of one
// server moves the points of others, and a light server may have no point
// (torus#246, memcached#873). Then it is not asked, but comes back.
func TestTrapKetamaWeights(t *testing.T) {
	light := Node{Name: "light", Weight: 1}
	s, err := NewKetama(Node{Name: "a", Weight: 1000}, Node{Name: "b", Weight: 1000}, light)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Len(); got != 2 {
		t.Errorf("Len = %d with a server without a point, want 2", got)
	}
	if s.Has("light") {
		t.Error("Has = true of a server without a point, want false")
	}
	for _, got := range [][]string{s.AppendN(nil, "k", 3), s.AppendShard(nil, "k", 3)} {
		if len(got) != 2 {
			t.Errorf("a list of 3 is %q, want the two servers with points", got)
		}
	}

	want, err := NewKetama(light)
	if err != nil {
		t.Fatal(err)
	}
	alone := s.Without("a", "b")
	if got := alone.counts; len(got) != 1 || got[0] != 160 {
		t.Errorf("alone it has %v points, want 160", got)
	}
	if got, want := alone.Fingerprint(), want.Fingerprint(); got != want {
		t.Errorf("alone its Fingerprint = %x, want %x", got, want)
	}

	ring := New(nil)
	ring.SetSnapshot(s)
	if n := ring.Remove("a"); n != 1 {
		t.Errorf("Remove = %d, want 1", n)
	}
	if err := ring.Add(Node{Name: "light", Weight: 1000}); err != nil {
		t.Error(err)
	}
	if got := ring.Snapshot().Len(); got != 2 {
		t.Errorf("Len = %d with the server heavier, want 2", got)
	}
	if got := ring.Remove("light", "b"); got != 2 {
		t.Errorf("Remove = %d, want 2", got)
	}
	if got := ring.Snapshot().Len(); got != 0 {
		t.Errorf("Len = %d after all are removed, want 0", got)
	}
	if err := ring.Set(memcachedServers()...); err != nil {
		t.Error(err)
	}
	if got := len(ring.Snapshot().points); got != 1265 {
		t.Errorf("the ring has %d points after it was empty, want 1264 and the sentinel", got)
	}
}

// TestKetamaDrained checks that a server without a share takes no part, also in
// the shares of the others, and that the largest weight is that of 32 bits.
func TestKetamaDrained(t *testing.T) {
	servers := memcachedServers()
	without, err := NewKetama(servers...)
	if err != nil {
		t.Fatal(err)
	}
	with, err := NewKetama(append(servers, Node{Name: "10.9.9.9", Weight: NoShare})...)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(with.points, without.points) {
		t.Errorf("%d points with a drained server, want the %d without it", len(with.points), len(without.points))
	}

	if _, err := NewKetama(Node{Name: "a", Weight: math.MaxUint32}); err != nil {
		t.Errorf("a weight of 2^32-1: %v, want no error", err)
	}
	if _, err := NewKetama(Node{Name: "a", Weight: 1 << 32}); !errors.Is(err, ErrWeight) {
		t.Errorf("a weight of 2^32: %v, want %v", err, ErrWeight)
	}
}

// TestKetamaPlan checks that the plan of a change is the change, as for other
// rings.
func TestKetamaPlan(t *testing.T) {
	servers := memcachedServers()
	from, err1 := NewKetama(servers...)
	to, err2 := NewKetama(servers[1:]...)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}

	if got := from.Without(servers[0].Name); got.Fingerprint() != to.Fingerprint() {
		t.Error("Without is not a new ring of the rest")
	}

	at := map[uint64]string{}

	for _, h := range positions(from, to) {
		at[h] = ownerName(from, h)
	}

	for m := range from.Plan(to) {
		for h := range at {
			if m.Contains(h) {
				at[h] = m.To
			}
		}
	}

	for h, name := range at {
		if want := ownerName(to, h); name != want {
			t.Fatalf("after the plan %#x is at %q, want %q", h, name, want)
		}
	}
}

// TestKetamaAddress checks addresses as libmemcached writes them before the
// number of a point (libhashkit keeps the host without brackets, leaves out
// port 11211, and gives a Unix socket port 0).
func TestKetamaAddress(t *testing.T) {
	for name, want := range map[string]string{
		"10.0.1.1:11211":          "10.0.1.1",
		"10.0.1.1":                "10.0.1.1",
		"10.0.1.1:11212":          "10.0.1.1:11212",
		"cache.example:65535":     "cache.example:65535",
		"[fe80::1]:11212":         "fe80::1:11212",
		"[fe80::1]:11211":         "fe80::1",
		"10.0.1.1:1":              "10.0.1.1:1",
		"[fe80::1]":               "fe80::1",
		"/var/run/memcached.sock": "/var/run/memcached.sock:0",
	} {
		if got, err := ketamaAddress(name); err != nil || got != want {
			t.Errorf("ketamaAddress(%q) = %q, %v, want %q", name, got, err, want)
		}
	}
}

// TestKetamaErrors checks servers that cannot be placed, and forms that a ring
// of theirs does not have.
func TestKetamaErrors(t *testing.T) {
	for _, tt := range []struct {
		want    error
		servers []Node
	}{
		{ErrName, []Node{{Name: ""}}},
		{ErrName, []Node{{Name: "a"}, {Name: "a"}}},
		{ErrName, []Node{{Name: "a"}, {Name: "a:11211"}}},
		{ErrWeight, []Node{{Name: "a", Weight: 1.5}}},
		{ErrWeight, []Node{{Name: "a", Weight: -2}}},
		{ErrName, []Node{{Name: "fe80::11211"}}},
		{ErrName, []Node{{Name: "[fe80::1"}}},
		{ErrName, []Node{{Name: "[fe80::1]11212"}}},
		{ErrName, []Node{{Name: "[fe80::1]x"}}},
		{ErrName, []Node{{Name: "[]:1"}}},
		{ErrName, []Node{{Name: "a:"}}},
		{ErrName, []Node{{Name: "a:0"}}},
		{ErrName, []Node{{Name: "a:080"}}},
		{ErrName, []Node{{Name: "a:65536"}}},
		{ErrName, []Node{{Name: "a:http"}}},
		{ErrName, []Node{{Name: ":11211"}}},
		{ErrName, []Node{{Name: "[::1]"}, {Name: "[::1]:11211"}}},
		{ErrWeight, []Node{{Name: "a", Weight: math.NaN()}}},
		{ErrWeight, []Node{{Name: "a", Weight: 1 << 32}}},
	} {
		if _, err := NewKetama(tt.servers...); !errors.Is(err, tt.want) {
			t.Errorf("NewKetama(%v): %v, want %v", tt.servers, err, tt.want)
		}
	}

	// The bound of the points is met by two servers, which have 160 each.
	for most, want := range map[int]error{320: nil, 319: ErrTooLarge} {
		ring := &Snapshot{opts: Options{Hash: ketamaHash, MaxPoints: most}, ketama: true}
		if _, err := ring.build(numbered(2)); !errors.Is(err, want) {
			t.Errorf("320 points, at most %d: %v, want %v", most, err, want)
		}
	}

	many := make([]Node, 1<<13)
	for i := range many {
		many[i].Name = strconv.Itoa(i)
	}
	if _, err := NewKetama(many...); !errors.Is(err, ErrTooLarge) {
		t.Errorf("%d servers: %v, want ErrTooLarge", len(many), err)
	}

	s, err := NewKetama()
	if _, ok := s.Get("k"); err != nil || ok {
		t.Errorf("Get of an empty ring: %t, %v, want false, nil", ok, err)
	}
	if _, err := s.MarshalBinary(); err == nil {
		t.Error("a ring of memcached servers is marshaled, want an error")
	}
	if _, err := s.MarshalJSON(); err == nil {
		t.Error("a ring of memcached servers is marshaled, want an error")
	}
}
