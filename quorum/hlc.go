// SPDX-License-Identifier: MIT

package quorum

import (
	"cmp"
	"fmt"
	"math"
	"sync"
	"time"
)

// A Stamp orders writes: by time, then by how many came at that time, then by
// the node that wrote. No two writes have the same stamp if nodes have
// different numbers.
type Stamp struct {
	Wall  int64  // nanoseconds since 1970
	Count uint32 // of stamps with this Wall, from 0
	Node  uint32 // of the Clock that made it
}

// Compare returns -1 if s comes before t, 1 if it comes after, and else 0.
func (s Stamp) Compare(t Stamp) int {
	return cmp.Or(cmp.Compare(s.Wall, t.Wall), cmp.Compare(s.Count, t.Count), cmp.Compare(s.Node, t.Node))
}

// Time returns the time of s.
func (s Stamp) Time() time.Time { return time.Unix(0, s.Wall) }

// A Clock makes stamps that grow, and that are greater than all that it has
// observed, although the clocks of machines differ: a hybrid logical clock. Use
// [NewClock]; methods of a zero Clock panic. It is safe for concurrent use by
// multiple goroutines.
type Clock struct {
	node uint32
	opts ClockOptions

	mu   sync.Mutex // protects last
	last Stamp      // the greatest made or observed
}

// NewClock returns a clock that makes stamps of node, a number that no other
// clock has that writes the same keys. If opts is nil, the defaults are used.
func NewClock(node uint32, opts *ClockOptions) *Clock {
	return &Clock{node: node, opts: opts.resolve()}
}

// Now returns a stamp greater than all that c made or observed before.
func (c *Clock) Now() Stamp {
	mustBe(c.opts.Now != nil, "quorum: zero Clock: use NewClock")
	c.mu.Lock()
	defer c.mu.Unlock()
	wall := c.opts.Now().UnixNano()

	switch {
	case wall > c.last.Wall:
		c.last = Stamp{Wall: wall}
	case c.last.Count < math.MaxUint32:
		c.last.Count++
	default:
		c.last.Wall++
		c.last.Count = 0
	}
	c.last.Node = c.node
	return c.last
}

// Observe makes all later stamps of c greater than s. It returns an [ErrDrift],
// and ignores s, if s lies further ahead of the time than MaxOffset: one clock
// that is a year ahead would take all others there. The last of all times is an
// ErrDrift whatever MaxOffset is, since no stamp surpasses it for long.
func (c *Clock) Observe(s Stamp) error {
	mustBe(c.opts.Now != nil, "quorum: zero Clock: use NewClock")
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.Compare(c.last) <= 0 {
		return nil
	}
	now := c.opts.Now().UnixNano()
	if c.opts.MaxOffset >= 0 && s.Wall > plus(now, int64(c.opts.MaxOffset)) || s.Wall == math.MaxInt64 {
		return fmt.Errorf("%w: %v ahead", ErrDrift, time.Duration(plus(s.Wall, -now)))
	}
	c.last = s
	return nil
}

// plus returns a + b, or math.MaxInt64 if the sum is greater. A sum below
// math.MinInt64 wraps around: only the text of an error can have one.
func plus(a, b int64) int64 {
	if b > 0 && a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// latest returns the greatest Wall that a stamp of c can have now.
func (c *Clock) latest() int64 {
	mustBe(c.opts.Now != nil, "quorum: zero Clock: use NewClock")
	if c.opts.MaxOffset < 0 {
		return math.MaxInt64
	}
	return plus(plus(c.opts.Now().UnixNano(), int64(c.opts.MaxOffset)), 1)
}
