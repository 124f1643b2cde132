// SPDX-License-Identifier: MIT

package lsm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"sort"
)

// A levelCursor is a cursor over tables that ascend and do not share a key: a
// level, or one table of level 0. It opens a table when it comes to it. After
// an error it stays where it is, and has no item.
type levelCursor struct {
	item
	tables []*dbTable
	seq    uint64 // up to which it shows
	raw    bool   // it shows all versions

	at    int         // of the table at hand
	t     *dbTable    // that table; nil if there is none
	index *tableIndex // of t
	block int         // of t, at hand
	d     dataBlock   // that block; n is 0 if there is none
	i     int         // entry of d, if there is an item
	own   []byte      // the key of the item

	buf      blockBuffer
	run      int    // blocks that were read in order
	ahead    []byte // of t, read in advance
	aheadOff int64  // where that stands
}

const (
	freeRun      = 2        // blocks in order that are read one by one
	minAhead     = 32 << 10 // bytes that are read at once after that
	aheadDoubles = 3        // how often that doubles
	maxAhead     = minAhead << aheadDoubles
)

// fail ends the cursor with err.
func (c *levelCursor) fail(err error) bool {
	c.clear()
	c.err = err
	return false
}

// open opens the table at a place, and reports whether there is one.
func (c *levelCursor) open(at int) bool {
	if at < 0 || at >= len(c.tables) {
		c.clear()
		return false
	}
	if c.t != nil && c.at == at && c.index != nil {
		return true
	}

	// The block and the bytes read ahead are of the table before.
	c.at = at
	c.t = c.tables[at]
	c.d = dataBlock{}
	c.ahead = c.ahead[:0]
	index, err := c.t.index()
	if err != nil {
		c.index = nil
		return c.fail(err)
	}
	if index.n == 0 {
		return c.fail(c.badIndex())
	}
	c.index = index
	return true
}

// load reads a block of the table at hand, and reports whether there is one.
func (c *levelCursor) load(block int) bool {
	if c.d.n > 0 && c.block == block {
		return true
	}

	// Blocks in order make a run; a merge reads all of them.
	c.run++
	if block != c.block+1 {
		c.run = 0
	}
	if c.raw {
		c.run = max(c.run, freeRun)
	}
	d, err := c.data(block)
	if err != nil {
		c.d = dataBlock{}
		return c.fail(err)
	}
	c.block = block
	c.d = d
	c.own = append(c.own[:0], d.prefix...)
	return true
}

// data returns a block. Those that are read in order are read many at once, and
// do not come into the cache.
func (c *levelCursor) data(block int) (dataBlock, error) {
	if c.run < freeRun {
		return c.t.data(c.index, block, &c.buf)
	}
	if d, ok := c.t.cached(block); ok {
		return d, nil
	}

	off, end := c.index.start(block), c.index.start(block+1)
	if off < c.aheadOff || end > c.aheadOff+int64(len(c.ahead)) {
		n := max(end-off, minAhead<<min(c.run-freeRun, aheadDoubles))
		if c.raw {
			n = max(end-off, maxAhead)
		}
		if err := c.readAhead(off, n); err != nil {
			return dataBlock{}, err
		}
	}
	b := c.ahead[off-c.aheadOff : end-c.aheadOff]
	return c.t.parseBlock(b, off, &c.buf)
}

// readAhead reads up to n bytes of blocks from off.
func (c *levelCursor) readAhead(off, n int64) error {
	n = min(n, c.index.start(c.index.n)-off)
	if int64(int(n)) != n {
		return ErrTooLarge // of 32 bits
	}
	if int64(cap(c.ahead)) < n {
		c.ahead = make([]byte, n)
	}
	c.ahead = c.ahead[:n]
	c.aheadOff = off
	if err := c.t.readAt(c.ahead, off); err != nil {
		c.ahead = c.ahead[:0]
		return err
	}
	return nil
}

// damaged ends the cursor with err, which is about the block at hand.
func (c *levelCursor) damaged(err error) bool {
	return c.fail(c.t.blame(c.index.start(c.block), err))
}

// show shows the first version from entry i on that is not too new.
func (c *levelCursor) show(i int) {
	for {
		for ; i < c.d.n; i++ {
			e, err := c.d.entry(i)
			if err != nil {
				c.damaged(err)
				return
			}
			if e.seq <= c.seq {
				c.pick(i, &e)
				return
			}
		}

		// The next block, perhaps of the next table.
		if c.block+1 < c.index.n {
			if !c.load(c.block + 1) {
				return
			}
		} else if !c.open(c.at+1) || !c.load(0) {
			return
		}
		i = 0
	}
}

// showBack shows the newest version that is not too new of the key whose oldest
// version is entry i, or of the key before.
func (c *levelCursor) showBack(i int) {
	for {
		for i >= 0 {
			first, shown := c.showNewest(i)
			if shown || c.err != nil {
				return
			}
			i = first - 1
		}

		// The block before, perhaps of the table before.
		if c.block > 0 {
			if !c.load(c.block - 1) {
				return
			}
		} else if !c.open(c.at-1) || !c.load(c.index.n-1) {
			return
		}
		i = c.d.n - 1
	}
}

// showNewest shows the newest version that is not too new of the key whose
// oldest version is entry i, and reports whether there is one. first is the
// newest version of that key.
func (c *levelCursor) showNewest(i int) (first int, shown bool) {
	e, err := c.d.entry(i)
	if err != nil {
		return 0, c.damaged(err)
	}
	if e.seq > c.seq {
		return c.firstOf(i), false // and so are those before it
	}

	// Those before it are newer, as long as they have the key.
	best := i
	for first = i; first > 0 && c.d.flags&flagZero == 0 && c.same(first, first-1); {
		first--
		newer, err := c.d.entry(first)
		if err != nil {
			return 0, c.damaged(err)
		}
		if newer.seq > c.seq {
			break
		}
		best = first
		e = newer
	}
	c.pick(best, &e)
	return first, true
}

// firstOf returns the newest version of the key of entry i.
func (c *levelCursor) firstOf(i int) int {
	for i > 0 && c.d.flags&flagZero == 0 && c.same(i, i-1) {
		i--
	}
	return i
}

// same reports whether entries i and j of the block at hand have one key. If
// one is damaged, they do not: the next step to it finds that.
func (c *levelCursor) same(i, j int) bool {
	if c.d.head(i) != c.d.head(j) {
		return false
	}
	a, err := c.d.entry(i)
	b, other := c.d.entry(j)
	return err == nil && other == nil && a.rest == b.rest && bytes.Equal(a.tail, b.tail)
}

// pick makes entry i, which is e, the item.
func (c *levelCursor) pick(i int, e *blockEntry) {
	c.i = i
	var head [headLen]byte
	binary.BigEndian.PutUint32(head[:], c.d.head(i))
	c.own = append(c.own[:len(c.d.prefix)], head[:min(e.rest, headLen)]...)
	c.own = append(c.own, e.tail...)
	c.set(c.own, e.value, e.seq, e.kind)
}

// seekGE moves to the first key that is not before key.
func (c *levelCursor) seekGE(key []byte) {
	c.err = nil
	at := sort.Search(len(c.tables), func(i int) bool { return bytes.Compare(c.tables[i].largest, key) >= 0 })
	if !c.open(at) {
		return
	}

	// The table has a key from key on, and so has one of its blocks.
	block := c.index.search(key)
	if block == c.index.n {
		c.fail(c.badIndex())
		return
	}
	if !c.load(block) {
		return
	}
	i, err := c.d.search(key, c.seq)
	if err != nil {
		c.damaged(err)
		return
	}
	c.show(i)
}

// seekLT moves to the last key that is before key.
func (c *levelCursor) seekLT(key []byte) {
	c.err = nil
	at := sort.Search(len(c.tables), func(i int) bool { return bytes.Compare(c.tables[i].smallest, key) >= 0 })
	if !c.open(at - 1) {
		return
	}
	if !c.load(min(c.index.search(key), c.index.n-1)) {
		return
	}
	i, err := c.d.search(key, maxSeq)
	if err != nil {
		c.damaged(err)
		return
	}
	c.showBack(i - 1)
}

// badIndex returns the error of an index that does not have the keys which the
// manifest says.
func (c *levelCursor) badIndex() error {
	return c.t.blame(c.t.foot.index, errors.New("the index does not fit to the keys of the table"))
}

// last moves to the last key.
func (c *levelCursor) last() {
	c.err = nil
	if c.open(len(c.tables)-1) && c.load(c.index.n-1) {
		c.showBack(c.d.n - 1)
	}
}

// next moves to the next key, or version.
func (c *levelCursor) next() {
	i := c.i + 1
	if !c.raw && c.d.flags&flagZero == 0 {
		for i < c.d.n && c.same(c.i, i) {
			i++
		}
	}
	c.show(i)
}

// prev moves to the key before.
func (c *levelCursor) prev() {
	c.showBack(c.firstOf(c.i) - 1)
}

// more reports whether an older version of the key follows.
func (c *levelCursor) more() bool {
	return c.d.flags&flagZero == 0 && c.i+1 < c.d.n && c.same(c.i, c.i+1)
}
