// SPDX-License-Identifier: MIT

package main

import (
	"slices"

	"github.com/ashlar-go/ashlar/consistenthash"
)

// ring places ids and shards on a ring: a shard has what lies before its
// points.
type ring struct {
	shards []string
	points *consistenthash.Snapshot
}

func (*ring) name() string { return "ring" }

func newRing(shards []string) *ring { return &ring{shards, snapshot(shards)} }

// snapshot returns the ring of some shards.
func snapshot(shards []string) *consistenthash.Snapshot {
	nodes := make([]consistenthash.Node, len(shards))
	for i, name := range shards {
		nodes[i].Name = name
	}
	s, err := consistenthash.NewSnapshot(nil, nodes...)
	if err != nil {
		panic(err) // the names are our own
	}
	return s
}

func (s *ring) at(id string) string {
	shard, _ := s.points.Get(id)
	return shard
}

func (s *ring) shard(p *person) string { return s.at(p.id) }

func (s *ring) touches(q *query) []string {
	if q.id != "" {
		return []string{s.at(q.id)}
	}
	return s.shards
}

func (*ring) with(shards []string, _ []person) scheme { return newRing(shards) }

// composite has a key of two parts. The half of the world, by the city, says
// which shards; a ring of these takes the id.
type composite struct {
	atlas  atlas
	halves [2]*ring // west, east
}

func (*composite) name() string { return "composite" }

// newComposite gives the halves of the world a shard by turns.
func newComposite(shards []string) *composite {
	var of [2][]string
	for i, name := range shards {
		of[i%2] = append(of[i%2], name)
	}
	return &composite{newAtlas(), [2]*ring{newRing(of[0]), newRing(of[1])}}
}

// half returns the half of the world in which a city lies: the Americas, Europe
// and Africa, or Asia and Australia.
func (s *composite) half(city string) *ring {
	if s.atlas.find(city).long < 52 {
		return s.halves[0]
	}
	return s.halves[1]
}

func (s *composite) shard(p *person) string { return s.half(p.city).at(p.id) }

func (s *composite) touches(q *query) []string {
	if q.city != "" {
		return s.half(q.city).touches(q)
	}
	return slices.Concat(s.halves[0].touches(q), s.halves[1].touches(q))
}

// with gives a new shard to the half that has more people a shard, and leaves a
// half its last one: the other half lends it one of its own.
func (s *composite) with(shards []string, people []person) scheme {
	old := slices.Concat(s.halves[0].shards, s.halves[1].shards)
	added, removed := change(old, shards)
	of := [2][]string{slices.Clone(s.halves[0].shards), slices.Clone(s.halves[1].shards)}
	gone := func(name string) bool { return name == removed }
	of[0] = slices.DeleteFunc(of[0], gone)
	of[1] = slices.DeleteFunc(of[1], gone)

	if added != "" {
		var n [2]int
		for i := range people {
			if s.half(people[i].city) == s.halves[0] {
				n[0]++
			} else {
				n[1]++
			}
		}
		more := 0
		if n[1]*len(of[0]) > n[0]*len(of[1]) {
			more = 1
		}
		of[more] = append(of[more], added)
	}
	for i := range of {
		if len(of[i]) == 0 {
			of[i] = of[1-i][:1]
		}
	}
	return &composite{s.atlas, [2]*ring{newRing(of[0]), newRing(of[1])}}
}
