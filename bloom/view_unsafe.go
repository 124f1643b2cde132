//go:build !purego

// SPDX-License-Identifier: MIT

package bloom

import (
	"encoding/binary"
	"unsafe"
)

// alias returns the n lines of which body is the bytes, in the same memory, or
// nil if words in memory are not as in the format.
func alias(body []byte, n int) []line {
	p := unsafe.Pointer(unsafe.SliceData(body))
	if !littleEndian || uintptr(p)%8 != 0 {
		return nil
	}
	// The bytes are those of so many lines, and stay reachable through the
	// slice.
	return unsafe.Slice((*line)(p), n)
}

// littleEndian reports whether words in memory are as in the format.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1
