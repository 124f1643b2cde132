// SPDX-License-Identifier: MIT

package consistenthash

import (
	"fmt"
	"iter"
	"math"
	"math/bits"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// A Balancer sends requests to the nodes of a [Ring], and to none more than its
// share of the load times a factor: a key goes to its owner, or, if the owner
// is full, to another node that the key chooses. It is safe for concurrent use
// by multiple goroutines and must not be copied. Use [NewBalancer]; methods of
// a zero Balancer panic.
//
// The loads belong to names, and outlive changes of the ring: a node that
// leaves and comes back still has its leases.
type Balancer struct {
	ring   *Ring
	factor float64
	_      [64]byte // the total changes with each request, the fields above never
	total  atomic.Int64
	_      [56]byte
	view   atomic.Pointer[view]

	mu       sync.Mutex // protects the fields below, and the making of views
	counters map[string]*counter
	admitted uint64 // by counters that are retired
	away     uint64 // by counters that are retired
}

// A view is a snapshot with the counters and bounds of its nodes.
type view struct {
	snap     *Snapshot
	counters []*counter // of each node
	bounds   []uint64   // of each node: factor times its share of the weights, in units of 2^-32
}

// A counter is the load of a name. It leaves the map when it is retired.
type counter struct {
	load     atomic.Int64
	admitted atomic.Uint64
	away     atomic.Uint64 // admitted, though another node owns the key
	name     string
	orphan   atomic.Bool // the name is no member: the last lease retires the counter
	_        [20]byte    // a line of its own
}

const (
	retired   = math.MinInt64 / 2 // the load of a retired counter, which admits nothing
	maxFactor = 1 << 20
)

// A Lease is an admitted request. It counts until it is released.
type Lease struct {
	b *Balancer
	c *counter
}

// NewBalancer returns a Balancer over r with a factor above 1: 1.25 is usual. A
// factor closer to 1 balances better, moves more keys off their owner, and
// looks at more nodes: about 1/e² with a factor of 1+e, as Mirrokni and others
// show. It panics if the factor is not above 1 and at most 2^20.
func NewBalancer(r *Ring, factor float64) *Balancer {
	if !(factor > 1 && factor <= maxFactor) {
		panic(fmt.Sprintf("consistenthash: factor must be above 1 and at most 2^20, got %v", factor))
	}
	return &Balancer{ring: r, factor: factor, counters: map[string]*counter{}}
}

// Acquire admits a request for key and returns a lease on the node it goes to;
// ok is false if no node has a share. At the instant of admission the load of
// the node, this request included, is at most
//
//	ceil(total · factor · weight / weights)
//
// where total is the number of all leases and of the requests being admitted,
// this one included, at an instant during the call; a factor below 1 + n/2^32,
// where n is the number of nodes, may count as that. Leases do not move, so as
// others are released a node may be above the bound of the moment until its own
// are.
func (b *Balancer) Acquire(key string) (l Lease, ok bool) {
	total := b.enter()
	for {
		// The ring may have changed since the last round.
		v := b.current()
		if v.snap.live == 0 {
			b.total.Add(-1)
			return Lease{}, false
		}
		if c := v.find(v.snap.Hash(key), total, nil); c != nil {
			return Lease{b, c}, true
		}
		// The bounds add up to at least the total, so when it was read a node
		// had room. Other requests were faster: look again.
		total = b.total.Load()
	}
}

// AcquireOther is [Balancer.Acquire] for a request that failed: it admits the
// request to a node other than those in except, within the same bound. ok is
// false if none of the others has room now: the bound promises room among all
// nodes, not among some. Release the lease on the failed node first, or it
// counts in the total.
func (b *Balancer) AcquireOther(key string, except ...string) (l Lease, ok bool) {
	total := b.enter()
	v := b.current()
	if v.snap.live > 0 {
		if c := v.find(v.snap.Hash(key), total, except); c != nil {
			return Lease{b, c}, true
		}
	}
	b.total.Add(-1)
	return Lease{}, false
}

// enter counts a request that is being admitted, and returns the new total.
func (b *Balancer) enter() int64 {
	b.mustUse()
	return b.total.Add(1)
}

// mustUse panics if b is zero.
func (b *Balancer) mustUse() {
	if b.ring == nil {
		panic("consistenthash: zero Balancer: use NewBalancer")
	}
}

// find takes a place on a node that has one and is not in except, or returns
// nil if none was seen.
func (v *view) find(h uint64, total int64, except []string) *counter {
	owner := v.snap.Owner(h)
	if v.take(owner, total, except) {
		return v.counters[owner].count(false)
	}

	// Jump, rather than go to the neighbor: a full node does not fill the next.
	n := len(v.counters)
	i := owner
	for range 4*bits.Len(uint(n)) + 8 {
		h = mix(h + phi)
		i = v.snap.Owner(h)
		if v.take(i, total, except) {
			return v.counters[i].count(i != owner) // the owner may have room again
		}
	}

	// The jumps may have missed a node that has room: look at all.
	for range n {
		i = (i + 1) % n
		if v.take(i, total, except) {
			return v.counters[i].count(i != owner)
		}
	}
	return nil
}

// count counts an admission, of a key that another node owns if away is set.
func (c *counter) count(away bool) *counter {
	c.admitted.Add(1)
	if away {
		c.away.Add(1)
	}
	return c
}

// take takes a place on node i if it has one and is not in except.
func (v *view) take(i int, total int64, except []string) bool {
	c := v.counters[i]
	return !slices.Contains(except, c.name) && c.add(ceiling(total, v.bounds[i]))
}

// add adds one to the load if it then is at most limit, and reports whether it
// did.
func (c *counter) add(limit int64) bool {
	for {
		load := c.load.Load()
		if load < 0 || load >= limit {
			return false // retired, or full
		}
		if c.load.CompareAndSwap(load, load+1) {
			if admitted != nil {
				admitted(load+1, limit)
			}
			return true
		}
	}
}

// admitted is set by tests, and called at each admission.
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
		return v // another goroutine made it
	}

	// Names that stay keep their counter, and with it their load.
	v := &view{snap: s, counters: make([]*counter, len(s.nodes)), bounds: bounds(s, b.factor)}
	for i, name := range s.names {
		v.counters[i] = b.counterLocked(name)
	}
	b.view.Store(v)

	// Names that left keep their counter until their last lease is released.
	for name, c := range b.counters {
		if !s.Has(name) {
			c.orphan.Store(true)
			b.retireLocked(c)
		}
	}
	return v
}

// bounds returns the part of the total that each node of s may have, in units
// of 2^-32.
func bounds(s *Snapshot, factor float64) []uint64 {
	list := make([]uint64, len(s.nodes))
	total := s.totalWeight()
	sum := uint64(0)
	for i, n := range s.nodes {
		if s.counts[i] > 0 {
			list[i] = uint64(factor * (n.Weight / total) * (1 << 32))
			sum += list[i]
		}
	}

	// There must be room for the total, however close to 1 the factor is: each
	// bound was rounded down by less than a unit.
	if sum < 1<<32 {
		for i := range list {
			if s.counts[i] > 0 {
				list[i]++
			}
		}
	}
	return list
}

// counterLocked returns the counter of a member.
func (b *Balancer) counterLocked(name string) *counter {
	c := b.counters[name]
	if c == nil {
		c = &counter{name: name}
		b.counters[name] = c
	}
	c.orphan.Store(false)
	return c
}

// retireLocked forgets c if it is still an orphan, and has no lease.
func (b *Balancer) retireLocked(c *counter) {
	if c.orphan.Load() && c.load.CompareAndSwap(0, retired) {
		b.admitted += c.admitted.Load()
		b.away += c.away.Load()
		delete(b.counters, c.name)
	}
}

// Stats returns the counters of b. The complexity is O(n) where n is the number
// of nodes.
func (b *Balancer) Stats() BalancerStats {
	b.mustUse()
	b.mu.Lock()
	defer b.mu.Unlock()
	s := BalancerStats{Total: int(b.total.Load()), Admitted: b.admitted, Away: b.away}
	for _, c := range b.counters {
		s.Admitted += c.admitted.Load()
		s.Away += c.away.Load()
		s.Busiest = max(s.Busiest, int(c.load.Load()))
	}
	return s
}

// Total returns the number of leases, and of the requests being admitted.
func (b *Balancer) Total() int {
	b.mustUse()
	return int(b.total.Load())
}

// Loads returns an iterator over the names that are members or have leases,
// sorted, and the number of their leases. It is a snapshot of the names; the
// loads are read one by one.
func (b *Balancer) Loads() iter.Seq2[string, int] {
	b.mustUse()
	return func(yield func(string, int) bool) {
		b.current()
		for _, c := range b.sorted() {
			if !yield(c.name, int(max(c.load.Load(), 0))) {
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
	slices.SortFunc(all, func(x, y *counter) int { return strings.Compare(x.name, y.name) })
	return all
}

// Node returns the name of the node that the request was admitted to, or "" if
// l is the zero Lease.
func (l Lease) Node() string {
	if l.c == nil {
		return ""
	}
	return l.c.name
}

// Release ends the request. It must be called once, also if the node has left
// the ring. It panics if l is the zero Lease, or if it finds that more leases
// were released than acquired.
func (l Lease) Release() {
	if l.c == nil {
		panic("consistenthash: zero Lease: release what Acquire returned")
	}

	// A second release shows only when the node has no other lease.
	load := l.c.load.Add(-1)
	if load < 0 {
		l.c.load.Add(1)
		panic(fmt.Sprintf("consistenthash: a lease on %q was released twice", l.c.name))
	}
	l.b.total.Add(-1)

	// A race with current, which finds that the node has left: it sets orphan
	// and then reads the load. So either current sees that no lease is left, or
	// Release sees orphan.
	if load == 0 && l.c.orphan.Load() {
		l.b.mu.Lock()
		defer l.b.mu.Unlock()
		l.b.retireLocked(l.c)
	}
}
