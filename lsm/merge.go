// SPDX-License-Identifier: MIT

package lsm

import "bytes"

// A merger shows the keys of several cursors in order. Of one key the cursor
// that comes first in the list wins, because its source is newer: sequences are
// not compared. Raw cursors are merged forward, and show all versions, of one
// key those of the newer source first.
//
// The sources that have an item are a heap, whose root is the winner. Most
// steps leave the winner where it is, which two comparisons tell.
type merger struct {
	sources []source
	heap    []*source
	back    bool // it moves backward: the greatest key wins
	raw     bool
	err     error // why it has no item, if that is not the end
}

// A source is a cursor in a merger.
type source struct {
	cursor
	at  *item // of the cursor
	age int   // its place in the list
}

// attach adds a cursor whose source is older than those before.
func (m *merger) attach(c cursor, at *item) {
	m.sources = append(m.sources, source{c, at, len(m.sources)})
}

// item returns the item, or nil if there is none.
func (m *merger) item() *item {
	if len(m.heap) == 0 {
		return nil
	}
	return m.heap[0].at
}

// wins reports whether a comes before b.
func (m *merger) wins(a, b *source) bool {
	if a.at.head != b.at.head {
		return (a.at.head < b.at.head) != m.back
	}
	c := bytes.Compare(a.at.key, b.at.key)
	if c == 0 {
		return a.age < b.age
	}
	return (c < 0) != m.back
}

// build makes the heap of all sources, after all have moved.
func (m *merger) build(back bool) {
	m.back = back
	m.err = nil
	m.heap = m.heap[:0]
	for i := range m.sources {
		s := &m.sources[i]
		if s.at.err != nil {
			m.fail(s.at.err)
			return
		}
		if s.at.ok {
			m.heap = append(m.heap, s)
		}
	}
	for i := len(m.heap)/2 - 1; i >= 0; i-- {
		m.sink(i)
	}
}

// fail ends the merger with err.
func (m *merger) fail(err error) {
	m.heap = m.heap[:0]
	m.err = err
}

// sink moves place i of the heap down to where it belongs.
func (m *merger) sink(i int) {
	s := m.heap[i]
	for {
		child := 2*i + 1
		if child >= len(m.heap) {
			break
		}
		if right := child + 1; right < len(m.heap) && m.wins(m.heap[right], m.heap[child]) {
			child = right
		}
		if !m.wins(m.heap[child], s) {
			break
		}
		m.heap[i] = m.heap[child]
		i = child
	}
	m.heap[i] = s
}

// moved puts place i of the heap, whose cursor has moved, where it belongs.
func (m *merger) moved(i int) {
	s := m.heap[i]
	if s.at.ok {
		m.sink(i)
		return
	}
	if s.at.err != nil {
		m.fail(s.at.err)
		return
	}
	last := len(m.heap) - 1
	m.heap[i] = m.heap[last]
	m.heap[last] = nil
	m.heap = m.heap[:last]
	if i < last {
		m.sink(i)
	}
}

// runnerUp returns the place of the source that wins if the winner does not, or
// 0 if there is none.
func (m *merger) runnerUp() int {
	switch {
	case len(m.heap) < 2:
		return 0
	case len(m.heap) > 2 && m.wins(m.heap[2], m.heap[1]):
		return 2
	default:
		return 1
	}
}

// tied returns the place of a source with the key of the winner, or 0 if there
// is none.
func (m *merger) tied() int {
	i := m.runnerUp()
	if i == 0 {
		return 0
	}
	a, b := m.heap[0].at, m.heap[i].at
	if a.head != b.head || !bytes.Equal(a.key, b.key) {
		return 0
	}
	return i
}

// seekGE moves to the first key that is not before key.
func (m *merger) seekGE(key []byte) {
	for i := range m.sources {
		m.sources[i].seekGE(key)
	}
	m.build(false)
}

// seekLT moves to the last key that is before key.
func (m *merger) seekLT(key []byte) {
	for i := range m.sources {
		m.sources[i].seekLT(key)
	}
	m.build(true)
}

// last moves to the last key.
func (m *merger) last() {
	for i := range m.sources {
		m.sources[i].last()
	}
	m.build(true)
}

// next moves to the next key, or version if it is raw.
func (m *merger) next() {
	if m.back {
		m.turn(false)
		return
	}

	// Older versions of the key are passed, wherever they are.
	if !m.raw {
		m.pass(cursor.next)
	}
	if len(m.heap) > 0 {
		m.heap[0].next()
		m.moved(0)
	}
}

// prev moves to the key before.
func (m *merger) prev() {
	if !m.back {
		m.turn(true)
		return
	}
	m.pass(cursor.prev)
	if len(m.heap) > 0 {
		m.heap[0].prev()
		m.moved(0)
	}
}

// pass moves all sources but the winner away from its key.
func (m *merger) pass(move func(cursor)) {
	for i := m.tied(); i > 0; i = m.tied() {
		move(m.heap[i].cursor)
		m.moved(i)
	}
}

// turn changes the direction, and moves one key that way. All sources but the
// winner stand on the other side of its key, or on it: they go to this side.
func (m *merger) turn(back bool) {
	winner := m.heap[0]
	key := bytes.Clone(winner.at.key)

	for i := range m.sources {
		s := &m.sources[i]
		switch {
		case s == winner && back:
			s.prev()
		case s == winner:
			s.next()
		case back:
			s.seekLT(key)
		default:
			s.seekGE(key)
			if s.at.ok && bytes.Equal(s.at.key, key) {
				s.next()
			}
		}
	}
	m.build(back)
}

// more reports whether an older version of the key follows, of raw cursors.
func (m *merger) more() bool { return m.heap[0].more() || m.tied() > 0 }
