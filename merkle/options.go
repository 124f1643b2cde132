// SPDX-License-Identifier: MIT

package merkle

import (
	"cmp"
	"fmt"
)

// FileOptions are the optional settings of a [File].
type FileOptions struct {
	// ChunkSize is the number of bytes that are verified together, a power of
	// two from 1 KiB to 16 MiB. Small chunks let a reader use small parts, and
	// need more hashes: 64 bytes a chunk. If zero, 16 KiB.
	ChunkSize int
}

const (
	defaultChunk = 16 << 10
	minChunk     = 1 << 10
	maxChunk     = 16 << 20
)

// Validate returns an error if o cannot be used.
func (o *FileOptions) Validate() error {
	if c := o.resolve().ChunkSize; !validChunk(int64(c)) {
		return fmt.Errorf("merkle: FileOptions.ChunkSize must be a power of two from 1 KiB to 16 MiB, got %d", c)
	}
	return nil
}

// validChunk reports whether n is a size of chunks.
func validChunk(n int64) bool { return n >= minChunk && n <= maxChunk && n&(n-1) == 0 }

// resolve returns o with its defaults.
func (o *FileOptions) resolve() FileOptions {
	var r FileOptions
	if o != nil {
		r = *o
	}
	r.ChunkSize = cmp.Or(r.ChunkSize, defaultChunk)
	return r
}

// IndexOptions are the optional settings of an [Index].
type IndexOptions struct {
	// MaxFrame is the largest number of bytes of a message of this side, unless
	// 16 keys alone have more. The other side bounds its own messages. With a
	// smaller frame an exchange takes more messages. At least 1 KiB; if zero,
	// 256 KiB.
	MaxFrame int
}

const (
	defaultFrame = 256 << 10
	minFrame     = 1 << 10
)

// Validate returns an error if o cannot be used.
func (o *IndexOptions) Validate() error {
	if f := o.resolve().MaxFrame; f < minFrame {
		return fmt.Errorf("merkle: IndexOptions.MaxFrame must be at least 1 KiB, got %d", f)
	}
	return nil
}

// resolve returns o with its defaults.
func (o *IndexOptions) resolve() IndexOptions {
	var r IndexOptions
	if o != nil {
		r = *o
	}
	r.MaxFrame = cmp.Or(r.MaxFrame, defaultFrame)
	return r
}
