// SPDX-License-Identifier: MIT

package quorum_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"

	"github.com/ashlar-go/ashlar/quorum"
)

var (
	ctx     = context.Background()
	errDown = errors.New("connection refused")
)

// A node is a replica that can be cut off.
type node[S quorum.State[S]] struct {
	*quorum.Memory[string, S]
	cut bool
}

func (n *node[S]) Load(ctx context.Context, key string) (s S, err error) {
	if n.cut {
		return s, errDown
	}
	return n.Memory.Load(ctx, key)
}

func (n *node[S]) Merge(ctx context.Context, key string, s S) error {
	if n.cut {
		return errDown
	}
	return n.Memory.Merge(ctx, key, s)
}

// newNodes returns n nodes, and the same as replicas.
func newNodes[S quorum.State[S]](n int) ([]*node[S], []quorum.Replica[string, S]) {
	nodes := make([]*node[S], n)
	replicas := make([]quorum.Replica[string, S], n)
	for i := range nodes {
		nodes[i] = &node[S]{Memory: quorum.NewMemory[string, S]()}
		replicas[i] = nodes[i]
	}
	return nodes, replicas
}

// settle waits for the requests that no call waits for any more, so that the
// output is always the same.
func settle[S quorum.State[S]](c *quorum.Cluster[string, S]) {
	for c.Stats().Outstanding > 0 {
		runtime.Gosched()
	}
}

// handClock returns a clock that moves on by a second with each stamp, so that
// the stamps of the examples are always the same.
func handClock(node uint32) *quorum.Clock {
	t := time.Unix(0, 0)
	return quorum.NewClock(node, &quorum.ClockOptions{Now: func() time.Time {
		t = t.Add(time.Second)
		return t
	}})
}

// The program of the package comment.
func Example() {
	node := quorum.NewMemory[string, quorum.LWW[string]] // in earnest, a client
	nodes := []quorum.Replica[string, quorum.LWW[string]]{node(), node(), node(), node()}
	opts := &quorum.Options{Write: quorum.Three, Read: quorum.Two}
	db, _ := quorum.NewKV(nodes, quorum.NewClock(1, nil), opts)
	_, err := db.Put(context.Background(), "cart", "book", quorum.Atomic())
	cart, _, err := db.Get(context.Background(), "cart", quorum.Atomic())
	fmt.Println(cart, err)
	// Output:
	// book <nil>
}

// N = 3, R = W = 2, as Cassandra at QUORUM: one node may be down.
func ExampleNewKV() {
	nodes, replicas := newNodes[quorum.LWW[string]](3)
	db, err := quorum.NewKV(replicas, handClock(1), nil)
	fmt.Println(err)

	nodes[2].cut = true
	_, err = db.Put(ctx, "city", "Oslo")
	fmt.Println(err)
	city, stamp, err := db.Get(ctx, "city")
	fmt.Println(city, stamp.Time().UTC().Format(time.TimeOnly), err)
	// Output:
	// <nil>
	// <nil>
	// Oslo 00:00:01 <nil>
}

// A write at one of four could be missed by a read of two.
func ExampleNew() {
	_, replicas := newNodes[quorum.LWW[int]](4)
	_, err := quorum.New(replicas, &quorum.Options{Write: quorum.One, Read: quorum.Two})
	fmt.Println(err)
	fmt.Println(errors.Is(err, quorum.ErrLevel))
	// Output:
	// quorum: level cannot be used: reads at Options.Read, 2 of {0 1 2 3}, can miss writes at 1 of {0 1 2 3}
	// true
}

// 1000 - 100 = 900, and one of three nodes is cut off: a client of that node is
// refused, or gets the old 1000 if it asks for that.
func ExampleAt() {
	nodes, replicas := newNodes[quorum.LWW[int]](3)
	strict, _ := quorum.NewKV(replicas, handClock(1), nil)
	loose, _ := quorum.NewKV(replicas, handClock(2), &quorum.Options{AllowStale: true})
	_, _ = strict.Put(ctx, "balance", 1000, quorum.At(quorum.All))

	nodes[2].cut = true
	_, _ = strict.Put(ctx, "balance", 900)
	fmt.Println(value(strict.Get(ctx, "balance")))
	settle(strict.Cluster())

	// The other side of the partition.
	nodes[0].cut = true
	nodes[1].cut = true
	nodes[2].cut = false
	_, _, err := strict.Get(ctx, "balance")
	fmt.Println(errors.Is(err, quorum.ErrUnavailable))
	fmt.Println(value(loose.Get(ctx, "balance", quorum.At(quorum.One))))
	// Output:
	// 900 <nil>
	// true
	// 1000 <nil>
}

// value leaves the stamp out.
func value[V any](v V, _ quorum.Stamp, err error) (V, error) { return v, err }

// A write that failed stays on some nodes. An atomic read that finds it tells
// the others first, so that no later read takes it back.
func ExampleAtomic() {
	nodes, replicas := newNodes[quorum.LWW[int]](3)
	db, _ := quorum.NewKV(replicas, handClock(1), nil)
	_, _ = db.Put(ctx, "k", 1, quorum.At(quorum.All))

	nodes[1].cut = true
	nodes[2].cut = true
	_, err := db.Put(ctx, "k", 2)
	fmt.Println(errors.Is(err, quorum.ErrIndeterminate))
	settle(db.Cluster())

	nodes[1].cut = false
	nodes[2].cut = false
	seen := false
	for range 6 {
		v, _, _ := db.Get(ctx, "k", quorum.Atomic())
		if seen && v != 2 {
			fmt.Println("went back")
		}
		seen = seen || v == 2
	}
	fmt.Println(seen)
	// Output:
	// true
	// true
}

func ExampleKV_Put() {
	_, replicas := newNodes[quorum.LWW[string]](3)
	db, _ := quorum.NewKV(replicas, handClock(7), nil)
	stamp, err := db.Put(ctx, "k", "v")
	fmt.Println(stamp, err)
	// Output:
	// {1000000000 0 7} <nil>
}

func ExampleKV_Get() {
	_, replicas := newNodes[quorum.LWW[string]](3)
	db, _ := quorum.NewKV(replicas, handClock(1), nil)
	_, _, err := db.Get(ctx, "k")
	fmt.Println(errors.Is(err, quorum.ErrNotFound))
	// Output:
	// true
}

// A replica that missed a deletion does not bring the value back.
func ExampleKV_Delete() {
	nodes, replicas := newNodes[quorum.LWW[string]](3)
	db, _ := quorum.NewKV(replicas, handClock(1), nil)
	_, _ = db.Put(ctx, "k", "v", quorum.At(quorum.All))
	nodes[0].cut = true
	_, err := db.Delete(ctx, "k")
	fmt.Println(err)
	settle(db.Cluster())

	nodes[0].cut = false
	_, _, err = db.Get(ctx, "k", quorum.At(quorum.All))
	fmt.Println(err)
	// Output:
	// <nil>
	// quorum: not found
}

// A deletion takes room until all replicas know of it, and nothing that was
// under way before can arrive any more.
func ExampleKV_Purge() {
	nodes, replicas := newNodes[quorum.LWW[string]](3)
	db, _ := quorum.NewKV(replicas, handClock(1), nil)
	_, _ = db.Put(ctx, "k", "v", quorum.At(quorum.All))
	_, _ = db.Delete(ctx, "k", quorum.At(quorum.All))
	fmt.Println(nodes[0].Len(), "key is kept")

	const grace = time.Millisecond // in earnest, an hour
	fmt.Println(db.Purge(ctx, grace, "k"))
	fmt.Println(nodes[0].Len(), "keys are kept")
	// Output:
	// 1 key is kept
	// <nil>
	// 0 keys are kept
}

func ExampleKV_Cluster() {
	_, replicas := newNodes[quorum.LWW[string]](3)
	db, _ := quorum.NewKV(replicas, handClock(1), nil)
	held, err := db.Cluster().Repair(ctx, "k")
	fmt.Println(held, err)
	// Output:
	// {0 1 2} <nil>
}

func ExampleKV_Close() {
	_, replicas := newNodes[quorum.LWW[string]](3)
	db, _ := quorum.NewKV(replicas, handClock(1), nil)
	fmt.Println(db.Close(ctx))
	_, err := db.Put(ctx, "k", "v")
	fmt.Println(err)
	// Output:
	// <nil>
	// quorum: closed
}

// A counter that only two nodes write: what each has added and taken away.
type counter struct{ added, taken [2]int }

// Join takes the greater number of each node, since those only grow.
func (c counter) Join(d counter) counter {
	for i := range c.added {
		c.added[i] = max(c.added[i], d.added[i])
		c.taken[i] = max(c.taken[i], d.taken[i])
	}
	return c
}

func (c counter) Covers(d counter) bool { return c.Join(d) == c }

func (c counter) value() (n int) {
	for i := range c.added {
		n += c.added[i] - c.taken[i]
	}
	return n
}

// 100 likes, and two more at once: the last writer wins one of them, and the
// other is lost. A counter has both, and can go down again.
func ExampleCluster_counter() {
	_, registers := newNodes[quorum.LWW[int]](3)
	a, _ := quorum.NewKV(registers, handClock(1), nil)
	b, _ := quorum.NewKV(registers, handClock(2), nil)
	_, _ = a.Put(ctx, "likes", 100)
	atA, _, _ := a.Get(ctx, "likes")
	atB, _, _ := b.Get(ctx, "likes")
	_, _ = a.Put(ctx, "likes", atA+1)
	_, _ = b.Put(ctx, "likes", atB+1)
	fmt.Println(value(a.Get(ctx, "likes")))

	_, counters := newNodes[counter](3)
	c, _ := quorum.New(counters, nil)
	_ = c.Merge(ctx, "likes", counter{added: [2]int{100, 0}})
	seen, _ := c.Load(ctx, "likes")
	byA, byB := seen, seen
	byA.added[0]++ // node 0 writes its own number only
	byB.added[1]++
	_ = c.Merge(ctx, "likes", byA)
	_ = c.Merge(ctx, "likes", byB)
	seen, _ = c.Load(ctx, "likes")
	fmt.Println(seen.value())

	seen.taken[0]++
	_ = c.Merge(ctx, "likes", seen)
	seen, _ = c.Load(ctx, "likes")
	fmt.Println(seen.value())
	// Output:
	// 101 <nil>
	// 102
	// 101
}

// A says 101, while B and C still say 100: a read of any two finds it, and
// tells the other.
func ExampleCluster_Load() {
	nodes, replicas := newNodes[quorum.LWW[int]](3)
	c, _ := quorum.New(replicas, &quorum.Options{Repair: quorum.RepairBlocking, Write: quorum.All, Read: quorum.All})
	for i, likes := range []int{101, 100, 100} {
		_ = nodes[i].Merge(ctx, "likes", quorum.LWW[int]{Value: likes, Stamp: quorum.Stamp{Wall: int64(likes)}})
	}

	s, err := c.Load(ctx, "likes")
	fmt.Println(s.Value, err)
	for _, n := range nodes {
		s, _ := n.Load(ctx, "likes")
		fmt.Println(s.Value)
	}
	// Output:
	// 101 <nil>
	// 101
	// 101
	// 101
}

func ExampleCluster_Merge() {
	nodes, replicas := newNodes[quorum.LWW[int]](3)
	c, _ := quorum.New(replicas, &quorum.Options{Write: quorum.All, Read: quorum.One})
	nodes[1].cut = true
	err := c.Merge(ctx, "k", quorum.LWW[int]{Value: 1, Stamp: quorum.Stamp{Wall: 1}})
	fmt.Println(errors.Is(err, quorum.ErrIndeterminate), errors.Is(err, errDown))

	var e *quorum.Error
	if errors.As(err, &e) {
		fmt.Println(e.Failed, e.Errs)
	}
	// Output:
	// true true
	// {1} [connection refused]
}

// Anti-entropy: go over all keys, from time to time.
func ExampleCluster_Repair() {
	nodes, replicas := newNodes[quorum.LWW[int]](3)
	c, _ := quorum.New(replicas, nil)
	_ = nodes[0].Merge(ctx, "k", quorum.LWW[int]{Value: 1, Stamp: quorum.Stamp{Wall: 1}})
	for key := range nodes[0].Keys() {
		held, err := c.Repair(ctx, key)
		fmt.Println(key, held, err)
	}
	fmt.Println(nodes[2].Len())
	// Output:
	// k {0 1 2} <nil>
	// 1
}

func ExampleCluster_Stats() {
	nodes, replicas := newNodes[quorum.LWW[int]](3)
	c, _ := quorum.New(replicas, &quorum.Options{Hedge: -1})
	before := c.Stats()
	nodes[0].cut = true
	for range 3 {
		_, _ = c.Load(ctx, "k")
	}
	s := c.Stats().Sub(before)
	fmt.Println(s.Loads, "loads,", s.Extra, "asked one more")
	// Output:
	// 3 loads, 2 asked one more
}

func ExampleCluster_Close() {
	_, replicas := newNodes[quorum.LWW[int]](3)
	c, _ := quorum.New(replicas, nil)
	fmt.Println(c.Close(ctx))
	// Output:
	// <nil>
}

// Reads near, writes in each zone: the loss of a zone stops writes, and reads
// go on at a quorum of all.
func ExampleLevel() {
	nodes, replicas := newNodes[quorum.LWW[string]](6)
	db, err := quorum.NewKV(replicas, handClock(1), &quorum.Options{
		Zones: []string{"north", "north", "north", "south", "south", "south"},
		Zone:  "south",
		Read:  quorum.LocalQuorum,
		Write: quorum.EachQuorum,
	})
	fmt.Println(err)
	_, _ = db.Put(ctx, "k", "v", quorum.At(quorum.All))
	fmt.Println(value(db.Get(ctx, "k")))

	for _, n := range nodes[3:] {
		n.cut = true
	}
	_, _, err = db.Get(ctx, "k")
	fmt.Println(errors.Is(err, quorum.ErrUnavailable))
	fmt.Println(value(db.Get(ctx, "k", quorum.At(quorum.Three))))
	// Output:
	// <nil>
	// v <nil>
	// true
	// v <nil>
}

func ExampleLevel_UnmarshalText() {
	var config struct{ Read, Write quorum.Level }
	err := json.Unmarshal([]byte(`{"Read": "two", "Write": "each quorum"}`), &config)
	fmt.Println(config.Read, config.Write, err)
	// Output:
	// two each quorum <nil>
}

func ExampleRepairMode() {
	for _, m := range []quorum.RepairMode{quorum.RepairAsync, quorum.RepairBlocking, quorum.RepairOff} {
		fmt.Println(m)
	}
	// Output:
	// async
	// blocking
	// off
}

func ExampleOptions_Validate() {
	o := &quorum.Options{Timeout: -time.Second}
	fmt.Println(o.Validate())
	// Output:
	// quorum: Options.Timeout must not be negative, got -1s
}

func ExampleError() {
	nodes, replicas := newNodes[quorum.LWW[int]](3)
	c, _ := quorum.New(replicas, &quorum.Options{Write: quorum.One, Read: quorum.All})
	for _, n := range nodes {
		n.cut = true
	}
	err := c.Merge(ctx, "k", quorum.LWW[int]{})
	fmt.Println(err)
	// Output:
	// quorum: indeterminate: merge answered by {}; replica 0: connection refused; replica 1: connection refused; replica 2: connection refused
}

// The shards of an index are on three servers, each shard on all of them; one
// server is down. The first two answers are enough.
func ExampleDo() {
	down := quorum.SetOf(1)
	count := func(_ context.Context, server int) (int, error) {
		if down.Has(server) {
			return 0, errDown
		}
		return 1200, nil
	}
	answers, err := quorum.Do(ctx, quorum.Threshold(2, quorum.First(3)), count, nil)
	fmt.Println(len(answers), answers[0].Value, err)

	// All three are not to be had.
	_, err = quorum.Do(ctx, quorum.Threshold(3, quorum.First(3)), count, nil)
	fmt.Println(errors.Is(err, quorum.ErrUnavailable), errors.Is(err, errDown))
	// Output:
	// 2 1200 <nil>
	// true true
}

// Of three zones with two servers each, one zone may be lost. Near servers are
// dialed first, others after 20 ms or when one fails; connections that come too
// late are closed.
func ExampleDo_zones() {
	zone := func(i, j int) quorum.System { return quorum.Threshold(2, quorum.SetOf(i, j)) }
	system := quorum.Of(2, zone(0, 1), zone(2, 3), zone(4, 5))
	dial := func(_ context.Context, server int) (io.Closer, error) {
		if server == 4 {
			return nil, errDown
		}
		return io.NopCloser(nil), nil // in earnest, a net.Conn
	}

	connections, err := quorum.Do(ctx, system, dial, &quorum.DoOptions[io.Closer]{
		Hedge:   20 * time.Millisecond,
		Near:    quorum.SetOf(0, 1),
		Discard: func(a quorum.Answer[io.Closer]) { a.Value.Close() },
	})
	fmt.Println(len(connections) >= 4, err)
	for _, c := range connections {
		c.Value.Close()
	}
	// Output: true <nil>
}

// Ten are in stock, and twelve customers at two shops want one. Nobody gets the
// eleventh, whichever shop is faster.
func ExampleCAS() {
	var stock []quorum.Acceptor[string, int] // in earnest, clients of three servers
	for range 3 {
		stock = append(stock, new(quorum.MemoryAcceptor[string, int]))
	}
	fill, _ := quorum.NewCAS(stock, nil)
	_, _, err := fill.Update(ctx, "book", func(int, uint64) (int, error) { return 10, nil })
	fmt.Println(err)

	errSold := errors.New("sold out")
	buy := func(left int, _ uint64) (int, error) {
		if left == 0 {
			return 0, errSold
		}
		return left - 1, nil
	}
	sold := make(chan bool)
	for range 2 {
		shop, _ := quorum.NewCAS(stock, nil)
		for range 6 {
			go func() { // ends with its purchase
				_, _, err := shop.Update(ctx, "book", buy)
				sold <- err == nil
			}()
		}
	}

	n := 0
	for range 12 {
		if <-sold {
			n++
		}
	}
	left, version, err := fill.Get(ctx, "book")
	fmt.Println(n, left, version, err)
	// Output:
	// <nil>
	// 10 0 11 <nil>
}

// A value is replaced only if nobody has changed it since it was read.
func ExampleCAS_Update_compareAndSet() {
	c, _ := quorum.NewCAS([]quorum.Acceptor[string, string]{new(quorum.MemoryAcceptor[string, string])}, nil)
	errChanged := errors.New("changed")
	set := func(key string, version uint64, v string) error {
		_, _, err := c.Update(ctx, key, func(_ string, now uint64) (string, error) {
			if now != version {
				return "", errChanged
			}
			return v, nil
		})
		return err
	}

	_, version, _ := c.Get(ctx, "color")
	fmt.Println(version, set("color", version, "red"), set("color", version, "blue"))
	v, version, _ := c.Get(ctx, "color")
	fmt.Println(v, version)
	// Output:
	// 0 <nil> changed
	// red 1
}

// A server keeps a slot for each key on its disk, and answers by it.
func ExampleSlot() {
	disk := map[string]quorum.Slot[int]{} // in earnest, a file that is synced
	prepare := func(key string, b quorum.Ballot) quorum.Slot[int] {
		s := disk[key]
		defer func() { disk[key] = s }()
		return s.Prepare(b)
	}
	accept := func(key string, p quorum.Slot[int]) quorum.Ballot {
		s := disk[key]
		defer func() { disk[key] = s }()
		return s.Accept(p)
	}

	first := quorum.Ballot{Round: 1, Proposer: 7}
	second := quorum.Ballot{Round: 2, Proposer: 3}
	fmt.Println(prepare("k", first).Promised == first)
	fmt.Println(prepare("k", second).Promised == second)
	p := quorum.Slot[int]{Accepted: first, Promised: quorum.Ballot{Round: 2, Proposer: 7}, Value: 5}
	fmt.Println(accept("k", p) == p.Promised) // too late: the second was promised
	// Output:
	// true
	// true
	// false
}

// Exactly one of several schedulers runs a job. The store that it writes to
// refuses a token that is less than one it has seen: a scheduler that was
// stopped in the middle, and lost the lease meanwhile, can do no harm.
func ExampleLease_Do() {
	node := func() quorum.Acceptor[string, quorum.Grant] { return new(quorum.MemoryAcceptor[string, quorum.Grant]) }
	nodes := []quorum.Acceptor[string, quorum.Grant]{node(), node(), node()} // in earnest, clients
	scheduler := func(name string) *quorum.Lease[string] {
		cas, _ := quorum.NewCAS(nodes, nil)
		lease, _ := quorum.NewLease(cas, "nightly", &quorum.LeaseOptions{Name: name})
		return lease
	}

	newest := uint64(0) // kept by the store
	write := func(token uint64, what string) {
		if token < newest {
			fmt.Println("refused:", what)
			return
		}
		newest = token
		fmt.Println("written:", what)
	}

	// The first one has the lease, and sleeps for long before it writes.
	a := scheduler("a")
	stale, _ := a.Acquire(ctx)
	_ = a.Release(ctx) // as if its time had ended

	err := scheduler("b").Do(ctx, func(ctx context.Context, token uint64) error {
		write(token, "report of b")
		return ctx.Err() // stop when it ends
	})
	write(stale, "report of a")
	fmt.Println(err)
	// Output:
	// written: report of b
	// refused: report of a
	// <nil>
}

// A lock with fencing: the store that it protects refuses whoever had the lock
// before, and has not noticed that its time has ended.
func ExampleLease_Acquire() {
	node := func() quorum.Acceptor[string, quorum.Grant] { return new(quorum.MemoryAcceptor[string, quorum.Grant]) }
	nodes := []quorum.Acceptor[string, quorum.Grant]{node(), node(), node()} // in earnest, clients
	lock := func() *quorum.Lease[string] {
		cas, _ := quorum.NewCAS(nodes, nil)
		lease, _ := quorum.NewLease(cas, "account 17", &quorum.LeaseOptions{TTL: 20 * time.Millisecond})
		return lease
	}
	balance, newest := 1000, uint64(0) // of the store
	set := func(token uint64, n int) bool {
		if token < newest {
			return false
		}
		newest = token
		balance = n
		return true
	}

	// The first one reads 1000, and then its machine stops for long.
	a, b := lock(), lock()
	first, _ := a.Acquire(ctx)
	read := balance
	second, err := b.Acquire(ctx) // waits until the time of the first has ended
	fmt.Println(second > first, err)
	fmt.Println(set(second, balance-100))
	fmt.Println(set(first, read+50))
	fmt.Println(balance)
	// Output:
	// true <nil>
	// true
	// false
	// 900
}

// A server that does its rounds anyway tries for the lease in each of them.
func ExampleLease_TryAcquire() {
	node := func() quorum.Acceptor[string, quorum.Grant] { return new(quorum.MemoryAcceptor[string, quorum.Grant]) }
	nodes := []quorum.Acceptor[string, quorum.Grant]{node(), node(), node()} // in earnest, clients
	now := time.Unix(0, 0)
	server := func(name string) *quorum.Lease[string] {
		cas, _ := quorum.NewCAS(nodes, nil)
		opts := &quorum.LeaseOptions{TTL: 8 * time.Second, Name: name, Now: func() time.Time { return now }}
		lease, _ := quorum.NewLease(cas, "leader", opts)
		return lease
	}
	a, b := server("a"), server("b")

	// a dies after its first round. b waits for 8 s, and an eighth of that.
	for round := range 4 {
		if round == 0 {
			_, ok, _ := a.TryAcquire(ctx)
			fmt.Println("a leads:", ok)
		}
		_, ok, _ := b.TryAcquire(ctx)
		fmt.Printf("b leads after %v: %t\n", now.Sub(time.Unix(0, 0)), ok)
		now = now.Add(3 * time.Second)
	}
	// Output:
	// a leads: true
	// b leads after 0s: false
	// b leads after 3s: false
	// b leads after 6s: false
	// b leads after 9s: true
}

// A leader is whoever has the lease. Others ask who it is.
func ExampleLease() {
	node := func() quorum.Acceptor[string, quorum.Grant] { return new(quorum.MemoryAcceptor[string, quorum.Grant]) }
	cas, _ := quorum.NewCAS([]quorum.Acceptor[string, quorum.Grant]{node(), node(), node()}, nil)
	lease, _ := quorum.NewLease(cas, "leader", &quorum.LeaseOptions{TTL: 5 * time.Second, Name: "node 1"})
	first, err := lease.Acquire(ctx)
	fmt.Println(err, lease.Renew(ctx)) // every second or so
	token, held := lease.Held()        // before each thing that only a leader does
	fmt.Println(token == first, held)
	grant, _, _ := cas.Get(ctx, "leader")
	fmt.Println(grant.Name, grant.TTL)

	fmt.Println(lease.Release(ctx))
	again, _ := lease.Acquire(ctx)
	fmt.Println(again > first)
	// Output:
	// <nil> <nil>
	// true true
	// node 1 5s
	// <nil>
	// true
}

func ExampleMajority() {
	s := quorum.Majority(quorum.First(5))
	fmt.Println(s, s.Has(quorum.SetOf(0, 2, 4)), s.Resilience())
	// Output:
	// 3 of {0 1 2 3 4} true 2
}

// One failed check says little: two of three must say that a server is dead.
func ExampleThreshold() {
	dead := quorum.Threshold(2, quorum.First(3))
	alive := quorum.SetOf(1)
	fmt.Println(dead.Vote(quorum.SetOf(0), alive))
	fmt.Println(dead.Vote(quorum.SetOf(0, 2), alive))
	fmt.Println(dead.Vote(quorum.SetOf(0), quorum.SetOf(1, 2)))
	// Output:
	// pending
	// won
	// lost
}

func ExampleWeighted() {
	s := quorum.Weighted(3, 2, 1, 1, 1) // replica 0 counts twice
	fmt.Println(slices.Collect(s.Minimal()))
	// Output:
	// [{0 1} {0 2} {0 3} {1 2 3}]
}

// A change of members: both the old and the new ones have to agree.
func ExampleOf() {
	joint := quorum.Of(2, quorum.Majority(quorum.SetOf(0, 1, 2)), quorum.Majority(quorum.SetOf(2, 3, 4)))
	fmt.Println(joint.Has(quorum.SetOf(0, 1, 2)), joint.Has(quorum.SetOf(1, 2, 3)))
	fmt.Println(joint.Replicas())
	// Output:
	// false true
	// {0 1 2 3 4}
}

// Replicas 0 and 1 of three are replaced by two others, without a break.
func ExampleOf_members() {
	_, all := newNodes[quorum.LWW[string]](5)
	clock := handClock(1)
	before, _ := quorum.NewKV(all[:3], clock, nil)
	_, _ = before.Put(ctx, "city", "Oslo", quorum.Atomic())

	// Both have to agree. All callers must be here before the next step.
	joint := quorum.Of(2, quorum.Majority(quorum.SetOf(0, 1, 2)), quorum.Majority(quorum.SetOf(2, 3, 4)))
	both, _ := quorum.NewKV(all, clock, &quorum.Options{ReadSystem: joint, WriteSystem: joint})
	for _, key := range []string{"city"} { // in earnest, all keys
		_, err := both.Cluster().Load(ctx, key, quorum.Atomic())
		fmt.Println(err)
	}

	// Now each may go on with the new ones alone.
	after, _ := quorum.NewKV(all[2:], clock, nil)
	fmt.Println(value(after.Get(ctx, "city", quorum.Atomic())))
	// Output:
	// <nil>
	// Oslo <nil>
}

// A replica is away for a while. What it misses is kept, and handed over when
// it is back; a failure detector of your own says when not to ask.
func ExampleHandoff() {
	nodes, replicas := newNodes[quorum.LWW[string]](3)
	hints := quorum.NewHandoff(replicas[2], &quorum.HandoffOptions{
		Down: func() bool { return nodes[2].cut },
	})
	replicas[2] = hints
	db, _ := quorum.NewKV(replicas, handClock(1), nil)

	nodes[2].cut = true
	_, err := db.Put(ctx, "city", "Oslo")
	fmt.Println(err)
	_, _ = db.Put(ctx, "city", "Bergen")
	settle(db.Cluster())
	fmt.Println(hints.Len(), "key is kept")

	nodes[2].cut = false
	err = hints.Flush(ctx) // in earnest, each second
	s, _ := nodes[2].Load(ctx, "city")
	fmt.Println(s.Value, err)
	// Output:
	// <nil>
	// 1 key is kept
	// Bergen <nil>
}

// Five replicas: writes to {1 2 3} and reads of {2 4 5} meet in 2.
func ExampleIntersect() {
	write := quorum.Threshold(3, quorum.SetOf(1, 2, 3))
	read := quorum.Threshold(3, quorum.SetOf(2, 4, 5))
	fmt.Println(quorum.Intersect(read, write))
	fmt.Println(quorum.Intersect(read, quorum.Threshold(2, quorum.SetOf(1, 2, 3))))
	// Output:
	// true
	// false
}

// Rows of a grid, and the sets that meet each row.
func ExampleSystem_Dual() {
	row := func(i ...int) quorum.System { return quorum.Threshold(len(i), quorum.SetOf(i...)) }
	rows := quorum.Of(1, row(0, 1), row(2, 3))
	fmt.Println(slices.Collect(rows.Minimal()))
	fmt.Println(slices.Collect(rows.Dual().Minimal()))
	// Output:
	// [{0 1} {2 3}]
	// [{0 2} {1 2} {0 3} {1 3}]
}

func ExampleSystem_Resilience() {
	fmt.Println(quorum.Majority(quorum.First(3)).Resilience(), quorum.Threshold(3, quorum.First(3)).Resilience())
	// Output:
	// 1 0
}

func ExampleSet() {
	s := quorum.SetOf(0, 2) | quorum.SetOf(5)
	for i := range s.All() {
		fmt.Print(i, " ")
	}
	fmt.Println(s, s.Len(), s.Has(2), s&quorum.First(3))
	// Output:
	// 0 2 5 {0 2 5} 3 true {0 2}
}

func ExampleVote() {
	text, err := quorum.Won.MarshalText()
	fmt.Println(string(text), err)
	// Output:
	// won <nil>
}

// The later write stays, in whichever order they arrive.
func ExampleLWW() {
	first := quorum.LWW[string]{Value: "first", Stamp: quorum.Stamp{Wall: 1}}
	second := quorum.LWW[string]{Value: "second", Stamp: quorum.Stamp{Wall: 2}}
	fmt.Println(first.Join(second).Value, second.Join(first).Value, second.Covers(first))
	// Output:
	// second second true
}

// A shopping cart: two devices add to it at once, neither knowing of the other.
// Both carts stay until somebody who has seen them merges them.
func ExampleMulti() {
	type cart = []string
	_, replicas := newNodes[quorum.Siblings[cart]](3)
	phone, _ := quorum.NewMulti(replicas, handClock(1), nil)
	laptop, _ := quorum.NewMulti(replicas, handClock(2), nil)
	seen, err := phone.Put(ctx, "cart", cart{"book"}, quorum.Siblings[cart]{})
	fmt.Println(seen.Values, err)

	_, _ = phone.Put(ctx, "cart", cart{"book", "pen"}, seen)
	_, _ = laptop.Put(ctx, "cart", cart{"book", "lamp"}, seen)
	both, _ := laptop.Get(ctx, "cart")
	all := slices.Concat(both.Values...)
	slices.Sort(all)
	fmt.Println(len(both.Values), "carts:", all)

	merged, _ := laptop.Put(ctx, "cart", slices.Compact(all), both)
	fmt.Println(merged.Values)
	// Output:
	// [[book]] <nil>
	// 2 carts: [book book lamp pen]
	// [[book lamp pen]]
}

// A cart is paid and removed, while a device adds something: what was added is
// not lost, since who paid has not seen it.
func ExampleMulti_Delete() {
	_, replicas := newNodes[quorum.Siblings[string]](3)
	shop, _ := quorum.NewMulti(replicas, handClock(1), nil)
	phone, _ := quorum.NewMulti(replicas, handClock(2), nil)
	paid, _ := shop.Put(ctx, "cart", "book", quorum.Siblings[string]{})

	_, _ = phone.Put(ctx, "cart", "pen", paid)
	fmt.Println(shop.Delete(ctx, "cart", paid))
	left, _ := shop.Get(ctx, "cart")
	fmt.Println(left.Values)
	// Output:
	// <nil>
	// [pen]
}

// Of two values that were written at once, one is chosen, and replaces both.
func ExampleMulti_Put_resolve() {
	_, replicas := newNodes[quorum.Siblings[int]](3)
	a, _ := quorum.NewMulti(replicas, handClock(1), nil)
	b, _ := quorum.NewMulti(replicas, handClock(2), nil)
	_, _ = a.Put(ctx, "highest bid", 70, quorum.Siblings[int]{})
	_, _ = b.Put(ctx, "highest bid", 80, quorum.Siblings[int]{})

	bids, _ := a.Get(ctx, "highest bid")
	best, err := a.Put(ctx, "highest bid", slices.Max(bids.Values), bids)
	fmt.Println(best.Values, err)
	// Output:
	// [80] <nil>
}

// A server merges what a client has sent only if it is one.
func ExampleSiblings_Validate() {
	store := quorum.NewMemory[string, quorum.Siblings[string]]()
	merge := func(text string) error {
		var s quorum.Siblings[string]
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			return err
		}
		if err := s.Validate(); err != nil {
			return err
		}
		return store.Merge(ctx, "cart", s)
	}
	fmt.Println(merge(`{"Values": ["book"], "Stamps": [{"Wall": 7, "Node": 1}]}`))
	fmt.Println(merge(`{"Values": ["book", "pen"], "Stamps": []}`))
	// Output:
	// <nil>
	// quorum: Siblings with 2 values and 0 stamps
}

// A clock that has seen a stamp makes greater ones, although its own time is
// behind.
func ExampleClock() {
	now := time.Unix(10, 0)
	clock := quorum.NewClock(2, &quorum.ClockOptions{
		MaxOffset: time.Second,
		Now:       func() time.Time { return now },
	})
	seen := quorum.Stamp{Wall: time.Unix(10, 5e8).UnixNano(), Node: 1}
	fmt.Println(clock.Observe(seen))
	stamp := clock.Now()
	fmt.Println(stamp.Compare(seen), stamp.Count)

	err := clock.Observe(quorum.Stamp{Wall: time.Unix(3600, 0).UnixNano()})
	fmt.Println(errors.Is(err, quorum.ErrDrift), err)
	// Output:
	// <nil>
	// 1 1
	// true quorum: stamp is too far in the future: 59m50s ahead
}

func ExampleNewMemory() {
	m := quorum.NewMemory[string, quorum.LWW[int]]()
	_ = m.Merge(ctx, "k", quorum.LWW[int]{Value: 1, Stamp: quorum.Stamp{Wall: 1}})
	s, err := m.Load(ctx, "k")
	fmt.Println(s.Value, err, m.Len())
	// Output:
	// 1 <nil> 1
}
