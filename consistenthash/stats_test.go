// SPDX-License-Identifier: MIT

package consistenthash

import (
	"strconv"
	"testing"
)

// TestStatsSub checks that Sub subtracts every figure, and keeps the gauges.
func TestStatsSub(t *testing.T) {
	checkSub(t, Stats.Sub)
	checkSub(t, BalancerStats.Sub, "Total", "Busiest")
}

// TestBalancerStats checks the counters against admissions that are counted one
// by one, also those of nodes that left.
func TestBalancerStats(t *testing.T) {
	var ring Ring
	if err := ring.Set(numbered(4)...); err != nil {
		t.Fatal(err)
	}
	b := NewBalancer(&ring, 1.25)
	var want BalancerStats
	admit := func(key string) {
		owner, _ := ring.Get(key)
		l, ok := b.Acquire(key)
		if !ok {
			t.Fatal("Acquire = false, want true")
		}
		want.Admitted++
		if l.Node() != owner {
			want.Away++
		}
		l.Release()
	}
	hold := func() Lease {
		l, _ := b.Acquire("hot")
		want.Admitted++
		if owner, _ := ring.Get("hot"); l.Node() != owner {
			want.Away++
		}
		return l
	}

	for range 8 {
		defer hold().Release()
	}
	for i := range 100 {
		admit(strconv.Itoa(i))
	}
	for i := range 3 {
		ring.Remove(numbered(4)[i].Name)
		admit("hot")
	}

	want.Total = 8
	got := b.Stats()
	got.Busiest = 0
	if got != want {
		t.Errorf("Stats = %+v, want %+v", got, want)
	}
	if got, want := b.Stats().AwayRatio(), float64(want.Away)/float64(want.Admitted); got != want || got == 0 {
		t.Errorf("AwayRatio = %v, want %v", got, want)
	}
	if got := b.Stats().Busiest; got < 2 || got > 3 {
		t.Errorf("Busiest = %d of 8 leases on 4 nodes, want 2 or 3", got)
	}
	if got := (BalancerStats{}).AwayRatio(); got != 0 {
		t.Errorf("AwayRatio of nothing = %v, want 0", got)
	}
}
