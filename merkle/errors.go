// SPDX-License-Identifier: MIT

package merkle

import (
	"errors"
	"fmt"
)

var (
	// ErrProof is returned by everything that verifies, for a proof that does
	// not show what it should: it has the wrong length, or leads to another
	// root.
	ErrProof = errors.New("merkle: proof does not verify")

	// ErrRange is returned by everything that proves, and by the methods of
	// [Tree], [Range] and [File], for a size, an index or a range that the tree
	// or the file does not have, and for a File that no file can have.
	ErrRange = errors.New("merkle: out of range")

	// ErrCorrupt is returned by everything that reads a stored form or a
	// message, for bytes that are not a whole one.
	ErrCorrupt = errors.New("merkle: corrupt form")

	// ErrVersion is returned by everything that reads a stored form or a
	// message, for a format, or a kind of form, that this version does not
	// know.
	ErrVersion = errors.New("merkle: unknown version")

	// ErrMismatch is returned by [Index.Respond] and [Index.Diff] when the
	// secrets of the two indexes differ: their fingerprints cannot be compared.
	ErrMismatch = errors.New("merkle: indexes have different secrets")

	// ErrPeer is returned by [Index.Diff] when the answers of a peer do not
	// come to an end.
	ErrPeer = errors.New("merkle: peer does not converge")
)

// A ChunkError says which bytes are not those of the [File]. It wraps
// [ErrProof].
type ChunkError struct {
	// Off is where the chunk begins.
	Off int64
	// Len is the number of its bytes.
	Len int
}

// Error says where the chunk is.
func (e *ChunkError) Error() string {
	return fmt.Sprintf("merkle: the chunk of %d bytes at %d, or a node above it, is not that of the file", e.Len, e.Off)
}

// Unwrap returns [ErrProof].
func (e *ChunkError) Unwrap() error { return ErrProof }
