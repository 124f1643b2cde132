// SPDX-License-Identifier: MIT

package bloom

// A filter larger than the caches answers at the speed of memory, and a processor waits for few
// reads at once if each is followed by the fifty instructions of a question. So keys are taken
// in groups: first a word of each line is read and thrown away, a few instructions each, so that
// the reads overlap; then the questions are asked of lines that are there, or on their way.

// batch is the number of keys of a group: more than the reads that a processor can have under way,
// and few enough for their lines to stay in the first cache.
const batch = 64

// AddHashes adds the keys whose hashes are hs, and returns how many were certainly new. It does what
// [Filter.AddHash] of each does, faster if the filter is larger than the caches.
func (f *Filter) AddHashes(hs []uint64) int {
	added := 0
	for len(hs) > 0 {
		group := hs[:min(batch, len(hs))]
		hs = hs[len(group):]
		f.touch(group)
		if f.perKey > 1 {
			f.touchSecond(group)
		}
		for _, h := range group {
			if f.AddHash(h) {
				added++
			}
		}
	}
	return added
}

// HasHashes appends to dst, for each of hs, what [Filter.HasHash] returns, and returns the result.
// It is faster than that if the filter is larger than the caches. Reuse dst to allocate nothing.
func (f *Filter) HasHashes(dst []bool, hs []uint64) []bool {
	for len(hs) > 0 {
		group := hs[:min(batch, len(hs))]
		hs = hs[len(group):]
		f.touch(group)
		for _, h := range group {
			dst = append(dst, f.HasHash(h))
		}
	}
	return dst
}

// touch reads a word of the first line of each key. Most questions of absent keys end there; the
// second line of the others is read when the question is asked.
func (f *Filter) touch(hs []uint64) {
	n, sum := uint64(len(f.lines)), uint64(0)
	if n == 0 {
		return
	}
	for _, h := range hs {
		sum |= f.lines[index(h, n)][0]
	}
	discard(sum)
}

// touchSecond reads a word of the second line of each key.
func (f *Filter) touchSecond(hs []uint64) {
	n, sum := uint64(len(f.lines)), uint64(0)
	if n == 0 {
		return
	}
	for _, h := range hs {
		sum |= f.lines[index(mix64(h), n)][0]
	}
	discard(sum)
}

// discard keeps the reads that made sum from being optimized away.
//
//go:noinline
func discard(uint64) {}
