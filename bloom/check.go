// SPDX-License-Identifier: MIT

package bloom

import "fmt"

// check panics if the invariants of the implementation notes do not hold.
// It runs only under the tag invariants.
func (f *Filter) check() {
	if s := f.shape; s.perKey < 1 || s.perKey > maxPerKey || s.perLane < 1 || s.perLane > maxPerLane || len(f.lines) == 0 {
		panic(fmt.Sprintf("bloom: I1 violated: %v, %d lines", s, len(f.lines)))
	}
}

// checkAdded panics if a key that was added is absent.
func (f *Filter) checkAdded(h uint64) {
	if !f.HasHash(h) {
		panic(fmt.Sprintf("bloom: I2 violated: %#x is absent after it was added", h))
	}
}
