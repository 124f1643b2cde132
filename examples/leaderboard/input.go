// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
)

// A result gives points to a player.
type result struct {
	player string
	points int
}

// A game is what is played, and what is to be shown of it.
type game struct {
	*config
	results   []result
	malformed int    // lines of the log that are no requests
	around    string // the player of the window
}

// Parts of the names of players.
var (
	manners = []string{"bold", "calm", "fast", "glad", "keen", "mild", "odd", "shy", "sly", "wise"}
	animals = []string{"bear", "crow", "deer", "duck", "eel", "frog", "goat", "hare", "lynx", "mole", "newt", "owl", "puma", "seal", "swan", "toad", "wolf", "wren", "yak", "zebu"}
)

// play returns n results. A few players play a lot, by Zipf's law, and the form
// of each changes over time, so that leads change. Points are tens: ties are
// common.
func play(seed uint64, n, players int) []result {
	rng := rand.New(rand.NewPCG(seed, 1))
	zipf := rand.NewZipf(rng, 1.05, 8, uint64(players-1))
	order := rng.Perm(players)
	results := make([]result, n)
	for i := range results {
		rank := int(zipf.Uint64())
		form := 1 + (rank*7+10*i/n)%10 // from 1 to 10, another one in each tenth of the game
		results[i] = result{nameOf(order[rank]), 10 * (1 + rng.IntN(form))}
	}
	return results
}

// nameOf returns the name of a player.
func nameOf(i int) string {
	name := manners[i%len(manners)] + "-" + animals[i/len(manners)%len(animals)]
	if round := i / (len(manners) * len(animals)); round > 0 {
		name += strconv.Itoa(round + 1)
	}
	return name
}

// readLog returns a result for each request of an access log in Common or
// Combined format: the client gets the bytes of the answer as points.
func readLog(r io.Reader) (results []result, malformed int, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		text := strings.TrimSpace(lines.Text())
		if text == "" {
			continue
		}
		one, err := parseLine(text)
		if err != nil {
			malformed++
			continue
		}
		if len(results) == maxResults {
			return nil, 0, fmt.Errorf("more than %d requests", maxResults)
		}
		results = append(results, one)
	}
	if err := lines.Err(); err != nil {
		return nil, 0, err
	}
	if len(results) == 0 {
		return nil, 0, errors.New("it has no requests")
	}
	return results, malformed, nil
}

var errLine = errors.New("no line of an access log")

// parseLine reads the client and the bytes of a line:
//
//	203.0.113.9 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 2326 ...
func parseLine(line string) (result, error) {
	client, rest, ok := strings.Cut(line, " ")
	_, rest, bracket := strings.Cut(rest, `] "`)
	if !ok || !bracket || client == "" {
		return result{}, errLine
	}

	// The quote that ends the request is the first that is not escaped.
	end := 0
	for end < len(rest) && rest[end] != '"' {
		if rest[end] == '\\' {
			end++
		}
		end++
	}
	if end >= len(rest) {
		return result{}, errLine
	}
	fields := strings.Fields(rest[end+1:])
	if len(fields) < 2 {
		return result{}, errLine
	}
	if fields[1] == "-" {
		return result{player: client}, nil
	}
	n, err := strconv.ParseUint(fields[1], 10, 40)
	if err != nil || n > maxBytes {
		return result{}, errLine
	}
	return result{client, int(n)}, nil
}

// maxBytes bounds one answer, so that sums fit a word of 32 bits nowhere near
// a log that is real.
const maxBytes = 1 << 30
