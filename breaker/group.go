// SPDX-License-Identifier: MIT

package breaker

import (
	"iter"
	"sync"
	"sync/atomic"
)

// A Group holds a [Breaker] for each key, such as each host, in bounded memory.
// It is safe for concurrent use by multiple goroutines, must not be copied, starts no goroutine and
// needs no Close. Use [NewGroup]; Get on a zero Group panics.
//
// When it is full, a new key takes the place of one that was not used lately and whose breaker knows
// nothing: closed, no failure in a row or in the window, and stable. Forgetting any other would close
// an open breaker, or give a failing host another full row of failures. If there is none such among
// those that it looks at, the new key is served by a breaker that is not held.
type Group[K comparable] struct {
	opts GroupOptions[K]
	m    sync.Map // K -> *member[K]; written with mu held

	mu      sync.Mutex // protects what follows
	ring    []*member[K]
	hand    int // where the search for a victim goes on
	evicted atomic.Uint64
	unheld  atomic.Uint64
}

// A member is a breaker of a group.
type member[K comparable] struct {
	b     *Breaker
	key   K
	index int         // in ring
	used  atomic.Bool // since the hand passed
}

// candidates is how many members a full group looks at for one to forget.
const candidates = 32

// NewGroup returns an empty Group. If opts is nil, the defaults are used.
// It panics if opts are not valid.
func NewGroup[K comparable](opts *GroupOptions[K]) *Group[K] {
	if err := opts.Validate(); err != nil {
		panic("breaker: NewGroup: " + reason(err))
	}
	g := &Group[K]{}
	if opts != nil {
		g.opts = *opts
	}
	g.opts.Max = or(g.opts.Max, 1<<16)
	return g
}

// Get returns the breaker of key, which it makes if there is none. Call it for each call anew, since
// a breaker that is kept elsewhere may be forgotten here.
// The complexity is O(1).
func (g *Group[K]) Get(key K) *Breaker {
	if v, ok := g.m.Load(key); ok {
		m := v.(*member[K])
		if !m.used.Load() { // look first: writing shares the line between all cores
			m.used.Store(true)
		}
		return m.b
	}
	if g.opts.Max == 0 {
		panic("breaker: zero Group: use NewGroup")
	}
	var opts *Options
	if g.opts.Options != nil {
		opts = g.opts.Options(key)
	}
	return g.add(key, New(opts))
}

// add holds b for key, unless another goroutine was faster or there is no room.
func (g *Group[K]) add(key K, b *Breaker) *Breaker {
	g.mu.Lock()
	defer g.mu.Unlock()
	if v, ok := g.m.Load(key); ok {
		return v.(*member[K]).b
	}
	if len(g.ring) >= g.opts.Max && !g.evictLocked() {
		g.unheld.Add(1)
		return b
	}
	m := &member[K]{b: b, key: key, index: len(g.ring)}
	m.used.Store(true)
	g.ring = append(g.ring, m)
	g.m.Store(key, m)
	return b
}

// evictLocked forgets one of the next candidates: the first that was not used since the hand passed,
// else the first that may be forgotten at all.
func (g *Group[K]) evictLocked() bool {
	var second *member[K]
	for range min(candidates, len(g.ring)) {
		g.hand = (g.hand + 1) % len(g.ring)
		m := g.ring[g.hand]
		used := m.used.Swap(false)
		if used && second != nil || !m.b.idle() {
			continue
		}
		if !used {
			second = m
			break
		}
		second = m
	}
	if second == nil {
		return false
	}
	g.removeLocked(second)
	g.evicted.Add(1)
	return true
}

func (g *Group[K]) removeLocked(m *member[K]) {
	last := g.ring[len(g.ring)-1]
	g.ring[m.index] = last
	last.index = m.index
	g.ring[len(g.ring)-1] = nil
	g.ring = g.ring[:len(g.ring)-1]
	g.m.Delete(m.key)
}

// idle reports whether b knows nothing that a new breaker would not.
// No event is due to be delivered here: only a closed breaker is looked at further.
func (b *Breaker) idle() bool {
	if stateOf(b.word.Load()) != Closed {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	per, t := b.per.Load(), b.elapsedLocked()
	if per.state != Closed || per.fails.Load() > 0 {
		return false
	}
	if per.win != nil {
		if s := per.win.sum(t); s.failures+s.slow > 0 {
			return false
		}
	}
	return b.row == 0 || t-per.since >= int64(per.cfg.StableFor)
}

// Delete forgets key, whatever the state of its breaker.
func (g *Group[K]) Delete(key K) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if v, ok := g.m.Load(key); ok {
		g.removeLocked(v.(*member[K]))
	}
}

// Len returns the number of breakers held.
func (g *Group[K]) Len() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.ring)
}

// All returns an iterator over the keys and their breakers, in no order. It is weakly consistent: it
// does not block Get, and a key that is added or forgotten meanwhile is seen or not, but none
// is seen twice.
func (g *Group[K]) All() iter.Seq2[K, *Breaker] {
	return func(yield func(K, *Breaker) bool) {
		g.m.Range(func(k, v any) bool { return yield(k.(K), v.(*member[K]).b) })
	}
}

// GroupStats are the counters of a [Group]. Fields are exact, the set is not atomic.
type GroupStats struct {
	Len     int    // breakers held now
	Evicted uint64 // keys forgotten for new ones, since the start
	Unheld  uint64 // calls of Get that found no room, since the start
}

// Sub returns the change of the counters since prev, and the current Len.
func (s GroupStats) Sub(prev GroupStats) GroupStats {
	s.Evicted -= prev.Evicted
	s.Unheld -= prev.Unheld
	return s
}

// Stats returns the statistics of now.
func (g *Group[K]) Stats() GroupStats {
	return GroupStats{Len: g.Len(), Evicted: g.evicted.Load(), Unheld: g.unheld.Load()}
}
