// SPDX-License-Identifier: MIT

package lsm

import (
	"bytes"
	"encoding/binary"
	"sync/atomic"
)

// An arena holds the entries of a memtable: bytes that are written once and
// never move. It is safe for one writer and any number of concurrent readers,
// which learn of an entry by an atomic store of whatever refers to it.
//
//	entry:  trailer u64 = sequence<<8 | kind | key length uvarint | value length uvarint | key | value
//	ref:    chunk<<20 | offset/4, 0 for none
//
// A common chunk has a sixteenth of the size so far, between 64 KiB and 4 MiB,
// so that an empty database is small and a large one has few chunks. An entry
// of more than a third of that has a chunk of its own. So, above 64 MiB, every
// chunk stands for more than 4/3 MiB, and the 4096 that a ref can name are more
// than maxMemory needs.
type arena struct {
	chunks atomic.Pointer[[][]byte] // a new slice for each chunk; the array is shared
	used   int                      // bytes of the last common chunk
	last   int                      // index of that chunk
	size   int64                    // bytes of all chunks
}

const (
	chunkBits     = 20 // of the offset in a ref
	refUnit       = 4  // entries begin at multiples of it
	maxChunkLen   = refUnit << chunkBits
	minChunkLen   = 64 << 10
	maxChunks     = 1 << (32 - chunkBits)
	maxEntryExtra = 8 + 3 + 5 // bytes of an entry beside key and value, before its padding
)

func newArena() *arena {
	a := new(arena)
	a.add(make([]byte, minChunkLen))
	a.used = refUnit // so that no entry has ref 0
	return a
}

// add appends a chunk.
func (a *arena) add(chunk []byte) {
	var old [][]byte
	if p := a.chunks.Load(); p != nil {
		old = *p
	}
	list := append(old, chunk)
	a.chunks.Store(&list)
	a.size += int64(len(chunk))
}

// chunkLen returns the length of the next common chunk.
func (a *arena) chunkLen() int {
	return int(min(maxChunkLen, max(minChunkLen, a.size/16&^(refUnit-1))))
}

// growth returns a bound of the size that entries of n bytes in all add.
func (a *arena) growth(n int64) int64 {
	if free := len((*a.chunks.Load())[a.last]) - a.used; n <= int64(free) {
		return 0
	}

	// A common chunk is left when less than a third of it is free.
	return n + n/2 + int64(a.chunkLen())
}

// full reports whether no further chunk can be named.
func (a *arena) full() bool { return len(*a.chunks.Load()) >= maxChunks }

// put writes an entry, and returns its ref.
func (a *arena) put(key, value []byte, trailer uint64) uint32 {
	n := maxEntryExtra + len(key) + len(value)
	list := *a.chunks.Load()
	index, off := a.last, a.used

	// An entry that would waste a third of a chunk gets one of its own.
	if a.used+n > len(list[a.last]) {
		index, off = len(list), 0
		if c := a.chunkLen(); n > c/3 {
			a.add(make([]byte, n))
		} else {
			a.add(make([]byte, c))
			a.last = index
		}
	}

	// The trailer comes first: a search reads it with the key.
	b := (*a.chunks.Load())[index][off:off]
	b = binary.LittleEndian.AppendUint64(b, trailer)
	b = binary.AppendUvarint(b, uint64(len(key)))
	b = binary.AppendUvarint(b, uint64(len(value)))
	b = append(b, key...)
	b = append(b, value...)
	if index == a.last {
		a.used = (off + len(b) + refUnit - 1) &^ (refUnit - 1)
	}
	return uint32(index)<<chunkBits | uint32(off/refUnit)
}

// get returns the parts of an entry.
func (a *arena) get(ref uint32) (key, value []byte, trailer uint64) {
	b := (*a.chunks.Load())[ref>>chunkBits][ref&(1<<chunkBits-1)*refUnit:]
	trailer = binary.LittleEndian.Uint64(b)
	kn, i := binary.Uvarint(b[8:])
	vn, j := binary.Uvarint(b[8+i:])
	b = b[8+i+j:]
	return b[:kn:kn], b[kn : kn+vn : kn+vn], trailer
}

// before reports whether the entry at ref comes before (key, seq): by key, and
// the newest version of a key first. The first skip bytes of both keys are
// known to be equal.
func (a *arena) before(ref uint32, key []byte, seq uint64, skip int) bool {
	k, _, trailer := a.get(ref)
	c := bytes.Compare(k[skip:], key[skip:])
	return c < 0 || c == 0 && trailer>>8 > seq
}
