// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/ashlar-go/ashlar/consistenthash"
)

// A moved counts the people whose shard changes with the scheme.
type moved struct {
	all      int
	needless int // between two shards that are there before and after
	people   int
}

// compare returns what moves when before becomes after.
func compare(before, after scheme, added, removed string, people []person) moved {
	m := moved{people: len(people)}
	for i := range people {
		from := before.shard(&people[i])
		to := after.shard(&people[i])
		if from == to {
			continue
		}
		m.all++
		if to != added && from != removed {
			m.needless++
		}
	}
	return m
}

func (m moved) part(n int) string { return fmt.Sprintf("%.1f %%", 100*float64(n)/float64(m.people)) }

// reportMoves prints what moves from n shards to one more, back, and when one
// in the middle leaves.
func reportMoves(_ context.Context, c *config, people []person, w io.Writer) error {
	n := c.shards
	few, more := names(n), names(n+1)
	rest := slices.Delete(names(n+1), 1, 2)
	fmt.Fprintf(w, "%d people, %d shards\n\n", len(people), n)
	byHand(w, n)

	const row = "%-10s%10s%10s%10s%13s%10s%15s\n"
	fmt.Fprintf(w, row, "moves", fmt.Sprintf("%d to %d", n, n+1), "needless", fmt.Sprintf("%d to %d", n+1, n),
		"without s2", "needless", "fullest/mean")
	for _, s := range schemes(few, people) {
		// A shard comes, and goes again; or another one goes.
		grown := s.with(more, people)
		back := grown.with(few, people)
		lost := grown.with(rest, people)
		up := compare(s, grown, more[n], "", people)
		down := compare(grown, back, "", more[n], people)
		left := compare(grown, lost, "", "s2", people)
		load := count(s, few, people)
		fmt.Fprintf(w, row, s.name(), up.part(up.all), up.part(up.needless), down.part(down.all),
			left.part(left.all), left.part(left.needless),
			fmt.Sprintf("%.2f", float64(load[fullest(load)])*float64(n)/float64(len(people))))

		if err := checkMoves(s, grown, lost, up, left, len(few), people); err != nil {
			return err
		}
	}
	least := fmt.Sprintf("%.1f %%", 100/float64(n+1))
	fmt.Fprintf(w, row, "the least", least, "0.0 %", least, least, "0.0 %", "1.00")
	fmt.Fprintf(w, `law holds: the ring moved what its plan says, and nothing that it does not;
           nobody moved needlessly but by mod n and slices

`)
	return nil
}

// checkMoves checks what the table claims. Remainders and slices move what
// their arithmetic says, by the luck of hashes; the others move nobody between
// two shards that stay.
func checkMoves(s, grown, lost scheme, up, left moved, n int, people []person) error {
	switch s := s.(type) {
	case mod:
		return nearly("mod n", up, 1-1/float64(n+1))
	case pie:
		return nearly("slices", up, 1-kept(n))
	case *ring:
		grown, lost := grown.(*ring), lost.(*ring)
		if err := checkPlan(s, grown, slices.Collect(s.points.Plan(grown.points)), people); err != nil {
			return err
		}
		if err := checkPlan(grown, lost, slices.Collect(grown.points.Plan(lost.points)), people); err != nil {
			return err
		}
	}
	if up.needless+left.needless > 0 {
		return fmt.Errorf("%s moves %d people between shards that stay", s.name(), up.needless+left.needless)
	}
	return nil
}

// nearly checks that the part of the people that moved is want, within five
// standard deviations of a binomial distribution.
func nearly(name string, m moved, want float64) error {
	n := float64(m.people)
	if math.Abs(float64(m.all)-want*n) > 5*math.Sqrt(want*(1-want)*n)+1 {
		return fmt.Errorf("%s moves %d of %d people, want %.3f of them", name, m.all, m.people, want)
	}
	return nil
}

// kept returns the part of a pie that stays with its owner if it is cut into
// n+1 slices instead of n.
func kept(n int) (sum float64) {
	for i := range n {
		lo := max(float64(i)/float64(n), float64(i)/float64(n+1))
		hi := min(float64(i+1)/float64(n), float64(i+1)/float64(n+1))
		sum += max(hi-lo, 0)
	}
	return sum
}

// checkPlan checks that exactly the people in the ranges of the plan move, and
// from and to where it says.
func checkPlan(before, after *ring, moves []consistenthash.Move, people []person) error {
	for i := range people {
		id := people[i].id
		from, to := before.at(id), after.at(id)
		planFrom, planTo := from, from // unless a move has it
		h := before.points.Hash(id)
		for _, m := range moves {
			if m.Contains(h) {
				planFrom, planTo = m.From, m.To
			}
		}
		if planFrom != from || planTo != to {
			return fmt.Errorf("ring: %s moves from %s to %s, and the plan says from %s to %s", id, from, to, planFrom, planTo)
		}
	}
	return nil
}

// byHand prints the two arguments that are made on paper: three requests by
// remainders, and the slices of a pie.
func byHand(w io.Writer, n int) {
	hashes := []int{3, 15, 12}
	owners := func(n int) string {
		var list []string
		for _, h := range hashes {
			list = append(list, fmt.Sprintf("S%d", h%n))
		}
		return strings.Join(list, " ")
	}
	fmt.Fprintf(w, "three keys with hashes 3, 15, 12: by mod 4 on %s, by mod 5 on %s\n", owners(4), owners(5))

	cut := func(n int) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf("%.0f-%.0f", 100*float64(i)/float64(n), 100*float64(i+1)/float64(n)))
		}
		return strings.Join(list, " ")
	}
	if n > 6 {
		n = 4 // more do not fit a line
	}
	fmt.Fprintf(w, "a pie of %d: %s\n", n, cut(n))
	fmt.Fprintf(w, "a pie of %d: %s\n", n+1, cut(n+1))
	fmt.Fprintf(w, "no slice is the same, %.0f %% of the pie change their owner; %.0f %% would be enough\n\n",
		100*(1-kept(n)), 100/float64(n+1))
}
