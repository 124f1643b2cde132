// SPDX-License-Identifier: MIT

package lsm

import (
	"errors"
	"io/fs"
	"path/filepath"
)

// A remover removes files that nothing refers to. Their numbers are not used
// again, so it does not matter when. pipeline.mu protects it.
type remover struct {
	running bool
	names   []string
}

// discard adds names of files that nothing refers to.
func (db *DB) discard(names ...string) {
	if len(names) == 0 {
		return
	}
	mu := &db.commits.mu
	mu.Lock()
	defer mu.Unlock()
	db.removal.names = append(db.removal.names, names...)
}

// removeObsolete closes and removes the files that nothing refers to. A file
// that cannot be removed is tried again the next time.
func (db *DB) removeObsolete() {
	mu := &db.commits.mu
	mu.Lock()
	tables := db.readers.freeLocked()
	names := db.removal.names
	db.removal.names = nil
	mu.Unlock()

	for _, t := range tables {
		_ = t.close() // it was only read
		names = append(names, tableName(t.no))
	}
	var left []string
	for _, name := range names {
		err := db.opts.FS.Remove(filepath.Join(db.dir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			left = append(left, name)
		}
	}
	db.discard(left...)
}

// scheduleRemovalLocked removes the tables that a reader was the last to need.
// Nothing is removed after a failure of the log.
func (db *DB) scheduleRemovalLocked() {
	if db.removal.running || db.logs.quitting || !db.readers.hasFreeLocked() {
		return
	}
	db.removal.running = true
	db.logs.background.Go(db.runRemoval) // ends when the files are removed
}

// runRemoval removes files until there are no others.
func (db *DB) runRemoval() {
	mu := &db.commits.mu
	for {
		db.removeObsolete()
		mu.Lock()
		more := db.readers.hasFreeLocked() && !db.logs.quitting
		db.removal.running = more
		mu.Unlock()
		if !more {
			return
		}
	}
}
