// SPDX-License-Identifier: MIT

package lsm

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestInterrupted checks that a call that a signal interrupts is made again,
// and that another error is reported.
func TestInterrupted(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "a"))
	must(t, err)
	for _, want := range []error{nil, syscall.EIO} {
		calls := 0
		err := control(f, "test", func(int) error {
			if calls++; calls < 3 {
				return syscall.EINTR
			}
			return want
		})
		isError(t, "interrupted twice", err, want)
		equal(t, "calls", calls, 3)
	}
	must(t, f.Close())
	if err := control(f, "test", func(int) error { return nil }); err == nil {
		t.Error("a closed file: got no error, want one")
	}
}

// TestPreallocate checks that a file has the length that was reserved, and
// zeros in it.
func TestPreallocate(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "a"))
	must(t, err)
	const size = 5000
	if err := preallocate(f, size); errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(f.Name())
	must(t, err, f.Close())
	equal(t, "length", len(b), size)
	equal(t, "zeros", allZero(b), true)
}

// TestPreallocateUnsupported checks what a file says that cannot reserve space,
// as those of the kernel cannot.
func TestPreallocateUnsupported(t *testing.T) {
	f, err := os.OpenFile("/proc/self/comm", os.O_RDWR, 0)
	if err != nil {
		t.Skip(err)
	}
	isError(t, "Preallocate", preallocate(f, 100), errors.ErrUnsupported)
	must(t, f.Close())
}
