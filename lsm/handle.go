// SPDX-License-Identifier: MIT

package lsm

import (
	"errors"
	"io/fs"
	"sync"
	"sync/atomic"
)

// descriptors bound how many tables of a database have an open file: the files
// that were not used lately are closed, and opened again when they are read.
type descriptors struct {
	limit  int
	misses atomic.Uint64 // data blocks that were not in the cache

	mu   sync.Mutex // protects all below; held to open and close, not to read
	list []*handle  // those with an open file
	hand int
}

// A handle reads a file, which it opens when that is needed.
type handle struct {
	files *descriptors
	fsys  FS
	name  string

	file   atomic.Pointer[File]
	used   atomic.Bool // since the hand came by
	closed atomic.Bool // for good
}

// ReadAt reads from the file.
func (h *handle) ReadAt(b []byte, off int64) (int, error) {
	for {
		f, err := h.reader()
		if err != nil {
			return 0, err
		}
		n, err := (*f).ReadAt(b, off)
		if !h.lost(f, err) {
			return n, err
		}
	}
}

// size returns the length of the file.
func (h *handle) size() (int64, error) {
	for {
		f, err := h.reader()
		if err != nil {
			return 0, err
		}
		n, err := (*f).Size()
		if !h.lost(f, err) {
			return n, err
		}
	}
}

// lost reports whether err is there because f was closed for another file,
// after it was found and before it was used.
func (h *handle) lost(f *File, err error) bool {
	return errors.Is(err, fs.ErrClosed) && h.file.Load() != f
}

// reader returns the open file.
func (h *handle) reader() (*File, error) {
	if !h.used.Load() {
		h.used.Store(true)
	}
	if f := h.file.Load(); f != nil {
		return f, nil
	}
	return h.files.reopen(h)
}

// reopen opens the file of h, and closes others if there are too many.
func (o *descriptors) reopen(h *handle) (*File, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if f := h.file.Load(); f != nil {
		return f, nil // another goroutine was first
	}
	if h.closed.Load() {
		return nil, fs.ErrClosed
	}

	// Without a descriptor for it, half of the others are given up.
	o.closeLocked(o.limit - 1)
	f, err := h.fsys.Open(h.name)
	if lacksRoom(err) && len(o.list) > 0 {
		o.closeLocked(len(o.list) / 2)
		f, err = h.fsys.Open(h.name)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &CorruptError{File: h.name, Err: fs.ErrNotExist} // a manifest names it
	case err != nil:
		return nil, err
	}
	h.file.Store(&f)
	o.list = append(o.list, h)
	return &f, nil
}

// closeLocked closes files until at most n are open.
func (o *descriptors) closeLocked(n int) {
	for len(o.list) > n {
		if o.hand >= len(o.list) {
			o.hand = 0
		}
		h := o.list[o.hand]
		if h.used.Swap(false) {
			o.hand++
			continue
		}
		o.dropLocked(o.hand)
		_ = (*h.file.Swap(nil)).Close() // it was only read
	}
}

// spare closes half of the files if err may be because of them: the next log,
// table or manifest needs a descriptor as well.
func (o *descriptors) spare(err error) {
	if !lacksRoom(err) {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closeLocked(len(o.list) / 2)
}

// closeAll closes all files, until they are read again.
func (o *descriptors) closeAll() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closeLocked(0)
}

// dropLocked takes place i out of the list.
func (o *descriptors) dropLocked(i int) {
	last := len(o.list) - 1
	o.list[i] = o.list[last]
	o.list[last] = nil
	o.list = o.list[:last]
}

// close closes the file for good.
func (h *handle) close() error {
	o := h.files
	o.mu.Lock()
	defer o.mu.Unlock()
	h.closed.Store(true)
	f := h.file.Swap(nil)
	if f == nil {
		return nil
	}
	for i := range o.list {
		if o.list[i] == h {
			o.dropLocked(i)
			break
		}
	}
	return (*f).Close()
}
