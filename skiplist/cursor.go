// SPDX-License-Identifier: MIT

package skiplist

// A Cursor goes through a [Map] step by step, in both directions. It keeps its
// key: after a change of the map the next step leads to the successor of that
// key, or to its predecessor, whether the key is still there or not. Until then
// it may keep values that were deleted after a Clone. It is not safe for
// concurrent use.
type Cursor[K, V any] struct {
	m    *Map[K, V]
	key  K
	at   position
	seen uint64     // the value of m.changes for which path is right
	path path[K, V] // to the entry of key
}

// A position is where a Cursor stands.
type position uint8

const (
	beforeAll position = iota
	onEntry
	behindAll
)

// Cursor returns a cursor before the first entry.
func (m *Map[K, V]) Cursor() *Cursor[K, V] { return &Cursor[K, V]{m: m} }

// goTo leads c to the entry of rank r, or beyond either end.
func (c *Cursor[K, V]) goTo(r int) bool {
	switch {
	case r < 0:
		c.leave(beforeAll)
		return false
	case r >= c.m.Len():
		c.leave(behindAll)
		return false
	}
	c.path.seek(c.m, r)
	c.arrive()
	return true
}

// leave takes c off the entries.
func (c *Cursor[K, V]) leave(at position) {
	*c = Cursor[K, V]{m: c.m, at: at}
}

// arrive makes the entry on the path that of c.
func (c *Cursor[K, V]) arrive() {
	c.key = c.path.leaf.keys[c.path.at]
	c.at = onEntry
	c.seen = c.m.changes
}

// isCurrent reports whether the path of c leads to its entry.
func (c *Cursor[K, V]) isCurrent() bool { return c.at == onEntry && c.seen == c.m.changes }

// First goes to the first entry, and reports whether there is one. The
// complexity is O(log n) where n is the length of the map.
func (c *Cursor[K, V]) First() bool { return c.goTo(0) }

// Last goes to the last entry, and reports whether there is one. The complexity
// is O(log n) where n is the length of the map.
func (c *Cursor[K, V]) Last() bool { return c.goTo(c.m.Len() - 1) }

// Seek goes to the first entry whose key is at least key, and reports whether
// there is one; else it stands behind the last. The complexity is O(log n)
// where n is the length of the map.
func (c *Cursor[K, V]) Seek(key K) bool { return c.goTo(c.m.rank(key, false)) }

// Next goes to the next entry, and reports whether there is one. Behind the
// last it stays there. The complexity is O(1) amortized, and O(log n) after a
// change, where n is the length of the map.
func (c *Cursor[K, V]) Next() bool {
	switch {
	case c.at == beforeAll:
		return c.First()
	case c.at == behindAll:
		return false
	case !c.isCurrent():
		return c.goTo(c.m.rank(c.key, true))
	}

	if c.path.at+1 < c.path.leaf.n {
		c.path.at++
	} else if !c.path.next() {
		c.leave(behindAll)
		return false
	}
	c.arrive()
	return true
}

// Prev goes to the entry before, and reports whether there is one. Before the
// first it stays there. The complexity is that of Next.
func (c *Cursor[K, V]) Prev() bool {
	switch {
	case c.at == behindAll:
		return c.Last()
	case c.at == beforeAll:
		return false
	case !c.isCurrent():
		return c.goTo(c.m.rank(c.key, false) - 1)
	}

	if c.path.at > 0 {
		c.path.at--
	} else if !c.path.prev() {
		c.leave(beforeAll)
		return false
	}
	c.arrive()
	return true
}

// Key returns the key of the entry on which c stands, or stood when it was
// deleted; zero if c stands on none.
func (c *Cursor[K, V]) Key() K { return c.key }

// Value returns the value of the key of c. It is zero if c stands on no entry,
// or its key was deleted.
func (c *Cursor[K, V]) Value() (value V) {
	switch {
	case c.isCurrent():
		return c.path.leaf.vals[c.path.at]
	case c.at == onEntry:
		value, _ = c.m.Get(c.key)
	}
	return value
}

// Delete deletes the key of c from the map, and reports whether it was there.
// The cursor stays between its neighbors. The complexity is O(log n) where n is
// the length of the map.
func (c *Cursor[K, V]) Delete() bool {
	if c.at != onEntry {
		return false
	}
	_, ok := c.m.Delete(c.key)
	return ok
}
