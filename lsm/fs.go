// SPDX-License-Identifier: MIT

package lsm

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// An FS is where a database keeps its files. Names are paths as
// [path/filepath] makes them. Errors are those of package os: a missing file
// gives an error that is [fs.ErrNotExist], an operation that the system does
// not know one that is [errors.ErrUnsupported].
//
// All methods must be safe for concurrent use. The interface may gain methods
// while the module is at v0: embed [OSFS] or another FS rather than implement
// all of it. An FS may implement [Resolver], [SharedLocker], [Sizer] and
// [Linker] as well, and a [File] may implement [RangeSyncer].
type FS interface {
	// MkdirAll makes a directory and its parents, and makes the directory
	// durable in its parent.
	MkdirAll(dir string) error

	// List returns the names of the files in dir, without the directory, in
	// any order.
	List(dir string) ([]string, error)

	// Create makes a file that can be read and written; it is an error if the
	// file exists. The name is durable after SyncDir, not before.
	Create(name string) (File, error)

	// Open opens a file for reading.
	Open(name string) (File, error)

	// OpenWrite opens a file that exists for reading and writing.
	OpenWrite(name string) (File, error)

	// Rename gives a file another name, and replaces the file that had it.
	// After a crash there is one of the two names.
	Rename(from, to string) error

	// Remove removes the name of a file.
	Remove(name string) error

	// SyncDir makes the creations, renames and removals in dir durable.
	SyncDir(dir string) error

	// Lock takes an exclusive lock for as long as the result is not closed or
	// the process lives, and makes the file if it is missing. If another holds
	// a lock of it, within this process or not, the error is [ErrLocked].
	Lock(name string) (io.Closer, error)
}

// A Resolver is an [FS] on which a relative name depends on something that
// changes, such as the working directory.
type Resolver interface {
	// Abs returns a name for the same file that does not depend on it.
	Abs(name string) (string, error)
}

// A SharedLocker is an [FS] on which several can read a database at once.
type SharedLocker interface {
	// LockShared is Lock, but excludes only Lock and not LockShared. It
	// changes nothing: a missing file is an error that is [fs.ErrNotExist].
	LockShared(name string) (io.Closer, error)
}

// A Sizer is an [FS] that knows the length of a file without opening it.
type Sizer interface {
	// Size returns the length of the file.
	Size(name string) (int64, error)
}

// A Linker is an [FS] on which a file can have two names.
type Linker interface {
	// Link gives the file from the name to as well, which must be free.
	Link(from, to string) error
}

// A File is a file that an [FS] opened.
type File interface {
	io.ReaderAt
	io.WriterAt

	// Close closes the file. Later calls of any method return an error that is
	// [fs.ErrClosed].
	io.Closer

	// Size returns the length of the file.
	Size() (int64, error)

	// Truncate sets the length of the file.
	Truncate(size int64) error

	// Preallocate reserves size bytes and extends the file to them with zeros,
	// so that writing there needs no space. A file that is longer stays as it
	// is. size is positive. Where it is not supported, zeros are written.
	Preallocate(size int64) error

	// Sync makes the written bytes and the length durable. After an error it
	// must be assumed that nothing since the last success is durable, whatever
	// a later call says.
	Sync() error
}

// A RangeSyncer is a [File] that can begin to write early.
type RangeSyncer interface {
	// SyncRange makes the system begin to write n bytes at off to the disk. It
	// makes nothing durable: a later Sync has less to do.
	SyncRange(off, n int64) error
}

// OSFS is the file system of the operating system, and what a database uses if
// Options.FS is nil.
type OSFS struct{}

// MkdirAll makes a directory and its parents, and syncs all of them.
func (OSFS) MkdirAll(dir string) error { return mkdirAll(dir, syncDir) }

// mkdirAll is MkdirAll with a function that syncs a directory.
func mkdirAll(dir string, syncDir func(dir string) error) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}

	// Every ancestor may be new, or be left by a process that was killed
	// before it could sync. Those that may not be read were not made here.
	for {
		parent := filepath.Dir(dir)
		if err := syncDir(parent); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
		if parent == dir || parent == "." {
			return nil
		}
		dir = parent
	}
}

// List returns the names of the files in dir.
func (OSFS) List(dir string) (names []string, err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	names, err = d.Readdirnames(-1)
	return names, errors.Join(err, d.Close())
}

// Create makes a file.
func (OSFS) Create(name string) (File, error) {
	return openFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
}

// Open opens a file for reading.
func (OSFS) Open(name string) (File, error) { return openFile(name, os.O_RDONLY) }

// OpenWrite opens a file that exists for reading and writing.
func (OSFS) OpenWrite(name string) (File, error) { return openFile(name, os.O_RDWR) }

// Rename gives a file another name. On Windows it tries for a second, because
// other programs open files for a moment.
func (OSFS) Rename(from, to string) error { return rename(from, to) }

// Remove removes the name of a file.
func (OSFS) Remove(name string) error { return os.Remove(name) }

// SyncDir makes the names in dir durable.
func (OSFS) SyncDir(dir string) error { return syncDir(dir) }

// Lock takes an exclusive lock.
func (OSFS) Lock(name string) (io.Closer, error) { return lockFile(name, false) }

// LockShared takes a shared lock on a file that may be read.
func (OSFS) LockShared(name string) (io.Closer, error) { return lockFile(name, true) }

// Abs returns the absolute path of name.
func (OSFS) Abs(name string) (string, error) { return filepath.Abs(name) }

// Size returns the length of the file.
func (OSFS) Size(name string) (int64, error) {
	info, err := os.Stat(name)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// Link gives the file from the name to as well.
func (OSFS) Link(from, to string) error { return os.Link(from, to) }

func openFile(name string, flag int) (File, error) {
	f, err := os.OpenFile(name, flag, 0o644)
	if err != nil {
		return nil, err // and not a nil *osFile in a File
	}
	return &osFile{f}, nil
}

// An osFile is a file of the operating system. os.File itself waits in Close
// for readers.
type osFile struct{ *os.File }

func (f *osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f *osFile) Preallocate(size int64) error { return preallocate(f.File, size) }
func (f *osFile) Sync() error                  { return syncData(f.File) }
