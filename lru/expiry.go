// SPDX-License-Identifier: MIT

package lru

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
	"weak"
)

// never is the deadline of what does not expire.
const never = math.MaxInt64

// deadlines are the deadlines of slots, with a heap of those that have one. The heap is binary:
// with one TTL for all, a new deadline is the latest and stays where it is appended.
type deadlines struct {
	at   []int64  // by slot; never if it has none
	heap []uint32 // slots, the earliest first
	pos  []uint32 // by slot: its place in the heap
}

// grow makes room for n slots.
func (d *deadlines) grow(n int) {
	old := len(d.at)
	d.at = append(make([]int64, 0, n+1), d.at...)[:n+1]
	for s := old; s <= n; s++ {
		d.at[s] = never
	}
	d.pos = append(make([]uint32, 0, n+1), d.pos...)[:n+1]
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
		d.cut(int(d.pos[s]))
	case !had:
		d.heap = append(d.heap, s)
		d.up(len(d.heap) - 1)
	default:
		d.down(d.up(int(d.pos[s])))
	}
}

// cut removes the slot at place i of the heap.
func (d *deadlines) cut(i int) {
	last := len(d.heap) - 1
	s := d.heap[last]
	d.heap = d.heap[:last]
	if i < last {
		d.place(i, s)
		d.down(d.up(i))
	}
}

func (d *deadlines) place(i int, s uint32) {
	d.heap[i] = s
	d.pos[s] = uint32(i)
}

// up moves the slot at i towards the root until it is in order, and returns its place.
func (d *deadlines) up(i int) int {
	s := d.heap[i]
	for i > 0 {
		parent := (i - 1) / 2
		if d.at[d.heap[parent]] <= d.at[s] {
			break
		}
		d.place(i, d.heap[parent])
		i = parent
	}
	d.place(i, s)
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
		if r := child + 1; r < len(d.heap) && d.at[d.heap[r]] < d.at[d.heap[child]] {
			child = r
		}
		if d.at[s] <= d.at[d.heap[child]] {
			break
		}
		d.place(i, d.heap[child])
		i = child
	}
	d.place(i, s)
}

// gone reports whether s is absent at now for all but Load.
func (sh *shard[K, V]) gone(s uint32, now int64) bool {
	return sh.meta[s].flags&hidden != 0 || sh.deadlines.due(s, now)
}

// stale reports whether s has expired, but may still be what Load returns if it fails: for a time
// after the deadline.
func (sh *shard[K, V]) stale(s uint32, now int64, keep time.Duration) bool {
	switch {
	case keep == 0 || sh.failures[s].bare:
		return false
	case sh.meta[s].flags&hidden != 0:
		return !sh.deadlines.due(s, now)
	}
	return sh.deadlines.due(s, now) && after(sh.deadlines.at[s], keep) > now
}

// expire ends the time of s, which is due: it goes, or is kept for Load.
func (o *op[K, V]) expire(s uint32) {
	sh := o.sh
	if sh.meta[s].flags&hidden != 0 || !sh.stale(s, o.now, o.c.staleIfError) {
		o.drop(s, Expired)
		return
	}
	if m := sh.meta[s]; m.flags&pinned != 0 {
		o.place(s, m.class(), false, false)
	}
	sh.deadlines.set(s, after(sh.deadlines.at[s], o.c.staleIfError))
	sh.hide(s)
}

// hide makes s absent for all but Load.
func (sh *shard[K, V]) hide(s uint32) {
	sh.meta[s].flags |= hidden
	sh.hidden++
}

// after returns now + d, or never if that is too late to tell.
func after(now int64, d time.Duration) int64 {
	if t := now + int64(d); d != Forever && t >= now {
		return t
	}
	return never
}

// An alarm is the timer of a cache. It runs only while something is to expire, and holds the cache
// weakly: a cache that nobody uses is collected, timer and all.
type alarm struct {
	at    atomic.Int64 // when it rings; never if it does not
	mu    sync.Mutex   // protects what follows, and changes of at
	timer *time.Timer
	floor int64 // it does not ring before this
}

// quiet is the time between two rings: what expires within it is removed together.
const quiet = int64(time.Millisecond)

// arm makes the alarm ring at the reading t, or before.
func (c *Cache[K, V]) arm(t int64) {
	a := &c.alarm
	if t >= a.at.Load() || c.now != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	t = max(t, a.floor)
	if t >= a.at.Load() {
		return
	}
	a.at.Store(t)
	d := time.Duration(t - c.reading())
	if a.timer == nil {
		ref := weak.Make(c)
		a.timer = time.AfterFunc(d, func() {
			if c := ref.Value(); c != nil {
				c.ring()
			}
		})
		return
	}
	a.timer.Reset(d)
}

// ring removes what has expired and sets the alarm for the next.
func (c *Cache[K, V]) ring() {
	c.alarm.mu.Lock()
	c.alarm.at.Store(never)
	c.alarm.floor = c.reading() + quiet
	c.alarm.mu.Unlock()
	c.arm(c.expire())
}

// expireBatch bounds how many entries expire under one hold of a lock.
const expireBatch = 128

// expire removes what has expired and returns the earliest deadline left.
func (c *Cache[K, V]) expire() (next int64) {
	next = never
	for i := range c.shards {
		for more := true; more; {
			o := op[K, V]{c: c, sh: &c.shards[i], now: c.reading()}
			o.lock()
			o.purge(expireBatch)
			t := o.sh.deadlines.earliest()
			more = t <= o.now
			if !more {
				next = min(next, t)
			}
			o.end()
		}
	}
	return next
}
