// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"io"
	"maps"
)

// A page has so many players, and until the next one is asked for, so many
// results come in.
const (
	pageSize = 20
	pause    = 25
)

// A reading is a walk through all pages of a board that changes.
type reading struct {
	seen   map[string]int
	done   bool
	pages  int
	last   score // the cursor: the score of the last one of the page before
	begun  bool
	twice  int // players that were on two pages
	missed int // of those that were there before and have kept their scores
}

// byRank reads the page that begins after as many players as were read.
func (r *reading) byRank(b *board) {
	r.page(b.between(r.pages*pageSize+1, (r.pages+1)*pageSize))
}

// byCursor reads the page that begins after the last score. No two scores are
// the same, so a score says where a page ends.
func (r *reading) byCursor(b *board) {
	span := b.set.Slice(0, pageSize)
	if r.begun {
		span = b.set.Above(r.last).Slice(0, pageSize)
	}
	var list []standing
	for player, s := range span.All() {
		list = append(list, standing{player: player, score: s})
	}
	r.page(list)
}

// page takes the players of a page in.
func (r *reading) page(list []standing) {
	r.begun = true
	r.done = len(list) == 0
	if r.done {
		return
	}
	r.pages++
	for _, s := range list {
		if r.seen[s.player]++; r.seen[s.player] == 2 {
			r.twice++
		}
		r.last = s.score
	}
}

// browse plays the first half of a game, and then reads the board in both ways
// while the game goes on.
func (g *game) browse(b *board) (rank, cursor *reading, results int) {
	i := 0
	next := func() {
		if i < len(g.results) {
			b.add(g.results[i])
			i++
		}
	}
	for range len(g.results) / 2 {
		next()
	}
	before := maps.Collect(b.set.All())

	// Both see the same board at the same time.
	rank = &reading{seen: map[string]int{}}
	cursor = &reading{seen: map[string]int{}}
	began := i
	for !rank.done || !cursor.done {
		if !rank.done {
			rank.byRank(b)
		}
		if !cursor.done {
			cursor.byCursor(b)
		}
		for range pause {
			next()
		}
	}

	// A player that has kept its score must have been seen.
	for player, s := range before {
		if now, _ := b.set.Get(player); now != s {
			continue
		}
		if rank.seen[player] == 0 {
			rank.missed++
		}
		if cursor.seen[player] == 0 {
			cursor.missed++
		}
	}
	return rank, cursor, i - began
}

// check checks the law of the cursor.
func (r *reading) check() error {
	if r.twice > 0 || r.missed > 0 {
		return fmt.Errorf("law broken: by cursor %d players are seen twice, and %d that keep their scores are not seen", r.twice, r.missed)
	}
	return nil
}

// reportPages reads the board in pages while the game goes on.
func reportPages(_ context.Context, g *game, w io.Writer) error {
	rank, cursor, results := g.browse(newBoard())
	fmt.Fprintf(w, "the board is read in pages of %d, while %d results come in\n", pageSize, results)
	fmt.Fprintf(w, "%-28s%8s%14s%22s\n", "", "pages", "seen twice", "not seen, same score")
	fmt.Fprintf(w, "%-28s%8d%14d%22d\n", "by rank: 1-20, 21-40, ...", rank.pages, rank.twice, rank.missed)
	fmt.Fprintf(w, "%-28s%8d%14d%22d\n", "by cursor: after a score", cursor.pages, cursor.twice, cursor.missed)
	if err := cursor.check(); err != nil {
		return err
	}
	_, err := fmt.Fprint(w, "law holds: by cursor none is seen twice, and all that keep their score are seen\n\n")
	return err
}
