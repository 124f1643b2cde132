// SPDX-License-Identifier: MIT

package breaker

import "sync/atomic"

// A counter counts up, from many goroutines at once, until it is taken back to
// zero. Goroutines that count at the same time would fight for one cache line.
// So the first that meets another makes stripes, each on a line of its own.
type counter struct {
	n       atomic.Uint64
	stripes atomic.Pointer[[counterStripes]stripe]
}

// counterStripes is the number of stripes; they take 1 KB.
const counterStripes = 8

type stripe struct {
	n atomic.Uint64
	_ [120]byte // two lines in all, since processors fetch them in pairs
}

// inc adds one.
func (c *counter) inc() {
	if all := c.stripes.Load(); all != nil {
		all[stripeHash()%counterStripes].n.Add(1)
		return
	}
	n := c.n.Load()
	if !c.n.CompareAndSwap(n, n+1) {
		c.n.Add(1)
		c.spread()
	}
}

// spread makes stripes.
func (c *counter) spread() { c.stripes.CompareAndSwap(nil, new([counterStripes]stripe)) }

// take returns the count, and takes it back to zero. A call that is added
// meanwhile is in this count or the next.
func (c *counter) take() uint64 {
	n := c.n.Swap(0)
	if all := c.stripes.Load(); all != nil {
		for i := range all {
			n += all[i].n.Swap(0)
		}
	}
	return n
}
