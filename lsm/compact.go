// SPDX-License-Identifier: MIT

package lsm

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"runtime"
	"slices"
	"time"
)

// A compactor merges tables of one level into those of the next one. Its fields
// are protected by pipeline.mu.
//
//	P1  Tables of a job, and the keys between them in both levels, belong to no
//	    other job. From level 0 there is one job at a time, which takes the
//	    oldest tables.
//	P2  A version is dropped if a newer one of its key is seen by all snapshots
//	    that see it. A delete is dropped with what it hides, or if no level
//	    below can have its key.
//	P3  A sequence becomes 0 where that changes no answer: of the oldest version
//	    of a key, if there is none below and all snapshots see it.
//	P4  A table that cannot be read ends a job, and leaves its inputs as they
//	    are.
type compactor struct {
	running []*compaction
	manual  []*request
	err     error         // why the last attempt failed
	delay   time.Duration // of the next attempt, if the last one failed
	again   int64         // when it is due, if nobody waits
	stats   compactionStats
}

// compactionStats are what a compactor has done.
type compactionStats struct {
	merges, moves uint64
	written       uint64 // bytes
}

// A compaction is a job: tables of level from go to level to, which is the next
// one that has any tables, or the same.
type compaction struct {
	from, to int
	inputs   []placedTable
	first    []byte // the range of keys of the inputs
	last     []byte
	move     bool // the tables are taken as they are
	tables   *tableSet
	seqs     []uint64 // of snapshots
}

// kind returns the kind of its event.
func (c *compaction) kind() string {
	if c.move {
		return "move"
	}
	return "merge"
}

// errQuit is why a job ends when the database closes, or its log has failed.
var errQuit = errors.New("lsm: a job is given up")

// scheduleCompactionLocked starts what is due, if there is a place for it.
func (db *DB) scheduleCompactionLocked() {
	c := &db.compactions
	if c.err != nil && len(c.manual) == 0 && db.now() < c.again {
		return
	}
	for job := db.nextCompactionLocked(); job != nil; job = db.nextCompactionLocked() {
		db.logs.background.Go(func() { db.runCompactions(job) }) // ends when nothing is due, or the database closes
	}
}

// nextCompactionLocked returns a job that is due, and notes that it runs.
func (db *DB) nextCompactionLocked() *compaction {
	if db.logs.quitting || db.logs.pending != nil || db.commits.failed != nil || db.opts.ReadOnly {
		return nil
	}

	// Jobs on half of the processors are enough, except for level 0 when it
	// slows commits down.
	v := db.state.Load().tables
	var job *compaction
	if len(db.compactions.running) < max(1, runtime.GOMAXPROCS(0)/2) {
		job = db.pickLocked(v)
	} else if db.firstUrgent(v) {
		job = db.pickFirstLocked(v)
	}
	if job == nil {
		return nil
	}
	job.seqs = db.readers.sequencesLocked()
	db.compactions.running = append(db.compactions.running, job)
	return job
}

// runCompactions runs job, and then others as long as there are any.
func (db *DB) runCompactions(job *compaction) {
	mu := &db.commits.mu
	for job != nil {
		err := db.compact(job)
		db.files.spare(err)
		db.failure(err)
		mu.Lock()
		job = db.compactedLocked(job, err)
		mu.Unlock()
	}
}

// compactedLocked notes the end of a job, and returns the next one.
func (db *DB) compactedLocked(job *compaction, err error) *compaction {
	c := &db.compactions
	c.running = slices.DeleteFunc(c.running, func(j *compaction) bool { return j == job })
	defer db.commits.changedLocked()

	// After a failure the next attempt comes later, with a flush or a request.
	if err != nil {
		c.delay = backoff(c.delay, minBackoff, maxBackoff)
		c.again = db.now() + int64(c.delay)
		c.err = err
		for _, r := range c.manual {
			r.err = err
		}
		return nil
	}
	c.err = nil
	c.delay = 0
	next := db.nextCompactionLocked()
	db.scheduleCompactionLocked()
	return next
}

// compact runs a job.
func (db *DB) compact(job *compaction) error {
	begin := db.now()
	out := &output{db: db, opts: TableOptions{Codec: db.opts.Codec}}
	var c *change
	switch {
	case job.move:
		c = &change{removed: job.inputs}
		for _, t := range job.inputs {
			c.added = append(c.added, placedTable{job.to, t.dbTable})
		}
	default:
		m := newMerging(db, job, out)
		err := m.run()
		if err == nil {
			err = out.complete()
		}
		if err != nil {
			out.giveUp()
			return err
		}
		c = &change{removed: job.inputs}
		for _, t := range out.tables {
			c.added = append(c.added, placedTable{job.to, t})
		}
	}

	// Once the edit was begun it may name the tables: their files stay.
	begun, err := db.installCompaction(job, c, out, begin)
	switch {
	case err != nil && begun:
		out.drop()
	case err != nil:
		out.giveUp()
	default:
		db.removeObsolete()
		db.changedTables()
		db.event(Event{Kind: job.kind(), Level: job.to, Tables: len(c.added), Bytes: out.bytes, Time: time.Duration(db.now() - begin)})
	}
	return err
}

// changedTables calls the hook with which tests look at the tables.
func (db *DB) changedTables() {
	if db.lim.after == nil {
		return
	}
	v := db.pin()
	defer db.unpin(v)
	db.lim.after(v)
}

// installCompaction writes the edit c, and lets readers see what it makes. It
// tells whether the edit was begun. The job has begun at begin.
func (db *DB) installCompaction(job *compaction, c *change, out *output, begin int64) (begun bool, err error) {
	if !db.installed.take() {
		return false, errQuit
	}
	defer db.installed.give()

	// The database may have begun to close, or failed, before the turn came.
	mu := &db.commits.mu
	mu.Lock()
	quit := db.logs.quitting || db.commits.failed != nil
	next := db.installed.manifest
	next.nextFile = db.logs.nextNo
	mu.Unlock()
	if quit {
		return false, errQuit
	}
	after := db.state.Load().tables.after(c)
	if err := db.installed.fits(after, 0); err != nil {
		return false, err
	}

	// From here on the files may have the new tables.
	begun = true
	if err := db.edit(next, c, after, &db.compactions.err); err != nil {
		return begun, err
	}

	// The edit is durable: readers find the tables, and the old ones go.
	mu.Lock()
	defer mu.Unlock()
	s := *db.state.Load()
	s.tables = after
	db.state.Store(&s)
	db.retireLocked(c, after)
	db.countLocked(job, out, time.Duration(db.now()-begin))
	db.pressLocked()
	return begun, nil
}

// countLocked counts a job that was installed, and how long it took.
func (db *DB) countLocked(job *compaction, out *output, took time.Duration) {
	s := &db.compactions.stats
	if job.move {
		s.moves++
		return
	}
	s.merges++
	s.written += uint64(out.bytes)
	var first int64
	for _, t := range job.inputs {
		if t.level == 0 {
			first += int64(t.tableMeta.size)
		}
	}
	if job.from == 0 {
		sample(&db.throttle.merges, first, took)
	}
}

// A request is a call of Compact.
type request struct {
	lo, hi []byte
	seq    uint64 // older content goes to the bottom
	mark   uint64 // tables of the bottom with lower numbers are written again
	err    error  // of a job
}

// has reports whether t may have a key of the range.
func (r *request) has(t *dbTable) bool {
	return bytes.Compare(t.largest, r.lo) >= 0 && (r.hi == nil || bytes.Compare(t.smallest, r.hi) < 0)
}

// Compact merges what the database has from lo up to but not including hi,
// until each key lies in one place and what was overwritten or deleted takes no
// space. A nil hi is beyond all keys. What snapshots see stays. Without Compact
// this is done in the background, as far as it pays. If ctx ends first, Compact
// returns the error of ctx.
func (db *DB) Compact(ctx context.Context, lo, hi []byte) error {
	if err := db.Flush(ctx); err != nil {
		return err
	}
	mu := &db.commits.mu
	mu.Lock()
	defer mu.Unlock()
	c := &db.compactions
	r := &request{lo: bytes.Clone(lo), hi: bytes.Clone(hi), seq: db.commits.visible.Load(), mark: db.logs.nextNo}
	c.manual = append(c.manual, r)
	defer func() { c.manual = slices.DeleteFunc(c.manual, func(x *request) bool { return x == r }) }()

	// Jobs for it run until nothing is left for one. Others may run all the
	// time.
	timer := time.NewTimer(db.opts.StallTimeout)
	defer timer.Stop()
	until := func(done func() bool) error {
		for {
			if err := cmp.Or(db.commits.stateLocked(), r.err); err != nil {
				return err
			}
			db.scheduleCompactionLocked()
			if done() {
				return nil
			}
			if err := db.commits.waitForJobLocked(ctx, timer); err != nil {
				return err
			}
		}
	}
	if err := until(func() bool { return !db.remainsLocked(r) }); err != nil {
		return err
	}

	// The last of them may still be removing files.
	last := slices.Clone(c.running)
	last = slices.DeleteFunc(last, func(j *compaction) bool { return !j.touches(r) })
	ended := func() bool {
		return !slices.ContainsFunc(last, func(j *compaction) bool { return slices.Contains(c.running, j) })
	}
	if err := until(ended); err != nil {
		return err
	}
	return r.badTable(db.state.Load().tables)
}

// touches reports whether an input of c may have a key of r.
func (c *compaction) touches(r *request) bool {
	return slices.ContainsFunc(c.inputs, func(t placedTable) bool { return r.has(t.dbTable) })
}

// remainsLocked reports whether anything is left of r, for a job that runs or
// for one to come.
func (db *DB) remainsLocked(r *request) bool {
	c := &db.compactions
	running := c.running
	c.running = nil // what they have taken is not done
	defer func() { c.running = running }()
	return db.requestedLocked(r, db.state.Load().tables) != nil
}

// badTable returns why a table cannot be read that may have a key of the range,
// or that must be merged with one that has, or nil.
func (r *request) badTable(v *tableSet) error {
	for level, tables := range v.levels {
		for _, t := range tables {
			if t.bad != nil && (level == 0 || r.has(t)) {
				return t.bad
			}
		}
	}
	return nil
}
