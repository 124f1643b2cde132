// SPDX-License-Identifier: MIT

package lsm

// Metrics are counters and sizes of a [DB]. Each field is exact; the set is not atomic.
type Metrics struct {
	// Commits is the number of commits since the database was opened.
	Commits uint64
	// Groups is the number of writes to a log that they took, and Syncs that of syncs, without those
	// at the ends of logs.
	Groups, Syncs uint64
	// Logs is the number of log files that were begun.
	Logs uint64
	// LogBytes is the number of bytes written to logs.
	LogBytes uint64
	// Stalls is the number of commits that waited for the next log.
	Stalls uint64
	// Memory is the number of bytes that keys and values take in memory, with what finds them.
	Memory int64
	// Sequence is the number of operations since the database was made.
	Sequence uint64
}

// Sub returns the counters since prev was taken; sizes are those of m.
func (m Metrics) Sub(prev Metrics) Metrics {
	m.Commits -= prev.Commits
	m.Groups -= prev.Groups
	m.Syncs -= prev.Syncs
	m.Logs -= prev.Logs
	m.LogBytes -= prev.LogBytes
	m.Stalls -= prev.Stalls
	return m
}

// Metrics returns the metrics of db; it works on a closed database as well.
func (db *DB) Metrics() Metrics {
	db.mu.Lock()
	defer db.mu.Unlock()
	m := db.metrics
	m.Memory, m.Sequence = db.mem.bytes(), db.seq
	return m
}
