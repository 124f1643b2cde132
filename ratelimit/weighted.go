// SPDX-License-Identifier: MIT

package ratelimit

import (
	"math"
	"math/bits"
	"time"
)

// A weightedCounter counts by two slices of the length of the window each: the
// events of the older one count by the part of it that is still inside,
//
//	newer + older · left/width, rounded up,
//
// where left is the time until the newer one ends. It keeps whole events, as
// the counter within does, by which a Return forgets, and which snapshots hold.
type weightedCounter struct {
	sliceCounter
	latest int64 // the latest reading of expire
}

func newWeightedCounter(width int64) *weightedCounter {
	return &weightedCounter{sliceCounter: *newSliceCounter(width, 2), latest: math.MinInt64}
}

// look returns the time from t, or the latest reading if that is later, until
// its slice ends, and the events of that slice and of the one before.
func (c *weightedCounter) look(t int64) (left, older, newer int64) {
	t = max(t, c.latest)
	into := t % c.width
	if into < 0 {
		into += c.width
	}
	left = c.width - into

	switch i := c.slice(t); i {
	case c.current:
		return left, *c.slot(i - 1), *c.slot(i)
	case c.current + 1:
		return left, *c.slot(i - 1), 0
	}
	return left, 0, 0
}

// weigh returns the weight of n events of the older slice, of which left is
// still inside.
func (c *weightedCounter) weigh(n, left int64) int64 {
	q, rem := mulDiv(n, left, c.width)
	if rem > 0 {
		q++
	}
	return q
}

func (c *weightedCounter) count(t int64) int64 {
	left, older, newer := c.look(t)
	return newer + c.weigh(older, left)
}

func (c *weightedCounter) expire(t int64) int64 {
	n := c.count(c.latest)
	c.sliceCounter.expire(t)
	c.latest = max(c.latest, t)
	return n - c.count(t)
}

func (c *weightedCounter) free(t, n int64) int64 {
	left, older, newer := c.look(t)
	t = max(t, c.latest)
	keep := newer + c.weigh(older, left) - n
	if keep < newer { // not before the newer slice is the older one
		t = sum(t, left)
		left, older, newer = c.width, newer, 0
	}

	// keep-newer of the older events are as many as that part of their slice.
	part, _ := mulDiv(keep-newer, c.width, older)
	return sum(t, left-part)
}

func (c *weightedCounter) forget(n, until int64) int64 {
	before := c.count(c.latest)
	c.sliceCounter.forget(n, until)
	return before - c.count(c.latest)
}

func (c *weightedCounter) hold(until, n int64) int64 {
	before := c.count(c.latest)
	c.sliceCounter.hold(until, n)
	return c.count(c.latest) - before
}

func (c *weightedCounter) clear() {
	c.sliceCounter.clear()
	c.latest = math.MinInt64
}

func (c *weightedCounter) another(time.Time) counter { return newWeightedCounter(c.width) }

func (c *weightedCounter) whole() counter { return &c.sliceCounter }

func (c *weightedCounter) load(words []int64, n int64) {
	c.sliceCounter.load(words, n)
	c.latest = words[0]
	c.current = math.MinInt64
	c.current = c.slice(c.latest)
}

func (c *weightedCounter) store(words []int64) { words[0] = c.latest }

// mulDiv returns a·b/c and the remainder. The quotient must fit; none of the
// three is negative.
func mulDiv(a, b, c int64) (q, rem int64) {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	d, r := bits.Div64(hi, lo, uint64(c))
	return int64(d), int64(r)
}
