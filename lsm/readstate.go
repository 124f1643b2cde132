// SPDX-License-Identifier: MIT

package lsm

import "bytes"

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
// visible. The value is in buf, or in memory that does not change. ok is false
// if there is none. An error does not lead to an older table.
func (s *readState) inTables(key []byte, buf *blockBuffer) (e blockEntry, ok bool, err error) {
	hash := filterHash(key)
	for i := len(s.tables) - 1; i >= 0; i-- {
		t := s.tables[i]
		if bytes.Compare(key, t.smallest) < 0 || bytes.Compare(key, t.largest) > 0 {
			continue
		}
		if e, ok, err = t.find(key, hash, buf); ok || err != nil {
			return e, ok, err
		}
	}
	return e, false, nil
}
