// SPDX-License-Identifier: MIT

package bloom

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// parquetRest holds the bytes after numBytes in the header of a Parquet filter,
// in the compact protocol of Thrift: algorithm BLOCK, hash XXHASH, compression
// UNCOMPRESSED.
const parquetRest = "\x1c\x1c\x00\x00\x1c\x1c\x00\x00\x1c\x1c\x00\x00\x00"

// AppendParquet appends the filter to dst as it stands in a Parquet file: a
// BloomFilterHeader in the compact protocol of Thrift, and the bitset. It
// panics if s is the zero SplitBlock, for which there is no such form.
func (s *SplitBlock) AppendParquet(dst []byte) []byte {
	if len(s.blocks) == 0 {
		panic("bloom: zero SplitBlock: use NewSplitBlock")
	}
	dst = append(dst, 0x15) // field 1, numBytes, of type i32, in zigzag
	dst = binary.AppendUvarint(dst, uint64(len(s.blocks))*blockBytes*2)
	dst = append(dst, parquetRest...)
	for i := range s.blocks {
		for _, w := range s.blocks[i] {
			dst = binary.LittleEndian.AppendUint32(dst, w)
		}
	}
	return dst
}

// ParseParquet reads a filter from the beginning of b, as it stands in a
// Parquet file, and returns it and the bytes that follow. The format has no
// checksum. It returns an error that wraps [ErrCorrupt] if b is not a whole
// filter, and [ErrVersion] if it has another algorithm, hash or compression, or
// fields that are not in the specification. All sizes of the specification are
// read.
func ParseParquet(b []byte) (s *SplitBlock, rest []byte, err error) {
	if len(b) == 0 || b[0] != 0x15 {
		return nil, b, fmt.Errorf("%w: no numBytes in the Parquet header", ErrCorrupt)
	}

	// The length is a zigzag number: even, as it is not negative.
	v, n := binary.Uvarint(b[1:])
	size := v / 2
	if n <= 0 || v%2 != 0 || size == 0 || size%blockBytes != 0 || size > maxBlocks*blockBytes {
		return nil, b, fmt.Errorf("%w: numBytes in the Parquet header", ErrCorrupt)
	}

	// The rest of the header has one spelling in this version of the format.
	body, ok := bytes.CutPrefix(b[1+n:], []byte(parquetRest))
	if !ok && len(b) < 1+n+len(parquetRest) {
		return nil, b, fmt.Errorf("%w: %d bytes are less than a Parquet header", ErrCorrupt, len(b))
	}
	if !ok {
		return nil, b, fmt.Errorf("%w: Parquet header %x", ErrVersion, b[1+n:][:len(parquetRest)])
	}
	if uint64(len(body)) < size {
		return nil, b, fmt.Errorf("%w: %d bytes, want %d", ErrCorrupt, len(body), size)
	}

	// The bytes are there, so the memory is no more than theirs.
	s = &SplitBlock{blocks: make([]block, size/blockBytes)}
	for i := range s.blocks {
		for j := range s.blocks[i] {
			s.blocks[i][j] = binary.LittleEndian.Uint32(body[i*blockBytes+4*j:])
		}
	}
	return s, body[size:], nil
}

// AppendBinary is AppendParquet with an error. It fails only for the zero
// SplitBlock.
func (s *SplitBlock) AppendBinary(dst []byte) ([]byte, error) {
	if len(s.blocks) == 0 {
		return dst, errors.New("bloom: a zero SplitBlock has no binary form: use NewSplitBlock")
	}
	return s.AppendParquet(dst), nil
}

// MarshalBinary returns the bytes that AppendParquet appends.
func (s *SplitBlock) MarshalBinary() ([]byte, error) { return s.AppendBinary(nil) }

// UnmarshalBinary replaces s by the filter that b holds, and nothing else, with
// the errors of [ParseParquet].
func (s *SplitBlock) UnmarshalBinary(b []byte) error {
	t, rest, err := ParseParquet(b)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return fmt.Errorf("%w: %d bytes after the filter", ErrCorrupt, len(rest))
	}
	s.blocks = t.blocks
	return nil
}
