// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
)

// fanOut is how many random nodes each that knows tells in a round.
const fanOut = 3

// spread returns after how many rounds all of n nodes know what one knew, and
// how many messages that took.
func spread(n int, rng *rand.Rand) (rounds, messages int) {
	knows := make([]bool, n)
	knows[0] = true
	for count := 1; count < n; rounds++ {
		var told []int
		for i := range n {
			if !knows[i] {
				continue
			}
			for range fanOut {
				messages++
				told = append(told, rng.IntN(n))
			}
		}
		for _, i := range told {
			if !knows[i] {
				knows[i] = true
				count++
			}
		}
	}
	return rounds, messages
}

// reportGossip prints how fast a new member is known to all.
func reportGossip(_ context.Context, c *config, w io.Writer) error {
	const runs = 50
	rng := rand.New(rand.NewPCG(c.seed, 2))
	fmt.Fprintf(w, "a new member is told of by gossip, to %d random nodes a round\n", fanOut)
	fmt.Fprintf(w, "%8s%16s%14s%14s%20s\n", "N", "rounds, mean", "most", "log4 N", "messages a node")
	for _, n := range []int{8, 32, 128, 512, 2048} {
		sum, most, sent := 0, 0, 0
		for range runs {
			rounds, messages := spread(n, rng)
			sum += rounds
			most = max(most, rounds)
			sent += messages
		}

		// Each round reaches up to four times as many, and the last ones are
		// found by chance.
		log := math.Log(float64(n)) / math.Log(1+fanOut)
		fmt.Fprintf(w, "%8d%16.1f%14d%14.1f%20.1f\n", n, float64(sum)/runs, most, log, float64(sent)/runs/float64(n))
		if bound := math.Log2(float64(n)) + 6; float64(most) > bound {
			return fmt.Errorf("gossip takes %d rounds for %d nodes, want at most %.0f", most, n, bound)
		}
	}
	_, err := fmt.Fprint(w, "law holds: all know after log N rounds and a few\n\n")
	return err
}
