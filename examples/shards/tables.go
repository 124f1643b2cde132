// SPDX-License-Identifier: MIT

package main

import (
	"cmp"
	"maps"
	"slices"
)

// A list names the shard of each city. Somebody keeps it even, as far as whole
// cities allow.
type list struct {
	shards []string
	of     map[string]string // by city
}

func (*list) name() string { return "list" }

func newList(shards []string, people []person) *list {
	s := &list{shards, map[string]string{}}
	load := map[string]int{}
	for _, name := range shards {
		load[name] = 0
	}

	// The largest cities first, each to the shard that has least.
	size := sizes(people)
	for _, c := range bySize(size) {
		s.give(c, emptiest(load), size, load)
	}
	return s
}

// sizes returns how many people live in each city.
func sizes(people []person) map[string]int {
	n := map[string]int{}
	for i := range people {
		n[people[i].city]++
	}
	return n
}

// bySize returns the cities, the largest first.
func bySize(size map[string]int) []string {
	return slices.SortedFunc(maps.Keys(size), func(a, b string) int {
		return cmp.Or(cmp.Compare(size[b], size[a]), cmp.Compare(a, b))
	})
}

// give gives a city to a shard.
func (s *list) give(city, shard string, size, load map[string]int) {
	s.of[city] = shard
	load[shard] += size[city]
}

func (s *list) shard(p *person) string { return s.of[p.city] }

func (s *list) touches(q *query) []string {
	if shard, ok := s.of[q.city]; ok {
		return []string{shard}
	}
	return s.shards
}

func (s *list) with(shards []string, people []person) scheme {
	added, removed := change(s.shards, shards)
	next := &list{shards, maps.Clone(s.of)}
	load := count(s, shards, people)
	delete(load, removed)
	size := sizes(people)
	for _, c := range bySize(size) {
		switch from := s.of[c]; {
		case from == removed:
			next.give(c, emptiest(load), size, load)
		case added != "" && from == fullest(load) && load[added]+size[c] <= len(people)/len(shards):
			load[from] -= size[c]
			next.give(c, added, size, load)
		}
	}
	return next
}

// A directory names the shard of each person: anything is possible, and each
// question begins with one to the directory, which has to be kept.
type directory struct {
	shards []string
	of     map[string]string // by id
}

func (*directory) name() string { return "directory" }

func newDirectory(shards []string, people []person) *directory {
	s := &directory{shards, make(map[string]string, len(people))}
	for i := range people {
		s.of[people[i].id] = shards[i%len(shards)]
	}
	return s
}

func (s *directory) shard(p *person) string { return s.of[p.id] }

func (s *directory) touches(q *query) []string {
	if shard, ok := s.of[q.id]; ok {
		return []string{shard}
	}
	return s.shards
}

// with moves the fewest people after which all shards have as many.
func (s *directory) with(shards []string, people []person) scheme {
	added, removed := change(s.shards, shards)
	next := &directory{shards, maps.Clone(s.of)}
	load := count(s, shards, people)
	delete(load, removed)
	for i := range people {
		id := people[i].id
		from := s.of[id]
		switch {
		case from == removed:
			to := emptiest(load)
			next.of[id] = to
			load[to]++
		case added != "" && load[from] > load[added]+1 && load[from] == load[fullest(load)]:
			next.of[id] = added
			load[from]--
			load[added]++
		}
	}
	return next
}
