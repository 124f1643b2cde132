// SPDX-License-Identifier: MIT

package skiplist

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// probes is the number of keys that a benchmark asks for, so many that a
// processor does not learn them.
const probes = 1 << 20

// asked returns keys of list at random.
func asked[K any](list []K) []K {
	rng := rand.New(rand.NewPCG(1, 2))
	keys := make([]K, probes)
	for i := range keys {
		keys[i] = list[rng.IntN(len(list))]
	}
	return keys
}

// numbersAtRandom and textsAtRandom return n keys.
func numbersAtRandom(n int) []int64 {
	rng := rand.New(rand.NewPCG(1, 2))
	keys := make([]int64, n)
	for i := range keys {
		keys[i] = rng.Int64()
	}
	return keys
}

func textsAtRandom(n int) []string {
	keys := make([]string, n)
	for i, x := range numbersAtRandom(n) {
		keys[i] = fmt.Sprintf("user:%016x", x)
	}
	return keys
}

func BenchmarkGet(b *testing.B) {
	for _, n := range []int{1e3, 1e5, 1e6} {
		b.Run(fmt.Sprintf("keys=int/n=%.0e", float64(n)), func(b *testing.B) { benchmarkGet(b, numbersAtRandom(n)) })
		b.Run(fmt.Sprintf("keys=string/n=%.0e", float64(n)), func(b *testing.B) { benchmarkGet(b, textsAtRandom(n)) })
	}
}

func benchmarkGet[K int64 | string](b *testing.B, list []K) {
	m := NewMap[K, int]()
	for i, key := range list {
		m.Set(key, i)
	}
	keys := asked(list)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		m.Get(keys[i&(probes-1)])
		i++
	}
}

func BenchmarkSet(b *testing.B) {
	for _, n := range []int{1e3, 1e6} {
		b.Run(fmt.Sprintf("order=random/n=%.0e", float64(n)), func(b *testing.B) {
			keys := numbersAtRandom(n)
			m := NewMap[int64, int]()
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if i == n {
					m = NewMap[int64, int]()
					i = 0
				}
				m.Set(keys[i], i)
				i++
			}
		})
	}

	b.Run("order=ascending", func(b *testing.B) {
		m := NewMap[int, int]()
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			m.Set(i, i)
			i++
		}
	})
}

func BenchmarkAll(b *testing.B) {
	for _, n := range []int{1e3, 1e6} {
		b.Run(fmt.Sprintf("n=%.0e", float64(n)), func(b *testing.B) {
			m := NewMap[int64, int]()
			for i, key := range numbersAtRandom(n) {
				m.Set(key, i)
			}
			sum := 0
			for b.Loop() {
				for _, value := range m.All() {
					sum += value
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/entry")
		})
	}
}

func BenchmarkSortedSet(b *testing.B) {
	s := NewSortedSet[int64, float64]()
	list := numbersAtRandom(1e5)
	for i, member := range list {
		s.Set(member, float64(i))
	}
	members := asked(list)
	i := 0
	for b.Loop() {
		Incr(s, members[i&(probes-1)], 1)
		i++
	}
}

// shared returns a ConcurrentMap of n random keys, and keys to ask for.
func shared(n int) (m *ConcurrentMap[int64, int], keys []int64) {
	m = NewConcurrentMap[int64, int]()
	list := numbersAtRandom(n)
	for i, key := range list {
		m.Store(key, i)
	}
	return m, asked(list)
}

func BenchmarkConcurrent(b *testing.B) {
	ops := map[string]func(m *ConcurrentMap[int64, int], key int64, i int){
		"Load":         func(m *ConcurrentMap[int64, int], key int64, _ int) { m.Load(key) },
		"Floor":        func(m *ConcurrentMap[int64, int], key int64, _ int) { m.Floor(key + 1) },
		"Store":        func(m *ConcurrentMap[int64, int], key int64, i int) { m.Store(key, i) },
		"Store+Delete": func(m *ConcurrentMap[int64, int], key int64, i int) { m.Delete(key); m.Store(key, i) },
		"PopMin+Store": func(m *ConcurrentMap[int64, int], key int64, _ int) {
			first, value, _ := m.PopMin()
			m.Store(first+key>>20&(1<<40-1)+1, value)
		},
		"Scan100": func(m *ConcurrentMap[int64, int], key int64, _ int) {
			n := 0
			for range m.From(key).All() {
				if n++; n == 100 {
					break
				}
			}
		},
	}

	for name, op := range ops {
		for _, n := range []int{1e3, 1e6} {
			b.Run(fmt.Sprintf("op=%s/n=%.0e", name, float64(n)), func(b *testing.B) {
				m, keys := shared(n)
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					op(m, keys[i&(probes-1)], i)
					i++
				}
			})
		}
	}
}
