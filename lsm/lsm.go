// SPDX-License-Identifier: MIT

package lsm

// Implementation notes.
//
//	commit:  admit -> sequence, copy into the open group, insert into the memtable    (mu)
//	         leader: take the group -> one record, one write, at most one sync       (no lock)
//	         publish -> wake the others of the group, hand over the lead             (mu)
//	read:    visible, then the memtable                                              (no lock)
//
// Sequences number operations from 1. visible is the last that readers see, seq the last that was
// given. A group is what gathers while its predecessor is written; whoever finds no leader becomes
// it. The leader alone touches the current log, so nobody waits for a disk under the lock.
//
// I1: visible ≤ seq, and what lies between is in the open group or in that of the leader. I2: an
// operation of a Sync commit is durable before visible reaches it, and so is everything before it.
// I3: if the open group has a commit that waits, there is a leader. I4: records in a log are in order of
// sequences without gaps. I5: what was admitted while no next log was ready fits into the current one,
// where space is allocated. I6: after failed is set, visible and the log do not change.
//
// The next log is made in the background as soon as the current one is half full. If that fails,
// it is tried again while someone waits; a commit waits before it gets its sequence, so that giving up
// leaves no trace. A failed write or sync of the current log is final: nobody can say what it holds.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// A DB is an open database. It is safe for concurrent use by multiple goroutines.
// Use [Open] to make one.
type DB struct {
	dir  string
	opts Options
	lock io.Closer // nil if none was needed

	visible atomic.Uint64
	closed  atomic.Bool
	mem     *memtable // written under mu

	mu      sync.Mutex    // protects all below
	seq     uint64        // the last sequence given
	synced  uint64        // the last sequence that is durable
	pend    *group        // the open group
	leading bool          // someone is the leader
	failed  error         // an ErrReadOnly: why nothing can be written
	change  chan struct{} // closed at the next change, if someone waits for one
	spare   *group        // an empty group, or nil
	used    int64         // bytes of the current log, with what is admitted but not written

	next       *logFile // the next log, if it is ready
	nextNo     uint64   // number of the next file
	currentNo  uint64   // number of the log that is current, or about to be
	making     bool     // a goroutine makes next
	makeErr    error    // why the last attempt failed
	makeAgain  time.Time
	stalled    int           // commits that wait for next
	quit       chan struct{} // closed when nothing needs next any more
	quitting   bool
	done       chan struct{} // closed when Close has finished
	timer      *time.Timer   // flushes Async commits
	armed      bool          // timer is running
	background sync.WaitGroup

	log     *logFile     // touched by the leader, or who has made sure that there is none
	last    atomic.Int32 // commits in the last group
	window  atomic.Int64 // time that a leader may wait for others, ns
	metrics Metrics
	opened  uint64 // seq when the database was opened
	nonce   func() uint64
}

// Get returns a copy of the value of key. If there is none, the error is [ErrNotFound].
func (db *DB) Get(key []byte) ([]byte, error) {
	v, err := db.find(key)
	if err != nil {
		return nil, err
	}
	return bytes.Clone(v), nil
}

// AppendGet appends the value of key to dst, and returns the extended slice. If there is none, the
// error is [ErrNotFound], and dst is returned as it is.
func (db *DB) AppendGet(dst, key []byte) ([]byte, error) {
	v, err := db.find(key)
	return append(dst, v...), err
}

// Has reports whether key has a value.
func (db *DB) Has(key []byte) (bool, error) {
	switch _, err := db.find(key); err {
	case nil:
		return true, nil
	case ErrNotFound:
		return false, nil
	default:
		return false, err
	}
}

// find returns the value of key in the memory of the memtable. Values never change, so it does
// not matter whether the database is closed meanwhile.
func (db *DB) find(key []byte) ([]byte, error) {
	if db.closed.Load() {
		return nil, ErrClosed
	}
	if len(key) > MaxKeyLen {
		return nil, ErrNotFound
	}
	v, kind, ok := db.mem.get(key, db.visible.Load())
	if !ok || kind == kindDelete {
		return nil, ErrNotFound
	}
	return v, nil
}

// Close waits for the commits that have begun, makes everything durable, and releases the files.
// Afterwards, and for commits that begin meanwhile, all methods return [ErrClosed], and so does Close.
// An error says that Async or NoSync commits may be lost if power fails, or that the database was
// read-only already because of a failure.
func (db *DB) Close() error {
	db.mu.Lock()
	if db.closed.Swap(true) {
		db.mu.Unlock()
		<-db.done
		return ErrClosed
	}
	db.quitLocked()
	if db.timer != nil {
		db.timer.Stop()
	}
	for db.leading {
		_ = db.waitLocked(context.Background(), nil) // nothing ends this wait but a change
	}
	if db.pend.count > 0 && db.failed == nil {
		db.leading = true
		g := db.pend
		db.mu.Unlock()
		_ = db.lead(g) // a failure is in failed
		db.mu.Lock()
	}
	err := db.failed
	db.mu.Unlock()
	db.background.Wait()
	if err == nil {
		err = db.finish()
	} else if db.log != nil {
		_ = db.log.f.Close()
	}
	if db.next != nil {
		_ = db.next.f.Close()
	}
	if db.lock != nil {
		err = errors.Join(err, db.lock.Close())
	}
	close(db.done)
	return err
}

// finish seals the log and begins the next, so that whatever happens to the bytes of either is
// found out. Nobody else uses db.
func (db *DB) finish() error {
	if db.log == nil {
		return nil // read-only
	}
	if db.seq == db.opened {
		return db.log.f.Close() // nothing was written since the log was opened
	}
	if db.next == nil {
		next, err := createLog(db.opts.FS, db.dir, db.nextNo, db.log.no, db.nonce(), 0)
		if err != nil {
			return errors.Join(db.wrap("close", err), db.log.sync(), db.log.f.Close())
		}
		db.next = next
	}
	if err := db.log.seal(db.next.no, db.seq+1); err != nil {
		return errors.Join(db.wrap("seal "+db.log.name, err), db.log.f.Close())
	}
	err := db.next.append(make([]byte, recordHeadLen), recordHead{kind: recordBegin, first: db.seq + 1})
	if err == nil {
		err = db.next.f.Truncate(db.next.off)
	}
	if err == nil {
		err = db.next.sync()
	}
	return db.wrap("begin "+db.next.name, err)
}

// wrap says what the database was doing when err happened.
func (db *DB) wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("lsm: %s: %w", what, err)
}
