// SPDX-License-Identifier: MIT

package lsm

import (
	"bytes"
	"errors"
	"io/fs"
	"path/filepath"
)

// A readState is where a reader looks, the newest first: mem, then imms and
// tables from the last to the first. It never changes. A reader loads it first
// and then the visible sequence: everything up to that is in it.
type readState struct {
	mem    *memtable   // written under commits.mu
	imms   []*memtable // nobody writes them any more; the oldest first
	tables []*dbTable  // the oldest first
}

// memory returns the bytes of all memtables.
func (s *readState) memory() int64 {
	n := s.mem.bytes()
	for _, m := range s.imms {
		n += m.bytes()
	}
	return n
}

// inMemory returns the newest version of key up to seq in the memtables. ok is
// false if there is none.
func (s *readState) inMemory(key []byte, seq uint64) (value []byte, kind byte, ok bool) {
	if value, kind, ok = s.mem.get(key, seq); ok {
		return value, kind, true
	}
	for i := len(s.imms) - 1; i >= 0; i-- {
		if value, kind, ok = s.imms[i].get(key, seq); ok {
			return value, kind, true
		}
	}
	return nil, 0, false
}

// inTables returns the newest version of key in the tables, which are all
// visible. The value is in buf. ok is false if there is none. An error does not
// lead to an older table.
func (s *readState) inTables(key []byte, buf *blockBuffer) (e blockEntry, ok bool, err error) {
	hash := filterHash(key)
	for i := len(s.tables) - 1; i >= 0; i-- {
		t := s.tables[i]
		if bytes.Compare(key, t.smallest) < 0 || bytes.Compare(key, t.largest) > 0 {
			continue
		}
		if e, ok, err = t.table.find(key, hash, maxSeq, buf); ok || err != nil {
			return e, ok, err
		}
	}
	return e, false, nil
}

// A dbTable is a table of a database.
type dbTable struct {
	tableMeta
	f     File
	table *Table
}

// openTable opens a table that a manifest names, or will.
func (db *DB) openTable(meta tableMeta) (*dbTable, error) {
	name := filepath.Join(db.dir, tableName(meta.no))
	f, err := db.opts.FS.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &CorruptError{File: name, Err: fs.ErrNotExist}
	}
	if err != nil {
		return nil, err
	}

	// The table must be the one that was named.
	size, err := f.Size()
	if err == nil && uint64(size) != meta.size {
		err = corrupt(name, 0, "the file does not have the length that it was written with")
	}
	var t *Table
	if err == nil {
		t, err = newTable(f, size, name)
	}
	if err == nil && t.foot.nonce != meta.nonce {
		err = corrupt(name, t.foot.at, "the file has the place of another")
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &dbTable{tableMeta: meta, f: f, table: t}, nil
}

// close closes the file of t, which may be nil.
func (t *dbTable) close() error {
	if t == nil {
		return nil
	}
	return t.f.Close()
}
