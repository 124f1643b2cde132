// SPDX-License-Identifier: MIT

package main

import (
	"slices"

	"github.com/ashlar-go/ashlar/skiplist"
)

// letters keeps ranges of names together, as an encyclopedia does: A to F, G to
// L and so on. The bounds are an ordered map, and the shard of a name is that
// of the last bound at or below it.
type letters struct {
	shards []string
	bounds *skiplist.Map[string, string]
}

func (*letters) name() string { return "letters" }

// newLetters divides the alphabet evenly, which is not how names are.
func newLetters(shards []string) *letters {
	s := &letters{shards, skiplist.NewMap[string, string]()}
	for i, name := range shards {
		lo := ""
		if i > 0 {
			lo = string(rune('A' + i*26/len(shards)))
		}
		s.bounds.Set(lo, name)
	}
	return s
}

func (s *letters) at(name string) string {
	_, shard, _ := s.bounds.Floor(name)
	return shard
}

func (s *letters) shard(p *person) string { return s.at(p.name) }

func (s *letters) touches(q *query) []string {
	if q.lo == "" && q.hi == "" {
		return s.shards
	}

	// The range that lo lies in, and those that begin before hi.
	list := []string{s.at(q.lo)}
	for _, shard := range s.bounds.Above(q.lo).Below(q.hi).All() {
		if !slices.Contains(list, shard) {
			list = append(list, shard)
		}
	}
	return list
}

func (s *letters) with(shards []string, people []person) scheme {
	added, removed := change(s.shards, shards)
	next := &letters{shards, s.bounds.Clone()}
	if removed != "" {
		next.merge(removed)
	}
	if added != "" {
		next.split(added, people)
	}
	return next
}

// split gives the upper half of the fullest range to a new shard. A range of
// one name has no half: then the shard stays empty.
func (s *letters) split(added string, people []person) {
	n := map[string][]string{} // by the lower bound: the names
	for i := range people {
		lo, _, _ := s.bounds.Floor(people[i].name)
		n[lo] = append(n[lo], people[i].name)
	}
	var full []string
	for _, lo := range order(n) {
		if len(n[lo]) > len(full) {
			full = n[lo]
		}
	}
	slices.Sort(full)
	if middle := full[len(full)/2]; middle != full[0] {
		s.bounds.Set(middle, added)
	}
}

// merge gives the ranges of a shard that leaves to the neighbors below, and the
// first to the one above.
func (s *letters) merge(removed string) {
	s.bounds.DeleteFunc(func(_, shard string) bool { return shard == removed })
	if first, shard, _ := s.bounds.Min(); first != "" {
		s.bounds.Delete(first)
		s.bounds.Set("", shard)
	}
}
