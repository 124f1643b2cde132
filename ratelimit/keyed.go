// SPDX-License-Identifier: MIT

package ratelimit

import (
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Implementation notes for Keyed.
//
// A key that is absent and a key whose bucket is full mean the same: no tokens
// spent. So a table may forget any full bucket without changing a decision, and
// needs no expiry time, no sweeper and no Close: a slot whose bucket is full is
// a free slot. The table (table.go) is split into shards with a mutex each.
//
// A slot holds the spending of its key, a word a tier; its rule is a plan
// (plan.go). In the table of a KeyedWindow the rule is another, and "full"
// reads "nothing counts".
//
// A reading may be older than the one before: a bucket then finds fewer tokens,
// as that of a Limiter does. Only a key that is absent may have been forgotten
// at a later reading than its own, and is judged as of then.
//
// Limits are plans: the tiers that apply to a key, as meters. A plan that
// SetLimits replaces leads to its successor and the time of the change, and
// each shard follows when it is next used: spending is carried over as of that
// time.
//
// Invariants, checked under the tag invariants after each change of a shard:
//
//	K1 used is the number of occupied slots, and at most the shard's share of
//	   MaxKeys.
//	K2 a key occupies at most one slot, in one of its two sets, and its tag there
//	   is right.
//	K3 an occupied slot has spent, in every tier, between full and
//	   maxSupply+maxDebt.
//	K4 a waiter holds a promise only if it is the first of the line of its key.
//
// Lock order: the mutex of the lines, then that of a shard, then k.mu.
// Options.Now may run under the first alone.

// A Keyed is a bucket per key, in bounded memory. Keys not heard of have full
// buckets, and every bucket obeys one or several limits, its tiers: an event
// happens if all allow it, and else takes nothing from any.
// It is safe for concurrent use by multiple goroutines, must not be copied,
// needs no Close and starts no goroutine. Use [NewKeyed]; methods of a zero
// Keyed panic.
//
// When the table is full, a new key takes the place of the least indebted of up
// to 16 others: the one nearest to a full bucket anyway. A flood of keys used
// once thus displaces its own kind, never a key that is being throttled.
// [KeyedStats] counts the tokens so forgiven.
type Keyed[K comparable] struct {
	table table[K]
	opts  KeyedOptions
	plan  atomic.Pointer[plan]
	lines lines[K] // of Wait

	mu    sync.Mutex       // protects plans, and orders SetLimits
	plans map[planID]*plan // of the limits given to TakeLimits
}

// A planID is the limits of a plan, as a key of a map.
type planID struct {
	n      int
	limits [maxTiers]Limit
}

// NewKeyed returns a Keyed whose keys all obey limits: every one of them at
// once, such as 10 a second and 1000 a day. If opts is nil, the defaults are
// used. It panics if there is no limit or there are more than 8, or if a limit
// or opts is not valid.
func NewKeyed[K comparable](limits []Limit, opts *KeyedOptions) *Keyed[K] {
	if err := validateLimits(limits); err != nil {
		panic(err)
	}
	o := mustKeyed(opts)
	p := newPlan(limits)
	k := &Keyed[K]{
		table: newTable[K](o, p, len(limits), p.span),
		opts:  o,
		plans: map[planID]*plan{},
	}
	k.plan.Store(p)
	return k
}

// read returns the reading of the clock.
func (k *Keyed[K]) read() int64 {
	k.current()
	return k.table.clock.read()
}

// current returns the plan of the keys without one of their own.
func (k *Keyed[K]) current() *plan {
	p := k.plan.Load()
	if p == nil {
		panic("ratelimit: zero Keyed: use NewKeyed")
	}
	return p
}

// enter locks the shard of key and prepares it for the reading t, which is d
// from the base of the shard; the caller unlocks it.
func (k *Keyed[K]) enter(key K, t int64) (s *shard[K], h uint64, d int64) {
	p := k.current()
	s, h = k.table.lock(key)
	if s.plan != p {
		s.follow(p)
	}
	return s, h, s.near(t)
}

// follow brings a locked shard up to date with p, the plan of its Keyed: each
// plan in between takes effect at its time.
func (s *shard[K]) follow(p *plan) {
	for s.plan != p && s.plan.next.Load() != nil {
		next := s.plan.next.Load()
		s.span = min(s.span, next.span)
		s.widen(len(next.meters))
		d := s.near(next.since)

		// Debts are carried over to the new limits. Keys with limits of their
		// own keep them.
		old := s.plan
		s.plan, s.rule = next, next
		for i := range s.keys {
			if s.occupied(i) && s.ownPlan(i) == nil {
				old.carry(s.at(i), next, d)
			}
		}
	}
}

// planOf returns the plan of slot i, or that of the shard if i < 0.
func (s *shard[K]) planOf(i int) *plan {
	if p := s.ownPlan(i); p != nil {
		return p
	}
	return s.plan
}

// setPlan moves slot i to its own plan, or to the shard's if own is nil, which
// needs no move while no slot has a plan of its own.
func (s *shard[K]) setPlan(i int, own *plan, d int64) {
	old := s.planOf(i)
	if own != nil && len(s.own) == 0 {
		s.own = make([]*plan, len(s.keys))
	}
	s.own[i] = own
	if p := s.planOf(i); p != old {
		old.carry(s.at(i), p, d)
	}
}

// spent returns the words of slot i, or those of an absent key if i < 0.
func (s *shard[K]) spent(i int) []int64 {
	if i < 0 {
		return unspent[:]
	}
	return s.at(i)
}

// Allow reports whether one event of key may happen now, and takes its token if
// so.
func (k *Keyed[K]) Allow(key K) bool { return k.takeAt(key, k.read(), 1, 0, nil, nil) }

// AllowN reports whether n events of key may happen now, and takes their
// tokens, all or none. Zero events may always happen. It panics if n is
// negative.
func (k *Keyed[K]) AllowN(key K, n int) bool {
	return k.takeAt(key, k.read(), checkN(n), 0, nil, nil)
}

// AllowAt is AllowN at time t, for replays and simulations. The times of one
// key may go back, as for [Limiter.AllowAt], and those of different keys come
// in any order. A key that is not held, at a time before one at which the table
// has forgotten a full bucket, is judged as of that later time; with times that
// never fall, nothing depends on the keys that the table forgets, and decisions
// are the same in every run.
func (k *Keyed[K]) AllowAt(key K, t time.Time, n int) bool {
	k.current()
	return k.takeAt(key, k.table.clock.at(t), checkN(n), 0, nil, nil)
}

// TakeReserving takes n tokens of key if at least reserve tokens stay behind in
// every tier, and reports whether it did; see [Limiter.TakeReserving]. It
// panics if n or reserve is negative.
func (k *Keyed[K]) TakeReserving(key K, n, reserve int) bool {
	return k.takeAt(key, k.read(), checkN(n), checkN(reserve), nil, nil)
}

// Take takes n tokens of key, all or none, and describes its bucket at that
// instant: the tier that refuses for longest, or else the one with the fewest
// tokens left. It panics if n is negative.
func (k *Keyed[K]) Take(key K, n int) Decision {
	var d Decision
	k.takeAt(key, k.read(), checkN(n), 0, nil, &d)
	return d
}

// TakeLimits is Take under limits of the key's own, such as those of a
// customer's contract, in place of those given to NewKeyed. Tokens that the key
// has spent under other limits stay spent; limits are matched by position, and
// one that the key has not obeyed before begins full. Each set of limits is
// remembered for as long as k lives, so limits come from a table of contracts,
// not from the request. TakeLimits panics if n is negative, or if limits are
// not valid.
func (k *Keyed[K]) TakeLimits(key K, n int, limits ...Limit) Decision {
	var d Decision
	k.takeAt(key, k.read(), checkN(n), 0, k.intern(limits), &d)
	return d
}

// intern returns the plan of limits.
func (k *Keyed[K]) intern(limits []Limit) *plan {
	id := planID{n: len(limits)}
	copy(id.limits[:], limits)
	k.mu.Lock()
	defer k.mu.Unlock()
	p := k.plans[id]
	if p == nil || id.n > maxTiers {
		if err := validateLimits(limits); err != nil {
			panic(err)
		}
		p = newPlan(limits)
		k.plans[id] = p
	}
	return p
}

// takeAt is the one decision of Keyed. own, if not nil, is the plan of the key;
// dec, if not nil, is where to describe the outcome.
func (k *Keyed[K]) takeAt(key K, t, n, keep int64, own *plan, dec *Decision) bool {
	s, h, d := k.enter(key, t)
	if own != nil && own.span < s.span {
		s.span = own.span
		d = s.near(t)
	}
	ok := s.takeSlot(&k.table, key, h, d, n, keep, own, dec)
	if invariants {
		s.checkLocked(&k.table)
	}
	s.mu.Unlock()
	return ok
}

// takeSlot is takeAt in a shard that is locked, at reading d of it.
func (s *shard[K]) takeSlot(t *table[K], key K, h uint64, d, n, keep int64, own *plan, dec *Decision) bool {
	p := s.plan
	if own != nil {
		p = own
		s.widen(len(own.meters))
	}
	i := s.find(key, h)
	if i < 0 {
		d = s.absent(d)
	} else if own != nil || len(s.own) > 0 {
		s.setPlan(i, own, d)
	}

	// Decide, and find a place for a key that is new.
	next, ok := p.admit(s.spent(i), d, n, keep)
	noRoom := false
	if ok && n > 0 && i < 0 {
		i = s.place(t, key, h, d, own, !t.denyNew)
		noRoom = i < 0
	}

	// Only a success changes the slot.
	switch {
	case !ok || noRoom:
		s.denied++
	case n > 0:
		copy(s.at(i), next[:len(p.meters)])
		s.allowed++
	}
	if dec != nil {
		*dec = p.describe(s.spent(i), d, n, ok)
		if noRoom {
			dec.OK = false
			dec.RetryAfter = s.roomAfter(h, d)
		}
	}
	return ok && !noRoom
}

// Peek returns the answer of Take(key, n), under the limits that the key was
// last taken with, and changes nothing. It panics if n is negative.
func (k *Keyed[K]) Peek(key K, n int) Decision {
	tokens := checkN(n)
	t := k.read()
	s, h := k.table.lock(key)
	defer s.mu.Unlock()
	s.follow(k.current())
	i := s.find(key, h)
	p := s.planOf(i)
	spent, d := s.peek(i, t)

	// Nothing is placed, and no clock moved.
	next, ok := p.admit(spent[:], d, tokens, 0)
	if !ok || tokens == 0 {
		return p.describe(spent[:], d, tokens, ok)
	}
	if i < 0 && k.table.denyNew && !s.hasRoom(h, d) {
		dec := p.describe(spent[:], d, tokens, true)
		dec.OK = false
		dec.RetryAfter = s.roomAfter(h, d)
		return dec
	}
	return p.describe(next[:], d, tokens, true)
}

// Tiers describes every limit of key, as Peek(key, 0) describes the tightest:
// to tell a client about all of them, see [Decision.Headers].
func (k *Keyed[K]) Tiers(key K) []Decision {
	t := k.read()
	s, h := k.table.lock(key)
	defer s.mu.Unlock()
	s.follow(k.current())
	i := s.find(key, h)
	p := s.planOf(i)
	spent, d := s.peek(i, t)
	tiers := make([]Decision, len(p.meters))
	for j := range tiers {
		tiers[j] = p.describeTier(j, spent[j], d, 0, true)
	}
	return tiers
}

// peek returns a copy of the spending of slot i, or of an absent key if i < 0,
// and the reading t relative to the base of the copy. A reading decades away
// moves the base of the copy alone.
func (s *shard[K]) peek(i int, t int64) (spent [maxTiers]int64, d int64) {
	copy(spent[:], s.spent(i))
	if i < 0 {
		t = max(t, s.forgot)
	}
	base := s.base
	for t-base > s.span {
		s.planOf(i).move(spent[:], s.span)
		base += s.span
	}
	return spent, max(t-base, -s.span)
}

// TakeUpTo takes as many tokens of key as every tier has, at most n, and
// returns their number. It panics if n is negative.
func (k *Keyed[K]) TakeUpTo(key K, n int) int {
	tokens := checkN(n)
	s, h, d := k.enter(key, k.read())
	defer s.mu.Unlock()
	i := s.find(key, h)
	tokens = s.planOf(i).tokens(s.spent(i), d, tokens)
	if tokens > 0 && !s.takeSlot(&k.table, key, h, d, tokens, 0, s.ownPlan(i), nil) {
		return 0 // there is no room for the key
	}
	return int(tokens)
}

// Return puts n tokens of key back into every tier; see [Limiter.Return].
// It panics if n is negative.
func (k *Keyed[K]) Return(key K, n int) {
	tokens := checkN(n)
	k.change(key, false, func(m *meter, spent, _ int64) int64 { return spent - m.cost(tokens) })
}

// Charge takes n tokens of key from every tier without asking, into debt if
// need be; see [Limiter.Charge]. A charge to a key that is not held while
// DenyNew is set and the table has no room is lost. It panics if n is negative.
func (k *Keyed[K]) Charge(key K, n int) {
	tokens := checkN(n)
	k.change(key, n > 0, func(m *meter, spent, v int64) int64 { return m.charge(spent, v, tokens) })
}

// Drain empties the bucket of key in every tier.
func (k *Keyed[K]) Drain(key K) {
	k.change(key, true, func(m *meter, spent, v int64) int64 { return max(spent, v+m.capacity) })
}

// change replaces the spending of key in each tier by the result of f, given it
// and the supply.
func (k *Keyed[K]) change(key K, create bool, f func(m *meter, spent, v int64) int64) {
	t := k.read()
	k.lines.change(k, key, t, func() {
		s, h, d := k.enter(key, t)
		defer s.mu.Unlock()
		i := s.find(key, h)
		if i < 0 && create {
			d = s.absent(d)
			i = s.place(&k.table, key, h, d, nil, !k.table.denyNew)
		}
		if i < 0 {
			return
		}

		// Each tier of the key.
		p := s.planOf(i)
		spent := s.at(i)
		for j := range p.meters {
			m := &p.meters[j]
			spent[j] = max(f(m, spent[j], m.supply(d)), full)
		}
		if invariants {
			s.checkLocked(&k.table)
		}
	})
}

// Delete forgets key: its bucket is full in every tier.
func (k *Keyed[K]) Delete(key K) {
	k.lines.change(k, key, k.read(), func() { k.table.remove(key) })
}

// Clear forgets all keys: all buckets are full.
func (k *Keyed[K]) Clear() {
	k.lines.changeAll(k, k.read(), k.table.clear)
}

// SetLimits changes the limits of all keys but those last used with TakeLimits,
// now and exactly, as [Limiter.SetLimit] does. There may be more or fewer than
// before: they are matched by position, and a limit that is new begins full.
// The cost, a pass over the keys of a shard, is paid when the shard is next
// used. SetLimits panics if there is no limit or there are more than 8, or if a
// limit is not valid.
func (k *Keyed[K]) SetLimits(limits ...Limit) {
	if err := validateLimits(limits); err != nil {
		panic(err)
	}
	next := newPlan(limits)
	next.since = k.read()
	k.lines.changeAll(k, next.since, func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.plan.Load().next.Store(next)
		k.plan.Store(next)
	})
}

// Limits returns the limits given to NewKeyed or SetLimits last.
func (k *Keyed[K]) Limits() []Limit { return slices.Clone(k.current().limits) }

// Len returns the number of keys held, at most MaxKeys. Keys whose buckets have
// become full since are among them, until another needs their place. The
// complexity is O(1): at most 256 shards are locked, one after another.
func (k *Keyed[K]) Len() int { return k.Stats().Keys }

// All returns an iterator over the keys whose buckets are not full, each with
// the result of Peek(key, 0). It is weakly consistent: it shows each shard as
// it was when it was reached.
func (k *Keyed[K]) All() iter.Seq2[K, Decision] {
	return func(yield func(K, Decision) bool) {
		type entry struct {
			key K
			dec Decision
		}
		var entries []entry
		for i := range k.table.shards {
			// Copy the shard, so that yield runs under no lock.
			t := k.read()
			s := &k.table.shards[i]
			entries = entries[:0]
			s.mu.Lock()
			s.follow(k.current())
			for i := range s.keys {
				if !s.occupied(i) {
					continue
				}
				p := s.planOf(i)
				if spent, d := s.peek(i, t); p.owed(spent[:], d) > 0 {
					entries = append(entries, entry{s.keys[i], p.describe(spent[:], d, 0, true)})
				}
			}
			s.mu.Unlock()

			for _, e := range entries {
				if !yield(e.key, e.dec) {
					return
				}
			}
		}
	}
}

// Stats returns the counters of k. The complexity is that of Len.
func (k *Keyed[K]) Stats() KeyedStats {
	k.current()
	return k.table.stats()
}

// Gate returns the bucket of key as a [Gate], to be combined by [All].
func (k *Keyed[K]) Gate(key K) Gate { return keyGate[K]{k, key} }
