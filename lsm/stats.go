// SPDX-License-Identifier: MIT

package lsm

import (
	"errors"
	"time"
)

// Stats are counters and sizes of a [DB]. Each counter is exact, but they are
// read one after another, so two of them may differ by what happened in
// between.
type Stats struct {
	Commits    uint64        // since the database was opened
	BatchBytes uint64        // of their changes: the sum of Batch.Size
	Groups     uint64        // writes to a log that the commits took
	Syncs      uint64        // of these writes; syncs at the ends of logs do not count
	Logs       uint64        // log files that were begun
	LogBytes   uint64        // written to logs
	Flushes    uint64        // tables that were written of what was in memory
	Flushed    uint64        // bytes of these
	Merges     uint64        // jobs that have merged tables
	Moves      uint64        // jobs that have moved tables to another level as they are
	Merged     uint64        // bytes of tables that merges have written
	Misses     uint64        // data blocks that were read from files, except by merges and long scans
	Stalls     uint64        // commits that waited for the next log, or for memory
	Slowed     uint64        // commits that waited since they would have had to stall later
	SlowedFor  time.Duration // the sum of their waits

	Memory       int64         // bytes that keys and values take in memory, with the trees that find them
	Tables       int           // tables now
	Stored       int64         // bytes of them
	Bottom       int64         // of these, in the last level that has a table
	Cached       int64         // bytes of tables in the cache, with those of other databases that share it
	Readers      int           // snapshots and iterators that are open
	OldestReader time.Duration // since the oldest of them was made
	Pinned       int64         // bytes of tables that are there only for iterators
	Sequence     uint64        // operations since the database was made, and copies of them by Open
}

// Sub returns the change of the counters since prev, and the current sizes,
// from Memory on.
func (s Stats) Sub(prev Stats) Stats {
	s.Commits -= prev.Commits
	s.BatchBytes -= prev.BatchBytes
	s.Groups -= prev.Groups
	s.Syncs -= prev.Syncs
	s.Logs -= prev.Logs
	s.LogBytes -= prev.LogBytes
	s.Flushes -= prev.Flushes
	s.Flushed -= prev.Flushed
	s.Merges -= prev.Merges
	s.Moves -= prev.Moves
	s.Merged -= prev.Merged
	s.Misses -= prev.Misses
	s.Stalls -= prev.Stalls
	s.Slowed -= prev.Slowed
	s.SlowedFor -= prev.SlowedFor
	return s
}

// WriteAmplification returns how many bytes were written to logs and tables for
// each byte that was committed, or 0 if there was none.
func (s Stats) WriteAmplification() float64 {
	if s.BatchBytes == 0 {
		return 0
	}
	return float64(s.LogBytes+s.Flushed+s.Merged) / float64(s.BatchBytes)
}

// SpaceAmplification returns the bytes of all tables, with those that iterators
// keep, divided by the bytes of the last level that has any: about 1.1 if all
// is merged, and more if much was overwritten or deleted since. It is 0 without
// a table.
func (s Stats) SpaceAmplification() float64 {
	if s.Bottom == 0 {
		return 0
	}
	return float64(s.Stored+s.Pinned) / float64(s.Bottom)
}

// Stats returns the current statistics, also after Close.
func (db *DB) Stats() Stats {
	p := &db.commits
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	s.Logs = db.logs.begun.Load()
	s.Stalls = db.logs.stalls
	s.Flushes = db.flush.flushes
	s.Flushed = db.flush.bytes
	s.Merges = db.compactions.stats.merges
	s.Moves = db.compactions.stats.moves
	s.Merged = db.compactions.stats.written
	s.Misses = db.files.misses.Load()
	s.Slowed = db.throttle.waits.Load()
	s.SlowedFor = time.Duration(db.throttle.time.Load())

	// The sizes.
	state := db.state.Load()
	s.Memory = state.memory()
	s.Tables = state.tables.count()
	s.Cached = db.opts.Cache.Size()
	for level := range numLevels {
		if n := state.tables.size(level); n > 0 {
			s.Bottom = n
			s.Stored += n
		}
	}
	s.Readers = db.readers.count
	s.OldestReader = db.readers.oldestLocked(db.now())
	for _, z := range db.readers.zombies {
		s.Pinned += int64(z.tableMeta.size)
	}
	s.Sequence = p.seq
	return s
}

// An Event is something that a database has done by itself.
type Event struct {
	// Kind is "flush" when what was in memory has become a table, or nothing
	// was left of it; "merge" when tables were merged, and "move" when they
	// went to another level as they are; "failure" when any of that, or a new
	// log, has failed and will be tried again; "leak" when snapshots or
	// iterators were not closed, and the garbage collector has done it, or
	// Close.
	Kind string

	Level   int           // where the tables are now
	Tables  int           // that were written or moved
	Bytes   int64         // of those that were written
	Time    time.Duration // that it took
	Readers int           // that were not closed
	Err     error         // of a failure
}

// event calls Options.OnEvent. No lock is held.
func (db *DB) event(e Event) {
	if f := db.opts.OnEvent; f != nil {
		f(e)
	}
}

// failure calls Options.OnEvent with err, unless that is nil or comes from
// Close.
func (db *DB) failure(err error) {
	if err != nil && !errors.Is(err, errQuit) && !errors.Is(err, ErrClosed) {
		db.event(Event{Kind: "failure", Err: err})
	}
}
