// SPDX-License-Identifier: MIT

package bloom

import (
	"fmt"
	"slices"
)

// Union adds to f every key that was added to g, bit for bit as if each had
// been added to f itself. The filters must have equal seeds and have been made
// for the same rate and Lines; g may be larger by a whole factor, and is folded
// on the way. Otherwise it returns an error that wraps [ErrMismatch] and leaves
// f unchanged.
func (f *Filter) Union(g *Filter) error {
	f.mustNotView()
	d, err := f.factor(g)
	if err != nil {
		return err
	}
	for i := range g.lines {
		for j, w := range g.lines[i] {
			f.lines[i/d][j] |= w
		}
	}
	return nil
}

// factor returns how many lines of g fall into one of f.
func (f *Filter) factor(g *Filter) (int, error) {
	if f.shape != g.shape {
		return 0, fmt.Errorf("%w: %v and %v", ErrMismatch, f.shape, g.shape)
	}
	if n := len(f.lines); n == 0 || len(g.lines)%n != 0 || len(g.lines) == 0 {
		return 0, fmt.Errorf("%w: %d and %d lines", ErrMismatch, n, len(g.lines))
	}
	return len(g.lines) / len(f.lines), nil
}

// String describes s in errors. The seed is left out: not everybody who reads
// them needs to know it.
func (s shape) String() string {
	return fmt.Sprintf("%d lines a key with %d bits a lane", s.perKey, s.perLane)
}

// Intersect leaves in f the bits that are in both. A key that was added to both
// is present still; other keys may be, more often than in a filter to which
// only the common keys were added. It returns an error that wraps
// [ErrMismatch], and leaves f unchanged, unless both have the same size, shape
// and seed.
func (f *Filter) Intersect(g *Filter) error {
	f.mustNotView()
	d, err := f.factor(g)
	if err != nil {
		return err
	}
	if d != 1 {
		return fmt.Errorf("%w: %d and %d lines", ErrMismatch, len(f.lines), len(g.lines))
	}

	// A bit stays if both filters have it.
	for i := range f.lines {
		for j := range f.lines[i] {
			f.lines[i][j] &= g.lines[i][j]
		}
	}
	return nil
}

// Equal reports whether f and g have the same size, shape, seed and bits, and
// so the same answers.
func (f *Filter) Equal(g *Filter) bool {
	return f.shape == g.shape && slices.Equal(f.lines, g.lines)
}

// Clone returns a copy that shares nothing with f. The copy of a view can be
// changed.
func (f *Filter) Clone() *Filter {
	return &Filter{shape: f.shape, lines: slices.Clone(f.lines)}
}

// Clear removes all keys.
func (f *Filter) Clear() {
	f.mustNotView()
	clear(f.lines)
}

// Fold makes f smaller by the factor d, bit for bit as if it had been made with
// 1/d of the lines and the same keys had been added. So a filter made for more
// keys than came, with Options.Foldable, can be made to fit, and [Filter.Rate]
// says how far to go. It returns an error that wraps [ErrMismatch], and leaves
// f unchanged, if d does not divide the number of lines, which is [Filter.Bits]
// / 512. It panics if d is not positive.
//
// The line of a key among n is floor(h·n/2^64), and that divided by d is its
// line among n/d: neighbors are merged.
func (f *Filter) Fold(d int) error {
	f.mustNotView()
	if d < 1 {
		panic(fmt.Sprintf("bloom: d must be positive, got %d", d))
	}
	if len(f.lines)%d != 0 {
		return fmt.Errorf("%w: %d lines cannot be folded by %d", ErrMismatch, len(f.lines), d)
	}
	folded := &Filter{shape: f.shape, lines: make([]line, len(f.lines)/d)}
	if len(f.lines) > 0 {
		_ = folded.Union(f) // the sizes match by construction
	}
	f.lines = folded.lines
	return nil
}
