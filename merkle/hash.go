// SPDX-License-Identifier: MIT

package merkle

import (
	"encoding/hex"
	"fmt"
)

// A Hash is the hash of a leaf or of a node, or the root of a tree. Hashes are
// compared with ==.
type Hash [32]byte

// String returns h as 64 hexadecimal digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// AppendText appends h as 64 hexadecimal digits to dst, as
// [encoding.TextAppender] says. It never fails.
func (h Hash) AppendText(dst []byte) ([]byte, error) { return hex.AppendEncode(dst, h[:]), nil }

// MarshalText returns h as 64 hexadecimal digits. It never fails.
func (h Hash) MarshalText() ([]byte, error) { return h.AppendText(nil) }

// UnmarshalText sets h to the hash whose 64 hexadecimal digits are text. On
// failure it returns an error that wraps [ErrCorrupt], and leaves h unchanged.
func (h *Hash) UnmarshalText(text []byte) error {
	if len(text) != hex.EncodedLen(len(h)) {
		return fmt.Errorf("%w: a hash has %d digits, got %d bytes", ErrCorrupt, hex.EncodedLen(len(h)), len(text))
	}
	var out Hash
	if _, err := hex.Decode(out[:], text); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	*h = out
	return nil
}
