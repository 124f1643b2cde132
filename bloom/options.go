// SPDX-License-Identifier: MIT

package bloom

import (
	"fmt"
	"strings"
	"time"
)

// Options are the optional settings of a filter.
type Options struct {
	// Seed changes the hashes of keys, so that two filters err on different keys. If zero,
	// a key hashes to the same value in every filter. Filters can be united only if their seeds are
	// equal. A seed is stored with the filter, and no secret: see the package comment.
	Seed uint64

	// Lines is the number of cache lines that a key lies in, 1 or 2. Two take less memory, and
	// a second line has to be read for keys that are present. If zero, 1 for rates of
	// at least 1e-3 and else 2.
	Lines int

	// Foldable rounds the size up, by at most 1 in 8, to 8 to 16 lines times a power of two, so that
	// [Filter.Fold] can halve the filter until it is that small.
	Foldable bool
}

// Validate returns an error if o cannot be used.
func (o *Options) Validate() error {
	if o != nil && (o.Lines < 0 || o.Lines > maxPerKey) {
		return fmt.Errorf("bloom: Options.Lines must be between 0 and %d, got %d", maxPerKey, o.Lines)
	}
	return nil
}

// WindowOptions are the optional settings of a [Window].
type WindowOptions struct {
	// Generations is the number of parts that a window is divided into and one more, from 2 to 64.
	// A key is forgotten at the latest when the window and 1/(Generations-1) of it have passed.
	// More parts forget more exactly, and cost time and some memory. If zero, 4.
	Generations int

	// Seed is as in [Options].
	Seed uint64

	// Lines is as in [Options].
	Lines int

	// Now is the clock of a window of time. If nil, the system's monotonic clock. If it goes back,
	// it is taken to stand still. It must not call the window.
	Now func() time.Time
}

const (
	defaultGenerations = 4
	maxGenerations     = 64
)

// Validate returns an error if o cannot be used.
func (o *WindowOptions) Validate() error {
	if o == nil {
		return nil
	}
	if o.Generations != 0 && (o.Generations < 2 || o.Generations > maxGenerations) {
		return fmt.Errorf("bloom: WindowOptions.Generations must be between 2 and %d, got %d", maxGenerations, o.Generations)
	}
	if o.Lines < 0 || o.Lines > maxPerKey {
		return fmt.Errorf("bloom: WindowOptions.Lines must be between 0 and %d, got %d", maxPerKey, o.Lines)
	}
	return nil
}

// validateSize is Validate for the quantities that are given by position.
func validateSize(n int, p float64) error {
	if n < 0 || int64(n) > maxKeys {
		return fmt.Errorf("n must be between 0 and 2^48, got %d", n)
	}
	if !(p >= minRate && p < 1) { // so that it refuses NaN
		return fmt.Errorf("p must be between %g and 1, got %v", minRate, p)
	}
	return nil
}

const (
	maxKeys = 1 << 48
	minRate = 1e-12 // below it, 64-bit hashes of 10^8 keys collide more often than the filter errs
)

// reason returns the text of err without the prefix, which a panic sets itself.
func reason(err error) string { return strings.TrimPrefix(err.Error(), "bloom: ") }
