// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"io"
	"slices"
)

// A query asks for people. What is zero may be anything.
type query struct {
	text     string
	id, city string
	lo, hi   string // the names from lo to before hi
	age      int    // at least
}

func (q *query) matches(p *person) bool {
	return (q.id == "" || p.id == q.id) && (q.city == "" || p.city == q.city) &&
		p.name >= q.lo && (q.hi == "" || p.name < q.hi) && p.age >= q.age
}

// questions returns the questions of the table. They ask for somebody who
// exists.
func questions(people []person) []query {
	p := people[len(people)/2]
	return []query{
		{text: "id = " + p.id, id: p.id},
		{text: "city = " + p.city + " and age >= 50", city: p.city, age: 50},
		{text: "city = " + p.city + " and id = " + p.id, city: p.city, id: p.id},
		{text: "name from G to I", lo: "G", hi: "I"},
		{text: "age >= 50", age: 50},
	}
}

// reportQueries prints how many shards each question has to ask, and checks
// that the answer of these is the whole answer.
func reportQueries(_ context.Context, c *config, people []person, w io.Writer) error {
	shards := names(c.shards)
	list := schemes(shards, people)
	fmt.Fprint(w, "shards that are asked\n")
	all := questions(people)
	for i, q := range all {
		fmt.Fprintf(w, "  %c: %s\n", 'a'+i, q.text)
	}
	fmt.Fprintf(w, "%-10s", "scheme")
	for i := range all {
		fmt.Fprintf(w, "%6c", 'a'+i)
	}
	fmt.Fprintln(w)

	found := 0
	for _, s := range list {
		fmt.Fprintf(w, "%-10s", s.name())
		for i := range all {
			touched, n, err := answer(s, &all[i], people)
			if err != nil {
				return err
			}
			found += n
			fmt.Fprintf(w, "%6d", touched)
		}
		fmt.Fprintln(w)
	}
	_, err := fmt.Fprintf(w, "law holds: the shards that were asked had all %d matches that a scan finds\n\n", found)
	return err
}

// answer answers q from the shards that s says, and compares with all people.
func answer(s scheme, q *query, people []person) (touched, found int, err error) {
	asked := s.touches(q)
	for i := range people {
		if !q.matches(&people[i]) {
			continue
		}
		if shard := s.shard(&people[i]); !slices.Contains(asked, shard) {
			return 0, 0, fmt.Errorf("%s: %q asks %v, and %s is on %s", s.name(), q.text, asked, people[i].id, shard)
		}
		found++
	}
	return len(asked), found, nil
}
