// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ashlar-go/ashlar/quorum"
)

// likes is a counter that only grows: each node counts its own.
type likes map[int]int

// Join returns the greater number of each node.
func (l likes) Join(o likes) likes {
	j := maps.Clone(l)
	if j == nil {
		j = likes{}
	}
	for node, n := range o {
		j[node] = max(j[node], n)
	}
	return j
}

// Covers reports whether l has counted all that o has.
func (l likes) Covers(o likes) bool {
	for node, n := range o {
		if l[node] < n {
			return false
		}
	}
	return true
}

// sum returns the number of likes.
func (l likes) sum() (n int) {
	for _, k := range l {
		n += k
	}
	return n
}

// reportMerges shows what becomes of two writes at once.
func reportMerges(ctx context.Context, _ *config, w io.Writer) error {
	last, err := likesByLast(ctx)
	if err != nil {
		return err
	}
	counted, seen, err := likesByCounter(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "100 likes, and one more at A: A says %d, B %d, C %d; later all say %d\n", seen[0], seen[1], seen[2], 101)
	fmt.Fprintf(w, "two likes at once, at A and B: the last writer makes %d of 100,\n", last)
	fmt.Fprintf(w, "and a counter %d of 101\n", counted)
	if last != 101 || counted != 103 {
		return fmt.Errorf("likes: %d and %d, want 101 and 103", last, counted)
	}

	values, merged, err := cart(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "a cart written at once: %s, which become\n{%s}\n", strings.Join(values, " and "), merged)
	if merged != "book, lamp, pen" {
		return fmt.Errorf("the cart has %s, want book, lamp and pen", merged)
	}
	_, err = fmt.Fprint(w, "law holds: the counter lost no like, and the cart nothing that was put into it\n\n")
	return err
}

// likesByLast lets two nodes add a like to what they have read.
func likesByLast(ctx context.Context) (int, error) {
	net := newNetwork(copies)
	now := time.Unix(1e9, 0)
	nodes, err := three(net, kvOf(&now))
	if err != nil {
		return 0, err
	}
	if _, err := nodes[0].Put(ctx, "likes", 100, quorum.At(quorum.All)); err != nil {
		return 0, err
	}

	// Both read before either writes.
	var read [2]int
	for i := range read {
		if read[i], _, err = nodes[i].Get(ctx, "likes"); err != nil {
			return 0, err
		}
	}
	for i := range read {
		if _, err := nodes[i].Put(ctx, "likes", read[i]+1, quorum.At(quorum.All)); err != nil {
			return 0, err
		}
	}
	v, _, err := nodes[2].Get(ctx, "likes", quorum.At(quorum.All))
	return v, err
}

// likesByCounter adds one like at A, which B and C hear of later, and then one
// each at A and B at once. It returns the sum, and what each node had first.
func likesByCounter(ctx context.Context) (sum int, seen [copies]int, err error) {
	net := newNetwork(copies)
	nodes, err := three(net, func(_ int, list []quorum.Replica[string, likes]) (*quorum.Cluster[string, likes], error) {
		return quorum.New(list, &quorum.Options{Repair: quorum.RepairOff, Hedge: -1})
	})
	if err != nil {
		return 0, seen, err
	}
	if err := nodes[2].Merge(ctx, "likes", likes{2: 100}, quorum.At(quorum.All)); err != nil {
		return 0, seen, err
	}

	// A is alone for a moment, and keeps its like.
	own := likes{0: 1, 2: 100}
	seen = [copies]int{own.sum(), 100, 100}
	if err := nodes[0].Merge(ctx, "likes", own, quorum.At(quorum.All)); err != nil {
		return 0, seen, err
	}

	// Both read before either writes.
	var read [2]likes
	for i := range read {
		if read[i], err = nodes[i].Load(ctx, "likes"); err != nil {
			return 0, seen, err
		}
	}
	for i := range read {
		if err := nodes[i].Merge(ctx, "likes", likes{i: read[i][i] + 1}, quorum.At(quorum.All)); err != nil {
			return 0, seen, err
		}
	}
	all, err := nodes[2].Load(ctx, "likes", quorum.At(quorum.All))
	return all.sum(), seen, err
}

// cart puts things into a cart from two devices at once, which both know the
// book, and lets the application merge what it finds.
func cart(ctx context.Context) (values []string, merged string, err error) {
	net := newNetwork(copies)
	now := time.Unix(1e9, 0)
	nodes, err := three(net, func(node int, list []quorum.Replica[string, quorum.Siblings[string]]) (*quorum.Multi[string, string], error) {
		return quorum.NewMulti(list, handClock(node, &now), &quorum.Options{Repair: quorum.RepairOff, Hedge: -1})
	})
	if err != nil {
		return nil, "", err
	}
	first, err := nodes[0].Put(ctx, "cart", "book", quorum.Siblings[string]{})
	if err != nil {
		return nil, "", err
	}

	// Two devices write, and neither has seen the other's cart.
	for i, more := range []string{"book, pen", "book, lamp"} {
		if _, err := nodes[i].Put(ctx, "cart", more, first); err != nil {
			return nil, "", err
		}
	}
	net.settle(copies)
	s, err := nodes[2].Get(ctx, "cart")
	if err != nil {
		return nil, "", err
	}
	values = slices.Sorted(slices.Values(s.Values))

	// The application takes the union, and writes it having seen both.
	things := map[string]bool{}
	for _, v := range values {
		for thing := range strings.SplitSeq(v, ", ") {
			things[thing] = true
		}
	}
	if _, err := nodes[2].Put(ctx, "cart", strings.Join(order(things), ", "), s); err != nil {
		return nil, "", err
	}
	net.settle(copies)
	if s, err = nodes[0].Get(ctx, "cart"); err != nil || len(s.Values) != 1 {
		return nil, "", fmt.Errorf("the cart has %d siblings, want one: %w", len(s.Values), err)
	}
	for i, v := range values {
		values[i] = "{" + v + "}"
	}
	return values, s.Values[0], nil
}
