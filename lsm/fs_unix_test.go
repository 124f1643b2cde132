//go:build unix && !aix && !solaris

// SPDX-License-Identifier: MIT

package lsm

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// TestLockReplaced checks that a lock is of the file that has the name now: a
// file that is replaced between its opening and its locking does not count.
func TestLockReplaced(t *testing.T) {
	name := filepath.Join(t.TempDir(), lockName)
	old, err := lockNamed(name, os.O_RDWR|os.O_CREATE, syscall.LOCK_EX)
	must(t, err)

	// A second lock opens the file, and waits for the first.
	type result struct {
		f   *os.File
		err error
	}
	locked := make(chan result)
	go func() {
		f, err := lockNamed(name, os.O_RDWR|os.O_CREATE, syscall.LOCK_EX)
		locked <- result{f, err}
	}()
	for stack := make([]byte, 1<<20); !strings.Contains(string(stack[:runtime.Stack(stack, true)]), "syscall.Flock("); {
		runtime.Gosched()
	}

	// Meanwhile the file is replaced.
	must(t, os.Remove(name))
	must(t, os.WriteFile(name, nil, 0o644))
	must(t, old.Close())

	r := <-locked
	must(t, r.err)
	defer r.f.Close()
	got, err := r.f.Stat()
	must(t, err)
	want, err := os.Stat(name)
	must(t, err)
	if !os.SameFile(got, want) {
		t.Error("got the lock of a file without a name, want that of the file LOCK")
	}
}

// TestSyncDirInvalid checks that a file system which cannot sync directories
// at all, as that of the processes of Linux, is taken as it is.
func TestSyncDirInvalid(t *testing.T) {
	const dir = "/proc"
	d, err := os.Open(dir)
	if err != nil {
		t.Skip("there is no ", dir)
	}
	err = errors.Join(d.Sync(), d.Close())
	if !errors.Is(err, syscall.EINVAL) {
		t.Skip(dir, " can be synced: ", err)
	}
	if err := syncDir(dir); err != nil {
		t.Errorf("syncDir(%s): got %v, want no error", dir, err)
	}
}
