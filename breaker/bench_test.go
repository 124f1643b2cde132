// SPDX-License-Identifier: MIT

package breaker

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"
)

// benchmarkBoth runs f from one goroutine, and from all processors.
func benchmarkBoth(b *testing.B, name string, f func()) {
	b.Run(name, func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			f()
		}
	})
	b.Run(name+"/parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				f()
			}
		})
	})
}

// benchmarkBreakers are closed breakers by the rule that they keep.
func benchmarkBreakers() map[string]*Breaker {
	return map[string]*Breaker{
		"row":   New(&Options{Failures: 1 << 30}),
		"time":  New(&Options{FailureRatio: 1}),
		"slow":  New(&Options{FailureRatio: 1, SlowRatio: 1, SlowCall: time.Hour}),
		"calls": New(&Options{FailureRatio: 1, WindowCalls: 100}),
	}
}

func BenchmarkDo(b *testing.B) {
	ctx := context.Background()
	good := func(context.Context) error { return nil }
	for _, rule := range []string{"row", "time", "slow", "calls"} {
		br := benchmarkBreakers()[rule]
		benchmarkBoth(b, "rule="+rule, func() { _ = br.Do(ctx, good) })
	}
}

// BenchmarkDoFailing has one call in a hundred fail.
func BenchmarkDoFailing(b *testing.B) {
	ctx := context.Background()
	for _, rule := range []string{"row", "time", "calls"} {
		br, i := benchmarkBreakers()[rule], 0
		b.Run("rule="+rule, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = br.Do(ctx, func(context.Context) error {
					if i++; i%100 == 0 {
						return errBad
					}
					return nil
				})
			}
		})
	}
}

func BenchmarkAllowSuccess(b *testing.B) {
	for _, rule := range []string{"row", "time", "calls"} {
		br := benchmarkBreakers()[rule]
		benchmarkBoth(b, "rule="+rule, func() {
			p, _ := br.Allow()
			p.Success()
		})
	}
}

func BenchmarkReject(b *testing.B) {
	open := New(nil)
	open.Trip(24*time.Hour, errBad)
	benchmarkBoth(b, "state=open", func() { _, _ = open.Allow() })
	half := New(&Options{OpenFor: 1, ProbeTimeout: -1})
	half.Trip(0, nil)
	for half.State() != HalfOpen {
		runtime.Gosched()
	}
	_, _ = half.Allow()
	benchmarkBoth(b, "state=half-open", func() { _, _ = half.Allow() })
}

func BenchmarkStats(b *testing.B) {
	br := New(&Options{FailureRatio: 1})
	b.ReportAllocs()
	for b.Loop() {
		br.Stats()
	}
}

func BenchmarkGroupGet(b *testing.B) {
	const n = 10_000
	g, keys := NewGroup[string](nil), make([]string, 1<<14)
	for i := range keys {
		keys[i] = fmt.Sprintf("host-%d", i%n)
		g.Get(keys[i])
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		g.Get(keys[i&(len(keys)-1)])
		i++
	}
}

func BenchmarkThrottle(b *testing.B) {
	healthy := NewThrottle(nil)
	benchmarkBoth(b, "outcome=accepted", func() {
		if healthy.Allow() {
			healthy.Accept()
		}
	})
	refused := NewThrottle(nil)
	benchmarkBoth(b, "outcome=rejected", func() { refused.Allow() })
}

// BenchmarkMemory reports the bytes that a breaker takes.
func BenchmarkMemory(b *testing.B) {
	for name, o := range map[string]*Options{
		"row": nil, "time": {FailureRatio: 0.5}, "calls": {FailureRatio: 0.5, WindowCalls: 100},
	} {
		b.Run("rule="+name, func(b *testing.B) {
			all := make([]*Breaker, 10_000)
			for b.Loop() {
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				for i := range all {
					all[i] = New(o)
				}
				runtime.GC()
				runtime.ReadMemStats(&after)
				b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(len(all)), "B/breaker")
				clear(all)
			}
		})
	}
}
