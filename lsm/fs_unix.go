//go:build unix && !aix && !solaris

// SPDX-License-Identifier: MIT

package lsm

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// A fileLock is a lock of a file and, where that is possible, of its
// directory, so that a second one fails even if the file was removed meanwhile.
type fileLock struct {
	file *os.File
	dir  *os.File // nil if directories cannot be locked
}

func (l *fileLock) Close() error {
	err := l.file.Close()
	if l.dir != nil {
		err = errors.Join(err, l.dir.Close())
	}
	return err
}

// lockFile locks the open file, not the process: a second lock in the same
// process fails as well. The file stays when the lock is gone, or two could
// lock two files of one name.
func lockFile(name string, shared bool) (io.Closer, error) {
	flag := os.O_RDWR | os.O_CREATE
	how := syscall.LOCK_EX | syscall.LOCK_NB
	if shared {
		flag = os.O_RDONLY
		how = syscall.LOCK_SH | syscall.LOCK_NB
	}

	file, err := lockNamed(name, flag, how)
	if err != nil {
		return nil, err
	}

	// Network file systems lock a directory not at all, or not exclusively.
	dir, err := os.Open(filepath.Dir(name))
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	switch err := flock(dir, how); {
	case errors.Is(err, ErrLocked):
		return nil, errors.Join(err, file.Close(), dir.Close())
	case err != nil:
		return &fileLock{file: file}, dir.Close()
	}
	return &fileLock{file, dir}, nil
}

// lockNamed opens and locks a file, again if it has lost its name before it was
// locked.
func lockNamed(name string, flag, how int) (*os.File, error) {
	for {
		f, err := os.OpenFile(name, flag, 0o644)
		if err != nil {
			return nil, err
		}
		if err := flock(f, how); err != nil {
			return nil, errors.Join(err, f.Close())
		}

		// The lock counts only if the name still leads to the file that is
		// locked.
		locked, err := f.Stat()
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		named, err := os.Stat(name)
		switch {
		case err == nil && os.SameFile(locked, named):
			return f, nil
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return nil, errors.Join(err, f.Close())
		}

		// Somebody removed or replaced the file meanwhile: try the new one.
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
}

// flock locks f, and returns ErrLocked if another has done so.
func flock(f *os.File, how int) error {
	for {
		err := syscall.Flock(int(f.Fd()), how)
		switch {
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EWOULDBLOCK):
			return fmt.Errorf("%w: %s", ErrLocked, f.Name())
		case err != nil:
			return &os.PathError{Op: "flock", Path: f.Name(), Err: err}
		default:
			return nil
		}
	}
}

func rename(from, to string) error { return os.Rename(from, to) }

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(unlessInvalid(d.Sync()), d.Close())
}

// unlessInvalid returns err, which is that of syncing a directory, unless it
// says that the file system cannot do so: that has nothing better to offer.
func unlessInvalid(err error) error {
	if errors.Is(err, syscall.EINVAL) {
		return nil
	}
	return err
}

// lacksRoom reports whether err may end when others give something back: space
// or descriptors.
func lacksRoom(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) ||
		errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// neverWritten reports whether err tells that nobody can write there.
func neverWritten(err error) bool { return errors.Is(err, syscall.EROFS) }
