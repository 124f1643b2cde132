// SPDX-License-Identifier: MIT

package lsm

import (
	"errors"
	"fmt"
)

var (
	// ErrNotFound is returned by [DB.Get], [DB.AppendGet], and the same methods
	// of a [Snapshot] and a [Table], when the key has no value.
	ErrNotFound = errors.New("lsm: not found")

	// ErrClosed is returned by all methods of a [DB], a [Snapshot] and an
	// [Iterator] that return an error, after Close or after Close of the DB,
	// and by those of a [TableWriter] after Finish.
	ErrClosed = errors.New("lsm: closed")

	// ErrLocked is returned by [Open] when the database is open already.
	ErrLocked = errors.New("lsm: locked")

	// ErrReadOnly is returned by everything that commits, and by [DB.Sync],
	// [DB.Flush] and [DB.Compact] if they have anything to do, when the
	// database was opened with Options.ReadOnly, or when a write or sync of its
	// log has failed. Then it wraps the error of the file system that caused
	// it, and only the next Open knows whether commits that had not returned
	// are in the database.
	ErrReadOnly = errors.New("lsm: read-only")

	// ErrStalled is returned by a commit that waited in vain for space,
	// descriptors, or a table that gives memory back, and by [DB.Flush] and
	// [DB.Compact] that waited for a table. It wraps the error that caused it:
	// of the file system, or ErrTooLarge if there are more tables than a
	// manifest of 1 GiB can name. The commit has not happened.
	ErrStalled = errors.New("lsm: stalled")

	// ErrTooLarge is returned by a commit with a key longer than [MaxKeyLen],
	// or a batch longer than [MaxBatchLen]. The commit has not happened. It is
	// also returned by [TableWriter.Set] for such a key or value, and when a
	// table would become longer than 32 GiB.
	ErrTooLarge = errors.New("lsm: too large")

	// ErrVersion is returned by [Open], [OpenTable], and the methods of a
	// [Table], for files in which another version of this package wrote
	// something that this one does not know, or with a [Codec] that was not
	// given.
	ErrVersion = errors.New("lsm: unknown version of the format")

	// ErrCorrupt is returned by [Open], [OpenTable], and everything that reads
	// a [DB], [Snapshot], [Iterator] or [Table], as a [*CorruptError], when the
	// database or table is damaged.
	ErrCorrupt = errors.New("lsm: corrupt")
)

// A CorruptError says where a database or table is damaged. It is an
// [ErrCorrupt].
type CorruptError struct {
	// File is the path of the damaged file, or "table" if [OpenTable] was not
	// told.
	File string
	// Offset is where the damaged part begins: a record or block, not the
	// damage in it.
	Offset int64
	// Err is the reason.
	Err error
}

// corrupt returns a CorruptError.
func corrupt(file string, off int64, reason string) error {
	return &CorruptError{File: file, Offset: off, Err: errors.New(reason)}
}

// Error describes the damage.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("%v: %s at offset %d: %v", ErrCorrupt, e.File, e.Offset, e.Err)
}

// Is reports whether target is [ErrCorrupt].
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }

// Unwrap returns e.Err.
func (e *CorruptError) Unwrap() error { return e.Err }

// A versionError is an ErrVersion that names the unknown part.
type versionError struct {
	file string
	what string
}

// Error names the file and the part.
func (e *versionError) Error() string {
	return fmt.Sprintf("%v: %s has %s", ErrVersion, e.file, e.what)
}

// Unwrap returns [ErrVersion].
func (e *versionError) Unwrap() error { return ErrVersion }
