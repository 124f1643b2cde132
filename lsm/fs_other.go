//go:build (!unix && !windows) || aix || solaris

// SPDX-License-Identifier: MIT

package lsm

import (
	"errors"
	"io"
	"os"
)

// lockFile fails: without a lock two processes could write one database. What
// is on disk can be opened with Options.ReadOnly, and Options.FS can be a
// [MemFS].
func lockFile(name string) (io.Closer, error) {
	return nil, &os.PathError{Op: "lock", Path: name, Err: errors.ErrUnsupported}
}

func syncDir(string) error { return nil }
