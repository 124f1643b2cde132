// SPDX-License-Identifier: MIT

package lru

import (
	"encoding/binary"
	"math/bits"
)

// lanes is the number of slots in a bucket. With their tags and a count they
// fill 64 bytes.
const lanes = 12

// A bucket is one cache line of an index. A lane whose tag is zero is empty.
type bucket struct {
	tags  [lanes]uint8
	over  uint32 // entries that found this bucket full and lie further on
	slots [lanes]uint32
}

// An index maps hashes to slots by open addressing. An entry lies in its home
// bucket or, if that was full, in the first bucket after it that was not.
// Buckets that were passed count it in over. So a search ends where over is
// zero, and a deletion leaves nothing behind. The index does not know the keys:
// its users compare them.
type index struct {
	buckets []bucket
}

// bucketsFor returns how many buckets hold n entries at a load of at most 4/5.
func bucketsFor(n int) int { return int((int64(n)*5+4*lanes-1)/(4*lanes)) + 1 }

// home returns the bucket where the search for h begins, by the high bits of h.
func (x *index) home(h uint32) uint32 { return uint32(uint64(h) * uint64(len(x.buckets)) >> 32) }

// after returns the bucket that follows b.
func (x *index) after(b uint32) uint32 {
	if b++; int(b) == len(x.buckets) {
		return 0
	}
	return b
}

// tagOf returns the tag of h by its low bits, which do not choose the bucket.
// It is not 0.
func tagOf(h uint32) uint8 { return max(uint8(h), 1) }

const (
	low7 = 0x7f7f7f7f7f7f7f7f
	ones = 0x0101010101010101
)

// match returns the lanes whose tag is tag, exactly. The least significant bit
// of byte i stands for lane i, the next bit for lane 8+i.
func (b *bucket) match(tag uint8) uint64 {
	x := binary.LittleEndian.Uint64(b.tags[:8]) ^ ones*uint64(tag)
	y := binary.LittleEndian.Uint32(b.tags[8:]) ^ ones>>32*uint32(tag)

	// The sum reaches the top bit of a byte unless its lower seven are zero,
	// and carries no further.
	low := ^(x&low7 + low7 | x) >> 7 & ones
	high := ^(y&(low7>>32) + low7>>32 | y) >> 7 & (ones >> 32)
	return low | uint64(high)<<1
}

// firstLane returns the first lane of a set that match returned.
func firstLane(set uint64) int {
	i := bits.TrailingZeros64(set)
	return i>>3 + i&1<<3
}

// insert adds slot s under h. There must be an empty lane.
func (x *index) insert(h, s uint32) {
	for i := x.home(h); ; i = x.after(i) {
		b := &x.buckets[i]
		if empty := b.match(0); empty != 0 {
			l := firstLane(empty)
			b.tags[l] = tagOf(h)
			b.slots[l] = s
			return
		}
		b.over++
	}
}

// cut deletes slot s, which must be there, from under h.
func (x *index) cut(h, s uint32) {
	tag := tagOf(h)
	for i := x.home(h); ; i = x.after(i) {
		b := &x.buckets[i]
		for set := b.match(tag); set != 0; set &= set - 1 {
			if l := firstLane(set); b.slots[l] == s {
				b.tags[l] = 0
				b.slots[l] = 0
				return
			}
		}
		b.over--
	}
}
