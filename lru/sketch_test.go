// SPDX-License-Identifier: MIT

package lru

import (
	"math/rand/v2"
	"slices"
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

	// A slot without an entry counts for nothing.
	empty := queues{}
	empty.extend(8, nil)
	for range 5 {
		empty.sketch.add(0)
	}
	empty.extend(16, nil)
	if got := empty.sketch.count(0); got != 0 {
		t.Errorf("the hash 0 is counted %d times after growth without entries, want 0", got)
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
	c.shards[0].rng = 1
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

// TestGhostAges checks how many evictions ago an eviction was, and that the
// last n are remembered, each once.
func TestGhostAges(t *testing.T) {
	const h = 1
	for n := 1; n <= 3; n++ { // one bucket
		for later := range 5 {
			g := newGhost(n)
			g.add(h)
			for i := range later {
				g.add(uint32(100 + i))
			}
			age, ok := g.recall(h)
			if ok != (later <= n) || ok && age != later {
				t.Errorf("%d are remembered: recall = %d, %v after %d others, want %[4]d, %v", n, age, ok, later, later <= n)
			}
			if _, ok := g.recall(h); ok {
				t.Errorf("%d are remembered: it is not forgotten when it was recalled", n)
			}
		}
	}

	// Evicted again, it is the youngest, and there once.
	g := newGhost(3)
	g.add(h)
	g.add(100)
	g.add(h)
	age, ok := g.recall(h)
	checkAnswers(t, answer{"age", age, 0}, answer{"recall", ok, true})
	_, ok = g.recall(h)
	checkAnswers(t, answer{"recall again", ok, false})

	// Epochs get longer, so that their number fits into 16 bits four times.
	for n, shift := range map[int]uint{1 << 14: 0, 1<<14 + 1: 1, 1 << 15: 1, 1 << 16: 2, 1<<16 + 4: 3} {
		if got := newGhost(n).shift; got != shift {
			t.Errorf("%d are remembered in epochs of 2^%d, want 2^%d", n, got, shift)
		}
	}
	g = newGhost(1 << 16)
	g.add(h)
	for i := range 8 {
		g.add(uint32(100 + i))
	}
	age, ok = g.recall(h)
	checkAnswers(t, answer{"age in epochs of four", age, 8}, answer{"recall", ok, true})
}

// TestSketchCounters checks that all counters of a block are used, four by each
// hash, and that a sketch has 8 bytes for each entry.
func TestSketchCounters(t *testing.T) {
	for n, words := range map[int]int{1: 8, 7: 8, 8: 8, 9: 16, 64: 64, 65: 72} {
		if got := len(newSketch(n).words); got != words {
			t.Errorf("%d words for %d entries, want %d", got, n, words)
		}
	}

	k := newSketch(8)
	k.n = 1 << 20 // it is not halved
	for i := range uint32(10_000) {
		before := slices.Clone(k.words)
		k.add(i * 0x9e3779b1)
		changed := 0
		for w := range before {
			for d := k.words[w] - before[w]; d > 0; d >>= 4 {
				changed += int(d & 15)
			}
		}
		if changed > 4 || i == 0 && changed != 4 {
			t.Fatalf("hash %d: %d counters went up, want 4, or fewer at the limit", i, changed)
		}
	}
	for w, counters := range k.words {
		if counters != 0xffff_ffff_ffff_ffff {
			t.Errorf("word %d is %x, want all counters at their limit", w, counters)
		}
	}
}
