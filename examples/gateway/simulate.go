// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// A balance is how evenly a policy spreads the requests of a replay.
type balance struct {
	policy   string
	requests []int   // by server
	load     float64 // mean over the requests of the busiest server's in-flight work, 1 being its share
	stays    int     // requests that went where the client's one before went
	returns  int     // requests of clients that had been there before
}

// meanInFlight is how many requests are in flight on average when policies are
// compared.
const meanInFlight = 24

// compareBalance sends the requests to simulated servers under each policy, at
// the times of the log. Each stays there for an exponential time, the same
// under all policies, whose mean is such that meanInFlight are there at once.
// It returns an error if a policy breaks its promise.
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

		s := &simulation{
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

// A simulation is servers that are only counted.
type simulation struct {
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

// admit sends a request to the server that p picks, after those that end before
// it have ended.
func (s *simulation) admit(p policy, client string, at time.Time, mean float64) error {
	if at.After(s.now) {
		s.now = at
	}
	for len(s.ends) > 0 && !s.ends[0].at.After(s.now) {
		s.ends[0].done()
		s.open[s.ends[0].server]--
		s.total--
		s.ends = s.ends[1:]
	}

	i, done := p.pick(client, -1, func(int) bool { return true })
	if err := s.judge(i, client); err != nil {
		return err
	}

	// The request is done after an exponential time.
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

// share returns the part of the work in flight that belongs on server j.
func (s *simulation) share(j int) float64 {
	return float64(s.total) * float64(s.weights[j]) / float64(sum(s.weights))
}

func sum(a []int) (n int) {
	for _, x := range a {
		n += x
	}
	return n
}

// judge returns an error if i is not a server that the policy may pick for
// client.
func (s *simulation) judge(i int, client string) error {
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
		// The credits are what a server is behind its share; the picked one has
		// the largest, which is above 0. So no server is ever ahead of its
		// share by a whole request.
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

// imbalance returns by how much the server with the most requests for its
// weight exceeds its share.
func imbalance(requests, weights []int) float64 {
	worst := 0.0
	for i, n := range requests {
		worst = max(worst, float64(n)*float64(sum(weights))/float64(max(sum(requests), 1))/float64(weights[i]))
	}
	return worst
}
