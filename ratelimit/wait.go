// SPDX-License-Identifier: MIT

package ratelimit

import (
	"context"
	"math"
	"time"
)

// Wait takes n tokens, sleeping until they are there. Waits are served in the
// order of arrival, and the first in line has its tokens kept for it. On
// failure it leaves the limiter as if it had not been called, and returns
// ctx.Err() if ctx ends first, or at once a [*WaitError] if n exceeds the burst
// or if the deadline of ctx would pass first. It panics if n is negative.
func (l *Limiter) Wait(ctx context.Context, n int) error {
	return l.wait(ctx, checkN(n), math.MaxInt64)
}

// WaitMax is Wait for a caller with no more than limit to spare: it fails at
// once, wrapping [ErrLimited], if the wait would be longer. With limit 0 it
// does not sleep.
func (l *Limiter) WaitMax(ctx context.Context, n int, limit time.Duration) error {
	return l.wait(ctx, checkN(n), limit)
}

func (l *Limiter) wait(ctx context.Context, n int64, limit time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if l.queue.length.Load() == 0 && l.allow(l.clock.read(), n, 0) {
		return nil
	}

	// Wait in line.
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

	// The context ended first: those behind move up. A waiter that was granted
	// at that moment keeps its tokens.
	if !w.done {
		w.err = ctx.Err()
		t := l.clock.read()
		l.leaveLocked(w, t)
		l.serveLocked(t)
	}
	err = w.err
	l.queue.recycle(w)
	return err
}

// enqueue adds a waiter, unless its wait would be too long.
func (l *Limiter) enqueue(ctx context.Context, n int64, limit time.Duration) (*waiter, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.clock.read()
	b, d := l.currentLocked(t)
	if n > b.burst {
		return nil, &WaitError{N: int(n), Delay: math.MaxInt64, err: ErrBurst}
	}
	delay := l.delayLocked(b, d, n)
	if err := tooLong(ctx, n, delay, limit); err != nil {
		return nil, err
	}
	if l.owed > maxTokens-n {
		return nil, &WaitError{N: int(n), Delay: delay, err: ErrLimited}
	}

	// Join the line, and be served at once if it was empty.
	w := l.queue.join(0)
	w.n = n
	w.joined = t
	l.owed += n
	l.serveLocked(t)
	return w, nil
}

// tooLong returns the error of a wait for n tokens that lasts longer than limit
// or than ctx, or nil.
func tooLong(ctx context.Context, n int64, delay, limit time.Duration) error {
	if delay > limit || limit <= 0 {
		return &WaitError{N: int(n), Delay: delay, err: ErrLimited}
	}
	if deadline, ok := ctx.Deadline(); ok && delay > time.Until(deadline) {
		return &WaitError{N: int(n), Delay: delay, err: context.DeadlineExceeded}
	}
	return nil
}

// delayLocked returns the length of the wait of a waiter for n tokens that
// joins now, if nobody ahead gives up: an upper bound, except for later calls
// of Charge, Drain and SetLimit.
func (l *Limiter) delayLocked(b *bucket, d, n int64) time.Duration {
	v := b.supply(d)
	start := max(b.spent.Load(), v)
	if l.queue.first() == nil {
		if s, ok := l.holes.fit(v, b.cost(n), math.MaxInt64); ok {
			start = s.start
		}
	}

	// All that wait come first.
	cost := b.cost(n) + b.cost(l.owed)
	if cost > maxDebt || start-v > maxDebt-cost {
		return math.MaxInt64
	}
	if wait := b.until(start+cost-b.capacity, d); wait >= 0 {
		return l.lasts(b.base+d, wait)
	}
	return math.MaxInt64
}

// serveLocked grants, at reading t, every waiter whose time has come, and sets
// the timer for the next. It ends every method that holds the lock and changed
// the time of a waiter.
//
// A timer is always late, and the refill of that time must not be lost to a
// full bucket while others wait. When one waiter is granted, the next one's
// interval therefore starts where that one ended, judged by the time at which
// it joined, not by the current time. Grants are then as late as the timer, but
// the rate is kept.
func (l *Limiter) serveLocked(t int64) {
	granted := false
	for w := l.queue.first(); w != nil; w = l.queue.first() {
		b, d := l.currentLocked(t)
		if w.n > b.burst {
			// SetLimit made the wait impossible.
			l.withdrawLocked(t)
			l.owed -= w.n
			l.queue.finish(w, &WaitError{N: int(w.n), Delay: math.MaxInt64, err: ErrBurst})
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

		// Its tokens are there, and are the caller's now.
		w.held = false
		granted = true
		l.queue.finish(w, nil)
	}

	// Nobody waits: let go of the timer.
	if l.queue.first() == nil && l.timer != nil {
		l.timer.Stop()
		l.timer = nil
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
	s, _, ok := l.reserveLocked(b, d, w.n)
	if ok {
		w.span = s
		w.held = true
		l.owed -= w.n
	}
}

// withdrawLocked takes the interval of the head back at reading t, so that it
// may get a better one.
func (l *Limiter) withdrawLocked(t int64) {
	w := l.queue.first()
	if w == nil || !w.held {
		return
	}
	b, d := l.currentLocked(t)
	w.held = false
	l.owed += w.n
	l.releaseLocked(b, w.span, b.supply(d))
}

// leaveLocked takes w, which gets nothing, out of the queue at reading t, and
// frees its interval.
func (l *Limiter) leaveLocked(w *waiter, t int64) {
	if w.held {
		l.withdrawLocked(t)
	}
	l.owed -= w.n
	l.queue.remove(w)
}

// armLocked sets the timer for w, the head.
func (l *Limiter) armLocked(w *waiter, b *bucket, d int64) {
	sleep := time.Duration(math.MaxInt64)
	if w.held {
		if s := b.until(w.span.end-b.capacity, d); s >= 0 {
			sleep = l.lasts(b.base+d, s)
		}
	}
	if l.source().now != nil {
		sleep = max(sleep, time.Millisecond) // the clock may stand still
	}

	if l.timer != nil {
		l.timer.Reset(sleep)
		return
	}
	// It ends with the callback; serveLocked stops it when nobody waits.
	l.timer = time.AfterFunc(sleep, l.wake)
}

// wake runs when the time of the head may have come.
func (l *Limiter) wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.serveLocked(l.clock.read())
}
