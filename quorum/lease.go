// SPDX-License-Identifier: MIT

package quorum

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"sync"
	"time"
)

// A Grant is what acceptors keep of a lease.
type Grant struct {
	Holder uint64        // a number that each [Lease] draws for itself; 0 if nobody has the lease
	Name   string        // LeaseOptions.Name of the holder
	Token  uint64        // the fencing token of the holder
	TTL    time.Duration // how long the holder has the lease after each renewal
}

// A Lease is the right to do something alone, for some time: to be the leader,
// or to run a schedule. It is a lock that opens by itself if its holder dies,
// or is cut off. All that compete for it have a Lease of their own on the same
// key of the same acceptors. Use [NewLease]. It is safe for concurrent use by
// multiple goroutines.
//
// No times are compared across machines. A holder counts from before it asked;
// one that waits counts from when it first saw that the holder is alive, by its
// own clock, and an eighth longer. So two never have the lease at once, as
// long as their clocks run equally fast within an eighth.
//
// A holder may be stopped after it has checked that it holds the lease, by its
// garbage collector or its operating system, and go on when another holds it:
// no lock can prevent that. So a store that a lease protects should be told the
// token, and refuse a token that is less than one it has seen (fencing; M.
// Kleppmann, "How to do distributed locking", 2016). Tokens grow from holder to
// holder, whatever clocks do.
type Lease[K comparable] struct {
	cas  *CAS[K, Grant]
	key  K
	opts LeaseOptions
	id   uint64
	now  func() time.Duration // since NewLease, by the clock of opts
	turn chan struct{}        // of capacity 1: full while Acquire, Renew or Release runs

	mu    sync.Mutex    // protects the fields below
	token uint64        // 0 if the lease is not held
	until time.Duration // when it ends
	gone  chan struct{} // closed when token is given up; nil if the lease is not held
	users int           // calls of Do that are under way
	owed  bool          // a call of Do that held the lease has ended, and left it to the others

	// Of the holder that Acquire and TryAcquire wait for; owned by the call
	// that has turn.
	seen  uint64        // the version of its last renewal
	since time.Duration // when that was seen first
}

// Others wait for TTL/leaseMargin beyond the end of a lease, in case clocks do
// not run equally fast.
const leaseMargin = 8

// NewLease returns a Lease that cas keeps under key. If opts is nil, the
// defaults are used. It returns an error if opts is not valid. Nothing is sent.
func NewLease[K comparable](cas *CAS[K, Grant], key K, opts *LeaseOptions) (*Lease[K], error) {
	cas.mustUse()
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	o := opts.resolve()

	// Readings count from here.
	start := time.Now()
	now := func() time.Duration { return time.Since(start) }
	if o.Now != nil {
		base := o.Now()
		now = func() time.Duration { return o.Now().Sub(base) }
	}
	return &Lease[K]{
		cas:  cas,
		key:  key,
		opts: o,
		id:   1 + rand.Uint64N(math.MaxUint64), // never 0
		now:  now,
		turn: make(chan struct{}, 1),
	}, nil
}

// Held returns the token if l is held now, by the clock of this machine.
func (l *Lease[K]) Held() (token uint64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.token == 0 || l.now() >= l.until {
		return 0, false
	}
	return l.token, true
}

// errHeld says that another has the lease.
var errHeld = errors.New("quorum: lease is held")

// Acquire waits until l is held, and returns its token, which is greater than
// all before. If l is held already, it returns at once. If acceptors do not
// answer, it tries again. It returns an error only if ctx ends: one that wraps
// ctx.Err() and, if it has asked, the reason why l was not held.
func (l *Lease[K]) Acquire(ctx context.Context) (token uint64, err error) {
	if err := l.enter(ctx); err != nil {
		return 0, err
	}
	defer l.exit()
	for {
		if token, ok := l.Held(); ok {
			return token, nil
		}
		wait, err := l.try(ctx)
		if token, ok := l.Held(); ok {
			return token, nil // unless the grant took too long
		}
		if e := pause(ctx, wait); e != nil {
			return 0, errors.Join(e, err)
		}
	}
}

// TryAcquire is Acquire for a caller that does not wait, but asks from time to
// time: ok reports whether l is held now, and if it is not and there is no
// error, another has it. The first call that finds another holder begins to
// count how long that is silent, so a single call acquires only a lease that
// was given back. The error is that of [CAS.Update].
func (l *Lease[K]) TryAcquire(ctx context.Context) (token uint64, ok bool, err error) {
	if err := l.enter(ctx); err != nil {
		return 0, false, err
	}
	defer l.exit()
	if token, ok := l.Held(); ok {
		return token, true, nil
	}
	if _, err := l.try(ctx); err != nil && !errors.Is(err, errHeld) {
		return 0, false, err
	}
	token, ok = l.Held() // not if the request took longer than the lease lasts
	return token, ok, nil
}

// try acquires l once. It returns how long to wait before the next time, if l
// is not held.
func (l *Lease[K]) try(ctx context.Context) (wait time.Duration, err error) {
	began := l.now()
	g, version, err := l.cas.Update(ctx, l.key, func(old Grant, version uint64) (Grant, error) {
		if old.Holder != 0 && old.Holder != l.id && !l.ended(old, version, began) {
			return old, errHeld
		}
		return Grant{Holder: l.id, Name: l.opts.Name, Token: version + 1, TTL: l.opts.TTL}, nil
	})
	if err == nil {
		l.hold(g.Token, began)
		return l.opts.Retry, nil
	}
	if !errors.Is(err, errHeld) {
		return l.opts.Retry, err
	}

	// The holder is alive if it has renewed since the last look.
	now := l.now()
	if version != l.seen {
		l.seen = version
		l.since = now
	}
	return min(l.opts.Retry, max(0, later(l.since, patience(g))-now)), err
}

// ended reports whether the holder of g has not renewed since long before now.
func (l *Lease[K]) ended(g Grant, version uint64, now time.Duration) bool {
	return version == l.seen && now-l.since >= patience(g)
}

// patience returns how long others wait after a sign of life.
func patience(g Grant) time.Duration { return later(g.TTL, g.TTL/leaseMargin) }

// later returns at + d, or the last of all times: a TTL may mean forever.
func later(at, d time.Duration) time.Duration { return time.Duration(plus(int64(at), int64(d))) }

// hold notes that l is held with token, for a request that began then.
func (l *Lease[K]) hold(token uint64, began time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if token != l.token {
		l.dropLocked()
		l.token = token
		l.gone = make(chan struct{})
	}
	l.until = later(began, l.opts.TTL)
}

// drop notes that l is not held, and returns its token.
func (l *Lease[K]) drop() (token uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dropLocked()
}

// dropLocked is drop for a caller that holds l.mu.
func (l *Lease[K]) dropLocked() (token uint64) {
	token = l.token
	l.token = 0
	if l.gone != nil {
		close(l.gone)
		l.gone = nil
	}
	return token
}

// Renew makes l last for another TTL from now. If it returns an [ErrLost],
// another has the lease, or l was not held. After another error, l is held as
// long as it was.
func (l *Lease[K]) Renew(ctx context.Context) error {
	if err := l.enter(ctx); err != nil {
		return err
	}
	defer l.exit()
	l.mu.Lock()
	token := l.token
	l.mu.Unlock()
	if token == 0 {
		return ErrLost
	}

	// The grant stays as it is, and its version grows.
	began := l.now()
	_, _, err := l.cas.Update(ctx, l.key, func(old Grant, _ uint64) (Grant, error) {
		if old.Holder != l.id || old.Token != token {
			return old, ErrLost
		}
		return old, nil
	})
	switch {
	case err == nil:
		l.hold(token, began)
	case errors.Is(err, ErrLost):
		l.drop()
	}
	return err
}

// Release gives the lease back, so that others need not wait for its end. If it
// returns an error, they may have to, but l is not held.
func (l *Lease[K]) Release(ctx context.Context) error {
	if err := l.enter(ctx); err != nil {
		l.drop()
		return err
	}
	defer l.exit()
	return l.release(ctx)
}

// release is Release for a caller that has the turn.
func (l *Lease[K]) release(ctx context.Context) error {
	token := l.drop()
	if token == 0 {
		return nil
	}
	_, _, err := l.cas.Update(ctx, l.key, func(old Grant, _ uint64) (Grant, error) {
		if old.Holder != l.id || old.Token != token {
			return old, ErrLost
		}
		return Grant{Token: token}, nil
	})
	if errors.Is(err, ErrLost) {
		return nil // others did not wait
	}
	return err
}

// Do acquires l, calls f with its token, renews l while f runs, and releases it
// when f has returned. The context of f ends when l is not held any more, with
// the cause [ErrLost]: then f must stop. Do returns the error of f, or of
// Acquire; if l was lost before f returned, it is an ErrLost as well.
//
// Calls of Do of one Lease do not exclude each other: they hold it together,
// and the last one that ends releases it. Calls that have to exclude each other
// each need a Lease of their own.
func (l *Lease[K]) Do(ctx context.Context, f func(ctx context.Context, token uint64) error) error {
	l.mu.Lock()
	l.users++
	l.mu.Unlock()
	token, err := l.Acquire(ctx)
	if err != nil {
		l.quit(ctx, false)
		return err
	}
	held, lose := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() { // ends when f has returned
		defer close(done)
		l.keep(held, token, lose)
	}()

	// Also if f panics.
	defer func() {
		lose(context.Canceled)
		<-done
		l.quit(ctx, true)
	}()
	err = f(held, token)
	if errors.Is(context.Cause(held), ErrLost) {
		err = errors.Join(err, ErrLost)
	}
	return err
}

// quit ends a call of Do, which has held l or not. The last call releases l.
func (l *Lease[K]) quit(ctx context.Context, held bool) {
	l.mu.Lock()
	l.users--
	l.owed = l.owed || held
	last := l.lastLocked()
	l.mu.Unlock()
	if !last {
		return
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.opts.TTL)
	defer cancel()
	if l.enter(limit) != nil {
		return // at worst others wait for the end
	}
	defer l.exit()

	// A race with other calls of Do: while this one waited for its turn,
	// another may have begun, or have released l as the last.
	l.mu.Lock()
	last = l.lastLocked()
	if last {
		l.owed = false
	}
	l.mu.Unlock()
	if last {
		_ = l.release(limit) // at worst others wait for the end
	}
}

// lastLocked reports whether no call of Do is left, and one has left l.
func (l *Lease[K]) lastLocked() bool { return l.users == 0 && l.owed }

// keep renews l until ctx ends, or token is given up: then it calls lose.
func (l *Lease[K]) keep(ctx context.Context, token uint64, lose context.CancelCauseFunc) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		l.mu.Lock()
		left := l.until - l.now()
		gone := l.gone
		held := l.token == token && left > 0
		l.mu.Unlock()
		if !held {
			lose(ErrLost)
			return
		}

		wait := l.renewIn(left)
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return
		case <-gone:
			continue
		case <-timer.C:
		}
		limit, cancel := context.WithTimeout(ctx, left-wait)
		_ = l.Renew(limit) // the next round reads what it has changed
		cancel()
	}
}

// renewIn returns how long a holder waits before it renews, when so much of the
// time is left.
func (l *Lease[K]) renewIn(left time.Duration) time.Duration {
	// A third of the time has to pass, or the last try has failed: then a Retry
	// that is as long as all the rest is no reason not to try again.
	if wait := left - l.opts.TTL/3*2; wait > 0 {
		return wait
	}
	return min(left, l.opts.Retry, max(left/2, l.opts.TTL/64, 1))
}

// enter waits until no other call changes l.
func (l *Lease[K]) enter(ctx context.Context) error {
	if l.turn == nil {
		panic("quorum: zero Lease: use NewLease")
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case l.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// exit lets the next call in.
func (l *Lease[K]) exit() { <-l.turn }
