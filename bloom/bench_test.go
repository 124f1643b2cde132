// SPDX-License-Identifier: MIT

package bloom

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// benchHashes returns a power of two of hashes: of keys below n that are
// present, of keys above that are absent, or of both by turns.
func benchHashes(n int, outcome string) []uint64 {
	hs := make([]uint64, 1<<16)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range hs {
		v := rng.Uint64N(uint64(n))
		if outcome == "absent" || outcome == "mixed" && rng.Uint64()&1 == 0 {
			v += uint64(n)
		}
		hs[i] = HashUint64(v, 0)
	}
	return hs
}

// full returns a filter that holds the keys below n.
func full(n int, p float64) *Filter {
	f := New(n, p, nil)
	for i := range uint64(n) {
		f.AddUint64(i)
	}
	return f
}

func BenchmarkHas(b *testing.B) {
	for _, n := range []int{1e5, 1e6} {
		for _, p := range []float64{1e-2, 1e-6} {
			f := full(n, p)
			for _, outcome := range []string{"absent", "present", "mixed"} {
				hs := benchHashes(n, outcome)
				name := fmt.Sprintf("keys=hash/n=%d/p=%g/outcome=%s", n, p, outcome)
				b.Run(name, func(b *testing.B) {
					i := 0
					for b.Loop() {
						f.HasHash(hs[i&(len(hs)-1)])
						i++
					}
				})
				b.Run(name+"/batch", func(b *testing.B) {
					dst, i := make([]bool, 0, 1024), 0
					for b.Loop() {
						f.HasHashes(dst, hs[i&(len(hs)-1):][:1024])
						i += 1024
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1024, "ns/key")
				})
			}
		}
	}
}

func BenchmarkHasString(b *testing.B) {
	f := New(1e5, 0.01, nil)
	b.ReportAllocs()
	for b.Loop() {
		f.HasString("sixteen bytes of")
	}
}

func BenchmarkAdd(b *testing.B) {
	for _, p := range []float64{1e-2, 1e-6} {
		hs := benchHashes(1e6, "present")
		b.Run(fmt.Sprintf("keys=hash/n=1000000/p=%g", p), func(b *testing.B) {
			f, i := New(1e6, p, nil), 0
			for b.Loop() {
				f.AddHash(hs[i&(len(hs)-1)])
				i++
			}
		})
		b.Run(fmt.Sprintf("keys=hash/n=1000000/p=%g/batch", p), func(b *testing.B) {
			f, i := New(1e6, p, nil), 0
			for b.Loop() {
				f.AddHashes(hs[i&(len(hs)-1):][:1024])
				i += 1024
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1024, "ns/key")
		})
	}
}

func BenchmarkConcurrentAdd(b *testing.B) {
	hs := benchHashes(1e6, "present")
	c := NewConcurrent(1e6, 0.01, nil)
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			c.AddHash(hs[i&(len(hs)-1)])
		}
	})
}

func BenchmarkOthers(b *testing.B) {
	hs := benchHashes(1e5, "mixed")
	count, grow, split := NewCounting(1e5, 0.01, nil), NewScalable(1e3, 0.01, nil), NewSplitBlock(1e5, 0.01, nil)
	win := NewWindow(1e5, 0.01, time.Minute, nil)
	for _, bm := range []struct {
		name string
		do   func(h uint64)
	}{
		{"Counting.Add+Remove", func(h uint64) { count.AddHash(h); count.RemoveHash(h) }},
		{"Counting.Has", func(h uint64) { count.HasHash(h) }},
		{"Scalable.Add", func(h uint64) { grow.AddHash(h) }},
		{"Scalable.Has", func(h uint64) { grow.HasHash(h) }},
		{"SplitBlock.Add", func(h uint64) { split.AddHash(h) }},
		{"SplitBlock.Has", func(h uint64) { split.HasHash(h) }},
		{"Window.Seen", func(h uint64) { win.SeenHash(h) }},
	} {
		b.Run("op="+bm.name, func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				bm.do(hs[i&(len(hs)-1)])
				i++
			}
		})
	}
}

// BenchmarkRate is what it costs to scrape a large filter, and a small one.
func BenchmarkRate(b *testing.B) {
	for _, n := range []int{1e4, 1e7} {
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			f := New(n, 0.01, nil)
			for b.Loop() {
				f.Rate()
			}
		})
	}
}

// BenchmarkNew shows what the exact size costs.
func BenchmarkNew(b *testing.B) {
	for _, p := range []float64{1e-1, 1e-6} {
		b.Run(fmt.Sprintf("n=1000/p=%g", p), func(b *testing.B) {
			for b.Loop() {
				New(1000, p, nil)
			}
		})
	}
}

func BenchmarkMarshal(b *testing.B) {
	f := full(1e6, 0.01)
	data, err := f.MarshalBinary()
	if err != nil {
		b.Fatal(err)
	}
	b.Run("op=AppendBinary", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			_, _ = f.AppendBinary(data[:0])
		}
	})
	b.Run("op=UnmarshalBinary", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			_ = new(Filter).UnmarshalBinary(data)
		}
	})
	b.Run("op=View", func(b *testing.B) {
		for b.Loop() {
			_, _ = View(data)
		}
	})
}
