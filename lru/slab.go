// SPDX-License-Identifier: MIT

package lru

import (
	"fmt"
	"hash/maphash"
	"math"
)

// A cell is a key and its value.
type cell[K comparable, V any] struct {
	key   K
	value V
}

// A slab is numbered slots with a key and a value each, found by an index. Slot
// 0 means none. The types that use a slab know the hashes, and keep their order
// in its links.
type slab[K comparable, V any] struct {
	cells []cell[K, V]
	links []link
	index index
	free  uint32 // the first free slot; the others follow by next
	used  int    // the last slot that was ever in use
	n     int    // entries
}

// maxSlots bounds the slots of a slab: they are numbered by 32 bits from 1.
const maxSlots = min(math.MaxUint32-1, math.MaxInt/2)

// slots returns how many slots there is memory for.
func (b *slab[K, V]) slots() int { return max(len(b.cells)-1, 0) }

// isFull reports whether alloc needs a larger slab first.
func (b *slab[K, V]) isFull() bool { return b.free == 0 && b.used == b.slots() }

// alloc returns a free slot for key, whose hash is h, and puts it into the
// index. The slab must not be full.
func (b *slab[K, V]) alloc(h uint32, key K) uint32 {
	s := b.free
	if s != 0 {
		b.free = b.links[s].next
	} else {
		b.used++
		s = uint32(b.used)
	}

	b.links[s] = link{}
	b.cells[s].key = key
	b.index.insert(h, s)
	b.n++
	return s
}

// release frees slot s, which lies under h and is in no list any more; hash
// returns the hash of any other.
func (b *slab[K, V]) release(h, s uint32, hash func(s uint32) uint32) {
	b.index.cut(h, s, hash)
	b.cells[s] = cell[K, V]{} // for the garbage collector
	b.links[s] = link{next: b.free}
	b.free = s
	b.n--
}

// find returns the slot of key, whose hash is h, or 0.
func (b *slab[K, V]) find(h uint32, key K) uint32 {
	x := &b.index
	if len(x.buckets) == 0 {
		return 0
	}

	// Compare a byte of the hash in all lanes at once, then the keys of those
	// that match.
	tag := tagOf(h)
	for i := x.home(h); ; i = x.after(i) {
		bucket := &x.buckets[i]
		for set := bucket.match(tag); set != 0; set &= set - 1 {
			if s := bucket.slots[firstLane(set)]; b.cells[s].key == key {
				return s
			}
		}
		if !bucket.isFull() {
			return 0
		}
	}
}

// extend makes room for n slots, more than now. The slab must be full, so that
// all of its slots are in use; hash returns the hash of each.
func (b *slab[K, V]) extend(n int, hash func(s uint32) uint32) {
	if n <= b.used {
		panic(fmt.Sprintf("lru: more than %d entries in a slab", maxSlots))
	}

	b.cells = extended(b.cells, n)
	b.links = extended(b.links, n)
	b.index.buckets = make([]bucket, bucketsFor(n))
	for s := 1; s <= b.used; s++ {
		b.index.insert(hash(uint32(s)), uint32(s))
	}
}

// extended returns a copy of column with room for n slots.
func extended[T any](column []T, n int) []T {
	return append(make([]T, 0, n+1), column...)[:n+1]
}

// isReflexive reports whether key equals itself. A key that does not, such as
// NaN, is never found. It panics if key holds a value that cannot be compared.
func isReflexive[K comparable](key K) bool {
	other := key
	if key == other {
		return true
	}
	maphash.Comparable(maphash.MakeSeed(), key) // panics where the comparison has ended too early to
	return false
}
