// SPDX-License-Identifier: MIT

package lru

import (
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
	"weak"
)

// never is the deadline of entries that do not expire.
const never = math.MaxInt64

// after returns now + d, or never if d is without end or the sum too large.
func after(now int64, d time.Duration) int64 {
	if d == Forever {
		return never
	}
	return saturated(now, int64(d))
}

// deadlines are the deadlines of slots, with a heap of those that have one. The
// heap is binary: with one TTL for all, a new deadline is the latest and stays
// where it is appended.
type deadlines struct {
	at   []int64  // by slot; never if it has none
	heap []uint32 // slots, the earliest first
	pos  []uint32 // by slot: its place in the heap
}

// extend makes room for n slots.
func (d *deadlines) extend(n int) {
	old := len(d.at)
	d.at = extended(d.at, n)
	for s := old; s <= n; s++ {
		d.at[s] = never
	}
	d.pos = extended(d.pos, n)
	d.heap = append(make([]uint32, 0, n), d.heap...)
}

// earliest returns the earliest deadline, or never.
func (d *deadlines) earliest() int64 {
	if len(d.heap) == 0 {
		return never
	}
	return d.at[d.heap[0]]
}

// due reports whether s has expired at now.
func (d *deadlines) due(s uint32, now int64) bool { return len(d.at) > 0 && d.at[s] <= now }

// set gives s the deadline t.
func (d *deadlines) set(s uint32, t int64) {
	had := d.at[s] != never
	d.at[s] = t
	switch {
	case !had && t == never:
	case t == never:
		d.cutAt(int(d.pos[s]))
	case !had:
		d.heap = append(d.heap, s)
		d.up(len(d.heap) - 1)
	default:
		d.down(d.up(int(d.pos[s])))
	}
}

// cutAt removes the slot at place i of the heap.
func (d *deadlines) cutAt(i int) {
	last := len(d.heap) - 1
	s := d.heap[last]
	d.heap = d.heap[:last]
	if i < last {
		d.putAt(i, s)
		d.down(d.up(i))
	}
}

func (d *deadlines) putAt(i int, s uint32) {
	d.heap[i] = s
	d.pos[s] = uint32(i)
}

// up moves the slot at i towards the root until it is in order, and returns its
// place.
func (d *deadlines) up(i int) int {
	s := d.heap[i]
	for i > 0 {
		parent := (i - 1) / 2
		if d.at[d.heap[parent]] <= d.at[s] {
			break
		}
		d.putAt(i, d.heap[parent])
		i = parent
	}
	d.putAt(i, s)
	return i
}

// down moves the slot at i away from the root until it is in order.
func (d *deadlines) down(i int) {
	s := d.heap[i]
	for {
		child := 2*i + 1
		if child >= len(d.heap) {
			break
		}

		// The earlier of two children moves up.
		if r := child + 1; r < len(d.heap) && d.at[d.heap[r]] < d.at[d.heap[child]] {
			child = r
		}
		if d.at[s] <= d.at[d.heap[child]] {
			break
		}
		d.putAt(i, d.heap[child])
		i = child
	}
	d.putAt(i, s)
}

// jittered returns ttl shortened by a random part.
func (c *Cache[K, V]) jittered(ttl time.Duration) time.Duration {
	if c.opts.Jitter == 0 || ttl <= 0 || ttl == Forever {
		return ttl
	}
	return max(ttl-time.Duration(float64(ttl)*c.opts.Jitter*rand.Float64()), 1)
}

// prolongLocked moves the idle deadline of s, if by so much that it is worth
// it.
func (c *Cache[K, V]) prolongLocked(sh *shard[K, V], s uint32, now int64) {
	idle := c.opts.Idle
	if idle == 0 {
		return
	}
	t := min(after(now, idle), sh.hard[s])
	if t-sh.deadlines.at[s] > int64(idle/16) {
		sh.deadlines.set(s, t)
	}
}

// expireLocked ends the time of s, which is due. The entry goes, or is kept for
// Load as one of the first victims.
func (o *op[K, V]) expireLocked(s uint32) {
	sh := o.sh
	m := &sh.meta[s]
	if !sh.isStale(s, o.now, o.c.opts.StaleIfError) {
		o.removeLocked(s, Expired)
		return
	}

	// The value is kept for a failure of the backend. It is hidden, and a
	// victim before all others.
	sh.queues.unlink(s)
	sh.costByRank[m.rank()] -= sh.cost(s)
	m.flags = m.flags&^(classMask|pinned) | stale
	sh.costByRank[m.rank()] += sh.cost(s)
	sh.push(s, &arrival{})
	sh.deadlines.set(s, after(sh.deadlines.at[s], o.c.opts.StaleIfError))
	sh.hide(s)
}

// An alarm is the timer of a cache. It runs only while an entry is to expire,
// and holds the cache weakly: a cache that nobody uses is collected, timer and
// all.
type alarm struct {
	at    atomic.Int64 // when it goes off; never if it does not
	mu    sync.Mutex   // protects the fields below, and changes of at
	timer *time.Timer
	floor int64 // it does not go off before
}

// alarmGap is the time between two alarms: entries that expire within it are
// removed together.
const alarmGap = int64(time.Millisecond)

// arm makes the alarm go off at the reading t, or before.
func (c *Cache[K, V]) arm(t int64) {
	a := &c.alarm
	if t >= a.at.Load() || c.opts.Now != nil {
		return
	}

	a.mu.Lock()
	defer a.mu.Unlock()
	t = max(t, a.floor)
	if t >= a.at.Load() {
		return // another call has set an earlier one
	}
	a.at.Store(t)
	d := time.Duration(t - c.reading())
	if a.timer != nil {
		a.timer.Reset(d)
		return
	}

	// The timer must not keep the cache alive.
	ref := weak.Make(c)
	a.timer = time.AfterFunc(d, func() {
		if c := ref.Value(); c != nil {
			c.goOff()
		}
	})
}

// goOff removes expired entries and sets the alarm for the next.
func (c *Cache[K, V]) goOff() {
	c.alarm.mu.Lock()
	c.alarm.at.Store(never)
	c.alarm.floor = c.reading() + alarmGap
	c.alarm.mu.Unlock()
	c.arm(c.expireAll())
}

// expireBatch bounds how many entries expire under one hold of a lock.
const expireBatch = 128

// expireAll removes expired entries and returns the earliest deadline left.
func (c *Cache[K, V]) expireAll() (next int64) {
	next = never
	c.sweep(func(o *op[K, V]) (more bool) {
		o.purgeLocked(expireBatch)
		t := o.sh.deadlines.earliest()
		if t <= o.now {
			return true
		}
		next = min(next, t)
		return false
	})
	return next
}

// expireIfTimed removes expired entries, so that they do not count.
func (c *Cache[K, V]) expireIfTimed() {
	if c.timed.Load() {
		c.arm(c.expireAll())
	}
}
