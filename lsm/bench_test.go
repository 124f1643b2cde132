// SPDX-License-Identifier: MIT

package lsm

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkCommit commits 116 bytes at a time on the disk of the machine.
// floor-ns is the time of a write and a sync of a small piece of an allocated
// file: n writers cannot be faster than floor/n a commit.
func BenchmarkCommit(b *testing.B) {
	floor := syncFloor(b)
	for d := range Async + 1 {
		for _, writers := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("durability=%v/writers=%d", d, writers), func(b *testing.B) {
				db, err := Open(filepath.Join(b.TempDir(), "db"), &Options{Durability: d, Memory: maxMemory})
				if err != nil {
					b.Fatal(err)
				}
				defer closeDB(b, db)
				value := make([]byte, 100)
				var next atomic.Int64
				var wg sync.WaitGroup
				b.ReportAllocs()
				b.ResetTimer()
				for range writers {
					wg.Go(func() {
						var key [16]byte
						for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
							binary.BigEndian.PutUint64(key[:], uint64(i)*0x9e3779b97f4a7c15)
							if err := db.Set(key[:], value); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
				b.StopTimer()

				m := db.Stats()
				b.ReportMetric(float64(floor.Nanoseconds()), "floor-ns")
				b.ReportMetric(float64(m.Commits)/float64(max(m.Groups, 1)), "commits/write")
			})
		}
	}
}

// syncFloor measures the median time of a small write and a sync.
func syncFloor(b *testing.B) time.Duration {
	b.Helper()
	l, err := createLog(OSFS{}, b.TempDir(), fileHeader{no: 1}, 1<<20)
	if err != nil {
		b.Fatal(err)
	}

	defer func() { _ = l.f.Close() }() // the file goes with its directory
	var times []time.Duration

	for range 50 {
		start := time.Now()
		if err := l.append(make([]byte, 200), recordHead{}); err != nil {
			b.Fatal(err)
		}
		if err := l.sync(); err != nil {
			b.Fatal(err)
		}
		times = append(times, time.Since(start))
	}

	for i := range times { // the median, by selection
		for j := i + 1; j < len(times); j++ {
			if times[j] < times[i] {
				times[i], times[j] = times[j], times[i]
			}
		}
	}

	return times[len(times)/2]
}

// benchKeys returns keys of a shape, for i < n.
var benchKeys = map[string]func(i uint64) []byte{
	"random16": func(i uint64) []byte {
		return binary.BigEndian.AppendUint64(make([]byte, 8), i*0x9e3779b97f4a7c15)
	},
	"ascending16": func(i uint64) []byte { return binary.BigEndian.AppendUint64(make([]byte, 8), i) },
	"prefix24":    func(i uint64) []byte { return fmt.Appendf(nil, "https://example.org/%08d", i*2654435761%1e8) },
}

func BenchmarkMemtable(b *testing.B) {
	for _, shape := range []string{"random16", "ascending16", "prefix24"} {
		const n = 200_000
		keys := make([][]byte, n)
		for i := range keys {
			keys[i] = benchKeys[shape](uint64(i))
		}

		value := make([]byte, 100)
		fill := func() *memtable {
			m := newMemtable()
			for i, k := range keys {
				m.insert(k, value, uint64(i)+1, kindSet)
			}
			return m
		}

		b.Run("op=insert/keys="+shape, func(b *testing.B) {
			var m *memtable
			for b.Loop() {
				m = fill()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/insert")
			b.ReportMetric(float64(m.bytes())/n-float64(len(keys[0])+100), "B/entry")
		})

		b.Run("op=get/keys="+shape, func(b *testing.B) {
			m, rng := fill(), rand.New(rand.NewPCG(1, 2))
			order := rng.Perm(n)
			i := 0
			for b.Loop() {
				m.get(keys[order[i%n]], n)
				i++
			}
		})
	}
}

func BenchmarkGet(b *testing.B) {
	db := memDB(b, Options{Durability: Async})
	const n = 100_000
	var batch Batch
	for i := range uint64(n) {
		batch.Set(benchKeys["random16"](i), make([]byte, 100))
	}
	if err := db.Apply(context.Background(), &batch); err != nil {
		b.Fatal(err)
	}

	rng := rand.New(rand.NewPCG(1, 2))
	keys := make([][]byte, 1<<12)

	for i := range keys {
		keys[i] = benchKeys["random16"](rng.Uint64N(n))
	}

	b.Run("op=appendget", func(b *testing.B) {
		b.ReportAllocs()
		var dst []byte
		i := 0
		for b.Loop() {
			dst, _ = db.AppendGet(dst[:0], keys[i&(len(keys)-1)])
			i++
		}
	})

	b.Run("op=appendget/parallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			var dst []byte
			for i := 0; pb.Next(); i++ {
				dst, _ = db.AppendGet(dst[:0], keys[i&(len(keys)-1)])
			}
		})
	})
}

// BenchmarkTable writes and reads tables of 116 bytes an entry. mem is the
// memory of the process, so that only the work of the package is measured; keys
// that are missing have neighbors that are there.
func BenchmarkTable(b *testing.B) {
	const n = 100_000
	for _, shape := range []string{"random16", "prefix24"} {
		keys := make([][]byte, n)
		for i := range keys {
			keys[i] = benchKeys[shape](uint64(i))
		}
		sorted := slices.SortedFunc(slices.Values(keys), bytes.Compare)
		sorted = slices.CompactFunc(sorted, bytes.Equal)
		value := make([]byte, 100)
		write := func(w io.Writer) *TableWriter {
			tw := NewTableWriter(w, nil)
			for _, key := range sorted {
				if err := tw.Set(key, value); err != nil {
					b.Fatal(err)
				}
			}
			if err := tw.Finish(); err != nil {
				b.Fatal(err)
			}
			return tw
		}

		b.Run("op=write/keys="+shape, func(b *testing.B) {
			b.ReportAllocs()
			var size int64
			for b.Loop() {
				size = write(io.Discard).Size()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(sorted)), "ns/entry")
			b.ReportMetric(float64(size)/float64(len(sorted))-float64(len(keys[0])+100), "B/entry")
		})

		var buf bytes.Buffer
		write(&buf)
		table, err := openTable(buf.Bytes())
		if err != nil {
			b.Fatal(err)
		}
		b.Run("op=open/keys="+shape, func(b *testing.B) {
			for b.Loop() {
				if _, err := openTable(buf.Bytes()); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("op=scan/keys="+shape, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				it := table.Scan(nil, nil)
				for range it.All() {
				}
				if err := it.Close(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(sorted)), "ns/entry")
		})

		for _, hit := range []int{100, 0} {
			b.Run(fmt.Sprintf("op=appendget/keys=%s/hit=%d", shape, hit), func(b *testing.B) {
				b.ReportAllocs()
				rng := rand.New(rand.NewPCG(1, 2))
				asked := make([][]byte, 1<<12)
				for i := range asked {
					asked[i] = bytes.Clone(keys[rng.IntN(n)])
					if hit == 0 {
						asked[i] = append(asked[i], 'x')
					}
				}
				var dst []byte
				i := 0
				for b.Loop() {
					dst, _ = table.AppendGet(dst[:0], asked[i&(len(asked)-1)])
					i++
				}
			})
		}
	}
}
