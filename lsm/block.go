// SPDX-License-Identifier: MIT

package lsm

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"math"
)

// A dataBlock is a sorted part of a table: keys, and of each key the newest
// version first. FORMAT.md has the format.
//
// The first four bytes of each key after the common prefix stand together, as
// numbers. So a search is one over an array of numbers, which takes two cache
// lines or three, and looks at an entry only where four bytes do not decide.
// Any entry can be decoded alone, so that going back costs what going forth
// does.
type dataBlock struct {
	n       int
	flags   byte
	heads   []byte // 4 bytes each
	offsets []byte // of entries: 2 bytes each, or 8
	prefix  []byte // of all keys
	entries []byte
}

const (
	blockHeadLen = 8 // of a data block
	blockTailLen = 8 // of every block
	headLen      = 4 // bytes of a key in a data block that stand apart

	flagWide = 1 << 0 // offsets of 8 bytes
	flagZero = 1 << 1 // all sequences are 0
	flagSets = 1 << 2 // all kinds are kindSet
	allFlags = flagWide | flagZero | flagSets
)

var (
	errDamaged = errors.New("a block is damaged")
	errUnknown = errors.New("a block with fields that are not known") // becomes ErrVersion
)

// sealBlock appends the end of a block to b, the payload as codec encodes it,
// which will stand at off.
func sealBlock(b []byte, codec byte, salt uint64, off int64) []byte {
	padding := -len(b) & 7
	b = append(b, make([]byte, padding)...)
	b = append(b, codec, byte(padding), 0, 0)
	return binary.LittleEndian.AppendUint32(b, checksum(b, salt, off))
}

// openBlock returns the payload of b, a block that stands at off, and whether
// codec has encoded it. If codec is 0, none has.
func openBlock(b []byte, codec byte, salt uint64, off int64) (payload []byte, encoded bool, err error) {
	n := len(b) - blockTailLen
	if n < 0 {
		return nil, false, errDamaged
	}
	if binary.LittleEndian.Uint32(b[n+4:]) != checksum(b[:n+4], salt, off) {
		return nil, false, errors.New("the checksum of a block does not match")
	}

	// The codec is looked at first: another may give the rest another meaning.
	padding := int(b[n+1])
	encoded = b[n] != 0
	switch {
	case encoded && b[n] != codec, b[n+2] != 0, b[n+3] != 0:
		return nil, false, errUnknown
	case padding > min(7, n):
		return nil, false, errDamaged
	case !allZero(b[n-padding : n]):
		return nil, false, errUnknown
	}
	return b[:n-padding], encoded, nil
}

// parseDataBlock decodes the head of a data block. Entries are decoded when
// they are looked at.
func parseDataBlock(b []byte) (d dataBlock, err error) {
	if len(b) < blockHeadLen {
		return d, errDamaged
	}
	n := int64(binary.LittleEndian.Uint32(b))
	prefix := int64(binary.LittleEndian.Uint16(b[4:]))
	d.flags = b[6]
	if d.flags&^allFlags != 0 || b[7] != 0 {
		return d, errUnknown
	}

	// The parts before the entries are as long as n says.
	width := d.width()
	if b = b[blockHeadLen:]; n == 0 || n*(headLen+width)+prefix > int64(len(b)) {
		return d, errDamaged
	}
	d.n = int(n)
	d.heads, b = b[:n*headLen], b[n*headLen:]
	d.offsets, b = b[:n*width], b[n*width:]
	d.prefix, d.entries = b[:prefix], b[prefix:]
	return d, nil
}

// width returns the length of an offset.
func (d *dataBlock) width() int64 {
	if d.flags&flagWide != 0 {
		return 8
	}
	return 2
}

// head returns the head of entry i.
func (d *dataBlock) head(i int) uint32 { return binary.LittleEndian.Uint32(d.heads[headLen*i:]) }

// offset returns where entry i begins.
func (d *dataBlock) offset(i int) uint64 {
	if d.flags&flagWide != 0 {
		return binary.LittleEndian.Uint64(d.offsets[8*i:])
	}
	return uint64(binary.LittleEndian.Uint16(d.offsets[2*i:]))
}

// A blockEntry is a version of a key. Its slices are parts of the block.
type blockEntry struct {
	kind  byte
	seq   uint64
	rest  int    // length of the key after the prefix of the block
	tail  []byte // the part of it that is not in the head
	value []byte
	size  int // of the encoded entry
}

// entry decodes entry i.
func (d *dataBlock) entry(i int) (e blockEntry, err error) {
	off := d.offset(i)
	if off >= uint64(len(d.entries)) {
		return e, errDamaged
	}
	all := d.entries[off:]
	b := all

	// Kind and sequence are left out where they are the same in all entries.
	e.kind = kindSet
	if d.flags&flagSets == 0 {
		e.kind = b[0]
		b = b[1:]
	}
	if e.kind > kindSet {
		return e, errUnknown
	}
	if d.flags&flagZero == 0 {
		e.seq, b, _ = cutUvarint(b, maxSeq)
	}

	// The lengths come first. A number that is not valid leaves nothing for the
	// next one.
	rest, b, ok := cutUvarint(b, uint64(MaxKeyLen-len(d.prefix)))
	var value uint64
	if e.kind == kindSet {
		value, b, ok = cutUvarint(b, uint64(len(b)))
	}
	tail := rest - min(rest, headLen)
	if !ok || tail > uint64(len(b)) || value > uint64(len(b))-tail {
		return e, errDamaged
	}
	e.rest = int(rest)
	e.tail = b[:tail]
	e.value = b[tail : tail+value : tail+value]
	e.size = len(all) - len(b) + int(tail+value)
	return e, nil
}

// cutUvarint decodes a number at the start of b that is at most limit, and
// returns the rest: nothing if there is no such number.
func cutUvarint(b []byte, limit uint64) (x uint64, rest []byte, ok bool) {
	x, n := binary.Uvarint(b)
	if n <= 0 || x > limit {
		return 0, nil, false
	}
	return x, b[n:], true
}

// appendKey appends the key of entry i, which is e.
func (d *dataBlock) appendKey(dst []byte, i int, e *blockEntry) []byte {
	var head [headLen]byte
	binary.BigEndian.PutUint32(head[:], d.head(i))
	dst = append(dst, d.prefix...)
	dst = append(dst, head[:min(e.rest, headLen)]...)
	return append(dst, e.tail...)
}

// head4 returns 4 bytes as a number that orders as they do. Missing bytes count
// as zeros, so that equal heads decide nothing.
func head4(b []byte) uint32 { return uint32(head(b[:min(len(b), headLen)]) >> 32) }

// compareRest compares the key of e with one that has the same prefix and the
// same head, and goes on with rest.
func (e *blockEntry) compareRest(rest []byte) int {
	// A key that ends within its head is the beginning of the other, because
	// the zeros that fill it up are all that the other has there.
	if min(e.rest, len(rest)) < headLen {
		return cmp.Compare(e.rest, len(rest))
	}
	return bytes.Compare(e.tail, rest[headLen:])
}

// search returns the first entry that does not come before version seq of key,
// or n.
func (d *dataBlock) search(key []byte, seq uint64) (int, error) {
	switch bytes.Compare(key[:min(len(key), len(d.prefix))], d.prefix) {
	case -1:
		return 0, nil
	case 1:
		return d.n, nil
	}

	rest := key[len(d.prefix):]
	want := head4(rest)
	lo, hi := 0, d.n
	for lo < hi {
		// Heads decide unless they are equal: then the entries do.
		mid := int(uint(lo+hi) / 2)
		got := d.head(mid)
		before := got < want
		if got == want {
			e, err := d.entry(mid)
			if err != nil {
				return 0, err
			}
			c := e.compareRest(rest)
			before = c < 0 || c == 0 && e.seq > seq
		}
		if before {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, nil
}

// find returns the newest version of key that is not newer than seq. ok is
// false if there is none.
func (d *dataBlock) find(key []byte, seq uint64) (e blockEntry, ok bool, err error) {
	i, err := d.search(key, seq)
	if err != nil || i == d.n {
		return e, false, err
	}
	rest, ok := bytes.CutPrefix(key, d.prefix)
	if !ok || d.head(i) != head4(rest) {
		return e, false, nil
	}
	e, err = d.entry(i)
	return e, err == nil && e.compareRest(rest) == 0, err
}

// A blockBuilder gathers the versions of a data block.
type blockBuilder struct {
	list []builtEntry
	data []byte // keys and values
	raw  int64  // about the length of the block

	offsets []uint64
	entries []byte
}

// A builtEntry is a version in a blockBuilder: data from start, first the key.
type builtEntry struct {
	kind            byte
	seq             uint64
	start, mid, end int
}

// add adds a version, which comes after those before.
func (b *blockBuilder) add(key []byte, seq uint64, kind byte, value []byte) {
	e := builtEntry{kind: kind, seq: seq, start: len(b.data)}
	b.data = append(b.data, key...)
	e.mid = len(b.data)
	b.data = append(b.data, value...)
	e.end = len(b.data)
	b.list = append(b.list, e)
	b.raw += int64(len(key)+len(value)) + headLen + 2
}

// key returns the key of version i.
func (b *blockBuilder) key(i int) []byte { return b.data[b.list[i].start:b.list[i].mid] }

// reset forgets all versions.
func (b *blockBuilder) reset() {
	b.list = b.list[:0]
	b.data = b.data[:0]
	b.raw = 0
}

// appendBlock appends the payload of the block. There is at least one version.
func (b *blockBuilder) appendBlock(dst []byte) []byte {
	last := len(b.list) - 1
	prefix := commonPrefix(b.key(0), b.key(last))
	flags := byte(flagZero | flagSets)
	for _, e := range b.list {
		if e.seq != 0 {
			flags &^= flagZero
		}
		if e.kind != kindSet {
			flags &^= flagSets
		}
	}

	// The entries come first, because their length says how wide offsets are.
	b.offsets = b.offsets[:0]
	b.entries = b.entries[:0]
	for i := range b.list {
		b.offsets = append(b.offsets, uint64(len(b.entries)))
		b.appendEntry(i, prefix, flags)
	}
	if len(b.entries) > math.MaxUint16 {
		flags |= flagWide
	}

	le := binary.LittleEndian
	dst = le.AppendUint32(dst, uint32(len(b.list)))
	dst = le.AppendUint16(dst, uint16(prefix))
	dst = append(dst, flags, 0)
	for i := range b.list {
		dst = le.AppendUint32(dst, head4(b.key(i)[prefix:]))
	}
	for _, off := range b.offsets {
		if flags&flagWide != 0 {
			dst = le.AppendUint64(dst, off)
		} else {
			dst = le.AppendUint16(dst, uint16(off))
		}
	}
	dst = append(dst, b.key(0)[:prefix]...)
	return append(dst, b.entries...)
}

// appendEntry encodes version i at the end of the entries.
func (b *blockBuilder) appendEntry(i, prefix int, flags byte) {
	e := b.list[i]
	rest := b.key(i)[prefix:]
	if flags&flagSets == 0 {
		b.entries = append(b.entries, e.kind)
	}
	if flags&flagZero == 0 {
		b.entries = binary.AppendUvarint(b.entries, e.seq)
	}
	b.entries = binary.AppendUvarint(b.entries, uint64(len(rest)))
	if e.kind == kindSet {
		b.entries = binary.AppendUvarint(b.entries, uint64(e.end-e.mid))
	}
	b.entries = append(b.entries, rest[min(len(rest), headLen):]...)
	b.entries = append(b.entries, b.data[e.mid:e.end]...)
}
