// SPDX-License-Identifier: MIT

package ratelimit

import (
	"fmt"
	"math"
	"testing"
)

// TestMostLimits checks that a key may have eight limits and no more.
func TestMostLimits(t *testing.T) {
	limits := make([]Limit, maxTiers)
	for i := range limits {
		limits[i] = Limit{PerHour(i + 1), i + 1}
	}
	d := NewKeyed[int](limits, nil).Take(1, 1)
	check(t, d.OK, true, "OK of eight limits")
	_, err := NewShared(NewMemStore(nil), limits, nil).Take(t.Context(), "key", 1)
	checkErr(t, err, nil, "Take of eight limits")
	more := append(limits, Limit{PerHour(1), 1})
	mustPanic(t, "limits must be at most 8, got 9", func() { NewKeyed[int](more, nil) })
	mustPanic(t, "at least one limit is needed", func() { NewShared(NewMemStore(nil), nil, nil) })
}

// TestParseLimitBounds checks the largest burst and the shortest period.
func TestParseLimitBounds(t *testing.T) {
	l, err := ParseLimit("1/1ns")
	checkErr(t, err, nil, "ParseLimit of a period of 1 ns")
	check(t, l, Limit{Rate: Per(1, 1)}, "Limit")
	if math.MaxInt == math.MaxInt32 {
		return // a burst is below 2^31
	}
	l, err = ParseLimit(fmt.Sprintf("1/s burst %d", int64(maxBurst)))
	checkErr(t, err, nil, "ParseLimit of the largest burst")
	check(t, int64(l.Burst), maxBurst, "Burst")
}
