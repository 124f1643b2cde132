// SPDX-License-Identifier: MIT

package bloom

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestConcurrentSameBits checks that goroutines that add the same and different
// keys at once leave the bits that one goroutine would.
func TestConcurrentSameBits(t *testing.T) {
	const procs, each = 4, 20_000
	for _, p := range []float64{0.01, 1e-5} {
		c, f := NewConcurrent(procs*each/2, p, nil), New(procs*each/2, p, nil)
		var wg sync.WaitGroup
		for g := range uint64(procs) {
			wg.Go(func() {
				for i := range uint64(each) {
					c.AddUint64(g*each/2 + i) // half of them also by the next
				}
			})
		}
		wg.Wait()
		for i := range uint64(procs*each/2 + each/2) {
			f.AddUint64(i)
		}
		if !c.Snapshot().Equal(f) {
			t.Errorf("p = %g: the bits differ", p)
		}
	}
}

// TestConcurrentOneWinner checks that of the goroutines that add a new key at
// once at least one is told that it is new.
func TestConcurrentOneWinner(t *testing.T) {
	rounds := 3000
	if raceEnabled {
		rounds = 300
	}
	c := NewConcurrent(rounds, 1e-9, nil) // another key with the same bits is out of the question
	for i := range uint64(rounds) {
		var winners atomic.Int32
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if c.AddUint64(i) {
					winners.Add(1)
				}
			})
		}
		wg.Wait()
		if winners.Load() == 0 {
			t.Fatalf("key %d is new to nobody", i)
		}
	}
}

// TestConcurrentHappensBefore checks that a key whose Add returned is present
// for whoever learns of it, while others add, and while snapshots and
// statistics are taken.
func TestConcurrentHappensBefore(t *testing.T) {
	const keys = 5000
	c := NewConcurrent(3*keys, 1e-4, nil)
	ch := make(chan uint64, 16)
	var wg sync.WaitGroup

	for g := range uint64(2) {
		wg.Go(func() {
			for i := range uint64(keys) {
				c.AddUint64(2*i + g)
				ch <- 2*i + g
			}
		})
	}

	wg.Go(func() {
		for range 5 {
			if n := c.Len(); n < 0 {
				t.Errorf("Len = %d while keys are added, want 0 or more", n)
			}
			if rate, fill := c.Rate(), c.FillRatio(); rate > 1 || fill > 1 {
				t.Errorf("Rate, FillRatio = %v, %v while keys are added, want at most 1", rate, fill)
			}
			if err := c.Union(c.Snapshot()); err != nil {
				t.Error(err)
			}
		}
	})

	for n := range 2 * keys {
		v := <-ch
		if !c.HasUint64(v) {
			t.Errorf("HasUint64(%d) = false after it was added, want true", v)
		}
		if n%500 == 0 && !c.Snapshot().HasUint64(v) {
			t.Errorf("HasUint64(%d) of a snapshot = false after it was added, want true", v)
		}
	}

	wg.Wait()
}

// TestLinearizable checks histories of Add and Has against a set. Add
// may say that a key is new when it no longer is, if another goroutine adds it
// at the same time, so only its other answer is checked.
func TestLinearizable(t *testing.T) {
	type op struct {
		add bool
		key uint64
	}

	step := func(set uint64, in op, out bool) (uint64, bool) {
		there := set>>in.key&1 == 1
		if in.add {
			return set | 1<<in.key, out || there
		}
		return set, out == there
	}

	histories := 0

	for start := time.Now(); time.Since(start) < *linearTime; histories++ {
		c, seed := NewConcurrent(16, 1e-9, nil), uint64(histories)
		h := record(3, 8, func(proc, i int) op {
			r := HashUint64(uint64(proc*8+i), seed)
			return op{r&1 == 0, r >> 1 & 3}
		}, func(in op) bool {
			if in.add {
				return c.AddUint64(in.key)
			}
			return c.HasUint64(in.key)
		})
		if !linearizable(uint64(0), h, step) {
			t.Fatalf("history %d is not linearizable: %+v", histories, h)
		}
	}

	t.Logf("%d histories", histories)
}
