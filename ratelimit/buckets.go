// SPDX-License-Identifier: MIT

package ratelimit

import (
	"encoding/binary"
	"math"
	"time"
)

// buckets are the content of a store for one key: a state and its limit for
// each tier, and the marks of the last writes.
type buckets struct {
	n      int
	states [maxTiers]State
	limits [maxTiers]Limit
	marks
}

// The bytes of one limit; the format is in the documentation of the package.
const bucketSize = 5 * 8

// encode returns b as bytes.
func (b *buckets) encode() []byte {
	out := b.header(kindBuckets, b.n, b.n*bucketSize)

	// Each bucket, with the limit that it counts by.
	for i := range b.n {
		s, l := b.states[i], b.limits[i]
		for _, v := range []int64{s.Base, s.Spent, l.Rate.count, int64(l.Rate.per), int64(l.Burst)} {
			out = binary.LittleEndian.AppendUint64(out, uint64(v))
		}
	}
	return seal(out)
}

// decodeBuckets is the inverse of encode. No bytes are the buckets of a key
// that is absent.
func decodeBuckets(data []byte) (b buckets, err error) {
	if len(data) == 0 {
		return b, nil
	}
	n, words, err := b.open(data, kindBuckets)
	if err != nil {
		return buckets{}, err
	}
	if b.n = n; n < 1 || n > maxTiers || len(words) != n*bucketSize {
		return buckets{}, ErrCorrupt
	}

	// The limits must be valid although the checksum holds.
	for i := range b.n {
		b.states[i].Base = cutWord(&words)
		b.states[i].Spent = cutWord(&words)
		b.limits[i].Rate.count = cutWord(&words)
		b.limits[i].Rate.per = time.Duration(cutWord(&words))
		burst := cutWord(&words)
		b.limits[i].Burst = int(burst)
		if int64(b.limits[i].Burst) != burst || !b.limits[i].stored() {
			return buckets{}, ErrCorrupt
		}
	}
	return b, nil
}

// stored reports whether l is a limit as a store holds it.
func (l Limit) stored() bool {
	return l.canonical() == l && l.Validate() == nil && (l.Rate == Inf || l.Rate.valid())
}

// adopt makes limits those of b, and reports whether any was another.
func (b *buckets) adopt(limits []Limit, now int64) (changed bool) {
	if b.n == 0 { // absent
		b.n = len(limits)
		copy(b.limits[:], limits)
		return false
	}

	// A limit that changed keeps what was spent, as SetLimit does.
	for i, l := range limits {
		if i < b.n && b.limits[i] != l {
			changed = true
			b.states[i] = l.Adopt(b.states[i], b.limits[i], now)
		}
		b.limits[i] = l // one that was not stored begins full
	}
	b.n = len(limits)
	return changed
}

// takeAll takes n tokens from every bucket or from none. It reports whether b
// changed, as it also does with its limits: from then on it is refilled at the
// new rate.
func (b *buckets) takeAll(limits []Limit, now int64, n int) (worst Decision, changed bool) {
	changed = b.adopt(limits, now)
	states := b.states
	ok := true
	for i, l := range limits {
		var d Decision
		states[i], d = l.Step(b.states[i], now, n)
		d.Tier = i
		ok = ok && d.OK
		if i == 0 || tighter(d, worst) {
			worst = d
		}
	}

	// All or nothing.
	if ok {
		b.states = states
	}
	return worst, changed || ok && n > 0
}

// give puts n tokens back into every bucket, and reports whether there were any
// to put them in.
func (b *buckets) give(limits []Limit, now int64, n int) bool {
	if b.n == 0 || n == 0 {
		return false
	}
	b.adopt(limits, now)
	for i, l := range limits {
		m := l.meter()
		s, _ := m.approach(b.states[i], now)
		s.Spent = max(s.Spent-m.cost(int64(n)), full)
		b.states[i] = s
	}
	return true
}

// ttlSlack is how much longer than until its buckets are full a key is kept,
// for processes whose clocks are behind.
const ttlSlack = time.Minute

// ttl returns how long the store must keep b, or 0 if forever.
func (b *buckets) ttl(now int64) time.Duration {
	longest := time.Duration(0)
	for i, l := range b.limits[:b.n] {
		_, d := l.Step(b.states[i], now, 0)
		if d.ResetAfter < 0 || d.ResetAfter > math.MaxInt64-ttlSlack {
			return 0
		}
		longest = max(longest, d.ResetAfter)
	}
	return longest + ttlSlack
}

// bucketRule are the limits of a Shared that obey a bucket each.
type bucketRule []Limit

func (r bucketRule) decode(data []byte) (sharedState, error) {
	b, err := decodeBuckets(data)
	return &sharedBuckets{b, r}, err
}

// sharedBuckets are the buckets of one key under the limits of this process.
type sharedBuckets struct {
	buckets
	rule bucketRule
}

func (b *sharedBuckets) take(now int64, n int) (Decision, bool) {
	return b.takeAll(b.rule, now, n)
}

func (b *sharedBuckets) giveBack(now int64, n int, _ int64) bool { return b.give(b.rule, now, n) }

// until returns the end of time: tokens can be given back whenever that may be.
func (b *sharedBuckets) until(int64) int64 { return math.MaxInt64 }
