// SPDX-License-Identifier: MIT

package ratelimit

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"testing"
	"time"
)

func BenchmarkAllow(b *testing.B) {
	for _, bm := range []struct {
		name string
		lim  *Limiter
	}{
		{"granted", New(PerSecond(1e9), mostBurst, nil)},
		{"denied", New(Rate{}, 1, nil)},
		{"inf", New(Inf, 1, nil)},
	} {
		bm.lim.Allow()
		b.Run("outcome="+bm.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				bm.lim.Allow()
			}
		})
		b.Run("outcome="+bm.name+"/parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					bm.lim.Allow()
				}
			})
		})
	}
}

func BenchmarkStriped(b *testing.B) {
	lim := NewStriped(PerSecond(1e9), mostBurst, nil)
	b.Run("goroutines=1", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			lim.Allow()
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				lim.Allow()
			}
		})
	})
}

func BenchmarkWindow(b *testing.B) {
	for name, w := range map[string]*Window{
		"log":     NewSlidingLog(1000, time.Millisecond, nil),
		"sliding": NewSlidingWindow(1000, time.Millisecond, 10, nil),
		"fixed":   NewFixedWindow(1000, time.Millisecond, nil),
	} {
		b.Run("kind="+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w.Allow()
			}
		})
	}
}

func BenchmarkConcurrency(b *testing.B) {
	for name, c := range map[string]*Concurrency{
		"fixed":     NewConcurrency(1000, nil),
		"gradient2": NewConcurrency(1000, &ConcurrencyOptions{Adapt: &Gradient2{}}),
	} {
		b.Run("limit="+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p, _ := c.TryAcquire()
				p.Release()
			}
		})
		b.Run("limit="+name+"/parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					p, _ := c.TryAcquire()
					p.Release()
				}
			})
		})
	}

	b.Run("waiters=1000", func(b *testing.B) {
		c, ctx := NewConcurrency(1, nil), context.Background()
		b.ReportAllocs()
		b.SetParallelism(1000 / runtime.GOMAXPROCS(0))
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				p, _ := c.Acquire(ctx)
				p.Release()
			}
		})
	})
}

func BenchmarkKeyedWindow(b *testing.B) {
	for name, w := range map[string]*KeyedWindow[int]{
		"log":     NewKeyedSlidingLog[int](100, time.Millisecond, nil),
		"sliding": NewKeyedSlidingWindow[int](100, time.Millisecond, 6, nil),
		"quota":   NewKeyedQuota[int](100, Daily(nil), nil),
	} {
		b.Run("kind="+name+"/n=65536", func(b *testing.B) {
			order := workload(1<<16, "uniform")
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				w.Allow(order[i&(len(order)-1)])
				i++
			}
		})
	}
}

func BenchmarkShared(b *testing.B) {
	s, ctx := NewShared(NewMemStore(nil), []Limit{{PerSecond(1000), 1000}}, nil), context.Background()
	b.ReportAllocs()
	for b.Loop() {
		_, _ = s.Take(ctx, "key", 1)
	}
}

// BenchmarkClock is the floor of everything that reads the clock.
func BenchmarkClock(b *testing.B) {
	base := time.Now()
	for b.Loop() {
		_ = time.Since(base)
	}
}

func BenchmarkTake(b *testing.B) {
	lim := New(PerSecond(1e9), mostBurst, nil)
	b.ReportAllocs()
	for b.Loop() {
		lim.Take(1)
	}
}

func BenchmarkReserveCancel(b *testing.B) {
	lim := New(PerSecond(1), 1, nil)
	lim.Allow()
	b.ReportAllocs()
	for b.Loop() {
		r := lim.Reserve(1)
		r.Cancel()
	}
}

func BenchmarkWait(b *testing.B) {
	b.Run("waiters=0", func(b *testing.B) {
		lim, ctx := New(PerSecond(1e9), mostBurst, nil), context.Background()
		b.ReportAllocs()
		for b.Loop() {
			_ = lim.Wait(ctx, 1)
		}
	})
	b.Run("waiters=1000", func(b *testing.B) {
		lim, ctx := New(PerSecond(1e6), 1, nil), context.Background()
		b.ReportAllocs()
		b.SetParallelism(1000 / runtime.GOMAXPROCS(0))
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				_ = lim.Wait(ctx, 1)
			}
		})
	})
}

func BenchmarkStep(b *testing.B) {
	l, s, now := Limit{PerSecond(1000), 1000}, State{}, int64(0)
	b.ReportAllocs()
	for b.Loop() {
		now += 1e6
		s, _ = l.Step(s, now, 1)
	}
}

func BenchmarkKeyed(b *testing.B) {
	for _, n := range []int{1 << 10, 1 << 16, 1 << 20} {
		for _, dist := range []string{"uniform", "zipf0.99", "new"} {
			b.Run(fmt.Sprintf("keys=string/n=%d/dist=%s", n, dist), func(b *testing.B) {
				k := NewKeyed[string]([]Limit{{PerHour(1), 1000}}, &KeyedOptions{MaxKeys: n + n/4})
				names := make([]string, n)
				for i := range names {
					names[i] = "client-" + strconv.Itoa(i)
				}
				order := workload(n, dist)
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					k.Allow(names[order[i&(len(order)-1)]])
					i++
				}
			})
		}
	}
}

// workload returns a power of two of indices below n.
func workload(n int, dist string) []int {
	order := make([]int, 1<<20)
	rng := rand.New(rand.NewPCG(1, 2))
	zipf := rand.NewZipf(rng, 1.01, 1, uint64(n-1))
	for i := range order {
		switch dist {
		case "uniform":
			order[i] = rng.IntN(n)
		case "new":
			order[i] = i % n
		default:
			order[i] = int(zipf.Uint64())
		}
	}
	return order
}

// BenchmarkKeyedMemory reports the bytes that a key takes in a table filled to
// nine tenths.
func BenchmarkKeyedMemory(b *testing.B) {
	for _, tiers := range []int{1, 2} {
		b.Run(fmt.Sprintf("keys=uint64/n=1e6/tiers=%d", tiers), func(b *testing.B) {
			limits := []Limit{{PerHour(1), 1000}, {PerHour(1), 1000}}[:tiers]
			for b.Loop() {
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				k := NewKeyed[uint64](limits, &KeyedOptions{MaxKeys: 1_000_000 * 10 / 9})
				for i := range uint64(1_000_000) {
					k.Allow(i)
				}
				runtime.GC()
				runtime.ReadMemStats(&after)
				b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(k.Len()), "B/key")
				runtime.KeepAlive(k)
			}
		})
	}
}
