// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"io"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/ashlar-go/ashlar/skiplist"
)

// updates is how many updates are measured, and sorts of how many a sort is.
const (
	updates = 2000
	sorts   = 3
)

// A cost is what updates of a board of n players took.
type cost struct {
	n                 int
	compared          int // by the sorted set, in all updates
	sorted            int // comparisons, in all sorts
	moved             int // entries of a sorted slice, in all updates
	wrong             int // scores in the set that are not those that were set
	setTime, sortTime time.Duration
}

// few is a generous bound for the comparisons of an update, which deletes a
// score and sets another: a search takes about log n of them.
func few(n int) int { return 6 * bits.Len(uint(n)) }

// measure updates a board of n players in three ways.
func measure(seed uint64, n int) cost {
	rng := rand.New(rand.NewPCG(seed, uint64(n)))
	c := cost{n: n}
	set := skiplist.NewSortedSetFunc(func(a, b score) int {
		c.compared++
		return better(a, b)
	}, strings.Compare)
	rows := make([]standing, n)
	for i := range rows {
		rows[i] = standing{player: nameOf(i), score: score{points: int64(rng.IntN(1000) * rng.IntN(100)), at: i}}
		set.Set(rows[i].player, rows[i].score)
	}

	// By the set.
	raised := make([]standing, updates)
	for i := range raised {
		s := rows[rng.IntN(n)]
		raised[i] = standing{player: s.player, score: score{points: s.points + int64(1+rng.IntN(1000)), at: n + i}}
	}
	c.compared = 0
	start := time.Now()
	for _, s := range raised {
		set.Set(s.player, s.score)
	}
	c.setTime = time.Since(start)
	last := map[string]score{}
	for _, s := range raised {
		last[s.player] = s.score
	}
	for player, s := range last {
		if got, _ := set.Get(player); got != s {
			c.wrong++
		}
	}

	// By a slice that stays sorted: who is passed moves by one.
	compare := func(a, b standing) int { return better(a.score, b.score) }
	slices.SortFunc(rows, compare)
	for k := range updates {
		i := rng.IntN(n)
		s := standing{player: rows[i].player, score: score{points: rows[i].points + int64(1+rng.IntN(1000)), at: n + k}}
		to, _ := slices.BinarySearchFunc(rows, s, compare)
		c.moved += i - to
		copy(rows[to+1:i+1], rows[to:i])
		rows[to] = s
	}

	// By sorting all again.
	for range sorts {
		rows[rng.IntN(n)].points += 500
		start := time.Now()
		slices.SortFunc(rows, func(a, b standing) int {
			c.sorted++
			return better(a.score, b.score)
		})
		c.sortTime += time.Since(start)
	}
	return c
}

// check checks what the table says.
func (c *cost) check() error {
	if c.compared > updates*few(c.n) || c.compared < 2*updates {
		return fmt.Errorf("law broken: an update of %d players takes %d comparisons, want 2 to %d", c.n, c.compared/updates, few(c.n))
	}
	if c.wrong > 0 {
		return fmt.Errorf("law broken: %d players have another score than they got", c.wrong)
	}
	if c.sorted < sorts*(c.n-1) {
		return fmt.Errorf("law broken: a sort of %d players takes %d comparisons", c.n, c.sorted/sorts)
	}
	return nil
}

// reportCost prints what an update costs. How many comparisons the set makes
// depends on coins, and how many a sort makes on the version of Go; the bounds
// of both do not.
func reportCost(ctx context.Context, g *game, w io.Writer) error {
	fmt.Fprint(w, "the cost of an update\n")
	fmt.Fprintf(w, "%8s%22s%25s%22s\n", "players", "sort all again:", "a sorted slice:", "the sorted set:")
	fmt.Fprintf(w, "%8s%22s%25s%22s\n", "", "comparisons, at least", "entries moved, mean", "comparisons, at most")
	for _, n := range g.boards {
		c := measure(g.seed, n)
		fmt.Fprintf(w, "%8d%22d%25d%22d\n", n, n-1, c.moved/updates, few(n))
		if g.times != nil {
			fmt.Fprintf(g.times, "%d players: a sort %v, an update of the set %v and %d comparisons\n",
				n, c.sortTime/sorts, c.setTime/updates, c.compared/updates)
		}
		if err := c.check(); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	_, err := fmt.Fprint(w, "law holds: no update took more, and no sort less\n")
	return err
}
