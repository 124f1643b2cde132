// SPDX-License-Identifier: MIT

package bloom

import "time"

// A fakeClock is a clock that a test sets by hand, in nanoseconds.
type fakeClock struct{ t int64 }

func (c *fakeClock) now() time.Time { return time.Unix(0, c.t) }

// sleep moves the clock by d, which may be negative.
func (c *fakeClock) sleep(d time.Duration) { c.t += int64(d) }
