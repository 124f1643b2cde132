// SPDX-License-Identifier: MIT

package ratelimit

import (
	"math"
	"sort"
	"time"
)

// A counter remembers the events of a window. A reading that is older than one
// at which events were forgotten counts as that.
type counter interface {
	// count returns the number of events that count at t, or their weight.
	count(t int64) int64
	// expire forgets the events that do not count at t, and returns by how many
	// the count falls.
	expire(t int64) int64
	// add remembers n events at t, which was given to expire.
	add(t, n int64)
	// until returns the reading at which events that happen at t stop counting.
	until(t int64) int64
	// free returns the reading at which n of the events that count at t will
	// have stopped counting.
	free(t, n int64) int64
	// live reports whether events that stop counting at the reading until still
	// count at the reading of the last expire.
	live(until int64) bool
	// forget forgets up to n events, and returns by how many the count falls.
	// Those that stop counting at the reading until are the first, and then the
	// oldest.
	forget(n, until int64) int64
	// hold remembers n events, not before those it has, that stop counting at
	// the reading until or later, after expire. It returns by how many the
	// count rises.
	hold(until, n int64) int64
	// clear forgets everything.
	clear()
	// another returns an empty counter of the same kind, whose readings are
	// from base.
	another(base time.Time) counter
	// whole returns the counter in which each event counts as one until it
	// stops counting.
	whole() counter
}

// A storedCounter is a counter that takes on the words of one key after
// another.
type storedCounter interface {
	counter
	// load makes words the counter, of n events. Blank words are 0 except for
	// the first, which is math.MinInt64.
	load(words []int64, n int64)
	// store completes words, which were given to load.
	store(words []int64)
}

// An eventLog is a ring of the times of events, oldest first. It grows to the
// number of events that ever counted at once.
type eventLog struct {
	length     int64
	latest     int64   // the latest reading of expire
	times      []int64 // a power of two of slots
	head, size int
}

func newEventLog(length time.Duration) *eventLog {
	return &eventLog{length: int64(length), latest: math.MinInt64}
}

// at returns the time of event i.
func (l *eventLog) at(i int) *int64 { return &l.times[(l.head+i)&(len(l.times)-1)] }

// expired returns the number of events that do not count at t.
func (l *eventLog) expired(t int64) int {
	t = max(t, l.latest)
	if l.size == 0 || t-*l.at(0) < l.length {
		return 0
	}
	return sort.Search(l.size, func(i int) bool { return t-*l.at(i) < l.length })
}

func (l *eventLog) count(t int64) int64 { return int64(l.size - l.expired(t)) }

func (l *eventLog) expire(t int64) int64 {
	n := l.expired(t)
	l.latest = max(l.latest, t)
	return l.drop(n)
}

// drop forgets the n oldest events, and returns n.
func (l *eventLog) drop(n int) int64 {
	l.head = (l.head + n) & (len(l.times) - 1)
	l.size -= n
	return int64(n)
}

func (l *eventLog) add(t, n int64) {
	t = max(t, l.latest)
	if l.size > 0 {
		t = max(t, *l.at(l.size - 1)) // hold may have put it ahead
	}
	for range n {
		if l.size == len(l.times) {
			grown := make([]int64, max(2*len(l.times), 8))
			for i := range l.size {
				grown[i] = *l.at(i)
			}
			l.times = grown
			l.head = 0
		}
		l.size++
		*l.at(l.size - 1) = t
	}
}

func (l *eventLog) until(t int64) int64 { return sum(max(t, l.latest), l.length) }

func (l *eventLog) free(t, n int64) int64 {
	return sum(*l.at(l.expired(t) + int(n) - 1), l.length)
}

func (l *eventLog) live(until int64) bool { return until > l.latest }

func (l *eventLog) forget(n, until int64) int64 {
	all := int(min(n, int64(l.size)))

	// Close the gap behind those of until. Seldom have others come since.
	t := until - l.length
	first := sort.Search(l.size, func(i int) bool { return *l.at(i) >= t })
	end := sort.Search(l.size, func(i int) bool { return *l.at(i) > t })
	k := min(all, end-first)
	for i := end; i < l.size; i++ {
		*l.at(i - k) = *l.at(i)
	}
	l.size -= k
	return int64(k) + l.drop(all-k)
}

func (l *eventLog) hold(until, n int64) int64 {
	latest := l.latest
	l.latest = math.MinInt64 // the events are older
	l.add(until-l.length, n)
	l.latest = latest
	return n
}

func (l *eventLog) clear() { l.size, l.latest = 0, math.MinInt64 }

func (l *eventLog) another(time.Time) counter { return newEventLog(time.Duration(l.length)) }

func (l *eventLog) whole() counter { return l }

func (l *eventLog) load(words []int64, n int64) {
	l.latest = words[0]
	l.times = words[2:]
	l.size = int(n)
	l.head = int(words[1] & int64(len(l.times)-1))
}

func (l *eventLog) store(words []int64) {
	words[0] = l.latest
	words[1] = int64(l.head)
}

// A sliceCounter counts events by slices of time. With one count it is a fixed
// window, and with more a sliding one: slice i counts until slice i+len(counts)
// begins.
type sliceCounter struct {
	width   int64
	counts  []int64 // of slice i at i mod len
	current int64   // the slice of the latest reading of expire
}

func newSliceCounter(width int64, counts int) *sliceCounter {
	return &sliceCounter{width: width, counts: make([]int64, counts), current: math.MinInt64}
}

// slice returns the slice of t, or the current one if that is later.
func (c *sliceCounter) slice(t int64) int64 {
	i := t / c.width
	if t < 0 && t%c.width != 0 {
		i-- // floor
	}
	return max(i, c.current)
}

// slot returns the count of slice i.
func (c *sliceCounter) slot(i int64) *int64 {
	n := int64(len(c.counts))
	return &c.counts[(i%n+n)%n]
}

// oldest returns the oldest slice that counts in slice i, of those up to the
// current one.
func (c *sliceCounter) oldest(i int64) int64 { return i - int64(len(c.counts)) + 1 }

func (c *sliceCounter) count(t int64) (n int64) {
	for i := c.oldest(c.slice(t)); i <= c.current; i++ {
		n += *c.slot(i)
	}
	return n
}

func (c *sliceCounter) expire(t int64) (n int64) {
	i := c.slice(t)
	if c.current == math.MinInt64 {
		c.current = i
	}
	for range min(i-c.current, int64(len(c.counts))) {
		c.current++
		slot := c.slot(c.current)
		n += *slot
		*slot = 0
	}
	c.current = i
	return n
}

func (c *sliceCounter) add(_, n int64) { *c.slot(c.current) += n }

func (c *sliceCounter) until(t int64) int64 { return c.end(c.slice(t)) }

// end returns the reading at which slice i stops counting.
func (c *sliceCounter) end(i int64) int64 {
	at := i + int64(len(c.counts))
	if at > math.MaxInt64/c.width {
		return math.MaxInt64
	}
	return at * c.width
}

func (c *sliceCounter) free(t, n int64) int64 {
	i := c.oldest(c.slice(t))
	for ; i < c.current; i++ {
		if n -= *c.slot(i); n <= 0 {
			break
		}
	}
	return c.end(i)
}

func (c *sliceCounter) live(until int64) bool { return until/c.width > c.current }

func (c *sliceCounter) forget(n, until int64) int64 {
	left := n
	take := func(i int64) {
		k := min(left, *c.slot(i))
		*c.slot(i) -= k
		left -= k
	}
	oldest := c.oldest(c.current)
	if i := c.oldest(until/c.width) - 1; i >= oldest && i <= c.current {
		take(i)
	}
	for i := oldest; i <= c.current; i++ {
		take(i)
	}
	return n - left
}

func (c *sliceCounter) hold(until, n int64) int64 {
	end := until / c.width
	if until > end*c.width {
		end++
	}
	i := min(end-int64(len(c.counts)), c.current)
	slot := c.slot(max(i, c.oldest(c.current)))
	*slot = sum(*slot, n)
	return n
}

func (c *sliceCounter) clear() {
	clear(c.counts)
	c.current = math.MinInt64
}

func (c *sliceCounter) another(time.Time) counter { return newSliceCounter(c.width, len(c.counts)) }

func (c *sliceCounter) whole() counter { return c }

func (c *sliceCounter) load(words []int64, _ int64) {
	c.current = words[0]
	c.counts = words[1:]
}

func (c *sliceCounter) store(words []int64) { words[0] = c.current }

// A periodCounter counts the events of a period of the calendar.
type periodCounter struct {
	period Period
	base   time.Time // of readings
	end    int64     // of the period that is counted
	used   int64

	// The end of the period that begins at or before since, for all keys.
	since, next int64
}

func newPeriodCounter(p Period, base time.Time) *periodCounter {
	return &periodCounter{period: p, base: base, end: math.MinInt64, since: math.MaxInt64}
}

func (c *periodCounter) count(t int64) int64 {
	if t >= c.end {
		return 0
	}
	return c.used
}

func (c *periodCounter) expire(t int64) int64 {
	if t < c.end {
		return 0
	}
	n := c.used
	c.used = 0
	c.end = c.until(t)
	return n
}

func (c *periodCounter) add(_, n int64) { c.used += n }

func (c *periodCounter) until(t int64) int64 {
	if t < c.end {
		return c.end
	}
	if t < c.since || t >= c.next {
		c.since = t
		c.next = int64(c.period.next(c.base.Add(time.Duration(t))).Sub(c.base))
	}
	return c.next
}

func (c *periodCounter) free(t, _ int64) int64 { return c.until(t) }

func (c *periodCounter) live(until int64) bool { return until >= c.end }

func (c *periodCounter) forget(n, _ int64) int64 {
	n = min(n, c.used)
	c.used -= n
	return n
}

func (c *periodCounter) hold(until, n int64) int64 {
	c.end = max(c.end, until)
	c.used += n
	return n
}

func (c *periodCounter) clear() { c.end, c.used = math.MinInt64, 0 }

func (c *periodCounter) another(base time.Time) counter { return newPeriodCounter(c.period, base) }

func (c *periodCounter) whole() counter { return c }

func (c *periodCounter) load(words []int64, n int64) {
	c.end = words[0]
	c.used = n
}

func (c *periodCounter) store(words []int64) { words[0] = c.end }

// sum returns a + b, at most the largest int64. b is not negative.
func sum(a, b int64) int64 {
	if s := a + b; s >= a {
		return s
	}
	return math.MaxInt64
}
