// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"slices"
	"sort"
)

// standings returns what the board should be after n results. It knows nothing
// of the sorted set: it adds up the points, and sorts.
func (g *game) standings(n int) []standing {
	var list []standing
	where := map[string]int{}
	for i, r := range g.results[:n] {
		k, ok := where[r.player]
		if !ok {
			k = len(list)
			where[r.player] = k
			list = append(list, standing{player: r.player, score: score{at: i + 1}})
		}
		if r.points != 0 {
			list[k].points += int64(r.points)
			list[k].at = i + 1
		}
	}
	sort.Slice(list, func(i, j int) bool {
		if list[i].points != list[j].points {
			return list[i].points > list[j].points
		}
		return list[i].at < list[j].at
	})

	// A player with as many points as the one before shares its rank.
	for i := range list {
		list[i].rank = i + 1
		list[i].shared = i + 1
		if i > 0 && list[i].points == list[i-1].points {
			list[i].shared = list[i-1].shared
		}
	}
	return list
}

// check checks each rank of a board against what a sort says.
func (b *board) check(want []standing) error {
	if n := b.set.Len(); n != len(want) {
		return fmt.Errorf("law broken: the board has %d players, want %d", n, len(want))
	}
	for i, got := range b.between(1, len(want)) {
		if got != want[i] {
			return fmt.Errorf("law broken: rank %d is %+v, and a sort says %+v", i+1, got, want[i])
		}
		if rank := b.rank(got.player); rank != got.rank {
			return fmt.Errorf("law broken: %s has rank %d and is found at %d", got.player, rank, got.rank)
		}
	}
	return nil
}

// checkWindow checks a window: it is the part of the sorted players around one
// of them.
func checkWindow(window []standing, player string, width int, want []standing) error {
	i := slices.IndexFunc(want, func(s standing) bool { return s.player == player })
	if i < 0 {
		if len(window) > 0 {
			return fmt.Errorf("law broken: a window around %s, who is not there", player)
		}
		return nil
	}
	if part := want[max(i-width, 0):min(i+width+1, len(want))]; !slices.Equal(window, part) {
		return fmt.Errorf("law broken: around %s are %+v, and a sort says %+v", player, window, part)
	}
	return nil
}
