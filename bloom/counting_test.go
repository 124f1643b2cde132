// SPDX-License-Identifier: MIT

package bloom

import (
	"math"
	"math/bits"
	"testing"

	"pgregory.net/rapid"
)

// TestModelCounting drives a counting filter against a multiset: a key that was
// added more often than removed is present, however full its counters are.
func TestModelCounting(t *testing.T) { rapid.Check(t, modelCounting) }

// FuzzModelCounting is TestModelCounting for the fuzzer.
func FuzzModelCounting(f *testing.F) { f.Fuzz(rapid.MakeFuzz(modelCounting)) }

func modelCounting(t *rapid.T) {
	c := &Counting{
		shape: shape{
			perKey:  rapid.IntRange(1, maxPerKey).Draw(t, "perKey"),
			perLane: rapid.IntRange(1, maxCounters).Draw(t, "perLane"),
		},
		lines: make([]line, rapid.IntRange(1, 4).Draw(t, "lines")),
	}

	held := map[uint64]int{}
	key := rapid.Uint64Range(0, 30)
	t.Repeat(map[string]func(*rapid.T){
		"Add": func(t *rapid.T) {
			v := key.Draw(t, "v")

			for range rapid.IntRange(1, 20).Draw(t, "times") {
				if isNew := c.AddUint64(v); isNew && held[v] > 0 {
					t.Fatalf("Add says that %d is new, and it is not", v)
				}
				held[v]++
			}
		},
		"Remove": func(t *rapid.T) {
			v := key.Draw(t, "v")

			for range min(held[v], rapid.IntRange(1, 20).Draw(t, "times")) {
				if !c.RemoveUint64(v) {
					t.Fatalf("%d is there and was not removed", v)
				}
				held[v]--
			}
		},
		"Clear": func(*rapid.T) { c.Clear(); clear(held) },
		"": func(t *rapid.T) {
			for v, n := range held {
				if n > 0 && !c.HasUint64(v) {
					t.Fatalf("%d was added %d times more than removed, and is absent", v, n)
				}
			}
		},
	})
}

// TestCounters checks the arithmetic of 16 counters in a word against counters
// one by one.
func TestCounters(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := rapid.Uint64().Draw(t, "w")
		if rapid.Bool().Draw(t, "ones") {
			w |= rapid.Uint64().Draw(t, "more") | rapid.Uint64().Draw(t, "most")
		}
		for i := range wordCounters {
			n := w >> (4 * i) & 15
			if got := counted(w)>>(4*i)&15 == 1; got != (n > 0) {
				t.Fatalf("counted(%#x) has counter %d: %t, want %t", w, i, got, n > 0)
			}
			if got := saturated(w)>>(4*i)&15 == 1; got != (n == 15) {
				t.Fatalf("saturated(%#x) has counter %d: %t, want %t", w, i, got, n == 15)
			}
		}
	})
}

// TestTrapCounterOverflow: in tylertreat/BoomFilters 21 adds and 16 removes
// make a key absent that was added 5 times more often: a counter stops at 15
// and is counted down from there.
func TestTrapCounterOverflow(t *testing.T) {
	c := NewCounting(100, 0.01, nil)
	for range 21 {
		c.AddString("x")
	}
	for range 16 {
		if !c.RemoveString("x") {
			t.Fatal("RemoveString of a key that is present = false, want true")
		}
	}
	if !c.HasString("x") {
		t.Error("HasString after 21 adds and 16 removes = false, want true")
	}
}

// TestTrapCounterUnderflow removes a key that was not added, whose two lines
// are one and share a counter: it must not be counted from 1 to 0 and on to 15.
func TestTrapCounterUnderflow(t *testing.T) {
	s := shape{perKey: 2, perLane: 1}
	for h := range uint64(1000) {
		c := &Counting{shape: s, lines: make([]line, 1)}
		shared := false
		for _, g := range []uint64{h, mix64(h)} {
			x := g * spread1
			m0, m1, m2, m3 := counters(g, s.perLane)
			at := [lanes]uint64{x >> 63, 2 | x>>50&1, 4 | x>>37&1, 6 | x>>24&1}
			for i, m := range [lanes]uint64{m0, m1, m2, m3} {
				shared = shared || c.lines[0][at[i]]&m != 0
				c.lines[0][at[i]] |= m
			}
		}
		if shared {
			if !c.RemoveHash(h) {
				t.Fatalf("RemoveHash(%#x) = false with counters of one, want true", h)
			}
			if c.lines[0] != (line{}) {
				t.Fatalf("%#x: counters %x after all ones were removed, want 0", h, c.lines[0])
			}
		}
	}
}

// TestTrapOverfull: in seiflotfy/cuckoofilter an Add that fails for want of
// room throws out another key. Here none fails, and all present keys stay when
// the filter is overfull.
func TestTrapOverfull(t *testing.T) {
	c := NewCounting(100, 0.01, nil)
	for i := range uint64(10_000) {
		c.AddUint64(i)
	}
	for i := range uint64(10_000) {
		if !c.HasUint64(i) {
			t.Fatalf("%d was added and is absent", i)
		}
	}
}

// TestCountingRate checks the rate of a full filter, and that a filter that was
// emptied is empty.
func TestCountingRate(t *testing.T) {
	const n, probes = 20_000, 200_000
	for _, p := range []float64{1e-1, 1e-2, 1e-3, 1e-4} {
		c := NewCounting(n, p, nil)
		for i := range uint64(n) {
			c.AddUint64(i)
		}

		if got := c.Rate(); got > 1.1*p || got < 0.8*p {
			t.Errorf("Rate = %g, want %g or 20 %% less", got, p)
		}

		hits := 0

		for i := range uint64(probes) {
			if c.HasUint64(n + i) {
				hits++
			}
		}

		if want := 1.1 * p * probes; float64(hits) > want+5*math.Sqrt(want) {
			t.Errorf("p = %g: %d hits of %d, want about %.0f at most", p, hits, probes, want)
		}

		for i := range uint64(n) {
			if !c.RemoveUint64(i) {
				t.Fatalf("p = %g: %d was not there", p, i)
			}
		}

		if got := c.Rate(); got > p/1000 { // a few counters may have been full
			t.Errorf("p = %g: Rate of an empty filter = %g, want at most %g", p, got, p/1000)
		}
	}
}

// TestCountingRateReadsAll checks that Rate of a filter with few keys is not
// that of a sample, which lacks the one line here that is full.
func TestCountingRateReadsAll(t *testing.T) {
	const n = 2 * sample
	c := &Counting{shape: shape{perKey: 1, perLane: 2}, lines: make([]line, n)}
	for j := range c.lines[1] {
		c.lines[1][j] = math.MaxUint64
	}
	if got, want := c.Rate(), 1.0/n; got != want {
		t.Errorf("Rate = %g with one of %d lines full, want %g", got, n, want)
	}
}

// TestCountingEachLane checks that a key is new if its counters of any lane are
// zero, and that a key has as many counters there as the shape says.
func TestCountingEachLane(t *testing.T) {
	for perLane := 1; perLane <= maxCounters; perLane++ {
		most := 0
		for h := range uint64(100) {
			m0, _, _, _ := counters(mix64(h), perLane)
			most = max(most, bits.OnesCount64(m0))
		}
		if most != perLane {
			t.Errorf("a key has up to %d counters a lane, want %d", most, perLane)
		}

		for lane := range lanes {
			c := NewCounting(1, 0.1, nil)
			c.perLane = perLane
			for i := range c.lines {
				for j := range c.lines[i] {
					if j/2 != lane {
						c.lines[i][j] = math.MaxUint64
					}
				}
			}
			if !c.AddHash(42) {
				t.Errorf("AddHash = false with lane %d empty, want true", lane)
			}
		}
	}
}

// TestCountingForms checks that the forms of a key agree, and that what is
// absent is not removed.
func TestCountingForms(t *testing.T) {
	c := NewCounting(100, 1e-6, &Options{Seed: 3})
	checkAnswers(t, []answer{
		{"Add(a)", c.Add([]byte("a")), true},
		{"AddString(a) again", c.AddString("a"), false},
		{"Has(a)", c.Has([]byte("a")), true},
		{"HasString(a)", c.HasString("a"), true},
		{"HasHash(1)", c.HasHash(1), false},
		{"Remove(b)", c.Remove([]byte("b")), false},
		{"Remove(a)", c.Remove([]byte("a")), true},
		{"RemoveHash(a), added twice", c.RemoveHash(HashString("a", 3)), true},
		{"HasString(a), removed twice", c.HasString("a"), false},
	})
	if got := c.Bits(); got == 0 || got%lineBits != 0 {
		t.Errorf("Bits = %d, want a multiple of %d", got, lineBits)
	}
	if got := new(Counting).Rate(); got != 0 {
		t.Errorf("the zero Counting errs at %g, want 0", got)
	}
	mustPanic(t, "bloom: zero Counting: use NewCounting", func() { new(Counting).AddUint64(1) })
	mustPanic(t, "bloom: p must be between 1e-12 and 1, got 3", func() { NewCounting(1, 3, nil) })
}
