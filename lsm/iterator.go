// SPDX-License-Identifier: MIT

package lsm

import (
	"bytes"
	"iter"
	"runtime"
	"slices"
	"sync"
)

// An Iterator moves over the keys of a range in the order of [bytes.Compare],
// forward and back, and shows the values that they had when it was made. No
// move leaves the range. It is not safe for concurrent use. Use [DB.Scan],
// [DB.Prefix], [Snapshot.Scan], [Snapshot.Prefix] or [Table.Scan].
//
//	it := db.Scan(lo, hi)
//	for key, value := range it.All() {
//		...
//	}
//	err := it.Close()
//
// A new Iterator is before the first key and after the last: Next moves to the
// first, and Prev to the last. The files that it reads stay on the disk until
// it is closed. One that is not referred to any more is closed by the garbage
// collector.
type Iterator struct {
	lo, hi  []byte // hi is beyond all keys if it is nil
	where   int8   // isNew, atEntry, …: the place of the iterator
	key     []byte
	value   []byte
	err     error
	db      *DB            // nil for a Table
	r       *reader        // nil for a Table, or if the database was closed
	m       *iteratorParts // nil if there is nothing to read
	cleanup runtime.Cleanup
}

// iteratorParts are what an iterator reads with. They are used again, because
// to make them costs as much as to find a key.
type iteratorParts struct {
	merger
	mem    []memCursor
	levels []levelCursor
	sought []byte // a copy of the key that is sought
}

var iteratorPool = sync.Pool{New: func() any { return new(iteratorParts) }}

// give puts p back into the pool, without what it has read.
func (p *iteratorParts) give() {
	for i := range p.levels {
		c := &p.levels[i]
		kept := levelCursor{own: c.own[:0], buf: c.buf}
		if cap(c.buf.b)+cap(c.buf.raw)+cap(c.own) > maxAhead {
			kept = levelCursor{}
		}
		*c = kept
	}
	clear(p.mem)
	clear(p.sources)
	clear(p.heap[:cap(p.heap)])
	p.mem = p.mem[:0]
	p.levels = p.levels[:0]
	p.merger = merger{sources: p.sources[:0], heap: p.heap[:0]}
	if cap(p.sought) > MaxKeyLen {
		p.sought = nil
	}
	iteratorPool.Put(p)
}

// seek returns a copy of key, which may be a part of what a cursor shows: it
// would change when the first one moves.
func (p *iteratorParts) seek(key []byte) []byte {
	p.sought = append(p.sought[:0], key...)
	return p.sought
}

// grow makes room for cursors, which do not move afterwards.
func (p *iteratorParts) grow(mem, levels int) {
	p.mem = slices.Grow(p.mem, mem)
	p.levels = slices.Grow(p.levels, levels)
}

// manyPassed is how many deletes in a row count.
const manyPassed = 32

const (
	isNew    = iota // before the first key and after the last
	atEntry         //
	atStart         // before the first key
	atEnd           // after the last key
	isFailed        //
	isClosed
)

// Scan returns an iterator over the keys from lo up to but not including hi, in
// ascending order. A nil hi is beyond all keys; one that is not above lo leaves
// none.
func (db *DB) Scan(lo, hi []byte) *Iterator { return db.scan(lo, hi, maxSeq) }

// Prefix returns an iterator over the keys that begin with p.
func (db *DB) Prefix(p []byte) *Iterator { return db.scan(p, successor(p), maxSeq) }

// Scan returns an iterator over the keys from lo up to but not including hi, as
// they were. A nil hi is beyond all keys. It may outlive the snapshot.
func (s *Snapshot) Scan(lo, hi []byte) *Iterator {
	if s.ended() != nil {
		return closedIterator()
	}
	it := s.r.db.scan(lo, hi, s.r.seq)
	if s.ended() != nil {
		_ = it.Close() // a race with Close of s: versions may be gone
		return closedIterator()
	}
	runtime.KeepAlive(s)
	return it
}

// Prefix returns an iterator over the keys that begin with p, as they were.
func (s *Snapshot) Prefix(p []byte) *Iterator { return s.Scan(p, successor(p)) }

// closedIterator returns an iterator of what is closed.
func closedIterator() *Iterator { return &Iterator{where: isFailed, err: ErrClosed} }

// successor returns the least key that is greater than all keys that begin with
// p, or nil if there is none.
func successor(p []byte) []byte {
	for i := len(p) - 1; i >= 0; i-- {
		if p[i] < 0xff {
			next := bytes.Clone(p[:i+1])
			next[i]++
			return next
		}
	}
	return nil
}

// scan returns an iterator over the newest versions up to seq, or if that is
// maxSeq over the visible ones.
func (db *DB) scan(lo, hi []byte, seq uint64) *Iterator {
	p := &db.commits
	p.mu.Lock()
	if db.closed.Load() {
		p.mu.Unlock()
		return closedIterator()
	}
	s := db.state.Load()
	r := &reader{db: db, seq: db.upTo(seq), tables: s.tables, since: db.now()}
	db.readers.addLocked(r)
	db.readers.pinLocked(s.tables)
	p.mu.Unlock()

	it := &Iterator{db: db, r: r, m: iteratorPool.Get().(*iteratorParts)}
	it.bound(lo, hi)
	it.addSources(s, r.seq)
	it.cleanup = runtime.AddCleanup(it, forget, r)
	return it
}

// bound sets the range.
func (it *Iterator) bound(lo, hi []byte) {
	b := append(append(make([]byte, 0, len(lo)+len(hi)), lo...), hi...)
	it.lo = b[:len(lo):len(lo)]
	if hi != nil {
		it.hi = b[len(lo):]
	}
}

// addSources adds the parts of s that may have keys of the range, the newest
// first.
func (it *Iterator) addSources(s *readState, seq uint64) {
	levels := &s.tables.levels
	it.m.grow(1+len(s.imms), len(levels[0])+numLevels-1)
	it.addMemtable(s.mem, seq)
	for i := len(s.imms) - 1; i >= 0; i-- {
		it.addMemtable(s.imms[i], seq)
	}

	// Each table of level 0 is a source, and each other level.
	for i := len(levels[0]) - 1; i >= 0; i-- {
		it.addTables(levels[0][i:i+1:i+1], seq)
	}
	for level := 1; level < numLevels; level++ {
		it.addTables(levels[level], seq)
	}
}

// addMemtable adds a memtable.
func (it *Iterator) addMemtable(m *memtable, seq uint64) {
	p := it.m
	p.mem = append(p.mem, memCursor{m: m, seq: seq})
	c := &p.mem[len(p.mem)-1]
	p.attach(c, &c.item)
}

// addTables adds the tables that may have keys of the range: they ascend.
func (it *Iterator) addTables(tables []*dbTable, seq uint64) {
	for len(tables) > 0 && bytes.Compare(tables[0].largest, it.lo) < 0 {
		tables = tables[1:]
	}
	for len(tables) > 0 && it.hi != nil && bytes.Compare(tables[len(tables)-1].smallest, it.hi) >= 0 {
		tables = tables[:len(tables)-1]
	}
	if len(tables) == 0 {
		return
	}

	// The place in the list may have buffers of an iterator before.
	p := it.m
	p.levels = p.levels[:len(p.levels)+1]
	c := &p.levels[len(p.levels)-1]
	c.tables = tables
	c.seq = seq
	p.attach(c, &c.item)
}

// ready reports whether the iterator can move.
func (it *Iterator) ready() bool {
	if it.m == nil {
		return false
	}
	if it.db != nil && it.db.closed.Load() {
		it.fail(ErrClosed)
		return false
	}
	return true
}

// fail ends the iterator with err, until it moves to a place that does not
// depend on where it is.
func (it *Iterator) fail(err error) {
	it.where = isFailed
	it.err = err
	it.forgetEntry()
}

// forgetEntry makes the key and the value useless.
func (it *Iterator) forgetEntry() {
	if invariants {
		mangle(it.key)
		mangle(it.value)
	}
	it.key = nil
	it.value = nil
}

// First moves to the first key, and reports whether there is one.
func (it *Iterator) First() bool { return it.SeekGE(it.lo) }

// Last moves to the last key, and reports whether there is one.
func (it *Iterator) Last() bool {
	if it.hi != nil {
		return it.SeekLT(it.hi)
	}
	if !it.ready() {
		return false
	}
	it.m.last()
	return it.settleBack()
}

// SeekGE moves to the first key that is not less than key, and reports whether
// there is one. key may be that of the iterator, or lie in its value.
func (it *Iterator) SeekGE(key []byte) bool {
	if !it.ready() {
		return false
	}
	if bytes.Compare(key, it.lo) < 0 {
		key = it.lo
	}
	it.m.seekGE(it.m.seek(key))
	return it.settle()
}

// SeekLT moves to the last key that is less than key, and reports whether there
// is one. key may be that of the iterator, or lie in its value.
func (it *Iterator) SeekLT(key []byte) bool {
	if !it.ready() {
		return false
	}
	if it.hi != nil && bytes.Compare(key, it.hi) > 0 {
		key = it.hi
	}
	it.m.seekLT(it.m.seek(key))
	return it.settleBack()
}

// Next moves to the next key, and reports whether there is one.
func (it *Iterator) Next() bool {
	switch it.where {
	case isNew, atStart:
		return it.First()
	case atEntry:
		if !it.ready() {
			return false
		}
		it.m.next()
		return it.settle()
	default:
		return false
	}
}

// Prev moves to the key before, and reports whether there is one.
func (it *Iterator) Prev() bool {
	switch it.where {
	case isNew, atEnd:
		return it.Last()
	case atEntry:
		if !it.ready() {
			return false
		}
		it.m.prev()
		return it.settleBack()
	default:
		return false
	}
}

// settle shows the first key from here on that has a value and is in the range.
func (it *Iterator) settle() bool {
	for passed := 0; ; passed++ {
		at := it.m.item()
		if passed == manyPassed {
			it.passed(at, passed)
			passed = 0
		}
		switch {
		case at == nil && it.m.err != nil:
			it.fail(it.readError(it.m.err))
			return false
		case at == nil, it.hi != nil && bytes.Compare(at.key, it.hi) >= 0:
			it.leave(atEnd)
			return false
		case at.kind != kindDelete:
			it.show(at)
			return true
		}
		it.m.next()
	}
}

// settleBack shows the first key from here on backward that has a value and is
// in the range.
func (it *Iterator) settleBack() bool {
	for passed := 0; ; passed++ {
		at := it.m.item()
		if passed == manyPassed {
			it.passed(at, passed)
			passed = 0
		}
		switch {
		case at == nil && it.m.err != nil:
			it.fail(it.readError(it.m.err))
			return false
		case at == nil, bytes.Compare(at.key, it.lo) < 0:
			it.leave(atStart)
			return false
		case at.kind != kindDelete:
			it.show(at)
			return true
		}
		it.m.prev()
	}
}

// passed notes that n deletes in a row were passed up to at, for the tables
// that may have them: a table whose deletes are passed often is merged.
func (it *Iterator) passed(at *item, n int) {
	if at == nil || it.db == nil {
		return
	}
	merge := false
	for i := range it.m.levels {
		c := &it.m.levels[i]
		if t := c.t; t != nil && t.deletes > 0 && bytes.Compare(at.key, t.smallest) >= 0 && bytes.Compare(at.key, t.largest) <= 0 {
			t.skips.Add(int64(n))
			merge = merge || t.skipped()
		}
	}
	if merge {
		mu := &it.db.commits.mu
		mu.Lock()
		defer mu.Unlock()
		it.db.scheduleCompactionLocked()
	}
}

// leave notes that there is no entry where the iterator is.
func (it *Iterator) leave(where int8) {
	it.forgetEntry()
	it.where = where
	it.err = nil
}

// show makes at the entry.
func (it *Iterator) show(at *item) {
	it.where = atEntry
	it.err = nil
	if invariants {
		it.forgetEntry()
		it.key = bytes.Clone(at.key)
		it.value = bytes.Clone(at.value)
		return
	}
	it.key = at.key
	it.value = at.value
}

// readError returns the error of a read.
func (it *Iterator) readError(err error) error {
	if it.db == nil {
		return err
	}
	return it.db.readError(err)
}

// Valid reports whether the iterator is at a key.
func (it *Iterator) Valid() bool { return it.where == atEntry }

// Key returns the key, which is valid until the iterator moves or is closed,
// and must not be changed. If there is none, it is nil.
func (it *Iterator) Key() []byte { return it.key }

// Value returns the value, which is valid until the iterator moves or is
// closed, and must not be changed: others may read the same memory.
func (it *Iterator) Value() []byte { return it.value }

// Err returns why the iterator is at no key, or nil if it has come to the end
// or was not moved yet. Nothing is skipped: after an error it stays until
// First, Last, SeekGE or SeekLT.
func (it *Iterator) Err() error { return it.err }

// All yields the keys and values from the first on. The slices are valid until
// the next step of the loop. An error ends it: see Close.
func (it *Iterator) All() iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		for ok := it.First(); ok; ok = it.Next() {
			if !yield(it.key, it.value) {
				return
			}
		}
	}
}

// Backward yields the keys and values from the last back to the first. The
// slices are valid until the next step of the loop. An error ends it: see
// Close.
func (it *Iterator) Backward() iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		for ok := it.Last(); ok; ok = it.Prev() {
			if !yield(it.key, it.value) {
				return
			}
		}
	}
}

// Close ends the iterator, and returns Err. Afterwards it does not move, and
// Close returns [ErrClosed].
func (it *Iterator) Close() error {
	if it.where == isClosed {
		return ErrClosed
	}
	err := it.err
	it.forgetEntry()
	it.where = isClosed
	it.err = ErrClosed
	if it.m != nil {
		it.m.give()
		it.m = nil
	}
	if it.r != nil {
		it.cleanup.Stop()
		it.db.leave(it.r, false)
	}
	return err
}

// mangle makes b useless, to show callers that keep slices too long.
func mangle(b []byte) {
	for i := range b {
		b[i] = ^b[i]
	}
}
