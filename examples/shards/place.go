// SPDX-License-Identifier: MIT

package main

import "strconv"

// place takes the shard that is nearest to where a person lives: their bytes
// stay on their continent.
type place struct {
	shards []string
	atlas  atlas
	of     map[string]string // by city, as far as it was asked for
}

func (*place) name() string { return "place" }

func newPlace(shards []string) *place { return &place{shards, newAtlas(), map[string]string{}} }

// site returns where a shard stands.
func site(shard string) city {
	n, _ := strconv.Atoi(shard[1:])
	return cities[n-1]
}

func (s *place) at(city string) string {
	best, ok := s.of[city]
	if ok {
		return best
	}
	home := s.atlas.find(city)
	for _, shard := range s.shards {
		if best == "" || kilometers(home, site(shard)) < kilometers(home, site(best)) {
			best = shard
		}
	}
	s.of[city] = best
	return best
}

func (s *place) shard(p *person) string { return s.at(p.city) }

func (s *place) touches(q *query) []string {
	if q.city != "" {
		return []string{s.at(q.city)}
	}
	return s.shards
}

func (*place) with(shards []string, _ []person) scheme { return newPlace(shards) }

// distance returns how far people are from their shards, on average.
func distance(s scheme, people []person) float64 {
	a := newAtlas()
	sum := 0.0
	for i := range people {
		p := &people[i]
		sum += kilometers(a.find(p.city), site(s.shard(p)))
	}
	return sum / float64(len(people))
}
