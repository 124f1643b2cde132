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
	n := uint64(len(f.lines))
	usual := f.perKey == 1 && f.perLane == 2
	for _, h := range hs {
		// The usual shape has a way of its own, which is inlined.
		var is bool
		if usual {
			is = f.lines[index(h, n)].addUsual(h)
		} else {
			is = f.add(h)
		}
		if is {
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
	for _, h := range hs {
		dst = append(dst, f.lines[index(h, n)].hasUsual(h))
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
