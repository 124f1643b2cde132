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
	n     uint16 // lanes that are not empty
	away  uint16 // of these, as a set of bits, those whose entry is not at home
	slots [lanes]uint32
}

// An index maps hashes to slots by open addressing. The index does not know the
// keys: its users compare them.
//
//	X1 an entry lies in its home bucket or, if that is full, in the first one
//	   after it that is not: all buckets between the two are full.
//	X2 a bucket's n and away say what is in its lanes.
//
// So a search ends at a bucket that is not full, of which there is always one:
// at most 4/5 of the lanes are taken. If an entry stayed where it is when there
// is room on its way again, popular entries would do so for long, and searches
// for keys that are not there would get longer and longer. So an entry that
// leaves a full bucket is replaced by one that had to pass it.
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

// isFull reports whether no lane is empty.
func (b *bucket) isFull() bool { return b.n == lanes }

// put adds an entry to an empty lane of bucket i. Its home is another one if
// away is true.
func (x *index) put(i uint32, tag uint8, slot uint32, away bool) {
	b := &x.buckets[i]
	l := firstLane(b.match(0))
	b.tags[l] = tag
	b.slots[l] = slot
	b.n++
	if away {
		b.away |= 1 << l
	}
}

// clear empties lane l.
func (b *bucket) clear(l int) {
	b.tags[l] = 0
	b.slots[l] = 0
	b.n--
	b.away &^= 1 << l
}

// insert adds slot s under h. There must be an empty lane.
func (x *index) insert(h, s uint32) {
	home := x.home(h)
	i := home
	for x.buckets[i].isFull() {
		i = x.after(i)
	}
	x.put(i, tagOf(h), s, i != home)
}

// cut deletes slot s, which must be there, from under h. It asks hash for the
// hashes of other slots.
func (x *index) cut(h, s uint32, hash func(s uint32) uint32) {
	i, l := x.lane(h, s)
	for {
		b := &x.buckets[i]
		full := b.isFull()
		b.clear(l)
		if !full {
			return // no entry had to pass it
		}

		// Fill the gap with an entry that had to, which leaves another gap.
		from, lane, ok := x.passed(i, hash)
		if !ok {
			return
		}
		next := &x.buckets[from]
		slot := next.slots[lane]
		x.put(i, next.tags[lane], slot, x.home(hash(slot)) != i)
		i, l = from, lane
	}
}

// lane returns the bucket and the lane of slot s, which must be there, under h.
func (x *index) lane(h, s uint32) (i uint32, l int) {
	tag := tagOf(h)
	for i := x.home(h); ; i = x.after(i) {
		b := &x.buckets[i]
		for set := b.match(tag); set != 0; set &= set - 1 {
			if l := firstLane(set); b.slots[l] == s {
				return i, l
			}
		}
	}
}

// passed returns where the first entry after bucket i lies that had to pass it,
// if there is one. All buckets up to there were full when it did.
func (x *index) passed(i uint32, hash func(s uint32) uint32) (from uint32, l int, ok bool) {
	for from := x.after(i); from != i; from = x.after(from) {
		b := &x.buckets[from]
		for set := b.away; set != 0; set &= set - 1 {
			l := bits.TrailingZeros16(set)
			if home := x.home(hash(b.slots[l])); x.distance(home, from) >= x.distance(i, from) {
				return from, l, true
			}
		}
		if !b.isFull() {
			break
		}
	}
	return 0, 0, false
}

// distance returns how many buckets after a comes b.
func (x *index) distance(a, b uint32) uint32 {
	if b < a {
		b += uint32(len(x.buckets))
	}
	return b - a
}
