// SPDX-License-Identifier: MIT

package main

import "math/bits"

// mod takes the remainder of the hash of the id: even, and every shard is
// another's when their number changes.
type mod struct{ shards []string }

func (mod) name() string { return "mod n" }

func (m mod) at(id string) string { return m.shards[hash(id)%uint64(len(m.shards))] }

func (m mod) shard(p *person) string { return m.at(p.id) }

func (m mod) touches(q *query) []string {
	if q.id != "" {
		return []string{m.at(q.id)}
	}
	return m.shards
}

func (mod) with(shards []string, _ []person) scheme { return mod{shards} }

// pie cuts the range of the hash into equal slices, one a shard.
type pie struct{ shards []string }

func (pie) name() string { return "slices" }

func (s pie) at(id string) string {
	i, _ := bits.Mul64(hash(id), uint64(len(s.shards)))
	return s.shards[i]
}

func (s pie) shard(p *person) string { return s.at(p.id) }

func (s pie) touches(q *query) []string {
	if q.id != "" {
		return []string{s.at(q.id)}
	}
	return s.shards
}

func (pie) with(shards []string, _ []person) scheme { return pie{shards} }
