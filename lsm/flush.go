// SPDX-License-Identifier: MIT

package lsm

import (
	"bufio"
	"errors"
	"path/filepath"
	"slices"
	"time"
)

// A flusher moves memtables that nobody writes any more into tables, the oldest
// first, so that their logs can go. pipeline.mu protects its fields.
//
//	F1  A memtable is flushed when all of it is visible and written to the log:
//	    nothing else may outlive a log that fails.
//	F2  A table is synced, and its name, before an edit names it.
//	F3  A log is removed when an edit with a later oldest log is durable, and
//	    the leader has left the log.
//	F4  The number of a file is used once, also if the file was given up.
type flusher struct {
	running bool
	waiting int           // commits that wait for memory
	large   int           // commits that wait and are longer than a memtable
	err     error         // why the last attempt failed
	delay   time.Duration // of the next attempt, if the last one failed
	again   int64         // when it is due, if nobody waits
	flushes uint64        // tables that were written
}

const (
	minBackoff = 50 * time.Millisecond
	maxBackoff = 5 * time.Second
)

// memtableFullLocked reports whether the memtable is too full for growth more
// bytes.
func (db *DB) memtableFullLocked(growth int64) bool {
	mem := db.state.Load().mem
	return mem.count > 0 && (mem.bytes()+growth > db.opts.Memory/8 || mem.count >= db.lim.versions)
}

// memoryShortLocked reports whether a commit that takes growth bytes has to
// wait until a memtable is flushed. One that is longer than a memtable waits
// for all, and then takes what it needs; meanwhile others begin none. While
// Open is not complete nothing can be flushed: commits wait for a log, which
// completes it.
func (db *DB) memoryShortLocked(growth int64, full bool) bool {
	s := db.state.Load()
	large := db.largeGrowth(growth)
	switch {
	case db.logs.pending != nil:
		return false
	case full && !large && db.flush.large > 0:
		return true
	default:
		return len(s.imms) > 0 && (full || large) && s.memory()+growth > db.opts.Memory/2
	}
}

// largeGrowth reports whether growth bytes are more than a memtable has.
func (db *DB) largeGrowth(growth int64) bool { return growth > db.opts.Memory/8 }

// freeze makes the memtable immutable, whose last sequence is last, and begins
// another in the log next. The caller holds commits.mu, or is Open or Close.
func (db *DB) freeze(last uint64, next logRef) {
	s := *db.state.Load()
	s.mem.last = last
	s.imms = append(slices.Clip(s.imms), s.mem)
	s.mem = newMemtable()
	s.mem.log = next
	db.state.Store(&s)
}

// nextFlushLocked returns the oldest memtable that can be flushed, or nil.
func (db *DB) nextFlushLocked() *memtable {
	imms := db.state.Load().imms
	p := &db.commits
	if len(imms) == 0 || db.logs.pending != nil || db.logs.quitting || p.failed != nil {
		return nil
	}
	if imms[0].last > min(p.visible.Load(), p.written) {
		return nil // a group is still being written
	}
	return imms[0]
}

// scheduleFlushLocked starts the flusher, if there is something to do.
func (db *DB) scheduleFlushLocked() {
	f := &db.flush
	if f.running || db.nextFlushLocked() == nil {
		return
	}
	if f.err != nil && f.waiting == 0 && db.now() < f.again {
		return
	}
	f.running = true
	db.logs.background.Go(db.runFlush) // ends when nothing can be flushed, or the database closes
}

// runFlush flushes as long as there is something to flush.
func (db *DB) runFlush() {
	f := &db.flush
	mu := &db.commits.mu
	for {
		mu.Lock()
		mem := db.nextFlushLocked()
		if mem == nil {
			f.running = false
			mu.Unlock()
			return
		}
		mu.Unlock()

		// Without the lock.
		err := db.flushOldest(mem)
		db.files.spare(err)
		mu.Lock()
		f.err = err
		delay := time.Duration(0)
		if err != nil {
			delay = backoff(f.delay, minBackoff, maxBackoff)
		}
		f.delay = delay
		idle := err != nil && f.waiting == 0
		if idle {
			f.again = db.now() + int64(delay)
			f.running = false
		}
		db.commits.changedLocked()
		mu.Unlock()

		// Nobody waits for the next attempt: it comes with the next commit.
		if idle {
			return
		}
		db.pause(delay)
	}
}

// backoff returns the pause after a failure: lo, or twice the one before, and
// at most hi.
func backoff(before, lo, hi time.Duration) time.Duration { return min(max(2*before, lo), hi) }

// pause waits for delay, or until the database closes.
func (db *DB) pause(delay time.Duration) {
	if delay == 0 {
		return
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-db.logs.quit:
	}
}

// flushOldest makes a table of mem, the oldest immutable memtable.
func (db *DB) flushOldest(mem *memtable) error {
	t, err := db.writeTable(mem)
	if err != nil {
		return err
	}
	if err := db.installTable(mem, t); err != nil {
		return errors.Join(err, t.close())
	}
	db.installed.removeObsolete()
	return nil
}

// flushAtClose makes tables of what is in memory, if it is more than a quarter
// of a memtable, so that the next Open reads shorter logs. last is the last
// log, which is durable and has no operation. Nobody commits any more. An error
// is no loss, because the logs have it all.
func (db *DB) flushAtClose(last *logFile) {
	s := db.state.Load()
	few := s.memory() <= minChunkLen+db.opts.Memory/8/4 // an empty one has a chunk
	if few && s.mem.count <= db.lim.closing {
		return
	}
	if s.mem.count > 0 {
		db.freeze(db.commits.seq, logRef{last.no, last.nonce})
	}
	for len(db.state.Load().imms) > 0 {
		if err := db.flushOldest(db.state.Load().imms[0]); err != nil {
			return
		}
	}
}

// installTable writes the edit that names t in place of mem, and lets readers
// see it. t is nil if nothing in mem is left. The edit is written until that
// succeeds: after a failure it may be there.
func (db *DB) installTable(mem *memtable, t *dbTable) error {
	next := db.manifestAfter(mem, t)
	var added []tableMeta
	if t != nil {
		added = []tableMeta{t.tableMeta}
	}
	for delay := minBackoff; ; delay = backoff(delay, minBackoff, maxBackoff) {
		err := db.installed.install(next, added)
		if err == nil {
			break
		}
		db.files.spare(err)
		db.commits.mu.Lock()
		db.flush.err = err
		quit := db.logs.quitting
		db.commits.mu.Unlock()
		if quit {
			return err
		}
		db.pause(delay)
	}

	mu := &db.commits.mu
	mu.Lock()
	defer mu.Unlock()
	db.replaceOldest(t)
	if t != nil {
		db.flush.flushes++
	}
	for _, no := range db.logs.leaveLocked(next.oldest.no) {
		db.installed.obsolete = append(db.installed.obsolete, logName(no))
	}
	return nil
}

// manifestAfter returns the state of the files when t has taken the place of
// mem, the oldest memtable.
func (db *DB) manifestAfter(mem *memtable, t *dbTable) manifest {
	db.commits.mu.Lock()
	defer db.commits.mu.Unlock()
	s := db.state.Load()
	after := s.mem
	if len(s.imms) > 1 {
		after = s.imms[1]
	}

	next := db.installed.manifest
	next.oldest = after.log
	next.flushed = mem.last
	next.nextFile = db.logs.nextNo
	if t != nil {
		next.tables = append(slices.Clip(next.tables), t.tableMeta)
	}
	return next
}

// replaceOldest lets readers find t, if it is not nil, in place of the oldest
// immutable memtable. The caller holds commits.mu, or is Open.
func (db *DB) replaceOldest(t *dbTable) {
	s := *db.state.Load()
	s.imms = slices.Clone(s.imms[1:])
	if t != nil {
		s.tables = append(slices.Clip(s.tables), t)
	}
	db.state.Store(&s)
}

// writeTable writes the newest versions in mem to a table that is durable, and
// opens it. There is none if nothing is left: a delete that hides nothing is
// not written.
func (db *DB) writeTable(mem *memtable) (*dbTable, error) {
	tables := db.state.Load().tables
	keepDeletes := len(tables) > 0
	if !keepDeletes && !mem.hasValues() {
		return nil, nil
	}
	if err := db.installed.fits(tables); err != nil {
		return nil, err
	}

	fsys := db.opts.FS
	no := db.logs.nextNumber()
	f, err := fsys.Create(filepath.Join(db.dir, tableName(no)))
	if err != nil {
		return nil, err
	}
	meta, err := db.fill(f, no, mem, keepDeletes)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = fsys.SyncDir(db.dir)
	}

	var t *dbTable
	if err == nil {
		t, err = db.openTable(meta)
	}
	if err != nil {
		// No edit names it, and the next attempt needs its space.
		db.installed.obsolete = append(db.installed.obsolete, tableName(no))
		db.installed.removeObsolete()
		return nil, err
	}
	return t, nil
}

// A fileWriter appends to a file.
type fileWriter struct {
	f   File
	off int64
}

func (w *fileWriter) Write(b []byte) (int, error) {
	n, err := w.f.WriteAt(b, w.off)
	w.off += int64(n)
	return n, err
}

// flushLen is how much of a table is written at once.
const flushLen = 64 << 10

// fill writes the newest versions in mem to f, a table with a number.
func (db *DB) fill(f File, no uint64, mem *memtable, keepDeletes bool) (meta tableMeta, err error) {
	out := bufio.NewWriterSize(&fileWriter{f: f}, flushLen)
	w := newTableWriter(out, &TableOptions{Codec: db.opts.Codec}, db.nonce())
	mem.each(func(key, value []byte, trailer uint64, newest bool) {
		kind := byte(trailer)
		if err == nil && newest && (kind == kindSet || keepDeletes) {
			err = w.add(key, trailer>>8, kind, value)
		}
	})
	if err == nil {
		err = w.Finish()
	}
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		return meta, err
	}

	t := tableFile{size: w.Size(), foot: w.foot, props: w.props}
	return t.meta(no), nil
}
