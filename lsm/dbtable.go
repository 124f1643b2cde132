// SPDX-License-Identifier: MIT

package lsm

import (
	"errors"
	"path/filepath"
	"sync/atomic"
)

// A dbTable is a table of a database. Its parts are read when they are needed,
// and stay in the cache of the database.
type dbTable struct {
	tableMeta
	tableFile // reads by handle
	handle    handle
	cache     *Cache
	slots     []cacheSlot  // of the index, the filter, and the data blocks
	born      uint64       // the first tableSet that has it; protected by pipeline.mu, as the next two are
	bad       error        // why a job could not read it
	held      bool         // it has what was kept for a snapshot
	skips     atomic.Int64 // deletes that readers have passed
}

const (
	indexSlot  = 0
	filterSlot = 1
	dataSlots  = 2
)

// openTable opens a table that a manifest names, or will.
func (db *DB) openTable(meta tableMeta) (*dbTable, error) {
	t := &dbTable{tableMeta: meta, cache: db.opts.Cache}
	t.name = filepath.Join(db.dir, tableName(meta.no))
	t.handle = handle{files: &db.files, fsys: db.opts.FS, name: t.name}
	t.r = &t.handle
	t.codec = db.opts.Codec
	if err := t.begin(); err != nil {
		return nil, errors.Join(err, t.close())
	}
	return t, nil
}

// begin reads the end of the table, which must be the one that was named.
func (t *dbTable) begin() error {
	size, err := t.handle.size()
	if err != nil {
		return err
	}
	if uint64(size) != t.tableMeta.size {
		return corrupt(t.name, 0, "the file does not have the length that it was written with")
	}

	t.tableFile.size = size
	if _, err := t.tableFile.readEnd(); err != nil {
		return err
	}
	if got := t.tableFile.meta(t.no); !got.equal(&t.tableMeta) {
		return corrupt(t.name, t.foot.props, "this is not the table that the manifest names")
	}

	// The keys are in memory once.
	t.props.smallest = t.smallest
	t.props.largest = t.largest

	// The index has 16 bytes for each block.
	n := t.props.numbers[propBlocks]
	if n > uint64(t.foot.props-t.foot.index)/16 {
		return corrupt(t.name, t.foot.props, "the index does not have that many blocks")
	}
	t.slots = make([]cacheSlot, dataSlots+n)
	return nil
}

// close closes the file of t, which may be nil, and takes its blocks out of the
// cache.
func (t *dbTable) close() error {
	if t == nil {
		return nil
	}
	err := t.handle.close() // first: see keep
	t.cache.forget(t.slots)
	return err
}

// keep puts a block into the cache, which has none of a table that is closed.
// It returns the block that is there.
func (t *dbTable) keep(s *cacheSlot, b *cachedBlock, n int64) *cachedBlock {
	b = t.cache.put(s, b, n)
	if t.handle.closed.Load() {
		t.cache.forget(t.slots)
	}
	return b
}

// find returns the newest version of key up to seq, in buf or in memory that
// does not change. ok is false if there is none. hash is that of the key.
func (t *dbTable) find(key []byte, hash, seq uint64, buf *blockBuffer) (e blockEntry, ok bool, err error) {
	filter, err := t.filter()
	if err != nil || !filter.has(hash) {
		return e, false, err
	}
	index, err := t.index()
	if err != nil {
		return e, false, err
	}
	i := index.search(key)
	if i == index.n {
		return e, false, nil
	}

	d, err := t.data(index, i, buf)
	if err != nil {
		return e, false, err
	}
	e, ok, err = d.find(key, seq)
	if err != nil {
		return e, false, t.blame(index.start(i), err)
	}
	return e, ok, nil
}

// filter returns the filter.
func (t *dbTable) filter() (*tableFilter, error) {
	s := &t.slots[filterSlot]
	if b := s.get(); b != nil {
		return &b.filter, nil
	}
	f, err := t.readFilter(nil)
	if err != nil {
		return nil, err
	}
	b := t.keep(s, &cachedBlock{filter: f}, t.foot.index-t.foot.filter)
	return &b.filter, nil
}

// index returns the index.
func (t *dbTable) index() (*tableIndex, error) {
	s := &t.slots[indexSlot]
	if b := s.get(); b != nil {
		return &b.index, nil
	}
	x, err := t.readIndex(nil)
	if err != nil {
		return nil, err
	}
	b := t.keep(s, &cachedBlock{index: x}, t.foot.props-t.foot.index)
	return &b.index, nil
}

// cached returns block i of data, if the cache has it.
func (t *dbTable) cached(i int) (d dataBlock, ok bool) {
	if t.cache == nil {
		return d, false // a table alone
	}
	b := t.slots[dataSlots+i].get()
	if b == nil {
		return d, false
	}
	return b.data, true
}

// data returns block i of data. If the cache does not take it, it is in buf.
func (t *dbTable) data(index *tableIndex, i int, buf *blockBuffer) (dataBlock, error) {
	off, end := index.start(i), index.start(i+1)
	if t.cache == nil {
		return t.readBlock(off, end, buf)
	}
	s := &t.slots[dataSlots+i]
	if b := s.get(); b != nil {
		return b.data, nil
	}
	t.handle.files.misses.Add(1)
	if !t.cache.wants(s, end-off) {
		return t.readBlock(off, end, buf)
	}

	// The block gets memory of its own, which is more than the file has if a
	// codec has encoded it.
	own := new(blockBuffer)
	d, err := t.readBlock(off, end, own)
	if err != nil {
		return d, err
	}
	n := end - off
	if own.raw != nil {
		n = int64(cap(own.raw))
	}
	if !t.cache.fits(n) {
		return d, nil
	}
	return t.keep(s, &cachedBlock{data: d}, n).data, nil
}
