// SPDX-License-Identifier: MIT

package ratelimit

import (
	"hash/maphash"
	"math"
	"math/bits"
	"sync"
	"time"
)

// A table holds some words for each key, in bounded memory. A rule gives the
// words their meaning.
type table[K comparable] struct {
	shards  []shard[K]
	shift   uint8 // of a hash, to the index of its shard
	denyNew bool
	seed    maphash.Seed
	clock   clock
}

// A rule gives the words of a slot their meaning. A *plan and a *windowRule are
// rules.
type rule interface {
	// fresh makes words those of a key that was never seen.
	fresh(words []int64)
	// owed ranks the slots that may be forgotten: it is 0 exactly if nothing is
	// lost with the slot at reading d.
	owed(words []int64, d int64) float64
	// forgiven returns the tokens that are lost with the slot at reading d.
	forgiven(words []int64, d int64) uint64
	// freeAfter returns the time from reading d until nothing is lost with the
	// slot, and a negative one if that never comes.
	freeAfter(words []int64, d int64) time.Duration
	// move makes words relative to a base that lies d later.
	move(words []int64, d int64)
}

// ways is the number of slots in a set, whose tags fill one word.
const ways = 8

// A shard is a hash table of sets of 8 slots, each key having two sets to
// choose from. Tags are one byte of the hash, 0 for an empty slot, and are
// compared 8 at a time. A single choice of set would overflow long before the
// table is full. Callers of its methods hold mu.
type shard[K comparable] struct {
	mu    sync.Mutex // protects the fields below
	rule  rule       // of the slots without one of their own
	plan  *plan      // the same, if it is a plan
	base  int64      // readings of this shard are relative to it
	span  int64      // readings are within it; the smallest of the plans in use
	tags  []uint64   // one a set
	keys  []K        // one a slot
	words []int64    // width a slot
	own   []*plan    // one a slot; empty until TakeLimits is used

	// The latest reading at which a slot was forgotten that was free. A key
	// that is absent may have owed something before.
	forgot int64

	width, maxSets, used               int
	allowed, denied, evicted, forgiven uint64
}

const (
	lowBits  = 0x0101010101010101
	highBits = 0x8080808080808080
)

// newTable returns an empty table of r, whose slots have width words.
func newTable[K comparable](o KeyedOptions, r rule, width int, span int64) table[K] {
	// At most 256 shards, of 1024 keys or more: in smaller ones the luck of the
	// hash would fill some long before the others.
	log := min(max(bits.Len(uint(o.MaxKeys/1024))-1, 0), 8)
	t := table[K]{
		shards:  make([]shard[K], 1<<log),
		shift:   uint8(64 - log),
		denyNew: o.DenyNew,
		seed:    maphash.MakeSeed(),
		clock:   newClock(o.Now),
	}

	// A plan is the usual rule, and has ways without the interface.
	p, _ := r.(*plan)
	for i := range t.shards {
		s := &t.shards[i]
		s.maxSets = o.MaxKeys / ways >> log
		s.width = width
		s.rule, s.plan = r, p
		s.span = span
		s.forgot = math.MinInt64
	}
	return t
}

// lock locks the shard of key, and returns it with the hash of key.
func (t *table[K]) lock(key K) (*shard[K], uint64) {
	h := maphash.Comparable(t.seed, key)
	s := &t.shards[h>>(t.shift&63)&uint64(len(t.shards)-1)]
	s.mu.Lock()
	return s, h
}

// remove forgets key.
func (t *table[K]) remove(key K) {
	s, h := t.lock(key)
	defer s.mu.Unlock()
	if i := s.find(key, h); i >= 0 {
		s.free(i)
	}
}

// clear forgets all keys.
func (t *table[K]) clear() {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		s.tags, s.keys, s.words, s.own = nil, nil, nil, nil
		s.used = 0
		s.forgot = math.MinInt64
		s.mu.Unlock()
	}
}

// stats returns the counters of t.
func (t *table[K]) stats() (sum KeyedStats) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		sum.Keys += s.used
		sum.Allowed += s.allowed
		sum.Denied += s.denied
		sum.Evicted += s.evicted
		sum.Forgiven += s.forgiven
		s.mu.Unlock()
	}
	return sum
}

// near returns the reading t relative to the base of the shard, which it moves
// if it must. A time of SetLimits before all readings counts as the first of
// the span.
func (s *shard[K]) near(t int64) int64 {
	d := t - s.base
	if uint64(d+s.span) <= uint64(2*s.span) {
		return d
	}
	if s.used == 0 {
		s.base = t
		return 0
	}

	// Move the base, and with it the words of all keys.
	for t-s.base > s.span {
		for i := range s.keys {
			if s.occupied(i) {
				s.ruleOf(i).move(s.at(i), s.span)
			}
		}
		s.base += s.span
	}
	return max(t-s.base, -s.span)
}

// absent returns the reading at which a key that is not held is judged, for
// the reading d: not before one at which it may have been forgotten.
func (s *shard[K]) absent(d int64) int64 {
	if f := s.forgot; f > d+s.base {
		return min(f-s.base, s.span)
	}
	return d
}

// tagOf returns the tag of a hash, which is not 0.
func tagOf(h uint64) uint64 { return max(h>>40&0xff, 1) }

// setsOf returns the two sets of a hash.
func (s *shard[K]) setsOf(h uint64) (int, int) {
	n := uint64(len(s.tags))
	g := h * 0x9e3779b97f4a7c15
	return int((h & math.MaxUint32) * n >> 32), int(g >> 32 * n >> 32)
}

// find returns the slot of key, or -1.
func (s *shard[K]) find(key K, h uint64) int {
	if len(s.tags) == 0 {
		return -1
	}
	a, b := s.setsOf(h)
	want := tagOf(h) * lowBits
	for range 2 {
		// Compare eight tags at once: a byte of x is 0 where one matches.
		x := s.tags[a] ^ want
		for m := (x - lowBits) &^ x & highBits; m != 0; m &= m - 1 {
			if i := a*ways + bits.TrailingZeros64(m)/8; s.keys[i] == key && s.occupied(i) {
				return i
			}
		}
		a = b
	}
	return -1
}

func (s *shard[K]) occupied(i int) bool { return s.tags[i/ways]>>(i%ways*8)&0xff != 0 }

// at returns the words of slot i.
func (s *shard[K]) at(i int) []int64 { return s.words[i*s.width : (i+1)*s.width] }

// ruleOf returns the rule of slot i.
func (s *shard[K]) ruleOf(i int) rule {
	if p := s.ownPlan(i); p != nil {
		return p
	}
	return s.rule
}

// ownPlan returns the plan that slot i has for itself, or nil.
func (s *shard[K]) ownPlan(i int) *plan {
	if i < 0 || len(s.own) == 0 {
		return nil
	}
	return s.own[i]
}

// widen gives each slot width words or more. The words that are added mean
// nothing until a wider plan is used.
func (s *shard[K]) widen(width int) {
	if width <= s.width {
		return
	}
	words := make([]int64, len(s.keys)*width)
	for i := range s.keys {
		copy(words[i*width:], s.at(i))
	}
	s.words = words
	s.width = width
}

// place returns a slot for key, which is absent, with fresh words, or -1 if
// there is none and force does not make room by forgetting another key.
func (s *shard[K]) place(t *table[K], key K, h uint64, d int64, own *plan, force bool) int {
	i := s.emptySlot(h)
	if i < 0 {
		var owed float64
		i, owed = s.victim(h, d)
		switch {
		case owed > 0 && len(s.tags) < s.maxSets:
			s.grow(t, d)
			return s.place(t, key, h, d, own, force)
		case owed > 0 && !force:
			return -1
		case owed > 0:
			s.evicted++
			s.forgiven += s.ruleOf(i).forgiven(s.at(i), d)
		default:
			s.forgot = max(s.forgot, d+s.base)
		}
		s.free(i)
	}

	// Fill the slot.
	s.tags[i/ways] |= tagOf(h) << (i % ways * 8)
	s.keys[i] = key
	s.used++
	if own != nil && len(s.own) == 0 {
		s.own = make([]*plan, len(s.keys))
	}
	if len(s.own) > 0 {
		s.own[i] = own
	}
	if s.plan != nil {
		copy(s.at(i), unspent[:])
	} else {
		s.rule.fresh(s.at(i))
	}
	return i
}

// free empties slot i.
func (s *shard[K]) free(i int) {
	var zero K
	s.tags[i/ways] &^= 0xff << (i % ways * 8)
	s.keys[i] = zero
	if len(s.own) > 0 {
		s.own[i] = nil
	}
	s.used--
}

// emptySlot returns an empty slot in the emptier of the two sets of h, or -1.
func (s *shard[K]) emptySlot(h uint64) int {
	if len(s.tags) == 0 {
		return -1
	}
	a, b := s.setsOf(h)
	free := empty(s.tags[a])
	if other := empty(s.tags[b]); bits.OnesCount64(other) > bits.OnesCount64(free) {
		a, free = b, other
	}
	if free == 0 {
		return -1
	}
	return a*ways + bits.TrailingZeros64(free)/8
}

// empty returns a bit for each byte of tags that is 0.
func empty(tags uint64) uint64 {
	return ^((tags&^highBits + ^uint64(highBits)) | tags) & highBits
}

// victim returns the slot of the two full sets of h of which the least is owed,
// and how much that is; without a table an infinite amount. A slot that owes
// nothing is free.
func (s *shard[K]) victim(h uint64, d int64) (best int, least float64) {
	best = -1
	least = math.Inf(1)
	if len(s.tags) == 0 {
		return best, least
	}
	a, b := s.setsOf(h)
	if s.plan != nil && len(s.own) == 0 {
		return s.plan.victim(s.words, s.width, d, a*ways, b*ways)
	}

	// Rules may differ: ask each.
	for _, set := range [2]int{a, b} {
		for i := set * ways; i < (set+1)*ways; i++ {
			owed := s.ruleOf(i).owed(s.at(i), d)
			if best < 0 || owed < least {
				best, least = i, owed
			}
			if owed == 0 {
				return i, 0
			}
		}
	}
	return best, least
}

// hasRoom reports whether place would find a slot without force.
func (s *shard[K]) hasRoom(h uint64, d int64) bool {
	if len(s.tags) < s.maxSets || s.emptySlot(h) >= 0 {
		return true
	}
	_, owed := s.victim(h, d)
	return owed == 0
}

// roomAfter returns the time until a slot of the two sets of h is free by
// itself.
func (s *shard[K]) roomAfter(h uint64, d int64) time.Duration {
	i, _ := s.victim(h, d)
	return s.ruleOf(i).freeAfter(s.at(i), d)
}

// grow makes the table the next larger of maxSets, maxSets/2, maxSets/4...,
// each at least twice the one before, leaving out the slots that are free.
func (s *shard[K]) grow(t *table[K], d int64) {
	old := shard[K]{rule: s.rule, tags: s.tags, keys: s.keys, words: s.words, own: s.own, width: s.width}
	sets := s.maxSets
	for sets/2 > len(s.tags) {
		sets /= 2
	}
	s.tags = make([]uint64, sets)
	s.keys = make([]K, sets*ways)
	s.words = make([]int64, sets*ways*s.width)
	s.own = nil
	s.used = 0

	// Keys that owe nothing are left behind.
	for i := range old.keys {
		if !old.occupied(i) {
			continue
		}
		if old.ruleOf(i).owed(old.at(i), d) == 0 {
			s.forgot = max(s.forgot, d+s.base)
			continue
		}

		// Room is short only if 17 keys of a table half empty share their sets;
		// then one is forgotten and counted, whatever DenyNew says.
		h := maphash.Comparable(t.seed, old.keys[i])
		to := s.place(t, old.keys[i], h, d, old.ownPlan(i), true)
		copy(s.at(to), old.at(i))
	}
}
