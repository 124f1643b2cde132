// SPDX-License-Identifier: MIT

package ratelimit

import (
	"cmp"
	"context"
	"fmt"
	"time"
)

// Options are the optional settings of a [Limiter], a [Striped], a [Window] and
// of [NewMemStore].
type Options struct {
	// Now is the clock that decisions are made by. If nil, the system's
	// monotonic clock, and for a quota or a store time.Now. Its readings may
	// stand still or go back, which admits nothing twice, and may lie before
	// the limiter was made. A caller in Wait sleeps by the system's timers, and
	// asks Now again when it wakes, at most once a millisecond. Now must not
	// call the limiter.
	Now func() time.Time

	// WarmUp lets a Limiter come up to its rate slowly, for a resource that is
	// cold after a rest: an empty cache, a pool without connections. It begins
	// cold and admits a third of its rate, and after WarmUp in use all of it,
	// rising evenly in between. It is in use while its bucket refills; while
	// the bucket is full, or has a rate of 0 or Inf, it cools as fast as it
	// warms. So in the first t after such a rest, up to WarmUp, it admits at
	// most burst + rate·(t·(WarmUp+t)/(3·WarmUp) + 2 ns). The burst comes at
	// once, cold or warm, so let it be small. If zero, the limiter is always
	// warm; if negative, or given to anything but New, that panics. Tokens that
	// Return and Cancel give back count as not used; Fill ends the use.
	WarmUp time.Duration
}

// Validate returns an error if o cannot be used.
func (o *Options) Validate() error {
	if o != nil && o.WarmUp < 0 {
		return fmt.Errorf("ratelimit: Options.WarmUp must not be negative, got %v", o.WarmUp)
	}
	return nil
}

// constant is resolve for a limit that does not warm up. It panics if o asks
// for that.
func (o *Options) constant() Options {
	r := o.resolve()
	if r.WarmUp != 0 {
		panic(fmt.Sprintf("ratelimit: Options.WarmUp is for a Limiter of New alone, got %v", r.WarmUp))
	}
	return r
}

// resolve returns a copy of o with its defaults.
func (o *Options) resolve() Options {
	if o == nil {
		return Options{}
	}
	return *o
}

// KeyedOptions are the optional settings of a [Keyed] or a [KeyedWindow].
type KeyedOptions struct {
	// MaxKeys bounds the number of keys held; at least 16. If zero, 65536. To
	// fit the layout of the table it is rounded down: to a multiple of 8, and
	// above 1024 by less than 1 %.
	MaxKeys int

	// DenyNew refuses keys that are not held while the table has no room for
	// them. By default the least indebted of the keys in the way is forgotten,
	// and its tokens with it; see [KeyedStats].
	DenyNew bool

	// MaxQueue bounds the callers that wait for one key in [Keyed.Wait]. If
	// zero, 1000; if negative, none may wait.
	MaxQueue int

	// Now is the clock that decisions are made by. If nil, the system's
	// monotonic clock, and for a quota time.Now. Its readings may stand still
	// or go back, which admits nothing twice. Now must not call the limiter.
	Now func() time.Time
}

// Validate returns an error if o cannot be used.
func (o *KeyedOptions) Validate() error {
	if o != nil && (o.MaxKeys < 0 || o.MaxKeys > 0 && o.MaxKeys < 2*ways) {
		return fmt.Errorf("ratelimit: KeyedOptions.MaxKeys must be at least %d, got %d", 2*ways, o.MaxKeys)
	}
	return nil
}

// resolve returns a copy of o with its defaults.
func (o *KeyedOptions) resolve() KeyedOptions {
	var r KeyedOptions
	if o != nil {
		r = *o
	}
	r.MaxKeys = cmp.Or(r.MaxKeys, 1<<16)
	r.MaxQueue = cmp.Or(r.MaxQueue, 1000)
	return r
}

// mustKeyed returns a copy of o with its defaults. It panics if o is not valid.
func mustKeyed(o *KeyedOptions) KeyedOptions {
	if err := o.Validate(); err != nil {
		panic(err)
	}
	return o.resolve()
}

// ConcurrencyOptions are the optional settings of a [Concurrency].
type ConcurrencyOptions struct {
	// MaxQueue bounds the callers that wait in Acquire. If zero, any number
	// may; if negative, none.
	MaxQueue int

	// Adapt, if not nil, finds the limit: [AIMD] or [Gradient2], or an
	// Algorithm of your own. It belongs to one Concurrency, which calls it from
	// one goroutine at a time, under no lock.
	Adapt Algorithm

	// Min and Max bound the limit that Adapt chooses. If zero, Min is 1, and
	// Max is 1000 or the limit to begin with, whichever is more.
	Min, Max int

	// Window is how long permits are watched before Adapt is asked; it lasts
	// longer until 20 permits have ended, and at least twice as long as
	// operations take. If zero, 100 * time.Millisecond.
	Window time.Duration

	// OnLimit is called after each change of the limit, one at a time and in
	// order, under no lock, by a goroutine that caused one. It may call the
	// Concurrency. While it runs, up to 128 further changes wait; after that
	// the oldest are dropped, and ConcurrencyStats.Unseen counts them.
	OnLimit func(old, limit int)

	// Now is the clock that operations are timed by, if Adapt is set. If nil,
	// the system's monotonic clock. Its readings may stand still or go back.
	// Now must not call the Concurrency.
	Now func() time.Time
}

// Validate returns an error if o cannot be used.
func (o *ConcurrencyOptions) Validate() error {
	if o == nil {
		return nil
	}

	// Limits.
	for _, f := range []struct {
		name  string
		value int
	}{{"Min", o.Min}, {"Max", o.Max}} {
		if f.value < 0 || f.value > maxLimit {
			return fmt.Errorf("ratelimit: ConcurrencyOptions.%s must be between 0 and 2^30-1, got %d", f.name, f.value)
		}
	}
	if o.Max > 0 && o.Min > o.Max {
		return fmt.Errorf("ratelimit: ConcurrencyOptions.Min must be at most Max, %d, got %d", o.Max, o.Min)
	}
	if o.Window < 0 {
		return fmt.Errorf("ratelimit: ConcurrencyOptions.Window must not be negative, got %v", o.Window)
	}

	if v, ok := o.Adapt.(interface{ Validate() error }); ok {
		return v.Validate()
	}
	return nil
}

// resolve returns a copy of o with its defaults, for a Concurrency that begins
// with limit.
func (o *ConcurrencyOptions) resolve(limit int) ConcurrencyOptions {
	var r ConcurrencyOptions
	if o != nil {
		r = *o
	}
	r.Min = max(r.Min, 1)
	r.Max = cmp.Or(r.Max, max(1000, limit, r.Min))
	r.Window = cmp.Or(r.Window, 100*time.Millisecond)
	return r
}

// SharedOptions are the optional settings of a [Shared].
type SharedOptions struct {
	// OnError decides when the store fails, takes longer than Timeout, or holds
	// something else under the key. If nil, nothing is admitted: the limit is
	// closed, and Take returns the error. To leave it open, return
	// Decision{OK: true}; to go on with limits of this process alone, return
	// the decision of a [Keyed] of them:
	//
	//	OnError: func(key string, n int, err error) ratelimit.Decision {
	//		failures.Add(1)
	//		return local.Take(key, n)
	//	},
	//
	// It also sees the errors of Peek. It is called under no lock. RetryAfter
	// of its refusal tells Wait when to ask again; if it is zero, that is in 1
	// ms.
	OnError func(key string, n int, err error) Decision

	// Timeout bounds the work of the store for one decision, all tries
	// together. If zero, 1 * time.Second. If negative, the context of the
	// caller alone does, and OnError has no say when that ends.
	Timeout time.Duration

	// Now is the clock that all processes share, such as SELECT now() or TIME
	// of the store. If nil, each process reads its own wall clock, time.Now.
	// See [Shared] for what is admitted where clocks differ.
	Now func(ctx context.Context) (time.Time, error)
}

// Validate returns an error if o cannot be used. All settings can.
func (o *SharedOptions) Validate() error { return nil }

// resolve returns a copy of o with its defaults.
func (o *SharedOptions) resolve() SharedOptions {
	var r SharedOptions
	if o != nil {
		r = *o
	}
	r.Timeout = cmp.Or(r.Timeout, time.Second)
	if r.Now == nil {
		r.Now = func(context.Context) (time.Time, error) { return time.Now(), nil }
	}
	return r
}
