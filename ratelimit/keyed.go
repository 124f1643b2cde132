// SPDX-License-Identifier: MIT

package ratelimit

import (
	"fmt"
	"hash/maphash"
	"iter"
	"math"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Implementation notes for Keyed.
//
// A key that is absent and a key whose bucket is full mean the same: no tokens spent. So a table
// may forget any full bucket without changing a decision, and needs no expiry time, no sweeper
// and no Close: a slot whose bucket is full is a free slot. The table (table.go) is split
// into shards with a mutex each.
//
// A slot holds what was spent, a word a tier; in the table of a KeyedWindow it holds what its
// cell makes of the words, and "full" reads "nothing counts".
//
// Limits are plans: the tiers that apply to a key, as meters. A plan that SetLimits replaces
// leads to its successor and the time of the change, and each shard follows when it is next
// used: what was spent is carried over as of that time.
//
// Invariants, checked under the tag invariants after each change of a shard:
//
//	K1 used is the number of occupied slots, and at most the shard's share of MaxKeys.
//	K2 a key occupies at most one slot, in one of its two sets, and its tag there is right.
//	K3 an occupied slot has spent, in every tier, between full and maxSupply+maxDebt.
//
// Lock order: the mutex of a shard, then k.mu. Options.Now is called before either.

// maxTiers bounds the limits of a plan: with at most 8 a set of tiers fits on the stack.
const maxTiers = 8

// A Keyed is a bucket per key, in bounded memory. Keys not heard of have full buckets, and
// every bucket obeys one or several limits, its tiers: an event happens if all allow it, and
// else takes nothing from any.
// It is safe for concurrent use by multiple goroutines, needs no Close and starts no goroutine.
// Use [NewKeyed]; methods of a zero Keyed panic.
//
// When the table is full, a new key takes the place of the least indebted of up to 16 others:
// the one nearest to a full bucket anyway. A flood of keys used once thus displaces its own
// kind, never a key that is being throttled. [KeyedStats] counts the tokens so forgiven.
type Keyed[K comparable] struct {
	shards  []shard[K]
	shift   uint8 // of a hash, to the index of its shard
	denyNew bool
	seed    maphash.Seed
	base    time.Time
	now     func() time.Time
	plan    atomic.Pointer[plan]

	mu    sync.Mutex                // protects plans, and orders SetLimits
	plans map[[maxTiers]Limit]*plan // of the limits given to TakeLimits
}

// A plan is the limits of a key. It never changes, but that SetLimits gives it a successor.
type plan struct {
	meters []meter
	limits []Limit
	span   int64 // the smallest of the meters
	since  int64 // the reading at which it became the plan of its Keyed
	next   atomic.Pointer[plan]
}

func newPlan(limits []Limit) *plan {
	p := &plan{span: maxCapacity}
	for _, l := range limits {
		m := newMeter(l.resolve())
		p.meters = append(p.meters, m)
		p.limits = append(p.limits, l)
		p.span = min(p.span, m.span)
	}
	return p
}

// NewKeyed returns a Keyed whose keys all obey limits: every one of them at once, such as
// 10 a second and 1000 a day. If opts is nil, the defaults are used.
// It panics if there is no limit or there are more than 8, or if a limit or opts is not valid.
func NewKeyed[K comparable](limits []Limit, opts *KeyedOptions) *Keyed[K] {
	if err := validateLimits(limits); err != nil {
		panic("ratelimit: NewKeyed: " + reason(err))
	}
	return newTable[K]("NewKeyed", newPlan(limits), len(limits), opts)
}

// newTable returns an empty table of p whose slots have width words.
func newTable[K comparable](method string, p *plan, width int, opts *KeyedOptions) *Keyed[K] {
	if err := opts.Validate(); err != nil {
		panic("ratelimit: " + method + ": " + reason(err))
	}
	var o KeyedOptions
	if opts != nil {
		o = *opts
	}
	if o.MaxKeys == 0 {
		o.MaxKeys = defaultMaxKeys
	}
	// At most 256 shards, of 1024 keys or more: in smaller ones the luck of the hash would
	// fill some long before the others.
	log := min(max(bits.Len(uint(o.MaxKeys/1024))-1, 0), 8)
	k := &Keyed[K]{
		shards:  make([]shard[K], 1<<log),
		shift:   uint8(64 - log),
		denyNew: o.DenyNew,
		seed:    maphash.MakeSeed(),
		now:     o.Now,
		plans:   map[[maxTiers]Limit]*plan{},
	}
	if k.now != nil {
		k.base = k.now()
	} else {
		k.base = time.Now()
	}
	for i := range k.shards {
		s := &k.shards[i]
		s.maxSets, s.width = o.MaxKeys/ways>>log, width
		s.plan, s.span, s.latest = p, p.span, -maxReading
	}
	k.plan.Store(p)
	return k
}

func (k *Keyed[K]) elapsed() int64 {
	if k.now != nil {
		return k.reading(k.now())
	}
	return int64(time.Since(k.base))
}

func (k *Keyed[K]) reading(t time.Time) int64 {
	return min(max(int64(t.Sub(k.base)), -maxReading), maxReading)
}

// lock locks the shard of key and prepares it for the reading t. The reading of the shard
// is d; the caller unlocks it. own, if not nil, is a plan that will be used.
func (k *Keyed[K]) lock(key K, t int64, own *plan) (s *shard[K], h uint64, d int64) {
	p := k.plan.Load()
	if p == nil {
		panic("ratelimit: zero Keyed: use NewKeyed")
	}
	h = maphash.Comparable(k.seed, key)
	s = &k.shards[h>>(k.shift&63)&uint64(len(k.shards)-1)]
	s.mu.Lock()
	if own != nil {
		s.span = min(s.span, own.span)
	}
	return s, h, s.prepare(p, t)
}

// prepare brings a locked shard up to date with p, the plan of its Keyed, and returns the
// reading t relative to the shard's base. A reading older than the last counts as the last: what
// was full then may have been forgotten.
func (s *shard[K]) prepare(p *plan, t int64) int64 {
	for s.plan != p && s.plan.next.Load() != nil {
		next := s.plan.next.Load()
		s.span = min(s.span, next.span)
		s.adopt(next, s.near(next.since))
	}
	s.latest = max(s.latest, t)
	return s.near(s.latest)
}

// near returns the reading t relative to the shard's base, which it moves if it must.
func (s *shard[K]) near(t int64) int64 {
	d := t - s.base
	if uint64(d+s.span) > uint64(2*s.span) {
		return s.rebase(t)
	}
	return d
}

// Allow reports whether one event of key may happen now, and takes its token if so.
func (k *Keyed[K]) Allow(key K) bool { return k.take(key, k.elapsed(), 1, 0, nil, nil) }

// AllowN reports whether n events of key may happen now, and takes their tokens, all or none.
// Zero events may always happen. It panics if n is negative.
func (k *Keyed[K]) AllowN(key K, n int64) bool {
	return k.take(key, k.elapsed(), checkN("AllowN", n), 0, nil, nil)
}

// AllowAt is AllowN at time t; see [Limiter.AllowAt].
func (k *Keyed[K]) AllowAt(key K, t time.Time, n int64) bool {
	return k.take(key, k.reading(t), checkN("AllowAt", n), 0, nil, nil)
}

// TakeKeeping takes n tokens of key if at least keep stay behind in every tier, and reports
// whether it did; see [Limiter.TakeKeeping]. It panics if n or keep is negative.
func (k *Keyed[K]) TakeKeeping(key K, n, keep int64) bool {
	return k.take(key, k.elapsed(), checkN("TakeKeeping", n), checkN("TakeKeeping", keep), nil, nil)
}

// Take takes n tokens of key, all or none, and describes its bucket at that instant: the tier
// that refuses for longest, or else the one with the fewest tokens left.
// It panics if n is negative.
func (k *Keyed[K]) Take(key K, n int64) Decision {
	var d Decision
	k.take(key, k.elapsed(), checkN("Take", n), 0, nil, &d)
	return d
}

// TakeLimits is Take under limits of the key's own, such as those of a customer's contract, in
// place of those given to NewKeyed; there must be as many. What the key has spent under other
// limits counts, in tokens. Each set of limits seen is remembered for as long as
// k lives, so limits come from a table of plans, not from the request.
// It panics if n is negative, or if limits are not valid.
func (k *Keyed[K]) TakeLimits(key K, n int64, limits ...Limit) Decision {
	var d Decision
	k.take(key, k.elapsed(), checkN("TakeLimits", n), 0, k.intern(limits), &d)
	return d
}

// intern returns the plan of limits.
func (k *Keyed[K]) intern(limits []Limit) *plan {
	var id [maxTiers]Limit
	if len(limits) != len(k.plan.Load().meters) {
		panic(fmt.Sprintf("ratelimit: TakeLimits: want %d limits, got %d", len(k.plan.Load().meters), len(limits)))
	}
	copy(id[:], limits)
	k.mu.Lock()
	defer k.mu.Unlock()
	p := k.plans[id]
	if p == nil {
		if err := validateLimits(limits); err != nil {
			panic("ratelimit: TakeLimits: " + reason(err))
		}
		p = newPlan(limits)
		k.plans[id] = p
	}
	return p
}

// take is the one decision of Keyed. own, if not nil, is the plan of the key; dec, if not nil,
// is where to describe the outcome.
func (k *Keyed[K]) take(key K, t, n, keep int64, own *plan, dec *Decision) bool {
	s, h, d := k.lock(key, t, own)
	ok := s.take(k, key, h, d, n, keep, own, dec)
	if invariants {
		s.checkLocked(k)
	}
	s.mu.Unlock()
	return ok
}

func (s *shard[K]) take(k *Keyed[K], key K, h uint64, d, n, keep int64, own *plan, dec *Decision) bool {
	p := s.plan
	if own != nil {
		p = own
	}
	i := s.find(key, h)
	if i >= 0 {
		s.setPlan(i, own, d)
	}
	var next [maxTiers]int64
	ok := true
	for j := range p.meters {
		m := &p.meters[j]
		spent := int64(full)
		if i >= 0 {
			spent = s.spent[i*len(p.meters)+j]
		}
		var fits bool
		next[j], fits = m.admit(spent, m.supply(d), n, keep)
		ok = ok && fits
	}
	ok = ok || n == 0 && keep == 0
	if ok && n > 0 && i < 0 {
		if i = s.place(k, key, h, d, own, !k.denyNew); i < 0 {
			ok = false
		}
	}
	switch {
	case ok && n > 0:
		copy(s.spent[i*len(p.meters):], next[:len(p.meters)])
		s.allowed++
	case !ok:
		s.denied++
	}
	if dec != nil {
		*dec = s.describe(p, i, h, d, n, ok)
	}
	return ok
}

// describe returns the decision about n tokens of slot i, or of a key that is absent if i < 0.
func (s *shard[K]) describe(p *plan, i int, h uint64, d, n int64, ok bool) Decision {
	var worst Decision
	refusedByTier := false
	for j := range p.meters {
		m := &p.meters[j]
		spent, v := int64(full), m.supply(d)
		if i >= 0 {
			spent = s.spent[i*len(p.meters)+j]
		}
		_, fits := m.admit(spent, v, n, 0)
		dec := m.decide(spent, v, d, n, ok || fits)
		dec.Tier = j
		refusedByTier = refusedByTier || !dec.OK
		if j == 0 || tighter(dec, worst) {
			worst = dec
		}
	}
	if !ok && !refusedByTier { // there was no room for the key
		worst.RetryAfter = s.roomAfter(h, d)
	}
	worst.OK = ok
	return worst
}

// tighter reports whether a limits more than b.
func tighter(a, b Decision) bool {
	switch {
	case a.OK != b.OK:
		return !a.OK
	case a.OK:
		return a.Remaining < b.Remaining
	case a.RetryAfter < 0 || b.RetryAfter < 0:
		return a.RetryAfter < 0 && b.RetryAfter >= 0
	}
	return a.RetryAfter > b.RetryAfter
}

// Peek returns what Take(key, n) would, under the limits that the key was last taken with, and
// takes nothing. It panics if n is negative.
func (k *Keyed[K]) Peek(key K, n int64) Decision {
	checkN("Peek", n)
	s, h, d := k.lock(key, k.elapsed(), nil)
	defer s.mu.Unlock()
	p, i := s.plan, s.find(key, h)
	if i >= 0 {
		p = s.planOf(i)
	}
	ok := true
	var after [maxTiers]int64
	for j := range p.meters {
		m := &p.meters[j]
		spent := int64(full)
		if i >= 0 {
			spent = s.spent[i*len(p.meters)+j]
		}
		next, fits := m.admit(spent, m.supply(d), n, 0)
		after[j] = next
		ok = ok && fits
	}
	if n == 0 || !ok {
		return s.describe(p, i, h, d, n, n == 0)
	}
	if i < 0 && k.denyNew && !s.hasRoom(h, d) {
		return s.describe(p, i, h, d, n, false)
	}
	var best Decision
	for j := range p.meters {
		m := &p.meters[j]
		dec := m.decide(after[j], m.supply(d), d, n, true)
		dec.Tier = j
		if j == 0 || tighter(dec, best) {
			best = dec
		}
	}
	return best
}

// TakeUpTo takes as many tokens of key as every tier has, at most n, and returns their number.
// It panics if n is negative.
func (k *Keyed[K]) TakeUpTo(key K, n int64) int64 {
	checkN("TakeUpTo", n)
	s, h, d := k.lock(key, k.elapsed(), nil)
	defer s.mu.Unlock()
	p, i := s.plan, s.find(key, h)
	if i >= 0 {
		p = s.planOf(i)
	}
	for j := range p.meters {
		spent := int64(full)
		if i >= 0 {
			spent = s.spent[i*len(p.meters)+j]
		}
		n = min(n, p.meters[j].tokens(spent, p.meters[j].supply(d)))
	}
	if n > 0 && !s.take(k, key, h, d, n, 0, s.ownPlan(i), nil) {
		return 0
	}
	return n
}

// Return puts n tokens of key back into every tier; see [Limiter.Return].
// It panics if n is negative.
func (k *Keyed[K]) Return(key K, n int64) {
	checkN("Return", n)
	k.change(key, false, func(m *meter, spent, _ int64) int64 { return spent - m.cost(n) })
}

// Charge takes n tokens of key from every tier without asking, into debt if need be;
// see [Limiter.Charge]. A charge to a key that is not held while DenyNew is set and the table
// has no room is lost. It panics if n is negative.
func (k *Keyed[K]) Charge(key K, n int64) {
	checkN("Charge", n)
	k.change(key, true, func(m *meter, spent, v int64) int64 {
		spent = max(spent, v)
		return spent + min(m.cost(n), max(v+maxDebt-spent, 0))
	})
}

// Fill makes the bucket of key full in every tier: the key is forgotten.
func (k *Keyed[K]) Fill(key K) {
	s, h, _ := k.lock(key, k.elapsed(), nil)
	defer s.mu.Unlock()
	if i := s.find(key, h); i >= 0 {
		s.remove(i)
	}
}

// Drain empties the bucket of key in every tier.
func (k *Keyed[K]) Drain(key K) {
	k.change(key, true, func(m *meter, spent, v int64) int64 { return max(spent, v+m.capacity) })
}

// change replaces what key has spent in each tier by what f returns, given it and the supply.
func (k *Keyed[K]) change(key K, create bool, f func(m *meter, spent, v int64) int64) {
	s, h, d := k.lock(key, k.elapsed(), nil)
	defer s.mu.Unlock()
	i := s.find(key, h)
	if i < 0 && create {
		i = s.place(k, key, h, d, nil, !k.denyNew)
	}
	if i < 0 {
		return
	}
	p := s.planOf(i)
	for j := range p.meters {
		m := &p.meters[j]
		spent := &s.spent[i*len(p.meters)+j]
		*spent = max(f(m, *spent, m.supply(d)), full)
	}
	if invariants {
		s.checkLocked(k)
	}
}

// SetLimits changes the limits of all keys but those last used with TakeLimits, now and
// exactly, as [Limiter.SetLimit] does; there must be as many as before.
// The cost, a pass over the keys of a shard, is paid when the shard is next used.
// It panics if limits are not valid.
func (k *Keyed[K]) SetLimits(limits ...Limit) {
	if err := validateLimits(limits); err != nil {
		panic("ratelimit: SetLimits: " + reason(err))
	}
	next := newPlan(limits)
	next.since = k.elapsed()
	k.mu.Lock()
	defer k.mu.Unlock()
	p := k.plan.Load()
	if len(limits) != len(p.meters) {
		panic(fmt.Sprintf("ratelimit: SetLimits: want %d limits, got %d", len(p.meters), len(limits)))
	}
	p.next.Store(next)
	k.plan.Store(next)
}

// Limits returns the limits given to NewKeyed or SetLimits last.
func (k *Keyed[K]) Limits() []Limit { return slices.Clone(k.plan.Load().limits) }

// Len returns the number of keys held, at most MaxKeys. Keys whose buckets have become full
// since are among them, until another needs their place.
// The complexity is O(1): at most 256 additions.
func (k *Keyed[K]) Len() int { return k.Stats().Keys }

// All returns an iterator over the keys whose buckets are not full, each with what Peek(key, 0)
// returns. It is weakly consistent: it shows each shard as it was when it was reached.
func (k *Keyed[K]) All() iter.Seq2[K, Decision] {
	return func(yield func(K, Decision) bool) {
		type entry struct {
			key K
			dec Decision
		}
		var entries []entry
		for i := range k.shards {
			t := k.elapsed()
			s := &k.shards[i]
			entries = entries[:0]
			s.mu.Lock()
			d := s.prepare(k.plan.Load(), t)
			for i := range s.keys {
				if s.occupied(i) && !s.isFull(i, d) {
					entries = append(entries, entry{s.keys[i], s.describe(s.planOf(i), i, 0, d, 0, true)})
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

// Stats returns the counters of k. Its cost is a lock of each shard.
func (k *Keyed[K]) Stats() KeyedStats {
	var t KeyedStats
	for i := range k.shards {
		s := &k.shards[i]
		s.mu.Lock()
		t.Keys += s.used
		t.Allowed += s.allowed
		t.Denied += s.denied
		t.Evicted += s.evicted
		t.Forgiven += s.forgiven
		s.mu.Unlock()
	}
	return t
}

// Gate returns the bucket of key as a [Gate], to be combined by [All].
func (k *Keyed[K]) Gate(key K) Gate { return keyGate[K]{k, key} }

// A keyGate is the gate of one key of a Keyed or a KeyedWindow.
type keyGate[K comparable] struct {
	k interface {
		Take(key K, n int64) Decision
		Peek(key K, n int64) Decision
		Return(key K, n int64)
	}
	key K
}

func (g keyGate[K]) Take(n int64) Decision { return g.k.Take(g.key, n) }
func (g keyGate[K]) Peek(n int64) Decision { return g.k.Peek(g.key, n) }
func (g keyGate[K]) Return(n int64)        { g.k.Return(g.key, n) }

// forgivenTokens returns the debt of slot i in whole tokens, of the tier where it is largest.
func (s *shard[K]) forgivenTokens(i int, d int64) uint64 {
	if s.events != nil {
		return uint64(s.events.count(s.words(i), d))
	}
	p, most := s.planOf(i), int64(0)
	for j := range p.meters {
		m := &p.meters[j]
		debt := s.spent[i*len(p.meters)+j] - m.supply(d)
		if debt > 0 && m.unit > 0 {
			most = max(most, (debt-1)/m.unit+1)
		}
	}
	return uint64(min(most, math.MaxInt64))
}
