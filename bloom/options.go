// SPDX-License-Identifier: MIT

package bloom

import (
	"cmp"
	"fmt"
	"time"
)

// Options are the optional settings of a filter.
type Options struct {
	// Seed changes the hashes of keys, so that two filters err on different
	// keys. If zero, a key hashes to the same value in every filter. Filters
	// can be united only if their seeds are equal. A seed is stored with the
	// filter, and no secret: see the package comment. Draw it from all numbers
	// of 64 bits: those below n give a run of n integers the same hashes, in
	// another order.
	Seed uint64

	// Foldable rounds the size up, by at most 1 in 8, to 8 to 16 lines times a
	// power of two, so that [Filter.Fold] can halve the filter until it is that
	// small.
	Foldable bool

	// Lines is the number of cache lines that a key lies in, 1 or 2. Two lines
	// need less memory at low rates, but a lookup of a present key reads both.
	// If zero, 1 for rates of at least 1e-3 and else 2.
	Lines int
}

// Validate returns an error if o cannot be used.
func (o *Options) Validate() error {
	if r := o.resolve(); r.Lines < 0 || r.Lines > maxPerKey {
		return fmt.Errorf("bloom: Options.Lines must be between 0 and %d, got %d", maxPerKey, r.Lines)
	}
	return nil
}

// resolve returns a copy of o with its defaults, which are the zero values.
func (o *Options) resolve() Options {
	if o == nil {
		return Options{}
	}
	return *o
}

// WindowOptions are the optional settings of a [Window].
type WindowOptions struct {
	// Generations is one more than the number of turns that a window is divided
	// into, from 2 to 64. A key is forgotten at the latest when the window and
	// 1/(Generations-1) of it have passed. More turns forget more exactly, and
	// cost time and some memory. If zero, 4.
	Generations int

	// Now is the clock of a window of time. If nil, the system's monotonic
	// clock. A clock that steps back is treated as stopped until it catches up.
	// Now must not call the window.
	Now func() time.Time

	// Seed is as in [Options].
	Seed uint64

	// Lines is as in [Options].
	Lines int
}

const (
	defaultGenerations = 4
	maxGenerations     = 64
)

// Validate returns an error if o cannot be used.
func (o *WindowOptions) Validate() error {
	r := o.resolve()
	if r.Generations < 2 || r.Generations > maxGenerations {
		return fmt.Errorf("bloom: WindowOptions.Generations must be between 2 and %d, got %d", maxGenerations, r.Generations)
	}
	if r.Lines < 0 || r.Lines > maxPerKey {
		return fmt.Errorf("bloom: WindowOptions.Lines must be between 0 and %d, got %d", maxPerKey, r.Lines)
	}
	return nil
}

// resolve returns a copy of o with its defaults.
func (o *WindowOptions) resolve() WindowOptions {
	var r WindowOptions
	if o != nil {
		r = *o
	}
	r.Generations = cmp.Or(r.Generations, defaultGenerations)
	return r
}

// SplitBlockOptions are the optional settings of a [SplitBlock].
type SplitBlockOptions struct {
	// AnySize permits each size that the specification does: every multiple of
	// 32 bytes, up to 2 GiB. It takes up to half of the memory less. Arrow C++,
	// Velox and ClickHouse refuse sizes that are no power of two or exceed 128
	// MiB, and Impala misses keys in them: set it only if all readers follow
	// the specification.
	AnySize bool
}

// Validate returns an error if o cannot be used. All settings can.
func (o *SplitBlockOptions) Validate() error { return nil }

// resolve returns a copy of o with its defaults, which are the zero values.
func (o *SplitBlockOptions) resolve() SplitBlockOptions {
	if o == nil {
		return SplitBlockOptions{}
	}
	return *o
}

// validateSize is Validate for the quantities that are given by position.
func validateSize(n int, p float64) error {
	if n < 0 || int64(n) > maxKeys {
		return fmt.Errorf("bloom: n must be between 0 and 2^48, got %d", n)
	}
	if !(p >= minRate && p < 1) { // so that it refuses NaN
		return fmt.Errorf("bloom: p must be between %g and 1, got %v", minRate, p)
	}
	return nil
}

const (
	maxKeys = 1 << 48
	minRate = 1e-12 // below it, 64-bit hashes of 10^8 keys collide more often than the filter errs
)
