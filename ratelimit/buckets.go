// SPDX-License-Identifier: MIT

package ratelimit

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"slices"
	"time"
)

// buckets are the content of a store for one key: a state and its limit for
// each tier, and the marks of the last writes.
type buckets struct {
	n      int
	states [maxTiers]State
	limits [maxTiers]Limit
	marks  [4]uint64
}

// The format is in the documentation of the package.
const (
	stateMagic   = "ashlarrs"
	stateVersion = 1
	kindBuckets  = 1
	headerSize   = 16
	marksSize    = 4 * 8
	bucketSize   = 5 * 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encode returns b as bytes.
func (b *buckets) encode() []byte {
	out := make([]byte, 0, headerSize+marksSize+b.n*bucketSize)
	out = append(out, stateMagic...)
	out = binary.LittleEndian.AppendUint16(out, stateVersion)
	out = append(out, kindBuckets, byte(b.n), 0, 0, 0, 0)
	for _, m := range b.marks {
		out = binary.LittleEndian.AppendUint64(out, m)
	}

	// Each bucket, with the limit that it counts by.
	for i := range b.n {
		s, l := b.states[i], b.limits[i]
		for _, v := range []int64{s.Base, s.Spent, l.Rate.count, int64(l.Rate.per), int64(l.Burst)} {
			out = binary.LittleEndian.AppendUint64(out, uint64(v))
		}
	}
	binary.LittleEndian.PutUint32(out[12:], checksum(out))
	return out
}

// checksum returns the checksum of a state, without that field.
func checksum(state []byte) uint32 {
	return crc32.Update(crc32.Checksum(state[:12], castagnoli), castagnoli, state[headerSize:])
}

// decodeBuckets is the inverse of encode. No bytes are the buckets of a key
// that is absent.
func decodeBuckets(data []byte) (b buckets, err error) {
	if len(data) == 0 {
		return b, nil
	}
	if len(data) < headerSize || string(data[:8]) != stateMagic {
		return b, ErrCorrupt
	}
	if binary.LittleEndian.Uint16(data[8:]) != stateVersion || data[10] != kindBuckets {
		return b, ErrVersion
	}
	b.n = int(data[11])
	if b.n < 1 || b.n > maxTiers || len(data) != headerSize+marksSize+b.n*bucketSize ||
		binary.LittleEndian.Uint32(data[12:]) != checksum(data) {
		return buckets{}, ErrCorrupt
	}

	// The checksum holds. The limits must be valid nevertheless.
	data = data[headerSize:]
	next := func() int64 {
		v := binary.LittleEndian.Uint64(data)
		data = data[8:]
		return int64(v)
	}
	for i := range b.marks {
		b.marks[i] = uint64(next())
	}
	for i := range b.n {
		b.states[i].Base = next()
		b.states[i].Spent = next()
		b.limits[i].Rate.count = next()
		b.limits[i].Rate.per = time.Duration(next())
		burst := next()
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

// mark remembers the mark of a write, and forgets the oldest.
func (b *buckets) mark(m uint64) {
	copy(b.marks[1:], b.marks[:])
	b.marks[0] = m
}

// marked reports whether one of tried was the mark of one of the last writes.
func (b *buckets) marked(tried []uint64) bool {
	return slices.ContainsFunc(tried, func(m uint64) bool { return slices.Contains(b.marks[:], m) })
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
		switch {
		case i >= b.n:
			b.states[i] = State{}
		case b.limits[i] != l:
			changed = true
			b.states[i] = l.Adopt(b.states[i], b.limits[i], now)
		}
		b.limits[i] = l
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
