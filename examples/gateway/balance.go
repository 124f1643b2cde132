// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ashlar-go/ashlar/consistenthash"
)

// A policy decides which of several servers gets a request.
type policy interface {
	// pick returns the index of a server for a request of client, among those that usable permits,
	// and what to call when the request is done; or -1 and nil if none is usable.
	// It is safe for concurrent use by multiple goroutines.
	pick(client string, usable func(i int) bool) (i int, done func())
}

// policies are the values of -lb, in the order in which they are compared.
var policies = []string{"roundrobin", "weighted", "leastconn", "hash", "bounded"}

// boundedFactor is how much more than its share a server may have in flight under "bounded".
const boundedFactor = 1.25

// newPolicy returns the policy called name for servers that are called names[i] and can do
// weights[i] times the work of one of weight 1.
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

func (p *roundRobin) pick(_ string, usable func(int) bool) (int, func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k := range p.n {
		if i := (p.turn + k) % p.n; usable(i) {
			p.turn = i + 1
			return i, nothing
		}
	}
	return -1, nil
}

// weighted takes the servers in turn, each as often as its weight says, and spread out: every
// server earns its weight, and the richest pays for all. With 1:1:2 the turn is 3 1 2 3.
type weighted struct {
	mu      sync.Mutex // protects credit
	credit  []int
	weights []int
}

func (p *weighted) pick(_ string, usable func(int) bool) (int, func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	best, total := -1, 0
	for i, w := range p.weights {
		if !usable(i) {
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

// leastConn takes the server with the fewest requests in flight for its weight, and equals in turn.
type leastConn struct {
	mu      sync.Mutex // protects open and turn
	open    []int
	turn    int
	weights []int
}

func (p *leastConn) pick(_ string, usable func(int) bool) (int, func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	best := -1
	for k := range p.weights {
		i := (p.turn + k) % len(p.weights)
		if usable(i) && (best < 0 || p.open[i]*p.weights[best] < p.open[best]*p.weights[i]) {
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

// hashed sends a client to the same server each time, so that what the server remembers of it
// is of use; bounded, it does so unless that server is busy.
type hashed struct {
	ring     consistenthash.Ring
	balancer *consistenthash.Balancer // nil if not bounded
	nodes    []consistenthash.Node
	index    map[string]int

	mu      sync.Mutex // protects members
	members []bool     // who is on the ring, if bounded
}

func newHashed(names []string, weights []int, bounded bool) (*hashed, error) {
	p := &hashed{index: make(map[string]int), members: make([]bool, len(names))}
	for i, name := range names {
		p.index[name] = i
		p.nodes = append(p.nodes, consistenthash.Node{Name: name, Weight: float64(weights[i])})
		p.members[i] = true
	}
	if bounded {
		p.balancer = consistenthash.Bounded(&p.ring, boundedFactor)
	}
	return p, p.ring.Set(p.nodes...)
}

func (p *hashed) pick(client string, usable func(int) bool) (int, func()) {
	if p.balancer != nil {
		return p.pickBounded(client, usable)
	}
	// Who comes next on the ring takes the place of who is down, for as long as that lasts.
	for node := range p.ring.Snapshot().All(client) {
		if i := p.index[node.Name]; usable(i) {
			return i, nothing
		}
	}
	return -1, nil
}

// pickBounded takes who is not usable off the ring, since a bound is a share of those who are.
func (p *hashed) pickBounded(client string, usable func(int) bool) (int, func()) {
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
	lease, ok := p.balancer.Acquire(client)
	if !ok {
		return -1, nil
	}
	return p.index[lease.Node()], lease.Release
}

// A balance is how evenly a policy spreads the requests of a replay.
type balance struct {
	policy   string
	requests []int   // by server
	load     float64 // mean over the requests of the busiest server's in-flight work, 1 being its share
	stays    int     // requests that went where the client's one before went
	returns  int     // requests of clients that had been there before
}

// meanInFlight is how many requests are in flight on average when policies are compared.
const meanInFlight = 24

// compareBalance sends the requests to imaginary servers under each policy, at the times of
// the log. Each stays there for an exponential time, the same under all policies, whose mean is
// such that meanInFlight are there at once. It returns an error if a policy breaks its promise.
func compareBalance(requests []request, names []string, weights []int, seed uint64) ([]balance, error) {
	first, last := requests[0].at, requests[0].at
	for _, r := range requests {
		if r.at.After(last) {
			last = r.at
		}
	}
	mean := float64(last.Sub(first)) * meanInFlight / float64(len(requests))
	var all []balance
	for _, name := range policies {
		p, err := newPolicy(name, names, weights)
		if err != nil {
			return nil, err
		}
		s := &imaginary{
			balance: balance{policy: name, requests: make([]int, len(names))},
			weights: weights, open: make([]int, len(names)), where: make(map[string]int),
			rng: rand.New(rand.NewPCG(seed, 3)),
		}
		for _, r := range requests {
			if err := s.admit(p, seenAs(&r), r.at, mean); err != nil {
				return nil, fmt.Errorf("law broken: %s: %w", name, err)
			}
		}
		s.load /= float64(len(requests))
		all = append(all, s.balance)
	}
	return all, nil
}

// imaginary is servers that are only counted.
type imaginary struct {
	balance
	weights []int
	open    []int // in flight by server
	total   int
	now     time.Time
	ends    []end // in order of time
	where   map[string]int
	rng     *rand.Rand
}

// An end is when a request will be done.
type end struct {
	at     time.Time
	server int
	done   func()
}

// admit sends a request to the server that p picks, after those that end before it have ended.
func (s *imaginary) admit(p policy, client string, at time.Time, mean float64) error {
	if at.After(s.now) {
		s.now = at
	}
	for len(s.ends) > 0 && !s.ends[0].at.After(s.now) {
		s.ends[0].done()
		s.open[s.ends[0].server]--
		s.total--
		s.ends = s.ends[1:]
	}
	i, done := p.pick(client, func(int) bool { return true })
	if err := s.judge(i, client); err != nil {
		return err
	}
	s.requests[i]++
	s.open[i]++
	s.total++
	e := end{s.now.Add(time.Duration(s.rng.ExpFloat64() * mean)), i, done}
	k, _ := slices.BinarySearchFunc(s.ends, e, func(a, b end) int { return a.at.Compare(b.at) })
	s.ends = slices.Insert(s.ends, k, e)
	busiest := 0.0
	for j := range s.open {
		busiest = max(busiest, float64(s.open[j])/s.share(j))
	}
	s.load += busiest
	return nil
}

// share returns what of the work in flight belongs on server j.
func (s *imaginary) share(j int) float64 {
	return float64(s.total) * float64(s.weights[j]) / float64(sum(s.weights))
}

func sum(a []int) (n int) {
	for _, x := range a {
		n += x
	}
	return n
}

// judge returns an error if i is not a server that the policy may pick for client.
func (s *imaginary) judge(i int, client string) error {
	before, seen := s.where[client]
	s.where[client] = i
	if seen {
		s.returns++
		if before == i {
			s.stays++
		}
	}
	n := sum(s.requests) + 1
	switch s.policy {
	case "roundrobin":
		if want := (n - 1) % len(s.requests); i != want {
			return fmt.Errorf("request %d goes to server %d, its turn has %d", n, i+1, want+1)
		}
	case "weighted":
		// The credits are what a server is behind its share; the picked one has the largest, which
		// is above 0. So no server is ever ahead of its share by a whole request.
		if over := (s.requests[i]+1)*sum(s.weights) - n*s.weights[i]; over >= sum(s.weights) {
			return fmt.Errorf("server %d has %d of %d requests", i+1, s.requests[i]+1, n)
		}
	case "leastconn":
		for j := range s.open {
			if s.open[j]*s.weights[i] < s.open[i]*s.weights[j] {
				return fmt.Errorf("server %d has %d in flight, and %d has %d", i+1, s.open[i], j+1, s.open[j])
			}
		}
	case "hash":
		if seen && before != i {
			return fmt.Errorf("%s goes to server %d, and went to %d", client, i+1, before+1)
		}
	case "bounded":
		// The bound is the factor's share of all, rounded up.
		if limit := boundedFactor * float64(s.total+1) * float64(s.weights[i]) / float64(sum(s.weights)); float64(s.open[i]) >= limit {
			return fmt.Errorf("server %d has %d in flight and gets one more, above %.2f", i+1, s.open[i], limit)
		}
	}
	return nil
}

// imbalance returns by how much the server with the most requests for its weight exceeds its share.
func imbalance(requests, weights []int) float64 {
	worst := 0.0
	for i, n := range requests {
		worst = max(worst, float64(n)*float64(sum(weights))/float64(max(sum(requests), 1))/float64(weights[i]))
	}
	return worst
}

func printBalance(w io.Writer, all []balance, weights []int) {
	fmt.Fprintf(w, "policies compared on the same requests, %d in flight on average, servers of weight %s\n",
		meanInFlight, joinInts(weights, ":"))
	fmt.Fprintf(w, "%-12s %9s %9s %8s  %s\n", "policy", "requests", "in flight", "sticky", "share of each server")
	for _, b := range all {
		fmt.Fprintf(w, "%-12s %8.2fx %8.2fx %6.0f %%  ", b.policy, imbalance(b.requests, weights), b.load,
			100*float64(b.stays)/float64(max(b.returns, 1)))
		for _, n := range b.requests {
			fmt.Fprintf(w, "%5.1f %%", 100*float64(n)/float64(sum(b.requests)))
		}
		fmt.Fprintln(w)
	}
}

func joinInts(a []int, sep string) string {
	var parts []string
	for _, x := range a {
		parts = append(parts, fmt.Sprint(x))
	}
	return strings.Join(parts, sep)
}
