// SPDX-License-Identifier: MIT

package bloom

// A filter larger than the caches answers at the speed of memory, and a
// processor waits for few reads at once if each is followed by the fifty
// instructions of a question. So keys are taken in groups: first a word of each
// line is read and thrown away, a few instructions each, so that the reads
// overlap; then the questions are asked of lines that are there, or on their
// way.

// batch is the number of keys of a group: more than the reads that a processor
// can have under way, and few enough for their lines to stay in the first
// cache.
const batch = 64

// cached is the number of lines up to which a filter is in the caches anyway.
const cached = 1 << 20 / lineBytes

// uncached is the number of lines above which most are in no cache.
const uncached = 32 << 20 / lineBytes

// AddHashes adds the keys whose hashes are hs, and returns how many were
// definitely new. It does what [Filter.AddHash] of each does, faster if the
// filter is larger than the caches.
func (f *Filter) AddHashes(hs []uint64) int {
	f.mustChange()
	added := 0
	for len(hs) > 0 {
		group := hs[:min(batch, len(hs))]
		hs = hs[len(group):]
		if len(f.lines) > cached {
			f.touch(group, f.perKey)
		}
		added += f.addGroup(group)
	}
	return added
}

// addGroup adds keys whose lines were touched.
func (f *Filter) addGroup(hs []uint64) (added int) {
	if f.perKey != 1 || f.perLane != 2 {
		for _, h := range hs {
			if f.AddHash(h) {
				added++
			}
		}
		return added
	}

	// AddHash, written out: a call would cost a tenth of this.
	for _, h := range hs {
		l := &f.lines[index(h, uint64(len(f.lines)))]
		x := h * spread1
		p0, p1, p2, p3 := &l[x>>63], &l[2|x>>50&1], &l[4|x>>37&1], &l[6|x>>24&1]
		a0, a1, a2, a3 := *p0, *p1, *p2, *p3
		b0 := a0 | 1<<(x>>57&63) | 1<<(x>>51&63)
		b1 := a1 | 1<<(x>>44&63) | 1<<(x>>38&63)
		b2 := a2 | 1<<(x>>31&63) | 1<<(x>>25&63)
		b3 := a3 | 1<<(x>>18&63) | 1<<(x>>12&63)
		*p0, *p1, *p2, *p3 = b0, b1, b2, b3
		if (a0^b0)|(a1^b1)|(a2^b2)|(a3^b3) != 0 {
			added++
		}
		if invariants {
			f.checkAdded(h)
		}
	}
	return added
}

// HasHashes appends to dst, for each of hs, what [Filter.HasHash] returns, and
// returns the result. It is faster than that if the filter is larger than the
// caches. Reuse dst to allocate nothing.
func (f *Filter) HasHashes(dst []bool, hs []uint64) []bool {
	for len(hs) > 0 {
		group := hs[:min(batch, len(hs))]
		hs = hs[len(group):]
		if len(f.lines) > cached {
			f.touch(group, 1) // most questions of absent keys end there
		}
		dst = f.hasGroup(dst, group)
	}
	return dst
}

// hasGroup asks for keys whose lines were touched.
func (f *Filter) hasGroup(dst []bool, hs []uint64) []bool {
	n := uint64(len(f.lines))
	if n == 0 || f.perKey != 1 || f.perLane != 2 {
		for _, h := range hs {
			dst = append(dst, f.HasHash(h))
		}
		return dst
	}

	// HasHash, written out: a call would cost a tenth of this.
	for _, h := range hs {
		l := &f.lines[index(h, n)]
		x := h * spread1
		m0 := uint64(1)<<(x>>57&63) | 1<<(x>>51&63)
		m1 := uint64(1)<<(x>>44&63) | 1<<(x>>38&63)
		m2 := uint64(1)<<(x>>31&63) | 1<<(x>>25&63)
		m3 := uint64(1)<<(x>>18&63) | 1<<(x>>12&63)
		dst = append(dst, m0&^l[x>>63]|m1&^l[2|x>>50&1]|m2&^l[4|x>>37&1]|m3&^l[6|x>>24&1] == 0)
	}
	return dst
}

// touch reads a word of the first perKey lines of each key.
func (f *Filter) touch(hs []uint64, perKey int) {
	n := uint64(len(f.lines))
	sum := uint64(0)
	for _, h := range hs {
		sum |= f.lines[index(h, n)][0]
	}
	if perKey > 1 {
		for _, h := range hs {
			sum |= f.lines[index(mix64(h), n)][0]
		}
	}
	discard(sum)
}

// discard keeps the reads that made sum from being optimized away.
//
//go:noinline
func discard(uint64) {}
