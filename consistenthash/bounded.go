// SPDX-License-Identifier: MIT

package consistenthash

import (
	"fmt"
	"iter"
	"math"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
)

// A Balancer sends requests to the nodes of a [Ring], and to none more than its share of the
// load times a factor: a key goes to its owner, unless that has as much as it may, and then to a node that
// depends on the key too. It is safe for concurrent use by multiple goroutines and must not be
// copied. Use [Bounded]; methods of a zero Balancer panic.
//
// The loads belong to names, and outlive changes of the ring: a node that leaves and comes back
// finds the leases that it still has.
type Balancer struct {
	ring   *Ring
	factor float64
	_      [64]byte // the total changes with each request, what is above never
	total  atomic.Int64
	_      [56]byte
	view   atomic.Pointer[view]

	mu       sync.Mutex // protects counters, and the making of views
	counters map[string]*counter
}

// A view is a snapshot with what a Balancer knows about its nodes.
type view struct {
	snap     *Snapshot
	counters []*counter // of each node
	bounds   []uint64   // of each node: factor times its share of the weights, in units of 2^-32
}

// A counter is the load of a name. One that is retired is in no map any more.
type counter struct {
	load atomic.Int64
	name string
	_    [40]byte // a line of its own
}

const (
	retired   = math.MinInt64 / 2
	maxFactor = 1 << 20
)

// A Lease is an admitted request. It counts until it is released.
type Lease struct {
	b *Balancer
	c *counter
}

// Bounded returns a Balancer over r with a factor above 1: 1.25 is usual. The closer it is to 1
// the evener the load, the more keys are away from their owner, and the more nodes Acquire looks
// at: with a factor of 1+e about 1/e², as Mirrokni and others show. It panics if the factor is not above 1 and at most 2^20.
func Bounded(r *Ring, factor float64) *Balancer {
	if !(factor > 1 && factor <= maxFactor) {
		panic(fmt.Sprintf("consistenthash: Bounded: factor must be above 1 and at most 2^20, got %v", factor))
	}
	return &Balancer{ring: r, factor: factor, counters: map[string]*counter{}}
}

// Acquire admits a request for key and returns a lease on the node it goes to;
// ok is false if the ring is empty. At the instant of admission the load of the node, this
// request included, is at most
//
//	ceil(total · factor · weight / weights)
//
// where total is the number of all leases and of the requests being admitted, this one included;
// a factor below 1 + n/2^32, where n is the number of nodes, may count as that.
// Leases do not move, so as others are released a node may be above the bound of the moment until
// its own are.
func (b *Balancer) Acquire(key string) (l Lease, ok bool) {
	if b.ring == nil {
		panic("consistenthash: zero Balancer: use Bounded")
	}
	total := b.total.Add(1)
	for {
		v := b.current()
		if len(v.counters) == 0 {
			b.total.Add(-1)
			return Lease{}, false
		}
		if c := v.find(v.snap.Hash(key), total); c != nil {
			return Lease{b, c}, true
		}
		total = b.total.Load() // others were faster, everywhere: look again
	}
}

// find takes a place on a node that has one, or returns nil if none was seen.
func (v *view) find(h uint64, total int64) *counter {
	n := len(v.counters)
	for range 4*bits.Len(uint(n)) + 8 {
		if i := v.snap.Owner(h); v.counters[i].take(ceiling(total, v.bounds[i])) {
			return v.counters[i]
		}
		h = mix(h + phi) // a jump, not the neighbor: one that is full does not fill the next
	}
	first := v.snap.Owner(h)
	for i := range n {
		if i = (first + i) % n; v.counters[i].take(ceiling(total, v.bounds[i])) {
			return v.counters[i]
		}
	}
	return nil
}

// take adds one to the load if it then is at most limit, and reports whether it did.
func (c *counter) take(limit int64) bool {
	for {
		load := c.load.Load()
		if load < 0 || load >= limit {
			return false
		}
		if c.load.CompareAndSwap(load, load+1) {
			if admitted != nil {
				admitted(load+1, limit)
			}
			return true
		}
	}
}

// admitted is called by tests at each admission.
var admitted func(load, limit int64)

// ceiling returns total·bound/2^32 rounded up, at most 2^63-1.
func ceiling(total int64, bound uint64) int64 {
	hi, lo := bits.Mul64(uint64(total), bound)
	lo, carry := bits.Add64(lo, 1<<32-1, 0)
	hi += carry
	if hi >= 1<<31 {
		return math.MaxInt64
	}
	return int64(hi<<32 | lo>>32)
}

// current returns the view of the ring as it is now.
func (b *Balancer) current() *view {
	if v := b.view.Load(); v != nil && v.snap == b.ring.Snapshot() {
		return v
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.ring.Snapshot()
	if v := b.view.Load(); v != nil && v.snap == s {
		return v
	}
	v := &view{snap: s, counters: make([]*counter, len(s.nodes)), bounds: make([]uint64, len(s.nodes))}
	weights, sum := 0.0, uint64(0)
	for _, n := range s.nodes {
		weights += n.Weight
	}
	for i, n := range s.nodes {
		c := b.counters[n.Name]
		if c == nil {
			c = &counter{name: n.Name}
			b.counters[n.Name] = c
		}
		v.counters[i] = c
		v.bounds[i] = uint64(b.factor * (n.Weight / weights) * (1 << 32))
		sum += v.bounds[i]
	}
	if sum < 1<<32 { // there must be room for all, however close to 1 the factor is
		for i := range v.bounds {
			v.bounds[i]++
		}
	}
	for name, c := range b.counters {
		if !s.Has(name) && c.load.CompareAndSwap(0, retired) {
			delete(b.counters, name)
		}
	}
	b.view.Store(v)
	return v
}

// Total returns the number of leases, and of the requests being admitted.
func (b *Balancer) Total() int64 { return b.total.Load() }

// Loads returns an iterator over the names that are members or have leases, sorted, and the number
// of their leases. It is a snapshot of the names; the loads are read one by one.
func (b *Balancer) Loads() iter.Seq2[string, int64] {
	return func(yield func(string, int64) bool) {
		if b.ring == nil {
			return
		}
		b.current()
		for _, c := range b.sorted() {
			if !yield(c.name, max(c.load.Load(), 0)) {
				return
			}
		}
	}
}

// sorted returns the counters in the order of their names.
func (b *Balancer) sorted() []*counter {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]*counter, 0, len(b.counters))
	for _, c := range b.counters {
		all = append(all, c)
	}
	slices.SortFunc(all, func(x, y *counter) int {
		if x.name < y.name {
			return -1
		}
		return 1
	})
	return all
}

// Node returns the name of the node that the request was admitted to.
func (l Lease) Node() string {
	if l.c == nil {
		return ""
	}
	return l.c.name
}

// Release ends the request. It must be called once, and may be when the node has left the ring.
// It panics if l is the zero Lease or if it finds that more was released than acquired.
func (l Lease) Release() {
	if l.c == nil {
		panic("consistenthash: Release: the Lease must be one that Acquire returned, got zero")
	}
	if load := l.c.load.Add(-1); load < 0 {
		l.c.load.Add(1)
		panic(fmt.Sprintf("consistenthash: Release: a lease on %q was released twice", l.c.name))
	}
	l.b.total.Add(-1)
}
