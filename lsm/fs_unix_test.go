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

// TestUnlessInvalid checks which errors of syncing a directory count.
func TestUnlessInvalid(t *testing.T) {
	for _, c := range []struct{ got, want error }{
		{nil, nil},
		{&os.PathError{Op: "sync", Path: "dir", Err: syscall.EINVAL}, nil},
		{&os.PathError{Op: "sync", Path: "dir", Err: syscall.EIO}, syscall.EIO},
	} {
		err := unlessInvalid(c.got)
		equal(t, fmt.Sprintf("%v is an error", c.got), err != nil, c.want != nil)
		isError(t, "it", err, c.want)
	}
}

// TestMkdirAll checks which directories are synced when one is made, or was
// there: all above it, except for those that may not be read. The case is one
// of mkdir_all_and_sync_parents in testdata of github.com/cockroachdb/pebble,
// but for what was there already, which may lack its sync.
func TestMkdirAll(t *testing.T) {
	t.Chdir(t.TempDir())
	var synced []string
	fails := map[string]error{"foo/bar": fs.ErrPermission}
	record := func(dir string) error {
		synced = append(synced, dir)
		return fails[dir]
	}
	for _, what := range []string{"new", "there"} {
		synced = nil
		must(t, mkdirAll("foo/bar/baz/bax", record))
		equal(t, what+": synced directories", strings.Join(synced, " "), "foo/bar/baz foo/bar foo .")
	}
	info, err := os.Stat("foo/bar/baz/bax")
	must(t, err)
	equal(t, "it is a directory", info.IsDir(), true)

	synced = nil
	abs, err := filepath.Abs("foo")
	must(t, err)
	must(t, mkdirAll(abs, record))
	equal(t, "the last one above an absolute path", synced[len(synced)-1], "/")
	fails["foo"] = syscall.EIO
	isError(t, "a sync that fails", mkdirAll("foo/bar/baz", record), syscall.EIO)
	must(t, os.WriteFile("file", nil, 0o644))
	isError(t, "a file in the way", OSFS{}.MkdirAll("file/dir"), syscall.ENOTDIR)
	isError(t, "a directory above which all can be synced", OSFS{}.MkdirAll("dir/dir"), nil)
}

// TestOSFSErrors checks that each method says what is wrong with a name that
// is missing, or is of something else.
func TestOSFSErrors(t *testing.T) {
	t.Chdir(t.TempDir())
	must(t, os.WriteFile("file", nil, 0o644), os.Mkdir("dir", 0o755))
	open := func(_ File, err error) error { return err }
	lock := func(_ io.Closer, err error) error { return err }
	list := func(_ []string, err error) error { return err }
	size := func(_ int64, err error) error { return err }
	for what, c := range map[string]struct{ got, want error }{
		"List":              {list(OSFS{}.List("gone")), fs.ErrNotExist},
		"List of a file":    {list(OSFS{}.List("file")), syscall.ENOTDIR},
		"Open":              {open(OSFS{}.Open("gone")), fs.ErrNotExist},
		"OpenWrite":         {open(OSFS{}.OpenWrite("gone")), fs.ErrNotExist},
		"Create":            {open(OSFS{}.Create("file")), fs.ErrExist},
		"Create in nothing": {open(OSFS{}.Create("gone/file")), fs.ErrNotExist},
		"Rename":            {OSFS{}.Rename("gone", "other"), fs.ErrNotExist},
		"Remove":            {OSFS{}.Remove("gone"), fs.ErrNotExist},
		"SyncDir":           {OSFS{}.SyncDir("gone"), fs.ErrNotExist},
		"Lock":              {lock(OSFS{}.Lock("gone/LOCK")), fs.ErrNotExist},
		"LockShared":        {lock(OSFS{}.LockShared("gone")), fs.ErrNotExist},
		"Size":              {size(OSFS{}.Size("gone")), fs.ErrNotExist},
		"Link":              {OSFS{}.Link("gone", "other"), fs.ErrNotExist},
	} {
		isError(t, what, c.got, c.want)
	}

	f, err := OSFS{}.Create("new")
	must(t, err, f.Close())
	isError(t, "Size of a closed file", size(f.Size()), fs.ErrClosed)
}
