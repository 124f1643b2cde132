// SPDX-License-Identifier: MIT

package consistenthash_test

import (
	"errors"
	"fmt"
	"slices"

	"github.com/ashlar-go/ashlar/consistenthash"
)

func Example() {
	var ring consistenthash.Ring
	if err := ring.Set(consistenthash.Node{Name: "a"}, consistenthash.Node{Name: "b"}); err != nil {
		fmt.Println(err)
	}
	node, ok := ring.Get("user:42")
	fmt.Println(node, ok)
	// Output:
	// a true
}

// What moves when a node joins: a quarter, and all to it.
func ExampleSnapshot_Plan() {
	var ring consistenthash.Ring
	_ = ring.Set(consistenthash.Node{Name: "a"}, consistenthash.Node{Name: "b"}, consistenthash.Node{Name: "c"})
	old := ring.Snapshot()
	_ = ring.Add(consistenthash.Node{Name: "d"})
	moved, elsewhere := 0.0, 0
	for m := range old.Plan(ring.Snapshot()) {
		moved += m.Fraction()
		if m.To != "d" {
			elsewhere++
		}
	}
	fmt.Printf("%.0f %% move, %d ranges elsewhere\n", 100*moved, elsewhere)
	// Output:
	// 25 % move, 0 ranges elsewhere
}

// Copies go to distinct zones while there are any.
func ExampleRing_AppendN() {
	ring := consistenthash.New(&consistenthash.Options{VirtualNodes: 200})
	_ = ring.Set(
		consistenthash.Node{Name: "a1", Zone: "a"}, consistenthash.Node{Name: "a2", Zone: "a"},
		consistenthash.Node{Name: "b1", Zone: "b"}, consistenthash.Node{Name: "b2", Zone: "b"},
	)
	list := ring.AppendN(nil, "user:42", 2)
	fmt.Println(len(list), list[0][0] != list[1][0])
	// Output:
	// 2 true
}

// Clients of memcached in Go, C and PHP that agree on who has a key.
func ExampleKetama() {
	servers, err := consistenthash.Ketama(
		consistenthash.Node{Name: "10.0.1.1:11211", Weight: 600},
		consistenthash.Node{Name: "10.0.1.2:11211", Weight: 300},
		consistenthash.Node{Name: "10.0.1.3:11212", Weight: 300},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	server, _ := servers.Get("user:42")
	fmt.Println(server, "of", servers.Stats().Points, "points")
	// Output: 10.0.1.3:11212 of 480 points
}

// The hottest of keys does not overload its owner.
func ExampleBounded() {
	var ring consistenthash.Ring
	_ = ring.Set(consistenthash.Node{Name: "a"}, consistenthash.Node{Name: "b"})
	lb := consistenthash.Bounded(&ring, 1.25)
	for range 100 {
		lb.Acquire("hot")
	}
	most := int64(0)
	for _, load := range lb.Loads() {
		most = max(most, load)
	}
	fmt.Println(lb.Total(), most <= 63)
	lease, _ := lb.Acquire("hot")
	defer lease.Release()
	// Output:
	// 100 true
}

// Shards by number: the eleventh takes a few keys, and no other key moves.
func ExampleJumpBack() {
	key := uint64(0xdeadbeefcafebabe)
	fmt.Println(consistenthash.JumpBack(key, 10), consistenthash.JumpBack(key, 11))
	// Output:
	// 1 1
}

func ExampleJump() {
	fmt.Println(consistenthash.Jump(0xdeadbeef, 5), consistenthash.Jump(0xdeadbeef, 6))
	// Output:
	// 3 5
}

func ExampleNewRendezvous() {
	r, err := consistenthash.NewRendezvous(nil, consistenthash.Node{Name: "a"}, consistenthash.Node{Name: "b", Weight: 3})
	fmt.Println(len(r.AppendN(nil, "k", 5)), err)
	// Output:
	// 2 <nil>
}

func ExampleNewMaglev() {
	m, err := consistenthash.NewMaglev(65537, nil, consistenthash.Node{Name: "a"})
	node, ok := m.Get("k")
	fmt.Println(node, ok, err)
	// Output:
	// a true <nil>
}

// A ring in memory: its members in a file, its picture, and whether two processes agree.
func ExampleSnapshot_MarshalJSON() {
	s, err := consistenthash.Build(nil, consistenthash.Node{Name: "a"}, consistenthash.Node{Name: "b", Weight: 2})
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := s.MarshalJSON()
	if err != nil {
		fmt.Println(err)
		return
	}
	var read consistenthash.Snapshot
	fmt.Println(read.UnmarshalJSON(text), read.Fingerprint() == s.Fingerprint(), read.Nodes())
	// Output:
	// <nil> true [{a 1 } {b 2 }]
}

// The same in bytes, with a checksum.
func ExampleSnapshot_MarshalBinary() {
	s, _ := consistenthash.Build(nil, consistenthash.Node{Name: "a"})
	data, _ := s.MarshalBinary()
	var read consistenthash.Snapshot
	fmt.Println(len(data), read.UnmarshalBinary(data), read.Len())
	data[9]++
	fmt.Println(errors.Is(read.UnmarshalBinary(data), consistenthash.ErrFormat))
	// Output:
	// 53 <nil> 1
	// true
}

// To skip a node that is down, take the next of the key's preference.
func ExampleSnapshot_All() {
	s, _ := consistenthash.Build(nil, consistenthash.Node{Name: "a"}, consistenthash.Node{Name: "b"}, consistenthash.Node{Name: "c"})
	owner, _ := s.GetBytes([]byte("user:42"))
	for n := range s.All("user:42") {
		if n.Name != owner { // the owner is down
			fmt.Println(n.Name != owner, s.Has(n.Name))
			break
		}
	}
	// Output:
	// true true
}

// Each tenant has two of the nodes, and keeps them.
func ExampleSnapshot_AppendShard() {
	s, _ := consistenthash.Build(nil, consistenthash.Node{Name: "a"}, consistenthash.Node{Name: "b"}, consistenthash.Node{Name: "c"}, consistenthash.Node{Name: "d"})
	shard := s.AppendShard(nil, "tenant", 2)
	again := s.Without("none of them").AppendShard(nil, "tenant", 2)
	fmt.Println(len(shard), shard[0] != shard[1], slices.Equal(shard, again))
	// Output:
	// 2 true true
}

// What a node owns, and what the whole ring is.
func ExampleSnapshot_Ranges() {
	s, _ := consistenthash.Build(nil, consistenthash.Node{Name: "a"}, consistenthash.Node{Name: "b"})
	share := map[string]float64{}
	for r, owner := range s.Ranges() {
		share[owner] += r.Fraction()
	}
	ofA := 0.0
	for r := range s.RangesOf("a") {
		ofA += r.Fraction()
	}
	st := s.Stats()
	fmt.Printf("%.3f %v %v\n", share["a"]+share["b"], ofA == share["a"], st.PeakToMean < 1.2)
	// Output:
	// 1.000 true true
}

// With two copies of each key, what must be copied when a node joins.
func ExampleSnapshot_PlanN() {
	before, _ := consistenthash.Build(nil, consistenthash.Node{Name: "a"}, consistenthash.Node{Name: "b"})
	after, _ := before.With(consistenthash.Node{Name: "c"})
	copied := 0.0
	for m := range before.PlanN(after, 2) {
		copied += m.Fraction() * float64(len(m.Added()))
	}
	fmt.Printf("about two thirds of one copy: %v\n", copied > 0.6 && copied < 0.73)
	// Output:
	// about two thirds of one copy: true
}
