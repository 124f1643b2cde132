// SPDX-License-Identifier: MIT

package lru

import (
	"context"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A keyOp is one operation on the key of a history.
type keyOp struct {
	kind byte
	v    int
}

// A keyResult is what it returned.
type keyResult struct {
	v  int
	ok bool
}

// keyOps are the operations of histories: Get, Peek, Set, SetTTL, Delete, Take,
// Swap, GetOrSet, Update that keeps, Update that removes, DeleteTag,
// DeleteFunc, Clear, Load, Refresh.
const keyOps = "ggpsldtwouUTFCLLLR"

// historyKey is the key of all histories. What the same goroutines do with
// others makes room scarce.
const historyKey = 1

func doKeyOp(c *Cache[int, int], in keyOp) (out keyResult) {
	switch in.kind {
	case 'g':
		out.v, out.ok = c.Get(historyKey)
	case 'p':
		out.v, out.ok = c.Peek(historyKey)
	case 's':
		out.ok = c.Set(historyKey, in.v)
	case 'l':
		out.ok = c.SetTTL(historyKey, in.v, time.Hour)
	case 'd':
		out.ok = c.Delete(historyKey)
	case 't':
		out.v, out.ok = c.Take(historyKey)
	case 'w':
		out.v, out.ok = c.Swap(historyKey, in.v)
	case 'o':
		out.v, out.ok = c.GetOrSet(historyKey, in.v)
	case 'u', 'U':
		c.Update(historyKey, func(old int, ok bool) (int, bool) {
			out = keyResult{old, ok}
			return in.v, in.kind == 'u'
		})
	case 'T':
		out.ok = c.DeleteTag("history") > 0
	case 'F':
		out.ok = c.DeleteFunc(func(k, _ int) bool { return k == historyKey }) > 0
	case 'C':
		c.Clear()
	case 'L', 'R':
		out = doLoad(c, in)
	}

	return out
}

// doLoad loads a value that nobody else does. The result is ok if it was
// stored.
func doLoad(c *Cache[int, int], in keyOp) keyResult {
	ctx := context.Background()
	if in.v%3 == 0 { // the loader runs in a goroutine of its own
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
	}

	load := func(context.Context, int) (int, error) {
		runtime.Gosched()
		return loadedBy + in.v, nil
	}
	if in.kind == 'L' {
		e, _ := c.loadEntry(ctx, historyKey, load)
		return keyResult{e.Value, e.Left > 0}
	}

	l := lookup[int, int]{key: historyKey, hash: c.hash(historyKey), load: load, begun: true, inline: c.runsInline(ctx)}
	c.registerReload(&l)
	e, _ := c.attend(ctx, &l)
	return keyResult{e.Value, e.Left > 0}
}

// loadedBy is added to the number of the operation that has loaded a value.
const loadedBy = 1 << 20

// keyStep is the sequential specification of in on a map whose entry, if lossy,
// may vanish at any time.
func keyStep(lossy bool) func(s int, in keyOp, out keyResult) (int, bool) {
	return func(s int, in keyOp, out keyResult) (int, bool) {
		switch in.kind {
		case 's', 'l':
			return in.v, out.ok
		case 'C':
			return 0, true
		case 'L', 'R':
			return loadStep(lossy, s, in, out)
		}

		if in.kind == 'F' && !out.ok {
			return s, true // it passes an entry that changes after it looked, as if it had come before
		}
		if !out.ok && lossy {
			s = 0
		}
		if out.ok != (s != 0) {
			return s, false
		}

		switch in.kind {
		case 'g', 'p':
			return s, out.v == s
		case 'o':
			if out.ok {
				return s, out.v == s
			}
			return in.v, out.v == in.v
		case 't':
			return 0, out.v == s
		case 'w', 'u':
			return in.v, out.v == s
		case 'U':
			return 0, out.v == s
		}

		return 0, true // 'd', 'T', 'F'
	}
}

// loadStep is the specification of Load, which returns what is there, or else
// loads, and of Refresh, which loads. What was loaded is stored, or not, if
// others have come in between.
func loadStep(lossy bool, s int, in keyOp, out keyResult) (int, bool) {
	switch {
	case in.kind == 'R' && out.v != loadedBy+in.v:
		return s, false
	case in.kind == 'L' && out.v == s:
		return s, true
	case in.kind == 'L' && (s != 0 && !lossy || out.v < loadedBy):
		return s, false
	case out.ok:
		return out.v, true
	case in.kind == 'L':
		return 0, true
	}
	return s, true
}

// TestLinearizable records histories of one key under all policies, with room
// for everything, and with so little that entries of all shards are pushed out
// all the time.
func TestLinearizable(t *testing.T) {
	for _, lossy := range []bool{false, true} {
		t.Run("lossy="+strconv.FormatBool(lossy), func(t *testing.T) {
			stop := time.Now().Add(*linearTime)
			for round := 0; round == 0 || time.Now().Before(stop); round++ {
				history(t, round, lossy)
			}
		})
	}
}

func history(t *testing.T, round int, lossy bool) {
	t.Helper()
	capacity := 1000
	if lossy {
		capacity = 5
	}
	c := New(capacity, &Options[int, int]{
		Policy: Policy(round % 5), Shards: 4,
		Cost: func(_, v int) int { return 1 + v%3 },
		Tags: func(k, _ int) []string {
			if k == historyKey {
				return []string{"history"}
			}
			return nil
		},
	})

	seed := uint64(round)
	input := func(p, i int) keyOp {
		rng := rand.New(rand.NewPCG(seed, uint64(p*100+i)))
		kind := keyOps[rng.IntN(len(keyOps))]
		if kind == 'F' && !lossy {
			kind = 'g' // one DeleteFunc may remove a key twice, if it is set again in between
		}
		return keyOp{kind, 1 + p*100 + i}
	}

	h := record(4, 12, input, func(in keyOp) keyResult {
		for k := range 3 {
			c.Set(10+in.v%7+k, in.v)
		}
		if in.v%2 == 0 {
			runtime.Gosched()
		}
		if in.v%3 > 0 {
			c.openBypasses()
		}
		return doKeyOp(c, in)
	})

	if !linearizable(0, h, keyStep(lossy)) {
		t.Fatalf("round %d is not linearizable: %+v", round, h)
	}
	eventually(t, "loads do not end", func() bool { return c.Stats().Loading == 0 })
	c.checkIdle(t)
}

// TestCapacityConcurrent samples the cost while others set, resize and remove:
// it is never above the capacity. Afterwards each value that was ever set is
// there or was reported once, not both.
func TestCapacityConcurrent(t *testing.T) {
	const workers, keys = 6, 300
	each := 20_000
	if raceEnabled || testing.Short() {
		each = 2000
	}
	for p := range PolicyRandom + 1 {
		removed := make([]atomic.Int32, workers*each)
		c := New(100, &Options[int, int]{
			Policy: p, Shards: 4, TTL: time.Millisecond,
			Cost:     func(_, v int) int { return v%5 + v%97/96*40 }, // one in 97 is large
			OnRemove: func(_, v int, _ Cause) { removed[v].Add(1) },
		})
		var done atomic.Bool
		var sampler, wg sync.WaitGroup
		sampler.Go(func() {
			for !done.Load() {
				if n := c.Cost(); n > 150 {
					t.Errorf("%v: cost %d, want at most 150", p, n)
					return
				}
				if n := c.Len(); n > 150 {
					t.Errorf("%v: %d entries, want at most 150", p, n)
					return
				}
			}
		})

		set := make([]bool, workers*each)
		for w := range workers {
			wg.Go(func() {
				rng := rand.New(rand.NewPCG(uint64(w), 7))
				for i := w * each; i < (w+1)*each; i++ {
					set[i] = workload(c, rng, rng.IntN(keys), i)
				}
			})
		}

		wg.Wait()
		done.Store(true)
		sampler.Wait()
		c.checkCost()
		c.Clear()
		for v := range removed {
			want := int32(0)
			if set[v] {
				want = 1
			}
			// What has expired may have gone, and be reported in a moment.
			eventually(t, "a value is not reported", func() bool { return removed[v].Load() >= want })
			if n := removed[v].Load(); n != want {
				t.Fatalf("%v: value %d was reported %d times, want %d", p, v, n, want)
			}
		}
	}
}

// workload does one operation, and reports whether it gave v to the cache.
func workload(c *Cache[int, int], rng *rand.Rand, k, v int) bool {
	switch rng.IntN(12) {
	case 0:
		c.Delete(k)
	case 1:
		c.Get(k)
	case 2:
		if rng.IntN(50) == 0 {
			c.Resize(50 + rng.IntN(100))
		}
	case 3:
		_, loaded := c.GetOrSet(k, v)
		return !loaded
	case 4:
		given := false
		c.Update(k, func(int, bool) (int, bool) {
			given = v%2 == 0
			return v, given
		})
		return given

	case 5:
		c.SetAttr(k, v, Attr{Priority: rng.IntN(3) - 1, Tags: []string{strconv.Itoa(k % 10)}})
		return true
	case 6:
		c.DeleteTag(strconv.Itoa(k % 10))
	case 7:
		c.DeleteFunc(func(_, v int) bool { return v%11 == 0 })
	case 8:
		c.Touch(k, time.Millisecond)
	default:
		c.Set(k, v)
		return true
	}

	return false
}

// TestReclaimConcurrent has large values from all sides fight for all of a
// cache of many shards: they get it one after the other, and nobody waits
// forever or is refused.
func TestReclaimConcurrent(t *testing.T) {
	c := New(64, &Options[int, int]{Shards: 16, Cost: func(_, v int) int { return v }})
	rounds := 2000
	if raceEnabled || testing.Short() {
		rounds = 200
	}
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range rounds {
				if !c.Set(w*1000+i%10, 40+w*8) {
					t.Errorf("a value of %d was refused in a cache of 64", 40+w*8)
					return
				}
				c.Set(w*1000+i, 1)
			}
		})
	}

	wg.Wait()
	c.checkCost()
}

// TestUpdateConcurrent counts in a cache: no increment is lost.
func TestUpdateConcurrent(t *testing.T) {
	c := New(1000, &Options[string, int]{Shards: 4})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				c.Update("n", func(n int, _ bool) (int, bool) { return n + 1, true })
			}
		})
	}
	wg.Wait()
	if n, _ := c.Get("n"); n != 8000 {
		t.Errorf("counted %d, want 8000", n)
	}
}

// keyIn returns a key of shard i that is at least from.
func keyIn(c *Cache[int, int], i, from int) int {
	for k := from; ; k++ {
		if c.shardOf(c.hash(k)) == &c.shards[i] {
			return k
		}
	}
}

// eventually waits until ok, and fails after a while.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for stop := time.Now().Add(10 * time.Second); !ok(); runtime.Gosched() {
		if time.Now().After(stop) {
			t.Fatal(what)
		}
	}
}

// TestReclaimGivesBack has an operation wait for its turn to reclaim: what it
// holds is free meanwhile, and what it knew of its key is old.
func TestReclaimGivesBack(t *testing.T) {
	var clock fakeClock
	c := New(10, &Options[int, int]{Shards: 2, Cost: func(_, v int) int { return v }, Now: clock.now})
	a := keyIn(c, 0, 0)
	b := keyIn(c, 1, 0)
	c.Set(a, 3)
	c.SetTTL(keyIn(c, 0, a+1), 1, time.Second)
	c.Set(b, 6)
	clock.sleep(time.Second)
	c.reclaiming.Lock()
	done := make(chan keyResult)
	go func() { // ends when the turn comes
		v, had := c.Swap(a, 10)
		done <- keyResult{v, had}
	}()
	eventually(t, "the capacity of the expired entry is not free", func() bool { return c.free.Load() == 1 })
	eventually(t, "the key cannot be deleted", func() bool { return c.Delete(a) })
	c.reclaiming.Unlock()
	if r := <-done; r != (keyResult{}) {
		t.Errorf("Swap returned %d, %v of a key that had gone", r.v, r.ok)
	}
	v, _ := c.Get(a)
	checkAnswers(t, answer{"Get", v, 10}, answer{"Len", c.Len(), 1})

	c.checkCost()
}

// TestReclaimLooksAgain has others hold what a Set needs: it finds nothing to
// evict, and does not refuse, since there will be room.
func TestReclaimLooksAgain(t *testing.T) {
	c := New(10, &Options[int, int]{Shards: 2})
	c.takeCapacity(10)
	done := make(chan bool)
	go func() { done <- c.Set(1, 1) }() // ends when there is room
	for range 1000 {
		select {
		case ok := <-done:
			t.Fatalf("Set returned %v while there was no room", ok)
		default:
			runtime.Gosched()
		}
	}

	c.free.Add(10)
	if !<-done {
		t.Error("Set refused")
	}
	c.checkCost()
}
