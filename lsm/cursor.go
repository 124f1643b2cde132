// SPDX-License-Identifier: MIT

package lsm

import "bytes"

// A cursor moves over the keys of one source: a memtable, a table of level 0,
// or another level. It shows each key once, with its newest version up to a
// sequence, which may be a delete; or if it is raw all versions, and moves
// forward only. All versions of a key are in one block or one memtable, so a
// cursor needs no other source for that.
//
// Where it is stands in an item, which is the same for the life of the cursor.
type cursor interface {
	// seekGE moves to the first key that is not before key, and seekLT to the
	// last one that is before it.
	seekGE(key []byte)
	seekLT(key []byte)

	// last moves to the last key.
	last()

	// next and prev move by one key, if there is an item.
	next()
	prev()

	// more reports whether an older version of the key follows: of a raw
	// cursor.
	more() bool
}

// An item is a version of a key. Its slices are valid until the cursor moves.
type item struct {
	ok    bool // there is one
	kind  byte
	head  uint64 // the first bytes of key
	seq   uint64
	key   []byte
	value []byte
	err   error // why there is none, if that is not the end
}

// set makes the item a version of a key.
func (t *item) set(key, value []byte, seq uint64, kind byte) {
	t.ok = true
	t.kind = kind
	t.head = head(key)
	t.seq = seq
	t.key = key
	t.value = value
}

// clear makes the item none.
func (t *item) clear() {
	t.ok = false
	t.key = nil
	t.value = nil
}

// A memCursor is a cursor over a memtable, which may change meanwhile. The
// versions that it shows were there before: later ones have sequences above its
// own.
type memCursor struct {
	item
	m   *memtable
	seq uint64 // up to which it shows

	// Entry i of leaf, in the order p. The leaf may have been replaced since;
	// it still has all that the cursor shows.
	leaf *node
	p    perm
	i    int
}

// memSteps is how many versions a cursor passes before it looks for the next
// key from the root.
const memSteps = 8

// entry returns the parts of the entry at hand.
func (c *memCursor) entry() (key, value []byte, trailer uint64) {
	return c.m.arena.get(c.leaf.refs[c.p.at(c.i)])
}

// locate moves to the first entry that is not before (key, seq), and reports
// whether there is one.
func (c *memCursor) locate(key []byte, seq uint64) bool {
	c.leaf, c.p, c.i = c.m.locate(key, seq)
	c.i--
	return c.forward()
}

// forward moves by one entry, and reports whether there is one.
func (c *memCursor) forward() bool {
	for c.i++; c.i >= c.p.len(); c.i = 0 {
		c.leaf = c.leaf.next.Load()
		if c.leaf == nil {
			return false
		}
		c.p = perm(c.leaf.perm.Load())
	}
	return true
}

// backward moves back by one entry, and reports whether there is one. To the
// left of a leaf it comes from the root: leaves know only those to the right.
func (c *memCursor) backward() bool {
	if c.i == 0 {
		first := c.leaf.refs[c.p.at(0)]
		c.leaf, c.p, c.i = c.m.locate(c.m.key(first), c.m.seq(first))
	}
	c.i--
	return c.i >= 0
}

// show shows the first version at hand, or after it, that is not too new.
func (c *memCursor) show(ok bool) {
	for n := 1; ok; n++ {
		key, value, trailer := c.entry()
		if trailer>>8 <= c.seq {
			c.set(key, value, trailer>>8, byte(trailer))
			return
		}
		if n%memSteps == 0 {
			ok = c.locate(key, c.seq)
		} else {
			ok = c.forward()
		}
	}
	c.clear()
}

// showBack shows the newest version that is not too new of the key of which the
// oldest version is at hand, or of the key before.
func (c *memCursor) showBack(ok bool) {
	for ; ok; ok = c.before(c.item.key) {
		key, value, trailer := c.entry()
		c.item.key = key
		if trailer>>8 > c.seq {
			continue // and so are all its versions
		}
		if !c.alone(key) && c.locate(key, c.seq) {
			_, value, trailer = c.entry()
		}
		c.set(key, value, trailer>>8, byte(trailer))
		return
	}
	c.clear()
}

// alone reports whether the entry to the left has another key, as far as that
// can be told in its leaf.
func (c *memCursor) alone(key []byte) bool {
	if c.i == 0 {
		return false
	}
	return !bytes.Equal(c.m.key(c.leaf.refs[c.p.at(c.i-1)]), key)
}

// before moves to the last entry before all versions of key, from one of them,
// and reports whether there is one.
func (c *memCursor) before(key []byte) bool {
	for range memSteps {
		if !c.backward() {
			return false
		}
		if k, _, _ := c.entry(); !bytes.Equal(k, key) {
			return true
		}
	}
	return c.under(key)
}

// under moves to the last entry before all versions of key, and reports whether
// there is one.
func (c *memCursor) under(key []byte) bool {
	c.leaf, c.p, c.i = c.m.locate(key, maxSeq)
	c.i--
	return c.i >= 0
}

func (c *memCursor) seekGE(key []byte) { c.show(c.locate(key, maxSeq)) }
func (c *memCursor) seekLT(key []byte) { c.showBack(c.under(key)) }

// last moves to the last key.
func (c *memCursor) last() {
	c.leaf, c.p = c.m.rightmost()
	c.i = c.p.len() - 1
	c.showBack(c.i >= 0)
}

// next moves to the next key.
func (c *memCursor) next() {
	key := c.item.key
	ok := c.forward()
	for n := 1; ok; n++ {
		if k, _, _ := c.entry(); !bytes.Equal(k, key) {
			break
		}
		if n%memSteps == 0 {
			ok = c.locate(key, 0)
		} else {
			ok = c.forward()
		}
	}
	c.show(ok)
}

// prev moves to the key before.
func (c *memCursor) prev() { c.showBack(c.before(c.item.key)) }

// more is not used: memtables are not merged.
func (c *memCursor) more() bool { return false }
