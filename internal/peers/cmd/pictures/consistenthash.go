// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"math"

	"github.com/ashlar-go/ashlar/consistenthash"
)

const (
	ringPoints = 20 // of a node; by default they are 150
	ringKeys   = 100_000
	newNode    = "e"
)

// ringInks are the colors of the nodes.
var ringInks = map[string]ink{"a": teal, "b": pale, "c": gray, "d": silver, newNode: orange}

// A ringRun is a ring before and after a node came, and how many keys moved.
type ringRun struct {
	before, after *consistenthash.Snapshot
	moved         int // keys, to the new node
	modulo        int // keys that hash % n would move
	plan          float64
}

// runRing adds a node to a ring of four.
func runRing(points int) (*ringRun, error) {
	opts := &consistenthash.Options{VirtualNodes: points}
	before, err := consistenthash.NewSnapshot(opts, consistenthash.Node{Name: "a"}, consistenthash.Node{Name: "b"},
		consistenthash.Node{Name: "c"}, consistenthash.Node{Name: "d"})
	if err != nil {
		return nil, err
	}
	after, err := before.With(consistenthash.Node{Name: newNode})
	if err != nil {
		return nil, err
	}

	r := &ringRun{before: before, after: after}
	for m := range before.Plan(after) {
		r.plan += m.Fraction()
	}
	for i := range ringKeys {
		key := fmt.Sprintf("key%d", i)
		from, _ := before.Get(key)
		to, _ := after.Get(key)
		if from != to {
			r.moved++
			if to != newNode {
				return nil, fmt.Errorf("%s moves from %s to %s", key, from, to)
			}
		}
		if h := before.Hash(key); h%4 != h%5 {
			r.modulo++
		}
	}
	return r, nil
}

// drawRing draws the ring before and after.
func drawRing() (picture, error) {
	r, err := runRing(ringPoints)
	if err != nil {
		return picture{}, err
	}
	full, err := runRing(0)
	if err != nil {
		return picture{}, err
	}

	d := newDrawing(310)
	d.text(142, 24, middle, black, "Four nodes")
	d.text(404, 24, middle, black, "the same, and node e has come")
	d.ring(142, 165, r.before)
	d.ring(404, 165, r.after)
	d.text(142, 161, middle, black, commas(r.before.Stats().Points)+" points,")
	d.text(142, 179, middle, black, fmt.Sprintf("%d a node", ringPoints))
	d.text(404, 161, middle, orange, fmt.Sprintf("%.1f %% move,", 100*r.plan))
	d.text(404, 179, middle, orange, "all to e")

	// The shares of the nodes.
	y := 110.0
	d.text(624, y-24, end, black, "before")
	d.text(674, y-24, end, black, "after")
	for _, n := range r.after.Nodes() {
		d.rect(546, y-10, 12, 12, ringInks[n.Name], none)
		d.text(564, y, start, black, n.Name)
		if r.before.Has(n.Name) {
			d.text(624, y, end, black, percentOf(r.before, n.Name))
		}
		d.text(674, y, end, black, percentOf(r.after, n.Name))
		y += 24
	}
	return picture{
		title: "A hash ring before and after a node comes, with what moves",
		svg:   d.bytes(),
		caption: fmt.Sprintf("A ring of four nodes with %d points each, so that arcs can be seen, and what a fifth takes: of %s keys %s move, "+
			"all of them to the new node, and no arc goes from one of the others to another. hash %% n would move %s. With the default of "+
			"150 points a node it takes %.1f %% of the ring, where a fifth is fair. The busiest of the five then has %.2f times its fair "+
			"share; with %d points it has %.2f times as much.",
			ringPoints, commas(ringKeys), commas(r.moved), commas(r.modulo), 100*full.plan, full.after.Stats().PeakToMean,
			ringPoints, r.after.Stats().PeakToMean),
	}, nil
}

// ring draws the ranges of s in the colors of their owners.
func (d *drawing) ring(x, y float64, s *consistenthash.Snapshot) {
	const radius, width = 108, 36
	for r, owner := range s.Ranges() {
		from := float64(r.First) / math.MaxUint64
		to := float64(r.Last) / math.MaxUint64
		d.arc(x, y, radius, from, to, width, ringInks[owner])
	}
}

// percentOf returns the part of the ring that a node owns.
func percentOf(s *consistenthash.Snapshot, name string) string {
	part := 0.0
	for r := range s.RangesOf(name) {
		part += r.Fraction()
	}
	return fmt.Sprintf("%.1f %%", 100*part)
}
