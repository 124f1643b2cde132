// SPDX-License-Identifier: MIT

package lsm

// Implementation notes.
//
//	commit:  admit -> sequence, copy into the open group, insert into its memtable  (mu)
//	         leader: close the group -> one record, one write, at most one sync     (no lock)
//	         publish -> wake the others of the group, hand over the lead            (mu)
//	flush:   a full memtable -> a table -> an edit of the manifest -> its logs go   (no lock)
//	merge:   tables of a level and of the next -> tables -> an edit -> they go      (no lock)
//	read:    state, then visible, then memtables and tables, the newest first       (no lock)
//	scan:    state and visible at once, the tables pinned; then cursors, merged     (mu, once)
//
// Sequences number operations from 1. A group is the commits that gather while
// the group before is written; a commit that finds no leader becomes it. A
// group belongs to one log and one memtable, which it gets when its first
// commit is admitted. The leader alone touches the current log, so nobody waits
// for a disk under the lock.
//
// There is one lock, pipeline.mu, which protects the fields of rotation too,
// and those of all jobs. No operation of the file system runs under it. A
// goroutine that writes an edit has the turn of the installer, and takes it
// before the lock. The locks of the cache and of the descriptors are taken
// last: under them no other is.
//
//	I1  visible <= seq, and operations in between are in the open group or in
//	    that of the leader.
//	I2  An operation of a Sync commit is durable before visible reaches it, and
//	    so is everything before it.
//	I3  If a commit waits for the open group, there is a leader.
//	I4  Records of a log are in the order of sequences, without gaps.
//	I5  Admitted commits fit into their log, where space is allocated:
//	    what is written + markRoom + open.reserved <= used <= size - sealLen.
//	I6  After failed is set, visible and the logs do not change.
//	I7  The open group is bound to the last log in use, or to none.
//
// The next log is made in the background as soon as the last one is half full.
// If that fails, it is tried again while someone waits; a commit waits before
// it gets its sequence, so that giving up leaves no trace. A failed write or
// sync of the current log is final: nobody can say which bytes it holds.
//
// Why not a queue of commits that each write their own record, as others do:
// one record for a group is one write, and its checksum is computed outside of
// the lock.

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"sync/atomic"
	"time"
)

// A DB is an open database. It is safe for concurrent use by multiple
// goroutines. Use [Open].
type DB struct {
	dir   string // does not depend on the working directory
	opts  Options
	lock  io.Closer // nil if none was needed
	id    uint64
	nonce func() uint64 // safe for concurrent use
	start time.Time     // of Open
	lim   limits

	state       atomic.Pointer[readState] // replaced under commits.mu
	commits     pipeline
	logs        rotation
	flush       flusher
	files       descriptors
	installed   installer
	readers     readerSet
	compactions compactor
	removal     remover
	throttle    throttle

	closed atomic.Bool
	done   chan struct{} // closed when Close has finished
}

// now returns the time since Open in nanoseconds.
func (db *DB) now() int64 { return int64(time.Since(db.start)) }

// Get returns a copy of the value of key. If there is none, the error is
// [ErrNotFound].
func (db *DB) Get(key []byte) ([]byte, error) {
	v, err := db.AppendGet([]byte{}, key)
	if err != nil {
		return nil, err
	}
	return v, nil
}

// AppendGet appends the value of key to dst, and returns the extended slice. If
// there is none, the error is [ErrNotFound], and dst is returned as it is.
func (db *DB) AppendGet(dst, key []byte) ([]byte, error) {
	out, ok, err := db.read(dst, key, true, maxSeq)
	if err == nil && !ok {
		err = ErrNotFound
	}
	return out, err
}

// Has reports whether key has a value.
func (db *DB) Has(key []byte) (bool, error) {
	_, ok, err := db.read(nil, key, false, maxSeq)
	return ok, err
}

// readError returns the error of a read of a table: Close may have come before
// it.
func (db *DB) readError(err error) error {
	if db.closed.Load() && errors.Is(err, fs.ErrClosed) {
		return ErrClosed
	}
	return err
}

// Set gives key a value, with the durability of the database.
func (db *DB) Set(key, value []byte) error {
	b := takeBatch()
	b.Set(key, value)
	return db.applyPooled(b)
}

// Delete removes key, if it is there, with the durability of the database.
func (db *DB) Delete(key []byte) error {
	b := takeBatch()
	b.Delete(key)
	return db.applyPooled(b)
}

// applyPooled applies a batch from the pool, and gives it back.
func (db *DB) applyPooled(b *Batch) error {
	err := db.Apply(context.Background(), b)
	giveBatch(b)
	return err
}

// Apply makes the changes of b, all at once. b can be applied again, and reused
// after Reset.
//
// After an error that is [ErrClosed], [ErrStalled] or [ErrTooLarge], or
// if ctx was done before, nothing has changed. After another, such as that
// of a ctx that ended while the disk was writing, the changes may happen yet,
// or be found when the database is opened again.
func (db *DB) Apply(ctx context.Context, b *Batch) error {
	if db.closed.Load() {
		return ErrClosed
	}
	if b.err != nil {
		return b.err
	}
	if err := ctx.Err(); err != nil {
		return err
	}

	d := db.opts.Durability
	if b.chosen {
		d = b.durability
	}
	if err := db.slow(ctx, int64(len(b.data))); err != nil {
		return err
	}
	return db.commits.commit(ctx, b, d)
}

// Sync makes everything durable that was committed before. If ctx ends first,
// it returns the error of ctx.
func (db *DB) Sync(ctx context.Context) error {
	if db.closed.Load() {
		return ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return db.commits.flush(ctx)
}

// Flush makes a table of what is in memory, and waits until it is there. No
// commit is safer for it. If ctx ends first, it returns the error of ctx, and
// the table may still be made. If the system lacks room for a log, or the table
// cannot be written, it fails with [ErrStalled] as a commit does.
func (db *DB) Flush(ctx context.Context) error {
	if db.closed.Load() {
		return ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return db.commits.empty(ctx)
}

// Close waits for the commits that have begun, makes everything durable, and
// releases the files. The memtable becomes a table if it takes more than a 32nd
// of Options.Memory. Afterwards, and for commits that begin meanwhile, all
// methods return [ErrClosed], and so does Close. An error says that Async or
// NoSync commits may be lost if power fails, or that the database was read-only
// already because of a failure.
func (db *DB) Close() error {
	if db.closed.Swap(true) {
		<-db.done
		return ErrClosed
	}
	defer close(db.done)
	return db.shut()
}

// shut does the work of Close. It releases the files even if Options.OnEvent
// panics.
func (db *DB) shut() (err error) {
	defer func() { err = errors.Join(err, db.release()) }()
	err = db.commits.drain()
	db.logs.background.Wait()
	leaked := db.closeReaders()
	if err == nil {
		db.removeObsolete()
		var last *logFile
		last, err = db.logs.finish(db.commits.seq + 1)
		if err == nil && last != nil {
			db.flushAtClose(last)
		}
	}
	if leaked > 0 {
		db.event(Event{Kind: "leak", Readers: leaked})
	}
	return err
}
