// SPDX-License-Identifier: MIT

package lsm

// Scan returns an iterator over the keys from lo up to but not including hi, in
// ascending order. A nil hi is beyond all keys. It need not be closed.
func (t *Table) Scan(lo, hi []byte) *Iterator { return t.scan(lo, hi, maxSeq) }

// scan is Scan of the versions that are not newer than seq.
func (t *Table) scan(lo, hi []byte, seq uint64) *Iterator {
	it := &Iterator{m: new(iteratorParts)}
	it.m.grow(0, 1)
	it.bound(lo, hi)
	file := &dbTable{tableFile: t.tableFile}
	file.smallest = t.props.smallest
	file.largest = t.props.largest
	file.slots = make([]cacheSlot, dataSlots)
	file.slots[indexSlot].block.Store(&cachedBlock{index: t.index})
	if t.index.n > 0 {
		it.addTables([]*dbTable{file}, seq)
	}
	return it
}
