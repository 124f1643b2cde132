// SPDX-License-Identifier: MIT

package lsm

import (
	"bytes"
	"errors"
	"io/fs"
)

// A readState is where a reader looks, the newest first: mem, then imms from
// the last to the first, then the levels of tables. It never changes. A reader
// loads it first and then the visible sequence: everything up to that is in it.
type readState struct {
	mem    *memtable   // written under commits.mu
	imms   []*memtable // nobody writes them any more; the oldest first
	tables *tableSet
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

// inTables returns the newest version of key up to seq in the tables. The value
// is in buf, or in memory that does not change. ok is false if there is none.
// An error does not lead to an older table.
func (s *readState) inTables(key []byte, seq uint64, buf *blockBuffer) (e blockEntry, ok bool, err error) {
	hash := filterHash(key)
	first := s.tables.levels[0]
	for i := len(first) - 1; i >= 0; i-- {
		t := first[i]
		if bytes.Compare(key, t.smallest) < 0 || bytes.Compare(key, t.largest) > 0 {
			continue
		}
		if e, ok, err = t.find(key, hash, seq, buf); ok || err != nil {
			return e, ok, err
		}
	}

	// Of every other level, one table may have it.
	for level := 1; level < numLevels; level++ {
		if len(s.tables.levels[level]) == 0 {
			continue
		}
		t := s.tables.tableOf(level, key)
		if t == nil {
			continue
		}
		if e, ok, err = t.find(key, hash, seq, buf); ok || err != nil {
			return e, ok, err
		}
	}
	return e, false, nil
}

// read looks for the newest version of key up to seq, and appends its value to
// dst unless that is not wanted. If seq is maxSeq, that is the newest visible
// one.
//
// A table may be removed while it is read, because it has become part of
// another: then the answer is in the state that is there now, with the sequence
// that is visible now. If that happens again, the tables are kept for the
// third attempt.
func (db *DB) read(dst, key []byte, value bool, seq uint64) ([]byte, bool, error) {
	for attempt := 1; ; attempt++ {
		if db.closed.Load() {
			return dst, false, ErrClosed
		}
		if attempt == 3 {
			return db.readPinned(dst, key, value, seq)
		}
		s := db.state.Load()
		out, ok, err := s.lookUp(dst, key, value, db.upTo(seq))
		if err == nil || !errors.Is(err, fs.ErrClosed) {
			return out, ok, err
		}
	}
}

// upTo returns seq, or if that is maxSeq the visible sequence. The caller has
// loaded the state before.
func (db *DB) upTo(seq uint64) uint64 {
	if seq == maxSeq {
		return db.commits.visible.Load()
	}
	return seq
}

// readPinned is the last attempt of read.
func (db *DB) readPinned(dst, key []byte, value bool, seq uint64) ([]byte, bool, error) {
	mu := &db.commits.mu
	mu.Lock()
	s := db.state.Load()
	db.readers.pinLocked(s.tables)
	mu.Unlock()

	out, ok, err := s.lookUp(dst, key, value, db.upTo(seq))
	db.unpin(s.tables)
	return out, ok, db.readError(err)
}

// lookUp looks for key up to seq, and appends its value to dst unless that is
// not wanted.
func (s *readState) lookUp(dst, key []byte, value bool, seq uint64) ([]byte, bool, error) {
	if len(key) > MaxKeyLen {
		return dst, false, nil
	}
	if v, kind, ok := s.inMemory(key, seq); ok {
		if value && kind != kindDelete {
			dst = append(dst, v...)
		}
		return dst, kind != kindDelete, nil
	}
	if s.tables.count() == 0 {
		return dst, false, nil
	}

	buf := takeBlockBuffer()
	defer giveBlockBuffer(buf)
	e, ok, err := s.inTables(key, seq, buf)
	if err != nil || !ok || e.kind == kindDelete {
		return dst, false, err
	}
	if value {
		dst = append(dst, e.value...)
	}
	return dst, true, nil
}
