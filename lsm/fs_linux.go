// SPDX-License-Identifier: MIT

package lsm

import (
	"errors"
	"os"
	"syscall"
)

// syncData makes the bytes and the length of f durable, and not its times,
// which saves a commit of the journal when blocks are allocated already.
func syncData(f *os.File) error {
	return control(f, "fdatasync", func(fd int) error { return syscall.Fdatasync(fd) })
}

// preallocate allocates blocks and extends the length at once, so that a sync
// within them does not have to write a new length.
func preallocate(f *os.File, size int64) error {
	err := control(f, "fallocate", func(fd int) error { return syscall.Fallocate(fd, 0, 0, size) })
	if errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOSYS) {
		return &os.PathError{Op: "fallocate", Path: f.Name(), Err: errors.ErrUnsupported}
	}
	return err
}

// SyncRange makes Linux write the pages of a range.
func (f *osFile) SyncRange(off, n int64) error {
	const write = 2 // SYNC_FILE_RANGE_WRITE
	return control(f.File, "sync_file_range", func(fd int) error { return syscall.SyncFileRange(fd, off, n, write) })
}

// control calls do with the descriptor of f, again as long as a signal
// interrupts it.
func control(f *os.File, op string, do func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}

	var failed error
	err = conn.Control(func(fd uintptr) {
		for {
			if failed = do(int(fd)); !errors.Is(failed, syscall.EINTR) {
				return
			}
		}
	})
	if err == nil && failed != nil {
		err = &os.PathError{Op: op, Path: f.Name(), Err: failed}
	}
	return err
}
