// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/ashlar-go/ashlar/lsm"
)

// An archive is the file system of a database, and writes down what becomes
// durable there, in order: bytes of logs and manifests by each sync, a table by
// its only one, names that go. A goroutine ships that to a store.
//
// The order is that in which the calls return, and the database waits for one
// before it does what depends on it. So what is in the store, however much of
// it, is a disk after a loss of power, from which the database recovers.
//
// A file goes when the store has what was to be read from it. While the store
// is away the disk fills, and commits go on.
type archive struct {
	lsm.FS
	dir  string
	st   store
	opts archiveOptions
	f    *faults // those of opts

	stop context.CancelFunc
	done chan struct{} // closed when the goroutine has ended

	mu      sync.Mutex // protects the fields below
	files   map[string]*node
	queue   []op          // that was not shipped, the oldest first
	counted int64         // operations that were written down
	shipped int64         // of these, that the store has
	last    int64         // time of the last operation
	failed  error         // why nothing is shipped any more
	changed chan struct{} // closed and replaced when one of the above changes
	stats   stats
}

// archiveOptions are the optional settings of an archive.
type archiveOptions struct {
	now     func() time.Time // by which points of time are told; if nil, time.Now
	segment int64            // about how many bytes a segment has at most; if 0, 1 MiB
	f       *faults          // if nil, none
}

// stats say what was shipped.
type stats struct {
	Generations, Segments, Tables int
	SegmentBytes, TableBytes      int64
	Failures                      int // of requests
}

// An op is something that has become durable.
type op struct {
	At     int64  // its time, in nanoseconds since 1970
	Kind   string // one of those below
	Name   string `json:",omitempty"` // of the file
	Off    int64  `json:",omitempty"` // where its bytes are
	Len    int64  `json:",omitempty"` // and how many
	Object string `json:",omitempty"` // that has the table
}

// Kinds of operations.
const (
	opBytes = "bytes" // of a log or manifest; if there are none, its length
	opTable = "table"
	opGone  = "gone" // a name has gone
	opBegin = "begin"
	opBase  = "base" // all files that there were have been named
)

// A node is a file that the archive follows.
type node struct {
	name  string
	dirty []span // was written, and not synced
	kept  []span // was synced under a name that does not count yet
	part  bool   // it is a table that is not complete
	gone  bool   // it has no name any more
}

// A span is a range of a file.
type span struct{ off, n int64 }

// Kinds of files. Others are not shipped.
const (
	kindOther = iota
	kindLog
	kindTable
	kindManifest
	kindNew // a manifest that is being made
)

func kindOf(name string) int {
	switch {
	case strings.HasSuffix(name, ".wal"):
		return kindLog
	case strings.HasSuffix(name, ".sst"):
		return kindTable
	case name == "MANIFEST.tmp":
		return kindNew
	case strings.HasPrefix(name, "MANIFEST-"):
		return kindManifest
	}
	return kindOther
}

// newArchive returns the file system of the database in dir, which must not be
// open.
func newArchive(ctx context.Context, inner lsm.FS, dir string, st store, opts archiveOptions) (*archive, error) {
	if opts.now == nil {
		opts.now = time.Now
	}
	if opts.segment == 0 {
		opts.segment = 1 << 20
	}
	if opts.f == nil {
		opts.f = new(faults)
	}
	if err := inner.MkdirAll(dir); err != nil {
		return nil, err
	}
	names, err := inner.List(dir)
	if err != nil {
		return nil, err
	}
	a := &archive{
		FS: inner, dir: dir, st: st, opts: opts, f: opts.f,
		done: make(chan struct{}), files: map[string]*node{}, changed: make(chan struct{}),
	}
	for _, name := range names {
		if k := kindOf(name); k != kindOther && k != kindNew {
			a.files[name] = &node{name: name, part: k == kindTable && !a.complete(name)}
		}
	}
	if err := a.base(); err != nil {
		return nil, err
	}

	// What is shipped does not end with the call that has begun it.
	ctx, a.stop = context.WithCancel(context.WithoutCancel(ctx))
	go a.ship(ctx) // ends with close
	return a, nil
}

// complete reports whether a table has a footer. One that has none was being
// written when its process was killed.
func (a *archive) complete(name string) bool {
	f, err := a.FS.Open(filepath.Join(a.dir, name))
	if err != nil {
		return false
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil || size < footerLen {
		return false
	}
	b := make([]byte, len(footerMagic))
	_, err = f.ReadAt(b, size-footerLen)
	return err == nil && string(b) == footerMagic
}

// The footer of a table, of which FORMAT.md has all.
const (
	footerLen   = 64
	footerMagic = "ashlarst"
	nonceAt     = 16
)

// addLocked writes an operation down.
func (a *archive) addLocked(o op) {
	a.last = max(a.last, a.opts.now().UnixNano()) // a clock that goes back stands still
	o.At = a.last
	if a.f.late {
		o.At += int64(time.Minute)
	}
	a.queue = append(a.queue, o)
	a.counted++
	a.wakeLocked()
}

// wakeLocked tells all that wait that something has changed.
func (a *archive) wakeLocked() {
	close(a.changed)
	a.changed = make(chan struct{})
}

// base begins a generation: it writes down all files that there are, so that
// nothing before is needed. Syncs wait for it.
func (a *archive) base() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.addLocked(op{Kind: opBegin})
	for name, n := range a.files {
		if n.part || kindOf(name) == kindNew {
			continue
		}
		if err := a.baseOfLocked(name); err != nil {
			return err
		}
	}
	a.addLocked(op{Kind: opBase})
	return nil
}

// baseOfLocked writes down a file. Runs of zeros are free space of logs, and
// the bytes around them do not change.
func (a *archive) baseOfLocked(name string) error {
	f, err := a.FS.Open(filepath.Join(a.dir, name))
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return err
	}
	if kindOf(name) == kindTable {
		a.addLocked(op{Kind: opTable, Name: name, Len: size})
		return nil
	}

	buf := make([]byte, zeroRun)
	for off := int64(0); off < size; off += zeroRun {
		b := buf[:min(zeroRun, size-off)]
		if _, err := f.ReadAt(b, off); err != nil {
			return err
		}
		if n := len(strings.TrimRight(string(b), "\x00")); n > 0 {
			a.addLocked(op{Kind: opBytes, Name: name, Off: off, Len: int64(n)})
		}
	}
	a.addLocked(op{Kind: opBytes, Name: name, Off: size})
	return nil
}

// zeroRun is how much of a file is looked at at once.
const zeroRun = 64 << 10

// Create makes a file, which is followed from then on.
func (a *archive) Create(name string) (lsm.File, error) {
	f, err := a.FS.Create(name)
	if err != nil {
		return nil, err
	}
	base := filepath.Base(name)
	if kindOf(base) == kindOther {
		return f, nil
	}
	n := &node{name: base, part: kindOf(base) == kindTable}
	a.mu.Lock()
	a.files[base] = n
	a.mu.Unlock()
	return &file{f, a, n}, nil
}

// OpenWrite opens a file for reading and writing.
func (a *archive) OpenWrite(name string) (lsm.File, error) {
	f, err := a.FS.OpenWrite(name)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	n := a.files[filepath.Base(name)]
	a.mu.Unlock()
	if n == nil {
		return f, nil
	}
	return &file{f, a, n}, nil
}

// Rename gives a file another name. Only with that name it is a manifest, all
// of it at once.
func (a *archive) Rename(from, to string) error {
	if err := a.FS.Rename(from, to); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.files[filepath.Base(from)]
	if n == nil {
		return nil
	}
	delete(a.files, n.name)
	n.name = filepath.Base(to)
	a.files[n.name] = n
	if a.f.noRename {
		return nil
	}
	for _, s := range n.kept {
		a.addLocked(op{Kind: opBytes, Name: n.name, Off: s.off, Len: s.n})
	}
	n.kept = nil
	return nil
}

// Remove removes a file: at once if nothing of it is shipped, and else when the
// store has what was there before.
func (a *archive) Remove(name string) error {
	base := filepath.Base(name)
	a.mu.Lock()
	n := a.files[base]
	known := n != nil && kindOf(base) != kindNew
	if known {
		a.addLocked(op{Kind: opGone, Name: base})
		n.gone = true
	}
	delete(a.files, base)
	a.mu.Unlock()
	switch {
	case known && !a.f.removeAtOnce:
		return nil
	case n == nil && kindOf(base) != kindOther && kindOf(base) != kindNew:
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist} // it goes already
	}
	return a.FS.Remove(name)
}

// A file is one that the archive follows.
type file struct {
	lsm.File
	a *archive
	n *node
}

// WriteAt writes, and remembers where.
func (f *file) WriteAt(b []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(b, off)
	f.a.mu.Lock()
	defer f.a.mu.Unlock()
	if k := len(f.n.dirty) - 1; k >= 0 && f.n.dirty[k].off+f.n.dirty[k].n == off {
		f.n.dirty[k].n += int64(n)
	} else if n > 0 {
		f.n.dirty = append(f.n.dirty, span{off, int64(n)})
	}
	return n, err
}

// Sync makes durable what was written, and writes it down before it returns.
func (f *file) Sync() error {
	f.a.mu.Lock()
	list := f.n.dirty
	f.n.dirty = nil
	f.a.mu.Unlock()
	err := f.File.Sync()
	size, sizeErr := f.Size()

	f.a.mu.Lock()
	defer f.a.mu.Unlock()
	if err != nil {
		f.n.dirty = append(list, f.n.dirty...)
		return err
	}
	if f.n.gone {
		return nil
	}
	switch kindOf(f.n.name) {
	case kindNew:
		f.n.kept = append(f.n.kept, list...)
	case kindTable:
		f.n.part = false
		f.a.addLocked(op{Kind: opTable, Name: f.n.name, Len: size})
		return sizeErr
	default:
		for _, s := range list {
			f.a.addLocked(op{Kind: opBytes, Name: f.n.name, Off: s.off, Len: s.n})
		}
	}
	return nil
}

// SyncRange lets the system begin to write, if it can.
func (f *file) SyncRange(off, n int64) error {
	if r, ok := f.File.(lsm.RangeSyncer); ok {
		return r.SyncRange(off, n)
	}
	return nil
}
