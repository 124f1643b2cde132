// SPDX-License-Identifier: MIT

package lsm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// A Codec makes blocks of tables shorter, as compression does. It is safe for
// concurrent use by multiple goroutines.
type Codec interface {
	// ID returns a number from 1 to 255 that tables have, so that no other
	// codec reads them. It always means the same format.
	ID() byte

	// Encode appends src to dst in another form. If that is not shorter, the
	// block is stored as it is.
	Encode(dst, src []byte) []byte

	// Decode appends to dst the n bytes that src encodes. If src is not an
	// encoding, or not of n bytes, it returns an error. It should allocate as
	// it goes, since n may be a lie of up to 1 GiB.
	Decode(dst, src []byte, n int) ([]byte, error)
}

const (
	codecHeadLen = 4       // of an encoded payload: its length before
	maxEncoded   = 1 << 30 // longer payloads are stored as they are
)

// encodeBlock returns payload as c encodes it, after its length, in the memory
// of dst. A panic of c is an error, because nobody is there to recover from it,
// and so is a codec that writes over what is in dst: nobody could decode that.
func encodeBlock(c Codec, dst, payload []byte) (b []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("lsm: codec %d panics: %v", c.ID(), p)
		}
	}()
	n := uint32(len(payload))
	b = c.Encode(binary.LittleEndian.AppendUint32(dst[:0], n), payload)
	if len(b) < codecHeadLen || binary.LittleEndian.Uint32(b) != n {
		return nil, fmt.Errorf("lsm: codec %d does not append", c.ID())
	}
	return b, nil
}

// decode returns the payload of a block from its encoded form b, in buf. No
// more is allocated for a length that is not true than a buffer may have.
func (t *tableFile) decode(b []byte, buf *blockBuffer) (payload []byte, err error) {
	if len(b) < codecHeadLen {
		return nil, errDamaged
	}
	n := int64(binary.LittleEndian.Uint32(b))
	if n > maxEncoded || uint64(n) > t.props.numbers[propLargestRaw] {
		return nil, errors.New("a block is longer than the longest")
	}
	if int64(cap(buf.raw)) < n {
		buf.raw = slices.Grow([]byte(nil), int(min(n, maxPooled)))
	}

	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the codec panics: %v", p)
		}
	}()
	raw, err := t.codec.Decode(buf.raw[:0], b[codecHeadLen:], int(n))
	if err != nil {
		return nil, err
	}
	if int64(len(raw)) != n {
		return nil, fmt.Errorf("a block has %d bytes, want %d", len(raw), n)
	}
	buf.raw = raw
	return raw, nil
}
