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

// has reports whether the pattern of h, with r bits a lane, is set. It loads one word of each
// lane and combines shifted words without branches on data, which no predictor could learn.
func (l *line) has(h uint64, r int) bool {
	x := h * spread1
	w0, w1, w2, w3 := l[x>>63], l[2|x>>50&1], l[4|x>>37&1], l[6|x>>24&1]
	t := w0 >> (x >> 57 & 63) & (w1 >> (x >> 44 & 63)) & (w2 >> (x >> 31 & 63)) & (w3 >> (x >> 18 & 63))
	if r >= 2 {
		t &= w0 >> (x >> 51 & 63) & (w1 >> (x >> 38 & 63)) & (w2 >> (x >> 25 & 63)) & (w3 >> (x >> 12 & 63))
	}
	if r >= 3 {
		y := h * spread2
		t &= w0 >> (y >> 58) & (w1 >> (y >> 46 & 63)) & (w2 >> (y >> 34 & 63)) & (w3 >> (y >> 22 & 63))
		if r >= 4 {
			t &= w0 >> (y >> 52 & 63) & (w1 >> (y >> 40 & 63)) & (w2 >> (y >> 28 & 63)) & (w3 >> (y >> 16 & 63))
		}
	}
	return t&1 != 0
}

// A pattern is what a key sets in a line: for each lane the number of a word and its bits.
type pattern struct {
	word [lanes]uint64
	mask [lanes]uint64
}

// patternOf returns the pattern of h with r bits a lane.
func patternOf(h uint64, r int) (p pattern) {
	x := h * spread1
	p.word = [lanes]uint64{x >> 63, 2 | x>>50&1, 4 | x>>37&1, 6 | x>>24&1}
	p.mask = [lanes]uint64{1 << (x >> 57 & 63), 1 << (x >> 44 & 63), 1 << (x >> 31 & 63), 1 << (x >> 18 & 63)}
	if r >= 2 {
		p.mask[0] |= 1 << (x >> 51 & 63)
		p.mask[1] |= 1 << (x >> 38 & 63)
		p.mask[2] |= 1 << (x >> 25 & 63)
		p.mask[3] |= 1 << (x >> 12 & 63)
	}
	if r >= 3 {
		y := h * spread2
		p.mask[0] |= 1 << (y >> 58)
		p.mask[1] |= 1 << (y >> 46 & 63)
		p.mask[2] |= 1 << (y >> 34 & 63)
		p.mask[3] |= 1 << (y >> 22 & 63)
		if r >= 4 {
			p.mask[0] |= 1 << (y >> 52 & 63)
			p.mask[1] |= 1 << (y >> 40 & 63)
			p.mask[2] |= 1 << (y >> 28 & 63)
			p.mask[3] |= 1 << (y >> 16 & 63)
		}
	}
	return p
}

// add sets the pattern of h and reports whether a bit of it was not set.
func (l *line) add(h uint64, r int) bool {
	p := patternOf(h, r)
	var missing uint64
	for i, m := range p.mask {
		w := &l[p.word[i]&(words-1)]
		missing |= m &^ *w
		*w |= m
	}
	return missing != 0
}

// addAtomic is add for lines that other goroutines read and write. Words that hold their bits
// already are not written, so that adding a key again does not move the line between processors.
func (l *line) addAtomic(h uint64, r int) bool {
	p := patternOf(h, r)
	added := false
	for i, m := range p.mask {
		w := &l[p.word[i]&(words-1)]
		if atomic.LoadUint64(w)&m != m {
			atomic.OrUint64(w, m) // its result is left alone, or it would be a loop
			added = true
		}
	}
	return added
}

// hasAtomic is has for lines that other goroutines write.
func (l *line) hasAtomic(h uint64, r int) bool {
	p := patternOf(h, r)
	for i, m := range p.mask {
		if atomic.LoadUint64(&l[p.word[i]&(words-1)])&m != m {
			return false
		}
	}
	return true
}
