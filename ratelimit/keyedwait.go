// SPDX-License-Identifier: MIT

package ratelimit

import (
	"context"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// lines are the callers of a Keyed that wait, a line for each key.
type lines[K comparable] struct {
	waiting atomic.Int64 // lines; written with mu held

	mu    sync.Mutex // protects the fields below, and the lines
	byKey map[K]*line[K]
}

// A line is the callers that wait for one key. It lives while somebody waits.
type line[K comparable] struct {
	key     K
	queue   queue
	owed    int64       // tokens of the waiters that hold no promise
	promise promise     // of the head, if it is held
	timer   *time.Timer // for the head
}

// A promise is tokens of a key that are taken ahead of time.
type promise struct {
	at      int64 // the reading at which the events may happen, or may be promised
	n       int64
	plan    *plan
	advance [maxTiers]int64 // by how much the spending moved, a tier
	end     [maxTiers]int64 // where it stood then
}

// Wait takes n tokens of key from every tier, as Take does, sleeping until they
// are there. Waits of one key are served in the order of arrival, and the first
// in line has its tokens kept for it. On failure it leaves the bucket as if it
// had not been called, and returns ctx.Err() if ctx ends first, or at once a
// [*WaitError] if n exceeds the burst of a tier, or if the deadline of ctx
// would pass first; or an error that wraps [ErrLimited] if as many as MaxQueue
// wait for key already. It panics if n is negative.
func (k *Keyed[K]) Wait(ctx context.Context, key K, n int) error {
	return k.wait(ctx, key, checkN(n), math.MaxInt64)
}

// WaitMax is Wait for a caller with no more than limit to spare: it fails at
// once, wrapping [ErrLimited], if the wait would be longer. With limit 0 it
// does not sleep.
func (k *Keyed[K]) WaitMax(ctx context.Context, key K, n int, limit time.Duration) error {
	return k.wait(ctx, key, checkN(n), limit)
}

func (k *Keyed[K]) wait(ctx context.Context, key K, n int64, limit time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if k.lines.waiting.Load() == 0 && k.takeAt(key, k.read(), n, 0, nil, nil) {
		return nil
	}

	// Wait in the line of the key.
	l, w, err := k.enqueue(ctx, key, n, limit)
	if w == nil {
		return err
	}
	select {
	case <-w.ready:
	case <-ctx.Done():
	}

	k.lines.mu.Lock()
	defer k.lines.mu.Unlock()

	// The context ended first: those behind move up. A waiter that was granted
	// at that moment keeps its tokens.
	if !w.done {
		w.err = ctx.Err()
		k.withdrawLocked(l)
		l.owed -= w.n
		l.queue.remove(w)
		k.serveLocked(l, k.read())
	}
	err = w.err
	l.queue.recycle(w)
	return err
}

// enqueue adds a waiter to the line of key, unless its wait would be too long.
// It returns none, and no error, if nobody waits for key and its tokens are
// there: those that wait for other keys are in nobody's way.
func (k *Keyed[K]) enqueue(ctx context.Context, key K, n int64, limit time.Duration) (*line[K], *waiter, error) {
	k.lines.mu.Lock()
	defer k.lines.mu.Unlock()
	t := k.read()
	l := k.lines.byKey[key]
	ahead := int64(0)
	switch {
	case l == nil && k.lines.waiting.Load() > 0 && k.takeAt(key, t, n, 0, nil, nil):
		return nil, nil, nil
	case l == nil:
	case l.queue.length.Load() >= int64(k.opts.MaxQueue):
		return nil, nil, errFull
	default:
		ahead = l.owed
	}

	// Refuse a wait that would last too long.
	delay, ok := k.delay(key, t, n, ahead)
	if !ok {
		return nil, nil, &WaitError{N: int(n), Delay: delay, err: ErrBurst}
	}
	if err := tooLong(ctx, n, delay, limit); err != nil {
		return nil, nil, err
	}
	if k.opts.MaxQueue < 0 {
		return nil, nil, errFull
	}
	if ahead > maxTokens-n {
		return nil, nil, &WaitError{N: int(n), Delay: delay, err: ErrLimited}
	}

	// Join the line, which may be new.
	if l == nil {
		l = &line[K]{key: key}
		if k.lines.byKey == nil {
			k.lines.byKey = map[K]*line[K]{}
		}
		k.lines.byKey[key] = l
		k.lines.waiting.Add(1)
	}
	w := l.queue.join(0)
	w.n = n
	w.joined = t
	l.owed += n
	k.serveLocked(l, t)
	return l, w, nil
}

// delay returns the length of a wait for n tokens of key behind ahead others,
// or until the table has room for key. It reports whether a bucket of key ever
// holds n.
func (k *Keyed[K]) delay(key K, t, n, ahead int64) (time.Duration, bool) {
	s, h, d := k.enter(key, t)
	defer s.mu.Unlock()
	i := s.find(key, h)
	p := s.planOf(i)
	spent := s.spent(i)

	var longest time.Duration
	for j := range p.meters {
		m := &p.meters[j]
		if n > m.burst {
			return math.MaxInt64, false
		}

		// The line before n counts, too.
		v := m.supply(d)
		start := max(spent[j], v)
		cost := m.cost(n) + m.cost(ahead)
		wait := time.Duration(-1)
		if cost <= maxDebt && start-v <= maxDebt-cost {
			wait = m.until(start+cost-m.capacity, d)
		}
		if wait < 0 {
			return math.MaxInt64, true
		}
		longest = max(longest, wait)
	}

	// A full table makes a new key wait for a slot.
	if i < 0 && k.table.denyNew && !s.hasRoom(h, d) {
		wait := s.roomAfter(h, d)
		if wait < 0 {
			return math.MaxInt64, true
		}
		longest = max(longest, wait)
	}
	return longest, true
}

// serveLocked grants, at reading t, every waiter of l whose time has come, and
// sets the timer for the next. As in [Limiter.Wait], a waiter that moves up
// after a grant is judged by the time at which it joined: timers are late, and
// the refill of that time is not lost.
func (k *Keyed[K]) serveLocked(l *line[K], t int64) {
	granted := false
	for w := l.queue.first(); w != nil; w = l.queue.first() {
		asOf := t
		if granted {
			asOf = min(w.joined, t)
		}
		possible := true
		if !w.held {
			l.promise, w.held, possible = k.promise(l.key, asOf, w.n)
			if w.held {
				l.owed -= w.n
			}
		}
		if !possible {
			// The limits have changed: the wait is impossible.
			l.owed -= w.n
			l.queue.finish(w, &WaitError{N: int(w.n), Delay: math.MaxInt64, err: ErrBurst})
			continue
		}
		if !w.held || l.promise.at > t {
			k.armLocked(l, t)
			break
		}

		// Its tokens are there, and are the caller's now.
		w.held = false
		granted = true
		l.queue.finish(w, nil)
	}

	// The line lives while somebody waits.
	if l.queue.first() == nil {
		if l.timer != nil {
			l.timer.Stop()
		}
		if k.lines.byKey[l.key] == l {
			delete(k.lines.byKey, l.key)
			k.lines.waiting.Add(-1)
		}
	}
	if invariants {
		k.lines.checkLocked()
	}
}

// armLocked sets the timer for the head of l, to the time of its promise or to
// that at which to ask for one again.
func (k *Keyed[K]) armLocked(l *line[K], t int64) {
	sleep := gap(l.promise.at, t)
	if k.table.clock.now != nil {
		sleep = max(sleep, time.Millisecond) // the clock may stand still
	}
	if l.timer != nil {
		l.timer.Reset(sleep)
		return
	}

	// It ends with the callback; serveLocked stops it when nobody waits.
	l.timer = time.AfterFunc(sleep, func() {
		k.lines.mu.Lock()
		defer k.lines.mu.Unlock()
		k.serveLocked(l, k.read()) // also if nobody waits any more
	})
}

// withdrawLocked takes the promise of the head of l back, if it has one.
func (k *Keyed[K]) withdrawLocked(l *line[K]) {
	w := l.queue.first()
	if !w.held {
		return
	}
	w.held = false
	l.owed += w.n
	k.retract(l.key, &l.promise)
}

// change calls f, which changes the bucket of key at reading t, and serves
// those that wait for key.
func (ls *lines[K]) change(k *Keyed[K], key K, t int64, f func()) {
	if ls.waiting.Load() == 0 {
		f()
		return
	}
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l := ls.byKey[key]
	if l == nil {
		f()
		return
	}

	// The promise to the head of the line is made again after the change.
	k.withdrawLocked(l)
	f()
	k.serveLocked(l, t)
}

// changeAll calls f, which changes all buckets at reading t, and serves all
// that wait.
func (ls *lines[K]) changeAll(k *Keyed[K], t int64, f func()) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for _, l := range ls.byKey {
		k.withdrawLocked(l)
	}
	f()
	for _, l := range ls.byKey {
		k.serveLocked(l, t)
	}
}

// promise takes n tokens of key at the first reading from t on at which every
// tier has them. For every tier it is an admission at that reading. It reports
// whether it could, and whether the tiers ever hold so many. If it could not,
// at is when to ask again.
func (k *Keyed[K]) promise(key K, t, n int64) (p promise, ok, possible bool) {
	s, h, d := k.enter(key, t)
	defer s.mu.Unlock()
	i := s.find(key, h)
	if i < 0 {
		d = s.absent(d)
	}
	plan := s.planOf(i)
	due, possible := plan.due(s.spent(i), d, n)
	p.at = never
	if due == never {
		return p, false, possible
	}
	if i < 0 {
		if i = s.place(&k.table, key, h, d, nil, !k.table.denyNew); i < 0 {
			// The table has room when a slot is free by itself.
			if wait := s.roomAfter(h, d); wait >= 0 {
				p.at = sum(t, int64(wait))
			}
			return p, false, true
		}
	}

	// Every tier promises the same time. Taken back, it leaves a bucket that is
	// full at d and not before, when the key may have been forgotten.
	p = promise{at: due + s.base, n: n, plan: plan}
	spent := s.at(i)
	for j := range plan.meters {
		m := &plan.meters[j]
		p.end[j] = max(spent[j], m.supply(due)) + n*m.unit
		p.advance[j] = p.end[j] - max(spent[j], m.supply(d))
		spent[j] = p.end[j]
	}
	if invariants {
		s.checkLocked(&k.table)
	}
	return p, true, true
}

// retract takes p back, which nothing was promised after.
func (k *Keyed[K]) retract(key K, p *promise) {
	s, h := k.table.lock(key)
	defer s.mu.Unlock()
	i := s.find(key, h)
	if i < 0 {
		return // forgotten meanwhile
	}

	// Limits may have changed since: then give back by the new ones.
	spent := s.at(i)
	plan := s.planOf(i)
	for j := range plan.meters {
		back := p.advance[j]
		if plan != p.plan {
			back = plan.meters[j].cost(p.n)
		}
		spent[j] = max(spent[j]-back, full)
	}
}

// Reserve takes n tokens of key ahead of time from every tier, under the limits
// that the key was last taken with, and returns the promise of when the events
// may happen; see [Limiter.Reserve]. It is not OK, and nothing is taken, if n
// exceeds the burst of a tier, if the time never comes, or if there is no room
// for the key. It panics if n is negative.
//
// Its Cancel gives back everything if nothing was taken of the key since, and
// else nothing: later promises stand on earlier ones, and keep their times.
// Where callers often give up, use [Keyed.Wait], which loses nothing.
func (k *Keyed[K]) Reserve(key K, n int) Reservation {
	p, ok, _ := k.promise(key, k.read(), checkN(n))
	if !ok {
		return Reservation{}
	}
	return Reservation{by: &keyedReserver[K]{k, key, p}, at: p.at}.ticketed()
}

// A keyedReserver is a Keyed that has made one reservation.
type keyedReserver[K comparable] struct {
	*Keyed[K]
	key     K
	promise promise
}

func (k *keyedReserver[K]) cancel(r Reservation) {
	if k.read() > r.at {
		return // the events may have happened
	}

	// The key may be forgotten, or have other limits.
	s, h := k.table.lock(k.key)
	defer s.mu.Unlock()
	i := s.find(k.key, h)
	if i < 0 || s.planOf(i) != k.promise.plan {
		return
	}

	spent := s.at(i)
	end := k.promise.end[:len(k.promise.plan.meters)]
	if !slices.Equal(spent[:len(end)], end) {
		return // a later promise stands on this one
	}
	for j := range end {
		spent[j] -= k.promise.advance[j]
	}
}
