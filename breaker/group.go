// SPDX-License-Identifier: MIT

package breaker

import (
	"iter"
	"sync"
	"sync/atomic"
	"time"
)

// A Group holds a [Breaker] for each key, such as each host, in bounded memory.
// It is safe for concurrent use by multiple goroutines, must not be copied,
// starts no goroutine and needs no Close. Use [NewGroup]; Get on a zero Group
// panics.
//
// When it is full, a new key takes the place of one that was not used lately
// and whose breaker knows nothing: it is closed and stable, with no failure in
// a row or in the window. Forgetting any other would close an open breaker, or
// give a failing host another full row of failures. What a breaker knows is out
// of date GroupOptions.Forget after its last failure or change of state; then
// it may be forgotten too, unless it was forced into its state. If the group
// finds no such member, the new key is served by a breaker that is not held.
type Group[K comparable] struct {
	opts   GroupOptions[K]
	m      sync.Map // K -> *member[K]; written with mu held
	recent atomic.Pointer[sharedConfig]
	pause  atomic.Int64 // new keys for which a full group does not search

	mu      sync.Mutex // protects the fields below
	members []*member[K]
	hand    int // the place at which the last search ended
	evicted atomic.Uint64
	unheld  atomic.Uint64
}

// A member is a breaker of a group.
type member[K comparable] struct {
	b     *Breaker
	key   K
	place int         // in members
	used  atomic.Bool // since the hand passed
}

// A sharedConfig is the resolved form of the Options at an address.
type sharedConfig struct {
	opts *Options // keeps the address from being used again
	c    *config
}

// candidates is the number of members that a full group looks at for one to
// forget. If it finds none, the same number of new keys do not search at all,
// so that a new key looks at one member or two on average.
const candidates = 32

// NewGroup returns an empty Group. If opts is nil, the defaults are used.
// It panics if opts is not valid.
func NewGroup[K comparable](opts *GroupOptions[K]) *Group[K] {
	if err := opts.Validate(); err != nil {
		panic(err)
	}
	return &Group[K]{opts: opts.resolve()}
}

// Get returns the breaker of key, which it makes if there is none. Call it for
// each call anew, since a breaker that is kept elsewhere may be forgotten here.
// The complexity is O(1).
func (g *Group[K]) Get(key K) *Breaker {
	if v, ok := g.m.Load(key); ok {
		m := v.(*member[K])
		if !m.used.Load() { // a write would move the line between processors
			m.used.Store(true)
		}
		return m.b
	}
	if g.opts.Max == 0 {
		panic("breaker: zero Group: use NewGroup")
	}

	// Options is the caller's code, so it runs before the lock is taken.
	b := newBreaker(g.config(g.opts.Options(key)))
	if g.pause.Load() > 0 && g.pause.Add(-1) >= 0 {
		g.unheld.Add(1)
		return b
	}
	return g.hold(key, b)
}

// config returns the settings that opts say. Keys with the same Options share
// them.
func (g *Group[K]) config(opts *Options) *config {
	if s := g.recent.Load(); s != nil && s.opts == opts {
		return s.c
	}
	if err := opts.Validate(); err != nil {
		panic(err)
	}
	c := configOf(opts)
	g.recent.Store(&sharedConfig{opts, c})
	return c
}

// hold keeps b for key, unless another goroutine was faster, or there is no
// room.
func (g *Group[K]) hold(key K, b *Breaker) *Breaker {
	g.mu.Lock()
	defer g.mu.Unlock()
	if v, ok := g.m.Load(key); ok {
		return v.(*member[K]).b // another goroutine made it since Get looked
	}
	if key != key { // a NaN, or a struct with one, is never found again
		g.unheld.Add(1)
		return b
	}
	if len(g.members) >= g.opts.Max && !g.evictLocked() {
		g.pause.Store(candidates)
		g.unheld.Add(1)
		return b
	}

	// There is room.
	m := &member[K]{b: b, key: key, place: len(g.members)}
	m.used.Store(true)
	g.members = append(g.members, m)
	g.m.Store(key, m)
	if invariants {
		g.checkLocked()
	}
	return b
}

// evictLocked forgets one of the next candidates: the first that was not used
// since the hand passed, else the first that may be forgotten at all. It
// reports whether there was one.
func (g *Group[K]) evictLocked() bool {
	var victim *member[K]
	for range min(candidates, len(g.members)) {
		g.hand = (g.hand + 1) % len(g.members)
		m := g.members[g.hand]

		// A member that was used since the hand passed gets a second chance,
		// unless all were.
		used := m.used.Swap(false)
		if used && victim != nil || !m.b.idle(g.opts.Forget) {
			continue
		}
		victim = m
		if !used {
			break
		}
	}

	if victim == nil {
		return false
	}
	g.removeLocked(victim)
	g.evicted.Add(1)
	return true
}

// removeLocked forgets m. The last member takes its place.
func (g *Group[K]) removeLocked(m *member[K]) {
	end := len(g.members) - 1
	moved := g.members[end]
	moved.place = m.place
	g.members[m.place] = moved
	g.members[end] = nil
	g.members = g.members[:end]
	g.m.Delete(m.key)
	if invariants {
		g.checkLocked()
	}
}

// idle reports whether b knows nothing that a new breaker would not, or, if
// forget is positive, nothing newer than that. It makes no change of state,
// which OnChange would have to hear of under the lock of the group.
func (b *Breaker) idle(forget time.Duration) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	per, t := b.per.Load(), b.readLocked()
	if per.state == ForcedOpen || per.state == Disabled {
		return false
	}

	// A breaker without news for long is idle in any state.
	if forget > 0 && t-b.knownLocked(per) >= int64(forget) {
		return true
	}

	// Else nothing must be lost with it: no failure counted, no backoff grown.
	if per.state != Closed || per.fails.Load() > 0 {
		return false
	}
	if sum := per.sum(t); sum[failures]+sum[slows] > 0 {
		return false
	}
	return b.row == 0 || t-per.since >= int64(per.cfg.StableFor)
}

// knownLocked returns the reading of the last thing that b knows.
func (b *Breaker) knownLocked(per *period) int64 {
	known := max(per.since, b.bad)
	switch per.state {
	case Open, Recovering:
		known = max(known, per.until)
	case HalfOpen:
		for _, p := range b.probes {
			known = max(known, p.lease)
		}
	default:
	}
	return known
}

// Delete forgets key, whatever the state of its breaker.
func (g *Group[K]) Delete(key K) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if v, ok := g.m.Load(key); ok {
		g.removeLocked(v.(*member[K]))
		g.pause.Store(0)
	}
}

// Len returns the number of breakers held.
func (g *Group[K]) Len() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.members)
}

// All returns an iterator over the keys and their breakers, in no order. It is
// weakly consistent: it does not block Get, and a key that is added or
// forgotten meanwhile is seen or not, but none is seen twice.
func (g *Group[K]) All() iter.Seq2[K, *Breaker] {
	return func(yield func(K, *Breaker) bool) {
		g.m.Range(func(k, v any) bool { return yield(k.(K), v.(*member[K]).b) })
	}
}

// Stats returns the current statistics.
func (g *Group[K]) Stats() GroupStats {
	return GroupStats{Len: g.Len(), Evicted: g.evicted.Load(), Unheld: g.unheld.Load()}
}
