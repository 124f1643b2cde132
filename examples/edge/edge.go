// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ashlar-go/ashlar/bloom"
	"github.com/ashlar-go/ashlar/consistenthash"
	"github.com/ashlar-go/ashlar/lru"
)

// An outcome is what becomes of a request.
type outcome int

const (
	fromCache  outcome = iota // as it is
	notThere                  // from the cache, which knows that it is not there
	whileFresh                // an old one, while a new one is fetched
	ifError                   // an old one, since there is no new one
	joined                    // it waited for a fetch of another request
	fetched                   // from the origin
	passed                    // from the origin, to be kept by nobody
	refused                   // 503
	outcomes
)

// A node is one of the caches.
type node struct {
	name  string
	edge  *edge
	cache *lru.Cache[int, *answer]
	seen  *bloom.Window
}

// An edge is the cluster. It is driven by one goroutine.
type edge struct {
	*traffic
	at       time.Time
	begin    time.Time
	origin   *origin
	ring     *consistenthash.Ring
	balancer *consistenthash.Balancer
	nodes    []*node // with those that come later
	byName   map[string]*node
	leases   []consistenthash.Lease
	next     int // of the changes
	law      *law
	loaded   bool // the request has made its node ask
	pinned   map[int]bool
	given    map[int]string // the last ETag that clients got of an object
	counts   [outcomes]int
	byClass  [][outcomes]int
	latency  []time.Duration
	saved    int // bodies that clients had already
	pins     int // pinned answers that were evicted
	capacity int // of a node, in bytes

	// In tests and for comparison, what goes wrong.
	aside     bool // get, fetch, set
	ownerOnly bool // a purge reaches only the node that the ring says
	lateClock bool // an answer is as old as its time in the cache
	unclamped bool // the origin's word is taken
	noPins    bool // pins are forgotten
}

// The load of a node is what it has of the last requests, so many for each node
// on average. No node has more than boundFactor times its share of them.
const (
	loadLen     = 50
	boundFactor = 1.25
	points      = 1000 // of a node on the ring: shares differ by 3 %
)

// The origin is down for a while, and a node comes in the middle.
const (
	downFrom = 0.70
	downTo   = 0.75
	resizeAt = 0.50
)

func newEdge(t *traffic) *edge {
	e := &edge{
		traffic: t,
		begin:   time.Unix(1e9, 0),
		ring:    consistenthash.New(&consistenthash.Options{VirtualNodes: points}),
		byName:  map[string]*node{},
		given:   map[int]string{},
		byClass: make([][outcomes]int, len(behaviors)),
	}
	e.at = e.begin
	e.capacity = t.mem << 20 / t.nodes
	e.origin = newOrigin(t.objects, e.now, func() bool { return e.in(downFrom, downTo) })
	e.law = newLaw(t)
	e.balancer = consistenthash.NewBalancer(e.ring, boundFactor)
	e.pinned = t.hottest(2)
	e.add(t.nodes)
	return e
}

func (e *edge) now() time.Time { return e.at }

// in reports whether it is between two parts of the time.
func (e *edge) in(from, to float64) bool {
	total := float64(e.requests[len(e.requests)-1].at)
	at := float64(e.at.Sub(e.begin))
	return at >= from*total && at < to*total
}

// add adds so many nodes.
func (e *edge) add(count int) {
	var places []consistenthash.Node
	for range count {
		n := e.newNode()
		e.nodes = append(e.nodes, n)
		e.byName[n.name] = n
		places = append(places, consistenthash.Node{Name: n.name})
	}
	if err := e.ring.Add(places...); err != nil {
		panic(err) // the names are ours
	}
}

// newNode returns the next node.
func (e *edge) newNode() *node {
	n := &node{name: fmt.Sprintf("edge-%d", len(e.nodes)+1), edge: e}
	n.seen = bloom.NewWindow(1<<16, 0.01, 24*time.Hour, &bloom.WindowOptions{Now: e.now})
	n.cache = lru.New(e.capacity, &lru.Options[int, *answer]{
		Policy:       e.policy,
		Load:         n.load,
		Cost:         func(key int, _ *answer) int { return e.objects[key].size },
		TTLOf:        n.lifetime,
		StaleIfError: hopeful,
		ErrorTTL:     n.retry,
		Tags:         func(key int, _ *answer) []string { return e.objects[key].tags },
		OnRemove: func(key int, _ *answer, why lru.Cause) {
			if why == lru.Evicted && e.pinned[key] {
				e.pins++
			}
		},
		Shards: 1, // one goroutine; the default is for many
		Now:    e.now,
	})
	return n
}

// A passError has an answer that is to be kept by nobody.
type passError struct{ answer *answer }

func (*passError) Error() string { return "not to be kept" }

// load fetches an object, for requests or in the background.
func (n *node) load(ctx context.Context, key int) (*answer, error) {
	e := n.edge
	e.loaded = true
	old, _ := n.cache.Peek(key)
	a, err := e.origin.fetch(ctx, key, old)
	if err != nil {
		return nil, err
	}

	// The answer is on its way, and is as old as that when it arrives.
	e.wait(miss)
	a.arrived = e.at
	b := &behaviors[behaviorOf(e.objects[key].path)]
	fresh, ok := b.clamp(a.control)
	switch {
	case !ok:
		return nil, &passError{a}
	case a.status == 404:
		fresh = min(fresh, negative)
	case e.unclamped && b.name == "/posts/":
		fresh = 24 * time.Hour
	}
	a.fresh = fresh
	a.first = old == nil && b.second && !e.pinned[key] && !n.seen.SeenUint64(uint64(key))
	return a, nil
}

// tooLarge reports whether an object would drive too much out of a cache.
func tooLarge(size, capacity int) bool { return size > capacity/8 }

// lifetime returns how long the cache keeps an answer, from now on.
func (n *node) lifetime(key int, a *answer) time.Duration {
	if a.first || tooLarge(n.edge.objects[key].size, n.edge.capacity) {
		return 0 // it is not stored
	}
	b := &behaviors[behaviorOf(n.edge.objects[key].path)]
	whole := a.fresh + b.swr
	if a.status == 404 {
		whole = a.fresh
	}
	if n.edge.lateClock {
		return whole
	}
	return whole - n.edge.at.Sub(a.date)
}

// retry returns how long an error is remembered.
func (n *node) retry(_ int, err error) time.Duration {
	if errors.As(err, new(*passError)) {
		return time.Minute
	}
	return time.Second
}

// wait lets time pass while an answer is on its way, and happen what happens
// then.
func (e *edge) wait(d time.Duration) {
	until := e.at.Add(d)
	e.happen(until)
	e.at = until
}

// happen makes the changes that are due.
func (e *edge) happen(until time.Time) {
	for ; e.next < len(e.changes); e.next++ {
		c := e.changes[e.next]
		at := e.begin.Add(c.at)
		if at.After(until) {
			return
		}
		if at.After(e.at) {
			e.at = at
		}
		e.change(c)
	}
}

// change makes a new version of an object, and purges what it has to. After
// that the purge is acknowledged: the law knows.
func (e *edge) change(c change) {
	e.origin.version[c.key]++
	o := &e.objects[c.key]
	for _, n := range e.nodes {
		if owner, _ := e.ring.Get(o.path); e.ownerOnly && n.name != owner {
			continue
		}
		switch {
		case c.purge == byPath:
			n.cache.Delete(c.key)
		case c.purge == byTag && len(o.tags) > 0:
			n.cache.DeleteTag(o.tags[0])
		}
	}
	e.law.purged(c, e.origin.version)
}

// serve answers a request.
func (e *edge) serve(ctx context.Context, r request) error {
	e.at = e.begin.Add(r.at)
	e.happen(e.at)
	e.at = e.begin.Add(r.at)
	if len(e.leases) >= loadLen*e.traffic.nodes {
		e.leases[0].Release()
		e.leases = e.leases[1:]
	}
	l, ok := e.balancer.Acquire(e.objects[r.key].path)
	if !ok {
		return errors.New("law broken: no node takes a request")
	}
	e.leases = append(e.leases, l)
	n := e.byName[l.Node()]

	// What must be seen is what was acknowledged when the request came.
	least := e.law.least[r.key]
	out, a := n.answer(ctx, r)
	took := hit
	switch {
	case out == joined:
		took = max(a.arrived.Sub(e.begin.Add(r.at)), hit)
	case out == fetched || out == passed:
		took = miss
	}
	e.counts[out]++
	e.byClass[behaviorOf(e.objects[r.key].path)][out]++
	e.latency = append(e.latency, took)
	if a == nil {
		return nil
	}
	if r.again && e.given[r.key] == a.etag {
		e.saved++ // the client gets a 304, and has the rest
	}
	e.given[r.key] = a.etag
	return e.law.observe(e.begin.Add(r.at), r.key, a, out, least)
}

// answer returns the answer of a node, and what became of the request.
func (n *node) answer(ctx context.Context, r request) (outcome, *answer) {
	e := n.edge
	came := e.at
	defer func() { e.at = came }() // other requests come while this one waits
	e.loaded = false
	if e.aside {
		return n.answerAside(ctx, r)
	}
	entry, err := n.cache.LoadEntry(ctx, r.key)
	a := entry.Value
	var pass *passError
	switch {
	case errors.As(err, &pass) && e.loaded:
		return passed, pass.answer
	case errors.As(err, &pass):
		if a, err = e.origin.fetch(ctx, r.key, nil); err == nil {
			return passed, a
		}
	}
	if err != nil {
		return refused, nil
	}
	if e.pinned[r.key] && !e.noPins {
		n.cache.Pin(r.key)
	}

	age := came.Sub(a.date)
	switch {
	case entry.Err != nil:
		return ifError, a
	case e.loaded:
		return fetched, a
	case came.Before(a.arrived):
		return joined, a
	case a.status == 404:
		return notThere, a
	case age <= a.fresh:
		return fromCache, a
	}

	// Old: the next request gets a new one.
	_, _ = n.cache.Refresh(ctx, r.key) // if that fails, the old one stays
	return whileFresh, a
}

// answerAside is what many programs do: get, and if there is nothing, fetch and
// set. What happens between fetch and set is overlooked.
func (n *node) answerAside(ctx context.Context, r request) (outcome, *answer) {
	if a, ok := n.cache.Get(r.key); ok {
		return fromCache, a
	}
	a, err := n.load(ctx, r.key)
	var pass *passError
	switch {
	case errors.As(err, &pass):
		return passed, pass.answer
	case err != nil:
		return refused, nil
	}
	n.cache.Set(r.key, a)
	return fetched, a
}
