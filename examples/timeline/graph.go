// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/ashlar-go/ashlar/skiplist"
)

// An edge says that one user follows another. Users are numbers.
type edge struct{ from, to int }

func compareEdges(a, b edge) int {
	return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to))
}

// A graph keeps edges in both directions, each in an ordered set: whom somebody
// follows, and by whom somebody is followed, are spans of these.
type graph struct {
	follows   *skiplist.Set[edge] // from the follower
	followers *skiplist.Set[edge] // from the one who is followed
	count     []int               // of followers
}

func newGraph(users int, edges []edge) *graph {
	g := &graph{
		follows:   skiplist.NewSetFunc(compareEdges),
		followers: skiplist.NewSetFunc(compareEdges),
		count:     make([]int, users),
	}
	for _, e := range edges {
		g.add(e)
	}
	return g
}

// clone returns a copy, which takes no time to make: the sets share what
// neither changes.
func (g *graph) clone() *graph {
	return &graph{follows: g.follows.Clone(), followers: g.followers.Clone(), count: slices.Clone(g.count)}
}

// add makes e.from follow e.to, and reports whether that is new.
func (g *graph) add(e edge) bool {
	if !g.follows.Add(e) {
		return false
	}
	g.followers.Add(edge{e.to, e.from})
	g.count[e.to]++
	return true
}

// remove ends that e.from follows e.to, and reports whether it did.
func (g *graph) remove(e edge) bool {
	if !g.follows.Delete(e) {
		return false
	}
	g.followers.Delete(edge{e.to, e.from})
	g.count[e.to]--
	return true
}

// of returns the other ends of the edges of a user in one of the sets.
func of(set *skiplist.Set[edge], user int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for e := range set.From(edge{user, 0}).Below(edge{user + 1, 0}).All() {
			if !yield(e.to) {
				return
			}
		}
	}
}

// generate returns users who follow others by Zipf's law: nearly all follow a
// few, and most are followed by a few. Each follows 30 to 90, if there are so
// many.
func generate(seed uint64, users int) (names []string, edges []edge) {
	rng := rand.New(rand.NewPCG(seed, 1))
	zipf := rand.NewZipf(rng, 1.1, 20, uint64(users-1))
	for i := range users {
		names = append(names, fmt.Sprintf("user%04d", i))
	}
	for from := range users {
		known := map[int]bool{from: true}
		for range 30 + rng.IntN(61) {
			if to := int(zipf.Uint64()); !known[to] {
				known[to] = true
				edges = append(edges, edge{from, to})
			}
		}
	}
	return names, edges
}

// readEdges reads lines of two names, which may be numbers: who follows whom.
// Lines that begin with # are comments, as in the graphs of SNAP.
func readEdges(r io.Reader) (names []string, edges []edge, err error) {
	number := map[string]int{}
	user := func(name string) int {
		i, ok := number[name]
		if !ok {
			i = len(names)
			number[name] = i
			names = append(names, name)
		}
		return i
	}

	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		f := strings.Fields(lines.Text())
		switch {
		case len(f) == 0 || strings.HasPrefix(f[0], "#"):
			continue
		case len(f) != 2:
			return nil, nil, fmt.Errorf("line %d: want two names, got %d", n, len(f))
		case f[0] == f[1]:
			continue // nobody follows themselves
		}
		edges = append(edges, edge{user(f[0]), user(f[1])})
		if len(edges) > maxFollow || len(names) > maxUsers {
			return nil, nil, fmt.Errorf("more than %d users or %d lines", maxUsers, maxFollow)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, nil, err
	}
	if len(edges) == 0 {
		return nil, nil, errors.New("nobody follows anybody")
	}
	return names, edges, nil
}
