// SPDX-License-Identifier: MIT

package ratelimit

import (
	"cmp"
	"fmt"
	"slices"
)

// errFull is the error of a caller for whom there is no place in line.
var errFull = fmt.Errorf("%w: the queue is full", ErrLimited)

// A line is the callers that wait for a [Permit], by priority, and in the order of arrival
// within one. Its pool lives only while somebody waits; see queue.
type line struct {
	waiting int
	levels  []level // not empty, the highest priority first
	free    *caller
}

type level struct {
	priority   int
	head, tail *caller
}

type caller struct {
	priority   int
	prev, next *caller
	ready      chan struct{} // receives one value when the wait ends by itself
	done       bool          // out of the line, with err
	err        error
}

// find returns the index of the level of priority, or where it belongs.
func (l *line) find(priority int) (int, bool) {
	return slices.BinarySearchFunc(l.levels, priority, func(v level, p int) int {
		return cmp.Compare(p, v.priority)
	})
}

// join appends a caller. The complexity is O(p) where p is the number of priorities that wait.
func (l *line) join(priority int) *caller {
	i, ok := l.find(priority)
	if !ok {
		l.levels = slices.Insert(l.levels, i, level{priority: priority})
	}
	v := &l.levels[i]
	w := l.free
	if w == nil {
		w = &caller{ready: make(chan struct{}, 1)}
	} else {
		l.free = w.next
	}
	*w = caller{priority: priority, ready: w.ready, prev: v.tail}
	if v.tail != nil {
		v.tail.next = w
	} else {
		v.head = w
	}
	v.tail = w
	l.waiting++
	return w
}

// first returns who is served next. The line is not empty.
func (l *line) first() *caller { return l.levels[0].head }

// last returns who came last of the lowest priority. The line is not empty.
func (l *line) last() *caller { return l.levels[len(l.levels)-1].tail }

// remove takes w out of the line.
func (l *line) remove(w *caller) {
	i, _ := l.find(w.priority)
	v := &l.levels[i]
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		v.head = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		v.tail = w.prev
	}
	if v.head == nil {
		l.levels = slices.Delete(l.levels, i, i+1)
	}
	w.done = true
	l.waiting--
}

// finish tells w, which is out of the line, the outcome.
func (w *caller) finish(err error) {
	w.err = err
	w.ready <- struct{}{}
}

// recycle keeps w, which is out of the line and whose caller is done with it, for the next to join.
// If nobody waits, rest must follow.
func (l *line) recycle(w *caller) {
	select {
	case <-w.ready: // told at the moment its context ended
	default:
	}
	w.next = l.free
	l.free = w
}

// rest lets go of what is needed only while somebody waits.
func (l *line) rest() { l.free = nil }
