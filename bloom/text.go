// SPDX-License-Identifier: MIT

package bloom

import (
	"encoding"
	"encoding/base64"
	"fmt"
)

// The text forms, which encoding/json uses: base64 of the binary ones. Without
// them a filter in a struct would become {} there, and all keys be lost without
// an error.

// textOf returns the binary form of v in base64.
func textOf(v encoding.BinaryMarshaler) ([]byte, error) {
	b, err := v.MarshalBinary()
	if err != nil {
		return nil, err
	}
	return base64.StdEncoding.AppendEncode(nil, b), nil
}

// parseText gives v the binary form of which text is the base64.
func parseText(v encoding.BinaryUnmarshaler, text []byte) error {
	b, err := base64.StdEncoding.AppendDecode(nil, text)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return v.UnmarshalBinary(b)
}

// MarshalText returns the binary form in base64.
func (f *Filter) MarshalText() ([]byte, error) { return textOf(f) }

// UnmarshalText reads the text of MarshalText; see UnmarshalBinary.
func (f *Filter) UnmarshalText(text []byte) error { return parseText(f, text) }

// MarshalText returns the binary form in base64.
func (c *Concurrent) MarshalText() ([]byte, error) { return textOf(c) }

// UnmarshalText reads the text of MarshalText; see UnmarshalBinary.
func (c *Concurrent) UnmarshalText(text []byte) error { return parseText(c, text) }

// MarshalText returns the binary form in base64.
func (c *Counting) MarshalText() ([]byte, error) { return textOf(c) }

// UnmarshalText reads the text of MarshalText; see UnmarshalBinary.
func (c *Counting) UnmarshalText(text []byte) error { return parseText(c, text) }

// MarshalText returns the binary form in base64.
func (s *Scalable) MarshalText() ([]byte, error) { return textOf(s) }

// UnmarshalText reads the text of MarshalText; see UnmarshalBinary.
func (s *Scalable) UnmarshalText(text []byte) error { return parseText(s, text) }

// MarshalText returns the binary form in base64.
func (w *Window) MarshalText() ([]byte, error) { return textOf(w) }

// UnmarshalText reads the text of MarshalText; see UnmarshalBinary.
func (w *Window) UnmarshalText(text []byte) error { return parseText(w, text) }

// MarshalText returns the binary form in base64.
func (s *SplitBlock) MarshalText() ([]byte, error) { return textOf(s) }

// UnmarshalText reads the text of MarshalText; see UnmarshalBinary.
func (s *SplitBlock) UnmarshalText(text []byte) error { return parseText(s, text) }
