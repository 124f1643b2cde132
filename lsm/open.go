// SPDX-License-Identifier: MIT

package lsm

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
)

// Open opens the database in dir, or makes one there. A nil opts means the defaults.
//
// What it finds after a crash is the state after some commit, and all before it: no Sync commit that
// had returned is missing, and after a crash of the process alone no NoSync commit. A damaged
// database gives an error that is [ErrCorrupt], and one that is open already [ErrLocked].
func Open(dir string, opts *Options) (*DB, error) {
	return openWith(dir, opts, rand.Uint64)
}

// openWith is Open with a source of nonces.
func openWith(dir string, opts *Options, nonce func() uint64) (_ *DB, err error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	db := &DB{
		dir: dir, opts: opts.withDefaults(), mem: newMemtable(), pend: &group{},
		quit: make(chan struct{}), done: make(chan struct{}), nonce: nonce,
	}
	defer func() {
		if err != nil {
			db.abandon()
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
				err = fmt.Errorf("lsm: open %s: %w", dir, err)
			}
		}
	}()
	found, err := db.prepareDir()
	if err != nil {
		return nil, err
	}
	if !found {
		if err := db.create(); err != nil {
			return nil, err
		}
	}
	if err := db.recover(); err != nil {
		return nil, err
	}
	db.visible.Store(db.seq)
	db.synced, db.opened = db.seq, db.seq
	return db, nil
}

// abandon releases what a failed Open has taken.
func (db *DB) abandon() {
	if db.log != nil {
		_ = db.log.f.Close()
	}
	if db.lock != nil {
		_ = db.lock.Close()
	}
}

// prepareDir locks the directory, and reports whether there is a database in it.
func (db *DB) prepareDir() (found bool, err error) {
	fsys, o := db.opts.FS, &db.opts
	if !o.ReadOnly && !o.ErrorIfMissing {
		// Again even if the directory is there: a crash may have come before it was durable.
		if names, err := fsys.List(db.dir); err != nil || !hasManifest(names) {
			if err := fsys.MkdirAll(db.dir); err != nil {
				return false, err
			}
		}
	}
	lock, err := fsys.Lock(filepath.Join(db.dir, lockName))
	switch {
	case err == nil:
		db.lock = lock
	case !o.ReadOnly || errors.Is(err, ErrLocked):
		return false, err
	}
	names, err := fsys.List(db.dir)
	if err != nil {
		return false, err
	}
	found = hasManifest(names)
	if found && o.ErrorIfExists {
		return false, fs.ErrExist
	}
	if !found && (o.ErrorIfMissing || o.ReadOnly) {
		return false, fs.ErrNotExist
	}
	return found, nil
}

func hasManifest(names []string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		_, ok := parseName(name, "MANIFEST-", "")
		return ok
	})
}

// create makes the first log and then the manifest. Logs that are there already were left by an Open
// that did not get as far, unless they hold something: then the manifest has been lost.
func (db *DB) create() error {
	fsys := db.opts.FS
	names, err := fsys.List(db.dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, ok := parseName(name, "", ".wal"); ok {
			if err := db.checkStray(name); err != nil {
				return err
			}
		}
	}
	for _, name := range names {
		if _, ok := parseName(name, "", ".wal"); ok || name == tmpName {
			if err := fsys.Remove(filepath.Join(db.dir, name)); err != nil {
				return err
			}
		}
	}
	l, err := createLog(fsys, db.dir, 1, 0, db.nonce(), db.opts.LogSize)
	if err != nil {
		return err
	}
	if err := l.f.Close(); err != nil {
		return err
	}
	return manifest{minLog: 1}.write(fsys, db.dir, 1)
}

// load reads a file as a whole.
func (db *DB) load(name string) (path string, b []byte, err error) {
	path = filepath.Join(db.dir, name)
	f, err := db.opts.FS.Open(path)
	if err != nil {
		return path, nil, err
	}
	size, err := f.Size()
	if err == nil {
		b = make([]byte, size)
		var n int
		if n, err = f.ReadAt(b, 0); n == len(b) {
			err = nil // ReadAt may say EOF here
		}
	}
	return path, b, errors.Join(err, f.Close())
}

// checkStray returns an error if a log that is not part of the database holds a record.
func (db *DB) checkStray(name string) error {
	path, b, err := db.load(name)
	if err != nil {
		return err
	}
	r := logReader{name: path, b: b}
	if r.header() != nil {
		return nil // a crash came before it was durable
	}
	return r.read(func(recordHead, []byte, int64) error {
		return r.corrupt(0, "no file refers to this log, which is not empty")
	})
}

// recover reads the logs, and makes the last of them current or, if it has records, begins a
// new one after it.
func (db *DB) recover() error {
	names, err := db.opts.FS.List(db.dir)
	if err != nil {
		return err
	}
	var logs []uint64
	newest := uint64(0) // manifest
	for _, name := range names {
		if no, ok := parseName(name, "", ".wal"); ok {
			logs = append(logs, no)
			db.nextNo = max(db.nextNo, no+1)
		}
		if no, ok := parseName(name, "MANIFEST-", ""); ok {
			newest = max(newest, no)
		}
		if _, ok := parseName(name, "", ".sst"); ok {
			return &versionError{filepath.Join(db.dir, name), 0}
		}
	}
	path, b, err := db.load(manifestName(newest))
	if err != nil {
		return err
	}
	m, err := decodeManifest(path, b)
	if err != nil {
		return err
	}
	before, last, chain, err := db.replay(m.minLog)
	if err != nil {
		return err
	}
	for _, no := range logs {
		if no < m.minLog || chain[no] {
			continue
		}
		if err := db.checkStray(logName(no)); err != nil {
			return err
		}
		if !db.opts.ReadOnly {
			_ = db.opts.FS.Remove(filepath.Join(db.dir, logName(no))) // if it stays, it comes here again
		}
	}
	if db.opts.ReadOnly {
		return nil
	}
	return db.resume(before, last)
}

// replay reads the logs from number no on, each of which names the next, up to the one that
// has no seal. It returns that and the one before, if there is one, and the numbers of all.
func (db *DB) replay(no uint64) (before, last *logReader, chain map[uint64]bool, err error) {
	chain = map[uint64]bool{}
	for prev := uint64(0); ; {
		path, b, err := db.load(logName(no))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil, nil, &CorruptError{File: path, Err: fs.ErrNotExist}
		}
		if err != nil {
			return nil, nil, nil, err
		}
		r := &logReader{name: path, b: b}
		if err := r.header(); err != nil {
			return nil, nil, nil, err
		}
		if r.no != no || prev != 0 && r.prev != prev {
			return nil, nil, nil, r.corrupt(0, "the file has the place of another")
		}
		if err := r.read(func(h recordHead, body []byte, off int64) error { return db.apply(r, h, body, off) }); err != nil {
			return nil, nil, nil, err
		}
		chain[no] = true
		if !r.sealed {
			return before, r, chain, nil
		}
		if r.next <= no {
			return nil, nil, nil, r.corrupt(r.end, "the next log is an older one")
		}
		before, prev, no = r, no, r.next
	}
}

// apply puts the operations of a record into the memtable.
func (db *DB) apply(r *logReader, h recordHead, body []byte, off int64) error {
	if h.first != db.seq+1 {
		return r.corrupt(off, fmt.Sprintf("operation %d follows %d", h.first, db.seq))
	}
	if h.kind != recordData {
		return nil
	}
	n := uint32(0)
	for ; len(body) > 0; n++ {
		o, rest, ok := decodeOp(body)
		if !ok {
			return r.corrupt(off, "an operation is damaged")
		}
		if !db.mem.arena.fits(int64(len(o.key) + len(o.value) + maxEntryExtra)) {
			return ErrFull
		}
		db.seq++
		db.mem.insert(o.key, o.value, db.seq, o.kind)
		body = rest
	}
	if n != h.count {
		return r.corrupt(off, fmt.Sprintf("%d operations, want %d", n, h.count))
	}
	return nil
}

// resume makes the log that last has read current or, if that has operations or traces of a crash, seals
// it and begins a new one.
//
// What was read may have been in the cache of the system only: a process was killed before it synced, or a
// sync has failed, after which the pages count as clean. Before anyone sees it, it is written again
// where it is, and then synced. A record in a log says that the log before is durable.
func (db *DB) resume(before, last *logReader) error {
	fsys := db.opts.FS
	if err := fsys.SyncDir(db.dir); err != nil { // the name of the manifest
		return err
	}
	if before != nil && last.records == 0 {
		l, err := db.rewrite(before)
		if err != nil {
			return err
		}
		if err := l.f.Close(); err != nil {
			return err
		}
	}
	l, err := db.rewrite(last)
	if err != nil {
		return err
	}
	db.log, db.currentNo, db.used = l, l.no, l.off
	if last.groups == 0 && last.unused() {
		return allocate(l.f, db.opts.LogSize)
	}
	next, err := createLog(fsys, db.dir, db.nextNo, last.no, db.nonce(), db.opts.LogSize)
	if err != nil {
		return err
	}
	db.nextNo++
	if err := l.seal(next.no, db.seq+1); err != nil {
		_ = next.f.Close()
		return err
	}
	db.log, db.currentNo, db.used = next, next.no, next.off
	return nil
}

// rewrite opens the log that r has read, and makes durable what may not be.
func (db *DB) rewrite(r *logReader) (*logFile, error) {
	f, err := db.opts.FS.OpenWrite(r.name)
	if err != nil {
		return nil, err
	}
	l := &logFile{f: f, name: r.name, no: r.no, salt: r.salt, off: r.end}
	if r.synced < r.end {
		_, err = f.WriteAt(r.b[r.synced:r.end], r.synced)
	}
	if err == nil {
		err = l.sync()
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return l, nil
}
