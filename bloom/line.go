// SPDX-License-Identifier: MIT

package bloom

import "sync/atomic"

const (
	lineBytes  = 64 // a cache line of nearly every machine
	lineBits   = 8 * lineBytes
	words      = lineBytes / 8 // of a line
	lanes      = 4             // of a line: two words each
	wordBits   = 64
	maxPerLane = 4 // bits of a key in a lane
	maxPerKey  = 2 // lines of a key
)

// A line is one cache line of the filter: 4 lanes of 2 words.
type line [words]uint64

// has reports whether the pattern of h, with r bits a lane, is set. It loads
// one word of each lane. After two lanes it stops if that was enough, as for
// most keys that are absent; more branches on data would be more than a
// predictor can learn.
func (l *line) has(h uint64, r int) bool {
	x := h * spread1
	y := h * spread2
	w0 := l[x>>63]
	w1 := l[2|x>>50&1]
	t := w0 >> (x >> 57 & 63) & (w1 >> (x >> 44 & 63))
	if r >= 2 {
		t &= w0 >> (x >> 51 & 63) & (w1 >> (x >> 38 & 63))
	}
	if r >= 3 {
		t &= w0 >> (y >> 58) & (w1 >> (y >> 46 & 63))
	}
	if r >= 4 {
		t &= w0 >> (y >> 52 & 63) & (w1 >> (y >> 40 & 63))
	}
	if t&1 == 0 {
		return false
	}

	// The first two lanes answer most questions about absent keys.
	w2 := l[4|x>>37&1]
	w3 := l[6|x>>24&1]
	t = w2 >> (x >> 31 & 63) & (w3 >> (x >> 18 & 63))
	if r >= 2 {
		t &= w2 >> (x >> 25 & 63) & (w3 >> (x >> 12 & 63))
	}
	if r >= 3 {
		t &= w2 >> (y >> 34 & 63) & (w3 >> (y >> 22 & 63))
	}
	if r >= 4 {
		t &= w2 >> (y >> 28 & 63) & (w3 >> (y >> 16 & 63))
	}
	return t&1 != 0
}

// masks returns the bits of the pattern of h in its word of each lane.
func masks(h uint64, r int) (m0, m1, m2, m3 uint64) {
	x := h * spread1
	m0, m1, m2, m3 = bit(x>>57), bit(x>>44), bit(x>>31), bit(x>>18)
	if r >= 2 {
		m0 |= bit(x >> 51)
		m1 |= bit(x >> 38)
		m2 |= bit(x >> 25)
		m3 |= bit(x >> 12)
	}
	if r < 3 {
		return m0, m1, m2, m3
	}

	// The bits of x are used up.
	y := h * spread2
	m0 |= bit(y >> 58)
	m1 |= bit(y >> 46)
	m2 |= bit(y >> 34)
	m3 |= bit(y >> 22)
	if r >= 4 {
		m0 |= bit(y >> 52)
		m1 |= bit(y >> 40)
		m2 |= bit(y >> 28)
		m3 |= bit(y >> 16)
	}
	return m0, m1, m2, m3
}

// add sets the pattern of h and reports whether a bit of it was not set. The
// lanes are written out: a loop over arrays takes twice as long.
func (l *line) add(h uint64, r int) bool {
	x := h * spread1
	m0, m1, m2, m3 := masks(h, r)
	w0, w1, w2, w3 := &l[x>>63], &l[2|x>>50&1], &l[4|x>>37&1], &l[6|x>>24&1]
	missing := m0&^*w0 | m1&^*w1 | m2&^*w2 | m3&^*w3
	*w0 |= m0
	*w1 |= m1
	*w2 |= m2
	*w3 |= m3
	return missing != 0
}

// bit returns the word with the bit whose number is the lowest 6 bits of x.
func bit(x uint64) uint64 { return 1 << (x & 63) }

// addAtomic is add for lines that other goroutines read and write. Words that
// hold their bits already are not written, so that adding a key again does not
// move the line between processors.
func (l *line) addAtomic(h uint64, r int) bool {
	x := h * spread1
	m0, m1, m2, m3 := masks(h, r)
	a := orMissing(&l[x>>63], m0)
	b := orMissing(&l[2|x>>50&1], m1)
	c := orMissing(&l[4|x>>37&1], m2)
	d := orMissing(&l[6|x>>24&1], m3)
	return a || b || c || d
}

// orMissing sets the bits of m in w, and reports whether one was not set.
func orMissing(w *uint64, m uint64) bool {
	if atomic.LoadUint64(w)&m == m {
		return false
	}
	atomic.OrUint64(w, m) // its result is left alone, or it would be a loop
	return true
}

// hasAtomic is has for lines that other goroutines write.
func (l *line) hasAtomic(h uint64, r int) bool {
	x := h * spread1
	m0, m1, m2, m3 := masks(h, r)
	return atomic.LoadUint64(&l[x>>63])&m0 == m0 && atomic.LoadUint64(&l[2|x>>50&1])&m1 == m1 &&
		atomic.LoadUint64(&l[4|x>>37&1])&m2 == m2 && atomic.LoadUint64(&l[6|x>>24&1])&m3 == m3
}
