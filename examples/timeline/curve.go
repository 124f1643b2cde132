// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sort"
)

// A point of the curve is a threshold, and the work that it makes. It follows
// from the events and the numbers of followers alone: no timeline is made.
type point struct {
	threshold      int
	written, lists int
}

func (p point) total() int { return p.written + p.lists }

// label names the threshold.
func (p point) label() string {
	switch p.threshold {
	case 0:
		return "pull all"
	case always:
		return "push all"
	}
	return fmt.Sprint(p.threshold)
}

// thresholds returns the thresholds of the curve: powers of two up to the
// greatest number of followers, and what is asked for besides.
func (t *trial) thresholds(more ...int) []int {
	list := append([]int{0, always}, more...)
	for x := 1; x <= slices.Max(t.first.count); x *= 2 {
		list = append(list, x)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// An authorOf is an author while it has so many followers.
type authorOf struct{ author, followers int }

// A count is what the events come to, in a graph of plain maps that is not that
// of the feeds. written and lists are by threshold: the copies that it makes
// and the one before does not, and the lists that the one before looks at and
// it does not.
type count struct {
	follows        []map[int]bool
	followers      []int
	reads          int
	written, lists []int
	push, pull     map[authorOf]int // what the ways cost of an author
}

// change makes e.from follow e.to, or ends that.
func (c *count) change(e edge, on bool) {
	if c.follows[e.from][e.to] == on || e.from == e.to {
		return
	}
	c.follows[e.from][e.to] = on
	if on {
		c.followers[e.to]++
	} else {
		c.followers[e.to]--
	}
}

// count counts the work of all events, for thresholds in their order.
func (t *trial) count(thresholds []int) *count {
	c := &count{
		followers: make([]int, len(t.names)),
		written:   make([]int, len(thresholds)+1),
		lists:     make([]int, len(thresholds)+1),
		push:      map[authorOf]int{},
		pull:      map[authorOf]int{},
	}
	for range t.names {
		c.follows = append(c.follows, map[int]bool{})
	}
	for _, e := range t.edges {
		c.change(e, true)
	}

	// An author with n followers is pushed by the thresholds above n, and
	// pulled by the others: the first of those above is where a sum changes.
	above := func(n int) int { return sort.SearchInts(thresholds, n+1) }
	for _, e := range t.events {
		switch e.kind {
		case post:
			n := c.followers[e.user]
			c.written[above(n)] += n
			c.push[authorOf{e.user, n}] += n
		case read, readOn:
			c.reads++
			for author, on := range c.follows[e.user] {
				if n := c.followers[author]; on {
					c.lists[above(n)]++
					c.pull[authorOf{author, n}]++
				}
			}
		case follow, unfollow:
			c.change(edge{e.user, e.other}, e.kind == follow)
		}
	}
	return c
}

// predict returns the work for each of some thresholds, in their order, and
// that of the better way for each author, known afterwards. An author whose
// number of followers changes may have another way for each number.
func (t *trial) predict(thresholds []int) (curve []point, chosen int) {
	c := t.count(thresholds)
	for i, threshold := range thresholds {
		p := point{threshold: threshold}
		for k := range c.written {
			if k <= i {
				p.written += c.written[k]
			} else {
				p.lists += c.lists[k]
			}
		}
		if threshold > 0 {
			p.lists += c.reads
		}
		curve = append(curve, p)
	}
	chosen = c.reads
	for a, cost := range c.push {
		chosen += min(cost, c.pull[a]) // without a post there is nothing to push
	}
	return curve, chosen
}

// least returns the point with the least work, the first if several have it.
func least(curve []point) point {
	return slices.MinFunc(curve, func(a, b point) int { return a.total() - b.total() })
}

// play lets all events happen.
func (t *trial) play(ctx context.Context, w *world) error {
	for i, e := range t.events {
		if i%1000 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err := w.do(e); err != nil {
			return err
		}
	}
	return nil
}

// reportGraph prints who is followed most.
func reportGraph(_ context.Context, t *trial, w io.Writer) error {
	g := t.first
	fmt.Fprintf(w, "%d users, %d follows: %s\n\n", len(t.names), g.follows.Len(), t.title)
	order := make([]int, len(t.names))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return g.count[b] - g.count[a] })
	for _, i := range []int{0, 1, 2, 9, 99, 999} {
		if i < len(order) {
			n := g.count[order[i]]
			fmt.Fprintf(w, "number %-5d%-26s%7d %s\n", i+1, short(t.names[order[i]]), n, bar(n, g.count[order[0]], 32))
		}
	}
	_, err := fmt.Fprintf(w, "%16s followers, on average %.1f\n\n", "", float64(g.follows.Len())/float64(len(t.names)))
	return err
}

// reportModes lets all happen in three modes at once.
func reportModes(ctx context.Context, t *trial, w io.Writer) error {
	world := t.newWorld()
	world.add("pull", 0)
	world.add("push", always)
	hybrid := world.add("hybrid", t.threshold)
	if err := t.play(ctx, world); err != nil {
		return err
	}
	fmt.Fprintf(w, "%d posts, %d readings of a page, in %v\n", hybrid.posts, hybrid.reads, world.at.Sub(t.newWorld().at))
	fmt.Fprintf(w, "%-14s%16s%8s%18s%8s%14s\n", "mode", "writes a post", "most", "lists a reading", "most", "total work")
	for _, f := range world.feeds {
		fmt.Fprintf(w, "%-14s%16.1f%8d%18.1f%8d%14d\n", f, mean(f.written, f.posts), f.mostWritten, mean(f.lists, f.reads), f.mostLists, f.total())
		if err := t.checkWork(f); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "law holds: %d pages were the same in all modes, %d also by a look at all\n           posts; the work is what the numbers of followers say\n\n", world.checked, world.looked)
	return err
}

// checkWork checks that the work of a feed is what follows from the numbers of
// followers.
func (t *trial) checkWork(f *feed) error {
	curve, _ := t.predict([]int{f.threshold})
	if p := curve[0]; p.written != f.written || p.lists != f.lists {
		return fmt.Errorf("law broken: %v wrote %d and looked at %d lists, want %d and %d", f, f.written, f.lists, p.written, p.lists)
	}
	return nil
}

func mean(sum, n int) float64 { return float64(sum) / float64(max(n, 1)) }

// reportCurve prints the work for each threshold.
func reportCurve(_ context.Context, t *trial, w io.Writer) error {
	curve, chosen := t.predict(t.thresholds(t.threshold))
	low := least(curve)
	most := slices.MaxFunc(curve, func(a, b point) int { return a.total() - b.total() })
	fmt.Fprintf(w, "%9s%11s%11s%11s\n", "pull from", "writes", "lists", "total work")
	for _, p := range curve {
		mark := ""
		if p == low {
			mark = " the least"
		}
		fmt.Fprintf(w, "%9s%11d%11d%11d %s%s\n", p.label(), p.written, p.lists, p.total(), bar(p.total(), most.total(), 26), mark)
	}
	fmt.Fprintf(w, "  the better way for each author, known afterwards: %d\n", chosen)
	if err := checkChosen(curve, chosen); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "law holds: no threshold does better than that; the least is %.2f times as much\n\n", float64(low.total())/float64(max(chosen, 1)))
	return err
}

// checkChosen checks that no threshold does better than the better way for each
// author. To pull all does without a list of each reading.
func checkChosen(curve []point, chosen int) error {
	for _, p := range curve {
		if p.threshold > 0 && chosen > p.total() {
			return fmt.Errorf("law broken: to choose for each author makes %d, and the threshold %d makes %d", chosen, p.threshold, p.total())
		}
	}
	return nil
}
