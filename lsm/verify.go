// SPDX-License-Identifier: MIT

package lsm

import (
	"bytes"
	"context"
	"errors"
)

// Verify reads all tables of the database, and returns an error that is
// [ErrCorrupt] if a byte of one is damaged, or if the manifest says something
// else of it. The logs were read by Open. It stops with the error of ctx when
// that ends. Commits and reads go on meanwhile.
func (db *DB) Verify(ctx context.Context) error {
	if db.closed.Load() {
		return ErrClosed
	}
	v := db.pin()
	defer db.unpin(v)

	for _, tables := range v.levels {
		for _, t := range tables {
			if err := t.verify(ctx); err != nil {
				return db.readError(err)
			}
		}
	}
	return nil
}

// verify reads the whole table.
func (t *dbTable) verify(ctx context.Context) error {
	whole, err := newTable(t.file())
	if err != nil {
		return err
	}
	if err := whole.verifyBlocks(ctx); err != nil {
		return err
	}
	if got := whole.meta(t.no); !got.equal(&t.tableMeta) {
		return corrupt(t.name, t.foot.props, "the manifest says something else of the table")
	}
	return nil
}

// Verify reads the whole table, and returns an error that is [ErrCorrupt] if a
// byte of it is damaged, or if anything does not fit to the rest. It stops with
// the error of ctx when that ends.
func (t *Table) Verify(ctx context.Context) error {
	again, err := newTable(t.file())
	if err != nil {
		return err
	}
	if again.foot != t.foot {
		return corrupt(t.name, t.foot.at, "another table has taken the place of this one")
	}
	return again.verifyBlocks(ctx)
}

// file returns the file of t, of which nothing is known yet.
func (t *tableFile) file() tableFile {
	return tableFile{r: t.r, size: t.size, name: t.name, codec: t.codec}
}

// verifyBlocks reads the blocks of a table that was just opened, which has
// checked the rest.
func (t *Table) verifyBlocks(ctx context.Context) error {
	v := tableVerifier{t: t}
	for i := range t.index.n {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := v.block(i); err != nil {
			return err
		}
	}
	return v.compareProps()
}

// A tableVerifier looks at all entries of a table, and counts the figures of
// the properties.
type tableVerifier struct {
	t   *Table
	got tableProps
	buf blockBuffer
	key []byte // of the last entry
	seq uint64 // of the last entry
}

// block checks block i.
func (v *tableVerifier) block(i int) error {
	d, err := v.t.block(i, &v.buf)
	if err != nil {
		return err
	}

	// Entries lie one after the other, without gaps.
	size := 0
	for j := range d.n {
		e, err := d.entry(j)
		if err == nil && d.offset(j) != uint64(size) {
			err = errors.New("an entry is not where the one before ends")
		}
		if err == nil {
			err = v.entry(&d, i, j, &e)
		}
		if err != nil {
			return v.t.blame(v.t.index.start(i), err)
		}
		size += e.size
	}
	if size != len(d.entries) {
		return v.t.blame(v.t.index.start(i), errors.New("bytes follow the last entry"))
	}
	if v.t.index.search(v.key) != i {
		return v.t.blame(v.t.index.start(i), errors.New("the last key is not in its block"))
	}

	// The properties count blocks, and know the longest.
	v.got.numbers[propBlocks]++
	raw := blockHeadLen + len(d.heads) + len(d.offsets) + len(d.prefix) + len(d.entries)
	v.got.numbers[propLargestRaw] = max(v.got.numbers[propLargestRaw], uint64(raw))
	return nil
}

// entry checks e, which is entry j of block i.
func (v *tableVerifier) entry(d *dataBlock, i, j int, e *blockEntry) error {
	n := &v.got.numbers
	first := n[propEntries] == 0
	key := d.appendKey(nil, j, e)
	c := bytes.Compare(v.key, key)

	switch {
	case d.head(j) != head4(key[len(d.prefix):]):
		return errors.New("a head is not that of its key")
	case !first && (c > 0 || c == 0 && v.seq <= e.seq):
		return errors.New("entries are not in order")
	case j == 0 && v.t.index.search(key) != i:
		return errors.New("the first key is not in its block")
	case !v.t.filt.has(filterHash(key)):
		return errors.New("the filter does not have a key")
	}

	// The properties count all entries.
	if first {
		v.got.smallest = key
		n[propMinSeq] = e.seq
	}
	v.got.largest = key
	n[propMinSeq] = min(n[propMinSeq], e.seq)
	n[propMaxSeq] = max(n[propMaxSeq], e.seq)
	n[propEntries]++
	if e.kind == kindDelete {
		n[propDeletes]++
	}
	n[propKeyBytes] += uint64(len(key))
	n[propValueBytes] += uint64(len(e.value))
	v.key = key
	v.seq = e.seq
	return nil
}

// compareProps compares the properties with the counts.
func (v *tableVerifier) compareProps() error {
	want := &v.t.props
	v.got.numbers[propCodec] = want.numbers[propCodec] // blocks need not have it
	same := v.got.numbers == want.numbers
	if !same || !bytes.Equal(v.got.smallest, want.smallest) || !bytes.Equal(v.got.largest, want.largest) {
		return corrupt(v.t.name, v.t.foot.props, "the properties are not those of the entries")
	}
	return nil
}
