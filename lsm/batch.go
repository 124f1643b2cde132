// SPDX-License-Identifier: MIT

package lsm

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
)

const (
	// MaxKeyLen is the length of the longest key.
	MaxKeyLen = 1<<16 - 1

	// MaxBatchLen is the size of the largest batch, and so bounds a value.
	MaxBatchLen = 1 << 30
)

// The kinds of operations, in logs and in memory. A later version has others.
const (
	kindDelete = 0
	kindSet    = 1
)

// A Batch is a list of changes that [DB.Apply] makes at once: all or none of
// them, also after a crash. Of two changes of one key the later wins. The zero
// Batch is empty and ready to use. A Batch is not safe for concurrent use.
//
// Keys and values are copied when they are added; nil is the empty key or
// value. A key or value that is too long makes the batch fail when it is
// applied.
type Batch struct {
	// data is as in a log: per operation a kind, the length of the key and the
	// key, and for a Set the length of the value and the value. Lengths are
	// uvarints.
	data       []byte
	count      uint32
	sets       bool // at least one change is a Set
	chosen     bool // durability is the caller's
	durability Durability
	err        error
}

// Set adds a change that gives key a value.
func (b *Batch) Set(key, value []byte) {
	if !b.room(len(key), len(value)) {
		return
	}
	b.data = appendSet(b.data, key, value)
	b.count++
	b.sets = true
}

// appendSet appends an operation.
func appendSet(b, key, value []byte) []byte {
	b = appendBytes(append(b, kindSet), key)
	return appendBytes(b, value)
}

// appendDelete appends an operation.
func appendDelete(b, key []byte) []byte { return appendBytes(append(b, kindDelete), key) }

// appendBytes appends the length of data, and data.
func appendBytes(b, data []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(data)))
	return append(b, data...)
}

// Delete adds a change that removes key, if it is there.
func (b *Batch) Delete(key []byte) {
	if !b.room(len(key), 0) {
		return
	}
	b.data = appendDelete(b.data, key)
	b.count++
}

// room reports whether an operation fits, and makes b fail if not.
func (b *Batch) room(key, value int) bool {
	switch {
	case b.err != nil:
	case key > MaxKeyLen:
		b.err = fmt.Errorf("%w: a key of %d bytes, want at most %d", ErrTooLarge, key, MaxKeyLen)
	case int64(len(b.data))+opLen(key, value) > MaxBatchLen || b.count == math.MaxUint32:
		b.err = fmt.Errorf("%w: a batch of more than %d bytes", ErrTooLarge, MaxBatchLen)
	}
	return b.err == nil
}

// opLen returns the length of a Set, which is one more than that of a Delete.
func opLen(key, value int) int64 {
	return 1 + uvarintLen(key) + int64(key) + uvarintLen(value) + int64(value)
}

// uvarintLen returns the length of n as a uvarint.
func uvarintLen(n int) int64 { return int64(bits.Len64(uint64(n)|1)+6) / 7 }

// SetDurability chooses the durability of this batch, instead of that of the
// database. It panics if there is no such durability.
func (b *Batch) SetDurability(d Durability) {
	if d > Async {
		panic(fmt.Sprintf("lsm: durability must be Sync, NoSync or Async, got %d", uint8(d)))
	}
	b.durability = d
	b.chosen = true
}

// Len returns the number of changes.
func (b *Batch) Len() int { return int(b.count) }

// Size returns the bytes that the changes take in a log.
func (b *Batch) Size() int { return len(b.data) }

// Reset makes b empty, as a zero Batch, and keeps its memory for reuse.
func (b *Batch) Reset() { *b = Batch{data: b.data[:0]} }

// An op is a decoded operation. Its slices are parts of the encoded bytes.
type op struct {
	kind       byte
	key, value []byte
}

// decodeOp decodes the first operation of b, and returns the rest.
func decodeOp(b []byte) (o op, rest []byte, ok bool) {
	if len(b) == 0 || b[0] > kindSet {
		return op{}, nil, false
	}
	o.kind = b[0]
	if o.key, b, ok = decodeBytes(b[1:]); !ok || len(o.key) > MaxKeyLen {
		return op{}, nil, false
	}
	if o.kind == kindSet {
		if o.value, b, ok = decodeBytes(b); !ok {
			return op{}, nil, false
		}
	}
	return o, b, true
}

// decodeBytes decodes a length and as many bytes.
func decodeBytes(b []byte) (data, rest []byte, ok bool) {
	n, k := binary.Uvarint(b)
	if k <= 0 || n > uint64(len(b)-k) {
		return nil, nil, false
	}
	b = b[k:]
	return b[:n:n], b[n:], true
}
