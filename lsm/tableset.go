// SPDX-License-Identifier: MIT

package lsm

import (
	"bytes"
	"slices"
	"sort"
)

// numLevels is the number of levels of tables. Tables of level 0 come from
// memory, and may overlap. A key lies in at most one table of each other level.
const numLevels = 7

// A tableSet is the tables of a database at a time. It does not change, except
// pins.
//
//	V1  Level 0 is in order of age: all sequences of a table are above those of
//	    the one before.
//	V2  Tables of another level ascend, and do not share a key.
//	V3  Of one key, what lies in a level is newer than what lies in a later
//	    one.
type tableSet struct {
	id     uint64 // one more than that of the set before
	levels [numLevels][]*dbTable
	pins   int // iterators and others that read it; protected by pipeline.mu
}

// count returns the number of tables.
func (v *tableSet) count() (n int) {
	for _, level := range v.levels {
		n += len(level)
	}
	return n
}

// metas returns what a manifest knows of the tables.
func (v *tableSet) metas() (levels [numLevels][]tableMeta) {
	for i, tables := range v.levels {
		for _, t := range tables {
			levels[i] = append(levels[i], t.tableMeta)
		}
	}
	return levels
}

// size returns the bytes of the tables of a level.
func (v *tableSet) size(level int) (n int64) {
	for _, t := range v.levels[level] {
		n += int64(t.tableMeta.size)
	}
	return n
}

// tableOf returns the table of a level other than 0 that may have key, or nil.
func (v *tableSet) tableOf(level int, key []byte) *dbTable {
	tables := v.levels[level]
	lo, hi := 0, len(tables)
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		if bytes.Compare(tables[mid].largest, key) < 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == len(tables) || bytes.Compare(key, tables[lo].smallest) < 0 {
		return nil
	}
	return tables[lo]
}

// overlapping returns the tables of a level other than 0 that may have a key
// from smallest to largest.
func overlapping(tables []*dbTable, smallest, largest []byte) []*dbTable {
	from := sort.Search(len(tables), func(i int) bool { return bytes.Compare(tables[i].largest, smallest) >= 0 })
	to := from
	for to < len(tables) && bytes.Compare(tables[to].smallest, largest) <= 0 {
		to++
	}
	return tables[from:to:to]
}

// A change is what an edit does to the tables: some of them go, and others come
// to a level.
type change struct {
	removed []placedTable
	added   []placedTable
}

// A placedTable is a table with its level.
type placedTable struct {
	level int
	*dbTable
}

// after returns the set after v with a change.
func (v *tableSet) after(c *change) *tableSet {
	next := &tableSet{id: v.id + 1, levels: v.levels}
	for _, r := range c.removed {
		tables := slices.Clone(next.levels[r.level])
		next.levels[r.level] = slices.DeleteFunc(tables, func(t *dbTable) bool { return t == r.dbTable })
	}
	for _, a := range c.added {
		tables := append(slices.Clip(next.levels[a.level]), a.dbTable)
		if a.level > 0 {
			slices.SortFunc(tables, func(x, y *dbTable) int { return bytes.Compare(x.smallest, y.smallest) })
		}
		next.levels[a.level] = tables
	}
	if invariants {
		next.check()
	}
	return next
}
