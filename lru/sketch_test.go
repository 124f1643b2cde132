// SPDX-License-Identifier: MIT

package lru

import (
	"math/rand/v2"
	"testing"
)

// TestSketchBound counts a skewed stream: no estimate is too low before the
// first halving, and few are too high.
func TestSketchBound(t *testing.T) {
	const n = 10_000
	k := newSketch(n)
	rng := rand.New(rand.NewPCG(1, 2))
	next := zipf(rng, 1, 20_000)
	exact := map[uint32]int{}
	hash := func(x uint64) uint32 { return uint32(x * 0x9e3779b97f4a7c15 >> 20) }
	for range 5 * n {
		h := hash(next())
		exact[h]++
		k.add(h)
	}

	high := 0
	for h, want := range exact {
		got := k.count(h)
		if got < min(want, 15) {
			t.Fatalf("estimate %d of %d", got, want)
		}
		if got > min(want+1, 15) {
			high++
		}
	}

	if high > len(exact)/20 {
		t.Errorf("%d of %d estimates are too high by more than one", high, len(exact))
	}
}

// TestSketchHalve makes all counts half, and keeps them within their 4 bits.
func TestSketchHalve(t *testing.T) {
	k := newSketch(64)
	for range 100 {
		k.add(12345)
	}

	checkAnswers(t, answer{"count of 100", int(k.count(12345)), 15}, answer{"additions", int(k.adds), 15})
	k.halve()
	checkAnswers(t, answer{"count, halved", int(k.count(12345)), 7}, answer{"additions, halved", int(k.adds), 7})

	for h := range uint32(2000) {
		k.add(h * 2654435761)
		if k.adds >= resetEvery*64 {
			t.Fatal("not halved in time")
		}
	}
}

// TestSketchRebuild checks that a policy that grows keeps the counts of its
// entries, and only those: a copy of the counters would leave each new block
// with counts of keys that do not belong to it.
func TestSketchRebuild(t *testing.T) {
	c := New(1<<14, &Options[int, int]{Shards: 1})
	for i := range 1 << 13 {
		c.Set(i, i)
	}
	q := &c.shards[0].queues
	sum := 0
	for h := range uint32(10_000) {
		sum += q.sketch.count(h * 0x9e3779b1)
	}
	if mean := float64(sum) / 10_000; mean > 0.5 {
		t.Errorf("keys that were never seen are counted %.2f times on average, want at most 0.5", mean)
	}

	for range 5 {
		q.sketch.add(q.meta[7].hash)
	}
	want := q.sketch.count(q.meta[7].hash)
	for i := 1 << 13; i < 1<<14; i++ {
		c.Set(i, i)
	}
	if got := q.sketch.count(q.meta[7].hash); got < want {
		t.Errorf("count %d after growth, want at least %d", got, want)
	}
}

// TestGhost remembers the last evictions, as many as it is for, and few others.
func TestGhost(t *testing.T) {
	for _, n := range []int{1, 16, 1000, 100_000} {
		g := newGhost(n)
		rng := rand.New(rand.NewPCG(1, 2))
		hashes := make([]uint32, 4*n)
		for i := range hashes {
			hashes[i] = rng.Uint32()
			g.add(hashes[i])
		}

		found := func(list []uint32) (k int) {
			for _, h := range list {
				if _, ok := g.recall(h); ok {
					k++
				}
			}
			return k
		}

		old, last := found(hashes[:2*n]), found(hashes[3*n+n/20:])
		if old > n/500+1 {
			t.Errorf("%d: %d of %d old ones are remembered", n, old, 2*n)
		}
		// A bucket that gets more than its share loses some.
		if want := (n - n/20) * 8 / 10; last < want {
			t.Errorf("%d: %d of the last %d are remembered, want %d", n, last, n-n/20, want)
		}
		if again := found(hashes[3*n:]); again > n/500+1+n/20 {
			t.Errorf("%d: %d are remembered after they were taken", n, again)
		}
	}
}

// TestRandomUniform evicts each of ten entries about equally often: within six
// standard deviations.
func TestRandomUniform(t *testing.T) {
	var counts [10]int
	const n = 20_000
	c := New(10, &Options[int, int]{Policy: PolicyRandom, Shards: 1})
	place := map[int]int{}
	for i := range 10 {
		c.Set(i, i)
		place[i] = i
	}

	c.opts.OnRemove = func(k, _ int, _ Cause) {
		counts[place[k]]++
		place[-1] = place[k]
		delete(place, k)
	}
	for i := 10; i < n+10; i++ {
		c.Set(i, i)
		place[i] = place[-1] // it takes over
	}

	for i, k := range counts {
		if d := k - n/10; d < -255 || d > 255 {
			t.Errorf("place %d: %d of %d, want %d +- 255", i, k, n, n/10)
		}
	}
}
