// SPDX-License-Identifier: MIT

package lru

import (
	"fmt"
	"math"
	"math/bits"
)

// A Policy is the rule by which a [Cache] chooses a victim when it is full.
type Policy uint8

const (
	// PolicyTinyLFU keeps entries that are used often, and lately. Entries that
	// are used once, as by a scan, do not push out those that are used again
	// and again. It is the default, and had the best mean hit ratio over all
	// traces that we tried.
	PolicyTinyLFU Policy = iota

	// PolicyLRU evicts the entry used longest ago, as [NewLRU].
	PolicyLRU

	// PolicyLFU evicts the entry used least often and, among those, longest
	// ago, as [NewLFU].
	PolicyLFU

	// PolicyFIFO evicts the entry added first, as [NewFIFO].
	PolicyFIFO

	// PolicyRandom evicts any entry, all with equal probability.
	PolicyRandom
)

var policyNames = [...]string{"TinyLFU", "LRU", "LFU", "FIFO", "Random"}

// String returns the name of the policy.
func (p Policy) String() string {
	if int(p) < len(policyNames) {
		return policyNames[p]
	}
	return fmt.Sprintf("Policy(%d)", uint8(p))
}

// MarshalText returns the name of the policy.
func (p Policy) MarshalText() ([]byte, error) {
	if int(p) >= len(policyNames) {
		return nil, fmt.Errorf("lru: unknown policy %d", uint8(p))
	}
	return []byte(policyNames[p]), nil
}

// UnmarshalText sets p to the policy of that name.
func (p *Policy) UnmarshalText(text []byte) error {
	for i, name := range policyNames {
		if name == string(text) {
			*p = Policy(i)
			return nil
		}
	}
	return fmt.Errorf("lru: unknown policy %q", text)
}

// A meta is the policy's knowledge of a slot. The bits of flags are, from the
// lowest:
//
//	2 hits since the hand passed, at most 3
//	1 in main, and not in the window; only of PolicyTinyLFU
//	1 in a queue
//	2 priority + 1
//	1 pinned
//	1 in use
//	1 hidden: only Load may see it
//	1 stale: hidden since it expired
//	1 its TTL was given by SetTTL, SetAttr or Touch
//	1 its cost was given by SetAttr
//	20 version: the number of the write that stored its value, modulo 2^20
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
	stale        = 1 << 9
	givenTTL     = 1 << 10
	givenCost    = 1 << 11
	versionShift = 12
	versions     = 1 << (32 - versionShift)
)

// class returns the priority + 1.
func (m meta) class() int { return int(m.flags & classMask >> classShift) }

// rank returns the place of an entry in costByRank: its class, or 3 if it is
// pinned.
func (m meta) rank() int {
	if m.flags&pinned != 0 {
		return 3
	}
	return m.class()
}

// competes reports whether an entry is in the queue of its priority.
func (m meta) competes() bool { return m.flags&(queued|pinned|stale) == queued }

// A queue holds the entries of one priority.
type queue struct {
	window list     // of PolicyTinyLFU; the only list of PolicyLRU and PolicyFIFO
	main   list     // of PolicyTinyLFU: a clock, whose hand is at the tail
	groups groups   // of PolicyLFU
	slots  []uint32 // of PolicyRandom; links[s].prev is the place of s
}

// queues are the policy of a shard. They know slots and hashes, but neither
// keys nor values. A slot in use is in one queue: that of its priority, or that
// of the pinned or of the stale entries.
type queues struct {
	policy  Policy
	links   []link // those of the slab
	meta    []meta
	classes [3]queue // by priority + 1
	count   [3]int   // entries in them
	pins    list     // pinned entries
	stale   list     // expired entries kept for Load; the first victims
	rng     uint64   // state of a xorshift generator

	// Of PolicyTinyLFU.
	sketch sketch
	ghost  ghost   // hashes of entries that left the window by eviction
	share  float64 // the part of the entries that the window may hold
	worn   uint32  // the entry under the hand that returning keys met last
	wear   int     // how many of them it has turned away
}

// An arrival is a new key for which room is made.
type arrival struct {
	hash   uint32
	class  int  // its priority + 1
	local  bool // it will be in this shard
	ghost  bool // it left the window not long ago
	toMain bool // it goes to main at once
	tested bool // room for it was made by a contest
}

// extend makes room for n slots, whose links are those of the slab.
func (q *queues) extend(n int, links []link) {
	q.links = links
	q.meta = extended(q.meta, n)
	if q.policy == PolicyTinyLFU {
		if q.share == 0 {
			q.share = firstShare
		}
		q.rebuildSketch(n)
		q.ghost = newGhost(n + n/4)
	}

	// Queues with frequencies have tables of their own, as long as the slab.
	for i := range q.classes {
		if q.count[i] > 0 {
			q.reserve(&q.classes[i])
		}
	}
}

// rebuildSketch makes a sketch for n slots, with the counts of the entries that
// are there. The old counters cannot be copied: each new block would begin with
// the counts of keys that do not belong to it.
func (q *queues) rebuildSketch(n int) {
	old := q.sketch
	q.sketch = newSketch(n)
	if len(old.words) == 0 {
		return
	}
	for _, m := range q.meta {
		if m.competes() {
			for range old.count(m.hash) {
				q.sketch.add(m.hash)
			}
		}
	}
}

// reserve makes room in c for all slots, so that nothing allocates later.
func (q *queues) reserve(c *queue) {
	switch n := len(q.links) - 1; {
	case q.policy == PolicyLFU && len(c.groups.of) <= n:
		c.groups.reserve(n)
	case q.policy == PolicyRandom && cap(c.slots) < n:
		c.slots = append(make([]uint32, 0, n), c.slots...)
	}
}

// random returns a number in [0, n) that callers cannot predict. The bias of
// the multiplication is below n/2^32.
func (q *queues) random(n uint32) uint32 {
	q.rng ^= q.rng << 13
	q.rng ^= q.rng >> 7
	q.rng ^= q.rng << 17
	hi, _ := bits.Mul64(q.rng, uint64(n))
	return uint32(hi)
}

// The window holds a share of the entries that follows the load. It grows by
// one entry with each key that returns so soon after it left the window that a
// window twice as large would have kept it. It shrinks when the hand takes the
// last hit of an entry of main: a smaller main might have lost that hit. Both
// are weighed by room. In balance, one more place in the window would bring
// density times the hits that one place less in main would cost.
const (
	firstShare = 1.0 / 32
	minShare   = 1.0 / 64
	maxShare   = 1.0 / 2
	density    = 2
)

// windowOf returns how many of n entries the window may hold.
func (q *queues) windowOf(n int) int { return max(int(float64(n)*q.share), 1) }

// widen has the window of c grow: to the largest share if c is empty.
func (q *queues) widen(c *queue) {
	q.share = min(q.share+1/float64(c.window.n+c.main.n), maxShare)
}

// narrow has the window of c shrink.
func (q *queues) narrow(c *queue) {
	d := density * float64(c.window.n) / float64(c.main.n)
	q.share = max(q.share-d/float64(c.window.n+c.main.n), minShare)
}

// announce counts that a new key is about to be added.
func (q *queues) announce(a *arrival) {
	if q.policy != PolicyTinyLFU || len(q.sketch.words) == 0 {
		return
	}

	q.sketch.add(a.hash)
	age, ok := q.ghost.recall(a.hash)
	a.ghost = ok
	if c := &q.classes[a.class]; ok && age <= c.window.n {
		q.widen(c)
	}
}

// push puts s, which is in no queue, into the one that its flags say. What the
// contest for it has decided is in a, if there was one.
func (q *queues) push(s uint32, a *arrival) {
	m := &q.meta[s]
	m.flags = m.flags&^(hitMask|inMain) | queued
	switch {
	case m.flags&stale != 0:
		q.stale.pushFront(q.links, s)
		return
	case m.flags&pinned != 0:
		q.pins.pushFront(q.links, s)
		return
	}

	// The others compete within their priority.
	i := m.class()
	c := &q.classes[i]
	q.count[i]++
	if q.count[i] == 1 {
		q.reserve(c)
	}
	switch {
	case q.policy == PolicyLFU:
		c.groups.push(q.links, s)
	case q.policy == PolicyRandom:
		q.links[s] = link{prev: uint32(len(c.slots))}
		c.slots = append(c.slots, s)
	case q.policy == PolicyTinyLFU && a.toMain:
		m.flags |= inMain
		c.main.pushFront(q.links, s)
	default:
		c.window.pushFront(q.links, s)
	}

	// If room was found without a contest, there is nothing to compete for.
	if q.policy == PolicyTinyLFU && !a.tested && c.window.n > q.windowOf(c.window.n+c.main.n) {
		q.promote(c, c.window.tail)
	}
}

// promote moves s from the window of c to main.
func (q *queues) promote(c *queue, s uint32) {
	c.window.unlink(q.links, s)
	c.main.pushFront(q.links, s)
	q.meta[s].flags |= inMain
}

// unlink takes s out of its queue, if it is in one.
func (q *queues) unlink(s uint32) {
	m := &q.meta[s]
	if m.flags&queued == 0 {
		return
	}
	if s == q.worn {
		q.worn = 0
	}

	// The links are those of the queue that the flags name.
	i := m.class()
	c := &q.classes[i]
	if m.competes() {
		q.count[i]--
	}
	switch {
	case m.flags&stale != 0:
		q.stale.unlink(q.links, s)
	case m.flags&pinned != 0:
		q.pins.unlink(q.links, s)
	case q.policy == PolicyLFU:
		c.groups.forget(q.links, s)
	case q.policy == PolicyRandom:
		at := q.links[s].prev
		last := c.slots[len(c.slots)-1]
		c.slots[at] = last
		q.links[last].prev = at
		c.slots = c.slots[:len(c.slots)-1]
	case m.flags&inMain != 0:
		c.main.unlink(q.links, s)
	default:
		c.window.unlink(q.links, s)
	}
	m.flags &^= queued | inMain
}

// hit counts a hit of s.
func (q *queues) hit(s uint32) {
	m := &q.meta[s]
	switch q.policy {
	case PolicyTinyLFU:
		if m.flags&hitMask < hitMask {
			m.flags++
		}
	case PolicyLRU:
		if m.competes() {
			q.classes[m.class()].window.toFront(q.links, s)
		}
	case PolicyLFU:
		if m.competes() {
			q.classes[m.class()].groups.touch(q.links, s)
		}
	}
}

// victim returns the entry to evict for a, or 0 if there is none of its
// priority or a lower one. Stale entries come first, then the lowest priority
// present. The victim stays in its queue.
func (q *queues) victim(a *arrival) uint32 {
	if q.stale.n > 0 {
		return q.stale.tail
	}

	// Lower priorities go first, and none above that of the arrival.
	for i := range a.class + 1 {
		if q.count[i] == 0 {
			continue
		}
		c := &q.classes[i]
		switch q.policy {
		case PolicyTinyLFU:
			return q.contest(c, a, a.local && i == a.class)
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

const (
	// sureFrequency is the estimate from which a candidate may be admitted at
	// random, with a probability of one in luckOdds. Without that, an adversary
	// whose keys collide with a hot one in the sketch could keep the window
	// from ever getting anything into main.
	sureFrequency = 6
	luckOdds      = 128

	// margin is how much more often a candidate must have been seen, beyond
	// once. The keys of a loop have just been counted when they leave the
	// window, and those that they meet under the hand are about to be. Without
	// a margin they would push out each other in turn.
	margin = 1
)

// contest chooses between the oldest entry of the window, which must leave it
// if another one comes, and the entry of main under the hand. It returns the
// loser. A winner from the window goes to main. A key that left the window not
// long ago goes to main at once if it is popular enough; joins says that it
// would come to c.
func (q *queues) contest(c *queue, a *arrival, joins bool) uint32 {
	// The two candidates: the entry under the hand, and the tail of the window.
	m := q.underHand(c)
	w := c.window.tail
	over := c.window.n - q.windowOf(c.window.n+c.main.n)
	a.tested = a.tested || joins
	if joins && a.ghost && !a.toMain && m != 0 && q.returns(a, m) {
		a.toMain = true
		if over > 0 {
			q.flush(w) // the window is too large: its tail is the loser
			return w
		}
		return m
	}
	if m == 0 || w == 0 {
		return max(m, w)
	}

	// While the window is not full, main gives way to it.
	room := over < 0 || over == 0 && !joins
	if a.toMain || room {
		return m
	}

	q.flush(w)
	f := q.sketch.count(q.meta[w].hash)
	if f <= q.sketch.count(q.meta[m].hash)+margin && (f < sureFrequency || q.random(luckOdds) != 0) {
		return w
	}

	// The tail of the window is used more: it moves to main in place of m.
	q.promote(c, w)
	if over > 0 && c.window.n > 0 {
		return c.window.tail
	}
	return m
}

// returns reports whether a key that has returned takes the place of m, the
// entry under the hand. An entry wears with each key that it turns away: one
// that is never hit does not hold out for long, however often it was used once.
func (q *queues) returns(a *arrival, m uint32) bool {
	if m != q.worn {
		q.worn = m
		q.wear = 0
	}
	f := q.sketch.count(q.meta[m].hash) - q.wear
	if f > 1 {
		f += margin
	}
	if q.sketch.count(a.hash) > f {
		return true
	}
	q.wear++
	return false
}

// flush moves the hits of s to the sketch.
func (q *queues) flush(s uint32) {
	for m := &q.meta[s]; m.flags&hitMask > 0; m.flags-- {
		q.sketch.add(m.hash)
	}
}

// maxSkips bounds how far the hand moves for one eviction.
const maxSkips = 64

// underHand returns the entry of main to evict: the first under the hand
// without a hit left. Entries that the hand passes go to the front, and one of
// their hits goes to the sketch.
func (q *queues) underHand(c *queue) uint32 {
	for range maxSkips {
		s := c.main.tail
		if s == 0 || q.meta[s].flags&hitMask == 0 {
			return s
		}

		// An entry that was used since is spared once for each use.
		m := &q.meta[s]
		m.flags--
		if m.flags&hitMask == 0 {
			q.narrow(c)
		}
		if s == q.worn {
			q.worn = 0
		}
		q.sketch.add(m.hash)
		c.main.toFront(q.links, s)
	}
	return c.main.tail
}

// noteEviction remembers that s is evicted for size. Victims from main are not
// remembered: they would return to main and push out others, which return too.
func (q *queues) noteEviction(s uint32) {
	m := q.meta[s]
	if q.policy == PolicyTinyLFU && m.competes() && m.flags&inMain == 0 {
		q.ghost.add(m.hash)
	}
}

// uses returns how often s was used, as far as the policy counts.
func (q *queues) uses(s uint32) uint64 {
	switch m := q.meta[s]; {
	case q.policy == PolicyTinyLFU:
		return uint64(q.sketch.count(m.hash)) + uint64(m.flags&hitMask)
	case q.policy == PolicyLFU && m.competes():
		return q.classes[m.class()].groups.count(s)
	}
	return 0
}

// scores returns how popular each slot is, on a scale that all shards share.
func (q *queues) scores() []uint64 {
	scores := make([]uint64, len(q.meta))
	for s := range q.meta {
		scores[s] = q.uses(uint32(s))
		if q.meta[s].flags&pinned != 0 {
			scores[s] = math.MaxUint64
		}
	}
	if q.policy != PolicyLRU && q.policy != PolicyFIFO {
		return scores
	}

	// By time: the part of the list that is older, so that shards of different
	// sizes compare.
	for i := range q.classes {
		l := &q.classes[i].window
		older := l.n
		for s := l.head; s != 0; s = q.links[s].next {
			scores[s] = uint64(older) << 32 / uint64(l.n)
			older--
		}
	}
	return scores
}

// restoreUses gives s the popularity that it had in another cache.
func (q *queues) restoreUses(s uint32, uses uint64) {
	switch m := q.meta[s]; {
	case q.policy == PolicyTinyLFU:
		for range min(uses, 15) {
			q.sketch.add(m.hash)
		}
	case q.policy == PolicyLFU && m.competes() && uses > 1:
		q.classes[m.class()].groups.raise(q.links, s, min(uses, math.MaxInt64))
	}
}
