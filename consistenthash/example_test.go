// SPDX-License-Identifier: MIT

package consistenthash_test

import (
	"fmt"

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
