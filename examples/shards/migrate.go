// SPDX-License-Identifier: MIT

package main

import (
	"iter"
	"math"
)

// A strategy is a way to carry out a plan while people read and write.
type strategy struct {
	name string
	// early asks the new shard from the first moment on.
	early bool
	// both writes to both shards while records are copied.
	both bool
	// lazy leaves the copies on the old shard.
	lazy bool
}

// right is the strategy that keeps the law, and naive are those that come to
// mind first.
var (
	right = strategy{name: "copy, write both, switch, clean", both: true}
	naive = []strategy{
		{name: "switch, then copy", early: true},
		{name: "copy, then switch"},
		{name: "copy, write both, switch", both: true, lazy: true},
	}
)

// batch is how many records go in a step.
const batch = 16

// step does a small part of the plan, and reports whether there is more.
func (c *cluster) step() (more bool) {
	if c.moving == len(c.transfers) {
		return false
	}
	t := &c.transfers[c.moving]
	switch t.phase {
	case waiting:
		t.phase = copying
	case copying:
		if c.copy(t) {
			t.phase = switched
			t.next = spot{at: t.First}
		}
	case switched:
		if c.strategy.lazy || c.clean(t) {
			t.phase = cleaned
			c.moving++
		}
	}
	return true
}

// copy copies the next records, and reports whether they were the last. What
// the new shard has is newer, if writes go there and nowhere else.
func (c *cluster) copy(t *transfer) (done bool) {
	n := 0
	for s, version := range t.in(c.shards[t.From]) {
		if n == batch {
			t.next = s
			return false
		}
		if !c.strategy.early || !c.shards[t.To].Has(s) {
			c.shards[t.To].Set(s, version)
		}
		n++
	}
	return true
}

// clean gives up the next records, and reports whether they were the last.
func (c *cluster) clean(t *transfer) (done bool) {
	var old []spot
	for s := range t.in(c.shards[t.From]) {
		if len(old) == batch {
			break
		}
		old = append(old, s)
	}
	for _, s := range old {
		c.shards[t.From].Delete(s)
	}
	return len(old) < batch
}

// in returns an iterator over the records of m in the range, from next on.
func (t *transfer) in(m *rows) iter.Seq2[spot, int] {
	if t.Last == math.MaxUint64 {
		return m.From(t.next).All()
	}
	return m.From(t.next).Below(spot{at: t.Last + 1}).All()
}
