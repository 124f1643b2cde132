// SPDX-License-Identifier: MIT

package bloom

import "errors"

var (
	// ErrMismatch is returned by [Filter.Union] and [Filter.Intersect] for
	// filters that differ in size, shape or seed, so that their bits mean
	// different things, and by [Filter.Fold] for a factor that does not divide
	// the size.
	ErrMismatch = errors.New("bloom: filters do not match")

	// ErrCorrupt is returned by everything that reads a stored filter, for
	// bytes that are not a whole one.
	ErrCorrupt = errors.New("bloom: corrupt filter")

	// ErrVersion is returned by everything that reads a stored filter, for a
	// format, or a kind of filter, that this version does not know.
	ErrVersion = errors.New("bloom: unknown version")

	// ErrTooLarge is returned by everything that reads a stored filter, for one
	// that this machine cannot address.
	ErrTooLarge = errors.New("bloom: filter too large")
)
