// SPDX-License-Identifier: MIT

package lsm

import (
	"bufio"
	"errors"
	"path/filepath"
)

// An output is the tables that a job writes, one after the other. None counts
// before an edit names it.
type output struct {
	db     *DB
	opts   TableOptions
	tables []*dbTable // that are written, synced and open
	bytes  int64      // of these
	held   bool       // the table at hand has a version that only a snapshot sees

	no  uint64 // of the table at hand
	f   File   // nil if there is none
	out *bufio.Writer
	w   *TableWriter
}

// A fileWriter appends to a file. The system begins to write each MiB to the
// disk when it is there: a sync at the end would have all of it to do, and hold
// up those of logs.
type fileWriter struct {
	f     File
	off   int64
	begun int64 // bytes that the system writes
}

// Write appends b to the file.
func (w *fileWriter) Write(b []byte) (int, error) {
	n, err := w.f.WriteAt(b, w.off)
	w.off += int64(n)
	if r, ok := w.f.(RangeSyncer); ok && err == nil && w.off-w.begun >= rangeLen {
		err = r.SyncRange(w.begun, w.off-w.begun)
		w.begun = w.off
	}
	return n, err
}

const (
	outputLen = 64 << 10 // bytes of a table that are written at once
	rangeLen  = 1 << 20  // bytes that the system begins to write at once
)

// emit adds a version of a key to the table at hand, or begins one.
func (o *output) emit(key []byte, seq uint64, kind byte, value []byte) error {
	if o.f == nil {
		if err := o.start(); err != nil {
			return err
		}
	}
	return o.w.add(key, seq, kind, value)
}

// start begins a table. Its number is used once, also if it is given up.
func (o *output) start() error {
	o.no = o.db.logs.nextNumber()
	f, err := o.db.opts.FS.Create(filepath.Join(o.db.dir, tableName(o.no)))
	if err != nil {
		return err
	}
	o.f = f
	if o.out == nil {
		o.out = bufio.NewWriterSize(nil, outputLen)
	}
	o.out.Reset(&fileWriter{f: f})
	o.w = newTableWriter(o.out, &o.opts, o.db.nonce())
	return nil
}

// size returns the bytes of the table at hand. There is one.
func (o *output) size() int64 { return o.w.Size() }

// end ends the table at hand, if there is one, and makes its bytes durable.
func (o *output) end() error {
	if o.f == nil {
		return nil
	}
	err := o.w.Finish()
	if err == nil {
		err = o.out.Flush()
	}
	if err == nil {
		err = o.f.Sync()
	}
	err = errors.Join(err, o.f.Close())
	o.f = nil
	if err != nil {
		o.db.discard(tableName(o.no))
		return err
	}

	// It is opened before its name is durable: nobody else does.
	written := tableFile{size: o.w.Size(), foot: o.w.foot, props: o.w.props}
	t, err := o.db.openTable(written.meta(o.no))
	if err != nil {
		o.db.discard(tableName(o.no))
		return err
	}
	t.held = o.held
	o.held = false
	o.tables = append(o.tables, t)
	o.bytes += o.w.Size()
	return nil
}

// complete ends the last table, and makes all names durable.
func (o *output) complete() error {
	if err := o.end(); err != nil || len(o.tables) == 0 {
		return err
	}
	return o.db.opts.FS.SyncDir(o.db.dir)
}

// giveUp removes what was written, which no edit names.
func (o *output) giveUp() {
	if o.f != nil {
		_ = o.f.Close() // nobody needs it
		o.f = nil
		o.db.discard(tableName(o.no))
	}
	for _, t := range o.tables {
		_ = t.close() // it was only read
		o.db.discard(tableName(t.no))
	}
	o.tables = nil
	o.db.removeObsolete()
}

// drop closes tables that an edit names, or may name: their files stay.
func (o *output) drop() {
	for _, t := range o.tables {
		_ = t.close() // it was only read
	}
}
