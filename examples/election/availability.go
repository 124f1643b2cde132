// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"

	"github.com/ashlar-go/ashlar/quorum"
)

// up is the part of the time that a node answers.
const up = 0.9

// A voting is a system of quorums, and its availability on paper.
type voting struct {
	name   string
	system quorum.System
	theory func(p float64) float64
}

// votings returns the systems of the table.
func votings() []voting {
	grid := quorum.Of(2,
		quorum.Of(3, quorum.Threshold(1, quorum.SetOf(0, 1, 2)), quorum.Threshold(1, quorum.SetOf(3, 4, 5)), quorum.Threshold(1, quorum.SetOf(6, 7, 8))),
		quorum.Of(1, quorum.Threshold(3, quorum.SetOf(0, 1, 2)), quorum.Threshold(3, quorum.SetOf(3, 4, 5)), quorum.Threshold(3, quorum.SetOf(6, 7, 8))))
	zones := quorum.Of(2, quorum.Majority(quorum.SetOf(0, 1, 2)), quorum.Majority(quorum.SetOf(3, 4, 5)), quorum.Majority(quorum.SetOf(6, 7, 8)))
	m3 := func(p float64) float64 { return atLeast(2, 3, p) }
	return []voting{
		{"one node", quorum.Threshold(1, quorum.First(1)), func(p float64) float64 { return p }},
		{"majority of 3", quorum.Majority(quorum.First(3)), m3},
		{"majority of 5", quorum.Majority(quorum.First(5)), func(p float64) float64 { return atLeast(3, 5, p) }},
		{"all of 3", quorum.Threshold(3, quorum.First(3)), func(p float64) float64 { return p * p * p }},
		{"weights 2 1 1 1", quorum.Weighted(3, 2, 1, 1, 1), func(p float64) float64 {
			return p*atLeast(1, 3, p) + (1-p)*p*p*p // with the heavy one and another, or without it
		}},
		{"2 of 3 zones of 3", zones, func(p float64) float64 { return m3(m3(p)) }},
		{"grid of 3 by 3", grid, func(p float64) float64 {
			row, any := p*p*p, 1-math.Pow(1-p, 3)
			return math.Pow(any, 3) - math.Pow(any-row, 3) // one of each row, and not without a whole one
		}},
	}
}

// atLeast returns the probability that k of n nodes or more answer.
func atLeast(k, n int, p float64) (sum float64) {
	for i := k; i <= n; i++ {
		ways := 1.0
		for j := range i {
			ways = ways * float64(n-j) / float64(j+1)
		}
		sum += ways * math.Pow(p, float64(i)) * math.Pow(1-p, float64(n-i))
	}
	return sum
}

// trials is in how many states of its nodes a system is asked.
const trials = 200_000

// measure returns how often a quorum answers, which must be what theory says,
// within five standard deviations.
func (v *voting) measure(rng *rand.Rand) (found float64, err error) {
	hits := 0
	for range trials {
		var alive quorum.Set
		for i := range v.system.Replicas().Len() {
			if rng.Float64() < up {
				alive |= quorum.SetOf(i)
			}
		}
		if v.system.Has(alive) {
			hits++
		}
	}
	found = float64(hits) / trials
	want := v.theory(up)
	if math.Abs(found-want) > 5*math.Sqrt(want*(1-want)/trials) {
		return found, fmt.Errorf("%s is available %.4f of the time, want %.4f", v.name, found, want)
	}
	return found, nil
}

// reportAvailability asks each system whether it can go on.
func reportAvailability(_ context.Context, c *config, w io.Writer) error {
	fmt.Fprintf(w, "a quorum answers, if each node does %.0f %% of the time\n", 100*up)
	fmt.Fprintf(w, "%-20s%8s%11s%11s%12s\n", "system", "nodes", "found", "theory", "survives")
	rng := rand.New(rand.NewPCG(c.seed, 6))
	for _, v := range votings() {
		found, err := v.measure(rng)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%-20s%8d%9.2f %%%9.2f %%%12d\n", v.name, v.system.Replicas().Len(), 100*found, 100*v.theory(up), v.system.Resilience())
	}
	_, err := fmt.Fprint(w, "law holds: each system is available as often as its formula says\n")
	return err
}
