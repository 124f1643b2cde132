// SPDX-License-Identifier: MIT

package main

import (
	"cmp"
	"slices"

	"github.com/ashlar-go/ashlar/consistenthash"
	"github.com/ashlar-go/ashlar/skiplist"
)

// A spot is where a record lies in a shard: shards keep them in the order of
// the ring, so that a range of the ring is a range of the shard.
type spot struct {
	at uint64 // on the ring
	id string
}

// before orders spots.
func (s spot) before(t spot) int {
	return cmp.Or(cmp.Compare(s.at, t.at), cmp.Compare(s.id, t.id))
}

// rows are the records of a shard. Of a record, only its version matters here.
type rows = skiplist.Map[spot, int]

// A phase is how far the move of a range has come.
type phase int

const (
	waiting  phase = iota // the old shard has it all
	copying               // records go over, in order
	switched              // the new shard has it all, the old one not less
	cleaned               // the old shard has given them up
)

// A transfer is a range that moves.
type transfer struct {
	consistenthash.Move
	phase phase
	next  spot // the first record that was not copied, or not given up
}

// A cluster is shards between two rings: before moves have begun, all is where
// from says; when they are done, all is where to says.
type cluster struct {
	strategy  strategy
	from, to  *consistenthash.Snapshot
	shards    map[string]*rows
	transfers []transfer // in the order of the ring
	moving    int        // the transfer that is under way
}

// newCluster returns a cluster without records.
func newCluster(st strategy, from, to []string) *cluster {
	c := &cluster{strategy: st, shards: map[string]*rows{}}
	c.from = snapshot(from)
	c.to = snapshot(to)
	for _, list := range [][]string{from, to} {
		for _, name := range list {
			c.shards[name] = skiplist.NewMapFunc[spot, int](spot.before)
		}
	}
	for m := range c.from.Plan(c.to) {
		c.transfers = append(c.transfers, transfer{Move: m, next: spot{at: m.First}})
	}
	return c
}

// spot returns where a record lies.
func (c *cluster) spot(id string) spot { return spot{c.from.Hash(id), id} }

// transferOf returns the transfer that a position belongs to, or nil.
func (c *cluster) transferOf(at uint64) *transfer {
	i, _ := slices.BinarySearchFunc(c.transfers, at, func(t transfer, at uint64) int { return cmp.Compare(t.Last, at) })
	if i == len(c.transfers) || !c.transfers[i].Contains(at) {
		return nil
	}
	return &c.transfers[i]
}

// route returns the shard that reads ask, and those that writes go to.
func (c *cluster) route(s spot) (read string, write []string) {
	t := c.transferOf(s.at)
	if t == nil {
		read, _ = c.to.Get(s.id) // as from says
		return read, []string{read}
	}
	switch {
	case t.phase == copying && c.strategy.early:
		return t.To, []string{t.To}
	case t.phase == copying && c.strategy.both:
		return t.From, []string{t.From, t.To}
	case t.phase >= switched:
		return t.To, []string{t.To}
	}
	return t.From, []string{t.From}
}

// get reads the version of a record.
func (c *cluster) get(id string) (version int, ok bool) {
	s := c.spot(id)
	read, _ := c.route(s)
	return c.shards[read].Get(s)
}

// set writes a version of a record.
func (c *cluster) set(id string, version int) {
	s := c.spot(id)
	_, write := c.route(s)
	for _, name := range write {
		c.shards[name].Set(s, version)
	}
}

// remove deletes a record.
func (c *cluster) remove(id string) {
	s := c.spot(id)
	_, write := c.route(s)
	for _, name := range write {
		c.shards[name].Delete(s)
	}
}
