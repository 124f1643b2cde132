// SPDX-License-Identifier: MIT

// Package ratelimit compares package ratelimit of this module with other rate
// limiters. Each is adapted in a file of its own, which says how it is
// configured and why that is fair.
package ratelimit

import (
	"time"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
)

// A limit is events per time with bursts, in terms that every library can be
// given.
type limit struct {
	events int
	per    time.Duration
	burst  int
}

func (l limit) perSecond() float64 { return float64(l.events) / l.per.Seconds() }

// window returns the time in which an empty bucket refills: what a fixed window
// of burst events lasts, to have the same rate.
func (l limit) window() time.Duration {
	return time.Duration(float64(l.per) * float64(l.burst) / float64(l.events))
}

var (
	// unreached is a limit that no benchmark comes near: every event is
	// admitted, and no bucket ever becomes empty. 10^9 a second is also the
	// most that limiters which keep whole nanoseconds per event can express.
	unreached = limit{1e9, time.Second, 1e9}

	// saturated is a limit that a benchmark exceeds ten thousandfold.
	saturated = limit{1000, time.Second, 10}

	// perKey is the limit of one key where keys are used again and again: large
	// enough for the hottest. It is as many events as the burst, so that fixed
	// windows can have the same, and its period is one at which no window ends
	// during a run.
	perKey = limit{1 << 22, time.Hour, 1 << 22}

	// onceKey is the limit of one key where each is used once or so. A token
	// takes a minute to come back, so that every key in the table is one that
	// matters: ours may forget the others.
	onceKey = limit{60, time.Hour, 60}

	// never refills nothing during a run.
	never = limit{1, time.Hour, 1}
)

// A keyset is the keys of a keyed workload.
type keyset struct {
	all    []string // known before the timing starts
	stream []string // of the operations; its length is a power of two
}

// A loop makes the operation that takes one event of each of keys, whose number
// is a power of two.
type loop func(keys []string) bench.Op

// on lets every key that is to be known be seen once, and returns the operation
// on the stream.
func (l loop) on(k keyset) bench.Op {
	if len(k.all) > 0 {
		l(k.all)(0, len(k.all))
	}
	return l(k.stream)
}

// must is for configurations that are constants of this package.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
