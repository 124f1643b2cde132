// SPDX-License-Identifier: MIT

package lsm

import (
	"cmp"
	"runtime"
	"slices"
	"sync/atomic"
	"time"
)

// A readerSet holds the readers of old states of a database: snapshots, which
// keep versions of keys, and iterators, which keep files. pipeline.mu protects
// it.
//
//	S1  A snapshot takes its sequence and comes into the list at once, so that
//	    no job which begins later drops a version that it sees. A job that has
//	    begun already reads nothing that is newer than the snapshot.
//	S2  A table is removed when no set that has it is current or pinned.
type readerSet struct {
	first, last *reader     // in the order in which they came, so that sequences of snapshots ascend
	count       int         // of readers
	pinned      []*tableSet // in order
	zombies     []zombie    // tables that only pinned sets have
}

// A reader is a snapshot or an iterator, as the database knows it. The user
// holds another value, so that the garbage collector finds one that was
// forgotten.
type reader struct {
	db       *DB
	seq      uint64
	tables   *tableSet // whose files stay; nil for a snapshot
	since    int64     // when it came, as of DB.now
	gone     bool
	before   *reader
	after    *reader
	released atomic.Bool // its user has closed it
}

// A zombie is a table that the sets from born to before died have.
type zombie struct {
	*dbTable
	died uint64
}

// addLocked puts x at the end of the list.
func (r *readerSet) addLocked(x *reader) {
	x.before = r.last
	if r.last == nil {
		r.first = x
	} else {
		r.last.after = x
	}
	r.last = x
	r.count++
}

// dropLocked takes x out of the list.
func (r *readerSet) dropLocked(x *reader) {
	if x.before == nil {
		r.first = x.after
	} else {
		x.before.after = x.after
	}
	if x.after == nil {
		r.last = x.before
	} else {
		x.after.before = x.before
	}
	r.count--
}

// sequencesLocked returns the sequences of the snapshots, in ascending order
// and each once.
func (r *readerSet) sequencesLocked() (seqs []uint64) {
	for x := r.first; x != nil; x = x.after {
		if x.tables == nil {
			seqs = append(seqs, x.seq)
		}
	}
	return slices.Compact(seqs)
}

// oldestSeqLocked returns the sequence of the oldest snapshot, or maxSeq if
// there is none.
func (r *readerSet) oldestSeqLocked() uint64 {
	for x := r.first; x != nil; x = x.after {
		if x.tables == nil {
			return x.seq
		}
	}
	return maxSeq
}

// pinLocked makes sure that the files of v stay.
func (r *readerSet) pinLocked(v *tableSet) {
	v.pins++
	if v.pins == 1 {
		at, _ := slices.BinarySearchFunc(r.pinned, v.id, func(w *tableSet, id uint64) int { return cmp.Compare(w.id, id) })
		r.pinned = slices.Insert(r.pinned, at, v)
	}
}

// unpinLocked is the end of pinLocked.
func (r *readerSet) unpinLocked(v *tableSet) {
	v.pins--
	if v.pins == 0 {
		r.pinned = slices.DeleteFunc(r.pinned, func(w *tableSet) bool { return w == v })
	}
}

// pinnedLocked reports whether a pinned set has z.
func (r *readerSet) pinnedLocked(z zombie) bool {
	return slices.ContainsFunc(r.pinned, func(v *tableSet) bool { return z.born <= v.id && v.id < z.died })
}

// hasFreeLocked reports whether a zombie can be removed.
func (r *readerSet) hasFreeLocked() bool {
	return slices.ContainsFunc(r.zombies, func(z zombie) bool { return !r.pinnedLocked(z) })
}

// freeLocked takes out the zombies that no pinned set has, and returns them.
func (r *readerSet) freeLocked() (free []*dbTable) {
	r.zombies = slices.DeleteFunc(r.zombies, func(z zombie) bool {
		if r.pinnedLocked(z) {
			return false
		}
		free = append(free, z.dbTable)
		return true
	})
	return free
}

// A Snapshot shows the database as it was at one time. It is safe for
// concurrent use by multiple goroutines. Use [DB.Snapshot].
//
// Old values of keys that have changed since take space until the snapshot is
// closed. One that is not referred to any more is closed by the garbage
// collector.
type Snapshot struct {
	r       *reader // nil if the database was closed
	cleanup runtime.Cleanup
}

// Snapshot returns a snapshot of what is committed. If db is closed, methods of
// the snapshot return [ErrClosed].
func (db *DB) Snapshot() *Snapshot {
	p := &db.commits
	p.mu.Lock()
	defer p.mu.Unlock()
	if db.closed.Load() {
		return &Snapshot{}
	}
	s := &Snapshot{r: &reader{db: db, seq: p.visible.Load(), since: db.now()}}
	db.readers.addLocked(s.r)
	s.cleanup = runtime.AddCleanup(s, forget, s.r)
	return s
}

// forget takes out a reader that nobody refers to any more.
func forget(r *reader) { r.db.leave(r, true) }

// ended returns why the snapshot cannot be read, or nil.
func (s *Snapshot) ended() error {
	if s.r == nil || s.r.released.Load() {
		return ErrClosed
	}
	return nil
}

// Get returns a copy of the value that key had. If there is none, the error is
// [ErrNotFound].
func (s *Snapshot) Get(key []byte) ([]byte, error) {
	v, err := s.AppendGet([]byte{}, key)
	if err != nil {
		return nil, err
	}
	return v, nil
}

// AppendGet appends the value that key had to dst, and returns the extended
// slice. If there is none, the error is [ErrNotFound], and dst is returned as
// it is.
func (s *Snapshot) AppendGet(dst, key []byte) ([]byte, error) {
	out, ok, err := s.lookUp(dst, key, true)
	if err == nil && !ok {
		err = ErrNotFound
	}
	return out, err
}

// Has reports whether key had a value.
func (s *Snapshot) Has(key []byte) (bool, error) {
	_, ok, err := s.lookUp(nil, key, false)
	return ok, err
}

// lookUp looks for key. The answer counts only if the snapshot is still open
// afterwards: a race with Close, after which versions may go.
func (s *Snapshot) lookUp(dst, key []byte, value bool) ([]byte, bool, error) {
	if err := s.ended(); err != nil {
		return dst, false, err
	}
	out, ok, err := s.r.db.read(dst, key, value, s.r.seq)
	if closed := s.ended(); closed != nil {
		return dst, false, closed
	}
	runtime.KeepAlive(s)
	return out, ok, err
}

// Close ends the snapshot. Iterators that it has made go on. Afterwards all
// methods return [ErrClosed], and so does Close.
func (s *Snapshot) Close() error {
	if s.r == nil || s.r.released.Swap(true) {
		return ErrClosed
	}
	s.cleanup.Stop()
	s.r.db.leave(s.r, false)
	return nil
}

// leave takes r out. If it was forgotten, its user has not closed it.
func (db *DB) leave(r *reader, forgotten bool) {
	mu := &db.commits.mu
	mu.Lock()
	defer mu.Unlock()
	if r.gone {
		return // Close of the database came first
	}

	// Versions and files that r alone has kept may go.
	r.gone = true
	oldest := r.tables == nil && db.readers.oldestSeqLocked() == r.seq
	db.readers.dropLocked(r)
	if r.tables != nil {
		db.readers.unpinLocked(r.tables)
		db.scheduleRemovalLocked()
	}
	if oldest {
		db.scheduleCompactionLocked() // it may have held what was deleted
	}
	if forgotten && db.opts.OnEvent != nil && !db.logs.quitting {
		db.logs.background.Go(func() { db.event(Event{Kind: "leak", Readers: 1}) }) // ends when that returns
	}
}

// pin returns the tables that are there now, which stay until unpin.
func (db *DB) pin() *tableSet {
	mu := &db.commits.mu
	mu.Lock()
	defer mu.Unlock()
	v := db.state.Load().tables
	db.readers.pinLocked(v)
	return v
}

// unpin is the end of a read for which tables were pinned.
func (db *DB) unpin(v *tableSet) {
	mu := &db.commits.mu
	mu.Lock()
	defer mu.Unlock()
	db.readers.unpinLocked(v)
	db.scheduleRemovalLocked()
}

// closeReaders takes out all readers, and returns how many there were. The
// database is closed: they find that when they go on.
func (db *DB) closeReaders() (n int) {
	mu := &db.commits.mu
	mu.Lock()
	defer mu.Unlock()
	r := &db.readers
	n = r.count
	for x := r.first; x != nil; x = r.first {
		x.gone = true
		r.dropLocked(x)
		if x.tables != nil {
			r.unpinLocked(x.tables)
		}
	}
	return n
}

// oldestLocked returns how long the oldest reader is there.
func (r *readerSet) oldestLocked(now int64) time.Duration {
	if r.first == nil {
		return 0
	}
	return time.Duration(now - r.first.since)
}
