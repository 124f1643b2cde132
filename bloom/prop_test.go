// SPDX-License-Identifier: MIT

package bloom

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestModelFilter drives a filter through every operation that changes it or
// makes another of it, and checks after each that no key that was added is
// absent.
func TestModelFilter(t *testing.T) { rapid.Check(t, modelFilter) }

// FuzzModelFilter is TestModelFilter for the fuzzer.
func FuzzModelFilter(f *testing.F) { f.Fuzz(rapid.MakeFuzz(modelFilter)) }

// drawShape draws a shape, of all there are.
func drawShape(t *rapid.T) shape {
	return shape{
		perKey:  rapid.IntRange(1, maxPerKey).Draw(t, "perKey"),
		perLane: rapid.IntRange(1, maxPerLane).Draw(t, "perLane"),
		seed:    rapid.SampledFrom([]uint64{0, 1, 1 << 63}).Draw(t, "seed"),
	}
}

func drawHashes(t *rapid.T) []uint64 {
	return rapid.SliceOfN(rapid.Uint64(), 0, 200).Draw(t, "hashes")
}

// build returns a filter of n lines of shape s that holds hs.
func build(s shape, n int, hs []uint64) *Filter {
	f := &Filter{shape: s, lines: make([]line, n)}
	for _, h := range hs {
		f.AddHash(h)
	}
	return f
}

func modelFilter(t *rapid.T) {
	s := drawShape(t)
	f := build(s, rapid.IntRange(1, 48).Draw(t, "lines"), nil)
	added := map[uint64]bool{}
	add := func(h uint64, isNew bool) {
		if isNew && added[h] {
			t.Fatalf("Add says that %#x is new, and it is not", h)
		}

		added[h] = true
	}

	replace := func(g *Filter, err error) {
		if err != nil {
			t.Fatal(err)
		}
		if !g.Equal(f) {
			t.Fatal("a copy has other bits")
		}

		f = g
	}

	t.Repeat(map[string]func(*rapid.T){
		"AddHash": func(t *rapid.T) { h := rapid.Uint64().Draw(t, "h"); add(h, f.AddHash(h)) },
		"AddUint64": func(t *rapid.T) {
			v := rapid.Uint64().Draw(t, "v")
			add(HashUint64(v, s.seed), f.AddUint64(v))
		},
		"AddString": func(t *rapid.T) {
			v := rapid.String().Draw(t, "v")
			add(Hash([]byte(v), s.seed), f.AddString(v))
		},
		"AddHashes": func(t *rapid.T) {
			hs := drawHashes(t)
			f.AddHashes(hs)
			for _, h := range hs {
				add(h, false)
			}
		},
		"Union": func(t *rapid.T) {
			hs := drawHashes(t)
			if err := f.Union(build(s, len(f.lines)*rapid.IntRange(1, 3).Draw(t, "factor"), hs)); err != nil {
				t.Fatal(err)
			}
			for _, h := range hs {
				add(h, false)
			}
		},
		"Intersect": func(t *rapid.T) {
			hs := drawHashes(t)
			if err := f.Intersect(build(s, len(f.lines), hs)); err != nil {
				t.Fatal(err)
			}
			for h := range added {
				if !slices.Contains(hs, h) {
					delete(added, h)
				}
			}
		},
		"Fold": func(t *rapid.T) {
			d := rapid.IntRange(1, 4).Draw(t, "d")
			if err := f.Fold(d); err != nil && len(f.lines)%d == 0 {
				t.Fatal(err)
			}
		},
		"Clear":    func(*rapid.T) { f.Clear(); clear(added) },
		"Clone":    func(*rapid.T) { replace(f.Clone(), nil) },
		"Marshal":  func(*rapid.T) { replace(viaMarshal(f)) },
		"WriteTo":  func(*rapid.T) { replace(viaWriter(f)) },
		"View":     func(*rapid.T) { replace(viaView(f)) },
		"Snapshot": func(*rapid.T) { replace(viaConcurrent(f)) },
		"":         func(t *rapid.T) { holds(t, f, added) },
	})
}

// holds fails the test if a key of added is absent from f, or from a Probe of
// its bytes.
func holds(t *rapid.T, f *Filter, added map[uint64]bool) {
	b, err := f.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	p, err := OpenProbe(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	for h := range added {
		if !f.HasHash(h) {
			t.Fatalf("%#x was added and is absent", h)
		}
		if ok, err := p.HasHash(h); !ok || err != nil {
			t.Fatalf("Probe.HasHash(%#x) = %t, %v after it was added, want true, nil", h, ok, err)
		}
	}
}

func viaMarshal(f *Filter) (*Filter, error) {
	b, err := f.MarshalBinary()
	if err != nil {
		return nil, err
	}
	g := new(Filter)
	return g, g.UnmarshalBinary(b)
}

func viaWriter(f *Filter) (*Filter, error) {
	var b bytes.Buffer
	n, err := f.WriteTo(&b)
	if err != nil {
		return nil, err
	}
	if n != int64(b.Len()) {
		return nil, fmt.Errorf("WriteTo = %d, and wrote %d bytes", n, b.Len())
	}

	b.WriteString("next")
	g := new(Filter)
	m, err := g.ReadFrom(&b)
	if err != nil {
		return nil, err
	}
	if m != n || b.String() != "next" {
		return nil, fmt.Errorf("ReadFrom = %d and leaves %q, want %d and next", m, &b, n)
	}
	return g, nil
}

func viaView(f *Filter) (*Filter, error) {
	b, err := f.MarshalBinary()
	if err != nil {
		return nil, err
	}
	if err := Verify(b); err != nil {
		return nil, err
	}
	v, err := View(b)
	if err != nil {
		return nil, err
	}
	return v.Clone(), nil
}

func viaConcurrent(f *Filter) (*Filter, error) {
	c := &Concurrent{f: Filter{shape: f.shape, lines: make([]line, len(f.lines))}}
	err := c.Union(f)
	return c.Snapshot(), err
}

// TestPropKernel checks that all kernels set and ask the bits that the
// implementation notes name, and no others.
func TestPropKernel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, n := drawShape(t), rapid.IntRange(1, 100).Draw(t, "lines")
		h := rapid.Uint64().Draw(t, "h")
		want := &Filter{shape: s, lines: make([]line, n)}
		for _, p := range slowPositions(s, h, n) {
			if want.HasHash(h) {
				break // the bits still to come coincide with bits that are set
			}
			want.lines[p/lineBits][p%lineBits/wordBits] |= 1 << (p % wordBits)
		}
		if !want.HasHash(h) {
			t.Fatal("the bits of the notes are set, and HasHash is false")
		}
		if got := build(s, n, []uint64{h}); !got.Equal(want) {
			t.Fatalf("got %x, want %x", got.lines, want.lines)
		}
		c := Concurrent{f: Filter{shape: s, lines: want.lines}}
		if !c.HasHash(h) {
			t.Fatal("HasHash of Concurrent = false for the bits of the notes, want true")
		}
		if c.AddHash(h) {
			t.Fatal("AddHash of Concurrent = true for the bits of the notes, want false")
		}
	})
}

// TestPropBatch checks that batches, single calls and Concurrent set the same
// bits, count the same new keys and give the same answers.
func TestPropBatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, n, hs := drawShape(t), rapid.IntRange(1, 20).Draw(t, "lines"), drawHashes(t)
		one, all := build(s, n, nil), build(s, n, nil)
		c := &Concurrent{f: Filter{shape: s, lines: make([]line, n)}}
		d := &Concurrent{f: Filter{shape: s, lines: make([]line, n)}}
		added := 0

		for _, h := range hs {
			isNew := one.AddHash(h)
			if isNew {
				added++
			}
			if d.AddHash(h) != isNew {
				t.Fatal("Concurrent.AddHash and Filter.AddHash differ")
			}
		}

		if got := all.AddHashes(hs); got != added {
			t.Fatalf("AddHashes = %d, want %d", got, added)
		}

		if got := c.AddHashes(hs); got != added {
			t.Fatalf("Concurrent.AddHashes = %d, want %d", got, added)
		}

		if !all.Equal(one) {
			t.Fatal("keys in batches set other bits than one by one")
		}
		if !c.Snapshot().Equal(one) {
			t.Fatal("keys one by one set other bits in Concurrent")
		}
		if !d.Snapshot().Equal(one) {
			t.Fatal("keys in batches set other bits in Concurrent")
		}

		ask := append(drawHashes(t), hs...)
		got, gotC := all.HasHashes([]bool{true}, ask), c.HasHashes(nil, ask)

		for i, h := range ask {
			want := one.HasHash(h)
			if answers := [3]bool{got[i+1], gotC[i], c.HasHash(h)}; answers != [3]bool{want, want, want} {
				t.Fatalf("question %d: HasHashes, HasHashes and HasHash of Concurrent = %t, want %t", i, answers, want)
			}
		}
	})
}

// TestPropFold checks that folding gives the bits of a filter that was made
// smaller.
func TestPropFold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, hs := drawShape(t), drawHashes(t)
		n, d := rapid.IntRange(1, 9).Draw(t, "lines"), rapid.IntRange(1, 9).Draw(t, "d")
		f := build(s, n*d, hs)
		if err := f.Fold(d); err != nil {
			t.Fatal(err)
		}
		if !f.Equal(build(s, n, hs)) {
			t.Fatalf("%d lines folded by %d differ from %d", n*d, d, n)
		}
	})
}

// TestPropUnion checks that a union has the bits of a filter to which all keys
// were added, and that an intersection holds all common keys and lies within
// both.
func TestPropUnion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, n := drawShape(t), rapid.IntRange(1, 9).Draw(t, "lines")
		a, b, both := drawHashes(t), drawHashes(t), drawHashes(t)
		f, g := build(s, n, append(a, both...)), build(s, n, append(b, both...))
		if err := f.Union(g); err != nil {
			t.Fatal(err)
		}
		if !f.Equal(build(s, n, slices.Concat(a, b, both))) {
			t.Fatal("the union has other bits than a filter of all keys")
		}

		c := &Concurrent{f: Filter{shape: s, lines: build(s, n, append(a, both...)).lines}}
		if err := c.Union(g); err != nil {
			t.Fatal(err)
		}
		if !c.Snapshot().Equal(f) {
			t.Fatal("the union of Concurrent has other bits")
		}

		f = build(s, n, append(a, both...))
		if err := f.Intersect(g); err != nil {
			t.Fatal(err)
		}

		for _, h := range both {
			if !f.HasHash(h) {
				t.Fatalf("%#x is in both and not in the intersection", h)
			}
		}

		for _, h := range slices.Concat(a, b) {
			if !f.HasHash(h) {
				continue
			}
			if first, second := build(s, n, append(a, both...)).HasHash(h), g.HasHash(h); !first || !second {
				t.Fatalf("HasHash(%#x) of both = %t, %t and of the intersection true", h, first, second)
			}
		}
	})
}
