// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ashlar-go/ashlar/quorum"
)

// A gather asks all shards of a ring one question. Each shard has two copies.
type gather struct {
	rows   map[string][]*person // by shard
	shards []string
	silent string // the shard whose first copy never answers
	hedge  time.Duration
	wait   time.Duration // of one shard
}

func newGather(c *config, people []person) *gather {
	shards := names(c.shards)
	s := newRing(shards)
	g := &gather{rows: map[string][]*person{}, shards: shards, silent: shards[len(shards)/2]}
	for i := range people {
		at := s.shard(&people[i])
		g.rows[at] = append(g.rows[at], &people[i])
	}
	return g
}

// A part is the answer of a shard.
type part struct {
	found int
	copy  int // which copy answered, from 0
}

// ask asks all shards at once, and returns their parts by the number of the
// shard. It fails as soon as one shard has.
func (g *gather) ask(ctx context.Context, q *query) ([]part, error) {
	all := quorum.First(len(g.shards))
	answers, err := quorum.Do(ctx, quorum.Threshold(len(g.shards), all),
		func(ctx context.Context, i int) (part, error) { return g.askShard(ctx, g.shards[i], q) }, nil)
	if err != nil {
		return nil, err
	}
	parts := make([]part, len(g.shards))
	for _, a := range answers {
		parts[a.Replica] = a.Value
	}
	return parts, nil
}

// askShard asks the first copy of a shard and, when that has been silent for
// the time of the hedge, the second.
func (g *gather) askShard(ctx context.Context, shard string, q *query) (part, error) {
	ctx, cancel := context.WithTimeout(ctx, g.wait)
	defer cancel()
	opts := &quorum.DoOptions[part]{Hedge: g.hedge, Near: quorum.SetOf(0)}
	answers, err := quorum.Do(ctx, quorum.Threshold(1, quorum.First(2)), func(ctx context.Context, i int) (part, error) {
		return g.copy(ctx, shard, i, q)
	}, opts)
	if err != nil {
		return part{}, fmt.Errorf("%s: %w", shard, err)
	}
	return answers[0].Value, nil
}

// copy is one copy of a shard. Like a server, it answers nobody who has gone.
func (g *gather) copy(ctx context.Context, shard string, i int, q *query) (part, error) {
	if shard == g.silent && i == 0 {
		<-ctx.Done()
	}
	if err := ctx.Err(); err != nil {
		return part{}, err
	}
	n := 0
	for _, p := range g.rows[shard] {
		if q.matches(p) {
			n++
		}
	}
	return part{n, i}, nil
}

// reportScatter asks all shards a question while one copy is silent.
func reportScatter(ctx context.Context, c *config, people []person, w io.Writer) error {
	return newGather(c, people).report(ctx, people, w)
}

// report asks without and with a second request to the other copy.
func (g *gather) report(ctx context.Context, people []person, w io.Writer) error {
	q := &query{text: "age >= 50", age: 50}
	want := 0
	for i := range people {
		if q.matches(&people[i]) {
			want++
		}
	}
	fmt.Fprintf(w, "%q to all %d shards of the ring, while one copy of %s is silent\n", q.text, len(g.shards), g.silent)

	// Time alone is no reason to ask the other copy: the question fails.
	g.hedge = -1
	g.wait = 20 * time.Millisecond
	_, err := g.ask(ctx, q)
	if !errors.Is(err, quorum.ErrUnavailable) || ctx.Err() != nil {
		return errors.Join(ctx.Err(), fmt.Errorf("scatter: with a silent shard the error is %v", err))
	}
	fmt.Fprintf(w, "one request a shard:  unavailable, since %s says nothing until the deadline\n", g.silent)

	// With a hedge, whoever is slow gets a second request elsewhere.
	g.hedge = 5 * time.Millisecond
	g.wait = time.Minute
	parts, err := g.ask(ctx, q)
	if err != nil {
		return fmt.Errorf("scatter: %w", err)
	}
	got := 0
	for i, p := range parts {
		got += p.found
		if g.shards[i] == g.silent {
			fmt.Fprintf(w, "a second after 5 ms:  %s answers by its copy %d\n", g.silent, p.copy+1)
		}
	}
	if got != want {
		return fmt.Errorf("scatter: %d matches of all shards, want %d", got, want)
	}
	_, err = fmt.Fprintf(w, "law holds: %d shards together found the %d people that a scan finds\n\n", len(parts), got)
	return err
}
