// SPDX-License-Identifier: MIT

package lsm

import (
	"bytes"
	"cmp"
	"slices"
)

const (
	growth        = 10   // of a level, to the next one
	manyDeletes   = 10   // a table is merged early if one in so many of its versions is a delete
	manySkips     = 1000 // or if readers have passed so many deletes of it, and as many more as it has entries
	urgent        = 2    // score from which level 0 comes first, and beside others
	defaultTables = 4    // of level 0 that are merged
)

// levelScore is how much a level needs to be merged: from 1 on it is due.
type levelScore struct {
	level int
	score float64
}

// base returns the level into which tables of level 0 go, if none before it has
// tables, and how long each level from there on may be. The last level may have
// its length, and each other one a tenth of the next.
func (v *tableSet) base(least int64) (base int, targets [numLevels]int64) {
	base = numLevels - 1
	targets[base] = v.size(base)
	for base > 1 && targets[base]/growth >= least {
		targets[base-1] = targets[base] / growth
		base--
	}
	return base, targets
}

// scores returns the levels that are due, the most urgent one first.
func (db *DB) scores(v *tableSet) (list []levelScore) {
	base, targets := v.base(db.lim.base)
	for level := 1; level < numLevels-1; level++ {
		if len(v.levels[level]) == 0 {
			continue
		}
		s := levelScore{level, 1} // before the base it should be empty
		if level >= base {
			s.score = float64(v.size(level)) / float64(targets[level])
		}
		list = append(list, s)
	}

	// Level 0 may not starve while others are merged.
	if db.lim.trigger > 0 {
		s := levelScore{0, float64(len(v.levels[0])) / float64(db.lim.trigger)}
		if db.firstUrgent(v) {
			s.score += 1e9
		}
		list = append(list, s)
	}
	list = slices.DeleteFunc(list, func(s levelScore) bool { return s.score < 1 })
	slices.SortStableFunc(list, func(a, b levelScore) int { return cmp.Compare(b.score, a.score) })
	return list
}

// firstUrgent reports whether level 0 does not wait for others.
func (db *DB) firstUrgent(v *tableSet) bool {
	return db.lim.trigger > 0 && len(v.levels[0]) >= urgent*db.lim.trigger
}

// pickLocked returns a job that is due, or nil.
func (db *DB) pickLocked(v *tableSet) *compaction {
	for _, r := range db.compactions.manual {
		if job := db.requestedLocked(r, v); job != nil {
			return job
		}
	}
	if db.lim.trigger == 0 {
		return nil
	}
	for _, s := range db.scores(v) {
		if job := db.pickLevelLocked(v, s.level); job != nil {
			return job
		}
	}
	return db.pickStaleLocked(v)
}

// pickLevelLocked returns a job for a level that is too large.
func (db *DB) pickLevelLocked(v *tableSet, level int) *compaction {
	if level == 0 {
		return db.pickFirstLocked(v)
	}

	// Prefer the table that overlaps least of the next level for its size: the
	// merge writes that again.
	type candidate struct {
		t     *dbTable
		ratio float64
	}
	var list []candidate
	for _, t := range v.levels[level] {
		n := int64(0)
		for _, below := range overlapping(v.levels[level+1], t.smallest, t.largest) {
			n += int64(below.tableMeta.size)
		}
		list = append(list, candidate{t, float64(n) / float64(t.tableMeta.size)})
	}
	slices.SortStableFunc(list, func(a, b candidate) int { return cmp.Compare(a.ratio, b.ratio) })
	for _, c := range list {
		if job := db.jobLocked(v, level, level+1, []*dbTable{c.t}, true); job != nil {
			return job
		}
	}
	return nil
}

// pickFirstLocked returns a job for all tables of level 0.
func (db *DB) pickFirstLocked(v *tableSet) *compaction {
	if len(v.levels[0]) == 0 {
		return nil
	}
	to, _ := v.base(db.lim.base)
	for level := 1; level < to; level++ {
		if len(v.levels[level]) > 0 {
			to = level
		}
	}
	return db.jobLocked(v, 0, to, v.levels[0], true)
}

// skipped reports whether readers have passed so many deletes that merging t
// costs no more.
func (t *dbTable) skipped() bool { return t.skips.Load() >= manySkips+int64(t.entries) }

// pickStaleLocked returns a job for a table that has much that is deleted, or
// that was kept for a snapshot that is gone.
func (db *DB) pickStaleLocked(v *tableSet) *compaction {
	for _, t := range v.levels[0] {
		if t.skipped() {
			return db.pickFirstLocked(v)
		}
	}

	// A table with many deletes is merged into the next level; one of the last
	// level, or with versions held for a snapshot, only when no snapshot needs
	// what it has.
	oldest := db.readers.oldestSeqLocked()
	for level := 1; level < numLevels; level++ {
		for _, t := range v.levels[level] {
			free := oldest >= t.maxSeq // no snapshot holds what it has
			stale := t.deletes > 0 && (t.deletes*manyDeletes >= t.entries || t.skipped())
			if !(t.held && free) && !(stale && (free || level < numLevels-1)) {
				continue
			}
			to := min(level+1, numLevels-1)
			if job := db.jobLocked(v, level, to, []*dbTable{t}, false); job != nil {
				return job
			}
		}
	}
	return nil
}

// requestedLocked returns a job for a call of Compact, or nil. The first level
// that has something of the range goes first.
func (db *DB) requestedLocked(r *request, v *tableSet) *compaction {
	old := func(t *dbTable) bool { return r.has(t) && t.minSeq <= r.seq }
	if slices.ContainsFunc(v.levels[0], old) {
		return db.pickFirstLocked(v)
	}

	// Then one level after the other, down to the last.
	for level := 1; level < numLevels-1; level++ {
		for _, t := range v.levels[level] {
			if old(t) {
				if job := db.jobLocked(v, level, level+1, []*dbTable{t}, true); job != nil {
					return job
				}
			}
		}
	}

	// Tables of the last level that are older than the request are written
	// again, unless all their sequences are 0: then nothing is left to drop.
	for _, t := range v.levels[numLevels-1] {
		if r.has(t) && t.no < r.mark && t.maxSeq > 0 {
			if job := db.jobLocked(v, numLevels-1, numLevels-1, []*dbTable{t}, false); job != nil {
				return job
			}
		}
	}
	return nil
}

// jobLocked returns the job that merges tables of a level with what they
// overlap of another, or nil if some are part of another job, or damaged. If it
// may, it moves them.
func (db *DB) jobLocked(v *tableSet, from, to int, tables []*dbTable, mayMove bool) *compaction {
	job := &compaction{from: from, to: to, tables: v}
	for _, t := range tables {
		job.take(from, t)
	}
	below := 0
	if from != to {
		for _, t := range overlapping(v.levels[to], job.first, job.last) {
			job.take(to, t)
			below++
		}
	}
	if !job.free(db.compactions.running) {
		return nil
	}
	job.move = mayMove && below == 0 && from != to && db.movable(v, job)
	return job
}

// take adds a table to the inputs.
func (c *compaction) take(level int, t *dbTable) {
	one := len(c.inputs) == 0 // nil is the empty key, and says nothing
	c.inputs = append(c.inputs, placedTable{level, t})
	if one || bytes.Compare(t.smallest, c.first) < 0 {
		c.first = t.smallest
	}
	if one || bytes.Compare(t.largest, c.last) > 0 {
		c.last = t.largest
	}
}

// free reports whether the job has nothing to do with the others, and can read
// its tables.
func (c *compaction) free(others []*compaction) bool {
	for _, t := range c.inputs {
		if t.bad != nil {
			return false
		}
	}
	for _, o := range others {
		apart := c.to < o.from || o.to < c.from
		before := bytes.Compare(c.last, o.first) < 0 || bytes.Compare(o.last, c.first) < 0
		if !apart && !before {
			return false
		}
	}
	return true
}

// movable reports whether the tables of a job can go to the other level as they
// are: they share no key, and the merge after that does not become too long. A
// table with deletes is merged into the last level, since that removes them.
func (db *DB) movable(v *tableSet, job *compaction) bool {
	sorted := slices.Clone(job.inputs)
	slices.SortFunc(sorted, func(a, b placedTable) int { return bytes.Compare(a.smallest, b.smallest) })
	for i, t := range sorted {
		if i > 0 && bytes.Compare(sorted[i-1].largest, t.smallest) >= 0 {
			return false
		}
		if (t.deletes > 0 || t.held) && job.to == numLevels-1 {
			return false
		}
		if job.to+1 == numLevels {
			continue
		}

		// The next merge writes again all of what it overlaps there.
		n := int64(0)
		for _, below := range overlapping(v.levels[job.to+1], t.smallest, t.largest) {
			n += int64(below.tableMeta.size)
		}
		if n > maxOverlap*db.lim.table {
			return false
		}
	}
	return true
}
