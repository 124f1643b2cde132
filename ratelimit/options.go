// SPDX-License-Identifier: MIT

package ratelimit

import (
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

// KeyedOptions are the optional settings of a [Keyed].
type KeyedOptions struct {
	// MaxKeys bounds the number of keys held; at least 16. If zero, 65536.
	// It is rounded down so that the table divides evenly, by less than 1 in 8.
	MaxKeys int

	// DenyNew refuses keys that are not held while the table has no room for them. By default
	// the least indebted of the keys in the way is forgotten, and its tokens with it; see
	// [KeyedStats].
	DenyNew bool

	// Now is the clock that decisions are made by. If nil, the system's monotonic clock.
	// Its readings may stand still or go back, which admits nothing twice. Now must not call
	// the limiter.
	Now func() time.Time
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
