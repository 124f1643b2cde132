// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// columns is how often a game is looked at; width is how many are shown above
// and below a player.
const (
	columns = 54
	width   = 3
)

// reportByHand prints the boards that are made on paper.
func reportByHand(_ context.Context, _ *game, w io.Writer) error { return byHand(newBoard(), w) }

func byHand(b *board, w io.Writer) error {
	for _, r := range []result{{"Alice", 100}, {"Charlie", 150}, {"Bob", 200}} {
		b.add(r)
	}
	list := func() string {
		var names []string
		for _, s := range b.between(1, 9) {
			names = append(names, fmt.Sprintf("%s %d", s.player, s.points))
		}
		return strings.Join(names, ", ")
	}
	first := list()
	bottom := b.set.Len() - b.rank("Alice")
	fmt.Fprintf(w, "Alice 100, Charlie 150, Bob 200; the top three: %s\n", first)
	fmt.Fprintf(w, "Alice has rank %d from the bottom, as ZRANK counts, and is number %d from the top\n", bottom, b.rank("Alice"))

	// Dora comes later, to the points of Charlie.
	b.add(result{"Dora", 150})
	_, err := fmt.Fprintf(w, "later Dora has 150: %s; rank %d is shared\n\n", list(), b.shared("Dora"))
	if first != "Bob 200, Charlie 150, Alice 100" || bottom != 0 || b.rank("Charlie") != 2 || b.rank("Dora") != 3 {
		return fmt.Errorf("law broken: by hand the board is not %s", list())
	}
	return err
}

// A look is what the board shows at one moment.
type look struct {
	after   int // results
	leaders []string
	around  []standing
}

// follow plays a game on a board, looks at it at regular times, and checks all
// ranks each time.
func (g *game) follow(ctx context.Context, b *board) (looks []look, ranks int, err error) {
	for i, r := range g.results {
		b.add(r)
		done := i + 1
		if len(looks) >= done*columns/len(g.results) {
			continue
		}

		// A column is full: look, and compare with a sort.
		l := look{after: done, around: b.window(g.around, width)}
		for _, s := range b.between(1, 9) {
			l.leaders = append(l.leaders, s.player)
		}
		looks = append(looks, l)
		want := g.standings(done)
		ranks += len(want)
		if err := errors.Join(ctx.Err(), b.check(want), checkWindow(l.around, g.around, width, want)); err != nil {
			return nil, 0, err
		}
	}
	return looks, ranks, nil
}

// reportGame plays the game and prints the board.
func reportGame(ctx context.Context, g *game, w io.Writer) error {
	b := newBoard()
	looks, ranks, err := g.follow(ctx, b)
	if err != nil {
		return err
	}
	source := fmt.Sprintf("%d results", len(g.results))
	if g.in != "" {
		source = fmt.Sprintf("%d requests of a log (%d lines are none), points are bytes", len(g.results), g.malformed)
	}
	fmt.Fprintf(w, "%s, %d players\n\n", source, b.set.Len())

	// The leaders at last, and their ranks before.
	fmt.Fprintf(w, "%5s%7s %-16s%12s%10s\n", "rank", "shared", "player", "points", "reached")
	leaders := b.between(1, g.top)
	for _, s := range leaders {
		fmt.Fprintf(w, "%5d%7d %-16s%12d%10d %s\n", s.rank, s.shared, short(s.player), s.points, s.at, bar(s.points, leaders[0].points, 27))
	}
	fmt.Fprintln(w)
	for _, s := range leaders[:min(len(leaders), 6)] {
		fmt.Fprintf(w, "%-16s│%s│\n", short(s.player), course(looks, s.player))
	}
	fmt.Fprintf(w, "%-16s ranks over time, from 1 to 9; a point is below; %d have led\n\n", "", leads(looks))

	// The window, in the middle of the game and at its end.
	g.printWindows(w, looks)
	_, err = fmt.Fprintf(w, "law holds: %d ranks, strict and shared, at %d moments, are those of a sort\n\n", ranks, len(looks))
	return err
}

// printWindows prints the windows around a player, side by side.
func (g *game) printWindows(w io.Writer, looks []look) {
	halves := []look{looks[(len(looks)-1)/2], looks[len(looks)-1]}
	fmt.Fprintf(w, "around %s, after %d results, and after %d\n", g.around, halves[0].after, halves[1].after)
	for i := range 2*width + 1 {
		var line strings.Builder
		for _, h := range halves {
			cell := ""
			if i < len(h.around) {
				cell = h.cell(i, g.around)
			} else if i == 0 {
				cell = "  is not there yet"
			}
			fmt.Fprintf(&line, "%-38s", cell)
		}
		if text := strings.TrimRight(line.String(), " "); text != "" {
			fmt.Fprintln(w, text)
		}
	}
}

// cell returns a line of a window: > marks the player, = who has the same
// points as a neighbor.
func (l look) cell(i int, player string) string {
	s := l.around[i]
	mark, tie := " ", " "
	if s.player == player {
		mark = ">"
	}
	for _, k := range []int{i - 1, i + 1} {
		if k >= 0 && k < len(l.around) && l.around[k].points == s.points {
			tie = "="
		}
	}
	return fmt.Sprintf("%s%6d %-16s%11d %s", mark, s.rank, short(s.player), s.points, tie)
}

// course returns the ranks of a player over time.
func course(looks []look, player string) string {
	var b strings.Builder
	for _, l := range looks {
		if i := slices.Index(l.leaders, player); i >= 0 {
			fmt.Fprint(&b, i+1)
		} else {
			b.WriteString("·")
		}
	}
	return b.String()
}

// leads returns how many players were first at some look.
func leads(looks []look) int {
	first := map[string]bool{}
	for _, l := range looks {
		first[l.leaders[0]] = true
	}
	return len(first)
}

// short returns a name that fits its column.
func short(name string) string {
	if r := []rune(name); len(r) > 15 {
		return string(r[:14]) + "…"
	}
	return name
}

// bar returns a bar of so many columns for v, of which most is a full one.
func bar(v, most int64, width int) string {
	if most <= 0 {
		return ""
	}
	return strings.Repeat("█", int(v*int64(width)/most))
}
