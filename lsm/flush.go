// SPDX-License-Identifier: MIT

package lsm

import (
	"context"
	"errors"
	"fmt"
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
	bytes   uint64        // of these
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
		db.failure(err)
		mu.Lock()
		f.err = err
		delay := time.Duration(0)
		if err != nil {
			delay = backoff(f.delay, minBackoff, maxBackoff)
		}
		f.delay = delay
		db.scheduleCompactionLocked()
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
	mu := &db.commits.mu
	mu.Lock()
	seqs := db.readers.sequencesLocked()
	mu.Unlock()
	begin := db.now()
	t, err := db.writeTable(mem, seqs)
	if err != nil {
		return err
	}
	if err := db.installTable(mem, t, begin); err != nil {
		return errors.Join(err, t.close())
	}

	db.removeObsolete()
	db.changedTables()
	e := Event{Kind: "flush", Time: time.Duration(db.now() - begin)}
	if t != nil {
		e.Tables = 1
		e.Bytes = int64(t.tableMeta.size)
	}
	db.event(e)
	return nil
}

// resumedLocked waits until Open is complete, which it is not if it lacked
// room. It may release mu while it waits.
func (p *pipeline) resumedLocked(ctx context.Context) error {
	if p.db.logs.pending == nil {
		return nil
	}
	timer := time.NewTimer(p.db.opts.StallTimeout)
	defer timer.Stop()
	for p.db.logs.pending != nil {
		if err := p.stateLocked(); err != nil {
			return err
		}
		if err := p.stallLocked(ctx, timer.C, false); err != nil {
			return err
		}
	}
	return nil
}

// empty makes a table of what is in memory.
func (p *pipeline) empty(ctx context.Context) error {
	p.mu.Lock()
	if err := p.resumedLocked(ctx); err != nil {
		p.mu.Unlock()
		return err
	}
	if mem := p.db.state.Load().mem; mem.count > 0 {
		if err := p.admitLocked(ctx, 0, 0, mem); err != nil {
			p.mu.Unlock()
			return err
		}

		// A group may have no operation: the leader writes it by going on to
		// the log to which it is bound.
		if g := p.open; g.log != nil && g.log.no != p.db.logs.leading.Load() {
			if g.count == 0 {
				g.first = p.seq + 1
			}
			if err := p.joinLocked(ctx, g); err != nil {
				return err
			}
			p.mu.Lock()
		}
	}
	defer p.mu.Unlock()
	return p.flushedLocked(ctx)
}

// flushedLocked waits until no memtable is left that is immutable now.
func (p *pipeline) flushedLocked(ctx context.Context) error {
	imms := p.db.state.Load().imms
	if len(imms) == 0 {
		return nil
	}

	// The newest of them is flushed last.
	f := &p.db.flush
	f.waiting++
	defer func() { f.waiting-- }()
	timer := time.NewTimer(p.db.opts.StallTimeout)
	defer timer.Stop()
	for last := imms[len(imms)-1]; slices.Contains(p.db.state.Load().imms, last); {
		if err := p.stateLocked(); err != nil {
			return err
		}
		p.db.scheduleFlushLocked()
		if err := p.waitForJobLocked(ctx, timer); err != nil {
			return err
		}
	}
	return nil
}

// waitForJobLocked is waitLocked for a caller that waits for a job. When the
// timer ends, it is set again, unless a job has failed and is tried again: then
// that is the error.
func (p *pipeline) waitForJobLocked(ctx context.Context, timer *time.Timer) error {
	err := p.waitLocked(ctx, timer.C)
	if err == nil {
		return nil
	}
	cause := p.db.flush.err
	if cause == nil && len(p.db.compactions.running) > 0 {
		cause = p.db.compactions.err // a merge has the turn, perhaps
	}
	switch {
	case ctx.Err() != nil:
		return errors.Join(ctx.Err(), cause)
	case cause != nil:
		return fmt.Errorf("%w: %w", err, cause)
	default:
		timer.Reset(p.db.opts.StallTimeout)
		return nil
	}
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
// see it. t is nil if nothing in mem is left. The flush has begun at begin.
func (db *DB) installTable(mem *memtable, t *dbTable, begin int64) error {
	if !db.installed.take() {
		return ErrClosed
	}
	defer db.installed.give()
	next := db.manifestAfter(mem)
	c := added(0, t)
	after := db.state.Load().tables.after(c)
	if err := db.edit(next, c, after, &db.flush.err); err != nil {
		return err
	}

	mu := &db.commits.mu
	mu.Lock()
	defer mu.Unlock()
	db.replaceOldest(after)
	db.retireLocked(c, after)
	if t != nil {
		db.flush.flushes++
		db.flush.bytes += t.tableMeta.size
	}
	sample(&db.throttle.flushes, mem.bytes(), time.Duration(db.now()-begin))
	db.pressLocked()
	for _, no := range db.logs.leaveLocked(next.oldest.no) {
		db.removal.names = append(db.removal.names, logName(no))
	}
	return nil
}

// edit writes the edit c, again until that succeeds: after a failure the edit
// may be there or not. It sets cause to the errors, where commits that wait
// look for them. The caller has the turn.
func (db *DB) edit(next manifest, c *change, after *tableSet, cause *error) error {
	for delay := minBackoff; ; delay = backoff(delay, minBackoff, maxBackoff) {
		err := db.installed.install(next, c, after)
		if err == nil {
			return nil
		}
		db.files.spare(err)
		db.failure(err)
		db.commits.mu.Lock()
		*cause = err
		quit := db.logs.quitting
		db.commits.mu.Unlock()
		if quit {
			return err
		}
		db.pause(delay)
	}
}

// added returns the change that adds t to a level, or none if t is nil.
func added(level int, t *dbTable) *change {
	if t == nil {
		return &change{}
	}
	return &change{added: []placedTable{{level, t}}}
}

// retireLocked notes which tables have come, and which have gone, with after,
// the tableSet that has become the current one by the change c.
func (db *DB) retireLocked(c *change, after *tableSet) {
	for _, t := range c.added {
		if !hasTable(c.removed, t) {
			t.born = after.id
		}
	}
	for _, t := range c.removed {
		if !hasTable(c.added, t) {
			db.readers.zombies = append(db.readers.zombies, zombie{t.dbTable, after.id})
		}
	}
}

// hasTable reports whether list has t, on any level: then t moves.
func hasTable(list []placedTable, t placedTable) bool {
	return slices.ContainsFunc(list, func(x placedTable) bool { return x.dbTable == t.dbTable })
}

// manifestAfter returns the state of the files when a table has taken the place
// of mem, the oldest memtable.
func (db *DB) manifestAfter(mem *memtable) manifest {
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
	return next
}

// replaceOldest lets readers find the tables of v, in place of the oldest
// immutable memtable. The caller holds commits.mu, or is Open.
func (db *DB) replaceOldest(v *tableSet) {
	s := *db.state.Load()
	s.imms = slices.Clone(s.imms[1:])
	s.tables = v
	db.state.Store(&s)
}

// writeTable writes the versions in mem that are visible, or that snapshots of
// seqs see, to a table that is durable, and opens it. There is none if nothing
// is left: a delete that hides nothing is not written.
func (db *DB) writeTable(mem *memtable, seqs []uint64) (*dbTable, error) {
	tables := db.state.Load().tables
	keepDeletes := tables.count() > 0 || len(seqs) > 0
	if !keepDeletes && !mem.hasValues() {
		return nil, nil
	}
	if err := db.installed.fits(tables, 1); err != nil {
		return nil, err
	}

	out := output{db: db, opts: TableOptions{Codec: db.opts.Codec}}
	err := db.fill(&out, mem, seqs, keepDeletes)
	if err == nil {
		err = out.complete()
	}
	if err != nil {
		out.giveUp() // no edit names it, and the next attempt needs its space
		return nil, err
	}
	return out.tables[0], nil
}

// fill writes versions in mem to out.
func (db *DB) fill(out *output, mem *memtable, seqs []uint64, keepDeletes bool) (err error) {
	strip := 0 // of the version before
	mem.each(func(key, value []byte, trailer uint64, newest bool) {
		kind, seq := byte(trailer), trailer>>8
		at := stripOf(seqs, seq)
		if err != nil || !newest && at == strip || kind == kindDelete && !keepDeletes {
			return
		}
		strip = at
		out.held = out.held || !newest
		err = out.emit(key, seq, kind, value)
	})
	return err
}

// stripOf returns the number of snapshots that do not see a version of sequence
// seq. seqs are their sequences, which ascend. Of the versions of a key that
// have one such number, no snapshot sees any but the newest.
func stripOf(seqs []uint64, seq uint64) int {
	n := 0
	for n < len(seqs) && seqs[n] < seq {
		n++
	}
	return n
}
