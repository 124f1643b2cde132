//go:build (!unix && !windows) || aix || solaris

// SPDX-License-Identifier: MIT

package lsm

import (
	"errors"
	"io"
	"os"
)

// lockFile fails: without a lock two processes could write one database, or
// one read it while another writes. Options.FS can be a [MemFS].
func lockFile(name string, _ bool) (io.Closer, error) {
	return nil, &os.PathError{Op: "lock", Path: name, Err: errors.ErrUnsupported}
}

func rename(from, to string) error { return os.Rename(from, to) }

func syncDir(string) error { return nil }

// lacksRoom reports whether err may end when others give something back.
func lacksRoom(error) bool { return false }

// neverWritten reports whether err tells that nobody can write there.
func neverWritten(err error) bool { return errors.Is(err, errors.ErrUnsupported) }
