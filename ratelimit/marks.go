// SPDX-License-Identifier: MIT

package ratelimit

import (
	"encoding/binary"
	"hash/crc32"
	"slices"
)

// marks are those of the last writes of a state, the latest first: a process
// recognizes its own.
type marks [4]uint64

// The format is in the documentation of the package.
const (
	stateMagic   = "ashlarrs"
	stateVersion = 1
	kindBuckets  = 1
	kindEvents   = 2
	headerSize   = 16
	marksSize    = 4 * 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// mark remembers the mark of a write, and forgets the oldest.
func (m *marks) mark(mark uint64) {
	copy(m[1:], m[:])
	m[0] = mark
}

// marked reports whether one of tried was the mark of one of the last writes.
func (m *marks) marked(tried []uint64) bool {
	return slices.ContainsFunc(tried, func(t uint64) bool { return slices.Contains(m[:], t) })
}

// header returns the first bytes of a state of a kind that has count limits,
// with m, and room for size bytes more.
func (m *marks) header(kind byte, count, size int) []byte {
	out := make([]byte, 0, headerSize+marksSize+size)
	out = append(out, stateMagic...)
	out = binary.LittleEndian.AppendUint16(out, stateVersion)
	out = append(out, kind, byte(count))
	out = append(out, make([]byte, 4)...) // of the checksum
	for _, mark := range m {
		out = binary.LittleEndian.AppendUint64(out, mark)
	}
	return out
}

// open reads what header has written, and returns the rest of data.
func (m *marks) open(data []byte, kind byte) (count int, rest []byte, err error) {
	if len(data) < headerSize || string(data[:8]) != stateMagic {
		return 0, nil, ErrCorrupt
	}
	if binary.LittleEndian.Uint16(data[8:]) != stateVersion || data[10] < kindBuckets || data[10] > kindEvents {
		return 0, nil, ErrVersion
	}

	// Of this version, so damage is no later format.
	if data[10] != kind || len(data) < headerSize+marksSize || binary.LittleEndian.Uint32(data[12:]) != checksum(data) {
		return 0, nil, ErrCorrupt
	}
	count = int(data[11])
	rest = data[headerSize:]
	for i := range m {
		m[i] = uint64(cutWord(&rest))
	}
	return count, rest, nil
}

// cutWord returns the first word of b, and cuts it off.
func cutWord(b *[]byte) int64 {
	v := binary.LittleEndian.Uint64(*b)
	*b = (*b)[8:]
	return int64(v)
}

// seal returns state with its checksum filled in.
func seal(state []byte) []byte {
	binary.LittleEndian.PutUint32(state[12:], checksum(state))
	return state
}

// checksum returns the checksum of a state, without that field.
func checksum(state []byte) uint32 {
	return crc32.Update(crc32.Checksum(state[:12], castagnoli), castagnoli, state[headerSize:])
}
