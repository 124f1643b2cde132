//go:build !linux

// SPDX-License-Identifier: MIT

package lsm

import (
	"errors"
	"os"
)

// syncData is Sync, which on Darwin is F_FULLFSYNC and elsewhere fsync or
// FlushFileBuffers.
func syncData(f *os.File) error { return f.Sync() }

// preallocate has no portable form: zeros are written.
func preallocate(f *os.File, _ int64) error {
	return &os.PathError{Op: "preallocate", Path: f.Name(), Err: errors.ErrUnsupported}
}
