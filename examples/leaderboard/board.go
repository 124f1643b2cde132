// SPDX-License-Identifier: MIT

package main

import (
	"cmp"
	"math"
	"strings"

	"github.com/ashlar-go/ashlar/skiplist"
)

// A score is what players are ranked by.
type score struct {
	points int64
	at     int // the number of the result by which the points were reached
}

// better orders scores: more points first, and of the same points those that
// were reached first.
func better(a, b score) int {
	return cmp.Or(cmp.Compare(b.points, a.points), cmp.Compare(a.at, b.at))
}

// A board ranks players, from 1. It is not safe for concurrent use: a server
// would hold a lock.
type board struct {
	set *skiplist.SortedSet[string, score]
	at  int // results so far

	// In tests, what goes wrong.
	lastFirst bool // of the same points those that were reached last rank first
	deaf      int  // the result of this number is not heard, if it is not 0
}

func newBoard() *board {
	b := new(board)
	b.set = skiplist.NewSortedSetFunc(func(x, y score) int {
		if b.lastFirst {
			x.at, y.at = -x.at, -y.at
		}
		return better(x, y)
	}, strings.Compare)
	return b
}

// add takes a result in. Points that do not change were reached when they were.
func (b *board) add(r result) {
	b.at++
	if b.at == b.deaf {
		return
	}
	b.set.Compute(r.player, func(old score, ok bool) (score, bool) {
		if ok && r.points == 0 {
			return old, true
		}
		return score{old.points + int64(r.points), b.at}, true
	})
}

// rank returns the rank of a player, or 0 if there is no such player.
func (b *board) rank(player string) int { return b.set.Index(player) + 1 }

// shared returns the rank that a player shares with all that have the same
// points.
func (b *board) shared(player string) int {
	s, ok := b.set.Get(player)
	if !ok {
		return 0
	}
	return b.set.Below(score{s.points, math.MinInt}).Len() + 1
}

// A standing is a line of the board.
type standing struct {
	player string
	score
	rank, shared int
}

// between returns the standings from one rank to another, as far as there are
// such.
func (b *board) between(from, to int) (list []standing) {
	from = max(from, 1)
	rank := from
	for player, s := range b.set.Slice(from-1, to).All() {
		list = append(list, standing{player, s, rank, b.shared(player)})
		rank++
	}
	return list
}

// window returns the standings around a player: so many above, and as many
// below.
func (b *board) window(player string, width int) []standing {
	rank := b.rank(player)
	if rank == 0 {
		return nil
	}
	return b.between(rank-width, rank+width)
}
