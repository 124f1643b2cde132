// SPDX-License-Identifier: MIT

package ratelimit

import (
	"cmp"
	"slices"
	"sync/atomic"
)

// A queue is the waiters of one limit: by priority, and by arrival within one
// priority. Its pool of waiters lives only while somebody waits, so that a
// limit may be used in several synctest bubbles, one after another. The lock of
// the limit protects it, except for length.
type queue struct {
	length atomic.Int64
	levels []level // not empty, the highest priority first
	pool   *waiter
}

// A level is the waiters of one priority, in the order of arrival.
type level struct {
	priority   int
	head, tail *waiter
}

// A waiter is a caller that waits.
type waiter struct {
	priority   int
	prev, next *waiter
	ready      chan struct{} // receives one value when the wait ends by itself
	done       bool          // out of the queue, with err
	err        error

	// Of a wait for tokens.
	n      int64
	joined int64 // the reading at which it joined
	held   bool  // the waiter owns span: only the head of a queue does
	span   span
}

// level returns the index of the level of priority, or its place if there is
// none.
func (q *queue) level(priority int) (int, bool) {
	return slices.BinarySearchFunc(q.levels, priority, func(v level, p int) int {
		return cmp.Compare(p, v.priority)
	})
}

// join appends a waiter.
// The complexity is O(p) where p is the number of priorities that wait.
func (q *queue) join(priority int) *waiter {
	i, ok := q.level(priority)
	if !ok {
		q.levels = slices.Insert(q.levels, i, level{priority: priority})
	}
	v := &q.levels[i]

	// Use a waiter of the pool again, with its channel.
	w := q.pool
	if w == nil {
		w = &waiter{ready: make(chan struct{}, 1)}
	} else {
		q.pool = w.next
	}
	*w = waiter{priority: priority, ready: w.ready, prev: v.tail}

	// It comes last of its priority.
	if v.tail != nil {
		v.tail.next = w
	} else {
		v.head = w
	}
	v.tail = w
	q.length.Add(1)
	return w
}

// first returns the waiter that is served next, nil if nobody waits.
func (q *queue) first() *waiter {
	if len(q.levels) == 0 {
		return nil
	}
	return q.levels[0].head
}

// last returns the waiter of the lowest priority that came last. The queue is
// not empty.
func (q *queue) last() *waiter { return q.levels[len(q.levels)-1].tail }

// remove takes w out of the queue.
func (q *queue) remove(w *waiter) {
	i, _ := q.level(w.priority)
	v := &q.levels[i]
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

	// A priority without waiters has no level.
	if v.head == nil {
		q.levels = slices.Delete(q.levels, i, i+1)
	}
	w.done = true
	q.length.Add(-1)
}

// finish takes w out of the queue and tells it the outcome.
func (q *queue) finish(w *waiter, err error) {
	q.remove(w)
	w.err = err
	w.ready <- struct{}{}
}

// recycle keeps w, whose caller is done with it, for the next to join, if
// anybody waits. The caller of every waiter comes here in the end.
func (q *queue) recycle(w *waiter) {
	select {
	case <-w.ready: // told at the moment its context ended
	default:
	}
	w.next = q.pool
	q.pool = w

	// The pool ends with the last waiter.
	if len(q.levels) == 0 {
		q.pool = nil
	}
}
