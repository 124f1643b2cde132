// SPDX-License-Identifier: MIT

package ratelimit

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"
)

// A Shared is a limit per key that several processes share by a [Store]:
// buckets, made by [NewShared], or windows and quotas, made by [Window.Share].
// Each decision is made here, by the arithmetic of [Limit.Step] or of [Window],
// and put into effect by one compare-and-swap there, which is tried again for
// as long as others are faster: contention alone is never an error. Several
// limits of a key are taken all or none.
//
// The bound is that of a [Limiter] or a [Window], by one clock. Where processes
// have clocks of their own that differ by at most e, for e up to a minute,
// buckets admit at most burst + rate·(w + e + 2 ns) in a window w, and a
// sliding window of n events at most n in any length of time less e; the
// periods of a quota are those of the clock that is furthest ahead. Answers of
// the store may get lost: what it may have recorded counts. A store that loses
// its state begins anew, so each loss admits at most one more burst, or one
// more window's n; see [Store] for the settings that keep the state. If the
// store fails, [SharedOptions] decide.
//
// A call costs two round trips to the store, so put a [Keyed] in front of it,
// joined by [All], to refuse floods at home. A Shared is safe for concurrent
// use by multiple goroutines, must not be copied, needs no Close and starts no
// goroutine. A zero Shared panics when tokens are asked of it.
type Shared struct {
	store  Store
	rule   sharedRule
	limits []Limit // of NewShared
	opts   SharedOptions

	allowed, denied, failed, retries atomic.Uint64
}

// A sharedRule is what the keys of a Shared obey.
type sharedRule interface {
	// decode returns the state that data holds, or of a key that is absent if
	// data is empty.
	decode(data []byte) (sharedState, error)
}

// A sharedState is the content of a store for one key, of one call.
type sharedState interface {
	// take is the decision about n events at the reading now. It reports
	// whether the state has changed.
	take(now int64, n int) (Decision, bool)
	// giveBack takes n events back unless they have stopped counting at the
	// reading until, and reports whether the state may have changed.
	giveBack(now int64, n int, until int64) bool
	// until returns the reading at which an event of now stops counting.
	until(now int64) int64
	// ttl returns how long the store must keep the state, or 0 if forever.
	ttl(now int64) time.Duration
	encode() []byte
	mark(mark uint64)
	marked(tried []uint64) bool
}

// NewShared returns a Shared whose keys all obey limits, every one of them at
// once. If opts is nil, the defaults are used. Processes with other limits may
// use the same store, as while a change is rolled out: tokens stay spent, as
// with [Limiter.SetLimit]. Limits are matched by position; one that a key has
// not obeyed before begins full. NewShared panics if there is no limit or there
// are more than 8, or if a limit is not valid.
func NewShared(store Store, limits []Limit, opts *SharedOptions) *Shared {
	if err := validateLimits(limits); err != nil {
		panic(err)
	}
	s := &Shared{store: store, opts: opts.resolve()}
	for _, l := range limits {
		s.limits = append(s.limits, l.canonical())
	}
	s.rule = bucketRule(s.limits)
	return s
}

// Allow reports whether one event of key may happen now, and takes its token if
// so. Its errors are those of Take.
func (s *Shared) Allow(ctx context.Context, key string) (bool, error) {
	d, err := s.Take(ctx, key, 1)
	return d.OK, err
}

// Take takes n tokens of key, or counts n events, all or none, and describes
// its limit at that instant: the one that refuses for longest, or else the one
// with the fewest tokens left. If ctx ends first it returns ctx.Err(); if the
// store fails, the decision of OnError, or the store's error. It panics if n is
// negative.
func (s *Shared) Take(ctx context.Context, key string, n int) (Decision, error) {
	d, _, err := s.takeFor(ctx, key, n)
	return d, err
}

// takeFor is Take with a receipt, by which giveBack takes back exactly its
// events.
func (s *Shared) takeFor(ctx context.Context, key string, n int) (d Decision, r receipt, err error) {
	checkN(n)
	r.until = math.MinInt64 // nothing was taken
	d, err = s.decide(ctx, key, n, func(ctx context.Context) (Decision, error) {
		var until int64
		d, err := s.update(ctx, key, func(state sharedState, now int64) (Decision, bool) {
			d, changed := state.take(now, n)
			until = state.until(now)
			return d, changed
		})
		switch {
		case err != nil:
		case !d.OK:
			s.denied.Add(1)
		default:
			r.until = until
			if n > 0 {
				s.allowed.Add(1)
			}
		}
		return d, err
	})
	return d, r, err
}

// Peek returns the answer of Take, and changes nothing.
func (s *Shared) Peek(ctx context.Context, key string, n int) (Decision, error) {
	checkN(n)
	return s.decide(ctx, key, n, func(ctx context.Context) (Decision, error) {
		state, _, now, err := s.load(ctx, key)
		if err != nil {
			return Decision{}, err
		}
		d, _ := state.take(now, n)
		return d, nil
	})
}

// Return puts n tokens of key back into every limit, or takes back n events of
// a window that still count, for events that did not happen: see
// [Window.Return]. If it returns an error they may stay spent. It panics if n
// is negative.
func (s *Shared) Return(ctx context.Context, key string, n int) error {
	return s.giveBack(ctx, key, n, math.MaxInt64)
}

// giveBack is Return for events that stop counting at the reading until.
func (s *Shared) giveBack(ctx context.Context, key string, n int, until int64) error {
	checkN(n)
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := s.bound(ctx)
	defer cancel()
	_, err := s.update(ctx, key, func(state sharedState, now int64) (Decision, bool) {
		return Decision{}, state.giveBack(now, n, until)
	})
	return err
}

// Wait takes n tokens of key, sleeping and trying again until they are there.
// Processes that wait for one key are served in no order: whichever asks first
// when tokens come takes them. On failure nothing was taken, and it returns
// ctx.Err() if ctx ends first, or at once the error of Take, or a [*WaitError]
// if n exceeds the burst of a limit or if the deadline of ctx would pass before
// the tokens can come. It panics if n is negative.
func (s *Shared) Wait(ctx context.Context, key string, n int) error {
	for {
		d, err := s.Take(ctx, key, n)
		if err != nil {
			return err
		}
		if d.OK {
			return nil
		}

		// Never.
		if d.RetryAfter < 0 && n > d.Limit {
			return &WaitError{N: n, Delay: math.MaxInt64, err: ErrBurst}
		}
		if d.RetryAfter < 0 {
			return &WaitError{N: n, Delay: math.MaxInt64, err: ErrLimited}
		}

		// Later, unless the context ends before.
		if err := tooLong(ctx, int64(n), d.RetryAfter, math.MaxInt64); err != nil {
			return err
		}
		if err := sleep(ctx, max(d.RetryAfter, time.Millisecond)); err != nil {
			return err
		}
	}
}

// Limits returns the limits given to NewShared, with their bursts filled in; of
// a window there are none.
func (s *Shared) Limits() []Limit { return slices.Clone(s.limits) }

// Stats returns the counters of s.
func (s *Shared) Stats() SharedStats {
	return SharedStats{
		Allowed: s.allowed.Load(),
		Denied:  s.denied.Load(),
		Failed:  s.failed.Load(),
		Retries: s.retries.Load(),
	}
}

// Gate returns the limit of key as a [Gate], to be combined by [All] for one
// call with ctx. It refuses where Take returns an error.
func (s *Shared) Gate(ctx context.Context, key string) Gate { return sharedGate{s, ctx, key} }

// decide makes the decision of f, under the policy for a store that fails.
func (s *Shared) decide(ctx context.Context, key string, n int, f func(context.Context) (Decision, error)) (Decision, error) {
	if err := ctx.Err(); err != nil {
		return Decision{}, err
	}
	bounded, cancel := s.bound(ctx)
	defer cancel()
	d, err := f(bounded)
	if err == nil {
		return d, nil
	}
	if ctx.Err() != nil {
		// The caller has gone: no policy has a say.
		return Decision{}, ctx.Err()
	}

	// The store failed: the policy of the caller decides, or nobody.
	s.failed.Add(1)
	if s.opts.OnError != nil {
		return s.opts.OnError(key, n, err), nil
	}
	return Decision{}, err
}

// bound returns ctx, bounded by the timeout.
func (s *Shared) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if s.store == nil {
		panic("ratelimit: zero Shared: use NewShared or Window.Share")
	}
	if s.opts.Timeout < 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, s.opts.Timeout)
}

// load returns the state of key, the bytes that it is made of, and the time.
func (s *Shared) load(ctx context.Context, key string) (state sharedState, old []byte, now int64, err error) {
	if old, err = s.store.Load(ctx, key); err != nil {
		return nil, nil, 0, fmt.Errorf("ratelimit: load %q: %w", key, err)
	}

	// Read the clock after the state: a reading is never older than it must be.
	t, err := s.opts.Now(ctx)
	if err != nil {
		return nil, nil, 0, fmt.Errorf("ratelimit: clock of the store: %w", err)
	}
	if state, err = s.rule.decode(old); err != nil {
		return nil, nil, 0, fmt.Errorf("%w: key %q", err, key)
	}
	return state, old, int64(t.Sub(time.Unix(0, 0))), nil
}

// maxStuck is how often a store may refuse to replace the bytes that it
// returns, about half a second of tries. A replica that is behind does so for a
// while; a row that cannot be replaced does so forever.
const maxStuck = 20

// update puts into effect the change that f makes to the state of key, if it
// reports one. It tries again when others were faster, at once and then after a
// pause.
//
// A swap that was done may be reported as lost: some clients of stores repeat a
// request that got no answer, and find that the state has changed, by
// themselves. Each state carries the marks of the last writes, so that update
// knows its own.
func (s *Shared) update(ctx context.Context, key string, f func(state sharedState, now int64) (Decision, bool)) (Decision, error) {
	var d Decision
	var tried []uint64 // the marks of this call
	var last []byte
	stuck := 0
	for try := 0; ; try++ {
		state, old, now, err := s.load(ctx, key)
		if err != nil {
			return Decision{}, err
		}
		if state.marked(tried) {
			return d, nil // done, although it was reported as lost
		}

		// Give up on a store that never changes.
		if try == 0 || !bytes.Equal(old, last) {
			stuck = 0
		} else if stuck++; stuck == maxStuck {
			return Decision{}, fmt.Errorf("ratelimit: update %q: %w", key, errStuck)
		}
		last = old

		// Change the state, and mark it as this call's.
		var changed bool
		if d, changed = f(state, now); !changed {
			return d, nil
		}
		mark := rand.Uint64()
		tried = append(tried, mark)
		state.mark(mark)
		ok, err := s.store.CompareAndSwap(ctx, key, old, state.encode(), state.ttl(now))
		if err != nil {
			return Decision{}, fmt.Errorf("ratelimit: update %q: %w", key, err)
		}
		if ok {
			return d, nil
		}

		// Another process was faster.
		s.retries.Add(1)
		if try == 0 {
			continue
		}
		// Pause for longer and longer, at random so that callers who met do not
		// meet again.
		if err := sleep(ctx, rand.N(time.Millisecond<<min(try, 6))); err != nil {
			return Decision{}, fmt.Errorf("ratelimit: update %q: %w", key, err)
		}
	}
}

// sleep waits for d, or returns an error if ctx ends first.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}
