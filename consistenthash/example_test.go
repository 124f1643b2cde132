// SPDX-License-Identifier: MIT

package consistenthash_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"expvar"
	"fmt"
	"slices"
	"strings"

	"github.com/ashlar-go/ashlar/consistenthash"
)

func Example() {
	var ring consistenthash.Ring
	if err := ring.Set(consistenthash.Node{Name: "a"}, consistenthash.Node{Name: "b"}); err != nil {
		panic(err)
	}
	fmt.Println(ring.Get("user:42"))
	// Output: a true
}

// A node that leaves gives its keys to the others, and no other key moves.
func ExampleRing_Remove() {
	var ring consistenthash.Ring
	_ = ring.Set(consistenthash.Node{Name: "a"}, consistenthash.Node{Name: "b"}, consistenthash.Node{Name: "c"})
	before := ring.Snapshot()
	fmt.Println(ring.Remove("b", "nobody"), "removed")

	others := 0
	for i := range 10000 {
		key := fmt.Sprint("user:", i)
		was, _ := before.Get(key)
		is, _ := ring.Get(key)
		if was != is && was != "b" {
			others++
		}
	}
	fmt.Println(others, "keys of other nodes moved")
	// Output:
	// 1 removed
	// 0 keys of other nodes moved
}

// A node that is drained stays a member, and owns nothing: a file says so with
// a weight of 0.
func ExampleNode() {
	var nodes []consistenthash.Node
	file := `[{"name": "a"}, {"name": "b", "weight": 0}, {"name": "c", "weight": 2}]`
	if err := json.Unmarshal([]byte(file), &nodes); err != nil {
		panic(err)
	}
	s, _ := consistenthash.NewSnapshot(&consistenthash.Options{VirtualNodes: 4000}, nodes...)
	for _, n := range s.Nodes() {
		share := 0.0
		for r := range s.RangesOf(n.Name) {
			share += r.Fraction()
		}
		fmt.Printf("%s %.0f %%\n", n.Name, 100*share)
	}
	// Output:
	// a 33 %
	// b 0 %
	// c 67 %
}

// Example_lesson is the ring of a textbook: servers at 20, 80 and 200 of 256,
// and one that joins at 90. With hash % n, four keys of five move.
func Example_lesson() {
	owner := func(ring []int, key int) int {
		i, _ := slices.BinarySearch(ring, key) // the first at or after the key
		return ring[i%len(ring)]
	}
	three := []int{20, 80, 200}
	four := []int{20, 80, 90, 200}
	var moved []int
	for key := range 256 {
		if owner(three, key) != owner(four, key) {
			moved = append(moved, key)
		}
	}
	fmt.Println(moved, "move from", owner(three, 85), "to", owner(four, 85))

	modulo := 0
	for hash := range 20 {
		if hash%4 != hash%5 {
			modulo++
		}
	}
	fmt.Println("hashes 3, 15, 12 go from", 3%4, 15%4, 12%4, "to", 3%5, 15%5, 12%5)
	fmt.Println("by hash % n,", modulo*100/20, "% of all keys move")
	// Output:
	// [81 82 83 84 85 86 87 88 89 90] move from 200 to 90
	// hashes 3, 15, 12 go from 3 3 0 to 3 0 2
	// by hash % n, 80 % of all keys move
}

// With one point each, of servers at 10, 11, 12 and 90 of 100 the last owns 78
// %. With 150 points each, as here, no server is far from its share.
func Example_virtualNodes() {
	at := []int{10, 11, 12, 90}
	for i, p := range at {
		fmt.Print(" ", (p-at[(i+3)%4]+100)%100, " %")
	}
	fmt.Println()

	s, _ := consistenthash.NewSnapshot(nil, consistenthash.Node{Name: "10"}, consistenthash.Node{Name: "11"},
		consistenthash.Node{Name: "12"}, consistenthash.Node{Name: "90"})
	fmt.Printf("the busiest of 4 has %.2f of its share\n", s.Stats().PeakToMean)
	// Output:
	//  20 % 1 % 1 % 78 %
	// the busiest of 4 has 1.05 of its share
}

// Sharding by more than one column is a key of both, with a separator that the
// columns cannot contain. Keys that belong together share the part that is
// hashed.
func Example_compositeKeys() {
	s, _ := consistenthash.NewSnapshot(nil, consistenthash.Node{Name: "a"}, consistenthash.Node{Name: "b"}, consistenthash.Node{Name: "c"})
	order, _ := s.Get("tenant-7/order-1")
	same, _ := s.Get("tenant-7/order-1")
	fmt.Println("by tenant and order:", order == same)

	// By tenant alone, all orders of a tenant are on one node, and a query for
	// them asks one.
	tenant := func(key string) string { t, _, _ := strings.Cut(key, "/"); return t }
	first, _ := s.Get(tenant("tenant-7/order-1"))
	second, _ := s.Get(tenant("tenant-7/order-2"))
	fmt.Println("by tenant:", first == second)
	// Output:
	// by tenant and order: true
	// by tenant: true
}

// The keys that move when a node joins: a quarter, and all to it.
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

// A plan applied to data: keys are kept in the order of their positions, so
// that each move is one range of them, and none needs a scan of all.
func ExampleSnapshot_Plan_data() {
	before, _ := consistenthash.NewSnapshot(nil, consistenthash.Node{Name: "a"}, consistenthash.Node{Name: "b"}, consistenthash.Node{Name: "c"})
	type record struct {
		at  uint64
		key string
	}
	var index []record // a store's index on the position
	for i := range 1000 {
		key := fmt.Sprint("user:", i)
		index = append(index, record{before.Hash(key), key})
	}
	slices.SortFunc(index, func(a, b record) int { return cmp.Compare(a.at, b.at) })
	from := func(at uint64) int {
		i, _ := slices.BinarySearchFunc(index, at, func(r record, at uint64) int { return cmp.Compare(r.at, at) })
		return i
	}

	after, _ := before.With(consistenthash.Node{Name: "d"})
	copied := 0
	wrong := 0
	for m := range before.Plan(after) {
		for i := from(m.First); i < len(index) && index[i].at <= m.Last; i++ {
			copied++ // from m.From to m.To
			if owner, _ := after.Get(index[i].key); owner != m.To {
				wrong++
			}
		}
	}
	fmt.Println(copied, "of 1000 keys are copied,", wrong, "of them to the wrong node")
	// Output:
	// 253 of 1000 keys are copied, 0 of them to the wrong node
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

// Clients of memcached in Go, C and PHP agree on the server of a key.
func ExampleNewKetama() {
	servers, err := consistenthash.NewKetama(
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
func ExampleNewBalancer() {
	var ring consistenthash.Ring
	_ = ring.Set(consistenthash.Node{Name: "a"}, consistenthash.Node{Name: "b"})
	lb := consistenthash.NewBalancer(&ring, 1.25)
	for range 100 {
		lb.Acquire("hot")
	}
	most := 0
	for _, load := range lb.Loads() {
		most = max(most, load)
	}
	fmt.Println(lb.Total(), most <= 63)
	lease, _ := lb.Acquire("hot")
	defer lease.Release()
	// Output:
	// 100 true
}

// Counters for expvar: the cost of the bound, and the load of each node.
func ExampleBalancer_Stats() {
	var ring consistenthash.Ring
	_ = ring.Set(consistenthash.Node{Name: "a"}, consistenthash.Node{Name: "b"})
	lb := consistenthash.NewBalancer(&ring, 1.25)
	expvar.Publish("balancer", expvar.Func(func() any { return lb.Stats() }))
	for range 10 {
		lb.Acquire("hot")
	}
	fmt.Println(expvar.Get("balancer"))
	fmt.Printf("away from their owner: %.0f %%\n", 100*lb.Stats().AwayRatio())
	for node, load := range lb.Loads() {
		fmt.Printf("load{node=%q} %d\n", node, load) // Prometheus text
	}
	// Output:
	// {"Total":10,"Busiest":7,"Admitted":10,"Away":3}
	// away from their owner: 30 %
	// load{node="a"} 7
	// load{node="b"} 3
}

// The request failed: the second choice is another node, within its bound too.
func ExampleBalancer_AcquireOther() {
	var ring consistenthash.Ring
	_ = ring.Set(consistenthash.Node{Name: "a"}, consistenthash.Node{Name: "b"}, consistenthash.Node{Name: "c"})
	lb := consistenthash.NewBalancer(&ring, 1.25)
	first, _ := lb.Acquire("user:42")
	first.Release() // it failed

	second, ok := lb.AcquireOther("user:42", first.Node())
	fmt.Println(ok, second.Node() != first.Node())
	second.Release()
	// Output:
	// true true
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

// A ring in memory: its members in a file, its picture, and whether two
// processes agree.
func ExampleSnapshot_MarshalJSON() {
	s, err := consistenthash.NewSnapshot(nil, consistenthash.Node{Name: "a"}, consistenthash.Node{Name: "b", Weight: 2})
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
	s, _ := consistenthash.NewSnapshot(nil, consistenthash.Node{Name: "a"})
	data, _ := s.MarshalBinary()
	var read consistenthash.Snapshot
	fmt.Println(len(data), read.UnmarshalBinary(data), read.Len())
	data[20]++
	fmt.Println(errors.Is(read.UnmarshalBinary(data), consistenthash.ErrCorrupt))
	// Output:
	// 61 <nil> 1
	// true
}

// To skip a node that is down, take the next of the key's preference.
func ExampleSnapshot_All() {
	s, _ := consistenthash.NewSnapshot(nil, consistenthash.Node{Name: "a"}, consistenthash.Node{Name: "b"}, consistenthash.Node{Name: "c"})
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
	s, _ := consistenthash.NewSnapshot(nil, consistenthash.Node{Name: "a"}, consistenthash.Node{Name: "b"}, consistenthash.Node{Name: "c"}, consistenthash.Node{Name: "d"})
	shard := s.AppendShard(nil, "tenant", 2)
	again := s.Without("none of them").AppendShard(nil, "tenant", 2)
	fmt.Println(len(shard), shard[0] != shard[1], slices.Equal(shard, again))
	// Output:
	// 2 true true
}

// What a node owns, and what the whole ring is.
func ExampleSnapshot_Ranges() {
	s, _ := consistenthash.NewSnapshot(nil, consistenthash.Node{Name: "a"}, consistenthash.Node{Name: "b"})
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
	before, _ := consistenthash.NewSnapshot(nil, consistenthash.Node{Name: "a"}, consistenthash.Node{Name: "b"})
	after, _ := before.With(consistenthash.Node{Name: "c"})
	copied := 0.0
	for m := range before.PlanN(after, 2) {
		copied += m.Fraction() * float64(len(m.Added()))
	}
	fmt.Printf("about two thirds of one copy: %v\n", copied > 0.6 && copied < 0.73)
	// Output:
	// about two thirds of one copy: true
}
