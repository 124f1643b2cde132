// SPDX-License-Identifier: MIT

package lsm

import (
	"errors"
	"fmt"
)

var (
	// ErrNotFound is the error of reading a key that is not there.
	ErrNotFound = errors.New("lsm: not found")
	// ErrClosed is the error of all methods after Close.
	ErrClosed = errors.New("lsm: closed")
	// ErrLocked is the error of opening a database that is open already.
	ErrLocked = errors.New("lsm: locked")
	// ErrReadOnly is the error of a change if the database was opened with Options.ReadOnly, or if
	// writing or syncing its log has failed. Then the error says why, and what can be known about
	// commits that had not returned is known when the database is opened again.
	ErrReadOnly = errors.New("lsm: read-only")
	// ErrStalled is the error of a commit that waited in vain for space or descriptors. It also is
	// the reason, which is an error of the file system. The commit has not happened.
	ErrStalled = errors.New("lsm: stalled")
	// ErrFull is the error of a commit that would exceed Options.Memory. It has not happened.
	ErrFull = errors.New("lsm: memory limit reached")
	// ErrTooLarge is the error of a key longer than MaxKeyLen, or a batch longer than MaxBatchLen.
	ErrTooLarge = errors.New("lsm: too large")
	// ErrVersion is the error of a database that a later version of this package wrote.
	ErrVersion = errors.New("lsm: unknown version of the format")
	// ErrCorrupt is the error of a damaged database. It is always a [*CorruptError] as well.
	ErrCorrupt = errors.New("lsm: corrupt")
)

// A CorruptError says where a database is damaged.
type CorruptError struct {
	// File is the path of the file.
	File string
	// Offset is the first byte of what is damaged: of a record, not of the damage within.
	Offset int64
	// Err says what is wrong.
	Err error
}

// Error describes the damage.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("lsm: corrupt: %s at offset %d: %v", e.File, e.Offset, e.Err)
}

// Is reports whether target is [ErrCorrupt].
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }

// Unwrap returns e.Err.
func (e *CorruptError) Unwrap() error { return e.Err }

// A versionError is an ErrVersion that says where.
type versionError struct {
	file    string
	version uint32
}

func (e *versionError) Error() string {
	return fmt.Sprintf("%v: %s has %d", ErrVersion, e.file, e.version)
}

func (e *versionError) Unwrap() error { return ErrVersion }
