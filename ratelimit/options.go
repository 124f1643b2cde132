// SPDX-License-Identifier: MIT

package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Options are the optional settings of a [Limiter].
type Options struct {
	// Now is the clock that decisions are made by. If nil, the system's monotonic clock.
	// Its readings may stand still or go back, which admits nothing twice, and may lie before the
	// limiter was made. A caller in Wait sleeps by the system's timers all the same, and asks Now
	// again when it wakes, at most once a millisecond. Now must not call the limiter.
	Now func() time.Time
}

// Validate returns an error if o cannot be used. Today every value can.
func (o *Options) Validate() error { return nil }

// KeyedOptions are the optional settings of a [Keyed] or a [KeyedWindow].
type KeyedOptions struct {
	// MaxKeys bounds the number of keys held; at least 16. If zero, 65536.
	// It is rounded down so that the table divides evenly, by less than 1 in 8.
	MaxKeys int

	// DenyNew refuses keys that are not held while the table has no room for them. By default
	// the least indebted of the keys in the way is forgotten, and its tokens with it; see
	// [KeyedStats].
	DenyNew bool

	// Now is the clock that decisions are made by. If nil, the system's monotonic clock, and for a
	// quota time.Now. Its readings may stand still or go back, which admits nothing twice. Now
	// must not call the limiter.
	Now func() time.Time
}

// ConcurrencyOptions are the optional settings of a [Concurrency].
type ConcurrencyOptions struct {
	// MaxQueue bounds the callers that wait in Acquire. If zero, any number may; if negative, none.
	MaxQueue int

	// Adapt, if not nil, finds the limit: [AIMD] or [Gradient2], or an Algorithm of your own.
	// It belongs to one Concurrency, which calls it from one goroutine at a time, under no lock.
	Adapt Algorithm

	// Min and Max bound the limit that Adapt chooses. If zero, Min is 1, and Max is 1000 or the
	// limit to begin with, whichever is more.
	Min, Max int

	// Window is how long permits are watched before Adapt is asked; it lasts longer until 20
	// permits have ended, and at least twice as long as operations take. If zero, 100 * time.Millisecond.
	Window time.Duration

	// OnLimit is called after each change of the limit, one at a time and in order, under no
	// lock, in a goroutine that changed it. It may use the Concurrency.
	OnLimit func(old, limit int)

	// Now is the clock that operations are timed by, if Adapt is set. If nil, the system's
	// monotonic clock. It must not call the Concurrency.
	Now func() time.Time
}

// Validate returns an error if o cannot be used.
func (o *ConcurrencyOptions) Validate() error {
	if o == nil {
		return nil
	}
	for _, f := range []struct {
		name  string
		value int
	}{{"Min", o.Min}, {"Max", o.Max}} {
		if f.value < 0 || f.value > maxLimit {
			return fmt.Errorf("ratelimit: ConcurrencyOptions.%s must be between 0 and 2^31-1, got %d", f.name, f.value)
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

// setDefaults fills in what is zero, for a Concurrency that begins with limit.
func (o *ConcurrencyOptions) setDefaults(limit int) {
	o.Min = max(o.Min, 1)
	if o.Max == 0 {
		o.Max = max(1000, limit, o.Min)
	}
	if o.Window == 0 {
		o.Window = 100 * time.Millisecond
	}
}

// SharedOptions are the optional settings of a [Shared].
type SharedOptions struct {
	// OnError decides when the store fails, takes longer than Timeout, or holds something else
	// under the key. If nil, nobody is admitted: the limit is closed, and Take returns the error. To
	// leave it open, return Decision{OK: true}; to go on with limits of this process alone, return what a
	// [Keyed] of them decides:
	//
	//	OnError: func(key string, n int64, err error) ratelimit.Decision {
	//		failures.Add(1)
	//		return local.Take(key, n)
	//	},
	//
	// It also sees the errors of Peek. It is called under no lock.
	OnError func(key string, n int64, err error) Decision

	// Timeout bounds the work of the store for one decision, all tries together. If zero, the
	// context of the caller alone does, and OnError has no say when that ends.
	Timeout time.Duration

	// Now is the clock that all processes share, such as SELECT now() or TIME of the store. If
	// nil, each process goes by its own wall clock, time.Now. See [Shared] for what clocks that
	// differ admit.
	Now func(ctx context.Context) (time.Time, error)
}

// Validate returns an error if o cannot be used.
func (o *SharedOptions) Validate() error {
	if o != nil && o.Timeout < 0 {
		return fmt.Errorf("ratelimit: SharedOptions.Timeout must not be negative, got %v", o.Timeout)
	}
	return nil
}

const defaultMaxKeys = 1 << 16

// Validate returns an error if o cannot be used.
func (o *KeyedOptions) Validate() error {
	if o != nil && (o.MaxKeys < 0 || o.MaxKeys > 0 && o.MaxKeys < 2*ways) {
		return fmt.Errorf("ratelimit: KeyedOptions.MaxKeys must be at least %d, got %d", 2*ways, o.MaxKeys)
	}
	return nil
}

// validateBurst is Validate for a burst given by position, which has no default.
func (l Limit) validateBurst() error {
	if l.Burst < 1 {
		return fmt.Errorf("burst must be positive, got %d", l.Burst)
	}
	if l.Burst > maxBurst {
		return fmt.Errorf("burst must be at most 2^61, got %d", l.Burst)
	}
	return nil
}

// reason returns the text of err without the prefix, which a panic sets itself.
func reason(err error) string { return strings.TrimPrefix(err.Error(), "ratelimit: ") }

func validateLimits(limits []Limit) error {
	if len(limits) == 0 {
		return errors.New("ratelimit: at least one limit is needed")
	}
	if len(limits) > maxTiers {
		return fmt.Errorf("ratelimit: at most %d limits, got %d", maxTiers, len(limits))
	}
	for _, l := range limits {
		if err := l.Validate(); err != nil {
			return err
		}
	}
	return nil
}
