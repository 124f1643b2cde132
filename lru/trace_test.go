// SPDX-License-Identifier: MIT

package lru

import (
	"bufio"
	"compress/gzip"
	"container/heap"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

var (
	tracesDir = flag.String("traces", os.Getenv("ASHLAR_TRACES"), "directory of traces (*.gz) for tests of hit ratios")
	hitTable  = flag.Bool("hits", false, "print hits by policy, trace and size")
)

// readTrace returns the keys of a trace: blocks by number, one a line, or the
// ranges of the ARC format, "first count ignored request".
func readTrace(name string) ([]uint64, error) {
	f, err := os.Open(filepath.Join(*tracesDir, name+".gz"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}

	var keys []uint64
	for lines := bufio.NewScanner(z); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 {
			continue
		}
		first, err := strconv.ParseUint(fields[0], 10, 64)
		if err != nil {
			continue // "*" ends some of the LIRS traces
		}

		count := uint64(1)
		if len(fields) > 1 {
			if count, err = strconv.ParseUint(fields[1], 10, 64); err != nil {
				return nil, err
			}
		}

		for i := range count {
			keys = append(keys, first+i)
		}
	}

	return keys, nil
}

// loadTrace returns the keys of a trace or a generated workload, or skips the
// test.
func loadTrace(t testing.TB, name string) []uint64 {
	t.Helper()
	if keys := generate(name); keys != nil {
		return keys
	}
	if *tracesDir == "" {
		t.Skip("no traces: set ASHLAR_TRACES or -traces")
	}
	keys, err := readTrace(name)
	if err != nil {
		t.Skip(err)
	}
	return keys
}

// generated holds what generate has made: tests share it, and only read it.
var generated sync.Map

// generate returns the keys of a seeded workload, or nil if name is not one of
// them.
func generate(name string) []uint64 {
	if keys, ok := generated.Load(name); ok {
		return keys.([]uint64)
	}
	keys := makeKeys(name)
	generated.Store(name, keys)
	return keys
}

func makeKeys(name string) (keys []uint64) {
	rng := rand.New(rand.NewPCG(1, 2))
	switch name {
	case "zipf0.8", "zipf1.0", "zipf1.2":
		s, _ := strconv.ParseFloat(name[4:], 64)
		next := zipf(rng, s, 20_000)
		for range 200_000 {
			keys = append(keys, next())
		}

	case "loop":
		for i := range 100_000 {
			keys = append(keys, uint64(i%1100))
		}
	case "scan": // popular keys, and every tenth is one that never comes back
		next := zipf(rng, 1, 5000)
		for i := range 200_000 {
			keys = append(keys, next())
			if i%2 == 0 {
				keys = append(keys, uint64(1_000_000+i))
			}
		}

	case "phase": // other keys are popular in each phase, and between them there is a loop
		for phase := range 5 {
			next := zipf(rng, 1, 5000)
			for range 20_000 {
				keys = append(keys, next()+uint64(phase)*100_000)
			}
			for i := range 10_000 {
				keys = append(keys, 10_000_000+uint64(i%2000))
			}
		}
	}

	return keys
}

// zipf returns a generator of numbers below n of which i has a probability
// proportional to (i+1)^-s.
func zipf(rng *rand.Rand, s float64, n int) func() uint64 {
	sums, sum := make([]float64, n), 0.0
	for i := range sums {
		sum += math.Pow(float64(i+1), -s)
		sums[i] = sum
	}
	return func() uint64 {
		i, _ := slices.BinarySearch(sums, rng.Float64()*sum)
		return uint64(min(i, n-1))
	}
}

// fixedCache returns a cache of one shard whose decisions are the same in every
// run.
func fixedCache(capacity int, p Policy) *Cache[uint64, struct{}] {
	c := New(capacity, &Options[uint64, struct{}]{Policy: p, Shards: 1, Hash: func(k uint64) uint64 { return k }})
	c.salt = 0x9e3779b97f4a7c15
	c.shards[0].rng = 1
	return c
}

// replay returns the hits of get-or-set with the keys of a trace.
func replay(c *Cache[uint64, struct{}], keys []uint64) (hits int) {
	for _, k := range keys {
		if _, ok := c.Get(k); ok {
			hits++
		} else {
			c.Set(k, struct{}{})
		}
	}
	return hits
}

// replayExact is replay for an exact type.
func replayExact(c *Exact[uint64, struct{}], keys []uint64) (hits int) {
	for _, k := range keys {
		if _, ok := c.Get(k); ok {
			hits++
		} else {
			c.Set(k, struct{}{})
		}
	}
	return hits
}

// optimal returns the hits of a cache that knows the future, and need not store
// what it is given (Belady 1966, with bypass): it drops what is used again
// last.
func optimal(keys []uint64, capacity int) (hits int) {
	next, last := make([]int, len(keys)), map[uint64]int{}
	for i := len(keys) - 1; i >= 0; i-- {
		next[i] = len(keys) + i
		if j, ok := last[keys[i]]; ok {
			next[i] = j
		}
		last[keys[i]] = i
	}

	held := map[uint64]int{} // when each key is used next
	var h farthest
	for i, k := range keys {
		if _, ok := held[k]; ok {
			hits++
		}
		held[k] = next[i]
		heap.Push(&h, Pair[uint64, int]{k, next[i]})
		for len(held) > capacity {
			p := heap.Pop(&h).(Pair[uint64, int])
			if held[p.Key] == p.Value {
				delete(held, p.Key)
			}
		}
	}

	return hits
}

// farthest is a heap of keys by when they are used next, the last first.
// Outdated pairs remain in it.
type farthest []Pair[uint64, int]

func (h farthest) Len() int           { return len(h) }
func (h farthest) Less(i, j int) bool { return h[i].Value > h[j].Value }
func (h farthest) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *farthest) Push(x any)        { *h = append(*h, x.(Pair[uint64, int])) }
func (h *farthest) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

// TestHitTable prints hits by policy, trace and size, for other implementations
// to be compared with:
//
//	go test ./lru -run TestHitTable -hits -traces DIR -v
//
// Sizes are 1, 5, 10 and 25 % of the distinct keys.
func TestHitTable(t *testing.T) {
	if !*hitTable {
		t.Skip("prints a table: run with -hits")
	}
	names := []string{"zipf0.8", "zipf1.0", "zipf1.2", "loop", "scan", "phase"}
	files, _ := filepath.Glob(filepath.Join(*tracesDir, "*.gz"))
	for _, f := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(f), ".gz"))
	}

	fmt.Printf("%-12s %8s %8s %8s %8s %8s %8s %8s %8s\n", "trace", "requests", "size", "TinyLFU", "LRU", "LFU", "FIFO", "Random", "OPT")
	for _, name := range names {
		keys := loadTrace(t, name)
		distinct := map[uint64]bool{}
		for _, k := range keys {
			distinct[k] = true
		}

		for _, percent := range []int{1, 5, 10, 25} {
			size := max(len(distinct)*percent/100, 1)
			fmt.Printf("%-12s %8d %8d", name, len(keys), size)
			for p := range PolicyRandom + 1 {
				fmt.Printf(" %8d", replay(fixedCache(size, p), keys))
			}
			fmt.Printf(" %8d\n", optimal(keys, size))
		}
	}
}
