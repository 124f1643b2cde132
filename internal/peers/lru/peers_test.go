// SPDX-License-Identifier: MIT

package lru

import (
	"testing"

	ashlar "github.com/ashlar-go/ashlar/lru"
)

// TestSimulations checks what can be known: OPT is never beaten, LRU is LRU,
// and a loop longer than the cache gives LRU nothing.
func TestSimulations(t *testing.T) {
	loop := make([]uint64, 3000)
	for i := range loop {
		loop[i] = uint64(i % 100)
	}

	if got := hashicorpHits(99, loop); got != 0 {
		t.Errorf("LRU has %d hits of a loop", got)
	}
	// Of each round all but one key fit: OPT keeps 50 of 100 and misses 50 a
	// round, plus the first round.
	if got, want := optHits(50, loop), 29*50; got < want {
		t.Errorf("OPT has %d hits of a loop, at least %d can be had", got, want)
	}

	for _, tr := range generated() {
		keys := tr.keys[:50_000]
		for _, capacity := range []int{4, 7, 100, 3000} {
			best := optHits(capacity, keys)
			for _, c := range contestants {
				if got := c.run(capacity, keys); got > best {
					t.Errorf("%s at %d: %s has %d hits, OPT %d", tr.name, capacity, c.name, got, best)
				}
			}
			if got, want := oursHits(ashlar.PolicyLRU)(capacity, keys), hashicorpHits(capacity, keys); got != want {
				t.Errorf("%s at %d: our LRU has %d hits, hashicorp's %d", tr.name, capacity, got, want)
			}
		}
	}
}

// TestAdapters: a row of speed finds what is there.
func TestAdapters(t *testing.T) {
	for _, c := range append(shared, exact...) {
		if got := c.hit(1000).Setup(t.Cleanup)(0, 2000); got < 1990 {
			t.Errorf("%s found %d of 2000", c.name, got)
		}
		if got := c.through(1000).Setup(t.Cleanup)(0, 2000); got == 0 || got == 2000 {
			t.Errorf("%s found %d of 2000", c.name, got)
		}
	}
}
