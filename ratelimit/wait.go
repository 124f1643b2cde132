// SPDX-License-Identifier: MIT

package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"
)

var (
	// ErrLimited is wrapped by the error of a wait that was refused since it would be too long, or
	// since too many wait already.
	ErrLimited = errors.New("ratelimit: wait would be too long")

	// ErrBurst is wrapped by the error of a wait for more tokens than the bucket holds.
	ErrBurst = errors.New("ratelimit: more tokens than the burst")
)

// A WaitError is the error of a wait that was refused at once, without taking anything.
// It wraps [ErrBurst]; or [ErrLimited], and [context.DeadlineExceeded] as well if it was the
// context's deadline that would have passed.
type WaitError struct {
	N     int64         // the tokens asked for
	Delay time.Duration // how long the wait would have been; the longest duration if without end
	err   error
}

// Error says what the wait asked for and how long it would have been.
func (e *WaitError) Error() string {
	switch {
	case errors.Is(e.err, ErrBurst):
		return fmt.Sprintf("%v: %d asked for", e.err, e.N)
	case e.Delay == math.MaxInt64:
		return fmt.Sprintf("%v: the tokens never come", ErrLimited)
	}
	return fmt.Sprintf("%v: %v for %d", ErrLimited, e.Delay, e.N)
}

// Unwrap returns the sentinels that e stands for.
func (e *WaitError) Unwrap() []error {
	if errors.Is(e.err, context.DeadlineExceeded) {
		return []error{ErrLimited, context.DeadlineExceeded}
	}
	return []error{e.err}
}

// A queue is the FIFO of waiting callers. Its pool of waiters and its timer live only while
// somebody waits, so that a limiter may be used in several synctest bubbles, one after another.
type queue struct {
	waiting    atomic.Int64 // length; written with the lock held
	head, tail *waiter
	queued     int64 // tokens of the waiters that hold no interval
	free       *waiter
	timer      *time.Timer
}

type waiter struct {
	n, joined  int64 // joined is a reading
	prev, next *waiter
	ready      chan struct{} // receives one value when the wait ends by itself
	done       bool          // out of the queue, with err
	err        error

	held bool // the waiter owns span: only the head does
	span span
}

// Wait takes n tokens, sleeping until they are there. Waits are served in the order of
// arrival, and the first in line has its tokens kept for it. On failure it returns an error and
// leaves the limiter as if it had not been called: ctx.Err() if ctx ends first, or at once a
// [*WaitError] if n exceeds the burst or if the deadline of ctx would pass first.
// It panics if n is negative.
func (l *Limiter) Wait(ctx context.Context, n int64) error {
	return l.wait(ctx, checkN("Wait", n), math.MaxInt64)
}

// WaitMax is Wait for a caller with no more than limit to spare: it fails at once, wrapping
// [ErrLimited], if the wait would be longer. With limit 0 it does not sleep.
func (l *Limiter) WaitMax(ctx context.Context, n int64, limit time.Duration) error {
	return l.wait(ctx, checkN("WaitMax", n), limit)
}

func (l *Limiter) wait(ctx context.Context, n int64, limit time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if l.queue.waiting.Load() == 0 && l.allow(l.elapsed(), n, 0) {
		return nil
	}
	w, err := l.enqueue(ctx, n, limit)
	if err != nil {
		return err
	}
	select {
	case <-w.ready:
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !w.done {
		w.err = ctx.Err()
		l.leaveLocked(w)
		l.serveLocked(l.elapsed())
	}
	err = w.err
	l.queue.recycle(w)
	return err
}

// enqueue adds a waiter, unless its wait would be too long.
func (l *Limiter) enqueue(ctx context.Context, n int64, limit time.Duration) (*waiter, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.elapsed()
	b, d := l.nearLocked(t)
	if n > b.burst {
		return nil, &WaitError{N: n, Delay: math.MaxInt64, err: ErrBurst}
	}
	delay := l.delayLocked(b, d, n)
	if delay > limit || limit <= 0 || l.queue.queued > math.MaxInt64-n {
		return nil, &WaitError{N: n, Delay: delay, err: ErrLimited}
	}
	if deadline, ok := ctx.Deadline(); ok && delay > time.Until(deadline) {
		return nil, &WaitError{N: n, Delay: delay, err: context.DeadlineExceeded}
	}
	w := l.queue.join(n, t)
	l.serveLocked(t)
	return w, nil
}

// delayLocked returns how long a waiter for n tokens that joined now would wait if nobody
// ahead gave up: an upper bound, but for later calls of Charge, Drain and SetLimit.
func (l *Limiter) delayLocked(b *bucket, d, n int64) time.Duration {
	v := b.supply(d)
	ahead := l.queue.queued
	start := max(b.spent.Load(), v)
	if ahead == 0 && l.queue.head == nil {
		if s, ok := l.findHole(v, b.cost(n), math.MaxInt64); ok {
			start = s.start
		}
	}
	cost := b.cost(n) + b.cost(ahead)
	if cost > maxDebt || start-v > maxDebt-cost {
		return math.MaxInt64
	}
	if wait := b.until(start+cost-b.capacity, d); wait >= 0 {
		return wait
	}
	return math.MaxInt64
}

// serveLocked grants, at reading t, every waiter whose time has come, and sets the timer for
// the next. It ends every method that holds the lock and changed what waiters wait for.
//
// A timer is always late, and what is refilled meanwhile must not be lost to a full bucket
// while others wait: the interval of who moves up after a grant begins where that of the one before
// ended, as of when it joined and not of now. Grants are then late by as much as the timer, but the
// rate is kept.
func (l *Limiter) serveLocked(t int64) {
	granted := false
	for w := l.queue.head; w != nil; w = l.queue.head {
		b, d := l.nearLocked(t)
		if w.n > b.burst { // SetLimit made it impossible
			w.err = &WaitError{N: w.n, Delay: math.MaxInt64, err: ErrBurst}
			l.leaveLocked(w)
			w.ready <- struct{}{}
			continue
		}
		asOf := d
		if granted {
			asOf = min(w.joined-b.base, d)
		}
		l.holdLocked(w, b, asOf)
		if !w.held || w.span.end > b.supply(d)+b.capacity {
			l.armLocked(w, b, d)
			break
		}
		w.held, granted = false, true // the tokens are the caller's now
		l.queue.remove(w)
		w.ready <- struct{}{}
	}
	if l.queue.head == nil {
		l.queue.rest()
	}
	if invariants {
		l.checkLocked()
	}
}

// holdLocked gives w, the head, an interval as of reading d, if it has none.
func (l *Limiter) holdLocked(w *waiter, b *bucket, d int64) {
	if w.held {
		return
	}
	var ok bool
	if w.span, _, ok = l.reserveLocked(b, d, w.n); ok {
		w.held = true
		l.queue.queued -= w.n
	}
}

// withdrawLocked takes the interval of the head back, so that it may get a better one.
func (l *Limiter) withdrawLocked() {
	w := l.queue.head
	if w == nil || !w.held {
		return
	}
	b, d := l.nearLocked(l.elapsed())
	w.held = false
	l.queue.queued += w.n
	l.releaseLocked(b, w.span, b.supply(d))
}

// leaveLocked takes w, which gets nothing, out of the queue, and frees what it holds.
func (l *Limiter) leaveLocked(w *waiter) {
	if w.held {
		l.withdrawLocked()
	}
	l.queue.queued -= w.n
	l.queue.remove(w)
}

// armLocked sets the timer for w, the head.
func (l *Limiter) armLocked(w *waiter, b *bucket, d int64) {
	sleep := time.Duration(math.MaxInt64)
	if w.held {
		if s := b.until(w.span.end-b.capacity, d); s >= 0 {
			sleep = s
		}
	}
	if l.now != nil {
		sleep = max(sleep, time.Millisecond) // the clock may stand still
	}
	if l.queue.timer == nil {
		// It ends with the callback; rest stops it when nobody waits any more.
		l.queue.timer = time.AfterFunc(sleep, l.wake)
		return
	}
	l.queue.timer.Reset(sleep)
}

// wake runs when the time of the head may have come.
func (l *Limiter) wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.serveLocked(l.elapsed())
}

// join appends a waiter for n tokens at reading t.
func (q *queue) join(n, t int64) *waiter {
	w := q.free
	if w == nil {
		w = &waiter{ready: make(chan struct{}, 1)}
	} else {
		q.free = w.next
	}
	*w = waiter{n: n, joined: t, ready: w.ready, prev: q.tail}
	if q.tail != nil {
		q.tail.next = w
	} else {
		q.head = w
	}
	q.tail = w
	q.queued += n
	q.waiting.Add(1)
	return w
}

// remove takes w out of the list.
func (q *queue) remove(w *waiter) {
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		q.head = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		q.tail = w.prev
	}
	w.done = true
	q.waiting.Add(-1)
}

// recycle keeps w, whose caller is done with it, for the next to join.
func (q *queue) recycle(w *waiter) {
	select {
	case <-w.ready: // granted at the moment its context ended
	default:
	}
	if q.head != nil {
		w.next = q.free
		q.free = w
	}
}

// rest lets go of what is needed only while somebody waits.
func (q *queue) rest() {
	if q.timer != nil {
		q.timer.Stop()
	}
	q.timer, q.free = nil, nil
}
