// SPDX-License-Identifier: MIT

package merkle

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"testing"
)

// benchLeaves returns n leaves of the given length.
func benchLeaves(n, bytes int) [][]byte {
	all := make([]byte, n*bytes)
	d := make([][]byte, n)
	for i := range d {
		d[i] = all[i*bytes:][:bytes]
		for j := range min(bytes, 8) {
			d[i][j] = byte(i >> (8 * j))
		}
	}
	return d
}

// BenchmarkBuild hashes a tree: one leaf after the other, all at once, as a
// Range, and besides them the two calls of sha256.Sum256 that a leaf and a node
// take at least.
func BenchmarkBuild(b *testing.B) {
	node := make([]byte, 65)
	impls := []struct {
		name  string
		build func(d [][]byte) error
	}{
		{"append", func(d [][]byte) error {
			var t Tree
			for _, data := range d {
				t.Append(data)
			}
			return nil
		}},
		{"all", func(d [][]byte) error {
			var t Tree
			return t.AppendAll(context.Background(), d)
		}},
		{"range", func(d [][]byte) error {
			var r Range
			for _, data := range d {
				r.Append(data)
			}
			return nil
		}},
		{"sum256", func(d [][]byte) error {
			for _, data := range d {
				sha256.Sum256(data)
				sha256.Sum256(node)
			}
			return nil
		}},
	}

	for _, impl := range impls {
		for _, n := range []int{1 << 10, 1 << 16} {
			for _, size := range []int{32, 256} {
				d := benchLeaves(n, size)
				b.Run(fmt.Sprintf("impl=%s/n=%d/leaf=%d", impl.name, n, size), func(b *testing.B) {
					b.ReportAllocs()
					for b.Loop() {
						if err := impl.build(d); err != nil {
							b.Fatal(err)
						}
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/leaf")
				})
			}
		}
	}
}

func BenchmarkProof(b *testing.B) {
	for _, n := range []uint64{1 << 16, 1 << 20} {
		tree := treeOf(benchLeaves(int(n), 8))
		root, oldRoot := tree.Root(), Hash{}
		dst := make([]Hash, 0, 128)
		i := uint64(0)

		next := func() uint64 {
			i = (i*0x9e3779b97f4a7c15 + 1) % n
			return i
		}
		run := func(name string, f func()) {
			b.Run(fmt.Sprintf("op=%s/n=%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					f()
				}
			})
		}
		run("inclusion", func() { dst, _ = AppendInclusion(dst[:0], tree, nil, next(), n) })
		run("consistency", func() { dst, _ = AppendConsistency(dst[:0], tree, nil, next()+1, n) })
		run("root", func() { tree.Root() })

		// Verifiers always get the same proof: nothing of it depends on memory.
		leaf, err := tree.Node(0, 12345)
		if err != nil {
			b.Fatal(err)
		}
		path, _ := AppendInclusion(nil, tree, nil, 12345, n)
		run("verify-inclusion", func() {
			if err := VerifyInclusion(nil, path, 12345, n, leaf, root); err != nil {
				b.Fatal(err)
			}
		})
		oldRoot, _ = tree.RootAt(12345)
		since, _ := AppendConsistency(nil, tree, nil, 12345, n)
		run("verify-consistency", func() {
			if err := VerifyConsistency(nil, since, 12345, n, oldRoot, root); err != nil {
				b.Fatal(err)
			}
		})
	}
}

func BenchmarkFile(b *testing.B) {
	data := make([]byte, 16<<20)
	r := bytes.NewReader(data)
	f, nodes, err := SumFile(context.Background(), r, int64(len(data)), nil)
	if err != nil {
		b.Fatal(err)
	}

	for name, do := range map[string]func() error{
		"sum": func() error {
			_, _, err := SumFile(context.Background(), r, int64(len(data)), nil)
			return err
		},
		"read": func() error {
			_, err := io.Copy(io.Discard, f.NewReader(io.NewSectionReader(r, 0, f.Size), nodes))
			return err
		},
		"sum256": func() error {
			sha256.Sum256(data)
			return nil
		},
	} {
		b.Run("op="+name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if err := do(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkIndex(b *testing.B) {
	for _, n := range []int{1e4, 1e6} {
		x := NewIndex(secret, nil)
		keys := make([]string, n)
		for i := range keys {
			keys[i] = fmt.Sprintf("user:%08x", uint32(i)*0x9e3779b1)
			x.Set(keys[i], Digest{})
		}

		b.Run(fmt.Sprintf("op=set/keys=string/n=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				x.Set(keys[i%n], digestOf(uint64(i)))
				i += 7919
			}
		})
		b.Run(fmt.Sprintf("op=delete-set/keys=string/n=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				x.Delete(keys[i%n])
				x.Set(keys[i%n], digestOf(uint64(i)))
				i += 7919
			}
		})
	}
}

// BenchmarkDiff finds d differences among n keys, and reports the bytes and the
// exchanges that it took.
func BenchmarkDiff(b *testing.B) {
	const n = 1e5
	x, y := NewIndex(secret, nil), NewIndex(secret, nil)
	for i := range int(n) {
		key := fmt.Sprintf("user:%08x", uint32(i)*0x9e3779b1)
		x.Set(key, Digest{})
		y.Set(key, Digest{})
	}

	differ := 0
	for _, d := range []int{0, 1, 10, 100, 1000, 10_000} {
		for ; differ < d; differ++ {
			y.Set(fmt.Sprintf("user:%08x", uint32(differ*9)*0x9e3779b1), Digest{1})
		}
		b.Run(fmt.Sprintf("n=%d/d=%d", int(n), d), func(b *testing.B) {
			var p *local
			for b.Loop() {
				p = &local{x: y}
				got, err := collect(x, p)
				if err != nil || len(got) != d {
					b.Fatalf("%d differences, %v, want %d", len(got), err, d)
				}
			}
			b.ReportMetric(float64(p.bytes)/float64(max(d, 1)), "B/key")
			b.ReportMetric(float64(p.exchanges), "exchanges")
		})
	}
}
