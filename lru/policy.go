// SPDX-License-Identifier: MIT

package lru

import (
	"fmt"
	"math/bits"
)

// A Policy is the rule by which a [Cache] chooses what to evict when it is full.
type Policy uint8

const (
	// PolicyTinyLFU keeps what is used often, and lately. Entries that are used once, as by a scan, do
	// not push out those that are used again and again. It is the default, and had the best hit
	// ratio over all traces that we tried.
	PolicyTinyLFU Policy = iota

	// PolicyLRU evicts what was used longest ago: the policy of an [LRU].
	PolicyLRU

	// PolicyLFU evicts what was used least often, and among those longest ago: the policy of an [LFU].
	PolicyLFU

	// PolicyFIFO evicts what was added first: the policy of a [FIFO].
	PolicyFIFO

	// PolicyRandom evicts any entry, all with equal probability.
	PolicyRandom
)

// String returns the name of the policy.
func (p Policy) String() string {
	switch p {
	case PolicyTinyLFU:
		return "TinyLFU"
	case PolicyLRU:
		return "LRU"
	case PolicyLFU:
		return "LFU"
	case PolicyFIFO:
		return "FIFO"
	case PolicyRandom:
		return "Random"
	}
	return fmt.Sprintf("Policy(%d)", uint8(p))
}

// A meta is what the policy knows of a slot. The bits of flags are, from the lowest:
//
//	2 how often it was hit since the hand passed, at most 3
//	1 in main, and not in the window; only of PolicyTinyLFU
//	1 in a queue
//	2 priority + 1
//	1 pinned, and therefore in no queue
//	1 in use
//	1 hidden: it is there for Load alone
//	23 version: it goes up with every value that the slot receives
type meta struct{ hash, flags uint32 }

const (
	hitMask      = 3
	inMain       = 1 << 2
	queued       = 1 << 3
	classShift   = 4
	classMask    = 3 << classShift
	pinned       = 1 << 6
	inUse        = 1 << 7
	hidden       = 1 << 8
	versionShift = 9
)

func (m meta) class() int { return int(m.flags & classMask >> classShift) }

// A queue holds the entries of one priority.
type queue struct {
	window list     // of PolicyTinyLFU; the only list of PolicyLRU and PolicyFIFO
	main   list     // of PolicyTinyLFU: a clock, whose hand is at the tail
	groups groups   // of PolicyLFU
	slots  []uint32 // of PolicyRandom; links[s].prev is the place of s
}

// queues are the policy of a shard. They know slots and hashes, but neither keys nor values.
type queues struct {
	policy  Policy
	links   []link
	meta    []meta
	classes [3]queue // by priority + 1
	count   [3]int   // entries in them
	sketch  sketch   // of PolicyTinyLFU
	ghost   ghost    // of PolicyTinyLFU
	rng     uint64   // state of a xorshift generator
}

// An arrival is a new key that room is made for.
type arrival struct {
	hash   uint32
	class  int  // its priority + 1
	joins  bool // it will be in this shard
	ghost  bool // it was evicted not long ago
	toMain bool // it goes to main at once
}

// grow makes room for n slots.
func (q *queues) grow(n int) {
	q.links = append(make([]link, 0, n+1), q.links...)[:n+1]
	q.meta = append(make([]meta, 0, n+1), q.meta...)[:n+1]
	if q.policy == PolicyTinyLFU {
		q.sketch.grow(n)
		q.ghost.grow(n)
	}
	for i := range q.classes {
		if q.count[i] > 0 {
			q.reserve(&q.classes[i])
		}
	}
}

// reserve makes room in c for all slots, so that nothing allocates later.
func (q *queues) reserve(c *queue) {
	switch n := len(q.links) - 1; {
	case q.policy == PolicyLFU && len(c.groups.of) <= n:
		c.groups.grow(n)
	case q.policy == PolicyRandom && cap(c.slots) < n:
		c.slots = append(make([]uint32, 0, n), c.slots...)
	}
}

// random returns a number in [0, n) that callers cannot predict. The bias of the multiplication is
// below n/2^32.
func (q *queues) random(n uint32) uint32 {
	q.rng ^= q.rng << 13
	q.rng ^= q.rng >> 7
	q.rng ^= q.rng << 17
	hi, _ := bits.Mul64(q.rng, uint64(n))
	return uint32(hi)
}

// windowOf returns how many of n entries the window may hold: a sixteenth.
func windowOf(n int) int { return max(n/16, 1) }

// arrive counts that a new key is about to be added.
func (q *queues) arrive(a *arrival) {
	if q.policy == PolicyTinyLFU && len(q.sketch.words) > 0 {
		q.sketch.add(a.hash)
		a.ghost = q.ghost.take(a.hash)
	}
}

// push puts s, which is in no queue, into that of its priority.
func (q *queues) push(s uint32, toMain bool) {
	m := &q.meta[s]
	i := m.class()
	c := &q.classes[i]
	m.flags = m.flags&^(hitMask|inMain) | queued
	if q.count[i]++; q.count[i] == 1 {
		q.reserve(c)
	}
	switch q.policy {
	case PolicyLFU:
		c.groups.push(q.links, s)
	case PolicyRandom:
		q.links[s] = link{prev: uint32(len(c.slots))}
		c.slots = append(c.slots, s)
	case PolicyTinyLFU:
		if toMain {
			m.flags |= inMain
			c.main.pushFront(q.links, s)
			return
		}
		c.window.pushFront(q.links, s)
		if c.window.n > windowOf(c.window.n+c.main.n) {
			// Room was found without a contest, so there is nothing to compete for.
			t := c.window.tail
			c.window.remove(q.links, t)
			c.main.pushFront(q.links, t)
			q.meta[t].flags |= inMain
		}
	default:
		c.window.pushFront(q.links, s)
	}
}

// remove takes s out of its queue, if it is in one.
func (q *queues) remove(s uint32) {
	m := &q.meta[s]
	if m.flags&queued == 0 {
		return
	}
	i := m.class()
	c := &q.classes[i]
	q.count[i]--
	switch {
	case q.policy == PolicyLFU:
		c.groups.remove(q.links, s)
	case q.policy == PolicyRandom:
		at, last := q.links[s].prev, c.slots[len(c.slots)-1]
		c.slots[at] = last
		q.links[last].prev = at
		c.slots = c.slots[:len(c.slots)-1]
	case m.flags&inMain != 0:
		c.main.remove(q.links, s)
	default:
		c.window.remove(q.links, s)
	}
	m.flags &^= queued | inMain
}

// touch counts a hit of s.
func (q *queues) touch(s uint32) {
	m := &q.meta[s]
	switch q.policy {
	case PolicyTinyLFU:
		if m.flags&hitMask < hitMask {
			m.flags++
		}
	case PolicyLRU:
		if m.flags&queued != 0 {
			q.classes[m.class()].window.toFront(q.links, s)
		}
	case PolicyLFU:
		if m.flags&queued != 0 {
			q.classes[m.class()].groups.touch(q.links, s)
		}
	}
}

// victim returns what to evict for a, or 0 if there is nothing of its priority or a lower one.
// It comes from the lowest priority present. The victim stays in its queue.
func (q *queues) victim(a *arrival) uint32 {
	for i := range a.class + 1 {
		if q.count[i] == 0 {
			continue
		}
		c := &q.classes[i]
		switch q.policy {
		case PolicyTinyLFU:
			return q.contest(c, a, i == a.class)
		case PolicyLFU:
			return c.groups.coldest()
		case PolicyRandom:
			return c.slots[q.random(uint32(len(c.slots)))]
		default:
			return c.window.tail
		}
	}
	return 0
}

// sureFrequency is the estimate from which a candidate may be admitted at random, with a
// probability of one in luckOdds: without that, an adversary whose keys collide with a hot one in
// the sketch could keep the window from ever getting anything into main.
const (
	sureFrequency = 6
	luckOdds      = 128
)

// margin is how much more often a candidate must have been seen, beyond once. The keys of a loop have
// just been counted when they leave the window, and what they meet under the hand is about to
// be: without a margin they would push out each other in turn.
const margin = 1

// contest chooses between the oldest entry of the window, which must leave it if another comes,
// and the entry of main under the hand. The loser is returned, a winner from the window goes to main.
// A key that was evicted not long ago goes to main at once if it is popular enough.
func (q *queues) contest(c *queue, a *arrival, joins bool) uint32 {
	coming := 0
	if a.joins && joins {
		coming = 1
	}
	m := q.hand(c)
	if coming == 1 && m != 0 && a.ghost && q.sketch.count(a.hash) > q.sketch.count(q.meta[m].hash) {
		a.toMain = true
		return m
	}
	w := c.window.tail
	if m == 0 || w == 0 {
		return max(m, w)
	}
	if a.toMain || c.window.n+coming <= windowOf(c.window.n+c.main.n) {
		return m
	}
	e := &q.meta[w]
	for ; e.flags&hitMask > 0; e.flags-- {
		q.sketch.add(e.hash)
	}
	f := q.sketch.count(e.hash)
	if f <= q.sketch.count(q.meta[m].hash)+margin && (f < sureFrequency || q.random(luckOdds) != 0) {
		return w
	}
	c.window.remove(q.links, w)
	c.main.pushFront(q.links, w)
	e.flags |= inMain
	return m
}

// maxSkips bounds how far the hand moves for one eviction.
const maxSkips = 64

// hand returns the entry of main to evict: the first under the hand without a hit left. Those it
// passes go to the front, and one of their hits goes into the sketch.
func (q *queues) hand(c *queue) uint32 {
	for range maxSkips {
		s := c.main.tail
		if s == 0 || q.meta[s].flags&hitMask == 0 {
			return s
		}
		q.meta[s].flags--
		q.sketch.add(q.meta[s].hash)
		c.main.toFront(q.links, s)
	}
	return c.main.tail
}

// evicted remembers that s is evicted for size.
func (q *queues) evicted(s uint32) {
	if q.policy == PolicyTinyLFU {
		q.ghost.add(q.meta[s].hash)
	}
}
