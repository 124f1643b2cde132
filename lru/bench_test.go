// SPDX-License-Identifier: MIT

package lru

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// benchKeys are a power of two of keys below n, most of them small.
func benchKeys(n int) []uint64 {
	next := zipf(rand.New(rand.NewPCG(1, 2)), 0.99, n)
	keys := make([]uint64, 1<<16)
	for i := range keys {
		keys[i] = next()
	}
	return keys
}

// benchmarkBoth runs f, which is told a running number, in one goroutine and in
// as many as there are processors.
func benchmarkBoth(b *testing.B, name string, f func(i int)) {
	b.Run(name, func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			f(i)
		}
	})

	b.Run(name+"/parallel", func(b *testing.B) {
		b.ReportAllocs()
		var worker atomic.Int64
		b.RunParallel(func(pb *testing.PB) {
			for i := int(worker.Add(1)) * 7919; pb.Next(); i++ {
				f(i)
			}
		})
	})
}

func BenchmarkExact(b *testing.B) {
	for _, kind := range []byte("lfq") {
		name := map[byte]string{'l': "LRU", 'f': "LFU", 'q': "FIFO"}[kind]
		for _, n := range []int{8 << 10, 1 << 20} {
			keys := benchKeys(n)
			c := newExactOf[uint64, uint64](kind, n)
			for i := range uint64(n) {
				c.Set(i, i)
			}

			b.Run(fmt.Sprintf("type=%s/op=Get/n=%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					c.Get(keys[i%len(keys)])
				}
			})

			b.Run(fmt.Sprintf("type=%s/op=SetEvict/n=%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for i := uint64(n); b.Loop(); i++ {
					c.Set(i, i)
				}
			})
		}
	}
}

func BenchmarkCache(b *testing.B) {
	for _, n := range []int{8 << 10, 1 << 20} {
		keys := benchKeys(n)
		for name, o := range map[string]Options[uint64, uint64]{
			"TinyLFU": {}, "LRU": {Policy: PolicyLRU}, "TTL": {TTL: time.Hour},
		} {
			c := New(n, &o)
			for i := range uint64(n) {
				c.Set(i, i)
			}
			axes := fmt.Sprintf("policy=%s/n=%d/", name, n)
			benchmarkBoth(b, axes+"op=Get", func(i int) { c.Get(keys[i%len(keys)]) })
			benchmarkBoth(b, axes+"op=Set", func(i int) { c.Set(keys[i%len(keys)], 1) })
			benchmarkBoth(b, axes+"op=SetEvict", func(i int) { c.Set(uint64(n+i), 1) })
		}
	}
}

func BenchmarkCacheString(b *testing.B) {
	keys := make([]string, 8<<10)
	c := New[string, int](len(keys), nil)
	for i := range keys {
		keys[i] = "user:" + strconv.Itoa(1e9+i)
		c.Set(keys[i], i)
	}
	benchmarkBoth(b, "op=Get", func(i int) { c.Get(keys[i%len(keys)]) })
}

func BenchmarkDeleteTag(b *testing.B) {
	c := New(100_000, &Options[int, int]{Tags: func(k, _ int) []string { return []string{strconv.Itoa(k % 100)} }})
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		for k := i % 100; k < 100_000; k += 100 {
			c.Set(k, k)
		}
		b.StartTimer()
		c.DeleteTag(strconv.Itoa(i % 100))
	}
}

func BenchmarkHottest(b *testing.B) {
	c := New[int, int](100_000, nil)
	for i := range 100_000 {
		c.Set(i, i)
	}
	for b.Loop() {
		for range c.Hottest() {
			break
		}
	}
}

// BenchmarkLoad loads what is there, what is not, in the goroutine of the
// caller and in one of its own, and one key by 64 callers.
func BenchmarkLoad(b *testing.B) {
	load := func(_ context.Context, key int) (int, error) { return key, nil }
	c := New(1024, &Options[int, int]{Load: load})
	next := 1
	for name, ctx := range map[string]context.Context{"inline": context.Background(), "goroutine": b.Context()} {
		b.Run("op=Load/hit=0/run="+name, func(b *testing.B) {
			b.ReportAllocs()
			for ; b.Loop(); next++ {
				_, _ = c.Load(ctx, next)
			}
		})
	}

	b.Run("op=Load/hit=100", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = c.Load(b.Context(), 1)
		}
	})

	b.Run("op=Load/storm=64", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c.Delete(1)
			var wg sync.WaitGroup
			for range 64 {
				wg.Go(func() { _, _ = c.Load(b.Context(), 1) })
			}
			wg.Wait()
		}
	})
}
