// SPDX-License-Identifier: MIT

package lru

import "time"

// An op is a change of one shard under way. It collects what the change makes free and what has
// to be reported, and settles both at the end.
type op[K comparable, V any] struct {
	c      *Cache[K, V]
	sh     *shard[K, V]
	now    int64
	tokens int64 // capacity that it holds: taken from c.free, or of entries it removed
	serial bool  // it holds c.reclaiming
	events []removal[K, V]
	a      arrival
}

// A removal is what OnRemove is told.
type removal[K comparable, V any] struct {
	key   K
	value V
	cause Cause
}

// A request is what Set and its kin ask for.
type request[K comparable, V any] struct {
	key   K
	value V
	hash  uint64
	ttl   time.Duration
	cost  int64
	tags  []string
	attr  *Attr // if nil, the priority and the pin stay as they are

	flight *flight[K, V] // the load that this is the result of, or nil
	err    error         // what is to be remembered in place of a value, or nil
}

// begin starts a change of the shard of hash.
func (c *Cache[K, V]) begin(hash uint64) op[K, V] {
	o := op[K, V]{c: c, sh: c.shardOf(hash), now: c.reading()}
	o.lock()
	o.purge(purgeBatch)
	return o
}

// lock locks the shard. Its clock does not go back.
func (o *op[K, V]) lock() {
	o.sh.mu.Lock()
	o.now = o.sh.advance(o.now)
}

// end gives back what is left, unlocks, and reports.
func (o *op[K, V]) end() {
	sh := o.sh
	if o.tokens != 0 {
		o.c.free.Add(o.tokens)
	}
	next := sh.deadlines.earliest()
	if invariants && sh.n <= checkedLen {
		sh.checkLocked()
	}
	sh.mu.Unlock()
	if o.serial {
		o.c.reclaiming.Unlock()
	}
	if next != never {
		o.c.arm(next)
	}
	o.c.deliver(o.events)
}

// deliver reports removals in order. A panic of OnRemove does not keep others from being reported.
func (c *Cache[K, V]) deliver(events []removal[K, V]) {
	if len(events) == 0 {
		return
	}
	i := 0
	defer func() {
		if i < len(events) {
			c.deliver(events[i:])
		}
	}()
	for i < len(events) {
		e := &events[i]
		i++
		c.onRemove(e.key, e.value, e.cause)
	}
}

// note counts that a value has left or was not stored, and that it is to be reported.
func (o *op[K, V]) note(key K, value V, cause Cause) {
	o.sh.removed[cause]++
	if o.c.onRemove != nil {
		o.events = append(o.events, removal[K, V]{key, value, cause})
	}
}

// drop removes the entry s.
func (o *op[K, V]) drop(s uint32, cause Cause) {
	sh := o.sh
	cost := sh.cost(s)
	o.tokens += cost
	if cause == Evicted {
		sh.queues.evicted(s)
	}
	if sh.meta[s].flags&hidden != 0 {
		cause = Expired // its time was up before
	}
	if cause == Evicted {
		sh.evictedCost += uint64(cost)
		if sh.born != nil {
			sh.evictedAge += time.Duration(o.now - sh.born[s])
		}
	}
	if !sh.failures[s].bare {
		o.note(sh.cells[s].key, sh.cells[s].value, cause)
	}
	sh.drop(s)
}

// purgeBatch bounds what expires on the way of another change.
const purgeBatch = 8

// purge removes up to limit entries that have expired, the earliest first.
func (o *op[K, V]) purge(limit int) {
	d := &o.sh.deadlines
	for ; limit > 0 && d.earliest() <= o.now; limit-- {
		o.expire(d.heap[0])
	}
}

// find returns the slot of key, or 0. What has expired is absent.
func (o *op[K, V]) find(key K, hash uint64) uint32 {
	s := find(&o.sh.index, o.sh.cells, uint32(hash), key)
	if s != 0 && o.sh.gone(s, o.now) {
		if o.sh.deadlines.due(s, o.now) {
			o.expire(s)
		}
		return 0
	}
	return s
}

// forget is called by all that write or remove key: no load that is under way may undo it, and
// what is there for Load alone goes.
func (o *op[K, V]) forget(key K, hash uint64) {
	o.sh.detach(o.sh.flights[key])
	o.unhide(key, hash)
}

// unhide removes what is there of key for Load alone.
func (o *op[K, V]) unhide(key K, hash uint64) {
	if o.sh.hidden == 0 {
		return
	}
	s := find(&o.sh.index, o.sh.cells, uint32(hash), key)
	if s != 0 && o.sh.meta[s].flags&hidden != 0 {
		o.drop(s, Expired)
	}
}

// hit counts that s was found: for the policy, and for its idle time.
func (o *op[K, V]) hit(s uint32) {
	o.sh.touch(s)
	o.c.prolong(o.sh, s, o.now)
}

// prolong moves the idle deadline of s, if by so much that it is worth it.
func (c *Cache[K, V]) prolong(sh *shard[K, V], s uint32, now int64) {
	if c.idle == 0 {
		return
	}
	t := min(after(now, c.idle), sh.hard[s])
	if t-sh.deadlines.at[s] > int64(c.idle/16) {
		sh.deadlines.set(s, t)
	}
}

// room makes the tokens of o suffice for r in slot s, or in a new slot if s is 0: with what is free
// if it is enough, else by evicting from the shard. It reports whether that was possible.
func (o *op[K, V]) room(r *request[K, V], s uint32) bool {
	sh := o.sh
	need := r.cost - sh.cost(s)
	if s == 0 && !o.a.joins {
		o.a = arrival{hash: uint32(r.hash), class: r.class(sh, s), joins: true}
		sh.arrive(&o.a)
	}
	if o.covered(need) {
		return true
	}
	a := &o.a
	if s != 0 {
		a = &arrival{class: r.class(sh, s)}
	}
	// The entry itself is not a victim: it leaves its queue, and comes back as if it were new.
	relink := s != 0 && sh.meta[s].flags&queued != 0
	if relink {
		sh.queues.remove(s)
	}
	ok := o.evict(a, need)
	if relink {
		sh.push(s, false)
	}
	return ok
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

// covered reports whether o has need tokens, after it has tried to take what it lacks.
func (o *op[K, V]) covered(need int64) bool {
	if o.tokens < need && o.c.take(need-o.tokens) {
		o.tokens = need
	}
	return o.tokens >= need
}

// evict evicts from the shard until o has need tokens, and reports whether it could.
// What has expired goes first, whatever its priority.
func (o *op[K, V]) evict(a *arrival, need int64) bool {
	for !o.covered(need) {
		if d := &o.sh.deadlines; d.earliest() <= o.now {
			o.expire(d.heap[0])
			continue
		}
		s := o.sh.victim(a)
		if s == 0 {
			return false
		}
		o.drop(s, Evicted)
	}
	return true
}

// reclaim evicts from the other shards until o has what r needs in slot s. It reports whether it is
// worth looking again: not if what is pinned or of higher priority leaves no room.
// It unlocks its shard meanwhile. Reclaims go one after the other, and keep their tokens to themselves:
// two that each hold a part of what both need would wait for each other for ever.
func (o *op[K, V]) reclaim(r *request[K, V], s uint32) (again bool) {
	own, had := o.sh, o.tokens
	class, need := r.class(own, s), r.cost-own.cost(s)
	own.mu.Unlock()
	if !o.serial {
		o.c.free.Add(o.tokens) // so that whoever is at it can finish
		o.tokens, had = 0, 0
		o.c.reclaiming.Lock()
		o.serial = true
	}
	kept := r.cost
	for range o.c.shards {
		o.c.hand = (o.c.hand + 1) % len(o.c.shards)
		o.sh = &o.c.shards[o.c.hand]
		o.lock()
		done := o.sh != own && o.evict(&arrival{class: class}, need)
		kept += o.sh.keptFrom(class, r, o.sh == own)
		o.sh.mu.Unlock()
		if done {
			break
		}
	}
	o.sh = own
	o.lock()
	return o.tokens > had || kept <= o.c.cap.Load()
}

// keptFrom returns the cost of what must not be evicted for r: what is pinned or of higher
// priority, except for the entry that r replaces.
func (sh *shard[K, V]) keptFrom(class int, r *request[K, V], own bool) (sum int64) {
	for _, cost := range sh.kept[class+1:] {
		sum += cost
	}
	if own {
		if s := find(&sh.index, sh.cells, uint32(r.hash), r.key); s != 0 && sh.rank(s) > class {
			sum -= sh.cost(s)
		}
	}
	return sum
}

// store puts r into slot s, or into a new one if s is 0. There is room.
func (o *op[K, V]) store(r *request[K, V], s uint32) {
	sh := o.sh
	o.tokens -= r.cost - sh.cost(s)
	added, class := s == 0, r.class(sh, s)
	if added {
		s = sh.add(r.key, uint32(r.hash))
		if r.err == nil {
			sh.added++
		}
	} else {
		o.note(sh.cells[s].key, sh.cells[s].value, Replaced)
		sh.touch(s)
		delete(sh.failures, s)
	}
	sh.cells[s].value = r.value
	m := &sh.meta[s]
	m.flags += 1 << versionShift
	sh.writes++
	sh.kept[sh.rank(s)] -= sh.cost(s)
	sh.setCost(s, r.cost)
	sh.kept[sh.rank(s)] += r.cost
	sh.setTags(s, r.tags)
	o.expireAt(s, r.ttl)
	if o.c.trackAge {
		sh.born = made(sh.born, sh.slots())
		sh.born[s] = o.now
	}
	pin := m.flags&pinned != 0
	if r.attr != nil {
		pin = r.attr.Pinned
	}
	if added || class != m.class() || pin != (m.flags&pinned != 0) {
		o.place(s, class, pin, added && o.a.toMain)
	}
	if r.err != nil {
		sh.hide(s)
		sh.fail(s, failure{err: r.err, bare: true})
	}
}

// place moves s into the queue of its priority, or out of all if it is pinned.
func (o *op[K, V]) place(s uint32, class int, pin, toMain bool) {
	sh, m := o.sh, &o.sh.meta[s]
	sh.queues.remove(s)
	sh.kept[sh.rank(s)] -= sh.cost(s)
	m.flags = m.flags&^(classMask|pinned) | uint32(class)<<classShift
	if pin {
		m.flags |= pinned
	}
	sh.kept[sh.rank(s)] += sh.cost(s)
	if !pin {
		sh.push(s, toMain)
	}
}

// expireAt gives s the time to live ttl from now.
func (o *op[K, V]) expireAt(s uint32, ttl time.Duration) {
	sh, t := o.sh, after(o.now, ttl)
	if o.c.idle > 0 {
		sh.hard = made(sh.hard, sh.slots())
		sh.hard[s] = t
		t = min(t, after(o.now, o.c.idle))
	}
	sh.setDeadline(s, t)
}

// refuse does not store r. A value that its key had is stale, and goes.
func (o *op[K, V]) refuse(r *request[K, V], s uint32, cause Cause) {
	if s != 0 {
		o.drop(s, Replaced)
	}
	if r.err == nil {
		o.note(r.key, r.value, cause)
	}
}

// put stores r, unless there is an entry and onlyAbsent is set, or r is what a load brought and has
// become old meanwhile. It returns what was there.
func (o *op[K, V]) put(r *request[K, V], onlyAbsent bool) (old V, had, stored bool) {
	for failed := false; ; {
		s := o.find(r.key, r.hash)
		old, had = *new(V), s != 0 // it may have gone since the last look
		if had {
			old = o.sh.cells[s].value
		}
		switch {
		case had && onlyAbsent:
			o.hit(s)
			return old, true, false
		case r.flight != nil && !o.wanted(r):
			return old, had, false
		}
		if r.flight == nil {
			o.sh.detach(o.sh.flights[r.key])
		}
		o.unhide(r.key, r.hash)
		switch {
		case o.tooMuch(r, s):
			return old, had, false
		case o.room(r, s):
			o.store(r, s)
			return old, had, true
		case failed:
			o.refuse(r, s, Rejected)
			return old, had, false
		}
		failed = !o.reclaim(r, s)
	}
}

// tooMuch refuses r if it is not to be stored whatever else there is, and reports whether it did.
func (o *op[K, V]) tooMuch(r *request[K, V], s uint32) bool {
	switch {
	case r.ttl <= 0:
		o.refuse(r, s, Expired)
	case r.cost > o.c.cap.Load() || !isReflexive(r.key):
		o.refuse(r, s, Rejected)
	default:
		return false
	}
	return true
}
