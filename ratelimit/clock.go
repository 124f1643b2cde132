// SPDX-License-Identifier: MIT

package ratelimit

import "time"

// A clock reads the time as nanoseconds since its base, so that a reading is
// one signed word. Readings may lie before the base, as in a replay of a log.
type clock struct {
	now  func() time.Time // if nil, the system's monotonic clock
	base time.Time        // set once, by newClock
}

// maxReading is about 146 years. It keeps the difference of two readings
// within 64 bits.
const maxReading = 1<<62 - 1

// newClock returns a clock of now, or of the system if now is nil. Its base is
// the current time: one clock for each value, so that readings start at 0
// inside a synctest bubble as well.
func newClock(now func() time.Time) clock {
	if now == nil {
		return clock{base: time.Now()}
	}

	base := now()
	if base.IsZero() {
		// The clock is not set yet. Real times are too far from the zero time.
		base = time.Unix(0, 0)
	}
	return clock{now: now, base: base}
}

// read returns the current reading.
func (c *clock) read() int64 {
	if c.now != nil {
		return c.at(c.now())
	}
	return int64(time.Since(c.base))
}

// at returns the reading of t, within maxReading of the base.
func (c *clock) at(t time.Time) int64 {
	d := int64(t.Sub(c.base))
	if near := int64(t.Sub(time.Time{})); d < -maxReading && near <= maxReading {
		d = near // the zero time is where a clock starts that is not set
	}
	return min(max(d, -maxReading), maxReading)
}
