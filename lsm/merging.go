// SPDX-License-Identifier: MIT

package lsm

import (
	"bytes"
	"math"
)

// A merging is a compaction that writes tables.
type merging struct {
	db     *DB
	job    *compaction
	m      merger
	levels []levelCursor
	out    *output
	steps  int // keys so far: each quitSteps it looks whether the database closes

	// Tables of the levels below to, from the first that does not end before
	// the key at hand.
	below [numLevels][]*dbTable

	// Tables of the level after to, from the first that does not end before
	// the key at hand, and the bytes of those that the output at hand overlaps.
	next    []*dbTable
	overlap int64

	list []heldVersion // versions of a key that are kept, the newest first
	data []byte        // their values
	key  []byte
}

// A heldVersion is a version of a key, whose value is in merging.data.
type heldVersion struct {
	seq      uint64
	kind     byte
	from, to int
}

const (
	quitSteps  = 1 << 10 // keys between two looks
	maxOverlap = 10      // tables of the level after that an output overlaps, at most
)

// newMerging returns the merging of a job.
func newMerging(db *DB, job *compaction, out *output) *merging {
	m := &merging{db: db, job: job, out: out, below: job.tables.levels}
	m.m.raw = true
	m.levels = make([]levelCursor, 0, len(job.inputs))
	var levels [numLevels][]*dbTable
	for _, t := range job.inputs {
		levels[t.level] = append(levels[t.level], t.dbTable)
	}

	// The newest tables of level 0 come first, each alone.
	for i := len(levels[0]) - 1; i >= 0; i-- {
		m.attach(levels[0][i : i+1])
	}
	for level := 1; level < numLevels; level++ {
		if len(levels[level]) > 0 {
			m.attach(levels[level])
		}
	}
	if job.to+1 < numLevels {
		m.next = job.tables.levels[job.to+1]
	}
	return m
}

// attach adds tables as a source.
func (m *merging) attach(tables []*dbTable) {
	m.levels = append(m.levels, levelCursor{tables: tables, seq: math.MaxUint64, raw: true})
	c := &m.levels[len(m.levels)-1]
	m.m.attach(c, &c.item)
}

// run writes what is left of the inputs.
func (m *merging) run() error {
	m.m.seekGE(nil)
	for at := m.m.item(); at != nil; at = m.m.item() {
		if m.steps++; m.steps%quitSteps == 0 && m.db.quits() {
			return errQuit
		}
		if m.m.more() {
			if err := m.versions(at); err != nil {
				return err
			}
			continue
		}

		// This is the only version of its key.
		if err := m.single(at); err != nil {
			return err
		}
		m.m.next()
	}
	if m.m.err != nil {
		m.blame()
	}
	return m.m.err
}

// quits reports whether jobs should end.
func (db *DB) quits() bool {
	select {
	case <-db.logs.quit:
		return true
	default:
		return false
	}
}

// blame makes sure that a table that cannot be read is not merged again.
func (m *merging) blame() {
	mu := &m.db.commits.mu
	mu.Lock()
	defer mu.Unlock()
	for i := range m.levels {
		if c := &m.levels[i]; c.err != nil && !lacksRoom(c.err) {
			c.t.bad = c.err
		}
	}
}

// single writes a key that has one version.
func (m *merging) single(at *item) error {
	seq := at.seq
	if seq > 0 || at.kind == kindDelete {
		bottom := m.bottom(at.key)
		if bottom && at.kind == kindDelete {
			return nil
		}
		if bottom && m.seenByAll(seq) {
			seq = 0
		}
	}
	if err := m.cut(at.key); err != nil {
		return err
	}
	return m.out.emit(at.key, seq, at.kind, at.value)
}

// seenByAll reports whether all snapshots see what has the sequence seq.
func (m *merging) seenByAll(seq uint64) bool { return len(m.job.seqs) == 0 || seq <= m.job.seqs[0] }

// versions writes the versions of the key at hand that are kept, and moves to
// the next key.
func (m *merging) versions(at *item) error {
	m.key = append(m.key[:0], at.key...)
	m.list = m.list[:0]
	m.data = m.data[:0]
	strip := -1
	for more := true; more; {
		// The newest of those between two snapshots is kept.
		at := m.m.item()
		if s := stripOf(m.job.seqs, at.seq); s != strip {
			strip = s
			from := len(m.data)
			m.data = append(m.data, at.value...)
			m.list = append(m.list, heldVersion{at.seq, at.kind, from, len(m.data)})
		}
		more = m.m.more()
		m.m.next()
		if m.m.err != nil {
			return nil // run finds it
		}
	}

	// Deletes with nothing below hide nothing.
	bottom := m.bottom(m.key)
	n := len(m.list)
	for bottom && n > 0 && m.list[n-1].kind == kindDelete {
		n--
	}
	m.list = m.list[:n]
	if n == 0 {
		return nil
	}
	if bottom && m.seenByAll(m.list[n-1].seq) {
		m.list[n-1].seq = 0
	}
	if err := m.cut(m.key); err != nil {
		return err
	}
	m.out.held = m.out.held || n > 1
	for _, v := range m.list {
		if err := m.out.emit(m.key, v.seq, v.kind, m.data[v.from:v.to]); err != nil {
			return err
		}
	}
	return nil
}

// bottom reports whether no level below has a table that may have key. Keys
// ascend.
func (m *merging) bottom(key []byte) bool {
	for level := m.job.to + 1; level < numLevels; level++ {
		tables := m.below[level]
		for len(tables) > 0 && bytes.Compare(tables[0].largest, key) < 0 {
			tables = tables[1:]
		}
		m.below[level] = tables
		if len(tables) > 0 && bytes.Compare(tables[0].smallest, key) <= 0 {
			return false
		}
	}
	return true
}

// cut ends the table at hand before key, if it is long, or if it overlaps so
// much of the next level that merging it would take long.
func (m *merging) cut(key []byte) error {
	for len(m.next) > 0 && bytes.Compare(m.next[0].largest, key) < 0 {
		m.overlap += int64(m.next[0].tableMeta.size)
		m.next = m.next[1:]
	}
	limit := m.db.lim.table
	if m.job.to == numLevels-1 {
		limit *= 2
	}
	if m.out.f == nil {
		m.overlap = 0
		return nil
	}
	if m.out.size() < limit && m.overlap < maxOverlap*m.db.lim.table {
		return nil
	}
	m.overlap = 0
	return m.out.end()
}
