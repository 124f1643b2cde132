// SPDX-License-Identifier: MIT

package lsm

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"path/filepath"
	"time"
)

// Open opens the database in dir, or makes one there. If opts is nil, the
// defaults are used.
//
// After a crash the database has the state after some commit, and all commits
// before: no Sync commit that had returned is missing, and after a crash of the
// process alone no NoSync commit. A damaged database gives an error that is
// [ErrCorrupt], and one that is open already [ErrLocked]. On a full disk Open
// succeeds: reads work, and commits wait for space. If there are more than 64
// logs, and not more than 1 GiB to copy, Open makes one of them.
func Open(dir string, opts *Options) (*DB, error) {
	return openWith(dir, opts, rand.Uint64, noLimits)
}

// limits are what tests lower, so that small databases do what large ones do.
type limits struct {
	versions int             // of a memtable
	edits    int64           // bytes in a manifest after the snapshot
	manifest int64           // bytes of a manifest; if zero, maxManifestLen
	closing  int             // versions of which Close makes no table; if zero, any number
	trigger  int             // tables of level 0 that are merged; if zero, only Compact does
	table    int64           // bytes of a table that is merged; if zero, 32 MiB
	after    func(*tableSet) // called when tables have changed
	base     int64           // bytes of the first level after 0 that is used; if zero, 64 MiB
}

// noLimits are the limits outside of tests.
var noLimits = limits{versions: math.MaxInt, edits: 64 << 10, trigger: defaultTables}

// openWith is Open with a source of nonces, and with limits.
func openWith(dir string, opts *Options, nonce func() uint64, lim limits) (*DB, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	db := &DB{
		dir:   dir,
		opts:  opts.resolve(),
		nonce: nonce,
		start: time.Now(),
		done:  make(chan struct{}),
		lim:   lim,
	}

	// The parts know their database.
	db.lim.manifest = cmp.Or(lim.manifest, maxManifestLen)
	db.lim.table = cmp.Or(lim.table, 32<<20)
	db.lim.base = cmp.Or(lim.base, 64<<20)
	db.lim.closing = cmp.Or(lim.closing, math.MaxInt)
	db.commits.db = db
	db.commits.open = &group{}
	db.logs.db = db
	db.logs.quit = make(chan struct{})
	db.installed.db = db
	db.files.limit = db.opts.MaxOpenFiles
	db.installed.turn = make(chan struct{}, 1)
	db.state.Store(&readState{mem: newMemtable(), tables: &tableSet{}})

	// A failed Open leaves nothing open.
	if err := db.open(); err != nil {
		return nil, openError(dir, errors.Join(err, db.release()))
	}
	db.commits.mu.Lock()
	defer db.commits.mu.Unlock()
	db.pressLocked()
	db.scheduleCompactionLocked()
	return db, nil
}

// openError adds the subject to the error of a failed Open, unless the error
// has one.
func openError(dir string, err error) error {
	var path *fs.PathError
	switch {
	case errors.Is(err, ErrCorrupt), errors.Is(err, ErrVersion), errors.Is(err, ErrLocked):
		return err
	case errors.As(err, &path):
		return fmt.Errorf("lsm: %w", err)
	default:
		return fmt.Errorf("lsm: open %s: %w", dir, err)
	}
}

// open finds or makes the files, and reads them.
func (db *DB) open() error {
	if r, ok := db.opts.FS.(Resolver); ok {
		dir, err := r.Abs(db.dir)
		if err != nil {
			return err
		}
		db.dir = dir
	}
	if err := db.lockDir(); err != nil {
		return err
	}

	// A database is there if a manifest is.
	files, err := list(db.opts.FS, db.dir)
	if err != nil {
		return err
	}
	found := len(files.manifests) > 0
	switch {
	case found && db.opts.ErrorIfExists:
		return fs.ErrExist
	case !found && (db.opts.ErrorIfMissing || db.opts.ReadOnly):
		return fs.ErrNotExist
	case !found:
		return db.create(files)
	default:
		return db.recover(files)
	}
}

// lockDir makes the directory, if it may, and locks it.
func (db *DB) lockDir() error {
	fsys := db.opts.FS
	name := filepath.Join(db.dir, lockName)
	if db.opts.ReadOnly {
		lock, err := lockShared(fsys, name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !neverWritten(err) {
			return err
		}
		db.lock = lock
		return nil
	}

	// Again even if the directory is there: a crash may have come before it
	// was durable.
	if !db.opts.ErrorIfMissing {
		files, err := list(fsys, db.dir)
		if err != nil || len(files.manifests) == 0 {
			if err := fsys.MkdirAll(db.dir); err != nil {
				return err
			}
		}
	}

	// The lock is held until Close.
	lock, err := fsys.Lock(name)
	if err != nil {
		return err
	}
	db.lock = lock
	return nil
}

// lockShared takes a lock that others may have as well, where that is possible.
func lockShared(fsys FS, name string) (io.Closer, error) {
	if s, ok := fsys.(SharedLocker); ok {
		return s.LockShared(name)
	}
	return fsys.Lock(name)
}

// release closes the files that are open. No goroutine uses db any more.
func (db *DB) release() error {
	logs := &db.logs
	files := []*logFile{logs.current, logs.tail, logs.next}
	if r := logs.pending; r != nil {
		files = append(files, r.last, r.next)
	}
	for _, l := range files {
		if l != nil {
			_ = l.f.Close() // nothing depends on it: it is synced, closed already, or has failed
		}
	}
	for _, tables := range db.state.Load().tables.levels {
		for _, t := range tables {
			_ = t.close() // it was only read
		}
	}
	for _, z := range db.readers.zombies {
		_ = z.close() // it was only read
	}
	_ = db.installed.close() // it is synced, or has failed

	// The lock goes last.
	if db.lock == nil {
		return nil
	}
	return db.lock.Close()
}

// create makes the first log and then the manifest. Logs that are there already
// were left by an Open that did not get as far, unless they hold something:
// then the manifest has been lost.
func (db *DB) create(files listing) error {
	fsys := db.opts.FS
	if len(files.tables) > 0 {
		return corrupt(filepath.Join(db.dir, tableName(files.tables[0])), 0, "there is a table, but no manifest")
	}

	// Logs without a manifest are left by a creation that crashed, and are
	// empty. Check all before one is removed.
	for _, no := range files.logs {
		if err := db.checkStray(no); err != nil {
			return err
		}
	}
	for _, no := range files.logs {
		if err := fsys.Remove(filepath.Join(db.dir, logName(no))); err != nil {
			return err
		}
	}

	// The log first, then the manifest that names it.
	db.id = db.nonce()
	db.logs.nextNo = 1
	log, err := db.logs.create(db.opts.LogSize)
	if err != nil {
		return err
	}
	db.logs.begin(log)
	db.logs.chain = []uint64{log.no}
	first := logRef{log.no, log.nonce}
	db.state.Load().mem.log = first
	return db.installed.replace(manifest{oldest: first, nextFile: db.logs.nextNo}, db.state.Load().tables)
}

// checkStray returns an error if a log that is not part of the database holds a
// record.
func (db *DB) checkStray(no uint64) error {
	r, err := openLog(db.opts.FS, filepath.Join(db.dir, logName(no)))
	if errors.Is(err, ErrCorrupt) {
		return nil // a crash came before its header was durable
	}
	if err != nil {
		return err
	}

	// A record means that a manifest was lost.
	_, _, n, err := r.recordAt(logHeaderLen)
	if err == nil && n > 0 {
		err = r.corrupt(0, "no file refers to this log, which is not empty")
	}
	if err == nil {
		err = r.tail()
	}
	return errors.Join(err, r.f.Close())
}
