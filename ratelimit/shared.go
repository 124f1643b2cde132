// SPDX-License-Identifier: MIT

package ratelimit

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// A Shared is a bucket per key that several processes share by a [Store]. Each decision is
// made by [Limit.Step] here and put into effect by one compare-and-swap there, which is tried again for as
// long as others are faster: contention alone is never an error. Several limits of a key
// are taken all or none.
//
// What is admitted is bounded as for a [Limiter], by one clock. Where processes go by clocks of
// their own that differ by at most e, a window w admits at most burst + rate·(w + e + 2 ns), for e up to
// a minute. If the store fails, what happens is up to [SharedOptions].OnError; what it may have recorded
// without saying so counts as spent.
//
// A call costs two round trips to the store, so put a [Keyed] in front of it, joined by [All], to
// refuse floods at home. A Shared is safe for concurrent use by multiple goroutines, needs no Close and
// starts no goroutine. Use [NewShared]; methods of a zero Shared panic.
type Shared struct {
	store  Store
	limits []Limit
	opts   SharedOptions
}

// NewShared returns a Shared whose keys all obey limits, every one of them at once. If opts is nil, the
// defaults are used. Processes with other limits may use the same store, as while a change is rolled out:
// what was spent stays spent, as with [Limiter.SetLimit]. Limits are matched by position; one
// that a key has not obeyed before begins full. It panics if there is no limit or there are more than 8, or
// if a limit or opts is not valid.
func NewShared(store Store, limits []Limit, opts *SharedOptions) *Shared {
	if err := validateLimits(limits); err != nil {
		panic("ratelimit: NewShared: " + reason(err))
	}
	if err := opts.Validate(); err != nil {
		panic("ratelimit: NewShared: " + reason(err))
	}
	s := &Shared{store: store}
	for _, l := range limits {
		s.limits = append(s.limits, l.canonical())
	}
	if opts != nil {
		s.opts = *opts
	}
	if s.opts.Now == nil {
		s.opts.Now = func(context.Context) (time.Time, error) { return time.Now(), nil }
	}
	return s
}

// canonical returns l with its default burst filled in, and without the burst of Inf, which
// has none.
func (l Limit) canonical() Limit {
	if l.Rate == Inf {
		return Limit{Rate: Inf}
	}
	return l.resolve()
}

// Allow reports whether one event of key may happen now, and takes its token if so. The error is
// that of Take.
func (s *Shared) Allow(ctx context.Context, key string) (bool, error) {
	d, err := s.Take(ctx, key, 1)
	return d.OK, err
}

// Take takes n tokens of key, all or none, and describes its bucket at that instant: the limit that
// refuses for longest, or else the one with the fewest tokens left. If ctx ends first it
// returns ctx.Err(); if the store fails, what OnError decides, or the store's error. It panics if n is negative.
func (s *Shared) Take(ctx context.Context, key string, n int64) (Decision, error) {
	return s.decide(ctx, key, checkN("Take", n), s.take)
}

// Peek returns what Take would, and takes nothing.
func (s *Shared) Peek(ctx context.Context, key string, n int64) (Decision, error) {
	return s.decide(ctx, key, checkN("Peek", n), s.peek)
}

// Return puts n tokens of key back into every limit, for events that did not happen. If it
// returns an error they may stay spent. It panics if n is negative.
func (s *Shared) Return(ctx context.Context, key string, n int64) error {
	checkN("Return", n)
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := s.bound(ctx)
	defer cancel()
	_, err := s.update(ctx, key, func(b *buckets, now int64) (Decision, bool) {
		return Decision{}, b.give(s.limits, now, n)
	})
	return err
}

// Limits returns the limits given to NewShared, with their bursts filled in.
func (s *Shared) Limits() []Limit { return slices.Clone(s.limits) }

// Gate returns the bucket of key as a [Gate], to be combined by [All] for one call with ctx. It
// refuses what Take returns an error for.
func (s *Shared) Gate(ctx context.Context, key string) Gate { return sharedGate{s, ctx, key} }

type sharedGate struct {
	s   *Shared
	ctx context.Context //nolint:containedctx // a gate lives for one call
	key string
}

func (g sharedGate) Take(n int64) Decision {
	d, _ := g.s.Take(g.ctx, g.key, n) // with an error it is a refusal
	return d
}

func (g sharedGate) Peek(n int64) Decision {
	d, _ := g.s.Peek(g.ctx, g.key, n)
	return d
}

func (g sharedGate) Return(n int64) { _ = g.s.Return(g.ctx, g.key, n) } // else they stay spent

// decide makes the decision of f, under the policy for a store that fails.
func (s *Shared) decide(ctx context.Context, key string, n int64, f func(context.Context, string, int64) (Decision, error)) (Decision, error) {
	if err := ctx.Err(); err != nil {
		return Decision{}, err
	}
	bounded, cancel := s.bound(ctx)
	defer cancel()
	d, err := f(bounded, key, n)
	switch {
	case err == nil:
		return d, nil
	case ctx.Err() != nil: // the caller has gone: no policy has a say
		return Decision{}, ctx.Err()
	case s.opts.OnError != nil:
		return s.opts.OnError(key, n, err), nil
	}
	return Decision{}, err
}

func (s *Shared) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if s.store == nil {
		panic("ratelimit: zero Shared: use NewShared")
	}
	if s.opts.Timeout == 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, s.opts.Timeout)
}

func (s *Shared) take(ctx context.Context, key string, n int64) (Decision, error) {
	return s.update(ctx, key, func(b *buckets, now int64) (Decision, bool) {
		return b.take(s.limits, now, n)
	})
}

func (s *Shared) peek(ctx context.Context, key string, n int64) (Decision, error) {
	b, _, now, err := s.load(ctx, key)
	if err != nil {
		return Decision{}, err
	}
	d, _ := b.take(s.limits, now, n)
	return d, nil
}

// load returns the buckets of key, and the time.
func (s *Shared) load(ctx context.Context, key string) (b buckets, state []byte, now int64, err error) {
	if state, err = s.store.Load(ctx, key); err != nil {
		return b, nil, 0, fmt.Errorf("ratelimit: load %q: %w", key, err)
	}
	// The clock is read after the state: a reading is never older than it must be.
	t, err := s.opts.Now(ctx)
	if err != nil {
		return b, nil, 0, fmt.Errorf("ratelimit: clock of the store: %w", err)
	}
	if b, err = decodeBuckets(state); err != nil {
		return b, nil, 0, fmt.Errorf("ratelimit: state of %q: %w", key, err)
	}
	return b, state, int64(t.Sub(time.Unix(0, 0))), nil
}

// update puts into effect what f makes of the buckets of key, if it says that it changed them.
// It tries again when others were faster, at once and then after a pause.
func (s *Shared) update(ctx context.Context, key string, f func(b *buckets, now int64) (Decision, bool)) (Decision, error) {
	for try := 0; ; try++ {
		b, state, now, err := s.load(ctx, key)
		if err != nil {
			return Decision{}, err
		}
		d, changed := f(&b, now)
		if !changed {
			return d, nil
		}
		ok, err := s.store.CompareAndSwap(ctx, key, state, b.encode(), b.ttl(now))
		if err != nil {
			return Decision{}, fmt.Errorf("ratelimit: update %q: %w", key, err)
		}
		if ok {
			return d, nil
		}
		if err := pause(ctx, try); err != nil {
			return Decision{}, fmt.Errorf("ratelimit: update %q: %w", key, err)
		}
	}
}

// pause waits before another try, for longer and longer, at random so that those who met do
// not meet again. It returns an error if ctx ends.
func pause(ctx context.Context, try int) error {
	if try == 0 {
		return nil
	}
	t := time.NewTimer(rand.N(time.Millisecond << min(try, 6)))
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// buckets are what the store knows of one key: a state and its limit for each tier.
type buckets struct {
	n      int
	states [maxTiers]State
	limits [maxTiers]Limit
}

const (
	bucketsVersion = 1
	bucketSize     = 5 * 8
)

// errState is the error of bytes in the store that this package did not write.
var errState = errors.New("not a state of this version")

// encode returns b as bytes; the format is in the documentation of the package.
func (b *buckets) encode() []byte {
	out := append(make([]byte, 0, 1+b.n*bucketSize), bucketsVersion)
	for i := range b.n {
		s, l := b.states[i], b.limits[i]
		for _, v := range []int64{s.Base, s.Spent, l.Rate.count, int64(l.Rate.per), l.Burst} {
			out = binary.BigEndian.AppendUint64(out, uint64(v))
		}
	}
	return out
}

// decodeBuckets is the inverse of encode. No bytes are the buckets of a key that is absent.
func decodeBuckets(data []byte) (b buckets, err error) {
	if len(data) == 0 {
		return b, nil
	}
	if data[0] != bucketsVersion || len(data)%bucketSize != 1 || len(data) > 1+maxTiers*bucketSize {
		return b, errState
	}
	for data = data[1:]; len(data) > 0; b.n++ {
		var v [5]int64
		for i := range v {
			v[i] = int64(binary.BigEndian.Uint64(data[8*i:]))
		}
		data = data[bucketSize:]
		l := Limit{Rate{v[2], time.Duration(v[3])}, v[4]}
		if l != (Limit{Rate: Inf}) && (l.validateBurst() != nil || !l.Rate.valid()) {
			return buckets{}, errState
		}
		b.states[b.n], b.limits[b.n] = State{v[0], v[1]}, l
	}
	return b, nil
}

// valid reports whether r is a rate that Per or the zero Rate could be.
func (r Rate) valid() bool {
	if r == (Rate{}) {
		return true
	}
	return r.count >= 0 && r.per > 0 && (r.count/maxRate < int64(r.per) || r.count == maxRate*int64(r.per))
}

// adopt makes limits those of b, and reports whether any was another.
func (b *buckets) adopt(limits []Limit, now int64) (changed bool) {
	if b.n == 0 { // absent
		b.n = len(limits)
		copy(b.limits[:], limits)
		return false
	}
	for i, l := range limits {
		switch {
		case i >= b.n:
			b.states[i] = State{}
		case b.limits[i] != l:
			changed = true
			b.states[i] = l.Adopt(b.states[i], b.limits[i], now)
		}
		b.limits[i] = l
	}
	b.n = len(limits)
	return changed
}

// take takes n tokens from every bucket or from none. It reports whether b changed, which it
// also does with its limits: from then on it is refilled at the new rate.
func (b *buckets) take(limits []Limit, now, n int64) (worst Decision, changed bool) {
	changed = b.adopt(limits, now)
	states, ok := b.states, true
	for i, l := range limits {
		var d Decision
		states[i], d = l.Step(b.states[i], now, n)
		d.Tier = i
		ok = ok && d.OK
		if i == 0 || tighter(d, worst) {
			worst = d
		}
	}
	if ok {
		b.states = states
	}
	return worst, changed || ok && n > 0
}

// give puts n tokens back into every bucket, and reports whether there were any to put them in.
func (b *buckets) give(limits []Limit, now, n int64) bool {
	if b.n == 0 || n == 0 {
		return false
	}
	b.adopt(limits, now)
	for i, l := range limits {
		m := newMeter(l.resolve())
		s, _ := m.approach(b.states[i], now)
		s.Spent = max(s.Spent-m.cost(n), full)
		b.states[i] = s
	}
	return true
}

// ttlSlack is how much longer than until its buckets are full a key is kept, for those whose clocks
// are behind.
const ttlSlack = time.Minute

// ttl returns how long the store must keep b, or 0 if for ever.
func (b *buckets) ttl(now int64) time.Duration {
	longest := time.Duration(0)
	for i, l := range b.limits[:b.n] {
		_, d := l.Step(b.states[i], now, 0)
		if d.ResetAfter < 0 || d.ResetAfter > math.MaxInt64-ttlSlack {
			return 0
		}
		longest = max(longest, d.ResetAfter)
	}
	return longest + ttlSlack
}
