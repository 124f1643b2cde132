// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
)

// A load is a number of requests, each about a person.
type load struct {
	name string
	asks []*person
}

// loads returns what a day may bring: everybody alike, a company whose staff
// have one name signs up, a campaign in the largest city, and one person whom a
// fifth of all want to see.
func loads(seed uint64, people []person) []load {
	rng := rand.New(rand.NewPCG(seed, 2))
	anybody := func() *person { return &people[rng.IntN(len(people))] }
	city := bySize(sizes(people))[0]
	star := anybody()

	// Of many tries, those that fit.
	const n = 20_000
	list := []load{{name: "anybody"}, {name: "names S"}, {name: "one city"}, {name: "a star"}}
	for i := range n {
		p := anybody()
		list[0].asks = append(list[0].asks, p)
		if p.name != "" && p.name[0] == 'S' {
			list[1].asks = append(list[1].asks, p)
		}
		if p.city == city {
			list[2].asks = append(list[2].asks, p)
		}
		if i%5 == 0 {
			p = star
		}
		list[3].asks = append(list[3].asks, p)
	}
	return list
}

// reportSkew prints the part of each load that the busiest shard gets.
func reportSkew(_ context.Context, c *config, people []person, w io.Writer) error {
	shards := names(c.shards)
	all := loads(c.seed, people)
	fmt.Fprintf(w, "the busiest shard gets, of the requests about\n%-10s", "scheme")
	for _, l := range all {
		fmt.Fprintf(w, "%12s", l.name)
	}
	fmt.Fprintf(w, "%22s\n", "mean way to the shard")

	list := schemes(shards, people)
	for _, s := range list {
		fmt.Fprintf(w, "%-10s", s.name())
		for _, l := range all {
			fmt.Fprintf(w, "%12s", l.busiest(s, shards))
		}
		fmt.Fprintf(w, "%19.0f km\n", distance(s, people))
	}

	// What uneven looks like.
	fmt.Fprintln(w, "\npeople by shard")
	for _, s := range list {
		if s.name() != "letters" && s.name() != "ring" {
			continue
		}
		n := count(s, shards, people)
		for i, name := range shards {
			title := ""
			if i == 0 {
				title = s.name()
			}
			fmt.Fprintf(w, "%-10s%-4s%7d %s\n", title, name, n[name], bar(float64(n[name]), float64(len(people)), 56))
		}
	}
	_, err := fmt.Fprintln(w)
	return err
}

// busiest returns the part of l that the busiest shard gets.
func (l *load) busiest(s scheme, shards []string) string {
	if len(l.asks) == 0 {
		return "-"
	}
	n := map[string]int{}
	for _, name := range shards {
		n[name] = 0
	}
	for _, p := range l.asks {
		n[s.shard(p)]++
	}
	return fmt.Sprintf("%.0f %%", 100*float64(n[fullest(n)])/float64(len(l.asks)))
}
