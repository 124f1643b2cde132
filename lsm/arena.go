// SPDX-License-Identifier: MIT

package lsm

import (
	"bytes"
	"encoding/binary"
	"sync/atomic"
)

// An arena holds the entries of a memtable: bytes that are written once and never move. It is safe
// for one writer and any number of concurrent readers, which learn of an entry by an atomic store of
// whatever refers to it.
//
//	entry:  trailer u64 = sequence<<8 | kind | key length uvarint | value length uvarint | key | value
//	ref:    chunk<<20 | offset, 0 for none
//
// Chunks grow from 64 KiB to 1 MiB, so that an empty database is small. An entry of more than a
// quarter of a chunk has a chunk of its own. So n bytes of entries never need more than n/256 KiB
// chunks and two, and 4096 are possible.
type arena struct {
	chunks atomic.Pointer[[][]byte] // a new slice for each chunk; the array is shared
	used   int                      // bytes of the last common chunk
	last   int                      // index of that chunk
	size   int64                    // bytes of all chunks
}

const (
	chunkBits     = 20
	chunkSize     = 1 << chunkBits
	firstChunk    = 64 << 10
	maxChunks     = 1 << (32 - chunkBits)
	ownChunk      = chunkSize / 4
	maxEntryExtra = 8 + 3 + 5 // bytes of an entry beside key and value
)

func newArena() *arena {
	a := new(arena)
	a.add(make([]byte, firstChunk))
	a.used = 8 // so that no entry has ref 0
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

// fits reports whether entries of n bytes in all certainly have chunks left.
func (a *arena) fits(n int64) bool {
	return int64(len(*a.chunks.Load()))+n/ownChunk+2 <= maxChunks
}

// put writes an entry, and returns its ref.
func (a *arena) put(key, value []byte, trailer uint64) uint32 {
	n := maxEntryExtra + len(key) + len(value)
	index, off := a.last, a.used
	switch list := *a.chunks.Load(); {
	case n > ownChunk:
		a.add(make([]byte, n))
		index, off = len(list), 0
	case a.used+n > len(list[a.last]):
		a.add(make([]byte, min(chunkSize, 2*max(len(list[a.last]), n))))
		index, off = len(list), 0
		a.last = index
	}
	b := (*a.chunks.Load())[index][off:off]
	b = binary.LittleEndian.AppendUint64(b, trailer)
	b = binary.AppendUvarint(b, uint64(len(key)))
	b = binary.AppendUvarint(b, uint64(len(value)))
	b = append(b, key...)
	b = append(b, value...)
	if index == a.last {
		a.used = off + len(b)
	}
	return uint32(index)<<chunkBits | uint32(off)
}

// get returns the parts of an entry.
func (a *arena) get(ref uint32) (key, value []byte, trailer uint64) {
	b := (*a.chunks.Load())[ref>>chunkBits][ref&(chunkSize-1):]
	trailer = binary.LittleEndian.Uint64(b)
	kn, i := binary.Uvarint(b[8:])
	vn, j := binary.Uvarint(b[8+i:])
	b = b[8+i+j:]
	return b[:kn:kn], b[kn : kn+vn : kn+vn], trailer
}

// before reports whether the entry at ref comes before (key, seq): by key, and the newest
// version of a key first. The first skip bytes of both keys are known to be equal.
func (a *arena) before(ref uint32, key []byte, seq uint64, skip int) bool {
	k, _, trailer := a.get(ref)
	c := bytes.Compare(k[skip:], key[skip:])
	return c < 0 || c == 0 && trailer>>8 > seq
}
