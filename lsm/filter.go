// SPDX-License-Identifier: MIT

package lsm

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
)

// A tableFilter is a Bloom filter in which all bits of a key lie in one line of
// 64 bytes, so that a question costs one cache miss. FORMAT.md has the format.
//
// The low half of the hash of a key chooses the line. The high half is
// multiplied by the golden ratio for each bit but the first, and its upper 9
// bits are the number of a bit. Eight bits of a key cost nearly as much as one.
type tableFilter struct {
	probes int
	lines  []byte // nil if the table has no filter
}

const (
	filterLineLen  = 64
	filterLineBits = 8 * filterLineLen
	filterHeadLen  = 64
	filterXXH64    = 1 // the hash of keys
	maxProbes      = 16
	maxLines       = 1<<24 - 2 // so that a filter is shorter than 1 GiB

	goldenRatio = 0x9e3779b9
)

// filterHash returns the hash of a key.
func filterHash(key []byte) uint64 { return xxhash.Sum64(key) }

// line returns the line of a hash.
func (f *tableFilter) line(h uint64) []byte {
	n := uint64(len(f.lines) / filterLineLen)
	i := h & 0xffffffff * n >> 32
	return f.lines[filterLineLen*i:][:filterLineLen]
}

// has reports whether a key with this hash may be in the table.
func (f *tableFilter) has(h uint64) bool {
	if f.lines == nil {
		return true
	}
	line := f.line(h)
	x := uint32(h >> 32)
	for range f.probes {
		if bit := x >> 23; line[bit/8]>>(bit%8)&1 == 0 {
			return false
		}
		x *= goldenRatio
	}
	return true
}

// insert adds a key with this hash.
func (f *tableFilter) insert(h uint64) {
	line := f.line(h)
	x := uint32(h >> 32)
	for range f.probes {
		bit := x >> 23
		line[bit/8] |= 1 << (bit % 8)
		x *= goldenRatio
	}
}

// appendFilter appends the payload of a filter with so many bits for each of
// the hashes.
func appendFilter(dst []byte, hashes []uint64, bits int) []byte {
	n := min(maxLines, (uint64(len(hashes))*uint64(bits)+filterLineBits-1)/filterLineBits)
	probes := min(maxProbes, max(1, bits*6/10))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(n))
	dst = append(dst, byte(probes), filterXXH64)
	dst = append(dst, make([]byte, filterHeadLen-6+n*filterLineLen)...)

	f := tableFilter{probes, dst[uint64(len(dst))-n*filterLineLen:]}
	for _, h := range hashes {
		f.insert(h)
	}
	return dst
}

// parseFilter decodes the payload of a filter.
func parseFilter(b []byte) (f tableFilter, err error) {
	switch {
	case len(b) <= filterHeadLen:
		return f, errDamaged
	case b[5] != filterXXH64 || !allZero(b[6:filterHeadLen]):
		return f, errUnknown
	case b[4] == 0 || b[4] > maxProbes:
		return f, errDamaged
	case int64(binary.LittleEndian.Uint32(b))*filterLineLen != int64(len(b)-filterHeadLen):
		return f, errDamaged
	}
	return tableFilter{int(b[4]), b[filterHeadLen:]}, nil
}
