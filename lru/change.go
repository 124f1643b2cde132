// SPDX-License-Identifier: MIT

package lru

import (
	"math"
	"runtime"
	"time"
)

// An op is a change of one shard under way. It collects the capacity that the
// change makes free, and settles at the end.
type op[K comparable, V any] struct {
	c      *Cache[K, V]
	sh     *shard[K, V]
	now    int64
	tokens int64 // capacity that it holds: taken from c.free, or of entries it removed
	serial bool  // it holds c.reclaiming
	a      arrival
}

// A removal is an event for OnRemove: one entry, or all that Clear removed.
type removal[K comparable, V any] struct {
	key     K
	value   V
	cause   Cause
	cleared *contents[K, V]
}

// A request is a value to be stored, with all that is known of it.
type request[K comparable, V any] struct {
	key   K
	hash  uint64
	value V
	ttl   time.Duration
	cost  int64
	tags  []string
	given uint32   // givenTTL and givenCost, if they were
	extra []string // the tags that were given, besides those of the options

	attr     *Attr // if nil, the priority and the pin stay as they are
	inherits bool  // attributes given to the entry before stay as they are
	keepTTL  bool  // the deadline of the entry stays as it is

	flight *flight[K, V] // the load that has brought the value, or nil
	err    error         // remembered in place of a value, or nil
}

// An outcome is the result of a request.
type outcome[V any] struct {
	old    V
	had    bool
	slot   uint32 // of the entry, or 0
	stored bool
}

// fillRequest puts value into r, with the attributes that the options give it.
// It runs user code: no lock is held, except in Update.
func (c *Cache[K, V]) fillRequest(r *request[K, V], value V) {
	r.value = value
	r.cost = 1
	r.ttl = c.opts.TTL
	r.tags = nil
	r.given = 0
	r.keepTTL = false
	a := r.attr
	if a == nil {
		a = &Attr{}
	}

	if c.opts.Tags != nil {
		r.tags = c.opts.Tags(r.key, value)
	}
	r.extra = a.Tags
	if len(r.tags)+len(a.Tags) > 0 {
		r.tags = mergedTags(r.tags, a.Tags)
	}

	// Attributes that the caller gave come before those of the options.
	switch {
	case a.Cost != 0:
		r.cost = int64(a.Cost)
		r.given |= givenCost
	case c.opts.Cost != nil:
		r.cost = int64(max(c.opts.Cost(r.key, value), 1))
	}
	switch {
	case a.TTL != 0:
		r.ttl = a.TTL
		r.given |= givenTTL
	case c.opts.TTLOf != nil:
		r.ttl = c.opts.TTLOf(r.key, value)
	}
	r.ttl = c.jittered(r.ttl)
}

// inheritLocked makes r keep the attributes given to the entry s by SetTTL,
// SetAttr or Touch.
func (o *op[K, V]) inheritLocked(r *request[K, V], s uint32) {
	if !r.inherits || s == 0 {
		return
	}
	sh := o.sh
	flags := sh.meta[s].flags
	r.keepTTL = flags&givenTTL != 0

	// A cost or tags that were given hold for the new value, too.
	if flags&givenCost != 0 {
		r.cost = sh.cost(s)
	}
	if extra := sh.givenTags[s]; len(extra) > 0 {
		r.extra = extra
		r.tags = mergedTags(r.tags, extra)
	}
	r.given = flags & (givenTTL | givenCost)
}

// class returns the priority + 1 that s gets by r.
func (r *request[K, V]) class(sh *shard[K, V], s uint32) int {
	switch {
	case r.attr != nil:
		return r.attr.Priority + 1
	case s != 0:
		return sh.meta[s].class()
	}
	return 1
}

// begin starts a change of the shard of hash.
func (c *Cache[K, V]) begin(hash uint64) op[K, V] {
	o := op[K, V]{c: c, sh: c.shardOf(hash), now: c.reading()}
	o.lock()
	o.purgeLocked(purgeBatch)
	return o
}

// lock locks the shard, and moves its clock.
func (o *op[K, V]) lock() {
	o.sh.mu.Lock()
	o.now = o.sh.advanceLocked(o.now)
}

// sweep changes all shards, one after the other. It calls f with a shard locked
// until f reports that it has done all of it; in between, other calls use the
// shard. A panic of OnRemove goes on when the last shard is done.
func (c *Cache[K, V]) sweep(f func(o *op[K, V]) (more bool)) {
	now := c.reading() // may panic, and then nothing has changed
	i := 0
	finish(func() {
		for i < len(c.shards) {
			o := op[K, V]{c: c, sh: &c.shards[i], now: now}
			o.lock()
			if !f(&o) {
				i++
			}
			o.end()
		}
	})
}

// end gives back the tokens that are left, unlocks, and reports.
func (o *op[K, V]) end() {
	sh := o.sh
	if o.tokens != 0 {
		o.c.free.Add(o.tokens)
	}
	if sh.n == 0 && sh.used >= minRenew {
		sh.renewLocked()
	}

	// Events and alarms are claimed with the lock held, and acted upon without
	// it.
	next := sh.deadlines.earliest()
	if invariants && sh.n <= checkedLen {
		sh.checkLocked()
	}
	var events []removal[K, V]
	if !o.serial {
		events = sh.claimEventsLocked()
	}
	sh.mu.Unlock()

	if o.serial {
		o.c.reclaiming.Unlock()
	}
	if next != never {
		o.c.arm(next)
	}
	if events != nil {
		o.c.report(sh, events)
	}
	if o.serial {
		o.c.reportAll() // it has evicted from other shards, too
	}
}

// minRenew is the number of slots from which on a shard gives its memory back
// when its last entry goes.
const minRenew = 1024

// noteLocked counts that a value has left or was not stored, and that it is to
// be reported.
func (o *op[K, V]) noteLocked(key K, value V, cause Cause) {
	o.sh.removed[cause]++
	if o.c.opts.OnRemove != nil {
		o.sh.outbox = append(o.sh.outbox, removal[K, V]{key: key, value: value, cause: cause})
	}
}

// removeLocked removes the entry s.
func (o *op[K, V]) removeLocked(s uint32, cause Cause) {
	sh := o.sh
	cost := sh.cost(s)
	o.tokens += cost
	if sh.meta[s].flags&hidden != 0 {
		cause = Expired // its time was up before
	}
	if cause == Evicted {
		sh.queues.noteEviction(s)
		sh.evictedCost = saturated(sh.evictedCost, cost)
		if sh.born != nil {
			sh.evictedAge = saturated(sh.evictedAge, o.now-sh.born[s])
		}
	}

	// A remembered failure is no value, so nobody is told of it.
	if !sh.failures[s].bare {
		o.noteLocked(sh.cells[s].key, sh.cells[s].value, cause)
	}
	sh.freeLocked(s)
}

// purgeBatch bounds how many entries expire in the course of another change.
const purgeBatch = 8

// purgeLocked removes up to limit entries that have expired, the earliest
// first.
func (o *op[K, V]) purgeLocked(limit int) {
	d := &o.sh.deadlines
	for ; limit > 0 && d.earliest() <= o.now; limit-- {
		o.expireLocked(d.heap[0])
	}
}

// findLocked returns the slot of key, or 0. Expired entries are absent.
func (o *op[K, V]) findLocked(key K, hash uint64) uint32 {
	s := o.sh.find(uint32(hash), key)
	if s != 0 && o.sh.gone(s, o.now) {
		if o.sh.deadlines.due(s, o.now) {
			o.expireLocked(s)
		}
		return 0
	}
	return s
}

// overrideLocked is called by every method that writes or removes key: no load
// that is under way may undo that, and an entry that only Load may see goes.
func (o *op[K, V]) overrideLocked(key K, hash uint64) {
	o.sh.detachLocked(o.sh.flights[key])
	o.dropHiddenLocked(key, hash)
}

// dropHiddenLocked removes an entry of key that only Load may see.
func (o *op[K, V]) dropHiddenLocked(key K, hash uint64) {
	if o.sh.hidden == 0 {
		return
	}
	s := o.sh.find(uint32(hash), key)
	if s != 0 && o.sh.meta[s].flags&hidden != 0 {
		o.removeLocked(s, Expired)
	}
}

// useLocked counts that s was used: for the policy, and for its idle time.
func (o *op[K, V]) useLocked(s uint32) {
	o.sh.hit(s)
	o.c.prolongLocked(o.sh, s, o.now)
}

// putLocked stores r, unless there is an entry and onlyAbsent is set, or r is
// the result of a load that has become old.
func (o *op[K, V]) putLocked(r *request[K, V], onlyAbsent bool) (out outcome[V]) {
	for refuse := false; ; {
		s := o.findLocked(r.key, r.hash)
		out = outcome[V]{had: s != 0, slot: s} // s may have gone since the last round
		if s != 0 {
			out.old = o.sh.cells[s].value
		}

		// The key is there, which is all that was asked.
		if s != 0 && onlyAbsent {
			o.useLocked(s)
			return out
		}
		if r.flight != nil && !o.isWantedLocked(r) {
			// The key was written or removed after the load began.
			if r.err == nil {
				o.noteLocked(r.key, r.value, Rejected)
			}
			return out
		}

		// A value that the caller sets is newer than any load under way.
		if r.flight == nil {
			o.sh.detachLocked(o.sh.flights[r.key])
		}
		o.dropHiddenLocked(r.key, r.hash)
		q := r
		if r.inherits {
			q = new(*r) // in the next round there may be another entry, or none
			o.inheritLocked(q, s)
		}
		slot, done := o.tryLocked(q, s, refuse)
		if done {
			out.slot = slot
			out.stored = slot != 0
			return out
		}
		refuse = !o.reclaim(q, s)
	}
}

// tryLocked stores r in place of s, or refuses it, and returns the slot that
// has it, or 0. It is not done if room has to be made in other shards.
func (o *op[K, V]) tryLocked(r *request[K, V], s uint32, refuse bool) (slot uint32, done bool) {
	switch {
	case r.ttl <= 0 && !r.keepTTL:
		o.refuseLocked(r, s, Expired)
		return 0, true
	case r.cost > o.c.cap.Load() || !isReflexive(r.key):
		o.refuseLocked(r, s, Rejected)
		return 0, true
	case o.makeRoomLocked(r, s):
		return o.storeLocked(r, s), true
	case refuse:
		o.refuseLocked(r, s, Rejected)
		return 0, true
	}
	return 0, false
}

// refuseLocked does not store r. A value that its key had is stale, and goes.
func (o *op[K, V]) refuseLocked(r *request[K, V], s uint32, cause Cause) {
	if s != 0 {
		o.removeLocked(s, Replaced)
	}
	if r.err == nil {
		o.noteLocked(r.key, r.value, cause)
	}
}

// makeRoomLocked makes the tokens of o suffice for r in slot s, or in a new
// slot if s is 0: by capacity that is free if there is enough, else by evicting
// from the shard. It reports whether that was possible. It evicts nothing if
// the shard alone has not enough to give.
func (o *op[K, V]) makeRoomLocked(r *request[K, V], s uint32) bool {
	sh := o.sh
	need := r.cost - sh.cost(s)
	class := r.class(sh, s)
	if s == 0 && !o.a.local {
		o.a = arrival{hash: uint32(r.hash), class: class, local: true}
		sh.announce(&o.a)
	}
	if o.coverLocked(need) {
		return true
	}

	o.purgeLocked(math.MaxInt) // entries that have expired are dead anyway

	// The shard alone may not be able to.
	give := sh.givesLocked(class, s)
	if saturated(saturated(o.tokens, o.c.free.Load()), give) < need {
		return false
	}

	// The entry itself is not a victim: it leaves its queue, and comes back as
	// if it were new.
	a := &o.a
	if s == 0 {
		return o.evictLocked(a, need)
	}
	a = &arrival{class: class}
	sh.queues.unlink(s)
	ok := o.evictLocked(a, need)
	sh.queues.push(s, a)
	return ok
}

// givesLocked returns how much could be evicted from the shard for an entry of
// class that replaces s, or none if s is 0.
func (sh *shard[K, V]) givesLocked(class int, s uint32) int64 {
	give := sh.totalCost() - sh.protectedCost(class)
	if s != 0 && sh.meta[s].rank() <= class {
		give -= sh.cost(s)
	}
	return give
}

// coverLocked reports whether o has need tokens, after it has tried to take the
// difference.
func (o *op[K, V]) coverLocked(need int64) bool {
	if o.tokens < need && o.c.takeCapacity(need-o.tokens) {
		o.tokens = need
	}
	return o.tokens >= need
}

// evictLocked evicts from the shard until o has need tokens, and reports
// whether it could. Entries that have expired must be gone.
func (o *op[K, V]) evictLocked(a *arrival, need int64) bool {
	for !o.coverLocked(need) {
		s := o.sh.victim(a)
		if s == 0 {
			return false
		}
		o.removeLocked(s, Evicted)
	}
	return true
}

// reclaim evicts from the other shards, as far as r in slot s needs it. It
// reports whether it is worth trying again: not if entries that are pinned or
// of higher priority leave no room; then it evicts nothing.
//
// It unlocks its shard meanwhile. Reclaims go one after the other, and keep
// their tokens to themselves: two that each hold a part of the tokens that both
// need would wait for each other forever.
func (o *op[K, V]) reclaim(r *request[K, V], s uint32) (again bool) {
	own := o.sh
	class := r.class(own, s)
	need := r.cost - own.cost(s) - own.givesLocked(class, s) // its own shard gives the rest
	own.mu.Unlock()
	if !o.serial {
		o.c.free.Add(o.tokens) // so that the reclaim under way can finish
		o.tokens = 0
		o.c.reclaiming.Lock()
		o.serial = true
	}

	// Look before anything is evicted.
	protected := int64(0)
	for i := range o.c.shards {
		o.sh = &o.c.shards[i]
		o.lock()
		o.purgeLocked(math.MaxInt)
		protected = saturated(protected, o.sh.protectedFrom(class, r, o.sh == own))
		o.sh.mu.Unlock()
	}
	again = protected <= o.c.cap.Load()-r.cost

	// Evict from the other shards in turn, so that all of them give.
	for range o.c.shards {
		if !again {
			break
		}
		o.c.lastReclaimed = (o.c.lastReclaimed + 1) % len(o.c.shards)
		o.sh = &o.c.shards[o.c.lastReclaimed]
		if o.sh == own {
			continue
		}
		o.lock()
		o.purgeLocked(math.MaxInt) // another shard may have known a later time
		done := o.evictLocked(&arrival{class: class}, need)
		o.sh.mu.Unlock()
		if done {
			break
		}
	}

	if again && o.tokens < need {
		runtime.Gosched() // other operations hold the difference: let them end
	}
	o.sh = own
	o.lock()
	return again
}

// protectedFrom returns protectedCost without the entry that r replaces.
func (sh *shard[K, V]) protectedFrom(class int, r *request[K, V], own bool) int64 {
	sum := sh.protectedCost(class)
	if own {
		if s := sh.find(uint32(r.hash), r.key); s != 0 && sh.meta[s].rank() > class {
			sum -= sh.cost(s)
		}
	}
	return sum
}

// storeLocked puts r into slot s, or into a new one if s is 0, and returns the
// slot. There is room.
func (o *op[K, V]) storeLocked(r *request[K, V], s uint32) uint32 {
	sh := o.sh
	o.tokens -= r.cost - sh.cost(s)
	added := s == 0
	class := r.class(sh, s)
	if added {
		s = sh.addLocked(r.key, uint32(r.hash), o.a.local)
		if r.err == nil {
			sh.added++
		}
	} else {
		o.noteLocked(r.key, sh.cells[s].value, Replaced)
		sh.hit(s)
		delete(sh.failures, s)
	}

	// The value, its cost and its tags.
	sh.cells[s].value = r.value
	sh.writes++
	m := &sh.meta[s]
	m.flags = m.flags&(1<<versionShift-1)&^(givenTTL|givenCost) | r.given | uint32(sh.writes)<<versionShift
	sh.costByRank[m.rank()] += r.cost - sh.cost(s)
	sh.setCost(s, r.cost)
	sh.setTags(s, r.tags)
	sh.setGivenTags(s, r.extra)

	// Its times.
	if r.keepTTL {
		o.c.prolongLocked(sh, s, o.now)
	} else {
		o.expireAtLocked(s, r.ttl)
	}
	if o.c.opts.TrackAge {
		sh.born = ensured(sh.born, sh.slots())
		sh.born[s] = o.now
	}

	// Its place.
	pin := m.flags&pinned != 0
	if r.attr != nil {
		pin = r.attr.Pinned
	}
	if added || class != m.class() || pin != (m.flags&pinned != 0) {
		a := &arrival{}
		if added {
			a = &o.a
		}
		o.placeLocked(s, class, pin, a)
	}
	if r.err != nil {
		sh.hide(s)
		sh.setFailure(s, failure{err: r.err, bare: true})
	}
	return s
}

// setGivenTags remembers the tags that were given to s, besides those of the
// options.
func (sh *contents[K, V]) setGivenTags(s uint32, names []string) {
	if len(names) == 0 {
		delete(sh.givenTags, s)
		return
	}
	if sh.givenTags == nil {
		sh.givenTags = map[uint32][]string{}
	}
	sh.givenTags[s] = names
}

// placeLocked moves s into the queue of its priority, or to the pinned entries.
func (o *op[K, V]) placeLocked(s uint32, class int, pin bool, a *arrival) {
	sh := o.sh
	m := &sh.meta[s]
	sh.queues.unlink(s)
	sh.costByRank[m.rank()] -= sh.cost(s)
	m.flags = m.flags&^(classMask|pinned) | uint32(class)<<classShift
	if pin {
		m.flags |= pinned
	}
	sh.costByRank[m.rank()] += sh.cost(s)
	sh.push(s, a)
}

// expireAtLocked gives s the time to live ttl from now.
func (o *op[K, V]) expireAtLocked(s uint32, ttl time.Duration) {
	sh := o.sh
	t := after(o.now, ttl)
	if o.c.opts.Idle > 0 {
		sh.hard = ensured(sh.hard, sh.slots())
		sh.hard[s] = t
		t = min(t, after(o.now, o.c.opts.Idle))
	}
	sh.setDeadline(s, t)
}

// claimEventsLocked returns the events of the shard if the caller is the one to
// report them, else nil: another goroutine is at it, and reports these as well.
func (sh *shard[K, V]) claimEventsLocked() []removal[K, V] {
	if sh.reporting || len(sh.outbox) == 0 {
		return nil
	}
	sh.reporting = true
	events := sh.outbox
	sh.outbox = nil
	return events
}

// unreported events are those that a goroutine has claimed and not yet
// reported.
type unreported[K comparable, V any] struct {
	events []removal[K, V]
	slot   int // if the first event is of Clear, the last of its slots that was taken
}

// next takes the next entry out of u, and reports whether there is one.
func (u *unreported[K, V]) next() (r removal[K, V], ok bool) {
	for len(u.events) > 0 {
		first := &u.events[0]
		old := first.cleared
		if old == nil {
			u.events = u.events[1:]
			return *first, true
		}

		// A cleared shard holds the entries that were in it: go through them.
		for u.slot++; u.slot <= old.used; u.slot++ {
			at := uint32(u.slot)
			flags := old.meta[at].flags
			if flags&inUse == 0 || old.failures[at].bare {
				continue
			}
			r = removal[K, V]{key: old.cells[at].key, value: old.cells[at].value, cause: Invalidated}
			if flags&hidden != 0 {
				r.cause = Expired
			}
			return r, true
		}
		u.events = u.events[1:]
		u.slot = 0
	}
	return r, false
}

// report calls OnRemove for events, which the caller has claimed, and for those
// of the shard that have come meanwhile. So the events of a key are in order. A
// panic of OnRemove does not keep others from being reported.
func (c *Cache[K, V]) report(sh *shard[K, V], events []removal[K, V]) {
	u := unreported[K, V]{events: events}
	finish(func() {
		for more := true; more; more = len(u.events) > 0 {
			for r, ok := u.next(); ok; r, ok = u.next() {
				c.opts.OnRemove(r.key, r.value, r.cause)
			}
			u.events = sh.nextEvents()
		}
	})
}

// nextEvents ends a round of reporting, and claims the events that have come
// meanwhile.
func (sh *shard[K, V]) nextEvents() []removal[K, V] {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.reporting = false
	return sh.claimEventsLocked()
}

// reportAll reports the events of all shards: also if OnRemove panics.
func (c *Cache[K, V]) reportAll() {
	if c.opts.OnRemove == nil {
		return
	}
	i := 0
	finish(func() {
		for i < len(c.shards) {
			sh := &c.shards[i]
			i++
			sh.mu.Lock()
			events := sh.claimEventsLocked()
			sh.mu.Unlock()
			if events != nil {
				c.report(sh, events)
			}
		}
	})
}
