// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

// An inputError is an error of a flag or of the input.
type inputError struct{ err error }

func (e *inputError) Error() string { return e.err.Error() }

func (e *inputError) Unwrap() error { return e.err }

// badInput returns an error of the input.
func badInput(format string, args ...any) error {
	return &inputError{fmt.Errorf(format, args...)}
}

// A config holds the values of the flags.
type config struct {
	in      string
	seed    uint64
	n       int
	players int
	top     int
	around  string
	times   io.Writer // nil if nobody wants to know
	boards  []int     // the numbers of players of the boards of which the cost is measured
}

// Bounds of the flags.
const (
	maxResults = 5_000_000
	maxPlayers = 200_000
	maxTop     = 50
)

func parseFlags(args []string, stderr io.Writer) (*config, error) {
	c := &config{boards: []int{1000, 10_000, 100_000}}
	fs := flag.NewFlagSet("leaderboard", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&c.in, "in", "", "an access log in `FILE` (Common or Combined format): points are bytes sent")
	fs.Uint64Var(&c.seed, "seed", 1, "seed of the game")
	fs.IntVar(&c.n, "n", 20_000, "number of results to generate")
	fs.IntVar(&c.players, "players", 2000, "number of players to generate")
	fs.IntVar(&c.top, "top", 10, "how many leaders to print")
	fs.StringVar(&c.around, "around", "", "the player of the window, by `NAME`")
	times := fs.Bool("time", false, "tell on stderr how many nanoseconds an update took here")

	// A wrong flag gets one line, and -help all of them.
	err := fs.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fs.SetOutput(stderr)
		fs.Usage()
		return nil, err
	}
	if err != nil {
		return nil, badInput("%w", err)
	}
	if fs.NArg() > 0 {
		return nil, badInput("unexpected argument %q", fs.Arg(0))
	}
	for _, b := range []struct {
		name   string
		v, max int
	}{{"n", c.n, maxResults}, {"players", c.players, maxPlayers}, {"top", c.top, maxTop}} {
		if b.v < 1 || b.v > b.max {
			return nil, badInput("-%s must be between 1 and %d, got %d", b.name, b.max, b.v)
		}
	}
	if *times {
		c.times = stderr
	}
	return c, nil
}

// game returns the game of the input, or one that follows from the seed.
func (c *config) game() (*game, error) {
	g := &game{config: c}
	if c.in == "" {
		g.results = play(c.seed, c.n, c.players)
	} else {
		f, err := os.Open(c.in)
		if err != nil {
			return nil, badInput("%w", err)
		}
		defer f.Close()
		if g.results, g.malformed, err = readLog(f); err != nil {
			return nil, badInput("read %s: %w", c.in, err)
		}
	}

	// The player of the window has to be in the game.
	standings := g.standings(len(g.results))
	if g.around = c.around; g.around == "" {
		g.around = standings[len(standings)/2].player
	}
	for _, s := range standings {
		if s.player == g.around {
			return g, nil
		}
	}
	return nil, badInput("-around: %q has no result", c.around)
}
