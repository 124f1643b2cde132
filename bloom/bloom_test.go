// SPDX-License-Identifier: MIT

package bloom

import (
	"errors"
	"math"
	"slices"
	"testing"
)

// An answer is the result of a method, and the one that it should have.
type answer struct {
	call      string
	got, want bool
}

// checkAnswers reports each answer that is not as it should be. The calls were
// made in the order of the list.
func checkAnswers(t *testing.T, answers []answer) {
	t.Helper()
	for _, a := range answers {
		if a.got != a.want {
			t.Errorf("%s = %t, want %t", a.call, a.got, a.want)
		}
	}
}

// TestForms checks that the forms of a key agree, and that numbers are keys of
// their own.
func TestForms(t *testing.T) {
	for _, seed := range []uint64{0, 42} {
		f, c := New(1000, 1e-6, &Options{Seed: seed}), NewConcurrent(1000, 1e-6, &Options{Seed: seed})
		for _, x := range []interface {
			Add(key []byte) bool
			AddString(key string) bool
			AddUint64(v uint64) bool
			AddHash(h uint64) bool
			Has(key []byte) bool
			HasString(key string) bool
			HasUint64(v uint64) bool
		}{f, c} {
			checkAnswers(t, []answer{
				{"Add(a)", x.Add([]byte("a")), true},
				{"AddString(a) again", x.AddString("a"), false},
				{"AddHash(a) again", x.AddHash(HashString("a", seed)), false},
				{"AddString(b)", x.AddString("b"), true},
				{"Has(b)", x.Has([]byte("b")), true},
				{"HasString(a)", x.HasString("a"), true},
				{"HasString(c)", x.HasString("c"), false},
				{"HasUint64('a')", x.HasUint64('a'), false},
				{"AddUint64('a')", x.AddUint64('a'), true},
				{"HasUint64('a') then", x.HasUint64('a'), true},
			})
		}

		if !f.Equal(c.Snapshot()) {
			t.Errorf("the bits of Concurrent differ from those of Filter")
		}
		if got, want := [4]any{c.Len(), c.FillRatio(), c.Rate(), c.Bits()}, [4]any{f.Len(), f.FillRatio(), f.Rate(), f.Bits()}; got != want {
			t.Errorf("Concurrent has Len, FillRatio, Rate and Bits %v, Filter %v", got, want)
		}
	}
}

// TestMismatch checks that filters that do not match are refused and left
// alone.
func TestMismatch(t *testing.T) {
	f := New(1000, 0.01, nil)
	f.AddString("x")
	before := f.Clone()
	three := &Filter{shape: f.shape, lines: make([]line, 3*len(f.lines))}

	for name, g := range map[string]*Filter{
		"rate":  New(1000, 1e-3, nil),
		"lines": New(1000, 0.01, &Options{Lines: 2}),
		"seed":  New(1000, 0.01, &Options{Seed: 1}),
		"size":  New(1500, 0.01, nil),
		"zero":  {},
	} {
		if err := f.Union(g); !errors.Is(err, ErrMismatch) {
			t.Errorf("%s: Union: %v, want %v", name, err, ErrMismatch)
		}
		if err := f.Intersect(g); !errors.Is(err, ErrMismatch) {
			t.Errorf("%s: Intersect: %v, want %v", name, err, ErrMismatch)
		}
		if err := NewConcurrent(1000, 0.01, nil).Union(g); !errors.Is(err, ErrMismatch) {
			t.Errorf("%s: Concurrent.Union: %v, want %v", name, err, ErrMismatch)
		}
	}
	if err := f.Intersect(three); !errors.Is(err, ErrMismatch) {
		t.Errorf("Intersect with a larger filter: %v, want %v", err, ErrMismatch)
	}
	if err := f.Fold(len(f.lines) + 1); !errors.Is(err, ErrMismatch) {
		t.Errorf("Fold by more than there is: %v, want %v", err, ErrMismatch)
	}

	checkAnswers(t, []answer{
		{"Equal of the filter before", f.Equal(before), true},
		{"Equal of the filter of three keys", f.Equal(three), false},
	})
}

// TestPanics checks the words of every panic.
func TestPanics(t *testing.T) {
	b, err := New(1, 0.1, nil).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}

	view, err := View(b)
	if err != nil {
		t.Fatal(err)
	}

	for want, f := range map[string]func(){
		"bloom: n must be between 0 and 2^48, got -1":          func() { New(-1, 0.1, nil) },
		"bloom: p must be between 1e-12 and 1, got 0":          func() { New(1, 0, nil) },
		"bloom: p must be between 1e-12 and 1, got 1":          func() { New(1, 1, nil) },
		"bloom: p must be between 1e-12 and 1, got NaN":        func() { New(1, math.NaN(), nil) },
		"bloom: Options.Lines must be between 0 and 2, got 3":  func() { New(1, 0.1, &Options{Lines: 3}) },
		"bloom: Options.Lines must be between 0 and 2, got -1": func() { NewConcurrent(1, 0.1, &Options{Lines: -1}) },
		"bloom: p must be between 1e-12 and 1, got 2":          func() { NewConcurrent(1, 2, nil) },
		"bloom: zero Filter: use New":                          func() { new(Filter).AddString("x") },
		"bloom: zero Concurrent: use NewConcurrent":            func() { new(Concurrent).AddHashes([]uint64{1}) },
		"bloom: d must be positive, got 0":                     func() { _ = New(1, 0.1, nil).Fold(0) },
	} {
		mustPanic(t, want, f)
	}

	for _, f := range []func(){
		func() { view.AddString("x") },
		func() { view.AddHashes([]uint64{1}) },
		func() { _ = view.Union(view) },
		func() { _ = view.Intersect(view) },
		func() { view.Clear() },
		func() { _ = view.Fold(1) },
	} {
		mustPanic(t, "bloom: the filter is a view: use Clone", f)
	}

	if math.MaxInt == math.MaxInt32 {
		mustPanic(t, "bloom: n is too large for this machine, got 2147483647", func() { New(math.MaxInt32, 1e-6, nil) })
	}
}

// TestBounds checks that the bounds which the package names are the last values
// that it takes, and that the next are refused.
func TestBounds(t *testing.T) {
	for _, b := range []struct {
		name     string
		last     func() // must not panic
		next     func()
		nextText string
	}{
		{
			"rate of a Filter, least",
			func() { New(1, 1e-12, nil) },
			func() { New(1, math.Nextafter(1e-12, 0), nil) },
			"p must be between",
		},
		{
			"rate of a Filter, most",
			func() { New(1, math.Nextafter(1, 0), nil) },
			func() { New(1, 1, nil) },
			"p must be between",
		},
		{
			"rate of a Scalable, least",
			func() { NewScalable(1, 1e-7, nil) },
			func() { NewScalable(1, math.Nextafter(1e-7, 0), nil) },
			"p must be between",
		},
		{
			"rate of a Scalable, most",
			func() { NewScalable(1, math.Nextafter(1, 0), nil) },
			func() { NewScalable(1, 1, nil) },
			"p must be between",
		},
		{
			"keys of a Scalable, least",
			func() { NewScalable(1, 0.1, nil) },
			func() { NewScalable(0, 0.1, nil) },
			"n must be positive",
		},
		{
			"rate of a Window, least",
			func() { NewWindow(1, 4*minRate, 0, nil) },
			func() { NewWindow(1, math.Nextafter(4*minRate, 0), 0, nil) },
			"p must be at least",
		},
		{
			"generations, least",
			func() { NewWindow(1, 0.1, 0, &WindowOptions{Generations: 2}) },
			func() { NewWindow(1, 0.1, 0, &WindowOptions{Generations: 1}) },
			"Generations must be between",
		},
		{
			"generations, most",
			func() { NewWindow(1, 0.1, 0, &WindowOptions{Generations: 64}) },
			func() { NewWindow(1, 0.1, 0, &WindowOptions{Generations: 65}) },
			"Generations must be between",
		},
		{
			"lines of a key, most",
			func() { New(1, 0.1, &Options{Lines: 2}); NewWindow(1, 0.1, 0, &WindowOptions{Lines: 2}) },
			func() { NewWindow(1, 0.1, 0, &WindowOptions{Lines: 3}) },
			"Lines must be between",
		},
		{
			"lines of a key, least",
			func() { NewWindow(1, 0.1, 0, &WindowOptions{Lines: 0}) },
			func() { NewWindow(1, 0.1, 0, &WindowOptions{Lines: -1}) },
			"Lines must be between",
		},
	} {
		t.Run(b.name, func(t *testing.T) {
			b.last()
			mustPanic(t, b.nextText, b.next)
		})
	}

	// No machine has the memory for so many keys.
	if most := int64(maxKeys); most < math.MaxInt {
		if err := validateSize(int(most), 0.1); err != nil {
			t.Errorf("validateSize of 2^48 keys = %v, want nil", err)
		}
		if err := validateSize(int(most+1), 0.1); err == nil {
			t.Error("validateSize of 2^48+1 keys = nil, want an error")
		}
	}
}

// TestSlow checks that the textbook filter of the same size errs about as
// often, so that our layout costs no more than the package comment says.
func TestSlow(t *testing.T) {
	const n, p, probes = 20_000, 0.01, 100_000
	slow, f := newSlowFilter(n, p), New(n, p, nil)
	for i := range uint64(n) {
		slow.add(HashUint64(i, 0))
		f.AddUint64(i)
	}

	if ratio := float64(f.Bits()) / float64(len(slow.bits)); ratio > 1.08 {
		t.Errorf("%.3f times the bits of the textbook, want at most 1.08", ratio)
	}

	slowHits, hits := 0, 0

	for i := range uint64(n + probes) {
		h := HashUint64(i, 0)
		if i < n && (!slow.has(h) || !f.HasHash(h)) {
			t.Fatalf("%d was added and is absent", i)
		}
		if i >= n && slow.has(h) {
			slowHits++
		}
		if i >= n && f.HasHash(h) {
			hits++
		}
	}

	// Both are near 1000, with a standard deviation of 32.
	if max(slowHits, hits) > 1000+5*32 || min(slowHits, hits) < 1000-5*32-50 {
		t.Errorf("hits of %d: textbook %d, ours %d, want about 1000", probes, slowHits, hits)
	}
}

// TestAsksAll checks that a question asks for every bit that adding sets: if
// any one is missing, the key is absent, whichever method is asked.
func TestAsksAll(t *testing.T) {
	for k := range maxPerKey * maxPerLane {
		s := shape{perKey: k/maxPerLane + 1, perLane: k%maxPerLane + 1}
		for i := range uint64(50) {
			h := HashUint64(i, 0)
			c := &Concurrent{Filter{shape: s, lines: make([]line, 3)}}
			c.AddHash(h)
			f := &c.f
			for bit := range len(f.lines) * lineBits {
				word, mask := &f.lines[bit/lineBits][bit%lineBits/64], uint64(1)<<(bit%64)
				if *word&mask == 0 {
					continue
				}
				*word &^= mask
				found := []bool{f.HasHash(h), f.HasHashes(nil, []uint64{h})[0], c.HasHash(h), c.HasHashes(nil, []uint64{h})[0]}
				if slices.Contains(found, true) {
					t.Fatalf("%+v: HasHash, HasHashes of both types = %t for %#x without bit %d, want false", s, found, h, bit)
				}

				// Adding says that the key was new, and sets the bit again.
				add := f.AddHash
				if bit%2 == 1 {
					add = c.AddHash
				}
				if !add(h) {
					t.Fatalf("%+v: AddHash(%#x) = false without bit %d, want true", s, h, bit)
				}
				if *word&mask == 0 {
					t.Fatalf("%+v: AddHash(%#x) left bit %d unset", s, h, bit)
				}
			}
			if found := []bool{f.HasHash(h), c.HasHash(h)}; slices.Contains(found, false) {
				t.Fatalf("%+v: HasHash of both types = %t for %#x with all its bits, want true", s, found, h)
			}
		}
	}
}
