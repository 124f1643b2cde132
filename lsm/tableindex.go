// SPDX-License-Identifier: MIT

package lsm

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// A tableIndex finds the block of a key. It is used as it was read.
type tableIndex struct {
	n       int
	heads   []byte // 8 bytes each
	ends    []byte // of blocks, in units of 8: 4 bytes each
	offsets []byte // of rests: 4 bytes each, and one more
	prefix  []byte // of all separators
	rests   []byte
}

// parseIndex decodes the payload of an index, and checks it: it is looked at
// often, and once is enough.
func parseIndex(b []byte) (x tableIndex, err error) {
	if len(b) < 12 {
		return x, errDamaged
	}
	n := int64(binary.LittleEndian.Uint32(b))
	prefix := int64(binary.LittleEndian.Uint16(b[4:]))
	if b[6] != 0 || b[7] != 0 {
		return x, errUnknown
	}
	if b = b[8:]; 16*n+4+prefix > int64(len(b)) {
		return x, errDamaged
	}
	x.n = int(n)
	x.heads, b = b[:8*n], b[8*n:]
	x.ends, b = b[:4*n], b[4*n:]
	x.offsets, b = b[:4*n+4], b[4*n+4:]
	x.prefix, x.rests = b[:prefix], b[prefix:]

	// Offsets ascend from 0 to the end, and ends and separators ascend.
	if x.offset(0) != 0 || x.offset(x.n) != int64(len(x.rests)) {
		return x, errDamaged
	}
	for i := range x.n {
		if x.offset(i) > x.offset(i+1) || x.start(i) >= x.start(i+1) {
			return x, errDamaged
		}
	}
	for i := range x.n {
		if x.head(i) != head(x.rest(i)) || i > 0 && bytes.Compare(x.rest(i-1), x.rest(i)) >= 0 {
			return x, errDamaged
		}
	}
	return x, nil
}

// offset returns where the rest of separator i begins.
func (x *tableIndex) offset(i int) int64 { return int64(binary.LittleEndian.Uint32(x.offsets[4*i:])) }

// rest returns separator i after the prefix.
func (x *tableIndex) rest(i int) []byte { return x.rests[x.offset(i):x.offset(i+1)] }

// head returns the first 8 bytes of that, as a number.
func (x *tableIndex) head(i int) uint64 { return binary.LittleEndian.Uint64(x.heads[8*i:]) }

// start returns where block i begins, which is where the one before ends.
func (x *tableIndex) start(i int) int64 {
	if i == 0 {
		return 0
	}
	return 8 * int64(binary.LittleEndian.Uint32(x.ends[4*(i-1):]))
}

// search returns the only block that can have key, or n.
func (x *tableIndex) search(key []byte) int {
	switch bytes.Compare(key[:min(len(key), len(x.prefix))], x.prefix) {
	case -1:
		return 0
	case 1:
		return x.n
	}

	rest := key[len(x.prefix):]
	want := head(rest)
	lo, hi := 0, x.n
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		got := x.head(mid)
		if got < want || got == want && bytes.Compare(x.rest(mid), rest) < 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// readIndex reads the index, which has to fit to the rest of the table. tail is
// the end of the file.
func (t *tableFile) readIndex(tail []byte) (x tableIndex, err error) {
	b, err := t.section(tail, t.foot.index, t.foot.props, maxIndexLen)
	if err != nil {
		return x, err
	}
	x, err = parseIndex(b)
	if err != nil {
		return x, t.blame(t.foot.index, err)
	}

	if x.start(x.n) != t.foot.ranges || uint64(x.n) != t.props.numbers[propBlocks] {
		return x, corrupt(t.name, t.foot.index, "the index does not fit to the blocks")
	}
	if x.n > 0 && !bytes.Equal(append(bytes.Clone(x.prefix), x.rest(x.n-1)...), t.props.largest) {
		return x, corrupt(t.name, t.foot.index, "the last separator is not the largest key")
	}
	return x, nil
}

// readFilter reads the filter, if there is one. tail is the end of the file.
func (t *tableFile) readFilter(tail []byte) (f tableFilter, err error) {
	if t.foot.filter == t.foot.index {
		return f, nil
	}
	b, err := t.section(tail, t.foot.filter, t.foot.index, maxIndexLen)
	if err != nil {
		return f, err
	}
	f, err = parseFilter(b)
	if err != nil {
		return f, t.blame(t.foot.filter, err)
	}
	return f, nil
}

// An indexBuilder gathers the blocks of an index.
type indexBuilder struct {
	ends   []uint32 // of blocks, in units of 8
	starts []int    // of separators in keys
	keys   []byte
}

// addBlock adds a block that ends at end, and its separator.
func (x *indexBuilder) addBlock(sep []byte, end int64) {
	x.ends = append(x.ends, uint32(end/8))
	x.starts = append(x.starts, len(x.keys))
	x.keys = append(x.keys, sep...)
}

// separator returns separator i.
func (x *indexBuilder) separator(i int) []byte {
	if i+1 == len(x.starts) {
		return x.keys[x.starts[i]:]
	}
	return x.keys[x.starts[i]:x.starts[i+1]]
}

// indexBound returns a bound of the length of an index of n separators that
// have so many bytes in all.
func indexBound(n int, keys int64) int64 { return 12 + 16*int64(n) + keys + blockTailLen + 7 }

// appendIndex appends the payload of the index.
func (x *indexBuilder) appendIndex(dst []byte) ([]byte, error) {
	n := len(x.ends)
	var prefix []byte
	if n > 0 {
		prefix = x.separator(0)
		prefix = prefix[:commonPrefix(prefix, x.separator(n-1))]
	}
	if indexBound(n, int64(len(x.keys))) > maxIndexLen {
		return nil, fmt.Errorf("%w: an index of more than %d bytes", ErrTooLarge, maxIndexLen)
	}

	le := binary.LittleEndian
	dst = le.AppendUint32(dst, uint32(n))
	dst = le.AppendUint32(dst, uint32(len(prefix)))
	for i := range n {
		dst = le.AppendUint64(dst, head(x.separator(i)[len(prefix):]))
	}
	for _, end := range x.ends {
		dst = le.AppendUint32(dst, end)
	}

	// Each rest begins where the one before ends.
	off := 0
	for i := range n {
		dst = le.AppendUint32(dst, uint32(off))
		off += len(x.separator(i)) - len(prefix)
	}
	dst = le.AppendUint32(dst, uint32(off))
	dst = append(dst, prefix...)
	for i := range n {
		dst = append(dst, x.separator(i)[len(prefix):]...)
	}
	return dst, nil
}

// separator returns a short key that is not less than a, and less than b. a is
// less than b.
func separator(a, b []byte) []byte {
	// A byte that can grow by one without reaching b ends the key there.
	i := commonPrefix(a, b)
	if i < len(a) && a[i]+1 < b[i] {
		return append(bytes.Clone(a[:i]), a[i]+1)
	}
	return a
}
