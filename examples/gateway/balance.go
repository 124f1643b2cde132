// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"strings"
	"sync"

	"github.com/ashlar-go/ashlar/consistenthash"
)

// A policy decides which of several servers gets a request.
type policy interface {
	// pick returns the index of a server for a request of client, among those
	// that usable permits, and the function to call when the request is done;
	// or -1 and nil if there is none. It does not return failed, the index of a
	// server that has failed the request already, or -1. It is safe for
	// concurrent use by multiple goroutines.
	pick(client string, failed int, usable func(i int) bool) (i int, done func())
}

// policies are the values of -lb, in the order in which they are compared.
var policies = []string{"roundrobin", "weighted", "leastconn", "hash", "bounded"}

// boundedFactor is how much more than its share a server may have in flight
// under "bounded".
const boundedFactor = 1.25

// newPolicy returns the policy called name for servers that are called names[i]
// and can do weights[i] times the work of one of weight 1.
func newPolicy(name string, names []string, weights []int) (policy, error) {
	switch name {
	case "roundrobin":
		return &roundRobin{n: len(names)}, nil
	case "weighted":
		return &weighted{weights: weights, credit: make([]int, len(names))}, nil
	case "leastconn":
		return &leastConn{weights: weights, open: make([]int, len(names))}, nil
	case "hash", "bounded":
		return newHashed(names, weights, name == "bounded")
	}
	return nil, fmt.Errorf("no policy %q: want one of %s", name, strings.Join(policies, ", "))
}

func nothing() {}

// roundRobin takes the servers in turn, whatever they can do.
type roundRobin struct {
	mu   sync.Mutex // protects turn
	turn int
	n    int
}

func (p *roundRobin) pick(_ string, failed int, usable func(int) bool) (int, func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k := range p.n {
		if i := (p.turn + k) % p.n; i != failed && usable(i) {
			p.turn = i + 1
			return i, nothing
		}
	}
	return -1, nil
}

// weighted takes the servers in turn, each as often as its weight says, and
// spread out: every server earns its weight, and the richest pays for all. With
// 1:1:2 the turn is 3 1 2 3.
type weighted struct {
	mu      sync.Mutex // protects credit
	credit  []int
	weights []int
}

func (p *weighted) pick(_ string, failed int, usable func(int) bool) (int, func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	best, total := -1, 0
	for i, w := range p.weights {
		if i == failed || !usable(i) {
			continue
		}
		total += w
		p.credit[i] += w
		if best < 0 || p.credit[i] > p.credit[best] {
			best = i
		}
	}
	if best < 0 {
		return -1, nil
	}
	p.credit[best] -= total
	return best, nothing
}

// leastConn takes the server with the fewest requests in flight for its weight,
// and equals in turn.
type leastConn struct {
	mu      sync.Mutex // protects open and turn
	open    []int
	turn    int
	weights []int
}

func (p *leastConn) pick(_ string, failed int, usable func(int) bool) (int, func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	best := -1
	for k := range p.weights {
		i := (p.turn + k) % len(p.weights)
		if i == failed || !usable(i) {
			continue
		}
		if best < 0 || p.open[i]*p.weights[best] < p.open[best]*p.weights[i] {
			best = i
		}
	}
	if best < 0 {
		return -1, nil
	}
	p.turn = best + 1
	p.open[best]++
	return best, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.open[best]--
	}
}

// hashed sends a client to the same server each time, so that what the server
// remembers of it is of use; bounded, it does so unless that server is busy.
type hashed struct {
	ring     consistenthash.Ring
	balancer *consistenthash.Balancer // nil if not bounded
	nodes    []consistenthash.Node
	index    map[string]int

	mu      sync.Mutex // protects members
	members []bool     // by index: is the server on the ring? Only if bounded.
}

func newHashed(names []string, weights []int, bounded bool) (*hashed, error) {
	p := &hashed{index: make(map[string]int), members: make([]bool, len(names))}
	for i, name := range names {
		p.index[name] = i
		p.nodes = append(p.nodes, consistenthash.Node{Name: name, Weight: float64(weights[i])})
		p.members[i] = true
	}
	if bounded {
		p.balancer = consistenthash.NewBalancer(&p.ring, boundedFactor)
	}
	return p, p.ring.Set(p.nodes...)
}

func (p *hashed) pick(client string, failed int, usable func(int) bool) (int, func()) {
	if p.balancer != nil {
		return p.pickBounded(client, failed, usable)
	}
	// While a server is down, the next one on the ring takes its place.
	for node := range p.ring.Snapshot().All(client) {
		if i := p.index[node.Name]; i != failed && usable(i) {
			return i, nothing
		}
	}
	return -1, nil
}

// pickBounded takes servers that are not usable off the ring: the bound is a
// share of the others.
func (p *hashed) pickBounded(client string, failed int, usable func(int) bool) (int, func()) {
	p.mu.Lock()
	defer p.mu.Unlock()

	changed := false
	var present []consistenthash.Node
	for i, node := range p.nodes {
		is := usable(i)
		changed = changed || is != p.members[i]
		p.members[i] = is
		if is {
			present = append(present, node)
		}
	}

	if changed && p.ring.Set(present...) != nil {
		return -1, nil // cannot be: the nodes were accepted before
	}

	var lease consistenthash.Lease
	var ok bool
	if failed < 0 {
		lease, ok = p.balancer.Acquire(client)
	} else {
		lease, ok = p.balancer.AcquireOther(client, p.nodes[failed].Name)
	}
	if !ok {
		return -1, nil
	}
	return p.index[lease.Node()], lease.Release
}
