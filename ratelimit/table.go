// SPDX-License-Identifier: MIT

package ratelimit

import (
	"hash/maphash"
	"math"
	"math/bits"
	"sync"
	"time"
)

// ways is the number of slots in a set, whose tags fill one word.
const ways = 8

// A shard is a hash table of sets of 8 slots, each key having two sets to choose from.
// Tags are one byte of the hash, 0 for an empty slot, and are compared 8 at a time.
// A single choice of set would overflow long before the table is full.
type shard[K comparable] struct {
	mu     sync.Mutex // protects what follows
	plan   *plan      // of the slots without one of their own
	base   int64      // readings of this shard are relative to it
	latest int64      // the latest reading so far
	span   int64      // the smallest of the plans in use
	tags   []uint64   // one a set
	keys   []K        // one a slot
	spent  []int64    // width a slot: one a tier, or what events keeps
	own    []*plan    // one a slot; empty until TakeLimits is used
	events *cell      // of a KeyedWindow, else nil

	width, maxSets, used               int
	allowed, denied, evicted, forgiven uint64
}

const (
	lowBits  = 0x0101010101010101
	highBits = 0x8080808080808080
)

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

func (s *shard[K]) planOf(i int) *plan {
	if p := s.ownPlan(i); p != nil {
		return p
	}
	return s.plan
}

// ownPlan returns the plan that slot i has for itself, or nil.
func (s *shard[K]) ownPlan(i int) *plan {
	if i < 0 || len(s.own) == 0 {
		return nil
	}
	return s.own[i]
}

// setPlan moves slot i to its own plan, or to the shard's if own is nil.
func (s *shard[K]) setPlan(i int, own *plan, d int64) {
	old := s.planOf(i)
	if own != nil && len(s.own) == 0 {
		s.own = make([]*plan, len(s.keys))
	}
	if len(s.own) > 0 {
		s.own[i] = own
	}
	if p := s.planOf(i); p != old {
		s.carry(i, old, p, d)
	}
}

// carry converts what slot i has spent from one plan to another, at reading d.
func (s *shard[K]) carry(i int, from, to *plan, d int64) {
	for j := range to.meters {
		spent := &s.spent[i*len(to.meters)+j]
		pos := from.meters[j].convert(&to.meters[j], *spent, from.meters[j].supply(d))
		*spent = max(pos+to.meters[j].supply(d), full)
	}
}

// adopt makes p the plan of the shard.
func (s *shard[K]) adopt(p *plan, d int64) {
	old := s.plan
	s.plan = p
	for i := range s.keys {
		if s.occupied(i) && s.ownPlan(i) == nil {
			s.carry(i, old, p, d)
		}
	}
}

// rebase moves the base so that the reading t is in the span, and returns it relative to the
// base. A time of SetLimits before all readings counts as the first of the span.
func (s *shard[K]) rebase(t int64) int64 {
	if s.used == 0 {
		s.base = t
		return 0
	}
	for t-s.base > s.span {
		for i := range s.keys {
			if !s.occupied(i) {
				continue
			}
			for j, p := 0, s.planOf(i); j < len(p.meters); j++ {
				m := &p.meters[j]
				spent := &s.spent[i*len(p.meters)+j]
				*spent = m.convert(m, *spent, m.supply(s.span))
			}
		}
		s.base += s.span
	}
	return max(t-s.base, -s.span)
}

// isFull reports whether the bucket in slot i is full, which makes the slot free.
func (s *shard[K]) isFull(i int, d int64) bool {
	if s.events != nil {
		return s.events.count(s.words(i), d) == 0
	}
	p := s.planOf(i)
	for j := range p.meters {
		if s.spent[i*len(p.meters)+j] > p.meters[j].supply(d) {
			return false
		}
	}
	return true
}

// debt returns the nanoseconds that the bucket in slot i needs to be full: what is lost when
// it is forgotten; for a window, the events that count. It only ranks, so a float will do; it
// is 0 exactly if nothing is lost.
func (s *shard[K]) debt(i int, d int64) float64 {
	if s.events != nil {
		return float64(s.events.count(s.words(i), d))
	}
	p, most := s.planOf(i), 0.0
	for j := range p.meters {
		m := &p.meters[j]
		if units := s.spent[i*len(p.meters)+j] - m.supply(d); units > 0 {
			most = max(most, float64(units)*m.nsPerUnit)
		}
	}
	return most
}

// place returns a slot for key, which is absent, with nothing spent, or -1 if there is none
// and force does not make room by forgetting another key.
func (s *shard[K]) place(k *Keyed[K], key K, h uint64, d int64, own *plan, force bool) int {
	i := s.emptySlot(h)
	if i < 0 {
		var debt float64
		switch i, debt = s.victim(h, d); {
		case debt > 0 && len(s.tags) < s.maxSets:
			s.grow(k, d)
			return s.place(k, key, h, d, own, force)
		case debt > 0 && !force:
			return -1
		case debt > 0:
			s.evicted++
			s.forgiven += s.forgivenTokens(i, d)
		}
		if i >= 0 {
			s.remove(i)
		}
	}
	s.fill(i, key, h, own)
	return i
}

func (s *shard[K]) fill(i int, key K, h uint64, own *plan) {
	s.tags[i/ways] |= tagOf(h) << (i % ways * 8)
	s.keys[i] = key
	s.used++
	if own != nil && len(s.own) == 0 {
		s.own = make([]*plan, len(s.keys))
	}
	if len(s.own) > 0 {
		s.own[i] = own
	}
	for j := range s.words(i) {
		s.words(i)[j] = full
	}
}

// words returns what slot i holds.
func (s *shard[K]) words(i int) []int64 { return s.spent[i*s.width : (i+1)*s.width] }

// remove empties slot i.
func (s *shard[K]) remove(i int) {
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
	ea, eb := empty(s.tags[a]), empty(s.tags[b])
	if bits.OnesCount64(eb) > bits.OnesCount64(ea) {
		a, ea = b, eb
	}
	if ea == 0 {
		return -1
	}
	return a*ways + bits.TrailingZeros64(ea)/8
}

// empty returns a bit for each byte of tags that is 0.
func empty(tags uint64) uint64 {
	return ^((tags&^highBits + ^uint64(highBits)) | tags) & highBits
}

// victim returns the least indebted slot of the two full sets of h, and its debt; without a
// table an infinite one. A debt of 0 is a full bucket: its slot is free.
func (s *shard[K]) victim(h uint64, d int64) (best int, least float64) {
	best, least = -1, math.Inf(1)
	if len(s.tags) == 0 {
		return best, least
	}
	a, b := s.setsOf(h)
	for _, set := range [2]int{a, b} {
		for i := set * ways; i < (set+1)*ways; i++ {
			debt := s.debt(i, d)
			if best < 0 || debt < least {
				best, least = i, debt
			}
			if debt == 0 {
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
	_, debt := s.victim(h, d)
	return debt == 0
}

// roomAfter returns the time until a slot of the two sets of h is free by itself.
func (s *shard[K]) roomAfter(h uint64, d int64) time.Duration {
	i, _ := s.victim(h, d)
	if s.events != nil {
		return s.events.after(s.words(i), d)
	}
	p, wait := s.planOf(i), time.Duration(0)
	for j := range p.meters {
		w := p.meters[j].until(s.spent[i*len(p.meters)+j], d)
		if w < 0 {
			return -1
		}
		wait = max(wait, w)
	}
	return wait
}

// grow makes the table the next larger of maxSets, maxSets/2, maxSets/4..., each at least
// twice the one before, leaving out what is full.
func (s *shard[K]) grow(k *Keyed[K], d int64) {
	old := shard[K]{plan: s.plan, tags: s.tags, keys: s.keys, spent: s.spent, own: s.own, events: s.events, width: s.width}
	sets := s.maxSets
	for sets/2 > len(s.tags) {
		sets /= 2
	}
	s.tags = make([]uint64, sets)
	s.keys = make([]K, sets*ways)
	s.spent = make([]int64, sets*ways*s.width)
	s.own, s.used = nil, 0
	for i := range old.keys {
		if !old.occupied(i) || old.isFull(i, d) {
			continue
		}
		h := maphash.Comparable(k.seed, old.keys[i])
		// Room is short only if 17 keys of a table half empty share their sets; then one
		// is forgotten and counted, whatever DenyNew says.
		to := s.place(k, old.keys[i], h, d, old.ownPlan(i), true)
		copy(s.words(to), old.words(i))
	}
}
