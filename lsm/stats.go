// SPDX-License-Identifier: MIT

package lsm

// Stats are counters and sizes of a [DB]. Each counter is exact, and they are
// read together.
type Stats struct {
	Commits  uint64 // since the database was opened
	Groups   uint64 // writes to a log that the commits took
	Syncs    uint64 // of these writes; syncs at the ends of logs do not count
	Logs     uint64 // log files that were begun
	LogBytes uint64 // written to logs
	Flushes  uint64 // tables that were written
	Stalls   uint64 // commits that waited for the next log, or for memory
	Memory   int64  // bytes that keys and values take in memory, with the trees that find them
	Tables   int    // tables now
	Stored   int64  // bytes of them
	Cached   int64  // bytes of tables in the cache, with those of other databases that share it
	Sequence uint64 // operations since the database was made, and copies of them by Open
}

// Sub returns the counters since prev was taken; Memory, Tables, Stored,
// Cached and Sequence are those of s.
func (s Stats) Sub(prev Stats) Stats {
	s.Commits -= prev.Commits
	s.Groups -= prev.Groups
	s.Syncs -= prev.Syncs
	s.Logs -= prev.Logs
	s.LogBytes -= prev.LogBytes
	s.Flushes -= prev.Flushes
	s.Stalls -= prev.Stalls
	return s
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
	state := db.state.Load()
	s.Memory = state.memory()
	s.Tables = state.tables.count()
	s.Cached = db.opts.Cache.Size()
	for level := range numLevels {
		s.Stored += state.tables.size(level)
	}
	s.Sequence = p.seq
	return s
}
