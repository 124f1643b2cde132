// SPDX-License-Identifier: MIT

package lsm

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

// Errors of the system that package syscall does not name.
const (
	errTooManyOpenFiles syscall.Errno = 4
	errWriteProtected   syscall.Errno = 19
	errSharingViolation syscall.Errno = 32 // another has opened the file and does not share it
	errHandleDiskFull   syscall.Errno = 39
	errDiskFull         syscall.Errno = 112
)

// lockFile opens the file without sharing it, which is the lock.
func lockFile(name string, shared bool) (io.Closer, error) {
	path, err := syscall.UTF16PtrFromString(name)
	if err != nil {
		return nil, &os.PathError{Op: "lock", Path: name, Err: err}
	}

	access, share, mode := uint32(syscall.GENERIC_READ|syscall.GENERIC_WRITE), uint32(0), uint32(syscall.OPEN_ALWAYS)
	if shared {
		access, share, mode = syscall.GENERIC_READ, syscall.FILE_SHARE_READ, syscall.OPEN_EXISTING
	}
	h, err := syscall.CreateFile(path, access, share, nil, mode, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if errors.Is(err, errSharingViolation) {
		return nil, fmt.Errorf("%w: %s", ErrLocked, name)
	}
	if err != nil {
		return nil, &os.PathError{Op: "lock", Path: name, Err: err}
	}
	return os.NewFile(uintptr(h), name), nil
}

// rename tries for a second: virus scanners and indexers open files for a
// moment, and do not let them be replaced.
func rename(from, to string) error {
	for delay := time.Millisecond; ; delay *= 2 {
		err := os.Rename(from, to)
		busy := errors.Is(err, errSharingViolation) || errors.Is(err, syscall.ERROR_ACCESS_DENIED)
		if !busy || delay > time.Second/2 {
			return err
		}
		time.Sleep(delay)
	}
}

// syncDir has nothing to do: NTFS logs changes of directories, and has no call
// to flush one.
func syncDir(string) error { return nil }

// lacksRoom reports whether err may end when others give something back: space
// or descriptors.
func lacksRoom(err error) bool {
	return errors.Is(err, errDiskFull) || errors.Is(err, errHandleDiskFull) || errors.Is(err, errTooManyOpenFiles) ||
		errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EMFILE) // of a MemFS
}

// neverWritten reports whether err tells that nobody can write there.
func neverWritten(err error) bool { return errors.Is(err, errWriteProtected) }
