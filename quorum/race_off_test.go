//go:build !race

// SPDX-License-Identifier: MIT

package quorum

// raceEnabled reports whether the race detector is on: counts shrink and
// allocations are not measured.
const raceEnabled = false
